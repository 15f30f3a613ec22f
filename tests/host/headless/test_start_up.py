"""Starting in a process of its own: with a display or without, with OpenGL or without, without the packages."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **environment},
        check=False,
    )


_PICTURE = """
from slicer_notebook.host.headless import start
host = start()
print(host.info()["renderer"]["backend"], host.view("Red").image().shape)
"""


@pytest.mark.parametrize("display", ["", ":123"])
def test_no_display_is_needed_and_a_dead_one_does_not_hurt(display: str) -> None:
    result = _run(_PICTURE, DISPLAY=display)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().endswith("(512, 512, 3)")
    assert result.stderr == ""


_NO_PICTURE = """
from slicer_notebook.errors import RenderingError
from slicer_notebook.host.headless import start
host = start()
import slicer, numpy as np
node = slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.int16), name="still there")
host.show_volume(node)
host.layout = "Conventional"
assert host.info()["renderer"] is None
for name in host.view_names():
    try:
        host.view(name).image()
    except RenderingError as error:
        assert "libegl1" in str(error), error
    else:
        raise AssertionError(name)
print(slicer.util.getNode("still there").GetName())
"""


def test_without_opengl_the_scene_works_and_pictures_raise() -> None:
    # With no vendor's library the EGL loader finds no driver; OSMesa is the fallback, and may be there.
    result = _run(
        _NO_PICTURE, __EGL_VENDOR_LIBRARY_FILENAMES="/nonexistent", VTK_DEFAULT_OPENGL_WINDOW="vtkEGLRenderWindow"
    )
    if "AssertionError" in result.stderr and "OSMesa" in result.stderr:
        pytest.skip("OSMesa is installed: this machine renders without EGL")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "still there"


def test_without_slicer_core_it_says_what_to_install() -> None:
    result = _run(
        "import sys\n"
        "sys.modules['slicer_core'] = None\n"
        "import importlib.util, slicer_notebook.host.headless.start_up as start_up\n"
        "real = start_up.find_spec\n"
        "start_up.find_spec = lambda name: None if name == 'slicer_core' else real(name)\n"
        "from slicer_notebook.errors import SlicerNotInstalledError\n"
        "from slicer_notebook.host.headless import start\n"
        "try:\n    start()\nexcept SlicerNotInstalledError as error:\n    print(error)\n"
    )
    assert "slicer-core" in result.stdout
    assert "pip install 'slicer-notebook[headless]'" in result.stdout


def test_importing_the_package_imports_no_slicer() -> None:
    result = _run(
        "import sys, slicer_notebook.host.headless\n"
        "print(sorted({'slicer', 'vtkmodules', 'trame_slicer'} & set(sys.modules)))"
    )
    assert result.stdout.strip() == "[]"


def test_starting_does_not_import_what_is_not_needed() -> None:
    result = _run(
        "import sys\nfrom slicer_notebook.host.headless import start\nstart()\n"
        "print(sorted({'pydicom', 'lxml', 'trame_slicer.core', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert result.stdout.strip() == "[]"
