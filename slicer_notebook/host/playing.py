"""Plays the sequences whose browsers say so, at their rate, while Slicer's main thread has nothing else to do.

In Slicer a timer of the Sequences module does that (qSlicerSequencesModule), whose logic steps when half of the time of
an item has passed; here items come at the rate that the browser tells. It runs on Slicer's main thread alone, and
without a timer while nothing plays.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Final

from slicer_notebook.commands.host import Host

__all__ = ["Player"]

#: Seconds between two looks at what is due, at most: as Slicer's own timer.
_EVERY: Final = 0.02
_BROWSER: Final = "vtkMRMLSequenceBrowserNode"


class Player:
    """Steps the browsers of a scene that play.

    Args:
        host: the Slicer.
        later: ``later(seconds, function)`` calls back on the main thread.
        clock: seconds.
    """

    def __init__(
        self,
        host: Host,
        later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._later = later
        self._clock = clock
        #: When the next item of a browser is due, by its id.
        self._due: dict[str, float] = {}
        self._ticking = False
        self._observe()

    def _observe(self) -> None:
        from vtkmodules.util.misc import calldata_type
        from vtkmodules.vtkCommonCore import VTK_OBJECT

        scene = self._host.slicer.mrmlScene

        @calldata_type(VTK_OBJECT)
        def added(_scene: Any, _event: str, node: Any) -> None:
            if node.IsA(_BROWSER):
                self._watch(node)

        scene.AddObserver(scene.NodeAddedEvent, added)
        for node in self._host.nodes(_BROWSER):
            self._watch(node)

    def _watch(self, browser: Any) -> None:
        def changed(node: Any, _event: str) -> None:
            if node.GetPlaybackActive() and not self._ticking:
                self._begin()

        browser.AddObserver("ModifiedEvent", changed)
        changed(browser, "")

    def _begin(self) -> None:
        self._ticking = True
        self._due.clear()
        self._tick()

    def _tick(self) -> None:
        """Step what is due; again soon, as long as anything plays."""
        playing = [browser for browser in self._host.nodes(_BROWSER) if _plays(browser)]
        if not playing:
            self._ticking = False
            return
        self._due = {browser.GetID(): self._due.get(browser.GetID(), math.inf) for browser in playing}
        now = self._clock()
        try:
            for browser in playing:
                self._step(browser, now)
        finally:
            wait = min(self._due.values()) - self._clock()
            self._later(min(_EVERY, max(0.0, wait)), self._tick)

    def _step(self, browser: Any, now: float) -> None:
        key, period = browser.GetID(), 1 / browser.GetPlaybackRateFps()
        self._due[key] = min(self._due[key], now + period)  # it begins, or has become faster
        late = now - self._due[key]
        if late < 0:
            return
        steps = 1 + int(late / period) if browser.GetPlaybackItemSkippingEnabled() else 1
        # After a wait without skipping the next item comes at its time, not at once.
        self._due[key] = self._due[key] + steps * period if late < period or steps > 1 else now + period
        browser.SelectNextItem(steps)
        self._host.slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def _plays(browser: Any) -> bool:
    return bool(browser.GetPlaybackActive() and browser.GetPlaybackRateFps() > 0 and browser.GetNumberOfItems() > 1)
