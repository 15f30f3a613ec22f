"""Queries as requests of QIDO-RS: path and parameters of each (PS3.18 8.3.4, 10.6)."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement

from slicer_notebook.errors import ArgumentError
from slicer_notebook.pacs.dicomweb.client import object_path
from slicer_notebook.pacs.model import Level, Query
from slicer_notebook.pacs.records import name_of

__all__ = ["UNIQUE", "Ask", "Check", "Parameter", "asks_of", "loosened", "single"]

_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_SOP: Final = 0x00080018
_PATIENT_ID: Final = 0x00100020
_LEVEL: Final = 0x00080052
_CHARSET: Final = 0x00080005
#: The attribute that tells answers of a level apart. Patients are asked for by their studies.
UNIQUE: Final[dict[Level, int]] = {"PATIENT": _STUDY, "STUDY": _STUDY, "SERIES": _SERIES, "IMAGE": _SOP}
_NAMES: Final = {_STUDY: "StudyInstanceUID", _SERIES: "SeriesInstanceUID", _SOP: "SOPInstanceUID"}
#: Characters of UIDs in one request: servers and proxies take 8,000 in all, mostly.
_MOST_UIDS: Final = 3000

#: VRs of texts in any character set (PS3.5 6.1.2.3).
_TEXTS: Final = frozenset({"PN", "LO", "SH", "ST", "LT", "UC", "UT"})

#: Characters that are escaped in a query.
_ESCAPED: Final = re.compile(r"[^A-Za-z0-9_.~*?,-]")

Parameter = tuple[str, str]


class Check(NamedTuple):
    """A key whose answers can be checked: UIDs, and the patient's ID."""

    tag: str
    name: str
    values: frozenset[str]

    def says_no(self, value: str) -> bool:
        """Whether an answer with this value is none to the key."""
        return _comparable(value) not in self.values


class Pattern(NamedTuple):
    """A key that is matched here, because the server was asked for more."""

    tag: str
    pattern: re.Pattern[str]

    def says_no(self, value: str) -> bool:
        """Whether an answer with this value is none; of a name any of its component groups may match."""
        return not any(self.pattern.fullmatch(_folded(group)) for group in (value, *value.split("=")))


class Ask(NamedTuple):
    """One request, without its limit and offset.

    Attributes:
        path: behind the root.
        unique: tag of the attribute that tells its answers apart.
        keys: matching keys, in QIDO's form.
        include: attributes to be returned, beside those that always are.
        known: keyword -> value that all answers have, because the path says so.
        checks: keys whose answers can be checked.
        wanted: UIDs of the level itself that were asked for; empty where none were.
        patterns: keys that are matched here.
    """

    path: str
    unique: int
    keys: tuple[Parameter, ...]
    include: tuple[str, ...]
    known: dict[str, str]
    checks: tuple[Check, ...]
    wanted: tuple[str, ...] = ()
    fuzzy: bool = False
    patterns: tuple[Pattern, ...] = ()

    def query(self, *more: Parameter, include: bool = True) -> str:
        """The URL's query."""
        parameters = [*self.keys]
        if self.fuzzy:
            parameters.append(("fuzzymatching", "true"))
        if include:
            parameters += [("includefield", name) for name in self.include]
        # Some servers look for these before they decode, or never do; a query may have them as they are (RFC 3986 3.4).
        return "&".join(f"{name}={quote(value, safe='*?,-')}" for name, value in (*parameters, *more))


def single(ask: Ask, uid: str) -> Ask:
    """The same for one of the UIDs that it asks for."""
    keys = tuple((name, uid if name == _NAMES[ask.unique] else value) for name, value in ask.keys)
    return ask._replace(keys=keys, wanted=(uid,))


def loosened(ask: Ask) -> Ask | None:
    """The same with wild cards instead of what a URL cannot have as it is, and the keys to be matched here.

    Some servers compare texts without letters that are not ASCII, or take escapes for what they are written as (both
    Orthanc). None where there is nothing of the kind, or too little is left.
    """
    keys, patterns = [], []
    for name, value in ask.keys:
        tag = tag_for_keyword(name)
        if not _ESCAPED.search(value) or tag is None or dictionary_VR(tag) not in _TEXTS:
            keys.append((name, value))
            continue
        # "?" as well: the letter that it stands for may be one of those.
        looser = re.sub(rf"({_ESCAPED.pattern}|[*?])+", "*", unicodedata.normalize("NFC", value))
        if not re.search(r"[A-Za-z0-9]", looser):
            return None
        keys.append((name, looser))
        wild = re.escape(_folded(value)).replace(r"\*", ".*").replace(r"\?", ".")
        patterns.append(Pattern(f"{tag:08X}", re.compile(wild, re.DOTALL)))
    return ask._replace(keys=tuple(keys), patterns=tuple(patterns)) if patterns else None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip(" \0").rstrip("^").casefold()


def asks_of(query: Query, more: tuple[Parameter, ...] = ()) -> list[Ask]:
    """The requests that together answer a query; several where a key has several values that one cannot have.

    Args:
        more: parameters for searches among studies (Kheops' ``album``).

    Raises:
        ArgumentError: a key that QIDO-RS cannot have.
    """
    keys, include = _keys_of(query.identifier)
    checks = tuple(_checks_of(keys))
    above = {"SERIES": (_STUDY,), "IMAGE": (_STUDY, _SERIES)}.get(query.level, ())
    own = UNIQUE[query.level] if query.level != "PATIENT" else None
    asks = []
    for combination in itertools.product(*(_alternatives(key, own) for key in keys)):
        asked = _located(query.level, dict(zip((key.name for key in keys), combination, strict=True)), keys, above)
        path, known, parameters = asked
        own_uids = next((uids for key, uids in zip(keys, combination, strict=True) if key.tag == own), ())
        if not path.startswith("/studies/"):
            parameters += more
        asks.append(
            Ask(
                path=path,
                unique=UNIQUE[query.level],
                keys=parameters,
                include=_included(query.level, include, known),
                known=known,
                checks=checks,
                wanted=own_uids,
                fuzzy=query.fuzzy,
            )
        )
    return asks


class _Key(NamedTuple):
    """A matching key. Only one at the top level has a tag."""

    name: str
    vr: str
    values: tuple[str, ...]
    tag: int | None = None


def _keys_of(identifier: Dataset, prefix: str = "") -> tuple[list[_Key], list[str]]:
    """Matching keys, and names of attributes to be returned."""
    keys: list[_Key] = []
    include: list[str] = []
    for element in identifier:
        tag = int(element.tag)
        if tag in (_LEVEL, _CHARSET):
            continue
        name = prefix + name_of(tag)[0]
        if element.VR == "SQ":
            inner = [_keys_of(item, f"{name}.") for item in element.value]
            found = [key for item_keys, _ in inner for key in item_keys]
            keys += found
            if not found:
                include.append(name)
        elif values := _values_of(element):
            keys.append(_Key(name, element.VR, values, None if prefix else tag))
        else:
            include.append(name)
    # A whole sequence is returned, or nothing of it.
    return keys, [name for name in include if not prefix]


def _values_of(element: DataElement) -> tuple[str, ...]:
    value: Any = element.value
    if value is None:
        return ()
    # pydicom's lists are no lists, but have this of them.
    texts = [_text(element, each) for each in (value if hasattr(value, "append") else [value])]
    # Universal matching (PS3.4 C.2.2.2.3): the attribute is returned, whatever it is.
    return tuple(dict.fromkeys(text for text in texts if text.strip("*")))


def _text(element: DataElement, value: Any) -> str:
    if isinstance(value, bytes):
        raise ArgumentError(
            f"{name_of(int(element.tag))[0]} is no key of QIDO-RS.", expected="text or a number", got=f"VR {element.VR}"
        )
    return str(value).strip(" \0")


def _alternatives(key: _Key, own: int | None) -> Iterator[tuple[str, ...]]:
    """Values that go into one request. UIDs may be a list, other values may not (PS3.18 8.3.4.1)."""
    if key.tag == own or (key.vr == "UI" and key.tag not in (_STUDY, _SERIES)):
        part: list[str] = []
        for uid in key.values:
            if part and len(",".join(part)) + len(uid) > _MOST_UIDS:
                yield tuple(part)
                part = []
            part.append(uid)
        yield tuple(part)
    else:
        # Of the levels above too: their UIDs go into the path, which every server understands.
        for value in key.values:
            yield (value,)


def _located(
    level: Level, values: dict[str, tuple[str, ...]], keys: list[_Key], above: tuple[int, ...]
) -> tuple[str, dict[str, str], tuple[Parameter, ...]]:
    """Path, what it says of all answers, and the keys that are not in it."""
    known: dict[str, str] = {}
    for tag in above:
        name = _NAMES[tag]
        if name not in values or (tag == _SERIES and "StudyInstanceUID" not in known):
            break
        known[name] = values[name][0]
    path = object_path(known.get("StudyInstanceUID"), known.get("SeriesInstanceUID"))
    path += {"PATIENT": "/studies", "STUDY": "/studies", "SERIES": "/series", "IMAGE": "/instances"}[level]
    return path, known, tuple((key.name, ",".join(values[key.name])) for key in keys if key.name not in known)


def _included(level: Level, include: list[str], known: dict[str, str]) -> tuple[str, ...]:
    """Attributes to ask for; UIDs that come by themselves or are known are not among them."""
    needed = {
        "PATIENT": ["PatientID", "PatientName"],
        "STUDY": [],
        "SERIES": ["StudyInstanceUID"],
        "IMAGE": ["StudyInstanceUID", "SeriesInstanceUID"],
    }[level]
    own = _NAMES[UNIQUE[level]]
    return tuple(name for name in dict.fromkeys([*include, *needed]) if name not in known and name != own)


def _checks_of(keys: list[_Key]) -> Iterator[Check]:
    for key in keys:
        exact = not any("*" in value or "?" in value for value in key.values)
        if exact and key.tag is not None and (key.tag in _NAMES or key.tag == _PATIENT_ID):
            yield Check(f"{key.tag:08X}", key.name, frozenset(map(_comparable, key.values)))


def _comparable(value: str) -> str:
    """Padding means nothing, and some servers take upper and lower case for the same."""
    return value.strip(" \0").casefold()
