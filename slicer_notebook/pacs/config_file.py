"""The configuration's file: where it is, that it is whole at any time, and that no process undoes another's change."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import platformdirs

from slicer_notebook.errors import PacsConfigError

try:
    import fcntl
except ImportError:  # Windows: two programs that write at the same moment are not kept apart there
    fcntl = None  # type: ignore[assignment]

__all__ = ["config_path", "locked", "parsed", "read_text", "write_text"]

_NAME: Final = "pacs.toml"
#: Seconds to wait for another process that writes; it takes milliseconds, unless it waits for a locked keyring.
LOCK_DEADLINE: Final = 30.0
#: Seconds from one try to the next.
_LOCK_POLL: Final = 0.02
#: Bytes; more is no configuration, but the wrong file.
_MOST_BYTES: Final = 4_000_000


def config_path(path: str | os.PathLike[str] | None = None) -> Path:
    """The file of the configuration.

    ``path`` (a file, or a folder that is there), else what ``SLICER_NOTEBOOK_CONFIG`` names (a folder, or a file whose
    name ends in ``.toml``), else ``pacs.toml`` in the user's configuration folder.
    """
    if path is not None:
        given = Path(path).expanduser()
        return given / _NAME if given.is_dir() else given
    named = os.environ.get("SLICER_NOTEBOOK_CONFIG", "")
    if named:
        given = Path(named).expanduser()
        return given if (given.suffix == ".toml" and not given.is_dir()) or given.is_file() else given / _NAME
    return Path(platformdirs.user_config_dir("slicer-notebook", appauthor=False)) / _NAME


def read_text(file: Path) -> str:
    """The file's text; empty where there is none.

    Raises:
        PacsConfigError: it cannot be read.
    """
    try:
        with file.open("rb") as source:
            raw = source.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise PacsConfigError(f"{file} cannot be read.", got=exc.strerror or type(exc).__name__) from exc
    if len(raw) > _MOST_BYTES:
        raise PacsConfigError(f"{file} is no configuration.", got=f"more than {_MOST_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        raise PacsConfigError(f"{file}, line {line}: no text in UTF-8.", hint="Save it as UTF-8.") from exc


def parsed(file: Path, text: str) -> dict[str, Any]:
    """The text as tables.

    Raises:
        PacsConfigError: it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise PacsConfigError(f"{file} is not TOML.", got=str(exc)) from exc


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other processes and threads from changing the file meanwhile.

    Raises:
        PacsConfigError: the folder cannot be written, or the lock was not free in time.
    """
    target = _target(file)
    lock = target.with_name(target.name + ".lock")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise _not_written(file, exc) from exc
    try:
        _lock(descriptor, file)
        yield
    finally:
        # Closing it sets the lock free, and so does the end of a process, however it ends.
        os.close(descriptor)


def _lock(descriptor: int, file: Path) -> None:
    if fcntl is None:
        return
    until = time.monotonic() + LOCK_DEADLINE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise PacsConfigError(
                    f"{file} cannot be changed: another program has been changing it for {LOCK_DEADLINE:g} s.",
                    hint="It may wait for a keyring that is locked.",
                ) from None
            time.sleep(_LOCK_POLL)
        except OSError as exc:  # a file system without locks
            raise _not_written(file, exc) from exc
        else:
            return


def write_text(file: Path, text: str) -> None:
    """Put ``text`` in the place of the file: whoever reads, finds the former text or this one, never a part.

    To be called while it is `locked`.

    Raises:
        PacsConfigError: it cannot be written; the file is as it was.
    """
    target = _target(file)
    aside = target.with_name(f".{target.name}.new")
    try:
        # What a killed process left; nobody else writes now.
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(text.encode())
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(aside, target)
        _sync_folder(target.parent)
    except OSError as exc:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise _not_written(file, exc) from exc


def _target(file: Path) -> Path:
    """What is to be replaced: a link, such as those that keep settings in a repository, stays one."""
    return Path(os.path.realpath(file))


def _sync_folder(folder: Path) -> None:
    if fcntl is None:
        return  # a folder cannot be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_written(file: Path, exc: OSError) -> PacsConfigError:
    return PacsConfigError(
        f"{file} cannot be written.",
        got=exc.strerror or type(exc).__name__,
        hint="SLICER_NOTEBOOK_CONFIG may name another folder.",
    )
