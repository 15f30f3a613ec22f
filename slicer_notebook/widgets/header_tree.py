"""A DICOM header as a tree that one searches as one types."""

from __future__ import annotations

import html
import itertools
import json
import logging
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Volume, VolumeSequence
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import StaticWidget, static_note

if TYPE_CHECKING:
    from pydicom import Dataset

    from slicer_notebook.dicom.elements import Line

__all__ = ["HeaderTree"]

_log = logging.getLogger("slicer_notebook")

#: Lines of one message, which packed has some 20 kB: the first ones show while the rest is read.
_LINES_IN_A_MESSAGE: Final = 2000
#: Characters of a value that go to the browser unasked, and at most.
_VALUE: Final = 2000
_LONGEST_VALUE: Final = 1_000_000
#: Seconds that the display of the cell waits for the lines, which the fallback is made of. A header of an image takes
#: some hundredths; a thousand frames take seconds, which the browser sees come.
_SETTLE: Final = 1.0
#: Of the static fallback: lines, items of a sequence, characters of a value.
_STATIC_LINES: Final = 1500
_STATIC_ITEMS: Final = 20
_STATIC_VALUE: Final = 200

_KINDS: Final = {"element": 0, "sequence": 1, "item": 2}

_PAGE: Final = """\
<details style="font:13px/1.45 var(--jp-ui-font-family, sans-serif);margin:4px 0"><summary>{title}</summary>
<div style="padding-left:1.2em">{body}</div></details>{note}"""


class HeaderTree(StaticWidget):
    """A header's elements as a tree, searched as one types. A `Header` as the last expression of a cell shows one.

    >>> sn.HeaderTree(slicer.dicom.header(series))  # doctest: +SKIP

    Needs no session: any pydicom data set does. It shows the data set as it is now.

    Args:
        header: a pydicom ``Dataset``; a `Header`; a volume that was loaded from DICOM (its first instance).
        privacy: ``"strict"`` lets no value that may tell of a patient get into the notebook's file: the saved notebook
            then has names of elements, and the values of technical ones. What the environment variable
            ``SLICER_NOTEBOOK_PRIVACY`` says without it.

    Raises:
        ArgumentError: what is none of these; ``privacy`` is neither "normal" nor "strict".
    """

    _esm = assets.esm("header_tree")
    _css = assets.css("header_tree")

    def __init__(self, header: Dataset | Volume | VolumeSequence, *, privacy: str | None = None, **kwargs: Any) -> None:
        from pydicom import Dataset

        from slicer_notebook.session.headers import title_of

        if isinstance(header, Volume | VolumeSequence):
            header = header.dicom
        if not isinstance(header, Dataset):
            raise ArgumentError(
                "A header tree shows a header.",
                expected="a pydicom Dataset, as of slicer.dicom.header(uid), or a loaded volume",
                got=type(header).__name__,
            )
        self.privacy = checked(privacy)
        self.title = title_of(header)
        super().__init__(**kwargs)
        self._lock = threading.RLock()
        self._pending: list[Line] = []
        self._count = 0
        self._messages: list[bytes] = []
        self._sent: list[int] = []
        self._long: dict[int, str] = {}
        self._first: list[Line] = []
        self._problem = ""
        self._done = threading.Event()
        # Of its own, so that what happens to the header meanwhile does not matter.
        snapshot = header[:]
        if getattr(header, "file_meta", None) is not None:
            snapshot.file_meta = header.file_meta
        threading.Thread(target=self._read, args=(snapshot,), name="slicer-notebook-header", daemon=True).start()
        self._tell_until_greeted()

    # -- the lines -----------------------------------------------------------------------------------------------

    def _read(self, header: Dataset) -> None:
        from slicer_notebook.dicom.elements import lines

        try:
            for line in lines(header):
                with self._lock:
                    self._pending.append(line._replace(element=None))
                    if len(self._first) < _STATIC_LINES + 1:
                        self._first.append(self._pending[-1])
                    if len(self._pending) >= _LINES_IN_A_MESSAGE:
                        self._flush()
        # pydicom raises errors of no common class on damaged data sets; what was read until there is shown.
        except Exception as exc:  # noqa: BLE001
            _log.exception("A header could not be read to its end.")
            self._problem = f"The rest cannot be read: {exc}"
        with self._lock:
            self._flush()
            self._done.set()
            self.send(self._end())

    def _flush(self) -> None:
        """Make a message of the lines that wait, and send it."""
        with self._lock:
            if not self._pending:
                return
            first = self._count
            rows = [self._row(first + number, line) for number, line in enumerate(self._pending)]
            self._pending = []
            self._count += len(rows)
            self._messages.append(zlib.compress(json.dumps(rows, ensure_ascii=False).encode(), 3))
            self._sent.append(first)
            self._send_lines(len(self._messages) - 1)

    def _row(self, number: int, line: Line) -> list[Any]:
        value, full = line.value, 0
        if len(value) > _VALUE:
            full = len(value)
            self._long[number] = value[:_LONGEST_VALUE]
            value = value[:_VALUE]
        kind = _KINDS[line.kind]
        return [
            *(line.depth, kind, line.tag, line.keyword, line.name, line.vr, value, line.note[:_VALUE], line.creator),
            *((full,) if full else ()),
        ]

    def _send_lines(self, number: int) -> None:
        self.send({"type": "lines", "first": self._sent[number]}, buffers=[self._messages[number]])

    def _end(self) -> dict[str, Any]:
        return {"type": "end", "problem": self._problem}

    # -- messages ------------------------------------------------------------------------------------------------

    def _do_value(self, content: dict[str, Any]) -> None:
        """A long value is wanted whole."""
        row = content.get("row")
        if isinstance(row, int) and row in self._long:
            self.send({"type": "value", "row": row, "value": self._long[row]})

    def _tell_all(self) -> None:
        from slicer_notebook.dicom.elements import VR_IN_WORDS

        with self._lock:
            self.send({"type": "about", "title": self.title, "vrs": VR_IN_WORDS})
            for number in range(len(self._messages)):
                self._send_lines(number)
            self._flush()
            if self._done.is_set():
                self.send(self._end())

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        """What a saved notebook shows without a kernel."""
        from slicer_notebook.dicom.technical import is_technical

        self._done.wait(_SETTLE)
        with self._lock:
            found = self._first[:_STATIC_LINES]
            total = self._count + len(self._pending)
        strict = self.privacy == "strict"
        if strict:
            found = [_without_value(line) if not is_technical(line) else line for line in _outside(found)]
        body, shown = _branches(_few_items(found))
        hidden = "Values that may tell of a patient were not saved. " if strict else ""
        more = "" if shown >= total and self._done.is_set() else "Not all elements were saved. "
        title = "DICOM header" if strict or not self.title else f"DICOM header: {html.escape(self.title)}"
        note = static_note(f"{hidden}{more}Run the cell again to search.")
        return _PAGE.format(title=title, body=body, note=note)

    def __repr__(self) -> str:
        return "<HeaderTree>" if self.privacy == "strict" or not self.title else f"<HeaderTree of {self.title!r}>"


def _without_value(line: Line) -> Line:
    return line._replace(value="(not saved)" if line.value else "", note="", creator="")


def _outside(found: Iterable[Line]) -> Iterator[Line]:
    """Lines but those in sequences that may tell of a patient."""
    from slicer_notebook.dicom.technical import is_technical

    below: int | None = None
    for line in found:
        if below is not None and line.depth > below:
            continue
        below = line.depth if line.kind == "sequence" and not is_technical(line) else None
        yield line._replace(note="") if line.kind != "element" else line


def _few_items(found: Iterable[Line]) -> Iterator[Line]:
    """Lines of the first items of each sequence."""
    counts: dict[int, int] = {}
    below: int | None = None
    for line in found:
        if below is not None and line.depth >= below:
            continue
        below = None
        if line.kind == "sequence":
            counts[line.depth + 1] = 0
        elif line.kind == "item":
            counts[line.depth] = counts.get(line.depth, 0) + 1
            if counts[line.depth] > _STATIC_ITEMS:
                below = line.depth
                yield line._replace(name="…", value="further items", note="", kind="element")
                continue
        yield line


def _branches(found: Iterable[Line]) -> tuple[str, int]:
    """Nested ``<details>``, and how many lines are in them."""
    page: list[str] = []
    depths: list[int] = []
    count = 0
    following = list(found)
    for line, after in itertools.zip_longest(following, following[1:]):
        while depths and line.depth <= depths[-1]:
            page.append("</div></details>")
            depths.pop()
        count += 1
        if after is not None and after.depth > line.depth:
            page.append(f'<details><summary>{_said(line)}</summary><div style="padding-left:1.4em">')
            depths.append(line.depth)
        else:
            page.append(f'<div style="overflow-wrap:anywhere">{_said(line)}</div>')
    page += ["</div></details>"] * len(depths)
    return "".join(page), count


def _said(line: Line) -> str:
    """A line of the fallback."""
    value = line.value if len(line.value) <= _STATIC_VALUE else f"{line.value[: _STATIC_VALUE - 1]}…"
    note = f' <span style="opacity:.7">{html.escape(line.note[:_STATIC_VALUE])}</span>' if line.note else ""
    tag = "" if line.kind == "item" else f"<code>{line.tag}</code> "
    owner = f" ({html.escape(line.creator)})" if line.creator else ""
    return f"{tag}{html.escape(line.name)}{owner}: <strong>{html.escape(value)}</strong>{note}"
