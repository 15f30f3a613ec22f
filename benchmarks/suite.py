"""The benchmarks. Each takes a `Bench` and gives rows."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import slicer_notebook as sn
from benchmarks import data, peers
from benchmarks.dicom_index import dicom_index, dicom_search
from benchmarks.dicom_lists import dicom_catalogue, dicom_thumbnails
from benchmarks.dicom_load import dicom_load, dicom_times
from benchmarks.igtl import igtl_images, igtl_transforms
from benchmarks.igtl_mrml import igtl_mrml_images, igtl_mrml_transforms
from benchmarks.measure import Row, Times, interleave, median_of, timed
from benchmarks.pacs import pacs_big, pacs_find, pacs_memory, pacs_small
from benchmarks.pacs_first import pacs_first
from benchmarks.picker import picker
from benchmarks.rest import rest_names, rest_pictures, rest_volume
from benchmarks.scene_widgets import scene_widgets

__all__ = ["BENCHMARKS", "NOTES", "TITLES", "Bench"]


@dataclass
class Bench:
    """What the benchmarks share: one Slicer, one volume.

    Attributes:
        scale: the numbers of rounds are multiplied with it.
        say: called with (benchmark, round, rounds).
    """

    say: Callable[[str, int, int], None]
    scale: float = 1.0
    stack: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def slicer(self) -> sn.Session:
        """A Slicer of its own."""
        return self.stack.enter_context(sn.launch())

    @cached_property
    def comm(self) -> peers.BareComm:
        """A bare comm to that Slicer's kernel."""
        assert self.slicer._launched is not None
        return self.stack.enter_context(peers.BareComm(self.slicer._launched.connection_file))

    @cached_property
    def engine(self) -> Any:
        """An ipyparallel engine; None without ipyparallel."""
        return self.stack.enter_context(peers.engine())

    @cached_property
    def voxels(self) -> data.Array:
        """The phantom: int16, 128 MiB."""
        return data.phantom()

    @cached_property
    def folder(self) -> Path:
        return Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="slicer-notebook-bench-")))

    def rounds(self, count: int) -> int:
        return max(3, round(count * self.scale))

    def interleave(self, name: str, contenders: dict[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> Times:
        return interleave(
            contenders, self.rounds(rounds), warm_up=warm_up, report=lambda done, all_: self.say(name, done, all_)
        )

    @contextmanager
    def fresh(self, *, shared_memory: bool = True) -> Iterator[sn.Session]:
        """A second session on the Slicer, which has sent no array yet."""
        with sn.connect(self.slicer.name, shared_memory=shared_memory) as session:
            yield session


def round_trip(bench: Bench) -> list[Row]:
    """A command that does nothing."""
    slicer, comm, engine = bench.slicer, bench.comm, bench.engine

    def alone(function: Callable[[], object]) -> Callable[[], float]:
        def run() -> float:
            comm.drain()
            return median_of(60, timed(function))()

        return run

    contenders = {
        "ours": alone(lambda: slicer.call("session.ping")),
        "comm": alone(comm.echo),
        "execute": alone(comm.execute),
        "silent": alone(lambda: comm.execute(silent=True)),
    }
    if engine is not None:
        contenders["ipyparallel"] = alone(lambda: engine.apply_sync(_nothing))
    times = bench.interleave("round_trip", contenders, 15)
    ours = times["ours"]
    rows = [
        Row("round_trip", 'slicer.call("session.ping")', "bare comm echo, same kernel", ours, times["comm"], 1.3),
        Row("round_trip", 'slicer.call("session.ping")', "execute, same kernel", ours, times["execute"], 0.5),
        Row("round_trip", 'slicer.call("session.ping")', "execute(silent=True)", ours, times["silent"]),
    ]
    if engine is not None:
        what = "ipyparallel apply_sync"
        rows.append(Row("round_trip", 'slicer.call("session.ping")', what, ours, times["ipyparallel"], 0.5))
    return rows


def _volume(session: sn.Session, volume: sn.Volume) -> sn.Volume:
    """The volume as a handle of another session."""
    found = session[volume.id]
    assert isinstance(found, sn.Volume)
    return found


def _nothing() -> None:
    """What ipyparallel's engine is asked to do."""


def arrays(bench: Bench) -> list[Row]:
    """128 MiB of voxels, both ways."""
    source = bench.voxels
    volume = bench.slicer.add_volume(source, name="bench")
    target = source.copy()

    def first_read() -> float:
        with bench.fresh() as session:
            node = _volume(session, volume)
            return timed(lambda: node.array)()

    def first_write() -> float:
        with bench.fresh() as session:
            node = _volume(session, volume)
            return timed(lambda: setattr(node, "array", source))()

    def first_pass() -> float:
        with bench.fresh() as session:
            node = _volume(session, volume)
            return timed(lambda: np.max(node.array))()

    def copy_and_pass() -> object:
        copy = np.empty_like(source)
        np.copyto(copy, source)
        return copy.max()

    fresh_copy = timed(lambda: np.copyto(np.empty_like(source), source))
    warm_copy = timed(lambda: np.copyto(target, source))
    first = bench.interleave(
        "arrays",
        {
            "read": first_read,
            "fresh": fresh_copy,
            "write": first_write,
            "fresh again": fresh_copy,
            "pass": first_pass,
            "copy and pass": timed(copy_and_pass),
        },
        9,
    )
    # Three writes until segments are used again: the volume holds one, and the one before until its successor came.
    repeated = bench.interleave(
        "arrays",
        {
            "read": timed(lambda: volume.array),
            "warm": warm_copy,
            "write": timed(lambda: setattr(volume, "array", source)),
            "warm again": warm_copy,
        },
        15,
        warm_up=4,
    )
    np.testing.assert_array_equal(volume.array, source)
    fresh_peer, warm_peer = "numpy.copyto into a new array", "numpy.copyto into a used array"
    rows = [
        Row("arrays", "v.array, first", fresh_peer, first["read"], first["fresh"], 1.5),
        Row("arrays", "v.array.max(), first", f"{fresh_peer}, max", first["pass"], first["copy and pass"]),
        Row("arrays", "v.array, repeated", warm_peer, repeated["read"], repeated["warm"], 2.0),
        Row("arrays", "v.array = a, first", fresh_peer, first["write"], first["fresh again"], 1.5),
        Row("arrays", "v.array = a, repeated", warm_peer, repeated["write"], repeated["warm again"], 2.0),
    ]
    return rows + _arrays_and_ipyparallel(bench, volume) + _arrays_through_the_socket(bench, volume)


def _arrays_and_ipyparallel(bench: Bench, volume: sn.Volume) -> list[Row]:
    engine, source = bench.engine, bench.voxels
    if engine is None:
        return []
    engine.push({"a": source}, block=True)
    times = bench.interleave(
        "arrays",
        {
            "read": timed(lambda: volume.array),
            "pull": timed(lambda: engine.pull("a", block=True)),
            "write": timed(lambda: setattr(volume, "array", source)),
            "push": timed(lambda: engine.push({"a": source}, block=True)),
        },
        7,
    )
    return [
        Row("arrays", "v.array, repeated", "ipyparallel pull", times["read"], times["pull"]),
        Row("arrays", "v.array = a, repeated", "ipyparallel push", times["write"], times["push"]),
    ]


def _arrays_through_the_socket(bench: Bench, volume: sn.Volume) -> list[Row]:
    bench.comm.run("import slicer; bench_array = slicer.util.arrayFromVolume(slicer.util.getNode('bench'))")
    with bench.fresh(shared_memory=False) as session:
        node = _volume(session, volume)
        times = bench.interleave(
            "arrays",
            {
                "ours": timed(lambda: node.array),
                "comm": timed(lambda: bench.comm.echo(array="bench_array")),
            },
            5,
        )
    bench.comm.run("del bench_array")
    return [
        Row("arrays", "v.array without shared memory", "bare comm, one buffer", times["ours"], times["comm"]),
    ]


def launch(bench: Bench) -> list[Row]:
    """From nothing to a picture."""
    path = bench.folder / "launch.nrrd"
    data.write_nrrd(path, data.phantom((128, 256, 256)))
    bare_png = bench.folder / "bare.png"
    pictures: dict[str, bytes] = {}

    def ours() -> float:
        started = time.perf_counter()
        session = sn.launch()
        try:
            session.load(path)
            pictures["ours"] = session.view("Red").image().png
            return time.perf_counter() - started
        finally:
            session.close()

    def bare() -> float:
        started = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.bare_start", str(path), str(bare_png)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            seconds = time.perf_counter() - started
        if line != b"done\n":
            raise RuntimeError(f"{command} ended with {process.returncode}")
        return seconds

    times = bench.interleave("launch", {"ours": ours, "bare": bare}, 7)
    if pictures["ours"] != bare_png.read_bytes():
        raise RuntimeError("the two pictures differ")
    what, peer = "sn.launch(), load, first picture", "the same in one process"
    return [Row("launch", what, peer, times["ours"], times["bare"], 1.2)]


def _bare_picture(offset: float) -> float:
    """Runs in Slicer: seconds of a bare render, read and encode of the Red view."""
    import io
    import time

    import slicer
    from PIL import Image
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

    widget = slicer.app.layoutManager().sliceWidget("Red")
    window = widget.sliceView().renderWindow()
    logic = widget.sliceLogic()
    started = time.perf_counter()
    logic.SetSliceOffset(offset)
    window.Render()
    width, height = window.GetSize()
    pixels = vtkUnsignedCharArray()
    window.GetPixelData(0, 0, width - 1, height - 1, 1, pixels, 0)
    array = vtk_to_numpy(pixels).reshape(height, width, 3)[::-1]
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return time.perf_counter() - started


def picture(bench: Bench) -> list[Row]:
    """A slice of a loaded volume, another one each time."""
    slicer = bench.slicer
    path = bench.folder / "picture.nrrd"
    data.write_nrrd(path, bench.voxels)
    slicer.load(path)
    red = slicer.view("Red")
    low, high = red.offset_range
    bare_picture = slicer.function(_bare_picture)
    # The two go through the same offsets, half a turn apart.
    offsets = np.linspace(low, high, 61)[1:-1].tolist()
    ours_at, bare_at = itertools.cycle(offsets), itertools.cycle(offsets[30:] + offsets[:30])

    def ours() -> object:
        red.offset = next(ours_at)
        return red.image(size=(512, 512))

    times = bench.interleave(
        "picture",
        {"ours": median_of(3, timed(ours)), "bare": median_of(3, lambda: bare_picture(next(bare_at)))},
        20,
    )
    peer = "render, read, encode in that process"
    return [Row("picture", "offset, image(size=(512, 512)), PNG", peer, times["ours"], times["bare"], 1.3)]


BENCHMARKS: dict[str, Callable[[Bench], list[Row]]] = {
    "round_trip": round_trip,
    "arrays": arrays,
    "launch": launch,
    "picture": picture,
    "dicom_index": dicom_index,
    "dicom_search": dicom_search,
    "dicom_catalogue": dicom_catalogue,
    "dicom_thumbnails": dicom_thumbnails,
    "dicom_load": dicom_load,
    "dicom_times": dicom_times,
    "picker": picker,
    "scene_widgets": scene_widgets,
    "pacs_big": pacs_big,
    "pacs_small": pacs_small,
    "pacs_find": pacs_find,
    "pacs_first": pacs_first,
    "pacs_memory": pacs_memory,
    "igtl_transforms": igtl_transforms,
    "igtl_images": igtl_images,
    "igtl_mrml_transforms": igtl_mrml_transforms,
    "igtl_mrml_images": igtl_mrml_images,
    "rest_names": rest_names,
    "rest_pictures": rest_pictures,
    "rest_volume": rest_volume,
}

TITLES = {
    "round_trip": "Round trip of a command that does nothing",
    "arrays": "128 MiB of int16 voxels",
    "launch": "From launch() to the first picture",
    "picture": "A 512 x 512 slice picture of a loaded 128 MiB volume",
    "dicom_index": "Indexing 10,000 DICOM files",
    "dicom_search": "The first page of 100,000 studies",
    "dicom_catalogue": "The list of 100,000 studies",
    "dicom_thumbnails": "Thumbnails of 200 series",
    "dicom_load": "Loading a CT of 133 slices of 512 x 512 into the scene",
    "dicom_times": "5,460 DICOM files of a series over time",
    "picker": "The study picker in JupyterLab",
    "scene_widgets": "The widgets of the scene in JupyterLab, 1,000 nodes",
    "pacs_big": "Retrieving 500 instances of 512 kB from an Orthanc",
    "pacs_small": "Retrieving 5,000 instances of 12 kB from an Orthanc",
    "pacs_find": "Asking an Orthanc for 10,000 studies",
    "pacs_first": "The first picture of a study that is still arriving",
    "pacs_memory": "Memory over a long retrieval",
    "igtl_transforms": "TRANSFORMs of an OpenIGTLink tracker",
    "igtl_images": "Pictures of an OpenIGTLink camera",
    "igtl_mrml_transforms": "TRANSFORMs of an OpenIGTLink tracker, into MRML",
    "igtl_mrml_images": "Pictures of an OpenIGTLink camera, into MRML",
    "rest_names": "SlicerWeb's REST: the names of all nodes",
    "rest_pictures": "SlicerWeb's REST: slices of a loaded 128 MiB volume, 512 x 512, PNG",
    "rest_volume": "SlicerWeb's REST: a 128 MiB volume as NRRD",
}

#: What a reader has to know of a benchmark to judge its figures.
NOTES = {
    "round_trip": (
        "The peers are jupyter_client's blocking client on the same kernel, with a comm target that answers each "
        "message with an empty one, and an engine of ipyparallel on this machine. `execute` is called as users call "
        "it; `silent=True` leaves out the history and what other front ends are told."
    ),
    "arrays": (
        "First: by a session that has sent no array yet. Repeated: the memory of arrays that were let go of is used "
        "again. `v.array` is shared memory that is the caller's own; its pages come into the process when they are "
        "first touched, which the row with `max()` includes. Written arrays become the volume's own memory in Slicer. "
        "Without shared memory, arrays go through the kernel's (encrypted) socket in pieces of 16 MiB."
    ),
    "launch": (
        "Both load the same 16 MiB NRRD file, and their pictures are the same to the byte. The bare process imports "
        "and starts the same headless Slicer, without a kernel around it."
    ),
    "picture": (
        "The peer runs in Slicer, on the same view: it sets the offset, renders, reads the pixels and encodes them as "
        "RGB at the same PNG level. The library sends slices without colour as PNGs of one channel, which are quicker "
        "to encode; its time includes two round trips."
    ),
    "dicom_index": (
        "Slices of CT with headers of 143 elements (sequences and private elements too, 12 kB), in folders of 200; all "
        "are in the page cache. The library reads them on all cores and writes an SQLite file; the peer reads them in "
        "one process and keeps nothing."
    ),
    "dicom_search": (
        "Made-up studies of one series each. The peer is the time that a page may take; the pages are of an index that "
        "has been searched before."
    ),
    "dicom_catalogue": (
        "What a list that is searched while somebody types is made of: a line for each study, in order, in the "
        "notebook's process. The first two peers are the time that it may take; the third gives all that is known of "
        "each study."
    ),
    "dicom_thumbnails": (
        "CT of 100 slices of 512 x 512 each, made up, indexed before; the files are in the page cache. First time: the "
        "series are planned as for loading, from their headers, so that warnings come along. Again: from the disk "
        "where Slicer runs. The loop reads one file of each series in one process, and keeps nothing."
    ),
    "dicom_load": (
        "The sample study, indexed before, its files in the page cache. The library's time ends with the volume shown "
        "in Slicer, in another process; the peer's with an image in this one, of files whose names and order it is "
        "told. The voxels are the same."
    ),
    "dicom_times": (
        "64 x 64 pixels, 42 slices at 130 times, generated; all files in the page cache. The library reads headers and "
        "pixels of a folder that it has not seen before, and has the array; dcm2niix has written it to a file."
    ),
    "picker": (
        "JupyterLab and Chromium (without a window, drawing on the processor) on the machine that also runs the kernel "
        "and Slicer; each round has a new kernel, a new Slicer and a new page. Times are the page's own: from the run "
        "of the cell, the click, or the time stamp of the key's event to after the frame that shows the answer. "
        "The peers are the limits that were set. Thumbnails: CT of 100 slices of 512 x 512, indexed before, nothing of "
        "them kept the first time; planned as for loading. The kernel's memory is with all that it has imported."
    ),
    "scene_widgets": (
        "250 volumes, models, texts and transforms each, without data. A widget's first time is that of a new page: "
        "from the run of its cell until its rows are painted. What is followed is changed in Slicer by another "
        "session; the time begins when MRML has changed and ends after the frame that shows it, by the clock of the "
        "one machine. 10 ms of it are the wait for further changes, which are told together."
    ),
    "pacs_big": (
        "A real Orthanc in a network namespace of its own, which the library's process and the peers' programs share; "
        "all have TCP_NODELAY set. The library's time is that of a retrieval into an empty index, with its modules "
        "imported before, as in a notebook; the peers' is that of their processes, which write files and do no more: "
        "they do not ask what there is, check, sync or index. The files are on a disk."
    ),
    "pacs_small": "As above, with 5,000 instances: what counts is the work for each.",
    "pacs_find": (
        "All keys that a study is shown with, and the counts of its series and instances. curl and findscu write the "
        "answers as they come; ours are parsed, checked against the question, and told apart."
    ),
    "pacs_first": (
        "`retrieve(..., load=True, show=True)` by C-GET into a real Slicer, until the first series is loaded and a "
        "picture of the red view has come; each time another study. The peer asks for that series and no more."
    ),
    "pacs_memory": (
        "The same series again and again, each time into a new index and folder: the most memory that the process has "
        "had, against that after the first time and 50 MB."
    ),
    "igtl_transforms": (
        "From the socket to the callback, in a process of its own, before anything is done in Slicer. A sender in C++ "
        "puts the time into each message. The peer is a program made of the C++ library's own receiving calls, with "
        "the checksum checked; both hear the same sender at the same time, which tells each of them first in turns. "
        "Both take what comes as it comes; the difference is what Python takes for a message after it has slept a "
        "millisecond."
    ),
    "igtl_images": (
        "As above, in turns. The C++ library counts its checksum byte by byte, which is most of its delay for a "
        "picture of 6.2 MB; on a busy machine it falls behind."
    ),
    "igtl_mrml_transforms": (
        "In a real Slicer: received, recorded, brought into the node on the main thread, and an observer of the node "
        "called, which looks at the clock. The peer receives the same messages at the same time and takes them apart; "
        "it has no node, no main thread to wake and no observer. Transforms that were overtaken by newer ones while "
        "the main thread was at another are recorded, and not shown."
    ),
    "igtl_mrml_images": (
        "Into a vector volume, whose memory is the message's own; no view shows it. The two take turns."
    ),
    "rest_names": (
        "Requests by wrk on this machine, on connections that are kept; seconds are those between two answers. The "
        "peer is uvicorn with httptools and a JSONResponse of the same names, in a process of its own; ours has the "
        "guard, the log and Slicer in its process, and asks Slicer once a change of the scene."
    ),
    "rest_pictures": (
        "Another offset each time. The loop runs on Slicer's main thread, on the same view, with nothing between two "
        "pictures. While one is drawn, another thread encodes the last one."
    ),
    "rest_volume": (
        "A client of Python's http.client, which reads and drops what comes. The file is in the page cache. What comes "
        "in is parsed, becomes the volume's memory and is shown, window and level found, before the answer."
    ),
}
