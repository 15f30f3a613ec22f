"""What arrives becomes files and lines of the index: written aside, checked, fsynced, renamed; a few threads do that.

Files lie at ``folder/STUDY/SERIES/INSTANCE.dcm``. What is not whole is aside (`aside`) and in no index; what a process
left there when it was killed is removed by the next one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import StorageError
from slicer_notebook.pacs.aside import Aside, write_all
from slicer_notebook.pacs.batches import Batches, Given
from slicer_notebook.pacs.disk import Disk
from slicer_notebook.pacs.whole import looked_at
from slicer_notebook.pacs.writer import Writer

__all__ = ["Arrivals", "Refused", "free_bytes", "instance_path", "study_folder"]

#: Bytes of an instance that are kept in memory; what is longer goes to the disk as it comes.
SPILL: Final = 8 << 20
#: Threads that write: while one waits for the disk, another one works.
WRITERS: Final = 2
#: A file that another process has written is read at once up to so many bytes, and else where it has to be.
_READ_WHOLE: Final = 128 << 10
#: Bytes of the disk that are left free.
RESERVE: Final = 256 << 20
#: Seconds after which what arrived goes into the index.
EVERY: Final = 0.5
#: The index may take this part of the time.
_INDEX_SHARE: Final = 0.1
#: Looks at the disk's free space are this many bytes apart.
_LOOK_EVERY: Final = 64 << 20
_UID: Final = re.compile(r"[0-9.]{1,64}")
_READ_AND_SYNC: Final = os.O_RDWR | getattr(os, "O_BINARY", 0)

#: Why an instance is not kept that this program cannot deal with.
_OURS: Final = "an error of this program; its log says more"

_log = logging.getLogger(__name__)

Refused = Callable[[Instance], str | None]
"""Why an instance is not wanted, in words; None if it is."""


def free_bytes(folder: Path) -> int:
    """Bytes free on the disk of a folder, or of the folder in which it will be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _name(uid: str) -> str:
    """A UID as the name of a file; of what is no UID (PS3.5 9.1) only a hash, for it may be a path."""
    if _UID.fullmatch(uid) and uid.strip("."):
        return uid
    return "no-uid-" + hashlib.sha256(uid.encode("utf-8", "replace")).hexdigest()[:32]


def study_folder(folder: Path, study: str) -> Path:
    """Where the files of a study go."""
    return folder / _name(study)


def instance_path(folder: Path, instance: Instance) -> Path:
    """Where an instance belongs."""
    study, series = _name(instance.StudyInstanceUID), _name(instance.SeriesInstanceUID)
    return folder / study / series / f"{_name(instance.SOPInstanceUID)}.dcm"


class _Part:
    """See `model.Part`."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._buffer = bytearray()
        self._path = ""
        self._file = -1
        self._size = 0
        self._open = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._buffer += data
        if len(self._buffer) > SPILL:
            self._spill()

    def _spill(self) -> None:
        self._arrivals.check()
        try:
            if self._file < 0:
                self._path, self._file = self._arrivals.aside()
            write_all(self._file, self._buffer)
        except OSError as exc:
            raise self._arrivals.fail(exc) from exc
        self._size += len(self._buffer)
        self._arrivals.count_bytes(len(self._buffer))
        self._buffer = bytearray()

    def done(self) -> None:
        if not self._open:
            return
        if self._file >= 0 and self._buffer:
            self._spill()
        self._arrivals.put(Given(self._path, self._file, self._buffer, self._size or len(self._buffer)))
        self._open = False
        self._buffer = bytearray()

    def discard(self) -> None:
        if self._open:
            self._open = False
            self._buffer = bytearray()
            if self._file >= 0:
                os.close(self._file)
                _remove(self._path)


class _Written:
    """An instance that is aside, while it is looked at."""

    def __init__(self, given: Given) -> None:
        self.path = given.path
        self.file = given.file
        self.instance: Instance | None = None
        #: why it is not taken
        self.problem: str | None = None
        #: it is where it belongs
        self.placed = False

    def close(self) -> None:
        """The handle is no longer needed."""
        if self.file >= 0:
            file, self.file = self.file, -1
            os.close(file)

    def remove(self) -> None:
        """It is not taken."""
        self.close()
        if self.path and not self.placed:
            _remove(self.path)


def _is_there(path: str, instance: Instance | None) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return instance is not None and (found.st_size, found.st_mtime_ns) == (instance.size, instance.mtime_ns)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


class Arrivals:
    """A `Sink` for one transfer. `close` it: what has arrived is then in the index.

    Args:
        folder: where files go.
        index: what they are put into; None for none.
        refused: asked of each instance that came whole.
        arrived: told of instances once they are on the disk and in the index; on any thread.
        dropped: told what was not taken, and why: SOP Instance UID ("" if unknown), reason; on any thread.

    Raises:
        StorageError: the folder cannot be made or written.
    """

    def __init__(
        self,
        folder: Path,
        index: Index | None,
        *,
        refused: Refused,
        arrived: Callable[[list[Instance]], None],
        dropped: Callable[[str, str], None],
    ) -> None:
        self.folder = folder
        self._index = index
        self._refused = refused
        self._arrived = arrived
        self._dropped = dropped
        self._lock = threading.Condition()
        self._index_lock = threading.Lock()
        self._error: StorageError | None = None
        self._batches = Batches(self.check)
        self._rows: list[Instance] = []
        self._folders: dict[tuple[str, str], str] = {}
        #: folders with new names in them
        self._unsynced: set[str] = set()
        self._since_look = 0
        self._closing = self._closed = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._look_at_the_disk()
            self._aside = Aside(folder)
            self._writer = Writer(self._aside.path)
            disks = [Disk(folder) for _ in range(WRITERS)]
        except OSError as exc:
            raise self.fail(exc) from exc
        self._threads = [
            threading.Thread(target=self._write, args=(disk,), name="pacs-write", daemon=True) for disk in disks
        ]
        self._threads.append(threading.Thread(target=self._indexing, name="pacs-index", daemon=True))
        for thread in self._threads:
            thread.start()

    # -- as a sink -----------------------------------------------------------------------------------------------

    def open(self) -> _Part:
        """See `Sink.open`."""
        self.check()
        return _Part(self)

    def check(self) -> None:
        """Raises `StorageError` once nothing more can be kept."""
        if self._error is not None:
            # Raised by many threads, it would grow with each.
            raise self._error.with_traceback(None)

    def aside(self) -> tuple[str, int]:
        """A new file that is in no index, open for writing. Raises OSError."""
        return self._aside.new()

    def put(self, given: Given) -> None:
        """An instance that came to its end, in memory or aside; waits while too much is not written yet.

        Raises:
            StorageError: nothing more can be kept; the instance is still the caller's.
        """
        self._batches.put(given)

    def folder_aside(self) -> Path:
        """See `FolderSink.folder_aside`."""
        return self._aside.path

    def adopt(self, path: Path, size: int, instance: Instance | None = None) -> None:
        """See `FolderSink.adopt`."""
        try:
            self.put(Given(str(path), -1, bytearray(), size, instance))
        except StorageError:
            _remove(str(path))
            raise

    def fail(self, cause: OSError) -> StorageError:
        """Nothing more can be kept: the error, which everyone gets from now on."""
        with self._lock:
            if self._error is None:
                self._error = StorageError(
                    f"What arrives cannot be kept in {str(self.folder)!r}.",
                    expected="a folder that can be written, on a disk with room",
                    got=cause.strerror or str(cause),
                    hint="Make room, or name another folder. What has arrived is kept: the next try goes on from it.",
                )
        self._batches.stop()
        return self._error

    def count_bytes(self, count: int) -> None:
        """So many bytes went to the disk: is there room for more? Raises `StorageError` if there is not."""
        self._since_look += count
        if self._since_look > _LOOK_EVERY:
            self._since_look = 0
            try:
                self._look_at_the_disk()
            except OSError as exc:
                raise self.fail(exc) from exc

    def _look_at_the_disk(self) -> None:
        if free_bytes(self.folder) < RESERVE:
            raise OSError(errno.ENOSPC, f"less than {RESERVE >> 20} MiB are free on its disk")

    # -- writing -------------------------------------------------------------------------------------------------

    def _write(self, disk: Disk) -> None:
        while batch := self._batches.take():
            try:
                self._keep([each for _, each in batch], disk)
            except StorageError:
                pass  # everyone knows already
            except OSError as exc:
                self.fail(exc)
            # A thread that ends here would be missed: whoever waits would wait for ever.
            except Exception:  # noqa: BLE001
                _log.exception("Instances that arrived were not kept.")
                self._dropped("", _OURS)
            finally:
                self._batches.done(batch)
        disk.close()

    def _keep(self, given: list[Given], disk: Disk) -> None:
        written = [_Written(each) for each in given]
        at_once = disk.all_at_once(len(given), sum(item.size for item in given))
        # All of what is put aside by another process, which renames it, too.
        by_another: list[_Written] = []
        try:
            if at_once and any(item.data for item in given) and self._writer.ready():
                by_another = self._write_elsewhere(written, given)
            for each, item in zip(written, given, strict=True):
                if each.path == item.path and each.problem is None:
                    if not (at_once and item.instance is not None):
                        self._put_aside(each, item, disk)
                    self._look_at(each, item)
                    self._judge(each)
            self.check()
            if at_once:
                disk.sync_all()
            else:
                disk.sync(each.file for each in written if each.problem is None)
            for each in written:
                each.close()
            self._rename_elsewhere([each for each in by_another if each.problem is None])
            for each in written:
                self._take(each)
        except BaseException:
            for each in written:
                each.remove()
            raise

    def _write_elsewhere(self, written: list[_Written], given: list[Given]) -> list[_Written]:
        """Those that another process has put aside, of what is in memory."""
        several = [(each, item) for each, item in zip(written, given, strict=True) if item.data and not item.path]
        reads = self._writer.reads
        if not reads:
            several = [(each, item) for each, item in several if self._look_in_memory(each, item)]
        files = self._writer.write([item.data for _, item in several], read=reads)
        if files is None:
            return []
        for (each, _), file in zip(several, files, strict=True):
            each.path = file.path
            if reads:
                each.instance, each.problem = file.instance, file.problem
                self._judge(each)
            elif each.instance is not None:
                each.instance.mtime_ns = file.mtime_ns
        self.count_bytes(sum(item.size for _, item in several))
        return [each for each, _ in several]

    def _look_in_memory(self, written: _Written, given: Given) -> bool:
        """Whether it is wanted, before it is anywhere. Files of odd forms have to be there to be read."""
        instance, problem = self._looked_at("", given.data, given.size, 0)
        if instance is None:
            return False
        written.instance, written.problem = instance, problem
        self._judge(written)
        return written.problem is None

    def _put_aside(self, written: _Written, given: Given, disk: Disk) -> None:
        if not written.path:
            written.path, written.file = self.aside()
            write_all(written.file, given.data)
        elif written.file < 0:
            written.file = os.open(written.path, _READ_AND_SYNC)
        else:
            return
        self.count_bytes(given.size)
        disk.begin(written.file, given.size)

    def _look_at(self, written: _Written, given: Given) -> None:
        written.instance = given.instance
        if written.instance is None:
            mtime_ns = os.fstat(written.file).st_mtime_ns
            data: bytes | bytearray = given.data
            if not data and given.size <= _READ_WHOLE:
                data = os.pread(written.file, given.size, 0)
            written.instance, written.problem = self._looked_at(written.path, data, given.size, mtime_ns)

    @staticmethod
    def _looked_at(path: str, data: bytes | bytearray, size: int, mtime_ns: int) -> tuple[Instance | None, str | None]:
        try:
            return looked_at(path, data, size, mtime_ns)
        except OSError:
            raise
        # The others that are written with it have done nothing.
        except Exception:  # noqa: BLE001
            _log.exception("An instance that arrived was not kept.")
            return None, _OURS

    def _judge(self, written: _Written) -> None:
        """Whether it is wanted."""
        if written.instance is None or written.problem is not None:
            return
        try:
            written.problem = self._refused(written.instance)
        except OSError:
            raise
        except Exception:  # noqa: BLE001
            _log.exception("An instance that arrived was not kept.")
            written.problem = _OURS

    def _take(self, written: _Written) -> None:
        instance = written.instance
        if instance is None or written.problem is not None:
            written.remove()
            uid = instance.SOPInstanceUID if instance is not None else ""
            self._dropped(uid, written.problem or "it cannot be read")
            return
        path = written.path
        if not written.placed:
            path = self._path_of(instance)
            try:
                os.replace(written.path, path)
            except FileNotFoundError:
                # Somebody has removed the series' folder meanwhile.
                self._folders.clear()
                path = self._path_of(instance)
                os.replace(written.path, path)
        written.path, instance.path = "", path
        with self._lock:
            self._rows.append(instance)

    def _rename_elsewhere(self, written: list[_Written]) -> None:
        """As far as that goes; `_take` does the rest."""
        wanted = [(each, self._path_of(each.instance)) for each in written if each.instance is not None]
        if wanted:
            done = self._writer.rename([(each.path, path) for each, path in wanted])
            for (each, path), well in zip(wanted, done, strict=True):
                # One that was killed may have done it, and not said so.
                if well or (not os.path.exists(each.path) and _is_there(path, each.instance)):
                    each.path, each.placed = path, True

    def _path_of(self, instance: Instance) -> str:
        return f"{self._folder_of(instance)}{os.sep}{_name(instance.SOPInstanceUID)}.dcm"

    def _folder_of(self, instance: Instance) -> str:
        """The folder of a series, which is there."""
        key = instance.StudyInstanceUID, instance.SeriesInstanceUID
        found = self._folders.get(key)
        if found is None:
            folder = instance_path(self.folder, instance).parent
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._folders[key] = str(folder)
            with self._lock:
                self._unsynced |= {str(self.folder), str(folder.parent)}
        return found

    # -- indexing ------------------------------------------------------------------------------------------------

    def _indexing(self) -> None:
        took = 0.0
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._closing, max(EVERY, took / _INDEX_SHARE))
                closing = self._closing
            began = time.monotonic()
            self._index_now()
            took = time.monotonic() - began
            if closing:
                return

    def _index_now(self) -> None:
        """All that is written goes into the index; when this returns, it is there (also what another thread took)."""
        with self._index_lock:
            with self._lock:
                rows, self._rows = self._rows, []
                folders, self._unsynced = self._unsynced, set()
            if rows:
                self._into_index(rows, folders)

    def _into_index(self, rows: list[Instance], folders: set[str]) -> None:
        # What came twice is one file.
        rows = list({row.path: row for row in rows}.values())
        try:
            for folder in sorted(folders | {os.path.dirname(row.path) for row in rows}):
                _sync_folder(folder)
            if self._index is not None:
                self._index.put(rows)
            self._arrived(rows)
        except OSError as exc:
            self.fail(exc)
        # Whatever it is (a locked or damaged index): the files are there, and the transfer must say so and end.
        except Exception as exc:  # noqa: BLE001
            _log.exception("What arrived is not in the index.")
            self.fail(OSError(getattr(exc, "message", str(exc))))

    def flush(self) -> None:
        """Wait until all that was given so far is written and in the index, or cannot be.

        Raises:
            StorageError: it cannot be.
        """
        with contextlib.suppress(StorageError):  # what is written goes into the index all the same
            self._batches.flush()
        self._index_now()
        self.check()

    def close(self) -> None:
        """End. What was given is written and indexed first, unless it cannot be; nothing is left aside."""
        if self._closed:
            return
        self._closed = True
        self._batches.close()
        for thread in self._threads[:WRITERS]:
            thread.join()
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        self._threads[-1].join()
        self._writer.close()
        self._aside.close()


def _sync_folder(folder: str) -> None:
    """The names in a folder are on the disk, too (POSIX)."""
    with contextlib.suppress(PermissionError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
