"""The files that say what to install agree with one another, and hold nothing that they must not."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import slicer_notebook
from tools import licences

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("demo", "dev")


def requirements(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for, with the extras named."""
    texts = list(PROJECT["dependencies"])
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


def lock_lines(name: str) -> list[str]:
    return (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8").splitlines()


def pinned(name: str) -> dict[str, set[str]]:
    """Every version that a lock file holds of each package (Pythons may differ)."""
    versions: dict[str, set[str]] = {}
    for line in lock_lines(name):
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ;\\]+)", line)
        if match:
            versions.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return versions


def as_texts(rows: list[Requirement]) -> set[str]:
    return {f"{canonicalize_name(row.name)}{sorted(row.extras)}{row.specifier}" for row in rows}


def test_environment_yml_matches_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    rows = environment["dependencies"]
    by_pip = next(row["pip"] for row in rows if isinstance(row, dict))
    python = next(Requirement(row) for row in rows if isinstance(row, str) and row.startswith("python"))
    assert set(str(python.specifier).split(",")) == set(PROJECT["requires-python"].split(","))
    assert by_pip.count("-e .") == 1
    listed = [Requirement(row) for row in by_pip if row != "-e ."]
    assert as_texts(listed) == as_texts(requirements("gateways", "headless", "lab", "pacs"))
    assert len(listed) == len(as_texts(listed))


def test_version_is_one() -> None:
    assert slicer_notebook.__version__ == PROJECT["version"] == distribution("slicer-notebook").version


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("demo", ["gateways", "headless", "lab", "pacs", "build"]), ("dev", list(PROJECT["optional-dependencies"]))],
)
def test_lock_holds_what_pyproject_asks_for(lock: str, extras: list[str]) -> None:
    versions = pinned(lock)
    for requirement in requirements(*extras):
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{requirement} is not in {lock}.lock: run make lock"
        for version in found:
            assert requirement.specifier.contains(version, prereleases=True), (
                f"{lock}.lock has {version}: run make lock"
            )


def test_demo_lock_is_part_of_the_dev_lock() -> None:
    demo, dev = pinned("demo"), pinned("dev")
    assert demo
    assert demo == {name: dev[name] for name in demo}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes_and_no_source(lock: str) -> None:
    lines = lock_lines(lock)
    blocks = "\n".join(lines).split("\n")
    names = [number for number, line in enumerate(blocks) if re.match(r"[A-Za-z0-9]", line)]
    assert len(names) > 100
    for number in names:
        assert "--hash=sha256:" in blocks[number + 1]
    for line in lines:
        assert re.match(r"[A-Za-z0-9._-]+(\[.*\])?==\S+( ; [^/@]+)? \\$|    --hash=sha256:[0-9a-f]{64}( \\)?$", line), (
            line
        )


@pytest.mark.parametrize("lock", LOCKS)
def test_gpl_codec_is_not_locked(lock: str) -> None:
    # Its JPEG code is under the GPL, as its documentation says.
    assert "pylibjpeg-libjpeg" not in pinned(lock)


def test_no_locked_package_is_under_the_gpl() -> None:
    rows = licences.licences(licences.locked(ROOT / "requirements" / "dev.lock"))
    assert len(rows) > 100
    assert [f"{row.package} {row.problem}" for row in rows if row.problem] == []


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("GPL-3.0-or-later", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("AGPL-3.0-only", True),
        ("GNU Affero General Public License v3", True),
        ("MIT AND GPL-2.0-only", True),
        ("", True),
        ("LGPL-3.0-only", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("GNU Library or Lesser General Public License (LGPL)", False),
        ("BSD-3-Clause", False),
    ],
)
def test_licence_rule(text: str, refused: bool) -> None:
    assert (licences.Licence("some", "1", text).problem is not None) is refused


def test_a_plain_install_brings_no_slicer_and_no_vtk() -> None:
    seen: set[str] = set()
    todo = requirements()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in seen:
            continue
        seen.add(name)
        for text in distribution(requirement.name).requires or []:
            child = Requirement(text)
            wanted = [{"extra": extra} for extra in requirement.extras] or [{"extra": ""}]
            if child.marker is None or any(child.marker.evaluate(environment) for environment in wanted):
                todo.append(child)
    assert {"numpy", "pydicom", "traitlets"} <= seen  # the walk went down
    assert seen.isdisjoint({"vtk", "slicer-core", "slicer-layer-dm", "trame-slicer", "trame", "jupyterlab"})


def test_this_environment_has_the_locked_versions() -> None:
    versions = pinned("dev")
    for requirement in licences.locked(ROOT / "requirements" / "dev.lock"):
        found = distribution(requirement.name).version
        assert Version(found) in {Version(version) for version in versions[canonicalize_name(requirement.name)]}, (
            f"{requirement.name} {found} is installed: run make setup"
        )


def test_wheel_holds_the_package_and_its_data(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = ROOT / "slicer_notebook"
    ours = {
        str(path.relative_to(ROOT)) for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= names
    assert "slicer_notebook/resources/kernelspec/logo-svg.svg" in names
    others = {name for name in names - ours if ".dist-info/" not in name}
    # Where Jupyter's server looks for its extensions.
    assert {name.partition(".data/data/")[2] for name in others} == {
        "etc/jupyter/jupyter_server_config.d/slicer_notebook.json"
    }


def test_no_registry_host_and_no_machine_path_is_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    # Put together here, so that this file does not hold them itself.
    forbidden = "|".join(
        ["pypi" + r"\.org", r"files\.python" + "hosted", r"deb\.debian" + r"\.org", "/" + "root/", "/" + "home/[a-z]"]
    )
    found = subprocess.run(
        ["git", "grep", "-nIE", forbidden], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode in {0, 1}, found.stderr
    assert found.stdout == ""
