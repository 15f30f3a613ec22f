"""Planes with a place in the patient: grouped by geometry, split where positions repeat, sorted along the normal.

The step between slices comes from their positions (PS3.3 C.7.6.2.1.1 says that SliceThickness and SpacingBetweenSlices
do not give it).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
import numpy as np

from slicer_notebook.dicom.geometry import (
    MAX_TILT,
    ROUNDED_PART,
    Array,
    Axes,
    Line,
    even_grid,
    fit_line,
    ijk_to_ras,
    orientation_name,
    pieces,
    same_position_bins,
    same_position_tolerance,
)
from slicer_notebook.dicom.plans import Resampling, SeriesPlan, VolumePlan
from slicer_notebook.dicom.reasons import Reason, Refusal, has_more_pixels
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.split import Part, by_image_type, split_repeated
from slicer_notebook.dicom.syntaxes import LOSSY

__all__ = [
    "Options",
    "is_colour",
    "paths_of",
    "pixel_warnings",
    "plan_stacks",
    "refuse",
    "valid_spacing",
    "warnings_of_all",
]

#: Direction cosines and pixel spacings that differ by less are the same (they are decimal strings, rounded).
ORIENTATION_TOLERANCE: Final = 1e-4
SPACING_TOLERANCE: Final = 1e-5
#: Slices whose normals differ by less than this (degrees) were probably meant to be parallel.
NEARLY_PARALLEL: Final = 1.0
#: A tilt below this (degrees) is rounding of the positions, not a gantry.
TILT_SHOWN: Final = 0.1
#: Distances of pixels and slices lie between these (mm): from a microscope's to a whole body's.
SMALLEST: Final = 1e-5
LARGEST: Final = 1e4
#: More pieces than this are no ranges of a scan.
MAX_PIECES: Final = 4


class Options(NamedTuple):
    """What the caller asked for."""

    #: refuse what would need resampling, filling or guessing
    strict: bool = False
    #: resample tilted stacks onto a right-angled grid
    rectify: bool = False


def paths_of(instances: Iterable[Instance]) -> list[str]:
    """All files of these instances, each once."""
    return list(dict.fromkeys(path for instance in instances for path in (instance.path, *instance.other_paths)))


def refuse(result: SeriesPlan, reason: Reason, message: str, instances: Iterable[Instance]) -> None:
    """Note a refusal, together with others of the same words."""
    files = paths_of(instances)
    for known in result.refused:
        if known.reason == reason and known.message == message:
            known.files = list(dict.fromkeys([*known.files, *files]))
            return
    result.refused.append(Refusal(reason=reason, message=message, files=files))


def valid_spacing(spacing: list[float] | None) -> list[float] | None:
    """Pixel spacing that is one: two positive numbers, between rows and between columns, mm."""
    return spacing if spacing is not None and len(spacing) == 2 and all(map(_is_length, spacing)) else None


def _is_length(value: float) -> bool:
    """Whether it can be the distance of two pixels or slices, mm."""
    return SMALLEST <= value <= LARGEST


def is_colour(instance: Instance) -> bool:
    """Whether its pixels are shown in colour: three samples, or indices of a palette."""
    return (instance.SamplesPerPixel or 1) > 1 or instance.PhotometricInterpretation == "PALETTE COLOR"


def pixel_warnings(members: list[Instance]) -> list[str]:
    """What is to be said of these planes' pixels."""
    warnings = []
    lossy = sum(i.LossyImageCompression == "01" or i.TransferSyntaxUID in LOSSY for i in members)
    if lossy:
        warnings.append(f"{lossy} of {len(members)} slices were compressed with loss: values are not the scanner's.")
    longer = sum(map(has_more_pixels, members))
    if longer:
        warnings.append(
            f"{longer} of {len(members)} slices hold more bytes of pixels than their rows, columns and bits ask for: "
            "those at the end were left out."
        )
    shifted = sum(i.HighBit is not None and i.BitsStored is not None and i.HighBit >= i.BitsStored for i in members)
    if shifted:
        warnings.append(
            f"{shifted} of {len(members)} slices keep their values in the upper bits of a pixel (HighBit): what the "
            "lower bits hold was left out."
        )
    half = sum((i.RescaleSlope is None) != (i.RescaleIntercept is None) for i in members)
    if half:
        warnings.append(f"{half} of {len(members)} slices give only one of slope and intercept: it was used alone.")
    kinds = {i.PhotometricInterpretation for i in members}
    if len(kinds & {"MONOCHROME1", "MONOCHROME2"}) > 1:
        warnings.append("MONOCHROME1 and MONOCHROME2 slices are mixed; values were kept as they are.")
    return warnings


def warnings_of_all(volumes: list[VolumePlan]) -> list[str]:
    """The warnings of volumes that belong together: those of their pixels counted together, the others once."""
    warnings = pixel_warnings([plane for volume in volumes for plane in volume.instances])
    for volume in volumes:
        own = pixel_warnings(volume.instances) if warnings else []
        warnings += [text for text in volume.warnings if text not in own and text not in warnings]
    return warnings


class _Group(msgspec.Struct):
    """Planes that could be slices of one stack."""

    axes: Axes
    cosines: list[float]
    spacing: list[float] | None
    key: tuple[object, ...]
    instances: list[Instance]


def plan_stacks(placed: list[tuple[Instance, Axes]], result: SeriesPlan, options: Options) -> list[list[VolumePlan]]:
    """The volumes that these planes make, one list for each geometry; refusals and warnings go into ``result``."""
    groups = _geometry_groups(placed)
    result.warnings.extend(_nearly_parallel(groups))
    return [volumes for group in groups if (volumes := _plan_group(group, result, options))]


def _geometry_groups(placed: list[tuple[Instance, Axes]]) -> list[_Group]:
    groups: list[_Group] = []
    # Most planes say exactly what others said: only new words are compared with tolerance.
    exact: dict[tuple[object, ...], _Group] = {}
    for instance, axes in placed:
        cosines = instance.ImageOrientationPatient or []
        spacing = instance.PixelSpacing
        localizer = "LOCALIZER" in (instance.ImageType or [])
        key = (
            instance.Rows, instance.Columns, instance.FrameOfReferenceUID, localizer, is_colour(instance),
            instance.StackID,
        )  # fmt: skip
        words = (key, *cosines, None, *(spacing or ()))
        group = exact.get(words)
        if group is None:
            group = next((known for known in groups if _same_geometry(known, key, cosines, spacing)), None)
            if group is None:
                group = _Group(axes, cosines, spacing, key, [])
                groups.append(group)
            exact[words] = group
        group.instances.append(instance)
    return groups


def _same_geometry(group: _Group, key: tuple[object, ...], cosines: list[float], spacing: list[float] | None) -> bool:
    return (
        group.key == key
        and np.allclose(group.cosines, cosines, rtol=0, atol=ORIENTATION_TOLERANCE)
        and _same_spacing(group.spacing, spacing)
    )


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


def _plan_group(group: _Group, result: SeriesPlan, options: Options) -> list[VolumePlan]:
    spacing = valid_spacing(group.spacing)
    if spacing is None:
        message = f"no usable PixelSpacing ({group.spacing}): the size of a pixel is not known"
        refuse(result, Reason.NO_SPACING, message, group.instances)
        return []
    positions = np.array([instance.ImagePositionPatient for instance in group.instances], dtype=np.float64)
    bins = same_position_bins(positions, group.axes, same_position_tolerance(spacing))
    stacker = _Stacker(group, spacing, positions, result, options)
    parts = split_repeated(group.instances, bins)
    if parts is None or _only_numbered(parts, bins):
        return stacker.with_doubles(bins)
    if len(parts) == 1:
        parts = stacker.derived_apart(parts)
    volumes = []
    for part in parts:
        for volume in stacker.volumes(part):
            if len(part.indices) < len(bins) and len(parts) > 1 and len(group.instances) > len(bins):
                volume.warnings.append(f"It covers {len(part.indices)} of the series' {len(bins)} positions.")
            volumes.append(volume)
    return volumes


def _only_numbered(parts: list[Part], bins: list[list[int]]) -> bool:
    """Images of one place that only their numbers tell apart: any images have numbers."""
    keywords = {dimension.keyword for part in parts for dimension in part.dimensions}
    return len(bins) == 1 and len(parts) > 1 and keywords == {"InstanceNumber"}


class _Stacker:
    """Makes volumes of the planes of one geometry."""

    def __init__(
        self, group: _Group, spacing: list[float], positions: Array, result: SeriesPlan, options: Options
    ) -> None:
        self.axes = group.axes
        self.instances = group.instances
        #: mm between rows, then between columns
        self.spacing = spacing
        self.positions = positions
        self.result = result
        self.options = options

    def with_doubles(self, bins: list[list[int]]) -> list[VolumePlan]:
        """One image of each position; the others, which nothing tells apart, must then turn out to be equal."""
        repeated = sum(len(members) > 1 for members in bins)
        one_place = len(bins) == 1
        message = (
            f"{len(self.instances)} images at one position: they are no stack of slices"
            if one_place
            else f"{len(self.instances)} images at {len(bins)} positions, {repeated} of them taken more than once, and "
            "nothing in the headers tells which images belong together"
        )
        # Images of one number at one place were probably stored twice; where most places have several of different
        # numbers, something was measured several times, and an image of it is missing.
        twice = all(len({self.instances[index].InstanceNumber for index in members}) == 1 for members in bins)
        if one_place or self.options.strict or not (twice or 2 * repeated < len(bins)):
            reason = Reason.SAME_POSITION if one_place else Reason.SEVERAL_VOLUMES
            refuse(self.result, reason, message, self.instances)
            return []
        chosen = {min(members, key=self._rank): members for members in bins}
        volumes = self.volumes(Part(sorted(chosen), ()))
        for volume in volumes:
            place = {id(instance): k for k, instance in enumerate(volume.instances)}
            for first, members in chosen.items():
                k = place.get(id(self.instances[first]))
                if k is not None:
                    volume.doubles += [(k, self.instances[other]) for other in members if other != first]
            volume.warnings.append(
                f"{repeated} positions were taken more than once, and nothing in the headers tells why: it loads only "
                "if their pixels are equal."
            )
        return volumes

    def _rank(self, index: int) -> tuple[float, str, int]:
        instance = self.instances[index]
        number = instance.InstanceNumber
        return np.inf if number is None else number, instance.SOPInstanceUID, instance.frame

    def derived_apart(self, parts: list[Part]) -> list[Part]:
        """Slices that are no even stack together may be one with derived pictures beside it: these go apart then."""
        if self._is_even(parts[0]):
            return parts
        apart = by_image_type(self.instances)
        return apart if len(apart) > 1 and all(map(self._is_even, apart)) else parts

    def _is_even(self, part: Part) -> bool:
        if len(part.indices) == 1:
            return True
        line = fit_line(self.positions[part.indices], self.axes)
        return _is_stack(line, self.axes) and line.is_even(ROUNDED_PART)

    def volumes(self, part: Part) -> list[VolumePlan]:
        """The volumes of these planes: one, or one for each piece of a scan with wide spaces between them."""
        if len(part.indices) == 1:
            return [self._single(part)]
        line = fit_line(self.positions[part.indices], self.axes)
        if not _is_stack(line, self.axes):
            message = (
                "positions lie beside each other, not along the slices' normal "
                f"(smallest step {float(line.gaps.min()):.3g} mm)"
            )
            return self._refuse(Reason.UNEVEN_SLICES, message, part)
        if line.is_even(ROUNDED_PART) and (line.is_even() or not self.options.strict):
            return [self._even(part, line)]
        return self._uneven(part, line)

    def _uneven(self, part: Part, line: Line) -> list[VolumePlan]:
        reason, message = _unevenness(line)
        indices = np.array(part.indices)
        apart = pieces(self.positions[indices], self.axes)
        if self.options.strict or len(apart) > MAX_PIECES:
            return self._refuse(reason, message, part)
        if len(apart) == 1:
            volume = self._resampled(part, line, message)
            return [volume] if volume is not None else self._refuse(reason, message, part)
        self.result.warnings.append(
            f"The slices lie in {len(apart)} pieces, with gaps of up to {line.gaps.max():.4g} mm: a volume each."
        )
        parts = [Part(indices[piece].tolist(), part.dimensions) for piece in apart]
        return [volume for piece in parts for volume in self.volumes(piece)]

    def _refuse(self, reason: Reason, message: str, part: Part) -> list[VolumePlan]:
        refuse(self.result, reason, message, [self.instances[index] for index in part.indices])
        return []

    def _single(self, part: Part) -> VolumePlan:
        (index,) = part.indices
        members = [self.instances[index]]
        thickness, unknown = _thickness(members[0])
        step = self.axes.normal * thickness
        warnings = [*pixel_warnings(members), *([unknown] if unknown else [])]
        return self._volume(_Stack(part, members, self.positions[index], step, 1, warnings))

    def _even(self, part: Part, line: Line) -> VolumePlan:
        members = [self.instances[part.indices[place]] for place in line.order]
        warnings = pixel_warnings(members)
        if not line.is_even():
            warnings.append(f"Slice positions leave the even line by up to {line.deviation:.3g} mm.")
        warnings.extend(_two_slice_warning(line, members))
        return self._volume(_Stack(part, members, line.first, line.step, len(members), warnings))

    def _resampled(self, part: Part, line: Line, message: str) -> VolumePlan | None:
        grid = even_grid(self.positions[part.indices][line.order], self.axes)
        if grid is None:
            return None
        members = [self.instances[part.indices[place]] for place in line.order]
        measured = {round(k) for k in grid.k if abs(k - round(k)) < 1e-6}
        made = [k for k in range(grid.slices) if k not in measured]
        which = f"slices k = {_ranges(made)} were" if len(made) < grid.slices - 2 else "most slices were"
        warnings = pixel_warnings(members)
        warnings.append(
            f"{message[0].upper()}{message[1:]}. It was resampled to {grid.slices} even slices, "
            f"{np.linalg.norm(grid.step):.4g} mm apart: {which} not measured, "
            "but interpolated between their neighbours."
        )
        why = (Reason.MISSING_SLICES if grid.missing else Reason.UNEVEN_SLICES).value
        return self._volume(_Stack(part, members, grid.first, grid.step, grid.slices, warnings, grid.k, why))

    def _volume(self, stack: _Stack) -> VolumePlan:
        tilt = _tilt(stack.step, self.axes)
        if tilt >= TILT_SHOWN and self.options.rectify:
            return self._upright(stack, tilt)
        if tilt >= TILT_SHOWN:
            stack.warnings.append(f"The stack leans {tilt:.1f} degrees (gantry tilt): the affine is sheared.")
        else:
            tilt = 0.0
        resampling = None if stack.k is None else Resampling(why=stack.why, k=stack.k)
        return self._planned(stack, stack.first, stack.step, tilt=tilt, resampling=resampling)

    def _upright(self, stack: _Stack, tilt: float) -> VolumePlan:
        """A tilted stack on a right-angled grid that covers all of it."""
        between_rows, between_columns = self.spacing
        k = list(map(float, range(stack.slices))) if stack.k is None else stack.k
        beside = np.array(k)[:, None] * stack.step
        i = beside @ self.axes.row / between_columns
        j = beside @ self.axes.column / between_rows
        i0, j0 = float(np.floor(i.min() + 1e-6)), float(np.floor(j.min() + 1e-6))
        more = int(np.ceil(j.max() - j0 - 1e-6)), int(np.ceil(i.max() - i0 - 1e-6))
        first = stack.first + i0 * between_columns * self.axes.row + j0 * between_rows * self.axes.column
        step = self.axes.normal * float(stack.step @ self.axes.normal)
        stack.warnings.append(
            f"The stack leans {tilt:.1f} degrees (gantry tilt): it was resampled onto a right-angled grid; outside "
            "the slices the smallest value was put."
        )
        shift = [(float(a - i0), float(b - j0)) for a, b in zip(i, j, strict=True)]
        resampling = Resampling(why=stack.why or "gantry-tilt", k=k, shift=shift)
        return self._planned(stack, first, step, more=more, resampling=resampling)

    def _planned(
        self,
        stack: _Stack,
        first: Array,
        step: Array,
        *,
        tilt: float = 0.0,
        resampling: Resampling | None = None,
        more: tuple[int, int] = (0, 0),
    ) -> VolumePlan:
        head = stack.members[0]
        return VolumePlan(
            name="",
            instances=stack.members,
            affine=ijk_to_ras(first, self.axes, self.spacing, step).tolist(),
            shape=(stack.slices, (head.Rows or 0) + more[0], (head.Columns or 0) + more[1]),
            spacing=(self.spacing[1], self.spacing[0], float(np.linalg.norm(step))),
            orientation=orientation_name(self.axes.normal),
            samples=3 if is_colour(head) else 1,
            tilt=tilt,
            resampling=resampling,
            dimensions=list(stack.part.dimensions),
            warnings=stack.warnings,
        )


class _Stack(NamedTuple):
    """Planes in order along the normal, and the even places that they are given."""

    part: Part
    members: list[Instance]
    #: LPS, mm: the first place, and the step to the next
    first: Array
    step: Array
    slices: int
    warnings: list[str]
    #: where the planes lie, in steps; None: one at each place
    k: list[float] | None = None
    #: of `Resampling`
    why: str = ""


def _tilt(step: Array, axes: Axes) -> float:
    """Degrees between the step and the slices' normal."""
    return float(np.degrees(np.arccos(np.clip(step @ axes.normal / np.linalg.norm(step), -1.0, 1.0))))


def _is_stack(line: Line, axes: Axes) -> bool:
    """Whether the slices lie behind one another, not beside."""
    return float(line.gaps.min()) > 0 and line.tilt(axes) <= MAX_TILT


def _unevenness(line: Line) -> tuple[Reason, str]:
    """What is uneven about these positions."""
    smallest, largest = float(line.gaps.min()), float(line.gaps.max())
    usual = float(np.median(line.gaps))
    ratios = line.gaps / usual
    whole = np.round(ratios)
    if np.all(np.abs(ratios - whole) <= ROUNDED_PART) and whole.min() >= 1:
        missing = int(np.sum(whole - 1))
        return Reason.MISSING_SLICES, (
            f"{missing} of {len(line.order) + missing} slices are missing: the step is {usual:.4g} mm, "
            f"but there are gaps of up to {largest:.4g} mm"
        )
    return Reason.UNEVEN_SLICES, f"steps between slices vary from {smallest:.4g} to {largest:.4g} mm"


def _ranges(numbers: list[int]) -> str:
    """``3, 5-7``; the first few."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return ", ".join(words[:8]) + (", ..." if len(words) > 8 else "")


def _thickness(instance: Instance) -> tuple[float, str | None]:
    """The k spacing of a single slice, mm, and a warning if the header does not say."""
    for value in (instance.SliceThickness, instance.SpacingBetweenSlices):
        if value is not None and _is_length(value):
            return value, None
    return 1.0, "A single slice of unknown thickness: 1 mm was put in its place."


def _two_slice_warning(line: Line, members: list[Instance]) -> list[str]:
    """With two slices no third tells whether one is missing between them; the header may."""
    said = members[0].SpacingBetweenSlices
    if len(members) != 2 or not said or abs(abs(said) - float(line.gaps[0])) <= 0.01 * abs(said):
        return []
    return [f"Two slices, {line.gaps[0]:.4g} mm apart, where the header says {abs(said):.4g} mm."]
