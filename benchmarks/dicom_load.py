"""Benchmarks of loading DICOM: a CT into the scene, and a long series over time."""

from __future__ import annotations

import io
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

import slicer_notebook as sn
from benchmarks.measure import Row, timed
from slicer_notebook import sample_data
from slicer_notebook.dicom import plan, read_sequence

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["dicom_load", "dicom_times", "write_times"]

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
#: The series over time: as long as a functional MR of ten minutes.
SLICES, TIMES, SIZE = 42, 130, 64


def dicom_load(bench: Bench) -> list[Row]:
    """The sample study's 133 slices of CT, which are indexed, into the scene and shown."""
    import SimpleITK

    folder = sample_data.fetch()
    slicer = bench.slicer
    slicer.dicom.database = str(bench.folder / "load.sqlite3")
    slicer.wait(slicer.dicom.index(folder))
    (series,) = slicer.dicom.series()
    uid = series.SeriesInstanceUID
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)

    def ours() -> float:
        slicer.clear()
        return timed(lambda: slicer.dicom.load(series))()

    def simpleitk() -> Any:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(names)
        return reader.Execute()

    def with_names() -> Any:
        SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        return simpleitk()

    times = bench.interleave(
        "dicom_load", {"ours": ours, "theirs": timed(simpleitk), "with names": timed(with_names)}, 11
    )
    slicer.clear()
    (volume,) = slicer.dicom.load(series)
    assert isinstance(volume, sn.Volume)
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(simpleitk()))
    slicer.clear()
    what = f"slicer.dicom.load of {len(names)} slices"
    return [
        Row("dicom_load", what, "SimpleITK ImageSeriesReader.Execute", times["ours"], times["theirs"], 0.6),
        Row("dicom_load", what, "the same, and GetGDCMSeriesFileNames", times["ours"], times["with names"]),
    ]


def dicom_times(bench: Bench) -> list[Row]:
    """5,460 files of MR at 130 times: from a folder that was never seen to the array, or to dcm2niix's file."""
    import dcm2niix

    folder = bench.folder / "times"
    write_times(folder)
    out = bench.folder / "nifti"
    shape = (TIMES, SLICES, SIZE, SIZE)

    def ours() -> float:
        started = time.perf_counter()
        found = plan(sorted(folder.iterdir()))
        data = read_sequence(found.sequences[0])
        seconds = time.perf_counter() - started
        if data.array.shape != shape:
            raise RuntimeError(f"an array of {data.array.shape}, not of {shape}")
        return seconds

    def theirs() -> float:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        command = [dcm2niix.bin, "-b", "n", "-z", "n", "-f", "times", "-o", str(out), str(folder)]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        # NIfTI's header and its padding are 352 bytes.
        if (out / "times.nii").stat().st_size != 352 + 2 * int(np.prod(shape)):
            raise RuntimeError("dcm2niix did not make one series of it")
        return seconds

    times = bench.interleave("dicom_times", {"ours": ours, "theirs": theirs}, 7)
    what = f"plan, read_sequence of {SLICES * TIMES} files"
    return [Row("dicom_times", what, "dcm2niix, uncompressed, no JSON", times["ours"], times["theirs"], 1.0)]


def _template() -> bytes:
    """A slice's header, with marks where the slices differ."""
    item = Dataset()
    values = {
        "SpecificCharacterSet": "ISO_IR 100", "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"], "SOPClassUID": MR_IMAGE,
        "SOPInstanceUID": "1.2.826.0.1.3680043.10.511.7.888888", "StudyDate": "20240110", "SeriesDate": "20240110",
        "AcquisitionDate": "20240110", "ContentDate": "20240110", "StudyTime": "100000", "SeriesTime": "100500",
        "AcquisitionTime": "235959.500000", "ContentTime": "235959.500000", "Modality": "MR",
        "Manufacturer": "MAKER MEDICAL SYSTEMS", "StudyDescription": "fMRI", "SeriesDescription": "rest",
        "ManufacturerModelName": "Scan 3T", "PatientName": "Acker^Ada", "PatientID": "ID1", "PatientSex": "F",
        "PatientWeight": "70", "BodyPartExamined": "HEAD", "ScanningSequence": "EP", "SequenceVariant": "SK",
        "MRAcquisitionType": "2D", "SliceThickness": "3", "RepetitionTime": "4600", "EchoTime": "30",
        "SpacingBetweenSlices": "3.3", "FlipAngle": "90", "PatientPosition": "HFS", "AcquisitionNumber": "444444",
        "StudyInstanceUID": "1.2.826.0.1.3680043.10.511.5", "SeriesInstanceUID": "1.2.826.0.1.3680043.10.511.6",
        "StudyID": "1", "SeriesNumber": "7", "InstanceNumber": "777777",
        "ImagePositionPatient": ["-110.25", "-105.5", "3333.3"],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "FrameOfReferenceUID": "1.2.826.0.1.3680043.10.511.9", "TemporalPositionIdentifier": "444444",
        "NumberOfTemporalPositions": str(TIMES), "SliceLocation": "3333.3", "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Rows": SIZE, "Columns": SIZE, "PixelSpacing": ["3.4375", "3.4375"],
        "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "WindowCenter": "600",
        "WindowWidth": "1200",
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(item, keyword, value)
    for group in (0x0019, 0x0021, 0x0043):
        block = item.private_block(group, f"MAKER PARM {group:02X}", create=True)
        for element in range(20):
            block.add_new(element, "LO" if element % 2 else "DS", f"{element}.25")
    block = item.private_block(0x0029, "MAKER TABLES", create=True)
    block.add_new(0x10, "OB", bytes(4000))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(MR_IMAGE)
    meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta = meta
    made = io.BytesIO()
    dcmwrite(made, item, enforce_file_format=True)
    return made.getvalue()


def write_times(folder: Path) -> None:
    """Write `SLICES` x `TIMES` files of `SIZE` x `SIZE` pixels, interleaved as they were measured."""
    folder.mkdir()
    template = _template()
    pixels = np.random.default_rng(5).integers(0, 4096, (SLICES + TIMES, SIZE * SIZE), np.uint16)
    number = 0
    for moment in range(TIMES):
        for slice_ in [*range(0, SLICES, 2), *range(1, SLICES, 2)]:
            number += 1
            seconds = 36000 + moment * 4.6
            clock = f"{int(seconds // 3600):02d}{int(seconds % 3600 // 60):02d}{seconds % 60:09.6f}"
            header = template
            for mark, value in (
                (b"888888", f"{100000 + number}"), (b"777777", f"{number:6d}"), (b"444444", f"{moment + 1:6d}"),
                (b"3333.3", f"{slice_ * 3.3 - 60:6.1f}"), (b"235959.500000", clock),
            ):  # fmt: skip
                header = header.replace(mark, value.encode())
            raw = np.roll(pixels[slice_], moment).astype("<u2").tobytes()
            tail = b"\xe0\x7f\x10\x00OW\0\0" + len(raw).to_bytes(4, "little") + raw
            (folder / f"MR{number:06d}.dcm").write_bytes(header + tail)
