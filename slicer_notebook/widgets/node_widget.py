"""What widgets of one node have in common: they show its state as it is in Slicer, and change it, newest wish first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar, Final

from slicer_notebook.errors import NodeNotFoundError, SlicerNotebookError, error_in_words
from slicer_notebook.session import Job, Node
from slicer_notebook.widgets.base import SessionWidget
from slicer_notebook.widgets.threads import Pacer

__all__ = ["NodeWidget"]

#: Seconds between two looks at a node that changes all the time, at least.
_LOOK: Final = 0.03
#: Seconds that a new widget waits for the node's state: a Slicer that is not busy tells it in some milliseconds.
_FIRST: Final = 1.0


class NodeWidget(SessionWidget):
    """Shows the state of a node, which a command tells, whoever changes it; and has it changed by commands.

    A wish is sent when the one before is done; of several for the same thing, the newest. Until all are done, what
    Slicer says does not change what is shown: it would be older than what the person has done since.

    Args:
        node: the node.
    """

    #: The command that tells the state, a dict, of its argument ``node``.
    _state_command: ClassVar[str]
    #: Traits that show an entry of the state of the same name, and may be set.
    _settable: ClassVar[tuple[str, ...]] = ()

    def __init__(self, node: Node, **kwargs: Any) -> None:
        self._node = node
        #: What Slicer said last; empty before it said anything.
        self._state: dict[str, Any] = {}
        self._gone = False
        self._wishes: dict[str, tuple[str, dict[str, Any]]] = {}
        self._busy = False
        self._shown: dict[str, Any] = {}
        self._known = threading.Event()
        self._pacer = Pacer(self._look, _LOOK)
        super().__init__(node._session, **kwargs)
        if self._settable:  # else no names would be all names
            self.observe(self._trait_was_set, names=list(self._settable))
        self._subscriptions.append(self._session.on("scene", self._on_scene))

    def _begin(self) -> None:
        """Ask for the state; wait a moment for it. Called once, when the widget is complete."""
        self._look()
        self._known.wait(_FIRST)
        self._tell_until_greeted()

    def _watched(self) -> set[str]:
        """Ids of the nodes whose changes may change the state."""
        return {self._node.id}

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _on_scene(self, event: dict[str, list[Node]]) -> None:
        watched = self._watched()
        # What was added a moment ago and has changed since is told as added. What was removed may have been another
        # node of the same id, of the scene before: whether it is there is asked.
        if any(node.id in watched for kind in ("modified", "added", "removed") for node in event[kind]):
            self._pacer.request()

    def _look(self) -> None:
        if self._gone or self._ask(self._state_command, self._came, node=self._node) is None:
            self._known.set()
            self._pacer.finished()

    def _came(self, job: Job[Any]) -> None:
        error = job.exception(0)
        with self._lock:
            waits = self._busy
        try:
            if isinstance(error, NodeNotFoundError):
                self._lose()
            elif error is None and not waits:
                self._take(job.result(0))
        finally:
            self._known.set()
            self._pacer.finished()

    def _take(self, state: dict[str, Any]) -> None:
        """The node's state: tell the browser, and whoever observes the traits."""
        with self._lock:
            before, self._state = self._state, state
        if state == before:
            return
        self._state_changed(before)
        values = {name: self._of_state(name) for name in self._settable}
        if not self._known.is_set():
            self._show(values)  # the widget is being made; nobody observes it yet
        else:
            self._home.call(lambda: self._show(values))

    def _of_state(self, name: str) -> Any:
        """The value of a trait."""
        return self._state[name]

    def _state_changed(self, before: dict[str, Any]) -> None:
        """Tell the browser what is new in `_state`. On any thread."""
        raise NotImplementedError

    def _lose(self) -> None:
        """The node is no more."""
        self._gone = True
        self.send({"type": "gone"})

    def _when_back(self) -> None:
        self._lose()  # the node was in the Slicer before

    # -- what is wished for --------------------------------------------------------------------------------------

    def _show(self, values: dict[str, Any]) -> None:
        self._shown = values
        with self.hold_trait_notifications():
            for name, value in values.items():
                setattr(self, name, value)

    def _trait_was_set(self, change: Any) -> None:
        name, value = change["name"], change["new"]
        if name not in self._shown or self._shown[name] != value:
            self._shown = {**self._shown, name: value}
            self._wish_of(name, value)

    def _wish_of(self, name: str, value: Any) -> None:
        """Somebody has set a trait."""
        raise NotImplementedError

    def _wish(self, thing: str, command: str, **args: Any) -> None:
        """Have a command run on the node, soon; in place of one for the same thing that has not begun. Any thread."""
        with self._lock:
            self._wishes.pop(thing, None)
            self._wishes[thing] = (command, args)
            if self._busy:
                return
            self._busy = True
        self._next()

    def _next(self) -> None:
        with self._lock:
            thing = next(iter(self._wishes), None)
            if thing is None:
                self._busy = False
            else:
                command, args = self._wishes.pop(thing)
        if thing is None:
            self._pacer.request()
            return
        if self._ask(command, self._done, node=self._node, **args) is None:
            with self._lock:
                self._wishes.clear()
                self._busy = False

    def _done(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if isinstance(error, NodeNotFoundError):
            self._lose()
        elif error is not None:
            self._refuse(error)
        self._next()

    def _refuse(self, error: BaseException) -> None:
        """Say what was not done; what is shown becomes again what is."""
        with self._lock:
            self._state = {}
        self.send({"type": "trouble", **error_in_words(error)})

    def _heard(self, handler: Callable[[], None]) -> None:
        """Do what the browser asked for; what does not fit is told there."""
        try:
            handler()
        except (SlicerNotebookError, KeyError, TypeError, ValueError) as exc:
            self.send({"type": "trouble", **error_in_words(exc)})

    def close(self) -> None:
        """Take the widget away. The node stays as it is."""
        pacer = getattr(self, "_pacer", None)  # there is none where making the widget was refused
        if pacer is not None:
            pacer.close()
        super().close()
