"""What PET headers say of dose, decay and units (PS3.3 C.8.9.1, C.8.9.2; enhanced PET C.8.22; makers' private ones)."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword

from slicer_notebook.dicom.nested import Item, Nested, Wanted, items_of, numbers_of, private_value, read_nested
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.times import seconds_of_datetime

__all__ = ["Dose", "PetHeader", "PetScan", "read_pet_header"]

_KEYWORDS: Final = (
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "DecayCorrected", "AttenuationCorrected",
    "DecayCorrectionDateTime", "PatientWeight", "PatientSize", "PatientSex", "AnatomicalOrientationType",
    "RadiopharmaceuticalInformationSequence", "RadionuclideTotalDose", "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime", "SeriesDate", "SeriesTime", "StudyDate",
    "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "FrameReferenceTime", "ActualFrameDuration",
    "DecayFactor", "TimezoneOffsetFromUTC",
)  # fmt: skip
_TAGS: Final = {keyword: tag for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None}
_PHILIPS, _GE = "Philips PET Private Group", "GEMS_PETD_01"
_WANTED: Final = Wanted(frozenset(_TAGS.values()), {0x7053: (0x00, 0x09), 0x0009: (0x0D,)})
#: TM, PS3.5 table 6.2-1, with the colons of ACR-NEMA: HHMMSS.FFFFFF
_TIME: Final = re.compile(r"(\d\d):?(\d\d):?(\d\d)(\.\d{1,6})?", re.ASCII)
_OFFSET: Final = re.compile(r"([+-])(\d\d)(\d\d)\s*$", re.ASCII)
_LN_2: Final = math.log(2.0)


class Dose(NamedTuple):
    """An item of the Radiopharmaceutical Information Sequence."""

    #: Bq
    RadionuclideTotalDose: float | None
    #: s
    RadionuclideHalfLife: float | None
    #: RadiopharmaceuticalStartDateTime, s since the year 1 by the scanner's clock
    start: float | None
    #: RadiopharmaceuticalStartTime, s of some day
    start_of_day: float | None


class PetScan(NamedTuple):
    """What all images of one scan have in common. Times: s since the year 1, by the scanner's clock."""

    Units: str | None
    SUVType: str | None
    #: NONE, START or ADMIN
    DecayCorrection: str | None
    attenuation_corrected: bool
    decay_corrected: bool
    #: kg
    PatientWeight: float | None
    #: m
    PatientSize: float | None
    PatientSex: str | None
    AnatomicalOrientationType: str | None
    doses: tuple[Dose, ...]
    series_began: float | None
    #: enhanced PET: DecayCorrectionDateTime
    decay_corrected_to: float | None


class PetHeader(NamedTuple):
    """One image's header."""

    scan: PetScan
    #: AcquisitionDate and AcquisitionTime: the start of the frame, s since the year 1
    acquired: float | None
    #: s from the scan's reference time to that of the average count rate
    frame_reference: float | None
    #: s
    duration: float | None
    decay_factor: float | None
    #: GE (0009,xx0D)
    ge_scan_began: float | None
    #: (7053,xx00): from rescaled counts to SUVbw
    philips_suv_factor: float | None
    #: (7053,xx09): from rescaled counts to Bq/ml
    philips_activity_factor: float | None

    def scan_began(self, half_life: float) -> float | None:
        """The time that FrameReferenceTime counts from, s; None where the header does not tell."""
        if self.acquired is None or not self.frame_reference or not self.duration or self.duration < 0:
            return None
        rate = _LN_2 / half_life
        decayed = rate * self.duration
        average = math.log(decayed / -math.expm1(-decayed)) / rate
        return self.acquired + average - self.frame_reference

    def decay_factor_reference(self, half_life: float) -> float | None:
        """The time that decay was corrected to, by DecayFactor, s; None where that says nothing.

        A frame's mean activity is that at its start x (1 - exp(-rate x duration)) / (rate x duration).
        """
        if self.acquired is None or self.decay_factor is None or self.decay_factor <= 1 or not self.duration:
            return None
        rate = _LN_2 / half_life
        decayed = rate * self.duration
        if decayed <= 0:
            return None
        return self.acquired - math.log(self.decay_factor * -math.expm1(-decayed) / decayed) / rate


class _Reader:
    def __init__(self, nested: Nested) -> None:
        self.nested = nested

    def text(self, item: Item, keyword: str) -> str | None:
        raw = item.get(_TAGS[keyword])
        return (raw.decode("ascii", "replace").strip("\0 ") or None) if isinstance(raw, bytes) else None

    def number(self, item: Item, keyword: str) -> float | None:
        tag = _TAGS[keyword]
        raw = item.get(tag)
        return self.first(raw, self.nested.other_vrs.get(tag, dictionary_VR(tag)))

    def private(self, group: int, creator: str, element: int) -> float | None:
        return self.first(private_value(self.nested.root, group, creator, element), "DS")

    def first(self, raw: object, vr: str) -> float | None:
        numbers = numbers_of(raw, vr, self.nested.order) if isinstance(raw, bytes) else None
        # One number is due: of several, nobody knows which is meant.
        return numbers[0] if numbers and len(numbers) == 1 else None

    def dose(self, item: Item, zone: float | None) -> Dose:
        return Dose(
            RadionuclideTotalDose=self.number(item, "RadionuclideTotalDose"),
            RadionuclideHalfLife=self.number(item, "RadionuclideHalfLife"),
            start=_clock(self.text(item, "RadiopharmaceuticalStartDateTime"), zone),
            start_of_day=_seconds_of_day(self.text(item, "RadiopharmaceuticalStartTime")),
        )


def _seconds_of_day(text: str | None) -> float | None:
    found = _TIME.fullmatch(text or "")
    if found is None:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3]) + float(found[4] or 0)


def _offset(text: str | None) -> float | None:
    """Seconds east of UTC."""
    found = _OFFSET.search(text or "")
    return None if found is None else (-1 if found[1] == "-" else 1) * (int(found[2]) * 3600 + int(found[3]) * 60)


def _clock(text: str | None, zone: float | None) -> float | None:
    """A DT value by the scanner's clock: dates and times of the header are in the zone of TimezoneOffsetFromUTC."""
    seconds, offset = seconds_of_datetime(text), _offset(text)
    if seconds is None or offset is None:
        return seconds
    return seconds + (offset if zone is None else zone)


def _moment(date: str | None, time: str | None) -> float | None:
    seconds = _seconds_of_day(time)
    day = seconds_of_datetime(f"{(date or '').replace('.', '')}000000")
    return None if seconds is None or day is None else day + seconds


def read_pet_header(instance: Instance) -> PetHeader:
    """What a PET file says of dose, decay and units.

    Raises:
        UnreadableError: the file is gone, or no DICOM any more.
    """
    nested = read_nested(instance, _WANTED)
    reader, root = _Reader(nested), nested.root
    corrected = (reader.text(root, "CorrectedImage") or "").replace(" ", "").split("\\")
    series_date, acquisition_date = reader.text(root, "SeriesDate"), reader.text(root, "AcquisitionDate")
    study_date = reader.text(root, "StudyDate")
    zone = _offset(reader.text(root, "TimezoneOffsetFromUTC"))
    enhanced = reader.text(root, "DecayCorrected") == "YES"
    corrected_to = _clock(reader.text(root, "DecayCorrectionDateTime"), zone) if enhanced else None
    ge = private_value(root, 0x0009, _GE, 0x0D)
    sequence = items_of(root, _TAGS["RadiopharmaceuticalInformationSequence"])
    scan = PetScan(
        Units=reader.text(root, "Units"),
        SUVType=reader.text(root, "SUVType"),
        DecayCorrection=reader.text(root, "DecayCorrection") or ("START" if corrected_to is not None else None),
        attenuation_corrected="ATTN" in corrected or reader.text(root, "AttenuationCorrected") == "YES",
        decay_corrected="DECY" in corrected or enhanced,
        PatientWeight=reader.number(root, "PatientWeight"),
        PatientSize=reader.number(root, "PatientSize"),
        PatientSex=reader.text(root, "PatientSex"),
        AnatomicalOrientationType=reader.text(root, "AnatomicalOrientationType"),
        doses=tuple(reader.dose(item, zone) for item in sequence),
        # Where a date was taken out, that of the other: hardly a series is made on another day.
        series_began=_moment(series_date or acquisition_date or study_date, reader.text(root, "SeriesTime")),
        decay_corrected_to=corrected_to,
    )
    milliseconds = reader.number(root, "FrameReferenceTime"), reader.number(root, "ActualFrameDuration")
    reference, duration = (None if value is None else value / 1000.0 for value in milliseconds)
    acquired = _moment(acquisition_date or series_date or study_date, reader.text(root, "AcquisitionTime"))
    return PetHeader(
        scan=scan,
        acquired=_clock(reader.text(root, "AcquisitionDateTime"), zone) if acquired is None else acquired,
        frame_reference=reference,
        duration=duration,
        decay_factor=reader.number(root, "DecayFactor"),
        ge_scan_began=_clock(ge.decode("ascii", "replace"), zone) if isinstance(ge, bytes) else None,
        philips_suv_factor=reader.private(0x7053, _PHILIPS, 0x00),
        philips_activity_factor=reader.private(0x7053, _PHILIPS, 0x09),
    )
