"""Thumbnails and plans: a few at a time, in the order in which they come into view, once."""

from __future__ import annotations

from typing import Any

from slicer_notebook.errors import ConnectionLostError, SeriesRefusedError
from slicer_notebook.widgets.details import Details
from tests.widgets.fake import Asked

PLAN: dict[str, Any] = {"volumes": [], "refused": [], "warnings": []}


def details(asked: Asked) -> tuple[Details, list[tuple[str, dict[str, Any]]]]:
    came: list[tuple[str, dict[str, Any]]] = []
    return Details(asked, 96, lambda uid, detail: came.append((uid, detail))), came


def wanted(asked: Asked) -> list[tuple[str, str]]:
    return [(args["series_uid"], command) for command, args, _ in asked.jobs]


def finish(asked: Asked, first: int) -> None:
    """Answer a series' two jobs."""
    asked.answer(first, PLAN)
    asked.answer(first + 1, b"png")


def test_two_series_at_a_time_in_order() -> None:
    asked = Asked()
    some, came = details(asked)
    some.want(["a", "b", "c", "d"])
    assert wanted(asked) == [
        ("a", "dicom.plan"),
        ("a", "dicom.thumbnail"),
        ("b", "dicom.plan"),
        ("b", "dicom.thumbnail"),
    ]
    assert asked.jobs[1][1]["size"] == 96
    asked.answer(0, PLAN)
    assert len(asked.jobs) == 4, "a's picture is still on its way"
    asked.answer(1, b"png")
    assert wanted(asked)[4] == ("c", "dicom.plan")
    assert came[1] == ("a", {"png": b"png"})
    assert some.known("a")["png"] == b"png"


def test_what_went_out_of_view_is_not_fetched_and_what_is_known_not_again() -> None:
    asked = Asked()
    some, _ = details(asked)
    some.want(["a", "b", "c", "d"])
    some.want(["z", "a"])
    finish(asked, 0)
    finish(asked, 2)
    finish(asked, 4)
    assert [uid for uid, command in wanted(asked) if command == "dicom.plan"] == ["a", "b", "z"]
    some.want(["a", "z"])
    assert len(asked.jobs) == 6


def test_why_there_is_no_picture_is_kept_as_well() -> None:
    asked = Asked()
    some, came = details(asked)
    some.want(["a"])
    asked.answer(0, PLAN)
    asked.answer(1, error=SeriesRefusedError("No picture in it.", hint="none"))
    assert came[1][1]["png_error"]["message"] == "No picture in it."
    assert set(some.known("a")) == {"plan", "png_error"}


def test_what_a_lost_slicer_owed_is_asked_for_again_afterwards() -> None:
    asked = Asked()
    some, came = details(asked)
    some.want(["a", "b", "c"])
    asked.gone = True
    for number in range(4):
        asked.answer(number, error=ConnectionLostError("gone"))
    assert came == []
    asked.gone = False
    some.forget_pending()
    some.want(["a"])
    assert wanted(asked)[4:] == [("a", "dicom.plan"), ("a", "dicom.thumbnail")]
