"""mcp-slicer, unchanged, from its own environment: its server, started by an MCP client, against ours.

It wants Python 3.13: one is looked for; without one it runs on this Python, whose version is only a wish of its
package. The environment is made once, in pytest's cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import slicer_notebook as sn
from slicer_notebook.gateways.rest import PORT
from tests.gateways.rest.conftest import Start

_REQUIREMENT: Final = "mcp-slicer==0.3.1"
#: Seconds for pip to fetch and unpack 100 MB.
_DEADLINE: Final = 280


def _python() -> str:
    """A Python 3.13 or later; this one without it."""
    found = [shutil.which(f"python3.{minor}") for minor in (13, 14)]
    found += sorted(map(str, Path.home().glob(".pyenv/versions/3.1[3-9]*/bin/python")))
    for candidate in filter(None, found):
        done = subprocess.run(
            [candidate, "-c", "import sys, venv, ensurepip; print(sys.version_info >= (3, 13))"],
            check=False, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        if done.returncode == 0 and done.stdout.strip() == "True":
            return candidate
    return sys.executable


@pytest.fixture(scope="session")
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with mcp-slicer."""
    cache = getattr(request.config, "cache", None)
    # Each worker of pytest-xdist has one of its own: two would make it at once.
    name = f"mcp-slicer-{os.environ.get('PYTEST_XDIST_WORKER', '')}"
    folder = Path(cache.mkdir(name)) if cache is not None else tmp_path_factory.mktemp("mcp-slicer")
    python = folder / "venv" / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        shutil.rmtree(folder / "venv", ignore_errors=True)
        base = _python()
        subprocess.run([base, "-m", "venv", str(folder / "venv")], check=True, capture_output=True, timeout=120)
        options = ["--ignore-requires-python"] if base == sys.executable else []
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *options, _REQUIREMENT]
        pip = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_DEADLINE)
        if pip.returncode != 0:
            last = (pip.stderr.strip().splitlines() or ["no word"])[-1]
            pytest.skip(f"pip cannot install {_REQUIREMENT} here: {last}")
        done.touch()
    return python


def _calls(environment: Path, port: int) -> list[dict[str, Any]]:
    driver = Path(__file__).with_name("mcp_driver.py")
    settings = {**os.environ, "NO_PROXY": "localhost,127.0.0.1"}
    settings.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(environment), str(driver), str(port)],
        check=False, capture_output=True, text=True, timeout=120, env=settings,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(500)
def test_each_of_its_tools(environment: Path, serve: Start, slicer: sn.Session, phantom: sn.Volume) -> None:
    client: httpx.Client
    try:
        client = serve(port=PORT, allow=["exec"])
    except sn.errors.GatewayError:  # another program has the port that is written into it
        client = serve(allow=["exec"])
    assert client.base_url.port is not None
    found = iter(_calls(environment, client.base_url.port))

    names = json.loads(next(found)["text"])["nodes"]
    assert {"MRHead", "Red", "Selection"} <= set(names)
    assert json.loads(next(found)["text"]) == {"nodes": [phantom.id]}
    properties = json.loads(next(found)["text"])["nodes"]
    assert properties[phantom.id]["Name"] == "MRHead"
    assert "500" in json.loads(next(found)["text"])["error"]

    assert json.loads(next(found)["text"]) == {"success": True, "message": 2}
    assert json.loads(next(found)["text"]) == {"success": True, "message": {}}
    assert [node.name for node in slicer.call("scene.select", name="by mcp")] == ["by mcp"]
    failed = json.loads(next(found)["text"])
    assert failed["success"] is False
    assert failed["message"].startswith("Server error: ")
    assert "division by zero" in failed["message"]

    for what in ("full application window", "3D view"):
        said = next(found)
        assert what in said["text"]
        ((kind, size),) = said["images"]
        assert kind == "image/jpeg"
        assert size > 1000
    # It takes slices by code that needs Qt's widgets: a headless Slicer says so by name.
    assert "Qt" in next(found)["text"]
    assert next(found, None) is None


@pytest.mark.timeout(500)
def test_it_is_told_that_code_is_off(environment: Path, serve: Start) -> None:
    client = serve()
    assert client.base_url.port is not None
    said = [each for each in _calls(environment, client.base_url.port) if each["tool"] == "execute_python_code"]
    for each in said:
        answer = json.loads(each["text"])
        assert answer["success"] is False
        assert "Running code is off" in answer["message"]
