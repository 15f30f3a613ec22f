"""Drive 3D Slicer from a Jupyter notebook.

>>> import slicer_notebook as sn
>>> slicer = sn.launch()  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What Slicer reports are log records, not noise in the cell: without a handler Python would print them there.
logging.getLogger(__name__).addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from slicer_notebook import errors, testing
    from slicer_notebook.commands.context import progress
    from slicer_notebook.pacs.kheops import Kheops
    from slicer_notebook.session import (
        DicomWarning,
        Image,
        Job,
        Lightbox,
        Node,
        Session,
        Volume,
        VolumeSequence,
        connect,
        launch,
        sessions,
    )
    from slicer_notebook.widgets import (
        Compare,
        GatewaysPanel,
        HeaderTree,
        IgtlDevices,
        LayoutSelector,
        LiveLayout,
        LiveView,
        MarkupsTable,
        NodeSelector,
        PacsQuery,
        SceneTree,
        SegmentEditorPanel,
        SegmentTable,
        SequenceSlider,
        SeriesThumbnails,
        SliceController,
        StudyPicker,
        ViewThumbnails,
        VolumeRenderingPanel,
        WindowLevel,
    )

#: Public name → module that defines it. Imported at first use: the Slicer end has no ipywidgets to import.
_EXPORTS = {
    "Compare": "slicer_notebook.widgets",
    "DicomWarning": "slicer_notebook.session",
    "GatewaysPanel": "slicer_notebook.widgets",
    "HeaderTree": "slicer_notebook.widgets",
    "IgtlDevices": "slicer_notebook.widgets",
    "Image": "slicer_notebook.session",
    "Job": "slicer_notebook.session",
    "Kheops": "slicer_notebook.pacs.kheops",
    "LayoutSelector": "slicer_notebook.widgets",
    "Lightbox": "slicer_notebook.session",
    "LiveLayout": "slicer_notebook.widgets",
    "LiveView": "slicer_notebook.widgets",
    "MarkupsTable": "slicer_notebook.widgets",
    "Node": "slicer_notebook.session",
    "NodeSelector": "slicer_notebook.widgets",
    "PacsQuery": "slicer_notebook.widgets",
    "SceneTree": "slicer_notebook.widgets",
    "SegmentEditorPanel": "slicer_notebook.widgets",
    "SegmentTable": "slicer_notebook.widgets",
    "SequenceSlider": "slicer_notebook.widgets",
    "SeriesThumbnails": "slicer_notebook.widgets",
    "Session": "slicer_notebook.session",
    "SliceController": "slicer_notebook.widgets",
    "StudyPicker": "slicer_notebook.widgets",
    "ViewThumbnails": "slicer_notebook.widgets",
    "Volume": "slicer_notebook.session",
    "VolumeRenderingPanel": "slicer_notebook.widgets",
    "VolumeSequence": "slicer_notebook.session",
    "WindowLevel": "slicer_notebook.widgets",
    "connect": "slicer_notebook.session",
    "errors": "",
    "launch": "slicer_notebook.session",
    "pacs": "",
    "progress": "slicer_notebook.commands.context",
    "sessions": "slicer_notebook.session",
    "testing": "",
}

__all__ = [
    "Compare",
    "DicomWarning",
    "GatewaysPanel",
    "HeaderTree",
    "IgtlDevices",
    "Image",
    "Job",
    "Kheops",
    "LayoutSelector",
    "Lightbox",
    "LiveLayout",
    "LiveView",
    "MarkupsTable",
    "Node",
    "NodeSelector",
    "PacsQuery",
    "SceneTree",
    "SegmentEditorPanel",
    "SegmentTable",
    "SequenceSlider",
    "SeriesThumbnails",
    "Session",
    "SliceController",
    "StudyPicker",
    "ViewThumbnails",
    "Volume",
    "VolumeRenderingPanel",
    "VolumeSequence",
    "WindowLevel",
    "__version__",
    "connect",
    "errors",
    "launch",
    "pacs",
    "progress",
    "sessions",
    "testing",
]


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not module:
        return importlib.import_module(f"{__name__}.{name}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    if name in ("launch", "connect"):
        # Not before the session is imported whole: two threads in the middle of one package would wait for each other.
        _import_widgets_meanwhile()
    return value


def _import_widgets_meanwhile() -> None:
    """In a notebook: their third of a second passes while Slicer starts, not in the first cell that has one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:
        return

    def import_them() -> None:
        with contextlib.suppress(ImportError):
            importlib.import_module("slicer_notebook.widgets")

    threading.Thread(target=import_them, name="slicer-notebook-widgets-import", daemon=True).start()


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext slicer_notebook``: the ``%%slicer`` cell magic."""
    from slicer_notebook.session.magic import register

    register(shell)
