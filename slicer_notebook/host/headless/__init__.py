"""Slicer without Qt and without a screen, in this process.

`start` makes it; ``import slicer`` then works as in Slicer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import HeadlessHost

__all__ = ["HeadlessHost", "start"]

_host: HeadlessHost | None = None


def start(*, capture_standard_error: bool = False) -> HeadlessHost:
    """The headless Slicer of this process, made on the first call; later calls give the same one.

    Call it on the main thread: MRML and VTK are touched there only.

    Args:
        capture_standard_error: on the first call, also keep what C and C++ code prints to standard error (ITK does) and
            give it out with `HeadlessHost.drain_vtk`. For processes nobody watches; Python's ``sys.stderr`` stays.

    Raises:
        SlicerNotInstalledError: slicer-core or trame-slicer is not installed in this Python.
    """
    global _host  # noqa: PLW0603 - MRML's factories are process-wide singletons, so is the application
    if _host is None:
        from . import start_up

        _host = start_up.start(capture_standard_error)
    return _host


def __getattr__(name: str) -> object:
    if name == "HeadlessHost":
        from .host import HeadlessHost

        return HeadlessHost
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
