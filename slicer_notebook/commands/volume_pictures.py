"""A small picture of a volume, made of its voxels: no view is asked, and none moves. And where its axes lead."""

from __future__ import annotations

import io
import itertools
import math
from typing import Any, Final

import numpy as np

from slicer_notebook.protocol.values import Array

__all__ = ["anatomical_axes", "axes_in_words", "middle_slice", "table_colors"]

#: Pixels of the picture's longer edge: two for each CSS pixel of the card's picture.
_EDGE: Final = 240
#: Where an axis leads along +R, +A, +S and the other way.
_LETTERS: Final = (("R", "L"), ("A", "P"), ("S", "I"))
_PLANES: Final = {"R": "sagittal", "L": "sagittal", "A": "coronal", "P": "coronal", "S": "axial", "I": "axial"}
#: To where the right and the bottom of Slicer's slice views lead.
_SHOWN: Final = {"axial": ("L", "P"), "coronal": ("L", "I"), "sagittal": ("P", "I")}
_SAME: Final = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
#: Degrees below which an axis is called straight.
_STRAIGHT: Final = 0.1


def anatomical_axes(affine: Array) -> str:
    """Where i, j and k lead, a letter each, such as "LPS": the nearest of R, L, A, P, S, I, each axis once.

    Args:
        affine: 4x4, IJK → RAS.
    """
    cosines = _cosines(affine)
    best = max(itertools.permutations(range(3)), key=lambda order: sum(abs(cosines[order[c], c]) for c in range(3)))
    return "".join(_LETTERS[axis][0 if cosines[axis, c] > 0 else 1] for c, axis in enumerate(best))


def _cosines(affine: Array) -> Array:
    columns = np.asarray(affine, dtype=np.float64)[:3, :3]
    found: Array = columns / np.linalg.norm(columns, axis=0)
    return found


def axes_in_words(affine: Array) -> str:
    """Such as "axial slices; i, j, k lead to L, P, S; tilted by 12°"."""
    letters = anatomical_axes(affine)
    cosines = _cosines(affine)
    nearest = [abs(cosines[_SAME[letter], column]) for column, letter in enumerate(letters)]
    tilt = math.degrees(math.acos(min(1.0, *nearest)))
    words = f"{_PLANES[letters[2]]} slices; i, j, k lead to {', '.join(letters)}"
    return words + (f"; tilted by {tilt:.3g}°" if tilt > _STRAIGHT else "")


def table_colors(color: Any) -> Array:
    """Colours of 0 to 255 as a colour node has them: uint8 [256, 4]; grey where there is none."""
    mapping = color.GetScalarsToColors() if color is not None else None
    if mapping is None:
        grey = np.arange(256)
        return np.stack([grey, grey, grey, np.full(256, 255)], axis=1).astype(np.uint8)
    return _mapped(mapping, np.arange(256))


def _mapped(mapping: Any, values: Array) -> Array:
    """uint8 [n, 4]: red, green, blue, opacity of each value."""
    found = np.empty((len(values), 4))
    rgb = [0.0, 0.0, 0.0]
    for row, value in enumerate(values):
        mapping.GetColor(float(value), rgb)
        found[row] = (*rgb, mapping.GetOpacity(float(value)))
    colors: Array = (np.clip(found, 0, 1) * 255).round().astype(np.uint8)
    return colors


def middle_slice(
    voxels: Array, shown: dict[str, Any], color: Any, spacing: tuple[float, float, float], axes: str | None
) -> bytes:
    """PNG of the middle slice along k, as the volume is shown, its pixels of one size in mm.

    Args:
        voxels: [k, j, i] or [k, j, i, component].
        shown: what ``volume.display`` tells.
        color: the colour node, or None.
        spacing: mm along i, j, k.
        axes: where i, j, k lead: turned as Slicer's slice views show it; as it is stored without.
    """
    # Before anything is computed: a slice of 4096 x 4096 pixels has more than the picture can show.
    pixels = voxels[len(voxels) // 2]
    steps = [max(1, size // (2 * _EDGE)) for size in pixels.shape[:2]]
    pixels = pixels[:: steps[0], :: steps[1]]
    width, height = pixels.shape[1] * steps[1] * spacing[0], pixels.shape[0] * steps[0] * spacing[1]
    if axes is not None:
        right, down = _SHOWN[_PLANES[axes[2]]]
        i, j = axes[0], axes[1]
        if _SAME[i] != _SAME[right]:
            pixels, i, j, width, height = pixels.swapaxes(0, 1), j, i, height, width
        pixels = pixels[:: 1 if j == down else -1, :: 1 if i == right else -1]
    scale = _EDGE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    draw = _labels if shown["kind"] == "label" else _grey if pixels.ndim == 2 else _color
    buffer = io.BytesIO()
    draw(pixels, shown, color, size).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _labels(pixels: Array, _shown: dict[str, Any], color: Any, size: tuple[int, int]) -> Any:
    """Each label in its colour; nothing where there is none."""
    from PIL import Image

    labels, places = np.unique(pixels, return_inverse=True)
    mapping = color.GetScalarsToColors() if color is not None else None
    colors = table_colors(None)[labels % 256] if mapping is None else _mapped(mapping, labels)
    colors[labels == 0, 3] = 0
    found = colors[places.reshape(pixels.shape)]
    return Image.fromarray(found).resize(size, Image.Resampling.NEAREST)


def _grey(pixels: Array, shown: dict[str, Any], color: Any, size: tuple[int, int]) -> Any:
    """Window and level make 0 to 255 of the values, the table makes colours of those: after resizing, as in Slicer."""
    from PIL import Image

    picture = Image.fromarray(_windowed(pixels, shown)).resize(size, Image.Resampling.BILINEAR)
    picture.putpalette(table_colors(color)[:, :3].tobytes())
    if shown["threshold"] is not None:
        low, high = shown["threshold"]
        inside = Image.fromarray(((pixels >= low) & (pixels <= high)).astype(np.uint8) * 255)
        picture = picture.convert("RGB")
        picture.putalpha(inside.resize(size, Image.Resampling.NEAREST))
    return picture


def _color(pixels: Array, shown: dict[str, Any], _table: Any, size: tuple[int, int]) -> Any:
    """The first three components as red, green and blue; of two, the first as grey."""
    from PIL import Image

    some = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., 0]
    return Image.fromarray(_windowed(some, shown)).resize(size, Image.Resampling.BILINEAR)


def _windowed(pixels: Array, shown: dict[str, Any]) -> Array:
    """uint8: 0 at the lower end of the window and below it, 255 at the upper one; what is no number is 0."""
    window, level = shown["window_level"] or (255.0, 127.5)
    scaled = (pixels.astype(np.float32) - np.float32(level - window / 2)) * np.float32(255 / (window or 1.0))
    if pixels.dtype.kind == "f":
        scaled = np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    found: Array = np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)
    return np.ascontiguousarray(found)
