"""A plan as a record that shows itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from slicer_notebook.session import Plan
from slicer_notebook.session.sequences import axis_words

VOLUME: dict[str, Any] = {
    "name": "3: Chest",
    "files": 40,
    "shape": [40, 512, 500],
    "spacing": [0.703125, 0.7, 2.5],
    "orientation": "oblique axial",
    "affine": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    "quantities": [{"name": "SUVbw", "units": "g/ml{SUVbw}", "explanation": "70 kg / 300 MBq"}],
    "warnings": ["tilted"],
}
RAW: dict[str, Any] = {
    "SeriesNumber": 3,
    "SeriesDescription": "Chest <i>",
    "Modality": "PT",
    "volumes": [VOLUME],
    "sequences": [
        {**VOLUME, "name": "3: DWI", "axis": {"name": "b-value", "unit": "s/mm2", "values": [0, 1000, 1000]}}
    ],
    "images": [{**VOLUME, "name": "3: Capture", "image": True, "calibrated": False, "shape": [1, 6, 8], "samples": 3}],
    "refused": [{"reason": "segmentation", "message": "A segmentation.", "files": 1}],
    "warnings": ["2 files are copies."],
}


@pytest.fixture
def plan() -> Plan:
    return msgspec.convert(RAW, Plan)


def test_text_says_what_each_becomes(plan: Plan) -> None:
    lines = repr(plan).replace("\u00d7", "x").splitlines()
    assert lines == [
        "<Plan of PT 3: Chest <i>",
        "  volume '3: Chest': 500 x 512 x 40, 0.7031 x 0.7 x 2.5 mm; oblique axial",
        "    tilted",
        "    quantity: SUVbw (g/ml{SUVbw})",
        "  sequence '3: DWI': 3 x (500 x 512 x 40, 0.7031 x 0.7 x 2.5 mm); oblique axial",
        "    over b-value, 0, 1000 (x2) s/mm2",
        "    tilted",
        "    quantity: SUVbw (g/ml{SUVbw})",
        "  image '3: Capture': 8 x 6 colour, of unknown size",
        "    tilted",
        "    quantity: SUVbw (g/ml{SUVbw})",
        "  refused (segmentation): 1 file",
        "    A segmentation.",
        "  2 files are copies.>",
    ]


def test_html_says_the_same_and_is_escaped(plan: Plan) -> None:
    page = plan._repr_html_()
    assert "Chest &lt;i&gt;" in page
    assert "<i>" not in page
    for words in ("3: DWI", "b-value", "segmentation", "A segmentation.", "SUVbw", "tilted", "2 files are copies."):
        assert words in page, words
    assert page.count("<tr>") == 1 + 4


def test_its_parts_are_attributes(plan: Plan) -> None:
    assert plan.volumes[0].quantities[0].name == "SUVbw"
    assert plan.volumes[0].shape == (40, 512, 500)
    assert (len(plan.sequences[0]), plan.sequences[0].axis.values) == (3, [0, 1000, 1000])
    assert (plan.images[0].image, plan.images[0].calibrated, plan.refused[0].reason) == (True, False, "segmentation")


def test_a_plan_of_nothing_says_so() -> None:
    assert repr(Plan()) == "<Plan of series\n  nothing>"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "time"),
        ([0.0, 2.5], "time, 0, 2.5 s"),
        ([float(n) for n in range(20)], "time, 0 to 19 s"),
        (["rest", "task", "rest"], "time, rest (\u00d72), task s"),
    ],
)
def test_an_axis_in_words(values: list[Any], words: str) -> None:
    assert axis_words({"name": "time", "unit": "s", "values": values}) == words
