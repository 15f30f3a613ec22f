"""COMMAND of OpenIGTLink: a peer runs a command of the session, as far as its connection allows.

The message's name is the command's. Its text is the arguments: a JSON object, or XML as OpenIGTLinkIO sends it
(``<Command Name="volume.info" node="MRHead"/>``, each attribute an argument). The answer's text is the result as JSON;
its metadata say ``Status`` (SUCCESS or FAIL) and ``ErrorMessage``.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from slicer_notebook.commands import registry
from slicer_notebook.commands.gateway import Allowed
from slicer_notebook.commands.host import Asked, Host
from slicer_notebook.errors import (
    ArgumentError,
    ArrayError,
    CommandNotFoundError,
    LinkRefusedError,
    SlicerNotebookError,
    error_in_words,
)
from slicer_notebook.igtl.contents import Command
from slicer_notebook.protocol.values import NodeRef

__all__ = ["answer_text", "begin", "failure", "needs", "outcome"]

#: Commands of these groups may be run by any peer of a connection, but for those below. What is not named here (PACS,
#: URLs, other gateways, OpenIGTLink itself) is not a peer's to start.
_SAFE: Final = frozenset(
    {
        "session", "scene", "node", "volume", "markups", "model", "segmentation", "table", "transform", "view",
        "sequence", "dicom", "loads",
    }
)  # fmt: skip
#: What must be switched on for these.
_NEEDED: Final[dict[str, Allowed]] = {
    "node.save": "write",
    "scene.save": "write",
    "scene.clear": "delete",
    "node.remove": "delete",
    "sequence.remove": "delete",
}
#: Groups that must be switched on as a whole.
_NEEDED_GROUPS: Final[dict[str, Allowed]] = {"code": "exec"}
#: Arguments that name files, which can be limited to folders.
_PATHS: Final = ("path", "paths", "database")
#: Values of an array that go into JSON; a volume is asked for by GET_IMAGE.
MOST_VALUES: Final = 100_000
#: Characters of a text that are taken.
MOST_TEXT: Final = 1_000_000


def needs(name: str) -> Allowed | None:
    """What must be switched on for a command; None for nothing.

    Raises:
        LinkRefusedError: no peer may run it.
    """
    group = name.partition(".")[0]
    needed = _NEEDED.get(name) or _NEEDED_GROUPS.get(group)
    if needed is None and (group not in _SAFE or "remove" in name or "delete" in name or "save" in name):
        raise LinkRefusedError(
            f"The command {name} is not for other programs over OpenIGTLink.",
            expected="a command about " + ", ".join(sorted(_SAFE)),
            got=name,
            details={"action": "refuse"},
        )
    return needed


def begin(host: Host, command: Command, allowed: Sequence[str], files: Sequence[str] | None) -> Asked:
    """Begin what a peer asks for; the future of its result.

    Args:
        allowed: what has been switched on.
        files: folders that files may be in; None for any.

    Raises:
        CommandNotFoundError, ArgumentError: no such command, or arguments that do not fit.
        LinkRefusedError: it is not allowed.
    """
    name, args = _name_and_arguments(command)
    if not name or name not in registry.names():
        raise CommandNotFoundError(
            f"There is no command {name!r}.", expected="a command's name, such as volume.info", got=repr(name)
        )
    needed = needs(name)
    if needed is not None and needed not in allowed:
        raise LinkRefusedError(
            f"The command {name} is off for other programs.",
            expected=f"{needed!r} switched on",
            got=", ".join(allowed) or "nothing switched on",
            hint=f"start the gateway with allow=[{needed!r}], or connect with it",
            details={"action": "refuse"},
        )
    for key in _PATHS:
        if key in args and files is not None:
            given = args[key] if isinstance(args[key], list) else [args[key]]
            for path in given:
                _check_path(path, files)
    return host.ask(name, args)


def _check_path(path: Any, folders: Sequence[str]) -> None:
    if path is None:
        return
    real = Path(os.path.realpath(path)) if isinstance(path, str) and os.path.isabs(path) else None
    if real is None or not any(real.is_relative_to(os.path.realpath(folder)) for folder in folders):
        raise LinkRefusedError(
            "That file is in no folder that other programs may use.",
            hint="start the gateway with its folder in files=[...]",
            details={"action": "refuse"},
        )


def _name_and_arguments(command: Command) -> tuple[str, dict[str, Any]]:
    text = command.text.strip("\0 \t\r\n")
    if len(text) > MOST_TEXT:
        raise ArgumentError("The text is too long.", expected=f"at most {MOST_TEXT} characters", got=str(len(text)))
    if not text:
        return command.name, {}
    if text.startswith("<"):
        return _from_xml(command.name, text)
    try:
        args = json.loads(text)
    except (ValueError, RecursionError):
        args = None
    if not isinstance(args, dict):
        raise ArgumentError(
            "The text of the COMMAND is no arguments.",
            expected='a JSON object such as {"node": "MRHead"}, or XML <Command ... />',
            got=text[:80],
        )
    return command.name, args


def _from_xml(name: str, text: str) -> tuple[str, dict[str, Any]]:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        element = fromstring(text)
    except (ParseError, DefusedXmlException, ValueError) as exc:
        raise ArgumentError("The text of the COMMAND is no XML.", expected="<Command ... />", got=str(exc)) from None
    attributes = dict(element.attrib)
    own = attributes.pop("Name", "")
    if element.tag != "Command" or (name and own and name != own):
        raise ArgumentError(
            "The XML of the COMMAND does not fit.",
            expected=f'<Command Name="{name}" ... />',
            got=f'<{element.tag} Name="{own}" ... />',
        )
    return name or own, {key: _value(value) for key, value in attributes.items()}


def _value(text: str) -> Any:
    """An attribute's value: JSON where it is some ("3", "true", "[1, 2]"), else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def answer_text(result: Any) -> str:
    """A command's result as JSON.

    Raises:
        ArrayError: an array too large for that.
    """
    return json.dumps(result, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, NodeRef):
        return {"id": value.id, "name": value.name, "class": value.class_name}
    if isinstance(value, np.ndarray):
        if value.size > MOST_VALUES:
            raise ArrayError(
                "The array is too large for the answer to a COMMAND.",
                expected=f"at most {MOST_VALUES} values",
                got=str(value.size),
                hint="ask for the voxels by GET_IMAGE",
            )
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes | bytearray | memoryview):
        return b64encode(value).decode("ascii")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def outcome(command: Command, asked: Asked) -> tuple[Command, dict[str, str], str]:
    """The answer to a command that has ended: content, metadata, and why it failed ("" if it did not)."""
    error = asked.exception()
    if error is None:
        try:
            text = answer_text(asked.result())
        except SlicerNotebookError as exc:
            error = exc
        else:
            return Command(command.id, command.name, text), {"Status": "SUCCESS"}, ""
    return failure(command, error)


def failure(command: Command, error: BaseException) -> tuple[Command, dict[str, str], str]:
    """The answer to one that failed."""
    words = error_in_words(error)
    message = " ".join(" ".join(filter(None, (words["message"], words["hint"]))).split())
    text = json.dumps({"error": words}, ensure_ascii=False)
    return Command(command.id, command.name, text), {"Status": "FAIL", "ErrorMessage": message}, message
