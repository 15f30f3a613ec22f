# ruff: noqa: N802, N815 - Slicer's names
"""``slicer.app.layoutManager()``: qSlicerLayoutManager's methods over `Layout`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .qt_free import QtFree, qt_required
from .views import Headless3DView, HeadlessSliceView
from .widgets import SliceWidget, ThreeDWidget

if TYPE_CHECKING:
    from .application import Application

__all__ = ["LayoutManager"]


class LayoutManager(QtFree):
    """What scripts call on ``slicer.app.layoutManager()``; the rest raises `QtRequiredError`."""

    _path = "slicer.app.layoutManager()"
    #: Table and plot views are Qt widgets: there are none.
    tableViewCount = 0
    plotViewCount = 0

    def __init__(self, application: Application) -> None:
        self._application = application

    @property
    def _layout(self) -> Any:
        return self._application.layout

    # -- layout -------------------------------------------------------------------------------------------------

    @property
    def layout(self) -> int:
        """Number of the present layout (vtkMRMLLayoutNode::SlicerLayout)."""
        return int(self._layout.node.GetViewArrangement())

    @layout.setter
    def layout(self, layout: int) -> None:
        self.setLayout(layout)

    def setLayout(self, layout: int) -> None:
        self._layout.node.SetViewArrangement(int(layout))

    def layoutLogic(self) -> Any:
        return self._layout.logic

    def mrmlScene(self) -> Any:
        return self._application.scene

    # -- slice views --------------------------------------------------------------------------------------------

    def sliceViewNames(self) -> tuple[str, ...]:
        """Names of the present layout's slice views."""
        return tuple(view.name for view in self._layout.slice_views())

    def sliceWidget(self, name: str) -> SliceWidget | None:
        """The slice view called ``name``, whether the present layout shows it or not; None if there never was one."""
        for view in self._layout.all_views():
            if isinstance(view, HeadlessSliceView) and view.name == name:
                return SliceWidget(view)
        return None

    def mrmlSliceLogics(self) -> Any:
        return self._application.logic.GetSliceLogics()

    def resetSliceViews(self) -> None:
        for view in self._layout.slice_views():
            view.fit()

    # -- 3-D views ----------------------------------------------------------------------------------------------

    @property
    def threeDViewCount(self) -> int:
        return len(self._layout.threed_views())

    def threeDWidget(self, which: int | str | Any) -> ThreeDWidget | None:
        """A 3-D view by index, name or view node; None if there is no such view."""
        views: list[Headless3DView] = self._layout.threed_views()
        if isinstance(which, int):
            return ThreeDWidget(views[which]) if 0 <= which < len(views) else None
        for view in views:
            if which in (view.name, view.node):
                return ThreeDWidget(view)
        return None

    def activeMRMLThreeDViewNode(self) -> Any:
        views = self._layout.threed_views()
        return views[0].node if views else None

    def activeThreeDRenderer(self) -> Any:
        views = self._layout.threed_views()
        return views[0].native.first_renderer() if views else None

    def mrmlViewLogics(self) -> Any:
        return self._application.logic.GetViewLogics()

    def resetThreeDViews(self) -> None:
        for view in self._layout.threed_views():
            view.fit()

    # -- Qt's ---------------------------------------------------------------------------------------------------

    def plotWidget(self, which: int) -> Any:
        raise qt_required(f"{self._path}.plotWidget({which!r})", "draw the chart's table with matplotlib")

    def tableWidget(self, which: int) -> Any:
        raise qt_required(f"{self._path}.tableWidget({which!r})", "show slicer.util.dataframeFromTable(node)")
