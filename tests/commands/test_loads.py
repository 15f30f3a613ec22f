"""The load queue on a real Slicer: order, progress, cancel, what every notebook sees."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from tests.commands.loading import STUDY, Busy, Held, Queue, shown, uid
from tests.dicom import make


def test_series_are_loaded_one_after_the_other(queue: Queue) -> None:
    ids = queue.add(uid(2), uid(1), by="a test")
    second, first = queue.ended(*ids)
    assert [(e["title"], e["state"], e["by"], e["modality"]) for e in (second, first)] == [
        ("2: Axial 2", "done", "a test", "CT"),
        ("1: Axial 1", "done", "a test", "CT"),
    ]
    assert second["volumes"][0].name == "2: Axial 2"
    begun = [entry["id"] for entry in queue.history if entry["state"] == "loading"]
    assert begun == sorted(begun), "the second began before the first had ended"
    size = sum(path.stat().st_size for path in Path(queue.slicer.dicom.database or "").parent.glob("1/*"))
    assert first["files"] == [20, 20]
    assert first["bytes"] == [size, size]
    assert (first["progress"], first["error"], first["seconds_left"]) == (1.0, {}, None)
    assert first["seconds"] > 0


def test_what_is_loaded_is_what_load_gives(queue: Queue) -> None:
    [entry] = queue.ended(*queue.add(uid(1)))
    [expected] = queue.slicer.dicom.load(uid(1))
    np.testing.assert_array_equal(entry["volumes"][0].array, expected.array)
    np.testing.assert_array_equal(entry["volumes"][0].affine, expected.affine)
    found = queue.slicer.call("loads.loaded")
    assert set(found[uid(1)]) == {entry["volumes"][0], expected}


def test_progress_tells_files_bytes_and_time(queue: Queue, tmp_path: Path) -> None:
    with Busy(queue.slicer, tmp_path / "gate"):
        [number] = queue.add(uid(1))
        queue.until_read(number)
        # Slicer is busy, for how long nobody knows.
        waits = queue.known[number]
        assert (waits["state"], waits["text"], waits["seconds_left"]) == ("loading", "Into the scene", None)
    queue.ended(number)
    states = [entry for entry in queue.history if entry["id"] == number]
    order = ("waiting", "loading", "done")
    assert [e["state"] for e in states] == sorted((e["state"] for e in states), key=order.index)
    known = [e for e in states if e["files"][1]]
    assert known
    for entry in known:
        assert 0 <= entry["files"][0] <= entry["files"][1] == 20
        assert 0 <= entry["bytes"][0] <= entry["bytes"][1]
        assert entry["bytes"][1] > 20 * 64 * 64 * 2
    assert [e["progress"] for e in known] == sorted(e["progress"] for e in known)


def test_a_series_that_waits_is_not_queued_twice(queue: Queue, tmp_path: Path) -> None:
    with Busy(queue.slicer, tmp_path / "gate"):
        first = queue.add(uid(1), uid(2))
        assert queue.add(uid(2), uid(1), uid(2)) == [first[1], first[0]]
    queue.ended(*first)
    again = queue.add(uid(1))
    assert again != [first[0]]
    queue.ended(*again)


def test_whoever_asks_to_see_a_series_sees_it_whoever_asked_before(queue: Queue, tmp_path: Path) -> None:
    with Busy(queue.slicer, tmp_path / "gate"):
        [waits] = queue.add(uid(1), show=False)
        queue.until_read(waits)
        assert queue.add(uid(1), show=True) == [waits]
    assert queue.ended(waits)[0]["show"]
    assert shown(queue.slicer) == uid(1)


def test_it_is_shown_also_when_it_is_in_the_scene_already(queue: Queue, tmp_path: Path) -> None:
    with Held(queue.slicer, "slicer_notebook.commands.loads", "LoadQueue._done", 1, tmp_path / "held") as held:
        [number] = queue.add(uid(2), show=False)
        held.until_reached()
        assert shown(queue.slicer) is None
        assert queue.add(uid(2), show=True) == [number]
    queue.ended(number)
    assert shown(queue.slicer) == uid(2)


def test_the_first_that_is_an_image_is_shown_also_after_one_that_is_refused(queue: Queue, folder: Path) -> None:
    lacking = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": uid(4), "PatientID": "P1"}
    make.write_series(folder / "4", PhotometricInterpretation=None, **lacking)
    queue.slicer.dicom.index(folder).result(60)
    database = queue.slicer.dicom.database
    ids = queue.slicer.call("pacs.arrived", series=[uid(4), uid(2), uid(1)], load=True, database=database)
    ended = queue.ended(*ids)
    assert [(each["series"], each["state"], each["show"]) for each in ended] == [
        (uid(4), "failed", False),
        (uid(2), "done", True),
        (uid(1), "done", False),
    ]
    assert ended[0]["error"]["kind"] == "SeriesRefusedError"
    assert shown(queue.slicer) == uid(2)


def test_what_was_rectified_is_not_the_series_as_it_is(queue: Queue) -> None:
    for how in ({"rectify": True}, {}):
        queue.ended(*queue.add(uid(1), **how))
        opened = queue.slicer.call("dicom.open", series=uid(1), database=queue.slicer.dicom.database)
        queue.ended(*opened["load"])
        # The second time it is there: by the loading that opening it led to.
        assert bool(opened["load"]) == bool(how)
        assert shown(queue.slicer) == uid(1)


def test_what_waits_is_cancelled_at_once(queue: Queue, tmp_path: Path) -> None:
    with Busy(queue.slicer, tmp_path / "gate"):
        first, second = queue.add(uid(1), uid(2))
        queue.slicer.call("loads.cancel", ids=[second])
        [entry] = queue.ended(second)
        assert entry["state"] == "cancelled"
        assert queue.known[first]["state"] in ("waiting", "loading")
    assert queue.ended(first)[0]["state"] == "done"


def test_the_next_one_begins_when_the_one_before_it_is_cancelled(queue: Queue, tmp_path: Path) -> None:
    with Busy(queue.slicer, tmp_path / "gate"):
        first, second = queue.add(uid(1), uid(2))
        queue.until_state(first, "loading")
        queue.slicer.call("loads.cancel", ids=[first])
        queue.until_state(second, "loading")
    assert [entry["state"] for entry in queue.ended(first, second)] == ["cancelled", "done"]


def test_those_that_ended_are_kept_and_can_be_forgotten(queue: Queue) -> None:
    ids = queue.add(uid(1), uid(2))
    queue.ended(*ids)
    assert {entry["id"] for entry in queue.slicer.call("loads.list")} >= set(ids)
    assert queue.slicer.call("loads.clear", ids=[ids[0]]) == [ids[0]]
    queue.until(lambda: ids[0] not in queue.known, "the news")
    assert ids[0] not in {entry["id"] for entry in queue.slicer.call("loads.list")}


def test_two_notebooks_see_the_same_and_one_that_is_gone_stops_nothing(queue: Queue, tmp_path: Path) -> None:
    other = sn.connect(queue.slicer.name)
    seen = Queue(other)
    with Busy(queue.slicer, tmp_path / "gate"):
        other.dicom.database = queue.slicer.dicom.database
        job = other.submit("loads.add", series=[uid(1), uid(2)], database=other.dicom.database, by="other")
        ids = [entry["id"] for entry in job.result(30)]
        queue.until_state(ids[0], "loading")
        seen.until(lambda: ids[0] in seen.known, "its own news")
        other.close()
    assert [(entry["state"], entry["by"]) for entry in queue.ended(*ids)] == [("done", "other")] * 2


def test_news_come_ten_times_a_second_at_most_and_the_last_fifty_are_kept(queue: Queue) -> None:
    began = time.monotonic()
    ids = queue.add(*(f"9.9.{number}" for number in range(120)))
    last = ids[-50:]
    queue.until(lambda: set(queue.known) == set(last), "the last 50 alone")
    queue.ended(*last)
    assert len(queue.times) <= 2 + (time.monotonic() - began) / 0.1
    # Each one's end was told, also of those that are forgotten.
    assert {entry["id"] for entry in queue.history if entry["state"] == "failed"} >= set(ids)
    assert [entry["id"] for entry in queue.slicer.call("loads.list")] == last


def test_indexing_is_told_to_all_also_when_it_failed(queue: Queue, tmp_path: Path) -> None:
    told: list[Any] = []
    news = threading.Condition()

    def take(event: Any) -> None:
        with news:
            told.append(event)
            news.notify_all()

    with sn.connect(queue.slicer.name) as other:
        subscription = other.on("indexed", take)
        with pytest.raises(sn.errors.PathNotFoundError):
            queue.slicer.dicom.index(tmp_path / "nothing").result(30)
        with news:
            assert news.wait_for(lambda: bool(told), 30)
        assert told[0] == {"database": queue.slicer.dicom.database}
        subscription.close()
