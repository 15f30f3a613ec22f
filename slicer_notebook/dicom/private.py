"""Facts that makers keep in private attributes: b-values, and images that are grids of slices.

Private elements belong to the block whose creator they name (PS3.5 §7.8): (gggg,00bb) holds the creator's name, and
(gggg,bbee) its element ee. The elements used here, by maker:

- Siemens ``SIEMENS MR HEADER`` (0019,xx0C) b-value IS, (0019,xx0E) gradient direction FD3, (0019,xx0A) images in mosaic US;
  ``SIEMENS MR HEADER`` (0051,xx0B) acquisition matrix text, as ``80*80`` (a mosaic has ``p`` only by chance);
- GE ``GEMS_PARM_01`` (0043,xx39) IS, the first value is the b-value plus an offset of 1e9 on newer systems;
- Philips ``Philips Imaging DD 001`` (2001,xx03) b-value FL, ``Philips Imaging DD 005``... not used;
- UIH ``Image Private Header`` (0065,xx09) b-value FD, (0065,xx37) gradient direction FD3, (0065,xx50) images in grid DS.
"""

from __future__ import annotations

import math
import struct
from typing import Any

__all__ = ["private_facts"]

_GE_B_VALUE_OFFSET = 1_000_000_000


def _block_element(elements: dict[int, bytes], group: int, creator: str, element: int) -> bytes | None:
    """The value of a private element, looked up by its creator's name."""
    for block in range(0x10, 0x100):
        name = elements.get(group << 16 | block)
        if name is not None and name.decode("ascii", "replace").strip("\0 ").upper() == creator:
            value = elements.get(group << 16 | block << 8 | element)
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


def _b_value(elements: dict[int, bytes], order: str) -> float | None:
    value = _number(_block_element(elements, 0x0019, "SIEMENS MR HEADER", 0x0C), None, order)
    if value is None:
        value = _number(_block_element(elements, 0x2001, "PHILIPS IMAGING DD 001", 0x03), "f", order)
    if value is None:
        value = _number(_block_element(elements, 0x0065, "IMAGE PRIVATE HEADER", 0x09), "d", order)
    if value is None:
        value = _number(_block_element(elements, 0x0043, "GEMS_PARM_01", 0x39), None, order)
        if value is not None and value >= _GE_B_VALUE_OFFSET:
            value %= _GE_B_VALUE_OFFSET
    return value


def _direction(elements: dict[int, bytes], order: str) -> list[float] | None:
    for group, creator, element in ((0x0019, "SIEMENS MR HEADER", 0x0E), (0x0065, "IMAGE PRIVATE HEADER", 0x37)):
        raw = _block_element(elements, group, creator, element)
        if raw is not None and len(raw) == struct.calcsize("3d"):
            return list(struct.unpack(order + "3d", raw))
    return None


def _mosaic(elements: dict[int, bytes], values: dict[str, Any], order: str) -> str | None:
    image_type = [str(part).upper() for part in values.get("ImageType") or []]
    images = _number(_block_element(elements, 0x0019, "SIEMENS MR HEADER", 0x0A), "H", order)
    if "MOSAIC" in image_type or (images is not None and images > 1):
        return "siemens"
    if "VFRAME" in image_type or _block_element(elements, 0x0065, "IMAGE PRIVATE HEADER", 0x50):
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
    if any(tag >> 16 in (0x0019, 0x0043, 0x0065, 0x2001) for tag in elements):
        if "DiffusionBValue" not in values and (b_value := _b_value(elements, order)) is not None:
            facts["DiffusionBValue"] = b_value
        if "DiffusionGradientOrientation" not in values and (direction := _direction(elements, order)) is not None:
            facts["DiffusionGradientOrientation"] = direction
    if (mosaic := _mosaic(elements, values, order)) is not None:
        facts["mosaic"] = mosaic
    return facts
