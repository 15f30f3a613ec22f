"""Signing in at a PACS that Slicer asks: the notebooks are told of the code, and of the end of the wait."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import JobCancelledError
from slicer_notebook.pacs import prompts, signing

if TYPE_CHECKING:
    from slicer_notebook.commands.context import JobContext
    from slicer_notebook.pacs.signing import DeviceCode, Prompt

__all__ = ["prompt_by_events", "prompt_of", "tell_of_sign_ins"]

_told: dict[int, Callable[[dict[str, Any]], None]] = {}
_lock = threading.Lock()


def tell_of_sign_ins(host: Host) -> None:
    """Tell the notebooks of a Slicer of all of them, as events "sign_in"; see `signing.watch`."""
    with _lock:
        if id(host) not in _told:
            _told[id(host)] = lambda words: host.tell("sign_in", words)
            signing.watch(_told[id(host)])


def prompt_by_events(_code: DeviceCode) -> None:
    """Somebody sees what events tell."""


def prompt_of(job: JobContext, person: bool) -> Prompt | None:
    """How the person is asked who waits for a job: by its progress, beside the event. None without a person."""

    def ask(code: DeviceCode) -> Callable[[BaseException | None], None]:
        words = code.words()
        job.progress(-1.0, prompts.in_words(words), {"sign_in": words})
        return end

    def end(error: BaseException | None) -> None:
        if error is None:
            with contextlib.suppress(JobCancelledError):
                job.progress(-1.0, "signed in", None)

    return ask if person else None


@command("pacs.sign_ins", thread="quick", journal=False, urgent=True)
def sign_ins(host: Host) -> list[dict[str, Any]]:
    """What persons are asked just now, each as its event "sign_in" was."""
    return signing.going()


@command("pacs.stop_sign_in", thread="quick", journal=False, urgent=True)
def stop_sign_in(host: Host, server: str) -> None:
    """Ask nobody to sign in at a PACS any more: what waits for it fails."""
    signing.stop(server)
