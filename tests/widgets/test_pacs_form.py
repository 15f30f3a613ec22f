"""What the form of PACS asks for, as keys and as code, and back."""

from __future__ import annotations

import ast
import datetime
from typing import Any

import pytest

from slicer_notebook.errors import ArgumentError
from slicer_notebook.widgets.pacs_form import Form, Tag, code_of, form_from, form_of, keys_of, narrows, question_level

TODAY = datetime.date(2024, 3, 1)


def test_names_and_texts_match_anywhere_and_numbers_exactly() -> None:
    form = Form(name=" doe jane ", id=" 7 ", accession="A1", description="Thorax", referring="house", institution="St.")
    assert keys_of(form) == {
        "PatientName": "*doe jane*",
        "PatientID": "7",
        "AccessionNumber": "A1",
        "StudyDescription": "*Thorax*",
        "ReferringPhysicianName": "*house*",
        "InstitutionName": "*St.*",
    }


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (Form(name="doe*"), "doe*"),
        (Form(name="do?"), "do?"),
        (Form(name="doe jane", anywhere=False), "doe jane"),
        (Form(name="山田"), "*山田*"),
        (Form(name="a\tb"), "*a b*"),
    ],
)
def test_what_has_a_wildcard_stays_as_typed(form: Form, name: str) -> None:
    assert keys_of(form)["PatientName"] == name


def test_an_empty_form_asks_for_everything() -> None:
    assert keys_of(Form(name="  ", tags=[Tag()])) == {}


@pytest.mark.parametrize(
    ("when", "date"),
    [
        ("any", None),
        ("today", "20240301"),
        ("yesterday", "20240229"),
        ("week", "20240224-20240301"),
        ("month", "20240201-20240301"),
        ("year", "20240101-20240301"),
    ],
)
def test_days_are_the_persons_own(when: Any, date: str | None) -> None:
    assert keys_of(Form(when=when), TODAY).get("StudyDate") == date


@pytest.mark.parametrize(
    ("first", "last", "date"),
    [
        ("2024-01-02", "2024-01-31", "20240102-20240131"),
        ("2024-01-02", "", "20240102-"),
        ("", "2024-01-31", "-20240131"),
        ("", "", None),
    ],
)
def test_a_range_may_be_open(first: str, last: str, date: str | None) -> None:
    assert keys_of(Form(when="range", first=first, last=last)).get("StudyDate") == date


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (Form(when="range", first="2024-02-01", last="2024-01-01"), "first day"),
        (Form(when="range", first="soon"), "such as 2024-01-31"),
        (Form(tags=[Tag(value="CHEST")]), "without an attribute"),
        (Form(tags=[Tag(keyword="BodyPart", value="CHEST")]), "BodyPart"),
        (Form(tags=[Tag(keyword="SOPInstanceUID", value="1.2.3")]), "not for instances"),
        (Form(tags=[Tag(keyword="PixelData", value="1")]), "PixelData"),
    ],
)
def test_what_cannot_be_asked_is_said(form: Form, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        keys_of(form)


def test_modalities_and_any_tag() -> None:
    assert keys_of(Form(modalities=["CT"])) == {"ModalitiesInStudy": "CT"}
    tags = [Tag(keyword="StudyID", value=" 5 "), Tag(keyword="0019,100C", value="1000"), Tag(keyword="PatientAge")]
    found = keys_of(Form(modalities=["CT", "MR"], tags=tags))
    expected = {"ModalitiesInStudy": ["CT", "MR"], "StudyID": "5", "0019,100C": "1000", "PatientAge": None}
    assert found == expected


@pytest.mark.parametrize(
    ("keys", "level", "narrow"),
    [
        ({}, "STUDY", False),
        ({"PatientName": "*"}, "STUDY", False),
        ({"PatientName": "*", "PatientID": "??"}, "STUDY", False),
        ({"PatientName": None}, "STUDY", False),
        ({"PatientName": "A*"}, "STUDY", True),
        ({"ModalitiesInStudy": ["CT", "MR"]}, "STUDY", True),
        ({"StudyDate": "20240101-"}, "STUDY", True),
        ({"InstitutionName": "*St*"}, "STUDY", True),
        ({"SeriesDescription": "T2*"}, "SERIES", False),
        ({"SeriesDescription": "T2*", "StudyDate": "20240101"}, "SERIES", True),
        ({"SeriesDescription": "*"}, "STUDY", False),
    ],
)
def test_which_keys_narrow_a_search(keys: dict[str, Any], level: str, narrow: bool) -> None:
    assert question_level(keys) == level
    assert narrows(keys) is narrow


@pytest.mark.parametrize("written", ["BodyPartExamined", "0018,0015", "00180015", "(0018,0015)"])
def test_an_attribute_is_the_same_by_its_number(written: str) -> None:
    keys = keys_of(Form(tags=[Tag(keyword=written, value="HEART")]))
    assert keys == {"BodyPartExamined": "HEART"}
    assert question_level(keys) == "SERIES"
    # One of no standard stays as it is.
    assert keys_of(Form(tags=[Tag(keyword="0019,100C", value="x")])) == {"0019,100C": "x"}


def test_a_form_that_is_none_is_refused() -> None:
    assert form_from({"name": "Doe", "limit": 3}) == Form(name="Doe", limit=3)
    with pytest.raises(ArgumentError, match=r"(?s)limit.*1 to 20,000"):
        form_from({"limit": 0})
    for raw in ({"when": "tomorrow"}, {"name": 3}, []):
        with pytest.raises(ArgumentError, match="no form"):
            form_from(raw)


class _Slicer:
    """Stands in for a session: notes what is asked of whom."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def pacs(self, name: str) -> Any:
        outer = self

        class Pacs:
            def find(self, *args: Any, **keys: Any) -> Any:
                outer.asked.append((name, args, keys))
                return self

            def result(self) -> list[Any]:
                return [name]

        return Pacs()


@pytest.mark.parametrize("servers", [["hospital"], ["hospital", 'we"b']])
def test_the_code_asks_the_same(servers: list[str]) -> None:
    keys = {
        "PatientName": 'O"Neill\\*',
        "StudyDate": "20240101-20240131",
        "ModalitiesInStudy": ["CT", "MR"],
        "ProcedureCodeSequence.CodeValue": "山",
        "0019,100C": "1000",
        "SeriesDescription": "T2*",
        "PatientAge": None,
    }
    code = code_of(servers, keys, 500)
    assert max(map(len, code.split("\n"))) <= 100
    slicer = _Slicer()
    names: dict[str, Any] = {"slicer": slicer}
    exec(compile(ast.parse(code), "cell", "exec"), names)
    expected = {name.replace(".", "__"): value for name, value in keys.items()} | {"limit": 500}
    assert slicer.asked == [(server, ("SERIES",), expected) for server in servers]
    assert names["answers"] == servers


def test_a_short_one_is_one_line() -> None:
    code = code_of(["hospital"], {"PatientName": "DOE*", "StudyDate": "20240101-20240131"}, 500)
    assert code == (
        'answers = slicer.pacs("hospital").find(PatientName="DOE*", StudyDate="20240101-20240131", limit=500).result()'
    ) or code.startswith('answers = slicer.pacs("hospital").find(\n    PatientName="DOE*",\n')


@pytest.mark.parametrize(
    "keys",
    [
        {"PatientName": "DOE*", "PatientID": "7", "ModalitiesInStudy": "CT", "StudyDate": "20240102-20240131"},
        {"ModalitiesInStudy": ["CT", "MR"], "StudyDate": "20240102-"},
        {"StudyDate": "-20240131", "BodyPartExamined": "CHEST"},
        {"StudyID": "5", "PatientAge": None},
    ],
)
def test_keys_of_code_are_shown_in_the_form_and_asked_again_by_it(keys: dict[str, Any]) -> None:
    form = form_of(keys, ["hospital"], 20)
    assert (form.servers, form.limit, form.anywhere) == (["hospital"], 20, False)
    assert keys_of(form) == keys


def test_keys_that_the_form_has_otherwise_are_rows_of_any_tag() -> None:
    form = form_of(
        {"StudyInstanceUID": ["1.2", "1.3"], "PatientBirthDate": [None, "19700101"], "StudyDate": "2024*"}, [], 5
    )
    assert [(tag.keyword, tag.value) for tag in form.tags] == [
        ("StudyInstanceUID", "1.2\\1.3"),
        ("PatientBirthDate", "-19700101"),
        ("StudyDate", "2024*"),
    ]
    assert form_of({"StudyDate": "20240102"}, [], 5).last == "2024-01-02"
