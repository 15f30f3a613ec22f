"""Gateways of a Slicer: started and ended, counted, and seen by all notebooks.

An entry is a dictionary: ``id``; ``kind`` ("rest", "osirix", "igtl"); ``bind`` and ``port``: where it listens; ``url``;
``guarded``: a token is needed; ``allow``: what has been switched on; ``files``: folders that it is limited to, None
without a limit; ``by``: who started it; ``running``; ``since``: seconds since the epoch; ``requests``, ``failed``,
``open``: answered, of them refused or failed, connections now; ``last``: number of its last line. The event "gateways"
tells of ``entries`` that changed, whole, with the ``lines`` that are new (the latest 100), and of ids of those that are
``gone``, at most five times a second. No token is in any of them: only who starts one is told it.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import select
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import msgspec

from slicer_notebook.commands.gateway import Context, Counts, Gateway, Line, Options, check_allowed
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError, GatewayError, SlicerNotebookError
from slicer_notebook.pacs.checks import is_loopback

#: The entry points' group.
GROUP: Final = "slicer_notebook.gateways"
#: Lines of the log that are kept for each.
KEPT_LINES: Final = 500
#: Lines that one event tells of.
_TOLD_LINES: Final = 100
#: Seconds between two events, and between two looks for owners that have ended.
EVERY: Final = 0.2
#: Characters of a token, at least: 16 of base64's 64 make 96 bits.
_LEAST_TOKEN: Final = 16
#: Bytes of chance in a token that is made here.
_TOKEN_BYTES: Final = 24

_log = logging.getLogger("slicer_notebook.gateways")


class _Lines:
    """The latest lines of one gateway, numbered from 1."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lines: deque[tuple[int, Line]] = deque(maxlen=KEPT_LINES)
        self.told = 0

    def note(self, line: Line) -> None:
        """Keep one. On the gateway's thread."""
        self._lines.append((next(self._numbers), line))

    @property
    def last(self) -> int:
        """The number of the last one; 0 without."""
        try:
            return self._lines[-1][0]
        except IndexError:
            return 0

    def after(self, number: int) -> list[dict[str, Any]]:
        """Those that came after one."""
        # The gateway's thread appends meanwhile; copying is one step of the interpreter.
        return [{"number": at, **msgspec.to_builtins(line)} for at, line in self._lines.copy() if at > number]


@dataclass
class _Entry:
    id: int
    kind: str
    options: Options
    by: str
    gateway: Gateway
    counts: Counts
    lines: _Lines
    address: tuple[str, int] = ("", 0)
    since: float = field(default_factory=time.time)
    running: bool = True
    #: pidfd of the process with which it ends; -1 without one
    owner: int = -1
    shown: tuple[Any, ...] = ()

    def plain(self) -> dict[str, Any]:
        host, port = self.address
        shown = f"[{host}]" if ":" in host else host
        scheme = "tcp" if self.kind == "igtl" else "http"
        return {
            "id": self.id,
            "kind": self.kind,
            "bind": host,
            "port": port,
            "url": f"{scheme}://{shown}:{port}",
            "guarded": bool(self.options.token),
            "allow": list(self.options.allow),
            "files": None if self.options.files is None else list(self.options.files),
            "by": self.by,
            "running": self.running,
            "since": self.since,
            "requests": self.counts.requests,
            "failed": self.counts.failed,
            "open": self.counts.open,
            "last": self.lines.last,
        }


class Gateways:
    """Those of a Slicer."""

    def __init__(self, host: Host) -> None:
        self._host = host
        #: held while one is started or stopped, which may take seconds
        self._beginning = threading.Lock()
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._gone: list[int] = []
        self._numbers = itertools.count(1)
        self._teller: threading.Thread | None = None

    def start(self, kind: str, options: Options, by: str, owner: int | None) -> _Entry:
        """Start one. Raises `GatewayError`, `ArgumentError`."""
        made = _class_of(kind)
        number = next(self._numbers)
        lines = _Lines()
        context = Context(self._host, options, lines.note)
        with self._beginning:
            new = _Entry(number, kind, options, by, made(context), context.counts, lines)
            if owner is not None:
                new.owner = _watched(owner)
            try:
                new.address = new.gateway.start()
            except BaseException:
                if new.owner >= 0:
                    os.close(new.owner)
                raise
            with self._lock:
                self._entries[number] = new
            if self._teller is None:
                self._teller = threading.Thread(target=self._tell, name="slicer-notebook-gateways-news", daemon=True)
                self._teller.start()
        return new

    def stop(self, ids: list[int] | None) -> list[dict[str, Any]]:
        """End these, or all; as they were at their end."""
        with self._beginning:
            found = [entry for entry in self.entries() if ids is None or entry.id in ids]
            for entry in found:
                try:
                    entry.gateway.stop()
                except Exception:  # noqa: BLE001 - the others are to be stopped, too
                    _log.exception("The gateway %s did not end well.", entry.kind)
                entry.running = False
                if entry.owner >= 0:
                    os.close(entry.owner)
                    entry.owner = -1
            with self._lock:
                for entry in found:
                    self._entries.pop(entry.id, None)
                    self._gone.append(entry.id)
        words = [entry.plain() for entry in found]
        if words:
            self._host.tell("gateways", {"entries": words, "lines": {}, "gone": [each["id"] for each in words]})
        return words

    def entries(self) -> list[_Entry]:
        """Those that run."""
        with self._lock:
            return list(self._entries.values())

    def plain(self, entries: Iterable[_Entry] | None = None) -> list[dict[str, Any]]:
        """What notebooks are told of these, or of all."""
        return [entry.plain() for entry in (self.entries() if entries is None else entries)]

    def lines(self, number: int, after: int) -> list[dict[str, Any]]:
        """The log of one."""
        found = next((entry for entry in self.entries() if entry.id == number), None)
        return found.lines.after(after) if found is not None else []

    def _tell(self) -> None:
        while True:
            time.sleep(EVERY)
            try:
                self._tell_news()
                ended = [entry.id for entry in self.entries() if _has_ended(entry.owner)]
                if ended:
                    self.stop(ended)
            except Exception:  # noqa: BLE001 - one event that is lost is better than all that follow
                _log.exception("The notebooks were not told of the gateways.")

    def _tell_news(self) -> None:
        news, lines = [], {}
        for entry in self.entries():
            now = entry.counts.requests, entry.counts.failed, entry.counts.open, entry.lines.last
            if now == entry.shown:
                continue
            entry.shown = now
            fresh = entry.lines.after(entry.lines.told)
            if fresh:
                entry.lines.told = fresh[-1]["number"]
                lines[str(entry.id)] = fresh[-_TOLD_LINES:]
            news.append(entry.plain())
        if news:
            self._host.tell("gateways", {"entries": news, "lines": lines, "gone": []})


def _watched(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        raise GatewayError(
            "The server cannot be tied to that process.", expected="a process of this machine that runs", got=str(pid)
        ) from None


def _has_ended(pidfd: int) -> bool:
    return pidfd >= 0 and bool(select.select([pidfd], [], [], 0)[0])


def _found() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=GROUP)}


def _class_of(kind: str) -> type[Gateway]:
    found = _found()
    if kind not in found:
        raise ArgumentError(
            "There is no such gateway.", expected=" or ".join(sorted(found)) or "one that is installed", got=repr(kind)
        )
    try:
        made: type[Gateway] = found[kind].load()
    except ImportError as exc:
        raise GatewayError(
            f"The gateway {kind!r} needs a package that is not there.",
            expected=exc.name or "its packages",
            got="none",
            hint="pip install 'slicer-notebook[gateways]' in Slicer's Python",
        ) from None
    return made


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def _token_for(bind: str, token: str | None) -> str:
    """The token that is asked for: none on loopback unless one is given, else always one."""
    if token is None:
        return "" if is_loopback(bind) else new_token()
    if not token:
        if is_loopback(bind):
            return ""
        raise GatewayError(
            "Without a token a server listens on the loopback interface only.",
            expected="127.0.0.1, or a token",
            got=f"{bind} without a token",
        )
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        # It is not repeated: it may be the one that is used elsewhere.
        raise ArgumentError(
            "That is no token.",
            expected=f"at least {_LEAST_TOKEN} printable ASCII characters without a space",
            got=f"{len(token)} characters" if len(token) < _LEAST_TOKEN else "other characters",
        )
    return token


_services: dict[int, Gateways] = {}
_lock = threading.Lock()


def _service(host: Host) -> Gateways:
    with _lock:
        return _services.setdefault(id(host), Gateways(host))


@command("gateways.start", thread="worker", journal=False, urgent=True)
def start(
    host: Host,
    kind: str,
    port: int | None = None,
    bind: str = "127.0.0.1",
    token: str | None = None,
    allow: list[str] | None = None,
    files: list[str] | None = None,
    origins: list[str] | None = None,
    names: list[str] | None = None,
    database: str | None = None,
    by: str = "",
    owner: int | None = None,
) -> dict[str, Any]:
    """Have Slicer speak another program's protocol, until it is stopped.

    Args:
        kind: "rest" (SlicerWeb), "osirix" (XML-RPC of OsiriX and Horos), "igtl" (OpenIGTLink), or what another package
            brings.
        port: 0 for a free one; the protocol's usual one without it.
        bind: address to listen on.
        token: who asks must have it. None: none is needed on the loopback interface, and one is made elsewhere.
        allow: what is off otherwise: "exec", "quit", "kill", "delete", "write".
        files: absolute paths of the only folders that files may be read from and written to.
        origins: web pages that may ask, as "https://host[:port]".
        names: further names of this machine that requests may come by.
        database: path of the DICOM index; the user's own without it.
        by: who started it, in words.
        owner: process with which it ends.

    Returns:
        the entry, and its ``token``.

    Raises:
        GatewayError: the port is taken, an address off the loopback interface has no token, a package is missing.
        ArgumentError: no such gateway, or arguments that do not fit.
    """
    if port is not None and not 0 <= port <= 65535:
        raise ArgumentError("That is no port.", expected="0 to 65535", got=str(port))
    options = Options(
        bind=bind,
        port=port,
        token=_token_for(bind, token),
        allow=check_allowed(allow or []),
        files=_folders(files),
        origins=tuple(_origin(each) for each in origins or []),
        names=tuple(names or []),
        database=database,
    )
    entry = _service(host).start(kind, options, by, owner)
    return {**entry.plain(), "token": options.token}


def _folders(files: list[str] | None) -> tuple[str, ...] | None:
    if files is None:
        return None
    for folder in files:
        if not os.path.isabs(folder) or not os.path.isdir(folder):
            raise ArgumentError(
                "That is no folder for files.", expected="the absolute path of a folder where Slicer runs", got=folder
            )
    return tuple(files)


def _origin(text: str) -> str:
    scheme, _, rest = text.rstrip("/").partition("://")
    if scheme not in ("http", "https") or not rest or set(rest) & set("/?#@* "):
        raise ArgumentError("That is no origin of web pages.", expected="https://host[:port]", got=text)
    return f"{scheme}://{rest}"


@command("gateways.list", thread="quick", journal=False, urgent=True)
def listing(host: Host) -> list[dict[str, Any]]:
    """The gateways that run, oldest first."""
    return _service(host).plain()


@command("gateways.kinds", thread="quick", journal=False, urgent=True)
def kinds(host: Host) -> list[str]:
    """The gateways that are installed where Slicer runs."""
    return sorted(_found())


@command("gateways.lines", thread="quick", journal=False, urgent=True)
def lines(host: Host, id: int, after: int = 0) -> list[dict[str, Any]]:  # noqa: A002 - its name in the entry
    """A gateway's log: its latest lines (at most 500) after the one of a number, each as `commands.gateway.Line`."""
    return _service(host).lines(id, after)


@command("gateways.stop", thread="worker", journal=False, urgent=True)
def stop(host: Host, ids: list[int] | None = None) -> list[dict[str, Any]]:
    """End these, or all; as they were at their end. Their ports are free afterwards."""
    try:
        return _service(host).stop(ids)
    except OSError as exc:
        raise SlicerNotebookError(f"A gateway did not end: {exc.strerror}.") from exc
