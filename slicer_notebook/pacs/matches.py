"""What a PACS answered to a question: a stream, a list, a table, and a record of what was asked."""

from __future__ import annotations

import contextlib
import datetime
import html
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.errors import JobCancelledError, StorageError
from slicer_notebook.pacs.model import Cancelled, Query, Record
from slicer_notebook.pacs.server import Server, shown_url
from slicer_notebook.pacs.work import Stream

if TYPE_CHECKING:
    import pandas

__all__ = ["Matches", "write_cohort"]

#: Rows of a table in a cell.
_ROWS: Final = 50
#: Columns of that table, by level.
_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "PATIENT": ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "PatientName", "PatientID", "StudyDate", "ModalitiesInStudy", "StudyDescription", "AccessionNumber",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    "SERIES": ("SeriesNumber", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesInstanceUID"),
    "IMAGE": ("InstanceNumber", "SOPInstanceUID"),
}  # fmt: skip


class Matches(Stream[Record]):
    """Answers to one question, as they come. Iterate over it, or take `records` or `frame`, which wait for all.

    Whoever leaves a loop over it before its end stops the PACS. What has come by then can be iterated over again;
    whoever asks for all gets a `JobCancelledError`.

    Attributes:
        asked: what was asked, when and of whom; with `save` it makes a cohort that can be asked for again.
    """

    def __init__(
        self,
        server: Server,
        query: Query,
        keys: Mapping[str, Any],
        items: Callable[[Cancelled], Iterator[Record]],
    ) -> None:
        self.asked: dict[str, Any] = {
            "server": server.name,
            "url": shown_url(server.url),
            "level": query.level,
            "keys": {name: _plain(value) for name, value in keys.items()},
            "limit": query.limit,
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        self._taken: list[Record] = []
        super().__init__(items)

    def _take(self, timeout: float = 0.2) -> list[Record] | None:
        found = super()._take(timeout)
        self._taken += found or ()
        return found

    def __iter__(self) -> Iterator[Record]:
        """The answers, from the first one on. Raises as `records`, at the end of what has come."""
        number = 0
        try:
            while True:
                while number < len(self._taken):
                    yield self._taken[number]
                    number += 1
                if self._take() is None:
                    return
        finally:
            if not self.ended:
                self.cancel()

    def records(self) -> list[Record]:
        """All answers; waits for them.

        Raises:
            PacsError: unreachable, refused, failed.
            JobCancelledError: it was cancelled before all had come.
        """
        while self._take() is not None:
            pass
        return list(self._taken)

    def frame(self) -> pandas.DataFrame:
        """All answers as a table, a row each; waits for them. Raises as `records`."""
        import pandas

        return pandas.DataFrame(self.records())

    def save(self, path: str | Path) -> Path:
        """Write the question, its date, the PACS's name and the answers as JSON; readable by this user only.

        It names patients. Raises as `records`, and `StorageError` where it cannot be written.
        """
        return write_cohort(path, self.asked, self.records())

    def __len__(self) -> int:
        return len(self.records())

    def __repr__(self) -> str:
        state = "stopped" if self.cancelled else "all" if self.ended else "so far"
        return f"<{len(self._taken)} {self.asked['level']} answers of {self.asked['server']!r}, {state}>"

    def _repr_html_(self) -> str:
        with contextlib.suppress(JobCancelledError):
            self.records()
        records = list(self._taken)
        columns = _COLUMNS[self.asked["level"]]
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in columns)
        rows = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(_shown(r.get(c)))}</td>" for c in columns)
            + "</tr>"
            for r in records[:_ROWS]
        )
        more = f"<p>… and {len(records) - _ROWS} more</p>" if len(records) > _ROWS else ""
        note = "<p>It was stopped: there may be more.</p>" if self.cancelled else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}{note}"


def write_cohort(path: str | Path, asked: Mapping[str, Any], records: list[Record]) -> Path:
    """Write a question and its answers as JSON, readable by this user only; in place of what was there.

    Raises:
        StorageError: it cannot be written.
    """
    target = Path(path).expanduser()
    content = {**asked, "count": len(records), "answers": records}
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        handle = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1, default=str)
        os.replace(aside, target)
    except OSError as exc:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise StorageError(
            f"The answers cannot be saved as {str(target)!r}.", got=exc.strerror or str(exc), hint="Name another file."
        ) from exc
    return target


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        # "any of" in one text, for a list of two dates is a range
        return "\\".join(sorted(str(_plain(each)) for each in value))
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return value if value is None or isinstance(value, str | int | float) else str(value)
