"""MATCHES: the automaton against Python's ``re``, what is refused, and that no pattern hangs."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.dicom.nspredicate import regex
from slicer_notebook.dicom.nspredicate.regex import compiled
from slicer_notebook.errors import ArgumentError


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a", ["a"], ["", "aa", "b"]),
        ("", [""], ["a"]),
        ("a|", ["a", ""], ["b"]),
        ("()", [""], ["a"]),
        ("a*b+c?", ["b", "aabbc", "bc"], ["a", "ac", "abcc"]),
        ("a{2}", ["aa"], ["a", "aaa"]),
        ("a{2,}", ["aa", "aaaa"], ["a"]),
        ("a{1,3}", ["a", "aaa"], ["", "aaaa"]),
        ("a{0}b", ["b"], ["ab"]),
        ("(ab){2,3}", ["abab", "ababab"], ["ab", "abababab"]),
        ("(?:ab|c)*?", ["", "abc", "cab"], ["a"]),
        (".*", ["", "abc"], ["a\nb"]),
        ("(?s).*", ["a\nb"], []),
        ("(?i)doe", ["DOE", "doe", "dOe"], ["do"]),
        ("(?is)d.e", ["D\nE"], []),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[^a-c]", ["d", "\n"], ["a"]),
        ("[]]", [], []),
        (r"[\]\-\\^]", ["]", "-", "\\", "^"], ["a"]),
        ("[a-]", ["a", "-"], ["b"]),
        (r"\d{4}-\d\d", ["2010-05"], ["201-05"]),
        (r"[\d.]+", ["1.2.840"], ["1.2x"]),
        (r"\w+\s\W", ["é_1 -"], ["a b"]),
        (r"\D\S", ["ab"], ["1b", "a "]),
        (r"\p{Lu}\p{Ll}+", ["Éa"], ["éa", "E"]),
        (r"[\p{N}\P{L}]", ["1", "-"], ["a"]),
        (r"\x41\u0042\x{1F600}\t", ["AB😀\t"], ["AB"]),
        (r"\.dcm\*", [".dcm*"], ["xdcm*"]),
        ("^a$", ["a"], ["aa"]),
        ("^*a", [], []),
        ("x^a", [], ["xa"]),
        ("a$b", [], ["ab"]),
        (r"\Aab\z", ["ab"], ["a"]),
        ("(^|x)a", ["a", "xa"], ["xxa"]),
        ("(a*)*b", ["b", "aab"], ["aac"]),
        ("(a|a|a)*", ["aaaa"], ["ab"]),
        ("((a{0,2}){0,2}){3}", ["", "aaaaaaaaaaaa"], ["aaaaaaaaaaaaa"]),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    if pattern in ("[]]", "^*a"):
        if pattern == "[]]":
            with pytest.raises(ArgumentError, match="does not end, or is empty"):
                compiled(pattern)
        return
    test = compiled(pattern)
    assert [text for text in yes if not test(text)] == []
    assert [text for text in no if test(text)] == []


def test_options_of_the_comparison() -> None:
    """The text comes folded, and so the pattern's characters have to be."""
    assert compiled("MÜLL.*", case=False)("müller")
    assert compiled("[A-M]üller", case=False)("müller")
    assert not compiled("[A-L]üller", case=False)("müller")
    assert compiled("Müller", marks=False)("Muller")
    assert compiled("straße", case=False)("strasse")
    assert compiled("[é]", marks=False)("e")
    assert compiled(r"\p{Lu}", case=False)("a")
    assert not compiled("müller")("Müller")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(a)\1", "back references"), ("(?=a)a", "looking ahead"), ("(?!a)b", "looking ahead"),
        ("(?<=a)b", "looking behind"), ("(?<n>a)", "looking behind and names"), ("(?>a)", "atomic"),
        ("(?#a)", "comments"), ("(?m)a", "flags"), ("a(?i)b", "flags"), ("(?i:a)", "flags"), ("a++", "possessive"),
        ("a*+", "possessive"), (r"\bword\b", "this escape"), (r"\Qa\E", "this escape"), ("[a[b]]", "sets in sets"),
        ("[a&&b]", "sets in sets"), ("a**", "quantifier of a quantifier"), ("*a", "nothing to repeat"),
        ("{2}", "nothing to repeat"), ("a{2", r"\{ that begins no"), ("a{3,2}", "more at least"),
        ("a{x}", r"\{ that begins no"), ("(a", "does not end"), ("a)", r"a \) without"), ("[a", "does not end"),
        ("[b-a]", "does not rise"), (r"[\d-a]", None), ("a\\", "backslash at the end"), (r"\p{Foo}", "property"),
        (r"\pL", "property"), (r"\x4", "no code"), (r"\u12", "no code"), (r"\x{110000}", "no code"),
        ("(" * 60 + "a" + ")" * 60, "too many groups"),
    ],
)  # fmt: skip
def test_what_is_refused(pattern: str, words: str | None) -> None:
    if words is None:  # as ICU: a hyphen behind a class is one
        assert compiled(pattern)("-")
        return
    with pytest.raises(ArgumentError, match=words):
        compiled(pattern)


def test_limits() -> None:
    with pytest.raises(ArgumentError, match="too long"):
        compiled("a" * (regex.MAX_PATTERN + 1))
    for pattern in ("a{2001}", "((a{50}){50}){50}", "(" * 20 + "a{9}" + "){9}" * 20, "(){9999}"):
        with pytest.raises(ArgumentError, match="too large"):
            compiled(pattern)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+b", "(a|a?)+b", "(.*)*x", "(.*a){20}b", "([a-z]+)*1"])
def test_what_hangs_others_is_done_at_once(pattern: str) -> None:
    test = compiled(pattern)
    began = time.process_time()
    assert not test("a" * 20_000)
    assert time.process_time() - began < 5


def test_too_much_work_is_refused_in_time() -> None:
    """Each text leads to new sets of states: nothing can be kept."""
    test = compiled("(a|b)*a(a|b){300}")
    began = time.process_time()
    numbers = (f"{number * 2654435761 % 2**64:064b}{number:040b}" for number in range(100_000))
    texts = (text.replace("0", "a").replace("1", "b") for text in numbers)
    with pytest.raises(ArgumentError, match="too much work"):
        list(map(test, texts))
    assert time.process_time() - began < 40


_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", "^", "$"])


def _patterns() -> st.SearchStrategy[str]:
    return st.recursive(
        _ATOMS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map("".join),
            st.tuples(inner, inner).map("|".join).map(lambda text: f"({text})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"])).map(
                lambda pair: f"(?:{pair[0]}){pair[1]}"
            ),
        ),
        max_leaves=6,
    )


@settings(max_examples=400, deadline=None)
@given(_patterns(), st.lists(st.text("ab1", max_size=8), max_size=6))
def test_the_same_as_python_s(pattern: str, texts: list[str]) -> None:
    # Python's $ also stands before a last line feed, of which there is none here.
    test = compiled(pattern)
    for text in (*texts, ""):
        assert test(text) == (re.fullmatch(pattern, text) is not None), (pattern, text)


@settings(max_examples=400, deadline=None)
@given(st.text("ab(){}[]|*+?\\^$.,-09dwspuLx:=<i", max_size=30), st.text("ab1-", max_size=10))
def test_any_text_is_a_pattern_or_refused(pattern: str, text: str) -> None:
    with contextlib.suppress(ArgumentError):
        compiled(pattern)(text)
