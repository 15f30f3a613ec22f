"""What files there are at the places that the index is told of, and which of them it knows already."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from slicer_notebook.dicom import ctk
from slicer_notebook.dicom.archives import (
    SEPARATOR,
    ArchiveError,
    archive_of,
    file_path,
    is_archive_name,
    members,
    shown_path,
    status,
)
from slicer_notebook.dicom.database import Database
from slicer_notebook.dicom.dicomdir import BrokenDirectoryError, named_files
from slicer_notebook.dicom.records import Skipped
from slicer_notebook.dicom.walk import Found, found_file, walk
from slicer_notebook.errors import ArgumentError, PathNotFoundError

__all__ = ["Survey", "below", "roots_of"]

_SQLITE: Final = b"SQLite format 3\0"
_MEDIA_DIRECTORY: Final = b"1.2.840.10008.1.3.10"
#: Bytes in which a file's meta information names its SOP class.
_HEAD: Final = 512

Scope = tuple[str, list[Any]]
"""A condition on ``files``, and its parameters."""


class Held(NamedTuple):
    """A file in the index: of an instance; or with a reason why not; or an archive or a DICOMDIR, with neither."""

    path: str
    size: int
    mtime_ns: int
    series_id: int | None
    sop_uid: str | None
    reason: str | None

    @property
    def is_container(self) -> bool:
        """Whether other files stand for it."""
        return self.series_id is None and self.reason is None


class Survey:
    """The files at some places, and what the index knows of those.

    Attributes:
        found: by path, each file that is to be in the index.
        opened: archives whose members are in ``found``, for they are new or changed.
        known: by path, what the index has from these places.
        started: when, by the monotonic clock.
        skipped: folders that cannot be listed, and files that a DICOMDIR or a database names in vain.
    """

    def __init__(self, database: Database, poll: Callable[[], None]) -> None:
        self.started = time.monotonic()
        self._database = database
        self._poll = poll
        self._unlisted: list[str] = []
        self._untouched: set[str] = set()
        self._scopes: list[Scope] = []
        self.found: dict[str, Found] = {}
        self.opened: list[Found] = []
        self.known: dict[str, Held] = {}
        self.skipped: list[Skipped] = []

    # -- places ----------------------------------------------------------------------------------------------------

    def look(self, root: str) -> None:
        """Look at a path, as `roots_of` gives it."""
        real = file_path(root)
        if os.path.isfile(os.path.join(real, ctk.FILE_NAME)):
            self._look_by_slicer(os.path.join(root, ctk.FILE_NAME))
            return
        if os.path.isdir(real):
            self._know(below(root))
            self._take(walk(real, self._unlistable))
            return
        if archive_of(root) is not None:
            self._know(below(root))
            self._look_into_archive(root)
            return
        file = found_file(real, os.stat(real))
        head = b"" if file.problem is not None else _head(real)
        if head.startswith((b"PK\3\4", b"PK\5\6")):
            self._know(below(root))
            self._open(file)
        elif head.startswith(_SQLITE):
            self._look_by_slicer(root)
        elif _MEDIA_DIRECTORY in head:
            self._look_by_directory(file)
        else:
            self._know(below(root))
            self._take([file])

    def look_at_all_known(self) -> None:
        """Look at every file that the index knows, wherever it is."""
        self._know(("1", []))
        holding = {path[: path.find(SEPARATOR)] for path in self.known if SEPARATOR in path}
        archives = {
            path: (held.size, held.mtime_ns)
            for path, held in self.known.items()
            if held.is_container and (path in holding or is_archive_name(path))
        }
        for path, state in archives.items():
            self._poll()
            now = _state(path)
            if now is not None and now != state:
                self._open(Found(path, *now))
            elif now is not None:
                self._open(Found(path, *state))
        for path in self.known:
            self._poll()
            if path in self.found or path in self._untouched or path in archives:
                continue
            archive = archive_of(path) if SEPARATOR in path else None
            if archive is not None and archive[0] in archives:
                continue
            now = _state(path)
            if now is not None:
                self.found[path] = Found(path, *now)

    # -- what of it is new -----------------------------------------------------------------------------------------

    def new(self) -> list[Found]:
        """Files that the index does not know, or knows with another size or time."""
        return [file for file in self.found.values() if not self._is_known(file)]

    def gone(self) -> list[str]:
        """Files that the index knows and that are not there; what lies in a folder that cannot be listed stays."""
        present = self.found.keys() | self._untouched | {archive.path for archive in self.opened}
        gone = [path for path in self.known if path not in present]
        for folder in self._unlisted:
            prefix = folder.rstrip(os.sep) + os.sep
            gone = [path for path in gone if not path.startswith(prefix)]
        return gone

    def look_up_again(self) -> None:
        """Bring ``known`` up to date with the index."""
        self.known = {}
        for scope in self._scopes:
            self.known.update(self._held(scope))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _know(self, scope: Scope) -> None:
        self._scopes.append(scope)
        self.known.update(self._held(scope))

    def _held(self, scope: Scope) -> dict[str, Held]:
        sql, parameters = scope
        rows = self._database.rows(
            f"SELECT path, size, mtime_ns, series_id, sop_uid, reason FROM files WHERE {sql}", parameters
        )
        return {row[0]: Held._make(row) for row in rows}

    def _is_known(self, file: Found) -> bool:
        held = self.known.get(file.path)
        return held is not None and held.size == file.size and held.mtime_ns == file.mtime_ns

    def _take(self, files: Iterable[Found]) -> None:
        for file in files:
            self._poll()
            if file.path[-4:].lower() == ".zip" and file.problem is None:
                self._open(file)
            else:
                self.found[file.path] = file

    def _unlistable(self, folder: str, error: OSError) -> None:
        shown = shown_path(folder)
        self._unlisted.append(shown)
        self.skipped.append(Skipped(path=shown, reason=f"folder not readable: {error.strerror or error}"))

    def _open(self, archive: Found) -> None:
        """Take an archive's members, from the index where the archive is unchanged."""
        if self._is_known(archive):
            self._untouched.add(archive.path)
            if not self.known[archive.path].is_container:  # known to be broken
                self.found[archive.path] = archive
                return
            held = self._held(_range(archive.path + SEPARATOR))
            self.found.update({path: Found(path, row.size, row.mtime_ns) for path, row in held.items()})
            return
        try:
            listed = members(archive.path)
        except ArchiveError as exc:
            self.found[archive.path] = archive._replace(problem=exc.reason)
            return
        except OSError as exc:
            self.found[archive.path] = archive._replace(problem=f"not readable: {exc.strerror or exc}")
            return
        self.opened.append(archive)
        for member in listed:
            self._poll()
            self.found[member.path] = Found(member.path, member.size, archive.mtime_ns, member.problem)

    def _look_into_archive(self, root: str) -> None:
        """One member, or what lies below a folder in an archive."""
        archive, _ = archive_of(root) or ("", "")
        _, mtime_ns = status(archive)
        for member in members(archive):
            if member.path == root or member.path.startswith(root + "/"):
                self.found[member.path] = Found(member.path, member.size, mtime_ns, member.problem)

    def _look_by_directory(self, directory: Found) -> None:
        try:
            there, missing = named_files(directory.path)
        except BrokenDirectoryError as exc:
            self._know(below(directory.path))
            self.found[directory.path] = directory._replace(problem=f"corrupt: {exc}")
            return
        self._know(_listed([directory.path, *there, *missing]))
        self.found[directory.path] = directory
        self._take_named(directory.path, [*there, *missing])

    def _look_by_slicer(self, root: str) -> None:
        """The files that the desktop Slicer's DICOM database lists."""
        listed = [shown_path(path) for path in ctk.listed_files(file_path(root))]
        self._know(_listed(listed))
        self._take_named(root, listed)

    def _take_named(self, by: str, paths: list[str]) -> None:
        """Files that another file names, of which some may not be there."""
        for path in paths:
            real = file_path(path)
            try:
                self._take([found_file(real, os.stat(real))])
            except OSError as exc:
                missing = isinstance(exc, FileNotFoundError | NotADirectoryError)
                reason = "but not there" if missing else f"not readable: {exc.strerror or exc}"
                self.skipped.append(Skipped(path=path, reason=f"named in {by!r}, {reason}"))


def roots_of(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The given paths, absolute, as the index holds paths; each once.

    Raises:
        ArgumentError: there is none.
        PathNotFoundError: there is no such file or folder, also not in an archive.
    """
    roots = []
    for given in paths:
        path = shown_path(os.path.abspath(os.path.expanduser(os.fspath(given))))
        if not _exists(path):
            raise PathNotFoundError(
                f"There is no file or folder {path!r}.",
                expected="an existing path on the machine where Slicer runs",
                details={"path": path},
            )
        roots.append(path)
    if not roots:
        raise ArgumentError("There is nothing to index.", expected="files or folders", got="none")
    return list(dict.fromkeys(roots))


def _exists(path: str) -> bool:
    archive = archive_of(path)
    if archive is None:
        return os.path.exists(file_path(path))
    try:
        return any(member.path == path or member.path.startswith(path + "/") for member in members(archive[0]))
    except OSError:
        return False


def below(root: str) -> Scope:
    """The path itself, and all below it or in it, as a range, so that the index of paths serves it."""
    folder, parameters = _range(root.rstrip(os.sep) + os.sep)
    sql = f"(path = ? OR {folder}"
    parameters = [root, *parameters]
    if not os.path.isdir(file_path(root)):
        inside, more = _range(root + SEPARATOR)
        sql, parameters = f"{sql} OR {inside}", parameters + more
    return sql + ")", parameters


def _range(prefix: str) -> Scope:
    return "(path >= ? AND path < ?)", [prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)]


def _listed(paths: list[str]) -> Scope:
    return "path IN (SELECT value FROM json_each(?))", [json.dumps(paths)]


def _head(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def _state(path: str) -> tuple[int, int] | None:
    """Size and time of a file; None when it is gone."""
    try:
        return status(path)
    except FileNotFoundError:
        return None
    except OSError:
        # There, and not to be read: the reader will say why.
        return (-1, -1)
