"""COMMAND of OpenIGTLink: a peer runs a command of the session, as far as its connection allows.

It may what every program may that is no notebook (`commands.rights`). The message's name is the command's. Its text is
the arguments: a JSON object, or XML as OpenIGTLinkIO sends it (``<Command Name="volume.info" node="MRHead"/>``, each
attribute an argument). The answer's text is the result as JSON; its metadata say ``Status`` (SUCCESS or FAIL) and
``ErrorMessage``.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slicer_notebook.commands import registry, rights
from slicer_notebook.commands.gateway import Options
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

if TYPE_CHECKING:
    from slicer_notebook.commands.igtl_connections import Connection

__all__ = ["answer_text", "begin", "failure", "outcome"]

#: Values of an array that go into JSON; a volume is asked for by GET_IMAGE.
MOST_VALUES: Final = 100_000
#: Characters of a text that are taken.
MOST_TEXT: Final = 1_000_000


def begin(host: Host, command: Command, connection: Connection) -> Asked:
    """Begin what a peer asks for; the future of its result.

    Raises:
        CommandNotFoundError, ArgumentError: no such command, or arguments that do not fit.
        LinkRefusedError: it is not allowed.
    """
    name, args = _name_and_arguments(command)
    if not name or name not in registry.names():
        raise CommandNotFoundError(
            f"There is no command {name!r}.", expected="a command's name, such as volume.info", got=repr(name)
        )
    if not connection.obeys:
        raise LinkRefusedError(
            "Commands of this peer are not taken: it is another machine, and was not allowed to give any.",
            hint="who connects to it allows them: slicer.igtl.connect(..., commands=True)",
            details={"action": "refuse"},
        )
    options = Options(allow=connection.allow, files=connection.files, database=connection.database)
    right = rights.check_right(options, name)
    theirs = rights.HIDDEN.keys() & args.keys() | rights.FIXED.keys() & args.keys()
    if theirs:
        raise ArgumentError("These arguments are not a peer's to give.", expected="others", got=", ".join(theirs))
    definition = registry.get(name)
    args = rights.with_real_paths(options, right, args)
    own = {key: value for key, value in rights.FIXED.items() if key in definition.signature.parameters}
    return host.ask(name, {**args, **own, **rights.fixed(options, definition, "OpenIGTLink")})


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
