"""``slicer-notebook doctor``: true on this machine, and in words where something fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import JPEGLSLossless

from slicer_notebook import doctor, kernelspec


def run_doctor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slicer_notebook.cli", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, **environment},
    )


def test_json_tells_that_what_is_needed_works_here() -> None:
    done = run_doctor("--json")
    answer = json.loads(done.stdout)
    checks = {check["name"]: check for check in answer["checks"]}
    assert [name for name, check in checks.items() if check["status"] == "fail"] == []
    assert answer["ok"] is True
    assert done.returncode == 0
    assert list(checks) == [
        *("Python", "Slicer", "Rendering", "DICOM codecs", "Ports", "Disk", "Shared memory"),
        *("JupyterLab", "Kernelspec", "Browser"),
    ]
    assert checks["Rendering"]["found"].startswith(("EGL, ", "OSMesa, "))
    assert "slicer-core 5.11.0.6" in checks["Slicer"]["found"]
    assert all(set(check) == {"name", "status", "found", "fix"} for check in answer["checks"])


def test_table_keeps_what_to_type_in_one_line(tmp_path: Path) -> None:
    # A Jupyter that knows no kernelspec of ours gives a line of what to type.
    done = run_doctor(JUPYTER_PATH=str(tmp_path), JUPYTER_NO_CONFIG="1", HOME=str(tmp_path), COLUMNS="60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for name in ("Python", "Rendering", "DICOM codecs"):
        assert name in done.stdout
    after = done.stdout.partition("What to do:")[2]
    if "warn  Kernelspec" in done.stdout:
        assert "  Kernelspec: slicer-notebook kernelspec install\n" in after


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_probe_that_crashes() -> None:
    result = doctor.probe("render", command=python(f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})"))
    assert result == doctor.Probe(None, "crashed (SIGSEGV)")


def test_probe_that_hangs() -> None:
    result = doctor.probe("render", deadline=0.5, command=python("import signal; signal.pause()"))
    assert result.answer is None
    assert "no answer within" in result.problem


def test_probe_that_fails_tells_its_last_line() -> None:
    result = doctor.probe("render", command=python("raise RuntimeError('no display')"))
    assert result == doctor.Probe(None, "RuntimeError: no display")


def test_probe_that_babbles() -> None:
    assert doctor.probe("render", command=python("print('hello')")).problem == "gave no answer but: hello"
    assert doctor.probe("render", command=python("print('[1]')")).answer is None


def test_probe_that_cannot_start(tmp_path: Path) -> None:
    assert "could not be started" in doctor.probe("render", command=[str(tmp_path / "nothing")]).problem


def test_rendering_that_crashes_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "probe", lambda what: doctor.Probe(None, "crashed (SIGSEGV)"))
    check = doctor.check_rendering("Rendering")
    assert check.status == "fail"
    assert "crashed" in check.found
    assert check.fix == "sudo apt-get install libegl1 libgl1 libgl1-mesa-dri"


def test_python_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    version = namedtuple("version", "major minor micro releaselevel serial")
    monkeypatch.setattr(sys, "version_info", version(3, 14, 0, "final", 0))
    check = doctor.check_python("Python")
    assert (check.status, "3.13" in check.fix) == ("fail", True)


def test_slicer_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda *names: dict.fromkeys(names))
    check = doctor.check_slicer("Slicer")
    assert check.status == "fail"
    assert check.fix.endswith("-m pip install 'slicer-notebook[headless]'")
    assert doctor.check_rendering("Rendering").status == "fail"


def test_codec_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decoder, "is_available", property(lambda self: self.UID not in {JPEGLSLossless}))
    check = doctor.check_codecs("DICOM codecs")
    assert check.status == "warn"
    assert check.found.startswith("15 of 16 transfer syntaxes; not: JPEG-LS Lossless")


@pytest.mark.parametrize(("free", "status"), [(10 << 30, "ok"), (1 << 30, "warn"), (1 << 20, "fail")])
def test_disk_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, status: str) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(100 << 30, 0, free))
    monkeypatch.setenv("SLICER_NOTEBOOK_DATA", str(tmp_path / "not" / "there yet"))
    check = doctor.check_disk("Disk")
    assert check.status == status
    assert str(tmp_path) in check.found
    assert bool(check.fix) is (status != "ok")


def test_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLICER_NOTEBOOK_DATA", str(tmp_path))
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: Path(path) != tmp_path)
    check = doctor.check_disk("Disk")
    assert check.status == "fail"
    assert "not writable" in check.found
    assert "SLICER_NOTEBOOK_DATA" in check.fix


def test_no_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, address: object) -> None:
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(doctor.socket.socket, "bind", refuse)
    check = doctor.check_ports("Ports")
    assert check.status == "fail"
    assert "Cannot assign requested address" in check.found


def test_shared_memory_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, flags: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(doctor.os, "memfd_create", refuse)
    assert doctor.check_shared_memory("Shared memory").status == "warn"
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "available_memory", lambda: 1 << 20)
    assert doctor.check_shared_memory("Shared memory").status == "warn"


def test_kernelspec_whose_python_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    kernelspec.install(prefix=str(tmp_path))
    check = doctor.check_kernelspec("Kernelspec")
    assert check.status == "fail"
    assert "not there" in check.found


def test_sizes_for_people() -> None:
    assert [doctor.size(n) for n in (0, 1023, 1024, 1536, 20 << 20, 3 << 40)] == [
        "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "20 MiB", "3.0 TiB",
    ]  # fmt: skip


def test_memory_that_another_process_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_shared_memory("Shared memory").status == "ok"
    monkeypatch.setattr(doctor.os, "getpid", lambda: 2**22 + 1)  # above the largest process number of Linux
    check = doctor.check_shared_memory("Shared memory")
    assert check.status == "warn"
    assert "cannot open" in check.found
