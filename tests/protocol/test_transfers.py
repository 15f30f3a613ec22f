"""Arrays in pieces: put together in any order, refused when something is missing or does not fit."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook import errors
from slicer_notebook.protocol import messages, transfers, values
from slicer_notebook.protocol.messages import Chunk
from slicer_notebook.protocol.transfers import Incoming
from slicer_notebook.protocol.values import Array, ArrayHeader
from tests.protocol.test_values import arrays


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "CHUNK_SIZE", 16)


def pieces(array: Array, transfer: int = 1) -> list[tuple[Chunk, list[Any]]]:
    found = []
    for buffers in transfers.outgoing(array, transfer):
        chunk = values.decode(buffers)
        assert isinstance(chunk, messages.Chunk)
        assert len(buffers[1]) <= 16
        found.append((chunk, buffers))
    return found


def header(array: Array, transfer: int = 1) -> ArrayHeader:
    return ArrayHeader(dtype=array.dtype.str, shape=array.shape, transfer=transfer)


@settings(deadline=None)
@given(arrays.filter(lambda a: a.nbytes > 0), st.randoms())
def test_pieces_in_any_order_make_the_array(array: Array, order: random.Random) -> None:
    incoming = Incoming()
    sent = pieces(array)
    order.shuffle(sent)
    for chunk, buffers in sent:
        incoming.add(chunk, buffers)
    got = incoming.take(header(array))
    assert got.dtype == array.dtype
    assert got.tobytes() == array.tobytes()
    assert got.flags.writeable
    with pytest.raises(errors.ProtocolError):
        incoming.take(header(array))


def test_two_transfers_at_once_do_not_mix() -> None:
    one, other = np.arange(20), np.arange(20) * 1.5
    incoming = Incoming()
    for (a, a_buffers), (b, b_buffers) in zip(pieces(one, 1), pieces(other, 2), strict=True):
        incoming.add(a, a_buffers)
        incoming.add(b, b_buffers)
    np.testing.assert_array_equal(incoming.take(header(other, 2)), other)
    np.testing.assert_array_equal(incoming.take(header(one, 1)), one)


def test_a_lost_piece_is_noticed() -> None:
    array = np.arange(20)
    incoming = Incoming()
    for chunk, buffers in pieces(array)[:-1]:
        incoming.add(chunk, buffers)
    with pytest.raises(errors.ProtocolError, match="did not all come") as caught:
        incoming.take(header(array))
    assert "16 bytes short" in str(caught.value)


def test_a_transfer_that_never_began_is_noticed() -> None:
    with pytest.raises(errors.ProtocolError, match="did not all come"):
        Incoming().take(header(np.zeros(3)))


@pytest.mark.parametrize(
    ("chunk", "buffers"),
    [
        (Chunk(transfer=1, offset=0, total=8), [b"", b"x" * 9]),
        (Chunk(transfer=1, offset=5, total=8), [b"", b"xxxx"]),
        (Chunk(transfer=1, offset=-2, total=8), [b"", b"xx"]),
        (Chunk(transfer=1, offset=2**62, total=8), [b"", b"xx"]),
        (Chunk(transfer=1, offset=0, total=-1), [b"", b"x"]),
        (Chunk(transfer=1, offset=0, total=2**62), [b"", b"x"]),
        (Chunk(transfer=1, offset=0, total=8), [b""]),
        (Chunk(transfer=1, offset=0, total=8), [b"", b""]),
        (Chunk(transfer=1, offset=0, total=8), [b"", b"xx", b"xx"]),
    ],
    ids=str,
)
def test_a_piece_that_does_not_fit_is_refused_and_its_transfer_forgotten(chunk: Chunk, buffers: list[Any]) -> None:
    incoming = Incoming()
    with pytest.raises(errors.ProtocolError):
        incoming.add(chunk, buffers)
    assert incoming._transfers == {}


def test_a_transfer_does_not_change_its_size() -> None:
    incoming = Incoming()
    incoming.add(Chunk(transfer=1, offset=0, total=8), [b"", b"xxxx"])
    with pytest.raises(errors.ProtocolError):
        incoming.add(Chunk(transfer=1, offset=4, total=80), [b"", b"xxxx"])


def test_transfers_that_are_never_finished_do_not_pile_up() -> None:
    incoming = Incoming()
    for number in range(transfers.MOST_AT_ONCE):
        incoming.add(Chunk(transfer=number, offset=0, total=8), [b"", b"x"])
    with pytest.raises(errors.ProtocolError, match="cannot be taken"):
        incoming.add(Chunk(transfer=-1, offset=0, total=8), [b"", b"x"])
    incoming.clear()
    incoming.add(Chunk(transfer=-1, offset=0, total=1), [b"", b"x"])
    assert incoming.take(ArrayHeader(dtype="S1", shape=(1,), transfer=-1))[0] == b"x"


def test_a_header_of_another_size_is_refused() -> None:
    incoming = Incoming()
    array = np.arange(4)
    for chunk, buffers in pieces(array):
        incoming.add(chunk, buffers)
    message = values.encode(messages.Event(kind="x", data=array), store=lambda _a, _b: header(np.arange(5)))
    with pytest.raises(errors.ProtocolError):
        values.decode(message, fetch=lambda found, _buffers: incoming.take(found))
