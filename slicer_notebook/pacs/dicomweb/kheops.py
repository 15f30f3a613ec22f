"""Kheops: DICOMweb with tokens of albums and persons, and viewer tokens that are good for one study."""

from __future__ import annotations

import base64
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from slicer_notebook.errors import ArgumentError, PacsConfigError, PacsRefusedError
from slicer_notebook.pacs.checks import kheops_link
from slicer_notebook.pacs.dicomweb.auth import (
    FormPost,
    Keeper,
    Token,
    TokenKeeper,
    basic_header,
    bearer_header,
    oauth_refusal,
    token_of,
)
from slicer_notebook.pacs.dicomweb.failures import status_of
from slicer_notebook.pacs.dicomweb.qido_keys import Parameter
from slicer_notebook.pacs.dicomweb.transport import Applied
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.secrets import Hidden
from slicer_notebook.pacs.server import KHEOPS_LINK, Form, shown_url

__all__ = [
    "KheopsLink",
    "KheopsTokens",
    "Selection",
    "ViewerTokens",
    "split_link",
    "without_tokens",
]


_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # the name of a type, no secret
_SCOPE: Final = "viewer read write"
#: Seconds that a viewer token lives where the server does not say.
_LIFE: Final = 18000.0
#: The user's name beside a token that is a password: any will do.
_USER: Final = "kheops"
#: Studies whose viewer tokens are kept.
_MOST_KEPT: Final = 256
#: What can stand in a path: ``{api}/link/TOKEN/...``
_PATH_TOKEN: Final = re.compile(r"[A-Za-z0-9.+=_-]+")
_STUDY: Final = re.compile(r"^/studies/([^/?]+)|[?&]studyUID=([^&]+)")


class KheopsLink(NamedTuple):
    """A share link's parts."""

    #: root of the API: ``https://host/api``
    api: str
    token: str

    def __repr__(self) -> str:
        return f"KheopsLink(api={self.api!r}, token=...)"


def split_link(link: str) -> KheopsLink:
    """The parts of a share link, ``https://host/view/TOKEN``.

    Raises:
        ArgumentError: it is none.
    """
    found = kheops_link(link.strip())
    if found is None:
        # What has no scheme may be the token alone.
        got = shown_url(link) if "://" in link else "no URL"
        raise ArgumentError("That is no Kheops link.", expected="https://host/view/TOKEN", got=got)
    return KheopsLink(found[0].removeprefix("kheops+"), found[1])


class Selection(NamedTuple):
    """Which of the studies that a person's token opens: an album's, those of the inbox, or all."""

    album: str = ""
    inbox: bool = False

    @property
    def of_searches(self) -> tuple[Parameter, ...]:
        """Parameters of QIDO-RS."""
        if self.album:
            return (("album", self.album),)
        return (("inbox", "true"),) if self.inbox else ()

    @property
    def of_tokens(self) -> dict[str, str]:
        """Fields of the token exchange."""
        if self.album:
            return {"source_type": "album", "source_id": self.album}
        return {"source_type": "inbox"} if self.inbox else {}


class _Fields(dict[str, str]):
    """A form with a token in it, which what shows variables does not show."""

    def __repr__(self) -> str:
        return f"<a form of {', '.join(self)}>"


class ViewerTokens:
    """Viewer tokens, one for each study that is asked for, exchanged for the configured token. For several threads.

    Args:
        server: the PACS's name, for errors.
        base: the configured token.
        post: sends forms.
        api: root of the API.
        headers: further ones of each exchange.
        clock: tells when a token ends, in seconds.
    """

    def __init__(
        self,
        server: str,
        base: Keeper,
        post: FormPost,
        api: str,
        *,
        selection: Selection = Selection(),  # noqa: B008  # it cannot change
        headers: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._base = base
        self._post = post
        self._token_url = f"{api.rstrip('/')}/token"
        self._selection = selection
        self._headers = dict(headers or {})
        self._clock = clock
        self._lock = threading.Lock()
        #: study -> its viewer token; None where the server gives none
        self._viewers: OrderedDict[str, TokenKeeper | None] = OrderedDict()
        self._exchanges = True

    def __repr__(self) -> str:
        return f"<ViewerTokens of {self._server!r}>"

    def token_for(self, target: str, cancelled: Cancelled) -> Hidden:
        """The token for a request: a viewer token for what is inside a study, if there is one, else the configured."""
        study = _study_of(target)
        keeper = self._keeper(study)
        if keeper is not None and study is not None:
            try:
                return Hidden(keeper.token(cancelled).value)
            except PacsRefusedError as exc:
                self._note_refusal(study, status_of(exc))
        return Hidden(self._base.token(cancelled).value)

    def renew(self, target: str, refused: str, cancelled: Cancelled) -> bool:
        """After a refusal: whether there is another token for a request now."""
        study = _study_of(target)
        keeper = self._keeper(study)
        if keeper is None or study is None:
            return self._base.renew(refused, cancelled)
        try:
            return keeper.renew(refused, cancelled)
        except PacsRefusedError as exc:
            # The configured token is tried: its refusal says more than that there is no viewer token.
            self._note_refusal(study, status_of(exc))
            return self._base.token(cancelled).value != refused

    def of(self, study: str, cancelled: Cancelled) -> Token:
        """The viewer token of a study; exchanged for it if there is none, or if it is about to end.

        Raises:
            PacsRefusedError: the server gives none.
            PacsError: it cannot be asked.
        """
        with self._lock:
            if self._viewers.get(study, study) is None:
                del self._viewers[study]  # it was refused for a search; whoever asks for it is to be told why
        keeper = self._keeper(study, asked=True)
        assert keeper is not None
        return keeper.token(cancelled)

    def left(self, token: Token) -> float:
        """Seconds until a token ends."""
        return max(0.0, (token.ends if token.ends is not None else self._clock()) - self._clock())

    def _keeper(self, study: str | None, *, asked: bool = False) -> TokenKeeper | None:
        """What keeps the viewer token of a study; None for a search among studies."""
        if study is None or not (self._exchanges or asked):
            return None
        with self._lock:
            if study not in self._viewers:
                self._viewers[study] = TokenKeeper(
                    lambda _former, cancelled: self._exchanged(study, cancelled), self._clock
                )
                while len(self._viewers) > _MOST_KEPT:
                    self._viewers.popitem(last=False)
            self._viewers.move_to_end(study)
            return self._viewers[study]

    def _note_refusal(self, study: str, status: int | None) -> None:
        """The configured token has to do then. Whether it does, the request itself shows."""
        if status in (404, 405, 501):
            self._exchanges = False
        if status is not None and 400 <= status < 500:
            with self._lock:
                self._viewers[study] = None

    def _exchanged(self, study: str, cancelled: Cancelled) -> Token:
        base = self._base.token(cancelled)
        status, answer = self._asked(base, study, cancelled)
        if status in (400, 401) and self._base.renew(Hidden(base.value), cancelled):
            # It was the configured token that had ended.
            status, answer = self._asked(self._base.token(cancelled), study, cancelled)
        value = answer.get("access_token")
        if status != 200 or not isinstance(value, str) or not value:
            raise oauth_refusal(self._server, status, answer, "Is the token good for that study?")
        seconds = answer.get("expires_in")
        life = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else _LIFE
        return token_of(Hidden(value), life, now=self._clock())

    def _asked(self, base: Token, study: str, cancelled: Cancelled) -> tuple[int, dict[str, Any]]:
        form = _Fields(
            grant_type=_GRANT,
            subject_token=Hidden(base.value),
            subject_token_type=_TOKEN_TYPE,
            scope=_SCOPE,
            studyUID=study,
            **self._selection.of_tokens,
        )
        status, answer = self._post(self._token_url, form, self._headers, cancelled)
        return status, {name: Hidden(each) if isinstance(each, str) else each for name, each in answer.items()}


class KheopsTokens:
    """Credentials: the token that is configured, and for what is inside a study a viewer token, exchanged for it.

    Args:
        tokens: which token is for what.
        form: how it is given. Empty: as Bearer; to a server that refuses that, in the path.
        headers: further ones of each request.
    """

    renewals = 2

    def __init__(self, tokens: ViewerTokens, form: Form = "", headers: Mapping[str, str] | None = None) -> None:
        self._tokens = tokens
        self._form = form
        self._headers = tuple((headers or {}).items())
        self._in_path = form == "path"

    def __repr__(self) -> str:
        return f"<KheopsTokens of {self._tokens!r}>"

    @property
    def tokens(self) -> ViewerTokens:
        """Which token is for what."""
        return self._tokens

    def applied(self, target: str, cancelled: Cancelled) -> Applied:
        """The token for what is asked for. Raises as `Credentials.applied`."""
        value = self._tokens.token_for(target, cancelled)
        if not self._in_path:
            header = basic_header(_USER, value) if self._form == "basic" else bearer_header(value)
            return Applied((*self._headers, header))
        if not _PATH_TOKEN.fullmatch(value):
            raise PacsConfigError(
                "This token cannot be given in the path of an address.",
                expected="letters, digits and . + = _ -",
                hint="Give it as Bearer.",
            )
        return Applied(self._headers, f"/link/{value}")

    def renew(self, target: str, refused: Applied, cancelled: Cancelled) -> bool:
        """What is refused is renewed; but first, where no form was asked for, given in the path."""
        value = _value_of(refused)
        if not self._form:
            if not refused.prefix and _PATH_TOKEN.fullmatch(value):
                self._in_path = True  # or another thread has just found out that this is how it is given
                return True
            self._in_path = False
        return self._tokens.renew(target, value, cancelled)


def _value_of(given: Applied) -> Hidden:
    """The token in what was given."""
    if given.prefix:
        return Hidden(given.prefix.removeprefix("/link/"))
    scheme, _, rest = given.headers[-1][1].partition(" ")
    return Hidden(base64.b64decode(rest).decode().partition(":")[2] if scheme == "Basic" else rest)


def without_tokens(value: Any) -> Any:
    """An answer with no token in its addresses: Kheops puts that of the path into those that it gives.

    Args:
        value: a text, or lists and objects of these; other values are left as they are.
    """
    if isinstance(value, str):
        if "/link/" not in value:
            return value
        return KHEOPS_LINK.sub(lambda found: found["before"] if found["how"] == "link" else found[0], value)
    if isinstance(value, list):
        return [without_tokens(each) for each in value]
    return {name: without_tokens(each) for name, each in value.items()} if isinstance(value, dict) else value


def _study_of(target: str) -> str | None:
    found = _STUDY.search(target)
    return unquote(found[1] or found[2]) if found is not None else None
