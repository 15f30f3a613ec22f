"""Passwords and tokens of PACS servers: where they are kept, and that no text shows them.

A configuration has references only: ``env:NAME``, an environment variable, or ``keyring``, the entry of the system's
keyring for service ``slicer-notebook`` and user ``SERVER/FIELD`` (``hospital/password``, ``web/headers.X-Api-Key``).
"""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import quote, quote_plus

from slicer_notebook.errors import PacsConfigError, PacsError
from slicer_notebook.pacs.extra import need
from slicer_notebook.pacs.server import SECRETS, Server, is_reference

__all__ = [
    "SERVICE",
    "Hidden",
    "Masking",
    "delete",
    "has_keyring",
    "masked",
    "remember",
    "resolve",
    "secret",
    "store",
    "stored",
]

T = TypeVar("T")

#: The service under which the keyring has our entries.
SERVICE: Final = "slicer-notebook"
#: Seconds for an answer of the keyring: a person may have to unlock it first, and one that asks where nobody sees it
#: (no display, over SSH) never answers.
KEYRING_DEADLINE: Final = 60.0
#: Secrets that are remembered for masking, at most: tokens are renewed again and again.
_MOST_REMEMBERED: Final = 1000
#: keyring's own mark of a backend that is more than suitable (``keyring.core.recommended``).
_RECOMMENDED: Final = 1
_STARS: Final = "***"


class Hidden(str):
    """A secret: what shows the values of variables, as some tracebacks do, does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


# -- from a reference to the secret ----------------------------------------------------------------------------------


def secret(server: Server, field: str) -> str:
    """The secret of a server: ``field`` is one of `SECRETS`, or ``headers.NAME``; empty where none is configured.

    Raises:
        PacsConfigError: the environment variable is not set or empty, the keyring is locked or missing or has no such
            entry, or the configuration has something that is no reference.
    """
    section, _, header = field.partition(".")
    if section == "headers" and header in server.headers:
        reference = server.headers[header]
    elif field in SECRETS:
        reference = getattr(server, field)
    else:
        raise PacsConfigError(
            f"{server.name!r} has no secret {field!r}.",
            expected=", ".join([*SECRETS, *(f"headers.{name}" for name in server.headers)]),
            details={"server": server.name},
        )
    return resolve(server.name, field, reference) if reference else ""


def resolve(server_name: str, field: str, reference: str) -> str:
    """What a reference stands for. It is remembered, so that `Masking` keeps it out of logs.

    Raises:
        PacsConfigError: as `secret` says.
    """
    if not is_reference(reference):
        raise PacsConfigError(
            f"The {field} of {server_name!r} is no reference to a secret.",
            expected="env:VARIABLE, or keyring",
            hint=_use_env(field),
            details={"server": server_name},
        )
    if reference == "keyring":
        found = stored(server_name, field)
        if not found:
            raise PacsConfigError(
                f"The keyring has no {field} of {server_name!r} (service {SERVICE}, user {server_name}/{field}).",
                hint=_use_env(field),
                details={"server": server_name},
            )
    else:
        variable = reference.removeprefix("env:")
        found = os.environ.get(variable, "")
        if not found:
            raise PacsConfigError(
                f"The environment variable {variable} is {'empty' if variable in os.environ else 'not set'}; it should "
                f"hold the {field} of {server_name!r}.",
                hint=f"Set {variable} before this program starts.",
                details={"server": server_name},
            )
    remember(found)
    return found


def _use_env(field: str) -> str:
    return f"Put it into an environment variable, and give {field} as env:VARIABLE."


# -- the keyring -----------------------------------------------------------------------------------------------------


def has_keyring() -> bool:
    """Whether this machine has a keyring that keeps secrets secret: neither none at all nor one in plain text.

    Raises:
        PacsError: the package keyring is not installed.
        PacsConfigError: the keyring did not answer in time.
    """
    return _asked("look for it", _backend) is not None


def stored(server_name: str, field: str) -> str | None:
    """What the keyring has; None where it has no such entry.

    Raises:
        PacsConfigError: there is no keyring, or it is locked or does not answer.
    """

    def ask() -> Any:
        return _needed(field).get_password(SERVICE, f"{server_name}/{field}")

    found = _asked("read from it", ask, field)
    return None if found is None else str(found)


def store(server_name: str, field: str, value: str) -> None:
    """Put a secret into the keyring, in place of what is there.

    Raises:
        PacsConfigError: there is no keyring, or it is locked or does not answer.
    """
    remember(value)
    _asked("write to it", lambda: _needed(field).set_password(SERVICE, f"{server_name}/{field}", value), field)


def delete(server_name: str, field: str) -> None:
    """Take a secret out of the keyring; nothing happens where it is not there.

    Raises:
        PacsConfigError: there is no keyring, or it is locked or does not answer.
    """

    def ask() -> None:
        backend, user = _needed(field), f"{server_name}/{field}"
        if backend.get_password(SERVICE, user) is not None:
            backend.delete_password(SERVICE, user)

    _asked("delete from it", ask, field)


def _backend() -> Any:
    """The backend to use; None where there is none that keeps secrets secret."""
    chosen = need("keyring").get_keyring()
    # The chainer asks its backends in turn, and would write to one in plain text where that is the first.
    chained = getattr(chosen, "backends", None) if type(chosen).__module__ == "keyring.backends.chainer" else None
    return next((each for each in ([chosen] if chained is None else chained) if _keeps_secrets(each)), None)


def _keeps_secrets(backend: Any) -> bool:
    kind = type(backend)
    if kind.__module__ in ("keyring.backends.fail", "keyring.backends.null") or "plain" in kind.__name__.lower():
        return False
    return float(kind.priority) >= _RECOMMENDED


def _needed(field: str) -> Any:
    found = _backend()
    if found is None:
        raise PacsConfigError("This machine has no keyring that keeps secrets secret.", hint=_use_env(field))
    return found


def _asked(doing: str, ask: Callable[[], T], field: str = "it") -> T:
    """The answer of the keyring, asked on a thread of its own: it may wait for a person, or for ever."""
    answers: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(ask())
        # Every backend has errors of its own: of D-Bus, of the system's services, of its files.
        except Exception as exc:  # noqa: BLE001
            failures.append(exc)

    thread = threading.Thread(target=run, name="keyring", daemon=True)
    thread.start()
    thread.join(KEYRING_DEADLINE)
    if answers:
        return answers[0]
    if not failures:
        raise PacsConfigError(
            f"The keyring did not answer within {KEYRING_DEADLINE:g} s when asked to {doing}.",
            hint=f"It may be locked, and ask for its password where nobody sees it. {_use_env(field)}",
        )
    failure = failures[0]
    if isinstance(failure, PacsError):
        raise failure
    # Without its text and without a cause: both may repeat what was to be written.
    raise PacsConfigError(
        f"The keyring refused to {doing}: {type(failure).__name__}.", hint=f"It may be locked. {_use_env(field)}"
    ) from None


# -- masking ---------------------------------------------------------------------------------------------------------

_remembered: dict[str, None] = {}
_lock = threading.Lock()

#: Characters of base64, of both alphabets (RFC 4648 4 and 5).
_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
#: Shorter ones are told from another text with the colon before them only.
_LEAST_BYTES: Final = 4


def remember(value: str) -> None:
    """Keep ``value`` out of everything that `Masking` filters, from now on. Tokens that came from a server, too."""
    if not value:
        return
    with _lock:
        _remembered.pop(value, None)
        _remembered[value] = None
        while len(_remembered) > _MOST_REMEMBERED:
            del _remembered[next(iter(_remembered))]


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret replaced by ``***``.

    As it is, as it looks in a URL (RFC 3986 2.1), in JSON and in Python's repr, and within base64, as in HTTP Basic
    (RFC 7617), whatever the user name before it.
    """
    known = [value for value in dict.fromkeys(secrets) if value]
    for form in sorted({form for value in known for form in _forms(value)}, key=len, reverse=True):
        text = text.replace(form, _STARS)
    for core in {core for value in known for core in _base64_cores(value)}:
        text = _without_base64(text, core)
    return text


def _forms(value: str) -> Iterator[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    # An environment variable may hold what is no text.
    raw = value.encode("utf-8", "surrogateescape")
    yield repr(raw)[2:-1]
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe="!$&'()*+,;=:@/?")):
        yield quoted
        # Hexadecimal digits of either case mean the same.
        yield quoted if "%" not in quoted else _lower_hex(quoted)


def _lower_hex(quoted: str) -> str:
    first, *others = quoted.split("%")
    return first + "".join(f"%{each[:2].lower()}{each[2:]}" for each in others)


def _base64_cores(value: str) -> Iterator[str]:
    """What base64 of any text that ends in ``:value`` has in it, for each place that ``value`` may begin at."""
    for encoding in ("utf-8", "latin-1"):  # RFC 7617 2.1 leaves it open
        try:
            raw = value.encode(encoding, "surrogateescape")
        except UnicodeEncodeError:
            continue
        if len(raw) < _LEAST_BYTES:
            raw = b":" + raw
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + raw)
            # Without the characters that also hold bits of what is before or behind.
            core = encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6].decode()
            if len(core) >= _LEAST_BYTES:  # two characters are in every other word
                yield core
                yield core.replace("+", "-").replace("/", "_")


def _without_base64(text: str, core: str) -> str:
    """``text`` without the runs of base64 that have ``core`` in them."""
    at = text.find(core)
    while at >= 0:
        start, end = at, at + len(core)
        while start and text[start - 1] in _BASE64:
            start -= 1
        while end < len(text) and text[end] in _BASE64:
            end += 1
        text = text[:start] + _STARS + text[end:]
        at = text.find(core, start + len(_STARS))
    return text


class Masking(logging.Filter):
    """Keeps secrets out of a log: message, arguments, traceback and stack.

    To be added to a handler: a logger's filters do not see what the loggers below it write.

    Args:
        secrets: what to mask beside all that this process has resolved or `remember`\\ ed.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True; the record is masked in place."""
        with _lock:
            known = [*self._secrets, *_remembered]
        if not known:
            return True
        try:
            text = record.getMessage()
        # The text of an argument may fail in any way; logging itself would print both to standard error, unmasked.
        except Exception:  # noqa: BLE001
            text = f"{record.msg} (its arguments do not fit)"
        record.msg, record.args = masked(text, known), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            # Without the exception itself: other handlers would write it anew.
            record.exc_text, record.exc_info = masked(record.exc_text, known), None
        if record.stack_info:
            record.stack_info = masked(record.stack_info, known)
        return True
