"""What a plan consists of: volumes, sequences and images to be, and refusals. Made by `planning`, read by `load`."""

from __future__ import annotations

import msgspec

from slicer_notebook.dicom.reasons import Refusal
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.split import Dimension

__all__ = ["Mapping", "Quantity", "Resampling", "SequenceAxis", "SequencePlan", "SeriesPlan", "VolumePlan"]


class Resampling(msgspec.Struct, kw_only=True):
    """Slices that were measured at uneven places, or along a tilted line, onto the even grid of the volume."""

    #: "uneven-slices", "missing-slices" or "gantry-tilt"
    why: str
    #: where the measured slices lie, in units of the volume's k; rising; one for each instance
    k: list[float]
    #: where (i, j) of the volume each measured slice's first pixel lies; None: at (0, 0)
    shift: list[tuple[float, float]] | None = None


class Mapping(msgspec.Struct, kw_only=True, frozen=True):
    """What stored values of a range are in units: value x slope + intercept, or the entries of a table."""

    #: the first and the last stored value that is mapped; None: all are
    first: float | None = None
    last: float | None = None
    slope: float = 1.0
    intercept: float = 0.0
    #: of the whole numbers ``first`` to ``last``, one after the other, in place of slope and intercept
    table: tuple[float, ...] | None = None


class Quantity(msgspec.Struct, kw_only=True, frozen=True):
    """What the values can be turned into on request."""

    #: "SUVbw", "SUVlbm", "SUVbsa", or the label of a real world value mapping
    name: str
    #: UCUM code, such as "g/ml{SUVbw}"
    units: str
    #: (slope, intercept) of each instance, applied to its rescaled values; empty where there are mappings
    factors: list[tuple[float, float]] = []
    #: of each instance, applied to its stored values; those outside all of the ranges are not mapped
    mappings: list[tuple[Mapping, ...]] = []
    #: how the factor came about, in words
    explanation: str = ""


class VolumePlan(msgspec.Struct, kw_only=True):
    """One volume to be: its slices in order, and where they lie. `slicer_notebook.dicom.load.read` reads it."""

    #: as Slicer names it: ``3: Chest``, with what sets it apart from the others of its series
    name: str
    #: in k order, one for each slice
    instances: list[Instance]
    #: 4x4, IJK to RAS, mm, row by row
    affine: list[list[float]]
    #: (slices, rows, columns): the array's shape, [k, j, i]
    shape: tuple[int, int, int]
    #: mm along i, j and k
    spacing: tuple[float, float, float]
    #: ``axial``, ``sagittal``, ``coronal``, ``oblique axial``...; ``projection``: no place in the patient
    orientation: str
    #: values of a voxel: 1, or 3 for red, green, blue
    samples: int = 1
    #: an image and not a volume: it has no place in the patient, lies at the origin, and is one slice
    image: bool = False
    #: False: no pixel spacing is known, and 1 mm was put in its place
    calibrated: bool = True
    #: how measured slices, which are not evenly spaced, or sheared, become an even volume; None: they are its slices
    resampling: Resampling | None = None
    #: what the values may be turned into, on request: SUV, real world values
    quantities: list[Quantity] = []
    #: in words: which quantities are not offered, though the kind of image has them, and why
    not_offered: list[str] = []
    #: (k, further instance at that slice's position): nothing in the headers tells which is meant, so the pixels must
    #: be equal; reading refuses the volume if they are not
    doubles: list[tuple[int, Instance]] = []
    #: degrees between the stack's direction and the slices' normal
    tilt: float = 0.0
    #: what sets this volume apart from others at the same place; empty when there are none
    dimensions: list[Dimension] = []
    warnings: list[str] = []

    @property
    def files(self) -> list[str]:
        """Paths in k order."""
        return [instance.path for instance in self.instances]


class SequenceAxis(msgspec.Struct, kw_only=True):
    """What changes from volume to volume of a sequence."""

    #: "time", "trigger time", "cardiac phase", "echo time", "b-value", ...
    name: str
    #: DICOM keyword that the values come from
    keyword: str
    #: "s", "ms", "s/mm2", "%", "degrees", ""
    unit: str = ""
    #: of each volume; numbers where they are numbers
    values: list[float | str] = []
    #: of each volume: diffusion gradient direction (unit vector, patient coordinates LPS), None where there is none
    gradients: list[list[float] | None] | None = None


class SequencePlan(msgspec.Struct, kw_only=True):
    """Volumes of one geometry that differ in one thing: time, echo, b-value...

    `slicer_notebook.dicom.load.read_sequence` reads it.
    """

    name: str
    axis: SequenceAxis
    #: in order of the axis
    volumes: list[VolumePlan]
    #: what sets this sequence apart from others of the series; empty when there are none
    outer: list[Dimension] = []
    warnings: list[str] = []


class SeriesPlan(msgspec.Struct, kw_only=True):
    """What the files of a series will become. Every file is in a volume, in a refusal, or a copy of one that is."""

    StudyInstanceUID: str = ""
    SeriesInstanceUID: str = ""
    SeriesNumber: int | None = None
    SeriesDescription: str | None = None
    Modality: str | None = None
    volumes: list[VolumePlan] = []
    #: volumes that belong together: over time, echoes, b-values; cines
    sequences: list[SequencePlan] = []
    #: pictures with no place in the patient: radiographs, ultrasound, secondary captures
    images: list[VolumePlan] = []
    refused: list[Refusal] = []
    warnings: list[str] = []

    @property
    def loadable(self) -> bool:
        """Whether anything of it becomes a volume, a sequence or an image."""
        return bool(self.volumes or self.sequences or self.images)

    @property
    def all_volumes(self) -> list[VolumePlan]:
        """Those of the sequences, too, and the images: in the order in which they are read."""
        return [*(volume for found in self.sequences for volume in found.volumes), *self.volumes, *self.images]
