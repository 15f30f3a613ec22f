"""What the commands print with: the two streams, and progress on a terminal or in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn

__all__ = ["ProgressLines", "err", "out", "progress"]


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
            self.console.print(f"{text}: {100 * done // max(total, 1)} %", markup=False)


@contextmanager
def progress(title: str, *, lines: bool = True) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error, which goes away at the end; the function to be told (done, of all, what is done).

    Args:
        lines: where standard error is no terminal, print lines there; nothing if False.
    """
    console = err()
    columns = ("{task.description}", BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        written = ProgressLines(console)

        def show(done: int, total: int, text: str) -> None:
            # Names of folders are text, not the bar's markup.
            bar.update(task, completed=done, total=total, description=text.replace("[", "\\["))
            if lines and not console.is_terminal:
                written.show(done, total, text)

        yield show
