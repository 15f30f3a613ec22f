"""The bar of a call that waits."""

from __future__ import annotations

import contextvars
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from slicer_notebook.session import progress
from slicer_notebook.session.job import Job


def test_the_bar_is_in_the_cell_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress comes on another thread, for which ipykernel takes the newest message's cell."""
    cell = contextvars.ContextVar("cell", default="the newest message's")
    seen: list[tuple[str, str]] = []

    def display(page: Any, **_options: Any) -> Any:
        seen.append((cell.get(), page.data))
        return SimpleNamespace(update=display)

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress, "_AFTER", 0.0)
    job: Job[None] = Job("code.run", cancel=lambda: None)
    cell.set("this cell")
    with progress.shown(job):
        thread = threading.Thread(target=job.deliver_progress, args=(0.5, "half of it", None))
        thread.start()
        thread.join(20)
    assert [where for where, _page in seen] == ["this cell", "this cell"]
    assert "half of it" in seen[0][1]
    assert seen[1][1] == ""
