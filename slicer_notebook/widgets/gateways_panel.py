"""Servers for other programs: a switch for each, what they have answered, and their log as it grows."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any, Final

import traitlets as t

from slicer_notebook.errors import SessionError, error_in_words
from slicer_notebook.session import Job, Session
from slicer_notebook.session.gateways import Gateway, GatewayList
from slicer_notebook.session.magic import latest
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, static_note

__all__ = ["GatewaysPanel"]

#: Lines that the browser shows.
SHOWN_LINES: Final = 200
#: Seconds that the display of the cell waits to know what runs, so that a saved notebook has it.
_SETTLE: Final = 3.0
#: What those that come with this package are, and their usual ports; others are shown by their name.
KNOWN: Final = {
    "rest": ("SlicerWeb REST", "curl, slicerio, mcp-slicer; /dicom and /api/v1", 2016),
    "osirix": ("OsiriX XML-RPC", "scripts for OsiriX and Horos", 8080),
    "igtl": ("OpenIGTLink", "trackers, PLUS, pyigtl", 18944),
}


class GatewaysPanel(SessionWidget):
    """Servers for other programs in a session's Slicer, whoever started them: switches, counts, and the log.

    A switch starts a gateway on the loopback interface with its defaults: nothing that is off otherwise is switched on.
    `Gateways.start` has the options. The log is shown and not saved: what other programs ask for may name patients.

    Args:
        session: the session; the one that was begun last without it.

    Attributes:
        running: the gateways that run, a list of dictionaries (kind, url, requests, failed, open...). Observable.

    Raises:
        SessionNotFoundError: no session was begun yet.
    """

    _esm = assets.esm("gateways_panel")
    _css = assets.css("gateways_panel")

    running: t.List[dict[str, Any]] = t.List()

    def __init__(self, session: Session | None = None, **kwargs: Any) -> None:
        super().__init__(session if session is not None else latest(), **kwargs)
        self._kinds: list[str] = []
        self._entries: dict[int, dict[str, Any]] = {}
        self._lines: deque[dict[str, Any]] = deque(maxlen=SHOWN_LINES)
        #: kind → what went wrong, in words, until it is tried again
        self._troubles: dict[str, dict[str, str]] = {}
        #: what runs has been told
        self._known = threading.Event()
        #: What the page of a saved notebook has: those that run, or else those that ran last.
        self._saved: dict[int, dict[str, Any]] = {}
        self._subscriptions.append(self._session.on("gateways", self._on_gateways))
        self._begin()
        self._tell_until_greeted()

    def _begin(self) -> None:
        self._ask("gateways.kinds", self._kinds_came)
        if self._ask("gateways.list", self._list_came) is None:
            self._known.set()

    def _when_back(self) -> None:
        with self._lock:
            self._entries.clear()
            self._lines.clear()
        self._changed()
        self._begin()

    def _when_gone(self) -> None:
        with self._lock:
            self._entries.clear()
        self._changed()

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _kinds_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            with self._lock:
                self._kinds = sorted(job.result(0), key=lambda kind: (kind not in KNOWN, [*KNOWN, kind].index(kind)))
            self._tell_all()

    def _list_came(self, job: Job[Any]) -> None:
        if job.exception(0) is not None:
            self._known.set()
            return  # the status says it
        for entry in job.result(0):
            self._take(entry)
            self._ask("gateways.lines", lambda done, kind=entry["kind"]: self._lines_came(kind, done), id=entry["id"])  # type: ignore[misc]
        self._changed()

    def _lines_came(self, kind: str, job: Job[Any]) -> None:
        if job.exception(0) is None:
            with self._lock:
                known = {(line["kind"], line["number"]) for line in self._lines}
                fresh = [{**line, "kind": kind} for line in job.result(0) if (kind, line["number"]) not in known]
                lines = sorted([*self._lines, *fresh], key=lambda line: line["at"])
                self._lines = deque(lines, maxlen=SHOWN_LINES)
            self._tell_all()

    def _on_gateways(self, event: dict[str, Any]) -> None:
        kinds = {str(entry["id"]): entry["kind"] for entry in event["entries"]}
        fresh = [{**line, "kind": kinds[number]} for number, lines in event["lines"].items() for line in lines]
        with self._lock:
            for entry in event["entries"]:
                self._take(entry)
            for number in event["gone"]:
                self._entries.pop(number, None)
            self._saved |= {entry["id"]: entry for entry in event["entries"] if entry["id"] in self._saved}
            self._lines.extend(sorted(fresh, key=lambda line: line["at"]))
        self._changed(fresh)
        if event["gone"]:
            self._save_anew()  # with the last counts

    def _take(self, entry: dict[str, Any]) -> None:
        with self._lock:
            if entry["running"]:
                self._entries[entry["id"]] = entry
                self._troubles.pop(entry["kind"], None)

    def _changed(self, fresh: list[dict[str, Any]] | None = None) -> None:
        with self._lock:
            running = [dict(entry) for entry in self._entries.values()]
            ids = self._saved.keys()
            if self._entries:
                self._saved = dict(self._entries)
            new = self._saved.keys() != ids
            message = {"type": "gateways", "rows": self._rows()}
        self.send(message)
        if fresh:
            self.send({"type": "lines", "lines": fresh[-SHOWN_LINES:]})
        if new and self._known.is_set():
            self._save_anew()
        self._known.set()
        self._home.call(lambda: self.set_trait("running", running))

    # -- what the browser is told, and says ----------------------------------------------------------------------

    def _rows(self) -> list[dict[str, Any]]:
        """A row for each gateway that runs, and for each kind of which none does."""
        rows = []
        for kind in [*self._kinds, *sorted({e["kind"] for e in self._entries.values()} - set(self._kinds))]:
            title, what, port = KNOWN.get(kind, (kind, "", 0))
            words = {"kind": kind, "title": title, "what": what, "usual": port, "trouble": self._troubles.get(kind)}
            found = [entry for entry in self._entries.values() if entry["kind"] == kind]
            rows += [{**words, "entry": entry} for entry in found] or [{**words, "entry": None}]
        return rows

    def _tell_all(self) -> None:
        with self._lock:
            message = {"type": "gateways", "rows": self._rows()}
            lines = list(self._lines)
        self.send(message)
        self.send({"type": "lines", "lines": lines, "all": True})

    def _do_switch(self, content: dict[str, Any]) -> None:
        """The person switches one on or off."""
        kind = str(content["kind"])
        number = content.get("id")
        if content["on"]:
            port = content.get("port")
            self._ask(
                "gateways.start",
                lambda job: self._switched(kind, job),
                kind=kind,
                port=int(port) if isinstance(port, int) else None,
                database=self._session.dicom.database,
                by=self._session.name,
            )
        elif isinstance(number, int):
            self._ask("gateways.stop", lambda job: self._switched(kind, job), ids=[number])

    def _switched(self, kind: str, job: Job[Any]) -> None:
        error = job.exception(0)
        if isinstance(error, SessionError):
            return  # the status says it
        with self._lock:
            if error is not None:
                self._troubles[kind] = error_in_words(error)
            elif isinstance(job.result(0), dict):
                self._take(job.result(0))
        self._changed()

    def _static_html(self) -> str:
        self._known.wait(_SETTLE)
        with self._lock:
            entries = list(self._saved.values())
        if not entries:
            return static_note("No other program was served.")
        table = GatewayList(Gateway(self._session, {**entry, "by": ""}) for entry in entries)._repr_html_()
        return table + static_note("Their log is not saved: what other programs ask for may name patients.")
