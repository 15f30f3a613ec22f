"""The checksum of OpenIGTLink: CRC-64 of ECMA-182, by the package fastcrc of the ``[gateways]`` extra."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from slicer_notebook.errors import OpenIGTLinkError
from slicer_notebook.igtl.bodies import Piece

__all__ = ["crc64"]


@cache
def _ecma_182() -> Callable[[Piece, int], int]:
    try:
        from fastcrc import crc64 as module
    except ImportError as exc:
        raise OpenIGTLinkError(
            "The package fastcrc is not installed.", hint="pip install 'slicer-notebook[gateways]'"
        ) from exc
    return module.ecma_182


def crc64(data: Piece, initial: int = 0) -> int:
    """CRC-64/ECMA-182: polynomial 42F0E1EBA9EA3693, not reflected, nothing added at the end.

    Args:
        data: the bytes, as one contiguous buffer.
        initial: what came out of the bytes before them.

    Raises:
        OpenIGTLinkError: fastcrc is not installed.
    """
    return _ecma_182()(data, initial)
