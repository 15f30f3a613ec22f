"""Which way is tried next, in which form, and how long it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.errors import (
    JobCancelledError,
    PacsAnswerError,
    PacsConfigError,
    PacsError,
    PacsRefusedError,
    PacsUnreachableError,
)
from slicer_notebook.pacs.counting import Counted
from slicer_notebook.pacs.model import WayFailedError
from slicer_notebook.pacs.patience import away, busy, hopeless, of_the_server, patiently, rest, silent
from slicer_notebook.pacs.tries import TRIES, Next, Tries

LOST = PacsUnreachableError("lost", details={"lost": True})
PORT = PacsUnreachableError("refused", details={"stage": "port"})
NAME = PacsUnreachableError("no such host", details={"stage": "name"})
SILENT = PacsUnreachableError("silent", details={"timeout": True})
BUSY = PacsRefusedError("no room", details={"source": 3, "again": True})
CLOSED = PacsRefusedError("closed", details={"again": True, "closed": True})
ROLE = PacsRefusedError("role", details={"role": True, "again": False})
SERVICE = PacsRefusedError("no service", details={"abstract": "1.2", "again": False})
DESTINATION = PacsAnswerError("destination", details={"status": 0xA801})
LEVEL = PacsAnswerError("identifier", details={"status": 0xA900})
PARTLY = PacsAnswerError("partly", details={"status": 0xB000})


class Named:
    """A way that is only called something."""

    parallel = 1

    def __init__(self, name: str) -> None:
        self.name = name

    def fetch(self, *_arguments: Any) -> int | None:
        raise AssertionError


class Clock:
    """Seconds that go by when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def made(*names: str, clock: Clock | None = None, patience: float = 30.0) -> Tries:
    return Tries([Named(name) for name in names], patience, clock or Clock())


def name_of(tries: Tries) -> str:
    return tries.way.name if tries.way is not None else ""


def failed(tries: Tries, error: PacsError, *, again: bool = True, form: str = "whole") -> Next:
    return tries.ended(form, progress=False, failure=WayFailedError(error.message, again=again, error=error))  # type: ignore[arg-type]


def test_what_failures_mean() -> None:
    errors = {
        "LOST": LOST, "PORT": PORT, "NAME": NAME, "SILENT": SILENT, "BUSY": BUSY, "CLOSED": CLOSED, "ROLE": ROLE,
        "SERVICE": SERVICE, "DESTINATION": DESTINATION, "LEVEL": LEVEL, "PARTLY": PARTLY,
    }  # fmt: skip
    for function, names in (
        (busy, {"BUSY"}),
        (silent, {"SILENT"}),
        (away, {"LOST", "PORT", "BUSY", "CLOSED"}),
        (hopeless, {"NAME", "ROLE", "SERVICE", "DESTINATION"}),
        (of_the_server, {"NAME", "SERVICE", "DESTINATION"}),
    ):
        assert {name for name, error in errors.items() if function(error)} == names, function.__name__
        assert not function(None)


def test_a_way_is_left_after_some_tries_in_a_row_that_bring_nothing() -> None:
    tries = made("C-GET", "C-MOVE")
    for _ in range(TRIES - 1):
        assert failed(tries, PARTLY).pause > 0
    tries.ended("whole", progress=True, failure=None)  # the count begins anew
    for _ in range(TRIES - 1):
        failed(tries, PARTLY)
    assert name_of(tries) == "C-GET"
    last = failed(tries, PARTLY)
    assert last.reasons == ["C-GET: partly", "C-MOVE instead of C-GET"]
    assert name_of(tries) == "C-MOVE"
    for _ in range(TRIES):
        last = tries.ended("whole", progress=False, failure=None)
    assert tries.way is None
    assert last.reasons == ["C-MOVE: it says that all was sent, and not all came"]
    assert not last.gone


def test_a_way_that_never_will_is_left_at_once() -> None:
    tries = made("C-GET", "C-MOVE")
    after = failed(tries, ROLE, again=False)
    assert after.refused is not None
    assert after.refused.name == "C-GET"
    assert name_of(tries) == "C-MOVE"


def test_a_form_that_a_way_cannot_do_gives_place_to_the_other() -> None:
    tries = made("C-GET", "C-MOVE")
    both = ("instances", "whole")
    assert tries.form("instances", both) == "instances"  # type: ignore[arg-type]
    failed(tries, LEVEL, again=False, form="instances")
    assert name_of(tries) == "C-GET"
    assert tries.form("instances", both) == "whole"  # type: ignore[arg-type]
    assert tries.form("instances", ("instances",)) is None
    failed(tries, LEVEL, again=False, form="whole")
    assert tries.form("instances", both) is None  # type: ignore[arg-type]
    assert tries.unfit("").reasons == ["C-MOVE instead of C-GET"]
    assert tries.form("instances", both) == "instances"  # type: ignore[arg-type]


def test_forms_take_turns_where_one_brings_nothing() -> None:
    tries = made("C-GET")
    both = ("instances", "whole")
    tried = []
    for _ in range(TRIES):
        form = tries.form("instances", both)  # type: ignore[arg-type]
        assert form is not None
        tried.append(form)
        tries.ended(form, progress=False, failure=None)
    assert tried == ["instances", "whole", "instances"]


def test_while_the_pacs_is_away_ways_take_turns_as_long_as_patience_lasts() -> None:
    clock = Clock()
    tries = made("C-GET", "C-MOVE", clock=clock)
    names, pauses = [], []
    while (after := failed(tries, PORT)).gone is False and tries.way is not None:
        names.append(name_of(tries))
        pauses.append(after.pause)
        clock.now += after.pause or 0.1
    assert after.gone
    assert 30 <= clock.now - 100 < 35
    assert {"C-GET", "C-MOVE"} <= set(names)
    assert pauses[:3] == [0.3, 1.0, 3.0]
    assert max(pauses) == 3.0
    # A form is not given up for that.
    tries = made("C-GET")
    failed(tries, PORT, form="instances")
    assert tries.form("instances", ("instances", "whole")) == "instances"


def test_progress_ends_impatience() -> None:
    clock = Clock()
    tries = made("C-GET", clock=clock)
    for _ in range(20):
        failed(tries, LOST)
        clock.now += 10
        after = tries.ended("whole", progress=True, failure=WayFailedError("lost", again=True, error=LOST))
        assert after == (0.0, ["C-GET: lost"], None, False)
    assert name_of(tries) == "C-GET"


def test_silence_is_not_waited_for_three_times() -> None:
    tries = made("C-GET", "C-MOVE")
    failed(tries, SILENT)
    assert name_of(tries) == "C-GET"
    failed(tries, SILENT)
    assert name_of(tries) == "C-MOVE"


@pytest.mark.parametrize(
    ("lacking", "here", "progress"),
    [
        ((5, 4), (0, 1), True),
        ((5, 5), (0, 7), False),  # other things came than what was missing
        ((5, None), (0, 1), True),
        ((None, None), (0, 1), True),
        ((None, None), (3, 3), False),
        ((0, 0), (3, 4), True),
    ],
)
def test_what_counts_as_progress(lacking: Any, here: Any, progress: bool) -> None:
    assert made("C-GET").counts_as_progress(lacking, here) is progress


def test_new_things_without_end_are_no_progress() -> None:
    tries = made("C-GET")
    found = [tries.counts_as_progress((None, None), (number, number + 1)) for number in range(100)]
    assert found == [True] * 50 + [False] * 50


# -- patience ---------------------------------------------------------------------------------------------------------


def test_patience_lasts_for_what_is_a_matter_of_it() -> None:
    answers: list[Any] = [BUSY, BUSY, "answer"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert patiently(ask, 30, lambda: False, busy) == "answer"
    for error, patience in ((PORT, 30.0), (BUSY, 0.0)):
        answers[:] = [error, "answer"]
        with pytest.raises(PacsError):
            patiently(ask, patience, lambda: False, busy)
        assert answers == ["answer"]
    answers[:] = [PacsConfigError("no")]
    with pytest.raises(PacsConfigError):
        patiently(ask, 30, lambda: False, away)


def test_patience_ends_with_a_cancel() -> None:
    def ask() -> None:
        raise BUSY

    with pytest.raises(JobCancelledError):
        patiently(ask, 30, lambda: True, busy)
    with pytest.raises(JobCancelledError):
        rest(30, lambda: True)


# -- counting ---------------------------------------------------------------------------------------------------------


class Sink:
    """Takes everything."""

    def __init__(self) -> None:
        self.written = b""
        self.discarded = 0
        self.adopted: list[tuple[Path, int]] = []

    def open(self) -> Sink:
        return self

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def done(self) -> None:
        self.written += b"."

    def discard(self) -> None:
        self.discarded += 1

    def folder_aside(self) -> Path:
        return Path("aside")

    def adopt(self, path: Path, size: int, instance: Any = None) -> None:
        self.adopted.append((path, size))


def test_a_sink_counts_what_comes_to_its_end() -> None:
    sink = Sink()
    counted = Counted(sink)
    part = counted.open()
    part.write(b"ab")
    part.done()
    counted.open().discard()
    counted.adopt(Path("x"), 3)
    assert (counted.count, sink.written, sink.discarded) == (2, b"ab.", 1)
    assert (sink.adopted, counted.folder_aside()) == ([(Path("x"), 3)], Path("aside"))
