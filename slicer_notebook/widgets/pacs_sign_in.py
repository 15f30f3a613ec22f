"""Where a person is to sign in so that a PACS answers, as a form shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from slicer_notebook.session import Job

__all__ = ["SignIns"]

Words = dict[str, Any]


class SignIns:
    """What persons are asked by Slicer just now, whoever's question it is that waits for them.

    Args:
        ask: begins a command.
        tell: sends a message to the browser; on any thread.
    """

    def __init__(self, ask: Callable[..., Job[Any] | None], tell: Callable[[Words], None]) -> None:
        self._ask = ask
        self._tell = tell
        self._lock = threading.Lock()
        #: by PACS: what is asked, and when it is over (seconds of `time.monotonic`)
        self._asked: dict[str, tuple[Words, float]] = {}

    def refresh(self) -> None:
        """Look what is asked already."""
        self._ask("pacs.sign_ins", self._listed)

    def take(self, event: Words) -> None:
        """Somebody is asked, or that is over."""
        server = event["server"]
        with self._lock:
            former = self._asked.get(server)
            if event["state"] == "waiting":
                self._asked[server] = event, time.monotonic() + event["seconds"]
            elif former is not None and former[0]["id"] == event["id"]:
                del self._asked[server]
            else:
                return
        self.show_all()

    def show_all(self) -> None:
        """Tell the browser all of it."""
        now = time.monotonic()
        with self._lock:
            asked = [{**words, "seconds": max(0.0, ends - now)} for words, ends in self._asked.values()]
        self._tell({"type": "sign_in", "asked": asked})

    def stop(self, server: str) -> None:
        """The person does not want to."""
        self._ask("pacs.stop_sign_in", lambda _job: None, server=server)

    def lost(self) -> None:
        """There is no Slicer any more."""
        with self._lock:
            self._asked = {}
        self.show_all()

    def _listed(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            for words in job.result(0):
                self.take(words)
