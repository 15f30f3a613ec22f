"""Commands about views and the layout."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from slicer_notebook.commands.host import Host, View
from slicer_notebook.commands.registry import command
from slicer_notebook.commands.volumes import coded_meaning
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array, NodeRef

#: Largest edge of a picture, pixels: what an OpenGL frame buffer can be everywhere.
MAX_EDGE = 8192

#: What a PNG begins with (PNG specification 5.2).
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Each row as its difference from the one above (PNG 9.2): one subtraction for all of it.
_UP = 2
#: zlib's level for PNGs; its strategy looks for runs only, as zlib's manual recommends for PNG.
_PNG_LEVEL = 1


def is_grey(picture: Array) -> bool:
    """Whether all three channels of a picture are the same, as in most slices.

    The look takes 0.4 ms for 512 x 512; to encode one channel saves twice the time of the rest.
    """
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    return np.array_equal(red, green) and np.array_equal(green, blue)


def png(picture: Array) -> bytes:
    """PNG of a uint8 [height, width, 3] picture; of one channel where all three are the same, as in most slices.

    A slice of a CT takes 2.6 ms, and 75 kB; Pillow needs 6.7 ms for 94 kB, since it tries five filters on each row.
    """
    grey = is_grey(picture)
    rows = picture[..., 0] if grey else picture.reshape(picture.shape[0], -1)
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    packer = zlib.compressobj(_PNG_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL + 1, zlib.Z_RLE)
    packed = packer.compress(filtered.data) + packer.flush()
    # Width, height, 8 bits, colour type (0 grey, 2 RGB), and the only methods that there are (PNG 11.2.2).
    head = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 8, 0 if grey else 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    return _PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
        for name, data in chunks
    )


def _size(size: tuple[int, int] | None) -> tuple[int, int] | None:
    if size is not None and not all(1 <= edge <= MAX_EDGE for edge in size):
        raise ArgumentError(
            "The picture's size does not fit.", expected=f"(width, height), 1 to {MAX_EDGE} pixels", got=str(size)
        )
    return size


@command("view.names", journal=False)
def names(host: Host) -> list[str]:
    """Names of the views of the present layout."""
    return host.view_names()


@command("view.image", journal=False)
def image(host: Host, name: str, size: tuple[int, int] | None = None) -> Array:
    """The view's picture, uint8 [height, width, 3]; nothing that the user sees is moved.

    Args:
        size: (width, height), pixels; the view's own without it.

    Raises:
        ViewNotFoundError: no such view.
        RenderingError: nothing can be rendered where Slicer runs.
    """
    return host.view(name).image(_size(size))


@command("view.png", journal=False)
def image_png(host: Host, name: str, size: tuple[int, int] | None = None) -> bytes:
    """As ``view.image``, as PNG."""
    return png(host.view(name).image(_size(size)))


@command("view.picture", journal=False)
def picture(host: Host, name: str, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """A view's picture and what it shows, of one moment.

    Returns:
        ``png``; ``facts``: as ``view.state``; of a slice view also ``field_of_view`` (of the picture, mm, across and
        down), and ``volume``: the one in the background, by ``name``, ``id``, ``window`` and ``level`` (in the volume's
        ``units``), ``study`` and ``series`` (UIDs, "" where it is not from DICOM); None where there is none.
        ``slicer``: version.
    """
    view = host.view(name)
    pixels = png(view.image(_size(size)))
    facts = {**_state(view), "slicer": str(host.slicer.app.applicationVersion)}
    if view.kind == "slice":
        facts |= {"field_of_view": _field_of_view(view, size), "volume": _volume_facts(host, view)}
    return {"png": pixels, "facts": facts}


def _field_of_view(view: View, size: tuple[int, int] | None) -> list[float]:
    """Of a slice view's picture of this size, mm across and down.

    A picture of another shape shows more than the view does, at one scale for both axes; see `View.image`.
    """
    across, down, _ = view.node.GetFieldOfView()
    if size is None or tuple(size) == tuple(view.node.GetDimensions()[:2]):
        return [float(across), float(down)]
    scale = max(across / size[0], down / size[1])
    return [float(scale * size[0]), float(scale * size[1])]


def _volume_facts(host: Host, view: View) -> dict[str, Any] | None:
    node = _background_node(host, view)
    if node is None:
        return None
    found = {"name": node.GetName(), "id": node.GetID(), "units": coded_meaning(node, "GetVoxelValueUnits")}
    for key, attribute in (("study", "DICOM.StudyInstanceUID"), ("series", "DICOM.SeriesInstanceUID")):
        found[key] = node.GetAttribute(attribute) or ""
    display = node.GetDisplayNode()
    if display is not None and hasattr(display, "GetWindow"):
        found |= {"window": float(display.GetWindow()), "level": float(display.GetLevel())}
    return found


@command("view.state", journal=False)
def state(host: Host, name: str) -> dict[str, Any]:
    """Kind ("slice" or "3d"); for a slice view also offset, offset_range and offset_step (mm) and orientation."""
    return _state(host.view(name))


def _state(view: View) -> dict[str, Any]:
    found: dict[str, Any] = {"name": view.name, "kind": view.kind, "node": view.node.GetID()}
    if view.kind == "slice":
        found |= {
            "offset": view.offset,
            "offset_range": view.offset_range,
            "offset_step": view.offset_step,
            "orientation": view.orientation,
        }
    return found


@command("view.set")
def set_view(host: Host, name: str, offset: float | None = None, orientation: str | None = None) -> dict[str, Any]:
    """Move a slice view; what is ``None`` stays. Linked views follow. Returns ``view.state``.

    Raises:
        ArgumentError: a 3-D view, or an unknown orientation.
    """
    view = host.view(name)
    if offset is not None and not math.isfinite(offset):
        raise ArgumentError("The offset does not fit.", expected="a finite number, mm", got=str(offset))
    if orientation is not None:
        with followed(host, view, "OrientationFlag"):
            view.orientation = orientation
    if offset is not None:
        with followed(host, view, "SliceToRASFlag"):
            view.offset = offset
    return _state(view)


@contextmanager
def followed(host: Host, view: View, flag: str) -> Iterator[None]:
    """A change of a slice view that its linked views follow (vtkMRMLSliceLinkLogic); of any other view just a change.

    Args:
        flag: what changes: the name of a flag of vtkMRMLSliceNode (``SliceToRASFlag``...).
    """
    logic = host.slicer.app.applicationLogic().GetSliceLogic(view.node) if view.kind == "slice" else None
    if logic is None:
        yield
        return
    logic.StartSliceNodeInteraction(getattr(host.slicer.vtkMRMLSliceNode, flag))
    try:
        yield
    finally:
        logic.EndSliceNodeInteraction()


@command("view.fit")
def fit(host: Host, name: str | None = None) -> None:
    """Show all of what is in the view, and in those linked with it; in all views without a name."""
    for each in host.view_names() if name is None else [name]:
        view = host.view(each)
        with followed(host, view, "ResetFieldOfViewFlag"):
            view.fit()


@command("view.layout", journal=False)
def layout(host: Host) -> str:
    """Name of the present layout: the middle of ``SlicerLayout...View``."""
    return host.layout


@command("view.set_layout")
def set_layout(host: Host, name: str) -> list[str]:
    """Choose a layout, such as ``FourUp``, ``OneUpRedSlice``, ``OneUp3D``; the names of its views.

    Raises:
        ArgumentError: no such layout.
    """
    host.layout = name
    return host.view_names()


@command("view.background", journal=False)
def background(host: Host, name: str) -> NodeRef | None:
    """The volume in the background of a slice view, if there is one.

    Raises:
        ArgumentError: a 3-D view.
    """
    view = host.view(name)
    if view.kind != "slice":
        raise ArgumentError(f"View {view.name!r} shows no slices.", expected="a slice view", got=f"a {view.kind} view")
    node = _background_node(host, view)
    return host.ref(node) if node is not None else None


def _background_node(host: Host, view: View) -> Any:
    """The volume node in the background of a slice view; None when there is none."""
    for composite in host.nodes("vtkMRMLSliceCompositeNode"):
        if composite.GetLayoutName() == view.node.GetLayoutName():
            return host.slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
    return None
