"""MRML sequences of volumes: made over one block of memory, read back, browsed. Runs in Slicer, on the main thread."""

from __future__ import annotations

import weakref
from typing import Any, Final

import numpy as np

from slicer_notebook.errors import ArgumentError, ArrayError, ItemNotFoundError
from slicer_notebook.host import arrays
from slicer_notebook.protocol.values import Array

__all__ = ["SequenceBuilder", "browser_of", "item", "items", "joined", "proxy_of", "remove", "select"]

#: The array whose memory the items of a sequence share, by the sequence's MRML id; weak, for the items keep it alive.
_blocks: Final[weakref.WeakValueDictionary[str, Array]] = weakref.WeakValueDictionary()


class SequenceBuilder:
    """Makes a sequence of volumes outside of the scene, item by item; `finish` puts all of it in, or nothing.

    Args:
        slicer: the ``slicer`` module.
        name: of the sequence; made unique in the scene.
        index_name, index_unit: what changes from item to item ("time", "s").
        indices: of each item, unique: numbers (rising) or text.
        block: [t, k, j, i] or [t, k, j, i, component]; each item adopts its part of this memory.

    Raises:
        ArrayError: an array that volumes cannot have, or another number of indices.
        ArgumentError: numbers that do not rise.
    """

    def __init__(
        self,
        slicer: Any,
        name: str,
        *,
        index_name: str,
        index_unit: str,
        indices: list[float] | list[str],
        block: Array,
    ) -> None:
        if block.ndim not in (4, 5) or len(block) != len(indices) or len(set(indices)) != len(indices):
            raise ArrayError(
                "The array does not have the shape of a sequence.",
                expected=f"(t, k, j, i) or (t, k, j, i, components), t being {len(set(indices))} different indices",
                got=f"shape {block.shape}",
            )
        self._slicer = slicer
        # Prepared as a whole: what has to be converted is converted once, and all items stay parts of one block.
        flat = arrays.prepare(block.reshape(-1, *block.shape[2:]))
        self.block = flat.reshape(block.shape)
        self._indices = indices
        self._done = 0
        kind = slicer.vtkMRMLVectorVolumeNode if block.ndim == 5 else slicer.vtkMRMLScalarVolumeNode
        #: What all items have in common: class, attributes, units.
        self.template: Any = kind()
        if block.ndim == 5:
            mark_as_colour(self.template, block)
        self.node: Any = slicer.vtkMRMLSequenceNode()
        self.node.SetName(name)
        self.node.SetIndexName(index_name)
        self.node.SetIndexUnit(index_unit)
        self._set_index_type()

    def _set_index_type(self) -> None:
        numbers = [index for index in self._indices if isinstance(index, float | int)]
        if len(numbers) < len(self._indices):
            self.node.SetIndexType(self.node.TextIndex)
            return
        gaps = np.diff(np.asarray(numbers, dtype=np.float64))
        if (gaps <= 0).any():
            # MRML would put the items into an order of its own, while the block keeps the one that it has.
            raise ArgumentError("The indices of a sequence do not rise.", expected="rising numbers", got=repr(numbers))
        self.node.SetIndexType(self.node.NumericIndex)
        if len(gaps):
            # Items whose indices differ by less than the tolerance (0.001 when nobody says more) overwrite each other.
            tolerance = min(self.node.GetNumericIndexValueTolerance(), float(gaps.min()) / 4)
            self.node.SetNumericIndexValueTolerance(tolerance)

    @property
    def left(self) -> int:
        """Items that are still to be made."""
        return len(self._indices) - self._done

    def append(self, name: str, affine: Any, attributes: dict[str, str]) -> None:
        """Make the next item.

        Args:
            affine: 4x4, IJK to RAS, mm.
            attributes: besides the template's.

        Raises:
            ArrayError: an affine that a volume cannot have.
        """
        number = self._done
        index = self._indices[number]
        self.template.SetName(name)
        self.template.SetIJKToRASMatrix(arrays.matrix_from_array(affine))
        item = self.node.SetDataNodeAtValue(self.template, index if isinstance(index, str) else f"{index:.15g}")
        item.SetAndObserveImageData(arrays.new_image(self.block[number]))
        self._copy_units(item)
        for key, value in attributes.items():
            item.SetAttribute(key, value)
        self._done += 1

    def _copy_units(self, node: Any) -> None:
        """What the template's values are, which MRML's copying of nodes leaves out."""
        units, quantity = self.template.GetVoxelValueUnits(), self.template.GetVoxelValueQuantity()
        if units is not None:
            node.SetVoxelValueUnits(units)
        if quantity is not None:
            node.SetVoxelValueQuantity(quantity)

    def finish(self) -> tuple[Any, Any, Any]:
        """(sequence, browser, proxy volume), in the scene; the proxy shows the first item."""
        scene = self._slicer.mrmlScene
        self.node.SetName(scene.GenerateUniqueName(self.node.GetName()))
        sequence = scene.AddNode(self.node)
        _blocks[sequence.GetID()] = _owner(self.block)
        browser = _browse(self._slicer, sequence)
        proxy = browser.GetProxyNode(sequence)
        self._copy_units(proxy)
        return sequence, browser, proxy


def mark_as_colour(node: Any, array: Array) -> None:
    """Tell a vector volume that its components are red, green and blue."""
    if array.shape[-1] == 3 and hasattr(node, "SetVoxelVectorType"):
        node.SetVoxelVectorType(node.VoxelVectorTypeColorRGB)


def _logic(slicer: Any) -> Any:
    return slicer.modules.sequences.logic()


def _browse(slicer: Any, sequence: Any) -> Any:
    """A browser for a sequence, with a proxy; named as Slicer names them."""
    scene = slicer.mrmlScene
    browser = scene.AddNewNodeByClass(
        "vtkMRMLSequenceBrowserNode", scene.GenerateUniqueName(f"{sequence.GetName()} browser")
    )
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    _logic(slicer).UpdateProxyNodesFromSequences(browser)
    return browser


def browser_of(slicer: Any, sequence: Any) -> Any:
    """The first browser of a sequence; made when there is none."""
    return _logic(slicer).GetFirstBrowserNodeForSequenceNode(sequence) or _browse(slicer, sequence)


def proxy_of(slicer: Any, sequence: Any) -> Any:
    """The node of the scene that stands for the item that is shown.

    Raises:
        ArgumentError: the sequence is empty.
    """
    browser = browser_of(slicer, sequence)
    proxy = browser.GetProxyNode(sequence)
    if proxy is None:
        _logic(slicer).UpdateProxyNodesFromSequences(browser)
        proxy = browser.GetProxyNode(sequence)
    if proxy is None:
        raise ArgumentError(f"Sequence {sequence.GetName()!r} is empty.", expected="at least one item", got="none")
    return proxy


def select(slicer: Any, sequence: Any, number: int) -> None:
    """Show an item in the proxy. Raises `ItemNotFoundError`."""
    _check(sequence, number)
    browser = browser_of(slicer, sequence)
    browser.SetSelectedItemNumber(number)
    _logic(slicer).UpdateProxyNodesFromSequences(browser)


def _check(sequence: Any, number: int) -> None:
    count = sequence.GetNumberOfDataNodes()
    if not 0 <= number < count:
        raise ItemNotFoundError(
            f"Sequence {sequence.GetName()!r} has no item {number}.", expected=f"0 to {count - 1}", got=str(number)
        )


def item(sequence: Any, number: int) -> Any:
    """The volume node of an item; it lives in the sequence's own scene.

    Raises:
        ItemNotFoundError: no such item.
        ArgumentError: it is no volume.
    """
    _check(sequence, number)
    found = sequence.GetNthDataNode(number)
    if not found.IsA("vtkMRMLVolumeNode"):
        raise ArgumentError(
            f"Sequence {sequence.GetName()!r} does not consist of volumes.",
            expected="a sequence of volumes",
            got=found.GetClassName(),
        )
    return found


def items(sequence: Any) -> list[Any]:
    """All items, as `item`."""
    return [item(sequence, number) for number in range(sequence.GetNumberOfDataNodes())]


def joined(sequence: Any) -> Array | list[Array]:
    """The voxels of all items: the one block [t, k, j, i(, component)] that they share, or a view of each.

    Raises:
        ArrayError: the items' shapes or types differ, or one has no voxels.
    """
    views = [arrays.voxels(node) for node in items(sequence)]
    kinds = {(view.shape, view.dtype.str) for view in views}
    if len(kinds) != 1:
        raise ArrayError(
            f"The items of sequence {sequence.GetName()!r} make no array.",
            expected="items of one shape and dtype",
            got=", ".join(sorted(f"{shape} {dtype}" for shape, dtype in kinds)[:4]) or "no item",
            hint="take them one by one: sequence[n]",
        )
    owner = _blocks.get(sequence.GetID() or "")
    shape = (len(views), *views[0].shape)
    if owner is None or owner.dtype != views[0].dtype or owner.size != len(views) * views[0].size:
        return views
    if not owner.flags.c_contiguous:
        return views
    # An item that was given other voxels since lies elsewhere.
    block = owner.reshape(shape)
    shared = all(part.ctypes.data == view.ctypes.data for part, view in zip(block, views, strict=True))
    return block if shared else views


def _owner(array: Array) -> Array:
    """The array that a view was taken of, and that lives as long as any view of it."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def remove(slicer: Any, sequence: Any) -> None:
    """Take a sequence out of the scene, with its proxies, and its browsers where they browse nothing else."""
    from vtkmodules.vtkCommonCore import vtkCollection

    scene = slicer.mrmlScene
    found = vtkCollection()
    _logic(slicer).GetBrowserNodesForSequenceNode(sequence, found)
    browsers: list[Any] = [found.GetItemAsObject(n) for n in range(found.GetNumberOfItems())]
    for browser in browsers:
        proxy = browser.GetProxyNode(sequence)
        # The browser first: it would make a new proxy in place of one that is gone.
        if browser.GetNumberOfSynchronizedSequenceNodes(True) == 1:
            scene.RemoveNode(browser)
        else:
            browser.RemoveSynchronizedSequenceNode(sequence.GetID())
        if proxy is not None:
            scene.RemoveNode(proxy)
    scene.RemoveNode(sequence)
