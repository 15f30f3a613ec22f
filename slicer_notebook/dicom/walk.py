"""Finding files under folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from slicer_notebook.dicom.archives import shown_path

__all__ = ["Found", "found_file", "walk"]


class Found(NamedTuple):
    """A file that the walk came by, its path as the index holds it (`archives`).

    ``problem`` says why it cannot be read, where that is known already.
    """

    path: str
    size: int
    mtime_ns: int
    problem: str | None = None


def walk(root: str, on_error: Callable[[str, OSError], None]) -> Iterator[Found]:
    """All files below a folder, links followed, each folder once; in an order that does not change from run to run.

    Args:
        root: an absolute path.
        on_error: called with a folder that cannot be listed.
    """
    visited: set[tuple[int, int]] = set()
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            status = os.stat(folder)
            # A link to a folder above would otherwise go round for ever.
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as exc:
            on_error(folder, exc)
            continue
        folders = []
        for entry in entries:
            try:
                if entry.is_dir():
                    folders.append(entry.path)
                    continue
                yield found_file(entry.path, entry.stat())
            except OSError as exc:
                yield Found(shown_path(entry.path), -1, -1, f"not readable: {exc.strerror or exc}")
        stack.extend(reversed(folders))


def found_file(path: str, status: os.stat_result) -> Found:
    """A file as the walk gives it."""
    problem = None if stat.S_ISREG(status.st_mode) else "not a regular file"
    return Found(shown_path(path), status.st_size, status.st_mtime_ns, problem)
