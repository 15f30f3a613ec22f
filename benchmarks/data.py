"""The volume that is measured with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["phantom", "write_nrrd"]

Array = np.ndarray[Any, np.dtype[np.int16]]


def phantom(shape: tuple[int, int, int] = (256, 512, 512)) -> Array:
    """int16 [k, j, i]: a body with lungs, a spine and a scanner's noise, in Hounsfield units; 128 MiB by default.

    Smooth enough to be compressed as a CT is, noisy enough not to be compressed better.
    """
    k, j, i = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    noise = np.random.default_rng(3).normal(0, 12, shape[1:]).astype(np.float32)
    across, down = np.meshgrid(i, j)
    body = (across / 0.85) ** 2 + (down / 0.6) ** 2 < 1
    spine = across**2 + (down - 0.4) ** 2 < 0.012
    volume = np.empty(shape, dtype=np.int16)
    for index, height in enumerate(k):
        lungs = ((abs(across) - 0.4) / 0.28) ** 2 + (down / 0.42) ** 2 < 1 - height**2
        values = np.where(spine, 700, np.where(lungs, -850, np.where(body, 40, -1000)))
        # Another part of the noise in each slice, without the time that new noise takes.
        volume[index] = values + np.roll(noise, index * 37, axis=(index % 2))
    return volume


def write_nrrd(path: Path, volume: Array, spacing: tuple[float, float, float] = (0.7, 0.7, 1.25)) -> None:
    """Write ``volume`` as an uncompressed NRRD file; spacing (mm) along i, j, k.

    Source: the NRRD file format's definition, https://teem.sourceforge.net/nrrd/format.html.
    """
    k, j, i = volume.shape
    directions = " ".join(f"({','.join(str(spacing[a] if a == b else 0) for b in range(3))})" for a in range(3))
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\n"
        f"sizes: {i} {j} {k}\nspace directions: {directions}\nkinds: domain domain domain\nendian: little\n"
        "encoding: raw\nspace origin: (0,0,0)\n\n"
    )
    with path.open("wb") as file:
        file.write(header.encode("ascii"))
        volume.astype("<i2", copy=False).tofile(file)
