"""A live view from the notebook's side: frames as they come, and what a person does, as fast as Slicer takes it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.errors import ProtocolError, SessionError, SlicerNotebookError
from slicer_notebook.protocol import messages
from slicer_notebook.session.link import Link, rebuild

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session

__all__ = ["LiveStream"]

#: Inputs that may be on their way to Slicer. What comes meanwhile waits here and becomes one.
_ON_THE_WAY: Final = 2
#: Seconds after which an input that Slicer has not answered no longer holds up the next: it is busy, or it was lost.
_PATIENCE: Final = 2.0
#: Most events that wait for a busy Slicer: beyond, the oldest are of no use any more.
_WAITING: Final = 200

_numbers = itertools.count(1)


class LiveStream:
    """The pictures of one view, streamed.

    Args:
        session: whose view.
        view: its name.
        on_frame: called with each frame, on the link's thread: it must not wait.
        on_took: called when Slicer has done an input, likewise.
        on_gone: called when no more frames come, with the reason; a restart of Slicer, or another layout, is a new
            beginning (`watch`).

    Raises:
        ProtocolError: the Slicer at the other end is too old to stream.
    """

    def __init__(
        self,
        session: Session,
        view: str,
        on_frame: Callable[[messages.Frame], None],
        *,
        on_took: Callable[[messages.Took], None] = lambda _took: None,
        on_gone: Callable[[SlicerNotebookError], None] = lambda _error: None,
    ) -> None:
        self.view = view
        self.number = next(_numbers)
        self._session = session
        self._on_frame = on_frame
        self._on_took = on_took
        self._on_gone = on_gone
        self._lock = threading.Lock()
        self._waiting: list[dict[str, Any]] = []
        self._sent: dict[int, float] = {}
        self._input = 0
        self._size: tuple[int, int] | None = None
        self._paused = False
        self._link: Link | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) that was asked for last."""
        return self._size

    @property
    def busy_for(self) -> float:
        """Seconds for which Slicer has not answered the oldest input; 0 without one."""
        with self._lock:
            return time.monotonic() - min(self._sent.values()) if self._sent else 0.0

    def watch(self, size: tuple[int, int] | None = None, *, paused: bool | None = None, again: bool = False) -> None:
        """Begin, or change how.

        Args:
            size: (width, height), pixels, that the view is to have; without it what was asked for before, if anything
                was: who looks again sees the view as large as they have it.
            paused: nobody looks.
            again: send the present picture, even if it was sent before.

        Raises:
            ProtocolError: Slicer's end is too old.
            SessionClosedError, ConnectionLostError: there is no Slicer.
        """
        link = self._session._link
        version = link.hello.protocol
        if version[0] == messages.PROTOCOL_VERSION[0] and version[1] < messages.LIVE_VIEWS:
            raise ProtocolError(
                "The slicer_notebook in Slicer is too old for live views.",
                expected=f"protocol {messages.PROTOCOL_VERSION[0]}.{messages.LIVE_VIEWS}",
                got=f"protocol {version[0]}.{version[1]} (slicer_notebook {link.hello.package})",
                hint="install the same version on both ends",
            )
        self._size = size or self._size
        if paused is not None:
            self._paused = paused
        if self._link is not link:
            self._link = link
            self._forget()
            link.streams[self.number] = self._heard
        link.say(messages.Watch(stream=self.number, view=self.view, size=self._size, paused=self._paused, again=again))

    def _forget(self) -> None:
        with self._lock:
            self._waiting.clear()
            self._sent.clear()

    def seen(self, index: int) -> None:
        """Somebody has this frame, and those before."""
        self._say(messages.Seen(stream=self.number, index=index))

    def input(self, events: list[dict[str, Any]], seen: int = 0) -> None:
        """What a person did (see `protocol.messages.Input`). Moves that Slicer has no time for become one.

        Args:
            seen: as for `seen`, in the same message; 0 for nothing new.
        """
        with self._lock:
            for event in events:
                merge(self._waiting, event)
            del self._waiting[:-_WAITING]
        if not self._flush(seen) and seen:
            self.seen(seen)

    def _flush(self, seen: int = 0) -> bool:
        with self._lock:
            now = time.monotonic()
            # What was not answered for long may be lost with the Slicer that it was for.
            on_the_way = [when for when in self._sent.values() if now - when < _PATIENCE]
            if not self._waiting or len(on_the_way) >= _ON_THE_WAY:
                return False
            events, self._waiting = self._waiting, []
            self._input += 1
            self._sent[self._input] = now
            message = messages.Input(stream=self.number, number=self._input, events=events, seen=seen)
        self._say(message)
        return True

    def close(self) -> None:
        """No more frames."""
        if self._link is not None:
            self._link.streams.pop(self.number, None)
            self._say(messages.Unwatch(stream=self.number))

    def _say(self, message: messages.Message) -> None:
        if self._link is None:
            return
        try:
            self._link.say(message)
        except SessionError as exc:
            self._on_gone(exc)

    def _heard(self, message: messages.Frame | messages.Took | messages.Unwatched) -> None:
        if isinstance(message, messages.Frame):
            self._on_frame(message)
        elif isinstance(message, messages.Took):
            with self._lock:
                for number in [number for number in self._sent if number <= message.number]:
                    del self._sent[number]
            self._on_took(message)
            self._flush()
        else:
            self._forget()
            if self._link is not None:
                self._link.streams.pop(self.number, None)
                self._link = None
            self._on_gone(rebuild(message.error))


def merge(waiting: list[dict[str, Any]], event: dict[str, Any]) -> None:
    """Append an event; moves and turns of the wheel that differ in nothing else become one."""
    last = waiting[-1] if waiting else {}
    same = all(last.get(key) == event.get(key) for key in ("type", "buttons", "modifiers"))
    if same and event["type"] == "pointer_move":
        waiting[-1] = event
    elif same and event["type"] == "wheel":
        waiting[-1] = {**event, "notches": last["notches"] + event["notches"]}
    else:
        waiting.append(event)
