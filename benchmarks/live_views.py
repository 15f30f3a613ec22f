"""Benchmarks of live views: frames in a real browser beside a bare render loop, and how long they take to come."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, sync_playwright

from benchmarks.measure import Row
from tests.browser.lab import CHROMIUM, CHROMIUM_ARGUMENTS, Lab, Notebook, write_notebook

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["live_views"]

#: Edge of the view, pixels.
EDGE = 512
#: Seconds of scrolling, and how many single slices are waited for.
SECONDS, SINGLE = 5.0, 100
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
#: In the page: scrolls as fast as a wheel can turn for so many seconds; gives how many frames were drawn, and when.
_SCROLL = """async ([seconds]) => {
    const canvas = document.querySelector(".sn-live-canvas");
    const box = canvas.getBoundingClientRect();
    const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true, cancelable: true };
    const frames = [];
    const drawn = (event) => frames.push([performance.now() / 1000, event.detail.lossless]);
    canvas.addEventListener("sn-frame", drawn);
    let turns = 0;
    const timer = setInterval(() => {
        // To and fro within the volume.
        const deltaY = Math.floor(turns++ / 60) % 2 ? 100 : -100;
        canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY }));
    }, 5);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    clearInterval(timer);
    canvas.removeEventListener("sn-frame", drawn);
    return frames;
}"""
#: In the page: single turns of the wheel, each when the picture of the one before has come; seconds of each.
_SINGLE = """async ([count]) => {
    const canvas = document.querySelector(".sn-live-canvas");
    const box = canvas.getBoundingClientRect();
    const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true, cancelable: true };
    const found = [];
    for (let turn = 0; turn < count; turn++) {
        const before = Number(canvas.dataset.input);
        await new Promise((resolve) => setTimeout(resolve, 40));
        const began = performance.now();
        canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: turn % 20 < 10 ? 100 : -100 }));
        await new Promise((resolve, reject) => {
            const late = setTimeout(() => reject(new Error("no frame in 5 s")), 5000);
            const drawn = (event) => {
                if (event.detail.input <= before) return;
                clearTimeout(late);
                canvas.removeEventListener("sn-frame", drawn);
                resolve();
            };
            canvas.addEventListener("sn-frame", drawn);
        });
        found.push((performance.now() - began) / 1000);
    }
    return found;
}"""


def live_views(bench: Bench) -> list[Row]:
    """Scrolling through slices of 512 x 512 in JupyterLab, beside a loop that only draws; round by round."""
    if not Path(CHROMIUM).exists():
        print("[bench] live views: left out, there is no Chromium (apt-get install chromium)", file=sys.stderr)
        return []
    home, work = bench.folder / "live-home", bench.folder / "live-work"
    home.mkdir()
    work.mkdir()
    count = bench.rounds(3)
    found: list[dict[str, float]] = []
    environment = {"SLICER_NOTEBOOK_DATA": str(bench.folder / "live-data"), "IPYTHONDIR": str(home / "ipython")}
    with Lab(home, work, environment=environment) as lab, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        for number in range(count):
            bench.say("live views", number, count)
            found.append({**_bare(), **_live(browser, lab)})
        bench.say("live views", count, count)
        browser.close()

    def row(what: str, ours: str, peer: str, theirs: str, at_most: float | None) -> Row:
        return Row("live views", what, peer, [one[ours] for one in found], [one[theirs] for one in found], at_most, "s")

    for one in found:
        one["limit"] = one["bare"] + BEYOND
        one["limit of the slowest"] = SLOWEST * one["latency"]
    return [
        row("scrolling at 512 x 512: a frame in the browser", "frame", "a bare loop's", "bare", 1 / FRAMES),
        row("from the event to its frame, median", "latency", "drawing + 15 ms", "limit", 1.0),
        row("from the event to its frame, 99 of 100", "slowest", "3 x the median", "limit of the slowest", 1.0),
    ]


def _bare() -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", _BARE, str(SECONDS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=120)
    seconds = json.loads(done.stdout.splitlines()[-1])
    return {"bare": statistics.fmean(seconds)}


def _live(browser: Browser, lab: Lab) -> dict[str, float]:
    path = write_notebook(
        lab,
        "live.ipynb",
        f"import slicer_notebook as sn\nslicer = sn.launch()\n{_VOLUME}\n"
        "volume = slicer.add_volume(voxels, affine, 'phantom')",
        # Its border is not the picture's.
        f"slicer.view('Red').show(width={EDGE + 2}, height={EDGE + 2})",
    )
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=1)
    page = context.new_page()
    notebook = Notebook(page, lab, path)
    try:
        notebook.run("sn.launch()")
        notebook.run("show(")
        page.wait_for_selector(f".sn-live-canvas[data-lossless=true][data-size='{EDGE}x{EDGE}']", timeout=20_000)
        page.evaluate(_SCROLL, [1.0])
        page.wait_for_timeout(1000)
        frames: list[Any] = page.evaluate(_SCROLL, [SECONDS])
        page.wait_for_timeout(1000)
        single = sorted(page.evaluate(_SINGLE, [SINGLE]))
    finally:
        notebook.shut_down()
        context.close()
    return {
        "frame": (frames[-1][0] - frames[0][0]) / (len(frames) - 1),
        "latency": statistics.median(single),
        "slowest": single[int(0.99 * len(single))],
    }
