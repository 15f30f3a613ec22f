"""The link to a kernel when messages, memory or processes fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from jupyter_client.blocking import BlockingKernelClient

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.session import kernel_link

#: Seconds that anything here may take on a slow machine.
DEADLINE = 30.0

#: Larger than what goes inside a message, smaller than what takes time; and one that goes in pieces.
SMALL, LARGE = 300_000, 20_000_000

#: In Slicer: the connection of the session that asks.
_CONNECTION = "list(__import__('slicer_notebook.host.agent').host.agent.Agent.current.connections.values())[-1]"


@pytest.fixture
def session(launched: sn.Session) -> Iterator[sn.Session]:
    """A second session on the shared Slicer, whose link may be broken."""
    with sn.connect(launched.name) as made:
        yield made


def link_of(session: sn.Session) -> Any:
    return session._link


def test_noise_from_slicer_is_logged_and_harms_nobody(session: sn.Session, caplog: pytest.LogCaptureFixture) -> None:
    for noise in (b"\xc1noise", b"", b"\x80"):
        session.eval(f"{_CONNECTION}._transmit([{noise!r}])")
    session.eval(f"{_CONNECTION}._transmit([])")
    session.call("session.ping")
    assert sum("could not be read" in record.message for record in caplog.records) == 4


def test_noise_to_slicer_harms_nobody(session: sn.Session) -> None:
    link = link_of(session)
    for noise in ([b"\xc1noise"], [b""], [], [b"\x80", b"more"]):
        link._transmit(noise)
    session.call("session.ping")


def test_another_front_end_that_refuses_the_comm_before_we_speak_harms_nobody(
    launched: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JupyterLab answers a comm whose target it does not know with comm_close, perhaps before our first word."""
    front_end = BlockingKernelClient(connection_file=link_of(launched)._client.connection_file)
    front_end.load_connection_file()
    front_end.start_channels()
    front_end.wait_for_ready(DEADLINE)
    send = kernel_link.KernelLink._send

    def refused_first(link: Any, message: Any) -> str:
        if isinstance(message, kernel_link.messages.Attach):
            content = {"comm_id": link._comm_id, "data": {}}
            front_end.shell_channel.send(front_end.session.msg("comm_close", content))
            front_end.execute("", silent=True, reply=True, timeout=DEADLINE)  # so that it has been read
        return send(link, message)

    monkeypatch.setattr(kernel_link.KernelLink, "_send", refused_first)
    try:
        with sn.connect(launched.name) as session:
            assert session.submit("code.eval", expression="6 * 7").result(DEADLINE) == 42
    finally:
        front_end.stop_channels()


def test_a_result_that_cannot_be_read_fails_its_call_only(session: sn.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(_header: Any) -> Any:
        raise errors.ProtocolError("The peer's shared memory cannot be opened.")

    with monkeypatch.context() as patch:
        patch.setattr(link_of(session)._reader, "fetch", fetch)
        job = session.submit("code.eval", expression=f"__import__('numpy').zeros({SMALL})")
        with pytest.raises(errors.ProtocolError, match="cannot be opened"):
            job.result(DEADLINE)
    assert session.eval("1 + 1") == 2


def test_an_argument_that_cannot_be_read_fails_its_call_only(
    session: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_of(session)
    store = link._pool.store

    def astray(array: Any) -> Any:
        header = store(array)
        return msgspec.structs.replace(
            header, segment=msgspec.structs.replace(header.segment, segment=10**6, name="memfd:99999")
        )

    with monkeypatch.context() as patch:
        patch.setattr(link._pool, "store", astray)
        job = session.submit("volume.add", array=np.zeros((4, 100, 200)))
        with pytest.raises(errors.ProtocolError, match="cannot be opened"):
            job.result(DEADLINE)
    session.call("session.ping")


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_without_room_for_shared_memory_arrays_take_the_socket(
    session: sn.Session, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def full(_array: Any) -> Any:
        raise OSError(28, "No space left on device")

    double = session.function(_double)
    array = np.arange(size, dtype=np.uint8)
    monkeypatch.setattr(link_of(session)._pool, "store", full)
    np.testing.assert_array_equal(double(array), array * 2)
    assert session.info["shared_memory"]


def _double(array: np.ndarray) -> np.ndarray:
    return array * 2


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("size", [10, SMALL, LARGE])
def test_arguments_are_as_they_were_when_they_were_sent(launched: sn.Session, shared: bool, size: int) -> None:
    with sn.connect(launched.name, shared_memory=shared) as session:
        double = session.function(_double)
        array = np.ones(size, dtype=np.uint8)
        double(array)  # the function is there now
        job = double.submit(array)
        array[:] = 77
        assert (job.result(DEADLINE) == 2).all()


def test_a_result_stays_what_it_is_while_others_come(session: sn.Session) -> None:
    make = session.function(_filled)
    held = {n: make(n, SMALL) for n in range(5)}
    for n in range(5, 30):
        held[n % 5] = make(n, SMALL + n)
        assert all((array == array[0]).all() and array[0] % 5 == key for key, array in held.items())


def _filled(value: int, size: int) -> np.ndarray:
    import numpy

    return numpy.full(size, value)


def test_two_sessions_share_no_arrays(launched: sn.Session, session: sn.Session) -> None:
    ours, theirs = launched.function(_filled), session.function(_filled)
    for n in range(8):
        one, other = ours(n, SMALL), theirs(n + 100, SMALL)
        assert (one == n).all()
        assert (other == n + 100).all()


_READER = """
import sys
import slicer_notebook as sn
session = sn.connect(sys.argv[1])
array = session.eval("__import__('numpy').ones(3_000_000)")
print(array.sum(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="nothing to see a process end by")
def test_a_killed_notebook_leaves_no_memory_in_slicer(launched: sn.Session) -> None:
    pid = launched.info["pid"]
    launched.call("session.ping")
    before = _shared_memory(pid)
    connections = "len(__import__('slicer_notebook.host.agent').host.agent.Agent.current.connections)"
    there = launched.eval(connections)
    with subprocess.Popen(
        [sys.executable, "-c", _READER, launched.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as notebook:
        assert notebook.stdout is not None
        assert float(notebook.stdout.readline()) == 3_000_000
        assert launched.eval(connections) == there + 1
        assert _shared_memory(pid) > before
        notebook.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE
    while launched.eval(connections) > there:
        assert time.monotonic() < deadline
    assert _shared_memory(pid) <= before


def _shared_memory(pid: int) -> int:
    """Number of open segments of a process."""
    found = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += "slicer-notebook" in os.readlink(path)
        except FileNotFoundError:
            continue
    return found
