"""A view of Slicer, by name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.attributes import OwnAttributesOnly
from slicer_notebook.session.images import Image

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session
    from slicer_notebook.session.volumes import Volume

__all__ = ["View"]


class View(OwnAttributesOnly):
    """A slice or 3-D view. From `Session.view`. Shows its present picture inline.

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
