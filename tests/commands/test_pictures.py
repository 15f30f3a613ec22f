"""Pictures of the layout and of views that are moved; where the views of each layout are."""

from __future__ import annotations

import numpy as np
import pytest

import slicer_notebook as sn

_PLACES = """
from slicer_notebook.commands.pictures import places
from slicer_notebook.host.agent import Agent
host = Agent.current.host
found = {}
former = host.layout
for name in host.application.layout.known():
    host.layout = name
    found[name] = {each: list(box) for each, box in places(host, (0, 0, 900, 600)).items()}, host.view_names()
host.layout = former
"""


def test_views_of_every_layout_are_apart_and_within() -> None:
    # In a Slicer of its own: views stay for ever, and take time of all tests that follow.
    with sn.launch() as slicer:
        slicer.run(_PLACES)
        found = slicer.eval("found")
    assert len(found) > 20
    for layout, (boxes, names) in found.items():
        if not layout.startswith("Tabbed"):
            assert set(boxes) >= set(names), layout
        covered = np.zeros((600, 900), dtype=int)
        for left, top, right, bottom in boxes.values():
            assert 0 <= left <= right <= 900, layout
            assert 0 <= top <= bottom <= 600, layout
            covered[top:bottom, left:right] += 1
        assert covered.max() <= 1, layout
    assert found["FourUp"][0] == {
        "Red": [0, 0, 450, 300],
        "1": [450, 0, 900, 300],
        "Green": [0, 300, 450, 600],
        "Yellow": [450, 300, 900, 600],
    }
    assert found["TabbedSlice"][0] == {"Red": [0, 0, 900, 600]}
    assert found["OneUp3D"][0] == {"1": [0, 0, 900, 600]}


def test_the_layouts_picture_moves_nothing(slicer: sn.Session) -> None:
    slicer.call("volume.add", array=np.arange(20 * 30 * 40, dtype=np.int16).reshape(20, 30, 40), name="v")
    before = {name: slicer.call("view.state", name=name) for name in slicer.call("view.names")}
    picture = slicer.call("view.layout_image", size=(333, 200))
    assert picture.shape == (200, 333, 3)
    assert picture.dtype == np.uint8
    assert {name: slicer.call("view.state", name=name) for name in before} == before
    with pytest.raises(sn.errors.ArgumentError, match="size"):
        slicer.call("view.layout_image", size=(0, 10))


def test_a_notebook_moves_a_view_and_takes_its_picture(slicer: sn.Session) -> None:
    slicer.call("volume.add", array=np.arange(20 * 30 * 40, dtype=np.int16).reshape(20, 30, 40), name="v")
    picture = slicer.call("view.slice_image", view="Yellow", orientation="coronal", scroll_to=0.5, size=200)
    assert picture.shape == (200, 200, 3)
    assert slicer.view("Yellow").orientation == "Coronal"
    assert slicer.call("view.three_d_image", look_from="L", size=120).shape == (120, 120, 3)
    with pytest.raises(sn.errors.ArgumentError, match="no slices"):
        slicer.call("view.slice_image", view="1")
    with pytest.raises(sn.errors.ArgumentError):
        slicer.call("view.slice_image", mode="sideways")
