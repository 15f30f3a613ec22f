"""What waits for a peer: the newest of a stream, everything else in order, and a limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slicer_notebook.igtl.sending import MAX_WAITING, MAX_WAITING_BYTES, Outbox


def all_of(outbox: Outbox) -> bytes:
    """Everything that waits, taken out in small portions."""
    taken = b""
    while len(outbox):
        portion = b"".join(outbox.next(3))[:5]
        taken += portion
        outbox.sent(len(portion))
    assert outbox.bytes == 0
    return taken


def test_messages_wait_in_order() -> None:
    outbox = Outbox()
    assert [outbox.add([b"one", b"1"], None), outbox.add([memoryview(b"two")], ("T", "a"))] == ["waits", "waits"]
    assert outbox.bytes == 7
    assert all_of(outbox) == b"one1two"


def test_the_newest_of_a_stream_takes_the_place_of_the_one_that_waits() -> None:
    outbox = Outbox()
    outbox.add([b"A1"], ("T", "a"))
    outbox.add([b"B1"], ("T", "b"))
    outbox.add([b"X"], None)
    assert outbox.add([b"A2345"], ("T", "a")) == "replaced"
    assert outbox.add([b"S"], ("S", "a")) == "waits"
    assert outbox.bytes == 5 + 2 + 1 + 1
    assert all_of(outbox) == b"A2345B1XS"


def test_what_has_begun_to_go_is_replaced_no_more() -> None:
    outbox = Outbox()
    outbox.add([b"A1A1"], ("T", "a"))
    outbox.sent(2)
    assert outbox.add([b"A2"], ("T", "a")) == "waits"
    assert outbox.add([b"A3"], ("T", "a")) == "replaced"
    assert all_of(outbox) == b"A1A3"
    outbox.add([b"A4A4"], ("T", "a"), sent=1)  # its first byte has gone already
    outbox.add([b"A5"], ("T", "a"))
    assert all_of(outbox) == b"4A4A5"


def test_there_is_a_limit() -> None:
    outbox = Outbox()
    for _ in range(MAX_WAITING):
        assert outbox.add([b"x"], None) == "waits"
    assert outbox.add([b"x"], None) == "full"
    assert outbox.add([b"x"], ("T", "a")) == "full"
    outbox.sent(1)
    assert outbox.add([b"x"], ("T", "a")) == "waits"
    assert outbox.add([b"y"], ("T", "a")) == "replaced"


def test_a_message_larger_than_the_limit_goes_if_it_is_alone() -> None:
    outbox, large = Outbox(), memoryview(bytes(MAX_WAITING_BYTES + 1))
    assert outbox.add([large], None) == "waits"
    assert outbox.add([b"x"], None) == "full"
    outbox.clear()
    assert (len(outbox), outbox.bytes) == (0, 0)
    outbox.add([b"x"], None)
    assert outbox.add([large], None) == "full"


def test_the_sender_may_change_its_array_afterwards() -> None:
    outbox, data = Outbox(), bytearray(b"abc")
    outbox.add([memoryview(data)], None)
    data[:] = b"xyz"
    assert all_of(outbox) == b"abc"


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=9), st.integers(0, 12))))
def test_whatever_is_taken_meanwhile_messages_stay_whole(steps: list[tuple[int, bytes, int]]) -> None:
    outbox, out = Outbox(), b""
    for mark, (stream, data, take) in enumerate(steps, 1):
        whole = b"<%d:%d:" % (stream, mark) + data.hex().encode() + b">"
        outbox.add([whole], None if stream == 0 else ("T", str(stream)))
        portion = b"".join(outbox.next(2))[:take]
        out += portion
        outbox.sent(len(portion))
    out += all_of(outbox)
    found = [part.split(b":") for part in out.replace(b"<", b"").split(b">") if part]
    assert all(len(part) == 3 and bytes.fromhex(part[2].decode()) == steps[int(part[1]) - 1][1] for part in found)
    for stream in range(4):
        marks = [int(part[1]) for part in found if int(part[0]) == stream]
        assert marks == sorted(marks)
        sent = [i for i, step in enumerate(steps, 1) if step[0] == stream]
        assert marks == sent if stream == 0 else marks[-1:] == sent[-1:]
