"""What waits to be written is handed out once, in batches, and nobody waits for what will not come."""

from __future__ import annotations

import threading

import pytest

from slicer_notebook.errors import StorageError
from slicer_notebook.pacs import batches as module
from slicer_notebook.pacs.batches import BATCH, Batches, Given


def given(number: int, size: int = 100) -> Given:
    return Given(str(number), -1, bytearray(size), size)


def goes_well() -> None:
    """Nothing has failed."""


class Takers:
    """Threads that take batches until there are no more."""

    def __init__(self, batches: Batches, count: int = 2) -> None:
        self.taken: list[list[str]] = []
        self.may = threading.Event()
        self.may.set()
        self._batches = batches
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while batch := self._batches.take():
            self.may.wait(20)
            self.taken.append([each.path for _, each in batch])
            self._batches.done(batch)

    def ended(self) -> bool:
        for thread in self._threads:
            thread.join(20)
        return not any(thread.is_alive() for thread in self._threads)


@pytest.mark.parametrize("takers", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, BATCH - 1, BATCH, BATCH + 1, 1000])
def test_each_is_taken_once_in_its_order(count: int, takers: int) -> None:
    batches = Batches(goes_well)
    threads = Takers(batches, takers)
    for number in range(count):
        batches.put(given(number))
    batches.flush()
    assert sorted(int(path) for batch in threads.taken for path in batch) == list(range(count))
    assert all(len(batch) <= BATCH for batch in threads.taken)
    assert all(batch == sorted(batch, key=int) for batch in threads.taken)
    batches.close()
    assert threads.ended()


def test_what_is_large_makes_small_batches() -> None:
    batches = Batches(goes_well)
    for number in range(4):
        batches.put(given(number, module.BATCH_BYTES - 1))
    batches.close()
    threads = Takers(batches, 1)
    assert threads.ended()
    assert [len(batch) for batch in threads.taken] == [2, 2]


def test_who_hands_in_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 1000)
    batches = Batches(goes_well)
    threads = Takers(batches, 1)
    threads.may.clear()
    count = [0]

    def hand_in() -> None:
        for number in range(30):
            batches.put(given(number))
            count[0] += 1

    thread = threading.Thread(target=hand_in, daemon=True)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    assert count[0] == 10
    threads.may.set()
    thread.join(20)
    assert count[0] == 30
    batches.close()
    assert threads.ended()
    assert sum(map(len, threads.taken)) == 30


@pytest.mark.parametrize("what", ["put", "flush"])
def test_nobody_waits_once_nothing_more_can_be_kept(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(module, "WAITING", 1000)
    error: list[StorageError] = []

    def check() -> None:
        if error:
            raise error[0]

    batches = Batches(check)
    batches.put(given(0, 1000))
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            if what == "put":
                batches.put(given(1, 1000))
            else:
                batches.flush()
        except StorageError as exc:
            caught.append(exc)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    error.append(StorageError("the disk is full"))
    batches.stop()
    thread.join(20)
    assert caught == error


def test_a_flush_waits_for_what_was_handed_in_before_it_alone() -> None:
    batches = Batches(goes_well)
    batches.put(given(0))
    first = batches.take()
    thread = threading.Thread(target=batches.flush, daemon=True)
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    batches.put(given(1))
    batches.done(first)
    thread.join(20)
    assert not thread.is_alive()
