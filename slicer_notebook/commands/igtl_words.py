"""OpenIGTLink messages in words: a line that a table shows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch
from typing import Any, Final

from slicer_notebook.igtl import contents
from slicer_notebook.igtl.message import Message
from slicer_notebook.igtl.units import unit_text

__all__ = ["in_words", "status_in_words"]

#: Characters of a text, and of a list, that are told.
_TEXT: Final = 80
_LIST: Final = 240
#: Members of a list that are told; a CAPABILITY has a dozen.
_MEMBERS: Final = 4
_TYPES: Final = 20
_TIMES: Final = " \u00d7 "


def in_words(message: Message) -> str:
    """What a message says, in a line of printable characters."""
    if message.content is None:
        return "" if message.verb else "nothing"
    return _words(message.content)


@singledispatch
def _words(content: Any) -> str:
    return type(content).__name__


@_words.register
def _(content: contents.Transform) -> str:
    return _place(content.matrix[:3, 3].tolist())


@_words.register
def _(content: contents.Position) -> str:
    return _place(content.position)


def _place(position: Iterable[float]) -> str:
    return "at " + ", ".join(f"{x:.1f}" for x in position) + " mm"


@_words.register
def _(content: contents.Tracking) -> str:
    return f"{_several(len(content.tools), 'tool')}: {_listed([tool.name for tool in content.tools])}"


@_words.register
def _(content: contents.Image) -> str:
    voxel = f"{content.components}{_TIMES}{content.voxels.dtype}" if content.components > 1 else content.voxels.dtype
    part = "" if content.size is None else f", a part of {_product(content.part_size)}"
    return f"{_product(content.whole_size)}, {voxel}{part}"


@_words.register
def _(content: contents.NDArray) -> str:
    return f"{_product(content.array.shape)}, {content.array.dtype}"


@_words.register
def _(content: contents.String) -> str:
    return _short(content.text)


@_words.register
def status_in_words(content: contents.Status) -> str:
    """ "OK", or the error's code, name and text."""
    if content.ok:
        code = "OK"
    elif content.code in set(contents.StatusCode):
        code = contents.StatusCode(content.code).name.replace("_", " ").capitalize()
    else:
        code = f"Code {content.code}"
    return _short(" \u00b7 ".join(filter(None, (code, content.name, content.text))))


@_words.register
def _(content: contents.Points) -> str:
    return _several(len(content.points), "point")


@_words.register
def _(content: contents.Sensor) -> str:
    values = [f"{value:.4g}" for value in content.values[: _MEMBERS + 1].tolist()]
    return f"{_listed(values)} {unit_text(content.unit)}".strip()


@_words.register
def _(content: contents.PolyData) -> str:
    cells = sum(len(each) for each in (content.vertices, content.lines, content.polygons, content.strips))
    return f"{_several(len(content.points), 'point')}, {_several(cells, 'cell')}"


@_words.register
def _(content: contents.Command) -> str:
    return _short(f"{content.name} {content.text}")


@_words.register
def _(content: contents.Capability) -> str:
    return _listed(list(content.types), _TYPES)


@_words.register
def _(content: contents.StartStream) -> str:
    return f"every {content.interval} ms" if content.interval else "whenever it changes"


@_words.register
def _(content: contents.Reply) -> str:
    return "done" if content.ok else "refused"


def _product(numbers: Iterable[int]) -> str:
    return _TIMES.join(str(number) for number in numbers)


def _several(number: int, one: str) -> str:
    return f"{number} {one}" + ("" if number == 1 else "s")


def _listed(texts: list[str], most: int = _MEMBERS) -> str:
    return _short(", ".join(texts[:most]) + (", \u2026" if len(texts) > most else ""), _LIST)


def _short(text: str, most: int = _TEXT) -> str:
    line = " ".join(text.split())
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in line[: most + 1])
    return printable if len(printable) <= most else printable[: most - 1] + "\u2026"
