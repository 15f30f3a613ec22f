"""The menu of layouts on a real Slicer: it sets the layout, and follows whoever else does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from tests.widgets.waiting import Recorder, wait_until


@pytest.fixture
def selector(slicer: sn.Session) -> Iterator[sn.LayoutSelector]:
    found = sn.LayoutSelector(slicer)
    yield found
    found.close()


def test_it_knows_the_layouts_and_the_present_one_at_once(slicer: sn.Session, selector: sn.LayoutSelector) -> None:
    assert selector.layout == "FourUp"
    assert selector.layouts["FourUp"] == "Four-up"
    assert set(selector.layouts) == set(slicer.call("view.layouts"))
    heard = Recorder(selector)
    selector._handle_custom_msg({"type": "hello"}, [])
    [message] = heard.of("layouts")
    drawn = next(each for each in message["layouts"] if each["name"] == "FourUp")
    assert drawn["arrangement"] == slicer.call("view.arrangement")
    assert heard.of("layout")[-1]["name"] == "FourUp"


def test_it_sets_the_layout(slicer: sn.Session, selector: sn.LayoutSelector) -> None:
    heard = Recorder(selector)
    selector.layout = "oneup3d"
    assert selector.layout == "OneUp3D"
    assert heard.wait(lambda message: message["type"] == "layout")["name"] == "OneUp3D"
    assert slicer.layout == "OneUp3D"
    with pytest.raises(ArgumentError, match="SevenUp"):
        selector.layout = "SevenUp"
    assert selector.layout == "OneUp3D"


def test_it_follows(slicer: sn.Session, selector: sn.LayoutSelector) -> None:
    heard: list[str] = []
    selector.observe(lambda change: heard.append(change["new"]), "layout")
    slicer.layout = "SideBySide"
    wait_until(selector, lambda: selector.layout == "SideBySide", "the other layout")
    slicer.layout = "FourUp"
    wait_until(selector, lambda: selector.layout == "FourUp", "back")
    assert heard == ["SideBySide", "FourUp"]


def test_a_persons_choices_one_after_the_other(slicer: sn.Session, selector: sn.LayoutSelector) -> None:
    """What Slicer tells of the first must not undo the last."""
    heard: list[str] = []
    selector.observe(lambda change: heard.append(change["new"]), "layout")
    chosen = ["OneUpRedSlice", "Conventional", "OneUp3D", "SideBySide"]
    for name in chosen:
        selector._handle_custom_msg({"type": "choose", "name": name}, [])
    selector._handle_custom_msg({"type": "choose", "name": "SevenUp"}, [])
    wait_until(selector, lambda: selector.layout == "SideBySide", "the last one")
    told = Recorder(selector)
    slicer.view("Red")  # has come after all of them
    slicer.run("slicer.mrmlScene.GetFirstNodeByClass('vtkMRMLLayoutNode').Modified()")
    told.wait(lambda message: message["type"] == "layout")
    assert (slicer.layout, heard) == ("SideBySide", chosen)


def test_a_layout_of_the_users_own_is_drawn(slicer: sn.Session, selector: sn.LayoutSelector) -> None:
    heard = Recorder(selector)
    slicer.run(
        "node = slicer.mrmlScene.GetFirstNodeByClass('vtkMRMLLayoutNode')\n"
        'view = \'<view class="vtkMRMLSliceNode" singletontag="Red"/>\'\n'
        "mine = f'<layout type=\"horizontal\"><item>{view}</item></layout>'\n"
        "node.IsLayoutDescription(734) or node.AddLayoutDescription(734, mine)\n"
        "node.SetViewArrangement(734)"
    )
    message: dict[str, Any] = heard.wait(lambda message: bool(message.get("arrangement")))
    assert message["name"] == "734"
    assert message["arrangement"]["children"][0]["view"]["name"] == "Red"
    selector.layout = "FourUp"
    assert slicer.layout == "FourUp"


def test_a_saved_notebook_names_it(selector: sn.LayoutSelector) -> None:
    assert "Layout: Four-up" in selector._static_html()
