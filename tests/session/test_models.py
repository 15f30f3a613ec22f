"""Models: meshes both ways, values on them, frames, measures, files, how they are shown."""

from __future__ import annotations

import contextlib
import queue
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvista as pv
import trimesh

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.session import Model
from tests.session.oblique import SHEARED, rigid

Array = np.ndarray[Any, np.dtype[Any]]
RNG = np.random.default_rng(3)


def body() -> trimesh.Trimesh:
    """A closed surface that is not symmetric in anything, off the origin, float64."""
    found = trimesh.creation.icosphere(3, 20.0)
    found.vertices *= (1, 0.6, 1.7)
    found.vertices[:, 0] += 0.02 * found.vertices[:, 2] ** 2
    return trimesh.Trimesh(found.vertices @ SHEARED[:3, :3].T + (31, -47, 112), found.faces, process=False)


def moved(points: Array, matrix: Array) -> Array:
    found: Array = points @ matrix[:3, :3].T + matrix[:3, 3]
    return found


def put_under(slicer: sn.Session, model: Model, matrix: Array) -> None:
    transform = slicer.add_transform(matrix, "placed")
    slicer.call("transform.set_on", node=model, transform=transform)


# -- meshes both ways -----------------------------------------------------------------------------------------------


def test_points_and_triangles_come_back_exactly(slicer: sn.Session) -> None:
    mesh = body()
    model = slicer.add_model(mesh.vertices, mesh.faces, "body", color=(1, 0.5, 0))
    assert np.array_equal(model.points, mesh.vertices)
    assert model.points.dtype == np.float64
    assert np.array_equal(model.triangles, mesh.faces)
    assert model.name == "body"
    assert model.color == (1, 0.5, 0)
    assert np.array_equal(slicer["body"].points, mesh.vertices)
    assert np.allclose(model.bounds, mesh.bounds)


def test_polygons_lines_and_vertices_stay_what_they_are(slicer: sn.Session) -> None:
    points = RNG.random((8, 3)) * 50
    model = slicer.add_model(points, [[0, 1, 2], [3, 4, 5, 6], [1, 2, 3, 4, 5]], lines=[[0, 7], [7, 1]])
    assert model.faces.tolist() == [3, 0, 1, 2, 4, 3, 4, 5, 6, 5, 1, 2, 3, 4, 5]
    assert model.lines.tolist() == [2, 0, 7, 2, 7, 1]
    assert model.vertices.tolist() == []
    assert len(model.triangles) == 1 + 2 + 3
    model.set_mesh(points[:5], [[0, 1, 2, 3]])
    assert model.faces.tolist() == [4, 0, 1, 2, 3]
    assert model.lines.tolist() == []
    assert len(model.points) == 5


def test_a_pyvista_mesh_comes_back_as_it_was(slicer: sn.Session) -> None:
    mesh = pv.PolyData(
        RNG.random((9, 3)) * (10, 200, 30),
        verts=[1, 8, 1, 7],
        lines=[3, 0, 5, 6],
        faces=[3, 0, 1, 2, 4, 2, 3, 4, 5],
        strips=[4, 0, 1, 2, 3],
    )
    mesh.point_data["thickness"] = RNG.random(9).astype(np.float32)
    mesh.point_data["flow"] = RNG.random((9, 3))
    mesh.cell_data["label"] = np.array([7, 8, 1, 2, 3, 9], dtype=np.int16)
    mesh.point_data["inside"] = np.arange(9) % 2 == 0
    back = slicer.add_model(mesh, normals="keep").to_pyvista()
    assert np.array_equal(back.points, mesh.points)
    for name in ("verts", "lines", "faces", "strips"):
        assert np.array_equal(getattr(back, name), getattr(mesh, name)), name
    for name in ("thickness", "flow"):
        assert np.array_equal(back.point_data[name], mesh.point_data[name])
        assert back.point_data[name].dtype == mesh.point_data[name].dtype
    assert np.array_equal(back.cell_data["label"], mesh.cell_data["label"])
    assert back.point_data["inside"].tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert back.point_data.active_normals_name is None
    # VTK numbers cells by their kind, as pyvista does: the value of each is that of the same cell.
    assert back.get_cell(0).point_ids == [8]
    assert back.get_cell(3).point_ids == [0, 1, 2]


def test_pyvista_points_without_cells(slicer: sn.Session) -> None:
    points = RNG.random((4, 3))
    model = slicer.add_model(points)
    back = model.to_pyvista()
    assert np.array_equal(back.points, points)
    assert back.n_cells == 0
    assert len(model.triangles) == 0


def test_a_trimesh_comes_back_as_it_was(slicer: sn.Session) -> None:
    mesh = body()
    mesh.vertex_attributes["thickness"] = RNG.random(len(mesh.vertices))
    mesh.face_attributes["region"] = np.arange(len(mesh.faces))
    mesh.visual.vertex_colors = RNG.integers(0, 256, (len(mesh.vertices), 4)).astype(np.uint8)
    model = slicer.add_model(mesh)
    assert model.scalars == "RGBA"
    back = model.to_trimesh()
    assert np.array_equal(back.vertices, mesh.vertices)
    assert np.array_equal(back.faces, mesh.faces)
    assert np.array_equal(back.vertex_attributes["thickness"], mesh.vertex_attributes["thickness"])
    assert np.array_equal(back.face_attributes["region"], mesh.face_attributes["region"])
    assert np.array_equal(back.visual.vertex_colors, mesh.visual.vertex_colors)
    assert back.is_watertight
    assert back.volume == pytest.approx(mesh.volume)


def test_values_on_polygons_are_on_their_triangles_in_trimesh(slicer: sn.Session) -> None:
    model = slicer.add_model(RNG.random((6, 3)), [[0, 1, 2], [2, 3, 4, 5]], lines=[[0, 1]])
    model.cell_data["region"] = np.array([50, 10, 20])  # the line comes first
    back = model.to_trimesh()
    assert len(back.faces) == 3
    assert back.face_attributes["region"].tolist() == [10, 20, 20]
    assert set(back.faces[1:].ravel()) == {2, 3, 4, 5}


def test_other_things_are_refused_by_what_they_are(slicer: sn.Session) -> None:
    grid = pv.ImageData(dimensions=(2, 2, 2)).cast_to_unstructured_grid()
    with pytest.raises(errors.ArgumentError, match="UnstructuredGrid") as caught:
        slicer.add_model(grid)
    assert "extract_surface" in str(caught.value)
    with pytest.raises(errors.ArgumentError, match="Scene"):
        slicer.add_model(trimesh.Scene())
    with pytest.raises(errors.ArgumentError, match="faces"):
        slicer.add_model(pv.Sphere(), [[0, 1, 2]])
    with pytest.raises(errors.ArrayError, match="numbers of shape"):
        slicer.add_model("a mesh")
    with pytest.raises(errors.ArrayError, match="12"):
        slicer.add_model(np.zeros((4, 3)), [[0, 1, 12]])
    with pytest.raises(errors.ArgumentError, match="each 0 to 1"):
        slicer.add_model(np.zeros((4, 3)), color=(255, 0, 0))
    assert slicer.nodes("vtkMRMLModelNode") == [] or all(
        node.name.endswith("Volume Slice") for node in slicer.nodes("vtkMRMLModelNode")
    )


def test_a_million_triangles_there_and_back(slicer: sn.Session) -> None:
    mesh = pv.Plane(i_resolution=707, j_resolution=708).triangulate()
    points, triangles = np.asarray(mesh.points), mesh.regular_faces
    assert len(triangles) > 1_000_000
    took = []
    for _ in range(3):
        began = time.perf_counter()
        model = slicer.add_model(points, triangles)
        back = model.points, model.triangles
        took.append(time.perf_counter() - began)
        assert np.array_equal(back[0], points)
        assert np.array_equal(back[1], triangles)
        model.remove()
    assert min(took) < 1.0, took  # 0.05 s on a quiet machine


# -- moving points, normals -----------------------------------------------------------------------------------------


def test_points_are_moved_without_touching_the_rest(slicer: sn.Session) -> None:
    mesh = body()
    model = slicer.add_model(mesh)
    model.point_data["thickness"] = values = RNG.random(len(mesh.vertices))
    turned = moved(mesh.vertices, rigid())
    model.points = turned
    assert np.array_equal(model.points, turned)
    assert np.array_equal(model.triangles, mesh.faces)
    assert np.array_equal(model.point_data["thickness"], values)
    # Normals turn with the points: they were computed anew.
    normals = trimesh.Trimesh(turned, mesh.faces, process=False).vertex_normals
    assert model.normals is not None
    assert (np.einsum("ij,ij->i", model.normals, normals) > 0.97).all()
    with pytest.raises(errors.ArrayError, match="set_mesh"):
        model.points = turned[:-1]
    assert np.array_equal(model.points, turned)


def test_normals_are_those_given_computed_or_none(slicer: sn.Session) -> None:
    ball = trimesh.creation.icosphere(3, 10.0)
    given = np.tile([0.0, 0, 1], (len(ball.vertices), 1))
    model = slicer.add_model(ball.vertices, ball.faces, normals=given)
    assert np.array_equal(model.normals, given)
    model.normals = "compute"
    assert np.allclose(model.normals, ball.vertices / 10, atol=0.02)
    model.normals = None
    assert model.normals is None
    model.points = ball.vertices * 2
    assert model.normals is None, "there were none that could be wrong"
    assert slicer.add_model(ball.vertices, ball.faces, normals="none").normals is None
    mesh = pv.Sphere()
    mesh.point_data["mine"] = RNG.random((mesh.n_points, 3))
    mesh.point_data.active_normals_name = "mine"
    assert np.array_equal(slicer.add_model(mesh).normals, mesh.point_data["mine"])
    with pytest.raises(errors.ArgumentError, match="some"):
        model.normals = "some"


# -- frames ---------------------------------------------------------------------------------------------------------


def test_world_is_where_the_transforms_put_it(slicer: sn.Session) -> None:
    mesh = body()
    model = slicer.add_model(mesh)
    assert np.array_equal(model.world_points, model.points)
    put_under(slicer, model, SHEARED)
    assert np.array_equal(model.points, mesh.vertices), "its own frame stays"
    there = moved(mesh.vertices, SHEARED)
    assert np.allclose(model.world_points, there, atol=1e-9)
    assert np.allclose(model.to_trimesh(world=True).vertices, there, atol=1e-9)
    as_pyvista = model.to_pyvista(world=True)
    assert np.allclose(as_pyvista.points, there, atol=1e-9)
    assert np.array_equal(model.to_pyvista().points, mesh.vertices)
    # Normals go by the inverse transpose.
    expected = np.asarray(model.normals) @ np.linalg.inv(SHEARED[:3, :3])
    expected /= np.linalg.norm(expected, axis=1)[:, None]
    assert np.allclose(as_pyvista.point_data.active_normals, expected, atol=1e-4)
    measures = model.measure(world=True)
    assert measures.volume == pytest.approx(model.volume * np.linalg.det(SHEARED[:3, :3]))
    assert np.allclose(measures.bounds, [there.min(0), there.max(0)])
    assert measures.area == pytest.approx(trimesh.Trimesh(there, mesh.faces, process=False).area)


def test_the_world_is_what_slicer_makes_of_it(slicer: sn.Session) -> None:
    """Also under a transform that bends: hardened by Slicer itself, the points are the same."""
    model = slicer.add_model(body())
    slicer.run(
        "import vtk\n"
        "spline = vtk.vtkThinPlateSplineTransform(); spline.SetBasisToR()\n"
        "source, target = vtk.vtkPoints(), vtk.vtkPoints()\n"
        "for n, p in enumerate([(0,0,0),(90,0,0),(0,90,0),(0,0,190),(60,-90,150)]):\n"
        "    source.InsertNextPoint(p); target.InsertNextPoint(p[0] + 3*n, p[1] - n*n, p[2] + 2)\n"
        "spline.SetSourceLandmarks(source); spline.SetTargetLandmarks(target)\n"
        "bent = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTransformNode', 'bent')\n"
        "bent.SetAndObserveTransformToParent(spline)\n"
        f"slicer.mrmlScene.GetNodeByID({model.id!r}).SetAndObserveTransformNodeID(bent.GetID())\n"
    )
    there = model.world_points
    assert np.abs(there - model.points).max() > 2
    slicer.call("transform.harden", node=model)
    assert np.allclose(model.points, there, atol=1e-6)


# -- values on points and cells -------------------------------------------------------------------------------------


def test_values_by_name_both_ways(slicer: sn.Session) -> None:
    mesh = body()
    model = slicer.add_model(mesh, normals="none")
    count = len(mesh.vertices)
    assert dict(model.point_data) == {}
    for dtype in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
        model.point_data[dtype] = values = (RNG.random(count) * 100).astype(dtype)
        assert np.array_equal(model.point_data[dtype], values)
        assert model.point_data[dtype].dtype == values.dtype
    model.point_data["tensor"] = tensor = RNG.random((count, 9))
    assert np.array_equal(model.point_data["tensor"], tensor)
    model.cell_data["tensor"] = np.arange(len(mesh.faces))
    assert list(model.cell_data) == ["tensor"]
    assert len(model.point_data) == 11
    assert "f4" in model.point_data
    assert "f4" not in model.cell_data
    assert "'tensor' (float64 x 9)" in repr(model.point_data)
    model.point_data["f4"] = RNG.random((count, 2))
    assert model.point_data["f4"].shape == (count, 2)
    del model.point_data["tensor"]
    assert "tensor" not in model.point_data
    assert "tensor" in model.cell_data
    assert model.point_data.get("tensor") is None


def test_values_that_do_not_fit_are_refused(slicer: sn.Session) -> None:
    model = slicer.add_model(body(), normals="none")
    with pytest.raises(errors.ArrayError, match="points"):
        model.point_data["a"] = np.zeros(3)
    with pytest.raises(errors.ArrayError, match="complex128"):
        model.point_data["a"] = np.zeros(len(model.points), complex)
    with pytest.raises(errors.ArrayError, match="name"):
        model.point_data[""] = np.zeros(len(model.points))
    for done in (lambda: model.point_data["b"], lambda: model.point_data.pop("b")):
        with pytest.raises(errors.NodeNotFoundError, match="'b'"):
            done()
    assert len(model.point_data) == 0


def test_a_change_of_values_is_told(slicer: sn.Session) -> None:
    added: queue.Queue[Any] = queue.Queue()
    told: queue.Queue[Any] = queue.Queue()
    with contextlib.closing(slicer.on("scene", lambda event: [added.put(node) for node in event["added"]])):
        model = slicer.add_model(body())
        while added.get(timeout=30) != model:
            pass
    with contextlib.closing(model.on("modified", told.put)):
        model.point_data["a"] = np.zeros(len(model.points))
        assert told.get(timeout=30) == model


# -- measures -------------------------------------------------------------------------------------------------------


def test_measures_are_those_of_other_programs(slicer: sn.Session) -> None:
    mesh = body()
    model = slicer.add_model(mesh)
    assert model.closed
    assert model.volume == pytest.approx(mesh.volume, rel=1e-9)
    assert model.area == pytest.approx(mesh.area, rel=1e-9)
    slicer.run(
        "import vtk\nof = vtk.vtkMassProperties()\n"
        f"of.SetInputData(slicer.mrmlScene.GetNodeByID({model.id!r}).GetPolyData())"
    )
    assert slicer.eval("of.GetVolume()") == pytest.approx(model.volume, rel=0.002)
    assert slicer.eval("of.GetSurfaceArea()") == pytest.approx(model.area, rel=1e-6)
    model.set_mesh(mesh.vertices, mesh.faces[1:])
    assert not model.closed
    assert np.isnan(model.volume)


# -- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["vtk", "vtp", "stl", "ply", "obj"])
def test_files_are_lps_and_come_back_ras(slicer: sn.Session, tmp_path: Path, ending: str) -> None:
    mesh = body()
    points = mesh.vertices.astype(np.float32)
    model = slicer.add_model(points, mesh.faces, "body", normals="none")
    path = model.save(tmp_path / f"body.{ending}")
    lps = points * (-1, -1, 1)
    read = pv.read(path)
    assert isinstance(read, pv.PolyData)
    assert same_surface(np.asarray(read.points), read.regular_faces, lps, mesh.faces)
    if ending in ("stl", "ply", "obj"):
        other = trimesh.load(path, process=False, force="mesh")
        assert same_surface(np.asarray(other.vertices), np.asarray(other.faces), lps, mesh.faces)
    back = slicer.load(path)
    assert same_surface(back.points, back.triangles, points, mesh.faces)
    ras = model.save(tmp_path / f"ras.{ending}", coordinate_system="RAS")
    read = pv.read(ras)
    assert same_surface(np.asarray(read.points), read.regular_faces, points, mesh.faces)
    if ending != "obj":  # has no place to say which
        back = slicer.load(ras)
        assert same_surface(back.points, back.triangles, points, mesh.faces)
    model.save(tmp_path / f"again.{ending}")
    assert same_surface(np.asarray(pv.read(tmp_path / f"again.{ending}").points), None, lps, mesh.faces), "LPS again"


def same_surface(points: Array, triangles: Array | None, other: Array, others: Array) -> bool:
    """Whether two meshes are one surface, whatever the order of their points; triangles as sets of corners."""
    if triangles is None:
        assert np.allclose(points.min(0), other.min(0), atol=1e-3)
        return bool(np.allclose(points.max(0), other.max(0), atol=1e-3))

    def corners(p: Array, t: Array) -> set[tuple[tuple[float, ...], ...]]:
        # Turned so that the smallest corner is first: the direction of travel counts, where it begins does not.
        found = set()
        for three in np.round(p[t].astype(np.float64), 2) + 0.0:
            rows = [tuple(row) for row in three.tolist()]
            first = rows.index(min(rows))
            found.add(tuple(rows[first:] + rows[:first]))
        return found

    mine, theirs = corners(points, triangles), corners(other, others)
    # Rounding may fall to either side for a few of a thousand.
    return len(mine ^ theirs) <= len(theirs) // 50


def test_files_that_cannot_be_are_refused(slicer: sn.Session, tmp_path: Path) -> None:
    model = slicer.add_model(body())
    with pytest.raises(errors.FileFormatError, match="xyz"):
        model.save(tmp_path / "body.xyz")
    with pytest.raises(errors.PathNotFoundError):
        model.save(tmp_path / "nowhere" / "body.stl")
    with pytest.raises(errors.ArgumentError, match="coordinate_system"):
        model.save(tmp_path / "body.stl", coordinate_system="XYZ")  # type: ignore[arg-type]


def test_a_model_of_volume_cells_says_so(slicer: sn.Session) -> None:
    slicer.run(
        "import vtk\ngrid = vtk.vtkUnstructuredGrid(); points = vtk.vtkPoints()\n"
        "for p in ((0,0,0),(1,0,0),(0,1,0),(0,0,1)): points.InsertNextPoint(p)\n"
        "grid.SetPoints(points); grid.InsertNextCell(vtk.VTK_TETRA, 4, [0, 1, 2, 3])\n"
        "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLModelNode', 'tetra').SetAndObserveMesh(grid)\n"
        "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLModelNode', 'empty')\n"
    )
    assert slicer["tetra"].points.shape == (4, 3)
    with pytest.raises(errors.ArrayError, match="volume cells"):
        slicer["tetra"].to_pyvista()
    with pytest.raises(errors.ArrayError, match="no surface"):
        slicer["empty"].points  # noqa: B018
    assert "1 volume cells" in slicer["tetra"]._repr_html_()
    assert "points" in slicer["empty"]._repr_html_()


# -- how it is shown ------------------------------------------------------------------------------------------------


def middle(slicer: sn.Session) -> tuple[int, int, int]:
    """The mean colour in the middle of the 3-D view."""
    view = slicer.view("3D")
    view.fit()
    found = view.image(size=(80, 80)).array[36:44, 36:44].reshape(-1, 3).mean(0)
    red, green, blue = (int(part) for part in found)
    return red, green, blue


def test_values_are_shown_as_colours(slicer: sn.Session) -> None:
    ball = trimesh.creation.icosphere(3, 40.0)
    model = slicer.add_model(ball, color=(0, 0.9, 0))
    assert model.scalars is None
    red, green, blue = middle(slicer)
    assert green > 100 > max(red, blue) + 50
    model.point_data["paint"] = np.tile(np.array([200, 0, 0], np.uint8), (len(ball.vertices), 1))
    model.scalars = "paint"
    red, green, blue = middle(slicer)
    assert red > 100 > max(green, blue) + 50
    model.point_data["level"] = np.full(len(ball.vertices), 5.0)
    model.color_by("level", color_table="Blue", range=(0, 5))
    assert (model.scalars, model.color_table, model.scalar_range) == ("level", "Blue", (0, 5))
    red, green, blue = middle(slicer)
    assert blue > 100 > max(red, green) + 50
    model.scalar_range = (5, 10)
    assert max(middle(slicer)) < 60, "the table's dark end"
    model.color_table = "InvertedGrey"
    assert min(middle(slicer)) > 150
    model.scalars = None
    red, green, blue = middle(slicer)
    assert green > 100 > max(red, blue) + 50


def test_values_on_cells_and_ranges_of_the_data(slicer: sn.Session) -> None:
    ball = trimesh.creation.icosphere(2, 40.0)
    model = slicer.add_model(ball)
    model.cell_data["height"] = ball.triangles_center[:, 2]
    model.scalars = "height"
    assert model.scalar_range == pytest.approx((ball.triangles_center[:, 2].min(), ball.triangles_center[:, 2].max()))
    assert model.color_table == "Rainbow"
    model.color_by("height", of="cells", color_table="Grey")
    assert model.scalars == "height"
    with pytest.raises(errors.NodeNotFoundError, match="height"):
        model.color_by("height", of="points")
    with pytest.raises(errors.ArgumentError, match="Grey"):
        model.color_table = "Gray"
    with pytest.raises(errors.ArgumentError, match="range"):
        model.scalar_range = (3, 1)


def test_looks_are_set_and_told(slicer: sn.Session) -> None:
    model = slicer.add_model(body(), show=False)
    assert not model.visible
    model.visible = True
    model.opacity = 0.5
    model.edges = True
    model.visible_in_slices = True
    model.representation = "wireframe"
    model.line_width = 3
    model.point_size = 4
    display = f"slicer.mrmlScene.GetNodeByID({model.id!r}).GetDisplayNode()"
    assert slicer.eval(
        f"[d.GetVisibility(), d.GetOpacity(), d.GetEdgeVisibility(), d.GetVisibility2D(), d.GetRepresentation(),"
        f" d.GetLineWidth(), d.GetPointSize()] if (d := {display}) else None"
    ) == [1, 0.5, 1, 1, 1, 3, 4]
    assert (model.visible, model.opacity, model.edges, model.visible_in_slices) == (True, 0.5, True, True)
    assert (model.representation, model.line_width, model.point_size) == ("wireframe", 3, 4)
    for name, value in (("opacity", 1.5), ("color", "red"), ("representation", "solid"), ("line_width", 0)):
        with pytest.raises(errors.ArgumentError):
            setattr(model, name, value)
    assert model.opacity == 0.5


def test_the_card_says_what_it_is_and_hides_nothing_in_names(slicer: sn.Session) -> None:
    mesh = body()
    model = slicer.add_model(mesh, name="<b>body</b>")
    model.point_data["<i>"] = np.zeros(len(mesh.vertices))
    put_under(slicer, model, rigid())
    card = model._repr_html_()
    assert "&lt;b&gt;body&lt;/b&gt;" in card
    assert "&lt;i&gt;" in card
    assert "<b>body" not in card
    size = " x ".join(f"{each:.1f}" for each in np.ptp(mesh.vertices, axis=0))
    assert "data:image/png;base64," in card
    for text in (f"{len(mesh.vertices):,}", f"{len(mesh.faces):,} faces", f"{size} mm", "placed"):
        assert text in card
