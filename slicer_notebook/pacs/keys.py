"""A query's keys, as a person writes them, as an identifier (PS3.4 C.2.2.2, C.6)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence as DicomSequence
from pydicom.valuerep import PersonName

from slicer_notebook.dicom.attributes import tag_of
from slicer_notebook.dicom.records import PatientAttributes, SeriesAttributes, StudyAttributes
from slicer_notebook.errors import ArgumentError
from slicer_notebook.pacs.model import LEVELS, Level, Query, Record
from slicer_notebook.pacs.moments import MOMENTS, in_range, moment, moments

__all__ = [
    "RETURNED",
    "UNIQUE",
    "alternatives",
    "answer_check",
    "build_query",
    "exact_values",
    "is_wild",
    "keyword_of",
    "level_of",
    "lowest_level",
    "matches",
    "names_something",
    "normal_level",
    "only_wild",
]

#: Unique key of each level (PS3.4 C.6.1.1, C.6.2.1).
UNIQUE: Final[dict[Level, str]] = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
_PATIENT: Final = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
#: What is asked for without being named.
RETURNED: Final[dict[Level, tuple[str, ...]]] = {
    "PATIENT": (
        *_PATIENT,
        "NumberOfPatientRelatedStudies",
        "NumberOfPatientRelatedSeries",
        "NumberOfPatientRelatedInstances",
    ),
    "STUDY": (
        *_PATIENT,
        "StudyInstanceUID",
        "StudyID",
        "StudyDate",
        "StudyTime",
        "StudyDescription",
        "AccessionNumber",
        "ModalitiesInStudy",
        "ReferringPhysicianName",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    "SERIES": (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SeriesNumber",
        "SeriesDescription",
        "SeriesDate",
        "SeriesTime",
        "Modality",
        "BodyPartExamined",
        "ProtocolName",
        "NumberOfSeriesRelatedInstances",
    ),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}
_NAMES: Final[dict[str, Level]] = {
    **{level: level for level in LEVELS},
    "INSTANCE": "IMAGE",
    "PATIENTS": "PATIENT",
    "STUDIES": "STUDY",
    "IMAGES": "IMAGE",
    "INSTANCES": "IMAGE",
}
_OF_STUDY: Final = frozenset(StudyAttributes.__struct_fields__) - frozenset(PatientAttributes.__struct_fields__) | {
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "InstanceAvailability",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
}
_OF_SERIES: Final = (frozenset(SeriesAttributes.__struct_fields__) - frozenset(StudyAttributes.__struct_fields__)) | {
    "NumberOfSeriesRelatedInstances"
}
_WHOLE: Final = frozenset({"IS", "SS", "US", "SL", "UL", "SV", "UV"})
_REAL: Final = frozenset({"DS", "FL", "FD"})
_TEXTS: Final = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"})
#: Texts in which a backslash is a character like any other (PS3.5 6.2).
_ONE_TEXT: Final = frozenset({"LT", "ST", "UR", "UT"})
#: Attributes that say what is asked, not what for: the sources put them in.
_OURS: Final = {
    "QueryRetrieveLevel": "level=... says it",
    "SpecificCharacterSet": "the texts decide it; charset=... of the PACS's configuration, where it must be another",
}
#: UIDs in one question: an identifier of 12 kB. A PACS may take no longer one, nor a server such a URL.
_MOST_UIDS: Final = 150
#: Questions that one with lists of values may become.
_MOST_QUESTIONS: Final = 1000
#: Exact values of these are looked at in the answers: a PACS that does not know a key answers everything.
_CHECKED: Final = (
    "PatientID",
    "AccessionNumber",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "Modality",
    "ModalitiesInStudy",
)


def normal_level(level: str) -> Level:
    """A level by any of its names. Raises `ArgumentError`."""
    found = _NAMES.get(str(level).strip().upper())
    if found is None:
        raise ArgumentError("The level of a query.", expected=", ".join(LEVELS), got=repr(level))
    return found


def level_of(keyword: str) -> Level | None:
    """The level that an attribute belongs to; None for those of instances, and of no standard."""
    if keyword in PatientAttributes.__struct_fields__ or keyword.startswith("NumberOfPatientRelated"):
        return "PATIENT"
    if keyword in _OF_STUDY:
        return "STUDY"
    return "SERIES" if keyword in _OF_SERIES else None


def build_query(
    level: str,
    keys: Mapping[str, Any],
    *,
    include: Iterable[str] = (),
    limit: int | None = None,
    fuzzy: bool = False,
    relational: bool = False,
) -> Query:
    """A query.

    Args:
        keys: keyword (or tag as ``0019,100C``; ``Sequence.Attribute`` for one in a sequence) -> what it must match:
            text with ``*`` and ``?``; a number; a date or time, or a pair of them (a range, None for an open end); a
            list or set of values, or a text with backslashes between them (any of; of two dates only a set is none
            but these two); a mapping for a sequence's item; None or "" to have it returned.
        include: keywords to be returned besides the usual ones.

    Raises:
        ArgumentError: no such level or attribute, or a value that is none.
    """
    normal = normal_level(level)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ArgumentError("The limit of a query.", expected="at least 1, or None", got=repr(limit))
    identifier = Dataset()
    for keyword in (*RETURNED[normal], *include):
        _put(identifier, keyword, None)
    for keyword, value in keys.items():
        _put(identifier, keyword, value)
    query = Query(level=normal, identifier=identifier, limit=limit, fuzzy=fuzzy, relational=relational)
    count = math.prod(len(values) for values in _divided(identifier).values())
    if count > _MOST_QUESTIONS:
        raise ArgumentError(
            "Too many values in the lists of this query.",
            expected=f"at most {_MOST_QUESTIONS} combinations of them",
            got=str(count),
            hint="Ask with fewer lists at a time.",
        )
    return query


def _put(dataset: Dataset, name: str, value: Any) -> None:
    head, dot, rest = name.partition(".")
    tag = tag_of(head)
    if tag >> 16 <= 0x0006 or tag >> 16 == 0x7FE0:
        raise ArgumentError(
            f"{head} is no key of a query.", expected="an attribute of patients, studies, series, images"
        )
    if keyword_of(tag) in _OURS:
        raise ArgumentError(f"{head} is no key of a query.", hint=_OURS[keyword_of(tag)])
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        vr = "LO"  # private: most are texts
    vr = vr.split(" ")[0]
    if dot or isinstance(value, Mapping) or vr == "SQ":
        if vr != "SQ":
            raise ArgumentError(f"{head} is no sequence.", expected="an attribute of VR SQ", got=vr)
        _put_sequence(dataset, head, tag, rest, value)
        return
    dataset[tag] = DataElement(tag, vr, _value(head, vr, value), validation_mode=IGNORE)


def _put_sequence(dataset: Dataset, head: str, tag: int, rest: str, value: Any) -> None:
    items = list(dataset[tag].value) if tag in dataset else []
    item = items[0] if items else Dataset()
    if rest:
        _put(item, rest, value)
    elif isinstance(value, Mapping):
        for keyword, inner in value.items():
            _put(item, str(keyword), inner)
    elif value not in (None, ""):
        raise ArgumentError(
            f"The key {head}.", expected="a mapping, as {'Modality': 'CT'}, for a sequence", got=type(value).__name__
        )
    for element in item:
        if element.VR != "SQ" and len(exact_values(element)) > 1:
            raise ArgumentError(
                f"The key {head}.{keyword_of(int(element.tag))}.", expected="one value in a sequence", got="several"
            )
    # Without an item, all of it is returned, whatever it is (PS3.4 C.2.2.2.3).
    dataset[tag] = DataElement(tag, "SQ", DicomSequence([item] if len(item) else []))


def _value(keyword: str, vr: str, value: Any) -> Any:
    """What a key has to match, as a data set has it; None for anything."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, list | tuple) and vr in MOMENTS:
        return moments(keyword, vr, value)
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    elif isinstance(value, str) and "\\" in value and vr not in _ONE_TEXT:
        value = value.split("\\")
    if not isinstance(value, list | tuple):
        return _single(keyword, vr, value)
    found = list(dict.fromkeys(None if each is None else _single(keyword, vr, each) for each in value))
    if not found or None in found:
        # It would match everything, where nobody wants that.
        raise ArgumentError(f"The key {keyword}.", expected="a list of values", got="an empty list, or an empty value")
    return found if len(found) > 1 else found[0]


def _single(keyword: str, vr: str, value: Any) -> Any:
    if hasattr(value, "item") and not isinstance(value, str | int | float):
        value = value.item()  # a number of numpy, out of a table
    if isinstance(value, str | PersonName):
        value = str(value).strip()
        if any(ord(character) < 32 and character != "\x1b" for character in value):
            raise ArgumentError(f"The key {keyword}.", expected="text without control characters", got="one with some")
        if not value.strip("*"):
            return "*" if value and vr in _TEXTS and vr != "UI" else None  # wild cards are for texts (PS3.4 C.2.2.2.4)
    if vr in MOMENTS:
        return moment(keyword, vr, value)
    if vr == "AT":
        return tag_of(str(value))
    if vr in _WHOLE or vr in _REAL:
        return _number(keyword, vr, value)
    if vr not in _TEXTS:
        raise ArgumentError(f"The key {keyword}.", expected=f"None, to have it returned: VR {vr} cannot be matched")
    if isinstance(value, bool) or not isinstance(value, str | int | float) or str(value) == "nan":
        raise ArgumentError(f"The key {keyword}.", expected="text or a number", got=_kind(value))
    # Code strings have capitals only (PS3.5 6.2).
    return str(value).upper() if vr == "CS" else str(value)


def _number(keyword: str, vr: str, value: Any) -> Any:
    expected = "a whole number" if vr in _WHOLE else "a number"
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if not math.isfinite(number) or (vr in _WHOLE and number != int(number)):
            raise ValueError
    except (TypeError, ValueError):
        raise ArgumentError(f"The key {keyword}.", expected=expected, got=_kind(value)) from None
    if vr == "DS":
        return value if isinstance(value, str) else f"{number:.15g}"[:16]
    return int(value) if vr in _WHOLE else number


def _kind(value: Any) -> str:
    """What a value is, without saying it: it may be a patient's."""
    return f"text of {len(value)} characters" if isinstance(value, str) else type(value).__name__


def is_wild(value: Any) -> bool:
    """Whether a value of a key is nothing but wild cards, or nothing."""
    return value is None or (isinstance(value, str) and not value.strip("*? "))


def names_something(keys: Mapping[str, Any]) -> bool:
    """Whether a key has a value, be it a wild card: without any, everything would match, and nobody said so."""
    return any(value is not None and value != "" and value not in ({}, []) for value in keys.values())


def lowest_level(keys: Mapping[str, Any]) -> Level:
    """The highest level at which all keys that have a value can be asked for; STUDY at least.

    Raises:
        ArgumentError: no such attribute.
    """
    lowest: Level = "STUDY"
    for name, value in keys.items():
        if is_wild(value):
            continue
        level = level_of(keyword_of(tag_of(name.partition(".")[0])))
        if level is None:
            return "IMAGE"
        lowest = "SERIES" if level == "SERIES" else lowest
    return lowest


def exact_values(element: DataElement) -> list[str]:
    """What an element asks for, as texts; empty where it asks for anything."""
    value = element.value
    if value is None or value == "":
        return []
    several = hasattr(value, "append") or isinstance(value, list | tuple)
    return [text for text in map(str, value if several else [value]) if text]


def only_wild(query: Query) -> bool:
    """Whether a query asks for everything: no key has a value that narrows it."""
    return all(_element_is_wild(element) for element in query.identifier)


def _element_is_wild(element: DataElement) -> bool:
    if element.VR == "SQ":
        return all(_element_is_wild(inner) for item in element.value for inner in item)
    return all(map(is_wild, exact_values(element)))


def _divided(identifier: Dataset) -> dict[int, list[Any]]:
    """Tag -> values of one question each, of keys with several values.

    Only of UIDs a list is one question (PS3.4 C.2.2.2.2); to other lists some PACS answer nothing.
    """
    found: dict[int, list[Any]] = {}
    for element in identifier:
        if element.VR == "SQ" or element.VM < 2:
            continue
        values = list(element.value)
        if element.VR != "UI":
            found[int(element.tag)] = values
        elif len(values) > _MOST_UIDS:
            found[int(element.tag)] = [values[at : at + _MOST_UIDS] for at in range(0, len(values), _MOST_UIDS)]
    return found


def alternatives(query: Query) -> Iterator[Query]:
    """The questions that together ask what a query with lists of values asks."""
    divided = _divided(query.identifier)
    if not divided:
        yield query
        return
    for values in itertools.product(*divided.values()):
        identifier = Dataset()
        identifier.update(query.identifier)
        for tag, value in zip(divided, values, strict=True):
            vr = query.identifier[tag].VR
            identifier[tag] = DataElement(tag, vr, value, validation_mode=IGNORE)
        yield Query(
            level=query.level,
            identifier=identifier,
            limit=query.limit,
            fuzzy=query.fuzzy,
            relational=query.relational,
        )


def matches(query: Query, record: Record) -> bool:
    """Whether an answer can be one to the query: exact keys and dates that it contradicts say no."""
    return answer_check(query)(record)


def answer_check(query: Query) -> Callable[[Record], bool]:
    """`matches` for many answers to one query."""
    checked: list[tuple[str, str, list[str]]] = []
    for element in query.identifier:
        keyword = keyword_of(int(element.tag))
        if keyword in _CHECKED or element.VR == "DA":
            wanted = exact_values(element)
            if wanted and not any("*" in value or "?" in value for value in wanted):
                checked.append((keyword, element.VR, wanted))

    def check(record: Record) -> bool:
        return all(_agrees(vr, wanted, record.get(keyword)) for keyword, vr, wanted in checked)

    return check


def _agrees(vr: str, wanted: list[str], got: object) -> bool:
    if got in wanted:
        return True
    values = [str(each).strip() for each in (got if isinstance(got, list) else [got]) if each not in (None, "")]
    return not values or any(_agree(vr, each, value) for each in wanted for value in values)


def _agree(vr: str, wanted: str, value: str) -> bool:
    if vr == "DA":
        return in_range(wanted, value)
    return wanted.strip().casefold() == value.casefold()


def keyword_of(tag: int) -> str:
    """An attribute's keyword, or its tag."""
    return keyword_for_tag(tag) or f"{tag:08X}"
