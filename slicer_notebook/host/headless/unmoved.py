"""What a view is like, kept and put back: for pictures of something else than what a person looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["keep_camera", "keep_composite", "keep_slice"]

#: The layers of a slice view (vtkMRMLSliceCompositeNode).
_LAYERS: Final = ("Background", "Foreground", "Label")
#: What else of it says how the layers are drawn over each other.
_DRAWN: Final = ("ForegroundOpacity", "LabelOpacity", "Compositing", "ClipToBackgroundVolume")
#: What of a vtkMRMLSliceNode is a vector.
_VECTORS: Final = (
    "Dimensions", "FieldOfView", "XYZOrigin", "UVWDimensions", "UVWExtents", "UVWOrigin", "PrescribedSliceSpacing",
)  # fmt: skip
#: And what is a number.
_NUMBERS: Final = (
    "SliceResolutionMode", "SliceSpacingMode", "UseLabelOutline", "SlabReconstructionEnabled",
    "SlabReconstructionType", "SlabReconstructionThickness",
)  # fmt: skip
#: What of a camera says what is seen; the clipping range is last, since the others may set it.
_CAMERA: Final = (
    "Position", "FocalPoint", "ViewUp", "ViewAngle", "ParallelProjection", "ParallelScale", "ClippingRange",
)  # fmt: skip


def keep_slice(node: Any) -> Callable[[], None]:
    """What puts a vtkMRMLSliceNode's plane, field of view and slab back as they are now."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    plane = vtkMatrix4x4()
    plane.DeepCopy(node.GetSliceToRAS())
    vectors = {name: getattr(node, f"Get{name}")() for name in _VECTORS}
    numbers = {name: getattr(node, f"Get{name}")() for name in _NUMBERS}

    def put_back() -> None:
        before = node.StartModify()
        node.GetSliceToRAS().DeepCopy(plane)
        for name, number in numbers.items():
            getattr(node, f"Set{name}")(number)
        for name, vector in vectors.items():
            getattr(node, f"Set{name}")(*vector)
        node.UpdateMatrices()
        node.EndModify(before)

    return put_back


def keep_composite(node: Any) -> Callable[[], None]:
    """What puts a vtkMRMLSliceCompositeNode's layers back as they are now."""
    volumes = {layer: getattr(node, f"Get{layer}VolumeID")() for layer in _LAYERS}
    drawn = {name: getattr(node, f"Get{name}")() for name in _DRAWN}

    def put_back() -> None:
        before = node.StartModify()
        for layer, number in volumes.items():
            getattr(node, f"Set{layer}VolumeID")(number)
        for name, value in drawn.items():
            getattr(node, f"Set{name}")(value)
        node.EndModify(before)

    return put_back


def keep_camera(node: Any, camera: Any) -> Callable[[], None]:
    """What puts a vtkMRMLViewNode's box and labels and a vtkCamera back as they are now."""
    shown = node.GetBoxVisible(), node.GetAxisLabelsVisible()
    seen = {name: getattr(camera, f"Get{name}")() for name in _CAMERA}

    def put_back() -> None:
        node.SetBoxVisible(shown[0])
        node.SetAxisLabelsVisible(shown[1])
        for name, value in seen.items():
            getattr(camera, f"Set{name}")(value)

    return put_back
