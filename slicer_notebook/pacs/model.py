"""What the parts of `slicer_notebook.pacs` say to one another: a question, its answers, what is fetched, by which way.

Nothing here does anything: DIMSE, DICOMweb and Kheops are `Source` implementations, `retrieve` drives their ways,
`arrivals` is the `Sink` that what they fetch goes into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec
from pydicom import Dataset

from slicer_notebook.dicom.records import Instance

__all__ = [
    "LEVELS",
    "Cancelled",
    "Fetch",
    "FolderSink",
    "Level",
    "Part",
    "Query",
    "Record",
    "Sink",
    "Source",
    "Way",
    "WayFailedError",
]

Level = Literal["PATIENT", "STUDY", "SERIES", "IMAGE"]
#: From the top of the hierarchy down (PS3.4 C.6.1.1).
LEVELS: Final[tuple[Level, ...]] = ("PATIENT", "STUDY", "SERIES", "IMAGE")

Record = dict[str, Any]
"""An answer: DICOM keyword (``ggggeeee`` where there is none) -> ``str``, ``int``, ``float``, ``bytes``, a list of
these, a list of records for a sequence, None when empty. An attribute that may have several values (VM other than 1) is
a list whenever it has one. See `records`."""

Cancelled = Callable[[], bool]
"""Polled, some ten times a second at least; True stops the work, which then raises `JobCancelledError`."""


def never() -> bool:
    """Nobody cancels."""
    return False


class Query(msgspec.Struct, kw_only=True, frozen=True):
    """A question, for one level of the hierarchy."""

    level: Level
    #: Matching keys (elements with a value) and return keys (empty ones); neither Query/Retrieve Level nor Specific
    #: Character Set, which the source adds as its protocol has them.
    identifier: Dataset
    #: answers at most
    limit: int | None = None
    #: fuzzy semantic matching of person names (PS3.4 C.2.2.2.1.1), where the peer negotiates it
    fuzzy: bool = False
    #: relational queries (PS3.4 C.4.1.2.2.1), where the peer negotiates them
    relational: bool = False


class Fetch(msgspec.Struct, kw_only=True, frozen=True):
    """What is to be fetched: a study, a series, or instances of a series."""

    study: str
    series: str | None = None
    #: SOP Instance UIDs; empty for all
    instances: tuple[str, ...] = ()
    #: SOP Class UIDs that will come, where they are known; empty where not
    sop_classes: frozenset[str] = frozenset()
    #: Modality of the series, where it is known
    modality: str | None = None
    #: how many will come, where it is known
    expected: int | None = None


class Part(Protocol):
    """One instance that is arriving, as a DICOM file (PS3.10): preamble, meta information, data set."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes; the buffer may be used again afterwards. May block: backpressure.

        Raises:
            StorageError: nothing more can be kept.
        """

    def done(self) -> None:
        """The instance is complete; whether it is whole and was asked for is the sink's to find out.

        Raises:
            StorageError: nothing more can be kept.
        """

    def discard(self) -> None:
        """It broke off; nothing of it is left. After `done`, nothing."""


class Sink(Protocol):
    """Where instances go. Used by several threads at a time, each with parts of its own."""

    def open(self) -> Part:
        """An instance begins to arrive."""


class FolderSink(Sink, Protocol):
    """A sink that other processes can put files into."""

    def folder_aside(self) -> Path:
        """A folder that is in no index, on the disk where files go."""

    def adopt(self, path: Path, size: int, instance: Instance | None = None) -> None:
        """A file in that folder is complete; it is the sink's from now on. Raises as `Part.done`.

        Args:
            instance: what whoever wrote it has read of it, and found whole; None: that is still to be done.
        """

    def flush(self) -> None:
        """Wait until all that was given so far is kept, or was found not to be wanted. Raises as `Part.done`."""


class WayFailedError(Exception):
    """A way did not fetch all it was asked for. Never reaches a user: `retrieve` goes on by this way or another.

    Attributes:
        reason: in words, for the log and the person.
        again: whether the same way may work when it is tried again (a lost connection, a busy peer); False where it
            will not (no such service, role refused, unknown destination).
        error: the library's error that it would be, were there no other way.
    """

    def __init__(self, reason: str, *, again: bool, error: Exception | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.error = error


class Way(Protocol):
    """One way to fetch instances: C-GET, C-MOVE, WADO-RS or WADO-URI."""

    #: "C-GET", ...
    name: str
    #: How many fetches may run at the same time on this way.
    parallel: int

    def fetch(self, wanted: Fetch, sink: FolderSink, cancelled: Cancelled) -> int | None:
        """Fetch into ``sink``. Several threads may call it at once; each call uses connections of its own.

        Returns when the peer says that all was sent (whether that is so, the caller counts): how many instances it says
        it sent, None where its protocol does not tell.

        Raises:
            WayFailedError: it broke off, or the peer says that something failed. What arrived before is kept.
            JobCancelledError: ``cancelled`` said so; the peer was told where its protocol allows (C-CANCEL).
            StorageError: from the sink.
        """


class Source(Protocol):
    """A PACS, spoken to by one protocol. Its methods may be called on several threads at once."""

    def find(self, query: Query, cancelled: Cancelled) -> Iterator[Record]:
        """Answers as they come, each once; no more than ``query.limit``.

        A caller that stops early closes the iterator: the peer is told to stop.

        Raises:
            PacsError: unreachable, refused, failed.
            JobCancelledError: ``cancelled`` said so.
        """

    def ways(self) -> Sequence[Way]:
        """The ways to fetch that this source has, the one to try first in front."""

    def store(self, path: str, cancelled: Cancelled) -> None:
        """Send one file. Raises `PacsError` with the reason when the peer did not take it."""

    def close(self) -> None:
        """Let connections go."""
