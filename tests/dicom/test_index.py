"""The index: what it takes, what it notices, and that several processes and kill -9 leave it whole."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from slicer_notebook.dicom import Index, Series, Study, data_folder, plan, read
from slicer_notebook.dicom.index import BATCH
from slicer_notebook.errors import (
    ArgumentError,
    EmptyFolderError,
    IndexDatabaseError,
    JobCancelledError,
    NotDicomError,
    PathNotFoundError,
    UidNotFoundError,
)
from tests.dicom.make import CT, MR, assert_phantom, write_series


@pytest.fixture
def index(tmp_path):
    found = Index(tmp_path / "index" / "dicom.sqlite3")
    yield found
    found.close()


@pytest.fixture
def studies(tmp_path):
    """Two studies: one of two series (CT 5, MR 3), one of one series (CT 2)."""
    folder = tmp_path / "data"
    write_series(folder / "a" / "ct", SeriesInstanceUID="1.1.1", StudyInstanceUID="1.1", BodyPartExamined="CHEST")
    write_series(
        folder / "a" / "mr", SeriesInstanceUID="1.1.2", StudyInstanceUID="1.1", shape=(3, 4, 4), sop_class=MR,
        SeriesNumber=1, SeriesDescription="T1 größer",
    )  # fmt: skip
    write_series(
        folder / "b", SeriesInstanceUID="1.2.1", StudyInstanceUID="1.2", shape=(2, 4, 4), PatientName="Müller^Özgür",
        SpecificCharacterSet="ISO_IR 192", PatientID="Q[2]", StudyDate="20210615", StudyDescription="Schädel",
        StudyTime="143000.5", AccessionNumber="A7",
    )  # fmt: skip
    return folder


def test_studies_series_and_instances(index, studies):
    summary = index.add(studies)
    assert (summary.files, summary.added, summary.unchanged, summary.removed) == (10, 10, 0, 0)
    assert (summary.studies, summary.series, summary.instances, summary.skipped) == (2, 3, 10, [])
    assert summary.seconds > 0
    first, second = index.studies()
    assert isinstance(first, Study)
    assert (first.PatientName, first.StudyInstanceUID, first.ModalitiesInStudy) == ("Doe^Jane", "1.1", ["CT", "MR"])
    assert (first.NumberOfStudyRelatedSeries, first.NumberOfStudyRelatedInstances) == (2, 8)
    assert (second.PatientName, second.NumberOfStudyRelatedInstances) == ("Müller^Özgür", 2)
    mr, ct = index.series(first)
    assert isinstance(mr, Series)
    assert (mr.Modality, mr.SeriesNumber, mr.NumberOfSeriesRelatedInstances) == ("MR", 1, 3)
    assert (ct.Modality, ct.PatientName, ct.StudyDescription) == ("CT", "Doe^Jane", "Thorax")
    assert index.series("1.1") == [mr, ct]
    assert len(index.series()) == 3
    instances = index.instances(ct)
    assert [instance.InstanceNumber for instance in instances] == [1, 2, 3, 4, 5]
    data = read(plan(instances).volumes[0])
    assert_phantom(data.array, data.affine)


def test_a_second_run_reads_nothing(index, studies, monkeypatch):
    index.add(studies)
    monkeypatch.setattr("slicer_notebook.dicom.rows.read_header", lambda path: pytest.fail(f"read {path}"))
    summary = index.add(studies)
    assert (summary.files, summary.added, summary.unchanged) == (10, 0, 10)
    assert (summary.studies, summary.series, summary.instances) == (2, 3, 10)


def test_single_files(index, studies):
    files = sorted((studies / "b").iterdir())
    summary = index.add(files[0], str(files[1]))
    assert (summary.files, summary.instances, summary.studies) == (2, 2, 1)


def test_changed_moved_and_deleted_files_are_noticed(index, studies):
    index.add(studies)
    files = sorted((studies / "b").iterdir())
    files[0].unlink()
    changed = pydicom.dcmread(files[1])
    changed.PatientName = "Other^Name"
    changed.save_as(files[1])
    shutil.move(studies / "a" / "mr", studies / "elsewhere")
    summary = index.add(studies)
    assert (summary.files, summary.added, summary.removed, summary.moved) == (9, 4, 4, 3)
    names = {
        study.StudyInstanceUID: (study.PatientName, study.NumberOfStudyRelatedInstances) for study in index.studies()
    }
    assert names == {"1.1": ("Doe^Jane", 8), "1.2": ("Other^Name", 1)}
    assert all(Path(instance.path).exists() for instance in index.instances("1.1.2"))


def test_a_series_whose_files_are_all_gone_leaves(index, studies):
    index.add(studies)
    shutil.rmtree(studies / "b")
    index.add(studies)
    assert [study.StudyInstanceUID for study in index.studies()] == ["1.1"]
    with pytest.raises(UidNotFoundError):
        index.instances("1.2.1")


def test_a_folder_does_not_drop_what_lies_elsewhere(index, studies):
    index.add(studies / "a")
    index.add(studies / "b")
    assert len(index.studies()) == 2
    sibling = studies / "b2"
    shutil.copytree(studies / "b", sibling)
    index.add(sibling)
    index.remove(studies / "b")
    assert index.series("1.2")[0].NumberOfSeriesRelatedInstances == 2


def test_copies_count_once(index, studies):
    shutil.copytree(studies / "b", studies / "copy")
    summary = index.add(studies)
    assert (summary.files, summary.instances, summary.duplicates, summary.conflicts) == (12, 10, 2, [])
    assert "2 duplicates" in repr(summary)
    assert index.series("1.2")[0].NumberOfSeriesRelatedInstances == 2
    instances = index.instances("1.2.1")
    assert [len(instance.other_paths) for instance in instances] == [1, 1]
    assert read(plan(instances).volumes[0]).array.shape == (2, 4, 4)


def test_skipped_files_say_why(index, studies):
    (studies / "notes.txt").write_text("hello")
    (studies / "empty").write_bytes(b"")
    (studies / "a.zip").write_bytes(b"PK\3\4" + b"\0" * 200)
    shutil.copy(get_testdata_file("DICOMDIR"), studies / "DICOMDIR")
    os.mkfifo(studies / "pipe")
    (studies / "gone").symlink_to(studies / "nowhere")
    summary = index.add(studies)
    reasons = {Path(skipped.path).name: skipped.reason for skipped in summary.skipped}
    assert reasons == {
        "notes.txt": "not DICOM",
        "empty": "empty file",
        "a.zip": "broken ZIP archive: File is not a zip file",
        "pipe": "not a regular file",
        "gone": "not readable: No such file or directory",
    }
    assert summary.instances == 10
    assert [skipped.reason for skipped in index.add(studies).skipped] == [s.reason for s in summary.skipped]


def test_a_name_that_is_not_utf_8(index, studies):
    odd = os.fsencode(studies / "b") + b"/m\xfcller.dcm"
    shutil.copy(next(iter((studies / "b").iterdir())), odd)
    summary = index.add(studies)
    assert (summary.instances, summary.duplicates, summary.skipped) == (10, 1, [])
    (instance,) = [found for found in index.instances("1.2.1") if found.other_paths]
    assert any(path.endswith("/m\\udcfcller.dcm") for path in (instance.path, *instance.other_paths))
    assert index.add(studies).unchanged == 11
    os.remove(odd)
    assert index.add(studies).removed == 1


def test_what_has_a_name_that_is_not_utf_8_is_read(index, studies):
    folder = os.fsencode(studies) + b"/m\xfcller"
    os.rename(studies / "a" / "ct", folder)
    summary = index.add(os.fsdecode(folder))
    assert (summary.instances, summary.skipped) == (5, [])
    data = read(plan(index.instances("1.1.1")).volumes[0])
    assert_phantom(data.array, data.affine)
    assert index.remove(os.fsdecode(folder)) == 5


def test_only_this_user_may_read_the_index(index):
    assert index.path.stat().st_mode & 0o077 == 0
    assert index.path.parent.stat().st_mode & 0o077 == 0


def test_forgetting_by_uid(index, studies):
    index.add(studies)
    assert index.remove(series="1.1.2") == 3
    assert [series.SeriesInstanceUID for series in index.series("1.1")] == ["1.1.1"]
    assert index.remove(study="1.2") == 2
    assert [study.StudyInstanceUID for study in index.studies()] == ["1.1"]
    assert index.remove(study="9.9") == 0
    assert index.add(studies).added == 5


def test_links_in_circles(index, studies):
    (studies / "a" / "up").symlink_to(studies)
    assert index.add(studies).instances == 10


def test_bad_input(index, tmp_path):
    with pytest.raises(ArgumentError):
        index.add()
    with pytest.raises(PathNotFoundError, match="nowhere"):
        index.add(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EmptyFolderError, match="no files"):
        index.add(empty)
    (empty / "a.txt").write_text("x")
    with pytest.raises(EmptyFolderError, match="1 x not DICOM"):
        index.add(empty)
    with pytest.raises(NotDicomError, match="not DICOM"):
        index.add(empty / "a.txt")
    for ask in (index.instances, index.series):
        with pytest.raises(UidNotFoundError, match=r"9\.9"):
            ask("9.9")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, {"1.1", "1.2"}),
        ({"PatientName": "doe^jane"}, {"1.1"}),
        ({"PatientName": "DOE*"}, {"1.1"}),
        ({"PatientName": "muller^ozgur"}, {"1.2"}),
        ({"PatientName": "mu?ler*"}, {"1.2"}),
        ({"PatientName": "doe"}, set()),
        ({"PatientName": "*"}, {"1.1", "1.2"}),
        ({"PatientID": "q[2]"}, {"1.2"}),
        ({"PatientID": "q[2*"}, {"1.2"}),
        ({"PatientID": ["P1", "X"]}, {"1.1"}),
        ({"PatientID": []}, set()),
        ({"StudyDate": "20200102"}, {"1.1"}),
        ({"StudyDate": "2020-01-02"}, {"1.1"}),
        ({"StudyDate": datetime.date(2020, 1, 2)}, {"1.1"}),
        ({"StudyDate": "20200101-20201231"}, {"1.1"}),
        ({"StudyDate": "20200103-"}, {"1.2"}),
        ({"StudyDate": "-20200102"}, {"1.1"}),
        ({"StudyTime": "1430-1430"}, {"1.2"}),
        ({"StudyTime": "15-"}, set()),
        ({"StudyDescription": "schadel"}, {"1.2"}),
        ({"AccessionNumber": None}, {"1.1"}),
        ({"ModalitiesInStudy": "MR"}, {"1.1"}),
        ({"ModalitiesInStudy": "M"}, set()),
        ({"ModalitiesInStudy": ["US", "CT"]}, {"1.1", "1.2"}),
        ({"Modality": "mr"}, {"1.1"}),
        ({"SeriesNumber": 1}, {"1.1"}),
        ({"SeriesDescription": "t1*", "Modality": "MR"}, {"1.1"}),
        ({"SeriesDescription": "t1*", "Modality": "CT"}, set()),
        ({"text": "GROSSER doe"}, {"1.1"}),
        ({"text": "doe muller"}, set()),
        ({"text": "a7"}, {"1.2"}),
        ({"StudyInstanceUID": "1.2"}, {"1.2"}),
    ],
)
def test_filters(index, studies, filters, found):
    index.add(studies)
    assert {study.StudyInstanceUID for study in index.studies(**filters)} == found
    assert {series.StudyInstanceUID for series in index.series(**filters)} <= found


def test_series_filters(index, studies):
    index.add(studies)
    assert [series.SeriesInstanceUID for series in index.series("1.1", Modality="CT")] == ["1.1.1"]
    assert [series.SeriesInstanceUID for series in index.series(text="größer")] == ["1.1.2"]
    assert [series.SeriesInstanceUID for series in index.series(BodyPartExamined="chest")] == ["1.1.1"]
    assert [series.SeriesInstanceUID for series in index.series(PatientName="mul*")] == ["1.2.1"]
    assert [series.SeriesInstanceUID for series in index.series(limit=1, offset=1)] == ["1.1.1"]


def test_unknown_filters_name_the_known(index):
    with pytest.raises(ArgumentError, match="Did you mean 'PatientName'") as caught:
        index.studies(PatientNme="x")
    assert "ModalitiesInStudy" in caught.value.details["known"]
    with pytest.raises(ArgumentError, match="SOPInstanceUID"):
        index.series(SOPInstanceUID="1")
    with pytest.raises(ArgumentError, match="range such as"):
        index.studies(StudyDate="yesterday-today")
    with pytest.raises(ArgumentError, match="dict"):
        index.studies(PatientID={})


def test_pages(index, studies):
    index.add(studies)
    assert [study.StudyInstanceUID for study in index.studies(limit=1)] == ["1.1"]
    assert [study.StudyInstanceUID for study in index.studies(limit=1, offset=1)] == ["1.2"]
    assert index.studies(limit=5, offset=2) == []


def test_cancelling_keeps_what_was_read(index, studies, monkeypatch):
    monkeypatch.setattr("slicer_notebook.dicom.rows.CHUNK", 2)
    polls = []

    def cancelled():
        polls.append(None)
        return len(polls) > 15

    with pytest.raises(JobCancelledError):
        index.add(studies, cancelled=cancelled)
    summary = index.add(studies)
    assert 0 < summary.unchanged < 10
    assert summary.unchanged + summary.added == 10
    assert summary.instances == 10


def test_progress(index, studies):
    calls = []
    index.add(studies, progress=lambda *call: calls.append(call))
    assert calls[-1][:2] == (10, 10)
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)


def test_one_series_uid_in_two_studies_is_two_series(index, tmp_path):
    write_series(tmp_path / "d" / "a", StudyInstanceUID="1.1")
    write_series(tmp_path / "d" / "b", StudyInstanceUID="1.2", shape=(2, 4, 4))
    index.add(tmp_path / "d")
    assert [series.NumberOfSeriesRelatedInstances for series in index.series()] == [5, 2]
    assert len(index.series("1.2")) == 1
    found = plan(index.instances("1.2.3.4.5"))
    assert sorted(volume.shape[0] for volume in found.volumes) == [2, 5]
    assert [len(index.instances(series)) for series in index.series()] == [5, 2]
    assert len(index.instances("1.2.3.4.5", study="1.2")) == 2


def test_default_place(monkeypatch, tmp_path):
    monkeypatch.setenv("SLICER_NOTEBOOK_DATA", str(tmp_path / "here"))
    assert data_folder() == tmp_path / "here"
    index = Index()
    assert index.path == tmp_path / "here" / "dicom.sqlite3"
    assert index.path.exists()


def test_an_index_that_is_no_database(tmp_path):
    path = tmp_path / "a.sqlite3"
    path.write_bytes(b"this is not a database " * 100)
    with pytest.raises(IndexDatabaseError, match="delete the file"):
        Index(path)
    with pytest.raises(IndexDatabaseError, match="cannot be used"):
        Index(tmp_path / "a.sqlite3" / "b.sqlite3")


def test_an_index_of_another_version(tmp_path, studies):
    path = tmp_path / "a.sqlite3"
    index = Index(path)
    index.add(studies)
    index.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(IndexDatabaseError, match="newer"):
        Index(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 0")
        connection.execute("DROP TABLE series")
    index = Index(path)
    assert index.studies() == []
    assert index.add(studies).added == 10


def test_threads_read_while_another_writes(index, studies):
    """Readers never see a study without its series, nor an error."""
    index.add(studies / "b")
    stop = threading.Event()
    problems = []

    def look():
        while not stop.is_set():
            for study in index.studies():
                try:
                    if not index.series(study):
                        problems.append(study)
                except UidNotFoundError:
                    continue  # removed between the two questions

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        index.add(studies)
        index.remove(studies / "a")
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []


_ADD = """
import sys
from slicer_notebook.dicom import Index
index = Index(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for folder in sys.argv[2:]:
    summary = index.add(folder, progress=lambda done, total, text: print(done, flush=True))
print("end", summary.instances, flush=True)
"""


def start(path, *folders):
    return subprocess.Popen(
        [sys.executable, "-c", _ADD, str(path), *map(str, folders)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_several_processes_fill_a_new_index(tmp_path, studies):
    """All begin at once, on an index that none of them made."""
    path = tmp_path / "shared.sqlite3"
    processes = [start(path, studies / "a", studies / "b", studies) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert output.endswith("end 10\n")
    index = Index(path)
    assert sum(study.NumberOfStudyRelatedInstances for study in index.studies()) == 10
    assert index.add(studies).added == 0


def test_kill_minus_9_leaves_a_whole_index(tmp_path, monkeypatch):
    """Killed after its first transaction: what was committed stays, and agrees; the next run goes on."""
    folder = tmp_path / "data"
    write_series(folder, shape=(700, 2, 2))
    path = tmp_path / "killed.sqlite3"
    process = start(path, folder)
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()
    assert [int(process.stdout.readline()) for _ in range(2)] == [0, BATCH]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    index = Index(path)
    known = len(index.instances("1.2.3.4.5"))
    assert known in (BATCH, 700)  # the signal may come after the last transaction
    assert index.studies()[0].NumberOfStudyRelatedInstances == known
    summary = index.add(folder)
    assert (summary.unchanged, summary.added, summary.instances) == (known, 700 - known, 700)
    assert index.series()[0].NumberOfSeriesRelatedInstances == 700


def test_modality_of_a_classless_series(index, tmp_path):
    write_series(tmp_path / "d", sop_class=CT, Modality=None)
    index.add(tmp_path / "d")
    assert index.studies()[0].ModalitiesInStudy == []
    assert len(index.studies(Modality=None)) == 1
