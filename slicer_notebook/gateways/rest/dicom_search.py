"""QIDO-RS (PS3.18 8.3.4, 10.6): what a search asks for, and the index's answers to it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.levels import SERIES_KEYWORDS, STUDY_KEYWORDS
from slicer_notebook.dicom.records import Instance, Series, Study
from slicer_notebook.dicom.text import fold
from slicer_notebook.errors import ArgumentError
from slicer_notebook.gateways.rest.dicom_json import Item, item_of_record, tag_and_vr

__all__ = ["Level", "Search", "found", "parse"]

Level = Literal["studies", "series", "instances"]

#: Answers among all studies without a limit, as upstream gives.
LIMIT: Final = 100
#: Answers to one search at most; more are told of by a Warning header (PS3.18 8.3.4.4).
MOST: Final = 20_000
#: Attributes that one search may name: more than there are at any level.
_MOST_KEYS: Final = 256
#: Records that are looked at in one go where not all conditions are the index's.
_PAGE: Final = 500
_UNITS: Final = "299 slicer-notebook "

#: Returned without being asked for (PS3.18 tables 10.6.3-3 to -5, and those that viewers need).
_STUDY: Final = (
    "StudyDate", "StudyTime", "AccessionNumber", "InstanceAvailability", "ModalitiesInStudy", "ReferringPhysicianName",
    "StudyDescription", "RetrieveURL", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
    "StudyID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
)  # fmt: skip
_SERIES: Final = (
    "InstanceAvailability", "Modality", "SeriesDescription", "RetrieveURL", "StudyInstanceUID", "SeriesInstanceUID",
    "SeriesNumber", "NumberOfSeriesRelatedInstances", "SeriesDate", "SeriesTime", "BodyPartExamined",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "RequestAttributesSequence",
)  # fmt: skip
_INSTANCES: Final = (
    "InstanceAvailability", "SOPClassUID", "SOPInstanceUID", "RetrieveURL", "StudyInstanceUID", "SeriesInstanceUID",
    "InstanceNumber", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "NumberOfFrames",
    "AvailableTransferSyntaxUID",
)  # fmt: skip
_RETURNED: Final[dict[Level, tuple[str, ...]]] = {"studies": _STUDY, "series": _SERIES, "instances": _INSTANCES}

#: Made here, not in any record.
_MADE: Final = frozenset({"RetrieveURL", "InstanceAvailability", "AvailableTransferSyntaxUID"})
_IS_KEYWORD: Final = re.compile(r"[A-Z][A-Za-z0-9]*")
#: What the index can be asked about, by level.
_OF_STUDY: Final = frozenset(STUDY_KEYWORDS)
_OF_SERIES: Final = _OF_STUDY | frozenset(SERIES_KEYWORDS)


def _attributes(record: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(
        name for name in record.__struct_fields__ if _IS_KEYWORD.fullmatch(name) and tag_for_keyword(name) is not None
    )


_HAS: Final[dict[Level, frozenset[str]]] = {
    "studies": _attributes(Study),
    "series": _attributes(Series),
    "instances": _attributes(Instance),
}
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_TRUE: Final = {"true": True, "false": False}
#: Parameters of a request that are none of a search.
_PASSED_OVER: Final = frozenset({"accept", "charset"})


class Check(NamedTuple):
    """A condition that the index does not know: keywords down to an attribute, and what its value must be."""

    path: tuple[str, ...]
    vr: str
    wanted: tuple[str, ...]
    fuzzy: bool = False

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether a record meets it: in any item of a sequence, any value of several (PS3.4 C.2.2.2)."""
        matches = _sounds_like if self.fuzzy else _matches
        return any(matches(self.vr, text, value) for value in _values(values, self.path) for text in self.wanted)


class Search(NamedTuple):
    """What is asked for.

    Attributes:
        filters: conditions for `Index.studies` and `Index.series`.
        checks: those that are left.
        include: attributes to be returned, by keyword or tag, beside those that always are.
        limit: answers at most; never more than `MOST`.
        warnings: values of Warning headers.
    """

    level: Level
    filters: dict[str, Any]
    checks: tuple[Check, ...]
    include: tuple[str, ...]
    limit: int
    offset: int
    warnings: tuple[str, ...]


class _Parsing:
    """The parameters of one search."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self.conditions: dict[tuple[str, ...], str] = {}
        self.include: dict[str, None] = {}
        self.limit: int | None = None
        self.offset = 0
        self.fuzzy = False
        self.warnings: list[str] = []
        self.seen: set[str] = set()

    def take(self, name: str, value: str) -> None:
        if name == "includefield":
            for each in value.split(","):
                self._include(each.strip())
            return
        lowered = name.lower()
        if lowered in self.seen:
            raise ArgumentError("A parameter comes twice.", expected="each once", got=name)
        self.seen.add(lowered)
        if lowered == "limit":
            self.limit = _number(name, value)
        elif lowered == "offset":
            self.offset = _number(name, value)
        elif lowered == "fuzzymatching":
            if value.lower() not in _TRUE:
                raise ArgumentError("The parameter fuzzymatching.", expected="true or false", got=value)
            self.fuzzy = _TRUE[value.lower()]
        elif lowered not in _PASSED_OVER:
            self._condition(name, value)

    def _warn(self, text: str) -> None:
        self.warnings.append(f'{_UNITS}"{text}"')

    def _include(self, name: str) -> None:
        if name.lower() == "all":
            self.include.update(dict.fromkeys(sorted(_HAS[self.level])))
        elif name:
            self.include[_path(name)[0]] = None

    def _condition(self, name: str, value: str) -> None:
        path = _path(name)
        if path in self.conditions:
            raise ArgumentError("An attribute comes twice.", expected="each once", got=name)
        known = _HAS[self.level] | _OF_SERIES
        if path[0] not in known or path[0] in _MADE:
            raise ArgumentError(
                f"There is no search among {self.level} by {path[0]}.", expected=", ".join(sorted(known)), got=name
            )
        if path[0] in _HAS[self.level]:
            # In the answers as well, whether with a value or without one (universal matching, PS3.4 C.2.2.2.3).
            self.include[path[0]] = None
        text = value.strip(" \0")
        if text.strip("*"):
            self.conditions[path] = text

    def result(self) -> Search:
        filters: dict[str, Any] = {}
        checks: list[Check] = []
        for path, text in self.conditions.items():
            vr = tag_and_vr(path[-1])[1]
            # Only of these are commas and backslashes between values and not part of one.
            wanted = tuple(filter(None, re.split(r"[,\\]", text))) if vr in ("UI", "CS") else (text,)
            words = _words(text) if self.fuzzy and vr == "PN" else []
            if words:
                checks.append(Check(path, vr, (text,), fuzzy=True))
                if len(path) == 1 and path[0] in _OF_SERIES:
                    # The index leaves those that have at least this.
                    filters[path[0]] = f"*{max(words, key=len)}*"
            # Attributes of series among studies: of any of a study's series.
            elif len(path) == 1 and path[0] in _OF_SERIES and vr != "SQ":
                filters[path[0]] = list(wanted)
            else:
                checks.append(Check(path, vr, wanted))
        default = LIMIT if self.level == "studies" else MOST
        limit = default if self.limit is None else self.limit
        if limit > MOST:
            self._warn(f"There are at most {MOST} results at a time; the next ones can be had with offset.")
        return Search(
            self.level, filters, tuple(checks), tuple(self.include), min(limit, MOST), self.offset, tuple(self.warnings)
        )


def parse(level: Level, parameters: Iterable[tuple[str, str]]) -> Search:
    """The search that a URL's query asks for.

    Raises:
        ArgumentError: an attribute that is none, or that nothing is known of at this level; a value that is none.
    """
    parsing = _Parsing(level)
    for number, (name, value) in enumerate(parameters):
        if number >= _MOST_KEYS or "\0" in value or not value.isprintable():
            raise ArgumentError("That is no search.", expected=f"at most {_MOST_KEYS} parameters of printable text")
        parsing.take(name, value)
    return parsing.result()


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise ArgumentError(f"The parameter {name}.", expected="a whole number, 0 or more", got=value)
    return int(value)


def _path(name: str) -> tuple[str, ...]:
    """Keywords of an attribute, and of the sequences around it: ``Keyword``, ``ggggeeee``, or several with points."""
    path: list[str] = []
    for part in name.split("."):
        tag = tag_for_keyword(part)
        if tag is None and _TAG.fullmatch(part):
            tag = int(part, 16)
        keyword = keyword_for_tag(tag) if tag is not None else ""
        if tag is None or (not keyword and path):
            raise ArgumentError("There is no such DICOM attribute.", expected="a keyword of PS3.6 or a tag", got=name)
        path.append(keyword or f"{tag:08X}")
    for part in path[:-1]:
        if dictionary_VR(part) != "SQ":
            raise ArgumentError(f"{part} is no sequence.", expected="an attribute's name", got=name)
    return tuple(path)


# -- matching of what the index does not match ------------------------------------------------------------------------


def _values(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Any]:
    value = values.get(path[0])
    for each in value if isinstance(value, list | tuple) else [value]:
        if len(path) == 1:
            yield each
        elif isinstance(each, Mapping):
            yield from _values(each, path[1:])


def _matches(vr: str, text: str, value: Any) -> bool:
    if value is None:
        return False
    if isinstance(value, int | float):
        try:
            return float(text) == value
        except ValueError:
            return False
    written = str(value)
    if vr in ("DA", "TM", "DT") and "-" in text:
        first, _, last = text.partition("-")
        return (not first or written >= first) and (not last or written <= last + "\x7f")
    pattern = re.escape(fold(text)).replace(r"\*", ".*").replace(r"\?", ".")
    folded = fold(written)
    groups = (folded, *folded.split("=")) if vr == "PN" else (folded,)
    return any(re.fullmatch(pattern, group, re.DOTALL) for group in groups)


def _words(text: str) -> list[str]:
    """Words of a name, without case and accents, and without what wild cards would mean."""
    return [word for word in re.split(r"[\s^=,.*?\\-]+", fold(text)) if word]


def _sounds_like(_vr: str, text: str, value: Any) -> bool:
    """Fuzzy matching of names (PS3.4 C.2.2.2.1.1, whose rules are ours to say): each word begins one of the name's, in
    any order."""
    there = _words(str(value)) if value is not None else []
    return all(any(each.startswith(word) for each in there) for word in _words(text))


# -- answers ----------------------------------------------------------------------------------------------------------


def found(
    index: Index, search: Search, url: Callable[..., str], study: str | None = None, series: str | None = None
) -> Iterator[Item]:
    """The answers, in the DICOM JSON model, one by one: all at once would be millions of small objects.

    Args:
        url: gives the URL of a study, of a series of it, of an instance of that: by its UIDs.
        study, series: only of these.

    Raises:
        UidNotFoundError: no such study or series.
        ArgumentError: a value that is none for its attribute.
    """
    returned: tuple[str, ...]
    if search.level == "instances":
        returned = (*_STUDY_OF_ANY, *_INSTANCES) if study is None else _INSTANCES
    elif search.level == "series":
        returned = (*_STUDY_OF_ANY, *_SERIES) if study is None else _SERIES
    else:
        returned = _STUDY
    keywords = tuple(dict.fromkeys((*returned, *search.include)))
    elsewhere = [name for name in search.include if name not in _HAS[search.level] and name not in _MADE]
    kept = tuple(name for name in keywords if name not in elsewhere)
    for each in _matching(index, search, study, series):
        if elsewhere and isinstance(each, Instance):
            yield _with_more(index, each, keywords, elsewhere, url)
        else:
            yield item_of_record(_plain(each, kept, url), kept)


#: Of the study, in searches among all series and instances.
_STUDY_OF_ANY: Final = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription", "PatientName",
    "PatientID", "PatientBirthDate", "PatientSex", "StudyID",
)  # fmt: skip


def _with_more(
    index: Index, instance: Instance, keywords: tuple[str, ...], elsewhere: list[str], url: Callable[..., str]
) -> Item:
    """Attributes that the index does not hold, from the instance's file."""
    more = index.attributes([instance.SOPInstanceUID], elsewhere)[instance.SOPInstanceUID]
    return item_of_record({**_plain(instance, keywords, url), **more}, keywords)


def _plain(record: Study | Series | Instance, keywords: Iterable[str], url: Callable[..., str]) -> dict[str, Any]:
    values = {name: getattr(record, name, None) for name in keywords}
    uids = [getattr(record, name, None) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    values["RetrieveURL"] = url(*(uid for uid in uids if uid))
    values["InstanceAvailability"] = "ONLINE"
    values["AvailableTransferSyntaxUID"] = getattr(record, "TransferSyntaxUID", None) or None
    return values


def _matching(
    index: Index, search: Search, study: str | None, series: str | None
) -> Iterable[Study | Series | Instance]:
    if search.level != "instances" and not search.checks:
        limits = {"limit": search.limit, "offset": search.offset}
        if search.level == "studies":
            return index.studies(**limits, **search.filters)
        return index.series(study, **limits, **search.filters)
    every = _every(index, search, study, series)
    kept = (each for each in every if all(check.holds(_own(each)) for check in search.checks))
    return itertools.islice(kept, search.offset, search.offset + search.limit)


def _own(record: Study | Series | Instance) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _every(index: Index, search: Search, study: str | None, series: str | None) -> Iterator[Study | Series | Instance]:
    """What the index's own conditions leave, some at a time; instances series by series."""
    if series is not None:
        instances = index.instances(series, study=study)  # says so where there are none
        if any(each.SeriesInstanceUID == series for each in index.series(study, **search.filters)):
            yield from instances
        return
    for start in itertools.count(0, _PAGE):
        if search.level == "studies":
            page: list[Any] = index.studies(limit=_PAGE, offset=start, **search.filters)
        else:
            page = index.series(study, limit=_PAGE, offset=start, **search.filters)
        for each in page:
            if search.level == "instances":
                yield from index.instances(each)
            else:
                yield each
        if len(page) < _PAGE:
            return
