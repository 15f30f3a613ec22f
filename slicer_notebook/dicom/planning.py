"""What the files of a series will become, said before a pixel is read: volumes, or refusals with a reason.

Instances are grouped by study, series, orientation, size, pixel spacing and
frame of reference; sorted by position along the normal, never by file name or instance number; the step between slices
comes from the positions (PS3.3 C.7.6.2.1.1 says that SliceThickness and SpacingBetweenSlices do not give it).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from slicer_notebook.dicom.copies import merge_copies
from slicer_notebook.dicom.geometry import (
    MAX_TILT,
    ROUNDED_PART,
    Array,
    Axes,
    Line,
    axes_of,
    fit_line,
    ijk_to_ras,
    orientation_name,
    same_position_bins,
    same_position_tolerance,
)
from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.plans import Quantity, Resampling, SequenceAxis, SequencePlan, SeriesPlan, VolumePlan
from slicer_notebook.dicom.reasons import Reason, Refusal, refusal_of
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.split import Dimension, Part, by_image_type, split_repeated
from slicer_notebook.dicom.syntaxes import LOSSY
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

#: Direction cosines and pixel spacings that differ by less are the same (they are decimal strings, rounded).
ORIENTATION_TOLERANCE: Final = 1e-4
SPACING_TOLERANCE: Final = 1e-5
#: Slices whose normals differ by less than this (degrees) were probably meant to be parallel.
NEARLY_PARALLEL: Final = 1.0
#: Gaps within this part of a whole multiple of the median gap mean that slices are missing.
MISSING_TOLERANCE: Final = 0.1
#: A tilt below this (degrees) is rounding of the positions, not a gantry.
TILT_SHOWN: Final = 0.1
#: Projection images: a picture each, with no place in the patient (CR, DX, MG, IO, SC, RF, XA, RT image, US).
_PROJECTIONS: Final = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in (
        "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "7", "12.1", "12.2", "481.1", "6.1", "6", "20",
    )
)  # fmt: skip


def plan(instances: Sequence[Instance] | Sequence[Path] | Sequence[str]) -> SeriesPlan:
    """Say what these files will become.

    Args:
        instances: of `Index.instances`, or paths of files. Normally one series; several are kept apart.

    Returns:
        Volumes in order of series, orientation and what sets them apart; refusals; warnings.

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
        _plan_series(members, result)
    return result


def _instances(given: Iterable[Instance | Path | str]) -> list[Instance]:
    found = []
    for item in given:
        if isinstance(item, Instance):
            found.append(item)
            continue
        path = Path(item)
        if not path.exists():
            raise PathNotFoundError(f"There is no file {str(path)!r}.", details={"path": str(path)})
        try:
            found.append(read_header(path))
        except NotTakenError as exc:
            raise NotDicomError(
                f"{str(path)!r} cannot be part of a series.",
                expected="a DICOM file with study, series and SOP instance UIDs",
                got=str(exc),
                details={"path": str(path)},
            ) from exc
    return found


def _paths(instances: Iterable[Instance]) -> list[str]:
    return [path for instance in instances for path in (instance.path, *instance.other_paths)]


def _plan_series(instances: list[Instance], result: SeriesPlan) -> None:
    refused: dict[tuple[Reason, str], list[Instance]] = defaultdict(list)
    usable = []
    # What comes out must not depend on the order in which files were found.
    for instance in sorted(instances, key=lambda i: (i.InstanceNumber or 0, i.SOPInstanceUID)):
        refusal = refusal_of(instance)
        if refusal is None:
            usable.append(instance)
        else:
            refused[refusal].append(instance)
    for (reason, message), members in refused.items():
        count = "" if len(members) == 1 else f" ({len(members)} instances)"
        result.refused.append(Refusal(reason=reason, message=message + count, files=_paths(members)))
    placed: list[tuple[Instance, Axes]] = []
    unplaced = []
    for instance in usable:
        position, cosines = instance.ImagePositionPatient, instance.ImageOrientationPatient
        if position is None or len(position) != 3 or cosines is None:
            unplaced.append(instance)
            continue
        axes = axes_of(cosines)
        if axes is None:
            _refuse(
                result,
                Reason.BAD_ORIENTATION,
                f"ImageOrientationPatient {cosines} is not two unit vectors at a right angle",
                [instance],
            )
        else:
            placed.append((instance, axes))
    before = len(result.volumes)
    groups = _geometry_groups(placed)
    result.warnings.extend(_nearly_parallel(groups))
    for group in groups:
        _plan_group(group, result)
    _plan_unplaced(unplaced, result)
    _name_volumes(result.volumes[before:])


def _refuse(result: SeriesPlan, reason: Reason, message: str, instances: Iterable[Instance]) -> None:
    files = _paths(instances)
    for known in result.refused:
        if known.reason == reason and known.message == message:
            known.files.extend(files)
            return
    result.refused.append(Refusal(reason=reason, message=message, files=files))


class _Group(msgspec.Struct):
    """Instances that could be slices of one stack."""

    axes: Axes
    cosines: list[float]
    spacing: list[float] | None
    key: tuple[object, ...]
    instances: list[Instance]


def _geometry_groups(placed: list[tuple[Instance, Axes]]) -> list[_Group]:
    groups: list[_Group] = []
    for instance, axes in placed:
        cosines = instance.ImageOrientationPatient or []
        spacing = instance.PixelSpacing
        localizer = "LOCALIZER" in (instance.ImageType or [])
        key = (instance.Rows, instance.Columns, instance.FrameOfReferenceUID, localizer)
        for group in groups:
            if (
                group.key == key
                and np.allclose(group.cosines, cosines, rtol=0, atol=ORIENTATION_TOLERANCE)
                and _same_spacing(group.spacing, spacing)
            ):
                group.instances.append(instance)
                break
        else:
            groups.append(_Group(axes, cosines, spacing, key, [instance]))
    return groups


def _nearly_parallel(groups: list[_Group]) -> list[str]:
    """A warning where slices of one stack may have come apart by orientations that hardly differ."""
    for number, group in enumerate(groups):
        for other in groups[:number]:
            same_size = group.key == other.key and _same_spacing(group.spacing, other.spacing)
            if same_size and float(group.axes.normal @ other.axes.normal) > np.cos(np.radians(NEARLY_PARALLEL)):
                return [f"Orientations that differ by less than {NEARLY_PARALLEL:g} degree are volumes of their own."]
    return []


def _same_spacing(first: list[float] | None, second: list[float] | None) -> bool:
    if first is None or second is None or len(first) != len(second):
        return first == second
    return bool(np.allclose(first, second, rtol=SPACING_TOLERANCE, atol=0))


def _valid_spacing(spacing: list[float] | None) -> list[float] | None:
    return spacing if spacing is not None and len(spacing) == 2 and min(spacing) > 0 else None


def _plan_group(group: _Group, result: SeriesPlan) -> None:
    spacing = _valid_spacing(group.spacing)
    if spacing is None:
        message = f"no usable PixelSpacing ({group.spacing}): the size of a pixel is not known"
        _refuse(result, Reason.NO_SPACING, message, group.instances)
        return
    positions = np.array([instance.ImagePositionPatient for instance in group.instances], dtype=np.float64)
    bins = same_position_bins(positions, group.axes, same_position_tolerance(spacing))
    if len(bins) == 1 and len(group.instances) > 1:
        message = f"{len(group.instances)} images at one position: they are no stack of slices"
        _refuse(result, Reason.SAME_POSITION, message, group.instances)
        return
    parts = split_repeated(group.instances, bins)
    if parts is None:
        repeated = sum(len(members) > 1 for members in bins)
        _refuse(
            result,
            Reason.SEVERAL_VOLUMES,
            f"{len(group.instances)} images at {len(bins)} positions, {repeated} of them taken more than once, and "
            "nothing in the headers tells which images belong together",
            group.instances,
        )
        return
    if len(parts) == 1:
        parts = _derived_apart(group, positions, parts)
    for part in parts:
        volume = _plan_stack(group, spacing, positions, part)
        if isinstance(volume, VolumePlan):
            if len(part.indices) < len(bins) and len(parts) > 1 and len(group.instances) > len(bins):
                volume.warnings.append(f"It covers {len(part.indices)} of the series' {len(bins)} positions.")
            result.volumes.append(volume)
        else:
            _refuse(result, *volume, [group.instances[index] for index in part.indices])


def _derived_apart(group: _Group, positions: Array, parts: list[Part]) -> list[Part]:
    """Slices that are no even stack together may be one with derived pictures beside it; then these go apart."""
    if _line_problem_of(group, positions, parts[0]) is None:
        return parts
    apart = by_image_type(group.instances)
    even = all(_line_problem_of(group, positions, part) is None for part in apart)
    return apart if len(apart) > 1 and even else parts


def _line_problem_of(group: _Group, positions: Array, part: Part) -> tuple[Reason, str] | None:
    if len(part.indices) == 1:
        return None
    return _line_problem(fit_line(positions[part.indices], group.axes), group.axes)


def _plan_stack(group: _Group, spacing: list[float], positions: Array, part: Part) -> VolumePlan | tuple[Reason, str]:
    """The volume that these slices make, or why they make none."""
    axes = group.axes
    members = [group.instances[index] for index in part.indices]
    places = positions[part.indices]
    warnings = _pixel_warnings(members)
    tilt = 0.0
    if len(members) == 1:
        thickness, unknown = _thickness(members[0])
        if unknown:
            warnings.append(unknown)
        first, step = places[0], axes.normal * thickness
    else:
        line = fit_line(places, axes)
        members = [members[index] for index in line.order]
        problem = _line_problem(line, axes)
        if problem is not None:
            return problem
        if not line.is_even():
            warnings.append(f"Slice positions leave the even line by up to {line.deviation:.3g} mm.")
        tilt = line.tilt(axes)
        if tilt < TILT_SHOWN:
            tilt = 0.0
        else:
            warnings.append(f"The stack leans {tilt:.1f} degrees (gantry tilt): the affine is sheared.")
        warnings.extend(_two_slice_warning(line, members))
        first, step = line.first, line.step
    affine = ijk_to_ras(first, axes, spacing, step)
    return VolumePlan(
        name="",
        instances=members,
        affine=affine.tolist(),
        shape=(len(members), members[0].Rows or 0, members[0].Columns or 0),
        spacing=(spacing[1], spacing[0], float(np.linalg.norm(step))),
        orientation=orientation_name(axes.normal),
        tilt=tilt,
        dimensions=list(part.dimensions),
        warnings=warnings,
    )


def _line_problem(line: Line, axes: Axes) -> tuple[Reason, str] | None:
    """Why these positions are no stack of evenly spaced slices, or None."""
    smallest = float(line.gaps.min())
    if smallest <= 0 or line.tilt(axes) > MAX_TILT:
        return Reason.UNEVEN_SLICES, (
            f"positions lie beside each other, not along the slices' normal (smallest step {smallest:.3g} mm)"
        )
    if line.is_even(ROUNDED_PART):
        return None
    median = float(np.median(line.gaps))
    ratios = line.gaps / median
    whole = np.round(ratios)
    if np.all(np.abs(ratios - whole) <= MISSING_TOLERANCE * whole) and whole.min() >= 1 and whole.max() > 1:
        missing = int(np.sum(whole - 1))
        return Reason.MISSING_SLICES, (
            f"{missing} of {len(line.order) + missing} slices are missing: the step is {median:.4g} mm, "
            f"but there are gaps of up to {line.gaps.max():.4g} mm"
        )
    return Reason.UNEVEN_SLICES, (
        f"steps between slices vary from {smallest:.4g} to {line.gaps.max():.4g} mm: a volume has one step"
    )


def _thickness(instance: Instance) -> tuple[float, str | None]:
    """The k spacing of a single slice, mm, and a warning if the header does not say."""
    for value in (instance.SliceThickness, instance.SpacingBetweenSlices):
        if value is not None and value > 0:
            return value, None
    return 1.0, "A single slice of unknown thickness: 1 mm was put in its place."


def _two_slice_warning(line: Line, members: list[Instance]) -> list[str]:
    """With two slices no third tells whether one is missing between them; the header may."""
    said = members[0].SpacingBetweenSlices
    if len(members) != 2 or not said or abs(abs(said) - float(line.gaps[0])) <= 0.01 * abs(said):
        return []
    return [f"Two slices, {line.gaps[0]:.4g} mm apart, where the header says {abs(said):.4g} mm."]


def _pixel_warnings(members: list[Instance]) -> list[str]:
    warnings = []
    lossy = sum(i.LossyImageCompression == "01" or i.TransferSyntaxUID in LOSSY for i in members)
    if lossy:
        warnings.append(f"{lossy} of {len(members)} slices were compressed with loss: values are not the scanner's.")
    kinds = {i.PhotometricInterpretation for i in members}
    if len(kinds) > 1:
        warnings.append("MONOCHROME1 and MONOCHROME2 slices are mixed; values were kept as they are.")
    return warnings


def _plan_unplaced(instances: list[Instance], result: SeriesPlan) -> None:
    """Images that say no position: projections become a picture each, anything else is refused."""
    stacks = []
    for instance in instances:
        if instance.SOPClassUID in _PROJECTIONS:
            _plan_projection(instance, result)
        else:
            stacks.append(instance)
    if stacks:
        message = "no ImagePositionPatient and ImageOrientationPatient: where the slices lie is not known"
        _refuse(result, Reason.NO_POSITION, message, stacks)


def _plan_projection(instance: Instance, result: SeriesPlan) -> None:
    warnings = _pixel_warnings([instance])
    for keyword in ("PixelSpacing", "NominalScannedPixelSpacing", "ImagerPixelSpacing"):
        spacing = _valid_spacing(getattr(instance, keyword))
        if spacing is not None:
            break
    else:
        _refuse(result, Reason.NO_SPACING, "no pixel spacing: the size of a pixel is not known", [instance])
        return
    if keyword == "ImagerPixelSpacing":
        warnings.append("Pixel spacing is that of the detector: the patient is magnified on it.")
    warnings.append("A projection image: it has no place in the patient; its corner was put at the origin.")
    axes = Axes(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    affine = ijk_to_ras(np.zeros(3), axes, spacing, axes.normal)
    result.volumes.append(
        VolumePlan(
            name="",
            instances=[instance],
            affine=affine.tolist(),
            shape=(1, instance.Rows or 0, instance.Columns or 0),
            spacing=(spacing[1], spacing[0], 1.0),
            orientation="projection",
            warnings=warnings,
        )
    )


def _name_volumes(volumes: list[VolumePlan]) -> None:
    """Name the volumes of one series as Slicer does, adding what sets them apart."""
    several_orientations = len({volume.orientation for volume in volumes}) > 1
    used: dict[str, int] = defaultdict(int)
    for volume in volumes:
        head = volume.instances[0]
        base = head.SeriesDescription or head.ProtocolName or head.Modality or "Unnamed series"
        name = base if head.SeriesNumber is None else f"{head.SeriesNumber}: {base}"
        details = [str(dimension) for dimension in volume.dimensions]
        if several_orientations:
            details.insert(0, volume.orientation)
        if "LOCALIZER" in (head.ImageType or []):
            details.insert(0, "localizer")
        if details:
            name = f"{name} [{', '.join(details)}]"
        used[name] += 1
        volume.name = name if used[name] == 1 else f"{name} ({used[name]})"
