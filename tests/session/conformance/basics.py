"""What a session is, what it refuses, its events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer_notebook as sn
from slicer_notebook import errors
from tests.session.conformance.cases import case, refused


@case
def info_tells_versions(slicer: Any, _: Path) -> None:
    assert slicer.version.startswith("5.")
    found = slicer.info
    assert found["python"].count(".") == 2
    assert found["vtk"]
    assert found["slicer_notebook"] == sn.__version__
    assert slicer.name in repr(slicer)
    assert slicer.alive


@case
def ping_answers(slicer: Any, _: Path) -> None:
    assert slicer.call("session.ping") is None


@case
def unknown_command_is_refused_with_near_names(slicer: Any, _: Path) -> None:
    with refused(errors.CommandNotFoundError, "volume.aray", "volume.array"):
        slicer.call("volume.aray")


@case
def wrong_arguments_are_refused(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "view.png"):
        slicer.call("view.png", nam="Red")
    with refused(errors.ArgumentError, "expected: str", "int"):
        slicer.call("view.png", name=3)
    with refused(errors.ArgumentError, "cannot be sent"):
        slicer.call("code.eval", expression=object())
    with refused(errors.ArgumentError, "no code"):
        slicer.run(3)


@case
def an_unknown_event_is_refused(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "scene", "earthquake"):
        slicer.on("earthquake", print)


@case
def what_slicer_reports_is_in_the_log(slicer: Any, _: Path) -> None:
    slicer.run("slicer.mrmlScene.AddNode(None)")
    slicer.call("session.ping")
    assert "null node" in slicer.log[-1].text
    assert "ERROR [vtk]" in str(slicer.log[-1])
