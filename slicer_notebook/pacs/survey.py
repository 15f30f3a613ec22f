"""Asking a PACS what it has of what somebody wants: studies, series, instances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from pydicom import Dataset

from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsError, PacsRefusedError
from slicer_notebook.pacs.keys import answer_check
from slicer_notebook.pacs.model import Cancelled, Level, Query, Record, Source
from slicer_notebook.pacs.patience import away, busy, patiently
from slicer_notebook.pacs.search import number_of

__all__ = ["Listing", "StudyFacts", "Survey"]

_SERIES: Final = (
    "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription",
    "NumberOfSeriesRelatedInstances",
)  # fmt: skip
_COUNTS: Final = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
_INSTANCES: Final = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID")
#: UIDs in one question: an identifier of 12 kB at most.
_CHUNK: Final = 150


class StudyFacts(NamedTuple):
    """What a PACS says of a study as a whole; None: it does not."""

    #: whether it knows it at all
    there: bool = False
    series: int | None = None
    instances: int | None = None
    #: SOP Class UIDs in it; empty: it does not say
    classes: frozenset[str] = frozenset()


class Listing(NamedTuple):
    """Answers at the level of instances."""

    records: list[Record]
    #: why they may not be all, in words; empty if nothing speaks for that
    problem: str = ""


class Survey:
    """Questions about what is to be retrieved. Asked again while the PACS is busy or, once it has answered, away.

    Args:
        patience: seconds that it may be so.
    """

    def __init__(self, source: Source, cancelled: Cancelled, patience: float) -> None:
        self._source = source
        self._cancelled = cancelled
        self._patience = patience
        self._answered = False

    def study(self, uid: str) -> StudyFacts:
        """A study as a whole.

        Raises:
            PacsError: the PACS cannot be asked.
            JobCancelledError: it was cancelled.
        """
        try:
            found = self._ask("STUDY", {"StudyInstanceUID": uid}, (*_COUNTS, "SOPClassesInStudy"))
        except (PacsAnswerError, PacsRefusedError) as exc:
            if not _of_the_service(exc):
                raise
            return StudyFacts()
        if not found:
            return StudyFacts()
        classes = frozenset(str(uid) for uid in found[0].get("SOPClassesInStudy") or () if uid)
        # No study is empty.
        series, instances = (number_of(found[0], name) or None for name in _COUNTS)
        return StudyFacts(True, series, instances, classes)

    def series(self, study: str, series: str | None = None) -> list[Record]:
        """The series of a study, or one of them; none where the PACS has no such level. Raises as `study`."""
        matching = {"StudyInstanceUID": study} | ({"SeriesInstanceUID": series} if series else {})
        try:
            found = self._ask("SERIES", matching, _SERIES)
        except (PacsAnswerError, PacsRefusedError) as exc:
            if not _of_the_service(exc):
                raise
            return []
        return [record for record in found if record.get("SeriesInstanceUID")]

    def instances(self, study: str, series: str, *, patient: bool = True) -> Listing:
        """The instances of a series, as far as the PACS lists them.

        Args:
            patient: ask again while it is busy; else that is raised.

        Raises:
            PacsUnreachableError: it is away.
            PacsRefusedError: it is busy.
            JobCancelledError: it was cancelled.
        """
        matching = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        found: list[Record] = []
        try:
            found = self._ask("IMAGE", matching, _INSTANCES, found, patient=patient)
        except PacsError as exc:
            if away(exc):
                raise
            return Listing(found, exc.message)
        return Listing(found)

    def which_of(self, study: str, series: str, instances: Iterable[str]) -> dict[str, str]:
        """Which of these instances the PACS has: SOP Instance UID -> SOP Class UID.

        Raises as `study`.
        """
        wanted = sorted(instances)
        there: dict[str, str] = {}
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            matching: dict[str, str | list[str]] = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
            matching["SOPInstanceUID"] = chunk
            try:
                found = self._ask("IMAGE", matching, _INSTANCES)
            except PacsError as exc:
                if away(exc):
                    raise
                break  # then nobody knows
            for record in found:
                if (uid := str(record.get("SOPInstanceUID") or "")) in chunk:
                    there[uid] = str(record.get("SOPClassUID") or "")
        return there

    def _ask(
        self,
        level: Level,
        matching: Mapping[str, str | list[str]],
        returned: Iterable[str],
        found: list[Record] | None = None,
        *,
        patient: bool = True,
    ) -> list[Record]:
        """Answers that do not contradict the question, also in ``found`` as far as they came before an error."""
        identifier = Dataset()
        for keyword in returned:
            setattr(identifier, keyword, None)
        for keyword, value in matching.items():
            setattr(identifier, keyword, value)
        query = Query(level=level, identifier=identifier)
        is_answer = answer_check(query)
        records: list[Record] = [] if found is None else found

        def ask() -> list[Record]:
            records.clear()
            for record in self._source.find(query, self._cancelled):
                if self._cancelled():
                    raise JobCancelledError("The retrieval was cancelled.")
                if is_answer(record):
                    records.append(record)
            return records

        def when(error: PacsError) -> bool:
            return patient if busy(error) else self._answered and away(error)

        answers = patiently(ask, self._patience, self._cancelled, when)
        self._answered = True
        return answers


def _of_the_service(error: PacsError) -> bool:
    """Whether a PACS that does not answer this may still send what is wanted: it has no such service or level."""
    return isinstance(error, PacsAnswerError) or bool(error.details.get("abstract"))
