"""Frames without a place of their own: their times and pixel spacing; slices of nuclear medicine."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from slicer_notebook.dicom import Reason, plan, read
from slicer_notebook.dicom.frames import NotSplitError, planes_of
from slicer_notebook.dicom.header import read_header
from tests.dicom.make import CORONAL, CT, MR, assert_phantom, dataset, measured, oblique, save
from tests.dicom.make_multiframe import NM, SC_MULTIFRAME, US_SINGLE, XA, item, position, region, write_cine

PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
EIGHT_BITS = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}


def planes(path):
    return planes_of(read_header(path))


def cine(tmp_path, **attributes):
    return planes(write_cine(tmp_path / "a.dcm", PIXELS, **{"Modality": "US", **EIGHT_BITS, **attributes}))


def times(found):
    return [plane.TemporalPositionTimeOffset for plane in found]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"FrameTime": "40", "FrameIncrementPointer": Tag("FrameTime")}, [0.0, 0.04, 0.08]),
        ({"FrameTime": "40"}, [0.0, 0.04, 0.08]),
        ({"FrameTimeVector": [0, 30, 50], "FrameIncrementPointer": Tag("FrameTimeVector")}, [0.0, 0.03, 0.08]),
        # Some write the first interval as well: it is before the first frame.
        ({"FrameTimeVector": [30, 30, 50], "FrameIncrementPointer": Tag("FrameTimeVector")}, [0.0, 0.03, 0.08]),
        # One interval is missing: nothing says which.
        ({"FrameTimeVector": [30, 50], "FrameIncrementPointer": Tag("FrameTimeVector")}, [None] * 3),
        ({"FrameTime": "0", "FrameIncrementPointer": Tag("FrameTime")}, [None] * 3),
        # Pages are no moments.
        (
            {"FrameTime": "40", "PageNumberVector": [1, 2, 3], "FrameIncrementPointer": Tag("PageNumberVector")},
            [None] * 3,
        ),
        ({}, [None] * 3),
    ],
)
def test_times(tmp_path, attributes, expected):
    found = cine(tmp_path, **attributes)
    assert times(found) == expected
    assert [plane.frame for plane in found] == [0, 1, 2]
    assert [plane.TemporalPositionIndex for plane in found] == [1, 2, 3]
    assert found.warnings == []


@pytest.mark.parametrize("keyword", ["CineRate", "RecommendedDisplayFrameRate"])
def test_a_rate_is_how_it_is_to_be_shown(tmp_path, keyword):
    found = cine(tmp_path, **{keyword: "25"})
    assert times(found) == [0.0, 0.04, 0.08]
    assert keyword in found.warnings[0]


def test_a_cine_is_a_sequence_of_its_frames(tmp_path):
    path = write_cine(
        tmp_path / "a.dcm",
        PIXELS,
        sop_class=XA,
        Modality="XA",
        FrameTime="125",
        ImagerPixelSpacing=[0.3, 0.4],
        **EIGHT_BITS,
    )
    (sequence,) = plan([path]).sequences
    assert sequence.axis.values == [0.0, 0.125, 0.25]
    for number, volume in enumerate(sequence.volumes):
        np.testing.assert_array_equal(read(volume).array, PIXELS[number : number + 1])


@pytest.mark.parametrize(
    ("regions", "spacing", "warned"),
    [
        ([region(0.02, 0.03)], [0.3, 0.2], "calibrated region"),
        # Negative where the axis runs the other way.
        ([region(-0.02, 0.03), region(0.02, 0.03, RegionDataType=2)], [0.3, 0.2], "calibrated region"),
        ([region(0.02, 0.03), region(0.01, 0.03)], None, "different scales"),
        # A Doppler spectrum or an M-mode beside the picture is no picture.
        ([region(0.02, 0.03), region(0.5, 0.1, RegionSpatialFormat=3)], [0.3, 0.2], "calibrated region"),
        ([region(0.02, 0.03), region(0.5, 0.1, PhysicalUnitsXDirection=4)], [0.3, 0.2], "calibrated region"),
        ([region(0.02, 0.0)], None, None),
        ([], None, None),
    ],
)
@pytest.mark.parametrize("frames", [1, 3])
def test_ultrasound_is_calibrated_by_its_regions(tmp_path, regions, spacing, warned, frames):
    path = write_cine(
        tmp_path / "a.dcm", PIXELS[:frames], sop_class=US_SINGLE, Modality="US", regions=regions, **EIGHT_BITS
    )
    found = planes(path)
    assert len(found) == frames
    for plane in found:
        assert plane.PixelSpacing == (None if spacing is None else pytest.approx(spacing))
    assert len(found.warnings) == (warned is not None)
    assert all(warned in text for text in found.warnings)


def test_a_spacing_that_the_regions_contradict(tmp_path):
    found = cine(tmp_path, regions=[region(0.02, 0.03)], PixelSpacing=[1, 1])
    assert found[0].PixelSpacing is None


def test_captures_of_several_frames(tmp_path):
    found = cine(tmp_path, sop_class=SC_MULTIFRAME, Modality="OT", ImagePositionPatient=[1, 2, 3])
    assert {plane.ImagePositionPatient for plane in found} == {None}


def test_a_single_slice_class_has_one_frame(tmp_path):
    path = write_cine(tmp_path / "a.dcm", PIXELS, sop_class=CT, **EIGHT_BITS)
    with pytest.raises(NotSplitError) as caught:
        planes(path)
    assert caught.value.reason == Reason.MULTIFRAME


@pytest.mark.parametrize(
    "attributes", [{"FrameTime": "40"}, {"FrameTime": "40", "FrameIncrementPointer": Tag("PageNumberVector")}]
)
def test_frames_that_may_be_slices(tmp_path, attributes):
    path = write_cine(tmp_path / "a.dcm", PIXELS, sop_class=MR, **attributes, **EIGHT_BITS)
    with pytest.raises(NotSplitError):
        planes(path)


def test_one_slice_at_several_moments(tmp_path):
    """Some older scanners wrote a beating heart so: Frame Increment Pointer says that frames are moments."""
    given = {
        "ImagePositionPatient": [1, 2, 3], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 1],
        "FrameTime": "40", "FrameIncrementPointer": Tag("FrameTime"),
    }  # fmt: skip
    path = write_cine(tmp_path / "a.dcm", PIXELS, sop_class=MR, **given, **EIGHT_BITS)
    found = planes(path)
    assert times(found) == [0.0, 0.04, 0.08]
    assert {tuple(plane.ImagePositionPatient) for plane in found} == {(1.0, 2.0, 3.0)}
    (sequence,) = plan([path]).sequences
    assert sequence.axis.values == [0.0, 0.04, 0.08]


def nuclear(path, pixels, vectors, *, detectors=(), **attributes):
    """Frames numbered by vectors, in the order of Frame Increment Pointer (C.8.4.8.1.1)."""
    given = {"NumberOfFrames": len(pixels), "Modality": "NM", "PixelSpacing": [2, 3], **attributes}
    sequences = {keyword: given.pop(keyword) for keyword in list(given) if keyword.endswith("Sequence")}
    made = dataset(NM, **given)
    made.FrameIncrementPointer = [Tag(keyword) for keyword in vectors]
    for keyword, values in vectors.items():
        setattr(made, keyword, list(values))
    made.DetectorInformationSequence = Sequence([item(each) for each in detectors])
    for keyword, items in sequences.items():
        setattr(made, keyword, Sequence([item(each) for each in items]))
    made.Rows, made.Columns = pixels.shape[1:]
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OW"
    return save(made, path)


def stack(cosines, gap, count=4, raised=0.0):
    first = (-20.0, 10.0, 5.0)
    return np.stack(
        [np.round(measured(cosines, (2, 3), position(first, cosines, gap * k), 6, 5) + raised) for k in range(count)]
    ).astype(np.int16)


@pytest.mark.parametrize("gap", [4.0, -4.0])
@pytest.mark.parametrize("cosines", [CORONAL, oblique((10, 20, 30))])
def test_reconstructed_slices_have_places(tmp_path, cosines, gap):
    """The sign of SpacingBetweenSlices says which way (PS3.3 C.8.4.15)."""
    path = nuclear(
        tmp_path / "a.dcm",
        stack(cosines, gap),
        {"SliceVector": [1, 2, 3, 4]},
        detectors=[
            {"ImagePositionPatient": [-20, 10, 5], "ImageOrientationPatient": [float(f"{c:.12f}") for c in cosines]}
        ],
        ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
        SpacingBetweenSlices=gap,
    )
    (volume,) = plan([path]).volumes
    assert volume.spacing == pytest.approx((3.0, 2.0, 4.0))
    data = read(volume)
    assert_phantom(data.array, data.affine)


RECON = {"ImagePositionPatient": [-20, 10, 5], "ImageOrientationPatient": list(CORONAL)}


def test_gated_slices(tmp_path):
    pixels = np.concatenate([stack(CORONAL, 4.0, raised=100.0 * slot) for slot in range(3)])
    path = nuclear(
        tmp_path / "a.dcm",
        pixels,
        {"RRIntervalVector": [1] * 12, "TimeSlotVector": [1] * 4 + [2] * 4 + [3] * 4, "SliceVector": [1, 2, 3, 4] * 3},
        detectors=[RECON],
        ImageType=["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"],
        SpacingBetweenSlices=4.0,
        GatedInformationSequence=[{"DataInformationSequence": {"FrameTime": "62.5"}}],
    )
    found = planes(path)
    assert found.dimension_names == ["RRIntervalVector", "TimeSlotVector", "SliceVector"]
    assert found[5].DimensionIndexValues == [1, 2, 2]
    assert sorted({plane.TriggerTime for plane in found}) == [0.0, 62.5, 125.0]
    (sequence,) = plan([path]).sequences
    for slot, volume in enumerate(sequence.volumes):
        data = read(volume)
        assert_phantom(data.array - 100.0 * slot, data.affine)


def test_dynamic_frames(tmp_path):
    """Phases of one and two seconds' frames, the second after half a second."""
    path = nuclear(
        tmp_path / "a.dcm",
        np.zeros((5, 6, 5), np.int16),
        {
            "EnergyWindowVector": [1] * 5, "DetectorVector": [1] * 5, "PhaseVector": [1, 1, 1, 2, 2],
            "TimeSliceVector": [1, 2, 3, 1, 2],
        },
        ImageType=["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"],
        PhaseInformationSequence=[
            {"PhaseDelay": "0", "ActualFrameDuration": "1000", "PauseBetweenFrames": "0", "NumberOfFramesInPhase": 3},
            {"PhaseDelay": "500", "ActualFrameDuration": "2000", "PauseBetweenFrames": "0", "NumberOfFramesInPhase": 2},
        ],
    )  # fmt: skip
    found = planes(path)
    assert times(found) == [0.0, 1.0, 2.0, 3.5, 5.5]
    assert [plane.TemporalPositionIndex for plane in found] == [1, 2, 3, 4, 5]


def test_a_vector_that_is_missing_is_left_aside(tmp_path):
    path = nuclear(
        tmp_path / "a.dcm", np.zeros((2, 6, 5), np.int16), {"EnergyWindowVector": [1, 2], "DetectorVector": [1]}
    )
    found = planes(path)
    assert found.dimension_names == ["EnergyWindowVector"]
    assert [plane.DimensionIndexValues for plane in found] == [[1], [2]]
    assert "DetectorVector" in found.warnings[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SpacingBetweenSlices": None}, Reason.NO_POSITION),
        ({"detectors": []}, Reason.NO_POSITION),
        ({"vectors": {"SliceVector": [1, 2, 3]}}, Reason.MULTIFRAME),
    ],
)
def test_slices_that_lack_something(tmp_path, changes, reason):
    given = {"vectors": {"SliceVector": [1, 2, 3, 4]}, "detectors": [RECON], "SpacingBetweenSlices": 4.0, **changes}
    path = nuclear(
        tmp_path / "a.dcm", stack(CORONAL, 4.0), ImageType=["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"], **given
    )
    with pytest.raises(NotSplitError) as caught:
        planes(path)
    assert caught.value.reason == reason
