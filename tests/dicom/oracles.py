"""Independent readers, asked for the same series: dcm2niix, SimpleITK, GDCM and pydicom; and how to compare.

An array never travels without its affine: readers stack in different directions and turn rows round. Two volumes are
the same if every voxel of each has a voxel of the other at its place, with its value (`assert_same`); a plane is in a
volume if each of its pixels is (`assert_plane_in`).

Where these readers are known to be wrong by the standard is said beside them; tests say what they rely on.
"""

from __future__ import annotations

import subprocess
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pydicom

__all__ = [
    "Reading",
    "assert_plane_in",
    "assert_same",
    "difference",
    "pydicom_planes",
    "with_dcm2niix",
    "with_gdcm",
    "with_simpleitk",
]

Array = npt.NDArray[Any]

#: Readers write positions with few digits (NIfTI's affine is float32), which adds up over the slices, mm.
MM = 0.01
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Reading(NamedTuple):
    """What a reader made of a series, or of part of it."""

    #: [k, j, i], [t, k, j, i], and [..., 3] if in colour
    array: Array
    #: 4x4, IJK to RAS, mm
    affine: Array
    name: str = ""
    colour: bool = False

    @property
    def volumes(self) -> Array:
        """[t, k, j, i(, 3)]"""
        return self.array if self.array.ndim == (5 if self.colour else 4) else self.array[None]


# -- comparing ---------------------------------------------------------------------------------------------------------


def _grid_map(ours: Reading, theirs: Reading, mm: float) -> tuple[list[int], list[bool]] | str:
    """The axis of theirs that each axis (i, j, k) of ours runs along, and whether backwards; or what differs."""
    shapes = [reading.volumes.shape[3:0:-1] for reading in (ours, theirs)]
    to_theirs = np.linalg.solve(theirs.affine, ours.affine)
    whole = np.round(to_theirs[:3, :3]).astype(int)
    for axis in range(3):
        # An axis of one voxel has a direction, but no length that shows.
        if shapes[0][axis] == 1:
            free = [row for row in range(3) if not any(whole[row, other] for other in range(3) if other != axis)]
            whole[:, axis] = 0
            whole[free[:1], axis] = 1
    if not (np.all(np.abs(whole).sum(axis=0) == 1) and np.all(np.abs(whole).sum(axis=1) == 1)):
        return f"their axes do not run along ours:\n{to_theirs[:3, :3].round(3)}"
    axes = [int(np.flatnonzero(whole[:, axis])[0]) for axis in range(3)]
    backwards = [bool(whole[axes[axis], axis] < 0) for axis in range(3)]
    if tuple(shapes[1][axes[axis]] for axis in range(3)) != shapes[0]:
        return f"our grid is {shapes[0]} (i, j, k), theirs {tuple(shapes[1][axes[axis]] for axis in range(3))}"
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shapes[0]])).reshape(3, -1)
    partner = np.empty_like(corners)
    for axis in range(3):
        index = corners[axis]
        partner[axes[axis]] = shapes[0][axis] - 1 - index if backwards[axis] else index
    ones = np.ones((1, corners.shape[1]))
    away = (ours.affine @ np.vstack([corners, ones]) - theirs.affine @ np.vstack([partner, ones]))[:3]
    # Both grids are affine: no voxel is farther from its partner than the corners are from theirs.
    worst = float(np.linalg.norm(away, axis=0).max())
    return (axes, backwards) if worst <= mm else f"voxels are up to {worst:.4g} mm from theirs"


def difference(ours: Reading, theirs: Reading, *, mm: float = MM, values: float = 0.0) -> str | None:
    """What differs, or None: both hold the same values at the same places, at every time.

    Each voxel is compared with that of the other reader at its place, whichever way either runs through the volume;
    since the grids must match one to one, no voxel of either is left out.

    Args:
        mm: how far apart two voxels of one place may be.
        values: how far apart two values may be; 0 for integers, and where no rounding is to be expected.
    """
    found = _grid_map(ours, theirs, mm)
    if isinstance(found, str):
        return found
    axes, backwards = found
    a, b = ours.volumes, theirs.volumes
    if len(a) != len(b) or ours.colour != theirs.colour:
        return f"we have {a.shape}, they have {b.shape}"
    # Array axes are [t, k, j, i]: spatial axis n is array axis 3 - n.
    order = [0, *(3 - axes[2 - position] for position in range(3)), *([4] if ours.colour else [])]
    turned = b.transpose(order)
    turned = np.flip(turned, [3 - axis for axis in range(3) if backwards[axis]])
    if a.dtype.kind in "iub" and turned.dtype.kind in "iub" and not values:
        wrong = a != turned
    else:
        wrong = ~(np.abs(a.astype(np.float64) - turned.astype(np.float64)) <= values)
        wrong &= ~(np.isnan(a.astype(np.float64)) & np.isnan(turned.astype(np.float64)))
    if not wrong.any():
        return None
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {wrong.size} values differ; at {place} we have {a[place]}, they {turned[place]}"


def assert_same(ours: Reading, theirs: Reading, *, mm: float = MM, values: float = 0.0) -> None:
    """Fail, saying why, unless both hold the same values at the same places (`difference`)."""
    found = difference(ours, theirs, mm=mm, values=values)
    assert found is None, f"{ours.name!r} against {theirs.name!r}: {found}"


def assert_plane_in(volume: Reading, plane: Reading, *, mm: float = MM, values: float = 0.0) -> int:
    """Fail unless the plane ([1, j, i]) is a slice of the volume, at its place, with its values; its k."""
    there = np.linalg.solve(volume.affine, plane.affine @ [0, 0, 0, 1])
    k = round(float(there[2]))
    assert 0 <= k < volume.volumes.shape[1], f"{plane.name!r} would be slice {there[2]:.2f} of {volume.name!r}"
    affine = volume.affine.copy()
    affine[:, 3] += k * affine[:, 2]
    affine[:3, 2] = plane.affine[:3, 2]
    assert_same(Reading(volume.volumes[:, k : k + 1], affine, volume.name, volume.colour), plane, mm=mm, values=values)
    return k


# -- readers -----------------------------------------------------------------------------------------------------------


def _affine(cosines: Sequence[float], between: Sequence[float], position: Sequence[float]) -> Array:
    """IJK to RAS of one plane, from PS3.3 equation C.7.6.2.1-1; k along row x column, 1 mm."""
    lps = np.eye(4)
    row, column = np.array(cosines[:3], float), np.array(cosines[3:6], float)
    lps[:3, 0] = row * between[1]
    lps[:3, 1] = column * between[0]
    lps[:3, 2] = np.cross(row, column)
    lps[:3, 3] = position
    return LPS_TO_RAS @ lps


def _rescaled(stored: Array, slope: float, intercept: float) -> Array:
    whole = float(slope).is_integer() and float(intercept).is_integer() and stored.dtype.kind in "iub"
    return stored.astype(np.int64) * int(slope) + int(intercept) if whole else stored * float(slope) + intercept


def pydicom_planes(files: Iterable[Path | str]) -> list[Reading]:
    """The plane of each single-frame file, by pydicom: values after the linear rescale, geometry of the header."""
    planes = []
    for path in files:
        item = pydicom.dcmread(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = item.pixel_array
        colour = item.SamplesPerPixel > 1
        values = stored if colour else _rescaled(stored, item.get("RescaleSlope", 1), item.get("RescaleIntercept", 0))
        affine = _affine(item.ImageOrientationPatient, item.PixelSpacing, item.ImagePositionPatient)
        planes.append(Reading(values[None], affine, str(path), colour))
    return planes


def with_gdcm(files: Iterable[Path | str]) -> list[Reading]:
    """The planes of each file, by GDCM, which parses and decodes by itself.

    Grey values after the linear rescale; of multi-frame files GDCM knows one rescale only, and frame positions only
    where they follow the file's own spacing between slices.
    """
    import gdcm

    planes = []
    for path in files:
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read(), f"GDCM cannot read {path}"
        image = reader.GetImage()
        columns, rows = image.GetDimension(0), image.GetDimension(1)
        frames = image.GetDimension(2) if image.GetNumberOfDimensions() > 2 else 1
        form = image.GetPixelFormat()
        samples = form.GetSamplesPerPixel()
        kinds = {0: "u1", 1: "i1", 4: "u2", 5: "i2", 6: "u4", 7: "i4", 11: "f4", 12: "f8"}
        dtype = np.dtype(kinds[int(form.GetScalarType())])
        # GDCM gives its bytes as text with surrogates where they are none.
        raw = image.GetBuffer().encode("utf-8", errors="surrogateescape")
        stored = np.frombuffer(raw, dtype, frames * rows * columns * samples)
        stored = stored.reshape(frames, rows, columns, *([samples] if samples > 1 else []))
        values = stored if samples > 1 else _rescaled(stored, image.GetSlope(), image.GetIntercept())
        spacing = [image.GetSpacing(n) for n in range(3)]
        cosines = [image.GetDirectionCosines(n) for n in range(6)]
        first = np.array([image.GetOrigin(n) for n in range(3)])
        normal = np.cross(cosines[:3], cosines[3:])
        for frame in range(frames):
            affine = _affine(cosines, (spacing[1], spacing[0]), first + frame * spacing[2] * normal)
            planes.append(Reading(values[frame : frame + 1], affine, f"{path}#{frame}", samples > 1))
    return planes


def _by_series(folder: Path) -> dict[str, list[str]]:
    series: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            item = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"], force=True)
            series[str(item.get("SeriesInstanceUID", ""))].append(str(path))
    return series


def with_simpleitk(folder: Path) -> list[Reading]:
    """Each series of a folder, by SimpleITK's ImageSeriesReader on the files in GDCM's order.

    Wrong by the standard, and not ours to follow: it takes the first file's rescale type for all, drops the shear of a
    tilted gantry, spaces slices evenly whatever their positions, stacks what is repeated, applies the first frame's
    rescale to all frames of an enhanced file, and inverts MONOCHROME1 (C.7.6.3.1.2 is about display).
    """
    import SimpleITK

    found = []
    for uid, files in _by_series(folder).items():
        names = files
        if len(files) > 1:
            folders = {str(Path(path).parent) for path in files}
            listed = [
                name for each in folders for name in SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(each, uid)
            ]
            names = listed or files
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(names)
        reader.SetGlobalWarningDisplay(False)
        image = reader.Execute() if len(names) > 1 else SimpleITK.ReadImage(names[0])
        found.append(Reading(*_of_simpleitk(image), f"SimpleITK {uid}", image.GetNumberOfComponentsPerPixel() > 1))
    return found


def _of_simpleitk(image: Any) -> tuple[Array, Array]:
    import SimpleITK

    size = image.GetDimension()
    affine = np.eye(4)
    direction = np.eye(3)
    direction[:size, :size] = np.array(image.GetDirection()).reshape(size, size)[:3, :3]
    spacing = np.ones(3)
    spacing[:size] = image.GetSpacing()[:3]
    affine[:3, :3] = direction * spacing
    affine[:size, 3][:3] = image.GetOrigin()[:3]
    array = SimpleITK.GetArrayFromImage(image)
    return (array[None] if size == 2 else array), LPS_TO_RAS @ affine


def _is_philips(folder: Path) -> bool:
    path = next(path for path in sorted(folder.rglob("*")) if path.is_file())
    item = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Manufacturer"], force=True)
    return str(item.get("Manufacturer", "")).startswith("Philips")


def with_dcm2niix(folder: Path, out: Path) -> list[Reading]:
    """Each image that dcm2niix makes of a folder, what it has resampled (``_Eq``, ``_Tilt``) included.

    Told to use the header's rescale also for Philips (``-p n``), not the private "precise" one; it then applies one
    rescale to all slices, which for other makers it does not.

    Args:
        out: an empty folder for its files.
    """
    import dcm2niix
    import nibabel

    out.mkdir(parents=True, exist_ok=True)
    precise = "n" if _is_philips(folder) else "y"
    command = [dcm2niix.bin, "-b", "n", "-z", "n", "-p", precise, "-w", "2", "-f", "%s_%j", "-o", str(out), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = []
    for path in sorted(out.glob("*.nii")):
        image: Any = nibabel.load(path)
        data = np.asanyarray(image.dataobj)
        data = data.reshape((*data.shape, *[1] * (3 - data.ndim)))
        colour = data.dtype.names is not None
        # NIfTI's arrays are [i, j, k, t], and red, green, blue are fields of a voxel.
        array = np.stack([data[name] for name in data.dtype.names]).T if colour else data.T
        found.append(Reading(array, np.array(image.affine, np.float64), path.stem, colour))
    # It fails on folders without images (exit codes of its own); a crash is another thing.
    assert done.returncode >= 0, f"dcm2niix died of signal {-done.returncode}: {done.stdout}{done.stderr}"
    return found
