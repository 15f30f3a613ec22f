"""The docs' table and the tests agree."""

from __future__ import annotations

from collections import Counter

import slicer_notebook.errors

from .table import DOCUMENT, entries, render


def test_the_table_is_what_the_tests_say() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(entries()), (
        "run: python -m tests.host.headless.script_repository.table"
    )


def test_at_least_sixty_snippets_work() -> None:
    assert sum(entry.snippet.refused is None for entry in entries()) >= 60


def test_each_snippet_is_there_once() -> None:
    counts = Counter((entry.snippet.section, entry.snippet.title) for entry in entries())
    assert [name for name, count in counts.items() if count > 1] == []


def test_refusals_are_errors_of_the_library() -> None:
    refused = {entry.snippet.refused for entry in entries()} - {None}
    assert refused == {"QtAttributeError", "QtImportError", "QtRequiredError"}
    assert all(hasattr(slicer_notebook.errors, str(name)) for name in refused)


def test_every_test_stands_for_a_snippet() -> None:
    from .table import _FOLDER

    for path in _FOLDER.glob("test_*.py"):
        if path.name != "test_table.py":
            text = path.read_text(encoding="utf-8")
            assert text.count("\ndef test_") == text.count("\n@snippet("), path.name
