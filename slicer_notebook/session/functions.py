"""``@slicer.function``: a function written in the notebook that runs in Slicer."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import msgspec

from slicer_notebook.errors import ArgumentError

if TYPE_CHECKING:
    from slicer_notebook.session.job import Job
    from slicer_notebook.session.session import Session

__all__ = ["RemoteFunction"]

P = ParamSpec("P")
R = TypeVar("R")

_PLAIN = (int, float, str, bool, bytes, list, dict, tuple, type(None))


class RemoteFunction(Generic[P, R]):
    """A function whose body runs in Slicer. Call it as usual; `submit` gives a `Job`.

    Its source is sent, not its surroundings: names that it uses are those of Slicer's main namespace (``slicer``,
    ``vtk`` after an import...), what it imports itself, and ``progress(fraction, text)``. Arguments are plain data,
    arrays and node handles (a handle becomes the MRML node, or its id where the parameter is annotated ``str``).
    Plain annotations are checked on this end before anything is sent, the result's when it comes.

    Raises (when made):
        ArgumentError: no source to send, a lambda, or a function that uses variables of an enclosing function.
    """

    def __init__(self, session: Session, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function)
        self._session = session
        self._function = function
        self._source = _source(function)  # first: it refuses what is no function
        self._signature = inspect.signature(function)
        self._hints = _plain_hints(function)
        self._key = hashlib.sha256(self._source.encode()).hexdigest()
        self._defined_in = -1

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Begin a call; its `Job`.

        Raises:
            ArgumentError: arguments that do not fit the signature.
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise ArgumentError(
                f"{self.__name__}: {exc}.", expected=f"{self.__name__}{self._signature}", got="other arguments"
            ) from None
        for name, value in bound.arguments.items():
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:  # *args: int is a tuple of int
                bound.arguments[name] = tuple(self._check(name, each) for each in value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {key: self._check(key, each, name) for key, each in value.items()}
            else:
                bound.arguments[name] = self._check(name, value)
        if self._defined_in != self._session.generation:
            self._session.call("code.define", key=self._key, name=self.__name__, source=self._source)
            self._defined_in = self._session.generation
        return self._session.submit(
            "code.call",
            key=self._key,
            args=list(bound.args),
            kwargs=dict(bound.kwargs),
            convert=self._result,
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._session.wait(self.submit(*args, **kwargs))

    __name__: str

    def _check(self, name: str, value: Any, parameter: str | None = None) -> Any:
        wanted = self._hints.get(parameter or name)
        if wanted is None or hasattr(value, "_slicer_notebook_ref"):
            return value
        try:
            return msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            raise ArgumentError(
                f"{self.__name__}: argument {name!r} has the wrong type.",
                expected=getattr(wanted, "__name__", str(wanted)),
                got=f"{type(value).__name__}: {value!r:.80}",
            ) from None

    def _result(self, raw: Any) -> R:
        wanted = self._hints.get("return")
        if wanted is None:
            result: R = raw
            return result
        try:
            return typing.cast(R, msgspec.convert(raw, wanted))
        except msgspec.ValidationError:
            raise ArgumentError(
                f"{self.__name__} returned something else than its annotation says.",
                expected=getattr(wanted, "__name__", str(wanted)),
                got=f"{type(raw).__name__}: {raw!r:.80}",
            ) from None

    def __repr__(self) -> str:
        return f"<function {self.__name__}{self._signature} in {self._session.name}>"


def _plain_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations that can be checked: plain types and containers of them.

    Slicer's own classes are not known here, and so not checked.
    """
    try:
        hints = typing.get_type_hints(function)
    except (NameError, AttributeError, TypeError):
        return {}
    return {name: hint for name, hint in hints.items() if _is_plain(hint)}


def _is_plain(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is None:
        return hint in _PLAIN
    parts = [a for a in typing.get_args(hint) if a is not Ellipsis]
    return origin in (list, dict, tuple, typing.Union, types.UnionType) and all(map(_is_plain, parts))


def _source(function: Callable[..., Any]) -> str:
    if not inspect.isfunction(function) or function.__name__ == "<lambda>":
        raise ArgumentError(
            "Only a function made with def can run in Slicer.", expected="def name(...)", got=repr(function)
        )
    captured = function.__code__.co_freevars
    if captured:
        raise ArgumentError(
            f"{function.__name__} uses variables of the function around it.",
            expected="a function that needs only its arguments",
            got=", ".join(captured),
            hint="pass them as arguments",
        )
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as exc:
        raise ArgumentError(f"The source of {function.__name__} cannot be found.", got=str(exc)) from None
    definition = ast.parse(source).body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise ArgumentError(
            f"{function.__name__} cannot run in Slicer.", expected="a plain function", got=type(definition).__name__
        )
    # The decorator is @slicer.function itself, which means nothing over there. Annotations are checked here, and may
    # name classes that the other end does not have: as text they do no harm.
    definition.decorator_list = []
    for argument in ast.walk(definition):
        if isinstance(argument, ast.arg) and argument.annotation is not None:
            argument.annotation = ast.Constant(ast.unparse(argument.annotation).strip("'\""))
    if definition.returns is not None:
        definition.returns = ast.Constant(ast.unparse(definition.returns))
    return ast.unparse(definition)
