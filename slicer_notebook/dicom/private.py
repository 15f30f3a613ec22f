"""Facts that makers keep in private attributes: b-values, and images that are grids of slices.

Private elements belong to the block whose creator they name (PS3.5 §7.8): (gggg,00bb) holds the creator's name, and
(gggg,bbee) its element ee. The elements used here, by maker:

- Siemens ``SIEMENS MR HEADER``: (0019,xx0A) images in mosaic US, (0019,xx0C) b-value IS, (0019,xx0E) gradient
  direction FD3;
- GE ``GEMS_PARM_01``: (0043,xx39) IS, the first value is the b-value, plus an offset of 1e9 on newer systems;
- Philips ``Philips Imaging DD 001``: (2001,xx03) b-value FL; ``Philips MR Imaging DD 001``: (2005,xxB0), (2005,xxB1),
  (2005,xxB2) FL gradient direction towards left, posterior, head;
- UIH ``Image Private Header``: (0065,xx09) b-value FD, (0065,xx37) gradient direction FD3 (in the
  image's own axes), (0065,xx50) images in grid;
- Canon and Toshiba say it in Image Comments (0020,4000): ``b=1000(0.5,0.5,0.7)``, the direction in axes of their own,
  which is not used.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

__all__ = ["private_facts"]

_GE_B_VALUE_OFFSET = 1_000_000_000
_PHILIPS = (0xB0, 0xB1, 0xB2)
_IN_COMMENTS = re.compile(r"\s*b=(\d+(?:\.\d+)?)\(")


class _Private:
    """Private elements, looked up by their creator's name."""

    def __init__(self, elements: dict[int, bytes], order: str) -> None:
        self.elements = elements
        self.order = order
        self.blocks: dict[tuple[int, str], list[int]] = {}
        for tag in [tag for tag in elements if tag & 0x10000]:
            # A creator's own element is (gggg,0010) to (gggg,00FF) with an odd group.
            if 0x10 <= tag & 0xFFFF <= 0xFF:
                name = elements[tag].decode("ascii", "replace").strip("\0 ").upper()
                self.blocks.setdefault((tag >> 16, name), []).append((tag & 0xFF) << 8)

    def get(self, group: int, creator: str, element: int) -> bytes | None:
        """The value of (group, xx element) in the creator's block; None when absent."""
        for block in self.blocks.get((group, creator), ()):
            value = self.elements.get(group << 16 | block | element)
            if value is not None:
                return value
        return None


def _number(raw: bytes | None, code: str | None, order: str) -> float | None:
    """The first number of a value: binary as ``code`` says, text where its length does not fit that."""
    if not raw:
        return None
    if code is not None and len(raw) == struct.calcsize(code):
        (value,) = struct.unpack(order + code, raw)
        return float(value)
    try:
        number = float(raw.split(b"\\")[0].decode("ascii", "replace").strip("\0 "))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _b_value(private: _Private, values: dict[str, Any]) -> float | None:
    value = _number(private.get(0x0019, "SIEMENS MR HEADER", 0x0C), None, private.order)
    if value is None:
        value = _number(private.get(0x2001, "PHILIPS IMAGING DD 001", 0x03), "f", private.order)
    if value is None:
        value = _number(private.get(0x0065, "IMAGE PRIVATE HEADER", 0x09), "d", private.order)
    if value is None:
        value = _number(private.get(0x0043, "GEMS_PARM_01", 0x39), None, private.order)
        if value is not None and value >= _GE_B_VALUE_OFFSET:
            value %= _GE_B_VALUE_OFFSET
    if value is None and str(values.get("Manufacturer", "")).upper().startswith(("CANON", "TOSHIBA")):
        said = _IN_COMMENTS.match(str(values.get("ImageComments", "")))
        value = float(said[1]) if said is not None else None
    return value


def _vector(raw: bytes | None, order: str) -> list[float] | None:
    """Three numbers that are not all zero, as makers write for no direction."""
    if raw is None or len(raw) != struct.calcsize("3d"):
        return None
    values = list(struct.unpack(order + "3d", raw))
    return values if any(values) and all(map(math.isfinite, values)) else None


def _direction(private: _Private, values: dict[str, Any]) -> list[float] | None:
    """Gradient direction in patient coordinates (LPS)."""
    direction = _vector(private.get(0x0019, "SIEMENS MR HEADER", 0x0E), private.order)
    if direction is not None:
        return direction
    parts = [
        _number(private.get(0x2005, "PHILIPS MR IMAGING DD 001", element), "f", private.order) for element in _PHILIPS
    ]
    if any(parts) and None not in parts:
        return [part for part in parts if part is not None]
    in_image = _vector(private.get(0x0065, "IMAGE PRIVATE HEADER", 0x37), private.order)
    cosines = values.get("ImageOrientationPatient")
    if in_image is None or cosines is None or len(cosines) != 6:
        return None
    # UIH measures it along the image's rows, columns and normal.
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    across, down, through = in_image
    return [
        across * row + down * column + through * n for row, column, n in zip((a, b, c), (d, e, f), normal, strict=True)
    ]


def _mosaic(private: _Private, values: dict[str, Any]) -> str | None:
    image_type = [str(part).upper() for part in values.get("ImageType") or []]
    images = _number(private.get(0x0019, "SIEMENS MR HEADER", 0x0A), "H", private.order)
    if "MOSAIC" in image_type or (images is not None and images > 1):
        return "siemens"
    tiles = _number(private.get(0x0065, "IMAGE PRIVATE HEADER", 0x50), None, private.order)
    if "VFRAME" in image_type or (tiles is not None and tiles > 1):
        return "uih"
    return None


def private_facts(elements: dict[int, bytes], values: dict[str, Any], order: str) -> dict[str, Any]:
    """Fields of `Instance` that come from private attributes; standard attributes win where both are there.

    Args:
        elements: tag -> value of the private groups.
        values: the fields found in standard attributes.
        order: ``<`` or ``>``, the data set's byte order.
    """
    facts: dict[str, Any] = {}
    private = _Private(elements, order)
    if "DiffusionBValue" not in values and (b_value := _b_value(private, values)) is not None:
        facts["DiffusionBValue"] = b_value
    if "DiffusionGradientOrientation" not in values and (direction := _direction(private, values)) is not None:
        facts["DiffusionGradientOrientation"] = direction
    if (mosaic := _mosaic(private, values)) is not None:
        facts["mosaic"] = mosaic
    return facts
