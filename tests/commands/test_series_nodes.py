"""What of a series' reading becomes attributes and indices."""

from __future__ import annotations

import numpy as np
import pytest

from slicer_notebook.commands.dicom import check_quantity
from slicer_notebook.commands.series_nodes import _indices, diffusion_keys
from slicer_notebook.dicom.plans import Quantity, SequenceAxis, SeriesPlan, VolumePlan
from slicer_notebook.errors import ArgumentError


def axis(values: list[float | str], gradients: list[list[float] | None] | None = None) -> SequenceAxis:
    return SequenceAxis(name="b-value", keyword="DiffusionBValue", unit="s/mm2", values=values, gradients=gradients)


@pytest.mark.parametrize(
    ("values", "indices", "own"),
    [
        ([0.0, 2.5, 5], [0.0, 2.5, 5.0], True),
        ([0.0], [0.0], True),
        (["a", "b"], ["a", "b"], True),
        # MRML would sort falling numbers, and merge equal ones.
        ([5.0, 2.5], ["5", "2.5"], True),
        ([0.0, 1000.0, 1000.0], ["1: 0", "2: 1000", "3: 1000"], False),
        (["a", "a"], ["1: a", "2: a"], False),
        (["a", 1.0], ["a", "1"], True),
    ],
)
def test_indices_are_all_different(values: list[float | str], indices: list[float] | list[str], own: bool) -> None:
    assert _indices(axis(values)) == (indices, own)


def test_gradients_are_scaled_by_the_root_of_their_b_value() -> None:
    keys = diffusion_keys(axis([0.0, 500.0, 2000.0], [None, [0, 0.6, 0.8], [1, 0, 0]]))
    assert (keys["modality"], keys["DWMRI_b-value"]) == ("DWMRI", "2000")
    found = np.array([[float(x) for x in keys[f"DWMRI_gradient_{n:04d}"].split()] for n in range(3)])
    np.testing.assert_allclose(found, [[0, 0, 0], [0, 0.3, 0.4], [1, 0, 0]])
    # Readers of diffusion NRRD take |g|^2 x b as a volume's b-value.
    np.testing.assert_allclose((found**2).sum(axis=1) * 2000, [0, 500, 2000])


def test_the_few_seconds_per_mm2_of_a_baseline_need_no_direction() -> None:
    keys = diffusion_keys(axis([1.25, 930.0], [None, [0, 0, 1]]))
    assert keys["DWMRI_gradient_0000"] == "0 0 0"


@pytest.mark.parametrize(
    ("values", "gradients"),
    [
        ([0.0, 1000.0], None),
        ([0.0, 0.0], [None, None]),
        ([0.0, 1000.0], [None, None]),  # a trace image: no direction
        (["low", "high"], [[1, 0, 0], [1, 0, 0]]),
    ],
)
def test_what_is_no_set_of_directions_gets_no_diffusion_keys(
    values: list[float | str], gradients: list[list[float] | None] | None
) -> None:
    assert diffusion_keys(axis(values, gradients)) == {}


def volume(name: str, *quantities: str) -> VolumePlan:
    return VolumePlan(
        name=name, instances=[], affine=np.eye(4).tolist(), shape=(1, 1, 1), spacing=(1, 1, 1), orientation="axial",
        quantities=[Quantity(name=each, units="1", factors=[]) for each in quantities],
    )  # fmt: skip


def test_a_quantity_is_offered_by_all_of_a_series_or_refused() -> None:
    plan = SeriesPlan(volumes=[volume("a", "SUVbw", "SUVbsa"), volume("b", "SUVbw")])
    check_quantity(plan, "SUVbw")
    with pytest.raises(ArgumentError, match="'b' does not offer the quantity 'SUVbsa'") as caught:
        check_quantity(plan, "SUVbsa")
    assert caught.value.details["quantities"] == ["SUVbw"]
    with pytest.raises(ArgumentError, match="none: "):
        check_quantity(SeriesPlan(volumes=[volume("a")]), "SUVbw")
