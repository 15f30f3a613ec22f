"""Volume rendering of a volume: preset, shift, transfer functions, shading, quality, cropping."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.attributes import OwnAttributesOnly
from slicer_notebook.session.cards import Card, html_of
from slicer_notebook.session.privacy import checked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from slicer_notebook.session.images import Image
    from slicer_notebook.session.markups import Markups
    from slicer_notebook.session.volumes import Volume

__all__ = ["Shading", "VolumeRendering", "figure_of"]

#: Bins of the histogram below the functions, and voxels that are counted for it, about.
_BINS: Final = 256
_VOXELS: Final = 4_000_000
#: Steps in which the colours below the opacity are drawn.
_STEPS: Final = 256
#: Points of a function that are drawn as dots: those of a label map have no place.
_MOST_DOTS: Final = 64


class Shading(NamedTuple):
    """How a rendered volume takes light: the Phong model of vtkVolumeProperty.

    Attributes:
        on: whether there is light at all.
        ambient, diffuse, specular: 0 to 1.
        power: of the highlights, 1 to 128; higher is smaller.
    """

    on: bool
    ambient: float
    diffuse: float
    specular: float
    power: float


class VolumeRendering(OwnAttributesOnly):
    """How a volume is shown in the 3-D views by volume rendering: ``volume.rendering``.

    What is read is what Slicer has now, whoever changed it. The first change makes the display node, hidden, with the
    preset that Slicer finds fit; before, `preset` is None and there are no transfer functions.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = self._volume._session.call("rendering.state", node=self._volume)
        return found

    def _there(self, what: str) -> dict[str, Any]:
        """The state. Raises `ArgumentError` where nothing has been set up."""
        state = self._state()
        if not state["exists"]:
            raise ArgumentError(
                f"{self._volume._ref.name!r} has not been rendered yet: there is no {what.replace('_', ' ')}.",
                hint="volume.rendering.visible = True, or volume.rendering.preset = ...",
            )
        return state

    def _get(self, what: str) -> Any:
        return self._there(what)[what]

    def _set(self, **changes: Any) -> None:
        self._volume._session.call("rendering.set", node=self._volume, **changes)

    # -- visible, preset, shift ----------------------------------------------------------------------------------

    @property
    def visible(self) -> bool:
        """Whether the 3-D views show it. Settable; the first time, the views show all of it."""
        return bool(self._state()["visible"])

    @visible.setter
    def visible(self, value: bool) -> None:
        self._set(visible=bool(value))

    @property
    def presets(self) -> list[str]:
        """Names of Slicer's presets, such as "CT-Chest-Contrast-Enhanced"."""
        found: list[str] = self._volume._session.call("rendering.presets")
        return found

    def icons(self) -> dict[str, bytes | None]:
        """Small pictures of the presets, PNG, by name; None for a preset without one (all of Slicer's own have one)."""
        found: dict[str, bytes | None] = self._volume._session.call("rendering.icons")
        return found

    @property
    def preset(self) -> str | None:
        """The preset whose colours and opacities these are, moved by `shift`; None for others.

        Set it to a name of `presets`: transfer functions, gradient opacity, shading and interpolation become the
        preset's, `shift` 0. Raises `ArgumentError`, which lists them.
        """
        found: str | None = self._state()["preset"]
        return found

    @preset.setter
    def preset(self, name: str) -> None:
        self._set(preset=name)

    @property
    def shift(self) -> float:
        """How far opacities and colours are moved along the values, from where the preset has them; volume's units.

        Settable. 0 is the preset again, exactly. Functions that were set by hand are moved, too; what is counted from
        is then where they were at 0.
        """
        return float(self._state()["shift"])

    @shift.setter
    def shift(self, value: float) -> None:
        self._set(shift=float(value))

    @property
    def shift_range(self) -> tuple[float, float]:
        """How far Slicer's slider goes: the width of the functions, to both sides. `shift` may be outside."""
        low, high = self._state()["shift_range"]
        return float(low), float(high)

    # -- functions -----------------------------------------------------------------------------------------------

    @property
    def opacity(self) -> Array:
        """Opacity over the values: float64 [n, 2] of value (volume's units) and opacity, straight lines between.

        Settable: finite, values rising, opacities 0 to 1. Beyond the first and last point it stays what it is there.
        Raises `ArrayError`.
        """
        found: Array = self._get("opacity")
        return found

    @opacity.setter
    def opacity(self, points: Any) -> None:
        self._set(opacity=_plain(points))

    @property
    def color(self) -> Array:
        """Colour over the values: float64 [n, 4] of value, red, green, blue, 0 to 1. Settable, as `opacity`.

        Raises `ArrayError`; `ArgumentError` when set of a colour volume, whose colours are its voxels.
        """
        found: Array = self._get("color")
        return found

    @color.setter
    def color(self, points: Any) -> None:
        self._set(color=_plain(points))

    @property
    def gradient_opacity(self) -> Array:
        """Opacity over the gradient's magnitude, which multiplies `opacity`: float64 [n, 2]. Settable, as `opacity`."""
        found: Array = self._get("gradient_opacity")
        return found

    @gradient_opacity.setter
    def gradient_opacity(self, points: Any) -> None:
        self._set(gradient_opacity=_plain(points))

    # -- looks ---------------------------------------------------------------------------------------------------

    @property
    def shading(self) -> Shading:
        """How it takes light. Set it to True, False or a `Shading`; `shade` changes single numbers."""
        state = self._there("shading")
        numbers = (float(state[name]) for name in Shading._fields[1:])
        return Shading(bool(state["shade"]), *numbers)

    @shading.setter
    def shading(self, value: bool | Shading) -> None:
        if isinstance(value, bool):
            self._set(shade=value)
            return
        try:
            on, ambient, diffuse, specular, power = value
            numbers = [float(each) for each in (ambient, diffuse, specular, power)]
        except (TypeError, ValueError):
            raise ArgumentError("The shading.", expected="True, False or a Shading", got=repr(value)) from None
        self.shade(bool(on), *numbers)

    def shade(
        self,
        on: bool = True,
        ambient: float | None = None,
        diffuse: float | None = None,
        specular: float | None = None,
        power: float | None = None,
    ) -> None:
        """Change how it takes light: only what is given. Raises `ArgumentError` for numbers outside `Shading`'s."""
        self._set(shade=on, ambient=ambient, diffuse=diffuse, specular=specular, power=power)

    @property
    def interpolation(self) -> str:
        """Between voxels: "linear" or "nearest". Settable."""
        return str(self._get("interpolation"))

    @interpolation.setter
    def interpolation(self, value: str) -> None:
        self._set(interpolation=value)

    @property
    def quality(self) -> str:
        """Of all volumes in all 3-D views, settable: "adaptive" (coarser in motion), "normal", "maximum"."""
        return str(self._state()["quality"])

    @quality.setter
    def quality(self, value: str) -> None:
        self._set(quality=value)

    @property
    def method(self) -> str:
        """What draws: "cpu" (VTK's ray caster for the CPU) or "gpu" (OpenGL's). Settable.

        At first what is quicker on Slicer's machine: "cpu" without a graphics card, except for volumes of colours, into
        which it draws cracks.
        """
        return str(self._get("method"))

    @method.setter
    def method(self, value: str) -> None:
        self._set(method=value)

    # -- cropping ------------------------------------------------------------------------------------------------

    def crop(self, to: Any) -> Markups | None:
        """Draw only what is in a box.

        Args:
            to: a ROI (`Markups`), which may be turned or moved by a transform; or bounds in the world, mm: [3, 2] or
                [6], lowest and highest R, A, S, which become a ROI of its own; None draws all of it again (the ROI
                stays).

        Returns:
            The ROI, or None. Change it, and the picture follows; ``roi.show()`` shows its box.

        Raises:
            ArrayError: bounds that enclose nothing.
            NodeNotFoundError: the node is no ROI.
        """
        from slicer_notebook.session.handles import Node

        if to is None:
            self.cropped = False
            return None
        where = {"roi": to} if isinstance(to, Node) else {"bounds": _plain(to)}
        found: Markups = self._volume._session.call("rendering.crop", node=self._volume, **where)
        return found

    @property
    def cropped(self) -> bool:
        """Whether only what is in `roi` is drawn. Set True without a ROI, it gets one around the volume."""
        return bool(self._state()["cropped"])

    @cropped.setter
    def cropped(self, value: bool) -> None:
        self._set(cropped=bool(value))

    @property
    def roi(self) -> Markups | None:
        """The ROI that crops it, or would; None without one."""
        found: Markups | None = self._state()["roi"]
        return found

    def fit_roi(self) -> Markups:
        """Put the ROI around the volume, along its axes (made, if there is none). Whether it crops stays as it is."""
        found: Markups = self._volume._session.call("rendering.fit_roi", node=self._volume)
        return found

    # -- pictures ------------------------------------------------------------------------------------------------

    def image(self, size: tuple[int, int] | None = None) -> Image:
        """The 3-D view's picture; ``size`` is (width, height) in pixels. Raises `ViewNotFoundError`."""
        return self._volume._session.view("3D").image(size)

    def figure(self) -> Figure:
        """The transfer functions over the histogram, drawn by matplotlib.

        Raises:
            ArgumentError: the volume has not been rendered yet.
        """
        state = self._there("opacity")
        counted = self._volume._session.call("volume.histogram", node=self._volume, bins=_BINS, most=_VOXELS)
        name = "" if checked(None) == "strict" else self._volume._ref.name
        return figure_of(state, counted, name, self._volume.units)

    def _repr_html_(self) -> str:
        state = self._state()
        name = "" if checked(None) == "strict" else self._volume._ref.name
        facts = [("preset", state["preset"] or ("edited" if state["exists"] else "none yet"))]
        if state["exists"]:
            facts += [("shift", f"{state['shift']:g}"), ("visible", "yes" if state["visible"] else "no")]
            facts += [
                ("drawn by", f"{state['method']}, {state['quality']}"),
                ("cropped", "yes" if state["cropped"] else "no"),
            ]
        page = html_of("VolumeRendering", name, Card(facts))
        if not state["exists"]:
            return page
        data = b64encode(png_of(self.figure())).decode("ascii")
        return f'{page}<img alt="Transfer functions" style="max-width:600px" src="data:image/png;base64,{data}">'

    def __repr__(self) -> str:
        return f"<VolumeRendering of {self._volume._ref.name!r}>"


def _plain(points: Any) -> Any:
    """What can be sent of points as somebody has them: Slicer says what is wrong with it."""
    try:
        return np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        return repr(points)[:80]


def png_of(figure: Figure) -> bytes:
    """A figure as PNG, 100 pixels to the inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def figure_of(state: dict[str, Any], counted: tuple[Array, Array], name: str = "", unit: str = "") -> Figure:
    """The functions of ``rendering.state`` over a histogram (counts [n], edges [n + 1]), as a matplotlib figure.

    On any thread: it is made without pyplot.

    Args:
        state: what the command told.
        counted: what ``volume.histogram`` told.
        name: of the volume.
        unit: of its values, in words.
    """
    from matplotlib.collections import PolyCollection

    from slicer_notebook.session.sheets import figure_class

    opacity, color = np.asarray(state["opacity"]), np.asarray(state["color"])
    counts, edges = (np.asarray(each) for each in counted)
    low, high = float(edges[0]), float(edges[-1])
    figure = figure_class()(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    behind = axes.twinx()
    behind.set_zorder(0)
    axes.set_zorder(1)
    axes.patch.set_visible(False)
    behind.stairs(np.log1p(counts), edges, fill=True, color="0.5", alpha=0.3)
    behind.set_yticks([])
    inside = opacity[(opacity[:, 0] > low) & (opacity[:, 0] < high), 0]
    at = np.unique(np.concatenate([np.linspace(low, high, _STEPS), inside]))
    height = np.interp(at, opacity[:, 0], opacity[:, 1])
    middles = (at[:-1] + at[1:]) / 2
    if state["colored"]:
        shades = np.full((len(middles), 3), 0.6)
    else:
        shades = np.stack([np.interp(middles, color[:, 0], color[:, n]) for n in (1, 2, 3)], axis=1)
    pieces = [[(at[n], 0), (at[n], height[n]), (at[n + 1], height[n + 1]), (at[n + 1], 0)] for n in range(len(middles))]
    axes.add_collection(PolyCollection(pieces, facecolors=shades, edgecolors=shades, linewidths=0.3, alpha=0.85))
    axes.plot(at, height, color="0.1", linewidth=1)
    shown = opacity[(opacity[:, 0] >= low) & (opacity[:, 0] <= high)]
    if len(shown) <= _MOST_DOTS:
        axes.plot(shown[:, 0], shown[:, 1], "o", color="0.1", markersize=4)
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(unit or "value")
    axes.set_ylabel("opacity")
    preset = state["preset"] or "edited"
    shift = f", shift {state['shift']:g}" if state["shift"] else ""
    axes.set_title(f"{name}: {preset}{shift}" if name else f"{preset}{shift}", parse_math=False)
    return figure
