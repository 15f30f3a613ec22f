"""The program of `writer`: writes files, reads their headers, and renames them, for as long as its input lasts.

It is started as a script, with nothing but the standard library: it can write after 20 ms, and meanwhile loads what
reads headers, which takes some hundred.
"""

import contextlib
import marshal
import os
import sys
import threading
from collections.abc import Callable

_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
#: Bytes of a message's length, little endian (`slicer_notebook.dicom.processes`).
_PREFIX = 8

File = tuple[str, int, bytes, str | None]
"""Path, time (ns), the header as `writer` takes it (empty: not read) and what is wrong with it."""

Read = Callable[[str, bytes, int], tuple[bytes, str | None]]


class Loading:
    """What reads headers, once it is there."""

    def __init__(self) -> None:
        self.read: Read | None = None
        threading.Thread(target=self._load, daemon=True).start()

    def _load(self) -> None:
        import msgspec

        from slicer_notebook.pacs.whole import looked_at

        def read(path: str, data: bytes, mtime_ns: int) -> tuple[bytes, str | None]:
            instance, problem = looked_at(path, data, len(data), mtime_ns)
            return msgspec.msgpack.encode(instance) if instance is not None else b"", problem

        self.read = read


def main() -> None:
    """Serve messages from standard input."""
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    loading = Loading()
    number = 0
    while len(prefix := source.read(_PREFIX)) == _PREFIX:
        message = source.read(int.from_bytes(prefix, "little"))
        if len(message) < int.from_bytes(prefix, "little"):
            return
        kind, folder, items = marshal.loads(message)
        if kind == "rename":
            answer = marshal.dumps([rename(former, new) for former, new in items])
        else:
            error, files = write(folder, number, items, loading.read if kind == "write and read" else None)
            answer = marshal.dumps((error, files, loading.read is not None))
            number += len(items)
        sink.write(len(answer).to_bytes(_PREFIX, "little") + answer)
        sink.flush()


def write(folder: str, number: int, items: list[bytes], read: Read | None) -> tuple[int, list[File]]:
    """0, and the new files; or the number of the error that ended it, and there are none."""
    files: list[File] = []
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for data in items:
            path = f"{folder}{os.sep}{number + len(files)}"
            files.append((path, 0, b"", None))
            mtime_ns = _write(path, data)
            header, problem = _read(read, path, data, mtime_ns) if read is not None else (b"", None)
            files[-1] = (path, mtime_ns, header, problem)
    except OSError as exc:
        for path, *_ in files:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return exc.errno or -1, []
    return 0, files


def _write(path: str, data: bytes) -> int:
    file = os.open(path, _NEW_FILE, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        return os.fstat(file).st_mtime_ns
    finally:
        os.close(file)


def _read(read: Read, path: str, data: bytes, mtime_ns: int) -> tuple[bytes, str | None]:
    try:
        return read(path, data, mtime_ns)
    except OSError:
        raise
    # The others that are written with it have done nothing.
    except Exception as exc:  # noqa: BLE001
        return b"", f"an error of this program: {type(exc).__name__}: {exc}"


def rename(former: str, new: str) -> int:
    """0, or the number of the error."""
    try:
        os.replace(former, new)
    except OSError as exc:
        return exc.errno or -1
    return 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
