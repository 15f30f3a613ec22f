"""Answers in SlicerWeb's form: content types without parameters, nothing cached, one form for all failures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from slicer_notebook.errors import error_in_words

__all__ = ["BINARY", "JSON", "PNG", "TEXT", "Pieces", "answer", "failed", "failure", "in_json", "in_text"]

# slicerio compares them as a whole.
JSON: Final = "application/json"
TEXT: Final = "text/plain"
PNG: Final = "image/png"
BINARY: Final = "application/octet-stream"


def _headers(kind: str, length: int) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", kind.encode("ascii")),
        (b"content-length", b"%d" % length),
        (b"cache-control", b"no-cache"),
    ]


def answer(body: bytes, kind: str, status: int = 200) -> Response:
    """An answer with a whole body."""
    response = Response(status_code=status)
    response.body = body
    response.raw_headers = _headers(kind, len(body))
    return response


def in_json(value: Any) -> Response:
    """An answer in JSON; what is no number there (infinity, NaN) is null."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), allow_nan=False)
    return answer(text.encode(), JSON)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_text(text: str) -> Response:
    """An answer in plain text."""
    return answer(text.encode(), TEXT)


def failure(status: int, message: str) -> Response:
    """A failure in words."""
    return answer(json.dumps({"success": False, "message": f"Server error: {message}"}).encode(), JSON, status)


def failed(error: BaseException) -> Response:
    """The answer to what raised this."""
    words = error_in_words(error)
    return failure(500, words["message"] + (f" {words['hint']}" if words["hint"] else ""))


class Pieces(Response):
    """An answer whose body is in memory in pieces, which go out as they are.

    Args:
        pieces: whatever has the buffer interface.
        length: bytes of all of them.
    """

    def __init__(self, pieces: Iterator[bytes | memoryview], length: int, kind: str = BINARY) -> None:
        super().__init__()
        self.raw_headers = _headers(kind, length)
        self._pieces = pieces

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
