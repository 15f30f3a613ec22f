"""The segments of a segmentation, as handles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

import numpy as np

from slicer_notebook.errors import AmbiguousNameError, ItemNotFoundError, NodeNotFoundError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session.attributes import OwnAttributesOnly

if TYPE_CHECKING:
    from pathlib import Path

    from slicer_notebook.session.models import Model
    from slicer_notebook.session.segmentations import Segmentation
    from slicer_notebook.session.volumes import Volume

__all__ = ["Code", "Segment", "Segments", "Terminology", "terminology_argument", "terminology_in_words"]


class Code(NamedTuple):
    """A coded concept (DICOM PS3.3, 8.8), such as ``Code("SCT", "10200004", "Liver")``."""

    scheme: str
    value: str
    meaning: str


class Terminology(NamedTuple):
    """What a segment is, as DICOM segmentations say it (PS3.3, C.8.20.4).

    Attributes:
        category: Segmented Property Category, such as "Anatomical Structure".
        type: Segmented Property Type, such as "Liver".
        type_modifier: such as "Left".
        region: Anatomic Region.
        region_modifier: its modifier.
    """

    category: Code
    type: Code
    type_modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None

    def __str__(self) -> str:
        """In words, such as "Kidney, Left"."""
        parts = [self.type, self.type_modifier, self.region, self.region_modifier]
        return ", ".join(each.meaning for each in parts if each is not None)


def _terminology(codes: dict[str, Sequence[str]]) -> Terminology | None:
    if not {"category", "type"} <= codes.keys():
        return None
    return Terminology(**{name: Code(*code) for name, code in codes.items()})


def terminology_in_words(codes: dict[str, Sequence[str]]) -> str:
    """What a segment is, such as "Kidney, Left"; "" where nothing is said."""
    found = _terminology(codes)
    return "" if found is None else str(found)


def terminology_argument(value: Any) -> Any:
    """A terminology as commands take it."""
    if isinstance(value, Terminology):
        return {name: list(code) for name, code in value._asdict().items() if code is not None}
    if isinstance(value, dict):
        return {name: None if code is None else list(code) for name, code in value.items()}
    return value


#: Facts that are attributes of a segment and keys of its dict.
_KEYS: Final = ("id", "name", "color", "terminology")


class Segment(OwnAttributesOnly):
    """A segment of a segmentation. Its attributes are read from Slicer when they are asked for.

    It can be read as a dict of ``id``, ``name``, ``color`` and ``terminology`` (Slicer's text) as well.

    Attributes:
        id: unique in the segmentation; stays when the segment is renamed.
        segmentation: whose it is.
    """

    def __init__(self, segmentation: Segmentation, key: str, name: str) -> None:
        self._segmentation = segmentation
        self._id = key
        self._name = name

    @property
    def id(self) -> str:
        """Unique in the segmentation; stays when the segment is renamed."""
        return self._id

    @property
    def segmentation(self) -> Segmentation:
        """Whose it is."""
        return self._segmentation

    def _facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self._segmentation._call("segment", segment=self._id)
        self._name = found["name"]
        return found

    def _change(self, **what: Any) -> None:
        self._segmentation._call("change_segment", segment=self._id, **what)

    @property
    def name(self) -> str:
        """Its name now. Settable."""
        return str(self._facts()["name"])

    @name.setter
    def name(self, value: str) -> None:
        self._change(name=value)
        self._name = value

    @property
    def color(self) -> tuple[float, float, float]:
        """r, g, b, 0 to 1. Settable. Raises `ArgumentError`."""
        red, green, blue = self._facts()["color"]
        return float(red), float(green), float(blue)

    @color.setter
    def color(self, value: Sequence[float]) -> None:
        self._change(color=tuple(float(part) for part in value))

    @property
    def visible(self) -> bool:
        """Whether it is shown where its segmentation is. Settable."""
        return bool(self._facts()["visible"])

    @visible.setter
    def visible(self, value: bool) -> None:
        self._change(visible=bool(value))

    @property
    def opacity(self) -> float:
        """Of fill, outline and surface at once, 0 to 1: setting it sets all three, reading it gives that of the fill.

        What is seen is this times the segmentation's own (``segmentation.opacity_fill``, 0.5 at first, and so on).
        """
        return self.opacity_fill

    @opacity.setter
    def opacity(self, value: float) -> None:
        self._change(opacity=float(value))

    @property
    def opacity_fill(self) -> float:
        """Of the fill in slice views, 0 to 1. Settable. Raises `ArgumentError`."""
        return float(self._facts()["opacity_fill"])

    @opacity_fill.setter
    def opacity_fill(self, value: float) -> None:
        self._change(opacity_fill=float(value))

    @property
    def opacity_outline(self) -> float:
        """Of the outline in slice views, 0 to 1. Settable. Raises `ArgumentError`."""
        return float(self._facts()["opacity_outline"])

    @opacity_outline.setter
    def opacity_outline(self, value: float) -> None:
        self._change(opacity_outline=float(value))

    @property
    def opacity_3d(self) -> float:
        """Of the surface in 3-D views, 0 to 1. Settable. Raises `ArgumentError`."""
        return float(self._facts()["opacity_3d"])

    @opacity_3d.setter
    def opacity_3d(self, value: float) -> None:
        self._change(opacity_3d=float(value))

    @property
    def terminology(self) -> Terminology | None:
        """What it is, in codes; None where nothing is said.

        Settable: a `Terminology`, a dict of its fields with (scheme, value, meaning) each, or the meaning of a type
        that Slicer knows, such as "Liver". The colour stays. Raises `ArgumentError`.
        """
        return _terminology(self._facts()["codes"])

    @terminology.setter
    def terminology(self, value: Terminology | dict[str, Any] | str) -> None:
        self._change(terminology=terminology_argument(value))

    # -- voxels and surface --------------------------------------------------------------------------------------

    def mask(self, reference: Volume | None = None) -> Array:
        """`Segmentation.mask` of this segment."""
        return self._segmentation.mask(self._id, reference)

    def set_mask(self, mask: Any, reference: Volume | None = None, affine: Any = None) -> None:
        """Give it new voxels; the other segments keep theirs.

        Args:
            mask: bool or whole numbers [k, j, i], inside is not 0.
            reference: the volume in whose grid it is.
            affine: IJK → RAS of the mask, 4x4, mm, in the segmentation's own coordinates; with neither, it is in the
                segmentation's grid.

        Raises:
            ArrayError: a shape, dtype or affine that does not fit.
        """
        self._segmentation._call(
            "set_mask", segment=self._id, mask=np.asanyarray(mask), reference=reference, affine=affine
        )

    def surface(self, smoothing: float | None = None) -> tuple[Array, Array]:
        """`Segmentation.surface` of this segment."""
        return self._segmentation.surface(self._id, smoothing)

    def to_model(self, smoothing: float | None = None) -> Model:
        """`Segmentation.to_models` of this segment."""
        [found] = self._segmentation.to_models([self._id], smoothing)
        return found

    def save(self, path: str | Path) -> Path:
        """Write this segment alone: `Segmentation.save`, but not as .seg.nrrd."""
        return self._segmentation._save(path, [self._id])

    def remove(self) -> None:
        """Remove it from the segmentation."""
        self._segmentation._call("remove_segment", segment=self._id)

    def move(self, index: int) -> None:
        """Give it another place in the order, from 0; where segments overlap, the later one is drawn on top.

        Raises:
            ArgumentError: no such place.
        """
        self._segmentation._call("move_segment", segment=self._id, index=index)

    # -- as a dict -----------------------------------------------------------------------------------------------

    def keys(self) -> tuple[str, ...]:
        """Keys that it has as a dict."""
        return _KEYS

    def __getitem__(self, key: str) -> Any:
        """A fact, as a dict of it has it."""
        if key not in _KEYS:
            raise KeyError(key)
        return self._id if key == "id" else self._facts()[key]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Segment) and (self._id, self._segmentation) == (other._id, other._segmentation)

    def __hash__(self) -> int:
        return hash((self._id, self._segmentation))

    def __repr__(self) -> str:
        return f"<Segment {self._name!r} ({self._id})>"


class Segments(Sequence[Segment]):
    """The segments of a segmentation as they were when they were asked for, in their order.

    ``segments[0]`` is the first one, ``segments["liver"]`` the one of that name or id. ``"liver" in segments``.
    """

    def __init__(self, segmentation: Segmentation, facts: Sequence[dict[str, Any]]) -> None:
        self._segmentation = segmentation
        self._all = [Segment(segmentation, each["id"], each["name"]) for each in facts]
        self._names = [str(each["name"]) for each in facts]
        self._colors = [tuple(float(part) for part in each["color"]) for each in facts]

    @property
    def names(self) -> list[str]:
        """Names, in the order of the segments."""
        return list(self._names)

    @overload
    def __getitem__(self, key: int | str) -> Segment: ...
    @overload
    def __getitem__(self, key: slice) -> list[Segment]: ...
    def __getitem__(self, key: int | str | slice) -> Segment | list[Segment]:
        """By number, id or name; a slice gives a list.

        Raises:
            ItemNotFoundError: no such number.
            NodeNotFoundError: no such id or name.
            AmbiguousNameError: several segments are called so.
        """
        if isinstance(key, slice):
            return self._all[key]
        if isinstance(key, str):
            return self._by_name(key)
        try:
            return self._all[key]
        except IndexError:
            raise ItemNotFoundError(
                f"There is no segment {key}.", expected=f"0 to {len(self._all) - 1}", got=str(key)
            ) from None

    def _by_name(self, key: str) -> Segment:
        for each in self._all:
            if each.id == key:
                return each
        found = [each for each, name in zip(self._all, self._names, strict=True) if name == key]
        if len(found) > 1:
            raise AmbiguousNameError(
                f"{len(found)} segments are called {key!r}.",
                expected="a unique name or an id",
                got=", ".join(each.id for each in found[:8]),
                hint="use the id",
            )
        if not found:
            raise NodeNotFoundError(
                f"Segmentation {self._segmentation._ref.name!r} has no segment {key!r}.",
                expected="a segment's id or name",
                got=repr(key),
                hint="there are: " + (", ".join(self._names[:12]) or "none"),
            )
        return found[0]

    def __contains__(self, key: object) -> bool:
        """Whether there is a segment of that id or name, or this very segment."""
        if isinstance(key, str):
            return key in self._names or any(each.id == key for each in self._all)
        return key in self._all

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"<Segments: {', '.join(map(repr, self._names)) or 'none'}>"
