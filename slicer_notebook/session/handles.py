"""Handles: MRML nodes as Python objects of the notebook. The node stays in Slicer; a handle holds its id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from slicer_notebook.errors import ArrayError, NodeNotFoundError
from slicer_notebook.protocol.values import Array, NodeRef
from slicer_notebook.session.attributes import OwnAttributesOnly

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from slicer_notebook.session.headers import Header
    from slicer_notebook.session.images import Image, Pictures
    from slicer_notebook.session.session import Session

__all__ = ["Markups", "Model", "Node", "Segmentation", "Table", "Transform", "Volume", "handle"]

_kinds: dict[str, type[Node]] = {}


class Node(OwnAttributesOnly):
    """A MRML node in Slicer.

    Attributes:
        id: the MRML id, such as ``vtkMRMLScalarVolumeNode1``.
        class_name: the MRML class.
    """

    #: MRML class that this handle class is for, subclasses included.
    mrml_class: ClassVar[str] = "vtkMRMLNode"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _kinds[cls.mrml_class] = cls

    def __init__(self, session: Session, ref: NodeRef) -> None:
        self._session = session
        self._ref = ref
        self._generation = session.generation

    @property
    def _slicer_notebook_ref(self) -> NodeRef:
        """What the link sends in place of the handle. Raises `NodeNotFoundError` for one from before a restart."""
        if self._generation != self._session.generation:
            raise NodeNotFoundError(
                f"Node {self._ref.name!r} was in the Slicer before its restart.",
                expected="a node of the present scene",
                got=self._ref.id,
                hint="load it again",
            )
        return self._ref

    @property
    def id(self) -> str:
        """The MRML id."""
        return self._ref.id

    @property
    def class_name(self) -> str:
        """The MRML class."""
        return self._ref.class_name

    @property
    def name(self) -> str:
        """The node's name now. Settable."""
        current: Node = self._session.call("scene.node", key=self)
        self._ref = NodeRef(self._ref.id, current._ref.name, self._ref.classes)
        return current._ref.name

    @name.setter
    def name(self, value: str) -> None:
        self._session.call("node.rename", node=self, name=value)
        self._ref = NodeRef(self._ref.id, value, self._ref.classes)

    @property
    def attributes(self) -> dict[str, str]:
        """The node's MRML attributes, a copy; set one by `set_attribute`."""
        found: dict[str, str] = self._session.call("node.attributes", node=self)
        return found

    def set_attribute(self, name: str, value: str | None) -> None:
        """Set a MRML attribute; ``None`` removes it."""
        self._session.call("node.set_attribute", node=self, name=name, value=value)

    def show(self, visible: bool = True) -> Pictures:
        """Show the node in the views (or hide it); the views' pictures."""
        self._session.call("node.show", node=self, visible=visible)
        return self._session.thumbnails()

    def save(self, path: str | Path) -> Path:
        """Write it where Slicer runs; the extension chooses the format. The path.

        Raises:
            PathNotFoundError: no such folder.
            FileFormatError: this node cannot be written as that.
        """
        target = self._session.path(path)
        self._session.call("node.save", node=self, path=target)
        return Path(target)

    def remove(self) -> None:
        """Remove the node from the scene."""
        self._session.call("node.remove", node=self)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Node)
            and (self.id, self._generation) == (other.id, other._generation)
            and self._session is other._session
        )

    def __hash__(self) -> int:
        return hash((self.id, self._generation, id(self._session)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._ref.name!r} ({self._ref.id})>"


class Volume(Node):
    """A volume: scalar, vector or label map."""

    mrml_class = "vtkMRMLVolumeNode"

    @property
    def array(self) -> Array:
        """The voxels, [k, j, i] (or [k, j, i, component]), in the volume's dtype: a copy of your own.

        Set it to write voxels back; the views follow. A new shape or dtype is taken over as well. Raises `ArrayError`.
        """
        found: Array = self._session.call("volume.array", node=self)
        return found

    @array.setter
    def array(self, value: Any) -> None:
        self._session.call("volume.set_array", node=self, array=np.asanyarray(value))

    @property
    def affine(self) -> Array:
        """4x4 float64, IJK → RAS, mm. Settable. Raises `ArrayError`."""
        found: Array = self._session.call("volume.affine", node=self)
        return found

    @affine.setter
    def affine(self, value: Any) -> None:
        self._session.call("volume.set_affine", node=self, affine=_floats(value, "affine"))

    def _info(self, what: str) -> Any:
        return self._session.call("volume.info", node=self)[what]

    @property
    def shape(self) -> tuple[int, ...]:
        """(k, j, i), or (k, j, i, components)."""
        return tuple(self._info("shape"))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The voxels' dtype."""
        dtype: np.dtype[Any] = np.dtype(self._info("dtype"))
        return dtype

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm along i, j, k."""
        i, j, k = self._info("spacing")
        return float(i), float(j), float(k)

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest finite value; (nan, nan) without any."""
        low, high = self._info("range")
        return float(low), float(high)

    @property
    def units(self) -> str:
        """What the values are, such as "Hounsfield unit"; "" when not known."""
        return str(self._info("units"))

    @property
    def quantity(self) -> str:
        """What the values measure, such as "Attenuation Coefficient" or "SUVbw"; "" when not known."""
        return str(self._info("quantity"))

    @property
    def calibrated(self) -> bool:
        """Whether the size of a pixel is known: False for an image whose header tells none, where 1 mm stands in."""
        return bool(self._info("calibrated"))

    @property
    def is_image(self) -> bool:
        """Whether this is a picture without a place in the patient (a radiograph, a secondary capture)."""
        return bool(self._info("image"))

    @property
    def dicom(self) -> Header:
        """Header of the first instance, without pixel data: a pydicom Dataset, read from the index's file.

        Raises:
            ArgumentError: the volume did not come from DICOM.
            UidNotFoundError: its instance is not in the present index (``slicer.dicom.database``).
            FileFormatError: its file is gone, cannot be read, or is another than when it was indexed.
        """
        uids = self.attributes.get("DICOM.instanceUIDs", "").split()
        return self._session.dicom._header_of(self, uids[0] if uids else "")

    @property
    def window_level(self) -> tuple[float, float]:
        """(window, level) in the volume's units. Set it to a pair, or to ``"auto"`` for Slicer's own choice."""
        window, level = self._session.call("volume.window_level", node=self)
        return float(window), float(level)

    @window_level.setter
    def window_level(self, value: tuple[float, float] | str) -> None:
        if value == "auto":
            self._session.call("volume.set_window_level", node=self)
            return
        try:
            window, level = (float(x) for x in value)
        except (TypeError, ValueError):
            raise ArrayError(
                "Window and level do not fit.", expected='(window, level) or "auto"', got=repr(value)
            ) from None
        self._session.call("volume.set_window_level", node=self, window=window, level=level)

    def render(self, preset: str | None = None, visible: bool = True, size: tuple[int, int] | None = None) -> Image:
        """Show the volume in the 3-D view by volume rendering (or hide it there); the view's picture.

        Args:
            preset: one of Slicer's presets, such as ``CT-Chest-Contrast-Enhanced``, ``CT-Bone``, ``MR-Default``.
            size: (width, height) of the picture, pixels; the view's own without it.

        Raises:
            ArgumentError: no such preset; the message lists them.
            ViewNotFoundError: the present layout has no 3-D view.
        """
        self._session.call("volume.render", node=self, preset=preset, visible=visible)
        return self._session.view("3D").image(size)

    def histogram(self, bins: int = 256, ax: Axes | None = None) -> Axes:
        """The histogram of all voxels, drawn by matplotlib; counted in Slicer.

        Args:
            bins: 1 to 65536.
            ax: where to draw; a new figure without it.
        """
        counts, edges = self._session.call("volume.histogram", node=self, bins=bins)
        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots(figsize=(6, 3), layout="constrained")
        ax.stairs(counts, edges, fill=True)
        ax.set_yscale("log")
        ax.set_xlabel(self.units or "value")
        ax.set_ylabel("voxels")
        ax.set_title(self._ref.name)
        return ax


class Segmentation(Node):
    """A segmentation."""

    mrml_class = "vtkMRMLSegmentationNode"

    @property
    def segments(self) -> list[dict[str, Any]]:
        """A dict for each segment: id, name, color (r, g, b in 0..1), terminology."""
        found: list[dict[str, Any]] = self._session.call("segmentation.segments", node=self)
        return found

    def mask(self, segment: str, reference: Volume) -> Array:
        """A segment (by id or name) as uint8 [k, j, i] in the grid of ``reference``: 1 inside, 0 outside."""
        found: Array = self._session.call("segmentation.mask", node=self, segment=segment, reference=reference)
        return found


class Markups(Node):
    """Points, lines, curves, planes, ROIs."""

    mrml_class = "vtkMRMLMarkupsNode"

    @property
    def points(self) -> Array:
        """Control points, float64 [n, 3], RAS, mm, in the world. Settable. Raises `ArrayError`."""
        found: Array = self._session.call("markups.points", node=self)
        return found

    @points.setter
    def points(self, value: Any) -> None:
        self._session.call("markups.set_points", node=self, points=_floats(value, "points"))

    array = points

    @property
    def labels(self) -> list[str]:
        """Labels of the control points."""
        found: list[str] = self._session.call("markups.labels", node=self)
        return found

    def to_dataframe(self) -> pd.DataFrame:
        """Columns label, r, a, s (mm)."""
        import pandas as pd

        points = self.points
        return pd.DataFrame({"label": self.labels, "r": points[:, 0], "a": points[:, 1], "s": points[:, 2]})


class Model(Node):
    """A surface."""

    mrml_class = "vtkMRMLModelNode"

    @property
    def points(self) -> Array:
        """[n, 3], RAS, mm."""
        found: Array = self._session.call("model.points", node=self)
        return found

    array = points

    @property
    def triangles(self) -> Array:
        """int64 [n, 3], indices into `points`."""
        found: Array = self._session.call("model.triangles", node=self)
        return found


class Table(Node):
    """A table."""

    mrml_class = "vtkMRMLTableNode"

    def to_dataframe(self) -> pd.DataFrame:
        """The table's columns under their names."""
        import pandas as pd

        return pd.DataFrame(dict(self._session.call("table.columns", node=self)))

    @property
    def array(self) -> Array:
        """The columns side by side, [row, column]."""
        return np.asarray(self.to_dataframe().to_numpy())


class Transform(Node):
    """A transform."""

    mrml_class = "vtkMRMLTransformNode"

    @property
    def matrix(self) -> Array:
        """4x4 float64, to parent, RAS, mm; of a linear transform. Settable. Raises `ArrayError`."""
        found: Array = self._session.call("volume.affine", node=self)
        return found

    @matrix.setter
    def matrix(self, value: Any) -> None:
        self._session.call("volume.set_affine", node=self, affine=_floats(value, "matrix"))

    affine = matrix
    array = matrix


def _floats(value: Any, what: str) -> Array:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ArrayError(f"The {what} is not an array of numbers.", expected="numbers", got=str(exc)) from None


def handle(session: Session, ref: NodeRef) -> Node:
    """The handle that fits a node's class best."""
    for name in ref.classes:
        kind = _kinds.get(name)
        if kind is not None:
            return kind(session, ref)
    return Node(session, ref)
