"""Volumes as images of SimpleITK, ITK, nibabel and xarray, and back: compared with what those libraries read."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest
import SimpleITK
import xarray

import slicer_notebook as sn
from slicer_notebook import errors

Array = np.ndarray[Any, Any]

DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
SPACING = np.array([0.7, 1.9, 3.3])
ORIGIN = np.array([-31.5, 12.25, 107.125])


def block(dtype: str = "int16", components: int = 0) -> Array:
    """[5, 6, 7(, components)], no two voxels alike where the dtype has as many values."""
    shape = (5, 6, 7, components) if components else (5, 6, 7)
    found = np.arange(np.prod(shape)).reshape(shape)
    return (found % (min(np.iinfo(dtype).max, 1000) + 1) if np.dtype(dtype).kind in "iu" else found / 8).astype(dtype)


def turned(axis: int, degrees: float) -> Array:
    """A rotation about one axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    one, other = [n for n in range(3) if n != axis]
    found = np.eye(3)
    found[one, one] = found[other, other] = cosine
    found[one, other], found[other, one] = -sine, sine
    return found


def oblique(*, flipped: bool = False) -> Array:
    """IJK → RAS: tilted about all axes, anisotropic; ``flipped``: left-handed."""
    affine = np.eye(4)
    axes = turned(0, 17) @ turned(1, -23) @ turned(2, 41)
    affine[:3, :3] = axes * SPACING * ([1, -1, 1] if flipped else [1, 1, 1])
    affine[:3, 3] = ORIGIN
    return affine


def straight(axes: str = "PSL") -> Array:
    """IJK → RAS along the patient's axes: i, j, k lead to these letters."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, letter in enumerate(axes):
        row = ["RL", "AP", "SI"].index(next(pair for pair in ("RL", "AP", "SI") if letter in pair))
        affine[row, column] = SPACING[column] * (1 if letter in "RAS" else -1)
    affine[:3, 3] = ORIGIN
    return affine


AFFINES = {"oblique": oblique(), "flipped": oblique(flipped=True), "straight": straight(), "LPS": straight("LPS")}


@pytest.fixture(params=sorted(AFFINES))
def affine(request: pytest.FixtureRequest) -> Array:
    return AFFINES[request.param]


def same(found: Any, expected: Any) -> bool:
    """Equal to a millionth of a mm (files keep so many digits)."""
    return bool(np.allclose(found, expected, rtol=0, atol=1e-5))


def sitk_affine(image: Any) -> Array:
    """IJK → RAS of an ITK geometry by the library's own arithmetic: where it puts the first voxels."""
    at = [np.array(image.TransformIndexToPhysicalPoint(list(index))) for index in
          ([0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1])]  # fmt: skip
    lps = np.eye(4)
    lps[:3, 3] = at[0]
    lps[:3, :3] = np.stack([each - at[0] for each in at[1:]], axis=1)
    found: Array = np.diag([-1, -1, 1, 1]) @ lps
    return found


# -- SimpleITK ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "extension"),
    [("oblique", "nrrd"), ("oblique", "nii.gz"), ("oblique", "mha"), ("straight", "nrrd"), ("flipped", "nii.gz")],
)
def test_what_sitk_wrote_is_the_same_image_by_way_of_slicer(
    slicer: sn.Session, tmp_path: Path, kind: str, extension: str
) -> None:
    affine = AFFINES[kind]
    image = SimpleITK.GetImageFromArray(block())
    lps = np.diag([-1, -1, 1]) @ affine[:3, :3]
    image.SetOrigin((np.diag([-1, -1, 1]) @ affine[:3, 3]).tolist())
    image.SetSpacing(SPACING.tolist())
    image.SetDirection((lps / SPACING).reshape(-1).tolist())
    path = str(tmp_path / f"image.{extension}")
    SimpleITK.WriteImage(image, path)
    original = SimpleITK.ReadImage(path)
    # Slicer's reader turns left-handed voxels around (ForceRightHandedIJKCoordinateSystem): by SimpleITK's own slicing.
    read = original[:, :, ::-1] if kind == "flipped" else original
    volume = slicer.load(path)
    found = volume.to_sitk()
    assert found.GetPixelID() == read.GetPixelID()
    assert found.GetSize() == read.GetSize()
    assert np.array_equal(SimpleITK.GetArrayFromImage(found), SimpleITK.GetArrayFromImage(read))
    assert same(found.GetOrigin(), read.GetOrigin())
    assert same(found.GetSpacing(), read.GetSpacing())
    assert same(found.GetDirection(), read.GetDirection())
    assert same(sitk_affine(found), sitk_affine(read))
    # And back: as the reader of Slicer puts it; and as it was written.
    again = slicer.add_volume(read, name="again")
    assert same(again.affine, volume.affine)
    assert np.array_equal(again.array, volume.array)
    whole = slicer.add_volume(original, name="whole")
    assert same(whole.affine, affine)
    assert np.array_equal(whole.array, block())


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_stays(slicer: sn.Session, dtype: str) -> None:
    array = block(dtype)
    volume = slicer.add_volume(array, oblique(), show=False)
    for image in (volume.to_sitk(), volume.to_nibabel(), volume.to_xarray()):
        again = slicer.add_volume(image, show=False)
        assert again.dtype == array.dtype
        assert np.array_equal(again.array, array)
        assert np.allclose(again.affine, oblique(), rtol=0, atol=1e-12)
    if dtype in ("int8", "int64"):
        with pytest.raises(errors.ArrayError, match=f"itk package.*\n.*\n.*{dtype}"):
            volume.to_itk()
        return
    again = slicer.add_volume(volume.to_itk(), show=False)
    assert again.dtype == array.dtype
    assert np.array_equal(again.array, array)
    assert np.allclose(again.affine, oblique(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "components"), [("uint8", 3), ("uint8", 4), ("float32", 3), ("int16", 2)])
def test_components_stay(slicer: sn.Session, dtype: str, components: int) -> None:
    array = block(dtype, components)
    volume = slicer.add_volume(array, oblique(), show=False)
    image = volume.to_sitk()
    assert (image.GetDimension(), image.GetNumberOfComponentsPerPixel()) == (3, components)
    assert image.GetPixel(1, 2, 3) == tuple(array[3, 2, 1].tolist())
    nifti = volume.to_nibabel()
    if dtype == "uint8":
        assert nifti.shape == (7, 6, 5)
        assert nifti.dataobj[1, 2, 3].tolist() == tuple(array[3, 2, 1].tolist())
    else:
        assert nifti.shape == (7, 6, 5, 1, components)
        assert np.asarray(nifti.dataobj)[1, 2, 3, 0].tolist() == array[3, 2, 1].tolist()
    table = volume.to_xarray()
    assert table.sel(k=3, j=2, i=1).values.tolist() == array[3, 2, 1].tolist()
    for each in (image, nifti, table, volume.to_itk()):
        again = slicer.add_volume(each, show=False)
        assert np.array_equal(again.array, array)
        assert again.dtype == array.dtype
        assert again.class_name == "vtkMRMLVectorVolumeNode"
        assert np.allclose(again.affine, oblique(), rtol=0, atol=1e-12)


def test_a_sheared_volume_is_refused_by_name_and_kept_where_it_can_be(slicer: sn.Session, tmp_path: Path) -> None:
    sheared = oblique()
    sheared[:3, 2] += 0.4 * sheared[:3, 0]
    volume = slicer.add_volume(block(), sheared, show=False)
    for convert in (volume.to_sitk, volume.to_itk):
        with pytest.raises(errors.ArrayError, match="sheared") as caught:
            convert()
        assert "to_nibabel" in str(caught.value)
    image = volume.to_nibabel()
    assert np.array_equal(image.affine, volume.affine)
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (0, 2)
    image.to_filename(tmp_path / "sheared.nii")
    assert same(nibabel.load(tmp_path / "sheared.nii").affine, sheared)
    assert np.allclose(slicer.add_volume(image, show=False).affine, sheared, rtol=0, atol=1e-12)
    assert np.allclose(slicer.add_volume(volume.to_xarray(), show=False).affine, sheared, rtol=0, atol=1e-12)


# -- nibabel -----------------------------------------------------------------------------------------------------------


def test_what_nibabel_wrote_is_the_same_image_by_way_of_slicer(
    slicer: sn.Session, tmp_path: Path, affine: Array
) -> None:
    path = tmp_path / "image.nii.gz"
    written = nibabel.Nifti1Image(block("float32").T, affine)
    written.to_filename(path)
    original = nibabel.load(path)
    left_handed = np.linalg.det(affine[:3, :3]) < 0
    # As Slicer's reader does it.
    read = original.as_reoriented(np.array([[0, 1], [1, 1], [2, -1]])) if left_handed else original
    volume = slicer.load(path)
    found = volume.to_nibabel()
    assert same(found.affine, read.affine)
    assert found.get_data_dtype() == read.get_data_dtype()
    assert np.array_equal(np.asarray(found.dataobj), np.asarray(read.dataobj))
    assert same(found.header.get_zooms(), SPACING)
    assert same(slicer.add_volume(read).affine, volume.affine)
    assert np.array_equal(slicer.add_volume(read).array, volume.array)
    whole = slicer.add_volume(original)
    assert same(whole.affine, affine)
    assert np.array_equal(whole.array, block("float32"))
    # As a file, too: by nibabel and by SimpleITK.
    found = whole.to_nibabel()
    found.to_filename(tmp_path / "found.nii.gz")
    again = nibabel.load(tmp_path / "found.nii.gz")
    assert same(again.affine, affine)
    assert same(again.get_sform(), affine)
    assert same(again.get_qform(), affine)
    assert (int(again.header["sform_code"]), int(again.header["qform_code"])) == (2, 2)
    assert again.header.get_xyzt_units() == ("mm", "unknown")
    assert same(sitk_affine(SimpleITK.ReadImage(str(tmp_path / "found.nii.gz"))), affine)


def test_a_nifti_in_metres_scaled_and_big_endian_is_taken_in_mm(slicer: sn.Session) -> None:
    metres = oblique()
    metres[:3] /= 1000
    image = nibabel.Nifti1Image(block().T.astype(">i2"), metres)
    image.header.set_xyzt_units("meter")
    volume = slicer.add_volume(image, show=False)
    assert np.allclose(volume.affine, oblique(), rtol=0, atol=1e-9)
    assert volume.dtype == np.int16
    assert np.array_equal(volume.array, block())


def test_a_colour_nifti_file_is_read_back(slicer: sn.Session, tmp_path: Path) -> None:
    array = block("uint8", 3)
    slicer.add_volume(array, oblique(), show=False).to_nibabel().to_filename(tmp_path / "colours.nii")
    read = SimpleITK.ReadImage(str(tmp_path / "colours.nii"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(read), array)
    again = slicer.add_volume(nibabel.load(tmp_path / "colours.nii"), show=False)
    assert np.array_equal(again.array, array)


def test_an_image_of_four_axes_is_no_volume(slicer: sn.Session) -> None:
    four = np.zeros((4, 5, 6, 7), np.float32)
    for image in (nibabel.Nifti1Image(four, np.eye(4)), SimpleITK.GetImageFromArray(four, isVector=False)):
        with pytest.raises(errors.ArrayError, match="no volume"):
            slicer.add_volume(image)
    one = nibabel.Nifti1Image(four[..., :1], np.eye(4))
    assert slicer.add_volume(one, show=False).shape == (6, 5, 4)


# -- ITK ---------------------------------------------------------------------------------------------------------------


def test_what_itk_writes_and_reads_is_the_same_image(slicer: sn.Session, tmp_path: Path, affine: Array) -> None:
    source = slicer.add_volume(block(), affine, "source", show=False)
    itk.imwrite(source.to_itk(), str(tmp_path / "image.nrrd"))
    read = itk.imread(str(tmp_path / "image.nrrd"))
    assert same(sitk_affine(read), affine)
    assert np.array_equal(itk.array_from_image(read), block())
    found = source.to_itk()
    assert type(found) is type(read)
    assert same(found.GetOrigin(), read.GetOrigin())
    assert same(found.GetSpacing(), read.GetSpacing())
    assert same(itk.array_from_matrix(found.GetDirection()), itk.array_from_matrix(read.GetDirection()))
    again = slicer.add_volume(read, show=False)
    assert same(again.affine, affine)
    assert np.array_equal(again.array, block())


def test_a_colour_image_of_itk_has_rgb_pixels(slicer: sn.Session, tmp_path: Path) -> None:
    array = block("uint8", 3)
    image = slicer.add_volume(array, oblique(), show=False).to_itk()
    assert list(image.GetPixel([1, 2, 3])) == array[3, 2, 1].tolist()
    itk.imwrite(image, str(tmp_path / "colours.mha"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "colours.mha"))), array)


# -- xarray ------------------------------------------------------------------------------------------------------------


def test_coordinates_are_mm_where_the_axes_are_straight(slicer: sn.Session) -> None:
    affine = straight("PSL")
    table = slicer.add_volume(block(), affine, "CT", show=False).to_xarray()
    assert (table.dims, table.name, table.shape) == (("k", "j", "i"), "CT", (5, 6, 7))
    assert [table[dim].attrs["axis"] for dim in "ijk"] == ["A", "S", "R"]
    # The voxel's own place, by the affine.
    right, anterior, superior, _ = affine @ [4, 2, 3, 1]
    assert float(table.sel(k=right, j=superior, i=anterior, method="nearest")) == block()[3, 2, 4]
    assert np.allclose([table["i"][4], table["j"][2], table["k"][3]], [anterior, superior, right])
    assert table.attrs["affine"] == affine.tolist()
    tilted = slicer.add_volume(block(), oblique(), show=False).to_xarray()
    assert tilted["k"].attrs == {"units": "voxel"}
    assert tilted["k"].values.tolist() == [0, 1, 2, 3, 4]


def test_a_data_array_comes_back_whole(slicer: sn.Session, affine: Array) -> None:
    source = slicer.add_volume(block() % 3, affine, "labels", labelmap=True, show=False)
    table = source.to_xarray()
    again = slicer.add_volume(table.transpose("i", "k", "j"), show=False)
    assert np.array_equal(again.affine, source.affine)
    assert np.array_equal(again.array, block() % 3)
    assert again.is_labelmap
    assert again.name.startswith("labels")


def test_a_part_of_a_data_array_lies_where_it_lay(slicer: sn.Session, affine: Array) -> None:
    table = slicer.add_volume(block(), affine, show=False).to_xarray()
    part = table.isel(k=slice(1, 4), j=slice(None, None, -2), i=slice(3, None))
    volume = slicer.add_volume(part, show=False)
    assert np.array_equal(volume.array, block()[1:4, ::-2, 3:])
    # Its voxel (i, j, k) = (1, 2, 1) was (4, 1, 2).
    assert block()[2, 1, 4] == volume.array[1, 2, 1]
    assert np.allclose(volume.affine @ [1, 2, 1, 1], affine @ [4, 1, 2, 1], rtol=0, atol=1e-9)
    one = slicer.add_volume(table.isel(k=slice(2, 3)), show=False)
    assert np.allclose(one.affine @ [0, 0, 0, 1], affine @ [0, 0, 2, 1], rtol=0, atol=1e-9)


def test_data_arrays_that_say_no_place_are_refused(slicer: sn.Session) -> None:
    table = slicer.add_volume(block(), straight(), show=False).to_xarray()
    for wrong, words in (
        (table.isel(k=0), "dimensions"),
        (table.rename(k="z"), "dimensions"),
        (table.isel(k=[0, 1, 4]), "not even"),
        (table.drop_vars("k"), "coordinate 'k'"),
        (table.assign_attrs(affine=[1, 2, 3]), "4x4"),
    ):
        with pytest.raises(errors.ArrayError, match=words):
            slicer.add_volume(wrong)
    # By the coordinates alone, which say their axis.
    bare = xarray.DataArray(table.values, coords=table.coords, dims=table.dims)
    assert np.allclose(slicer.add_volume(bare, show=False).affine, straight(), rtol=0, atol=1e-9)
    with pytest.raises(errors.ArrayError, match="how thick"):
        slicer.add_volume(bare.isel(k=slice(2, 3)))
    # Nothing known of a place: as an array.
    plain = xarray.DataArray(block(), dims=("k", "j", "i"))
    assert np.array_equal(slicer.add_volume(plain, show=False).affine, np.eye(4))
    assert np.allclose(slicer.add_volume(plain, oblique(), show=False).affine, oblique(), rtol=0, atol=1e-12)


# -- all ---------------------------------------------------------------------------------------------------------------


def test_a_volume_is_an_image_as_well(slicer: sn.Session) -> None:
    volume = slicer.add_volume(block(), oblique(), "first", show=False)
    other = slicer.add_volume(volume, show=False)
    assert other != volume
    assert np.array_equal(other.affine, volume.affine)
    assert np.array_equal(other.array, block())


def test_numpy_and_dlpack_take_the_voxels(slicer: sn.Session) -> None:
    volume = slicer.add_volume(block(), oblique(), show=False)
    assert np.array_equal(np.asarray(volume), block())
    assert np.asarray(volume, dtype=np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.asarray(volume, copy=False)
    given = np.from_dlpack(volume)
    assert np.array_equal(given, block())
    assert given.dtype == np.int16


@pytest.mark.parametrize(
    ("module", "method", "package"),
    [("SimpleITK", "to_sitk", "SimpleITK"), ("itk", "to_itk", "itk"), ("nibabel", "to_nibabel", "nibabel"),
     ("xarray", "to_xarray", "xarray")],
)  # fmt: skip
def test_a_library_that_is_not_there_is_named(
    slicer: sn.Session, monkeypatch: pytest.MonkeyPatch, module: str, method: str, package: str
) -> None:
    import importlib

    volume = slicer.add_volume(block(), None, show=False)
    real = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name == module:
            raise builtins.ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(errors.PackageNotInstalledError) as caught:
        getattr(volume, method)()
    assert f"pip install {package}" in str(caught.value)
