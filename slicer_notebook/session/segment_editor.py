"""Editing the segments of a segmentation: Slicer's Segment Editor from the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.attributes import OwnAttributesOnly
from slicer_notebook.session.segments import Segment

if TYPE_CHECKING:
    from slicer_notebook.session.handles import Node
    from slicer_notebook.session.segmentations import Segmentation
    from slicer_notebook.session.volumes import Volume

__all__ = ["SegmentEditor"]

#: A segment as an argument: its handle, id, or name that only one has.
SegmentLike = Segment | str


class SegmentEditor(OwnAttributesOnly):
    """The editor of a segmentation; `Segmentation.editor` gives it.

    Points are mm, RAS of the scene; lengths are mm. A voxel belongs to a shape when its centre does. Each operation
    works on the selected `segment` (some: on all visible ones), holds to `mask`, is one step to `undo`, and gives the
    number of voxels that came to a segment or went from one. One that fails changes nothing.

    The state is kept in Slicer, in one editor for each segmentation: all notebooks, and whoever paints in a view, share
    it.
    """

    def __init__(self, segmentation: Segmentation, volume: Volume | None) -> None:
        self._segmentation = segmentation
        self._call("open", volume=volume)

    def _call(self, verb: str, **args: Any) -> Any:
        return self._segmentation._session.call(f"segment_editor.{verb}", node=self._segmentation, **args)

    def _count(self, verb: str, **args: Any) -> int:
        return int(self._call(verb, **args))

    def _state(self, what: str) -> Any:
        return self._call("state")[what]

    def __repr__(self) -> str:
        return f"<SegmentEditor of {self._segmentation!r}>"

    # -- what is edited ----------------------------------------------------------------------------------------------

    @property
    def segmentation(self) -> Segmentation:
        """What is edited."""
        return self._segmentation

    @property
    def segment(self) -> Segment | None:
        """The segment that is edited; None when there is none. Settable: a segment, its id, or its name."""
        key = self._state("segment")
        return None if key is None else self._segmentation[key]

    @segment.setter
    def segment(self, segment: SegmentLike) -> None:
        self._call("select", segment=_key(segment))

    @property
    def volume(self) -> Volume | None:
        """The volume whose intensities count, or None. Settable.

        A segmentation that has a grid keeps it; the volume is resampled to it where intensities are needed.
        """
        found: Volume | None = self._state("volume")
        return found

    @volume.setter
    def volume(self, volume: Volume) -> None:
        self._call("open", volume=volume)

    @property
    def parameters(self) -> Node:
        """The vtkMRMLSegmentEditorNode that keeps the state in the scene."""
        found: Node = self._state("parameters")
        return found

    # -- masks -------------------------------------------------------------------------------------------------------

    def mask(
        self,
        *,
        inside: SegmentLike | None = None,
        outside: Literal["all", "visible"] | None = None,
        intensity: tuple[float, float] | None = None,
        overwrite: Literal["all", "visible", "none"] | None = None,
    ) -> None:
        """Say where editing may change something; ``mask()`` lets it change everything again.

        Args:
            inside: only inside of a segment; "all": of any segment, "visible": of any visible one (where no segment is
                called so). What is erased inside of one segment goes to that one, as in Slicer.
            outside: only outside of all, or of the visible segments.
            intensity: only where the volume's intensity is in this range (low, high), both included.
            overwrite: voxels that a segment gets are taken from "all" other segments, from "visible" ones, or from
                "none", which lets segments overlap. It stays as it is ("all" at first) where nothing is said.

        Raises:
            ArgumentError: both inside and outside; a range that is empty, or without a volume.
            NodeNotFoundError, AmbiguousNameError: no such segment, or several.
        """
        self._call(
            "mask",
            inside=None if inside is None else _key(inside),
            outside=outside,
            intensity=None if intensity is None else tuple(float(each) for each in intensity),
            overwrite=overwrite,
        )

    @property
    def masks(self) -> dict[str, Any]:
        """What `mask` has said: ``inside`` (a segment's id), ``outside``, ``intensity``, ``overwrite``."""
        state = self._call("state")
        return {name: state[name] for name in ("inside", "outside", "intensity", "overwrite")}

    # -- threshold ---------------------------------------------------------------------------------------------------

    def auto_threshold(self, method: str = "otsu") -> float:
        """The threshold that a method finds in the volume's histogram; changes nothing.

        Args:
            method: huang, intermodes, isodata, kittler_illingworth, li, maximum_entropy, moments, otsu, renyi_entropy,
                shanbhag, triangle, yen.

        Raises:
            ArgumentError: no such method; no volume.
        """
        return float(self._call("auto_threshold", method=method))

    def threshold(self, lower: float | None = None, upper: float | None = None) -> int:
        """The segment becomes all voxels of an intensity from ``lower`` to ``upper``, both included; None: no bound.

        ``editor.threshold(editor.auto_threshold("otsu"))`` is all that Otsu's method calls bright.

        Raises:
            ArgumentError: no volume; an empty range.
        """
        return self._count("threshold", lower=lower, upper=upper)

    # -- brushes and polygons ------------------------------------------------------------------------------------------

    def paint(
        self,
        points: Any,
        radius: float,
        shape: Literal["sphere", "circle"] = "sphere",
        *,
        connect: bool = False,
        view: str | None = None,
    ) -> int:
        """Add all voxels within ``radius`` mm of a point.

        Args:
            points: [n, 3], or one point.
            shape: a ball, or a disc one slice thick.
            connect: along the lines from point to point, too.
            view: the slice view that a disc lies in ("Red"); the segmentation's own slices without it.

        Raises:
            ArrayError: no such points.
            ArgumentError: the radius is not above 0; no segment is selected.
            ViewNotFoundError: no such view.
        """
        return self._count("paint", **self._brush(points, radius, shape, connect, view))

    def erase(
        self,
        points: Any,
        radius: float,
        shape: Literal["sphere", "circle"] = "sphere",
        *,
        connect: bool = False,
        view: str | None = None,
    ) -> int:
        """Remove what `paint` with the same arguments would add. Raises as `paint`."""
        return self._count("erase", **self._brush(points, radius, shape, connect, view))

    @staticmethod
    def _brush(points: Any, radius: float, shape: str, connect: bool, view: str | None) -> dict[str, Any]:
        found = {"points": np.asarray(points), "radius": float(radius), "shape": shape, "connect": connect}
        return {**found, "view": view}

    def draw(self, points: Any, *, view: str | None = None) -> int:
        """Fill a closed polygon on a slice, one slice thick.

        Args:
            points: corners, [n, 3]; or pixels of the view's picture from its left and top, [n, 2].
            view: the slice view on whose slice it lies; the polygon's own plane without it.

        Raises:
            ArrayError: no such points, or no area between them.
            ArgumentError: pixels without a view, or of a view that shows no slice.
            ViewNotFoundError: no such view.
        """
        return self._count("draw", points=np.asarray(points), view=view)

    def scissors(
        self,
        polygon: Any,
        operation: Literal["erase_inside", "erase_outside", "fill_inside", "fill_outside"] = "erase_inside",
        *,
        view: str | None = None,
        direction: Any = None,
        depth: Literal["unlimited", "positive", "negative", "symmetric"] = "unlimited",
        thickness: float = 0.0,
    ) -> int:
        """Cut with a polygon, straight through.

        Args:
            polygon: corners: pixels of the view's picture from its left and top, [n, 2], or points, [n, 3].
            operation: what is done, and on which side of the polygon.
            view: the view in which it is seen: a slice view, or a 3-D one as its camera stands.
            direction: along which it is seen where there is no view, [3], RAS; across its own plane without it.
            depth: all; or from the slice (the polygon's plane) on along its normal (positive), against it (negative),
                or both ways (symmetric). The slice itself is always cut. Has no meaning in a 3-D view.
            thickness: of symmetric, in all, mm; one slice at least.

        Raises:
            ArrayError: no such polygon.
            ArgumentError: both a view and a direction, or pixels without a view.
            ViewNotFoundError: no such view.
        """
        return self._count(
            "scissors",
            polygon=np.asarray(polygon),
            operation=operation,
            view=view,
            direction=None if direction is None else np.asarray(direction),
            depth=depth,
            thickness=float(thickness),
        )

    # -- shape -------------------------------------------------------------------------------------------------------

    def margin(self, size: float) -> int:
        """Grow by ``size`` mm on all sides, or shrink where it is below 0. Raises `ArgumentError` for 0."""
        return self._count("margin", size=float(size))

    def hollow(self, thickness: float, surface: Literal["inside", "medial", "outside"] = "outside") -> int:
        """Make a shell, ``thickness`` mm thick.

        Args:
            surface: which surface of the shell the present one becomes: its inside (the shell lies around it), its
                middle, or its outside.
        """
        return self._count("hollow", thickness=float(thickness), surface=surface)

    def smooth(
        self,
        method: Literal["median", "opening", "closing", "gaussian", "joint"] = "median",
        *,
        kernel: float | None = None,
        sigma: float | None = None,
        strength: float | None = None,
    ) -> int:
        """Smooth the segment, or all visible ones together.

        Args:
            method: median; opening (removes what sticks out); closing (fills what reaches in); gaussian; joint (all
                visible segments; neighbours stay neighbours).
            kernel: of median, opening, closing, mm; 3 without it.
            sigma: of gaussian: the standard deviation, mm; 3 without it.
            strength: of joint, above 0 to 1; 0.5 without it.

        Raises:
            ArgumentError: what has no meaning with this method, or is out of range; joint without a visible segment.
        """
        own = {"gaussian": "sigma", "joint": "strength"}.get(method, "kernel")
        given = {"kernel": kernel, "sigma": sigma, "strength": strength}
        strange = [name for name, value in given.items() if value is not None and name != own]
        if strange:
            raise ArgumentError(f"Smoothing by {method!r} has no {strange[0]}.", expected=own, got=strange[0])
        size = given[own]
        return self._count("smooth", method=method, size=None if size is None else float(size))

    def islands(
        self,
        operation: Literal[
            "keep_largest", "remove_small", "split", "keep_selected", "add_selected", "remove_selected"
        ] = "keep_largest",
        *,
        minimum: float | None = None,
        point: Any = None,
        view: str | None = None,
    ) -> int:
        """Do something with the segment's islands: voxels that touch by their faces.

        Args:
            operation: keep_largest; remove_small; split (each other than the largest becomes a segment: "name_2" and so
                on); keep_selected, remove_selected: that at ``point``; add_selected: what is there of the visible
                segments as they overlie each other, or of the empty space between them.
            minimum: of remove_small and split: smaller islands are removed, mm³.
            point: [3]; or a pixel of a view's picture from its left and top, [2].
            view: the slice view that the pixel is of.

        Raises:
            ArgumentError: a minimum or point that is missing, or has no meaning here.
            ArrayError: a point outside of the grid, or not in the segment.
            ViewNotFoundError: no such view.
        """
        return self._count(
            "islands",
            operation=operation,
            minimum=None if minimum is None else float(minimum),
            point=None if point is None else np.asarray(point),
            view=view,
        )

    def logical(
        self,
        operation: Literal["copy", "add", "subtract", "intersect", "invert", "clear", "fill"],
        other: SegmentLike | None = None,
        *,
        ignore_masks: bool = False,
    ) -> int:
        """Combine the segment with another one, or turn it over, empty it, fill all of the grid.

        Args:
            other: with copy, add, subtract, intersect.
            ignore_masks: neither masks nor overwriting count (Slicer's "bypass masking").

        Raises:
            ArgumentError: another segment that is missing, or has no meaning here.
            NodeNotFoundError, AmbiguousNameError: no such segment, or several.
        """
        return self._count(
            "logical",
            operation=operation,
            other=None if other is None else _key(other),
            ignore_masks=ignore_masks,
        )

    def grow_from_seeds(self, *, locality: float = 0.0) -> int:
        """Grow all visible segments until they meet, where the intensities change.

        Draw a little of each first, and of what is around them. It takes some 2 s for a million voxels, beside
        Slicer's main thread.

        Args:
            locality: how much a distance of one voxel counts, in units of intensity: more keeps segments near their
                seeds.

        Raises:
            ArgumentError: no volume; fewer than two visible segments (one, where masks are set) have voxels.
            CommandError: the segments were changed meanwhile.
            JobCancelledError: it was interrupted.
        """
        return self._count("grow_from_seeds", locality=float(locality))

    def fill_between_slices(self) -> int:
        """Fill the gaps of all visible segments between the slices they are drawn on.

        Raises:
            ArgumentError: all visible segments are empty.
            CommandError: the segments were changed meanwhile.
        """
        return self._count("fill_between_slices")

    # -- undo --------------------------------------------------------------------------------------------------------

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._state("undo") is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return self._state("redo") is not None

    def undo(self) -> str:
        """Undo the last step; what it was. Raises `CommandError` where there is none."""
        return str(self._call("undo"))

    def redo(self) -> str:
        """Do the step again that was undone last; what it is. Raises `CommandError` where there is none."""
        return str(self._call("redo"))

    # -- by hand -----------------------------------------------------------------------------------------------------

    @property
    def effect(self) -> str | None:
        """What a person works with in the views: paint, erase, draw, scissors, threshold, or None."""
        found: str | None = self._state("effect")
        return found

    def activate(
        self, effect: Literal["paint", "erase", "draw", "scissors", "threshold"] | None, **options: Any
    ) -> None:
        """Let a person work on the segment in views that take the mouse; None ends that.

        "threshold" shows, in slice views of the volume, what a threshold would take.

        Args:
            options: of paint and erase: ``radius``, mm, and ``shape``, circle (on the slice) or sphere; of scissors:
                ``operation``, ``depth``, ``thickness``, as `scissors` has them; of threshold: ``lower``, ``upper``.

        Raises:
            ArgumentError: no such effect or option; no segment is selected; no volume.
        """
        self._call("activate", effect=effect, options=options)


def _key(segment: SegmentLike) -> str:
    return segment.id if isinstance(segment, Segment) else segment
