"""A text of the scene."""

from __future__ import annotations

import html
from typing import Any

from slicer_notebook.session.cards import Card
from slicer_notebook.session.handles import Node

__all__ = ["Text"]


class Text(Node):
    """A text node: notes, JSON, anything that is text."""

    mrml_class = "vtkMRMLTextNode"
    _summary = "text.summary"

    @property
    def text(self) -> str:
        """All of it. Settable; the encoding becomes UTF-8 where it lacks a character."""
        return str(self._session.call("text.text", node=self))

    @text.setter
    def text(self, value: str) -> None:
        self._session.call("text.set", node=self, text=value)

    @property
    def encoding(self) -> str:
        """Of its file: "ASCII", "UTF-8", "ISO-8859-1"... Settable.

        Raises:
            ArgumentError: no such encoding, or one that lacks a character of the text.
        """
        return str(self._session.call("text.encoding", node=self))

    @encoding.setter
    def encoding(self, value: str) -> None:
        self._session.call("text.set", node=self, encoding=value)

    def _card(self, summary: dict[str, Any]) -> Card:
        lines = summary["lines"]
        size = f"{summary['characters']:,} characters in {lines:,} line{'' if lines == 1 else 's'}"
        return Card([("size", size), ("encoding", str(summary["encoding"]))])

    def _below(self, summary: dict[str, Any]) -> str:
        if not summary["head"]:
            return ""
        more = summary["lines"] - len(summary["head"])
        note = f'<div style="opacity:.7;font-size:12px">{more:,} more lines</div>' if more > 0 else ""
        text = html.escape("\n".join(summary["head"]))
        return f'<pre style="font-size:12px;margin:2px 0;white-space:pre-wrap">{text}</pre>{note}'
