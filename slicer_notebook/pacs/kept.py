"""What a PACS sent unasked and was kept: counted, series by series."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from slicer_notebook.dicom.records import Instance
from slicer_notebook.pacs.reports import SeriesKept

__all__ = ["Kept", "unfit"]

#: Series that are told of; of earlier ones only the numbers are known.
_MOST: Final = 500
_UID: Final = re.compile(r"[0-9.]{1,64}")


def unfit(instance: Instance) -> str | None:
    """Why an instance that nobody knows of cannot be kept, in words: its UIDs are none (PS3.5 9.1)."""
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not _UID.fullmatch(getattr(instance, name)):
            return f"its {name} is none (PS3.5 9.1)"
    return None


class _Series:
    def __init__(self, first: Instance) -> None:
        self.facts = SeriesKept(
            StudyInstanceUID=first.StudyInstanceUID,
            SeriesInstanceUID=first.SeriesInstanceUID,
            SeriesNumber=first.SeriesNumber,
            SeriesDescription=first.SeriesDescription,
            Modality=first.Modality,
        )
        self.instances: set[str] = set()
        self.senders: set[str] = set()
        self.last = 0.0


class Kept:
    """Counts it. Used by several threads.

    Args:
        quiet: seconds without a further instance after which a series has settled.

    Attributes:
        count: instances in all.
    """

    def __init__(self, quiet: float = 3.0) -> None:
        self._quiet = quiet
        self._lock = threading.Lock()
        self._series: dict[tuple[str, str], _Series] = {}
        self.count = 0

    def take(self, instances: Iterable[Instance]) -> None:
        """Instances are on the disk and in the index."""
        from slicer_notebook.pacs.dimse.store import sender_of  # needs pynetdicom, which a PACS by HTTP does not

        for instance in instances:
            sender = sender_of(instance.path)
            with self._lock:
                key = instance.StudyInstanceUID, instance.SeriesInstanceUID
                series = self._series.pop(key) if key in self._series else _Series(instance)
                # The last one that got something is the last one.
                self._series[key] = series
                series.last = time.monotonic()
                series.senders |= {sender} if sender else set()
                if instance.SOPInstanceUID not in series.instances:
                    series.instances.add(instance.SOPInstanceUID)
                    series.facts.bytes += instance.size
                    self.count += 1
                while len(self._series) > _MOST:
                    del self._series[next(iter(self._series))]

    def snapshot(self, *, ended: bool = False) -> list[SeriesKept]:
        """How it stands, series by series, the one that got something last at the end; ``ended``: all have settled."""
        now = time.monotonic()
        with self._lock:
            return [
                msgspec.structs.replace(
                    each.facts,
                    count=len(each.instances),
                    senders=sorted(each.senders),
                    settled=ended or now - each.last > self._quiet,
                )
                for each in self._series.values()
            ]
