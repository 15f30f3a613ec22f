"""The ways to fetch by HTTP: WADO-RS (PS3.18 10.4) and WADO-URI (PS3.18 9)."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import urlencode

from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsError, PacsUnreachableError, StorageError
from slicer_notebook.pacs.dicomweb.client import Answer, Client, object_path
from slicer_notebook.pacs.dicomweb.failures import busy, status_of
from slicer_notebook.pacs.dicomweb.multipart import (
    LengthError,
    MultipartError,
    Parser,
    PartBegins,
    PartData,
    PartEnds,
    parse_content_type,
)
from slicer_notebook.pacs.model import Cancelled, Fetch, Part, Sink, WayFailedError
from slicer_notebook.pacs.threads import thread

__all__ = ["WadoRs", "WadoUri"]

_DICOM: Final = "application/dicom"
#: What is asked for, and what instead of a server that does not know that: 400, 406, 415 (PS3.18 8.7.3). All transfer
#: syntaxes come as they are stored with ``*``; without it a server may decompress.
_ACCEPTS: Final = (
    'multipart/related; type="application/dicom"; transfer-syntax=*',
    'multipart/related; type="application/dicom"',
    "multipart/related; type=application/dicom, application/dicom",
)
_NOT_ACCEPTABLE: Final = frozenset({400, 406, 415})
#: Requests that fail one after another, of many instances, after which the rest is not asked for any more.
_MOST_FAILURES: Final = 5


class WadoRs:
    """Instances as ``multipart/related``: a study, a series or single ones.

    Args:
        parallel: fetches at the same time, and requests of one fetch.
    """

    name = "WADO-RS"

    def __init__(self, client: Client, parallel: int) -> None:
        self.parallel = parallel
        self._client = client
        self._accept = 0
        #: False once a server has sent a part with a wrong Content-Length
        self._trust_lengths = True

    def fetch(self, wanted: Fetch, sink: Sink, cancelled: Cancelled) -> int | None:
        """See `Way.fetch`; the number of parts that came."""
        if not wanted.instances:
            with _as_failure():
                return self._get(object_path(wanted.study, wanted.series), sink, cancelled, large=True)
        if wanted.series is None:
            raise WayFailedError("a single instance needs its series to be named", again=False)

        def one(instance: str, cancelled: Cancelled) -> int:
            return self._get(object_path(wanted.study, wanted.series, instance), sink, cancelled)

        return each_instance(wanted.instances, one, self.parallel, cancelled)

    def _get(self, path: str, sink: Sink, cancelled: Cancelled, *, large: bool = False) -> int:
        while True:
            tried = self._accept
            with self._client.stream(
                path, what="WADO-RS " + _kind(path), accept=_ACCEPTS[tried], large=large, cancelled=cancelled
            ) as answer:
                if answer.status in _NOT_ACCEPTABLE and tried + 1 < len(_ACCEPTS):
                    self._accept = max(self._accept, tried + 1)
                    continue
                answer.check()
                if answer.status == 204:
                    raise answer.unexpected("instances", "HTTP 204: no content")
                count = self._received(answer, sink)
                if answer.status == 206:
                    raise WayFailedError("the server says that it has sent only a part of it (HTTP 206)", again=True)
                return count

    def _received(self, answer: Answer, sink: Sink) -> int:
        kind, parameters = answer.content_type
        if kind == _DICOM:
            _single_part(answer, sink)
            return 1
        if not kind.startswith("multipart/"):
            raise _not_dicom(answer, kind)
        parser = Parser(parameters.get("boundary"), trust_lengths=self._trust_lengths)
        try:
            return _parts(answer, parser, sink)
        except LengthError as exc:
            self._trust_lengths = False
            raise WayFailedError(f"{exc}; from now on only boundaries count", again=True) from exc
        except MultipartError as exc:
            error = answer.unexpected("a whole multipart body", f"one that is not: {exc}")
            raise WayFailedError(f"the answer broke off: {exc}", again=True, error=error) from exc


def _parts(answer: Answer, parser: Parser, sink: Sink) -> int:
    """Parts into the sink, those that are whole; how many."""
    count = 0
    part: Part | None = None
    try:
        chunks = answer.chunks()
        for chunk in chunks:
            for event in parser.feed(chunk):
                if isinstance(event, PartData):
                    if part is not None:
                        part.write(event.data)
                elif isinstance(event, PartBegins):
                    kind = parse_content_type(event.headers.get("content-type", "")).type
                    # Without a type it is DICOM, as it is the whole's type.
                    if kind not in ("", _DICOM):
                        raise _not_dicom(answer, kind)
                    part = sink.open()
                elif isinstance(event, PartEnds) and part is not None:
                    whole, part = part, None
                    whole.done()
                    count += 1
            if parser.ended:
                _drain(answer, chunks)
                return count
        parser.close()
        return count
    finally:
        if part is not None:
            part.discard()


def _drain(answer: Answer, chunks: Iterator[bytes]) -> None:
    """Read what follows the last part, so that the connection can be used again; unless only its end would end that."""
    if "content-length" in answer.headers or "transfer-encoding" in answer.headers:
        with contextlib.suppress(PacsUnreachableError):  # all that was wanted is here
            for _ in chunks:
                pass


def _single_part(answer: Answer, sink: Sink) -> None:
    """A body that is one instance; that it is whole is seen by HTTP, or in the file."""
    part: Part | None = sink.open()
    try:
        for chunk in answer.chunks():
            if part is not None:
                part.write(chunk)
        whole, part = part, None
        if whole is not None:
            whole.done()
    finally:
        if part is not None:
            part.discard()


class WadoUri:
    """Instances one by one, by ``?requestType=WADO&...&objectUID=``.

    Args:
        path: of the endpoint, behind the client's root.
        parallel: fetches at the same time, and requests of one fetch.
        instances: the instances of a study or series as (series, instance), for those who do not name them.
    """

    name = "WADO-URI"

    def __init__(
        self,
        client: Client,
        parallel: int,
        instances: Callable[[Fetch, Cancelled], Iterator[tuple[str, str]]] | None = None,
        path: str = "",
    ) -> None:
        self.parallel = parallel
        self._path = path
        self._client = client
        self._instances = instances

    def fetch(self, wanted: Fetch, sink: Sink, cancelled: Cancelled) -> int | None:
        """See `Way.fetch`; the number of instances that came."""
        series_of = self._wanted(wanted, cancelled)

        def one(instance: str, cancelled: Cancelled) -> int:
            self._get(wanted.study, series_of[instance], instance, sink, cancelled)
            return 1

        return each_instance(series_of, one, self.parallel, cancelled)

    def _wanted(self, wanted: Fetch, cancelled: Cancelled) -> dict[str, str]:
        if wanted.instances and wanted.series is not None:
            return dict.fromkeys(wanted.instances, wanted.series)
        if self._instances is None:
            raise WayFailedError("WADO-URI fetches single instances, and nobody can tell which there are", again=False)
        with _as_failure():
            found = {instance: series for series, instance in self._instances(wanted, cancelled)}
        if wanted.instances:
            found = {uid: series for uid, series in found.items() if uid in wanted.instances}
        if not found:
            raise WayFailedError("the PACS lists no instances, which WADO-URI needs", again=False)
        return found

    def _get(self, study: str, series: str, instance: str, sink: Sink, cancelled: Cancelled) -> None:
        query = urlencode(
            {
                "requestType": "WADO",
                "studyUID": study,
                "seriesUID": series,
                "objectUID": instance,
                "contentType": _DICOM,
            },
            safe="/",
        )
        with self._client.stream(
            self._path, query=query, what="WADO-URI", accept=_DICOM, cancelled=cancelled
        ) as answer:
            answer.check()
            kind = answer.content_type.type
            if kind not in ("", _DICOM):
                raise _not_dicom(answer, kind)
            _single_part(answer, sink)


# -- many instances ---------------------------------------------------------------------------------------------------


def each_instance(
    instances: Iterable[str], one: Callable[[str, Cancelled], int], parallel: int, cancelled: Cancelled
) -> int:
    """``one(instance)`` for each, some at a time; an instance that fails does not keep the others from coming.

    Raises:
        WayFailedError: some did not come.
        JobCancelledError, StorageError: at once, as soon as the other requests have ended.
    """
    waiting = deque(instances)
    total = len(waiting)
    failures: list[WayFailedError] = []
    stopped: list[BaseException] = []
    counts: list[int] = []
    in_a_row = 0
    lock = threading.Lock()

    def stop() -> bool:
        return bool(stopped) or cancelled()

    def work() -> None:
        nonlocal in_a_row
        while not stopped and in_a_row < _MOST_FAILURES:
            try:
                instance = waiting.popleft()
            except IndexError:
                return
            try:
                with _as_failure():
                    count = one(instance, stop)
            except WayFailedError as exc:
                with lock:
                    failures.append(exc)
                    # One that is not there says nothing of the others.
                    in_a_row += not _is_of_instance(exc)
            # Whatever it is, it ends all threads, and the caller gets it.
            except BaseException as exc:  # noqa: BLE001
                stopped.append(exc)
            else:
                with lock:
                    counts.append(count)
                    in_a_row = 0

    threads = [thread(work, "wado") for _ in range(min(parallel, total) - 1)]
    for each in threads:
        each.start()
    work()
    for each in threads:
        each.join()
    if stopped:
        raise next((exc for exc in stopped if not isinstance(exc, JobCancelledError)), stopped[0])
    if failures:
        raise _summary(failures, len(waiting), total)
    return sum(counts)


def _is_of_instance(failure: WayFailedError) -> bool:
    return isinstance(failure.error, PacsError) and status_of(failure.error) in (404, 410)


def _summary(failures: list[WayFailedError], left: int, total: int) -> WayFailedError:
    first = failures[0]
    reason = f"{len(failures)} of {total} instances did not come"
    if left:
        reason += f", {left} were not asked for any more"
    again = any(failure.again for failure in failures)
    return WayFailedError(f"{reason}: {first.reason}", again=again, error=first.error)


# -- failures ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _as_failure() -> Iterator[None]:
    """Errors of the PACS as `WayFailedError`; all others pass."""
    try:
        yield
    except StorageError:
        raise
    except PacsError as exc:
        raise WayFailedError(_reason(exc), again=_again(exc), error=exc) from exc


def _again(error: PacsError) -> bool:
    status = status_of(error)
    if status is not None:
        return busy(status)
    # A certificate that is not trusted will not be the next time either.
    return isinstance(error, PacsUnreachableError) and "TLS:" not in (error.got or "")


def _reason(error: PacsError) -> str:
    return f"{error.message.rstrip('.')}: {error.got}" if error.got else error.message


def _not_dicom(answer: Answer, kind: str) -> PacsAnswerError:
    return answer.unexpected(_DICOM, f"content type {kind}" if kind else "no content type")


def _kind(path: str) -> str:
    return "/".join(part for part in path.split("/") if part and not part[:1].isdigit())
