"""Commands about text nodes."""

from __future__ import annotations

from typing import Any, Final

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import NodeRef

TEXT: Final = "vtkMRMLTextNode"

#: MRML's name of an encoding (VTK_ENCODING_..., vtkIOStream's list) -> Python's. "None" and "Unknown" are bytes as they
#: come, taken for UTF-8.
_CODECS: Final = {
    "ASCII": "ascii",
    "UTF-8": "utf-8",
    **{f"ISO-8859-{part}": f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))},
}
_UTF_8: Final = "UTF-8"
#: Lines and characters that a card shows at most.
_LINES: Final = 8
_CHARACTERS: Final = 200


def _number(node: Any, name: str) -> int:
    """MRML's number of an encoding. Raises `ArgumentError`."""
    if name in _CODECS:
        for number in range(32):
            node.SetEncoding(number)
            if node.GetEncodingAsString() == name:
                return number
    raise ArgumentError("There is no such encoding.", expected=", ".join(_CODECS), got=repr(name))


def _encoded(text: str, name: str) -> bytes:
    codec = _CODECS.get(name, "utf-8")
    try:
        return text.encode(codec)
    except UnicodeEncodeError as exc:
        raise ArgumentError(
            f"The text cannot be written as {name}.",
            expected=f"characters of {name}",
            got=repr(text[exc.start : exc.start + 1]),
            hint='encoding="UTF-8" has them all',
        ) from None


def _read(node: Any) -> str:
    """The text; VTK gives bytes for what is no UTF-8."""
    text = node.GetText()
    if isinstance(text, bytes):
        return text.decode(_CODECS.get(node.GetEncodingAsString(), "utf-8"), "replace")
    return text or ""


def _write(host: Host, node: Any, text: str, encoding: str | None) -> None:
    """Set text and encoding; without one the present one, or UTF-8 where that lacks a character."""
    name = node.GetEncodingAsString() if encoding is None else encoding
    number = _number(host.slicer.vtkMRMLTextNode(), name) if encoding is not None else node.GetEncoding()
    try:
        data = _encoded(text, name)
    except ArgumentError:
        if encoding is not None:
            raise
        number, data = _number(host.slicer.vtkMRMLTextNode(), _UTF_8), text.encode("utf-8")
    node.SetText(data, number)


@command("text.text", journal=False)
def get_text(host: Host, node: NodeLike) -> str:
    """The text of a text node."""
    return _read(host.node(node, TEXT))


@command("text.encoding", journal=False)
def encoding(host: Host, node: NodeLike) -> str:
    """The encoding of a text node's file: "ASCII", "UTF-8", "ISO-8859-1"..."""
    return str(host.node(node, TEXT).GetEncodingAsString())


@command("text.set")
def set_text(host: Host, node: NodeLike, text: str | None = None, encoding: str | None = None) -> None:
    """Change a text node's text, its encoding, or both.

    Args:
        encoding: without it the present one stays, or becomes UTF-8 where it lacks a character.

    Raises:
        ArgumentError: no such encoding, or one that lacks a character of the text.
    """
    found = host.node(node, TEXT)
    _write(host, found, _read(found) if text is None else text, encoding)


@command("text.add")
def add(host: Host, text: str, name: str = "Text", encoding: str | None = None) -> NodeRef:
    """A new text node; ASCII, or UTF-8 where that is not enough, without an ``encoding``. Raises `ArgumentError`."""
    made = host.slicer.vtkMRMLTextNode()
    _write(host, made, text, encoding)
    made.SetName(host.slicer.mrmlScene.GenerateUniqueName(name))
    return host.ref(host.slicer.mrmlScene.AddNode(made))


@command("text.summary", journal=False)
def summary(host: Host, node: NodeLike) -> dict[str, Any]:
    """What a text node's inline card shows: ``name``, ``encoding``, ``characters``, ``lines``, ``head`` (the first)."""
    found = host.node(node, TEXT)
    text = _read(found)
    lines = text.splitlines()
    head = [
        line if len(line) <= _CHARACTERS else line[: _CHARACTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"
        for line in lines[:_LINES]
    ]
    return {
        "name": found.GetName() or "",
        "encoding": found.GetEncodingAsString(),
        "characters": len(text),
        "lines": len(lines),
        "head": head,
    }
