"""Compressed frames: decoded in helper processes, where a decoder can do no harm.

Some of the C and C++ libraries behind them do not survive damaged files: GDCM ends the whole process on certain JPEG
streams. In Slicer's kernel that would take the scene along, so every codec runs in helper processes, which also uses
all cores. They are started when first needed, and stay for the next slice or thumbnail. Each keeps where the frames of
the last files lie, so that a thousand frames of a file are not a thousand searches.
"""

from __future__ import annotations

import atexit
import os
import re
import tempfile
import threading
import warnings
from collections import OrderedDict
from typing import Final

import msgspec
import numpy as np

from slicer_notebook.dicom.archives import status
from slicer_notebook.dicom.codecs import CodecError, Decoded, decode_frame
from slicer_notebook.dicom.fragments import Fragment, FragmentError, fragments_of_frames, read_frame
from slicer_notebook.dicom.processes import HelperProcess, can_start, cores, receive, send, serving_pipes
from slicer_notebook.dicom.sources import open_pixels
from slicer_notebook.dicom.unpack import Layout, LayoutError

__all__ = ["DecodeError", "decode"]

#: Seconds for a frame, and for each megabyte of its file besides, up to `_LONGEST_DEADLINE`; a slice takes some 30 ms,
#: a large mammogram a few seconds. Damaged JPEG 2000 can keep its decoder busy for ever.
_DEADLINE: Final = 10.0
_DEADLINE_PER_MB: Final = 2.0
_LONGEST_DEADLINE: Final = 120.0
_SERVE: Final = "slicer_notebook.dicom.decode:serve"
#: What libjpeg prints where it goes on with made-up pixels, and where it may have gone on well.
_MADE_UP: Final = re.compile(rb"Corrupt JPEG data: (premature end of data segment|bad Huffman code)")
_DOUBTFUL: Final = re.compile(rb"Corrupt JPEG data: [^\n]*")
#: Files whose frames' places a helper keeps.
_KEPT_FILES: Final = 8


class DecodeError(Exception):
    """Pixels that cannot be decoded. Never reaches a user: callers make a refusal of it.

    Attributes:
        truncated: the file ends before its pixels do, or lacks frames.
    """

    def __init__(self, message: str, *, truncated: bool = False) -> None:
        super().__init__(message)
        self.truncated = truncated


class _Request(msgspec.Struct, array_like=True):
    layout: Layout
    frame: int


class _Answer(msgspec.Struct, array_like=True):
    error: str | None = None
    truncated: bool = False
    dtype: str = ""
    shape: tuple[int, ...] = ()
    pixels: bytes = b""
    note: str = ""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_request: Final = msgspec.msgpack.Decoder(_Request).decode
_decode_answer: Final = msgspec.msgpack.Decoder(_Answer).decode


def decode(layout: Layout, frame: int = 0) -> Decoded:
    """Decode one frame of a file's encapsulated pixels.

    Args:
        frame: from 0.

    Returns:
        [rows, columns] of `unpack.dtype_of` the layout, or [rows, columns, 3] RGB; and what is to be said of it.

    Raises:
        DecodeError: the decoder failed, crashed, or took too long; or the fragments are not what is due.
        OSError: the file cannot be read.
    """
    if not can_start():
        return _decode_here(_Request(layout, frame))
    # A file that is not there is an OSError here, not the decoder's failure.
    status(layout.path)
    share = max(layout.size, 0) / layout.frames / 1e6
    answer = _POOL.ask(_Request(layout, frame), min(_DEADLINE + _DEADLINE_PER_MB * share, _LONGEST_DEADLINE))
    if answer.error is not None:
        raise DecodeError(answer.error, truncated=answer.truncated)
    return Decoded(np.frombuffer(answer.pixels, np.dtype(answer.dtype)).reshape(answer.shape), answer.note)


def _decode_here(request: _Request) -> Decoded:
    layout = request.layout
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return decode_frame(_PLACES.read(layout, request.frame), layout)
        except FragmentError as exc:
            raise DecodeError(str(exc), truncated=True) from exc
        except IndexError as exc:
            raise DecodeError(f"no frame {request.frame + 1} of {layout.frames}", truncated=True) from exc
        except (CodecError, LayoutError) as exc:
            raise DecodeError(str(exc)) from exc
        # Numpy's and pydicom's own complaints about damaged files, of many kinds.
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, EOFError) as exc:
            raise DecodeError(f"{type(exc).__name__}: {exc}") from exc


class _Places:
    """Where the frames of the last files lie."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int, int], list[list[Fragment]]] = OrderedDict()

    def read(self, layout: Layout, frame: int) -> bytes:
        """A frame's compressed bytes."""
        key = (layout.path, layout.size, layout.mtime_ns)
        with open_pixels(layout) as source:
            with self._lock:
                frames = self._known.pop(key, None)
                if frames is None:
                    frames = fragments_of_frames(source.file, source.offset, layout.frames)
                self._known[key] = frames
                while len(self._known) > _KEPT_FILES:
                    self._known.popitem(last=False)
            return read_frame(source.file, frames[frame])


_PLACES: Final = _Places()


class _Pool:
    """Helper processes that decode: one for each core at most, each for one caller at a time."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._idle: list[HelperProcess] = []
        self._started = 0
        self._owner = os.getpid()

    def ask(self, request: _Request, deadline: float) -> _Answer:
        """Have a helper answer within ``deadline`` seconds; a helper that does not survive it is an answer as well."""
        helper = self._take()
        slow = threading.Event()

        def end() -> None:
            slow.set()
            helper.kill()

        timer = threading.Timer(deadline, end)
        timer.daemon = True
        timer.start()
        try:
            answer = _decode_answer(helper.ask(_encode(request)))
        except EOFError:
            reason = f"took longer than {deadline:.0f} s" if slow.is_set() else "crashed"
            answer = _Answer(error=f"the decoder {reason} on these pixels")
        finally:
            timer.cancel()
            self._give_back(helper)
        return answer

    def _take(self) -> HelperProcess:
        with self._condition:
            if self._owner != os.getpid():  # a fork: the helpers are the parent's
                self._idle, self._started, self._owner = [], 0, os.getpid()
            while not self._idle and self._started >= cores():
                self._condition.wait()
            while self._idle:
                helper = self._idle.pop()
                if helper.alive:
                    return helper
                helper.close()
                self._started -= 1
            self._started += 1
        return HelperProcess(_SERVE)

    def _give_back(self, helper: HelperProcess) -> None:
        alive = helper.alive
        if not alive:
            helper.close()
        with self._condition:
            if alive:
                self._idle.append(helper)
            else:
                self._started -= 1
            self._condition.notify()

    def close(self) -> None:
        """End the idle helpers."""
        with self._condition:
            helpers, self._idle = self._idle, []
            if self._owner == os.getpid():
                self._started -= len(helpers)
                for helper in helpers:
                    helper.close()


_POOL: Final = _Pool()
atexit.register(_POOL.close)


class _Heard:
    """What the C libraries of this helper print to stderr: for some faults, that is all they do."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the helper lives
        os.dup2(self._file.fileno(), 2)

    def forget(self) -> None:
        """Begin anew."""
        if os.fstat(2).st_size:
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)

    def note(self) -> str:
        """What a user should be told.

        Raises:
            DecodeError: pixels were made up.
        """
        size = os.fstat(2).st_size
        if not size:
            return ""
        os.lseek(2, 0, os.SEEK_SET)
        said = os.read(2, min(size, 1 << 16))
        if found := _MADE_UP.search(said):
            raise DecodeError(found[0].decode("ascii"))
        doubtful = _DOUBTFUL.search(said)
        return "" if doubtful is None else f"the decoder says {doubtful[0].decode('ascii', 'replace')!r}"


def serve() -> None:
    """What a helper process does: decode what it is asked for until its input ends."""
    heard = _Heard()
    source, sink = serving_pipes()
    while True:
        try:
            request = _decode_request(receive(source))
        except EOFError:
            return
        try:
            heard.forget()
            decoded = _decode_here(request)
            pixels = decoded.array
            note = decoded.note or heard.note()
            answer = _Answer(dtype=pixels.dtype.str, shape=pixels.shape, pixels=pixels.tobytes(), note=note)
        except DecodeError as exc:
            answer = _Answer(error=str(exc), truncated=exc.truncated)
        except OSError as exc:
            answer = _Answer(error=exc.strerror or str(exc))
        except MemoryError:
            answer = _Answer(error="not enough memory")
        send(sink, _encode(answer))
