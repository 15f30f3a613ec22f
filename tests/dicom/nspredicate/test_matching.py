"""Comparisons of text: wild cards, case, marks."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.dicom.nspredicate.matching import comparing, folding
from slicer_notebook.dicom.nspredicate.tree import Operator


def true_of(text: str, operator: Operator, pattern: str, options: str = "") -> bool:
    case, marks = "c" not in options, "d" not in options
    return comparing(operator, pattern, case, marks)(folding(case, marks)(text))


@pytest.mark.parametrize(
    ("text", "operator", "pattern", "options", "expected"),
    [
        ("OsiriX", "==", "OsiriX", "", True),
        ("OsiriX", "==", "OSIRIX", "", False),
        ("OsiriX", "==", "OSIRIX", "c", True),
        ("Müller", "==", "Muller", "d", True),
        ("Müller", "==", "muller", "d", False),
        ("Müller", "==", "MULLER", "cd", True),
        ("Müller", "==", "Müller", "", True),  # two characters for one letter
        ("Straße", "==", "STRASSE", "c", True),
        ("İstanbul", "BEGINSWITH", "istanbul", "cd", True),
        ("ΣΊΣΥΦΟΣ", "==", "σίσυφος", "c", True),
        ("ﬁx", "==", "fix", "c", True),
        ("漢字", "CONTAINS", "字", "", True),
        ("abc", "!=", "abd", "", True),
        ("abc", "<", "abd", "", True),
        ("B", "<", "a", "", True),
        ("B", "<", "a", "c", False),
        ("Chest CT", "CONTAINS", "est", "", True),
        ("Chest CT", "BEGINSWITH", "Ch", "", True),
        ("Chest CT", "BEGINSWITH", "est", "", False),
        ("Chest CT", "ENDSWITH", "CT", "", True),
        ("Chest CT", "IN", "A Chest CT of", "", True),
        ("x.dcm", "MATCHES", r"\w\.dcm", "", True),
        ("X.DCM", "MATCHES", r"\w\.dcm", "c", True),
        ("", "CONTAINS", "", "", True),
    ],
)
def test_comparisons(text: str, operator: Operator, pattern: str, options: str, expected: bool) -> None:
    assert true_of(text, operator, pattern, options) is expected


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*OSIRIX*", ["OSIRIX", "an OSIRIX one"], ["osirix", "OSIRI"]),
        ("DOE*", ["DOE", "DOE^JANE"], ["A DOE"]),
        ("*DOE", ["DOE", "A DOE"], ["DOES"]),
        ("D?E", ["DOE", "D?E"], ["DE", "DOOE"]),
        ("?*", ["a", "ab"], [""]),
        ("*", ["", "x\ny"], []),
        ("", [""], ["x"]),
        ("a*b*c", ["abc", "axbxc"], ["acb", "ab"]),
        ("ab*ba", ["abba", "abxba"], ["aba"]),
        ("*a*b*", ["ab", "xaxbx"], ["ba"]),
        (r"100\*", ["100*"], ["100x"]),
        (r"a\?", ["a?"], ["ab"]),
        (r"a\\*", ["a\\", "a\\b"], ["a"]),
        ("a.[b]", ["a.[b]"], ["axb"]),
    ],
)
def test_wild_cards(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [text for text in yes if not true_of(text, "LIKE", pattern)] == []
    assert [text for text in no if true_of(text, "LIKE", pattern)] == []


@settings(max_examples=500, deadline=None)
@given(st.text("ab*?", max_size=8), st.text("abc", max_size=10))
def test_wild_cards_are_those_of_the_shell(pattern: str, text: str) -> None:
    assert true_of(text, "LIKE", pattern) == fnmatch.fnmatchcase(text, pattern)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=8), st.booleans(), st.booleans())
def test_folding_once_is_enough(text: str, case: bool, marks: bool) -> None:
    fold = folding(case, marks)
    assert fold(fold(text)) == fold(text)
