"""Events of the session as a stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from slicer_notebook.gateways.api import events
from slicer_notebook.gateways.api.failures import HttpError
from slicer_notebook.protocol.values import NodeRef
from tests.gateways.api.serving import Served, events_of, served
from tests.pacs.retrieving import until


@pytest.fixture
def web() -> Iterator[Served]:
    with served() as running:
        yield running


@contextlib.contextmanager
def listening(web: Served, query: str = "", last: str = "") -> Iterator[Iterator[dict[str, str]]]:
    """A client that listens, past the greeting's frame."""
    headers = {"Last-Event-ID": last} if last else {}
    with web.client.stream("GET", f"/events{query}", headers=headers) as stream:
        assert stream.status_code == 200
        yield (event for event in events_of(stream) if "retry" not in event)


def test_what_happens_is_told(web: Served) -> None:
    node = NodeRef("n1", "CT", ("vtkMRMLNode",))
    with listening(web) as heard:
        hello = next(heard)
        assert hello["event"] == "hello"
        assert json.loads(hello["data"]) == {"missed": 0}
        web.host.tell("scene", {"added": [node], "modified": [], "removed": []})
        web.host.tell("views", {"names": ["Red"]})
        scene, views = next(heard), next(heard)
    assert scene["event"] == "scene"
    assert json.loads(scene["data"])["added"] == [{"id": "n1", "name": "CT", "classes": ["vtkMRMLNode"]}]
    assert (views["event"], json.loads(views["data"])) == ("views", {"names": ["Red"]})
    epoch, number = hello["id"].split("-")
    assert [scene["id"], views["id"]] == [f"{epoch}-{int(number) + 1}", f"{epoch}-{int(number) + 2}"]


def test_only_some_kinds(web: Served) -> None:
    with listening(web, "?kinds=loads,indexed") as heard:
        next(heard)
        for kind in ("scene", "loads", "views", "indexed"):
            web.host.tell(kind, {})
        assert [next(heard)["event"] for _ in range(2)] == ["loads", "indexed"]


def test_who_comes_back_hears_what_was_missed(web: Served) -> None:
    with listening(web) as heard:
        next(heard)
        web.host.tell("views", {"n": 0})
        last = next(heard)["id"]
    for n in range(1, 4):
        web.host.tell("views", {"n": n})
    with listening(web, last=last) as heard:
        assert json.loads(next(heard)["data"]) == {"missed": 0}
        assert [json.loads(next(heard)["data"])["n"] for _ in range(3)] == [1, 2, 3]


def test_what_is_not_kept_any_more_is_told_of(web: Served) -> None:
    with listening(web) as heard:
        last = next(heard)["id"]
    for n in range(events.KEPT + 10):
        web.host.tell("views", {"n": n})
    with listening(web, last=last) as heard:
        assert json.loads(next(heard)["data"]) == {"missed": 10}
        assert json.loads(next(heard)["data"]) == {"n": 10}
    for unknown in ("other-1", "x", "-", f"{last.split('-')[0]}-999999999"):
        with listening(web, last=unknown) as heard:
            missed = json.loads(next(heard)["data"])["missed"]
            assert missed == (0 if unknown.endswith("999") else None)


def test_what_is_private_is_not_told(web: Served) -> None:
    with listening(web) as heard:
        next(heard)
        web.host.tell("sign_in", {"code": "s3cret"})
        web.host.tell("gateways", {"entries": [{"id": 1}], "lines": {"1": ["s3cret"]}, "gone": []})
        told = next(heard)
    assert told["event"] == "gateways"
    assert "s3cret" not in told["data"]
    assert json.loads(told["data"]) == {"entries": [{"id": 1}], "gone": []}


def test_what_has_no_form_is_a_gap(web: Served) -> None:
    with listening(web) as heard:
        next(heard)
        web.host.tell("odd", {"x": object()})
        web.host.tell("views", {})
        assert [next(heard)["event"] for _ in range(2)] == ["gap", "views"]


def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    with served() as web, listening(web) as heard:
        next(heard)
        assert next(heard) == {"comment": "still here"}


def test_a_slow_reader_costs_no_more_than_its_queue() -> None:
    reader = events._Reader(frozenset())

    def event(number: int) -> Any:
        return events._Event(number, "views", {})

    for number in range(events.KEPT + 5):
        reader.give(event(number))
    assert len(reader.waiting) == events.KEPT
    assert reader.lost == 5
    assert reader.waiting[0].number == 5


def test_streams_are_limited_and_come_free_again(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_STREAMS", 2)
    with listening(web) as one, listening(web) as two:
        next(one), next(two)
        third = web.client.get("/events")
        assert third.status_code == 503
        assert third.json()["error"]["kind"] == "BusyError"

    def has_room() -> bool:
        with web.client.stream("GET", "/events") as stream:
            return stream.status_code == 200

    until(has_room)


def test_streams_that_begin_at_the_same_moment_are_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_STREAMS", 2)
    streams = events.Streams()

    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    async def all_of_it() -> None:
        answers = [events.stream(streams, nothing()) for _ in range(2)]
        with pytest.raises(HttpError):
            events.stream(streams, nothing())
        for answer in answers:
            await answer({"type": "http", "asgi": {"spec_version": "2.4"}}, hears_nothing, says_nothing)
        assert streams.open == 0

    async def hears_nothing() -> Any:
        await asyncio.Event().wait()

    async def says_nothing(_message: Any) -> None:
        pass

    asyncio.run(all_of_it())


def test_streams_end_with_the_gateway() -> None:
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(served())
        heard = stack.enter_context(listening(web))
        next(heard)
        assert len(web.host.listeners) == 1
        web.api.close()
        assert list(heard) == []
        assert web.host.listeners == []
        assert web.client.get("/events").status_code == 503


def test_nobody_is_listened_to_before_somebody_asks(web: Served) -> None:
    assert web.host.listeners == []
    web.client.get("/commands")
    assert web.host.listeners == []
