"""Thumbnails and plans: what is known at once, the rest a few at a time, in the order in which it comes into view."""

from __future__ import annotations

from typing import Any

from slicer_notebook.errors import ConnectionLostError, SeriesRefusedError
from slicer_notebook.widgets.details import Details, details_message
from tests.widgets.fake import Asked

PLAN: dict[str, Any] = {"volumes": [], "refused": [], "warnings": []}
RAW: dict[str, Any] = {"plan": PLAN, "png": b"png"}


def details(asked: Asked) -> tuple[Details, list[dict[str, Any]]]:
    came: list[dict[str, Any]] = []
    return Details(asked, 96, came.append), came


def fetched(asked: Asked) -> list[str]:
    return [args["series_uid"] for command, args, _ in asked.jobs if command == "dicom.detail"]


def finish(asked: Asked, uid: str, result: Any = RAW, error: BaseException | None = None) -> None:
    """Answer the newest request for a series."""
    [*_, number] = [n for n, (_, args, _job) in enumerate(asked.jobs) if args.get("series_uid") == uid]
    asked.answer(number, None if error else result, error)


def test_those_on_disk_come_together_and_the_rest_two_at_a_time_in_order() -> None:
    asked = Asked()
    some, came = details(asked)
    some.want(["a", "b", "c", "d", "e"])
    assert asked.jobs[0][:2] == ("dicom.details_known", {"series": ["a", "b", "c", "d", "e"], "size": 96})
    asked.answer(0, {"b": RAW, "d": RAW})
    assert [list(each) for each in came] == [["b", "d"]]
    assert fetched(asked) == ["a", "c"]
    finish(asked, "c")
    assert fetched(asked) == ["a", "c", "e"]
    assert came[-1] == {"c": {"plan": {"volumes": [], "warnings": [], "refused": []}, "png": b"png"}}
    assert some.known("c")["png"] == b"png"
    assert some.known("a") == {}


def test_what_went_out_of_view_is_not_fetched_and_what_is_known_not_again() -> None:
    asked = Asked()
    some, came = details(asked)
    some.want(["a", "b", "c", "d"])
    asked.answer(0, {})
    some.want(["z", "a"])
    asked.answer(3, {})
    for uid in ("a", "b", "z"):
        finish(asked, uid)
    assert fetched(asked) == ["a", "b", "z"]
    before = len(asked.jobs)
    some.want(["a", "z"])
    assert len(asked.jobs) == before
    assert list(came[-1]) == ["a", "z"], "known ones are told again: a new view asks"


def test_an_error_is_told_and_kept_and_a_lost_slicer_is_no_answer() -> None:
    asked = Asked()
    some, came = details(asked)
    some.want(["a", "b"])
    asked.answer(0, {})
    finish(asked, "a", error=SeriesRefusedError("No."))
    finish(asked, "b", error=ConnectionLostError("Gone."))
    assert came == [{"a": some.known("a")}]
    assert some.known("a")["plan_error"]["message"] == "No."
    assert some.known("b") == {}


def test_an_answer_from_before_the_index_changed_is_not_kept() -> None:
    asked = Asked()
    some, came = details(asked)
    some.want(["a"])
    asked.answer(0, {})
    some.forget()
    finish(asked, "a")
    assert (came, some.known("a")) == ([], {})
    some.want(["b"])
    asked.answer(2, {})
    finish(asked, "b")
    assert some.known("b")


def test_without_a_slicer_nothing_is_wanted_any_more() -> None:
    asked = Asked()
    some, came = details(asked)
    asked.gone = True
    some.want(["a"])
    asked.gone = False
    some.want([])
    assert (asked.jobs, came) == ([], [])


def test_pictures_go_in_buffers() -> None:
    message, buffers = details_message({"a": {"png": b"1", "plan": {}}, "b": {"png_error": {}}, "c": {"png": b"3"}})
    assert [(d["series"], d["png"]) for d in message["details"]] == [("a", 0), ("b", -1), ("c", 1)]
    assert buffers == [b"1", b"3"]
    assert all("png" not in d["detail"] for d in message["details"])
