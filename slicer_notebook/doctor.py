"""What works on this machine, and what to type where something does not: ``slicer-notebook doctor``.

Each check looks at one thing and gives a `Check`; none changes anything. Whatever may crash or hang (VTK's start of
OpenGL) runs in a process of its own with a deadline.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from slicer_notebook.dicom.index import data_folder

__all__ = ["Check", "Status", "run"]

Status = Literal["ok", "warn", "fail"]

PYTHONS = ((3, 11), (3, 14))
"""First version that works, first that does not: slicer-core has wheels up to CPython 3.13."""
PROBE_DEADLINE_S = 60.0
"""A probe takes 1 to 3 s; a cold disk makes that 20 s."""
DISK_LOW_BYTES = 2 << 30
"""Below this a study of some gigabytes may not fit any more: a warning."""
DISK_FULL_BYTES = 200 << 20
"""Below this not even the sample study (133 slices, 70 MB) and one loaded volume fit."""
MEMORY_LOW_BYTES = 512 << 20
"""Less free shared memory than this holds no volume of 512³ voxels of int16 (256 MiB) on both ways."""
PORTS = 5
"""A Jupyter kernel listens on five."""
RENDER_PACKAGES = "libegl1 libgl1 libgl1-mesa-dri"
"""Debian's and Ubuntu's packages of OpenGL without a screen (the software renderer too)."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox")


@dataclass(frozen=True)
class Check:
    """One row of the doctor's table.

    Attributes:
        name: what was looked at.
        status: ``"ok"``; ``"warn"``, it works with a limit; ``"fail"``, something needed does not work.
        found: what was found, in words.
        fix: what to type or do; empty when there is nothing to do.
    """

    name: str
    status: Status
    found: str
    fix: str = ""


def run(progress: Callable[[str], None] | None = None) -> list[Check]:
    """All checks, in the table's order. ``progress`` is called with each one's name before it runs."""
    checks: list[tuple[str, Callable[[str], Check]]] = [
        ("Python", check_python),
        ("Slicer", check_slicer),
        ("Rendering", check_rendering),
        ("DICOM codecs", check_codecs),
        ("Ports", check_ports),
        ("Disk", check_disk),
        ("Shared memory", check_shared_memory),
        ("JupyterLab", check_jupyter),
        ("Kernelspec", check_kernelspec),
        ("Browser", check_browser),
    ]
    results = []
    for name, check in checks:
        if progress is not None:
            progress(name)
        results.append(check(name))
    return results


def installed(*packages: str) -> dict[str, str | None]:
    """The version of each package in this Python, None for one that is not installed."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def size(count: float) -> str:
    """A number of bytes for people: 1.5 GiB."""
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"


@dataclass(frozen=True)
class Probe:
    """What came of a process: its answer, or what went wrong in words."""

    answer: dict[str, Any] | None
    problem: str = ""


def probe(what: str, deadline: float = PROBE_DEADLINE_S, command: Sequence[str] | None = None) -> Probe:
    """Run ``render_probe.py`` in a process of its own, without a screen.

    Args:
        what: ``"render"`` or ``"slicer"``.
        deadline: seconds after which the process is killed.
        command: another command line, for tests.
    """
    script = Path(__file__).with_name("render_probe.py")
    environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
    try:
        done = subprocess.run(
            command or [sys.executable, "-P", str(script), what],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=deadline,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return Probe(None, f"no answer within {deadline:.0f} s")
    except OSError as error:
        return Probe(None, f"could not be started: {error}")
    if done.returncode < 0:
        return Probe(None, f"crashed ({signal.Signals(-done.returncode).name})")
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    if done.returncode == 0 and lines:
        try:
            answer = json.loads(lines[-1])
        except ValueError:
            return Probe(None, f"gave no answer but: {lines[-1][:200]}")
        if isinstance(answer, dict):
            return Probe(answer)
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return Probe(None, said[-1][:200] if said else f"ended with exit code {done.returncode}")


def check_python(name: str) -> Check:
    """Python's version, and whether slicer-core has a wheel for this machine."""
    libc = " ".join(platform.libc_ver()).strip()
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}" + (f", {libc}" if libc else "")
    if not PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        return Check(name, "fail", found, "use Python 3.11, 3.12 or 3.13: python3.12 -m venv .venv")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return Check(
            name, "warn", found, "this is tested on Linux x86_64 only; see which wheels slicer-core 5.11.0.6 has"
        )
    return Check(name, "ok", found)


def check_slicer(name: str) -> Check:
    """The wheels of the headless Slicer: there, and importable."""
    versions = installed("slicer-core", "trame-slicer", "slicer-layer-dm", "vtk")
    found = ", ".join(f"{package} {number or 'not installed'}" for package, number in versions.items())
    fix = f"{sys.executable} -m pip install 'slicer-notebook[headless]'"
    if None in versions.values():
        return Check(name, "fail", found, fix)
    result = probe("slicer")
    if result.answer is None:
        return Check(name, "fail", f"{found}; importing it: {result.problem}", f"{fix} --force-reinstall")
    return Check(name, "ok", f"{found}; imports in {result.answer['seconds']:.1f} s")


def check_rendering(name: str) -> Check:
    """A small picture, rendered off screen without an X server."""
    if installed("vtk")["vtk"] is None:
        return Check(name, "fail", "VTK is not installed", "see Slicer")
    result = probe("render")
    if result.answer is None:
        fix = f"sudo apt-get install {RENDER_PACKAGES}"
        return Check(name, "fail", f"no picture: {result.problem}", fix)
    answer = result.answer
    return Check(name, "ok", f"{answer['backend']}, {answer.get('renderer')}, OpenGL {answer.get('version')}")


def check_codecs(name: str) -> Check:
    """Which transfer syntaxes of DICOM images (PS3.5 section 10) the decoders installed here can read."""
    from pydicom import uid
    from pydicom.pixels.decoders.base import get_decoder

    syntaxes = [*uid.UncompressedTransferSyntaxes, *uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes]
    syntaxes += [*uid.JPEG2000TransferSyntaxes, *uid.RLETransferSyntaxes]
    lacking = []
    count = 0
    for syntax in syntaxes:
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError:
            continue  # a retired or multi-component variant that pydicom has no decoder class for
        count += 1
        if not decoder.is_available:
            lacking.append(syntax.name)
    if lacking:
        fix = f"{sys.executable} -m pip install pylibjpeg-openjpeg python-gdcm"
        return Check(
            name, "warn", f"{count - len(lacking)} of {count} transfer syntaxes; not: {', '.join(lacking)}", fix
        )
    return Check(name, "ok", f"all {count} transfer syntaxes: uncompressed, RLE, JPEG, JPEG-LS, JPEG 2000, HTJ2K")


def check_ports(name: str) -> Check:
    """Whether a kernel could listen on the loopback address."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(PORTS):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
        with socket.create_connection(sockets[0].getsockname(), timeout=5):
            pass
    except OSError as error:
        return Check(name, "fail", f"127.0.0.1: {error}", "bring the loopback interface up: sudo ip link set lo up")
    finally:
        for listener in sockets:
            listener.close()
    return Check(name, "ok", f"{PORTS} free ports bound on 127.0.0.1, one connection made")


def check_disk(name: str) -> Check:
    """Free space of the data folder and of the temporary folder, and whether they can be written."""
    found: list[str] = []
    worst: Status = "ok"
    fix = ""
    for folder, variable in ((data_folder(), "SLICER_NOTEBOOK_DATA"), (Path(tempfile.gettempdir()), "TMPDIR")):
        there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
        free = shutil.disk_usage(there).free
        found.append(f"{size(free)} free at {folder}")
        if not os.access(there, os.W_OK | os.X_OK):
            found[-1] += " (not writable)"
            worst, fix = "fail", f"choose a folder that you can write to: export {variable}=FOLDER"
        elif free < DISK_LOW_BYTES and worst != "fail":
            worst = "fail" if free < DISK_FULL_BYTES else "warn"
            fix = f"free some space, or choose another folder: export {variable}=FOLDER"
    return Check(name, worst, "; ".join(found), fix)


def check_shared_memory(name: str) -> Check:
    """Whether arrays can go from process to process through memory: another process reads what this one wrote."""
    if not hasattr(os, "memfd_create"):
        return Check(name, "warn", "no memfd_create: arrays go through files in the temporary folder")
    written = os.urandom(16).hex()
    reader = "import sys; sys.stdout.write(open(sys.argv[1]).read())"
    try:
        descriptor = os.memfd_create("slicer-notebook-doctor", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, written.encode())
            path = f"/proc/{os.getpid()}/fd/{descriptor}"
            command = [sys.executable, "-S", "-c", reader, path]
            read = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_DEADLINE_S, check=False).stdout
        finally:
            os.close(descriptor)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, "warn", f"memfd: {error}; arrays go through the kernel's sockets, more slowly")
    if read != written:
        found = "another process cannot open this one's memory; arrays go through the kernel's sockets, more slowly"
        return Check(name, "warn", found)
    free = available_memory()
    if free is None:
        return Check(name, "ok", "memfd")
    found = f"memfd, {size(free)} of memory available"
    if free < MEMORY_LOW_BYTES:
        return Check(name, "warn", found, "close other programs: a volume is held here and in Slicer")
    return Check(name, "ok", found)


def available_memory() -> int | None:
    """Bytes of memory that new pages can take (``MemAvailable`` of ``/proc/meminfo``); None where Linux is not."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = (line.split() for line in lines)
    return next((int(field[1]) * 1024 for field in fields if field[0] == "MemAvailable:"), None)


def check_jupyter(name: str) -> Check:
    """JupyterLab and what shows our widgets in it."""
    versions = installed("jupyterlab", "anywidget", "ipywidgets", "ipykernel")
    found = ", ".join(f"{package} {number or 'not installed'}" for package, number in versions.items())
    if any(versions[package] is None for package in ("anywidget", "ipywidgets", "ipykernel")):
        return Check(name, "fail", found, f"{sys.executable} -m pip install slicer-notebook")
    if versions["jupyterlab"] is None:
        # JupyterLab may well run in another environment, with this Python as a kernel.
        return Check(name, "warn", found, f"{sys.executable} -m pip install 'slicer-notebook[lab]'")
    return Check(name, "ok", found)


def check_kernelspec(name: str) -> Check:
    """Whether Jupyter offers "Slicer (headless)" as a kernel, and whether its Python is there."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    from slicer_notebook import kernelspec

    fix = "slicer-notebook kernelspec install"
    try:
        spec = KernelSpecManager().get_kernel_spec(kernelspec.NAME)
    except NoSuchKernel:
        return Check(
            name, "warn", f"no kernel {kernelspec.NAME}; only a notebook that runs in Slicer itself needs it", fix
        )
    if shutil.which(spec.argv[0]) is None:
        return Check(name, "fail", f"{spec.resource_dir} names {spec.argv[0]}, which is not there", fix)
    return Check(name, "ok", f"{spec.display_name} in {spec.resource_dir}")


def check_browser(name: str) -> Check:
    """A browser on this machine; JupyterLab can as well be opened from another one."""
    for browser in BROWSERS:
        path = shutil.which(browser)
        if path is not None:
            return Check(name, "ok", path)
    return Check(name, "warn", "none; only needed to open JupyterLab on this machine, and for the browser tests")
