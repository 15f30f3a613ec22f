"""Commands about models: surfaces."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import NodeLike, command
from slicer_notebook.errors import ArrayError
from slicer_notebook.protocol.values import Array


@command("model.points", journal=False)
def model_points(host: Host, node: NodeLike) -> Array:
    """The surface's points, float [n, 3], RAS, mm, in the node's own coordinates."""
    found = host.node(node, "vtkMRMLModelNode")
    _need_mesh(found)
    return np.array(host.slicer.util.arrayFromModelPoints(found))


@command("model.triangles", journal=False)
def model_triangles(host: Host, node: NodeLike) -> Array:
    """The surface's triangles, int64 [n, 3], indices into ``model.points``.

    Strips and polygons are cut into triangles.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkFiltersCore import vtkTriangleFilter

    found = host.node(node, "vtkMRMLModelNode")
    _need_mesh(found)
    triangles = vtkTriangleFilter()
    triangles.SetInputData(found.GetPolyData())
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    polygons = triangles.GetOutput().GetPolys()
    found_indices: Array = vtk_to_numpy(polygons.GetConnectivityArray())
    return found_indices.astype(np.int64).reshape(-1, 3)


def _need_mesh(node: Any) -> None:
    if node.GetPolyData() is None or node.GetPolyData().GetPoints() is None:
        raise ArrayError(f"Model {node.GetName()!r} has no surface.", expected="a model with points", got="none")
