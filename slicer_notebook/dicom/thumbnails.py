"""A picture of a series: its middle slice, windowed, or a card in words where there is no picture to show."""

from __future__ import annotations

import io
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.load import VolumeData, read
from slicer_notebook.dicom.pixels import read_stored
from slicer_notebook.dicom.plans import SeriesPlan, VolumePlan
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import ArgumentError, FileFormatError, SeriesRefusedError

__all__ = ["RENDERER", "Drawn", "check_size", "drawn", "thumbnail"]

#: Raised with every change of what thumbnails look like, or of what plans say in words: kept ones are drawn anew.
RENDERER: Final = 1

MIN_SIZE: Final = 16
MAX_SIZE: Final = 2048
#: Percentiles of the values that become black and white where the header names no window.
BLACK, WHITE = 0.5, 99.5
#: Values that they are taken from, about, where there are more.
SAMPLE: Final = 1 << 18

#: Refusals that have a picture all the same.
_PICTURES: Final = frozenset(
    {
        Reason.ENHANCED_MULTIFRAME, Reason.MULTIFRAME, Reason.MOSAIC, Reason.COLOUR, Reason.PALETTE_COLOUR,
        Reason.NO_POSITION, Reason.NO_SPACING, Reason.BAD_ORIENTATION, Reason.SAME_POSITION, Reason.SEVERAL_VOLUMES,
        Reason.MISSING_SLICES, Reason.UNEVEN_SLICES, Reason.MODALITY_LUT, Reason.RT_DOSE, Reason.UID_CONFLICT,
        Reason.SLIDE, Reason.VIDEO, Reason.PARAMETRIC_MAP,
    }
)  # fmt: skip

Pixels = npt.NDArray[Any]


class Drawn(NamedTuple):
    """A thumbnail.

    Attributes:
        png: its bytes.
        lasting: False where a file could not be read or decoded, which may be otherwise the next time.
    """

    png: bytes
    lasting: bool


def thumbnail(plan: SeriesPlan, size: int = 128) -> bytes:
    """PNG of the middle slice of a series' largest volume, fitted in ``size`` x ``size`` pixels, its aspect right.

    A series that is refused as a volume shows its middle file or frame where it has pixels, else a card that names
    what it is. Grey, 8 bits; colour where the images are.

    Raises:
        ArgumentError: ``size`` is not between 16 and 2048.
    """
    return drawn(plan, size).png


def check_size(size: int) -> None:
    """Raises `ArgumentError` when ``size`` is none that a thumbnail can have."""
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ArgumentError("The size of a thumbnail.", expected=f"{MIN_SIZE} to {MAX_SIZE} pixels", got=str(size))


def drawn(plan: SeriesPlan, size: int = 128) -> Drawn:
    """As `thumbnail`, and whether it would be the same the next time."""
    check_size(size)
    lasting = True
    try:
        picture = _picture(plan)
    except (SeriesRefusedError, FileFormatError, OSError):
        picture, lasting = None, False
    if picture is None:
        return Drawn(_png(_card(plan, size)), lasting)
    pixels, (height, width) = picture
    scale = size / max(height, width)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Drawn(_png(Image.fromarray(pixels).resize(target, Image.Resampling.BILINEAR, reducing_gap=3.0)), lasting)


def _picture(plan: SeriesPlan) -> tuple[Pixels, tuple[float, float]] | None:
    """Pixels (uint8, [rows, columns] or [rows, columns, 3]) and the extent they stand for (height, width)."""
    planned = [(sequence.volumes[len(sequence.volumes) // 2], len(sequence.volumes)) for sequence in plan.sequences]
    planned += [(volume, 1) for volume in [*plan.volumes, *plan.images]]
    if planned:
        # The largest: not the localizer beside it.
        volume, _ = max(planned, key=lambda each: each[1] * each[0].shape[0])
        k = len(volume.instances) // 2
        # The slice as it was measured, not resampled.
        one = msgspec.structs.replace(
            volume, instances=[volume.instances[k]], shape=(1, *volume.shape[1:]), resampling=None, doubles=[]
        )
        data = read(one)
        shown = data.array[0] if volume.samples == 3 else _grey(data, one)
        return _bytes(shown), (shown.shape[0] * volume.spacing[1], shown.shape[1] * volume.spacing[0])
    for refusal in plan.refused:
        if refusal.reason in _PICTURES and refusal.files:
            return _decoded(refusal.files[len(refusal.files) // 2])
    return None


def _bytes(shown: Pixels) -> Pixels:
    """Colours of 16 bits as 8."""
    if shown.dtype == np.uint8:
        return np.ascontiguousarray(shown)
    # Sixteen bits may hold fewer, such as twelve.
    bits = max(8, int(shown.max()).bit_length())
    narrowed: Pixels = (shown >> (bits - 8)).astype(np.uint8)
    return narrowed


def _grey(data: VolumeData, plan: VolumePlan) -> Pixels:
    values = data.array[0].astype(np.float32)
    window_level = data.window_level
    if window_level is None:
        window_level = _automatic(_without_padding(values, plan.instances[0].PixelPaddingValue, plan))
    return _windowed(values, window_level, data.inverted)


def _without_padding(values: Pixels, padding: int | None, plan: VolumePlan) -> Pixels:
    """Values that count for an automatic window: padding outside the scanned circle does not."""
    if padding is None:
        return values
    instance = plan.instances[0]
    slope = 1.0 if instance.RescaleSlope is None else instance.RescaleSlope
    intercept = 0.0 if instance.RescaleIntercept is None else instance.RescaleIntercept
    kept: Pixels = values[values != np.float32(padding * slope + intercept)]
    return kept if kept.size else values


def _automatic(values: Pixels) -> tuple[float, float]:
    """Window and level in which all but the darkest and the brightest values can be told apart."""
    # An odd step, so that it does not fall on one column again and again.
    step = values.size // SAMPLE | 1
    some = values.ravel()[::step]
    some = some[np.isfinite(some)]
    if not some.size:
        return 1.0, 0.0
    low, high = (float(value) for value in np.percentile(some, (BLACK, WHITE)))
    return high - low, (low + high) / 2


def _windowed(values: Pixels, window_level: tuple[float, float], inverted: bool) -> Pixels:
    """Values (float32, which are written over) as greys from 0 to 255."""
    window, level = window_level
    if window <= 0:
        window, level = 1.0, level + 0.5
    values[np.isnan(values)] = -np.inf
    values -= level - window / 2
    values *= 255.0 / window
    np.clip(values, 0, 255, out=values)
    if inverted:
        np.subtract(255, values, out=values)
    grey: Pixels = np.rint(values, out=values).astype(np.uint8)
    return grey


def _decoded(path: str) -> tuple[Pixels, tuple[float, float]] | None:
    """The middle frame of a file that is no slice; None when it cannot be shown."""
    try:
        instance = read_header(path)
        frame = msgspec.structs.replace(instance, frame=(instance.NumberOfFrames or 1) // 2)
        pixels = read_stored(frame)
    except (NotTakenError, KeyError):
        return None
    if pixels.ndim == 3:
        return _bytes(pixels), _extent(instance, pixels)
    values = pixels.astype(np.float32)
    shown = _windowed(values, _automatic(values), instance.PhotometricInterpretation == "MONOCHROME1")
    return np.ascontiguousarray(shown), _extent(instance, shown)


def _extent(instance: Instance, shown: Pixels) -> tuple[float, float]:
    """Height and width that the pixels stand for: millimetres, or pixels of the aspect that the header gives."""
    down, across = 1.0, 1.0
    for spacing in (instance.PixelSpacing, instance.ImagerPixelSpacing, instance.PixelAspectRatio):
        if spacing is not None and len(spacing) == 2 and min(spacing) > 0:
            down, across = spacing
            break
    return shown.shape[0] * down, shown.shape[1] * across


def _card(plan: SeriesPlan, size: int) -> Image.Image:
    """A dark card with the modality and, below it, what the series is."""
    card = Image.new("L", (size, size), 40)
    draw = ImageDraw.Draw(card)
    title = plan.Modality or "?"
    words = plan.refused[0].reason.value if plan.refused else "no image"
    for text, height, part in ((title, 0.4, 0.25), (words, 0.72, 0.1)):
        font = ImageFont.load_default(max(8.0, size * part))
        wide = draw.textlength(text, font=font)
        if wide > 0.9 * size:  # RTSTRUCT
            font = ImageFont.load_default(max(6.0, size * part * 0.9 * size / wide))
        draw.text((size / 2, size * height), text, fill=220, font=font, anchor="mm")
    return card


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
