"""Fuzzes the reader with damaged files; a command for many, `test_fuzz` for a few::

    python -m tests.dicom.fuzz 10000 [--seed 1] [--workers 2]

Each case takes a small series, damages a file of it (`mutate`), plans and reads, and judges what comes out:

- the process lives, and answers within a deadline;
- only errors of `slicer_notebook.errors` come out;
- no file is lost without a word: each is skipped with a reason, in a volume, or in a refusal;
- no wrong volume comes without a warning. Each plane holds the values of the undamaged file at its place, or those
  that pydicom finds in the damaged one; or there is a warning that the undamaged series does not have.

Cases run in processes of their own, that this one watches.
"""

# ruff: noqa: T201 - a command that talks to a person, and workers that talk to it
from __future__ import annotations

import argparse
import io
import json
import re
import select
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import numpy as np
import pydicom

from slicer_notebook.dicom import Index, plan, read
from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.load import VolumeData, read_sequence
from slicer_notebook.dicom.plans import SeriesPlan, VolumePlan
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import SlicerNotebookError
from tests.dicom import bases
from tests.dicom.mutate import mutated
from tests.dicom.said import Plane, UnknownError, difference_of, planes_of_file

__all__ = ["FailedError", "Found", "Outcome", "judge", "plan_and_read", "plane_of", "run", "run_case"]

ROOT: Final = Path(__file__).parents[2]
#: No case of a few slices takes a tenth of this; longer is a hang. Seconds.
DEADLINE: Final = 60.0


class Outcome(NamedTuple):
    """What became of a case."""

    case: int
    base: str
    mutation: str
    #: "refused", "warned", "original", "as pydicom", "rejected", "unjudged" or "FAILED"
    result: str
    #: what failed
    problem: str = ""


class FailedError(Exception):
    """A property does not hold."""


class Found(NamedTuple):
    """What planning and reading gave."""

    #: volume by volume, a sequence's as well
    volumes: list[tuple[VolumePlan, VolumeData]]
    plans: list[SeriesPlan]
    #: files that reading refused, and files that were no DICOM
    refused: list[str]
    skipped: list[str]
    warnings: list[str]


def plan_and_read(files: list[str], between: Callable[[], None] | None = None, index: bool = False) -> Found:
    """All volumes of these files; errors of the library count as refusals."""
    instances, skipped = _instances(files, index)
    by_series: dict[tuple[str, str], list[Instance]] = {}
    for instance in instances:
        by_series.setdefault((instance.StudyInstanceUID, instance.SeriesInstanceUID), []).append(instance)
    plans = [plan(members) for members in by_series.values()]
    if between is not None:
        between()
    found = Found(
        [], plans, [path for each in plans for refusal in each.refused for path in refusal.files], skipped, []
    )
    for each in plans:
        found.warnings.extend(each.warnings)
        for volume in [*each.volumes, *each.images]:
            try:
                found.volumes.append((volume, read(volume)))
            except SlicerNotebookError:
                found.refused.extend(_files([volume]))
        for sequence in each.sequences:
            try:
                data = read_sequence(sequence)
                found.volumes.extend(zip(sequence.volumes, data.volumes, strict=True))
                found.warnings.extend(data.warnings)
            except SlicerNotebookError:
                found.refused.extend(_files(sequence.volumes))
    found.warnings.extend(text for _, data in found.volumes for text in data.warnings)
    return found


def _files(volumes: list[VolumePlan]) -> list[str]:
    planes = [plane for volume in volumes for plane in [*volume.instances, *(double for _, double in volume.doubles)]]
    return [path for plane in planes for path in (plane.path, *plane.other_paths)]


def _instances(files: list[str], index: bool) -> tuple[list[Instance], list[str]]:
    if not index:
        instances, skipped = [], []
        for path in files:
            try:
                instances.append(read_header(path))
            except NotTakenError:
                skipped.append(path)
        return instances, skipped
    database = Index(Path(files[0]).parent / "index.sqlite3")
    try:
        summary = database.add(*files)
        found = [
            each for series in database.series() for each in database.instances(series, study=series.StudyInstanceUID)
        ]
    except SlicerNotebookError:
        return [], files
    finally:
        database.close()
    return found, [each.path for each in summary.skipped]


# -- judging -----------------------------------------------------------------------------------------------------------


def _words(texts: list[str]) -> set[str]:
    return {re.sub(r"[\d.]+", "#", text) for text in texts}


def _originals(base: bases.Base) -> dict[tuple[str, int, tuple[int, int] | None], Plane]:
    """What the undamaged series holds: file name, frame, tile -> plane."""
    kept = {}
    for volume, data in base.found.volumes:
        for k, instance in enumerate(volume.instances):
            if volume.resampling is None:
                kept[Path(instance.path).name, instance.frame, instance.tile] = plane_of(data, k)
    return kept


def plane_of(data: VolumeData, k: int) -> Plane:
    """Slice k of a volume."""
    affine = data.affine.copy()
    affine[:, 3] += k * affine[:, 2]
    return Plane(data.array[k], affine)


def judge(base: bases.Base, files: list[str], found: Found) -> str:  # noqa: PLR0912 - all that may come of a plane
    """The result's name.

    Raises:
        FailedError: a property does not hold.
    """
    accounted = {*found.refused, *found.skipped, *_files([volume for volume, _ in found.volumes])}
    lost = [path for path in files if path not in accounted]
    if lost:
        raise FailedError(f"lost without a word: {[Path(path).name for path in lost]}")
    results = {"original"} if found.volumes else set()
    warned = bool(_words(found.warnings) - _words(base.found.warnings))
    originals = _originals(base)
    for volume, data in found.volumes:
        if not np.isfinite(data.affine).all() or abs(np.linalg.det(data.affine[:3, :3])) < 1e-12:
            raise FailedError(f"an affine that is none: {data.affine.tolist()}")
        if volume.resampling is not None:
            if not warned:
                raise FailedError("resampled without a word")
            results.add("warned")
            continue
        # Positions that are even within a hundredth of the step are called even (docs/dicom.md).
        within = max(0.011, 0.011 * volume.spacing[2])
        # Direction cosines that are off by a thousandth are made unit vectors at a right angle.
        within += 1e-3 * (volume.spacing[0] * volume.shape[2] + volume.spacing[1] * volume.shape[1])
        for k, instance in enumerate(volume.instances):
            plane = plane_of(data, k)
            was = originals.get((Path(instance.path).name, instance.frame, instance.tile))
            against = "no such plane" if was is None else difference_of(plane, was, within, volume.image)
            if against is None:
                continue
            # The distances of an ultrasound's pixels come from its regions, which the other reader does not look at.
            regions = volume.image and any("calibrated region" in text for text in found.warnings)
            said = _against_pydicom(instance, plane, np.inf if regions else within, volume)
            if said is None:
                results.add("as pydicom")
            elif warned or (said.startswith("cannot say") and any("with loss" in text for text in found.warnings)):
                # Damage inside a lossy stream shows nowhere, and no other reader decodes it.
                results.add("warned")
            elif said.startswith("cannot say") and (
                instance.tile is not None or "(0002,0010)" in said or "Unknown Value Representation" in said
            ):
                # A mosaic of which nibabel finds less than there is, a file without its meta information, a VR that
                # there is not, where ours is the dictionary's.
                results.add("unjudged")
            else:
                raise FailedError(
                    f"{volume.name!r} k={k} of {Path(instance.path).name} frame {instance.frame}: the undamaged file: "
                    f"{against}; pydicom: {said}; no warning but {found.warnings}"
                )
    for name in ("warned", "unjudged", "as pydicom", "original"):
        if name in results:
            return name
    return "refused" if found.refused else "rejected"


def _against_pydicom(instance: Instance, plane: Plane, within: float, volume: VolumePlan) -> str | None:
    try:
        said = planes_of_file(instance.path, instance.frame, instance.tile)
    except UnknownError as exc:
        return f"cannot say ({exc})"
    return difference_of(plane, said, within, volume.image)


# -- running -----------------------------------------------------------------------------------------------------------


def run_case(case: int, seed: int, folder: Path, choice: list[bases.Base]) -> Outcome:
    """Run one case; the same case and seed give the same files."""
    random = Random(f"{seed}:{case}")
    base = random.choice(choice)
    names = sorted(base.files)
    way = random.random()
    damaged = dict(base.files)
    hit = names if random.random() < 0.1 else [random.choice(names)]
    start = random.getrandbits(64)
    name = ""
    for each in hit:
        # All files with the same damage, or one of them.
        name, damaged[each] = mutated(Random(start), base.files[each])
    place = folder / str(case)
    place.mkdir()
    try:
        if way < 0.05:
            return _zipped(case, random, base, place)
        late = 0.05 <= way < 0.15
        _write(place, base.files if late else damaged)
        files = [str(place / each) for each in names]
        found = plan_and_read(
            files, between=(lambda: _write(place, damaged)) if late else None, index=0.15 <= way < 0.2
        )
        return Outcome(case, base.name, f"{name}{' after planning' if late else ''}", judge(base, files, found))
    except FailedError as exc:
        return Outcome(case, base.name, name, "FAILED", str(exc))
    # Whatever comes out that is no error of the library's is what is looked for here.
    except Exception as exc:  # noqa: BLE001
        return Outcome(
            case, base.name, name, "FAILED", f"{type(exc).__name__}: {exc}\n{traceback.format_exc(limit=-4)}"
        )
    finally:
        for path in place.iterdir():
            path.unlink()
        place.rmdir()


def _zipped(case: int, random: Random, base: bases.Base, place: Path) -> Outcome:
    """A damaged archive of undamaged files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", random.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, data in base.files.items():
            archive.writestr(name, data)
    mutation, data = mutated(random, made.getvalue())
    (place / "study.zip").write_bytes(data)
    found = plan_and_read([str(place / "study.zip")], index=True)
    # What is lost with an archive's directory has no name: members are not counted.
    return Outcome(case, base.name, f"ZIP, {mutation}", judge(base, [], found))


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


def worker(first: int, step: int, last: int, seed: int) -> None:
    """Run each ``step``-th case and print a line before and after."""
    warnings.simplefilter("ignore")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        choice = bases.made(folder / "bases", plan_and_read)
        for case in range(first, last, step):
            print(json.dumps(case), flush=True)
            print(json.dumps(run_case(case, seed, folder, choice)), flush=True)


def _watch(first: int, step: int, last: int, seed: int) -> Iterator[Outcome]:
    """The outcomes of one worker's cases; one that dies or hangs is a failed case, and another goes on behind it."""
    while first < last:
        command = [
            sys.executable,
            "-m",
            "tests.dicom.fuzz",
            "--worker",
            *map(str, (first, step, last)),
            "--seed",
            str(seed),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0) as process:
            assert process.stdout is not None
            buffered = b""
            began = first
            while True:
                if not select.select([process.stdout], [], [], DEADLINE)[0]:
                    process.kill()
                    yield Outcome(began, "", "", "FAILED", f"no answer within {DEADLINE:g} s")
                    break
                more = process.stdout.read(1 << 16)
                if not more:
                    break
                *lines, buffered = (buffered + more).split(b"\n")
                for line in lines:
                    said = json.loads(line)
                    if isinstance(said, int):
                        began = said
                    else:
                        yield Outcome(*said)
                        first = began + step
        if process.returncode and first <= began:
            if process.returncode != -9:
                yield Outcome(began, "", "", "FAILED", f"the process died with code {process.returncode}")
            first = began + step
        elif process.returncode:
            raise RuntimeError(f"The fuzzer's worker ended with code {process.returncode} between cases.")


def run(
    count: int, *, seed: int = 1, workers: int = 2, report: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Run ``count`` cases in as many processes as ``workers``."""
    from concurrent.futures import ThreadPoolExecutor

    def one(number: int) -> list[Outcome]:
        outcomes = []
        for outcome in _watch(number, workers, count, seed):
            report(outcome)
            outcomes.append(outcome)
        return outcomes

    with ThreadPoolExecutor(workers) as pool:
        return sorted(outcome for outcomes in pool.map(one, range(workers)) for outcome in outcomes)


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 1 where a case failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.dicom.fuzz", description="Damaged files against the reader.")
    parser.add_argument("count", nargs="?", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case", type=int, help="run this one alone, here")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="with --case: write its files there")
    parser.add_argument("--worker", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        worker(*options.worker, options.seed)
        return 0
    if options.case is not None:
        worker(options.case, 1, options.case + 1, options.seed)
        return 0
    started = time.perf_counter()

    def report(outcome: Outcome) -> None:
        if outcome.result == "FAILED":
            print(*outcome[:4], outcome.problem, flush=True)

    outcomes = run(options.count, seed=options.seed, workers=options.workers, report=report)
    results = Counter(outcome.result for outcome in outcomes)
    print(f"{len(outcomes)} cases in {time.perf_counter() - started:.0f} s: {dict(results.most_common())}")
    return int(results["FAILED"] > 0)


if __name__ == "__main__":
    sys.exit(main())
