"""``slicer.open(url)``: a link from another program or web page, opened in this session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from slicer_notebook.errors import ArgumentError, LinkRefusedError

if TYPE_CHECKING:
    from slicer_notebook.session.handles import Node
    from slicer_notebook.session.session import Session

__all__ = ["Opened", "open_link"]


class Opened(msgspec.Struct, kw_only=True, frozen=True):
    """What a link brought.

    Attributes:
        studies, series: UIDs of what it brought, or is about.
        instances: how many are here of them.
        nodes: handles of what was loaded.
        load: ids of the load queue's entries.
        parsed: the link as it was understood; secrets are masked.
        answer: of a method of OsiriX; None otherwise.
    """

    studies: list[str] = []
    series: list[str] = []
    instances: int = 0
    nodes: list[Any] = []
    load: list[int] = []
    parsed: dict[str, Any] = {}
    answer: Any = None

    @property
    def node(self) -> Node | None:
        """The first of `nodes`, which is shown."""
        return self.nodes[0] if self.nodes else None

    def __repr__(self) -> str:
        what = self.parsed.get("method") or self.parsed.get("form", "link")
        parts = [f"{self.instances} instances" if self.instances != 1 else "1 instance"] if self.series else []
        parts += [", ".join(map(repr, self.nodes))] if self.nodes else []
        return f"<Opened {what}: {'; '.join(parts) or 'done'}>"


def open_link(session: Session, url: str, agreed: bool) -> Opened:
    """See `Session.open`."""
    if not isinstance(url, str):
        raise ArgumentError("That is no link.", expected="text", got=type(url).__name__)
    if not isinstance(agreed, bool):
        raise ArgumentError("Whether you agree.", expected="True or False", got=type(agreed).__name__)
    job = session.submit("links.open", url=url, agreed=agreed, database=session.dicom.database, by="slicer.open")
    try:
        found: dict[str, Any] = session.wait(job)
    except LinkRefusedError as exc:
        if exc.details.get("action") == "ask" and exc.hint is None:
            exc.hint = "if you trust where the link comes from: slicer.open(url, agreed=True)"
        raise
    return msgspec.convert(found, Opened)
