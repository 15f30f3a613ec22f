"""What tests of the load queue share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer_notebook as sn
from tests.commands.hearing import DEADLINE, Hearing
from tests.widgets.waiting import until_file

STUDY = "1.2.826.0.7"


def uid(number: int) -> str:
    return f"{STUDY}.{number}"


class Queue(Hearing):
    """A session's view of the queue."""

    def __init__(self, slicer: sn.Session) -> None:
        super().__init__(slicer, "loads")

    def add(self, *series: str, **how: Any) -> list[int]:
        entries = self.slicer.call("loads.add", series=list(series), database=self.slicer.dicom.database, **how)
        return [entry["id"] for entry in entries]

    def until_state(self, number: int, state: str) -> None:
        self.until(lambda: self.known.get(number, {}).get("state") == state, f"{number} is {state}")

    def until_read(self, number: int) -> None:
        """All of the files, and no node of it yet."""

        def read() -> bool:
            done, of = self.known.get(number, {}).get("files", (0, 0))
            return bool(of) and done == of

        self.until(read, f"the files of {number}")

    def ended(self, *ids: int) -> list[dict[str, Any]]:
        """The entries, when they have ended; all that are known without ids."""

        def over() -> bool:
            wanted = ids or tuple(self.known)
            return all(n in self.known and self.known[n]["state"] not in ("waiting", "loading") for n in wanted)

        self.until(over, "the end of loading")
        return [self.known[number] for number in ids]


def shown(slicer: sn.Session) -> str | None:
    """The UID of the series in the background of the red view."""
    found = [each["series"] for each in slicer.call("dicom.displayed") if each["view"] == "Red"]
    return found[0] if found else None


def scene(slicer: sn.Session) -> tuple[int, int]:
    """How many nodes and subject hierarchy items there are."""
    found: tuple[int, int] = tuple(
        slicer.eval(
            "[slicer.mrmlScene.GetNumberOfNodes(), slicer.mrmlScene.GetSubjectHierarchyNode().GetNumberOfItems()]"
        )
    )
    return found


class Busy:
    """Keeps Slicer's main thread busy until it is let go; it does ``then`` before anything else."""

    def __init__(self, slicer: sn.Session, gate: Path, then: str = "") -> None:
        self._gate = gate
        reached = gate.with_name(f"{gate.name} reached")
        self._job = slicer.submit("code.run", code=_WAIT.format(gate=str(gate), reached=str(reached)) + then)
        # What is urgent overtakes it.
        until_file(reached)

    def __enter__(self) -> Busy:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._gate.touch()
        self._job.result(DEADLINE)


class Held:
    """Has a method in Slicer wait from its n-th call on, until it is let go."""

    def __init__(self, slicer: sn.Session, module: str, method: str, call: int, gate: Path) -> None:
        self._slicer = slicer
        self._gate = gate
        self._reached = gate.with_name(f"{gate.name} reached")
        owner, name = method.split(".")
        there = {"module": module, "owner": owner, "name": name, "call": call}
        slicer.call("code.run", code=_HOLD.format(gate=str(gate), reached=str(self._reached), **there))

    def until_reached(self) -> None:
        """The call that waits has come."""
        until_file(self._reached)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._gate.touch()
        self._slicer.call("code.run", code="setattr(_owner, _name, _held)")


_WAIT = """
import os, time
open({reached!r}, "w").close()
while not os.path.exists({gate!r}): time.sleep(.01)
"""

_HOLD = """
import importlib, itertools, os, time
_owner, _name = getattr(importlib.import_module({module!r}), {owner!r}), {name!r}
_held = getattr(_owner, _name)
def _gated(*args, held=_held, calls=itertools.count(1)):
    if next(calls) >= {call}:
        open({reached!r}, "w").close()
        while not os.path.exists({gate!r}): time.sleep(.01)
    return held(*args)
setattr(_owner, _name, _gated)
"""
