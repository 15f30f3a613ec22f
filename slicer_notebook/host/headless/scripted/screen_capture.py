# ruff: noqa: N802, N803 - Slicer's names
"""``ScreenCapture``: pictures of views, of slice sweeps and of 3-D rotations into files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import slicer
from PIL import Image

from slicer_notebook.errors import ArgumentError
from slicer_notebook.host.headless import start

__all__ = ["AXIS_PITCH", "AXIS_YAW", "ScreenCaptureLogic"]

AXIS_YAW: Final = 0
AXIS_PITCH: Final = 1


class ScreenCaptureLogic:
    """The captures of Slicer's Screen Capture module; pictures have the views' own sizes."""

    def showViewControllers(self, _show: bool) -> None:
        """Pictures of the headless Slicer never show the bars."""

    def viewFromNode(self, node: Any) -> Any:
        """The view widget (`SliceView`, `ThreeDView`) of a view node. Raises `ArgumentError` for another node."""
        manager = slicer.app.layoutManager()
        if node is not None and node.IsA("vtkMRMLSliceNode"):
            return manager.sliceWidget(node.GetSingletonTag()).sliceView()
        widget = manager.threeDWidget(node) if node is not None and node.IsA("vtkMRMLViewNode") else None
        if widget is None:
            raise ArgumentError("That is no node of a view.", got=str(node.GetID() if node is not None else None))
        return widget.threeDView()

    def captureImageFromView(
        self, view: Any, filename: str, transparentBackground: bool = False, volumeNode: Any = None
    ) -> None:
        """Write a picture of ``view``, or of all views side by side for None, to ``filename``.

        Raises:
            ArgumentError: a transparent background or a volume node was asked for, which the headless Slicer cannot.
        """
        if transparentBackground or volumeNode is not None:
            raise ArgumentError(
                "Transparent pictures and pictures into volumes are not made here.",
                hint="take view.renderWindow() with vtkWindowToImageFilter",
            )
        self._write(self._all_views() if view is None else self._picture(view), filename)

    @staticmethod
    def _picture(view: Any) -> npt.NDArray[np.uint8]:
        picture: npt.NDArray[np.uint8] = view._view.image()
        return picture

    @staticmethod
    def _all_views() -> npt.NDArray[np.uint8]:
        """The layout's views in rows of two, each in a cell as large as the largest."""
        host = start()
        pictures = [host.view(name).image() for name in host.view_names()]
        height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
        columns = min(2, len(pictures))
        rows = -(-len(pictures) // columns)
        sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
        for index, picture in enumerate(pictures):
            row, column = divmod(index, columns)
            sheet[row * height :, column * width :][: picture.shape[0], : picture.shape[1]] = picture
        return sheet

    @staticmethod
    def _write(picture: npt.NDArray[np.uint8], filename: str) -> None:
        Image.fromarray(picture).save(filename)

    def captureSliceSweep(  # noqa: PLR0917 - Slicer's signature
        self,
        sliceNode: Any,
        startSliceOffset: float,
        endSliceOffset: float,
        numberOfImages: int,
        outputDir: str,
        outputFilenamePattern: str,
    ) -> None:
        """Pictures of a slice view at ``numberOfImages`` offsets (mm); the view is put back."""
        view = self.viewFromNode(sliceNode)
        logic = slicer.app.applicationLogic().GetSliceLogic(sliceNode)
        before = logic.GetSliceOffset()
        Path(outputDir).mkdir(parents=True, exist_ok=True)
        try:
            for index, offset in enumerate(np.linspace(startSliceOffset, endSliceOffset, numberOfImages)):
                logic.SetSliceOffset(float(offset))
                self.captureImageFromView(view, str(Path(outputDir) / (outputFilenamePattern % index)))
        finally:
            logic.SetSliceOffset(before)

    def capture3dViewRotation(  # noqa: PLR0917 - Slicer's signature
        self,
        viewNode: Any,
        startRotation: float,
        endRotation: float,
        numberOfImages: int,
        rotationAxis: int,
        outputDir: str,
        outputFilenamePattern: str,
    ) -> None:
        """Pictures of a 3-D view turned from ``startRotation`` to ``endRotation`` (degrees); the camera is put back."""
        view = self.viewFromNode(viewNode)
        camera = view.renderer().GetActiveCamera()
        before = camera.GetPosition(), camera.GetFocalPoint(), camera.GetViewUp()
        turn = camera.Azimuth if rotationAxis == AXIS_YAW else camera.Elevation
        Path(outputDir).mkdir(parents=True, exist_ok=True)
        try:
            for index, angle in enumerate(np.linspace(startRotation, endRotation, numberOfImages)):
                camera.SetPosition(*before[0])
                camera.SetFocalPoint(*before[1])
                camera.SetViewUp(*before[2])
                turn(float(angle))
                camera.OrthogonalizeViewUp()
                view.renderer().ResetCameraClippingRange()
                self.captureImageFromView(view, str(Path(outputDir) / (outputFilenamePattern % index)))
        finally:
            camera.SetPosition(*before[0])
            camera.SetFocalPoint(*before[1])
            camera.SetViewUp(*before[2])
            view.renderer().ResetCameraClippingRange()
