"""How volumes are shown: presets, threshold, colours, cards; the histogram of all voxels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.commands import registry
from slicer_notebook.commands.volume_pictures import anatomical_axes, axes_in_words

Array = np.ndarray[Any, Any]

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def ramp(slicer: sn.Session) -> sn.Volume:
    """int16 [3, 40, 60]: the value is 10 times i."""
    array = np.broadcast_to(np.arange(60, dtype=np.int16) * 10, (3, 40, 60))
    return slicer.add_volume(array, LPS, "ramp")


def color_volume(slicer: sn.Session, components: int = 3) -> sn.Volume:
    return slicer.add_volume(np.full((2, 4, 5, components), 100, np.uint8), None, "colours")


def picture(volume: sn.Volume) -> Array:
    """The card's picture: uint8 [row, column, component]."""
    png = volume._session.call("volume.summary", node=volume)["png"]
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


# -- window and level --------------------------------------------------------------------------------------------------


def test_slicers_presets_are_set_by_name(ramp: sn.Volume) -> None:
    presets = ramp.window_level_presets
    # What Slicer's Volumes module offers.
    assert {
        "CT-Bone": (1000, 400),
        "CT-Brain": (100, 50),
        "CT-Abdomen": (350, 40),
        "CT-Lung": (1400, -500),
    }.items() <= (presets.items())
    for name, pair in presets.items():
        ramp.window_level = name
        assert ramp.window_level == pair
    assert ramp.color_table == "Rainbow"  # DTI's, the last one
    ramp.window_level = "ct-bone"
    assert (ramp.window_level, ramp.color_table) == ((1000, 400), "Grey")
    ramp.window_level = "auto"
    assert np.allclose(ramp.window_level, (590, 295), atol=1)  # VTK's bins are one value wide
    with pytest.raises(errors.ArgumentError, match="CT-Abdomen"):
        ramp.window_level = "CT-Bones"
    with pytest.raises(errors.ArrayError, match="preset"):
        ramp.window_level = (1, 2, 3)


def test_a_preset_on_colours_leaves_them_colours(slicer: sn.Session) -> None:
    volume = color_volume(slicer)
    volume.window_level = "CT-Brain"
    assert (volume.window_level, volume.color_table) == ((100, 50), "")


# -- threshold, interpolation, colour table ----------------------------------------------------------------------------


def test_a_threshold_is_seen_in_the_view_and_the_card(slicer: sn.Session, ramp: sn.Volume) -> None:
    assert ramp.threshold is None
    slicer.view("Red").fit()
    before = slicer.view("Red").image((120, 80)).array
    ramp.threshold = (200, 390)
    assert ramp.threshold == (200, 390)
    after = slicer.view("Red").image((120, 80)).array
    middle = slice(30, 50), slice(50, 70)
    assert np.array_equal(before[middle], after[middle])
    assert not np.array_equal(before, after)
    shown = picture(ramp)[..., 3]
    columns = np.flatnonzero(shown[80] == 255)
    # i of 20 to 39 of 60, in a picture of 240 columns.
    assert (columns.min(), columns.max()) == (80, 159)
    ramp.threshold = None
    assert ramp.threshold is None
    assert np.array_equal(slicer.view("Red").image((120, 80)).array, before)
    assert picture(ramp)[..., 3].min() == 255


def test_what_has_no_meaning_is_refused(slicer: sn.Session, ramp: sn.Volume) -> None:
    labels = slicer.add_volume(np.eye(5, dtype=np.uint8)[np.newaxis], None, "labels", labelmap=True)
    colors = color_volume(slicer)
    for volume in (labels, colors):
        with pytest.raises(errors.ArgumentError, match="no threshold"):
            volume.threshold = (1, 2)
        assert volume.threshold is None
    with pytest.raises(errors.ArgumentError, match="no colour table"):
        colors.color_table = "Iron"
    with pytest.raises(errors.ArgumentError, match="label map"):
        labels.interpolate = True
    with pytest.raises(errors.ArgumentError, match="colour table"):
        labels.window_level = "CT-Bone"
    for wrong in ((3, 2), (float("nan"), 1)):
        with pytest.raises(errors.ArgumentError, match="threshold"):
            ramp.threshold = wrong
    with pytest.raises(errors.ArrayError, match="low, high"):
        ramp.threshold = 7  # type: ignore[assignment]
    with pytest.raises(errors.ArgumentError, match="True or False"):
        ramp.interpolate = "no"  # type: ignore[assignment]
    with pytest.raises(errors.ArgumentError, match="Grey"):
        ramp.color_table = "Gray"
    assert (ramp.threshold, ramp.color_table, labels.interpolate) == (None, "Grey", False)


def test_kinds_are_told(slicer: sn.Session, ramp: sn.Volume) -> None:
    labels = slicer.add_volume(np.ones((2, 3, 4), np.uint8), None, "labels", labelmap=True)
    vectors = slicer.add_volume(np.ones((2, 3, 4, 2), np.float32), None, "vectors")
    kinds = [(each.is_labelmap, each.is_color) for each in (ramp, labels, color_volume(slicer), vectors)]
    assert kinds == [(False, False), (True, False), (False, True), (False, False)]
    assert color_volume(slicer, 4).is_color


def test_colours_and_interpolation_are_seen_in_the_view(slicer: sn.Session, ramp: sn.Volume) -> None:
    assert {"Grey", "Iron", "PET-Heat", "Rainbow"} <= set(ramp.color_tables)
    ramp.color_table = "Green"
    assert ramp.color_table == "Green"
    slicer.view("Red").fit()
    smooth = slicer.view("Red").image((240, 160)).array
    assert smooth[80, 200].argmax() == 1
    assert smooth[80, 200, [0, 2]].max() < 3
    assert ramp.interpolate
    ramp.interpolate = False
    blocks = slicer.view("Red").image((240, 160)).array
    row = slice(20, 220)
    assert len(np.unique(blocks[80, row, 1])) < len(np.unique(smooth[80, row, 1]))
    assert picture(ramp)[80, 200, :3].tolist()[1] > 100
    assert picture(ramp)[80, 200, 0] == 0


def test_a_swatch_is_the_table_from_end_to_end(slicer: sn.Session) -> None:
    grey = slicer.call("color.swatch", name="Grey", count=3)
    assert grey.tolist() == [[0, 0, 0], [128, 128, 128], [255, 255, 255]]
    with pytest.raises(errors.ArgumentError, match="2 to 256"):
        slicer.call("color.swatch", name="Grey", count=1)


# -- the histogram -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "float32"])
def test_the_histogram_is_numpys(slicer: sn.Session, dtype: str) -> None:
    array = np.random.default_rng(7).normal(20, 30, (11, 13, 17)).astype(dtype)
    volume = slicer.add_volume(array, None, "values", show=False)
    for bins in (1, 7, 256):
        counts, edges = slicer.call("volume.histogram", node=volume, bins=bins)
        expected = np.histogram(array, bins=bins)
        assert np.array_equal(counts, expected[0])
        assert np.allclose(edges, expected[1])


def test_a_part_of_the_voxels_is_counted_where_that_is_asked_for(slicer: sn.Session) -> None:
    array = np.random.default_rng(7).normal(0, 1, (40, 40, 40)).astype(np.float32)
    array[0, 0, 0] = np.nan
    volume = slicer.add_volume(array, None, "values", show=False)
    whole, _ = slicer.call("volume.histogram", node=volume, bins=16)
    assert whole.sum() == array.size - 1
    some, _ = slicer.call("volume.histogram", node=volume, bins=16, most=8000)
    assert some.sum() == 20**3 - 1
    small = slicer.add_volume(np.zeros(array.shape, np.int16), None, "small", show=False)
    assert slicer.call("volume.histogram", node=small, bins=16, most=8000)[0].sum() == array.size
    for wrong in ({"bins": 0}, {"bins": 65537}, {"most": 0}):
        with pytest.raises(errors.ArgumentError, match="does not fit"):
            slicer.call("volume.histogram", node=volume, **wrong)


def test_a_volume_may_go_while_its_voxels_are_counted(slicer: sn.Session) -> None:
    assert registry.get("volume.histogram").thread == "worker"
    values = np.random.default_rng(7).random((80, 160, 160))
    volume = slicer.add_volume(values, None, "doubles", show=False)
    job = slicer.submit("volume.histogram", node=volume, bins=65536)
    volume.remove()
    try:
        counts, _ = job.result(30)
    except errors.NodeNotFoundError:  # it had not begun
        return
    assert counts.sum() == values.size


# -- the card ----------------------------------------------------------------------------------------------------------


def test_the_card_has_facts_and_a_picture(slicer: sn.Session, ramp: sn.Volume) -> None:
    ramp.window_level = (590, 295)
    page = ramp._repr_html_()
    for words in (
        "ramp", "3 \u00d7 40 \u00d7 60 int16", "1 \u00d7 1 \u00d7 1 mm", "0 to 590",
        "axial slices; i, j, k lead to L, P, S", "window 590, level 295, Grey", "data:image/png;base64,",
    ):  # fmt: skip
        assert words in page, words
    assert "tilted" not in page
    shown = picture(ramp)
    assert shown.shape == (160, 240, 4)
    assert np.all(np.diff(shown[80, :, 0].astype(int)) >= 0)
    assert abs(int(shown[80, 120, 0]) - 255 * 30 / 59) < 5


def test_the_picture_lies_as_slicers_views_show_it(slicer: sn.Session) -> None:
    """Whatever the order of the voxels, the picture is that of the Red, Yellow or Green view."""
    box = np.zeros((31, 33, 35), np.uint8)
    box[2:29, 3:9, 4:20] = 200  # towards low j, low i
    for letters, view in (
        ("LPS", "Red"),
        ("RAS", "Red"),
        ("ALS", "Red"),
        ("PSR", "Yellow"),
        ("IAL", "Yellow"),
        ("LSA", "Green"),
    ):
        affine = np.zeros((4, 4))
        affine[3, 3] = 1
        for column, letter in enumerate(letters):
            row = next(n for n, pair in enumerate(("RL", "AP", "SI")) if letter in pair)
            affine[row, column] = 1 if letter in "RAS" else -1
        affine[:3, 3] = -affine[:3, :3] @ [17, 16, 15]
        assert anatomical_axes(affine) == letters
        volume = slicer.add_volume(box, affine, letters)
        volume.window_level = (200, 100)
        slicer.view(view).fit()
        seen = slicer.view(view).image((400, 400)).array[..., 0] > 100
        shown = picture(volume)[..., 0] > 100
        # Centre of the bright box from the picture's, in parts of the object's own size.
        for picture_of in (seen, shown):
            assert picture_of.any(), letters
        away = [np.sign([np.argwhere(each)[:, axis].mean() - each.shape[axis] / 2 for axis in (0, 1)])
                for each in (seen, shown)]  # fmt: skip
        assert np.array_equal(away[0], away[1]), (letters, away)
        tall = [np.ptp(np.argwhere(each), axis=0) for each in (seen, shown)]
        assert (tall[0][0] > tall[0][1]) == (tall[1][0] > tall[1][1]), letters
        volume.remove()


def test_axes_are_told_in_words() -> None:
    assert axes_in_words(LPS) == "axial slices; i, j, k lead to L, P, S"
    angle = np.radians(12)
    tilted = np.eye(4)
    tilted[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert axes_in_words(tilted @ np.diag([0.5, 0.5, 3, 1])) == "axial slices; i, j, k lead to R, A, S; tilted by 12°"
    # Each axis once, however skewed: two columns are nearest to A here.
    skewed = np.array([[0.9, 0, 0, 0], [0.1, 0.8, 0.9, 0], [0, 0.6, 0.7, 0], [0, 0, 0, 1]])
    assert sorted(anatomical_axes(skewed)) == ["A", "R", "S"]


def test_cards_of_labels_colours_and_large_volumes(slicer: sn.Session) -> None:
    array = np.zeros((3, 10, 10), np.uint8)
    array[:, 2:8, 2:8] = 3
    labels = slicer.add_volume(array, LPS, "labels", labelmap=True)
    assert "label map" in labels._repr_html_()
    shown = picture(labels)
    assert shown[5, 5, 3] == 0
    assert shown[120, 120].tolist()[3] == 255
    table = slicer.eval("list(slicer.util.getNode('Labels').GetLookupTable().GetTableValue(3))")
    assert np.allclose(shown[120, 120, :3], np.array(table[:3]) * 255, atol=1)
    colors = color_volume(slicer)
    colors.window_level = (255, 127.5)
    assert picture(colors)[100, 100, :3].tolist() == [100, 100, 100]
    assert ", colour" in colors._repr_html_()
    large = slicer.add_volume(np.zeros((200, 210, 200), np.int16), None, "large", show=False)
    assert slicer.call("volume.summary", node=large)["range"] is None
    slicer.run("slicer.mrmlScene.AddNewNodeByClass('vtkMRMLScalarVolumeNode', 'empty')")
    assert "none" in slicer["empty"]._repr_html_()


def test_the_card_moves_no_view(slicer: sn.Session, ramp: sn.Volume) -> None:
    changed = "[n.GetMTime() for n in (slicer.mrmlScene, *slicer.util.getNodesByClass('vtkMRMLAbstractViewNode'))]"
    slicer.view("Red").offset = 0.7
    before = slicer.eval(changed)
    ramp._repr_html_()
    assert slicer.eval(changed) == before
    assert len(before) > 4
