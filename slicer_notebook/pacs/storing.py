"""Sending files to a PACS: what is sent, and of each whether it was taken, and whether the PACS will keep it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from slicer_notebook.dicom.index import Index
from slicer_notebook.errors import (
    ArgumentError,
    InputError,
    JobCancelledError,
    NotDicomError,
    PacsError,
    PacsRefusedError,
    PathNotFoundError,
    error_in_words,
)
from slicer_notebook.pacs.model import Cancelled, Source
from slicer_notebook.pacs.patience import PAUSES, away, rest
from slicer_notebook.pacs.server import Server
from slicer_notebook.pacs.threads import thread

__all__ = ["Sending", "Stored", "StoredFile", "ToSend", "files_of", "plain_paths"]

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+){2,}")
#: Media Storage Directory Storage: a DICOMDIR says what is in a folder, and is no instance (PS3.10 8.6).
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
#: Connections in a row that brought nothing, before the rest is given up.
_TRIES: Final = 4


class ToSend(NamedTuple):
    """A file to be sent."""

    path: str
    #: found in a folder: it is passed over if it is no DICOM
    found: bool = False


class StoredFile(msgspec.Struct, kw_only=True):
    """What became of one file.

    Attributes:
        error: empty where it was taken, else message, hint and kind.
        skipped: whether it was passed over: a file in a folder that is no DICOM instance.
        committed: whether the PACS has committed itself to keeping it (PS3.4 annex J); None where it was not asked.
        uncommitted: why not, in words; empty else.
    """

    path: str
    error: dict[str, str] = {}
    skipped: bool = False
    committed: bool | None = None
    uncommitted: str = ""


class Stored(msgspec.Struct, kw_only=True):
    """What became of files that were sent, in their order; of ``count`` in all.

    Attributes:
        awaiting: whether the PACS is still to say which of them it will keep.
    """

    server: str
    files: list[StoredFile] = []
    count: int = 0
    awaiting: bool = False

    @property
    def complete(self) -> bool:
        """Whether all were taken that are DICOM, and at least one; and committed, where the PACS was asked for that."""
        done = len(self.files) == self.count and not self.awaiting
        return done and not self.failed and not self.uncommitted and bool(self.taken)

    @property
    def taken(self) -> list[StoredFile]:
        """Those that were."""
        return [each for each in self.files if not each.error]

    @property
    def failed(self) -> list[StoredFile]:
        """Those that were not, though they should have been."""
        return [each for each in self.files if each.error and not each.skipped]

    @property
    def skipped(self) -> list[StoredFile]:
        """Those that were passed over."""
        return [each for each in self.files if each.skipped]

    @property
    def committed(self) -> list[StoredFile]:
        """Those that the PACS has committed itself to keeping."""
        return [each for each in self.files if each.committed]

    @property
    def uncommitted(self) -> list[StoredFile]:
        """Those that it was asked to commit itself to, and has not."""
        return [each for each in self.files if each.committed is False]

    def __repr__(self) -> str:
        asked = len(self.committed) + len(self.uncommitted)
        committed = f", {len(self.committed)} committed" if asked else ""
        return f"<Stored at {self.server!r}: {len(self.taken)} of {self.count - len(self.skipped)} files{committed}>"


def plain_paths(given: Iterable[str | Path]) -> list[str]:
    """What is to be sent, for another process: UIDs as they are, paths absolute."""
    texts = [(each, os.fspath(each)) for each in given]
    return [text if _is_uid(each) else os.path.abspath(os.path.expanduser(text)) for each, text in texts]


def _is_uid(given: str | Path) -> bool:
    """Whether it is a UID, and not the name of a file."""
    return isinstance(given, str) and _UID.fullmatch(given) is not None and not os.path.exists(given)


def files_of(given: Iterable[str | Path], index: Index) -> list[ToSend]:
    """Files: those given, those in folders that are given, those of series and studies by UID; each once.

    Raises:
        ArgumentError: none.
        PathNotFoundError: no such file or folder.
        UidNotFoundError: no such series or study in the index.
    """
    found: dict[str, ToSend] = {}
    for each in given:
        text = os.fspath(each)
        if _is_uid(each):
            found.update((path, ToSend(path)) for path in _indexed(text, index))
            continue
        path = os.path.abspath(os.path.expanduser(text))
        if os.path.isdir(path):
            for below in _below(path):
                found.setdefault(below, ToSend(below, found=True))
        elif os.path.isfile(path):
            found[path] = ToSend(path)
        else:
            raise PathNotFoundError("There is no such file or folder.", expected="a path or a UID", got=repr(text))
    if not found:
        raise ArgumentError("Send what?", expected="files, folders, or UIDs of the index", got="none")
    return list(found.values())


def _below(folder: str) -> Iterable[str]:
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for path in (os.path.join(place, name) for name in sorted(names)) if os.path.isfile(path))


def _indexed(uid: str, index: Index) -> list[str]:
    series = index.series(StudyInstanceUID=uid) or index.series(SeriesInstanceUID=uid)
    if not series:
        index.series(uid)  # raises, with what to do
    return [instance.path for each in series for instance in index.instances(each)]


class Sending:
    """Files on their way to a PACS: made, then `run` once.

    Args:
        source: takes them.
        server: of which PACS.
        files: what is sent.
        commit: ask the PACS to commit itself to keeping what it has taken; None: where it offers that.
        commit_timeout: seconds to wait for its answers; by default as configured.

    Raises:
        ArgumentError: ``commit`` where there is no such thing, or no time for it.
    """

    def __init__(
        self,
        source: Source,
        server: Server,
        files: Sequence[ToSend],
        *,
        commit: bool | None = False,
        commit_timeout: float | None = None,
    ) -> None:
        self._source = source
        self._server = server
        self._files = {each.path: each for each in files}
        self._commit = commit
        self._commit_timeout = server.commit_timeout if commit_timeout is None else commit_timeout
        if not 0 < self._commit_timeout < float("inf"):
            raise ArgumentError("commit_timeout, in seconds.", expected="more than 0", got=f"{self._commit_timeout:g}")
        self._ask_to_commit: Callable[..., None] | None = (
            getattr(source, "commit", None) if commit is not False else None
        )
        if commit and self._ask_to_commit is None:
            raise ArgumentError(
                f"{server.name!r} cannot be asked for storage commitment.",
                expected="a PACS with a dimse:// address (PS3.4 annex J)",
                got=f"one that is spoken to by {'Kheops' if server.kind == 'kheops' else 'DICOMweb'}",
                hint="commit=None asks only where that is offered.",
            )
        self._awaiting = self._ask_to_commit is not None
        #: SOP Class and Instance UID of each file that can be sent
        self._instances: dict[str, tuple[str, str]] = {}
        self._done: dict[str, StoredFile] = {}
        self._lock = threading.Lock()
        self._changed: Callable[[], None] = lambda: None

    def snapshot(self) -> Stored:
        """How far it is. On any thread."""
        with self._lock:
            files = [self._done[path] for path in self._files if path in self._done]
            awaiting = self._awaiting
        return Stored(server=self._server.name, files=files, count=len(self._files), awaiting=awaiting)

    def run(self, cancelled: Cancelled, changed: Callable[[], None]) -> Stored:
        """Send them; one that fails does not keep the others from being sent.

        Raises:
            JobCancelledError: ``cancelled`` said so; `snapshot` says what was taken.
        """
        self._changed = changed
        usable = [path for path in self._files if self._is_instance(path)]
        many = getattr(self._source, "store_many", None)
        if many is not None:
            self._by_association(many, usable, cancelled)
        else:
            self._one_by_one(usable, cancelled)
        if self._ask_to_commit is not None:
            self._commit_all(self._ask_to_commit, cancelled)
        return self.snapshot()

    def _told(self, path: str, error: Exception | None, *, skipped: bool = False) -> None:
        done = StoredFile(path=path, error=error_in_words(error) if error is not None else {}, skipped=skipped)
        with self._lock:
            self._done[path] = done
        self._changed()

    def _is_instance(self, path: str) -> bool:
        """Whether a file can be sent; what cannot is done with."""
        from slicer_notebook.pacs.dimse.store import read_meta

        error: Exception | None = None
        try:
            meta = read_meta(path)
            self._instances[path] = meta.sop_class, meta.sop_instance
            if meta.sop_class == _DIRECTORY:
                error = NotDicomError(
                    f"{path!r} is a DICOMDIR.", expected="instances", got="a list of them", hint="Send its folder."
                )
        except InputError as exc:
            error = exc
        if error is not None:
            self._told(path, error, skipped=self._files[path].found)
        return error is None

    def _by_association(self, many: Callable[..., Any], paths: Sequence[str], cancelled: Cancelled) -> None:
        """On few associations; where one is lost, the rest goes on another."""
        vain = 0
        while left := [path for path in paths if path not in self._done]:
            before = len(self._done)
            try:
                many(left, self._told, cancelled)
                error: Exception = PacsError("Nothing was said of it.")
            except (PacsError, InputError) as exc:
                error = exc
            vain = 0 if len(self._done) > before else vain + 1
            if vain >= _TRIES or not away(error):
                break
            rest(PAUSES[min(vain, len(PAUSES) - 1)], cancelled)
        for path in paths:
            if path not in self._done:
                self._told(path, error)

    def _one_by_one(self, paths: Sequence[str], cancelled: Cancelled) -> None:
        waiting = iter(paths)
        lock = threading.Lock()
        stopped: list[BaseException] = []

        def work() -> None:
            while not stopped:
                with lock:
                    path = next(waiting, None)
                if path is None:
                    return
                try:
                    self._store(path, cancelled)
                # Whatever it is, it ends all threads, and the caller gets it.
                except BaseException as exc:  # noqa: BLE001
                    stopped.append(exc)

        count = max(1, min(self._server.parallel, len(paths)))
        threads = [thread(work, "pacs-store") for _ in range(count)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        if stopped:
            raise stopped[0]

    def _store(self, path: str, cancelled: Cancelled) -> None:
        if cancelled():
            raise JobCancelledError("Sending was cancelled.")
        for pause in (*PAUSES[: _TRIES - 1], None):
            try:
                self._source.store(path, cancelled)
            except (PacsError, InputError) as exc:
                if pause is not None and away(exc):
                    rest(pause, cancelled)
                    continue
                self._told(path, exc)
            else:
                self._told(path, None)
            return

    # -- storage commitment --------------------------------------------------------------------------------------

    def _commit_all(self, ask: Callable[..., None], cancelled: Cancelled) -> None:
        """Ask whether the PACS will keep what it has taken, and wait for its answers."""
        paths: dict[str, list[str]] = {}
        classes: dict[str, str] = {}
        for each in self.snapshot().taken:
            sop_class, uid = self._instances[each.path]
            paths.setdefault(uid, []).append(each.path)
            classes[uid] = sop_class

        def told(uid: str, why: str) -> None:
            with self._lock:
                for path in paths.pop(uid, ()):
                    self._done[path] = msgspec.structs.replace(self._done[path], committed=not why, uncommitted=why)
            self._changed()

        def tell_all(why: str) -> None:
            for uid in list(paths):
                told(uid, why)

        instances = [(sop_class, uid) for uid, sop_class in classes.items()]
        try:
            for pause in (*PAUSES[: _TRIES - 1], None) if instances else ():
                try:
                    ask(instances, told, cancelled, self._commit_timeout)
                except PacsError as exc:
                    if pause is not None and away(exc):
                        rest(pause, cancelled)
                        continue
                    offered = not (isinstance(exc, PacsRefusedError) and exc.details.get("abstract"))
                    if self._commit or offered:
                        tell_all(exc.message + (f" ({exc.got})" if exc.got else ""))
                break
        except JobCancelledError:
            tell_all("it was cancelled before the PACS had answered")
            raise
        finally:
            with self._lock:
                self._awaiting = False
            self._changed()
