"""Sequences: what changes from volume to volume, its unit and values, and the voxels of all."""

from __future__ import annotations

import numpy as np
import pytest

from slicer_notebook.dicom import plan, read, read_sequence
from slicer_notebook.errors import ArgumentError
from tests.dicom.make import MR, assert_phantom, write_series
from tests.dicom.test_split import write_times


def only_sequence(found):
    assert [refusal.message for refusal in found.refused] == []
    assert found.volumes == []
    (sequence,) = found.sequences
    return sequence


@pytest.mark.parametrize(
    ("keyword", "values", "axis"),
    [
        ("EchoTime", [4.92, 7.38], ("echo time", "ms", [4.92, 7.38])),
        ("EchoNumbers", [1, 2], ("echo", "", [1, 2])),
        ("TriggerTime", [0.0, 40.5, 81.0], ("trigger time", "ms", [0, 40.5, 81])),
        ("FlipAngle", [5, 15], ("flip angle", "degrees", [5, 15])),
        ("InversionTime", [100, 2500], ("inversion time", "ms", [100, 2500])),
        ("NominalPercentageOfCardiacPhase", [0, 50], ("cardiac phase", "%", [0, 50])),
        ("FrameReferenceTime", [5000, 15000], ("time", "s", [5, 15])),
        ("DiffusionBValue", [0.0, 500.0, 1000.0], ("b-value", "s/mm2", [0, 500, 1000])),
        ("TemporalPositionIdentifier", [1, 2, 3], ("temporal position", "", [1, 2, 3])),
        ("AcquisitionNumber", [7, 8], ("AcquisitionNumber", "", [7, 8])),
    ],
)
def test_axis(tmp_path, keyword, values, axis):
    files = write_times(tmp_path, [lambda k, value=value: {keyword: value} for value in values])
    sequence = only_sequence(plan(files))
    assert (sequence.axis.name, sequence.axis.unit, sequence.axis.values) == axis
    assert sequence.axis.keyword == keyword
    assert sequence.name == "3: Chest"
    data = read_sequence(sequence)
    assert data.array.shape == (len(values), 5, 7, 6)
    assert data.axis is sequence.axis
    for volume, array in zip(data.volumes, data.array, strict=True):
        assert np.shares_memory(volume.array, data.array)
        np.testing.assert_array_equal(volume.array, array)
        assert_phantom(volume.array, volume.affine)


def test_gradients_of_each_b_value(tmp_path):
    directions = [[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]]
    times = [lambda k: {"DiffusionBValue": 0.0}]
    times += [lambda k, d=d: {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": d} for d in directions]
    axis = only_sequence(plan(write_times(tmp_path, times))).axis
    assert (axis.name, axis.unit, axis.values) == ("b-value", "s/mm2", [0.0, 1000.0, 1000.0])
    assert axis.gradients is not None
    assert axis.gradients[0] is None
    assert sorted(axis.gradients[1:]) == [[0.0, 0.6, 0.8], [1.0, 0.0, 0.0]]


def test_repeated_directions_are_one_sequence(tmp_path):
    """Averages that were kept: the same b-value and direction twice, in order of instance numbers."""

    def each(b, repeat, n):
        return lambda k: {
            "DiffusionBValue": b,
            "DiffusionGradientOrientation": [0.0, 0.0, 1.0] if b else None,
            "InstanceNumber": 1 + n * 5 + k,
        }

    times = [each(b, repeat, n) for n, (b, repeat) in enumerate([(0.0, 0), (1000.0, 0), (0.0, 1), (1000.0, 1)])]
    sequence = only_sequence(plan(write_times(tmp_path, times)))
    # In the order of acquisition.
    assert sequence.axis.values == [0.0, 1000.0, 0.0, 1000.0]


def test_kinds_of_picture_are_sequences_of_their_own(tmp_path):
    times = [
        lambda k, kind=kind, echo=echo: {"ImageType": ["ORIGINAL", "PRIMARY", kind], "EchoTime": echo}
        for kind in ("M", "P")
        for echo in (5.0, 10.0)
    ]
    found = plan(write_times(tmp_path, times))
    assert [sequence.axis.values for sequence in found.sequences] == [[5.0, 10.0], [5.0, 10.0]]
    assert [sequence.name for sequence in found.sequences] == [
        "3: Chest [ORIGINAL\\PRIMARY\\M]",
        "3: Chest [ORIGINAL\\PRIMARY\\P]",
    ]


def test_echoes_over_time_are_a_sequence_for_each_echo(tmp_path):
    times = [
        lambda k, echo=echo, t=t: {"EchoTime": echo, "TemporalPositionIdentifier": t}
        for echo in (5.0, 10.0)
        for t in (1, 2, 3)
    ]
    found = plan(write_times(tmp_path, times))
    assert [(s.outer[0].value, s.axis.name, len(s.volumes)) for s in found.sequences] == [
        (5.0, "temporal position", 3),
        (10.0, "temporal position", 3),
    ]


def test_two_kinds_alone_are_two_volumes(tmp_path):
    times = [lambda k, kind=kind: {"ImageType": ["ORIGINAL", "PRIMARY", kind]} for kind in ("M", "P")]
    found = plan(write_times(tmp_path, times))
    assert (len(found.volumes), len(found.sequences)) == (2, 0)


def test_times_come_from_the_clock_where_positions_are_only_numbered(tmp_path):
    times = [
        lambda k, t=t: {"TemporalPositionIdentifier": t + 1, "AcquisitionTime": f"{120000 + 2.5 * t + 0.01 * k:013.6f}"}
        for t in range(3)
    ]
    axis = only_sequence(plan(write_times(tmp_path, times))).axis
    assert (axis.name, axis.unit, axis.keyword, axis.values) == ("time", "s", "AcquisitionTime", [0.0, 2.5, 5.0])


def test_times_of_echo_planar_images_come_from_their_repetition(tmp_path):
    times = [lambda k, t=t: {"InstanceNumber": 1 + t * 5 + k} for t in range(3)]
    files = write_times(tmp_path, times, ScanningSequence=["EP"], MRAcquisitionType="2D", RepetitionTime=1500)
    axis = only_sequence(plan(files)).axis
    assert (axis.name, axis.unit, axis.keyword, axis.values) == ("time", "s", "RepetitionTime", [0.0, 1.5, 3.0])


def test_one_slice_over_time(tmp_path):
    """A cine of a single slice: positions repeat, and a stack of them would be wrong."""
    files = write_times(
        tmp_path, [lambda k, t=t: {"TriggerTime": 30.0 * t} for t in range(12)], shape=(1, 7, 6)
    )  # fmt: skip
    sequence = only_sequence(plan(files))
    assert sequence.axis.values == [30.0 * t for t in range(12)]
    assert read_sequence(sequence).array.shape == (12, 1, 7, 6)


def test_slopes_that_differ_from_volume_to_volume(tmp_path):
    times = [lambda k, t=t: {"FrameReferenceTime": 1000.0 * t, "RescaleSlope": 0.5 + t} for t in range(3)]
    data = read_sequence(only_sequence(plan(write_times(tmp_path, times, RescaleIntercept=0))))
    assert data.array.dtype == np.float32
    for volume in data.volumes:
        assert_phantom(volume.array, volume.affine, within=1.3)


def test_uneven_sequences_are_resampled_together(tmp_path):
    times = [lambda k, t=t: {"EchoTime": 5.0 * (t + 1)} for t in range(2)]
    sequence = only_sequence(plan(write_times(tmp_path, times, offsets=(0, 4, 8, 16))))
    data = read_sequence(sequence)
    assert data.array.shape == (2, 5, 7, 6)
    for volume in data.volumes:
        assert_phantom(volume.array, volume.affine)


def test_progress_counts_all_slices(tmp_path):
    files = write_times(tmp_path, [lambda k, t=t: {"EchoTime": 5.0 * (t + 1)} for t in range(3)])
    calls = []
    read_sequence(only_sequence(plan(files)), progress=lambda *call: calls.append(call))
    assert calls[-1] == (15, 15, "Reading 3: Chest")


def test_a_quantity_that_is_not_offered(tmp_path):
    (volume,) = plan(write_series(tmp_path, sop_class=MR)).volumes
    with pytest.raises(ArgumentError, match="cannot be turned into 'SUVbw'"):
        read(volume, quantity="SUVbw")
