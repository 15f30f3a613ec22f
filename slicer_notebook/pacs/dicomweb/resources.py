"""What WADO-RS has beside instances: metadata, pictures, frames, bulk data (PS3.18 10.4)."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from pydicom import Dataset

from slicer_notebook.errors import ArgumentError, PacsAnswerError
from slicer_notebook.pacs.dicomweb.client import Answer, Client, object_path
from slicer_notebook.pacs.dicomweb.failures import status_of
from slicer_notebook.pacs.dicomweb.items import Item
from slicer_notebook.pacs.dicomweb.multipart import (
    LengthError,
    MultipartError,
    Parser,
    PartBegins,
    PartData,
    PartEnds,
    parse_content_type,
)
from slicer_notebook.pacs.dicomweb.qido import JSON, json_items
from slicer_notebook.pacs.model import Cancelled, never

__all__ = ["Blob", "Resources", "dataset_of_json"]

_log = logging.getLogger(__name__)

#: Bytes of a picture, and of bulk data that are held as a whole.
_MOST_PICTURE: Final = 64 * 1024 * 1024
_MOST_BULK: Final = 512 * 1024 * 1024
#: Forms of pictures asked for, and instead; some servers know one type at a time.
_PICTURES: Final = ("image/png, image/jpeg;q=0.9", "image/jpeg", "image/png")
_PICTURE_BEGINS: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
#: Of a server that does not have a resource, or not for this object; None: what it sent is no picture.
_NOT_THERE: Final = frozenset({400, 404, 405, 406, 415, 500, 501, None})
_BULK: Final = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_BULK_ACCEPTS: Final = (_BULK, 'multipart/related; type="application/octet-stream"', "*/*")


class Blob(NamedTuple):
    """Bytes that are one value or one frame, and what they are."""

    data: bytes
    media_type: str
    #: of a frame; empty where the server does not say
    transfer_syntax: str


class Resources:
    """Requests at one root; see `Client` for what each of them raises."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._learned = client.learned

    # -- metadata -----------------------------------------------------------------------------------------------------

    def metadata_items(
        self, study: str, series: str | None = None, instance: str | None = None, cancelled: Cancelled = never
    ) -> Iterator[Item]:
        """All attributes of each instance but bulk data, in the DICOM JSON model, as they come."""
        path = object_path(study, series, instance) + "/metadata"
        with self._client.stream(
            path, what="WADO-RS metadata", accept=JSON, packed=True, cancelled=cancelled
        ) as answer:
            for items in json_items(answer.check(), plain=True):
                yield from items

    def metadata(
        self, study: str, series: str | None = None, instance: str | None = None, cancelled: Cancelled = never
    ) -> Iterator[Dataset]:
        """As `metadata_items`, as data sets."""
        for item in self.metadata_items(study, series, instance, cancelled):
            yield dataset_of_json(item)

    # -- pictures -----------------------------------------------------------------------------------------------------

    def rendered(
        self,
        study: str,
        series: str | None = None,
        instance: str | None = None,
        *,
        size: tuple[int, int] | None = None,
        cancelled: Cancelled = never,
    ) -> bytes:
        """A picture (PNG or JPEG), windowed by the server.

        Args:
            size: width and height in pixels that it fits into; its own size otherwise.

        Raises:
            PacsAnswerError: the server makes none, or something else.
        """
        picture = self._picture(object_path(study, series, instance), "rendered", size, cancelled)
        self._learned.rendered = True
        return picture

    def thumbnail(
        self,
        study: str,
        series: str | None = None,
        instance: str | None = None,
        *,
        size: int = 128,
        cancelled: Cancelled = never,
    ) -> bytes:
        """A small picture (PNG or JPEG): the server's thumbnail, or else a rendered picture.

        Args:
            size: pixels that width and height are to have at most; the server may take another.

        Raises:
            PacsAnswerError: the server makes neither, or something else.
        """
        path = object_path(study, series, instance)
        problem: PacsAnswerError | None = None
        if self._learned.thumbnail is not False:
            try:
                picture = self._picture(path, "thumbnail", (size, size), cancelled)
            except PacsAnswerError as exc:
                if status_of(exc) not in _NOT_THERE:
                    raise
                problem = exc
            else:
                self._learned.thumbnail = True
                return picture
        try:
            picture = self._picture(path, "rendered", (size, size), cancelled)
        except PacsAnswerError as exc:
            if status_of(exc) not in _NOT_THERE:
                raise
            raise PacsAnswerError(
                f"The PACS {self._client.place.server!r} has no picture of it.",
                expected="/thumbnail or /rendered",
                got=" and ".join(str(each.got) for each in (problem, exc) if each is not None),
                hint="Fetch one instance and make a picture of it; some objects have no pixels.",
                details=dict(exc.details),
            ) from exc
        self._learned.rendered = True
        if problem is not None:
            self._learned.thumbnail = False  # the object is there, and can be shown
        return picture

    def _picture(self, path: str, resource: str, size: tuple[int, int] | None, cancelled: Cancelled) -> bytes:
        query = f"viewport={size[0]},{size[1]}" if size is not None else ""
        answer_error: PacsAnswerError | None = None
        for accept in _PICTURES:
            with self._client.stream(
                f"{path}/{resource}", query=query, what=f"WADO-RS {resource}", accept=accept, cancelled=cancelled
            ) as answer:
                try:
                    return _picture_in(answer.check())
                except PacsAnswerError as exc:
                    if status_of(exc) not in (400, 406, 415):
                        raise
                    answer_error = exc
        assert answer_error is not None
        raise answer_error

    # -- frames and bulk data -----------------------------------------------------------------------------------------

    def frames(
        self, study: str, series: str, instance: str, numbers: Sequence[int], cancelled: Cancelled = never
    ) -> list[Blob]:
        """Frames of an instance by their numbers, from 1, as they are stored or decompressed, as the server likes."""
        if not numbers or min(numbers) < 1:
            raise ArgumentError("Which frames?", expected="numbers from 1", got=repr(list(numbers)))
        path = f"{object_path(study, series, instance)}/frames/{','.join(map(str, numbers))}"
        found = self._blobs(path, "", "WADO-RS frames", cancelled)
        if len(found) != len(numbers):
            raise self._wrong_number("frames", len(numbers), len(found))
        return found

    def bulk(self, uri: str, cancelled: Cancelled = never) -> Blob:
        """Bulk data: the value that a BulkDataURI in metadata stands for.

        Args:
            uri: as in the metadata. Whatever host and port it names, the configured root is asked.

        Raises:
            ArgumentError: the URI is not under a DICOMweb root.
            PacsAnswerError: nothing is there, or more than one value.
        """
        path, query = self._inside(uri)
        found = self._blobs(path, query, "WADO-RS bulk data", cancelled)
        if len(found) != 1:
            raise self._wrong_number("values", 1, len(found))
        return found[0]

    def _wrong_number(self, what: str, expected: int, got: int) -> PacsAnswerError:
        return PacsAnswerError(
            f"The PACS {self._client.place.server!r} sent another number of {what} than was asked for.",
            expected=str(expected),
            got=str(got),
            details={"server": self._client.place.server},
        )

    def _inside(self, uri: str) -> tuple[str, str]:
        """Path and query behind the configured root: servers name hosts and ports that only they can reach."""
        try:
            parts = urlsplit(uri)
        except ValueError:
            parts = urlsplit("")
        root = urlsplit(self._client.place.root).path
        path = parts.path
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        elif (at := path.find("/studies/")) > 0:
            path = path[at:]
        elif not path.startswith("/"):
            path = f"/{path}"
        steps = unquote(path).split("/")
        if len(steps) < 3 or steps[1] not in ("studies", "bulkdata") or {".", ".."} & set(steps) or not uri.isascii():
            raise ArgumentError(
                "That is no address of bulk data.", expected="a URI or a path with /studies/ in it", got="another one"
            )
        return path, parts.query

    def _blobs(self, path: str, query: str, what: str, cancelled: Cancelled) -> list[Blob]:
        problem: PacsAnswerError | None = None
        for accept in _BULK_ACCEPTS:
            with self._client.stream(path, query=query, what=what, accept=accept, cancelled=cancelled) as answer:
                try:
                    return _blobs_in(answer.check())
                except PacsAnswerError as exc:
                    if status_of(exc) not in (400, 406, 415):
                        raise
                    problem = exc
        assert problem is not None
        raise problem


def _picture_in(answer: Answer) -> bytes:
    kind = answer.content_type.type
    body = answer.read(_MOST_PICTURE)
    if kind.startswith("multipart/"):
        # Some wrap it, although there is one picture only.
        blobs = _parts_of(answer, body)
        body = blobs[0].data if blobs else b""
    if not body.startswith(_PICTURE_BEGINS):
        raise answer.unexpected("a picture, PNG or JPEG", f"content type {kind}" if kind else "something else")
    return body


def _blobs_in(answer: Answer) -> list[Blob]:
    if answer.status == 204:
        return []
    body = answer.read(_MOST_BULK)
    kind, parameters = answer.content_type
    if kind.startswith("multipart/"):
        return _parts_of(answer, body)
    return [Blob(body, kind, parameters.get("transfer-syntax", ""))]


def _parts_of(answer: Answer, body: bytes) -> list[Blob]:
    boundary = answer.content_type.parameters.get("boundary")
    try:
        try:
            return _parsed(Parser(boundary), body)
        except LengthError:
            return _parsed(Parser(boundary, trust_lengths=False), body)
    except MultipartError as exc:
        raise answer.unexpected("a whole multipart body", f"one that is not: {exc}") from exc


def _parsed(parser: Parser, body: bytes) -> list[Blob]:
    found: list[Blob] = []
    kind, pieces = parse_content_type(""), list[bytes]()
    for event in parser.feed(body):
        if isinstance(event, PartBegins):
            kind, pieces = parse_content_type(event.headers.get("content-type", "")), []
        elif isinstance(event, PartData):
            pieces.append(bytes(event.data))
        elif isinstance(event, PartEnds):
            found.append(Blob(b"".join(pieces), kind.type, kind.parameters.get("transfer-syntax", "")))
    parser.close()
    return found


def dataset_of_json(item: dict[str, Any]) -> Dataset:
    """A data set of an object in the DICOM JSON model. Bulk data by reference are empty values.

    What cannot be read is left out; how much that is, is in the log.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # pydicom raises errors of no common class for values that are not as their VR says.
        with contextlib.suppress(Exception):
            return Dataset.from_json(item, _no_bulk)
        dataset, unread = Dataset(), 0
        for tag, element in item.items():
            try:
                dataset.update(Dataset.from_json({tag: element}, _no_bulk))
            except Exception:  # noqa: BLE001
                unread += 1
    _log.warning("%d attributes of an instance's metadata cannot be read.", unread)
    return dataset


def _no_bulk(_tag: str, _vr: str, _uri: str) -> None:
    """Bulk data are fetched by themselves, if at all."""
