"""Markups of the scene: control points, how they look, how they are placed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.cards import Card, Fact
from slicer_notebook.session.handles import Node, floats

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Markups", "MarkupsPoints", "Measurement"]

#: Columns of the data frame, and what they are in `markups.table`.
_COLUMNS: Final = {"label": "labels", "description": "descriptions", "selected": "selected", "visible": "visible",
                   "locked": "locked", "defined": "defined"}  # fmt: skip
#: Columns of the points' axes: unit vectors x, y, z, each along R, A, S.
_AXES: Final = tuple(f"{axis}_{along}" for axis in "xyz" for along in "ras")
Color = tuple[float, float, float]


class Measurement(NamedTuple):
    """What markups measure, in world coordinates.

    Attributes:
        value: in ``unit``.
        unit: "mm", "deg", "cm2", "cm3", "mm-1".
        text: as Slicer writes it in the views.
    """

    value: float
    unit: str
    text: str

    def __str__(self) -> str:
        return self.text

    def __float__(self) -> float:
        return self.value


class Markups(Node):
    """Points, lines, curves, planes, ROIs."""

    mrml_class = "vtkMRMLMarkupsNode"
    _summary = "markups.summary"

    # -- points --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.labels)

    def __bool__(self) -> bool:
        return True

    @property
    def points(self) -> Array:
        """Control points, float64 [n, 3], RAS, mm, in the world; NaN where a position is missing.

        Settable: points are added or removed to match; labels and the like of those that stay are as they were. A
        line has 2 points at most, an angle 3, a plane as its `plane_type` says, a ROI its center. Raises `ArrayError`.
        """
        found: Array = self._session.call("markups.points", node=self)
        return found

    @points.setter
    def points(self, value: Any) -> None:
        self._session.call("markups.set_points", node=self, points=floats(value, "points"))

    array = points

    @property
    def own_points(self) -> Array:
        """As `points`, in the node's own coordinates: without the transforms that it is under. Settable."""
        found: Array = self._session.call("markups.points", node=self, world=False)
        return found

    @own_points.setter
    def own_points(self, value: Any) -> None:
        self._session.call("markups.set_points", node=self, points=floats(value, "points"), world=False)

    def add(self, points: Any, labels: str | Sequence[str] | None = None) -> list[int]:
        """Add control points at the end; their indices.

        Args:
            points: [3] or [n, 3], RAS, mm, in the world.
            labels: one for each; numbered by the node's name without them.

        Raises:
            ArrayError: not finite numbers, another number of labels, or more points than this kind has.
        """
        given = floats(points, "points")
        words = [labels] if isinstance(labels, str) else None if labels is None else list(labels)
        found: list[int] = self._session.call(
            "markups.append", node=self, points=given[None] if given.ndim == 1 else given, labels=words
        )
        return found

    def remove_point(self, index: int) -> None:
        """Remove a control point; -1 is the last. Raises `ItemNotFoundError`."""
        self._session.call("markups.remove_point", node=self, point=index)

    def edit(
        self,
        index: int,
        *,
        position: Sequence[float] | None = None,
        label: str | None = None,
        description: str | None = None,
        selected: bool | None = None,
        visible: bool | None = None,
        locked: bool | None = None,
    ) -> None:
        """Change one control point; what is ``None`` stays.

        Args:
            index: -1 is the last.
            position: RAS, mm, in the world.

        Raises:
            ItemNotFoundError: no such point.
            ArgumentError: a position that is none.
        """
        self._session.call(
            "markups.edit_point",
            node=self,
            point=index,
            position=None if position is None else tuple(floats(position, "position").tolist()),
            label=label,
            description=description,
            selected=selected,
            visible=visible,
            locked=locked,
        )

    def _table(self, world: bool = True) -> dict[str, Any]:
        found: dict[str, Any] = self._session.call("markups.table", node=self, world=world)
        return found

    def _set_column(self, name: str, values: Sequence[Any]) -> None:
        table = self._table(False)
        columns = {name: values, "defined": table["defined"]}
        self._session.call("markups.set_table", node=self, positions=table["positions"], columns=columns, world=False)

    @property
    def labels(self) -> list[str]:
        """Labels of the control points. Settable, one for each. Raises `ArgumentError`."""
        found: list[str] = self._session.call("markups.labels", node=self)
        return found

    @labels.setter
    def labels(self, value: Sequence[str]) -> None:
        self._set_column("labels", [str(each) for each in value])

    @property
    def descriptions(self) -> list[str]:
        """Descriptions of the control points. Settable, one for each. Raises `ArgumentError`."""
        found: list[str] = self._table()["descriptions"]
        return found

    @descriptions.setter
    def descriptions(self, value: Sequence[str]) -> None:
        self._set_column("descriptions", [str(each) for each in value])

    @property
    def selected(self) -> Array:
        """Which control points are selected, bool [n]. Settable."""
        return np.array(self._table()["selected"], dtype=bool)

    @selected.setter
    def selected(self, value: Any) -> None:
        self._set_column("selected", self._flags(value))

    @property
    def points_visible(self) -> Array:
        """Which control points are shown (where the node is `visible`), bool [n]. Settable."""
        return np.array(self._table()["visible"], dtype=bool)

    @points_visible.setter
    def points_visible(self, value: Any) -> None:
        self._set_column("visible", self._flags(value))

    @property
    def points_locked(self) -> Array:
        """Which control points cannot be dragged, bool [n]. Settable; `locked` is all of it."""
        return np.array(self._table()["locked"], dtype=bool)

    @points_locked.setter
    def points_locked(self, value: Any) -> None:
        self._set_column("locked", self._flags(value))

    def _flags(self, value: Any) -> list[bool]:
        if isinstance(value, bool | np.bool_):
            return [bool(value)] * len(self)
        return [bool(each) for each in value]

    @property
    def orientations(self) -> Array:
        """Axes of the control points, float64 [n, 3, 3]: x, y, z as columns, RAS, in the world. Settable."""
        found: Array = self._table()["orientations"]
        return found

    @orientations.setter
    def orientations(self, value: Any) -> None:
        table = self._table()
        columns = {"orientations": floats(value, "orientations"), "defined": table["defined"]}
        self._session.call("markups.set_table", node=self, positions=table["positions"], columns=columns)

    # -- data frames ---------------------------------------------------------------------------------------------

    def to_dataframe(self, *, world: bool = True, orientations: bool | None = None) -> pd.DataFrame:
        """The control points, a row for each.

        Columns: ``label``; ``r``, ``a``, ``s``: mm (NaN where a position is missing); ``description``; ``selected``,
        ``visible``, ``locked``, ``defined`` (has a position): bool; and, where orientations are wanted, ``x_r``,
        ``x_a``, ``x_s``, ``y_r`` ... ``z_s``: unit vectors along the point's axes, RAS.

        Args:
            world: in world coordinates, else in the node's own.
            orientations: with the axes' columns; when None, where a point's axes are not R, A, S.
        """
        import pandas as pd

        table = self._table(world)
        positions = table["positions"]
        found = {"label": table["labels"], **{name: positions[:, i] for i, name in enumerate("ras")}}
        found |= {name: table[column] for name, column in _COLUMNS.items() if name != "label"}
        axes = table["orientations"]
        if orientations or (orientations is None and not np.allclose(axes, np.eye(3))):
            # Columns of the matrices are the axes.
            found |= dict(zip(_AXES, axes.transpose(0, 2, 1).reshape(len(axes), 9).T, strict=True))
        frame = pd.DataFrame(found)
        flags = dict.fromkeys(("selected", "visible", "locked", "defined"), bool)
        return frame.astype(flags | dict.fromkeys(("label", "description"), object))

    def from_dataframe(self, frame: pd.DataFrame, *, world: bool = True) -> None:
        """Replace the control points by the rows of a data frame with the columns of `to_dataframe`.

        ``r``, ``a``, ``s`` have to be there; what else is missing stays (of new points: as Slicer makes them).

        Raises:
            ArgumentError: columns are missing, or unknown.
            ArrayError: positions that are no finite numbers, where ``defined`` does not say that there is none; more
                points than this kind has.
        """
        positions, columns = _from_frame(frame)
        self._session.call("markups.set_table", node=self, positions=positions, columns=columns, world=world)

    # -- measurements --------------------------------------------------------------------------------------------

    @property
    def measurements(self) -> dict[str, Measurement]:
        """What is measured at present, by MRML's name ("length", "angle", "area"...), in world coordinates.

        Lines and angles measure at once; what else this kind can measure: `measure`.
        """
        return _measurements(self._session.call("markups.measurements", node=self))

    def measure(self, *names: str) -> dict[str, Measurement]:
        """Have these measured from now on (all that this kind can measure without names), and shown in the views.

        Returns:
            As `measurements`.

        Raises:
            ArgumentError: this kind measures no such thing; the message says what it does.
        """
        found = self._session.call("markups.enable_measurements", node=self, names=list(names) or None)
        return _measurements(found)

    # -- looks ---------------------------------------------------------------------------------------------------

    def _display(self, what: str) -> Any:
        return self._session.call("markups.display", node=self).get(what)

    def _set_display(self, **values: Any) -> None:
        self._session.call("markups.set_display", node=self, **values)

    @property
    def color(self) -> Color:
        """(r, g, b), 0 to 1, that it is drawn in: MRML's selected colour, since new points are selected.

        Setting it sets the colour of points that are not selected as well.
        """
        return self.selected_color

    @color.setter
    def color(self, value: Sequence[float]) -> None:
        color = tuple(floats(value, "color").tolist())
        self._set_display(selected_color=color, unselected_color=color)

    @property
    def selected_color(self) -> Color:
        """(r, g, b), 0 to 1, of selected points and what is drawn through them. Settable."""
        return _color(self._display("selected_color"))

    @selected_color.setter
    def selected_color(self, value: Sequence[float]) -> None:
        self._set_display(selected_color=tuple(floats(value, "color").tolist()))

    @property
    def unselected_color(self) -> Color:
        """(r, g, b), 0 to 1, of points that are not selected. Settable."""
        return _color(self._display("unselected_color"))

    @unselected_color.setter
    def unselected_color(self, value: Sequence[float]) -> None:
        self._set_display(unselected_color=tuple(floats(value, "color").tolist()))

    @property
    def opacity(self) -> float:
        """0 to 1. Settable."""
        return float(self._display("opacity"))

    @opacity.setter
    def opacity(self, value: float) -> None:
        self._set_display(opacity=value)

    @property
    def glyph_scale(self) -> float | None:
        """Size of the glyphs, percent of the view; None where `glyph_size` fixes it. Settable."""
        found: float | None = self._display("glyph_scale")
        return found

    @glyph_scale.setter
    def glyph_scale(self, value: float) -> None:
        self._set_display(glyph_scale=value)

    @property
    def glyph_size(self) -> float | None:
        """Size of the glyphs, mm; None where it goes with the view (`glyph_scale`). Settable."""
        found: float | None = self._display("glyph_size")
        return found

    @glyph_size.setter
    def glyph_size(self, value: float) -> None:
        self._set_display(glyph_size=value)

    @property
    def text_scale(self) -> float:
        """Size of the labels, percent of the view. Settable."""
        return float(self._display("text_scale"))

    @text_scale.setter
    def text_scale(self, value: float) -> None:
        self._set_display(text_scale=value)

    @property
    def visible(self) -> bool:
        """Whether it is shown in views. Settable."""
        return bool(self._display("visible"))

    @visible.setter
    def visible(self, value: bool) -> None:
        self._set_display(visible=value)

    @property
    def visible_2d(self) -> bool:
        """Whether it is shown in slice views, where it is `visible` at all. Settable."""
        return bool(self._display("visible_2d"))

    @visible_2d.setter
    def visible_2d(self, value: bool) -> None:
        self._set_display(visible_2d=value)

    @property
    def visible_3d(self) -> bool:
        """Whether it is shown in 3-D views, where it is `visible` at all. Settable."""
        return bool(self._display("visible_3d"))

    @visible_3d.setter
    def visible_3d(self, value: bool) -> None:
        self._set_display(visible_3d=value)

    @property
    def labels_visible(self) -> bool:
        """Whether the points' labels are shown. Settable."""
        return bool(self._display("labels_visible"))

    @labels_visible.setter
    def labels_visible(self, value: bool) -> None:
        self._set_display(labels_visible=value)

    @property
    def locked(self) -> bool:
        """Whether nothing of it can be dragged in views. Settable."""
        return bool(self._display("locked"))

    @locked.setter
    def locked(self, value: bool) -> None:
        self._set_display(locked=value)

    # -- views ---------------------------------------------------------------------------------------------------

    def jump(self, index: int, *, centered: bool = True) -> None:
        """Move all slice views to a control point, and its place to their middle.

        Args:
            index: -1 is the last.
            centered: False only changes which slice is shown.

        Raises:
            ItemNotFoundError: no such point.
        """
        self._session.call("markups.jump", node=self, point=index, centered=centered)

    def place(self, persistent: bool = True) -> None:
        """Have clicks in the views place points of these markups, until `end_place`.

        Slicer has one place mode, for all its views.

        Args:
            persistent: False ends it with the next point (of a curve: with the click that ends it).

        Raises:
            ArrayError: they have all points that this kind can have.
        """
        self._session.call("markups.place", node=self, persistent=persistent)

    def end_place(self) -> None:
        """Have clicks in the views place nothing any more."""
        self._session.call("markups.end_place")

    @property
    def placing(self) -> bool:
        """Whether clicks in the views place points of these markups."""
        found: Node | None = self._session.call("markups.placing")
        return found is not None and found.id == self.id

    # -- display in the notebook ---------------------------------------------------------------------------------

    def _facts(self, summary: dict[str, Any]) -> list[Fact]:
        count, most = summary["count"], summary["most"]
        facts = [("points", f"{count} of {most}" if count < most else str(count))]
        facts += [(name, text) for name, text in summary["measurements"].items()]
        facts += [(label, ras_in_words(position)) for label, position in summary["points"]]
        if count > len(summary["points"]):
            facts.append(("", f"and {count - len(summary['points'])} more"))
        state = [word for word in ("locked",) if summary[word]] + ([] if summary["visible"] else ["hidden"])
        if summary["placing"]:
            state.append("clicks in views place points")
        return facts + ([("state", ", ".join(state))] if state else [])

    def _card(self, summary: dict[str, Any]) -> Card:
        return Card(self._facts(summary), color=_color(summary["color"]) if summary["color"] else None)


class MarkupsPoints(Markups):
    """A list of points."""

    mrml_class = "vtkMRMLMarkupsFiducialNode"


def ras_in_words(position: Sequence[float]) -> str:
    """ "R 1.0, A -2.0, S 3.5 mm"; what is missing, said."""
    if not np.isfinite(position).all():
        return "no position"
    return ", ".join(f"{axis} {value:.1f}" for axis, value in zip("RAS", position, strict=True)) + " mm"


def _color(value: Sequence[float]) -> Color:
    red, green, blue = (float(part) for part in value)
    return red, green, blue


def _measurements(found: dict[str, dict[str, Any]]) -> dict[str, Measurement]:
    return {
        name: Measurement(each["value"], each["unit"], each["text"])
        for name, each in found.items()
        if each["value"] is not None
    }


def _from_frame(frame: Any) -> tuple[Array, dict[str, Any]]:
    """Positions and columns of ``markups.set_table``. Raises `ArgumentError`."""
    names = list(frame.columns)
    known = {"r", "a", "s", *_COLUMNS, *_AXES}
    some_axes = [name for name in _AXES if name in names]
    if not {"r", "a", "s"} <= set(names) or set(names) - known or len(some_axes) not in (0, len(_AXES)):
        raise ArgumentError(
            "The data frame does not fit.",
            expected="columns r, a, s, and of " + ", ".join([*_COLUMNS, f"{_AXES[0]} ... {_AXES[-1]} (all of them)"]),
            got=", ".join(map(str, names)),
        )
    columns: dict[str, Any] = {
        column: (frame[name].astype(str) if name in ("label", "description") else frame[name].astype(bool)).tolist()
        for name, column in _COLUMNS.items()
        if name in names
    }
    if some_axes:
        axes = floats(frame[list(_AXES)].to_numpy(), "orientations")
        columns["orientations"] = axes.reshape(-1, 3, 3).transpose(0, 2, 1)
    return floats(frame[["r", "a", "s"]].to_numpy(), "points"), columns
