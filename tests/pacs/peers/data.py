"""A small archive's worth of DICOM files, and what is in it, to compare answers with.

Eight patients, names in six character sets; CT and MR, a segmentation, a report, compressed images. All UIDs are the
same in every run.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from tests.dicom.make import CT, MR, write_series

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
COMPREHENSIVE_SR = "1.2.840.10008.5.1.4.1.1.88.33"

#: Patient ID -> Specific Character Set and Patient's Name.
NAMES: dict[str, tuple[Sequence[str], str]] = {
    "ASCII": ([], "Doe^Jane"),
    "LATIN": (["ISO_IR 100"], "Müller^Jürgen"),
    "JAPAN": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "KOREA": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "UTF8": (["ISO_IR 192"], "Wang^XiaoDong=王^小东"),
    "GB18030": (["GB18030"], "Zhang^Wei=张^伟"),
    "PACKED": ([], "Packed^Petra"),
    "BARE": ([], "Bare^Ben"),
}
#: Files of pydicom with compressed pixels: JPEG Lossless, JPEG Baseline, JPEG 2000 (lossless), RLE, JPEG-LS (lossless).
COMPRESSED = (
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
)


def uid(*what: object) -> str:
    """The same UID for the same words, in every run."""
    return str(generate_uid(entropy_srcs=["slicer-notebook", *map(str, what)]))


@dataclass(frozen=True)
class DataSeries:
    """A series: SOP Instance UID -> file."""

    uid: str
    study: str
    number: int
    modality: str
    sop_class: str
    syntax: str
    instances: dict[str, Path] = field(repr=False)


@dataclass(frozen=True)
class DataStudy:
    """A study: its series in the order of their numbers."""

    uid: str
    patient_id: str
    name: str
    date: str
    accession: str
    description: str | None
    series: list[DataSeries]

    @property
    def instances(self) -> dict[str, Path]:
        """SOP Instance UID -> file, of all its series."""
        return {each: path for series in self.series for each, path in series.instances.items()}


@dataclass(frozen=True)
class Data:
    """All of it. `study` finds one by name."""

    folder: Path
    studies: dict[str, DataStudy]

    def study(self, name: str) -> DataStudy:
        """``thorax`` (a CT series of 30, and a report), ``follow-up`` (two CT series), ``bare`` (MR, no description),
        ``latin`` (CT and a segmentation), ``japan``, ``korea``, ``utf8``, ``gb18030``, ``packed`` (five compressed
        series)."""
        return self.studies[name]

    @property
    def instances(self) -> dict[str, Path]:
        """SOP Instance UID -> file."""
        return {each: path for study in self.studies.values() for each, path in study.instances.items()}

    def without(self, *names: str) -> Data:
        """The same files, less some studies."""
        return Data(self.folder, {key: study for key, study in self.studies.items() if key not in names})

    def counts(self) -> dict[str, int]:
        """As `Orthanc.counts`."""
        return {
            "patients": len({study.patient_id for study in self.studies.values()}),
            "studies": len(self.studies),
            "series": sum(len(study.series) for study in self.studies.values()),
            "instances": len(self.instances),
        }


class _Study:
    """A study that is being written."""

    def __init__(
        self, folder: Path, key: str, *, patient: str, date: str, accession: str, description: str | None
    ) -> None:
        self._folder = folder / key
        self._key = key
        charset, name = NAMES[patient]
        self.made = DataStudy(uid(key), patient, name, date, accession, description, [])
        self._attributes: dict[str, Any] = {
            "SpecificCharacterSet": list(charset) or None,
            "PatientName": name,
            "PatientID": patient,
            "PatientBirthDate": "19600229",
            "PatientSex": "F",
            "StudyInstanceUID": self.made.uid,
            "StudyDate": date,
            "StudyTime": "101530",
            "StudyID": key.upper()[:16],
            "StudyDescription": description,
            "AccessionNumber": accession,
            "ReferringPhysicianName": "Refer^Rita",
            "InstitutionName": "General Hospital",
        }

    def slices(self, sop_class: str, count: int, *, size: int = 16, **attributes: Any) -> _Study:
        """A series of slices."""
        number = len(self.made.series) + 1
        series = uid(self._key, number)
        paths = write_series(
            self._folder / str(number),
            shape=(count, size, size),
            sop_class=sop_class,
            each=lambda k: {"SOPInstanceUID": uid(self._key, number, k)},
            **self._attributes,
            SeriesInstanceUID=series,
            SeriesNumber=number,
            FrameOfReferenceUID=uid(self._key, "frame"),
            **attributes,
        )
        self._note(number, series, paths)
        return self

    def copy_of(self, name: str) -> _Study:
        """A series of one instance: a file of pydicom's, with the pixels as they are, as this patient's."""
        number = len(self.made.series) + 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom has remarks about its own files
            item = dcmread(str(get_testdata_file(name)))
        series, instance = uid(self._key, number), uid(self._key, number, 0)
        _set(item, self._attributes)
        _set(
            item, {"SeriesInstanceUID": series, "SeriesNumber": number, "SOPInstanceUID": instance, "InstanceNumber": 1}
        )
        if "SeriesDescription" not in item:
            item.SeriesDescription = name
        item.file_meta.MediaStorageSOPInstanceUID = UID(instance)
        path = self._folder / str(number) / "000.dcm"
        path.parent.mkdir(parents=True)
        dcmwrite(path, item, enforce_file_format=True)
        self._note(number, series, [path])
        return self

    def _note(self, number: int, series: str, paths: list[Path]) -> None:
        headers = [dcmread(path, stop_before_pixels=True) for path in paths]
        first = headers[0]
        self.made.series.append(
            DataSeries(
                series,
                self.made.uid,
                number,
                str(first.get("Modality", "OT")),
                str(first.SOPClassUID),
                str(first.file_meta.TransferSyntaxUID),
                {str(header.SOPInstanceUID): path for header, path in zip(headers, paths, strict=True)},
            )
        )


def _set(item: Dataset, attributes: dict[str, Any]) -> None:
    for keyword, value in attributes.items():
        if value is not None:
            setattr(item, keyword, value)
        elif keyword in item:
            delattr(item, keyword)


def write(folder: Path) -> Data:
    """Write the files into ``folder``; some fifty of them, in half a second."""

    def study(key: str, patient: str, date: str, accession: str, description: str | None) -> _Study:
        made = _Study(folder, key, patient=patient, date=date, accession=accession, description=description)
        studies[key] = made.made
        return made

    studies: dict[str, DataStudy] = {}
    study("thorax", "ASCII", "20240105", "A0001", "CT Thorax").slices(CT, 30, size=32).copy_of("test-SR.dcm")
    study("follow-up", "ASCII", "20240505", "A0002", "CT Thorax follow-up").slices(CT, 4).slices(CT, 3)
    study("bare", "BARE", "20240212", "A0003", None).slices(MR, 3)
    study("latin", "LATIN", "20231224", "A0004", "Schädel").slices(CT, 4).copy_of("liver_1frame.dcm")
    study("japan", "JAPAN", "20240301", "A0005", "Head").slices(MR, 2)
    study("korea", "KOREA", "20240302", "A0006", "Head").slices(CT, 2)
    study("utf8", "UTF8", "20240303", "A0007", "Head").slices(CT, 2)
    study("gb18030", "GB18030", "20240304", "A0008", "Head").slices(CT, 2, syntax=ExplicitVRLittleEndian)
    packed = study("packed", "PACKED", "20230615", "A0009", "Packed images")
    for name in COMPRESSED:
        packed.copy_of(name)
    return Data(folder, studies)


def write_series_of(folder: Path, count: int, *, size: int = 512, key: str = "large") -> DataStudy:
    """A further study of the patient ``ASCII`` with one CT series of ``count`` slices of ``size`` x ``size`` pixels."""
    study = _Study(folder, key, patient="ASCII", date="20240606", accession="A0100", description="Large")
    return study.slices(CT, count, size=size).made
