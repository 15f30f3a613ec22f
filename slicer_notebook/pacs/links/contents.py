"""What a download turns out to be: DICOM, a ZIP archive of it, a multipart body, a WADO manifest; by its first bytes.

Its name and media type are the server's word, which only matters where the bytes leave it open.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from slicer_notebook.errors import JobCancelledError, LinkError, SlicerNotebookError, StorageError
from slicer_notebook.links.hosts import NoAddressError, address_of
from slicer_notebook.links.manifest import MOST_BYTES as MANIFEST_MOST
from slicer_notebook.links.manifest import ManifestItem, manifest_items
from slicer_notebook.pacs.aside import write_all
from slicer_notebook.pacs.dicomweb.multipart import MultipartError, Parser, PartBegins, PartData, PartEnds
from slicer_notebook.pacs.threads import thread

if TYPE_CHECKING:
    from slicer_notebook.pacs.arrivals import Arrivals
    from slicer_notebook.pacs.links.fetching import Body, Fetcher
    from slicer_notebook.pacs.model import Part

__all__ = ["ACCEPT", "Told", "kind_of", "take"]

#: What is asked for: whatever it is, and of DICOM all transfer syntaxes as they are stored (PS3.18 8.7.3).
ACCEPT: Final = (
    "application/dicom;transfer-syntax=*, application/zip, "
    'multipart/related;type="application/dicom";transfer-syntax=*, application/xml;q=0.9, */*;q=0.8'
)
#: Bytes that are read or unpacked at once.
_AT_ONCE: Final = 1 << 20
#: Requests for a manifest's instances at the same time, and failures one after another after which it is given up.
_PARALLEL: Final = 4
_MOST_FAILURES: Final = 5
_XML: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!--|[A-Za-z_])")
_HTML: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)

Told = Callable[[int, int | None, str], None]
"""Told (done, of all or None, what is counted)."""


def kind_of(body: Body) -> str:
    """ "dicom", "zip", "multipart" or "manifest".

    Raises:
        LinkError: none of them.
    """
    first = body.beginning()
    if first[128:132] == b"DICM":
        return "dicom"
    if first[:4] in (b"PK\3\4", b"PK\5\6"):
        return "zip"
    if body.kind.startswith("multipart/"):
        return "multipart"
    if _HTML.match(first) or body.kind == "text/html":
        raise _not_dicom("a web page", "It may be a sign-in page: the link may want a token, or have expired.")
    if _XML.match(first):
        return "manifest"
    if body.kind in ("application/dicom", "application/dicom+octet-stream") and first:
        return "dicom"
    raise _not_dicom("nothing at all" if not first else "something else")


def _not_dicom(got: str, hint: str | None = None) -> LinkError:
    return LinkError(
        "The link brings no DICOM.",
        expected="DICOM files, a ZIP archive of them, or a WADO manifest",
        got=got,
        hint=hint,
    )


def take(fetcher: Fetcher, body: Body, arrivals: Arrivals, told: Told) -> None:
    """All that a download brings, into ``arrivals``.

    Raises:
        LinkError: it is none of the kinds, broken off, or exceeds a limit. What came before is kept.
        StorageError: nothing more can be kept.
        JobCancelledError: somebody has said so.
    """
    kind = kind_of(body)
    if kind == "dicom":
        _into_part(body.chunks(), arrivals.open())
        told(1, 1, "instances")
    elif kind == "multipart":
        _multipart(fetcher, body, arrivals, told)
    elif kind == "zip":
        _zip(fetcher, body, arrivals, told)
    else:
        _manifest(fetcher, body, arrivals, told)


def _into_part(chunks: Iterator[bytes], part: Part) -> None:
    try:
        for chunk in chunks:
            part.write(chunk)
        part.done()
    except BaseException:
        part.discard()
        raise


# -- multipart/related ------------------------------------------------------------------------------------------------


def _multipart(fetcher: Fetcher, body: Body, arrivals: Arrivals, told: Told) -> None:
    parser = Parser(body.boundary, trust_lengths=False)
    part: Part | None = None
    count = 0
    try:
        for chunk in body.chunks():
            for event in parser.feed(chunk):
                if isinstance(event, PartBegins):
                    count += 1
                    if count > fetcher.limits.instances:
                        raise fetcher.too_much(f"more than {fetcher.limits.instances} parts")
                    part = arrivals.open()
                elif isinstance(event, PartData) and part is not None:
                    part.write(event.data)
                elif isinstance(event, PartEnds) and part is not None:
                    whole, part = part, None
                    whole.done()
                    told(count, None, "instances")
            if parser.ended:
                return
        parser.close()
    except MultipartError as exc:
        raise LinkError("The download broke off.", expected="a whole multipart body", got=str(exc)) from None
    finally:
        if part is not None:
            part.discard()


# -- ZIP --------------------------------------------------------------------------------------------------------------


def _zip(fetcher: Fetcher, body: Body, arrivals: Arrivals, told: Told) -> None:
    path, file = arrivals.aside()
    try:
        for chunk in body.chunks():
            try:
                write_all(file, chunk)
            except OSError as exc:
                raise arrivals.fail(exc) from exc
            arrivals.count_bytes(len(chunk))
            told(fetcher.bytes, body.size, "bytes")
        with os.fdopen(os.dup(file), "rb") as archive:
            _unpack(fetcher, archive, arrivals, told)
    finally:
        os.close(file)
        with contextlib.suppress(OSError):
            os.unlink(path)


def _unpack(fetcher: Fetcher, file: object, arrivals: Arrivals, told: Told) -> None:
    """DICOM files of an archive. Names in it are not used: what is kept is called by its UIDs."""
    limits, found = fetcher.limits, 0
    try:
        with zipfile.ZipFile(file) as archive:  # type: ignore[call-overload]
            members = [each for each in archive.infolist() if not each.filename.endswith("/")]
            if len(members) > limits.instances:
                raise fetcher.too_much(f"an archive of {len(members)} files")
            for number, member in enumerate(members):
                if member.flag_bits & 1:
                    raise LinkError("The archive is encrypted.", hint="Download and unpack it yourself.")
                if member.file_size > limits.small and member.file_size > limits.ratio * max(1, member.compress_size):
                    raise fetcher.too_much("a file that is packed as in an archive made to do harm")
                found += _member(fetcher, archive, member, arrivals)
                told(number + 1, len(members), "files of the archive")
    # NotImplementedError (a packing that Python lacks) is a RuntimeError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError) as exc:
        if isinstance(exc, SlicerNotebookError):
            raise
        raise LinkError("The archive is broken.", expected="a whole ZIP archive", got=type(exc).__name__) from None
    if not found:
        raise _not_dicom("a ZIP archive without DICOM files")


def _member(fetcher: Fetcher, archive: zipfile.ZipFile, member: zipfile.ZipInfo, arrivals: Arrivals) -> bool:
    """Whether it is a DICOM file, which goes to ``arrivals``; unpacked bytes count as downloaded ones do."""
    with archive.open(member) as source:

        def pieces() -> Iterator[bytes]:
            while piece := source.read(_AT_ONCE):
                yield piece

        counted = fetcher.counted(pieces())
        first = next(counted, b"")
        if first[128:132] != b"DICM":
            return False
        # DICOMDIR is a file of the standard, and no instance (PS3.10 8.6).
        if b"1.2.840.10008.1.3.10" in first[132:1024]:
            return False

        def all_of_it() -> Iterator[bytes]:
            yield first
            yield from counted

        _into_part(all_of_it(), arrivals.open())
    return True


# -- manifests --------------------------------------------------------------------------------------------------------


def _manifest(fetcher: Fetcher, body: Body, arrivals: Arrivals, told: Told) -> None:
    items = manifest_items(body.read(MANIFEST_MOST), body.address.url)
    _Items(fetcher, items, arrivals, told).take()


class _Items:
    """What a manifest names, fetched by a few threads."""

    def __init__(self, fetcher: Fetcher, items: list[ManifestItem], arrivals: Arrivals, told: Told) -> None:
        self._fetcher = fetcher
        self._waiting = iter(items)
        self._total = len(items)
        self._arrivals = arrivals
        self._told = told
        self._lock = threading.Lock()
        self._done = self._in_a_row = 0
        self._failures: list[LinkError] = []
        self._stopped: list[BaseException] = []

    def take(self) -> None:
        """Fetch all. Raises as `take`; what failed is told when the others are here."""
        threads = [thread(self._work, "manifest") for _ in range(_PARALLEL - 1)]
        for each in threads:
            each.start()
        self._work()
        for each in threads:
            each.join()
        if self._stopped:
            raise self._stopped[0]
        if self._failures:
            first = self._failures[0]
            raise LinkError(
                f"{self._total - self._done} of {self._total} that the manifest names did not come.",
                expected=first.expected,
                got=f"{first.message} {first.got or ''}".strip(),
                hint=first.hint,
                details=first.details,
            )

    def _work(self) -> None:
        while not self._stopped and self._in_a_row < _MOST_FAILURES:
            with self._lock:
                item = next(self._waiting, None)
            if item is None:
                return
            try:
                self._one(item)
            except LinkError as exc:
                with self._lock:
                    self._failures.append(exc)
                    self._in_a_row += 1
                if exc.details.get("action"):  # an address that may not be asked: nor may the others
                    self._stopped.append(exc)
            except (JobCancelledError, StorageError) as exc:
                self._stopped.append(exc)
            # Whatever it is, it ends all threads, and the caller gets it.
            except BaseException as exc:  # noqa: BLE001
                self._stopped.append(exc)
            else:
                with self._lock:
                    self._done += 1
                    self._in_a_row = 0
                self._told(self._done, self._total, "instances")

    def _one(self, item: ManifestItem) -> None:
        try:
            address = address_of(item.url)
        except NoAddressError:
            raise LinkError("The manifest names what cannot be fetched.", expected="http or https addresses") from None
        with self._fetcher.get(address, ACCEPT, item.headers, led=True) as body:
            kind = kind_of(body)
            if kind == "dicom":
                _into_part(body.chunks(), self._arrivals.open())
            elif kind == "multipart":
                _multipart(self._fetcher, body, self._arrivals, lambda _done, _of, _what: None)
            else:
                raise _not_dicom(f"a {kind} within a manifest")
