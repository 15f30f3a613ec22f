"""``slicer.pacs("hospital")``: a PACS, asked and fetched from where Slicer runs, or from the notebook's machine."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from slicer_notebook.dicom.records import Series, Study
from slicer_notebook.errors import ArgumentError
from slicer_notebook.pacs import prompts
from slicer_notebook.session.job import Job
from slicer_notebook.session.plans import Plan
from slicer_notebook.session.transfers import Transfer, transfer_job

if TYPE_CHECKING:
    import pandas

    from slicer_notebook.pacs.pacs import Pacs
    from slicer_notebook.pacs.storing import Stored
    from slicer_notebook.session.listening import Listening
    from slicer_notebook.session.sequences import VolumeSequence
    from slicer_notebook.session.session import Session
    from slicer_notebook.session.volumes import Volume

__all__ = ["Answer", "Answers", "SessionPacs"]

#: Columns of the table in a cell, by level.
_COLUMNS = {
    "PATIENT": ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "PatientName", "PatientID", "StudyDate", "ModalitiesInStudy", "StudyDescription", "AccessionNumber",
        "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    "SERIES": ("SeriesNumber", "Modality", "SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesInstanceUID"),
    "IMAGE": ("InstanceNumber", "SOPInstanceUID"),
}  # fmt: skip
_ROWS = 50


class Answer(dict[str, Any]):
    """An answer of a PACS: DICOM keyword -> value. Knows who gave it (``server``)."""

    server = ""


class Answers(list[Answer]):
    """Answers to one question; they show as a table.

    Attributes:
        asked: what was asked of whom, and when.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]], asked: Mapping[str, Any]) -> None:
        super().__init__(Answer(each) for each in records)
        self.asked = dict(asked)
        for each in self:
            each.server = self.asked.get("server", "")

    def frame(self) -> pandas.DataFrame:
        """A table, a row each; ``frame.attrs["asked"]`` says what was asked."""
        import pandas

        found = pandas.DataFrame(list(self))
        found.attrs["asked"] = self.asked
        return found

    def save(self, path: str | Path) -> Path:
        """Write question, date, server and answers as JSON, readable by this user only. It names patients."""
        from slicer_notebook.pacs.matches import write_cohort

        return write_cohort(path, self.asked, list(self))

    def _repr_html_(self) -> str:
        columns = _COLUMNS.get(self.asked.get("level", "STUDY"), ())
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in columns)
        rows = []
        for each in self[:_ROWS]:
            cells = (_shown(each.get(name)) for name in columns)
            rows.append("".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        noun = "answer" if len(self) == 1 else "answers"
        note = f"{len(self)} {noun} of {html.escape(str(self.asked.get('server', '')))}, {self.asked.get('when', '')}"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{note}</p>"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


class SessionPacs:
    """A configured PACS, from `Session.pacs`.

    Attributes:
        name: what it is called in the configuration.
        run: where it is asked from: "slicer", Slicer's process (its machine, its configuration), or "notebook", this
            one, which is where a PACS is asked from that is no name but itself.
    """

    def __init__(self, session: Session, name: str | Pacs, run: Literal["slicer", "notebook"] = "slicer") -> None:
        if run not in ("slicer", "notebook"):
            raise ArgumentError("Where is the PACS asked from?", expected="'slicer' or 'notebook'", got=repr(run))
        self._session = session
        self.name = name if isinstance(name, str) else name.name
        self.run = run if isinstance(name, str) else "notebook"
        self._here: str | Pacs = name

    def __repr__(self) -> str:
        return f"<PACS {self.name!r}, asked from {'Slicer' if self.run == 'slicer' else 'the notebook'}>"

    def find(
        self,
        level: str = "STUDY",
        *,
        limit: int | None = None,
        include: Iterable[str] = (),
        counts: bool = True,
        fuzzy: bool = False,
        relational: bool = False,
        **keys: Any,
    ) -> Job[Answers]:
        """Ask what there is; the job's result are `Answers`. Arguments as of `slicer_notebook.pacs.Pacs.find`.

        Raises (by the job):
            PacsNotFoundError: no PACS of that name is configured there.
            ArgumentError: no such level or attribute, a value that is none.
            PacsError: unreachable, refused, failed.
        """
        given = {key: plain_key(key, value) for key, value in ((n.replace("__", "."), v) for n, v in keys.items())}
        options = {
            "limit": limit, "include": list(include), "counts": counts, "fuzzy": fuzzy, "relational": relational,
        }  # fmt: skip
        if self.run == "notebook":
            from slicer_notebook.session.pacs_here import find_here

            return find_here(self._session, self._here, level, given, options, convert=_answers)
        return self._session.submit(
            "pacs.find",
            server=self.name,
            level=level,
            keys=given,
            **options,
            person=_somebody(),
            convert=_answers,
        )

    def retrieve(
        self,
        what: Any = None,
        *,
        study: str | None = None,
        series: str | None = None,
        instances: Iterable[str] = (),
        load: bool = False,
        show: bool = True,
    ) -> Job[Transfer]:
        """Fetch studies, series or instances into the index; the job's result is the `Transfer` at its end.

        It goes on when this notebook is gone (``run="slicer"``); what is here already is not fetched again.

        Args:
            what: answers of `find`, rows of their `frame`, records of the index, Study Instance UIDs; one or several.
            study, series, instances: UIDs.
            load: load each series as soon as it is here.
            show: show the first of them in the slice views.

        Raises:
            ArgumentError: nothing to be retrieved.
            PacsNotFoundError: no PACS of that name is configured there.

        Raises (by the job):
            RetrieveIncompleteError: not all arrived; ``details["series"]`` says what did. Again goes on from there.
            PacsError: unreachable, refused, failed by every way.
            StorageError: no room where the files go.
            UidNotFoundError: the PACS has nothing of it.
            JobCancelledError: it was cancelled; what has arrived is kept.
        """
        targets = plain_targets(what, study, series, instances)
        if self.run == "notebook":
            from slicer_notebook.session.pacs_here import retrieve_here

            return retrieve_here(self._session, self._here, targets, title_of(what, targets), load=load, show=show)
        entry = self._session.call(
            "pacs.retrieve",
            server=self.name,
            targets=targets,
            title=title_of(what, targets),
            load=load,
            show=show,
            database=self._session.dicom.database,
            by=self._session.name,
            person=_somebody(),
        )
        return transfer_job(self._session, int(entry["id"]))

    def load(
        self,
        what: Any = None,
        *,
        study: str | None = None,
        series: str | None = None,
        instances: Iterable[str] = (),
        show: bool = True,
    ) -> list[Volume | VolumeSequence]:
        """Fetch, load each series as soon as it is here, and wait for both. Arguments as of `retrieve`.

        Returns:
            The volumes and sequences. What is no image (reports, segmentations) is fetched, and not loaded.

        Raises:
            RetrieveIncompleteError, PacsError, StorageError: not all could be fetched; what was, is loaded.
            SeriesRefusedError: a series would not become a correct volume.
            JobCancelledError: it was cancelled.
        """
        from slicer_notebook.session.retrieving import loaded_of

        job = self.retrieve(what, study=study, series=series, instances=instances, load=True, show=show)
        return loaded_of(self._session, job)

    def store(
        self, *paths: str | Path, commit: bool | None = False, commit_timeout: float | None = None
    ) -> Job[Stored]:
        """Send DICOM files, folders, or series and studies of the index (by UID); the job's result says what became of
        each. Paths are those of the machine that sends.

        Args:
            commit: ask the PACS to commit itself to keeping what it has taken, and wait for its answers; None: where it
                offers that.
            commit_timeout: seconds to wait for those; by default as configured (60).

        Raises (by the job):
            ArgumentError: nothing to send; ``commit=True`` for a PACS that is spoken to by HTTP.
            PathNotFoundError, UidNotFoundError: no such file or folder, no such series or study in the index.
            PacsNotFoundError: no PACS of that name is configured there.
            JobCancelledError: it was cancelled; what was taken stays there.
        """
        from slicer_notebook.pacs.storing import plain_paths
        from slicer_notebook.session.pacs_here import store_here, stored_of

        given = plain_paths(paths)
        if self.run == "notebook":
            return store_here(self._session, self._here, given, commit, commit_timeout)
        return self._session.submit(
            "pacs.store",
            server=self.name,
            paths=given,
            commit=commit,
            commit_timeout=commit_timeout,
            database=self._session.dicom.database,
            person=_somebody(),
            convert=stored_of,
        )

    def plan(self, series: Mapping[str, Any] | Series, *, strict: bool = False, rectify: bool = False) -> Plan:
        """What a series will become, before it is retrieved: geometry, gaps, phases, from headers that the PACS gives.

        Args:
            series: an answer at the level of series.
            strict: refuse what would have to be resampled or filled.
            rectify: resample a tilted stack onto a grid at right angles.

        Raises:
            PacsError: it gives no headers.
        """
        import msgspec

        study, uid = _series_uids(series)
        if self.run == "notebook":
            from slicer_notebook.session.pacs_here import plan_here

            job = plan_here(self._session, self._here, study, uid, strict=strict, rectify=rectify)
        else:
            job = self._session.submit(
                "pacs.plan", server=self.name, study=study, series=uid, strict=strict, rectify=rectify,
                person=_somebody(),
            )  # fmt: skip
        return msgspec.convert(self._session.wait(job), Plan)

    def thumbnail(self, series: Mapping[str, Any] | Series, size: int = 128) -> bytes:
        """A picture of a series, PNG or JPEG: as the PACS draws it, else of one instance that is fetched.

        Raises:
            PacsError: it gives no picture.
        """
        study, uid = _series_uids(series)
        if self.run == "notebook":
            from slicer_notebook.session.pacs_here import thumbnail_here

            job = thumbnail_here(self._session, self._here, study, uid, size)
        else:
            job = self._session.submit(
                "pacs.thumbnail", server=self.name, study=study, series=uid, size=size,
                database=self._session.dicom.database, person=_somebody(),
            )  # fmt: skip
        found: bytes = self._session.wait(job)
        return found

    def listen(self, *, port: int | Literal["free"] | None = None) -> Listening:
        """Have the PACS push ("send to SLICER"): what comes is kept, and is in the study picker; until it is stopped.

        It listens when this returns, and goes on when this notebook is gone (``run="slicer"``). Asked for again, it is
        the same that listens already. ``slicer.on("listening", ...)`` tells what comes.

        Args:
            port: instead of the configured one; 0 or "free": a free one, as without any.

        Raises:
            PacsNotFoundError: no PACS of that name is configured there.
            ArgumentError: it speaks no DIMSE; no such port.
            PacsError: the port is another program's.
            StorageError: the folder cannot be written.
        """
        from slicer_notebook.session.listening import listen_here, listen_in_slicer

        if not isinstance(self._here, str):
            raise ArgumentError(f"{self.name!r} sends nothing by itself.", expected="a PACS that is configured")
        return (listen_here if self.run == "notebook" else listen_in_slicer)(self._session, self.name, port)

    def test(self) -> Job[Any]:
        """Look what works, step by step, and what to do where something does not; see `slicer_notebook.pacs.test`."""
        from slicer_notebook.session.pacs_here import report_of, test_here

        if self.run == "notebook":
            return test_here(self._session, self._here)
        return self._session.submit("pacs.test", server=self.name, person=_somebody(), convert=report_of)


def _somebody() -> bool:
    """Whether somebody is here who can be asked to sign in."""
    return prompts.person() is not None


def _answers(raw: dict[str, Any]) -> Answers:
    return Answers(raw["records"], raw["asked"])


def plain_key(name: str, value: Any) -> Any:
    """A key's value as it can be sent: dates and times as texts, numbers of a table as numbers.

    A set means any of its values; as a list, two dates would be a range.
    """
    import datetime

    if isinstance(value, set | frozenset):
        return "\\".join(sorted(str(plain_key(name, each)) for each in value))
    if isinstance(value, list | tuple):
        return [plain_key(name, each) for each in value]
    if isinstance(value, Mapping):
        return {str(inner): plain_key(str(inner), each) for inner, each in value.items()}
    if isinstance(value, datetime.date | datetime.time):
        return _moment(name, value)
    if value is None or isinstance(value, str | int | float):
        return value
    return value.item() if hasattr(value, "item") else str(value)


def _moment(name: str, value: Any) -> str:
    """A date, a time, or both, as the attribute has it."""
    from pydicom.datadict import dictionary_VR

    from slicer_notebook.dicom.attributes import tag_of
    from slicer_notebook.pacs.moments import MOMENTS, moment

    keyword = name.rpartition(".")[2]
    try:
        vr = dictionary_VR(tag_of(keyword))
    except KeyError:
        vr = ""
    return moment(keyword, vr, value) if vr in MOMENTS else str(value)


def plain_targets(what: Any, study: str | None, series: str | None, instances: Iterable[str]) -> list[dict[str, Any]]:
    """What is to be retrieved, as the commands take it.

    Raises:
        ArgumentError: nothing, or something without its study.
    """
    from slicer_notebook.pacs.pacs import targets_of

    found = targets_of(what, study=study, series=series, instances=instances)
    if not found:
        raise ArgumentError("Retrieve what?", expected="answers of find(), or UIDs", got="nothing")
    targets: list[dict[str, Any]] = []
    for target in found:
        words = {"StudyInstanceUID": target.study, "SeriesInstanceUID": target.series}
        targets += [{**words, "SOPInstanceUID": uid} for uid in sorted(target.instances)] or [words]
    return targets


def title_of(what: Any, targets: list[dict[str, Any]]) -> str:
    """What is retrieved, in words that name no patient."""
    if len(targets) == 1:
        first = _first(what)
        for name in ("SeriesDescription", "StudyDescription", "Modality"):
            value = first.get(name) if isinstance(first, Mapping) else getattr(first, name, None)
            if isinstance(value, str) and value.strip():
                return value.strip()
    studies = {target["StudyInstanceUID"] for target in targets}
    series = {target["SeriesInstanceUID"] for target in targets if target["SeriesInstanceUID"]}
    instances = sum(1 for target in targets if target.get("SOPInstanceUID"))
    if series:
        words = "a series" if len(series) == 1 else f"{len(series)} series"
        return words if not instances else f"{instances} instances of {words}" if instances > 1 else "an instance"
    return "a study" if len(studies) == 1 else f"{len(studies)} studies"


def _first(what: Any) -> Any:
    """The first of what names something to be retrieved, where it says more than a UID."""
    if hasattr(what, "to_dict"):  # a table, or a row of one
        what = what.to_dict("records") if hasattr(what, "columns") else what.to_dict()
    if isinstance(what, list | tuple):
        what = what[0] if what else None
    return what if isinstance(what, Study | Series | Mapping) else None


def _series_uids(series: Any) -> tuple[str, str]:
    if isinstance(series, Mapping):
        found = series.get("StudyInstanceUID"), series.get("SeriesInstanceUID")
    else:
        found = getattr(series, "StudyInstanceUID", None), getattr(series, "SeriesInstanceUID", None)
    if not all(found):
        raise ArgumentError(
            "Which series?",
            expected="an answer of find('SERIES'), with study and series UIDs",
            got=type(series).__name__,
        )
    return str(found[0]), str(found[1])
