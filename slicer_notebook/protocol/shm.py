"""Arrays between processes of one machine: one copy in, none out.

The writer owns *segments*: anonymous files in memory (``memfd_create``, Linux), which the reader opens through
``/proc/<pid>/fd``. Nothing has a name in a file system, so a killed process leaves nothing behind. Where there is no
``memfd_create`` (macOS, Windows), a segment is a file in the temporary folder, readable by this user only and removed
by its writer.

A stored array holds a *lease* on its segment until the reader's last view of it is gone; then the segment is used
again for another array. Reused segments are already mapped and backed by pages, which is what makes the second transfer
run at the speed of ``numpy.copyto``. A new segment is backed by huge pages where Linux gives them, so that the first
transfer costs what a new numpy array costs (128 MiB: 31 ms, against 41 ms by ``pwrite`` into small pages, 86 ms by
copying into a new mapping, and 32 ms for ``copyto`` into a new array).
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import errno
import itertools
import mmap
import os
import sys
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from slicer_notebook import errors
from slicer_notebook.protocol.values import Array, ArrayHeader, SegmentRef, check_array, layout

_HAS_MEMFD: Final = hasattr(os, "memfd_create") and sys.platform == "linux"

#: A huge page of x86-64 and of arm64 with 4 KiB pages, bytes. Segments are whole huge pages: sizes that differ a little
#: share a segment.
HUGE: Final = 2 * 1024 * 1024

#: Bytes of unused segments that a pool keeps for the next array, and of segments that a reader keeps mapped.
KEEP_FREE: Final = 1 << 30

#: Seconds after which memory that nobody asked for again goes back to the machine: a loop over volumes uses its
#: segments again sooner, and a person who went on to something else misses nothing.
KEEP_SECONDS: Final = 30.0

#: Arrays from this size on are worth a new segment's huge pages, bytes: below, waiting for the kernel's lists of pages
#: to be drained, which ``MADV_COLLAPSE`` does first, takes longer than the small pages.
_HUGE_FROM: Final = 8 * 1024 * 1024

#: ``MADV_COLLAPSE`` of Linux 6.1 and later (include/uapi/asm-generic/mman-common.h). It gives shared memory huge pages
#: whatever /sys/kernel/mm/transparent_hugepage/shmem_enabled says (by default "never"), unless that is "deny".
_MADV_COLLAPSE: Final = 25


def machine_id() -> str:
    """Names this machine since its last boot, and its process namespace; shared memory needs the same on both ends."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                boot = file.read().strip()
            return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    return f"node-{uuid.getnode():x}"


class _Mapping:
    """A segment's file in this process's memory.

    Its huge pages can only be mapped as such at addresses that are multiples of `HUGE`. Python's ``mmap`` takes no
    address; but a map that begins later in the file, by as much as the first try was off, most often gets the place of
    the first try. For that, a segment has `HUGE` unused bytes, without memory behind them, before and after its data.
    """

    def __init__(self, fd: int, size: int, slack: int) -> None:
        self.size = size
        self.used = 0.0  # when it was asked for last, of time.monotonic()
        self.shift = 0
        self.map = mmap.mmap(fd, size - slack)
        for _ in range(2 if slack else 0):
            misfit = (self.address(0)) % HUGE
            if misfit == 0:
                break
            self.map.close()
            self.shift = (self.shift + misfit) % HUGE
            self.map = mmap.mmap(fd, size - slack, offset=self.shift)

    def address(self, offset: int) -> int:
        """Where the file's byte ``offset`` is in memory."""
        start: int = np.frombuffer(self.map, dtype=np.uint8).ctypes.data
        return start - self.shift + offset

    def array(self, dtype: np.dtype[Any], count: int, offset: int) -> Array:
        """``count`` elements from the file's byte ``offset`` on; keeps the map alive. `ValueError` outside of it."""
        if offset < self.shift:
            raise ValueError(f"byte {offset} of the segment is not mapped")
        return np.frombuffer(self.map, dtype=dtype, count=count, offset=offset - self.shift)


class _HugePages:
    """Whether this machine gives huge pages to shared memory: found out at the first try."""

    available = _HAS_MEMFD

    @classmethod
    def put(cls, fd: int, mapping: _Mapping, start: int, nbytes: int) -> bool:
        """Put huge pages behind bytes of a segment; False when not all of them could be had."""
        if not cls.available or mapping.address(start) % HUGE:
            return False
        end = start + -(-nbytes // HUGE) * HUGE
        for offset in range(start, end, HUGE):
            os.pwrite(fd, b"\0", offset)  # a range without any page is refused
        # Not mmap.madvise, which holds the GIL.
        if _libc().madvise(ctypes.c_void_p(mapping.address(start)), ctypes.c_size_t(end - start), _MADV_COLLAPSE) == 0:
            return True
        if ctypes.get_errno() == errno.EINVAL:
            cls.available = False  # an older kernel, or switched off
        return False


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


class _Segment:
    """One piece of shared memory that this process writes.

    Attributes:
        size: bytes that it can hold.
        start: where they begin in the file.
        length: bytes of the file.
        warm: bytes from the start that have pages behind them.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.start = HUGE if _HAS_MEMFD else 0
        self.length = size + 2 * self.start
        self.path: str | None = None
        if _HAS_MEMFD:
            self.fd = os.memfd_create(f"slicer-notebook-{number}", os.MFD_CLOEXEC)
            self.name = f"memfd:{self.fd}"
        else:
            self.fd, self.path = tempfile.mkstemp(prefix="slicer-notebook-", suffix=".shm")
            self.name = f"file:{self.path}"
        try:
            os.ftruncate(self.fd, self.length)
        except OSError:
            self.close()
            raise
        self.mapping: _Mapping | None = None
        self.warm = 0
        self.freed = 0.0  # when its last lease ended, of time.monotonic()

    def write(self, array: Array) -> None:
        """The one copy.

        Raises:
            OSError: the machine is out of memory.
        """
        if array.nbytes == 0:
            return
        if self.mapping is None:
            self.mapping = _Mapping(self.fd, self.length, self.start)
        if self.warm < array.nbytes and not self._warm_by_huge_pages(array.nbytes) and hasattr(os, "pwrite"):
            # New small pages: writing to the file is quicker than a page fault for each, and a full machine gives an
            # error instead of a SIGBUS.
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            done = 0
            while done < len(data):
                done += os.pwrite(self.fd, data[done:], self.start + done)
        else:
            np.copyto(self.mapping.array(array.dtype, array.size, self.start).reshape(array.shape), array)
        self.warm = max(self.warm, array.nbytes)

    def _warm_by_huge_pages(self, nbytes: int) -> bool:
        assert self.mapping is not None
        return nbytes >= _HUGE_FROM and _HugePages.put(self.fd, self.mapping, self.start, nbytes)

    def close(self) -> None:
        # A view that is still alive keeps its own mapping; only our handle goes.
        self.mapping = None
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
            segment=SegmentRef(os.getpid(), segment.number, segment.name, segment.length, lease),
            offset=segment.start,
        )

    def _take(self, nbytes: int) -> _Segment:
        fitting = [s for s in self._free if nbytes <= s.size <= max(4 * nbytes, HUGE)]
        if fitting:
            # Prefer pages that exist already, then the tightest fit.
            best = min(fitting, key=lambda s: (s.warm < nbytes, s.size))
            self._free.remove(best)
            return best
        return _Segment(next(self._numbers), -(-nbytes // HUGE) * HUGE)

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
        segment.freed = time.monotonic()
        self._free.append(segment)
        while len(self._free) > 1 and sum(s.size for s in self._free) > KEEP_FREE:
            self._free.pop(0).close()

    def trim(self, seconds: float = KEEP_SECONDS) -> None:
        """Give back the memory of segments that have been free for so long."""
        horizon = time.monotonic() - seconds
        with self._lock:
            for segment in [s for s in self._free if s.freed < horizon]:
                self._free.remove(segment)
                segment.close()

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
        self._maps: dict[tuple[int, int], _Mapping] = {}
        self._lock = threading.Lock()

    def fetch(self, header: ArrayHeader) -> Array:
        """A writable view of the array; no copy.

        Raises:
            ProtocolError: the segment cannot be opened or is too small.
        """
        ref = header.segment
        if ref is None:
            raise errors.ProtocolError("An array without a segment came.", expected="a segment", got="none")
        try:
            dtype, count = layout(header)
            if header.offset + count * dtype.itemsize > ref.size:
                raise ValueError(f"{header.dtype} {header.shape} at byte {header.offset} of {ref.size}")
            # The lease ends with this object, which every view of the array keeps alive as its base.
            owner = self._mapping(ref).array(dtype, count, header.offset)
            array = owner.reshape(header.shape)
        except (ValueError, TypeError, OverflowError) as exc:
            raise errors.ProtocolError(
                "An array does not fit its shared memory.", expected="dtype and shape within the segment", got=str(exc)
            ) from exc
        weakref.finalize(owner, self._released, ref.lease).atexit = False
        return array

    def _mapping(self, ref: SegmentRef) -> _Mapping:
        key = (ref.pid, ref.segment)
        with self._lock:
            found = self._maps.pop(key, None) or self._map(ref)
            self._maps[key] = found  # last in the dict: used last
            found.used = time.monotonic()
            # A map keeps the memory of a segment that its writer has given up. Views that are alive keep their map.
            while len(self._maps) > 1 and sum(m.size for m in self._maps.values()) > KEEP_FREE:
                del self._maps[next(iter(self._maps))]
        return found

    def _map(self, ref: SegmentRef) -> _Mapping:
        try:
            fd = _open(ref.name, ref.pid)
        except OSError as exc:
            raise errors.ProtocolError(
                "The peer's shared memory cannot be opened.", got=str(exc), hint="connect with shared_memory=False"
            ) from exc
        try:
            return _Mapping(fd, ref.size, HUGE if ref.name.startswith("memfd:") and ref.size > 2 * HUGE else 0)
        finally:
            os.close(fd)

    def trim(self, seconds: float = KEEP_SECONDS) -> None:
        """Drop the maps that were not asked for for so long: they keep memory that the writer may have given up."""
        horizon = time.monotonic() - seconds
        with self._lock:
            for key in [k for k, mapping in self._maps.items() if mapping.used < horizon]:
                del self._maps[key]

    def close(self) -> None:
        """Drop all maps; views that are still alive keep theirs."""
        with self._lock:
            self._maps.clear()


def take_all(released: collections.deque[int]) -> list[int]:
    """Empty a queue of leases that a `SegmentReader` noted; another thread may add to it meanwhile."""
    taken = []
    with contextlib.suppress(IndexError):
        while True:
            taken.append(released.popleft())
    return taken


def probe_array() -> Array:
    """16 random bytes, to find out whether the peer can read our shared memory."""
    return np.frombuffer(os.urandom(16), dtype=np.uint8).copy()


def same(one: Any, other: Any) -> bool:
    """Whether two probe arrays hold the same bytes."""
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other)
