"""Commands about volume rendering: presets and their icons, transfer functions, shading, method, quality, cropping.

A volume is shown by a ``vtkMRMLVolumeRenderingDisplayNode`` of its own, made by the first change; its transfer
functions and shading are those of a ``vtkMRMLVolumePropertyNode``, as in Slicer's module Volume Rendering.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from slicer_notebook.commands import transfer_functions as functions
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array, NodeRef

VOLUME: Final = "vtkMRMLVolumeNode"

Method = Literal["cpu", "gpu"]
Quality = Literal["adaptive", "normal", "maximum"]
Interpolation = Literal["nearest", "linear"]

_CLASSES: Final[dict[str, str]] = {
    "cpu": "vtkMRMLCPURayCastVolumeRenderingDisplayNode",
    "gpu": "vtkMRMLGPURayCastVolumeRenderingDisplayNode",
}
#: In the order of their numbers: vtkMRMLViewNode's VolumeRenderingQuality, vtkVolumeProperty's InterpolationType.
_QUALITIES: Final = get_args(Quality)
_INTERPOLATIONS: Final = get_args(Interpolation)
#: What draws without a graphics card, as OpenGL names it.
_SOFTWARE: Final = ("llvmpipe", "softpipe", "swrast", "software", "osmesa")
#: Colours of a voxel that volume rendering knows: red, green, blue, and opacity.
_COLOURS: Final = (3, 4)
#: The attribute of ROIs that were made here.
_OWN: Final = "slicer_notebook.rendering"

_SHADING: Final = ("ambient", "diffuse", "specular", "power")


# -- presets ---------------------------------------------------------------------------------------------------------


def _logic(host: Host) -> Any:
    return host.slicer.modules.volumerendering.logic()


def _presets(host: Host) -> list[Any]:
    scene = _logic(host).GetPresetsScene()
    nodes = (scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes()))
    return [node for node in nodes if node.IsA("vtkMRMLVolumePropertyNode")]


@command("rendering.presets", journal=False)
def presets(host: Host) -> list[str]:
    """Names of Slicer's volume rendering presets, such as ``CT-Chest-Contrast-Enhanced``, in Slicer's order."""
    return [node.GetName() for node in _presets(host)]


@command("rendering.icons", journal=False)
def icons(host: Host) -> dict[str, bytes | None]:
    """A small picture (PNG, 128 x 100) of each preset, by name; None for one that has none.

    They are files of the module's shared folder; presets that were added to Slicer at run time have none.
    """
    folder = Path(_logic(host).GetModuleShareDirectory()) / "presets_icons" / "3d"
    found: dict[str, bytes | None] = {}
    for name in presets(host):
        path = folder / f"{name}.png"
        # A name is whatever somebody called a preset: no path.
        inside = path.parent == folder and path.is_file()
        found[name] = path.read_bytes() if inside else None
    return found


# -- nodes -----------------------------------------------------------------------------------------------------------


def _check(volume: Any, host: Host) -> None:
    """Raises ArgumentError or ArrayError for what volume rendering cannot show, or would show wrong."""
    name = volume.GetName()
    if any(volume.IsA(f"vtkMRMLDiffusion{kind}VolumeNode") for kind in ("Weighted", "Tensor", "Image")):
        raise ArgumentError(
            f"{name!r} has measurements for each direction, which volume rendering cannot show.",
            expected="a scalar volume, a label map or a colour volume",
            got=volume.GetClassName(),
            hint="show a volume of one of its components",
        )
    voxels = host.voxels(volume)
    if min(voxels.shape[:3]) < 2:
        raise ArgumentError(
            f"{name!r} is no more than a plane: there is nothing to render.",
            expected="2 voxels or more along each axis",
            got=f"{voxels.shape[:3]} along k, j, i",
        )
    components = voxels.shape[3] if voxels.ndim == 4 else 1
    if components > 1 and (components not in _COLOURS or voxels.dtype != np.uint8):
        raise ArgumentError(
            f"{name!r} has {components} values of {voxels.dtype.name} to a voxel, which are no colours.",
            expected="one value, or 3 or 4 of uint8: red, green, blue, opacity",
            got=f"{components} of {voxels.dtype.name}",
            hint="add a volume of one of its components",
        )
    if voxels.dtype.kind == "f" and np.isinf(voxels).any():
        raise ArrayError(
            f"{name!r} has voxels that are infinite: it would be drawn as a black box.",
            expected="finite voxels, or NaN",
            got=f"{int(np.isinf(voxels).sum())} infinite ones",
            hint="volume.array = numpy.clip(volume.array, lowest, highest)",
        )


def _components(volume: Any) -> int:
    image = volume.GetImageData()
    return int(image.GetNumberOfScalarComponents()) if image is not None else 1


def _default_method(host: Host, volume: Any) -> Method:
    """What draws this volume well here.

    Without a graphics card OpenGL's ray caster takes ten times as long for a picture as VTK's own for the CPU. That one
    draws cracks into volumes of colours.
    """
    renderer = host.info().get("renderer") or {}
    words = " ".join(str(each) for each in renderer.values()).lower()
    software = any(each in words for each in _SOFTWARE)
    return "cpu" if software and _components(volume) == 1 else "gpu"


def _display(host: Host, volume: Any) -> Any:
    return _logic(host).GetFirstVolumeRenderingDisplayNode(volume)


def _made_display(host: Host, volume: Any) -> Any:
    """The volume's display node; made, hidden, with the preset that Slicer finds fit, if there is none."""
    display = _display(host, volume)
    if display is not None:
        return display
    _check(volume, host)
    logic = _logic(host)
    scene = host.slicer.mrmlScene
    first = scene.GetNumberOfNodesByClass("vtkMRMLVolumeRenderingDisplayNode") == 0
    method = _default_method(host, volume)
    former = logic.GetDefaultRenderingMethod()
    logic.SetDefaultRenderingMethod(_CLASSES[method])
    try:
        display = logic.CreateDefaultVolumeRenderingNodes(volume)
    finally:
        logic.SetDefaultRenderingMethod(former)
    display.SetVisibility(False)
    if first and method == "cpu":
        # It draws the still picture as "normal" does, and while something moves a coarser one at once.
        _set_quality(host, "adaptive")
    return display


def _set_method(host: Host, volume: Any, display: Any, method: str) -> Any:
    """The display node in the class that draws by ``method``, with all else as it was."""
    if display.IsA(_CLASSES[method]):
        return display
    scene = host.slicer.mrmlScene
    made = scene.CreateNodeByClass(_CLASSES[method])
    made.UnRegister(None)
    made.Copy(display)
    made = scene.AddNode(made)
    visible = display.GetVisibility()
    scene.RemoveNode(display)
    volume.AddAndObserveDisplayNodeID(made.GetID())
    made.SetVisibility(visible)
    return made


def _views(host: Host) -> list[Any]:
    return list(host.nodes("vtkMRMLViewNode"))


def _set_quality(host: Host, quality: str) -> None:
    for view in _views(host):
        view.SetVolumeRenderingQuality(_QUALITIES.index(quality))


def _fit_views(host: Host) -> None:
    for name in host.view_names():
        if host.view(name).kind == "3d":
            host.view(name).fit()


# -- state -----------------------------------------------------------------------------------------------------------


@command("rendering.state", journal=False)
def state(host: Host, node: NodeLike) -> dict[str, Any]:
    """How a volume is rendered; a read changes nothing, and makes no display node.

    Returns:
        ``exists``: whether it has a display node. ``visible``. ``preset``: whose colours and opacities these are, up to
        a shift along the values; None for others. ``shift`` and ``shift_range``, in the volume's units; the range is
        Slicer's: the width of the functions to both sides. ``opacity`` [n, 2], ``color`` [n, 4], ``gradient_opacity``
        [n, 2]. ``shade`` and ``ambient``, ``diffuse``, ``specular``, ``power``. ``interpolation``. ``quality``, of all
        3-D views. ``method``. ``cropped``, ``roi``, ``roi_visible``. ``colored``: the voxels are colours, and ``color``
        is not used. ``nodes``: ids of the nodes that this was read from. ``stamp``: rises when voxels change.
    """
    volume = host.node(node, VOLUME)
    display = _display(host, volume)
    views = _views(host)
    image = volume.GetImageData()
    found: dict[str, Any] = {
        "exists": display is not None,
        "quality": _QUALITIES[views[0].GetVolumeRenderingQuality()] if views else None,
        "colored": _components(volume) > 1,
        "stamp": int(image.GetMTime()) if image is not None else 0,
    }
    if display is None:
        nothing = dict.fromkeys(("preset", "method", "interpolation", "roi", *_SHADING))
        empty = {"opacity": np.empty((0, 2)), "color": np.empty((0, 4)), "gradient_opacity": np.empty((0, 2))}
        hidden = {"visible": False, "shade": False, "cropped": False, "roi_visible": False}
        ids = [each.GetID() for each in (volume, *views)]
        return {**found, **nothing, **hidden, **empty, "shift": 0.0, "shift_range": (-1.0, 1.0), "nodes": ids}
    node_of = display.GetVolumePropertyNode()
    base = functions.base_of(node_of, _presets(host))
    drawn = node_of.GetVolumeProperty()
    points = {
        "opacity": functions.points_of(functions.read(node_of, "opacity")),
        "color": functions.points_of(functions.read(node_of, "color")),
        "gradient_opacity": functions.points_of(functions.read(node_of, "gradient opacity")),
    }
    roi = display.GetROINode()
    return {
        **found,
        "visible": bool(display.GetVisibility()),
        "preset": base.preset,
        "shift": base.shift,
        "shift_range": _shift_range(base.functions),
        **points,
        "shade": bool(drawn.GetShade(0)),
        "ambient": drawn.GetAmbient(0),
        "diffuse": drawn.GetDiffuse(0),
        "specular": drawn.GetSpecular(0),
        "power": drawn.GetSpecularPower(0),
        "interpolation": _INTERPOLATIONS[min(drawn.GetInterpolationType(), len(_INTERPOLATIONS) - 1)],
        "method": "cpu" if display.IsA(_CLASSES["cpu"]) else "gpu",
        "cropped": bool(display.GetCroppingEnabled()) and roi is not None,
        "roi": host.ref(roi) if roi is not None else None,
        "roi_visible": roi is not None and bool(roi.GetDisplayVisibility()),
        "nodes": [each.GetID() for each in (volume, display, node_of, roi, *views) if each is not None],
    }


def _shift_range(points: functions.Functions) -> tuple[float, float]:
    """As far as Slicer's slider goes: the width of the functions, to both sides."""
    values = np.concatenate([points.opacity[:, 0], points.color[:, 0]])
    width = float(np.ptp(values)) if values.size else 0.0
    return (-width, width) if width > 0 else (-1.0, 1.0)


# -- changes ---------------------------------------------------------------------------------------------------------


@command("rendering.set")
def set_rendering(
    host: Host,
    node: NodeLike,
    visible: bool | None = None,
    preset: str | None = None,
    shift: float | None = None,
    opacity: Any = None,
    color: Any = None,
    gradient_opacity: Any = None,
    shade: bool | None = None,
    ambient: float | None = None,
    diffuse: float | None = None,
    specular: float | None = None,
    power: float | None = None,
    interpolation: Interpolation | None = None,
    method: Method | None = None,
    quality: Quality | None = None,
    cropped: bool | None = None,
    roi_visible: bool | None = None,
) -> dict[str, Any]:
    """Change how a volume is rendered: only what is given, all of it or, where something does not fit, nothing.

    The preset comes first, then the shift, then functions (as they are to be at that shift), then all else.

    Args:
        visible: in the 3-D views, which show all of it the first time.
        preset: one of ``rendering.presets``: transfer functions, gradient opacity, shading and interpolation.
        shift: how far opacities and colours are moved along the values, from where preset or edits had them; the
            volume's units. 0 is the preset again, exactly.
        opacity: [n, 2] value, opacity; values rise, opacities are 0 to 1, straight lines between. Of a colour volume
            of 4 components the values are those of the last one, of 3 components the brightness.
        color: [n, 4] value, red, green, blue, 0 to 1.
        gradient_opacity: [n, 2] gradient magnitude, opacity.
        shade: whether there is light; ambient, diffuse and specular are 0 to 1, power is 1 to 128.
        interpolation: between voxels.
        method: "cpu" is VTK's ray caster for the CPU, "gpu" that of OpenGL.
        quality: of all 3-D views.
        cropped: only what is in the ROI is drawn; a ROI around the volume is made if there is none.
        roi_visible: whether the ROI's box is seen.

    Returns:
        As ``rendering.state``.

    Raises:
        ArgumentError: no such preset, a number outside its limits, colours for a volume of colours, or a volume that
            cannot be rendered.
        ArrayError: points that make no function, or infinite voxels.
    """
    volume = host.node(node, VOLUME)
    chosen = _checked_preset(host, preset)
    shading = _checked_shading(dict(zip(_SHADING, (ambient, diffuse, specular, power), strict=True)))
    if shift is not None and not np.isfinite(shift):
        raise ArgumentError("The shift does not fit.", expected="a finite number", got=repr(shift))
    nodes = _checked_functions(volume, {"opacity": opacity, "color": color, "gradient opacity": gradient_opacity})
    if visible:
        _check(volume, host)
    existed = _display(host, volume) is not None
    if not existed and visible is False and not any((chosen, shift, nodes, shade, shading, interpolation, method)):
        return state(host, node)
    display = _made_display(host, volume)
    if method is not None:
        display = _set_method(host, volume, display, method)
    drawn = display.GetVolumePropertyNode()
    modifying = drawn.StartModify()
    try:
        _set_functions(host, drawn, chosen, shift, nodes)
        _set_looks(drawn.GetVolumeProperty(), shade, shading, interpolation)
    finally:
        drawn.EndModify(modifying)
    if quality is not None:
        _set_quality(host, quality)
    _set_box(host, volume, display, cropped, roi_visible)
    if visible is not None:
        display.SetVisibility(visible)
        if visible and not existed:
            _fit_views(host)
    return state(host, node)


def _checked_preset(host: Host, name: str | None) -> Any:
    if name is None:
        return None
    found = next((node for node in _presets(host) if node.GetName() == name), None)
    if found is None:
        raise ArgumentError(
            f"There is no volume rendering preset {name!r}.", expected=", ".join(presets(host)), got=name
        )
    return found


def _checked_functions(volume: Any, given: dict[functions.Kind, Any]) -> dict[functions.Kind, Array]:
    if given["color"] is not None and _components(volume) > 1:
        raise ArgumentError(
            f"The colours of {volume.GetName()!r} are its voxels'.", expected="no colour function", got="one"
        )
    return {kind: functions.checked(kind, points) for kind, points in given.items() if points is not None}


def _checked_shading(given: dict[str, float | None]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in given.items():
        if value is None:
            continue
        low, high = (1.0, 128.0) if name == "power" else (0.0, 1.0)
        if not low <= value <= high:
            raise ArgumentError(
                f"The {name} part of the shading does not fit.", expected=f"{low:g} to {high:g}", got=f"{value:g}"
            )
        found[name] = float(value)
    return found


def _set_functions(
    host: Host, drawn: Any, preset: Any, shift: float | None, nodes: dict[functions.Kind, Array]
) -> None:
    if preset is not None:
        drawn.Copy(preset)
        functions.remember(drawn, functions.Base(preset.GetName(), functions.functions_of(preset), 0.0, 0.0))
    if shift is not None:
        base = functions.base_of(drawn, _presets(host))
        functions.put(drawn, "opacity", functions.shifted(base.functions.opacity, shift - base.at))
        functions.put(drawn, "color", functions.shifted(base.functions.color, shift - base.at))
        functions.remember(drawn, base._replace(shift=float(shift)))
    if nodes:
        # Before they change: edits are made at the shift that there is.
        at = functions.base_of(drawn, _presets(host)).shift
        for kind, each in nodes.items():
            functions.put(drawn, kind, each)
        if nodes.keys() - {"gradient opacity"}:
            functions.remember(drawn, functions.Base(None, functions.functions_of(drawn), at, at))


def _set_looks(drawn: Any, shade: bool | None, shading: dict[str, float], interpolation: str | None) -> None:
    # A material for each component; those of a volume of colours are all drawn by the first one.
    if shade is not None:
        drawn.SetShade(0, int(shade))
    setters = (drawn.SetAmbient, drawn.SetDiffuse, drawn.SetSpecular, drawn.SetSpecularPower)
    for name, setter in zip(_SHADING, setters, strict=True):
        if name in shading:
            setter(0, shading[name])
    if interpolation is not None:
        drawn.SetInterpolationType(_INTERPOLATIONS.index(interpolation))


# -- cropping --------------------------------------------------------------------------------------------------------


def _set_box(host: Host, volume: Any, display: Any, cropped: bool | None, seen: bool | None) -> None:
    if cropped:
        _roi_of(host, volume, display)
    if cropped is not None:
        display.SetCroppingEnabled(cropped)
    if seen or (seen is False and display.GetROINode() is not None):
        _roi_of(host, volume, display).SetDisplayVisibility(seen)


def _roi_of(host: Host, volume: Any, display: Any) -> Any:
    """The display node's ROI; made around the volume, hidden, if there is none."""
    if display.GetROINode() is None:
        roi = _new_roi(host, volume)
        _fit(host, volume, roi)
        display.SetAndObserveROINodeID(roi.GetID())
    return display.GetROINode()


def _new_roi(host: Host, volume: Any) -> Any:
    scene = host.slicer.mrmlScene
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", scene.GenerateUniqueName(f"{volume.GetName()} crop"))
    roi.CreateDefaultDisplayNodes()
    roi.GetDisplayNode().SetPropertiesLabelVisibility(False)
    roi.SetDisplayVisibility(False)
    roi.SetAttribute(_OWN, "1")
    return roi


def _fit(host: Host, volume: Any, roi: Any) -> None:
    """The ROI around the volume, along its axes (Slicer's Crop Volume: align, then fit)."""
    scene = host.slicer.mrmlScene
    logic = host.slicer.modules.cropvolume.logic()
    parameters = scene.AddNewNodeByClass("vtkMRMLCropVolumeParametersNode")
    try:
        parameters.SetInputVolumeNodeID(volume.GetID())
        parameters.SetROINodeID(roi.GetID())
        logic.SnapROIToVoxelGrid(parameters)
        logic.FitROIToInputVolume(parameters)
    finally:
        scene.RemoveNode(parameters)


@command("rendering.crop")
def crop(host: Host, node: NodeLike, roi: NodeLike | None = None, bounds: Any = None) -> NodeRef:
    """Draw only what is in a box.

    Args:
        roi: a ROI of the scene; its box may be turned, and be moved by a transform.
        bounds: instead, [3, 2] or [6]: lowest and highest R, A, S, in the world, mm. The box is a ROI that is made for
            this volume, at first; a ROI of somebody else is not changed.

    Returns:
        The ROI.

    Raises:
        ArgumentError: both are given, or neither; or a volume that cannot be rendered.
        ArrayError: bounds that enclose nothing.
    """
    if (roi is None) == (bounds is None):
        raise ArgumentError(
            "A volume is cropped by a ROI or by bounds.", expected="one of them", got="none" if roi is None else "both"
        )
    volume = host.node(node, VOLUME)
    given = host.node(roi, "vtkMRMLMarkupsROINode") if roi is not None else None
    limits = _checked_bounds(bounds) if bounds is not None else None
    display = _made_display(host, volume)
    if limits is not None:
        given = display.GetROINode()
        if given is None or given.GetAttribute(_OWN) is None or given.GetParentTransformNode() is not None:
            given = _new_roi(host, volume)
        _place(host, given, limits)
    assert given is not None
    display.SetAndObserveROINodeID(given.GetID())
    display.SetCroppingEnabled(True)
    return host.ref(given)


def _checked_bounds(bounds: Any) -> Array:
    try:
        limits = np.asarray(bounds, dtype=np.float64)
    except (TypeError, ValueError):
        limits = np.empty(0)
    if limits.shape == (6,):
        limits = limits.reshape(3, 2)
    if limits.shape != (3, 2) or not np.isfinite(limits).all() or not (limits[:, 0] < limits[:, 1]).all():
        raise ArrayError(
            "These bounds enclose nothing.",
            expected="lowest and highest R, A, S, mm: 6 finite numbers or shape (3, 2), each pair rising",
            got=f"{bounds!r:.80}",
        )
    return limits


def _place(host: Host, roi: Any, limits: Array) -> None:
    """A ROI without a transform as a box along R, A, S."""
    center = np.eye(4)
    center[:3, 3] = limits.mean(axis=1)
    modifying = roi.StartModify()
    try:
        if roi.GetNumberOfControlPoints() == 0:
            roi.SetCenter(*center[:3, 3])
        roi.SetAndObserveObjectToNodeMatrix(host.matrix(center))
        roi.SetSize(*(limits[:, 1] - limits[:, 0]))
    finally:
        roi.EndModify(modifying)


@command("rendering.fit_roi")
def fit_roi(host: Host, node: NodeLike) -> NodeRef:
    """Put the rendering's ROI around the volume, along its axes; made, if there is none. Whether it crops stays.

    Raises:
        ArgumentError: a volume that cannot be rendered.
    """
    volume = host.node(node, VOLUME)
    display = _made_display(host, volume)
    roi = display.GetROINode()
    if roi is None:
        roi = _roi_of(host, volume, display)
    else:
        _fit(host, volume, roi)
    return host.ref(roi)
