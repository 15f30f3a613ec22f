"""What crosses the link: typed messages, values, arrays. Bytes in, values out; no socket, no Qt, no Slicer."""

from slicer_notebook.protocol.messages import (
    PROTOCOL_VERSION,
    TARGET_NAME,
    Attach,
    Cancel,
    Chunk,
    ErrorInfo,
    Event,
    Hello,
    LogRecord,
    Message,
    Progress,
    Release,
    Reply,
    Request,
)
from slicer_notebook.protocol.values import NodeRef

__all__ = [
    "PROTOCOL_VERSION",
    "TARGET_NAME",
    "Attach",
    "Cancel",
    "Chunk",
    "ErrorInfo",
    "Event",
    "Hello",
    "LogRecord",
    "Message",
    "NodeRef",
    "Progress",
    "Release",
    "Reply",
    "Request",
]
