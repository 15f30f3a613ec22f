"""Commands about DICOM: index, studies, series, loading.

Files are read on worker threads; only making the MRML nodes happens on Slicer's main thread.
"""

from __future__ import annotations

import contextlib
import functools
import io
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.loaded import remember
from slicer_notebook.commands.registry import command
from slicer_notebook.commands.series_nodes import SequenceInTheMaking, add_volume
from slicer_notebook.errors import ArgumentError, FileFormatError, PathNotFoundError, SeriesRefusedError
from slicer_notebook.protocol.values import NodeRef

if TYPE_CHECKING:
    from slicer_notebook.dicom import Index, SeriesPlan, VolumeData, VolumePlan
    from slicer_notebook.dicom.details import SeriesDetails


_importing = threading.Lock()


def import_dicom() -> None:
    """Import what these commands need. Two threads that import pydicom at the same time would get halves of it."""
    with _importing:
        import slicer_notebook.dicom.catalogue
        import slicer_notebook.dicom.details
        import slicer_notebook.dicom.index
        import slicer_notebook.dicom.load
        import slicer_notebook.dicom.planning
        import slicer_notebook.dicom.thumbnails  # noqa: F401


def _open_index(path: str | None) -> Index:
    import_dicom()
    return _opened(path)


@functools.lru_cache(maxsize=8)
def _opened(path: str | None) -> Index:
    from slicer_notebook.dicom import Index

    return Index(Path(path) if path else None)


@command("dicom.index", thread="worker")
def index(host: Host, paths: list[str], database: str | None = None) -> dict[str, Any]:
    """Look through folders and files and remember the studies; what was found, as `IndexSummary`.

    Raises:
        PathNotFoundError: no such folder.
        EmptyFolderError, NotDicomError: nothing usable there.
    """
    job = context.current()
    try:
        summary = _open_index(database).add(
            *paths,
            progress=lambda done, total, text: job.progress(done / total if total else -1.0, text, [done, total]),
            cancelled=job.cancelled.is_set,
        )
    finally:
        # Also after an error or a cancel: what was read until then is in the index.
        host.tell("indexed", {"database": database})
    return _plain(summary)


@command("dicom.studies", thread="worker", journal=False, urgent=True)
def studies(
    host: Host,
    filters: dict[str, Any] | None = None,
    database: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> list[dict[str, Any]]:
    """Studies of the index as `Study` records, by patient's name, patient ID and date.

    Args:
        filters: DICOM keyword → text with ``*`` and ``?``, a date range ``20100101-20101231``; ``text`` searches all.
        limit: how many at most.
        offset: how many to pass over first.

    Raises:
        ArgumentError: a filter that is no keyword of the index, or a number below 0.
    """
    if min(limit or 0, offset) < 0:
        raise ArgumentError("How many studies?", expected="0 or more", got=f"limit {limit}, offset {offset}")
    found = _open_index(database).studies(limit=limit, offset=offset, **(filters or {}))
    return [_plain(study) for study in found]


@command("dicom.catalogue", thread="worker", journal=False, urgent=True)
def catalogue(host: Host, first: int | None = None, database: str | None = None) -> dict[str, Any]:
    """All studies as lines of text, or the first of them, for a list that is searched elsewhere.

    Returns:
        ``total``: studies in the index. ``patients``: how many patients they are of; None where not all were asked for.
        ``fields``: what a line is made of, separated by tabs. ``pages``: lines by patient's name and ID, newest study
        first, joined by newlines, UTF-8, compressed by zlib.

    Raises:
        IndexDatabaseError: the index cannot be read.
    """
    from slicer_notebook.dicom.catalogue import FIELDS

    found = _open_index(database).catalogue(first)
    return {"total": found.total, "patients": found.patients, "fields": list(FIELDS), "pages": found.pages}


@command("dicom.series", thread="worker", journal=False, urgent=True)
def series(
    host: Host, study_uid: str | None = None, filters: dict[str, Any] | None = None, database: str | None = None
) -> list[dict[str, Any]]:
    """Series of a study (of all without one), as `Series` records.

    Raises:
        UidNotFoundError: no such study.
    """
    return [_plain(s) for s in _open_index(database).series(study_uid, **(filters or {}))]


def _plan(series_uid: str, database: str | None, strict: bool = False, rectify: bool = False) -> SeriesPlan:
    import_dicom()
    from slicer_notebook.dicom import plan

    return plan(_open_index(database).instances(series_uid), strict=strict, rectify=rectify)


@command("dicom.plan", thread="worker", journal=False, urgent=True)
def plan(
    host: Host, series_uid: str, strict: bool = False, rectify: bool = False, database: str | None = None
) -> dict[str, Any]:
    """What the series' files will become, before a pixel is read: volumes, sequences, images, refusals, warnings.

    Args:
        strict: refuse what would have to be resampled or filled.
        rectify: resample a tilted stack onto a grid at right angles.

    Returns:
        ``volumes``, ``sequences`` and ``images``: name, ``files``, shape [k, j, i], spacing (mm along i, j, k), affine
        (IJK to RAS, mm), orientation, warnings and so on; of a sequence ``axis`` besides. ``refused``: ``reason``,
        ``message``, ``files``.

    Raises:
        UidNotFoundError: no such series in the index.
    """
    from slicer_notebook.dicom.details import plan_facts

    return plan_facts(_plan(series_uid, database, strict, rectify))


@command("dicom.plan_files", thread="worker", journal=False)
def plan_files(host: Host, paths: list[str], strict: bool = False, rectify: bool = False) -> dict[str, Any]:
    """As ``dicom.plan``, of files and folders that are in no index.

    Raises:
        PathNotFoundError: no such file or folder.
        EmptyFolderError, NotDicomError: nothing usable there.
    """
    import_dicom()
    from slicer_notebook.dicom import Index
    from slicer_notebook.dicom import plan as plan_series
    from slicer_notebook.dicom.details import plan_facts

    job = context.current()
    with tempfile.TemporaryDirectory(prefix="slicer-notebook-plan-") as folder:
        index = Index(Path(folder) / "index.sqlite3")
        try:
            index.add(*paths, cancelled=job.cancelled.is_set)
            instances = [each for found in index.series() for each in index.instances(found)]
        finally:
            index.close()
        return plan_facts(plan_series(instances, strict=strict, rectify=rectify))


@command("dicom.thumbnail", thread="worker", journal=False, urgent=True)
def thumbnail(host: Host, series_uid: str, size: int = 128, database: str | None = None) -> bytes:
    """PNG of the series' middle slice, windowed, within ``size`` pixels."""
    return _details(database).thumbnail(series_uid, size)


@functools.lru_cache(maxsize=8)
def _details(path: str | None) -> SeriesDetails:
    import_dicom()
    from slicer_notebook.dicom.details import SeriesDetails

    return SeriesDetails(_open_index(path))


@command("dicom.detail", thread="worker", journal=False)
def detail(host: Host, series_uid: str, size: int = 128, database: str | None = None) -> dict[str, Any]:
    """What is shown of a series before it is loaded: what will become of it, and its picture; kept on disk.

    Args:
        size: pixels of the picture, at most.

    Returns:
        ``plan`` as of ``dicom.plan``, or ``plan_error``; ``png``, or ``png_error``. Errors in words: ``message``,
        ``hint``, ``kind``.

    Raises:
        UidNotFoundError: no such series in the index.
        ArgumentError: ``size`` is not between 16 and 2048.
    """
    return _details(database).detail(series_uid, size)


@command("dicom.details_known", thread="worker", journal=False)
def details_known(
    host: Host, series: list[str], size: int = 128, database: str | None = None
) -> dict[str, dict[str, Any]]:
    """Those of ``dicom.detail`` that were made before, by Series Instance UID, at once; nothing is made now."""
    return _details(database).known(series, size)


def header_bytes(index: Index, uid: str) -> bytes:
    """`Index.header` written anew as a file: elements that nobody asked for stay as they were, byte by byte."""
    import pydicom

    dataset = index.header(uid)
    if uid not in (dataset.get("SOPInstanceUID"), dataset.get("SeriesInstanceUID")):
        raise FileFormatError(
            "The file of the instance has changed since it was indexed.",
            expected=f"the instance or series {uid}",
            got=str(dataset.get("SOPInstanceUID", "no SOP Instance UID")),
            hint="index its folder again: slicer.dicom.index(folder)",
        )
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=False)
    return buffer.getvalue()


@command("dicom.header", thread="worker", journal=False, urgent=True)
def header(host: Host, uid: str, database: str | None = None) -> bytes:
    """The header of an instance, or of the first one of a series, as a DICOM file without pixel data (PS3.10).

    Raises:
        UidNotFoundError: neither a SOP nor a Series Instance UID of the index.
        FileFormatError: its file is gone, cannot be read, or is another than when it was indexed.
    """
    return header_bytes(_open_index(database), uid)


@command("dicom.attributes", thread="worker", journal=False, urgent=True)
def attributes(
    host: Host, uids: list[str], keywords: list[str], database: str | None = None
) -> dict[str, dict[str, Any]]:
    """Any attributes of instances, or of series' first instances, from their files; by UID and keyword.

    Raises:
        ArgumentError: no such keyword.
        UidNotFoundError: neither a SOP nor a Series Instance UID of the index.
        FileFormatError: a file is gone or cannot be read.
    """
    return _open_index(database).attributes(uids, keywords)


@contextlib.contextmanager
def _files_may_be_gone() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        if isinstance(exc, PathNotFoundError):
            raise
        raise PathNotFoundError(
            "A file of the series is gone.",
            got=str(exc.filename),
            hint="index its folder again: slicer.dicom.index(folder)",
        ) from exc


@command("dicom.load", thread="worker")
def load(
    host: Host,
    series_uid: str,
    show: bool = True,
    strict: bool = False,
    rectify: bool = False,
    quantity: str | None = None,
    database: str | None = None,
) -> dict[str, Any]:
    """Load a series: a node for each volume, sequence and image in it, with DICOM UIDs, units and window/level.

    Args:
        show: show the first of them in the slice views.
        strict: refuse what would have to be resampled or filled.
        rectify: resample a tilted stack onto a grid at right angles.
        quantity: turn the values into what the plan offers: "SUVbw", a real world value...

    Returns:
        ``volumes``, ``sequences``, ``images``: node references, in the plan's order; ``warnings``: what is not as one
        would think, in words.

    Raises:
        UidNotFoundError: no such series in the index.
        SeriesRefusedError: the series would not become a correct volume; ``reason`` says why.
        ArgumentError: a quantity that a volume of the series does not offer.
    """
    job = context.current()

    def report(planes: int, of: int, text: str) -> None:
        job.progress(planes / of, text, [planes, of])

    return load_series(
        host, job, series_uid, lambda: show, strict, rectify, quantity, database, lambda _planned: report
    )


#: Told (planes done, planes in all, text).
Report = Callable[[int, int, str], None]


def load_series(
    host: Host,
    job: context.JobContext,
    series_uid: str,
    show: Callable[[], bool],
    strict: bool,
    rectify: bool,
    quantity: str | None,
    database: str | None,
    begun: Callable[[SeriesPlan], Report],
    there: Callable[[SeriesPlan], dict[str, Any] | None] = lambda _planned: None,
) -> dict[str, Any]:
    """What ``dicom.load`` does.

    Args:
        show: whether it is shown; asked for at the last moment, on the main thread.
        begun: is told of the plan, and gives what is told how far it is.
        there: gives what is returned if nothing needs to be loaded.
    """
    with _files_may_be_gone():
        planned = _plan(series_uid, database, strict, rectify)
        _check_loadable(planned, series_uid)
        if quantity is not None:
            check_quantity(planned, quantity)
        tell = begun(planned)
        found = there(planned)
        if found is not None:
            return found
        return _load(host, job, planned, show, quantity, tell, as_it_is=quantity is None and not rectify)


def _check_loadable(planned: SeriesPlan, series_uid: str) -> None:
    if planned.loadable:
        return
    first = planned.refused[0] if planned.refused else None
    raise SeriesRefusedError(
        first.message if first else "The series holds nothing that becomes a volume.",
        expected="a series that becomes a correct volume",
        got=f"series {series_uid}",
        details={"reason": str(first.reason) if first else "empty", "series": series_uid},
    )


def check_quantity(planned: SeriesPlan, quantity: str) -> None:
    """Whether all of a series' volumes offer a quantity: half of a series in other units would be taken for the rest.

    Raises:
        ArgumentError: one does not; the message names what is offered, and says why others are not.
    """
    volumes = [*planned.volumes, *(each for found in planned.sequences for each in found.volumes), *planned.images]
    lacking = [volume for volume in volumes if quantity not in {offered.name for offered in volume.quantities}]
    if not lacking:
        return
    offered = list(dict.fromkeys(each.name for volume in volumes for each in volume.quantities))
    everywhere = [name for name in offered if all(name in {q.name for q in v.quantities} for v in volumes)]
    raise ArgumentError(
        f"{lacking[0].name!r} does not offer the quantity {quantity!r}.",
        expected=("one of " + ", ".join(everywhere) if everywhere else "none: its header does not say enough")
        + ", or None for the values as they are",
        got=quantity,
        hint=" ".join(dict.fromkeys(text for volume in lacking for text in volume.not_offered)) or None,
        details={"quantities": everywhere, "volume": lacking[0].name},
    )


def _load(
    host: Host,
    job: context.JobContext,
    planned: SeriesPlan,
    show: Callable[[], bool],
    quantity: str | None,
    tell: Report,
    as_it_is: bool,
) -> dict[str, Any]:
    from slicer_notebook.dicom import read, read_sequence

    total = sum(len(volume.instances) for volume in planned.all_volumes)
    before = 0

    def report(done: int, _of: int, text: str) -> None:
        tell(before + done, total, text)

    cancelled = job.cancelled.is_set
    volumes: list[tuple[VolumePlan, VolumeData]] = []
    sequences: list[SequenceInTheMaking] = []
    warnings = list(planned.warnings)
    for sequence in planned.sequences:
        found = read_sequence(sequence, report, cancelled, quantity=quantity)
        warnings += found.warnings
        making = SequenceInTheMaking(host, sequence.volumes, found)
        for step in making.steps():
            job.check()
            job.on_main(step)
        sequences.append(making)
        before += sum(len(volume.instances) for volume in sequence.volumes)
    damaged: SeriesRefusedError | None = None
    for volume in [*planned.volumes, *planned.images]:
        try:
            data = read(volume, report, cancelled, quantity=quantity)
        except SeriesRefusedError as exc:
            # An image stands for itself: the others of its series lose nothing by one that is damaged.
            if not volume.image or len(planned.images) == 1:
                raise
            warnings.append(f"{volume.name!r} was not loaded: {exc.message}")
            damaged = exc
            continue
        warnings += data.warnings
        volumes.append((volume, data))
        before += len(volume.instances)
    if damaged is not None and not volumes and not sequences:
        raise damaged
    job.check()
    # From here on nothing can be cancelled: a series is in the scene wholly or not at all.
    refs: dict[str, Any] = job.on_main(lambda: _into_scene(host, volumes, sequences, show, as_it_is))
    warnings += [f"{len(r.files)} file(s) were not loaded: {r.message} ({r.reason})" for r in planned.refused]
    return {**refs, "warnings": list(dict.fromkeys(warnings))}


def _into_scene(
    host: Host,
    volumes: list[tuple[VolumePlan, VolumeData]],
    sequences: list[SequenceInTheMaking],
    show: Callable[[], bool],
    as_it_is: bool,
) -> dict[str, list[NodeRef]]:
    with host.all_or_nothing():
        nodes = [(planned, add_volume(host, planned, data)) for planned, data in volumes]
        made = [sequence.finish() for sequence in sequences]
        plain = [node for planned, node in nodes if not planned.image]
        images = [node for planned, node in nodes if planned.image]
        if as_it_is:
            remember(host, [*plain, *images, *(sequence for sequence, _ in made)])
        if show():
            host.show_volume([*plain, *(proxy for _, proxy in made), *images][0])
    return {
        "volumes": [host.ref(node) for node in plain],
        "sequences": [host.ref(sequence) for sequence, _ in made],
        "images": [host.ref(node) for node in images],
    }


def _plain(record: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain
