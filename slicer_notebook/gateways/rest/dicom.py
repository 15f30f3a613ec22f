"""``/dicom`` of SlicerWeb: the index as a DICOMweb server (PS3.18): QIDO-RS, WADO-RS and WADO-URI.

What upstream lacks is here: retrieving studies and series, real RetrieveURLs, every attribute of the index as a key.
Instances go out as they are stored; nothing is transcoded, but single frames that a client wants uncompressed. In
metadata, binary values over `INLINE` bytes and pixels are a BulkDataURI that can be fetched.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydicom.datadict import tag_for_keyword
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from slicer_notebook.commands.dicom import _details, _open_index
from slicer_notebook.dicom.attributes import read_dataset
from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.syntaxes import BIG_ENDIAN
from slicer_notebook.dicom.thumbnails import MAX_SIZE, MIN_SIZE
from slicer_notebook.errors import ArgumentError, FileFormatError, InputError, SlicerNotebookError, UidNotFoundError
from slicer_notebook.gateways.media import MediaRange, accepted, choose, without_values
from slicer_notebook.gateways.rest import dicom_files as files
from slicer_notebook.gateways.rest import dicom_frames as pixels
from slicer_notebook.gateways.rest import dicom_search as search
from slicer_notebook.gateways.rest.answers import failure
from slicer_notebook.gateways.rest.dicom_json import item_of_dataset, item_of_record

if TYPE_CHECKING:
    from starlette.requests import Request

    from slicer_notebook.commands.gateway import Context

__all__ = ["routes"]

_log = logging.getLogger("slicer_notebook.gateways")

_JSON: Final = "application/json"
_DICOM_JSON: Final = "application/dicom+json"
_DICOM: Final = "application/dicom"
_RELATED: Final = "multipart/related"
_ZIP: Final = "application/zip"
_PNG, _JPEG = "image/png", "image/jpeg"
#: PS3.5 9.1; leading zeros are wrong, and occur.
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH: Final = 64
#: Where a value lies: tags, and numbers of items in sequences.
_BULK: Final = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,5}/[0-9A-Fa-f]{8}){0,32}")
_FRAMES: Final = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")
_VIEWPORT: Final = re.compile(r"([0-9]{1,5})\s*,\s*([0-9]{1,5})(,.*)?")
#: Pixels of a thumbnail that nobody says the size of.
_THUMBNAIL: Final = 128
_PIXELS: Final = ("7FE00008", "7FE00009", "7FE00010")
#: Bytes of metadata that go out at once.
_METADATA: Final = 64 * 1024
_NO_CACHE: Final = {"Cache-Control": "no-cache"}

_Endpoint = Callable[["Request"], Awaitable[Response]]


class _RefusedError(Exception):
    """A request that gets another status than its error's class says."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def routes(context: Context) -> list[BaseRoute]:
    """All of ``/dicom``, with paths from the root. The index is that of ``context.options.database``."""
    web = _DicomWeb(context)
    study, series, instance = "/{study}", "/series/{series}", "/instances/{instance}"
    below: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("", web.wado_uri),
        ("/", web.wado_uri),
        ("/studies", web.search("studies")),
        ("/series", web.search("series")),
        ("/instances", web.search("instances")),
    ]
    for path in (f"/studies{study}", f"/studies{study}{series}", f"/studies{study}{series}{instance}"):
        below += [
            (path, web.retrieve),
            (f"{path}/metadata", web.metadata),
            (f"{path}/rendered", web.rendered),
            (f"{path}/thumbnail", web.thumbnail),
        ]
    one = f"/studies{study}{series}{instance}"
    below += [
        (f"/studies{study}/series", web.search("series")),
        (f"/studies{study}/instances", web.search("instances")),
        (f"/studies{study}{series}/instances", web.search("instances")),
        (f"{one}/frames/{{frames}}", web.frames),
        (f"{one}/bulkdata/{{where:path}}", web.bulk_data),
        ("/{rest:path}", _unknown),
    ]
    return [Route(f"/dicom{path}", _answering(endpoint), methods=["GET"]) for path, endpoint in below]


def _answering(endpoint: _Endpoint) -> _Endpoint:
    """Errors as answers: 404 for what is not there, 400 for what is no question, 406, 410, else 500."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        request.state.what = without_values(request)
        try:
            return await endpoint(request)
        except _RefusedError as exc:
            status, message = exc.status, str(exc)
        except UidNotFoundError as exc:
            status, message = 404, _in_words(exc)
        except FileFormatError as exc:
            status, message = 500, exc.message
        except InputError as exc:
            status, message = 400, _in_words(exc)
        except SlicerNotebookError as exc:
            status, message = 500, exc.message
        request.state.note = message
        return failure(status, message)

    return answer


def _in_words(error: SlicerNotebookError) -> str:
    expected = f" Expected: {error.expected}." if error.expected else ""
    return f"{error.message}{expected}"


async def _unknown(_request: Request) -> Response:
    raise _RefusedError(404, "There is no such resource.")


class _DicomWeb:
    """The endpoints."""

    def __init__(self, context: Context) -> None:
        self._database = context.options.database

    # -- the index, on a thread ---------------------------------------------------------------------------------------

    def _index(self) -> Index:
        return _open_index(self._database)

    def _instances(self, uids: dict[str, str]) -> list[Instance]:
        """Those of a study, a series of it, or one. Raises `UidNotFoundError`."""
        index, study = self._index(), uids["study"]
        if "instance" in uids:
            return [index.instance(uids["instance"], study=study, series=uids["series"])]
        if "series" in uids:
            return index.instances(uids["series"], study=study)
        return [each for series in index.series(study) for each in index.instances(series)]

    async def _files(self, request: Request) -> tuple[list[files.File], list[Instance]]:
        """What there is on the disk, and what the index knows and is not there any more."""
        uids = _uids(request)
        there, gone = await files.reading(lambda: files.on_disk(self._instances(uids)))
        if not there:
            raise _RefusedError(410, "The files are gone since they were indexed.")
        return there, gone

    async def _file(self, request: Request) -> files.File:
        there, _ = await self._files(request)
        return there[0]

    # -- QIDO-RS ------------------------------------------------------------------------------------------------------

    def search(self, level: search.Level) -> _Endpoint:
        """The endpoint for searches at a level."""

        async def endpoint(request: Request) -> Response:
            uids = _uids(request)
            media = _json_type(request)
            asked = search.parse(level, request.query_params.multi_items())
            url = _urls(request)

            def answers() -> bytes:
                found = search.found(self._index(), asked, url, uids.get("study"), uids.get("series"))
                return b"[" + b",".join(map(msgspec.json.encode, found)) + b"]"

            body = await files.reading(answers)
            response = Response(body, media_type=media, headers=_NO_CACHE)
            for warning in asked.warnings:
                response.headers.append("Warning", warning)
            return response

        return endpoint

    # -- WADO-RS ------------------------------------------------------------------------------------------------------

    async def retrieve(self, request: Request) -> Response:
        """A study, a series or an instance as DICOM files."""
        there, gone = await self._files(request)
        chosen = _form(_ranges(request), there, single="instance" in request.path_params)
        if chosen == _DICOM:
            return _whole(request, there[0])
        headers = {**_NO_CACHE, **_partial(gone, there)}
        status = 206 if gone else 200
        if chosen == _ZIP:
            return _streaming(request, files.zipped(there), _ZIP, status, headers)
        boundary, url = files.new_boundary(), _urls(request)

        def location(instance: Instance) -> str:
            return url(instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.SOPInstanceUID)

        headers["Content-Length"] = str(files.length_of_parts(boundary, there, location))
        media = f'{_RELATED}; type="{_DICOM}"; boundary={boundary}'
        return _streaming(request, files.parts(boundary, there, location), media, status, headers)

    async def metadata(self, request: Request) -> Response:
        """All attributes but bulk data, an object for each instance."""
        media = _json_type(request)
        there, gone = await self._files(request)
        chunks = _metadata(there, _urls(request))
        first = await files.reading(next, chunks)

        def all_chunks() -> Iterator[bytes]:
            yield first
            yield from chunks

        status = 206 if gone else 200
        return _streaming(request, all_chunks(), media, status, {**_NO_CACHE, **_partial(gone, there)})

    async def frames(self, request: Request) -> Response:
        """Frames by their numbers, as they are stored or, where a client wants that, uncompressed."""
        wanted = request.path_params["frames"]
        if not _FRAMES.fullmatch(wanted):
            raise _RefusedError(400, "Numbers of frames are due, from 1, separated by commas.")
        numbers = [int(number) for number in wanted.split(",")]
        file = await self._file(request)
        return await self._blobs(request, file.instance, numbers)

    async def _blobs(self, request: Request, instance: Instance, numbers: list[int]) -> Response:
        stored = pixels.media_of(instance.TransferSyntaxUID)
        how = _form_of_frames(_ranges(request), stored, instance.TransferSyntaxUID)
        if how is None:
            raise _RefusedError(406, f"Frames are there as {stored} and as {pixels.OCTETS}.")
        read = pixels.stored_frames if how.stored else pixels.uncompressed_frames
        found = await files.reading(read, instance, numbers)
        if how.bare and len(found.frames) == 1:
            return Response(found.frames[0], media_type=found.media, headers=_NO_CACHE)
        boundary = files.new_boundary()
        kind = f"{found.media}; transfer-syntax={found.syntax}"
        body = b"".join(
            f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {len(frame)}\r\n\r\n".encode() + frame + b"\r\n"
            for frame in found.frames
        )
        media = f'{_RELATED}; type="{found.media}"; boundary={boundary}'
        return Response(body + f"--{boundary}--\r\n".encode(), media_type=media, headers=_NO_CACHE)

    async def bulk_data(self, request: Request) -> Response:
        """What a BulkDataURI in metadata names."""
        where = request.path_params["where"]
        if not _BULK.fullmatch(where):
            raise _RefusedError(400, "A tag is due, such as 00420011.")
        file = await self._file(request)
        if where.upper() in _PIXELS:
            if where.upper() != _pixel_tag(file.instance):
                raise _RefusedError(404, "The instance has no such pixels.")
            return await self._blobs(request, file.instance, list(range(1, (file.instance.NumberOfFrames or 1) + 1)))
        value = await files.reading(pixels.bulk_value, file.instance, where)
        chosen = choose(_ranges(request), (pixels.OCTETS, _RELATED))
        if chosen is None:
            raise _RefusedError(406, f"Bulk data is there as {pixels.OCTETS}.")
        if chosen == pixels.OCTETS:
            return Response(value, media_type=pixels.OCTETS, headers=_NO_CACHE)
        boundary = files.new_boundary()
        head = f"--{boundary}\r\nContent-Type: {pixels.OCTETS}\r\nContent-Length: {len(value)}\r\n\r\n"
        media = f'{_RELATED}; type="{pixels.OCTETS}"; boundary={boundary}'
        body = head.encode() + value + f"\r\n--{boundary}--\r\n".encode()
        return Response(body, media_type=media, headers=_NO_CACHE)

    # -- pictures -----------------------------------------------------------------------------------------------------

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of an instance, of a series' middle slice, of a study's first series."""
        size = _viewport(request)
        return await self._picture(request, _THUMBNAIL if size is None else size)

    async def rendered(self, request: Request) -> Response:
        """A picture as large as the image is, or within the viewport that is asked for."""
        return await self._picture(request, _viewport(request))

    async def _picture(self, request: Request, size: int | None) -> Response:
        uids = _uids(request)
        media = choose(_ranges(request), (_PNG, _JPEG))
        if media is None:
            raise _RefusedError(406, f"Pictures are there as {_PNG} and {_JPEG}.")

        def drawn() -> bytes:
            png = self._drawn(uids, size)
            return pixels.jpeg(png) if media == _JPEG else png

        return Response(await files.reading(drawn), media_type=media, headers=_NO_CACHE)

    def _drawn(self, uids: dict[str, str], size: int | None) -> bytes:
        instances = self._instances(uids)
        if "instance" in uids:
            there, _ = files.on_disk(instances)
            if not there:
                raise _RefusedError(410, "The file is gone since it was indexed.")
            return pixels.picture(there[0].instance, size)
        first = next((each for each in instances if each.Rows), instances[0])
        own = max(first.Rows or 0, first.Columns or 0, MIN_SIZE)
        return _details(self._database).thumbnail(first.SeriesInstanceUID, size or min(own, MAX_SIZE))

    # -- WADO-URI (PS3.18 9) ------------------------------------------------------------------------------------------

    async def wado_uri(self, request: Request) -> Response:
        """``?requestType=WADO&studyUID=&seriesUID=&objectUID=``; without a contentType the file, as upstream gives it.

        ``object`` instead of ``objectUID`` too: Slicer's manual says so.
        """
        query = request.query_params
        kind = query.get("requestType", "WADO")
        uid = query.get("objectUID") or query.get("object") or ""
        if kind.upper() != "WADO" or not uid:
            raise _RefusedError(400, "objectUID is due, and no requestType but WADO.")
        uids = {"instance": _checked(uid)}
        for name, parameter in (("study", "studyUID"), ("series", "seriesUID")):
            if query.get(parameter):
                uids[name] = _checked(query[parameter])
        if query.get("anonymize"):
            raise _RefusedError(406, "Files are sent as they are: nothing is taken out of them here.")

        def find() -> Instance:
            return self._index().instance(uid, study=uids.get("study"), series=uids.get("series"))

        found = await files.reading(find)
        return await self._object(request, found)

    async def _object(self, request: Request, found: Instance) -> Response:
        ranges = accepted([request.query_params.get("contentType", _DICOM)])
        media = choose(ranges, (_DICOM, _PNG, _JPEG))
        there, _ = await files.reading(files.on_disk, [found])
        if not there:
            raise _RefusedError(410, "The file is gone since it was indexed.")
        if media in (_PNG, _JPEG):
            png = await files.reading(pixels.picture, there[0].instance, None)
            body = await files.reading(pixels.jpeg, png) if media == _JPEG else png
            return Response(body, media_type=media, headers=_NO_CACHE)
        syntax = request.query_params.get("transferSyntax")
        if media is None or (syntax and syntax != there[0].syntax):
            raise _RefusedError(406, f"The object is there as {_DICOM} in transfer syntax {there[0].syntax}.")
        return _whole(request, there[0])


# -- requests ---------------------------------------------------------------------------------------------------------


def _checked(uid: str) -> str:
    if len(uid) > _UID_LENGTH or not _UID.fullmatch(uid):
        raise _RefusedError(400, "That is no UID.")
    return uid


def _uids(request: Request) -> dict[str, str]:
    """The UIDs in the path, by "study", "series", "instance"."""
    given = request.path_params
    return {name: _checked(given[name]) for name in ("study", "series", "instance") if name in given}


def _urls(request: Request) -> Callable[..., str]:
    """Gives the URL of a study, of a series, of an instance, as this client reaches it."""
    root = f"{str(request.base_url).rstrip('/')}/dicom"

    def url(study: str, series: str | None = None, instance: str | None = None) -> str:
        path = f"{root}/studies/{study}"
        path += f"/series/{series}" if series else ""
        return path + (f"/instances/{instance}" if instance else "")

    return url


def _ranges(request: Request) -> list[MediaRange]:
    """What the client takes: the query parameter ``accept`` is for those that cannot set headers (PS3.18 8.3.3.1)."""
    asked = request.query_params.getlist("accept")
    return accepted(asked or request.headers.getlist("accept"))


def _json_type(request: Request) -> str:
    media = choose(_ranges(request), (_JSON, _DICOM_JSON))
    if media is None:
        raise _RefusedError(406, f"Answers are there as {_JSON} and {_DICOM_JSON}.")
    return media


def _viewport(request: Request) -> int | None:
    text = request.query_params.get("viewport")
    if text is None:
        return None
    found = _VIEWPORT.fullmatch(text)
    if found is None:
        raise ArgumentError("The parameter viewport.", expected="width,height in pixels", got=text)
    return min(int(found[1]), int(found[2]))


def _form(ranges: Sequence[MediaRange], there: Sequence[files.File], *, single: bool) -> str:
    """How instances are to be sent. Raises `_RefusedError`."""
    default = _DICOM if single else _RELATED
    syntaxes = {file.syntax for file in there}
    for each in ranges:
        if each.type == "*/*":
            return default
        wanted = each.parameters.get("transfer-syntax", "*")
        inside = each.parameters.get("type", _DICOM).lower()
        if wanted not in ("*", "") and syntaxes != {wanted}:
            continue
        if each.covers(_RELATED) and inside == _DICOM:
            return _RELATED
        if each.covers(_ZIP) and each.type == _ZIP:
            return _ZIP
        if each.covers(_DICOM) and single:
            return _DICOM
    stored = ", ".join(sorted(syntaxes))
    form = f'{_DICOM}, {_RELATED}; type="{_DICOM}"' if single else f'{_RELATED}; type="{_DICOM}", {_ZIP}'
    raise _RefusedError(406, f"It is there as {form}; in transfer syntax {stored}, as it is stored.")


class _FormOfFrames(msgspec.Struct, frozen=True):
    stored: bool
    bare: bool


def _form_of_frames(ranges: Sequence[MediaRange], stored: str, syntax: str) -> _FormOfFrames | None:
    """PS3.18 8.7.3.3: what is uncompressed is asked for as octets; ``transfer-syntax=*`` takes what there is."""
    for each in ranges:
        bare = each.type not in (_RELATED, "*/*")
        kind = each.type if bare else each.parameters.get("type", "*/*").lower()
        wanted = each.parameters.get("transfer-syntax", "")
        inner = MediaRange(kind, 1.0, {})
        if wanted in ("*", syntax) or (not wanted and kind == "*/*") or (stored == kind and not wanted):
            if wanted == "*" or inner.covers(stored):
                return _FormOfFrames(True, bare)
        elif inner.covers(pixels.OCTETS) and wanted in ("", "1.2.840.10008.1.2.1"):
            return _FormOfFrames(False, bare)
    return None


# -- answers ----------------------------------------------------------------------------------------------------------


def _streaming(request: Request, chunks: Iterator[bytes], media: str, status: int, headers: dict[str, str]) -> Response:
    if request.method == "HEAD":
        response = Response(b"", status, headers, media_type=media)
        response.headers["Content-Length"] = headers.get("Content-Length", "")
        if "Content-Length" not in headers:
            del response.headers["Content-Length"]
        return response
    return StreamingResponse(files.streamed(chunks), status, headers, media_type=media)


def _whole(request: Request, file: files.File) -> Response:
    """One file, bare."""
    headers = {**_NO_CACHE, "Content-Length": str(file.size)}
    return _streaming(request, files.content(file), _DICOM, 200, headers)


def _partial(gone: Sequence[Instance], there: Sequence[files.File]) -> dict[str, str]:
    if not gone:
        return {}
    count = len(gone) + len(there)
    return {"Warning": f'299 slicer-notebook "{len(gone)} of {count} files are gone since they were indexed."'}


def _metadata(there: Sequence[files.File], url: Callable[..., str]) -> Iterator[bytes]:
    held = bytearray(b"[")
    for number, file in enumerate(there):
        held += b"," if number else b""
        held += msgspec.json.encode(_all_attributes(file, url))
        if len(held) >= _METADATA:
            yield bytes(held)
            held.clear()
    yield bytes(held) + b"]"


def _all_attributes(file: files.File, url: Callable[..., str]) -> dict[str, Any]:
    instance = file.instance
    root = url(instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.SOPInstanceUID)

    def bulk(where: str) -> str:
        return f"{root}/bulkdata/{where}"

    try:
        item = item_of_dataset(read_dataset(instance.path), bulk, file.syntax, swapped=file.syntax == BIG_ENDIAN)
    except FileFormatError:
        # The index could read it, in part at least.
        _log.warning("A header cannot be read in full; its metadata are those of the index.")
        known = {name: getattr(instance, name) for name in instance.__struct_fields__}
        item = item_of_record(known, [name for name in known if name[:1].isupper() and tag_for_keyword(name)])
    tag = _pixel_tag(instance)
    if tag is not None:
        vr = {"7FE00008": "OF", "7FE00009": "OD"}.get(tag, "OB" if instance.BitsAllocated == 8 else "OW")
        item[tag] = {"vr": "OB" if instance.pixel_length < 0 else vr, "BulkDataURI": bulk(tag)}
    return item


def _pixel_tag(instance: Instance) -> str | None:
    """The model's key of the attribute that the pixels are in."""
    tag = tag_for_keyword(instance.pixel_keyword) if instance.pixel_keyword else None
    return None if tag is None else f"{tag:08X}"
