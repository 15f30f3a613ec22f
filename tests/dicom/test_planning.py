"""Plans: what a series' files become, or why not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, generate_uid

from slicer_notebook.dicom import Reason, plan, read
from slicer_notebook.dicom.reasons import MEANING
from slicer_notebook.errors import ArgumentError, NotDicomError, PathNotFoundError
from tests.dicom.make import (
    AXIAL,
    CORONAL,
    CT,
    DECUBITUS,
    MR,
    SAGITTAL,
    SECONDARY_CAPTURE,
    assert_phantom,
    dataset,
    oblique,
    save,
    write_series,
)


def only_volume(found):
    assert [refusal.message for refusal in found.refused] == []
    assert len(found.volumes) == 1
    return found.volumes[0]


def only_refusal(found):
    assert found.volumes == []
    assert len(found.refused) == 1
    return found.refused[0]


@pytest.mark.parametrize(
    "cosines",
    [AXIAL, SAGITTAL, CORONAL, DECUBITUS, (-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0), oblique((12, -33, 71))],
    ids=["axial", "sagittal", "coronal", "decubitus", "prone", "upside-down", "oblique"],
)
def test_orientations(tmp_path, cosines):
    """Each voxel's value is the phantom's at the place that the affine gives it."""
    files = write_series(tmp_path, cosines=cosines)
    volume = only_volume(plan(sorted(tmp_path.iterdir())))
    assert volume.shape == (5, 7, 6)
    assert volume.spacing == pytest.approx((3.0, 2.0, 4.0))
    assert volume.files == [str(path) for path in files]
    assert volume.warnings == []
    data = read(volume)
    assert_phantom(data.array, data.affine)
    assert np.linalg.det(data.affine[:3, :3]) == pytest.approx(24.0)


def test_names_are_slicers(tmp_path):
    write_series(tmp_path / "a")
    assert only_volume(plan(list((tmp_path / "a").iterdir()))).name == "3: Chest"
    write_series(tmp_path / "b", SeriesDescription=None, ProtocolName=None, SeriesNumber=None)
    assert only_volume(plan(list((tmp_path / "b").iterdir()))).name == "CT"


def test_gantry_tilt_is_a_shear(tmp_path):
    write_series(tmp_path, shear=(0.0, 4.0 * np.tan(np.radians(14.0)), 0.0))
    volume = only_volume(plan(list(tmp_path.iterdir())))
    assert volume.tilt == pytest.approx(14.0, abs=0.01)
    assert any("14.0 degrees" in warning for warning in volume.warnings)
    assert volume.spacing[2] == pytest.approx(4.0 / np.cos(np.radians(14.0)))
    data = read(volume)
    assert_phantom(data.array, data.affine)


def test_rounded_positions_load_with_a_warning(tmp_path):
    files = write_series(tmp_path, offsets=[round(k * 0.625, 1) for k in range(9)], gap=0.625)
    volume = only_volume(plan(files))
    assert volume.spacing[2] == pytest.approx(0.625)
    assert any("leave the even line by up to 0.05" in warning for warning in volume.warnings)


def test_slices_beside_each_other_are_no_stack(tmp_path):
    left = write_series(tmp_path / "l", offsets=(0, 4))
    right = write_series(tmp_path / "r", offsets=(0, 4), first=(60.0, 10.0, 5.0))
    assert only_refusal(plan(left + right)).reason is Reason.UNEVEN_SLICES


def test_duplicates_at_one_position_are_refused(tmp_path):
    refusal = only_refusal(plan(write_series(tmp_path, offsets=(0, 0, 0, 0))))
    assert refusal.reason is Reason.SAME_POSITION


def test_a_file_that_is_there_twice_counts_once(tmp_path):
    files = write_series(tmp_path)
    copy = tmp_path / "copy.dcm"
    copy.write_bytes(files[2].read_bytes())
    found = plan([*files, copy])
    volume = only_volume(found)
    assert volume.shape[0] == 5
    assert volume.instances[2].other_paths == [str(copy)] or volume.instances[2].path == str(copy)
    assert any("1 further files" in warning for warning in found.warnings)


def test_copies_with_different_headers_are_refused(tmp_path):
    files = write_series(tmp_path, each=lambda k: {"SOPInstanceUID": f"1.2.9.{k}"})
    other = write_series(tmp_path / "other", each=lambda k: {"SOPInstanceUID": f"1.2.9.{k}"}, RescaleIntercept=5)
    found = plan([*files, other[4]])
    assert [refusal.reason for refusal in found.refused] == [Reason.UID_CONFLICT]
    assert sorted(found.refused[0].files) == sorted([str(files[4]), str(other[4])])
    assert [volume.shape[0] for volume in found.volumes] == [4]


def test_two_orientations_become_two_volumes(tmp_path):
    axial = write_series(tmp_path / "a", cosines=AXIAL)
    sagittal = write_series(tmp_path / "s", cosines=SAGITTAL, shape=(3, 7, 6))
    found = plan(axial + sagittal)
    assert found.refused == []
    assert sorted((volume.orientation, volume.shape[0]) for volume in found.volumes) == [("axial", 5), ("sagittal", 3)]
    assert sorted(volume.name for volume in found.volumes) == ["3: Chest [axial]", "3: Chest [sagittal]"]
    for volume in found.volumes:
        data = read(volume)
        assert_phantom(data.array, data.affine)


def test_orientations_that_hardly_differ_are_said(tmp_path):
    files = write_series(tmp_path / "a", cosines=AXIAL)
    files += write_series(tmp_path / "b", cosines=oblique((0.5, 0, 0)))
    found = plan(files)
    assert [volume.shape[0] for volume in found.volumes] == [5, 5]
    assert any("differ by less than 1 degree" in warning for warning in found.warnings)


def test_cosines_of_few_digits_are_one_orientation(tmp_path):
    cosines = oblique((12, -33, 71))
    files = write_series(
        tmp_path, cosines=cosines,
        each=lambda k: {"ImageOrientationPatient": [round(c, 6 + k) for c in cosines]},
    )  # fmt: skip
    assert only_volume(plan(files)).shape[0] == 5


def test_a_uih_image_that_is_no_grid(tmp_path):
    """The attribute that counts the images of a grid is there, and says one."""
    item = dataset(MR, ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=list(AXIAL), PixelSpacing=[1, 1])
    item.add_new((0x0065, 0x0010), "LO", "Image Private Header")
    item.add_new((0x0065, 0x1050), "DS", "1")
    assert only_volume(plan([save(item, tmp_path / "a.dcm", np.zeros((3, 4), np.int16))])).shape == (1, 3, 4)
    item.add_new((0x0065, 0x1050), "DS", "20")
    refusal = only_refusal(plan([save(item, tmp_path / "a.dcm", np.zeros((3, 4), np.int16))]))
    assert refusal.reason is Reason.MOSAIC


def test_sizes_and_spacings_go_apart(tmp_path):
    groups = [
        write_series(tmp_path / "a"),
        write_series(tmp_path / "b", shape=(5, 9, 6)),
        write_series(tmp_path / "c", pixel_spacing=(2.5, 2.5)),
        write_series(tmp_path / "d", FrameOfReferenceUID="1.2.3.4.7"),
    ]
    found = plan([path for group in groups for path in group])
    assert [volume.shape[0] for volume in found.volumes] == [5, 5, 5, 5]
    assert len({volume.name for volume in found.volumes}) == 4


def test_a_localizer_goes_apart(tmp_path):
    slices = write_series(tmp_path / "a")
    scout = write_series(
        tmp_path / "b", shape=(1, 7, 6), first=(-20, 10, 100), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    found = plan(slices + scout)
    assert {(volume.shape[0], "localizer" in volume.name) for volume in found.volumes} == {(5, False), (1, True)}


def test_a_derived_picture_beside_the_slices_goes_apart(tmp_path):
    slices = write_series(tmp_path / "a")
    projection = write_series(
        tmp_path / "b", shape=(1, 7, 6), first=(-20, 10, 6.5), ImageType=["DERIVED", "SECONDARY", "PROJECTION"]
    )
    found = plan(slices + projection)
    assert found.refused == []
    assert sorted(volume.shape[0] for volume in found.volumes) == [1, 5]


def test_pixel_spacing_of_unequal_lengths_and_thickness_of_one_slice(tmp_path):
    volume = only_volume(plan(write_series(tmp_path, shape=(1, 7, 6), gap=6.0)))
    assert volume.shape == (1, 7, 6)
    assert volume.spacing == pytest.approx((3.0, 2.0, 6.0))
    data = read(volume)
    assert_phantom(data.array, data.affine)


def test_one_slice_of_unknown_thickness_warns(tmp_path):
    volume = only_volume(plan(write_series(tmp_path, shape=(1, 7, 6), SliceThickness=None)))
    assert volume.spacing[2] == 1.0
    assert any("unknown thickness" in warning for warning in volume.warnings)


def test_two_slices_further_apart_than_the_header_says(tmp_path):
    volume = only_volume(plan(write_series(tmp_path, offsets=(0, 10), SpacingBetweenSlices=5.0)))
    assert volume.spacing[2] == pytest.approx(10.0)
    assert any("10 mm apart, where the header says 5 mm" in warning for warning in volume.warnings)


@pytest.mark.parametrize("said", [-4.0, 99.0])
def test_the_step_comes_from_positions_not_from_the_header(tmp_path, said):
    volume = only_volume(plan(write_series(tmp_path, SpacingBetweenSlices=said, SliceThickness=99.0)))
    assert volume.spacing[2] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("attributes", "sop_class", "reason"),
    [
        ({"PixelSpacing": None}, MR, Reason.NO_POSITION),
        ({"PixelSpacing": [1, 1]}, MR, Reason.NO_POSITION),
        ({"PhotometricInterpretation": None}, MR, Reason.PIXEL_FORMAT),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, SECONDARY_CAPTURE, Reason.PALETTE_COLOUR),
        ({"PhotometricInterpretation": "CMYK", "SamplesPerPixel": 4}, SECONDARY_CAPTURE, Reason.COLOUR),
        ({"PhotometricInterpretation": "RGB"}, SECONDARY_CAPTURE, Reason.PIXEL_FORMAT),
        ({"NumberOfFrames": 1}, "1.2.840.10008.5.1.4.1.1.4.1", Reason.NO_POSITION),
        ({}, "1.2.840.10008.5.1.4.1.1.66.4", Reason.SEGMENTATION),
        ({}, "1.2.840.10008.5.1.4.1.1.88.33", Reason.STRUCTURED_REPORT),
        ({}, "1.2.840.10008.5.1.4.1.1.88.59", Reason.KEY_OBJECTS),
        ({}, "1.2.840.10008.5.1.4.1.1.11.1", Reason.PRESENTATION_STATE),
        ({}, "1.2.840.10008.5.1.4.1.1.481.3", Reason.RT_STRUCTURES),
        ({}, "1.2.840.10008.5.1.4.1.1.481.2", Reason.RT_DOSE),
        ({}, "1.2.840.10008.5.1.4.1.1.104.1", Reason.ENCAPSULATED_DOCUMENT),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, MR, Reason.MOSAIC),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "VFRAME"]}, MR, Reason.MOSAIC),
        ({"BitsAllocated": 64, "BitsStored": 64, "HighBit": 63}, MR, Reason.PIXEL_FORMAT),
        ({"BitsStored": 17, "HighBit": 16}, MR, Reason.PIXEL_FORMAT),
        ({"HighBit": 3, "BitsStored": 12}, MR, Reason.PIXEL_FORMAT),
        ({"PixelRepresentation": None}, MR, Reason.PIXEL_FORMAT),
        ({"RescaleSlope": 0}, MR, Reason.RESCALE),
    ],
)  # fmt: skip
def test_what_is_refused_by_name(tmp_path, attributes, sop_class, reason):
    path = save(dataset(sop_class, **attributes), tmp_path / "a.dcm", np.zeros((3, 4), dtype=np.int16))
    refusal = only_refusal(plan([path]))
    assert refusal.reason is reason
    assert refusal.files == [str(path)]
    assert refusal.message


@pytest.mark.parametrize("cosines", [[1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0]])
def test_an_orientation_that_is_none(tmp_path, cosines):
    files = write_series(tmp_path, each=lambda k: {"ImageOrientationPatient": cosines})
    assert only_refusal(plan(files)).reason is Reason.BAD_ORIENTATION


@pytest.mark.parametrize("spacing", [[0, 1], [-1, 1], None])
def test_a_pixel_spacing_that_is_none(tmp_path, spacing):
    files = write_series(tmp_path, each=lambda k: {"PixelSpacing": spacing})
    assert only_refusal(plan(files)).reason is Reason.NO_SPACING


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", ExplicitVRBigEndian, "1.2.840.10008.1.2"])
def test_truncated_pixels_are_refused(tmp_path, syntax):
    files = write_series(tmp_path, syntax=syntax)
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[:-10])
    found = plan(files)
    assert [refusal.reason for refusal in found.refused] == [Reason.TRUNCATED]
    assert found.refused[0].files == [str(files[1])]
    assert "10 bytes" in found.refused[0].message
    assert "slices are missing" in found.volumes[0].warnings[0]
    strict = plan(files, strict=True)
    assert [refusal.reason for refusal in strict.refused] == [Reason.TRUNCATED, Reason.MISSING_SLICES]


@pytest.mark.parametrize(
    ("sop_class", "attributes", "reason"),
    [
        (CT, {}, Reason.NO_PIXELS),
        ("1.2.3.4.5.6", {"Rows": 4, "Columns": 4}, Reason.NO_PIXELS),
        ("1.2.3.4.5.6", {}, Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", {}, Reason.WAVEFORM),
    ],
)
def test_without_pixels(tmp_path, sop_class, attributes, reason):
    path = save(dataset(sop_class, **attributes), tmp_path / "a.dcm")
    assert only_refusal(plan([path])).reason is reason


def test_an_unknown_transfer_syntax_is_refused(tmp_path):
    path = write_series(tmp_path, shape=(1, 4, 4))[0]
    known, unknown = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"
    path.write_bytes(path.read_bytes().replace(known, unknown, 1))
    assert only_refusal(plan([path])).reason is Reason.TRANSFER_SYNTAX


def test_nothing_is_lost(tmp_path):
    """Every file is in a volume, in a refusal, or a copy of one that is."""
    files = write_series(tmp_path / "a") + write_series(tmp_path / "b", offsets=(0, 0, 7), cosines=SAGITTAL)
    files.append(save(dataset("1.2.840.10008.5.1.4.1.1.66.4"), tmp_path / "seg.dcm", np.zeros((2, 2), np.int16)))
    found = plan(files)
    named = [path for volume in found.volumes for path in volume.files]
    named += [path for refusal in found.refused for path in refusal.files]
    assert sorted(named) == sorted(map(str, files))


def test_the_order_of_files_does_not_matter(tmp_path):
    files = write_series(tmp_path, cosines=oblique((12, -33, 71)))
    forward, backward = plan(files), plan(files[::-1])
    assert forward.volumes == backward.volumes


def test_several_series_are_kept_apart(tmp_path):
    files = write_series(tmp_path / "a")
    files += write_series(tmp_path / "b", SeriesInstanceUID=generate_uid(), first=(-20, 10, 7))
    found = plan(files)
    assert len(found.volumes) == 2
    assert any("2 series" in warning for warning in found.warnings)


def test_lossy_compression_is_said(tmp_path):
    volume = only_volume(plan(write_series(tmp_path, LossyImageCompression="01")))
    assert any("with loss" in warning for warning in volume.warnings)


def test_bad_input(tmp_path):
    with pytest.raises(ArgumentError, match="nothing to plan"):
        plan([])
    with pytest.raises(PathNotFoundError, match="missing"):
        plan([tmp_path / "missing.dcm"])
    text = tmp_path / "notes.txt"
    text.write_text("not an image " * 50)
    with pytest.raises(NotDicomError, match=re.escape("not DICOM")):
        plan([text])


def test_every_reason_has_a_meaning():
    assert set(MEANING) == set(Reason)
    assert all(meaning.endswith(".") for meaning in MEANING.values())


def test_the_docs_list_every_reason():
    text = (Path(__file__).parents[2] / "docs" / "dicom.md").read_text(encoding="utf-8")
    for reason, meaning in MEANING.items():
        assert f"| `{reason.value}` | {meaning} |" in text
