"""What a command prints or displays in Slicer, shown where the notebook's user looks."""

from __future__ import annotations

import contextvars
import logging
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, ParamSpec, TypeVar

__all__ = ["Output", "in_notebook", "in_this_cell", "show"]

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger("slicer_notebook")


@dataclass(frozen=True)
class Output:
    """One IOPub message of the Jupyter messaging protocol, as far as it is shown.

    Attributes:
        kind: ``stream``, ``display_data``, ``update_display_data`` or ``clear_output``.
        content: the message's content.
    """

    kind: Literal["stream", "display_data", "update_display_data", "clear_output"]
    content: dict[str, Any]


def report(text: str) -> None:
    """Tell of the exception at hand, which a callback of the user raised: in the log, and where prints go."""
    _log.error("%s", text, exc_info=True)
    sys.stderr.write(f"{text}\n{traceback.format_exc()}")


def show(output: Output) -> None:
    """Show it here: streams on the streams of the same name, displays by IPython."""
    content = output.content
    if output.kind == "stream":
        stream = sys.stderr if content.get("name") == "stderr" else sys.stdout
        stream.write(content.get("text", ""))
        stream.flush()
        return
    publisher = _publisher()
    if publisher is None:
        text = content.get("data", {}).get("text/plain")
        if text:
            sys.stdout.write(f"{text}\n")
        return
    if output.kind == "clear_output":
        publisher.clear_output(wait=content.get("wait", False))
        return
    publisher.publish(
        data=content.get("data", {}),
        metadata=content.get("metadata", {}),
        transient=content.get("transient", {}),
        update=output.kind == "update_display_data",
    )


def in_this_cell(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, whose outputs belong to the cell that runs now, on whatever thread it is called; while it runs.

    ipykernel 7 keeps a context's cell. A thread without one shows its outputs where the newest message came from: with
    a widget's message nowhere. Earlier ones keep none. Who runs a notebook alone (nbclient) drops what comes for a cell
    that has ended.
    """
    context = contextvars.copy_context()

    # A context is entered once at a time: each call has a copy.
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        return context.copy().run(function, *args, **kwargs)

    return called


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel, where rich output is shown."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


def _publisher() -> Any:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell.display_pub if shell is not None else None
