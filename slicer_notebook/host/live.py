"""Live views: a view's pictures as they change, to whoever looks at them, and back what that person does there.

A change of a view only marks it (`commands.host.View`); it is drawn when somebody who looks has taken what was sent to
them before. So the newest state wins, nobody gets more than they can take, and somebody slow slows nobody else. What
several look at is drawn once. Drawing is for the main thread; making JPEG or PNG of it is for two other threads.
"""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.views import MAX_EDGE, is_grey, png
from slicer_notebook.errors import RenderingError, SlicerNotebookError, ViewNotFoundError
from slicer_notebook.host.interaction import Interaction, cursor_of
from slicer_notebook.host.spot import spot_at
from slicer_notebook.protocol import messages, values
from slicer_notebook.protocol.values import Array

if TYPE_CHECKING:
    from slicer_notebook.host.agent import Connection

__all__ = ["LiveViews"]

_log = logging.getLogger("slicer_notebook.live")

#: Frames that may be on their way to one who looks.
UNSEEN: Final = 2
#: Seconds without a change after which the picture is sent as it is, without loss.
STILL_AFTER: Final = 0.25
#: Seconds after which a frame that nobody confirmed counts as lost.
LOST_AFTER: Final = 2.0
#: Seconds for which who looks may owe a word for a frame; after it they get no more until they speak.
ASLEEP_AFTER: Final = 10.0
#: Least side of a view, pixels.
MIN_EDGE: Final = 16
#: Threads that make JPEG and PNG.
_ENCODERS: Final = 2

#: Seconds from sending a frame to its confirmation: above, the next ones get smaller; below, larger again.
_SLOW: Final = 0.15
_QUICK: Final = 0.07
#: Confirmations in a row that have to be quick before frames get larger again: a slow link is not tried too often.
_PROBE: Final = 12


class _Level(NamedTuple):
    """How the frames of a moving view are made: JPEG's quality, and every how many pixels."""

    quality: int
    step: int


_LEVELS: Final = (_Level(85, 1), _Level(65, 1), _Level(45, 1), _Level(55, 2), _Level(35, 2), _Level(35, 3))


def _jpeg(pixels: Array, level: _Level) -> bytes:
    import simplejpeg

    if level.step > 1:
        pixels = np.ascontiguousarray(pixels[:: level.step, :: level.step])
    grey = is_grey(pixels)
    if grey:  # a third of the work, and fewer bytes
        pixels = np.ascontiguousarray(pixels[..., :1])
    encoded: bytes = simplejpeg.encode_jpeg(
        pixels, quality=level.quality, colorspace="GRAY" if grey else "RGB", colorsubsampling="Gray" if grey else "420"
    )
    return encoded


class _Watcher:
    """Somebody who looks at a view."""

    def __init__(
        self, connection: Connection, stream: int, view: _Shown, before_left: Callable[[], Callable[[], None]]
    ) -> None:
        self.connection = connection
        self.stream = stream
        self.view = view
        self.size: tuple[int, int] | None = None
        self.paused = False
        self.interaction = Interaction(view.view.native.interactor(), lambda: view.view.size, before_left)
        #: The last `Input` that was done.
        self.input = 0
        self.index = 0
        #: (index, when it was sent, whether without loss) of what nobody has confirmed.
        self.unseen: collections.deque[tuple[int, float, bool]] = collections.deque()
        #: Since when they owe a word: when the first frame was sent after their last one. None: they owe none.
        self.owing: float | None = None
        #: Which drawing of the view was sent last, and whether without loss.
        self.sent = 0
        self.sent_lossless = False
        self.level = 0
        self._quick = 0

    def spot(self) -> messages.Spot | None:
        """What is under the pointer; None for nothing."""
        place = self.interaction.place
        return spot_at(self.view.view, place) if place is not None else None

    def ready(self, now: float) -> bool:
        """Whether a frame may be sent."""
        while self.unseen and now - self.unseen[0][1] > LOST_AFTER:
            _, when, lossless = self.unseen.popleft()
            # Or it is still on its way, by a link that is very slow.
            self._adapt(now - when, lossless)
        return not self.paused and len(self.unseen) < UNSEEN and not self.asleep(now)

    def asleep(self, now: float) -> bool:
        """Whether nobody seems to be there: they owe a word for long."""
        return self.owing is not None and now - self.owing >= ASLEEP_AFTER

    def confirm(self, index: int, now: float) -> None:
        """A frame has arrived."""
        while self.unseen and self.unseen[0][0] <= index:
            number, when, lossless = self.unseen.popleft()
            if number == index:
                self._adapt(now - when, lossless)
        self.owing = self.unseen[0][1] if self.unseen else None

    def _adapt(self, seconds: float, lossless: bool) -> None:
        if lossless:
            return  # says nothing of the moving ones
        if seconds > _SLOW:
            self.level = min(self.level + 1, len(_LEVELS) - 1)
            self._quick = 0
        elif seconds < _QUICK:
            self._quick += 1
            if self._quick >= _PROBE and self.level > 0:
                self.level -= 1
                self._quick = 0


class _Shown:
    """A view that somebody looks at."""

    def __init__(self, view: Any) -> None:
        self.view = view
        self.watchers: list[_Watcher] = []
        self.dirty = True
        self.planned = False
        #: When to come back even if nothing happens.
        self.due = float("inf")
        self.pixels: Array | None = None
        #: Counts the drawings.
        self.drawing = 0
        self.drawn_at = -float("inf")
        self.moved_at = -float("inf")
        #: What was made of the present drawing, by how.
        self.encoded: dict[_Level | None, Future[tuple[str, bytes]]] = {}


class LiveViews:
    """All live views of a Slicer. All of it on the main thread.

    Args:
        host: the Slicer.
        later: ``later(seconds, function)`` on the main thread.
    """

    def __init__(
        self,
        host: Host,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._host = host
        self._later = later
        self._views: dict[str, _Shown] = {}
        self._watchers: dict[tuple[str, int], _Watcher] = {}
        self._encoders: ThreadPoolExecutor | None = None
        on_dirty = getattr(host, "on_view_dirty", None)
        if on_dirty is not None:
            on_dirty(self._dirty)

    # -- what the notebook says ----------------------------------------------------------------------------------

    def watch(self, connection: Connection, message: messages.Watch) -> None:
        """Begin to send a view's pictures, or change how."""
        key = (connection.name, message.stream)
        watcher = self._watchers.get(key)
        if watcher is not None and watcher.view.view.name != message.view:
            self._drop(key)
            watcher = None
        if watcher is None:
            try:
                watcher = self._begin(connection, message)
            except SlicerNotebookError as exc:
                self._refuse(connection, message.stream, exc)
                return
        watcher.owing = None
        watcher.paused = message.paused
        if message.again:
            watcher.sent = 0
            watcher.unseen.clear()
        if message.size is not None:
            watcher.size = message.size
            if not message.paused:
                self._resize(watcher)
        self._plan(watcher.view)

    def _begin(self, connection: Connection, message: messages.Watch) -> _Watcher:
        view: Any = self._host.view(message.view)
        shown = self._views.get(view.name)
        if shown is None or shown.view is not view:
            shown = self._views[view.name] = _Shown(view)
        watcher = _Watcher(connection, message.stream, shown, lambda: self._windowing(view))
        shown.watchers.append(watcher)
        self._watchers[connection.name, message.stream] = watcher
        return watcher

    def _windowing(self, view: Any) -> Callable[[], None]:
        """Let a drag in a slice view change window and level, unless the mouse is for something else; gives the end.

        In Slicer that is a mode of the mouse, which is chosen in the tool bar (vtkMRMLInteractionNode's
        AdjustWindowLevel). What lies under the pointer, such as a markup's point, is dragged in either mode.
        """
        found = self._host.nodes("vtkMRMLInteractionNode") if view.kind == "slice" else []
        if not found or found[0].GetCurrentInteractionMode() != found[0].ViewTransform:
            return lambda: None
        node = found[0]
        node.SetCurrentInteractionMode(node.AdjustWindowLevel)

        def end() -> None:
            if node.GetCurrentInteractionMode() == node.AdjustWindowLevel:
                node.SetCurrentInteractionMode(node.ViewTransform)

        return end

    def _refuse(self, connection: Connection, stream: int, error: SlicerNotebookError) -> None:
        info = values.printable(messages.ErrorInfo(**values.error_info(error)))
        connection.send(messages.Unwatched(stream=stream, error=info))

    def _resize(self, watcher: _Watcher) -> None:
        if watcher.size is None:
            return
        width, height = (min(max(int(edge), MIN_EDGE), MAX_EDGE) for edge in watcher.size)
        if (width, height) != watcher.view.view.size:
            watcher.view.view.size = (width, height)
            self._dirty(watcher.view.view.name)

    def input(self, connection: Connection, message: messages.Input) -> None:
        """Do what a person did in a view."""
        watcher = self._watchers.get((connection.name, message.stream))
        if watcher is None:
            return
        now = watcher.view.moved_at = time.monotonic()
        watcher.owing = None
        if message.seen:
            watcher.confirm(message.seen, now)
        # The view is as large as it is for the one who uses it.
        self._resize(watcher)
        error, pressed = "", watcher.interaction.pressed
        for event in message.events:
            try:
                watcher.interaction.apply(event)
            except SlicerNotebookError as exc:
                error = exc.message
            except Exception as exc:  # noqa: BLE001 - a script's observer may raise anything; the view goes on
                _log.exception("An event of view %s failed.", watcher.view.view.name)
                error = f"{type(exc).__name__}: {exc}"
        if pressed and not watcher.interaction.pressed:
            # Volume rendering is coarse during a drag (vtkRenderWindow's desired update rate), and not after it.
            self._dirty(watcher.view.view.name)
        watcher.input = message.number
        cursor = cursor_of(watcher.view.view.render_window)
        took = messages.Took(stream=message.stream, number=message.number, cursor=cursor, error=error)
        if not watcher.view.dirty:
            took.spot = watcher.spot()
        connection.send(took)
        self._plan(watcher.view)

    def seen(self, connection: Connection, message: messages.Seen) -> None:
        """A frame has arrived."""
        watcher = self._watchers.get((connection.name, message.stream))
        if watcher is not None:
            watcher.confirm(message.index, time.monotonic())
            self._plan(watcher.view)

    def unwatch(self, connection: Connection, message: messages.Unwatch) -> None:
        """No more frames."""
        self._drop((connection.name, message.stream))

    def gone(self, connection: Connection) -> None:
        """A notebook went away."""
        for key in [key for key in self._watchers if key[0] == connection.name]:
            self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        watcher = self._watchers.pop(key, None)
        if watcher is None:
            return
        watcher.interaction.release()
        shown = watcher.view
        shown.watchers.remove(watcher)
        if not shown.watchers and self._views.get(shown.view.name) is shown:
            del self._views[shown.view.name]

    # -- pictures ------------------------------------------------------------------------------------------------

    def _dirty(self, name: str) -> None:
        """A view's picture went out of date."""
        shown = self._views.get(name)
        if shown is not None:
            shown.dirty = True
            self._plan(shown)

    def _plan(self, shown: _Shown) -> None:
        """Draw and send soon: after what is waiting for the main thread already, such as further events."""
        if not shown.planned:
            shown.planned = True
            self._later(0.0, lambda: self._go_on(shown))

    def _go_on(self, shown: _Shown) -> None:
        shown.planned = False
        shown.due = float("inf")
        if self._views.get(shown.view.name) is not shown:
            return
        now = time.monotonic()
        ready = [watcher for watcher in shown.watchers if watcher.ready(now)]
        if ready and shown.dirty and not self._draw(shown):
            return
        for watcher in ready:
            self._send(shown, watcher)
        self._look_again(shown)

    def _draw(self, shown: _Shown) -> bool:
        try:
            if shown.view.name not in self._host.view_names():
                raise ViewNotFoundError(
                    f"The present layout does not show view {shown.view.name!r}.",
                    expected=", ".join(self._host.view_names()),
                    got=shown.view.name,
                )
            # Before it is drawn: what changes while it is drawn is for the next one.
            shown.dirty = False
            shown.pixels = shown.view.image()
        except (ViewNotFoundError, RenderingError) as exc:
            for watcher in list(shown.watchers):
                self._drop((watcher.connection.name, watcher.stream))
                self._refuse(watcher.connection, watcher.stream, exc)
            return False
        now = time.monotonic()
        if now - shown.drawn_at < 2 * STILL_AFTER:
            shown.moved_at = now
        shown.drawn_at = now
        shown.drawing += 1
        shown.encoded = {}
        return True

    def _still(self, shown: _Shown, now: float) -> bool:
        """Whether a picture without loss is worth its time: nothing moves, and no button is down."""
        return now - shown.moved_at >= STILL_AFTER and not any(each.interaction.pressed for each in shown.watchers)

    def _send(self, shown: _Shown, watcher: _Watcher) -> None:
        still = self._still(shown, time.monotonic())
        if shown.pixels is None or (watcher.sent == shown.drawing and (watcher.sent_lossless or not still)):
            return
        level = None if still else _LEVELS[watcher.level]
        encoded = shown.encoded.get(level)
        if encoded is None:
            encoded = shown.encoded[level] = self._encode(shown.pixels, level)
        watcher.sent, watcher.sent_lossless = shown.drawing, still
        watcher.index += 1
        now = time.monotonic()
        watcher.unseen.append((watcher.index, now, still))
        watcher.owing = watcher.owing or now
        height, width = shown.pixels.shape[:2]
        frame = messages.Frame(
            stream=watcher.stream,
            index=watcher.index,
            size=(width, height),
            mime="",
            lossless=still,
            data=b"",
            input=watcher.input,
            spot=watcher.spot(),
        )

        def send(done: Future[tuple[str, bytes]]) -> None:
            frame.mime, frame.data = done.result()
            watcher.connection.send(frame)

        encoded.add_done_callback(send)

    def _encode(self, pixels: Array, level: _Level | None) -> Future[tuple[str, bytes]]:
        if self._encoders is None:
            self._encoders = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="slicer-notebook-frames")
        if level is None:
            return self._encoders.submit(lambda: ("image/png", png(pixels)))
        return self._encoders.submit(lambda: ("image/jpeg", _jpeg(pixels, level)))

    def _look_again(self, shown: _Shown) -> None:
        """Come back when something is to be done that no message will bring about."""
        now = time.monotonic()
        waits = []
        for watcher in shown.watchers:
            if watcher.paused or watcher.asleep(now):
                continue
            outdated = shown.dirty or watcher.sent != shown.drawing
            if outdated or not watcher.sent_lossless:
                wait = STILL_AFTER if outdated else max(shown.moved_at + STILL_AFTER - now, 0.01)
                if len(watcher.unseen) >= UNSEEN:  # its confirmation comes, or is lost
                    wait = max(watcher.unseen[0][1] + LOST_AFTER - now, 0.01)
                waits.append(wait)
        if waits:
            due = shown.due = now + min(waits)

            def look() -> None:
                if shown.due == due and not shown.planned:  # else somebody else did, or will
                    self._go_on(shown)

            self._later(min(waits), look)
