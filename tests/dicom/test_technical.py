"""What may be shown where nothing may tell of a patient."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from slicer_notebook.dicom.elements import lines
from slicer_notebook.dicom.technical import TECHNICAL, is_technical
from tests.dicom import make
from tests.dicom.test_elements import item

#: Numbers and codes of PS3.15 table E.1-1 (2026c): their VR alone does not tell that they are of the patient.
PROFILE = {
    *("PatientSex", "PatientSexNeutered", "PatientWeight", "PatientSize", "PatientAge", "PregnancyStatus"),
    *("SmokingStatus", "ReasonForTheAttributeModification", "InstanceOriginStatus", "LensSpecification"),
    *("GPSLatitude", "GPSLongitude", "GPSAltitude"),
}


def test_the_list_holds_numbers_codes_sequences_and_uids_of_the_standard() -> None:
    vrs = {keyword: dictionary_VR(keyword) for keyword in TECHNICAL}
    uids = {keyword for keyword, vr in vrs.items() if vr == "UI"}
    assert uids == {"MediaStorageSOPClassUID", "SOPClassUID", "TransferSyntaxUID"}
    assert set(vrs.values()) <= {"AT", "CS", "DS", "FD", "FL", "IS", "SQ", "SS", "UI", "UL", "US", "US or SS"}


def test_nothing_of_the_confidentiality_profile_is_on_it() -> None:
    assert all(tag_for_keyword(keyword) for keyword in PROFILE)
    assert TECHNICAL.isdisjoint(PROFILE)


@pytest.mark.parametrize(
    ("keyword", "value", "shown"),
    [
        ("SliceThickness", "2.5", True),
        ("PixelSpacing", ["0.5", "1e-1"], True),
        ("Modality", "CT", True),
        ("Modality", "Jane Doe", False),
        ("ImageType", ["ORIGINAL", "Jane"], False),
        ("SOPClassUID", make.CT, True),
        ("SOPClassUID", "1.2.3.4", False),
        ("SOPInstanceUID", "1.2.3.4", False),
        ("PatientName", "Doe^Jane", False),
        ("PatientSex", "F", False),
        ("StudyDate", "20240203", False),
        ("DimensionIndexPointer", 0x00189087, True),
    ],
)
def test_values(keyword: str, value: Any, shown: bool) -> None:
    (line,) = lines(item(**{keyword: value}))
    assert is_technical(line) is shown


def test_private_elements_and_other_sequences_are_not() -> None:
    dataset = Dataset()
    dataset.add_new(0x0019100C, "IS", "1000")
    dataset.RequestAttributesSequence = Sequence([Dataset()])
    dataset.MRDiffusionSequence = Sequence([item(DiffusionBValue=5.0)])
    assert {line.path: is_technical(line) for line in lines(dataset) if line.kind != "item"} == {
        "MRDiffusionSequence": True,
        "MRDiffusionSequence[0].DiffusionBValue": True,
        "[0x0019100C]": False,
        "RequestAttributesSequence": False,
    }
