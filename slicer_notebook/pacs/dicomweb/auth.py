"""Who asks: HTTP Basic (RFC 7617), bearer tokens (RFC 6750), and OAuth2's client credentials and device code.

A token that has run out is renewed once, however many threads notice (RFC 6749 4.4 and 6, RFC 8628).
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from slicer_notebook.errors import PacsConfigError, PacsError, PacsRefusedError, PacsUnreachableError
from slicer_notebook.pacs.dicomweb.network import check_cancelled
from slicer_notebook.pacs.dicomweb.transport import Applied
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.secrets import remember
from slicer_notebook.pacs.signing import DeviceCode, nobody_there

__all__ = [
    "Basic",
    "Bearer",
    "Credentials",
    "FormPost",
    "Keeper",
    "Nobody",
    "OAuth",
    "Token",
    "TokenKeeper",
    "basic_header",
    "bearer_header",
    "oauth_refusal",
    "token_of",
]

#: Seconds before a token's end at which it is renewed; but no more than a tenth of its life.
_MARGIN: Final = 60.0
#: Seconds between two looks at ``cancelled``.
_SLICE: Final = 0.08
#: Seconds that a code is good for where the server does not say, and that one is waited for at most.
_LIFE: Final = 600.0
_MOST_LIFE: Final = 1800.0
#: Characters of a code and of an address that are shown.
_MOST_SHOWN: Final = 64
_MOST_ADDRESS: Final = 2000


class Credentials(Protocol):
    """What is put into requests. Used by several threads at a time."""

    #: how often a request is made again after HTTP 401
    renewals: int

    def applied(self, target: str, cancelled: Cancelled) -> Applied:
        """For a request of ``target`` (path and query behind the root); may ask for a token first.

        Raises:
            PacsError: there is no token to be had.
            JobCancelledError: ``cancelled`` said so.
        """

    def renew(self, target: str, refused: Applied, cancelled: Cancelled) -> bool:
        """After HTTP 401: whether there is something newer than ``refused`` to try with. Raises as `applied`."""


class Nobody:
    """No credentials, only what the configuration has of further headers."""

    renewals = 0

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._applied = Applied(tuple((headers or {}).items()))

    def applied(self, target: str, cancelled: Cancelled) -> Applied:  # noqa: ARG002
        """The same for every request."""
        return self._applied

    def renew(self, target: str, refused: Applied, cancelled: Cancelled) -> bool:  # noqa: ARG002
        """Nothing newer."""
        return False


def basic_header(user: str, password: str) -> tuple[str, str]:
    """The Authorization header of HTTP Basic, in UTF-8 (RFC 7617 2.1).

    Raises:
        PacsConfigError: a colon in the user's name, which Basic cannot have.
    """
    if ":" in user:
        raise PacsConfigError("A user's name for HTTP Basic cannot have a colon in it.")
    return "Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def bearer_header(token: str) -> tuple[str, str]:
    """The Authorization header of a bearer token.

    Raises:
        PacsConfigError: the token has characters that no header can have.
    """
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise PacsConfigError(
            "The token cannot be used.", expected="printable ASCII characters without spaces", hint="Store it anew."
        )
    return "Authorization", f"Bearer {token}"


class Basic(Nobody):
    """A user and a password."""

    def __init__(self, user: str, password: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(dict([*(headers or {}).items(), basic_header(user, password)]))


class Token(NamedTuple):
    """A token, and when it ends."""

    value: str
    #: seconds of `time.monotonic`; None: not known
    ends: float | None = None
    #: what renews it (RFC 6749 6)
    refresh: str = ""
    #: seconds before its end at which it is renewed
    margin: float = 0.0

    def __repr__(self) -> str:
        return "Token(...)"

    @property
    def over(self) -> bool:
        """Whether it is to be renewed."""
        return self.over_at(time.monotonic())

    def over_at(self, now: float) -> bool:
        """Whether it is to be renewed at that time."""
        return self.ends is not None and now > self.ends - self.margin


class Keeper(Protocol):
    """Keeps a token that all threads share: `TokenKeeper`, `signing.PersonKeeper`."""

    def token(self, cancelled: Cancelled) -> Token:
        """A token that is not over. Raises `PacsError`, `JobCancelledError`."""

    def renew(self, refused: str, cancelled: Cancelled) -> bool:
        """After a refusal: whether there is another token than ``refused`` now. Raises as `token`."""


class TokenKeeper:
    """One token for all threads. ``fetch`` gets one, given the former one (None at first); ``clock`` tells its end."""

    def __init__(
        self, fetch: Callable[[Token | None, Cancelled], Token], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._tries = 0
        self._failure: PacsError | None = None

    def token(self, cancelled: Cancelled) -> Token:
        """A token that is not over."""
        token = self._token
        return token if token is not None and not self._over(token) else self._renewed(token, cancelled)

    def _over(self, token: Token) -> bool:
        return token.over_at(self._clock())

    def renew(self, refused: str, cancelled: Cancelled) -> bool:
        """After a refusal: whether there is another token than ``refused`` now; asks for one if nobody has."""
        token = self._token
        if token is not None and token.value == refused:
            token = self._renewed(token, cancelled)
        return token is None or token.value != refused

    def _renewed(self, stale: Token | None, cancelled: Cancelled) -> Token:
        tries = self._tries
        while not self._lock.acquire(timeout=_SLICE):
            check_cancelled(cancelled)
        try:
            token = self._token
            if token is not None and token is not stale and not self._over(token):
                return token  # another thread has it
            if self._tries != tries and self._failure is not None:
                # Another thread has just been told no while this one waited: not once for each thread.
                failure = self._failure
                raise type(failure)(
                    failure.message,
                    expected=failure.expected,
                    got=failure.got,
                    hint=failure.hint,
                    details=dict(failure.details),
                ) from failure
            self._failure = None
            try:
                self._token = self._fetch(token, cancelled)
            except PacsError as exc:
                self._failure = exc
                raise
            finally:
                self._tries += 1
            return self._token
        finally:
            self._lock.release()


class Bearer:
    """A bearer token from a keeper."""

    renewals = 1

    def __init__(self, keeper: Keeper, headers: Mapping[str, str] | None = None) -> None:
        self._keeper = keeper
        self._headers = tuple((headers or {}).items())

    def applied(self, target: str, cancelled: Cancelled) -> Applied:  # noqa: ARG002
        """The token as it is now."""
        return Applied((*self._headers, bearer_header(self._keeper.token(cancelled).value)))

    def renew(self, target: str, refused: Applied, cancelled: Cancelled) -> bool:  # noqa: ARG002
        """Whether there is another token now."""
        return self._keeper.renew(refused.headers[-1][1].removeprefix("Bearer "), cancelled)


# -- OAuth2 -----------------------------------------------------------------------------------------------------------


class FormPost(Protocol):
    """Sends a form to an authorisation server; answers with the HTTP status and the JSON object that came."""

    def __call__(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str], cancelled: Cancelled
    ) -> tuple[int, dict[str, Any]]:
        """Raises `PacsError`, `JobCancelledError`."""


class OAuth:
    """A client of an authorisation server.

    Args:
        server: the PACS's name, for errors.
        post: sends forms.
        kept: the refresh token that was kept, empty where there is none; asked where the own one does not do.
        saved: told of each new refresh token, which is as secret as a password.
    """

    def __init__(
        self,
        server: str,
        post: FormPost,
        *,
        token_url: str,
        client_id: str,
        client_secret: str = "",
        scope: str = "",
        device_url: str = "",
        kept: Callable[[], str] | None = None,
        saved: Callable[[str], None] | None = None,
    ) -> None:
        if not token_url or not client_id:
            raise PacsConfigError(
                f"The PACS {server!r} cannot be asked for with OAuth2.",
                expected="token_url and client_id",
                details={"server": server},
            )
        self._server = server
        self._post = post
        self._token_url = token_url
        self._device_url = device_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._refresh = ""
        self._kept = kept
        self._saved = saved
        self._secret_in_form = False

    def __repr__(self) -> str:
        return f"<OAuth of {self._server!r}>"

    def client_credentials(self, _former: Token | None, cancelled: Cancelled) -> Token:
        """A token for the program itself (RFC 6749 4.4)."""
        status, answer = self._ask({"grant_type": "client_credentials", **self._with_scope()}, cancelled)
        return self._token(status, answer)

    def device(self, former: Token | None, cancelled: Cancelled, show: Callable[[DeviceCode], None] | None) -> Token:
        """A token for a person: renewed without them where that is possible, else they are asked (RFC 8628).

        Args:
            show: shows the code; None where nobody would see it.
        """
        tried: set[str] = set()
        for source in (lambda: former.refresh if former is not None else "", lambda: self._refresh, self._kept):
            refresh = source() if source is not None else ""
            if not refresh or refresh in tried:
                continue
            tried.add(refresh)
            status, answer = self._ask({"grant_type": "refresh_token", "refresh_token": refresh}, cancelled)
            if status == 200:
                return self._token(status, answer, refresh)
            if answer.get("error") != "invalid_grant":
                raise self._refused(status, answer)
        self._refresh = ""
        if show is None:
            raise nobody_there(self._server)
        return self._ask_a_person(cancelled, show)

    def _ask_a_person(self, cancelled: Cancelled, show: Callable[[DeviceCode], None]) -> Token:
        status, answer = self._post(
            self._device_url, {"client_id": self._client_id, **self._with_scope()}, {}, cancelled
        )
        device_code, user_code = _text(answer, "device_code"), _shown(answer, "user_code")
        address = _address(answer, "verification_uri") or _address(answer, "verification_url")
        if status != 200 or not device_code or not user_code or not address:
            raise self._refused(status, answer, "Check device_url, client_id and scope.")
        remember(device_code)
        seconds = min(_seconds(answer, "expires_in") or _LIFE, _MOST_LIFE)
        ends = time.monotonic() + seconds
        show(DeviceCode(self._server, user_code, address, _address(answer, "verification_uri_complete"), seconds, ends))
        return self._wait_for_person(device_code, _seconds(answer, "interval") or 5.0, seconds, ends, cancelled)

    def _wait_for_person(
        self, device_code: str, interval: float, seconds: float, ends: float, cancelled: Cancelled
    ) -> Token:
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device_code}
        while (left := ends - time.monotonic()) > 0:
            _wait(min(interval, left), cancelled)
            try:
                status, answer = self._ask(dict(form), cancelled)
            except PacsUnreachableError:
                interval *= 2  # RFC 8628 3.5; a person is at it, and the network may come back
                continue
            error = answer.get("error")
            if status == 200:
                return self._token(status, answer)
            if error == "slow_down":
                interval += 5.0  # RFC 8628 3.5
            elif error == "access_denied":
                raise self._not_signed_in(
                    "denied", "Signing in {at} was denied.", "The person said no, or has no right to it."
                )
            elif error == "expired_token":
                break
            elif error != "authorization_pending":
                raise self._refused(status, answer)
        raise self._not_signed_in(
            "expired", f"Nobody signed in {{at}} within {_minutes(seconds)}.", "Ask again: there will be a new code."
        )

    def _not_signed_in(self, why: str, text: str, hint: str) -> PacsRefusedError:
        return PacsRefusedError(
            text.format(at=f"at the PACS {self._server!r}"),
            hint=hint,
            details={"server": self._server, "sign_in": why},
        )

    def _with_scope(self) -> dict[str, str]:
        return {"scope": self._scope} if self._scope else {}

    def _ask(self, form: dict[str, str], cancelled: Cancelled) -> tuple[int, dict[str, Any]]:
        """Ask for a token as this client; its secret goes as HTTP Basic, or into the form where that is not taken."""
        if not self._client_secret:
            return self._post(self._token_url, {**form, "client_id": self._client_id}, {}, cancelled)
        if not self._secret_in_form:
            headers = dict([basic_header(_form_encoded(self._client_id), _form_encoded(self._client_secret))])
            status, answer = self._post(self._token_url, form, headers, cancelled)
            if status not in (400, 401) or answer.get("error") not in ("invalid_client", "invalid_request", None):
                return status, answer
        own = {"client_id": self._client_id, "client_secret": self._client_secret}
        status, answer = self._post(self._token_url, {**form, **own}, {}, cancelled)
        self._secret_in_form = status == 200
        return status, answer

    def _token(self, status: int, answer: dict[str, Any], refresh: str = "") -> Token:
        value = _text(answer, "access_token")
        if status != 200 or not value:
            raise self._refused(status, answer)
        token = token_of(value, _seconds(answer, "expires_in"), _text(answer, "refresh_token") or refresh)
        if token.refresh and token.refresh != self._refresh:
            self._refresh = token.refresh
            if self._saved is not None:
                self._saved(token.refresh)
        return token

    def _refused(self, status: int, answer: dict[str, Any], hint: str = "") -> PacsRefusedError:
        return oauth_refusal(self._server, status, answer, hint)


def token_of(value: str, seconds: float | None, refresh: str = "", *, now: float | None = None) -> Token:
    """A token that ends in ``seconds`` from now."""
    remember(value)
    remember(refresh)
    ends = None if seconds is None else (time.monotonic() if now is None else now) + seconds
    return Token(value, ends, refresh, min(_MARGIN, (seconds or 0.0) / 10))


#: RFC 6749 5.2 and RFC 8628 3.5 -> what to do.
_OAUTH_ERRORS: Final = {
    "invalid_client": "Check client_id and client_secret.",
    "invalid_grant": "Sign in again.",
    "invalid_request": "Check token_url and the client's kind.",
    "invalid_scope": "Check scope.",
    "invalid_target": "Check the token that is exchanged.",
    "unauthorized_client": "The client may not do that: ask who registered it.",
    "unsupported_grant_type": "The authorisation server does not do that: check auth.",
    "access_denied": "The person said no, or has no right to it.",
    "expired_token": "The code was not entered in time: try again.",
}


def oauth_refusal(server: str, status: int, answer: Mapping[str, Any], hint: str = "") -> PacsRefusedError:
    """The error for an authorisation server's refusal; only codes of the standard are shown of what it said."""
    error = answer.get("error")
    known = error if isinstance(error, str) and error in _OAUTH_ERRORS else None
    return PacsRefusedError(
        f"The authorisation server of the PACS {server!r} gives no token.",
        got=f"HTTP {status}" + (f", {known}" if known else ""),
        hint=_OAUTH_ERRORS[known] if known else hint or "Check token_url, client_id and client_secret.",
        details={"server": server, "status": status},
    )


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a token answer; empty when it is none."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _form_encoded(text: str) -> str:
    """RFC 6749 2.3.1: user and password of Basic are encoded as in a form, here."""
    from urllib.parse import quote_plus

    return quote_plus(text)


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) else ""


def _shown(answer: Mapping[str, Any], name: str) -> str:
    """A text that a person is shown: nothing in it that a terminal would obey."""
    return "".join(character for character in _text(answer, name).strip() if character.isprintable())[:_MOST_SHOWN]


def _address(answer: Mapping[str, Any], name: str) -> str:
    """An address that a person is to open: http or https alone, no script."""
    found = _text(answer, name).strip()
    good = re.fullmatch(r"(?i)https?://[^\s\x00-\x20\x7f<>\"]+", found) and found.isprintable()
    return found if good and len(found) <= _MOST_ADDRESS else ""


def _minutes(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _seconds(answer: Mapping[str, Any], name: str) -> float | None:
    try:
        seconds = float(answer.get(name, ""))
    except (TypeError, ValueError):
        return None
    return seconds if seconds > 0 else None


def _wait(seconds: float, cancelled: Cancelled) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check_cancelled(cancelled)
        time.sleep(min(_SLICE, left))
