"""What a session adds to the scene: markups and transforms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session import itk_transforms
from slicer_notebook.session.handles import floats

if TYPE_CHECKING:
    import pandas as pd

    from slicer_notebook.session.markups import Markups
    from slicer_notebook.session.markups_shapes import (
        MarkupsAngle,
        MarkupsClosedCurve,
        MarkupsCurve,
        MarkupsLine,
        MarkupsPlane,
        MarkupsROI,
    )
    from slicer_notebook.session.transforms import Transform

__all__ = ["AddingMarkups"]

Kind = Literal["points", "line", "angle", "curve", "closed curve", "plane", "roi"]


@contextmanager
def _whole(made: Markups) -> Iterator[None]:
    """Further steps in the making of a node, which is not there when one fails."""
    try:
        yield
    except Exception:
        made.remove()
        raise


class AddingMarkups:
    """Mixin of `Session`: ``add_markups``, ``add_transform`` and the like."""

    if TYPE_CHECKING:

        def call(self, command: str, /, **args: Any) -> Any:
            """`Session.call`."""

    def add_markups(
        self,
        points: Any = (),
        name: str | None = None,
        labels: Sequence[str] | None = None,
        *,
        kind: Kind = "points",
    ) -> Markups:
        """New markups; a point list, or what ``kind`` says.

        Args:
            points: [n, 3], RAS, mm; or a data frame with the columns of `Markups.to_dataframe`. None for markups
                whose points are to be placed in a view (`Markups.place`).
            name: made unique in the scene; the kind's without it.
            labels: one for each point.
            kind: "points", "line" (2 points), "angle" (3, the second is the vertex), "curve", "closed curve", "plane"
                (one point; three that it goes through; or more, that it is fitted to), "roi" (its center).

        Raises:
            ArrayError: these are no points, more than that kind has, or another number of labels.
            ArgumentError: no such kind, or a data frame that does not fit.
        """
        frame: pd.DataFrame | None = points if hasattr(points, "columns") and hasattr(points, "to_numpy") else None
        called = name if name is not None else "ROI" if kind == "roi" else str(kind).capitalize()
        given = frame[["r", "a", "s"]].to_numpy() if frame is not None and {"r", "a", "s"} <= {*frame} else points
        made: Markups = self.call(
            "markups.add",
            points=() if frame is not None and "defined" in frame else given,
            name=called,
            labels=None if labels is None or frame is not None else list(labels),
            kind=kind,
        )
        if frame is not None:
            with _whole(made):
                made.from_dataframe(frame if labels is None else frame.assign(label=list(labels)))
        return made

    def add_line(self, start: Any, end: Any, name: str = "Line") -> MarkupsLine:
        """A new line from ``start`` to ``end``, each [3], RAS, mm. Raises `ArrayError`."""
        found: MarkupsLine = self.call("markups.add", points=_together(start, end), name=name, kind="line")
        return found

    def add_angle(self, first: Any, vertex: Any, last: Any, name: str = "Angle") -> MarkupsAngle:
        """A new angle at ``vertex`` between the other two points, each [3], RAS, mm. Raises `ArrayError`."""
        found: MarkupsAngle = self.call("markups.add", points=_together(first, vertex, last), name=name, kind="angle")
        return found

    def add_curve(self, points: Any, name: str = "Curve", *, closed: bool = False) -> MarkupsCurve | MarkupsClosedCurve:
        """A new curve through points, [n, 3], RAS, mm. Raises `ArrayError`."""
        kind = "closed curve" if closed else "curve"
        found: MarkupsCurve | MarkupsClosedCurve = self.call(
            "markups.add", points=floats(points, "points"), name=name, kind=kind
        )
        return found

    def add_plane(
        self, origin: Any, normal: Any = (0.0, 0.0, 1.0), name: str = "Plane", *, size: Sequence[float] | None = None
    ) -> MarkupsPlane:
        """A new plane.

        Args:
            origin: [3], RAS, mm.
            normal: [3], of any length but 0.
            size: mm along its x and y; Slicer's own without it.

        Raises:
            ArrayError, ArgumentError: numbers that do not fit.
        """
        made: MarkupsPlane = self.call("markups.add", points=_together(origin), name=name, kind="plane")
        with _whole(made):
            self.call(
                "markups.set_plane",
                node=made,
                normal=tuple(floats(normal, "normal").tolist()),
                size=None if size is None else tuple(floats(size, "size").tolist()),
            )
        return made

    def add_roi(
        self, center: Any = (0.0, 0.0, 0.0), size: Any = (100.0, 100.0, 100.0), matrix: Any = None, name: str = "ROI"
    ) -> MarkupsROI:
        """A new region of interest: a box.

        Args:
            center: [3], RAS, mm; where ``matrix`` does not say it.
            size: [3], mm along its own axes.
            matrix: 4x4, box → RAS, mm: a rotation and the center.

        Raises:
            ArrayError, ArgumentError: numbers that do not fit.
        """
        made: MarkupsROI = self.call("markups.add", points=_together(center), name=name, kind="roi")
        with _whole(made):
            self.call(
                "markups.set_roi",
                node=made,
                matrix=None if matrix is None else floats(matrix, "matrix"),
                size=tuple(floats(size, "size").tolist()),
            )
        return made

    def add_transform(self, transform: Any = None, name: str = "Transform") -> Transform:
        """A new transform.

        Args:
            transform: one of

                - a matrix, 4x4, to parent, RAS, mm; identity without one;
                - a SimpleITK transform, which is LPS and goes from the parent: what resamples a volume under it;
                - a pair of displacements (array [k, j, i, 3], affine), see `Displacements`.
            name: made unique in the scene.

        Raises:
            ArrayError: a matrix, displacements or an affine that do not fit.
            ArgumentError: a SimpleITK transform of another dimension than 3, or that cannot be inverted.
        """
        if itk_transforms.is_sitk(transform):
            return self._of_sitk(transform, name)
        if isinstance(transform, tuple | list) and len(transform) == 2:
            array, affine = transform
            return self._of_grid(np.asanyarray(array), floats(affine, "affine"), name)
        found: Transform = self.call("transform.add", matrix=transform, name=name)
        return found

    def _of_grid(self, array: Array, affine: Array, name: str) -> Transform:
        found: Transform = self.call("transform.add_grid", array=array, affine=affine, name=name)
        return found

    def _of_sitk(self, transform: Any, name: str) -> Transform:
        matrix = itk_transforms.matrix_of(transform)
        found: Transform
        if matrix is not None:
            found = self.call("transform.add", matrix=matrix, name=name)
            return found
        grid = itk_transforms.displacements_of(transform)
        if grid is not None:
            return self._of_grid(*grid, name)
        found = self.call("transform.add_file", data=itk_transforms.to_file(transform), name=name)
        return found


def _together(*points: Any) -> Array:
    """Single points as [n, 3]. Raises `ArgumentError`."""
    given = [floats(point, "point") for point in points]
    for point in given:
        if point.shape != (3,):
            raise ArgumentError("That is no point.", expected="three numbers, RAS, mm", got=f"shape {point.shape}")
    return np.array(given)
