"""Arrays in JSON as they arrive: the same objects whatever the pieces, and as soon as they are there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.pacs.dicomweb import items
from slicer_notebook.pacs.dicomweb.items import ItemsError, items_of
from slicer_notebook.pacs.records import record_of_json

TEXT = st.text(st.sampled_from('},{"[]\\:ü山 00080005'), max_size=12)
VALUE = st.one_of(TEXT, st.integers(-5, 5), st.none(), st.dictionaries(st.just("Alphabetic"), TEXT, max_size=1))
TAG = st.sampled_from(["00080005", "00080020", "00100010", "0020000D", "00191001"])
ELEMENT = st.fixed_dictionaries(
    {"vr": st.sampled_from(["PN", "LO", "SQ", "IS"])}, optional={"Value": st.lists(VALUE, max_size=3)}
)
ITEM = st.dictionaries(TAG, ELEMENT, max_size=4)
NESTED = st.dictionaries(
    TAG, st.fixed_dictionaries({"vr": st.just("SQ"), "Value": st.lists(ITEM, max_size=3)}), max_size=2
)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    """So that bodies of some hundred bytes come in several pieces."""
    monkeypatch.setattr(items, "_FIRST", 1)
    monkeypatch.setattr(items, "_AT_ONCE", 40)


def read(chunks, **options):
    return [item for found in items_of(chunks, **options) for item in found]


@given(st.data(), st.lists(st.one_of(ITEM, NESTED), max_size=8), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=400)
def test_any_pieces_give_the_same_objects(data, given_items, indent, ascii_only):
    body = json.dumps(given_items, indent=indent, ensure_ascii=ascii_only).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=10)))
    chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(chunks, plain=True) == given_items
    records = [record_of_json(item) for item in given_items]
    assert [record_of_json(item) for item in read(chunks)] == records
    assert [record_of_json(item) for item in read([body[i : i + 1] for i in range(len(body))])] == records


@given(st.data(), st.lists(ITEM, min_size=1, max_size=5))
@settings(max_examples=200)
def test_what_breaks_off_is_an_error_after_what_is_whole(data, given_items):
    body = json.dumps(given_items).encode()
    cut = data.draw(st.integers(1, len(body) - 1))
    found = []

    def read_all():
        for each in items_of([body[: cut // 2], body[cut // 2 : cut]], plain=True):
            found.extend(each)

    with pytest.raises(ItemsError):
        read_all()
    assert found == given_items[: len(found)]


def test_objects_come_as_soon_as_they_are_there():
    def chunks():
        yield b'[{"00100010": {"vr": "PN"}}, {"0020000D": {"vr": "UI"}}, {"00'
        yield from ()
        raise AssertionError("asked for more than was needed")

    assert len(next(items_of(chunks()))) == 2


def test_values_that_are_not_as_they_should_be_do_not_spoil_the_others():
    found = read(
        [b'[{"00100010": null, "00100020": {"vr": 7, "Value": "x"}, "00100040": {"vr": "CS", "Value": ["F"]}}]']
    )
    assert record_of_json(found[0]) == {"PatientName": None, "PatientID": None, "PatientSex": "F"}


def test_a_large_object_is_not_tried_again_and_again(monkeypatch):
    tries = []
    decode = items._decode_plain
    monkeypatch.setattr(items, "_decode_plain", lambda text: tries.append(len(text)) or decode(text))
    body = json.dumps([{"00100010": {"vr": "LO", "Value": ["},{" * 50_000]}}, {}]).encode()
    chunks = [body[i : i + 1000] for i in range(0, len(body), 1000)]
    assert len(read(chunks, plain=True)) == 2
    assert sum(tries) < 60 * len(body)


def test_an_object_without_end_is_an_error(monkeypatch):
    monkeypatch.setattr(items, "_MOST", 10_000)
    with pytest.raises(ItemsError, match="more than"):
        read([b"[{"] + [b'"a": "' + b"x" * 1000 + b'",'] * 100)


@pytest.mark.parametrize("body", [b"", b"   ", b"[]", b" [ ] \n", b"\xef\xbb\xbf []"])
def test_nothing(body):
    assert read([body]) == read([body[i : i + 1] for i in range(len(body))]) == []


@pytest.mark.parametrize("body", [b"x", b"[", b"[{]", b"[1]", b'{"a"', b"[]]", b"\xff\xfe[\0]\0", b"null", b'"x"'])
def test_what_is_no_array_of_objects(body):
    with pytest.raises(ItemsError):
        read([body])
    with pytest.raises(ItemsError):
        read([body[i : i + 1] for i in range(len(body))])
