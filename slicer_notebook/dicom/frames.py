"""The planes of pixels that an instance holds: frames of multi-frame objects, tiles of mosaics, or the image itself.

From here on a plane is treated like the image of a single-frame instance, whatever kind of file it came from: it has
its own position, rescale, echo time and so on in the fields of its `Instance`.
"""

from __future__ import annotations

from slicer_notebook.dicom.cine import NUCLEAR, RT_IMAGE, ULTRASOUND, planes_of_cine, with_calibration
from slicer_notebook.dicom.enhanced import VOLUMETRIC, planes_of_enhanced
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
        if instance.has_functional_groups or instance.SOPClassUID in VOLUMETRIC:
            return planes_of_enhanced(instance)
        if instance.mosaic == "siemens":
            return planes_of_siemens_mosaic(instance)
        if instance.mosaic == "uih":
            return planes_of_uih_grid(instance)
        if (instance.NumberOfFrames or 1) > 1 or instance.SOPClassUID == NUCLEAR:
            return planes_of_cine(instance)
        if instance.SOPClassUID in ULTRASOUND or instance.SOPClassUID == RT_IMAGE:
            return with_calibration(instance)
    except UnreadableError as exc:
        reason = Reason.MULTIFRAME
        if instance.has_functional_groups:
            reason = Reason.ENHANCED_MULTIFRAME
        elif instance.mosaic is not None:
            reason = Reason.MOSAIC
        raise NotSplitError(reason, f"its header cannot be read again ({exc})") from exc
    return Planes([instance])
