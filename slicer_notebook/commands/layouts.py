"""Commands about what layouts there are, and how each arranges its views.

Slicer keeps a layout as a text of XML in its vtkMRMLLayoutNode: rows and columns, tabs, and views. What is told of it
is the same as plain data, so that a front end can draw it without knowing Slicer's XML.
"""

from __future__ import annotations

from typing import Any, Final
from xml.etree import ElementTree

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError

__all__ = ["TITLES", "arrangement", "known", "layouts"]

#: vtkMRMLLayoutNode names its layouts ``SlicerLayoutFourUpView`` and so on.
_PREFIX: Final = "SlicerLayout"
_SUFFIX: Final = "View"
#: Other names of one of those below (vtkMRMLLayoutNode::SlicerLayout): no entry of a menu.
_OTHER_NAMES: Final = ("Initial", "Default")
#: What the standard layouts are called in Slicer's menu, in its order.
TITLES: Final = {
    "Conventional": "Conventional",
    "ConventionalWidescreen": "Conventional widescreen",
    "ConventionalPlot": "Conventional plot",
    "FourUp": "Four-up",
    "FourUpTable": "Four-up table",
    "FourUpPlot": "Four-up plot",
    "FourUpPlotTable": "Four-up plot and table",
    "DualMonitorFourUp": "Dual-monitor four-up",
    "Dual3D": "Dual 3D",
    "Triple3DEndoscopy": "Triple 3D",
    "OneUp3D": "3D only",
    "3DTable": "3D and table",
    "OneUpRedSlice": "Red slice only",
    "OneUpYellowSlice": "Yellow slice only",
    "OneUpGreenSlice": "Green slice only",
    "OneUpPlot": "Plot only",
    "Tabbed3D": "Tabbed 3D",
    "TabbedSlice": "Tabbed slice",
    "SideBySide": "Side by side",
    "Compare": "Compare",
    "CompareGrid": "Compare grid",
    "TwoOverTwo": "Two over two",
    "ThreeOverThree": "Three over three",
    "ThreeOverThreePlot": "Three over three plot",
    "FourOverFour": "Four over four",
    "ThreeByThreeSlice": "Three by three slice",
    "FourByTwoSlice": "Four by two slice",
    "FourByThreeSlice": "Four by three slice",
    "FiveByTwoSlice": "Five by two slice",
}
#: MRML class of a view → what kind of view it is.
_KINDS: Final = {
    "vtkMRMLSliceNode": "slice",
    "vtkMRMLViewNode": "3d",
    "vtkMRMLTableViewNode": "table",
    "vtkMRMLPlotViewNode": "plot",
}


def known(layout_node: Any) -> dict[str, int]:
    """Layouts by name that have a description, with their numbers (vtkMRMLLayoutNode::SlicerLayout)."""
    names = [each for each in dir(layout_node) if each.startswith(_PREFIX) and each.endswith(_SUFFIX)]
    found = {each[len(_PREFIX) : -len(_SUFFIX)]: int(getattr(layout_node, each)) for each in names}
    return {name: value for name, value in found.items() if layout_node.IsLayoutDescription(value)}


@command("view.layouts", journal=False)
def layouts(host: Host) -> dict[str, dict[str, Any]]:
    """The layouts that a person can choose, in the order of Slicer's menu.

    Returns:
        Name (as ``view.set_layout`` takes it) → ``title``, as in Slicer's menu, and ``arrangement``, as
        ``view.arrangement``.
    """
    node, views = _layout_node(host), _Views(host)
    numbers = known(node)
    names = [name for name in TITLES if name in numbers]
    names += sorted(numbers.keys() - TITLES.keys() - set(_OTHER_NAMES))
    return {
        name: {"title": TITLES.get(name, name), "arrangement": _tree(views, node.GetLayoutDescription(numbers[name]))}
        for name in names
    }


@command("view.arrangement", journal=False)
def arrangement(host: Host, name: str | None = None) -> dict[str, Any]:
    """How a layout arranges its views: the present one without a name.

    Returns:
        A tree of plain data. ``kind`` is ``"horizontal"`` (children from left to right), ``"vertical"`` (from top to
        bottom), ``"tab"`` (one at a time), ``"grid"``, ``"viewports"`` (windows of their own: of two monitors), or
        ``"view"``. All but a view have ``children``, and ``split``: whether a person may move the borders between
        them. A child has ``weight``, its share of the length; in a grid ``row``, ``column`` (from 0), ``rows`` and
        ``columns`` (how many it takes); in tabs and viewports ``label``. A ``"view"`` has ``view``: its ``name``,
        ``class``, ``kind`` (``"slice"``, ``"3d"``, ``"table"``, ``"plot"``, ``"other"``), ``label`` (a letter or
        number), ``color`` (``#rrggbb``), ``orientation`` (of a slice view; else "") and ``group``.

    Raises:
        ArgumentError: no such layout.
    """
    node, views = _layout_node(host), _Views(host)
    if name is None:
        return _tree(views, node.GetCurrentLayoutDescription())
    numbers = {each.lower(): value for each, value in known(node).items()}
    if name.lower() not in numbers:
        raise ArgumentError(f"There is no layout {name!r}.", expected=", ".join(known(node)), got=repr(name))
    return _tree(views, node.GetLayoutDescription(numbers[name.lower()]))


def _layout_node(host: Host) -> Any:
    return host.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


class _Views:
    """The view nodes of the scene, looked up once.

    Args:
        host: the Slicer.
    """

    def __init__(self, host: Host) -> None:
        self._slicer = host.slicer
        self._nodes = host.nodes("vtkMRMLAbstractViewNode")

    def of(self, element: ElementTree.Element) -> list[Any]:
        """Those that a ``view`` element means (vtkMRMLLayoutLogic::GetViewsFromAttributes)."""
        tag = element.get("singletontag")
        found = [node for node in self._nodes if node.IsA(element.get("class", ""))]
        return [node for node in found if tag is None or node.GetSingletonTag() == tag]

    def default_color(self, class_name: str) -> str:
        """Of a view that has not been made; "" where there is no such class."""
        made = getattr(self._slicer, class_name, None)
        return _hex_of(made()) if class_name in _KINDS and made is not None else ""


def _tree(views: _Views, description: str | None) -> dict[str, Any]:
    if not (description or "").strip():
        return {"kind": "vertical", "split": False, "children": []}
    try:
        root = ElementTree.fromstring(description or "")
    except ElementTree.ParseError as exc:
        raise ArgumentError(
            "The layout's description cannot be read.", expected="XML, as of vtkMRMLLayoutNode", got=str(exc)
        ) from None
    return _part(views, root)


def _part(views: _Views, element: ElementTree.Element) -> dict[str, Any]:
    if element.tag == "view":
        return {"kind": "view", "view": _view(views, element, next(iter(views.of(element)), None))}
    if element.tag == "viewports":
        windows = [_part(views, each) | {"weight": 1.0, "label": each.get("label", "")} for each in element]
        return {"kind": "viewports", "split": False, "children": windows}
    kind = element.get("type", "horizontal")
    children: list[dict[str, Any]] = []
    items = element.findall("item")
    sizes = [item.get("splitSize") for item in items]
    for item, size in zip(items, sizes, strict=True):
        # Sizes are parts of each other, and of no use where one has none.
        weight = float(size) if size is not None and None not in sizes else 1.0
        for part in _item(views, item):
            children.append(part | {"weight": weight} | _place(kind, item, part))
    return {"kind": kind, "split": element.get("split") == "true", "children": children}


def _item(views: _Views, item: ElementTree.Element) -> list[dict[str, Any]]:
    """What an item holds: one thing, or all views of a class that the scene has (``multiple``)."""
    inside = next((each for each in item if each.tag in ("layout", "view")), None)
    if inside is None:
        return []
    if inside.tag == "view" and item.get("multiple") == "true":
        nodes = views.of(inside)
        if nodes:
            return [{"kind": "view", "view": _view(views, inside, node)} for node in nodes]
    return [_part(views, inside)]


def _place(kind: str, item: ElementTree.Element, part: dict[str, Any]) -> dict[str, Any]:
    if kind == "grid":
        return {
            "row": int(item.get("row", 0)),
            "column": int(item.get("column", 0)),
            "rows": int(item.get("rowspan", 1)),
            "columns": int(item.get("colspan", 1)),
        }
    if kind == "tab":
        return {"label": item.get("name") or (part["view"]["name"] if part["kind"] == "view" else "")}
    return {}


def _view(views: _Views, element: ElementTree.Element, node: Any) -> dict[str, Any]:
    properties = {each.get("name", ""): (each.text or "").strip() for each in element.findall("property")}
    class_name = element.get("class", "")
    found = {
        "name": element.get("singletontag", ""),
        "class": class_name,
        "kind": _KINDS.get(class_name, "other"),
        "label": properties.get("viewlabel", ""),
        "color": _hex(properties.get("viewcolor", "")) or views.default_color(class_name),
        "orientation": properties.get("orientation", ""),
        "group": int(properties.get("viewgroup", 0)),
    }
    if node is not None:
        # The description is only what a view is made with; a person may have changed it since.
        found |= {
            "name": node.GetSingletonTag() or node.GetLayoutName() or "",
            "label": node.GetLayoutLabel() or found["label"],
            "color": _hex_of(node),
            "group": node.GetViewGroup(),
        }
        if node.IsA("vtkMRMLSliceNode"):
            found["orientation"] = node.GetOrientation()
    return found


def _hex_of(node: Any) -> str:
    """``#rrggbb`` of a view node."""
    red, green, blue = (round(255 * each) for each in node.GetLayoutColor())
    return f"#{red:02x}{green:02x}{blue:02x}"


def _hex(color: str) -> str:
    """``#rrggbb`` of a colour of HTML, "" of what is none."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
    except ValueError:
        return ""
    return f"#{red:02x}{green:02x}{blue:02x}"
