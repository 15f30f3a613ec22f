"""Files that ``/mrml`` may read and write."""

from __future__ import annotations

from slicer_notebook.commands.paths import of_file_url
from slicer_notebook.errors import ArgumentError

__all__ = ["local_path"]


def local_path(url: str | None, path: str | None) -> str | None:
    """The path in a ``file:`` URL or as it is; None when the URL is another one.

    Raises:
        ArgumentError: neither is given.
    """
    if url is None and path is None:
        raise ArgumentError("The parameter 'url' or 'localfile' is missing.")
    if url is None:
        return path
    return of_file_url(url) if url.lower().startswith("file:") else None
