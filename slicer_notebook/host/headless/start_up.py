"""Starting the headless Slicer: the order of things, and what is added to the ``slicer`` module.

Where the time goes (two cores, Mesa's llvmpipe, files in the cache), 1.6 s in all: ``import slicer`` 0.85 s (its 40
extension modules, vtkITK alone 0.09 s); ``trame_slicer.views`` 0.5 s, of it 0.3 s ``import vtk``, which arrays of
``slicer.util`` need anyway, and 0.15 s the server of trame; application, logics and four views 0.16 s; the first
OpenGL context 0.03 s. trame_slicer.core, which would import pydicom (0.25 s), and lxml are not imported.
"""

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
