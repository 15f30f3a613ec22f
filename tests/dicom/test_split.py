"""Several volumes in one series: each is told apart, or the series is refused."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.dicom import Instance, Reason, plan, read
from tests.dicom.make import MR, assert_phantom, write_series


def volumes_of(found):
    """All volumes of a plan, those of sequences with them."""
    return [volume for sequence in found.sequences for volume in sequence.volumes] + found.volumes


def write_times(folder, times, **attributes):
    """One series of several volumes: ``times`` gives, for each, the attributes of slice k."""
    files = []
    for number, each in enumerate(times):
        files += write_series(folder, prefix=f"{number}-", each=each, sop_class=MR, **attributes)
    return files


@pytest.mark.parametrize(
    ("keyword", "values", "name"),
    [
        ("EchoTime", [4.92, 7.38], "TE 7.38 ms"),
        ("TemporalPositionIdentifier", [1, 2, 3], "time 2"),
        ("DiffusionBValue", [0.0, 500.0, 1000.0], "b 500 s/mm2"),
        ("TriggerTime", [0.0, 40.5], "trigger 40.5 ms"),
        ("AcquisitionNumber", [7, 8], "acquisition 8"),
        ("FlipAngle", [5, 15], "flip angle 15 degrees"),
        ("ImageType", [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]], "ORIGINAL\\PRIMARY\\P"),
    ],
)  # fmt: skip
def test_one_attribute_tells_them_apart(tmp_path, keyword, values, name):
    files = write_times(tmp_path, [lambda k, value=value: {keyword: value} for value in values])
    random.Random(1).shuffle(files)
    found = plan(files)
    assert found.refused == []
    assert [volume.dimensions[0].index for volume in volumes_of(found)] == list(range(len(values)))
    assert volumes_of(found)[1].name == f"3: Chest [{name}]"
    for value, volume in zip(values, volumes_of(found), strict=True):
        assert volume.shape == (5, 7, 6)
        assert all(getattr(instance, keyword) == value for instance in volume.instances)
        data = read(volume)
        assert_phantom(data.array, data.affine)


def test_b_value_then_direction(tmp_path):
    directions = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    times = [lambda k: {"DiffusionBValue": 0.0}]
    times += [lambda k, d=d: {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": d} for d in directions]
    found = plan(write_times(tmp_path, times))
    assert found.refused == []
    assert [[str(d) for d in volume.dimensions] for volume in volumes_of(found)] == [
        ["b 0 s/mm2"],
        ["b 1000 s/mm2", "direction (0, 0, 1)"],
        ["b 1000 s/mm2", "direction (0, 1, 0)"],
        ["b 1000 s/mm2", "direction (1, 0, 0)"],
    ]


@pytest.mark.parametrize("volume_by_volume", [True, False])
def test_order_of_instance_numbers(tmp_path, volume_by_volume):
    """Nothing but the instance number differs: volume after volume, or position after position."""

    def each(time):
        return lambda k: {"InstanceNumber": 1 + (time * 5 + k if volume_by_volume else k * 3 + time)}

    found = plan(write_times(tmp_path, [each(time) for time in range(3)]))
    assert found.refused == []
    assert [volume.name for volume in volumes_of(found)] == [f"3: Chest [{n} of 3]" for n in (1, 2, 3)]
    first = 1 if volume_by_volume else 2
    assert volumes_of(found)[1].instances[0].InstanceNumber == (6 if volume_by_volume else first)
    assert volumes_of(found)[1].dimensions[0].ordered


def test_order_of_acquisition_times_that_differ_by_slice(tmp_path):
    """Interleaved slices, a second apart in all: times are no labels, but an order. Over midnight."""

    def each(time):
        def attributes(k):
            seconds = 86398 + 2 * time + (0, 1.2, 0.4, 1.6, 0.8)[k] + 0.003 * time
            day, rest = divmod(seconds, 86400)
            clock = f"{int(rest // 3600):02d}{int(rest % 3600 // 60):02d}{rest % 60:06.3f}"
            return {"AcquisitionTime": clock, "AcquisitionDate": f"2020010{int(day) + 1}", "InstanceNumber": 1}

        return attributes

    found = plan(write_times(tmp_path, [each(time) for time in range(4)]))
    assert found.refused == []
    assert len(volumes_of(found)) == 4
    assert volumes_of(found)[0].dimensions[0].keyword == "AcquisitionTime"
    starts = [volume.dimensions[0].value for volume in volumes_of(found)]
    assert np.diff(starts) == pytest.approx([2.003] * 3, abs=1e-3)


def test_an_image_missing_in_the_middle_is_not_papered_over(tmp_path):
    """Each position lost another time point: as many images everywhere, and yet rank is not time."""
    times = [lambda k, t=t: {"InstanceNumber": 1 + t * 5 + k} for t in range(4)]
    files = write_times(tmp_path, times)
    lost = {t * 5 + k for k, t in enumerate((0, 1, 2, 3, 1))}
    found = plan([path for number, path in enumerate(files) if number not in lost])
    assert [refusal.reason for refusal in found.refused] == [Reason.SEVERAL_VOLUMES]
    assert volumes_of(found) == []


def test_a_scan_that_was_stopped(tmp_path):
    times = [lambda k, t=t: {"TemporalPositionIdentifier": t} for t in (1, 2, 3)]
    files = write_times(tmp_path, times)
    found = plan(files[:-2])
    assert found.refused == []
    assert [volume.shape[0] for volume in volumes_of(found)] == [5, 5, 3]
    assert "It covers 3 of the series' 5 positions." in volumes_of(found)[2].warnings


def test_a_volume_with_a_hole_is_filled_or_refused_and_the_others_load(tmp_path):
    times = [lambda k, t=t: {"TemporalPositionIdentifier": t} for t in (1, 2, 3)]
    files = write_times(tmp_path, times)
    found = plan(files[:2] + files[3:])
    assert [len(sequence.volumes) for sequence in found.sequences] == [2]
    (apart,) = found.volumes
    assert "1 of 5 slices are missing" in apart.warnings[0]
    assert apart.instances[0].TemporalPositionIdentifier == 1
    strict = plan(files[:2] + files[3:], strict=True)
    assert [volume.shape[0] for volume in volumes_of(strict)] == [5, 5]
    assert [refusal.reason for refusal in strict.refused] == [Reason.MISSING_SLICES]
    assert len(strict.refused[0].files) == 4


def test_two_ranges_that_overlap(tmp_path):
    files = write_series(tmp_path / "a", AcquisitionNumber=1)
    files += write_series(tmp_path / "b", first=(-20, 10, 5 + 12), AcquisitionNumber=2)
    found = plan(files)
    assert found.refused == []
    for volume in volumes_of(found):
        assert volume.shape[0] == 5
        data = read(volume)
        assert_phantom(data.array, data.affine)


@settings(max_examples=40)
@given(st.integers(2, 5), st.integers(2, 5), st.randoms(use_true_random=False), st.booleans())
def test_any_order_of_files_gives_the_same_volumes(positions, times, rng, by_volume):
    instances = [
        Instance(
            StudyInstanceUID="1.2",
            SeriesInstanceUID="1.3",
            SOPInstanceUID=f"1.4.{p}.{t}",
            SOPClassUID=MR,
            TransferSyntaxUID="1.2.840.10008.1.2.1",
            ImagePositionPatient=[0.0, 0.0, 2.5 * p],
            ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            PixelSpacing=[1.0, 1.0],
            InstanceNumber=t * positions + p if by_volume else p * times + t,
            Rows=4,
            Columns=4,
            BitsAllocated=16,
            BitsStored=16,
            HighBit=15,
            PixelRepresentation=0,
            PhotometricInterpretation="MONOCHROME2",
            pixel_keyword="PixelData",
            pixel_length=32,
            path=f"/{p}/{t}",
        )
        for p in range(positions)
        for t in range(times)
    ]
    rng.shuffle(instances)
    found = plan(instances)
    assert [volume.files for volume in volumes_of(found)] == [
        [f"/{p}/{t}" for p in range(positions)] for t in range(times)
    ]
