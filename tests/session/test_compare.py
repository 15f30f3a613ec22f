"""Two volumes in one slice: each pixel is that of the one or the other, where it is in the world."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError, NodeNotFoundError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.compare import Comparison
from tests.session.test_lightbox import OBLIQUE, STRAIGHT, made, seen
from tests.widgets.waiting import Recorder, wait_until


@pytest.fixture
def two(slicer: sn.Session) -> tuple[sn.Volume, sn.Volume, Any, Any]:
    """Two volumes of other voxels on other grids, and the same in SimpleITK; the first is shown."""
    other = OBLIQUE.copy()
    other[:3, 3] += 4, -6, 3
    b, b_there = made(slicer, other, "b")
    a, a_there = made(slicer, STRAIGHT, "a")
    a.show()
    return a, b, a_there, b_there


def grey(image: sn.Image) -> Array:
    found = image.array
    assert (found[..., 0] == found[..., 1]).all()
    return found[..., 0].astype(int)


#: All of these are of one geometry.
SAME: dict[str, Any] = {"orientation": "Axial", "offset": 1.0, "size": (64, 48), "field_of_view": (48.0, 36.0)}


def test_both_are_where_they_are_in_the_world(slicer: sn.Session, two: Any) -> None:
    a, b, a_there, b_there = two
    raw = slicer.call("view.compare", a=a, b=b, mode="side by side", **SAME)
    assert raw["image"].shape == (48, 128, 3)
    for picture, there in ((raw["image"][:, :64], a_there), (raw["image"][:, 64:], b_there)):
        expected, sure = seen(there, raw["pixel_to_ras"], (64, 48))
        assert sure.mean() > 0.4
        assert expected[sure].max() > 200
        np.testing.assert_allclose(picture[..., 0][sure], expected[sure], atol=1.01)


def test_a_blend_is_the_foreground_over_the_background(slicer: sn.Session, two: Any) -> None:
    a, b, a_there, b_there = two
    raw = slicer.call("view.compare", a=a, b=b, mode="blend", position=0.3, **SAME)
    of_a, sure_a = seen(a_there, raw["pixel_to_ras"], (64, 48))
    of_b, sure_b = seen(b_there, raw["pixel_to_ras"], (64, 48))
    inside = sure_a & sure_b & (of_a > 0) & (of_b > 0)
    assert inside.sum() > 300
    np.testing.assert_allclose(raw["image"][..., 0][inside], 0.7 * of_a[inside] + 0.3 * of_b[inside], atol=2.01)
    pair = Comparison(a, b)
    first = grey(pair.image("blend", 0.0, **SAME))
    np.testing.assert_array_equal(first, grey(pair.image("side by side", **SAME))[:, :64])


def test_checkerboard_and_swipe_are_of_the_two_pictures(two: Any) -> None:
    pair = Comparison(*two[:2])
    beside = grey(pair.image("side by side", **SAME))
    of_a, of_b = beside[:, :64], beside[:, 64:]
    assert (of_a != of_b).mean() > 0.5
    # 4 squares along 64 pixels: of 16 pixels each.
    board = grey(pair.image("checkerboard", squares=4, **SAME))
    for row in range(3):
        for column in range(4):
            square = slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16)
            np.testing.assert_array_equal(board[square], (of_b if (row + column) % 2 else of_a)[square])
    swiped = grey(pair.image("swipe", 0.25, **SAME))
    np.testing.assert_array_equal(swiped, np.concatenate([of_a[:, :16], of_b[:, 16:]], axis=1))
    down = grey(pair.image("swipe", 0.5, direction="vertical", **SAME))
    np.testing.assert_array_equal(down, np.concatenate([of_a[:24], of_b[24:]]))
    np.testing.assert_array_equal(grey(pair.image("swipe", 0.0, **SAME)), of_b)
    np.testing.assert_array_equal(grey(pair.image("swipe", 1.0, **SAME)), of_a)


def test_without_a_word_it_is_where_the_view_is_or_in_the_middle(slicer: sn.Session, two: Any) -> None:
    a, b = two[:2]
    red = slicer.view("Red")
    red.offset = 9.0
    assert slicer.call("view.compare", a=a, b=b, size=20)["offset"] == pytest.approx(9.0)
    # Sagittally, a has 24 slices from -21 to 13.5 mm.
    turned = slicer.call("view.compare", a=a, b=b, size=20, orientation="sagittal")
    assert turned["offset_range"] == pytest.approx([-21.0, 13.5])
    assert turned["offset"] == pytest.approx(-3.0)
    red.background = None
    assert slicer.call("view.compare", a=a, b=b, size=20)["offset"] == pytest.approx(1.0)
    assert red.offset == pytest.approx(9.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "guess"}, "mode"),
        ({"position": 1.5}, "0 to 1"),
        ({"squares": 0}, "squares"),
        ({"offset": float("inf")}, "offset"),
        ({"size": 0}, "size"),
    ],
)
def test_what_does_not_fit_is_refused(two: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        Comparison(*two[:2]).image(**options)


def test_what_are_no_volumes_is_refused(slicer: sn.Session, two: Any) -> None:
    with pytest.raises(ArgumentError, match="Two volumes"):
        Comparison(two[0], "b")  # type: ignore[arg-type]
    two[1].remove()
    with pytest.raises(NodeNotFoundError):
        Comparison(*two[:2]).image()


# -- the widget -----------------------------------------------------------------------------------------------------


@pytest.fixture
def compare(two: Any) -> Iterator[sn.Compare]:
    made_here = sn.Compare(two[0], two[1], orientation="Axial", size=48, offset=1.0)
    made_here._greeted = True
    wait_until(made_here, lambda: made_here.offset == 1.0, "the first picture")
    yield made_here
    made_here.close()


class Browser(Recorder):
    """What a browser is told and says."""

    def __init__(self, compare: sn.Compare) -> None:
        super().__init__(compare)
        self.compare = compare

    def say(self, kind: str, **words: Any) -> None:
        self.compare._handle_custom_msg({"type": kind, **words}, [])

    def pictures(self) -> tuple[dict[str, Any], list[Array]]:
        """The latest."""
        content, pngs = [each for each in self.messages if each[0]["type"] == "pictures"][-1]
        return content, [np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int) for png in pngs]


def test_a_browser_has_all_it_needs(compare: sn.Compare) -> None:
    browser = Browser(compare)
    browser.say("hello")
    browser.wait(lambda message: message["type"] == "pictures")
    content, (a, b, over) = browser.pictures()
    assert content["names"] == {"a": "a", "b": "b"}
    assert (content["offset"], content["letters"]["normal"]) == (1.0, "S")
    height, width = a.shape
    whole = grey(compare.image("side by side"))
    np.testing.assert_array_equal(np.concatenate([a, b], axis=1), whole)
    assert content["size"] == [width, height]
    # The blend that the browser makes of two pictures is the one that Slicer makes of two volumes.
    inside = a > 0
    assert inside.mean() > 0.5
    for position in (0.25, 0.5, 1.0):
        theirs = grey(compare.image("blend", position))[inside]
        np.testing.assert_allclose((a * (1 - position) + over * position)[inside], theirs, atol=1.5)


def test_scrolling_ends_where_the_hand_ended(compare: sn.Compare) -> None:
    browser = Browser(compare)
    for each in range(-11, 14, 4):
        browser.say("scroll", offset=float(each))
    wait_until(compare, lambda: compare.offset == 13.0, "the last offset")
    assert browser.pictures()[0]["offset"] == 13.0
    compare.offset = -7.0
    browser.wait(lambda message: message["type"] == "pictures" and message["offset"] == -7.0)


def test_mode_position_and_orientation_are_traits(compare: sn.Compare) -> None:
    browser = Browser(compare)
    browser.say("mode", mode="swipe", position=0.75)
    wait_until(compare, lambda: (compare.mode, compare.position) == ("swipe", 0.75), "the traits")
    np.testing.assert_array_equal(compare.image().array, compare.image("swipe", 0.75).array)
    browser.say("turn", orientation="Sagittal")
    found = browser.wait(lambda message: message["type"] == "pictures" and message["letters"]["normal"] == "L")
    assert found["offset"] == pytest.approx(-3.0)
    wait_until(compare, lambda: compare.offset == pytest.approx(-3.0), "its offset")


def test_it_follows_window_and_level_and_says_when_a_volume_is_gone(compare: sn.Compare) -> None:
    browser = Browser(compare)
    compare.a.window_level = 100, 900
    browser.wait(lambda message: message["type"] == "pictures")
    compare.b.remove()
    browser.wait(lambda message: message["type"] == "failed")
    wait_until(compare, lambda: compare.problem != "", "the problem")


def test_a_saved_notebook_has_the_picture(compare: sn.Compare, two: Any) -> None:
    page = compare._static_html()
    assert "data:image/png" in page
    assert "a and b" in page
    strict = sn.Compare(two[0], two[1], size=32, privacy="strict")
    assert "png" not in strict._static_html()
    assert "names" not in str(strict.get_state()["_status"])
    strict.close()
