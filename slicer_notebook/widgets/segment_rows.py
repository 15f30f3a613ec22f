"""Segments as rows, between Slicer and a browser; for any widget that lists them (static/segment_list.js)."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Any, Final

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Job, Segmentation, Volume
from slicer_notebook.session.segments import terminology_in_words
from slicer_notebook.widgets.base import static_note
from slicer_notebook.widgets.node_widget import NodeWidget

__all__ = ["SegmentRows", "check_nodes", "segment_count"]

#: Segments in the saved page.
_SAVED: Final = 100
_COLOR: Final = re.compile(r"#[0-9a-fA-F]{6}")


class SegmentRows(NodeWidget):
    """Tells the browser of the segments, whoever changes them, and has them changed as the person wants.

    Its state holds what ``segmentation.table`` tells.

    Args:
        node: the segmentation.
    """

    def _watched(self) -> set[str]:
        return {self._node.id, str(self._state.get("display", {}).get("node"))}

    def _chosen(self) -> str | None:
        """Id of the segment that is chosen."""
        raise NotImplementedError

    def _take_new(self, key: str) -> None:
        """The person has added a segment. On the session's background thread."""
        raise NotImplementedError

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _state_changed(self, before: dict[str, Any]) -> None:
        was = {each["id"]: each for each in before.get("segments", [])}
        now = self._state["segments"]
        rows = [_row(each) for each in now if each["id"] not in was or _row(each) != _row(was[each["id"]])]
        self.send({"type": "news", **self._head(), "order": [each["id"] for each in now], "rows": rows})

    def _head(self) -> dict[str, Any]:
        return {"name": self._state["name"], "visible": self._state["display"]["visible"]}

    def _tell_all(self) -> None:
        with self._lock:
            state = self._state
        if self._gone:
            self.send({"type": "gone"})
        if state:
            rows = [_row(each) for each in state["segments"]]
            ids = [each["id"] for each in state["segments"]]
            self.send({"type": "all", **self._head(), "order": ids, "rows": rows, "selected": self._chosen()})

    def _done(self, job: Job[Any]) -> None:
        # What was not found may be a segment; whether the segmentation is still there, the next look tells.
        error = job.exception(0)
        if error is not None:
            self._refuse(error)
        self._next()

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
        self._pacer.request()
        self._take_new(str(job.result(0)))

    # -- the saved notebook --------------------------------------------------------------------------------------

    def _saved_rows(self, state: dict[str, Any], measures: Mapping[str, Mapping[str, Any]]) -> str:
        """The segments as a table without a script.

        Args:
            state: as ``segmentation.table`` tells it.
            measures: of ids: ``voxels`` and ``volume_mm3``, as far as they are known.
        """
        rows = "".join(_saved_row(each, measures.get(each["id"], {})) for each in state["segments"][:_SAVED])
        more = len(state["segments"]) - _SAVED
        heads = "".join(
            f'<th style="text-align:left;padding:2px 12px 2px 0">{each}</th>'
            for each in ("Segment", "Is", "Shown", *(("Voxels", "mm³") if measures else ()))
        )
        table = f'<table style="font-size:13px;border:none"><tr>{heads}</tr>{rows}</table>'
        return static_note(state["name"]) + table + (static_note(f"and {more} more") if more > 0 else "")


def check_nodes(segmentation: Any, volume: Any) -> None:
    """Raise `ArgumentError` for what is no segmentation, and for what is neither a volume nor None."""
    if not isinstance(segmentation, Segmentation):
        raise ArgumentError("That has no segments.", expected="a segmentation", got=type(segmentation).__name__)
    if volume is not None and not isinstance(volume, Volume):
        raise ArgumentError("That has no voxels.", expected="a volume", got=type(volume).__name__)


def segment_count(state: dict[str, Any]) -> str:
    """ "2 segments"."""
    number = len(state["segments"])
    return f"{number} segment{'' if number == 1 else 's'}"


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


def _saved_row(segment: dict[str, Any], values: Mapping[str, Any]) -> str:
    row = _row(segment)
    dot = (
        f'<span style="display:inline-block;width:.8em;height:.8em;border-radius:3px;margin-right:.5em;'
        f'background:{row["color"]};border:1px solid rgba(127,127,127,.5)"></span>'
    )
    cells = [dot + html.escape(row["name"]), html.escape(row["term"]), "yes" if row["visible"] else "no"]
    if "voxels" in values:
        cells += [f"{values['voxels']:,}", f"{values['volume_mm3']:,.1f}"]
    style = "text-align:left;padding:2px 12px 2px 0"
    return '<tr style="background:none">' + "".join(f'<td style="{style}">{each}</td>' for each in cells) + "</tr>"
