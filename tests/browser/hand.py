"""A person's hand on a live view, and what the view shows."""

from __future__ import annotations

import base64
from typing import Any

from playwright.sync_api import Locator

from tests.browser.lab import decoded

__all__ = ["Hand", "shown"]


def shown(canvas: Locator) -> Any:
    """The pixels of the canvas, uint8 [height, width, 3]."""
    url = str(canvas.evaluate("canvas => canvas.toDataURL('image/png')"))
    return decoded(base64.b64decode(url.partition(",")[2]))


class Hand:
    """A person's hand on the mouse, over a canvas. Places are parts of its width and height."""

    def __init__(self, canvas: Locator) -> None:
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        self._box = box
        self._page = canvas.page
        self._mouse = canvas.page.mouse

    def to(self, x: float, y: float, steps: int = 4) -> None:
        box = self._box
        # Pixels, in their middle: as VTK counts them.
        self._mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=steps)

    def drag(self, button: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.to(*start)
        self._mouse.down(button=button)
        self.to(*end)
        self._mouse.up(button=button)

    def press(self, button: Any = "left") -> None:
        """A click where the pointer is."""
        self._mouse.down(button=button)
        self._mouse.up(button=button)

    def double(self) -> None:
        """A double click where the pointer is."""
        for count in (1, 2):
            self._mouse.down(click_count=count)
            self._mouse.up(click_count=count)

    def turn(self, notches: int) -> None:
        self._mouse.wheel(0, 100 * notches)
