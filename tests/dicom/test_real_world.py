"""Real World Value Mappings of frames and files."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom.frames import planes_of
from slicer_notebook.dicom.header import read_header
from slicer_notebook.dicom.nested import UnreadableError
from slicer_notebook.dicom.real_world import real_world_values
from tests.dicom.make import MR, dataset, save
from tests.dicom.make_multiframe import item, write_frames

UNITS = {"CodeValue": "mm2/s", "CodingSchemeDesignator": "UCUM", "CodeMeaning": "square millimetres a second"}
GEOMETRY = {
    "PlanePositionSequence": {"ImagePositionPatient": [0, 0, 0]},
    "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
    "PixelMeasuresSequence": {"PixelSpacing": [1, 1]},
}


def mapping(slope, **others):
    return {
        "LUTLabel": "ADC",
        "LUTExplanation": "Diffusion",
        "MeasurementUnitsCodeSequence": UNITS,
        "RealWorldValueFirstValueMapped": -5,
        "RealWorldValueLastValueMapped": 4000,
        "RealWorldValueSlope": slope,
        "RealWorldValueIntercept": 0.25,
        **others,
    }


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_frames_own_mapping_wins(tmp_path, syntax):
    path = write_frames(
        tmp_path / "a.dcm",
        [{**GEOMETRY, "RealWorldValueMappingSequence": mapping(0.5)}, GEOMETRY],
        shared={"RealWorldValueMappingSequence": mapping(2.0)},
        syntax=syntax,
    )
    instance = read_header(path)
    (own,), (shared,) = real_world_values(instance)
    assert (own.slope, shared.slope) == (0.5, 2.0)
    assert (own.intercept, own.first, own.last) == (0.25, -5.0, 4000.0)
    assert (own.label, own.explanation) == ("ADC", "Diffusion")
    assert (own.units, own.scheme, own.meaning) == ("mm2/s", "UCUM", "square millimetres a second")
    assert (own.quantity, own.table) == ("", None)
    assert all(plane.has_real_world_values for plane in planes_of(instance))


def test_at_the_top_level(tmp_path):
    quantity = {
        "ConceptCodeSequence": {"CodeValue": "113041", "CodingSchemeDesignator": "DCM", "CodeMeaning": "ADC map"}
    }
    made = dataset(MR)
    made.RealWorldValueMappingSequence = [
        item(mapping(1e-6, QuantityDefinitionSequence=quantity)),
        item(mapping(3.0, LUTLabel="Other")),
    ]
    ((first, second),) = real_world_values(read_header(save(made, tmp_path / "a.dcm", np.zeros((2, 2), np.int16))))
    assert (first.slope, first.quantity) == (1e-6, "ADC map")
    assert (second.slope, second.label) == (3.0, "Other")


def test_a_table(tmp_path):
    table = {
        **mapping(1.0, RealWorldValueLUTData=[0.5, 1.5, 4.0]),
        "RealWorldValueFirstValueMapped": 0,
        "RealWorldValueLastValueMapped": 2,
    }
    del table["RealWorldValueSlope"], table["RealWorldValueIntercept"]
    path = write_frames(tmp_path / "a.dcm", [{**GEOMETRY, "RealWorldValueMappingSequence": table}])
    ((found,),) = real_world_values(read_header(path))
    assert found.table == (0.5, 1.5, 4.0)
    assert (found.slope, found.intercept) == (None, None)


def test_unsigned_values(tmp_path):
    values = mapping(1.0, RealWorldValueFirstValueMapped=0, RealWorldValueLastValueMapped=65535)
    path = write_frames(
        tmp_path / "a.dcm", [{**GEOMETRY, "RealWorldValueMappingSequence": values}], PixelRepresentation=0
    )
    ((found,),) = real_world_values(read_header(path))
    assert (found.first, found.last) == (0.0, 65535.0)


def test_none(tmp_path):
    incomplete = mapping(1.0)
    del incomplete["RealWorldValueSlope"]
    path = write_frames(tmp_path / "a.dcm", [{**GEOMETRY, "RealWorldValueMappingSequence": incomplete}, GEOMETRY])
    assert real_world_values(read_header(path)) == [[], []]


def test_a_file_that_is_gone(tmp_path):
    path = write_frames(tmp_path / "a.dcm", [GEOMETRY])
    instance = read_header(path)
    path.unlink()
    with pytest.raises(UnreadableError):
        real_world_values(instance)
