"""``/slicer/mrml``: nodes listed, described, loaded, saved, reloaded, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands.paths import NAMING_FILES, self_contained, writable
from slicer_notebook.errors import ArgumentError, LinkRefusedError, NodeNotFoundError
from slicer_notebook.gateways.rest.answers import in_json
from slicer_notebook.gateways.rest.files import local_path
from slicer_notebook.links.masking import masked_url

if TYPE_CHECKING:
    from starlette.responses import Response

    from slicer_notebook.gateways.rest.asking import Ask

__all__ = ["mrml", "mrml_file", "open_url", "properties"]

#: Parameters of /mrml that are no properties of a reader or writer.
_OWN: Final = frozenset(("url", "localfile", "filetype", "applytransforms", "id", "class"))
#: Properties whose values are text, also where they look like a truth value.
_TEXTS: Final = frozenset(("name", "colorNodeID", "password"))


def _properties(ask: Ask, *more: str) -> dict[str, Any]:
    """Further parameters as the properties of a reader or writer; "true" and "false" are such.

    Raises:
        ArgumentError: one that names further files.
    """
    found: dict[str, Any] = {}
    for name, value in ask.given.items():
        if name in _OWN or name in more:
            continue
        if name in NAMING_FILES:
            raise ArgumentError("A further file cannot be named.", expected="url or localfile", got=name)
        truth = {"true": True, "false": False}.get(value.lower()) if name not in _TEXTS else None
        found[name] = value if truth is None else truth
    return found


async def mrml(ask: Ask) -> Response:
    """``/mrml`` (names, GET, is answered elsewhere): POST loads, PUT reloads, DELETE removes."""
    if ask.method == "POST":
        return await _load(ask)
    if ask.method == "PUT":
        return await _reload(ask)
    if ask.method == "DELETE":
        return await _remove(ask)
    raise ArgumentError("That is not done with nodes.", expected="GET, HEAD, POST, PUT or DELETE", got=ask.method)


async def properties(ask: Ask) -> Response:
    """``/mrml/properties``."""
    return in_json(await ask.call("scene.properties", **ask.selector()))


async def mrml_file(ask: Ask) -> Response:
    """``/mrml/file``: GET saves one node, POST loads."""
    if ask.method == "POST":
        return await _load(ask)
    if ask.method != "GET":
        raise ArgumentError("That is not done with files.", expected="GET or POST", got=ask.method)
    path = local_path(ask.given.get("url"), ask.given.get("localfile"))
    if path is None:
        raise ArgumentError("A node is saved to a file of this machine.", expected="a file: URL", got="another one")
    target = writable(ask.context.options, path)
    found = await ask.call("scene.select", **ask.selector())
    if not found:
        raise NodeNotFoundError("No node of the scene is like that.", got=", ".join(ask.selector().values()) or None)
    if len(found) > 1:
        raise ArgumentError("Only a single node can be saved.", expected="one node", got=f"{len(found)} nodes")
    ask.note(f"saves {found[0].id}")
    await ask.call(
        "node.export",
        node=found[0],
        path=str(target),
        world=ask.flag("applytransforms"),
        properties=_properties(ask, "name"),
    )
    return in_json({"success": True})


async def _load(ask: Ask) -> Response:
    url = ask.given.get("url")
    if url is not None and url.lower().startswith("slicer:"):
        return await open_url(ask)
    path = local_path(url, ask.given.get("localfile"))
    filetype = ask.need("filetype")
    if path is not None:
        found = await ask.call(
            "scene.load",
            path=str(self_contained(ask.context.options, path)),
            filetype=filetype,
            properties=_properties(ask),
        )
    else:
        assert url is not None
        if ask.context.options.files is not None:
            raise LinkRefusedError(
                "Where files are limited to folders, nothing is fetched by URL, for it may name files.",
                details={"action": "refuse"},
            )
        found = await ask.call("scene.load_url", url=url, filetype=filetype, properties=_properties(ask))
    return in_json({"success": True, "loadedNodeIDs": [node.id for node in found]})


async def _reload(ask: Ask) -> Response:
    sources = await ask.call("scene.sources", **ask.selector())
    if ask.context.options.files is not None:
        for path in sources.values():
            self_contained(ask.context.options, path)
    done = await ask.call("scene.reload", ids=list(sources)) if sources else []
    return in_json({"success": True, "reloadedNodeIDs": done} if done else {"success": False})


async def _remove(ask: Ask) -> Response:
    selector = ask.selector()
    if selector:
        await ask.call("scene.remove", **selector)
    else:
        await ask.call("scene.clear")
    return in_json({"success": True})


async def open_url(ask: Ask) -> Response:
    """A ``slicer:`` URL, from ``/open`` or ``/mrml``."""
    url = ask.need("url")
    ask.note(masked_url(url))
    await ask.call("links.open", url=url, database=ask.context.options.database, by=_who(ask))
    return in_json({"status": "success"})


def _who(ask: Ask) -> str:
    client = ask.scope.get("client") or ("", 0)
    return f"REST, {client[0]}:{client[1]}"
