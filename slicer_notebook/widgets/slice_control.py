"""The state of a slice view's bar, between Slicer and a browser; for any widget that has such a bar.

What a person does there goes to Slicer one request at a time; what they do meanwhile is one further request, of which
the newest values win. What changes in Slicer, by whomever, is fetched when Slicer tells of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from slicer_notebook.errors import error_in_words
from slicer_notebook.session import Job, Node, Session, Volume
from slicer_notebook.widgets.threads import Pacer

__all__ = ["SETTABLE", "SliceControl"]

#: Seconds between two looks at what changed in Slicer, at least.
_INTERVAL: Final = 0.05
#: What can be set, by the command that does it; the first is the one of a drag.
_COMMANDS: Final = {
    "view.set": ("offset", "orientation"),
    "view.set_layers": (
        "background", "foreground", "label_map", "foreground_opacity", "label_opacity", "label_outline",
    ),
    "view.set_slice": ("linked", "hot_linked", "visible_in_3d"),
}  # fmt: skip
SETTABLE: Final = frozenset(name for names in _COMMANDS.values() for name in names)
_LAYERS: Final = ("background", "foreground", "label_map")
#: What a browser has to know of a node.
_Named = dict[str, str]


class Ask(Protocol):
    """`SessionWidget._ask`."""

    def __call__(self, command: str, then: Callable[[Job[Any]], None], **args: Any) -> Job[Any] | None:
        """Begin a command; None when there is no Slicer to ask."""


class SliceControl:
    """What a bar shows and does.

    Args:
        session: the session.
        name: of the slice view.
        ask: begins a command, as `SessionWidget._ask`.
        tell: sends a message to the browser. ``{"type": "slice", "state": ...}`` is all that the bar shows, nodes as
            their ``id`` and ``name``; ``{"type": "slice_choices", "volumes": [...], "label_maps": [...]}`` is what can
            be chosen; ``{"type": "slice_done", "problem": ...}`` follows each request.
        changed: called with the state (`view.controller`, without what is just being changed) when it may be another;
            on the session's background thread.

    Attributes:
        state: as the command ``view.controller`` tells it; empty before Slicer has answered.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        ask: Ask,
        tell: Callable[[dict[str, Any]], None],
        changed: Callable[[dict[str, Any]], None],
    ) -> None:
        self.name = name
        self.state: dict[str, Any] = {}
        #: All volumes, as the browser is told of them; None until it is known.
        self._choices: dict[str, list[_Named]] | None = None
        self._ask, self._tell, self._changed = ask, tell, changed
        self._lock = threading.RLock()
        #: What is to be set next, and what is being set.
        self._wanted: dict[str, Any] = {}
        self._under_way: dict[str, Any] = {}
        self._stale_choices = True
        #: What was set may not have become what was wanted: tell the next state, whatever it is.
        self._tell_next = True
        self._pacer = Pacer(self._refresh, _INTERVAL)
        self._subscription = session.on("scene", self._on_scene)
        self._pacer.request()

    def close(self) -> None:
        """Ask no more."""
        self._subscription.close()
        self._pacer.close()

    def again(self) -> None:
        """There is another Slicer, or the view is there again: ask for all of it."""
        with self._lock:
            self._wanted, self._under_way = {}, {}
            self._stale_choices = True
        self._pacer.finished()
        self._pacer.request()

    @property
    def changing(self) -> set[str]:
        """What was asked for and is not done yet. On any thread."""
        with self._lock:
            return {*self._wanted, *self._under_way}

    def tell_all(self) -> None:
        """Send what a new browser has to know."""
        with self._lock:
            state, choices = self.state, self._choices
        if choices is not None:
            self._tell({"type": "slice_choices", "view": self.name, **choices})
        if state:
            self._tell({"type": "slice", "view": self.name, "state": _words(state)})

    # -- what changed in Slicer ----------------------------------------------------------------------------------

    def _on_scene(self, event: dict[str, list[Node]]) -> None:
        with self._lock:
            own = {self.state.get("node"), self.state.get("composite_node")}
            shown = {node.id for node in map(self.state.get, _LAYERS) if node is not None}
            known = {each["id"]: each["name"] for all_ in (self._choices or {}).values() for each in all_}
            volumes = [node for kind in ("added", "removed") for node in event[kind] if isinstance(node, Volume)]
            renamed = [
                node for node in event["modified"] if isinstance(node, Volume) and known.get(node.id) != node._ref.name
            ]
            if volumes or renamed:
                self._stale_choices = True
            moved = any(
                node.id in own or node.id in shown or "Transform" in node.class_name for node in event["modified"]
            )
            if not (moved or self._stale_choices or not self.state):
                return
        self._pacer.request()

    def _refresh(self) -> None:
        with self._lock:
            choices, self._stale_choices = self._stale_choices, False
        if choices and self._ask("view.volumes", self._choices_came) is None:
            self._pacer.finished()
            return
        if self._ask("view.controller", self._state_came, name=self.name) is None:
            self._pacer.finished()

    def _choices_came(self, job: Job[Any]) -> None:
        if job.exception(0) is not None:
            return
        found = {kind: [_named(node) for node in nodes] for kind, nodes in job.result(0).items()}
        with self._lock:
            if found == self._choices:
                return
            self._choices = found
        self._tell({"type": "slice_choices", "view": self.name, **found})

    def _state_came(self, job: Job[Any]) -> None:
        self._pacer.finished()
        error = job.exception(0)
        if error is None:
            self._take(job.result(0))
        else:
            self._tell({"type": "slice_done", "view": self.name, "problem": error_in_words(error)["message"]})

    def _take(self, state: dict[str, Any]) -> None:
        with self._lock:
            # What a person is just changing is as they want it, not as it was a moment ago.
            changing = self.changing
            fresh = {**state, **{key: self.state[key] for key in changing if key in self.state}}
            if not self._tell_next and fresh == self.state and _names(fresh) == _names(self.state):
                return
            self._tell_next = bool(changing)
            self.state = fresh
        self._tell({"type": "slice", "view": self.name, "state": _words(fresh)})
        self._changed({key: value for key, value in fresh.items() if key not in changing})

    # -- what a person does --------------------------------------------------------------------------------------

    def set(self, **what: Any) -> None:
        """Change what is in `SETTABLE`; volumes as handles or ids, "" for none. ``fit=True`` fits the view."""
        with self._lock:
            self._wanted.update(what)
            if self._under_way:
                return
        self._begin()

    def _begin(self) -> None:
        with self._lock:
            if self._under_way or not self._wanted:
                return
            self._under_way, self._wanted = self._wanted, {}
            requests = [
                (command, {name: self._under_way[name] for name in names if name in self._under_way})
                for command, names in _COMMANDS.items()
            ]
            requests = [(command, args) for command, args in requests if args]
            if self._under_way.get("fit"):
                requests.append(("view.fit", {}))
        self._next(requests, "")

    def _next(self, requests: list[tuple[str, dict[str, Any]]], problem: str) -> None:
        """The next of some requests; after the last of them, what came meanwhile."""
        if requests:
            (command, args), *rest = requests

            def then(job: Job[Any]) -> None:
                error = job.exception(0)
                self._next(rest, problem or (error_in_words(error)["message"] if error is not None else ""))

            if self._ask(command, then, name=self.name, **args) is not None:
                return
        with self._lock:
            self._under_way = {}
            self._tell_next = True
            more = bool(self._wanted)
        self._tell({"type": "slice_done", "view": self.name, "problem": problem})
        if more:
            self._begin()
        else:
            self._pacer.request()

    def do(self, content: dict[str, Any]) -> None:
        """What a browser asks for: what is to be set, by name; layers by id. Anything else is left out."""
        what = {name: value for name, value in content.items() if name in SETTABLE or name == "fit"}
        if what:
            self.set(**what)


def _named(node: Node) -> _Named:
    return {"id": node.id, "name": node._ref.name}


def _names(state: dict[str, Any]) -> list[str]:
    """Names of the nodes in the layers: handles of one node are equal whatever its name."""
    return [node._ref.name for node in map(state.get, _LAYERS) if node is not None]


def _words(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, **{layer: _named(state[layer]) if state[layer] is not None else None for layer in _LAYERS}}
