"""A small picture of a surface, made of its triangles by numpy: no view is asked, and none moves.

A window of OpenGL's would take a second where there is no graphics card.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np

from slicer_notebook.protocol.values import Array

__all__ = ["picture"]

#: Pixels of its edges: two for each CSS pixel of the card's picture.
_EDGE: Final = 240
#: Pixels that stay free on each side.
_MARGIN: Final = 6
#: Triangles that are looked at; of more, each n-th, for they are smaller than a pixel then.
_TRIANGLES: Final = 150_000
#: Places on the surface that are drawn: some two for each pixel of each of its sides.
_PLACES: Final = 150_000
#: Part of the colour that what is seen from the side has.
_AMBIENT: Final = 0.3
#: Light comes from before the patient, a little from above and from the right.
_LIGHT: Final = np.array([0.35, 0.85, 0.4]) / np.linalg.norm([0.35, 0.85, 0.4])


def picture(points: Array, triangles: Array, color: tuple[float, float, float]) -> bytes:
    """PNG [240, 240] with a transparent background: the surface from before the patient, R at the left, S at the top.

    Args:
        points: [n, 3], RAS.
        triangles: [n, 3], indices into them.
        color: r, g, b, 0 to 1.

    Returns:
        b"" where nothing of it could be seen.
    """
    from PIL import Image

    if len(triangles) == 0:
        return b""
    own = triangles[:: -(-len(triangles) // _TRIANGLES)]
    used = np.asarray(points, dtype=np.float64)[own.reshape(-1)]
    # Column by column: numpy takes ten times as long for both at once.
    low = np.array([used[:, axis].min() for axis in range(3)])
    high = np.array([used[:, axis].max() for axis in range(3)])
    size = max(high[0] - low[0], high[2] - low[2])
    if not size > 0:
        return b""
    scale = (_EDGE - 2 * _MARGIN - 2) / size
    # Screen: x to the left of the patient, y down, depth towards the viewer; all in pixels.
    middle = (low + high) / 2
    seen = ((used - middle) * scale).reshape(-1, 3, 3)
    place, shade = _drawn(seen)
    column = np.rint(_EDGE / 2 - 0.5 - place[:, 0]).astype(np.int64)
    row = np.rint(_EDGE / 2 - 0.5 - place[:, 2]).astype(np.int64)
    # Each place is two by two pixels, so that hardly any is left through which the other side would be seen. The last
    # one that is written stays: the nearest.
    order = np.argsort(place[:, 1].astype(np.float32))
    pixel = (row * _EDGE + column)[order, None] + np.array([0, 1, _EDGE, _EDGE + 1])
    row_of_pixels = np.full(_EDGE * _EDGE, np.nan, dtype=np.float32)
    row_of_pixels[pixel.reshape(-1)] = np.repeat(shade[order], 4)
    light = row_of_pixels.reshape(_EDGE, _EDGE)
    there = np.isfinite(light)
    rgba = np.zeros((_EDGE, _EDGE, 4), np.uint8)
    rgba[there, :3] = np.clip(255 * light[there, None] * np.asarray(color), 0, 255)
    rgba[there, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    return buffer.getvalue()


def _drawn(corners: Array) -> tuple[Array, Array]:
    """Places on triangles [n, 3, 3], evenly over what is seen of them, and how light each is."""
    first, one, two = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(one, two)
    length = np.linalg.norm(across, axis=1)
    # What is seen from the side still has an edge that is seen.
    seen = np.abs(across[:, 1]) + 0.05 * length + 1e-12
    total = np.cumsum(seen)
    where = (np.arange(_PLACES) + 0.5) * (total[-1] / _PLACES)
    number = np.searchsorted(total, where).clip(max=len(corners) - 1)
    random = np.random.default_rng(0).random((_PLACES, 2))
    random = np.where(random.sum(1, keepdims=True) > 1, 1 - random, random)
    place = first[number] + random[:, :1] * one[number] + random[:, 1:] * two[number]
    towards: Any = np.abs(across @ _LIGHT) / np.maximum(length, 1e-12)
    return place, (_AMBIENT + (1 - _AMBIENT) * towards)[number]
