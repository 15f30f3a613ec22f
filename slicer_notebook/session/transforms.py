"""A transform of the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np

from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session import itk_transforms
from slicer_notebook.session.cards import Card, Fact
from slicer_notebook.session.handles import Node, floats

if TYPE_CHECKING:
    from slicer_notebook.session.volumes import Volume

__all__ = ["Displacements", "Transform"]

N = TypeVar("N", bound=Node)
#: Names of what is under a transform that a card shows.
_FEW = 4


class Displacements(NamedTuple):
    """Displacements on a grid.

    Attributes:
        array: float32 [k, j, i, 3], mm along R, A, S: from a point of the parent's coordinates to where it is under the
            transform (the way in which volumes are resampled, and in which files have them).
        affine: 4x4 float64, IJK → RAS of the grid, mm.
    """

    array: Array
    affine: Array


class Transform(Node):
    """A transform. It takes points from the coordinates under it to those of its parent, which is mostly the world."""

    mrml_class = "vtkMRMLTransformNode"
    _summary = "transform.info"

    def _info(self, what: str) -> Any:
        return self._session.call("transform.info", node=self)[what]

    @property
    def kind(self) -> Literal["linear", "grid", "b-spline", "thin-plate spline", "composite", "other"]:
        """What it is made of. A composite has several parts."""
        found: Literal["linear", "grid", "b-spline", "thin-plate spline", "composite", "other"] = self._info("kind")
        return found

    @property
    def matrix(self) -> Array:
        """4x4 float64, to parent, RAS, mm; of a linear transform. Settable. Raises `ArrayError`, `ArgumentError`."""
        found: Array = self._session.call("volume.affine", node=self)
        return found

    @matrix.setter
    def matrix(self, value: Any) -> None:
        self._session.call("volume.set_affine", node=self, affine=floats(value, "matrix"))

    affine = matrix
    array = matrix

    # -- chains --------------------------------------------------------------------------------------------------

    @property
    def parent(self) -> Transform | None:
        """The transform that this one is under, which is applied after it. Settable. Raises `ArgumentError`."""
        found: Transform | None = self._info("parent")
        return found

    @parent.setter
    def parent(self, value: Transform | None) -> None:
        self._session.call("transform.set_on", node=self, transform=value)

    @property
    def nodes(self) -> list[Node]:
        """What is right under it."""
        found: list[Node] = self._info("nodes")
        return found

    @property
    def matrix_to_world(self) -> Array:
        """4x4 float64, RAS, mm: this transform and all that it is under. Raises `ArgumentError` if not all linear."""
        return self.matrix_to(None)

    def matrix_to(self, other: Transform | None) -> Array:
        """The matrix from coordinates under this transform to those under another; 4x4 float64, RAS, mm.

        Args:
            other: None for the world.

        Raises:
            ArgumentError: something between them is not linear.
        """
        found: Array = self._session.call("transform.matrix_to", node=self, to=other)
        return found

    def apply(self, node: N) -> N:
        """Put a node under this transform, in place of the one that it may be under; the node.

        Its data stay as they are; it is shown moved. `harden` changes the data.

        Raises:
            ArgumentError: the node is this transform, or one above it.
        """
        self._session.call("transform.set_on", node=node, transform=self)
        return node

    def take_out(self, node: N) -> N:
        """Take a node out of this transform; the node. Raises `ArgumentError` for one that is not right under it."""
        self._session.call("transform.take_out", node=node, transform=self)
        return node

    def harden(self, node: N) -> N:
        """Apply this transform, and those that it is under, to a node's data for good; the node is under none then.

        A volume gets another affine from a linear transform, and is resampled by any other.

        Raises:
            ArgumentError: the node is under another transform, or cannot take one that is not linear.
        """
        self._session.call("transform.harden_on", node=node, transform=self)
        return node

    def invert(self) -> None:
        """Make it its own inverse, as Slicer's Invert button does. A second time brings it back."""
        self._session.call("transform.invert", node=self)

    def inverse(self, name: str | None = None) -> Transform:
        """A new transform: the inverse, under the same parent. This one stays as it is."""
        found: Transform = self._session.call("transform.inverse", node=self, name=name)
        return found

    # -- points --------------------------------------------------------------------------------------------------

    def points(
        self,
        points: Any,
        *,
        inverse: bool = False,
        to: Transform | Literal["world", "parent"] = "world",
    ) -> Array:
        """What becomes of points under this transform; float64 [n, 3] (or [3]), RAS, mm.

        Args:
            points: [n, 3] or [3], RAS, mm, in coordinates under the transform.
            inverse: the other way: from the world (or what ``to`` says) to coordinates under this transform.
            to: the world, the transform's parent, or coordinates under another transform.

        Raises:
            ArrayError: these are not points.
            ArgumentError: another ``to``.
        """
        given = floats(points, "points")
        if not isinstance(to, Transform) and to not in ("world", "parent"):
            raise ArgumentError("Points do not go there.", expected='"world", "parent" or a transform', got=repr(to))
        found: Array = self._session.call(
            "transform.points",
            node=self,
            points=given[None] if given.ndim == 1 else given,
            inverse=inverse,
            to_parent=to == "parent",
            to=to if isinstance(to, Transform) else None,
        )
        return found[0] if given.ndim == 1 else found

    # -- displacements -------------------------------------------------------------------------------------------

    @property
    def grid(self) -> Displacements:
        """The displacements of a grid transform, on its own grid. Settable to (array, affine).

        Raises:
            ArgumentError: a transform of another kind (`displacements` is for all).
            ArrayError: what is set does not fit; see `Displacements`.
        """
        info = self._session.call("transform.info", node=self)
        if info["kind"] != "grid":
            raise ArgumentError(
                f"{info['name']!r} is no grid of displacements.",
                expected="a grid transform",
                got=f"a {info['kind']} transform",
                hint="displacements(volume) gives any transform on a volume's grid",
            )
        found = self._session.call("transform.grid", key=self)
        return Displacements(found["array"], found["affine"])

    @grid.setter
    def grid(self, value: tuple[Any, Any]) -> None:
        array, affine = value
        self._session.call("transform.set_grid", node=self, array=np.asanyarray(array), affine=floats(affine, "affine"))

    def displacements(self, reference: Volume | tuple[Any, tuple[int, int, int]]) -> Displacements:
        """What this transform does, of whatever kind, on a grid.

        Args:
            reference: a volume whose grid it is (the volume's own transforms are left aside); or its affine
                (4x4, IJK → RAS, mm) and shape (k, j, i).

        Raises:
            ArrayError, ArgumentError: no grid.
        """
        if isinstance(reference, Node):
            affine, shape = floats(reference.affine, "affine"), tuple(int(n) for n in reference.shape[:3])
        else:
            affine, shape = floats(reference[0], "affine"), tuple(int(n) for n in reference[1])
        array: Array = self._session.call("transform.displacements", node=self, affine=affine, shape=shape)
        return Displacements(array, affine)

    # -- SimpleITK -----------------------------------------------------------------------------------------------

    def to_sitk(self) -> Any:
        """The same as a ``SimpleITK.Transform``: LPS, from the parent's coordinates to those under this transform.

        That is ITK's way, and that of the files: such a transform resamples a volume that is under this one
        (``sitk.Resample(volume, reference, transform)``). An ``AffineTransform`` of a linear one, a
        ``DisplacementFieldTransform`` of a grid (which interpolates linearly where Slicer takes cubic splines), else
        what SimpleITK reads from Slicer's file. Transforms above this one are left aside.

        Raises:
            PackageNotInstalledError: SimpleITK is not installed.
            ArgumentError: an inverse that ITK has no transform for.
        """
        info = self._session.call("transform.info", node=self)
        if info["kind"] == "linear":
            return itk_transforms.affine(info["matrix"])
        if info["kind"] == "grid":
            return itk_transforms.displacement_field(*self.grid)
        return itk_transforms.of_file(self._session.call("transform.file", node=self))

    # -- display -------------------------------------------------------------------------------------------------

    def _card(self, summary: dict[str, Any]) -> Card:
        facts: list[Fact] = [("kind", summary["kind"] + (", inverted" if summary["inverted"] else ""))]
        if summary["matrix"] is not None:
            facts += _matrix_facts(summary["matrix"])
        if summary["parent"] is not None:
            facts.append(("under", summary["parent"]._ref.name))
        nodes = summary["nodes"]
        if nodes:
            more = f" and {len(nodes) - _FEW} more" if len(nodes) > _FEW else ""
            facts.append(("moves", ", ".join(node._ref.name for node in nodes[:_FEW]) + more))
        return Card(facts)


def _matrix_facts(matrix: Array) -> list[Fact]:
    """The matrix as lines of numbers under one another; figure spaces are as wide as digits."""
    width = max(len(f"{value:.3f}") for value in np.ravel(matrix))
    rows = ["  ".join(f"{value:.3f}".rjust(width) for value in row).replace(" ", "\u2007") for row in matrix]
    return [("to parent", rows[0]), *(("", row) for row in rows[1:])]
