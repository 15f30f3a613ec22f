"""Receives OpenIGTLink messages by our library in a process of its own, as `igtl_receiver.cxx` does by the C++ one.

``python -m benchmarks.igtl_receiver HOST PORT``: prints after the last message for each how many nanoseconds after its
time stamp the callback was called with it.
"""

from __future__ import annotations

import sys
import threading
import time

from slicer_notebook import igtl

__all__ = ["main"]

#: Seconds that the whole may take; the sender ends it long before.
PATIENCE = 600.0


def main(host: str, port: int) -> None:
    """Receive until the sender closes."""
    delays: list[int] = []
    problems: list[str] = []
    ended = threading.Event()

    def on_message(_peer: igtl.Peer, message: igtl.Message) -> None:
        delays.append(time.time_ns() - message.timestamp.ns)

    def on_peer(_peer: igtl.Peer, state: igtl.PeerState, _reason: str) -> None:
        if state == "closed":
            ended.set()

    def on_problem(_peer: igtl.Peer | None, error: Exception) -> None:
        problems.append(str(error))

    with igtl.Client(host, port, on_message=on_message, on_peer=on_peer, on_problem=on_problem, reconnect=False):
        if not ended.wait(PATIENCE) or problems:
            sys.exit("\n".join(problems) or "the sender did not end")
    sys.stdout.write("".join(f"{delay}\n" for delay in delays))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
