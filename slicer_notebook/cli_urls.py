"""``slicer-notebook register-urls``: links open with this program, for this user.

Linux: a ``.desktop`` file and the association of its schemes, as the desktop's own tools set them (XDG Desktop Entry
and MIME Applications specifications). Windows: ``HKCU\\Software\\Classes\\SCHEME``, as Slicer's installer writes it.
macOS knows applications in bundles only: what to do there is told.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from slicer_notebook.errors import LinkError
from slicer_notebook.links.parse import SCHEMES
from slicer_notebook.terminal import err, out

__all__ = ["desktop_entry", "register"]

#: Name of the .desktop file.
NAME: Final = "slicer-notebook-links.desktop"
#: Seconds for one of the desktop's tools; each takes milliseconds.
_TOOL: Final = 20.0
#: What has to be escaped in a quoted argument of Exec (Desktop Entry Specification, "The Exec key").
_EXEC_ESCAPED: Final = re.compile(r'(["`$\\])')


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("register-urls")(register_urls)


def register_urls(
    *,
    scheme: Annotated[
        list[str] | None,
        typer.Option("--scheme", metavar="NAME", help="slicer, osirix or horos; all three without it. Repeatable."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the registration back.")] = False,
) -> None:
    """Have slicer://, osirix:// and horos:// links open in Slicer by 'slicer-notebook open', for this user."""
    wanted = list(dict.fromkeys(each.lower().removesuffix("://") for each in scheme or SCHEMES))
    unknown = [each for each in wanted if each not in SCHEMES]
    if unknown:
        raise typer.BadParameter(f"--scheme takes {', '.join(SCHEMES)}")
    if sys.platform.startswith("linux"):
        told = _remove_on_linux(wanted) if remove else _register_on_linux(wanted)
    elif sys.platform == "win32":
        told = _remove_on_windows(wanted) if remove else _register_on_windows(wanted)
    else:
        raise LinkError(
            "This system lets only applications in a bundle open links.",
            hint="docs/urls.md says how an AppleScript application hands them to 'slicer-notebook open'",
        )
    for line in told:
        out().print(line, markup=False, soft_wrap=True)


def program() -> list[str]:
    """The command line that opens a link, without it: this environment's own console script, or Python's ``-m``."""
    script = Path(sys.executable).with_name("slicer-notebook.exe" if sys.platform == "win32" else "slicer-notebook")
    return [str(script), "open"] if script.exists() else [sys.executable, "-m", "slicer_notebook.cli", "open"]


# -- Linux ------------------------------------------------------------------------------------------------------------


def desktop_entry(command: Sequence[str], schemes: Sequence[str]) -> str:
    """The text of the .desktop file. ``%u`` is one URL, put in as one argument, whatever is in it."""
    types = "".join(f"x-scheme-handler/{scheme};" for scheme in schemes)
    return "\n".join(
        [
            "[Desktop Entry]",
            "Type=Application",
            "Version=1.0",
            "Name=3D Slicer (links)",
            "Comment=Opens links to studies in 3D Slicer",
            f"Exec={' '.join(map(_quoted, command))} %u",
            "Terminal=false",
            "NoDisplay=true",
            f"MimeType={types}",
            "",
        ]
    )


def _quoted(argument: str) -> str:
    """An argument of Exec: quoted, then escaped as every value of the file is."""
    if re.fullmatch(r"[A-Za-z0-9/._+=:@-]+", argument):
        return argument
    quoted = '"' + _EXEC_ESCAPED.sub(r"\\\1", argument).replace("%", "%%") + '"'
    return quoted.replace("\\", "\\\\")


def _applications() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "applications"


def _register_on_linux(schemes: list[str]) -> list[str]:
    folder = _applications()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / NAME
    everything = list(dict.fromkeys([*_registered(file), *schemes]))
    aside = folder / f".{NAME}.new"
    aside.write_text(desktop_entry(program(), everything), encoding="utf-8")
    aside.replace(file)
    _run("update-desktop-database", str(folder), needed=False)
    for scheme in schemes:
        _run("xdg-mime", "default", NAME, f"x-scheme-handler/{scheme}", needed=True)
    return [str(file), *(f"{scheme}:// opens with it" for scheme in schemes)]


def _registered(file: Path) -> list[str]:
    """Schemes of the file that is there."""
    try:
        text = file.read_text("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    return [scheme for scheme in SCHEMES if f"x-scheme-handler/{scheme};" in text]


def _remove_on_linux(schemes: list[str]) -> list[str]:
    file = _applications() / NAME
    left = [scheme for scheme in _registered(file) if scheme not in schemes]
    _forget_defaults(schemes)
    if left:
        file.write_text(desktop_entry(program(), left), encoding="utf-8")
    else:
        file.unlink(missing_ok=True)
    _run("update-desktop-database", str(file.parent), needed=False)
    return [f"{scheme}:// opens no longer with slicer-notebook" for scheme in schemes]


def _forget_defaults(schemes: list[str]) -> None:
    """xdg-mime sets associations and has no way to take one back: it wrote them into these files."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    lines = {f"x-scheme-handler/{scheme}={NAME}" for scheme in schemes}
    for file in (config / "mimeapps.list", _applications() / "mimeapps.list", _applications() / "defaults.list"):
        if not file.is_file():
            continue
        text = file.read_text("utf-8")
        kept = [line for line in text.splitlines() if line.strip().rstrip(";") not in lines]
        if len(kept) != len(text.splitlines()):
            aside = file.with_name(f".{file.name}.new")
            aside.write_text("\n".join(kept) + "\n", encoding="utf-8")
            aside.replace(file)


def _run(tool: str, *arguments: str, needed: bool) -> None:
    path = shutil.which(tool)
    if path is None:
        if needed:
            raise LinkError(
                f"There is no {tool} here, which tells the desktop what opens links.",
                hint="on Debian and Ubuntu: sudo apt-get install xdg-utils desktop-file-utils",
            )
        err().print(f"{tool} is not here; desktops that need it see the change at the next login", markup=False)
        return
    try:
        done = subprocess.run([path, *arguments], capture_output=True, timeout=_TOOL, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise LinkError(f"{tool} did not work.", got=type(exc).__name__) from exc
    if done.returncode != 0 and needed:
        words = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
        raise LinkError(f"{tool} did not work.", got=words)


# -- Windows ----------------------------------------------------------------------------------------------------------


def windows_values(scheme: str, command: Sequence[str]) -> dict[tuple[str, str], str]:
    """(key below HKEY_CURRENT_USER, name) -> value. ``%1`` is the URL, in quotes: one argument, whatever is in it."""
    key = rf"Software\Classes\{scheme.capitalize()}"
    line = " ".join(f'"{part}"' for part in command)
    return {(key, ""): f"URL:{scheme}", (key, "URL Protocol"): "", (rf"{key}\shell\open\command", ""): f'{line} "%1"'}


def _register_on_windows(schemes: list[str]) -> list[str]:
    if sys.platform != "win32":
        raise LinkError("This is not Windows.")
    import winreg

    for scheme in schemes:
        for (key, name), value in windows_values(scheme, program()).items():
            with winreg.CreateKeyEx(winreg.HKEY_CURRENT_USER, key) as opened:
                winreg.SetValueEx(opened, name, 0, winreg.REG_SZ, value)
    return [f"{scheme}:// opens with slicer-notebook" for scheme in schemes]


def _remove_on_windows(schemes: list[str]) -> list[str]:
    if sys.platform != "win32":
        raise LinkError("This is not Windows.")
    import contextlib
    import winreg

    for scheme in schemes:
        key = rf"Software\Classes\{scheme.capitalize()}"
        # From the inside: a key with keys in it cannot be deleted.
        for below in (r"\shell\open\command", r"\shell\open", r"\shell", ""):
            with contextlib.suppress(FileNotFoundError):
                winreg.DeleteKey(winreg.HKEY_CURRENT_USER, key + below)
    return [f"{scheme}:// opens no longer with slicer-notebook" for scheme in schemes]
