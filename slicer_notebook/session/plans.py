"""What a series will become, as a record that a notebook shows: before a pixel is read."""

from __future__ import annotations

import html

import msgspec

from slicer_notebook.session.sequences import axis_words, times

__all__ = ["Plan", "PlannedQuantity", "PlannedRefusal", "PlannedSequence", "PlannedVolume"]


class PlannedQuantity(msgspec.Struct, kw_only=True):
    """What values can be turned into on request: ``slicer.dicom.load(series, quantity=name)``."""

    #: "SUVbw", "SUVlbm", "SUVbsa", or the label of a real world value map
    name: str
    #: UCUM code
    units: str = ""
    #: how the factor comes about, in words
    explanation: str = ""


class PlannedVolume(msgspec.Struct, kw_only=True):
    """A volume, or an image that is none, to be."""

    name: str
    #: files that it is read from
    files: int
    #: (slices, rows, columns): the array's shape, [k, j, i]
    shape: tuple[int, int, int]
    #: mm along i, j, k
    spacing: tuple[float, float, float]
    #: "axial", "oblique sagittal"...; "projection" for what has no place in the patient
    orientation: str
    #: 4x4, IJK to RAS, mm, row by row
    affine: list[list[float]]
    #: values of a voxel: 1, or 3 for red, green, blue
    samples: int = 1
    #: a picture that has no place in the patient, and lies at the origin
    image: bool = False
    #: False: no pixel spacing is known; 1 mm stands in its place
    calibrated: bool = True
    #: degrees between the stack's direction and the slices' normal
    tilt: float = 0.0
    #: why slices are resampled ("uneven-slices", "missing-slices", "gantry-tilt"); None: they are not
    resampled: str | None = None
    #: offered, never applied unasked
    quantities: list[PlannedQuantity] = []
    #: in words: which quantities are not offered, though the kind of image has them, and why
    not_offered: list[str] = []
    warnings: list[str] = []

    def _geometry(self) -> str:
        slices, rows, columns = self.shape
        size = times(columns, rows) if self.image and slices == 1 else times(columns, rows, slices)
        if self.samples > 1:
            size += " colour"
        if not self.calibrated:
            return f"{size}, of unknown size"
        steps = self.spacing[:2] if self.image else self.spacing
        return f"{size}, {times(*(f'{step:.4g}' for step in steps))} mm"

    def _notes(self) -> list[str]:
        notes = list(self.warnings)
        if self.quantities:
            notes.append("quantity: " + ", ".join(f"{q.name} ({q.units})" for q in self.quantities))
        return [*notes, *self.not_offered]

    def _row(self) -> tuple[str, str, str, str, list[str]]:
        kind = "image" if self.image else "volume"
        return kind, self.name, self._geometry(), "" if self.image else self.orientation, self._notes()


class PlannedAxis(msgspec.Struct, kw_only=True):
    """What changes from volume to volume of a sequence."""

    #: "time", "echo time", "b-value"...
    name: str
    #: DICOM keyword that the values come from
    keyword: str = ""
    #: "s", "ms", "s/mm2", "%", ""
    unit: str = ""
    #: of each volume
    values: list[float | str] = []
    #: of each volume: diffusion gradient direction (unit vector, LPS as in DICOM), None where there is none
    gradients: list[list[float] | None] | None = None

    def __str__(self) -> str:
        return axis_words(msgspec.structs.asdict(self))


class PlannedSequence(PlannedVolume, kw_only=True):
    """Volumes of one geometry that differ in one thing; ``shape`` and so on are of each."""

    axis: PlannedAxis

    def __len__(self) -> int:
        return len(self.axis.values)

    def _row(self) -> tuple[str, str, str, str, list[str]]:
        geometry = times(len(self), f"({self._geometry()})")
        orientation = "" if self.image else self.orientation
        return "sequence", self.name, geometry, orientation, [f"over {self.axis}", *self._notes()]


class PlannedRefusal(msgspec.Struct, kw_only=True):
    """Files that become nothing, and why."""

    #: from the closed list of `slicer_notebook.dicom.Reason`
    reason: str
    message: str
    files: int


class Plan(msgspec.Struct, kw_only=True):
    """What the files of a series will become. Shows itself as a table."""

    StudyInstanceUID: str = ""
    SeriesInstanceUID: str = ""
    SeriesNumber: int | None = None
    SeriesDescription: str | None = None
    Modality: str | None = None
    volumes: list[PlannedVolume] = []
    sequences: list[PlannedSequence] = []
    images: list[PlannedVolume] = []
    refused: list[PlannedRefusal] = []
    warnings: list[str] = []

    def _rows(self) -> list[tuple[str, str, str, str, list[str]]]:
        rows = [each._row() for each in (*self.volumes, *self.sequences, *self.images)]
        for each in self.refused:
            files = f"{each.files} file{'' if each.files == 1 else 's'}"
            rows.append(("refused", each.reason, files, "", [each.message]))
        return rows

    def _title(self) -> str:
        described = self.SeriesDescription or "series"
        parts = [self.Modality, described if self.SeriesNumber is None else f"{self.SeriesNumber}: {described}"]
        return " ".join(part for part in parts if part)

    def __repr__(self) -> str:
        lines = [f"<Plan of {self._title()}"]
        for kind, name, size, orientation, notes in self._rows():
            facts = "; ".join(part for part in (size, orientation) if part)
            lines.append(f"  {kind} {name!r}: {facts}" if kind != "refused" else f"  refused ({name}): {facts}")
            lines += [f"    {note}" for note in notes]
        lines += [f"  {text}" for text in self.warnings]
        if len(lines) == 1:
            lines.append("  nothing")
        return "\n".join(lines) + ">"

    def _repr_html_(self) -> str:
        left = " style='text-align:left'"
        head = "".join(f"<th{left}>{title}</th>" for title in ("", "", "size", "orientation", "notes"))
        body = "".join(
            "<tr>"
            + "".join(f"<td{left}>{html.escape(cell)}</td>" for cell in cells)
            + f"<td{left}>{'<br>'.join(map(html.escape, notes))}</td></tr>"
            for *cells, notes in self._rows()
        )
        more = "".join(f"<p>{html.escape(text)}</p>" for text in self.warnings)
        return (
            f"<strong>{html.escape(self._title())}</strong>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
        )
