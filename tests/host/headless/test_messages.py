"""What VTK, MRML and ITK report is kept and given out."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

from slicer_notebook.host.headless import HeadlessHost
from slicer_notebook.host.headless.messages import parse, parse_standard_error

_LOG = """

2026-11-25 01:45:17.093 (   1.072s) [    7FBBC040BB80]       vtkMRMLScene.cxx:1367   ERR| vtkMRMLScene (0x55be09): no
2026-11-25 01:45:17.094 (   1.073s) [main thread     ]vtkSTLReader.cxx:95     WARN| vtkSTLReader (0x55be): first
second line
"""


def test_the_loggers_lines_become_messages() -> None:
    assert parse(_LOG) == [("error", "vtkMRMLScene: no"), ("warning", "vtkSTLReader: first\nsecond line")]
    assert parse("") == []


def test_paragraphs_on_standard_error_become_messages() -> None:
    text = "itk::ERROR: Reader(0x12ab): cannot\nopen it\n\n\nWARNING: odd\n\nloading\n"
    assert parse_standard_error(text) == [
        ("error", "itk::ERROR: Reader: cannot\nopen it"),
        ("warning", "WARNING: odd"),
        ("info", "loading"),
    ]


def test_errors_are_drained_once(host: HeadlessHost, slicer: Any) -> None:
    slicer.mrmlScene.AddNode(None)
    ((level, text),) = host.drain_vtk()
    assert level == "error"
    assert "null node" in text
    assert "0x" not in text
    assert host.drain_vtk() == []


def test_nothing_of_it_goes_to_standard_error(host: HeadlessHost, slicer: Any, capfd: Any) -> None:
    slicer.mrmlScene.AddNode(None)
    host.drain_vtk()
    assert capfd.readouterr().err == ""


def test_messages_of_other_threads_come_too(host: HeadlessHost, slicer: Any) -> None:
    import vtk

    def work() -> None:
        for _ in range(20):
            reader = vtk.vtkSTLReader()
            reader.SetFileName("/nonexistent.stl")
            reader.Update()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len([text for level, text in host.drain_vtk() if "nonexistent" in text]) == 80


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)


def test_a_process_says_nothing_on_its_own_and_keeps_what_itk_prints() -> None:
    result = _run(
        "import os, sys\n"
        "from slicer_notebook.host.headless import start\n"
        "host = start(capture_standard_error=True)\n"
        "import slicer, numpy as np\n"
        "node = slicer.util.addVolumeFromArray(np.zeros((3, 4, 5), np.int16))\n"
        "host.view('Red').image(); host.view('1').image()\n"
        "storage = slicer.vtkMRMLVolumeArchetypeStorageNode()\n"
        "storage.SetFileName('/tmp/no/such/folder/head.xyz')\n"
        "storage.WriteData(node)\n"
        "os.write(2, b'printed by C\\n')\n"
        "messages = host.drain_vtk()\n"
        "assert any('Could not create IO object' in text for _, text in messages), messages\n"
        "assert ('info', 'printed by C') in messages, messages\n"
        "print('out'); print('err', file=sys.stderr)\n"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "out\n"
    assert result.stderr == "err\n"


def test_its_files_are_gone_when_the_process_ends() -> None:
    result = _run(
        "from slicer_notebook.host.headless import start\n"
        "host = start(capture_standard_error=True)\n"
        "print(host.application.messages.folder)\n"
    )
    assert result.returncode == 0, result.stderr
    assert not os.path.exists(result.stdout.strip())
