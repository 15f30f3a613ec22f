"""Orthanc for tests and notebooks: filled, reached, killed, restarted, and gone without a trace."""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from slicer_notebook import testing
from slicer_notebook.errors import (
    ArgumentError,
    PacsAnswerError,
    PacsError,
    PacsUnreachableError,
    PathNotFoundError,
)
from slicer_notebook.testing import Orthanc, orthanc, pacs
from tests.dicom.make import write_series

pytestmark = pytest.mark.skipif(testing.orthanc_program() is None, reason="Orthanc is not installed (Debian: orthanc)")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dicom")
    write_series(folder / "a", shape=(4, 8, 8))
    write_series(folder / "b", shape=(3, 8, 8), StudyInstanceUID="1.2.3.9", SeriesInstanceUID="1.2.3.9.1")
    return folder


@pytest.fixture(scope="module")
def running(files: Path) -> Iterator[Orthanc]:
    with orthanc(files, calling={"ME": 0, "YOU": 0}) as made:
        yield made


def status(made: Orthanc, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", made.http_port, timeout=10)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}


def echo(made: Orthanc, calling: str, called: str | None = None) -> str:
    command = ["echoscu", "-aet", calling, "-aec", called or made.aet, "127.0.0.1", str(made.dicom_port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.stderr or f"exit code {done.returncode}"


def test_it_has_what_it_was_given(running: Orthanc) -> None:
    assert running.counts() == {"patients": 1, "studies": 2, "series": 2, "instances": 7}
    assert len(running.uploaded.stored) == 7
    assert running.uploaded.refused == {}


def test_its_addresses(running: Orthanc) -> None:
    assert running.http_url == f"http://127.0.0.1:{running.http_port}"
    assert running.dicomweb_url == f"{running.http_url}/dicom-web"
    assert running.wado_url == f"{running.http_url}/wado"
    assert running.dimse_url == f"dimse://TESTPACS@127.0.0.1:{running.dicom_port}"
    assert list(running.modalities) == ["ME", "YOU"]
    assert len({running.http_port, running.dicom_port, *running.modalities.values()}) == 4
    assert len(running.rest.get("/dicom-web/studies")) == 2


def test_it_asks_for_a_password_which_is_random_and_shown_nowhere(running: Orthanc) -> None:
    assert status(running, "/dicom-web/studies")[0] == 401
    assert len(running.password) >= 16
    assert running.password not in repr(running)
    arguments = Path(f"/proc/{running.pid}/cmdline").read_bytes() + Path(f"/proc/{running.pid}/environ").read_bytes()
    assert running.password.encode() not in arguments
    assert running.password not in running.log


@pytest.mark.skipif(not Path("/usr/bin/echoscu").exists(), reason="dcmtk is not installed")
def test_titles_are_checked(running: Orthanc) -> None:
    assert echo(running, "ME") == "exit code 0"
    assert "Calling AE Title Not Recognized" in echo(running, "STRANGER")
    assert "Called AE Title Not Recognized" in echo(running, "ME", "OTHER")


def test_pixels_are_not_compressed_unless_asked(running: Orthanc, files: Path) -> None:
    accepts = {"Accept-Encoding": "gzip", "Authorization": running.rest._headers["Authorization"]}
    assert "content-encoding" not in status(running, "/system", accepts)[1]
    with orthanc(http_compression=True) as compressing:
        accepts["Authorization"] = compressing.rest._headers["Authorization"]
        assert status(compressing, "/system", accepts)[1]["content-encoding"] == "gzip"


def test_killed_and_started_again_it_has_all_and_the_same_ports(files: Path) -> None:
    with orthanc(files, users={"alice": "secret"}) as made:
        before = (made.http_port, made.dicom_port, made.user, made.password)
        pid = made.pid
        made.kill()
        assert (made.running, made.pid) == (False, None)
        with pytest.raises(PacsUnreachableError):
            made.counts()
        made.start()
        assert made.counts()["instances"] == 7
        assert (made.http_port, made.dicom_port, made.user, made.password) == before
        assert made.pid not in (pid, None)
        again = made.pid
        made.restart()
        assert made.counts()["instances"] == 7
        assert made.pid not in (pid, again)


def test_nothing_is_left(files: Path) -> None:
    made = orthanc(files)
    assert made._caged is not None
    pid, folder = made.pid, made._caged.folder
    assert (folder.stat().st_mode & 0o777) == 0o700
    assert list((folder / "storage").iterdir())
    made.stop()
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()
    assert "Orthanc has started" in made.log
    assert repr(made) == "<Orthanc stopped>"
    made.stop()
    with pytest.raises(PacsError, match="was not started"):
        made.kill()
    assert made.start().counts()["instances"] == 7  # a new one, with the same files
    made.stop()


@pytest.mark.parametrize("end", ["", "raise KeyError", "import os; os.kill(os.getpid(), 9)"])
def test_it_ends_with_the_python_that_started_it(end: str) -> None:
    code = (
        "from slicer_notebook.testing import orthanc; made = orthanc();"
        f"print(made.pid, made._caged.folder, flush=True)\n{end}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    pid, folder = done.stdout.split()
    deadline = time.monotonic() + 10
    while Path(folder).exists() or Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_files_that_it_refuses_are_named(running: Orthanc, files: Path, tmp_path: Path) -> None:
    broken = tmp_path / "notes.txt"
    broken.write_text("not DICOM")
    known = sorted((files / "a").iterdir())[0]
    with pytest.warns(RuntimeWarning, match="refused 1 files"):
        uploaded = running.upload([broken, known])
    assert list(uploaded.refused) == [broken]
    assert "DICOM" in uploaded.refused[broken]
    assert (uploaded.stored, uploaded.known) == ([], [known])
    with pytest.raises(PacsAnswerError, match="took none of 1 files"):
        running.upload(broken)


def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "notes.txt"
    broken.write_text("not DICOM")
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    with pytest.raises(PacsAnswerError):
        orthanc(broken)
    with pytest.raises(PacsError, match="ended when it was started"):
        orthanc(settings={"StorageDirectory": "/proc/nowhere"})
    assert list(folders.iterdir()) == []


def test_what_is_wrong_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(PathNotFoundError, match="missing"):
        orthanc(tmp_path / "missing")
    for wrong in ({"aet": "FAR TOO LONG A TITLE"}, {"calling": {"A\\B": 0}}):
        with pytest.raises(ArgumentError, match="no AE title"):
            orthanc(**wrong)  # type: ignore[arg-type]


def test_not_installed_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacs, "_PROGRAMS", ("no-such-program",))
    assert testing.orthanc_program() is None
    with pytest.raises(PacsError, match="apt-get install orthanc orthanc-dicomweb"):
        orthanc()


def test_without_a_namespace_it_warns() -> None:
    """Run inside another one's network: on the host it would listen on all interfaces."""
    code = (
        "import warnings; from slicer_notebook.testing import orthanc\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    made = orthanc(namespace=False)\n"
        "print(made.command_prefix, made.counts()['studies'], [str(each.message) for each in said])"
    )
    with orthanc() as outer:
        if not outer.command_prefix:
            pytest.skip("no network namespaces here")
        command = [*outer.command_prefix, sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("[] 0 ['Orthanc runs without a network namespace: its two ports listen on all")


def test_where_the_kernel_has_no_namespaces_it_goes_without_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []

    class Refusing:
        def __init__(self, name: str, *, namespace: bool, **options: object) -> None:
            made.append(namespace)
            if namespace:
                raise testing.NoNamespaceError("no", got="Operation not permitted")
            raise KeyError("as far as it has to go")

    monkeypatch.setattr(pacs, "Caged", Refusing)
    with pytest.raises(testing.NoNamespaceError):
        orthanc(namespace=True)
    with pytest.raises(KeyError):
        orthanc()
    assert made == [True, True, False]


def test_two_at_a_time_do_not_meet(running: Orthanc, files: Path) -> None:
    with orthanc(files / "b", aet="OTHER") as other:
        assert other.counts()["instances"] == 3
        assert running.counts()["instances"] == 7
        assert other.dimse_url.startswith("dimse://OTHER@")


def test_with_starts_it_once(files: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = Orthanc(files / "b")
        assert repr(made) == "<Orthanc stopped>"
        with made as entered:
            assert entered is made
            pid = made.pid
            with made:
                assert made.pid == pid
        assert not made.running
