"""What contents compute: frames, corners and centres, rotations, cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicer_notebook import igtl
from slicer_notebook.errors import OpenIGTLinkError
from tests.igtl.examples import MATRIX, only, wire


def test_an_image_in_lps_says_where_it_is_in_ras() -> None:
    image = igtl.Image(np.zeros((2, 3, 4), np.uint8), MATRIX, "LPS")
    np.testing.assert_array_equal(image.ijk_to_ras @ [0, 0, 0, 1], [-10.5, 20.25, 30.0, 1])
    np.testing.assert_array_equal(image.ijk_to_ras @ [1, 0, 0, 1], [-10.5, 19.25, 30.0, 1])
    assert igtl.Image(np.zeros((2, 3, 4)), MATRIX, "RAS").ijk_to_ras.tolist() == MATRIX.tolist()


def test_a_part_of_an_image_begins_at_its_offset() -> None:
    image = igtl.Image(np.zeros((1, 2, 2), np.uint8), MATRIX, "RAS", size=(10, 10, 10), offset=(3, 4, 5))
    np.testing.assert_array_equal(image.part_to_ras @ [0, 0, 0, 1], MATRIX @ [3, 4, 5, 1])
    assert image.part_size == (2, 2, 1)
    assert image.whole_size == (10, 10, 10)


def test_an_image_whose_part_is_all_of_it_says_so() -> None:
    assert igtl.Image(np.zeros((2, 3, 4)), MATRIX, size=(4, 3, 2)).size is None


@pytest.mark.parametrize("offset", [(9, 0, 0), (0, 9, 0), (0, 0, 10), (-1, 0, 0)])
def test_a_part_outside_of_its_image_is_refused(offset: tuple[int, int, int]) -> None:
    with pytest.raises(OpenIGTLinkError, match="does not lie in it"):
        igtl.Image(np.zeros((1, 2, 2)), MATRIX, size=(10, 10, 10), offset=offset)


@pytest.mark.parametrize("shape", [(3, 4), (0, 3, 4), (2, 3, 4, 0), (1, 2, 3, 4, 5)])
def test_voxels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(OpenIGTLinkError, match="wrong shape"):
        igtl.Image(np.zeros(shape), MATRIX)


def test_one_component_is_a_scalar_image() -> None:
    assert igtl.Image(np.zeros((2, 3, 4, 1)), MATRIX).voxels.shape == (2, 3, 4)


def test_a_quaternion_turns_as_its_matrix_does() -> None:
    # A quarter turn around z: x becomes y.
    half = float(np.sqrt(0.5))
    position = igtl.Position((1, 2, 3), (0, 0, half, half))
    np.testing.assert_allclose(position.matrix @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_any_rotation_comes_back_from_its_matrix(quaternion: list[float]) -> None:
    position = igtl.Position((1, 2, 3), tuple(quaternion))  # type: ignore[arg-type]
    again = igtl.Position.from_matrix(position.matrix)
    np.testing.assert_allclose(again.matrix, position.matrix, atol=1e-9)
    assert again.quaternion[3] >= 0
    assert np.linalg.norm(again.quaternion) == pytest.approx(1)


def test_what_is_no_rotation_is_refused() -> None:
    with pytest.raises(OpenIGTLinkError, match="rotation only"):
        igtl.Position.from_matrix(np.diag([2, 1, 1, 1]))
    with pytest.raises(OpenIGTLinkError, match="rotation only"):
        igtl.Position.from_matrix(np.diag([-1, 1, 1, 1]))
    with pytest.raises(OpenIGTLinkError, match="no rotation"):
        _ = igtl.Position((0, 0, 0), (0, 0, 0, 0)).matrix
    with pytest.raises(OpenIGTLinkError, match="no rotation"):
        _ = igtl.Position((0, 0, 0), (float("nan"), 0, 0, 1)).matrix


@given(st.lists(st.lists(st.integers(0, 99), max_size=6), max_size=20))
def test_cells_of_any_sizes_have_offsets_and_connectivity(cells: list[list[int]]) -> None:
    made = igtl.Cells.of(cells)
    assert len(made) == len(cells)
    offsets, connectivity = made.offsets.tolist(), made.connectivity.tolist()
    assert [connectivity[a:b] for a, b in itertools.pairwise(offsets)] == cells
    assert offsets[-1] == len(connectivity)


def test_cells_of_one_size_come_from_an_array() -> None:
    triangles = np.array([[0, 1, 2], [2, 3, 0]])
    assert igtl.Cells.of(triangles) == igtl.Cells.of(triangles.tolist())


@pytest.mark.parametrize(("flat", "count"), [([2, 0], 1), ([1, 0, 5], 2), ([1, 0], 2), ([1, 0, 1, 0], 1), ([], 1)])
def test_cells_that_do_not_fill_their_list_are_refused(flat: list[int], count: int) -> None:
    with pytest.raises(OpenIGTLinkError, match="do not fill"):
        _ = igtl.Cells(np.array(flat, np.uint32), count).offsets


def test_contents_are_equal_by_what_they_hold() -> None:
    assert igtl.Transform(MATRIX) == igtl.Transform(MATRIX.copy())
    assert igtl.Transform(MATRIX) != igtl.Transform(np.eye(4))
    assert igtl.Transform(MATRIX) != igtl.Tool("", MATRIX)
    assert igtl.NDArray(np.zeros(3, np.float32)) != igtl.NDArray(np.zeros(3, np.float64))
    assert igtl.NDArray(np.array([np.nan])) == igtl.NDArray(np.array([np.nan]))


@pytest.mark.parametrize(
    "make", [igtl.Transform, lambda m: igtl.Tool("a", m), lambda m: igtl.Image(np.zeros((1, 1, 1)), m)]
)
def test_a_matrix_is_four_by_four(make: object) -> None:
    with pytest.raises(OpenIGTLinkError, match="wrong shape"):
        make(np.eye(3))  # type: ignore[operator]


def test_a_matrix_is_the_record_s_own() -> None:
    matrix = np.eye(4)
    transform = igtl.Transform(matrix)
    matrix[0, 3] = 5
    assert transform.matrix[0, 3] == 0
    came = only(igtl.Decoder().feed(wire(igtl.of_content(transform)))).content
    assert isinstance(came, igtl.Transform)
    assert igtl.Tool("again", came.matrix).matrix is came.matrix  # nobody can write to it: it need not be copied
    with pytest.raises(ValueError, match="read-only"):
        came.matrix[0, 3] = 1
