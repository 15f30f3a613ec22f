"""Kheops: DICOMweb with tokens of albums and persons, and viewer tokens that are good for one study."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote

from slicer_notebook.errors import ArgumentError, PacsRefusedError
from slicer_notebook.pacs.checks import kheops_link
from slicer_notebook.pacs.dicomweb.auth import (
    FormPost,
    Keeper,
    Token,
    TokenKeeper,
    bearer_header,
    oauth_refusal,
    token_of,
)
from slicer_notebook.pacs.dicomweb.failures import status_of
from slicer_notebook.pacs.dicomweb.qido_keys import Parameter
from slicer_notebook.pacs.dicomweb.transport import Applied
from slicer_notebook.pacs.model import Cancelled
from slicer_notebook.pacs.server import shown_url

__all__ = ["KheopsLink", "KheopsTokens", "Selection", "split_link"]

_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # the name of a type, no secret
_SCOPE: Final = "viewer read write"
#: Seconds that a viewer token lives where the server does not say.
_LIFE: Final = 18000.0
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


class KheopsTokens:
    """Credentials: the token that is configured, and for what is inside a study a viewer token, exchanged for it.

    Both go as bearer tokens; a server that refuses that is given them in the path.

    Args:
        server: the PACS's name, for errors.
        base: the configured token.
        post: sends forms.
        api: root of the API.
    """

    renewals = 2

    def __init__(
        self,
        server: str,
        base: Keeper,
        post: FormPost,
        api: str,
        *,
        selection: Selection = Selection(),  # noqa: B008  # it cannot change
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._server = server
        self._base = base
        self._post = post
        self._token_url = f"{api.rstrip('/')}/token"
        self._selection = selection
        self._headers = tuple((headers or {}).items())
        self._lock = threading.Lock()
        #: study -> its viewer token; None where the server gives none
        self._viewers: OrderedDict[str, TokenKeeper | None] = OrderedDict()
        self._exchanges = True
        self._in_path = False

    def __repr__(self) -> str:
        return f"<KheopsTokens of {self._server!r}>"

    def applied(self, target: str, cancelled: Cancelled) -> Applied:
        """The token for what is asked for."""
        value = self._token_for(target, cancelled)
        if self._in_path:
            return Applied(self._headers, f"/link/{value}")
        return Applied((*self._headers, bearer_header(value)))

    def renew(self, target: str, refused: Applied, cancelled: Cancelled) -> bool:
        """In the path what was refused as a bearer token; what is refused there as well is renewed."""
        if not refused.prefix:
            value = refused.headers[-1][1].removeprefix("Bearer ")
            if not self._in_path and _PATH_TOKEN.fullmatch(value):
                self._in_path = True
                return True
        else:
            value = refused.prefix.removeprefix("/link/")
            self._in_path = False
        keeper = self._keeper(target) or self._base
        return keeper.renew(value, cancelled)

    def _token_for(self, target: str, cancelled: Cancelled) -> str:
        keeper = self._keeper(target)
        if keeper is not None:
            try:
                return keeper.token(cancelled).value
            except PacsRefusedError as exc:
                self._note_refusal(target, status_of(exc))
        return self._base.token(cancelled).value

    def _keeper(self, target: str) -> TokenKeeper | None:
        """What keeps the viewer token of the study that is asked for; None for a search among studies."""
        study = _study_of(target)
        if study is None or not self._exchanges:
            return None
        with self._lock:
            if study not in self._viewers:
                self._viewers[study] = TokenKeeper(lambda _former, cancelled: self._exchanged(study, cancelled))
                while len(self._viewers) > _MOST_KEPT:
                    self._viewers.popitem(last=False)
            self._viewers.move_to_end(study)
            return self._viewers[study]

    def _note_refusal(self, target: str, status: int | None) -> None:
        """The configured token has to do then. Whether it does, the request itself shows."""
        if status in (404, 405, 501):
            self._exchanges = False
        study = _study_of(target)
        if study is not None:
            with self._lock:
                self._viewers[study] = None

    def _exchanged(self, study: str, cancelled: Cancelled) -> Token:
        form = {
            "grant_type": _GRANT,
            "subject_token": self._base.token(cancelled).value,
            "subject_token_type": _TOKEN_TYPE,
            "scope": _SCOPE,
            "studyUID": study,
            **self._selection.of_tokens,
        }
        status, answer = self._post(self._token_url, form, dict(self._headers), cancelled)
        value = answer.get("access_token")
        if status != 200 or not isinstance(value, str) or not value:
            raise oauth_refusal(self._server, status, answer)
        seconds = answer.get("expires_in")
        return token_of(value, float(seconds) if isinstance(seconds, int | float) and seconds > 0 else _LIFE)


def _study_of(target: str) -> str | None:
    found = _STUDY.search(target)
    return unquote(found[1] or found[2]) if found is not None else None
