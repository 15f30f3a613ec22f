"""Records of the index: one struct per DICOM level, attributes named by DICOM keyword.

Names in CamelCase are DICOM keywords (PS3.6); a value is a ``str``, ``int``, ``float``, a list of them, or ``None``
when the attribute is absent, empty or unreadable. Dates are ``YYYYMMDD`` and times ``HHMMSS.FFFFFF`` as in the files
(DICOM DA and TM). Names in snake_case are facts about the files, which DICOM has no keyword for.

`Series` carries its study's and patient's attributes as well, and `Instance` those of its series: a record stands
alone. Sequences are lists of dictionaries, an item each, by keyword.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

__all__ = ["Conflict", "IndexSummary", "Instance", "Series", "Skipped", "Study", "series_name"]


Items = list[dict[str, Any]]
"""A sequence's items, each by keyword."""


class PatientAttributes(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Attributes of the patient (PS3.3 C.7.1.1) and of the patient in this study (C.7.2.2).

    With those of the levels below, all that can be asked for in the Query/Retrieve information models (PS3.4 C.6.1.1,
    C.6.2.1).
    """

    PatientName: str | None = None
    PatientID: str | None = None
    IssuerOfPatientID: str | None = None
    IssuerOfPatientIDQualifiersSequence: Items | None = None
    OtherPatientIDs: list[str] | None = None
    OtherPatientIDsSequence: Items | None = None
    OtherPatientNames: list[str] | None = None
    ReferencedPatientSequence: Items | None = None
    PatientBirthDate: str | None = None
    PatientBirthTime: str | None = None
    PatientSex: str | None = None
    PatientAge: str | None = None
    #: metres
    PatientSize: float | None = None
    #: kilograms
    PatientWeight: float | None = None
    EthnicGroup: str | None = None
    Occupation: str | None = None
    AdditionalPatientHistory: str | None = None
    PatientComments: str | None = None


class StudyAttributes(PatientAttributes, kw_only=True, omit_defaults=True):
    """Attributes of the study (PS3.3 C.7.2.1)."""

    StudyInstanceUID: str = ""
    StudyID: str | None = None
    StudyDate: str | None = None
    StudyTime: str | None = None
    StudyDescription: str | None = None
    AccessionNumber: str | None = None
    IssuerOfAccessionNumberSequence: Items | None = None
    ReferringPhysicianName: str | None = None
    ReferringPhysicianIdentificationSequence: Items | None = None
    PhysiciansOfRecord: list[str] | None = None
    NameOfPhysiciansReadingStudy: list[str] | None = None
    AdmittingDiagnosesDescription: list[str] | None = None
    ProcedureCodeSequence: Items | None = None
    ReferencedStudySequence: Items | None = None
    OtherStudyNumbers: int | None = None


class SeriesAttributes(StudyAttributes, kw_only=True, omit_defaults=True):
    """Attributes of the series (PS3.3 C.7.3.1), its equipment (C.7.5.1) and its frame of reference (C.7.4.1)."""

    SeriesInstanceUID: str = ""
    SeriesNumber: int | None = None
    SeriesDescription: str | None = None
    SeriesDate: str | None = None
    SeriesTime: str | None = None
    Modality: str | None = None
    BodyPartExamined: str | None = None
    ProtocolName: str | None = None
    Laterality: str | None = None
    PatientPosition: str | None = None
    PerformingPhysicianName: list[str] | None = None
    OperatorsName: list[str] | None = None
    PerformedProcedureStepStartDate: str | None = None
    PerformedProcedureStepStartTime: str | None = None
    PerformedProcedureStepID: str | None = None
    PerformedProcedureStepDescription: str | None = None
    RequestAttributesSequence: Items | None = None
    AnatomicRegionSequence: Items | None = None
    #: BIPED or QUADRUPED; a quadruped's axes are other ones (C.7.6.2.1.1)
    AnatomicalOrientationType: str | None = None
    Manufacturer: str | None = None
    ManufacturerModelName: str | None = None
    InstitutionName: str | None = None
    InstitutionalDepartmentName: str | None = None
    StationName: str | None = None
    FrameOfReferenceUID: str | None = None


def series_name(series: SeriesAttributes) -> str:
    """What Slicer calls a series, and what comes of it: "3: Chest"."""
    base = series.SeriesDescription or series.ProtocolName or series.Modality or "Unnamed series"
    return base if series.SeriesNumber is None else f"{series.SeriesNumber}: {base}"


class Study(StudyAttributes, kw_only=True, omit_defaults=True):
    """A study in the index, with the patient's attributes."""

    ModalitiesInStudy: list[str] = []
    SOPClassesInStudy: list[str] = []
    AnatomicRegionsInStudyCodeSequence: Items = []
    NumberOfStudyRelatedSeries: int = 0
    #: distinct SOP Instance UIDs: a file that is there twice counts once
    NumberOfStudyRelatedInstances: int = 0


class Series(SeriesAttributes, kw_only=True, omit_defaults=True):
    """A series in the index, with its study's and patient's attributes."""

    #: distinct SOP Instance UIDs: a file that is there twice counts once
    NumberOfSeriesRelatedInstances: int = 0


class Instance(SeriesAttributes, kw_only=True, omit_defaults=True):
    """A SOP instance: one file's header, as far as an index and a volume need it.

    Positions and directions are DICOM patient coordinates (LPS), millimetres.

    In a plan it stands for one plane of pixels: the instance itself, one frame of it or one tile of a mosaic, with that
    plane's own position, rescale and so on in its fields (``frame``, ``tile``).
    """

    SOPClassUID: str = ""
    RelatedGeneralSOPClassUID: list[str] | None = None
    SOPInstanceUID: str = ""
    TransferSyntaxUID: str = ""
    InstanceNumber: int | None = None
    AcquisitionNumber: int | None = None
    ImageType: list[str] | None = None
    AcquisitionDate: str | None = None
    AcquisitionTime: str | None = None
    AcquisitionDateTime: str | None = None
    ContentDate: str | None = None
    ContentTime: str | None = None
    ImageComments: str | None = None
    BurnedInAnnotation: str | None = None
    LossyImageCompression: str | None = None
    ConceptNameCodeSequence: Items | None = None
    ContentTemplateSequence: Items | None = None
    ContainerIdentifier: str | None = None
    SpecimenDescriptionSequence: Items | None = None

    # Geometry: Image Plane (C.7.6.2), projection images (C.8.11.4), secondary capture (C.8.6)
    ImagePositionPatient: list[float] | None = None
    #: direction cosines of a row (along i), then of a column (along j)
    ImageOrientationPatient: list[float] | None = None
    #: mm between the centres of two rows, then of two columns
    PixelSpacing: list[float] | None = None
    ImagerPixelSpacing: list[float] | None = None
    NominalScannedPixelSpacing: list[float] | None = None
    PixelAspectRatio: list[int] | None = None
    SpacingBetweenSlices: float | None = None
    SliceThickness: float | None = None
    SliceLocation: float | None = None
    #: degrees
    GantryDetectorTilt: float | None = None

    # Pixels: Image Pixel (C.7.6.3), Modality LUT (C.11.1), VOI LUT (C.11.2)
    Rows: int | None = None
    Columns: int | None = None
    NumberOfFrames: int | None = None
    SamplesPerPixel: int | None = None
    PhotometricInterpretation: str | None = None
    PlanarConfiguration: int | None = None
    #: entries, first value mapped, bits of an entry; there where there is a palette
    RedPaletteColorLookupTableDescriptor: list[int] | None = None
    BitsAllocated: int | None = None
    BitsStored: int | None = None
    HighBit: int | None = None
    PixelRepresentation: int | None = None
    PixelPaddingValue: int | None = None
    PixelPaddingRangeLimit: int | None = None
    RescaleSlope: float | None = None
    RescaleIntercept: float | None = None
    RescaleType: str | None = None
    WindowCenter: list[float] | None = None
    WindowWidth: list[float] | None = None
    VOILUTFunction: str | None = None
    PresentationLUTShape: str | None = None
    #: PET: BQML, CNTS, ... (C.8.9.1)
    Units: str | None = None

    # What tells volumes of one series apart
    EchoNumbers: int | None = None
    #: ms
    EchoTime: float | None = None
    #: ms
    RepetitionTime: float | None = None
    #: ms
    InversionTime: float | None = None
    #: degrees
    FlipAngle: float | None = None
    #: ms
    TriggerTime: float | None = None
    #: ms
    FrameReferenceTime: float | None = None
    #: percent of the cardiac cycle
    NominalPercentageOfCardiacPhase: float | None = None
    #: percent of the respiratory cycle
    NominalPercentageOfRespiratoryPhase: float | None = None
    TemporalPositionIdentifier: int | None = None
    TemporalPositionIndex: int | None = None
    #: seconds since the first temporal position
    TemporalPositionTimeOffset: float | None = None
    NumberOfTemporalPositions: int | None = None
    #: ms
    TemporalResolution: float | None = None
    ScanningSequence: list[str] | None = None
    MRAcquisitionType: str | None = None
    ImagesInAcquisition: int | None = None
    ConvolutionKernel: list[str] | None = None
    #: peak kilovolts
    KVP: float | None = None
    #: s/mm2; from (0018,9087) or the maker's private attribute
    DiffusionBValue: float | None = None
    DiffusionGradientOrientation: list[float] | None = None
    #: DIRECTIONAL, BMATRIX, ISOTROPIC or NONE
    DiffusionDirectionality: str | None = None
    #: MAGNITUDE, PHASE, REAL, IMAGINARY or MIXED
    ComplexImageComponent: str | None = None
    StackID: str | None = None
    InStackPositionNumber: int | None = None
    #: of each frame, one number for each dimension of the file's Dimension Index Sequence (C.7.6.17)
    DimensionIndexValues: list[int] | None = None

    # The file
    path: str = ""
    #: further files that hold the same SOP Instance UID
    other_paths: list[str] = []
    #: the files of this SOP Instance UID contradict each other
    copies_differ: bool = False
    #: bytes
    size: int = 0
    #: nanoseconds since the epoch
    mtime_ns: int = 0
    #: PixelData, FloatPixelData, DoubleFloatPixelData or None
    pixel_keyword: str | None = None
    #: byte offset of the pixel data's value in the file; 0 when not known (deflated, or read by pydicom)
    pixel_offset: int = 0
    #: bytes; -1 when encapsulated (undefined length)
    pixel_length: int = 0
    #: keywords of attributes that decide what the pixels mean, and whose values cannot be read
    unreadable: list[str] = []
    has_modality_lut: bool = False
    #: a Real World Value Mapping Sequence (C.7.6.16.2.11) at the top level of the data set
    has_real_world_values: bool = False
    has_functional_groups: bool = False
    #: a maker's grid of slices in one image: "siemens" or "uih"
    mosaic: str | None = None

    # Which plane of the file this is (in plans only; the index knows whole instances)
    #: the frame, from 0
    frame: int = 0
    #: where the plane lies in its frame, which is then a mosaic: first row, first column; ``Rows`` and ``Columns`` are
    #: the tile's
    tile: tuple[int, int] | None = None
    #: rows and columns of the whole frame that the tile is part of
    mosaic_shape: tuple[int, int] | None = None


class Skipped(msgspec.Struct, kw_only=True):
    """A file that the index did not take, and why."""

    path: str
    reason: str


class Conflict(msgspec.Struct, kw_only=True):
    """One SOP Instance UID whose files contradict each other: a UID must not be used twice (PS3.5 §9)."""

    SOPInstanceUID: str
    paths: list[str]
    #: keywords of attributes that the files do not agree on
    attributes: list[str]


class IndexSummary(msgspec.Struct, kw_only=True):
    """What `Index.add` found under the given paths."""

    #: files looked at
    files: int = 0
    #: distinct SOP Instance UIDs under the given paths
    instances: int = 0
    studies: int = 0
    series: int = 0
    #: files read now, because new or changed
    added: int = 0
    #: files known already, with the same size and modification time
    unchanged: int = 0
    #: files that were indexed here before and are gone
    removed: int = 0
    #: of those removed: files whose SOP instance is now at another place
    moved: int = 0
    #: further files, under the given paths, of SOP instances that are in another file there
    duplicates: int = 0
    #: SOP Instance UIDs that stand for different things
    conflicts: list[Conflict] = []
    skipped: list[Skipped] = []
    seconds: float = 0.0

    def __repr__(self) -> str:
        counted = (
            f"{self.instances} {_word('instance', self.instances)} of {self.series} {_word('series', self.series)} "
            f"in {self.studies} {_word('study', self.studies)}; {self.files} {_word('file', self.files)} looked at: "
            f"{self.added} new, {self.unchanged} known, {self.removed} gone, {len(self.skipped)} skipped"
        )
        for count, word in ((self.duplicates, "duplicate"), (len(self.conflicts), "UID conflict")):
            counted += f", {count} {_word(word, count)}" if count else ""
        reasons = Counter(each.reason for each in self.skipped)
        told = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
        return f"<{counted}{f' ({told})' if told else ''}; {self.seconds:.2f} s>"


def _word(noun: str, count: int) -> str:
    if count == 1 or noun == "series":
        return noun
    return "studies" if noun == "study" else f"{noun}s"
