"""What the cases share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

Case = Callable[[Any, Path], None]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    """Decorator: the function is a case."""
    assert function.__name__ not in CASES, function.__name__
    CASES[function.__name__] = function
    return function


@contextmanager
def refused(kind: type[Exception], *words: str) -> Iterator[None]:
    """The block raises ``kind``, and its text has all of ``words``. (Slicer's own process has no pytest.)"""
    caught: Exception | None = None
    try:
        yield
    except kind as exc:
        caught = exc
    assert caught is not None, f"{kind.__name__} was not raised"
    missing = [word for word in words if word not in str(caught)]
    assert not missing, f"{missing} not in: {caught}"


def phantom() -> np.ndarray[Any, Any]:
    """int16 [5, 6, 7], every voxel different."""
    return np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7) - 100


#: IJK to RAS, mm: axes swapped and turned, spacing 1.5, 2 and 3.
AFFINE = np.array([[0.0, 0, 3, -20], [-1.5, 0, 0, 4], [0, -2, 0, 60.5], [0, 0, 0, 1]])


def block() -> np.ndarray[Any, Any]:
    """uint8 [40, 40, 40] with a bright box."""
    array = np.zeros((40, 40, 40), np.uint8)
    array[10:30, 8:28, 12:32] = 200
    return array
