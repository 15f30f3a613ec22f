"""``slicer.modules``: the module logics that Slicer makes in its Qt plugins, made here, in one place.

Each entry of `MODULES` is what ``qSlicer<Name>Module`` does in Slicer without its widgets: make the logic, give it the
scene (which registers the module's node classes) and the application logic, and register it under the module's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trame_slicer

from slicer_notebook.errors import QtAttributeError

from .qt_free import QtFree

__all__ = ["MODULES", "Module", "Modules", "register_modules", "share_directory"]


@dataclass(frozen=True)
class _Entry:
    """A module: its name in Slicer, its logic's class in slicer-core, and the folder of its shared files."""

    name: str
    logic: str
    share: str = ""


#: In the order in which they are made: later ones look earlier ones up.
MODULES: Final = (
    _Entry("Colors", "vtkSlicerColorLogic"),
    _Entry("Units", "vtkSlicerUnitsLogic"),
    _Entry("Terminologies", "vtkSlicerTerminologiesModuleLogic", share="terminologies"),
    _Entry("SubjectHierarchy", "vtkSlicerSubjectHierarchyModuleLogic"),
    _Entry("Cameras", "vtkSlicerCamerasModuleLogic"),
    _Entry("ViewControllers", "vtkSlicerViewControllersLogic"),
    _Entry("Volumes", "vtkSlicerVolumesLogic"),
    _Entry("Models", "vtkSlicerModelsLogic"),
    _Entry("Transforms", "vtkSlicerTransformLogic"),
    _Entry("Markups", "vtkSlicerMarkupsLogic"),
    _Entry("Annotations", "vtkSlicerAnnotationModuleLogic"),
    _Entry("Segmentations", "vtkSlicerSegmentationsModuleLogic"),
    _Entry("Tables", "vtkSlicerTablesLogic"),
    _Entry("Texts", "vtkSlicerTextsLogic"),
    _Entry("Plots", "vtkSlicerPlotsLogic"),
    _Entry("Sequences", "vtkSlicerSequencesLogic"),
    _Entry("VolumeRendering", "vtkSlicerVolumeRenderingLogic"),
    _Entry("CropVolume", "vtkSlicerCropVolumeLogic"),
    _Entry("Reformat", "vtkSlicerReformatLogic"),
    _Entry("SceneViews", "vtkSlicerSceneViewsModuleLogic"),
    _Entry("Data", "vtkSlicerDataModuleLogic"),
)


def share_directory() -> Path:
    """Folder of presets and terminologies (they come with trame-slicer)."""
    # Not by trame_slicer.resources: importing that imports trame_slicer.core and with it pydicom, a quarter second.
    return Path(trame_slicer.__file__).parent / "resources"


class Module(QtFree):
    """A module as ``slicer.modules.<name>`` gives it: everything of ``qSlicerCoreModule`` that needs no Qt."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self.title = name
        self.path = ""
        self._path = f"slicer.modules.{name.lower()}"
        self._logic = logic

    def logic(self) -> Any:
        """The module's logic (a vtkMRMLAbstractLogic)."""
        return self._logic


class Modules:
    """``slicer.modules``: modules as attributes, in lower case."""

    def __init__(self) -> None:
        self._modules: dict[str, Module] = {}

    def add(self, module: Module) -> None:
        self._modules[module.name.lower()] = module

    def get(self, name: str) -> Module | None:
        """The module called ``name``, whatever its case; None if there is none."""
        return self._modules.get(name.lower())

    def names(self) -> list[str]:
        """Names of the modules as Slicer writes them ("CropVolume")."""
        return [module.name for module in self]

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getattr__(self, name: str) -> Module:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._modules[name]
        except KeyError:
            raise QtAttributeError(
                f"The headless Slicer has no module {name!r}: scripted, CLI and extension modules need Qt.",
                expected=", ".join(sorted(self._modules)),
                got=name,
                details={"requested": f"slicer.modules.{name}"},
            ) from None

    def __dir__(self) -> list[str]:
        return sorted(self._modules)


def _make_logic(slicer: Any, entry: _Entry, application_logic: Any) -> Any:
    if entry.name == "Colors":
        # The application logic has one already: label maps and models ask that one for their colours.
        return application_logic.GetColorLogic()
    if entry.name == "CropVolume":
        from .crop_volume import CropVolumeLogic

        return CropVolumeLogic()
    return getattr(slicer, entry.logic)()


def register_modules(slicer: Any, scene: Any, application_logic: Any) -> Modules:
    """Make every logic of `MODULES` for ``scene`` and register it with ``application_logic``."""
    share = share_directory()
    modules = Modules()
    for entry in MODULES:
        logic = _make_logic(slicer, entry, application_logic)
        if hasattr(logic, "SetModuleShareDirectory"):
            # Before the scene is set: logics read their presets when they get it.
            logic.SetModuleShareDirectory((share / entry.share).as_posix())
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
        application_logic.SetModuleLogic(entry.name, logic)
        modules.add(Module(entry.name, logic))
    return modules
