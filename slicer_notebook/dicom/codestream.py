"""What a compressed frame says of itself: JPEG and JPEG-LS markers (ISO 10918-1, 14495-1), JPEG 2000's (15444-1).

PS3.5 §8.2 has these decide over the data set where the two differ.
"""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

__all__ = [
    "Codestream",
    "CodestreamError",
    "jpeg_2000_codestream",
    "jpeg_2000_is_whole",
    "jpeg_codestream",
    "jpeg_is_whole",
]

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP14 = 0xE0, 0xEE
#: Start of frame: Huffman and arithmetic processes, and JPEG-LS.
_SOF: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_SOF_LOSSLESS: Final = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
_RGB_IDS: Final = ((82, 71, 66), (114, 103, 98))
#: Markers with no segment after them.
_BARE: Final = frozenset({0x01, _SOI, *range(0xD0, 0xD8)})
#: In a scan: FF before a marker, not a stuffed byte (FF00), a restart or a fill byte. JPEG-LS stuffs bits: there a
#: marker's byte has its highest bit set.
_IN_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_IN_LS_SCAN: Final = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")


class CodestreamError(Exception):
    """A frame that does not begin as its transfer syntax says. Never reaches a user."""


class Codestream(NamedTuple):
    """The head of a compressed frame."""

    rows: int
    columns: int
    components: int
    #: bits of a sample
    precision: int
    #: samples are signed; None where the format cannot say (all JPEG but JPEG 2000)
    signed: bool | None
    lossless: bool
    #: chrominance is kept at a lower resolution
    subsampled: bool
    #: the samples are red, green and blue (True) or luminance and chrominance (False); None when it does not say.
    #: JPEG 2000's own transform is undone by its decoder, so that "RGB" is what comes out of it.
    rgb: bool | None


def jpeg_codestream(data: bytes) -> Codestream:
    """The head of a JPEG or JPEG-LS frame.

    Raises:
        CodestreamError: it is none.
    """
    try:
        return _jpeg(data)
    except (struct.error, IndexError) as exc:
        raise CodestreamError("a JPEG frame that ends in its header") from exc


def _jpeg(data: bytes) -> Codestream:  # noqa: PLR0912 - a segment of each kind, in one place
    if data[:2] != b"\xff\xd8":
        raise CodestreamError("a frame that is no JPEG")
    at, rgb, jfif = 2, None, False
    frame: tuple[int, int, int, int, list[bytes]] | None = None
    marker = 0
    while True:
        if data[at] != 0xFF:
            raise CodestreamError("a JPEG frame with a damaged header")
        found = data[at + 1]
        at += 1
        if found == 0xFF:  # padding before a marker
            continue
        at += 1
        if found in _BARE:
            continue
        if found in (_SOS, _EOI):
            break
        (length,) = struct.unpack_from(">H", data, at)
        segment = data[at + 2 : at + length]
        at += length
        if found == _APP0 and segment.startswith(b"JFIF\0"):
            jfif = True
        elif found == _APP14 and segment.startswith(b"Adobe") and len(segment) >= 12:
            rgb = {0: True, 1: False}.get(segment[11])
        elif found in _SOF and frame is None:
            precision, rows, columns, count = struct.unpack_from(">BHHB", segment)
            frame = precision, rows, columns, count, [segment[6 + 3 * n : 9 + 3 * n] for n in range(count)]
            marker = found
    if frame is None:
        raise CodestreamError("a JPEG frame without a frame header")
    precision, rows, columns, count, components = frame
    if any(len(each) < 3 for each in components):
        raise CodestreamError("a JPEG frame with a damaged header")
    subsampled = len({each[1] for each in components}) > 1
    if tuple(each[0] for each in components) in _RGB_IDS:
        rgb = True
    if rgb is None and jfif:
        rgb = False
    if subsampled:
        rgb = False
    lossless = marker in _SOF_LOSSLESS or marker == 0xF7
    return Codestream(rows, columns, count, precision, None, lossless, subsampled, rgb if count == 3 else None)


def jpeg_2000_codestream(data: bytes) -> Codestream:
    """The head of a JPEG 2000 or HTJ2K frame, also where it is wrapped in a JP2 file.

    Raises:
        CodestreamError: it is none.
    """
    start = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0:
        raise CodestreamError("a frame that is no JPEG 2000")
    try:
        # Annex A.5.1: Lsiz, Rsiz, Xsiz, Ysiz, XOsiz, YOsiz, XTsiz, YTsiz, XTOsiz, YTOsiz, Csiz
        x, y, x0, y0 = struct.unpack_from(">4I", data, start + 8)
        (count,) = struct.unpack_from(">H", data, start + 40)
        parts = [struct.unpack_from(">3B", data, start + 42 + 3 * n) for n in range(count)]
        transformed = _multiple_component_transform(data, start + 42 + 3 * count)
    except struct.error as exc:
        raise CodestreamError("a JPEG 2000 frame that ends in its header") from exc
    if not parts or len({depth for depth, _, _ in parts}) > 1:
        raise CodestreamError("a JPEG 2000 frame whose components differ in kind")
    depth = parts[0][0]
    subsampled = any((dx, dy) != (1, 1) for _, dx, dy in parts)
    return Codestream(
        rows=y - y0,
        columns=x - x0,
        components=count,
        precision=(depth & 0x7F) + 1,
        signed=bool(depth & 0x80),
        lossless=False,
        subsampled=subsampled,
        rgb=True if transformed and count == 3 else None,
    )


def _multiple_component_transform(data: bytes, at: int) -> bool:
    """Whether the coding style (COD, annex A.6.1) says that components were transformed."""
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == 0xFF52:
            return data[at + 8] != 0
        if marker in (0xFF90, 0xFF93, 0xFFD9) or marker >> 8 != 0xFF:
            return False
        at += 2 + length


def jpeg_is_whole(data: bytes, *, jpeg_ls: bool = False) -> bool:
    """Whether the scans of a JPEG or JPEG-LS frame go on to its end (EOI): decoders make up what was cut off."""
    at, scan = 2, _IN_LS_SCAN if jpeg_ls else _IN_SCAN
    found = None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _EOI:
            return True
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + length
        if marker == _SOS:
            found = scan.search(data, at)
            if found is None:
                return False
            at = found.start()
    return found is not None and data[at : at + 2] == b"\xff\xd9"


def jpeg_2000_is_whole(data: bytes) -> bool:
    """Whether the tile-parts of a JPEG 2000 frame are all there, by their lengths (annex A.4.2) or its end (EOC)."""
    # Writers pad to an even length with other bytes than 0, too.
    if data.rstrip(b"\0").endswith(b"\xff\xd9") or data[:-1].endswith(b"\xff\xd9"):
        return True
    # The end may be missing where nothing else is.
    at = data.find(b"\xff\x90")
    while at >= 0 and at + 12 <= len(data) and data[at : at + 2] == b"\xff\x90":
        (length,) = struct.unpack_from(">I", data, at + 6)
        if length == 0:  # up to the end, which is not there
            return False
        at += length
    return at in (len(data), len(data) - 1)
