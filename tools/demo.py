"""The demo notebook: executed without a browser, or opened in JupyterLab.

``python -m tools.demo run`` executes it, writes build/01_first_look.html, and exits 0 when no cell failed.
``python -m tools.demo open`` does the same where something changed, then opens JupyterLab on the notebook.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

from tools.bootstrap import LOCKS, digest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "01_first_look.ipynb"
BUILD = ROOT / "build"
KEY = BUILD / f"{NOTEBOOK.stem}.key"
#: Seconds one cell may take: the slowest starts Slicer or indexes the study, a few seconds each on two cores.
CELL_TIMEOUT_S = 300


def key() -> str:
    """A hash of what the executed notebook was made from: itself, the package, the locked versions."""
    package = (
        path for path in (ROOT / "slicer_notebook").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return digest([NOTEBOOK, *sorted(package), *LOCKS.values()])


def executed() -> bool:
    """Whether the notebook has run, without a failure, on what is here now."""
    return (BUILD / f"{NOTEBOOK.stem}.html").is_file() and KEY.is_file() and KEY.read_text(encoding="utf-8") == key()


def headline(source: str) -> str:
    """The first line of a cell that says something, shortened for a progress line."""
    for line in source.splitlines():
        if line.strip():
            return line.strip()[:80]
    return ""


def write_html(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write the executed notebook as one HTML file with its pictures inside.

    A widget needs a kernel and JavaScript from elsewhere; a page has neither, so its static picture is taken.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if len({"text/html", "image/png"} & data.keys()) > 0:
                data.pop("application/vnd.jupyter.widget-view+json", None)
    notebook.metadata.pop("widgets", None)
    exporter = HTMLExporter(embed_images=True)
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    path.write_text(body, encoding="utf-8")


def run() -> int:
    """Execute the notebook in a kernel of this Python; the exit code is 1 when a cell failed."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    total = sum(cell.cell_type == "code" for cell in notebook.cells)
    number = 0
    start = time.monotonic()

    def on_start(cell: nbformat.NotebookNode, cell_index: int) -> None:  # noqa: ARG001  (nbclient passes it by name)
        nonlocal number
        if cell.cell_type == "code":
            number += 1
            print(
                f"[demo] cell {number} of {total} ({time.monotonic() - start:.0f} s): {headline(cell.source)}",
                flush=True,
            )

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        on_cell_start=on_start,
    )
    BUILD.mkdir(exist_ok=True)
    KEY.unlink(missing_ok=True)
    result = BUILD / f"{NOTEBOOK.stem}.html"
    try:
        client.execute()
    except CellExecutionError as error:
        write_html(notebook, result)
        print(f"\n{error}\n[demo] a cell failed; what ran until then is in {result.relative_to(ROOT)}", file=sys.stderr)
        return 1
    write_html(notebook, result)
    KEY.write_text(key(), encoding="utf-8")
    print(f"[demo] {total} cells in {time.monotonic() - start:.0f} s -> {result.relative_to(ROOT)}")
    return 0


def quiet_lab() -> None:
    """Have this environment's JupyterLab open without asking about news, and without asking the network for any."""
    overrides = Path(sys.prefix) / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    settings = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    overrides.write_text(json.dumps(settings) + "\n", encoding="utf-8")


def open_lab() -> int:
    """Become JupyterLab, opened on the notebook; it prints its URL with the token and opens a browser if it can."""
    print("[demo] JupyterLab starts; Ctrl-C twice ends it", flush=True)
    quiet_lab()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--log-level=WARN"),
        f"--ServerApp.root_dir={ROOT}",
        # In the default URL, not as an argument: so the URL that is printed leads to the notebook, too.
        f"--LabApp.default_url=/lab/tree/{NOTEBOOK.relative_to(ROOT)}",
    ]
    if os.geteuid() == 0:
        command.append("--allow-root")
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or os.geteuid() == 0:
        command.append("--no-browser")
    os.execv(command[0], command)


def main(arguments: list[str]) -> int:
    """``run`` or ``open``; anything else is refused with exit code 2."""
    if arguments not in (["run"], ["open"]):
        print(f"DEMO is 'run' or 'open', not {' '.join(arguments)!r}", file=sys.stderr)
        return 2
    if not NOTEBOOK.is_file():
        print(f"There is no {NOTEBOOK.relative_to(ROOT)}", file=sys.stderr)
        return 1
    if arguments == ["run"]:
        return run()
    return (0 if executed() else run()) or open_lab()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
