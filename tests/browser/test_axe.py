"""The check of accessibility finds what is wrong, and nothing in what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser import axe as axe_core

Axe = Callable[[Page, str], list[str]]


def test_what_is_wrong_is_found_in_the_root_alone(page: Page, axe: Axe) -> None:
    page.set_content(
        """<div class=good><label>Name <input></label><button>Load</button></div>
        <div class=bad><input style="height: 30px"><p style="color: #999; background: #fff">pale</p></div>"""
    )
    assert axe(page, ".good") == []
    found = axe(page, ".bad")
    assert len(found) == 2
    assert found[0].startswith("color-contrast")
    assert found[1].startswith("label")


def test_without_an_element_there_is_nothing_to_praise(page: Page, axe: Axe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(axe_core, "_VISIBLE", 500)
    page.set_content("<div class=hidden style='display: none'><button>Load</button></div>")
    for selector in (".missing", ".hidden"):
        with pytest.raises(AssertionError, match=r"nothing in \.\w+ is visible"):
            axe(page, selector)


def test_another_package_than_the_pinned_one_is_refused_and_forgotten(tmp_path: Path) -> None:
    package = tmp_path / f"axe-core-{axe_core.AXE_VERSION}.tgz"
    package.write_bytes(b"another")
    with pytest.raises(ValueError, match="is expected"):
        axe_core.axe_source(tmp_path)
    assert not package.exists()
