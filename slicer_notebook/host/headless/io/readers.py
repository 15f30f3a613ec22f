"""One reader for each of Slicer's file types: extensions, and a function that loads a file into the scene.

The extensions are those of the readers that Slicer registers (qSlicerVolumesReader, qSlicerModelsReader...), the
functions call the same module logics and then do what those readers do: display nodes, window and level, slice views.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from slicer_notebook.host.headless.application import Application

__all__ = ["READERS", "Reader", "known_extension"]

#: Loads a file: (application, path, properties, user messages) -> the nodes made, the main one first.
LoadFunction = Callable[["Application", str, Mapping[str, Any], Any], list[Any]]

# Options of vtkSlicerVolumesLogic::AddArchetypeVolume (vtkSlicerVolumesLogic.h, enum LoadingOptions).
_LABEL_MAP: Final = 1
_CENTER: Final = 2
_SINGLE_FILE: Final = 4
_AUTO_WINDOW_LEVEL: Final = 8
_DISCARD_ORIENTATION: Final = 16


@dataclass(frozen=True)
class Reader:
    """A file type of Slicer's: its name (``filetype``), what it is, its extensions in lower case, its function."""

    file_type: str
    description: str
    extensions: tuple[str, ...]
    load: LoadFunction


def known_extension(path: str, extensions: tuple[str, ...]) -> str:
    """The longest of ``extensions`` that ``path`` ends with (without regard to case), or an empty string."""
    lower = path.lower()
    return max((each for each in extensions if lower.endswith(each)), key=len, default="")


def base_name(path: str, extensions: tuple[str, ...]) -> str:
    """The file's name without folder and known extension."""
    name = Path(path).name
    extension = known_extension(path, extensions)
    return name[: -len(extension)] if extension else Path(name).stem


def _load_volume(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    from vtkmodules.vtkCommonCore import vtkStringArray

    options = 0
    for name, bit in (
        ("labelmap", _LABEL_MAP),
        ("center", _CENTER),
        ("singleFile", _SINGLE_FILE),
        ("discardOrientation", _DISCARD_ORIENTATION),
    ):
        options |= bit if properties.get(name) else 0
    options |= _AUTO_WINDOW_LEVEL if properties.get("autoWindowLevel", True) else 0
    files = None
    if properties.get("fileNames"):
        files = vtkStringArray()
        for each in properties["fileNames"]:
            files.InsertNextValue(str(each))
    name = str(properties.get("name") or base_name(path, VOLUME_EXTENSIONS))
    logic = application.modules.volumes.logic()
    node = logic.AddArchetypeVolume(path, name, options, files)
    if node is None:
        return []
    color = properties.get("colorNodeID")
    if color and node.GetDisplayNode() is not None:
        node.GetDisplayNode().SetAndObserveColorNodeID(str(color))
    if properties.get("show", True):
        application.show_volume(node, fit=True)
    return [node]


def _load_label_volume(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    return _load_volume(application, path, {**properties, "labelmap": True}, messages)


def _load_model(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    lps = application.slicer.vtkMRMLStorageNode.CoordinateSystemLPS
    system = properties.get("coordinateSystem", lps)
    node = application.modules.models.logic().AddModel(path, int(system), messages)
    if node is None:
        return []
    _rename(node, properties)
    return [node]


def _load_segmentation(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    if known_extension(path, (".stl", ".ply", ".obj")):
        return _load_segmentation_from_model(application, path, properties, messages)
    name = str(properties.get("name") or base_name(path, SEGMENTATION_EXTENSIONS))
    color = application.scene.GetNodeByID(properties["colorNodeID"]) if properties.get("colorNodeID") else None
    node = application.modules.segmentations.logic().LoadSegmentationFromFile(
        path, bool(properties.get("autoOpacities", True)), name, color, messages
    )
    return [] if node is None else [node]


def _load_segmentation_from_model(
    application: Application, path: str, properties: Mapping[str, Any], messages: Any
) -> list[Any]:
    models = _load_model(application, path, {}, messages)
    if not models:
        return []
    name = str(properties.get("name") or base_name(path, SEGMENTATION_EXTENSIONS))
    segmentation = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    segmentation.SetSourceRepresentationToClosedSurface()
    segmentation.CreateDefaultDisplayNodes()
    logic = application.modules.segmentations.logic()
    done = logic.ImportModelToSegmentationNode(models[0], segmentation)
    application.scene.RemoveNode(models[0])
    if not done:
        application.scene.RemoveNode(segmentation)
        return []
    return [segmentation]


def _load_markups(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    name = str(properties.get("name") or base_name(path, MARKUPS_EXTENSIONS))
    ids = application.modules.markups.logic().LoadMarkups(path, name, messages)
    nodes = [application.scene.GetNodeByID(each) for each in (ids or "").split(",") if each]
    return [node for node in nodes if node is not None]


def _load_transform(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    node = application.modules.transforms.logic().AddTransform(path, application.scene, messages)
    if node is None:
        return []
    _rename(node, properties)
    return [node]


def _load_table(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    name = str(properties.get("name") or base_name(path, TABLE_EXTENSIONS))
    logic = application.modules.tables.logic()
    node = logic.AddTable(path, name, True, str(properties.get("password", "")), messages)
    return [] if node is None else [node]


def _load_with_storage(
    application: Application, path: str, node_class: str, storage_class: str, name: str, messages: Any
) -> list[Any]:
    node = application.scene.AddNewNodeByClass(node_class, application.scene.GenerateUniqueName(name))
    storage = application.scene.AddNewNodeByClass(storage_class)
    storage.SetFileName(path)
    node.SetAndObserveStorageNodeID(storage.GetID())
    if storage.ReadData(node):
        return [node]
    if messages is not None:
        messages.AddMessages(storage.GetUserMessages())
    application.scene.RemoveNode(node)
    application.scene.RemoveNode(storage)
    return []


def _load_text(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    name = str(properties.get("name") or base_name(path, TEXT_EXTENSIONS))
    return _load_with_storage(application, path, "vtkMRMLTextNode", "vtkMRMLTextStorageNode", name, messages)


def _load_color(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    name = str(properties.get("name") or base_name(path, COLOR_EXTENSIONS))
    node = application.modules.colors.logic().LoadColorFile(path, name, messages)
    return [] if node is None else [node]


def _load_volume_property(
    application: Application, path: str, properties: Mapping[str, Any], messages: Any
) -> list[Any]:
    node = application.modules.volumerendering.logic().AddVolumePropertyFromFile(path)
    if node is None:
        return []
    _rename(node, properties)
    return [node]


def _load_shader_property(
    application: Application, path: str, properties: Mapping[str, Any], messages: Any
) -> list[Any]:
    node = application.modules.volumerendering.logic().AddShaderPropertyFromFile(path)
    if node is None:
        return []
    _rename(node, properties)
    return [node]


def _load_sequence(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    node = application.modules.sequences.logic().AddSequence(path, messages)
    if node is None:
        return []
    _rename(node, properties)
    browser = application.scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{node.GetName()} browser")
    browser.SetAndObserveMasterSequenceNodeID(node.GetID())
    application.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    proxy = browser.GetProxyNode(node)
    if proxy is not None:
        if properties.get("colorNodeID") and hasattr(proxy, "GetDisplayNode") and proxy.GetDisplayNode() is not None:
            proxy.GetDisplayNode().SetAndObserveColorNodeID(str(properties["colorNodeID"]))
        if properties.get("show", True) and proxy.IsA("vtkMRMLVolumeNode"):
            application.show_volume(proxy, fit=True)
    return [node]


def _load_scene(application: Application, path: str, properties: Mapping[str, Any], messages: Any) -> list[Any]:
    clear = bool(properties.get("clear", False))
    scene = application.scene
    before = {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}
    if known_extension(path, (".mrb",)):
        done = bool(scene.ReadFromMRB(path, clear, messages))
    else:
        scene.SetURL(path)
        done = bool(scene.Connect(messages) if clear else scene.Import(messages))
    if not done:
        raise RuntimeError(f"The scene could not be read: {path}")
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [node for node in nodes if node.GetID() not in before]


def _rename(node: Any, properties: Mapping[str, Any]) -> None:
    if properties.get("name"):
        node.SetName(str(properties["name"]))


VOLUME_EXTENSIONS: Final = (
    ".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".hdr", ".img", ".img.gz", ".hdr.gz", ".mnc", ".vti", ".mgh",
    ".mgz", ".mgh.gz", ".pic", ".dcm", ".ima", ".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".gipl", ".gipl.gz",
    ".lsm", ".mrc", ".rec",
)  # fmt: skip
SEGMENTATION_EXTENSIONS: Final = (
    ".seg.nrrd", ".seg.nhdr", ".seg.vtm", ".vtm", ".nrrd", ".nhdr", ".nii", ".nii.gz", ".hdr", ".mha", ".mhd",
    ".stl", ".ply", ".obj",
)  # fmt: skip
MODEL_EXTENSIONS: Final = (
    ".vtk", ".vtp", ".vtu", ".stl", ".obj", ".ply", ".g", ".byu", ".ucd", ".orig", ".inflated", ".sphere", ".white",
    ".smoothwm", ".pial",
)  # fmt: skip
MARKUPS_EXTENSIONS: Final = (".mrk.json", ".json", ".fcsv")
TRANSFORM_EXTENSIONS: Final = (
    ".h5", ".tfm", ".mat", ".txt", ".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz",
)  # fmt: skip
TABLE_EXTENSIONS: Final = (".csv", ".tsv", ".schema.csv", ".schema.tsv", ".txt", ".db", ".db3", ".sqlite", ".sqlite3")
TEXT_EXTENSIONS: Final = (".txt", ".xml", ".json")
COLOR_EXTENSIONS: Final = (".ctbl", ".cxml", ".txt", ".csv")
VOLUME_PROPERTY_EXTENSIONS: Final = (".vp", ".vp.json", ".txt")
SHADER_EXTENSIONS: Final = (".sp",)
SEQUENCE_EXTENSIONS: Final = (".seq.nrrd", ".seq.nhdr", ".seq.mha", ".seq.mhd", ".mrb", ".nrrd", ".mha", ".mhd")
SCENE_EXTENSIONS: Final = (".mrb", ".mrml")

#: In order of preference where an extension fits several with the same length.
READERS: Final = (
    Reader("SceneFile", "MRML scene", SCENE_EXTENSIONS, _load_scene),
    Reader("VolumeFile", "Volume", VOLUME_EXTENSIONS, _load_volume),
    Reader("LabelMapVolumeFile", "Label map volume", (), _load_label_volume),
    Reader("SegmentationFile", "Segmentation", SEGMENTATION_EXTENSIONS, _load_segmentation),
    Reader("ModelFile", "Model", MODEL_EXTENSIONS, _load_model),
    Reader("MarkupsFile", "Markups", MARKUPS_EXTENSIONS, _load_markups),
    Reader("TransformFile", "Transform", TRANSFORM_EXTENSIONS, _load_transform),
    Reader("TableFile", "Table", TABLE_EXTENSIONS, _load_table),
    Reader("ColorTableFile", "Color", COLOR_EXTENSIONS, _load_color),
    Reader("TransferFunctionFile", "Volume property", VOLUME_PROPERTY_EXTENSIONS, _load_volume_property),
    Reader("ShaderPropertyFile", "Shader property", SHADER_EXTENSIONS, _load_shader_property),
    Reader("SequenceFile", "Sequence", SEQUENCE_EXTENSIONS, _load_sequence),
    Reader("TextFile", "Text", TEXT_EXTENSIONS, _load_text),
)
