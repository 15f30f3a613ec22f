"""Statuses of DIMSE answers in words (PS3.7 annex C, PS3.4 B.2.3, C.4)."""

from __future__ import annotations

from typing import Final

from pynetdicom import status as pynetdicom_status

from slicer_notebook.errors import PacsAnswerError
from slicer_notebook.pacs.dimse.messages import Command

__all__ = ["NEVER_AGAIN", "failure", "status_words"]

#: Statuses after which the same request will not do better: SOP class not supported (also by instance), unrecognized
#: operation, move destination unknown, identifier does not match the SOP class, not authorized.
NEVER_AGAIN: Final = frozenset({0x0112, 0x0118, 0x0122, 0x0124, 0x0211, 0xA801, 0xA900})

_TABLES: Final = {
    "C-STORE": pynetdicom_status.STORAGE_SERVICE_CLASS_STATUS,
    "C-FIND": pynetdicom_status.QR_FIND_SERVICE_CLASS_STATUS,
    "C-GET": pynetdicom_status.QR_GET_SERVICE_CLASS_STATUS,
    "C-MOVE": pynetdicom_status.QR_MOVE_SERVICE_CLASS_STATUS,
}


def status_words(service: str, status: int) -> str:
    """What a status means, with its number: "Refused: Move destination unknown (A801)"."""
    table = _TABLES.get(service, pynetdicom_status.GENERAL_STATUS)
    category, text = table.get(status, ("Failure", "an unknown status"))
    return f"{text or category} ({status:04X})"


def failure(service: str, command: Command, peer: str) -> PacsAnswerError:
    """The error of an answer whose status says failure. The peer's Error Comment may name a patient: it is left out."""
    status = command.status if command.status is not None else 0xC000
    return PacsAnswerError(
        f"{peer} did not do the {service}.",
        expected="success",
        got=status_words(service, status),
        hint="The log of the PACS says more." if status >= 0xC000 else None,
        details={"status": status},
    )
