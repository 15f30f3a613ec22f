"""A camera of a 3-D view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.cards import Card, Fact
from slicer_notebook.session.handles import Node, floats

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session

__all__ = ["Camera", "camera_of"]

Side = Literal["right", "left", "posterior", "anterior", "inferior", "superior"]


class Camera(Node):
    """The camera of a 3-D view: where it is, and where it looks to. Whoever moves it moves what a person sees."""

    mrml_class = "vtkMRMLCameraNode"
    _summary = "camera.info"

    def _info(self, what: str) -> Any:
        return self._session.call("camera.info", node=self)[what]

    def set(
        self,
        *,
        position: Sequence[float] | None = None,
        focal_point: Sequence[float] | None = None,
        view_up: Sequence[float] | None = None,
        view_angle: float | None = None,
        parallel: bool | None = None,
        parallel_scale: float | None = None,
    ) -> None:
        """Change several of its properties in one step; what is ``None`` stays.

        Raises:
            ArgumentError: numbers that do not fit; the camera would be where it looks to, or look along ``view_up``.
        """

        def three(value: Sequence[float] | None, what: str) -> tuple[float, ...] | None:
            return None if value is None else tuple(floats(value, what).tolist())

        self._session.call(
            "camera.set",
            node=self,
            position=three(position, "position"),
            focal_point=three(focal_point, "focal point"),
            view_up=three(view_up, "direction"),
            view_angle=view_angle,
            parallel=parallel,
            parallel_scale=parallel_scale,
        )

    @property
    def position(self) -> Array:
        """Where it is, float64 [3], RAS, mm, in the world. Settable."""
        return np.array(self._info("position"))

    @position.setter
    def position(self, value: Sequence[float]) -> None:
        self.set(position=value)

    @property
    def focal_point(self) -> Array:
        """Where it looks to, float64 [3], RAS, mm, in the world. Settable."""
        return np.array(self._info("focal_point"))

    @focal_point.setter
    def focal_point(self, value: Sequence[float]) -> None:
        self.set(focal_point=value)

    @property
    def view_up(self) -> Array:
        """What is up in the picture, unit vector, float64 [3], RAS. Settable, of any length but 0."""
        return np.array(self._info("view_up"))

    @view_up.setter
    def view_up(self, value: Sequence[float]) -> None:
        self.set(view_up=value)

    @property
    def view_angle(self) -> float:
        """Degrees, from the bottom to the top of the picture. Settable, 0 to 180."""
        return float(self._info("view_angle"))

    @view_angle.setter
    def view_angle(self, value: float) -> None:
        self.set(view_angle=value)

    @property
    def parallel(self) -> bool:
        """Whether parallel lines stay parallel (an orthographic projection). Settable."""
        return bool(self._info("parallel"))

    @parallel.setter
    def parallel(self, value: bool) -> None:
        self.set(parallel=value)

    @property
    def parallel_scale(self) -> float:
        """Half the picture's height, mm, where it is `parallel`. Settable."""
        return float(self._info("parallel_scale"))

    @parallel_scale.setter
    def parallel_scale(self, value: float) -> None:
        self.set(parallel_scale=value)

    @property
    def view(self) -> str:
        """Name of its 3-D view; "" when it has none."""
        return str(self._info("view"))

    def look_from(self, side: Side) -> None:
        """Go around the focal point, at the same distance, to a side of the patient.

        Args:
            side: "right", "left", "posterior", "anterior", "inferior" or "superior".

        Raises:
            ArgumentError: another word.
        """
        self._session.call("camera.look_from", node=self, side=side)

    def _card(self, summary: dict[str, Any]) -> Card:
        along = np.subtract(summary["focal_point"], summary["position"])
        facts: list[Fact] = [
            ("position", _ras(summary["position"]) + " mm"),
            ("looks to", _ras(summary["focal_point"]) + f" mm, {np.linalg.norm(along):.1f} mm away"),
            ("up", _ras(summary["view_up"], 3)),
            (
                "projection",
                f"parallel, {2 * summary['parallel_scale']:.1f} mm high"
                if summary["parallel"]
                else f"perspective, {summary['view_angle']:.1f}°",
            ),
        ]
        return Card(facts + ([("view", summary["view"])] if summary["view"] else []))


def _ras(values: Sequence[float], digits: int = 1) -> str:
    return ", ".join(f"{axis} {value:.{digits}f}" for axis, value in zip("RAS", values, strict=True))


def camera_of(session: Session, view: str) -> Camera:
    """The camera of a 3-D view.

    Args:
        view: its name, such as "1"; "3D" is the first one.

    Raises:
        ViewNotFoundError: no such view in the present layout.
        ArgumentError: a slice view.
    """
    found: Camera = session.call("camera.of_view", name=view)
    return found
