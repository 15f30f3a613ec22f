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
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from slicer_notebook.commands.igtl_connections import Connection

__all__ = ["FREE", "READING", "SWITCHED", "answer_text", "begin", "failure", "outcome"]

#: What any peer may do: a closed list. It reads and changes the scene and the views, and loads what is in the index; it
#: touches no file, fetches nothing, deletes nothing and ends nothing.
FREE: Final = frozenset(
    {
        "dicom.attributes", "dicom.catalogue", "dicom.detail", "dicom.displayed", "dicom.front", "dicom.header",
        "dicom.load", "dicom.open", "dicom.plan", "dicom.series", "dicom.studies", "dicom.thumbnail",
        "loads.add", "loads.list", "loads.loaded",
        "markups.add", "markups.labels", "markups.list", "markups.move_point", "markups.points", "markups.set_points",
        "model.points", "model.triangles",
        "node.attributes", "node.rename", "node.set_attribute", "node.show",
        "scene.node", "scene.nodes", "scene.properties", "scene.select",
        "segmentation.list", "segmentation.mask", "segmentation.segments",
        "sequence.array", "sequence.index", "sequence.info", "sequence.item", "sequence.proxy", "sequence.select",
        "sequence.strip",
        "session.info", "session.ping", "session.version",
        "table.columns",
        "transform.add", "transform.harden", "transform.set_on", "transform.track",
        "view.background", "view.fit", "view.image", "view.layout", "view.layout_image", "view.names", "view.picture",
        "view.png", "view.set", "view.set_layout", "view.slice_image", "view.state", "view.three_d_image",
        "volume.add", "volume.affine", "volume.array", "volume.cycle", "volume.histogram", "volume.info", "volume.list",
        "volume.render", "volume.render_presets", "volume.set_affine", "volume.set_array", "volume.set_window_level",
        "volume.window_level",
    }
)  # fmt: skip
#: What reads files: for programs of this machine, which connect to our server, in the folders that it is limited to.
READING: Final = frozenset({"dicom.index", "dicom.plan_files", "scene.load"})
#: What must be switched on.
SWITCHED: Final[dict[str, Allowed]] = {
    "code.call": "exec",
    "code.define": "exec",
    "code.eval": "exec",
    "code.run": "exec",
    "loads.cancel": "delete",
    "loads.clear": "delete",
    "node.export": "write",
    "node.remove": "delete",
    "node.save": "write",
    "scene.clear": "delete",
    "scene.remove": "delete",
    "scene.save": "write",
    "sequence.remove": "delete",
    "session.quit": "quit",
}
#: Arguments that name files.
_PATHS: Final = ("path", "paths")
#: Arguments that are not a peer's to give.
_OURS: Final = frozenset({"agreed", "by", "database", "owner", "person"})
#: Options of readers and writers that name further files.
_NAMING_FILES: Final = frozenset({"directory", "fileName", "fileNames", "filename", "filenames", "path", "uri", "url"})
#: What may be loaded where files are limited to folders: formats whose files name no others.
_WHOLE: Final = (".nii", ".nii.gz", ".stl", ".ply", ".vtk", ".vtp", ".png", ".jpg", ".jpeg", ".csv", ".tsv")
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
    _check_right(name, connection)
    _check_arguments(args, connection.files, reads=name in READING)
    if "database" in registry.get(name).signature.parameters:
        args["database"] = connection.database
    return host.ask(name, args)


def _check_right(name: str, connection: Connection) -> None:
    needed = SWITCHED.get(name)
    if needed is not None and needed not in connection.allow:
        raise LinkRefusedError(
            f"The command {name} is off for other programs.",
            expected=f"{needed!r} switched on",
            got=", ".join(connection.allow) or "nothing switched on",
            hint=f"start the gateway, or connect, with allow=[{needed!r}]",
            details={"action": "refuse"},
        )
    if name in READING and connection.kind != "server" and "exec" not in connection.allow:
        raise LinkRefusedError(
            f"The command {name} reads files, which is for programs that connect to this Slicer's own server.",
            details={"action": "refuse"},
        )
    if needed is None and name not in FREE and name not in READING:
        raise LinkRefusedError(
            f"The command {name} is not for other programs over OpenIGTLink.",
            expected="a command about the scene, its nodes, the views or the index",
            got=name,
            details={"action": "refuse"},
        )


def _check_arguments(args: dict[str, Any], files: Sequence[str] | None, *, reads: bool) -> None:
    theirs = _OURS & args.keys()
    options = args.get("properties")
    if isinstance(options, dict):
        theirs |= _NAMING_FILES & options.keys()
    if theirs:
        raise ArgumentError("These arguments are not a peer's to give.", expected="others", got=", ".join(theirs))
    for key in _PATHS:
        given = args.get(key)
        for path in given if isinstance(given, list) else [given]:
            if path is not None:
                _check_path(path, files, whole=reads and key == "path")


def _check_path(path: Any, folders: Sequence[str] | None, *, whole: bool) -> None:
    if not isinstance(path, str) or "\0" in path or not os.path.isabs(path):
        raise ArgumentError("That is no path.", expected="an absolute path where Slicer runs", got=repr(path)[:80])
    if folders is None:
        return
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(folder)) for folder in folders):
        raise LinkRefusedError(
            "That file is in no folder that other programs may use.",
            hint="start the gateway with its folder in files=[...]",
            details={"action": "refuse"},
        )
    if whole and not real.name.lower().endswith(_WHOLE):
        raise LinkRefusedError(
            "A file that may name further files is not loaded where files are limited to folders.",
            expected=", ".join(_WHOLE),
            got=real.suffix,
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
