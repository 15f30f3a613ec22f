"""The headless Slicer application: scene, application logic, module logics, views.

It does what qSlicerCoreApplication and the Qt plugins of the modules do when Slicer starts, without Qt.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from .colors import HOME, SHARE
from .io import IOManager
from .layout import Layout
from .messages import MessageLog
from .modules import register_modules
from .subject_hierarchy import SubjectHierarchyItems
from .views import HeadlessSliceView

__all__ = ["Application"]


class Application:
    """One Slicer application; `slicer_notebook.host.headless.start` makes the only one of a process.

    Args:
        slicer: the ``slicer`` module, to which ``app``, ``mrmlScene`` and ``modules`` are added.
        messages: where VTK's messages go.
    """

    def __init__(self, slicer: Any, messages: MessageLog) -> None:
        self.slicer = slicer
        self.messages = messages
        #: What VTK and MRML reported while the application was made.
        self.start_up_messages: list[tuple[str, str]] = []
        self.dirty_callbacks: list[Callable[[str], None]] = []
        self.scene = slicer.vtkMRMLScene()
        self.logic = slicer.vtkSlicerApplicationLogic()
        self._make_scene()
        self.modules = register_modules(slicer, self.scene, self.logic)
        self.subject_hierarchy = SubjectHierarchyItems(slicer, self.scene)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self.layout = Layout(slicer, self.scene, self.logic, self._view_dirty)
        self._make_data_io()
        self.io = IOManager(self)

    def _make_scene(self) -> None:
        from vtkmodules.vtkCommonCore import vtkCollection

        slicer = self.slicer
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        self.logic.SetHomeDirectory(str(HOME))
        self.logic.SetShareDirectory(SHARE)
        self.logic.SetTemporaryPath(tempfile.gettempdir())
        colors = slicer.vtkSlicerColorLogic()
        colors.SetMRMLApplicationLogic(self.logic)
        self.logic.SetColorLogic(colors)
        self.logic.SetMRMLScene(self.scene)
        self.logic.SetSliceLogics(vtkCollection())
        self.logic.SetViewLogics(vtkCollection())
        slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(self.logic)
        slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(self.logic)

    def _make_data_io(self) -> None:
        """The scene's data IO manager, without which vtkMRMLScene reads no .mrb (it unpacks into its cache)."""
        self._cache = tempfile.TemporaryDirectory(prefix="slicer-notebook-cache-")
        self._remote_io = self.slicer.vtkMRMLRemoteIOLogic()
        self._remote_io.SetMRMLApplicationLogic(self.logic)
        self._remote_io.SetMRMLScene(self.scene)
        self._remote_io.GetCacheManager().SetRemoteCacheDirectory(self._cache.name)
        self._data_io = self.slicer.vtkDataIOManagerLogic()
        self._data_io.SetMRMLApplicationLogic(self.logic)
        self._data_io.SetMRMLScene(self.scene)
        self._data_io.SetAndObserveDataIOManager(self._remote_io.GetDataIOManager())
        self._remote_io.AddDataIOToScene()

    def _view_dirty(self, name: str) -> None:
        for callback in self.dirty_callbacks:
            callback(name)

    def process_events(self) -> None:
        """Step the sequences that play, which a timer of the Sequences module does in Slicer."""
        self.modules.sequences.logic().UpdateAllProxyNodes()

    def show_volume(self, node: Any, fit: bool = True) -> None:
        """Put ``node`` into the slice views: a label map as label layer, else as background."""
        selection = self.logic.GetSelectionNode()
        if node.IsA("vtkMRMLLabelMapVolumeNode"):
            selection.SetReferenceActiveLabelVolumeID(node.GetID())
            self.logic.PropagateLabelVolumeSelection(int(fit))
        else:
            selection.SetReferenceActiveVolumeID(node.GetID())
            self.logic.PropagateBackgroundVolumeSelection(int(fit))
        for view in self.layout.all_views() if fit else ():
            if isinstance(view, HeadlessSliceView):
                view.straighten()
