"""What a 3-D view shows, as glTF."""

from __future__ import annotations

import json

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ViewNotFoundError


@command("view.gltf", journal=False)
def gltf(host: Host, index: int = 0, box: bool = False) -> str:
    """The surfaces in a 3-D view as glTF 2.0 (JSON, all data inside), in RAS, mm. Volume rendering is none.

    Args:
        index: number of the 3-D view in the present layout.
        box: with the view's box and axis labels.

    Raises:
        ViewNotFoundError: no such view.
        RenderingError: nothing can be rendered where Slicer runs.
    """
    from vtkmodules.vtkIOExport import vtkGLTFExporter

    manager = host.slicer.app.layoutManager()
    if not 0 <= index < manager.threeDViewCount:
        raise ViewNotFoundError(
            "There is no such 3-D view.",
            expected=f"0 to {manager.threeDViewCount - 1}" if manager.threeDViewCount else "a layout with one",
            got=str(index),
        )
    widget = manager.threeDWidget(index)
    node = widget.mrmlViewNode()
    with host.hidden_view(node.GetLayoutName()).aside():
        node.SetBoxVisible(box)
        node.SetAxisLabelsVisible(box)
        window = widget.threeDView().renderWindow()
        # Actors are made while a view is drawn.
        window.Render()
        exporter = vtkGLTFExporter()
        exporter.InlineDataOn()
        exporter.SaveNormalOn()
        exporter.SetRenderWindow(window)
        return _without_nulls(str(exporter.WriteToString()))


def _without_nulls(text: str) -> str:
    """What there is none of is left out: VTK writes ``null`` for empty lists, which glTF's schema has not."""
    if ":null" not in text:
        return text
    whole = json.loads(text)
    return json.dumps({name: value for name, value in whole.items() if value is not None}, separators=(",", ":"))
