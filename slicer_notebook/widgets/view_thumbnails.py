"""A grid of all views' pictures that follows the scene."""

from __future__ import annotations

import html
import time
import uuid
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import traitlets as t

from slicer_notebook.errors import ArgumentError, DeadlineError, SlicerNotebookError, ViewNotFoundError, error_in_words
from slicer_notebook.session import Job, Session
from slicer_notebook.session.images import Picture, Pictures, caption_of, provenance, view_title
from slicer_notebook.session.output import Output, in_notebook, show
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import static_note
from slicer_notebook.widgets.batches import Batch
from slicer_notebook.widgets.live import Streaming
from slicer_notebook.widgets.threads import Pacer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ViewThumbnails"]

#: Seconds between two refreshes, at least: four a second look alive, and leave a Slicer on two cores its time.
INTERVAL: Final = 0.25

#: Seconds that the display of the cell waits for the pictures, so that a saved notebook has them.
_SETTLE: Final = 3.0

#: Pixels of a picture that may be asked for.
_SIZES: Final = (32, 2048)

#: Seconds for which a browser's word counts that somebody can see the grid; it is said again in half of that.
WATCHED_FOR: Final = 40.0

#: (width, height), pixels, of a picture that is put into the notebook.
_TAKEN: Final = (768, 768)


class ViewThumbnails(Streaming):
    """The present pictures of all views of the layout; they follow the scene, at most four times a second.

    A click enlarges a view; its hand makes the large one live, to work in. The camera puts a view's picture into the
    notebook, with its provenance. Never more than one request for a view is under way; what changes meanwhile is in the
    next picture. Nothing is asked for after `close`, and, once a browser shows the grid, while nobody can see it.

    Args:
        session: the session.
        size: (width, height) of a picture, pixels.
        columns: pictures side by side; as many as fit without it.
        privacy: ``"strict"`` lets no picture get into the notebook's file by itself, and leaves names and UIDs out of
            the provenance of those that are put there. See `StudyPicker`.

    Attributes:
        pictures: what the camera and `take` have taken, a list of `Picture`. Observable.

    Raises:
        ArgumentError: a size outside 32 to 2048.
    """

    _esm = "\n".join((assets.renderview("renderview.js"), assets.esm("view_thumbnails", "live_canvas")))
    _css = "\n".join((assets.renderview("renderview.css"), assets.css("view_thumbnails", "live_canvas")))

    columns = t.Int(0, help="Pictures side by side; 0: as many as fit.").tag(sync=True)
    pictures: t.List[Picture] = t.List()

    def __init__(
        self,
        session: Session,
        *,
        size: tuple[int, int] = (320, 320),
        columns: int = 0,
        privacy: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.size = _checked(size)
        self.privacy = checked(privacy)
        super().__init__(session, columns=columns, **kwargs)
        #: For each view, in the layout's order: ``name``; ``facts`` of the command ``view.picture``; ``error``. None
        #: until Slicer answers.
        self._views: list[dict[str, Any]] | None = None
        self._pngs: dict[str, bytes] = {}
        #: Views whose picture is out of date; None stands for the layout itself.
        self._stale: set[str | None] = {None}
        #: For each browser's view of this: the view that is enlarged there, and the size of its picture.
        self._enlarged: dict[str, tuple[str, tuple[int, int]]] = {}
        #: For each browser's view of this: the view that somebody works in there.
        self._worked_in: dict[str, str] = {}
        #: Why it is not known which views there are, in words.
        self._trouble: dict[str, str] = {}
        #: Until when each browser's view of this is watched.
        self._watched: dict[str, float] = {}
        self._heard = False
        #: Names the place in the cell's output where pictures are put.
        self._place = ""
        #: What is there.
        self._taken_here: list[Picture] = []
        #: All that were taken; `pictures` has them as soon as the main thread is free.
        self._album: list[Picture] = []
        #: Displays of this less browsers' views of it.
        self._shown = 0
        self._pacer = Pacer(self._refresh, INTERVAL)
        self._subscriptions += [session.on("views", self._on_views), session.on("scene", self._on_scene)]
        self._pacer.request()
        self._tell_until_greeted()

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
        super()._when_back()
        self._pacer.finished()
        self._everything()

    def close(self) -> None:
        """Take the widget away; nothing is asked for any more. The session goes on."""
        pacer: Pacer | None = getattr(self, "_pacer", None)
        if pacer is not None:
            pacer.close()
        super().close()

    # -- whether anybody looks -----------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        """Whether nothing is asked for, since no browser's window shows the grid."""
        with self._lock:
            return self._heard and not any(map(self._looks, self._watched))

    def _looks(self, view: str) -> bool:
        """Whether a browser's view can be seen, as far as its browser has said anything."""
        return not self._heard or self._watched.get(view, 0.0) > time.monotonic()

    def _do_watch(self, content: dict[str, Any]) -> None:
        """A browser says that its view can be seen, or cannot."""
        view = str(content["view"])
        with self._lock:
            asleep = not self._looks(view)
            self._heard = True
            if content["on"]:
                self._watched[view] = time.monotonic() + WATCHED_FOR
            else:
                self._watched.pop(view, None)
            if asleep and view in self._enlarged:
                self._stale.add(self._enlarged[view][0])
            wanted = content["on"] and bool(self._stale)
        if wanted:
            self._pacer.request()

    # -- one refresh ---------------------------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Begin to fetch what is out of date. The pacer calls it; `_end` ends it."""
        if self._status["state"] != "live" or (self.paused and self._views is not None):
            # What is out of date stays so, until somebody looks.
            self._pacer.finished()
            return
        with self._lock:
            stale, self._stale = self._stale, set()
        if None in stale or self._views is None:
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
            self._pngs = {name: png for name, png in self._pngs.items() if name in names}
            self._trouble = {}
        self._fetch(names)

    def _fetch(self, names: list[str]) -> None:
        if not names:
            self._end({}, None)
            return
        wanted = [(name, self.size) for name in names]
        with self._lock:
            # Not those of a page that was left: it says nothing more.
            large = {each for view, each in self._enlarged.items() if self._looks(view)}
        wanted += [each for each in sorted(large) if each[0] in names and each not in wanted]
        batch = Batch(wanted, lambda found: self._end(found, None))
        for key in wanted:
            if self._ask("view.picture", batch.taker(key), name=key[0], size=key[1]) is None:
                self._pacer.finished()
                return

    def _end(self, fresh: dict[Any, Job[Any]], error: BaseException | None) -> None:
        errors = [error, *(job.exception(0) for job in fresh.values())]
        with self._lock:
            if any(isinstance(each, ViewNotFoundError) for each in errors):
                self._stale.add(None)  # the layout changed meanwhile
            words = {}
            for (name, size), job in fresh.items():
                if size != self.size:
                    continue
                failed = job.exception(0)
                if failed is not None:
                    words[name] = {"name": name, "error": error_in_words(failed)}
                else:
                    words[name] = {"name": name, "facts": job.result(0)["facts"]}
                    self._pngs[name] = job.result(0)["png"]
            if self._views is not None:
                self._views = [words.get(view["name"], view) for view in self._views]
            again = bool(self._stale)
            # What failed is tried again when a browser says that somebody still looks, not at once. Slicer itself says
            # no more: to it a view is out of date until its picture was taken.
            self._stale.update(name for name, view in words.items() if "error" in view)
            if error is not None:
                self._trouble = error_in_words(error)
                self._stale.add(None)
            enlarged = set(self._enlarged.values())
        self._send_views([name for name, view in words.items() if "error" not in view])
        for key, job in fresh.items():
            if key in enlarged and job.exception(0) is None:
                self._send_large(key[0], job.result(0))
        self._pacer.finished()
        if again:
            self._pacer.request()

    # -- to the browser ------------------------------------------------------------------------------------------

    def _send_views(self, fresh: list[str]) -> None:
        """All views in words, and the pictures of ``fresh``. In no trait: those are saved with the notebook."""
        with self._lock:
            views = [_words(view) for view in self._views or []]
            pngs = {name: self._pngs[name] for name in fresh if name in self._pngs}
            known, trouble = self._views is not None, self._trouble
        if known or trouble:
            content = {"type": "views", "views": views, "pictures": list(pngs), "trouble": trouble}
            self.send(content, buffers=list(pngs.values()))

    def _send_large(self, name: str, raw: dict[str, Any]) -> None:
        self.send({"type": "large", "view": _words({"name": name, "facts": raw["facts"]})}, buffers=[raw["png"]])

    def _tell_all(self) -> None:
        self._send_views(list(self._pngs))

    def _do_hello(self, content: dict[str, Any]) -> None:
        super()._do_hello(content)
        with self._lock:
            # A view without a display of its own: the page was loaded anew, and the cell's output cannot be changed.
            self._shown -= 1
            alone = self._shown < 0
            taken = list(self._album) if alone else []
        for number, picture in enumerate(taken):
            self._send_taken(number, picture)

    def _do_enlarge(self, content: dict[str, Any]) -> None:
        """A view is enlarged (``name``, ``size``) in a browser's ``view`` of this, or none (no name)."""
        name, view = content.get("name"), str(content.get("view", ""))
        with self._lock:
            if not name:
                self._enlarged.pop(view, None)
                return
            low, high = _SIZES
            width, height = (max(low, min(high, int(side))) for side in content["size"])
            self._enlarged[view] = (str(name), (width, height))
            self._stale.add(str(name))
        # Not at once: who keeps an arrow key down gets the views at the grid's pace.
        self._pacer.request()

    def _do_live(self, content: dict[str, Any]) -> None:
        """Somebody works in a view (``name``) in a browser's ``view`` of this, or in none (no name)."""
        name, view = content.get("name"), str(content["view"])
        with self._lock:
            if name:
                self._worked_in[view] = str(name)
            else:
                self._worked_in.pop(view, None)
            names = sorted(set(self._worked_in.values()))
        self._stream(names)

    # -- taking pictures -----------------------------------------------------------------------------------------

    def take(self, view: str, size: tuple[int, int] = _TAKEN) -> Picture:
        """The picture of a view as it is now, with its provenance; it is added to `pictures`.

        Args:
            view: "Red", "Green", "Yellow", "1" (3-D; also "3D").
            size: (width, height), pixels.

        Raises:
            ViewNotFoundError: no such view in the present layout.
            ArgumentError: a size outside 32 to 2048.
        """
        found = self._picture(self._session.call("view.picture", name=view, size=_checked(size)))
        with self._lock:
            self._album.append(found)
            album = list(self._album)
        self.pictures = album
        return found

    def _picture(self, raw: dict[str, Any]) -> Picture:
        return self._session._picture(raw, strict=self.privacy == "strict")

    def _do_take(self, content: dict[str, Any]) -> None:
        """The camera's button."""
        self._ask("view.picture", self._taken, name=str(content["name"]), size=_TAKEN)

    def _taken(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is not None:
            self.send({"type": "not-taken", **error_in_words(error)})
            return
        picture = self._picture(job.result(0))

        def add() -> None:
            with self._lock:
                album = list(self._album)
            self.pictures = album

        with self._lock:
            self._album.append(picture)
            number = len(self._album) - 1
            alone = self._shown < 0
            place = self._place
            self._taken_here = [*self._taken_here, picture]
            taken = self._taken_here
        self._home.call(add)
        if place:
            show(Output("update_display_data", {**_output(taken), "transient": {"display_id": place}}))
        if alone or not place:
            self._send_taken(number, picture)
        self.send({"type": "taken", "view": picture.name})

    def _send_taken(self, number: int, picture: Picture) -> None:
        self.send({"type": "strip", "number": number, "caption": picture.caption}, buffers=[picture.png])

    # -- a contact sheet -----------------------------------------------------------------------------------------

    def _now(self) -> Pictures:
        return self._session._pictures(self.size, strict=self.privacy == "strict")

    def figure(self, columns: int = 2, *, title: str = "", inches: float = 4.0) -> Figure:
        """A matplotlib figure of the views' present pictures, with captions: a contact sheet.

        Args:
            columns: pictures in a row.
            title: above them.
            inches: width and height of a picture's place.

        Raises:
            ArgumentError: no columns or no size, or no views.
            SessionError: no Slicer to ask.
        """
        return self._now().figure(columns, title=title, inches=inches)

    def save(self, path: str | Path, columns: int = 2, *, title: str = "", inches: float = 4.0) -> Path:
        """Write that figure as PNG, PDF or SVG; the path. A PNG says of each picture what it shows, in its text.

        Raises:
            ArgumentError: another ending; else as `figure`.
            PathNotFoundError: no such folder.
        """
        return self._now().save(path, columns, title=title, inches=inches)

    # -- display -------------------------------------------------------------------------------------------------

    def _ipython_display_(self) -> None:
        with self._lock:
            # Views of a page that is no more are forgotten: this display has a place that can be changed.
            self._shown = max(0, self._shown) + 1
            self._place = uuid.uuid4().hex
            self._taken_here = []
        super()._ipython_display_()
        if in_notebook():
            # The camera's pictures appear here. Nothing of them is to be seen before.
            empty = {"data": {"text/html": "<!-- pictures that are taken appear here -->"}, "metadata": {}}
            show(Output("display_data", {**empty, "transient": {"display_id": self._place}}))

    def _static_html(self) -> str:
        if self.privacy == "strict":
            count = len(self._views or [])
            return static_note(f"The grid showed {count} {'view' if count == 1 else 'views'}; privacy: strict.")
        pictures, error = self._settled(time.monotonic() + _SETTLE)
        cells = "".join(
            '<figure style="margin:0"><img style="width:100%;border-radius:4px" '
            f'alt="Slicer view {html.escape(name)}" src="data:image/png;base64,{b64encode(png).decode("ascii")}">'
            '<figcaption style="font-size:12px;text-align:center">'
            f"{html.escape(_caption(facts, name))}</figcaption></figure>"
            for name, facts, png in pictures
        )
        state = "" if self._status["state"] == "live" else static_note(self._status["message"])
        if error and not state:
            state = static_note(f"{error['message']} {error['hint']}")
        if not cells and not state:
            state = static_note("The views' pictures had not come when this cell was run.")
        columns = self.columns or "auto-fit"
        grid = f"display:grid;grid-template-columns:repeat({columns},minmax(200px,1fr));gap:8px;max-width:1320px"
        return f'<div style="{grid}">{cells}</div>{state}'

    def _settled(self, deadline: float) -> tuple[list[tuple[str, dict[str, Any] | None, bytes]], dict[str, str]]:
        """The pictures to save with their views' names and facts, and what is wrong, in words.

        The present ones, waited for a moment; else the last that were shown.
        """
        with self._lock:
            known = {view["name"]: view.get("facts") for view in self._views or []}
            last = [(name, known.get(name), png) for name, png in self._pngs.items()]
        if self._status["state"] != "live":
            return last, {}
        try:
            names = self._session.submit("view.names").result(_left(deadline))
            jobs = {name: self._session.submit("view.picture", name=name, size=self.size) for name in names}
            found = {name: job.result(_left(deadline)) for name, job in jobs.items()}
        except DeadlineError:
            return last, {}
        except SlicerNotebookError as exc:
            return last, error_in_words(exc)
        return [(name, raw["facts"], raw["png"]) for name, raw in found.items()], {}


def _caption(facts: dict[str, Any] | None, name: str) -> str:
    return caption_of(provenance(facts, "")).partition("\n")[0] if facts else view_title(name)


def _output(taken: list[Picture]) -> dict[str, Any]:
    """Pictures as one output of a cell: the newest last, each with what it shows."""
    page = "".join(picture._repr_html_() for picture in taken)
    data: dict[str, Any] = {"text/html": page, "text/plain": "\n".join(map(repr, taken))}
    if len(taken) == 1:
        data["image/png"] = b64encode(taken[0].png).decode("ascii")
    return {"data": data, "metadata": {"slicer_notebook": [picture.provenance for picture in taken]}}


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _words(view: dict[str, Any]) -> dict[str, Any]:
    """A view for the browser."""
    facts = view.get("facts") or {}
    words: dict[str, Any] = {"name": view["name"], "title": view_title(view["name"]), "kind": facts.get("kind", "")}
    if "offset" in facts:
        words |= {"offset": float(facts["offset"]), "orientation": str(facts["orientation"])}
        volume = facts.get("volume") or {}
        words["volume"] = volume.get("name", "")
        first, _, words["second"] = caption_of(provenance(facts, "")).partition("\n")
        words["facts"] = first.partition(" \u00b7 ")[2]
    if "error" in view:
        words["error"] = view["error"]
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
