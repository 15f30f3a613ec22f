"""A feed: what newly matches a query is retrieved, look after look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from slicer_notebook.errors import JobCancelledError, SlicerNotebookError
from slicer_notebook.pacs.keys import lowest_level
from slicer_notebook.pacs.model import Record
from slicer_notebook.pacs.search import number_of

if TYPE_CHECKING:
    from slicer_notebook.pacs.pacs import Pacs

__all__ = ["Seen", "Watching"]


class Seen(msgspec.Struct, kw_only=True):
    """What a look has seen of a study: new instances, or that not all of them came.

    Attributes:
        study: Study Instance UID; "" where the PACS could not be asked.
        received, new: instances of it that are here, and of these, how many came now.
        error: what went wrong; None where nothing did.
    """

    study: str = ""
    complete: bool = False
    received: int = 0
    new: int = 0
    error: SlicerNotebookError | None = None


class Watching:
    """Looks at what matches, and retrieves it; what is here already is not fetched again.

    Args:
        keys: as for `Pacs.find`, with ``Sequence.Attribute``.
        told: told of each study of which something is new, or of which not all came.
    """

    def __init__(self, pacs: Pacs, keys: Mapping[str, Any], told: Callable[[Seen], object]) -> None:
        self._pacs = pacs
        self._level = lowest_level(keys)
        self._keys = {name.replace(".", "__"): value for name, value in keys.items()}
        self._told = told
        #: study -> how many instances it had when all of them were here
        self._known: dict[str, int] = {}
        self._cancel: Callable[[], None] = lambda: None
        self.stopped = False

    def stop(self) -> None:
        """End what is under way, and look no more."""
        self.stopped = True
        self._cancel()

    def look(self) -> bool:
        """Retrieve what is new or has grown. Whether all went well; what did not is tried again at the next look."""
        try:
            studies = self._matching()
        except JobCancelledError:
            return True
        except SlicerNotebookError as exc:
            self._told(Seen(error=exc))
            return False
        well = True
        for uid, records in studies.items():
            if self.stopped:
                break
            count = _counted(records)
            if count is None or self._known.get(uid) != count:
                well = self._retrieve(uid, records, count) and well
        return well

    def _matching(self) -> dict[str, list[Record]]:
        """What matches, study by study."""
        found = self._pacs.find(self._level, **self._keys)
        self._cancel = found.cancel
        if self.stopped:
            found.cancel()
        studies: dict[str, list[Record]] = {}
        for record in found:
            studies.setdefault(str(record.get("StudyInstanceUID") or ""), []).append(record)
        studies.pop("", None)
        return studies

    def _retrieve(self, uid: str, records: list[Record], count: int | None) -> bool:
        try:
            transfer = self._pacs.retrieve(records)
            self._cancel = transfer.cancel
            if self.stopped:
                transfer.cancel()
            report = transfer.result()
        except JobCancelledError:
            return True
        except SlicerNotebookError as exc:
            self._told(Seen(study=uid, error=exc))
            return False
        new = report.received - sum(each.here for each in report.series)
        if report.complete and count is not None:
            self._known[uid] = count
        if new or not report.complete:
            self._told(Seen(study=uid, complete=report.complete, received=report.received, new=new))
        return report.complete


def _counted(records: list[Record]) -> int | None:
    """How many instances these answers stand for; None where the PACS does not say."""
    if all(record.get("SOPInstanceUID") for record in records):
        return len(records)
    names = ("NumberOfSeriesRelatedInstances", "NumberOfStudyRelatedInstances")
    counts = [next((n for name in names if (n := number_of(each, name)) is not None), None) for each in records]
    return None if None in counts else sum(count or 0 for count in counts)
