"""Handles: MRML nodes as Python objects of the notebook. The node stays in Slicer; a handle holds its id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from slicer_notebook.errors import ArrayError, NodeNotFoundError
from slicer_notebook.protocol.values import Array, NodeRef
from slicer_notebook.session.attributes import OwnAttributesOnly

if TYPE_CHECKING:
    from slicer_notebook.session.images import Pictures
    from slicer_notebook.session.session import Session

__all__ = ["Node", "floats", "handle"]

_kinds: dict[str, type[Node]] = {}


class Node(OwnAttributesOnly):
    """A MRML node in Slicer.

    Attributes:
        id: the MRML id, such as ``vtkMRMLScalarVolumeNode1``.
        class_name: the MRML class.
    """

    #: MRML class that this handle class is for, subclasses included.
    mrml_class: ClassVar[str] = "vtkMRMLNode"

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
