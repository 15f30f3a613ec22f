"""Sending: what is sent, and of each file what became of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from slicer_notebook.dicom.index import Index
from slicer_notebook.errors import ArgumentError, JobCancelledError, PathNotFoundError, UidNotFoundError
from slicer_notebook.pacs.storing import Stored, files_of
from slicer_notebook.testing import Orthanc
from tests.pacs.peers.data import Data, DataStudy
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.proxy import Proxy
from tests.pacs.retrieving import dataset_bytes, opened


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    """It takes CT and nothing else."""
    with Liar() as running:
        yield running


@pytest.fixture
def study(pacs_data: Data) -> DataStudy:
    return pacs_data.study("follow-up")


def files(study: DataStudy) -> list[Path]:
    return list(study.instances.values())


def errors(stored: Stored) -> dict[str, str]:
    """What was said of each file that was not taken, by its name."""
    return {Path(each.path).name: each.error["message"] + each.error.get("hint", "") for each in stored.failed}


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_files_folders_and_uids_each_once(study: DataStudy, tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite3")
    folder = files(study)[0].parent.parent
    index.add(folder)
    everything = {str(path) for path in files(study)}
    for given in ([folder], [study.uid], [series.uid for series in study.series], [*files(study), folder, study.uid]):
        found = files_of(given, index)
        assert {each.path for each in found} == everything
        assert len(found) == len(everything)
    (one,) = files_of([files(study)[3]], index)
    assert (one.path, one.found) == (str(files(study)[3]), False)
    assert {each.found for each in files_of([folder], index)} == {True}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ([], ArgumentError),
        (["{tmp}/empty"], ArgumentError),
        (["{tmp}/none"], PathNotFoundError),
        (["1.2.3.404"], UidNotFoundError),
    ],
    ids=["nothing", "an empty folder", "no such file", "no such UID"],
)
def test_what_cannot_be_sent(given: list[str], error: type[Exception], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(error):
        files_of([text.format(tmp=tmp_path) for text in given], Index(tmp_path / "index.sqlite3"))


# -- what becomes of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dimse", "dicomweb"])
def test_each_file_has_a_result_of_its_own(
    fresh_orthanc: Callable[..., Orthanc], study: DataStudy, tmp_path: Path, monkeypatch: Any, kind: str
) -> None:
    orthanc = fresh_orthanc(None)
    monkeypatch.setenv("STORING_PASSWORD", orthanc.password)
    folder = tmp_path / "disc"
    folder.mkdir()
    good = files(study)[:3]
    for number, path in enumerate(good):
        shutil.copy(path, folder / f"{number}.dcm")
    (folder / "short.dcm").write_bytes(files(study)[3].read_bytes()[:700])
    (folder / "read.me").write_text("no DICOM")
    shutil.copy(str(get_testdata_file("DICOMDIR")), folder / "DICOMDIR")
    told: list[int] = []
    url = orthanc.dimse_url if kind == "dimse" else orthanc.dicomweb_url
    access = {} if kind == "dimse" else {"auth": "basic", "user": orthanc.user, "password": "env:STORING_PASSWORD"}
    with opened(tmp_path, url, **access) as pacs:
        stored = pacs.store(folder, on_progress=lambda storing: told.append(len(storing.report.files))).result(60)
        assert not stored.complete
        assert sorted(Path(each.path).name for each in stored.taken) == ["0.dcm", "1.dcm", "2.dcm"]
        assert sorted(Path(each.path).name for each in stored.skipped) == ["DICOMDIR", "read.me"]
        assert list(errors(stored)) == ["short.dcm"]
        assert stored.count == 6
        assert told == sorted(told)
        assert told[-1] == 6
        # Named one by one, they are what was asked for, and not passed over.
        named = pacs.store(folder / "DICOMDIR", folder / "read.me", folder / "0.dcm").result(60)
        assert set(errors(named)) == {"DICOMDIR", "read.me"}
        assert len(named.taken) == 1
    assert orthanc.counts()["instances"] == 3


def test_what_is_stored_is_what_was_sent(liar: Liar, study: DataStudy, tmp_path: Path) -> None:
    with opened(tmp_path, liar.url) as pacs:
        stored = pacs.store(*files(study)).result(60)
    assert stored.complete
    assert [each.path for each in stored.files] == [str(path) for path in files(study)]
    assert liar.stored == {sop: dataset_bytes(path) for sop, path in study.instances.items()}
    assert liar.associations == 1


def test_a_kind_that_is_not_taken_does_not_keep_others_from_being_sent(
    liar: Liar, pacs_data: Data, tmp_path: Path
) -> None:
    thorax = pacs_data.study("thorax")
    with opened(tmp_path, liar.url) as pacs:
        stored = pacs.store(*files(thorax)).result(60)
    assert [each.path for each in stored.failed] == [str(path) for path in thorax.series[1].instances.values()]
    assert "takes no instances of this kind" in "".join(errors(stored).values())
    assert len(stored.taken) == 30
    assert repr(stored) == "<Stored at 'peer': 30 of 31 files>"


@pytest.mark.parametrize(
    ("status", "taken"), [(0xB000, True), (0xB007, True), (0xA700, False), (0xC123, False), (0x0110, False)]
)
def test_warnings_are_success_and_failures_are_said(
    liar: Liar, study: DataStudy, tmp_path: Path, status: int, taken: bool
) -> None:
    liar.lies = Lies(status={"store": status}, comment="Doe^Jane")
    with opened(tmp_path, liar.url) as pacs:
        stored = pacs.store(*files(study)).result(60)
    assert stored.complete is taken
    assert len(stored.taken) == (7 if taken else 0)
    words = str([each.error for each in stored.files])
    assert (f"{status:04X}" in words) is not taken
    assert "Doe" not in words


def test_a_line_that_breaks_is_taken_up_again(liar: Liar, study: DataStudy, tmp_path: Path) -> None:
    with Proxy(liar.port) as line, opened(tmp_path, line.url(liar.url)) as pacs:
        line.cut_after(600, times=2)
        stored = pacs.store(*files(study)).result(60)
        assert line.cuts == 2
    assert stored.complete, errors(stored)
    assert set(liar.stored) == set(study.instances)


def test_what_breaks_every_time_is_given_up_and_said_of_each_file(liar: Liar, study: DataStudy, tmp_path: Path) -> None:
    liar.lies.abort = {"store"}
    with opened(tmp_path, liar.url) as pacs:
        stored = pacs.store(*files(study)).result(60)
    assert stored.taken == []
    assert len(errors(stored)) == len({path.name for path in files(study)})
    assert len(stored.failed) == 7
    assert 1 < liar.associations < 10


def test_a_file_that_is_gone_meanwhile(liar: Liar, study: DataStudy, tmp_path: Path) -> None:
    gone = tmp_path / "gone.dcm"
    shutil.copy(files(study)[0], gone)

    def remove(storing: Any) -> None:
        gone.unlink(missing_ok=True)

    with opened(tmp_path, liar.url) as pacs:
        stored = pacs.store(*files(study), gone, on_progress=remove).result(60)
    assert list(errors(stored)) == ["gone.dcm"]
    assert "gone" in errors(stored)["gone.dcm"]


def test_a_cancel_says_what_was_taken(liar: Liar, study: DataStudy, tmp_path: Path) -> None:
    def stop(storing: Any) -> None:
        liar.lies.hang = {"store"}
        storing.cancel()

    with opened(tmp_path, liar.url, timeout=60) as pacs:
        storing = pacs.store(*files(study), on_progress=stop)
        with pytest.raises(JobCancelledError):
            storing.result(20)
        taken = [each.path for each in storing.report.taken]
        assert 1 <= len(taken) < 7
        assert storing.report.count == 7
        assert not storing.report.complete
    assert {str(study.instances[sop]) for sop in liar.stored} >= set(taken)
