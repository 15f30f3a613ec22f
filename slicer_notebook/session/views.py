"""A view of Slicer, by name."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.attributes import OwnAttributesOnly
from slicer_notebook.session.images import Image
from slicer_notebook.session.view_layers import SliceLayers

if TYPE_CHECKING:
    from slicer_notebook.session.handles import Node
    from slicer_notebook.session.lightbox import Lightbox
    from slicer_notebook.session.session import Session
    from slicer_notebook.session.volumes import Volume

__all__ = ["View"]


#: From where one can look, by the first letter.
_SIDES: Final = {
    "L": "left", "R": "right", "A": "anterior", "P": "posterior", "I": "inferior", "S": "superior",
}  # fmt: skip


class View(SliceLayers, OwnAttributesOnly):
    """A slice or 3-D view. From `Session.view`. Shows its present picture inline.

    What only a slice view has (offset, layers, links, slab...) raises `ArgumentError` of a 3-D view, and the other way.

    Attributes:
        name: "Red", "Yellow", "Green", "1" (the 3-D view), as Slicer names them.
    """

    _plain_attributes = frozenset({"name"})

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self.name = name

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._session.call("view.state", name=self.name)
        return state

    def _slice_state(self, what: str) -> Any:
        state = self._state()
        if what not in state:
            raise ArgumentError(
                f"View {self.name!r} has no {what}.", expected="a slice view", got=f"a {state['kind']} view"
            )
        return state[what]

    @property
    def kind(self) -> str:
        """``"slice"`` or ``"3d"``."""
        kind: str = self._state()["kind"]
        return kind

    @property
    def offset(self) -> float:
        """Slice offset, mm along the view's normal. Settable. Raises `ArgumentError` for a 3-D view."""
        return float(self._slice_state("offset"))

    @offset.setter
    def offset(self, value: float) -> None:
        self._session.call("view.set", name=self.name, offset=value)

    @property
    def offset_range(self) -> tuple[float, float]:
        """First and last offset of what is shown, mm."""
        low, high = self._slice_state("offset_range")
        return float(low), float(high)

    @property
    def offset_step(self) -> float:
        """Distance of neighbouring slices, mm."""
        return float(self._slice_state("offset_step"))

    @property
    def orientation(self) -> str:
        """Axial, Sagittal, Coronal or Reformat. Settable to the first three and what else the scene defines."""
        return str(self._slice_state("orientation"))

    @orientation.setter
    def orientation(self, value: str) -> None:
        self._session.call("view.set", name=self.name, orientation=value)

    def fit(self) -> View:
        """Show all of what is in the view; the view."""
        self._session.call("view.fit", name=self.name)
        return self

    # -- what is drawn around it ---------------------------------------------------------------------------------

    def _look(self, what: str) -> Any:
        found = self._session.call("view.looks", name=self.name)
        if what not in found:
            raise ArgumentError(f"View {self.name!r} has no {what}.", expected="a 3-D view", got="a slice view")
        return found[what]

    def _set_look(self, **what: Any) -> None:
        self._session.call("view.set_looks", name=self.name, **what)

    @property
    def ruler(self) -> str:
        """``"none"``, ``"thin"`` or ``"thick"``. Settable."""
        return str(self._look("ruler"))

    @ruler.setter
    def ruler(self, value: str) -> None:
        self._set_look(ruler=value)

    @property
    def orientation_marker(self) -> str:
        """``"none"``, ``"cube"``, ``"human"`` or ``"axes"``. Settable."""
        return str(self._look("orientation_marker"))

    @orientation_marker.setter
    def orientation_marker(self, value: str) -> None:
        self._set_look(orientation_marker=value)

    @property
    def axis_labels(self) -> tuple[str, ...]:
        """What stands for left, right, posterior, anterior, inferior, superior. Settable."""
        return tuple(self._look("axis_labels"))

    @axis_labels.setter
    def axis_labels(self, value: Sequence[str]) -> None:
        self._set_look(axis_labels=list(value))

    @property
    def background_color(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Two colours, (red, green, blue) of 0 to 1: below and above. Settable, to two or to one for both."""
        below, above = self._look("background")
        return tuple(below), tuple(above)

    @background_color.setter
    def background_color(self, value: Any) -> None:
        try:
            one = all(isinstance(each, (int, float)) for each in value)
            colors = [[float(part) for part in color] for color in ([value, value] if one else value)]
        except (TypeError, ValueError):
            raise ArgumentError(
                "The background's colour does not fit.", expected="(red, green, blue), or two of them", got=repr(value)
            ) from None
        self._set_look(background=colors)

    # -- 3-D -----------------------------------------------------------------------------------------------------

    @property
    def box_visible(self) -> bool:
        """Whether the 3-D view has its box. Settable."""
        return bool(self._look("box"))

    @box_visible.setter
    def box_visible(self, value: bool) -> None:
        self._set_look(box=value)

    @property
    def labels_visible(self) -> bool:
        """Whether the 3-D view has the letters of its axes. Settable."""
        return bool(self._look("labels"))

    @labels_visible.setter
    def labels_visible(self, value: bool) -> None:
        self._set_look(labels=value)

    @property
    def projection(self) -> str:
        """``"perspective"`` or ``"parallel"``. Settable."""
        return str(self._look("projection"))

    @projection.setter
    def projection(self, value: str) -> None:
        self._set_look(projection=value)

    @property
    def camera(self) -> Node:
        """The camera of a 3-D view."""
        found: Node = self._session.call("camera.of_view", name=self.name)
        return found

    def look_from(self, side: str) -> View:
        """Look at the focal point from a side, from as far as before; the view.

        Args:
            side: Left, Right, Anterior, Posterior, Inferior or Superior, or the first letter, in any case.

        Raises:
            ArgumentError: another side, or a slice view.
        """
        name = _SIDES.get(side[:1].upper())
        if name is None or side.lower() not in (name, name[0]):
            raise ArgumentError("One cannot look from there.", expected="L, R, A, P, I or S", got=repr(side))
        self._session.call("camera.look_from", node=self.camera, side=name)
        return self

    # -- the volume ----------------------------------------------------------------------------------------------

    @property
    def window_level(self) -> tuple[float, float]:
        """(window, level) of the volume in the view's background. Settable."""
        return self._volume().window_level

    @window_level.setter
    def window_level(self, value: tuple[float, float]) -> None:
        self._volume().window_level = value

    def _volume(self) -> Volume:
        from slicer_notebook.session.volumes import Volume

        shown = self._session.call("view.background", name=self.name)
        if not isinstance(shown, Volume):
            raise ArgumentError(
                f"View {self.name!r} shows no volume.", expected="a volume in its background", got="none"
            )
        return shown

    def lightbox(self, rows: int = 4, columns: int = 6, **options: Any) -> Lightbox:
        """Many slices as this view shows them, with all its layers, in one picture; the view stays as it is.

        Args:
            rows, columns: how many, at most.
            options: as of `Lightbox`.
        """
        from slicer_notebook.session.lightbox import Lightbox

        return Lightbox(self, rows=rows, columns=columns, **options)

    def image(self, size: tuple[int, int] | None = None) -> Image:
        """The picture; nothing that the user sees is moved.

        Args:
            size: (width, height), pixels; the view's own without it.

        Raises:
            ViewNotFoundError: the view is not in the present layout.
            RenderingError: nothing can be rendered where Slicer runs.
            ArgumentError: a size outside 1 to 8192.
        """
        return Image(self._session.call("view.png", name=self.name, size=size), self.name)

    def _repr_png_(self) -> bytes:
        return self.image().png

    def show(self, **how: Any) -> Any:
        """The view, live, to look at and to work in: a `slicer_notebook.LiveView`.

        Args:
            how: as for `slicer_notebook.LiveView`: ``width``, ``height``, ``privacy``.

        Raises:
            ArgumentError: a size that is none.
        """
        # By name: the widgets are a floor above.
        return importlib.import_module("slicer_notebook.widgets").LiveView(self, **how)

    def __repr__(self) -> str:
        return f"<View {self.name!r} of {self._session.name}>"
