"""The other routes of ``/slicer``: the application, its layout, code, points, a tracker, sample data, DICOMweb."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from slicer_notebook.errors import ArgumentError, LinkRefusedError
from slicer_notebook.gateways.rest.answers import JSON, answer, in_json, in_text
from slicer_notebook.gateways.rest.asking import parameters
from slicer_notebook.gateways.rest.scene import open_url

if TYPE_CHECKING:
    from starlette.responses import Response

    from slicer_notebook.gateways.rest.asking import Ask

__all__ = ["access_study", "execute", "fiducial", "fiducials", "gui", "opened", "sample_data", "system", "tracking",
           "version"]  # fmt: skip

#: Bytes of code that comes to /exec: Slicer's largest module has 300 kB.
_MAX_CODE: Final = 16 * 1024**2
#: Bytes of the other bodies, a few parameters.
_MAX_FORM: Final = 64 * 1024
#: Seconds between the answer and the end of Slicer.
_QUIT_AFTER: Final = 1.0


async def version(ask: Ask) -> Response:
    """``/system/version``."""
    return in_json(await ask.call("session.version"))


async def system(ask: Ask) -> Response:
    """``/system``: DELETE ends Slicer."""
    if ask.method != "DELETE":
        raise ArgumentError("That is not done with the system.", expected="DELETE", got=ask.method)
    if not ask.context.allows("quit"):
        raise LinkRefusedError(
            "Ending Slicer is off.",
            hint="slicer-notebook serve --allow quit, or gateways.start(..., allow=['quit'])",
            details={"action": "refuse"},
        )
    await ask.call("session.quit", after=_QUIT_AFTER)
    return in_json({"success": True})


async def execute(ask: Ask) -> Response:
    """``/exec``."""
    if not ask.context.allows("exec"):
        raise LinkRefusedError(
            "Running code is off.",
            hint="slicer-notebook serve --allow exec, or gateways.start(..., allow=['exec'])",
            details={"action": "refuse"},
        )
    body = await ask.body(_MAX_CODE)
    try:
        code = body.decode() if body else ask.need("source")
    except UnicodeDecodeError:
        raise ArgumentError("The code cannot be read.", expected="UTF-8") from None
    ask.note(f"{len(code)} characters of code")
    text: str = await ask.call("code.result", code=code)
    return answer(text.encode(), JSON)


async def opened(ask: Ask) -> Response:
    """``/open``; the URL may come in a form, too."""
    if ask.content_type == "application/x-www-form-urlencoded":
        ask.given = {**parameters(await ask.body(_MAX_FORM)), **ask.given}
    if not ask.need("url").lower().startswith("slicer:"):
        raise ArgumentError("That URL is not opened here.", expected="slicer://viewer/?...", got="another scheme")
    return await open_url(ask)


async def gui(ask: Ask) -> Response:
    """``/gui``. A headless Slicer has no panels to show or hide: its contents are the viewers."""
    contents = ask.given.get("contents")
    if contents is not None and contents.lower() not in ("full", "viewers"):
        raise ArgumentError("contents does not fit.", expected="viewers or full", got=repr(contents)[:80])
    layout = ask.given.get("viewersLayout")
    if layout is not None:
        await ask.call("view.set_layout", name=layout)
    return in_json({"success": True})


async def tracking(ask: Ask) -> Response:
    """``/tracking``."""
    await ask.call(
        "transform.track", matrix=ask.numbers("m", 9), quaternion=ask.numbers("q", 4), position=ask.numbers("p", 3)
    )
    return in_text("Set matrix")


async def sample_data(ask: Ask) -> Response:
    """``/sampledata``."""
    name = ask.need("name")
    await ask.call("sample.load", name=name)
    return in_text(f"Sample data {name} loaded")


async def fiducials(ask: Ask) -> Response:
    """``/fiducials``."""
    return in_json(await ask.call("markups.list"))


async def fiducial(ask: Ask) -> Response:
    """``/fiducial``."""
    position = tuple(ask.number(axis) or 0.0 for axis in "ras")
    await ask.call("markups.move_point", key=ask.given.get("id"), index=ask.whole("index") or 0, position=position)
    return in_json({"success": True})


async def access_study(ask: Ask) -> Response:
    """``/accessDICOMwebStudy``: what a ``slicer:`` URL asks for, under the same policy."""
    try:
        asked = json.loads(await ask.body(_MAX_FORM))
    except (ValueError, RecursionError):
        asked = None
    names = ("dicomWEBPrefix", "dicomWEBStore", "studyUID")
    if not isinstance(asked, dict) or not all(isinstance(asked.get(name), str) and asked[name] for name in names):
        raise ArgumentError("The body cannot be read.", expected="JSON with " + ", ".join(names) + ", accessToken")
    token = asked.get("accessToken")
    if token is not None and not isinstance(token, str):
        raise ArgumentError("accessToken does not fit.", expected="text", got=type(token).__name__)
    query = {
        "studyUID": asked["studyUID"],
        "dicomweb_endpoint": f"{asked['dicomWEBPrefix'].rstrip('/')}/{asked['dicomWEBStore'].lstrip('/')}",
    }
    if token:
        query["access_token"] = token
    ask.given = {"url": f"slicer://viewer/?{urlencode(query)}"}
    await open_url(ask)
    return in_json({"success": True})
