"""The lying SCP with a gate: it sends as many instances by C-GET as it is allowed to, and then waits."""

from __future__ import annotations

from typing import Any

from pynetdicom.dimse_primitives import C_GET

from tests.pacs.peers.liar import Liar
from tests.pacs.peers.sending import Answer


class Gated(Liar):
    """As `Liar`.

    Attributes:
        allowed: instances that it sends by C-GET, in all; None for as many as are asked for. `allow` sets it.
    """

    def __init__(self, *args: Any, allowed: int | None = None, **options: Any) -> None:
        self.allowed = allowed
        self._given = 0
        super().__init__(*args, **options)

    def allow(self, count: int | None) -> None:
        """From now on so many in all."""
        with self._change():
            self.allowed = count

    def _paused(self, answer: Answer) -> bool:
        if isinstance(answer._request, C_GET):
            with self._changed:
                while not self._may_go_on(answer):
                    self._changed.wait(0.02)
                self._given += 1
        return super()._paused(answer)

    def _may_go_on(self, answer: Answer) -> bool:
        if self.allowed is None or self._given < self.allowed or self._ended.is_set() or not answer.alive:
            return True
        return answer._request.MessageID in answer.association.dimse.cancel_req
