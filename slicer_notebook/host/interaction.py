"""What a person does in a browser, as the events of a VTK interactor: Slicer's own interactor styles do the rest.

The events are those of renderview (https://github.com/pygfx/renderview), the front end of jupyter_rfb; their x and y
are parts of the picture's width and height, so that a picture may be shown in any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.errors import ArgumentError

__all__ = ["Interaction", "cursor_of"]

#: renderview's numbers of buttons, with VTK's names.
_LEFT: Final = 1
_BUTTONS: Final = {_LEFT: "Left", 2: "Right", 3: "Middle"}
#: Names of keys in a browser (UI Events KeyboardEvent key Values) with X's (keysymdef.h), which VTK uses everywhere.
_KEYSYMS: Final = {
    " ": "space",
    "Alt": "Alt_L",
    "ArrowDown": "Down",
    "ArrowLeft": "Left",
    "ArrowRight": "Right",
    "ArrowUp": "Up",
    "Backspace": "BackSpace",
    "Control": "Control_L",
    "Enter": "Return",
    "Meta": "Super_L",
    "PageDown": "Next",
    "PageUp": "Prior",
    "Shift": "Shift_L",
    "+": "plus",
    "-": "minus",
    ",": "comma",
    ".": "period",
    "[": "bracketleft",
    "]": "bracketright",
}
#: What these keys type.
_CODES: Final = {"Backspace": "\x08", "Delete": "\x7f", "Enter": "\r", "Escape": "\x1b", "Tab": "\t"}
#: Most notches of one wheel event: more is no turn of a wheel.
_NOTCHES: Final = 50
#: vtkRenderWindow's cursors (vtkRenderingCore's VTK_CURSOR_*) in CSS's names.
_CURSORS: Final = {
    1: "default",
    2: "nesw-resize",
    3: "nwse-resize",
    4: "nesw-resize",
    5: "nwse-resize",
    6: "ns-resize",
    7: "ew-resize",
    8: "move",
    9: "pointer",
    10: "crosshair",
}


def cursor_of(window: Any) -> str:
    """What the pointer looks like over a render window, as CSS has it."""
    return _CURSORS.get(int(window.GetCurrentCursor()), "default")


class Interaction:
    """The mouse and keyboard of one person in one view.

    Args:
        interactor: the view's vtkRenderWindowInteractor.
        size: gives (width, height) of the view, pixels.
        before_left: called before the left button is pressed; what it gives is called after it was released.
    """

    def __init__(
        self,
        interactor: Any,
        size: Callable[[], tuple[int, int]],
        before_left: Callable[[], Callable[[], None]] = lambda: lambda: None,
    ) -> None:
        self._interactor = interactor
        self._size = size
        self._before_left = before_left
        self._after_left: Callable[[], None] = lambda: None
        self._inside = False
        self._pressed: list[int] = []
        self._turned = 0.0
        #: The pointer's last place, parts of the view's width and height from its lower left corner.
        self._pointer = (0.0, 0.0)
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "pointer_move": self._moved,
            "pointer_down": self._down,
            "pointer_up": self._up,
            "pointer_enter": self._enter,
            "pointer_leave": self._leave,
            "double_click": self._double,
            "wheel": self._wheel,
            "key_down": self._key_down,
            "key_up": self._key_up,
        }

    @property
    def pressed(self) -> bool:
        """Whether a button of the mouse is down."""
        return bool(self._pressed)

    @property
    def place(self) -> tuple[int, int] | None:
        """The pointer's pixel, from the view's lower left corner; None while it is elsewhere."""
        x, y = self._pixel()
        width, height = self._size()
        return (x, y) if self._inside and 0 <= x < width and 0 <= y < height else None

    def _pixel(self) -> tuple[int, int]:
        (across, up), (width, height) = self._pointer, self._size()
        return math.floor(across * width), math.ceil(up * height) - 1

    def apply(self, event: dict[str, Any]) -> None:
        """Do one event. Unknown ones are left out.

        Raises:
            ArgumentError: an event without what its kind has.
        """
        handler = self._handlers.get(str(event.get("type")))
        if handler is None:
            return
        try:
            handler(event)
        except (KeyError, TypeError, ValueError) as exc:
            raise ArgumentError(
                "That is no event of a view.", expected="renderview's events", got=f"{event!r:.120} ({exc!r})"
            ) from None

    def release(self) -> None:
        """Let go of what is pressed: whoever pressed it is gone."""
        for button in list(self._pressed):
            self._let_go(button)

    def _let_go(self, button: int) -> None:
        self._pressed.remove(button)
        self._invoke(f"{_BUTTONS[button]}ButtonReleaseEvent")
        if button == _LEFT:
            self._after_left()
            self._after_left = lambda: None

    # -- the pointer ---------------------------------------------------------------------------------------------

    def _place(self, event: dict[str, Any], *, key: str = "", code: str = "\0", repeat: int = 0) -> None:
        modifiers = event.get("modifiers", ())
        x, y = event.get("x"), event.get("y")
        if x is None or y is None:  # a key: where the pointer was
            position = self._interactor.GetEventPosition()
        else:
            # VTK's display coordinates: pixels from the lower left corner. Outside of the view is no error while a
            # button is down; far outside is.
            across, up = float(x), 1.0 - float(y)
            if not (math.isfinite(across) and math.isfinite(up)):
                raise ValueError("a position that is not finite")
            self._pointer = min(max(across, -1.0), 2.0), min(max(up, -1.0), 2.0)
            position = self._pixel()
        self._interactor.SetEventInformation(
            *position, int("Control" in modifiers), int("Shift" in modifiers), code, repeat, key or None
        )
        self._interactor.SetAltKey(int("Alt" in modifiers))

    def _invoke(self, name: str) -> None:
        self._interactor.InvokeEvent(name)

    def _at(self, event: dict[str, Any], name: str) -> None:
        self._place(event)
        if not self._inside:
            # Slicer's widgets hear of nothing before; a browser says it but once, perhaps to a Slicer of before.
            self._inside = True
            self._invoke("EnterEvent")
        self._invoke(name)

    def _enter(self, event: dict[str, Any]) -> None:
        self._inside = False
        self._moved(event)

    def _leave(self, event: dict[str, Any]) -> None:
        if self._inside:
            self._at(event, "LeaveEvent")
            self._inside = False

    def _moved(self, event: dict[str, Any]) -> None:
        self._at(event, "MouseMoveEvent")

    def _down(self, event: dict[str, Any]) -> None:
        button = int(event["button"])
        if button not in _BUTTONS:
            return
        if button not in self._pressed:
            self._pressed.append(button)
            if button == _LEFT:
                self._after_left = self._before_left()
        # Where the pointer is now, before it presses: what is below it is what Slicer's widgets take hold of. Twice:
        # the first move only finds the widget.
        self._at(event, "MouseMoveEvent")
        self._invoke("MouseMoveEvent")
        self._invoke(f"{_BUTTONS[button]}ButtonPressEvent")

    def _up(self, event: dict[str, Any]) -> None:
        button = int(event["button"])
        if button not in self._pressed:
            return
        before = self._interactor.GetEventPosition()
        self._place(event)
        if self._interactor.GetEventPosition() != before:
            # What is dragged is dragged to here. Without a move it is a click.
            self._at(event, "MouseMoveEvent")
        self._let_go(button)

    def _double(self, event: dict[str, Any]) -> None:
        button = int(event.get("button", 1))
        if button not in _BUTTONS:
            return
        self._place(event, repeat=1)
        if button in event.get("buttons", ()) and button not in self._pressed:
            # The second press, in whose place Qt has this too: its release follows.
            self._pressed.append(button)
        self._invoke(f"{_BUTTONS[button]}ButtonDoubleClickEvent")

    def _wheel(self, event: dict[str, Any]) -> None:
        # A positive notch turns towards the person, as in a browser; a touch pad turns by parts of a notch.
        notches = float(event["notches"])
        if not math.isfinite(notches):
            raise ValueError("a turn that is not finite")
        self._turned += min(max(notches, -_NOTCHES), _NOTCHES)
        before = self._interactor.GetEventPosition()
        self._place(event)
        if not self._inside or self._interactor.GetEventPosition() != before:
            self._at(event, "MouseMoveEvent")
        while abs(self._turned) >= 1:
            forward = self._turned < 0
            self._turned += 1 if forward else -1
            self._invoke("MouseWheelForwardEvent" if forward else "MouseWheelBackwardEvent")

    # -- keys ----------------------------------------------------------------------------------------------------

    def _key(self, event: dict[str, Any]) -> None:
        key = str(event["key"])
        code = _CODES.get(key, key if len(key) == 1 and key.isascii() else "\0")
        self._place(event, key=_KEYSYMS.get(key, key), code=code)

    def _key_down(self, event: dict[str, Any]) -> None:
        self._key(event)
        self._invoke("KeyPressEvent")
        self._invoke("CharEvent")

    def _key_up(self, event: dict[str, Any]) -> None:
        self._key(event)
        self._invoke("KeyReleaseEvent")
