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
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Locator, Page, expect

__all__ = ["CHROMIUM", "CHROMIUM_ARGUMENTS", "Lab", "Notebook", "decoded"]

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
#: Milliseconds for one cell: the slowest starts a Slicer.
CELL_TIMEOUT = 90_000


class Lab:
    """JupyterLab on a free port of this machine, with a token, a home folder and settings of its own.

    Args:
        home: its home folder.
        root: the folder that it shows.
        theme: name of the theme.
        environment: further environment variables, for its kernels.
    """

    def __init__(self, home: Path, root: Path, *, theme: str = "JupyterLab Light", environment: dict[str, str]) -> None:
        self._home = home
        self._root = root
        self._theme = theme
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
            *(f"--IdentityProvider.token={self._token}", f"--ServerApp.root_dir={self._root}"),
            "--LabApp.news_url=",
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

    @property
    def runtime(self) -> Path:
        """Where its kernels' connection files are."""
        return self._home / "runtime"


class Notebook:
    """A notebook in JupyterLab, opened in a page.

    Args:
        page: the browser's page.
        lab: the server.
        path: of the notebook, below the server's root.
    """

    def __init__(self, page: Page, lab: Lab, path: str) -> None:
        self.page = page
        page.goto(lab.url(f"lab/tree/{path}"), timeout=START_TIMEOUT * 1000)
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        # What is run before the kernel is there is not run at all; the status bar knows the kernel's own word.
        expect(page.locator("#jp-main-statusbar").get_by_text(re.compile(r"\| Idle$"))).to_be_visible(
            timeout=START_TIMEOUT * 1000
        )

    def cell(self, text: str) -> Locator:
        """The code cell whose source contains ``text``."""
        return (
            self.panel.locator(".jp-CodeCell")
            .filter(has=self.page.locator(".jp-InputArea-editor").filter(has_text=text))
            .first
        )

    def run(self, text: str) -> Locator:
        """Select the cell with ``text``, click the toolbar's run button, wait until it has run; its output area.

        Raises:
            AssertionError: it did not end in time, or raised.
        """
        cell = self.cell(text)
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputPrompt").click()
        self.panel.locator(".jp-NotebookPanel-toolbar [data-command='notebook:run-cell-and-select-next']").click()
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=CELL_TIMEOUT)
        output = cell.locator(".jp-OutputArea").first
        errors = output.locator("[data-mime-type='application/vnd.jupyter.error'], [data-mime-type$='stderr']")
        assert errors.count() == 0, errors.first.inner_text()
        return output

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
        self.page.keyboard.press("Control+s")
        expect(self.page.locator(".jp-NotebookPanel .jp-mod-dirty")).to_have_count(0)


def decoded(png: bytes) -> npt.NDArray[np.uint8]:
    """A PNG as uint8 [height, width, 3]."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
