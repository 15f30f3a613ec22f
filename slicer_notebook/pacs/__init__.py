"""Query and retrieve: DIMSE, DICOMweb and Kheops behind one interface, `Pacs`. No Slicer, no notebook.

>>> import slicer_notebook as sn
>>> sn.pacs.add("hospital", "dimse://PACS@pacs.example:11112", calling="ME", port=11113)  # doctest: +SKIP
>>> pacs = sn.pacs.open("hospital")  # doctest: +SKIP
>>> pacs.find(PatientName="Doe*").frame()  # doctest: +SKIP
>>> pacs.retrieve(study="1.2.3").result().complete  # doctest: +SKIP
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slicer_notebook.pacs.config import add, get, remove, servers
    from slicer_notebook.pacs.listening import Listening
    from slicer_notebook.pacs.matches import Matches
    from slicer_notebook.pacs.named import list, open, sign_in, sign_out, test  # noqa: A004 - `sn.pacs.open`
    from slicer_notebook.pacs.pacs import Pacs, Transfer
    from slicer_notebook.pacs.reports import Heard, Report, SeriesKept, SeriesReport
    from slicer_notebook.pacs.server import Learned, Server

__all__ = [
    "Heard",
    "Learned",
    "Listening",
    "Matches",
    "Pacs",
    "Report",
    "SeriesKept",
    "SeriesReport",
    "Server",
    "Transfer",
    "add",
    "get",
    "list",
    "open",
    "remove",
    "servers",
    "sign_in",
    "sign_out",
    "test",
]

#: Imported at first use: what asks a PACS needs pynetdicom and httpx, the package itself does not.
_EXPORTS = {
    "Heard": "reports",
    "Learned": "server",
    "Listening": "listening",
    "Matches": "matches",
    "Pacs": "pacs",
    "Report": "reports",
    "SeriesKept": "reports",
    "SeriesReport": "reports",
    "Server": "server",
    "Transfer": "pacs",
    "add": "config",
    "get": "config",
    "list": "named",
    "open": "named",
    "remove": "config",
    "servers": "config",
    "sign_in": "named",
    "sign_out": "named",
    "test": "named",
}


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


def __dir__() -> Any:
    return sorted(__all__)
