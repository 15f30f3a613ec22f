"""What may get into a notebook's file."""

from __future__ import annotations

import pytest

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.privacy import ENVIRONMENT, checked


def test_an_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(None) == "normal"
    monkeypatch.setenv(ENVIRONMENT, "strict")
    assert checked(None) == "strict"
    assert checked("normal") == "normal"


def test_what_is_neither_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="privacy says"):
        checked("Strict")
    monkeypatch.setenv(ENVIRONMENT, "on")
    with pytest.raises(ArgumentError, match=ENVIRONMENT):
        checked(None)
