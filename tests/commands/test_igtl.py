"""OpenIGTLink connections of a Slicer: what comes, what goes, what is asked, what is recorded."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook import igtl
from slicer_notebook.commands.igtl_pace import MainCalls
from slicer_notebook.commands.igtl_recordings import Recording
from slicer_notebook.commands.igtl_sender import StreamSender
from slicer_notebook.errors import (
    ArgumentError,
    ConnectionLostError,
    DeadlineError,
    JobCancelledError,
    OpenIGTLinkError,
)
from slicer_notebook.igtl.checksum import crc64
from tests.commands.connecting import Program, busy, program, until
from tests.igtl.examples import MATRIX
from tests.igtl.peers import PATIENCE, Heard, free_port


@pytest.fixture
def other(slicer: sn.Session) -> Iterator[Program]:
    with program(slicer) as made:
        yield made


def shifted(x: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = x
    return matrix


def xs(messages: list[igtl.Message]) -> list[float]:
    """The R coordinates of TRANSFORMs."""
    return [float(m.content.matrix[0, 3]) for m in messages if isinstance(m.content, igtl.Transform)]


# -- connections -----------------------------------------------------------------------------------------------------


def test_where_nobody_listens_there_is_no_connection(slicer: sn.Session) -> None:
    before = len(slicer.igtl.connections)
    with pytest.raises(DeadlineError, match="No connection"):
        slicer.call("igtl.connect", server="127.0.0.1", port=free_port(), timeout=0.3)
    assert len(slicer.igtl.connections) == before


@pytest.mark.parametrize("wrong", [{"version": 4}, {"port": 0}, {"server": "no such\nname"}, {"allow": ["everything"]}])
def test_wrong_arguments_are_refused(slicer: sn.Session, wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        slicer.call("igtl.connect", **{"server": "127.0.0.1", **wrong})


def test_a_lost_connection_is_made_again_and_its_streams_go_on(slicer: sn.Session) -> None:
    port = free_port()
    needle = slicer.add_transform(shifted(1), "Needle")
    with igtl.Server(port=port) as server:
        connection = slicer.igtl.connect(*server.address)
        connection.stream(needle)
    until(slicer, lambda: connection.state == "lost", "that it is lost")
    with pytest.raises(OpenIGTLinkError, match="not open"):
        connection.send(needle)
    heard = Heard()
    with igtl.Server(port=port, **heard.callbacks):
        until(slicer, lambda: connection.state == "open", "that it is open again")
        assert xs(heard.of_type("TRANSFORM")) == [1.0]
        connection.close()
        assert connection.state == "closed"


def test_ended_connections_are_kept_for_a_while_and_then_forgotten(slicer: sn.Session) -> None:
    gone: list[int] = []
    subscription = slicer.on("igtl", lambda event: gone.extend(event["gone"]))
    ids = []
    with igtl.Server(port=0) as server:
        for _ in range(12):
            with slicer.igtl.connect(*server.address) as connection:
                ids.append(connection.id)
    until(slicer, lambda: ids[0] in gone, "that the first is gone")
    subscription.close()
    there = [each.id for each in slicer.igtl.connections]
    assert ids[-1] in there
    assert ids[0] not in there


# -- what comes ------------------------------------------------------------------------------------------------------


def test_while_slicer_is_busy_the_newest_waits_and_nothing_piles_up(other: Program, slicer: sn.Session) -> None:
    other.give(igtl.Transform(shifted(0)), "Needle")
    count = 500
    with busy(slicer):
        for x in range(1, count + 1):
            other.server.send(igtl.of_content(igtl.Transform(shifted(x)), "Needle"))
        until(slicer, lambda: other.entry("Needle")["count"] == count + 1, "that all have come")
    other.settle()
    entry = other.entry("Needle")
    assert entry["shown"] == 2  # the first, and the newest of those that came meanwhile
    assert slicer["Needle"].matrix[0, 3] == count
    assert entry["last"] == f"at {count}.0, 0.0, 0.0 mm"


def test_events_come_at_most_five_times_a_second(other: Program, slicer: sn.Session) -> None:
    times: list[float] = []
    subscription = slicer.on("igtl", lambda _event: times.append(time.monotonic()))
    stop = threading.Event()

    def push() -> None:
        x = 0
        while not stop.is_set():
            other.server.send(igtl.of_content(igtl.Transform(shifted(x := x + 1)), "Needle"), stream=True)
            stop.wait(0.002)

    pushing = threading.Thread(target=push)
    pushing.start()
    until(slicer, lambda: len(times) >= 6, "six events")
    stop.set()
    pushing.join()
    subscription.close()
    # They leave 0.2 s apart; on a busy machine one may come late, and the next one on time.
    assert times[5] - times[0] > 5 * 0.2 * 0.7


def test_rates_fall_when_nothing_comes_any_more(other: Program, slicer: sn.Session) -> None:
    for x in range(50):
        other.server.send(igtl.of_content(igtl.Transform(shifted(x)), "Needle"))
    told: list[float] = []
    subscription = slicer.on("igtl", lambda event: told.extend(each["rate"] for each in event["devices"]))
    until(slicer, lambda: any(rate > 0 for rate in told) and told[-1] == 0, "a rate, and none at last")
    subscription.close()


def test_a_peer_that_makes_up_names_does_not_fill_the_scene(
    slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    slicer.run("import slicer_notebook.commands.igtl_hub as h; h.MOST_DEVICES, former = 20, h.MOST_DEVICES")
    try:
        with program(slicer) as other:
            before = len(slicer.call("igtl.devices"))
            for number in range(60):
                other.server.send(igtl.of_content(igtl.Transform(MATRIX), f"Made up {number}"))
            other.settle()
            assert len([n for n in slicer.nodes("vtkMRMLTransformNode") if n.name.startswith("Made up")]) <= 20
            assert len(slicer.call("igtl.devices")) <= max(20, before) + 2
            assert any("More than 20 devices" in problem for problem in other.connection.problems)
    finally:
        slicer.run("h.MOST_DEVICES = former")


def test_types_that_nobody_knows_are_counted_and_passed_over(other: Program, slicer: sn.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = slicer.igtl.connect(*listener.getsockname())
        there, _ = listener.accept()
        with there:
            body = b"what nobody knows"
            there.sendall(struct.pack(">H12s20sIIQQ", 1, b"QUANTUM", b"Box", 0, 0, len(body), crc64(body)) + body)
            there.sendall(b"".join(igtl.encode(igtl.of_content(igtl.Transform(MATRIX), "After"), 1)))
            until(slicer, lambda: "After" in slicer, "the next message")
        entry = next(each for each in connection.devices if each.type == "QUANTUM")
        assert (entry.device, entry.count, entry.node) == ("Box", 1, None)
        assert "not known" in entry.problem
        connection.close()


# -- what goes -------------------------------------------------------------------------------------------------------


def test_a_stream_sends_now_and_whenever_the_node_changes(other: Program, slicer: sn.Session) -> None:
    needle = slicer.add_transform(shifted(1), "Needle")
    other.connection.stream(needle)
    assert xs(other.heard.of_type("TRANSFORM")) == [1.0]
    needle.matrix = shifted(2)
    other.heard.wait(lambda: xs(other.heard.messages)[-1:] == [2.0])
    [entry] = slicer.call("igtl.streams")
    assert entry["connections"] == [other.connection.id]
    other.connection.stream(needle, on=False)
    assert slicer.call("igtl.streams") == []
    needle.matrix = shifted(3)
    other.back(needle, device="Marker")  # goes after whatever would have been streamed
    assert [m.device for m in other.heard.messages] == ["Needle", "Needle", "Marker"]


@pytest.mark.parametrize("kind", ["volume", "points", "text", "table"])
def test_all_kinds_of_nodes_tell_that_they_have_changed(kind: str, other: Program, slicer: sn.Session) -> None:
    class_name = {
        "points": "vtkMRMLMarkupsFiducialNode", "text": "vtkMRMLTextNode", "table": "vtkMRMLTableNode",
    }  # fmt: skip
    if kind == "volume":
        node: Any = slicer.add_volume(np.zeros((1, 2, 3), np.uint8), name="Node")
    else:
        slicer.run(f"slicer.mrmlScene.AddNewNodeByClass('{class_name[kind]}', 'Node')")
        node = slicer["Node"]
    if kind == "table":
        slicer.run(
            "import vtk; c = vtk.vtkDoubleArray(); c.SetName('a'); c.InsertNextValue(1)\n"
            "slicer.util.getNode('Node').AddColumn(c)"
        )
    if kind == "points":
        slicer.run("slicer.util.getNode('Node').AddControlPoint([1, 2, 3])")
    other.connection.stream(node)
    other.heard.wait(lambda: other.heard.messages)
    change = {
        "volume": "slicer.util.updateVolumeFromArray(n, slicer.util.arrayFromVolume(n) + 1)",
        "points": "n.SetNthControlPointPosition(0, 4, 5, 6)",
        "text": "n.SetText('new')",
        "table": "n.GetTable().GetColumn(0).SetValue(0, 5.0); n.GetTable().Modified()",
    }
    first = other.heard.messages[0].content
    slicer.run(f"n = slicer.util.getNode('Node'); {change[kind]}")
    other.heard.wait(lambda: other.heard.messages[-1].content != first)


def test_the_newest_wins_where_changes_come_faster_than_wanted(other: Program, slicer: sn.Session) -> None:
    needle = slicer.add_transform(shifted(0), "Needle")
    other.connection.stream(needle, interval=0.3)
    slicer.run(
        "import vtk; m = vtk.vtkMatrix4x4(); n = slicer.util.getNode('Needle')\n"
        "for x in range(1, 301):\n    m.SetElement(0, 3, x); n.SetMatrixTransformToParent(m)"
    )
    other.heard.wait(lambda: xs(other.heard.messages)[-1:] == [300.0])
    assert len(xs(other.heard.messages)) <= 4


def test_a_node_that_is_removed_is_streamed_no_more(other: Program, slicer: sn.Session) -> None:
    needle = slicer.add_transform(name="Needle")
    other.connection.stream(needle)
    needle.remove()
    assert slicer.call("igtl.streams") == []


def test_what_comes_from_a_peer_does_not_go_back_to_it(slicer: sn.Session) -> None:
    with program(slicer) as one:
        heard = Heard()
        with igtl.Server(port=0, version=2, **heard.callbacks) as third:
            needle = one.give(igtl.Transform(shifted(0)), "Needle")
            second = slicer.igtl.connect(*third.address)
            slicer.igtl.stream(needle)
            heard.of_type("TRANSFORM")
            for x in range(1, 6):
                one.push(igtl.Transform(shifted(x)), "Needle")
            heard.wait(lambda: xs(heard.messages)[-1:] == [5.0])
            assert xs(one.heard.messages) == [0.0]  # when it began; nothing of what it has sent itself
            slicer.igtl.stream(needle, on=False)
            second.close()


def test_who_connects_later_gets_what_goes_to_everyone(slicer: sn.Session) -> None:
    needle = slicer.add_transform(shifted(4), "Needle")
    slicer.igtl.stream(needle)
    with program(slicer) as other:
        assert xs(other.heard.of_type("TRANSFORM")) == [4.0]
    slicer.igtl.stream(needle, on=False)


def test_with_nobody_there_nothing_can_be_sent(slicer: sn.Session) -> None:
    with pytest.raises(OpenIGTLinkError, match="Nobody is connected"):
        slicer.igtl.send(slicer.add_transform())
    with pytest.raises(ArgumentError, match="no such connection"):
        slicer.call("igtl.send", node="x", connection=9999)


def test_an_old_peer_is_spoken_to_as_it_speaks(slicer: sn.Session) -> None:
    with program(slicer, version=1) as other:
        node = other.give(igtl.Transform(MATRIX), "Needle")
        node.set_attribute("OpenIGTLink.key", "value")
        message = other.back(node)
        assert (message.version, message.metadata) == (1, {})


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_what_the_peer_has_not_is_said(other: Program) -> None:
    with pytest.raises(OpenIGTLinkError, match="has no IMAGE of 'CT'"):
        other.connection.query("IMAGE", "CT")
    with pytest.raises(ArgumentError, match="type of message"):
        other.connection.query("VIDEO")


def test_a_peer_that_does_not_answer_is_given_up(slicer: sn.Session) -> None:
    heard = Heard()
    with igtl.Server(port=0, **heard.callbacks) as server, slicer.igtl.connect(*server.address) as connection:
        with pytest.raises(DeadlineError, match="GET_IMAGE"):
            connection.query("IMAGE", timeout=0.2)
        job = slicer.submit("igtl.query", type="IMAGE", connection=connection.id, timeout=PATIENCE)
        job.cancel()
        with pytest.raises(JobCancelledError):
            job.result(PATIENCE)
        lost = slicer.submit("igtl.query", type="POINT", connection=connection.id, timeout=PATIENCE)
        heard.of_type("GET_POINT")
        server.stop()
        with pytest.raises(OpenIGTLinkError, match="has ended"):
            lost.result(PATIENCE)
        assert not isinstance(lost.exception(0), ConnectionLostError)  # Slicer is there


def test_which_connection_is_asked_must_be_clear(other: Program, slicer: sn.Session) -> None:
    with program(slicer), pytest.raises(ArgumentError, match="Which connection"):
        slicer.igtl.query("TRANSFORM")


def test_a_subscription_is_agreed_to_or_refused(slicer: sn.Session) -> None:
    wishes: list[tuple[str, str, igtl.StartStream]] = []

    def stream(type_: str, device: str, wish: igtl.StartStream) -> Any:
        wishes.append((type_, device, wish))
        if device == "Nobody":
            return None
        tools = iter(range(1, 1000))
        return lambda: igtl.of_content(igtl.Tracking((igtl.Tool("Tip", shifted(next(tools))),)), device)

    with program(slicer, stream=stream) as other:
        assert other.connection.subscribe("TDATA", "Tracker", interval=20, coordinates="Patient") is True
        assert wishes == [("TDATA", "Tracker", igtl.StartStream(20, "Patient"))]
        until(slicer, lambda: "Tip" in slicer and slicer["Tip"].matrix[0, 3] > 2, "a few of the stream")
        assert other.connection.subscribe("TDATA", "Tracker", on=False) is True
        with pytest.raises(OpenIGTLinkError, match="does not stream"):
            other.connection.subscribe("TDATA", "Nobody")
    with igtl.Server(port=0) as mute, slicer.igtl.connect(*mute.address) as connection:
        raw = slicer.call("igtl.subscribe", type="TRANSFORM", connection=connection.id, timeout=0.2)
        assert raw is None


def test_a_command_goes_to_the_peer_and_its_answer_comes(slicer: sn.Session) -> None:
    def answer(peer: Any, message: igtl.Message) -> None:
        command = message.content
        if not isinstance(command, igtl.Command):
            return
        good = command.name == "Record"
        metadata = {"Status": "SUCCESS"} if good else {"Status": "FAIL", "ErrorMessage": "not a command of mine"}
        said = igtl.Command(command.id, command.name, command.text[::-1])
        peer.send(igtl.Message("RTS_COMMAND", message.device, said, metadata=metadata))

    with igtl.Server(port=0, on_message=answer) as server, slicer.igtl.connect(*server.address) as connection:
        assert connection.command("Record", "<on/>") == ">/no<"
        with pytest.raises(OpenIGTLinkError, match="failed") as caught:
            connection.command("Dance")
        assert caught.value.got == "not a command of mine"
    with (
        igtl.Server(port=0) as mute,
        slicer.igtl.connect(*mute.address) as connection,
        pytest.raises(DeadlineError, match="COMMAND"),
    ):
        slicer.call("igtl.command", name="x", connection=connection.id, timeout=0.2)


# -- what is recorded ------------------------------------------------------------------------------------------------


def test_a_thousand_a_second_are_recorded_without_a_loss(other: Program, slicer: sn.Session) -> None:
    """Three seconds of it; whether the views show all of them does not matter."""
    rate, count = 1000, 3000
    number = slicer.call("igtl.record_begin", connection=other.connection.id, device="Needle")
    began, clock = time.monotonic(), time.time_ns()
    for x in range(count):
        wait = began + x / rate - time.monotonic()
        if wait > 0:
            threading.Event().wait(wait)
        stamp = igtl.Timestamp.from_ns(clock + x * 1_000_000)
        other.server.send(igtl.of_content(igtl.Transform(shifted(x)), "Needle", timestamp=stamp))
        if x % 100 == 0:
            other.server.send(igtl.of_content(igtl.String("beside"), "Text"))
    until(slicer, lambda: other.entry("Needle")["count"] == count, "that all have come")
    found = slicer.call("igtl.record_end", id=number)
    assert (found["count"], found["problems"], found["ended"]) == (count, [], "")
    [sequence] = found["sequences"]
    assert len(sequence) == count
    times = np.array(sequence.values)
    np.testing.assert_allclose(np.diff(times), 0.001, atol=2e-6)  # the sender's own clock
    matrices = slicer.call("igtl.matrices", node=sequence)
    np.testing.assert_array_equal(matrices[:, 0, 3], np.arange(count))
    assert sequence.unit == "s"
    assert found["browser"].class_name == "vtkMRMLSequenceBrowserNode"


def test_all_that_comes_while_slicer_is_busy_is_recorded(other: Program, slicer: sn.Session) -> None:
    number = slicer.call("igtl.record_begin")
    with busy(slicer):
        for x in range(300):
            other.server.send(igtl.of_content(igtl.Transform(shifted(x)), "Needle"))
        until(slicer, lambda: other.entry("Needle")["count"] == 300, "that all have come")
    found = slicer.call("igtl.record_end", id=number)
    assert [len(each) for each in found["sequences"]] == [300]


def test_each_device_has_its_sequence_and_one_browser_steps_through_all(other: Program, slicer: sn.Session) -> None:
    number = slicer.call("igtl.record_begin")
    for x in range(4):
        other.push(igtl.Transform(shifted(x)), "Needle")
        other.push(igtl.Image(np.full((1, 2, 3), x, np.uint8), MATRIX), "US")
        other.push(igtl.Image(np.full((1, 1, 1), 100 + x, np.uint8), MATRIX, size=(3, 2, 1), offset=(2, 1, 0)), "US")
    other.push(igtl.Tracking((igtl.Tool("A", shifted(1)), igtl.Tool("B", shifted(2)))), "Tracker")
    other.push(igtl.Status(igtl.StatusCode.NOT_READY, 0, "", "warming up"), "Robot")
    other.push(igtl.Transform(np.zeros((4, 4))), "Needle")
    found = slicer.call("igtl.record_end", id=number)
    names = {each._ref.name: each for each in found["sequences"]}
    assert set(names) == {f"{name} recording" for name in ("Needle", "US", "A", "B", "Robot")}
    assert len(names["Needle recording"]) == 4
    [problem] = found["problems"]
    assert "Needle" in problem
    # A part of an image is the whole image as it was then.
    us = names["US recording"]
    np.testing.assert_array_equal(us.array[:, 0, 0, 0], [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(us.array[:, 0, 1, 2], [0, 100, 1, 101, 2, 102, 3, 103])
    np.testing.assert_allclose(us.affine, MATRIX, atol=1e-5)
    # The browser of the longest takes the others along; the live nodes are left alone.
    us.index = 0
    live = slicer["Needle"]
    assert live.matrix[0, 3] == 3
    assert (
        slicer.eval(f"slicer.mrmlScene.GetNodeByID('{found['browser'].id}').GetNumberOfSynchronizedSequenceNodes(True)")
        == 5
    )
    # What comes now still goes to the live node, not to what shows the recording.
    other.push(igtl.Transform(shifted(9)), "Needle")
    assert live.matrix[0, 3] == 9


def test_a_recording_that_is_not_kept_leaves_nothing(other: Program, slicer: sn.Session) -> None:
    number = slicer.call("igtl.record_begin")
    other.push(igtl.Transform(MATRIX), "Needle")
    [going] = slicer.call("igtl.recordings")
    assert (going["id"], going["count"]) == (number, 1)
    assert slicer.call("igtl.record_end", id=number, keep=False)["sequences"] == []
    assert slicer.nodes("vtkMRMLSequenceNode") == []
    with pytest.raises(ArgumentError, match="no such recording"):
        slicer.call("igtl.record_end", id=number)


def message(x: float, stamp: igtl.Timestamp) -> igtl.Message:
    return igtl.of_content(igtl.Transform(shifted(x)), "Needle", timestamp=stamp)


def test_a_recording_ends_by_itself_before_it_takes_all_memory() -> None:
    recording = Recording(1, lambda _c, _d, _t: True, most_bytes=100_000)
    for _ in range(10):
        image = igtl.Image(np.zeros((1, 100, 200), np.uint8), np.eye(4))
        recording.take(1, igtl.of_content(image, "US"), False)
    assert recording.count == 5
    assert "as much as one may have" in recording.plain()["ended"]


@pytest.mark.parametrize(
    ("stamps", "own"),
    [
        ([(10, 0), (10, 1 << 31), (12, 0)], True),
        ([(10, 0), (10, 0), (10, 0)], False),
        ([(0, 0), (0, 0), (0, 0)], False),
        ([(12, 0), (11, 0), (13, 0)], False),
    ],
)
def test_the_senders_clock_counts_where_it_rises(stamps: list[tuple[int, int]], own: bool) -> None:
    recording = Recording(1, lambda _c, _d, _t: True)
    for x, stamp in enumerate(stamps):
        recording.take(1, message(x, igtl.Timestamp(*stamp)), False)
    [track] = recording._tracks.values()
    seconds = track.seconds(recording.began)
    assert (np.diff(seconds) > 0).all()
    assert 0 <= seconds[0] < PATIENCE
    if own:
        np.testing.assert_allclose(seconds - seconds[0], [0, 0.5, 2.0], atol=1e-9)
    else:
        assert seconds[-1] - seconds[0] < PATIENCE


# -- the parts by themselves -----------------------------------------------------------------------------------------


def test_many_requests_are_one_call_and_a_long_call_is_followed_by_a_rest() -> None:
    submitted: list[float] = []
    news = threading.Condition()

    def submit() -> None:
        with news:
            submitted.append(time.monotonic())
            news.notify_all()

    pace = MainCalls(submit, "test")
    # The main thread never calls itself: a thread of the pace does it.
    for _ in range(10):
        pace.request()
    with news:
        assert news.wait_for(lambda: submitted, PATIENCE)
    for _ in range(10):
        pace.request()  # the call has not begun: it will do these, too
    began = pace.begins()
    pace.ended(began - 0.3)  # it took 0.3 s: as long is to be left to others
    ended = time.monotonic()
    for _ in range(10):
        pace.request()
    with news:
        assert news.wait_for(lambda: len(submitted) > 1, PATIENCE)
    assert len(submitted) == 2
    assert submitted[1] - ended >= 0.29


def test_a_sender_keeps_the_newest_of_each_stream_and_its_interval() -> None:
    sender = StreamSender("test")
    sent: list[tuple[str, int, float]] = []
    done = threading.Event()

    def send(stream: str, x: int) -> None:
        sent.append((stream, x, time.monotonic()))
        if x == 99:
            done.set()

    for x in range(100):
        sender.put("slow", lambda x=x: send("slow", x), 0.2)
        sender.put("quick", lambda x=x: sent.append(("quick", x, time.monotonic())))
    assert done.wait(PATIENCE)
    slow = [(x, at) for stream, x, at in sent if stream == "slow"]
    assert slow[-1][0] == 99
    assert len(slow) <= 3
    assert [x for stream, x, _ in sent if stream == "quick"][-1] == 99
