"""``slicer.igtl``: connections, devices, recordings, as a notebook has them; with pyigtl's own server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import slicer_notebook as sn
from slicer_notebook import igtl
from slicer_notebook.errors import ArgumentError, DeadlineError, NodeNotFoundError, OpenIGTLinkError
from slicer_notebook.session import Transform, Volume
from slicer_notebook.session.igtl import Devices
from tests.commands.connecting import Program, program, until
from tests.igtl.examples import MATRIX
from tests.igtl.peers import PATIENCE, free_port, python, running


@pytest.fixture
def other(slicer: sn.Session) -> Iterator[Program]:
    with program(slicer) as made:
        yield made


def test_a_connection_says_what_it_is(other: Program, slicer: sn.Session) -> None:
    connection = other.connection
    assert (connection.state, connection.status, connection.capability, connection.problems) == ("open", "", (), [])
    assert connection.peer == "{}:{}".format(*other.server.address)
    other.push(igtl.Transform(MATRIX), "Needle")
    assert "open, 2 received" in repr(connection)  # and the answer that there is no SENSOR
    page = slicer.igtl._repr_html_()
    assert connection.peer in page
    assert "<em>nobody" not in page
    with connection:
        pass
    assert connection.state == "closed"
    assert "closed" in repr(connection)


def test_nobody_there_is_said(slicer: sn.Session) -> None:
    with pytest.raises(DeadlineError, match="No connection"):
        slicer.igtl.connect("127.0.0.1", free_port(), timeout=0.2)
    with pytest.raises(ArgumentError, match="is a list"):
        slicer.igtl.connect("127.0.0.1", 1, allow="write")
    with pytest.raises(NodeNotFoundError), program(slicer):
        slicer.igtl.send("no such node")


def test_devices_are_a_table(other: Program, slicer: sn.Session) -> None:
    other.push(igtl.Transform(MATRIX), "Needle <b>")
    other.push(igtl.Transform(np.zeros((4, 4))), "Broken")
    other.back(slicer.add_transform(name="Mine"))
    devices = other.connection.devices
    found = {(each.device, each.direction): each for each in devices if each.type == "TRANSFORM"}
    needle = found["Needle <b>", "in"]
    assert isinstance(needle.node, Transform)
    assert (needle.count, needle.shown, needle.last) == (1, 1, "at 10.5, -20.2, 30.0 mm")
    assert needle.delay is not None
    assert "matrix" in found["Broken", "in"].problem
    assert found["Mine", "out"].count == 1
    page = devices._repr_html_()
    assert "Needle &lt;b&gt;" in page
    assert "<b>" not in page
    assert "Needle" in repr(needle)
    assert Devices([])._repr_html_().startswith("<em>")
    assert isinstance(devices.table(), sn.IgtlDevices)
    with pytest.raises(ArgumentError, match="no living table"):
        Devices([]).table()


def test_nodes_go_out_and_are_asked_for(other: Program, slicer: sn.Session) -> None:
    needle = slicer.add_transform(MATRIX, "Needle")
    other.connection.send(needle)
    assert other.heard.of_type("TRANSFORM")[0].content == igtl.Transform(MATRIX)
    volume = other.give(igtl.Image(np.zeros((1, 2, 3), np.uint8), MATRIX), "US")
    assert isinstance(volume, Volume)
    other.answers["STATUS", ""] = igtl.of_content(igtl.Status(igtl.StatusCode.OK, 0, "", "well"))
    assert other.connection.query("STATUS") == "OK \u00b7 well"
    with pytest.raises(OpenIGTLinkError, match="has no"):
        other.connection.query("IMAGE", "nobody's")


def test_what_is_recorded_in_a_while(other: Program, slicer: sn.Session) -> None:
    stop = threading.Event()

    def push() -> None:
        x = 0
        while not stop.is_set():
            matrix = np.eye(4)
            matrix[0, 3] = x = x + 1
            other.server.send(igtl.of_content(igtl.Transform(matrix), "Needle"), stream=False)
            stop.wait(0.005)

    pushing = threading.Thread(target=push)
    pushing.start()
    recording = other.connection.record(0.5)
    stop.set()
    pushing.join()
    sequence = recording.sequence("Needle")
    assert recording[0] == sequence
    assert len(sequence) == recording.messages > 5
    x = recording.matrices("Needle")[:, 0, 3]
    np.testing.assert_array_equal(np.diff(x), 1)  # none is left out
    assert recording.matrices().shape == (len(x), 4, 4)
    assert recording.problems == []
    assert recording.ended == ""
    assert "Needle recording" in repr(recording)
    assert "Needle recording" in recording._repr_html_()
    with pytest.raises(ArgumentError, match="Nothing was recorded of 'Probe'"):
        recording.sequence("Probe")


@pytest.mark.parametrize("seconds", [0, -1, True, float("inf"), "long"])
def test_a_recording_takes_seconds(seconds: float, slicer: sn.Session) -> None:
    with pytest.raises(ArgumentError, match="How long"):
        slicer.igtl.record(seconds)


def test_an_interrupt_ends_a_recording_and_keeps_it(
    other: Program, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(_seconds: float) -> None:
        other.push(igtl.Transform(MATRIX), "Needle")
        raise KeyboardInterrupt

    monkeypatch.setattr(other.connection, "_pause", pause)
    assert [len(each) for each in other.connection.record(1000)] == [1]


def test_what_is_recorded_in_a_block(other: Program, slicer: sn.Session) -> None:
    with slicer.igtl.recording(type="TRANSFORM") as found:
        other.push(igtl.Transform(MATRIX), "Needle")
        other.push(igtl.String("beside"), "Text")
    [recording] = found
    assert [each._ref.name for each in recording] == ["Needle recording"]
    with pytest.raises(ZeroDivisionError), slicer.igtl.recording() as found:
        1 / 0  # noqa: B018
    assert found == []
    assert slicer.call("igtl.recordings") == []


def test_a_recorded_image_is_a_sequence_of_volumes(other: Program, slicer: sn.Session) -> None:
    with slicer.igtl.recording() as found:
        for value in range(3):
            other.push(igtl.Image(np.full((2, 3, 4), value, np.int16), MATRIX), "US")
            slicer["US"].array = np.full((2, 3, 4), 77, np.int16)  # the live volume is the user's
    sequence = found[0].sequence("US")
    assert sequence.shape == (3, 2, 3, 4)
    np.testing.assert_array_equal(sequence.array[:, 0, 0, 0], [0, 1, 2])
    with pytest.raises(ArgumentError, match="transforms"):
        found[0].matrices("US")


def test_pyigtls_server(slicer: sn.Session, tmp_path: Path) -> None:
    """It says LPS for its images; SimpleITK reads what Slicer has made of its matrix."""
    port = free_port()
    with running(*python("pyigtl_peer.py", port)) as peer:
        peer.wait_for("ready")
        with slicer.igtl.connect("127.0.0.1", port) as connection:
            for word, name in (("transform", "Needle"), ("image", "CT"), ("string", "Text"), ("point", "Points")):
                peer.say(word)
                until(slicer, lambda name=name: name in slicer, name)
            np.testing.assert_allclose(slicer["Needle"].matrix, MATRIX)
            assert slicer["Needle"].attributes["slicer_notebook.igtl.time"].startswith("1700000001.5")
            np.testing.assert_allclose(slicer["Points"].points, [[1, 2, 3], [4, 5, 6]])
            image = SimpleITK.ReadImage(str(slicer["CT"].save(tmp_path / "ct.nrrd")))
            np.testing.assert_allclose(image.TransformIndexToPhysicalPoint((3, 2, 1)), (MATRIX @ (3, 2, 1, 1))[:3])
            peer.say("want Mine")
            connection.send(slicer.add_transform(MATRIX, "Mine"))
            peer.wait_for("got TRANSFORM message", PATIENCE)
            assert "-20.25" in peer.text


def test_a_notebook_in_slicer_itself_has_it_too(slicer: sn.Session) -> None:
    """There, a wait is on the main thread, which must do its work meanwhile."""
    with igtl.Server(port=0) as server:
        host, port = server.address
        stop = threading.Event()

        def push() -> None:
            while not stop.is_set():
                server.send(igtl.of_content(igtl.Transform(MATRIX), "Needle"), stream=True)
                stop.wait(0.02)

        pushing = threading.Thread(target=push)
        pushing.start()
        try:
            slicer.run(
                "import slicer_notebook as sn\nhere = sn.connect()\n"
                f"connection = here.igtl.connect({host!r}, {port})\nrecording = connection.record(0.4)\n"
                "shown = [each.shown for each in connection.devices]\n"
                "counted = len(recording.matrices())\nconnection.close()\nhere.close()"
            )
        finally:
            stop.set()
            pushing.join()
        assert slicer.eval("recording.messages") > 0
        assert slicer.eval("counted") == slicer.eval("recording.messages")
        assert slicer.eval("shown[0]") > 0
