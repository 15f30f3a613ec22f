"""Set the clone up: Debian packages, the virtual environment ``.venv``, the locked packages.

Runs on the machine's own Python, before anything is installed: standard library only. Each step is skipped when
its stamp says that nothing it depends on has changed, so that a second run takes well under a second.

    python3 tools/bootstrap.py demo    # what the demo needs
    python3 tools/bootstrap.py dev     # what tests, lint, docs and benchmarks need (a superset of demo)
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
DEBIAN_LIST = ROOT / "requirements" / "debian.txt"
LOCKS = {"demo": ROOT / "requirements" / "demo.lock", "dev": ROOT / "requirements" / "dev.lock"}
#: Debian scopes that a set-up of that kind installs.
SCOPES = {"demo": ("demo",), "dev": ("demo", "test")}
#: Packages that bring a service which would start at once and listen on all interfaces: only their programs are wanted.
SERVICES = ("orthanc",)
#: Asked by Debian's packages whether a service may start (deb-systemd-invoke, invoke-rc.d): 101 says no.
POLICY = Path("/usr/sbin/policy-rc.d")
#: Seconds between two progress lines of one step where the output is a file or a pipe.
PROGRESS_INTERVAL_S = 5.0


class SetupError(Exception):
    """A step failed; the message says what to do."""


@dataclass(frozen=True)
class DebianPackage:
    """One line of ``requirements/debian.txt``."""

    name: str
    scope: str
    needed: bool
    reason: str


# -- output -----------------------------------------------------------------------------------------------------------


def say(step: str, text: str) -> None:
    """One progress line, at once even through a pipe."""
    print(f"[{step}] {text}", flush=True)


class Progress:
    """A step's progress: one line that is rewritten on a terminal, a line every few seconds elsewhere."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.start = self.last = time.monotonic()
        self.terminal = sys.stdout.isatty()

    def update(self, text: str, *, always: bool = False) -> None:
        """Show ``text`` if it is time for it, or ``always``."""
        now = time.monotonic()
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print("\r\033[K" + f"[{self.step}] {text}"[:width], end="", flush=True)
        elif always or now - self.last >= PROGRESS_INTERVAL_S:
            self.last = now
            say(self.step, f"{text} ({now - self.start:.0f} s)")

    def done(self, text: str) -> None:
        """The step's closing line, with its duration."""
        if self.terminal:
            print("\r\033[K", end="")
        say(self.step, f"{text} ({time.monotonic() - self.start:.1f} s)")


# -- Debian packages --------------------------------------------------------------------------------------------------


def read_debian_list(path: Path = DEBIAN_LIST) -> list[DebianPackage]:
    """The packages of ``requirements/debian.txt``. Raises `SetupError` for a line that does not parse."""
    packages = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        fields = [field.strip() for field in text.split("|")]
        if len(fields) != 4 or fields[1] not in {"demo", "test"} or fields[2] not in {"needed", "optional"}:
            raise SetupError(
                f"{path.name}, line {number}: expected 'package | demo or test | needed or optional | reason'"
            )
        packages.append(DebianPackage(fields[0], fields[1], fields[2] == "needed", fields[3]))
    return packages


def installed_debian_packages(names: Sequence[str]) -> set[str]:
    """Those of ``names`` that dpkg has installed."""
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    # dpkg-query exits 1 when it knows none of that name for one of them; the others are listed all the same.
    rows = (line.split() for line in query.stdout.splitlines())
    return {row[0] for row in rows if row[1:] == ["installed"]}


def missing_debian_packages(kind: str) -> list[DebianPackage]:
    """What this machine lacks for a set-up of that kind; empty on a system without dpkg."""
    if shutil.which("dpkg-query") is None:
        return []
    wanted = [package for package in read_debian_list() if package.scope in SCOPES[kind]]
    if importlib.util.find_spec("ensurepip") is None:
        # Debian splits ensurepip out of its Python; a virtual environment cannot get its pip without it.
        name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        wanted.append(DebianPackage(name, "demo", True, "Debian's Python makes virtual environments only with it"))
    present = installed_debian_packages([package.name for package in wanted])
    return [package for package in wanted if package.name not in present]


def apt_candidates(names: Sequence[str]) -> set[str]:
    """Those of ``names`` that apt could install here (Ubuntu, for one, has no ``chromium`` as a Debian package)."""
    listing = subprocess.run(
        ["apt-cache", "policy", *names], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    ).stdout
    found = set()
    for block in re.split(r"\n(?=\S)", listing):
        name, _, rest = block.partition(":\n")
        candidate = re.search(r"Candidate: (\S+)", rest)
        if candidate and candidate[1] != "(none)":
            found.add(name.strip())
    return found


def run_logged(step: str, command: Sequence[str], what: str, env: dict[str, str] | None = None) -> None:
    """Run a command with its last line as progress; on failure raise `SetupError` with the end of its output."""
    progress = Progress(step)
    tail: list[str] = []
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(env or {})},
    )
    assert process.stdout is not None
    for line in process.stdout:
        tail = [*tail[-39:], line.rstrip()]
        progress.update(f"{what}: {line.strip()}"[:150])
    if process.wait():
        shown = " ".join(command[:3])
        raise SetupError("\n".join([*tail, f"{what} failed: '{shown} ...' ended with exit code {process.returncode}."]))
    progress.done(what)


@contextmanager
def services_kept_down(names: Sequence[str]) -> Iterator[None]:
    """While these packages are installed for the first time, no service starts; afterwards theirs are switched off."""
    ours = bool(names) and not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)
    for name in names:
        for command in (["systemctl", "disable", f"{name}.service"], ["update-rc.d", name, "disable"]):
            if shutil.which(command[0]):
                subprocess.run(command, capture_output=True, check=False)
        say("debian", f"the service {name} is switched off; to have it: systemctl enable --now {name}")


def install_debian_packages(kind: str) -> None:
    """Install what is missing through apt as root; say what to type otherwise.

    Raises `SetupError` when a needed package is missing and cannot be installed from here.
    """
    if os.environ.get("SKIP_DEBIAN"):
        say("debian", "skipped, as SKIP_DEBIAN is set")
        return
    missing = missing_debian_packages(kind)
    if not missing:
        return
    needed = [package for package in missing if package.needed]
    for package in missing:
        say("debian", f"missing: {package.name} ({'needed' if package.needed else 'optional'}: {package.reason})")
    if os.geteuid() == 0:
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        run_logged("debian", ["apt-get", "update"], "package lists", quiet)
        available = apt_candidates([package.name for package in missing])
        names = [package.name for package in missing if package.needed or package.name in available]
        for package in missing:
            if package.name not in names:
                say("debian", f"{package.name} is not in this system's package lists; going on without it")
        if names:
            install = ["apt-get", "install", "--yes", "--no-install-recommends", *names]
            with services_kept_down([name for name in names if name in SERVICES]):
                run_logged("debian", install, "installing " + " ".join(names), quiet)
        return
    command = "sudo apt-get install --no-install-recommends " + " ".join(package.name for package in missing)
    for package in missing:
        if package.name in SERVICES:
            command += f" && sudo systemctl disable --now {package.name}"
    if needed:
        raise SetupError(
            "Debian packages are missing, and only root can install them. Type:\n"
            f"    {command}\n"
            "and run make again. (SKIP_DEBIAN=1 goes on without them: the libraries may be there from elsewhere.)"
        )
    say("debian", f"going on without the optional ones; to have them: {command}")


# -- Python packages --------------------------------------------------------------------------------------------------


def digest(paths: Iterable[Path], *texts: str) -> str:
    """A hash over files' contents and some texts."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    for text in texts:
        total.update(text.encode() + b"\0")
    return total.hexdigest()


def stamp_key(kind: str) -> str:
    """What the packages of that kind depend on: the lock, this interpreter, and where the clone lies.

    A virtual environment holds absolute paths, so that a clone that was moved needs a new one.
    """
    return digest([LOCKS[kind]], sys.version, str(VENV))


def project_key() -> str:
    """What the editable install of the project itself depends on: its metadata, and where the clone lies."""
    return digest([ROOT / "pyproject.toml"], sys.version, str(VENV))


def read_stamps() -> dict[str, str]:
    """The stamps of what is installed in ``.venv``; empty when there is none or it cannot be read."""
    try:
        stamps = json.loads((VENV / "stamps.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in stamps.items()}


def write_stamp(name: str, value: str) -> None:
    """Record what a finished step was made from."""
    stamps = read_stamps() | {name: value}
    new = VENV / "stamps.json.new"
    new.write_text(json.dumps(stamps, indent=1) + "\n", encoding="utf-8")
    new.replace(VENV / "stamps.json")


def create_venv() -> None:
    """Make ``.venv`` anew. Raises `SetupError` when Python cannot."""
    if VENV.exists():
        say("venv", "the Python, the lock or the folder changed: making .venv anew")
        shutil.rmtree(VENV)
    run_logged("venv", [sys.executable, "-m", "venv", str(VENV)], f"new .venv, Python {sys.version.split()[0]}")


def pip(*arguments: str) -> list[str]:
    """The command line of the virtual environment's pip."""
    return [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]


def install_lock(kind: str) -> None:
    """Install the lock file of that kind with one pip call, then compile the new files on all cores."""
    lock = LOCKS[kind]
    total = len(re.findall(r"^[A-Za-z0-9]\S*==", lock.read_text(encoding="utf-8"), flags=re.MULTILINE))
    say("packages", f"installing {total} locked packages, some 500 MB to download on a new machine")
    # Every package is in the lock, with its hash: nothing is left to resolve. Compiling apart uses all cores.
    command = pip("install", "--no-deps", "--require-hashes", "--no-compile", "--progress-bar", "off", "-r", str(lock))
    progress = Progress("packages")
    tail: list[str] = []
    seen = 0
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout is not None
    for line in process.stdout:
        tail = [*tail[-39:], line.rstrip()]
        words = line.split()
        if words[:1] == ["Collecting"] or line.startswith("Requirement already satisfied"):
            seen += 1
            name = re.split(
                r"[=<>!; ]", line.removeprefix("Requirement already satisfied:").removeprefix("Collecting").strip()
            )[0]
            progress.update(f"{seen} of {total}: {name}")
        elif words[:1] == ["Installing"]:
            progress.update("downloaded; unpacking 1.7 GB into .venv", always=True)
    if process.wait():
        usual = ("WARNING: Location", "Collecting", "Downloading", "Using cached")
        problem = "\n".join(line for line in tail if not line.strip().startswith(usual))
        raise SetupError(f"{problem}\npip could not install {lock.relative_to(ROOT)} (exit code {process.returncode}).")
    progress.done(f"{total} packages installed")
    python = str(VENV / "bin" / "python")
    # Exit code 1 only says that some file of some package is no valid Python 3 (a template, a test of a parser).
    progress = Progress("packages")
    subprocess.run([python, "-m", "compileall", "-q", "-j", "0", str(VENV / "lib")], capture_output=True, check=False)
    progress.done("byte-compiled")


def install_project() -> None:
    """Install the project itself, editable, and its kernel into the environment's own list of kernels."""
    install = pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    run_logged("packages", install, "slicer-notebook itself, editable")
    kernel = [str(VENV / "bin" / "slicer-notebook"), "kernelspec", "install", "--sys-prefix"]
    run_logged("packages", kernel, "kernel 'Slicer (headless)'")


def install_packages(kind: str) -> None:
    """Bring ``.venv`` to the lock of that kind and install the project into it, editable."""
    stamps = read_stamps()
    keys = {name: stamp_key(name) for name in LOCKS}
    # dev holds all that demo does, at the same versions: make demo after make test has nothing to do.
    if not any(stamps.get(name) == keys[name] for name in {kind, "dev"}):
        if not stamps or any(name in stamps and stamps[name] != keys[name] for name in LOCKS):
            create_venv()
        install_lock(kind)
        write_stamp(kind, keys[kind])
    if read_stamps().get("project") != project_key():
        install_project()
        write_stamp("project", project_key())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the set-up; exit code 1 with a message that says what to do when a step fails."""
    parser = argparse.ArgumentParser(description="Set the clone up.")
    parser.add_argument("kind", choices=sorted(LOCKS))
    kind: str = parser.parse_args(arguments).kind
    start = time.monotonic()
    try:
        install_debian_packages(kind)
        install_packages(kind)
    except SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    say("set-up", f"ready ({time.monotonic() - start:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
