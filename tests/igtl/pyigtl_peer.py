"""pyigtl's server in a process of its own, as it must be made on the main thread and takes over SIGINT and SIGTERM.

Reads words from its input: ``transform``, ``image``, ``string``, ``point``, ``position`` sends one of that type; ``want
DEVICE`` waits for a message of that device and prints it; the end of the input ends it.
"""

from __future__ import annotations

import sys

import numpy as np
import pyigtl

MATRIX = np.array([[0.0, -2.0, 0.0, 10.5], [1.0, 0.0, 0.0, -20.25], [0.0, 0.0, 3.0, 30.0], [0, 0, 0, 1]])
VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)

MESSAGES = {
    "transform": lambda: pyigtl.TransformMessage(MATRIX, device_name="Needle", timestamp=1_700_000_001.5),
    "image": lambda: pyigtl.ImageMessage(VOXELS, ijk_to_world_matrix=MATRIX, device_name="CT"),
    "ras": lambda: pyigtl.ImageMessage(
        VOXELS, ijk_to_world_matrix=MATRIX, world_coordinate_system="ras", device_name="CT"
    ),
    "string": lambda: pyigtl.StringMessage("hello", device_name="Text"),
    "point": lambda: pyigtl.PointMessage(
        [[1, 2, 3], [4, 5, 6]], names=["a", "b"], groups="Unselected", device_name="Points"
    ),
    "position": lambda: pyigtl.PositionMessage([1, 2, 3], [0, 0, 0, 1], device_name="Place"),
}


def version_2() -> pyigtl.MessageBase:
    message = pyigtl.TransformMessage(MATRIX, device_name="Needle")
    message.header_version = 2
    message.message_id = 7
    message.metadata = {"Unit": "mm"}
    return message


MESSAGES["version2"] = version_2


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    server = pyigtl.OpenIGTLinkServer(port=int(sys.argv[1]), local_server=True)
    say("ready")
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "want":
            message = server.wait_for_message(rest, timeout=30)
            say(f"got {message}".replace("\n", " | "))
        else:
            server.send_message(MESSAGES[word](), wait=True)
            say(f"sent {word}")
    server.stop()


if __name__ == "__main__":
    main()
