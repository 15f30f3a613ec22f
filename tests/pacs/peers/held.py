"""What the lying SCP holds, and how it matches (PS3.4 C.2.2.2); simple, and independent of the client under test."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.multival import MultiValue

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
_UIDS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
#: Keys that say what is asked, not what for.
_NO_KEYS = {"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC"}


@dataclass(frozen=True)
class Held:
    """One instance."""

    header: Dataset = field(repr=False)
    path: Path

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.header.SOPInstanceUID)

    @property
    def sop_class(self) -> str:
        """SOP Class UID."""
        return str(self.header.SOPClassUID)

    @property
    def syntax(self) -> str:
        """Transfer Syntax UID of the file."""
        return str(self.header.file_meta.TransferSyntaxUID)


def hold(files: Iterable[Path]) -> list[Held]:
    """Files, as they are held."""
    return [Held(dcmread(path, stop_before_pixels=True), path) for path in files]


def entities(held: list[Held], level: str) -> Iterator[Dataset]:
    """Each patient, study, series or instance with all that can be asked about it."""
    key = _UIDS.get(level, "PatientID")
    groups: dict[str, list[Held]] = {}
    for each in held:
        groups.setdefault(str(each.header.get(key, "")), []).append(each)
    for members in groups.values():
        found = Dataset()
        for element in members[0].header:
            if element.VR != "SQ":
                found.add(element)
        headers = [member.header for member in members]
        if level == "STUDY":
            found.ModalitiesInStudy = sorted({str(header.get("Modality", "OT")) for header in headers})
            found.SOPClassesInStudy = sorted({str(header.SOPClassUID) for header in headers})
            found.NumberOfStudyRelatedSeries = len({str(header.SeriesInstanceUID) for header in headers})
            found.NumberOfStudyRelatedInstances = len(headers)
        elif level == "SERIES":
            found.NumberOfSeriesRelatedInstances = len(headers)
        yield found


def invented(count: int) -> Iterator[Dataset]:
    """Studies that there are not."""
    for number in range(count):
        found = Dataset()
        found.PatientName, found.PatientID = f"Many^{number:05d}", f"MANY{number:05d}"
        found.StudyInstanceUID = f"1.2.3.99.{number + 1}"
        found.StudyDate, found.StudyTime = f"2001{number // 28 % 12 + 1:02d}{number % 28 + 1:02d}", "120000"
        found.AccessionNumber, found.StudyID, found.StudyDescription = f"M{number}", str(number), "One of many"
        found.ModalitiesInStudy = ["CT"]
        found.NumberOfStudyRelatedSeries, found.NumberOfStudyRelatedInstances = 1, 1
        yield found


def matches(entity: Dataset, identifier: Dataset, ignored: Collection[str] = ()) -> bool:
    """Whether an entity matches all keys of a request that have a value, but for those that are ``ignored``."""
    for element in identifier:
        name = keyword_for_tag(element.tag)
        if name in _NO_KEYS or name in ignored or element.VR == "SQ" or element.value in (None, "", []):
            continue
        if not _matches_one(element.VR, element.value, entity.get(name)):
            return False
    return True


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, MultiValue | list) else [str(value)]


def _matches_one(vr: str, wanted: Any, has: Any) -> bool:
    values = _texts(has)
    for one in _texts(wanted):
        if vr in ("DA", "TM", "DT") and "-" in one:
            first, _, last = one.partition("-")
            if any((first or "0") <= value <= (last or "99999999") for value in values):
                return True
        elif vr == "PN":
            groups = [group for value in values for group in (value, *value.split("="))]
            if any(fnmatch.fnmatchcase(group.lower(), one.lower()) for group in groups):
                return True
        elif one == "*" or any(fnmatch.fnmatchcase(value, one) for value in values):
            return True
    return False


def chosen(held: list[Held], identifier: Dataset) -> list[Held]:
    """The instances that a C-GET or C-MOVE request asks for."""
    return [each for each in held if matches(each.header, identifier)]
