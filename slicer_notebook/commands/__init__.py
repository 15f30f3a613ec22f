"""What Slicer can be told: each command defined once, for both ends."""

from slicer_notebook.commands import (  # noqa: F401
    application,
    code,
    dicom,
    displayed,
    gateways,
    gltf,
    grids,
    igtl,
    layouts,
    links,
    loaded,
    loads,
    markups,
    models,
    osirix,
    pacs,
    pacs_signing,
    pictures,
    points,
    remote_files,
    scene,
    segmentations,
    selection,
    sequences,
    tables,
    transforms,
    views,
    volumes,
)
from slicer_notebook.commands.context import JobContext, current, progress, running
from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.registry import Command, NodeLike, all_commands, command, get, names

__all__ = [
    "Command",
    "Host",
    "JobContext",
    "NodeLike",
    "View",
    "all_commands",
    "command",
    "current",
    "get",
    "names",
    "progress",
    "running",
]
