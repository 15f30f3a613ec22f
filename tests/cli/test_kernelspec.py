"""``slicer-notebook kernelspec``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import start_new_kernel

from slicer_notebook import kernelspec
from slicer_notebook.errors import InputError


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slicer_notebook.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_installed_into_a_prefix_jupyter_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = kernelspec.install(prefix=str(tmp_path))
    assert folder == tmp_path / "share" / "jupyter" / "kernels" / "slicer-headless"
    content = json.loads((folder / "kernel.json").read_text())
    assert content["argv"] == [sys.executable, "-m", "slicer_notebook.host", "-f", "{connection_file}"]
    assert content["display_name"] == "Slicer (headless)"
    assert {path.name for path in folder.iterdir()} == {
        "kernel.json", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg",
    }  # fmt: skip
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    spec = KernelSpecManager().get_kernel_spec("slicer-headless")
    assert Path(spec.resource_dir) == folder
    kernelspec.install(prefix=str(tmp_path))  # over the one that is there


def test_one_place_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        kernelspec.install()
    with pytest.raises(InputError):
        kernelspec.install(user=True, prefix=str(tmp_path))


def test_prefix_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "share").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        kernelspec.install(prefix=str(tmp_path))


def test_user_install_and_remove_by_the_command(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTER_PREFER_ENV_PATH": "0"}
    done = run_cli("kernelspec", "install", "--user", **environment)
    folder = tmp_path / "data" / "kernels" / "slicer-headless"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Slicer (headless): {folder}\n"
    assert (folder / "kernel.json").is_file()
    done = run_cli("kernelspec", "remove", **environment)
    assert done.returncode == 0
    assert not folder.exists()


def test_both_places_are_wrong_usage() -> None:
    done = run_cli("kernelspec", "install", "--user", "--sys-prefix")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_nothing_to_remove_is_told_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = KernelSpecManager(kernel_dirs=[str(tmp_path)], ensure_native_kernel=False)
    monkeypatch.setattr(kernelspec, "KernelSpecManager", lambda: empty)
    with pytest.raises(InputError, match="knows no kernel slicer-headless"):
        kernelspec.remove()


def test_the_kernel_that_is_installed_runs_slicer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernelspec.install(prefix=str(tmp_path))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    manager, client = start_new_kernel(kernel_name="slicer-headless", startup_timeout=60)
    try:
        assert manager.kernel_spec is not None
        assert Path(manager.kernel_spec.resource_dir).is_relative_to(tmp_path)
        printed: list[str] = []

        def output(message: dict[str, Any]) -> None:
            printed.append(message["content"].get("text", ""))

        code = "import slicer; print(slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetName())"
        reply = client.execute_interactive(code, timeout=60, output_hook=output)
        assert reply["content"]["status"] == "ok", reply["content"]
        assert "Red" in "".join(printed)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
