"""pyigtl, both ways: its server (in a process of its own) and our client, our server and its client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pyigtl
import pytest

from slicer_notebook import igtl
from tests.igtl.examples import CONTENTS, MATRIX, TIME
from tests.igtl.peers import PATIENCE, Heard, Program, free_port, python, running
from tests.igtl.pyigtl_peer import VOXELS

Serve = Callable[..., tuple[igtl.Server, Heard]]
Connect = Callable[..., tuple[igtl.Client, Heard]]


@pytest.fixture
def its_server() -> Iterator[tuple[Program, tuple[str, int]]]:
    port = free_port()
    with running(*python("pyigtl_peer.py", port)) as program:
        program.wait_for("ready")
        yield program, ("127.0.0.1", port)


@contextmanager
def its_client(address: tuple[str, int]) -> Iterator[pyigtl.OpenIGTLinkClient]:
    client = pyigtl.OpenIGTLinkClient(*address)
    try:
        yield client
    finally:
        client.stop()


def test_what_its_server_sends(its_server: tuple[Program, tuple[str, int]], connect: Connect) -> None:
    program, address = its_server
    client, heard = connect(address)

    program.say("transform")
    message = heard.of_type("TRANSFORM")[0]
    assert message.content == igtl.Transform(MATRIX)
    assert (message.device, message.version) == ("Needle", 1)
    assert message.timestamp.time == pytest.approx(1_700_000_001.5)

    program.say("image")
    image = heard.of_type("IMAGE")[0].content
    assert image == igtl.Image(VOXELS, MATRIX, "LPS")
    program.say("ras")
    assert heard.of_type("IMAGE", 2)[1].content == igtl.Image(VOXELS, MATRIX, "RAS")

    program.say("string")
    assert heard.of_type("STRING")[0].content == igtl.String("hello", 3)

    program.say("point")
    points = heard.of_type("POINT")[0].content
    assert isinstance(points, igtl.Points)
    assert points.positions.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert [(point.name, point.group) for point in points.points] == [("a", "Unselected"), ("b", "Unselected")]

    # Its POSITION has the length of a POINT and more: that message is dropped, and the connection stays.
    assert heard.problems == []
    program.say("position")
    assert "wrong size" in heard.problem().message or "too long" in heard.problem().message
    program.say("version2")
    message = heard.of_type("TRANSFORM", 2)[1]
    assert (message.version, message.message_id, message.metadata) == (2, 7, {"Unit": "mm"})
    assert client.connected
    assert heard.states == [("connected", "")]


def test_what_its_server_receives(its_server: tuple[Program, tuple[str, int]], connect: Connect) -> None:
    program, address = its_server
    client, _ = connect(address)
    for name in ("TRANSFORM", "IMAGE", "STRING", "POINT"):
        client.send(igtl.Message(name, name.title(), CONTENTS[name], TIME))
    program.say("want Transform")
    text = program.wait_for("got TRANSFORM")
    assert "Header version: 1" in text
    assert "Timestamp: 1700000001.5" in text
    assert "10.5" in text
    assert "-20.25" in text
    program.say("want Image")
    assert "Image size: (2, 3, 4)" in program.wait_for("got IMAGE")
    assert "lps" in program.text
    program.say("want String")
    assert "Grüße" in program.wait_for("got STRING")
    program.say("want Point")
    assert "tip" in program.wait_for("got POINT")


def test_its_server_ends_and_comes_back(connect: Connect) -> None:
    port = free_port()
    with running(*python("pyigtl_peer.py", port)) as program:
        program.wait_for("ready")
        client, heard = connect(("127.0.0.1", port))
    heard.wait(lambda: [state for state in heard.states if state[0] == "closed"])
    with running(*python("pyigtl_peer.py", port)) as program:
        program.wait_for("ready")
        client.wait_connected(PATIENCE)
        program.say("string")
        assert heard.of_type("STRING")[0].content == igtl.String("hello", 3)


def test_what_its_client_receives(serve: Serve) -> None:
    server, heard = serve()
    with its_client(server.address) as client:
        heard.wait(lambda: heard.states)
        voxels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
        for frame in ("RAS", "LPS"):
            server.send(igtl.of_content(igtl.Image(voxels, MATRIX, frame), frame))
            image = client.wait_for_message(frame, timeout=PATIENCE)
            np.testing.assert_array_equal(image.image, voxels)
            np.testing.assert_allclose(image.ijk_to_world_matrix, MATRIX)
            assert image.world_coordinate_system == frame.lower()
        server.send(igtl.of_content(igtl.Transform(MATRIX), "Needle", timestamp=TIME))
        transform = client.wait_for_message("Needle", timeout=PATIENCE)
        np.testing.assert_allclose(transform.matrix, MATRIX)
        assert transform.timestamp == pytest.approx(TIME.time)
        server.send(igtl.of_content(igtl.String("Grüße"), "Text"))
        assert client.wait_for_message("Text", timeout=PATIENCE).string == "Grüße"


def test_what_its_client_receives_in_version_2(serve: Serve) -> None:
    server, heard = serve(version=2)
    with its_client(server.address) as client:
        heard.wait(lambda: heard.states)
        server.send(igtl.of_content(igtl.Transform(MATRIX), "Needle", metadata={"größe": "1 µm"}, message_id=9))
        message = client.wait_for_message("Needle", timeout=PATIENCE)
        np.testing.assert_allclose(message.matrix, MATRIX)
        assert message.header_version == 2
        assert message.message_id == 9
        assert message.metadata == {"größe": "1 µm"}


def test_what_its_client_sends(serve: Serve) -> None:
    server, heard = serve()
    with its_client(server.address) as client:
        client.send_message(pyigtl.TransformMessage(MATRIX, device_name="Needle"), wait=True)
        assert heard.of_type("TRANSFORM")[0].content == igtl.Transform(MATRIX)
        color = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
        client.send_message(pyigtl.ImageMessage(color, device_name="Camera"), wait=True)
        assert heard.of_type("IMAGE")[0].content == igtl.Image(color, np.eye(4), "LPS")


def test_an_image_of_many_megabytes_from_its_client(serve: Serve) -> None:
    """Its send breaks off where not all is taken within 10 ms, which a busy machine does not always do; then it goes on
    in the middle, or connects anew. No half image comes of that, and the server goes on."""
    server, heard = serve()
    frame = np.random.default_rng(0).integers(0, 255, (1, 1080, 1920, 3), dtype=np.uint8)
    with its_client(server.address) as client:
        end = time.monotonic() + PATIENCE
        while len(heard.messages) < 2 and time.monotonic() < end:
            heard.wait(lambda: server.peers)
            client.send_message(pyigtl.ImageMessage(frame, device_name="Camera"), wait=True)
        images = [message.content for message in heard.of_type("IMAGE", 2)]
    for image in images:
        assert isinstance(image, igtl.Image)
        np.testing.assert_array_equal(image.voxels, frame)


def test_its_client_ends(serve: Serve) -> None:
    server, heard = serve()
    with its_client(server.address):
        heard.wait(lambda: server.peers)
    heard.wait(lambda: [state for state in heard.states if state[0] == "closed"])
    assert server.peers == ()
