"""Headers as a notebook shows them: a tree to search in, hits, and what differs between two.

Imported at first use, since it needs pydicom.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import io
import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import pydicom
from pydicom.dataset import Dataset, FileDataset

from slicer_notebook.dicom.compare import EXPECTED, Difference, differences, marked
from slicer_notebook.dicom.elements import Line, find
from slicer_notebook.dicom.technical import is_technical
from slicer_notebook.session import dicom
from slicer_notebook.session.output import in_notebook
from slicer_notebook.session.privacy import ENVIRONMENT

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Header", "HeaderDifferences", "Hits", "compare"]

#: Rows of a table and lines of a text, at most; what is left out is counted.
_MOST_ROWS: Final = 500
_MOST_LINES: Final = 60
#: Characters of a value in a table and in a line of text.
_CELL: Final = 300
_TEXT: Final = 60
#: Of a long value, so many characters beside each part that differs.
_BESIDE: Final = 24
_HIDDEN: Final = "(hidden)"

_LEFT: Final = ' style="text-align:left;vertical-align:top;overflow-wrap:anywhere;white-space:normal"'
_SOFT: Final = ' style="opacity:.7"'
_MARK: Final = '<mark style="background:rgba(245,124,0,.3);color:inherit;border-radius:2px">{}</mark>'


class Header(FileDataset):
    """A header: a pydicom `Dataset` that a notebook shows as a tree to search in, and a terminal as pydicom's text."""

    @classmethod
    def of(cls, source: FileDataset | bytes) -> Header:
        """The header of a data set that pydicom read, or of a file's bytes.

        Raises:
            pydicom.errors.InvalidDicomError: bytes that are no DICOM.
        """
        read = pydicom.dcmread(io.BytesIO(source), force=True) if isinstance(source, bytes) else source
        implicit, little = read.original_encoding
        made = cls(
            read.buffer or read.filename or io.BytesIO(),
            read,
            preamble=read.preamble,
            file_meta=read.file_meta,
            is_implicit_VR=bool(implicit),
            is_little_endian=little is not False,
        )
        made.set_original_encoding(implicit, little, read.original_character_set)
        return made

    def find(self, text: str) -> Hits:
        """Elements that contain all words of ``text``, in sequences too.

        Looked at are tag, keyword, name, VR, value, what the value means, and private creator; case and accents do not
        matter.
        """
        return Hits(find(self, text))

    def compare(self, other: Dataset, ignore: Collection[str] = ()) -> HeaderDifferences:
        """What differs from another header (``b``). See `slicer_notebook.session.headers.compare`."""
        return compare(self, other, ignore)

    def _ipython_display_(self) -> None:
        if dicom.Dicom.header_display is None and in_notebook():
            # By name: the widgets are a floor above, and whoever has no ipywidgets does without.
            with contextlib.suppress(ImportError):
                importlib.import_module("slicer_notebook.widgets")
        if dicom.Dicom.header_display is None or not in_notebook():
            print(repr(self))  # noqa: T201 - the plain display of a terminal
            return
        from IPython.display import display

        display(dicom.Dicom.header_display(self))


def title_of(header: Dataset) -> str:
    """``3: Chest, CT, instance 17``: as far as the header tells."""
    number, words = _say(header, "SeriesNumber"), _say(header, "SeriesDescription") or _say(header, "ProtocolName")
    series = ": ".join(part for part in (number, words) if part)
    instance = _say(header, "InstanceNumber")
    parts = (series, _say(header, "Modality"), f"instance {instance}" if instance else "")
    return ", ".join(part for part in parts if part)


def _say(header: Dataset, keyword: str) -> str:
    # pydicom raises errors of no common class for values that it cannot read.
    with contextlib.suppress(Exception):
        return str(header.get(keyword) or "")
    return ""


def _strict() -> bool:
    """Whether nothing that tells of a patient may get into the notebook's file; a word that nobody knows is yes."""
    return os.environ.get(ENVIRONMENT, "") not in ("", "normal")


def _shown(line: Line | None, text: str, strict: bool) -> str:
    return text if not strict or not text or line is None or is_technical(line) else _HIDDEN


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td{_LEFT}>{cell}</td>' for cell in cells)}</tr>"


def _table(titles: Collection[str], rows: list[str], total: int) -> str:
    head = "".join(f"<th{_LEFT}>{title}</th>" for title in titles)
    more = f"<p{_SOFT}>and {total - len(rows):,} more</p>" if total > len(rows) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"


def _what(path: str, tag: str, name: str, creator: str) -> str:
    """An element's name over its path, for a table."""
    owner = f", {html.escape(creator)}" if creator else ""
    return f"{html.escape(name)}<br><small{_SOFT}>{tag} · {html.escape(path)}{owner}</small>"


class Hits(list[Line]):
    """Elements that a search found: `path`, `tag`, `keyword`, `name`, `vr`, `value`, `note`, `creator`, `element`.

    Shows itself as a table.
    """

    def _repr_html_(self) -> str:
        if not self:
            return "<em>nothing found</em>"
        strict = _strict()
        rows = []
        for line in self[:_MOST_ROWS]:
            value = html.escape(_cut(_shown(line, line.value, strict), _CELL))
            note = _shown(line, line.note, strict)
            if note and note != _HIDDEN:
                value += f" <small{_SOFT}>{html.escape(_cut(note, _CELL))}</small>"
            creator = "" if strict else line.creator
            rows.append(_row(_what(line.path, line.tag, line.name, creator), line.vr, value))
        return _table(("element", "VR", "value"), rows, len(self))

    def __repr__(self) -> str:
        strict = _strict()
        shown = [
            f"({line.tag}) {line.path}: {_cut(_shown(line, line.value, strict), _TEXT)}" for line in self[:_MOST_LINES]
        ]
        if len(self) > _MOST_LINES:
            shown.append(f"and {len(self) - _MOST_LINES:,} more")
        return "\n".join(shown) or "Hits([])"


class HeaderDifferences(list[Difference]):
    """What differs between two headers, `a` and `b`. Shows itself as a table.

    Attributes:
        a, b: what they are, in words.
        note: what else is to be known of the comparison; "" normally.
    """

    def __init__(self, found: Collection[Difference] = (), a: str = "a", b: str = "b", note: str = "") -> None:
        super().__init__(found)
        self.a, self.b, self.note = a, b, note

    @property
    def unexpected(self) -> list[Difference]:
        """Those that two instances need not have."""
        return [each for each in self if not each.expected]

    @property
    def expected(self) -> list[Difference]:
        """Those that any two instances have: UIDs, dates and times, instance numbers, the slice's position."""
        return [each for each in self if each.expected]

    def to_dataframe(self) -> pd.DataFrame:
        """A row for each: path, tag, keyword, name, vr, creator, kind, a, b, expected."""
        import pandas as pd

        columns = Difference._fields[:10]
        return pd.DataFrame([each[:10] for each in self], columns=list(columns))

    def _titles(self, strict: bool) -> tuple[str, str]:
        return ("a", "b") if strict else (self.a, self.b)

    def _summary(self) -> str:
        """``UIDs (3), dates and times (8)``: what was expected to differ."""
        counts = {word: sum(each.expected == word for each in self) for word in EXPECTED}
        return ", ".join(f"{EXPECTED[word]} ({count:,})" for word, count in counts.items() if count)

    def _repr_html_(self) -> str:
        strict = _strict()
        named, expected = self.unexpected, self.expected
        page = [f"<p{_SOFT}>{html.escape(self.note)}</p>"] if self.note else []
        a, b = (html.escape(_cut(title, _CELL)) for title in self._titles(strict))
        if named:
            page.append(_table(("element", a, b), [_compared(each, strict) for each in named[:_MOST_ROWS]], len(named)))
        else:
            but = ", except what differs between any two instances" if expected else ""
            page.append(f"<p><strong>No difference</strong>{but}.</p>")
        if expected:
            table = _table(
                ("element", a, b), [_compared(each, strict) for each in expected[:_MOST_ROWS]], len(expected)
            )
            page.append(
                f"<details><summary>Expected to differ: {html.escape(self._summary())}</summary>{table}</details>"
            )
        return "".join(page)

    def __repr__(self) -> str:
        strict = _strict()
        named, (a, b) = self.unexpected, self._titles(strict)
        count = "1 difference" if len(named) == 1 else f"{len(named):,} differences"
        lines = [f"<HeaderDifferences: {count} between {_cut(a, _TEXT)!r} and {_cut(b, _TEXT)!r}"]
        lines += [f"  {self.note}"] if self.note else []
        for each in named[:_MOST_LINES]:
            one = _cut(_shown(each.line_a, each.a, strict), _TEXT)
            other = _cut(_shown(each.line_b, each.b, strict), _TEXT)
            words = {"differs": f"{one!r}, {other!r}", "only in a": f"{one!r}, only in a"}
            lines.append(f"  ({each.tag}) {each.path}: {words.get(each.kind, f'{other!r}, only in b')}")
        if len(named) > _MOST_LINES:
            lines.append(f"  and {len(named) - _MOST_LINES:,} more")
        if self.expected:
            lines.append(f"  expected to differ: {self._summary()}")
        return "\n".join(lines) + ">"


def _compared(each: Difference, strict: bool) -> str:
    """A row of the table."""
    what = _what(each.path, each.tag, each.name, "" if strict else each.creator)
    absent = f"<em{_SOFT}>not there</em>"
    one, other = _shown(each.line_a, each.a, strict), _shown(each.line_b, each.b, strict)
    if each.kind == "only in a":
        return _row(what, html.escape(_cut(one, _CELL)) or f"<em{_SOFT}>empty</em>", absent)
    if each.kind == "only in b":
        return _row(what, absent, html.escape(_cut(other, _CELL)) or f"<em{_SOFT}>empty</em>")
    if _HIDDEN in (one, other):
        return _row(what, html.escape(one), html.escape(other))
    parts = marked(one, other, each.vr)
    notes = [line.note if line is not None and not strict else "" for line in (each.line_a, each.line_b)]
    return _row(what, *(_marked(part) + _noted(note) for part, note in zip(parts, notes, strict=True)))


def _noted(note: str) -> str:
    return f" <small{_SOFT}>{html.escape(_cut(note, _CELL))}</small>" if note else ""


def _marked(parts: list[tuple[str, bool]]) -> str:
    """A value with its differing parts marked; of a long value, those parts and a little beside each."""
    if not parts:
        return f"<em{_SOFT}>empty</em>"
    long = sum(len(text) for text, _ in parts) > _CELL
    shown = []
    for number, (text, differs) in enumerate(parts):
        if differs:
            shown.append(_MARK.format(html.escape(_cut(text, _CELL))))
            continue
        first, last = number == 0, number == len(parts) - 1
        if long and len(text) > 2 * _BESIDE + 1:
            head, tail = "" if first else text[:_BESIDE], "" if last else text[-_BESIDE:]
            text = f"{head}…{tail}"  # noqa: PLW2901
        shown.append(html.escape(text))
    return "".join(shown)


def compare(
    a: Dataset,
    b: Dataset,
    ignore: Collection[str] = (),
    *,
    names: tuple[str, str] = ("", ""),
    note: str = "",
) -> HeaderDifferences:
    """What differs between two headers: numbers by value, sequences item by item, private elements by creator.

    Args:
        ignore: left out: ``"uids"``, ``"times"``, ``"numbers"``, ``"position"`` (what any two instances differ in),
            ``"private"``, keywords, tags as ``"0018,0050"``.
        names: what ``a`` and ``b`` are, in words; what they say of themselves without.

    Raises:
        ArgumentError: no such word, keyword or tag.
    """
    one, other = names[0] or title_of(a) or "a", names[1] or title_of(b) or "b"
    if one == other:
        one, other = f"a: {one}", f"b: {other}"
    return HeaderDifferences(differences(a, b, ignore), one, other, note)
