"""Several series, one after the other."""

from __future__ import annotations

from typing import Any

from slicer_notebook.errors import ConnectionLostError, JobCancelledError, SeriesRefusedError
from slicer_notebook.session import Job
from slicer_notebook.widgets.loading import Loading, LoadingState
from tests.widgets.fake import Asked


def loading(asked: Asked, *series: str) -> tuple[Loading, list[LoadingState]]:
    states: list[LoadingState] = []

    def ask(uid: str, then: Any) -> Job[Any] | None:
        return asked("dicom.load", then, series_uid=uid)

    return Loading(series, ask, states.append), states


def loaded(*volumes: str, warnings: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"volumes": list(volumes), "sequences": [], "images": [], "warnings": list(warnings)}


def test_one_is_asked_for_when_the_former_has_ended() -> None:
    asked = Asked()
    one, _ = loading(asked, "a", "b")
    one.start()
    assert [args["series_uid"] for _, args, _ in asked.jobs] == ["a"]
    asked.answer(0, loaded("A1", "A2", warnings=("a gap",)))
    assert [args["series_uid"] for _, args, _ in asked.jobs] == ["a", "b"]
    assert (one.state.series, one.state.position, one.state.done) == ("b", 1, False)
    asked.answer(1, loaded("B"))
    assert one.state.done
    assert not one.state.cancelled
    assert one.state.volumes == ["A1", "A2", "B"]
    assert one.state.warnings == ["a gap"]


def test_a_refused_series_does_not_stop_the_others() -> None:
    asked = Asked()
    one, _ = loading(asked, "a", "b")
    one.start()
    refused = SeriesRefusedError("A segmentation.")
    asked.answer(0, error=refused)
    asked.answer(1, loaded("B"))
    assert one.state.errors == {"a": refused}
    assert one.state.volumes == ["B"]


def test_progress_is_of_the_series_under_way() -> None:
    asked = Asked()
    one, states = loading(asked, "a", "b")
    one.start()
    first = asked.jobs[0][2]
    first.deliver_progress(0.5, "Reading", None)
    assert (one.state.progress, one.state.text) == (0.5, "Reading")
    asked.answer(0, loaded("A"))
    assert one.state.progress == -1.0
    told = len(states)
    first.deliver_progress(0.9, "late", None)
    assert one.state.text == ""
    assert len(states) == told


def test_cancel_stops_the_one_under_way_and_begins_no_other() -> None:
    asked = Asked()
    one, _ = loading(asked, "a", "b", "c")
    one.start()
    asked.answer(0, loaded("A"))
    one.cancel()
    assert asked.cancelled == [1]
    assert one.state.cancelling
    assert not one.state.done
    asked.answer(1, error=JobCancelledError("stopped"))
    assert len(asked.jobs) == 2
    assert one.state.done
    assert one.state.cancelled
    assert one.state.volumes == ["A"]
    assert one.state.errors == {}


def test_a_cancel_that_comes_too_late_for_the_last_one_is_none() -> None:
    asked = Asked()
    one, _ = loading(asked, "a")
    one.start()
    one.cancel()
    asked.answer(0, loaded("A"))
    assert one.state.done
    assert not one.state.cancelled
    assert one.state.volumes == ["A"]


def test_a_lost_slicer_ends_it() -> None:
    asked = Asked()
    one, _ = loading(asked, "a", "b")
    one.start()
    asked.gone = True
    asked.answer(0, error=ConnectionLostError("gone"))
    assert one.state.done
    assert list(one.state.errors) == ["a"]
    assert len(asked.jobs) == 1
