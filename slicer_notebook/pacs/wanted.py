"""What is to be retrieved, series by series: as the PACS tells it, and beside that what it has without telling."""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from slicer_notebook.dicom.archives import is_there
from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import DicomError, InputError, PacsError
from slicer_notebook.pacs.arrivals import study_folder
from slicer_notebook.pacs.model import Cancelled, Record
from slicer_notebook.pacs.series import SeriesTransfer, Target
from slicer_notebook.pacs.settled import Note, Notes
from slicer_notebook.pacs.survey import StudyFacts, Survey

__all__ = ["NOBODY", "Wanted"]

NOBODY: Final = "nobody asked for it"
_IS_UID: Final = re.compile(r"[0-9.]{1,64}")


class Wanted:
    """The series of one retrieval. Used by several threads.

    A study may have more series than the PACS names: then all of it is fetched, as a series whose UID is empty, and
    what came with it is looked at like the others.

    Args:
        targets: what is wanted.
        survey: asks the PACS.
        folder, index: where files go, and what knows what is here.

    Attributes:
        queue: series that are to be fetched.
        warnings: what is odd about studies.
    """

    def __init__(
        self, targets: Iterable[Target], survey: Survey, folder: Path, index: Index, cancelled: Cancelled
    ) -> None:
        self.queue: deque[SeriesTransfer] = deque()
        self.warnings: list[str] = []
        self.lock = threading.RLock()
        self._survey = survey
        self._folder = folder
        self._index = index
        self._cancelled = cancelled
        self._notes = Notes(folder)
        self._targets: dict[str, list[Target]] = {}
        for target in targets:
            self._targets.setdefault(target.study, []).append(target)
        self._facts: dict[str, StudyFacts] = {}
        self._series: dict[tuple[str, str], SeriesTransfer] = {}
        #: study -> what it has beside the series that the PACS names
        self._rest: dict[str, SeriesTransfer] = {}
        #: series that came with that
        self._found: dict[str, list[SeriesTransfer]] = {}
        self._named_one = False

    # -- asking --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Ask what there is.

        Raises:
            PacsError: the PACS cannot be asked.
            JobCancelledError: it was cancelled.
        """
        for study, targets in self._targets.items():
            self._look_into_the_folder(study)
            records = self._ask(study, targets)
            with self.lock:
                self._named_one = self._named_one or bool(records)
                for record in records:
                    self._add(study, record)
                self._add_unnamed(study, targets, named=bool(records))

    def look_again(self) -> None:
        """After all was fetched: what has grown since, and what cannot be all, is to be fetched."""
        for study, targets in self._targets.items():
            with contextlib.suppress(PacsError):  # what was known before is here
                for record in self._ask(study, targets):
                    self._add(study, record)
                self._list_again(study)
            with self.lock:
                self._look_at_the_counts(study, targets)

    def _ask(self, study: str, targets: list[Target]) -> list[Record]:
        if any(target.series is None for target in targets):
            self._facts[study] = self._survey.study(study)
        return self._survey.series(study, targets[0].series if len(targets) == 1 else None)

    def _list_again(self, study: str) -> None:
        for series in self._of(study):
            if series.complete and not series.counted:
                listing = self._survey.instances(study, series.uid)
                if series.listed_again(listing.records):
                    self.queue.append(series)

    def _look_into_the_folder(self, study: str) -> None:
        """Files that a process that was killed has not put into the index any more."""
        folder = study_folder(self._folder, study)
        if folder.is_dir():
            # Nothing usable there, or a file that is no DICOM: then nothing of it is here.
            with contextlib.suppress(InputError, DicomError):
                self._index.add(folder, cancelled=self._cancelled)

    # -- series --------------------------------------------------------------------------------------------------

    def _target(self, study: str, series: str) -> Target | None:
        """What a series was wanted by."""
        targets = self._targets.get(study, ())
        return next((target for target in targets if target.series in (None, series)), None)

    def _add(self, study: str, record: Record) -> None:
        uid = str(record.get("SeriesInstanceUID") or "")
        target = self._target(study, uid)
        if target is None:
            return
        with self.lock:
            known = self._series.get((study, uid))
            if known is None:
                self.queue.append(self._new(target, uid, record))
            elif known.state != "waiting" and known.counted_again(record):
                self.queue.append(known)

    def _new(self, target: Target, uid: str, record: Record) -> SeriesTransfer:
        note = self._notes.read(target.study, uid) if uid else None
        made = SeriesTransfer(target, uid, record, self.held(target.study, uid), note)
        made.has_classes(self._facts.get(target.study, StudyFacts()).classes)
        if uid:
            self._series[target.study, uid] = made
        else:
            self._rest[target.study] = made
        return made

    def _add_unnamed(self, study: str, targets: list[Target], *, named: bool) -> None:
        """What is wanted and the PACS does not name: fetching tells whether it is there."""
        for target in targets:
            if target.series is not None:
                if (study, target.series) not in self._series:
                    self.queue.append(self._new(target, target.series, {}))
            elif not named:
                held = self._index.holdings(study)
                if held and self._facts[study].instances == self._count_held(study):
                    # It names no series at all, and all that it counts is here.
                    self.queue.extend(self._new(target, uid, {}) for uid in held)
                else:
                    self.queue.append(self._new(target, "", {}))

    def _look_at_the_counts(self, study: str, targets: list[Target]) -> None:
        """Whether the study has more, by its own counts, than its series have by theirs."""
        facts, whole = self._facts.get(study, StudyFacts()), next((t for t in targets if t.series is None), None)
        series = self._of(study)
        if whole is None or not series:
            return
        if facts.series is not None and len(series) < facts.series and study not in self._rest:
            note = self._notes.read(study)
            if note is None or not note.ended or note.counted != facts.series or len(series) < note.here:
                self.queue.append(self._new(whole, "", {}))
                return
        if any(not each.complete for each in series):
            return
        counted, here = facts.instances, sum(each.count_here for each in series)
        if counted is not None and here < counted:
            doubted = [each for each in series if each.doubt()]
            self.queue.extend(doubted)
            if not doubted:
                self._warn(f"the PACS counts {counted} instances in a study of which it has {here}")

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _of(self, study: str) -> list[SeriesTransfer]:
        with self.lock:
            return [each for each in self._series.values() if each.study == study]

    # -- what is here --------------------------------------------------------------------------------------------

    def held(self, study: str, series: str) -> set[str]:
        """Instances of a series (without one: of a study) that are here: in the index, and on the disk."""
        held = self._index.holdings(study, series or None)
        return {sop for instances in held.values() for sop, paths in instances.items() if any(map(is_there, paths))}

    def _count_held(self, study: str) -> int:
        return len(self.held(study, ""))

    def all_of_the_study(self, study: str) -> bool:
        """Whether as many instances of a study are here as the PACS counts in it."""
        counted = self._facts.get(study, StudyFacts()).instances
        return counted is not None and counted == self._count_held(study)

    # -- fetching ------------------------------------------------------------------------------------------------

    def refused(self, instance: Instance) -> str | None:
        """Why nobody wants an instance, in words; None if somebody does."""
        uid, study = instance.SOPInstanceUID, instance.StudyInstanceUID
        for target in self._targets.get(study, ()):
            if target.series not in (None, instance.SeriesInstanceUID):
                continue
            if target.instances and uid not in target.instances:
                continue
            series = self._series.get((study, instance.SeriesInstanceUID))
            if target.instances or _IS_UID.fullmatch(uid) or (series is not None and series.lists(uid)):
                return None
            return "its SOP Instance UID is none (PS3.5 9.1), and the PACS does not list it"
        return NOBODY

    def asks_for(self, study: str) -> bool:
        """Whether anything of a study is wanted."""
        return study in self._targets

    def take(self, instances: Iterable[Instance]) -> None:
        """Instances are on the disk and in the index."""
        with self.lock:
            for instance in instances:
                study, uid = instance.StudyInstanceUID, instance.SeriesInstanceUID
                series = self._series.get((study, uid))
                rest = self._rest.get(study)
                if series is None:
                    series = self._unexpected(study, uid, instance)
                for each in (series, rest):
                    if each is not None:
                        each.take(instance)

    def _unexpected(self, study: str, uid: str, instance: Instance) -> SeriesTransfer | None:
        target = self._target(study, uid)
        if target is None:
            return None
        made = self._new(target, uid, msgspec.to_builtins(instance))
        if study in self._rest and self._rest[study].state == "fetching":
            self._found.setdefault(study, []).append(made)
        else:
            self.queue.append(made)
        return made

    def begun_whole(self, series: SeriesTransfer) -> None:
        """Note that a transfer of the whole begins, where nothing else would tell that it broke off."""
        note = series.note_of_beginning()
        if note is not None and series.uid:
            self._notes.write(note, series.study, series.uid)

    def ended(self, series: SeriesTransfer) -> None:
        """Work on a series has ended: note what it has shown, have what came with it looked at."""
        if series.uid:
            if not series.all_here():
                return
            note = series.note_of_end()
            if note is not None:
                self._notes.write(note, series.study, series.uid)
            else:
                self._notes.forget(series.study, series.uid)
            return
        with self.lock:
            found = self._found.pop(series.study, [])
            for each in found:
                each.came_with(series)
            self.queue.extend(found)
            counted = self._facts.get(series.study, StudyFacts()).series
            if series.all_here() and counted is not None:
                here = len(self._of(series.study))
                self._notes.write(Note(counted=counted, here=here, ended=True), series.study)

    # -- telling -------------------------------------------------------------------------------------------------

    @property
    def shown(self) -> list[SeriesTransfer]:
        """Series that a report names: the rest of a study only where it lacks something, or nothing else is known."""
        with self.lock:
            studies = {study for study, _ in self._series}
            rest = [each for study, each in self._rest.items() if not each.complete or study not in studies]
            return [*self._series.values(), *rest]

    @property
    def nothing_there(self) -> bool:
        """Whether the PACS has named nothing of what is wanted, and nothing of it has come or is here."""
        with self.lock:
            return not self._named_one and not any(each.count_here for each in self.shown)

    @property
    def still_to_come(self) -> int:
        """How many instances will come, as far as is known."""
        with self.lock:
            return sum(each.lacking or 0 for each in self._series.values())
