"""A volume of the scene: voxels, geometry, how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slicer_notebook.errors import ArrayError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.handles import Node, floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slicer_notebook.session.headers import Header
    from slicer_notebook.session.images import Image

__all__ = ["Volume"]


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
        self._session.call("volume.set_affine", node=self, affine=floats(value, "affine"))

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
