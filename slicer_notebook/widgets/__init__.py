"""What a person sees in the notebook: the study picker, the form of PACS, series, headers, pictures of views, jobs.

All are written against `Session` alone, on anywidget: their JavaScript and CSS are files of this package and need no
JupyterLab build. What the browser shows comes from traits that only this side sets and from custom messages; what the
person does comes as custom messages. So no trait is written by both ends, and no state waits for a kernel that is busy.
"""

from __future__ import annotations

from slicer_notebook.session.dicom import Dicom
from slicer_notebook.session.igtl import Devices
from slicer_notebook.session.job import Job
from slicer_notebook.widgets.compare import Compare
from slicer_notebook.widgets.gateways_panel import GatewaysPanel
from slicer_notebook.widgets.header_tree import HeaderTree
from slicer_notebook.widgets.igtl_devices import IgtlDevices
from slicer_notebook.widgets.job_progress import JobProgress
from slicer_notebook.widgets.layout_selector import LayoutSelector
from slicer_notebook.widgets.live_layout import LiveLayout
from slicer_notebook.widgets.live_view import LiveView
from slicer_notebook.widgets.markups_table import MarkupsTable
from slicer_notebook.widgets.node_selector import NodeSelector
from slicer_notebook.widgets.pacs_query import PacsQuery
from slicer_notebook.widgets.scene_tree import SceneTree
from slicer_notebook.widgets.segment_editor_panel import SegmentEditorPanel
from slicer_notebook.widgets.segment_table import SegmentTable
from slicer_notebook.widgets.sequence_slider import SequenceSlider
from slicer_notebook.widgets.series_thumbnails import SeriesThumbnails
from slicer_notebook.widgets.slice_controller import SliceController
from slicer_notebook.widgets.study_picker import StudyPicker
from slicer_notebook.widgets.view_thumbnails import ViewThumbnails
from slicer_notebook.widgets.volume_rendering_panel import VolumeRenderingPanel
from slicer_notebook.widgets.window_level import WindowLevel

__all__ = [
    "Compare",
    "GatewaysPanel",
    "HeaderTree",
    "IgtlDevices",
    "JobProgress",
    "LayoutSelector",
    "LiveLayout",
    "LiveView",
    "MarkupsTable",
    "NodeSelector",
    "PacsQuery",
    "SceneTree",
    "SegmentEditorPanel",
    "SegmentTable",
    "SequenceSlider",
    "SeriesThumbnails",
    "SliceController",
    "StudyPicker",
    "ViewThumbnails",
    "VolumeRenderingPanel",
    "WindowLevel",
]

Job.display = JobProgress
Dicom.header_display = HeaderTree
Devices.display = IgtlDevices
