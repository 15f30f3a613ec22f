"""Who expects something of the storage SCP: processes at the other end of a line, what they expect, their receipts."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final

from slicer_notebook.errors import StorageError
from slicer_notebook.pacs.awaited import Awaited
from slicer_notebook.pacs.dimse.control import Line

__all__ = ["NOT_AUTHORIZED", "OUT_OF_RESOURCES", "Client", "Expectation", "Receipt"]

#: Refused: not authorized (PS3.7 C.5.7); out of resources (PS3.4 B.2.3).
NOT_AUTHORIZED, OUT_OF_RESOURCES = 0x0124, 0xA700
#: What waits to be heard by one client at most: one that hears nothing is given up.
_MOST_UNHEARD: Final = 10_000
#: Of what comes, so many words go out together, or all that there are after so many seconds: a thread that is woken
#: for each instance keeps the one that reads from its work.
_AT_ONCE, _GATHER = 64, 0.02
#: Events that wait for others.
_UNHURRIED: Final = frozenset({"came", "alive"})
#: Seconds that a client has to write what was sent unasked.
_RECEIPT: Final = 60.0


class Expectation(Awaited):
    """Instances that one client expects."""

    def __init__(self, client: Client, words: dict[str, Any], move_id: int) -> None:
        super().__init__(client, words)
        #: Message ID for the C-MOVE that it is expected of; many a PACS repeats it (PS3.7 9.1.1.1.7)
        self.move_id = move_id
        self.study = str(words["study"])
        self.series = str(words["series"])
        self.aside = Path(words["aside"])
        self.keep = bool(words["keep"])
        #: when its client was last told that something comes
        self.told = 0.0
        #: instances whose senders were told that they were taken, and of which its client was not told yet
        self.untold = 0

    def failed(self, exc: OSError) -> StorageError:
        """Tell its client that nothing can be kept for it."""
        why = exc.strerror or str(exc)
        self.tell("failed", why=why)
        return StorageError("What arrives cannot be kept.", got=why)


class Receipt:
    """A client's word that it has what nobody asked for."""

    def __init__(self, expectation: Expectation) -> None:
        self.expectation = expectation
        self.given = threading.Event()
        #: for the sender (PS3.4 B.2.3); the client may be gone, or have stopped to listen
        self.status = NOT_AUTHORIZED

    def give(self, status: int) -> None:
        """Have it, with this status."""
        self.status = status
        self.given.set()

    def wait(self) -> int:
        """The status."""
        return self.status if self.given.wait(_RECEIPT) else OUT_OF_RESOURCES


class Client:
    """A process that expects something."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._changed = threading.Condition()
        self._unheard: list[dict[str, Any]] = []
        #: when the first of them came, and whether one of them is waited for
        self._since = 0.0
        self._hurried = self._closed = False
        threading.Thread(target=self._speak, name="pacs-tell", daemon=True).start()

    def tell(self, **words: Any) -> None:
        """Say something, without waiting: a client that does not listen must hold up no other."""
        with self._changed:
            if len(self._unheard) > _MOST_UNHEARD:
                self.line.close()
                return
            if not self._unheard:
                self._since = time.monotonic()
            self._unheard.append(words)
            self._hurried = self._hurried or words["event"] not in _UNHURRIED or "receipt" in words
            if self._hurried or len(self._unheard) in (1, _AT_ONCE):
                self._changed.notify()

    def _next(self) -> list[dict[str, Any]]:
        """What is to be said next; empty at the end."""
        with self._changed:
            while not self._closed:
                if not self._unheard:
                    self._changed.wait()
                elif self._hurried or len(self._unheard) >= _AT_ONCE:
                    break
                elif (rest := self._since + _GATHER - time.monotonic()) > 0:
                    self._changed.wait(rest)
                else:
                    break
            several, self._unheard, self._hurried = self._unheard, [], False
            return several

    def _speak(self) -> None:
        while several := self._next():
            if any("receipt" in words for words in several):
                self.line.hurry()
            try:
                self.line.say_all(several)
            except OSError:
                return  # it is gone, which whoever listens to it notices, too

    def close(self) -> None:
        """It is gone."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self.line.close()
        self.line.release()
