"""Benchmarks of the DICOM index: filling it, looking again, and searching it."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom

from benchmarks import dicom_files
from benchmarks.measure import Row, median_of, timed
from slicer_notebook.dicom import Index

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.suite import Bench

__all__ = ["dicom_index", "dicom_search"]

FILES = 10_000
STUDIES = 100_000
#: Studies on a page.
PAGE = 50
#: Seconds that the first page of a filtered list may take.
LIMIT = 0.020


def dicom_index(bench: Bench) -> list[Row]:
    """10,000 CT slices that are in the page cache: a new index, then the same again."""
    folder = bench.folder / "dicom"
    dicom_files.write_files(folder, FILES)
    paths = sorted(str(path) for path in folder.rglob("*.dcm"))
    places = (bench.folder / f"index{number}.sqlite3" for number in itertools.count())
    index = Index(next(places))

    def loop() -> float:
        started = time.perf_counter()
        for path in paths:
            pydicom.dcmread(path, stop_before_pixels=True)
        return time.perf_counter() - started

    def fill() -> float:
        nonlocal index
        index.close()
        index = Index(next(places))
        return _add(index, folder, added=FILES)

    times = bench.interleave(
        "dicom_index", {"loop": loop, "fill": fill, "again": lambda: _add(index, folder, added=0)}, 5
    )
    index.close()
    peer = "pydicom.dcmread(stop_before_pixels=True) in a loop"
    return [
        Row("dicom_index", f"Index.add of {FILES} files", peer, times["fill"], times["loop"], 1 / 3),
        Row("dicom_index", "Index.add again, nothing changed", peer, times["again"], times["loop"], 1 / 50),
    ]


def _add(index: Index, folder: Path, *, added: int) -> float:
    started = time.perf_counter()
    summary = index.add(folder)
    seconds = time.perf_counter() - started
    if (summary.instances, summary.added) != (FILES, added):
        raise RuntimeError(f"the index found {summary}")
    return seconds


def dicom_search(bench: Bench) -> list[Row]:
    """The first page of a list of 100,000 studies, filtered in the ways people filter it."""
    path = bench.folder / "studies.sqlite3"
    dicom_files.write_index(path, STUDIES)
    index = Index(path)
    (middle,) = index.studies(limit=1, offset=STUDIES // 2)
    filters: dict[str, dict[str, Any]] = {
        "no filter": {},
        "exact name": {"PatientName": middle.PatientName},
        "name*": {"PatientName": f"{(middle.PatientName or '')[:4]}*"},
        "patient ID": {"PatientID": middle.PatientID},
        "two common words": {"text": "thorax leber"},
        "words that no study has": {"text": "no such words"},
        "a year's CTs": {"StudyDate": "20150101-20151231", "ModalitiesInStudy": "CT"},
        "a word in the series": {"SeriesDescription": "*trauma*", "Modality": "MR"},
    }

    def page(by: dict[str, Any]) -> Callable[[], float]:
        return median_of(5, timed(lambda: index.studies(limit=PAGE, **by)))

    times = bench.interleave("dicom_search", {name: page(by) for name, by in filters.items()}, 5)
    index.close()
    return [
        Row("dicom_search", f"studies(limit={PAGE}): {name}", "20 ms", seconds, [LIMIT] * len(seconds), 1.0)
        for name, seconds in times.items()
    ]
