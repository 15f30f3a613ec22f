"""Segments on grids: masks beside SimpleITK's resampling, statistics beside numpy and SimpleITK's, on oblique data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import SimpleITK

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.commands.context import JobContext
from slicer_notebook.commands.segment_grids import copied
from slicer_notebook.commands.segment_sampling import Grid, Layer, box_in, own_grid, sampled
from slicer_notebook.commands.segment_statistics import intensities
from slicer_notebook.commands.segment_terms import codes_of

Array = np.ndarray[Any, np.dtype[Any]]

#: RAS ↔ LPS.
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def turned(x: float, y: float, z: float) -> Array:
    """3x3, a turn by three angles in degrees."""
    a, b, c = np.radians([x, y, z])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    found: Array = about_z @ about_y @ about_x
    return found


def affine_of(rotation: Array, spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> Array:
    found = np.eye(4)
    found[:3, :3] = rotation * np.array(spacing)
    found[:3, 3] = origin
    return found


#: An oblique, anisotropic grid of a scanner: i to the left and the back, as DICOM has it.
SOURCE = Grid((18, 26, 30), affine_of(turned(8, -12, 20) @ np.diag([-1, -1, 1]), (0.9, 1.3, 2.4), (11.0, 17.0, -23.0)))


def blobs(shape: tuple[int, int, int], seed: int = 3) -> Array:
    """uint8 labels 0..3: three blobs of random outline."""
    k, j, i = np.mgrid[: shape[0], : shape[1], : shape[2]]
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    for number in (1, 2, 3):
        centre = rng.uniform(0.25, 0.75, 3) * shape
        radius = rng.uniform(0.15, 0.3, 3) * shape
        inside = sum(((x - c) / r) ** 2 for x, c, r in zip((k, j, i), centre, radius, strict=True)) < 1
        labels[inside & (rng.random(shape) < 0.9)] = number
    return labels


def to_sitk(array: Array, affine: Array) -> SimpleITK.Image:
    """The image of an array, whose affine has axes at right angles."""
    lps = FLIP @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = SimpleITK.GetImageFromArray(array)
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).reshape(-1).tolist())
    return image


def resampled(labels: Array, source: Array, grid: Grid) -> Array:
    """By SimpleITK, nearest neighbour."""
    like = to_sitk(np.zeros(grid.shape, np.uint8), grid.affine)
    found: Array = SimpleITK.GetArrayFromImage(
        SimpleITK.Resample(to_sitk(labels, source), like, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0)
    )
    return found


GRIDS = {
    "the same": SOURCE,
    "a part": Grid((5, 8, 9), SOURCE.affine @ affine_of(np.eye(3), (1, 1, 1), (12, 9, 7))),
    "larger": Grid((30, 40, 44), SOURCE.affine @ affine_of(np.eye(3), (1, 1, 1), (-5, -6, -3))),
    "finer": Grid(
        (40, 50, 57), SOURCE.affine @ affine_of(np.eye(3), (0.4713, 0.5317, 0.4129), (1.1071, -0.7233, 0.3117))
    ),
    "coarser": Grid(
        (7, 9, 8), SOURCE.affine @ affine_of(np.eye(3), (3.1011, 2.7031, 2.3057), (0.3123, 0.2191, 0.4177))
    ),
    "other order of axes": Grid(
        (30, 18, 26),
        SOURCE.affine @ affine_of(np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]), (1, 1, 1), (29, 0, 17)),
    ),
    "along the body": Grid((40, 60, 61), affine_of(np.eye(3), (1.1, 1.2, 1.3), (-40.0, -35.0, -27.0))),
    "oblique otherwise": Grid((22, 41, 33), affine_of(turned(-35, 14, 50), (1.7, 0.8, 1.9), (5.0, -40.0, -30.0))),
}


# -- from grid to grid, without Slicer -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRIDS)
def test_labels_on_another_grid_are_those_of_simpleitk(name: str) -> None:
    labels, grid = blobs(SOURCE.shape), GRIDS[name]
    found = sampled(Layer(labels, SOURCE.affine, {"a": 1}), grid)
    expected = resampled(labels, SOURCE.affine, grid)
    assert expected.any()
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_labels_elsewhere_are_none() -> None:
    away = Grid((4, 4, 4), affine_of(np.eye(3), (1, 1, 1), (500, 500, 500)))
    assert not sampled(Layer(blobs(SOURCE.shape), SOURCE.affine, {"a": 1}), away).any()
    empty = Layer(np.zeros((0, 0, 0), np.uint8), np.eye(4), {"a": 1})
    assert not sampled(empty, away).any()


def test_middles_between_voxels_go_to_the_higher_index() -> None:
    labels = np.arange(1, 5, dtype=np.uint8).reshape(1, 1, 4)
    half = affine_of(np.eye(3), (1, 1, 1), (0.5, 0, 0))
    found = sampled(Layer(labels, np.eye(4), {"a": 1}), Grid((1, 1, 4), half))
    # The last centre lies on the border of the last voxel, and not in it any more.
    assert found.reshape(-1).tolist() == [2, 3, 4, 0]


def test_the_box_of_one_grid_in_another_holds_just_its_voxels() -> None:
    first, end = box_in(GRIDS["a part"], SOURCE)
    assert (first.tolist(), end.tolist()) == ([12, 9, 7], [21, 17, 12])
    first, end = box_in(GRIDS["larger"], SOURCE)
    assert (first.tolist(), end.tolist()) == ([0, 0, 0], [30, 26, 18])


def test_the_grid_grows_where_a_segment_reaches_out_of_it() -> None:
    labels = np.ones((3, 3, 3), np.uint8)
    outside = SOURCE.affine @ affine_of(np.eye(3), (1, 1, 1), (-2, 25, 0))
    grid = own_grid("S", SOURCE, [Layer(labels, outside, {"a": 1})])
    assert grid.shape == (18, 28, 32)
    assert np.allclose(grid.affine, SOURCE.affine @ affine_of(np.eye(3), (1, 1, 1), (-2, 0, 0)))
    assert int(sampled(Layer(labels, outside, {"a": 1}), grid).sum()) == 27
    with pytest.raises(errors.ArrayError, match="no grid"):
        own_grid("S", None, [])


def test_other_numbers_leave_out_what_is_not_wanted() -> None:
    layer = Layer(np.array([[[0, 5, 300, 7]]], np.int16), np.eye(4), {"a": 5, "b": 300})
    assert layer.renumbered({"b": 2}, np.uint8).labels.reshape(-1).tolist() == [0, 0, 2, 0]


def test_intensities_of_none_and_of_one() -> None:
    none = intensities(np.zeros(0, np.int16))
    assert all(np.isnan(value) for value in none.values())
    assert intensities(np.array([4], np.int16)) == {"mean": 4, "std": 0, "min": 4, "max": 4, "median": 4}


def test_codes_of_a_terminology_are_read() -> None:
    text = "list~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left~regions~^^~^^"
    assert codes_of(text) == {
        "category": ("SCT", "123037004", "Anatomical Structure"),
        "type": ("SCT", "64033007", "Kidney"),
        "type_modifier": ("SCT", "7771000", "Left"),
    }
    assert codes_of("") == codes_of("nonsense") == {}


# -- in Slicer -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ct(slicer: sn.Session) -> sn.Volume:
    """A volume of noise on the oblique grid."""
    rng = np.random.default_rng(1)
    return slicer.add_volume(rng.normal(40, 15, SOURCE.shape).astype(np.float32), SOURCE.affine, "ct")


@pytest.mark.parametrize("name", ["the same", "finer", "other order of axes", "oblique otherwise"])
def test_masks_in_the_grid_of_a_volume(slicer: sn.Session, ct: sn.Volume, name: str) -> None:
    labels, grid = blobs(SOURCE.shape), GRIDS[name]
    segmentation = slicer.add_segmentation(labels, reference=ct)
    reference = slicer.add_volume(np.zeros(grid.shape, np.int16), grid.affine, "reference")
    expected = resampled(labels, SOURCE.affine, grid)
    for number, segment in enumerate(segmentation.segments, start=1):
        assert np.array_equal(segment.mask(reference), expected == number)
    found, affine, names = segmentation.labelmap(reference)
    assert np.array_equal(found, expected)
    assert np.allclose(affine, grid.affine)
    assert names == {1: "Segment_1", 2: "Segment_2", 3: "Segment_3"}


def test_transforms_above_both_count(slicer: sn.Session, ct: sn.Volume) -> None:
    labels, grid = blobs(SOURCE.shape), GRIDS["oblique otherwise"]
    segmentation = slicer.add_segmentation(labels, SOURCE.affine)
    reference = slicer.add_volume(np.zeros(grid.shape, np.int16), grid.affine, "reference")
    one = affine_of(turned(5, 10, -20), (1, 1, 1), (4.0, -7.0, 3.0))
    other = affine_of(turned(-15, 3, 8), (1, 1, 1), (-2.0, 5.0, 6.0))
    slicer.call("transform.set_on", node=segmentation, transform=slicer.add_transform(one, "one"))
    expected = resampled(labels, one @ SOURCE.affine, grid)
    assert np.array_equal(segmentation.labelmap(reference)[0], expected)
    slicer.call("transform.set_on", node=reference, transform=slicer.add_transform(other, "other"))
    expected = resampled(labels, one @ SOURCE.affine, Grid(grid.shape, other @ grid.affine))
    assert expected.any()
    found, affine, _ = segmentation.labelmap(reference)
    assert np.array_equal(found, expected)
    assert np.allclose(affine, grid.affine)
    # In its own grid nothing has moved.
    assert np.array_equal(segmentation.labelmap()[0], labels)
    assert np.allclose(segmentation.affine, SOURCE.affine)


def test_masks_are_written_where_the_reference_is_in_the_scene(slicer: sn.Session, ct: sn.Volume) -> None:
    grid = GRIDS["oblique otherwise"]
    reference = slicer.add_volume(np.zeros(grid.shape, np.int16), grid.affine, "reference")
    one = affine_of(turned(5, 10, -20), (1, 1, 1), (4.0, -7.0, 3.0))
    segmentation = slicer.add_segmentation(reference=ct)
    slicer.call("transform.set_on", node=segmentation, transform=slicer.add_transform(one, "one"))
    mask = blobs(grid.shape, seed=8) > 0
    segment = segmentation.add("organ", mask, reference)
    assert np.array_equal(segment.mask(reference), mask)
    expected = resampled(mask.astype(np.uint8), grid.affine, Grid(SOURCE.shape, SOURCE.affine))
    assert expected.any()
    assert np.array_equal(segment.mask(ct), expected)


def test_transforms_that_are_not_linear_are_refused(slicer: sn.Session, ct: sn.Volume) -> None:
    segmentation = slicer.add_segmentation(blobs(SOURCE.shape), reference=ct)
    slicer.run(
        "import vtk\n"
        "bent = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLBSplineTransformNode', 'bent')\n"
        "thin = vtk.vtkThinPlateSplineTransform()\n"
        "points, others = vtk.vtkPoints(), vtk.vtkPoints()\n"
        "for n in range(5):\n"
        "    points.InsertNextPoint(n, n * n, -n); others.InsertNextPoint(n + 3, n * n, -2 * n)\n"
        "thin.SetSourceLandmarks(points); thin.SetTargetLandmarks(others); thin.SetBasisToR()\n"
        "bent = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTransformNode', 'warp')\n"
        "bent.SetAndObserveTransformToParent(thin)\n"
        f"slicer.mrmlScene.GetNodeByID({segmentation.id!r}).SetAndObserveTransformNodeID(bent.GetID())\n"
    )
    for ask in (lambda: segmentation.mask("Segment_1", ct), lambda: segmentation.statistics(ct)):
        with pytest.raises(errors.ArgumentError, match="not linear") as caught:
            ask()
        assert "warp" in str(caught.value.got)


def test_segments_that_are_surfaces_become_masks(slicer: sn.Session) -> None:
    grid = GRIDS["along the body"]
    reference = slicer.add_volume(np.zeros(grid.shape, np.int16), grid.affine, "reference")
    slicer.run(
        "import vtk\nball = vtk.vtkSphereSource()\nball.SetRadius(12); ball.SetCenter(-8, 3, 2)\n"
        "ball.SetPhiResolution(60); ball.SetThetaResolution(60); ball.Update()\n"
        "node = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLSegmentationNode', 'balls')\n"
        "node.SetSourceRepresentationToClosedSurface()\n"
        "node.AddSegmentFromClosedSurfaceRepresentation(ball.GetOutput(), 'ball', [1, 0, 0])\n"
    )
    segmentation = slicer["balls"]
    mask = segmentation.mask("ball", reference)
    k, j, i = np.mgrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    ras = np.stack([i, j, k], axis=-1) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    distance = np.linalg.norm(ras - (-8, 3, 2), axis=-1)
    # Whatever is not within a voxel of the surface is on the right side of it.
    sure = np.abs(distance - 12) > 1.3
    assert np.array_equal(mask[sure], (distance < 12)[sure])
    with pytest.raises(errors.ArgumentError, match="no label maps"):
        segmentation.add("more", mask, reference)
    assert segmentation.segments.names == ["ball"]


# -- statistics ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["the same", "oblique otherwise"])
def test_statistics_are_those_of_numpy_and_simpleitk(slicer: sn.Session, ct: sn.Volume, name: str) -> None:
    labels, grid = blobs(SOURCE.shape), GRIDS[name]
    segmentation = slicer.add_segmentation(labels, reference=ct)
    segmentation.add("nothing")
    values = np.random.default_rng(5).normal(-200, 80, grid.shape).astype(np.float32)
    volume = slicer.add_volume(values, grid.affine, "values")
    frame = segmentation.statistics(volume)
    assert frame.index.tolist() == ["Segment_1", "Segment_2", "Segment_3", "nothing"]
    there = resampled(labels, SOURCE.affine, grid)
    judge = SimpleITK.LabelStatisticsImageFilter()
    judge.Execute(to_sitk(values, grid.affine), to_sitk(there, grid.affine))
    cubic = float(np.prod(np.linalg.norm(SOURCE.affine[:3, :3], axis=0)))
    for number in (1, 2, 3):
        row = frame.loc[f"Segment_{number}"]
        assert row.voxels == np.count_nonzero(labels == number)
        assert np.isclose(row.volume_mm3, row.voxels * cubic)
        assert np.isclose(row.volume_cm3, row.voxels * cubic / 1000)
        assert row.sampled == judge.GetCount(number) == np.count_nonzero(there == number)
        assert np.isclose(row["mean"], judge.GetMean(number))
        # ITK's sigma is that of a sample, too.
        assert np.isclose(row["std"], judge.GetSigma(number))
        assert np.isclose(row["std"], values[there == number].astype(float).std(ddof=1))
        assert (row["min"], row["max"]) == (judge.GetMinimum(number), judge.GetMaximum(number))
        assert np.isclose(row["median"], np.median(values[there == number]))
    nothing = frame.loc["nothing"]
    assert (nothing.voxels, nothing.volume_mm3, nothing.sampled) == (0, 0, 0)
    assert nothing[["mean", "std", "min", "max", "median"]].isna().all()


def test_statistics_are_those_of_slicers_module(slicer: sn.Session, ct: sn.Volume) -> None:
    segmentation = slicer.add_segmentation(blobs(SOURCE.shape), reference=ct)
    segmentation.add("more", blobs(SOURCE.shape, seed=9) > 0, ct)
    frame = segmentation.statistics(ct)
    slicer.run(
        "from SegmentStatistics import SegmentStatisticsLogic\nlogic = SegmentStatisticsLogic()\n"
        f"logic.getParameterNode().SetParameter('Segmentation', {segmentation.id!r})\n"
        f"logic.getParameterNode().SetParameter('ScalarVolume', {ct.id!r})\n"
        "logic.computeStatistics()\nfound = logic.getStatistics()\n"
    )
    expected = slicer.eval(
        "[{key[1]: value for key, value in found.items() if key[0] == each} for each in found['SegmentIDs']]"
    )
    for row, slicers in zip(frame.itertuples(), expected, strict=True):
        assert row.voxels == slicers["LabelmapSegmentStatisticsPlugin.voxel_count"]
        assert np.isclose(row.volume_mm3, slicers["LabelmapSegmentStatisticsPlugin.volume_mm3"])
        for ours, theirs in (("mean", "mean"), ("std", "stdev"), ("min", "min"), ("max", "max"), ("median", "median")):
            assert np.isclose(getattr(row, ours), slicers[f"ScalarVolumeSegmentStatisticsPlugin.{theirs}"])


def test_statistics_of_overlapping_segments_nan_and_transforms(slicer: sn.Session, ct: sn.Volume) -> None:
    labels = blobs(SOURCE.shape)
    values = ct.array
    values[labels == 2] = np.nan
    ct.array = values
    segmentation = slicer.add_segmentation(labels, reference=ct, names={2: "hole"})
    segmentation.add("all", labels > 0, ct)
    larger = affine_of(np.eye(3), (2.0, 1.0, 1.5), (0.0, 0.0, 0.0))
    transform = slicer.add_transform(larger, "larger")
    for node in (segmentation, ct):
        slicer.call("transform.set_on", node=node, transform=transform)
    frame = segmentation.statistics(ct)
    finite = values[(labels > 0) & np.isfinite(values)]
    assert frame.loc["all"].sampled == len(finite) < frame.loc["all"].voxels == np.count_nonzero(labels)
    assert np.isclose(frame.loc["all"]["median"], np.median(finite))
    assert frame.loc["hole"].sampled == 0
    assert np.isnan(frame.loc["hole"]["mean"])
    cubic = float(np.prod(np.linalg.norm(SOURCE.affine[:3, :3], axis=0)))
    assert np.isclose(frame.loc["all"].volume_mm3, 3 * cubic * np.count_nonzero(labels))
    alone = segmentation.statistics(segments=["hole"])
    assert alone.columns.tolist() == ["voxels", "volume_mm3", "volume_cm3", "id"]
    assert alone.index.tolist() == ["hole"]
    colours = slicer.add_volume(np.zeros((*SOURCE.shape, 3), np.uint8), SOURCE.affine, "colours")
    with pytest.raises(errors.ArrayError, match="several values"):
        segmentation.statistics(colours)


def test_statistics_can_be_cancelled(slicer: sn.Session) -> None:
    labels = np.ones((64, 256, 256), np.uint8)
    labels[::2, ::2, ::2] = 2
    segmentation = slicer.add_segmentation(labels, SOURCE.affine)
    volume = slicer.add_volume(labels.astype(np.int16), GRIDS["oblique otherwise"].affine, "v")
    job = slicer.submit("segmentation.statistics", node=segmentation, volume=volume)
    job.cancel()
    with pytest.raises(errors.JobCancelledError):
        job.result(30)
    assert slicer.call("session.ping") is None


# -- copies that keep nobody waiting ---------------------------------------------------------------------------------


class _Stepwise(JobContext):
    """The main thread, step by step; something else happens after the first one."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.steps = 0
        self._meanwhile = meanwhile

    def on_main(self, function: Callable[[], Any]) -> Any:
        self.steps += 1
        found = function()
        if self.steps == 2:
            self._meanwhile()
        return found


def test_large_arrays_are_copied_in_steps_of_one_moment() -> None:
    array, stamp = np.zeros((40, 1000, 1000), np.uint8), [0]
    array[:] = np.arange(40)[:, None, None]
    calm = _Stepwise(lambda: None)
    found, [copy] = copied(calm, lambda: ("x", [array], lambda: stamp[0]))
    assert found == "x"
    assert np.array_equal(copy, array)
    assert not np.shares_memory(copy, array)
    assert calm.steps > 4

    def change() -> None:
        array[:] = 7
        stamp[0] += 1

    _, [copy] = copied(_Stepwise(change), lambda: ("x", [array], lambda: stamp[0]))
    assert (copy == 7).all(), "some of before the change, some of after it"
    small = _Stepwise(lambda: None)
    copied(small, lambda: ("x", [array[:2]], lambda: 0))
    assert small.steps == 1
