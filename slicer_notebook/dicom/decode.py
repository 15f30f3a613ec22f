"""Compressed pixels: pydicom's decoders, run where they can do no harm.

Some of the C and C++ libraries behind them do not survive damaged files: GDCM ends the whole process on certain JPEG
streams. In Slicer's kernel that would take the scene along, so JPEG of every kind is decoded in helper processes, which
also uses all cores. They are started when first needed, and stay for the next slice or thumbnail.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from slicer_notebook.dicom.processes import HelperProcess, can_start, cores, receive, send, serving_pipes
from slicer_notebook.dicom.syntaxes import NATIVE

__all__ = ["DecodeError", "decode"]

#: Decoded by pydicom itself, in Python: what it stumbles on is an exception.
_HARMLESS: Final = NATIVE | {"1.2.840.10008.1.2.5"}
#: Seconds for a frame, and for each megabyte of its file besides; a slice takes some 30 ms, a large mammogram a few
#: seconds. Damaged JPEG 2000 can keep its decoder busy for ever.
_DEADLINE: Final = 10.0
_DEADLINE_PER_MB: Final = 2.0
_LONGEST_DEADLINE: Final = 120.0
_SERVE: Final = "slicer_notebook.dicom.decode:serve"


class DecodeError(Exception):
    """Pixels that cannot be decoded. Never reaches a user: callers make a refusal of it."""


class _Request(msgspec.Struct, array_like=True):
    path: str
    transfer_syntax: str
    frame: int | None
    raw: bool


class _Answer(msgspec.Struct, array_like=True):
    error: str | None = None
    dtype: str = ""
    shape: tuple[int, ...] = ()
    pixels: bytes = b""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_request: Final = msgspec.msgpack.Decoder(_Request).decode
_decode_answer: Final = msgspec.msgpack.Decoder(_Answer).decode


def decode(path: str, transfer_syntax: str, *, frame: int | None = None, raw: bool = True) -> npt.NDArray[Any]:
    """Decode a file's pixels.

    Args:
        frame: one frame, from 0; all if None.
        raw: stored values as they are; else YBR made RGB, and palette colours looked up.

    Returns:
        [frames,] rows, columns[, samples].

    Raises:
        DecodeError: the decoder failed, crashed, or took too long.
        OSError: the file cannot be read.
    """
    request = _Request(path, transfer_syntax, frame, raw)
    # A file that is not there is an OSError here, not the decoder's failure.
    size = os.stat(path).st_size
    if transfer_syntax in _HARMLESS or not can_start():
        return _decode_here(request)
    answer = _POOL.ask(request, min(_DEADLINE + _DEADLINE_PER_MB * size / 1e6, _LONGEST_DEADLINE))
    if answer.error is not None:
        raise DecodeError(answer.error)
    return np.frombuffer(answer.pixels, np.dtype(answer.dtype)).reshape(answer.shape)


def _decode_here(request: _Request) -> npt.NDArray[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(request.path, force=True)
            meta = getattr(dataset, "file_meta", None)
            if meta is None:
                dataset.file_meta = meta = FileMetaDataset()
            if "TransferSyntaxUID" not in meta:
                meta.TransferSyntaxUID = UID(request.transfer_syntax)
            pixels = pixel_array(dataset, index=request.frame, raw=request.raw)
            if not request.raw and dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
                pixels = apply_color_lut(pixels, dataset)
        # Decoders raise whatever their library's binding raises; all of it means the same here.
        except Exception as exc:
            raise DecodeError(f"{type(exc).__name__}: {exc}") from exc
    return pixels


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


def serve() -> None:
    """What a helper process does: decode what it is asked for until its input ends."""
    source, sink = serving_pipes()
    while True:
        try:
            request = _decode_request(receive(source))
        except EOFError:
            return
        try:
            pixels = np.ascontiguousarray(_decode_here(request))
            answer = _Answer(dtype=pixels.dtype.str, shape=pixels.shape, pixels=pixels.tobytes())
        except (DecodeError, MemoryError) as exc:
            answer = _Answer(error=str(exc) or "not enough memory")
        send(sink, _encode(answer))
