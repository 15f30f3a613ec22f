"""The load queue when something goes wrong: files, cancels at any time, notebooks that die."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from tests.commands.loading import STUDY, Busy, Held, Queue, scene, uid
from tests.dicom import make

LARGE, ECHOES = f"{STUDY}.8", f"{STUDY}.9"
#: Volumes of the sequence: more than are put together at once.
TIMES = 70


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of 8 MB, read in several pieces, and a sequence."""
    folder = tmp_path_factory.mktemp("large")
    both = {"StudyInstanceUID": STUDY, "PatientID": "P1"}
    make.write_series(folder / "8", shape=(64, 256, 256), SeriesInstanceUID=LARGE, SeriesNumber=8, **both)
    for time in range(TIMES):
        make.write_series(
            folder / "9",
            shape=(3, 16, 16),
            sop_class=make.MR,
            prefix=f"{time}_",
            SeriesInstanceUID=ECHOES,
            SeriesNumber=9,
            EchoTime=1.0 + time,
            **both,
        )
    return folder


@pytest.fixture
def more(queue: Queue, files: Path) -> Iterator[Queue]:
    """The queue with those in its index too."""
    queue.slicer.dicom.index(files).result(60)
    yield queue
    queue.slicer.call("code.run", code="import gc; gc.enable()")


def test_a_failure_is_in_its_entry_and_the_others_go_on(queue: Queue, folder: Path, tmp_path: Path) -> None:
    with Busy(queue.slicer, tmp_path / "gate"):
        before, gone, unknown, cut, after = queue.add(uid(1), uid(2), "9.9.9", uid(3), uid(1) + "0")
        queue.until_state(before, "loading")
        # While they wait.
        shutil.rmtree(folder / "2")
        file = next((folder / "3").iterdir())
        file.write_bytes(file.read_bytes()[:-1000])
    entries = queue.ended(before, gone, unknown, cut, after)
    assert [entry["state"] for entry in entries] == ["done", "failed", "failed", "failed", "failed"]
    assert "No such file" in entries[1]["error"]["message"]
    assert entries[1]["error"]["hint"] == "Index the folder again."
    assert (entries[2]["error"]["kind"], entries[2]["title"]) == ("UidNotFoundError", "9.9.9")
    assert file.name in entries[3]["error"]["message"]
    assert all(entry["volumes"] == [] for entry in entries[1:])


def test_a_cancel_while_it_is_read_leaves_nothing(more: Queue, tmp_path: Path) -> None:
    before = scene(more.slicer)
    with Held(more.slicer, "slicer_notebook.dicom.reader", "PlaneReader._piece", 3, tmp_path / "gate"):
        [number] = more.add(LARGE)
        more.until(lambda: more.known.get(number, {}).get("files", [0])[0] > 0, "some files read")
        assert 0 < more.known[number]["progress"] < 1
        more.slicer.call("loads.cancel", ids=[number])
        more.until(lambda: more.known[number]["text"] == "Stopping", "the news of the cancel")
    [entry] = more.ended(number)
    assert (entry["state"], entry["volumes"], entry["error"], entry["text"]) == ("cancelled", [], {}, "")
    assert entry["files"][0] < entry["files"][1] == 64
    assert scene(more.slicer) == before


def test_a_cancel_just_before_the_scene_leaves_nothing_and_frees_its_memory(more: Queue, tmp_path: Path) -> None:
    before = scene(more.slicer)
    # Nothing may wait for the collector of cycles.
    more.slicer.call(
        "code.run",
        code="import gc, tracemalloc; gc.collect(); gc.disable(); tracemalloc.start()\n"
        "held = tracemalloc.get_traced_memory()[0]",
    )
    size = 64 * 256 * 256 * 2
    with Busy(more.slicer, tmp_path / "gate", "freed, read = tracemalloc.get_traced_memory()"):
        [number] = more.add(LARGE)
        more.until_read(number)
        stopped = more.slicer.call("loads.cancel")
        assert [entry["id"] for entry in stopped] == [number]
        # Slicer is busy still: the cancel does not wait for it, and neither do the voxels.
        [entry] = more.ended(number)
        assert (entry["state"], entry["volumes"]) == ("cancelled", [])
    read, freed = more.slicer.eval("[read - held, freed - held]")
    more.slicer.call("code.run", code="tracemalloc.stop()")
    assert read > size, "the voxels were never there: this measures nothing"
    assert freed < size / 4
    assert scene(more.slicer) == before


def test_a_cancel_while_a_sequence_is_put_together_leaves_nothing(more: Queue, tmp_path: Path) -> None:
    before = scene(more.slicer)
    part = "SequenceInTheMaking._append"
    with Held(more.slicer, "slicer_notebook.commands.series_nodes", part, 1, tmp_path / "gate") as held:
        [number] = more.add(ECHOES)
        held.until_reached()
        more.slicer.call("loads.cancel", ids=[number])
    assert more.ended(number)[0]["state"] == "cancelled"
    assert scene(more.slicer) == before
    # Whole, it is there.
    [entry] = more.ended(*more.add(ECHOES))
    assert (entry["state"], entry["volumes"], len(entry["sequences"])) == ("done", [], 1)
    assert entry["files"] == [3 * TIMES, 3 * TIMES]
    assert scene(more.slicer)[0] > before[0]


def test_a_cancel_that_comes_too_late_loads_the_whole(more: Queue, tmp_path: Path) -> None:
    part = "SequenceInTheMaking.finish"
    with Held(more.slicer, "slicer_notebook.commands.series_nodes", part, 1, tmp_path / "gate") as held:
        [number] = more.add(ECHOES)
        held.until_reached()
        more.slicer.call("loads.cancel", ids=[number])
    [entry] = more.ended(number)
    assert (entry["state"], len(entry["sequences"])) == ("done", 1)


_ASKING = """
import sys
import slicer_notebook as sn
session = sn.connect(sys.argv[1])
session.dicom.database = sys.argv[2]
print("connected", flush=True)
sys.stdin.readline()
loads = session.dicom.queue.add(*sys.argv[3:])
print(*(load.id for load in loads), flush=True)
sys.stdin.read()
"""


def test_the_queue_goes_on_when_the_notebook_that_asked_is_killed(queue: Queue, tmp_path: Path) -> None:
    arguments = [queue.slicer.name, queue.slicer.dicom.database or "", uid(1), uid(2)]
    with subprocess.Popen(
        [sys.executable, "-c", _ASKING, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as notebook:
        assert notebook.stdin is not None
        assert notebook.stdout is not None
        assert notebook.stdout.readline() == "connected\n"
        with Busy(queue.slicer, tmp_path / "gate"):
            notebook.stdin.write("now\n")
            notebook.stdin.flush()
            ids = [int(word) for word in notebook.stdout.readline().split()]
            queue.until_state(ids[0], "loading")
            notebook.send_signal(signal.SIGKILL)
            notebook.wait(30)
    for entry in queue.ended(*ids):
        assert entry["state"] == "done"
        assert entry["volumes"][0].shape == (20, 64, 64)
    assert np.isfinite(queue.known[ids[0]]["volumes"][0].array).all()


@pytest.mark.parametrize("show", [True, False])
def test_images_that_are_all_damaged_are_a_failure_and_one_of_several_is_a_warning(
    queue: Queue, tmp_path: Path, show: bool
) -> None:
    original = Path(get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    bad = str(pydicom.dcmread(original).SeriesInstanceUID)

    def write(number: int, damaged: bool) -> None:
        item = pydicom.dcmread(original)
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        item.InstanceNumber = number
        if damaged:
            item.PixelData = item.PixelData[:60] + bytes(len(item.PixelData) - 60)
        item.save_as(tmp_path / f"{number}.dcm")

    for number in (1, 2):
        write(number, damaged=True)
    queue.slicer.dicom.index(tmp_path).result(60)
    [entry] = queue.ended(*queue.add(bad, show=show))
    assert (entry["state"], entry["error"]["kind"]) == ("failed", "SeriesRefusedError")
    write(3, damaged=False)
    queue.slicer.dicom.index(tmp_path).result(60)
    [entry] = queue.ended(*queue.add(bad, show=show))
    assert (entry["state"], len(entry["images"])) == ("done", 1)
    assert sum("was not loaded" in text for text in entry["warnings"]) == 2
