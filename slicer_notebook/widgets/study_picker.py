"""The study picker: find a study, see its series, load what you choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import traitlets as t

from slicer_notebook.dicom.records import Series
from slicer_notebook.errors import ArgumentError, SessionError, UidNotFoundError
from slicer_notebook.session import Job, Session, Studies, Volume, VolumeSequence
from slicer_notebook.widgets import assets, rows
from slicer_notebook.widgets.base import error_in_words, static_note
from slicer_notebook.widgets.cards import AHEAD, CardsWidget
from slicer_notebook.widgets.catalogue import CatalogueReader
from slicer_notebook.widgets.indexing import Indexing
from slicer_notebook.widgets.loads import Loads

__all__ = ["COLUMNS", "StudyPicker"]

#: Columns that the table can have beside the patient; those of `DEFAULT_COLUMNS` it has from the start.
COLUMNS: Final = (
    "id",
    "born",
    "sex",
    "age",
    "date",
    "time",
    "modalities",
    "description",
    "accession",
    "referring",
    "institution",
    "series",
    "images",
)
DEFAULT_COLUMNS: Final = ("date", "modalities", "description", "series", "images")

#: Studies that are read before anybody opens one, with the details of their first series, so that they are there
#: while cells run and in a saved notebook.
_STUDIES_AHEAD: Final = 8


class StudyPicker(CardsWidget):
    """Patients, studies and series of the index; choose some, load them, go on with `value` in the next cell.

    >>> picker = sn.StudyPicker(slicer)  # doctest: +SKIP
    >>> picker.value  # doctest: +SKIP
    [<Volume '3: Chest' (vtkMRMLScalarVolumeNode1)>]

    Loading goes through the Slicer's queue (``slicer.dicom.queue``): a second notebook's picker shows the same.

    Args:
        session: where the index and the scene are.
        columns: of the table, beside the patient; of ``id``, ``born``, ``sex``, ``age``, ``date``, ``time``,
            ``modalities``, ``description``, ``accession``, ``referring``, ``institution``, ``series``, ``images``.
        hide_names: show pseudonyms in place of names; IDs, birth dates, accession numbers, physicians and institutions
            not at all. Descriptions are shown: what somebody typed into one is not looked at.
        privacy: ``"strict"`` lets nothing that tells who a patient is get into the notebook's file (PS3.15 E.1.1): the
            saved notebook then says how many studies there were, and no more. ``"normal"`` saves what was shown.
            Without it the environment variable ``SLICER_NOTEBOOK_PRIVACY`` decides.
        thumbnail_size: pixels of a series' picture, at most.

    Attributes:
        value: what was loaded last, a list of `Volume` and `VolumeSequence`. Observable.
        selected: UIDs of the chosen series. Observable, settable.
        hide_names: see above. Observable, settable.
        columns: see above. Observable, settable.

    Observers are called on the notebook's main thread.

    Raises:
        ArgumentError: no session, an unknown column or privacy.
    """

    _esm = assets.esm("study_picker", "virtual_list", "studies", "cards", "load_queue", "add_folder", "study_table")
    _css = assets.css("study_picker", "cards")

    value: t.List[Volume | VolumeSequence] = t.List()
    selected = t.List(t.Unicode())
    hide_names = t.Bool(False).tag(sync=True)
    columns = t.List(t.Unicode(), list(DEFAULT_COLUMNS)).tag(sync=True)

    def __init__(
        self,
        session: Session,
        *,
        columns: Sequence[str] = DEFAULT_COLUMNS,
        hide_names: bool = False,
        privacy: str | None = None,
        thumbnail_size: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            session,
            privacy=privacy,
            thumbnail_size=thumbnail_size,
            hide_names=hide_names,
            columns=_columns(columns),
            **kwargs,
        )
        self._quiet = False
        #: Rows of `rows.series_row`, by study, of the studies that were opened.
        self._series: dict[str, list[dict[str, Any]]] = {}
        #: Studies that are read before anybody opens one.
        self._first: list[str] = []
        self._in_scene: dict[str, list[Any]] = {}
        self._catalogue = CatalogueReader(self._ask_index, self._page_came, self._index_failed)
        self._indexing = Indexing(session, self._ask_index, self._tell_indexing)
        self._loads = Loads(session, self._ask, self._loads_changed, self._loaded)
        self._subscriptions += [
            session.on("indexed", self._on_indexed),
            session.on("loads", self._loads.take),
            session.on("scene", self._on_scene),
            session.on("study_list", self._on_study_list),
        ]
        self.observe(self._tell_selected, "selected")
        self.refresh()
        self._loads.refresh()
        self._look_into_the_scene()
        self._tell_until_greeted()

    @t.validate("columns")
    def _valid_columns(self, proposal: Any) -> list[str]:
        return _columns(proposal["value"])

    # -- the index -----------------------------------------------------------------------------------------------

    @property
    def studies(self) -> Studies:
        """Records of all studies of the index, by patient. Asks Slicer.

        Raises:
            SessionError: no Slicer to ask.
            IndexDatabaseError: the index cannot be read.
        """
        return self._session.dicom.studies()

    def refresh(self) -> None:
        """Look into the index anew. Does not wait; happens by itself when this Slicer has indexed something."""
        if self._session.alive and not self._ended:
            self._catalogue.read()

    def _on_indexed(self, event: dict[str, Any]) -> None:
        if self._concerns(event):
            with self._lock:
                self._series, self._ahead = {}, {}
            self._details.forget()
            self._catalogue.read(changed=True)

    def _on_study_list(self, event: dict[str, Any]) -> None:
        """Another program says which studies are to be shown, or what is to be searched for."""
        # Where names are hidden they are not searched either; what came may be one.
        if self._concerns(event) and not (event["search"] and self.hide_names):
            studies = event["studies"]
            self.send({"type": "list", "search": event["search"], "title": event["title"], "studies": studies})

    def _page_came(self, message: dict[str, Any], page: bytes) -> None:
        self._problem = {}
        self._send_page(message, page)
        if message["page"] != 0 or self._series:
            return
        # The first ones are read from the start: most who look into a picker look there.
        first = [study["uid"] for study in self._catalogue.studies(_STUDIES_AHEAD)]
        with self._lock:
            self._first = first
        for uid in first:
            self._open(uid)
        if not first:
            self._settled.set()

    def _send_page(self, message: dict[str, Any], page: bytes) -> None:
        # Megabytes go to a browser that listens; before, only what fills the screen is told.
        if self._greeted or message["last"] == 0:
            self.send(message, buffers=[page] if page else [])

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
            with self._lock:
                self._first = [uid for uid in self._first if uid != study_uid]
            self.send({"type": "series-error", "study": study_uid, **error_in_words(error)})
            return
        found = [rows.series_row(msgspec.convert(raw, Series)) for raw in job.result(0)]
        with self._lock:
            self._series[study_uid] = found
            # In the order of the studies, when those of all of them have come.
            ahead = [row["uid"] for uid in self._first for row in self._series.get(uid, ())][:AHEAD]
            begin = study_uid in self._first and all(uid in self._series for uid in self._first) and not self._ahead
            if begin:
                self._ahead = {uid: {} for uid in ahead}
        self.send({"type": "series", "study": study_uid, "rows": found})
        if begin:
            self._details.want(ahead)
        self._look_if_settled()

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

    def _loads_changed(
        self, entries: list[dict[str, Any]], gone: list[int], mine: list[int], *, everything: bool
    ) -> None:
        self.send({"type": "loads", "entries": entries, "gone": gone, "mine": mine, "all": everything})

    def _loaded(self, volumes: list[Volume | VolumeSequence]) -> None:
        if volumes:
            self._home.call(lambda: self.set_trait("value", volumes))

    def _load_failed(self, problem: dict[str, str]) -> None:
        self.send({"type": "load-error", **problem})

    # -- the scene -----------------------------------------------------------------------------------------------

    def _on_scene(self, event: dict[str, Any]) -> None:
        kinds = ("vtkMRMLVolumeNode", "vtkMRMLSequenceNode")
        nodes = [*event["added"], *event["removed"]]
        if any(kind in node._ref.classes for node in nodes for kind in kinds):
            self._look_into_the_scene()

    def _look_into_the_scene(self) -> None:
        self._ask("loads.loaded", self._scene_came)

    def _scene_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            self._in_scene = job.result(0)
            self._send_scene()

    def _send_scene(self) -> None:
        self.send({"type": "loaded", "series": list(self._in_scene)})

    # -- the browser ---------------------------------------------------------------------------------------------

    def _tell_all(self) -> None:
        """What a new view has to know. It is in no trait: those are saved with the notebook."""
        if self._problem:
            self.send({"type": "problem", **self._problem})
        self._catalogue.send_all(self._send_page)
        with self._lock:
            series = dict(self._series)
        for study, found in series.items():
            self.send({"type": "series", "study": study, "rows": found})
        self._send_ahead()
        self.send({"type": "selected", "series": list(self.selected)})
        self._send_scene()
        self._indexing.again()
        self._loads.show_all()

    def _do_open(self, content: dict[str, Any]) -> None:
        known = self._series.get(content["study"])
        if known is None:
            self._open(content["study"])
        else:
            self.send({"type": "series", "study": content["study"], "rows": known})

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
        series = [str(uid) for uid in content["series"]]
        self._loads.add(series, self._load_failed, show=True, database=self._session.dicom.database)

    def _do_show(self, content: dict[str, Any]) -> None:
        """A double click on a series that is in the scene: it is shown, not loaded once more."""
        nodes = self._in_scene.get(str(content["series"]), [])
        if nodes:
            self._ask("node.show", lambda _job: None, node=nodes[0], visible=True)
            self._loaded(list(nodes))

    def _do_cancel(self, content: dict[str, Any]) -> None:
        ids = content.get("ids")
        self._loads.cancel([int(number) for number in ids] if ids is not None else None)

    def _do_away(self, content: dict[str, Any]) -> None:
        self._loads.put_away([int(number) for number in content["ids"]])

    def _do_columns(self, content: dict[str, Any]) -> None:
        wanted = [str(name) for name in content["columns"] if name in COLUMNS]
        self._home.call(lambda: self.set_trait("columns", wanted))

    def _do_hide(self, content: dict[str, Any]) -> None:
        self._home.call(lambda: self.set_trait("hide_names", bool(content["on"])))

    def _tell_indexing(self, message: dict[str, Any]) -> None:
        self.send(message)

    def _do_index(self, content: dict[str, Any]) -> None:
        self._indexing.start(str(content["folder"]))

    def _do_stop_indexing(self, _content: dict[str, Any]) -> None:
        self._indexing.cancel()

    def _do_refresh(self, _content: dict[str, Any]) -> None:
        self.refresh()

    # -- the session's life --------------------------------------------------------------------------------------

    def _when_gone(self) -> None:
        loads: Loads | None = getattr(self, "_loads", None)
        if loads is not None:
            loads.lost()

    def _when_back(self) -> None:
        self._home.call(lambda: self.set_trait("value", []))
        self._details.forget()
        self._in_scene = {}
        self._send_scene()
        self.refresh()
        self._loads.refresh()

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        note = self._unsettled_note("The index")
        if note is not None:
            return note
        total = self._catalogue.total
        if total < 0:
            return static_note("The index has not answered yet.")
        if self.privacy == "strict":
            return static_note(f"The picker showed {total:,} {'study' if total == 1 else 'studies'}; privacy: strict.")
        with self._lock:
            series = dict(self._series)
        found = self._catalogue.studies(rows.STATIC_STUDIES)
        return rows.static_table(found, total, series, self._pictures_ahead(), hide_names=self.hide_names)


def _columns(wanted: Sequence[str]) -> list[str]:
    unknown = [name for name in wanted if name not in COLUMNS] if not isinstance(wanted, str) else [wanted]
    if unknown:
        raise ArgumentError(
            "The columns of the picker.", expected="a list of " + ", ".join(COLUMNS), got=repr(unknown[0])
        )
    return [name for name in COLUMNS if name in wanted]
