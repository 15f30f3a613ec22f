"""``/slicer/mrml``, ``/mrml/names`` and ``/mrml/ids``: asked so often that the answers are kept.

An answer is good as long as the scene has not changed at all, which the host tells by a number that rises within each
change (`commands.Host.scene_generation`). So nothing is kept too long, and the main thread is asked once a change.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.gateways.rest.answers import JSON, answer

if TYPE_CHECKING:
    from starlette.responses import Response

    from slicer_notebook.commands.gateway import Context
    from slicer_notebook.gateways.rest.asking import Ask

__all__ = ["Names"]

#: What each path answers with, of a node.
_WHAT: Final = {"/slicer/mrml": "name", "/slicer/mrml/names": "name", "/slicer/mrml/ids": "id"}
#: Answers that are kept: each with the selector of its query.
_KEPT: Final = 64


class Names:
    """The answers, and where they come from. On the server's thread."""

    def __init__(self, context: Context) -> None:
        self._host = context.host
        self._generation = -1
        self._answers: dict[tuple[str, bytes], Response] = {}

    def kept(self, path: str, query: bytes) -> Response | None:
        """The answer, if nothing has changed since it was made."""
        if self._generation != self._host.scene_generation:
            return None
        return self._answers.get((path, query))

    async def answer(self, ask: Ask) -> Response:
        """The answer from Slicer."""
        path, query = ask.scope["path"], ask.scope["query_string"]
        # Read before the nodes are: what changes meanwhile makes this one old.
        generation = self._host.scene_generation
        nodes: list[Any] = await ask.call("scene.select", **ask.selector())
        what = _WHAT[path.rstrip("/")]
        made = answer(json.dumps([getattr(node, what) for node in nodes]).encode(), JSON)
        if generation == self._host.scene_generation:
            if generation != self._generation or len(self._answers) >= _KEPT:
                self._answers.clear()
                self._generation = generation
            self._answers[path, query] = made
        return made
