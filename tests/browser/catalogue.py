"""Studies to look for: a made-up hospital of 40 with pictures, and an index of any number without files."""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from slicer_notebook.dicom import Index
from slicer_notebook.dicom.database import Database
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.rows import row_of

__all__ = ["HOSPITAL", "PEOPLE", "Study", "hospital_studies", "write_hospital", "write_index"]

#: Studies of the hospital.
HOSPITAL = 40
#: Names as they stand in files (PS3.5 6.2.1: up to three groups), and sexes.
PEOPLE = (
    ("Müller^Jürgen", "M"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "M"),
    ("Иванова^Анна Сергеевна", "F"),
    ("قباني^لنزار", "M"),
    ("Dvořák^Antonín", "M"),
    ("Nguyễn^Thị Minh Khai", "F"),
    ("Hong^Gildong=洪^吉洞=홍^길동", "M"),
    ("García Márquez^Sofía", "F"),
    ("O'Neill^Siobhán", "F"),
    ("Wang^XiaoDong=王^小東", "F"),
    ("Διονυσίου^Ελένη", "F"),
    ("Åström^Björn", "M"),
    ("Çelik^Ayşe", "F"),
    ("Smith^John^^Dr", "M"),
)
_CT, _MR, _PT = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "128"))
#: Study description; series: SOP class, modality, description, body part, direction.
_KINDS: tuple[tuple[str, tuple[tuple[str, str, str, str, str], ...]], ...] = (
    (
        "CT Thorax Übersicht",
        (
            (_CT, "CT", "Thorax 1.0 B70f", "CHEST", "axial"),
            (_CT, "CT", "Thorax coronal MPR", "CHEST", "coronal"),
            (_CT, "CT", "Thorax sagittal MPR", "CHEST", "sagittal"),
        ),
    ),
    ("MR Herz nativ", ((_MR, "MR", "T2 HASTE cor", "HEART", "coronal"), (_MR, "MR", "T1 VIBE ax", "HEART", "axial"))),
    (
        "PET/CT whole body",
        ((_CT, "CT", "CT AC 2.0", "WHOLEBODY", "axial"), (_PT, "PT", "FDG AC WB", "WHOLEBODY", "coronal")),
    ),
    ("Грудная клетка", ((_CT, "CT", "Lung 5.0 I50f", "CHEST", "axial"),)),
)
#: Days before today of the first studies; the others are years old.
_DAYS_AGO = (0, 5, 20, 200)
_REFERRING = ("House^Gregory", "Grey^Meredith", "Žižková^Jana")


@dataclass(frozen=True)
class Study:
    """A study of the hospital, as its files say it."""

    uid: str
    name: str
    sex: str
    id: str
    born: str
    date: str
    time: str
    accession: str
    description: str
    referring: str
    series: tuple[tuple[str, str, str, str, str], ...]

    @property
    def shown_name(self) -> str:
        """As lists have it: FAMILY, Given."""
        family, _, given = self.name.partition("=")[0].partition("^")
        return f"{family}, {given.split('^')[0]}"


def hospital_studies(count: int = HOSPITAL) -> list[Study]:
    """The studies, the youngest first; 14 patients have several."""
    chooser = random.Random(5)
    today = datetime.date.today()
    found = []
    for number in range(count):
        name, sex = PEOPLE[number % len(PEOPLE)]
        patient = number % len(PEOPLE)
        days = _DAYS_AGO[number] if number < len(_DAYS_AGO) else 500 + 41 * number
        description, series = _KINDS[number % len(_KINDS)]
        found.append(
            Study(
                uid=f"1.2.826.0.1.3680043.10.513.{1000 + number}",
                name=name,
                sex=sex,
                id=f"MRN-{70100 + patient * 13}",
                born=f"{1931 + patient * 5}{patient % 12 + 1:02d}{patient + 3:02d}",
                date=f"{today - datetime.timedelta(days=days):%Y%m%d}",
                time=f"{chooser.randrange(7, 19):02d}{chooser.randrange(60):02d}00",
                accession=f"ACC{880000 + number * 37}",
                description=description,
                referring=_REFERRING[number % len(_REFERRING)],
                series=series,
            )
        )
    return found


def write_hospital(folder: Path, sample: Path) -> Path:
    """Files of all studies, with pixels of the sample study made small; and their index. The index's path."""
    voxels = _chest(sample)
    for study in hospital_studies():
        for number, kind in enumerate(study.series, 1):
            _write_series(folder / study.uid / str(number), study, number, kind, voxels)
    path = folder / "index.sqlite3"
    index = Index(path)
    index.add(folder)
    index.close()
    return path


def _chest(sample: Path) -> npt.NDArray[np.int16]:
    """The sample study's Hounsfield units, made small: int16 [133, 128, 128], head first."""
    slices = [dcmread(path) for path in sample.glob("*.dcm")]
    slices.sort(key=lambda each: -float(each.ImagePositionPatient[2]))
    planes = [each.pixel_array[::4, ::4] * each.RescaleSlope + each.RescaleIntercept for each in slices]
    return np.stack(planes).clip(-1024, 3000).astype(np.int16)


def _write_series(
    folder: Path, study: Study, number: int, kind: tuple[str, str, str, str, str], voxels: npt.NDArray[np.int16]
) -> None:
    sop_class, modality, description, body, direction = kind
    axis = {"axial": 0, "coronal": 1, "sagittal": 2}[direction]
    images = np.moveaxis(voxels, axis, 0)
    places = np.linspace(0.25 * len(images), 0.75 * len(images), 12).astype(int)
    row, column, normal = {
        "axial": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
        "coronal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
        "sagittal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
    }[direction]
    folder.mkdir(parents=True)
    for place, step in zip(places, itertools.count()):
        values = images[place] + 1024
        if modality == "MR":
            values = np.where(values > 700, 400 + (values - 700) // 2, values // 4)
        elif modality == "PT":
            values = np.clip((values - 900) * 8, 0, 4000)
        item = Dataset()
        item.SpecificCharacterSet = "ISO_IR 192"
        attributes: dict[str, Any] = {
            "PatientName": study.name, "PatientID": study.id, "PatientBirthDate": study.born, "PatientSex": study.sex,
            "StudyInstanceUID": study.uid, "StudyDate": study.date, "StudyTime": study.time, "StudyID": study.uid[-4:],
            "StudyDescription": study.description, "AccessionNumber": study.accession,
            "ReferringPhysicianName": study.referring, "InstitutionName": "Nemocnice Motol",
            "SeriesInstanceUID": f"{study.uid}.{number}", "SeriesNumber": number, "SeriesDescription": description,
            "SeriesDate": study.date, "Modality": modality, "BodyPartExamined": body, "SOPClassUID": sop_class,
            "SOPInstanceUID": f"{study.uid}.{number}.{step + 1}", "InstanceNumber": step + 1,
            "FrameOfReferenceUID": f"{study.uid}.99", "ImageOrientationPatient": [*row, *column],
            "ImagePositionPatient": [float(5 * step * each) for each in normal], "PixelSpacing": [2.8, 2.8],
            "SliceThickness": 5, "Rows": values.shape[0], "Columns": values.shape[1], "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
            "PixelRepresentation": 0, "RescaleIntercept": -1024 if modality == "CT" else 0, "RescaleSlope": 1,
        }  # fmt: skip
        if modality == "CT":
            attributes |= {"WindowCenter": -400 if number == 1 else 40, "WindowWidth": 1500 if number == 1 else 400}
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        item.PixelData = values.astype("<u2").tobytes()
        item.file_meta = FileMetaDataset()
        item.file_meta.MediaStorageSOPClassUID = UID(sop_class)
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dcmwrite(folder / f"{step:03d}.dcm", item, enforce_file_format=True)


def write_index(path: Path, count: int) -> None:
    """An index of ``count`` studies like the hospital's, as if their files were there."""
    database = Database(path)
    instances = _instances(count)
    while batch := [row_of(each) for each in itertools.islice(instances, 2000)]:
        database.write(batch)
    database.close()


def _instances(count: int) -> Iterator[Instance]:
    chooser = random.Random(7)
    for number in range(count):
        patient = number // 2
        name, sex = PEOPLE[patient % len(PEOPLE)]
        family, mark, rest = name.partition("^")
        description, series = chooser.choice(_KINDS)
        study = f"1.2.826.0.1.3680043.10.514.{number}"
        year, month, day = chooser.randrange(2008, 2026), chooser.randrange(1, 13), chooser.randrange(1, 29)
        for place, (sop_class, modality, text, body, _direction) in enumerate(series[:1], 1):
            yield Instance(
                PatientName=f"{family}{patient % 997 or ''}{mark}{rest}",
                PatientID=f"MRN-{100000 + patient}",
                PatientBirthDate=f"19{30 + patient % 69}{month:02d}{day:02d}",
                PatientSex=sex,
                StudyInstanceUID=study,
                StudyDate=f"{year}{month:02d}{day:02d}",
                StudyTime=f"{chooser.randrange(24):02d}1500",
                StudyDescription=description,
                AccessionNumber=f"ACC{number * 7919 % 10_000_019}",
                ReferringPhysicianName=_REFERRING[number % len(_REFERRING)],
                SeriesInstanceUID=f"{study}.{place}",
                SeriesNumber=place,
                SeriesDescription=text,
                Modality=modality,
                BodyPartExamined=body,
                SOPClassUID=sop_class,
                SOPInstanceUID=f"{study}.{place}.1",
                path=f"/made/up/{number // 1000:03d}/{number}.dcm",
                size=1,
                mtime_ns=1,
            )
