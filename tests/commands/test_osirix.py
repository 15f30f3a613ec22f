"""OsiriX's methods as a command, as notebooks and ``osirix://`` URLs call it; what the views show."""

from __future__ import annotations

import pytest

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.commands.osirix import METHODS
from slicer_notebook.commands.osirix_calls import Call
from slicer_notebook.links import methods
from tests.commands.loading import STUDY, Queue, uid


def call(slicer: sn.Session, method: str, **params: object) -> dict[str, object]:
    found: dict[str, object] = slicer.call(
        "osirix.call", method=method, params=params, database=slicer.dicom.database
    )  # fmt: skip
    return found


def test_all_methods_that_urls_know_are_there() -> None:
    assert set(METHODS) == set(methods.METHODS)


def test_the_shape_of_answers(queue: Queue) -> None:
    slicer = queue.slicer
    assert call(slicer, "FindObject", request="patientID == 'x'", table="Study") == {
        "status": 200, "error": "-1", "why": "nothing found",
    }  # fmt: skip
    found = call(slicer, "findobject", request="patientID == 'P1'", table="Study")
    assert (found["status"], found["error"], found["why"]) == (200, "0", "")
    assert [each["studyInstanceUID"] for each in found["elements"]] == [STUDY]  # type: ignore[attr-defined]
    assert call(slicer, "PathToFrontDCM") == {"status": 200, "error": "0", "why": "", "currentDCMPath": ""}
    assert call(slicer, "SwitchToDefaultDBIfNeeded") == {"status": 200, "error": "0", "why": "", "database": None}
    refused = {"Nonsense": "500", "DisplayStudy": "400", "KillOsiriX": "403"}
    for method, status in refused.items():
        answer = call(slicer, method)
        assert (answer["status"], answer["error"]) == (int(status), status)
        assert answer["why"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("YES", True), ("yes", True), ("true", True), ("1", True), (" +01", True), ("Y", True), (True, True), (1, True),
     ("NO", False), ("false", False), ("0", False), ("", False), ("x1", False), (None, False), (0, False),
     ([1], False)],
)  # fmt: skip
def test_yes(value: object, expected: bool) -> None:
    asked = Call(None, None, {"Display": value}, None, (), "")  # type: ignore[arg-type]
    assert asked.yes("Display") is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", "a"), (5, "5"), (5.0, "5"), (1.5, "1.5"), ("", ""), (None, ""), (True, ""), (["a"], ""), ({"a": 1}, "")],
)
def test_text(value: object, expected: str) -> None:
    asked = Call(None, None, {"uid": value}, None, (), "")  # type: ignore[arg-type]
    assert asked.text("uid") == expected
    assert Call(None, None, {"a": value, "b": "c"}, None, (), "").text("a", "b") == (expected or "c")  # type: ignore[arg-type]


def test_a_link_calls_them(queue: Queue) -> None:
    slicer = queue.slicer
    former = slicer.call("osirix.call", method="GetDisplayed2DViewerSeries")
    assert former["elements"] == []
    with pytest.raises(errors.LinkError, match="found nothing"):
        slicer.call("links.open", url="osirix://?methodName=DisplayStudy&PatientID=nobody")


# -- displayed, front, open, close -----------------------------------------------------------------------------------


def test_what_is_shown_where(queue: Queue) -> None:
    slicer = queue.slicer
    assert slicer.call("dicom.displayed") == []
    assert slicer.call("dicom.front") is None
    opened = slicer.call("dicom.open", study=STUDY, database=slicer.dicom.database)
    assert (opened["shown"], len(opened["load"])) == (uid(1), 3)
    queue.ended(*opened["load"])
    shown = slicer.call("dicom.displayed")
    assert [each["view"] for each in shown] == [name for name in slicer.call("view.names") if name != "1"]
    assert len(shown) == 3
    assert {(each["layer"], each["study"], each["series"]) for each in shown} == {("background", STUDY, uid(1))}
    slicer.layout = "OneUpRedSlice"
    assert [each["view"] for each in slicer.call("dicom.displayed")] == ["Red"], "of the layout that is seen"
    assert slicer.call("dicom.front")["view"] == "Red"


def test_a_series_that_is_loaded_is_shown_at_once(queue: Queue) -> None:
    slicer = queue.slicer
    queue.ended(*slicer.call("dicom.open", study=STUDY, database=slicer.dicom.database)["load"])
    again = slicer.call("dicom.open", series=uid(2), database=slicer.dicom.database)
    assert again == {"load": [], "shown": uid(2)}
    assert {each["series"] for each in slicer.call("dicom.displayed")} == {uid(2)}
    both = slicer.call("dicom.open", study=STUDY, series=uid(3), database=slicer.dicom.database)
    assert both == {"load": [], "shown": uid(3)}


def test_closing_takes_out_what_was_meant(queue: Queue) -> None:
    slicer = queue.slicer
    queue.ended(*slicer.call("dicom.open", study=STUDY, database=slicer.dicom.database)["load"])
    assert slicer.call("dicom.close", series=uid(2)) == []
    assert slicer.call("dicom.close", study="1.2.3") == []
    (gone,) = slicer.call("dicom.close", series=uid(1))
    assert slicer.call("dicom.displayed") == []
    assert slicer.call("scene.node", key=gone).id == gone, "it stays in the scene"
    slicer.layout = "OneUpRedSlice"
    slicer.layout = "FourUp"
    assert slicer.call("dicom.displayed") == [], "and out of the views when the layout changes"


def test_the_slice_in_front_follows_the_view(queue: Queue) -> None:
    slicer = queue.slicer
    opened = slicer.call("dicom.open", series=uid(1), database=slicer.dicom.database)
    queue.ended(*opened["load"])
    instances = slicer.call(
        "dicom.attributes", uids=[uid(1)], keywords=["SOPInstanceUID"], database=slicer.dicom.database
    )
    assert instances
    red = slicer.view("Red")
    seen = []
    low, high = red.offset_range
    for number in range(20):
        red.offset = low + number * red.offset_step
        seen.append(slicer.call("dicom.front")["instance"])
    assert len(set(seen)) == 20, "each slice is an instance"
    # Across the slices: the one in the middle of the view.
    slicer.layout = "OneUpYellowSlice"
    assert slicer.call("dicom.front")["view"] == "Yellow"
    assert slicer.call("dicom.front")["instance"] in set(seen[8:12])
    # A transform above the volume moves its slices.
    slicer.layout = "FourUp"
    red.offset = low
    transform = slicer.call("transform.add", matrix=[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, high - low], [0, 0, 0, 1]])
    node = slicer.call("dicom.front")["node"]
    slicer.call("transform.set_on", node=node, transform=transform)
    red.offset = high
    assert slicer.call("dicom.front")["instance"] == seen[0]


def test_what_cannot_be_opened(queue: Queue) -> None:
    with pytest.raises(errors.ArgumentError, match="Open what"):
        queue.slicer.call("dicom.open")
    with pytest.raises(errors.UidNotFoundError):
        queue.slicer.call("dicom.open", study="1.2.3", database=queue.slicer.dicom.database)
