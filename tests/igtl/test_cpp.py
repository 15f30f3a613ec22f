"""The C++ library of Debian (protocol 2), with its own examples and with a peer made of its classes.

Its examples check the checksum, and print what they received or what they sent.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from concurrent.futures import Future

import msgspec
import numpy as np
import pytest

from slicer_notebook import igtl
from slicer_notebook.igtl.checksum import crc64
from tests.igtl.examples import CONTENTS, MATRIX, TIME
from tests.igtl.peers import EXAMPLES, PATIENCE, Cpp, Heard, free_port, needs_cpp

Serve = Callable[..., tuple[igtl.Server, Heard]]
Connect = Callable[..., tuple[igtl.Client, Heard]]

IMAGES = EXAMPLES / "Imager" / "img"


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Cpp:
    needs_cpp()
    programs = Cpp(tmp_path_factory.mktemp("openigtlink"))
    programs.build(
        "echo",
        "Receiver/ReceiveClient",
        "Tracker/TrackerServer",
        "Tracker/TrackerServer2",
        "Tracker/TrackerClient",
        "Imager/ImagerServer",
        "Imager/ImagerClient",
        "Point/PointServer",
        "Point/PointClient",
        "Status/StatusServer",
        "Status/StatusClient",
        "String/StringServer",
        "String/StringEchoServer",
        "PolyData/PolyDataServer",
        "PolyData/PolyDataClient",
        "Capability/CapabilityServer",
        "TrackingData/TrackingDataServer",
        "TrackingData/TrackingDataClient",
        "Trajectory/TrajectoryServer",
    )
    return programs


def printed_matrices(text: str) -> list[np.ndarray]:
    """The matrices that igtl::PrintMatrix wrote."""
    rows = re.findall(r"^\s*([-\d.e]+), ([-\d.e]+), ([-\d.e]+), ([-\d.e]+)\s*$", text, re.M)
    numbers = np.array(rows, float).reshape(-1, 4)
    return [numbers[i : i + 4] for i in range(0, len(numbers) - 3, 4)]


# Its servers, our client


def test_transforms_of_its_tracker(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("TrackerServer", port, 200) as tracker:
        client, heard = connect(("127.0.0.1", port))
        received = heard.of_type("TRANSFORM", 20)
        tracker.wait_for(lambda text: len(printed_matrices(text)) >= 20)
        for message, printed in zip(received, printed_matrices(tracker.text), strict=False):
            assert isinstance(message.content, igtl.Transform)
            np.testing.assert_allclose(message.content.matrix, printed, atol=1e-3)
        assert {message.device for message in received} == {"Tracker"}
        assert {message.version for message in received} == {1}
        (peer,) = client.peers
        assert peer.version == 1
        (line,) = [line for line in client.devices() if line.type == "TRANSFORM"]
        assert line.received >= 20


def test_positions_of_its_tracker(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("TrackerServer2", port, 200):
        _, heard = connect(("127.0.0.1", port))
        for i, message in enumerate(heard.of_type("POSITION", 10)[:10]):
            assert isinstance(message.content, igtl.Position)
            phi, theta = 0.2 * i, 0.1 * i
            place = [50 * np.cos(phi), 50 * np.sin(phi), 50 * np.cos(phi)]
            np.testing.assert_allclose(message.content.position, place, atol=1e-3)
            turn = [0, 2 / 3 * np.cos(theta), 0.577350269189626, 2 / 3 * np.sin(theta)]
            np.testing.assert_allclose(message.content.quaternion, turn, atol=1e-5)


def test_images_of_its_imager(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("ImagerServer", port, 50, IMAGES):
        _, heard = connect(("127.0.0.1", port))
        for i, message in enumerate(heard.of_type("IMAGE", 6)[:6]):
            image = message.content
            assert isinstance(image, igtl.Image)
            raw = np.fromfile(IMAGES / f"igtlTestImage{i % 5 + 1}.raw", np.uint8).reshape(1, 256, 256)
            np.testing.assert_array_equal(image.voxels, raw)
            assert image.frame == "RAS"
            # Its centre is the origin; j runs down; spacing 1, 1, 5.
            np.testing.assert_array_equal(image.matrix @ [127.5, 127.5, 0, 1], [0, 0, 0, 1])
            np.testing.assert_array_equal(image.matrix[:3, :3], np.diag([1, -1, 5]))


def test_points_of_its_server(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("PointServer", port):
        _, heard = connect(("127.0.0.1", port))
        content = heard.of_type("POINT")[0].content
    assert content == igtl.Points(
        (
            igtl.Point("POINT_0", (10, 20, 30), "GROUP_0", (255, 0, 0, 255), 15, "IMAGE_0"),
            igtl.Point("POINT_1", (40, 50, 60), "GROUP_0", (0, 255, 0, 255), 45, "IMAGE_0"),
            igtl.Point("POINT_2", (70, 80, 90), "GROUP_0", (0, 0, 255, 255), 75, "IMAGE_0"),
        )
    )


def test_the_status_of_its_server(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("StatusServer", port):
        _, heard = connect(("127.0.0.1", port))
        message = heard.of_type("STATUS")[0]
    assert message.content == igtl.Status(1, 128, "OK!", "This is a test to send status message.")
    assert message.device == "Device"


def test_strings_of_its_server(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("StringServer", port, 200):
        _, heard = connect(("127.0.0.1", port))
        texts = [message.content.text for message in heard.of_type("STRING", 5)[:5]]  # type: ignore[union-attr]
    assert texts == ["OpenIGTLink", "Network", "Communication", "Protocol", "Image Guided Therapy"]


def test_a_string_that_it_echoes(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("StringEchoServer", port) as server:
        client, heard = connect(("127.0.0.1", port))
        client.send(igtl.of_content(igtl.String("Grüße, 患者"), "Notebook"))
        message = heard.of_type("STRING")[0]
        assert message.device == "StringEchoServer"
        assert message.content == igtl.String("Grüße, 患者", 106)
        server.wait_for("Grüße, 患者")


def test_a_polydata_that_is_asked_for(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("PolyDataServer", port):
        client, _ = connect(("127.0.0.1", port))
        message = client.get("POLYDATA", "Cube", seconds=PATIENCE)
    assert message.device == "Cube"
    content = message.content
    assert isinstance(content, igtl.PolyData)
    assert content.points.shape == (8, 3)
    assert content.points[6].tolist() == [1, 1, 1]
    squares = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]
    assert content.polygons == igtl.Cells.of(squares)
    assert content.attributes == (igtl.Attribute("attr", np.arange(8)),)


def test_the_capability_of_its_server(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("CapabilityServer", port):
        _, heard = connect(("127.0.0.1", port))
        assert heard.of_type("CAPABILITY")[0].content == igtl.Capability(("TRANSFORM", "GET_IMAGE", "GET_LBMETA"))


def test_tracking_data_that_are_started_and_stopped(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("TrackingDataServer", port) as server:
        client, heard = connect(("127.0.0.1", port))
        client.send(igtl.Message("STT_TDATA", "Notebook", igtl.StartStream(7, "Patient")))
        tools = [message.content.tools for message in heard.of_type("TDATA", 5)]  # type: ignore[union-attr]
        assert [(tool.name, tool.kind) for tool in tools[0]] == [("Channel 0", 1), ("Channel 1", 2), ("Channel 2", 4)]
        np.testing.assert_allclose(tools[0][0].matrix[:3, 3], [50, 0, 50], atol=1e-3)
        np.testing.assert_allclose(
            tools[3][0].matrix[:3, 3], 50 * np.array([np.cos(0.3), np.sin(0.3), np.cos(0.3)]), atol=1e-3
        )
        server.wait_for("Interval = 7 (ms)")
        client.send(igtl.Message("STP_TDATA", "Notebook"))
        server.wait_for("Received a STP_TDATA message.")
        heard.wait(lambda: [state for state in heard.states if state[0] == "closed"])  # this server closes then


def test_a_type_that_we_do_not_know_is_passed_over(cpp: Cpp, connect: Connect) -> None:
    port = free_port()
    with cpp.run("TrajectoryServer", port):
        client, heard = connect(("127.0.0.1", port))
        assert heard.wait(lambda: heard.skipped)[0][0] == "TRAJ"
        # Until it listened, there was no connection; that message was no problem.
        assert [problem for problem in heard.problems if "No connection" not in problem.message] == []
        assert client.connected


# Its clients, our server


def test_transforms_of_its_client(cpp: Cpp, serve: Serve) -> None:
    server, heard = serve()
    with cpp.run("TrackerClient", *server.address, 500) as tracker:
        received = heard.of_type("TRANSFORM", 50)
        tracker.wait_for(lambda text: len(printed_matrices(text)) >= 50)
        for message, printed in zip(received, printed_matrices(tracker.text), strict=False):
            assert isinstance(message.content, igtl.Transform)
            np.testing.assert_allclose(message.content.matrix, printed, atol=1e-3)
            assert message.timestamp.seconds > 1_600_000_000
    heard.wait(lambda: [state for state in heard.states if state[0] == "closed"])


def test_images_of_its_client(cpp: Cpp, serve: Serve) -> None:
    server, heard = serve()
    with cpp.run("ImagerClient", *server.address, 100, IMAGES):
        image = heard.of_type("IMAGE", 2)[1].content
    assert isinstance(image, igtl.Image)
    np.testing.assert_array_equal(image.voxels.ravel(), np.fromfile(IMAGES / "igtlTestImage2.raw", np.uint8))


def test_points_and_status_of_its_clients(cpp: Cpp, serve: Serve) -> None:
    server, heard = serve()
    with cpp.run("PointClient", *server.address):
        points = heard.of_type("POINT")[0].content
    assert isinstance(points, igtl.Points)
    assert points.positions.tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    with cpp.run("StatusClient", *server.address):
        assert heard.of_type("STATUS")[0].content == igtl.Status(
            1, 128, "OK!", "This is a test to send status message."
        )


def test_what_its_receiver_prints(cpp: Cpp, serve: Serve) -> None:
    server, heard = serve()
    with cpp.run("ReceiveClient", *server.address) as receiver:
        heard.wait(lambda: heard.states)
        for name in ("TRANSFORM", "POSITION", "IMAGE", "STATUS", "STRING", "CAPABILITY", "TDATA", "POINT"):
            server.send(igtl.Message(name, "Device", CONTENTS[name], TIME))
        text = receiver.wait_for("Owner     : CT")
    assert "Time stamp: 1700000001.500000000" in text
    transform, tool, _ = printed_matrices(text)
    np.testing.assert_allclose(transform, MATRIX)
    np.testing.assert_allclose(tool, MATRIX)
    assert "position   = (1, 2, 3)\nquaternion = (0.5, -0.5, 0.5, 0.5)" in text
    assert "Device Name           : Device\nScalar Type           : 4\nDimensions            : (4, 3, 2)" in text
    assert "Spacing               : (1, 2, 3)\nSub-Volume dimensions : (4, 3, 2)" in text
    assert " Code      : 6\n SubCode   : -5\n Error Name: Busy\n Status    : wait" in text
    assert "Encoding: 106; String: Grüße" in text
    assert "Typename #0: TRANSFORM\nTypename #1: GET_CAPABIL" in text
    assert " Name       : Needle\n Type       : 4" in text
    assert " Name      : tip\n GroupName : Unselected\n RGBA      : ( 1, 2, 3, 4 )" in text
    assert " Position  : ( 1.500000, -2.000000, 3.000000 )\n Radius    : 5.000000" in text


def test_a_stream_that_its_client_asks_for(cpp: Cpp, serve: Serve) -> None:
    asked: list[tuple[str, str, igtl.StartStream]] = []
    tracking = igtl.Tracking((igtl.Tool("Needle", MATRIX, 2),))

    def stream(type_: str, device: str, wish: igtl.StartStream) -> igtl.Source:
        asked.append((type_, device, wish))
        return lambda: igtl.of_content(tracking, "Tracker")

    server, _ = serve(stream=stream)
    with cpp.run("TrackingDataClient", *server.address, 50) as client:
        text = client.wait_for(lambda text: text.count("Name       : Needle") >= 5 and "STP_TDATA" in text)
        # it prints types of messages that it does not expect: our answers
        text = client.wait_for(lambda text: text.count("Receiving : RTS_TDATA") >= 2)
    assert asked[0] == ("TDATA", "TDataClient", igtl.StartStream(20, "Patient"))
    np.testing.assert_allclose(printed_matrices(text)[0], MATRIX)


def test_a_polydata_that_its_client_asks_for(cpp: Cpp, serve: Serve) -> None:
    content = msgspec.structs.replace(CONTENTS["POLYDATA"], attributes=(igtl.Attribute("heat", np.arange(4)),))

    def provide(type_: str, device: str) -> Future[igtl.Message | None]:
        assert (type_, device) == ("POLYDATA", "Client")
        promise: Future[igtl.Message | None] = Future()
        promise.set_result(igtl.of_content(content))
        return promise

    server, _ = serve(provide=provide)
    with cpp.run("PolyDataClient", *server.address) as client:
        text = client.wait_for("data[3] = (3")
    assert "point[2] = (1, 1, 0)" in text
    assert "cell[1] = (0, 0, 1, 2, 3)" in text  # this example prints the first index twice
    assert "Name = heat\n  Type = POINT_SCALAR" in text


# A peer made of its classes: apart, together again, and back

ATTRIBUTES = (
    igtl.Attribute("heat", np.arange(4)),
    igtl.Attribute("n", np.arange(12.0).reshape(4, 3), "normals"),
    igtl.Attribute("v", np.arange(12.0).reshape(4, 3), "vectors"),
    igtl.Attribute("t", np.arange(36.0).reshape(4, 9), "tensors"),
    igtl.Attribute("pair", np.arange(8.0).reshape(4, 2)),
)

ECHOED = [
    # Of attributes of cells, this version of the library does not know the sizes.
    msgspec.structs.replace(CONTENTS["POLYDATA"], attributes=ATTRIBUTES),
    *(msgspec.structs.replace(CONTENTS["POLYDATA"], attributes=(attribute,)) for attribute in ATTRIBUTES),
    *(content for name, content in CONTENTS.items() if name not in ("POLYDATA", "COMMAND")),
    igtl.Image(np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(2, 3, 4, 3), MATRIX),
    igtl.Image(np.arange(8, dtype=np.uint16).reshape(2, 2, 2), MATRIX, "RAS", (9, 8, 7), (3, 4, 5)),
    *(
        igtl.NDArray(np.arange(24).reshape(2, 3, 4).astype(dtype))
        for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "f8")
    ),
    igtl.NDArray(np.arange(5, dtype=np.float32)),
    igtl.Sensor(np.linspace(-1, 1, 255)),
    igtl.String("x" * 65535),
]


def test_every_type_goes_through_the_library_and_comes_back(cpp: Cpp, serve: Serve) -> None:
    server, heard = serve()
    with cpp.run("echo", *server.address):
        heard.message(lambda message: message.content == igtl.String("ready", 3))
        for i, content in enumerate(ECHOED):
            server.send(igtl.of_content(content, f"Device {i}", timestamp=TIME))
        # Damaged on the way: its library notices, as ours does.
        (peer,) = server.peers
        peer.send_encoded(Damaged(igtl.of_content(CONTENTS["TRANSFORM"], "Damaged")))
        heard.message(lambda message: message.content == igtl.String("refused", 3))
    answers = {message.device: message for message in heard.messages}
    for i, content in enumerate(ECHOED):
        answer = answers[f"Device {i}"]
        expected = (
            igtl.String(content.text, 3 if content.text.isascii() else 106)
            if isinstance(content, igtl.String)
            else content
        )
        assert answer.content == expected
        assert answer.timestamp == TIME
    assert heard.problems == []


def test_a_query_and_a_command_do_not_disturb_it(cpp: Cpp, serve: Serve) -> None:
    server, heard = serve()
    with cpp.run("echo", *server.address):
        heard.message(lambda message: message.content == igtl.String("ready", 3))
        for message in (
            igtl.Message("GET_TRANSFORM", "a"),
            igtl.Message("GET_CAPABILITY"),
            igtl.Message("COMMAND", "a", igtl.Command(1, "Do", "it")),
            igtl.of_content(CONTENTS["TRANSFORM"], "last", metadata={"is": "left out"}),
        ):
            server.send(message)
        assert heard.message(lambda message: message.device == "last").content == CONTENTS["TRANSFORM"]
    said = [message.content.text for message in heard.messages if isinstance(message.content, igtl.String)]
    assert said == ["ready", "skipped GET_TRANSFOR", "skipped GET_CAPABIL", "skipped COMMAND"]


class Damaged:
    """A message whose checksum is wrong."""

    def __init__(self, message: igtl.Message) -> None:
        self.message = message
        self.key = None

    def pieces(self, version: int) -> list[bytes]:
        data = bytearray(b"".join(igtl.encode(self.message, version)))
        data[50:58] = struct.pack(">Q", crc64(bytes(data[58:])) ^ 1)
        return [bytes(data)]
