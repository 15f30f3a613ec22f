"""Writing one node's data: which storage node writes which extension."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slicer_notebook.errors import CommandError, FileFormatError

from .storage import UNSAVEABLE, known_extension

__all__ = ["file_type", "formats", "known_write_extension", "storage_for", "write"]

#: What slicer-core's ITK writes. Others fail there, and ``.dcm`` (tried with 5.11.0.6) crashes the process.
_VOLUME_FORMATS: Final = (
    ("NRRD", ".nrrd"), ("NRRD", ".nhdr"), ("MetaImage", ".mha"), ("MetaImage", ".mhd"), ("NIfTI", ".nii"),
    ("NIfTI", ".nii.gz"), ("Analyze", ".hdr"), ("Analyze", ".img"), ("Analyze", ".img.gz"),
)  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    """How nodes of a class are written: Slicer's file type, and the storage classes, the default one first."""

    node: str
    file_type: str
    storages: tuple[str, ...]


#: The first class that a node is, counts.
_KINDS: Final = (
    _Kind("vtkMRMLDiffusionTensorVolumeNode", "VolumeFile", ("vtkMRMLNRRDStorageNode",)),
    _Kind("vtkMRMLVolumeNode", "VolumeFile", ("vtkMRMLVolumeArchetypeStorageNode",)),
    _Kind("vtkMRMLSegmentationNode", "SegmentationFile", ("vtkMRMLSegmentationStorageNode",)),
    _Kind("vtkMRMLModelNode", "ModelFile", ("vtkMRMLModelStorageNode",)),
    _Kind("vtkMRMLMarkupsROINode", "MarkupsFile", ("vtkMRMLMarkupsROIJsonStorageNode",)),
    _Kind("vtkMRMLMarkupsPlaneNode", "MarkupsFile", ("vtkMRMLMarkupsPlaneJsonStorageNode",)),
    _Kind("vtkMRMLMarkupsNode", "MarkupsFile", ("vtkMRMLMarkupsJsonStorageNode", "vtkMRMLMarkupsFiducialStorageNode")),
    _Kind("vtkMRMLTransformNode", "TransformFile", ("vtkMRMLTransformStorageNode",)),
    _Kind("vtkMRMLTableNode", "TableFile", ("vtkMRMLTableStorageNode", "vtkMRMLTableSQLiteStorageNode")),
    _Kind("vtkMRMLTextNode", "TextFile", ("vtkMRMLTextStorageNode",)),
    _Kind("vtkMRMLProceduralColorNode", "ColorTableFile", ("vtkMRMLProceduralColorStorageNode",)),
    _Kind("vtkMRMLColorTableNode", "ColorTableFile", ("vtkMRMLColorTableStorageNode",)),
    _Kind("vtkMRMLVolumePropertyNode", "TransferFunctionFile",
          ("vtkMRMLVolumePropertyJsonStorageNode", "vtkMRMLVolumePropertyStorageNode")),
    _Kind("vtkMRMLShaderPropertyNode", "ShaderPropertyFile", ("vtkMRMLShaderPropertyStorageNode",)),
    _Kind("vtkMRMLSequenceNode", "SequenceFile",
          ("vtkMRMLVolumeSequenceStorageNode", "vtkMRMLTransformSequenceStorageNode",
           "vtkMRMLLinearTransformSequenceStorageNode", "vtkMRMLSequenceStorageNode")),
)  # fmt: skip


def _kind(node: Any) -> _Kind | None:
    return next((kind for kind in _KINDS if node is not None and node.IsA(kind.node)), None)


def file_type(node: Any) -> str:
    """Slicer's file type of a node ("VolumeFile"), "NoFile" if it has none."""
    kind = _kind(node)
    return kind.file_type if kind else "NoFile"


def _extension(file_format: str) -> str:
    """``.nrrd`` of ``NRRD (.nrrd)``."""
    return file_format.rpartition("(")[2].rstrip(")").strip().lower()


def _storage_formats(storage: Any) -> list[str]:
    if storage.GetClassName() == "vtkMRMLVolumeArchetypeStorageNode":
        return [f"{name} ({extension})" for name, extension in _VOLUME_FORMATS]
    types = storage.GetSupportedWriteFileTypes()
    found = [str(types.GetValue(index)) for index in range(types.GetNumberOfValues())]
    return [each for each in found if _extension(each) != ".*"]


def _storages(slicer: Any, node: Any) -> list[Any]:
    """Storage nodes that may write ``node``: its own first, then new ones of the classes known for it."""
    kind = _kind(node)
    present = node.GetStorageNode() if hasattr(node, "GetStorageNode") else None
    storages = [] if present is None else [present]
    for class_name in kind.storages if kind else ():
        storage = getattr(slicer, class_name)()
        if (present is None or present.GetClassName() != class_name) and storage.CanWriteFromReferenceNode(node):
            storages.append(storage)
    return storages


def formats(slicer: Any, node: Any) -> list[str]:
    """Formats that ``node`` can be written in, as Slicer words them: ``NRRD (.nrrd)``."""
    found = [each for storage in _storages(slicer, node) for each in _storage_formats(storage)]
    return list(dict.fromkeys(found))


def known_write_extension(slicer: Any, node: Any, path: str) -> str:
    """The longest extension of ``path`` that ``node`` can be written with, or an empty string."""
    return known_extension(path, tuple(_extension(each) for each in formats(slicer, node)))


def storage_for(slicer: Any, node: Any, path: str) -> Any:
    """The storage node that writes ``node`` to ``path``: the node's own if it can, else a new one.

    Raises:
        FileFormatError: none can; the message names the extensions that can be written.
    """
    best: tuple[int, Any] = (0, None)
    known: list[str] = []
    for storage in _storages(slicer, node):
        extensions = tuple(_extension(each) for each in _storage_formats(storage))
        known.extend(extensions)
        length = len(known_extension(path, extensions))
        if length > best[0]:
            best = (length, storage)
    if best[1] is None:
        kind = _kind(node)
        raise FileFormatError(
            f"{node.GetName()} ({node.GetClassName()}) cannot be written to {Path(path).name}.",
            expected=" ".join(dict.fromkeys(known)) or "a node with data of its own",
            got=Path(path).suffix or "no extension",
            hint="export the segments to models or to a label map first"
            if kind is not None and kind.file_type == "SegmentationFile"
            else None,
        )
    return best[1]


def write(node: Any, storage: Any, path: str, properties: dict[str, Any]) -> None:
    """Write with ``storage``, which keeps the file's name.

    Raises:
        CommandError: writing failed; ``details["messages"]`` holds what Slicer said.
    """
    if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is None:
        # The storage node would report success and write nothing.
        raise CommandError(f"{node.GetName()} has no voxels to write.", got=path, details={"messages": "no image data"})
    storage.SetFileName(path)
    if "useCompression" in properties:
        storage.SetUseCompression(int(bool(properties["useCompression"])))
    if properties.get("compressionParameter"):
        storage.SetCompressionParameter(str(properties["compressionParameter"]))
    if storage.IsA(UNSAVEABLE) and not storage.GetTableName():
        storage.SetTableName(node.GetName())
    # What an earlier attempt said would make this one count as failed.
    storage.GetUserMessages().ClearMessages()
    if not storage.WriteData(node):
        said = storage.GetUserMessages().GetAllMessagesAsString()
        raise CommandError(
            f"Slicer could not write {path}.",
            got=said.strip() or None,
            hint="is the folder writable, and does the node have data?",
            details={"messages": said},
        )
