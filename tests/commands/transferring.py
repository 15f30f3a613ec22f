"""What tests of transfers share."""

from __future__ import annotations

from typing import Any

import slicer_notebook as sn
from slicer_notebook.pacs import config
from tests.commands.hearing import Hearing
from tests.pacs.peers.data import DataStudy
from tests.pacs.peers.gated import Gated

ENDED = ("done", "incomplete", "failed", "cancelled")


class Transfers(Hearing):
    """A session's view of the transfers."""

    def __init__(self, slicer: sn.Session) -> None:
        super().__init__(slicer, "transfers")

    def add(self, server: str, *studies: DataStudy | str | dict[str, Any], **how: Any) -> int:
        """Begin one; its id."""
        targets = [
            each
            if isinstance(each, dict)
            else {"StudyInstanceUID": each if isinstance(each, str) else each.uid, "SeriesInstanceUID": None}
            for each in studies
        ]
        how = {"database": self.slicer.dicom.database, **how}
        return int(self.slicer.call("pacs.retrieve", server=server, targets=targets, **how)["id"])

    def call(self, what: str, *ids: int, **how: Any) -> Any:
        """A command about these."""
        return self.slicer.call(f"pacs.{what}", ids=list(ids), **how)

    def _summary(self) -> dict[int, Any]:
        shown = ("state", "received", "expected", "error", "loads", "log")
        return {number: [entry[name] for name in shown] for number, entry in list(self.known.items())[-4:]}

    def until_state(self, number: int, *states: str) -> dict[str, Any]:
        self.until(lambda: self.known.get(number, {}).get("state") in states, f"{number} is {' or '.join(states)}")
        return self.known[number]

    def until_received(self, number: int, count: int) -> None:
        self.until(lambda: self.known.get(number, {}).get("received", 0) >= count, f"{count} instances of {number}")

    def retry(self, number: int) -> dict[str, Any]:
        """Have one go on; the entry when it has ended again."""
        times = self._retries(number)
        self.call("retry", number)
        self.until(
            lambda: self._retries(number) > times and self.known[number]["state"] in ENDED, f"the next end of {number}"
        )
        return self.known[number]

    def _retries(self, number: int) -> int:
        return sum("tried again" in line for line in self.known[number]["log"])

    def ended(self, number: int) -> dict[str, Any]:
        return self.until_state(number, *ENDED)


class Servers:
    """Gated PACS that the Slicer of the tests knows."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._peers: list[Gated] = []

    def add(self, url: str, *, name: str = "", **settings: Any) -> str:
        """Configure a PACS; its name."""
        name = name or f"pacs{len(self._names)}"
        config.add(name, url, replace=True, **{"timeout": 20.0, "connect_timeout": 3.0, "parallel": 1, **settings})
        self._names.append(name)
        return name

    def gated(self, *studies: DataStudy, **options: Any) -> tuple[str, Gated]:
        """A PACS that has these; its name, and it."""
        settings = {key: options.pop(key) for key in ("port", "parallel", "timeout") if key in options}
        peer = Gated([path for study in studies for path in study.instances.values()], **options)
        self._peers.append(peer)
        return self.add(peer.url, **settings), peer

    def close(self) -> None:
        for name in self._names:
            config.remove(name)
        for peer in self._peers:
            peer.close()
