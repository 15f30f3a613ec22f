"""Benchmarks of live views: frames in a real browser beside a bare render loop, and how long they take to come."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import live_peers
from benchmarks.measure import Row
from tests.browser.lab import CHROMIUM, CHROMIUM_ARGUMENTS, Lab, Notebook, write_notebook

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["live_views"]

#: Edge of the view, pixels.
EDGE = 512
#: Seconds of scrolling, and how many single slices are waited for.
SECONDS, SINGLE = 5.0, 100
#: Milliseconds after a picture before the next single turn: then none comes any more for the one before.
PAUSE = 300
#: What is measured in the page.
_SCRIPT = Path(__file__).with_name("live_views.js").read_text(encoding="utf-8")
#: Targets: frames of a bare loop; seconds from an event to its frame, beyond drawing it; the slowest hundredth of
#: them, of the median.
FRAMES, BEYOND, SLOWEST = 0.9, 0.015, 3.0

#: Makes the volume: a CT's size and kind of values, smooth with noise.
_VOLUME = """
import numpy as np
k, j, i = np.mgrid[:160, :512, :512].astype(np.float32)
ball = 1000 * np.exp(-(((i - 256) / 120) ** 2 + ((j - 256) / 160) ** 2 + ((k - 80) / 50) ** 2))
voxels = (ball + np.random.default_rng(1).normal(0, 20, ball.shape)).astype(np.int16)
affine = np.diag([0.7, 0.7, 2.0, 1.0])
"""
#: A loop that does nothing but go to the next slice and draw it. Prints the seconds of each.
_BARE = f"""
import json, sys, time
from slicer_notebook.host.headless import start
host = start()
{_VOLUME}
node = host.add_volume(voxels, affine, "phantom")
host.show_volume(node)
view = host.view("Red")
view.size = ({EDGE}, {EDGE})
low, high = view.offset_range
step = view.offset_step
seconds = []
end = time.perf_counter() + float(sys.argv[1])
down = True
while time.perf_counter() < end:
    began = time.perf_counter()
    offset = view.offset - step if down else view.offset + step
    if not low < offset < high:
        down = not down
        continue
    view.offset = offset
    view.image()
    seconds.append(time.perf_counter() - began)
print(json.dumps(seconds[20:]))
"""


class _Measured(NamedTuple):
    """Seconds: from one picture to the next while the wheel turns fast; from one turn to its picture."""

    frame: float
    latency: float
    slowest: float


def live_views(bench: Bench) -> list[Row]:
    """Scrolling through slices of 512 x 512 in JupyterLab, beside a loop that only draws, and peers; round by round."""
    if not Path(CHROMIUM).exists():
        print("[bench] live views: left out, there is no Chromium (apt-get install chromium)", file=sys.stderr)
        return []
    volume = bench.folder / "live.nrrd"
    _write(volume)
    count = bench.rounds(3)
    bare: list[float] = []
    ours, png, trame = (list[_Measured]() for _ in range(3))
    # A kernel that is Slicer has to draw on its main thread: without subshells.
    own = _lab(bench.folder / "png", subshells=False)
    with _lab(bench.folder / "live") as lab, own as png_lab, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        for number in range(count):
            bench.say("live views", number, count)
            bare.append(_bare())
            ours.append(_live(browser, lab))
            png.append(_png(browser, png_lab))
            trame.append(_trame(browser, volume))
        bench.say("live views", count, count)
        browser.close()

    def row(what: str, peer: str, times: list[float], theirs: list[float], at_most: float | None) -> Row:
        return Row("live views", what, peer, times, theirs, at_most, "s")

    frames, latencies = [one.frame for one in ours], [one.latency for one in ours]
    frame, latency = "scrolling at 512 x 512: a frame in the browser", "from the event to its frame, median"
    each_png, remote = "a PNG for each event, from a kernel that is Slicer", "trame-slicer's remote view"
    return [
        row(frame, "a bare loop's", frames, bare, 1 / FRAMES),
        row(frame, each_png, frames, [one.frame for one in png], 1.0),
        row(frame, remote, frames, [one.frame for one in trame], 1.0),
        row(latency, "drawing + 15 ms", latencies, [one + BEYOND for one in bare], 1.0),
        row(latency, each_png, latencies, [one.latency for one in png], 1.0),
        row(latency, remote, latencies, [one.latency for one in trame], 1.0),
        row(
            "from the event to its frame, 99 of 100",
            "3 x the median",
            [one.slowest for one in ours],
            [SLOWEST * one for one in latencies],
            1.0,
        ),
    ]


def _lab(folder: Path, *, subshells: bool = True) -> Lab:
    home, work = folder / "home", folder / "work"
    for each in (home, work):
        each.mkdir(parents=True)
    environment = {"SLICER_NOTEBOOK_DATA": str(folder / "data"), "IPYTHONDIR": str(home / "ipython")}
    return Lab(home, work, subshells=subshells, environment=environment)


def _write(path: Path) -> None:
    """The volume, as a file."""
    import SimpleITK

    made: dict[str, Any] = {}
    exec(_VOLUME, made)
    image = SimpleITK.GetImageFromArray(made["voxels"])
    # From RAS to LPS.
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    image.SetSpacing(made["affine"].diagonal()[:3].tolist())
    SimpleITK.WriteImage(image, str(path))


def _bare() -> float:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", _BARE, str(SECONDS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=120)
    seconds = json.loads(done.stdout.splitlines()[-1])
    return statistics.fmean(seconds)


def _live(browser: Browser, lab: Lab) -> _Measured:
    cells = (
        f"import slicer_notebook as sn\nslicer = sn.launch()\n{_VOLUME}\n"
        "volume = slicer.add_volume(voxels, affine, 'phantom')",
        # Its border is not the picture's.
        f"slicer.view('Red').show(width={EDGE + 2}, height={EDGE + 2})",
    )
    ready = f".sn-live-canvas[data-size='{EDGE}x{EDGE}']"
    return _in_notebook(browser, lab, cells, ready, "sn-frame")


def _png(browser: Browser, lab: Lab) -> _Measured:
    cells = live_peers.png_cells(_VOLUME, EDGE)
    return _in_notebook(browser, lab, cells, live_peers.PNG_VIEW, "load")


def _trame(browser: Browser, volume: Path) -> _Measured:
    with live_peers.trame(volume, EDGE) as address, _page(browser) as page:
        page.goto(address)
        page.wait_for_selector(live_peers.TRAME_VIEW, timeout=20_000)
        return _measure(page, live_peers.TRAME_VIEW, "load")


def _in_notebook(browser: Browser, lab: Lab, cells: tuple[str, str], ready: str, pictures: str) -> _Measured:
    """Measure what the second of two cells shows: `ready` finds it when it has its picture."""
    with _page(browser) as page:
        notebook = Notebook(page, lab, write_notebook(lab, "live.ipynb", *cells))
        try:
            for cell in cells:
                notebook.run(cell.strip().partition("\n")[0])
            page.wait_for_selector(ready, timeout=20_000)
            return _measure(page, ready, pictures)
        finally:
            notebook.shut_down()


@contextmanager
def _page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=1)
    try:
        yield context.new_page()
    finally:
        context.close()


def _measure(page: Page, element: str, pictures: str) -> _Measured:
    def ask(what: str, **args: object) -> list[float]:
        found: list[float] = page.evaluate(
            f"(args) => ({_SCRIPT}).{what}(args)", {"element": element, "pictures": pictures, **args}
        )
        return found

    ask("scroll", seconds=1)
    page.wait_for_timeout(1000)
    frames = ask("scroll", seconds=SECONDS)
    page.wait_for_timeout(1000)
    single = sorted(ask("single", count=SINGLE, pause=PAUSE))
    return _Measured(
        frame=(frames[-1] - frames[0]) / (len(frames) - 1),
        latency=statistics.median(single),
        slowest=single[int(0.99 * len(single))],
    )
