"""The series of a study as cards: a picture, what each is, what would be loaded and what not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from slicer_notebook.dicom.records import Series, Study
from slicer_notebook.errors import ArgumentError, SessionError
from slicer_notebook.session import Job, Session
from slicer_notebook.session.magic import latest
from slicer_notebook.widgets import assets, rows
from slicer_notebook.widgets.base import error_in_words, static_note
from slicer_notebook.widgets.cards import AHEAD, CardsWidget

__all__ = ["SeriesThumbnails"]


class SeriesThumbnails(CardsWidget):
    """Series as cards, to look at: the middle slice, windowed, and what loading would give.

    >>> sn.SeriesThumbnails(slicer.dicom.studies()[0])  # doctest: +SKIP

    Args:
        study: a `Study`, a Study Instance UID, or a list of `Series`.
        session: where the index is; the session that was begun last without it.
        privacy: ``"strict"`` lets nothing of the patient get into the notebook's file: the saved notebook then has
            only the number of series. See `StudyPicker`.
        thumbnail_size: pixels of a picture, at most.

    Raises:
        ArgumentError: what is no study and no list of series.
        SessionNotFoundError: no session was begun yet.
    """

    _esm = assets.esm("series_thumbnails", "cards")
    _css = assets.css("series_thumbnails", "cards")

    def __init__(
        self,
        study: str | Study | Sequence[Series],
        session: Session | None = None,
        *,
        privacy: str | None = None,
        thumbnail_size: int = 128,
        **kwargs: Any,
    ) -> None:
        self._of = _checked(study)
        super().__init__(
            session if session is not None else latest(), privacy=privacy, thumbnail_size=thumbnail_size, **kwargs
        )
        self._rows: list[dict[str, Any]] | None = None
        self._subscriptions.append(self._session.on("indexed", self._on_indexed))
        self._begin()
        self._tell_until_greeted()

    def _begin(self) -> None:
        if isinstance(self._of, str):
            self._ask_index("dicom.series", self._series_came, study_uid=self._of, filters={})
        else:
            self._take([rows.series_row(each) for each in self._of])

    def _on_indexed(self, event: dict[str, Any]) -> None:
        if self._concerns(event):
            self._details.forget()
            self._begin()

    def _when_back(self) -> None:
        self._details.forget()
        self._begin()

    def _series_came(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if isinstance(error, SessionError):
            return  # the status says it
        if error is not None:
            self._index_failed(error_in_words(error))
            return
        self._take([rows.series_row(msgspec.convert(raw, Series)) for raw in job.result(0)])

    def _take(self, found: list[dict[str, Any]]) -> None:
        with self._lock:
            self._problem = {}
            self._rows = found
            self._ahead = {row["uid"]: {} for row in found[:AHEAD]}
        self.send({"type": "series", "rows": found})
        if found:
            self._details.want(list(self._ahead))
        else:
            self._settled.set()

    def _tell_all(self) -> None:
        found = self._rows
        if self._problem:
            self.send({"type": "problem", **self._problem})
        if found is not None:
            self.send({"type": "series", "rows": found})
            self._send_ahead()

    def _static_html(self) -> str:
        note = self._unsettled_note("The series")
        if note is not None:
            return note
        found = self._rows
        if found is None:
            return static_note("The index has not answered yet.")
        if self.privacy == "strict":
            return static_note(f"{len(found)} series were shown; privacy: strict.")
        return rows.static_cards(found, self._pictures_ahead())


def _checked(study: Any) -> str | list[Series]:
    if isinstance(study, Study):
        return study.StudyInstanceUID
    if isinstance(study, str) and study:
        return study
    if isinstance(study, Series):
        return [study]
    if isinstance(study, Sequence) and not isinstance(study, str) and all(isinstance(each, Series) for each in study):
        return list(study)
    raise ArgumentError(
        "SeriesThumbnails shows the series of a study.",
        expected="a Study, a Study Instance UID or a list of Series",
        got=type(study).__name__,
        hint="sn.SeriesThumbnails(slicer.dicom.studies()[0])",
    )
