"""A PACS asked and fetched from the notebook's process, for those that Slicer's machine cannot reach.

The index is a file that both share: what is fetched here is there for Slicer as soon as it is indexed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from slicer_notebook.errors import SessionError, SlicerNotebookError
from slicer_notebook.pacs import prompts
from slicer_notebook.session.job import Job
from slicer_notebook.session.transfers import Transfer, counted, outcome_of

if TYPE_CHECKING:
    from slicer_notebook.pacs.doctor import Examination
    from slicer_notebook.pacs.matches import Matches
    from slicer_notebook.pacs.model import Cancelled
    from slicer_notebook.pacs.pacs import Pacs
    from slicer_notebook.pacs.signing import DeviceCode, Prompt
    from slicer_notebook.pacs.storing import Stored
    from slicer_notebook.session.session import Session

__all__ = [
    "find_here",
    "plan_here",
    "report_of",
    "retrieve_here",
    "servers_here",
    "store_here",
    "stored_of",
    "test_here",
    "thumbnail_here",
]

T = TypeVar("T")
#: Seconds between two looks at a transfer.
_EVERY: Final = 0.2

_log = logging.getLogger(__name__)


def _pacs(session: Session, name: str | Pacs, prompt: Prompt | None) -> Pacs:
    from slicer_notebook.pacs.pacs import Pacs

    if not isinstance(name, str):
        return name.into(session.dicom.database)
    return Pacs.named(name, index=session.dicom.database, prompt=prompt)


def _prompt(job: Callable[[], Job[Any]]) -> Prompt | None:
    """How the person is asked to sign in who waits for a job; None where nobody is there."""

    def ask(code: DeviceCode) -> Callable[[BaseException | None], None]:
        words = code.words()
        job().deliver_progress(-1.0, prompts.in_words(words), {"sign_in": words})
        return end

    def end(error: BaseException | None) -> None:
        if error is None:
            job().deliver_progress(-1.0, "signed in", None)

    return ask if prompts.person() is not None else None


def _job(session: Session, command: str, cancel: Callable[[], None], convert: Any = None) -> Job[Any]:
    link = session._link
    return Job(command, cancel=cancel, convert=convert, pump=link._pump(), post=link.post)


def _worked(
    session: Session,
    command: str,
    function: Callable[[Pacs, Cancelled, Job[Any]], T],
    name: str | Pacs,
    *,
    convert: Callable[[T], Any] | None = None,
    cancel: Callable[[], None] = lambda: None,
) -> Job[Any]:
    """A job that ``function`` does on a thread of its own, with the PACS of a name; whatever fails, fails the job."""
    from slicer_notebook.pacs.work import Work

    def run(cancelled: Cancelled, _changed: Callable[[], None]) -> T:
        with _pacs(session, name, prompt) as pacs:
            return function(pacs, cancelled, job)

    def stop() -> None:
        work.cancel()
        cancel()

    def ended(_work: Work[T]) -> None:
        error = work.exception()
        job.deliver(None if error is not None else work.result(0), error)

    prompt = _prompt(lambda: job)
    work: Work[T] = Work(run, command)
    job = _job(session, command, stop, convert)
    work.on_done(ended)
    work.start()
    return job


def servers_here() -> list[str]:
    """Names of the PACS that are configured on this machine. Raises `PacsConfigError`."""
    from slicer_notebook.pacs import config

    return list(config.servers())


def find_here(
    session: Session,
    name: str | Pacs,
    level: str,
    keys: dict[str, Any],
    options: dict[str, Any],
    *,
    convert: Callable[[dict[str, Any]], Any],
) -> Job[Any]:
    """As the command ``pacs.find``, from this process; ``convert`` makes the job's result of its."""
    going: list[Matches] = []

    def ask(pacs: Pacs, cancelled: Cancelled, job: Job[Any]) -> dict[str, Any]:
        found = pacs.find(level, **options, **{key.replace(".", "__"): value for key, value in keys.items()})
        going.append(found)
        if cancelled():
            found.cancel()
        records = []
        for record in found:
            records.append(record)
            if len(records) == 1 or len(records) % 50 == 0:
                answers = "answer" if len(records) == 1 else "answers"
                job.deliver_progress(-1.0, f"{len(records)} {answers}", [len(records), 0])
        return {"asked": found.asked, "records": records}

    def stop() -> None:
        for found in going:
            found.cancel()

    return _worked(session, "pacs.find", ask, name, convert=convert, cancel=stop)


def plan_here(session: Session, name: str | Pacs, study: str, series: str, *, strict: bool, rectify: bool) -> Job[Any]:
    """As the command ``pacs.plan``, from this process."""

    def look(pacs: Pacs, cancelled: Cancelled, _job: Job[Any]) -> dict[str, Any]:
        from slicer_notebook.dicom.details import plan_facts
        from slicer_notebook.pacs.triage import plan_of

        return plan_facts(plan_of(pacs, study, series, strict=strict, rectify=rectify, cancelled=cancelled))

    return _worked(session, "pacs.plan", look, name)


def thumbnail_here(session: Session, name: str | Pacs, study: str, series: str, size: int) -> Job[bytes]:
    """As the command ``pacs.thumbnail``, from this process."""

    def look(pacs: Pacs, cancelled: Cancelled, _job: Job[Any]) -> bytes:
        from slicer_notebook.pacs.pictures import picture

        return picture(pacs, study, series, size, cancelled)

    return _worked(session, "pacs.thumbnail", look, name)


def report_of(raw: Any) -> Examination:
    """What ``pacs.test`` gives, as a record that shows itself."""
    from slicer_notebook.pacs.doctor import Examination

    return msgspec.convert(raw, Examination)


def test_here(session: Session, name: str | Pacs) -> Job[Examination]:
    """As `SessionPacs.test`, from this process."""

    def look(pacs: Pacs, cancelled: Cancelled, job: Job[Any]) -> Examination:
        from slicer_notebook.pacs.doctor import examine

        return examine(pacs, told=lambda text: job.deliver_progress(-1.0, text, None), cancelled=cancelled)

    return _worked(session, "pacs.test", look, name)


def stored_of(raw: Any) -> Stored:
    """What ``pacs.store`` gives, as a record."""
    from slicer_notebook.pacs.storing import Stored

    return msgspec.convert(raw, Stored)


def store_here(
    session: Session, name: str | Pacs, paths: list[str], commit: bool | None, commit_timeout: float | None
) -> Job[Stored]:
    """As the command ``pacs.store``, from this process."""

    def send(pacs: Pacs, cancelled: Cancelled, job: Job[Any]) -> Stored:
        work = pacs.store(*paths, commit=commit, commit_timeout=commit_timeout)
        return work.follow(job.deliver_progress, cancelled)

    return _worked(session, "pacs.store", send, name)


def retrieve_here(
    session: Session, name: str | Pacs, targets: list[dict[str, Any]], title: str, *, load: bool, show: bool
) -> Job[Transfer]:
    """As `SessionPacs.retrieve`, from this process: it ends with it."""
    return _Here(session, name, targets, title, load=load, show=show).job


class _Here:
    """A retrieval of this process; Slicer is told of each series that has come."""

    def __init__(
        self, session: Session, name: str | Pacs, targets: list[dict[str, Any]], title: str, *, load: bool, show: bool
    ) -> None:
        self._session = session
        self._sign_in: dict[str, Any] = {}
        self._pacs = pacs = _pacs(session, name, self._ask if prompts.person() is not None else None)
        self._title = title
        self._load = load
        self._show = show
        self._told: set[str] = set()
        self._loads: list[int] = []
        self._telling = threading.Lock()
        self._next_look = 0.0
        self.job: Job[Transfer] = _job(session, "pacs.retrieve", self._cancel)
        self._transfer = pacs.retrieve(targets, first_alone=load)
        self._transfer.on_progress(self._progressed)
        self._transfer.on_done(self._done)

    def _record(self, state: str) -> Transfer:
        report = self._transfer.report
        expected = [each.expected for each in report.series]
        return Transfer(
            id=0,
            server=self._pacs.name,
            title=self._title,
            by=self._session.name,
            state=state,
            received=report.received,
            expected=None if not expected or None in expected else sum(each or 0 for each in expected),
            bytes=sum(each.bytes for each in report.series),
            seconds=report.seconds,
            series=[msgspec.to_builtins(each) for each in report.series],
            folder=report.folder,
            load=self._load,
            show=self._show,
            loads=list(self._loads),
            sign_in=self._sign_in,
        )

    def _ask(self, code: DeviceCode) -> Callable[[BaseException | None], None]:
        """Show a person where to sign in."""

        self._sign_in = code.words()
        self.job.deliver_progress(-1.0, prompts.in_words(self._sign_in), {"sign_in": self._sign_in})

        def end(_error: BaseException | None) -> None:
            self._sign_in = {}
            self.job.deliver_progress(*counted(self._record("going")))

        return end

    def _cancel(self) -> None:
        self._transfer.cancel()

    def _progressed(self, _transfer: Any) -> None:
        now = time.monotonic()
        if now < self._next_look or not self._telling.acquire(blocking=False):
            return
        try:
            self._next_look = now + _EVERY
            record = self._record("going")
            self.job.deliver_progress(*counted(record))
            self._tell()
        finally:
            self._telling.release()

    def _tell(self) -> None:
        """Tell Slicer, and by it all notebooks, which series have come."""
        fresh = [
            each.SeriesInstanceUID
            for each in self._transfer.report.series
            if each.complete and each.received and each.SeriesInstanceUID not in self._told
        ]
        self._told.update(fresh)
        if not fresh:
            return
        try:
            self._loads += self._session.call(
                "pacs.arrived",
                series=fresh,
                load=self._load,
                show=self._show and not self._loads,
                database=self._session.dicom.database,
                by=self._session.name,
            )
        except SessionError:
            _log.info("Slicer is gone; what has arrived is in the index.")
        except SlicerNotebookError as exc:
            _log.warning("What has arrived is not loaded: %s", exc.message)

    def _done(self, _transfer: Any) -> None:
        with self._telling:
            self._tell()
        self._pacs.close()
        error = self._transfer.exception()
        if error is not None:
            self.job.deliver(None, error)
            return
        self.job.deliver(*outcome_of(self._record("done" if self._transfer.report.complete else "incomplete")))
