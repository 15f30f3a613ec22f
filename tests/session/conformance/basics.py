"""What a session is, what it refuses, its events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer_notebook as sn
from slicer_notebook import errors
from tests.session.conformance.cases import case, phantom, refused


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


@case
def typing_mistakes_on_handles_are_refused(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), None, "spelled")
    with refused(errors.AttributeNameError, "aray", "did you mean 'array'"):
        volume.aray = phantom()
    with refused(errors.AttributeNameError, "cannot be set"):
        volume.shape = (1, 2, 3)
    with refused(errors.AttributeNameError, "did you mean 'layout'"):
        slicer.layuot = "OneUp3D"
    with refused(errors.AttributeNameError, "did you mean 'offset'"):
        slicer.view("Red").ofset = 3


@case
def what_has_no_plain_form_is_refused_on_both_ways(slicer: Any, _: Path) -> None:
    for expression in ("(lambda l: (l.append(l), l)[1])([])", "'\\ud800'", "2**100", "object()"):
        with refused(errors.ArgumentError, "cannot be sent"):
            slicer.eval(expression)

    def same(value):  # type: ignore[no-untyped-def]
        return value

    itself: list[Any] = []
    itself.append(itself)
    remote = slicer.function(same)
    for value in (2**100, "\ud800", itself, object()):
        with refused(errors.ArgumentError, "cannot be sent"):
            remote(value)
    with refused(errors.RemoteError, "ValueError"):
        slicer.run("raise ValueError('\\ud800')")
    assert slicer.eval("1 + 1") == 2


@case
def what_cannot_be_called_back_is_refused(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "function", "5"):
        slicer.on("scene", 5)
