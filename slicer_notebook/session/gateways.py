"""``slicer.gateways``: this Slicer serves other programs, by the protocols that they speak already."""

from __future__ import annotations

import html
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from slicer_notebook.errors import ArgumentError

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session

__all__ = ["Gateway", "GatewayList", "GatewayLog", "Gateways"]


class GatewayLog(list[dict[str, Any]]):
    """Lines of a gateway's log, oldest first, each a dictionary: ``at`` (seconds since the epoch), ``who``, ``what``,
    ``status``, ``good``, ``ms``, ``note``. They show as a table.
    """

    def _repr_html_(self) -> str:
        if not self:
            return "<em>nothing was asked yet</em>"
        return _table(("", "Who", "What", "Status", "ms", ""), ([*_line(each)] for each in self))

    def __str__(self) -> str:
        return "\n".join("  ".join(filter(None, _line(each))) for each in self)

    def __repr__(self) -> str:
        return f"<GatewayLog: {len(self)} requests, {sum(not each['good'] for each in self)} failed>"


def _line(each: dict[str, Any]) -> Iterator[str]:
    yield time.strftime("%H:%M:%S", time.localtime(each["at"]))
    yield from (each["who"], each["what"], each["status"], f"{each['ms']:.1f}", each["note"])


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def cells(tag: str, texts: Iterable[str]) -> str:
        return "".join(f"<{tag} style='text-align:left'>{html.escape(text)}</{tag}>" for text in texts)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', names)}</tr></thead><tbody>{body}</tbody></table>"


class Gateway:
    """A server for other programs, in Slicer. It goes on when the notebook that started it is gone.

    Attributes:
        kind: "rest", "osirix" or "igtl".
        host, port: where it listens.
        url: the same as a URL.
        token: what who asks must have; "" where none is needed, or where it is not known here. It is in no repr.
    """

    def __init__(self, session: Session, entry: dict[str, Any], token: str = "") -> None:
        self._session = session
        self._entry = entry
        self._id = entry["id"]
        self.kind: str = entry["kind"]
        self.host: str = entry["bind"]
        self.port: int = entry["port"]
        self.url: str = entry["url"]
        self.token = token

    def _look(self) -> dict[str, Any]:
        found = next((each for each in self._session.call("gateways.list") if each["id"] == self._id), None)
        self._entry = found if found is not None else {**self._entry, "running": False}
        return self._entry

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return bool(self._look()["running"])

    @property
    def counts(self) -> dict[str, int]:
        """``requests`` answered, of them ``failed`` (or refused), and ``open`` connections."""
        entry = self._look()
        return {name: entry[name] for name in ("requests", "failed", "open")}

    @property
    def log(self) -> GatewayLog:
        """Its latest lines, at most 500. What is secret in a URL is masked."""
        return GatewayLog(self._session.call("gateways.lines", id=self._id))

    def stop(self) -> None:
        """End it. Its port is free afterwards."""
        for entry in self._session.call("gateways.stop", ids=[self._id]):
            self._entry = entry

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        entry = self._look()
        state = "serves" if entry["running"] else "has ended"
        token = ", with a token" if entry["guarded"] else ""
        allowed = f", allows {', '.join(entry['allow'])}" if entry["allow"] else ""
        counted = f"{entry['requests']} requests, {entry['failed']} failed"
        return f"<Gateway {self.kind!r} at {self.url} {state}{token}{allowed}: {counted}>"


class GatewayList(list[Gateway]):
    """Gateways; they show as a table."""

    def _repr_html_(self) -> str:
        if not self:
            return "<em>no other program is served</em>"
        names = ("Gateway", "Where", "Token", "Allowed", "Requests", "Failed", "Connections")
        rows = []
        for each in self:
            entry = each._entry
            counts = [str(entry[name]) for name in ("requests", "failed", "open")]
            token = "needed" if entry["guarded"] else "none"
            rows.append([each.kind, each.url, token, ", ".join(entry["allow"]) or "nothing more", *counts])
        return _table(names, rows)


class Gateways:
    """A session's gateways. They belong to its Slicer, and are seen by all its notebooks.

    >>> rest = slicer.gateways.start("rest", port=0)  # doctest: +SKIP
    >>> rest.url  # doctest: +SKIP
    'http://127.0.0.1:38211'
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def start(
        self,
        kind: str,
        port: int | None = None,
        *,
        bind: str = "127.0.0.1",
        token: str | None = None,
        allow: Iterable[str] = (),
        files: Iterable[str] | None = None,
        origins: Iterable[str] = (),
        names: Iterable[str] = (),
    ) -> Gateway:
        """Have Slicer speak another program's protocol.

        Args:
            kind: "rest" (SlicerWeb, ``/dicom``, ``/api/v1``; usually port 2016), "osirix" (XML-RPC of OsiriX and Horos;
                8080), "igtl" (OpenIGTLink; 18944).
            port: 0 for a free one; the usual one without it.
            bind: address to listen on; off the loopback interface who asks must have a token.
            token: it; without it one is made where one is needed (`Gateway.token`).
            allow: what is off otherwise: "exec" (code), "quit", "kill", "delete", "write" (files).
            files: folders, the only ones that files may be read from and written to.
            origins: web pages that may ask, as "https://host[:port]".
            names: further names of Slicer's machine that requests may come by.

        Raises:
            GatewayError: the port is taken, an address that is not safe, a package that is missing in Slicer's Python.
            ArgumentError: no such gateway, or arguments that do not fit.
        """
        entry = self._session.call(
            "gateways.start",
            kind=kind,
            port=port,
            bind=bind,
            token=token,
            allow=list(allow),
            files=None if files is None else [self._session.path(folder) for folder in files],
            origins=list(origins),
            names=list(names),
            database=self._session.dicom.database,
            by=self._session.name,
        )
        return Gateway(self._session, entry, entry.pop("token"))

    def entries(self) -> GatewayList:
        """Those that run, oldest first."""
        return GatewayList(Gateway(self._session, entry) for entry in self._session.call("gateways.list"))

    def __iter__(self) -> Iterator[Gateway]:
        return iter(self.entries())

    def __getitem__(self, kind: str) -> Gateway:
        """The one of a kind. Raises `ArgumentError` where there is none, or several."""
        found = [each for each in self.entries() if each.kind == kind]
        if len(found) != 1:
            raise ArgumentError(
                "Which gateway?" if found else "No such gateway runs.",
                expected="one of " + ", ".join(sorted({each.kind for each in self.entries()}))
                if self.entries()
                else "one",
                got=f"{kind!r}" + (f", {len(found)} times" if found else ""),
                hint=f"slicer.gateways.start({kind!r}) starts one" if not found else "slicer.gateways.entries()",
            )
        return found[0]

    @property
    def kinds(self) -> list[str]:
        """Those that are installed where Slicer runs."""
        found: list[str] = self._session.call("gateways.kinds")
        return found

    def stop(self, *kinds: str) -> None:
        """End those of these kinds, or all."""
        ids = [each._id for each in self.entries() if not kinds or each.kind in kinds]
        self._session.call("gateways.stop", ids=ids)

    def __repr__(self) -> str:
        return f"<Gateways: {', '.join(f'{each.kind} at {each.url}' for each in self.entries()) or 'none runs'}>"

    def _repr_html_(self) -> str:
        return self.entries()._repr_html_()
