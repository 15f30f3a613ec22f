"""The host as commands see it: one interface, several Slicers behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from slicer_notebook.protocol.values import Array, NodeRef


class Asked(Future[Any]):
    """A command that runs for somebody in this process; the future of its result."""

    #: Cancels the command.
    stop: Callable[[], None]


class View(Protocol):
    """A view of the present layout."""

    name: str
    """"Red", "Yellow", "Green" for slice views as Slicer names them, "1" for the 3-D view."""
    kind: Literal["slice", "3d"]
    node: Any
    """``vtkMRMLSliceNode`` or ``vtkMRMLViewNode``."""

    def image(self, size: tuple[int, int] | None = None) -> Array:
        """The picture, uint8 [height, width, 3], row 0 at the top; ``size`` is (width, height) in pixels.

        The view's size, camera, field of view and offset are afterwards as they were.

        Raises:
            RenderingError: nothing can be rendered on this machine.
        """
        ...

    def aside(self) -> AbstractContextManager[None]:
        """A block for pictures of something else than what the view shows: what is done to the view's plane, field of
        view, layers, camera and size in it is undone at its end, and nobody hears of it.
        """
        ...

    def fit(self) -> None:
        """Show all of what is in the view."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels. Settable."""
        ...

    @size.setter
    def size(self, size: tuple[int, int]) -> None: ...

    @property
    def offset(self) -> float:
        """Slice offset, mm along the view's normal."""
        ...

    @offset.setter
    def offset(self, value: float) -> None: ...

    @property
    def offset_range(self) -> tuple[float, float]:
        """First and last offset of the volume shown, mm."""
        ...

    @property
    def offset_step(self) -> float:
        """Distance of neighbouring slices, mm."""
        ...

    @property
    def orientation(self) -> str:
        """Axial, Sagittal, Coronal or Reformat."""
        ...

    @orientation.setter
    def orientation(self, value: str) -> None: ...


class SequenceBuilder(Protocol):
    """A sequence of volumes in the making, outside of the scene. All of it on the main thread."""

    template: Any
    """A volume node without voxels: what all items have in common."""
    node: Any
    """The ``vtkMRMLSequenceNode``."""

    @property
    def left(self) -> int:
        """Items that are still to be made."""
        ...

    def append(self, name: str, affine: Any, attributes: dict[str, str]) -> None:
        """Make the next item; ``affine`` is 4x4, IJK to RAS, mm. Raises ArrayError."""
        ...

    def finish(self) -> tuple[Any, Any, Any]:
        """(sequence, browser, proxy volume), in the scene; the proxy shows the first item."""
        ...


class Host(Protocol):
    """The Slicer application in this process."""

    kind: str
    slicer: Any
    """The ``slicer`` module: ``mrmlScene``, ``app``, ``util``, ``modules``."""
    layout: str
    """Name of the layout: the middle of ``SlicerLayout...View``."""
    scene_generation: int
    """Rises with each node that is added, removed or changed, as it happens; may be read on any thread. What was
    learned of the scene at one value is true as long as it has that value."""
    told: Callable[[str, Any], None] | None
    """What `tell` calls."""
    asked: Callable[[str, dict[str, Any], Callable[[float, str, Any], None] | None], Asked] | None
    """What `ask` calls."""
    listening: Callable[[Callable[[str, Any], None]], Callable[[], None]] | None
    """What `listen` calls."""

    def tell(self, kind: str, data: Any) -> None:
        """Tell all notebooks of an event, such as "loads". From any thread."""
        ...

    def listen(self, heard: Callable[[str, Any], None]) -> Callable[[], None]:
        """Tell somebody in this process of all events that notebooks are told of. From any thread.

        Args:
            heard: called with (kind, data) on the thread on which it happened, often the main one: it must neither wait
                nor change the data.

        Returns:
            What ends it.
        """
        ...

    def ask(
        self, command: str, args: dict[str, Any], progress: Callable[[float, str, Any], None] | None = None
    ) -> Asked:
        """Begin a command for somebody in this process. From any thread.

        Raises:
            CommandNotFoundError, ArgumentError: no such command, or arguments that do not fit.
        """
        ...

    def info(self) -> dict[str, Any]:
        """Versions and the renderer."""
        ...

    def view_names(self) -> list[str]:
        """Views of the present layout, in its order."""
        ...

    def view(self, name: str) -> View:
        """Raises ViewNotFoundError, naming the views there are."""
        ...

    def hidden_view(self, name: str) -> View:
        """As `view`, and also one that the present layout does not show but an earlier one did."""
        ...

    def load(self, path: str, filetype: str | None, properties: dict[str, Any]) -> list[Any]:
        """Load a file; the MRML nodes it became. Raises PathNotFoundError, FileFormatError."""
        ...

    def save(self, node: Any, path: str, properties: dict[str, Any]) -> None:
        """Write a node; the extension chooses the format. Raises FileFormatError."""
        ...

    def save_scene(self, path: str) -> None:
        """Write the scene as .mrb or .mrml."""
        ...

    def clear(self) -> None:
        """Empty the scene; views and singletons stay."""
        ...

    def end(self, after: float) -> None:
        """End this Slicer in so many seconds, as when its user closes it."""
        ...

    def segment_editor(self, node: Any, volume: Any = None) -> Any:
        """The editor of a segmentation (`commands.segment_editor.SegmentEditor`); there is one for each.

        Args:
            volume: the source volume from now on; None keeps the present one.

        Raises:
            ArgumentError: there is neither a volume nor a grid.
            ArrayError: the volume has no voxels, or several values in each.
        """
        ...

    def show_volume(self, node: Any, fit: bool = True) -> None:
        """Show a volume in the background of all slice views, as Slicer does after loading."""
        ...

    def node(self, like: Any, class_name: str | None = None) -> Any:
        """The MRML node of a reference, id or unique name. Raises NodeNotFoundError, AmbiguousNameError."""
        ...

    def nodes(self, class_name: str | None = None) -> list[Any]:
        """Nodes of a MRML class and its subclasses. Raises ArgumentError for an unknown class."""
        ...

    def ref(self, node: Any) -> NodeRef:
        """The reference of a MRML node."""
        ...

    def voxels(self, node: Any) -> Array:
        """A live view of a volume's voxels, [k, j, i] or [k, j, i, component]."""
        ...

    def set_voxels(self, node: Any, array: Array) -> None:
        """Give a volume new voxels; adopts the array's memory. Raises ArrayError."""
        ...

    def affine(self, node: Any) -> Array:
        """IJK to RAS (volume) or matrix to parent (linear transform), 4x4 float64, mm."""
        ...

    def set_affine(self, node: Any, affine: Any) -> None:
        """The counterpart of `affine`. Raises ArrayError."""
        ...

    def add_volume(
        self,
        array: Array,
        affine: Any,
        name: str,
        *,
        labelmap: bool = False,
        window_level: tuple[float, float] | None = None,
    ) -> Any:
        """A new volume node that adopts the array's memory. Raises ArrayError.

        ``window_level`` is what a scalar volume is shown with; without it Slicer looks through the voxels for one.
        """
        ...

    def all_or_nothing(self) -> AbstractContextManager[None]:
        """A block that fails leaves no node and no subject hierarchy item behind that it made."""
        ...

    def new_sequence(
        self,
        name: str,
        *,
        index_name: str,
        index_unit: str,
        indices: list[float] | list[str],
        block: Array,
    ) -> SequenceBuilder:
        """Begin a sequence of volumes that share the memory ``block``, [t, k, j, i] or [t, k, j, i, component].

        Args:
            index_name, index_unit: what changes from item to item ("time", "s").
            indices: of each item, all different: rising numbers, or text.

        Raises:
            ArrayError: an array that volumes cannot have.
            ArgumentError: numbers that do not rise.
        """
        ...

    def sequence_item(self, node: Any, number: int) -> Any:
        """The volume node of an item, in the sequence's own scene. Raises ItemNotFoundError, ArgumentError."""
        ...

    def sequence_voxels(self, node: Any) -> Array | list[Array]:
        """The block of memory that all items share, or a view of each item's voxels. Raises ArrayError."""
        ...

    def sequence_browser(self, node: Any) -> Any:
        """The first browser of a sequence; made when there is none."""
        ...

    def sequence_proxy(self, node: Any) -> Any:
        """The node of the scene that stands for the item that is shown. Raises ArgumentError when empty."""
        ...

    def select_item(self, node: Any, number: int) -> None:
        """Show an item in the proxy. Raises ItemNotFoundError."""
        ...

    def remove_sequence(self, node: Any) -> None:
        """Remove a sequence, its proxies, and its browsers that browse nothing else."""
        ...

    def matrix(self, values: Any) -> Any:
        """A vtkMatrix4x4 of a 4x4 affine matrix. Raises ArrayError."""
        ...

    def place_series(
        self,
        node: Any,
        *,
        patient_id: str,
        study_uid: str,
        series_uid: str,
        patient: dict[str, str],
        study: dict[str, str],
        series: dict[str, str],
        beside: Iterable[Any] = (),
    ) -> None:
        """Put a node below its patient and study in the subject hierarchy; attributes by DICOM keyword.

        Args:
            beside: nodes that belong to it (a sequence's browser and proxy) and go below the same study.
        """
        ...

    def drain_vtk(self) -> list[tuple[str, str]]:
        """(level, text) of what VTK, ITK and MRML reported since the last call; level is error, warning or info."""
        ...
