"""Downloads of links: DICOM into the index, other files into a folder beside it."""

from __future__ import annotations

import os
import re
import uuid
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from slicer_notebook.errors import LinkError, SlicerNotebookError, StorageError
from slicer_notebook.links.bundles import NotWholeError, archive_members, scene_leads_elsewhere
from slicer_notebook.links.hosts import Address
from slicer_notebook.links.masking import printable
from slicer_notebook.links.parse import is_script
from slicer_notebook.links.whole import HEAD_BYTES, header_leads_elsewhere, leads_elsewhere
from slicer_notebook.pacs.arrivals import RESERVE, Arrivals, free_bytes
from slicer_notebook.pacs.links.contents import ACCEPT, take
from slicer_notebook.pacs.links.fetching import Body, Fetcher

if TYPE_CHECKING:
    from slicer_notebook.dicom.index import Index
    from slicer_notebook.dicom.records import Instance

__all__ = ["DATA_SUFFIXES", "Downloaded", "Told", "download_dicom", "download_file"]

Told = Callable[[int, int | None, str], None]

#: Kinds of files that Slicer reads and that are whole in themselves: none names further files.
DATA_SUFFIXES: Final = (
    ".seg.nrrd", ".seq.nrrd", ".nii.gz", ".mrk.json", ".nrrd", ".nii", ".mha", ".mrb", ".stl", ".ply", ".obj", ".vtk",
    ".vtp", ".vtu", ".fcsv", ".csv", ".tsv", ".tfm", ".h5",
)  # fmt: skip
_MOST_NAME: Final = 100


class Downloaded(msgspec.Struct, kw_only=True):
    """What came: UIDs of studies and of series, in the order in which they came; how many instances."""

    studies: list[str] = []
    series: list[str] = []
    instances: int = 0
    #: why others were not kept, at most some
    dropped: list[str] = []

    def note(self, instances: list[Instance]) -> None:
        """These are in the index."""
        for each in instances:
            self.instances += 1
            if each.StudyInstanceUID not in self.studies:
                self.studies.append(each.StudyInstanceUID)
            if each.SeriesInstanceUID not in self.series:
                self.series.append(each.SeriesInstanceUID)

    def plain(self) -> dict[str, Any]:
        """As commands give it."""
        return {"studies": list(self.studies), "series": list(self.series), "instances": self.instances}


#: Reasons that are kept.
_MOST_DROPPED: Final = 20


def download_dicom(fetcher: Fetcher, address: Address, index: Index, folder: Path, told: Told) -> Downloaded:
    """DICOM files, a ZIP archive of them, a multipart body, or what a manifest names: all into the index.

    What came before an error is kept, and in the index.

    Raises:
        LinkError: no DICOM, broken off, or more than is taken.
        StorageError: nothing more can be kept.
        JobCancelledError: somebody has said so.
    """
    found = Downloaded()

    def dropped(_uid: str, reason: str) -> None:
        if len(found.dropped) < _MOST_DROPPED:
            found.dropped.append(reason)

    arrivals = Arrivals(folder, index, refused=lambda _instance: None, arrived=found.note, dropped=dropped)
    try:
        with fetcher.get(address, ACCEPT) as body:
            take(fetcher, body, arrivals, told)
        arrivals.flush()
    finally:
        arrivals.close()
    if not found.instances:
        reason = found.dropped[0] if found.dropped else "nothing"
        raise LinkError("The link brings no DICOM that is whole.", expected="DICOM files", got=reason)
    return found


def download_file(fetcher: Fetcher, address: Address, folder: Path, told: Told) -> Path:
    """A data file or scene bundle; its path in a new folder of its own.

    Raises:
        LinkError: no kind that Slicer reads, one that names files of this machine, broken off, or more than is taken.
        StorageError: it cannot be kept.
        JobCancelledError: somebody has said so.
    """
    with fetcher.get(address, "*/*") as body:
        name = _file_name(body, address)
        try:
            if free_bytes(folder) < RESERVE + (body.size or 0):
                raise StorageError(f"There is no room in {str(folder)!r}.", hint="Make room, or name another folder.")
            own = folder / uuid.uuid4().hex[:12]
            own.mkdir(mode=0o700, parents=True)
            path = own / name
            _write(path, body, fetcher, told)
        except OSError as exc:
            raise StorageError("The download cannot be kept.", got=exc.strerror or type(exc).__name__) from exc
    try:
        _check(path, fetcher)
    except BaseException:
        path.unlink(missing_ok=True)
        own.rmdir()
        raise
    return path


def _write(path: Path, body: Body, fetcher: Fetcher, told: Told) -> None:
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("xb") as file:
            for chunk in body.chunks():
                file.write(chunk)
                told(fetcher.bytes, body.size, "bytes")
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        path.parent.rmdir()
        raise


def _file_name(body: Body, address: Address) -> str:
    """What it is called: only the last part of what the server or the link calls it, in harmless characters."""
    given = re.search(r'filename\s*=\s*"?([^";]+)', body.disposition)
    for text in (given[1] if given else "", unquote(body.address.path), unquote(address.path)):
        last = re.split(r"[/\\]", printable(text).rstrip("/\\"))[-1].rstrip(". ")
        suffix = next((each for each in DATA_SUFFIXES if last.lower().endswith(each)), "")
        if suffix and not is_script(last):
            stem = re.sub(r"[^\w.-]+", "_", last[: -len(suffix)])[:_MOST_NAME].strip(".-_")
            return (stem or "download") + suffix
    raise LinkError(
        "The link brings no file that Slicer loads.",
        expected=", ".join(DATA_SUFFIXES),
        got="a name without one of these endings",
    )


def _check(path: Path, fetcher: Fetcher) -> None:
    """No file that has other files read: a download shows what was downloaded."""
    name = path.name.lower()
    if name.endswith(".mrb"):
        _check_bundle(path, fetcher)
    else:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if leads_elsewhere(name, head):
            raise _names_others()


def _names_others() -> LinkError:
    return LinkError(
        "The file that was downloaded names other files.", expected="one that is whole in itself", got="a part of one"
    )


def _check_bundle(path: Path, fetcher: Fetcher) -> None:
    """A scene bundle: what it unpacks to is within limits, and nothing in it names a file outside."""
    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                _check_sizes(archive.infolist(), path, fetcher)
            for archive, member in archive_members(file):
                if member.filename.lower().endswith(".mrb"):
                    with archive.open(member) as inner:
                        _check_inner(inner, path, fetcher)
                else:
                    _check_in_bundle(archive, member, fetcher)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OverflowError) as exc:
        if isinstance(exc, SlicerNotebookError):
            raise
        raise LinkError("The bundle is broken.", expected="a whole .mrb", got=type(exc).__name__) from None
    except NotWholeError as exc:
        raise LinkError("The bundle is not unpacked.", expected="a .mrb as Slicer writes it", got=exc.why) from None


def _check_sizes(members: list[zipfile.ZipInfo], path: Path, fetcher: Fetcher) -> None:
    limits = fetcher.limits
    size = sum(each.file_size for each in members)
    packed = sum(each.compress_size for each in members)
    # Meshes and label maps pack well: a bundle is taken for a bomb by its size as a whole.
    bomb = size > limits.small and size > limits.ratio * max(1, packed)
    if len(members) > limits.instances or size > limits.most_bytes or bomb:
        raise fetcher.too_much("a bundle that unpacks to more than is taken")
    if size + RESERVE > free_bytes(path.parent):
        raise StorageError("There is no room to unpack the bundle.", hint="Make room.")


def _check_inner(inner: IO[bytes], path: Path, fetcher: Fetcher) -> None:
    with zipfile.ZipFile(inner) as archive:
        _check_sizes(archive.infolist(), path, fetcher)


def _check_in_bundle(archive: zipfile.ZipFile, member: zipfile.ZipInfo, fetcher: Fetcher) -> None:
    if member.filename.lower().endswith(".mrml"):
        if member.file_size > fetcher.limits.small or scene_leads_elsewhere(archive.read(member)):
            raise _names_others()
        return
    with archive.open(member) as file:
        if header_leads_elsewhere(member.filename, file.read(HEAD_BYTES)):
            raise _names_others()
