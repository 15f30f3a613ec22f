"""The gateway igtl: our client, pyigtl and programs of the C++ library drive a real Slicer."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyigtl
import pytest
import SimpleITK

import slicer_notebook as sn
from slicer_notebook import igtl
from slicer_notebook.errors import GatewayError
from slicer_notebook.session.gateways import Gateway
from tests.commands.connecting import busy, until
from tests.igtl.examples import CONTENTS, MATRIX
from tests.igtl.peers import EXAMPLES, PATIENCE, Cpp, Heard, needs_cpp


@pytest.fixture
def served(slicer: sn.Session) -> Iterator[Gateway]:
    with slicer.gateways.start("igtl", port=0) as gateway:
        yield gateway


@contextmanager
def client(gateway: Gateway, version: int = 2, **how: Any) -> Iterator[tuple[igtl.Client, Heard]]:
    heard = Heard()
    with igtl.Client(gateway.host, gateway.port, version=version, **heard.callbacks, **how) as made:
        made.wait_connected(PATIENCE)
        yield made, heard


def settle(slicer: sn.Session, made: igtl.Client) -> None:
    """Wait until Slicer is done with all that was sent."""
    made.get("STATUS", seconds=PATIENCE)
    slicer.call("igtl.hand_over")


# -- where it listens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.0.2.1", "::"])
def test_it_listens_on_the_loopback_interface_only(slicer: sn.Session, bind: str) -> None:
    with pytest.raises(GatewayError, match="loopback interface only") as caught:
        slicer.gateways.start("igtl", port=0, bind=bind)
    assert "ssh -L" in str(caught.value)


def test_a_port_that_is_taken_is_said(slicer: sn.Session, served: Gateway) -> None:
    with pytest.raises(GatewayError, match=str(served.port)):
        slicer.gateways.start("igtl", port=served.port)


def test_its_end_ends_the_connections_and_frees_the_port(slicer: sn.Session) -> None:
    gateway = slicer.gateways.start("igtl", port=0)
    with client(gateway) as (made, heard):
        settle(slicer, made)
        gateway.stop()
        heard.wait(lambda: ("closed", "") in heard.states)
        with socket.create_server((gateway.host, gateway.port)):
            pass
    assert not any(each._entry["state"] == "open" for each in slicer.igtl.connections)


# -- what comes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_what_a_program_sends_becomes_nodes(version: int, slicer: sn.Session, served: Gateway) -> None:
    with client(served, version) as (made, _):
        for name in ("TRANSFORM", "IMAGE", "STRING", "POINT", "POLYDATA", "SENSOR", "NDARRAY", "TDATA"):
            made.send(igtl.of_content(CONTENTS[name], name.capitalize(), metadata={"key": "value"}))
        settle(slicer, made)
        np.testing.assert_allclose(slicer["Transform"].matrix, MATRIX)
        np.testing.assert_allclose(slicer["Image"].affine, np.diag([-1.0, -1, 1, 1]) @ MATRIX)
        assert {"String", "Point", "Polydata", "Sensor", "Ndarray", "Needle", "Probe"} <= {
            node.name for node in slicer.nodes()
        }
        assert slicer["Transform"].attributes.get("OpenIGTLink.key") == ("value" if version == 2 else None)
        [connection] = [each for each in slicer.igtl.connections if each.state == "open"]
        assert connection._entry["kind"] == "server"
        counts = served.counts
        assert counts["requests"] == 10  # it connects, eight of data, GET_STATUS
        assert (counts["failed"], counts["open"]) == (0, 1)
        assert [line["what"] for line in served.log] == ["connects", "GET_STATUS"]


def test_what_cannot_be_used_is_counted_and_logged(slicer: sn.Session, served: Gateway) -> None:
    with socket.create_connection((served.host, served.port)) as there:
        good = b"".join(igtl.encode(igtl.of_content(igtl.Transform(MATRIX), "Good"), 1))
        there.sendall(good[:-1] + bytes([good[-1] ^ 255]) + good)
        until(slicer, lambda: "Good" in slicer, "the good one")
        assert served.counts["failed"] == 1
        assert [line["status"] for line in served.log] == ["ok", "dropped"]


def test_a_web_page_that_posts_to_the_port_is_turned_away(slicer: sn.Session, served: Gateway) -> None:
    with socket.create_connection((served.host, served.port)) as there:
        there.settimeout(PATIENCE)
        there.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
        assert _ends(there)
    assert served.counts["failed"] == 1


def _ends(there: socket.socket) -> bool:
    """Whether the other end closes, by a goodbye or a reset."""
    try:
        return there.recv(1) == b""
    except ConnectionError:
        return True


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_data_of_nodes_are_given(slicer: sn.Session, served: Gateway) -> None:
    needle = slicer.add_transform(MATRIX, "Needle")
    needle.set_attribute("OpenIGTLink.Unit", "mm")
    slicer.add_volume(np.arange(6, dtype=np.uint8).reshape(1, 2, 3), MATRIX, "CT")
    slicer.add_markups([[1, 2, 3]], "A list of points with a long name")
    with client(served) as (made, _):
        message = made.get("TRANSFORM", "Needle", seconds=PATIENCE)
        assert message.content == igtl.Transform(MATRIX)
        assert message.metadata == {"Unit": "mm"}
        anything = made.get("IMAGE", seconds=PATIENCE)
        assert anything.device == "CT"
        assert isinstance(anything.content, igtl.Image)
        np.testing.assert_allclose(anything.content.matrix, MATRIX)
        cut = made.get("POINT", "A list of points wit", seconds=PATIENCE)
        assert isinstance(cut.content, igtl.Points)
        nothing = made.get("POLYDATA", "Liver", seconds=PATIENCE)
        assert (nothing.type, nothing.device, nothing.content) == ("POLYDATA", "Liver", None)
        tools = made.get("TDATA", seconds=PATIENCE).content
        assert isinstance(tools, igtl.Tracking)
        assert "Needle" in [tool.name for tool in tools.tools]
        status = made.get("STATUS", seconds=PATIENCE).content
        assert isinstance(status, igtl.Status)
        assert status.ok
        known = made.get("CAPABILITY", seconds=PATIENCE).content
        assert isinstance(known, igtl.Capability)
        assert {"TRANSFORM", "GET_TRANSFOR", "STT_TDATA", "STP_IMAGE", "COMMAND"} <= set(known.types)
    assert served.counts["failed"] == 0
    whats = [line["what"] for line in served.log]
    assert "GET_TRANSFORM Needle" in whats


def test_streams_begin_and_end(slicer: sn.Session, served: Gateway) -> None:
    needle = slicer.add_transform(np.eye(4), "Needle")
    with client(served) as (made, heard):
        assert made.start_stream("TRANSFORM", "Needle", seconds=PATIENCE).content == igtl.Reply(0)
        assert heard.of_type("TRANSFORM")[0].content == igtl.Transform(np.eye(4))
        needle.matrix = MATRIX
        heard.wait(lambda: heard.messages[-1].content == igtl.Transform(MATRIX))
        assert made.stop_stream("TRANSFORM", "Needle", seconds=PATIENCE).content == igtl.Reply(0)
        assert slicer.call("igtl.streams") == []
        assert made.stop_stream("TRANSFORM", "Needle", seconds=PATIENCE).content == igtl.Reply(1)
        assert made.start_stream("TRANSFORM", "Nobody", seconds=PATIENCE).content == igtl.Reply(1)
        made.start_stream("TRANSFORM", "Needle", seconds=PATIENCE)
    until(slicer, lambda: slicer.call("igtl.streams") == [], "that it ends with its connection")


def test_a_tracker_is_streamed_at_its_interval(slicer: sn.Session, served: Gateway) -> None:
    tip = slicer.add_transform(name="Tip")
    slicer.add_transform(name="Patient")
    times: list[float] = []
    with client(served) as (made, heard):
        made.start_stream("TDATA", interval=200, seconds=PATIENCE)
        first = heard.of_type("TDATA")[0].content
        assert isinstance(first, igtl.Tracking)
        assert {"Tip", "Patient"} <= {tool.name for tool in first.tools}
        for x in range(1, 40):
            matrix = np.eye(4)
            matrix[0, 3] = x
            tip.matrix = matrix
            times.append(time.monotonic())

        def last() -> bool:
            content = heard.messages[-1].content
            assert isinstance(content, igtl.Tracking)
            return any(tool.name == "Tip" and tool.matrix[0, 3] == 39 for tool in content.tools)

        heard.wait(last)
        assert len(heard.of_type("TDATA")) <= 2 + (time.monotonic() - times[0]) / 0.2


# -- commands --------------------------------------------------------------------------------------------------------


def run(made: igtl.Client, name: str, text: str = "") -> tuple[str, Any, str]:
    """(Status, result, ErrorMessage) of a COMMAND."""
    answer = made.command(name, text, seconds=PATIENCE)
    assert isinstance(answer.content, igtl.Command)
    assert answer.content.name == name
    return answer.metadata["Status"], json.loads(answer.content.text), answer.metadata.get("ErrorMessage", "")


def test_commands_of_the_session_run(slicer: sn.Session, served: Gateway) -> None:
    volume = slicer.add_volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), MATRIX, "CT")
    with client(served) as (made, _):
        status, info, _ = run(made, "volume.info", '{"node": "CT"}')
        assert (status, info["shape"]) == ("SUCCESS", [2, 3, 4])
        assert run(made, "volume.affine", json.dumps({"node": volume.id}))[1] == MATRIX.tolist()
        status, node, _ = run(made, "markups.add", '{"points": [[1, 2, 3]], "name": "Target", "labels": ["t"]}')
        assert (status, node["name"], node["class"]) == ("SUCCESS", "Target", "vtkMRMLMarkupsFiducialNode")
        np.testing.assert_allclose(slicer["Target"].points, [[1, 2, 3]])
        # As OpenIGTLinkIO and PLUS say it.
        status, _, _ = run(made, "view.set", '<Command Name="view.set" name="Red" offset="1.5"/>')
        assert status == "SUCCESS"
        assert slicer.view("Red").offset == pytest.approx(1.5)
        assert run(made, "session.ping")[0] == "SUCCESS"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("no.such", "", "no command"),
        ("volume.info", '{"node": "nobody"}', "no node"),
        ("volume.info", '{"colour": 1}', "wrong arguments"),
        ("volume.info", "not JSON", "no arguments"),
        ("volume.info", "[1, 2]", "no arguments"),
        ("volume.info", "<Command", "no XML"),
        ("volume.info", '<Command Name="other"/>', "does not fit"),
        ("volume.info", '<!DOCTYPE a [<!ENTITY b "c">]><Command Name="volume.info" node="&b;"/>', "no XML"),
        ("volume.info", "[" * 100_000, "no arguments"),
        ("code.eval", '{"expression": "1 + 1"}', "is off: it runs code"),
        ("code.run", '{"code": "1"}', "is off: it runs code"),
        ("node.save", '{"node": "x", "path": "/tmp/x.nrrd"}', "is off: it writes a file"),
        ("scene.save", '{"path": "/tmp/x.mrb"}', "is off: it writes a file"),
        ("gateways.start", '{"kind": "rest"}', "not offered"),
        ("links.open", '{"url": "osirix://?methodName=DownloadURL", "agreed": true}', "not a peer's to give"),
        ("session.quit", "", "is off: it ends Slicer"),
    ],
)
def test_what_is_wrong_or_off_fails_and_says_why(name: str, text: str, words: str, served: Gateway) -> None:
    with client(served) as (made, _):
        status, result, message = run(made, name, text)
        assert status == "FAIL"
        assert words in message
        assert result["error"]["message"]
        assert run(made, "session.ping")[0] == "SUCCESS"
    assert served.counts["failed"] == 1


def test_what_is_switched_on_runs(slicer: sn.Session, tmp_path: Path) -> None:
    slicer.add_transform(MATRIX, "Needle")
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    with (
        slicer.gateways.start("igtl", port=0, allow=["exec", "write"], files=[str(inside)]) as gateway,
        client(gateway) as (made, _),
    ):
        assert run(made, "code.eval", '{"expression": "6 * 7"}')[:2] == ("SUCCESS", 42)
        for folder, expected in ((inside, "SUCCESS"), (outside, "FAIL")):
            path = folder / "needle.h5"
            assert run(made, "node.save", json.dumps({"node": "Needle", "path": str(path)}))[0] == expected
            assert path.exists() is (expected == "SUCCESS")
        sneaky = f"{inside}/../out/needle.h5"
        assert run(made, "node.save", json.dumps({"node": "Needle", "path": sneaky}))[0] == "FAIL"
        assert run(made, "node.remove", '{"node": "Needle"}')[0] == "SUCCESS"
    assert "Needle" not in slicer


def test_another_machine_that_slicer_connects_to_gives_no_commands(slicer: sn.Session) -> None:
    """Whether it is another machine is asked of its name: a name that is ours by chance is none."""
    heard = Heard()
    with igtl.Server(port=0, **heard.callbacks) as server:
        host, port = server.address
        for how, expected in (({"commands": False}, "FAIL"), ({}, "SUCCESS")):
            with slicer.igtl.connect(host, port, **how):
                answer = server.command("session.ping", seconds=PATIENCE)
                assert answer.metadata["Status"] == expected


def test_files_are_read_in_the_folders_that_were_given(slicer: sn.Session, tmp_path: Path) -> None:
    volume = slicer.add_volume(np.zeros((2, 3, 4), np.uint8), name="CT")
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        volume.save(folder / "ct.nii.gz")
    volume.save(inside / "ct.nrrd")
    (inside / "link.nii.gz").symlink_to(outside / "ct.nii.gz")
    with slicer.gateways.start("igtl", port=0, files=[str(inside)]) as gateway, client(gateway) as (made, _):

        def load(path: Path) -> tuple[str, Any, str]:
            return run(made, "scene.load", json.dumps({"path": str(path)}))

        assert load(inside / "ct.nii.gz")[0] == "SUCCESS"
        assert "no folder" in load(outside / "ct.nii.gz")[2]
        assert "no folder" in load(inside / "link.nii.gz")[2]
        assert load(inside / "ct.nrrd")[0] == "SUCCESS"
        (inside / "leads.nrrd").write_bytes(
            b"NRRD0004\ntype: uchar\ndata file: " + bytes(outside / "ct.nii.gz") + b"\n\n"
        )
        assert "names others" in load(inside / "leads.nrrd")[2]
        sly = {"path": str(inside / "ct.nii.gz"), "properties": {"fileNames": [str(outside / "ct.nii.gz")]}}
        assert "among the options" in run(made, "scene.load", json.dumps(sly))[2]
    with slicer.gateways.start("igtl", port=0) as gateway, client(gateway) as (made, _):
        assert run(made, "scene.load", json.dumps({"path": str(outside / "ct.nii.gz")}))[0] == "SUCCESS"
        assert "no path" in run(made, "scene.load", '{"path": "ct.nii.gz"}')[2]


def test_commands_use_the_index_of_the_gateway(slicer: sn.Session, tmp_path: Path) -> None:
    index = str(tmp_path / "index.sqlite3")
    entry = slicer.call("gateways.start", kind="igtl", port=0, database=index)
    try:
        with igtl.Client(entry["bind"], entry["port"], version=2) as made:
            made.wait_connected(PATIENCE)
            assert run(made, "dicom.studies")[:2] == ("SUCCESS", [])
            assert "not a peer's to give" in run(made, "dicom.studies", '{"database": "/tmp/other.sqlite3"}')[2]
    finally:
        slicer.gateways.stop()
    assert Path(index).exists()


def test_a_result_that_is_too_large_is_refused(slicer: sn.Session, served: Gateway) -> None:
    slicer.add_volume(np.zeros((50, 60, 70), np.uint8), name="CT")
    with client(served) as (made, _):
        status, _, message = run(made, "volume.array", '{"node": "CT"}')
        assert status == "FAIL"
        assert "GET_IMAGE" in message


def test_a_busy_slicer_takes_so_many_commands_and_no_more(slicer: sn.Session, served: Gateway) -> None:
    with client(served) as (made, heard), busy(slicer):
        for number in range(20):
            made.send(igtl.Message("COMMAND", "", igtl.Command(1000 + number, "volume.render_presets")))
        refused = heard.of_type("RTS_COMMAND", 12)
        assert all(message.metadata["Status"] == "FAIL" for message in refused)


# -- real programs ---------------------------------------------------------------------------------------------------


def test_pyigtl_sends_and_hears(slicer: sn.Session, served: Gateway, tmp_path: Path) -> None:
    """Its matrix has the corner of the image, and LPS unless told otherwise; SimpleITK reads what Slicer made of it."""
    voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    needle = slicer.add_transform(np.eye(4), "Probe")
    slicer.igtl.stream(needle)
    program = pyigtl.OpenIGTLinkClient(served.host, served.port)
    try:
        heard = program.wait_for_message("Probe", timeout=PATIENCE)
        np.testing.assert_array_equal(heard.matrix, np.eye(4))
        program.send_message(pyigtl.ImageMessage(voxels, ijk_to_world_matrix=MATRIX, device_name="CT"))
        program.send_message(pyigtl.TransformMessage(MATRIX, device_name="Needle"))
        program.send_message(pyigtl.StringMessage("hello", device_name="Text"))
        program.send_message(pyigtl.PointMessage([[1, 2, 3]], names=["a"], device_name="Points"))
        until(slicer, lambda: "Points" in slicer, "all of it")
        slicer.call("igtl.hand_over")
    finally:
        program.stop()
        slicer.igtl.stream(needle, on=False)
    np.testing.assert_allclose(slicer["Needle"].matrix, MATRIX)
    np.testing.assert_allclose(slicer["Points"].points, [[1, 2, 3]])
    image = SimpleITK.ReadImage(str(slicer["CT"].save(tmp_path / "ct.nrrd")))
    for index in [(0, 0, 0), (3, 0, 0), (0, 2, 0), (3, 2, 1)]:
        expected = (MATRIX @ (*index, 1))[:3]
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), expected, atol=1e-4)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), voxels)


@pytest.fixture(scope="module")
def cpp(tmp_path_factory: pytest.TempPathFactory) -> Cpp:
    needs_cpp()
    programs = Cpp(tmp_path_factory.mktemp("openigtlink"))
    programs.build(
        "Tracker/TrackerClient", "Imager/ImagerClient", "Point/PointClient", "TrackingData/TrackingDataClient",
        "Receiver/ReceiveClient",
    )  # fmt: skip
    return programs


def test_the_cpp_librarys_tracker_and_imager(cpp: Cpp, slicer: sn.Session, served: Gateway) -> None:
    with cpp.run("TrackerClient", served.host, served.port, 200):
        until(slicer, lambda: _count(slicer, "TRANSFORM") >= 50, "fifty transforms")
    [tracker] = [each for each in slicer.igtl.devices if each.type == "TRANSFORM" and each.direction == "in"][-1:]
    assert tracker.node.class_name == "vtkMRMLLinearTransformNode"
    rotation = tracker.node.matrix[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-4)
    with cpp.run("ImagerClient", served.host, served.port, 50, EXAMPLES / "Imager" / "img"):
        until(slicer, lambda: _count(slicer, "IMAGE") >= 5, "five images")
    volume = next(each.node for each in slicer.igtl.devices if each.type == "IMAGE")
    assert volume.shape == (1, 256, 256)
    # It is sent with its centre at the origin, voxels of 1 x 1 x 5 mm.
    i, j, k = (n - 1 for n in volume.shape[::-1])
    centre = volume.affine @ (i / 2, j / 2, k / 2, 1)
    np.testing.assert_allclose(centre[:3], 0, atol=1e-3)


def _count(slicer: sn.Session, type_: str) -> int:
    return sum(each.count for each in slicer.igtl.devices if each.type == type_ and each.direction == "in")


def test_the_cpp_librarys_clients_of_streams(cpp: Cpp, slicer: sn.Session, served: Gateway) -> None:
    slicer.add_transform(MATRIX, "TDataClient")
    with cpp.run("TrackingDataClient", served.host, served.port, 50) as program:
        program.wait_for("10.5")
    with cpp.run("ReceiveClient", served.host, served.port) as program:
        slicer.igtl.stream(slicer["TDataClient"], device="Needle")
        program.wait_for("10.5")
        slicer.igtl.stream(slicer["TDataClient"], on=False)


def test_several_programs_at_once(slicer: sn.Session, served: Gateway) -> None:
    def push(number: int) -> None:
        with client(served) as (made, _):
            for x in range(100):
                matrix = np.eye(4)
                matrix[0, 3] = x
                made.send(igtl.of_content(igtl.Transform(matrix), f"Tracker {number}"))
            made.get("STATUS", seconds=PATIENCE)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    slicer.call("igtl.hand_over")
    for number in range(4):
        assert slicer[f"Tracker {number}"].matrix[0, 3] == 99
