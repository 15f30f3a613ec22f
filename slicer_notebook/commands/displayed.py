"""Commands about DICOM in the views: which series are shown, to show a study, to take one away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands import context, loaded, loads
from slicer_notebook.commands.dicom import _open_index, _plan
from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.pacs import _load
from slicer_notebook.commands.registry import command
from slicer_notebook.commands.series_nodes import instance_uids
from slicer_notebook.errors import ArgumentError

if TYPE_CHECKING:
    from slicer_notebook.dicom import SeriesPlan

_STUDY: Final = "DICOM.StudyInstanceUID"
_SERIES: Final = "DICOM.SeriesInstanceUID"


@command("dicom.displayed", journal=False)
def displayed(host: Host) -> list[dict[str, str]]:
    """Series that the slice views of the present layout show, in the order of its views.

    Returns:
        For each volume in a view: ``view``, ``layer`` ("background", "foreground"), ``node`` (its id), ``study`` and
        ``series`` (UIDs). Volumes that are not from DICOM are left out.
    """
    return [
        {"view": view.name, "layer": layer, "node": node.GetID(), "study": _uid(node, _STUDY), "series": uid}
        for view in _slice_views(host)
        for layer, node in _layers(host, view)
        if (uid := _uid(node, _SERIES))
    ]


@command("dicom.front", journal=False)
def front(host: Host) -> dict[str, str] | None:
    """The DICOM instance in front: what the first slice view that shows DICOM has in its middle; None without one.

    Where the view cuts across the slices as they were acquired, it is the slice that lies in the middle of the view.

    Returns:
        ``view``, ``node``, ``study``, ``series``, ``instance`` (SOP Instance UID).
    """
    for view in _slice_views(host):
        for layer, node in _layers(host, view):
            instances = instance_uids(node)
            if layer == "background" and instances:
                instance = instances[_slice_in_the_middle(host, view, node, len(instances))]
                uids = {"study": _uid(node, _STUDY), "series": _uid(node, _SERIES), "instance": instance}
                return {"view": view.name, "node": node.GetID(), **uids}
    return None


@command("dicom.close")
def close(host: Host, study: str | None = None, series: str | None = None) -> list[str]:
    """Take a study or a series out of all slice views; without either, everything. It stays in the scene.

    Returns:
        Ids of the nodes that were shown.
    """
    gone: dict[str, None] = {}
    for composite in host.nodes("vtkMRMLSliceCompositeNode"):
        for layer in ("Background", "Foreground", "Label"):
            number = getattr(composite, f"Get{layer}VolumeID")()
            node = host.slicer.mrmlScene.GetNodeByID(number) if number else None
            if node is not None and _is_meant(node, study, series):
                getattr(composite, f"Set{layer}VolumeID")(None)
                gone[number] = None
    # Else a change of the layout would show it again.
    for selection in host.nodes("vtkMRMLSelectionNode"):
        if selection.GetActiveVolumeID() in gone:
            selection.SetActiveVolumeID(None)
    return list(gone)


def _is_meant(node: Any, study: str | None, series: str | None) -> bool:
    if series is not None and _uid(node, _SERIES) != series:
        return False
    return study is None or _uid(node, _STUDY) == study


@command("dicom.open", thread="worker", urgent=True)
def open_(
    host: Host,
    study: str | None = None,
    series: str | None = None,
    database: str | None = None,
    by: str = "",
) -> dict[str, Any]:
    """Load a study's series that are images, and show the first; or one series. What is loaded is not loaded again.

    Args:
        study: its UID; with ``series``, that one is shown.
        series: without ``study``, this one only.

    Returns:
        ``load``: ids of the load queue's entries, the one that is shown first; ``shown``: the UID of the series that is
        shown, or will be; None where none is an image.

    Raises:
        UidNotFoundError: not in the index.
        ArgumentError: neither a study nor a series.
    """
    if study is None and series is None:
        raise ArgumentError("Open what?", expected="a study or a series, by UID", got="neither")
    job = context.current()
    uids = [series] if series is not None else []
    if study is not None:
        uids += [each.SeriesInstanceUID for each in _open_index(database).series(study)]
    queue, numbers, shown = loads._queue(host), list[int](), ""
    for uid in dict.fromkeys(uids):
        job.check()
        planned = _plan(uid, database)
        show = not shown
        shown = shown or (uid if planned.loadable else "")
        if planned.loadable and job.on_main(lambda planned=planned, show=show: _is_there(host, planned, show)):  # type: ignore[misc]
            continue
        entry = _load(queue, planned, show, database, by, again=False)
        if entry is not None:
            numbers.append(entry.id)
    return {"load": numbers, "shown": shown or None}


def _is_there(host: Host, planned: SeriesPlan, show: bool) -> bool:
    """Whether a series need not be loaded; it is shown at once then, before what the load queue has to do."""
    found = loaded.whole(host, planned)
    if found is not None and show:
        loaded.show(host, found)
    return found is not None


def _uid(node: Any, attribute: str) -> str:
    return str(node.GetAttribute(attribute) or "")


def _slice_views(host: Host) -> Iterator[View]:
    for name in host.view_names():
        view = host.view(name)
        if view.kind == "slice":
            yield view


def _layers(host: Host, view: View) -> Iterator[tuple[str, Any]]:
    for composite in host.nodes("vtkMRMLSliceCompositeNode"):
        if composite.GetLayoutName() != view.node.GetLayoutName():
            continue
        for layer in ("Background", "Foreground"):
            number = getattr(composite, f"Get{layer}VolumeID")()
            node = host.slicer.mrmlScene.GetNodeByID(number) if number else None
            if node is not None:
                yield layer.lower(), node


def _slice_in_the_middle(host: Host, view: View, node: Any, count: int) -> int:
    """Which slice of a volume lies in the middle of a view, of as many as have an instance."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4
    from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

    to_ras = view.node.GetSliceToRAS()
    point = [to_ras.GetElement(axis, 3) for axis in range(3)]
    above = node.GetParentTransformNode()
    if above is not None:
        from_world = vtkGeneralTransform()
        above.GetTransformFromWorld(from_world)
        point = list(from_world.TransformPoint(point))
    to_ijk = vtkMatrix4x4()
    node.GetRASToIJKMatrix(to_ijk)
    k = to_ijk.MultiplyPoint([*point, 1.0])[2]
    return max(0, min(round(k), count - 1))
