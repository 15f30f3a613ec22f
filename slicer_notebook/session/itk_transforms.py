"""Transforms as SimpleITK has them, and back.

ITK's transforms are in LPS, and take points from the fixed image to the moving one: of a transform node, from its
parent's coordinates to those under it. A node's matrix is in RAS and goes to the parent: hence the inverse.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slicer_notebook.errors import ArgumentError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.extra import need

if TYPE_CHECKING:
    import SimpleITK

__all__ = ["affine", "displacement_field", "displacements_of", "is_sitk", "matrix_of", "of_file", "to_file"]

#: RAS ↔ LPS.
_FLIP: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_sitk(value: Any) -> bool:
    """Whether this is a SimpleITK transform; imports nothing."""
    return any(kind.__module__.partition(".")[0] == "SimpleITK" for kind in type(value).__mro__) and hasattr(
        value, "TransformPoint"
    )


def affine(to_parent: Array) -> SimpleITK.AffineTransform:
    """Of a node's matrix, 4x4, to parent, RAS, mm. Raises `PackageNotInstalledError`."""
    lps = _FLIP @ np.linalg.inv(to_parent) @ _FLIP
    made: SimpleITK.AffineTransform = need("SimpleITK").AffineTransform(3)
    made.SetMatrix(lps[:3, :3].ravel().tolist())
    made.SetTranslation(lps[:3, 3].tolist())
    return made


def displacement_field(array: Array, grid: Array) -> SimpleITK.DisplacementFieldTransform:
    """Of displacements from parent, [k, j, i, 3], mm, RAS, on a grid (4x4, IJK → RAS, mm, axes at right angles)."""
    library = need("SimpleITK")
    field = library.GetImageFromArray(np.asarray(array, dtype=np.float64) * (-1.0, -1.0, 1.0), isVector=True)
    lps = _FLIP @ np.asarray(grid, dtype=np.float64)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    field.SetSpacing(spacing.tolist())
    field.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    field.SetOrigin(lps[:3, 3].tolist())
    made: SimpleITK.DisplacementFieldTransform = library.DisplacementFieldTransform(field)
    return made


def matrix_of(transform: Any) -> Array | None:
    """A node's matrix, 4x4, to parent, RAS, mm, of a linear transform (also one of linear parts); None of others.

    Raises:
        ArgumentError: it is not of three dimensions, or cannot be inverted.
    """
    if transform.GetDimension() != 3:
        raise ArgumentError(
            "This transform does not fit.", expected="one of three dimensions", got=f"{transform.GetDimension()}"
        )
    if not transform.IsLinear():
        return None
    lps = np.eye(4)
    lps[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    for column in range(3):
        unit = np.zeros(3)
        unit[column] = 1.0
        lps[:3, column] = np.array(transform.TransformPoint(unit.tolist())) - lps[:3, 3]
    if abs(np.linalg.det(lps[:3, :3])) < 1e-12:
        raise ArgumentError("This transform cannot be inverted.", expected="a regular matrix", got=str(lps.tolist()))
    found: Array = _FLIP @ np.linalg.inv(lps) @ _FLIP
    return found


def displacements_of(transform: Any) -> tuple[Array, Array] | None:
    """(array [k, j, i, 3], mm, RAS; affine) of a ``DisplacementFieldTransform``; None of others."""
    library = need("SimpleITK")
    plain = transform.Downcast() if type(transform) is library.Transform else transform
    if not isinstance(plain, library.DisplacementFieldTransform):
        return None
    field = plain.GetDisplacementField()
    grid = np.eye(4)
    grid[:3, :3] = np.array(field.GetDirection()).reshape(3, 3) * np.array(field.GetSpacing())
    grid[:3, 3] = field.GetOrigin()
    return library.GetArrayFromImage(field) * (-1.0, -1.0, 1.0), _FLIP @ grid


def of_file(data: bytes) -> SimpleITK.Transform:
    """What SimpleITK reads from an .h5 file of a transform.

    Raises:
        ArgumentError: it holds inverses, which are Slicer's own and not ITK's.
    """
    library = need("SimpleITK")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transform.h5"
        path.write_bytes(data)
        try:
            found: SimpleITK.Transform = library.ReadTransform(str(path))
        except RuntimeError as exc:
            raise ArgumentError(
                "ITK has no such transform.",
                expected="a transform that is not the inverse of splines or of a grid",
                got=str(exc).strip().splitlines()[-1][:200],
                hint="displacements(volume) gives it on a volume's grid; add_transform() makes a grid of that",
            ) from None
    return found


def to_file(transform: Any) -> bytes:
    """What SimpleITK writes of a transform to an .h5 file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transform.h5"
        need("SimpleITK").WriteTransform(transform, str(path))
        return path.read_bytes()
