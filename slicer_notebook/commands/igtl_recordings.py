"""Recordings of what OpenIGTLink devices send: every message, as a sequence for each device.

While a recording goes on, messages are kept as they came, beside what is shown; at its end they become
``vtkMRMLSequenceNode`` whose index is the time in seconds, and one browser for all.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from slicer_notebook.commands import igtl_nodes
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.igtl_words import status_in_words
from slicer_notebook.errors import OpenIGTLinkError, SlicerNotebookError
from slicer_notebook.igtl import contents
from slicer_notebook.igtl.message import Message
from slicer_notebook.protocol.values import Array, NodeRef

__all__ = ["Recording"]

#: Bytes of messages that a recording keeps at most, before it ends by itself: 20 s of 1920 x 1080 RGB at 30 a second.
MOST_BYTES: Final = 4 << 30
#: Seconds that the main thread works on a sequence before others have their turn.
_TURN: Final = 0.02
#: Seconds between two items at least, and decimals of an index: messages of the very same time are this far apart.
_APART: Final = 1e-6
_DECIMALS: Final = 7
#: Bytes of a small message, and of a point, as Python objects.
_MESSAGE: Final = 700
_POINT: Final = 500

_CLASSES: Final[dict[type, str]] = {
    contents.Transform: "vtkMRMLLinearTransformNode",
    contents.Position: "vtkMRMLLinearTransformNode",
    contents.Tracking: "vtkMRMLLinearTransformNode",
    contents.String: "vtkMRMLTextNode",
    contents.Status: "vtkMRMLTextNode",
    contents.Points: "vtkMRMLMarkupsFiducialNode",
    contents.PolyData: "vtkMRMLModelNode",
    contents.Sensor: "vtkMRMLTableNode",
}


def _class_of(content: Any) -> str | None:
    """The class of the node that a content becomes."""
    if isinstance(content, contents.Image):
        return "vtkMRMLScalarVolumeNode" if content.voxels.ndim == 3 else "vtkMRMLVectorVolumeNode"
    if isinstance(content, contents.NDArray):
        if content.array.ndim not in (3, 4):
            return "vtkMRMLTableNode"
        grey = content.array.ndim == 3 or content.array.shape[3] == 1
        return "vtkMRMLScalarVolumeNode" if grey else "vtkMRMLVectorVolumeNode"
    return _CLASSES.get(type(content))


@dataclass
class _Track:
    """The messages of one device that become one sequence."""

    device: str
    class_name: str
    as_ras: bool
    messages: list[Message] = field(default_factory=list)
    #: nanoseconds since 1970 at which each was there
    came: list[int] = field(default_factory=list)

    def seconds(self, began: int) -> Array:
        """Index of each item: seconds since the recording began, rising.

        The sender's own times where they rise, as they were when the data were made; else when each was here.
        """
        came = (np.array(self.came, dtype=np.int64) - began) / 1e9
        stamps = [message.timestamp for message in self.messages]
        own = np.array([stamp.seconds - stamps[0].seconds for stamp in stamps], dtype=np.float64)
        own += np.array([stamp.fraction - stamps[0].fraction for stamp in stamps], dtype=np.float64) / 2**32
        sender_counts = bool((np.diff(own) >= _APART).all()) and all(any(stamp) for stamp in stamps)
        if sender_counts:
            # Its clock may be any: what it says is how far apart they are.
            own += came[0]
            return own
        steps = np.maximum(np.diff(came), _APART)
        rising_anyway: Array = np.concatenate([came[:1], came[0] + np.cumsum(steps)])
        return rising_anyway


class Recording:
    """One recording. `take` is called by the threads of connections, `sequences` once, at the end.

    Args:
        number: names it.
        wanted: whether a message of (connection, device, type) is recorded.
        most_bytes: where it ends by itself.
    """

    def __init__(
        self,
        number: int,
        wanted: Callable[[int, str, str], bool],
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.id = number
        self._wanted = wanted
        self._most = most_bytes
        self._lock = threading.Lock()
        self._tracks: dict[tuple[int, str, str, str], _Track] = {}
        self.began = time.time_ns()
        self.bytes = 0
        self.count = 0
        #: why it takes no more, "" while it does
        self.ended = ""

    def take(self, connection: int, message: Message, as_ras: bool) -> None:
        """Keep a message, if it is wanted."""
        if self.ended or message.verb or not self._wanted(connection, message.device, message.type):
            return
        now = time.time_ns()
        for each in igtl_nodes.apart(message):
            class_name = _class_of(each.content)
            if class_name is None:
                continue
            device = each.device or igtl_nodes.NAMELESS
            if isinstance(each.content, contents.Tracking):
                device = each.content.tools[0].name or device
            with self._lock:
                if self.ended:
                    return
                key = connection, device, each.type, class_name
                track = self._tracks.get(key)
                if track is None:
                    track = self._tracks[key] = _Track(device, class_name, as_ras)
                track.messages.append(_own(each))
                track.came.append(now)
                self.count += 1
                self.bytes += content_bytes(each.content)
                if self.bytes > self._most:
                    self.ended = f"it has {self.bytes >> 20} MiB, which is as much as one may have"

    def end(self) -> None:
        """Take no more."""
        with self._lock:
            self.ended = self.ended or "it was ended"

    def plain(self) -> dict[str, Any]:
        """What notebooks are told."""
        seconds = (time.time_ns() - self.began) / 1e9
        return {"id": self.id, "count": self.count, "bytes": self.bytes, "seconds": seconds, "ended": self.ended}

    def sequences(
        self, host: Host, on_main: Callable[[Callable[[], Any]], Any], progress: Callable[[int, int], None]
    ) -> tuple[list[NodeRef], NodeRef | None, list[str]]:
        """Make the sequences and their browser: (sequences, longest first; browser; what could not be kept).

        Args:
            on_main: has something done on the main thread, and waits for it.
            progress: called with (items done, items); what it raises ends the work, and nothing is left in the scene.
        """
        self.end()
        tracks = sorted(self._tracks.values(), key=lambda track: -len(track.messages))
        self._tracks = {}
        made, problems, done = [], [], itertools.count()
        total = sum(len(track.messages) for track in tracks)
        for track in tracks:
            builder: _Builder = on_main(partial(_Builder, host, track, self.began))
            while on_main(partial(builder.work, _TURN, done)):
                progress(builder.number, total)
            made.append(builder.node)
            problems += builder.problems
        kept = [node for node in made if node is not None]
        if not kept:
            return [], None, problems
        references, browser = on_main(lambda: _browse(host, kept))
        return references, browser, problems


class _Builder:
    """Makes a sequence, outside of the scene. On the main thread.

    A sequence keeps its items in a scene of its own, and looks through all that are there for the name of each new one:
    60,000 would take a minute. So each is taken out of it as soon as it is made, and all are put back at the end, under
    names that nobody has to look for.
    """

    def __init__(self, host: Host, track: _Track, began: int) -> None:
        self._host = host
        self._track = track
        self._seconds = track.seconds(began)
        self._template = getattr(host.slicer, track.class_name)()
        self._template.SetName(track.device)
        self._items: list[Any] = []
        self._steps = self._work()
        self.number = 0
        self.problems: list[str] = []
        self.node: Any = host.slicer.vtkMRMLSequenceNode()
        self.node.SetName(f"{track.device} recording")
        self.node.SetIndexName("time")
        self.node.SetIndexUnit("s")
        self.node.SetIndexType(self.node.NumericIndex)
        # Items closer than the tolerance (0.001 when nobody says more) overwrite each other.
        self.node.SetNumericIndexValueTolerance(_APART / 4)

    def work(self, seconds: float, done: Iterator[int]) -> bool:
        """Make items for about so long; whether there are more. ``done`` counts those of all sequences."""
        until = time.monotonic() + seconds
        for made in self._steps:
            if made:
                self.number = next(done) + 1
            if time.monotonic() > until:
                return True
        return False

    def _work(self) -> Iterator[bool]:
        """Step by step; True for each message that has become an item, or cannot."""
        for message, moment in zip(self._track.messages, self._seconds.tolist(), strict=True):
            self._append(message, moment)
            yield True
        self._track.messages.clear()
        if not self._items:
            self.node = None
            return
        scene = self.node.GetSequenceScene()
        for number, item in enumerate(self._items):
            item.SetName(f"{self._track.device}_{number}")
            scene.AddNode(item)
            yield False
        self._items.clear()

    def _append(self, message: Message, moment: float) -> None:
        index = f"{moment:.{_DECIMALS}f}"
        item = self.node.SetDataNodeAtValue(self._template, index)
        try:
            self._fill(item, message)
        except SlicerNotebookError as exc:
            self.node.RemoveDataNodeAtValue(index)
            self.problems.append(f"{message.device} {message.type} at {moment:.3f} s: {exc.message}")
            return
        igtl_nodes.note(item, message)
        self.node.GetSequenceScene().RemoveNode(item)
        self._items.append(item)

    def _fill(self, item: Any, message: Message) -> None:
        content = message.content
        if isinstance(content, contents.Status):
            item.SetText(status_in_words(content))
            return

        def wanted(class_name: str) -> Any:
            if not item.IsA(class_name):
                raise OpenIGTLinkError("An item of another kind.", expected=item.GetClassName(), got=class_name)
            return item

        before = self._items[-1] if self._items else None
        igtl_nodes.fill(self._host, content, wanted, as_ras=self._track.as_ras, dressed=False, before=before)


def _browse(host: Host, sequences: list[Any]) -> tuple[list[NodeRef], NodeRef]:
    """Put sequences into the scene, and one browser for all, which follows the first."""
    scene = host.slicer.mrmlScene
    logic = host.slicer.modules.sequences.logic()
    with host.all_or_nothing():
        added = []
        for sequence in sequences:
            sequence.SetName(scene.GenerateUniqueName(sequence.GetName()))
            added.append(scene.AddNode(sequence))
        name = scene.GenerateUniqueName("OpenIGTLink recording")
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", name)
        browser.SetAndObserveMasterSequenceNodeID(added[0].GetID())
        for other in added[1:]:
            browser.AddSynchronizedSequenceNodeID(other.GetID())
        browser.SetIndexDisplayFormat("%.3f")
        logic.UpdateProxyNodesFromSequences(browser)
        return [host.ref(each) for each in added], host.ref(browser)


def _own(message: Message) -> Message:
    """The message with voxels of its own: those that came become the live volume's, which may be written to."""
    content = message.content
    if isinstance(content, contents.Image):
        content = msgspec.structs.replace(content, voxels=content.voxels.copy())
    elif isinstance(content, contents.NDArray):
        content = msgspec.structs.replace(content, array=content.array.copy())
    else:
        return message
    return msgspec.structs.replace(message, content=content)


def content_bytes(content: Any) -> int:
    """How much memory a content takes, about; at least what a small message costs as Python objects."""
    match content:
        case contents.Image():
            size = content.voxels.nbytes
        case contents.NDArray():
            size = content.array.nbytes
        case contents.PolyData():
            cells = (content.vertices, content.lines, content.polygons, content.strips)
            size = content.points.nbytes + sum(each.flat.nbytes for each in cells)
            size += sum(each.values.nbytes for each in content.attributes)
        case contents.String():
            size = len(content.text)
        case contents.Points():
            size = _POINT * len(content.points)
        case _:
            size = 0
    return _MESSAGE + size
