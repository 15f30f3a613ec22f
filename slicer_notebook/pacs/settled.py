"""What whole transfers have shown about series, kept beside the files.

Where a PACS's counts and lists contradict each other, or it gives none, only a transfer of the whole shows what there
is. What it has shown is noted, so that the next retrieval need not fetch all again to find it out; and that one began
and did not end, so that nothing is taken for complete that was broken off.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from pathlib import Path
from typing import Final

import msgspec

from slicer_notebook.errors import StorageError

__all__ = ["Note", "Notes"]

_FOLDER: Final = ".settled"


class Note(msgspec.Struct, kw_only=True, frozen=True):
    """What was said of a series (or of a study, by the number of its series), and what came of it."""

    #: as the PACS counted, and listed, when the transfer ended; None: it did not
    counted: int | None = None
    listed: int | None = None
    #: instances (or series) that there were then
    here: int = 0
    #: whether a transfer of the whole has ended well since the last one began
    ended: bool = False


class Notes:
    """The notes of a folder of files. They name nothing but counts.

    Args:
        folder: where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _FOLDER

    def _path(self, study: str, series: str) -> Path:
        return self._folder / (hashlib.sha256(f"{study}\n{series}".encode()).hexdigest()[:40] + ".json")

    def read(self, study: str, series: str = "") -> Note | None:
        """The note of a series; without one of the study itself. None: there is none that can be read."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._path(study, series).read_bytes(), type=Note)
        return None

    def write(self, note: Note, study: str, series: str = "") -> None:
        """Keep a note in place of the former one.

        Raises:
            StorageError: it cannot be written.
        """
        path = self._path(study, series)
        aside = path.with_suffix(f".{uuid.uuid4().hex}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside.write_bytes(msgspec.json.encode(note))
            os.replace(aside, path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise StorageError(
                f"A note about what was retrieved cannot be kept in {str(self._folder)!r}.",
                expected="a folder that can be written",
                got=exc.strerror or str(exc),
            ) from exc

    def forget(self, study: str, series: str = "") -> None:
        """Take a note away: what the PACS says is enough."""
        with contextlib.suppress(OSError):
            self._path(study, series).unlink(missing_ok=True)
