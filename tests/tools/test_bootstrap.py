"""The set-up's own steps, with stand-ins for Debian's programs on the PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools import bootstrap
from tools.bootstrap import DebianPackage, SetupError


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of the PATH: programs put there are found first; its calls go into ``calls``."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("SKIP_DEBIAN", raising=False)
    return folder


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder.parent}/calls"\n{body}\n')
    path.chmod(0o755)


def calls(folder: Path) -> list[str]:
    path = folder.parent / "calls"
    return path.read_text().splitlines() if path.exists() else []


def lacks(folder: Path, *names: str) -> None:
    """A dpkg-query that has everything installed but ``names``."""
    wanted = [package.name for package in bootstrap.read_debian_list() if package.name not in names]
    rows = "\n".join(f"echo '{name} installed'" for name in wanted)
    program(folder, "dpkg-query", f"{rows}\nexit {1 if names else 0}")


def test_the_list_of_debian_packages_parses() -> None:
    packages = {package.name: package for package in bootstrap.read_debian_list()}
    assert packages["libegl1"].needed
    assert packages["libegl1"].scope == "demo"
    assert not packages["chromium"].needed
    assert all(package.reason for package in packages.values())


@pytest.mark.parametrize(
    "line", ["libegl1", "libegl1 | demo | needed", "libegl1 | both | needed | x", "a | demo | must | x"]
)
def test_a_line_that_does_not_parse_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "debian.txt"
    path.write_text(f"# a comment\n\n{line}\n")
    with pytest.raises(SetupError, match=r"debian\.txt, line 3"):
        bootstrap.read_debian_list(path)


def test_nothing_missing_calls_no_apt(programs: Path) -> None:
    lacks(programs)
    program(programs, "apt-get", "exit 9")
    bootstrap.install_debian_packages("dev")
    assert calls(programs)[0].startswith("dpkg-query -W ")
    assert not any(call.startswith("apt") for call in calls(programs))


def test_removed_package_counts_as_missing(programs: Path) -> None:
    program(programs, "dpkg-query", "echo 'libegl1 config-files'; echo 'libgl1 installed'")
    assert bootstrap.installed_debian_packages(["libegl1", "libgl1"]) == {"libgl1"}


def test_root_updates_first_and_installs_what_apt_has(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks(programs, "libegl1", "chromium", "fonts-dejavu-core")
    program(programs, "apt-get", "exit 0")
    policy = (
        "libegl1:\n  Installed: (none)\n  Candidate: 1.6.0-1\nchromium:\n  Installed: (none)\n  Candidate: (none)\n"
    )
    program(programs, "apt-cache", f"cat <<'EOF'\n{policy}fonts-dejavu-core:\n  Candidate: 2.37\nEOF")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bootstrap.install_debian_packages("dev")
    assert [call for call in calls(programs) if call.startswith("apt-get")] == [
        "apt-get update",
        "apt-get install --yes --no-install-recommends libegl1 fonts-dejavu-core",
    ]


@pytest.mark.parametrize("outcome", [0, 100])
def test_a_service_does_not_start_when_its_package_is_installed(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcome: int
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(bootstrap, "POLICY", policy)
    lacks(programs, "orthanc", "dcmtk")
    program(
        programs,
        "apt-get",
        f'[ "$1" = update ] && exit 0\n{policy} || echo "policy $?" >> {tmp_path}/calls\nexit {outcome}',
    )
    program(programs, "apt-cache", "printf 'orthanc:\\n  Candidate: 1.10\\ndcmtk:\\n  Candidate: 3.6\\n'")
    for name in ("systemctl", "update-rc.d"):
        program(programs, name, "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if outcome:
        with pytest.raises(SetupError):
            bootstrap.install_debian_packages("dev")
    else:
        bootstrap.install_debian_packages("dev")
    assert "policy 101" in calls(programs)
    assert not policy.exists()
    switched_off = [call for call in calls(programs) if call.startswith(("systemctl", "update-rc.d"))]
    assert switched_off == ([] if outcome else ["systemctl disable orthanc.service", "update-rc.d orthanc disable"])


def test_apt_that_fails_shows_its_last_words(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks(programs, "libegl1")
    program(programs, "apt-get", "echo 'E: Could not get lock'; exit 100")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SetupError, match=r"(?s)Could not get lock.*exit code 100"):
        bootstrap.install_debian_packages("demo")


def test_not_root_is_told_what_to_type(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks(programs, "libegl1", "libgl1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match="sudo apt-get install --no-install-recommends libegl1 libgl1\n"):
        bootstrap.install_debian_packages("demo")
    assert not any(call.startswith("apt") for call in calls(programs))
    monkeypatch.setenv("SKIP_DEBIAN", "1")
    bootstrap.install_debian_packages("demo")


def test_not_root_goes_on_without_the_optional_ones(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacks(programs, "chromium")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    bootstrap.install_debian_packages("dev")
    assert "sudo apt-get install --no-install-recommends chromium" in capsys.readouterr().out
    assert bootstrap.missing_debian_packages("demo") == []


def test_python_without_ensurepip_needs_its_venv_package(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks(programs)
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    (package,) = bootstrap.missing_debian_packages("demo")
    assert package == DebianPackage(package.name, "demo", True, package.reason)
    assert package.name.startswith("python3.")
    assert package.name.endswith("-venv")


def test_stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    assert bootstrap.read_stamps() == {}
    bootstrap.write_stamp("demo", "a")
    bootstrap.write_stamp("project", "b")
    assert bootstrap.read_stamps() == {"demo": "a", "project": "b"}
    (tmp_path / "stamps.json").write_text("{ half a fi")
    assert bootstrap.read_stamps() == {}


def test_key_changes_with_the_lock_and_with_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "demo.lock"
    lock.write_text("a==1")
    monkeypatch.setitem(bootstrap.LOCKS, "demo", lock)
    first = bootstrap.stamp_key("demo")
    assert bootstrap.stamp_key("demo") == first
    lock.write_text("a==2")
    second = bootstrap.stamp_key("demo")
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / "moved")
    assert len({first, second, bootstrap.stamp_key("demo")}) == 3


@pytest.mark.parametrize(
    ("stamps", "kind", "expected"),
    [
        ({}, "demo", ["venv", "demo", "project"]),
        ({"demo": "new"}, "demo", ["project"]),
        ({"dev": "new", "project": "p"}, "demo", []),
        ({"demo": "new", "project": "p"}, "dev", ["dev"]),
        ({"demo": "old", "dev": "old", "project": "p"}, "dev", ["venv", "dev", "project"]),
        ({"demo": "old", "dev": "new", "project": "p"}, "dev", []),
        ({"dev": "new", "project": "q"}, "dev", ["project"]),
    ],
)
def test_only_what_changed_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamps: dict[str, str], kind: str, expected: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / "venv")
    bootstrap.VENV.mkdir()
    for name, value in stamps.items():
        bootstrap.write_stamp(name, value)

    def new_venv() -> None:
        done.append("venv")
        (bootstrap.VENV / "stamps.json").unlink(missing_ok=True)

    monkeypatch.setattr(bootstrap, "create_venv", new_venv)
    monkeypatch.setattr(bootstrap, "install_lock", done.append)
    monkeypatch.setattr(bootstrap, "install_project", lambda: done.append("project"))
    monkeypatch.setattr(bootstrap, "stamp_key", lambda name: "new")
    monkeypatch.setattr(bootstrap, "project_key", lambda: "p")
    bootstrap.install_packages(kind)
    assert done == expected
    assert bootstrap.read_stamps()["project"] == "p"
