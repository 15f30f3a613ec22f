"""Pictures without a place in the patient: radiographs, ultrasound, secondary captures, photographs, and cines of them.

Each lies at the origin, one slice thick, with the header's pixel spacing; where there is none, a pixel is 1 mm, which
is said (`VolumePlan.calibrated`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import numpy as np

from slicer_notebook.dicom.geometry import Axes, ijk_to_ras
from slicer_notebook.dicom.plans import SequenceAxis, SequencePlan, SeriesPlan, VolumePlan
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.stacks import Options, is_colour, pixel_warnings, refuse, valid_spacing, warnings_of_all

__all__ = ["plan_pictures"]

#: Slices by their nature: without a position they are no pictures that could stand alone.
_SLICES: Final = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in ("2", "2.1", "2.2", "4", "4.1", "4.3", "4.4", "128", "128.1", "130", "13.1.1", "481.2")
)
_ORIGIN: Final = Axes(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))


def plan_pictures(unplaced: list[Instance], result: SeriesPlan, options: Options) -> list[VolumePlan | SequencePlan]:
    """An image for each plane, a sequence for the frames of a file; slices that say no position are refused."""
    files: dict[str, list[Instance]] = defaultdict(list)
    lost = []
    for plane in unplaced:
        if plane.SOPClassUID in _SLICES:
            lost.append(plane)
        else:
            files[plane.SOPInstanceUID].append(plane)
    if lost:
        message = "no ImagePositionPatient and ImageOrientationPatient: where the slices lie is not known"
        refuse(result, Reason.NO_POSITION, message, lost)
    found: list[VolumePlan | SequencePlan] = []
    for planes in files.values():
        images = [image for plane in planes if (image := _image(plane, result, options)) is not None]
        found += [_cine(images)] if len(images) > 1 else images
    return found


def _image(plane: Instance, result: SeriesPlan, options: Options) -> VolumePlan | None:
    warnings = pixel_warnings([plane])
    spacing, keyword = _spacing(plane)
    if spacing is None and options.strict:
        refuse(result, Reason.NO_SPACING, "no pixel spacing: the size of a pixel is not known", [plane])
        return None
    if spacing is None:
        warnings.append("No pixel spacing is known: a pixel was made 1 mm, and nothing can be measured in it.")
    if keyword == "ImagerPixelSpacing":
        warnings.append("Pixel spacing is that of the detector: the patient is magnified on it.")
    warnings.append("An image without a place in the patient: its corner was put at the origin.")
    between_rows, between_columns = spacing or _aspect(plane)
    affine = ijk_to_ras(np.zeros(3), _ORIGIN, (between_rows, between_columns), _ORIGIN.normal)
    return VolumePlan(
        name="",
        instances=[plane],
        affine=affine.tolist(),
        shape=(1, plane.Rows or 0, plane.Columns or 0),
        spacing=(between_columns, between_rows, 1.0),
        orientation="projection",
        samples=3 if is_colour(plane) else 1,
        image=True,
        calibrated=spacing is not None,
        warnings=warnings,
    )


def _spacing(plane: Instance) -> tuple[list[float] | None, str]:
    """mm between rows and between columns, and the keyword that says so."""
    for keyword in ("PixelSpacing", "NominalScannedPixelSpacing", "ImagerPixelSpacing"):
        spacing = valid_spacing(getattr(plane, keyword))
        if spacing is not None:
            return spacing, keyword
    return None, ""


def _aspect(plane: Instance) -> tuple[float, float]:
    """1 mm wide pixels of the shape that PixelAspectRatio (vertical, horizontal) says, PS3.3 C.7.6.3.1.7."""
    ratio = plane.PixelAspectRatio
    if ratio is None or len(ratio) != 2 or min(ratio) <= 0:
        return 1.0, 1.0
    return ratio[0] / ratio[1], 1.0


def _cine(images: list[VolumePlan]) -> SequencePlan:
    planes = [image.instances[0] for image in images]
    times = [plane.TemporalPositionTimeOffset for plane in planes]
    known = [time for time in times if time is not None]
    warnings = warnings_of_all(images)
    if len(known) == len(times) and all(np.diff(known) > 0):
        values: list[float | str] = list(known)
        axis = SequenceAxis(name="time", keyword="FrameTime", unit="s", values=values)
    else:
        warnings.append("The frames' times are not known: they are numbered.")
        axis = SequenceAxis(name="frame", keyword="", values=[float(plane.frame + 1) for plane in planes])
    return SequencePlan(name="", axis=axis, volumes=images, warnings=warnings)
