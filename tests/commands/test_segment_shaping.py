"""Margins, smoothing, islands, seeds: compared with what numpy and SimpleITK say of the same voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from slicer_notebook.commands import segment_editing as editing
from slicer_notebook.commands import segment_editors as editors
from slicer_notebook.commands import segment_shaping as shaping
from slicer_notebook.commands.segment_shapes import on_slice, seen
from slicer_notebook.errors import ArgumentError, ArrayError, CommandError, NodeNotFoundError
from tests.commands.segment_bench import (
    MIDDLE,
    SHAPE,
    SPACING,
    Array,
    Bench,
    array,
    at,
    ball,
    blob,
    centres,
    image,
    same,
)

# -- margins -----------------------------------------------------------------------------------------------------------


def distance_to(mask: Array) -> Array:
    """Distance of each centre to the nearest one of a mask, mm, by looking at all pairs."""
    # The nearest one has a neighbour outside: else that would be nearer.
    edge = mask & dilated(~mask, np.ones((3, 3, 3), bool))
    inside = np.argwhere(edge)[:, ::-1] * np.array(SPACING)
    points = np.indices(SHAPE)[::-1].reshape(3, -1).T * np.array(SPACING)
    nearest = np.full(len(points), np.inf)
    for part in np.array_split(inside, max(1, len(inside) // 200)):
        squares = (points**2).sum(axis=1)[:, None] + (part**2).sum(axis=1) - 2 * points @ part.T
        nearest = np.minimum(nearest, squares.min(axis=1))
    found: Array = np.where(mask, 0.0, np.sqrt(np.maximum(nearest, 0)).reshape(SHAPE))
    return found


@pytest.mark.parametrize("size", [3.0, 1.0, -1.5, -0.7])
def test_margin(bench: Bench, size: float) -> None:
    mask = ball(radius=6.0) | ball(at(28, 20, 14), 3.0)
    bench.put(mask)
    bench.do(shaping.margin, size)
    # 0.7 mm are exactly one voxel along i: as far as the margin is within it.
    expected = distance_to(mask) <= size + 1e-6 if size > 0 else distance_to(~mask) > -size + 1e-6
    assert (bench.get() == expected).all()
    assert expected.sum() > 20


@pytest.mark.parametrize(("surface", "outer", "inner"), [("inside", 3.0, 0.0), ("outside", 0.0, 3.0)])
def test_hollow(bench: Bench, surface: str, outer: float, inner: float) -> None:
    mask = ball(radius=9.0)
    bench.put(mask)
    bench.do(shaping.hollow, 3.0, surface)
    found = bench.get()
    voxel = min(SPACING)
    if surface == "inside":
        assert not (found & mask).any()
        assert (found == (~mask & (distance_to(mask) <= outer + 0.1 * voxel))).all()
    else:
        assert not (found & ~mask).any()
        # Slicer counts from the centres of the border's voxels, which are half a voxel inside.
        depth = distance_to(~mask)
        assert found[mask & (depth <= min(SPACING))].all()
        assert not found[depth > inner + max(SPACING)].any()
    assert found.sum() > 200


def test_hollow_medial_lies_on_both_sides(bench: Bench) -> None:
    mask = ball(radius=9.0)
    bench.put(mask)
    bench.do(shaping.hollow, 4.0, "medial")
    found = bench.get()
    assert (found[~mask] == (distance_to(mask) <= 2.0)[~mask]).all()
    assert (found & mask).any()
    assert not found[distance_to(~mask) > 2.0 + max(SPACING)].any()


# -- smoothing ---------------------------------------------------------------------------------------------------------


def kernel(size: float) -> tuple[int, int, int]:
    """Nearest odd numbers of voxels along i, j, k, by trying."""
    i, j, k = (min(range(1, 99, 2), key=lambda n: (abs(n - size / each), -n)) for each in SPACING)
    return i, j, k


def test_median(bench: Bench) -> None:
    bench.put(blob())
    bench.do(shaping.smooth, "median", 4.0)
    assert kernel(4.0) == (5, 3, 1)
    expected = array(sitk.BinaryMedian(image(blob()), [n // 2 for n in kernel(4.0)])) > 0
    inner = (slice(None), slice(1, -1), slice(2, -2))
    assert (bench.get()[inner] == expected[inner]).all()
    assert (expected != blob()).sum() > 300


def test_median_at_the_edge_is_vtks(bench: Bench) -> None:
    """Where the kernel reaches out of the grid it has an odd or an even number of voxels left."""
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkImagingGeneral import vtkImageMedian3D

    from slicer_notebook.commands.segment_filters import _image, median

    mask = np.random.default_rng(2).random((7, 8, 9)) < 0.5
    reference = vtkImageMedian3D()
    reference.SetInputData(_image(mask))
    reference.SetKernelSize(5, 3, 3)
    reference.Update()
    expected = vtk_to_numpy(reference.GetOutput().GetPointData().GetScalars()).reshape(mask.shape)
    assert (median(mask, (5, 3, 3)) == (expected > 0)).all()


def ellipsoid(size: tuple[int, int, int]) -> Array:
    """The kernel of vtkImageDilateErode3D: voxels whose centre is in the ellipsoid that touches the box; [k, j, i]."""
    axes = [(np.arange(n) - (n - 1) / 2) / (n / 2) for n in size[::-1]]
    k, j, i = np.meshgrid(*axes, indexing="ij")
    found: Array = k**2 + j**2 + i**2 <= 1.0
    return found


def dilated(mask: Array, shape: Array) -> Array:
    half = [n // 2 for n in shape.shape]
    padded = np.pad(mask, [(n, n) for n in half])
    found = np.zeros(mask.shape, bool)
    for k, j, i in np.argwhere(shape):
        found |= padded[k : k + SHAPE[0], j : j + SHAPE[1], i : i + SHAPE[2]]
    return found


def eroded(mask: Array, shape: Array) -> Array:
    """What is outside of the grid erodes nothing, as in VTK."""
    return ~dilated(~mask, shape)


@pytest.mark.parametrize("length", [3.0, 5.0])
def test_opening_and_closing(bench: Bench, length: float) -> None:
    shape = ellipsoid(kernel(length))
    bench.put(blob())
    bench.do(shaping.smooth, "opening", length)
    assert (bench.get() == dilated(eroded(blob(), shape), shape)).all()
    bench.put(blob())
    bench.do(shaping.smooth, "closing", length)
    assert (bench.get() == eroded(dilated(blob(), shape), shape)).all()


def blurred(mask: Array, sigma: float) -> Array:
    """A Gaussian, axis by axis, cut off at 4 standard deviations; edges go on outside."""
    found = mask.astype(float)
    for axis, spacing in enumerate(SPACING[::-1]):
        voxels = sigma / spacing
        half = int(voxels * 4.0)
        weights = np.exp(-0.5 * (np.arange(-half, half + 1) / voxels) ** 2)
        padding = [(0, 0)] * 3
        padding[axis] = (half, half)
        padded, total = np.pad(found, padding), np.pad(np.ones(SHAPE), padding)
        sums = np.zeros((2, *SHAPE))
        for n, weight in enumerate(weights):
            part = range(n, n + SHAPE[axis])
            sums += weight * np.stack([np.take(padded, part, axis), np.take(total, part, axis)])
        found = sums[0] / sums[1]
    return found


def test_gaussian(bench: Bench) -> None:
    mask = ball() | ball(at(26, 15, 11), 5.0)
    bench.put(mask)
    bench.do(shaping.smooth, "gaussian", 1.8)
    value = blurred(mask, 1.8)
    sure = np.abs(value - 0.5) > 1e-4
    assert (bench.get() == (value >= 0.5))[sure].all()
    assert (bench.get() != mask).sum() > 20


def test_joint_smoothing_keeps_neighbours_together(bench: Bench) -> None:
    """Halves of a rough ball: their common face stays without gaps, and they do not overlap."""
    rng = np.random.default_rng(8)
    rough = ball(radius=9.0) & ~(
        (np.abs(np.linalg.norm(centres() - MIDDLE, axis=-1) - 8.5) < 0.5) & (rng.random(SHAPE) < 0.5)
    )
    left = np.indices(SHAPE)[2] < 16
    bench.put_all(a=rough & left, b=rough & ~left)
    before = bench.everything()
    bench.do(shaping.smooth, "joint", 0.3)
    after = bench.everything()
    assert not (after["a"] & after["b"]).any()
    assert not after["c"].any()
    both = after["a"] | after["b"]
    assert (both & left).sum() - (after["a"] & left).sum() < 10
    core = ball(radius=6.0)
    assert both[core].all(), "no gap between them"
    assert abs(int(both.sum()) - int(rough.sum())) < 0.1 * rough.sum()
    assert roughness(both) < 0.9 * roughness(rough)
    assert not same(before, after)


def roughness(mask: Array) -> float:
    """Faces between inside and outside for each voxel inside."""
    return sum(int((np.diff(mask.astype(np.int8), axis=axis) != 0).sum()) for axis in range(3)) / int(mask.sum())


def test_joint_smoothing_leaves_hidden_segments_alone(bench: Bench) -> None:
    bench.put_all(a=ball(at(6, 6, 5), 3.0), b=ball(at(24, 18, 12), 5.0))
    bench.node.GetDisplayNode().SetSegmentVisibility("a", False)
    hidden = bench.get("a")
    bench.do(shaping.smooth, "joint", 0.5)
    assert (bench.get("a") == hidden).all()
    assert (bench.get("b") & ball(at(24, 18, 12), 3.0)).sum() == ball(at(24, 18, 12), 3.0).sum()


# -- islands -----------------------------------------------------------------------------------------------------------


def components(mask: Array) -> Array:
    """Islands that touch by faces, the largest first (SimpleITK)."""
    return array(sitk.RelabelComponent(sitk.ConnectedComponent(image(mask), False)))


def archipelago() -> tuple[Array, Array]:
    """Islands of different sizes, the two smallest touch others by an edge; and SimpleITK's numbers for them."""
    found = ball(at(8, 8, 5), 4.0) | ball(at(24, 17, 12), 6.0)
    found[1, 20, 20:23] = True
    found[2, 21, 20:22] = True
    found[16, 3, 3] = True
    labels = components(found)
    assert np.bincount(labels.ravel())[1:].tolist()[2:] == [3, 2, 1]
    return found, labels


def test_islands(bench: Bench) -> None:
    mask, labels = archipelago()
    voxel = float(np.prod(SPACING))
    for options, expected in (
        ({"operation": "keep_largest"}, labels == 1),
        ({"operation": "remove_small", "minimum": 2.5 * voxel}, (labels >= 1) & (labels <= 3)),
        ({"operation": "remove_small", "minimum": 3 * voxel - 1e-6}, (labels >= 1) & (labels <= 3)),
        ({"operation": "keep_selected", "point": at(8, 8, 5)}, labels == 2),
        ({"operation": "remove_selected", "point": at(8.4, 8.4, 4.6)}, (labels > 0) & (labels != 2)),
    ):
        bench.put(mask)
        bench.do(shaping.islands, **options)
        assert (bench.get() == expected).all(), options


def test_islands_become_segments(bench: Bench) -> None:
    mask, labels = archipelago()
    bench.put(mask)
    before = bench.everything()
    bench.do(shaping.islands, "split", minimum=1.5 * float(np.prod(SPACING)))
    ids = list(bench.node.GetSegmentation().GetSegmentIDs())
    names = [bench.node.GetSegmentation().GetSegment(each).GetName() for each in ids]
    assert names == ["A", "B", "C", "A_2", "A_3", "A_4"]
    for number, each in enumerate(["a", *ids[3:]], 1):
        assert (bench.get(each) == (labels == number)).all()
    bench.do(editors.undo)
    assert same(bench.everything(), before)
    bench.do(editors.redo)
    assert list(bench.node.GetSegmentation().GetSegmentIDs()) == ids
    assert (bench.get(ids[3]) == (labels == 2)).all()


def test_an_island_of_another_segment_or_of_the_empty_space(bench: Bench) -> None:
    hole = ball(radius=3.0)
    bench.put_all(a=ball(at(4, 4, 3), 2.5), b=ball() & ~hole)
    bench.do(shaping.islands, "add_selected", point=MIDDLE)
    assert (bench.get("a") == (ball(at(4, 4, 3), 2.5) | hole)).all()
    bench.do(shaping.islands, "add_selected", point=at(16.3, 6, 8.4))
    assert (bench.get("a") == (ball(at(4, 4, 3), 2.5) | ball())).all()
    assert not bench.get("b").any(), "overwritten"


def test_an_island_at_a_pixel_of_a_view(bench: Bench) -> None:
    two = ball(radius=4.0) | ball(at(28, 20, 14), 3.0)
    for view in ("Red", "Green", "Yellow"):
        bench.put(two)
        shown = bench.host.view(view)
        editor = bench.host.segment_editor(bench.node)
        normal = editor.sight(shown).normal
        shown.offset = float(normal @ MIDDLE)
        pixel = seen(editor.sight(shown), MIDDLE[None])[0]
        assert np.allclose(on_slice(editor.sight(shown), pixel), MIDDLE)
        bench.do(shaping.islands, "keep_selected", point=pixel, view=view)
        assert (bench.get("a") == ball(radius=4.0)).all()
    with pytest.raises(ArgumentError, match="no slice"):
        bench.do(shaping.islands, "keep_selected", point=[3, 3], view="1")
    with pytest.raises(ArgumentError, match="of a view"):
        bench.do(shaping.islands, "keep_selected", point=[3, 3])


def test_islands_say_what_they_miss(bench: Bench) -> None:
    bench.put(ball())
    for options, error in (
        ({"operation": "keep_selected"}, ArgumentError),
        ({"operation": "keep_largest", "point": MIDDLE}, ArgumentError),
        ({"operation": "remove_small"}, ArgumentError),
        ({"operation": "keep_largest", "minimum": 3.0}, ArgumentError),
        ({"operation": "keep_selected", "point": at(0, 0, 0)}, ArrayError),
        ({"operation": "keep_selected", "point": at(-3, 0, 0)}, ArrayError),
    ):
        with pytest.raises(error):
            bench.do(shaping.islands, **options)
    assert (bench.get() == ball()).all()


# -- segments with segments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "other", "expected"),
    [
        ("copy", "B", lambda a, b: b),
        ("add", "B", lambda a, b: a | b),
        ("subtract", "b", lambda a, b: a & ~b),
        ("intersect", "b", lambda a, b: a & b),
        ("invert", None, lambda a, b: ~a),
        ("clear", None, lambda a, b: a & False),
        ("fill", None, lambda a, b: a | True),
    ],
)
def test_logical(bench: Bench, operation: str, other: str | None, expected: Any) -> None:
    a, b = blob(), ball(at(20, 14, 9), 6.0)
    bench.put_all(a=a, b=b)
    bench.do(shaping.logical, operation, other, ignore_masks=True)
    assert (bench.get("a") == expected(a, b)).all()
    assert (bench.get("b") == b).all(), "the other stays as it is"


def test_logical_says_what_it_misses(bench: Bench) -> None:
    with pytest.raises(ArgumentError, match="needs another"):
        bench.do(shaping.logical, "copy")
    with pytest.raises(ArgumentError, match="no other"):
        bench.do(shaping.logical, "clear", "b")
    with pytest.raises(NodeNotFoundError, match="'liver'"):
        bench.do(shaping.logical, "add", "liver")


# -- seeds and slices --------------------------------------------------------------------------------------------------


def grown_by_hand(source: Array, seeds: Array, place: tuple[slice, ...]) -> Array:
    """Grow-cut: each voxel gets the label of the seed that it reaches over the smallest sum of steps in intensity."""
    import heapq

    source, seeds = source[place].astype(float), seeds[place]
    cost = np.where(seeds > 0, 0.0, np.inf)
    label = seeds.copy()
    heap = [(0.0, tuple(at)) for at in np.argwhere(seeds > 0)]
    steps = [(k, j, i) for k in (-1, 0, 1) for j in (-1, 0, 1) for i in (-1, 0, 1) if (k, j, i) != (0, 0, 0)]
    while heap:
        far, here = heapq.heappop(heap)
        if far > cost[here]:
            continue
        for step in steps:
            there = tuple(a + b for a, b in zip(here, step, strict=True))
            if any(not 0 <= a < n for a, n in zip(there, source.shape, strict=True)):
                continue
            reach = far + abs(source[there] - source[here])
            if reach < cost[there]:
                cost[there], label[there] = reach, label[here]
                heapq.heappush(heap, (reach, there))
    return label


def test_grow_from_seeds(bench: Bench) -> None:
    """Where the way is shortest over intensities: compared with Dijkstra's algorithm by hand."""
    rng = np.random.default_rng(21)
    inside = ball(radius=6.0)
    values = (np.where(inside, 180, 40) + rng.normal(0, 4, SHAPE)).round().astype(np.int16)
    bench.host.set_voxels(bench.volume, values)
    seeds = np.zeros(SHAPE, int)
    seeds[ball(radius=3.0)] = 1
    seeds[ball(at(5, 12, 8), 2.5) | ball(at(28, 13, 8), 2.5) | ball(at(16, 12, 13), 2.0)] = 2
    bench.put_all(a=seeds == 1, b=seeds == 2)
    bench.do(shaping.grow_from_seeds)
    a, b = bench.get("a"), bench.get("b")
    place = filled_box(seeds, 0.2)
    assert (a[place] ^ b[place]).all(), "all of the box belongs to one of them"
    assert (a == inside).mean() > 0.99
    expected = grown_by_hand(values, seeds, place)
    assert ((expected == 1) == a[place]).mean() > 0.999
    assert not (a | b)[outside(place)].any()


def filled_box(labels: Array, ratio: float) -> tuple[slice, ...]:
    found = []
    for axis, count in enumerate(SHAPE):
        there = np.unique(np.argwhere(labels)[:, axis])
        more = max(3, int(ratio * (there[-1] - there[0])))
        found.append(slice(max(0, there[0] - more), min(count, there[-1] + more + 1)))
    return tuple(found)


def outside(place: tuple[slice, ...]) -> Array:
    found = np.ones(SHAPE, bool)
    found[place] = False
    return found


def test_grow_from_seeds_needs_two(bench: Bench) -> None:
    bench.put(ball())
    with pytest.raises(ArgumentError, match="too few seeds"):
        bench.do(shaping.grow_from_seeds)
    assert (bench.get() == ball()).all()


def test_fill_between_slices(bench: Bench) -> None:
    """Every fourth slice of a cone: what is between them is nearly the cone."""
    k, j, i = np.indices(SHAPE)
    cone = (np.hypot(j - 12.0, i - 16.0) <= 3 + 0.5 * k) & (k >= 1) & (k <= 17)
    bench.put(cone & (k % 4 == 1))
    bench.do(shaping.fill_between_slices)
    found = bench.get()
    assert (found[1::4] == cone[1::4]).all(), "what was drawn stays"
    overlap = 2 * (found & cone).sum() / (found.sum() + cone.sum())
    assert overlap > 0.97
    assert bench.get().any(axis=(1, 2))[1:18].all()


def test_segments_that_were_changed_meanwhile_are_left(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from slicer_notebook.commands import segment_filters

    bench.put(ball())
    margin = segment_filters.margin

    def slow(*args: Any) -> Array:
        bench.do(editing.paint, at(4, 4, 3), 2.0)
        return margin(*args)

    monkeypatch.setattr(segment_filters, "margin", slow)
    with pytest.raises(CommandError, match="changed while"):
        bench.do(shaping.margin, 2.0)
    assert (bench.get() == (ball() | ball(at(4, 4, 3), 2.0))).all()
