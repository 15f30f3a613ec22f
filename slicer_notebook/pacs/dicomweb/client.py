"""Requests to one root: with credentials, renewed when refused; repeated where that is safe; never elsewhere."""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpcore
import httpx

from slicer_notebook.errors import ArgumentError, PacsAnswerError, PacsRefusedError, SlicerNotebookError
from slicer_notebook.pacs.dicomweb import failures
from slicer_notebook.pacs.dicomweb.auth import Credentials, Nobody, json_object
from slicer_notebook.pacs.dicomweb.failures import FOREIGN, Place
from slicer_notebook.pacs.dicomweb.multipart import ContentType, parse_content_type
from slicer_notebook.pacs.dicomweb.network import calling, check_cancelled
from slicer_notebook.pacs.dicomweb.transport import EXTENSION, Applied, Sending, Transport, split_root
from slicer_notebook.pacs.model import Cancelled, never
from slicer_notebook.pacs.server import Learned

__all__ = ["JSON_MOST", "Answer", "Client", "object_path", "post_form"]

#: Bytes of an answer that is read as a whole.
JSON_MOST: Final = 512 * 1024 * 1024
#: Bytes that are unpacked at once.
_UNPACKED: Final = 1024 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 5
#: HTTP statuses of which a moment later may know better, and seconds to wait before the second and the third request.
_BUSY: Final = frozenset({429, 502, 503, 504})
_PAUSES: Final = (0.3, 1.0)
#: Seconds that a server may have us wait (Retry-After) before the same request is made again.
_LONGEST_PAUSE: Final = 10.0
_SLICE: Final = 0.08
#: Bytes of a token answer.
_TOKEN_MOST: Final = 1024 * 1024
_AGENT: Final = "slicer-notebook"


def object_path(study: str | None = None, series: str | None = None, instance: str | None = None) -> str:
    """``/studies/1.2/series/3.4/instances/5.6``, as far as it is given (PS3.18 10.1.1).

    Raises:
        ArgumentError: what is given cannot be a UID.
    """
    path = ""
    for name, uid in (("studies", study), ("series", series), ("instances", instance)):
        if uid is None:
            continue
        if not uid.strip(". ") or "/" in uid:
            raise ArgumentError("That is no UID.", expected="digits and dots (PS3.5 9.1)", got=repr(uid))
        path += f"/{name}/{quote(uid.strip(), safe='')}"
    return path


class Asked(NamedTuple):
    """A request, as often as it must be made."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Callable[[], Iterable[bytes]] | None
    large: bool

    @property
    def target(self) -> str:
        """Path and query."""
        return self.path + (f"?{self.query}" if self.query else "")

    @property
    def safe(self) -> bool:
        """Whether making it twice does what making it once does."""
        return self.method == "GET"


class Answer:
    """An answer whose body is still to come.

    Attributes:
        status: of HTTP.
        headers: by name in any case.
    """

    def __init__(self, response: httpx.Response, place: Place, what: str, cancelled: Cancelled) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.what = what
        self._response = response
        self._place = place
        self._cancelled = cancelled

    @property
    def content_type(self) -> ContentType:
        """The Content-Type header; an empty type where there is none."""
        return parse_content_type(self.headers.get("content-type", ""))

    def check(self) -> Answer:
        """Itself, if the status is 2xx.

        Raises:
            PacsRefusedError: 401, 403.
            PacsAnswerError: all others.
        """
        if 200 <= self.status < 300:
            return self
        raise failures.of_status(self.status, self._place, self.what)

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, unpacked.

        Raises:
            PacsUnreachableError: it broke off, or went silent.
            PacsAnswerError: it is packed in a way that we do not know, or badly.
            JobCancelledError: the job was cancelled.
        """
        packed = self._raw_chunks()
        encodings = [name.strip().lower() for name in self.headers.get("content-encoding", "").split(",")]
        for encoding in reversed(encodings):
            if encoding in ("gzip", "x-gzip", "deflate"):
                packed = self._unpacked(packed, encoding)
            elif encoding not in ("", "identity"):
                raise self.unexpected("an answer that is packed with gzip or deflate, or not", encoding)
        return packed

    def _raw_chunks(self) -> Iterator[bytes]:
        stream = self._response.iter_raw()
        try:
            while True:
                with calling(self._cancelled):
                    chunk = next(stream, None)
                if chunk is None:
                    return
                yield chunk
        except SlicerNotebookError:
            raise
        except FOREIGN as exc:
            _raise(exc, self._place)
        finally:
            with calling(never), contextlib.closing(stream):  # type: ignore[type-var]  # it is a generator
                pass

    def _unpacked(self, packed: Iterator[bytes], encoding: str) -> Iterator[bytes]:
        unpacker = None
        try:
            for chunk in filter(None, packed):
                left = chunk
                if unpacker is None:
                    # gzip or zlib, as it is; some send deflate without zlib's header, whose first byte ends with 8.
                    bare = encoding == "deflate" and chunk[0] & 0x0F != 8
                    unpacker = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS + 32)
                while left:
                    yield unpacker.decompress(left, _UNPACKED)
                    left = unpacker.unconsumed_tail
            if unpacker is not None and not unpacker.eof:
                raise self.unexpected("a whole answer", "one that breaks off")
        except zlib.error as exc:
            raise self.unexpected("an answer packed with gzip or deflate", "something else") from exc

    def read(self, most: int = JSON_MOST) -> bytes:
        """The whole body. Raises as `chunks`, and `PacsAnswerError` if it is larger than ``most`` bytes."""
        pieces, size = [], 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > most:
                raise self.unexpected(f"at most {most // 1024 // 1024} MiB", "more")
            pieces.append(chunk)
        return b"".join(pieces)

    def unexpected(self, expected: str, got: str, *, hint: str | None = None) -> PacsAnswerError:
        """The error for an answer that is not what it should be."""
        return PacsAnswerError(
            f"What the PACS {self._place.server!r} answered to {self.what} cannot be used.",
            expected=expected,
            got=got,
            hint=hint,
            details={"server": self._place.server},
        )


class Client:
    """One root, one transport, one set of credentials. Used by several threads at a time.

    Args:
        place: the root, and the name of the PACS.
        transport: connections; closed with the client.
        credentials: nobody's by default.
        learned: told of the server's name for itself.
    """

    def __init__(
        self,
        place: Place,
        transport: Transport,
        credentials: Credentials | None = None,
        learned: Learned | None = None,
    ) -> None:
        parts = split_root(place.root)
        self._origin = f"{parts.scheme.lower()}://{parts.netloc}"
        self._root_path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
        self.place = place._replace(root=self._origin + self._root_path)
        self.learned = learned if learned is not None else Learned()
        self.credentials: Credentials = credentials if credentials is not None else Nobody()
        self._http = httpx.Client(transport=transport, trust_env=False, headers={"User-Agent": _AGENT})
        self._timeouts = {
            "connect": place.connect_timeout,
            "read": place.timeout,
            "write": place.timeout,
            "pool": place.timeout,
        }

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    @contextlib.contextmanager
    def stream(
        self,
        path: str,
        *,
        what: str,
        accept: str,
        query: str = "",
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Iterable[bytes]] | None = None,
        packed: bool = False,
        large: bool = False,
        cancelled: Cancelled = never,
    ) -> Iterator[Answer]:
        """A request; inside ``with``, its answer, of whatever status. What was not read of it is dropped.

        Args:
            path: behind the root, encoded.
            what: is asked for, in words without UIDs or names, for errors.
            body: begins the request's body, each time that it is sent.
            packed: whether the answer may be compressed: a good thing for JSON; for pixels it costs more than it saves.
            large: whether many megabytes are expected: their connection is not kept, then, and they come faster.

        Raises:
            PacsUnreachableError: no connection, silence, or it broke off.
            PacsRefusedError: no token to be had.
            PacsAnswerError: no HTTP, or a redirection out of the root.
            JobCancelledError: ``cancelled`` said so.
        """
        own = {"Accept": accept, "Accept-Encoding": "gzip, deflate" if packed else "identity"}
        response = self._response(Asked(method, path, query, {**own, **(headers or {})}, body, large), what, cancelled)
        try:
            yield Answer(response, self.place, what, cancelled)
        finally:
            with calling(never):
                response.close()

    def _response(self, asked: Asked, what: str, cancelled: Cancelled) -> httpx.Response:
        pauses, reconnect, renewals, hops = list(_PAUSES), asked.safe, self.credentials.renewals, 0
        while True:
            applied = self.credentials.applied(asked.target, cancelled)
            try:
                with calling(cancelled):
                    response = self._http.send(self._request(asked, applied), stream=True)
            except SlicerNotebookError:
                raise
            except FOREIGN as exc:
                if reconnect and _dropped(exc):
                    reconnect = False  # a connection that had been idle, most often
                    continue
                _raise(exc, self.place)
            self._note_name(response)
            status = response.status_code
            if status == 401 and renewals and self._renewed(response, asked, applied, cancelled):
                renewals -= 1
            elif status in _REDIRECTS:
                hops += 1
                asked = self._redirected(response, asked, applied, what, hops)
            elif status in _BUSY and asked.safe and pauses and (pause := _pause(response, pauses.pop(0))) is not None:
                response.close()
                _wait(pause, cancelled)
            else:
                return response

    def _request(self, asked: Asked, applied: Applied) -> httpx.Request:
        return self._http.build_request(
            asked.method,
            self.place.root,
            headers=asked.headers,
            content=None if asked.body is None else asked.body(),
            extensions={
                EXTENSION: Sending(self._root_path, asked.target, applied, asked.large),
                "timeout": self._timeouts,
            },
        )

    def _note_name(self, response: httpx.Response) -> None:
        name = response.headers.get("server", "")
        if name and not self.learned.implementation:
            self.learned.implementation = name[:64]

    def _renewed(self, response: httpx.Response, asked: Asked, applied: Applied, cancelled: Cancelled) -> bool:
        """Whether there are new credentials to try with; the refusal is dropped then."""
        try:
            if not self.credentials.renew(asked.target, applied, cancelled):
                return False
        except BaseException:
            response.close()
            raise
        response.close()
        return True

    def _redirected(self, response: httpx.Response, asked: Asked, applied: Applied, what: str, hops: int) -> Asked:
        """The request at its new place, if that is inside the root: credentials go nowhere else."""
        response.close()
        answer = Answer(response, self.place, what, never)
        target = urlsplit(urljoin(f"{self._origin}{self._root_path}{asked.path}", response.headers.get("location", "")))
        if hops > _MOST_REDIRECTS:
            raise answer.unexpected("an answer", f"{hops} redirections one after another")
        root = urlsplit(self.place.root)
        if not asked.safe or not target.path or not _same_origin(root.geturl(), target.geturl()):
            elsewhere = f"{target.scheme}://{target.hostname}" + (f":{target.port}" if target.port else "")
            raise PacsRefusedError(
                f"The PACS {self.place.server!r} redirects {what} to where our credentials do not belong.",
                expected=f"an answer of {self.place.root}",
                got=f"HTTP {response.status_code} to {elsewhere}",
                hint="If that is the PACS, configure its address; a sign-in page means that it wants another auth.",
                details={"server": self.place.server, "status": response.status_code},
            )
        inside = self._root_path + applied.prefix
        if not target.path.startswith(f"{inside}/") or ".." in unquote(target.path).split("/"):
            raise answer.unexpected(f"an answer under {self.place.root}", "a redirection to another path of the server")
        return asked._replace(path=target.path[len(inside) :], query=target.query)


def _same_origin(one: str, other: str) -> bool:
    def origin(url: str) -> tuple[str, str | None, int | None]:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)

    return origin(one) == origin(other)


def _dropped(exc: BaseException) -> bool:
    """The connection was closed before anything was answered."""
    if isinstance(exc, httpcore.ReadError | httpcore.WriteError):
        return True
    return isinstance(exc, httpcore.RemoteProtocolError) and "without sending" in str(exc)


def _pause(response: httpx.Response, usual: float) -> float | None:
    """Seconds to wait before asking again; None when the server wants to be left alone for longer."""
    after = response.headers.get("retry-after", "")
    if not after.isdigit():
        return usual
    return float(after) if float(after) <= _LONGEST_PAUSE else None


def _wait(seconds: float, cancelled: Cancelled) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        check_cancelled(cancelled)
        time.sleep(min(_SLICE, left))


def _raise(exc: BaseException, place: Place) -> NoReturn:
    error = failures.of_exception(exc, place)
    _without_frames(exc)
    if isinstance(exc, httpcore.LocalProtocolError):
        raise error from None  # its text quotes the header
    raise error from exc


def _without_frames(exc: BaseException) -> None:
    """Drop where it was raised, which the error's words tell: the variables there hold headers and paths, and with them
    tokens, and tracebacks that show variables would show those."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        now = waiting.pop()
        if now is None or id(now) in seen:
            continue
        seen.add(id(now))
        now.__traceback__ = None
        waiting += [now.__context__, now.__cause__]


def post_form(place: Place, transport: Transport) -> Callable[..., tuple[int, dict[str, Any]]]:
    """What sends forms to authorisation servers (`auth.FormPost`), without the credentials of the PACS itself."""

    def post(
        url: str, form: Mapping[str, str], headers: Mapping[str, str], cancelled: Cancelled
    ) -> tuple[int, dict[str, Any]]:
        def data() -> bytes:
            return str(httpx.QueryParams(dict(form))).encode("ascii")

        parts = split_root(url)
        with Client(place._replace(root=url), transport, Nobody(headers)).stream(
            "/" if parts.path.endswith("/") else "",
            query=parts.query,
            method="POST",
            what="a token",
            accept="application/json",
            headers={"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(data()))},
            body=lambda: [data()],
            cancelled=cancelled,
        ) as answer:
            return answer.status, json_object(answer.read(_TOKEN_MOST))

    return post
