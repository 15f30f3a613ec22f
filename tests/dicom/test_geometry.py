"""Geometry: directions, order, lines, and the affine, for any orientation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicer_notebook.dicom.geometry import (
    axes_of,
    fit_line,
    ijk_to_ras,
    orientation_name,
    same_position_bins,
)
from tests.dicom.make import AXIAL, CORONAL, DECUBITUS, SAGITTAL, lps_positions, oblique

angles = st.tuples(*[st.floats(-180, 180)] * 3)
lengths = st.floats(0.05, 20.0)
coordinates = st.tuples(*[st.floats(-500, 500)] * 3)


@given(angles, st.tuples(lengths, lengths), lengths, coordinates, coordinates, st.permutations(range(6)))
def test_affine_is_the_standards_equation(degrees, spacing, gap, first, shift, shuffle):  # noqa: PLR0917
    """For any orientation, spacing, tilt and order of files: IJK to RAS is PS3.3 C.7.6.2.1-1 with x and y negated."""
    cosines = oblique(degrees)
    axes = axes_of(cosines)
    assert axes is not None
    in_plane = axes.row * shift[0] / 500 * gap + axes.column * shift[1] / 500 * gap
    step = axes.normal * gap + in_plane
    ordered = np.array(first) + np.arange(6)[:, None] * step
    line = fit_line(ordered[list(shuffle)], axes)
    assert [shuffle[index] for index in line.order] == list(range(6))
    assert line.is_even()
    affine = ijk_to_ras(line.first, axes, spacing, line.step)
    for k in (0, 3, 5):
        expected = lps_positions(cosines, spacing, ordered[k], 3, 4)
        for j, i in ((0, 0), (2, 0), (0, 3), (2, 3)):
            ras = affine @ [i, j, k, 1]
            np.testing.assert_allclose(ras[:3] * [-1, -1, 1], expected[j, i], rtol=0, atol=1e-6)
    assert np.linalg.det(affine[:3, :3]) > 0


@given(angles, lengths)
def test_tilt_is_the_angle_between_step_and_normal(degrees, gap):
    axes = axes_of(oblique(degrees))
    assert axes is not None
    step = axes.normal * gap + axes.column * gap * np.tan(np.radians(14.0))
    line = fit_line(np.arange(4)[:, None] * step, axes)
    assert line.tilt(axes) == pytest.approx(14.0)
    assert line.gaps == pytest.approx(np.full(3, gap))


@pytest.mark.parametrize(
    ("cosines", "name"),
    [
        (AXIAL, "axial"),
        (SAGITTAL, "sagittal"),
        (CORONAL, "coronal"),
        (DECUBITUS, "axial"),
        (oblique((9.0, 0, 0)), "axial"),
        (oblique((20.0, 0, 0)), "oblique axial"),
        (oblique((0, 60.0, 0)), "oblique sagittal"),
    ],
)
def test_orientation_names(cosines, name):
    axes = axes_of(cosines)
    assert axes is not None
    assert orientation_name(axes.normal) == name


@pytest.mark.parametrize(
    "cosines",
    [
        (1, 0, 0),
        (1, 0, 0, 1, 0, 0),
        (0, 0, 0, 0, 0, 0),
        (1, 0, 0, 0, 0.9, 0),
        (1, 0, 0, 0.1, 1, 0),
        (float("nan"), 0, 0, 0, 1, 0),
    ],
)
def test_cosines_that_are_none(cosines):
    assert axes_of(cosines) is None


def test_cosines_are_made_orthonormal():
    axes = axes_of((0.99999, 0.0005, 0, 0, 1.0, 0.0001))
    assert axes is not None
    turn = np.stack(axes)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_a_line_says_how_far_positions_leave_it():
    axes = axes_of(AXIAL)
    assert axes is not None
    positions = np.array([[0, 0, z] for z in (0.0, 1.0, 2.3, 3.0)])
    line = fit_line(positions, axes)
    assert line.deviation == pytest.approx(0.3)
    assert not line.is_even()
    assert not line.is_even(0.1)


def test_positions_rounded_to_a_tenth_are_nearly_even():
    axes = axes_of(AXIAL)
    assert axes is not None
    line = fit_line(np.array([[0, 0, round(k * 0.625, 1)] for k in range(9)]), axes)
    assert not line.is_even()
    assert line.is_even(0.1)


def test_steps_of_a_few_micrometres_are_not_all_alike():
    """An absolute tolerance of 0.01 mm would swallow the slices of a micro-CT."""
    axes = axes_of(AXIAL)
    assert axes is not None
    positions = np.array([[0, 0, z * 0.004] for z in (0, 1, 2, 4, 5)])
    assert not fit_line(positions, axes).is_even(0.1)
    assert len(same_position_bins(positions, axes, 0.0004)) == 5


def test_places_beside_each_other_at_one_height():
    axes = axes_of(AXIAL)
    assert axes is not None
    positions = np.array([[0, 0, 0], [50, 0, 0], [0, 0, 0], [50, 0, 0], [0, 0, 3.0]], dtype=float)
    assert same_position_bins(positions, axes, 0.01) == [[0, 2], [1, 3], [4]]
