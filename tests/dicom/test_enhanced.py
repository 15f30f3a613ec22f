"""Frames of enhanced multi-frame objects, and what the functional groups say of each."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from slicer_notebook.dicom import Reason, plan, read
from slicer_notebook.dicom.frames import NotSplitError, planes_of
from slicer_notebook.dicom.header import read_header
from tests.dicom.make import CORONAL, SAGITTAL, assert_phantom, oblique
from tests.dicom.make_multiframe import (
    ENHANCED_CT,
    ENHANCED_PET,
    ENHANCED_US,
    ENHANCED_XA,
    LEGACY_MR,
    SC_MULTIFRAME,
    position,
    write_enhanced,
    write_frames,
)


def shuffled(frames):
    random.Random(5).shuffle(frames)
    return frames


def planes(path):
    return planes_of(read_header(path))


def refused(path):
    with pytest.raises(NotSplitError) as caught:
        planes(path)
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize("undefined_length", [False, True])
@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_shuffled_frames_with_a_slope_each(tmp_path, syntax, undefined_length):
    """Per-frame rescale (PS3.3 C.7.6.16.2.9) and position, whatever the encoding."""
    path = write_enhanced(
        tmp_path / "a.dcm",
        cosines=oblique((10, 20, 30)),
        order=shuffled,
        slope=lambda _, k: 0.5 + 0.25 * k,
        syntax=syntax,
        undefined_length=undefined_length,
    )
    found = planes(path)
    assert sorted(plane.InStackPositionNumber for plane in found) == [1, 2, 3, 4, 5]
    assert [plane.frame for plane in found] == [0, 1, 2, 3, 4]
    for plane in found:
        k = plane.InStackPositionNumber - 1
        assert plane.RescaleSlope == 0.5 + 0.25 * k
        assert plane.RescaleIntercept == 5.0
        assert plane.ImagePositionPatient == position((-20.0, 10.0, 5.0), oblique((10, 20, 30)), 4.0 * k)
        assert plane.PixelSpacing == [2.0, 3.0]
        assert plane.path == str(path)
    (volume,) = plan([path]).volumes
    data = read(volume)
    # A step of the stored values is up to 1.5 of the phantom's.
    assert_phantom(data.array, data.affine, within=0.8)


@pytest.mark.parametrize("cosines", [CORONAL, SAGITTAL, oblique((60, -30, 100))])
def test_orientations(tmp_path, cosines):
    path = write_enhanced(tmp_path / "a.dcm", cosines=cosines, order=shuffled)
    (volume,) = plan([path]).volumes
    data = read(volume)
    assert_phantom(data.array, data.affine)


def test_frames_own_macros_win_and_the_top_level_comes_last(tmp_path):
    path = write_frames(
        tmp_path / "a.dcm",
        [
            {
                "PlanePositionSequence": {"ImagePositionPatient": [0, 0, 0]},
                "MREchoSequence": {"EffectiveEchoTime": 20.0},
            },
            {"PlanePositionSequence": {"ImagePositionPatient": [0, 0, 2]}},
        ],
        shared={
            "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
            "MREchoSequence": {"EffectiveEchoTime": 10.0},
        },
        EchoTime=5.0,
        RepetitionTime=700.0,
        PixelSpacing=[1.5, 1.25],
        ImagePositionPatient=[9, 9, 9],
    )
    found = planes(path)
    assert [plane.EchoTime for plane in found] == [20.0, 10.0]
    assert [plane.ImagePositionPatient for plane in found] == [[0, 0, 0], [0, 0, 2]]
    assert {plane.RepetitionTime for plane in found} == {700.0}
    assert found[0].PixelSpacing == [1.5, 1.25]


def test_what_the_macros_of_mr_say(tmp_path):
    path = write_enhanced(
        tmp_path / "a.dcm",
        shape=(1, 3, 2),
        shared={
            "MRTimingAndRelatedParametersSequence": {"RepetitionTime": 900.0, "FlipAngle": 15.0},
            "MRModifierSequence": {"InversionTimes": [1400.0]},
            "CardiacSynchronizationSequence": {
                "NominalCardiacTriggerDelayTime": 120.0, "NominalPercentageOfCardiacPhase": 12.5,
            },
            "FrameVOILUTSequence": {"WindowCenter": "40", "WindowWidth": "400"},
        },
        each=lambda *_: {
            "MRImageFrameTypeSequence": {
                "FrameType": ["DERIVED", "PRIMARY", "T1", "NONE"], "ComplexImageComponent": "PHASE",
            },
            "FrameContentSequence": {
                "FrameAcquisitionDateTime": "20200102103000.5",
                "FrameReferenceDateTime": "20200102103001",
                "DimensionIndexValues": [1, 7],
                "TemporalPositionIndex": 3,
                "FrameAcquisitionNumber": 6,
            },
        },
        dimensions=[("StackID", "FrameContentSequence"), ("DiffusionBValue", "MRDiffusionSequence")],
    )  # fmt: skip
    found = planes(path)
    assert found.dimension_names == ["StackID", "DiffusionBValue"]
    (plane,) = found
    assert (plane.RepetitionTime, plane.FlipAngle, plane.InversionTime) == (900.0, 15.0, 1400.0)
    assert (plane.TriggerTime, plane.NominalPercentageOfCardiacPhase) == (120.0, 12.5)
    assert (plane.WindowCenter, plane.WindowWidth) == ([40.0], [400.0])
    assert plane.ImageType == ["DERIVED", "PRIMARY", "T1", "NONE"]
    assert plane.ComplexImageComponent == "PHASE"
    assert plane.AcquisitionDateTime == "20200102103000.5"
    assert (plane.DimensionIndexValues, plane.TemporalPositionIndex, plane.AcquisitionNumber) == ([1, 7], 3, 6)
    assert (plane.StackID, plane.InStackPositionNumber, plane.RescaleType) == ("1", 1, "US")


def test_what_the_macros_of_ct_and_pet_say(tmp_path):
    frames = {"CTImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]},
              "CTReconstructionSequence": {"ConvolutionKernel": "B30f"},
              "CTXRayDetailsSequence": {"KVP": 80.0}}  # fmt: skip
    path = write_enhanced(
        tmp_path / "ct.dcm", shape=(1, 3, 2), sop_class=ENHANCED_CT, Modality="CT", each=lambda *_: frames
    )
    (plane,) = planes(path)
    assert (plane.ConvolutionKernel, plane.KVP) == (["B30f"], 80.0)
    assert plane.ImageType == ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    frames = {"PETFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "DYNAMIC", "NONE"]}}
    path = write_enhanced(
        tmp_path / "pt.dcm", shape=(1, 3, 2), sop_class=ENHANCED_PET, Modality="PT", each=lambda *_: frames
    )
    assert planes(path)[0].ImageType == ["ORIGINAL", "PRIMARY", "DYNAMIC", "NONE"]


def falling_times(volume, _):
    moment = f"20200102235{9 - volume}00"
    return {"FrameContentSequence": {"TemporalPositionIndex": volume + 1, "FrameAcquisitionDateTime": moment}}


def test_time_by_slice(tmp_path):
    """Slices of one moment are acquired one after the other; a moment begins with its first, also past midnight."""

    def each(volume, k):
        seconds = 59.0 + 2.5 * volume + 0.1 * ((3 * k) % 5)
        day, seconds = (2, seconds) if seconds < 60 else (3, seconds - 60)
        clock = "2359" if day == 2 else "0000"
        moment = f"2020010{day}{clock}{seconds:09.6f}"
        return {"FrameContentSequence": {"TemporalPositionIndex": volume + 1, "FrameAcquisitionDateTime": moment}}

    path = write_enhanced(tmp_path / "a.dcm", volumes=3, order=shuffled, each=each)
    found = planes(path)
    assert {(p.TemporalPositionIndex, p.TemporalPositionTimeOffset) for p in found} == {(1, 0.0), (2, 2.5), (3, 5.0)}
    (sequence,) = plan([path]).sequences
    assert (sequence.axis.name, sequence.axis.unit, sequence.axis.values) == ("time", "s", [0.0, 2.5, 5.0])
    for number, volume in enumerate(sequence.volumes):
        data = read(volume)
        assert_phantom(data.array - 100.0 * number, data.affine)


def test_times_that_do_not_rise_with_the_index_are_not_taken(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm", volumes=2, each=falling_times)
    assert {plane.TemporalPositionTimeOffset for plane in planes(path)} == {None}


def test_the_files_own_time_offset_is_kept(tmp_path):
    def each(volume, _):
        return {"FrameContentSequence": {"TemporalPositionIndex": volume + 1},
                "TemporalPositionSequence": {"TemporalPositionTimeOffset": 0.75 * volume}}  # fmt: skip

    path = write_enhanced(tmp_path / "a.dcm", volumes=3, each=each)
    assert sorted({plane.TemporalPositionTimeOffset for plane in planes(path)}) == [0.0, 0.75, 1.5]


DIFFUSION = [
    {"DiffusionBValue": 0.0, "DiffusionDirectionality": "NONE"},
    {
        "DiffusionBValue": 700.0,
        "DiffusionDirectionality": "DIRECTIONAL",
        "DiffusionGradientDirectionSequence": {"DiffusionGradientOrientation": [0.6, 0.0, 0.8]},
    },
    {
        "DiffusionBValue": 700.0,
        "DiffusionDirectionality": "DIRECTIONAL",
        "DiffusionGradientDirectionSequence": {"DiffusionGradientOrientation": [0.0, 1.0, 0.0]},
    },
    # Some makers write a direction for a trace image.
    {
        "DiffusionBValue": 700.0,
        "DiffusionDirectionality": "ISOTROPIC",
        "DiffusionGradientDirectionSequence": {"DiffusionGradientOrientation": [0.0, 0.0, 0.0]},
    },
]


def test_b_value_by_slice(tmp_path):
    path = write_enhanced(
        tmp_path / "a.dcm", volumes=4, order=shuffled, each=lambda volume, _: {"MRDiffusionSequence": DIFFUSION[volume]}
    )
    said = {
        (p.DiffusionBValue, p.DiffusionDirectionality, tuple(p.DiffusionGradientOrientation or ()))
        for p in planes(path)
    }
    assert said == {
        (0.0, "NONE", ()),
        (700.0, "DIRECTIONAL", (0.6, 0.0, 0.8)),
        (700.0, "DIRECTIONAL", (0.0, 1.0, 0.0)),
        (700.0, "ISOTROPIC", ()),
    }
    found = plan([path])
    assert found.refused == []
    volumes = [volume for sequence in found.sequences for volume in sequence.volumes] + found.volumes
    assert len(volumes) == 4
    raised = set()
    for volume in volumes:
        data = read(volume)
        number = round((float(data.array.mean()) - float(read(volumes[0]).array.mean())) / 100.0)
        raised.add(number)
    assert len(raised) == 4


@pytest.mark.parametrize(
    ("matrix", "direction"),
    [
        ((360.0, 0.0, -480.0, 0.0, 0.0, 640.0), [-0.6, 0.0, 0.8]),
        ((500.0, 0.0, 0.0, 500.0, 0.0, 0.0), None),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), None),
    ],
)
def test_the_direction_of_a_b_matrix(tmp_path, matrix, direction):
    axes = ("XX", "XY", "XZ", "YY", "YZ", "ZZ")
    diffusion = {
        "DiffusionBValue": 1000.0,
        "DiffusionDirectionality": "BMATRIX",
        "DiffusionBMatrixSequence": {f"DiffusionBValue{a}": v for a, v in zip(axes, matrix, strict=True)},
    }
    path = write_frames(tmp_path / "a.dcm", [{**GEOMETRY, "MRDiffusionSequence": diffusion}])
    found = planes(path)[0].DiffusionGradientOrientation
    assert found == (None if direction is None else pytest.approx(direction, abs=1e-9))


def test_a_later_part_of_a_concatenation_does_not_begin_at_zero(tmp_path):
    def each(volume, _):
        moment = f"20200102{100000 + 2 * volume}"
        return {"FrameContentSequence": {"TemporalPositionIndex": volume + 5, "FrameAcquisitionDateTime": moment}}

    path = write_enhanced(tmp_path / "a.dcm", volumes=2, each=each)
    assert {plane.TemporalPositionTimeOffset for plane in planes(path)} == {None}


def with_philips_attributes(path, b_values):
    """Add what Philips keeps of each frame in a private sequence: b-value, direction, begin of the dynamic scan."""
    source = pydicom.dcmread(path)
    for number, frame in enumerate(source.PerFrameFunctionalGroupsSequence):
        inner = pydicom.Dataset()
        block = inner.private_block(0x2001, "Philips Imaging DD 001", create=True)
        block.add_new(0x03, "FL", b_values[number])
        block = inner.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        for element, part in zip((0xB0, 0xB1, 0xB2), (0.6, 0.0, -0.8), strict=True):
            block.add_new(element, "FL", part if b_values[number] else 0.0)
        block.add_new(0xA0, "FL", 7.5 + 2.5 * number)
        # The rescale in here is not that of the frame.
        inner.RescaleSlope = "77"
        frame.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [inner])
    source.save_as(path)
    return path


def test_private_diffusion_where_the_macro_is_missing(tmp_path):
    path = with_philips_attributes(write_frames(tmp_path / "a.dcm", [GEOMETRY] * 3), [0.0, 800.0, 800.0])
    found = planes(path)
    assert [plane.DiffusionBValue for plane in found] == [0.0, 800.0, 800.0]
    assert found[0].DiffusionGradientOrientation is None
    assert found[1].DiffusionGradientOrientation == pytest.approx([0.6, 0.0, -0.8])
    assert {plane.RescaleSlope for plane in found} == {None}


def test_private_zeros_are_no_diffusion(tmp_path):
    path = with_philips_attributes(write_frames(tmp_path / "a.dcm", [GEOMETRY] * 3), [0.0] * 3)
    assert {plane.DiffusionBValue for plane in planes(path)} == {None}


def test_the_macro_wins_over_private_diffusion(tmp_path):
    frames = [{**GEOMETRY, "MRDiffusionSequence": DIFFUSION[number]} for number in range(3)]
    path = with_philips_attributes(write_frames(tmp_path / "a.dcm", frames), [5.0] * 3)
    assert [plane.DiffusionBValue for plane in planes(path)] == [0.0, 700.0, 700.0]


def test_private_begin_of_dynamic_scans(tmp_path):
    """Philips writes one date and time into all frames; also a later part of a concatenation knows its times."""
    moment = {"FrameAcquisitionDateTime": "20200102100000"}
    frames = [{**GEOMETRY, "FrameContentSequence": {"TemporalPositionIndex": index, **moment}} for index in (4, 5, 6)]
    path = with_philips_attributes(write_frames(tmp_path / "a.dcm", frames), [0.0] * 3)
    assert [plane.TemporalPositionTimeOffset for plane in planes(path)] == [7.5, 10.0, 12.5]


def test_two_stacks(tmp_path):
    """Two stacks of one file are two volumes, though parallel, and each whole."""
    frames, pixels = [], []
    for number, (first, gap) in enumerate([((-20.0, 10.0, 5.0), 4.0), ((-20.0, 10.0, 60.0), 3.0)]):
        single = write_enhanced(tmp_path / f"{number}.dcm", first=first, gap=gap, stack=str(number + 1))
        source = pydicom.dcmread(single)
        frames += list(source.PerFrameFunctionalGroupsSequence)
        pixels.append(source.pixel_array)
    source.PerFrameFunctionalGroupsSequence = frames
    source.NumberOfFrames = len(frames)
    source.PixelData = np.concatenate(pixels).tobytes()
    source.save_as(tmp_path / "both.dcm")
    found = planes(tmp_path / "both.dcm")
    assert [plane.StackID for plane in found] == ["1"] * 5 + ["2"] * 5
    volumes = plan([tmp_path / "both.dcm"]).volumes
    assert sorted(volume.spacing[2] for volume in volumes) == [3.0, 4.0]
    for volume in volumes:
        data = read(volume)
        assert_phantom(data.array, data.affine)


def test_converted_classic_images_keep_what_no_macro_has(tmp_path):
    path = write_enhanced(
        tmp_path / "a.dcm",
        sop_class=LEGACY_MR,
        shape=(2, 3, 2),
        shared={"UnassignedSharedConvertedAttributesSequence": {"FlipAngle": 30.0, "EchoTime": 99.0, "Rows": 77}},
        each=lambda _, k: {
            "MREchoSequence": {"EffectiveEchoTime": 12.0},
            "UnassignedPerFrameConvertedAttributesSequence": {"InstanceNumber": 40 + k, "TriggerTime": 10.0 * k},
        },
    )
    found = planes(path)
    assert [plane.InstanceNumber for plane in found] == [40, 41]
    assert [plane.TriggerTime for plane in found] == [0.0, 10.0]
    assert {(plane.FlipAngle, plane.EchoTime, plane.Rows) for plane in found} == {(30.0, 12.0, 3)}


def test_an_ultrasound_volume_has_its_own_coordinates(tmp_path):
    frames = [
        {
            "PlanePositionVolumeSequence": {"ImagePositionVolume": [0.0, 0.0, 2.0 * k]},
            "ImageDataTypeSequence": {"DataType": "TISSUE_INTENSITY"},
        }
        for k in range(3)
    ]
    path = write_frames(
        tmp_path / "a.dcm",
        frames,
        sop_class=ENHANCED_US,
        Modality="US",
        shared={
            "PlaneOrientationVolumeSequence": {"ImageOrientationVolume": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]},
            "PixelMeasuresSequence": {"PixelSpacing": [0.5, 0.5]},
        },
    )
    found = planes(path)
    assert [plane.ImagePositionPatient for plane in found] == [[0, 0, 0], [0, 0, 2], [0, 0, 4]]
    assert found[0].ImageType[-1] == "TISSUE_INTENSITY"
    assert len(found.warnings) == 1
    assert "ultrasound" in found.warnings[0]


def test_angiography_has_times_and_no_places(tmp_path):
    frames = [{"FrameContentSequence": {"FrameAcquisitionDateTime": f"2020010210000{k}.25"}} for k in range(3)]
    shared = {"ProjectionPixelCalibrationSequence": {"ObjectPixelSpacingInCenterOfBeam": [0.25, 0.25]}}
    path = write_frames(tmp_path / "a.dcm", frames, sop_class=ENHANCED_XA, Modality="XA", shared=shared)
    found = planes(path)
    assert {plane.ImagePositionPatient for plane in found} == {None}
    assert [plane.TemporalPositionTimeOffset for plane in found] == [0.0, 1.0, 2.0]
    assert found[0].PixelSpacing == [0.25, 0.25]
    assert "centre of the beam" in found.warnings[0]


def test_frames_without_their_own_groups_are_a_cine(tmp_path):
    path = write_frames(tmp_path / "a.dcm", [{}, {}], sop_class=SC_MULTIFRAME, Modality="OT", FrameTime=40.0)
    found = planes(path)
    assert [plane.TemporalPositionTimeOffset for plane in found] == [0.0, 0.04]


GEOMETRY = {
    "PlanePositionSequence": {"ImagePositionPatient": [0, 0, 0]},
    "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
    "PixelMeasuresSequence": {"PixelSpacing": [1, 1]},
}


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("PlanePositionSequence", Reason.NO_POSITION),
        ("PlaneOrientationSequence", Reason.NO_POSITION),
        ("PixelMeasuresSequence", Reason.NO_SPACING),
    ],
)
def test_a_missing_macro_is_named(tmp_path, missing, reason):
    frames = [dict(GEOMETRY), {macro: values for macro, values in GEOMETRY.items() if macro != missing}]
    found, message = refused(write_frames(tmp_path / "a.dcm", frames))
    assert found == reason
    assert "1 of 2 frames" in message


def test_a_position_at_the_top_level_is_not_that_of_every_frame(tmp_path):
    frames = [{macro: values for macro, values in GEOMETRY.items() if macro != "PlanePositionSequence"}] * 2
    path = write_frames(tmp_path / "a.dcm", frames, ImagePositionPatient=[1, 2, 3])
    assert refused(path)[0] == Reason.NO_POSITION
    path = write_frames(tmp_path / "b.dcm", frames[:1], ImagePositionPatient=[1, 2, 3])
    assert planes(path)[0].ImagePositionPatient == [1, 2, 3]


@pytest.mark.parametrize("held", [1, 3])
def test_frames_and_their_groups_must_be_as_many(tmp_path, held):
    path = write_frames(tmp_path / "a.dcm", [GEOMETRY] * held, np.zeros((2, 2, 2), np.int16), NumberOfFrames=2)
    reason, message = refused(path)
    assert reason == Reason.ENHANCED_MULTIFRAME
    assert f"{held} frames, where there are 2" in message


def test_a_frames_slope_of_zero_is_refused(tmp_path):
    frames = [{**GEOMETRY, "PixelValueTransformationSequence": {"RescaleSlope": "0", "RescaleIntercept": "0"}}]
    path = write_frames(tmp_path / "a.dcm", frames)
    assert refused(path)[0] == Reason.RESCALE


def test_a_slide_is_refused(tmp_path):
    frames = [{"PlanePositionSlideSequence": {"XOffsetInSlideCoordinateSystem": "1.5"}}] * 2
    path = write_frames(tmp_path / "a.dcm", frames, sop_class=SC_MULTIFRAME)
    assert refused(path)[0] == Reason.SLIDE


def test_an_enhanced_object_without_groups_is_refused(tmp_path):
    path = write_frames(tmp_path / "a.dcm", [GEOMETRY] * 2)
    item = pydicom.dcmread(path)
    del item.PerFrameFunctionalGroupsSequence
    del item.SharedFunctionalGroupsSequence
    item.save_as(path)
    assert refused(path)[0] == Reason.ENHANCED_MULTIFRAME


def test_a_file_that_is_gone(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm")
    instance = read_header(path)
    Path(path).unlink()
    with pytest.raises(NotSplitError, match="cannot be read again"):
        planes_of(instance)


def test_five_thousand_frames_in_a_moment(tmp_path):
    """Some ten times what it takes here: a header that is read frame by frame with pydicom takes more."""
    path = write_enhanced(
        tmp_path / "a.dcm", shape=(5000, 2, 2), each=lambda _, k: {"MREchoSequence": {"EffectiveEchoTime": 1.0 * k}}
    )
    instance = read_header(path)
    start = time.perf_counter()
    found = planes_of(instance)
    assert len(found) == 5000
    assert found[4999].EchoTime == 4999.0
    assert time.perf_counter() - start < 3.0
