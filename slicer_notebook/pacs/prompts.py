"""How a person is shown where to sign in: a card in a notebook, lines on a terminal. Never a token."""

from __future__ import annotations

import datetime
import html
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from slicer_notebook.errors import error_in_words
from slicer_notebook.pacs.signing import DeviceCode, Prompt

__all__ = ["Card", "Publish", "by_default", "in_words", "on_terminal", "person", "time_left"]

#: Seconds between two looks at the time that is left: a card that changes loses what was selected in it.
_EVERY: Final = 60.0
_EVERY_LATE: Final = 10.0

#: Shows a card: what it looks like by MIME type, its display id, and whether it takes the place of what is there.
Publish = Callable[[dict[str, str], str, bool], object]

_CARD: Final = """\
<div class="sn-sign-in" style="border:1px solid #8888;border-radius:6px;padding:10px 14px;max-width:560px;\
font-size:13px;line-height:1.6"><strong>{title}</strong>{body}</div>"""
_BODY: Final = """\
<div style="margin-top:4px"><a href="{link}" target="_blank" rel="noopener noreferrer">Open the sign-in page</a> \
and enter the code <code class="sn-sign-in-code" style="font-size:16px;font-weight:600">{code}</code>, or see that it \
shows the same.</div><div style="opacity:.75">{address} &middot; {left}. This waits.</div>"""


def by_default(_code: DeviceCode) -> None:
    """Stands for what `person` says when it is asked."""


def person() -> Prompt | None:
    """How to ask whoever is there: by a card in a notebook, on a terminal; None where nobody is."""
    if _in_kernel():
        return _in_notebook
    return on_terminal if _is_terminal(sys.stdin) or _is_terminal(sys.stderr) else None


def _in_kernel() -> bool:
    """Whether this is a notebook's kernel with a person before it.

    Who runs a notebook alone (nbconvert, papermill) says with each cell that nobody can be asked for input.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    kernel = getattr(shell, "kernel", None)
    return kernel is not None and bool(getattr(kernel, "_allow_stdin", True))


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except (OSError, ValueError):  # it was closed
        return False


def time_left(seconds: float) -> str:
    """Seconds in words that stay true for a while, with the time of day at which they are over."""
    end = (datetime.datetime.now() + datetime.timedelta(seconds=seconds)).strftime("%H:%M")
    if seconds < 120:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} minutes left, until {end}"


def in_words(words: Mapping[str, Any]) -> str:
    """What a person is asked to do, in one line; of `DeviceCode.words`."""
    return f"Sign in at {words['server']}: open {words['link']}, code {words['user_code']}"


def on_terminal(code: DeviceCode) -> Callable[[BaseException | None], object]:
    """Ask on standard error: standard output may be read by a program."""
    # Above a progress bar, if there is one: it takes what is written to the stream.
    stream = sys.stderr
    stream.write(
        f"Sign in at the PACS {code.server!r}: open {code.link}\n"
        f"and enter the code {code.user_code}, or see that it shows the same. Waiting ({time_left(code.left)}).\n"
    )
    stream.flush()

    def end(error: BaseException | None) -> None:
        if error is None:
            stream.write(f"Signed in at the PACS {code.server!r}.\n")
            stream.flush()

    return end


def _in_notebook(code: DeviceCode) -> Callable[[BaseException | None], object]:
    def publish(bundle: dict[str, str], display_id: str, update: bool) -> None:
        shell = sys.modules["IPython"].get_ipython()
        shell.display_pub.publish(data=bundle, metadata={}, transient={"display_id": display_id}, update=update)

    return Card(code.words(), publish).end


class Card:
    """A card in a notebook's output, as long as a person is waited for; in the end it says how that went.

    Args:
        words: of `DeviceCode.words`.
        publish: shows it; on any thread.
    """

    def __init__(self, words: Mapping[str, Any], publish: Publish) -> None:
        self._words = dict(words)
        self._publish = publish
        self._id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ends = datetime.datetime.now() + datetime.timedelta(seconds=float(words["seconds"]))
        publish(self._waiting(), self._id, False)
        threading.Thread(target=self._count, name="pacs-sign-in-card", daemon=True).start()

    def _left(self) -> float:
        return max(0.0, (self._ends - datetime.datetime.now()).total_seconds())

    def _count(self) -> None:
        while (left := self._left()) > 0 and not self._over.wait(_EVERY if left > 3 * _EVERY else _EVERY_LATE):
            with self._lock:
                if not self._over.is_set():
                    self._publish(self._waiting(), self._id, True)

    def _waiting(self) -> dict[str, str]:
        words, left = self._words, time_left(self._left())
        body = _BODY.format(
            link=html.escape(words["link"]),
            code=html.escape(words["user_code"]),
            address=html.escape(words["address"]),
            left=left,
        )
        title = f"Sign in at {words['server']}"
        return _bundle(f"{in_words(words)} ({left})", title, body)

    def end(self, error: BaseException | None) -> None:
        """It is over, well or with an error; a second time, nothing."""
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
        if error is None:
            text, hint = f"Signed in at {self._words['server']}.", ""
        else:
            found = error_in_words(error)
            text, hint = found["message"], found["hint"]
        self._publish(_bundle(f"{text} {hint}".strip(), text, f"<div>{html.escape(hint)}</div>"), self._id, True)


def _bundle(text: str, title: str, body: str) -> dict[str, str]:
    return {"text/plain": text, "text/html": _CARD.format(title=html.escape(title), body=body)}
