"""What a slice view has in its bar: layers, links, planes, slabs, the crosshair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session
    from slicer_notebook.session.volumes import Volume

__all__ = ["SliceLayers"]


def _point(value: Any) -> tuple[float, ...]:
    return tuple(float(each) for each in value)


class SliceLayers:
    """Mixin of `View`, for slice views. Linked views follow what is set here, as in Slicer."""

    if TYPE_CHECKING:
        name: str
        _session: Session

    @property
    def controller(self) -> dict[str, Any]:
        """All that the view's bar shows, at once: the command ``view.controller`` says what."""
        found: dict[str, Any] = self._session.call("view.controller", name=self.name)
        return found

    def _set_layers(self, **what: Any) -> None:
        self._session.call("view.set_layers", name=self.name, **what)

    def _set_slice(self, **what: Any) -> None:
        self._session.call("view.set_slice", name=self.name, **what)

    # -- layers --------------------------------------------------------------------------------------------------

    @property
    def background(self) -> Volume | None:
        """The volume in the background. Settable: a handle, id or name; None for none."""
        found: Volume | None = self.controller["background"]
        return found

    @background.setter
    def background(self, value: Volume | str | None) -> None:
        self._set_layers(background="" if value is None else value)

    @property
    def foreground(self) -> Volume | None:
        """The volume over it; seen as far as `foreground_opacity` says. Settable as `background`."""
        found: Volume | None = self.controller["foreground"]
        return found

    @foreground.setter
    def foreground(self, value: Volume | str | None) -> None:
        self._set_layers(foreground="" if value is None else value)

    @property
    def label_map(self) -> Volume | None:
        """The label map over both. Settable as `background`."""
        found: Volume | None = self.controller["label_map"]
        return found

    @label_map.setter
    def label_map(self, value: Volume | str | None) -> None:
        self._set_layers(label_map="" if value is None else value)

    @property
    def foreground_opacity(self) -> float:
        """0 to 1. Settable."""
        return float(self.controller["foreground_opacity"])

    @foreground_opacity.setter
    def foreground_opacity(self, value: float) -> None:
        self._set_layers(foreground_opacity=value)

    @property
    def label_opacity(self) -> float:
        """0 to 1. Settable."""
        return float(self.controller["label_opacity"])

    @label_opacity.setter
    def label_opacity(self, value: float) -> None:
        self._set_layers(label_opacity=value)

    @property
    def label_outline(self) -> bool:
        """Whether label maps are drawn as outlines. Settable."""
        return bool(self.controller["label_outline"])

    @label_outline.setter
    def label_outline(self, value: bool) -> None:
        self._set_layers(label_outline=value)

    # -- links ---------------------------------------------------------------------------------------------------

    @property
    def linked(self) -> bool:
        """Whether the slice views of this one's group follow one another. Settable, for the whole group."""
        return bool(self.controller["linked"])

    @linked.setter
    def linked(self, value: bool) -> None:
        self._set_slice(linked=value)

    @property
    def hot_linked(self) -> bool:
        """Whether linked views follow already while something is dragged. Settable, for the whole group."""
        return bool(self.controller["hot_linked"])

    @hot_linked.setter
    def hot_linked(self, value: bool) -> None:
        self._set_slice(hot_linked=value)

    # -- the plane -----------------------------------------------------------------------------------------------

    @property
    def visible_in_3d(self) -> bool:
        """Whether 3-D views show the slice. Settable."""
        return bool(self.controller["visible_in_3d"])

    @visible_in_3d.setter
    def visible_in_3d(self, value: bool) -> None:
        self._set_slice(visible_in_3d=value)

    @property
    def field_of_view(self) -> tuple[float, float]:
        """What of its plane the view shows, mm across and down.

        Settable: mm across, or (across, down), of which at least so much is seen; both axes have one scale.
        """
        across, down = self.controller["field_of_view"]
        return float(across), float(down)

    @field_of_view.setter
    def field_of_view(self, value: float | Sequence[float]) -> None:
        self._set_slice(field_of_view=float(value) if isinstance(value, (int, float)) else _point(value))

    @property
    def center(self) -> tuple[float, float, float]:
        """The point in the view's middle, RAS, mm. Settable: the view moves in its plane and along its normal."""
        right, anterior, superior = self.controller["center"]
        return float(right), float(anterior), float(superior)

    @center.setter
    def center(self, value: Sequence[float]) -> None:
        self._set_slice(center=_point(value))

    def jump_to(self, point: Sequence[float], *, centered: bool = False) -> None:
        """Cut through a point.

        Args:
            point: RAS, mm.
            centered: put it into the view's middle as well.

        Raises:
            ArgumentError: a 3-D view, or a point that is none.
        """
        self._session.call("view.jump_to", point=_point(point), name=self.name, centered=centered)

    @property
    def slab(self) -> float | None:
        """How thick what is put together in one slice is, mm; None where it is a plane. Settable."""
        found = self.controller["slab"]
        return None if found is None else float(found)

    @slab.setter
    def slab(self, value: float | None) -> None:
        self._set_slice(slab=0.0 if value is None else float(value))

    @property
    def slab_mode(self) -> str:
        """``"max"``, ``"min"``, ``"mean"`` or ``"sum"`` through the slab. Settable."""
        return str(self.controller["slab_mode"])

    @slab_mode.setter
    def slab_mode(self, value: str) -> None:
        self._set_slice(slab_mode=value)

    # -- the crosshair -------------------------------------------------------------------------------------------

    @property
    def crosshair(self) -> tuple[float, float, float]:
        """Where the crosshair is, which all views share: RAS, mm. Settable; nothing else moves."""
        right, anterior, superior = self._session.call("view.crosshair")["position"]
        return float(right), float(anterior), float(superior)

    @crosshair.setter
    def crosshair(self, value: Sequence[float]) -> None:
        self._session.call("view.set_crosshair", position=_point(value))

    @property
    def crosshair_mode(self) -> str:
        """How it looks in all views: ``"none"``, ``"basic"``, ``"intersection"``, ``"hashmarks"``, ``"all"``,
        ``"small basic"`` or ``"small intersection"``. Settable.
        """
        return str(self._session.call("view.crosshair")["mode"])

    @crosshair_mode.setter
    def crosshair_mode(self, value: str) -> None:
        self._session.call("view.set_crosshair", mode=value)
