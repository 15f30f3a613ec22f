"""Benchmarks of SlicerWeb's REST: against a bare Starlette application, and the render loop in Slicer's process."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import data
from benchmarks.measure import Row, timed
from slicer_notebook import testing

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["rest_names", "rest_pictures", "rest_volume"]

#: Connections and seconds of a run of wrk.
CONNECTIONS, SECONDS = 8, 2
#: Connections that ask for pictures: one is drawn while another is encoded and a third is on its way.
PICTURE_CONNECTIONS = 3
#: Pictures of a run of the render loop.
PICTURES = 60
#: Offsets of the pictures, mm: both go through them in turn.
FIRST, LAST = 40, 280
_READ = 1024 * 1024

#: Each request of wrk another offset.
_LUA = """
local number = 0
request = function()
  number = number + 1
  return wrk.format("GET", "/slicer/slice?view=red&offset=" .. (%d + number * 7 %% %d))
end
""" % (FIRST, LAST - FIRST)  # noqa: UP031 - Lua is full of braces


class _Servers:
    """The gateway in the benchmarks' Slicer, and the bare application with the same names."""

    def __init__(self, bench: Bench, file: Path | None = None) -> None:
        started = bench.slicer.call("gateways.start", kind="rest", port=0)
        bench.stack.callback(bench.slicer.call, "gateways.stop", ids=[started["id"]])
        self.port = int(started["port"])
        self.url = str(started["url"])
        names = [node.name for node in bench.slicer.call("scene.select")]
        self.bare_port = testing.free_port()
        self.bare_url = f"http://127.0.0.1:{self.bare_port}"
        bare = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.rest_bare", str(self.bare_port), str(file or ""), json.dumps(names)],
            stdout=subprocess.PIPE,
        )
        bench.stack.callback(bare.wait, 10)
        bench.stack.callback(bare.kill)
        assert bare.stdout is not None
        if bare.stdout.readline() != b"ready\n":
            raise RuntimeError("the bare application did not start")


def _wrk(url: str, connections: int = CONNECTIONS, script: Path | None = None) -> Callable[[], float]:
    """Seconds for a request, by wrk."""
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("wrk is missing: apt-get install wrk")
    command = [program, "-t1", f"-c{connections}", f"-d{SECONDS}s", "--timeout", "10s"]
    command += ["-s", str(script)] if script else []

    def run() -> float:
        said = subprocess.run([*command, url], check=True, capture_output=True, text=True, timeout=60).stdout
        found = re.search(r"Requests/sec:\s+([\d.]+)", said)
        if found is None or "Non-2xx" in said or "Socket errors" in said:
            raise RuntimeError(said)
        return 1 / float(found[1])

    return run


def rest_names(bench: Bench) -> list[Row]:
    """Requests for the names of all nodes."""
    bench.slicer.clear()
    servers = _Servers(bench)
    times = bench.interleave(
        "rest_names",
        {"ours": _wrk(f"{servers.url}/slicer/mrml/names"), "bare": _wrk(f"{servers.bare_url}/json")},
        7,
    )
    what, peer = f"/slicer/mrml/names, {CONNECTIONS} connections", "a JSON route of bare Starlette"
    return [Row("rest_names", what, peer, times["ours"], times["bare"], 2.0)]


def _render_loop(count: int, first: int, steps: int, encode: bool) -> float:
    """Runs in Slicer: seconds for one picture of the Red view."""
    import io
    import time

    import slicer
    from PIL import Image
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

    widget = slicer.app.layoutManager().sliceWidget("Red")
    window = widget.sliceView().renderWindow()
    logic = widget.sliceLogic()
    started = time.perf_counter()
    for number in range(count):
        logic.SetSliceOffset(first + number * 7 % steps)
        window.Render()
        width, height = window.GetSize()
        pixels = vtkUnsignedCharArray()
        window.GetPixelData(0, 0, width - 1, height - 1, 1, pixels, 0)
        if encode:
            array = vtk_to_numpy(pixels).reshape(height, width, 3)[::-1]
            Image.fromarray(array).save(io.BytesIO(), "PNG", compress_level=1)
    return (time.perf_counter() - started) / count


def rest_pictures(bench: Bench) -> list[Row]:
    """Pictures of slices, another one each time."""
    path = bench.folder / "rest.nrrd"
    data.write_nrrd(path, bench.voxels)
    bench.slicer.load(path)
    servers = _Servers(bench)
    script = bench.folder / "slices.lua"
    script.write_text(_LUA, "utf-8")
    loop = bench.slicer.function(_render_loop)
    times = bench.interleave(
        "rest_pictures",
        {
            "ours": _wrk(servers.url, PICTURE_CONNECTIONS, script),
            "loop": lambda: loop(PICTURES, FIRST, LAST - FIRST, False),
            "loop, encoded": lambda: loop(PICTURES, FIRST, LAST - FIRST, True),
        },
        7,
    )
    what = f"/slicer/slice, {PICTURE_CONNECTIONS} connections"
    return [
        Row("rest_pictures", what, "render and read in a loop, nothing encoded", times["ours"], times["loop"], 1.25),
        Row("rest_pictures", what, "render, read, encode in a loop", times["ours"], times["loop, encoded"]),
    ]


def _exchange(port: int, method: str, path: str, body: Any = None) -> int:
    """Bytes of the answer, read and dropped."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": "application/octet-stream"})
        response = connection.getresponse()
        buffer, length = bytearray(_READ), 0
        while count := response.readinto(buffer):
            length += count
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status}")
        return length
    finally:
        connection.close()


def rest_volume(bench: Bench) -> list[Row]:
    """128 MiB as NRRD, both ways."""
    path = bench.folder / "volume.nrrd"
    data.write_nrrd(path, bench.voxels)
    body = path.read_bytes()
    servers = _Servers(bench, path)
    ours = "/slicer/volume?id=rest_volume"
    _exchange(servers.port, "POST", ours, body)
    times = bench.interleave(
        "rest_volume",
        {
            "out": timed(lambda: _exchange(servers.port, "GET", ours)),
            "file": timed(lambda: _exchange(servers.bare_port, "GET", "/file")),
            "in": timed(lambda: _exchange(servers.port, "POST", ours, body)),
            "drain": timed(lambda: _exchange(servers.bare_port, "POST", "/drain", body)),
        },
        9,
    )
    return [
        Row("rest_volume", "/slicer/volume, out", "FileResponse of bare Starlette", times["out"], times["file"], 2.0),
        Row(
            "rest_volume", "/slicer/volume, in, shown", "a body drained by bare Starlette",
            times["in"], times["drain"], 2.0,
        ),
    ]  # fmt: skip
