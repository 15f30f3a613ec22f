"""The segments of a segmentation as a table: eyes, colours, names, opacities, order; voxels and volumes on demand."""

from __future__ import annotations

from typing import Any, Final

import traitlets as t

from slicer_notebook.errors import error_in_words
from slicer_notebook.session import Job, Segmentation, Volume
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import static_note
from slicer_notebook.widgets.segment_rows import SegmentRows, check_nodes, segment_count
from slicer_notebook.widgets.threads import Pacer

__all__ = ["SegmentTable"]

#: Seconds between two pages for the saved notebook, at least, while things change.
_SAVE: Final = 2.0
#: What is told of a measurement, of as much as was measured.
_MEASURES: Final = ("voxels", "volume_mm3", "sampled", "mean", "std", "min", "max", "median")


class SegmentTable(SegmentRows):
    """The segments of a segmentation, a row for each; views follow it, and it follows whoever else changes them.

    Names are edited in place (double click, F2), colours and opacities chosen, rows dragged to another place. Arrow
    keys choose a segment, space shows or hides it, Alt and an arrow moves it, Delete pressed twice removes it.

    Args:
        segmentation: whose.
        volume: whose values are measured as well, when the person asks for voxels and volumes.
        privacy: ``"strict"`` leaves names out of what a saved notebook shows. What the environment variable
            ``SLICER_NOTEBOOK_PRIVACY`` says without it.

    Attributes:
        selected: id of the chosen segment, None for none. Observable, and may be set.

    Raises:
        ArgumentError: that is no segmentation, or no volume.
    """

    _esm = assets.esm("segment_table", "segment_list")
    _css = assets.css("segment_table", "segment_list")
    _state_command = "segmentation.table"

    selected = t.Unicode(None, allow_none=True)

    def __init__(
        self, segmentation: Segmentation, volume: Volume | None = None, *, privacy: str | None = None, **kwargs: Any
    ) -> None:
        check_nodes(segmentation, volume)
        self.privacy = checked(privacy)
        self._volume = volume
        #: id → (number that changes with the voxels, None of a segment that is not in the table yet; what was measured)
        self._measures: dict[str, tuple[int | None, dict[str, Any]]] = {}
        self._saving = Pacer(self._save, _SAVE)
        super().__init__(segmentation, **kwargs)
        self.observe(self._was_selected, names=["selected"])
        self._begin()

    def _chosen(self) -> str | None:
        found: str | None = self.selected
        return found

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _state_changed(self, before: dict[str, Any]) -> None:
        super()._state_changed(before)
        was = {each["id"] for each in before.get("segments", [])}
        ids = {each["id"] for each in self._state["segments"]}
        self._forget_measures()
        if self.selected in was and self.selected not in ids:
            self._home.call(lambda: self.set_trait("selected", None))
        if before:
            self._saving.request()

    def _forget_measures(self) -> None:
        """Those of voxels that are others now."""
        with self._lock:
            present = {each["id"]: each["voxels_changed"] for each in self._state["segments"]}
            for key, (stamp, values) in self._measures.items():
                if stamp is None and key in present:
                    self._measures[key] = (present[key], values)
            gone = [key for key, (stamp, _) in self._measures.items() if present.get(key) != stamp]
            for key in gone:
                del self._measures[key]
        if gone:
            self.send({"type": "measures", "values": dict.fromkeys(gone)})

    def _tell_all(self) -> None:
        super()._tell_all()
        with self._lock:
            measures = {key: found for key, (_, found) in self._measures.items()}
        self.send({"type": "measures", "values": measures})

    # -- choosing ------------------------------------------------------------------------------------------------

    def _was_selected(self, change: Any) -> None:
        self.send({"type": "selected", "id": change["new"]})

    def _do_select(self, content: dict[str, Any]) -> None:
        """The person chose a row."""
        key = content.get("id")
        self._home.call(lambda: self.set_trait("selected", None if key is None else str(key)))

    def _take_new(self, key: str) -> None:
        self._home.call(lambda: self.set_trait("selected", key))

    # -- voxels and volumes --------------------------------------------------------------------------------------

    def _do_measure(self, _content: dict[str, Any]) -> None:
        """The person asks for voxels and volumes."""
        with self._lock:
            stamps = {each["id"]: each["voxels_changed"] for each in self._state.get("segments", [])}
        self.send({"type": "measuring", "now": True})
        job = self._ask(
            "segmentation.statistics",
            lambda done: self._measured(done, stamps),
            node=self._node,
            volume=self._volume,
        )
        if job is None:
            self.send({"type": "measuring", "now": False})

    def _measured(self, job: Job[Any], stamps: dict[str, int]) -> None:
        self.send({"type": "measuring", "now": False})
        error = job.exception(0)
        if error is not None:
            self.send({"type": "trouble", **error_in_words(error)})
            return
        found = job.result(0)
        names = [name for name in _MEASURES if name in found]
        with self._lock:
            for place, key in enumerate(found["id"]):
                self._measures[key] = (stamps.get(key), {name: _number(found[name][place]) for name in names})
            values = {key: measured for key, (_, measured) in self._measures.items()}
        self.send({"type": "measures", "values": values})
        # What has changed meanwhile is forgotten at once.
        self._forget_measures()
        self._saving.request()

    # -- the saved notebook --------------------------------------------------------------------------------------

    def _save(self) -> None:
        self._save_anew()
        self._saving.finished()

    def _static_html(self) -> str:
        with self._lock:
            state, measures = self._state, dict(self._measures)
        if not state:
            return static_note("Segments of a segmentation; Slicer was busy.")
        if self.privacy == "strict":
            return static_note(f"{segment_count(state)}; names are left out (privacy: strict).")
        return self._saved_rows(state, {key: found for key, (_, found) in measures.items()})

    def close(self) -> None:
        """Take the widget away. The segmentation stays as it is."""
        if hasattr(self, "_saving"):  # else it was refused before it was one
            self._saving.close()
        super().close()


def _number(value: Any) -> float | int | None:
    """A number as JSON has it: NaN is none."""
    return None if value != value else value  # noqa: PLR0124 - NaN is what differs from itself
