"""What of the answers of PACS is here: asked of the index for the studies that are shown, again when it changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from slicer_notebook.session import Job
from slicer_notebook.widgets.threads import Pacer

__all__ = ["Marks"]

Here = dict[str, dict[str, int]]
"""Study Instance UID -> Series Instance UID -> instances in the index."""

#: Studies of one request, and seconds between two when the index has changed: a retrieval changes it all the time.
_AT_ONCE: Final = 200
_EVERY: Final = 1.0


class Marks:
    """Marks of studies.

    Args:
        ask: begins a command about the index.
        came: told what is here, of the studies of which it is new; on any thread.
    """

    def __init__(self, ask: Callable[..., Job[Any] | None], came: Callable[[Here], None]) -> None:
        self._ask = ask
        self._came = came
        self._lock = threading.RLock()
        self._wanted: dict[str, None] = {}
        self._known: Here = {}
        self._asking = False
        self._pacer = Pacer(self._look_again, _EVERY)

    def want(self, studies: Iterable[str]) -> None:
        """Look at these; what is known of them stays until the answer is there."""
        with self._lock:
            self._wanted.update(dict.fromkeys(studies))
        self._go_on()

    def known(self) -> Here:
        """What is known."""
        with self._lock:
            return {study: dict(series) for study, series in self._known.items()}

    def of(self, study: str) -> dict[str, int]:
        """What is known of a study; empty where nothing is."""
        with self._lock:
            return dict(self._known.get(study, {}))

    def again(self) -> None:
        """The index has changed."""
        self._pacer.request()

    def forget(self) -> None:
        """Other studies are shown, or there is no Slicer."""
        with self._lock:
            self._wanted, self._known, self._asking = {}, {}, False

    def close(self) -> None:
        """Look no more."""
        self._pacer.close()

    def _look_again(self) -> None:
        with self._lock:
            studies = list(self._known)
        self.want(studies)
        self._pacer.finished()

    def _go_on(self) -> None:
        with self._lock:
            if self._asking or not self._wanted:
                return
            studies = list(self._wanted)[:_AT_ONCE]
            self._wanted = dict.fromkeys(list(self._wanted)[_AT_ONCE:])
            self._asking = True
        if self._ask("pacs.here", lambda job: self._take(studies, job), studies=studies) is None:
            self.forget()

    def _take(self, studies: list[str], job: Job[Any]) -> None:
        found: Here = {} if job.exception(0) is not None else job.result(0)
        with self._lock:
            if not self._asking:
                return  # from before `forget`
            self._asking = False
            news = {
                study: found[study] for study in studies if study in found and self._known.get(study) != found[study]
            }
            self._known.update(news)
        if news:
            self._came(news)
        self._go_on()
