"""Transforms in the notebook: chains, points, displacements, and the same as SimpleITK reads it from Slicer's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as its own documentation has it

import slicer_notebook as sn
from slicer_notebook import session
from slicer_notebook.errors import ArgumentError, ArrayError
from tests.session.oblique import ROTATION, SHEARED, oblique_affine, rigid

#: RAS to LPS.
FLIP = np.array([-1.0, -1.0, 1.0])
POINTS = np.random.default_rng(5).uniform(-40, 40, (20, 3))
#: Where the grids and splines of the tests are.
INSIDE = rigid()[:3, 3] + np.random.default_rng(6).uniform(8, 12, (15, 3)) @ ROTATION.T


def moved(matrix: Any, points: Any) -> Any:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def through(transform: sitk.Transform, points: Any) -> Any:
    """What a SimpleITK transform makes of points in RAS."""
    return np.array([transform.TransformPoint((each * FLIP).tolist()) for each in points]) * FLIP


def wave(shape: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """Smooth displacements of up to 2 mm, different along R, A and S."""
    k, j, i = np.mgrid[0 : shape[0], 0 : shape[1], 0 : shape[2]]
    return np.stack([np.sin(i / 5), 0.5 + np.cos(j / 6), 2 * np.sin(k / 7)], axis=-1)


def spline() -> sitk.Transform:
    """A B-spline around `INSIDE`, LPS."""
    image = sitk.Image(32, 32, 32, sitk.sitkUInt8)
    image.SetOrigin((rigid()[:3, 3] * FLIP).tolist())
    image.SetDirection((FLIP[:, None] * ROTATION).ravel().tolist())
    made = sitk.BSplineTransformInitializer(image, [4, 4, 4])
    made.SetParameters(np.random.default_rng(7).normal(size=len(made.GetParameters())).tolist())
    return made


def test_a_matrix_and_points(slicer: sn.Session) -> None:
    transform = slicer.add_transform(SHEARED, "t")
    assert transform.kind == "linear"
    np.testing.assert_allclose(transform.matrix, SHEARED)
    np.testing.assert_allclose(transform.points(POINTS), moved(SHEARED, POINTS))
    np.testing.assert_allclose(transform.points(moved(SHEARED, POINTS), inverse=True), POINTS)
    np.testing.assert_allclose(transform.points(POINTS[0]), moved(SHEARED, POINTS)[0])
    assert transform.points(np.empty((0, 3))).shape == (0, 3)
    transform.matrix = rigid()
    np.testing.assert_allclose(transform.points(POINTS), moved(rigid(), POINTS))
    with pytest.raises(ArrayError, match="not points"):
        transform.points([[1, 2]])
    with pytest.raises(ArgumentError, match="parent"):
        transform.points(POINTS, to="there")  # type: ignore[arg-type]


def test_chains(slicer: sn.Session) -> None:
    outer, inner = slicer.add_transform(SHEARED, "outer"), slicer.add_transform(rigid(), "inner")
    other = slicer.add_transform(np.diag([2.0, 3, 4, 1]), "other")
    inner.parent = outer
    assert inner.parent == outer
    assert outer.parent is None
    np.testing.assert_allclose(inner.matrix_to_world, SHEARED @ rigid())
    np.testing.assert_allclose(inner.matrix_to(outer), rigid())
    np.testing.assert_allclose(inner.matrix_to(other), np.linalg.inv(other.matrix) @ SHEARED @ rigid())
    np.testing.assert_allclose(inner.points(POINTS), moved(SHEARED @ rigid(), POINTS))
    np.testing.assert_allclose(inner.points(POINTS, to="parent"), moved(rigid(), POINTS))
    np.testing.assert_allclose(inner.points(moved(rigid(), POINTS), to="parent", inverse=True), POINTS)
    to_other = moved(np.linalg.inv(other.matrix) @ SHEARED @ rigid(), POINTS)
    np.testing.assert_allclose(inner.points(POINTS, to=other), to_other)
    np.testing.assert_allclose(inner.points(to_other, to=other, inverse=True), POINTS)
    for transform in (outer, inner):
        with pytest.raises(ArgumentError, match="under itself"):
            outer.parent = transform
    inner.parent = None
    np.testing.assert_allclose(inner.matrix_to_world, rigid())


def test_what_is_under_a_transform(slicer: sn.Session) -> None:
    transform, other = slicer.add_transform(rigid(), "t"), slicer.add_transform(SHEARED, "other")
    affine = oblique_affine()
    volume = slicer.add_volume(np.zeros((4, 5, 6), np.int16), affine, "v", show=False)
    points = slicer.add_markups(POINTS, "p")
    assert transform.apply(volume) == volume
    transform.apply(points)
    assert {node.name for node in transform.nodes} == {"v", "p"}
    np.testing.assert_allclose(volume.affine, affine)
    assert transform.take_out(volume) == volume
    with pytest.raises(ArgumentError, match="no transform"):
        transform.take_out(volume)
    with pytest.raises(ArgumentError, match="'t'"):
        other.take_out(points)
    with pytest.raises(ArgumentError, match="another transform"):
        other.harden(points)
    transform.harden(points)
    assert transform.nodes == []
    np.testing.assert_allclose(points.own_points, moved(rigid(), POINTS))
    # The whole chain, without a step in between.
    transform.parent = other
    transform.harden(volume)
    np.testing.assert_allclose(volume.affine, SHEARED @ rigid() @ affine)


def test_inverses(slicer: sn.Session) -> None:
    transform = slicer.add_transform(SHEARED, "t")
    above = slicer.add_transform(rigid(), "above")
    transform.parent = above
    inverse = transform.inverse()
    assert inverse.name == "t inverse"
    assert inverse.parent == above
    np.testing.assert_allclose(inverse.matrix, np.linalg.inv(SHEARED))
    np.testing.assert_allclose(transform.matrix, SHEARED)
    inverse.matrix = np.eye(4)
    np.testing.assert_allclose(transform.matrix, SHEARED)
    transform.invert()
    np.testing.assert_allclose(transform.matrix, np.linalg.inv(SHEARED))
    transform.invert()
    np.testing.assert_allclose(transform.matrix, SHEARED)
    assert transform.inverse("mine").name == "mine"


# -- SimpleITK ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["tfm", "h5"])
def test_a_linear_one_is_what_simpleitk_reads_from_slicer_s_file(
    slicer: sn.Session, tmp_path: Path, ending: str
) -> None:
    transform = slicer.add_transform(SHEARED, "t")
    written = sitk.ReadTransform(str(transform.save(tmp_path / f"t.{ending}")))
    # ITK's goes from the parent to what is under the transform.
    np.testing.assert_allclose(through(written, moved(SHEARED, POINTS)), POINTS, atol=1e-9)
    np.testing.assert_allclose(through(transform.to_sitk(), moved(SHEARED, POINTS)), POINTS, atol=1e-9)
    for again in (slicer.add_transform(written), slicer.add_transform(transform.to_sitk())):
        np.testing.assert_allclose(again.matrix, SHEARED, atol=1e-9)


def test_simpleitk_resamples_a_volume_as_slicer_shows_it(slicer: sn.Session) -> None:
    """A voxel that is bright is found where the transform takes it."""
    array = np.zeros((21, 21, 21), np.float32)
    array[9:12, 4:7, 13:16] = 1
    affine = np.diag([1.0, 1, 1, 1])
    transform = slicer.add_transform(rigid(), "t")
    volume = slicer.add_volume(array, affine, "v", show=False)
    transform.apply(volume)
    expected = transform.points([14.0, 5, 10])
    image = sitk.GetImageFromArray(array)
    image.SetDirection(np.diag(FLIP).ravel().tolist())
    reference = sitk.Image(81, 81, 81, sitk.sitkFloat32)
    reference.SetDirection(np.diag(FLIP).ravel().tolist())
    reference.SetOrigin(((np.round(expected) - 40) * FLIP).tolist())
    shown = sitk.GetArrayFromImage(sitk.Resample(image, reference, transform.to_sitk()))
    k, j, i = (np.argwhere(shown > 0.5).mean(axis=0)).tolist()
    np.testing.assert_allclose(np.array([i, j, k]) + np.round(expected) - 40, expected, atol=0.3)


def test_simpleitk_s_linear_kinds(slicer: sn.Session) -> None:
    euler = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, 0.2, 0.3, (4.0, 5.0, 6.0))
    similarity = sitk.Similarity3DTransform(1.5, (1, 1, 0), 0.3, (1.0, 2.0, 3.0), (9.0, 8.0, 7.0))
    for given in (euler, similarity, sitk.TranslationTransform(3, (1.0, 2.0, 3.0)),
                  sitk.CompositeTransform([euler, similarity]), sitk.Transform(euler)):  # fmt: skip
        made = slicer.add_transform(given)
        assert made.kind == "linear"
        np.testing.assert_allclose(made.points(POINTS, inverse=True), through(given, POINTS), atol=1e-9)
    with pytest.raises(ArgumentError, match="three dimensions"):
        slicer.add_transform(sitk.Euler2DTransform())
    with pytest.raises(ArgumentError, match="inverted"):
        slicer.add_transform(sitk.ScaleTransform(3, (1.0, 0.0, 1.0)))


# -- displacements -----------------------------------------------------------------------------------------------------


def test_a_grid_of_displacements(slicer: sn.Session, tmp_path: Path) -> None:
    array, affine = wave((16, 20, 24)), oblique_affine((1, 1, 1.25))
    transform = slicer.add_transform((array, affine), "g")
    assert transform.kind == "grid"
    found = transform.grid
    assert found.array.shape == (16, 20, 24, 3)
    np.testing.assert_allclose(found.array, array, atol=1e-6)
    np.testing.assert_allclose(found.affine, affine, atol=1e-12)
    # At the grid's own points, from the parent to what is under the transform.
    at = moved(affine, np.array([[3.0, 5, 7], [10, 10, 10]]))
    np.testing.assert_allclose(transform.points(at, inverse=True), at + array[[7, 10], [5, 10], [3, 10]], atol=1e-5)
    np.testing.assert_allclose(transform.points(at + array[[7, 10], [5, 10], [3, 10]]), at, atol=1e-2)
    written = sitk.ReadTransform(str(transform.save(tmp_path / "g.h5")))
    ours = transform.to_sitk()
    assert type(ours) is sitk.DisplacementFieldTransform
    for each in (written, ours):
        np.testing.assert_allclose(through(each, at), at + array[[7, 10], [5, 10], [3, 10]], atol=1e-5)
    for again in (slicer.add_transform(written), slicer.add_transform(ours), slicer.load(tmp_path / "g.h5")):
        np.testing.assert_allclose(again.grid.array, array, atol=1e-5)
        np.testing.assert_allclose(again.grid.affine, affine, atol=1e-5)
    transform.grid = array * 2, affine
    np.testing.assert_allclose(transform.grid.array, array * 2, atol=1e-5)


def test_an_inverted_grid_says_what_it_does(slicer: sn.Session) -> None:
    transform = slicer.add_transform((wave((16, 20, 24)), oblique_affine((1, 1, 1.25))), "g")
    before = transform.points(INSIDE)
    transform.invert()
    np.testing.assert_allclose(transform.points(INSIDE, inverse=True), before, atol=1e-3)
    at = moved(transform.grid.affine, np.array([[10.0, 10, 8]]))
    here = transform.points(at, inverse=True)
    np.testing.assert_allclose(at + transform.grid.array[8, 10, 10], here, atol=1e-3)
    np.testing.assert_allclose(through(transform.to_sitk(), at), here, atol=1e-3)
    transform.invert()
    np.testing.assert_allclose(transform.points(INSIDE), before, atol=1e-9)


def test_grids_that_do_not_fit_are_refused(slicer: sn.Session) -> None:
    array, affine = wave((4, 5, 6)), oblique_affine()
    with pytest.raises(ArrayError, match=r"\[k, j, i, 3\]"):
        slicer.add_transform((array[..., :2], affine))
    with pytest.raises(ArrayError, match="right angles"):
        slicer.add_transform((array, SHEARED))
    with pytest.raises(ArrayError, match="finite"):
        slicer.add_transform((np.where(array > 1, np.nan, array), affine))
    linear = slicer.add_transform(rigid(), "t")
    with pytest.raises(ArgumentError, match="displacements\\(volume\\)"):
        _ = linear.grid
    with pytest.raises(ArgumentError, match="grid transform"):
        linear.grid = array, affine


def test_what_any_transform_does_on_a_grid(slicer: sn.Session) -> None:
    affine, shape = oblique_affine(), (4, 5, 6)
    volume = slicer.add_volume(np.zeros(shape, np.int16), affine, "v", show=False)
    transform = slicer.add_transform(SHEARED, "t")
    array, where = transform.displacements(volume)
    assert array.shape == (4, 5, 6, 3)
    np.testing.assert_allclose(where, affine)
    at = moved(affine, np.array([5.0, 3, 2]))
    np.testing.assert_allclose(array[2, 3, 5], moved(np.linalg.inv(SHEARED), at) - at, rtol=1e-5)
    np.testing.assert_allclose(transform.displacements((affine, shape)).array, array)
    made = slicer.add_transform(transform.displacements((oblique_affine((2, 2, 2)), (12, 12, 12))), "as a grid")
    inside = moved(oblique_affine((2, 2, 2)), np.random.default_rng(1).uniform(2, 9, (10, 3)))
    np.testing.assert_allclose(made.points(inside, inverse=True), transform.points(inside, inverse=True), atol=1e-3)
    with pytest.raises(ArgumentError, match="at least 1"):
        transform.displacements((affine, (0, 1, 1)))


def test_b_splines_and_composites(slicer: sn.Session, tmp_path: Path) -> None:
    given = spline()
    sitk.WriteTransform(given, str(tmp_path / "b.h5"))
    euler = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, 0.2, 0.3, (1.0, 2.0, 0.5))
    loaded = slicer.load(tmp_path / "b.h5")
    composite = sitk.CompositeTransform([given, euler])
    cases = ((loaded, given, "b-spline"), (slicer.add_transform(given, "s"), given, "b-spline"),
             (slicer.add_transform(composite, "c"), composite, "composite"))  # fmt: skip
    for made, itk, kind in cases:
        assert isinstance(made, session.Transform)
        assert made.kind == kind
        expected = through(itk, INSIDE)
        assert np.abs(expected - INSIDE).max() > 0.3
        np.testing.assert_allclose(made.points(INSIDE, inverse=True), expected, atol=1e-6)
        np.testing.assert_allclose(made.points(expected), INSIDE, atol=1e-2)
        np.testing.assert_allclose(through(made.to_sitk(), INSIDE), expected, atol=1e-6)
        with pytest.raises(ArgumentError, match="linear"):
            made.matrix_to_world  # noqa: B018 - a property that is refused
    assert [each[0].name for each in cases] == ["b", "s", "c"]
    # Nothing points to a file that is gone: of the three, one was loaded from a file that is there.
    assert len(slicer.nodes("vtkMRMLTransformStorageNode")) == 1
    inverted = cases[0][0].inverse()
    np.testing.assert_allclose(inverted.points(INSIDE), through(given, INSIDE), atol=1e-6)
    with pytest.raises(ArgumentError, match=r"displacements\(volume\)"):
        inverted.to_sitk()


def test_a_transform_that_is_not_linear_hardens(slicer: sn.Session) -> None:
    transform = slicer.add_transform(spline(), "b")
    points = slicer.add_markups(INSIDE, "p")
    expected = transform.points(INSIDE)
    transform.harden(points)
    np.testing.assert_allclose(points.own_points, expected, atol=1e-6)
    transform.apply(points)
    np.testing.assert_allclose(points.points, transform.points(expected), atol=1e-6)


def test_the_card_says_what_matters(slicer: sn.Session) -> None:
    transform, above = slicer.add_transform(SHEARED, "t"), slicer.add_transform(rigid(), "<above>")
    transform.parent = above
    transform.apply(slicer.add_markups(POINTS, "p"))
    card = transform._repr_html_()
    assert "-34.000" in card
    assert "&lt;above&gt;" in card
    assert "moves</td>" in card
    grid = slicer.add_transform((wave((4, 5, 6)), oblique_affine()), "g")
    grid.invert()
    assert "grid, inverted" in grid._repr_html_()
