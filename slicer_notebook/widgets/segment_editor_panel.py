"""The segment editor in the notebook: effects, masks, undo, the segments, and a live view to paint in."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import traitlets as t

from slicer_notebook.errors import ArgumentError, JobCancelledError, NodeNotFoundError, error_in_words
from slicer_notebook.session import Job, Segmentation, View, Volume
from slicer_notebook.session.images import view_title
from slicer_notebook.session.segment_editor import SegmentEditor
from slicer_notebook.widgets import assets, segment_effects
from slicer_notebook.widgets.base import static_note
from slicer_notebook.widgets.live import CssLength, LiveWidget
from slicer_notebook.widgets.live_layout import views_of
from slicer_notebook.widgets.segment_effects import BY_HAND, EFFECTS
from slicer_notebook.widgets.segment_rows import SegmentRows, check_nodes, segment_count

__all__ = ["SegmentEditorPanel"]

_PARTS: Final = ("numbers", "live_canvas", "slice_bar", "segment_list", "effect_palette", "effect_options")
_BY_NAME: Final = {effect.name: effect for effect in EFFECTS}


class SegmentEditorPanel(SegmentRows, LiveWidget):
    """Slicer's Segment Editor: what ``segmentation.edit(volume)`` shows.

    A palette of effects with their options, undo and redo, masks and the segments; and a view, live, to paint in. It is
    the editor that `Segmentation.editor` gives, one for each segmentation in Slicer: it follows whoever else edits.

    Keys: Ctrl+Z and Ctrl+Y; 1, 2, … choose an effect, 0 and Escape none; q and w the segment before and after; Shift
    and the wheel over the view the size of the brush.

    Args:
        segmentation: what is edited.
        volume: whose intensities count; as of `Segmentation.editor`.
        view: the view to paint in: its name or a `View`; the layout's first slice view without it.
        width, height: of the widget, and of the view: pixels, or a CSS length.
        privacy: ``"strict"`` leaves names and pictures out of what a saved notebook shows. What the environment
            variable ``SLICER_NOTEBOOK_PRIVACY`` says without it.

    Attributes:
        effect: name of the chosen effect (paint, erase, draw, scissors, threshold, grow_from_seeds,
            fill_between_slices, margin, hollow, smooth, islands, logical), or None. Observable, settable.
        segment: id of the segment that is edited, or None. Observable; set it to an id, or to a name that only one has.
        view: name of the view. Observable, settable.

    Raises:
        ArgumentError: that is no segmentation, volume or size; no volume is known, and there is no grid either.
        ArrayError: the volume has no voxels, or several values in each.
        ViewNotFoundError: no such view.
    """

    _esm = "\n".join((assets.renderview("renderview.js"), assets.esm("segment_editor_panel", *_PARTS)))
    _css = "\n".join((assets.renderview("renderview.css"), assets.css("segment_editor_panel", *_PARTS)))
    _state_command = "segment_editor.panel"
    _settable = ("effect", "segment")

    effect = t.Enum([each.name for each in EFFECTS], None, allow_none=True)
    segment = t.Unicode(None, allow_none=True)
    view = t.Unicode().tag(sync=True)
    _width = CssLength().tag(sync=True)
    _height = CssLength().tag(sync=True)

    def __init__(
        self,
        segmentation: Segmentation,
        volume: Volume | None = None,
        *,
        view: str | View | None = None,
        width: int | str = "100%",
        height: int | str = 560,
        privacy: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_nodes(segmentation, volume)
        session = segmentation._session
        #: The same editor, for code.
        self.editor = SegmentEditor(segmentation, volume)
        #: The views of the layout that are live, by name: their titles, kinds, colours.
        self._views = _live_views(session.call("view.arrangement"))
        name = self._first_view() if view is None else view.name if isinstance(view, View) else str(view)
        if name not in self._views:
            shown = session.view(name)
            name = shown.name
            self._views.setdefault(name, {"name": name, "title": view_title(name), "kind": shown.kind})
        self._values = segment_effects.defaults()
        self._tool: str | None = None
        #: The effect by hand that this widget has begun, as long as nobody else has begun another one.
        self._own: str | None = None
        #: What is at work, for the person; and its job, from a moment later on.
        self._work: dict[str, Any] | None = None
        self._job: Job[Any] | None = None
        self._numbers = itertools.count()
        try:
            super().__init__(
                segmentation, names=[name], bars=self._with_bar(name), privacy=privacy,
                view=name, _width=width, _height=height, **kwargs,
            )  # fmt: skip
        except t.TraitError as exc:
            raise ArgumentError("That is no size of a widget.", expected=CssLength.info_text, got=str(exc)) from None
        self.observe(self._view_was_set, names=["view"])
        self._begin()

    def _watched(self) -> set[str]:
        editor = self._state.get("editor", {})
        nodes = [editor.get("parameters"), editor.get("volume")]
        return super()._watched() | {each.id for each in nodes if each is not None}

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _chosen(self) -> str | None:
        found: str | None = self._state["editor"]["segment"] if self._state else None
        return found

    def _of_state(self, name: str) -> Any:
        return self._tool if name == "effect" else self._state["editor"][name]

    def _state_changed(self, before: dict[str, Any]) -> None:
        super()._state_changed(before)
        with self._lock:
            editor, former = self._state["editor"], before.get("editor", {})
            hand = editor["effect"]
            if hand is not None:
                self._tool = hand
                self._values[hand].update(editor["options"])
            elif self._tool in BY_HAND:
                self._tool = None
            if hand != self._own:
                self._own = None
            if editor["volume"] != former.get("volume") or self._values["threshold"]["upper"] is None:
                self._begin_threshold()
        self._tell_editor()
        if before:
            self._saving.request()
            self._choose_neighbour(before)

    def _begin_threshold(self) -> None:
        """The range that is proposed first: as in Slicer, all but the darkest quarter."""
        span = self._state["intensities"]
        if span is not None and self._state["editor"]["effect"] != "threshold":
            low, high = span
            self._values["threshold"].update(lower=round(low + (high - low) / 4, 2), upper=high)

    def _choose_neighbour(self, before: dict[str, Any]) -> None:
        """As in Slicer, when the selected segment has gone another one is selected."""
        lost = before.get("editor", {}).get("segment")
        ids = [each["id"] for each in self._state["segments"]]
        if self._chosen() is None and lost is not None and ids:
            place = [each["id"] for each in before["segments"]].index(lost)
            self._wish("segment", "segment_editor.select", segment=ids[min(place, len(ids) - 1)])

    def _tell_editor(self) -> None:
        with self._lock:
            state, tool = self._state, self._tool
            if not state:
                return
            editor = state["editor"]
            words = {
                "effect": tool,
                "values": {name: dict(values) for name, values in self._values.items()},
                "picks": tool is not None and segment_effects.picks(tool, self._values[tool]),
                "segment": editor["segment"],
                "undo": editor["undo"],
                "redo": editor["redo"],
                "area": _area(state),
                "intensity": editor["intensity"],
                "overwrite": editor["overwrite"],
                "intensities": state["intensities"],
                "volume": None if editor["volume"] is None else editor["volume"]._ref.name,
            }
        self.send({"type": "editor", **words})

    def _tell_all(self) -> None:
        self.send({"type": "effects", "effects": [each.words() for each in EFFECTS]})
        self.send({"type": "views", "views": list(self._views.values())})
        SegmentRows._tell_all(self)
        self._tell_editor()
        self.send({"type": "work", "work": self._work})
        LiveWidget._tell_all(self)

    def _when_back(self) -> None:
        LiveWidget._when_back(self)
        SegmentRows._when_back(self)

    # -- effects and their options -------------------------------------------------------------------------------

    @t.validate("segment")
    def _known_segment(self, proposal: Any) -> str | None:
        wanted = proposal["value"]
        segments = self._state.get("segments", [])
        if wanted is None or any(each["id"] == wanted for each in segments):
            return None if wanted is None else str(wanted)
        found = [each["id"] for each in segments if each["name"] == wanted]
        if len(found) != 1:
            names = ", ".join(each["name"] for each in segments)
            raise NodeNotFoundError(
                f"There is no one segment {wanted!r}.", expected=f"one of {names}", got=repr(wanted)
            )
        return str(found[0])

    def _wish_of(self, name: str, value: Any) -> None:
        if name == "effect":
            self._choose(value)
        elif value is not None:
            self._wish("segment", "segment_editor.select", segment=value)

    def _choose(self, effect: str | None) -> None:
        with self._lock:
            self._tool = effect
            self._own = effect if effect in BY_HAND else None
            values = {} if effect is None else dict(self._values[effect])
        if effect in BY_HAND:
            options = segment_effects.hand_options(str(effect), values)
            self._wish("effect", "segment_editor.activate", effect=effect, options=options)
        else:
            self._wish("effect", "segment_editor.activate", effect=None)
        self._tell_editor()

    def _do_choose(self, content: dict[str, Any]) -> None:
        """The person takes an effect, or puts it down."""
        wanted = content.get("effect")
        effect = None if wanted is None or wanted == self._tool else str(wanted)

        def choose() -> None:
            if effect is not None and effect not in _BY_NAME:
                raise ArgumentError("There is no such effect.", expected=", ".join(_BY_NAME), got=effect)
            self._choose(effect)
            self._home.call(lambda: self._show({**self._shown, "effect": effect}))

        self._heard(choose)

    def _do_option(self, content: dict[str, Any]) -> None:
        """The person changes an option."""

        def change() -> None:
            effect = _BY_NAME[str(content["effect"])]
            option = next(each for each in effect.options if each.name == content["name"])
            self._set_options(effect.name, **{option.name: option.checked(content["value"])})

        self._heard(change)

    def _set_options(self, effect: str, **values: Any) -> None:
        with self._lock:
            self._values[effect].update(values)
            threshold = self._values["threshold"]
            if effect == "threshold" and "lower" in values and threshold["upper"] is not None:
                threshold["upper"] = max(threshold["upper"], threshold["lower"])
            elif effect == "threshold" and "upper" in values and threshold["lower"] is not None:
                threshold["lower"] = min(threshold["upper"], threshold["lower"])
            options = segment_effects.hand_options(effect, self._values[effect])
            now = self._tool == effect and effect in BY_HAND
        if now:
            self._wish("effect", "segment_editor.activate", effect=effect, options=options)
        self._tell_editor()

    def _do_select(self, content: dict[str, Any]) -> None:
        """The person chose a segment."""
        self._heard(lambda: self._wish("segment", "segment_editor.select", segment=str(content["id"])))

    def _take_new(self, key: str) -> None:
        self._wish("segment", "segment_editor.select", segment=key)

    def _do_mask(self, content: dict[str, Any]) -> None:
        """The person says where editing may change something, and what it may overwrite."""

        def change() -> None:
            where, _, which = str(content["area"]).partition(":")
            span = content["intensity"]
            self._wish(
                "mask",
                "segment_editor.mask",
                inside=which if where == "inside" else None,
                outside=which if where == "outside" else None,
                intensity=None if span is None else (float(span[0]), float(span[1])),
                overwrite=str(content["overwrite"]),
            )

        self._heard(change)

    # -- what is done at once ------------------------------------------------------------------------------------

    def _do_apply(self, _content: dict[str, Any]) -> None:
        """The person has the chosen effect done."""

        def begin() -> None:
            effect = _BY_NAME[str(self._tool)]
            command, args = segment_effects.command_of(effect.name, self._values[effect.name])
            self._begin_work(effect.title, command, self._changed_voxels(effect.title), **args)

        self._heard(begin)

    def _do_pick(self, content: dict[str, Any]) -> None:
        """The person clicked on an island: a pixel of the view's picture."""

        def begin() -> None:
            command, args = segment_effects.command_of("islands", self._values["islands"])
            point = np.array([float(content["x"]), float(content["y"])])
            done = self._changed_voxels("Islands")
            self._begin_work("Islands", command, done, point=point, view=str(content["view"]), **args)

        self._heard(begin)

    def _do_auto(self, _content: dict[str, Any]) -> None:
        """A threshold is to be found."""
        threshold = self._values["threshold"]

        def found(value: Any) -> str:
            low, high = self._state["intensities"]
            above = threshold["side"] == "above"
            self._set_options(
                "threshold", **({"lower": value, "upper": high} if above else {"lower": low, "upper": value})
            )
            return f"Threshold: {value:g}"

        method = threshold["method"]
        self._heard(lambda: self._begin_work("Threshold", "segment_editor.auto_threshold", found, method=method))

    @staticmethod
    def _changed_voxels(title: str) -> Callable[[Any], str]:
        return lambda number: f"{title}: " + (f"{number:,} voxels changed" if number else "nothing changed")

    def _begin_work(self, title: str, command: str, said: Callable[[Any], str], **args: Any) -> None:
        with self._lock:
            if self._work is not None:
                raise ArgumentError(f"{self._work['title']} is still at work.", expected="its end", got=title)
            self._work = {"title": title, "progress": -1.0, "text": ""}
        self._tell_work()
        job = self._ask(command, lambda done: self._worked(done, said), node=self._node, **args)
        if job is None:
            self._end_work("")
        else:
            self._job = job
            job.on_progress(self._progressed)

    def _progressed(self, job: Job[Any]) -> None:
        with self._lock:
            if self._work is None:
                return
            self._work = {**self._work, "progress": job.progress, "text": job.text}
        self._tell_work()

    def _worked(self, job: Job[Any], said: Callable[[Any], str]) -> None:
        error = job.exception(0)
        if error is None:
            self._end_work(said(job.result(0)))
        elif isinstance(error, JobCancelledError):
            self._end_work("Cancelled; nothing was changed.")
        else:
            self._end_work("")
            self.send({"type": "trouble", **error_in_words(error)})

    def _end_work(self, text: str) -> None:
        with self._lock:
            self._work = None
        self._tell_work()
        self.send({"type": "said", "text": text})

    def _tell_work(self) -> None:
        self.send({"type": "work", "work": self._work})

    def _do_cancel(self, _content: dict[str, Any]) -> None:
        """The person does not want to wait."""
        if self._job is not None:
            self._job.cancel()

    def _do_undo(self, _content: dict[str, Any]) -> None:
        """One step back. Each is wished for itself: two are not one."""
        self._wish(f"undo {next(self._numbers)}", "segment_editor.undo")

    def _do_redo(self, _content: dict[str, Any]) -> None:
        """One step forward again."""
        self._wish(f"redo {next(self._numbers)}", "segment_editor.redo")

    # -- the view ------------------------------------------------------------------------------------------------

    def _first_view(self) -> str:
        slices = [name for name, view in self._views.items() if view["kind"] == "slice"]
        return next(iter([*slices, *self._views]), "Red")

    def _with_bar(self, name: str) -> list[str]:
        return [name] if self._views[name]["kind"] == "slice" else []

    @t.validate("view")
    def _known_view(self, proposal: Any) -> str:
        wanted = str(proposal["value"])
        if wanted not in self._views:
            raise ArgumentError(f"There is no view {wanted!r}.", expected=", ".join(self._views), got=repr(wanted))
        return wanted

    def _view_was_set(self, change: Any) -> None:
        self._stream([change["new"]])
        self._have_bars(self._with_bar(change["new"]))

    def _do_show_view(self, content: dict[str, Any]) -> None:
        """The person wants to paint in another view."""
        name = str(content["name"])
        self._home.call(lambda: self.set_trait("view", name))

    def _on_live_scene(self, event: dict[str, list[Any]]) -> None:
        if any(node.class_name == "vtkMRMLLayoutNode" for node in event["modified"]):
            self._ask("view.arrangement", self._arranged)

    def _arranged(self, job: Job[Any]) -> None:
        if job.exception(0) is not None:
            return
        # The one that is shown stays, and says that it is not to be seen now.
        self._views = {self.view: self._views[self.view], **_live_views(job.result(0))}
        self.send({"type": "views", "views": list(self._views.values())})
        self._look_for_lost()

    # -- the end, and the saved notebook -------------------------------------------------------------------------

    def _static_html(self) -> str:
        with self._lock:
            state = self._state
        if self.privacy == "strict":
            number = segment_count(state) if state else "a segmentation"
            return static_note(f"The editor of {number} was here; privacy: strict.")
        return (self._saved_rows(state, {}) if state else "") + LiveWidget._static_html(self)

    def close(self) -> None:
        """Take the widget away; the mouse is for what it was before, unless another one has taken up an effect."""
        if getattr(self, "_own", None) is not None and not self._ended:
            self._ask("segment_editor.activate", lambda _job: None, node=self._node, effect=None)
        super().close()


def _live_views(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The views of an arrangement that are drawn live, by name."""
    return {
        each["name"]: {"name": each["name"], "title": view_title(each["name"]), "kind": each["kind"]}
        for each in views_of(tree)
        if each["kind"] in ("slice", "3d")
    }


def _area(state: dict[str, Any]) -> str:
    """Where editing may change something: everywhere, inside:all, outside:visible, inside:ID and so on."""
    editor = state["editor"]
    for where in ("inside", "outside"):
        if editor[where] is not None:
            return f"{where}:{editor[where]}"
    return "everywhere"
