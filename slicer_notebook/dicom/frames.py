"""The planes of pixels that an instance holds: frames of multi-frame objects, tiles of mosaics, or the image itself.

From here on a plane is treated like the image of a single-frame instance, whatever kind of file it came from: it has
its own position, rescale, echo time and so on in the fields of its `Instance`.
"""

from __future__ import annotations

from slicer_notebook.dicom.enhanced import planes_of_enhanced
from slicer_notebook.dicom.mosaic import planes_of_siemens_mosaic, planes_of_uih_grid
from slicer_notebook.dicom.nested import UnreadableError
from slicer_notebook.dicom.planes import NotSplitError, Planes
from slicer_notebook.dicom.reasons import Reason
from slicer_notebook.dicom.records import Instance

__all__ = ["NotSplitError", "Planes", "planes_of"]


def planes_of(instance: Instance) -> Planes:
    """The planes of pixels in one SOP instance, in the order of the file.

    Headers are read again where the index does not hold what is needed; pixels are not read.

    Returns:
        A list with the instance itself when it is one plane already. What a user should be told is in ``warnings``.

    Raises:
        NotSplitError: the header lacks what is needed, or contradicts itself.
    """
    try:
        # Numaris X unpacks mosaics into enhanced objects, whose ImageType may still say MOSAIC.
        if instance.has_functional_groups:
            return planes_of_enhanced(instance)
        if instance.mosaic == "siemens":
            return planes_of_siemens_mosaic(instance)
        if instance.mosaic == "uih":
            return planes_of_uih_grid(instance)
    except UnreadableError as exc:
        reason = Reason.MOSAIC if instance.mosaic is not None else Reason.ENHANCED_MULTIFRAME
        raise NotSplitError(reason, f"its header cannot be read again ({exc})") from exc
    if (instance.NumberOfFrames or 1) > 1:
        raise NotSplitError(Reason.MULTIFRAME, f"{instance.NumberOfFrames} frames in one file")
    return Planes([instance])
