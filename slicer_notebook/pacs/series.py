"""One series on its way here: what the PACS has of it, what is here, what is missing, and when that is nothing.

What a PACS says of a series may be wrong, and its answers may contradict each other. There are four witnesses: the
count of its instances, the list of them, what came, and the end of a transfer of the whole (how many were sent).

- Whatever is listed has to be here. An instance that is here and not listed, and that the PACS says it has when asked,
  or that it has sent, counts as listed; then the list is known to be cut off.
- Where count and list agree, or the count is lower than the list, that is all; without a count the list is, unless it
  has a round number of instances.
- Where the count is higher than the list, or the list was cut off, a transfer of the whole has to end well (all that
  the PACS says it has sent came, and could be kept): after that the list, with what came, is all, and the count wrong.
- Of a series of which nothing is here, the list is not asked for where it would say nothing new: the PACS counts the
  instances, a transfer of the whole has ended well, and as many came, each whole and once, as the PACS counts and says
  that it has sent. Count and list are of one data base, what is sent is of the store: these witnesses are better ones.
- Where there is no list, the count has to be reached exactly. One that is exceeded needs a transfer of the whole that
  ended well; one that is not reached stays a lack, whatever the transfer says.
- Where there is neither, only a transfer of the whole tells.

That a transfer of the whole has ended well, or began and did not, is noted (`settled`) where the rest does not suffice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from slicer_notebook.dicom.records import Instance
from slicer_notebook.pacs.model import Fetch, Record
from slicer_notebook.pacs.reports import SeriesReport
from slicer_notebook.pacs.search import number_of
from slicer_notebook.pacs.settled import Note
from slicer_notebook.pacs.tries import Form

__all__ = ["SeriesTransfer", "Target"]

_COUNT = "NumberOfSeriesRelatedInstances"
#: Reasons that are kept of one series.
_MOST_REASONS = 40
#: Lists are cut off at multiples of this.
_ROUND = 50
#: UIDs of missing instances in a report.
_MOST_MISSING = 1000


class Target(NamedTuple):
    """What somebody wants: a study, a series of it, or instances of that."""

    study: str
    series: str | None = None
    instances: frozenset[str] = frozenset()


class SeriesTransfer:
    """See the module.

    Args:
        target: what it is part of.
        uid: Series Instance UID; "" for what a study has beside the series that the PACS tells.
        record: the PACS's answer at the level of series.
        here: SOP Instance UIDs that are here already.
        note: what was noted of it.
    """

    def __init__(self, target: Target, uid: str, record: Record, here: set[str], note: Note | None = None) -> None:
        self.target = target
        self.study = target.study
        self.uid = uid
        self.state = "waiting"
        self._record = record
        self._lock = threading.RLock()
        self._here = here
        self._were_here = len(here)
        self._note = note
        #: None: it does not count, or says that there are none, which cannot be
        self._count: int | None = number_of(record, _COUNT) or None
        #: SOP Instance UID -> SOP Class UID ("" unknown) of what the PACS lists, or has though it does not list it;
        #: None: it lists none
        self._listed: dict[str, str] | None = None
        #: how many of them its list had, and whether it has been seen to be cut off
        self._in_list = 0
        self._cut_off = False
        self._classes: frozenset[str] = frozenset()
        #: what it has sent
        self._came: set[str] = set()
        #: how many it says that it has sent, when it sent the whole
        self._said: int | None = None
        #: whether a transfer of the whole has ended well
        self._whole_ended = False
        #: whether one began, in this retrieval or another, and has not
        self._broken_off = note is not None and not note.ended
        #: whether the study's own count says that something of it is missing
        self._doubted = False
        self._tried_whole = False
        self._asked: set[str] = set()
        self._retried = 0
        self._bytes = 0
        self._ways: list[str] = []
        self._reasons: list[str] = []
        self._warnings: list[str] = []
        self._began = 0.0
        self._seconds = 0.0
        self._lossy: set[str] = set()

    # -- what the PACS has ---------------------------------------------------------------------------------------

    def counted_again(self, record: Record) -> bool:
        """A later answer at the level of series; whether the series has grown since."""
        count = number_of(record, _COUNT)
        if self.target.instances or count is None or count <= (self._count or 0) or count <= len(self._here):
            return False
        self._count = count
        self._look_again()
        return True

    def doubt(self) -> bool:
        """The study's count says that something is missing: a transfer of the whole has to tell. Whether it has not."""
        if self._whole_ended or self.target.instances or self.verified:
            return False
        self._doubted = True
        self._look_again()
        return True

    def _look_again(self) -> None:
        self.state, self._whole_ended, self._tried_whole = "waiting", False, False

    def has_classes(self, classes: frozenset[str]) -> None:
        """SOP classes that may be in it, as the PACS says of its study."""
        self._classes = classes

    def listed(self, records: Iterable[Record], *, cut_off: bool = False) -> None:
        """The PACS's answers at the level of instances.

        Args:
            cut_off: they are known not to be all.
        """
        found: dict[str, str] = {}
        for record in records:
            uid = str(record.get("SOPInstanceUID") or "")
            if uid and record.get("SeriesInstanceUID") in (None, self.uid):
                found[uid] = str(record.get("SOPClassUID") or "")
        if not found:
            return  # no series is empty: it does not list
        with self._lock:
            self._in_list, self._cut_off = len(found), cut_off
            self._listed = found
            # What came before the list was asked for again.
            self._also_there(dict.fromkeys(self._came - set(found), ""))
            note = self._note
            if note is not None and note.ended and (note.counted, note.listed) == (self._count, self._in_list):
                self._whole_ended = self._whole_ended or len(self._here) >= note.here

    def _also_there(self, unlisted: dict[str, str]) -> None:
        if self._listed is not None and unlisted:
            self._listed.update(unlisted)
            self._cut_off = True

    def listed_again(self, records: Iterable[Record]) -> bool:
        """Later answers at the level of instances, where the PACS does not count; whether the series has grown."""
        with self._lock:
            known = set(self._listed or ())
            if self.target.instances or self._count is not None or not known:
                return False
            self.listed(records, cut_off=self._cut_off)
            grown = bool(set(self._listed or ()) - known)
        if grown:
            self._look_again()
        return grown

    def vouch(self) -> None:
        """The study's own count says that all is here, where nothing is known of the series."""
        if self._listed is None and self._count is None:
            self._whole_ended = True

    def lists(self, uid: str) -> bool:
        """Whether the PACS has named an instance."""
        return uid in (self._listed or ())

    def unlisted(self) -> set[str]:
        """What is here and not in the PACS's list: perhaps it has that, too."""
        with self._lock:
            if self._listed is None or self.target.instances:
                return set()
            return self._here - set(self._listed)

    def confirmed(self, instances: dict[str, str]) -> None:
        """Of `unlisted`, what the PACS has: SOP Instance UID -> SOP Class UID."""
        with self._lock:
            self._also_there(instances)

    def settle_without_a_list(self) -> None:
        """The PACS lists nothing: what was noted counts, where its count is the same."""
        note = self._note
        if self._listed is None and note is not None and note.ended and note.listed is None:
            same = self._count is not None and note.counted == self._count
            self._whole_ended = self._whole_ended or (same and len(self._here) >= note.here)

    @property
    def counted(self) -> bool:
        """Whether the PACS counts its instances."""
        return self._count is not None

    @property
    def verified(self) -> bool:
        """Whether the PACS's count and its list agree."""
        return self._listed is not None and self._count == len(self._listed)

    @property
    def may_go_unlisted(self) -> bool:
        """Whether it may be fetched before its instances are listed: see `as_counted`."""
        return self._count is not None and not self._here and not self.target.instances and self._note is None

    @property
    def as_counted(self) -> bool:
        """Whether no list is needed: all that the PACS counts, and says that it has sent, came, and nothing else."""
        with self._lock:
            said = self._said in (None, self._count)
            return self._listed is None and self._whole_ended and said and len(self._here) == self._count

    @property
    def expected(self) -> int | None:
        """How many instances there are to be; None where nobody knows."""
        with self._lock:
            if self.target.instances:
                return len(self.target.instances)
            known = len(self._listed) if self._listed is not None else None
            if known is not None and (self._whole_ended or self._count is None):
                return known
            numbers = [number for number in (self._count, known, len(self._came) or None) if number is not None]
            if self._whole_ended and self._listed is None:
                numbers.append(len(self._here))
            return max(numbers) if numbers else self._said

    @property
    def received(self) -> int:
        """How many of these are here."""
        with self._lock:
            if self.target.instances:
                return len(self._here & self.target.instances)
            if self._listed is not None:
                return len(self._here & set(self._listed))
            expected = self.expected
            return len(self._here) if expected is None else min(len(self._here), expected)

    @property
    def lacking(self) -> int | None:
        """How many are not here; None where nobody knows."""
        with self._lock:
            expected = self.expected
            return None if expected is None else max(len(self.missing()), expected - self.received)

    @property
    def count_here(self) -> int:
        """How many instances of it are here, whether the PACS has them or not."""
        return len(self._here)

    def missing(self) -> list[str]:
        """SOP Instance UIDs that are known and not here: as the PACS lists them, or sorted where they were named."""
        with self._lock:
            if self.target.instances:
                return sorted(self.target.instances - self._here)
            return [uid for uid in self._listed or () if uid not in self._here]

    def all_here(self) -> bool:
        """Whether all is here, as far as the PACS tells what it has: see the module."""
        with self._lock:
            if self.missing():
                return False
            if self.target.instances:
                return True
            return self._all_of_the_count() if self._listed is None else self._all_of_the_list(len(self._listed))

    def _all_of_the_count(self) -> bool:
        if self._count is None:
            return self._whole_ended and bool(self._here)  # no series is empty
        if self._whole_ended:
            return len(self._here) >= self._count
        return len(self._here) == self._count and not self._broken_off and not self._doubted

    def _all_of_the_list(self, listed: int) -> bool:
        if self._whole_ended or self.verified:
            return True
        if self._doubted:
            return False
        if self._count is None:
            return self._trusted
        return listed >= self._count and not self._broken_off

    @property
    def _trusted(self) -> bool:
        """Whether what the PACS says suffices to see that something is missing."""
        if self._listed is None or self._count is not None:
            return self.verified or self.as_counted
        # Without a count: a list of a round number may have been cut off there.
        return not self._cut_off and self._in_list % _ROUND != 0

    @property
    def complete(self) -> bool:
        """Whether it has ended with all here."""
        return self.state == "complete"

    # -- notes ---------------------------------------------------------------------------------------------------

    def note_of_beginning(self) -> Note | None:
        """What is to be noted before the whole is fetched: where the PACS's words will not tell that it broke off."""
        if self.target.instances or self._trusted:
            return None
        return Note(counted=self._count, here=len(self._here), ended=False)

    def note_of_end(self) -> Note | None:
        """What is to be noted when all is here; None where the PACS's words will suffice."""
        if self.target.instances or self._trusted or not self._whole_ended:
            return None
        listed = self._in_list if self._listed is not None else None
        return Note(counted=self._count, listed=listed, here=len(self._here), ended=True)

    # -- fetching ------------------------------------------------------------------------------------------------

    def begin(self, here: set[str]) -> None:
        """Work on it begins; ``here``: what is here by now."""
        with self._lock:
            self._here |= here
            if not self._began:
                self._were_here = len(self._here)
        self.state = "fetching"
        self._began = self._began or time.monotonic()

    def end(self, state: str) -> None:
        """Work on it has ended: "complete", "incomplete" or "failed"."""
        self.state = state
        self._seconds = time.monotonic() - self._began if self._began else 0.0
        self._warnings = []
        if self._listed is not None and self._count not in (None, len(self._listed)) and not self.target.instances:
            self._warnings.append(f"the PACS counts {self._count} instances and has {len(self._listed)}")
        if self._listed is not None and self._cut_off and len(self._listed) > self._in_list:
            self._warnings.append(f"the PACS lists {self._in_list} instances and has at least {len(self._listed)}")
        if self._lossy:
            self._warnings.append(
                f"{len(self._lossy)} instances came in a lossy transfer syntax without being marked as lossy"
            )

    def try_by(self, way: str) -> None:
        """A way is tried."""
        if way not in self._ways:
            self._ways.append(way)

    def say(self, *reasons: str) -> None:
        """Why something is done otherwise."""
        with self._lock:
            for reason in reasons:
                if len(self._reasons) < _MOST_REASONS and (not self._reasons or self._reasons[-1] != reason):
                    self._reasons.append(reason)

    def warn(self, text: str) -> None:
        """Something is odd about it. After `end`."""
        self._warnings.append(text)

    @property
    def forms(self) -> tuple[Form, ...]:
        """How it can be asked for, the better form in front."""
        if self.target.instances:
            return ("instances",)
        if not self.missing():
            return ("whole",)
        return ("instances", "whole") if self._here or self._tried_whole else ("whole", "instances")

    def what_to_fetch(self, form: Form, chunk: int) -> Iterator[Fetch]:
        """The next try: all at once, or what is missing, in pieces."""
        with self._lock:
            missing = self.missing()
            classes = frozenset((self._listed or {}).values()) or self._classes
        modality = self._record.get("Modality")
        series = self.uid or None
        if form == "whole":
            self._tried_whole = True
            self._broken_off = not self._trusted
            yield Fetch(
                study=self.study,
                series=series,
                sop_classes=classes if "" not in classes else frozenset(),
                modality=modality,
                expected=self.expected,
            )
            return
        self._retried += sum(1 for uid in missing if uid in self._asked or self._tried_whole)
        for start in range(0, len(missing), chunk):
            part = tuple(missing[start : start + chunk])
            self._asked.update(part)
            of_part = frozenset((self._listed or {}).get(uid, "") for uid in part)
            yield Fetch(
                study=self.study,
                series=series,
                instances=part,
                sop_classes=of_part if "" not in of_part else frozenset(),
                modality=modality,
                expected=len(part),
            )

    def whole_fetched(self, said: int | None, came: int, *, all_kept: bool) -> None:
        """A transfer of the whole has ended, and the peer says well.

        Args:
            said: how many instances the peer says that it has sent; None: it does not say.
            came: how many came.
            all_kept: whether all that came could be kept.
        """
        if said is not None:
            self._said = max(said, self._said or 0)
        if all_kept and came >= (said or 0):
            self._whole_ended, self._broken_off, self._doubted = True, False, False

    def came_with(self, study: SeriesTransfer) -> None:
        """It came in a transfer of its whole study, of which nobody knew that it has this series."""
        self._whole_ended = self._whole_ended or study._whole_ended
        self._tried_whole = True

    def take(self, instance: Instance) -> None:
        """An instance is on the disk and in the index."""
        from slicer_notebook.pacs.dimse.contexts import LOSSY  # needs pynetdicom, which most who import this do not

        uid = instance.SOPInstanceUID
        with self._lock:
            self._here.add(uid)
            self._came.add(uid)
            if self._listed is not None and uid not in self._listed:
                self._also_there({uid: instance.SOPClassUID})
            self._bytes += instance.size
            if instance.TransferSyntaxUID in LOSSY and instance.LossyImageCompression == "00":
                self._lossy.add(uid)

    # -- telling -------------------------------------------------------------------------------------------------

    def report(self) -> SeriesReport:
        """How it stands."""
        with self._lock:
            lacking = 0 if self.complete else self.lacking or 0
            # What came of a study as a whole is told of with its series.
            expected, received = (self.expected, self.received) if self.uid else (None, 0)
            seconds = self._seconds or (time.monotonic() - self._began if self._began else 0.0)
            return SeriesReport(
                StudyInstanceUID=self.study,
                SeriesInstanceUID=self.uid,
                SeriesNumber=number_of(self._record, "SeriesNumber"),
                SeriesDescription=_text(self._record.get("SeriesDescription")),
                Modality=_text(self._record.get("Modality")),
                expected=expected,
                received=received,
                missing=lacking if self.uid else 0,
                missing_uids=self.missing()[:_MOST_MISSING],
                here=min(self._were_here, received),
                retried=self._retried,
                seconds=round(seconds, 3),
                bytes=self._bytes,
                ways=list(self._ways),
                reasons=list(self._reasons),
                warnings=list(self._warnings),
                state=self.state,
            )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
