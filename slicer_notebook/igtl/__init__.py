"""OpenIGTLink without Slicer: messages, their contents, and the server and client that exchange them.

Contents (`slicer_notebook.igtl.contents`) are small frozen records with numpy arrays: `Transform`, `Position`, `Image`,
`String`, `Status`, `Points`, `Tracking` (TDATA), `Sensor`, `PolyData`, `NDArray`, `Command`, `Capability`; in queries
and their answers `StartStream` (STT_) and `Reply` (RTS_). `of_content` makes a `Message` of one, whose type follows.

::

    import numpy as np
    from slicer_notebook import igtl

    def on_message(peer, message):          # on the connections' own thread: hand over what takes long
        if isinstance(message.content, igtl.Transform):
            print(message.device, message.timestamp.time, message.content.matrix)

    with igtl.Server(port=0, on_message=on_message) as server:      # 127.0.0.1 only, unless told otherwise
        host, port = server.address
        server.send(igtl.of_content(igtl.Transform(np.eye(4)), "Needle"), stream=True)   # to all who are connected

    with igtl.Client("tracker", 18944, on_message=on_message) as client:     # connects again whenever that is lost
        client.wait_connected()
        image = client.get("IMAGE", "Camera").content                        # GET_IMAGE, and wait
        client.start_stream("TDATA", interval=20)                            # STT_TDATA, and wait for RTS_TDATA
        client.command("Record", "<on/>").metadata["Status"]                 # COMMAND, and wait for RTS_COMMAND

``stream=True`` means that the newest of a device is what counts: where a peer reads slowly, it takes the place of the
one that waits. Without it nothing is left out, and who lets too much wait is disconnected.

A server or client answers GET_ by ``provide(type, device)``, STT_ by ``stream(type, device, wish)``, which gives a
source of messages; either may give a `concurrent.futures.Future`. RTS_COMMAND is made by `answer_command`.

A peer hears the header version that it has shown to know; before it has said anything, ``version`` of the server or
client: 1, unless told otherwise. Only version 2 carries metadata.

The codec (`encode`, `Decoder`) knows no socket: bytes in, messages, faults and skipped types out. A wrong checksum or a
malformed body drops that message alone.
"""

from slicer_notebook.igtl.client import Client
from slicer_notebook.igtl.codec import encode
from slicer_notebook.igtl.contents import (
    Attribute,
    Capability,
    Cells,
    Command,
    Content,
    Frame,
    Image,
    NDArray,
    Point,
    Points,
    PolyData,
    Position,
    Reply,
    Sensor,
    StartStream,
    Status,
    StatusCode,
    String,
    Tool,
    ToolKind,
    Tracking,
    Transform,
)
from slicer_notebook.igtl.counts import DeviceLine
from slicer_notebook.igtl.decoder import MAX_BODY_BYTES, Decoder, Event, Fault, Skipped
from slicer_notebook.igtl.endpoint import DEFAULT_PORT, Endpoint, OnMessage, OnPeer, OnProblem, PeerState
from slicer_notebook.igtl.message import TYPES, Message, Timestamp, answer_command, of_content
from slicer_notebook.igtl.peer import Peer
from slicer_notebook.igtl.queries import Answer, Provide, Source, Stream
from slicer_notebook.igtl.server import Server
from slicer_notebook.igtl.texts import cut
from slicer_notebook.igtl.units import pack_unit, unit_text, unpack_unit

__all__ = [
    "DEFAULT_PORT",
    "MAX_BODY_BYTES",
    "TYPES",
    "Answer",
    "Attribute",
    "Capability",
    "Cells",
    "Client",
    "Command",
    "Content",
    "Decoder",
    "DeviceLine",
    "Endpoint",
    "Event",
    "Fault",
    "Frame",
    "Image",
    "Message",
    "NDArray",
    "OnMessage",
    "OnPeer",
    "OnProblem",
    "Peer",
    "PeerState",
    "Point",
    "Points",
    "PolyData",
    "Position",
    "Provide",
    "Reply",
    "Sensor",
    "Server",
    "Skipped",
    "Source",
    "StartStream",
    "Status",
    "StatusCode",
    "Stream",
    "String",
    "Timestamp",
    "Tool",
    "ToolKind",
    "Tracking",
    "Transform",
    "answer_command",
    "cut",
    "encode",
    "of_content",
    "pack_unit",
    "unit_text",
    "unpack_unit",
]
