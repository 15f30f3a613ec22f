# ruff: noqa: N802 - Slicer's names
"""``slicer.app.coreIOManager()``: chooses readers and writers, with the method names of qSlicerCoreIOManager."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.errors import CommandError, FileFormatError, SlicerNotebookError
from slicer_notebook.host.headless.qt_free import QtFree

from . import writers
from .readers import READERS, Reader, Request
from .storage import UNSAVEABLE, known_extension

if TYPE_CHECKING:
    from slicer_notebook.host.headless.application import Application

__all__ = ["IOManager"]

#: Characters that file systems or URLs give a meaning to (qSlicerCoreIOManager::forceFileNameValidCharacters).
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9 .()\[\]{}_=+,;@#$%^&~!'-]")


class IOManager(QtFree):
    """Reads and writes files for one application."""

    _path = "slicer.app.coreIOManager()"

    def __init__(self, application: Application) -> None:
        self._application = application

    @property
    def _slicer(self) -> Any:
        return self._application.slicer

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
        messages = self._slicer.vtkMRMLMessageCollection()
        reader = self.reader(path, file_type)
        if path.lower().endswith(".mrb"):
            # Several readers unpack one, and Slicer's unpacker writes wherever an archive says.
            from . import scenes

            scenes.check_bundle(path)
        nodes = reader.load(Request(self._application, path, dict(properties), messages))
        if not nodes and reader.file_type != "SceneFile":
            said = messages.GetAllMessagesAsString().strip()
            raise FileFormatError(
                f"Slicer could not read {Path(path).name} as {reader.description.lower()}.",
                expected=reader.file_type,
                got=said or str(path),
                details={"messages": said},
            )
        return nodes

    def save(self, node: Any, path: str, properties: dict[str, Any]) -> None:
        """Write ``node``'s data to ``path``; its storage node remembers the file. Raises as `writers.write`."""
        storage = writers.storage_for(self._slicer, node, path)
        if storage.GetScene() is None and not storage.IsA(UNSAVEABLE):
            self._application.scene.AddNode(storage)
            node.SetAndObserveStorageNodeID(storage.GetID())
        writers.write(node, storage, path, properties)

    def export(self, node: Any, path: str, properties: dict[str, Any], world: bool = False) -> None:
        """Write a copy of ``node``, in world coordinates if asked for; node and storage node stay as they are.

        Raises:
            FileFormatError, CommandError: as `save`.
        """
        copy = node.CreateNodeInstance()
        copy.UnRegister(None)
        copy.CopyContent(node, True)
        copy.SetName(node.GetName())
        if world and hasattr(node, "GetParentTransformNode") and node.GetParentTransformNode() is not None:
            from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

            to_world = vtkGeneralTransform()
            node.GetParentTransformNode().GetTransformToWorld(to_world)
            copy.ApplyTransform(to_world)
        writers.write(copy, writers.storage_for(self._slicer, copy, path), path, properties)

    def save_scene(self, path: str) -> None:
        """Write the scene: ``.mrb`` with its data, ``.mrml`` without, else a folder of both. Raises `CommandError`."""
        scene = self._application.scene
        messages = self._slicer.vtkMRMLMessageCollection()
        if path.lower().endswith(".mrb"):
            done = scene.WriteToMRB(path, None, messages)
        elif path.lower().endswith(".mrml"):
            scene.SetURL(path)
            scene.SetRootDirectory(str(Path(path).absolute().parent))
            done = scene.Commit(path, messages)
        else:
            Path(path).mkdir(parents=True, exist_ok=True)
            done = scene.SaveSceneToSlicerDataBundleDirectory(path, None, messages)
        if not done:
            raise CommandError(f"Slicer could not write the scene {path}.", got=messages.GetAllMessagesAsString())

    # -- qSlicerCoreIOManager -----------------------------------------------------------------------------------

    def _report(self, messages: Any, error: Exception) -> None:
        from vtkmodules.vtkCommonCore import vtkCommand

        if messages is not None:
            messages.AddMessage(vtkCommand.ErrorEvent, str(error))

    def fileType(self, path: Any) -> str:
        """File type of the reader that gets ``path``; "NoFile" if none takes it."""
        try:
            return self.reader(str(path)).file_type
        except FileFormatError:
            return "NoFile"

    def fileTypes(self, path: Any) -> tuple[str, ...]:
        """File types of all readers that take ``path``, the preferred one first."""
        fitting = [(len(known_extension(str(path), reader.extensions)), reader.file_type) for reader in READERS]
        return tuple(name for length, name in sorted(fitting, key=lambda each: -each[0]) if length)

    def fileDescriptions(self, path: Any) -> tuple[str, ...]:
        names = self.fileTypes(path)
        return tuple(reader.description for name in names for reader in READERS if reader.file_type == name)

    def allReadableFileExtensions(self) -> tuple[str, ...]:
        return tuple(sorted({each for reader in READERS for each in reader.extensions}))

    def loadNodes(self, file_type: str, properties: dict[str, Any], loaded: Any = None, messages: Any = None) -> bool:
        """Load ``properties["fileName"]``; nodes go to ``loaded`` (vtkCollection), what went wrong to ``messages``."""
        names = properties.get("fileName") or properties.get("fileNames")
        path = str(names[0] if isinstance(names, list | tuple) else names)
        try:
            nodes = self.load(path, file_type, properties)
        except SlicerNotebookError as error:
            self._report(messages, error)
            return False
        if loaded is not None:
            for node in nodes:
                loaded.AddItem(node)
        return True

    def loadNodesAndGetFirst(self, file_type: str, properties: dict[str, Any], messages: Any = None) -> Any:
        try:
            nodes = self.load(str(properties["fileName"]), file_type, properties)
        except SlicerNotebookError as error:
            self._report(messages, error)
            return None
        return nodes[0] if nodes else None

    def loadScene(self, path: Any, clear: bool = True, messages: Any = None) -> bool:
        return self.loadNodes("SceneFile", {"fileName": str(path), "clear": clear}, None, messages)

    def loadFile(self, path: Any, messages: Any = None) -> Any:
        """Load with the preferred reader; the first node, None if that failed."""
        return self.loadNodesAndGetFirst(self.fileType(path), {"fileName": str(path)}, messages)

    def fileWriterFileType(self, node: Any, _file_format: str = "") -> str:
        return writers.file_type(node)

    def fileWriterExtensions(self, node: Any) -> tuple[str, ...]:
        """Formats ``node`` can be written in: ``NRRD (.nrrd)``."""
        return tuple(writers.formats(self._slicer, node))

    def fileWriterDescriptions(self, file_type: str) -> tuple[str, ...]:
        return tuple(reader.description for reader in READERS if reader.file_type == file_type)

    def extractKnownExtension(self, path: Any, node: Any) -> str:
        """The extension of ``path`` that ``node`` can be written with, its longest form (``.seg.nrrd``)."""
        return writers.known_write_extension(self._slicer, node, str(path))

    def completeSlicerWritableFileNameSuffix(self, node: Any) -> str:
        storage = node.GetStorageNode()
        if storage is not None and storage.GetFileName():
            return self.extractKnownExtension(storage.GetFileName(), node)
        known = writers.formats(self._slicer, node)
        return known[0].rpartition("(")[2].rstrip(")") if known else "."

    def saveNodes(self, file_type: str, properties: dict[str, Any], messages: Any = None) -> bool:
        """Save node ``properties["nodeID"]``, or the scene for "SceneFile", to ``properties["fileName"]``."""
        path = str(properties["fileName"])
        try:
            if file_type == "SceneFile":
                self.save_scene(path)
            else:
                self.save(self._application.scene.GetNodeByID(properties["nodeID"]), path, properties)
        except SlicerNotebookError as error:
            self._report(messages, error)
            return False
        return True

    def saveScene(self, path: Any, _screen_shot: Any = None, messages: Any = None) -> bool:
        return self.saveNodes("SceneFile", {"fileName": str(path)}, messages)

    def exportNodes(
        self,
        node_ids: Sequence[str],
        paths: Sequence[str],
        properties: dict[str, Any],
        harden_transforms: bool = False,
        messages: Any = None,
    ) -> bool:
        """Write copies of nodes to files; True if all were written."""
        done = True
        for node_id, path in zip(node_ids, paths, strict=True):
            try:
                self.export(self._application.scene.GetNodeByID(node_id), str(path), properties, harden_transforms)
            except SlicerNotebookError as error:
                self._report(messages, error)
                done = False
        return done

    def createDefaultStorageNode(self, node: Any) -> Any:
        return node.CreateDefaultStorageNode()

    def addDefaultStorageNodes(self) -> None:
        """Give every node with data a storage node, as before a scene is saved."""
        scene = self._application.scene
        for index in range(scene.GetNumberOfNodes()):
            node = scene.GetNthNode(index)
            if writers.file_type(node) != "NoFile" and node.GetSaveWithScene():
                node.AddDefaultStorageNode()

    def forceFileNameValidCharacters(self, name: str) -> str:
        """``name`` without characters that a file's name should not have."""
        return _UNSAFE.sub("", name)
