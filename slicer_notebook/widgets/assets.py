"""The widgets' JavaScript and CSS, files of this package."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

__all__ = ["css", "esm", "renderview"]

_STATIC: Final = files("slicer_notebook.widgets") / "static"


def esm(name: str, *parts: str) -> str:
    """An ES module for anywidget: what all widgets share, ``parts`` that some share, then ``static/NAME.js``.

    One text, since the browser gets it as a blob, and a blob's relative imports lead nowhere.
    """
    return "\n".join(_read(f"{each}.js") for each in ("common", *parts, name))


def css(name: str, *parts: str) -> str:
    """The style sheet: what all widgets share, ``parts`` that some share, then ``static/NAME.css``."""
    return "\n".join(_read(f"{each}.css") for each in ("common", *parts, name))


def renderview(name: str) -> str:
    """A file of jupyter_rfb's front end: ``renderview.js`` has the base class of live views, and their events.

    The package is not imported: its own widget is not used.
    """
    spec = find_spec("jupyter_rfb")
    assert spec is not None, "jupyter_rfb is a dependency"
    assert spec.origin is not None
    return Path(spec.origin).with_name(name).read_text(encoding="utf-8")


def _read(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
