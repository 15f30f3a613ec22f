"""DICOM: index, find, load."""

from __future__ import annotations

import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.session.conformance.cases import case, refused


def write_series(folder: Path, slices: int = 6) -> np.ndarray[Any, Any]:
    """A small axial CT, written by pydicom; its values, [k, j, i]."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    stored = np.arange(slices * 8 * 10, dtype=np.int16).reshape(slices, 8, 10)
    study, series, frame = (generate_uid(entropy_srcs=[str(folder), n]) for n in "abc")
    for k in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(folder), str(k)])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.PatientName, data.PatientID = "Conform^Ada", "C1"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.StudyDate, data.StudyDescription, data.Modality = "20200102", "Phantom", "CT"
        data.SeriesNumber, data.SeriesDescription, data.InstanceNumber = 3, "Axial", slices - k
        data.Rows, data.Columns, data.PixelSpacing = 8, 10, [0.7, 0.5]
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-2.5, -3, 10 + 2.5 * k]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, -1024, "HU"
        data.WindowCenter, data.WindowWidth = -900, 300
        data.PixelData = stored[k].tobytes()
        data.save_as(folder / f"{(k * 7) % slices}.dcm", enforce_file_format=True)
    return stored.astype(np.int32) - 1024


@case
def a_series_is_indexed_found_and_loaded(slicer: Any, folder: Path) -> None:
    expected = write_series(folder / "dicom")
    slicer.dicom.database = str(folder / "index.sqlite3")
    try:
        summary = slicer.dicom.index(folder / "dicom").result(60)
        assert (summary.files, summary.studies, summary.series) == (6, 1, 1)
        studies = slicer.dicom.studies(PatientName="conform*")
        assert [s.PatientID for s in studies] == ["C1"]
        assert studies.to_dataframe().StudyDescription.tolist() == ["Phantom"]
        assert "Conform" in studies._repr_html_()
        assert slicer.dicom.studies(PatientName="nobody") == []
        [series] = slicer.dicom.series(studies[0])
        assert series.NumberOfSeriesRelatedInstances == 6
        assert slicer.dicom.plan(series).volumes[0].files == 6
        assert slicer.dicom.thumbnail(series).startswith(b"\x89PNG")
        [volume] = slicer.dicom.load(series.SeriesInstanceUID)
        assert np.array_equal(volume.array, expected)
        assert np.allclose(volume.affine, [[-0.5, 0, 0, 2.5], [0, -0.7, 0, 3], [0, 0, 2.5, 10], [0, 0, 0, 1]])
        assert volume.window_level == (300, -900)
        assert volume.units == "Hounsfield unit"
        assert len(volume.attributes["DICOM.instanceUIDs"].split()) == 6
        assert len(slicer.dicom.studies(PatientName="*")) == 1
        for bad in (
            {"StudyDate": "yesterday"},
            {"StudyDate": "20201301-"},
            {"StudyDate": "20300101-20200101"},
            {"PatientName": 5},
        ):
            with refused(errors.ArgumentError, next(iter(bad))):
                slicer.dicom.studies(**bad)
        with refused(errors.ArgumentError, "not a series", "NoneType"):
            slicer.dicom.load(None)
        # A copy that is cut off says nothing against the whole one; a file that is gone does.
        whole = (folder / "dicom" / "0.dcm").read_bytes()
        (folder / "dicom" / "copy.dcm").write_bytes(whole[:-10])
        slicer.dicom.index(folder / "dicom").result(60)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            [again] = slicer.dicom.load(series)
        assert np.array_equal(again.array, expected)
        assert any("copy.dcm" in str(w.message) for w in told), [str(w.message) for w in told]
        (folder / "dicom" / "0.dcm").unlink()
        (folder / "dicom" / "copy.dcm").unlink()
        with refused(errors.SlicerNotebookError, "dcm"):
            slicer.dicom.load(series)
        with refused(errors.UidNotFoundError, "1.2.3"):
            slicer.dicom.load("1.2.3")
        with refused(errors.ArgumentError, "Nonsense"):
            slicer.dicom.studies(Nonsense="x")
    finally:
        slicer.dicom.database = None


@case
def what_a_list_of_studies_is_made_of(slicer: Any, folder: Path) -> None:
    write_series(folder / "dicom")
    slicer.dicom.database = str(folder / "index.sqlite3")
    try:
        slicer.dicom.index(folder / "dicom").result(60)
        [series] = slicer.dicom.series()
        uid = series.SeriesInstanceUID
        detail = slicer.call("dicom.detail", series_uid=uid, size=64, database=slicer.dicom.database)
        assert detail["plan"]["volumes"][0]["files"] == 6
        assert detail["png"].startswith(b"\x89PNG")
        known = {"series": [uid, "9.9"], "database": slicer.dicom.database}
        assert slicer.call("dicom.details_known", size=64, **known) == {uid: detail}
        assert slicer.call("dicom.details_known", size=32, **known) == {}
        catalogue = slicer.call("dicom.catalogue", database=slicer.dicom.database)
        assert (catalogue["total"], catalogue["patients"]) == (1, 1)
        [line] = zlib.decompress(catalogue["pages"][0]).decode("utf-8").split("\n")
        shown = dict(zip(catalogue["fields"], line.split("\t"), strict=True))
        assert (shown["name"], shown["id"], shown["date"]) == ("Conform, Ada", "C1", "2020-01-02")
        assert (shown["modalities"], shown["images"]) == ("CT", "6")
        write_series(folder / "more", 4)
        slicer.dicom.index(folder / "more").result(60)
        [study, other] = slicer.dicom.studies()
        everything = slicer.dicom.series()
        gallery = slicer.dicom.thumbnails([study, other.StudyInstanceUID], size=64)
        assert sorted(each.facts for each in gallery) == ["CT, 4 images", "CT, 6 images"]
        assert [each.png for each in gallery if each.facts == "CT, 6 images"] == [detail["png"]]
        assert all(each.plan is not None and each.title == "3: Axial" for each in gallery)
        [one] = slicer.dicom.thumbnails(uid, size=64)
        assert one.image.size == (57, 64)
        assert [each.series for each in slicer.dicom.thumbnails(everything[::-1])] == everything[::-1]
        assert slicer.dicom.thumbnails([]) == []
        with refused(errors.UidNotFoundError, "1.2.3"):
            slicer.dicom.thumbnails("1.2.3")
        with refused(errors.ArgumentError, "16 to 2048"):
            slicer.dicom.thumbnails(uid, size=1)
    finally:
        slicer.dicom.database = None


@case
def bad_folders_are_refused(slicer: Any, folder: Path) -> None:
    slicer.dicom.database = str(folder / "index.sqlite3")
    try:
        with refused(errors.PathNotFoundError, "nowhere"):
            slicer.dicom.index(folder / "nowhere").result(60)
        (folder / "empty").mkdir()
        with refused(errors.EmptyFolderError, "empty"):
            slicer.dicom.index(folder / "empty").result(60)
        (folder / "other").mkdir()
        (folder / "other" / "a.txt").write_text("no DICOM")
        with refused(errors.EmptyFolderError, "other", "not DICOM"):
            slicer.dicom.index(folder / "other").result(60)
        with refused(errors.NotDicomError, "a.txt"):
            slicer.dicom.index(folder / "other" / "a.txt").result(60)
        with refused(errors.ArgumentError, "folder"):
            slicer.dicom.index()
        with refused(errors.ArgumentError, "not a series"):
            slicer.dicom.load([3])
    finally:
        slicer.dicom.database = None
