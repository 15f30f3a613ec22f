"""The menu of nodes on a real Slicer: it offers what the scene has, follows it, and refuses what is not offered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import AmbiguousNameError, ArgumentError, NodeNotFoundError
from tests.widgets.waiting import Recorder, wait_until

VOLUME, MODEL, MARKUPS = "vtkMRMLScalarVolumeNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode"


class Browser(Recorder):
    """What a browser hears and says."""

    def __init__(self, selector: sn.NodeSelector) -> None:
        super().__init__(selector)
        self.selector = selector
        selector._greeted = True
        self.say("hello")

    def say(self, kind: str, **content: Any) -> None:
        self.selector._handle_custom_msg({"type": kind, **content}, [])

    def names(self) -> list[str]:
        """What the menu has, by all that was told."""
        found: dict[str, str] = {}
        with self._condition:
            messages = [content for content, _ in self.messages]
        for message in messages:
            if message["type"] == "all":
                found = {}
            for node_id in message.get("removed", []):
                found.pop(node_id, None)
            found |= {node_id: name for node_id, name, _ in message.get("nodes", [])}
        return list(found.values())


@pytest.fixture
def made() -> Iterator[list[sn.NodeSelector]]:
    found: list[sn.NodeSelector] = []
    yield found
    for each in found:
        each.close()


@pytest.fixture
def select(slicer: sn.Session, made: list[sn.NodeSelector]) -> Any:
    def make(*args: Any, **how: Any) -> sn.NodeSelector:
        made.append(sn.NodeSelector(slicer, *args, **how))
        return made[-1]

    return make


def volume(slicer: sn.Session, name: str, **how: Any) -> sn.Volume:
    return slicer.add_volume(np.zeros((2, 3, 4), np.int16), name=name, show=False, **how)


def names(selector: sn.NodeSelector) -> list[str]:
    return [node._ref.name for node in selector.nodes]


def test_it_knows_what_there_is_at_once(slicer: sn.Session, select: Any) -> None:
    one, two = volume(slicer, "one"), volume(slicer, "two", labelmap=True)
    slicer.add_markups([[1, 2, 3]], name="points")
    optional, needed = select(VOLUME), select(VOLUME, none=False)
    assert optional.nodes == [one, two]
    assert (optional.value, needed.value) == (None, one)
    assert names(select([MARKUPS, VOLUME])) == ["one", "two", "points"]
    assert select("vtkMRMLTextNode", none=False).value is None
    browser = Browser(needed)
    [lines] = browser.of("all")
    assert lines["nodes"] == [[one.id, "one", "volume"], [two.id, "two", "labelmap"]]
    assert browser.of("value")[-1]["id"] == one.id


def test_it_follows_the_scene(slicer: sn.Session, select: Any) -> None:
    selector = select(VOLUME)
    browser = Browser(selector)
    one, two = volume(slicer, "one"), volume(slicer, "two")
    wait_until(selector, lambda: selector.nodes == [one, two], "both")
    one.name = "first"
    browser.wait(lambda message: [one.id, "first", "volume"] in message.get("nodes", []))
    assert browser.names() == ["first", "two"]
    slicer.run(f"slicer.mrmlScene.GetNodeByID({two.id!r}).SetHideFromEditors(True)")
    wait_until(selector, lambda: selector.nodes == [one], "the hidden one is out")
    one.remove()
    wait_until(selector, lambda: selector.nodes == [], "none")
    browser.wait(lambda message: one.id in message.get("removed", []))
    assert browser.names() == []


def test_the_value_is_set_by_handle_id_and_name(slicer: sn.Session, select: Any) -> None:
    one, two = volume(slicer, "one"), volume(slicer, "two")
    selector = select(VOLUME, value="two")
    assert selector.value == two
    heard = []
    selector.observe(lambda change: heard.append(change["new"]), "value")
    selector.value = one.id
    selector.value = two
    selector.value = None
    selector.value = "one"
    assert heard == [one, two, None, one]
    # One that has come this moment, and of which no event has told yet.
    selector.value = volume(slicer, "three")
    assert selector.value == slicer["three"]
    assert heard[-1].id == selector.value.id


def test_what_is_not_offered_cannot_be_chosen(slicer: sn.Session, select: Any) -> None:
    one = volume(slicer, "one")
    points = slicer.add_markups([[1, 2, 3]], name="points")
    for _ in range(2):
        volume(slicer, "other").name = "twice"
    selector = select(VOLUME, none=False)
    for value, error in (
        (points, ArgumentError), ("points", ArgumentError), (None, ArgumentError), (7, ArgumentError),
        ("nothing", NodeNotFoundError), ("twice", AmbiguousNameError),
    ):  # fmt: skip
        with pytest.raises(error):
            selector.value = value
        assert selector.value == one
    with pytest.raises(ArgumentError, match="vtkMRMLNonsense"):
        select("vtkMRMLNonsense")
    with pytest.raises(ArgumentError, match="class"):
        select([])
    with pytest.raises(ArgumentError, match="filter"):
        select(VOLUME, filter=3)


def test_another_is_chosen_when_the_chosen_one_goes(slicer: sn.Session, select: Any) -> None:
    one, two = volume(slicer, "one"), volume(slicer, "two")
    optional, needed = select(VOLUME, value=one), select(VOLUME, value=one, none=False)
    one.remove()
    wait_until(optional, lambda: optional.value is None, "None")
    wait_until(needed, lambda: needed.value == two, "the other one")
    slicer.clear()
    wait_until(needed, lambda: needed.value is None, "nothing is left")
    three = volume(slicer, "three")
    wait_until(needed, lambda: needed.value == three, "the only one")
    assert optional.value is None


def test_attributes_filter(slicer: sn.Session, select: Any) -> None:
    one, two = volume(slicer, "one"), volume(slicer, "two")
    one.set_attribute("Stage", "1")
    selector = select(VOLUME, filter={"Stage": "1"}, editable=True)
    assert selector.nodes == [one]
    two.set_attribute("Stage", "1")
    wait_until(selector, lambda: selector.nodes == [one, two], "both")
    one.set_attribute("Stage", "2")
    wait_until(selector, lambda: selector.nodes == [two], "the other")
    # A new one has what it takes to be offered.
    Browser(selector).say("create", **{"class": VOLUME, "name": "three"})
    wait_until(selector, lambda: selector.value is not None, "the new one is chosen")
    assert (selector.value.name, selector.value.attributes) == ("three", {"Stage": "1"})


def test_a_function_filters_on_the_main_thread(slicer: sn.Session, select: Any) -> None:
    small = volume(slicer, "small")
    threads = []

    def is_small(node: sn.Node) -> bool:
        threads.append(threading.current_thread())
        assert isinstance(node, sn.Volume)
        return node.array.size < 100  # asks Slicer

    selector = select(VOLUME, filter=is_small)
    assert selector.nodes == [small]
    assert threads == [threading.current_thread()]
    large = slicer.add_volume(np.zeros((9, 9, 9), np.int16), name="large", show=False)
    other = volume(slicer, "other")
    wait_until(selector, lambda: selector.nodes == [small, other], "the small ones")
    # A test has no event loop: another thread stands in, which may wait for Slicer.
    assert {each.name for each in threads[1:]} == {"slicer-notebook-widgets_0"}
    with pytest.raises(ArgumentError, match="filter"):
        selector.value = large


def test_an_observer_may_set_the_value(slicer: sn.Session, select: Any) -> None:
    one, two = volume(slicer, "one"), volume(slicer, "two")
    selector = select(VOLUME)
    browser = Browser(selector)

    def other_one(change: Any) -> None:
        if change["new"] == one:
            selector.value = "two"

    selector.observe(other_one, "value")
    browser.say("choose", id=one.id)
    browser.wait(lambda message: message.get("id") == two.id)
    assert selector.value == two


def test_the_person_chooses_makes_renames_and_removes(slicer: sn.Session, select: Any) -> None:
    one = volume(slicer, "one")
    selector = select([VOLUME, MODEL], editable=True, none=False)
    browser = Browser(selector)
    browser.say("create", **{"class": MODEL, "name": ""})
    wait_until(selector, lambda: selector.value.class_name == MODEL, "the model")
    model = selector.value
    browser.say("rename", id=model.id, name="Liver")
    browser.wait(lambda message: [model.id, "Liver", "model"] in message.get("nodes", []))
    assert model.name == "Liver"
    browser.say("choose", id=one.id)
    wait_until(selector, lambda: selector.value == one, "chosen")
    browser.say("choose", id="")  # None cannot be chosen here
    browser.say("remove", id=one.id)
    wait_until(selector, lambda: selector.value == model, "the other one")
    assert slicer.nodes(VOLUME) == []
    browser.say("remove", id=one.id)
    assert "one" not in browser.wait(lambda message: message["type"] == "trouble")["hint"]
    browser.say("create", **{"class": "vtkMRMLTextNode"})  # none of the classes
    browser.say("create", **{"class": VOLUME, "name": "last"})
    wait_until(selector, lambda: selector.value.class_name == VOLUME, "the last one")
    assert slicer.nodes("vtkMRMLTextNode") == []


def test_a_saved_notebook_keeps_the_choice_and_traits_keep_nothing(slicer: sn.Session, select: Any) -> None:
    volume(slicer, "Aalto <b>")
    selector = select(VOLUME, value="Aalto <b>", label="Input")
    assert "Input: Aalto &lt;b&gt; (ScalarVolume)" in selector._static_html()
    assert "Aalto" not in repr({k: v for k, v in selector.get_state().items() if k not in ("_esm", "_css")})
    strict = select(VOLUME, value="Aalto <b>", privacy="strict")
    assert "Aalto" not in strict._static_html()
    assert "no node was chosen" in select(MODEL)._static_html()
