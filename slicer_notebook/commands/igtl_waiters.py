"""Who waits for an OpenIGTLink peer's answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from slicer_notebook.igtl.message import Message
from slicer_notebook.protocol.values import NodeRef

__all__ = ["Answer", "Waiters"]


@dataclass
class Answer:
    """What came. ``node``: what it became, None for what becomes none; ``problem``: why it became none."""

    message: Message
    node: NodeRef | None = None
    problem: str = ""


class Waiters:
    """Waits for messages, each of one peer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, Callable[[Message], bool], Future[Answer]]] = []

    def expect(self, peer: int, fits: Callable[[Message], bool]) -> Future[Answer]:
        """The future of the first message of a peer that fits. Asked for before the question goes out."""
        future: Future[Answer] = Future()
        with self._lock:
            self._waiting.append((peer, fits, future))
        return future

    def settle(self, peer: int, answer: Answer) -> None:
        """A message has come, and is in the scene if it goes there. From any thread."""
        if not self._waiting:
            return
        with self._lock:
            here = [each for each in self._waiting if each[0] == peer and each[1](answer.message)]
            self._waiting = [each for each in self._waiting if each not in here]
        for _, _, future in here:
            if future.set_running_or_notify_cancel():
                future.set_result(answer)

    def forget(self, future: Future[Any]) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            self._waiting = [each for each in self._waiting if each[2] is not future]

    def lose(self, peer: int, error: BaseException) -> None:
        """A peer is gone: its answers do not come."""
        with self._lock:
            here = [each for each in self._waiting if each[0] == peer]
            self._waiting = [each for each in self._waiting if each[0] != peer]
        for _, _, future in here:
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
