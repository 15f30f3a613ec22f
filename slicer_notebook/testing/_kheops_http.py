"""Requests to the stand-in for Kheops: whose they are, what they are for, and what the archive behind it answers."""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from slicer_notebook.testing._kheops_rules import UID, RefusedError, Token, Visible

if TYPE_CHECKING:
    from slicer_notebook.testing.kheops_server import Asked, KheopsStandIn

__all__ = ["Handler"]

#: Seconds of silence after which a client is let go.
_SILENCE: Final = 30.0
#: Seconds that the archive may be silent.
_PATIENCE: Final = 60.0
#: Bytes passed on at once.
_PIECE: Final = 64 * 1024
#: Bytes of a form.
_MOST_FORM: Final = 64 * 1024
#: Bytes of a refused body that are read away, so that the client reads why.
_MOST_DROPPED: Final = 64 * 1024 * 1024
_JSON: Final = "application/dicom+json"
_FORM: Final = "application/x-www-form-urlencoded"
_ZIP: Final = "application/zip"
_RETRIEVE_URL: Final = "00081190"
_STUDY_UID: Final = "0020000D"
_LINK: Final = re.compile(r"/link/([a-zA-Z0-9.+=_-]*)(/.*)")
#: Parameters of Kheops itself, which the archive is not asked with.
_OWN: Final = frozenset({"album", "inbox", "limit", "offset", "accept"})
#: PS3.18 9.1
_WADO: Final = frozenset({
    "requestType", "studyUID", "seriesUID", "objectUID", "contentType", "charset", "anonymize", "transferSyntax",
    "frameNumber", "rows", "columns", "region", "windowCenter", "windowWidth", "imageQuality", "annotation",
    "album", "inbox",
})  # fmt: skip


class _Call(NamedTuple):
    """A request that is allowed to be answered."""

    token: Token
    #: root of the addresses that its answer names: with the token in it where that came in the path
    root: str
    path: re.Match[str]
    query: list[tuple[str, str]]
    #: the query as it came
    asked: str
    album: str
    inbox: bool

    def one(self, name: str) -> str | None:
        """A parameter; None where it is not there."""
        return next((value for key, value in self.query if key == name), None)

    @property
    def passed(self) -> str:
        """The query that the archive is asked with: Orthanc does not decode all of it, so it is left as it came."""
        kept = [piece for piece in self.asked.split("&") if piece and unquote(piece.partition("=")[0]) not in _OWN]
        return "?" + re.sub("%2F", "/", "&".join(kept), flags=re.IGNORECASE) if kept else ""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "Kheops-stand-in"
    sys_version = ""
    timeout = _SILENCE
    #: set by the server that makes it
    kheops: KheopsStandIn

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class has it
        """Nothing: its lines would have tokens in them. `KheopsStandIn.asked` tells."""

    def do_GET(self) -> None:
        """Search and retrieve."""
        self._answer()

    def do_POST(self) -> None:
        """Exchange and store."""
        self._answer()

    do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class looks for these

    # -- the frame ------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        self._unread = int(self.headers.get("Content-Length") or 0) if self._has_length() else 0
        self._asked: Asked | None = None
        self._begun = False
        try:
            self._route()
        except RefusedError as exc:
            self._refuse(exc)
        except (OSError, http.client.HTTPException) as exc:
            # Of the client's side, or of the archive's.
            self.close_connection = True
            if not self._begun and not isinstance(exc, ConnectionError | TimeoutError):
                with contextlib.suppress(OSError):
                    self._refuse(RefusedError(502, "the archive does not answer"))

    def _has_length(self) -> bool:
        return (self.headers.get("Content-Length") or "").isdigit()

    def _route(self) -> None:
        parts = urlsplit(self.path)
        prefix = "/api"
        if not parts.path.startswith(f"{prefix}/"):
            raise RefusedError(404, "nothing is here: the API is under /api")
        path = parts.path[len(prefix) :]
        link = _LINK.fullmatch(path)
        if path == "/token":
            self._exchange()
            return
        path = link[2] if link is not None else path
        try:
            how, value = self._credentials(link)
        except RefusedError:
            self._asked = self.kheops.note(self.command, path, parts.query, "", "")
            raise
        self._asked = asked = self.kheops.note(self.command, path, parts.query, how, value)
        token = self.kheops.rules.token(value)
        asked.kind = token.kind
        route, found = _route_of(self.command, path)
        query = self._query(parts)
        album, inbox = _selection(query)
        root = f"{self.kheops.api}/link/{value}" if how == "path" else self.kheops.api
        route(self, _Call(token, root, found, query, parts.query, album, inbox))

    def _credentials(self, link: re.Match[str] | None) -> tuple[str, str]:
        """How the token came, and which. Raises `RefusedError`: 401, and 400 where it came twice."""
        given = self.headers.get_all("Authorization") or []
        if len(given) > 1 or (given and link is not None):
            raise RefusedError(400, "a token given twice")
        if link is not None:
            if not link[1]:
                raise RefusedError(401, "no token")
            return "path", link[1]
        if not given:
            raise RefusedError(401, "no token")
        scheme, _, rest = given[0].partition(" ")
        if scheme.lower() == "bearer" and rest:
            return "bearer", rest
        if scheme.lower() == "basic":
            with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                pieces = base64.b64decode(rest, validate=True).decode().split(":")
                if len(pieces) == 2 and pieces[1]:
                    return "basic", pieces[1]
        raise RefusedError(401, "no token")

    def _query(self, parts: SplitResult) -> list[tuple[str, str]]:
        try:
            return parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), errors="strict")
        except ValueError:
            raise RefusedError(400, "the query cannot be read") from None

    # -- the token endpoint ---------------------------------------------------------------------------------------

    def _exchange(self) -> None:
        self._asked = self.kheops.note(self.command, "/token", "", "", "")
        if self.command != "POST":
            raise RefusedError(405, "POST alone")
        try:
            if urlsplit(self.path).query:
                raise RefusedError(400, "parameters belong into the form", "invalid_request")
            if (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower() != _FORM:
                raise RefusedError(400, f"must be {_FORM}", "invalid_request")
            if not self._has_length() or self._unread > _MOST_FORM:
                raise RefusedError(400, "no form, or too long a one", "invalid_request")
            try:
                text = self._body().decode("ascii")
                form = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
            except ValueError:
                raise RefusedError(400, "the form cannot be read", "invalid_request") from None
            self.kheops.exchanges.append(form)
            answer = self.kheops.rules.exchanged(form)
        except RefusedError as exc:
            answer = {"error": exc.error, "error_description": exc.words}
            self._send(exc.status, json.dumps(answer).encode(), "application/json")
            return
        self._send(200, json.dumps(answer).encode(), "application/json")

    def _body(self) -> bytes:
        size, self._unread = self._unread, 0
        return self.rfile.read(size)

    # -- answers --------------------------------------------------------------------------------------------------

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        if self._asked is not None:
            self._asked.status = status
        self._begun = True
        self.send_response(status)
        self.send_header("Cache-Control", "no-store")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status: int, body: bytes, kind: str, more: Mapping[str, str] | None = None) -> None:
        self._drop_the_rest()
        headers = {"Content-Type": kind} if body else {}
        headers |= {} if status == 204 else {"Content-Length": str(len(body))}
        if self.close_connection:
            headers["Connection"] = "close"
        self._head(status, {**headers, **(more or {})})
        self.wfile.write(body)

    def _drop_the_rest(self) -> None:
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
        while self._unread:
            piece = self.rfile.read(min(_PIECE, self._unread)) if self._unread <= _MOST_DROPPED else b""
            if not piece:
                self.close_connection = True
                return
            self._unread -= len(piece)

    def _refuse(self, exc: RefusedError) -> None:
        more = {"WWW-Authenticate": 'Bearer, Basic realm="kheops"'} if exc.status == 401 else {}
        self._send(exc.status, f"{exc.words}\n".encode(), "text/plain; charset=utf-8", more)

    # -- the archive ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _behind(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None
    ) -> Iterator[http.client.HTTPResponse]:
        """The archive's answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.kheops.behind.http_port, timeout=_PATIENCE)
        user = f"{self.kheops.behind.user}:{self.kheops.behind.password}".encode()
        own = {"Authorization": f"Basic {base64.b64encode(user).decode()}", "Accept-Encoding": "identity"}
        try:
            connection.request(method, path, body, {**own, **headers})
            yield connection.getresponse()
        finally:
            connection.close()

    def _pass_on(self, path: str, kind: str = "", *, method: str = "GET", root: str = "/dicom-web") -> None:
        """Stream what the archive answers."""
        accept = {"Accept": kind or self.headers.get("Accept") or "*/*"}
        with self._behind(method, root + path, accept) as answer:
            passed = ("Content-Type", "Content-Length", "Content-Disposition")
            headers = {name: value for name in passed if (value := answer.headers.get(name)) is not None}
            chunked = "Content-Length" not in headers
            if chunked:
                headers["Transfer-Encoding"] = "chunked"
            self._head(answer.status, headers)
            while piece := answer.read(_PIECE):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")

    def _json(self, path: str) -> tuple[int, Any]:
        """The archive's JSON, and its status."""
        accept = self.headers.get("Accept") or "*/*"
        if not any(kind in accept for kind in ("json", "*/*", "application/*")):
            raise RefusedError(406, "JSON alone")
        with self._behind("GET", f"/dicom-web{path}", {"Accept": _JSON}) as answer:
            body = answer.read()
        return answer.status, json.loads(body) if answer.status == 200 else None

    def _send_items(self, items: list[Any], root: str) -> None:
        count = {"X-Total-Count": str(len(items))}
        if not items:
            self._send(204, b"", _JSON, count)
            return
        self._send(200, json.dumps(_relocated(items, root)).encode(), _JSON, count)

    # -- what is asked for ----------------------------------------------------------------------------------------

    def _inside(self, call: _Call) -> str:
        """The study of a request, which its token lets see. Raises `RefusedError`: 404."""
        study = call.path["study"]
        if not _sees(self.kheops.rules.visible(call.token, call.album, call.inbox), study):
            raise RefusedError(404, "no such study")
        return study

    def studies(self, call: _Call) -> None:
        """QIDO-RS: studies."""
        visible = self.kheops.rules.visible(call.token, call.album, call.inbox)
        # The archive's pages would be of what is not to be seen as well.
        status, found = self._json(f"/studies{call.passed}")
        if found is None:
            raise RefusedError(status, "the archive does not answer that")
        seen = [item for item in found if _sees(visible, item[_STUDY_UID]["Value"][0])]
        self._send_items(_page(seen, call), call.root)

    def below(self, call: _Call) -> None:
        """QIDO-RS: series and instances of a study."""
        self._inside(call)
        status, found = self._json(f"{call.path[0]}{call.passed}")
        if found is None and status != 404:
            raise RefusedError(status, "the archive does not answer that")
        self._send_items(_page(found or [], call), call.root)

    def metadata(self, call: _Call) -> None:
        """WADO-RS: metadata, whose bulk data are asked for here."""
        self._inside(call)
        status, found = self._json(call.path[0])
        if found is None:
            raise RefusedError(status, "nothing is there")
        self._send(200, json.dumps(_relocated(found, call.root)).encode(), _JSON)

    def retrieve(self, call: _Call) -> None:
        """WADO-RS: a study, series or instance; a study as a ZIP."""
        study = self._inside(call)
        accept = self.headers.get("Accept") or ""
        if call.path[0] == f"/studies/{study}" and (call.one("accept") == _ZIP or accept.startswith(_ZIP)):
            with self._behind("POST", "/tools/lookup", {}, study.encode()) as answer:
                found = json.loads(answer.read())
            if not found:
                raise RefusedError(404, "no such study")
            self._pass_on(f"{found[0]['Path']}/archive", _ZIP, root="")
            return
        self._pass_on(call.path[0])

    def bulk_data(self, call: _Call) -> None:
        """WADO-RS: bulk data."""
        self._inside(call)
        self._pass_on(call.path[0].replace("/bulkdata/", "/bulk/"))

    def thumbnail(self, call: _Call) -> None:
        """A picture of a series or an instance."""
        self._inside(call)
        self._pass_on(call.path[0].removesuffix("thumbnail") + "rendered" + call.passed)

    def wado(self, call: _Call) -> None:
        """WADO-URI."""
        given = dict(call.query)
        if len(given) < len(call.query) or not set(given) <= _WADO:
            raise RefusedError(400, "a parameter twice, or one that there is not")
        if given.get("requestType") != "WADO":
            raise RefusedError(400, "requestType must be WADO")
        if not all(given.get(name) for name in ("studyUID", "seriesUID", "objectUID")):
            raise RefusedError(400, "studyUID, seriesUID and objectUID must be there")
        if not _sees(self.kheops.rules.visible(call.token, call.album, call.inbox), given["studyUID"]):
            raise RefusedError(404, "no such study")
        self._pass_on(f"/wado{call.passed}", root="")

    def store(self, call: _Call) -> None:
        """STOW-RS."""
        self.kheops.rules.may_store(call.token, call.album, call.path["study"] or "")
        kind = self.headers.get("Content-Type") or ""
        if not kind.lower().startswith("multipart/related"):
            raise RefusedError(415, "multipart/related alone")
        if not self._has_length():
            raise RefusedError(411, "the body's length must be told")
        accept = self.headers.get("Accept") or "*/*"
        if not any(each in accept for each in ("json", "*/*", "application/*")):
            raise RefusedError(406, "JSON alone")
        headers = {"Content-Type": kind, "Content-Length": str(self._unread), "Accept": _JSON}
        with self._behind("POST", f"/dicom-web{call.path[0]}", headers, self._pieces()) as answer:
            body = answer.read()
        try:
            result = json.loads(body)
        except ValueError:
            self._send(answer.status, body, answer.headers.get("Content-Type") or "text/plain")
            return
        if "00081199" in result:
            self.kheops.rules.stored(call.token, call.album, set(_studies_in(result["00081199"])))
        self._send(answer.status, json.dumps(_relocated(result, call.root)).encode(), _JSON)

    def _pieces(self) -> Iterator[bytes]:
        while self._unread:
            piece = self.rfile.read(min(_PIECE, self._unread))
            if not piece:
                raise ConnectionError("the client went away")
            self._unread -= len(piece)
            yield piece


Route = Callable[[Handler, _Call], None]

_ANY_STUDY: Final = rf"/studies/(?P<study>{UID})"
_SERIES: Final = rf"{_ANY_STUDY}/series/{UID}"
_INSTANCE: Final = rf"{_SERIES}/instances/{UID}"
_ROUTES: Final[tuple[tuple[str, re.Pattern[str], Route], ...]] = tuple(
    (method, re.compile(path), route)
    for method, path, route in (
        ("GET", r"/studies", Handler.studies),
        ("POST", rf"/studies(?:/(?P<study>{UID}))?", Handler.store),
        ("GET", rf"(?:{_ANY_STUDY})/(?:series|instances)", Handler.below),
        ("GET", rf"{_SERIES}/instances", Handler.below),
        ("GET", rf"{_ANY_STUDY}(?:/series/{UID}(?:/instances/{UID})?)?/metadata", Handler.metadata),
        ("GET", rf"{_ANY_STUDY}(?:/series/{UID}(?:/instances/{UID})?)?", Handler.retrieve),
        ("GET", rf"{_INSTANCE}/frames/[0-9]+(?:,[0-9]+)*", Handler.retrieve),
        ("GET", rf"{_SERIES}(?:/instances/{UID})?/bulkdata/[0-9a-fA-F/]+", Handler.bulk_data),
        ("GET", rf"{_SERIES}(?:/instances/{UID})?/thumbnail", Handler.thumbnail),
        ("GET", r"/wado", Handler.wado),
    )
)


def _route_of(method: str, path: str) -> tuple[Route, re.Match[str]]:
    """What answers a path. Raises `RefusedError`: 404, 405."""
    known = False
    for verb, pattern, route in _ROUTES:
        if found := pattern.fullmatch(unquote(path)):
            if verb == method:
                return route, found
            known = True
    raise RefusedError(405, "that is not done here") if known else RefusedError(404, "nothing is here")


def _selection(query: list[tuple[str, str]]) -> tuple[str, bool]:
    """The album, and whether the inbox, that a request is for. Raises `RefusedError`: 400."""
    names = [name for name, _ in query]
    given = dict(query)
    if any(names.count(name) > 1 for name in _OWN):
        raise RefusedError(400, "a parameter given twice")
    if "album" in given and "inbox" in given:
        raise RefusedError(400, "use only album or inbox, not both")
    if given.get("inbox", "true") not in ("true", "false") or given.get("album", "-") == "":
        raise RefusedError(400, "inbox is true or false, album an identifier")
    if "access_token" in given:
        raise RefusedError(400, "a token does not belong into the query")
    return given.get("album", ""), given.get("inbox") == "true"


def _page(items: list[Any], call: _Call) -> list[Any]:
    """The page that is asked for. Raises `RefusedError`: 400."""
    limit, offset = call.one("limit"), call.one("offset") or "0"
    if not offset.isdigit() or not (limit is None or limit.isdigit()):
        raise RefusedError(400, "limit and offset are numbers")
    return items[int(offset) : None if limit is None else int(offset) + int(limit)]


def _sees(visible: Visible, study: str) -> bool:
    return visible is None or study in visible


def _relocated(value: Any, root: str) -> Any:
    """The DICOM JSON model with the archive's addresses made Kheops' own, as Kheops does."""
    if isinstance(value, list):
        return [_relocated(each, root) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: _relocated(each, root) for name, each in value.items()}
    if isinstance(uri := found.get("BulkDataURI"), str):
        found["BulkDataURI"] = _moved(uri, root).replace("/bulk/", "/bulkdata/")
    if isinstance(element := found.get(_RETRIEVE_URL), dict) and "Value" in element:
        element["Value"] = [_moved(each, root) for each in element["Value"]]
    return found


def _moved(address: str, root: str) -> str:
    at = address.find("/studies/")
    return root + address[at:] if at >= 0 else address


def _studies_in(sequence: Mapping[str, Any]) -> Iterator[str]:
    """Studies of what was stored, of the addresses that the archive gives it."""
    for item in sequence.get("Value", ()):
        for address in item.get(_RETRIEVE_URL, {}).get("Value", ()):
            if found := re.search(rf"/studies/({UID})", address):
                yield found[1]
