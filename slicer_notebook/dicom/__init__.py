"""DICOM without Slicer and without a network: the local index, and what a series will become.

`Index` finds studies and series; `plan` says what a series' files will become before a pixel is read; `read` reads a
planned volume; `thumbnail` draws a series. Imports neither VTK nor Slicer.
"""

from slicer_notebook.dicom.index import Index, data_folder
from slicer_notebook.dicom.load import VolumeData, read
from slicer_notebook.dicom.plan import Reason, Refusal, SeriesPlan, VolumePlan, plan
from slicer_notebook.dicom.records import IndexSummary, Instance, Series, Skipped, Study
from slicer_notebook.dicom.split import Dimension
from slicer_notebook.dicom.thumbnails import thumbnail

__all__ = [
    "Dimension",
    "Index",
    "IndexSummary",
    "Instance",
    "Reason",
    "Refusal",
    "Series",
    "SeriesPlan",
    "Skipped",
    "Study",
    "VolumeData",
    "VolumePlan",
    "data_folder",
    "plan",
    "read",
    "thumbnail",
]
