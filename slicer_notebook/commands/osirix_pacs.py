"""OsiriX's methods that fetch something: Retrieve, CMove, DownloadURL, and studies on demand."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from slicer_notebook.commands import context, displayed, pacs
from slicer_notebook.commands.dicom import _open_index
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.osirix_calls import Call, Reply, refused
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError, JobCancelledError, SlicerNotebookError

if TYPE_CHECKING:
    from slicer_notebook.pacs.model import Record

#: Seconds that DisplayStudy and DBWindowFind wait for what a PACS has and the index has not.
ON_DEMAND: Final = 20.0
#: Seconds between two looks at a transfer.
_LOOK: Final = 0.1
#: Servers that are asked at the same time.
_AT_ONCE: Final = 4
_ENDED: Final = ("done", "incomplete", "failed", "cancelled")
#: Retrieve's retrieveMode -> ways that are C-GET or WADO; other numbers leave it to the server's configuration.
_MODES: Final = {"1": ("C-GET",), "2": ("WADO-RS", "WADO-URI")}
_FILTERS: Final = ("", "2", "3", "4", "5", "6", "7", "8", "9")

_log = logging.getLogger(__name__)


def download_url(call: Call) -> Reply:
    """DownloadURL: 0 when it has begun."""
    url = call.text("URL")
    if not url:
        return refused(400, "URL is missing")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = None, None
    if parts is None or parts.scheme.lower() not in ("http", "https") or not host:
        return refused(400, "URL is no http or https address")
    # As upstream, and only as it is written: what is shown must have been named.
    query = dict(parse_qsl(parts.query))
    study, series = query.get("studyUID"), query.get("seriesUID")
    show = call.yes("Display") and bool(study)
    asked = call.host.ask(
        "links.download",
        {
            "url": url,
            "show": show,
            "studies": [study] if show and study else None,
            "series": [series] if show and series else None,
            "database": call.database,
            "by": call.by,
        },
    )
    asked.add_done_callback(_log_failure("DownloadURL"))
    return Reply()


def _log_failure(what: str) -> Any:
    def done(asked: Any) -> None:
        error = None if asked.cancelled() else asked.exception()
        if error is not None and not isinstance(error, JobCancelledError):
            # Neither the URL nor what was asked for: a token or a patient may be in it.
            _log.warning("%s ended in %s.", what, type(error).__name__)

    return done


def retrieve(call: Call) -> Reply:
    """Retrieve: 0 when the PACS has something and the transfer has begun."""
    from slicer_notebook.pacs import config

    name = call.text("serverName")
    if not name:
        return refused(400, "serverName is missing")
    if name not in config.servers():
        return Reply(error="-2", why="no PACS of that name is configured")
    keys = _filters(call)
    if not keys:
        return refused(400, "filterKey or filterValue is missing: that would be the whole PACS")
    try:
        ways = _ways(name, call.text("retrieveMode"))
        records = _matches(call, name, keys)
    except JobCancelledError:
        raise
    except SlicerNotebookError as exc:
        return _without_pacs(call, keys, exc)
    if not records:
        return Reply(error="-3", why="the PACS has nothing that matches")
    _fetch(call, name, records, ways)
    return Reply()


def _fetch(call: Call, name: str, records: list[Record], ways: list[str]) -> None:
    """Fetch these; open the first, where that is asked for."""
    only_if_needed = call.yes("retrieveOnlyIfNeeded")
    wanted = [each for each in records if not (only_if_needed and _is_here(call, each))]
    if wanted:
        _begin(call, name, wanted, load=_opens(call), ways=ways)
    elif _opens(call):
        first = records[0]
        series = first.get("SeriesInstanceUID")
        displayed.open_(call.host, study=first["StudyInstanceUID"], series=series, database=call.database, by=call.by)


def _opens(call: Call) -> bool:
    return call.text("then").lower() == "open"


def _without_pacs(call: Call, keys: Mapping[str, str], error: SlicerNotebookError) -> Reply:
    """Where the PACS cannot be asked: what is here will do, if no more than that is needed."""
    if call.yes("retrieveOnlyIfNeeded") and not isinstance(error, ArgumentError):
        filters: dict[str, Any] = dict(keys)
        found = []
        with contextlib.suppress(ArgumentError):  # a keyword that the index does not know
            found = _open_index(call.database).studies(limit=1, **filters)
        if found:
            if _opens(call):
                displayed.open_(call.host, study=found[0].StudyInstanceUID, database=call.database, by=call.by)
            return Reply(why=f"the PACS was not asked: {error.message}")
    return Reply(error="-1", why=error.message)


def _filters(call: Call) -> dict[str, str]:
    pairs = ((call.text(f"filterKey{number}"), call.text(f"filterValue{number}")) for number in _FILTERS)
    keys = {key: value for key, value in pairs if key and value}
    # A study has several modalities: whoever asks for studies asks for that (PS3.4 C.6.2.1.2).
    return {("ModalitiesInStudy" if key == "Modality" else key): value for key, value in keys.items()}


def _ways(name: str, mode: str) -> list[str]:
    """The ways to fetch that were asked for; empty for the server's own. Raises `ArgumentError` for none."""
    from slicer_notebook.pacs.pacs import Pacs

    wanted = _MODES.get(mode)
    if wanted is None:
        return []
    with Pacs.named(name, prompt=None) as server:
        there = {way.name for way in server.ways()}
    found = [way for way in wanted if way in there]
    if not found:
        raise ArgumentError("The PACS has no such way.", expected=" or ".join(sorted(there)), got=" or ".join(wanted))
    return found


def _matches(call: Call, name: str, keys: Mapping[str, str]) -> list[Record]:
    from slicer_notebook.pacs.keys import is_wild, lowest_level

    if all(is_wild(value) for value in keys.values()):
        raise ArgumentError("That would be the whole PACS.", expected="a value", got="wild cards only")
    found = pacs.find(call.host, name, level=lowest_level(keys), keys=dict(keys), person=False)
    records: list[Record] = found["records"]
    return records


def _begin(call: Call, name: str, records: list[Record], *, load: bool, ways: list[str]) -> int:
    """Begin a transfer of these; its entry's id."""
    targets = [
        {"StudyInstanceUID": each["StudyInstanceUID"], "SeriesInstanceUID": each.get("SeriesInstanceUID")}
        for each in records
    ]
    entry = pacs.retrieve(
        call.host, name, targets, load=load, database=call.database, by=call.by, person=False, ways=ways
    )
    return int(entry["id"])


def _is_here(call: Call, record: Record) -> bool:
    """Whether the index has as many instances of it as the PACS says that it has."""
    series = record.get("SeriesInstanceUID")
    held = _open_index(call.database).holdings(record["StudyInstanceUID"], series)
    count = sum(len(instances) for instances in held.values())
    word = "NumberOfSeriesRelatedInstances" if series else "NumberOfStudyRelatedInstances"
    return count > 0 and count >= int(record.get(word) or 1)


def c_move(call: Call) -> Reply:
    """CMove: 0 when the server is known; the rest goes on by itself."""
    from slicer_notebook.pacs import config

    number, name = call.text("accessionNumber"), call.text("server")
    if not number or not name:
        return refused(400, f"{'server' if number else 'accessionNumber'} is missing")
    if any(sign in number for sign in "*?\\"):
        return refused(400, "accessionNumber is a wild card")
    if name not in config.servers():
        return Reply(error="-1", why="no PACS of that name is configured")
    how = {"server": name, "keys": {"AccessionNumber": number}, "database": call.database, "by": call.by}
    call.host.ask("osirix.fetch", how).add_done_callback(_log_failure("CMove"))
    return Reply()


@command("osirix.fetch", thread="network", journal=False, urgent=True)
def fetch(
    host: Host, server: str, keys: dict[str, str], database: str | None = None, by: str = ""
) -> dict[str, Any] | None:
    """Look for studies in a PACS and fetch all that match; the transfer's entry, None without a match.

    Raises:
        PacsNotFoundError: no PACS of that name.
        PacsError: it cannot be asked.
        ArgumentError: no such keyword.
    """
    call = Call(host, context.current(), {}, database, (), by)
    records = _matches(call, server, keys)
    if not records:
        _log.warning("%s has nothing that matches.", server)
        return None
    number = _begin(call, server, records, load=False, ways=[])
    return next(entry for entry in pacs.transfers(host) if entry["id"] == number)


# -- on demand -----------------------------------------------------------------------------------------------------


def fetch_from_any(call: Call, keys: Mapping[str, str]) -> bool:
    """Fetch studies that the index has not from the first configured PACS that has them, for `ON_DEMAND` at most.

    What has come by then can be looked for; the rest goes on, and the first series is shown when it is here.

    Returns:
        Whether a PACS had something.
    """
    from slicer_notebook.pacs import config

    exact = {name: value for name, value in keys.items() if not any(sign in value for sign in "*?\\")}
    if not exact or len(exact) < len(keys) or set(exact) == {"PatientName"}:
        return False
    until = time.monotonic() + ON_DEMAND
    try:
        servers = list(config.servers())
    except SlicerNotebookError:
        _log.warning("The configuration of PACS cannot be read.")
        return False
    found = _first_that_has(call, servers, exact, until) if servers else None
    if found is None:
        return False
    name, records = found
    number = _begin(call, name, records, load=True, ways=[])
    _wait_for(call, number, until)
    return True


def _first_that_has(
    call: Call, servers: list[str], keys: Mapping[str, str], until: float
) -> tuple[str, list[Record]] | None:
    """The first of the servers that has something, in their order, as far as they answer in time."""
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="slicer-notebook-on-demand")
    asking = context.JobContext()

    def ask(name: str) -> list[Record]:
        with context.running(asking):
            return _matches(call, name, keys)

    asked = {name: pool.submit(ask, name) for name in servers}
    try:
        for name, answer in asked.items():
            while not answer.done() and time.monotonic() < until:
                call.job.check()
                wait([answer], timeout=_LOOK)
            if answer.done() and answer.exception() is None and answer.result():
                return name, answer.result()
        return None
    finally:
        asking.cancelled.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _wait_for(call: Call, number: int, until: float) -> None:
    """Until a first series is here whole, the transfer has ended, or the time is over."""
    while time.monotonic() < until:
        entry = next((each for each in pacs.transfers(call.host) if each["id"] == number), None)
        if entry is None or entry["state"] in _ENDED:
            return
        if any(series["state"] == "complete" and series["received"] for series in entry["series"]):
            return
        call.job.check()
        call.job.cancelled.wait(_LOOK)
