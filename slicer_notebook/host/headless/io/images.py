"""Volumes from picture files (PNG, JPEG, BMP, TIFF), which slicer-core's ITK cannot read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

from slicer_notebook.errors import FileFormatError

__all__ = ["read"]


def read(paths: Sequence[str]) -> npt.NDArray[Any]:
    """Slices of the files in the order given: ``[k, j, i]``, or ``[k, j, i, component]`` for colour; row 0 is j = 0.

    Raises:
        FileFormatError: a file is no picture, or the slices differ in size or type.
    """
    slices: list[npt.NDArray[Any]] = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                slices.extend(_pixels(frame) for frame in ImageSequence.Iterator(picture))
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{Path(path).name} is no picture that can be read.", got=str(error)) from error
    kinds = {(each.shape, each.dtype) for each in slices}
    if len(kinds) != 1:
        raise FileFormatError(
            "The pictures of a stack must have one size and one type.",
            got=", ".join(f"{shape} {dtype}" for shape, dtype in sorted(kinds, key=str)),
        )
    return np.stack(slices)


def _pixels(frame: Image.Image) -> npt.NDArray[Any]:
    if frame.mode in ("1", "P", "CMYK", "YCbCr", "LAB", "HSV", "PA", "La", "RGBa"):
        frame = frame.convert("L" if frame.mode == "1" else "RGB")
    pixels = np.asarray(frame)
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # luminance and alpha
        pixels = pixels[..., 0]
    return pixels
