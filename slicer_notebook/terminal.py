"""What the commands print with: the two streams, and progress on a terminal or in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TimeRemainingColumn,
)

__all__ = ["ProgressLines", "err", "out", "progress", "waiting"]


def out() -> Console:
    """Standard output. Made anew at each use: tests and pipes replace the stream."""
    return Console(file=sys.stdout, soft_wrap=False, highlight=False)


def err() -> Console:
    """Standard error."""
    return Console(file=sys.stderr, soft_wrap=True, highlight=False)


class ProgressLines:
    """Progress where the output is a file or a pipe: a line when something new starts, and then every few seconds."""

    INTERVAL_S = 5.0

    def __init__(self, console: Console) -> None:
        self.console = console
        self.text = ""
        self.last = 0.0

    def show(self, done: int, total: int, text: str) -> None:
        """Print a line if it is time for one."""
        now = time.monotonic()
        if text != self.text or now - self.last >= self.INTERVAL_S:
            self.text, self.last = text, now
            share = f": {100 * done // total} %" if total else ""
            self.console.print(f"{text}{share}", markup=False)


@contextmanager
def progress(title: str, *, lines: bool = True, counted: bool = False) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error, which goes away at the end; the function to be told (done, of all, what is done).

    Of all may be 0 where it is not known yet.

    Args:
        lines: where standard error is no terminal, print lines there; nothing if False.
        counted: show the two numbers and the time that is left, too.
    """
    console = err()
    more = (MofNCompleteColumn(), TimeRemainingColumn()) if counted else ()
    columns = ("{task.description}", BarColumn(), TaskProgressColumn(), *more)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        written = ProgressLines(console)

        def show(done: int, total: int, text: str) -> None:
            # Names of folders are text, not the bar's markup.
            bar.update(task, completed=done, total=total or None, description=text.replace("[", "\\["))
            if lines and not console.is_terminal:
                written.show(done, total, text)

        yield show


@contextmanager
def waiting(text: str, *, show: bool = True) -> Iterator[Callable[[str], None]]:
    """A line on a terminal that says what is waited for, and goes away at the end; the function that changes it."""
    console = err()
    # What goes to standard output meanwhile is written above the line where that is the terminal, too.
    bar = Progress(
        SpinnerColumn(), "{task.description}", console=console, transient=True, redirect_stdout=sys.stdout.isatty(),
        disable=not (show and console.is_terminal),
    )  # fmt: skip
    with bar:
        task = bar.add_task(escape(text), total=None)
        yield lambda changed: bar.update(task, description=escape(changed))
