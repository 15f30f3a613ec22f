"""``python -m benchmarks [NAME...]``: measure, print the table, write it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from benchmarks import machine, report
from benchmarks.measure import Row
from benchmarks.suite import BENCHMARKS, NOTES, TITLES, Bench


def renderer(bench: Bench) -> str:
    """What draws the pictures in the Slicer that was measured."""
    found = bench.slicer.info["renderer"]
    return str(found["renderer"]) if found else "none"


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0; with ``--check`` 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ratios of the library's speed to its peers'."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(BENCHMARKS)} (all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times and the machine's facts")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page of the documentation")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the numbers of rounds (1)")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    if options.names and options.markdown:
        parser.error("--markdown writes the whole page: give no names with it")
    errors = Console(stderr=True)
    rows: list[Row] = []

    def say(name: str, done: int, rounds: int) -> None:
        errors.print(
            f"\\[bench] {name} {done}/{rounds}",
            end="\r" if errors.is_terminal and done < rounds else "\n",
            highlight=False,
        )

    bench = Bench(say)
    bench.scale = options.scale
    with bench.stack:
        for name in options.names or BENCHMARKS:
            rows += BENCHMARKS[name](bench)
        facts = machine.facts(renderer(bench))
    # A pipe has no width of its own; the table needs this many columns.
    Console(width=None if sys.stdout.isatty() else 150).print(report.table(rows))
    for name, value in facts.items():
        errors.print(f"{name}: {value}", highlight=False)
    if options.json:
        options.json.write_text(
            json.dumps({"machine": facts, "rows": [row.as_dict() for row in rows]}, indent=1) + "\n", "utf-8"
        )
    if options.markdown:
        options.markdown.write_text(report.markdown(rows, facts, TITLES, NOTES), "utf-8")
    return int(options.check and any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
