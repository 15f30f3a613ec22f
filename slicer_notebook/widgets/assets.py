"""The widgets' JavaScript and CSS, files of this package."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

__all__ = ["css", "esm"]

_STATIC: Final = files("slicer_notebook.widgets") / "static"


def esm(name: str, *parts: str) -> str:
    """An ES module for anywidget: what all widgets share, ``parts`` that some share, then ``static/NAME.js``.

    One text, since the browser gets it as a blob, and a blob's relative imports lead nowhere.
    """
    return "\n".join(_read(f"{each}.js") for each in ("common", *parts, name))


def css(name: str, *parts: str) -> str:
    """The style sheet: what all widgets share, ``parts`` that some share, then ``static/NAME.css``."""
    return "\n".join(_read(f"{each}.css") for each in ("common", *parts, name))


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
