"""What the figures were measured on."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["facts"]

_PACKAGES = (
    "slicer-notebook",
    "slicer-core",
    "trame-slicer",
    "vtk",
    "numpy",
    "jupyter_client",
    "ipykernel",
    "pyzmq",
    "ipyparallel",
    "pillow",
)


def facts(renderer: str = "") -> dict[str, str]:
    """Processor, memory, system, versions, date, load; ``renderer`` as the Slicer named it."""
    found = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_cpu()}, {os.cpu_count()} cores",
        "memory": f"{_memory() / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": f"{os.getloadavg()[0]:.1f} (1 min, at the end; the benchmarks alone give about 1)",
        "python": platform.python_version(),
    }
    if renderer:
        found["renderer"] = renderer
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
