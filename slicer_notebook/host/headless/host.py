"""The headless host: one Slicer application in this process, without Qt and without a screen."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer_notebook.errors import FileFormatError, PathNotFoundError, RenderingError
from slicer_notebook.host.base import MrmlHost

from .application import Application
from .views import AnyView

if TYPE_CHECKING:
    from .segment_editor import SegmentEditor
    from .segment_editors import SegmentEditors

__all__ = ["HeadlessHost"]


class HeadlessHost(MrmlHost):
    """What the commands need of a Slicer (the ``Host`` protocol), on slicer-core and trame-slicer."""

    kind = "headless"

    def __init__(self, application: Application) -> None:
        self.application = application
        self.slicer: Any = application.slicer

    def info(self) -> dict[str, Any]:
        """Versions and what draws the pictures; ``renderer`` is None where nothing can."""
        from vtkmodules.vtkCommonCore import vtkVersion

        try:
            renderer: dict[str, str] | None = self.application.layout.all_views()[0].renderer().as_dict()
        except RenderingError:
            renderer = None
        return {
            "slicer": self.slicer.app.applicationVersion,
            "slicer_core": version("slicer-core"),
            "trame_slicer": version("trame-slicer"),
            "vtk": vtkVersion.GetVTKVersion(),
            "python": platform.python_version(),
            "renderer": renderer,
        }

    def view_names(self) -> list[str]:
        """Names of the present layout's views, in the layout's order."""
        return [view.name for view in self.application.layout.views()]

    def view(self, name: str) -> AnyView:
        """The view called ``name``. Raises `ViewNotFoundError`."""
        return self.application.layout.view(name)

    def hidden_view(self, name: str) -> AnyView:
        """As `view`, and also one that an earlier layout showed. Raises `ViewNotFoundError`."""
        for view in self.application.layout.all_views():
            if view.name == name:
                return view
        return self.view(name)

    @property
    def layout(self) -> str:
        """Name of the present layout ("FourUp"...). Setting an unknown one raises `ArgumentError`."""
        return self.application.layout.name

    @layout.setter
    def layout(self, name: str) -> None:
        self.application.layout.name = name

    @property
    def capturing(self) -> bool:
        """Whether a picture is being taken whose size is not its view's; view nodes change, and change back."""
        return bool(self.application.layout.quiet)

    def on_view_dirty(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(view_name)`` when a view's picture goes out of date: once until it is drawn again."""
        self.application.dirty_callbacks.append(callback)

    def load(self, path: str, filetype: str | None = None, properties: dict[str, Any] | None = None) -> list[Any]:
        """Load a file as ``slicer.util.loadNodesFromFile`` does; the nodes it made, the main one first.

        Raises:
            PathNotFoundError: there is no such file.
            FileFormatError: no reader takes it, or the reader failed.
        """
        if not Path(path).exists():
            raise PathNotFoundError("There is no such file where Slicer runs.", got=str(path))
        return self.application.io.load(str(path), filetype, dict(properties or {}))

    def save(self, node: Any, path: str, properties: dict[str, Any] | None = None) -> None:
        """Write ``node`` to ``path``; the extension says the format.

        Raises:
            PathNotFoundError: the folder does not exist.
            FileFormatError: this node cannot be written as that.
            CommandError: writing failed.
        """
        self._need_folder(path)
        self.application.io.save(node, str(path), dict(properties or {}))

    def save_scene(self, path: str) -> None:
        """Write the scene: ``.mrb`` (bundle with data) or ``.mrml`` (scene file). Raises as `save`."""
        self._need_folder(path)
        if not str(path).lower().endswith((".mrb", ".mrml")):
            raise FileFormatError("A scene is saved as .mrb or .mrml.", expected=".mrb or .mrml", got=str(path))
        self.application.io.save_scene(str(path))

    @staticmethod
    def _need_folder(path: str) -> None:
        folder = Path(path).absolute().parent
        if not folder.is_dir():
            raise PathNotFoundError("There is no such folder where Slicer runs.", got=str(folder))

    def clear(self) -> None:
        """Empty the scene; views, layout and colours stay."""
        self.slicer.mrmlScene.Clear(0)

    @cached_property
    def segment_editors(self) -> SegmentEditors:
        """The editors of the segmentations that are edited."""
        # With trame_slicer.core it imports pydicom, which not every Slicer needs.
        from .segment_editors import SegmentEditors

        return SegmentEditors(self)

    def segment_editor(self, node: Any, volume: Any = None) -> SegmentEditor:
        """The editor of a segmentation: `SegmentEditors.get`. Raises `ArgumentError`, `ArrayError`."""
        return self.segment_editors.get(node, volume)

    def show_volume(self, node: Any, fit: bool = True) -> None:
        """Show a volume in the background of all slice views, as Slicer does after loading."""
        self.application.show_volume(node, fit)

    def place_series(self, node: Any, **where: Any) -> None:
        """Put a node below its patient and study: `SubjectHierarchyItems.place_series`."""
        self.application.subject_hierarchy.place_series(node, **where)

    def drain_vtk(self) -> list[tuple[str, str]]:
        """(level, text) of what VTK, ITK filters and MRML reported since the last call."""
        return self.application.messages.drain()
