"""A frame shown is oriented right: a phantom with marks at R, A and S, scanned in every orientation, seen in the views.

The phantom is sampled where PS3.3 C.7.6.2.1.1 says each pixel lies, without any of the package's code; the pictures are
those that a person sees. Slicer shows the patient's right on the left of the axial (Red) and coronal (Green) view, and
the patient's front on the left of the sagittal (Yellow) one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import slicer_notebook as sn
from tests.dicom import make

#: RAS, mm: the phantom's middle, away from the origin so that no sign goes unseen.
MIDDLE = np.array([14.0, -23.0, 38.0])
#: Marks: their value, and their place from the middle, RAS, mm. Each is a ball of 10 mm radius.
MARKS = {"R": (1000, (26, 0, 0)), "A": (700, (0, 26, 0)), "S": (400, (0, 0, 26))}
SIZE, STEP = 44, 2.0

SCANS: dict[str, tuple[Sequence[float], dict[str, Any]]] = {
    "axial": (make.AXIAL, {}),
    "axial, feet first prone": ((-1, 0, 0, 0, -1, 0), {}),
    "axial, from the head down": ((1, 0, 0, 0, -1, 0), {}),
    "sagittal": (make.SAGITTAL, {}),
    "sagittal, from the right": ((0, -1, 0, 0, 0, -1), {}),
    "coronal": (make.CORONAL, {}),
    "coronal, from behind": ((-1, 0, 0, 0, 0, -1), {}),
    "decubitus right": (make.DECUBITUS, {}),
    "decubitus left": ((0, -1, 0, 1, 0, 0), {}),
    "oblique": (make.oblique((20, -15, 30)), {}),
    "oblique sagittal": (tuple(np.roll(make.oblique((10, 5, 15)), 0)[[3, 4, 5, 0, 1, 2]]), {}),
    "gantry tilt": (make.AXIAL, {"lean": 0.25}),
    "gantry tilt, rectified": (make.AXIAL, {"lean": 0.25, "rectify": True}),
}


def phantom(ras: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    values = np.zeros(ras.shape[:-1], np.int16)
    for value, place in MARKS.values():
        values[np.linalg.norm(ras - MIDDLE - place, axis=-1) < 10] = value
    return values


def scan(folder: Path, cosines: Sequence[float], lean: float = 0.0, slices: int = SIZE) -> None:
    """Write a series of the phantom; ``lean`` shifts each slice along its columns by that part of the step."""
    folder.mkdir()
    cosines = [float(f"{value:.10f}") for value in cosines]
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    normal = np.cross(row, column)
    half = (SIZE - 1) / 2 * STEP
    for k in range(slices):
        along = STEP * (k - (slices - 1) / 2)
        position = MIDDLE * [-1, -1, 1] + normal * along + column * along * lean - (row + column) * half
        pixels = phantom(make.lps_positions(cosines, (STEP, STEP), position, SIZE, SIZE) * [-1, -1, 1])
        item = make.dataset(
            ImagePositionPatient=[float(f"{value:.8f}") for value in position],
            ImageOrientationPatient=cosines,
            PixelSpacing=[STEP, STEP],
            SliceThickness=STEP,
            InstanceNumber=(k * 7) % SIZE + 1,
        )
        make.save(item, folder / f"{(k * 5) % SIZE:03d}.dcm", pixels)


def seen(view: Any) -> dict[str, tuple[float, float]]:
    """Where the marks are in a view's picture: (to the right, down) from its middle, in picture widths."""
    grey = view.image((240, 240)).array.astype(int).mean(axis=-1)
    found = {}
    for name, (value, _) in MARKS.items():
        rows, columns = np.nonzero(np.abs(grey - value / 1200 * 255) < 4)
        if len(rows) > 300:  # a ball is 700 to 2000 pixels; the blurred edge of a brighter one passes this grey as well
            found[name] = (float(columns.mean()) / 240 - 0.5, float(rows.mean()) / 240 - 0.5)
    return found


@pytest.mark.parametrize("name", SCANS)
def test_marks_are_seen_where_the_patient_has_them(slicer: sn.Session, tmp_path: Path, name: str) -> None:
    cosines, facts = SCANS[name]
    scan(tmp_path / "scan", cosines, facts.get("lean", 0.0))
    slicer.dicom.database = str(tmp_path / "index.sqlite3")
    try:
        slicer.dicom.index(tmp_path / "scan").result(60)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            [volume] = slicer.dicom.load(slicer.dicom.series()[0], rectify=facts.get("rectify", False))
    finally:
        slicer.dicom.database = None
    assert isinstance(volume, sn.Volume)
    volume.window_level = (1200, 600)
    # As Slicer shows it after loading: in the volume's own planes, of which each is nearest to its view's.
    for view, left, up in (
        ("Red", (-1, 0, 0), (0, 1, 0)),
        ("Green", (-1, 0, 0), (0, 0, 1)),
        ("Yellow", (0, -1, 0), (0, 0, 1)),
    ):
        axes = slicer_axes(slicer, view)
        assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-4), (view, axes)
        assert axes[:, 0] @ left > np.sqrt(0.5), (view, axes)
        assert axes[:, 1] @ up > np.sqrt(0.5), (view, axes)
    right, anterior, superior = MIDDLE
    for view, orientation, offset, left_mark, top_mark in (
        ("Red", "Axial", superior, "R", "A"),
        ("Green", "Coronal", anterior, "R", "S"),
        ("Yellow", "Sagittal", -right, "A", "S"),
    ):
        slicer.view(view).orientation = orientation
        slicer.view(view).fit()
        slicer.view(view).offset = offset
        marks = seen(slicer.view(view))
        assert set(marks) == {left_mark, top_mark}, (view, marks)
        (left_x, left_y), (top_x, top_y) = marks[left_mark], marks[top_mark]
        assert left_x - top_x < -0.15, (view, marks)
        assert top_y - left_y < -0.15, (view, marks)
        # As far to the left as to the top: both marks are 26 mm from the middle.
        assert abs((left_x - top_x) - (top_y - left_y)) < 0.01, (view, marks)


@pytest.mark.parametrize(
    ("name", "left", "top"),
    [("axial", "R", "A"), ("coronal", "R", "S"), ("coronal, from behind", "R", "S"), ("sagittal", "A", "S"),
     ("sagittal, from the right", "A", "S"), ("decubitus right", "R", "A"), ("axial, feet first prone", "R", "A")],
)  # fmt: skip
def test_a_single_slice_is_shown_in_its_own_plane(
    slicer: sn.Session, tmp_path: Path, name: str, left: str, top: str
) -> None:
    scan(tmp_path / "scan", SCANS[name][0], slices=1)
    slicer.dicom.database = str(tmp_path / "index.sqlite3")
    try:
        slicer.dicom.index(tmp_path / "scan").result(60)
        [volume] = slicer.dicom.load(slicer.dicom.series()[0])
    finally:
        slicer.dicom.database = None
    assert isinstance(volume, sn.Volume)
    volume.window_level = (1200, 600)
    shown = {view: seen(slicer.view(view)) for view in ("Red", "Green", "Yellow")}
    whole = [marks for marks in shown.values() if marks]
    assert whole, shown
    for marks in whole:
        assert set(marks) == {left, top}, shown
        assert marks[left][0] - marks[top][0] < -0.15, shown
        assert marks[top][1] - marks[left][1] < -0.15, shown


def slicer_axes(slicer: sn.Session, view: str) -> npt.NDArray[Any]:
    """The view's axes as columns, RAS: to the right, up, and out of the picture or into it."""
    matrix = f"slicer.util.getNode({view!r}).GetSliceToRAS()"
    return np.array(slicer.eval(f"[[m.GetElement(r, c) for c in range(3)] for m in [{matrix}] for r in range(3)]"))
