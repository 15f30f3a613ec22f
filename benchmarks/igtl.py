"""Benchmarks of OpenIGTLink, against the C++ library's own receiver, from the socket to the callback.

A sender in C++ (`igtl_sender.cxx`) puts the time into each message when it gives it to the socket. Both receivers are
processes of their own that connect to it; one is `igtl_receiver.py`, the other `igtl_receiver.cxx`, made of the C++
library's own calls with the checksum checked, as its examples are. Debian's libopenigtlink-dev compiles them here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Row

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["Receivers", "igtl_images", "igtl_transforms"]

#: Transforms a second, and for how many seconds.
TRANSFORM_RATE, TRANSFORM_SECONDS = 1000, 60
#: Seconds over which a median is taken.
SLICE_SECONDS = 5
#: Seconds until a transform is to be in its node, at the median.
TRANSFORM_LIMIT = 2e-3
#: Transforms that are sent as fast as they are taken.
FLOOD = 100_000
#: Pictures of 1920 x 1080 RGB a second, and how many.
IMAGE_RATE, IMAGE_COUNT = 30, 150
#: A rate that no machine reaches: the sender never waits.
NO_PAUSE = 1_000_000_000

#: Seconds that one run may take.
PATIENCE = 600

Times = npt.NDArray[np.float64]


class Receivers:
    """The sender and the C++ receiver, compiled, and the library's receiver.

    Raises:
        RuntimeError: g++ or libopenigtlink-dev is not installed.
    """

    def __init__(self, folder: Path) -> None:
        here = Path(__file__).parent
        self._sender = folder / "igtl_sender"
        peer = folder / "igtl_receiver"
        for program in (self._sender, peer):
            source = here / f"{program.name}.cxx"
            libraries = ["-lOpenIGTLink", "-lpthread"]
            command = ["g++", "-O2", "-w", "-I/usr/include/openigtlink", str(source), "-o", str(program), *libraries]
            try:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
            except (OSError, subprocess.CalledProcessError) as error:
                why = getattr(error, "stderr", "") or str(error)
                raise RuntimeError(f"The C++ peer needs the packages g++ and libopenigtlink-dev: {why}") from error
        self.commands = {"ours": [sys.executable, "-m", "benchmarks.igtl_receiver"], "library": [str(peer)]}

    def run(self, kind: str, rate: float, count: int, *who: str) -> tuple[list[Times], float]:
        """Receive ``count`` messages by each of ``who``, which hear the same sender.

        Returns:
            For each, the seconds from a message's time stamp until it was received; and the seconds from the first
            message until all had read all.

        Raises:
            RuntimeError: a message was lost, or a receiver failed.
        """
        sending = [str(self._sender), kind, f"{rate:g}", str(count), str(len(who))]
        receivers: list[subprocess.Popen[str]] = []
        with subprocess.Popen(sending, stdout=subprocess.PIPE, text=True) as sender:
            try:
                assert sender.stdout is not None
                port = sender.stdout.readline().strip()
                for name in who:
                    command = [*self.commands[name], "127.0.0.1", port]
                    receivers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
                found = []
                for name, receiver in zip(who, receivers, strict=True):
                    said, _ = receiver.communicate(timeout=PATIENCE)
                    delays = np.array(said.split(), np.float64) / 1e9
                    if receiver.returncode or len(delays) != count:
                        raise RuntimeError(f"{name}: {len(delays)} of {count} messages came")
                    found.append(delays)
                return found, float(sender.stdout.readline())
            finally:
                for process in (sender, *receivers):
                    process.kill()


def igtl_transforms(bench: Bench) -> list[Row]:
    """1,000 TRANSFORM a second for a minute; then as many as are taken."""
    name = "igtl_transforms"
    receivers = Receivers(bench.folder)
    slices = max(1, round(TRANSFORM_SECONDS * bench.scale / SLICE_SECONDS))
    seconds = slices * SLICE_SECONDS
    # Both at the same time; the sender tells each of them first in turns. So what the machine does meanwhile hits both.
    (ours, theirs), _ = receivers.run("TRANSFORM", TRANSFORM_RATE, seconds * TRANSFORM_RATE, "ours", "library")

    def medians(delays: Times) -> list[float]:
        return [float(value) for value in np.median(delays.reshape(slices, -1), axis=1)]

    def flood(who: str) -> Callable[[], float]:
        return lambda: receivers.run("TRANSFORM", NO_PAUSE, FLOOD, who)[1]

    times = bench.interleave(name, {who: flood(who) for who in ("ours", "library")}, 5)
    what = f"{TRANSFORM_RATE:,} TRANSFORM/s for {seconds} s, none lost: delay to the callback, median of 5 s"
    library = "the C++ library's receiver"
    return [
        Row(name, what, "the limit", medians(ours), [TRANSFORM_LIMIT] * slices, 1.0),
        Row(name, what, f"{library}, at the same time", medians(ours), medians(theirs)),
        Row(name, f"{FLOOD:,} TRANSFORM, as fast as they are taken", library, times["ours"], times["library"]),
    ]


def igtl_images(bench: Bench) -> list[Row]:
    """IMAGE of 1920 x 1080 RGB, 30 a second."""
    name = "igtl_images"
    receivers = Receivers(bench.folder)
    delays: dict[str, list[float]] = {"ours": [], "library": []}

    def contender(who: str) -> Callable[[], float]:
        def run() -> float:
            (found,), seconds = receivers.run("IMAGE", IMAGE_RATE, IMAGE_COUNT, who)
            delays[who].append(float(np.median(found)))
            return seconds / IMAGE_COUNT

        return run

    times = bench.interleave(name, {who: contender(who) for who in delays}, 3, warm_up=0)
    rounds = len(times["ours"])
    picture = f"IMAGE 1920 x 1080 RGB, {IMAGE_RATE} sent a second, none lost"
    library = "the C++ library's receiver"
    return [
        Row(name, f"{picture}: time for each", f"1/{IMAGE_RATE} s", times["ours"], [1 / IMAGE_RATE] * rounds, 1.02),
        Row(name, f"{picture}: time for each", library, times["ours"], times["library"], 1.02),
        Row(name, f"{picture}: median delay to the callback", library, delays["ours"], delays["library"], 1.0),
    ]
