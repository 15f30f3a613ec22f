"""Lightboxes beside what SimpleITK takes from the same volume: pixels, millimetres, letters, offsets."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as everybody calls it

import slicer_notebook as sn
from slicer_notebook.commands.slice_axes import letters, opposite
from slicer_notebook.errors import ArgumentError, PathNotFoundError
from slicer_notebook.protocol.values import Array

#: Voxels [k, j, i], and what a scanner makes of them: 1.5 x 2 x 4 mm, axes L, P, S.
SHAPE = (7, 20, 24)
STRAIGHT = np.diag([-1.5, -2.0, 4.0, 1.0])
STRAIGHT[:3, 3] = 21, 33, -11
#: The same, turned by 25 degrees about S, then by 20 about A.
_Z, _Y = math.radians(25), math.radians(20)
_TURN = np.array([[math.cos(_Y), 0, math.sin(_Y)], [0, 1, 0], [-math.sin(_Y), 0, math.cos(_Y)]]) @ np.array(
    [[math.cos(_Z), -math.sin(_Z), 0], [math.sin(_Z), math.cos(_Z), 0], [0, 0, 1]]
)
OBLIQUE = STRAIGHT.copy()
OBLIQUE[:3, :3] = _TURN @ STRAIGHT[:3, :3]
WINDOW, LEVEL = 700.0, 450.0


def made(slicer: sn.Session, affine: Array, name: str = "CT") -> tuple[sn.Volume, sitk.Image]:
    """A volume in Slicer, without interpolation, and the same in SimpleITK, written as one writes it there: in LPS."""
    voxels = np.random.default_rng(3).integers(0, 1000, SHAPE).astype(np.int16)
    volume = slicer.add_volume(voxels, affine, name)
    volume.window_level = WINDOW, LEVEL
    slicer.run(f"slicer.util.getNode({volume.id!r}).GetDisplayNode().SetInterpolate(0)")
    image = sitk.GetImageFromArray(voxels)
    lps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]
    spacing = np.linalg.norm(lps, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps / spacing).ravel().tolist())
    image.SetOrigin((np.diag([-1.0, -1.0, 1.0]) @ affine[:3, 3]).tolist())
    return volume, image


def seen(image: sitk.Image, to_ras: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """What SimpleITK has at the pixels of a slice, as grey values; and where a pixel is clearly of one voxel."""
    width, height = size
    grey, sure = np.zeros((height, width)), np.ones((height, width), bool)
    voxels, shape = sitk.GetArrayFromImage(image), np.array(SHAPE[::-1])
    for row in range(height):
        for column in range(width):
            ras = to_ras @ [column, row, 0.0, 1.0]
            at = np.array(image.TransformPhysicalPointToContinuousIndex((-ras[0], -ras[1], ras[2])))
            index = np.floor(at + 0.5).astype(int)
            sure[row, column] = bool((np.abs(at + 0.5 - np.round(at + 0.5)) > 1e-3).all())
            if (index >= 0).all() and (index < shape).all():
                value = float(voxels[index[2], index[1], index[0]])
                grey[row, column] = np.clip((value - LEVEL + WINDOW / 2) / WINDOW * 255, 0, 255)
    return grey, sure


@pytest.mark.parametrize("orientation", ["Axial", "Sagittal", "Coronal"])
def test_pixels_are_those_of_simpleitk(slicer: sn.Session, orientation: str) -> None:
    volume, image = made(slicer, STRAIGHT)
    box = sn.Lightbox(volume, 1, 3, orientation=orientation, size=60)
    assert len(box) == 3
    for tile, to_ras in zip(box.tiles, box.pixel_to_ras, strict=True):
        height, width = tile.shape[:2]
        grey, sure = seen(image, to_ras, (width, height))
        assert sure.mean() > 0.4
        assert grey[sure].max() > 200
        np.testing.assert_allclose(tile[..., 0][sure], grey[sure], atol=1.01)
        assert (tile[..., 0] == tile[..., 1]).all()


@pytest.mark.parametrize("orientation", ["Axial", "Volume"])
def test_pixels_of_an_oblique_volume_are_those_of_simpleitk(slicer: sn.Session, orientation: str) -> None:
    volume, image = made(slicer, OBLIQUE)
    box = sn.Lightbox(volume, 1, 2, orientation=orientation, size=50)
    for tile, to_ras in zip(box.tiles, box.pixel_to_ras, strict=True):
        height, width = tile.shape[:2]
        grey, sure = seen(image, to_ras, (width, height))
        assert sure.mean() > 0.4
        np.testing.assert_allclose(tile[..., 0][sure], grey[sure], atol=1.01)


def test_slices_are_even_and_no_more_than_there_are(slicer: sn.Session) -> None:
    volume, image = made(slicer, STRAIGHT)
    box = sn.Lightbox(volume, 4, 6, orientation="Axial", size=20)
    heights = [image.TransformIndexToPhysicalPoint((0, 0, k))[2] for k in range(SHAPE[0])]
    assert box.offsets == pytest.approx(heights)
    assert (box.rows, box.columns) == (2, 6)
    assert sn.Lightbox(volume, 1, 3, orientation="Axial", size=20).offsets == pytest.approx((-11.0, 1.0, 13.0))
    # 24 sagittal slices of 1.5 mm: the one in the middle is a slice, and not what lies between two.
    assert sn.Lightbox(volume, 1, 3, orientation="Sagittal", size=20).offsets == pytest.approx((-21.0, -3.0, 13.5))
    some = sn.Lightbox(volume, 1, 3, first=-3.0, last=5.0, orientation="Axial", size=20)
    assert some.offsets == pytest.approx((-3.0, 1.0, 5.0))
    given = sn.Lightbox(volume, 1, 2, offsets=[9.0, -7.0, 2.5], orientation="Axial", size=20)
    assert given.offsets == (9.0, -7.0, 2.5)
    assert (given.rows, given.columns) == (2, 2)
    assert [m[2, 3] for m in given.pixel_to_ras] == pytest.approx([9.0, -7.0, 2.5])


def test_millimetres_and_letters_of_straight_slices(slicer: sn.Session) -> None:
    volume, image = made(slicer, STRAIGHT)
    box = sn.Lightbox(volume, 1, 1, orientation="Axial", size=(72, 80))
    assert box.letters == {"left": "R", "right": "L", "top": "A", "bottom": "P", "normal": "S"}
    # What SimpleITK says of the volume's corners, in LPS; the picture's x is L, its y is A = -P.
    corners = [image.TransformContinuousIndexToPhysicalPoint((i, j, 0.0)) for i in (-0.5, 23.5) for j in (-0.5, 19.5)]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    # 36 mm x 40 mm on 72 x 80 pixels; a pixel's value is from its corner, so the picture is half a pixel aside.
    assert box.extent == pytest.approx((low[0] - 0.25, high[0] - 0.25, -high[1] - 0.25, -low[1] - 0.25))
    sagittal = sn.Lightbox(volume, 1, 1, orientation="sagittal", size=40)
    assert [sagittal.letters[edge] for edge in ("left", "right", "top", "bottom", "normal")] == list("APSIL")
    coronal = sn.Lightbox(volume, 1, 1, orientation="coronal", size=40)
    assert [coronal.letters[edge] for edge in ("left", "right", "top", "bottom", "normal")] == list("RLSIA")


def test_letters_of_oblique_slices_are_the_dominant_ones(slicer: sn.Session) -> None:
    volume, image = made(slicer, OBLIQUE)
    box = sn.Lightbox(volume, 1, 1, orientation="Volume", size=40)
    assert box.orientation == "Reformat"
    i, j, _ = np.array(image.GetDirection()).reshape(3, 3).T  # LPS
    right, down = box.pixel_to_ras[0, :3, 0], box.pixel_to_ras[0, :3, 1]
    for mine, its in ((right, i), (down, j)):
        np.testing.assert_allclose(mine / np.linalg.norm(mine), its * (-1, -1, 1), atol=1e-6)
    # Along i: 0.852 L, 0.423 P, 0.310 S. (LPS, by hand from the two turns.)
    assert i == pytest.approx((0.8517, 0.4226, 0.3100), abs=1e-3)
    assert box.letters["right"] == "LPS"
    assert box.letters["left"] == "RAI"
    # Along j: 0.397 R, 0.906 P, 0.145 I, which is too little to be said.
    assert (box.letters["bottom"], box.letters["top"]) == ("PR", "AL")
    assert (box.letters["normal"], opposite("SR")) == ("SR", "IL")


def test_letters_of_directions() -> None:
    assert [letters(each) for each in ((2, 0, 0), (-1, 0.2, 0), (0.5, -1, 0), (0, 0, -3))] == ["R", "L", "PR", "I"]
    assert letters((1, 1, 1)) == "RAS"
    assert letters((0, 0, 0)) == ""


def test_the_picture_has_the_tiles_in_rows(slicer: sn.Session) -> None:
    volume, _ = made(slicer, STRAIGHT)
    box = sn.Lightbox(volume, 2, 4, orientation="Axial", size=(30, 25))
    whole = box.image.array
    assert whole.shape == (2 * 25 + 2, 4 * 30 + 3 * 2, 3)
    np.testing.assert_array_equal(whole[:25, :30], box.tiles[0])
    np.testing.assert_array_equal(whole[27:52, 32:62], box.tiles[5])
    assert (whole[25:27] == 48).all()
    assert box._repr_png_().startswith(b"\x89PNG")
    assert repr(box) == "<Lightbox of 'CT': 7 slices, Axial, -11.0 to 13.0 mm, 2 x 4>"


def test_the_figure_has_millimetres_letters_and_offsets(slicer: sn.Session, tmp_path: Path) -> None:
    volume, _ = made(slicer, STRAIGHT)
    box = sn.Lightbox(volume, 2, 4, orientation="Coronal", size=40)
    figure = box.figure()
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 8 == len(box)
    first = drawn[0]
    assert tuple(first.images[0].get_extent()) == pytest.approx(box.extent)
    assert [text.get_text() for text in first.texts] == ["R", "L", "S", "I"]
    assert first.get_title() == f"{box.offsets[0]:.1f} mm"
    assert drawn[4].get_xlabel() == "to L (mm)"
    assert drawn[0].get_ylabel() == "to S (mm)"
    assert box.save(tmp_path / "box.pdf", title="$a$").read_bytes().startswith(b"%PDF")
    with pytest.raises(PathNotFoundError):
        box.save(tmp_path / "no" / "box.png")


def test_a_views_lightbox_has_all_its_layers(slicer: sn.Session) -> None:
    volume, _ = made(slicer, STRAIGHT)
    labels = slicer.add_volume(np.ones(SHAPE, np.uint8), STRAIGHT, "labels", labelmap=True)
    red = slicer.view("Red")
    red.label_map, red.label_opacity = labels, 1.0
    alone = sn.Lightbox(volume, 1, 2, orientation="Axial", size=30)
    both = red.lightbox(1, 2, size=30)
    assert (alone.tiles[..., 0] == alone.tiles[..., 1]).all()
    middle = both.tiles[:, 15, 12]
    assert (middle[:, 0] != middle[:, 1]).all()
    assert both.orientation == "Axial"
    red.label_map = None
    assert red.lightbox(1, 2, size=30, field_of_view=(10.0, 10.0)).extent != alone.extent


def test_a_transform_above_the_volume_is_seen(slicer: sn.Session) -> None:
    volume, _ = made(slicer, STRAIGHT)
    before = sn.Lightbox(volume, 1, 1, orientation="Axial", size=30)
    moved = np.eye(4)
    moved[:3, 3] = 10, 0, 100
    transform = slicer.add_transform(moved)
    slicer.call("transform.set_on", node=volume, transform=transform)
    after = sn.Lightbox(volume, 1, 1, orientation="Axial", size=30)
    assert after.offsets[0] == pytest.approx(before.offsets[0] + 100)
    assert after.extent[0] == pytest.approx(before.extent[0] - 10)
    np.testing.assert_array_equal(after.tiles, before.tiles)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": 0}, "Rows and columns"),
        ({"orientation": "Sideways"}, "Axial, Sagittal, Coronal, Volume"),
        ({"size": 0}, "1 to 8192"),
        ({"size": (10, 9000)}, "1 to 8192"),
        ({"field_of_view": (0.0, 10.0)}, "above 0"),
        ({"first": math.nan}, "finite"),
        ({"offsets": []}, "finite numbers"),
        ({"view": "1"}, "no slices"),
    ],
)
def test_what_does_not_fit_is_refused(slicer: sn.Session, options: dict[str, Any], words: str) -> None:
    volume, _ = made(slicer, STRAIGHT)
    with pytest.raises(ArgumentError, match=words):
        sn.Lightbox(volume, **options)


def test_only_volumes_and_views_have_one(slicer: sn.Session) -> None:
    with pytest.raises(ArgumentError, match="a Volume or View"):
        sn.Lightbox("CT")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="shows no volume"):
        sn.Lightbox(slicer.view("Red"))
