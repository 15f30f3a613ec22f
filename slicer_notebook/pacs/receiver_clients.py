"""Who expects something of the storage SCP: processes at the other end of a line, what they expect, their receipts."""

from __future__ import annotations

import contextlib
import queue
import threading
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
#: Words that go out together at most.
_AT_ONCE: Final = 100
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
        self._unheard: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._speak, name="pacs-tell", daemon=True).start()

    def tell(self, **words: Any) -> None:
        """Say something, without waiting: a client that does not listen must hold up no other."""
        if self._unheard.qsize() > _MOST_UNHEARD:
            self.line.close()
        else:
            self._unheard.put(words)

    def _speak(self) -> None:
        more = True
        while more:
            several = [self._unheard.get()]
            with contextlib.suppress(queue.Empty):
                while len(several) < _AT_ONCE:
                    several.append(self._unheard.get_nowait())
            more = None not in several
            said = [words for words in several if words is not None]
            if any("receipt" in words for words in said):
                self.line.hurry()
            try:
                self.line.say_all(said)
            except OSError:
                return  # it is gone, which whoever listens to it notices, too

    def close(self) -> None:
        """It is gone."""
        self._unheard.put(None)
        self.line.close()
        self.line.release()
