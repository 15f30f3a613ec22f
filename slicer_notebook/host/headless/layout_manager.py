"""``slicer.app.layoutManager()``: qSlicerLayoutManager's methods over `Layout`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .views import Headless3DView, HeadlessSliceView

if TYPE_CHECKING:
    from .application import Application

__all__ = ["LayoutManager"]


class SliceWidget:
    """qMRMLSliceWidget without the widget."""

    def __init__(self, view: HeadlessSliceView) -> None:
        self._view = view

    def sliceLogic(self) -> Any:  # noqa: N802 - Slicer's name
        return self._view.logic

    def mrmlSliceNode(self) -> Any:  # noqa: N802 - Slicer's name
        return self._view.node

    def mrmlSliceCompositeNode(self) -> Any:  # noqa: N802 - Slicer's name
        return self._view.logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:  # noqa: N802 - Slicer's name
        self._view.fit()


class LayoutManager:
    """What scripts call on ``slicer.app.layoutManager()``."""

    def __init__(self, application: Application) -> None:
        self._application = application

    @property
    def _layout(self) -> Any:
        return self._application.layout

    def sliceViewNames(self) -> tuple[str, ...]:  # noqa: N802 - Slicer's name
        return tuple(view.name for view in self._layout.slice_views())

    def sliceWidget(self, name: str) -> SliceWidget | None:  # noqa: N802 - Slicer's name
        for view in self._layout.all_views():
            if isinstance(view, HeadlessSliceView) and view.name == name:
                return SliceWidget(view)
        return None

    def mrmlSliceLogics(self) -> Any:  # noqa: N802 - Slicer's name
        return self._application.logic.GetSliceLogics()

    @property
    def threeDViewCount(self) -> int:  # noqa: N802 - Slicer's name
        return len(self._layout.threed_views())

    def setLayout(self, layout: int) -> None:  # noqa: N802 - Slicer's name
        self._layout.node.SetViewArrangement(int(layout))

    @property
    def layout(self) -> int:
        return int(self._layout.node.GetViewArrangement())

    def resetSliceViews(self) -> None:  # noqa: N802 - Slicer's name
        for view in self._layout.slice_views():
            view.fit()

    def resetThreeDViews(self) -> None:  # noqa: N802 - Slicer's name
        for view in self._layout.threed_views():
            assert isinstance(view, Headless3DView)
            view.fit()
