"""Servers in a network of their own: reached over loopback only, as by a plain connection, gone with their owner."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slicer_notebook.errors import DeadlineError, PacsError
from slicer_notebook.testing import Caged, NoNamespaceError, caged, free_port

#: A server on all addresses: reads until the end, then sends back the SHA-1 and what it read; b"reset" makes it reset.
SERVER = """
import hashlib, socket, struct, sys, threading
def serve(client):
    parts = []
    while data := client.recv(1 << 16):
        parts.append(data)
        if parts == [b"reset"]:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
    whole = b"".join(parts)
    client.sendall(hashlib.sha1(whole).digest() + whole)
    client.close()
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("0.0.0.0", int(sys.argv[1])))
listening.listen(128)
print("listening", flush=True)
while True:
    threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def cage() -> Iterator[Caged]:
    """A cage with one port inward and one outward, nothing running in it."""
    with_outward = caged_or_skip(outward=[free_port()])
    yield with_outward
    with_outward.close(grace=0)


def caged_or_skip(outward: list[int] | None = None) -> Caged:
    try:
        return Caged("echo", ports=1, outward=outward or [])
    except NoNamespaceError as exc:
        pytest.skip(f"no network namespaces here: {exc.got}")


def started(cage: Caged) -> Caged:
    cage.start([sys.executable, "-c", SERVER, str(cage.ports[0])])
    return cage


def connected(cage: Caged) -> socket.socket:
    return socket.create_connection(("127.0.0.1", cage.ports[0]), timeout=20)


def exchanged(cage: Caged, data: bytes) -> bytes:
    """What the server sends back when the client has said that it ends."""
    with connected(cage) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        parts = []
        while part := client.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def until(condition: Callable[[], bool], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- the relay --------------------------------------------------------------------------------------------------------


def test_every_byte_goes_there_and_back_and_half_a_close_stays_half(cage: Caged) -> None:
    started(cage)
    for size in (0, 1, 70_000, 5_000_000):
        data = os.urandom(size)
        assert exchanged(cage, data) == hashlib.sha1(data).digest() + data


def test_many_connections_at_a_time(cage: Caged) -> None:
    started(cage)
    blocks = [os.urandom(200_000) for _ in range(60)]
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda data: exchanged(cage, data), blocks))
    assert answers == [hashlib.sha1(data).digest() + data for data in blocks]


def test_a_slow_reader_holds_the_sender_up(cage: Caged) -> None:
    started(cage)
    with connected(cage) as client:
        # The server reads it all before it answers 40 MB, which nobody reads: they stay where they are.
        client.sendall(bytes(40_000_000))
        client.shutdown(socket.SHUT_WR)
        first = client.recv(20, socket.MSG_WAITALL)
        pid = int(cage.command_prefix[2])
        resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert resident < 40_000_000
        assert first == hashlib.sha1(bytes(40_000_000)).digest()


def test_a_reset_of_the_server_reaches_the_client(cage: Caged) -> None:
    started(cage)
    with connected(cage) as client:
        client.sendall(b"reset")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_reset_of_the_client_reaches_the_server(cage: Caged) -> None:
    received: list[str] = []

    def receive(listening: socket.socket) -> None:
        client, _ = listening.accept()
        with client:
            try:
                while client.recv(100):
                    pass
                received.append("end")
            except ConnectionResetError:
                received.append("reset")

    code = (
        "import socket, struct, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.sendall(b'x');"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()"
    )
    with socket.create_server(("127.0.0.1", outward_port(cage))) as listening:
        thread = threading.Thread(target=receive, args=(listening,))
        thread.start()
        command = [*cage.command_prefix, sys.executable, "-c", code, str(outward_port(cage))]
        subprocess.run(command, timeout=20, check=True)
        thread.join(10)
    assert received == ["reset"]


def outward_port(cage: Caged) -> int:
    return cage.outward[0]


def test_what_goes_out_arrives_outside(cage: Caged) -> None:
    code = (
        "import socket, sys; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.sendall(b'hello');"
        "s.shutdown(1); print(s.recv(100))"
    )
    command = [*cage.command_prefix, sys.executable, "-c", code, str(outward_port(cage))]
    with socket.create_server(("127.0.0.1", outward_port(cage))) as listening:
        inside = subprocess.Popen(command, stdout=subprocess.PIPE)
        client, _ = listening.accept()
        with client:
            assert client.recv(100, socket.MSG_WAITALL) == b"hello"
            client.sendall(b"good day")
        assert inside.communicate(timeout=20)[0] == b"b'good day'\n"
    # Nobody listens outside any more: the connection is reset.
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert "ConnectionResetError" in done.stderr or "BrokenPipeError" in done.stderr


# -- where it can be reached ------------------------------------------------------------------------------------------


def test_it_listens_on_the_loopback_interface_only_though_the_server_binds_all(cage: Caged) -> None:
    started(cage)
    port = f"{cage.ports[0]:04X}"
    rows = [row.split() for path in ("tcp", "tcp6") for row in Path(f"/proc/net/{path}").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port}")]
    assert listening == [f"{struct.unpack('=I', socket.inet_aton('127.0.0.1'))[0]:08X}:{port}"]


def test_nothing_else_is_reachable_from_inside(cage: Caged) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        code = f"import socket; socket.create_connection(('127.0.0.1', {listening.getsockname()[1]}), timeout=5)"
        done = subprocess.run(
            [*cage.command_prefix, sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
    assert "ConnectionRefusedError" in done.stderr


def test_files_belong_to_the_same_user_inside(cage: Caged) -> None:
    command = [*cage.command_prefix, "stat", "-c", "%u", "/proc/self"]
    assert int(subprocess.run(command, capture_output=True, timeout=20, check=True).stdout) == os.geteuid()


# -- life -------------------------------------------------------------------------------------------------------------


def test_connections_are_refused_while_it_does_not_run_and_the_port_stays(cage: Caged) -> None:
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            connected(cage)
        started(cage)
        assert cage.running
        assert len(exchanged(cage, b"x")) == 21
        cage.end(grace=0)
        assert (cage.running, cage.pid) == (False, None)
    with pytest.raises(ConnectionRefusedError):
        connected(cage)


def test_a_server_that_ends_by_itself_is_noticed(cage: Caged) -> None:
    started(cage)
    client = connected(cage)
    os.kill(cage.pid or 0, signal.SIGKILL)
    with client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    until(lambda: not cage.running)
    with pytest.raises(ConnectionRefusedError):
        connected(cage)
    cage.end()
    assert exchanged(started(cage), b"again")[20:] == b"again"


def test_asked_to_end_it_has_time_and_is_killed_then(cage: Caged) -> None:
    code = "import signal, sys; signal.signal(15, lambda *_: print('asked', flush=True))\n" + SERVER
    cage.start([sys.executable, "-c", code, str(cage.ports[0])])
    until(lambda: "listening\n" in cage.log)
    began = time.monotonic()
    cage.end(grace=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    assert cage.log.endswith("listening\nasked\n")


def test_nothing_is_left_after_close(cage: Caged) -> None:
    started(cage)
    pids, folder, port = [cage.pid, int(cage.command_prefix[2])], cage.folder, cage.ports[0]
    cage.close(grace=0)
    assert not any(alive(pid or 0) for pid in pids)
    assert not folder.exists()
    socket.create_server(("127.0.0.1", port)).close()
    assert "listening" in cage.log
    cage.close()
    with pytest.raises(PacsError, match="was closed"):
        started(cage)


OWNER = """
import os, signal, sys
from slicer_notebook.testing import Caged
cage = Caged("echo", ports=1, outward=[int(sys.argv[2])])
cage.start([sys.executable, "-c", sys.argv[1], str(cage.ports[0])])
print(cage.pid, cage.command_prefix[2], cage.folder, flush=True)
{end}
"""


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "raise KeyboardInterrupt", "pass", "os._exit(1)"]
)
def test_nothing_is_left_however_the_owner_ends(end: str) -> None:
    caged_or_skip().close()
    command = [sys.executable, "-c", OWNER.format(end=end), SERVER, str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    server, keeper, folder = done.stdout.split()
    until(lambda: not alive(int(server)) and not alive(int(keeper)) and not Path(folder).exists())


def test_the_server_ends_with_its_keeper(cage: Caged) -> None:
    started(cage)
    server, folder = cage.pid or 0, cage.folder
    os.kill(int(cage.command_prefix[2]), signal.SIGKILL)
    until(lambda: not alive(server))
    assert not cage.running
    with pytest.raises(PacsError, match="looks after"):
        started(cage)
    cage.close()
    assert not folder.exists()


def test_the_server_lives_on_when_the_thread_that_started_it_ends(cage: Caged) -> None:
    thread = threading.Thread(target=started, args=(cage,))
    thread.start()
    thread.join(20)
    assert len(exchanged(cage, b"x")) == 21
    assert cage.running


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_server_that_ends_at_once_has_the_last_word(cage: Caged) -> None:
    with pytest.raises(PacsError, match=r"(?s)exit code 3.*no such thing"):
        cage.start([sys.executable, "-c", "import sys; print('no such thing', flush=True); sys.exit(3)"])


def test_a_server_that_does_not_listen_is_ended(cage: Caged) -> None:
    with pytest.raises(DeadlineError, match="did not listen after"):
        cage.start([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.3)
    assert not cage.running


def test_a_program_that_there_is_not(cage: Caged) -> None:
    with pytest.raises(PacsError, match="No such file"):
        cage.start(["/no/such/program"])


def test_starting_twice(cage: Caged) -> None:
    with pytest.raises(PacsError, match="runs already"):
        started(started(cage))


def test_a_kernel_without_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "keeper.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(caged._KEEPER.parent)!r})\n"
        "import _keeper, errno\n"
        "def enter_own_network(): raise OSError(errno.EPERM, 'Operation not permitted')\n"
        "_keeper.enter_own_network = enter_own_network\n"
        "_keeper.Keeper().run()\n"
    )
    monkeypatch.setattr(caged, "_KEEPER", script)
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    with pytest.raises(NoNamespaceError, match="Operation not permitted") as caught:
        Caged("echo", ports=1)
    assert "namespace=False" in str(caught.value)
    assert list(folders.iterdir()) == []


def test_without_a_namespace_it_runs_as_it_is() -> None:
    code = SERVER.replace('"0.0.0.0"', '"127.0.0.1"')
    plain = Caged("echo", ports=1, namespace=False)
    try:
        plain.start([sys.executable, "-c", code, str(plain.ports[0])])
        assert plain.command_prefix == []
        assert len(exchanged(plain, b"x")) == 21
    finally:
        plain.close(grace=0)


def test_free_ports_are_never_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caged.random, "sample", lambda ports, count: list(ports))
    assert len({free_port() for _ in range(20)}) == 20
