"""One message of each type, small, with unlike numbers in every place."""

from __future__ import annotations

import numpy as np

from slicer_notebook import igtl

MATRIX = np.array([[0.0, -2.0, 0.0, 10.5], [1.0, 0.0, 0.0, -20.25], [0.0, 0.0, 3.0, 30.0], [0, 0, 0, 1]])
TIME = igtl.Timestamp(1_700_000_001, 0x80000001)

CONTENTS: dict[str, igtl.Content] = {
    "CAPABILITY": igtl.Capability(("TRANSFORM", "GET_CAPABIL")),
    "COMMAND": igtl.Command(77, "Record", "<on/>"),
    "IMAGE": igtl.Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), MATRIX, "LPS"),
    "NDARRAY": igtl.NDArray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "POINT": igtl.Points((igtl.Point("tip", (1.5, -2.0, 3.0), "Unselected", (1, 2, 3, 4), 5.0, "CT"),)),
    "POLYDATA": igtl.PolyData(
        np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]),
        lines=igtl.Cells.of([[0, 1]]),
        polygons=igtl.Cells.of([[0, 1, 2], [0, 1, 2, 3]]),
        attributes=(igtl.Attribute("heat", np.arange(4)), igtl.Attribute("n", np.ones((3, 3)), "normals", "cells")),
    ),
    "POSITION": igtl.Position((1.0, 2.0, 3.0), (0.5, -0.5, 0.5, 0.5)),
    "SENSOR": igtl.Sensor(np.array([1.5, -2.5]), igtl.pack_unit([("N", 1)], "m"), 3),
    "STATUS": igtl.Status(igtl.StatusCode.BUSY, -5, "Busy", "wait"),
    "STRING": igtl.String("Grüße"),
    "TDATA": igtl.Tracking((igtl.Tool("Needle", MATRIX, 4), igtl.Tool("Probe", np.eye(4), 1))),
    "TRANSFORM": igtl.Transform(MATRIX),
}

MESSAGES = [
    *(
        igtl.Message(name, "Device", content, TIME, 2, 9, {"key": "value", "größe": "1 m"})
        for name, content in CONTENTS.items()
    ),
    igtl.Message("RTS_COMMAND", "Device", igtl.Command(77, "Record", "done"), TIME, 2, 0, {"Status": "SUCCESS"}),
    igtl.Message("STT_TDATA", "", igtl.StartStream(50, "Patient"), TIME),
    igtl.Message("RTS_TDATA", "", igtl.Reply(1), TIME),
    *(igtl.Message(f"{verb}_{name}", "Device", None, TIME) for verb in ("GET", "STP") for name in CONTENTS),
]


def wire(message: igtl.Message, version: int = 2) -> bytes:
    """A message's bytes."""
    return b"".join(igtl.encode(message, version))


def only(events: list[igtl.Event]) -> igtl.Message:
    """The one message of a decoder's events."""
    assert len(events) == 1, events
    assert isinstance(events[0], igtl.Message), events
    return events[0]
