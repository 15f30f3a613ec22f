"""Can this machine render off screen? Can this Python start Slicer's library? Asked in a process of its own.

A missing OpenGL library ends VTK with a segmentation fault, not with an error, so `slicer_notebook.doctor` runs this
file as a script (by its path: nothing else of the package is imported) and reads the last line of its output, JSON.

    python -P render_probe.py render    # {"backend": "EGL", "renderer": ..., "version": ..., "seconds": ...}
    python -P render_probe.py slicer    # {"nodes": ..., "seconds": ...}
"""

from __future__ import annotations

import json
import sys
import time

#: VTK's render window classes and what stands behind them.
BACKENDS = {
    "vtkEGLRenderWindow": "EGL",
    "vtkOSOpenGLRenderWindow": "OSMesa",
    "vtkXOpenGLRenderWindow": "GLX",
    "vtkWin32OpenGLRenderWindow": "WGL",
    "vtkCocoaRenderWindow": "Cocoa",
}
#: Side of the picture, px, and its background, RGB in 0..1: what must come back.
SIZE = 32
BACKGROUND = (1.0, 0.0, 0.0)


def render() -> dict[str, object]:
    """Render a small red picture and read it back.

    Raises:
        ImportError: there is no VTK.
        RuntimeError: what came back is not the picture.
    """
    import vtkmodules.vtkRenderingOpenGL2  # noqa: F401 - registers the render window's OpenGL implementation
    from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow, vtkWindowToImageFilter

    start = time.perf_counter()
    window = vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(SIZE, SIZE)
    renderer = vtkRenderer()
    renderer.SetBackground(*BACKGROUND)
    window.AddRenderer(renderer)
    window.Render()
    reader = vtkWindowToImageFilter()
    reader.SetInput(window)
    reader.ReadFrontBufferOff()
    reader.Update()
    picture = reader.GetOutput()
    pixel = [picture.GetScalarComponentAsDouble(SIZE // 2, SIZE // 2, 0, channel) for channel in range(3)]
    if pixel != [255 * value for value in BACKGROUND]:
        raise RuntimeError(f"a red picture came back with the colour {pixel}")
    texts = {}
    for line in window.ReportCapabilities().splitlines():
        for key in ("vendor", "renderer", "version"):
            if line.startswith(f"OpenGL {key} string:"):
                texts[key] = line.partition(":")[2].strip()
    name = window.GetClassName()
    return {"backend": BACKENDS.get(name, name), **texts, "seconds": round(time.perf_counter() - start, 3)}


def slicer() -> dict[str, object]:
    """Import Slicer's library and make an MRML scene with one volume node in it.

    Raises:
        ImportError: slicer-core or trame-slicer is missing, or its libraries do not load.
    """
    start = time.perf_counter()
    import slicer as library
    import trame_slicer.core  # noqa: F401 - that it imports is the question

    scene = library.vtkMRMLScene()
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    return {"nodes": scene.GetNumberOfNodes(), "seconds": round(time.perf_counter() - start, 3)}


if __name__ == "__main__":
    answer = {"render": render, "slicer": slicer}[sys.argv[1]]()
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
