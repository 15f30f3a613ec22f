"""A menu of Slicer's layouts, with drawings made of their descriptions; it follows the layout."""

from __future__ import annotations

from typing import Any, Final

import traitlets as t

from slicer_notebook.errors import ArgumentError, DeadlineError, SessionError, error_in_words
from slicer_notebook.session import Job, Node, Session
from slicer_notebook.session.magic import latest
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, static_note

__all__ = ["LayoutSelector"]

#: Seconds that a new selector waits to know what there is; where Slicer is busy for longer, it learns it later.
_SETTLE: Final = 3.0


class LayoutSelector(SessionWidget):
    """A menu of Slicer's layouts, each with a small drawing of where its views are.

    Args:
        session: the session; the one that was begun last without it.
        label: what stands before the menu.

    Attributes:
        layout: name of the present layout, such as ``FourUp``. Settable: Slicer is told, without waiting for it.
            Observable; it follows whoever changes it.
        layouts: names of the layouts → what they are called, as Slicer's menu has them.

    Raises:
        SessionNotFoundError: no session was begun yet.
        ArgumentError: on setting ``layout``, for one that there is not.
    """

    _esm = assets.esm("layout_selector", "scene_parts", "layout_drawing")
    _css = assets.css("layout_selector", "scene_parts")

    layout = t.Unicode()
    layouts: t.Dict[str, str] = t.Dict()
    #: What stands before the menu.
    _label = t.Unicode().tag(sync=True)

    def __init__(self, session: Session | None = None, *, label: str = "", **kwargs: Any) -> None:
        self._entries: dict[str, dict[str, Any]] = {}
        #: of a layout that is not in the list
        self._other: dict[str, Any] | None = None
        #: the trait is about to follow what has happened already
        self._following = False
        #: layouts that Slicer was told and has not answered of: what it says meanwhile is of before
        self._under_way = 0
        super().__init__(session if session is not None else latest(), _label=label, **kwargs)
        self._subscriptions.append(self._session.on("scene", self._on_scene))
        self._begin()
        self._tell_until_greeted()

    def _begin(self) -> None:
        try:
            jobs = self._session.submit("view.layouts"), self._session.submit("view.layout")
        except SessionError as exc:
            self._on_closed(exc)
            return
        try:
            self._take_layouts(jobs[0].result(_SETTLE))
            self._follow(jobs[1].result(_SETTLE))
        except DeadlineError:
            jobs[0].add_done_callback(self._layouts_came)
            jobs[1].add_done_callback(self._name_came)
        except SessionError as exc:
            self._on_closed(exc)

    def _when_back(self) -> None:
        self._under_way = 0
        self._look()

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _on_scene(self, event: dict[str, list[Node]]) -> None:
        if any(each.class_name == "vtkMRMLLayoutNode" for each in [*event["added"], *event["modified"]]):
            self._look()

    def _look(self) -> None:
        # Views that were made meanwhile have colours of their own.
        self._ask("view.layouts", self._layouts_came)
        self._ask("view.layout", self._name_came)

    def _layouts_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            found = job.result(0)
            if found != self._entries:
                self._home.call(lambda: self._take_layouts(found))

    def _take_layouts(self, found: dict[str, dict[str, Any]]) -> None:
        self._entries = found
        self.set_trait("layouts", {name: entry["title"] for name, entry in found.items()})
        self._tell_all()

    def _name_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            self._home.call(lambda: self._follow(job.result(0)))

    def _follow(self, name: str) -> None:
        if self._under_way:
            return
        if name in self._entries:
            self._other = None
        else:
            self._ask("view.arrangement", self._other_came)
        if name != self.layout:
            self._following = True
            self.layout = name
        self._tell_name()

    def _other_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            self._other = job.result(0)
            self._tell_name()

    # -- the trait -----------------------------------------------------------------------------------------------

    @t.validate("layout")
    def _check_layout(self, proposal: Any) -> str:
        name = str(proposal["value"])
        if self._following or not self._entries:
            return name
        known = {each.lower(): each for each in self._entries}
        if name.lower() not in known:
            raise ArgumentError(f"There is no layout {name!r}.", expected=", ".join(self._entries), got=repr(name))
        return known[name.lower()]

    @t.observe("layout")
    def _layout_changed(self, change: Any) -> None:
        if self._following:
            self._following = False
            return
        self._under_way += 1
        if self._ask("view.set_layout", self._was_set, name=change["new"]) is None:
            self._under_way = 0
        self._tell_name()

    def _was_set(self, job: Job[Any]) -> None:
        error = job.exception(0)

        def settled() -> None:
            self._under_way = max(0, self._under_way - 1)
            if error is not None and not isinstance(error, SessionError):
                self.send({"type": "trouble", **error_in_words(error)})
            if not self._under_way:
                self._look()

        self._home.call(settled)

    # -- what the browser is told, and says ----------------------------------------------------------------------

    def _tell_name(self) -> None:
        self.send({"type": "layout", "name": self.layout, "arrangement": self._other})

    def _tell_all(self) -> None:
        entries = [
            {"name": name, "title": entry["title"], "arrangement": entry["arrangement"]}
            for name, entry in self._entries.items()
        ]
        self.send({"type": "layouts", "layouts": entries})
        self._tell_name()

    def _do_choose(self, content: dict[str, Any]) -> None:
        name = str(content.get("name"))

        def choose() -> None:
            if name in self._entries:
                self.layout = name
            self._tell_name()

        self._home.call(choose)

    def _static_html(self) -> str:
        before = f"{self._label}: " if self._label else "Layout: "
        return static_note(before + (self.layouts.get(self.layout, self.layout) or "not known"))
