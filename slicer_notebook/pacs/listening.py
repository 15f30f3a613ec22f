"""A PACS pushes ("send to SLICER"): what comes is kept, while somebody listens, though nobody has asked for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.dicom.index import Index
from slicer_notebook.errors import PacsError, SlicerNotebookError, StorageError, error_in_words
from slicer_notebook.pacs.arrivals import Arrivals
from slicer_notebook.pacs.checks import is_loopback
from slicer_notebook.pacs.kept import Kept, unfit
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.reports import Heard, SeriesKept
from slicer_notebook.pacs.server import dimse_address
from slicer_notebook.pacs.work import Work

if TYPE_CHECKING:
    from slicer_notebook.pacs.dimse.source import DimseSource

__all__ = ["Listening"]

#: Seconds between two looks at what has come, and until a storage SCP that was lost is started again.
_LOOK, _AGAIN = 0.2, 2.0
#: Seconds that it may take until it listens.
_BEGIN: Final = 60.0
#: Instances that were not kept, and notes, in a report.
_MOST_DROPPED, _MOST_NOTES = 1000, 50


class Listening(Work[Heard]):
    """Somebody listens: `report` says where, and what has come; `stop` ends it. From `Pacs.listen`; a context manager.

    Args:
        source: whose receiver is listened with; closed at the end.
        index: what is put into; ``folder``: where files go.
        quiet: seconds without a further instance after which a series has settled.
    """

    def __init__(self, source: DimseSource, index: Index, folder: Path, quiet: float = 3.0) -> None:
        self._source = source
        self._receiver = source.receiver()
        self._index = index
        self._folder = folder
        self._kept = Kept(quiet)
        self._lock = threading.Lock()
        self._dropped: list[tuple[str, str]] = []
        self._notes: list[str] = []
        self._problem: SlicerNotebookError | None = None
        self._up = threading.Event()
        self._began = time.monotonic()
        self._port = 0
        self._listens = False
        #: how many instances of a series were told of by `arrived`
        self._told: dict[tuple[str, str], int] = {}
        super().__init__(self._run_it, "listen")

    # -- from outside --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start; returns when it listens.

        Raises:
            PacsError: the port is another program's, a certificate cannot be read.
            StorageError: the folder cannot be written.
        """
        self.on_done(lambda _work: self._up.set())
        self.start()
        try:
            self._up.wait(_BEGIN)
        finally:
            if not self._listens:
                self.cancel()
        if not self._listens:
            self.result(_BEGIN)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def report(self) -> Heard:
        """What has come so far, and where it listens."""
        server, ended = self._source.server, self.done
        error = self.exception() or self._problem
        with self._lock:
            return Heard(
                server=server.name,
                calling=server.calling,
                bind=server.bind,
                port=self._port,
                tls=server.tls_receiver,
                senders=sorted({dimse_address(server.url).called, *server.senders}),
                listening=self._listens and not ended,
                series=self._kept.snapshot(ended=ended),
                count=self._kept.count,
                dropped=list(self._dropped),
                notes=list(self._notes),
                seconds=round(time.monotonic() - self._began, 3),
                folder=str(self._folder),
                error=error_in_words(error) if error is not None else {},
            )

    def arrived(self, timeout: float | None = None) -> list[SeriesKept]:
        """Wait for series of which nothing more comes, each told once, and again if it has grown since.

        Args:
            timeout: seconds; without one until some have, or it has ended.

        Returns:
            An empty list where none has in time, or it has ended.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            ended = self.done
            found = [each for each in self.report.series if each.settled and self._is_news(each)]
            wait = _LOOK if until is None else min(_LOOK, until - time.monotonic())
            if found or ended or wait <= 0:
                return found
            self._done.wait(wait)

    def _is_news(self, series: SeriesKept) -> bool:
        key = series.StudyInstanceUID, series.SeriesInstanceUID
        with self._lock:
            news = self._told.get(key) != series.count
            self._told[key] = series.count
        return news

    def stop(self) -> Heard:
        """End it; what has come is kept. The last report.

        Raises:
            StorageError: it had ended by itself: nothing more could be kept.
        """
        self.cancel()
        return self.result(_BEGIN)

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_error: object) -> None:
        self.cancel()
        self._done.wait(_BEGIN)

    def __repr__(self) -> str:
        report = self.report
        state = "listens" if report.listening else "has ended" if self.done else "does not listen"
        tls = " with TLS" if report.tls else ""
        return (
            f"<Listening for {report.server!r}: {report.calling!r} at {report.bind}:{report.port}{tls} {state}, "
            f"{report.count} instances of {len(report.series)} series>"
        )

    # -- the work ------------------------------------------------------------------------------------------------

    def _run_it(self, cancelled: Cancelled, changed: Callable[[], None]) -> Heard:
        def arrived(instances: list[Any]) -> None:
            self._kept.take(instances)
            changed()

        try:
            arrivals = Arrivals(
                self._folder, self._index, refused=unfit, arrived=arrived, dropped=self._was_dropped
            )  # fmt: skip
            try:
                while not cancelled():
                    try:
                        self._listen(arrivals, cancelled, changed)
                    except PacsError as exc:
                        self._listens = False
                        if isinstance(exc, StorageError) or not self._up.is_set():
                            raise
                        # Its process was killed, say: whoever sends should find it again.
                        self._problem = exc
                        changed()
                        self._stop.wait(_AGAIN)
            finally:
                arrivals.close()
        finally:
            self._source.close()
        self._listens = False
        report = self.report
        report.series = self._kept.snapshot(ended=True)
        return report

    def _listen(self, arrivals: Arrivals, cancelled: Cancelled, changed: Callable[[], None]) -> None:
        with self._receiver.expecting("", arrivals) as expected:
            self._port = self._receiver.port()
            self._listens, self._problem = True, None
            self._note_where()
            self._up.set()
            changed()
            seen: object = None
            while not cancelled():
                expected.check()
                now = sum(each.settled for each in self._kept.snapshot()), self._note_what_went_wrong()
                if seen not in (None, now):
                    changed()
                seen = now
                self._stop.wait(_LOOK)
            expected.settle()

    def _was_dropped(self, uid: str, reason: str) -> None:
        with self._lock:
            if len(self._dropped) < _MOST_DROPPED:
                self._dropped.append((uid, reason))

    def _note_where(self) -> None:
        server = self._source.server
        if is_loopback(server.bind) and not is_loopback(dimse_address(server.url).host):
            self._add_notes(
                f"it listens on {server.bind}, which other machines cannot reach: bind= is for a PACS on one of those"
            )

    def _note_what_went_wrong(self) -> int:
        notes, self._receiver.notes = self._receiver.notes, []
        self._add_notes(*notes)
        return len(self._notes)

    def _add_notes(self, *notes: str) -> None:
        with self._lock:
            self._notes = [*self._notes, *(each for each in notes if each not in self._notes)][-_MOST_NOTES:]
