"""Servers to try things on: ``sn.testing.orthanc()`` starts a real PACS on this machine, while it is needed."""

from slicer_notebook.testing.caged import Caged, NoNamespaceError, free_port
from slicer_notebook.testing.pacs import Orthanc, orthanc, orthanc_program
from slicer_notebook.testing.rest import Rest, Uploaded

__all__ = ["Caged", "NoNamespaceError", "Orthanc", "Rest", "Uploaded", "free_port", "orthanc", "orthanc_program"]
