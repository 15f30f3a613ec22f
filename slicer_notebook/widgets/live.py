"""What live views in a notebook have in common: streams from Slicer to all browsers that show them, and back."""

from __future__ import annotations

import html
import threading
import time
from base64 import b64encode
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import traitlets as t

from slicer_notebook.errors import SessionError, SlicerNotebookError, error_in_words
from slicer_notebook.protocol import messages
from slicer_notebook.session import Session
from slicer_notebook.session.images import view_title
from slicer_notebook.session.live import LiveStream
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets.base import SessionWidget, static_note
from slicer_notebook.widgets.slice_control import SliceControl
from slicer_notebook.widgets.threads import Pacer

__all__ = ["CssLength", "LiveWidget", "Streaming", "Viewer"]

#: Frames that a browser may be behind the quickest one of the same notebook, before that one waits for it: all of a
#: kernel's browsers get all of its messages, and what one does not take piles up in the Jupyter server.
BEHIND: Final = 60
#: Seconds after which a browser of which nothing was heard is no longer waited for.
FORGOTTEN_AFTER: Final = 10.0
#: Seconds between two pictures that are put into the notebook for when it is saved.
SAVE_EVERY: Final = 3.0
#: Seconds that the display of the cell waits for the pictures, so that a saved notebook has them.
_SETTLE: Final = 3.0
#: Seconds without an answer after which it is shown that Slicer is busy.
_BUSY_AFTER: Final = 0.7


class Viewer:
    """One place in one browser that shows a view."""

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None
        #: The size that Slicer was told of: not while nobody could see it.
        self.told: tuple[int, int] | None = None
        self.visible = False
        self.seen = 0
        self.heard = time.monotonic()


class _View:
    """One view of a widget."""

    def __init__(self, widget: Streaming, name: str) -> None:
        self.name = name
        self.widget = widget
        self.viewers: dict[str, Viewer] = {}
        self.picture = b""
        self.first = threading.Event()
        self.gone = ""
        self._cursor = "default"
        #: Who used it last, and what they were told of the place under their pointer.
        self._hand = ""
        self._spot: dict[str, Any] = {}
        self._said = 0
        self._busy = self._watching_out = False
        self._lock = threading.Lock()
        self.stream = LiveStream(widget._session, name, self._frame, on_took=self._took, on_gone=self._on_gone)

    # -- from Slicer, on the link's thread -----------------------------------------------------------------------

    def _frame(self, frame: messages.Frame) -> None:
        if frame.lossless:
            self.picture = frame.data
            self.first.set()
        self.gone = ""
        words = {
            "type": "frame",
            "view": self.name,
            "stream": self.stream.number,
            "index": frame.index,
            "size": frame.size,
            "mime": frame.mime,
            "lossless": frame.lossless,
            "input": frame.input,
            **self._spot_in_words(frame.spot),
        }
        self.widget.send(words, buffers=[frame.data])
        if frame.lossless:
            self.widget._still_came()

    def _took(self, took: messages.Took) -> None:
        self._show_busy(False)
        before, spot = self._spot, self._spot_in_words(took.spot)
        if took.cursor != self._cursor or took.error or self._spot != before:
            self._cursor = took.cursor
            words = {"stream": self.stream.number, "input": took.number, "cursor": took.cursor, "error": took.error}
            self.widget.send({"type": "took", "view": self.name, **words, **spot})

    def _spot_in_words(self, spot: messages.Spot | msgspec.UnsetType | None) -> dict[str, Any]:
        """What is under the pointer, and under whose: other browsers get the same messages."""
        if spot is msgspec.UNSET:
            return {}
        self._spot = {"spot": msgspec.to_builtins(spot), "who": self._hand}
        return self._spot

    def _on_gone(self, error: SlicerNotebookError) -> None:
        if isinstance(error, SessionError):
            self.widget._on_closed(error)
            return
        self.gone = error.message
        self.first.set()
        self.widget.send({"type": "gone", "view": self.name, **error_in_words(error)})

    # -- from browsers, on any thread ----------------------------------------------------------------------------

    def look(self, who: str, size: tuple[int, int] | None, visible: bool, again: bool) -> None:
        with self._lock:
            viewer = self.viewers.setdefault(who, Viewer())
            fresh = visible and not viewer.visible
            viewer.heard = time.monotonic()
            viewer.visible = visible
            viewer.size = size or viewer.size
            new_size = viewer.size if visible and viewer.size != viewer.told else None
            viewer.told = new_size or viewer.told
            anyone = any(each.visible for each in self.viewers.values())
        if visible and (new_size is not None or fresh or again):
            # A browser that did not look had no frames.
            self.watch(size=new_size, paused=False, again=True)
        elif not anyone:
            self.watch(paused=True)

    def watch(self, **how: Any) -> None:
        try:
            self.stream.watch(**how)
        except SlicerNotebookError as exc:
            self._on_gone(exc)

    def input(self, who: str, events: list[dict[str, Any]], index: int) -> None:
        with self._lock:
            viewer = self.viewers.setdefault(who, Viewer())
            viewer.heard = time.monotonic()
            size = viewer.size
            self._hand = who
        if size is not None and self.stream.size != size:
            # The view is as large as it is for the one who uses it. (Of several widgets Slicer's end sees to it.)
            self.watch(size=size, paused=False)
        self.stream.input(events, self._confirmed(who, index) if index else 0)
        self._watch_out()

    def _watch_out(self) -> None:
        """Look in a moment whether Slicer has answered."""
        with self._lock:
            if self._watching_out or self._busy:
                return
            self._watching_out = True

        def look() -> None:
            self._watching_out = False
            if self.stream.busy_for > _BUSY_AFTER:
                self._show_busy(True)
            elif self.stream.busy_for:
                self._watch_out()

        timer = threading.Timer(_BUSY_AFTER + 0.05, look)
        timer.daemon = True
        timer.start()

    def _show_busy(self, busy: bool) -> None:
        if busy != self._busy:
            self._busy = busy
            self._spot = {}  # is told again
            self.widget.send({"type": "busy", "view": self.name, "busy": busy})

    def seen(self, who: str, index: int) -> None:
        confirmed = self._confirmed(who, index)
        if confirmed:
            self.stream.seen(confirmed)

    def _confirmed(self, who: str, index: int) -> int:
        """What Slicer may be told after a browser has this frame; 0 for nothing new."""
        with self._lock:
            now = time.monotonic()
            viewer = self.viewers.setdefault(who, Viewer())
            viewer.seen, viewer.heard = index, now
            others = [
                each.seen
                for each in self.viewers.values()
                if each.visible and each.seen and now - each.heard < FORGOTTEN_AFTER
            ]
            newest = max([index, *others])
            confirmed = min(newest, min([index, *others]) + BEHIND)
            news = confirmed != self._said
            self._said = confirmed
        return confirmed if news else 0

    def begin(self) -> None:
        """Slicer is a new one, or the layout is."""
        with self._lock:
            self._said = 0
            for viewer in self.viewers.values():
                viewer.seen = 0
            visible = any(each.visible for each in self.viewers.values())
        self.gone = ""
        self.watch(paused=not visible and bool(self.viewers), again=True)


class Streaming(SessionWidget):
    """A widget with live views in it. One stream for each view, to all browsers that show this widget."""

    def __init__(self, session: Session, **kwargs: Any) -> None:
        self._live: dict[str, _View] = {}
        super().__init__(session, **kwargs)
        self._subscriptions.append(session.on("scene", self._on_live_scene))

    def _stream(self, names: Iterable[str]) -> None:
        """Have these views live from now on, and no others."""
        wanted = list(names)
        for name in [name for name in self._live if name not in wanted]:
            self._live.pop(name).stream.close()
        for name in wanted:
            if name not in self._live:
                self._live[name] = _View(self, name)
                self._live[name].watch()
        self._live = {name: self._live[name] for name in wanted}

    def _still_came(self) -> None:
        """A picture without loss has come. On the link's thread."""

    # -- from Slicer ---------------------------------------------------------------------------------------------

    def _on_live_scene(self, event: dict[str, list[Any]]) -> None:
        # Another layout may show a view again that was not in the one before.
        if any(node.class_name == "vtkMRMLLayoutNode" for node in event["modified"]):
            self._look_for_lost()

    def _look_for_lost(self) -> None:
        for view in list(self._live.values()):
            if view.gone:
                view.begin()

    def _when_back(self) -> None:
        for view in list(self._live.values()):
            view.begin()
        self.send({"type": "begin"})

    # -- from browsers -------------------------------------------------------------------------------------------

    def _do_look(self, content: dict[str, Any]) -> None:
        view = self._live.get(str(content["view"]))
        if view is not None:
            size = content.get("size")
            view.look(
                str(content["who"]),
                (int(size[0]), int(size[1])) if size else None,
                bool(content["visible"]),
                bool(content.get("again")),
            )

    def _do_input(self, content: dict[str, Any]) -> None:
        view = self._live.get(str(content["view"]))
        if view is not None:
            view.input(str(content["who"]), list(content["events"]), int(content.get("seen", 0)))

    def _do_seen(self, content: dict[str, Any]) -> None:
        view = self._live.get(str(content["view"]))
        if view is not None:
            view.seen(str(content["who"]), int(content["index"]))

    def close(self) -> None:
        """Take the widget away. The views stay in Slicer."""
        for view in getattr(self, "_live", {}).values():
            view.stream.close()
        super().close()


class LiveWidget(Streaming):
    """Shows views, live, with the bars of slice views, and leaves their last pictures in the notebook.

    Args:
        session: whose.
        names: of the views.
        bars: of those that have a bar.
        privacy: "strict" leaves no picture in a saved notebook.
    """

    def __init__(
        self,
        session: Session,
        names: Iterable[str],
        *,
        bars: Iterable[str] = (),
        privacy: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.privacy = checked(privacy)
        self._bars: dict[str, SliceControl] = {}
        self._saving = Pacer(self._save_pictures, SAVE_EVERY)
        self._displayed = False
        super().__init__(session, **kwargs)
        self._stream(names)
        self._have_bars(bars)

    def _have_bars(self, names: Iterable[str]) -> None:
        """Have bars for these slice views from now on."""
        wanted = list(names)
        for name in [name for name in self._bars if name not in wanted]:
            self._bars.pop(name).close()
        for name in wanted:
            if name not in self._bars:
                self._bars[name] = SliceControl(self._session, name, self._ask, self._say, lambda _state: None)

    def _say(self, message: dict[str, Any]) -> None:
        if not self._ended:
            self.send(message)

    def _tell_all(self) -> None:
        for bar in list(self._bars.values()):
            bar.tell_all()

    def _do_slice(self, content: dict[str, Any]) -> None:
        """A person has changed something in a bar."""
        bar = self._bars.get(str(content.get("view")))
        if bar is not None:
            bar.do(content)

    def _when_back(self) -> None:
        super()._when_back()
        for bar in list(self._bars.values()):
            bar.again()

    def _still_came(self) -> None:
        self._saving.request()

    def _when_gone(self) -> None:
        self._saving.request()

    # -- display -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take the widget away. The views stay in Slicer."""
        if hasattr(self, "_saving"):  # else it was refused before it was one
            self._saving.close()
            for bar in self._bars.values():
                bar.close()
        super().close()

    def _save_pictures(self) -> None:
        try:
            if self._displayed:
                self._save_anew()
        finally:
            self._saving.finished()

    def _ipython_display_(self) -> None:
        super()._ipython_display_()
        self._displayed = True

    def _static_html(self) -> str:
        """The last pictures, waited for a moment."""
        if self.privacy == "strict":
            count = len(self._live)
            return static_note(f"{count} live {'view was' if count == 1 else 'views were'} here; privacy: strict.")
        deadline = time.monotonic() + _SETTLE
        live = self._status["state"] == "live"
        for view in self._live.values():
            if live:
                view.first.wait(max(0.0, deadline - time.monotonic()))
        cells = "".join(_figure(view) for view in self._live.values())
        if live:
            note = static_note("A live view, as it was last: run the cell again to use it.")
        else:
            note = static_note(f"{self._status['message']} This is what was last seen.")
        style = "display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:8px;max-width:1100px"
        return f'<div style="{style}">{cells}</div>{note}'


def _figure(view: _View) -> str:
    title = html.escape(view_title(view.name))
    if not view.picture:
        return static_note(
            f"{view_title(view.name)}: {view.gone or 'its picture had not come when this cell was run.'}"
        )
    data = b64encode(view.picture).decode("ascii")
    return (
        f'<figure style="margin:0"><img alt="Slicer view {title}" style="max-width:100%;border-radius:4px" '
        f'src="data:image/png;base64,{data}"><figcaption style="font-size:12px;text-align:center">{title}</figcaption>'
        "</figure>"
    )


_CSS_LENGTHS: Final = ("px", "%", "em", "rem", "vw", "vh", "vmin", "vmax")


class CssLength(t.TraitType[str, str]):
    """A length as CSS has it, or a number of pixels."""

    info_text = "a number of pixels, or a CSS length such as '80%' or '30em'"

    def validate(self, obj: Any, value: Any) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return f"{value:g}px"
        if isinstance(value, str) and value.strip().endswith(_CSS_LENGTHS) and value.strip()[0].isdigit():
            return value.strip()
        self.error(obj, value)
        raise AssertionError("error() raises")
