"""Files in and out: which reader takes which extension, what Slicer does after reading, and the writers.

In Slicer these are Qt plugins (qSlicer*Reader, qSlicerNodeWriter) of the modules; here they are plain functions.
"""

from .manager import IOManager

__all__ = ["IOManager"]
