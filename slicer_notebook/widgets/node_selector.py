"""A menu of the scene's nodes of some classes, as Slicer's qMRMLNodeComboBox: it follows the scene."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import traitlets as t

from slicer_notebook.commands.node_kinds import kind_of
from slicer_notebook.errors import (
    AmbiguousNameError,
    ArgumentError,
    DeadlineError,
    NodeNotFoundError,
    SessionError,
    error_in_words,
)
from slicer_notebook.session import Job, Node, Session
from slicer_notebook.session.magic import latest
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, static_note

__all__ = ["NodeSelector"]

_log = logging.getLogger("slicer_notebook")

#: Seconds that a new selector waits to know what there is; where Slicer is busy for longer, it learns it later.
_SETTLE: Final = 3.0

#: What nodes to offer beyond their class: a function of the handle, or MRML attributes.
Filter = Callable[[Node], bool] | Mapping[str, str | None]


class _Chosen(t.TraitType[Any, Any]):
    """A trait that is looked at also when it is None, which `traitlets.Any` is not."""

    default_value = None
    info_text = "a node, or None"


class NodeSelector(SessionWidget):
    """A menu of the nodes of some MRML classes. It follows the scene: nodes that come, go and get another name.

    Nodes that Slicer hides from its lists are not offered.

    Args:
        session: the session; the one that was begun last without it.
        classes: a MRML class, or several: nodes of these and of their subclasses.
        none: whether "None" can be chosen. Where it cannot, and there is a node, a node is always chosen.
        filter: ``{"Stage": "2"}``: nodes with this MRML attribute (with any value where it is None); or a function of
            the node's handle, which is called on the main thread whenever a node has come or changed. It may ask
            Slicer: a thousand nodes are a thousand questions.
        value: what is chosen: a handle, an id or a name.
        label: what stands before the menu.
        editable: entries for a new node, to rename the chosen one, and to remove it.
        privacy: ``"strict"`` leaves the node's name out of what a saved notebook shows.

    Attributes:
        value: the chosen node's handle, or None. Settable by handle, id or name. Observable.
        nodes: handles of the nodes that are offered, in the order of the scene. Observable.

    Raises:
        SessionNotFoundError: no session was begun yet.
        ArgumentError: no such MRML class, or ``value`` is none of the nodes that are offered.
        NodeNotFoundError, AmbiguousNameError: ``value``, as an id or name.
    """

    _esm = assets.esm("node_selector", "virtual_list", "scene_parts")
    _css = assets.css("node_selector", "scene_parts")

    value = _Chosen(None)
    nodes: t.List[Node] = t.List()
    #: What does not change: nothing of a patient.
    _options = t.Dict().tag(sync=True)

    def __init__(
        self,
        session: Session | None = None,
        classes: str | Sequence[str] = "vtkMRMLNode",
        *,
        none: bool = True,
        filter: Filter | None = None,  # noqa: A002 - the field's word, as in pandas
        value: Node | str | None = None,
        label: str = "",
        editable: bool = False,
        privacy: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.privacy = checked(privacy)
        self._classes = [classes] if isinstance(classes, str) else list(classes)
        if not self._classes or not all(isinstance(each, str) for each in self._classes):
            raise ArgumentError("Nodes of which class?", expected="a MRML class, or a list of them", got=repr(classes))
        if filter is not None and not callable(filter) and not isinstance(filter, Mapping):
            raise ArgumentError("That is no filter.", expected="a function, or attributes", got=type(filter).__name__)
        self._none = none
        self._test = filter if callable(filter) else None
        self._attributes = None if filter is None or callable(filter) else dict(filter)
        self._known: dict[str, Node] = {}
        #: the trait is about to follow what has happened already
        self._following = False
        options = {
            "none": none,
            "editable": editable,
            "label": label,
            "classes": [{"name": each, "label": _word(each)} for each in self._classes],
        }
        super().__init__(session if session is not None else latest(), _options=options, **kwargs)
        self._subscriptions.append(self._session.on("scene", self._on_scene))
        self._begin()
        if value is not None:
            self.value = value
        self._tell_until_greeted()

    def _begin(self) -> None:
        try:
            job = self._session.submit("scene.choices", class_names=self._classes, attributes=self._attributes)
        except SessionError as exc:
            self._on_closed(exc)
            return
        try:
            self._replace(self._tested(job.result(_SETTLE)))
        except DeadlineError:
            job.add_done_callback(self._all_came)
        except SessionError as exc:
            self._on_closed(exc)

    def _when_back(self) -> None:
        with self._lock:
            self._known = {}
        self._home.call(lambda: self._choose(None))
        self._tell_all()
        self._ask("scene.choices", self._all_came, class_names=self._classes, attributes=self._attributes)

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _all_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            self._home.call(lambda: self._replace(self._tested(job.result(0))))

    def _tested(self, nodes: Iterable[Node]) -> list[Node]:
        """Those that the user's function takes. On the main thread; it may wait."""
        if self._test is None:
            return list(nodes)
        found = []
        for each in nodes:
            try:
                if self._test(each):
                    found.append(each)
            except NodeNotFoundError:
                continue  # it has gone meanwhile
        return found

    def _replace(self, nodes: list[Node]) -> None:
        with self._lock:
            self._known = {each.id: each for each in nodes}
        self._tell_all()
        self._follow()

    def _on_scene(self, event: dict[str, list[Node]]) -> None:
        gone = [each.id for each in event["removed"]]
        with self._lock:
            gone = [each for each in gone if self._known.pop(each, None) is not None]
        ids = [
            each.id
            for each in [*event["added"], *event["modified"]]
            if set(self._classes).intersection(each._ref.classes)
        ]
        if ids:
            self._look_at(ids)
        if gone:
            self._tell_news([], gone)

    def _look_at(self, ids: list[str]) -> None:
        """Whether these are offered, and as what."""

        def came(job: Job[Any]) -> None:
            if job.exception(0) is not None:
                return  # the status says it
            if self._test is None:
                self._take(ids, job.result(0))
            else:
                self._home.call(lambda: self._take(ids, self._tested(job.result(0))))

        self._ask("scene.choices", came, class_names=self._classes, attributes=self._attributes, ids=ids)

    def _take(self, ids: list[str], nodes: list[Node]) -> None:
        offered = {each.id for each in nodes}
        with self._lock:
            gone = [each for each in ids if each not in offered and self._known.pop(each, None) is not None]
            fresh = [
                each for each in nodes if each.id not in self._known or self._known[each.id]._ref.name != each._ref.name
            ]
            self._known.update((each.id, each) for each in nodes)
        if fresh or gone:
            self._tell_news(fresh, gone)

    def _follow(self) -> None:
        """The traits are what is there. On the main thread."""
        with self._lock:
            nodes = list(self._known.values())
        self.set_trait("nodes", nodes)
        chosen = self.value
        if chosen is not None and chosen not in nodes:
            chosen = None
        if chosen is None and not self._none and nodes:
            chosen = nodes[0]
        self._choose(chosen)

    def _choose(self, node: Node | None) -> None:
        self._following = True
        self.set_trait("value", node)

    # -- the trait -----------------------------------------------------------------------------------------------

    @t.validate("value")
    def _check_value(self, proposal: Any) -> Node | None:
        value = proposal["value"]
        if self._following:
            # For this once: observers may set it.
            self._following = False
            return value if isinstance(value, Node) else None
        if value is None:
            if not self._none and self._known:
                raise ArgumentError(
                    "A node has to be chosen.", expected="a node", got="None", hint="none=True allows it"
                )
            return None
        found = self._find(value)
        if found.id not in self._known:
            # Made a moment ago: the event that tells of it is on its way.
            kept = self._tested(
                self._session.call(
                    "scene.choices", class_names=self._classes, attributes=self._attributes, ids=[found.id]
                )
            )
            if not kept:
                raise ArgumentError(
                    f"Node {found._ref.name!r} is not offered here.",
                    expected=f"a node of {' or '.join(self._classes)}" + (", which the filter takes" * self._filters),
                    got=found.class_name,
                )
            found = kept[0]
            with self._lock:
                self._known[found.id] = found
            self._tell_news([found], [])
        return found

    @property
    def _filters(self) -> bool:
        return self._test is not None or bool(self._attributes)

    def _find(self, value: object) -> Node:
        if isinstance(value, Node):
            if value._session is not self._session:
                raise NodeNotFoundError(
                    f"Node {value._ref.name!r} is of another session.", expected=f"a node of {self._session.name!r}"
                )
            return value
        if not isinstance(value, str):
            raise ArgumentError("That is no node.", expected="a handle, an id, a name or None", got=repr(value))
        with self._lock:
            by_id = self._known.get(value)
            named = [each for each in self._known.values() if each._ref.name == value]
        if by_id is not None:
            return by_id
        if len(named) > 1:
            raise AmbiguousNameError(
                f"{len(named)} nodes that are offered are called {value!r}.",
                expected="an id",
                got=", ".join(each.id for each in named),
            )
        return named[0] if named else self._session[value]

    @t.observe("value")
    def _value_changed(self, _change: Any) -> None:
        self.send(self._value_message())

    # -- what the browser is told, and says ----------------------------------------------------------------------

    def _value_message(self) -> dict[str, Any]:
        return {"type": "value", "id": self.value.id if self.value is not None else ""}

    def _tell_all(self) -> None:
        with self._lock:
            nodes = [_line(each) for each in self._known.values()]
        self.send({"type": "all", "nodes": nodes})
        self.send(self._value_message())

    def _tell_news(self, fresh: list[Node], gone: list[str]) -> None:
        self.send({"type": "news", "nodes": [_line(each) for each in fresh], "removed": gone})
        self._home.call(self._follow)

    def _do_choose(self, content: dict[str, Any]) -> None:
        node_id = str(content.get("id", ""))

        def choose() -> None:
            with self._lock:
                node = self._known.get(node_id)
            if node is not None or (self._none and not node_id):
                self._choose(node)
            self.send(self._value_message())  # also where nothing has changed: the browser was ahead

        self._home.call(choose)

    def _do_create(self, content: dict[str, Any]) -> None:
        class_name = str(content.get("class"))
        if class_name in self._classes:
            self._ask(
                "scene.add",
                self._created,
                class_name=class_name,
                name=str(content.get("name", "")),
                attributes=self._attributes,
            )

    def _created(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is not None:
            self._say_trouble(error)
            return
        node: Node = job.result(0)

        def choose() -> None:
            if not self._tested([node]):
                self._say_trouble(ArgumentError("The new node is not one that the filter takes; it is in the scene."))
                return
            with self._lock:
                self._known[node.id] = node
            self._tell_news([node], [])
            self._choose(node)

        self._home.call(choose)

    def _do_rename(self, content: dict[str, Any]) -> None:
        self._ask("node.rename", self._done, node=str(content["id"]), name=str(content["name"]))

    def _do_remove(self, content: dict[str, Any]) -> None:
        self._ask("node.remove", self._done, node=str(content["id"]))

    def _done(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is not None:
            self._say_trouble(error)

    def _say_trouble(self, error: BaseException) -> None:
        if not isinstance(error, SessionError):  # those the status tells
            self.send({"type": "trouble", **error_in_words(error)})

    def _static_html(self) -> str:
        before = f"{self._options['label']}: " if self._options["label"] else ""
        if self.value is None:
            return static_note(f"{before}no node was chosen.")
        with self._lock:
            node = self._known.get(self.value.id, self.value)
        name = "a node" if self.privacy == "strict" else node._ref.name
        return static_note(f"{before}{name} ({_word(self.value.class_name)})")


def _line(node: Node) -> list[str]:
    return [node.id, node._ref.name, kind_of(node._ref.classes)]


def _word(class_name: str) -> str:
    """ "ScalarVolume" of "vtkMRMLScalarVolumeNode"."""
    return class_name.removeprefix("vtkMRML").removesuffix("Node") or class_name
