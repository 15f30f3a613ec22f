"""Arrays between processes of one machine: one copy in, none out.

The writer owns *segments*: anonymous files in memory (``memfd_create``, Linux), which the reader opens through
``/proc/<pid>/fd``. Nothing has a name in a file system, so a killed process leaves nothing behind. Where there is no
``memfd_create`` (macOS, Windows), a segment is a file in the temporary folder, readable by this user only and removed by its
writer.

A stored array holds a *lease* on its segment until the reader's last view of it is gone; then the segment is used
again for another array. Reused segments are already mapped and backed by pages, which is what makes the second transfer
run at the speed of ``numpy.copyto`` (a fresh page costs more than copying into it).
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import sys
import tempfile
import threading
import uuid
import weakref
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from slicer_notebook import errors
from slicer_notebook.protocol.values import Array, ArrayHeader, SegmentRef, check_array

_HAS_MEMFD: Final = hasattr(os, "memfd_create") and sys.platform == "linux"

#: Segments are whole pages of this size: sizes that differ a little share a segment. 2 MiB is a huge page on x86-64.
GRANULE: Final = 2 * 1024 * 1024

#: Bytes of unused segments that a pool keeps for the next array.
KEEP_FREE: Final = 1 << 30

#: Copies into mapped memory from this size on are split over two threads, bytes; below, a thread costs more.
_SPLIT_FROM: Final = 8 * 1024 * 1024


def machine_id() -> str:
    """Names this machine since its last boot, and its process namespace; equal on both ends means shared memory can work."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                boot = file.read().strip()
            return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    return f"node-{uuid.getnode():x}"


def _copy(target: Array, source: Array) -> None:
    """``numpy.copyto``, on two threads when it pays (copyto lets go of the GIL)."""
    if source.nbytes < _SPLIT_FROM or source.ndim == 0 or source.shape[0] < 2 or (os.cpu_count() or 1) < 2:
        np.copyto(target, source)
        return
    half = source.shape[0] // 2
    worker = threading.Thread(target=np.copyto, args=(target[:half], source[:half]), name="slicer-notebook-copy")
    worker.start()
    np.copyto(target[half:], source[half:])
    worker.join()


class _Segment:
    """One piece of shared memory that this process writes."""

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.path: str | None = None
        if _HAS_MEMFD:
            self.fd = os.memfd_create(f"slicer-notebook-{number}", os.MFD_CLOEXEC)
            self.name = f"memfd:{self.fd}"
        else:
            self.fd, self.path = tempfile.mkstemp(prefix="slicer-notebook-", suffix=".shm")
            self.name = f"file:{self.path}"
        try:
            os.ftruncate(self.fd, size)
        except OSError:
            self.close()
            raise
        self.map: mmap.mmap | None = None
        self.warm = 0
        """Bytes from the start that have pages behind them."""

    def write(self, array: Array) -> None:
        """The one copy. Fresh pages are filled by ``pwrite``, warm ones through the mapping: each the quicker way."""
        if array.nbytes == 0:
            return
        if self.warm < array.nbytes and array.flags.c_contiguous and _HAS_MEMFD:
            view = memoryview(array).cast("B")
            done = 0
            while done < len(view):
                done += os.pwrite(self.fd, view[done:], done)
        else:
            target = np.frombuffer(self.mapping(), dtype=array.dtype, count=array.size).reshape(array.shape)
            _copy(target, array)
        self.warm = max(self.warm, array.nbytes)

    def mapping(self) -> mmap.mmap:
        if self.map is None:
            self.map = mmap.mmap(self.fd, self.size)
        return self.map

    def close(self) -> None:
        # A view that is still alive keeps its own mapping; only our handle goes.
        self.map = None
        with contextlib.suppress(OSError):
            os.close(self.fd)
        if self.path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.path)


class SegmentPool:
    """The segments that this process writes for one peer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._leases: dict[int, _Segment] = {}
        self._free: list[_Segment] = []
        self._closed = False

    def store(self, array: Array) -> ArrayHeader:
        """Copy ``array`` into a segment and lease it.

        Raises:
            ArrayError: a dtype that cannot be sent.
            OSError: the machine is out of shared memory.
        """
        check_array(array)
        with self._lock:
            segment = self._take(max(array.nbytes, 1))
            lease = next(self._numbers)
            self._leases[lease] = segment
        try:
            segment.write(array)
        except BaseException:
            self.release(lease)
            raise
        return ArrayHeader(
            dtype=array.dtype.str,
            shape=array.shape,
            segment=SegmentRef(os.getpid(), segment.number, segment.name, segment.size, lease),
        )

    def _take(self, nbytes: int) -> _Segment:
        fitting = [s for s in self._free if nbytes <= s.size <= max(4 * nbytes, GRANULE)]
        if fitting:
            # Prefer pages that exist already, then the tightest fit.
            best = min(fitting, key=lambda s: (s.warm < nbytes, s.size))
            self._free.remove(best)
            return best
        return _Segment(next(self._numbers), -(-nbytes // GRANULE) * GRANULE)

    def warm(self, nbytes: int) -> None:
        """Make a free segment of ``nbytes`` with pages behind it, unless there is one; for a quiet moment."""
        with self._lock:
            if self._closed or any(s.size >= nbytes and s.warm >= nbytes for s in self._free):
                return
            segment = self._take(nbytes)
        if segment.warm < nbytes:
            zeros = bytes(GRANULE)
            for offset in range(0, segment.size, GRANULE):
                os.pwrite(segment.fd, zeros, offset)
            segment.mapping()
            segment.warm = segment.size
        with self._lock:
            self._give_back(segment)

    def release(self, lease: int) -> None:
        """The peer no longer looks at this lease; unknown ones are ignored (it may have been told twice)."""
        with self._lock:
            segment = self._leases.pop(lease, None)
            if segment is not None:
                self._give_back(segment)

    def _give_back(self, segment: _Segment) -> None:
        if self._closed:
            segment.close()
            return
        self._free.append(segment)
        while len(self._free) > 1 and sum(s.size for s in self._free) > KEEP_FREE:
            self._free.pop(0).close()

    @property
    def leased(self) -> int:
        """Number of leases that the peer holds."""
        return len(self._leases)

    def close(self) -> None:
        """Give everything back; what the peer still looks at stays with the peer."""
        with self._lock:
            self._closed = True
            for segment in [*self._free, *self._leases.values()]:
                segment.close()
            self._free.clear()
            self._leases.clear()


def _open(name: str, pid: int) -> int:
    kind, _, where = name.partition(":")
    if kind == "memfd":
        return os.open(f"/proc/{pid}/fd/{int(where)}", os.O_RDWR | os.O_CLOEXEC)
    if kind == "file":
        return os.open(where, os.O_RDWR)
    raise errors.ProtocolError("Unknown kind of shared memory.", expected="memfd or file", got=kind)


class SegmentReader:
    """The peer's segments, mapped here.

    Args:
        released: called with a lease's number when the last view of it is gone. It is called by the garbage
            collector, on any thread: it may only note the number.
    """

    def __init__(self, released: Callable[[int], None]) -> None:
        self._released = released
        self._maps: dict[tuple[int, int], mmap.mmap] = {}
        self._lock = threading.Lock()

    def fetch(self, header: ArrayHeader) -> Array:
        """A writable view of the array; no copy.

        Raises:
            ProtocolError: the segment cannot be opened or is too small.
        """
        ref = header.segment
        if ref is None:
            raise errors.ProtocolError("An array without a segment came.", expected="a segment", got="none")
        dtype = np.dtype(header.dtype)
        count = int(np.prod(header.shape, dtype=np.int64))
        if ref.size < header.offset + count * dtype.itemsize:
            raise errors.ProtocolError(
                "A shared-memory segment is smaller than its array.",
                expected=f"{count * dtype.itemsize} bytes",
                got=f"{ref.size} bytes",
            )
        key = (ref.pid, ref.segment)
        with self._lock:
            mapped = self._maps.get(key)
            if mapped is None:
                mapped = self._maps[key] = self._map(ref)
        # The lease ends with this object, which every view of the array keeps alive as its base.
        owner = np.frombuffer(mapped, dtype=dtype, count=count, offset=header.offset)
        weakref.finalize(owner, self._released, ref.lease).atexit = False
        return owner.reshape(header.shape)

    def _map(self, ref: SegmentRef) -> mmap.mmap:
        try:
            fd = _open(ref.name, ref.pid)
        except OSError as exc:
            raise errors.ProtocolError(
                "The peer's shared memory cannot be opened.", got=str(exc), hint="connect with shared_memory=False"
            ) from exc
        try:
            return mmap.mmap(fd, ref.size)
        finally:
            os.close(fd)

    def forget_except(self, pid: int) -> None:
        """Drop the maps of other processes (after a restart of the peer)."""
        with self._lock:
            for key in [k for k in self._maps if k[0] != pid]:
                del self._maps[key]

    def close(self) -> None:
        """Drop all maps; views that are still alive keep theirs."""
        with self._lock:
            self._maps.clear()


def probe_array() -> Array:
    """16 random bytes, to find out whether the peer can read our shared memory."""
    return np.frombuffer(os.urandom(16), dtype=np.uint8).copy()


def same(one: Any, other: Any) -> bool:
    """Whether two probe arrays hold the same bytes."""
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other)
