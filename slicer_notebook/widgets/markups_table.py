"""The control points of markups as a table: labels and places to edit, eyes, locks, a way to each point; placing."""

from __future__ import annotations

import html
import math
from typing import Any, ClassVar, Final

import traitlets as t

from slicer_notebook.errors import ArgumentError, ItemNotFoundError
from slicer_notebook.session import Markups, Node
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import static_note
from slicer_notebook.widgets.node_widget import NodeWidget
from slicer_notebook.widgets.threads import Pacer

__all__ = ["MarkupsTable"]

#: Nodes of the scene that say whether, and for whom, clicks place points.
_MODES: Final = frozenset({"vtkMRMLInteractionNode", "vtkMRMLSelectionNode"})
#: Seconds between two pages for the saved notebook, at least, while points are dragged.
_SAVE: Final = 2.0
#: Points in the saved page.
_SAVED: Final = 50


class MarkupsTable(NodeWidget):
    """The control points of markups, a row for each; it follows what is dragged in views, and views follow it.

    Label, R, A and S (mm, in the world) are edited in place. A point can be hidden, locked, removed, and shown: then
    all slice views go to it. The button "Place points" has clicks in the views place further points.

    Args:
        markups: points, a line, an angle, a curve, a plane, a ROI.
        privacy: ``"strict"`` leaves names and labels out of what a saved notebook shows. What the environment variable
            ``SLICER_NOTEBOOK_PRIVACY`` says without it.

    Attributes:
        selected: index of the chosen row, None for none. Observable, and may be set.
        placing: whether clicks in the views place points of these markups. Observable, and may be set.

    Raises:
        ArgumentError: that are no markups.
    """

    _esm = assets.esm("markups_table", "virtual_list")
    _css = assets.css("markups_table")
    _state_command = "markups.sheet"
    _settable: ClassVar[tuple[str, ...]] = ("placing",)

    selected = t.Int(None, allow_none=True)
    placing = t.Bool(False)

    def __init__(self, markups: Markups, *, privacy: str | None = None, **kwargs: Any) -> None:
        if not isinstance(markups, Markups):
            raise ArgumentError("That has no control points.", expected="markups", got=type(markups).__name__)
        self.privacy = checked(privacy)
        self._selected_id: str | None = None
        self._saving = Pacer(self._save, _SAVE)
        super().__init__(markups, **kwargs)
        self.observe(self._was_selected, names=["selected"])
        self._begin()

    def _watched(self) -> set[str]:
        return {self._node.id, str(self._state.get("display"))}

    def _on_scene(self, event: dict[str, list[Node]]) -> None:
        super()._on_scene(event)
        if any(node.class_name in _MODES for node in event["modified"]):
            self._pacer.request()

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _state_changed(self, before: dict[str, Any]) -> None:
        state = self._state
        if before and before["ids"] == state["ids"]:
            was, now = _rows(before), _rows(state)
            rows = [[index, row] for index, row in enumerate(now) if row != was[index]]
            self.send({"type": "news", "head": _head(state), "rows": rows})
        else:
            self._tell_all()
        self._home.call(self._follow)
        if self._known.is_set():
            self._saving.request()

    def _follow(self) -> None:
        """The same point stays selected, wherever it is now."""
        ids = self._state.get("ids")
        if ids is not None and self._selected_id is not None:
            self.selected = ids.index(self._selected_id) if self._selected_id in ids else None

    def _wish_of(self, name: str, value: Any) -> None:  # noqa: ARG002 - there is but one
        self._wish("place", "markups.place" if value else "markups.end_place")

    # -- the selected row ----------------------------------------------------------------------------------------

    @t.validate("selected")
    def _check_selected(self, proposal: Any) -> int | None:
        index: int | None = proposal["value"]
        count = len(self._state.get("ids", ()))
        if index is not None and not 0 <= index < count:
            raise ItemNotFoundError(
                "There is no such row.", expected=f"None, or 0 to {count - 1}" if count else "None", got=str(index)
            )
        return index

    def _was_selected(self, change: Any) -> None:
        index = change["new"]
        self._selected_id = None if index is None else self._state["ids"][index]
        self.send({"type": "select", "index": index})

    # -- what the browser is told, and says ----------------------------------------------------------------------

    def _tell_all(self) -> None:
        if self._state:
            self.send(
                {"type": "all", "head": _head(self._state), "rows": _rows(self._state), "selected": self.selected}
            )
        if self._gone:
            self.send({"type": "gone"})

    def _do_select(self, content: dict[str, Any]) -> None:
        """A row was chosen, or None."""
        index = content["index"]

        def choose() -> None:
            if index is None or 0 <= int(index) < len(self._state.get("ids", ())):
                self.selected = index

        self._home.call(choose)

    def _do_edit(self, content: dict[str, Any]) -> None:
        """A point's label, one of its coordinates, its eye or its lock."""
        self._heard(lambda: self._edit(**content))

    def _edit(
        self,
        *,
        id: str,  # noqa: A002 - MRML's word
        axis: int | None = None,
        value: float = math.nan,
        label: str | None = None,
        visible: bool | None = None,
        locked: bool | None = None,
    ) -> None:
        changes: dict[str, Any] = {"label": label, "visible": visible, "locked": locked}
        if axis is not None:
            changes["position"] = [float(value) if each == axis else None for each in range(3)]
        given = {name: change for name, change in changes.items() if change is not None}
        self._wish(f"{id} {axis} {' '.join(given)}", "markups.edit_point", point=id, **given)

    def _do_remove(self, content: dict[str, Any]) -> None:
        """A point is to go."""
        self._wish(f"{content['id']} remove", "markups.remove_point", point=str(content["id"]))

    def _do_jump(self, content: dict[str, Any]) -> None:
        """The slice views are to go to a point."""
        self._wish("jump", "markups.jump", point=str(content["id"]))

    def _do_place(self, content: dict[str, Any]) -> None:
        """Clicks in the views are to place points, or no more."""
        self._wish_of("placing", content["on"])

    def _do_measure(self, _content: dict[str, Any]) -> None:
        """All that can be measured is to be."""
        self._wish("measure", "markups.enable_measurements")

    def _do_display(self, content: dict[str, Any]) -> None:
        """All of it is to be shown or hidden, locked or not."""
        for name in ("visible", "locked"):
            if name in content:
                self._wish(name, "markups.set_display", **{name: bool(content[name])})

    # -- what a saved notebook shows -----------------------------------------------------------------------------

    def _save(self) -> None:
        self._save_anew()
        self._saving.finished()

    def _static_html(self) -> str:
        state = self._state
        if not state:
            return static_note("These markups were not read.")
        strict = self.privacy == "strict"
        name = "Markups" if strict else html.escape(state["name"])
        rows = "".join(
            f"<tr><td>{index + 1 if strict else html.escape(label)}</td>"
            + "".join(f"<td>{_number(value)}</td>" for value in position)
            + "</tr>"
            for index, (label, position) in enumerate(
                zip(state["labels"][:_SAVED], state["positions"][:_SAVED], strict=True)
            )
        )
        more = f"<p>and {state['count'] - _SAVED} more</p>" if state["count"] > _SAVED else ""
        measured = " · ".join(
            f"{html.escape(each)} {html.escape(text)}" for each, text in state["measurements"].items()
        )
        head = "".join(f"<th>{each}</th>" for each in ("#" if strict else "Label", "R mm", "A mm", "S mm"))
        return (
            f"<p><strong>{name}</strong> {html.escape(state['kind'])}{', ' + measured if measured else ''}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"
        )

    def close(self) -> None:
        """Take the widget away. The markups stay as they are."""
        if hasattr(self, "_saving"):  # one that was refused is closed, too
            self._saving.close()
        super().close()


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else ""


def _rows(state: dict[str, Any]) -> list[list[Any]]:
    """Of each point: MRML id, label, [r, a, s] or None, description, visible, locked."""
    positions = ([float(x) for x in each] if all(map(math.isfinite, each)) else None for each in state["positions"])
    columns = (state["ids"], state["labels"], positions, state["descriptions"])
    return [list(row) for row in zip(*columns, state["points_visible"], state["points_locked"], strict=True)]


def _head(state: dict[str, Any]) -> dict[str, Any]:
    names = ("name", "kind", "color", "count", "most", "locked", "visible", "placing", "measures_more")
    return {**{name: state[name] for name in names}, "measurements": list(state["measurements"].items())}
