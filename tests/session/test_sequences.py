"""Sequences that play while the kernel has nothing else to do, and as arrays of other libraries."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

import slicer_notebook as sn
from slicer_notebook import errors
from tests.session.test_interop import oblique, sitk_affine

DEADLINE = 30.0
SHAPE = (4, 5, 6)

_MAKE = """
import numpy as np
from slicer_notebook.host.headless import start
builder = start().new_sequence({name!r}, index_name={axis!r}, index_unit={unit!r}, indices={indices!r},
    block=np.arange({count} * 120, dtype=np.{dtype}).reshape({count}, 4, 5, 6))
for number in range({count}):
    builder.append(str(number), {affine!r}, {{}})
_ = builder.finish()
"""


def made(
    slicer: sn.Session, indices: list[Any], *, unit: str = "s", axis: str = "time", affine: Any = None,
    dtype: str = "int16",
) -> sn.VolumeSequence:  # fmt: skip
    affine = np.eye(4) if affine is None else affine
    slicer.run(
        _MAKE.format(
            name="series",
            axis=axis,
            unit=unit,
            indices=indices,
            count=len(indices),
            affine=affine.tolist(),
            dtype=dtype,
        )
    )
    [sequence] = slicer.nodes("vtkMRMLSequenceNode")
    assert isinstance(sequence, sn.VolumeSequence)
    return sequence


def block(count: int, dtype: str = "int16") -> np.ndarray[Any, Any]:
    return np.arange(count * 120).reshape(count, *SHAPE).astype(dtype)


class Steps:
    """Which items a sequence shows, as the notebook hears of its browser."""

    def __init__(self, sequence: sn.VolumeSequence) -> None:
        self.seen: list[int] = []
        self.times: list[float] = []
        self.ended = False
        self._browser = sequence._state("browser")
        self._sequence = sequence
        self._news = threading.Condition()
        self.subscription = sequence._session.on("scene", self._heard)

    def _heard(self, event: dict[str, Any]) -> None:
        if any(node.id == self._browser for node in event["modified"]):
            state = self._sequence._session.call("sequence.state", node=self._sequence)
            with self._news:
                self.ended = not state["playing"]
                if not self.seen or self.seen[-1] != state["index"]:
                    self.seen.append(state["index"])
                    self.times.append(time.monotonic())
                self._news.notify_all()

    def until(self, condition: Any, what: str) -> None:
        with self._news:
            assert self._news.wait_for(condition, DEADLINE), f"{what}; seen: {self.seen}"


# -- playing -----------------------------------------------------------------------------------------------------------


def test_a_sequence_plays_round_and_round_until_it_is_stopped(slicer: sn.Session) -> None:
    sequence = made(slicer, [0.0, 1.0, 2.0, 3.0])
    assert not sequence.playing
    steps = Steps(sequence)
    sequence.play(rate=20)
    assert (sequence.playing, sequence.rate) == (True, 20)
    # What is heard is every second or third item: from a later to an earlier one, it is the next round.
    steps.until(lambda: sum(b < a for a, b in itertools.pairwise(steps.seen)) >= 2, "two further rounds")
    sequence.stop()
    assert not sequence.playing
    shown = sequence.index
    assert np.array_equal(sequence.volume.array, block(4)[shown])
    steps.until(lambda: steps.ended, "the end is heard")
    assert sequence.index == shown
    steps.subscription.close()


def test_without_a_loop_it_stops_at_the_first_one_as_in_slicer(slicer: sn.Session) -> None:
    sequence = made(slicer, [0.0, 1.0, 2.0])
    for first in (1, 2):
        sequence.index = first
        steps = Steps(sequence)
        sequence.play(rate=20, loop=False)
        steps.until(lambda steps=steps: steps.ended, "the end")
        assert (sequence.index, sequence.playing) == (0, False)
        steps.subscription.close()


def test_a_script_makes_it_play_as_in_slicer(slicer: sn.Session) -> None:
    sequence = made(slicer, [0.0, 1.0, 2.0])
    steps = Steps(sequence)
    slicer.run("slicer.util.getNodesByClass('vtkMRMLSequenceBrowserNode')[0].SetPlaybackActive(True)")
    steps.until(lambda: len(steps.seen) >= 3, "three items")
    sequence.stop()
    steps.subscription.close()


def test_what_cannot_play_is_refused(slicer: sn.Session) -> None:
    sequence = made(slicer, [0.0, 1.0])
    for rate in (0, -1, 101, float("nan")):
        with pytest.raises(errors.ArgumentError, match="rate"):
            sequence.play(rate=rate)
    assert not sequence.playing
    slicer.clear()
    with pytest.raises(errors.ArgumentError, match="cannot play"):
        made(slicer, [0.0]).play()


def test_a_sequence_that_is_removed_while_it_plays_stops(slicer: sn.Session) -> None:
    sequence = made(slicer, [0.0, 1.0, 2.0])
    sequence.play(rate=50)
    sequence.remove()
    again = made(slicer, [0.0, 1.0, 2.0])
    steps = Steps(again)
    again.play(rate=50)
    steps.until(lambda: len(steps.seen) >= 3, "the next one plays")
    again.stop()
    steps.subscription.close()


# -- other libraries ---------------------------------------------------------------------------------------------------


def test_nibabel_has_four_axes_with_the_time_between_two(slicer: sn.Session, tmp_path: Any) -> None:
    sequence = made(slicer, [1.5, 4.0, 6.5], affine=oblique(), dtype="float32")
    sequence.to_nibabel().to_filename(tmp_path / "series.nii.gz")
    read: Any = nibabel.load(tmp_path / "series.nii.gz")
    assert np.array_equal(np.asarray(read.dataobj), block(3, "float32").T)
    assert np.allclose(read.affine, oblique(), atol=1e-5)
    assert np.allclose(read.header.get_zooms(), (0.7, 1.9, 3.3, 2.5), atol=1e-6)
    assert read.header.get_xyzt_units() == ("mm", "sec")
    assert float(read.header["toffset"]) == 1.5
    other = SimpleITK.ReadImage(str(tmp_path / "series.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(other), block(3, "float32"))
    assert abs(other.GetSpacing()[3] - 2.5) < 1e-6


def test_what_is_no_even_time_has_no_step(slicer: sn.Session) -> None:
    uneven = made(slicer, [0.0, 1.0, 3.0])
    image: Any = uneven.to_nibabel()
    assert image.header.get_zooms()[3] == 0
    with pytest.raises(errors.ArrayError, match="equal steps"):
        uneven.to_sitk()
    slicer.clear()
    other: Any = made(slicer, [0.0, 500.0, 1000.0], unit="s/mm2", axis="b-value").to_nibabel()
    assert other.header.get_zooms()[3] == 0
    assert other.header.get_xyzt_units() == ("mm", "unknown")


def test_sitk_has_four_axes(slicer: sn.Session) -> None:
    image = made(slicer, [10.0, 30.0, 50.0], unit="ms", affine=oblique()).to_sitk()
    assert image.GetDimension() == 4
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), block(3))
    assert np.allclose(image.GetSpacing(), (0.7, 1.9, 3.3, 20))
    assert image.GetOrigin()[3] == 10
    one = SimpleITK.Extract(image, [6, 5, 4, 0], [0, 0, 0, 1])
    assert np.allclose(sitk_affine(one), oblique(), rtol=0, atol=1e-9)


def test_xarray_has_the_values_as_coordinates_and_gives_volumes(slicer: sn.Session) -> None:
    sequence = made(slicer, [10.0, 30.0, 80.0], unit="ms", axis="echo time", affine=oblique())
    table = sequence.to_xarray()
    assert table.dims == ("t", "k", "j", "i")
    assert table["t"].values.tolist() == [10, 30, 80]
    assert table["t"].attrs == {"long_name": "echo time", "units": "ms"}
    one = slicer.add_volume(table.sel(t=30), show=False)
    assert np.array_equal(one.array, block(3)[1])
    assert np.allclose(one.affine, oblique(), rtol=0, atol=1e-12)
    with pytest.raises(errors.ArrayError, match="isel"):
        slicer.add_volume(table)
