"""NSPredicate format strings: what each form means, what is refused and where, and that nothing hangs."""

from __future__ import annotations

import contextlib
import random
import string
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.dicom.nspredicate import MAX_COMPARISONS, MAX_DEPTH, MAX_LENGTH, parse
from slicer_notebook.dicom.nspredicate.parse import date_of, number_of
from slicer_notebook.dicom.nspredicate.tree import (
    REFERENCE,
    Aggregate,
    And,
    Comparison,
    Constant,
    Date,
    KeyPath,
    Node,
    Not,
    Or,
    Truth,
)
from slicer_notebook.errors import ArgumentError

NAME = KeyPath(("name",))
IS_X = Comparison(NAME, "==", Constant("x"))


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("=", "=="), ("==", "=="), ("!=", "!="), ("<>", "!="), ("<", "<"), ("<=", "<="), ("=<", "<="), (">", ">"),
        (">=", ">="), ("=>", ">="), ("LIKE", "LIKE"), ("like", "LIKE"), ("Contains", "CONTAINS"),
        ("BEGINSWITH", "BEGINSWITH"), ("endswith", "ENDSWITH"), ("MATCHES", "MATCHES"), ("IN", "IN"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("blank", [" ", "\t\n "])
def test_operators(text: str, operator: str, blank: str) -> None:
    assert parse(f"name{blank}{text}{blank}'x'") == Comparison(NAME, operator, Constant("x"))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("name == 'x' AND name == 'x'", And((IS_X, IS_X))),
        ("name=='x'&&name=='x'and name=='x'", And((IS_X, IS_X, IS_X))),
        ("name == 'x' || name == 'x' or name == 'x'", Or((IS_X, IS_X, IS_X))),
        ("NOT name == 'x'", Not(IS_X)),
        ("!(name == 'x')", Not(IS_X)),
        ("not not name == 'x'", Not(Not(IS_X))),
        # AND binds closer than OR, NOT closer than both.
        ("name == 'x' OR name == 'x' AND name == 'x'", Or((IS_X, And((IS_X, IS_X))))),
        ("NOT name == 'x' AND name == 'x'", And((Not(IS_X), IS_X))),
        ("(name == 'x' OR name == 'x') AND name == 'x'", And((Or((IS_X, IS_X)), IS_X))),
        ("((name)) == (('x'))", IS_X),
        ("(name == 'x')", IS_X),
        ("TRUEPREDICATE", Truth(True)),
        ("falsepredicate OR TruePredicate", Or((Truth(False), Truth(True)))),
    ],
)
def test_combinations(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'x'", "x"), ('"x"', "x"), ("''", ""), ("'it''s'", None), (r"'it\'s'", "it's"), ('"it\'s"', "it's"),
        (r'"a\"b"', 'a"b'), (r"'a\\b'", "a\\b"), (r"'\n\t\r'", "\n\t\r"), (r"'\u00e9\x41'", "éA"),
        (r"'\U0001F600'", "😀"), ("'é漢'", "é漢"), (r"'.*\.dcm'", r".*\.dcm"), (r"'\d'", r"\d"),
        ("1", 1), ("-1", -1), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("-2.5E-1", -0.25), ("0x1F", 31),
        ("0b101", 5), ("0o17", 15), ("TRUE", True), ("yes", True), ("FALSE", False), ("No", False), ("nil", None),
        ("NULL", None), ("123456789012345678901", 123456789012345678901.0),
    ],
)  # fmt: skip
def test_values(text: str, value: object) -> None:
    if text == "'it''s'":  # NSPredicate doubles no quotes
        with pytest.raises(ArgumentError, match="nothing more"):
            parse(f"name == {text}")
        return
    found = parse(f"name == {text}")
    assert isinstance(found, Comparison)
    assert isinstance(found.right, Constant)
    assert (type(found.right.value), found.right.value) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('CAST("2010-05-12 14:22:11 +0000", "NSDate")', 1273674131),
        ("CAST('2010-05-12 16:22:11 +0200', 'NSDate')", 1273674131),
        ("cast('2010-05-12T14:22:11Z', 'NSDate')", 1273674131),
        ("CAST('2010-5-12 14:22:11.500 +0000', 'NSDate')", 1273674131.5),
        ("CAST(0, 'NSDate')", REFERENCE),
        ("CAST(295366931.000000, \"NSDate\")", 1273674131),
        ("CAST(-978307200, 'NSDate')", 0),
        ("CAST(CAST('2001-01-01 00:00:00 +0000', 'NSDate'), 'NSDate')", REFERENCE),
    ],
)  # fmt: skip
def test_dates(text: str, seconds: float) -> None:
    found = parse(f"date >= {text}")
    assert isinstance(found, Comparison)
    assert found.right == Constant(Date(seconds))


def test_now_is_now() -> None:
    found = parse("date < now()")
    assert isinstance(found, Comparison)
    assert isinstance(found.right, Constant)
    assert isinstance(found.right.value, Date)
    assert abs(found.right.value.seconds - time.time()) < 60


def test_other_casts() -> None:
    assert parse("id == CAST('5', 'NSNumber')") == parse("id == 5")
    assert parse("id == CAST(5, 'NSString')") == parse("id == '5'")


@pytest.mark.parametrize(
    ("text", "options"),
    [("[c]", (False, True)), ("[d]", (True, False)), ("[cd]", (False, False)), ("[DC]", (False, False)),
     (" [ cd ]", (False, False)), ("[n]", (True, True)), ("", (True, True))],
)  # fmt: skip
@pytest.mark.parametrize("operator", ["LIKE", "==", "IN", "MATCHES"])
def test_options(text: str, options: tuple[bool, bool], operator: str) -> None:
    found = parse(f"name {operator}{text} 'x'")
    assert isinstance(found, Comparison)
    assert (found.case, found.marks) == options


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("id IN {1, 2}", Comparison(KeyPath(("id",)), "IN", Aggregate((Constant(1), Constant(2))))),
        ("id IN (1,2)", Comparison(KeyPath(("id",)), "IN", Aggregate((Constant(1), Constant(2))))),
        ("id IN ('a')", Comparison(KeyPath(("id",)), "IN", Aggregate((Constant("a"),)))),
        ("id in {}", Comparison(KeyPath(("id",)), "IN", Aggregate(()))),
        ("'CT' IN series.modality", Comparison(Constant("CT"), "IN", KeyPath(("series", "modality")))),
        ("id BETWEEN {1, 5}", Comparison(KeyPath(("id",)), "BETWEEN", Aggregate((Constant(1), Constant(5))))),
        ("id between (1, 5)", Comparison(KeyPath(("id",)), "BETWEEN", Aggregate((Constant(1), Constant(5))))),
        ("ANY series.id == 1", Comparison(KeyPath(("series", "id")), "==", Constant(1), "ANY")),
        ("some series.id == 1", Comparison(KeyPath(("series", "id")), "==", Constant(1), "ANY")),
        ("ALL a.b.c > 1", Comparison(KeyPath(("a", "b", "c")), ">", Constant(1), "ALL")),
        ("NONE a.b == 1", Comparison(KeyPath(("a", "b")), "==", Constant(1), "NONE")),
        ("series.@count > 3", Comparison(KeyPath(("series", "@count")), ">", Constant(3))),
        ("#in == 1 AND a.#size == 2", And((
            Comparison(KeyPath(("in",)), "==", Constant(1)), Comparison(KeyPath(("a", "size")), "==", Constant(2))))),
        ("a == b", Comparison(KeyPath(("a",)), "==", KeyPath(("b",)))),
    ],
)  # fmt: skip
def test_lists_modifiers_and_keys(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "empty"),
        ("   ", 3, "empty"),
        ("name", 0, "not compared"),
        ("'x'", 0, "not compared"),
        ("name ==", 7, "expected here"),
        ("name == 'x", 8, "does not end"),
        ("name == 'x' name", 12, "nothing more"),
        ("name == 'x')", 11, "nothing more"),
        ("(name == 'x'", 12, "missing"),
        ("name == 'x' AND", 15, "expected here"),
        ("AND name == 'x'", 0, "meaning of its own"),
        ("name == %@", 8, "begins here"),
        ("name == $TODAY", 8, "begins here"),
        ("name ~ 'x'", 5, "begins here"),
        ("name LIKE[x] 'x'", 9, "no options"),
        ("name LIKE[l] 'x'", 9, "no options"),
        ("name LIKE[] 'x'", 9, "no options"),
        ("id BETWEEN {1}", 11, "two values"),
        ("id BETWEEN 1", 11, "two values"),
        ("id BETWEEN[c] {1, 2}", 10, "no options"),
        ("id == {1}", 6, "with a list"),
        ("{1} == id", 4, "cannot stand"),
        ("id IN {1, {2}}", 10, "list of lists"),
        ("id IN {1 2}", 9, "missing"),
        ("SELF == 1", 0, "no SELF"),
        ("SUBQUERY(series, $x, $x.id == 1).@count > 0", 17, "begins here"),
        ("FUNCTION('a', 'b') == 1", 0, "functions"),
        ("lowercase(name) == 'x'", 0, "functions"),
        ("series.@max.id == 1", 0, "@count"),
        ("@count == 1", 0, "@count"),
        ("ANY series.id", 13, "no comparison"),
        ("date > CAST('yesterday', 'NSDate')", 12, "no date"),
        ("date > CAST('2010-13-12 00:00:00 +0000', 'NSDate')", 12, "no date"),
        ("date > CAST(1e30, 'NSDate')", 12, "no date"),
        ("date > CAST(name, 'NSDate')", 12, "no keys"),
        ("date > CAST(1, 'NSData')", 15, "cast to that"),
        ("id == 1e999", 6, "too large"),
        (r"name == '\ud800'", 9, "no such character"),
        ("name == 1abc", 8, "begins here"),
        ("(name == 'x') == 'y'", 0, "cannot be compared"),
        ("name == 'x' OR 'y'", 15, "not compared"),
    ],
)
def test_what_is_refused_and_where(text: str, position: int, words: str) -> None:
    with pytest.raises(ArgumentError, match=words) as refused:
        parse(text)
    assert refused.value.details["position"] == position
    assert f"character {position + 1}" in refused.value.message


def test_no_part_of_the_predicate_is_in_the_message() -> None:
    """It goes into logs; the excerpt, which may name a patient, is in `got`."""
    with pytest.raises(ArgumentError) as refused:
        parse("name == 'x' DOE JANE")
    assert "DOE" not in refused.value.message
    assert "DOE" in (refused.value.got or "")


def test_limits() -> None:
    parse("name == '" + "x" * (MAX_LENGTH - 10) + "'")
    with pytest.raises(ArgumentError, match="too long"):
        parse("name == '" + "x" * (MAX_LENGTH - 9) + "'")
    for opening, closing in (("(", ")"), ("NOT ", ""), ("!(", ")")):
        levels = MAX_DEPTH // (2 if opening == "!(" else 1)
        parse(opening * levels + "a == 1" + closing * levels)
        with pytest.raises(ArgumentError, match="one another"):
            parse(opening * (MAX_DEPTH + 1) + "a == 1" + closing * (MAX_DEPTH + 1))
    parse(" OR ".join(["a == 1"] * MAX_COMPARISONS))
    with pytest.raises(ArgumentError, match="too many"):
        parse(" OR ".join(["a == 1"] * (MAX_COMPARISONS + 1)))


@pytest.mark.parametrize(
    "text",
    ["(" * 30_000, "!" * 30_000, "{" * 30_000, "a IN " + "{" * 30_000, "a." * 30_000, "'" + "\\" * 60_000,
     "-" * 60_000, "[" * 60_000, "a == 1 AND " * 5_000, "\\u" * 30_000, "0x" * 30_000, "1e" * 30_000],
)  # fmt: skip
def test_long_nonsense_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ArgumentError):
        parse(text)
    assert time.process_time() - began < 5


# -- any tree, and any text ----------------------------------------------------------------------------------------

_KEYS = st.sampled_from(["name", "in", "size", "a", "AND", "nil"]).map(lambda key: KeyPath((key,)))
_VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.integers(-10**9, 10**10).map(lambda seconds: Date(float(seconds))),
).map(Constant)  # fmt: skip
_LISTS = st.lists(_VALUES, max_size=3).map(lambda items: Aggregate(tuple(items)))
_COMPARISONS = st.one_of(
    st.builds(
        Comparison,
        _KEYS,
        st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "LIKE", "CONTAINS", "BEGINSWITH", "ENDSWITH", "MATCHES"]),
        _VALUES,
        st.sampled_from([None, "ANY", "ALL", "NONE"]),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(Comparison, _KEYS, st.just("IN"), _LISTS, st.none(), st.booleans(), st.booleans()),
)
_TREES = st.recursive(
    _COMPARISONS | st.booleans().map(Truth),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: And(tuple(items))),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: Or(tuple(items))),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(_TREES)
def test_a_tree_s_text_is_the_same_tree(tree: Node) -> None:
    # Keys that are words need their sign.
    words = {"in": "#in", "AND": "#AND", "nil": "#nil", "size": "#size"}
    text = str(_with_keys(tree, words))
    assert parse(text) == tree


def _with_keys(node: Node, words: dict[str, str]) -> Node:
    if isinstance(node, Comparison):
        left = node.left
        assert isinstance(left, KeyPath)
        renamed = KeyPath(tuple(words.get(key, key) for key in left.keys))
        return Comparison(renamed, node.operator, node.right, node.modifier, node.case, node.marks)
    if isinstance(node, Not):
        return Not(_with_keys(node.item, words))
    if isinstance(node, And | Or):
        return type(node)(tuple(_with_keys(item, words) for item in node.items))
    return node


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet=string.printable + "é漢\U0001f600", max_size=60))
def test_any_text_is_a_predicate_or_refused(text: str) -> None:
    with contextlib.suppress(ArgumentError):
        str(parse(text))


_SEEDS = (
    "(name LIKE '*OSIRIX*')",
    "patientID == 'X' AND modality == 'CT' AND date >= CAST('2026-04-06 00:00:00 +0000', 'NSDate')",
    "ANY series.modality IN {'CT', \"MR\"} OR NOT (numberOfImages BETWEEN {1, 500} && series.@count > 2)",
    r"name MATCHES[cd] '.*(a|b)+\\.dcm' || studyName BEGINSWITH[c] \"Ch\"",
)


def test_damaged_predicates_are_parsed_or_refused_in_bounds_of_time_and_memory() -> None:
    chance = random.Random(20100512)
    alphabet = "'\"\\(){}[],.=<>!&|@#%$ \n\0aZ09é" + "".join(_SEEDS)
    tracemalloc.start()
    began = time.process_time()
    outcomes = {True: 0, False: 0}
    for _ in range(4000):
        letters = list(chance.choice(_SEEDS))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(letters) + 1)
            action = chance.random()
            if action < 0.4 and at < len(letters):
                del letters[at : at + chance.randint(1, 5)]
            elif action < 0.8:
                letters[at:at] = chance.choices(alphabet, k=chance.randint(1, 4))
            else:
                letters[at:at] = letters[: chance.randint(0, 40)]
        try:
            parse("".join(letters))
        except ArgumentError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert all(outcomes.values()), "the damage is always, or never, noticed"
    assert seconds < 40
    assert peak < 20 * 2**20


# -- dates and numbers in text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "today", "2010", "2010-05", "20100512", "2010-02-30", "2010-05-12 25:00", "2010-05-12 14:61:00",
     "2010-05-12 14:22:11 +9900", "2010-05-12 14:22:11 CET", "0000-01-01", "2010-05-12 14:22:11 +0000 x"],
)  # fmt: skip
def test_no_dates(text: str) -> None:
    assert date_of(text) is None


def test_dates_without_a_zone_are_local() -> None:
    assert date_of("2010-05-12 14:22:11") == Date(time.mktime((2010, 5, 12, 14, 22, 11, 0, 0, -1)))
    assert date_of("2010-05-12") == Date(time.mktime((2010, 5, 12, 0, 0, 0, 0, 0, -1)))


def test_numbers() -> None:
    assert [number_of(text) for text in ("5", " -2.5 ", "1e3", "+7", "x", "", "1e9999", "0x10", "nan", "٣")] == [
        5, -2.5, 1000.0, 7, None, None, None, None, None, None,
    ]  # fmt: skip
