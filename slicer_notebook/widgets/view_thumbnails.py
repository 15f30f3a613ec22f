"""A grid of all views' pictures that follows the scene."""

from __future__ import annotations

import html
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import traitlets as t

from slicer_notebook.errors import ArgumentError, DeadlineError, SlicerNotebookError, ViewNotFoundError
from slicer_notebook.session import Job, Session
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, error_in_words, static_note
from slicer_notebook.widgets.threads import Pacer

__all__ = ["ViewThumbnails"]

#: Seconds between two refreshes, at least: four a second look alive, and leave a Slicer on two cores its time.
INTERVAL = 0.25

#: Seconds that the display of the cell waits for the pictures, so that a saved notebook has them.
_SETTLE = 3.0

#: Pixels of a picture that may be asked for.
_SIZES = (32, 2048)


class ViewThumbnails(SessionWidget):
    """The present pictures of all views of the layout; they follow the scene, at most four times a second.

    Never more than one request for a view is under way; what changes meanwhile is in the next picture. Nothing is asked
    for after `close`.

    Args:
        session: the session.
        size: (width, height) of a picture, pixels.
        columns: pictures side by side; as many as fit without it.

    Raises:
        ArgumentError: a size outside 32 to 2048.
    """

    _esm = assets.esm("view_thumbnails")
    _css = assets.css("view_thumbnails")

    columns = t.Int(0, help="Pictures side by side; 0: as many as fit.").tag(sync=True)
    #: For each view, in the layout's order: name, kind, orientation, offset (mm), error. None until Slicer answers.
    _views: Any = t.List(allow_none=True, default_value=None).tag(sync=True)
    #: PNG by view.
    _pictures = t.Dict().tag(sync=True)

    def __init__(
        self, session: Session, *, size: tuple[int, int] = (320, 320), columns: int = 0, **kwargs: Any
    ) -> None:
        self.size = _checked(size)
        super().__init__(session, columns=columns, **kwargs)
        #: Views whose picture is out of date; None stands for the layout itself.
        self._stale: set[str | None] = {None}
        self._pacer = Pacer(self._refresh, INTERVAL)
        self._subscriptions += [session.on("views", self._on_views), session.on("scene", self._on_scene)]
        self._pacer.request()

    # -- what happens in Slicer ----------------------------------------------------------------------------------

    def _on_views(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._stale.update(event["names"])
        self._pacer.request()

    def _on_scene(self, event: dict[str, Any]) -> None:
        # Only what changes which views there are. Each picture itself touches nodes: to follow those would never end.
        nodes = [*event["added"], *event["modified"]]
        if any(node.class_name == "vtkMRMLLayoutNode" for node in nodes):
            self._everything()

    def _everything(self) -> None:
        with self._lock:
            self._stale.add(None)
        self._pacer.request()

    def _when_back(self) -> None:
        self._pacer.finished()
        self._everything()

    def close(self) -> None:
        """Take the widget away; nothing is asked for any more. The session goes on."""
        pacer: Pacer | None = getattr(self, "_pacer", None)
        if pacer is not None:
            pacer.close()
        super().close()

    # -- one refresh ---------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Begin to fetch what is out of date. The pacer calls it; `_end` ends it."""
        with self._lock:
            stale, self._stale = self._stale, set()
        if self._status["state"] != "live":
            self._pacer.finished()
        elif None in stale or self._views is None:
            if self._ask("view.names", self._names_came) is None:
                self._pacer.finished()
        else:
            self._fetch([view["name"] for view in self._views if view["name"] in stale])

    def _names_came(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is not None:
            self._end({}, error)
            return
        names: list[str] = job.result(0)
        with self._lock:
            known = {view["name"]: view for view in self._views or []}
            self._views = [known.get(name, {"name": name}) for name in names]
            self._pictures = {name: png for name, png in self._pictures.items() if name in names}
        self._fetch(names)

    def _fetch(self, names: list[str]) -> None:
        if not names:
            self._end({}, None)
            return
        batch = _Batch(names, lambda found: self._end(found, None))
        for name in names:
            # Slicer answers one connection's requests in their order: words and picture tell of one moment, nearly.
            for command, key, more in (("view.state", "state", {}), ("view.png", "png", {"size": self.size})):
                if self._ask(command, batch.taker(name, key), name=name, **more) is None:
                    self._pacer.finished()
                    return

    def _end(self, fresh: dict[str, dict[str, Any]], error: BaseException | None) -> None:
        errors = [error, *(found.get("error") for found in fresh.values())]
        with self._lock:
            if any(isinstance(each, ViewNotFoundError) for each in errors):
                self._stale.add(None)  # the layout changed meanwhile
            words = {name: _words(found) for name, found in fresh.items()}
            self._views = [words.get(view["name"], view) for view in self._views or []]
            pictures = {name: found["png"] for name, found in fresh.items() if "png" in found}
            if pictures:
                self._pictures = {**self._pictures, **pictures}
            again = bool(self._stale)
        self._pacer.finished()
        if again:
            self._pacer.request()

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        pictures = self._settled_pictures(time.monotonic() + _SETTLE)
        cells = "".join(
            '<figure style="margin:0"><img style="width:100%;border-radius:4px" '
            f'alt="Slicer view {html.escape(name)}" src="data:image/png;base64,{b64encode(png).decode("ascii")}">'
            f'<figcaption style="font-size:12px;text-align:center">{html.escape(_caption(name))}</figcaption></figure>'
            for name, png in pictures.items()
        )
        state = "" if self._status["state"] == "live" else static_note(self._status["message"])
        if not cells and not state:
            state = static_note("The views' pictures had not come when this cell was run.")
        columns = self.columns or "auto-fit"
        grid = f"display:grid;grid-template-columns:repeat({columns},minmax(200px,1fr));gap:8px;max-width:1320px"
        return f'<div style="{grid}">{cells}</div>{state}'

    def _settled_pictures(self, deadline: float) -> dict[str, bytes]:
        """The pictures to save: those that are there, else asked for and waited for a moment."""
        if self._pictures or self._status["state"] != "live":
            return dict(self._pictures)
        try:
            names = self._session.submit("view.names").result(_left(deadline))
            jobs = {name: self._session.submit("view.png", name=name, size=self.size) for name in names}
            return {name: job.result(_left(deadline)) for name, job in jobs.items()}
        except DeadlineError:
            return dict(self._pictures)
        except SlicerNotebookError as exc:
            self._views = [{"name": "", "error": error_in_words(exc)}] if self._views is None else self._views
            return {}


class _Batch:
    """Answers about several views that are shown together.

    Args:
        names: the views.
        ended: called with what came, by view: ``state``, ``png``, ``error``.
    """

    def __init__(self, names: list[str], ended: Callable[[dict[str, dict[str, Any]]], None]) -> None:
        self._found: dict[str, dict[str, Any]] = {name: {"name": name} for name in names}
        self._left = 2 * len(names)
        self._ended = ended
        self._lock = threading.Lock()

    def taker(self, name: str, key: str) -> Callable[[Job[Any]], None]:
        """What takes the answer ``key`` about ``name``."""

        def take(job: Job[Any]) -> None:
            error = job.exception(0)
            with self._lock:
                if error is None:
                    self._found[name][key] = job.result(0)
                else:
                    self._found[name]["error"] = error
                self._left -= 1
                last = self._left == 0
            if last:
                self._ended(self._found)

        return take


def _caption(name: str) -> str:
    # Slicer calls its first 3-D view "1".
    return "3-D view" if name == "1" else name


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _words(found: dict[str, Any]) -> dict[str, Any]:
    state = found.get("state") or {}
    words: dict[str, Any] = {"name": found["name"], "kind": state.get("kind", "")}
    if "offset" in state:
        words.update(offset=float(state["offset"]), orientation=str(state["orientation"]))
    if "error" in found:
        words["error"] = error_in_words(found["error"])
    return words


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    low, high = _SIZES
    try:
        width, height = (int(side) for side in size)
    except (TypeError, ValueError):
        width = height = 0
    if not (low <= width <= high and low <= height <= high):
        raise ArgumentError(
            "The size of the pictures is (width, height) in pixels.",
            expected=f"two numbers from {low} to {high}",
            got=repr(size),
        )
    return width, height
