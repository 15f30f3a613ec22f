"""Several volumes in one series: telling time points, echoes, b-values... apart where slices repeat a position.

An attribute tells the volumes apart when each of its values is at every position equally often; if a value still
repeats positions, the next attribute goes on within it (b-value, then gradient direction). If no attribute does, an
order of acquisition may: the n-th image at each position belongs to volume n, if all of volume n comes before all of
volume n+1. Otherwise nothing is guessed: the caller refuses the series.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from typing import Any, Final, NamedTuple

import msgspec

from slicer_notebook.dicom.records import Instance

__all__ = ["Dimension", "Part", "split_repeated"]


class Dimension(msgspec.Struct, kw_only=True, frozen=True):
    """What sets one volume of a series apart from the others."""

    #: the DICOM keyword whose value differs
    keyword: str
    value: str | int | float | None
    #: "ms", "s/mm2", "degrees", "" ...
    unit: str = ""
    #: which of ``count`` values, from 0
    index: int
    count: int

    def __str__(self) -> str:
        """In words, for a volume's name: ``EchoTime 4.92 ms``."""
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"{self.keyword} {value} {self.unit}".strip()


class Part(NamedTuple):
    """Indices of one volume's instances, and what sets it apart."""

    indices: list[int]
    dimensions: tuple[Dimension, ...]


def _image_type(instance: Instance) -> Hashable:
    return "\\".join(instance.ImageType) if instance.ImageType else None


def _direction(instance: Instance) -> Hashable:
    direction = instance.DiffusionGradientOrientation
    return "\\".join(f"{part:g}" for part in direction) if direction else None


def _field(keyword: str) -> Callable[[Instance], Hashable]:
    def value(instance: Instance) -> Hashable:
        found: Hashable = getattr(instance, keyword)
        return found

    return value


#: keyword, unit, value; in the order in which they are tried
_ATTRIBUTES: Final[tuple[tuple[str, str, Callable[[Instance], Hashable]], ...]] = (
    ("ImageType", "", _image_type),
    ("EchoTime", "ms", _field("EchoTime")),
    ("EchoNumbers", "", _field("EchoNumbers")),
    ("InversionTime", "ms", _field("InversionTime")),
    ("FlipAngle", "degrees", _field("FlipAngle")),
    ("RepetitionTime", "ms", _field("RepetitionTime")),
    ("DiffusionBValue", "s/mm2", _field("DiffusionBValue")),
    ("DiffusionGradientOrientation", "", _direction),
    ("ConvolutionKernel", "", lambda i: "\\".join(i.ConvolutionKernel) if i.ConvolutionKernel else None),
    ("TemporalPositionIdentifier", "", _field("TemporalPositionIdentifier")),
    ("TemporalPositionIndex", "", _field("TemporalPositionIndex")),
    ("NominalPercentageOfCardiacPhase", "%", _field("NominalPercentageOfCardiacPhase")),
    ("TriggerTime", "ms", _field("TriggerTime")),
    ("FrameReferenceTime", "ms", _field("FrameReferenceTime")),
    ("AcquisitionNumber", "", _field("AcquisitionNumber")),
)

#: Orders of acquisition: each is a number that grows from image to image.
_ORDERS: Final[tuple[tuple[str, Callable[[Instance], Any]], ...]] = (
    ("AcquisitionDateTime", lambda i: i.AcquisitionDateTime),
    ("AcquisitionTime", lambda i: (i.AcquisitionDate or "", i.AcquisitionTime) if i.AcquisitionTime else None),
    ("ContentTime", lambda i: (i.ContentDate or "", i.ContentTime) if i.ContentTime else None),
    ("InstanceNumber", lambda i: i.InstanceNumber),
)


def _sort_key(value: Hashable) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def _by_attribute(
    instances: list[Instance], place: dict[int, int], indices: list[int], first: int
) -> list[Part] | None:
    """Split by the first attribute, from number ``first`` on, whose every value is equally often at every place."""
    places = {place[index] for index in indices}
    for number in range(first, len(_ATTRIBUTES)):
        keyword, unit, value_of = _ATTRIBUTES[number]
        by_value: dict[Hashable, list[int]] = defaultdict(list)
        for index in indices:
            by_value[value_of(instances[index])].append(index)
        if len(by_value) == 1:
            continue
        if not all(_balanced(place, group, places) for group in by_value.values()):
            continue
        parts: list[Part] = []
        values = sorted(by_value, key=_sort_key)
        for position, value in enumerate(values):
            inner = _split(instances, place, by_value[value], number + 1)
            if inner is None:
                break
            dimension = Dimension(
                keyword=keyword,
                value=value if isinstance(value, str | int | float) or value is None else str(value),
                unit=unit,
                index=position,
                count=len(values),
            )
            parts.extend(Part(part.indices, (dimension, *part.dimensions)) for part in inner)
        else:
            return parts
    return None


def _balanced(place: dict[int, int], group: list[int], places: set[int]) -> bool:
    """Whether the group is at every place, and everywhere equally often."""
    counts = Counter(place[index] for index in group)
    return counts.keys() == places and len(set(counts.values())) == 1


def _by_order(instances: list[Instance], place: dict[int, int], indices: list[int]) -> list[Part] | None:
    """Split by rank in time at each place, if the ranks do not overlap in time."""
    at_place: dict[int, list[int]] = defaultdict(list)
    for index in indices:
        at_place[place[index]].append(index)
    counts = {len(group) for group in at_place.values()}
    if len(counts) != 1:
        return None
    (count,) = counts
    for keyword, value_of in _ORDERS:
        values = {index: value_of(instances[index]) for index in indices}
        if any(value is None for value in values.values()):
            continue
        ranked = [sorted(group, key=values.__getitem__) for group in at_place.values()]
        volumes = [[group[rank] for group in ranked] for rank in range(count)]
        ends = [(min(values[i] for i in volume), max(values[i] for i in volume)) for volume in volumes]
        if all(before[1] < after[0] for before, after in itertools.pairwise(ends)):
            return [
                Part(
                    volume,
                    (Dimension(keyword=keyword, value=_plain(ends[rank][0]), index=rank, count=count),),
                )
                for rank, volume in enumerate(volumes)
            ]
    return None


def _plain(value: Any) -> str | int | float:
    """An order's value as one number or text."""
    if isinstance(value, tuple):
        return "".join(value)
    return value if isinstance(value, int | float) else str(value)


def _split(instances: list[Instance], place: dict[int, int], indices: list[int], first: int) -> list[Part] | None:
    if len({place[index] for index in indices}) == len(indices):
        return [Part(indices, ())]
    parts = _by_attribute(instances, place, indices, first)
    return parts if parts is not None else _by_order(instances, place, indices)


def split_repeated(instances: list[Instance], bins: list[list[int]]) -> list[Part] | None:
    """Split instances that repeat positions into volumes with one instance at each position.

    Args:
        instances: of one geometry.
        bins: indices into ``instances``, one list for each position.

    Returns:
        The volumes, in the order of what sets them apart; None when nothing in the headers tells them apart.
    """
    place = {index: number for number, group in enumerate(bins) for index in group}
    return _split(instances, place, sorted(place), 0)
