"""Benchmarks of the study picker in a real JupyterLab, measured in the browser's page."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, CDPSession, Locator, Page, expect, sync_playwright

from benchmarks import dicom_files
from benchmarks.measure import Row
from slicer_notebook.dicom import Index
from tests.browser.catalogue import write_index
from tests.browser.lab import CHROMIUM, CHROMIUM_ARGUMENTS, Lab, Notebook, write_notebook

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["picker"]

STUDIES = 100_000
SERIES = 200
#: The study of them: `dicom_files.write_series`.
STUDY = "1.2.826.0.1.3680043.10.512.100002"
#: What is typed, letter by letter: names in two scripts, two words, a number, a day, nothing that is there.
TYPED = ("muller ct", "иванова", "thorax 2019", "acc79", "2021-11", "xyz")
#: Targets: seconds until 100,000 studies are listed and can be searched; from a key to the frame with the list; until
#: a screenful of thumbnails is there, drawn and kept; of a frame while scrolling. MB of the notebook's kernel and page.
OPEN, KEY, COLD, WARM, FRAME, MEMORY = 1.0, 0.050, 1.0, 0.100, 1 / 50, 200.0
#: Milliseconds for a step to come about.
PATIENCE = 60_000

#: `window.measure`.
_SCRIPT = Path(__file__).with_name("picker.js")
_SCROLL = "(node, [step, frames]) => measure.scroll(node, step, frames)"


class Round:
    """What one round found: seconds and MB by name."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self.screenful = 0


def picker(bench: Bench) -> list[Row]:
    """100,000 studies and 200 series; each round is a new kernel with a new Slicer, and a new page."""
    if not Path(CHROMIUM).exists():
        print("[bench] picker: left out, there is no Chromium (apt-get install chromium)", file=sys.stderr)
        return []
    studies = bench.folder / "picker100k.sqlite3"
    write_index(studies, STUDIES)
    files = bench.folder / "picker"
    dicom_files.write_series(files / "few", 5)
    dicom_files.write_series(files / "many", SERIES, to_a_study=SERIES, first=2)
    series = bench.folder / "picker200.sqlite3"
    index = Index(series)
    index.add(files)
    index.close()
    home, work = bench.folder / "lab-home", bench.folder / "lab-work"
    home.mkdir()
    work.mkdir()
    count = bench.rounds(5)
    rounds: list[Round] = []
    environment = {"SLICER_NOTEBOOK_DATA": str(bench.folder / "lab-data"), "IPYTHONDIR": str(home / "ipython")}
    with Lab(home, work, environment=environment) as lab, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=[*CHROMIUM_ARGUMENTS, "--enable-precise-memory-info"]
        )
        # The first one does not count: it fills caches of files, of the server and of Python.
        for number in range(count + 1):
            bench.say("picker", number, count + 1)
            one = Round()
            _many_studies(browser, lab, studies, one)
            _many_series(browser, lab, series, one)
            rounds.append(one)
        bench.say("picker", count + 1, count + 1)
        browser.close()
    return _rows(rounds[1:])


def _rows(rounds: list[Round]) -> list[Row]:
    def row(what: str, name: str, peer: str, limit: float, at_most: float | None = 1.0) -> Row:
        values = [each.found[name] for each in rounds]
        unit = "MB" if limit == MEMORY else "s"
        return Row("picker", what, peer, values, [limit] * len(values), at_most, unit)

    def before(what: str, name: str) -> Row:
        after, former = [each.found[name] for each in rounds], [each.found[f"{name} before"] for each in rounds]
        return Row("picker", what, "before the cell with the picker", after, former, None, "MB")

    screen = f"thumbnails of the {rounds[-1].screenful} series in view, of {SERIES}"
    return [
        row(f"{STUDIES} studies: from the run of the cell to the first", "first", "1 s", OPEN),
        row(f"{STUDIES} studies: to all, listed and searched", "open", "1 s", OPEN),
        row("from a key to the list repainted, median", "key", "50 ms", KEY),
        row("from a key to the list repainted, worst", "worst key", "50 ms", KEY),
        row("memory of the notebook's kernel (RSS)", "kernel", "200 MB", MEMORY),
        before("memory of the notebook's kernel (RSS)", "kernel"),
        row("JavaScript heap of the page", "page", "200 MB", MEMORY),
        before("JavaScript heap of the page", "page"),
        row(f"scrolling {STUDIES} studies: a frame", "table frame", "1/50 s", FRAME),
        row(f"{screen}: first time", "cold", "1 s", COLD),
        row(f"{screen}: again", "warm", "100 ms", WARM),
        row(f"scrolling {SERIES} series: a frame", "frame", "1/50 s", FRAME),
        row(f"scrolling {SERIES} series: a frame, of the browser's own trace", "traced frame", "1/50 s", FRAME),
        row(f"scrolling {SERIES} series: the longest frame", "worst frame", "1/50 s", FRAME, None),
    ]


@contextmanager
def _notebook(browser: Browser, lab: Lab, index: Path) -> Iterator[Notebook]:
    path = write_notebook(
        lab,
        "picker.ipynb",
        f"import slicer_notebook as sn\nslicer = sn.launch()\nslicer.dicom.database = {str(index)!r}",
        "sn.StudyPicker(slicer)",
    )
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=1)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    notebook = Notebook(page, lab, path)
    page.evaluate(_SCRIPT.read_text("utf-8"))
    notebook.run("sn.launch()")
    yield notebook
    notebook.shut_down()
    context.close()


def _choose_cell(notebook: Notebook) -> None:
    cell = notebook.cell("sn.StudyPicker")
    cell.scroll_into_view_if_needed()
    cell.locator(".jp-InputPrompt").click()


def _many_studies(browser: Browser, lab: Lab, index: Path, one: Round) -> None:
    with _notebook(browser, lab, index) as notebook:
        page = notebook.page
        kernel = int(notebook.value("import os; print(os.getpid())"))
        cdp = page.context.new_cdp_session(page)
        one.found["kernel before"], one.found["page before"] = _resident(kernel), _heap(cdp)
        _choose_cell(notebook)
        first, whole = page.evaluate("(whole) => measure.open(whole)", f"{STUDIES:,} studies")
        one.found["first"], one.found["open"] = first / 1000, whole / 1000
        root = notebook.panel.locator(".sn-picker")
        expect(root.locator(".sn-card").first).to_be_visible(timeout=PATIENCE)
        notebook.scroll_to(root)
        times = _typed(page, root)
        one.found["key"], one.found["worst key"] = statistics.median(times), max(times)
        one.found["table frame"] = statistics.mean(root.locator(".sn-table").evaluate(_SCROLL, [120, 120])) / 1000
        one.found["kernel"], one.found["page"] = _resident(kernel), _heap(cdp)


def _typed(page: Page, root: Locator) -> list[float]:
    """Seconds of each key."""
    search = root.get_by_role("searchbox")
    search.evaluate("(node) => measure.watchKeys(node)")
    expected = 0
    for text in TYPED:
        # Taking the former words away is an event, too; "" in place of "" is none.
        expected += bool(expected)
        search.fill("")
        search.focus()
        for letter in text:
            page.keyboard.type(letter)
            expected += 1
            page.wait_for_function("(count) => window.measure.keys.length >= count", arg=expected)
    found: list[float] = page.evaluate("window.measure.keys")
    return [milliseconds / 1000 for milliseconds in found]


def _many_series(browser: Browser, lab: Lab, index: Path, one: Round) -> None:
    for kept in index.parent.glob(f"{index.stem}.thumbnails.sqlite3*"):
        kept.unlink()
    with _notebook(browser, lab, index) as notebook:
        for name in ("cold", "warm"):
            root = _shown(notebook)
            milliseconds, one.screenful = root.evaluate("(node, uid) => measure.screenful(node, uid)", STUDY)
            one.found[name] = milliseconds / 1000
        pane = root.locator(".sn-series")
        frames = pane.evaluate(_SCROLL, [40, 240])
        one.found["frame"], one.found["worst frame"] = statistics.mean(frames) / 1000, max(frames) / 1000
        pane.evaluate("node => node.scrollTop = 0")
        categories = ["disabled-by-default-devtools.timeline.frame", "devtools.timeline.frame", "devtools.timeline"]
        browser.start_tracing(page=notebook.page, categories=categories)
        pane.evaluate(_SCROLL, [40, 240])
        one.found["traced frame"] = _traced(browser.stop_tracing())


def _shown(notebook: Notebook) -> Locator:
    """A new picker with the series of its first study."""
    root = notebook.run("sn.StudyPicker").locator(".sn-picker")
    expect(root.locator(".sn-card").first).to_be_visible(timeout=PATIENCE)
    notebook.scroll_to(root)
    return root


def _traced(trace: bytes) -> float:
    """Seconds from one drawn frame to the next, on the average, as Chromium's compositor recorded them."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    drawn = sorted(event["ts"] for event in events if event["name"] == "DrawFrame")
    if len(drawn) < 2:
        raise RuntimeError("the trace has no frames")
    return float(drawn[-1] - drawn[0]) / 1e6 / (len(drawn) - 1)


def _resident(process: int) -> float:
    """MB of a process in memory, shared pages too (proc(5), statm)."""
    pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _heap(cdp: CDPSession) -> float:
    """MB of JavaScript's objects in the page, after a collection."""
    cdp.send("HeapProfiler.collectGarbage")
    return float(cdp.send("Runtime.getHeapUsage")["usedSize"]) / 1e6
