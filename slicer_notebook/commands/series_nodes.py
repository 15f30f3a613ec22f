"""What was read of a series, put into the scene: volumes, sequences, images, with what their headers say.

All of this touches MRML: it runs on Slicer's main thread, in steps short enough that nobody notices.

Attributes of the nodes, beside Slicer's own (``DICOM.instanceUIDs``: SOP Instance UIDs in slice order, separated by
blanks; ``DICOM.StudyInstanceUID`` and so on by keyword):

- ``slicer_notebook.warnings``: what is not as one would think, a line each.
- ``slicer_notebook.image`` = "1": a picture with no place in the patient, at the origin, one slice.
- ``slicer_notebook.calibrated`` = "0": no pixel spacing is known; 1 mm stands in its place.
- ``slicer_notebook.quantity``: what the values were turned into ("SUVbw").
- of a sequence: ``slicer_notebook.axis``, the DICOM keyword that its values come from; of its items,
  ``slicer_notebook.value``, where the index is text that had to be made unique.
- diffusion: of an item, ``DICOM.DiffusionBValue`` (s/mm2) and ``DICOM.DiffusionGradientOrientation`` (unit vector,
  LPS); of the sequence, if all of it is diffusion with known directions, ``modality`` = "DWMRI", ``DWMRI_b-value`` (the
  largest) and ``DWMRI_gradient_0000``... (scaled by the root of b over the largest b). Those are the keys of diffusion
  NRRD files, which Slicer writes from a sequence's attributes, with "space: left-posterior-superior": so LPS here, too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands.host import Host, SequenceBuilder
from slicer_notebook.commands.units import quantity_code, unit_code

if TYPE_CHECKING:
    from slicer_notebook.dicom.load import SequenceData, VolumeData
    from slicer_notebook.dicom.plans import SequenceAxis, VolumePlan
    from slicer_notebook.dicom.records import Instance

__all__ = ["AXIS", "VALUE", "SequenceInTheMaking", "add_volume", "instance_uids", "sequence_items"]

INSTANCES: Final = "DICOM.instanceUIDs"
AXIS: Final = "slicer_notebook.axis"
VALUE: Final = "slicer_notebook.value"
B_VALUE: Final = "DICOM.DiffusionBValue"
GRADIENT: Final = "DICOM.DiffusionGradientOrientation"
#: Up to this b-value, s/mm2, a volume is a baseline, which needs no direction (dipy's threshold, too): scanners count
#: the weighting of the imaging gradients themselves.
BASELINE: Final = 50.0
#: Items of a sequence that are made in one go on the main thread: one takes some 0.5 ms.
_AT_ONCE: Final = 64


def add_volume(host: Host, planned: VolumePlan, data: VolumeData) -> Any:
    """A volume or image, described and placed; the node."""
    scalar = data.array.ndim == 3
    node = host.add_volume(data.array, data.affine, data.name, window_level=data.window_level if scalar else None)
    _describe(host, node, planned, data)
    if data.warnings:
        node.SetAttribute("slicer_notebook.warnings", "\n".join(data.warnings))
    _set_display(node, data)
    _place(host, node, planned.instances[0])
    return node


def instance_uids(node: Any) -> list[str]:
    """SOP Instance UIDs of a volume in slice order; empty where it is not from DICOM."""
    return (node.GetAttribute(INSTANCES) or "").split()


def sequence_items(sequence: Any) -> list[Any]:
    """The data nodes of a sequence, in its order."""
    return [sequence.GetNthDataNode(number) for number in range(sequence.GetNumberOfDataNodes())]


class SequenceInTheMaking:
    """A sequence, made a few items at a time outside of the scene.

    Args:
        planned: plans of its volumes.
        data: what was read.
    """

    def __init__(self, host: Host, planned: list[VolumePlan], data: SequenceData) -> None:
        self._host = host
        self._planned = planned
        self._data = data
        self._indices, self._unique = _indices(data.axis)
        self._builder: SequenceBuilder | None = None

    def steps(self) -> Iterator[Callable[[], None]]:
        """What has to be done on the main thread before `finish`, in short pieces."""
        yield self._begin
        for start in range(0, len(self._data.volumes), _AT_ONCE):
            yield lambda start=start: self._append(range(start, min(start + _AT_ONCE, len(self._data.volumes))))  # type: ignore[misc]

    def _begin(self) -> None:
        data = self._data
        self._builder = self._host.new_sequence(
            data.name,
            index_name=data.axis.name,
            index_unit=data.axis.unit,
            indices=self._indices,
            block=data.array,
        )
        _describe(self._host, self._builder.template, self._planned[0], data.volumes[0])

    def _append(self, numbers: range) -> None:
        assert self._builder is not None
        axis = self._data.axis
        for number in numbers:
            volume = self._data.volumes[number]
            attributes = {INSTANCES: " ".join(volume.sop_instance_uids)}
            if not self._unique:
                attributes[VALUE] = _text(axis.values[number])
            if axis.gradients is not None:
                attributes[B_VALUE] = _text(axis.values[number])
                gradient = axis.gradients[number]
                if gradient is not None:
                    attributes[GRADIENT] = " ".join(_text(part) for part in gradient)
            self._builder.append(volume.name, volume.affine, attributes)

    def finish(self) -> tuple[Any, Any]:
        """(sequence node, proxy volume) in the scene, described and placed."""
        assert self._builder is not None
        data = self._data
        sequence, browser, proxy = self._builder.finish()
        for keyword, uid in data.volumes[0].uids.items():
            sequence.SetAttribute(f"DICOM.{keyword}", uid or None)
        sequence.SetAttribute("DICOM.Modality", data.volumes[0].modality or None)
        sequence.SetAttribute(AXIS, data.axis.keyword)
        if data.warnings:
            sequence.SetAttribute("slicer_notebook.warnings", "\n".join(data.warnings))
        for name, value in diffusion_keys(data.axis).items():
            sequence.SetAttribute(name, value)
        _set_display(proxy, data.volumes[0])
        display = proxy.GetDisplayNode()
        if display is not None and data.volumes[0].window_level is None and hasattr(display, "SetAutoWindowLevel"):
            # The first volume's automatic window for all: else every step would have a grey scale of its own.
            window, level = display.GetWindow(), display.GetLevel()
            display.SetAutoWindowLevel(0)
            display.SetWindowLevel(window, level)
        _place(self._host, sequence, self._planned[0].instances[0], beside=[browser, proxy])
        return sequence, proxy


def _indices(axis: SequenceAxis) -> tuple[list[float] | list[str], bool]:
    """The items' MRML indices, all different, and whether they are the axis' values themselves.

    MRML keeps numeric indices sorted, and items of one index overwrite each other; b-values, for one, come many times.
    """
    values = axis.values
    numbers = [value for value in values if isinstance(value, float | int)]
    if len(numbers) == len(values) and all(a < b for a, b in itertools.pairwise(numbers)):
        return [float(number) for number in numbers], True
    texts = [_text(value) for value in values]
    if len(set(texts)) == len(texts):
        return texts, True
    return [f"{number + 1}: {text}" for number, text in enumerate(texts)], False


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.15g}"


def diffusion_keys(axis: SequenceAxis) -> dict[str, str]:
    """The attributes of a diffusion NRRD file (frame: LPS); empty unless every weighted volume has a direction."""
    if axis.gradients is None or not all(isinstance(value, float | int) for value in axis.values):
        return {}
    values = [float(value) for value in axis.values]
    largest = max(values, default=0.0)
    directions = [gradient or [0.0, 0.0, 0.0] for gradient in axis.gradients]
    weighted = [math.hypot(*d) > 0 for value, d in zip(values, directions, strict=True) if value > BASELINE]
    if largest <= BASELINE or not all(weighted):
        return {}
    keys = {"modality": "DWMRI", "DWMRI_b-value": _text(largest)}
    for number, (value, direction) in enumerate(zip(values, directions, strict=True)):
        scale = math.sqrt(value / largest) / (math.hypot(*direction) or 1.0)
        keys[f"DWMRI_gradient_{number:04d}"] = " ".join(f"{part * scale + 0.0:.10g}" for part in direction)
    return keys


def _describe(host: Host, node: Any, planned: VolumePlan, data: VolumeData) -> None:
    """What the DICOM header says beyond voxels and place."""
    node.SetAttribute(INSTANCES, " ".join(data.sop_instance_uids))
    node.SetAttribute("DICOM.Modality", data.modality or None)
    for keyword, uid in data.uids.items():
        node.SetAttribute(f"DICOM.{keyword}", uid or None)
    if planned.image:
        node.SetAttribute("slicer_notebook.image", "1")
    if not planned.calibrated:
        node.SetAttribute("slicer_notebook.calibrated", "0")
    if data.quantity:
        node.SetAttribute("slicer_notebook.quantity", data.quantity)
    if data.units and hasattr(node, "SetVoxelValueUnits"):
        node.SetVoxelValueUnits(_entry(host, unit_code(data.units)))
        quantity = quantity_code(data.units)
        if quantity is not None:
            node.SetVoxelValueQuantity(_entry(host, quantity))


def _entry(host: Host, code: tuple[str, str, str]) -> Any:
    entry = host.slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning(*code)
    return entry


def _set_display(node: Any, data: VolumeData) -> None:
    display = node.GetDisplayNode()
    if display is None or not hasattr(display, "SetWindowLevel"):
        return
    window_level = data.window_level
    if data.array.ndim == 4:
        # Colours as they are: an automatic window would stretch them.
        largest = 255.0 if data.array.dtype.itemsize == 1 else 65535.0
        window_level = (largest, largest / 2)
    if window_level is not None:
        display.SetAutoWindowLevel(0)
        display.SetWindowLevel(*window_level)
    if data.inverted:
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")


def _place(host: Host, node: Any, first: Instance, beside: list[Any] | None = None) -> None:
    host.place_series(
        node,
        patient_id=first.PatientID or first.PatientName or first.StudyInstanceUID,
        study_uid=first.StudyInstanceUID,
        series_uid=first.SeriesInstanceUID,
        patient=_facts(first, "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
        study=_facts(first, "StudyDescription", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
        series=_facts(first, "Modality", "SeriesNumber", "SeriesDescription"),
        beside=beside or [],
    )


def _facts(first: Instance, *keywords: str) -> dict[str, str]:
    values = ((keyword, getattr(first, keyword)) for keyword in keywords)
    return {keyword: str(value) for keyword, value in values if value is not None}
