"""Volume rendering in the notebook: presets with pictures, shift, transfer functions, cropping, shading."""

from __future__ import annotations

import html
import threading
import time
from base64 import b64encode
from typing import Any, Final

import numpy as np
import traitlets as t

from slicer_notebook.errors import ArgumentError, SlicerNotebookError, error_in_words
from slicer_notebook.session import Job, Volume
from slicer_notebook.session.privacy import checked
from slicer_notebook.session.volume_rendering import figure_of, png_of
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, static_note
from slicer_notebook.widgets.threads import Pacer

__all__ = ["VolumeRenderingPanel"]

#: Seconds between two requests, at least: as often as a screen shows something new.
INTERVAL: Final = 1 / 60
#: Seconds that the display of the cell waits to know what there is, so that a saved notebook has it.
_SETTLE: Final = 3.0
#: Bins of the histogram, and voxels that are counted for it, about.
_BINS: Final = 256
_VOXELS: Final = 4_000_000

#: What is a preset's: a preset that is chosen is not followed by what was changed of the former one.
_OF_A_PRESET: Final = frozenset(
    ("preset", "shift", "opacity", "color", "gradient_opacity", "shade", "ambient", "diffuse", "specular", "power")
)
_FUNCTIONS: Final = frozenset(("opacity", "color"))
#: What the browser may change.
_CHANGES: Final = _OF_A_PRESET | {"visible", "interpolation", "method", "quality", "cropped", "roi_visible"}
#: What the browser is told of the state, as it is.
_FACTS: Final = (
    "exists", "visible", "preset", "shift", "shift_range", "shade", "ambient", "diffuse", "specular", "power",
    "interpolation", "method", "quality", "cropped", "roi_visible", "colored",
)  # fmt: skip


class VolumeRenderingPanel(SessionWidget):
    """How a volume is shown by volume rendering, to be changed by a person; it follows what is changed elsewhere.

    Presets with their pictures; the shift; the opacity over the histogram, with points that are dragged, added by a
    double click and removed by a key; colours; visibility, cropping, shading, quality. While something is dragged, one
    change at a time is under way, and the newest wins.

    Args:
        volume: the volume.
        privacy: ``"strict"`` leaves the volume's name out of what a saved notebook shows. What the environment variable
            ``SLICER_NOTEBOOK_PRIVACY`` says without it.

    Attributes:
        preset: name of the preset; None when colours or opacities were edited, or nothing is set up yet. Observable;
            set it to a name of ``volume.rendering.presets``.
        shift: how far colours and opacities are moved along the values, the volume's units. Observable, settable.
        visible: whether the 3-D views show it. Observable, settable.

    Raises:
        ArgumentError: this is no volume.
    """

    _esm = assets.esm("volume_rendering_panel", "numbers")
    _css = assets.css("volume_rendering_panel", "numbers")

    # Not synchronized: what the browser shows comes by messages, so that the notebook's file keeps nothing of it.
    preset = t.Unicode(None, allow_none=True)
    shift = t.Float(0.0)
    visible = t.Bool(False)

    def __init__(self, volume: Volume, *, privacy: str | None = None, **kwargs: Any) -> None:
        if not isinstance(volume, Volume):
            raise ArgumentError(
                "VolumeRenderingPanel shows a volume.", expected="a Volume of the scene", got=type(volume).__name__
            )
        self.privacy = checked(privacy)
        self._volume = volume
        wanted = {name: kwargs.pop(name) for name in ("preset", "shift", "visible") if name in kwargs}
        #: Traits are being set to what Slicer says: nothing is to be asked for.
        self._following = True
        super().__init__(volume._session, **kwargs)
        self._state: dict[str, Any] | None = None
        self._counted: tuple[Any, Any] | None = None
        self._icons: dict[str, bytes | None] | None = None
        self._problem: dict[str, str] = {}
        #: Changes that were not sent yet, one after the other; see `_want`.
        self._pending: list[dict[str, Any]] = []
        self._writing = self._stale = False
        #: For each browser's view of this, the number of its last change that is taken up, and that is done.
        self._taken: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._icons_told = False
        #: State and histogram have been told, or never will be.
        self._known = threading.Event()
        self._pacer = Pacer(self._next, INTERVAL)
        self._subscriptions.append(self._session.on("scene", self._on_scene))
        self._following = False
        self._begin()
        for name, value in wanted.items():
            setattr(self, name, value)
        self._tell_until_greeted()

    def _begin(self) -> None:
        self._begun("rendering.icons", self._icons_came)
        self._follow()

    def _begun(self, command: str, then: Any, **args: Any) -> bool:
        """Begin a command; False, and the browser is told why, where it cannot be."""
        try:
            return self._ask(command, then, **args) is not None
        except SlicerNotebookError as exc:  # a volume of before a restart
            self._say(exc)
            self._known.set()
            return False

    def _when_gone(self) -> None:
        self._known.set()

    def _when_back(self) -> None:
        self._pacer.finished()
        self._begin()

    def close(self) -> None:
        """Take the widget away. The volume stays as it is shown."""
        pacer: Pacer | None = getattr(self, "_pacer", None)
        if pacer is not None:
            pacer.close()
        super().close()

    # -- traits --------------------------------------------------------------------------------------------------

    @t.validate("preset")
    def _valid_preset(self, proposal: Any) -> Any:
        known = self._icons
        if not self._following and known is not None and proposal["value"] not in known:
            raise ArgumentError(
                "That is no volume rendering preset.", expected=", ".join(known), got=repr(proposal["value"])
            )
        return proposal["value"]

    @t.validate("shift")
    def _valid_shift(self, proposal: Any) -> Any:
        if not np.isfinite(proposal["value"]):
            raise ArgumentError("The shift does not fit.", expected="a finite number", got=repr(proposal["value"]))
        return proposal["value"]

    @t.observe("preset", "shift", "visible")
    def _on_trait(self, change: Any) -> None:
        if self._following:
            return
        if change["new"] is None:  # which traitlets does not have validated
            self._set_traits()
            raise ArgumentError("No preset is what edited functions have.", expected="a preset's name", got="None")
        self._want({change["name"]: change["new"]})

    def _set_traits(self) -> None:
        """On the main thread: the traits are what Slicer has, unless something else is on its way there."""
        with self._lock:
            if self._state is None or self._pending or self._writing:
                return
            values = {name: self._state[name] for name in ("preset", "shift", "visible")}
        self._following = True
        try:
            self.set_trait("preset", values["preset"])
            self.set_trait("shift", float(values["shift"]))
            self.set_trait("visible", bool(values["visible"]))
        finally:
            self._following = False

    # -- to Slicer, one at a time --------------------------------------------------------------------------------

    def _want(self, changes: dict[str, Any], view: str = "", number: int = 0) -> None:
        """Have something changed, soon. What was not sent yet and is changed again is sent once."""
        with self._lock:
            if "preset" in changes:
                left = [{key: each[key] for key in each.keys() - _OF_A_PRESET} for each in self._pending]
                self._pending = [each for each in left if each]
            last = self._pending[-1] if self._pending else None
            # Functions are as they are to be at the shift that there is: a shift after them is a change of its own. And
            # so is the box around the volume.
            apart = last is not None and ("shift" in changes and bool(last.keys() & _FUNCTIONS))
            if last is None or apart or "fit" in changes or "fit" in last:
                self._pending.append(dict(changes))
            else:
                last.update(changes)
            if view:
                self._taken[view] = number
        self._pacer.request()

    def _follow(self) -> None:
        with self._lock:
            self._stale = True
        self._pacer.request()

    def _next(self) -> None:
        """What is next: a change, else to read what there is. The pacer calls it; `_came` ends it."""
        with self._lock:
            changes = self._pending.pop(0) if self._pending else None
            taken = {} if self._pending else dict(self._taken)
            if changes is None and not self._stale:
                self._pacer.finished()
                return
            self._writing = changes is not None
            # A change tells all that there is, too; but what is modified after it, is news.
            self._stale = False
        if changes is None:
            begun = self._begun("rendering.state", lambda job: self._came(job, taken), node=self._volume)
        elif "fit" in changes:
            begun = self._begun("rendering.fit_roi", lambda job: self._fitted(job, taken), node=self._volume)
        else:
            begun = self._begun("rendering.set", lambda job: self._came(job, taken), node=self._volume, **changes)
        if not begun:
            with self._lock:
                self._writing = False
            self._pacer.finished()

    def _fitted(self, job: Job[Any], taken: dict[str, int]) -> None:
        with self._lock:
            self._stale = True
        self._came(job, taken, read=False)

    def _came(self, job: Job[Any], taken: dict[str, int], read: bool = True) -> None:
        """On the session's background thread."""
        error = job.exception(0)
        count = False
        with self._lock:
            wrote, self._writing = self._writing, False
            self._done.update(taken)
            if error is not None:
                # What the browser and the traits show is not so. After a read that failed, something has to happen.
                self._stale = self._stale or wrote
            elif read:
                former, self._state = self._state, job.result(0)
                count = former is None or former["stamp"] != self._state["stamp"]
            again = bool(self._pending) or self._stale
        if error is not None:
            self._say(error)
            if not wrote:
                self._known.set()
        elif wrote:
            self._say(None)
        if count:
            self._begun("volume.histogram", self._counted_came, node=self._volume, bins=_BINS, most=_VOXELS)
        self._home.call(self._set_traits)
        self._tell_state()
        self._pacer.finished()
        if again:
            self._pacer.request()

    def _counted_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            with self._lock:
                self._counted = job.result(0)
            self._tell_histogram()
        self._known.set()

    def _icons_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            with self._lock:
                self._icons = job.result(0)
            self._tell_presets()

    # -- what happens elsewhere ----------------------------------------------------------------------------------

    def _on_scene(self, event: dict[str, Any]) -> None:
        with self._lock:
            ids = set(self._state["nodes"]) if self._state is not None else {self._volume.id}
        # What was changed right after it was added is told as added.
        changed = [*event["added"], *event["modified"], *event["removed"]]
        # A display node is the volume's only once it refers to it, which modifies the volume; the views come later.
        if any(node.id in ids for node in changed):
            self._follow()

    # -- to the browser ------------------------------------------------------------------------------------------

    def _say(self, error: BaseException | None) -> None:
        words = error_in_words(error) if error is not None else {}
        with self._lock:
            if words == self._problem:
                return
            self._problem = words
        self.send({"type": "problem", **words})

    def _tell_state(self) -> None:
        with self._lock:
            state, done = self._state, dict(self._done)
        if state is None:
            return
        words = {name: state[name] for name in _FACTS}
        words |= {name: np.asarray(state[name]).tolist() for name in ("opacity", "color")}
        roi = state["roi"]
        words["roi"] = roi._ref.name if roi is not None else ""
        self.send({"type": "state", "name": self._volume._ref.name, "state": words, "done": done})

    def _tell_histogram(self) -> None:
        with self._lock:
            counted = self._counted
        if counted is None:
            return
        heights = np.log1p(np.asarray(counted[0], float))
        heights /= max(heights.max(), 1e-9)
        low, high = float(counted[1][0]), float(counted[1][-1])
        self.send({"type": "histogram", "range": [low, high], "heights": np.round(heights, 3).tolist()})

    def _tell_presets(self, with_pictures: bool = True) -> None:
        with self._lock:
            icons = self._icons
            self._icons_told = True
        if icons is None:
            return
        pictures = {name: png for name, png in icons.items() if png is not None and with_pictures}
        self.send(
            {"type": "presets", "names": list(icons), "pictures": list(pictures)}, buffers=list(pictures.values())
        )

    def _tell_all(self) -> None:
        # Three quarters of a megabyte, not again and again to a view that may be there already.
        self._tell_presets(with_pictures=self._greeted or not self._icons_told)
        self._tell_histogram()
        self._tell_state()
        if self._problem:
            self.send({"type": "problem", **self._problem})

    # -- from the browser ----------------------------------------------------------------------------------------

    def _do_set(self, content: dict[str, Any]) -> None:
        """The person changes something; ``number`` counts the changes of a ``view``."""
        changes = {name: value for name, value in content["changes"].items() if name in _CHANGES}
        if changes:
            self._want(changes, str(content["view"]), int(content["number"]))

    def _do_fit(self, content: dict[str, Any]) -> None:
        """The ROI is to be around the volume."""
        self._want({"fit": True}, str(content["view"]), int(content["number"]))

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        deadline = time.monotonic() + _SETTLE
        self._known.wait(max(0.0, deadline - time.monotonic()))
        with self._lock:
            state, counted = self._state, self._counted
        if state is None:
            return static_note("How the volume is rendered was not known when this cell was run.")
        name = "" if self.privacy == "strict" else self._volume._ref.name
        words = state["preset"] or ("edited" if state["exists"] else "not rendered yet")
        if state["shift"]:
            words += f", shift {state['shift']:g}"
        line = f"{name}: {words}" if name else words
        page = f'<p style="margin:6px 0"><b>Volume rendering</b> {html.escape(line)}</p>'
        if state["exists"] and counted is not None:
            data = b64encode(png_of(figure_of(state, counted, name))).decode("ascii")
            page += f'<img alt="Transfer functions" style="max-width:600px" src="data:image/png;base64,{data}">'
        return page

    def __repr__(self) -> str:
        return f"<VolumeRenderingPanel of a volume in {self._session.name!r}>"
