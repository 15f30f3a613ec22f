"""Items of the subject hierarchy as a notebook knows them; see the command ``hierarchy.items``."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import Any, Final

__all__ = ["Items", "page"]

#: Rows of the page that a saved notebook shows.
_MOST_ROWS: Final = 200


class Items:
    """Items by number, and the order of their children."""

    def __init__(self) -> None:
        self.root = 0
        self._items: dict[int, dict[str, Any]] = {}
        self._order: dict[int, list[int]] = {}

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __getitem__(self, item: int) -> dict[str, Any]:
        return self._items[item]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(list(self._items.values()))

    @property
    def order(self) -> list[list[Any]]:
        """[parent, children] of all that have some."""
        return [[parent, children] for parent, children in self._order.items()]

    def replace(self, found: dict[str, Any]) -> None:
        """Take these for all there are."""
        self.root = found["root"]
        self._items = {each["id"]: each for each in found["items"]}
        self._order = {parent: list(children) for parent, children in found["order"]}

    def update(self, found: dict[str, Any]) -> tuple[list[dict[str, Any]], list[list[Any]]]:
        """Take these in; those of them that are new or other ones than before, and the orders that are."""
        fresh = [each for each in found["items"] if not _same(self._items.get(each["id"]), each)]
        self._items.update((each["id"], each) for each in fresh)
        order = [[parent, list(children)] for parent, children in found["order"] if self._order.get(parent) != children]
        self._order.update((parent, children) for parent, children in order)
        return fresh, order

    def remove(self, items: Iterable[int]) -> list[int]:
        """Forget these; those of them that were known."""
        known = [each for each in items if self._items.pop(each, None) is not None]
        for each in known:
            self._order.pop(each, None)
        return known

    def children(self, item: int) -> list[dict[str, Any]]:
        """What is in an item, in order."""
        ids = self._order.get(item, [])
        found = [self._items[each] for each in ids if each in self._items]
        return [each for each in found if each["parent"] == item]


def _same(one: dict[str, Any] | None, other: dict[str, Any]) -> bool:
    if one is None or one != other:
        return False
    # Handles are the same by their id, also where the name is another.
    return bool(one["node"] is None or one["node"]._ref.name == other["node"]._ref.name)


def page(items: Items) -> str:
    """The tree as nested lists, for a saved notebook."""
    rows = 0

    def branch(parent: int) -> str:
        nonlocal rows
        parts = []
        for each in items.children(parent):
            if rows >= _MOST_ROWS:
                break
            rows += 1
            hidden = ' style="opacity:.55"' if each["visible"] is False else ""
            color = each["color"]
            mark = f'<span style="color:{html.escape(color)}">&#9632;</span> ' if color else ""
            kind = f' <span style="opacity:.75">{html.escape(each["kind"])}</span>'
            parts.append(f"<li{hidden}>{mark}{html.escape(each['name'])}{kind}{branch(each['id'])}</li>")
        return f'<ul style="margin:0;padding-left:20px">{"".join(parts)}</ul>' if parts else ""

    text = branch(items.root)
    left = len(items) - rows
    more = f"<p>and {left:,} more</p>" if left > 0 else ""
    return f'<div style="font-size:12px">{text}{more}</div>'
