"""A segmentation of the scene: its segments, label maps, surfaces, statistics."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.cards import Card
from slicer_notebook.session.extra import need
from slicer_notebook.session.handles import Node
from slicer_notebook.session.segment_editor import SegmentEditor
from slicer_notebook.session.segments import Segment, Segments, Terminology, terminology_argument

if TYPE_CHECKING:
    import pandas as pd

    from slicer_notebook.session.images import Image
    from slicer_notebook.session.models import Model
    from slicer_notebook.session.volumes import Volume

__all__ = ["Segmentation"]

#: A segment as an argument: its handle, id, or name that only one has.
SegmentLike = Segment | str


class Segmentation(Node):
    """A segmentation: named parts of a volume, which may overlap.

    What it gives by itself (`affine`, `labelmap`, `surface`) is in its own coordinates, as `Volume.affine` is in the
    volume's; nodes made of it get below the same transform. What is between it and a volume (`mask` and `labelmap` with
    a reference, `statistics`) counts the transforms above both; one that is not linear is refused.
    """

    mrml_class = "vtkMRMLSegmentationNode"
    _summary = "segmentation.summary"

    def _call(self, verb: str, **args: Any) -> Any:
        return self._session.call(f"segmentation.{verb}", node=self, **args)

    # -- segments ------------------------------------------------------------------------------------------------

    @property
    def segments(self) -> Segments:
        """The segments now: by number, id or name; each has ``name``, ``color``, ``visible``, ``mask()`` and so on."""
        return Segments(self, self._call("segments"))

    def __getitem__(self, key: int | str) -> Segment:
        """A segment by number, id or name. Raises as `Segments`."""
        found: Segment = self.segments[key]
        return found

    def add(
        self,
        name: str = "Segment",
        mask: Any = None,
        reference: Volume | None = None,
        *,
        affine: Any = None,
        color: Sequence[float] | None = None,
        terminology: Terminology | dict[str, Any] | str | None = None,
    ) -> Segment:
        """A new segment.

        Args:
            name: made unique in the segmentation.
            mask: bool or whole numbers [k, j, i], inside is not 0; an empty segment without it. It keeps its grid.
            reference: the volume in whose grid the mask is; the transforms above both count.
            affine: IJK → RAS of the mask, 4x4, mm, in the segmentation's own coordinates, in place of a reference; with
                neither, the mask is in the grid of the segmentation (`shape`, `affine`).
            color: r, g, b, 0 to 1; without it the one recommended for the terminology, or Slicer's next.
            terminology: what it is: as `Segment.terminology`.

        Raises:
            ArrayError: a shape, dtype or affine that does not fit.
            ArgumentError: no such terminology, no colour; both a reference and an affine; the segments are surfaces.
        """
        key = self._call(
            "add_segment",
            name=name,
            mask=None if mask is None else np.asanyarray(mask),
            reference=reference,
            affine=affine,
            color=None if color is None else tuple(float(part) for part in color),
            terminology=terminology_argument(terminology),
        )
        added: Segment = self.segments[str(key)]
        return added

    def mask(self, segment: SegmentLike, reference: Volume | None = None) -> Array:
        """A segment as uint8 [k, j, i]: 1 inside, 0 outside.

        Args:
            segment: it, its id, or its name.
            reference: the volume in whose grid it is: a voxel is inside when the segment's voxel that is nearest to its
                centre is. Without it, in the grid of the segmentation (`shape`, `affine`).

        Raises:
            NodeNotFoundError, AmbiguousNameError: no such segment, or several.
            ArrayError: there is no grid: no reference, and nothing is segmented.
            ArgumentError: a transform above one of the nodes is not linear.
        """
        found: Array = self._call("mask", segment=_key(segment), reference=reference)
        return found

    def labelmap(
        self,
        reference: Volume | None = None,
        *,
        segments: Iterable[SegmentLike] | None = None,
        labels: Mapping[str, int] | None = None,
        overlap: Literal["refuse", "last", "layers"] = "refuse",
    ) -> tuple[Array, Array, dict[int, str]]:
        """Segments as one array of labels.

        Args:
            reference: the volume in whose grid it is; the segmentation's own (`shape`, `affine`) without it.
            segments: which; all without it.
            labels: of each segment's name or id, its number; 1, 2, ... in the order of the segments without it.
            overlap: where segments overlap, "refuse" it, let the "last" one win, or give "layers": as many label maps
                as are needed that each segment is whole in one of them.

        Returns:
            (labels [k, j, i], or [layer, k, j, i] with ``overlap="layers"``: uint8, uint16 for numbers from 256 on,
            0 outside; affine IJK → RAS, 4x4, mm, of the reference or of this segmentation, without transforms above it;
            {label: name}).

        Raises:
            ArrayError: segments overlap; the message names them. Or there is no grid.
            NodeNotFoundError, AmbiguousNameError: no such segment, or several.
            ArgumentError: numbers that do not fit; a transform above one of the nodes is not linear.
        """
        chosen = None if segments is None else [_key(each) for each in segments]
        if labels is not None and chosen is None:
            chosen = list(labels)
        numbers = None if labels is None else [int(labels[each]) for each in chosen or ()]
        found = self._call("labels", reference=reference, segments=chosen, numbers=numbers, overlap=overlap)
        return found["array"], found["affine"], dict(zip(found["numbers"], found["names"], strict=True))

    def to_volume(
        self,
        reference: Volume | None = None,
        *,
        segments: Iterable[SegmentLike] | None = None,
        overlap: Literal["refuse", "last"] = "refuse",
        name: str | None = None,
    ) -> Volume:
        """A new label map volume of the segments, 1, 2, ..., with a colour table of their names and colours.

        Args:
            reference, segments, overlap: as of `labelmap`.
            name: made unique in the scene; the segmentation's without it.

        Raises:
            As `labelmap`.
        """
        chosen = None if segments is None else [_key(each) for each in segments]
        found: Volume = self._call("to_volume", reference=reference, segments=chosen, overlap=overlap, name=name)
        return found

    @property
    def affine(self) -> Array:
        """4x4 float64, IJK → RAS, mm, of its grid: that of its reference, or of its first segment with voxels.

        Raises:
            ArrayError: it has neither.
        """
        found: Array = self._call("grid")[1]
        return found

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i) of its grid, which is larger than the reference's where a segment reaches out of it."""
        k, j, i = self._call("grid")[0]
        return int(k), int(j), int(i)

    # -- statistics ----------------------------------------------------------------------------------------------

    def statistics(
        self, volume: Volume | None = None, *, segments: Iterable[SegmentLike] | None = None
    ) -> pd.DataFrame:
        """A row for each segment, in their order, by name.

        Columns: ``voxels`` in the segment's own grid, ``volume_mm3``, ``volume_cm3`` (in the scene: linear transforms
        above count), ``id``. With a volume also ``sampled``: its voxels whose centres are within the segment, and
        ``mean``, ``std`` (of a sample: divided by n - 1), ``min``, ``max``, ``median`` of their values; NaN of none.
        Voxels without a finite value are left out. Counted beside Slicer's main thread.

        Args:
            volume: a scalar volume, on any grid.
            segments: which; all without it.

        Raises:
            PackageNotInstalledError: there is no pandas.
            ArrayError: the volume has no voxels, or several values in each.
            NodeNotFoundError, AmbiguousNameError: no such segment, or several.
            ArgumentError: a transform above one of the nodes is not linear.
        """
        pandas = need("pandas")
        chosen = None if segments is None else [_key(each) for each in segments]
        found = self._call("statistics", volume=volume, segments=chosen)
        ids = found.pop("id")
        frame: pd.DataFrame = pandas.DataFrame({**found, "id": ids}).set_index("name")
        frame.index.name = "segment"
        return frame

    # -- surfaces ------------------------------------------------------------------------------------------------

    def show_3d(self, visible: bool = True, *, smoothing: float | None = None) -> Image:
        """Show the segments' surfaces in the 3-D views, or hide them there; the 3-D view's picture.

        Args:
            smoothing: 0 to 1; Slicer's 0.5, or what was set before, without it.

        Raises:
            ArgumentError: another smoothing.
            ViewNotFoundError: the present layout has no 3-D view.
        """
        self._call("show_3d", visible=visible, smoothing=smoothing)
        return self._session.view("3D").image()

    def surface(self, segment: SegmentLike, smoothing: float | None = None) -> tuple[Array, Array]:
        """A segment's surface; the segmentation and its views stay as they are.

        Args:
            smoothing: 0 to 1; as set by `show_3d` (0.5 at first) without it.

        Returns:
            (points float [n, 3], RAS, mm, in the segmentation's own coordinates; triangles int64 [n, 3], indices into
            them).

        Raises:
            NodeNotFoundError, AmbiguousNameError: no such segment, or several.
            ArgumentError: another smoothing.
        """
        points, triangles = self._call("surface", segment=_key(segment), smoothing=smoothing)
        return points, triangles

    def to_models(self, segments: Iterable[SegmentLike] | None = None, smoothing: float | None = None) -> list[Model]:
        """A new model of each segment's surface, with its name and colour.

        Args:
            segments: which; all without it.
            smoothing: as of `surface`.

        Raises:
            As `surface`.
        """
        chosen = None if segments is None else [_key(each) for each in segments]
        found: list[Model] = self._call("to_models", segments=chosen, smoothing=smoothing)
        return found

    def editor(self, volume: Volume | None = None) -> SegmentEditor:
        """The editor of the segments: brushes, threshold, islands and all else of Slicer's Segment Editor.

        Args:
            volume: whose intensities count. Without it: the one that was used last, or that the segmentation was made
                on. A segmentation without a grid takes the volume's.

        Raises:
            ArgumentError: no volume is known, and the segmentation has no grid either.
            ArrayError: the volume has no voxels, or several values in each.
        """
        return SegmentEditor(self, volume)

    def edit(self, volume: Volume | None = None, **how: Any) -> Any:
        """The editor for a person: a `slicer_notebook.SegmentEditorPanel`, with a view to paint in.

        Args:
            volume: as of `editor`.
            how: as for `slicer_notebook.SegmentEditorPanel`: ``view``, ``width``, ``height``, ``privacy``.

        Raises:
            As `editor`; ImportError: there is no anywidget here.
        """
        # By name: the widgets are a floor above.
        return importlib.import_module("slicer_notebook.widgets").SegmentEditorPanel(self, volume, **how)

    # -- display -------------------------------------------------------------------------------------------------

    @property
    def visible(self) -> bool:
        """Whether it is shown in the views. Settable."""
        return bool(self._call("display")["visible"])

    @visible.setter
    def visible(self, value: bool) -> None:
        self._call("set_display", visible=bool(value))

    @property
    def opacity(self) -> float:
        """Of all of it, 0 to 1. Settable. Raises `ArgumentError`."""
        return float(self._call("display")["opacity"])

    @opacity.setter
    def opacity(self, value: float) -> None:
        self._call("set_display", opacity=float(value))

    @property
    def opacity_fill(self) -> float:
        """Of all fills in slice views, 0 to 1, 0.5 at first. Settable. Raises `ArgumentError`."""
        return float(self._call("display")["opacity_fill"])

    @opacity_fill.setter
    def opacity_fill(self, value: float) -> None:
        self._call("set_display", opacity_fill=float(value))

    @property
    def opacity_outline(self) -> float:
        """Of all outlines in slice views, 0 to 1. Settable. Raises `ArgumentError`."""
        return float(self._call("display")["opacity_outline"])

    @opacity_outline.setter
    def opacity_outline(self, value: float) -> None:
        self._call("set_display", opacity_outline=float(value))

    @property
    def opacity_3d(self) -> float:
        """Of all surfaces in 3-D views, 0 to 1. Settable. Raises `ArgumentError`."""
        return float(self._call("display")["opacity_3d"])

    @opacity_3d.setter
    def opacity_3d(self, value: float) -> None:
        self._call("set_display", opacity_3d=float(value))

    # -- files ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write it where Slicer runs, without the transforms above it. The path.

        Args:
            path: ``.seg.nrrd`` keeps everything; ``.nii``, ``.nii.gz``, ``.mha``, ``.mhd`` are a label map 1, 2, ...
                without names; ``.stl``, ``.obj``, ``.ply``, ``.vtk``, ``.vtp`` the surfaces of all segments as one mesh
                (LPS, mm); ``segment.save`` writes one alone.

        Raises:
            PathNotFoundError: no such folder.
            FileFormatError: another extension.
            ArrayError: segments overlap, which a label map cannot hold; or nothing is segmented.
        """
        return self._save(path, None)

    def _save(self, path: str | Path, segments: list[str] | None) -> Path:
        target = self._session.path(path)
        self._call("save", path=target, segments=segments)
        return Path(target)

    # -- card ----------------------------------------------------------------------------------------------------

    def _card(self, summary: dict[str, Any]) -> Card:
        facts = [("segments", str(summary["count"]))]
        grid = summary["grid"]
        if grid is not None:
            shape = " x ".join(str(each) for each in grid["shape"][::-1])
            spacing = " x ".join(f"{each:.3g}" for each in grid["spacing"])
            facts.append(("grid (i, j, k)", f"{shape}, {spacing} mm"))
        if summary["reference"]:
            facts.append(("reference", summary["reference"]))
        if summary["representation"] != "Binary labelmap":
            facts.append(("made of", summary["representation"]))
        if summary["transform"]:
            facts.append(("below transform", summary["transform"]))
        items = [(name, (float(r), float(g), float(b))) for name, (r, g, b) in summary["segments"]]
        return Card([*facts, ("id", self.id)], items=items, more=summary["count"] - len(items))


def _key(segment: SegmentLike) -> str:
    return segment.id if isinstance(segment, Segment) else segment
