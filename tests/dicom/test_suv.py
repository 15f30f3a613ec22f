"""SUV where headers leave the common path: reference times, makers' factors, contradictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from slicer_notebook.dicom import plan, suv
from slicer_notebook.dicom.header import read_header
from slicer_notebook.dicom.quantities import quantities_of
from slicer_notebook.dicom.suv import Uptake
from tests.dicom.make import PET, dataset, save
from tests.dicom.make_multiframe import write_frames
from tests.dicom.test_quantities import DOSE, HALF_LIFE, clock, pet

NOON = 43200.0
#: 70 kg for each Bq that is left of 370 MBq after one half-life
BODY_WEIGHT = 70000.0 / (DOSE / 2)


def instances(folder, each=None, **attributes):
    """Files of three positions, as planned."""
    found = []
    for n in range(3):
        mine = {} if each is None else each(n)
        private = mine.pop("private", {})
        for path in pet(folder / str(n), shape=(1, 2, 2), first=(0, 0, 4.0 * n), **{**attributes, **mine}):
            if private:
                item = _with_private(path, private)
                save(item, path)
            found.append(read_header(path))
    return found


def _with_private(path, private):
    item = dcmread(path)
    for (group, creator, element), (vr, value) in private.items():
        item.private_block(group, creator, create=True).add_new(element, vr, value)
    return item


def factors(planes, name="SUVbw"):
    offered, reasons = quantities_of(planes)
    for quantity in offered:
        if quantity.name == name:
            assert all(offset == 0 for _, offset in quantity.factors)
            return [factor for factor, _ in quantity.factors]
    raise AssertionError(reasons)


def reason(planes):
    offered, reasons = quantities_of(planes)
    assert offered == []
    (words,) = reasons
    return words


def test_codes_are_those_of_the_standard(tmp_path):
    offered, reasons = quantities_of(instances(tmp_path))
    assert reasons == []
    standard = [code.value for name in dir(codes.cid85) if isinstance(code := getattr(codes.cid85, name), Code)]
    assert sorted(quantity.units for quantity in offered) == sorted(standard)


def test_counts_with_the_scanners_factor(tmp_path):
    planes = instances(
        tmp_path,
        lambda n: {"private": {(0x7053, "Philips PET Private Group", 0x00): ("DS", f"0.0012{n}")}},
        Units="CNTS",
    )
    assert factors(planes) == pytest.approx([0.00120, 0.00121, 0.00122])
    # From SUVbw to the surface: cm2 for g.
    surface = 1e4 * 0.007184 * 70.0**0.425 * 175.0**0.725
    assert factors(planes, "SUVbsa") == pytest.approx([f * surface / 70000.0 for f in (0.00120, 0.00121, 0.00122)])


def test_counts_with_the_scanners_activity(tmp_path):
    planes = instances(
        tmp_path,
        lambda _: {
            "private": {
                (0x7053, "Philips PET Private Group", 0x00): ("DS", "0"),
                (0x7053, "Philips PET Private Group", 0x09): ("DS", "2.5"),
            }
        },
        Units="CNTS",
    )
    assert factors(planes) == pytest.approx([2.5 * BODY_WEIGHT] * 3)


def test_a_block_of_another_maker_is_none_of_philips(tmp_path):
    private = {(0x7053, "SOMEBODY ELSE", 0x00): ("DS", "0.5")}
    planes = instances(tmp_path, lambda _: {"private": private}, Units="CNTS")
    assert "Units are CNTS" in reason(planes)


def test_ge_says_when_the_scan_began(tmp_path):
    """SeriesTime is that of a later reconstruction; the scan began 10 minutes before the first bed was acquired."""
    private = {(0x0009, "GEMS_PETD_01", 0x0D): ("DT", "20200102115000.00")}
    planes = instances(tmp_path, lambda _: {"private": private}, SeriesTime="200000")
    left = DOSE * 2 ** -((HALF_LIFE - 600) / HALF_LIFE)
    assert factors(planes) == pytest.approx([70000.0 / left] * 3)


def test_beds_of_a_series_made_later(tmp_path):
    """FrameReferenceTime counts from the scan's start: all beds lead back to noon."""
    rate, duration = math.log(2) / HALF_LIFE, 180.0
    average = math.log(rate * duration / (1 - math.exp(-rate * duration))) / rate

    def bed(n):
        begin = 240.0 * n + 30.0
        return {"AcquisitionTime": clock(NOON + begin), "FrameReferenceTime": 1000 * (begin + average)}

    planes = instances(tmp_path, bed, SeriesTime="200000", ActualFrameDuration="180000")
    assert factors(planes) == pytest.approx([BODY_WEIGHT] * 3, rel=1e-5)


def test_beds_that_count_from_several_times_are_not_trusted(tmp_path):
    planes = instances(
        tmp_path,
        lambda n: {"AcquisitionTime": clock(NOON + 1800 * n), "FrameReferenceTime": 90000},
        SeriesTime="200000",
        ActualFrameDuration="180000",
    )
    assert "do not count from one time" in reason(planes)


def _decay_factor(seconds, duration, half_life=HALF_LIFE):
    """What a frame that begins so long after the reference is multiplied with."""
    rate = math.log(2) / half_life
    return math.exp(rate * seconds) * rate * duration / (1 - math.exp(-rate * duration))


def test_decay_factors_that_agree(tmp_path):
    planes = instances(
        tmp_path,
        lambda n: {
            "AcquisitionTime": clock(NOON + 240 * n),
            "DecayFactor": round(_decay_factor(240 * n, 180), 6),
        },
        ActualFrameDuration="180000",
    )
    assert factors(planes) == pytest.approx([BODY_WEIGHT] * 3)


def test_a_series_time_that_is_not_that_of_the_decay_correction(tmp_path):
    """A topogram 20 minutes before: DecayFactor tells."""
    planes = instances(
        tmp_path,
        lambda n: {
            "AcquisitionTime": clock(NOON + 240 * n),
            "DecayFactor": round(_decay_factor(240 * n, 180), 6),
        },
        ActualFrameDuration="180000",
        SeriesTime=clock(NOON - 1200),
    )
    assert "a time 1200 s after SeriesTime" in reason(planes)


@pytest.mark.parametrize(
    ("given", "elapsed"),
    [
        ({"RadiopharmaceuticalStartDateTime": "20200102110000.00"}, 3600.0),
        ({"RadiopharmaceuticalStartDateTime": "20200102110000+0100"}, 3600.0),
        # given while the scan ran already: what it is corrected to lies before
        ({"RadiopharmaceuticalStartTime": clock(NOON + 90)}, -90.0),
    ],
)
def test_when_it_was_given(tmp_path, given, elapsed):
    nuclide = {"RadiopharmaceuticalStartTime": None, **given}
    left = DOSE * 2 ** (-elapsed / HALF_LIFE)
    assert factors(instances(tmp_path, nuclide=nuclide)) == pytest.approx([70000.0 / left] * 3)


def test_another_time_zone(tmp_path):
    """11:00 of UTC+1 is 10:00 of UTC, the zone of the header."""
    nuclide = {
        "RadiopharmaceuticalStartTime": None,
        "RadiopharmaceuticalStartDateTime": "20200102110000+0100",
    }
    left = DOSE * 2 ** (-7200.0 / HALF_LIFE)
    planes = instances(tmp_path, nuclide=nuclide, TimezoneOffsetFromUTC="+0000")
    assert factors(planes) == pytest.approx([70000.0 / left] * 3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        # an hour after the scan, and not 23 hours before it: 12 half-lives
        ({"RadiopharmaceuticalStartTime": "130000"}, "before the scan, with a half-life"),
        # of another day
        ({"RadiopharmaceuticalStartDateTime": "20200101102000"}, "before the scan, with a half-life"),
        ({"RadiopharmaceuticalStartDateTime": "20200102080000"}, "StartTime differ"),
        # zirconium 89: given days before
        ({"RadionuclideHalfLife": 282276.0}, "days before"),
    ],
)
def test_when_it_was_given_is_not_known(tmp_path, given, words):
    nuclide = dict(given)
    if nuclide.get("RadiopharmaceuticalStartDateTime", "").startswith("20200101"):
        nuclide["RadiopharmaceuticalStartTime"] = None
    assert words in reason(instances(tmp_path, nuclide=nuclide))


def test_two_tracers(tmp_path):
    two = [dataset(), dataset()]
    for item in two:
        item.clear()
        item.RadionuclideTotalDose = DOSE
    assert "has 2 items" in reason(instances(tmp_path, RadiopharmaceuticalInformationSequence=two))


@pytest.mark.parametrize(("units", "kind", "name"), [
    ("GML", "LBM", "SUVlbm"), ("GML", "LBMJANMA", "SUVlbm(Janma)"), ("CM2ML", "BSA", "SUVbsa"),
    ("GML", "IBW", "SUVibw"),
])  # fmt: skip
def test_other_kinds_of_suv_in_the_file(tmp_path, units, kind, name):
    planes = instances(tmp_path, Units=units, SUVType=kind)
    assert factors(planes, name) == [1.0] * 3
    sizes = {
        "SUVlbm": 1000 * (1.10 * 70.0 - 120.0 * (70.0 / 175.0) ** 2),
        "SUVlbm(Janma)": 1000 * 9270.0 * 70.0 / (6680.0 + 216.0 * 70.0 / 1.75**2),
        "SUVbsa": 1e4 * 0.007184 * 70.0**0.425 * 175.0**0.725,
        "SUVibw": 1000 * (48.0 + 1.06 * 23.0),
    }
    assert factors(planes) == pytest.approx([70000.0 / sizes[name]] * 3)


def test_units_and_kind_that_contradict(tmp_path):
    assert "SUVType is BSA" in reason(instances(tmp_path, Units="GML", SUVType="BSA"))


def test_a_woman(tmp_path):
    planes = instances(tmp_path, PatientSex="F", PatientWeight=60, PatientSize=1.60)
    left = DOSE / 2
    james = 1.07 * 60.0 - 148.0 * (60.0 / 160.0) ** 2
    janma = 9270.0 * 60.0 / (8780.0 + 244.0 * 60.0 / 1.6**2)
    assert factors(planes, "SUVlbm") == pytest.approx([1000 * james / left] * 3)
    assert factors(planes, "SUVlbm(James128)") == pytest.approx([1000 * james / left] * 3)
    assert factors(planes, "SUVlbm(Janma)") == pytest.approx([1000 * janma / left] * 3)
    assert factors(planes, "SUVibw") == pytest.approx([1000 * (45.5 + 0.91 * 8.0) / left] * 3)


@pytest.mark.parametrize(
    ("attributes", "offered", "words"),
    [
        ({"PatientSex": "O"}, {"SUVbw", "SUVbsa"}, "PatientSex is O"),
        ({"PatientSize": None}, {"SUVbw"}, "PatientSize is missing"),
        ({"PatientSize": 175}, {"SUVbw"}, "PatientSize is 175, which cannot be in m"),
        ({"AnatomicalOrientationType": "QUADRUPED"}, {"SUVbw"}, "that of humans"),
        ({"PatientWeight": None}, {"SUVibw"}, "PatientWeight is missing"),
    ],
)
def test_only_what_the_patients_size_allows(tmp_path, attributes, offered, words):
    found, reasons = quantities_of(instances(tmp_path, **attributes))
    names = {quantity.name for quantity in found}
    assert names == offered
    assert any(words in each for each in reasons)


def test_files_that_do_not_agree(tmp_path):
    planes = instances(tmp_path, lambda n: {"PatientWeight": 70 + n})
    assert reason(planes) == "SUV is not offered: its files do not agree on PatientWeight."


def test_the_scan_began_with_the_first_of_all_images(tmp_path):
    """The volume of a later bed alone: its own acquisition is not what decay was corrected to."""
    planes = instances(tmp_path, lambda n: {"AcquisitionTime": clock(NOON + 1200 * n)}, SeriesTime="200000")
    (offered, *_), _ = quantities_of(planes[2:], planes)
    assert offered.factors[0][0] == pytest.approx(BODY_WEIGHT)


def test_each_header_is_read_once(tmp_path, monkeypatch):
    planes = instances(tmp_path)
    read, original = [], suv.read_pet_header
    monkeypatch.setattr(suv, "read_pet_header", lambda plane: read.append(plane.path) or original(plane))
    uptake = Uptake(planes)
    for plane in planes:
        assert uptake.quantities_of([plane])[0]
    assert sorted(read) == sorted({plane.path for plane in planes})


def test_a_file_that_is_gone(tmp_path):
    planes = instances(tmp_path)
    (tmp_path / "0" / "000.dcm").unlink()
    assert "not readable" in reason(planes)


def test_enhanced_pet(tmp_path):
    """DecayCorrectionDateTime names the reference; its Pixel Value Transformation the units."""
    nuclide = dataset()
    nuclide.clear()
    nuclide.RadionuclideTotalDose, nuclide.RadionuclideHalfLife = DOSE, HALF_LIFE
    nuclide.RadiopharmaceuticalStartDateTime = "20200102100000.00"
    frames = [{"PlanePositionSequence": {"ImagePositionPatient": [0, 0, 4.0 * n]}} for n in range(3)]
    path = write_frames(
        tmp_path / "a.dcm",
        frames,
        shared={
            "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            "PixelMeasuresSequence": {"PixelSpacing": [1, 1], "SliceThickness": 4},
            "PixelValueTransformationSequence": {
                "RescaleSlope": 0.5, "RescaleIntercept": 0, "RescaleType": "BQML",
            },
        },
        SOPClassUID="1.2.840.10008.5.1.4.1.1.130",
        Modality="PT",
        DecayCorrected="YES",
        AttenuationCorrected="YES",
        DecayCorrectionDateTime="20200102110000.00",
        PatientWeight=70,
        RadiopharmaceuticalInformationSequence=[nuclide],
    )  # fmt: skip
    (volume,) = plan([path]).volumes
    left = DOSE * 2 ** (-3600.0 / HALF_LIFE)
    (offered,) = volume.quantities
    assert offered.name == "SUVbw"
    np.testing.assert_allclose(offered.factors, [(70000.0 / left, 0)] * 3)


def test_no_pet(tmp_path):
    path = save(dataset(PET, Modality="NM"), tmp_path / "a.dcm", np.zeros((2, 2), np.int16))
    assert quantities_of([read_header(path)]) == ([], [])
