"""Commands about DICOM: index, studies, series, loading.

Files are read on worker threads; only making the MRML nodes happens on Slicer's main thread.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import PathNotFoundError, SeriesRefusedError
from slicer_notebook.protocol.values import NodeRef

if TYPE_CHECKING:
    from slicer_notebook.dicom import Index, Instance, SeriesPlan, VolumeData, VolumePlan


@functools.lru_cache(maxsize=8)
def _open_index(path: str | None) -> Index:
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
    summary = _open_index(database).add(
        *paths,
        progress=lambda done, total, text: job.progress(done / total if total else -1.0, text, [done, total]),
        cancelled=job.cancelled.is_set,
    )
    return _plain(summary)


@command("dicom.studies", thread="worker", journal=False)
def studies(host: Host, filters: dict[str, Any] | None = None, database: str | None = None) -> list[dict[str, Any]]:
    """Studies of the index as `Study` records, by patient's name, patient ID and date.

    Args:
        filters: DICOM keyword → text with ``*`` and ``?``, a date range ``20100101-20101231``; ``text`` searches all.

    Raises:
        ArgumentError: a filter that is no keyword of the index.
    """
    return [_plain(s) for s in _open_index(database).studies(**(filters or {}))]


@command("dicom.series", thread="worker", journal=False)
def series(
    host: Host, study_uid: str | None = None, filters: dict[str, Any] | None = None, database: str | None = None
) -> list[dict[str, Any]]:
    """Series of a study (of all without one), as `Series` records.

    Raises:
        UidNotFoundError: no such study.
    """
    return [_plain(s) for s in _open_index(database).series(study_uid, **(filters or {}))]


def _plan(series_uid: str, database: str | None) -> SeriesPlan:
    from slicer_notebook.dicom import plan

    return plan(_open_index(database).instances(series_uid))


@command("dicom.plan", thread="worker", journal=False)
def plan(host: Host, series_uid: str, database: str | None = None) -> dict[str, Any]:
    """What the series' files will become, before a pixel is read: volumes, refusals with reasons, warnings.

    Of each volume: name, number of files, shape [k, j, i], spacing (mm along i, j, k), orientation, warnings.
    """
    found = _plan(series_uid, database)
    return {
        "volumes": [
            {
                "name": v.name,
                "files": len(v.files),
                "shape": list(v.shape),
                "spacing": list(v.spacing),
                "orientation": v.orientation,
                "warnings": list(v.warnings),
            }
            for v in found.volumes
        ],
        "refused": [{"reason": str(r.reason), "message": r.message, "files": len(r.files)} for r in found.refused],
        "warnings": list(found.warnings),
    }


@command("dicom.thumbnail", thread="worker", journal=False)
def thumbnail(host: Host, series_uid: str, size: int = 128, database: str | None = None) -> bytes:
    """PNG of the series' middle slice, windowed, within ``size`` pixels."""
    from slicer_notebook import dicom

    return dicom.thumbnail(_plan(series_uid, database), size)


@command("dicom.load", thread="worker")
def load(host: Host, series_uid: str, show: bool = True, database: str | None = None) -> dict[str, Any]:
    """Load a series; a volume node for each volume in it, with its DICOM UIDs, units and window/level.

    Returns ``volumes`` (node references) and ``warnings`` (what is not as one would think, in words).

    Raises:
        UidNotFoundError: no such series in the index.
        SeriesRefusedError: the series would not become a correct volume; ``reason`` says why.
    """
    job = context.current()
    try:
        return _load(host, job, _plan(series_uid, database), series_uid, show)
    except FileNotFoundError as exc:
        if isinstance(exc, PathNotFoundError):
            raise
        raise PathNotFoundError(
            "A file of the series is gone.",
            got=str(exc.filename),
            hint="index its folder again: slicer.dicom.index(folder)",
        ) from exc


def _load(host: Host, job: context.JobContext, planned: SeriesPlan, series_uid: str, show: bool) -> dict[str, Any]:
    from slicer_notebook.dicom import read

    if not planned.volumes:
        first = planned.refused[0] if planned.refused else None
        raise SeriesRefusedError(
            first.message if first else "The series holds nothing that becomes a volume.",
            expected="a series that becomes a correct volume",
            got=f"series {series_uid}",
            details={"reason": str(first.reason) if first else "empty", "series": series_uid},
        )
    total = sum(len(v.files) for v in planned.volumes)
    read_already = 0
    data: list[VolumeData] = []
    for volume in planned.volumes:
        start = read_already

        def report(done: int, _of: int, text: str, start: int = start) -> None:
            job.progress((start + done) / total, text, [start + done, total])

        data.append(read(volume, progress=report, cancelled=job.cancelled.is_set))
        read_already += len(volume.files)
    job.check()
    # From here on nothing can be cancelled: a series is in the scene wholly or not at all.
    refs: list[NodeRef] = job.on_main(lambda: _into_scene(host, list(zip(planned.volumes, data, strict=True)), show))
    warnings = list(planned.warnings) + [text for each in data for text in each.warnings]
    warnings += [f"{len(r.files)} file(s) were not loaded: {r.message} ({r.reason})" for r in planned.refused]
    return {"volumes": refs, "warnings": list(dict.fromkeys(warnings))}


def _into_scene(host: Host, volumes: list[tuple[VolumePlan, VolumeData]], show: bool) -> list[NodeRef]:
    nodes: list[Any] = []
    try:
        for planned, data in volumes:
            nodes.append(_add(host, planned, data))
    except BaseException:
        for node in nodes:
            host.slicer.mrmlScene.RemoveNode(node)
        raise
    if show and nodes:
        host.show_volume(nodes[0])
    return [host.ref(n) for n in nodes]


def _add(host: Host, planned: VolumePlan, data: VolumeData) -> Any:
    slicer = host.slicer
    node = host.add_volume(data.array, data.affine, data.name)
    try:
        _describe(host, node, planned, data)
    except BaseException:
        slicer.mrmlScene.RemoveNode(node)
        raise
    return node


def _describe(host: Host, node: Any, planned: VolumePlan, data: VolumeData) -> None:
    """What the DICOM header says beyond voxels and place."""
    slicer = host.slicer
    # Slicer's own attribute: the SOP Instance UIDs, separated by blanks, in slice order.
    node.SetAttribute("DICOM.instanceUIDs", " ".join(data.sop_instance_uids))
    node.SetAttribute("DICOM.Modality", data.modality or None)
    for keyword, uid in data.uids.items():
        node.SetAttribute(f"DICOM.{keyword}", uid or None)
    if data.warnings:
        node.SetAttribute("slicer_notebook.warnings", "\n".join(data.warnings))
    if data.units and hasattr(node, "SetVoxelValueUnits"):
        node.SetVoxelValueUnits(_units(slicer, data.units))
    display = node.GetDisplayNode()
    if display is not None and hasattr(display, "SetWindowLevel"):
        if data.window_level is not None:
            display.SetAutoWindowLevel(0)
            display.SetWindowLevel(*data.window_level)
        if data.inverted:
            display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeInvertedGrey")
    first = planned.instances[0]
    host.place_series(
        node,
        patient_id=first.PatientID or first.PatientName or first.StudyInstanceUID,
        study_uid=first.StudyInstanceUID,
        series_uid=first.SeriesInstanceUID,
        patient=_facts(first, "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
        study=_facts(first, "StudyDescription", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
        series=_facts(first, "Modality", "SeriesNumber", "SeriesDescription"),
    )


#: UCUM codes of DICOM's unit words (PS3.16 CID 82, 84): code value, meaning.
_UCUM = {"HU": ("[hnsf'U]", "Hounsfield unit"), "BQML": ("Bq/ml", "Becquerels/milliliter")}


def _units(slicer: Any, units: str) -> Any:
    code, meaning = _UCUM.get(units, (units, units))
    entry = slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning(code, "UCUM", meaning)
    return entry


def _facts(first: Instance, *keywords: str) -> dict[str, str]:
    values = ((keyword, getattr(first, keyword)) for keyword in keywords)
    return {keyword: str(value) for keyword, value in values if value is not None}


def _plain(record: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain
