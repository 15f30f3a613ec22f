"""Servers to try things on, on this machine, while they are needed.

``sn.testing.orthanc()`` starts a real PACS, ``sn.testing.kheops(orthanc)`` what plays Kheops in front of one.
"""

from slicer_notebook.testing.caged import Caged, NoNamespaceError, free_port
from slicer_notebook.testing.kheops_server import KheopsStandIn, kheops
from slicer_notebook.testing.pacs import Orthanc, orthanc, orthanc_program
from slicer_notebook.testing.rest import Rest, Uploaded

__all__ = [
    "Caged",
    "KheopsStandIn",
    "NoNamespaceError",
    "Orthanc",
    "Rest",
    "Uploaded",
    "free_port",
    "kheops",
    "orthanc",
    "orthanc_program",
]
