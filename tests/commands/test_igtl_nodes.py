"""Every row of OpenIGTLink's table into MRML and back, over a socket; geometry beside SimpleITK."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

import slicer_notebook as sn
from slicer_notebook import igtl
from slicer_notebook.commands.igtl_nodes import CLASSES
from slicer_notebook.errors import ArgumentError, ArrayError, OpenIGTLinkError
from tests.commands.connecting import Program, program, until
from tests.igtl.examples import CONTENTS, MATRIX, TIME, wire


@pytest.fixture
def other(slicer: sn.Session) -> Iterator[Program]:
    with program(slicer) as made:
        yield made


RNG = np.random.default_rng(7)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.linalg.qr(RNG.normal(size=(3, 3)))[0] * (0.7, 1.1, 2.5)
OBLIQUE[:3, 3] = 12.5, -40.25, 7.75

#: What goes there and comes back as it was, with the class of the node that it is meanwhile.
ROWS: dict[str, tuple[igtl.Content, str]] = {
    "TRANSFORM": (CONTENTS["TRANSFORM"], "vtkMRMLLinearTransformNode"),
    "POSITION": (CONTENTS["POSITION"], "vtkMRMLLinearTransformNode"),
    "IMAGE": (igtl.Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), MATRIX), "vtkMRMLScalarVolumeNode"),
    "IMAGE in colour": (
        igtl.Image(np.arange(72, dtype=np.uint8).reshape(2, 3, 4, 3), MATRIX),
        "vtkMRMLVectorVolumeNode",
    ),
    "STRING": (igtl.String("Gr\u00fc\u00dfe", 106), "vtkMRMLTextNode"),
    "POINT": (
        igtl.Points(
            (
                igtl.Point("tip", (1.5, -2.0, 3.0), "Unselected", (10, 20, 30, 255), 5.0, "CT"),
                igtl.Point("entry", (0.25, 0.5, 8.0), "plan", (200, 20, 30, 128), 2.5),
            )
        ),
        "vtkMRMLMarkupsFiducialNode",
    ),
    "POLYDATA": (CONTENTS["POLYDATA"], "vtkMRMLModelNode"),
    "SENSOR": (CONTENTS["SENSOR"], "vtkMRMLTableNode"),
    "NDARRAY of one axis": (igtl.NDArray(np.arange(5, dtype=np.int16)), "vtkMRMLTableNode"),
    "NDARRAY of two": (CONTENTS["NDARRAY"], "vtkMRMLTableNode"),
    "NDARRAY, complex": (igtl.NDArray(np.array([[1 + 2j, -3j], [4, 0.5 - 1j]])), "vtkMRMLTableNode"),
    "NDARRAY of three": (
        igtl.NDArray(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
        "vtkMRMLScalarVolumeNode",
    ),
    "NDARRAY of four": (
        igtl.NDArray(np.arange(48, dtype=np.uint16).reshape(2, 3, 4, 2)),
        "vtkMRMLVectorVolumeNode",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_content_becomes_its_node_and_the_node_the_same_content(row: str, other: Program) -> None:
    content, class_name = ROWS[row]
    type_ = row.split(" ", maxsplit=1)[0].rstrip(",")
    node = other.give(content, "A device", timestamp=TIME, metadata={"Depth": "40 mm", "Gr\u00f6\u00dfe": "1"})
    assert (node.class_name, node.name) == (class_name, "A device")
    attributes = node.attributes
    assert attributes["OpenIGTLink.Depth"] == "40 mm"
    assert attributes["OpenIGTLink.Gr\u00f6\u00dfe"] == "1"
    assert float(attributes["slicer_notebook.igtl.time"]) == pytest.approx(TIME.time, abs=1e-6)
    message = other.back(node)
    assert (message.type, message.device) == (type_, "A device")
    assert message.metadata == {"Depth": "40 mm", "Gr\u00f6\u00dfe": "1"}
    if isinstance(content, igtl.Position):
        assert isinstance(message.content, igtl.Position)
        np.testing.assert_allclose(message.content.matrix, content.matrix, atol=1e-6)
    else:
        assert message.content == content


def test_every_type_that_becomes_a_node_is_in_the_table() -> None:
    tried = {row.split(" ", maxsplit=1)[0].rstrip(",") for row in ROWS} | {"TDATA"}
    assert tried == set(CLASSES)


def test_a_tdata_becomes_a_transform_for_each_tool(other: Program, slicer: sn.Session) -> None:
    tracking = CONTENTS["TDATA"]
    assert isinstance(tracking, igtl.Tracking)
    other.push(tracking, "Tracker")
    for tool in tracking.tools:
        node = slicer[tool.name]
        assert node.class_name == "vtkMRMLLinearTransformNode"
        np.testing.assert_allclose(node.matrix, tool.matrix, atol=1e-6)
    message = other.back([slicer[tool.name] for tool in tracking.tools], type="TDATA", device="Tracker")
    assert (message.type, message.device, message.content) == ("TDATA", "Tracker", tracking)


def test_status_and_capability_are_the_sessions(other: Program, slicer: sn.Session) -> None:
    other.push(igtl.Status(igtl.StatusCode.BUSY, -5, "Busy", "wait a little"), "Robot")
    assert other.connection.status == "Busy \u00b7 Busy \u00b7 wait a little"
    other.push(CONTENTS["CAPABILITY"])
    assert other.connection.capability == ("TRANSFORM", "GET_CAPABIL")
    assert [node.class_name for node in slicer.nodes() if "OpenIGTLink" in node.name or node.name == "Robot"] == []


def test_messages_of_a_device_update_its_node(other: Program, slicer: sn.Session) -> None:
    first = other.give(igtl.Transform(np.eye(4)), "Needle", metadata={"old": "1"})
    other.push(igtl.Transform(MATRIX), "Needle", metadata={"new": "2"})
    assert [node.id for node in slicer.nodes("vtkMRMLLinearTransformNode") if node.name == "Needle"] == [first.id]
    np.testing.assert_allclose(first.matrix, MATRIX)
    assert {k: v for k, v in first.attributes.items() if k.startswith("OpenIGTLink.")} == {"OpenIGTLink.new": "2"}
    # It stands for the device under whatever name.
    first.name = "Biopsy needle"
    other.push(igtl.Transform(np.eye(4)), "Needle")
    np.testing.assert_allclose(first.matrix, np.eye(4))
    # One that is gone comes back.
    first.remove()
    assert other.give(igtl.Transform(MATRIX), "Needle").name == "Needle"


def test_a_node_of_the_users_of_that_name_is_taken(other: Program, slicer: sn.Session) -> None:
    mine = slicer.add_transform(name="Needle")
    assert other.give(igtl.Transform(MATRIX), "Needle").id == mine.id


def test_after_the_scene_was_cleared_another_node_of_the_same_id_is_left_alone(
    other: Program, slicer: sn.Session
) -> None:
    before = other.give(igtl.Transform(MATRIX), "Needle")
    slicer.clear()
    mine = [slicer.add_transform(name=f"Mine {number}") for number in range(10)]
    after = other.give(igtl.Transform(MATRIX), "Needle")
    assert after.name == "Needle"
    for node in mine:
        np.testing.assert_array_equal(node.matrix, np.eye(4))
    assert before.id not in (after.id,) or before.id not in [node.id for node in mine]


def test_what_names_no_device_is_called_openigtlink(other: Program) -> None:
    other.answers["TRANSFORM", ""] = igtl.of_content(igtl.Transform(MATRIX), "")
    assert other.connection.query("TRANSFORM").name == "OpenIGTLink"


def test_a_volume_that_turns_to_colour_is_one_volume(other: Program, slicer: sn.Session) -> None:
    other.give(igtl.Image(np.zeros((1, 2, 3), np.uint8), np.eye(4)), "Camera")
    colour = other.give(igtl.Image(np.ones((1, 2, 3, 3), np.uint8), np.eye(4)), "Camera")
    assert [node.id for node in slicer.nodes("vtkMRMLVolumeNode")] == [colour.id]


# -- where an IMAGE is -----------------------------------------------------------------------------------------------


def written(node: Any, folder: Path) -> SimpleITK.Image:
    """A volume as Slicer writes it and SimpleITK reads it."""
    return SimpleITK.ReadImage(str(node.save(folder / "written.nrrd")))


def places(image: SimpleITK.Image) -> np.ndarray:
    """Where the corners of an image are in LPS, by SimpleITK."""
    i, j, k = image.GetSize()
    corners = [(a, b, c) for a in (0, i - 1) for b in (0, j - 1) for c in (0, k - 1)]
    return np.array([image.TransformIndexToPhysicalPoint(corner) for corner in corners])


@pytest.mark.parametrize(
    ("frame", "take_all_as_ras", "to_lps"),
    [
        ("LPS", False, (1, 1, 1)),
        ("RAS", False, (-1, -1, 1)),
        ("LPS", True, (-1, -1, 1)),
        ("RAS", True, (-1, -1, 1)),
    ],
)
def test_an_image_is_where_its_message_says(
    frame: Any, take_all_as_ras: bool, to_lps: tuple[int, ...], slicer: sn.Session, tmp_path: Path
) -> None:
    """The matrix in the message has the centre of the image; SimpleITK reads what Slicer has made of it."""
    voxels = RNG.integers(-1000, 1000, (5, 6, 7), dtype=np.int16)
    image = igtl.Image(voxels, OBLIQUE, frame)
    corners = np.array([(a, b, c, 1) for a in (0, 6) for b in (0, 5) for c in (0, 4)])
    expected = (corners @ OBLIQUE.T)[:, :3] * to_lps
    with program(slicer, take_all_as_ras=take_all_as_ras) as other:
        found = written(other.give(image, "CT"), tmp_path)
    np.testing.assert_allclose(places(found), expected, atol=1e-3)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(found), voxels)


def test_the_centre_on_the_wire_is_the_middle_of_the_voxels(slicer: sn.Session, tmp_path: Path) -> None:
    """Bytes written by hand, after the protocol's page of IMAGE: 2 mm voxels whose middle is at R 10, A 20, S 30."""
    import struct

    from slicer_notebook.igtl.checksum import crc64

    voxels = np.arange(4 * 3 * 2, dtype=">u2")
    body = struct.pack(">HBBBB3H", 1, 1, 5, 1, 1, 4, 3, 2)
    body += struct.pack(">12f", 2, 0, 0, 0, 2, 0, 0, 0, 2, 10, 20, 30)
    body += struct.pack(">6H", 0, 0, 0, 4, 3, 2) + voxels.tobytes()
    header = struct.pack(">H12s20sIIQQ", 1, b"IMAGE", b"Hand made", 0, 0, len(body), crc64(body))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = slicer.igtl.connect(*listener.getsockname())
        there, _ = listener.accept()
        with there:
            there.sendall(header + body)
            until(slicer, lambda: "Hand made" in slicer, "the volume")
        connection.close()
    found = written(slicer["Hand made"], tmp_path)
    np.testing.assert_allclose(places(found).mean(axis=0), (-10, -20, 30), atol=1e-5)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(found).ravel(), np.arange(24))


def test_a_volume_of_slicers_goes_out_where_it_is(other: Program, slicer: sn.Session) -> None:
    volume = slicer.add_volume(RNG.normal(size=(3, 4, 5)).astype(np.float32), OBLIQUE, "MR")
    content = other.back(volume).content
    assert isinstance(content, igtl.Image)
    assert content.frame == "RAS"
    np.testing.assert_allclose(content.matrix, OBLIQUE, atol=1e-4)
    np.testing.assert_array_equal(content.voxels, volume.array)


def test_a_part_of_an_image_changes_only_that_part(other: Program) -> None:
    whole = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    volume = other.give(igtl.Image(whole, MATRIX, "LPS"), "US")
    other.push(igtl.Image(np.full((1, 2, 2), -7, np.int16), MATRIX, "LPS", size=(4, 3, 2), offset=(1, 0, 1)), "US")
    expected = whole.copy()
    expected[1, 0:2, 1:3] = -7
    np.testing.assert_array_equal(volume.array, expected)
    np.testing.assert_allclose(volume.affine, np.diag([-1.0, -1, 1, 1]) @ MATRIX, atol=1e-5)


def test_parts_that_come_together_all_arrive_and_the_later_lies_on_top(other: Program, slicer: sn.Session) -> None:
    for number, offset in enumerate([(0, 0, 0), (1, 1, 0), (2, 2, 0), (1, 1, 0)], 1):
        part = igtl.Image(np.full((1, 2, 2), number, np.uint8), np.eye(4), size=(4, 4, 1), offset=offset)
        other.server.send(igtl.of_content(part, "US"))
    other.settle()
    expected = [[1, 1, 0, 0], [1, 4, 4, 0], [0, 4, 4, 3], [0, 0, 3, 3]]
    np.testing.assert_array_equal(slicer["US"].array[0], expected)


def test_a_part_of_another_image_begins_a_new_one(other: Program) -> None:
    other.give(igtl.Image(np.ones((1, 2, 2), np.uint8), np.eye(4)), "US")
    moved = np.eye(4)
    moved[0, 3] = 50
    volume = other.give(igtl.Image(np.full((1, 1, 1), 9, np.uint8), moved, size=(2, 2, 1), offset=(1, 1, 0)), "US")
    np.testing.assert_array_equal(volume.array, [[[0, 0], [0, 9]]])
    np.testing.assert_allclose(volume.affine, moved)


# -- what cannot be --------------------------------------------------------------------------------------------------


SINGULAR = np.diag([1.0, 1.0, 0.0, 1.0])
IMPOSSIBLE: dict[str, igtl.Content] = {
    "a singular matrix": igtl.Transform(SINGULAR),
    "a matrix of no numbers": igtl.Transform(np.full((4, 4), np.nan)),
    "a flat image": igtl.Image(np.zeros((2, 2, 2), np.uint8), SINGULAR),
    "an array of five axes": igtl.NDArray(np.zeros((1, 1, 1, 1, 2))),
    "a complex volume": igtl.NDArray(np.zeros((2, 2, 2), np.complex128)),
    "a point nowhere": igtl.Points((igtl.Point("p", (1.0, float("nan"), 0.0)),)),
    "a surface of no numbers": igtl.PolyData(np.full((3, 3), np.inf)),
    "a quaternion that is none": igtl.Position((1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_cannot_be_is_told_and_nothing_becomes_of_it(what: str, other: Program, slicer: sn.Session) -> None:
    other.push(IMPOSSIBLE[what], "Broken")
    assert "Broken" not in slicer
    (problem,) = other.connection.problems
    assert "Broken" in problem
    entry = other.entry("Broken")
    assert (entry["count"], entry["shown"], entry["problems"], entry["node"]) == (1, 0, 1, None)
    # The connection goes on.
    assert other.give(igtl.Transform(MATRIX), "Fine").name == "Fine"


def test_a_surface_of_points_that_are_not_there_becomes_none(other: Program, slicer: sn.Session) -> None:
    """VTK would read memory that is not its own."""
    other.push(igtl.PolyData(np.zeros((3, 3)), polygons=igtl.Cells.of([[0, 1, 9]])), "Broken")
    assert "Broken" not in slicer
    (problem,) = other.connection.problems
    assert "POLYDATA" in problem


def test_a_volume_stays_as_it_was_when_its_next_message_cannot_be(other: Program) -> None:
    volume = other.give(igtl.Image(np.ones((2, 2, 2), np.uint8), MATRIX), "CT")
    other.push(igtl.Image(np.zeros((2, 2, 2), np.uint8), SINGULAR), "CT")
    assert volume.array.all()
    np.testing.assert_allclose(volume.affine, MATRIX)
    with pytest.raises(OpenIGTLinkError, match="cannot be used"):
        other.give(igtl.Image(np.zeros((2, 2, 2), np.uint8), SINGULAR), "CT")


def test_a_wrong_checksum_drops_that_message_alone(slicer: sn.Session) -> None:
    good, bad = (wire(igtl.of_content(igtl.Transform(MATRIX), name), 1) for name in ("Good", "Bad"))
    damaged = bad[:-1] + bytes([bad[-1] ^ 1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = slicer.igtl.connect(*listener.getsockname())
        there, _ = listener.accept()
        with there:
            there.sendall(damaged + good)
            until(slicer, lambda: "Good" in slicer, "the good one")
            assert "Bad" not in slicer
            assert connection.state == "open"
            assert any("checksum" in problem for problem in connection.problems)
        connection.close()


@pytest.mark.parametrize(
    ("make", "how", "error"),
    [
        (lambda s: s.add_volume(np.zeros((1, 1, 2), np.int64)), {}, ArrayError),
        (lambda s: s.add_transform(np.diag([2.0, 1, 1, 1])), {"type": "POSITION"}, OpenIGTLinkError),
        (lambda s: s.add_transform(), {"type": "IMAGE"}, ArgumentError),
        (lambda s: s.add_transform(), {"type": "VIDEO"}, ArgumentError),
        (lambda s: s.add_transform(name="A name of more than twenty bytes"), {}, ArgumentError),
        (lambda s: s.nodes("vtkMRMLSliceNode")[0], {}, ArgumentError),
        (lambda s: [s.add_transform(), s.add_transform()], {}, ArgumentError),
    ],
)
def test_a_node_that_cannot_be_sent_is_refused(make: Any, how: dict[str, Any], error: Any, other: Program) -> None:
    with pytest.raises(error):
        other.connection.send(make(other.slicer), **how)
    assert other.connection.state == "open"


# -- lists, surfaces, tables -----------------------------------------------------------------------------------------


def test_points_are_control_points(other: Program, slicer: sn.Session) -> None:
    content = ROWS["POINT"][0]
    volume = slicer.add_volume(np.zeros((1, 1, 1), np.uint8), name="CT")
    node = other.give(content, "Plan")
    np.testing.assert_allclose(node.points, [[1.5, -2, 3], [0.25, 0.5, 8]])
    assert node.labels == ["tip", "entry"]
    facts = (
        "n.GetNthControlPointSelected(0), n.GetNthControlPointSelected(1), n.GetNthControlPointDescription(1)",
        "n.GetNthControlPointAssociatedNodeID(0)",
        "n.GetDisplayNode().GetGlyphSize(), n.GetDisplayNode().GetSelectedColor()",
    )
    looks = slicer.eval(f"(lambda n: [{', '.join(facts)}])(slicer.mrmlScene.GetNodeByID('{node.id}'))")
    assert looks[:5] == [False, True, "plan", volume.id, 5.0]
    np.testing.assert_allclose(looks[5], np.array([10, 20, 30]) / 255, atol=1e-3)
    # Fewer points than before, moved where they are.
    other.push(igtl.Points((igtl.Point("tip", (9.0, 9.0, 9.0)),)), "Plan")
    np.testing.assert_allclose(node.points, [[9, 9, 9]])


def test_points_of_the_users_go_out_with_the_lists_look(other: Program, slicer: sn.Session) -> None:
    points = slicer.add_markups([[1, 2, 3], [4, 5, 6]], name="Mine", labels=["a", "b"])
    slicer.run(
        f"n = slicer.mrmlScene.GetNodeByID('{points.id}'); d = n.GetDisplayNode()\n"
        "d.SetSelectedColor(1, 0, 0); d.SetUseGlyphScale(False); d.SetGlyphSize(4.0)\n"
        "n.SetNthControlPointSelected(1, False)"
    )
    content = other.back(points).content
    assert isinstance(content, igtl.Points)
    assert [point.name for point in content.points] == ["a", "b"]
    assert [point.group for point in content.points] == ["", "Unselected"]
    assert [point.rgba for point in content.points] == [(255, 0, 0, 255)] * 2
    assert [point.diameter for point in content.points] == [4.0] * 2


def test_a_list_whose_colour_was_changed_goes_out_in_the_new_one(other: Program, slicer: sn.Session) -> None:
    node = other.give(ROWS["POINT"][0], "Plan")
    slicer.run(f"slicer.mrmlScene.GetNodeByID('{node.id}').GetDisplayNode().SetSelectedColor(0, 1, 0)")
    content = other.back(node).content
    assert isinstance(content, igtl.Points)
    assert {point.rgba[:3] for point in content.points} == {(0, 255, 0)}


def test_a_surface_is_a_model_in_ras(other: Program) -> None:
    model = other.give(CONTENTS["POLYDATA"], "Liver")
    np.testing.assert_array_equal(model.points, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert model.triangles.tolist()[0] == [0, 1, 2]
    assert len(model.triangles) == 3  # the quadrangle is two


def test_a_sensor_is_a_table_with_its_unit(other: Program, slicer: sn.Session) -> None:
    table = other.give(CONTENTS["SENSOR"], "Force")
    assert table.to_dataframe()["Value"].tolist() == [1.5, -2.5]
    assert slicer.eval(f"slicer.mrmlScene.GetNodeByID('{table.id}').GetColumnUnitLabel('Value')") == "mN"
