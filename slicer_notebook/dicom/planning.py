"""What the files of a series will become, said before a pixel is read: volumes, sequences, images, or refusals.

Every instance is first taken apart into planes (`frames`): a classic image is one, an enhanced object has one for each
frame, a mosaic one for each tile. Planes that lie in the patient become stacks (`stacks`), and stacks that differ in
one thing become sequences (`sequences`); the others are pictures (`pictures`).
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from slicer_notebook.dicom.archives import is_there
from slicer_notebook.dicom.copies import merge_copies
from slicer_notebook.dicom.frames import NotSplitError, planes_of
from slicer_notebook.dicom.geometry import Axes, axes_of
from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.pictures import plan_pictures
from slicer_notebook.dicom.plans import Quantity, Resampling, SequenceAxis, SequencePlan, SeriesPlan, VolumePlan
from slicer_notebook.dicom.quantities import Offers
from slicer_notebook.dicom.reasons import Reason, Refusal, refusal_of, unreadable_refusal
from slicer_notebook.dicom.records import Instance, series_name
from slicer_notebook.dicom.sequences import fold
from slicer_notebook.dicom.split import Dimension
from slicer_notebook.dicom.stacks import Options, paths_of, plan_stacks, refuse
from slicer_notebook.errors import ArgumentError, NotDicomError, PathNotFoundError

__all__ = [
    "Quantity",
    "Reason",
    "Refusal",
    "Resampling",
    "SequenceAxis",
    "SequencePlan",
    "SeriesPlan",
    "VolumePlan",
    "plan",
]

#: Positions further from the origin than this (mm) are damaged numbers.
FARTHEST: Final = 1e6


def plan(
    instances: Sequence[Instance] | Sequence[Path] | Sequence[str], *, strict: bool = False, rectify: bool = False
) -> SeriesPlan:
    """Say what these files will become.

    Args:
        instances: of `Index.instances`, or paths of files. Normally one series; several are kept apart.
        strict: refuse what would otherwise be resampled, filled in or taken for equal, and images without pixel
            spacing.
        rectify: resample stacks of a tilted gantry onto a right-angled grid, instead of a sheared affine.

    Returns:
        Volumes, sequences and images in order of series, orientation and what sets them apart; refusals; warnings.

    Raises:
        ArgumentError: nothing was given.
        PathNotFoundError: a path does not exist.
        NotDicomError: a path is no DICOM file.
    """
    merged = merge_copies(_instances(instances))
    if not merged:
        raise ArgumentError("There is nothing to plan.", expected="instances or paths of one series", got="none")
    by_series: dict[tuple[str, str], list[Instance]] = defaultdict(list)
    for instance in merged:
        by_series[instance.StudyInstanceUID, instance.SeriesInstanceUID].append(instance)
    head = merged[0]
    result = SeriesPlan(
        StudyInstanceUID=head.StudyInstanceUID,
        SeriesInstanceUID=head.SeriesInstanceUID,
        SeriesNumber=head.SeriesNumber,
        SeriesDescription=head.SeriesDescription,
        Modality=head.Modality,
    )
    if len(by_series) > 1:
        result.warnings.append(f"These files are of {len(by_series)} series; each was planned by itself.")
    copies = sum(len(instance.other_paths) for instance in merged)
    if copies:
        result.warnings.append(f"{copies} further files hold instances that are there already; they count once.")
    for members in by_series.values():
        _plan_series(members, result, Options(strict, rectify))
    return result


def _instances(given: Iterable[Instance | Path | str]) -> list[Instance]:
    found = []
    for item in given:
        if isinstance(item, Instance):
            found.append(item)
            continue
        path = os.fspath(item)
        if not is_there(path):
            raise PathNotFoundError(f"There is no file {path!r}.", details={"path": path})
        try:
            found.append(read_header(path))
        except NotTakenError as exc:
            raise NotDicomError(
                f"{path!r} cannot be part of a series.",
                expected="a DICOM file with study, series and SOP instance UIDs",
                got=str(exc),
                details={"path": path},
            ) from exc
    return found


def _plan_series(instances: list[Instance], result: SeriesPlan, options: Options) -> None:
    if any(instance.AnatomicalOrientationType == "QUADRUPED" for instance in instances):
        # PS3.3 C.7.6.2.1.1: its axes are named by an animal's body.
        result.warnings.append(
            "The patient is an animal on four legs: anterior and posterior in the views stand for ventral and dorsal."
        )
    planes, names = _planes(instances, result)
    placed, unplaced = _places(planes, result)
    found: list[VolumePlan | SequencePlan] = []
    for volumes in plan_stacks(placed, result, options):
        for volume in volumes:
            volume.dimensions = [_named(dimension, names) for dimension in volume.dimensions]
        found += fold(volumes)
    found += plan_pictures(unplaced, result, options)
    _offer_quantities(found, planes)
    _name(found)
    for item in found:
        if isinstance(item, SequencePlan):
            result.sequences.append(item)
        elif item.image:
            result.images.append(item)
        else:
            result.volumes.append(item)


def _places(planes: list[Instance], result: SeriesPlan) -> tuple[list[tuple[Instance, Axes]], list[Instance]]:
    """Planes with a place in the patient, and those without one; refusals go into ``result``."""
    placed: list[tuple[Instance, Axes]] = []
    unplaced = []
    # Planes of a stack mostly give their orientation in the same words.
    known: dict[tuple[float, ...], Axes | None] = {}
    for plane in planes:
        position, cosines = plane.ImagePositionPatient, plane.ImageOrientationPatient
        if position is None or len(position) != 3 or cosines is None:
            unplaced.append(plane)
            continue
        if max(map(abs, position)) > FARTHEST:
            message = f"positions of more than {FARTHEST:g} mm: no patient is so large"
            refuse(result, Reason.NO_POSITION, message, [plane])
            continue
        words = tuple(cosines)
        if words not in known:
            known[words] = axes_of(cosines)
        axes = known[words]
        if axes is None:
            message = f"ImageOrientationPatient {cosines} is not two unit vectors at a right angle"
            refuse(result, Reason.BAD_ORIENTATION, message, [plane])
        else:
            placed.append((plane, axes))
    return placed, unplaced


def _offer_quantities(found: list[VolumePlan | SequencePlan], planes: list[Instance]) -> None:
    """What the values can be turned into. Headers are read again for that, where there may be something to offer."""
    if not any(plane.Modality == "PT" or plane.has_real_world_values for plane in planes):
        return
    offers = Offers(planes)
    for item in found:
        for volume in item.volumes if isinstance(item, SequencePlan) else [item]:
            volume.quantities, volume.not_offered = offers.quantities_of(volume.instances)


def _named(dimension: Dimension, names: list[str]) -> Dimension:
    """An enhanced object's own dimension by the name of what it counts."""
    for number, name in enumerate(names):
        if dimension.keyword == f"DimensionIndexValues[{number}]" and name:
            return msgspec.structs.replace(dimension, keyword=name)
    return dimension


def _planes(instances: list[Instance], result: SeriesPlan) -> tuple[list[Instance], list[str]]:
    """The planes of the instances that can be read, and the names of their own dimensions, if all have the same.

    Refusals of the others go into ``result``.
    """
    refused: dict[tuple[Reason, str], list[Instance]] = defaultdict(list)
    planes: list[Instance] = []
    said: Counter[str] = Counter()
    names: set[tuple[str, ...]] = set()
    # What comes out must not depend on the order in which files were found.
    for instance in sorted(instances, key=lambda i: (i.InstanceNumber or 0, i.SOPInstanceUID)):
        refusal = refusal_of(instance)
        if refusal is None:
            try:
                found = planes_of(instance)
            except NotSplitError as exc:
                refusal = exc.reason, exc.message
            else:
                unreadable = next(filter(None, map(unreadable_refusal, found)), None)
                if unreadable is not None:
                    refusal = unreadable
                else:
                    planes += found
                said.update(found.warnings)
                if found.dimension_names:
                    names.add(tuple(found.dimension_names))
        if refusal is not None:
            refused[refusal].append(instance)
    result.warnings += [text if count == 1 else f"{text} ({count} files)" for text, count in said.items()]
    for (reason, message), members in refused.items():
        count = "" if len(members) == 1 else f" ({len(members)} instances)"
        result.refused.append(Refusal(reason=reason, message=message + count, files=paths_of(members)))
    return planes, list(names.pop()) if len(names) == 1 else []


def _name(found: list[VolumePlan | SequencePlan]) -> None:
    """Name what comes of one series as Slicer does, adding what sets its parts apart."""
    heads = [item.volumes[0] if isinstance(item, SequencePlan) else item for item in found]
    several_orientations = len({head.orientation for head in heads}) > 1
    used: Counter[str] = Counter()
    for item, head in zip(found, heads, strict=True):
        first = head.instances[0]
        base = series_name(first)
        outer = item.outer if isinstance(item, SequencePlan) else head.dimensions
        details = [str(dimension) for dimension in outer]
        if several_orientations:
            details.insert(0, head.orientation)
        if "LOCALIZER" in (first.ImageType or []):
            details.insert(0, "localizer")
        item.name = _unused(_with(base, details), used)
        if isinstance(item, SequencePlan):
            for volume in item.volumes:
                inner = [str(dimension) for dimension in volume.dimensions[len(outer) :]]
                volume.name = _unused(_with(base, [*details, *inner]), used)


def _with(base: str, details: list[str]) -> str:
    return f"{base} [{', '.join(details)}]" if details else base


def _unused(name: str, used: Counter[str]) -> str:
    used[name] += 1
    return name if used[name] == 1 else f"{name} ({used[name]})"
