"""Commands about the application itself: its version, its end, and code of other programs."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import urllib
from typing import Any, Final

import numpy as np

from slicer_notebook.commands.code import _exec
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError

#: What qSlicerCoreApplication says of itself.
_WORDS: Final = (
    "applicationName", "applicationDisplayName", "applicationVersion", "releaseType", "repositoryUrl",
    "repositoryBranch", "revision", "majorVersion", "minorVersion", "arch", "os", "isCustomMainApplication",
    "mainApplicationName", "mainApplicationRepositoryUrl", "mainApplicationRepositoryRevision",
    "mainApplicationRevision", "mainApplicationMajorVersion", "mainApplicationMinorVersion",
    "mainApplicationPatchVersion",
)  # fmt: skip
#: Where code of other programs finds its answer.
RESULT: Final = "__execResult"

_names: dict[str, Any] = {}


@command("session.version", journal=False)
def version(host: Host) -> dict[str, Any]:
    """What the application says of itself, in the words of qSlicerCoreApplication; "" where it says nothing.

    A Slicer that is no application of somebody's own gives Slicer's numbers for the main application's.
    """
    app = host.slicer.app
    numbers = (str(getattr(app, "applicationVersion", "")).split("-")[0].split(".") + ["0"] * 3)[:3]
    numbers = [number if number.isdigit() else "0" for number in numbers]
    usual: dict[str, Any] = {
        "isCustomMainApplication": False,
        "mainApplicationName": getattr(app, "applicationName", ""),
        "mainApplicationRepositoryUrl": getattr(app, "repositoryUrl", ""),
        "mainApplicationRevision": getattr(app, "revision", ""),
        "mainApplicationMajorVersion": int(numbers[0]),
        "mainApplicationMinorVersion": int(numbers[1]),
        "mainApplicationPatchVersion": int(numbers[2]),
    }
    return {word: getattr(app, word, usual.get(word, "")) for word in _WORDS}


@command("session.quit")
def quit_(host: Host, after: float = 1.0) -> None:
    """End this Slicer in so many seconds; the scene is not saved.

    Raises:
        ArgumentError: a time that does not fit.
        CommandError: it cannot be ended from inside.
    """
    if not 0 <= after <= 3600:
        raise ArgumentError("That is no time.", expected="0 to 3600 s", got=str(after))
    host.end(after)


@command("code.result")
def result(host: Host, code: str) -> str:
    """Run Python code in a namespace of its own, which later calls share; the JSON of what it stored in
    ``__execResult`` (``{}`` before).

    The names are those that SlicerWeb's ``/exec`` has: ``slicer``, ``vtk``, ``numpy`` and some modules of Python.

    Raises:
        RemoteError: the code raised.
        ArgumentError: what it stored is not JSON.
    """
    if not _names:
        import vtk

        _names.update(
            __name__="__main__", json=json, logging=logging, numpy=np, os=os, slicer=host.slicer, sys=sys, time=time,
            urllib=urllib, vtk=vtk,
        )  # fmt: skip
    _names[RESULT] = {}
    _exec(code, _names)
    try:
        return json.dumps(_names.get(RESULT), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ArgumentError(
            f"What the code stored in {RESULT} is not JSON.", expected="text, numbers, lists, dicts", got=str(exc)
        ) from None
