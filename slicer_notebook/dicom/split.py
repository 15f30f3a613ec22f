"""Several volumes in one series: telling time points, echoes, b-values... apart where slices repeat a position.

In this order:

1. An attribute tells the volumes apart when each of its values is at every position equally often. If a value still
   repeats positions, the next attribute goes on within it (b-value, then gradient direction).
2. An order does: with the images of each position sorted by it, image r at position p has the value a(p) + b(r). That
   holds for volume after volume as well as for position after position, and fails when an image is missing anywhere.
3. An attribute whose values never repeat a position, and are no more than the images at the fullest position: volumes
   that do not all cover the same positions (a scan that was stopped, two ranges that overlap).

Otherwise nothing is guessed: the caller refuses the series.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from datetime import date
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.records import Instance

__all__ = ["Dimension", "Part", "acquisition_seconds", "by_image_type", "content_seconds", "split_repeated"]


class Dimension(msgspec.Struct, kw_only=True, frozen=True):
    """What sets one volume of a series apart from the others."""

    #: the DICOM keyword whose value differs; of an enhanced object's own dimension, what it counts
    keyword: str
    value: str | int | float | None
    #: "ms", "s/mm2", "degrees", "" ...
    unit: str = ""
    #: which of ``count`` values, from 0
    index: int
    count: int
    #: the value is only an order (2. of the module's text): it differs within the volume, and this is its lowest
    ordered: bool = False

    def __str__(self) -> str:
        """In words, for a volume's name: ``TE 4.92 ms``, ``2 of 10``."""
        if self.ordered:
            return f"{self.index + 1} of {self.count}"
        value = f"{self.value:g}" if isinstance(self.value, float) else str(self.value)
        return f"{_SHORT.get(self.keyword, self.keyword)} {value} {self.unit}".strip()


#: How a keyword is called in a volume's name.
_SHORT: Final = {
    "ImageType": "",
    "EchoTime": "TE",
    "EchoNumbers": "echo",
    "InversionTime": "TI",
    "FlipAngle": "flip angle",
    "RepetitionTime": "TR",
    "DiffusionBValue": "b",
    "DiffusionGradientOrientation": "direction",
    "ConvolutionKernel": "kernel",
    "TemporalPositionIdentifier": "time",
    "TemporalPositionIndex": "time",
    "NominalPercentageOfCardiacPhase": "phase",
    "NominalPercentageOfRespiratoryPhase": "phase",
    "TriggerTime": "trigger",
    "FrameReferenceTime": "time",
    "AcquisitionNumber": "acquisition",
    "ComplexImageComponent": "",
    "DiffusionDirectionality": "",
    "KVP": "",
    "TemporalPositionTimeOffset": "time",
}


#: Dimensions of an enhanced object that are looked at; few have more than four.
MAX_DIMENSIONS: Final = 8


class Part(NamedTuple):
    """Indices of one volume's instances, and what sets it apart."""

    indices: list[int]
    dimensions: tuple[Dimension, ...]


Value = Callable[[Instance], Hashable]
Number = Callable[[Instance], float | None]


def _field(keyword: str) -> Value:
    def value(instance: Instance) -> Hashable:
        found: Hashable = getattr(instance, keyword)
        return found

    return value


def _joined(keyword: str) -> Value:
    def value(instance: Instance) -> Hashable:
        parts = getattr(instance, keyword)
        return "\\".join(str(part) for part in parts) if parts else None

    return value


def _direction(instance: Instance) -> Hashable:
    parts = instance.DiffusionGradientOrientation
    # Rounded (and -0 made 0): slices of one direction differ in the last digits that were written.
    return "(" + ", ".join(f"{round(part, 4) + 0.0:g}" for part in parts) + ")" if parts else None


def _trace(instance: Instance) -> Hashable:
    """Only whether it is a trace image: b = 0 has no direction, and belongs with those that have one."""
    return "ISOTROPIC" if instance.DiffusionDirectionality == "ISOTROPIC" else "DIRECTIONAL"


def _dimension(number: int) -> Value:
    def value(instance: Instance) -> Hashable:
        values = instance.DimensionIndexValues or []
        return values[number] if number < len(values) else None

    return value


#: keyword, unit, value; in the order in which they are tried
_ATTRIBUTES: Final[tuple[tuple[str, str, Value], ...]] = (
    ("ImageType", "", _joined("ImageType")),
    ("ComplexImageComponent", "", _field("ComplexImageComponent")),
    ("KVP", "kV", _field("KVP")),
    ("EchoTime", "ms", _field("EchoTime")),
    ("EchoNumbers", "", _field("EchoNumbers")),
    ("InversionTime", "ms", _field("InversionTime")),
    ("FlipAngle", "degrees", _field("FlipAngle")),
    ("RepetitionTime", "ms", _field("RepetitionTime")),
    # Trace images of several directions go apart from those of one direction, with whose b-values they share theirs.
    ("DiffusionDirectionality", "", _trace),
    ("DiffusionBValue", "s/mm2", _field("DiffusionBValue")),
    ("DiffusionGradientOrientation", "", _direction),
    ("ConvolutionKernel", "", _joined("ConvolutionKernel")),
    ("TemporalPositionIdentifier", "", _field("TemporalPositionIdentifier")),
    ("TemporalPositionIndex", "", _field("TemporalPositionIndex")),
    ("TemporalPositionTimeOffset", "s", _field("TemporalPositionTimeOffset")),
    ("NominalPercentageOfCardiacPhase", "%", _field("NominalPercentageOfCardiacPhase")),
    ("NominalPercentageOfRespiratoryPhase", "%", _field("NominalPercentageOfRespiratoryPhase")),
    ("TriggerTime", "ms", _field("TriggerTime")),
    ("FrameReferenceTime", "ms", _field("FrameReferenceTime")),
    ("AcquisitionNumber", "", _field("AcquisitionNumber")),
    # What an enhanced object's own dimensions say, whatever they mean (PS3.3 C.7.6.17).
    *((f"DimensionIndexValues[{number}]", "", _dimension(number)) for number in range(MAX_DIMENSIONS)),
)


def _seconds(day: str | None, time: str | None) -> float | None:
    """Seconds of a DA and a TM value (the day may be absent); None when they are none."""
    if not time:
        return None
    try:
        days = date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal() if day else 0
        hours, minutes, rest = int(time[:2]), int(time[2:4] or 0), float(time[4:] or 0)
    except ValueError:
        return None
    return days * 86400.0 + hours * 3600.0 + minutes * 60.0 + rest


def acquisition_seconds(instance: Instance) -> float | None:
    """When the plane was acquired: seconds, of a day that is the same for all that name the same day."""
    found = _date_time(instance)
    return found if found is not None else _seconds(instance.AcquisitionDate, instance.AcquisitionTime)


def content_seconds(instance: Instance) -> float | None:
    """When the plane's content began, seconds as for `acquisition_seconds`."""
    return _seconds(instance.ContentDate, instance.ContentTime)


def _date_time(instance: Instance) -> float | None:
    """Seconds of AcquisitionDateTime; its offset from UTC is the same in all of a series, and left out."""
    text = (instance.AcquisitionDateTime or "").split("+")[0].split("-")[0]
    return _seconds(text[:8], text[8:])


def _number(keyword: str) -> Number:
    def value(instance: Instance) -> float | None:
        found = getattr(instance, keyword)
        return None if found is None else float(found)

    return value


#: keyword, value as a number, and whether it must fit a(p) + b(r) exactly
_ORDERS: Final[tuple[tuple[str, Number, bool], ...]] = (
    ("TriggerTime", _number("TriggerTime"), False),
    ("FrameReferenceTime", _number("FrameReferenceTime"), False),
    ("AcquisitionDateTime", _date_time, False),
    ("AcquisitionTime", lambda i: _seconds(i.AcquisitionDate, i.AcquisitionTime), False),
    ("ContentTime", content_seconds, False),
    ("InstanceNumber", _number("InstanceNumber"), True),
)
#: Times may leave a(p) + b(r) by this part of the shortest interval between two volumes.
_TIME_TOLERANCE: Final = 0.25


class _Repeats:
    """Instances with repeated positions, on their way into parts."""

    def __init__(self, instances: list[Instance], bins: list[list[int]]) -> None:
        self.instances = instances
        self.place = {index: number for number, group in enumerate(bins) for index in group}

    def split(self, indices: list[int], first: int = 0) -> list[Part] | None:
        """Parts without repeated positions; attributes before number ``first`` were used already."""
        fullest = max(Counter(self.place[index] for index in indices).values())
        if fullest == 1:
            return [Part(indices, ())]
        return (
            self._by_attribute(indices, first) or self._by_order(indices) or self._by_partial(indices, first, fullest)
        )

    def _groups(self, indices: list[int], number: int) -> dict[Hashable, list[int]]:
        groups: dict[Hashable, list[int]] = defaultdict(list)
        for index in indices:
            groups[_ATTRIBUTES[number][2](self.instances[index])].append(index)
        return dict(sorted(groups.items(), key=lambda item: _sort_key(item[0])))

    def _by_attribute(self, indices: list[int], first: int) -> list[Part] | None:
        places = {self.place[index] for index in indices}
        for number in range(first, len(_ATTRIBUTES)):
            groups = self._groups(indices, number)
            if len(groups) == 1 or not all(self._is_everywhere(group, places) for group in groups.values()):
                continue
            inner = [self.split(group, number + 1) for group in groups.values()]
            parts: list[Part] = []
            for dimension, found in zip(_dimensions(number, list(groups)), inner, strict=True):
                if found is None:
                    break
                parts.extend(Part(part.indices, (dimension, *part.dimensions)) for part in found)
            else:
                return parts
        return None

    def _is_everywhere(self, group: list[int], places: set[int]) -> bool:
        counts = Counter(self.place[index] for index in group)
        return counts.keys() == places and len(set(counts.values())) == 1

    def _by_order(self, indices: list[int]) -> list[Part] | None:
        at_place: dict[int, list[int]] = defaultdict(list)
        for index in indices:
            at_place[self.place[index]].append(index)
        if len({len(group) for group in at_place.values()}) != 1:
            return None
        for keyword, value_of, exact in _ORDERS:
            values = {index: value_of(self.instances[index]) for index in indices}
            if any(value is None for value in values.values()):
                continue
            numbers = {index: value for index, value in values.items() if value is not None}
            ranked = [sorted(group, key=numbers.__getitem__) for group in at_place.values()]
            table = np.array([[numbers[index] for index in group] for group in ranked])
            since_first = table - table[:, :1]
            interval = float(np.diff(table, axis=1).min())
            tolerance = 0.0 if exact else _TIME_TOLERANCE * interval
            if interval > 0 and float(np.ptp(since_first, axis=0).max()) <= tolerance:
                return self._ranks(keyword, ranked, table)
        return None

    def _ranks(self, keyword: str, ranked: list[list[int]], table: npt.NDArray[np.float64]) -> list[Part]:
        count = table.shape[1]
        return [
            Part(
                [group[rank] for group in ranked],
                (Dimension(keyword=keyword, value=float(table[:, rank].min()), index=rank, count=count, ordered=True),),
            )
            for rank in range(count)
        ]

    def _by_partial(self, indices: list[int], first: int, fullest: int) -> list[Part] | None:
        for number in range(first, len(_ATTRIBUTES)):
            groups = self._groups(indices, number)
            once = all(len({self.place[index] for index in group}) == len(group) for group in groups.values())
            if len(groups) == fullest and once:
                dimensions = _dimensions(number, list(groups))
                return [Part(group, (dim,)) for group, dim in zip(groups.values(), dimensions, strict=True)]
        return None


def _sort_key(value: Hashable) -> tuple[int, float, str]:
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))


def _dimensions(number: int, values: list[Hashable]) -> list[Dimension]:
    keyword, unit, _ = _ATTRIBUTES[number]
    return [
        Dimension(
            keyword=keyword,
            value=value if isinstance(value, str | int | float) else None,
            unit=unit,
            index=index,
            count=len(values),
        )
        for index, value in enumerate(values)
    ]


def split_repeated(instances: list[Instance], bins: list[list[int]]) -> list[Part] | None:
    """Split instances that repeat positions into volumes with no more than one instance at each position.

    Args:
        instances: of one geometry.
        bins: indices into ``instances``, one list for each position.

    Returns:
        The volumes, in the order of what sets them apart; None when nothing in the headers tells them apart.
    """
    repeats = _Repeats(instances, bins)
    return repeats.split(sorted(repeats.place))


def by_image_type(instances: list[Instance]) -> list[Part]:
    """Split by ImageType: derived pictures (a projection, a reformat) beside the slices that they were made from."""
    repeats = _Repeats(instances, [[index] for index in range(len(instances))])
    groups = repeats._groups(list(range(len(instances))), 0)
    return [
        Part(group, (dimension,) if len(groups) > 1 else ())
        for group, dimension in zip(groups.values(), _dimensions(0, list(groups)), strict=True)
    ]
