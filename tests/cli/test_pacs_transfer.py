"""``slicer-notebook pacs find``, ``get``, ``store`` and ``watch`` as processes: what programs may rely on."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slicer_notebook import testing
from slicer_notebook.dicom.index import Index
from tests.cli.commands import SECRET, Commands, both, identity
from tests.pacs.peers.data import Data, write_series_of
from tests.pacs.peers.gated import Gated
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.proxy import Proxy
from tests.pacs.retrieving import assert_nothing_broken, assert_whole, held, instances, until

OF_A_SERIES = {
    "SeriesInstanceUID", "StudyInstanceUID", "SeriesDescription", "Modality", "expected", "received", "missing",
    "missing_uids", "here", "retried", "seconds", "bytes", "ways", "reasons", "warnings", "complete",
}  # fmt: skip
OF_ALL = {"complete", "series", "received", "seconds", "folder", "warnings", "dropped", "kept"}


@pytest.fixture
def run(orthanc: testing.Orthanc, tmp_path: Path) -> Commands:
    return both(orthanc, Commands(tmp_path, orthanc.password))


@pytest.fixture
def gated(pacs_data: Data, run: Commands) -> Iterator[Gated]:
    """The PACS "gated", which has one study and sends as many instances as it is allowed to."""
    with Gated(pacs_data.study("thorax").instances.values()) as peer:
        run.knows("gated", peer.url)
        yield peer


# -- add --------------------------------------------------------------------------------------------------------------


def test_a_server_that_was_added_by_the_command_is_asked(orthanc: testing.Orthanc, tmp_path: Path) -> None:
    run, file = Commands(tmp_path, orthanc.password), tmp_path / "own.toml"
    run("add", "ours", orthanc.dimse_url, "--calling", "SLICER2", "--port", "0", "--config", file)
    run("add", "web", orthanc.dicomweb_url, "--user", orthanc.user, "--password-env", SECRET, "--config", file)
    for name in ("ours", "web"):
        (found,) = run("find", name, "AccessionNumber=A0003", "--config", file, "--json").objects
        assert found["PatientName"] == "Bare^Ben"
    assert orthanc.password not in file.read_text(encoding="utf-8")
    # A wrong title is refused, and the reason said.
    run("add", "stranger", orthanc.dimse_url, "--calling", "STRANGER", "--config", file)
    refused = run("find", "stranger", "--config", file, code=1)
    assert refused.out == ""
    assert refused.err.startswith("slicer-notebook: ")


# -- find -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hospital", "web"])
def test_an_object_a_match_with_keywords_as_keys(run: Commands, pacs_data: Data, name: str) -> None:
    studies = pacs_data.studies.values()
    found = run("find", name, "--level", "STUDY", "StudyDate=20240101-", "--json").objects
    assert {row["StudyInstanceUID"] for row in found} == {each.uid for each in studies if each.date > "2024"}
    for row in found:
        study = next(each for each in studies if each.uid == row["StudyInstanceUID"])
        assert (row["PatientID"], row["StudyDate"], row["AccessionNumber"]) == (
            study.patient_id, study.date, study.accession,
        )  # fmt: skip
        assert row["NumberOfStudyRelatedInstances"] == len(study.instances)
        assert row["NumberOfStudyRelatedSeries"] == len(study.series)
        assert isinstance(row["ModalitiesInStudy"], list)


def test_names_of_all_scripts_come_as_utf_8(run: Commands, pacs_data: Data) -> None:
    found = run("find", "hospital", "--json")
    assert {row["PatientName"] for row in found.objects} >= {pacs_data.study(name).name for name in ("latin", "japan")}
    assert "Jürgen" in found.out
    assert "\\u" not in found.out


@pytest.mark.parametrize(
    ("level", "key", "count"), [("PATIENT", "PatientID", 1), ("SERIES", "SeriesInstanceUID", 4),
                                ("IMAGE", "SOPInstanceUID", 38)]
)  # fmt: skip
def test_each_level(run: Commands, level: str, key: str, count: int) -> None:
    found = run("find", "hospital", "--level", level, "PatientID=ASCII", "--json").objects
    assert len({row[key] for row in found}) == len(found) == count


def test_keys_that_are_given_twice_or_only_asked_for(run: Commands) -> None:
    found = run("find", "hospital", "AccessionNumber=A0001", "AccessionNumber=A0003", "--json").objects
    assert {row["AccessionNumber"] for row in found} == {"A0001", "A0003"}
    (row,) = run("find", "hospital", "AccessionNumber=A0003", "StudyTime=", "0010,0040=", "--json").objects
    assert (row["StudyTime"], row["PatientSex"]) == ("101530", "F")
    assert len(run("find", "hospital", "--limit", "3", "--json").objects) == 3


def test_nothing_that_matches_is_no_failure(run: Commands) -> None:
    found = run("find", "hospital", "PatientID=NOBODY", "--json")
    assert (found.out, found.err) == ("", "Nothing matches.\n")


def test_a_table_for_a_pipe_has_every_attribute(run: Commands) -> None:
    head, first, *more = run("find", "hospital", "PatientID=ASCII").lines
    assert {"PatientName", "StudyInstanceUID", "NumberOfStudyRelatedInstances"} <= set(head.split())
    assert "Doe^Jane" in first
    assert len(more) == 1


# -- get --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "way"), [("hospital", "C-GET"), ("web", "WADO-RS")])
def test_an_object_a_series_and_then_whether_all_is_here(run: Commands, pacs_data: Data, name: str, way: str) -> None:
    study = pacs_data.study("follow-up")
    *rows, last = run("get", name, f"StudyInstanceUID={study.uid}", "--json").objects
    assert sorted((row["SeriesInstanceUID"], row["expected"], row["received"], row["missing"]) for row in rows) == (
        sorted((each.uid, len(each.instances), len(each.instances), 0) for each in study.series)
    )
    for row in rows:
        assert row.keys() >= OF_A_SERIES
        assert (row["ways"], row["retried"], row["here"], row["missing_uids"]) == ([way], 0, 0, [])
        assert row["seconds"] >= 0
    assert last.keys() == OF_ALL
    assert (last["complete"], last["series"], last["received"]) == (True, 2, 7)
    assert_whole(run.database, instances(study))
    # What is here is not fetched again.
    *again, last = run("get", name, f"StudyInstanceUID={study.uid}", "--json").objects
    assert [(row["here"], row["ways"], row["bytes"]) for row in again] == [(row["received"], [], 0) for row in again]
    assert last["complete"] is True


def test_keys_below_the_study_choose_series(run: Commands, pacs_data: Data) -> None:
    row, last = run("get", "hospital", "PatientID=ASCII", "Modality=SR", "--json").objects
    assert (row["Modality"], row["received"], last["complete"]) == ("SR", 1, True)
    (uid,) = pacs_data.study("thorax").series[1].instances
    assert_whole(run.database, {uid: pacs_data.instances[uid]})


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["hospital", "PatientID=NOBODY"], "UidNotFoundError"),
        (["nowhere", "PatientID=ASCII"], "PacsUnreachableError"),
        (["unknown", "PatientID=ASCII"], "PacsNotFoundError"),
    ],
)
def test_the_last_line_says_what_failed(run: Commands, arguments: list[str], kind: str) -> None:
    run.knows("nowhere", f"dimse://A@127.0.0.1:{testing.free_port()}", timeout=1)
    done = run("get", *arguments, "--json", code=1)
    (last,) = done.objects
    assert (last["complete"], last["received"], last["error"]["kind"]) == (False, 0, kind)
    assert done.err.startswith("slicer-notebook: ")
    assert run("get", *arguments, code=1).out == ""


def test_a_pacs_that_drops_instances_for_good(run: Commands, gated: Gated, pacs_data: Data) -> None:
    gated.lies = Lies(fail=2)
    study = pacs_data.study("thorax")
    done = run("get", "gated", f"StudyInstanceUID={study.uid}", "--json", code=1)
    *rows, last = done.objects
    assert last["complete"] is False
    missing = sum(row["missing"] for row in rows)
    assert missing > 0
    assert missing + last["received"] == sum(row["expected"] for row in rows) == len(study.instances)
    lacking = [row for row in rows if row["missing"]]
    assert all(row["retried"] and not row["complete"] and row["reasons"] for row in lacking)
    here = held(Index(run.database), [study.uid])
    assert here == last["received"]
    assert_nothing_broken(run.database, instances(study))
    assert "NOT all is here" in run("get", "gated", f"StudyInstanceUID={study.uid}", code=1).out
    # It mends its ways: what is missing is fetched, and no more.
    sent, gated.lies = len(gated.sent), Lies()
    *rows, last = run("get", "gated", f"StudyInstanceUID={study.uid}", "--json").objects
    assert (last["complete"], last["received"]) == (True, len(study.instances))
    assert len(gated.sent) - sent == len(study.instances) - sum(row["here"] for row in rows)
    assert_whole(run.database, instances(study))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_one_that_was_ended_goes_on_when_run_again(
    run: Commands, gated: Gated, pacs_data: Data, number: signal.Signals
) -> None:
    study = pacs_data.study("thorax")
    gated.allow(11)
    process = run.begin("get", "gated", f"StudyInstanceUID={study.uid}", "--json")
    until(lambda: run.database.exists() and held(Index(run.database), [study.uid]) == 11, 30)
    process.send_signal(number)
    done = run.end(process)
    assert_nothing_broken(run.database, instances(study))
    # One more may have been on its way.
    here = held(Index(run.database), [study.uid])
    assert here in (11, 12)
    if number == signal.SIGKILL:
        assert (done.code, done.out) == (-signal.SIGKILL, "")
    else:
        last = done.objects[-1]
        assert (done.code, last["complete"], last["received"]) == (1, False, here)
        assert last["error"]["kind"] == "JobCancelledError"
    gated.allow(None)
    *rows, last = run("get", "gated", f"StudyInstanceUID={study.uid}", "--json").objects
    assert (last["complete"], sum(row["here"] for row in rows)) == (True, here)
    assert_whole(run.database, instances(study))


# -- store ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hospital", "web"])
def test_an_object_a_file_and_then_whether_all_were_taken(
    fresh_orthanc: Callable[..., testing.Orthanc], pacs_data: Data, tmp_path: Path, name: str
) -> None:
    archive = fresh_orthanc(None)
    run = both(archive, Commands(tmp_path, archive.password))
    series = pacs_data.study("follow-up").series[0]
    folder = next(iter(series.instances.values())).parent
    *rows, last = run("store", name, folder, "--json").objects
    assert {Path(row["path"]) for row in rows} == set(series.instances.values())
    assert all((row["stored"], row["skipped"], row["error"]) == (True, False, None) for row in rows)
    assert last == {"complete": True, "stored": len(series.instances), "skipped": 0, "committed": 0}
    assert archive.counts()["instances"] == len(series.instances)
    # A file that is named and is none is a failure; the others are taken all the same.
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"this is no DICOM file")
    other = next(iter(pacs_data.study("bare").instances.values()))
    done = run("store", name, broken, other, "--json", code=1)
    *rows, last = done.objects
    assert {Path(row["path"]): row["stored"] for row in rows} == {broken: False, other: True}
    assert next(row["error"]["kind"] for row in rows if row["error"]) == "NotDicomError"
    assert (last["complete"], last["stored"]) == (False, 1)
    assert archive.counts()["instances"] == len(series.instances) + 1


def test_a_series_of_the_index_is_sent_by_its_uid(
    fresh_orthanc: Callable[..., testing.Orthanc], run: Commands, pacs_data: Data
) -> None:
    archive = fresh_orthanc(None)
    run.knows("empty", archive.dimse_url)
    series = pacs_data.study("bare").series[0]
    run("get", "hospital", f"SeriesInstanceUID={series.uid}", f"StudyInstanceUID={series.study}", "--json")
    *rows, last = run("store", "empty", series.uid, "--json").objects
    assert (len(rows), last["complete"]) == (len(series.instances), True)
    assert archive.counts()["instances"] == len(series.instances)
    assert run("store", "empty", series.uid).out == "3 of 3 files were taken.\n"


def test_a_transfer_to_a_pacs_that_is_not_there(run: Commands, pacs_data: Data) -> None:
    run.knows("nowhere", f"dimse://A@127.0.0.1:{testing.free_port()}", timeout=1)
    done = run("store", "nowhere", pacs_data.folder / "bare", "--json", code=1)
    assert done.objects[-1]["complete"] is False
    assert done.objects[-1]["stored"] == 0


# -- watch ------------------------------------------------------------------------------------------------------------


def test_a_feed_fetches_what_is_new_and_nothing_twice(
    fresh_orthanc: Callable[..., testing.Orthanc], pacs_data: Data, tmp_path: Path
) -> None:
    thorax, bare, later = (pacs_data.study(name) for name in ("thorax", "bare", "follow-up"))
    archive = fresh_orthanc([*thorax.instances.values(), *bare.instances.values()])
    with Proxy(archive.dicom_port) as line:
        run = Commands(tmp_path)
        run.knows("feed", line.url(archive.dimse_url))
        (row,) = run("watch", "feed", "PatientID=ASCII", "--once", "--json").objects
        assert row == {
            "StudyInstanceUID": thorax.uid, "complete": True, "received": len(thorax.instances),
            "new": len(thorax.instances),
        }  # fmt: skip
        assert_whole(run.database, instances(thorax))
        # Again, in another process: nothing is new, and no pixels come.
        before = line.from_server
        assert run("watch", "feed", "PatientID=ASCII", "--once", "--json").out == ""
        assert line.from_server - before < 20_000, "more came than answers"
        archive.upload(list(later.instances.values()))
        (row,) = run("watch", "feed", "PatientID=ASCII", "--once", "--json").objects
        assert (row["StudyInstanceUID"], row["new"]) == (later.uid, len(later.instances))
        assert_whole(run.database, instances(thorax, later))
        # What has grown is fetched as far as it is new; what is gone here, again.
        extra = write_series_of(tmp_path / "extra", 2, size=16, key="extra")
        archive.upload(list(extra.instances.values()))
        assert run("watch", "feed", "PatientID=ASCII", "--once").out == f"{extra.uid}: 2 new instances, all here\n"
        line.refuse()
        done = run("watch", "feed", "PatientID=ASCII", "--once", "--json", code=1)
        assert done.objects[-1]["error"]["kind"] == "PacsUnreachableError"


def test_a_feed_that_goes_on_sees_a_new_study_and_ends_with_ctrl_c(
    fresh_orthanc: Callable[..., testing.Orthanc], pacs_data: Data, tmp_path: Path
) -> None:
    bare, later = pacs_data.study("bare"), pacs_data.study("japan")
    archive = fresh_orthanc(list(bare.instances.values()))
    run = Commands(tmp_path)
    run.knows("feed", archive.dimse_url)
    process = run.begin("watch", "feed", "StudyDate=20240101-", "--every", "1", "--json")
    assert process.stdout is not None
    # Each line is written at once.
    assert json.loads(line_of(process))["StudyInstanceUID"] == bare.uid
    archive.upload(list(later.instances.values()))
    assert json.loads(line_of(process))["StudyInstanceUID"] == later.uid
    process.send_signal(signal.SIGINT)
    done = run.end(process)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert_whole(run.database, instances(bare, later))


def line_of(process: subprocess.Popen[bytes], timeout: float = 30.0) -> str:
    """The next line of its standard output, which must come in time."""
    assert process.stdout is not None
    found, deadline = b"", time.monotonic() + timeout
    while not found.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, "no line came in time"
        part = os.read(process.stdout.fileno(), 1)
        assert part, "it has ended"
        found += part
    return found.decode()


# -- what is wrong, and what is not told ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["find", "hospital", "PatientNam=x"], "Did you mean 'PatientName'?"),
        (["find", "hospital", "99zz,0000=x"], "99zz,0000"),
        (["find", "hospital", "--level", "STUDI"], "PATIENT, STUDY, SERIES, IMAGE"),
        (["find", "hospital", "--level"], "requires an argument"),
        (["find", "hospital", "PatientID"], "KEY=VALUE"),
        (["find", "hospital", "=4711"], "KEY=VALUE"),
        (["find", "hospital", "StudyDate=yesterday"], "20200131"),
        (["find", "hospital", "--limit", "0"], "--limit"),
        (["find", "hospital", "--include", "Nonsense"], "Nonsense"),
        (["find"], "NAME"),
        (["get", "hospital"], "name what to retrieve"),
        (["get", "hospital", "PatientID="], "name what to retrieve"),
        (["get", "hospital", "Nonsense=1"], "Nonsense"),
        (["get", "hospital", "PatientID=ASCII", "--ways", "FTP"], "FTP"),
        (["store", "hospital"], "PATH"),
        (["watch", "hospital"], "name what to watch for"),
        (["watch", "hospital", "Nonsense=1", "--once"], "Nonsense"),
        (["watch", "hospital", "PatientID=ASCII", "--every", "0"], "--every"),
        (["thumbnails", "hospital", "Nonsense=1"], "Nonsense"),
    ],
)
def test_wrong_usage(run: Commands, arguments: list[str], said: str) -> None:
    for more in ([], ["--json"]):
        done = run(arguments[0], *more, *arguments[1:], code=2)
        assert done.out == ""
        assert said in " ".join(done.err.replace("│", " ").split())


@pytest.mark.parametrize("command", ["find", "get", "store", "watch", "thumbnails"])
def test_a_pacs_that_nobody_has_configured(run: Commands, command: str) -> None:
    done = run(command, "hospitl", "PatientID=ASCII", code=1)
    assert done.out == ""
    assert done.err.splitlines()[0].startswith("slicer-notebook: There is no PACS 'hospitl'")
    assert "Did you mean 'hospital'?" in done.err


def test_standard_error_names_no_patient(
    run: Commands, gated: Gated, pacs_data: Data, orthanc: testing.Orthanc
) -> None:
    study = pacs_data.study("thorax")
    who = identity(*pacs_data.studies.values())
    gated.lies = Lies(fail=2, comment=study.name)
    run.knows("nowhere", f"dimse://A@127.0.0.1:{testing.free_port()}", timeout=1)
    run.environment["WRONG"] = orthanc.password[::-1]
    run.knows("locked", orthanc.dicomweb_url, user=orthanc.user, password="env:WRONG")
    keys = [f"PatientName={study.name}", f"PatientID={study.patient_id}"]
    ended = [
        run("find", "hospital", *keys),
        run("find", "nowhere", *keys, code=1),
        run("find", "locked", *keys, code=1),
        run("find", "hospital", study.name, code=2),
        run("find", "hospital", f"StudyDate={study.name}", code=2),
        run("get", "hospital", *keys),
        run("get", "gated", f"PatientID={study.patient_id}", "--database", run.folder / "other.sqlite3", code=1),
        run("get", "locked", *keys, "--json", code=1),
        run("watch", "hospital", *keys, "--once"),
        run("watch", "locked", *keys, "--once", code=1),
        run("store", "nowhere", pacs_data.folder / "bare", code=1),
        run("thumbnails", "hospital", f"PatientID={study.patient_id}", "--limit", "1"),
    ]
    for done in ended:
        # Names of folders are the tests' own; what a person has typed is not repeated.
        said = set(re.findall(r"\w+", done.err.replace(str(pacs_data.folder), "")))
        assert not who & said, done.err
        assert orthanc.password[::-1] not in done.out + done.err


# -- on a terminal ----------------------------------------------------------------------------------------------------


def on_a_terminal(run: Commands, *arguments: str | Path, columns: int = 80) -> tuple[int, str]:
    """Exit code, and what a terminal of that width gets of both streams."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        run.line(*map(str, arguments)), stdin=theirs, stdout=theirs, stderr=theirs, cwd=run.folder,
        env={**run.environment, "COLUMNS": str(columns), "LINES": "40", "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 60
    try:
        while True:
            ready, _, _ = select.select([ours], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "it neither wrote nor ended in time"
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
    finally:
        os.close(ours)
        process.wait(10)
    return process.returncode, shown.decode()


def lines_left(shown: str) -> list[str]:
    """The lines that stay on the screen, without colours: what was written over is gone."""
    kept: list[str] = [""]
    for part in re.split(r"(\r?\n|\r|\x1b\[[0-9;?]*[A-Za-z])", shown):
        if part in ("\r\n", "\n"):
            kept.append("")
        elif part == "\r" or part.endswith("2K"):
            kept[-1] = ""
        elif re.fullmatch(r"\x1b\[\d*A", part):
            kept.pop()
        elif not part.startswith("\x1b"):
            kept[-1] += part
    return [line.rstrip() for line in kept if line.strip()]


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_a_table_fits_the_terminal(run: Commands, pacs_data: Data, columns: int) -> None:
    code, shown = on_a_terminal(run, "find", "hospital", "StudyDate=20240101-20240229", columns=columns)
    head, *rows, last = lines_left(shown)
    assert code == 0
    assert len(rows) == 2, "a row is a line"
    assert head.split()[:3] == ["Patient", "ID", "Date"]
    assert max(map(len, (head, *rows))) <= columns
    assert re.fullmatch(r"\d+ further attributes do not fit; --json has all\.", last)
    # A UID is there whole, or not at all.
    uids = [pacs_data.study(name).uid for name in ("thorax", "bare")]
    assert [sum(uid in row for row in rows) for uid in uids] == ([1, 1] if columns == 200 else [0, 0])
    assert ("StudyInstanceUID" in head) is (columns == 200)


def test_a_retrieval_shows_how_far_it_is_and_leaves_its_table(run: Commands, pacs_data: Data) -> None:
    study = pacs_data.study("thorax")
    code, shown = on_a_terminal(run, "get", "hospital", f"StudyInstanceUID={study.uid}", columns=100)
    assert code == 0
    assert "Asking what there is" in shown
    left = lines_left(shown)
    assert left[0].split()[:3] == ["No.", "Modality", "Description"]
    assert left[-1].startswith("All is here: 31 instances in ")
    assert "Asking" not in "".join(left), "the bar is gone"


def test_a_bar_counts_what_has_come(run: Commands, gated: Gated, pacs_data: Data) -> None:
    gated.lies = Lies(slow=0.05)
    _, shown = on_a_terminal(run, "get", "gated", f"StudyInstanceUID={pacs_data.study('thorax').uid}", columns=120)
    counts = {int(found) for found in re.findall(r"(\d+)/31", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown))}
    assert len(counts) > 2
    assert counts <= set(range(32))


def test_a_pipe_gets_lines_of_progress(run: Commands, gated: Gated, pacs_data: Data) -> None:
    gated.lies = Lies(slow=0.02)
    uid = pacs_data.study("thorax").uid
    done = run("get", "gated", f"StudyInstanceUID={uid}")
    assert done.err.splitlines()[0] == "Asking what there is"
    assert re.search(r"^CT series 1: \d+ %$", done.err, re.MULTILINE)
    assert "\x1b" not in done.out + done.err
    # Programs get none: what is on standard error then is what went wrong.
    assert run("get", "gated", f"StudyInstanceUID={uid}", "--json").err == ""


def test_a_reader_that_goes_away_is_no_failure_of_ours(run: Commands) -> None:
    process = run.begin("find", "hospital", "--level", "IMAGE", "--json")
    assert json.loads(line_of(process))["SOPInstanceUID"]
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    process.wait(30)
    assert "Traceback" not in said
