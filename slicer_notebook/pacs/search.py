"""Queries as people mean them: down the hierarchy where a PACS goes no other way, with counts, each answer once."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, Final

import msgspec
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement

from slicer_notebook.dicom.attributes import tag_of
from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsError, PacsRefusedError
from slicer_notebook.pacs.keys import UNIQUE, alternatives, answer_check, exact_values, keyword_of, level_of
from slicer_notebook.pacs.model import Cancelled, Level, Query, Record, Source
from slicer_notebook.pacs.patience import busy

__all__ = ["number_of", "search", "with_counts"]

Answers = Generator[Record, None, None]

_log = logging.getLogger(__name__)
#: Levels above, whose unique keys a hierarchical query needs (PS3.4 C.4.1.2.1); the Study Root has none above a study.
_ABOVE: Final[dict[Level, tuple[Level, ...]]] = {
    "PATIENT": (),
    "STUDY": (),
    "SERIES": ("STUDY",),
    "IMAGE": ("STUDY", "SERIES"),
}
#: What tells answers of a level apart. One ID may be that of several patients, from several issuers.
_IDENTITY: Final[dict[Level, tuple[str, ...]]] = {
    "PATIENT": ("IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientID"),
    "STUDY": ("StudyInstanceUID",),
    "SERIES": ("StudyInstanceUID", "SeriesInstanceUID"),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}


def search(source: Source, query: Query, cancelled: Cancelled, *, counts: bool = False) -> Answers:
    """Answers to a query as they come, each once.

    A question below the level of studies that does not name the study (or series) is asked level by level, from the
    study down, unless the source answers it as it is. An answer that contradicts an exact key or a date is left out:
    some PACS answer everything to a key that they do not know.

    Args:
        counts: ask for the numbers of studies, series and instances separately where an answer lacks them.

    Raises:
        PacsError: unreachable, refused, failed.
        JobCancelledError: ``cancelled`` said so.
    """
    found = _Found(query)
    with closing(_each_once(source, query, found, cancelled)) as answers:
        try:
            if counts and query.level != "IMAGE":
                yield from _counted(source, query.level, answers, cancelled)
            else:
                yield from answers
        finally:
            if found.ignored:
                _log.warning(
                    "A PACS gave %d answers that contradict the query: it ignores some of its keys.", found.ignored
                )


class _Found:
    """What one query has brought so far."""

    def __init__(self, query: Query) -> None:
        self._limit = query.limit
        self._seen: set[tuple[str, ...]] = set()
        self._count = 0
        #: answers that contradict the query
        self.ignored = 0

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self._count >= self._limit

    def is_new(self, level: Level, is_answer: bool, record: Record) -> bool:
        """Whether it is an answer, and was none of those before."""
        if not is_answer:
            self.ignored += 1
            return False
        key = tuple(str(record.get(name) or "") for name in _IDENTITY[level])
        if key[-1] and key in self._seen:
            return False
        self._seen.add(key)
        self._count += 1
        return True


def _each_once(source: Source, query: Query, found: _Found, cancelled: Cancelled) -> Answers:
    for question in alternatives(query):
        is_answer = answer_check(question)
        # Answers that do not count do not make a limit full: then all are asked for.
        for limit in dict.fromkeys((query.limit, None)):
            lost = False
            with closing(_walk(source, _with_limit(question, limit), cancelled)) as answers:
                for record in answers:
                    _poll(cancelled)
                    if _needs_modalities(question, record):
                        with_counts(source, "STUDY", record, cancelled)
                    if not found.is_new(question.level, is_answer(record), record):
                        lost = True
                        continue
                    yield record
                    if found.full:
                        return
            if not lost:
                break


def _needs_modalities(query: Query, record: Record) -> bool:
    """Whether a study's answer leaves out the modalities that were a key: the PACS has no such key (PS3.4 C.6.2.1)."""
    return (
        query.level == "STUDY"
        and not record.get("ModalitiesInStudy")
        and bool(_exact(query.identifier, "ModalitiesInStudy"))
    )


def _with_limit(query: Query, limit: int | None) -> Query:
    return query if query.limit == limit else msgspec.structs.replace(query, limit=limit)


def _poll(cancelled: Cancelled) -> None:
    if cancelled():
        raise JobCancelledError("The question was cancelled.")


# -- down the hierarchy ----------------------------------------------------------------------------------------------


def _walk(source: Source, query: Query, cancelled: Cancelled) -> Answers:
    start = _start(query)
    if start is None or getattr(source, "relational", False):
        yield from _direct(source, query, cancelled)
        return
    if query.relational and _relational(source) is not False:
        yield from _direct(source, query, cancelled)
        if _relational(source) is not False:
            return
    elif wanted := _exact(query.identifier, UNIQUE[query.level]):
        # One that is named may be found without a search through the whole PACS: many answer this though they need not.
        named = set(wanted)
        try:
            for record in _direct(source, query, cancelled):
                named.discard(str(record.get(UNIQUE[query.level])))
                yield record
        except (PacsAnswerError, PacsRefusedError):
            _log.info("A PACS does not answer questions that leave out the study.")
        if not named:
            return
    yield from _from_above(source, query, start, cancelled)


def _direct(source: Source, query: Query, cancelled: Cancelled) -> Answers:
    """The source's own answers; the UIDs above that were asked for are in each of them."""
    known = {UNIQUE[level]: _exact(query.identifier, UNIQUE[level]) for level in _ABOVE[query.level]}
    answers = source.find(query, cancelled)
    try:
        for record in answers:
            for name, values in known.items():
                if len(values) == 1 and record.get(name) is None:
                    record[name] = values[0]
            yield record
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()


def _relational(source: Source) -> bool | None:
    """Whether the source's peer has negotiated relational queries; None: not known."""
    learned = getattr(source, "learned", None)
    return None if learned is None else learned.relational


def _start(query: Query) -> Level | None:
    """The level to begin at; None where the question can be asked as it is (PS3.4 C.4.1.2.1).

    That is where each level above has its unique key, alone, and no other.
    """
    for above in _ABOVE[query.level]:
        if len(_exact(query.identifier, UNIQUE[above])) != 1:
            return above
        for element in query.identifier:
            keyword = keyword_of(int(element.tag))
            if keyword != UNIQUE[above] and _goes_up(keyword, above):
                return above
    return None


def _goes_up(keyword: str, above: Level) -> bool:
    level = level_of(keyword)
    return level in ("PATIENT", "STUDY") if above == "STUDY" else level == "SERIES"


def _from_above(source: Source, query: Query, above: Level, cancelled: Cancelled) -> Answers:
    upper, lower = _parted(query, above)
    asked = [keyword_of(int(element.tag)) for element in query.identifier]
    question = Query(level=above, identifier=upper, fuzzy=query.fuzzy)
    with closing(search(source, question, cancelled)) as entities:
        for entity in entities:
            below = Dataset()
            below.update(lower)
            for level in _ABOVE[query.level]:
                if entity.get(UNIQUE[level]):
                    setattr(below, UNIQUE[level], entity[UNIQUE[level]])
            if not below.get(UNIQUE[above]):
                continue  # an answer without what identifies it
            narrower = Query(level=query.level, identifier=below, limit=query.limit)
            with closing(_walk(source, narrower, cancelled)) as answers:
                for answer in answers:
                    # What was asked for and is known from above.
                    for name in asked:
                        if answer.get(name) is None:
                            answer[name] = entity.get(name)
                    yield answer


def _parted(query: Query, above: Level) -> tuple[Dataset, Dataset]:
    """The keys for the level above, and those for the levels below it."""
    upper, lower = Dataset(), Dataset()
    tag = tag_of(UNIQUE[above])
    upper[tag] = DataElement(tag, dictionary_VR(tag), None)
    for element in query.identifier:
        keyword = keyword_of(int(element.tag))
        goes_up = _goes_up(keyword, above)
        if goes_up or (above == "SERIES" and keyword == UNIQUE["STUDY"]):
            upper[element.tag] = element
        if not goes_up:
            lower[element.tag] = element
    return upper, lower


def _exact(identifier: Dataset, keyword: str) -> list[str]:
    """The values of a unique key, without wild cards; empty where it has none."""
    element = identifier.get(tag_of(keyword))
    values = [] if element is None else exact_values(element)
    return [] if any(set("*?") & set(value) for value in values) else values


# -- counts ----------------------------------------------------------------------------------------------------------


def _counted(source: Source, level: Level, answers: Iterator[Record], cancelled: Cancelled) -> Iterator[Record]:
    for record in answers:
        if not _add_counts(source, level, record, cancelled):
            # The peer wants one association at a time: first all answers, then the counts.
            for each in [record, *answers]:
                _add_counts(source, level, each, cancelled)
                yield each
            return
        yield record


def with_counts(source: Source, level: Level, record: Record, cancelled: Cancelled) -> None:
    """Put the numbers of studies, series and instances into an answer that lacks them, by asking below it.

    A PACS that cannot be asked leaves them out.
    """
    _add_counts(source, level, record, cancelled)


def _add_counts(source: Source, level: Level, record: Record, cancelled: Cancelled) -> bool:
    """As `with_counts`; False: the peer takes no further association at the moment."""
    try:
        if level == "PATIENT":
            _count_patient(source, record, cancelled)
        elif level == "STUDY":
            _count_study(source, record, cancelled)
        elif level == "SERIES":
            _count_series(source, record, cancelled)
    except JobCancelledError:
        raise
    except PacsError as exc:
        _log.info("A PACS does not answer a question for counts.")
        return not busy(exc)
    return True


def number_of(record: Record, keyword: str) -> int | None:
    """A count in an answer; None where there is none, or none that is a number."""
    value = record.get(keyword)
    try:
        number = int(str(value)) if value is not None else None
    except ValueError:
        return None
    return number if number is None or number >= 0 else None


def _lacks(record: Record, *keywords: str) -> bool:
    return any(number_of(record, keyword) is None for keyword in keywords)


def _sum(records: Iterable[Record], keyword: str) -> int | None:
    """The sum of a count; None where one of them is not known."""
    numbers = [number_of(record, keyword) for record in records]
    return None if None in numbers else sum(number or 0 for number in numbers)


def _below(level: Level, matching: dict[str, str], returned: tuple[str, ...]) -> Query:
    identifier = Dataset()
    for keyword in returned:
        setattr(identifier, keyword, None)
    for keyword, value in matching.items():
        setattr(identifier, keyword, value)
    return Query(level=level, identifier=identifier)


def _count_patient(source: Source, record: Record, cancelled: Cancelled) -> None:
    names = ("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances")
    patient: Any = record.get("PatientID")
    if not patient or not _lacks(record, *names):
        return
    issuer: Any = record.get("IssuerOfPatientID")
    wanted = ("StudyInstanceUID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
    matching = {"PatientID": str(patient)} | ({"IssuerOfPatientID": str(issuer)} if issuer else {})
    studies = list(search(source, _below("STUDY", matching, wanted), cancelled))
    for study in studies:
        _count_study(source, study, cancelled)
    record[names[0]] = len(studies)
    for name, of_study in zip(names[1:], wanted[1:], strict=True):
        record[name] = _sum(studies, of_study)


def _count_study(source: Source, record: Record, cancelled: Cancelled) -> None:
    names = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
    study = record.get("StudyInstanceUID")
    if not study or not _lacks(record, *names):
        return
    wanted = ("SeriesInstanceUID", "Modality", "NumberOfSeriesRelatedInstances")
    found = list(search(source, _below("SERIES", {"StudyInstanceUID": str(study)}, wanted), cancelled))
    if not found:
        return  # no study is empty: a PACS without this level
    for series in found:
        _count_series(source, series, cancelled)
    for name, number in zip(names, (len(found), _sum(found, wanted[2])), strict=True):
        if number_of(record, name) is None:
            record[name] = number
    if not record.get("ModalitiesInStudy"):
        record["ModalitiesInStudy"] = sorted({str(each["Modality"]) for each in found if each.get("Modality")}) or None


def _count_series(source: Source, record: Record, cancelled: Cancelled) -> None:
    study, series = record.get("StudyInstanceUID"), record.get("SeriesInstanceUID")
    if not study or not series or not _lacks(record, "NumberOfSeriesRelatedInstances"):
        return
    matching = {"StudyInstanceUID": str(study), "SeriesInstanceUID": str(series)}
    found = list(search(source, _below("IMAGE", matching, ("SOPInstanceUID",)), cancelled))
    if found:  # no series is empty: a PACS without this level
        record["NumberOfSeriesRelatedInstances"] = len(found)
