"""The index's catalogue of studies, fetched for the browser: a first page at once, then all of it."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.errors import SessionError
from slicer_notebook.session import Job
from slicer_notebook.widgets.base import error_in_words

__all__ = ["CatalogueReader"]

#: Studies of the first page: more than any screen shows.
FIRST: Final = 500
#: Bytes of a compressed page that is sent as plain text: a browser's first look at it then waits for nothing.
SHORT: Final = 65536


class CatalogueReader:
    """Asks Slicer for the catalogue and keeps its pages, which are compressed lines of text.

    Args:
        ask: begins a command about the index.
        came: told of each page, on any thread: (message, page). A message counts the readings (``serial``), names its
            page and the last one. One short page is text in the message; others are compressed (zlib).
        failed: told why the index could not be read, in words.
    """

    def __init__(
        self,
        ask: Callable[..., Job[Any] | None],
        came: Callable[[dict[str, Any], bytes], None],
        failed: Callable[[dict[str, str]], None],
    ) -> None:
        self._ask = ask
        self._came = came
        self._failed = failed
        self._lock = threading.RLock()
        self._serial = 0
        #: Counts the requests: an answer to an earlier one is not shown.
        self._wanted = 0
        self._pages: list[bytes] = []
        #: The answer to the last request for a part.
        self._first: list[bytes] = []
        self.total = -1
        """Studies in the index; -1 until it has answered."""
        self.fields: list[str] = []
        """Names of a line's fields."""

    def read(self, *, changed: bool = False) -> None:
        """Look into the index. ``changed``: what is known of its series is out of date."""
        with self._lock:
            self._wanted += 1
            wanted = self._wanted
        self._ask_for(FIRST, wanted, changed)

    def _ask_for(self, first: int | None, wanted: int, changed: bool) -> None:
        self._ask("dicom.catalogue", lambda job: self._answer(first, wanted, changed, job), first=first)

    def _answer(self, first: int | None, wanted: int, changed: bool, job: Job[Any]) -> None:
        error = job.exception(0)
        if isinstance(error, SessionError) or wanted != self._wanted:
            return  # the status says it; or a newer answer comes
        if error is not None:
            self._failed(error_in_words(error))
            return
        found = job.result(0)
        partial = first is not None and found["total"] > first
        with self._lock:
            known = self._first if partial else self._pages
            news = found["pages"] != known or found["total"] != self.total or (changed and not partial)
            if partial:
                self._first = found["pages"]
            if news:
                self._serial += 1
                self.total, self.fields, self._pages = found["total"], list(found["fields"]), list(found["pages"])
            messages = self._messages(changed) if news else []
        for message, page in messages:
            self._came(message, page)
        if partial:
            self._ask_for(None, wanted, changed and not news)

    def send_all(self, send: Callable[[dict[str, Any], bytes], None]) -> None:
        """All that is known, for a new view."""
        with self._lock:
            messages = self._messages(False) if self.total >= 0 else []
        for message, page in messages:
            send(message, page)

    def _messages(self, changed: bool) -> list[tuple[dict[str, Any], bytes]]:
        head = {"type": "catalogue", "serial": self._serial, "total": self.total, "fields": self.fields}
        pages = self._pages
        if not pages or (len(pages) == 1 and len(pages[0]) <= SHORT):
            text = zlib.decompress(pages[0]).decode("utf-8") if pages else ""
            return [({**head, "page": 0, "last": 0, "changed": changed, "text": text}, b"")]
        last = len(pages) - 1
        return [({**head, "page": number, "last": last, "changed": changed}, page) for number, page in enumerate(pages)]

    def studies(self, limit: int) -> list[dict[str, str]]:
        """The first studies, by field."""
        with self._lock:
            pages, fields = self._pages[:1], self.fields
        if not pages or not pages[0]:
            return []
        lines = zlib.decompress(pages[0]).decode("utf-8").split("\n", limit)[:limit]
        return [dict(zip(fields, line.split("\t"), strict=True)) for line in lines if line]
