"""What the widgets of a session have in common: its state in words, requests that do not wait, messages, a fallback."""

from __future__ import annotations

import html
import logging
import threading
import uuid
from collections.abc import Callable
from typing import Any, Final, Literal

import anywidget
import traitlets as t

from slicer_notebook.errors import ArgumentError, SessionClosedError, SessionError, error_in_words
from slicer_notebook.session import Job, Session
from slicer_notebook.session.output import Output, in_notebook, show
from slicer_notebook.widgets.threads import Home

__all__ = ["HeardWidget", "SessionWidget", "StaticWidget", "error_in_words", "static_note"]

_log = logging.getLogger("slicer_notebook")

#: Seconds after which what a view should know is told again, as long as no view has said hello: in JupyterLab before
#: 4.4, or with ipykernel before 7, its words wait for the end of the cells that run; the first ones do in any version.
_TELL_AGAIN: Final = (0.4, 1.2, 3.0, 8.0)

#: The fallback in a saved notebook. The style hides what JupyterLab says of a widget that is no more, in the next
#: output (only then has that output itself this class). The fallback is hidden by a style of the living widget: see
#: common.js.
_STATIC = """\
<style>
.jp-OutputArea-child:has([data-sn-static="{id}"]) + .jp-OutputArea-child:has(> .jupyter-widgets) {{ display: none }}
</style>
<div data-sn-static="{id}">{page}</div>"""


def static_note(text: str) -> str:
    """A line of the static fallback."""
    return f'<p style="margin:6px 0;font-size:12px;opacity:.75">{html.escape(text)}</p>'


class HeardWidget(anywidget.AnyWidget):
    """A widget whose browser is heard where the front end says, on a subshell: while a cell runs, too.

    ipykernel 7.4 takes a browser's message for the answer to what the widget has sent last, and hears it where that was
    sent from: not before the end of the cell, if the cell or a thread has sent something. No widget here waits for
    answers.
    """

    def open(self) -> None:
        """Tell the browser of this widget."""
        super().open()
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = None


class StaticWidget(HeardWidget):
    """A widget that leaves a page without a script where it was: a saved notebook, GitHub, nbconvert."""

    #: Names the static fallback of this widget in the page.
    _static_id = t.Unicode().tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        self._greeted = False
        self._ended = False
        super().__init__(_static_id=uuid.uuid4().hex, **kwargs)
        self.on_msg(self._on_message)

    # -- messages ------------------------------------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """A message of the browser, acknowledged at once: a busy kernel is seen by its silence."""
        words: dict[str, Any] = content if isinstance(content, dict) else {}
        kind = words.get("type")
        handler = getattr(self, f"_do_{kind}", None)
        if "ask" in words:
            self.send({"type": "ack", "ask": words["ask"]})
        if handler is None:
            _log.warning("%s got a message it does not know: %r", type(self).__name__, kind)
            return
        handler({key: value for key, value in words.items() if key not in ("type", "ask")})

    # -- what a new view has to know -----------------------------------------------------------------------------

    def _tell_all(self) -> None:
        """Send what a new view has to know: a second time, it changes nothing. On any thread."""

    def _do_hello(self, _content: dict[str, Any]) -> None:
        """A view was made in a browser."""
        self._greeted = True
        self._tell_all()

    def _tell_until_greeted(self, number: int = 0) -> None:
        """Tell a view that cannot be heard yet; called once, when the widget is complete."""
        if number == len(_TELL_AGAIN):
            return

        def again() -> None:
            if not self._greeted and not self._ended:
                self._tell_all()
                self._tell_until_greeted(number + 1)

        timer = threading.Timer(_TELL_AGAIN[number], again)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """Take the widget away."""
        self._ended = True
        super().close()

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        """What a saved notebook shows without a kernel."""
        return static_note(repr(self))

    def _bundle(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The living widget as an output; its text names no trait."""
        found = super()._repr_mimebundle_()
        if found is None:
            return None
        data, metadata = found
        return {**data, "text/plain": repr(self)}, metadata

    def _repr_mimebundle_(self, **_kwargs: Any) -> Any:
        found = self._bundle()
        if found is None:
            return None
        data, metadata = found
        return {**data, "text/html": self._static_html()}, metadata

    def _ipython_display_(self) -> None:
        """Show the static fallback, and the widget, which hides it as long as it lives.

        Of one output with both, JupyterLab would choose the widget also in a reopened notebook, where it is no more.
        """
        if not in_notebook():
            print(repr(self))  # noqa: T201 - a terminal shows no widget
            return
        bundle = self._bundle()
        if bundle is None:
            return
        data, metadata = bundle
        show(self._page("display_data"))
        live = {**data, "text/html": "<!-- a widget; what it showed is above -->"}
        show(Output("display_data", {"data": live, "metadata": metadata}))

    def _page(self, kind: Literal["display_data", "update_display_data"]) -> Output:
        """The static fallback as an output that has a place of its own."""
        page = _STATIC.format(id=self._static_id, page=self._static_html())
        content = {"data": {"text/html": page, "text/plain": repr(self)}, "metadata": {}}
        return Output(kind, {**content, "transient": {"display_id": self._static_id}})

    def _save_anew(self) -> None:
        """Put what is shown now in the place of what a saved notebook would show. On any thread.

        After the page was loaded anew, JupyterLab changes no output of before.
        """
        if in_notebook() and not self._ended:
            show(self._page("update_display_data"))


class SessionWidget(StaticWidget):
    """A widget that shows something of a session. It never ends a Slicer.

    Args:
        session: the session.

    Raises:
        ArgumentError: ``session`` is no session.
    """

    #: ``state`` is live, lost or closed; ``message`` and ``hint`` say it in words.
    _status = t.Dict().tag(sync=True)

    def __init__(self, session: Session, **kwargs: Any) -> None:
        if not isinstance(session, Session):
            raise ArgumentError(
                f"{type(self).__name__} shows a session.",
                expected="a Session of sn.launch() or sn.connect()",
                got=type(session).__name__,
            )
        self._session = session
        self._home = Home()
        self._lock = threading.RLock()
        super().__init__(_status=_live(session), **kwargs)
        self._subscriptions = [session.on("closed", self._on_closed), session.on("restarted", self._on_restarted)]

    # -- the session's life --------------------------------------------------------------------------------------

    def _on_closed(self, error: BaseException) -> None:
        if self._session.alive:
            return  # the last word of a Slicer in whose place there is another one
        words = error_in_words(error)
        self._status = {"state": "closed" if isinstance(error, SessionClosedError) else "lost", **words}
        self._when_gone()

    def _on_restarted(self, _event: Any) -> None:
        self._status = _live(self._session)
        self._when_back()

    def _when_gone(self) -> None:
        """Nothing can be asked any more. On any thread."""

    def _when_back(self) -> None:
        """A clean Slicer is there. On any thread."""

    def close(self) -> None:
        """Take the widget away. The session goes on."""
        for subscription in getattr(self, "_subscriptions", []):
            subscription.close()
        super().close()

    # -- requests ------------------------------------------------------------------------------------------------

    def _ask(self, command: str, then: Callable[[Job[Any]], None], **args: Any) -> Job[Any] | None:
        """Begin a command; ``then(job)`` when it is done, on the session's background thread (it must not wait).

        None when there is no Slicer to ask; the status tells so.
        """
        try:
            job = self._session.submit(command, **args)
        except SessionError as exc:
            self._on_closed(exc)
            return None

        def done(finished: Job[Any]) -> None:
            if not self._ended:
                then(finished)

        job.add_done_callback(done)
        return job

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._session.name!r}>"


def _live(session: Session) -> dict[str, str]:
    if session.alive:
        return {"state": "live", "message": "", "hint": "", "kind": ""}
    return {
        "state": "lost",
        "message": "This session has no Slicer.",
        "hint": "sn.launch() starts one, sn.connect() joins one",
        "kind": "SessionClosedError",
    }
