"""Two volumes in one slice, for a person to look from one to the other."""

from __future__ import annotations

import html
import math
import threading
from base64 import b64encode
from typing import Any, Final

import traitlets as t

from slicer_notebook.errors import SlicerNotebookError, error_in_words
from slicer_notebook.session import Job, Volume
from slicer_notebook.session.compare import MODES, Comparison
from slicer_notebook.session.images import Image
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import SessionWidget, static_note
from slicer_notebook.widgets.threads import Pacer

__all__ = ["Compare"]

#: Seconds between two requests of a drag, at least.
_INTERVAL: Final = 0.02
#: What of the answer the browser is told.
_FACTS: Final = ("offset", "offset_range", "offset_step", "orientation", "letters", "size")
#: Classes whose changes change a slice: how volumes are shown, and where they are.
_SHOWN_BY: Final = ("Display", "Transform", "Color")


class Compare(SessionWidget):
    """Two volumes in one slice: blended, as a checkerboard, with a border to move, or side by side.

    The pictures are taken from a slice view that stays as it is; the two are cut by one plane, whatever their grids. A
    drag of the blend or the border is the browser's alone; scrolling asks Slicer, one request at a time.

    Args:
        a, b: volumes of one session.
        view: the slice view whose ways to show things are taken.
        orientation: "Axial", "Sagittal", "Coronal", or "Volume" for the planes of ``a``; the view's without it.
        size: longer edge of a slice's picture, pixels.
        privacy: ``"strict"`` lets no picture and no name get into the notebook's file.

    Attributes:
        mode: "blend", "checkerboard", "swipe" or "side by side".
        position: of a blend, the opacity of ``b``; of a swipe, where the border is, 0 to 1.
        offset: mm along the normal; nan before it is known.
        orientation: as above.
        problem: why there is no picture; "" where there is one.

        All of them are traits: observable, and settable but for ``problem``.

    Raises:
        ArgumentError: no volumes, volumes of two sessions, or arguments that do not fit.
    """

    _esm = assets.esm("compare")
    _css = assets.css("compare")

    mode = t.Enum(MODES, "blend").tag(sync=True)
    position = t.Float(0.5, min=0.0, max=1.0).tag(sync=True)
    offset = t.Float(float("nan"))
    orientation = t.Unicode()
    problem = t.Unicode()

    def __init__(
        self,
        a: Volume,
        b: Volume,
        *,
        view: str = "Red",
        orientation: str = "",
        size: int = 512,
        privacy: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._comparison = Comparison(a, b, view)
        self.privacy = checked(privacy)
        self.size = size
        self._wanted_offset: float | None = None
        #: As it was when Slicer was asked last.
        self._asked_offset: float | None = None
        #: The last answer of Slicer: facts and PNGs.
        self._shown: dict[str, Any] = {}
        self._taking: int | None = None
        super().__init__(self._comparison.session, orientation=orientation, **kwargs)
        if self.offset == self.offset:  # not nan: given
            self._wanted_offset = self.offset
        self._pacer = Pacer(self._fetch, _INTERVAL)
        self.observe(self._moved, names=["offset", "orientation"])
        self._subscriptions.append(self._session.on("scene", self._on_scene))
        # The first picture is waited for: what is wrong with the arguments is said here, and a saved notebook has it.
        self._take(self._session.call("view.compare_layers", **self._request()))
        self._tell_until_greeted()

    @property
    def a(self) -> Volume:
        """The first volume."""
        return self._comparison.a

    @property
    def b(self) -> Volume:
        """The second volume."""
        return self._comparison.b

    def image(self, mode: str | None = None, position: float | None = None, **options: Any) -> Image:
        """One picture of both, as it is shown, or otherwise: see `Comparison.image`."""
        chosen: dict[str, Any] = {"size": self.size, "orientation": self.orientation or None}
        if self.offset == self.offset:
            chosen["offset"] = self.offset
        return self._comparison.image(
            self.mode if mode is None else mode, self.position if position is None else position, **chosen | options
        )

    # -- from Slicer ---------------------------------------------------------------------------------------------

    def _request(self) -> dict[str, Any]:
        self._asked_offset = self._wanted_offset
        return {
            "a": self.a,
            "b": self.b,
            "view": self._comparison.view,
            "offset": self._asked_offset,
            "orientation": self.orientation or None,
            "size": self.size,
        }

    def _fetch(self) -> None:
        """Ask for the pictures at the newest offset. The pacer calls it."""
        if self._ask("view.compare_layers", self._came, **self._request()) is None:
            self._pacer.finished()

    def _came(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is None:
            self._take(job.result(0))
        else:
            words = error_in_words(error)["message"]
            self._home.call(lambda: self.set_trait("problem", words))
            self.send({"type": "failed", "message": words})
        self._pacer.finished()

    def _take(self, found: dict[str, Any]) -> None:
        with self._lock:
            self._shown = found
            newest = self._wanted_offset == self._asked_offset
        self._tell_all()

        def take() -> None:
            self._taking = threading.get_ident()
            try:
                self.problem = ""
                if newest:
                    self.offset = float(found["offset"])
            finally:
                self._taking = None

        self._home.call(take)

    def _on_scene(self, event: dict[str, Any]) -> None:
        own = {self.a.id, self.b.id}
        if any(
            node.id in own or any(part in node.class_name for part in _SHOWN_BY)
            for kind in ("modified", "removed")
            for node in event[kind]
        ):
            self._pacer.request()

    # -- what is to be seen --------------------------------------------------------------------------------------

    def _moved(self, change: Any) -> None:
        """Somebody has set a trait."""
        if self._taking == threading.get_ident():
            return
        if change["name"] == "orientation":
            self._wanted_offset = None
        else:
            self._wanted_offset = float(change["new"])
        self._pacer.request()

    def _do_scroll(self, content: dict[str, Any]) -> None:
        """A person scrolls."""
        with self._lock:
            self._wanted_offset = float(content["offset"])
        self._pacer.request()

    def _do_turn(self, content: dict[str, Any]) -> None:
        """A person chooses another orientation."""
        name = str(content["orientation"])
        with self._lock:
            self._wanted_offset = None
        self._home.call(lambda: self.set_trait("orientation", name))

    def _do_mode(self, content: dict[str, Any]) -> None:
        """A person chooses how to compare, or moves the blend or the border."""
        mode, position = content.get("mode"), content.get("position")

        def take() -> None:
            if mode in MODES:
                self.mode = mode
            if position is not None:
                self.position = min(1.0, max(0.0, float(position)))

        self._home.call(take)

    def _tell_all(self) -> None:
        with self._lock:
            found = self._shown
        if found:
            names = {"a": self.a._ref.name, "b": self.b._ref.name}
            content = {"type": "pictures", "names": names, **{key: found[key] for key in _FACTS}}
            self.send(content, buffers=[found["a"], found["b"], found["over"]])

    def _when_back(self) -> None:
        self._pacer.finished()

    def close(self) -> None:
        """Take the widget away. The session goes on."""
        pacer: Pacer | None = getattr(self, "_pacer", None)
        if pacer is not None:
            pacer.close()
        super().close()

    def _static_html(self) -> str:
        if self.privacy == "strict":
            return static_note("Two volumes were compared; privacy: strict.")
        names = f"{self.a._ref.name} and {self.b._ref.name}"
        try:
            png = self.image().png
        except SlicerNotebookError as exc:
            return static_note(f"{names}: {error_in_words(exc)['message']}")
        place = "" if math.isnan(self.offset) else f" \u00b7 {self.offset + 0.0:.1f} mm"
        return (
            f'<figure style="margin:0"><img alt="{html.escape(f"{self.mode} of {names}")}" style="max-width:100%" '
            f'src="data:image/png;base64,{b64encode(png).decode("ascii")}"><figcaption style="font-size:12px">'
            f"{html.escape(names)} \u00b7 {html.escape(self.mode)}{place}"
            "</figcaption></figure>"
        )

    def __repr__(self) -> str:
        return f"<Compare of {self.a._ref.name!r} and {self.b._ref.name!r} of {self._session.name!r}>"
