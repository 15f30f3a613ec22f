"""Errors as answers: ``{"error": {"kind", "message", "expected", "got", "hint", "details"}}`` and a fitting status."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec
from starlette.responses import Response

from slicer_notebook import errors
from slicer_notebook.protocol.values import error_info, printable

__all__ = ["STATUSES", "HttpError", "described", "refusal", "response_of", "status_of"]

_log = logging.getLogger("slicer_notebook.gateways")

#: The first class that an error is of decides.
STATUSES: Final[tuple[tuple[type[errors.SlicerNotebookError], int], ...]] = (
    (errors.CommandNotFoundError, 404),
    (errors.NodeNotFoundError, 404),
    (errors.UidNotFoundError, 404),
    (errors.ViewNotFoundError, 404),
    (errors.ItemNotFoundError, 404),
    (errors.PacsNotFoundError, 404),
    (errors.PathNotFoundError, 404),
    (errors.AmbiguousNameError, 409),
    (errors.InputError, 422),
    (errors.SeriesRefusedError, 422),
    (errors.RemoteError, 422),
    (errors.LinkRefusedError, 403),
    (errors.LinkError, 422),
    (errors.JobCancelledError, 409),
    (errors.DeadlineError, 504),
    (errors.PacsConfigError, 500),
    (errors.StorageError, 507),
    (errors.PacsUnreachableError, 504),
    (errors.PacsError, 502),
    (errors.GatewayError, 409),
    (errors.OpenIGTLinkError, 502),
    (errors.QtRequiredError, 501),
    (errors.RenderingError, 503),
)
_NO_CACHE: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
#: Kinds of what is wrong with a request as such, by status.
_KINDS: Final = {
    400: "RequestError", 401: "TokenError", 403: "RefusedError", 404: "NotFoundError", 405: "MethodError",
    406: "NotAcceptableError", 408: "RequestError", 410: "GoneError", 413: "TooLargeError", 415: "MediaTypeError",
    422: "ArgumentError",
    429: "BusyError", 431: "TooLargeError", 503: "BusyError",
}  # fmt: skip


class HttpError(Exception):
    """What is wrong with a request as such, before any command has it. Never reaches a notebook."""

    def __init__(
        self, status: int, message: str, *, expected: str | None = None, got: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.words = {"expected": expected, "got": got, "hint": hint}


def status_of(error: BaseException) -> int:
    """The status that says best what kind of error it is."""
    if isinstance(error, HttpError):
        return error.status
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def described(error: BaseException) -> dict[str, Any]:
    """What is sent of an error: the same of what a command raised, and of a request that is none."""
    if isinstance(error, HttpError):
        return {"kind": _KINDS.get(error.status, "Error"), "message": str(error), **error.words, "details": {}}
    info = error_info(error)
    details = dict(info.get("details") or {})
    if isinstance(error, errors.RemoteError) and error.remote_traceback:
        # The client's own code: where it failed is theirs to know.
        details["traceback"] = error.remote_traceback
    if info.get("vtk_errors"):
        details["slicer"] = info["vtk_errors"]
    words = {name: info.get(name) for name in ("expected", "got", "hint")}
    plain: dict[str, Any] = printable({"kind": info["type"], "message": info["message"], **words})
    plain["details"] = _plain_details(details)
    return plain


def _plain_details(details: dict[str, Any]) -> Any:
    try:
        return msgspec.json.decode(msgspec.json.encode(printable(details)))
    except (TypeError, ValueError, RecursionError):
        return {}


def response_of(error: BaseException) -> Response:
    """The answer."""
    status = status_of(error)
    if status == 500 and not isinstance(error, errors.SlicerNotebookError):
        # Its words may have secrets in them, and are the client's; the log has its class alone.
        _log.error("A command ended in %s.", type(error).__name__)
    body = msgspec.json.encode({"error": described(error)})
    headers = dict(_NO_CACHE)
    if status in (429, 503):
        headers["Retry-After"] = "1"
    return Response(body, status, headers, media_type="application/json")


def refusal(status: int, message: str) -> Response:
    """What the guard refuses, in this form."""
    return response_of(HttpError(status, message))
