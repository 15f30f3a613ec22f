"""The segments of a segmentation as a table: eyes, colours, names, opacities, order; voxels and volumes on demand."""

from __future__ import annotations

import html
import re
from typing import Any, Final

import traitlets as t

from slicer_notebook.errors import ArgumentError, error_in_words
from slicer_notebook.session import Job, Segmentation, Volume
from slicer_notebook.session.privacy import checked
from slicer_notebook.session.segments import terminology_in_words
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import static_note
from slicer_notebook.widgets.node_widget import NodeWidget
from slicer_notebook.widgets.threads import Pacer

__all__ = ["SegmentTable"]

#: Seconds between two pages for the saved notebook, at least, while things change.
_SAVE: Final = 2.0
#: Segments in the saved page.
_SAVED: Final = 100
_COLOR: Final = re.compile(r"#[0-9a-fA-F]{6}")
#: What is told of a measurement, of as much as was measured.
_MEASURES: Final = ("voxels", "volume_mm3", "sampled", "mean", "std", "min", "max", "median")


class SegmentTable(NodeWidget):
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
        if not isinstance(segmentation, Segmentation):
            raise ArgumentError("That has no segments.", expected="a segmentation", got=type(segmentation).__name__)
        if volume is not None and not isinstance(volume, Volume):
            raise ArgumentError("That has no voxels.", expected="a volume", got=type(volume).__name__)
        self.privacy = checked(privacy)
        self._volume = volume
        #: id → (number that changes with the voxels, None of a segment that is not in the table yet; what was measured)
        self._measures: dict[str, tuple[int | None, dict[str, Any]]] = {}
        self._saving = Pacer(self._save, _SAVE)
        super().__init__(segmentation, **kwargs)
        self.observe(self._was_selected, names=["selected"])
        self._begin()

    def _watched(self) -> set[str]:
        return {self._node.id, str(self._state.get("display", {}).get("node"))}

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _state_changed(self, before: dict[str, Any]) -> None:
        was = {each["id"]: each for each in before.get("segments", [])}
        now = self._state["segments"]
        ids = [each["id"] for each in now]
        rows = [_row(each) for each in now if each["id"] not in was or _row(each) != _row(was[each["id"]])]
        self.send({"type": "news", **self._head(), "order": ids, "rows": rows})
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

    def _head(self) -> dict[str, Any]:
        return {"name": self._state["name"], "visible": self._state["display"]["visible"]}

    def _tell_all(self) -> None:
        with self._lock:
            state = self._state
            measures = {key: found for key, (_, found) in self._measures.items()}
        if self._gone:
            self.send({"type": "gone"})
        if state:
            rows = [_row(each) for each in state["segments"]]
            ids = [each["id"] for each in state["segments"]]
            self.send({"type": "all", **self._head(), "order": ids, "rows": rows, "selected": self.selected})
            self.send({"type": "measures", "values": measures})

    # -- choosing ------------------------------------------------------------------------------------------------

    def _was_selected(self, change: Any) -> None:
        self.send({"type": "selected", "id": change["new"]})

    def _do_select(self, content: dict[str, Any]) -> None:
        """The person chose a row."""
        key = content.get("id")
        self._home.call(lambda: self.set_trait("selected", None if key is None else str(key)))

    # -- what the person changes ---------------------------------------------------------------------------------

    def _change(self, content: dict[str, Any], thing: str, **what: Any) -> None:
        key = str(content["id"])
        self._wish(f"{thing} {key}", "segmentation.change_segment", segment=key, **what)

    def _do_visible(self, content: dict[str, Any]) -> None:
        """A segment is shown, or hidden."""
        self._heard(lambda: self._change(content, "visible", visible=bool(content["visible"])))

    def _do_color(self, content: dict[str, Any]) -> None:
        """Another colour, ``#rrggbb``."""

        def change() -> None:
            text = str(content["color"])
            if not _COLOR.fullmatch(text):
                raise ArgumentError("That is no colour.", expected="#rrggbb", got=text)
            color = tuple(int(text[place : place + 2], 16) / 255 for place in (1, 3, 5))
            self._change(content, "color", color=color)

        self._heard(change)

    def _do_opacity(self, content: dict[str, Any]) -> None:
        """Another opacity, 0 to 1, of fill, outline and surface."""
        self._heard(lambda: self._change(content, "opacity", opacity=float(content["opacity"])))

    def _do_rename(self, content: dict[str, Any]) -> None:
        """Another name."""
        self._heard(lambda: self._change(content, "name", name=str(content["name"])))

    def _do_move(self, content: dict[str, Any]) -> None:
        """Another place in the order."""

        def change() -> None:
            key, index = str(content["id"]), int(content["index"])
            self._wish(f"move {key}", "segmentation.move_segment", segment=key, index=index)

        self._heard(change)

    def _do_remove(self, content: dict[str, Any]) -> None:
        """A segment is not wanted any more."""

        def change() -> None:
            key = str(content["id"])
            self._wish(f"remove {key}", "segmentation.remove_segment", segment=key)

        self._heard(change)

    def _do_show_all(self, content: dict[str, Any]) -> None:
        """The whole segmentation is shown, or hidden."""
        self._heard(lambda: self._wish("all", "segmentation.set_display", visible=bool(content["visible"])))

    def _do_add(self, _content: dict[str, Any]) -> None:
        """A new, empty segment."""
        self._ask("segmentation.add_segment", self._added, node=self._node, name="Segment")

    def _added(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is not None:
            self._refuse(error)
            return
        key = str(job.result(0))
        self._pacer.request()
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
            number = len(state["segments"])
            return static_note(f"{number} segment{'' if number == 1 else 's'}; names are left out (privacy: strict).")
        rows = "".join(_saved_row(each, measures.get(each["id"])) for each in state["segments"][:_SAVED])
        more = len(state["segments"]) - _SAVED
        heads = "".join(
            f'<th style="text-align:left;padding:2px 12px 2px 0">{each}</th>'
            for each in ("Segment", "Is", "Shown", "Voxels", "mm³")
        )
        table = f'<table style="font-size:13px;border:none"><tr>{heads}</tr>{rows}</table>'
        return static_note(state["name"]) + table + (static_note(f"and {more} more") if more > 0 else "")

    def close(self) -> None:
        """Take the widget away. The segmentation stays as it is."""
        if hasattr(self, "_saving"):  # else it was refused before it was one
            self._saving.close()
        super().close()


def _row(segment: dict[str, Any]) -> dict[str, Any]:
    """What the browser is told of a segment."""
    return {
        "id": segment["id"],
        "name": segment["name"],
        "color": _hex(segment["color"]),
        "visible": segment["visible"],
        "opacity": round(segment["opacity_fill"], 4),
        "term": terminology_in_words(segment["codes"]),
    }


def _hex(color: Any) -> str:
    return "#" + "".join(f"{round(255 * min(1.0, max(0.0, float(part)))):02x}" for part in color)


def _number(value: Any) -> float | int | None:
    """A number as JSON has it: NaN is none."""
    return None if value != value else value  # noqa: PLR0124 - NaN is what differs from itself


def _saved_row(segment: dict[str, Any], measured: tuple[int | None, dict[str, Any]] | None) -> str:
    row = _row(segment)
    values = measured[1] if measured is not None else {}
    dot = (
        f'<span style="display:inline-block;width:.8em;height:.8em;border-radius:3px;margin-right:.5em;'
        f'background:{row["color"]};border:1px solid rgba(127,127,127,.5)"></span>'
    )
    cells = (
        dot + html.escape(row["name"]),
        html.escape(row["term"]),
        "yes" if row["visible"] else "no",
        f"{values['voxels']:,}" if "voxels" in values else "",
        f"{values['volume_mm3']:,.1f}" if "volume_mm3" in values else "",
    )
    style = "text-align:left;padding:2px 12px 2px 0"
    return '<tr style="background:none">' + "".join(f'<td style="{style}">{each}</td>' for each in cells) + "</tr>"
