"""Volumes of one geometry become a sequence where one thing changes from one to the next: time, echo, b-value..."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from slicer_notebook.dicom.plans import SequenceAxis, SequencePlan, VolumePlan
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.split import Dimension, acquisition_seconds, content_seconds
from slicer_notebook.dicom.stacks import warnings_of_all

__all__ = ["fold"]

#: Attributes that tell kinds of picture apart, not places along an axis: volumes of their own.
_KINDS: Final = frozenset({"ImageType", "ComplexImageComponent", "ConvolutionKernel", "DiffusionDirectionality", "KVP"})
_DIFFUSION: Final = frozenset({"DiffusionBValue", "DiffusionGradientOrientation"})
#: keyword -> name of the axis, unit, and what a value is multiplied with
_AXES: Final[dict[str, tuple[str, str, float]]] = {
    "EchoTime": ("echo time", "ms", 1.0),
    "EchoNumbers": ("echo", "", 1.0),
    "InversionTime": ("inversion time", "ms", 1.0),
    "FlipAngle": ("flip angle", "degrees", 1.0),
    "RepetitionTime": ("repetition time", "ms", 1.0),
    "TriggerTime": ("trigger time", "ms", 1.0),
    "NominalPercentageOfCardiacPhase": ("cardiac phase", "%", 1.0),
    "NominalPercentageOfRespiratoryPhase": ("respiratory phase", "%", 1.0),
    "TemporalPositionTimeOffset": ("time", "s", 1.0),
    # PS3.3 C.8.9.4.1.5: milliseconds since the series' reference time
    "FrameReferenceTime": ("time", "s", 1e-3),
}
#: Attributes that only count volumes.
_COUNTERS: Final = frozenset(
    {"AcquisitionNumber", "InstanceNumber", "TemporalPositionIdentifier", "TemporalPositionIndex"}
)
#: Affines of volumes at one place differ by no more than this, mm: positions within it are the same (`geometry`).
_SAME_PLACE: Final = 0.02


def fold(volumes: list[VolumePlan]) -> list[VolumePlan | SequencePlan]:
    """Volumes of one geometry group, in order of what sets them apart, those that belong together made sequences."""
    families: list[list[VolumePlan]] = []
    for volume in volumes:
        for family in families:
            if _belongs(volume, family[0]):
                family.append(volume)
                break
        else:
            families.append([volume])
    return [_sequence(family) if len(family) > 1 else family[0] for family in families]


def _split_dimensions(volume: VolumePlan) -> tuple[list[Dimension], list[Dimension]]:
    """(what makes another sequence, what is the sequence's axis)."""
    dimensions = volume.dimensions
    if not dimensions or dimensions[-1].keyword in _KINDS:
        return dimensions, []
    first = next((n for n, dimension in enumerate(dimensions) if dimension.keyword in _DIFFUSION), None)
    at = len(dimensions) - 1 if first is None else first
    return dimensions[:at], dimensions[at:]


def _belongs(volume: VolumePlan, other: VolumePlan) -> bool:
    outer, axis = _split_dimensions(volume)
    other_outer, other_axis = _split_dimensions(other)
    return bool(
        axis
        and other_axis
        and outer == other_outer
        and axis[0].keyword == other_axis[0].keyword
        and volume.shape == other.shape
        and volume.samples == other.samples
        and volume.resampling == other.resampling
        and np.allclose(volume.affine, other.affine, rtol=0, atol=_SAME_PLACE)
    )


def _sequence(volumes: list[VolumePlan]) -> SequencePlan:
    if _split_dimensions(volumes[0])[1][0].keyword in _DIFFUSION:
        # b-values and directions have no order of their own: that of acquisition is the one that other tools keep.
        volumes = sorted(volumes, key=_acquired)
    axis = _axis(volumes)
    warnings = warnings_of_all(volumes)
    outer, _ = _split_dimensions(volumes[0])
    return SequencePlan(name="", axis=axis, volumes=volumes, outer=outer, warnings=warnings)


def _acquired(volume: VolumePlan) -> tuple[float, float, int]:
    """When a volume was acquired, as far as it says: time, instance number, frame; of its earliest slice."""
    planes = volume.instances
    times = [seconds for plane in planes if (seconds := acquisition_seconds(plane)) is not None]
    numbers = [plane.InstanceNumber for plane in planes if plane.InstanceNumber is not None]
    # A day's seconds in full: clocks of many decimals differ by their rounding.
    time = round(min(times), 3) if len(times) == len(planes) else 0.0
    return time, float(min(numbers, default=0)), min(plane.frame for plane in planes)


def _axis(volumes: list[VolumePlan]) -> SequenceAxis:
    dimension = _split_dimensions(volumes[0])[1][0]
    keyword = dimension.keyword
    if keyword in _DIFFUSION:
        return _diffusion(volumes)
    if keyword in _AXES and not any(v.value is None for v in _values(volumes)):
        name, unit, factor = _AXES[keyword]
        values = [_scaled(v.value, factor) for v in _values(volumes)]
        return SequenceAxis(name=name, keyword=keyword, unit=unit, values=values)
    timed = _times(volumes) or _intervals(volumes, dimension)
    if timed is not None:
        return timed
    return _numbered(volumes, dimension)


def _values(volumes: list[VolumePlan]) -> list[Dimension]:
    return [_split_dimensions(volume)[1][0] for volume in volumes]


def _scaled(value: str | int | float | None, factor: float) -> float | str:
    return float(value) * factor if isinstance(value, int | float) else str(value)


def _diffusion(volumes: list[VolumePlan]) -> SequenceAxis:
    gradients: list[list[float] | None] = []
    values: list[float | str] = []
    for volume in volumes:
        head = volume.instances[0]
        values.append(float(head.DiffusionBValue or 0.0))
        direction = head.DiffusionGradientOrientation
        gradients.append(direction if direction is not None and any(direction) else None)
    return SequenceAxis(
        name="b-value", keyword="DiffusionBValue", unit="s/mm2", values=values,
        gradients=gradients if any(gradients) else None,
    )  # fmt: skip


Seconds = Callable[[Instance], float | None]


def _offset(instance: Instance) -> float | None:
    return instance.TemporalPositionTimeOffset


def _reference(instance: Instance) -> float | None:
    return None if instance.FrameReferenceTime is None else instance.FrameReferenceTime / 1000.0


#: keyword, seconds, whether they count from the first volume
_CLOCKS: Final[Sequence[tuple[str, Seconds, bool]]] = (
    ("TemporalPositionTimeOffset", _offset, False),
    ("FrameReferenceTime", _reference, False),
    ("AcquisitionTime", acquisition_seconds, True),
    ("ContentTime", content_seconds, True),
)


def _times(volumes: list[VolumePlan]) -> SequenceAxis | None:
    """Seconds of each volume's first slice, by the first clock that rises from volume to volume."""
    for keyword, seconds, relative in _CLOCKS:
        earliest: list[float] = []
        for volume in volumes:
            found = [value for instance in volume.instances if (value := seconds(instance)) is not None]
            if len(found) < len(volume.instances):
                break
            earliest.append(min(found))
        if len(earliest) < len(volumes) or not all(np.diff(earliest) > 0):
            continue
        # Rounded to the microsecond that DICOM's times have.
        start = earliest[0] if relative else 0.0
        values: list[float | str] = [round(value - start, 6) for value in earliest]
        return SequenceAxis(name="time", keyword=keyword, unit="s", values=values)
    return None


def _intervals(volumes: list[VolumePlan], dimension: Dimension) -> SequenceAxis | None:
    """No clock, but an interval: of temporal positions, or of echo-planar images, which take a volume in each TR."""
    if dimension.keyword not in _COUNTERS:
        return None
    head = volumes[0].instances[0]
    echo_planar = head.MRAcquisitionType == "2D" and "EP" in (head.ScanningSequence or [])
    for keyword, interval in (
        ("TemporalResolution", head.TemporalResolution),
        ("RepetitionTime", head.RepetitionTime if echo_planar else None),
    ):
        if interval is not None and interval > 0:
            values: list[float | str] = [round(n * interval / 1000.0, 6) for n in range(len(volumes))]
            return SequenceAxis(name="time", keyword=keyword, unit="s", values=values)
    return None


def _numbered(volumes: list[VolumePlan], dimension: Dimension) -> SequenceAxis:
    """No clock: the values of the attribute that tells them apart, or the place in their order."""
    dimensions = _values(volumes)
    if dimension.ordered or any(d.value is None for d in dimensions):
        values: list[float | str] = [float(d.index) for d in dimensions]
        return SequenceAxis(name="index", keyword=dimension.keyword, values=values)
    name = {"TemporalPositionIdentifier": "temporal position", "TemporalPositionIndex": "temporal position"}
    return SequenceAxis(
        name=name.get(dimension.keyword, dimension.keyword),
        keyword=dimension.keyword,
        unit=dimension.unit,
        values=[_scaled(d.value, 1.0) for d in dimensions],
    )
