"""Benchmark of what a person waits for: the first picture of a study that is still arriving."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import slicer_notebook as sn
from benchmarks.measure import Row
from benchmarks.pacs import disk, write_instances
from slicer_notebook import testing

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["pacs_first"]

#: series in a study, instances of each, their rows and columns
SERIES, COUNT, SIDE = 4, 100, 256
ROUNDS = 3
#: Seconds between two looks, and for all of it.
LOOK, DEADLINE = 0.01, 120.0


def pacs_first(bench: Bench) -> list[Row]:
    """A study of four series, and its first series alone: until that is in the views."""
    stack = bench.stack
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-first-", dir=disk())))
    studies = [f"1.2.826.0.1.3680043.8.498.77.{number}" for number in range(2 * (bench.rounds(ROUNDS) + 1))]
    for study in studies:
        for number in range(1, SERIES + 1):
            write_instances(folder / "made" / study / str(number), study, COUNT, SIDE, series=number)
    orthanc = stack.enter_context(testing.orthanc(folder / "made", timeout=120))
    before = {name: os.environ.get(name) for name in ("SLICER_NOTEBOOK_CONFIG", "SLICER_NOTEBOOK_DATA")}
    os.environ.update(SLICER_NOTEBOOK_CONFIG=str(folder / "config"), SLICER_NOTEBOOK_DATA=str(folder / "data"))
    try:
        sn.pacs.add("bench", orthanc.dimse_url, calling="SLICER")
        slicer = stack.enter_context(sn.launch())
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    left = iter(studies)

    def first_picture(whole: bool) -> Callable[[], float]:
        def run() -> float:
            study = next(left)
            slicer.clear()
            began = time.perf_counter()
            pacs = slicer.pacs("bench")
            job = pacs.retrieve(study=study, series=None if whole else f"{study}.1", load=True, show=True)
            while not any(each.study == study and each.state == "done" for each in slicer.dicom.queue.entries()):
                if time.perf_counter() - began > DEADLINE:
                    raise RuntimeError("no series was loaded")
                time.sleep(LOOK)
            slicer.view("Red").image()
            seconds = time.perf_counter() - began
            job.result(DEADLINE)
            return seconds

        return run

    times = bench.interleave("pacs_first", {"study": first_picture(True), "series": first_picture(False)}, ROUNDS)
    what = f"first picture of a study of {SERIES} series of {COUNT} images"
    return [Row("pacs_first", what, "of its first series, asked for alone", times["study"], times["series"], 1.5)]
