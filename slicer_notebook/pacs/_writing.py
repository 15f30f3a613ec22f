"""The program of `writer`: writes files and renames them, for as long as its input lasts.

It is started as a script, without this package and others, which would take longer to load than what it has to do.
"""

import contextlib
import marshal
import os
import sys

_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
#: Bytes of a message's length, little endian (`slicer_notebook.dicom.processes`).
_PREFIX = 8


def main() -> None:
    """Serve messages from standard input."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    number = 0
    while len(prefix := source.read(_PREFIX)) == _PREFIX:
        message = source.read(int.from_bytes(prefix, "little"))
        if len(message) < int.from_bytes(prefix, "little"):
            return
        kind, folder, items = marshal.loads(message)
        if kind == "write":
            answer = marshal.dumps(write(folder, number, items))
            number += len(items)
        else:
            answer = marshal.dumps([rename(former, new) for former, new in items])
        sink.write(len(answer).to_bytes(_PREFIX, "little") + answer)
        sink.flush()


def write(folder: str, number: int, items: list[bytes]) -> tuple[int, list[tuple[str, int]]]:
    """0, and the path and time of each new file; or the number of the error that ended it, and there is no file."""
    files: list[tuple[str, int]] = []
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for data in items:
            path = f"{folder}{os.sep}{number + len(files)}"
            files.append((path, 0))
            file = os.open(path, _NEW_FILE, 0o600)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(file, rest) :]
                files[-1] = (path, os.fstat(file).st_mtime_ns)
            finally:
                os.close(file)
    except OSError as exc:
        for path, _ in files:
            with contextlib.suppress(OSError):
                os.unlink(path)
        return exc.errno or -1, []
    return 0, files


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
