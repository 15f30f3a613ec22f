"""What goes wrong on purpose: killed processes, interrupts, closed sessions, several notebooks."""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook import errors

#: Seconds that anything here may take on a slow machine.
DEADLINE = 30.0


def busy(session: sn.Session, code: str = "import time\nwhile True: time.sleep(0.01)") -> sn.Job[Any]:
    """A command that runs on and on in Slicer; returned when it is running."""
    started = threading.Event()
    job = session.submit("code.run", code="print('begun', flush=True)\n" + code)
    job.add_done_callback(lambda _: started.set())
    waiter = _OutputWaiter(job, started)
    waiter.wait()
    assert not job.done, job.exception(0)
    return job


class _OutputWaiter:
    def __init__(self, job: sn.Job[Any], event: threading.Event) -> None:
        self._event = event
        former = job.deliver_output

        def deliver(output: Any) -> None:
            former(output)
            event.set()

        job.deliver_output = deliver  # type: ignore[method-assign]
        if job._outputs:
            event.set()

    def wait(self) -> None:
        assert self._event.wait(DEADLINE)


@pytest.fixture
def own() -> Any:
    """A Slicer of the test's own, to be broken."""
    with sn.launch() as session:
        yield session


def test_a_killed_slicer_fails_all_waiting_calls_within_two_seconds(own: sn.Session) -> None:
    reasons: queue.SimpleQueue[Any] = queue.SimpleQueue()
    own.on("closed", reasons.put)
    running = busy(own)
    queued = own.submit("session.ping")
    pid = own._link.hello.pid
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    for job in (running, queued):
        error = job.exception(DEADLINE)
        assert isinstance(error, errors.ConnectionLostError)
        assert str(pid) in str(error)
        assert "restart" in str(error)
    assert time.monotonic() - began < 2.0
    assert not own.alive
    assert "lost" in repr(own)
    assert isinstance(reasons.get(timeout=DEADLINE), errors.ConnectionLostError)
    with pytest.raises(errors.ConnectionLostError):
        own.call("session.ping")


def test_restart_gives_a_clean_slicer(own: sn.Session) -> None:
    told: list[Any] = []
    own.on("restarted", told.append)  # told before restart() returns
    old = own.add_volume(np.ones((3, 4, 5), np.uint8), None, "old")
    former = own._link.hello.pid
    os.kill(former, signal.SIGKILL)
    own.restart()
    assert own.alive
    assert own._link.hello.pid != former
    assert own.nodes("vtkMRMLVolumeNode") == []
    new = own.add_volume(np.zeros((2, 2, 2), np.uint8), None, "new")
    assert new.id == old.id  # MRML numbers them alike, which is why the old handle must be refused
    with pytest.raises(errors.NodeNotFoundError, match="before its restart"):
        old.array  # noqa: B018
    assert old != new
    assert told == [{"name": own.name}]
    own.restart()
    assert own.eval("1 + 1") == 2


def test_functions_survive_a_restart(own: sn.Session) -> None:
    def answer() -> int:
        return 42

    remote = own.function(answer)
    assert remote() == 42
    own.restart()
    assert remote() == 42


def test_cancel_interrupts_code_on_the_main_thread(slicer: sn.Session) -> None:
    for code in ("while True: pass", "import time\ntime.sleep(60)"):
        job = busy(slicer, code)
        assert job.cancel()
        with pytest.raises(errors.JobCancelledError):
            job.result(DEADLINE)
        assert job.cancelled
        assert not job.cancel()
        assert slicer.eval("1 + 1") == 2


def test_cancel_reaches_a_queued_command(slicer: sn.Session) -> None:
    running = busy(slicer)
    queued = slicer.submit("code.run", code="must_not_run = True")
    queued.cancel()
    assert slicer.alive
    running.cancel()
    assert running.exception(DEADLINE) is not None
    # It was cancelled before the kernel had read it; the flag waits there for it.
    assert isinstance(queued.exception(DEADLINE), errors.JobCancelledError)
    assert slicer.eval("'must_not_run' in globals()") is False


def test_a_late_cancel_hits_nothing(slicer: sn.Session) -> None:
    for _ in range(50):
        job = slicer.submit("session.ping")
        job._cancel()
        assert job.exception(DEADLINE) is None or job.cancelled
    assert slicer.eval("sum(range(1000))") == 499500


def test_interrupting_a_wait_interrupts_slicer(slicer: sn.Session) -> None:
    job = busy(slicer)
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(_main_thread(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        job.result(DEADLINE)
    assert isinstance(job.exception(DEADLINE), errors.JobCancelledError)
    assert slicer.eval("2") == 2


def test_functions_notice_a_cancel_at_their_progress(slicer: sn.Session) -> None:
    def endless() -> None:
        while True:
            progress(-1.0, "going on")  # type: ignore[name-defined]  # noqa: F821 - given there

    seen = threading.Event()
    job = slicer.submit(endless)
    job.on_progress(lambda _: seen.set())
    assert seen.wait(DEADLINE)
    job.cancel()
    assert isinstance(job.exception(DEADLINE), errors.JobCancelledError)


def test_a_wait_has_a_deadline(slicer: sn.Session) -> None:
    job = busy(slicer)
    with pytest.raises(errors.DeadlineError, match="goes on"):
        job.result(timeout=0.05)
    with pytest.raises(TimeoutError):
        job.exception(timeout=0.05)
    job.cancel()
    assert job.exception(DEADLINE) is not None


def test_a_busy_slicer_still_answers_what_needs_no_main_thread(slicer: sn.Session) -> None:
    """Worker commands are read on the shell channel, so they wait for the main thread; cancel does not."""
    job = busy(slicer)
    began = time.monotonic()
    job.cancel()
    job.exception(DEADLINE)
    assert time.monotonic() - began < 2.0


def test_two_sessions_share_one_slicer(slicer: sn.Session) -> None:
    with sn.connect(slicer.name) as second:
        added: queue.SimpleQueue[Any] = queue.SimpleQueue()
        second.on("scene", lambda data: [added.put(n.name) for n in data["added"]])
        slicer.add_volume(np.ones((3, 3, 3), np.uint8), None, "shared")
        names = set()
        while "shared" not in names:
            names.add(added.get(timeout=DEADLINE))
        assert np.array_equal(second["shared"].array, np.ones((3, 3, 3)))
        jobs = [s.submit("code.eval", expression=str(i)) for i in range(40) for s in (slicer, second)]
        assert [j.result(DEADLINE) for j in jobs] == [i for i in range(40) for _ in range(2)]
    assert slicer.eval("1") == 1
    with pytest.raises(errors.SessionClosedError):
        second.eval("1")


def test_output_goes_to_the_one_who_asked(slicer: sn.Session, capsys: pytest.CaptureFixture[str]) -> None:
    with sn.connect(slicer.name) as second:
        second.run("print('for the second')")
        assert capsys.readouterr().out == "for the second\n"
        slicer.run("print('for the first')")
        assert capsys.readouterr().out == "for the first\n"


def test_closing_a_connected_session_leaves_slicer_running(own: sn.Session) -> None:
    for _ in range(3):
        with sn.connect(own.name) as second:
            second.run("kept = 5")
    assert own.eval("kept") == 5
    with sn.connect(own._launched.connection_file) as by_file:  # type: ignore[union-attr]
        assert by_file.eval("kept") == 5
        with pytest.raises(errors.SessionError, match="did not start"):
            by_file.restart()


def test_close_ends_the_slicer_it_started() -> None:
    session = sn.launch("to-be-closed")
    pid = session._link.hello.pid
    assert [r.name for r in sn.sessions()].count("to-be-closed") == 1
    session.close()
    session.close()
    assert "to-be-closed" not in [r.name for r in sn.sessions()]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(errors.SessionClosedError, match="closed"):
        session.eval("1")
    with pytest.raises(errors.SessionClosedError):
        session.restart()
    assert "closed" in repr(session)


def test_a_slicer_ends_with_the_notebook_that_started_it() -> None:
    code = "import slicer_notebook as sn, os, sys\ns = sn.launch()\nprint(s._link.hello.pid, flush=True)\nos._exit(1)\n"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE * 2, check=False
    )
    pid = int(process.stdout.split()[0])
    _await_end(pid)


def test_a_kept_slicer_outlives_its_notebook() -> None:
    code = "import slicer_notebook as sn, os\ns = sn.launch('kept-alive', keep=True)\ns.run('left = 7')\nos._exit(1)\n"
    subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=DEADLINE * 2, check=False)
    with sn.connect("kept-alive") as session:
        assert session.eval("left") == 7
        pid = session._link.hello.pid
    os.kill(pid, signal.SIGKILL)
    _await_end(pid)


def _main_thread() -> int:
    found = threading.main_thread().ident
    assert found is not None
    return found


def _await_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        assert select.select([descriptor], [], [], DEADLINE)[0], f"process {pid} goes on"
    finally:
        os.close(descriptor)


def test_a_wrong_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.SessionNotFoundError, match="nobody"):
        sn.connect("nobody")
    with pytest.raises(errors.SessionNotFoundError, match="connection file"):
        sn.connect(tmp_path / "kernel-x.json")
    with pytest.raises(errors.ArgumentError, match="no name"):
        sn.launch("not a name")
    with pytest.raises(errors.LaunchError, match="no such Python"):
        sn.launch(python=str(tmp_path / "python"))


def test_a_taken_name_is_refused(launched: sn.Session) -> None:
    with pytest.raises(errors.ArgumentError, match="is running"):
        sn.launch(launched.name)


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "slicer_core").mkdir()
    (tmp_path / "slicer_core" / "__init__.py").write_text("raise ImportError('planted fault')")
    with pytest.raises(errors.LaunchError, match="planted fault"):
        sn.launch(environment={"PYTHONPATH": str(tmp_path)})


def test_a_port_that_another_process_took_meanwhile_is_no_failure(tmp_path: Path) -> None:
    """The first process of the launch finds its port taken, as ZeroMQ says it; the next one does not."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        f"mark = {str(tmp_path / 'tried')!r}\n"
        "if any('slicer_notebook.host' in word for word in sys.orig_argv) and not os.path.exists(mark):\n"
        "    open(mark, 'w').close()\n"
        "    sys.stderr.write('zmq.error.ZMQError: Address already in use (addr=tcp://127.0.0.1:1)')\n"
        "    sys.stderr.flush()\n"
        "    os._exit(1)\n",
        encoding="utf-8",
    )
    with sn.launch(environment={"PYTHONPATH": str(tmp_path)}) as session:
        assert (tmp_path / "tried").exists()
        assert session.eval("1 + 1") == 2


def test_a_kernel_without_slicer_is_refused() -> None:
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with pytest.raises(errors.SlicerNotInstalledError, match="not a Slicer"):
            sn.connect(manager.connection_file)
    finally:
        manager.shutdown_kernel(now=True)


def test_a_dead_connection_file_meets_a_deadline(tmp_path: Path) -> None:
    from jupyter_client.connect import write_connection_file

    file, _ = write_connection_file(str(tmp_path / "kernel-dead.json"))
    with pytest.raises(errors.DeadlineError, match="did not answer"):
        sn.connect(file, timeout=0.3)


def test_vtk_errors_belong_to_the_command_that_failed(slicer: sn.Session, tmp_path: Path) -> None:
    path = tmp_path / "broken.vtp"
    path.write_text("<VTKFile type='PolyData'><broken")
    with pytest.raises(errors.FileFormatError) as caught:
        slicer.load(path)
    assert caught.value.vtk_errors or "broken.vtp" in str(caught.value)


def test_vtk_warnings_become_log_records(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    arrived = threading.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "null node" in record.getMessage():
                arrived.set()

    logger = logging.getLogger("slicer_notebook.slicer")
    watch = Watch()
    logger.addHandler(watch)
    try:
        # In a Slicer of its own: pyvista, which other tests import in the shared one, takes VTK's messages over.
        with caplog.at_level(logging.INFO, "slicer_notebook.slicer"), sn.launch() as slicer:
            slicer.run("slicer.mrmlScene.AddNode(None)")
            assert arrived.wait(DEADLINE)
    finally:
        logger.removeHandler(watch)
    assert any("null node" in r.getMessage() and r.levelno == logging.ERROR for r in caplog.records)
    out, err = capfd.readouterr()
    assert "null node" not in out + err


def test_scene_events_are_coalesced(slicer: sn.Session) -> None:
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    subscription = slicer.on("scene", events.put)
    slicer.run(
        "for i in range(200):\n"
        "    node = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', f'text {i}')\n"
        "for i in range(100): node.SetText(str(i))\n"
    )
    names: set[str] = set()
    count = 0
    while len([n for n in names if n.startswith("text")]) < 200:
        data = events.get(timeout=DEADLINE)
        count += 1
        names |= {n.name for n in data["added"]}
    assert count <= 5
    slicer["text 7"].remove()
    removed: set[str] = set()
    while "text 7" not in removed:
        removed |= {n._ref.name for n in events.get(timeout=DEADLINE)["removed"]}
    subscription.close()


def test_view_events_name_the_views(slicer: sn.Session) -> None:
    slicer.add_volume(np.ones((9, 9, 9), np.uint8), None, "shown")
    slicer.thumbnails(size=(32, 32))
    changed: queue.SimpleQueue[str] = queue.SimpleQueue()
    slicer.on("views", lambda data: [changed.put(n) for n in data["names"]])
    slicer.view("Red").offset = 3
    names = set()
    while "Red" not in names:
        names.add(changed.get(timeout=DEADLINE))


def test_connecting_leaks_nothing(slicer: sn.Session) -> None:
    def held() -> tuple[int, int, int, int]:
        there = slicer.eval(
            "(len(__import__('os').listdir('/proc/self/fd')), __import__('threading').active_count(),"
            " len(__import__('slicer_notebook.host.agent').host.agent.Agent.current.connections))"
        )
        return (len(os.listdir("/proc/self/fd")), threading.active_count(), *there[1:])

    def once() -> None:
        with sn.connect(slicer.name) as second:
            volume = second.add_volume(np.ones((40, 40, 40), np.int32), None, "leak", show=False)
            assert volume.array.sum() == 64000
            volume.remove()

    once()
    before = held()
    for _ in range(10):
        once()
    after = held()
    # A socket or a thread of the last round may be on its way out.
    assert all(a <= b + 2 for a, b in zip(after, before, strict=True)), (before, after)


def test_what_goes_over_the_loopback_interface_is_encrypted(launched: sn.Session) -> None:
    import json

    file = Path(launched._launched.connection_file)  # type: ignore[union-attr]
    assert file.stat().st_mode & 0o077 == 0
    info = json.loads(file.read_text())
    assert info["ip"] == "127.0.0.1"
    assert info["curve_publickey"]
    info["curve_secretkey"] = info["curve_publickey"] = None
    stolen = file.with_name("kernel-without-keys.json")
    stolen.write_text(json.dumps({k: v for k, v in info.items() if v is not None}))
    with pytest.raises(errors.DeadlineError):
        sn.connect(stolen, timeout=0.5)


def test_a_slicer_elsewhere_is_watched_by_its_heartbeat(own: sn.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from slicer_notebook.session import kernel_link

    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.setattr(kernel_link, "_HEARTBEAT_LIMIT", 1.0)
    with sn.connect(own.name) as second:
        job = busy(second, "import time\ntime.sleep(2.5)\nprint('still here')")
        assert job.exception(DEADLINE) is None  # busy is not lost: the heartbeat needs no main thread
        os.kill(own._link.hello.pid, signal.SIGKILL)
        with pytest.raises(errors.ConnectionLostError):
            second.submit("session.ping").result(DEADLINE)


def test_a_python_without_slicer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "slicer_core" else found(name))
    with pytest.raises(errors.SlicerNotInstalledError, match="slicer-notebook\\[headless\\]"):
        sn.launch()


def test_without_opengl_a_picture_is_refused_and_the_rest_works() -> None:
    with sn.launch(environment={"__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent", "DISPLAY": ""}) as session:
        volume = session.add_volume(np.ones((3, 4, 5), np.uint8), None, "unseen")
        assert volume.array.sum() == 60
        if session.info["renderer"] is not None:
            pytest.skip("there is another renderer than EGL here (OSMesa)")
        with pytest.raises(errors.RenderingError):
            session.view("Red").image()


def test_interrupting_a_notebooks_cell_interrupts_slicer(slicer: sn.Session) -> None:
    """A real kernel process, interrupted as JupyterLab's stop button does it."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=DEADLINE)
        setup = f"import slicer_notebook as sn; s = sn.connect({slicer.name!r})"
        assert client.execute_interactive(setup, timeout=DEADLINE)["content"]["status"] == "ok"
        client.execute("s.run('print(\"begun\", flush=True)\\nwhile True: pass')")
        while "begun" not in client.get_iopub_msg(timeout=DEADLINE)["content"].get("text", ""):
            pass
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=DEADLINE)
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert slicer.submit("code.eval", expression="1 + 1").result(DEADLINE) == 2
        again = client.execute_interactive("assert s.eval('2 + 2') == 4; s.close()", timeout=DEADLINE)
        assert again["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert slicer.eval("3") == 3


def test_exit_in_a_script_leaves_slicer_running(slicer: sn.Session) -> None:
    for code in ("exit()", "quit()", "import sys; sys.exit(3)"):
        with pytest.raises(errors.RemoteError, match="SystemExit"):
            slicer.run(code)
    assert slicer.eval("1") == 1


def test_an_error_in_a_callback_reaches_the_user(slicer: sn.Session, capsys: pytest.CaptureFixture[str]) -> None:
    called = threading.Event()

    def fails(_data: Any) -> None:
        called.set()
        raise ZeroDivisionError("planted in a callback")

    with sn.connect(slicer.name) as second:
        second.on("scene", fails)
        second.add_volume(np.ones((3, 3, 3), np.uint8), None, "seen")
        assert called.wait(DEADLINE)
        done = threading.Event()
        second._link.post(done.set)  # callbacks run one after the other
        assert done.wait(DEADLINE)
    assert "planted in a callback" in capsys.readouterr().err


def test_wrong_kinds_of_arguments_are_refused() -> None:
    with pytest.raises(errors.ArgumentError, match="no name"):
        sn.launch(5)  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentError, match="names no Slicer"):
        sn.connect(5)  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentError, match="timeout"):
        sn.launch(timeout="x")  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentError, match="environment"):
        sn.launch(environment=5)  # type: ignore[arg-type]


def test_a_closing_notebook_stops_what_it_asked_for(slicer: sn.Session) -> None:
    second = sn.connect(slicer.name)
    job = busy(second)
    second.close()
    # Whichever is first: that the session was closed, or Slicer's word that the command was stopped for that.
    assert isinstance(job.exception(DEADLINE), errors.SessionClosedError | errors.JobCancelledError)
    assert slicer.submit("code.eval", expression="6 * 7").result(DEADLINE) == 42
