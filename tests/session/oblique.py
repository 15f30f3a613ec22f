"""Transforms at no right angle to anything, for tests of geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ROTATION", "SHEARED", "oblique_affine", "rigid"]


def _turn(axis: int, degrees: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = (n for n in range(3) if n != axis)
    found = np.eye(3)
    found[a, a] = found[b, b] = cosine
    found[a, b], found[b, a] = -sine, sine
    return found


#: A rotation around all three axes.
ROTATION = _turn(0, 25) @ _turn(1, -40) @ _turn(2, 70)

#: A regular affine matrix that turns, stretches, shears and moves.
SHEARED = np.eye(4)
SHEARED[:3, :3] = ROTATION @ np.array([[1.5, 0.2, 0], [0, 0.8, -0.3], [0, 0, 2.0]])
SHEARED[:3, 3] = (12, -34, 56)


def rigid() -> np.ndarray[Any, np.dtype[np.float64]]:
    """A rotation and a place, 4x4."""
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = ROTATION, (10, -20, 30.5)
    return found


def oblique_affine(spacing: tuple[float, float, float] = (0.7, 1.1, 2.5)) -> np.ndarray[Any, np.dtype[np.float64]]:
    """IJK → RAS of a grid, 4x4, mm: turned, of uneven steps."""
    found = rigid()
    found[:3, :3] = found[:3, :3] * spacing
    return found
