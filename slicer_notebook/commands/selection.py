"""Commands about several nodes at a time: chosen by id, class and name, described, removed, read again."""

from __future__ import annotations

import fnmatch
import math
import re
from typing import Any, Final

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError, CommandError, NodeNotFoundError
from slicer_notebook.protocol.values import NodeRef


def selected(host: Host, id: str | None, class_name: str | None, name: str | None) -> list[Any]:  # noqa: A002
    """The nodes of an id; else those of a class and its subclasses that have a name; all nodes without any of them."""
    if id is not None:
        found = host.slicer.mrmlScene.GetNodeByID(id)
        return [found] if found is not None else []
    try:
        nodes = host.nodes(class_name)
    except ArgumentError:  # no node is of a class that there is not
        return []
    return [node for node in nodes if name is None or node.GetName() == name]


def first(host: Host, key: NodeLike | None, *class_names: str) -> Any:
    """The first node of some classes by reference or id, else by name, else by a pattern of ``*`` and ``?`` of either.

    Args:
        key: None for any.
        class_names: of these very classes, and not of others that derive from them.

    Raises:
        NodeNotFoundError: there is none.
    """
    nodes = [node for node in host.nodes() if node.GetClassName() in class_names]
    wanted = key.id if isinstance(key, NodeRef) else key
    if wanted is None:
        found = nodes[:1]
    else:
        found = (
            [node for node in nodes if node.GetID() == wanted]
            or [node for node in nodes if node.GetName() == wanted]
            or [
                node
                for node in nodes
                if fnmatch.fnmatchcase(node.GetName() or "", wanted) or fnmatch.fnmatchcase(node.GetID(), wanted)
            ]
        )
    if not found:
        raise NodeNotFoundError(
            "There is no such node in the scene.",
            expected="an id, name or pattern of a " + " or ".join(class_names),
            got=repr(wanted) if wanted is not None else "none of them in the scene",
        )
    return found[0]


def _some(host: Host, id: str | None, class_name: str | None, name: str | None) -> list[Any]:  # noqa: A002
    found = selected(host, id, class_name, name)
    if not found:
        raise NodeNotFoundError(
            "No node of the scene is like that.",
            expected="an id, class or name of one",
            got=", ".join(f"{what} {value!r}" for what, value in (("id", id), ("class", class_name), ("name", name))
                          if value is not None) or "an empty scene",
        )  # fmt: skip
    return found


@command("scene.select", journal=False)
def select(
    host: Host,
    id: str | None = None,  # noqa: A002 - MRML's word
    class_name: str | None = None,
    name: str | None = None,
) -> list[NodeRef]:
    """References of the node of an id, or of those of a class (with its subclasses) and an exact name, in scene order.

    Without arguments, all nodes: also hidden ones, views and other singletons. Empty when there is none.
    """
    return [host.ref(node) for node in selected(host, id, class_name, name)]


@command("scene.remove")
def remove(
    host: Host,
    id: str | None = None,  # noqa: A002
    class_name: str | None = None,
    name: str | None = None,
) -> list[str]:
    """Remove nodes, chosen as by ``scene.select``; their ids. Views and other singletons stay, as in ``scene.clear``.

    Raises:
        NodeNotFoundError: no node is like that.
        ArgumentError: nothing to choose by, or nothing but singletons.
    """
    if id is None and class_name is None and name is None:
        raise ArgumentError("What is to be removed?", expected="an id, class or name", got="none", hint="scene.clear")
    found = [node for node in _some(host, id, class_name, name) if not node.GetSingletonTag()]
    if not found:
        raise ArgumentError("Views and other singletons are not removed.", expected="other nodes", got="singletons")
    scene = host.slicer.mrmlScene
    removed = []
    for node in found:
        # The removal of one may take others with it, such as a sequence browser its proxies.
        if node.GetScene() is not None:
            removed.append(node.GetID())
            scene.RemoveNode(node)
    return removed


@command("scene.sources", journal=False)
def sources(
    host: Host,
    id: str | None = None,  # noqa: A002
    class_name: str | None = None,
    name: str | None = None,
) -> dict[str, str]:
    """The files that nodes (chosen as by ``scene.select``) were loaded from or saved to, by id; others are left out.

    Raises:
        NodeNotFoundError: no node is like that.
    """
    found = {}
    for node in _some(host, id, class_name, name):
        storage = node.GetStorageNode() if hasattr(node, "GetStorageNode") else None
        if storage is not None and storage.GetFileName():
            found[node.GetID()] = storage.GetFullNameFromFileName()
    return found


@command("scene.reload")
def reload(host: Host, ids: list[str]) -> list[str]:
    """Read nodes again from their files (``scene.sources``); ids of those for which that went well."""
    done = []
    for each in ids:
        node = host.node(each)
        storage = node.GetStorageNode() if hasattr(node, "GetStorageNode") else None
        if storage is not None and storage.GetFileName() and storage.ReadData(node):
            done.append(each)
    return done


@command("node.export")
def export(
    host: Host, node: NodeLike, path: str, world: bool = False, properties: dict[str, Any] | None = None
) -> None:
    """Write a copy of a node; unlike ``node.save`` its storage node does not remember the file.

    Args:
        world: in world coordinates, the transforms above it applied.

    Raises:
        CommandError: it cannot be written as that.
    """
    found = host.node(node)
    messages = host.slicer.vtkMRMLMessageCollection()
    manager = host.slicer.app.coreIOManager()
    if not manager.exportNodes([found.GetID()], [path], dict(properties or {}), world, messages):
        said = messages.GetAllMessagesAsString().strip()
        raise CommandError(f"{found.GetName()!r} could not be written.", got=said or None)


# -- properties -----------------------------------------------------------------------------------------------------


@command("scene.properties", journal=False)
def properties(
    host: Host,
    id: str | None = None,  # noqa: A002
    class_name: str | None = None,
    name: str | None = None,
) -> dict[str, dict[str, Any]]:
    """What MRML prints of nodes (chosen as by ``scene.select``) as data: by id, nested as it is indented.

    Numbers, truth values and vectors are such; what is "(none)" is left out.

    Raises:
        NodeNotFoundError: no node is like that.
    """
    return {node.GetID(): printed(str(node)) for node in _some(host, id, class_name, name)}


#: Longer ones are no numbers, and Python takes long to make one of them.
_WHOLE: Final = re.compile(r"[+-]?\d{1,300}")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", re.IGNORECASE)
_WORDS: Final = {"true": True, "on": True, "false": False, "off": False}
#: What stands between the numbers of a vector.
_BETWEEN: Final = re.compile(r",\s*|\s+")
#: Indentation of a node's own properties; a few classes print some of theirs with less.
_OUTERMOST: Final = 2


def printed(text: str) -> dict[str, Any]:
    """The properties in the text that MRML prints of a node: lines ``key: value``, those below a group indented."""
    content: dict[str, Any] = {}
    # (indentation, where its lines go); the last key may turn out to be a group.
    levels: list[tuple[int, dict[str, Any]]] = [(_OUTERMOST, content)]
    key = ""
    for line in text.split("\n"):
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if not stripped or indent == 0:  # the first line: class and address
            continue
        indent = max(indent, _OUTERMOST)
        if indent > levels[-1][0]:
            levels.append((indent, _group(levels[-1][1], key)))
        else:
            while indent < levels[-1][0] and len(levels) > 1:
                levels.pop()
        key, colon, value = (part.strip() for part in stripped.partition(":"))
        if colon and value.lower() != "(none)":
            levels[-1][1][key] = _data(value)
    return content


def _group(above: dict[str, Any], key: str) -> dict[str, Any]:
    found = above.get(key)
    if not isinstance(found, dict):  # what looked like a value is a heading
        found = above[key] = {}
    return found


def _data(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    inner = text[1:-1].strip() if text[:1] + text[-1:] in ("()", "[]") else text
    words = _BETWEEN.split(inner) if inner else []
    if not words or not all(_NUMBER.fullmatch(word) for word in words):
        return text
    whole = all(_WHOLE.fullmatch(word) for word in words)
    numbers: list[Any] = [int(word) if whole else float(word) for word in words]
    if not all(math.isfinite(number) for number in numbers):  # JSON has no infinity
        return text
    return numbers[0] if len(numbers) == 1 and inner == text else numbers
