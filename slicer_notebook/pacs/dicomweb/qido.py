"""QIDO-RS (PS3.18 10.6): answers page by page, each once, whatever the server makes of limit, offset and keys."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import msgspec

from slicer_notebook.errors import PacsAnswerError
from slicer_notebook.pacs.dicomweb.client import Answer, Client
from slicer_notebook.pacs.dicomweb.failures import status_of
from slicer_notebook.pacs.dicomweb.items import Item, ItemsError, items_of
from slicer_notebook.pacs.dicomweb.network import check_cancelled
from slicer_notebook.pacs.dicomweb.qido_keys import Ask, Parameter, asks_of, loosened, single
from slicer_notebook.pacs.model import Cancelled, Query, Record
from slicer_notebook.pacs.records import JsonElement, name_of, record_of_json

__all__ = ["JSON", "Qido", "json_items"]

_log = logging.getLogger(__name__)

#: What we accept where JSON is due.
JSON: Final = "application/dicom+json"
#: Answers of the first request, and of the largest: the first page soon, and few requests.
_FIRST_PAGE: Final = 200
_LARGEST_PAGE: Final = 5000
_GROWTH: Final = 5
#: The fewest that are asked for to make a limit full.
_SMALLEST_PAGE: Final = 100
#: Answers to one query: more than a million are a server that never ends, or a query that nobody wants.
MOST_ANSWERS: Final = 1_000_000


class Qido:
    """Searches at one root.

    Args:
        client: asks.
        more: parameters of searches among studies (Kheops' ``album``).
    """

    def __init__(self, client: Client, more: tuple[Parameter, ...] = ()) -> None:
        self._client = client
        self._learned = client.learned
        self._name = client.place.server
        self._more = more
        #: whether a list of UIDs is understood; None: not known
        self._lists: bool | None = None
        self._accept = JSON

    def find(self, query: Query, cancelled: Cancelled) -> Iterator[Record]:
        """Answers as they come, each once; no more than ``query.limit``.

        Raises:
            PacsUnreachableError, PacsRefusedError: no connection, no right.
            PacsAnswerError: an error of the server, or an answer that is none.
            JobCancelledError: ``cancelled`` said so.
        """
        found = _Found(query)
        for ask in asks_of(query, self._more):
            before = found.count
            yield from self._records(ask, found, cancelled)
            looser = loosened(ask) if found.count == before else None
            if looser is not None:
                yield from self._records(looser, found, cancelled)
            if found.full:
                return

    def _records(self, ask: Ask, found: _Found, cancelled: Cancelled) -> Iterator[Record]:
        for items in self._asked(ask, found, cancelled):
            for item in items:
                record = found.record(ask, item)
                if record is not None:
                    yield record
                if found.full:
                    break
            if found.full:
                break
            check_cancelled(cancelled)
        found.warn_of_ignored_keys(ask, self._name)

    # -- lists of UIDs ------------------------------------------------------------------------------------------------

    def _asked(self, ask: Ask, found: _Found, cancelled: Cancelled) -> Iterator[list[Item]]:
        """New answers; for a list of UIDs also where the server takes it for one UID, or for none."""
        if len(ask.wanted) <= 1:
            yield from self._paged(ask, found, cancelled)
            return
        if self._lists is not False:
            try:
                yield from self._paged(ask, found, cancelled)
            except PacsAnswerError as exc:
                if status_of(exc) not in (400, 414):
                    raise
            missing = [uid for uid in ask.wanted if uid not in found.uids]
            if not missing:
                self._lists = True
            if self._lists:
                return
        else:
            missing = [uid for uid in ask.wanted if uid not in found.uids]
        for uid in missing:
            for items in self._paged(single(ask, uid), found, cancelled):
                if items:
                    self._lists = False
                yield items

    # -- pages --------------------------------------------------------------------------------------------------------

    def _paged(self, ask: Ask, found: _Found, cancelled: Cancelled) -> Iterator[list[Item]]:
        """New answers, until a page brings none: how many a page has says nothing."""
        if self._learned.paging is False:
            yield from self._whole(ask, found, cancelled)
            return
        # UIDs of this request's answers: other requests of the query may have brought the same ones.
        seen: set[str] = set()
        offset, size, unstable, unlimited = 0, _FIRST_PAGE, False, False
        while True:
            asked = size if found.left is None else min(size, max(found.left, _SMALLEST_PAGE if offset else 1))
            before, count = len(seen), 0
            paging = [("limit", str(asked)), *([("offset", str(offset))] if offset else [])]
            try:
                for items in self._page(ask, paging, found, cancelled):
                    count += len(items)
                    yield found.new(ask, items, seen)
                    if found.full or found.all_of(ask):
                        return
            except PacsAnswerError as exc:
                if not offset or status_of(exc) not in (400, 404, 501):
                    raise
                count = 1  # it does not know offset; nothing new
            new = len(seen) - before
            unlimited = unlimited or (not offset and count > asked)
            if not count:
                break
            if not new:
                self._learned.paging = False
                if not unlimited:
                    yield from self._whole(ask, found, cancelled)
                return
            unstable = unstable or new < count
            offset += count
            size = min(size * _GROWTH, _LARGEST_PAGE)
        if unstable:
            # Pages that overlap have gaps as well, where the order of answers changes between them.
            yield from self._whole(ask, found, cancelled)
        elif offset and not unlimited:
            self._learned.paging = True

    def _whole(self, ask: Ask, found: _Found, cancelled: Cancelled) -> Iterator[list[Item]]:
        """New answers, asked for without an offset, which this server does not honour."""
        before, limit = found.count, found.left
        for paging in ([("limit", str(limit))], []) if limit is not None else ([],):
            count, seen = 0, set[str]()
            for items in self._page(ask, paging, found, cancelled):
                count += len(items)
                yield found.new(ask, items, seen)
                if found.full or found.all_of(ask):
                    return
            if limit is None or count < limit or found.count - before >= limit:
                return

    def _page(self, ask: Ask, paging: list[Parameter], found: _Found, cancelled: Cancelled) -> Iterator[list[Item]]:
        """One request's answers."""
        accepts = [JSON, "application/json"]
        while True:
            try:
                yield from self._sent(ask, ask.query(*paging, include=found.include), cancelled)
            except PacsAnswerError as exc:
                status = status_of(exc)
                if status == 406 and self._accept != accepts[-1]:
                    self._accept = accepts[-1]
                elif status == 400 and ask.include and found.include:
                    found.include = False
                    _log.warning("%s chooses itself which attributes it returns.", f"The PACS {self._name!r}")
                elif status == 404 and ask.path.startswith("/studies/") and self._has_studies(ask, cancelled):
                    return  # no such study or series
                else:
                    raise
            else:
                return

    def _has_studies(self, ask: Ask, cancelled: Cancelled) -> bool:
        """Whether searching among studies works: then 404 says that a study is not there, not that a path is not."""
        with self._client.stream(
            "/studies",
            query="&".join(
                f"{name}={quote(value)}" for name, value in (*ask.known.items(), *self._more, ("limit", "1"))
            ),
            what="QIDO-RS /studies",
            accept=self._accept,
            cancelled=cancelled,
        ) as answer:
            return 200 <= answer.status < 300

    def _sent(self, ask: Ask, query: str, cancelled: Cancelled) -> Iterator[list[Item]]:
        what = "QIDO-RS " + "/".join(part for part in ask.path.split("/") if not part[:1].isdigit())
        with self._client.stream(
            ask.path, query=query, what=what, accept=self._accept, packed=True, cancelled=cancelled
        ) as answer:
            known = answer.status < 300 or answer.status in (400, 404, 405, 501)
            if known and not ask.path.startswith("/studies"):
                # A search below studies that names none: not all servers have that.
                self._learned.relational = answer.status < 300
            answer.check()
            if ask.fuzzy and "fuzzymatching" in answer.headers.get("warning", ""):
                self._learned.fuzzy = False  # PS3.18 8.3.4.2
            yield from json_items(answer)


def json_items(answer: Answer, *, plain: bool = False) -> Iterator[list[Item]]:
    """The objects of an answer in the DICOM JSON model as they come; none for 204 and for an empty body.

    Raises:
        PacsAnswerError: it is something else, or in another character set than UTF-8 (RFC 8259 8.1).
        PacsUnreachableError: it broke off.
    """
    if answer.status == 204:
        return
    kind, parameters = answer.content_type
    if kind and not (kind.endswith("+json") or kind == "application/json"):
        raise answer.unexpected(
            JSON, f"content type {kind}", hint="A sign-in page, or a path that is not the DICOMweb root."
        )
    charset = parameters.get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise answer.unexpected("JSON in UTF-8", f"character set {charset}")
    try:
        yield from items_of(answer.chunks(), plain=plain)
    except ItemsError as exc:
        raise answer.unexpected("a JSON array of objects", str(exc)) from exc


class _Found:
    """What one query has brought so far."""

    def __init__(self, query: Query) -> None:
        self._limit = query.limit
        self._patients: set[Any] | None = set() if query.level == "PATIENT" else None
        #: UIDs of answers, to tell new ones from others
        self.uids: set[str] = set()
        self.count = 0
        #: whether the server takes the names of attributes to be returned
        self.include = True
        self._ignored: dict[str, int] = {}

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self.count >= self._limit

    @property
    def left(self) -> int | None:
        """How many answers to ask for at most; None for all. Of patients nobody knows how many studies they have."""
        return None if self._limit is None or self._patients is not None else self._limit - self.count

    def all_of(self, ask: Ask) -> bool:
        """Whether all UIDs that were asked for are here: there can be no more answers."""
        return bool(ask.wanted) and all(uid in self.uids for uid in ask.wanted)

    def new(self, ask: Ask, items: list[Item], seen: set[str]) -> list[Item]:
        """Those that were not there before; ``seen`` is told the UIDs of all."""
        tag = f"{ask.unique:08X}"
        found = []
        for item in items:
            uid = _value(item, tag) or msgspec.json.encode(item).decode()  # faulty, but an answer
            seen.add(uid)
            if uid not in self.uids:
                self.uids.add(uid)
                found.append(item)
        if len(self.uids) > MOST_ANSWERS:
            raise PacsAnswerError(
                f"The PACS has more than {MOST_ANSWERS:,} answers, or never ends.", hint="Narrow the query."
            )
        return found

    def record(self, ask: Ask, item: Item) -> Record | None:
        """The answer; None if it is none to the query, or of a patient who was there before."""
        for check in ask.checks:
            value = _value(item, check.tag)
            if value is not None and check.says_no(value):
                self._ignored[check.name] = self._ignored.get(check.name, 0) + 1
                return None
        if ask.patterns and _contradicts(ask, item):
            return None
        if self._patients is not None:
            patient = _patient_of(item)
            if patient in self._patients:
                return None
            self._patients.add(patient)
            # What is not the patient's is the study's that happened to come first.
            item = {tag: element for tag, element in item.items() if tag[:4] == "0010" or tag in _OF_PATIENT}
        record = record_of_json(item)
        for name, uid in ask.known.items():
            if record.get(name) is None:
                record[name] = uid
        self.count += 1
        return record

    def warn_of_ignored_keys(self, ask: Ask, server: str) -> None:
        """Say, without what was asked for, which keys the server does not know."""
        for name, count in self._ignored.items():
            _log.warning(
                "The PACS %r ignored the key %s of a search (%s): %d answers that do not match were left out.",
                server,
                name,
                ask.path.rpartition("/")[2],
                count,
            )
        self._ignored.clear()


#: Specific Character Set, and the counts of what is related to a patient.
_OF_PATIENT: Final = frozenset({"00080005", "00201200", "00201202", "00201204"})


def _value(item: Item, tag: str) -> str | None:
    """The first value of an attribute, if it is text."""
    element = item.get(tag)
    values = (
        element.Value
        if isinstance(element, JsonElement)
        else element.get("Value")
        if isinstance(element, dict)
        else None
    )
    value = values[0] if isinstance(values, list) and values else None
    return value if isinstance(value, str) else None


def _contradicts(ask: Ask, item: Item) -> bool:
    record = record_of_json({pattern.tag: item[pattern.tag] for pattern in ask.patterns if pattern.tag in item})
    return any(pattern.says_no(str(record.get(name_of(int(pattern.tag, 16))[0]) or "")) for pattern in ask.patterns)


def _patient_of(item: Item) -> tuple[str | None, ...]:
    """What tells patients apart: the ID and who issued it, else what there is."""
    patient_id = _value(item, "00100020")
    if patient_id and patient_id.strip():
        return patient_id.strip(), _value(item, "00100021")
    record = record_of_json({tag: item[tag] for tag in ("00100010", "00100030", "00100040") if tag in item})
    return None, *(str(record.get(name)) for name in ("PatientName", "PatientBirthDate", "PatientSex"))
