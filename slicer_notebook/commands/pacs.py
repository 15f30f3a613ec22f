"""Commands about PACS: what Slicer's machine can reach, asked and fetched by threads that are not the main one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from slicer_notebook.commands import context, loads
from slicer_notebook.commands.dicom import _open_index, _plan
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.link_servers import open_linked
from slicer_notebook.commands.listenings import Listenings
from slicer_notebook.commands.pacs_signing import prompt_by_events, prompt_of, tell_of_sign_ins
from slicer_notebook.commands.questions import Questions
from slicer_notebook.commands.registry import command
from slicer_notebook.commands.transfers import Transfers
from slicer_notebook.errors import ArgumentError

if TYPE_CHECKING:
    from slicer_notebook.dicom import SeriesPlan
    from slicer_notebook.pacs.matches import Matches
    from slicer_notebook.pacs.pacs import Pacs
    from slicer_notebook.pacs.signing import Prompt

#: Seconds between two looks for a cancel.
_LOOK: Final = 0.1
#: Series of these become nothing in the scene, and nobody would call that a failure.
_NO_IMAGES: Final = frozenset(
    {
        "segmentation", "structured-report", "presentation-state", "key-objects", "rt-structures", "rt-plan", "rt-dose",
        "rt-other", "real-world-values", "registration", "encapsulated-document", "waveform", "not-an-image",
    }
)  # fmt: skip


def _open_pacs(host: Host, server: str, database: str | None, prompt: Prompt | None) -> Pacs:
    """The PACS of a name, configured or a link's, which fills the index of a path.

    ``prompt``: how a person is asked to sign in.
    """
    from slicer_notebook.pacs.pacs import Pacs

    linked = open_linked(server, _open_index(database))
    if linked is not None:
        return linked
    tell_of_sign_ins(host)
    return Pacs.named(server, index=_open_index(database), prompt=prompt)


@command("pacs.servers", thread="worker", journal=False, urgent=True)
def servers(host: Host) -> list[dict[str, Any]]:
    """The PACS that are configured where Slicer runs: all of `pacs.Server`; of secrets where they are.

    Raises:
        PacsConfigError: the configuration cannot be read.
    """
    from slicer_notebook.pacs import config

    return [{**msgspec.to_builtins(each), "kind": each.kind} for each in config.servers().values()]


@command("pacs.find", thread="network", journal=False, urgent=True)
def find(
    host: Host,
    server: str,
    level: str = "STUDY",
    keys: dict[str, Any] | None = None,
    limit: int | None = None,
    include: list[str] | None = None,
    counts: bool = True,
    fuzzy: bool = False,
    relational: bool = False,
    person: bool = True,
) -> dict[str, Any]:
    """Ask a PACS; all answers at once.

    Args:
        person: somebody sees what the job says, and can sign in where that is needed (also below).

    Returns:
        ``asked``: server, level, keys, when. ``records``: an answer each, by DICOM keyword.

    Raises:
        PacsNotFoundError: no PACS of that name.
        ArgumentError: no such level or attribute, a value that is none.
        PacsError: unreachable, refused, failed.
    """
    job = context.current()
    pacs = _open_pacs(host, server, None, prompt_of(job, person))
    try:
        found = _ask(pacs, level, keys, limit, include, counts, fuzzy, relational)
        records: list[dict[str, Any]] = []
        with _stopping(found, job):
            try:
                for record in found:
                    records.append(record)
                    if len(records) == 1 or len(records) % 50 == 0:
                        answers = "answer" if len(records) == 1 else "answers"
                        job.progress(-1.0, f"{len(records)} {answers}", [len(records), 0])
            finally:
                job.check()  # a cancel, whatever the PACS made of it
        return {"asked": found.asked, "records": records}
    finally:
        pacs.close()


@contextmanager
def _stopping(found: Matches, job: context.JobContext) -> Iterator[None]:
    """A cancel of the run is told to the PACS at once, also while it says nothing."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if job.cancelled.wait(_LOOK):
                found.cancel()
                return

    watcher = threading.Thread(target=watch, name="slicer-notebook-pacs-cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()


def _ask(
    pacs: Pacs,
    level: str,
    keys: dict[str, Any] | None,
    limit: int | None,
    include: list[str] | None,
    counts: bool,
    fuzzy: bool,
    relational: bool,
) -> Matches:
    given = {name.replace(".", "__"): value for name, value in (keys or {}).items()}
    return pacs.find(
        level, limit=limit, include=include or (), counts=counts, fuzzy=fuzzy, relational=relational, **given
    )


_questions: dict[int, Questions] = {}
_transfers: dict[int, Transfers] = {}
_listenings: dict[int, Listenings] = {}
_lock = threading.Lock()


def _questions_of(host: Host) -> Questions:
    with _lock:
        return _questions.setdefault(id(host), Questions(host))


def _transfers_of(host: Host) -> Transfers:
    queue = loads._queue(host)

    def open_pacs(server: str, database: str | None, prompt: Prompt | None) -> Pacs:
        return _open_pacs(host, server, database, prompt)

    def load(uid: str, show: bool, database: str | None, by: str, again: bool) -> tuple[int, bool] | None:
        entry = _load(queue, _plan(uid, database), show, database, by, again)
        return None if entry is None else (entry.id, entry.show)

    with _lock:
        return _transfers.setdefault(id(host), Transfers(host, open_pacs, load))


def _listenings_of(host: Host) -> Listenings:
    def open_pacs(server: str, database: str | None) -> Pacs:
        return _open_pacs(host, server, database, None)  # it listens by DIMSE, where nobody signs in

    with _lock:
        return _listenings.setdefault(id(host), Listenings(host, open_pacs))


def _load(
    queue: loads.LoadQueue, planned: SeriesPlan, show: bool, database: str | None, by: str, again: bool
) -> loads.Entry | None:
    """Give a series that has come to the load queue. None for what is no image: nobody wants an error.

    A report or a segmentation is here, as was asked for; what is broken is for the queue to say, and not to be shown.
    """
    if not planned.loadable and all(refusal.reason in _NO_IMAGES for refusal in planned.refused):
        return None
    how = {"strict": False, "rectify": False, "quantity": None, "database": database, "again": again}
    return queue.add([planned.SeriesInstanceUID], by, show=show and planned.loadable, **how)[0]


@command("pacs.ask", thread="network", journal=False, urgent=True)
def ask(
    host: Host,
    server: str,
    level: str = "STUDY",
    keys: dict[str, Any] | None = None,
    limit: int | None = None,
    include: list[str] | None = None,
    counts: bool = True,
    fuzzy: bool = False,
    relational: bool = False,
    person: bool = True,
) -> dict[str, Any]:
    """Ask a PACS; its answers come as events "answers" with the question's ``id``, some at a time.

    An event has ``id``, ``records``, ``count`` (so far), ``state`` ("going", "done", "stopped", "failed"), ``error``.

    Returns:
        ``id``, and ``asked``: server, level, keys, when.

    Raises:
        PacsNotFoundError: no PACS of that name.
        ArgumentError: no such level or attribute, a value that is none; too many questions at a time.
    """
    pacs = _open_pacs(host, server, None, prompt_by_events if person else None)
    found = _ask(pacs, level, keys, limit, include, counts, fuzzy, relational)
    return {"id": _questions_of(host).ask(pacs, found), "asked": found.asked}


@command("pacs.stop_asking", thread="quick", journal=False, urgent=True)
def stop_asking(host: Host, ids: list[int]) -> None:
    """Have the PACS stop answering these questions (C-CANCEL)."""
    _questions_of(host).stop(ids)


@command("pacs.retrieve", thread="worker", urgent=True)
def retrieve(
    host: Host,
    server: str,
    targets: list[dict[str, Any]],
    title: str = "",
    load: bool = False,
    show: bool = True,
    database: str | None = None,
    by: str = "",
    person: bool = True,
    ways: list[str] | None = None,
) -> dict[str, Any]:
    """Begin to fetch studies, series or instances into the index; the transfer's entry (see `transfers`).

    Args:
        targets: each with ``StudyInstanceUID``, and ``SeriesInstanceUID`` and ``SOPInstanceUID`` where it is not all.
        load: load each series when it is here.
        show: show the first of them.
        ways: "WADO-RS", "C-GET", "C-MOVE", "WADO-URI": only these, in this order; without it, the server's own.

    Raises:
        PacsNotFoundError: no PACS of that name.
        ArgumentError: nothing to be retrieved, or a target without its study.
    """
    from slicer_notebook.pacs import config
    from slicer_notebook.pacs.pacs import targets_of

    config.get(server)
    if not targets_of(targets):
        raise ArgumentError("Retrieve what?", expected="at least one study or series", got="none")
    queue = _transfers_of(host)
    how = {"load": load, "show": show, "database": database, "person": person, "ways": ways or []}
    entry = queue.add(server, targets, title, by, **how)
    return queue.plain([entry])[0]


@command("pacs.store", thread="network", urgent=True)
def store(
    host: Host,
    server: str,
    paths: list[str],
    commit: bool | None = False,
    commit_timeout: float | None = None,
    database: str | None = None,
    person: bool = True,
) -> dict[str, Any]:
    """Send files, folders, or series and studies of the index by UID; what became of each: see `pacs.storing.Stored`.

    Args:
        commit: ask the PACS to commit itself to keeping them, and wait for its answers; None: where it offers that.
        commit_timeout: seconds to wait for those.

    Raises:
        PacsNotFoundError: no PACS of that name.
        ArgumentError: nothing to send, or no storage commitment there.
        PathNotFoundError: no such file or folder.
        UidNotFoundError: no such series or study in the index.
    """
    job = context.current()
    pacs = _open_pacs(host, server, database, prompt_of(job, person))
    try:
        work = pacs.store(*paths, commit=commit, commit_timeout=commit_timeout)
        plain: dict[str, Any] = msgspec.to_builtins(work.follow(job.progress, job.cancelled.is_set))
    finally:
        pacs.close()
    return plain


@command("pacs.transfers", thread="quick", journal=False, urgent=True)
def transfers(host: Host) -> list[dict[str, Any]]:
    """What is fetched, waits or has ended (the last 50), oldest first."""
    return _transfers_of(host).plain()


@command("pacs.cancel", thread="quick", urgent=True)
def cancel(host: Host, ids: list[int] | None = None) -> list[dict[str, Any]]:
    """Stop these transfers, or all without ids; what has arrived is kept. Those that were stopped or are about to."""
    queue = _transfers_of(host)
    return queue.plain(queue.cancel(ids))


@command("pacs.pause", thread="quick", urgent=True)
def pause(host: Host, ids: list[int], on: bool = True) -> list[dict[str, Any]]:
    """Stop these transfers for a while, or have them go on (``on=False``)."""
    queue = _transfers_of(host)
    return queue.plain(queue.pause(ids, on=on))


@command("pacs.retry", thread="quick", urgent=True)
def retry(host: Host, ids: list[int]) -> list[dict[str, Any]]:
    """Have transfers that have ended go on from where they were."""
    queue = _transfers_of(host)
    return queue.plain(queue.retry(ids))


@command("pacs.clear", thread="quick", journal=False, urgent=True)
def clear(host: Host, ids: list[int] | None = None) -> list[int]:
    """Forget transfers that have ended, all of them without ids; what they brought stays. Their ids."""
    return _transfers_of(host).clear(ids)


@command("pacs.arrived", thread="worker", journal=False, urgent=True)
def arrived(
    host: Host,
    series: list[str],
    load: bool = False,
    show: bool = True,
    database: str | None = None,
    by: str = "",
) -> list[int]:
    """Tell all notebooks that the index has more: a notebook fetched it. Ids of the load queue's entries.

    Args:
        series: that are here whole.
        load: load those that are images.
        show: show the first of them.

    Raises:
        UidNotFoundError: one is not in the index.
    """
    host.tell("indexed", {"database": database})
    queue = loads._queue(host)
    found: list[int] = []
    for uid in series if load else ():
        entry = _load(queue, _plan(uid, database), show, database, by, again=True)
        if entry is not None:
            found.append(entry.id)
            show = show and not entry.show
    return found


@command("pacs.listen", thread="network", urgent=True)
def listen(
    host: Host,
    server: str,
    port: int | Literal["free"] | None = None,
    database: str | None = None,
    by: str = "",
) -> dict[str, Any]:
    """Have a PACS push what nobody has asked for into the index, until it is stopped; the entry (see `listenings`).

    Where it listens already for that PACS, at that port and into that index, it is the entry of that.

    Args:
        port: instead of the configured one; 0 or "free": a free one, as without any.

    Raises:
        PacsNotFoundError: no PACS of that name.
        ArgumentError: it speaks no DIMSE; no such port.
        PacsError: the port is another program's.
        StorageError: the folder cannot be written.
    """
    queue = _listenings_of(host)
    return queue.plain([queue.begin(server, port, database, by)])[0]


@command("pacs.listening", thread="quick", journal=False, urgent=True)
def listening(host: Host) -> list[dict[str, Any]]:
    """The PACS that may push, and what they have sent: see `listenings`."""
    return _listenings_of(host).plain()


@command("pacs.stop_listening", thread="network", urgent=True)
def stop_listening(host: Host, ids: list[int] | None = None) -> list[dict[str, Any]]:
    """Take no more from these, or from all without ids; what has come is kept. As they were at their end."""
    return _listenings_of(host).stop(ids)


@command("pacs.test", thread="network", journal=False, urgent=True)
def test(host: Host, server: str, person: bool = True) -> dict[str, Any]:  # noqa: PT028 - no test
    """Look what works with a PACS, step by step: see `pacs.doctor`.

    Raises:
        PacsNotFoundError: no PACS of that name.
    """
    from slicer_notebook.pacs.doctor import examine

    job = context.current()
    pacs = _open_pacs(host, server, None, prompt_of(job, person))
    try:
        report = examine(pacs, told=lambda text: job.progress(-1.0, text, None), cancelled=job.cancelled.is_set)
    finally:
        pacs.close()
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain


@command("pacs.thumbnail", thread="network", journal=False, urgent=True)
def thumbnail(
    host: Host,
    server: str,
    study: str,
    series: str,
    size: int = 128,
    database: str | None = None,
    person: bool = True,
) -> bytes:
    """A picture of a series that is in a PACS, PNG or JPEG: as the PACS draws it, else of one instance.

    Raises:
        PacsNotFoundError: no PACS of that name.
        PacsError: it gives no picture.
    """
    from slicer_notebook.pacs.pictures import picture

    job = context.current()
    pacs = _open_pacs(host, server, database, prompt_of(job, person))
    try:
        return picture(pacs, study, series, size, job.cancelled.is_set)
    finally:
        pacs.close()


@command("pacs.plan", thread="network", journal=False, urgent=True)
def plan(
    host: Host,
    server: str,
    study: str,
    series: str,
    strict: bool = False,
    rectify: bool = False,
    person: bool = True,
) -> dict[str, Any]:
    """What a series will become, before it is retrieved; as of ``dicom.plan``, from headers that the PACS gives.

    Raises:
        PacsNotFoundError: no PACS of that name.
        PacsError: it gives no headers.
    """
    from slicer_notebook.dicom.details import plan_facts
    from slicer_notebook.pacs.triage import plan_of

    job = context.current()
    pacs = _open_pacs(host, server, None, prompt_of(job, person))
    try:
        return plan_facts(plan_of(pacs, study, series, strict=strict, rectify=rectify, cancelled=job.cancelled.is_set))
    finally:
        pacs.close()


@command("pacs.here", thread="worker", journal=False, urgent=True)
def here(host: Host, studies: list[str], database: str | None = None) -> dict[str, dict[str, int]]:
    """What is in the index of these studies: Study Instance UID -> Series Instance UID -> how many instances."""
    index = _open_index(database)
    return {
        uid: {series: len(instances) for series, instances in index.holdings(uid).items()}
        for uid in dict.fromkeys(studies)
    }
