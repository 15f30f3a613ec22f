"""The configured PACS by name, for a notebook: ``sn.pacs.list()``, ``sn.pacs.open(name)``, ``sn.pacs.test(name)``..."""

from __future__ import annotations

import builtins
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer_notebook.pacs import config, signing
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.server import Server

if TYPE_CHECKING:
    from slicer_notebook.pacs.doctor import Examination

__all__ = ["Servers", "list", "open", "sign_in", "sign_out", "test"]


class Servers(builtins.list[Server]):
    """Configured servers; they show as a table."""

    def _repr_html_(self) -> str:
        if not self:
            return "<em>no PACS is configured: sn.pacs.add(name, url)</em>"
        head = "".join(
            f"<th style='text-align:left'>{name}</th>" for name in ("Name", "Address", "AE title", "Receives at")
        )
        rows = []
        for server in self:
            port = f"{server.bind}:{server.port}" if server.port else ""
            cells = (server.name, server.url, server.calling if server.kind == "dimse" else "", port)
            rows.append("".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def list(path: str | Path | None = None) -> Servers:  # noqa: A001 - `sn.pacs.list()`
    """All configured servers, in the order of the file.

    Raises:
        PacsConfigError: the configuration cannot be read.
    """
    return Servers(config.servers(path).values())


def open(name: str, *, path: str | Path | None = None, **options: Any) -> Pacs:  # noqa: A001 - `sn.pacs.open()`
    """The PACS that is configured under a name.

    Args:
        path: the configuration's file, if it is not the user's own.
        options: of `Pacs`: ``index``, ``folder``, ``prompt``.

    Raises:
        PacsNotFoundError: none is.
        PacsConfigError: the configuration cannot be read.
    """
    return Pacs.named(name, config_path=path, **options)


def test(name: str, *, path: str | Path | None = None) -> Examination:  # noqa: PT028 - `sn.pacs.test()`
    """Look what works with a configured PACS, step by step, and what to do where something does not.

    Raises:
        PacsNotFoundError: none is of that name.
        PacsConfigError: the configuration cannot be read.
    """
    with open(name, path=path) as pacs:
        return pacs.test()


def sign_in(name: str, *, path: str | Path | None = None, **options: Any) -> bool:
    """Sign in at a configured PACS by a code (OAuth 2 device code), so that it can be asked; waits for the person.

    Returns:
        Whether that is kept in the system's keyring, for other programs and the next time.

    Raises:
        PacsNotFoundError: none is of that name.
        ArgumentError: this PACS is not signed in at.
        PacsError: denied, too late, cancelled, nobody there to ask, or no token to be had.
    """
    with open(name, path=path, **options) as pacs:
        return pacs.sign_in()


def sign_out(name: str) -> None:
    """Forget that somebody has signed in at a PACS, in this process and in the keyring.

    What the authorisation server has given is not called back; it ends by itself.

    Raises:
        PacsConfigError: the keyring is locked or does not answer.
    """
    signing.forget(name)
