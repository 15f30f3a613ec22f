"""A command, defined once.

A command is a typed function whose first parameter is the host. Its definition gives the name on the wire, the checks
of its arguments on both ends, its documentation and its schema. The body runs in Slicer; the module that holds it
imports neither VTK nor Slicer, so that a notebook without Slicer can read the signatures.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np

from slicer_notebook import errors
from slicer_notebook.protocol.values import NodeRef

F = TypeVar("F", bound=Callable[..., Any])

#: A MRML node as an argument: a reference, or an id or unique name.
NodeLike = NodeRef | str
#: Where a command runs.
Thread = Literal["main", "worker", "network", "quick"]


@dataclass(frozen=True)
class Command:
    """One thing that Slicer can be told.

    Attributes:
        name: the name on the wire, ``group.verb``.
        function: the body; first parameter is the host.
        thread: ``"main"`` for what touches MRML, VTK or Qt; ``"worker"`` for disk and decoding; ``"network"`` for what
            waits for other machines, which may be silent for long and must not keep the workers; ``"quick"`` for what
            takes milliseconds beside it, and is not to wait until a worker is free.
        signature: the parameters without the host.
        types: resolved annotations of the parameters, and ``"return"``.
        journal: whether a session's log keeps it (a read changes nothing and is not kept).
        urgent: comes through also while Slicer's main thread is at something else (over the control channel, where the
            kernel reads one). Not one of the main thread.
    """

    name: str
    function: Callable[..., Any]
    thread: Thread
    signature: inspect.Signature
    types: dict[str, Any]
    journal: bool
    urgent: bool = False

    @property
    def doc(self) -> str:
        """The body's docstring."""
        return inspect.getdoc(self.function) or ""

    def bind_names(self, args: dict[str, Any]) -> dict[str, Any]:
        """Check the arguments' names, not their types; the arguments in the order of the parameters.

        Raises:
            ArgumentError: an unknown or missing argument.
        """
        try:
            return self.signature.bind(**args).arguments
        except TypeError as exc:
            raise errors.ArgumentError(
                f"{self.name} was called with the wrong arguments: {exc}.",
                expected=f"{self.name}{self.signature}",
                got=", ".join(args) or "no argument",
            ) from None

    def bind(self, args: dict[str, Any]) -> dict[str, Any]:
        """Check and convert arguments.

        Raises:
            ArgumentError: an unknown, missing or wrongly typed argument.
        """
        return {key: _convert(self, key, value) for key, value in self.bind_names(args).items()}


def _convert(command: Command, key: str, value: Any) -> Any:
    wanted = command.types.get(key, Any)
    if wanted is Any:
        return value
    if _accepts(wanted, value):
        return value
    try:
        return msgspec.convert(value, wanted)
    except (msgspec.ValidationError, TypeError):
        raise errors.ArgumentError(
            f"{command.name}: argument {key!r} has the wrong type.",
            expected=_type_name(wanted),
            got=f"{type(value).__name__}: {_short(value)}",
        ) from None


def _accepts(wanted: Any, value: Any) -> bool:
    """Whether ``value`` is already of the wanted type; msgspec does not know all of them (arrays, node references)."""
    options = typing.get_args(wanted) if typing.get_origin(wanted) in (typing.Union, _UnionType) else (wanted,)
    for option in options:
        origin = typing.get_origin(option) or option
        if type(value) is option or (origin in (np.ndarray, NodeRef) and isinstance(value, origin)):
            return True
    return False


_UnionType = type(int | str)


def _type_name(wanted: Any) -> str:
    text = wanted.__name__ if isinstance(wanted, type) else str(wanted)
    return text.replace("slicer_notebook.protocol.values.", "").replace("typing.", "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_commands: dict[str, Command] = {}


def command(name: str, *, thread: Thread = "main", journal: bool = True, urgent: bool = False) -> Callable[[F], F]:
    """Define a command. ``name`` is ``group.verb``."""

    def define(function: F) -> F:
        if name in _commands:
            raise ValueError(f"command {name} is defined twice")
        if urgent and thread == "main":
            raise ValueError(f"command {name} is urgent, and would have to wait for the main thread")
        signature = inspect.signature(function, eval_str=True)
        parameters = list(signature.parameters.values())[1:]
        types = typing.get_type_hints(function)
        _commands[name] = Command(
            name=name,
            function=function,
            thread=thread,
            signature=signature.replace(parameters=parameters),
            types={p.name: types.get(p.name, Any) for p in parameters} | {"return": types.get("return", Any)},
            journal=journal,
            urgent=urgent,
        )
        return function

    return define


def get(name: str) -> Command:
    """The command called ``name``.

    Raises:
        CommandNotFoundError: with the nearest names.
    """
    found = _commands.get(name)
    if found is None:
        near = difflib.get_close_matches(name, _commands, n=3)
        raise errors.CommandNotFoundError(
            f"There is no command {name!r}.",
            expected=f"one of {len(_commands)} commands" + (f", for example {', '.join(near)}" if near else ""),
            got=repr(name),
            hint="slicer_notebook.commands.names() lists them",
        )
    return found


def names() -> list[str]:
    """All commands, sorted."""
    return sorted(_commands)


def all_commands() -> Iterator[Command]:
    """All commands, sorted by name."""
    for name in names():
        yield _commands[name]
