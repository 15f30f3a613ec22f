"""Slicer's whole layout, live in a cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import traitlets as t

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Job, Session
from slicer_notebook.session.images import view_title
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.live import CssLength, LiveWidget

__all__ = ["LiveLayout", "views_of"]

_NOT_LIVE = "Slicer draws no {kind} views here; a {kind}'s own display in the notebook shows it."


class LiveLayout(LiveWidget):
    """The views of Slicer's present layout, live: what ``slicer.show()`` shows. It follows the layout.

    Args:
        session: whose.
        height: pixels, or a CSS length; the lower border can be dragged. It is as wide as the cell.
        controllers: whether slice views have the bars of `SliceController`.
        privacy: "strict" leaves no picture in a saved notebook.

    Raises:
        ArgumentError: ``session`` is no session, or a height that is none.
    """

    _esm = "\n".join((assets.renderview("renderview.js"), assets.esm("live_layout", "live_canvas", "slice_bar")))
    _css = "\n".join((assets.renderview("renderview.css"), assets.css("live_layout", "live_canvas", "slice_bar")))

    _arrangement = t.Dict().tag(sync=True)
    _height = CssLength().tag(sync=True)

    def __init__(
        self,
        session: Session,
        *,
        height: int | str = 640,
        controllers: bool = True,
        privacy: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._with_bars = controllers
        try:
            super().__init__(session, [], privacy=privacy, _height=height, **kwargs)
        except t.TraitError as exc:
            raise ArgumentError("That is no height.", expected=CssLength.info_text, got=str(exc)) from None
        if session.alive:
            self._use(session.call("view.arrangement"))

    def _use(self, tree: dict[str, Any]) -> None:
        views = list(views_of(tree))
        for view in views:
            view["title"] = view_title(view["name"])
            if view["kind"] not in ("slice", "3d"):
                view["message"] = _NOT_LIVE.format(kind=view["kind"])
        self._stream([view["name"] for view in views if view["kind"] in ("slice", "3d")])
        self._have_bars([view["name"] for view in views if view["kind"] == "slice"] if self._with_bars else [])
        self._arrangement = tree

    def _on_live_scene(self, event: dict[str, list[Any]]) -> None:
        if any(node.class_name == "vtkMRMLLayoutNode" for node in event["modified"]):
            self._ask("view.arrangement", self._arranged)

    def _arranged(self, job: Job[Any]) -> None:
        if job.exception(0) is not None:
            return
        self._use(job.result(0))
        self._look_for_lost()

    def _when_back(self) -> None:
        self._ask("view.arrangement", self._arranged)
        super()._when_back()


def views_of(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if tree["kind"] == "view":
        yield tree["view"]
    for child in tree.get("children", ()):
        yield from views_of(child)
