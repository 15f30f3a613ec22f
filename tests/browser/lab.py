"""A real JupyterLab for the tests, and a person in front of it: what is clicked, typed and waited for."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import nbformat
import numpy as np
import numpy.typing as npt
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from playwright.sync_api import Locator, Page, expect

__all__ = [
    "CELL_TIMEOUT",
    "CHROMIUM",
    "CHROMIUM_ARGUMENTS",
    "SHORT",
    "Lab",
    "Notebook",
    "decoded",
    "picture_of",
    "theme",
    "write_notebook",
]

#: Debian's; Playwright's own is not downloaded.
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
#: As root in a container it needs no sandbox; and it is to speak with nobody but our server.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
#: Seconds for JupyterLab to listen, and for it to draw a notebook: 4 s on a quiet machine.
START_TIMEOUT = 60.0
#: Milliseconds for what takes a moment.
SHORT = 20_000
#: Milliseconds for one cell: the slowest starts a Slicer.
CELL_TIMEOUT = 90_000


class Lab:
    """JupyterLab on a free port of this machine, with a token, a home folder and settings of its own.

    Args:
        home: its home folder.
        root: the folder that it shows.
        theme: name of the theme.
        subshells: what the browser says to widgets is heard while a cell runs (JupyterLab's default from 4.4 on, with
            ipykernel 7); else after its end, as before.
        widget_state: "Save Widget State Automatically" is on: what widgets share with the browser is saved, too.
        environment: further environment variables, for its kernels.
    """

    def __init__(
        self,
        home: Path,
        root: Path,
        *,
        theme: str = "JupyterLab Light",
        subshells: bool = True,
        widget_state: bool = False,
        environment: dict[str, str],
    ) -> None:
        self._home = home
        self.root = root
        self._theme = theme
        self._subshells = subshells
        self._widget_state = widget_state
        self._environment = environment
        self._token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = home / "jupyterlab.log"

    def _write_settings(self) -> Path:
        folder = self._home / "settings"
        extension = folder / "@jupyterlab" / "apputils-extension"
        extension.mkdir(parents=True, exist_ok=True)
        (extension / "notification.jupyterlab-settings").write_text(
            json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8"
        )
        (extension / "themes.jupyterlab-settings").write_text(json.dumps({"theme": self._theme}), encoding="utf-8")
        kernels = {"commsOverSubshells": "perCommTarget" if self._subshells else "disabled"}
        (extension / "kernels-settings.jupyterlab-settings").write_text(json.dumps(kernels), encoding="utf-8")
        manager = folder / "@jupyter-widgets" / "jupyterlab-manager"
        manager.mkdir(parents=True, exist_ok=True)
        saving = {"saveState": self._widget_state}
        (manager / "plugin.jupyterlab-settings").write_text(json.dumps(saving), encoding="utf-8")
        return folder

    def __enter__(self) -> Lab:
        environment = {
            **os.environ,
            "HOME": str(self._home),
            "JUPYTERLAB_SETTINGS_DIR": str(self._write_settings()),
            "JUPYTER_CONFIG_DIR": str(self._home / "config"),
            "JUPYTER_RUNTIME_DIR": str(self._home / "runtime"),
            "JUPYTER_DATA_DIR": str(self._home / "data"),
            **self._environment,
        }
        # The tests' own setting, that of a process without a notebook.
        environment.pop("MPLBACKEND", None)
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self._port}", "--ServerApp.port_retries=0"),
            *(f"--IdentityProvider.token={self._token}", f"--ServerApp.root_dir={self.root}"),
            "--LabApp.news_url=",
            "--LabApp.expose_app_in_browser=True",
        ]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_it_listens()
        return self

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        assert self._process is not None
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"JupyterLab ended:\n{self.log()}")
            try:
                with urllib.request.urlopen(self.url("api/status"), timeout=5):
                    return
            except OSError:
                # It does not listen yet; the process's end is what else can happen.
                try:
                    self._process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
        raise TimeoutError(f"JupyterLab does not listen after {START_TIMEOUT:.0f} s:\n{self.log()}")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def log(self) -> str:
        """What the server said last."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-4000:]

    def url(self, path: str) -> str:
        """An address of the server, with the token."""
        return f"http://127.0.0.1:{self._port}/{path}?token={self._token}"

    def end_kernels(self) -> None:
        """Shut all kernels down."""
        for kernel in json.loads(self._ask("api/kernels")):
            self._ask(f"api/kernels/{kernel['id']}", "DELETE")

    def _ask(self, path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(self.url(path), method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: bytes = answer.read()
            return content


class Notebook:
    """A notebook in JupyterLab, opened in a page.

    Args:
        page: the browser's page.
        lab: the server.
        path: of the notebook, below the server's root.
    """

    def __init__(self, page: Page, lab: Lab, path: str) -> None:
        self.page = page
        self._lab = lab
        # Without the workspace of the page before, which would open its notebooks and start their kernels again.
        page.goto(lab.url(f"lab/tree/{path}") + "&reset", timeout=START_TIMEOUT * 1000)
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext", timeout=START_TIMEOUT * 1000
        )
        # What is run before the kernel has said who it is is not run at all, and its cell looks as before.
        page.evaluate(
            """async () => {
                const panel = window.jupyterapp.shell.currentWidget;
                await panel.context.ready;
                await panel.sessionContext.ready;
                await panel.sessionContext.session.kernel.info;
            }"""
        )
        expect(page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| Idle$"))).to_be_visible(timeout=SHORT)

    def cell(self, text: str) -> Locator:
        """The code cell whose source contains ``text``."""
        return (
            self.panel.locator(".jp-CodeCell")
            .filter(has=self.page.locator(".jp-InputArea-editor").filter(has_text=text))
            .first
        )

    def start(self, text: str) -> Locator:
        """Select the cell with ``text`` and click the toolbar's run button; the cell."""
        cell = self.cell(text)
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputPrompt").click()
        self.panel.locator(".jp-NotebookPanel-toolbar [data-command='notebook:run-cell-and-select-next']").click()
        return cell

    def run(self, text: str) -> Locator:
        """`start` it and wait until it has run; its output area.

        Raises:
            AssertionError: it did not end in time, or raised.
        """
        # A cell that is run again shows its former number for a moment.
        former = self.cell(text).locator(".jp-InputPrompt").inner_text().strip() or "[ ]:"
        cell = self.start(text)
        ended = re.compile(rf"^(?!{re.escape(former)})\[\d+\]:")
        expect(cell.locator(".jp-InputPrompt")).to_have_text(ended, timeout=CELL_TIMEOUT)
        output = cell.locator(".jp-OutputArea").first
        errors = output.locator("[data-mime-type='application/vnd.jupyter.error'], [data-mime-type$='stderr']")
        assert errors.count() == 0, errors.first.inner_text()
        return output

    def run_all(self) -> None:
        """Run all cells by the menu and wait until the last one has begun, or ended."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        # By the cell before: one that waits for its turn looks like one that runs.
        self.page.wait_for_function(
            """() => {
                const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
                const before = cells.get(cells.length - 2);
                return before.executionCount !== null && before.executionState !== "running";
            }""",
            timeout=CELL_TIMEOUT,
        )

    def value(self, code: str) -> str:
        """Run code in a new cell at the notebook's end, and take the cell away; what it printed."""
        cells = self.panel.locator(".jp-CodeCell")
        before = cells.count()
        cells.last.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("b")
        expect(cells).to_have_count(before + 1)
        cells.last.locator(".cm-content").fill(code)
        cells.last.locator(".cm-content").press("Control+Enter")
        expect(cells.last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=CELL_TIMEOUT)
        printed = self.text(cells.last)
        cells.last.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("d")
        self.page.keyboard.press("d")
        expect(cells).to_have_count(before)
        return printed

    def scroll_to(self, widget: Locator) -> None:
        """Bring a cell's output into the middle of the window, for a picture of the screen."""
        widget.evaluate("node => node.scrollIntoView({block: 'center'})")
        self.page.mouse.move(0, 0)

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        """Wait until ``condition()``, looked at ten times a second while the page goes on."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not in {seconds:.0f} s: {what}")
            self.page.wait_for_timeout(100)

    def shut_down(self) -> None:
        """End the notebook's kernel, and with it the Slicer that it launched; without saving."""
        self._lab.end_kernels()

    def text(self, output: Locator) -> str:
        """What a cell put out as text."""
        return "\n".join(output.locator(".jp-OutputArea-output").all_inner_texts()).strip()

    def picture(self, output: Locator) -> npt.NDArray[np.uint8]:
        """The first PNG of a cell's output: uint8 [height, width, 3]."""
        source = output.locator("img").first.get_attribute("src")
        assert source is not None
        assert source.startswith("data:image/png;base64,")
        return decoded(base64.b64decode(source.partition(",")[2]))

    def save(self) -> None:
        """Save the notebook and wait until it is saved."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")


def waits_for(gate: Path) -> str:
    """A cell's code that runs until there is such a file."""
    return f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"


def write_notebook(lab: Lab, name: str, *cells: str, kernel: str = "python3") -> str:
    """A notebook in the server's folder; its path there."""
    notebook = new_notebook(
        cells=[new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
    )
    nbformat.write(notebook, lab.root / name)
    return name


@contextmanager
def theme(page: Page, name: str) -> Iterator[None]:
    """JupyterLab in another theme for a while."""
    change = "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: `JupyterLab ${name}`})"
    shown = "name => document.body.dataset.jpThemeName === `JupyterLab ${name}`"
    page.evaluate(change, name)
    page.wait_for_function(shown, arg=name, timeout=SHORT)
    try:
        yield
    finally:
        page.evaluate(change, "Light")
        page.wait_for_function(shown, arg="Light", timeout=SHORT)


def picture_of(image: Locator) -> npt.NDArray[np.uint8]:
    """The PNG that an <img> shows, as it came: uint8 [height, width, 3]; one black pixel while there is none."""
    data: str | None = image.evaluate(
        """async (node) => {
            if (!node.src) return null;
            const answer = await fetch(node.src).catch(() => null);
            if (!answer) return null;
            const bytes = new Uint8Array(await answer.arrayBuffer());
            let text = "";
            for (const byte of bytes) text += String.fromCharCode(byte);
            return btoa(text);
        }"""
    )
    return decoded(base64.b64decode(data)) if data else np.zeros((1, 1, 3), dtype=np.uint8)


def decoded(png: bytes) -> npt.NDArray[np.uint8]:
    """A PNG as uint8 [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
