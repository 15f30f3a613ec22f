"""The subject hierarchy as a tree: folders, patients, studies and nodes, with their eyes; it follows the scene."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import traitlets as t

from slicer_notebook.errors import (
    AmbiguousNameError,
    ArgumentError,
    DeadlineError,
    ItemNotFoundError,
    NodeNotFoundError,
    SessionError,
    error_in_words,
)
from slicer_notebook.session import Job, Node, Session
from slicer_notebook.session.magic import latest
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, static_note
from slicer_notebook.widgets.scene_items import Items, page

__all__ = ["SceneTree"]

#: Seconds that a new tree, and the display of its cell, wait to know what there is.
_SETTLE: Final = 3.0


class SceneTree(SessionWidget):
    """What is in the scene, as Slicer's Data module shows it.

    Eyes show and hide, of folders too. A double click, or Enter, shows. F2 renames, Delete removes with all that is in
    it (after a question). Rows are dragged into others; with the keyboard, Ctrl+X and Ctrl+V do the same, and Alt with
    the arrows moves a row up, down, into the row above, and out. A drag changes the hierarchy and transforms nothing.

    Args:
        session: the session; the one that was begun last without it.
        height: of the tree, CSS pixels; it is less where there are few rows.
        privacy: ``"strict"`` leaves names out of what a saved notebook shows.

    Attributes:
        selected: handles of the nodes that are selected. Settable by handles, ids or names. Observable.
        selected_items: numbers of all items that are selected, folders and segments too (see the command
            ``hierarchy.items``). Settable. Observable.
        value: the handle of the first of ``selected``, or None. Settable. Observable.

    Raises:
        SessionNotFoundError: no session was begun yet.
        ArgumentError: a height that is none. On setting a trait: what is no node.
        NodeNotFoundError, AmbiguousNameError, ItemNotFoundError: on setting a trait, for what is not in the tree.
    """

    _esm = assets.esm("scene_tree", "virtual_list", "scene_parts", "scene_items")
    _css = assets.css("scene_tree", "scene_parts")

    selected: t.List[Any] = t.List()
    selected_items: t.List[int] = t.List(t.Int())
    value = t.Any(None, allow_none=True)
    #: CSS pixels.
    _height = t.Int(420).tag(sync=True)

    def __init__(
        self, session: Session | None = None, *, height: int = 420, privacy: str | None = None, **kwargs: Any
    ) -> None:
        self.privacy = checked(privacy)
        if not isinstance(height, int) or height < 60:
            raise ArgumentError("The height does not fit.", expected="60 CSS pixels or more", got=repr(height))
        self._items = Items()
        #: what a browser is told its own choice by
        self._answering: dict[str, Any] = {}
        super().__init__(session if session is not None else latest(), _height=height, **kwargs)
        self._subscriptions.append(self._session.on("hierarchy", self._on_hierarchy))
        try:
            job = self._session.submit("hierarchy.items")
            self._items.replace(job.result(_SETTLE))
        except DeadlineError:
            job.add_done_callback(self._all_came)
        except SessionError as exc:
            self._on_closed(exc)
        self._tell_until_greeted()

    def _when_back(self) -> None:
        self._ask("hierarchy.items", self._all_came)

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _on_hierarchy(self, event: dict[str, Any]) -> None:
        if event["reset"]:
            self._ask("hierarchy.items", self._all_came)
            return
        if event["removed"]:
            # At once: of what is gone there is nothing to ask.
            self._take({"items": [], "order": []}, event["removed"])
        if event["changed"] or event["reordered"]:
            asked = list(event["changed"])
            self._ask(
                "hierarchy.items", lambda job: self._some_came(asked, job), ids=asked, parents=list(event["reordered"])
            )

    def _all_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            with self._lock:
                self._items.replace(job.result(0))
            self._tell_all()
            self._home.call(self._follow)

    def _some_came(self, asked: list[int], job: Job[Any]) -> None:
        if job.exception(0) is None:
            found = job.result(0)
            shown = {each["id"] for each in found["items"]}
            self._take(found, [each for each in asked if each not in shown])

    def _take(self, found: dict[str, Any], gone: Iterable[int]) -> None:
        with self._lock:
            gone = self._items.remove(gone)
            fresh, order = self._items.update(found)
            message = {"type": "news", "items": [_line(each) for each in fresh], "order": order, "removed": gone}
        if fresh or order or gone:
            self.send(message)
        if gone:
            self._home.call(self._follow)

    def _follow(self) -> None:
        """What is not there any more is not selected. On the main thread."""
        self._select(self.selected_items)

    # -- the traits ----------------------------------------------------------------------------------------------
    #
    # Each follows the others by what they say, so that an observer may set any of them.

    def _select(self, ids: Iterable[int]) -> None:
        """Select those of these items that are there. On the main thread."""
        with self._lock:
            there = [each for each in ids if each in self._items]
        try:
            self.selected_items = there
        except ItemNotFoundError:
            return  # it went this moment: `_follow` comes again

    def _nodes_of(self, ids: Iterable[int]) -> list[Node]:
        with self._lock:
            found = [self._items[each]["node"] for each in ids if each in self._items]
        return [each for each in found if each is not None]

    @t.validate("selected_items")
    def _check_items(self, proposal: Any) -> list[int]:
        ids = list(dict.fromkeys(proposal["value"]))
        with self._lock:
            missing = [each for each in ids if each not in self._items]
        if missing:
            raise ItemNotFoundError(f"The tree has no item {missing[0]}.", expected="numbers of its items")
        return ids

    @t.validate("selected")
    def _check_selected(self, proposal: Any) -> list[Node]:
        nodes = [self._items[self._item_of(each)]["node"] for each in proposal["value"]]
        return list(dict.fromkeys(nodes))

    @t.validate("value")
    def _check_value(self, proposal: Any) -> Node | None:
        value = proposal["value"]
        return None if value is None else self._items[self._item_of(value)]["node"]

    @t.observe("selected_items")
    def _items_changed(self, change: Any) -> None:
        nodes = self._nodes_of(change["new"])
        if nodes != self.selected:
            self.selected = nodes
        self._tell_selected()

    @t.observe("selected")
    def _selected_changed(self, change: Any) -> None:
        nodes = change["new"]
        if nodes != self._nodes_of(self.selected_items):
            self.selected_items = [self._item_of(each) for each in nodes]
        first = nodes[0] if nodes else None
        if self.value != first:
            self.value = first

    @t.observe("value")
    def _value_changed(self, change: Any) -> None:
        if change["new"] != (self.selected[0] if self.selected else None):
            self.selected = [] if change["new"] is None else [change["new"]]

    def _item_of(self, value: object) -> int:
        """The item of a node's handle, id or name."""
        if not isinstance(value, Node | str):
            raise ArgumentError("That is no node.", expected="a handle, an id or a name", got=repr(value))
        found = self._items_like(value)
        if not found:
            # Made a moment ago: the event that tells of it is on its way.
            fresh = self._session.call("hierarchy.items")
            with self._lock:
                self._items.replace(fresh)
            self._tell_all()
            found = self._items_like(value)
        if len(found) > 1:
            raise AmbiguousNameError(
                f"{len(found)} nodes of the tree are called {value!r}.", expected="an id or handle"
            )
        if not found:
            name = value._ref.name if isinstance(value, Node) else value
            raise NodeNotFoundError(f"The tree has no node {name!r}.", expected="a node that the tree shows")
        return found[0]

    def _items_like(self, value: Node | str) -> list[int]:
        with self._lock:
            all_of_them = [each for each in self._items if each["node"] is not None]
        if isinstance(value, Node):
            return [each["id"] for each in all_of_them if each["node"] == value]
        by_id = [each["id"] for each in all_of_them if each["node"].id == value]
        return by_id or [each["id"] for each in all_of_them if each["name"] == value]

    # -- what the browser is told, and says ----------------------------------------------------------------------

    def _tell_all(self) -> None:
        with self._lock:
            lines = [_line(each) for each in self._items]
            message = {"type": "all", "root": self._items.root, "items": lines, "order": self._items.order}
        self.send(message)
        self._tell_selected()

    def _tell_selected(self) -> None:
        self.send({"type": "selected", "ids": list(self.selected_items), **self._answering})

    def _do_select(self, content: dict[str, Any]) -> None:
        def select() -> None:
            self._answering = {"view": content.get("view"), "number": content.get("number")}
            try:
                self._select(_ids(content))
            finally:
                self._answering = {}

        self._home.call(select)

    def _do_visible(self, content: dict[str, Any]) -> None:
        self._ask("hierarchy.set_visible", self._done, ids=_ids(content), visible=bool(content["visible"]))

    def _do_show(self, content: dict[str, Any]) -> None:
        self._ask("hierarchy.show", self._done, ids=_ids(content))

    def _do_rename(self, content: dict[str, Any]) -> None:
        self._ask("hierarchy.rename", self._done, id=int(content["id"]), name=str(content["name"]))

    def _do_move(self, content: dict[str, Any]) -> None:
        parent, before = content.get("parent"), content.get("before")
        with self._lock:
            root = self._items.root
        self._ask(
            "hierarchy.move",
            self._done,
            ids=_ids(content),
            parent=None if parent in (None, root) else int(parent),
            before=None if before is None else int(before),
        )

    def _do_remove(self, content: dict[str, Any]) -> None:
        self._ask("hierarchy.remove", self._done, ids=_ids(content))

    def _do_folder(self, content: dict[str, Any]) -> None:
        parent = content.get("parent")
        with self._lock:
            root = self._items.root
        view = content.get("view")

        def made(job: Job[Any]) -> None:
            self._done(job)
            if job.exception(0) is None:
                self.send({"type": "made", "id": job.result(0), "view": view})

        self._ask("hierarchy.add_folder", made, parent=None if parent in (None, root) else int(parent))

    def _done(self, job: Job[Any]) -> None:
        """What a person did was done, or why not."""
        error = job.exception(0)
        if error is not None and not isinstance(error, SessionError):
            self.send({"type": "trouble", **error_in_words(error)})
            self._tell_all()  # the browser was ahead

    def _static_html(self) -> str:
        with self._lock:
            if not len(self._items):
                return static_note("The scene was empty.")
            if self.privacy == "strict":
                return static_note(f"{len(self._items):,} items of the scene (privacy: strict).")
            return page(self._items)


def _ids(content: dict[str, Any]) -> list[int]:
    return [int(each) for each in content.get("ids", [])]


def _line(item: dict[str, Any]) -> list[Any]:
    return [item["id"], item["parent"], item["name"], item["kind"], item["visible"], item["color"]]
