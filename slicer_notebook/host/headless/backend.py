"""Rendering without a screen: which OpenGL VTK uses, and a probe that says so.

EGL (hardware or Mesa's llvmpipe) needs no X server; OSMesa is the fallback where there is no EGL. The choice has to be
made before VTK makes its first render window, hence `prepare` comes before everything else.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import asdict, dataclass
from typing import Any, Final

from slicer_notebook.errors import RenderingError

__all__ = ["Renderer", "prepare", "probe"]

#: VTK reads it when the first render window is made (VTK 9.4 and later).
_WINDOW_VARIABLE: Final = "VTK_DEFAULT_OPENGL_WINDOW"
#: Names under which VTK looks for OSMesa.
_OSMESA: Final = ("libOSMesa.so", "libOSMesa.so.8", "libOSMesa.so.6", "osmesa.dll", "libOSMesa.dylib")
_BACKENDS: Final = {
    "vtkEGLRenderWindow": "EGL",
    "vtkOSOpenGLRenderWindow": "OSMesa",
    "vtkXOpenGLRenderWindow": "X",
    "vtkWin32OpenGLRenderWindow": "Win32",
    "vtkCocoaRenderWindow": "Cocoa",
}


@dataclass(frozen=True)
class Renderer:
    """What draws the pictures. ``backend`` is "EGL", "OSMesa"...; the others are OpenGL's own strings."""

    backend: str
    vendor: str
    renderer: str
    version: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def prepare() -> None:
    """Ask VTK for EGL unless the environment names a window class already, and forget any X display.

    With DISPLAY set Mesa's EGL would talk to the X server, which a headless Slicer must not depend on.
    """
    if os.environ.setdefault(_WINDOW_VARIABLE, "vtkEGLRenderWindow") != "vtkXOpenGLRenderWindow":
        os.environ.pop("DISPLAY", None)


def _strings(window: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in str(window.ReportCapabilities()).splitlines():
        key, colon, value = line.partition(" string:")
        if colon and key.startswith("OpenGL "):
            found[key.removeprefix("OpenGL ").strip()] = value.strip()
    return found


def _has_osmesa() -> bool:
    """Whether the OSMesa library is there: VTK falls back to it last, and ends the process if it is missing."""
    for name in _OSMESA:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def probe(window: Any) -> Renderer:
    """Make ``window``'s OpenGL context and say what it is.

    Raises:
        RenderingError: no OpenGL context can be made here.
    """
    name = str(window.GetClassName())
    if name not in _BACKENDS or (name == "vtkOSOpenGLRenderWindow" and not _has_osmesa()):
        raise RenderingError(
            "Slicer cannot render: there is no usable OpenGL on this machine.",
            expected="EGL or OSMesa with OpenGL 3.2 or later",
            got=f"VTK offers {name}",
            hint="install Mesa's EGL (Debian: apt-get install libegl1 libgl1-mesa-dri) or OSMesa (libosmesa6)",
            details={"window": name},
        )
    window.Render()
    strings = _strings(window)
    return Renderer(
        backend=_BACKENDS[name],
        vendor=strings.get("vendor", ""),
        renderer=strings.get("renderer", ""),
        version=strings.get("version", ""),
    )
