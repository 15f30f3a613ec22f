"""``slicer.transfers``: what Slicer fetches from PACS, seen by all its notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from slicer_notebook.errors import (
    ArgumentError,
    JobCancelledError,
    RetrieveIncompleteError,
    UidNotFoundError,
    by_name,
)
from slicer_notebook.pacs.prompts import in_words
from slicer_notebook.session.following import Following
from slicer_notebook.session.job import Job

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session

__all__ = ["Transfer", "TransferQueue", "Transfers", "counted", "outcome_of", "transfer_job"]


class Transfer(msgspec.Struct, kw_only=True, frozen=True):
    """A retrieval in Slicer, as it was when it was asked for.

    Attributes:
        id: names it.
        server: the PACS.
        title: what is retrieved.
        state: ``waiting``, ``going``, ``paused``, ``done``, ``incomplete``, ``failed`` or ``cancelled``.
        received, expected: instances; ``expected`` is None while nobody knows.
        bytes: that came; ``rate``: bytes a second, lately.
        seconds, seconds_left: the second is None while nobody knows.
        series: a dictionary for each: SeriesInstanceUID, expected, received, missing, here, retried, seconds, ways,
            reasons, warnings, state...
        log: what was said on the way.
        folder: where the files are.
        error: ``message``, ``hint``, ``kind`` and perhaps ``details`` of what went wrong; empty without.
        load, show: whether each series is loaded when it is here, and whether the first one is shown.
        loads: ids of their entries in the load queue.
        sign_in: where a person is to sign in just now (``link``, ``user_code``, ``seconds``); empty otherwise.
    """

    id: int
    server: str = ""
    title: str = ""
    by: str = ""
    state: str = "waiting"
    received: int = 0
    expected: int | None = None
    bytes: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    seconds_left: float | None = None
    series: list[dict[str, Any]] = []
    log: list[str] = []
    folder: str = ""
    error: dict[str, Any] = {}
    load: bool = False
    show: bool = True
    loads: list[int] = []
    sign_in: dict[str, Any] = {}

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "going", "paused")

    @property
    def complete(self) -> bool:
        """Whether all that the PACS has of it is here."""
        return self.state == "done"

    def __repr__(self) -> str:
        counted = f"{self.received} of {'?' if self.expected is None else self.expected}"
        how = f", {self.error['message']}" if self.error.get("message") else ""
        return f"<Transfer {self.id} {self.title!r} from {self.server!r}: {self.state}, {counted} instances{how}>"

    def _repr_html_(self) -> str:
        return Transfers([self])._repr_html_()


class Transfers(list[Transfer]):
    """Transfers, oldest first; they show as a table."""

    def _repr_html_(self) -> str:
        if not self:
            return "<em>nothing is being retrieved</em>"
        names = ("", "PACS", "What", "State", "Instances", "MB", "s", "")
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in names)
        rows = []
        for each in self:
            counted = f"{each.received} of {'?' if each.expected is None else each.expected}"
            cells = (
                str(each.id), each.server, each.title, each.state, counted, f"{each.bytes / 1e6:.1f}",
                f"{each.seconds:.1f}", each.error.get("message", ""),
            )  # fmt: skip
            rows.append("".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class TransferQueue:
    """What a session's Slicer fetches from PACS. It goes on when the notebook that has asked is gone."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def entries(self) -> Transfers:
        """What waits, goes on and has ended (the last 50), oldest first."""
        return transfers_of(self._session.call("pacs.transfers"))

    def cancel(self, *transfers: Transfer | int) -> Transfers:
        """Stop these, or all that go on. What has arrived is kept."""
        return transfers_of(self._session.call("pacs.cancel", ids=_ids(transfers) or None))

    def pause(self, *transfers: Transfer | int) -> Transfers:
        """Stop these for a while."""
        return transfers_of(self._session.call("pacs.pause", ids=_ids(transfers), on=True))

    def resume(self, *transfers: Transfer | int) -> Transfers:
        """Have these go on."""
        return transfers_of(self._session.call("pacs.pause", ids=_ids(transfers), on=False))

    def retry(self, *transfers: Transfer | int) -> Transfers:
        """Have these, which have ended, go on from where they were."""
        return transfers_of(self._session.call("pacs.retry", ids=_ids(transfers)))

    def clear(self) -> None:
        """Forget those that have ended. What they brought stays."""
        self._session.call("pacs.clear")

    def job(self, transfer: Transfer | int) -> Job[Transfer]:
        """A transfer as a `Job`: a bar in the cell, a wait, a cancel. See `Pacs.retrieve` for what it raises."""
        return transfer_job(self._session, _ids([transfer])[0])

    def __repr__(self) -> str:
        return f"<transfers of {self._session.name!r}: {list(self.entries())}>"

    def _repr_html_(self) -> str:
        return self.entries()._repr_html_()


def _ids(transfers: Iterable[Transfer | int]) -> list[int]:
    found = []
    for each in transfers:
        if isinstance(each, Transfer):
            found.append(each.id)
        elif isinstance(each, int) and not isinstance(each, bool):
            found.append(each)
        else:
            raise ArgumentError("Which transfer?", expected="a Transfer or its id", got=type(each).__name__)
    return found


def transfers_of(raw: Any) -> Transfers:
    """Entries of the commands as records."""
    return Transfers(msgspec.convert(each, Transfer) for each in raw)


def transfer_job(session: Session, number: int) -> Job[Transfer]:
    """A job that ends when a transfer does."""
    return _Following(session, number).job


class _Following(Following[Transfer]):
    def __init__(self, session: Session, number: int) -> None:
        super().__init__(
            session, "pacs.retrieve", [number], event="transfers", listing="pacs.transfers", cancelling="pacs.cancel"
        )

    def _found(self, raw: list[dict[str, Any]]) -> None:
        if any(each["id"] in self._wanted for each in raw):
            self._news({"entries": raw})
            return
        gone = UidNotFoundError(
            "That transfer is not there any more.",
            expected="an entry of slicer.transfers.entries()",
            got=str(self._wanted[0]),
        )
        self.job.deliver(None, gone)

    def _news(self, event: dict[str, Any]) -> None:
        for raw in event["entries"]:
            if raw["id"] in self._wanted:
                self._take(msgspec.convert(raw, Transfer))

    def _take(self, transfer: Transfer) -> None:
        with self._lock:
            if transfer.goes_on:
                self.job.deliver_progress(*counted(transfer))
                return
            self.job.deliver(*outcome_of(transfer))


def counted(transfer: Transfer) -> tuple[float, str, Any]:
    """How far one is, as a job tells it: part, words, instances here and expected, or where to sign in."""
    if transfer.sign_in:
        return -1.0, in_words(transfer.sign_in), {"sign_in": transfer.sign_in}
    done = transfer.received / transfer.expected if transfer.expected else -1.0
    text = f"{transfer.received} of {'?' if transfer.expected is None else transfer.expected} instances"
    if transfer.state != "going":
        text += f", {transfer.state}"
    elif transfer.rate:
        text += f", {transfer.rate / 1e6:.1f} MB/s"
    return min(done, 1.0), text, [transfer.received, transfer.expected or 0]


def outcome_of(transfer: Transfer) -> tuple[Transfer | None, BaseException | None]:
    """What a job for one that has ended gives, or raises."""
    if transfer.state == "done":
        return transfer, None
    if transfer.state == "cancelled":
        return None, JobCancelledError("The transfer was cancelled.", hint="What has arrived is kept.")
    details = {
        **transfer.error.get("details", {}),
        "server": transfer.server,
        "transfer": transfer.id,
        "series": transfer.series,
        "loads": list(transfer.loads),
    }
    if transfer.state == "incomplete":
        lacking = [each for each in transfer.series if each["state"] != "complete"]
        missing = sum(each["missing"] for each in lacking)
        reasons = [reason for each in lacking for reason in each["reasons"]]
        several = "1 instance is missing" if missing == 1 else f"{missing} instances are missing"
        return None, RetrieveIncompleteError(
            f"Not all of {transfer.title or 'it'} arrived from {transfer.server!r}: {several}.",
            expected="all" if transfer.expected is None else f"{transfer.expected} instances",
            got=str(transfer.received),
            hint=(f"Last: {reasons[-1]}. " if reasons else "") + "Retrieve again to go on from there.",
            details=details,
        )
    error = by_name(transfer.error.get("kind", ""))(
        transfer.error.get("message", "The transfer failed."), hint=transfer.error.get("hint") or None, details=details
    )
    return None, error
