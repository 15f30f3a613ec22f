"""The table of the script repository's snippets in the docs, made from the tests that stand for them.

    python -m tests.host.headless.script_repository.table

writes ``docs/script_repository.md``; ``test_table.py`` checks that it is up to date.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .snippets import Snippet

__all__ = ["DOCUMENT", "Entry", "entries", "render"]

_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parents[3]
_PAGE = "https://slicer.readthedocs.io/en/latest/developer_guide/script_repository.html"
DOCUMENT = _ROOT / "docs" / "script_repository.md"


@dataclass(frozen=True)
class Entry:
    """A snippet and the test that stands for it (a pytest node id)."""

    snippet: Snippet
    test: str


def entries() -> list[Entry]:
    """All snippets, in the order of files and of tests in them."""
    return [entry for path in sorted(_FOLDER.glob("test_*.py")) if path.name != "test_table.py" for entry in _of(path)]


def _of(path: Path) -> Iterator[Entry]:
    name = f"tests.host.headless.script_repository.{path.stem}"
    module: Any = sys.modules.get(name) or importlib.import_module(name)
    for function in vars(module).values():
        found = getattr(function, "snippet", None)
        if isinstance(found, Snippet):
            yield Entry(found, f"{path.relative_to(_ROOT).as_posix()}::{function.__name__}")


def render(found: list[Entry]) -> str:
    """The document's text."""
    works = sum(entry.snippet.refused is None for entry in found)
    lines = [
        "# Slicer's script repository on the headless Slicer",
        "",
        f"The [script repository]({_PAGE})",
        "is the page of examples in Slicer's developer guide. Each row below is a snippet of that page and a test",
        "that does what it does, on the same calls, with `import slicer` in the headless Slicer. *works*: the test",
        "checks the result. *refused*: the snippet needs Qt, and the test checks that it ends in the error named,",
        "which says so (the classes are in `slicer_notebook.errors`).",
        "",
        f"**{works} work, {len(found) - works} are refused.**",
        "",
        "This file is made by `python -m tests.host.headless.script_repository.table`; a test compares the two.",
    ]
    section = None
    for entry in sorted(found, key=lambda each: _SECTIONS.index(each.snippet.section)):
        if entry.snippet.section != section:
            section = entry.snippet.section
            lines += ["", f"## {section}", "", "| Snippet | Result | Test |", "|---|---|---|"]
        refused = entry.snippet.refused
        result = "works" if refused is None else f"refused: `{refused}`"
        title = entry.snippet.title.replace("|", "\\|")
        file, _, test = entry.test.rpartition("/")[2].partition("::")
        lines.append(f"| {title} | {result} | `{file}::{test}` |")
    return "\n".join(lines) + "\n"


#: Sections in the page's order.
_SECTIONS = (
    "MRML scene",
    "Module selection",
    "Views",
    "Access VTK rendering classes",
    "Keyboard shortcuts and mouse gestures",
    "Launch external applications",
    "Manage extensions",
    "Batch processing",
    "DICOM",
    "Markups",
    "Models",
    "Plots",
    "Registration",
    "Screen Capture",
    "Segmentations",
    "Sequences",
    "Subject hierarchy",
    "Tractography",
    "Transforms",
    "Volumes",
)


if __name__ == "__main__":
    DOCUMENT.write_text(render(entries()), encoding="utf-8")
