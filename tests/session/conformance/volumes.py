"""Volumes: voxels, geometry, window and level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.session.conformance.cases import AFFINE, block, case, phantom, refused


@case
def volumes_go_there_and_back(slicer: Any, _: Path) -> None:
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"):
        array = phantom().astype(dtype)
        volume = slicer.add_volume(array, AFFINE, "there", show=False)
        assert volume.dtype == array.dtype
        assert volume.array.dtype == array.dtype
        assert np.array_equal(volume.array, array), dtype
        volume.remove()


@case
def volume_array_is_a_copy_of_ones_own(slicer: Any, _: Path) -> None:
    big = np.arange(40 * 50 * 60, dtype=np.int32).reshape(40, 50, 60)
    volume = slicer.add_volume(big, None, "big")
    first = volume.array
    first[:] = 7
    assert np.array_equal(volume.array, big)
    second = volume.array
    volume.array = big + 1
    assert np.array_equal(second, big)
    assert np.array_equal(volume.array, big + 1)
    del first, second
    assert np.array_equal(volume.array, big + 1)


@case
def write_back_changes_the_views(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(block(), None, "block")
    volume.window_level = (255, 127.5)
    slicer.view("Red").fit()
    before = slicer.view("Red").image(size=(100, 100)).array.copy()
    volume.array = 255 - block()
    after = slicer.view("Red").image(size=(100, 100)).array
    assert before[50, 50].tolist() == [200, 200, 200]
    assert after[50, 50].tolist() == [55, 55, 55]


@case
def write_back_takes_other_shapes_dtypes_and_orders(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "changing")
    for array in (
        phantom().astype(np.float32) / 3,
        np.ones((3, 4, 5), np.uint8),
        np.asfortranarray(phantom()),
        phantom()[::-1, ::2],
        phantom().astype(">i2"),
        phantom() > 0,
    ):
        volume.array = array
        assert np.array_equal(volume.array, array)
        assert volume.shape == array.shape
    assert np.allclose(volume.affine, AFFINE)


@case
def vector_volumes_keep_their_components(slicer: Any, _: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 3), dtype=np.uint8)
    volume = slicer.add_volume(colours, None, "colours")
    assert volume.class_name == "vtkMRMLVectorVolumeNode"
    assert np.array_equal(volume.array, colours)


@case
def wrong_arrays_are_refused(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "kept")
    for array, words in (
        (np.zeros((3, 4)), ("(k, j, i)", "(3, 4)")),
        (np.zeros((0, 4, 4)), ("no axis empty",)),
        (np.zeros((2, 2, 2, 3)), ("(k, j, i)", "(2, 2, 2, 3)")),
        (np.zeros((2, 2, 2), np.complex64), ("dtype", "complex64")),
        (np.zeros((2, 2, 2), np.float16), ("float16", "astype")),
        (np.zeros((2, 2, 2), object), ("object",)),
    ):
        with refused(errors.ArrayError, *words):
            volume.array = array
    assert np.array_equal(volume.array, phantom())
    count = len(slicer.nodes("vtkMRMLVolumeNode"))
    with refused(errors.ArrayError, "affine"):
        slicer.add_volume(phantom(), np.zeros((4, 4)))
    with refused(errors.ArrayError, "(4, 4)"):
        slicer.add_volume(phantom(), np.eye(3))
    with refused(errors.ArrayError, "numbers"):
        volume.affine = "x"
    assert len(slicer.nodes("vtkMRMLVolumeNode")) == count


@case
def affine_is_ijk_to_ras(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "placed")
    assert np.allclose(volume.affine, AFFINE)
    assert np.allclose(volume.spacing, (1.5, 2, 3))
    ras = slicer.eval(
        "(lambda m: [m.MultiplyPoint((1, 2, 3, 1))[c] for c in range(3)])"
        f"((lambda m: (slicer.mrmlScene.GetNodeByID({volume.id!r}).GetIJKToRASMatrix(m), m)[1])"
        "(__import__('vtk').vtkMatrix4x4()))"
    )
    assert np.allclose(ras, (AFFINE @ (1, 2, 3, 1))[:3])
    sheared = AFFINE.copy()
    sheared[0, 0] = 0.4
    volume.affine = sheared
    assert np.allclose(volume.affine, sheared)


@case
def window_and_level(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), None, "wl")
    automatic = volume.window_level
    assert 150 < automatic[0] < 260
    volume.window_level = (50, 10)
    assert volume.window_level == (50, 10)
    slicer.view("Red").window_level = (60, 20)
    assert volume.window_level == (60, 20)
    volume.window_level = "auto"
    assert volume.window_level == automatic
    with refused(errors.ArgumentError, "window above 0"):
        volume.window_level = (0, 1)
    with refused(errors.ArrayError, "(window, level)"):
        volume.window_level = 3


@case
def histogram_counts_all_voxels(slicer: Any, _: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    volume = slicer.add_volume(phantom(), None, "counted")
    counts, edges = slicer.call("volume.histogram", node=volume, bins=10)
    assert counts.sum() == phantom().size
    assert len(edges) == 11
    axes = volume.histogram(bins=10)
    assert axes.get_title() == "counted"
    with refused(errors.ArgumentError, "bins"):
        volume.histogram(bins=0)


@case
def volume_facts(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "facts")
    assert volume.shape == (5, 6, 7)
    assert volume.range == (-100, 109)
    assert volume.units == ""
    label = slicer.add_volume((phantom() > 0).astype(np.uint8), AFFINE, "labels", labelmap=True)
    assert label.class_name == "vtkMRMLLabelMapVolumeNode"


@case
def volumes_are_rendered_in_3d(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(block().astype(np.int16) * 5, None, "block")
    with refused(errors.ArgumentError, "CT-Nonsense", "CT-Bone"):
        volume.render("CT-Nonsense")
    shown = volume.render("CT-Bone", size=(64, 64)).array.astype(int)
    hidden = volume.render(visible=False, size=(64, 64)).array.astype(int)
    assert np.abs(shown - hidden)[24:40, 24:40].max() > 40


@case
def what_would_lose_something_is_refused(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), None, "whole")
    with refused(errors.ArrayError, "mask", "filled"):
        volume.array = np.ma.masked_less(phantom(), 0)
    with refused(errors.ArrayError, "whole numbers", "float64"):
        slicer.add_volume(np.full((2, 2, 2), 300.7), labelmap=True)
    assert np.array_equal(volume.array, phantom())


@case
def ranges_are_of_finite_values(slicer: Any, _: Path) -> None:
    array = np.array([[[1.5, np.nan, np.inf, -2.0]]])
    assert slicer.add_volume(array, None, "some").range == (-2.0, 1.5)
    assert np.isnan(slicer.add_volume(np.full((2, 2, 2), np.nan), None, "none").range).all()
