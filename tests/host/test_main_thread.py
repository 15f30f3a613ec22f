"""Work for the main thread: pure, without Slicer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from slicer_notebook.host.main_thread import MainThread

#: Seconds that anything here may take on a slow machine.
DEADLINE = 10.0


class Woken:
    """What stands in for the host's event loop: counts how often it was woken."""

    def __init__(self) -> None:
        self.functions: list[Callable[[], None]] = []

    def __call__(self, function: Callable[[], None]) -> None:
        self.functions.append(function)


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def main(woken: Woken) -> MainThread:
    return MainThread(woken)


def on_thread(function: Callable[[], Any]) -> tuple[threading.Thread, Future[Any]]:
    """Run ``function`` on a thread of its own."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the test looks at it
            future.set_exception(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, future


def serve(main: MainThread, future: Future[Any]) -> None:
    """Be the main thread until ``future`` is done."""
    future.add_done_callback(lambda _: main.pending.set())
    while not future.done():
        assert main.pending.wait(DEADLINE)
        main.drain()


def test_a_call_from_the_main_thread_runs_at_once(main: MainThread, woken: Woken) -> None:
    assert main.call(threading.get_ident) == main.ident
    assert woken.functions == []


def test_a_call_from_elsewhere_runs_on_the_main_thread(main: MainThread, woken: Woken) -> None:
    thread, future = on_thread(lambda: (main.call(threading.get_ident), threading.get_ident()))
    serve(main, future)
    there, here = future.result(DEADLINE)
    assert there == main.ident
    assert here == thread.ident
    assert woken.functions == [main.drain]
    thread.join(DEADLINE)


def test_an_exception_comes_back_to_the_caller(main: MainThread) -> None:
    def fails() -> None:
        raise KeyError("gone")

    _, future = on_thread(lambda: main.call(fails))
    serve(main, future)
    with pytest.raises(KeyError, match="gone"):
        future.result(DEADLINE)


def test_also_an_exit_comes_back_and_ends_nothing(main: MainThread) -> None:
    def leaves() -> None:
        raise SystemExit(3)

    future = main.submit(leaves)
    after = main.submit(lambda: "goes on")
    main.drain()
    assert isinstance(future.exception(DEADLINE), SystemExit)
    assert after.result(DEADLINE) == "goes on"


def test_work_is_done_in_the_order_of_asking(main: MainThread) -> None:
    done: list[int] = []
    for number in range(100):
        main.submit(lambda number=number: done.append(number))  # type: ignore[misc]
    main.drain()
    assert done == list(range(100))


def test_work_given_while_draining_is_done_too(main: MainThread) -> None:
    done: list[str] = []
    main.submit(lambda: (done.append("first"), main.submit(lambda: done.append("second"))))
    main.drain()
    assert done == ["first", "second"]


def test_cancelled_work_is_not_done(main: MainThread) -> None:
    done: list[str] = []
    future = main.submit(lambda: done.append("never"))
    main.submit(lambda: done.append("this"))
    assert future.cancel()
    main.drain()
    assert done == ["this"]


def test_pending_tells_of_work(main: MainThread) -> None:
    assert not main.pending.is_set()
    main.submit(lambda: None)
    assert main.pending.is_set()
    main.drain()
    assert not main.pending.is_set()
    main.drain()
