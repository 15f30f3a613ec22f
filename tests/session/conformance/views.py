"""Views, their pictures, the layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.session.conformance.cases import block, case, refused


@case
def the_four_up_layout_is_there(slicer: Any, _: Path) -> None:
    assert slicer.layout == "FourUp"
    assert set(slicer.view_names) == {"Red", "Yellow", "Green", "1"}
    assert {n: slicer.view(n).orientation for n in ("Red", "Yellow", "Green")} == {
        "Red": "Axial",
        "Yellow": "Sagittal",
        "Green": "Coronal",
    }
    assert slicer.view("3D").kind == "3d"
    with refused(errors.ViewNotFoundError, "Purple", "Red"):
        slicer.view("Purple")


@case
def pictures_have_the_size_asked_for(slicer: Any, _: Path) -> None:
    slicer.add_volume(block(), None, "block")
    for name in slicer.view_names:
        image = slicer.view(name).image(size=(120, 90))
        assert image.size == (120, 90)
        assert image.array.shape == (90, 120, 3)
        assert image.png.startswith(b"\x89PNG")
    with refused(errors.ArgumentError, "8192"):
        slicer.view("Red").image(size=(0, 10))
    with refused(errors.ArgumentError):
        slicer.view("Red").image(size=(10, 99999))


@case
def a_picture_moves_nothing(slicer: Any, _: Path) -> None:
    slicer.add_volume(block(), None, "block")
    red = slicer.view("Red")
    state = (
        "[list(slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetFieldOfView()),"
        " list(slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetDimensions()),"
        " slicer.util.arrayFromVTKMatrix(slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetSliceToRAS()).tolist()]"
    )
    red.offset = 12.0
    before = slicer.eval(state)
    red.image(size=(333, 77))
    assert slicer.eval(state) == before
    assert red.offset == 12.0


@case
def slice_views_scroll_and_turn(slicer: Any, _: Path) -> None:
    gradient = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None] * 5, 40, 1).repeat(40, 2)
    slicer.add_volume(gradient, None, "gradient").window_level = (255, 127.5)
    red = slicer.view("Red")
    assert red.offset_range == (0.0, 39.0)
    assert red.offset_step == 1.0
    for offset in (3.0, 30.0):
        red.offset = offset
        assert red.offset == offset
        assert red.image(size=(64, 64)).array[32, 32, 0] == offset * 5
    red.orientation = "Coronal"
    assert red.orientation == "Coronal"
    red.orientation = "Axial"
    with refused(errors.ArgumentError, "finite"):
        red.offset = float("inf")
    with refused(errors.ArgumentError, "float"):
        red.offset = "x"
    with refused(errors.ArgumentError, "slice view"):
        slicer.view("1").offset  # noqa: B018
    with refused(errors.ArgumentError, "Diagonal"):
        red.orientation = "Diagonal"


@case
def patient_left_is_on_the_right(slicer: Any, _: Path) -> None:
    array = np.zeros((20, 20, 20), np.uint8)
    array[:, :, 15:] = 200  # large R: affine is the identity, so i grows to the patient's right... RAS +R
    slicer.add_volume(array, np.eye(4), "right").window_level = (255, 127.5)
    picture = slicer.view("Red").image(size=(100, 100)).array
    # Axial, seen from the feet: the patient's right is on the screen's left.
    assert picture[50, :50].max() == 200
    assert picture[50, 60:].max() == 0


@case
def thumbnails_show_all_views(slicer: Any, _: Path) -> None:
    slicer.add_volume(block(), None, "block")
    pictures = slicer.thumbnails(size=(64, 64))
    assert set(pictures) == set(slicer.view_names)
    assert pictures._repr_html_().count("data:image/png") == len(pictures)
    assert len(pictures.figure().axes) == len(pictures)
    assert set(slicer["block"].show()) == set(slicer.view_names)


@case
def layouts_change(slicer: Any, _: Path) -> None:
    slicer.layout = "OneUpRedSlice"
    assert slicer.view_names == ["Red"]
    slicer.layout = "FourUp"
    assert len(slicer.view_names) == 4
    with refused(errors.ArgumentError, "Nonsense"):
        slicer.layout = "Nonsense"
