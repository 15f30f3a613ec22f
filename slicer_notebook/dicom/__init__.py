"""DICOM without Slicer and without a network: the local index, and what a series will become.

`Index` finds studies and series; `plan` says what a series' files will become before a pixel is read; `read` reads a
planned volume; `thumbnail` draws a series. Imports neither VTK nor Slicer.

>>> from slicer_notebook.dicom import Index, plan, read
>>> index = Index()
>>> index.add("/data/scans")  # doctest: +SKIP
>>> for series in index.series(Modality="CT"):  # doctest: +SKIP
...     for volume in plan(index.instances(series)).volumes:
...         data = read(volume)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slicer_notebook.dicom.ctk import SlicerDatabase, slicer_databases
    from slicer_notebook.dicom.ctk_add import SlicerAdditions, add_to_slicer
    from slicer_notebook.dicom.folders import data_folder
    from slicer_notebook.dicom.index import Index
    from slicer_notebook.dicom.load import SequenceData, VolumeData, read, read_sequence
    from slicer_notebook.dicom.planning import plan
    from slicer_notebook.dicom.plans import Quantity, Resampling, SequenceAxis, SequencePlan, SeriesPlan, VolumePlan
    from slicer_notebook.dicom.reasons import MEANING, Reason, Refusal
    from slicer_notebook.dicom.records import Conflict, IndexSummary, Instance, Series, Skipped, Study
    from slicer_notebook.dicom.split import Dimension
    from slicer_notebook.dicom.thumbnails import thumbnail

__all__ = [
    "MEANING",
    "Conflict",
    "Dimension",
    "Index",
    "IndexSummary",
    "Instance",
    "Quantity",
    "Reason",
    "Refusal",
    "Resampling",
    "SequenceAxis",
    "SequenceData",
    "SequencePlan",
    "Series",
    "SeriesPlan",
    "Skipped",
    "SlicerAdditions",
    "SlicerDatabase",
    "Study",
    "VolumeData",
    "VolumePlan",
    "add_to_slicer",
    "data_folder",
    "plan",
    "read",
    "read_sequence",
    "slicer_databases",
    "thumbnail",
]

#: Public name -> module that defines it. Imported at first use: a notebook needs the records only, not pydicom. No
#: module may have the name of something public: importing it would put the module in that thing's place.
_EXPORTS = {
    "SlicerAdditions": "ctk_add",
    "SlicerDatabase": "ctk",
    "add_to_slicer": "ctk_add",
    "slicer_databases": "ctk",
    "Conflict": "records",
    "Dimension": "split",
    "Index": "index",
    "IndexSummary": "records",
    "Instance": "records",
    "MEANING": "reasons",
    "Quantity": "plans",
    "Reason": "reasons",
    "Refusal": "reasons",
    "Resampling": "plans",
    "SequenceAxis": "plans",
    "SequenceData": "load",
    "SequencePlan": "plans",
    "Series": "records",
    "SeriesPlan": "plans",
    "Skipped": "records",
    "Study": "records",
    "VolumeData": "load",
    "VolumePlan": "plans",
    "data_folder": "folders",
    "plan": "planning",
    "read": "load",
    "read_sequence": "load",
    "thumbnail": "thumbnails",
}


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
