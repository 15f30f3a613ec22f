"""Signing in by a code that a person enters in a browser (OAuth 2 device code, RFC 8628): once for all of a process.

All that speaks to one account (a PACS, its authorisation server, the client) shares its token. Whoever needs one while
a person is asked already waits for the same answer; who stops waiting leaves the others their code. What renews a
token is kept in the system's keyring where there is one, else in this process alone.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from slicer_notebook.errors import (
    JobCancelledError,
    PacsConfigError,
    PacsError,
    PacsRefusedError,
    SlicerNotebookError,
    error_in_words,
)
from slicer_notebook.pacs import secrets
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.server import Server

if TYPE_CHECKING:
    from slicer_notebook.pacs.dicomweb.auth import Token

__all__ = [
    "REFRESH",
    "Account",
    "DeviceCode",
    "Fetch",
    "PersonKeeper",
    "Prompt",
    "account_of",
    "forget",
    "going",
    "keep",
    "kept",
    "nobody_there",
    "stop",
    "unwatch",
    "watch",
]

#: The keyring's field of what renews a token.
REFRESH: Final = "refresh_token"
#: Seconds between two looks at ``cancelled``.
_SLICE: Final = 0.08

_log = logging.getLogger(__name__)


class DeviceCode(NamedTuple):
    """What a person is asked to do: open the address, enter the code (RFC 8628 3.2)."""

    #: the PACS
    server: str
    user_code: str
    address: str
    #: the address with the code in it; empty where the server gives none
    complete_address: str
    #: how long the code is good for, from when it came
    seconds: float
    #: seconds of `time.monotonic`
    ends: float

    @property
    def left(self) -> float:
        """Seconds for which it is still good."""
        return max(0.0, self.ends - time.monotonic())

    @property
    def link(self) -> str:
        """The address to open: with the code in it, where there is such a one."""
        return self.complete_address or self.address

    def words(self) -> dict[str, Any]:
        """What is shown of it, for who is told by messages."""
        return {
            "server": self.server,
            "user_code": self.user_code,
            "address": self.address,
            "link": self.link,
            "seconds": round(self.left, 1),
        }


#: Shows a person the code, and returns at once; what it returns is told of the end: None when they have signed in, else
#: why not. On the thread of whoever needs the token.
Prompt = Callable[[DeviceCode], Callable[[BaseException | None], object] | None]
#: Gets a token: given the former one (None at first), what is polled for a cancel, and what shows a code (None: nobody
#: is there to see it).
Fetch = Callable[["Token | None", Cancelled, Callable[[DeviceCode], None] | None], "Token"]


def nobody_there(server: str) -> PacsRefusedError:
    """The error where a person would have to sign in and there is none."""
    return PacsRefusedError(
        f"Somebody must sign in at the PACS {server!r}.",
        expected="a person who is shown a code, in a notebook or on a terminal",
        got="no token, or one that cannot be renewed any more, and nobody to ask",
        hint=f"'slicer-notebook pacs sign-in {server}', or sn.pacs.sign_in({server!r}) in a notebook, keeps it in the "
        "keyring for programs that run alone. Without a keyring these need auth='client_credentials'.",
        details={"server": server, "sign_in": "nobody"},
    )


# -- one sign-in ------------------------------------------------------------------------------------------------------


class _Renewal:
    """A token is got, on a thread of its own, for all who wait for it. Changed with the account's lock held."""

    def __init__(self, number: int) -> None:
        self.number = number
        #: who waits, and how many of them can show a code
        self.waiting = 0
        self.persons = 0
        self.code: DeviceCode | None = None
        self.over = False
        self.token: Token | None = None
        self.error: BaseException | None = None
        #: nobody waits any more
        self.left = False
        #: a person has said that it is to end
        self.stopped = False


class Account:
    """A token that all of this process share."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._changed = threading.Condition()
        self._token: Token | None = None
        self._renewal: _Renewal | None = None

    def __repr__(self) -> str:
        return f"<Account at {self.server!r}>"

    @property
    def token(self) -> Token | None:
        """The newest."""
        return self._token

    def renewed(self, fetch: Fetch, stale: Token | None, prompt: Prompt | None, cancelled: Cancelled) -> Token:
        """A token that is neither ``stale`` nor over; waits for a person where it needs one.

        Raises:
            PacsError: there is none to be had; each who waits gets an error of their own.
            JobCancelledError: ``cancelled`` said so.
        """
        with self._changed:
            token = self._token
            if token is not None and token is not stale and not token.over:
                return token
            renewal = self._renewal
            if renewal is None or renewal.over or renewal.left:
                renewal = self._renewal = _Renewal(next(_numbers))
                threading.Thread(target=self._renew, args=(renewal, fetch), name="pacs-sign-in", daemon=True).start()
            renewal.waiting += 1
            renewal.persons += prompt is not None
        told: Callable[[BaseException | None], object] | None = None
        failure: BaseException | None = None
        shown = False
        try:
            while not self._wait(renewal, shown):
                if cancelled():
                    raise JobCancelledError("The request was cancelled.")
                if renewal.code is not None and not shown:
                    shown = True
                    told = prompt(renewal.code) if prompt is not None else None
            failure = _anew(renewal.error)
            if failure is not None:
                raise failure
            assert renewal.token is not None
            return renewal.token
        except BaseException as exc:
            failure = exc
            raise
        finally:
            with self._changed:
                renewal.waiting -= 1
                renewal.left = renewal.left or renewal.waiting == 0
            if told is not None:
                told(failure)

    def _wait(self, renewal: _Renewal, shown: bool) -> bool:
        """Wait a moment; whether it is over, and what there was to be shown has been."""
        with self._changed:
            self._changed.wait_for(lambda: renewal.over or (renewal.code is not None and not shown), _SLICE)
            return renewal.over and (shown or renewal.code is None)

    def _renew(self, renewal: _Renewal, fetch: Fetch) -> None:
        def show(code: DeviceCode) -> None:
            with self._changed:
                renewal.code = code
                self._changed.notify_all()
            _tell({"id": renewal.number, "state": "waiting", "error": {}, **code.words()})

        error: BaseException | None = None
        token: Token | None = None
        with self._changed:
            former, somebody = self._token, renewal.persons > 0
        try:
            token = fetch(former, lambda: renewal.left or renewal.stopped, show if somebody else None)
        except BaseException as exc:  # noqa: BLE001 - it belongs to those who wait
            error = exc
        if isinstance(error, JobCancelledError) and renewal.stopped:
            error = PacsRefusedError(
                f"Signing in at the PACS {self.server!r} was cancelled.",
                hint="Ask again to sign in.",
                details={"server": self.server, "sign_in": "cancelled"},
            )
        with self._changed:
            if token is not None:
                self._token = token
            renewal.token, renewal.error, renewal.over = token, error, True
            self._changed.notify_all()
        if renewal.code is not None:
            words = error_in_words(error) if error is not None else {}
            state = "done" if error is None else "stopped" if isinstance(error, JobCancelledError) else "failed"
            _tell({"id": renewal.number, **renewal.code.words(), "state": state, "error": words, "seconds": 0.0})

    def stop(self) -> None:
        """A person does not want to sign in: an error for all who wait."""
        with self._changed:
            if self._renewal is not None:
                self._renewal.stopped = True

    def forget(self) -> None:
        """As if nobody had ever signed in."""
        with self._changed:
            self._token = None

    def going(self) -> dict[str, Any] | None:
        """What a person is asked just now, as it is told."""
        with self._changed:
            renewal = self._renewal
            if renewal is None or renewal.over or renewal.code is None:
                return None
            return {"id": renewal.number, "state": "waiting", "error": {}, **renewal.code.words()}


def _anew(error: BaseException | None) -> BaseException | None:
    """The same error for one of several who wait for it: an exception object has one traceback."""
    if not isinstance(error, SlicerNotebookError):
        return error
    copy = type(error)(
        error.message, expected=error.expected, got=error.got, hint=error.hint, details=dict(error.details)
    )
    copy.__cause__ = error
    return copy


class PersonKeeper:
    """The token of an account, for one who speaks to it: as `auth.TokenKeeper`.

    Who was told no is not asked once more by the next request of the same retrieval, until `ask_anew`.
    """

    def __init__(self, account: Account, fetch: Fetch, prompt: Prompt | None) -> None:
        self._account = account
        self._fetch = fetch
        self._prompt = prompt
        self._refusal: PacsError | None = None

    def token(self, cancelled: Cancelled) -> Token:
        """A token that is not over."""
        token = self._account.token
        return token if token is not None and not token.over else self._renewed(token, cancelled)

    def renew(self, refused: str, cancelled: Cancelled) -> bool:
        """After a refusal: whether there is another token than ``refused`` now; asks for one if nobody has."""
        token = self._account.token
        if token is not None and token.value == refused:
            token = self._renewed(token, cancelled)
        return token is None or token.value != refused

    def ask_anew(self) -> None:
        """A person has asked for something new: they may be asked to sign in again."""
        self._refusal = None

    def _renewed(self, stale: Token | None, cancelled: Cancelled) -> Token:
        refusal = self._refusal
        if refusal is not None:
            raise _anew(refusal) or refusal
        try:
            return self._account.renewed(self._fetch, stale, self._prompt, cancelled)
        except PacsRefusedError as exc:
            self._refusal = exc
            raise


# -- all of this process ----------------------------------------------------------------------------------------------

_accounts: dict[tuple[str, ...], Account] = {}
_numbers = itertools.count(1)
_watchers: list[Callable[[dict[str, Any]], object]] = []
_lock = threading.Lock()


def account_of(server: Server) -> Account:
    """The account of a server: another one where the authorisation server or the client is another."""
    key = (server.name, server.token_url, server.device_url, server.client_id, server.scope)
    with _lock:
        return _accounts.setdefault(key, Account(server.name))


def watch(function: Callable[[dict[str, Any]], object]) -> None:
    """Call ``function`` when a person is asked to sign in, and at the end of that; on any thread.

    It is given ``id``; ``server``; ``state``: "waiting", "done", "failed" or "stopped" (nobody waited any more);
    ``user_code``, ``address``, ``link``, ``seconds`` (left); ``error``: message, hint and kind, or
    empty. No token.
    """
    with _lock:
        if function not in _watchers:
            _watchers.append(function)


def unwatch(function: Callable[[dict[str, Any]], object]) -> None:
    """The end of `watch`."""
    with _lock:
        if function in _watchers:
            _watchers.remove(function)


def _tell(words: dict[str, Any]) -> None:
    for function in list(_watchers):
        try:
            function(words)
        except Exception:  # noqa: BLE001 - the sign-in goes on
            _log.exception("A sign-in was not told of.")


def _of(server: str) -> list[Account]:
    with _lock:
        return [account for account in _accounts.values() if account.server == server]


def going() -> list[dict[str, Any]]:
    """What persons are asked just now, as `watch` tells it."""
    with _lock:
        accounts = list(_accounts.values())
    return [words for words in (account.going() for account in accounts) if words is not None]


def stop(server: str) -> None:
    """Ask nobody to sign in at a PACS any more: an error for those who wait."""
    for account in _of(server):
        account.stop()


# -- what is kept -----------------------------------------------------------------------------------------------------


def _whose(server: Server) -> list[str]:
    return [server.token_url, server.client_id]


def kept(server: Server) -> str:
    """What renews the token of a server, from the keyring; empty where nothing is kept, or no keyring is there.

    What another authorisation server or client was given is not shown to this one.
    """
    try:
        found = json.loads(secrets.stored(server.name, REFRESH) or "{}")
    except (PacsError, ValueError):
        return ""
    if not isinstance(found, dict) or found.get("of") != _whose(server) or not isinstance(found.get("token"), str):
        return ""
    secrets.remember(found["token"])
    return str(found["token"])


def keep(server: Server, token: str) -> None:
    """Put what renews a token into the keyring; without one it stays in this process."""
    try:
        secrets.store(server.name, REFRESH, json.dumps({"of": _whose(server), "token": token}))
    except PacsError as exc:
        _log.info("What renews the token of %s is not kept: %s", server.name, exc.message)


def forget(server: str) -> None:
    """Sign out: the tokens of a server are forgotten, here and in the keyring.

    Raises:
        PacsConfigError: the keyring is locked or does not answer.
    """
    for account in _of(server):
        account.stop()
        account.forget()
    try:
        there = secrets.has_keyring()
    except PacsConfigError:
        raise
    except PacsError:
        return  # the package is not installed: nothing was ever kept
    if there:
        secrets.delete(server, REFRESH)
