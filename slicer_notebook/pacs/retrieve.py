"""Retrieval that loses nothing: what the PACS has is asked first, what arrives is counted, what is missing asked again.

A series is one piece of work. It is fetched whole by the first way that works; then, until all is there, what is
missing is asked for by its SOP Instance UIDs. A way that fails for good gives place to the next one (`tries`). When
nothing is missing, and whether a list of its instances is needed to tell, is decided in `series`; what there is to be
fetched, in `wanted`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import (
    JobCancelledError,
    PacsError,
    PacsRefusedError,
    SlicerNotebookError,
    StorageError,
    UidNotFoundError,
    error_in_words,
)
from slicer_notebook.pacs.arrivals import RESERVE, Arrivals, free_bytes
from slicer_notebook.pacs.counting import Counted
from slicer_notebook.pacs.kept import Kept, unfit
from slicer_notebook.pacs.model import Cancelled, Source, Way, WayFailedError, never
from slicer_notebook.pacs.patience import busy, of_the_server, rest
from slicer_notebook.pacs.reports import Report, SeriesReport
from slicer_notebook.pacs.series import SeriesTransfer, Target
from slicer_notebook.pacs.survey import Survey
from slicer_notebook.pacs.threads import thread
from slicer_notebook.pacs.tries import Form, Tries
from slicer_notebook.pacs.wanted import NOBODY, Wanted

__all__ = ["Report", "Retrieval", "SeriesReport"]

#: Instances asked for at once by their UIDs: an identifier of 12 kB at most.
CHUNK: Final = 150
#: Bytes that an instance is taken for, until some have come, for a look at the disk.
_GUESS: Final = 600_000
#: How often it is asked once more whether a study has grown: one that is just being made may never end.
_ROUNDS: Final = 5
#: Instances that were not kept, in a report.
_MOST_DROPPED: Final = 1000


class _StoppedError(Exception):
    """A fetch was stopped: by a pause, or because the retrieval ends."""


class Retrieval:
    """One retrieval: made, then `run` once, on a thread that may wait.

    Args:
        source: asked what there is.
        ways: by which it is fetched, the one to try first in front.
        targets: studies, series, instances.
        folder: where files go.
        index: what they are put into, and what knows what is here.
        parallel: series fetched at the same time.
        first_alone: until the first one is here, nothing else is fetched: somebody waits to see it.
        patience: seconds that the PACS may be away in the middle of it.
        keep: whether what arrives and nobody asked for is kept, too.
        running: not set while it is paused.
        cancelled: polled.
        told: called when something has changed (`snapshot` says what), on any thread.
    """

    def __init__(
        self,
        source: Source,
        ways: Sequence[Way],
        targets: Iterable[Target],
        *,
        server: str,
        folder: Path,
        index: Index,
        parallel: int = 2,
        first_alone: bool = False,
        patience: float = 30.0,
        keep: bool = False,
        running: threading.Event | None = None,
        cancelled: Cancelled = never,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._ways = list(ways)
        self._server = server
        self._folder = folder
        self._index = index
        self._parallel = max(1, parallel)
        self._one_is_here = threading.Event()
        if not first_alone:
            self._one_is_here.set()
        self._patience = patience
        self._cancelled = cancelled
        self._told = told
        self._lock = threading.RLock()
        self._survey = Survey(source, self._stopped_now, patience)
        self._wanted = Wanted(targets, self._survey, folder, index, self._stopped_now)
        self._dropped: list[tuple[str, str]] = []
        #: what nobody asked for; None where it is dropped. How many instances of it are of other studies
        self._kept = Kept() if keep else None
        self._strays = 0
        #: instances that came and were not kept, though they were wanted
        self._lost, self._lost_why = 0, ""
        self._broken: dict[str, str] = {}
        self._refused_ways: dict[str, str] = {}
        self._worked: Counter[str] = Counter()
        self._error: SlicerNotebookError | None = None
        self._running = running if running is not None else threading.Event()
        if running is None:
            self._running.set()
        self._began = 0.0

    # -- from outside --------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop after what is under way, which is cancelled; `resume` goes on from there."""
        self._running.clear()

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return not self._running.is_set()

    def snapshot(self) -> Report:
        """How far it is. On any thread."""
        series = self._wanted.shown
        with self._lock:
            return Report(
                server=self._server,
                series=[each.report() for each in series],
                complete=bool(series) and all(each.complete for each in series) and self._error is None,
                warnings=list(self._wanted.warnings),
                dropped=list(self._dropped),
                kept=self._kept.snapshot(ended=True) if self._kept is not None else [],
                seconds=time.monotonic() - self._began if self._began else 0.0,
                folder=str(self._folder),
                error=error_in_words(self._error) if self._error is not None else {},
            )

    @property
    def ways_that_worked(self) -> list[str]:
        """Ways that brought something, best first."""
        return [name for name, _ in self._worked.most_common()]

    @property
    def ways_refused(self) -> dict[str, str]:
        """Ways that brought nothing and will not, and why."""
        return {name: why for name, why in self._refused_ways.items() if not self._worked[name]}

    # -- running -------------------------------------------------------------------------------------------------

    def run(self) -> Report:
        """Do it.

        Returns:
            What became of each series; ``complete`` says whether all is here.

        Raises:
            UidNotFoundError: the PACS has nothing of it.
            PacsError: the PACS cannot be asked what it has, or is away for longer than patience lasts.
            StorageError: what arrives cannot be kept.
            JobCancelledError: ``cancelled`` said so. What has arrived is kept and indexed.
        """
        self._began = time.monotonic()
        try:
            arrivals = Arrivals(
                self._folder,
                self._index,
                refused=self._refused if self._kept is not None else self._wanted.refused,
                arrived=self._arrived,
                dropped=self._was_dropped,
            )
            try:
                self._run(arrivals)
            finally:
                arrivals.close()
            if self._error is None and self._wanted.nothing_there:
                self._error = self._not_there()
            self._poll()
        except SlicerNotebookError as exc:
            self._error = self._error or exc
        if self._error is not None:
            raise self._error
        return self.snapshot()

    def _run(self, arrivals: Arrivals) -> None:
        self._wanted.look()
        self._told()
        for _ in range(_ROUNDS):
            if not self._wanted.queue:
                return
            self._check_the_disk()
            self._work(arrivals)
            if self._error is not None:
                return
            self._wanted.look_again()
        for series in self._wanted.queue:
            series.say("it goes on growing: retrieve again to go on")

    def _not_there(self) -> UidNotFoundError:
        reasons = [reason for each in self._wanted.shown for reason in each.report().reasons]
        return UidNotFoundError(
            f"{self._server!r} has nothing of what was asked for.",
            expected="a study, series or instance that it has",
            got="no answer, and no instance" + (f"; {reasons[-1]}" if reasons else ""),
            hint="Ask find() what it has.",
        )

    def _check_the_disk(self) -> None:
        count = self._wanted.still_to_come
        free = free_bytes(self._folder)
        if count * _GUESS // 8 + RESERVE > free:
            raise StorageError(
                f"There is no room for {count} instances in {str(self._folder)!r}.",
                expected=f"at least {(count * _GUESS // 8 + RESERVE) >> 20} MiB free",
                got=f"{free >> 20} MiB",
                hint="Make room, or name another folder.",
            )

    # -- the work ------------------------------------------------------------------------------------------------

    def _work(self, arrivals: Arrivals) -> None:
        count = min(self._parallel, len(self._wanted.queue))
        threads = [thread(self._worker, "pacs-fetch", arrivals, number > 0) for number in range(count)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def _worker(self, arrivals: Arrivals, spare: bool) -> None:
        try:
            self._work_on(arrivals, spare)
        finally:
            self._one_is_here.set()

    def _work_on(self, arrivals: Arrivals, spare: bool) -> None:
        queue = self._wanted.queue
        if spare:
            self._one_is_here.wait()
        while self._error is None:
            with self._wanted.lock:
                if not queue:
                    return
                series = queue.popleft()
            try:
                done = self._fetch_series(series, arrivals, spare)
            except _StoppedError:
                series.end("incomplete")
                return
            except SlicerNotebookError as exc:
                series.end("failed")
                self._error = self._error or exc
                return
            # A thread that ends without a word would leave a series that nobody misses.
            except Exception as exc:  # noqa: BLE001
                series.end("failed")
                self._error = self._error or PacsError(f"An error of this program: {type(exc).__name__}: {exc}")
                return
            if not done:
                series.state = "waiting"
                with self._wanted.lock:
                    queue.append(series)
                return  # the peer wants fewer at a time
            self._one_is_here.set()
            self._told()

    def _fetch_series(self, series: SeriesTransfer, arrivals: Arrivals, spare: bool) -> bool:
        """Fetch a series until it is complete or no way is left; False to have another worker do it."""
        series.begin(self._wanted.held(series.study, series.uid))
        self._told()
        unlisted = series.may_go_unlisted
        if not unlisted and not self._ask_for_instances(series, spare):
            return False
        tries = Tries([way for way in self._ways if way.name not in self._broken], self._patience)
        if tries.way is None:
            series.say(*(f"{name}: {why}" for name, why in self._broken.items()))
        while tries.way is not None and not self._all_here(series):
            self._wait_while_paused()
            form = tries.form(series.forms[0], series.forms)
            if form is None:
                series.say(*tries.unfit("").reasons)
                continue
            if not self._try(series, tries, form, arrivals, spare):
                return False
            if unlisted and not series.as_counted:
                unlisted = False
                if not self._ask_for_instances(series, spare):
                    return False
        self._wanted.ended(series)
        series.end("complete" if series.all_here() else "incomplete")
        return True

    def _try(self, series: SeriesTransfer, tries: Tries, form: Form, arrivals: Arrivals, spare: bool) -> bool:
        """One try; False where the peer takes no further association, and a spare worker need not be patient."""
        way = tries.way
        assert way is not None
        lacking, here = series.lacking, series.count_here
        try:
            failure = self._fetch_once(series, way, form, arrivals)
        except _StoppedError:
            self._poll()
            if self._error is not None:
                raise
            return True  # paused
        if series.count_here > here:
            self._worked[way.name] += 1
        if self._all_here(series):
            return True
        if spare and failure is not None and busy(failure.error):
            return False
        progress = tries.counts_as_progress((lacking, series.lacking), (here, series.count_here))
        after = tries.ended(form, progress=progress, failure=failure)
        series.say(*after.reasons)
        if after.refused is not None and failure is not None:
            self._refused_ways[after.refused.name] = failure.reason
            if of_the_server(failure.error):
                self._broken[after.refused.name] = failure.reason
        if after.gone and failure is not None and failure.error is not None:
            raise failure.error
        rest(after.pause, self._stopped_now)
        return True

    def _fetch_once(self, series: SeriesTransfer, way: Way, form: Form, arrivals: Arrivals) -> WayFailedError | None:
        """One try by one way; why it failed, if it did. When it returns, what came is in the index.

        Raises:
            _StoppedError: it was stopped.
        """
        series.try_by(way.name)
        if form == "whole":
            self._wanted.begun_whole(series)
        failure: WayFailedError | None = None
        for wanted in series.what_to_fetch(form, CHUNK):
            sink, lost, strays, said = Counted(arrivals), self._lost, self._strays, None
            try:
                said = way.fetch(wanted, sink, self._stopped)
            except WayFailedError as exc:
                failure = exc
            except JobCancelledError as exc:
                arrivals.flush()
                raise _StoppedError from exc
            arrivals.flush()
            if self._lost > lost:
                series.say(f"{way.name}: {self._lost - lost} that came could not be kept: {self._lost_why}")
            if failure is not None:
                return failure
            if form == "whole":
                # What is of another study is none of those that the peer says it has sent.
                came = sink.count - (self._strays - strays)
                series.whole_fetched(said, came, all_kept=self._lost == lost)
        return None

    def _ask_for_instances(self, series: SeriesTransfer, spare: bool) -> bool:
        """The UIDs that the PACS has. One that does not answer at this level is believed its counts.

        Returns:
            False where the peer takes no further association, and a spare worker need not be patient.
        """
        if series.target.instances:
            there = self._survey.which_of(series.study, series.uid, series.target.instances)
            series.listed({"SOPInstanceUID": uid, "SOPClassUID": of} for uid, of in there.items())
        elif series.uid:
            try:
                self._list(series, patient=not spare)
            except PacsRefusedError as exc:
                if spare and busy(exc):
                    return False
                raise
        self._told()
        return True

    def _all_here(self, series: SeriesTransfer) -> bool:
        if not series.all_here() and self._wanted.all_of_the_study(series.study):
            series.vouch()
        return series.all_here()

    def _list(self, series: SeriesTransfer, patient: bool) -> None:
        listing = self._survey.instances(series.study, series.uid, patient=patient)
        if listing.problem:
            series.say(f"its instances cannot all be listed: {listing.problem}")
        series.listed(listing.records, cut_off=bool(listing.problem))
        unlisted = series.unlisted()
        if unlisted:
            series.confirmed(self._survey.which_of(series.study, series.uid, unlisted))
        series.settle_without_a_list()

    # -- what arrives --------------------------------------------------------------------------------------------

    def _refused(self, instance: Instance) -> str | None:
        """As `Wanted.refused`, where what nobody asked for is kept."""
        why = self._wanted.refused(instance)
        if why != NOBODY:
            return why
        if not self._wanted.asks_for(instance.StudyInstanceUID):
            with self._lock:
                self._strays += 1
        return unfit(instance)

    def _arrived(self, instances: list[Instance]) -> None:
        if self._kept is not None:
            unasked = {each.path for each in instances if self._wanted.refused(each) == NOBODY}
            self._kept.take(each for each in instances if each.path in unasked)
            instances = [each for each in instances if each.path not in unasked]
        self._wanted.take(instances)
        self._told()

    def _was_dropped(self, uid: str, reason: str) -> None:
        with self._lock:
            if reason != NOBODY:
                self._lost, self._lost_why = self._lost + 1, reason
            if len(self._dropped) < _MOST_DROPPED:
                self._dropped.append((uid, reason))
        self._told()

    # -- waiting -------------------------------------------------------------------------------------------------

    def _stopped(self) -> bool:
        """Whether what is under way has to stop."""
        return self._stopped_now() or self.paused

    def _stopped_now(self) -> bool:
        return self._cancelled() or self._error is not None

    def _poll(self) -> None:
        if self._cancelled():
            raise JobCancelledError(
                "The retrieval was cancelled.", hint="What has arrived is kept; retrieve again to go on."
            )

    def _wait_while_paused(self) -> None:
        while not self._running.wait(0.1) and self._error is None:
            self._poll()
        self._poll()
        if self._error is not None:
            raise _StoppedError
