"""Commands about sequences: volumes over time, echoes, b-values..., and which of them is shown."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.commands.series_nodes import AXIS, B_VALUE, GRADIENT, VALUE, instance_uids, sequence_items
from slicer_notebook.commands.volumes import coded_meaning
from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array, NodeRef

SEQUENCE = "vtkMRMLSequenceNode"
#: Items in a second, at most: no screen shows more.
MAX_RATE = 100.0
#: Pixels between two pictures of a strip.
_GAP = 2


@command("sequence.info", journal=False)
def info(host: Host, node: NodeLike) -> dict[str, Any]:
    """What the items are, and what changes from one to the next.

    Returns:
        ``count``; ``index_name``, ``unit``, ``keyword`` (DICOM's, "" when not known), ``values`` (numbers or text);
        ``b_values`` (s/mm2; None without) and ``gradients`` (unit vectors in LPS, None for each without one);
        of the first item ``class_name``, and if it is a volume ``shape`` [k, j, i(, component)], ``dtype``, ``spacing``
        (mm along i, j, k), ``affine`` (IJK to RAS, mm), ``units``; ``instance``: the first SOP Instance UID, or "".
    """
    found = host.node(node, SEQUENCE)
    count = found.GetNumberOfDataNodes()
    numeric = found.GetIndexType() == found.NumericIndex
    items = sequence_items(found)
    values: list[float | str] = []
    for n, item in enumerate(items):
        stated = item.GetAttribute(VALUE)
        text = found.GetNthIndexValue(n) if stated is None else stated
        values.append(_number(text) if numeric or stated is not None else text)
    b_values = [item.GetAttribute(B_VALUE) for item in items]
    gradients = [item.GetAttribute(GRADIENT) for item in items]
    diffusion = bool(items) and all(b is not None for b in b_values)
    facts: dict[str, Any] = {
        "count": count,
        "index_name": found.GetIndexName() or "",
        "unit": found.GetIndexUnit() or "",
        "keyword": found.GetAttribute(AXIS) or "",
        "values": values,
        "b_values": [float(b) for b in b_values] if diffusion else None,
        "gradients": [[float(x) for x in g.split()] if g else None for g in gradients] if diffusion else None,
        "class_name": items[0].GetClassName() if items else "",
    }
    if items and items[0].IsA("vtkMRMLVolumeNode"):
        facts |= _volume_facts(host, host.sequence_item(found, 0))
    return facts


def _volume_facts(host: Host, first: Any) -> dict[str, Any]:
    voxels = host.voxels(first)
    return {
        "shape": voxels.shape,
        "dtype": voxels.dtype.name,
        "spacing": first.GetSpacing(),
        "affine": host.affine(first),
        "units": coded_meaning(first, "GetVoxelValueUnits"),
        "instance": (instance_uids(first) or [""])[0],
    }


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@command("sequence.array", thread="worker", journal=False)
def array(host: Host, node: NodeLike) -> Array:
    """The voxels of all items, [t, k, j, i] or [t, k, j, i, component].

    Raises:
        ArgumentError: the items are no volumes.
        ArrayError: items of different shapes or dtypes.
    """
    found = context.current().on_main(lambda: host.sequence_voxels(host.node(node, SEQUENCE)))
    return np.stack(found) if isinstance(found, list) else found


@command("sequence.item", journal=False)
def item(host: Host, node: NodeLike, number: int) -> Array:
    """The voxels of one item, [k, j, i] or [k, j, i, component]; ``number`` counts from 0.

    Raises:
        ItemNotFoundError: no such item.
        ArgumentError: it is no volume.
    """
    return host.voxels(host.sequence_item(host.node(node, SEQUENCE), number))


@command("sequence.index", journal=False)
def index(host: Host, node: NodeLike) -> int:
    """Number of the item that the proxy shows, from 0."""
    selected: int = host.sequence_browser(host.node(node, SEQUENCE)).GetSelectedItemNumber()
    return selected


@command("sequence.select")
def select(host: Host, node: NodeLike, number: int) -> None:
    """Show an item in the proxy, and so in the views; ``number`` counts from 0.

    Raises:
        ItemNotFoundError: no such item.
    """
    host.select_item(host.node(node, SEQUENCE), number)


@command("sequence.state", journal=False)
def state(host: Host, node: NodeLike) -> dict[str, Any]:
    """Which item is shown, and whether it plays.

    Returns:
        ``index`` (from 0), ``count``, ``playing``, ``rate`` (items in a second), ``loop``, ``browser`` (the id of the
        vtkMRMLSequenceBrowserNode that says so).
    """
    found = host.node(node, SEQUENCE)
    browser = host.sequence_browser(found)
    return {
        "index": browser.GetSelectedItemNumber(),
        "count": found.GetNumberOfDataNodes(),
        "playing": bool(browser.GetPlaybackActive()),
        "rate": browser.GetPlaybackRateFps(),
        "loop": bool(browser.GetPlaybackLooped()),
        "browser": browser.GetID(),
    }


@command("sequence.play")
def play(
    host: Host, node: NodeLike, playing: bool | None = True, rate: float | None = None, loop: bool | None = None
) -> None:
    """Have the items shown one after the other, or stop. It goes on by itself, while Slicer is at nothing else.

    Args:
        playing: False stops at the item that is shown; None goes on as before.
        rate: items in a second, as before (10) without it. Items that come too late are left out.
        loop: begin anew after the last one, as before (yes) without it; else it stops, at the first one.

    Raises:
        ArgumentError: a rate that is not above 0 or above 100, or fewer than two items to play.
    """
    if rate is not None and not 0 < rate <= MAX_RATE:
        raise ArgumentError(
            "The rate does not fit.", expected=f"above 0, to {MAX_RATE:g} items in a second", got=str(rate)
        )
    found = host.node(node, SEQUENCE)
    count = found.GetNumberOfDataNodes()
    if playing and count < 2:
        raise ArgumentError(f"Sequence {found.GetName()!r} cannot play.", expected="two items", got=str(count))
    browser = host.sequence_browser(found)
    modified = browser.StartModify()
    if rate is not None:
        browser.SetPlaybackRateFps(rate)
    if loop is not None:
        browser.SetPlaybackLooped(loop)
    if playing and not browser.GetPlaybackLooped() and browser.GetSelectedItemNumber() == count - 1:
        browser.SetSelectedItemNumber(0)
    if playing is not None:
        browser.SetPlaybackActive(playing)
    browser.EndModify(modified)


@command("sequence.proxy")
def proxy(host: Host, node: NodeLike) -> NodeRef:
    """The node of the scene that stands for the item that is shown; made when there is none.

    Raises:
        ArgumentError: the sequence is empty.
    """
    return host.ref(host.sequence_proxy(host.node(node, SEQUENCE)))


@command("sequence.strip", journal=False)
def strip(host: Host, node: NodeLike, count: int = 6, height: int = 96) -> bytes:
    """PNG of the middle slices of up to ``count`` items, evenly chosen, side by side; ``height`` in pixels.

    Rows and columns as they were taken, pixels of one size in mm, in the window and level of what is shown.

    Raises:
        ArgumentError: the items are no volumes, or a count or height that is not 1 to 4096.
    """
    if not (1 <= count <= 4096 and 1 <= height <= 4096):
        raise ArgumentError("The size does not fit.", expected="1 to 4096", got=f"count {count}, height {height}")
    found = host.node(node, SEQUENCE)
    display = host.sequence_proxy(found).GetDisplayNode()
    total = found.GetNumberOfDataNodes()
    numbers = sorted({round(n) for n in np.linspace(0, total - 1, min(count, total))})
    items = [host.sequence_item(found, number) for number in numbers]
    slices = [voxels[len(voxels) // 2] for voxels in map(host.voxels, items)]
    window = (display.GetWindow(), display.GetLevel()) if hasattr(display, "GetWindow") else (255.0, 127.5)
    inverted = display is not None and (display.GetColorNodeID() or "").endswith("InvertedGrey")
    rows, columns = slices[0].shape[:2]
    i, j, _ = items[0].GetSpacing()
    width = max(1, round(height * columns * i / (rows * j)))
    return _side_by_side([_grey_or_colour(each, window, inverted) for each in slices], (width, height))


def _grey_or_colour(pixels: Array, window: tuple[float, float], inverted: bool) -> Array:
    """uint8, [j, i] or [j, i, 3]."""
    wide, level = window
    shown = (pixels.astype(np.float64) - (level - wide / 2)) / (wide or 1.0)
    grey = np.clip(np.nan_to_num(shown, nan=0.0) * 255, 0, 255).astype(np.uint8)
    return 255 - grey if inverted else grey


def _side_by_side(pictures: list[Array], size: tuple[int, int]) -> bytes:
    from PIL import Image

    width, height = size
    whole = Image.new("RGB", (width * len(pictures) + _GAP * (len(pictures) - 1), height), "white")
    for number, picture in enumerate(pictures):
        part = Image.fromarray(picture[..., :3] if picture.ndim == 3 and picture.shape[-1] >= 3 else picture.squeeze())
        whole.paste(part.convert("RGB").resize(size, Image.Resampling.BILINEAR), (number * (width + _GAP), 0))
    buffer = io.BytesIO()
    whole.save(buffer, "PNG")
    return buffer.getvalue()


@command("sequence.remove")
def remove(host: Host, node: NodeLike) -> None:
    """Remove a sequence with its proxy and its browser."""
    host.remove_sequence(host.node(node, SEQUENCE))
