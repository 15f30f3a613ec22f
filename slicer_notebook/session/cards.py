"""The inline card of a node: kind, name, a few facts, a picture. Static HTML, so that a saved notebook reads."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

__all__ = ["Card", "Fact", "html_of"]

#: Width of the picture, CSS pixels.
_PICTURE: Final = 120

Fact = tuple[str, str]
"""(label, text) of one line."""


class Card(NamedTuple):
    """What is shown of a node.

    Attributes:
        facts: lines of label and text.
        png: a picture, or b"".
        color: r, g, b, 0 to 1, of a dot before the name; None for none.
        items: names with colours of what it holds (segments, points), the first few.
        more: how many items are not among ``items``.
    """

    facts: Iterable[Fact] = ()
    png: bytes = b""
    color: tuple[float, float, float] | None = None
    items: Iterable[tuple[str, tuple[float, float, float] | None]] = ()
    more: int = 0


def html_of(kind: str, name: str, card: Card, note: str = "") -> str:
    """The card as HTML without a script; every text is escaped.

    Args:
        kind: what it is, such as "Volume".
        name: the node's; "" where it may not be shown.
        card: the facts.
        note: a line in the place of facts that could not be had.
    """
    rows = "".join(
        f'<tr style="background:none"><td style="text-align:left;padding:1px 12px 1px 0;opacity:.7">{_text(label)}</td>'
        f'<td style="text-align:left;padding:1px 0">{_text(text)}</td></tr>'
        for label, text in card.facts
    )
    picture = ""
    if card.png:
        data = b64encode(card.png).decode("ascii")
        picture = (
            f'<img alt="{_text(kind)} {_text(name)}" style="width:{_PICTURE}px;border-radius:4px;margin-right:12px" '
            f'src="data:image/png;base64,{data}">'
        )
    items = "".join(
        f'<span style="white-space:nowrap;margin-right:10px">{_dot(color)}{_text(text)}</span>'
        for text, color in card.items
    )
    if card.more:
        items += f'<span style="opacity:.7">and {card.more} more</span>'
    return (
        '<div style="display:flex;align-items:flex-start;font-size:13px;margin:4px 0">'
        f"{picture}<div><div>{_dot(card.color)}<b>{_text(name)}</b> "
        f'<span style="opacity:.7">{_text(kind)}</span></div>'
        + (f'<table style="margin:2px 0;border:none">{rows}</table>' if rows else "")
        + (f"<div>{items}</div>" if items else "")
        + (f'<div style="opacity:.75">{_text(note)}</div>' if note else "")
        + "</div></div>"
    )


def _text(value: Any) -> str:
    return html.escape(str(value))


def _dot(color: tuple[float, float, float] | None) -> str:
    if color is None:
        return ""
    red, green, blue = (round(255 * min(1.0, max(0.0, float(part)))) for part in color)
    return (
        f'<span style="display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em;'
        f'background:rgb({red},{green},{blue});border:1px solid rgba(127,127,127,.5)"></span>'
    )
