"""What a failure says about trying again: the PACS is busy, away, silent, or will never do it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from slicer_notebook.errors import JobCancelledError, PacsError, PacsRefusedError, PacsUnreachableError
from slicer_notebook.pacs.model import Cancelled

__all__ = ["PAUSES", "away", "busy", "hopeless", "of_the_server", "patiently", "rest", "silent"]

T = TypeVar("T")
#: Seconds between tries; the last one again and again. A PACS that is restarted needs some.
PAUSES: Final = (0.3, 1.0, 3.0)
#: DIMSE statuses that say that no request of this kind will do better: SOP class not supported (also of an instance),
#: unrecognized operation, not authorized, move destination unknown (PS3.7 annex C, PS3.4 C.4.2.1.5).
_NO_DESTINATION: Final = 0xA801
_HOPELESS: Final = frozenset({0x0112, 0x0122, 0x0124, 0x0211, _NO_DESTINATION})


def busy(error: BaseException | None) -> bool:
    """Whether the peer takes no further association at the moment (PS3.8 9.3.4: its own limit, congestion)."""
    return isinstance(error, PacsRefusedError) and error.details.get("source") == 3


def silent(error: BaseException | None) -> bool:
    """Whether the peer did not answer in time."""
    return isinstance(error, PacsUnreachableError) and bool(error.details.get("timeout"))


def away(error: BaseException | None) -> bool:
    """Whether the peer is away, or seems so: what is asked now says nothing about what it can do."""
    if isinstance(error, PacsUnreachableError):
        return not silent(error) and error.details.get("stage") not in ("name", "tls")
    return isinstance(error, PacsRefusedError) and (busy(error) or bool(error.details.get("closed")))


def hopeless(error: BaseException | None) -> bool:
    """Whether no request of this kind will do better: no such service, role refused, destination unknown."""
    if isinstance(error, PacsUnreachableError):
        return error.details.get("stage") in ("name", "tls")
    if isinstance(error, PacsRefusedError):
        return not error.details.get("again")
    return isinstance(error, PacsError) and error.details.get("status") in _HOPELESS


def of_the_server(error: BaseException | None) -> bool:
    """Whether what is hopeless is so for all that the peer has: no such service, unknown destination, name or TLS."""
    if isinstance(error, PacsUnreachableError):
        return error.details.get("stage") in ("name", "tls")
    return isinstance(error, PacsError) and (
        bool(error.details.get("abstract")) or error.details.get("status") == _NO_DESTINATION
    )


def rest(seconds: float, cancelled: Cancelled) -> None:
    """Wait. Raises `JobCancelledError` when ``cancelled`` says so."""
    until = time.monotonic() + seconds
    while True:
        if cancelled():
            raise JobCancelledError("It was cancelled.")
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, 0.05))


def patiently(ask: Callable[[], T], patience: float, cancelled: Cancelled, when: Callable[[PacsError], bool]) -> T:
    """What ``ask`` gives, asked again while it is for that.

    Args:
        patience: seconds.
        when: whether an error is a matter of patience: `busy`, `away`.

    Raises:
        PacsError: as ``ask``, at the end of the patience, and at once what is no matter of it.
        JobCancelledError: ``cancelled`` said so.
    """
    until = time.monotonic() + patience
    number = 0
    while True:
        try:
            return ask()
        except PacsError as exc:
            if time.monotonic() >= until or not when(exc):
                raise
        rest(PAUSES[min(number, len(PAUSES) - 1)], cancelled)
        number += 1
