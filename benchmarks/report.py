"""The table, on a terminal and as a page of the documentation."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence

from rich.table import Table

from benchmarks.measure import Row

__all__ = ["markdown", "table"]

_INTRODUCTION = """\
# Benchmarks

`python -m benchmarks --markdown docs/benchmarks.md` wrote this page. Each figure is the library against a peer that
does the same thing in the same run, in turns (A B A B). The ratio is the median over the rounds, with the smallest and
the largest beside it; times are medians. A target is the largest ratio that counts as good.
"""


def seconds(value: float) -> str:
    """A time with three significant digits: "1.42 ms"."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        scaled = value * factor
        if scaled >= 1:
            return f"{scaled:.{max(0, 3 - len(str(int(scaled))))}f} {unit}"
    return f"{value * 1e9:.0f} ns"


def _amount(row: Row, values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return seconds(middle) if row.unit == "s" else f"{middle:.0f} {row.unit}"


def _cells(row: Row) -> list[str]:
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    return [
        row.what,
        _amount(row, row.ours),
        row.peer,
        _amount(row, row.theirs),
        f"{row.ratio:.2f}",
        f"{min(row.ratios):.2f} - {max(row.ratios):.2f}",
        "" if row.at_most is None else f"≤ {row.at_most:g}",
        verdict,
    ]


_HEADS = ("what", "time", "against", "its time", "ratio", "min - max", "target", "")


def table(rows: Sequence[Row]) -> Table:
    """The rows for a terminal."""
    made = Table(*_HEADS, title="Ratios: smaller is better")
    group = None
    for row in rows:
        if group is not None and row.group != group:
            made.add_section()
        group = row.group
        style = {True: "green", False: "bold red", None: ""}[row.met]
        *cells, verdict = _cells(row)
        made.add_row(*cells, f"[{style}]{verdict}[/]" if style else verdict)
    return made


def markdown(rows: Sequence[Row], facts: Mapping[str, str], titles: Mapping[str, str], notes: Mapping[str, str]) -> str:
    """The page ``docs/benchmarks.md``; each group has a heading of ``titles`` and a paragraph of ``notes``."""
    parts = [_INTRODUCTION]
    for group in dict.fromkeys(row.group for row in rows):
        parts.append(f"## {titles[group]}\n")
        if group in notes:
            parts.append(textwrap.fill(notes[group], 120) + "\n")
        parts.append("| " + " | ".join(_HEADS) + " |\n|" + "---|" * len(_HEADS))
        parts.extend("| " + " | ".join(_cells(row)) + " |" for row in rows if row.group == group)
        parts.append("")
    parts.append("## Machine\n\n| | |\n|---|---|")
    parts.extend(f"| {name} | {value} |" for name, value in facts.items())
    return "\n".join(parts) + "\n"
