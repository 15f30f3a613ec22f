"""Benchmarks of OpenIGTLink in Slicer: from the socket to the MRML node, beside the C++ library's own receiver.

The sender of `benchmarks.igtl` stamps each message when it gives it to the socket. Slicer connects to it as a user's
would, records everything, and an observer of the node looks at the clock; the C++ receiver hears the same sender at the
same time, and ends with the message taken apart, without a node, an observer or a recording.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.igtl import (
    IMAGE_RATE,
    PATIENCE,
    SLICE_SECONDS,
    TRANSFORM_LIMIT,
    TRANSFORM_RATE,
    TRANSFORM_SECONDS,
    Receivers,
    Times,
)
from benchmarks.measure import Row

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["igtl_mrml_images", "igtl_mrml_transforms"]

#: Seconds of pictures.
IMAGE_SECONDS = 10
#: Watches a node: how many nanoseconds after its message's time stamp it was there.
_WATCH = """
import time
igtl_delays = []
def igtl_there(node, _event):
    igtl_delays.append((time.time_ns() - float(node.GetAttribute("slicer_notebook.igtl.time") or 0) * 1e9) / 1e9)
igtl_node = slicer.mrmlScene.GetNodeByID({node!r})
igtl_tag = igtl_node.AddObserver("ModifiedEvent", igtl_there)
"""
_UNWATCH = "igtl_node.RemoveObserver(igtl_tag)"


@dataclass
class _Run:
    """What one run has brought.

    Attributes:
        delays: seconds from each message that was shown to its node.
        library: the same of each message to the end of the C++ receiver's work; empty without one.
        cpu: seconds of processor time of Slicer's process for each message.
        seconds: from the first message until all had read all.
    """

    delays: Times
    library: Times
    cpu: float
    seconds: float


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process, all of its threads (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _run(bench: Bench, kind: str, rate: int, count: int, node: Any, *, beside: bool) -> _Run:
    """Have Slicer hear the sender; ``beside``: the C++ receiver hears it at the same time.

    Raises:
        RuntimeError: a message was lost.
    """
    slicer, receivers = bench.slicer, Receivers(bench.folder)
    slicer.run(_WATCH.format(node=node.id))
    pid = slicer.info["pid"]
    recording = slicer.call("igtl.record_begin", type=kind) if kind == "TRANSFORM" else None
    sending = [str(bench.folder / "igtl_sender"), kind, str(rate), str(count), "2" if beside else "1"]
    with ExitStack() as stack:
        sender = _program(stack, sending)
        port = str(sender.stdout.readline()).strip()
        before = _cpu_seconds(pid)
        connection = slicer.igtl.connect("127.0.0.1", int(port), reconnect=False)
        said = ""
        if beside:
            said, _ = _program(stack, [*receivers.commands["library"], "127.0.0.1", port]).communicate(timeout=PATIENCE)
        seconds = float(sender.stdout.readline())
    slicer.call("igtl.hand_over")
    cpu = _cpu_seconds(pid) - before
    came = sum(each.count for each in connection.devices if each.type == kind)
    if recording is not None:
        came = min(came, int(slicer.call("igtl.record_end", id=recording, keep=False)["count"]))
    connection.close()
    slicer.run(_UNWATCH)
    if came != count:
        raise RuntimeError(f"{came} of {count} messages came")
    delays = np.array(slicer.eval("igtl_delays"), np.float64)
    return _Run(delays, np.array(said.split(), np.float64) / 1e9, cpu / count, seconds)


def _program(stack: ExitStack, command: list[str]) -> Any:
    program = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    stack.callback(program.kill)
    return program


def _medians(delays: Times, slices: int) -> list[float]:
    return [float(np.median(part)) for part in np.array_split(delays, slices)]


def igtl_mrml_transforms(bench: Bench) -> list[Row]:
    """1,000 TRANSFORM a second for a minute, into a node, recorded."""
    name = "igtl_mrml_transforms"
    slices = max(1, round(TRANSFORM_SECONDS * bench.scale / SLICE_SECONDS))
    count = slices * SLICE_SECONDS * TRANSFORM_RATE
    bench.say(name, 0, 1)
    node = bench.slicer.add_transform(name="Tracker")
    found = _run(bench, "TRANSFORM", TRANSFORM_RATE, count, node, beside=True)
    bench.say(name, 1, 1)
    ours, theirs = _medians(found.delays, slices), _medians(found.library, slices)
    shown = 100 * len(found.delays) / count
    what = f"{TRANSFORM_RATE:,} TRANSFORM/s for {slices * SLICE_SECONDS} s, all recorded, {shown:.1f} % shown"
    return [
        Row(name, f"{what}: delay to the node, median of 5 s", "the limit", ours, [TRANSFORM_LIMIT] * slices, 1.0),
        Row(name, f"{what}: delay to the node, median of 5 s", "the C++ library's receiver, no node", ours, theirs),
        Row(name, f"{what}: processor time for each", "1 ms", [found.cpu], [1 / TRANSFORM_RATE]),
    ]


def igtl_mrml_images(bench: Bench) -> list[Row]:
    """IMAGE of 1920 x 1080 RGB, 30 a second, into a vector volume."""
    name = "igtl_mrml_images"
    count = max(2, round(IMAGE_SECONDS * bench.scale)) * IMAGE_RATE
    bench.say(name, 0, 1)
    node = bench.slicer.add_volume(np.zeros((1, 1080, 1920, 3), np.uint8), show=False)
    node.name = "Camera"  # the scene has a camera of that name already, and so would number it
    # In turns: the C++ library takes longer for a picture than there is, and would hold up the sender.
    found = _run(bench, "IMAGE", IMAGE_RATE, count, node, beside=False)
    (theirs,), their_seconds = Receivers(bench.folder).run("IMAGE", IMAGE_RATE, count, "library")
    bench.say(name, 1, 1)
    shown = 100 * len(found.delays) / count
    what = f"IMAGE 1920 x 1080 RGB, {IMAGE_RATE} sent a second, none lost, {shown:.0f} % shown"
    library = "the C++ library's receiver, no node"
    each, least = found.seconds / count, 1 / IMAGE_RATE
    return [
        Row(name, f"{what}: time for each", f"1/{IMAGE_RATE} s", [each], [least], 1.02),
        Row(name, f"{what}: time for each", library, [each], [their_seconds / count], 1.02),
        Row(name, f"{what}: median delay to the volume", library, _medians(found.delays, 1), _medians(theirs, 1), 1.0),
        Row(name, f"{what}: processor time for each", f"1/{IMAGE_RATE} s", [found.cpu], [least], 1.0),
    ]
