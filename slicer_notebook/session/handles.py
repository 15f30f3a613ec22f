"""Handles: MRML nodes as Python objects of the notebook. The node stays in Slicer; a handle holds its id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from slicer_notebook.errors import (
    ArgumentError,
    ArrayError,
    DeadlineError,
    NodeNotFoundError,
    SlicerNotebookError,
)
from slicer_notebook.protocol.values import Array, NodeRef
from slicer_notebook.session.attributes import OwnAttributesOnly
from slicer_notebook.session.cards import Card, html_of
from slicer_notebook.session.privacy import checked

if TYPE_CHECKING:
    from slicer_notebook.session.images import Pictures
    from slicer_notebook.session.session import Session, Subscription

__all__ = ["Node", "floats", "handle"]

#: Seconds that the display of a node waits for Slicer.
_REPR_TIMEOUT: Final = 2.0

_kinds: dict[str, type[Node]] = {}


class Node(OwnAttributesOnly):
    """A MRML node in Slicer.

    Attributes:
        id: the MRML id, such as ``vtkMRMLScalarVolumeNode1``.
        class_name: the MRML class.
    """

    #: MRML class that this handle class is for, subclasses included.
    mrml_class: ClassVar[str] = "vtkMRMLNode"
    #: The command that tells what the inline card shows; `_card` makes the card of its result.
    _summary: ClassVar[str] = "node.summary"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _kinds[cls.mrml_class] = cls

    def __init__(self, session: Session, ref: NodeRef) -> None:
        self._session = session
        self._ref = ref
        self._generation = session.generation

    @property
    def _slicer_notebook_ref(self) -> NodeRef:
        """What the link sends in place of the handle. Raises `NodeNotFoundError` for one from before a restart."""
        if self._generation != self._session.generation:
            raise NodeNotFoundError(
                f"Node {self._ref.name!r} was in the Slicer before its restart.",
                expected="a node of the present scene",
                got=self._ref.id,
                hint="load it again",
            )
        return self._ref

    @property
    def id(self) -> str:
        """The MRML id."""
        return self._ref.id

    @property
    def class_name(self) -> str:
        """The MRML class."""
        return self._ref.class_name

    @property
    def name(self) -> str:
        """The node's name now. Settable."""
        current: Node = self._session.call("scene.node", key=self)
        self._ref = NodeRef(self._ref.id, current._ref.name, self._ref.classes)
        return current._ref.name

    @name.setter
    def name(self, value: str) -> None:
        self._session.call("node.rename", node=self, name=value)
        self._ref = NodeRef(self._ref.id, value, self._ref.classes)

    @property
    def attributes(self) -> dict[str, str]:
        """The node's MRML attributes, a copy; set one by `set_attribute`."""
        found: dict[str, str] = self._session.call("node.attributes", node=self)
        return found

    def set_attribute(self, name: str, value: str | None) -> None:
        """Set a MRML attribute; ``None`` removes it."""
        self._session.call("node.set_attribute", node=self, name=name, value=value)

    def show(self, visible: bool = True) -> Pictures:
        """Show the node in the views (or hide it); the views' pictures."""
        self._session.call("node.show", node=self, visible=visible)
        return self._session.thumbnails()

    def save(self, path: str | Path) -> Path:
        """Write it where Slicer runs; the extension chooses the format. The path.

        Raises:
            PathNotFoundError: no such folder.
            FileFormatError: this node cannot be written as that.
        """
        target = self._session.path(path)
        self._session.call("node.save", node=self, path=target)
        return Path(target)

    def remove(self) -> None:
        """Remove the node from the scene."""
        self._session.call("node.remove", node=self)

    def on(self, kind: Literal["modified", "removed"], callback: Callable[[Node], Any]) -> Subscription:
        """Call ``callback(node)`` when the node was changed, or has gone; a few times a second at most.

        Returns:
            What ends it (``close()``).

        Raises:
            ArgumentError: another kind of event.
        """
        if kind not in ("modified", "removed"):
            raise ArgumentError("A node has no such event.", expected='"modified" or "removed"', got=repr(kind))

        def heard(event: dict[str, list[Node]]) -> None:
            if any(each.id == self.id for each in event[kind]):
                callback(self)

        return self._session.on("scene", heard)

    # -- display -------------------------------------------------------------------------------------------------

    def _card(self, summary: dict[str, Any]) -> Card:
        """The inline card of what `_summary` gave."""
        facts = [("class", str(summary["class"])), ("id", self.id)]
        return Card(facts + [(str(name), str(value)) for name, value in summary["attributes"].items()])

    def _below(self, summary: dict[str, Any]) -> str:  # noqa: ARG002 - for subclasses
        """HTML below the inline card, of what `_summary` gave; its texts are escaped."""
        return ""

    def _repr_html_(self) -> str:
        """A card with the node's facts as they are now; without them where Slicer has no time for it."""
        kind = type(self).__name__
        strict = checked(None) == "strict"
        try:
            summary = self._session.submit(self._summary, node=self).result(_REPR_TIMEOUT)
        except DeadlineError:
            return html_of(kind, "" if strict else self._ref.name, Card(), "Slicer was busy; show it again later.")
        except SlicerNotebookError as exc:
            return html_of(kind, "" if strict else self._ref.name, Card(), exc.message)
        if strict:
            return html_of(kind, "", Card(), "privacy: strict")
        return html_of(kind, str(summary.get("name", self._ref.name)), self._card(summary)) + self._below(summary)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Node)
            and (self.id, self._generation) == (other.id, other._generation)
            and self._session is other._session
        )

    def __hash__(self) -> int:
        return hash((self.id, self._generation, id(self._session)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._ref.name!r} ({self._ref.id})>"


def floats(value: Any, what: str) -> Array:
    """``value`` as float64. Raises `ArrayError` for what are no numbers."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise ArrayError(f"The {what} is not an array of numbers.", expected="numbers", got=str(exc)) from None


def handle(session: Session, ref: NodeRef) -> Node:
    """The handle that fits a node's class best."""
    for name in ref.classes:
        kind = _kinds.get(name)
        if kind is not None:
            return kind(session, ref)
    return Node(session, ref)
