"""Window and level over the histogram of a volume: two edges and a body to drag, presets, threshold, colours."""

from __future__ import annotations

import html
import math
from typing import Any, ClassVar, Final

import numpy as np
import traitlets as t

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Job, Volume
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import static_note
from slicer_notebook.widgets.node_widget import NodeWidget
from slicer_notebook.widgets.threads import Pacer

__all__ = ["WindowLevel"]

#: Bins that the browser gets: two for each pixel of a wide notebook.
_BINS: Final = 2048
#: Voxels that are looked at of a volume of 32-bit or floating-point numbers: a twentieth of a second.
_MOST: Final = 4_000_000
#: Seconds between two counts of voxels that change all the time, at least.
_COUNT: Final = 1.0
#: Colours of the bar below the histogram.
_COLORS: Final = 64
#: Columns of the saved picture.
_SAVED: Final = 256
_LABELS: Final = "vtkMRMLLabelMapVolumeNode"


class WindowLevel(NodeWidget):
    """Window and level of a volume, over its histogram; it follows what anyone else does, and views follow it.

    The histogram counts all voxels of 8- and 16-bit volumes, and says how many it counted of others.

    Args:
        volume: a scalar or colour volume.
        privacy: ``"strict"`` leaves the volume's name out of what a saved notebook shows. What the environment variable
            ``SLICER_NOTEBOOK_PRIVACY`` says without it.

    Attributes:
        window: in the volume's units, above 0. Observable, and may be set.
        level: in the volume's units. Observable, and may be set.
        threshold: (low, high), None where all voxels are shown. Observable, and may be set on scalar volumes.

    Raises:
        ArgumentError: a label map, which has neither; or what is no volume.
    """

    _esm = assets.esm("window_level")
    _css = assets.css("window_level")
    _state_command = "volume.display"
    _settable: ClassVar[tuple[str, ...]] = ("window", "level", "threshold")

    window = t.Float(None, allow_none=True)
    level = t.Float(None, allow_none=True)
    threshold = t.Tuple(t.Float(), t.Float(), default_value=None, allow_none=True)

    def __init__(self, volume: Volume, *, privacy: str | None = None, **kwargs: Any) -> None:
        if not isinstance(volume, Volume) or _LABELS in volume._ref.classes:
            raise ArgumentError(
                "That has no window and level.",
                expected="a scalar or colour volume",
                got="a label map" if isinstance(volume, Volume) else type(volume).__name__,
                hint="of a sequence: its .volume" if hasattr(volume, "volume") else None,
            )
        self.privacy = checked(privacy)
        self._histogram: dict[str, Any] = {}
        self._choices: dict[str, Any] = {}
        self._swatch: dict[str, Any] = {}
        self._counting = Pacer(self._count, _COUNT)
        super().__init__(volume, **kwargs)
        self._ask("volume.window_level_presets", lambda job: self._choices_came("presets", job))
        self._ask("color.names", lambda job: self._choices_came("tables", job))
        self._begin()

    def _watched(self) -> set[str]:
        return {self._node.id, str(self._state.get("display"))}

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _of_state(self, name: str) -> Any:
        if name == "threshold":
            found = self._state["threshold"]
            return None if found is None else (float(found[0]), float(found[1]))
        both = self._state["window_level"]
        return None if both is None else float(both[0 if name == "window" else 1])

    def _state_changed(self, before: dict[str, Any]) -> None:
        self.send(self._state_message())
        if self._state["changed"] != before.get("changed"):
            self._counting.request()
        table = self._state["color_table"]
        if table and table != self._swatch.get("name"):
            self._swatch = {"name": table}
            self._ask("color.swatch", lambda job: self._swatch_came(table, job), name=table, count=_COLORS)

    def _state_message(self) -> dict[str, Any]:
        state = self._state
        window, level = state["window_level"] or (None, None)
        facts = {name: state[name] for name in ("kind", "auto", "threshold", "color_table", "name", "units")}
        whole = np.dtype(state["dtype"] or "f8").kind in "iu"
        return {"type": "state", **facts, "window": window, "level": level, "whole": whole}

    def _choices_came(self, name: str, job: Job[Any]) -> None:
        if job.exception(0) is None:
            self._choices[name] = job.result(0)
            self.send({"type": "choices", **self._choices})

    def _swatch_came(self, table: str, job: Job[Any]) -> None:
        if job.exception(0) is None:
            self._swatch = {"name": table, "colors": ["#" + bytes(row).hex() for row in job.result(0).tolist()]}
            self.send({"type": "swatch", **self._swatch})

    def _count(self) -> None:
        if self._ask("volume.histogram", self._counted, node=self._node, bins=_BINS, most=_MOST) is None:
            self._counting.finished()

    def _counted(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            counts, edges = job.result(0)
            self._histogram = {
                "counts": counts.tolist(),
                "low": float(edges[0]),
                "high": float(edges[-1]),
                "usual": _usual(counts, edges),
                "counted": int(counts.sum()),
            }
            self._ask("volume.info", self._size_came, node=self._node, with_range=False)
        self._counting.finished()

    def _size_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            self._histogram["total"] = math.prod(job.result(0)["shape"])
            self.send({"type": "histogram", **self._histogram})

    def _tell_all(self) -> None:
        if self._state:
            self.send(self._state_message())
        for kind, content in (
            ("choices", self._choices), ("swatch", self._swatch), ("histogram", self._histogram),
        ):  # fmt: skip
            if content:
                self.send({"type": kind, **content})
        if self._gone:
            self.send({"type": "gone"})

    # -- what is wished for --------------------------------------------------------------------------------------

    @t.validate("window")
    def _window_fits(self, proposal: Any) -> Any:
        value = proposal["value"]
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ArgumentError("The window does not fit.", expected="a finite number above 0", got=str(value))
        return value

    @t.validate("level")
    def _level_fits(self, proposal: Any) -> Any:
        if proposal["value"] is not None and not math.isfinite(proposal["value"]):
            raise ArgumentError("The level does not fit.", expected="a finite number", got=str(proposal["value"]))
        return proposal["value"]

    @t.validate("threshold")
    def _threshold_fits(self, proposal: Any) -> Any:
        value = proposal["value"]
        if value is not None and not (math.isfinite(value[0]) and math.isfinite(value[1]) and value[0] <= value[1]):
            raise ArgumentError(
                "The threshold does not fit.", expected="two finite numbers, the lower one first", got=str(value)
            )
        return value

    def _wish_of(self, name: str, value: Any) -> None:
        if name == "threshold":
            self._set_threshold(value)
        elif self.window is not None and self.level is not None:
            self._set_window_level(self.window, self.level)

    def _set_window_level(self, window: float, level: float) -> None:
        self._wish("window", "volume.set_window_level", window=float(window), level=float(level))

    def _set_threshold(self, value: tuple[float, float] | None) -> None:
        low, high = (None, None) if value is None else (float(value[0]), float(value[1]))
        self._wish("threshold", "volume.set_threshold", low=low, high=high)

    def _do_window(self, content: dict[str, Any]) -> None:
        """The person drags an edge or the body, or has typed a number."""
        self._heard(lambda: self._set_window_level(content["window"], content["level"]))

    def _do_auto(self, _content: dict[str, Any]) -> None:
        self._wish("window", "volume.set_window_level")

    def _do_preset(self, content: dict[str, Any]) -> None:
        self._heard(lambda: self._wish("window", "volume.set_preset", name=str(content["name"])))

    def _do_threshold(self, content: dict[str, Any]) -> None:
        both = content["low"], content["high"]
        self._heard(lambda: self._set_threshold(None if None in both else both))

    def _do_table(self, content: dict[str, Any]) -> None:
        self._heard(lambda: self._wish("table", "volume.set_color_table", name=str(content["name"])))

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        if not self._state:
            return static_note("Slicer did not tell window and level in time.")
        window, level = self._state["window_level"]
        name = "" if self.privacy == "strict" else f"<b>{html.escape(self._state['name'])}</b> "
        words = f"window {window:.6g}, level {level:.6g}"
        if self._state["threshold"] is not None:
            words += ", threshold {:.6g} to {:.6g}".format(*self._state["threshold"])
        units = f" ({html.escape(self._state['units'])})" if self._state["units"] else ""
        return f'<div style="font-size:13px">{name}{words}{units}{self._saved_picture(window, level)}</div>'

    def _saved_picture(self, window: float, level: float) -> str:
        """The histogram with the window's band, as SVG."""
        if "counts" not in self._histogram:
            return ""
        first, last = self._histogram["usual"]
        first, last = min(first, level - window / 2), max(last, level + window / 2)
        edges = np.linspace(self._histogram["low"], self._histogram["high"], _BINS + 1)
        columns, _ = np.histogram(
            (edges[:-1] + edges[1:]) / 2, _SAVED, (first, last), weights=self._histogram["counts"]
        )
        heights = np.log1p(columns) / (np.log1p(columns).max() or 1.0) * 58
        path = "".join(f"L{x} {60 - y:.1f}" for x, y in enumerate(heights))
        scale = _SAVED / (last - first or 1.0)
        band = f'x="{(level - window / 2 - first) * scale:.1f}" width="{window * scale:.1f}"'
        return (
            f'<svg viewBox="0 0 {_SAVED} 60" width="512" height="120" preserveAspectRatio="none" role="img" '
            f'aria-label="Histogram" style="display:block;max-width:100%"><path d="M0 60{path}L{_SAVED} 60Z" '
            f'fill="#8a8a8a"/><rect {band} y="0" height="60" fill="#1976d2" fill-opacity=".25"/></svg>'
        )

    def close(self) -> None:
        """Take the widget away. The volume stays as it is shown."""
        counting = getattr(self, "_counting", None)
        if counting is not None:
            counting.close()
        super().close()

    def __repr__(self) -> str:
        return f"<WindowLevel of {self._node.id} in {self._session.name!r}>"


def _usual(counts: Any, edges: Any) -> tuple[float, float]:
    """Where all but a few voxels lie: what is far outside (metal, padding) would leave no room for the others."""
    total = counts.sum()
    if total == 0:
        return float(edges[0]), float(edges[-1])
    summed = np.cumsum(counts)
    first = int(np.searchsorted(summed, total * 0.0005))
    last = int(np.searchsorted(summed, total * 0.9995))
    return float(edges[first]), float(edges[min(last + 1, len(edges) - 1)])
