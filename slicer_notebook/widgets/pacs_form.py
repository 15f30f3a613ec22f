"""The form of `PacsQuery` as plain values, the keys that it asks for, and the same as code and back."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from pydicom.datadict import keyword_for_tag

from slicer_notebook.dicom.attributes import tag_of
from slicer_notebook.errors import ArgumentError
from slicer_notebook.pacs.keys import build_query, is_wild, level_of

__all__ = ["MOST", "Form", "Tag", "code_of", "form_from", "form_of", "keys_of", "narrows", "question_level"]

#: Answers of one PACS, at most: more nobody looks through, and the page keeps them all.
MOST: Final = 20_000

When = Literal["any", "today", "yesterday", "week", "month", "year", "range"]

#: Field of the form -> attribute.
_TEXTS: Final = {
    "name": "PatientName",
    "id": "PatientID",
    "accession": "AccessionNumber",
    "description": "StudyDescription",
    "referring": "ReferringPhysicianName",
    "institution": "InstitutionName",
}
#: Fields that "match anywhere" is for: names and texts. Whoever types a number means that number.
_ANYWHERE: Final = frozenset({"name", "description", "referring", "institution"})
#: Attributes of series that PACS match at the level of studies.
_OF_STUDIES_TOO: Final = frozenset({"InstitutionName"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_DAYS: Final = re.compile(r"(\d{8})?(-?)(\d{8})?")
_CODE_WIDTH: Final = 100


class Tag(msgspec.Struct, kw_only=True):
    """A row of "any tag": a keyword (or tag) and a value; without one the attribute is returned."""

    keyword: str = ""
    value: str = ""


class Form(msgspec.Struct, kw_only=True):
    """What is typed and chosen. Dates are ISO 8601.

    Attributes:
        servers: names of the PACS that are asked.
        when: the study's date; with ``range`` from ``first`` to ``last``, either of which may be open.
        anywhere: names and texts without a wildcard match anywhere in the attribute.
        limit: studies of each PACS, at most.
    """

    servers: list[str] = []
    name: str = ""
    id: str = ""
    accession: str = ""
    description: str = ""
    referring: str = ""
    institution: str = ""
    modalities: list[str] = []
    when: When = "any"
    first: str = ""
    last: str = ""
    tags: list[Tag] = []
    anywhere: bool = True
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 500


def form_from(raw: Any) -> Form:
    """A form that a browser or a file gave.

    Raises:
        ArgumentError: it is none.
    """
    try:
        return msgspec.convert(raw, Form)
    except msgspec.ValidationError as exc:
        if "$.limit" in str(exc):
            raise ArgumentError("The limit of a search.", expected=f"1 to {MOST:,} studies of each PACS") from exc
        raise ArgumentError("That is no form of a search.", got=str(exc)) from exc


# -- keys --------------------------------------------------------------------------------------------------------------


def keys_of(form: Form, today: datetime.date | None = None) -> dict[str, Any]:
    """What the form asks for: keyword -> value, as of `Pacs.find`.

    Args:
        today: where the person is; the notebook's day without it.

    Raises:
        ArgumentError: a keyword that there is not, a value that is none, dates that are none.
    """
    keys: dict[str, Any] = {}
    for field, keyword in _TEXTS.items():
        text = _CONTROL.sub(" ", getattr(form, field)).strip()
        if text:
            keys[keyword] = f"*{text}*" if form.anywhere and field in _ANYWHERE and not set("*?") & set(text) else text
    if form.modalities:
        keys["ModalitiesInStudy"] = form.modalities[0] if len(form.modalities) == 1 else list(form.modalities)
    days = _days(form, today or datetime.date.today())
    if days:
        keys["StudyDate"] = days
    for tag in form.tags:
        keyword, value = tag.keyword.strip(), _CONTROL.sub(" ", tag.value).strip()
        if not keyword and value:
            raise ArgumentError(
                "A value without an attribute.", expected="a keyword such as BodyPartExamined", got=f"the value {value}"
            )
        if keyword:
            # By its keyword it is known to which level it belongs, however it was written.
            head, dot, rest = keyword.partition(".")
            keys[f"{keyword_for_tag(tag_of(head)) or head}{dot}{rest}"] = value or None
    if not is_wild(keys.get("SOPInstanceUID")):
        raise ArgumentError(
            "The form asks for studies and series, not for instances.",
            got="SOPInstanceUID",
            hint='In a cell: slicer.pacs(name).find("IMAGE", SOPInstanceUID=...).result()',
        )
    build_query(question_level(keys), keys)
    return keys


def _days(form: Form, today: datetime.date) -> str:
    if form.when == "range":
        first, last = (_day(text) for text in (form.first, form.last))
        if first and last and first > last:
            raise ArgumentError("The study's date.", expected="a first day that is not after the last", got="another")
        return f"{first}-{last}" if first or last else ""
    day = datetime.timedelta(days=1)
    begin = {
        "today": today,
        "yesterday": today - day,
        "week": today - 6 * day,
        "month": today - 29 * day,
        "year": today.replace(month=1, day=1),
    }.get(form.when)
    if begin is None:
        return ""
    if form.when in ("today", "yesterday"):
        return f"{begin:%Y%m%d}"
    return f"{begin:%Y%m%d}-{today:%Y%m%d}"


def _day(text: str) -> str:
    if not text:
        return ""
    try:
        return f"{datetime.date.fromisoformat(text):%Y%m%d}"
    except ValueError as exc:
        raise ArgumentError("The study's date.", expected="a day such as 2024-01-31", got=repr(text)) from exc


def question_level(keys: Mapping[str, Any]) -> Literal["STUDY", "SERIES"]:
    """The level at which these keys can be asked: that of series where one of them belongs to series."""
    of_series = (
        level_of(keyword.partition(".")[0]) == "SERIES" and keyword not in _OF_STUDIES_TOO and not is_wild(value)
        for keyword, value in keys.items()
    )
    return "SERIES" if any(of_series) else "STUDY"


def narrows(keys: Mapping[str, Any]) -> bool:
    """Whether the keys leave out any study: without one that does, a PACS goes through all that it has."""
    series = question_level(keys) == "SERIES"
    return any(
        not is_wild(value) and not (series and level_of(keyword.partition(".")[0]) == "SERIES")
        for keyword, value in keys.items()
    )


# -- code --------------------------------------------------------------------------------------------------------------


def code_of(servers: list[str], keys: Mapping[str, Any], limit: int) -> str:
    """A cell that asks the same: what it is given is in ``answers``."""
    level = question_level(keys)
    arguments = [_literal(level)] if level != "STUDY" else []
    named = {keyword.replace(".", "__"): value for keyword, value in keys.items()}
    arguments += [f"{name}={_literal(value)}" for name, value in named.items() if name.isidentifier()]
    others = {name: value for name, value in named.items() if not name.isidentifier()}
    arguments.append(f"limit={limit}")
    if others:
        arguments.append(f"**{_literal(others)}")
    if len(servers) == 1:
        return _call(f"answers = slicer.pacs({_literal(servers[0])}).find", arguments, "", ".result()")
    lines = ["answers = []", f"for name in {_literal(servers)}:"]
    return "\n".join([*lines, _call("    answers += slicer.pacs(name).find", arguments, "    ", ".result()")])


def _call(before: str, arguments: list[str], indent: str, after: str) -> str:
    line = f"{before}({', '.join(arguments)}){after}"
    if len(line) <= _CODE_WIDTH:
        return line
    inner = "".join(f"{indent}    {argument},\n" for argument in arguments)
    return f"{before}(\n{inner}{indent}){after}"


def _literal(value: Any) -> str:
    """As a person writes it: JSON's texts, numbers, lists and dictionaries are Python's, but for null."""
    return "None" if value is None else json.dumps(value, ensure_ascii=False)


# -- keys that code gave -----------------------------------------------------------------------------------------------


def form_of(keys: Mapping[str, Any], servers: list[str], limit: int) -> Form:
    """The form that shows these keys: nothing is matched anywhere that has no wildcard."""
    form = Form(servers=servers, limit=limit, anywhere=False)
    fields = {keyword: field for field, keyword in _TEXTS.items()}
    for keyword, value in keys.items():
        text = _shown(keyword, value)
        days = _DAYS.fullmatch(text) if keyword == "StudyDate" else None
        if keyword in fields and isinstance(value, str):
            setattr(form, fields[keyword], text)
        elif keyword == "ModalitiesInStudy" and value:
            form.modalities = [str(each) for each in (value if isinstance(value, list) else str(value).split("\\"))]
        elif days is not None and text:
            first, dash, last = days.groups(default="")
            form.when, form.first, form.last = "range", _iso(first), _iso(last if dash else first)
        else:
            form.tags.append(Tag(keyword=keyword, value=text))
    return form


def _iso(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if day else ""


def _shown(keyword: str, value: Any) -> str:
    if isinstance(value, list):
        between = "-" if keyword.endswith(("Date", "Time")) else "\\"
        return between.join("" if each is None else str(each) for each in value)
    return "" if value is None else str(value)
