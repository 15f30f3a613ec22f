"""The parser of multipart bodies: every split of the bytes gives the same parts, quirks are taken, damage is said."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slicer_notebook.pacs.dicomweb.multipart import (
    BodyEnds,
    LengthError,
    MultipartError,
    Parser,
    PartBegins,
    PartData,
    PartEnds,
    TruncatedError,
    parse_content_type,
)

#: Bytes of which boundaries, and what looks like one, come about often.
NASTY = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"-", b"--", b"--B", b"\r\n--B", b"\n--", b"B", b"x", b" ", b"\r\n--B-", b"\0"]
    ),
    max_size=12,
).map(b"".join)


def run(body: bytes, cuts=(), *, boundary="B", trust=True, close=True):
    """Parts as (headers, data), whether the body ended, and the error's class."""
    parser = Parser(boundary, trust_lengths=trust)
    parts, open_part, over, error = [], None, False, None
    try:
        for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
            for event in parser.feed(body[start:stop]):
                if isinstance(event, PartBegins):
                    assert open_part is None
                    open_part = (event.headers, bytearray())
                elif isinstance(event, PartData):
                    open_part[1].extend(event.data)
                elif isinstance(event, PartEnds):
                    parts.append((open_part[0], bytes(open_part[1])))
                    open_part = None
                else:
                    assert isinstance(event, BodyEnds)
                    assert not over
                    over = True
        if close:
            parser.close()
            assert over
    except MultipartError as exc:
        error = type(exc)
    return parts, None if open_part is None else bytes(open_part[1]), over, error


def data_of(body: bytes, **options) -> list[bytes]:
    parts, unfinished, over, error = run(body, **options)
    assert (unfinished, over, error) == (None, True, None)
    return [data for _, data in parts]


def body_of(parts, *, eol=b"\r\n", lengths=True, boundary=b"B", before=b"", after=b"") -> bytes:
    found = before
    for data in parts:
        length = b"Content-Length: %d" % len(data) + eol if lengths else b""
        found += b"--" + boundary + eol + b"Content-Type: application/dicom" + eol + length + eol + data + eol
    return found + b"--" + boundary + b"--" + after


def cuts_of(draw, body):
    return sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))


@given(st.data(), NASTY, st.booleans())
@settings(max_examples=600)
def test_any_split_of_any_bytes_gives_the_same(data, junk, trust):
    head = data.draw(
        st.sampled_from([b"", b"--B\r\n\r\n", b"--B\nContent-Length: 7\n\n", b"\r\n--B \t\r\nA: b\r\n\r\n"])
    )
    boundary = data.draw(st.sampled_from(["B", "--B", None, "B--", "\n"]))
    body = head + junk + data.draw(NASTY)
    whole = run(body, boundary=boundary, trust=trust)
    assert run(body, cuts_of(data.draw, body), boundary=boundary, trust=trust) == whole
    assert run(body, range(1, len(body)), boundary=boundary, trust=trust) == whole


@given(st.data(), st.lists(st.one_of(NASTY, st.binary(max_size=300)), max_size=4), st.sampled_from([b"\r\n", b"\n"]))
@settings(max_examples=300)
@example(None, [b"\r\n--B\r\n\r\nfake", b"", b"\r\n"], b"\r\n")
def test_parts_with_lengths_come_out_whatever_is_in_them(data, parts, eol):
    body = body_of(parts, eol=eol, before=b"This is text.\r\n", after=b"\r\nmore --B\r\n text")
    cuts = () if data is None else cuts_of(data.draw, body)
    assert data_of(body, cuts=cuts) == parts


@given(st.data(), st.lists(st.binary(max_size=300), max_size=4), st.sampled_from([b"\r\n", b"\n"]))
@settings(max_examples=300)
@example(None, [b"\r\n--", b"x--B", b"x\r", b"\r\n--Bx", b"\n--B \t x", b"\r\n--B-", b"\n\n\r\n"], b"\r\n")
@example(None, [b"x\r", b"\r", b""], b"\n")
def test_parts_without_lengths_come_out(data, parts, eol):
    body = body_of(parts, eol=eol, lengths=False, boundary=b"7f2c", after=eol)
    if data is None:
        body = body.replace(b"7f2c", b"B")
        assert data_of(body) == parts
    else:
        assert data_of(body, cuts=cuts_of(data.draw, body), boundary="7f2c") == parts


@given(st.data(), st.lists(st.binary(max_size=60), min_size=1, max_size=3), st.booleans())
@settings(max_examples=300)
def test_what_breaks_off_is_never_complete(data, parts, lengths):
    body = body_of(parts, lengths=lengths, boundary=b"7f2c")
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    found, _, over, error = run(cut, cuts_of(data.draw, cut), boundary="7f2c")
    assert (over, error) == (False, TruncatedError)
    assert [part for _, part in found] == parts[: len(found)]


def test_headers_by_lower_case_name():
    body = b"--B\r\nContent-TYPE: application/dicom;\r\n transfer-syntax=1.2\r\nContent-Length: 1\r\n\r\nx\r\n--B--"
    assert run(body)[0] == [
        ({"content-type": "application/dicom; transfer-syntax=1.2", "content-length": "1"}, b"x"),
    ]


def test_a_body_without_parts():
    assert data_of(b"--B--") == []
    assert data_of(b"\r\n--B--\r\n") == []


@pytest.mark.parametrize("lengths", [True, False])
def test_a_line_end_before_the_first_boundary_or_none(lengths):
    body = body_of([b"x"], lengths=lengths)
    assert data_of(body) == data_of(b"\r\n" + body) == data_of(b"\n\r\n" + body) == [b"x"]


def test_a_boundary_that_the_header_names_with_its_hyphens():
    assert data_of(body_of([b"x"]), boundary="--B") == [b"x"]
    assert data_of(b"\r\n" + body_of([b"x"]), boundary="--B") == [b"x"]
    assert data_of(body_of([b"x"], boundary=b"--B"), boundary="--B") == [b"x"]


def test_a_boundary_that_nothing_names():
    assert data_of(body_of([b"x", b"y"], boundary=b"some-thing"), boundary=None) == [b"x", b"y"]
    assert run(b"DICM" * 500, boundary=None)[3] is MultipartError


def test_a_length_that_counts_the_line_end_too():
    body = b"--B\r\nContent-Length: 5\r\n\r\nabc\r\n--B--"
    assert data_of(body) == [b"abc"]


def test_no_line_end_behind_a_part_that_says_its_length():
    assert data_of(b"--B\r\nContent-Length: 3\r\n\r\nabc--B--") == [b"abc"]


@pytest.mark.parametrize("length", [0, 1, 2, 6, 8, 10, 20, 200])
def test_a_wrong_length_is_noticed_and_looking_for_boundaries_helps(length):
    body = b"--B\r\nContent-Length: %d\r\n\r\n" % length + b"7 bytes\r\n--B\r\n\r\nsecond\r\n--B--" + b" " * 100
    assert run(body)[3] in (LengthError, TruncatedError)
    if length < 120:
        assert run(body)[3] is LengthError
    assert data_of(body, trust=False) == [b"7 bytes", b"second"]


@pytest.mark.parametrize("length", ["x", "-3", "", "\xb2", "1 2"])
def test_a_length_that_is_no_number_is_none(length):
    body = b"--B\r\nContent-Length: " + length.encode("latin-1") + b"\r\n\r\nabc\r\n--B--"
    assert data_of(body) == [b"abc"]


def test_headers_without_end():
    assert run(b"--B\r\n" + b"x" * 100_000)[3] is MultipartError
    assert run(b"--B\r\n" + b"x" * 100_000, range(1000, 100_000, 1000))[3] is MultipartError


def test_large_parts_are_not_copied_when_they_say_their_length():
    data = bytes(300_000)
    body = body_of([data])
    views = [event.data for event in Parser("B").feed(body) if isinstance(event, PartData)]
    assert views[0].obj is body
    assert len(views[0]) == len(data) - 2


@pytest.mark.parametrize("lengths", [True, False])
def test_the_time_grows_with_the_bytes_alone(lengths):
    # Held-back bytes are bounded: feeding single bytes must not copy more and more.
    parser = Parser("B", trust_lengths=lengths)
    body = body_of([bytes(20_000)], lengths=lengths)
    for i in range(len(body)):
        for _ in parser.feed(body[i : i + 1]):
            pass
        assert len(parser._held) < 200
    parser.close()


@pytest.mark.parametrize(
    ("text", "kind", "parameters"),
    [
        ("Application/DICOM+json", "application/dicom+json", {}),
        ("multipart/related; type=a/b; boundary=abc", "multipart/related", {"type": "a/b", "boundary": "abc"}),
        ('a/b;boundary="a b;c";type="application/dicom"', "a/b", {"boundary": "a b;c", "type": "application/dicom"}),
        (
            'multipart/related; type="image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90"; Boundary=x=y/z:1',
            "multipart/related",
            {"type": "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90", "boundary": "x=y/z:1"},
        ),
        (r'text/x; a="q\"uo\\te"', "text/x", {"a": r'q"uo\te'}),
        ("a/json;charset=ISO-8859-1 ; boundary = b ", "a/json", {"charset": "ISO-8859-1", "boundary": "b"}),
        ("", "", {}),
        ('x/y; boundary="unfinished', "x/y", {"boundary": "unfinished"}),
    ],
)
def test_content_types(text, kind, parameters):
    assert parse_content_type(text) == (kind, parameters)
