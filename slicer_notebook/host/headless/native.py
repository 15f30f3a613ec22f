"""trame-slicer's views, attached to the view nodes that the layout made.

trame-slicer makes a view node of its own (``AddSliceNode``). Where the layout logic made the singleton already,
vtkMRMLScene keeps that one and the view would hold a copy outside the scene; hence these two subclasses.
"""

from __future__ import annotations

from typing import Any

from trame_slicer.views import abstract_view
from trame_slicer.views.render_scheduler import ScheduledRenderStrategy
from trame_slicer.views.slice_view import SliceView
from trame_slicer.views.threed_view import ThreeDView
from vtkmodules.vtkRenderingUI import vtkGenericRenderWindowInteractor
from vtkmodules.vtkRenderingVolume import vtkFixedPointVolumeRayCastMapper

__all__ = ["NativeSliceView", "NativeThreeDView"]


class LazyInteractor(vtkGenericRenderWindowInteractor):
    """An interactor that needs no window system, and that renders nothing when it is initialized.

    VTK's own choice is the X interactor, whose ``Initialize`` renders: that makes the OpenGL context of every view at
    start-up and, where there is no OpenGL, ends the process.
    """

    def Initialize(self) -> None:  # noqa: N802 - VTK's name
        self.EnableRenderOff()
        self.Enable()


# trame-slicer's view makes its interactor by this name; there is no argument for another one.
abstract_view.vtkRenderWindowInteractor = LazyInteractor


class NativeSliceView(SliceView):
    """A slice view on an existing vtkMRMLSliceNode."""

    def __init__(self, node: Any, scene: Any, application_logic: Any, strategy: ScheduledRenderStrategy) -> None:
        self._given_node = node
        super().__init__(scene, application_logic, node.GetSingletonTag(), scheduled_render_strategy=strategy)

    def set_scene(self, scene: Any) -> None:
        self._scene = scene
        self._logic.SetMRMLScene(scene)
        self._logic.SetSliceNode(self._given_node)
        self._logic.SetDisplayableManagerGroup(self._displayable_manager_group)
        self.set_view_node(self._given_node)

    def _reset_node_view_properties(self) -> None:
        """The layout's description sets them (`Layout`), and only when the view is new."""

    def update_size(self, width: int, height: int) -> None:
        super().update_size(width, height)
        self._update_slice_size()


def _peel_volumes_that_can_be(renderer: Any, _event: str) -> None:
    """Before a picture: volumes take part in depth peeling, unless one is drawn by VTK's ray caster for the CPU.

    That one draws noise then, as soon as something translucent is in the view, such as the inside of a ROI.
    """
    volumes = renderer.GetVolumes()
    mappers = [volumes.GetItemAsObject(n).GetMapper() for n in range(volumes.GetNumberOfItems())]
    on_cpu = any(isinstance(mapper, vtkFixedPointVolumeRayCastMapper) for mapper in mappers)
    renderer.SetUseDepthPeelingForVolumes(not on_cpu)


class NativeThreeDView(ThreeDView):
    """A 3-D view on an existing vtkMRMLViewNode."""

    def __init__(self, node: Any, scene: Any, application_logic: Any, strategy: ScheduledRenderStrategy) -> None:
        self._given_node = node
        super().__init__(scene, application_logic, node.GetSingletonTag(), scheduled_render_strategy=strategy)
        self.renderer().AddObserver("StartEvent", _peel_volumes_that_can_be)

    def set_scene(self, scene: Any) -> None:
        self._scene = scene
        self._logic.SetMRMLScene(scene)
        # By its name the logic finds the view node and its camera.
        self._logic.SetName(self._given_node.GetLayoutName())
        self._logic.SetDisplayableManagerGroup(self._displayable_manager_group)
        self.set_view_node(self._given_node)

    def _reset_node_view_properties(self) -> None:
        """The layout's description sets them (`Layout`), and only when the view is new."""
