"""The messages of the link, as msgspec structs.

One Jupyter comm carries them (``comm_msg``, Jupyter messaging protocol 5.3 and later). A message is MessagePack in the
comm's first buffer; the arrays it speaks of are the buffers behind it, or lie in shared memory, or came before in
`Chunk` messages. The comm's JSON ``data`` stays empty: JSON is the slow part of a Jupyter message, and binary data
never travels as base64.

Unknown fields are ignored, so a newer minor version may add fields; `PROTOCOL_VERSION` changes its first number only
when an older end would misunderstand.
"""

from __future__ import annotations

from typing import Any

import msgspec

#: (major, minor). Ends with different majors refuse each other.
PROTOCOL_VERSION: tuple[int, int] = (1, 1)
#: From this minor version on an agent streams live views.
LIVE_VIEWS: int = 1

#: Name of the comm target; the *kernel* opens the comm (a client-opened one fails on xeus-python 0.19).
TARGET_NAME = "slicer_notebook"


class Hello(msgspec.Struct, tag="hello", kw_only=True):
    """Slicer end → notebook end, first message on the comm."""

    protocol: tuple[int, int]
    package: str
    token: str
    """Echo of the bootstrap's token: tells which of several waiting clients this comm is for."""
    pid: int
    machine: str
    """Identity of the machine and its boot; equal on both ends means shared memory may work."""
    control: bool = False
    """Cancel may be sent on the control channel, which is read while a command runs."""
    probe: Any = None
    """A shared-memory array; the notebook end tells in `Attach.shared_memory` whether it could read it."""
    info: dict[str, Any] = {}


class Attach(msgspec.Struct, tag="attach", kw_only=True):
    """Notebook end → Slicer end, the answer to `Hello`."""

    protocol: tuple[int, int]
    package: str
    pid: int
    client: str
    """What the client calls itself, for logs."""
    shared_memory: bool = False
    probe: Any = None


class Request(msgspec.Struct, tag="request", kw_only=True):
    """Run one command."""

    id: int
    command: str
    args: dict[str, Any] = {}
    releases: list[int] = []


class ErrorInfo(msgspec.Struct, kw_only=True):
    """An exception of `slicer_notebook.errors`, as data."""

    type: str
    message: str
    expected: str | None = None
    got: str | None = None
    hint: str | None = None
    details: dict[str, Any] = {}
    traceback: str | None = None
    vtk_errors: list[str] = []


class Reply(msgspec.Struct, tag="reply", kw_only=True):
    """The end of one command: a result or an error."""

    id: int
    result: Any = None
    error: ErrorInfo | None = None
    seconds: float = 0.0
    """Time the body took in Slicer, s."""
    releases: list[int] = []


class Progress(msgspec.Struct, tag="progress", kw_only=True):
    """How far a running command is."""

    id: int
    done: float
    """0 to 1; below 0 when unknown."""
    text: str = ""
    data: Any = None


class Event(msgspec.Struct, tag="event", kw_only=True):
    """Something changed in Slicer. Coalesced: the newest state, a few times a second at most."""

    kind: str
    data: Any = None


class LogRecord(msgspec.Struct, tag="log", kw_only=True):
    """Text of VTK, ITK or another library in Slicer, as a log record."""

    level: int
    """As in Python's ``logging``."""
    text: str
    source: str = "vtk"


class Cancel(msgspec.Struct, tag="cancel", kw_only=True):
    """Cancel a command: a flag for those that poll, an interrupt for one that runs on the main thread."""

    id: int
    interrupt: bool = True


class Chunk(msgspec.Struct, tag="chunk", kw_only=True):
    """A part of an array whose header comes later; its bytes are the message's one buffer."""

    transfer: int
    offset: int
    total: int
    """Bytes of the whole transfer."""
    request: int = 0
    """The request it belongs to, so that progress can be shown."""


class Release(msgspec.Struct, tag="release", kw_only=True):
    """The other end no longer looks at these shared-memory leases."""

    leases: list[int]


class Watch(msgspec.Struct, tag="watch", kw_only=True):
    """Notebook end → Slicer end: stream a view's pictures, or change how. Answered by frames, or by `Unwatched`."""

    stream: int
    """The notebook's number of it."""
    view: str
    size: tuple[int, int] | None = None
    """(width, height) in pixels that the view is shown with; the view takes this size. None leaves it as it is."""
    paused: bool = False
    """Nobody looks at the moment."""
    again: bool = False
    """Whoever looks has no picture yet: send one, even if nothing has changed."""


class Input(msgspec.Struct, tag="input", kw_only=True):
    """Notebook end → Slicer end: what a person did in a view. Answered by `Took`, at once."""

    stream: int
    number: int
    """Rises by one with each."""
    events: list[dict[str, Any]]
    """Events of renderview's specification; ``x`` and ``y`` are parts of the picture's width and height, 0 to 1, from
    its top left corner."""
    seen: int = 0
    """A frame that has arrived, as `Seen` tells it; 0 for none."""


class Seen(msgspec.Struct, tag="seen", kw_only=True):
    """Notebook end → Slicer end: this frame, and all before it, have arrived where somebody looks at them."""

    stream: int
    index: int


class Unwatch(msgspec.Struct, tag="unwatch", kw_only=True):
    """Notebook end → Slicer end: no more frames."""

    stream: int


class SpotVolume(msgspec.Struct, kw_only=True):
    """A volume's value in one place."""

    layer: str
    """"background", "foreground" or "label"."""
    name: str
    value: str
    """As Slicer writes it: components with commas, a label with its name."""
    unit: str = ""


class SpotSegment(msgspec.Struct, kw_only=True):
    """A segment that is seen in one place."""

    name: str
    color: tuple[float, float, float]
    """RGB, 0 to 1."""
    segmentation: str


class Spot(msgspec.Struct, kw_only=True):
    """What lies under the pointer in a slice view: what Slicer's data probe tells."""

    ras: tuple[float, float, float]
    """mm."""
    volumes: list[SpotVolume] = []
    """Those that have a voxel there, the uppermost first."""
    segments: list[SpotSegment] = []


class Frame(msgspec.Struct, tag="frame", kw_only=True):
    """Slicer end → notebook end: a picture of a view."""

    stream: int
    index: int
    """Rises by one with each."""
    size: tuple[int, int]
    """(width, height) of the view, pixels; the picture may have fewer while it moves."""
    mime: str
    lossless: bool
    data: bytes
    input: int = 0
    """The last `Input` that is in it."""
    spot: Spot | msgspec.UnsetType | None = msgspec.UNSET
    """What is under the pointer of the one who gets it; None for nothing, or no pointer."""


class Took(msgspec.Struct, tag="took", kw_only=True):
    """Slicer end → notebook end: an `Input` was done."""

    stream: int
    number: int
    cursor: str = "default"
    """What the pointer looks like there, as CSS has it."""
    error: str = ""
    """What went wrong, in words."""
    spot: Spot | msgspec.UnsetType | None = msgspec.UNSET
    """As in `Frame`; not set if a frame follows, which says it."""


class Unwatched(msgspec.Struct, tag="unwatched", kw_only=True):
    """Slicer end → notebook end: there are no more frames, as there is no such view any more."""

    stream: int
    error: ErrorInfo


Message = (
    Hello
    | Attach
    | Request
    | Reply
    | Progress
    | Event
    | LogRecord
    | Cancel
    | Chunk
    | Release
    | Watch
    | Input
    | Seen
    | Unwatch
    | Frame
    | Took
    | Unwatched
)
