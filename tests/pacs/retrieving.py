"""What tests of retrieval share: a PACS with an index of its own, and whether all that is there is right."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slicer_notebook.dicom.index import Index
from slicer_notebook.pacs.dimse.store import read_meta
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.reports import Report
from slicer_notebook.pacs.server import Server
from tests.pacs.peers.data import DataStudy


def opened(folder: Path, url: str, **settings: Any) -> Pacs:
    """A PACS whose index and files are in a folder of the test's."""
    return Pacs(Server(name="peer", url=url, **settings), index=folder / "index.sqlite3")


def until(condition: Callable[[], Any], timeout: float = 10.0) -> None:
    """Wait for a condition; a hang is a failure."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.005)


@contextmanager
def no_thread_left(prefix: str = "pacs-", timeout: float = 10.0) -> Iterator[None]:
    """What is begun in here has ended when it is over, or soon afterwards; what others have begun may go on."""
    before = set(threading.enumerate())

    def left() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.startswith(prefix) and each not in before]

    yield
    deadline = time.monotonic() + timeout
    while left() and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    assert not left()


def dataset_bytes(path: str | Path) -> bytes:
    """A file's data set, without its meta information."""
    return Path(path).read_bytes()[read_meta(str(path)).offset :]


def rows(database: Path) -> list[tuple[str, str]]:
    """SOP Instance UID and path of each file in an index; read beside the library."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT sop_uid, path FROM files").fetchall()
    return [(str(uid), str(path)) for uid, path in found]


def files_below(folder: Path) -> list[Path]:
    """All files, but for notes and what processes that were killed left aside."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def assert_whole(database: Path, wanted: Mapping[str, Path]) -> None:
    """The index has exactly these instances, each once, and each file has the data set that was uploaded."""
    found = rows(database)
    assert sorted(uid for uid, _ in found) == sorted(wanted)
    for uid, path in found:
        assert dataset_bytes(path) == dataset_bytes(wanted[uid]), uid


def assert_nothing_broken(database: Path, wanted: Mapping[str, Path]) -> None:
    """What the index has so far is right: part of these instances, each once and whole."""
    if not database.exists():
        return
    found = rows(database)
    assert len({uid for uid, _ in found}) == len(found)
    for uid, path in found:
        assert dataset_bytes(path) == dataset_bytes(wanted[uid]), uid


def instances(*studies: DataStudy) -> dict[str, Path]:
    """SOP Instance UID -> file, of these studies."""
    return {uid: path for study in studies for uid, path in study.instances.items()}


def numbers(report: Report) -> list[tuple[int | None, int, int]]:
    """Expected, received, missing of each series."""
    return [(each.expected, each.received, each.missing) for each in report.series]


def reasons(report: Report) -> str:
    """All that was said, in one text."""
    return "\n".join(reason for each in report.series for reason in each.reasons)


def held(index: Index, studies: Iterable[str]) -> int:
    """How many instances of studies the index has."""
    return sum(len(sops) for study in studies for sops in index.holdings(study).values())
