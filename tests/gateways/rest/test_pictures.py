"""Pictures over the wire: what is asked for is what is seen, told by octants whose values are known."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.protocol.values import Array
from tests.gateways.rest.conftest import AFFINE, client, picture, refused

#: Grey of an octant: values 100 to 800 in a window of 0 to 1000.
GREY = {value: round(value * 255 / 1000) for value in range(100, 900, 100)}


def quarters(found: Array) -> list[int]:
    """The volume's value in the middle of each quarter: top left, top right, bottom left, bottom right."""
    height, width = found.shape[:2]
    values = []
    for down in (0.38, 0.62):
        for across in (0.38, 0.62):
            grey = int(found[round(height * down), round(width * across)].mean())
            nearest = min(GREY, key=lambda value: abs(GREY[value] - grey))
            assert abs(GREY[nearest] - grey) <= 3, grey
            values.append(nearest)
    return values


# The phantom: value 100 + 100 (i high) + 200 (j high) + 400 (k high); i and j rise to the left and back (LPS), k to S.
# As radiologists look at them: the patient's left is to the right.
AXIAL_LOW = [100, 200, 300, 400]  # anterior up: j low above
AXIAL_HIGH = [500, 600, 700, 800]
SAGITTAL_RIGHT = [500, 700, 100, 300]  # superior up, anterior to the left
SAGITTAL_LEFT = [600, 800, 200, 400]
CORONAL_FRONT = [500, 600, 100, 200]  # superior up, the patient's left to the right
CORONAL_BACK = [700, 800, 300, 400]


@pytest.mark.parametrize(
    ("orientation", "offset", "expected"),
    [
        ("axial", -30, AXIAL_LOW),
        ("AXIAL", 30, AXIAL_HIGH),
        # The normal of Slicer's sagittal planes points to the left.
        ("sagittal", -30, SAGITTAL_RIGHT),
        ("Sagittal", 30, SAGITTAL_LEFT),
        ("coronal", 30, CORONAL_FRONT),
        ("coronal", -30, CORONAL_BACK),
    ],
)
@pytest.mark.parametrize("view", ["red", "yellow", "Green"])
@pytest.mark.usefixtures("phantom")
def test_every_view_shows_every_plane(
    rest: httpx.Client, view: str, orientation: str, offset: float, expected: list[int]
) -> None:
    found = picture(rest.get("/slicer/slice", params={"view": view, "orientation": orientation, "offset": offset}))
    assert quarters(found) == expected


@pytest.mark.usefixtures("phantom")
def test_the_picture_is_the_views_own_and_moves_it(rest: httpx.Client, slicer: sn.Session) -> None:
    found = picture(rest.get("/slicer/slice", params={"view": "red", "offset": 30}))
    assert slicer.view("Red").offset == 30
    np.testing.assert_array_equal(found, slicer.call("view.image", name="Red"))
    # Nothing asked, nothing moved; red without a view, and for one that there is not.
    for asked in ({}, {"view": "red"}, {"view": "purple"}):
        np.testing.assert_array_equal(picture(rest.get("/slicer/slice", params=asked)), found)
    assert slicer.view("Red").offset == 30


@pytest.mark.usefixtures("phantom")
def test_offset_0_is_an_offset(rest: httpx.Client, slicer: sn.Session) -> None:
    rest.get("/slicer/slice", params={"offset": -30})
    picture(rest.get("/slicer/slice", params={"offset": 0}))
    assert slicer.view("Red").offset == 0


@pytest.mark.parametrize(
    ("scroll", "offset", "expected"), [("0", -62, AXIAL_LOW), ("1", 62, AXIAL_HIGH), ("0.25", -31, AXIAL_LOW)]
)
@pytest.mark.usefixtures("phantom")
def test_scroll_to(rest: httpx.Client, slicer: sn.Session, scroll: str, offset: float, expected: list[int]) -> None:
    rest.get("/slicer/slice", params={"offset": 3})
    found = picture(rest.get("/slicer/slice", params={"scrollTo": scroll}))
    assert quarters(found) == expected
    assert slicer.view("Red").offset == pytest.approx(offset)


@pytest.mark.parametrize("size", [64, 300, 1000])
@pytest.mark.usefixtures("phantom")
def test_size(rest: httpx.Client, slicer: sn.Session, size: int) -> None:
    asked = {"offset": 30, "size": size}
    found = picture(rest.get("/slicer/slice", params=asked))
    assert found.shape == (size, size, 3)
    assert quarters(found) == AXIAL_HIGH
    assert picture(rest.get("/slicer/threeD", params={"size": size})).shape == (size, size, 3)
    assert picture(rest.get("/slicer/slice")).shape == (512, 512, 3)
    np.testing.assert_array_equal(picture(rest.get("/slicer/slice", params=asked)), found)
    assert slicer.view("Red").offset == 30


@pytest.mark.usefixtures("phantom")
def test_mode_makes_offsets_relative(rest: httpx.Client, slicer: sn.Session) -> None:
    red = slicer.view("Red")
    rest.get("/slicer/slice", params={"offset": 10})
    for mode, offset, expected in (("start", 0, 10), ("drag", 5, 15), ("move", -4, 6), ("end", 8, 18)):
        picture(rest.get("/slicer/slice", params={"mode": mode, "offset": offset}))
        assert red.offset == expected
    # The drag is over: the next one begins where the view is.
    picture(rest.get("/slicer/slice", params={"mode": "drag", "offset": 1}))
    assert red.offset == 19
    picture(rest.get("/slicer/slice", params={"mode": "end"}))


@pytest.mark.usefixtures("phantom")
def test_geometry_is_copied(rest: httpx.Client, slicer: sn.Session) -> None:
    rest.get("/slicer/slice", params={"view": "green", "orientation": "coronal", "offset": 30})
    found = picture(rest.get("/slicer/slice", params={"view": "red", "copySliceGeometryFrom": "green"}))
    assert quarters(found) == CORONAL_FRONT
    assert slicer.view("Red").orientation == "Coronal"
    assert slicer.view("Red").offset == pytest.approx(30)
    refused(rest.get("/slicer/slice", params={"copySliceGeometryFrom": "purple"}), "no view")


@pytest.mark.usefixtures("phantom")
def test_a_view_that_the_layout_hides(rest: httpx.Client, slicer: sn.Session) -> None:
    slicer.layout = "OneUpRedSlice"
    asked = {"view": "yellow", "orientation": "sagittal", "offset": "-30"}
    assert quarters(picture(rest.get("/slicer/slice", params=asked))) == SAGITTAL_RIGHT
    picture(rest.get("/slicer/threeD"))


@pytest.mark.parametrize(
    "asked",
    [
        {"offset": "x"}, {"offset": "nan"}, {"scrollTo": "1.5"}, {"scrollTo": "-0.1"}, {"size": "0"},
        {"size": "100000"}, {"size": "1.5"}, {"orientation": "upside down"}, {"offset": "1e400"},
    ],
)  # fmt: skip
def test_what_does_not_fit_a_slice(rest: httpx.Client, slicer: sn.Session, asked: dict[str, str]) -> None:
    before = slicer.view("Red").offset
    refused(rest.get("/slicer/slice", params=asked), "")
    assert slicer.view("Red").offset == before


# -- 3-D ------------------------------------------------------------------------------------------------------------

#: Six balls on the axes, each of another colour, and what is in front when one looks from there.
_BALLS = """
import slicer, vtk
for name, centre, colour in (
    ("L", (-60, 0, 0), (1, 0, 0)), ("R", (60, 0, 0), (0, 1, 0)), ("A", (0, 60, 0), (0, 0, 1)),
    ("P", (0, -60, 0), (1, 1, 0)), ("S", (0, 0, 60), (0, 1, 1)), ("I", (0, 0, -60), (1, 0, 1)),
):
    ball = vtk.vtkSphereSource()
    ball.SetCenter(centre)
    ball.SetRadius(15)
    ball.SetThetaResolution(24)
    ball.SetPhiResolution(24)
    ball.Update()
    node = slicer.modules.models.logic().AddModel(ball.GetOutput())
    node.SetName("ball " + name)
    node.GetDisplayNode().SetColor(colour)
    node.GetDisplayNode().SetAmbient(1)
    node.GetDisplayNode().SetDiffuse(0)
    node.GetDisplayNode().SetSpecular(0)
view = slicer.app.layoutManager().threeDWidget(0)
view.mrmlViewNode().SetBoxVisible(False)
view.mrmlViewNode().SetAxisLabelsVisible(False)
camera = view.threeDView().cameraNode()
camera.SetFocalPoint(0, 0, 0)
camera.SetPosition(0, 500, 0)
camera.SetViewUp(0, 0, 1)
"""
COLOURS = {"L": (1, 0, 0), "R": (0, 1, 0), "A": (0, 0, 1), "P": (1, 1, 0), "S": (0, 1, 1), "I": (1, 0, 1)}


@pytest.fixture
def balls(slicer: sn.Session) -> None:
    """The balls, seen from the front."""
    slicer.run(_BALLS)


def ball_at(found: Array, across: float, down: float) -> str | None:
    """Which ball is there in a picture (0 to 1 from the left and from the top); None where there is none."""
    height, width = found.shape[:2]
    seen = found[int(height * down), int(width * across)].astype(int)
    return next((name for name, colour in COLOURS.items() if abs(seen - 255 * np.array(colour)).max() < 20), None)


def middle(found: Array) -> str | None:
    """The ball in the middle."""
    return ball_at(found, 0.5, 0.5)


def centre_of(found: Array, name: str) -> tuple[float, float]:
    """Where a ball is, in parts of the picture."""
    down, across = np.nonzero(abs(found.astype(int) - 255 * np.array(COLOURS[name])).max(axis=2) < 20)
    assert len(down) > 20, f"ball {name} is not seen"
    return float(across.mean() / found.shape[1]), float(down.mean() / found.shape[0])


@pytest.mark.parametrize(
    ("given", "expected"),
    [("L", "L"), ("r", "R"), ("A", "A"), ("posterior", "P"), ("I", "I"), ("Superior", "S"), ("left", "L")],
)
@pytest.mark.usefixtures("balls")
def test_look_from_each_axis(rest: httpx.Client, given: str, expected: str) -> None:
    assert middle(picture(rest.get("/slicer/threeD", params={"lookFromAxis": given}))) == expected
    # The view has been turned, as upstream does it.
    assert middle(picture(rest.get("/slicer/threeD"))) == expected


@pytest.mark.usefixtures("balls")
def test_from_the_front_left_is_right_and_superior_is_up(rest: httpx.Client) -> None:
    found = picture(rest.get("/slicer/threeD", params={"lookFromAxis": "A"}))
    assert centre_of(found, "L")[0] > 0.55
    assert centre_of(found, "R")[0] < 0.45
    assert centre_of(found, "S")[1] < 0.45
    assert centre_of(found, "I")[1] > 0.55


@pytest.mark.usefixtures("balls")
def test_roll_turns_the_picture(rest: httpx.Client) -> None:
    rest.get("/slicer/threeD", params={"lookFromAxis": "A"})
    found = picture(rest.get("/slicer/threeD", params={"roll": 90}))
    assert middle(found) == "A"
    # A camera that rolls by a quarter turns what it sees by a quarter; the axes are at the sides now.
    sides = {name: centre_of(found, name) for name in "LRSI"}
    assert abs(sides["L"][0] - 0.5) < 0.02
    assert abs(sides["S"][1] - 0.5) < 0.02
    assert abs(sides["S"][0] - 0.5) > 0.05
    back = picture(rest.get("/slicer/threeD", params={"roll": -90}))
    assert centre_of(back, "S")[1] < 0.45


@pytest.mark.parametrize("axis", ["panX", "panY"])
@pytest.mark.usefixtures("balls")
def test_pan_moves_the_picture(rest: httpx.Client, axis: str) -> None:
    before = centre_of(picture(rest.get("/slicer/threeD", params={"lookFromAxis": "A"})), "A")
    after = centre_of(picture(rest.get("/slicer/threeD", params={axis: 0.1})), "A")
    moved = np.array(after) - np.array(before)
    # The camera goes left or up: what it sees goes right or down.
    assert moved[0 if axis == "panX" else 1] > 0.1
    assert abs(moved[1 if axis == "panX" else 0]) < 0.01


@pytest.mark.parametrize(("axis", "expected"), [("orbitX", "R"), ("orbitY", "S")])
@pytest.mark.usefixtures("balls")
def test_orbit_goes_round(rest: httpx.Client, axis: str, expected: str) -> None:
    rest.get("/slicer/threeD", params={"lookFromAxis": "A"})
    found = picture(rest.get("/slicer/threeD", params={axis: 0.3}))
    assert middle(found) is None
    # By far: to the side, the focal point in the middle, at the same distance.
    rest.get("/slicer/threeD", params={"lookFromAxis": "A"})
    assert middle(picture(rest.get("/slicer/threeD", params={axis: 100}))) == expected


@pytest.mark.usefixtures("balls")
def test_mode_makes_movements_relative_to_the_start(rest: httpx.Client) -> None:
    rest.get("/slicer/threeD", params={"lookFromAxis": "A"})
    start = picture(rest.get("/slicer/threeD", params={"mode": "start"}))
    far = picture(rest.get("/slicer/threeD", params={"mode": "drag", "orbitX": 0.5}))
    assert not np.array_equal(start, far)
    np.testing.assert_array_equal(picture(rest.get("/slicer/threeD", params={"mode": "drag"})), start)
    np.testing.assert_array_equal(picture(rest.get("/slicer/threeD", params={"mode": "end", "orbitX": 0.5})), far)
    # Without a mode, from where the camera is.
    again = picture(rest.get("/slicer/threeD", params={"orbitX": 0.5}))
    assert not np.array_equal(again, far)


@pytest.fixture(scope="module")
def apart() -> Iterator[tuple[sn.Session, httpx.Client]]:
    """A Slicer for layouts with further views: views stay for ever, and take time of all tests that follow."""
    with sn.launch() as session, client(session.call("gateways.start", kind="rest", port=0)) as found:
        yield session, found


def test_the_view_that_was_asked_for(apart: tuple[sn.Session, httpx.Client]) -> None:
    slicer, rest = apart
    slicer.clear()
    slicer.layout = "Dual3D"
    slicer.run(_BALLS)
    slicer.run("slicer.app.layoutManager().threeDWidget(1).threeDView().cameraNode().SetPosition(0, 500, 0)")
    names = [name for name in slicer.call("view.names") if slicer.call("view.state", name=name)["kind"] == "3d"]
    assert len(names) == 2
    before = picture(rest.get("/slicer/threeD", params={"view": names[0], "lookFromAxis": "A"}))
    other = picture(rest.get("/slicer/threeD", params={"view": names[1], "lookFromAxis": "P"}))
    assert (middle(before), middle(other)) == ("A", "P")
    np.testing.assert_array_equal(picture(rest.get("/slicer/threeD")), before)
    refused(rest.get("/slicer/threeD", params={"view": "nine"}), "no view")
    refused(rest.get("/slicer/threeD", params={"view": "Red"}), "not in 3-D")


@pytest.mark.parametrize(
    "asked", [{"lookFromAxis": "X"}, {"roll": "x"}, {"panX": "inf"}, {"orbitY": "1,2"}, {"size": "-5"}]
)
def test_what_does_not_fit_a_3d_picture(rest: httpx.Client, asked: dict[str, str]) -> None:
    refused(rest.get("/slicer/threeD", params=asked), "")


# -- the layout, glTF -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("phantom")
def test_the_screenshot_has_each_view_in_its_place(rest: httpx.Client, slicer: sn.Session) -> None:
    for view, offset in (("Red", 30), ("Yellow", 30), ("Green", 30)):
        slicer.view(view).offset = offset
    found = picture(rest.get("/slicer/screenshot"))
    assert found.shape == (1024, 1024, 3)
    places = {"Red": (0, 0), "1": (0, 512), "Green": (512, 0), "Yellow": (512, 512)}
    for name, (top, left) in places.items():
        expected = slicer.call("view.image", name=name, size=(512, 512))
        np.testing.assert_array_equal(found[top : top + 512, left : left + 512], expected)
    assert [slicer.view(name).offset for name in ("Red", "Yellow", "Green")] == [30, 30, 30]


@pytest.mark.parametrize(
    "layout",
    [
        "OneUpRedSlice", "OneUp3D", "Conventional", "ThreeOverThree", "FourOverFour", "TwoOverTwo", "TabbedSlice",
        "ThreeByThreeSlice", "CompareGrid", "FourUpTable", "SideBySide",
    ],
)  # fmt: skip
def test_every_layout_has_a_screenshot(apart: tuple[sn.Session, httpx.Client], voxels: Array, layout: str) -> None:
    slicer, rest = apart
    if not slicer.call("volume.list"):
        slicer.add_volume(voxels, affine=AFFINE, name="v")
    slicer.layout = layout
    found = picture(rest.get("/slicer/screenshot"))
    assert found.shape == (1024, 1024, 3)
    assert found.std() > 1


@pytest.mark.usefixtures("balls")
def test_gltf(rest: httpx.Client) -> None:
    for asked in ({}, {"format": "glTF"}, {"format": "GLTF", "widgetIndex": "0", "boxVisible": "true"}):
        response = rest.get("/slicer/threeDGraphics", params=asked)
        assert response.headers["content-type"] == "application/json"
        found = json.loads(response.content)
        assert found["asset"]["version"] == "2.0"
        assert len(found["meshes"]) >= 6
        lowest, highest = np.full(3, np.inf), np.full(3, -np.inf)
        for mesh in found["meshes"]:
            accessor = found["accessors"][mesh["primitives"][0]["attributes"]["POSITION"]]
            part = found["bufferViews"][accessor["bufferView"]]
            uri = found["buffers"][part["buffer"]]["uri"]
            data = base64.b64decode(uri.partition("base64,")[2])[part.get("byteOffset", 0) :]
            points = np.array(struct.unpack_from(f"<{3 * accessor['count']}f", data)).reshape(-1, 3)
            lowest, highest = np.minimum(lowest, points.min(axis=0)), np.maximum(highest, points.max(axis=0))
        assert (lowest <= -74).all()
        assert (highest >= 74).all()


def test_gltf_of_nothing(rest: httpx.Client) -> None:
    found = json.loads(rest.get("/slicer/threeDGraphics").content)
    assert found["asset"]["version"] == "2.0"
    assert None not in found.values()
    refused(rest.get("/slicer/threeDGraphics", params={"widgetIndex": "1"}), "no such 3-D view")
    refused(rest.get("/slicer/threeDGraphics", params={"format": "STL"}), "no such format")
