"""``/slicer/slice``, ``/threeD``, ``/screenshot``, ``/threeDGraphics``, ``/timeimage``."""

from __future__ import annotations

import io
import re
import time
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands.views import png
from slicer_notebook.errors import ArgumentError
from slicer_notebook.gateways.rest.answers import JSON, PNG, answer

if TYPE_CHECKING:
    from starlette.responses import Response

    from slicer_notebook.gateways.rest.asking import Ask

__all__ = ["screenshot", "slice_picture", "three_d", "three_d_graphics", "time_image"]

_SLICE_VIEWS: Final = ("red", "yellow", "green")
_ORIENTATIONS: Final = ("axial", "sagittal", "coronal")
_MODES: Final = ("start", "drag", "end")
#: Width and height of /timeimage, pixels.
_TIME_SIZE: Final = (128, 32)


def _mode(ask: Ask) -> str | None:
    """What a mode begins; any other word goes on with it, as there have been several."""
    mode = ask.given.get("mode", "").lower()
    return None if not mode else mode if mode in _MODES else "drag"


async def _as_png(ask: Ask, command: str, **args: Any) -> Response:
    # Encoded on another thread: the main one draws the next picture meanwhile.
    return answer(await ask.work(png, await ask.call(command, **args)), PNG)


async def slice_picture(ask: Ask) -> Response:
    """``/slice``."""
    view = ask.given.get("view", "").lower()
    orientation = ask.given.get("orientation")
    if orientation is not None and orientation.lower() not in _ORIENTATIONS:
        raise ArgumentError(
            "There is no such orientation.", expected=", ".join(_ORIENTATIONS), got=repr(orientation)[:80]
        )
    copied = ask.given.get("copySliceGeometryFrom")
    return await _as_png(
        ask,
        "view.slice_image",
        view=(view if view in _SLICE_VIEWS else _SLICE_VIEWS[0]).capitalize(),
        offset=ask.number("offset"),
        scroll_to=ask.number("scrollTo"),
        orientation=orientation,
        size=ask.whole("size"),
        mode=_mode(ask),
        copy_geometry_from=copied.capitalize() if copied is not None else None,
    )


async def three_d(ask: Ask) -> Response:
    """``/threeD``."""
    return await _as_png(
        ask,
        "view.three_d_image",
        view=ask.given.get("view"),
        look_from=ask.given.get("lookFromAxis"),
        size=ask.whole("size"),
        mode=_mode(ask),
        roll=ask.number("roll"),
        pan_x=ask.number("panX"),
        pan_y=ask.number("panY"),
        orbit_x=ask.number("orbitX"),
        orbit_y=ask.number("orbitY"),
    )


async def screenshot(ask: Ask) -> Response:
    """``/screenshot``: the views; a headless Slicer has no window around them."""
    return await _as_png(ask, "view.layout_image")


async def three_d_graphics(ask: Ask) -> Response:
    """``/threeDGraphics``."""
    form = ask.given.get("format", "glTF")
    if form.lower() != "gltf":
        raise ArgumentError("There is no such format.", expected="glTF", got=repr(form)[:80])
    text: str = await ask.call("view.gltf", index=ask.whole("widgetIndex") or 0, box=ask.flag("boxVisible"))
    return answer(text.encode(), JSON)


async def time_image(ask: Ask) -> Response:
    """``/timeimage``: the seconds since the epoch in a dotted frame, on a transparent ground."""
    colour = ask.given.get("color", "330")
    if not re.fullmatch(r"([0-9A-Fa-f]{3}){1,2}", colour):
        raise ArgumentError("That is no colour.", expected="3 or 6 hexadecimal digits", got=repr(colour)[:80])
    return answer(await ask.work(_time_picture, f"#{colour}", str(time.time())), PNG)


def _time_picture(colour: str, text: str) -> bytes:
    from PIL import Image, ImageColor, ImageDraw

    picture = Image.new("RGBA", _TIME_SIZE)
    draw = ImageDraw.Draw(picture)
    frame = (*ImageColor.getrgb(colour)[:3], 204)  # four fifths
    width, height = _TIME_SIZE
    for across in range(0, width, 10):
        draw.rectangle((across, 0, across + 4, 4), frame)
        draw.rectangle((across, height - 5, across + 4, height - 1), frame)
    for down in range(0, height, 10):
        draw.rectangle((0, down, 4, down + 4), frame)
        draw.rectangle((width - 5, down, width - 1, down + 4), frame)
    draw.text((10, 10), text, "#333")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
