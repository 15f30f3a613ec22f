"""A request of SlicerWeb as its routes see it: parameters by name, a body within limits, commands to ask."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from slicer_notebook.errors import ArgumentError

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

    from slicer_notebook.commands.gateway import Context

__all__ = ["Ask", "parameters"]

#: Parameters of one request.
_MAX_PARAMETERS: Final = 200
_TRUE: Final = frozenset(("1", "true", "yes", "on"))
_FALSE: Final = frozenset(("0", "false", "no", "off", ""))


def parameters(query: bytes) -> dict[str, str]:
    """The parameters of a query or a form, without blanks around them; of several, the first; empty ones are none.

    Raises:
        ArgumentError: too many, or not UTF-8.
    """
    try:
        found = parse_qs(query.decode("ascii"), max_num_fields=_MAX_PARAMETERS, errors="strict")
    except ValueError:  # UnicodeDecodeError too
        raise ArgumentError(
            "The parameters cannot be read.", expected=f"at most {_MAX_PARAMETERS}, percent-encoded in UTF-8"
        ) from None
    return {name: values[0].strip() for name, values in found.items() if values[0].strip()}


class Ask:
    """One request.

    Args:
        work: threads for what takes long and needs no Slicer.
    """

    def __init__(self, context: Context, scope: Scope, receive: Receive, work: Executor) -> None:
        self.context = context
        self.scope = scope
        self.method: str = scope["method"]
        self._receive = receive
        self._work = work
        self.given = parameters(scope["query_string"])

    async def call(self, command: str, /, **args: Any) -> Any:
        """The result of a command. Raises what it raises."""
        return await asyncio.wrap_future(self.context.ask(command, **args))

    async def work(self, function: Any, *args: Any) -> Any:
        """The result of a function on another thread."""
        return await asyncio.get_running_loop().run_in_executor(self._work, function, *args)

    def note(self, words: str) -> None:
        """Words for the log."""
        self.scope["state"]["note"] = words

    # -- the body -------------------------------------------------------------------------------------------------

    @property
    def declared(self) -> int | None:
        """Bytes of the body; None where that is not said."""
        found = [value for name, value in self.scope["headers"] if name == b"content-length"]
        if found:
            return int(found[0])
        return None if any(name == b"transfer-encoding" for name, _ in self.scope["headers"]) else 0

    @property
    def content_type(self) -> str:
        """Without parameters, in lower case."""
        found = [value for name, value in self.scope["headers"] if name == b"content-type"]
        return found[0].decode("latin-1").partition(";")[0].strip().lower() if found else ""

    async def piece(self) -> bytes | None:
        """The next piece of the body; None at its end.

        Raises:
            ArgumentError: the client has gone before it was whole.
        """
        if self._receive is _ended:
            return None
        message: Message = await self._receive()
        if message["type"] != "http.request":
            raise ArgumentError("The body is not whole.", expected=f"{self.declared} bytes", got="fewer")
        if not message.get("more_body", False):
            self._receive = _ended
        body: bytes = message.get("body", b"")
        return body

    async def body(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            ArgumentError: longer than ``limit`` bytes.
        """
        parts, length = [], 0
        while (piece := await self.piece()) is not None:
            length += len(piece)
            if length > limit:
                raise ArgumentError("The body is too long.", expected=f"at most {limit} bytes", got=f"{length} or more")
            parts.append(piece)
        return b"".join(parts)

    # -- parameters -----------------------------------------------------------------------------------------------

    def number(self, name: str) -> float | None:
        """A finite number. Raises `ArgumentError`."""
        text = self.given.get(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ArgumentError(f"{name} does not fit.", expected="a number", got=repr(text)[:80])
        return value

    def whole(self, name: str) -> int | None:
        """A whole number. Raises `ArgumentError`."""
        value = self.number(name)
        if value is not None and (value != int(value) or abs(value) > 2**31):
            raise ArgumentError(f"{name} does not fit.", expected="a whole number", got=repr(self.given[name])[:80])
        return None if value is None else int(value)

    def numbers(self, name: str, count: int) -> list[float] | None:
        """So many finite numbers, separated by commas. Raises `ArgumentError`."""
        text = self.given.get(name)
        if text is None:
            return None
        try:
            values = [float(word) for word in text.split(",")]
        except ValueError:
            values = []
        if len(values) != count or not all(math.isfinite(value) for value in values):
            raise ArgumentError(f"{name} does not fit.", expected=f"{count} numbers", got=repr(text)[:80])
        return values

    def flag(self, name: str, default: bool = False) -> bool:
        """Whether it is switched on. Raises `ArgumentError`."""
        text = self.given.get(name)
        if text is None:
            return default
        if text.lower() not in _TRUE | _FALSE:
            raise ArgumentError(f"{name} does not fit.", expected="true or false", got=repr(text)[:80])
        return text.lower() in _TRUE

    def need(self, name: str) -> str:
        """Its text. Raises `ArgumentError` where it is missing."""
        text = self.given.get(name)
        if text is None:
            raise ArgumentError(f"The parameter {name!r} is missing.")
        return text

    def selector(self) -> dict[str, str]:
        """What chooses nodes, as ``scene.select`` takes it."""
        names = {"id": "id", "class": "class_name", "name": "name"}
        return {to: self.given[name] for name, to in names.items() if name in self.given}


async def _ended() -> Message:
    raise AssertionError("the body has been read")
