"""Markups in the notebook: points in both frames, data frames, shapes, measurements, looks, files, placing, events."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook import session
from slicer_notebook.errors import ArgumentError, ArrayError, ItemNotFoundError
from tests.session.oblique import ROTATION, SHEARED, rigid

DEADLINE = 30.0
POINTS = np.array([[1.0, 2.0, 3.5], [-40.0, 5.25, 6.0], [7.0, -80.0, 9.0], [0.5, 0.25, -12.0]])


def moved(matrix: Any, points: Any) -> Any:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def test_each_kind_has_its_handle(slicer: sn.Session) -> None:
    made = [
        slicer.add_markups(POINTS, "p"),
        slicer.add_line(POINTS[0], POINTS[1]),
        slicer.add_angle(*POINTS[:3]),
        slicer.add_curve(POINTS),
        slicer.add_curve(POINTS, closed=True),
        slicer.add_plane(POINTS[0], (1, 1, 0)),
        slicer.add_roi(POINTS[0], (10, 20, 30)),
    ]
    kinds = (
        session.MarkupsPoints, session.MarkupsLine, session.MarkupsAngle, session.MarkupsCurve,
        session.MarkupsClosedCurve, session.MarkupsPlane, session.MarkupsROI,
    )  # fmt: skip
    assert [type(each) for each in made] == list(kinds)
    assert [each.name for each in made] == ["p", "Line", "Angle", "Curve", "Curve_1", "Plane", "ROI"]
    assert all(isinstance(slicer[each.id], session.Markups) for each in made)
    assert [type(slicer.add_markups(POINTS[:1], kind=kind)) for kind in ("points", "roi", "closed curve")] == [
        session.MarkupsPoints, session.MarkupsROI, session.MarkupsClosedCurve,
    ]  # fmt: skip


def test_points_in_the_world_and_in_the_node_s_own_frame(slicer: sn.Session) -> None:
    points = slicer.add_markups(POINTS, "p")
    slicer.add_transform(SHEARED).apply(points)
    np.testing.assert_allclose(points.own_points, POINTS)
    np.testing.assert_allclose(points.points, moved(SHEARED, POINTS))
    points.points = POINTS[::-1]
    np.testing.assert_allclose(points.points, POINTS[::-1])
    np.testing.assert_allclose(points.own_points, moved(np.linalg.inv(SHEARED), POINTS[::-1]))
    points.own_points = POINTS[:2]
    np.testing.assert_allclose(points.points, moved(SHEARED, POINTS[:2]))
    assert len(points) == 2
    points.points = []
    assert len(points) == 0


def test_what_is_known_of_points_stays_when_they_move(slicer: sn.Session) -> None:
    points = slicer.add_markups(POINTS, "p", ["a", "b", "c", "d"])
    points.descriptions = ["", "second", "", ""]
    points.points_locked = [True, False, False, False]
    points.points_visible = False
    points.selected = [False, True, True, True]
    points.points = POINTS[:2] + 1.0
    assert points.labels == ["a", "b"]
    assert points.descriptions == ["", "second"]
    assert points.points_locked.tolist() == [True, False]
    assert points.points_visible.tolist() == [False, False]
    assert points.selected.tolist() == [False, True]
    points.labels = ["x", "y"]
    np.testing.assert_allclose(points.points, POINTS[:2] + 1.0)
    assert points.labels == ["x", "y"]
    with pytest.raises(ArgumentError, match="2 values"):
        points.labels = ["only one"]


def test_points_one_by_one(slicer: sn.Session) -> None:
    points = slicer.add_markups(POINTS[:1], "p")
    slicer.add_transform(SHEARED).apply(points)
    assert points.add(POINTS[1], "two") == [1]
    assert points.add(POINTS[2:], ["three", "four"]) == [2, 3]
    np.testing.assert_allclose(points.points[1:], POINTS[1:])
    assert points.labels[1:] == ["two", "three", "four"]
    points.edit(-1, position=(1, 2, 3), label="last", description="of all", selected=False, visible=False, locked=True)
    np.testing.assert_allclose(points.points[3], (1, 2, 3))
    row = points.to_dataframe().iloc[3]
    assert (row.label, row.description, row.selected, row.visible, row.locked) == ("last", "of all", False, False, True)
    points.remove_point(0)
    assert points.labels == ["two", "three", "last"]
    with pytest.raises(ItemNotFoundError, match="-3 to 2"):
        points.remove_point(3)
    with pytest.raises(ArrayError, match="label"):
        points.add(POINTS, ["one"])
    with pytest.raises(ArgumentError, match="finite"):
        points.edit(0, position=(1, 2, float("nan")))


@pytest.mark.parametrize(("kind", "most"), [("line", 2), ("angle", 3), ("roi", 1)])
def test_a_kind_has_so_many_points(slicer: sn.Session, kind: Any, most: int) -> None:
    with pytest.raises(ArrayError, match=f"'{kind}'.*\n.*{most} at most\n.*{most + 1}"):
        slicer.add_markups(POINTS[: most + 1], kind=kind)
    assert slicer.nodes("vtkMRMLMarkupsNode") == []
    markups = slicer.add_markups(POINTS[:most], kind=kind)
    with pytest.raises(ArrayError, match=kind):
        markups.points = POINTS
    with pytest.raises(ArrayError, match=kind):
        markups.add(POINTS[0])
    np.testing.assert_allclose(markups.points, POINTS[:most])
    with pytest.raises(ArrayError, match="all its points"):
        markups.place()


def test_what_is_no_markup_is_refused(slicer: sn.Session) -> None:
    with pytest.raises(ArgumentError, match="points, line, angle"):
        slicer.add_markups(POINTS, kind="ruler")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no class of markups"):
        slicer.call("markups.add", points=POINTS, class_name="vtkMRMLModelNode")
    with pytest.raises(ArgumentError, match="three numbers"):
        slicer.add_line([0, 0], [1, 1])
    with pytest.raises(ArrayError, match="not an array of numbers"):
        slicer.add_curve("points")
    assert slicer.nodes("vtkMRMLMarkupsNode") == []
    assert not any(node.name.startswith("Points") for node in slicer.nodes("vtkMRMLModelNode"))


def test_data_frames_hold_all_of_it(slicer: sn.Session) -> None:
    points = slicer.add_markups(POINTS, "p", ["a", "b", "c", "d"])
    frame = points.to_dataframe()
    assert list(frame.columns) == [
        "label", "r", "a", "s", "description", "selected", "visible", "locked", "defined",
    ]  # fmt: skip
    axes = np.stack([ROTATION, np.eye(3), ROTATION.T, np.eye(3)])
    points.orientations = axes
    points.points_locked = [False, True, False, False]
    slicer.run(f"slicer.mrmlScene.GetNodeByID({points.id!r}).SetNthControlPointPositionMissing(2)")
    slicer.add_transform(rigid()).apply(points)
    frame = points.to_dataframe()
    assert frame.defined.tolist() == [True, True, False, True]
    assert frame.loc[2, ["r", "a", "s"]].isna().all()
    np.testing.assert_allclose(frame.loc[[0, 1, 3], ["r", "a", "s"]], moved(rigid(), POINTS)[[0, 1, 3]])
    # A column of each matrix is an axis.
    np.testing.assert_allclose(frame.loc[0, ["x_r", "x_a", "x_s"]].astype(float), (rigid()[:3, :3] @ ROTATION)[:, 0])
    np.testing.assert_allclose(frame.loc[1, ["z_r", "z_a", "z_s"]].astype(float), rigid()[:3, 2])
    own = points.to_dataframe(world=False)
    np.testing.assert_allclose(own.loc[0, ["r", "a", "s"]].astype(float), POINTS[0])

    again = slicer.add_markups(frame, "again")
    assert again.to_dataframe().equals(frame) or np.allclose(again.points, points.points, equal_nan=True)
    np.testing.assert_allclose(again.orientations, points.orientations, atol=1e-12)
    assert again.to_dataframe().drop(columns=frame.columns[1:4]).defined.tolist() == frame.defined.tolist()
    assert again.to_dataframe().locked.tolist() == [False, True, False, False]
    changed = frame.iloc[:2].assign(label=["x", "y"])
    points.from_dataframe(changed)
    assert points.labels == ["x", "y"]
    np.testing.assert_allclose(points.points, changed[["r", "a", "s"]])
    only = slicer.add_markups(changed[["r", "a", "s"]], "only positions")
    np.testing.assert_allclose(only.points, changed[["r", "a", "s"]])


def test_data_frames_that_do_not_fit_are_refused(slicer: sn.Session) -> None:
    points = slicer.add_markups(POINTS, "p")
    frame = points.to_dataframe()
    with pytest.raises(ArgumentError, match="columns r, a, s"):
        points.from_dataframe(frame.drop(columns="s"))
    with pytest.raises(ArgumentError, match="wrong"):
        points.from_dataframe(frame.assign(wrong=1))
    with pytest.raises(ArrayError, match="finite"):
        points.from_dataframe(frame.assign(r=float("nan")))
    with pytest.raises(ArrayError, match="right angles"):
        points.from_dataframe(points.to_dataframe(orientations=True).assign(x_r=0.5))
    with pytest.raises(ArgumentError, match="wrong"):
        slicer.add_markups(frame.assign(wrong=1), "not made")
    assert "not made" not in slicer
    np.testing.assert_allclose(points.points, POINTS)


# -- shapes ------------------------------------------------------------------------------------------------------------


def test_lines_and_angles_measure_in_the_world(slicer: sn.Session) -> None:
    line = slicer.add_line(POINTS[0], POINTS[1])
    angle = slicer.add_angle(*POINTS[:3])
    assert line.length == pytest.approx(np.linalg.norm(POINTS[0] - POINTS[1]))
    transform = slicer.add_transform(SHEARED)
    for each in (line, angle):
        transform.apply(each)
    a, b, c = moved(SHEARED, POINTS[:3])
    assert line.length == pytest.approx(np.linalg.norm(a - b))
    cosine = (a - b) @ (c - b) / np.linalg.norm(a - b) / np.linalg.norm(c - b)
    assert angle.angle == pytest.approx(np.degrees(np.arccos(cosine)))
    assert line.measurements["length"].value == pytest.approx(line.length)
    assert angle.measurements["angle"] == (pytest.approx(angle.angle), "deg", f"{angle.angle:.1f}deg")
    empty = slicer.add_markups(kind="line")
    assert isinstance(empty, session.MarkupsLine)
    assert empty.length == 0
    assert empty.measurements == {}
    assert np.isnan(slicer.add_markups(kind="angle").angle)  # type: ignore[attr-defined]


def test_curves(slicer: sn.Session) -> None:
    square = np.array([[0.0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0]]) @ ROTATION.T + (3, -4, 50)
    opened, closed = slicer.add_curve(square, "open"), slicer.add_curve(square, "closed", closed=True)
    assert (opened.closed, closed.closed) == (False, True)
    assert opened.curve_type == "spline"
    on_spline = opened.points_on_curve
    nearest = np.linalg.norm(on_spline[:, None] - square[None], axis=2).min(axis=0)
    np.testing.assert_allclose(nearest, 0, atol=1e-4)
    for curve, length in ((opened, 30.0), (closed, 40.0)):
        curve.curve_type = "linear"
        assert curve.length == pytest.approx(length)
        steps = np.linalg.norm(np.diff(curve.points_on_curve, axis=0), axis=1)
        assert steps.sum() == pytest.approx(length)
    np.testing.assert_allclose(closed.points_on_curve[0], closed.points_on_curve[-1], atol=1e-9)
    assert "area" not in closed.measurements
    area = closed.measure("area")["area"]
    assert (area.value, area.unit) == (pytest.approx(1.0, rel=1e-3), "cm2")
    assert float(area) == area.value
    with pytest.raises(ArgumentError, match="length, curvature mean"):
        opened.measure("area")
    assert {"length", "curvature mean", "torsion max"} <= opened.measure().keys()
    assert opened.resample(2.0) == 16
    np.testing.assert_allclose(np.linalg.norm(np.diff(opened.points, axis=0), axis=1), 2.0, rtol=1e-3)
    with pytest.raises(ArgumentError, match="at most"):
        opened.resample(1000)
    with pytest.raises(ArgumentError, match="kochanekSpline"):
        opened.curve_type = "straight"  # type: ignore[assignment]


def test_planes(slicer: sn.Session) -> None:
    plane = slicer.add_plane((1, 2, 3), (0, 3, 4), size=(20, 30))
    np.testing.assert_allclose(plane.normal, (0, 0.6, 0.8))
    np.testing.assert_allclose(plane.origin, (1, 2, 3))
    assert plane.size == pytest.approx((20, 30))
    assert plane.measure("area")["area"].value == pytest.approx(6.0)
    np.testing.assert_allclose(plane.matrix[:3, 2], plane.normal)
    turned = rigid()
    slicer.add_transform(np.linalg.inv(rigid()) @ np.diag([-1, -1, 1, 1.0])).apply(plane)
    plane.matrix = turned
    np.testing.assert_allclose(plane.matrix, turned, atol=1e-9)
    np.testing.assert_allclose(plane.origin, turned[:3, 3], atol=1e-9)
    assert plane.size == pytest.approx((20, 30))
    plane.normal = (2, 0, 0)
    np.testing.assert_allclose(plane.normal, (1, 0, 0), atol=1e-9)
    plane.origin = (5, 6, 7)
    np.testing.assert_allclose(plane.distances([[5, 100, 100], [8, 6, 7], [4, 0, 0]]), (0, 3, -1), atol=1e-9)
    with pytest.raises(ArrayError, match="turn and move"):
        plane.matrix = SHEARED
    with pytest.raises(ArgumentError, match="normal"):
        plane.normal = (0, 0, 0)
    with pytest.raises(ArgumentError, match="normal"):
        slicer.add_plane((0, 0, 0), (0, 0, 0), "not made")
    assert "not made" not in slicer


def test_planes_of_points(slicer: sn.Session) -> None:
    through = slicer.add_markups(POINTS[:3], kind="plane")
    assert isinstance(through, session.MarkupsPlane)
    assert through.plane_type == "threePoints"
    normal = np.cross(POINTS[1] - POINTS[0], POINTS[2] - POINTS[0])
    np.testing.assert_allclose(abs(through.normal @ normal) / np.linalg.norm(normal), 1.0)
    np.testing.assert_allclose(through.distances(POINTS[:3]), 0, atol=1e-9)
    flat = np.array([[0.0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0], [4, 4, 0]]) @ ROTATION.T + (3, -4, 50)
    fitted = slicer.add_markups(flat, kind="plane")
    assert isinstance(fitted, session.MarkupsPlane)
    assert fitted.plane_type == "planeFit"
    np.testing.assert_allclose(abs(fitted.normal @ ROTATION[:, 2]), 1.0)
    with pytest.raises(ArgumentError, match="fitted to its points"):
        fitted.normal = (1, 0, 0)
    with pytest.raises(ArrayError, match="plane_type"):
        slicer.add_plane((0, 0, 0)).points = POINTS


def test_rois(slicer: sn.Session) -> None:
    roi = slicer.add_roi((1, 2, 3), (10, 20, 30))
    np.testing.assert_allclose(roi.center, (1, 2, 3))
    assert roi.size == pytest.approx((10, 20, 30))
    np.testing.assert_allclose(roi.bounds, (-4, 6, -8, 12, -12, 18))
    assert roi.measure("volume")["volume"].value == pytest.approx(6.0)
    slicer.add_transform(rigid()).apply(roi)
    turned = np.eye(4)
    turned[:3, :3], turned[:3, 3] = ROTATION.T, (-7, 8, 9)
    roi.matrix = turned
    np.testing.assert_allclose(roi.matrix, turned, atol=1e-9)
    np.testing.assert_allclose(roi.center, (-7, 8, 9))
    corners = np.array([[x, y, z] for x in (-5, 5) for y in (-10, 10) for z in (-15, 15)])
    world = moved(turned, corners)
    np.testing.assert_allclose(roi.bounds[::2], world.min(axis=0))
    np.testing.assert_allclose(roi.bounds[1::2], world.max(axis=0))
    inside = np.random.default_rng(3).uniform(-20, 20, (60, 3))
    expected = (np.abs(inside) <= (5, 10, 15)).all(axis=1)
    assert expected.any()
    assert roi.contains(moved(turned, inside)).tolist() == expected.tolist()
    roi.bounds = (0, 10, 20, 40, -5, -1)
    np.testing.assert_allclose(roi.bounds, (0, 10, 20, 40, -5, -1), atol=1e-9)
    assert roi.size == pytest.approx((10, 20, 4))
    with pytest.raises(ArrayError, match="turn and move"):
        roi.matrix = SHEARED
    with pytest.raises(ArgumentError, match="size"):
        roi.size = (-1, 1, 1)
    placed = slicer.add_roi(size=(2, 2, 2), matrix=turned)
    np.testing.assert_allclose(placed.matrix, turned, atol=1e-9)


def test_a_roi_around_a_node(slicer: sn.Session) -> None:
    roi = slicer.add_roi()
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = (10, 20, 30)
    roi.fit(slicer.add_volume(np.zeros((4, 5, 6), np.uint8), affine, show=False))
    # To the outer faces of the voxels.
    np.testing.assert_allclose(roi.bounds, (9, 21, 18.5, 33.5, 28, 44))
    with pytest.raises(ArgumentError, match="no place"):
        roi.fit(slicer.add_markups([], "empty"))


# -- looks, files, views -----------------------------------------------------------------------------------------------


def test_looks(slicer: sn.Session) -> None:
    points = slicer.add_markups(POINTS, "p")
    points.color = (0.25, 0.5, 1)
    assert points.color == points.selected_color == points.unselected_color == (0.25, 0.5, 1.0)
    points.unselected_color = (1, 1, 1)
    assert points.color == (0.25, 0.5, 1.0)
    points.opacity, points.text_scale = 0.5, 6.0
    assert (points.opacity, points.text_scale) == (0.5, 6.0)
    assert points.glyph_size is None
    points.glyph_size = 7.5
    assert (points.glyph_size, points.glyph_scale) == (7.5, None)
    points.glyph_scale = 2
    assert (points.glyph_size, points.glyph_scale) == (None, 2.0)
    for name in ("visible", "visible_2d", "visible_3d", "labels_visible", "locked"):
        before = getattr(points, name)
        setattr(points, name, not before)
        assert getattr(points, name) is not before
    with pytest.raises(ArgumentError, match="0 to 1"):
        points.color = (255, 0, 0)
    with pytest.raises(ArgumentError, match="0 to 1"):
        points.opacity = 2
    with pytest.raises(ArgumentError, match="above 0"):
        points.glyph_size = 0


def test_the_picture_has_the_colour(slicer: sn.Session) -> None:
    points = slicer.add_markups([[0, 0, 0]], "p", [""])
    points.glyph_size = 30
    points.color = (0, 1, 0)
    points.jump(0)

    def green() -> int:
        picture = slicer.view("Red").image((200, 200)).array.astype(int)
        return int(((picture[..., 1] > 150) & (picture[..., 0] < 80) & (picture[..., 2] < 80)).sum())

    assert green() > 20
    points.visible_2d = False
    assert green() == 0


def test_files_are_lps_and_handles_ras(slicer: sn.Session, tmp_path: Path) -> None:
    points = slicer.add_markups(POINTS, "p", ["a", "b", "c", "d"])
    points.descriptions = ["", "two", "", ""]
    points.orientations = np.stack([ROTATION] * 4)
    points.color = (0, 0.5, 1)
    path = points.save(tmp_path / "p.mrk.json")
    [written] = json.loads(path.read_text(encoding="utf-8"))["markups"]
    assert (written["type"], written["coordinateSystem"]) == ("Fiducial", "LPS")
    np.testing.assert_allclose([each["position"] for each in written["controlPoints"]], POINTS * (-1, -1, 1))
    axes = np.array([each["orientation"] for each in written["controlPoints"]]).reshape(4, 3, 3)
    np.testing.assert_allclose(axes[0], np.diag([-1, -1, 1]) @ ROTATION, atol=1e-6)
    points.remove()
    [read] = [slicer.load(path)]
    assert isinstance(read, session.MarkupsPoints)
    np.testing.assert_allclose(read.points, POINTS, atol=1e-6)
    np.testing.assert_allclose(read.orientations[0], ROTATION, atol=1e-6)
    assert read.to_dataframe().description.tolist() == ["", "two", "", ""]
    assert read.color == pytest.approx((0, 0.5, 1))


def test_shapes_come_back_from_their_files(slicer: sn.Session, tmp_path: Path) -> None:
    roi = slicer.add_roi(size=(10, 20, 30), matrix=rigid())
    path = roi.save(tmp_path / "r.mrk.json")
    [written] = json.loads(path.read_text(encoding="utf-8"))["markups"]
    np.testing.assert_allclose(written["center"], rigid()[:3, 3] * (-1, -1, 1))
    np.testing.assert_allclose(written["size"], (10, 20, 30))
    read = slicer.load(path)
    assert isinstance(read, session.MarkupsROI)
    np.testing.assert_allclose(read.matrix, rigid(), atol=1e-5)
    assert read.size == pytest.approx((10, 20, 30))
    plane = slicer.add_plane((0, 0, 0), size=(5, 6))
    plane.matrix = rigid()
    read = slicer.load(plane.save(tmp_path / "plane.mrk.json"))
    assert isinstance(read, session.MarkupsPlane)
    np.testing.assert_allclose(read.matrix, rigid(), atol=1e-5)
    assert read.size == pytest.approx((5, 6))


def test_a_jump_moves_the_slices(slicer: sn.Session) -> None:
    points = slicer.add_markups([[10, 20, 30], [-11, -22, -33]], "p")
    slicer.add_transform(rigid()).apply(points)
    points.jump(-1)
    r, a, s = moved(rigid(), np.array([-11, -22, -33.0]))
    offsets = [slicer.view(name).offset for name in ("Yellow", "Green", "Red")]
    # The normal of Slicer's sagittal plane points to the left.
    np.testing.assert_allclose(offsets, (-r, a, s))
    with pytest.raises(ItemNotFoundError):
        points.jump(2)


def test_place_mode(slicer: sn.Session) -> None:
    points, line = slicer.add_markups([], "p"), slicer.add_markups(kind="line")
    assert not points.placing
    points.place()
    assert points.placing
    line.place(persistent=False)
    assert (points.placing, line.placing) == (False, True)
    mode = "slicer.app.applicationLogic().GetInteractionNode()"
    assert slicer.eval(f"{mode}.GetPlaceModePersistence()") == 0
    assert "clicks in views" in line._repr_html_()
    line.end_place()
    assert not line.placing
    assert slicer.eval(f"{mode}.GetInteractionModeAsString({mode}.GetCurrentInteractionMode())") == "ViewTransform"


def test_changes_are_told(slicer: sn.Session) -> None:
    there = threading.Event()
    adding = slicer.on("scene", lambda event: any(each.name == "told" for each in event["added"]) and there.set())
    points = slicer.add_markups(POINTS, "told")
    # Until then it is new, and nobody is told that it was changed.
    assert there.wait(DEADLINE)
    adding.close()
    for change in (
        "node.SetNthControlPointPosition(0, 9, 9, 9)",
        "node.SetNthControlPointLabel(0, 'x')",
        "node.RemoveNthControlPoint(0)",
        "node.AddControlPoint(1, 2, 3)",
    ):
        heard = threading.Event()
        subscription = points.on("modified", lambda _node, heard=heard: heard.set())
        slicer.run(f"node = slicer.mrmlScene.GetNodeByID({points.id!r})\n{change}")
        assert heard.wait(DEADLINE), change
        subscription.close()


def test_the_card_says_what_matters(slicer: sn.Session) -> None:
    points = slicer.add_markups(np.vstack([POINTS, POINTS]), "landmarks", [*"abcdefg", "<h>"])
    card = points._repr_html_()
    assert "landmarks" in card
    assert "R -40.0, A 5.2, S 6.0 mm" in card
    assert "and 3 more" in card
    assert "&lt;h&gt;" not in card
    points.points = POINTS[:1]
    points.labels = ["<b>"]
    assert "&lt;b&gt;" in points._repr_html_()
    line = slicer.add_line(POINTS[0], POINTS[1])
    line.visible = False
    assert f"{line.length:.2f}mm" in line._repr_html_()
    assert "2" in line._repr_html_()
    assert "hidden" in line._repr_html_()
    assert "1 of 3" in slicer.add_markups(POINTS[:1], kind="angle")._repr_html_()
