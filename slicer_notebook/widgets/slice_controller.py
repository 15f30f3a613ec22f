"""The bar of a slice view: where it cuts, what it shows."""

from __future__ import annotations

import html
import threading
from typing import Any, Final

import traitlets as t

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import View, Volume
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, static_note
from slicer_notebook.widgets.slice_control import SliceControl

__all__ = ["SliceController"]

#: Seconds that the display of the cell waits to know the view's state, so that a saved notebook has it.
_SETTLE: Final = 2.0
_LAYERS: Final = ("background", "foreground", "label_map")
_PLAIN: Final = (
    "offset", "orientation", "linked", "hot_linked", "visible_in_3d", "label_outline", "foreground_opacity",
    "label_opacity",
)  # fmt: skip


class SliceController(SessionWidget):
    """The bar of a slice view, as Slicer has it: offset, orientation, fit, links, layers with opacities, 3-D.

    It follows what changes elsewhere, and works while a cell runs. Of a drag, never more than one request is under way.

    Args:
        view: the slice view: ``slicer.view("Red")``.

    Attributes:
        offset: mm along the normal.
        orientation: Axial, Sagittal, Coronal or Reformat.
        linked, hot_linked: whether the views of its group follow one another, also during a drag.
        background, foreground, label_map: the volumes in its layers, or None.
        foreground_opacity, label_opacity: 0 to 1.
        label_outline: label maps as outlines.
        visible_in_3d: whether 3-D views show the slice.
        problem: what the last request failed of; "" where it did not.

        All of them are traits: observable, and settable but for ``problem``.

    Raises:
        ArgumentError: no slice view.
        ViewNotFoundError: it is not in the present layout.
    """

    _esm = assets.esm("slice_controller", "slice_bar")
    _css = assets.css("slice_controller", "slice_bar")

    offset = t.Float()
    orientation = t.Unicode()
    linked = t.Bool()
    hot_linked = t.Bool()
    visible_in_3d = t.Bool()
    label_outline = t.Bool()
    foreground_opacity = t.Float(min=0.0, max=1.0)
    label_opacity = t.Float(min=0.0, max=1.0)
    background = t.Instance(Volume, allow_none=True)
    foreground = t.Instance(Volume, allow_none=True)
    label_map = t.Instance(Volume, allow_none=True)
    problem = t.Unicode()

    def __init__(self, view: View, **kwargs: Any) -> None:
        if not isinstance(view, View):
            raise ArgumentError(
                "SliceController is the bar of a slice view.",
                expected='a View: slicer.view("Red")',
                got=type(view).__name__,
            )
        if view.kind != "slice":
            raise ArgumentError(
                f"View {view.name!r} shows no slices.", expected="a slice view", got=f"a {view.kind} view"
            )
        self.view = view
        #: The thread that takes over what Slicer says, while it does.
        self._taking: int | None = None
        self._known = threading.Event()
        super().__init__(view._session, **kwargs)
        self.observe(self._set_here, names=[*_PLAIN, *_LAYERS])
        self._control = SliceControl(self._session, view.name, self._ask, self._say, self._came)
        self._tell_until_greeted()

    def _say(self, message: dict[str, Any]) -> None:
        """On to the browser."""
        if message["type"] == "slice_done":
            problem = message["problem"]
            self._home.call(lambda: self.set_trait("problem", problem))
        if not self._ended:
            self.send(message)

    def _came(self, state: dict[str, Any]) -> None:
        self._known.set()

        def take() -> None:
            self._taking = threading.get_ident()
            try:
                for name in (*_PLAIN, *_LAYERS):
                    # Not what somebody has set meanwhile.
                    if name in state and name not in self._control.changing:
                        self.set_trait(name, state[name])
            finally:
                self._taking = None

        if state:
            self._home.call(take)

    def _set_here(self, change: Any) -> None:
        """Somebody has set a trait."""
        if self._taking != threading.get_ident():
            value = change["new"]
            self._control.set(**{change["name"]: "" if value is None else value})

    def fit(self) -> None:
        """Show all of the volume in the view; soon."""
        self._control.set(fit=True)

    # -- the browser ---------------------------------------------------------------------------------------------

    def _tell_all(self) -> None:
        self._control.tell_all()

    def _do_slice(self, content: dict[str, Any]) -> None:
        """A person has changed something."""
        self._control.do(content)

    def _when_back(self) -> None:
        self._control.again()

    def close(self) -> None:
        """Take the widget away. The session goes on."""
        control: SliceControl | None = getattr(self, "_control", None)
        if control is not None:
            control.close()
        super().close()

    def _static_html(self) -> str:
        self._known.wait(_SETTLE)
        state = self._control.state
        if not state:
            return static_note(f"Slice view {self.view.name}")
        words = f"{state['orientation']} \u00b7 {state['offset'] + 0.0:.1f} mm"
        return (
            f'<div style="font-size:12px;border-left:6px solid {html.escape(state["color"])};padding:2px 8px">'
            f"<strong>{html.escape(state['label'] or self.view.name)}</strong> {html.escape(words)}</div>"
        )

    def __repr__(self) -> str:
        return f"<SliceController of view {self.view.name!r} of {self._session.name!r}>"
