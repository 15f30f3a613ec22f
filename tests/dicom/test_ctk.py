"""The desktop Slicer's own DICOM database: found, read while it is in use, added to as CTK does."""

from __future__ import annotations

import re
import sqlite3
import threading
from pathlib import Path

import pydicom
import pytest

from slicer_notebook.dicom import Index, SlicerAdditions, add_to_slicer, plan, read, slicer_databases
from slicer_notebook.dicom.ctk import listed_files
from slicer_notebook.errors import IndexDatabaseError, NotDicomError, PathNotFoundError
from tests.dicom.make import MR, assert_phantom, write_series

#: CTK's tables: columns that must have a value are marked with !, the primary key with *.
TABLES = {
    "Images": "SOPInstanceUID!* Filename! SeriesInstanceUID! InsertTimestamp! DisplayedFieldsUpdatedTimestamp",
    "Patients": "UID PatientsName PatientID PatientsBirthDate PatientsBirthTime PatientsSex PatientsAge "
    "PatientsComments InsertTimestamp! DisplayedPatientsName DisplayedNumberOfStudies DisplayedLastStudyDate "
    "DisplayedFieldsUpdatedTimestamp",
    "Studies": "StudyInstanceUID!* PatientsUID! StudyID StudyDate StudyTime StudyDescription AccessionNumber "
    "ModalitiesInStudy InstitutionName ReferringPhysician PerformingPhysiciansName InsertTimestamp! "
    "DisplayedNumberOfSeries DisplayedFieldsUpdatedTimestamp",
    "Series": "SeriesInstanceUID!* StudyInstanceUID! SeriesNumber SeriesDate SeriesTime SeriesDescription Modality "
    "BodyPartExamined FrameOfReferenceUID AcquisitionNumber ContrastAgent ScanningSequence EchoNumber "
    "TemporalPosition InsertTimestamp! DisplayedCount DisplayedSize DisplayedNumberOfFrames "
    "DisplayedFieldsUpdatedTimestamp",
}
#: Columns of numbers; the others are text.
NUMBERS = re.compile(
    r"PatientsUID|SeriesNumber|AcquisitionNumber|EchoNumber|TemporalPosition|Displayed(Number|Count).*"
)
#: What version 0.8.1 has otherwise: images on servers only have no file.
SINCE_0_8 = {"Images": [("Filename!", "Filename URL")], "Patients": [("Timestamp!", "Timestamp! Connections")]}


def kind_of(name: str) -> str:
    if name == "UID":
        return "INTEGER PRIMARY KEY AUTOINCREMENT"
    return "INT" if NUMBERS.fullmatch(name.rstrip("!*")) else "VARCHAR(255)"


def make_database(folder: Path, version: str = "0.7.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "ctkDICOM.sql"
    connection = sqlite3.connect(file)
    for table, text in TABLES.items():
        names = text
        for former, now in SINCE_0_8.get(table, []) if version.startswith("0.8") else []:
            names = names.replace(former, now, 1)
        kinds = {
            name.rstrip("!*"): kind_of(name)
            + (" NOT NULL" if "!" in name else "")
            + (" PRIMARY KEY" if "*" in name else "")
            for name in names.split()
        }
        connection.execute(f"CREATE TABLE '{table}' ({', '.join(f'{n!r} {k}' for n, k in kinds.items())})")
    unique = "" if version.startswith("0.8") else "UNIQUE"
    connection.execute(f"CREATE {unique} INDEX 'ImagesFilenameIndex' ON 'Images' ('Filename')")
    connection.execute("CREATE TABLE 'SchemaInfo' ('Version' VARCHAR(1024) NOT NULL)")
    connection.execute("INSERT INTO 'SchemaInfo' VALUES (?)", (version,))
    connection.commit()
    connection.close()
    return file


def rows(file: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture
def index(tmp_path):
    found = Index(tmp_path / "index" / "dicom.sqlite3")
    yield found
    found.close()


@pytest.fixture
def used(tmp_path):
    """A database with a series that was copied into it, and one file that it links to."""
    folder = tmp_path / "SlicerDICOMDatabase"
    file = make_database(folder, "0.8.1")
    copied = write_series(folder / "dicom" / "s")
    (linked,) = write_series(tmp_path / "linked", SeriesInstanceUID="1.9", shape=(1, 4, 4))
    connection = sqlite3.connect(file)
    for name in [*(str(path.relative_to(folder)) for path in copied), str(linked), None]:
        connection.execute("INSERT INTO Images VALUES (?, ?, NULL, '1', '', NULL)", (str(name), name))
    connection.commit()
    connection.close()
    return file


def test_its_files_are_indexed(index, used):
    for place in (used, used.parent):
        summary = index.add(place)
        assert (summary.files, summary.instances, summary.series, summary.skipped) == (6, 6, 2, [])
    data = read(plan(index.instances("1.2.3.4.5")).volumes[0])
    assert_phantom(data.array, data.affine)


def test_files_that_it_lists_in_vain(index, used):
    index.add(used)
    victim = Path(listed_files(used)[0])
    victim.unlink()
    summary = index.add(used)
    assert (summary.instances, summary.removed) == (5, 1)
    assert [(s.path, s.reason) for s in summary.skipped] == [(str(victim), f"named in '{used}', but not there")]


def test_it_is_read_while_slicer_writes(used):
    """With a transaction open, and in its way with a journal; and nothing is changed by reading."""
    before = used.read_bytes()
    writer = sqlite3.connect(used, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM Images")
    assert len(listed_files(used)) == 6
    writer.execute("ROLLBACK")
    writer.close()
    assert used.read_bytes() == before


def test_it_waits_for_a_commit(used):
    writer = sqlite3.connect(used, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, lambda: writer.execute("COMMIT"))
    timer.start()
    assert len(listed_files(used)) == 6
    timer.join()
    writer.close()


def test_in_wal_mode(used):
    writer = sqlite3.connect(used, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("DELETE FROM Images WHERE Filename LIKE '/%'")
    assert len(listed_files(used)) == 5
    writer.close()


def test_what_is_no_database_of_slicers(index, tmp_path):
    other = tmp_path / "ctkDICOM.sql"
    sqlite3.connect(other).execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(IndexDatabaseError, match="table Images"):
        index.add(other)
    other.write_bytes(b"text")
    with pytest.raises(IndexDatabaseError, match="not a database"):
        index.add(tmp_path)
    with pytest.raises(NotDicomError):
        index.add(make_database(tmp_path / "empty"))


# -- finding -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    found = tmp_path / "home"
    found.mkdir()
    monkeypatch.setattr(Path, "home", lambda: found)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(found / "config"))
    monkeypatch.delenv("APPDATA", raising=False)
    return found


def test_databases_are_found(home, used):
    assert slicer_databases() == []
    settings = home / "config" / "slicer.org" / "Slicer.ini"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f"[General]\nLanguage=de\nDatabaseDirectory_0.8.1={used.parent}\nDatabaseDirectory_0.7.0=data/relative\n"
        "DatabaseDirectory_0.6.2=/gone\n"
    )
    usual = make_database(home / "Documents" / "SlicerDICOMDatabase")
    broken = home / "Documents" / "SlicerDICOMDatabase-old" / "ctkDICOM.sql"
    broken.parent.mkdir()
    broken.write_text("no database")
    found = {Path(database.path): database for database in slicer_databases()}
    assert list(found) == [used, usual, broken]
    assert (found[used].version, found[used].images, found[used].problem) == ("0.8.1", 7, "")
    assert found[usual].version == "0.7.0"
    assert "not a database" in found[broken].problem


def test_settings_in_qts_way_of_writing(home, tmp_path):
    file = make_database(tmp_path / "B\u00fccher \u4e2d, x")
    written = str(file.parent).replace("\u4e2d", "\\x4e2d").replace("üc", "\\xfc\\x63")
    settings = home / "config" / "NA-MIC" / "Slicer-32448.ini"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[General]\nDatabaseDirectory_0.7.0="{written}"\n')
    assert [database.path for database in slicer_databases()] == [str(file)]


def test_documents_by_another_name(home):
    (home / "config").mkdir()
    (home / "config" / "user-dirs.dirs").write_text('XDG_DOCUMENTS_DIR="$HOME/Dokumente"\n')
    file = make_database(home / "Dokumente" / "SlicerDICOMDatabase")
    assert [database.path for database in slicer_databases()] == [str(file)]


# -- adding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.7.0", "0.8.1"])
def test_rows_are_as_ctk_writes_them(tmp_path, version):
    file = make_database(tmp_path / "db", version)
    paths = write_series(
        tmp_path / "ct", PatientBirthDate="19500203", PatientSex="F", StudyTime="101112.5", SeriesDate="20200103",
        AccessionNumber="A1", StudyID="7", ContrastBolusAgent="Agent", EchoNumbers=2, InstitutionName="Haus",
        ReferringPhysicianName="Roth^Ada", PerformingPhysicianName=["Lang^Ben", "Ott"],
    )  # fmt: skip
    write_series(tmp_path / "mr", sop_class=MR, SeriesInstanceUID="1.9", shape=(2, 4, 4), PatientID=None)
    added = add_to_slicer(file, tmp_path / "ct", tmp_path / "mr")
    assert added == SlicerAdditions(patients=2, studies=1, series=2, images=7)
    assert rows(
        file,
        "SELECT PatientsName, PatientID, PatientsBirthDate, PatientsSex, DisplayedPatientsName, "
        "DisplayedNumberOfStudies, DisplayedLastStudyDate, DisplayedFieldsUpdatedTimestamp FROM Patients ORDER BY UID",
    )[0] == ("Doe^Jane", "P1", "1950-02-03", "F", "Doe, Jane", 1, "2020-01-02", None)
    assert rows(file, "SELECT PatientID FROM Patients ORDER BY UID")[1] == ("1.2.3.4",)  # CTK's way without an ID
    (study,) = rows(
        file,
        "SELECT StudyInstanceUID, PatientsUID, StudyID, StudyDate, StudyTime, StudyDescription, AccessionNumber, "
        "InstitutionName, ReferringPhysician, PerformingPhysiciansName, DisplayedNumberOfSeries FROM Studies",
    )
    assert study == (
        "1.2.3.4", 1, "7", "2020-01-02", "101112.5", "Thorax", "A1", "Haus", "Roth^Ada", "Lang^Ben", 2,
    )  # fmt: skip
    series = rows(
        file,
        "SELECT SeriesInstanceUID, StudyInstanceUID, SeriesNumber, SeriesDate, Modality, ContrastAgent, EchoNumber, "
        "DisplayedCount, DisplayedSize FROM Series ORDER BY Modality",
    )
    assert series == [
        ("1.2.3.4.5", "1.2.3.4", 3, "2020-01-03", "CT", "Agent", 2, 5, "6x7"),
        ("1.9", "1.2.3.4", 3, None, "MR", None, None, 2, "4x4"),
    ]
    images = dict(rows(file, "SELECT SOPInstanceUID, Filename FROM Images"))
    for path in paths:
        assert images[pydicom.dcmread(path).SOPInstanceUID] == str(path)
    (stamp,) = {stamp for (stamp,) in rows(file, "SELECT InsertTimestamp FROM Images")}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", str(stamp))
    assert add_to_slicer(file, tmp_path / "ct") == SlicerAdditions(known=5)


def test_what_was_added_is_listed(index, tmp_path):
    file = make_database(tmp_path / "db")
    write_series(tmp_path / "ct")
    add_to_slicer(file.parent, tmp_path / "ct")
    assert index.add(file).instances == 5


def test_a_moved_file_replaces_the_former(tmp_path):
    file = make_database(tmp_path / "db")
    write_series(tmp_path / "ct")
    add_to_slicer(file, tmp_path / "ct")
    uids = [uid for (uid,) in rows(file, "SELECT SOPInstanceUID FROM Images")]
    cache = sqlite3.connect(tmp_path / "db" / "ctkDICOMTagCache.sql")
    cache.execute("CREATE TABLE TagCache (SOPInstanceUID, Tag, Value, PRIMARY KEY (SOPInstanceUID, Tag))")
    cache.executemany("INSERT INTO TagCache VALUES (?, '0008,0060', 'CT')", [(uids[0],), ("other",)])
    cache.commit()
    cache.close()
    (tmp_path / "ct").rename(tmp_path / "moved")
    assert add_to_slicer(file, tmp_path / "moved").images == 5
    assert all("/moved/" in str(name) for (name,) in rows(file, "SELECT Filename FROM Images"))
    assert rows(tmp_path / "db" / "ctkDICOMTagCache.sql", "SELECT SOPInstanceUID FROM TagCache") == [("other",)]


def test_an_unknown_schema_is_refused(tmp_path):
    file = make_database(tmp_path / "db", "0.9.0")
    write_series(tmp_path / "ct")
    before = file.read_bytes()
    with pytest.raises(IndexDatabaseError, match=r"got: 0\.9\.0"):
        add_to_slicer(file, tmp_path / "ct")
    changed = make_database(tmp_path / "db2")
    connection = sqlite3.connect(changed)
    connection.execute("DROP TABLE Series")
    connection.execute("CREATE TABLE Series (SeriesInstanceUID TEXT PRIMARY KEY, Novelty TEXT NOT NULL)")
    connection.commit()
    connection.close()
    with pytest.raises(IndexDatabaseError, match="Novelty"):
        add_to_slicer(changed, tmp_path / "ct")
    assert file.read_bytes() == before
    with pytest.raises(IndexDatabaseError):
        add_to_slicer(tmp_path / "nowhere", tmp_path / "ct")
    with pytest.raises(PathNotFoundError):
        add_to_slicer(make_database(tmp_path / "db3"), tmp_path / "gone")


def test_all_or_nothing(tmp_path, monkeypatch):
    file = make_database(tmp_path / "db")
    write_series(tmp_path / "a", SeriesInstanceUID="1.1")
    write_series(tmp_path / "b", SeriesInstanceUID="1.2")
    count = []

    def fails(self, *arguments):
        count.append(arguments)
        if len(count) == 8:
            raise OSError("the disk is full")
        return insert(self, *arguments)

    insert = __import__("slicer_notebook.dicom.ctk_add", fromlist=["_Writer"])._Writer._insert
    monkeypatch.setattr("slicer_notebook.dicom.ctk_add._Writer._insert", fails)
    with pytest.raises(OSError, match="disk is full"):
        add_to_slicer(file, tmp_path / "a", tmp_path / "b")
    assert rows(file, "SELECT COUNT(*) FROM Images") == [(0,)]
    assert rows(file, "SELECT COUNT(*) FROM Patients") == [(0,)]
