"""What values can be turned into: SUV of PET, real world values; offered by name, applied on request only."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slicer_notebook.dicom import plan, read, read_sequence
from slicer_notebook.errors import ArgumentError
from tests.dicom.make import MR, PET, dataset, write_series

#: a man of 70 kg and 1.75 m, given 370 MBq of fluorine 18 one half-life before the scan
HALF_LIFE = 6586.2
DOSE = 370e6
WEIGHT_KG, HEIGHT_M = 70.0, 1.75
GIVEN_TO_SCAN = 6586.2


def clock(seconds: float) -> str:
    return f"{int(seconds // 3600):02d}{int(seconds % 3600 // 60):02d}{seconds % 60:09.6f}"


def pet(folder, *, nuclide=None, **attributes):
    """A PET series that was acquired at 12:00 on 2020-01-02; slopes differ from slice to slice."""
    item = dataset()
    item.clear()
    for keyword, value in {
        "RadionuclideTotalDose": DOSE,
        "RadionuclideHalfLife": HALF_LIFE,
        "RadiopharmaceuticalStartTime": clock(43200 - GIVEN_TO_SCAN),
        **(nuclide or {}),
    }.items():
        if value is not None:
            setattr(item, keyword, value)
    given = {
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ["NORM", "DTIM", "ATTN", "SCAT", "DECY"],
        "SeriesDate": "20200102",
        "SeriesTime": clock(43200),
        "AcquisitionDate": "20200102",
        "AcquisitionTime": clock(43200),
        "PatientWeight": WEIGHT_KG,
        "PatientSize": HEIGHT_M,
        "PatientSex": "M",
        "RescaleIntercept": 0,
        "RadiopharmaceuticalInformationSequence": [item],
        **attributes,
    }
    return write_series(
        folder, sop_class=PET, each=lambda k: {"RescaleSlope": 0.5 + 0.25 * k},
        **{keyword: value for keyword, value in given.items() if value is not None},
    )  # fmt: skip


def only_volume(files):
    (volume,) = plan(files).volumes
    return volume


def factor(volume, name):
    """What Bq/ml are multiplied with, as the arrays say."""
    plain, turned = read(volume), read(volume, quantity=name)
    assert plain.units == "BQML"
    assert turned.quantity == name
    assert turned.array.dtype == np.float32
    ratio = turned.array / plain.array
    assert np.ptp(ratio) <= 1e-5 * abs(ratio.mean())
    return float(ratio.mean())


def test_body_weight_after_one_half_life(tmp_path):
    """SUVbw = activity concentration / (dose left / body weight in g)."""
    volume = only_volume(pet(tmp_path))
    assert factor(volume, "SUVbw") == pytest.approx(70000.0 / (370e6 / 2), rel=1e-6)
    turned = read(volume, quantity="SUVbw")
    assert turned.units == "g/ml{SUVbw}"
    assert turned.name == "3: Chest (SUVbw)"
    (offered,) = [each for each in volume.quantities if each.name == "SUVbw"]
    assert "70 kg" in offered.explanation
    assert "1.85e+08 Bq were left 6586 s later" in offered.explanation


def test_other_sizes_of_the_patient(tmp_path):
    volume = only_volume(pet(tmp_path))
    ratio = 70.0 / 175.0
    james = 1.10 * 70.0 - 120.0 * ratio**2
    janma = 9270.0 * 70.0 / (6680.0 + 216.0 * 70.0 / 1.75**2)
    surface_cm2 = 1e4 * 0.007184 * 70.0**0.425 * 175.0**0.725
    ideal = 48.0 + 1.06 * (175.0 - 152.0)
    left = 370e6 / 2
    assert factor(volume, "SUVlbm") == pytest.approx(1000 * james / left, rel=1e-6)
    assert factor(volume, "SUVlbm(Janma)") == pytest.approx(1000 * janma / left, rel=1e-6)
    assert factor(volume, "SUVbsa") == pytest.approx(surface_cm2 / left, rel=1e-6)
    assert factor(volume, "SUVibw") == pytest.approx(1000 * ideal / left, rel=1e-6)
    assert {each.units for each in volume.quantities if each.name == "SUVbsa"} == {"cm2/ml{SUVbsa}"}


def test_decay_corrected_to_administration(tmp_path):
    volume = only_volume(pet(tmp_path, DecayCorrection="ADMIN"))
    assert factor(volume, "SUVbw") == pytest.approx(70000.0 / 370e6, rel=1e-6)


def test_over_midnight(tmp_path):
    """Given at 23:30, scanned at 01:00: the time of day alone is of the day before."""
    times = {"SeriesTime": clock(3600), "AcquisitionTime": clock(3600)}
    volume = only_volume(pet(tmp_path, nuclide={"RadiopharmaceuticalStartTime": "233000"}, **times))
    left = 370e6 * math.exp(-math.log(2) * 5400 / HALF_LIFE)
    assert factor(volume, "SUVbw") == pytest.approx(70000.0 / left, rel=1e-6)


def test_a_series_made_after_its_acquisition(tmp_path):
    """A reconstruction of the evening: its SeriesTime says nothing of the scan, the earliest acquisition does."""
    volume = only_volume(pet(tmp_path, SeriesTime="200000"))
    assert factor(volume, "SUVbw") == pytest.approx(70000.0 / (370e6 / 2), rel=1e-6)


def test_values_that_are_suv_already(tmp_path):
    volume = only_volume(pet(tmp_path, Units="GML"))
    plain, turned = read(volume), read(volume, quantity="SUVbw")
    np.testing.assert_array_equal(plain.array, turned.array)
    assert (plain.units, turned.units) == ("GML", "g/ml{SUVbw}")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"PatientWeight": None}, "PatientWeight is missing"),
        ({"Units": "CNTS"}, "no factor of the scanner"),
        ({"Units": "PROPCNTS"}, "Units are PROPCNTS"),
        ({"DecayCorrection": "NONE"}, "DecayCorrection is NONE"),
        ({"CorrectedImage": ["NORM", "DECY"]}, "does not say ATTN"),
        ({"CorrectedImage": ["NORM", "ATTN"]}, "does not say DECY"),
        ({"RadiopharmaceuticalInformationSequence": []}, "no items"),
        ({"nuclide": {"RadionuclideTotalDose": 370}}, "cannot be in Bq"),
        ({"nuclide": {"RadionuclideHalfLife": None}}, "RadionuclideHalfLife is missing"),
        ({"nuclide": {"RadiopharmaceuticalStartTime": None}}, "are missing"),
        ({"AcquisitionTime": None}, "AcquisitionTime is missing"),
    ],
)
def test_what_is_not_known_is_not_offered(tmp_path, attributes, words):
    volume = only_volume(pet(tmp_path, **attributes))
    assert "SUVbw" not in {each.name for each in volume.quantities}
    assert any(words in reason for reason in volume.not_offered)
    with pytest.raises(ArgumentError) as caught:
        read(volume, quantity="SUVbw")
    assert words in str(caught.value)


def test_a_dynamic_series(tmp_path):
    files = []
    for t in range(3):
        files += pet(tmp_path / str(t), FrameReferenceTime=60000 * t, AcquisitionTime=clock(43200 + 60 * t))
    (sequence,) = plan(files).sequences
    plain, turned = read_sequence(sequence), read_sequence(sequence, quantity="SUVbw")
    # START: all frames are corrected to one time, that of the series.
    np.testing.assert_allclose(turned.array, plain.array * (70000.0 / (370e6 / 2)), rtol=1e-5)
    assert {volume.units for volume in turned.volumes} == {"g/ml{SUVbw}"}


def _mapping(**attributes):
    units = dataset()
    units.clear()
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = "10*-6.mm2/s", "UCUM", "um2/s"
    item = dataset()
    item.clear()
    for keyword, value in {
        "RealWorldValueFirstValueMapped": 0,
        "RealWorldValueLastValueMapped": 4095,
        "RealWorldValueSlope": 0.5,
        "RealWorldValueIntercept": 10.0,
        "LUTLabel": "ADC",
        "LUTExplanation": "apparent diffusion",
        "MeasurementUnitsCodeSequence": [units],
        **attributes,
    }.items():
        if value is not None:
            setattr(item, keyword, value)
    return item


def test_real_world_values_map_stored_ones(tmp_path):
    """Also where there is a rescale, which they do not go through (PS3.3 C.7.6.16.2.11)."""
    files = write_series(
        tmp_path, sop_class=MR, RescaleSlope=2, RescaleIntercept=-100, RealWorldValueMappingSequence=[_mapping()]
    )
    volume = only_volume(files)
    (offered,) = volume.quantities
    assert (offered.name, offered.units) == ("ADC", "10*-6.mm2/s")
    plain, turned = read(volume), read(volume, quantity="ADC")
    assert plain.array.dtype == np.int16
    assert plain.units == ""
    stored = (plain.array.astype(float) + 100) / 2
    np.testing.assert_allclose(turned.array, stored * 0.5 + 10, rtol=1e-6)
    assert turned.units == "10*-6.mm2/s"


def test_values_outside_the_range_are_not_mapped(tmp_path):
    mapping = _mapping(RealWorldValueFirstValueMapped=420, RealWorldValueLastValueMapped=460)
    volume = only_volume(write_series(tmp_path, sop_class=MR, RealWorldValueMappingSequence=[mapping]))
    plain, turned = read(volume).array, read(volume, quantity="ADC").array
    inside = (plain >= 420) & (plain <= 460)
    assert 0 < inside.mean() < 1
    np.testing.assert_allclose(turned[inside], plain[inside] * 0.5 + 10)
    assert np.isnan(turned[~inside]).all()


def test_a_table_of_real_world_values(tmp_path):
    table = [float(n * n) for n in range(400, 601)]
    mapping = _mapping(
        RealWorldValueFirstValueMapped=400, RealWorldValueLastValueMapped=600, RealWorldValueLUTData=table,
        RealWorldValueSlope=None, RealWorldValueIntercept=None,
    )  # fmt: skip
    volume = only_volume(write_series(tmp_path, sop_class=MR, RealWorldValueMappingSequence=[mapping]))
    plain, turned = read(volume).array.astype(float), read(volume, quantity="ADC").array
    np.testing.assert_allclose(turned, np.where((plain >= 400) & (plain <= 600), plain**2, np.nan))
