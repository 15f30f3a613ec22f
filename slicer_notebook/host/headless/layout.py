"""``slicer.app.layoutManager()``: the views of the present layout, kept by the real vtkMRMLLayoutLogic.

The layout node's description (XML) says which views there are; vtkMRMLLayoutLogic makes their MRML nodes. What
qMRMLLayoutManager adds in Slicer is done here: a view object for each node and the description's view properties
(orientation, colour, label).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.errors import ArgumentError, ViewNotFoundError

from .native import NativeSliceView, NativeThreeDView
from .views import AnyView, Headless3DView, HeadlessSliceView, LazyRender, Quiet

__all__ = ["Layout"]

#: Further names of the first 3-D view, whose layout name is "1".
_ALIASES_3D: Final = ("3d", "threed", "view1")


class Layout:
    """The layout of one application: which views there are, and the views themselves.

    Args:
        slicer: the ``slicer`` module.
        application_logic: the application's vtkSlicerApplicationLogic.
        on_dirty: called with a view's name when its picture went out of date.
    """

    def __init__(self, slicer: Any, scene: Any, application_logic: Any, on_dirty: Callable[[str], None]) -> None:
        self._slicer = slicer
        self._scene = scene
        self._application_logic = application_logic
        self._on_dirty = on_dirty
        self._views: dict[str, AnyView] = {}
        self._pauses = 0
        #: True while a picture is taken for which a view is changed and put back.
        self.quiet = Quiet()
        self.logic = slicer.vtkMRMLLayoutLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        self.logic.SetMRMLScene(scene)
        self.node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self.update()
        self.node.AddObserver("ModifiedEvent", self._on_layout_modified)
        scene.AddObserver(scene.EndCloseEvent, self._on_scene_closed)

    @property
    def node(self) -> Any:
        """The scene's vtkMRMLLayoutNode."""
        return self.logic.GetLayoutNode()

    def _on_layout_modified(self, _caller: Any, _event: str) -> None:
        self.update()

    def update(self) -> None:
        """Make the views that the present layout has and that were not made yet."""
        for node in self._nodes():
            if node.GetID() not in self._views:
                view = self._make(node)
                if view is not None:
                    self._views[node.GetID()] = view
                    self._apply_description(node)
        self._mark_mapped()

    def _mark_mapped(self) -> None:
        # Slices are drawn into each other's views only where both are in the layout.
        shown = {view.node.GetID() for view in self.views()}
        for view in self.all_views():
            view.node.SetMappedInLayout(int(view.node.GetID() in shown))

    def _on_scene_closed(self, _scene: Any, _event: str) -> None:
        # Closing the scene resets the view nodes, that mark included.
        self._mark_mapped()

    def _nodes(self) -> list[Any]:
        nodes = self.logic.GetViewNodes()
        found = [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]
        # Of an item for several views, the logic has only the first; qMRMLLayoutManager shows all that the scene has.
        for class_name in self._multiple(self.node.GetLayoutRootElement()):
            ids = {node.GetID() for node in found}
            others = self._scene.GetNodesByClass(class_name)
            nodes = [others.GetItemAsObject(index) for index in range(others.GetNumberOfItems())]
            found += [node for node in nodes if node.GetID() not in ids]
        return found

    def _multiple(self, element: Any) -> list[str]:
        """MRML classes of which the layout shows all views."""
        if element is None:
            return []
        inside = [element.GetNestedElement(index) for index in range(element.GetNumberOfNestedElements())]
        if element.GetName() == "item" and element.GetAttribute("multiple") == "true":
            return [each.GetAttribute("class") for each in inside if not each.GetAttribute("singletontag")]
        return [class_name for each in inside for class_name in self._multiple(each)]

    def _make(self, node: Any) -> AnyView | None:
        name = node.GetSingletonTag()
        lazy = LazyRender(lambda: self._on_dirty(name), self.quiet)
        for _ in range(self._pauses):
            lazy.pause()
        if node.IsA("vtkMRMLSliceNode"):
            return HeadlessSliceView(name, NativeSliceView(node, self._scene, self._application_logic, lazy), lazy)
        if node.IsA("vtkMRMLViewNode"):
            return Headless3DView(name, NativeThreeDView(node, self._scene, self._application_logic, lazy), lazy)
        return None

    def _apply_description(self, node: Any) -> None:
        for name, value in self._properties(self.node.GetLayoutRootElement(), node.GetSingletonTag()).items():
            if name == "orientation":
                node.SetOrientation(value)
                node.SetDefaultOrientation(value)
            elif name == "viewlabel":
                node.SetLayoutLabel(value)
            elif name == "viewcolor":
                self._color(node, value)
            elif name == "viewgroup":
                node.SetViewGroup(int(value))

    @staticmethod
    def _color(node: Any, value: str) -> None:
        """Colour a view by ``#rrggbb`` or an HTML name, as Slicer's layouts have it; another text changes nothing."""
        from PIL import ImageColor

        try:
            red, green, blue = ImageColor.getrgb(value)[:3]
        except ValueError:
            return
        node.SetLayoutColor(red / 255, green / 255, blue / 255)

    def _properties(self, element: Any, tag: str) -> dict[str, str]:
        if element is None:
            return {}
        if element.GetName() == "view" and element.GetAttribute("singletontag") == tag:
            children = [element.GetNestedElement(index) for index in range(element.GetNumberOfNestedElements())]
            return {
                child.GetAttribute("name"): (child.GetCharacterData() or "").strip()
                for child in children
                if child.GetName() == "property"
            }
        for index in range(element.GetNumberOfNestedElements()):
            found = self._properties(element.GetNestedElement(index), tag)
            if found:
                return found
        return {}

    def views(self) -> list[AnyView]:
        """The present layout's views, in the layout's order."""
        return [self._views[node.GetID()] for node in self._nodes() if node.GetID() in self._views]

    def all_views(self) -> list[AnyView]:
        """All views made so far, whether the present layout has them or not."""
        return list(self._views.values())

    def slice_views(self) -> list[HeadlessSliceView]:
        return [view for view in self.views() if isinstance(view, HeadlessSliceView)]

    def threed_views(self) -> list[Headless3DView]:
        return [view for view in self.views() if isinstance(view, Headless3DView)]

    def view(self, name: str) -> AnyView:
        """The view called ``name`` of the present layout.

        Raises:
            ViewNotFoundError: there is none; the message names those there are.
        """
        views = self.views()
        for view in views:
            if name in (view.name, view.node.GetID(), view.node.GetName()):
                return view
        if isinstance(name, str) and name.lower() in _ALIASES_3D:
            for view in views:
                if view.kind == "3d":
                    return view
        raise ViewNotFoundError(
            f"The present layout has no view {name!r}.",
            expected=", ".join(view.name for view in views),
            got=repr(name),
            hint="set the layout, or take one of these",
        )

    def pause(self) -> None:
        """Report no view as out of date until `resume`; calls nest."""
        self._pauses += 1
        for view in self.all_views():
            view.lazy.pause()

    def resume(self) -> None:
        if self._pauses:
            self._pauses -= 1
            for view in self.all_views():
                view.lazy.resume()

    @property
    def name(self) -> str:
        """Name of the present layout: the middle of ``vtkMRMLLayoutNode.SlicerLayout...View`` ("FourUp")."""
        present = self.node.GetViewArrangement()
        for name, value in self.known().items():
            if value == present:
                return name
        return str(present)

    @name.setter
    def name(self, name: str) -> None:
        known = self.known()
        by_lower = {each.lower(): value for each, value in known.items()}
        if not isinstance(name, str) or name.lower() not in by_lower:
            raise ArgumentError(f"There is no layout {name!r}.", expected=", ".join(known), got=repr(name))
        self.node.SetViewArrangement(by_lower[name.lower()])

    def known(self) -> dict[str, int]:
        """Layouts by name that have a description, with their numbers."""
        # Here: importing the commands at the start of a Slicer would take as long as all the rest of it.
        from slicer_notebook.commands.layouts import known

        return known(self.node)
