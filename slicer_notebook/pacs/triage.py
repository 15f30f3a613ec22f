"""What a series will become, before a pixel is retrieved: a plan from WADO-RS metadata or an image-level C-FIND."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydicom.uid import UID, ExplicitVRLittleEndian

from slicer_notebook.dicom.cine import NUCLEAR, RT_IMAGE, ULTRASOUND
from slicer_notebook.dicom.enhanced import VOLUMETRIC
from slicer_notebook.dicom.header import NotTakenError, read_header_in_hand
from slicer_notebook.dicom.planning import plan
from slicer_notebook.dicom.reasons import Reason, refusal_of
from slicer_notebook.dicom.records import Instance, SeriesAttributes
from slicer_notebook.dicom.syntaxes import NATIVE
from slicer_notebook.dicom.tags import ATTRIBUTES, PRIVATE_ELEMENTS
from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsError
from slicer_notebook.pacs.headers import (
    PIXELS,
    Elements,
    elements_of_item,
    elements_of_record,
    first_text,
    header_file,
)
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Cancelled, Source, never

if TYPE_CHECKING:
    from slicer_notebook.dicom.plans import SeriesPlan, VolumePlan
    from slicer_notebook.pacs.pacs import Pacs

__all__ = ["plan_of"]

_log = logging.getLogger(__name__)

#: What a plan is made of beside the attributes of instances, and may be asked for at the level of images (PS3.4
#: C.6.1.1.5: any other attribute).
_SERIES: Final = (
    "Modality", "SeriesDescription", "SeriesNumber", "ProtocolName", "FrameOfReferenceUID", "Manufacturer",
    "ManufacturerModelName", "AnatomicalOrientationType", "PatientPosition", "Laterality", "BodyPartExamined",
    "SeriesDate", "SeriesTime", "StudyDate",
)  # fmt: skip
_PET: Final = (
    "SUVType", "DecayCorrection", "CorrectedImage", "DecayCorrected", "AttenuationCorrected", "DecayFactor",
    "DecayCorrectionDateTime", "PatientWeight", "PatientSize", "PatientSex", "ActualFrameDuration",
    "RadiopharmaceuticalInformationSequence", "TimezoneOffsetFromUTC",
)  # fmt: skip
_GROUPS: Final = (
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence",
    "ModalityLUTSequence", "RealWorldValueMappingSequence",
)  # fmt: skip
#: Private elements that tell b-values, in the block that their creator most often has, with that creator.
_PRIVATE: Final = tuple(
    f"{group:04X},{element:04X}"
    for group, elements in PRIVATE_ELEMENTS.items()
    for element in (0x0010, *(0x1000 | each for each in sorted(elements)))
)
_ASKED: Final = (
    "AvailableTransferSyntaxUID",
    *(a.keyword for a in ATTRIBUTES.values() if a.keyword not in SeriesAttributes.__struct_fields__ and a.vr != "SQ"),
    *_SERIES,
)
#: What says how the pixels of an image are to be read (PS3.3 C.7.6.3, all of type 1).
_OF_IMAGES: Final = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
    "PixelRepresentation",
)  # fmt: skip
#: What places a slice of CT, MR and PET (C.7.6.2, of type 1 there).
_OF_SLICES: Final = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_SLICES: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("2", "4", "128"))
_PET_CLASSES: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("128", "130", "128.1"))
_SHARED, _PER_FRAME, _DOSE = 0x52009229, 0x52009230, 0x00540016
#: Bulk data that a plan needs: private elements with b-values, and Siemens' headers of mosaics.
_CSA: Final = frozenset({(0x0029, 0x10), (0x0029, 0x20), (0x0021, 0x19)})
_UID: Final = re.compile(r"[0-9.]{1,64}")
_LATER: Final = "What the values can be turned into (SUV, real world values) is told once the series is here."


def plan_of(
    pacs: Pacs, study: str, series: str, *, strict: bool = False, rectify: bool = False, cancelled: Cancelled = never
) -> SeriesPlan:
    """The plan of a series that is in a PACS: geometry, gaps, phases, refusals, as of `dicom.plan` after retrieving it.

    Its files are called by their SOP Instance UIDs.

    Raises:
        PacsAnswerError: the PACS tells too little of the images.
        PacsError: unreachable, refused, failed.
        JobCancelledError: ``cancelled`` said so.
    """
    failure: PacsError | None = None
    # Metadata first: they are complete; answers to a query have what the PACS keeps in its tables.
    for source in sorted(pacs.sources(), key=lambda each: not hasattr(each, "metadata_items")):
        with tempfile.TemporaryDirectory(prefix="slicer-pacs-") as folder:
            headers = _Headers(pacs.name, source, Path(folder), cancelled)
            try:
                headers.get(study, series)
            except PacsError as exc:
                failure = exc if failure is None or isinstance(failure, PacsAnswerError) else failure
                continue
            found = plan(headers.instances, strict=strict, rectify=rectify)
        if headers.tells_no_dose:
            for volume in _volumes(found):
                volume.quantities, volume.not_offered = [], [_LATER]
        _call_by_uids(found, {each.path: each.SOPInstanceUID for each in headers.instances})
        return found
    raise failure if failure is not None else PacsAnswerError(f"{pacs.name!r} cannot be asked.")


def _volumes(found: SeriesPlan) -> Iterator[VolumePlan]:
    yield from found.volumes
    yield from found.images
    for sequence in found.sequences:
        yield from sequence.volumes


def _call_by_uids(found: SeriesPlan, names: dict[str, str]) -> None:
    """The files that the plan was made of are gone."""
    for volume in _volumes(found):
        volume.instances = [
            msgspec.structs.replace(each, path=names.get(each.path, each.path)) for each in volume.instances
        ]
    for refusal in found.refused:
        refusal.files = [names.get(path, path) for path in refusal.files]


class _Headers:
    """The headers of a series' instances as files of a folder, and as the index would have them of the whole files.

    What a plan needs beside the index's fields, it reads again from there: functional groups, doses.
    """

    def __init__(self, name: str, source: Source, folder: Path, cancelled: Cancelled) -> None:
        self._name = name
        self._source: Any = source
        self._folder = folder
        self._cancelled = cancelled
        #: tags whose bulk data could not be had
        self._no_bulk: set[int] = set()
        self.instances: list[Instance] = []
        #: PET, and what its values can be turned into is not to be known from here
        self.tells_no_dose = False

    def get(self, study: str, series: str) -> None:
        """Get all of them.

        Raises:
            PacsAnswerError: too little for a plan.
            PacsError: unreachable, refused, failed.
            JobCancelledError.
        """
        if hasattr(self._source, "metadata_items"):
            for item in self._source.metadata_items(study, series, cancelled=self._cancelled):
                self._poll()
                self._take(elements_of_item(item, self._bulk))
        else:
            for record in self._records(study, series):
                elements = elements_of_record({"StudyInstanceUID": study, "SeriesInstanceUID": series, **record})
                self._take(elements, complete=False)
        if not self.instances:
            raise self._too_little("no header of an instance")

    def _poll(self) -> None:
        if self._cancelled():
            raise JobCancelledError("The plan was cancelled.")

    def _too_little(self, got: str) -> PacsAnswerError:
        return PacsAnswerError(
            f"{self._name!r} tells too little of the series for a plan.",
            expected="rows, columns, pixels and positions of its images",
            got=got,
            hint="Retrieve it, and ask slicer.dicom.plan(series). A PACS with DICOMweb (web=...) tells all.",
        )

    def _records(self, study: str, series: str) -> list[dict[str, Any]]:
        """Answers at the level of images; a PACS that fails on the longer question is asked the shorter one."""
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        questions = ((*_ASKED, *_PET, *_GROUPS, *_PRIVATE), _ASKED)
        for number, include in enumerate(questions):
            try:
                return list(self._source.find(build_query("IMAGE", keys, include=include), self._cancelled))
            except PacsAnswerError:
                if number == len(questions) - 1:
                    raise
        return []

    def _bulk(self, tag: int, uri: str) -> bytes | None:
        """A value that the metadata only refer to, where a plan needs it and the server gives it."""
        wanted = PRIVATE_ELEMENTS.get(tag >> 16, frozenset())
        needed = tag in ATTRIBUTES or (tag & 0xFF in wanted and tag & 0xFFFF > 0xFF) or (tag >> 16, tag & 0xFF) in _CSA
        if not needed or tag in self._no_bulk:
            return None
        try:
            data: bytes = self._source.bulk(uri, self._cancelled).data
        except (PacsError, ValueError):
            _log.info("A value of %08X is not to be had from the PACS %r.", tag, self._name)
            self._no_bulk.add(tag)
            return None
        return data

    def _take(self, elements: Elements, *, complete: bool = True) -> None:
        if not complete:
            self._check(elements)
        data = header_file(elements)
        uid = first_text(elements, 0x00080018)
        path = self._folder / f"{uid if _UID.fullmatch(uid) else len(self.instances)}.dcm"
        try:
            instance = read_header_in_hand(str(path), data, 0)
        except NotTakenError:
            return  # no instance
        if not complete and (instance.mosaic or _needs_the_file(instance)):
            raise self._too_little("images of a kind whose headers must be read whole")
        path.write_bytes(data)
        syntax = first_text(elements, 0x00083002)
        instance.TransferSyntaxUID = syntax if syntax and syntax not in NATIVE else str(ExplicitVRLittleEndian)
        _with_pixels(instance, elements, len(data))
        self.instances.append(instance)

    def _check(self, elements: Elements) -> None:
        """Whether an answer to a query tells what a header would."""
        sop_class = first_text(elements, 0x00080016)
        if not sop_class:
            raise self._too_little("no SOP Class UID")
        known = {keyword for tag, keyword in _KEYWORDS.items() if first_text(elements, tag)}
        if not _is_image(sop_class, "Rows" in known):
            return
        lacking = [name for name in _OF_IMAGES if name not in known]
        if sop_class in _SLICES:
            lacking += [name for name in _OF_SLICES if name not in known]
        if sop_class in VOLUMETRIC:
            frames = elements.get(_PER_FRAME, ("SQ", []))[1]
            count = int(first_text(elements, 0x00280008) or 1)
            lacking += [] if len(frames) == count else ["PerFrameFunctionalGroupsSequence"]
        if lacking:
            raise self._too_little("answers without " + ", ".join(lacking))
        if sop_class in _PET_CLASSES and not elements.get(_DOSE, ("SQ", []))[1]:
            self.tells_no_dose = True


_KEYWORDS: Final = {
    tag: attribute.keyword for tag, attribute in ATTRIBUTES.items() if attribute.keyword in (*_OF_IMAGES, *_OF_SLICES)
}


def _needs_the_file(instance: Instance) -> bool:
    """Whether planning reads what no query gives: regions and times of a cine, detectors of nuclear medicine."""
    if instance.has_functional_groups or not _is_image(instance.SOPClassUID, bool(instance.Rows)):
        return False
    several = (instance.NumberOfFrames or 1) > 1 and instance.SOPClassUID not in VOLUMETRIC
    return several or instance.SOPClassUID in (NUCLEAR, RT_IMAGE, *ULTRASOUND)


def _is_image(sop_class: str, has_rows: bool) -> bool:
    """Whether it is an image that could become something: not refused for what it is."""
    probe = Instance(SOPClassUID=sop_class, pixel_keyword="PixelData")
    refusal = refusal_of(probe)
    if refusal is not None and refusal[0] not in (Reason.PIXEL_FORMAT, Reason.COLOUR):
        return False
    return has_rows or "Image Storage" in UID(sop_class).name


def _with_pixels(instance: Instance, elements: Elements, size: int) -> None:
    """The pixels are there, and are not sent: as if they were behind the header, of a length that nobody told."""
    told = next((keyword for tag, keyword in zip(PIXELS, _PIXEL_KEYWORDS, strict=True) if tag in elements), None)
    if told is None and instance.Rows and instance.Columns:
        told = "PixelData"
    instance.pixel_keyword = told
    instance.size = size
    if told is not None:
        instance.pixel_offset, instance.pixel_length = size, -1


_PIXEL_KEYWORDS: Final = ("FloatPixelData", "DoubleFloatPixelData", "PixelData")
