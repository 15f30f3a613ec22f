"""What a session adds to the scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slicer_notebook.session.adding_data import AddingData
from slicer_notebook.session.adding_markups import AddingMarkups

if TYPE_CHECKING:
    from slicer_notebook.session.segmentations import Segmentation
    from slicer_notebook.session.volumes import Volume

__all__ = ["Adding"]


class Adding(AddingMarkups, AddingData):
    """Mixin of `Session`: ``add_volume`` and the like."""

    if TYPE_CHECKING:

        def call(self, command: str, /, **args: Any) -> Any:
            """`Session.call`."""

    def add_volume(
        self,
        array: Any,
        affine: Any = None,
        name: str | None = None,
        *,
        labelmap: bool | None = None,
        show: bool = True,
    ) -> Volume:
        """A new volume of an array, or of an image of another library with its geometry.

        Args:
            array: [k, j, i] or [k, j, i, component]; or an image of SimpleITK, ITK or nibabel, a DataArray as of
                `Volume.to_xarray` (or a part of one), or a `Volume`.
            affine: 4x4 IJK → RAS, mm; without it an image's own, and 1 mm along R, A, S for an array.
            name: made unique in the scene; an image's own, or "Volume", without it.
            labelmap: a label map instead of a scalar volume; what the image says without it.
            show: show it in the slice views.

        Raises:
            ArrayError: a shape, dtype or affine that a volume cannot have, or an image that is no volume.
        """
        import numpy as np

        from slicer_notebook.session import interop

        image = interop.take(array)
        if image is None:
            image = interop.Taken(np.asanyarray(array), None)
        found: Volume = self.call(
            "volume.add",
            array=image.array,
            affine=image.affine if affine is None else affine,
            name=name or image.name or "Volume",
            labelmap=image.labelmap if labelmap is None else labelmap,
            show=show,
        )
        return found

    def add_segmentation(
        self,
        labels: Any = None,
        affine: Any = None,
        name: str = "Segmentation",
        *,
        reference: Volume | None = None,
        names: Mapping[int, str] | Sequence[str] | None = None,
        colors: Mapping[int, Sequence[float]] | None = None,
    ) -> Segmentation:
        """A new segmentation of a label map: a segment for each number in it that is not 0.

        Args:
            labels: whole numbers [k, j, i]; an image of SimpleITK, ITK, nibabel or xarray; or a label map `Volume`,
                whose colour table names the segments. A segmentation without segments without it.
            affine: IJK → RAS of the array, 4x4, mm; an image's own without it.
            name: made unique in the scene.
            reference: the volume in whose grid the array is, in place of an affine; the segmentation gets below the
                same transform.
            names: of the numbers, or of 1, 2, ...; others are called Segment_<number>.
            colors: r, g, b, 0 to 1, of the numbers; Slicer's next ones without it.

        Raises:
            ArrayError: no label map, or a shape or affine that does not fit.
            ArgumentError: neither a reference nor an affine.
        """
        import numpy as np

        from slicer_notebook.session import interop
        from slicer_notebook.session.handles import Node

        volume = labels if isinstance(labels, Node) else None
        image = None if labels is None or volume is not None else interop.take(labels)
        if image is not None:
            labels, affine = image.array, image.affine if affine is None else affine
        pairs = names.items() if isinstance(names, Mapping) else enumerate(names or (), start=1)
        found: Segmentation = self.call(
            "segmentation.add",
            array=None if labels is None or volume is not None else np.asanyarray(labels),
            volume=volume,
            affine=affine,
            reference=reference,
            names=[(int(number), str(text)) for number, text in pairs],
            colors=[(int(number), tuple(map(float, color))) for number, color in (colors or {}).items()],
            name=name,
        )
        return found
