"""Any attribute of indexed files, and those of the Query/Retrieve information model in the records."""

from __future__ import annotations

import zipfile

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom import Index
from slicer_notebook.dicom.attributes import plain_value, tag_of
from slicer_notebook.errors import ArgumentError, FileFormatError, UidNotFoundError
from tests.dicom.make import SECONDARY_CAPTURE, write_series


@pytest.fixture
def index(tmp_path):
    found = Index(tmp_path / "index" / "dicom.sqlite3")
    yield found
    found.close()


def code(value, meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def test_a_header_is_the_file_without_pixels(index, tmp_path):
    paths = write_series(tmp_path / "d", KVP=120)
    index.add(tmp_path / "d")
    for path in paths:
        expected = pydicom.dcmread(path, stop_before_pixels=True)
        found = index.header(expected.SOPInstanceUID)
        assert found == expected
        assert "PixelData" not in found
    first = min((pydicom.dcmread(path) for path in paths), key=lambda item: item.InstanceNumber)
    assert index.header("1.2.3.4.5").SOPInstanceUID == first.SOPInstanceUID


def test_a_header_in_an_archive(index, tmp_path):
    (path,) = write_series(tmp_path / "d", shape=(1, 4, 4), ImageComments="here")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "x")
    index.add(tmp_path / "a.zip")
    assert index.header("1.2.3.4.5").ImageComments == "here"


def test_attributes_on_demand(index, tmp_path):
    def private(k):
        return {"KVP": 120 + k, "ScanOptions": ["A", "B"], "ProcedureCodeSequence": [code("1", "Gewebe")]}

    paths = write_series(tmp_path / "d", shape=(2, 4, 4), each=private)
    for path in paths:
        item = pydicom.dcmread(path)
        item.private_block(0x0019, "A MAKER", create=True).add_new(0x0C, "FD", 2.5)
        item.save_as(path)
    index.add(tmp_path / "d")
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in paths]
    names = ["KVP", "ScanOptions", "0019,100C", "ContrastBolusAgent", "ProcedureCodeSequence", "PatientName"]
    found = index.attributes(uids, names)
    assert list(found) == uids
    for k, uid in enumerate(uids):
        assert found[uid] == {
            "KVP": 120.0 + k,
            "ScanOptions": ["A", "B"],
            "0019,100C": 2.5,
            "ContrastBolusAgent": None,
            "ProcedureCodeSequence": [{"CodeValue": "1", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Gewebe"}],
            "PatientName": "Doe^Jane",
        }
    assert index.attributes(["1.2.3.4.5"], ["Modality"]) == {"1.2.3.4.5": {"Modality": "CT"}}


def test_what_cannot_be_asked_for(index, tmp_path):
    (path,) = write_series(tmp_path / "d", shape=(1, 4, 4))
    index.add(tmp_path / "d")
    with pytest.raises(ArgumentError, match="Did you mean 'SliceThickness'"):
        index.attributes(["1.2.3.4.5"], ["SliceThicknes"])
    with pytest.raises(UidNotFoundError, match=r"9\.9"):
        index.header("9.9")
    path.unlink()
    with pytest.raises(FileFormatError, match="cannot be read"):
        index.header("1.2.3.4.5")


@pytest.mark.parametrize("name", ["0018,0050", "(0018,0050)", "00180050", "SliceThickness"])
def test_ways_to_name_a_tag(name):
    assert tag_of(name) == 0x00180050


def test_plain_values():
    item = Dataset()
    item.PixelSpacing = [0.5, 0.25]
    item.SeriesNumber = 3
    item.OtherPatientNames = ["A^B", "C^D"]
    item.RedPaletteColorLookupTableData = b"\1\2"
    item.StudyDescription = ""
    item.ReferencedStudySequence = []
    found = {element.keyword: plain_value(element) for element in item}
    assert found == {
        "PixelSpacing": [0.5, 0.25],
        "SeriesNumber": 3,
        "OtherPatientNames": ["A^B", "C^D"],
        "RedPaletteColorLookupTableData": b"\1\2",
        "StudyDescription": None,
        "ReferencedStudySequence": [],
    }
    assert type(found["SeriesNumber"]) is int


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_of_the_information_model(index, tmp_path, syntax, undefined):
    """Procedures, regions and SOP classes of a study, with the character set of the data set."""
    regions = {"1.5": code("2", "Schädel"), "1.6": code("3", "Hals")}
    for series, region in regions.items():
        paths = write_series(
            tmp_path / "d" / series, shape=(1, 4, 4), syntax=syntax, SeriesInstanceUID=series,
            SpecificCharacterSet="ISO_IR 100", ProcedureCodeSequence=[code("1", "Gewebe größer")],
            AnatomicRegionSequence=[region], OtherPatientNames=["Özgür^A", "B"], Occupation="Bäcker",
        )  # fmt: skip
        for path in paths:
            item = pydicom.dcmread(path)
            for name in ("ProcedureCodeSequence", "AnatomicRegionSequence"):
                item[name].is_undefined_length = undefined
                item[name].value[0].is_undefined_length_sequence_item = undefined
            item.save_as(path)
    write_series(tmp_path / "d" / "sc", shape=(1, 4, 4), sop_class=SECONDARY_CAPTURE, SeriesInstanceUID="1.7")
    index.add(tmp_path / "d")
    (study,) = index.studies()
    expected = {"CodeValue": "1", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Gewebe größer"}
    assert study.ProcedureCodeSequence == [expected]
    assert [item["CodeMeaning"] for item in study.AnatomicRegionsInStudyCodeSequence] == ["Schädel", "Hals"]
    assert study.SOPClassesInStudy == ["1.2.840.10008.5.1.4.1.1.2", SECONDARY_CAPTURE]
    assert (study.OtherPatientNames, study.Occupation) == (["Özgür^A", "B"], "Bäcker")
    for filters in (
        {"ProcedureCodeSequence": "*grosser*"},
        {"SOPClassesInStudy": SECONDARY_CAPTURE},
        {"AnatomicRegionSequence": "*hals*"},
        {"OtherPatientNames": "b"},
        {"OtherPatientNames": "ozgur*"},
        {"text": "backer schadel"},
    ):
        assert index.studies(**filters) == [study], filters
    assert index.studies(ProcedureCodeSequence="*hals*") == []


@pytest.mark.parametrize("damage", [b"\x4c\xfb", b"XX", b"\0\0", b"UI"])
def test_a_damaged_sequence_is_no_value(index, tmp_path, damage):
    """The VR of an element in an item; the rest of the header is read all the same."""
    (path,) = write_series(tmp_path / "d", shape=(1, 4, 4), ProcedureCodeSequence=[code("1", "Gewebe")])
    raw = path.read_bytes()
    at = raw.index(b"\x08\0\x04\x01LO")
    path.write_bytes(raw[: at + 4] + damage + raw[at + 6 :])
    index.add(path)
    (study,) = index.studies()
    assert study.PatientName == "Doe^Jane"
    assert study.ProcedureCodeSequence in (
        None,
        [{"CodeValue": "1", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Gewebe"}],
    )
