"""What became of a retrieval, series by series; and what came while somebody listened."""

from __future__ import annotations

import msgspec

__all__ = ["Heard", "Report", "SeriesKept", "SeriesReport"]


class SeriesReport(msgspec.Struct, kw_only=True):
    """What became of a series.

    Attributes:
        expected: instances that the PACS has; None where it does not say.
        received: of those, how many are here, at the end.
        missing: how many are not; ``missing_uids`` names them, where they are known.
        here: how many were here before.
        retried: how many instances were asked for again.
        ways: by which ways something came or was tried, in their order.
        reasons: why ways were left or tried again.
        warnings: what is odd about it: counts that contradict each other, what arrived with lossy compression.
        seconds, bytes: of the transfer.
    """

    StudyInstanceUID: str
    SeriesInstanceUID: str
    SeriesNumber: int | None = None
    SeriesDescription: str | None = None
    Modality: str | None = None
    expected: int | None = None
    received: int = 0
    missing: int = 0
    missing_uids: list[str] = []
    here: int = 0
    retried: int = 0
    seconds: float = 0.0
    bytes: int = 0
    ways: list[str] = []
    reasons: list[str] = []
    warnings: list[str] = []
    state: str = "waiting"

    @property
    def complete(self) -> bool:
        """Whether all that was expected is here."""
        return self.state == "complete"


class SeriesKept(msgspec.Struct, kw_only=True):
    """A series of which something was kept that nobody had asked for.

    Attributes:
        count, bytes: instances of it that came, each once.
        senders: AE titles that it came from.
        settled: whether nothing more of it has come for a while.
    """

    StudyInstanceUID: str
    SeriesInstanceUID: str
    SeriesNumber: int | None = None
    SeriesDescription: str | None = None
    Modality: str | None = None
    count: int = 0
    bytes: int = 0
    senders: list[str] = []
    settled: bool = False


class Report(msgspec.Struct, kw_only=True):
    """What became of a retrieval.

    Attributes:
        complete: all that was asked for is here, as far as the PACS tells what it has.
        warnings: what is odd about a study as a whole.
        dropped: what arrived and was not kept: SOP Instance UID (or "") and the reason.
        kept: series of which something arrived that nobody had asked for, and was kept (``unasked = "keep"``).
        error: message, hint and kind of what ended it; empty without.
    """

    server: str
    series: list[SeriesReport] = []
    complete: bool = False
    warnings: list[str] = []
    dropped: list[tuple[str, str]] = []
    kept: list[SeriesKept] = []
    seconds: float = 0.0
    folder: str = ""
    error: dict[str, str] = {}

    @property
    def received(self) -> int:
        """Instances that are here."""
        return sum(each.received for each in self.series)


class Heard(msgspec.Struct, kw_only=True):
    """What came while somebody listened.

    Attributes:
        calling, bind, port, tls: where the PACS has to send to: our AE title, the address, the port; whether with TLS.
        senders: AE titles that may send.
        listening: whether it does.
        series: what came, each with its count and the AE titles that it came from; the last one at the end.
        count: instances in all.
        dropped: what came and was not kept: SOP Instance UID (or "") and the reason.
        notes: what went wrong on the way, in words: associations that were rejected, handshakes that failed.
        error: message, hint and kind of why it does not listen (any more); empty without.
    """

    server: str
    calling: str = ""
    bind: str = ""
    port: int = 0
    tls: bool = False
    senders: list[str] = []
    listening: bool = False
    series: list[SeriesKept] = []
    count: int = 0
    dropped: list[tuple[str, str]] = []
    notes: list[str] = []
    seconds: float = 0.0
    folder: str = ""
    error: dict[str, str] = {}
