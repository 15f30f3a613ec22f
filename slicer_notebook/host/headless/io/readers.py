"""One reader for each of Slicer's file types: extensions, and a function that loads a file into the scene.

The extensions are those of the readers that Slicer registers (qSlicerVolumesReader, qSlicerModelsReader...) as far as
slicer-core can read them; the functions call the same module logics and then do what those readers do: display nodes,
window and level, slice views.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slicer_notebook.errors import FileFormatError

from .storage import PICTURES, UNSAVEABLE, base_name, known_extension

if TYPE_CHECKING:
    from slicer_notebook.host.headless.application import Application

__all__ = ["READERS", "Reader", "Request"]

# Options of vtkSlicerVolumesLogic::AddArchetypeVolume (vtkSlicerVolumesLogic.h, enum LoadingOptions).
_LABEL_MAP: Final = 1
_CENTER: Final = 2
_SINGLE_FILE: Final = 4
_AUTO_WINDOW_LEVEL: Final = 8
_DISCARD_ORIENTATION: Final = 16


@dataclass(frozen=True)
class Request:
    """What to load: the file, the properties as ``slicer.util.load...`` takes them, where user messages go."""

    application: Application
    path: str
    properties: dict[str, Any]
    messages: Any

    def flag(self, name: str, default: bool) -> bool:
        return bool(self.properties.get(name, default))

    def name(self, extensions: tuple[str, ...]) -> str:
        """The property ``name``, or the file's name without folder and extension."""
        return str(self.properties.get("name") or base_name(self.path, extensions))

    def logic(self, module: str) -> Any:
        return getattr(self.application.modules, module).logic()

    def renamed(self, node: Any) -> list[Any]:
        """``[node]``, renamed if a name was asked for; nothing if there is no node."""
        if node is None:
            return []
        if self.properties.get("name"):
            node.SetName(str(self.properties["name"]))
        return [node]


@dataclass(frozen=True)
class Reader:
    """A file type of Slicer's: its name (``filetype``), what it is, its extensions in lower case, its function.

    The function returns the nodes it made, the main one first; none means that the file could not be read.
    """

    file_type: str
    description: str
    extensions: tuple[str, ...]
    load: Callable[[Request], list[Any]]


# -- volumes ----------------------------------------------------------------------------------------------------


def _load_volume(request: Request) -> list[Any]:
    picture = known_extension(request.path, PICTURES)
    node = _volume_from_pictures(request) if picture else _volume_from_archetype(request)
    if node is None:
        return []
    color = request.properties.get("colorNodeID")
    if color and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetAndObserveColorNodeID(str(color))
    if request.flag("show", True):
        request.application.show_volume(node, fit=True)
    return [node]


def _volume_from_archetype(request: Request) -> Any:
    from vtkmodules.vtkCommonCore import vtkStringArray

    options = _AUTO_WINDOW_LEVEL if request.flag("autoWindowLevel", True) else 0
    for name, bit in (
        ("labelmap", _LABEL_MAP),
        ("center", _CENTER),
        ("singleFile", _SINGLE_FILE),
        ("discardOrientation", _DISCARD_ORIENTATION),
    ):
        options |= bit if request.flag(name, False) else 0
    files = None
    if request.properties.get("fileNames"):
        files = vtkStringArray()
        for each in request.properties["fileNames"]:
            files.InsertNextValue(str(each))
    return request.logic("volumes").AddArchetypeVolume(request.path, request.name(VOLUME_EXTENSIONS), options, files)


def _volume_from_pictures(request: Request) -> Any:
    """Pictures carry no position: spacing 1 mm, and the axes ITK gives them (LPS), as in Slicer."""
    # Pillow is imported for pictures only.
    from . import images

    paths = [str(each) for each in request.properties.get("fileNames") or (request.path,)]
    array = images.read(paths)
    label_map = request.flag("labelmap", False)
    if array.ndim == 4:
        if label_map:
            raise FileFormatError("A colour picture cannot be a label map.", got=Path(request.path).name)
        node_class = "vtkMRMLVectorVolumeNode"
    else:
        node_class = "vtkMRMLLabelMapVolumeNode" if label_map else "vtkMRMLScalarVolumeNode"
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    slicer = request.application.slicer
    node = slicer.util.addVolumeFromArray(
        array, ijkToRAS=np.diag([-1.0, -1.0, 1.0, 1.0]), name=request.name(PICTURES), nodeClassName=node_class
    )
    node.CreateDefaultDisplayNodes()
    return node


def _load_label_volume(request: Request) -> list[Any]:
    request.properties["labelmap"] = True
    return _load_volume(request)


# -- models and segmentations -----------------------------------------------------------------------------------


def _add_model(request: Request) -> Any:
    """The model in the file; None if it cannot be read. Its coordinates are LPS unless file or property say RAS."""
    system = request.properties.get(
        "coordinateSystem", request.application.slicer.vtkMRMLStorageNode.CoordinateSystemLPS
    )
    model = request.logic("models").AddModel(request.path, int(system), request.messages)
    if model is not None and model.GetMesh().GetNumberOfPoints() == 0:
        # VTK's OBJ reader takes any text for a mesh without points.
        _remove(request, model.GetStorageNode(), model)
        return None
    return model


def _remove(request: Request, *nodes: Any) -> None:
    for node in nodes:
        if node is not None:
            request.application.scene.RemoveNode(node)


def _load_model(request: Request) -> list[Any]:
    return request.renamed(_add_model(request))


def _load_segmentation(request: Request) -> list[Any]:
    if known_extension(request.path, (".stl", ".ply", ".obj", ".vtp")):
        return _segmentation_from_model(request)
    color_id = request.properties.get("colorNodeID")
    node = request.logic("segmentations").LoadSegmentationFromFile(
        request.path,
        request.flag("autoOpacities", True),
        request.name(SEGMENTATION_EXTENSIONS),
        request.application.scene.GetNodeByID(str(color_id)) if color_id else None,
        request.messages,
    )
    return [] if node is None else [node]


def _segmentation_from_model(request: Request) -> list[Any]:
    scene = request.application.scene
    model = _add_model(request)
    if model is None:
        return []
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", request.name(SEGMENTATION_EXTENSIONS))
    segmentation.SetSourceRepresentationToClosedSurface()
    segmentation.CreateDefaultDisplayNodes()
    done = request.logic("segmentations").ImportModelToSegmentationNode(model, segmentation)
    _remove(request, model.GetStorageNode(), model)
    if not done:
        _remove(request, segmentation)
        return []
    return [segmentation]


# -- the others -------------------------------------------------------------------------------------------------


def _load_markups(request: Request) -> list[Any]:
    scene = request.application.scene
    ids = request.logic("markups").LoadMarkups(request.path, request.name(MARKUPS_EXTENSIONS), request.messages)
    nodes = [scene.GetNodeByID(each) for each in (ids or "").split(",") if each]
    return [node for node in nodes if node is not None]


def _load_transform(request: Request) -> list[Any]:
    node = request.logic("transforms").AddTransform(request.path, request.application.scene, request.messages)
    return request.renamed(node)


def _load_table(request: Request) -> list[Any]:
    node = request.logic("tables").AddTable(
        request.path,
        request.name(TABLE_EXTENSIONS),
        True,
        str(request.properties.get("password", "")),
        request.messages,
    )
    if node is None:
        return []
    storage = node.GetStorageNode()
    if storage is not None and storage.IsA(UNSAVEABLE):
        _remove(request, storage)
    return [node]


def _load_text(request: Request) -> list[Any]:
    scene = request.application.scene
    name = scene.GenerateUniqueName(request.name(TEXT_EXTENSIONS))
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", name)
    storage = scene.AddNewNodeByClass("vtkMRMLTextStorageNode")
    storage.SetFileName(request.path)
    node.SetAndObserveStorageNodeID(storage.GetID())
    if storage.ReadData(node):
        return [node]
    request.messages.AddMessages(storage.GetUserMessages())
    scene.RemoveNode(node)
    scene.RemoveNode(storage)
    return []


def _load_color(request: Request) -> list[Any]:
    node = request.logic("colors").LoadColorFile(request.path, request.name(COLOR_EXTENSIONS), request.messages)
    return [] if node is None else [node]


def _load_volume_property(request: Request) -> list[Any]:
    return request.renamed(request.logic("volumerendering").AddVolumePropertyFromFile(request.path))


def _load_shader_property(request: Request) -> list[Any]:
    return request.renamed(request.logic("volumerendering").AddShaderPropertyFromFile(request.path))


def _load_sequence(request: Request) -> list[Any]:
    """The sequence, and a browser for it with a proxy node that shows its first item."""
    nodes = request.renamed(request.logic("sequences").AddSequence(request.path, request.messages))
    if not nodes:
        return []
    node = nodes[0]
    scene = request.application.scene
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{node.GetName()} browser")
    browser.SetAndObserveMasterSequenceNodeID(node.GetID())
    request.logic("sequences").UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(node)
    if proxy is not None and proxy.IsA("vtkMRMLVolumeNode"):
        color = request.properties.get("colorNodeID")
        if color and proxy.GetDisplayNode() is not None:
            proxy.GetDisplayNode().SetAndObserveColorNodeID(str(color))
        if request.flag("show", True):
            request.application.show_volume(proxy, fit=True)
    return nodes


def _load_scene(request: Request) -> list[Any]:
    """Nodes that the scene added. Raises `FileFormatError`: an empty list is no failure here."""
    # XML and zip are looked into for scenes only.
    from . import scenes

    scenes.check(request.path)
    scene = request.application.scene
    clear = request.flag("clear", False)
    before = set() if clear else {scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())}
    if known_extension(request.path, (".mrb",)):
        done = bool(scene.ReadFromMRB(request.path, clear, request.messages))
    else:
        scene.SetURL(request.path)
        done = bool(scene.Connect(request.messages) if clear else scene.Import(request.messages))
    if not done:
        said = request.messages.GetAllMessagesAsString().strip()
        raise FileFormatError(
            f"Slicer could not read all of the scene {Path(request.path).name}.",
            expected="a scene whose data files are all there",
            got=said or request.path,
            hint="what could be read is in the scene",
            details={"messages": said},
        )
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [node for node in nodes if node not in before and node.GetSaveWithScene()]


VOLUME_EXTENSIONS: Final = (
    ".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".hdr", ".img", ".img.gz", ".dcm", ".ima", *PICTURES,
)  # fmt: skip
SEGMENTATION_EXTENSIONS: Final = (
    ".seg.nrrd", ".seg.nhdr", ".seg.vtm", ".vtm", ".nrrd", ".nhdr", ".nii", ".nii.gz", ".hdr", ".stl", ".ply", ".obj",
    ".vtp",
)  # fmt: skip
MODEL_EXTENSIONS: Final = (".vtk", ".vtp", ".vtu", ".stl", ".obj", ".ply", ".g", ".byu", ".meta", ".ucd")
MARKUPS_EXTENSIONS: Final = (".mrk.json", ".json", ".fcsv", ".acsv")
TRANSFORM_EXTENSIONS: Final = (
    ".h5", ".tfm", ".mat", ".txt", ".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz",
)  # fmt: skip
TABLE_EXTENSIONS: Final = (".csv", ".tsv", ".txt", ".db", ".db3", ".sqlite", ".sqlite3")
TEXT_EXTENSIONS: Final = (".txt", ".xml", ".json")
COLOR_EXTENSIONS: Final = (".ctbl", ".cxml", ".labels.csv", ".txt", ".csv")
VOLUME_PROPERTY_EXTENSIONS: Final = (".vp", ".vp.json", ".txt")
SHADER_EXTENSIONS: Final = (".sp",)
SEQUENCE_EXTENSIONS: Final = (
    ".seq.nrrd", ".seq.nhdr", ".seq.mha", ".seq.mhd", ".seq.mrb", ".seq.mrml", ".mrb", ".mrml", ".nrrd", ".nhdr",
    ".mha", ".mhd",
)  # fmt: skip
SCENE_EXTENSIONS: Final = (".mrb", ".mrml")

#: Where several readers take an extension of the same length, the first one here gets the file, as in Slicer; the
#: others have to be asked for by ``filetype``. A ``.txt`` is read as text unless a type is named.
READERS: Final = (
    Reader("SceneFile", "MRML scene", SCENE_EXTENSIONS, _load_scene),
    Reader("VolumeFile", "Volume", VOLUME_EXTENSIONS, _load_volume),
    Reader("LabelMapVolumeFile", "Label map volume", (), _load_label_volume),
    Reader("ModelFile", "Model", MODEL_EXTENSIONS, _load_model),
    Reader("SegmentationFile", "Segmentation", SEGMENTATION_EXTENSIONS, _load_segmentation),
    Reader("MarkupsFile", "Markups", MARKUPS_EXTENSIONS, _load_markups),
    Reader("TextFile", "Text", TEXT_EXTENSIONS, _load_text),
    Reader("TransformFile", "Transform", TRANSFORM_EXTENSIONS, _load_transform),
    Reader("TableFile", "Table", TABLE_EXTENSIONS, _load_table),
    Reader("ColorTableFile", "Color", COLOR_EXTENSIONS, _load_color),
    Reader("TransferFunctionFile", "Volume property", VOLUME_PROPERTY_EXTENSIONS, _load_volume_property),
    Reader("ShaderPropertyFile", "Shader property", SHADER_EXTENSIONS, _load_shader_property),
    Reader("SequenceFile", "Sequence", SEQUENCE_EXTENSIONS, _load_sequence),
)
