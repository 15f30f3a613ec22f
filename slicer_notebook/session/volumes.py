"""A volume of the scene: voxels, geometry, how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session import interop
from slicer_notebook.session.cards import Card, Fact
from slicer_notebook.session.handles import Node, floats
from slicer_notebook.session.volume_rendering import VolumeRendering

if TYPE_CHECKING:
    import itk
    import nibabel
    import SimpleITK
    import xarray
    from matplotlib.axes import Axes

    from slicer_notebook.session.headers import Header
    from slicer_notebook.session.images import Image

__all__ = ["Volume"]


_TIMES: Final = "\u00d7"
#: What a volume is called by its kind.
_KINDS: Final = {"scalar": "", "label": "label map", "colour": "colour", "vector": "vector"}


class Volume(Node):
    """A volume: scalar, vector or label map. ``numpy.asarray(v)`` and ``torch.from_dlpack(v)`` take its voxels."""

    mrml_class = "vtkMRMLVolumeNode"
    _summary = "volume.summary"

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

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("The voxels are in Slicer: an array of them is always a copy.")
        return self.array if dtype is None else self.array.astype(dtype, copy=False)

    def __dlpack__(self, **how: Any) -> Any:
        """The voxels as `array` gives them, for ``torch.from_dlpack(v)`` and the like: no further copy."""
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        """(1, 0), the main memory: https://dmlc.github.io/dlpack/latest/c_api.html, ``kDLCPU``."""
        return 1, 0

    def _info(self, what: str) -> Any:
        return self._session.call("volume.info", node=self, with_range=what == "range")[what]

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

    # -- how it is shown -----------------------------------------------------------------------------------------

    def _display(self, what: str) -> Any:
        return self._session.call("volume.display", node=self)[what]

    @property
    def is_labelmap(self) -> bool:
        """Whether the voxels are labels."""
        return bool(self._display("kind") == "label")

    @property
    def is_color(self) -> bool:
        """Whether the components of a voxel are red, green and blue (and perhaps alpha)."""
        return bool(self._display("kind") == "colour")

    @property
    def window_level(self) -> tuple[float, float]:
        """(window, level) in the volume's units.

        Set it to a pair, to ``"auto"`` for Slicer's own choice, or to one of `window_level_presets`, such as
        ``"CT-Bone"``, which brings its colour table along.

        Raises:
            ArgumentError: a label map, no such preset, or a window that is not above 0.
            ArrayError: no pair of numbers.
        """
        window, level = self._session.call("volume.window_level", node=self)
        return float(window), float(level)

    @window_level.setter
    def window_level(self, value: tuple[float, float] | str) -> None:
        if isinstance(value, str):
            if value == "auto":
                self._session.call("volume.set_window_level", node=self)
            else:
                self._session.call("volume.set_preset", node=self, name=value)
            return
        window, level = _pair(value, "Window and level do not fit.", '(window, level), "auto" or a preset\'s name')
        self._session.call("volume.set_window_level", node=self, window=window, level=level)

    @property
    def window_level_presets(self) -> dict[str, tuple[float, float]]:
        """Slicer's presets by name, (window, level) of each: ``{"CT-Bone": (1000.0, 400.0), ...}``."""
        found = self._session.call("volume.window_level_presets")
        return {name: (float(window), float(level)) for name, (window, level) in found.items()}

    @property
    def threshold(self) -> tuple[float, float] | None:
        """(low, high): only voxels of these values are shown, both included; None where all are. Settable.

        Raises:
            ArgumentError: set on a label map or a volume of several components, or a lower end above the upper one.
            ArrayError: no pair of numbers.
        """
        found = self._display("threshold")
        return None if found is None else (float(found[0]), float(found[1]))

    @threshold.setter
    def threshold(self, value: tuple[float, float] | None) -> None:
        if value is None:
            self._session.call("volume.set_threshold", node=self)
            return
        low, high = _pair(value, "The threshold does not fit.", "(low, high) or None")
        self._session.call("volume.set_threshold", node=self, low=low, high=high)

    @property
    def interpolate(self) -> bool:
        """Whether values between voxels are shown, or each voxel as a block. Settable.

        Raises:
            ArgumentError: set to True on a label map; or what is no bool.
        """
        return bool(self._display("interpolate"))

    @interpolate.setter
    def interpolate(self, value: bool) -> None:
        if not isinstance(value, bool | np.bool_):
            raise ArgumentError("That is neither on nor off.", expected="True or False", got=repr(value))
        self._session.call("volume.set_interpolate", node=self, interpolate=bool(value))

    @property
    def color_table(self) -> str:
        """Name of the colour table that the values are shown in, such as "Grey"; "" for colour volumes. Settable.

        Raises:
            ArgumentError: no such table (the message lists them), or a volume whose components are its colours.
        """
        return str(self._display("color_table"))

    @color_table.setter
    def color_table(self, value: str) -> None:
        self._session.call("volume.set_color_table", node=self, name=value)

    @property
    def color_tables(self) -> list[str]:
        """Names of the colour tables there are."""
        found: list[str] = self._session.call("color.names")
        return found

    @property
    def rendering(self) -> VolumeRendering:
        """How the 3-D views show it by volume rendering: preset, shift, transfer functions, shading, cropping."""
        return VolumeRendering(self)

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
        """The histogram of all voxels, drawn by matplotlib; counted in Slicer, on a worker.

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

    # -- other libraries -----------------------------------------------------------------------------------------

    def to_sitk(self) -> SimpleITK.Image:
        """A SimpleITK image of its own: voxels, origin, spacing and direction (LPS, mm) are the volume's.

        Raises:
            ArrayError: a sheared affine, which an ITK image cannot have.
            PackageNotInstalledError: ``pip install SimpleITK``.
        """
        return interop.to_sitk(self.array, self.affine)

    def to_itk(self) -> itk.Image:
        """An ITK image of its own: an RGB image of a colour volume of bytes, a VectorImage of other components.

        Raises:
            ArrayError: a sheared affine, or a dtype that the itk package has no image for.
            PackageNotInstalledError: ``pip install itk``.
        """
        return interop.to_itk(self.array, self.affine)

    def to_nibabel(self) -> nibabel.Nifti1Image:
        """A NIfTI image of its own: data [i, j, k], affine IJK → RAS, mm; sform and qform set.

        Their code is "scanner" for what came from DICOM, else "aligned". A sheared affine is in the sform alone.
        Colours are NIfTI's RGB24 or RGBA32; other components are its fifth axis.

        Raises:
            PackageNotInstalledError: ``pip install nibabel``.
        """
        code = "scanner" if self.attributes.get("DICOM.instanceUIDs") else "aligned"
        return interop.to_nibabel(self.array, self.affine, code)

    def to_xarray(self) -> xarray.DataArray:
        """A labelled array [k, j, i(, component)], named as the node.

        ``attrs`` have the ``affine`` (4x4, IJK → RAS, mm), ``units``, ``quantity`` and ``labelmap``. Coordinates of k,
        j, i are mm along R, A or S where the axes are straight, else numbers of voxels. By them ``slicer.add_volume``
        knows where a part of it belongs.

        Raises:
            PackageNotInstalledError: ``pip install xarray``.
        """
        info = self._session.call("volume.info", node=self, with_range=False)
        attributes = {"units": info["units"], "quantity": info["quantity"], "labelmap": self.is_labelmap}
        return interop.to_xarray(self.array, self.affine, self.name, attributes)

    # -- display -------------------------------------------------------------------------------------------------

    def _card(self, summary: dict[str, Any]) -> Card:
        return Card(_facts(summary), png=summary["png"])


def _pair(value: Any, message: str, expected: str) -> tuple[float, float]:
    try:
        first, second = (float(x) for x in value)
    except (TypeError, ValueError):
        raise ArrayError(message, expected=expected, got=repr(value)) from None
    return first, second


def _facts(summary: dict[str, Any]) -> list[Fact]:
    """What the card says of ``volume.summary``."""
    facts: list[Fact] = []
    if summary["description"]:
        facts.append(("series", summary["description"]))
    if summary["shape"] is None:
        return [*facts, ("voxels", "none")]
    kind = _KINDS[summary["kind"]]
    shape = f" {_TIMES} ".join(map(str, summary["shape"]))
    facts.append(("array", f"{shape} {summary['dtype']}" + (kind and f", {kind}")))
    facts.append(("spacing", f" {_TIMES} ".join(f"{step:.4g}" for step in summary["spacing"]) + " mm"))
    facts.append(("axes", "a picture without a place in the patient" if summary["image"] else summary["axes"]))
    values = ", ".join(part for part in (summary["quantity"], summary["units"]) if part)
    if summary["range"] is not None:
        low, high = summary["range"]
        values = f"{low:.6g} to {high:.6g}" + (f" ({values})" if values else "")
    if values:
        facts.append(("values", values))
    if summary["window_level"] is not None:
        window, level = summary["window_level"]
        table = summary["color_table"]
        facts.append(("shown", f"window {window:.6g}, level {level:.6g}" + (f", {table}" if table else "")))
    elif summary["color_table"]:
        facts.append(("shown", summary["color_table"]))
    if summary["threshold"] is not None:
        low, high = summary["threshold"]
        facts.append(("threshold", f"{low:.6g} to {high:.6g}"))
    return facts
