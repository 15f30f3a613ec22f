"""Live views from the notebook's side: frames as they come, and what is done while Slicer is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.protocol import messages
from slicer_notebook.session.live import LiveStream, merge

#: Other tests share this Slicer: its views get the size that they begin with.
VIEWS_AS_BEFORE = (
    "from slicer_notebook.host.agent import Agent\n"
    "from slicer_notebook.host.headless.views import DEFAULT_SIZE\n"
    "for _view in Agent.current.host.application.layout.all_views():\n"
    "    _view.size = DEFAULT_SIZE\n"
)


class Look:
    """Somebody who looks at a view, and confirms what comes."""

    def __init__(self, session: sn.Session, view: str = "Red") -> None:
        self._came = threading.Condition()
        self.frames: list[messages.Frame] = []
        self.took: list[messages.Took] = []
        self.gone: list[errors.SlicerNotebookError] = []
        self.stream = LiveStream(
            session, view, self._frame, on_took=self._heard(self.took), on_gone=self._heard(self.gone)
        )

    def _heard(self, into: list[Any]) -> Callable[[Any], None]:
        def heard(message: Any) -> None:
            with self._came:
                into.append(message)
                self._came.notify_all()

        return heard

    def _frame(self, frame: messages.Frame) -> None:
        self._heard(self.frames)(frame)
        self.stream.seen(frame.index)

    def until(self, condition: Callable[[], bool]) -> None:
        with self._came:
            assert self._came.wait_for(condition, 20)

    def still(self, since: int = 0) -> None:
        """Until the picture without loss has come."""
        self.until(lambda: len(self.frames) > since and self.frames[-1].lossless)


@pytest.fixture
def look(launched: sn.Session) -> Iterator[Look]:
    launched.clear()
    launched.layout = "FourUp"
    k, j, i = np.mgrid[0:20, 0:32, 0:32]
    launched.add_volume((i + 10 * j + 100 * k).astype(np.int16), np.diag([2.0, 2, 3, 1]), "ramp")
    found = Look(launched)
    yield found
    found.stream.close()
    launched.run(VIEWS_AS_BEFORE)


def wheel(notches: float, **more: Any) -> dict[str, Any]:
    return {"type": "wheel", "x": 0.5, "y": 0.5, "notches": notches, "buttons": [], "modifiers": [], **more}


def test_a_change_of_the_scene_is_a_frame(launched: sn.Session, look: Look) -> None:
    look.stream.watch((120, 90))
    look.still()
    assert look.frames[-1].size == (120, 90)
    before = len(look.frames)
    launched.view("Red").offset += 3
    look.still(before)
    assert look.frames[-1].data == launched.call("view.png", name="Red")


def test_what_is_done_while_slicer_is_busy_is_done_afterwards_in_few_messages(launched: sn.Session, look: Look) -> None:
    red = launched.view("Red")
    look.stream.watch()
    look.still()
    before = red.offset
    job = launched.submit("code.run", code="import time\nend = time.time() + 1.5\nwhile time.time() < end: pass")
    for _ in range(30):
        look.stream.input([wheel(-0.1)])
    assert look.stream.busy_for > 0
    job.result(20)
    look.until(lambda: look.stream.busy_for == 0)
    assert red.offset == pytest.approx(before + 3 * red.offset_step)
    assert look.took[-1].number <= 3


def test_moves_become_one_but_nothing_else_does() -> None:
    waiting: list[dict[str, Any]] = []
    move = {"type": "pointer_move", "x": 0.1, "y": 0.1, "buttons": [], "modifiers": []}
    for event in (
        move,
        {**move, "x": 0.2},
        {**move, "x": 0.3, "buttons": [1]},
        {"type": "pointer_down", "x": 0.3, "y": 0.1, "button": 1, "buttons": [1], "modifiers": []},
        {"type": "pointer_down", "x": 0.3, "y": 0.1, "button": 1, "buttons": [1], "modifiers": []},
        wheel(1),
        wheel(2.5),
        wheel(1, modifiers=["Control"]),
    ):
        merge(waiting, event)
    kinds = [(each["type"], each.get("x"), each.get("notches")) for each in waiting]
    assert kinds == [
        ("pointer_move", 0.2, None),
        ("pointer_move", 0.3, None),
        ("pointer_down", 0.3, None),
        ("pointer_down", 0.3, None),
        ("wheel", 0.5, 3.5),
        ("wheel", 0.5, 1),
    ]


def test_a_view_that_is_not_there_says_which_there_are(launched: sn.Session) -> None:
    look = Look(launched, "Purple")
    look.stream.watch()
    look.until(lambda: bool(look.gone))
    assert isinstance(look.gone[0], errors.ViewNotFoundError)
    assert "Red" in str(look.gone[0])
    look.stream.input([wheel(1)])  # to nobody
    look.stream.close()


def test_an_agent_that_is_too_old_is_refused(launched: sn.Session, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched._link.hello, "protocol", (1, 0))
    with pytest.raises(errors.ProtocolError, match="too old for live views"):
        look.stream.watch()


def test_a_closed_session_is_told_and_raises_nothing_in_the_middle(launched: sn.Session) -> None:
    with sn.connect(launched.name) as other:
        look = Look(other)
        look.stream.watch()
        look.still()
    look.stream.input([wheel(1)])
    assert isinstance(look.gone[-1], errors.SessionClosedError)
    with pytest.raises(errors.SessionClosedError):
        look.stream.watch()
