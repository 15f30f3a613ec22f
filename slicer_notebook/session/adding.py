"""What a session adds to the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slicer_notebook.session.markups import Markups
    from slicer_notebook.session.transforms import Transform
    from slicer_notebook.session.volumes import Volume

__all__ = ["Adding"]


class Adding:
    """Mixin of `Session`: ``add_volume`` and the like."""

    if TYPE_CHECKING:

        def call(self, command: str, /, **args: Any) -> Any:
            """`Session.call`."""

    def add_volume(
        self, array: Any, affine: Any = None, name: str = "Volume", *, labelmap: bool = False, show: bool = True
    ) -> Volume:
        """A new volume of an array.

        Args:
            array: [k, j, i] or [k, j, i, component].
            affine: 4x4 IJK → RAS, mm; 1 mm along R, A, S without it.
            name: made unique in the scene.
            labelmap: a label map instead of a scalar volume.
            show: show it in the slice views.

        Raises:
            ArrayError: a shape, dtype or affine that a volume cannot have.
        """
        import numpy as np

        found: Volume = self.call(
            "volume.add", array=np.asanyarray(array), affine=affine, name=name, labelmap=labelmap, show=show
        )
        return found

    def add_markups(self, points: Any, name: str = "Points", labels: list[str] | None = None) -> Markups:
        """A new point list; ``points`` [n, 3], RAS, mm. Raises `ArrayError`."""
        found: Markups = self.call("markups.add", points=points, name=name, labels=labels)
        return found

    def add_transform(self, matrix: Any = None, name: str = "Transform") -> Transform:
        """A new linear transform; ``matrix`` 4x4 to parent, RAS, mm. Raises `ArrayError`."""
        found: Transform = self.call("transform.add", matrix=matrix, name=name)
        return found
