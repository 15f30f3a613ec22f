"""The DICOM files and rows that the index is measured with. All of it is made up."""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from slicer_notebook.dicom.database import Database
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.rows import FileRow, row_of

__all__ = ["write_files", "write_index", "write_series"]

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
#: Slices of a series; a study has two series.
SLICES = 200
_FAMILY = (
    "Acker Baum Christ Dorn Engel Frank Groß Huber Ihle Jäger Kern Lang Möller Nowak Ott Park Quist Roth Silva Thür"
)
_GIVEN = "Ada Ben Cleo Dan Eva Finn Gül Hans Ida Jan Kim Lea Mia Noé Olaf Pia Rosa Sam Tom Uwe"
_WORDS = "Thorax Abdomen Schädel Becken Knie rechts links nativ spät arteriell Kontrolle Staging Trauma Leber Herz"


def _sequence(count: int, **attributes: object) -> Sequence:
    items = []
    for _ in range(count):
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        item.is_undefined_length_sequence_item = True
        items.append(item)
    made = Sequence(items)
    made.is_undefined_length = True
    return made


def _template(study: str, series: int, name: str, size: int) -> bytes:
    """A slice of a CT: some 120 elements with the usual sequences and a maker's private ones, in marked places."""
    item = Dataset()
    uid = f"{study}.{series}"
    values = {
        "SpecificCharacterSet": "ISO_IR 100", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "HELIX"],
        "InstanceCreationDate": "20240110", "InstanceCreationTime": "101112", "SOPClassUID": CT_IMAGE,
        "SOPInstanceUID": f"{uid}.777777", "StudyDate": "20240110", "SeriesDate": "20240110",
        "AcquisitionDate": "20240110", "ContentDate": "20240110", "StudyTime": "100000.000000",
        "SeriesTime": "100500.000000", "AcquisitionTime": "100510.120000", "ContentTime": "100511.340000",
        "AccessionNumber": "A0123456", "Modality": "CT", "Manufacturer": "MAKER MEDICAL SYSTEMS",
        "InstitutionName": "A Hospital", "InstitutionAddress": "A street, a town", "ReferringPhysicianName": "Roth^Ada",
        "StationName": "CT01", "StudyDescription": "CT Thorax Abdomen", "SeriesDescription": f"Thorax 2.0 B{series}0f",
        "InstitutionalDepartmentName": "Radiology", "PhysiciansOfRecord": "Roth^Ada",
        "PerformingPhysicianName": "Lang^Ben", "OperatorsName": "Ott", "ManufacturerModelName": "Scan 64",
        "PatientName": name, "PatientID": f"ID{study[-6:]}", "PatientBirthDate": "19500101", "PatientSex": "F",
        "PatientAge": "074Y", "PatientSize": "1.7", "PatientWeight": "70", "AdditionalPatientHistory": "none known",
        "ContrastBolusAgent": "AGENT", "BodyPartExamined": "CHEST", "ScanOptions": "HELICAL", "SliceThickness": "2",
        "KVP": "120", "DataCollectionDiameter": "500", "SoftwareVersions": "v1.2.3", "ProtocolName": "5.1 Thorax",
        "ReconstructionDiameter": "360", "DistanceSourceToDetector": "1040", "DistanceSourceToPatient": "570",
        "GantryDetectorTilt": "0", "TableHeight": "150", "RotationDirection": "CW", "ExposureTime": "500",
        "XRayTubeCurrent": "300", "Exposure": "150", "FilterType": "BODY", "GeneratorPower": "36", "FocalSpots": "1.2",
        "DateOfLastCalibration": "20240109", "TimeOfLastCalibration": "070000", "ConvolutionKernel": "B30f",
        "PatientPosition": "HFS", "RevolutionTime": 0.5, "SingleCollimationWidth": 0.6, "TotalCollimationWidth": 38.4,
        "TableSpeed": 46.0, "TableFeedPerRotation": 23.0, "SpiralPitchFactor": 0.6, "CTDIvol": 11.2,
        "StudyInstanceUID": study, "SeriesInstanceUID": uid, "StudyID": "1", "SeriesNumber": series,
        "AcquisitionNumber": "1", "InstanceNumber": "777777", "ImagePositionPatient": ["-180.5", "-170.25", "888.8"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"], "FrameOfReferenceUID": f"{study}.99",
        "PositionReferenceIndicator": "SN", "SliceLocation": "888.8", "ImageComments": "", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Rows": size, "Columns": size, "PixelSpacing": ["0.7", "0.7"],
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "WindowCenter": ["40", "-600"],
        "WindowWidth": ["400", "1200"], "RescaleIntercept": "-1024", "RescaleSlope": "1", "RescaleType": "HU",
        "WindowCenterWidthExplanation": ["WINDOW1", "WINDOW2"], "RequestingPhysician": "Roth^Ada",
        "RequestedProcedureDescription": "CT Thorax", "PerformedProcedureStepStartDate": "20240110",
        "PerformedProcedureStepStartTime": "100000", "PerformedProcedureStepID": "P1",
        "RequestedProcedureID": "R1",
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(item, keyword, value)
    reference = {"ReferencedSOPClassUID": CT_IMAGE, "ReferencedSOPInstanceUID": f"{uid}.1"}
    item.ReferencedStudySequence = _sequence(1, **reference)
    item.ReferencedImageSequence = _sequence(3, **reference)
    item.ProcedureCodeSequence = _sequence(
        1, CodeValue="CTTHOR", CodingSchemeDesignator="L", CodeMeaning="CT Thorax nativ und mit Kontrastmittel"
    )
    item.RequestAttributesSequence = _sequence(1, ScheduledProcedureStepID="S1", RequestedProcedureID="R1")
    for group in (0x0019, 0x0021, 0x0029, 0x0043):
        block = item.private_block(group, f"MAKER PARM {group:02X}", create=True)
        for element in range(8):
            block.add_new(element, "LO" if element % 2 else "DS", f"{element}.25")
    block = item.private_block(0x0029, "MAKER TABLES", create=True)
    block.add_new(0x10, "OB", bytes(8000))
    block.add_new(0x20, "SQ", _sequence(4, **reference, CodeMeaning="a step of the protocol"))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(CT_IMAGE)
    meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta = meta
    made = io.BytesIO()
    dcmwrite(made, item, enforce_file_format=True)
    return made.getvalue()


def write_files(folder: Path, count: int, size: int = 128) -> None:
    """Write ``count`` CT slices of ``size`` x ``size`` pixels, in folders of `SLICES`, two series to a study."""
    chooser = random.Random(3)
    family, given = _FAMILY.split(), _GIVEN.split()
    pixels = np.random.default_rng(3).integers(0, 2000, size * size).astype("<u2").tobytes()
    tail = b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
    for first in range(0, count, SLICES):
        number = first // SLICES
        study = f"1.2.826.0.1.3680043.10.511.{100000 + number // 2}"
        if number % 2 == 0:
            name = f"{chooser.choice(family)}^{chooser.choice(given)}"
        template = _template(study, number % 2 + 1, name, size)
        place = folder / f"study{number // 2:04d}" / f"series{number % 2 + 1}"
        place.mkdir(parents=True)
        for slice_ in range(min(SLICES, count - first)):
            header = template.replace(b"777777", b"%06d" % (100001 + slice_)).replace(b"888.8", b"%5.1f" % (slice_ * 2))
            (place / f"{slice_:06d}.dcm").write_bytes(header + tail)


def write_series(
    folder: Path, count: int, slices: int = 100, size: int = 512, *, to_a_study: int = 5, first: int = 0
) -> None:
    """Write ``count`` CT series, of which only the middle slice has pixels; the others are holes.

    So many whole series would take tens of gigabytes; what looks at one slice of each finds the same in these.

    Args:
        folder: where.
        count: of series.
        slices: of a series.
        size: rows and columns.
        to_a_study: series.
        first: number of the first study; others are of other studies.
    """
    chooser = random.Random(3 + first)
    family, given = _FAMILY.split(), _GIVEN.split()
    j, i = np.mgrid[:size, :size]
    body = np.hypot(i - size / 2, j - size / 2) < size * 0.4
    noise = np.random.default_rng(3).normal(0, 20, (size, size))
    for number in range(count):
        study = f"1.2.826.0.1.3680043.10.512.{100000 + first + number // to_a_study}"
        if number % to_a_study == 0:
            name = f"{chooser.choice(family)}^{chooser.choice(given)}"
        values = np.where(body, 1064 + 200 * np.sin(i / (9 + number % 17)) * np.cos(j / 23), 24) + noise
        pixels = values.clip(0, 4095).astype("<u2").tobytes()
        start = b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little")
        template = _template(study, number % to_a_study + 1, name, size)
        place = folder / f"series{number:04d}"
        place.mkdir(parents=True)
        for slice_ in range(slices):
            header = template.replace(b"777777", b"%06d" % (100001 + slice_)).replace(b"888.8", b"%5.1f" % (slice_ * 2))
            with (place / f"{slice_:06d}.dcm").open("wb") as file:
                file.write(header + start)
                if slice_ == slices // 2:
                    file.write(pixels)
                file.truncate(len(header) + len(start) + len(pixels))


def write_index(path: Path, count: int) -> None:
    """An index of ``count`` studies, as if their files were there."""
    database = Database(path)
    rows = _study_rows(count)
    while batch := list(itertools.islice(rows, 2000)):
        database.write(batch)
    database.close()


def _study_rows(count: int) -> Iterator[FileRow]:
    """Rows of ``count`` studies with one instance each, as the index would make them of files."""
    chooser = random.Random(3)
    family, given, words = _FAMILY.split(), _GIVEN.split(), _WORDS.split()
    for number in range(count):
        study = f"1.2.826.0.1.3680043.10.511.{number}"
        text = " ".join(chooser.sample(words, 3))
        day = chooser.randrange(28) + 1
        instance = Instance(
            PatientName=f"{chooser.choice(family)}{number % 997}^{chooser.choice(given)}",
            PatientID=f"ID{number:07d}",
            PatientBirthDate=f"19{chooser.randrange(30, 99)}0{chooser.randrange(9) + 1}{day:02d}",
            PatientSex=chooser.choice("FM"),
            StudyInstanceUID=study,
            StudyDate=f"20{chooser.randrange(10, 25)}{chooser.randrange(12) + 1:02d}{day:02d}",
            StudyTime=f"{chooser.randrange(24):02d}1500",
            StudyDescription=f"{chooser.choice(['CT', 'MR', 'PET'])} {text}",
            AccessionNumber=f"A{number * 7919 % 10_000_019}",
            ReferringPhysicianName=f"{chooser.choice(family)}^{chooser.choice(given)}",
            SeriesInstanceUID=f"{study}.1",
            SeriesNumber=1,
            SeriesDescription=f"{text} {chooser.randrange(1, 6)} mm",
            Modality=chooser.choice(["CT", "MR", "PT", "US"]),
            BodyPartExamined="CHEST",
            SOPClassUID=CT_IMAGE,
            SOPInstanceUID=f"{study}.1.1",
            path=f"/made/up/{number // 1000:03d}/{number}.dcm",
            size=1,
            mtime_ns=1,
        )
        yield row_of(instance)
