"""The study picker: find a study, see its series, load what you choose."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import msgspec
import traitlets as t

from slicer_notebook.dicom.records import Series, Study
from slicer_notebook.errors import SessionError, UidNotFoundError
from slicer_notebook.session import Job, Session, Studies, Volume, VolumeSequence
from slicer_notebook.widgets import assets, rows
from slicer_notebook.widgets.base import SessionWidget, error_in_words, static_note
from slicer_notebook.widgets.details import Details
from slicer_notebook.widgets.loading import Loading, LoadingState

__all__ = ["StudyPicker"]

#: Thumbnails of so many series are fetched before anybody asks, so that they are there while cells run.
_AHEAD = 12

#: Seconds that the display of the cell waits for the index, so that a saved notebook shows its studies.
_SETTLE = 2.0


class StudyPicker(SessionWidget):
    """Patients, studies and series of the index; choose some, load them, go on with `value` in the next cell.

    >>> picker = sn.StudyPicker(slicer)  # doctest: +SKIP
    >>> picker.value  # doctest: +SKIP
    [<Volume '3: Chest' (vtkMRMLScalarVolumeNode1)>]

    Args:
        session: where the index and the scene are.
        thumbnail_size: pixels of a series' picture, at most.

    Attributes:
        value: what was loaded last, a list of `Volume` and `VolumeSequence`. Observable.
        selected: UIDs of the chosen series. Observable, settable.
        studies: records of the index, by patient. Observable.

    Observers are called on the notebook's main thread.
    """

    _esm = assets.esm("study_picker")
    _css = assets.css("study_picker")

    value: t.List[Volume | VolumeSequence] = t.List()
    selected = t.List(t.Unicode())
    studies: t.List[Study] = t.List()

    #: Rows of `rows.study_row`; None until the index has answered.
    _studies: Any = t.List(allow_none=True, default_value=None).tag(sync=True)
    #: Rows of `rows.series_row`, by study, of the studies that were opened.
    _series = t.Dict().tag(sync=True)
    #: What was fetched ahead, by series: ``plan``, ``png`` or ``error``.
    _ahead = t.Dict().tag(sync=True)
    #: How far loading is: ``busy``, ``position``, ``total``, ``progress``, ``text``, ``errors``, ``note``...
    _loading = t.Dict().tag(sync=True)
    #: Why the index could not be asked; empty when it could.
    _problem = t.Dict().tag(sync=True)

    def __init__(self, session: Session, *, thumbnail_size: int = 128, **kwargs: Any) -> None:
        super().__init__(session, **kwargs)
        self._load: Loading | None = None
        self._quiet = False
        self._settled = threading.Event()
        self._records: list[Study] = []
        self._details = Details(self._ask_index, thumbnail_size, self._detail_came)
        self._subscriptions.append(session.on("indexed", lambda _event: self.refresh()))
        self.observe(self._tell_selected, "selected")
        self.refresh()

    def _ask_index(self, command: str, then: Any, **args: Any) -> Job[Any] | None:
        return self._ask(command, then, database=self._session.dicom.database, **args)

    # -- the index -----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Look into the index anew. Does not wait; happens by itself when this session has indexed something."""
        if self._session.alive and not self._ended:
            self._ask_index("dicom.studies", self._studies_came, filters={})

    def _studies_came(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if isinstance(error, SessionError):
            return  # the status says it
        if error is not None:
            self._problem = error_in_words(error)
            self._settled.set()
            return
        found = [msgspec.convert(raw, Study) for raw in job.result(0)]
        with self._lock:
            self._problem = {}
            self._records = found
            self._studies = [rows.study_row(study) for study in found]
            known = {study.StudyInstanceUID for study in found}
            again = [uid for uid in self._series if uid in known]
            self._series = {uid: self._series[uid] for uid in again}
        self._home.call(lambda: self.set_trait("studies", Studies(found)))
        if not found:
            self._settled.set()
        # The first one is open from the start: most who look into a picker look there.
        for uid in again or [study.StudyInstanceUID for study in found[:1]]:
            self._open(uid)

    def _open(self, study_uid: str) -> None:
        self._ask_index(
            "dicom.series",
            lambda job: self._series_came(study_uid, job),
            study_uid=study_uid,
            filters={},
        )

    def _series_came(self, study_uid: str, job: Job[Any]) -> None:
        error = job.exception(0)
        if isinstance(error, SessionError):
            return
        if error is not None:
            self.send({"type": "series-error", "study": study_uid, **error_in_words(error)})
            return
        found = [rows.series_row(msgspec.convert(raw, Series)) for raw in job.result(0)]
        with self._lock:
            first = not self._series
            self._series = {**self._series, study_uid: found}
        if first:
            self._details.want([row["uid"] for row in found[:_AHEAD]])
        self._look_if_settled()

    def _detail_came(self, series_uid: str, detail: dict[str, Any]) -> None:
        """A plan, a thumbnail or an error of a series."""
        with self._lock:
            if series_uid in self._ahead or len(self._ahead) < _AHEAD:
                self._ahead = {**self._ahead, series_uid: {**self._ahead.get(series_uid, {}), **detail}}
                self._look_if_settled()
                return
        self._send_detail(series_uid, detail)

    def _look_if_settled(self) -> None:
        """Whether what is fetched ahead is there: a plan and a picture (or why not) of each."""
        ahead = [row["uid"] for found in self._series.values() for row in found][:_AHEAD]
        if all(len(self._ahead.get(uid, ())) == 2 for uid in ahead):
            self._settled.set()

    def _send_detail(self, series_uid: str, detail: dict[str, Any]) -> None:
        plain = {key: value for key, value in detail.items() if key != "png"}
        png = detail.get("png")
        self.send({"type": "detail", "series": series_uid, "detail": plain}, buffers=[png] if png else [])

    # -- loading -------------------------------------------------------------------------------------------------

    def load(self, series: Sequence[str | Series] | None = None) -> list[Volume | VolumeSequence]:
        """Load the chosen series, or those given, and wait; `value` is the result. (The button does not wait.)

        Raises:
            UidNotFoundError: nothing is chosen, or no such series.
            SeriesRefusedError: one would not become a correct volume.
        """
        chosen: list[str | Series] = list(series) if series is not None else list(self.selected)
        if not chosen:
            raise UidNotFoundError(
                "No series is chosen.",
                expected="at least one",
                got="none",
                hint="choose some in the picker, or picker.selected = [uid]",
            )
        volumes = self._session.dicom.load(chosen)
        self.value = volumes
        return volumes

    def _start(self, series: list[str]) -> None:
        with self._lock:
            if self._load is not None and not self._load.state.done:
                return
            loading = self._load = Loading(series, self._ask_load, self._loading_changed)
        loading.start()

    def _ask_load(self, series_uid: str, then: Any) -> Job[Any] | None:
        return self._ask_index("dicom.load", then, series_uid=series_uid, show=True)

    def _loading_changed(self, state: LoadingState) -> None:
        with self._lock:
            self._loading = {
                "busy": not state.done,
                "series": state.series,
                "position": state.position,
                "total": state.total,
                "progress": state.progress,
                "text": state.text,
                "cancelling": state.cancelling and not state.done,
                "cancelled": state.cancelled,
                "loaded": [str(volume._ref.name) for volume in state.volumes],
                "warnings": list(dict.fromkeys(state.warnings)),
                "errors": {uid: error_in_words(error) for uid, error in state.errors.items()},
            }
        if state.done and state.volumes:
            volumes = list(state.volumes)
            self._home.call(lambda: self.set_trait("value", volumes))

    # -- the browser ---------------------------------------------------------------------------------------------

    def _do_hello(self, _content: dict[str, Any]) -> None:
        self.send({"type": "selected", "series": list(self.selected)})

    def _do_open(self, content: dict[str, Any]) -> None:
        if content["study"] not in self._series:
            self._open(content["study"])

    def _do_details(self, content: dict[str, Any]) -> None:
        """Series whose cards are in view, top first; what was asked for before and is out of view is dropped."""
        wanted = []
        for uid in content["series"]:
            known = self._details.known(uid)
            if known:
                self._send_detail(uid, known)
            else:
                wanted.append(uid)
        self._details.want(wanted)

    def _do_select(self, content: dict[str, Any]) -> None:
        series = [str(uid) for uid in content["series"]]
        self._home.call(lambda: self._take_selected(series))

    def _take_selected(self, series: list[str]) -> None:
        self._quiet = True
        try:
            self.selected = series
        finally:
            self._quiet = False

    def _tell_selected(self, _change: Any) -> None:
        if not self._quiet:
            self.send({"type": "selected", "series": list(self.selected)})

    def _do_load(self, content: dict[str, Any]) -> None:
        self._start([str(uid) for uid in content["series"]])

    def _do_cancel(self, _content: dict[str, Any]) -> None:
        if self._load is not None:
            self._load.cancel()

    def _do_refresh(self, _content: dict[str, Any]) -> None:
        self.refresh()

    # -- the session's life --------------------------------------------------------------------------------------

    def _when_gone(self) -> None:
        if getattr(self, "_load", None) is not None:
            self._load.lost()  # type: ignore[union-attr]

    def _when_back(self) -> None:
        self._home.call(lambda: self.set_trait("value", []))
        self._details.forget_pending()
        self.refresh()

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        # All of it comes from Slicer's worker threads, so that this wait is safe in Slicer itself, too.
        self._settled.wait(_SETTLE)
        if self._status["state"] != "live":
            return static_note(self._status["message"])
        if self._problem:
            return static_note(f"The index could not be read. {self._problem['message']}")
        if self._studies is None:
            return static_note("The index has not answered yet.")
        pictures = {uid: detail["png"] for uid, detail in self._ahead.items() if "png" in detail}
        return rows.static_table(self._records, self._series, pictures)
