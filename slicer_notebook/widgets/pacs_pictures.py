"""Pictures of series that are in a PACS: a few at a time, in the order in which they come into view; failures, too."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from slicer_notebook.errors import SessionError, error_in_words
from slicer_notebook.session import Job

__all__ = ["Pictures", "pictures_message"]

Picture = bytes | dict[str, str]
"""PNG or JPEG, or why there is none (`error_in_words`)."""

#: Series at the same time: each may be an instance that the PACS sends.
_AT_ONCE: Final = 2
#: That are kept here, some kB each.
_KEPT: Final = 400


class Pictures:
    """The pictures that a form has asked for.

    Args:
        ask: begins a command about the index.
        size: pixels of a picture, at most.
        came: told what came, by key (see `pacs_answers.key_of`); on any thread.
    """

    def __init__(
        self, ask: Callable[..., Job[Any] | None], size: int, came: Callable[[dict[str, Picture]], None]
    ) -> None:
        self._ask = ask
        self._size = size
        self._came = came
        self._lock = threading.RLock()
        self._wanted: list[str] = []
        self._under_way: set[str] = set()
        self._known: OrderedDict[str, Picture] = OrderedDict()

    def want(self, keys: Sequence[str]) -> None:
        """Fetch these, in this order; what was wanted before and is not among them is not wanted any more."""
        with self._lock:
            known = {key: self._known[key] for key in keys if key in self._known}
            self._wanted = [key for key in keys if key not in known and key not in self._under_way]
        if known:
            self._came(known)
        self._go_on()

    def forget(self) -> None:
        """There is no Slicer that would answer what is under way."""
        with self._lock:
            self._wanted, self._under_way = [], set()

    def _go_on(self) -> None:
        while True:
            with self._lock:
                if not self._wanted or len(self._under_way) >= _AT_ONCE:
                    return
                key = self._wanted.pop(0)
                self._under_way.add(key)
            server, study, series = key.split(" ")
            job = self._ask(
                "pacs.thumbnail",
                lambda done, key=key: self._answer(key, done),
                server=server,
                study=study,
                series=series,
                size=self._size,
            )
            if job is None:
                self.forget()

    def _answer(self, key: str, job: Job[Any]) -> None:
        error = job.exception(0)
        found: Picture = error_in_words(error) if error is not None else bytes(job.result(0))
        with self._lock:
            self._under_way.discard(key)
            if not isinstance(error, SessionError):
                self._known[key] = found
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        if not isinstance(error, SessionError):
            self._came({key: found})
        self._go_on()


def pictures_message(pictures: Mapping[str, Picture]) -> tuple[dict[str, Any], list[bytes]]:
    """The message that tells a browser of these, and its buffers."""
    buffers: list[bytes] = []
    words: list[dict[str, Any]] = []
    for key, found in pictures.items():
        if isinstance(found, bytes):
            buffers.append(found)
            words.append({"key": key, "buffer": len(buffers) - 1})
        else:
            words.append({"key": key, "buffer": -1, "error": found})
    return {"type": "pictures", "pictures": words}, buffers
