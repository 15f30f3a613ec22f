"""A volume and a segmentation on an oblique grid, and what to compare edited segments with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813

from slicer_notebook.commands import segment_editors as editors
from slicer_notebook.host.headless import HeadlessHost
from tests.session.oblique import oblique_affine

Array = np.ndarray[Any, np.dtype[Any]]

SHAPE = (18, 26, 34)
SPACING = (0.7, 1.1, 2.5)
AFFINE = oblique_affine(SPACING)


def centres() -> Array:
    """[k, j, i, 3], mm, RAS."""
    k, j, i = np.indices(SHAPE)
    return (np.stack([i, j, k, np.ones(SHAPE)], axis=-1) @ AFFINE.T)[..., :3]


def at(i: float, j: float, k: float) -> Array:
    """A place between voxels, RAS."""
    return (AFFINE @ [i, j, k, 1.0])[:3]


MIDDLE = at(16.3, 12.6, 8.4)


class Bench:
    """A volume and a segmentation with segments a, b and c, all empty; commands on it."""

    def __init__(self, host: HeadlessHost) -> None:
        self.host = host
        host.clear()
        host.layout = "FourUp"
        rng = np.random.default_rng(3)
        self.voxels = rng.integers(-50, 300, SHAPE).astype(np.int16)
        self.volume = host.add_volume(self.voxels.copy(), AFFINE, "v")
        self.node = host.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "s")
        for name in "abc":
            self.node.GetSegmentation().AddEmptySegment(name, name.upper())
        self.state = editors.open_editor(host, self.node.GetID(), self.volume.GetID())

    def do(self, command: Callable[..., Any], *args: Any, **named: Any) -> Any:
        return command(self.host, self.node.GetID(), *args, **named)

    def get(self, segment: str = "a") -> Array:
        """A segment in the volume's grid, by Slicer's own reader."""
        found: Array = self.host.slicer.util.arrayFromSegmentBinaryLabelmap(self.node, segment, self.volume)
        return found > 0

    def put(self, mask: Array, segment: str = "a") -> None:
        """Write a segment, not as a step of the editor."""
        self.host.slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask.astype(np.uint8), self.node, segment, self.volume
        )

    def put_all(self, **masks: Array) -> None:
        for segment, mask in masks.items():
            self.put(mask, segment)

    def everything(self) -> dict[str, Array]:
        return {each: self.get(each) for each in self.node.GetSegmentation().GetSegmentIDs()}


def same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return a.keys() == b.keys() and all((a[each] == b[each]).all() for each in a)


def ball(centre: Array = MIDDLE, radius: float = 8.0) -> Array:
    found: Array = np.linalg.norm(centres() - centre, axis=-1) <= radius
    return found


def blob() -> Array:
    """Something of no symmetry: two balls with a bridge, with holes and dust."""
    rng = np.random.default_rng(11)
    found = ball() | ball(at(26, 15, 11), 5.0) | ball(at(8, 8, 5), 4.0)
    return found ^ (rng.random(SHAPE) < 0.04)


def image(array: Array) -> sitk.Image:
    found = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    found.SetSpacing(SPACING)
    return found


def array(found: sitk.Image) -> Array:
    return np.asarray(sitk.GetArrayFromImage(found))
