"""``slicer.app.coreIOManager()``: chooses readers and writers, with the method names of qSlicerCoreIOManager."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer_notebook.errors import CommandError, FileFormatError

from .readers import READERS, Reader, known_extension

if TYPE_CHECKING:
    from slicer_notebook.host.headless.application import Application

__all__ = ["IOManager"]


class IOManager:
    """Reads and writes files for one application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    # -- for the host -------------------------------------------------------------------------------------------

    def reader(self, path: str, file_type: str | None = None) -> Reader:
        """The reader for ``file_type``, or the one whose extension fits ``path`` best. Raises `FileFormatError`."""
        if file_type is not None:
            for reader in READERS:
                if reader.file_type == file_type:
                    return reader
            raise FileFormatError(
                f"There is no file type {file_type!r}.",
                expected=", ".join(reader.file_type for reader in READERS),
                got=repr(file_type),
            )
        fitting = [(len(known_extension(path, reader.extensions)), reader) for reader in READERS]
        best = max(length for length, _ in fitting)
        if best == 0:
            raise FileFormatError(
                f"No reader takes {Path(path).name}.",
                expected="one of " + " ".join(sorted({each for reader in READERS for each in reader.extensions})),
                got=Path(path).suffix or "no extension",
                hint="name the file type (filetype=)",
            )
        return next(reader for length, reader in fitting if length == best)

    def load(self, path: str, file_type: str | None, properties: dict[str, Any]) -> list[Any]:
        """Load ``path``; the nodes made, the main one first. Raises `FileFormatError` where that fails."""
        messages = self._application.slicer.vtkMRMLMessageCollection()
        reader = self.reader(path, file_type)
        nodes = reader.load(self._application, path, properties, messages)
        if not nodes and reader.file_type != "SceneFile":
            raise FileFormatError(
                f"Slicer could not read {Path(path).name} as {reader.description.lower()}.",
                expected=reader.file_type,
                got=str(path),
                details={"messages": messages.GetAllMessagesAsString()},
            )
        return nodes

    def save(self, node: Any, path: str, properties: dict[str, Any]) -> None:
        """Write ``node``'s data to ``path``. Raises `FileFormatError` or `CommandError`."""
        if not hasattr(node, "CreateDefaultStorageNode"):
            raise FileFormatError(f"{node.GetName()} ({node.GetClassName()}) has no data to save.")
        messages = self._application.slicer.vtkMRMLMessageCollection()
        storage = node.GetStorageNode()
        if storage is None:
            node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
        if storage is None:
            raise FileFormatError(f"{node.GetName()} ({node.GetClassName()}) cannot be saved by itself.")
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(int(bool(properties["useCompression"])))
        if not storage.WriteData(node):
            messages.AddMessages(storage.GetUserMessages())
            raise CommandError(f"Slicer could not write {path}.", got=messages.GetAllMessagesAsString())

    def save_scene(self, path: str, properties: dict[str, Any]) -> bool:
        scene = self._application.scene
        if path.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(path))
        scene.SetURL(path)
        scene.SetRootDirectory(str(Path(path).parent))
        return bool(scene.Commit(path))

    # -- qSlicerCoreIOManager -----------------------------------------------------------------------------------

    def fileType(self, path: Any) -> str:  # noqa: N802 - Slicer's name
        try:
            return self.reader(str(path)).file_type
        except FileFormatError:
            return "NoFile"

    def loadNodes(self, file_type: str, properties: dict[str, Any], loaded: Any = None, messages: Any = None) -> bool:  # noqa: N802
        path = str(properties.get("fileName") or "")
        if not path and properties.get("fileNames"):
            path = str(properties["fileNames"][0])
        try:
            nodes = self.load(path, file_type, properties)
        except FileFormatError as error:
            if messages is not None:
                messages.AddMessage(self._application.slicer.vtkMRMLNode and 0x4000, str(error))
            return False
        if loaded is not None:
            for node in nodes:
                loaded.AddItem(node)
        return True

    def fileWriterFileType(self, node: Any, _format: str = "") -> str:  # noqa: N802 - Slicer's name
        return str(node.GetClassName())

    def saveNodes(self, file_type: str, properties: dict[str, Any], messages: Any = None) -> bool:  # noqa: N802
        path = str(properties["fileName"])
        if file_type == "SceneFile":
            return self.save_scene(path, properties)
        self.save(self._application.scene.GetNodeByID(properties["nodeID"]), path, properties)
        return True
