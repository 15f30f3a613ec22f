"""Pictures of views: what they show, and that taking them changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slicer_notebook.errors import ArgumentError
from slicer_notebook.host.headless import HeadlessHost


def _state_of_slice(node: Any) -> list[Any]:
    matrix = node.GetSliceToRAS()
    return [
        node.GetFieldOfView(),
        node.GetDimensions(),
        node.GetXYZOrigin(),
        node.GetUVWDimensions(),
        node.GetUVWExtents(),
        node.GetUVWOrigin(),
        [matrix.GetElement(row, column) for row in range(4) for column in range(4)],
        [node.GetXYToRAS().GetElement(row, column) for row in range(4) for column in range(4)],
    ]


def _state_of_camera(node: Any) -> list[Any]:
    return [node.GetPosition(), node.GetFocalPoint(), node.GetViewUp(), node.GetViewAngle(), node.GetParallelScale()]


def test_a_picture_is_rgb_with_row_0_at_the_top(host: HeadlessHost, volume: Any, slicer: Any, array: Any) -> None:
    bright = np.zeros_like(array)
    bright[:, :15, :] = 1000  # j < 15 is anterior (A up to 15 mm): the upper half of an axial picture
    slicer.util.updateVolumeFromArray(volume, bright)
    picture = host.view("Red").image()
    assert picture.shape == (512, 512, 3)
    assert picture.dtype == np.uint8
    column = picture[:, 256, 0]
    assert column[200] > 200
    assert column[312] < 50
    assert (picture[..., 0] == picture[..., 1]).all()  # grey


def test_left_of_the_patient_is_on_the_right_of_an_axial_picture(host: HeadlessHost, volume: Any, slicer: Any) -> None:
    left = np.zeros((20, 30, 40), np.int16)
    left[:, :, 25:] = 1000  # R = 20 - i: large i is the patient's left
    slicer.util.updateVolumeFromArray(volume, left)
    row = host.view("Red").image()[256, :, 0]
    assert row[450] > 200
    assert row[60] < 50


@pytest.mark.parametrize("name", ["Red", "Yellow", "Green", "1"])
def test_another_size_leaves_the_view_as_it_was(host: HeadlessHost, volume: Any, ball: Any, name: str) -> None:
    view = host.view(name)
    view.fit()
    if view.kind == "slice":
        view.offset = 4.0
    view.image()
    state = _state_of_slice if view.kind == "slice" else _state_of_camera
    node = view.node if view.kind == "slice" else view.camera_node
    before, first = state(node), view.image()
    assert view.image((300, 200)).shape == (200, 300, 3)
    assert view.image((64, 640)).shape == (640, 64, 3)
    assert state(node) == before
    assert view.size == (512, 512)
    np.testing.assert_array_equal(view.image(), first)


def test_another_shape_shows_at_least_the_same_field(host: HeadlessHost, volume: Any) -> None:
    red = host.view("Red")
    assert red.node.GetFieldOfView()[:2] == (40.0, 40.0)  # fitted: 40 x 30 mm in a square
    wide = red.image((800, 400))
    lit = np.argwhere(wide[..., 0] > 0)
    # 10 pixels for a millimetre: 40 mm across, 30 mm high, in the middle.
    assert lit[:, 0].max() - lit[:, 0].min() == pytest.approx(300, abs=12)
    assert lit[:, 1].max() - lit[:, 1].min() == pytest.approx(400, abs=12)
    assert lit.mean(axis=0) == pytest.approx([200, 400], abs=6)


@pytest.mark.parametrize("size", [(0, 10), (-1, 5), (10, 99999), (10,), "big", (1.5, None), 7])
def test_a_size_that_is_none_is_refused(host: HeadlessHost, slicer: Any, size: Any) -> None:
    with pytest.raises(ArgumentError, match="width, height"):
        host.view("Red").image(size)


def test_the_picture_follows_the_offset(host: HeadlessHost, volume: Any) -> None:
    red = host.view("Red")
    red.offset = -20.0
    first = red.image()
    red.offset = 18.0
    assert (red.image() != first).any()
    red.offset = -20.0
    np.testing.assert_array_equal(red.image(), first)


def test_the_picture_follows_the_window(host: HeadlessHost, volume: Any) -> None:
    display = volume.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(-32000, -31000)
    assert host.view("Red").image()[256, 256].tolist() == [255, 255, 255]
    display.SetWindowLevelMinMax(31000, 32000)
    assert host.view("Red").image()[256, 256].tolist() == [0, 0, 0]


def test_fit_brings_back_what_was_moved_away(host: HeadlessHost, volume: Any, ball: Any) -> None:
    red = host.view("Red")
    fitted = red.image()
    red.node.SetXYZOrigin(500, 500, 0)
    assert red.image().max() == 0
    red.fit()
    np.testing.assert_array_equal(red.image(), fitted)
    view = host.view("1")
    view.camera_node.SetFocalPoint(9000, 0, 0)
    view.camera_node.SetPosition(9000, 500, 0)
    empty = view.image()
    view.fit()
    assert (view.image() != empty).any()
    assert view.camera_node.GetFocalPoint() == pytest.approx((1, 2, 3), abs=0.5)


def test_a_model_shows_in_3d_and_as_outline_in_slices(host: HeadlessHost, slicer: Any, ball: Any) -> None:
    ball.GetDisplayNode().SetColor(1, 0, 0)
    view = host.view("1")
    view.fit()
    middle = view.image()[256, 256].astype(int)
    assert middle[0] > middle[1] + 40
    red = host.view("Red")
    red.offset = 3.0
    assert red.image().max() == 0
    ball.GetDisplayNode().SetVisibility2D(True)
    outline = red.image()
    assert (outline[..., 0] > 128).sum() > 50
    assert outline[..., 2].max() < 60


def test_volume_rendering_shows(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    logic = slicer.modules.volumerendering.logic()
    view = host.view("1")
    view.fit()
    without = view.image()
    display = logic.CreateDefaultVolumeRenderingNodes(volume)
    display.GetVolumePropertyNode().Copy(logic.GetPresetByName("MR-Default"))
    display.SetVisibility(True)
    assert (view.image() != without).any()


def test_multisampling_is_off(host: HeadlessHost, slicer: Any) -> None:
    assert {view.render_window.GetMultiSamples() for view in host.application.layout.all_views()} == {0}


def test_a_changed_view_is_reported_once_until_it_is_drawn(host: HeadlessHost, volume: Any) -> None:
    reported: list[str] = []
    host.on_view_dirty(reported.append)
    try:
        for name in host.view_names():
            host.view(name).image()
        reported.clear()
        volume.GetDisplayNode().SetAutoWindowLevel(False)
        volume.GetDisplayNode().SetWindowLevel(10, 20)
        volume.GetDisplayNode().SetWindowLevel(11, 21)
        assert sorted(name for name in reported if name != "1") == ["Green", "Red", "Yellow"]
        reported.clear()
        volume.GetDisplayNode().SetWindowLevel(12, 22)
        assert reported == []
        host.view("Red").image((100, 100))
        volume.GetDisplayNode().SetWindowLevel(13, 23)
        assert reported == ["Red"]
    finally:
        host.application.dirty_callbacks.remove(reported.append)


def test_taking_a_picture_reports_nothing(host: HeadlessHost, volume: Any, ball: Any) -> None:
    reported: list[str] = []
    callback = reported.append
    for name in host.view_names():
        host.view(name).image()
    host.on_view_dirty(callback)
    try:
        for name in host.view_names():
            host.view(name).image()
            host.view(name).image((123, 77))
        assert reported == []
    finally:
        host.application.dirty_callbacks.remove(callback)


def test_paused_rendering_reports_when_it_resumes(host: HeadlessHost, slicer: Any, volume: Any) -> None:
    reported: list[str] = []
    callback = reported.append
    host.view("Red").image()
    host.on_view_dirty(callback)
    try:
        with slicer.util.RenderBlocker():
            host.view("Red").offset = 6.0
            assert "Red" not in reported
        assert reported.count("Red") == 1
    finally:
        host.application.dirty_callbacks.remove(callback)


def test_a_view_keeps_the_size_it_is_given(host: HeadlessHost, volume: Any) -> None:
    red = host.view("Red")
    red.size = (320, 240)
    assert red.image().shape == (240, 320, 3)
    assert red.node.GetDimensions()[:2] == (320, 240)
    red.fit()
    assert red.image().max() > 0
