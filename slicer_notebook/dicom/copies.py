"""One SOP Instance UID in several files: they count as one instance, if they say the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.syntaxes import LOSSY, NATIVE

__all__ = ["contradictions", "merge_copies"]

#: What two copies must agree on. Compression changes the others (transfer syntax, planar configuration, lengths).
_MUST_AGREE: Final = (
    "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "InstanceNumber", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsStored",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "FrameOfReferenceUID",
)  # fmt: skip


def _preference(instance: Instance) -> tuple[bool, bool, str]:
    """What was not compressed with loss first, then uncompressed, then by path: never by the order of finding."""
    syntax = instance.TransferSyntaxUID
    return syntax in LOSSY, syntax not in NATIVE, instance.path


def contradictions(copies: Iterable[Instance]) -> list[str]:
    """Keywords of what the files of one SOP Instance UID must agree on, and do not."""
    first, *others = copies
    return [name for name in _MUST_AGREE if any(getattr(first, name) != getattr(other, name) for other in others)]


def merge_copies(instances: Iterable[Instance]) -> list[Instance]:
    """One `Instance` for each SOP Instance UID, with the other files in ``other_paths``.

    ``copies_differ`` is set where the headers contradict each other; the order is that of first appearance.
    """
    by_uid: dict[str, list[Instance]] = {}
    for instance in instances:
        by_uid.setdefault(instance.SOPInstanceUID, []).append(instance)
    merged = []
    for copies in by_uid.values():
        if len(copies) == 1:
            merged.append(copies[0])
            continue
        unique = list({copy.path: copy for copy in copies}.values())
        chosen, *others = sorted(unique, key=_preference)
        differ = bool(contradictions(unique))
        merged.append(
            msgspec.structs.replace(
                chosen, other_paths=[other.path for other in others], copies_differ=chosen.copies_differ or differ
            )
        )
    return merged
