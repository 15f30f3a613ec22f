"""Archives, directories of media, moved files and clashing UIDs: what the index makes of places."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet

from slicer_notebook.dicom import Index, plan, read
from slicer_notebook.errors import EmptyFolderError, NotDicomError, PathNotFoundError
from tests.dicom.make import MR, assert_phantom, write_series


@pytest.fixture
def index(tmp_path):
    found = Index(tmp_path / "index" / "dicom.sqlite3")
    yield found
    found.close()


@pytest.fixture
def slices(tmp_path):
    return write_series(tmp_path / "slices")


def pack(path, files, mode=zipfile.ZIP_DEFLATED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", mode) as archive:
        for file in files:
            archive.write(file, f"scans/{Path(file).name}")
    return path


# -- archives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_is_read_in_place(index, tmp_path, slices, mode):
    archive = pack(tmp_path / "data" / "study.ZIP", slices, mode)
    for place in (archive.parent, archive):
        summary = index.add(place)
        assert (summary.files, summary.instances, summary.skipped) == (5, 5, [])
    instances = index.instances("1.2.3.4.5")
    assert instances[0].path == f"{archive}!/scans/000.dcm"
    data = read(plan(instances).volumes[0])
    assert_phantom(data.array, data.affine)


def test_an_unchanged_archive_is_not_opened_again(index, tmp_path, slices, monkeypatch):
    archive = pack(tmp_path / "data" / "a.zip", slices)
    broken = tmp_path / "data" / "b.zip"
    broken.write_bytes(b"PK\3\4 and no more")
    index.add(archive.parent)
    monkeypatch.setattr("zipfile.ZipFile", lambda path: pytest.fail(f"opened {path}"))
    for summary in (index.add(archive.parent), index.refresh()):
        assert (summary.files, summary.unchanged, summary.added, summary.instances) == (6, 6, 0, 5)
        assert [skipped.path for skipped in summary.skipped] == [str(broken)]


def test_a_changed_archive(index, tmp_path, slices):
    archive = pack(tmp_path / "data" / "a.zip", slices)
    index.add(archive.parent)
    pack(archive, slices[:3])
    for look in (lambda: index.add(archive.parent), index.refresh):
        summary = look()
        assert summary.instances == 3
    archive.unlink()
    summary = index.refresh()
    assert (summary.instances, summary.removed) == (0, 4)  # its members, and itself
    assert index.studies() == []


def test_part_of_an_archive(index, tmp_path, slices):
    archive = pack(tmp_path / "a.zip", slices)
    assert index.add(f"{archive}!/scans/001.dcm").instances == 1
    assert index.add(f"{archive}!/scans").instances == 5
    with pytest.raises(PathNotFoundError):
        index.add(f"{archive}!/scan")
    # The archive itself is not known as a whole yet.
    assert index.add(archive).unchanged == 5


def test_members_that_are_not_taken_say_why(index, tmp_path, slices):
    inner = pack(tmp_path / "inner.zip", slices)
    (tmp_path / "notes.txt").write_text("hello")
    archive = pack(tmp_path / "data" / "a.zip", [*slices, inner, tmp_path / "notes.txt"])
    raw = bytearray(archive.read_bytes())
    where = raw.index(b"PK\1\2")  # the directory's first entry: its flags
    raw[where + 8] |= 1
    archive.write_bytes(raw)
    shutil.copy(inner, tmp_path / "data" / "other.docx")
    summary = index.add(tmp_path / "data")
    reasons = {skipped.path.rpartition("/")[2]: skipped.reason for skipped in summary.skipped}
    assert reasons == {
        Path(slices[0]).name: "encrypted in its ZIP archive: unpack it first",
        "inner.zip": "a ZIP archive inside another, or whose name does not end in .zip: unpack it first, or name it",
        "notes.txt": "not DICOM",
        "other.docx": "a ZIP archive inside another, or whose name does not end in .zip: unpack it first, or name it",
    }
    assert summary.instances == 4


def test_an_archive_of_another_name_that_is_given(index, tmp_path, slices):
    assert index.add(pack(tmp_path / "export.bin", slices)).instances == 5
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w"):
        pass
    with pytest.raises(NotDicomError, match="no files"):
        index.add(empty)


def test_forgetting_an_archive(index, tmp_path, slices):
    archive = pack(tmp_path / "a.zip", slices)
    index.add(archive)
    assert index.remove(archive) == 6
    assert index.studies() == []


def test_killed_while_in_an_archive(index, tmp_path, slices, monkeypatch):
    """What was read of it is not read again; the rest is."""
    archive = pack(tmp_path / "a.zip", slices)
    monkeypatch.setattr("slicer_notebook.dicom.index.BATCH", 2)
    monkeypatch.setattr("slicer_notebook.dicom.rows.CHUNK", 1)
    written = []
    write = index._database.write

    def killed(rows, gone=()):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(rows)
        return write(rows, gone)

    with monkeypatch.context() as patch:
        patch.setattr(index._database, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            index.add(archive)
    summary = index.add(archive)
    assert (summary.unchanged, summary.added, summary.instances) == (4, 1, 5)


# -- DICOMDIR ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def medium(tmp_path, slices):
    files = FileSet()
    for path in [*slices, *write_series(tmp_path / "mr", sop_class=MR, SeriesInstanceUID="1.9", shape=(2, 4, 4))]:
        item = pydicom.dcmread(path)
        item.StudyTime, item.StudyID = "120000", "1"
        files.add(item)
    files.write(tmp_path / "medium")
    return tmp_path / "medium"


def test_a_directory_stands_for_its_files(index, medium):
    shutil.copy(next(p for p in medium.rglob("*") if p.is_file() and p.name != "DICOMDIR"), medium / "unnamed.dcm")
    summary = index.add(medium / "DICOMDIR")
    assert (summary.instances, summary.series, summary.skipped) == (7, 2, [])
    assert all("unnamed" not in instance.path for instance in index.instances("1.2.3.4.5"))
    assert index.add(medium / "DICOMDIR").added == 0


def test_named_files_that_are_missing(index, medium):
    index.add(medium / "DICOMDIR")
    victim = Path(index.instances("1.9")[0].path)
    victim.unlink()
    summary = index.add(medium / "DICOMDIR")
    assert (summary.instances, summary.removed) == (6, 1)
    assert [(s.path, s.reason) for s in summary.skipped] == [
        (str(victim), f"named in '{medium / 'DICOMDIR'}', but not there")
    ]


def test_a_medium_copied_in_lower_case(index, medium):
    for path in sorted(medium.rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower() + (";1" if path.is_file() and path.name != "DICOMDIR" else "")))
    summary = index.add(medium / "dicomdir")
    assert (summary.instances, summary.skipped) == (7, [])


def test_in_a_folder_it_is_passed_over(index, medium):
    summary = index.add(medium)
    assert (summary.files, summary.instances, summary.skipped) == (8, 7, [])
    assert index.add(medium).unchanged == 8
    assert index.refresh().unchanged == 8


def test_in_an_archive_it_is_passed_over(index, tmp_path, medium):
    shutil.make_archive(str(tmp_path / "packed"), "zip", medium)
    summary = index.add(tmp_path / "packed.zip")
    assert (summary.instances, summary.skipped) == (7, [])


def test_a_directory_in_vain(index, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(get_testdata_file("DICOMDIR"), alone / "DICOMDIR")
    with pytest.raises(NotDicomError, match="but not there") as caught:
        index.add(alone / "DICOMDIR")
    assert len(caught.value.details["skipped"]) > 20
    with pytest.raises(EmptyFolderError):
        index.add(alone)
    raw = (alone / "DICOMDIR").read_bytes()
    (alone / "DICOMDIR").write_bytes(raw[:400] + b"\xff" * 100)
    with pytest.raises(NotDicomError, match="directory cannot be read"):
        index.add(alone / "DICOMDIR")


def test_pydicoms_own_medium(index):
    path = Path(get_testdata_file("DICOMDIR"))
    expected = {
        os.path.realpath(os.path.join(path.parent, *record.ReferencedFileID))
        for record in pydicom.dcmread(path).DirectoryRecordSequence
        if "ReferencedFileID" in record
    }
    index.add(path)
    found = {os.path.realpath(i.path) for s in index.series() for i in index.instances(s)}
    assert found == expected


# -- moved, deleted, clashing ------------------------------------------------------------------------------------------


def test_files_moved_to_another_place_leave_the_former(index, tmp_path, slices):
    index.add(tmp_path / "slices")
    shutil.move(tmp_path / "slices", tmp_path / "elsewhere")
    summary = index.add(tmp_path / "elsewhere")
    assert (summary.added, summary.removed, summary.moved, summary.instances) == (5, 5, 5, 5)
    assert all(not instance.other_paths for instance in index.instances("1.2.3.4.5"))


def test_copies_elsewhere_stay(index, tmp_path, slices):
    index.add(tmp_path / "slices")
    shutil.copytree(tmp_path / "slices", tmp_path / "copy")
    summary = index.add(tmp_path / "copy")
    assert (summary.moved, summary.removed, summary.duplicates, summary.conflicts) == (0, 0, 0, [])
    assert all(len(instance.other_paths) == 1 for instance in index.instances("1.2.3.4.5"))


def test_a_uid_used_twice_is_reported(index, tmp_path, slices):
    index.add(tmp_path / "slices")
    clash = pydicom.dcmread(slices[0])
    clash.SeriesInstanceUID = "1.2.3.4.7"
    clash.ImagePositionPatient = [0, 0, 0]
    (tmp_path / "other").mkdir()
    clash.save_as(tmp_path / "other" / "clash.dcm")
    summary = index.add(tmp_path / "other")
    (conflict,) = summary.conflicts
    assert conflict.SOPInstanceUID == clash.SOPInstanceUID
    assert conflict.paths == [str(tmp_path / "other" / "clash.dcm"), str(slices[0])]
    assert conflict.attributes == ["SeriesInstanceUID", "ImagePositionPatient"]
    assert "1 UID conflict" in repr(summary)
    shutil.move(tmp_path / "other" / "clash.dcm", tmp_path / "slices")
    for _ in range(2):
        summary = index.add(tmp_path / "slices")
        assert (summary.duplicates, len(summary.conflicts)) == (1, 1)


def test_refresh_notices_all_changes(index, tmp_path, slices):
    write_series(tmp_path / "mr", sop_class=MR, SeriesInstanceUID="1.9", StudyInstanceUID="1.8", shape=(3, 4, 4))
    index.add(tmp_path / "slices", tmp_path / "mr")
    slices[0].unlink()
    changed = pydicom.dcmread(slices[1])
    changed.PatientName = "Other^Name"
    changed.save_as(slices[1])
    shutil.copy(slices[2], tmp_path / "slices" / "new.dcm")
    shutil.rmtree(tmp_path / "mr")
    summary = index.refresh()
    assert (summary.files, summary.added, summary.removed, summary.instances) == (4, 1, 4, 4)
    assert [study.StudyInstanceUID for study in index.studies()] == ["1.2.3.4"]
    assert {instance.PatientName for instance in index.instances("1.2.3.4.5")} == {"Doe^Jane", "Other^Name"}


@pytest.mark.skipif(os.name == "nt", reason="permissions are another matter on Windows")
def test_what_lies_in_a_folder_that_cannot_be_listed_stays(index, tmp_path, slices, monkeypatch):
    index.add(tmp_path)
    scandir = os.scandir

    def refuse(folder):
        if str(folder).endswith("slices"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr("os.scandir", refuse)
    summary = index.add(tmp_path)
    assert (summary.removed, summary.instances) == (0, 5)
    assert "folder not readable: Permission denied" in {skipped.reason for skipped in summary.skipped}
