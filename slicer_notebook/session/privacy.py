"""How much of a patient may get into a notebook's file."""

from __future__ import annotations

import os
from typing import Final, Literal, cast

from slicer_notebook.errors import ArgumentError

__all__ = ["ENVIRONMENT", "Privacy", "checked"]

Privacy = Literal["normal", "strict"]
"""``normal``: what a saved notebook shows without a kernel is what the widget showed. ``strict``: nothing that tells
who a patient is gets into the file: no names, IDs, accession numbers, dates, free text, UIDs (PS3.15 E.1.1) nor
pictures.
"""

#: Names the default of a machine: "normal" or "strict".
ENVIRONMENT: Final = "SLICER_NOTEBOOK_PRIVACY"

_EXPECTED: Final = '"normal" or "strict"'


def checked(privacy: str | None) -> Privacy:
    """``privacy``, or without it what the environment variable `ENVIRONMENT` says; "normal" when it says nothing.

    Raises:
        ArgumentError: neither "normal" nor "strict".
    """
    value = os.environ.get(ENVIRONMENT, "") or "normal" if privacy is None else privacy
    if value not in ("normal", "strict"):
        where = f"The environment variable {ENVIRONMENT}" if privacy is None else "privacy"
        raise ArgumentError(f"{where} says what may get into a notebook's file.", expected=_EXPECTED, got=repr(value))
    return cast(Privacy, value)
