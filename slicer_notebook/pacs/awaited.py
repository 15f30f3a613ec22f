"""What clients of the storage SCP's process wait for: of whom, and on which associations it may come (`receiver`)."""

from __future__ import annotations

from typing import Any, Final, Protocol

from slicer_notebook.pacs.dimse.commitment import Report
from slicer_notebook.pacs.dimse.negotiation import Requested

__all__ = ["Awaited", "AwaitedReport", "Teller"]

#: Instances of a report that are told at once: a line has 64 KiB.
_AT_ONCE: Final = 400


class Teller(Protocol):
    """A client."""

    def tell(self, **words: Any) -> None:
        """Say something to it."""


class Awaited:
    """What one client waits for."""

    def __init__(self, client: Teller, words: dict[str, Any]) -> None:
        self.client = client
        self.id = int(words["id"])
        self.called = str(words["called"])
        self.callers = frozenset(words["callers"])
        self.addresses = frozenset(words["addresses"])

    def takes(self, request: Requested, address: str) -> bool:
        """Whether this association may bring something of it."""
        return (
            request.called == self.called
            and (not self.callers or request.calling in self.callers)
            and (not self.addresses or address in self.addresses)
        )

    def tell(self, event: str, **words: Any) -> None:
        """Tell its client."""
        self.client.tell(event=event, id=self.id, **words)


class AwaitedReport(Awaited):
    """A report of storage commitment."""

    def __init__(self, client: Teller, words: dict[str, Any]) -> None:
        super().__init__(client, words)
        self.transaction = str(words["transaction"])

    def came(self, report: Report) -> None:
        """Tell its client."""
        failed = list(report.failed.items())
        for start in range(0, len(report.committed), _AT_ONCE):
            self.tell("committed", uids=report.committed[start : start + _AT_ONCE])
        for start in range(0, len(failed), _AT_ONCE):
            self.tell("uncommitted", reasons=dict(failed[start : start + _AT_ONCE]))
        self.tell("reported")
