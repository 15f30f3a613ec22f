"""``segmentation.editor(volume)`` in a notebook: over a kernel, and in Slicer's own process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import (
    ArgumentError,
    ArrayError,
    AttributeNameError,
    CommandError,
    JobCancelledError,
    NodeNotFoundError,
)
from slicer_notebook.session.segment_editor import SegmentEditor
from tests.session.oblique import oblique_affine

Array = np.ndarray[Any, np.dtype[Any]]

ROOT = Path(__file__).parents[2]
SHAPE = (18, 26, 34)
AFFINE = oblique_affine((0.7, 1.1, 2.5))


def at(i: float, j: float, k: float) -> Array:
    return (AFFINE @ [i, j, k, 1.0])[:3]


def ball(centre: Array, radius: float) -> Array:
    k, j, i = np.indices(SHAPE)
    centres = (np.stack([i, j, k, np.ones(SHAPE)], axis=-1) @ AFFINE.T)[..., :3]
    found: Array = np.linalg.norm(centres - centre, axis=-1) <= radius
    return found


MIDDLE = at(16.3, 12.6, 8.4)


def make(session: sn.Session) -> tuple[Any, Any, SegmentEditor]:
    """A volume, a segmentation with "organ" and "tumor", and its editor."""
    voxels = np.random.default_rng(3).integers(-50, 300, SHAPE).astype(np.int16)
    volume = session.add_volume(voxels, AFFINE, "v")
    segmentation = session.add_segmentation(name="s", reference=volume)
    segmentation.add("organ")
    segmentation.add("tumor")
    return volume, segmentation, segmentation.editor(volume)


def everything(session: sn.Session) -> None:
    """Each method, as a person would call it."""
    volume, segmentation, editor = make(session)
    voxels = volume.array

    def get(name: str) -> Array:
        found: Array = segmentation.mask(name, volume) > 0
        return found

    editor.segment = "tumor"
    assert editor.segment is not None
    assert editor.segment.name == "tumor"
    assert editor.volume == volume
    assert editor.segmentation == segmentation
    assert editor.parameters.class_name == "vtkMRMLSegmentEditorNode"
    assert not editor.can_undo

    assert editor.paint(MIDDLE, radius=7.0) == ball(MIDDLE, 7.0).sum()
    assert (get("tumor") == ball(MIDDLE, 7.0)).all()
    assert editor.erase([MIDDLE, at(20, 12, 8)], 3.0) > 0
    assert (get("tumor") == (ball(MIDDLE, 7.0) & ~ball(MIDDLE, 3.0) & ~ball(at(20, 12, 8), 3.0))).all()
    assert editor.can_undo
    assert editor.undo() == "erase"
    assert (get("tumor") == ball(MIDDLE, 7.0)).all()
    assert editor.can_redo
    assert editor.redo() == "erase"
    editor.undo()

    editor.segment = segmentation["organ"]
    editor.mask(overwrite="none", outside="all")
    assert editor.masks == {"inside": None, "outside": "all", "intensity": None, "overwrite": "none"}
    editor.threshold(100, 200)
    assert (get("organ") == ((voxels >= 100) & (voxels <= 200) & ~ball(MIDDLE, 7.0))).all()
    editor.mask(inside="tumor", intensity=(0, 50))
    assert editor.masks["inside"] == segmentation["tumor"].id
    editor.mask(overwrite="all")
    assert editor.masks == {"inside": None, "outside": None, "intensity": None, "overwrite": "all"}

    editor.segment = "tumor"
    for change in (
        lambda: editor.margin(2.0),
        lambda: editor.margin(-2.0),
        lambda: editor.hollow(1.5, "inside"),
        lambda: editor.smooth("opening", kernel=5.0),
        lambda: editor.smooth("gaussian", sigma=2.0),
        lambda: editor.smooth("joint", strength=0.5),
        lambda: editor.scissors([at(16, -40, 8), at(80, -40, 8), at(80, 80, 8), at(16, 80, 8)]),
        lambda: editor.scissors([[250, 0], [512, 0], [512, 512]], "erase_outside", view="Red"),
        lambda: editor.draw([at(2, 2, 4), at(30, 3, 4), at(20, 24, 4)]),
        lambda: editor.logical("add", "organ"),
        lambda: editor.logical("invert"),
        lambda: editor.islands("remove_selected", point=MIDDLE),
        lambda: editor.paint([at(4, 4, 4), at(30, 20, 12)], 3.0, "circle", connect=True),
        lambda: editor.grow_from_seeds(locality=1.0),
        lambda: editor.threshold(editor.auto_threshold("otsu")),
    ):
        assert change() > 0
        assert editor.undo()
        assert (get("tumor") == ball(MIDDLE, 7.0)).all()
    editor.logical("clear")
    editor.draw([at(2, 2, 4), at(30, 3, 4), at(20, 24, 4)])
    editor.draw([at(2, 2, 8), at(30, 3, 8), at(20, 24, 8)])
    editor.segment = "organ"
    editor.logical("clear")
    assert editor.fill_between_slices() > 0
    assert get("tumor")[4:9].any(axis=(1, 2)).all()

    editor.activate("paint", radius=4.0, shape="sphere")
    assert editor.effect == "paint"
    editor.activate(None)
    assert editor.effect is None
    assert segmentation.editor().can_undo, "there is one editor for each segmentation"


def test_each_method_over_a_kernel(slicer: sn.Session) -> None:
    everything(slicer)


def test_each_method_in_slicers_own_process(slicer: sn.Session) -> None:
    slicer.run(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "import slicer_notebook as sn\n"
        "from tests.session.test_segment_editor import everything\n"
        "everything(sn.connect())"
    )


def test_what_does_not_fit(slicer: sn.Session) -> None:
    volume, segmentation, editor = make(slicer)
    with pytest.raises(NodeNotFoundError, match="'liver'"):
        editor.segment = "liver"
    with pytest.raises(AttributeNameError):
        editor.segmnet = "organ"  # type: ignore[attr-defined]
    with pytest.raises(ArgumentError, match="has no sigma"):
        editor.smooth("median", sigma=3.0)
    with pytest.raises(ArrayError):
        editor.paint([[1, 2]], 3.0)
    with pytest.raises(ArgumentError):
        editor.scissors(np.eye(3), "fold")  # type: ignore[arg-type]
    with pytest.raises(CommandError, match="nothing to undo"):
        editor.undo()
    volume.remove()
    with pytest.raises(ArgumentError, match="no source volume"):
        segmentation.editor().threshold(1, 2)


def test_growing_can_be_cancelled_and_leaves_the_main_thread_free(slicer: sn.Session) -> None:
    """96³ voxels take about a second and a half beside it."""
    k, j, i = np.indices((96, 96, 96))
    distance = np.sqrt((k - 48.0) ** 2 + (j - 48.0) ** 2 + (i - 48.0) ** 2)
    noise = np.random.default_rng(0).normal(0, 5, distance.shape)
    volume = slicer.add_volume((np.where(distance < 30, 200, 50) + noise).astype(np.int16), np.eye(4), "big")
    segmentation = slicer.add_segmentation(name="s", reference=volume)
    segmentation.add("in", (distance < 10).astype(np.uint8), volume)
    segmentation.add("out", ((distance > 42) & (distance < 45)).astype(np.uint8), volume)
    segmentation.editor(volume)
    began, answered = threading.Event(), 0
    job = slicer.submit("segment_editor.grow_from_seeds", node=segmentation)
    job.on_progress(lambda *_: began.set())
    assert began.wait(20)
    while not job.done and answered < 3:
        slicer.call("scene.nodes")
        answered += 1
    assert answered == 3, "Slicer answers while it grows"
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.result(20)
    assert (segmentation.mask("in", volume) > 0).sum() == (distance < 10).sum()
    assert not segmentation.editor().can_undo
