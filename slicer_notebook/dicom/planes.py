"""What the modules that split multi-frame objects and mosaics have in common: their result, and their refusal."""

from __future__ import annotations

from collections.abc import Iterable

from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance

__all__ = ["NotSplitError", "Planes"]


class NotSplitError(Exception):
    """An instance whose planes cannot be told apart or placed. Never reaches a user.

    Attributes:
        reason: which of the documented refusals it is.
        message: what was found, in words.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Planes(list[Instance]):
    """Planes of one SOP instance, in the order of the file.

    Attributes:
        warnings: what a user should be told of them.
        dimension_names: of each entry of ``DimensionIndexValues``, the keyword of the attribute that it counts
            (C.7.6.17); for a private one, its label or tag.
    """

    def __init__(
        self, planes: Iterable[Instance] = (), *, warnings: Iterable[str] = (), dimension_names: Iterable[str] = ()
    ) -> None:
        super().__init__(planes)
        self.warnings = list(warnings)
        self.dimension_names = list(dimension_names)
