"""``/slicer/volume`` and others that carry NRRD, and lists of what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from slicer_notebook.errors import ArgumentError
from slicer_notebook.gateways.rest.answers import Pieces, in_json, in_text
from slicer_notebook.protocol import nrrd

if TYPE_CHECKING:
    from starlette.responses import Response

    from slicer_notebook.gateways.rest.asking import Ask

__all__ = [
    "grid_transform",
    "grid_transforms",
    "segmentation",
    "segmentations",
    "volume",
    "volume_selection",
    "volumes",
]


def _nrrd(array: Any, affine: Any, kind: nrrd.Kind = "scalar") -> Response:
    length = len(nrrd.header(array, affine, kind)) + array.nbytes
    return Pieces(nrrd.chunks(array, affine, kind), length)


async def volume(ask: Ask) -> Response:
    """``/volume``: with a body, a NRRD comes in; without, one goes out."""
    first = await ask.piece() if ask.declared != 0 else None
    if not first:
        # The length need not be said before a body that comes in chunks: an empty first piece is the end of one.
        found = await ask.call("volume.grid", key=ask.given.get("id"))
        return _nrrd(found["array"], found["affine"], found["kind"])
    reader = nrrd.Reader(ask.declared)
    piece: bytes | None = first
    while piece is not None:
        if reader.header is None or reader.header.encoding == "raw":
            reader.feed(piece)
        else:  # takes time for each byte
            await ask.work(reader.feed, piece)
        piece = await ask.piece()
    came = await ask.work(reader.close)
    node = await ask.call(
        "volume.put", array=came.voxels, affine=came.affine, key=ask.given.get("id"), series=came.series
    )
    ask.note(f"{node.id}, {came.voxels.dtype} {came.voxels.shape}")
    return in_json({"status": "success"})


async def volumes(ask: Ask) -> Response:
    """``/volumes``."""
    return in_json([{"name": node.name, "id": node.id} for node in await ask.call("volume.list")])


async def volume_selection(ask: Ask) -> Response:
    """``/volumeSelection``."""
    command = ask.given.get("cmd", "next").lower()
    if command not in ("next", "previous"):
        raise ArgumentError("cmd does not fit.", expected="next or previous", got=repr(command)[:80])
    node = await ask.call("volume.cycle", step=1 if command == "next" else -1)
    ask.note(node.id)
    return in_text("Volume selected")


async def grid_transforms(ask: Ask) -> Response:
    """``/gridTransforms``."""
    return in_json([{"name": node.name, "id": node.id} for node in await ask.call("transform.grids")])


async def grid_transform(ask: Ask) -> Response:
    """``/gridTransform``: displacements in LPS, as the space of the file is."""
    found = await ask.call("transform.grid", key=ask.given.get("id"))
    vectors = found["array"] * np.array([-1, -1, 1], dtype=np.float32)
    return _nrrd(vectors, found["affine"], "vector")


async def segmentations(ask: Ask) -> Response:
    """``/segmentations``."""
    return in_json(await ask.call("segmentation.list"))


async def segmentation(ask: Ask) -> Response:
    """``/segmentation``: one segment, or all with their numbers, as a label map in NRRD."""
    form = ask.given.get("format", "NRRD")
    if form.lower() != "nrrd":
        raise ArgumentError("There is no such format.", expected="NRRD", got=repr(form)[:80])
    key = ask.given.get("segmentationID", ask.given.get("id"))
    found = await ask.call("segmentation.labelmap", key=key, segment=ask.given.get("segmentID"))
    return _nrrd(found["array"], found["affine"])
