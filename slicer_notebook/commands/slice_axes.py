"""Directions in words: the letters that a slice view has at its edges."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

__all__ = ["letters", "opposite"]

#: Letters of the positive and the negative direction of each axis of RAS.
_LETTERS: Final = (("R", "L"), ("A", "P"), ("S", "I"))
_OPPOSITE: Final = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}
#: What is nearer than this to being at a right angle to an axis has no letter of it: 15 degrees.
_LEAST: Final = math.sin(math.radians(15))


def letters(direction: Iterable[float]) -> str:
    """Where a direction of RAS leads: "R", "LA", "SPL"; the dominant one first, one letter for each axis that counts.

    Args:
        direction: (R, A, S), of any length but 0.

    Returns:
        "" of a direction without length. An axis counts from 15 degrees off the plane at a right angle to it (as the
        letters of DICOM's Patient Orientation, PS3.3 C.7.6.1.1.1, but without its many letters for small angles).
    """
    values = [float(each) for each in direction]
    length = math.sqrt(sum(each**2 for each in values))
    if not length > 0:
        return ""
    parts = [(abs(each) / length, axis, each < 0) for axis, each in enumerate(values)]
    parts.sort(key=lambda part: (-part[0], part[1]))
    return "".join(_LETTERS[axis][negative] for size, axis, negative in parts if size >= _LEAST)


def opposite(words: str) -> str:
    """The letters of the opposite direction."""
    return "".join(_OPPOSITE[letter] for letter in words)
