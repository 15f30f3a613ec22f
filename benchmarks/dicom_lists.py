"""Benchmarks of what lists of studies are made of: the catalogue of all studies, and thumbnails of series."""

from __future__ import annotations

import io
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from PIL import Image

from benchmarks import dicom_files
from benchmarks.measure import Row, Times, median_of, timed

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["dicom_catalogue", "dicom_thumbnails"]

STUDIES = 100_000
#: Studies that fill a screen, and more.
FIRST = 500
SERIES = 200
#: Series on a screen.
SCREENFUL = 24
SIZE = 128


def dicom_catalogue(bench: Bench) -> list[Row]:
    """The list of all studies, in the notebook's process."""
    path = bench.folder / "catalogue.sqlite3"
    dicom_files.write_index(path, STUDIES)
    slicer = bench.slicer

    def whole() -> Any:
        found = slicer.call("dicom.catalogue", database=str(path))
        if found["total"] != STUDIES:
            raise RuntimeError(f"the catalogue has {found['total']} studies")
        return found

    def first() -> Any:
        return slicer.call("dicom.catalogue", first=FIRST, database=str(path))

    times = bench.interleave(
        "dicom_catalogue",
        {"whole": timed(whole), "first": median_of(5, timed(first)), "records": timed(lambda: _records(bench, path))},
        7,
    )
    name = 'slicer.call("dicom.catalogue")'
    peer = "slicer.dicom.studies(), a record each"
    return [
        Row("dicom_catalogue", f"{name}, all of {STUDIES}", "0.7 s", times["whole"], _each(times, "whole", 0.7), 1.0),
        Row("dicom_catalogue", f"{name}, the first {FIRST}", "30 ms", times["first"], _each(times, "first", 0.03), 1.0),
        Row("dicom_catalogue", f"{name}, all of {STUDIES}", peer, times["whole"], times["records"]),
    ]


def _records(bench: Bench, path: Path) -> int:
    bench.slicer.dicom.database = str(path)
    return len(bench.slicer.dicom.studies())


def dicom_thumbnails(bench: Bench) -> list[Row]:
    """A screenful of 200 series: drawn, and drawn before."""
    folder = bench.folder / "thumbnails"
    dicom_files.write_series(folder, SERIES)
    slicer = bench.slicer
    slicer.dicom.database = str(bench.folder / "thumbnails.sqlite3")
    slicer.wait(slicer.dicom.index(folder))
    series = slicer.dicom.series()
    if len(series) != SERIES:
        raise RuntimeError(f"the index found {len(series)} series")
    middle = [sorted(place.iterdir())[50] for place in sorted(folder.iterdir())]
    # Pictures of a size that was not asked for before are drawn anew; others are on disk.
    sizes = itertools.count(SIZE)
    turns = itertools.cycle(range(0, SERIES - SCREENFUL, SCREENFUL))

    def cold() -> float:
        size, start = next(sizes), next(turns)
        return _gallery(bench, series[start : start + SCREENFUL], size)

    slicer.dicom.thumbnails(series[:SCREENFUL], SIZE - 1)
    times = bench.interleave(
        "dicom_thumbnails",
        {
            "cold": cold,
            "warm": median_of(3, lambda: _gallery(bench, series[:SCREENFUL], SIZE - 1)),
            "loop": timed(lambda: [_bare(path) for path in middle[:SCREENFUL]]),
        },
        7,
    )
    what = f"slicer.dicom.thumbnails: {SCREENFUL} of {SERIES} series"
    loop = "pydicom, NumPy and Pillow in a loop, told which files"
    return [
        Row("dicom_thumbnails", f"{what}, first time", "1 s", times["cold"], _each(times, "cold", 1.0), 1.0),
        Row("dicom_thumbnails", f"{what}, again", "100 ms", times["warm"], _each(times, "warm", 0.1), 1.0),
        Row("dicom_thumbnails", f"{what}, first time", loop, times["cold"], times["loop"]),
        Row("dicom_thumbnails", f"{what}, again", loop, times["warm"], times["loop"]),
    ]


def _each(times: Times, name: str, seconds: float) -> list[float]:
    return [seconds] * len(times[name])


def _gallery(bench: Bench, series: list[Any], size: int) -> float:
    started = time.perf_counter()
    found = bench.slicer.dicom.thumbnails(series, size)
    seconds = time.perf_counter() - started
    if [max(each.image.size) for each in found if each.image is not None] != [size] * len(series):
        raise RuntimeError("pictures are missing, or have another size")
    return seconds


def _bare(path: Path) -> bytes:
    """What a script does: one slice, windowed as its header says, made small."""
    data = pydicom.dcmread(path)
    values = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    width, centre = float(data.WindowWidth[0]), float(data.WindowCenter[0])
    grey = np.clip((values - centre + width / 2) * (255 / width), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).resize((SIZE, SIZE), Image.Resampling.BILINEAR, reducing_gap=3.0).save(buffer, "PNG")
    return buffer.getvalue()
