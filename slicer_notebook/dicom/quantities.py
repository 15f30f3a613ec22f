"""What the values of a volume can be turned into on request: PET SUVs, real world values. Never done unasked."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from slicer_notebook.dicom.nested import UnreadableError
from slicer_notebook.dicom.plans import Mapping, Quantity
from slicer_notebook.dicom.real_world import RealWorldValue, real_world_values
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.stacks import is_colour
from slicer_notebook.dicom.suv import Uptake

__all__ = ["Offers", "mapped", "quantities_of"]


class _Kind(NamedTuple):
    """What tells one quantity of a Real World Value Mapping Sequence from another."""

    label: str
    units: str
    scheme: str
    quantity: str


class _UnclearError(Exception):
    """Mappings that contradict themselves or each other. Never reaches a user."""


class Offers:
    """Quantities of the volumes of one series. Each file's header is read once, and only where it may offer any."""

    def __init__(self, series: Iterable[Instance]) -> None:
        """``series``: all planes of the series."""
        self.uptake = Uptake(plane for plane in series if plane.Modality == "PT")
        self.real_world: dict[str, list[list[RealWorldValue]]] = {}

    def quantities_of(self, planes: Sequence[Instance]) -> tuple[list[Quantity], list[str]]:
        """What a volume of these planes offers, under names that differ; and, in words, what it does not and why."""
        if any(is_colour(plane) for plane in planes):
            return [], []
        offered: list[Quantity] = []
        reasons: list[str] = []
        if all(plane.Modality == "PT" for plane in planes):
            offered, reasons = self.uptake.quantities_of(planes)
        if any(plane.has_real_world_values for plane in planes):
            mapped, unclear = self._real_world(planes)
            offered += mapped
            reasons += unclear
        return _named(offered), reasons

    def _mappings(self, plane: Instance) -> list[RealWorldValue]:
        if not plane.has_real_world_values:
            return []
        if plane.path not in self.real_world:
            self.real_world[plane.path] = real_world_values(plane)
        frames = self.real_world[plane.path]
        return frames[plane.frame] if plane.frame < len(frames) else []

    def _real_world(self, planes: Sequence[Instance]) -> tuple[list[Quantity], list[str]]:
        try:
            given = [self._mappings(plane) for plane in planes]
        except UnreadableError as exc:
            return [], [f"Real world values are not offered: a header is {exc}."]
        kinds = list(dict.fromkeys(_kind(each) for mappings in given for each in mappings))
        # Thousands of planes mostly have a few mappings in common.
        known: dict[tuple[RealWorldValue, ...], tuple[Mapping, ...]] = {}
        offered, reasons = [], []
        for kind in kinds:
            name = kind.label or kind.quantity or kind.units or "real world value"
            of_planes: list[tuple[Mapping, ...]] = []
            try:
                for mappings in given:
                    same = tuple(each for each in mappings if _kind(each) == kind)
                    if same not in known:
                        known[same] = _segments(same)
                    of_planes.append(known[same])
            except _UnclearError as exc:
                reasons.append(f"{name} is not offered: {exc}.")
                continue
            offered.append(Quantity(name=name, units=kind.units, mappings=of_planes, explanation=_words(kind, given)))
        return offered, reasons


def quantities_of(
    planes: Sequence[Instance], series: Iterable[Instance] | None = None
) -> tuple[list[Quantity], list[str]]:
    """What a volume can be turned into.

    Args:
        planes: of the volume, in k order.
        series: all planes of its series, where there are more: they tell when a PET scan began.

    Returns:
        The quantities, under names that differ; and, in words, which are not offered and why.
    """
    return Offers(planes if series is None else series).quantities_of(planes)


def mapped(mappings: Sequence[Mapping], stored: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Real world values of a plane's stored values: the same shape; NaN where none is mapped."""
    values = np.full(stored.shape, np.nan)
    for mapping in mappings:
        if mapping.first is None or mapping.last is None:
            values[...] = stored * mapping.slope + mapping.intercept
            continue
        inside = (stored >= mapping.first) & (stored <= mapping.last)
        chosen = stored[inside].astype(np.float64)
        if mapping.table is None:
            values[inside] = chosen * mapping.slope + mapping.intercept
        else:
            values[inside] = np.array(mapping.table)[(chosen - mapping.first).astype(np.intp)]
    return values


def _kind(mapping: RealWorldValue) -> _Kind:
    return _Kind(mapping.label, mapping.units, mapping.scheme, mapping.quantity)


def _segments(same: tuple[RealWorldValue, ...]) -> tuple[Mapping, ...]:
    """Mappings of one quantity, which must not say two things of one value."""
    if not same:
        raise _UnclearError("not every slice has this mapping")
    segments = list(dict.fromkeys(map(_mapping, same)))
    if len(segments) == 1:
        return (segments[0],)
    ranges = sorted((one.first, one.last) for one in segments if one.first is not None and one.last is not None)
    if len(ranges) < len(segments):
        raise _UnclearError("of its several mappings, one is for all values")
    if any(earlier[1] >= later[0] for earlier, later in itertools.pairwise(ranges)):
        raise _UnclearError("the ranges of its several mappings overlap")
    return tuple(segments)


def _mapping(value: RealWorldValue) -> Mapping:
    first, last = value.first, value.last
    if (first is None) != (last is None) or (first is not None and last is not None and first > last):
        raise _UnclearError(f"its range is from {first} to {last}")
    if value.table is not None:
        if first is None or last is None or not (first.is_integer() and last.is_integer()):
            raise _UnclearError("its table does not say which values it is for")
        if len(value.table) != last - first + 1:
            raise _UnclearError(f"its table has {len(value.table)} entries for the values {first:.0f} to {last:.0f}")
        return Mapping(first=first, last=last, table=value.table)
    if value.slope is None or value.intercept is None:
        raise _UnclearError("it has no slope and intercept, and no table")
    return Mapping(first=first, last=last, slope=value.slope, intercept=value.intercept)


def _words(kind: _Kind, given: list[list[RealWorldValue]]) -> str:
    one = next(each for mappings in given for each in mappings if _kind(each) == kind)
    words = [one.explanation, one.quantity, one.meaning if one.meaning != one.units else ""]
    if kind.scheme not in ("UCUM", ""):
        words.append(f"units of {kind.scheme}")
    return "; ".join(dict.fromkeys(filter(None, words)))


def _named(offered: list[Quantity]) -> list[Quantity]:
    """The same, under names that differ: with their units, and numbered, where they have to be."""
    counts = Counter(quantity.name for quantity in offered)
    used: set[str] = set()
    result = []
    for quantity in offered:
        name = quantity.name
        if counts[name] > 1 and quantity.mappings and quantity.units:
            name = f"{name} [{quantity.units}]"
        number, base = 1, name
        while name in used:
            number += 1
            name = f"{base} ({number})"
        used.add(name)
        result.append(quantity if name == quantity.name else msgspec.structs.replace(quantity, name=name))
    return result
