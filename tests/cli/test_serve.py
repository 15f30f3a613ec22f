"""``slicer-notebook serve`` as a process: what it prints, whom it serves, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from tests.dicom import make
from tests.gateways.plugin import install, write

#: Seconds that a line, an answer or the end may take: a headless Slicer starts in between.
DEADLINE = 100.0


class Serving:
    """A process, and what it prints."""

    def __init__(self, *options: str, plugin: Path, **environment: str) -> None:
        path = os.pathsep.join(filter(None, (str(plugin), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "slicer_notebook.cli", "serve", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        self.out: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.err: queue.SimpleQueue[str] = queue.SimpleQueue()
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    @staticmethod
    def _read(stream: Any, lines: queue.SimpleQueue[str]) -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))

    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out.get(timeout=DEADLINE))
        return found

    def end(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(DEADLINE)

    def said(self) -> str:
        """What is left of standard error. After its end."""
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self.err.get(timeout=0.5))
        return "\n".join(lines)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("plugin"))


@contextlib.contextmanager
def serving(*options: str, plugin: Path, **environment: str) -> Iterator[Serving]:
    found = Serving(*options, plugin=plugin, **environment)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.process.kill()
        found.process.wait(DEADLINE)


def get(url: str, token: str = "") -> str:
    request = urllib.request.Request(url, headers={"X-Slicer-Token": token} if token else {})
    with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
        text: str = answer.read().decode()
        return text


def test_a_new_slicer_serves_and_ends_with_it(plugin: Path, tmp_path: Path) -> None:
    make.write_series(tmp_path / "ct", shape=(3, 8, 8), Modality="CT", PatientID="P1")
    before = {each.pid for each in sn.sessions()}
    options = ("--headless", "--gateway", "echo:0", "--dicom", str(tmp_path / "ct"), "--json", "--verbose")
    with serving(*options, plugin=plugin) as serve:
        ready = serve.ready()
        assert ready["token"] is None
        assert set(ready) == {"session", "echo", "token"}
        (new,) = [each for each in sn.sessions() if each.name == ready["session"]]
        assert new.pid not in before
        url = f"http://{ready['echo']['host']}:{ready['echo']['port']}"
        assert get(f"{url}/nodes?access_token=TOPSECRET") == '["SubjectHierarchy"]'
        assert serve.end() == 0
        said = serve.said()
        assert "echo  " in said
        assert "GET /nodes" in said
        assert "TOPSECRET" not in said
        assert not new.alive
        assert serve.out.empty()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((ready["echo"]["host"], ready["echo"]["port"]), 5)


def test_a_running_slicer_serves_and_stays(slicer: sn.Session, plugin: Path) -> None:
    install(slicer, plugin)
    options = ("--session", slicer.name, "--gateway", "echo:0", "--token", "env:SERVE_TOKEN", "--json")
    with serving(*options, plugin=plugin, SERVE_TOKEN="a-token-of-24-characters") as serve:
        ready = serve.ready()
        assert (ready["session"], ready["token"]) == (slicer.name, "a-token-of-24-characters")
        url = f"http://127.0.0.1:{ready['echo']['port']}"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(f"{url}/add")
        get(f"{url}/add", ready["token"])
        assert "Made outside" in slicer
        assert [each.kind for each in slicer.gateways] == ["echo"]
        assert serve.end(signal.SIGINT) == 0
    assert slicer.gateways.entries() == []
    assert "Made outside" in slicer


def test_killed_it_leaves_no_server_behind(slicer: sn.Session, plugin: Path) -> None:
    install(slicer, plugin)
    gone = threading.Event()
    subscription = slicer.on("gateways", lambda event: gone.set() if event["gone"] else None)
    with serving("--session", slicer.name, "--gateway", "echo:0", "--json", plugin=plugin) as serve:
        port = serve.ready()["echo"]["port"]
        serve.end(signal.SIGKILL)
    assert gone.wait(DEADLINE)
    subscription.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 5)


def test_in_words_with_a_token_that_is_made(slicer: sn.Session, plugin: Path) -> None:
    install(slicer, plugin)
    options = ("--session", slicer.name, "--gateway", "echo:0", "--bind", "0.0.0.0")
    with serving(*options, plugin=plugin) as serve:
        lines = [serve.out.get(timeout=DEADLINE) for _ in range(4)]
        assert lines[0] == f"Slicer {slicer.name!r} serves"
        kind, url = lines[1].split()
        assert kind == "echo"
        word, token = lines[2].split()
        assert (word, lines[3]) == ("token", "until Ctrl+C")
        assert get(f"http://127.0.0.1:{url.rpartition(':')[2]}/nodes", token)
        assert serve.end() == 0


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ((), 2, "name what is to be served"),
        (("--gateway", "rest"), 2, "KIND:PORT"),
        (("--rest", "99999"), 2, "65535"),
        (("--rest", "0", "--session", "x", "--headless"), 2, "exclude"),
        (("--rest", "0", "--token", "a-secret-on-a-command-line"), 2, "env:NAME"),
        (("--rest", "0", "--token", "env:NOT_SET_ANYWHERE"), 2, "NOT_SET_ANYWHERE"),
        (("--rest", "0", "--session", "no-such-slicer"), 1, "no-such-slicer"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], code: int, text: str, plugin: Path) -> None:
    with serving(*options, plugin=plugin) as serve:
        assert serve.process.wait(DEADLINE) == code
        said = serve.said()
    assert text in " ".join(said.replace("│", " ").split())
    assert "a-secret-on-a-command-line" not in said


def test_one_that_cannot_start_ends_those_that_have(slicer: sn.Session, plugin: Path) -> None:
    install(slicer, plugin)
    options = ("--session", slicer.name, "--gateway", "echo:0", "--gateway", "broken:0", "--json")
    with serving(*options, plugin=plugin) as serve:
        assert serve.process.wait(DEADLINE) == 1
        assert "it cannot" in serve.said()
    assert slicer.gateways.entries() == []


def test_the_end_of_slicer_is_the_end(plugin: Path) -> None:
    with sn.launch() as other:
        install(other, plugin)
        with serving("--session", other.name, "--gateway", "echo:0", "--json", plugin=plugin) as serve:
            serve.ready()
            os.kill(other.info["pid"], signal.SIGKILL)
            assert serve.process.wait(DEADLINE) == 1
            assert "Slicer is gone" in serve.said()
