"""Loading a series in Slicer's own process: node making that fails, is cancelled, or meets what is there already."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicer_notebook.commands import context, get
from slicer_notebook.commands import dicom as commands_dicom
from slicer_notebook.dicom import Index, Quantity
from slicer_notebook.errors import ArgumentError, JobCancelledError
from slicer_notebook.host.headless import HeadlessHost
from tests.dicom import make

UID = "1.2.3.4.5"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """An index of one series of two: an MR over three echoes, and one slice of another size."""
    for echo in (1, 2, 3):
        make.write_series(
            tmp_path / "mr",
            sop_class=make.MR,
            shape=(4, 6, 5),
            prefix=f"e{echo}-",
            EchoTime=10.0 * echo,
            EchoNumbers=echo,
        )
    make.write_series(tmp_path / "mr", sop_class=make.MR, shape=(2, 9, 9), prefix="other-")
    path = str(tmp_path / "index.sqlite3")
    index = Index(path)
    index.add(tmp_path / "mr")
    index.close()
    yield path
    commands_dicom._opened.cache_clear()


def state(host: HeadlessHost) -> tuple[list[str], list[str]]:
    """Ids of the nodes, and names of the subject hierarchy's items."""
    from vtkmodules.vtkCommonCore import vtkIdList

    hierarchy = host.slicer.mrmlScene.GetSubjectHierarchyNode()
    items = vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    names = [hierarchy.GetItemName(items.GetId(n)) for n in range(items.GetNumberOfIds())]
    return [node.GetID() for node in host.nodes()], names


def load(host: HeadlessHost, database: str, job: context.JobContext | None = None, **options: Any) -> dict[str, Any]:
    with context.running(job or context.JobContext()):
        found: dict[str, Any] = get("dicom.load").function(host, UID, database=database, **options)
    return found


def test_a_sequence_and_a_volume_of_one_series(host: HeadlessHost, slicer: Any, database: str) -> None:
    done = load(host, database)
    assert [len(done[kind]) for kind in ("volumes", "sequences", "images")] == [1, 1, 0]
    sequence = host.node(done["sequences"][0])
    assert sequence.GetNumberOfDataNodes() == 3
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("echo time", "ms")
    for n in range(3):
        item = sequence.GetNthDataNode(n)
        make.assert_phantom(host.voxels(item), host.affine(item))
        assert len(item.GetAttribute("DICOM.instanceUIDs").split()) == 4
    background = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode").GetBackgroundVolumeID()
    assert background == done["volumes"][0].id
    _, names = state(host)
    assert names[:2] == ["Doe^Jane (P1)", "Thorax (20200102)"]


@pytest.mark.parametrize("at", [1, 2])
def test_what_fails_half_way_leaves_nothing(
    host: HeadlessHost, slicer: Any, database: str, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    before = state(host)
    placed = []
    place = host.place_series

    def fails(node: Any, **where: Any) -> None:
        place(node, **where)
        placed.append(node.GetName())
        if len(placed) == at:
            raise RuntimeError("half way")

    monkeypatch.setattr(host, "place_series", fails)
    with pytest.raises(RuntimeError, match="half way"):
        load(host, database)
    assert len(placed) == at
    assert state(host) == before


def test_a_cancel_between_two_pieces_leaves_nothing(host: HeadlessHost, slicer: Any, database: str) -> None:
    before = state(host)
    job: context.JobContext

    def submit(function: Any) -> Future[Any]:
        job.cancelled.set()
        future: Future[Any] = Future()
        future.set_result(function())
        return future

    job = context.JobContext(submit=submit)
    with pytest.raises(JobCancelledError):
        load(host, database, job)
    assert state(host) == before


def test_reading_happens_off_the_main_thread_and_nodes_are_made_on_it(
    host: HeadlessHost, slicer: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicer_notebook.dicom import reader

    made: list[int] = []
    read: list[int] = []
    builder = type(host).new_sequence
    plane = reader.PlaneReader._read_plane

    def new_sequence(self: Any, *args: Any, **kwargs: Any) -> Any:
        made.append(threading.get_ident())
        return builder(self, *args, **kwargs)

    def read_plane(self: Any, *args: Any, **kwargs: Any) -> Any:
        read.append(threading.get_ident())
        return plane(self, *args, **kwargs)

    monkeypatch.setattr(type(host), "new_sequence", new_sequence)
    monkeypatch.setattr(reader.PlaneReader, "_read_plane", read_plane)
    load(host, database)
    assert set(made) == {threading.get_ident()}
    assert len(read) == 14
    assert threading.get_ident() not in read


def test_the_window_is_that_of_the_first_volume_for_all(host: HeadlessHost, slicer: Any, database: str) -> None:
    sequence = host.node(load(host, database)["sequences"][0])
    display = host.sequence_proxy(sequence).GetDisplayNode()
    first = display.GetWindow(), display.GetLevel()
    assert first[0] > 0
    host.set_voxels(sequence.GetNthDataNode(1), np.full((4, 6, 5), 9000, np.int16))
    host.select_item(sequence, 1)
    assert (display.GetWindow(), display.GetLevel()) == first


def test_loading_twice_gives_two_sequences_below_one_study(host: HeadlessHost, slicer: Any, database: str) -> None:
    load(host, database)
    load(host, database)
    names = [node.GetName() for node in host.nodes("vtkMRMLSequenceNode")]
    assert len(names) == len(set(names)) == 2
    _, items = state(host)
    assert [name for name in items if name.startswith(("Doe", "Thorax"))] == ["Doe^Jane (P1)", "Thorax (20200102)"]


def test_a_quantity_that_is_offered_is_applied_with_its_units(
    host: HeadlessHost, slicer: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = commands_dicom._plan

    def offering(*args: Any, **kwargs: Any) -> Any:
        planned = made(*args, **kwargs)
        for volume in [*planned.volumes, *planned.sequences[0].volumes]:
            factors = [(0.5, 1.0)] * len(volume.instances)
            volume.quantities = [Quantity(name="SUVbw", units="g/ml{SUVbw}", factors=factors)]
        return planned

    monkeypatch.setattr(commands_dicom, "_plan", offering)
    done = load(host, database, quantity="SUVbw")
    volume, item = host.node(done["volumes"][0]), host.node(done["sequences"][0]).GetNthDataNode(2)
    for node in (volume, item):
        make.assert_phantom((host.voxels(node) - 1.0) * 2, host.affine(node))
        assert node.GetVoxelValueUnits().GetCodeValue() == "g/ml{SUVbw}"
        assert node.GetVoxelValueQuantity().GetCodeMeaning() == "SUVbw"
        assert node.GetAttribute("slicer_notebook.quantity") == "SUVbw"
    before = state(host)
    with pytest.raises(ArgumentError, match="'SUVbsa'") as caught:
        load(host, database, quantity="SUVbsa")
    assert caught.value.details["quantities"] == ["SUVbw"]
    assert state(host) == before
