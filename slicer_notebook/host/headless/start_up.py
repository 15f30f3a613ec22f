"""Starting the headless Slicer: the order of things, and what is added to the ``slicer`` module."""

from __future__ import annotations

import atexit
from importlib.util import find_spec
from typing import TYPE_CHECKING

from slicer_notebook.errors import SlicerNotInstalledError

from . import backend

if TYPE_CHECKING:
    from .host import HeadlessHost

__all__ = ["start"]


def _need_packages() -> None:
    missing = [
        name
        for name, module in (("slicer-core", "slicer_core"), ("trame-slicer", "trame_slicer"))
        if find_spec(module) is None
    ]
    if missing:
        raise SlicerNotInstalledError(
            f"This Python has no {' and no '.join(missing)}.",
            hint="pip install 'slicer-notebook[headless]' (CPython 3.10 to 3.13, Linux x86-64, macOS or Windows)",
        )


def start(capture_standard_error: bool) -> HeadlessHost:
    """Make the application and dress up the ``slicer`` module; see `slicer_notebook.host.headless.start`."""
    _need_packages()
    backend.prepare()
    from .messages import MessageLog

    messages = MessageLog()
    atexit.register(messages.close)
    if capture_standard_error:
        messages.capture_standard_error()
    import slicer

    from .application import Application
    from .host import HeadlessHost
    from .namespace import install

    application = Application(slicer, messages)
    install(slicer, application)
    # Making the views warns about an event that VTK 9.6 deprecates; nothing a user could act on.
    application.start_up_messages = messages.drain()
    return HeadlessHost(application)
