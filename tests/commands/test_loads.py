"""The load queue on a real Slicer: order, progress, cancel, what fails, what every notebook sees."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from tests.dicom import make

STUDY = "1.2.826.0.7"


def uid(number: int) -> str:
    return f"{STUDY}.{number}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        make.write_series(
            tmp_path / str(number),
            shape=(20, 64, 64),
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=uid(number),
            SeriesNumber=number,
            SeriesDescription=f"Axial {number}",
            PatientID="P1",
        )
    return tmp_path


@pytest.fixture
def queue(slicer: sn.Session, folder: Path) -> Iterator[Queue]:
    former, slicer.dicom.database = slicer.dicom.database, str(folder / "index.sqlite3")
    slicer.dicom.index(folder).result(60)
    found = Queue(slicer)
    yield found
    slicer.call("loads.cancel")
    found.ended()
    slicer.call("loads.clear")
    found.subscription.close()
    slicer.dicom.database = former


class Queue:
    """A session's view of the queue."""

    def __init__(self, slicer: sn.Session) -> None:
        self.slicer = slicer
        self.known: dict[int, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self.subscription = slicer.on("loads", self._take)

    def _take(self, event: dict[str, Any]) -> None:
        with self._news:
            for entry in event["entries"]:
                self.history.append(entry)
                self.known[entry["id"]] = entry
            for number in event["gone"]:
                self.known.pop(number, None)
            self._news.notify_all()

    def add(self, *series: str, **how: Any) -> list[int]:
        entries = self.slicer.call("loads.add", series=list(series), database=self.slicer.dicom.database, **how)
        return [entry["id"] for entry in entries]

    def until(self, condition: Any, what: str) -> None:
        with self._news:
            assert self._news.wait_for(condition, 30), f"{what}; known: {self.known}"

    def ended(self, *ids: int) -> list[dict[str, Any]]:
        """The entries, when they have ended."""

        def over() -> bool:
            wanted = ids or tuple(self.known)
            return all(n in self.known and self.known[n]["state"] not in ("waiting", "loading") for n in wanted)

        self.until(over, "the end of loading")
        return [self.known[number] for number in ids]


def scene(slicer: sn.Session) -> tuple[int, int]:
    """How many nodes and subject hierarchy items there are."""
    found: tuple[int, int] = tuple(
        slicer.eval(
            "[slicer.mrmlScene.GetNumberOfNodes(), slicer.mrmlScene.GetSubjectHierarchyNode().GetNumberOfItems()]"
        )
    )
    return found


class Busy:
    """Keeps Slicer's main thread busy until it is let go."""

    def __init__(self, slicer: sn.Session, gate: Path) -> None:
        self._gate = gate
        self._job = slicer.submit(
            "code.run", code=f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(.01)"
        )

    def __enter__(self) -> Busy:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._gate.touch()
        self._job.result(30)


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


def test_progress_tells_files_bytes_and_time(queue: Queue) -> None:
    [number] = queue.add(uid(1))
    queue.ended(number)
    states = [entry for entry in queue.history if entry["id"] == number]
    assert [e["state"] for e in states if e["state"] == "waiting"] == ["waiting"]
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


def test_a_failure_is_in_its_entry_and_the_others_go_on(queue: Queue, folder: Path) -> None:
    shutil.rmtree(folder / "2")
    ids = queue.add(uid(2), "9.9.9", uid(1))
    gone, unknown, good = queue.ended(*ids)
    assert gone["state"] == "failed"
    assert "No such file" in gone["error"]["message"]
    assert gone["error"]["hint"] == "Index the folder again."
    assert (unknown["state"], unknown["error"]["kind"], unknown["title"]) == ("failed", "UidNotFoundError", "9.9.9")
    assert good["state"] == "done"


def test_what_waits_is_cancelled_at_once(queue: Queue, tmp_path: Path) -> None:
    with Busy(queue.slicer, tmp_path / "gate"):
        first, second = queue.add(uid(1), uid(2))
        queue.slicer.call("loads.cancel", ids=[second])
        [entry] = queue.ended(second)
        assert entry["state"] == "cancelled"
        assert queue.known[first]["state"] in ("waiting", "loading")
    assert queue.ended(first)[0]["state"] == "done"


def test_a_cancel_just_before_the_scene_leaves_it_as_it_was(queue: Queue, tmp_path: Path) -> None:
    before = scene(queue.slicer)
    with Busy(queue.slicer, tmp_path / "gate"):
        [number] = queue.add(uid(1))
        queue.until(lambda: queue.known.get(number, {}).get("files") == [20, 20], "all files read")
        stopped = queue.slicer.call("loads.cancel")
        assert [entry["id"] for entry in stopped] == [number]
        # Slicer is busy still: the cancel does not wait for it.
        [entry] = queue.ended(number)
        assert (entry["state"], entry["volumes"]) == ("cancelled", [])
    assert scene(queue.slicer) == before


def test_the_next_one_begins_when_the_one_before_it_is_cancelled(queue: Queue, tmp_path: Path) -> None:
    with Busy(queue.slicer, tmp_path / "gate"):
        first, second = queue.add(uid(1), uid(2))
        queue.until(lambda: queue.known[first]["state"] == "loading", "the first")
        queue.slicer.call("loads.cancel", ids=[first])
        queue.until(lambda: queue.known[second]["state"] == "loading", "the second")
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
        queue.until(lambda: queue.known.get(ids[0], {}).get("state") == "loading", "the news of the other notebook")
        seen.until(lambda: ids[0] in seen.known, "its own news")
        other.close()
    assert [(entry["state"], entry["by"]) for entry in queue.ended(*ids)] == [("done", "other")] * 2


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
