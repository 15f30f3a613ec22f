"""Volumes as images of other Python libraries, and back: SimpleITK, ITK, nibabel, xarray.

What an image needs is an array [k, j, i(, component)] and an affine (4x4, IJK → RAS, mm); the libraries' own frames:

- SimpleITK and ITK: LPS; origin, spacing and a direction of columns at right angles.
- nibabel: RAS, mm or what the header says, data [i, j, k]; any affine.
- xarray: dimensions k, j, i by name; the affine is an attribute.

Each library is imported when it is needed, and images are known by their type's module: nothing is imported to look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from slicer_notebook.errors import ArrayError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.extra import need

if TYPE_CHECKING:
    import itk
    import nibabel
    import SimpleITK
    import xarray

__all__ = [
    "Taken", "sitk_of_sequence", "take", "to_itk", "to_nibabel", "to_sitk", "to_xarray",
]  # fmt: skip

#: RAS ↔ LPS.
_FLIP: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
#: How far two axes' cosine may be from 0 before an affine is called sheared; ITK's own files have 6 to 7 digits.
_SQUARE: Final = 1e-5
#: The same of an axis that is called straight, where coordinates in mm are exact.
_STRAIGHT: Final = 1e-9
#: mm in NIfTI's units of length (nifti1.h, xyzt_units).
_MM: Final = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_DIMS: Final = ("k", "j", "i")
#: The affine's column of each.
_COLUMNS: Final = {"k": 2, "j": 1, "i": 0}


class Taken(NamedTuple):
    """What an image of another library says.

    Attributes:
        array: [k, j, i] or [k, j, i, component].
        affine: 4x4, IJK → RAS, mm; None where it has none.
        name: its name, or "".
        labelmap: whether it says that its values are labels.
    """

    array: Array
    affine: Array | None
    name: str = ""
    labelmap: bool = False


# -- geometry ----------------------------------------------------------------------------------------------------------


def _lps(affine: Array, library: str) -> tuple[Array, Array, Array]:
    """(origin [3], spacing [3], direction [3, 3]) in LPS, mm.

    Raises:
        ArrayError: the affine is sheared.
    """
    lps = _FLIP @ np.asarray(affine, dtype=np.float64)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    direction = lps[:3, :3] / spacing
    if not np.allclose(direction.T @ direction, np.eye(3), rtol=0, atol=_SQUARE):
        raise ArrayError(
            f"A {library} image cannot hold a sheared affine.",
            expected="axes at right angles",
            got=np.array2string(np.asarray(affine)[:3, :3], precision=4, separator=", ").replace("\n", ""),
            hint="to_nibabel() and to_xarray() keep it; dicom.load(..., rectify=True) resamples a tilted stack",
        )
    return lps[:3, 3], spacing, direction


def _ras(origin: Any, spacing: Any, direction: Any) -> Array:
    """4x4, IJK → RAS, mm, of an ITK geometry of two or three axes."""
    origin, spacing = np.asarray(origin, dtype=np.float64), np.asarray(spacing, dtype=np.float64)
    size = len(origin)
    affine = np.eye(4)
    affine[:size, :size] = np.asarray(direction, dtype=np.float64).reshape(size, size) * spacing
    affine[:size, 3] = origin
    found: Array = _FLIP @ affine
    return found


def _wrong_axes(what: str, axes: int) -> ArrayError:
    return ArrayError(
        f"This {what} is no volume.",
        expected="3 axes (2 for one slice)",
        got=f"{axes} axes",
        hint="add its volumes one by one",
    )


# -- SimpleITK ---------------------------------------------------------------------------------------------------------


def to_sitk(array: Array, affine: Array) -> SimpleITK.Image:
    """A SimpleITK image. Raises `ArrayError`, `PackageNotInstalledError`."""
    library = need("SimpleITK")
    origin, spacing, direction = _lps(affine, "SimpleITK")
    image: SimpleITK.Image = library.GetImageFromArray(array, isVector=array.ndim == 4)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.reshape(-1).tolist())
    return image


def sitk_of_sequence(array: Array, affine: Array, first: float, step: float) -> SimpleITK.Image:
    """A 4-D SimpleITK image of [t, k, j, i(, component)]; ``first`` and ``step``: origin and spacing of t."""
    library = need("SimpleITK")
    origin, spacing, direction = _lps(affine, "SimpleITK")
    image: SimpleITK.Image = library.GetImageFromArray(array, isVector=array.ndim == 5)
    whole = np.eye(4)
    whole[:3, :3] = direction
    image.SetOrigin([*origin.tolist(), first])
    image.SetSpacing([*spacing.tolist(), step])
    image.SetDirection(whole.reshape(-1).tolist())
    return image


def _from_sitk(image: Any) -> Taken:
    library = need("SimpleITK")
    size = image.GetDimension()
    if size not in (2, 3):
        raise _wrong_axes("SimpleITK image", size)
    if image.GetPixelIDTypeAsString().startswith("label"):
        raise ArrayError(
            "A SimpleITK label map of objects holds no voxels.",
            expected="an image",
            got=image.GetPixelIDTypeAsString(),
            hint="SimpleITK.Cast(image, SimpleITK.sitkUInt16)",
        )
    array = library.GetArrayFromImage(image)
    affine = _ras(image.GetOrigin(), image.GetSpacing(), image.GetDirection())
    return Taken(array if size == 3 else array[np.newaxis], affine)


# -- ITK ---------------------------------------------------------------------------------------------------------------


def to_itk(array: Array, affine: Array) -> itk.Image:
    """An ITK image over the array's memory. Raises `ArrayError`, `PackageNotInstalledError`."""
    library = need("itk")
    origin, spacing, direction = _lps(affine, "ITK")
    try:
        image = library.image_view_from_array(np.ascontiguousarray(array), is_vector=array.ndim == 4)
    except (KeyError, RuntimeError, TypeError) as exc:  # itk.TemplateTypeError is a TypeError
        raise ArrayError(
            "The itk package has no image of this kind.",
            expected="uint8, int16, uint16, int32, uint32, float32, float64"
            if array.ndim == 3
            else "components of uint8, int16, uint16, float32, float64",
            got=f"{array.dtype.name}" + (f", {array.shape[3]} components" if array.ndim == 4 else ""),
            hint="to_sitk() has images of all dtypes; or give v.array.astype(...) to itk.image_from_array",
        ) from exc
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(np.ascontiguousarray(direction))
    return image


def _from_itk(image: Any) -> Taken:
    library = need("itk")
    size = image.GetImageDimension()
    if size not in (2, 3):
        raise _wrong_axes("ITK image", size)
    array = np.asarray(library.array_from_image(image))
    direction = library.array_from_matrix(image.GetDirection())
    affine = _ras(list(image.GetOrigin()), list(image.GetSpacing()), direction)
    return Taken(array if size == 3 else array[np.newaxis], affine)


# -- nibabel -----------------------------------------------------------------------------------------------------------


def to_nibabel(
    array: Array, affine: Array, code: str, *, step: float | None = None, unit: str = "unknown", first: float = 0.0
) -> nibabel.Nifti1Image:
    """A NIfTI image of [k, j, i(, component)], or with ``step`` of [t, k, j, i(, component)].

    Args:
        code: of sform and qform, "scanner" or "aligned".
        step: distance of two volumes along t (pixdim[4]), 0 where it is not known or uneven.
        unit: of ``step`` and ``first`` in nibabel's words: "sec", "msec", "unknown".
        first: t of the first volume (toffset).

    Raises:
        PackageNotInstalledError: nibabel is not installed.
    """
    library = need("nibabel")
    over_time = step is not None
    data, intent = _nifti_data(array, over_time)
    image: Any = library.Nifti1Image(data, affine, dtype=data.dtype)
    # Without an update of the affine: the header's is of 32-bit numbers.
    image.set_sform(affine, code, update_affine=False)
    if _is_square(affine):
        image.set_qform(affine, code, update_affine=False)
    else:
        image.set_qform(None, 0, update_affine=False)
    header = image.header
    header.set_xyzt_units("mm", unit)
    if intent:
        header.set_intent(intent)
    if step is not None:
        header.set_zooms((*header.get_zooms()[:3], step, *([1.0] * (data.ndim - 4))))
        header["toffset"] = first
    found: nibabel.Nifti1Image = image
    return found


def _nifti_data(array: Array, over_time: bool) -> tuple[Array, str]:
    """(data [i, j, k(, t)(, component)], intent): NIfTI's axes, i fastest; nothing is copied."""
    spatial = 4 if over_time else 3
    if array.ndim == spatial:
        return array.T, ""
    components = array.shape[-1]
    if array.dtype == np.uint8 and components in (3, 4):
        colors = np.dtype([(name, "u1") for name in "RGBA"[:components]])
        return np.ascontiguousarray(array).view(colors)[..., 0].T, ""
    data = np.moveaxis(array, -1, 0).T
    return (data if over_time else data[:, :, :, np.newaxis]), "vector"


def _is_square(affine: Array) -> bool:
    columns = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.allclose(columns.T @ columns, np.eye(3), rtol=0, atol=_SQUARE))


def _from_nibabel(image: Any) -> Taken:
    data = np.asanyarray(image.dataobj)
    if data.dtype.names:  # RGB24, RGBA32
        components = len(data.dtype.names)
        data = np.ascontiguousarray(data).view(np.uint8).reshape(*data.shape, components)
    elif data.ndim == 5 and data.shape[3] == 1:
        data = data[:, :, :, 0]
    elif data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    elif data.ndim not in (2, 3):
        raise ArrayError(
            "This NIfTI image is no volume.",
            expected="data [i, j, k], or [i, j, k, 1, component]",
            got=f"shape {data.shape}",
            hint="add a volume of it: image.slicer[..., 0]",
        )
    if data.ndim == 2:
        data = data[:, :, np.newaxis]
    affine = np.array(image.affine, dtype=np.float64) if image.affine is not None else None
    units = getattr(image.header, "get_xyzt_units", lambda: ("mm",))()[0]
    if affine is not None:
        affine[:3] *= _MM.get(units, 1.0)
    return Taken(np.moveaxis(data, (2, 1, 0), (0, 1, 2)), affine)


# -- xarray ------------------------------------------------------------------------------------------------------------


def to_xarray(
    array: Array,
    affine: Array,
    name: str,
    attributes: dict[str, Any],
    over: tuple[str, list[float | str], str] | None = None,
) -> xarray.DataArray:
    """A DataArray of [k, j, i(, component)], or with ``over`` of [t, k, j, i(, component)].

    Args:
        attributes: besides ``affine`` and ``frame``.
        over: what t is: name, values, unit.

    Raises:
        PackageNotInstalledError: xarray is not installed.
    """
    library = need("xarray")
    first = 0 if over is None else 1
    dims = ("t", *_DIMS)[1 - first :] + (("component",) if array.ndim == 4 + first else ())
    sizes = dict(zip(dims, array.shape, strict=True))
    axes = {dim: _straight_axis(affine[:3, column]) for dim, column in _COLUMNS.items()}
    coords: dict[str, Any] = {}
    if over is not None:
        coords["t"] = ("t", over[1], {"long_name": over[0], "units": over[2]})
    for dim, axis in axes.items():
        numbers = np.arange(sizes[dim])
        if axis is None or None in axes.values():
            coords[dim] = (dim, numbers, {"units": "voxel"})
        else:
            places = affine[axis, 3] + affine[axis, _COLUMNS[dim]] * numbers
            coords[dim] = (dim, places, {"units": "mm", "axis": "RAS"[axis]})
    attrs = {"affine": np.asarray(affine).tolist(), "frame": "RAS", **attributes}
    found: xarray.DataArray = library.DataArray(array, coords=coords, dims=dims, name=name, attrs=attrs)
    return found


def _straight_axis(column: Array) -> int | None:
    """0, 1 or 2 for an axis along R, A or S; None for an oblique one."""
    axis = int(np.argmax(np.abs(column)))
    others = np.delete(column, axis)
    return axis if np.abs(others).max() <= _STRAIGHT * abs(column[axis]) else None


def _from_xarray(image: Any) -> Taken:
    missing = [dim for dim in _DIMS if dim not in image.dims]
    extra = [dim for dim in image.dims if dim not in (*_DIMS, "component")]
    if missing or extra:
        raise ArrayError(
            "These are not the dimensions of a volume.",
            expected="k, j, i, and perhaps component",
            got=", ".join(map(str, image.dims)),
            hint="take one volume, as da.isel(t=0), or a part that keeps its axis, as da.isel(k=slice(3, 4))",
        )
    ordered = image.transpose(*_DIMS, *(["component"] if "component" in image.dims else []))
    affine = _xarray_affine(ordered)
    return Taken(np.asarray(ordered.values), affine, str(image.name or ""), bool(image.attrs.get("labelmap", False)))


def _xarray_affine(image: Any) -> Array | None:
    """The attribute's, moved to the part that the coordinates say; of the coordinates alone where they say the axis."""
    stated = image.attrs.get("affine")
    if stated is None:
        return _affine_of_coordinates(image)
    affine = np.array(stated, dtype=np.float64)
    if affine.shape != (4, 4):
        raise ArrayError(
            "The affine of the DataArray does not fit.", expected="4x4 numbers", got=f"shape {affine.shape}"
        )
    part = np.eye(4)
    for dim, column in _COLUMNS.items():
        if dim not in image.coords:
            raise ArrayError(
                f"The DataArray has an affine, but no coordinate {dim!r} that says which voxels of it these are.",
                expected="coordinates as of v.to_xarray()",
                got=", ".join(map(str, image.coords)) or "none",
                hint="slicer.add_volume(da.values, affine)",
            )
        coordinate = image.coords[dim]
        places = np.asarray(coordinate.values, dtype=np.float64)
        if "axis" in coordinate.attrs:
            axis = "RAS".index(coordinate.attrs["axis"])
            places = (places - affine[axis, 3]) / affine[axis, column]
        part[column, 3], part[column, column] = _first_and_step(places, dim)
    found: Array = affine @ part
    return found


def _affine_of_coordinates(image: Any) -> Array | None:
    found = np.zeros((4, 4))
    found[3, 3] = 1
    for dim, column in _COLUMNS.items():
        coordinate = image.coords.get(dim)
        if coordinate is None or coordinate.attrs.get("axis") not in ("R", "A", "S"):
            return None
        if coordinate.size == 1:
            raise ArrayError(
                f"One coordinate of {dim} does not say how thick a voxel is.",
                expected="an attribute affine, or two coordinates",
                got=f"{float(coordinate.values[0])} mm",
                hint="slicer.add_volume(da, affine)",
            )
        axis = "RAS".index(coordinate.attrs["axis"])
        found[axis, 3], found[axis, column] = _first_and_step(np.asarray(coordinate.values, dtype=np.float64), dim)
    return found


def _first_and_step(places: Array, dim: str) -> tuple[float, float]:
    """Raises `ArrayError` for uneven ones."""
    if len(places) == 1:
        return float(places[0]), 1.0
    step = (places[-1] - places[0]) / (len(places) - 1)
    if step == 0 or not np.allclose(np.diff(places), step, rtol=0, atol=1e-6 * abs(step)):
        raise ArrayError(
            f"The coordinates of {dim} are not even.",
            expected="equal steps",
            got=np.array2string(places, threshold=6, precision=4),
            hint="interpolate it onto even ones: da.interp",
        )
    # What is whole but for rounding is whole: an untouched array keeps its affine to the last digit.
    first, step = float(places[0]), float(step)
    return (_whole(first), _whole(step))


def _whole(number: float) -> float:
    return float(round(number)) if abs(number - round(number)) < 1e-9 * max(1.0, abs(number)) else number


# -- any ---------------------------------------------------------------------------------------------------------------


def take(image: Any) -> Taken | None:
    """Array, affine and name of an image of one of these libraries, or of a `Volume`; None for anything else.

    Raises:
        ArrayError: an image that is no volume.
    """
    from slicer_notebook.session.volumes import Volume

    if isinstance(image, Volume):
        return Taken(image.array, image.affine, image.name, image.is_labelmap)
    modules = {each.__module__.partition(".")[0] for each in type(image).__mro__}
    for module, reader in (
        ("SimpleITK", _from_sitk),
        ("itk", _from_itk),
        ("nibabel", _from_nibabel),
        ("xarray", _from_xarray),
    ):
        if module in modules and _is_image(module, image):
            return reader(image)
    return None


def _is_image(module: str, image: Any) -> bool:
    """Whether it is the library's image: not its vectors, data sets, proxies of arrays (which numpy can read)."""
    needed = {
        "SimpleITK": "GetPixelIDTypeAsString",
        "itk": "GetLargestPossibleRegion",
        "nibabel": "dataobj",
        "xarray": "dims",
    }
    # itk's NDArrayITKBase is a numpy array already.
    return hasattr(image, needed[module]) and not isinstance(image, np.ndarray)
