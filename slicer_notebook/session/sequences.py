"""The handle of a sequence of volumes: over time, echoes, b-values, phases."""

from __future__ import annotations

import html
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from slicer_notebook.commands.series_nodes import BASELINE
from slicer_notebook.errors import ArgumentError, ArrayError, ItemNotFoundError, SlicerNotebookError
from slicer_notebook.protocol.values import Array
from slicer_notebook.session import interop
from slicer_notebook.session.handles import Node
from slicer_notebook.session.volumes import Volume

if TYPE_CHECKING:
    import nibabel
    import SimpleITK
    import xarray

    from slicer_notebook.dicom.plans import SequenceAxis
    from slicer_notebook.session.headers import Header
    from slicer_notebook.session.images import Pictures

__all__ = ["VolumeSequence"]

#: Different values of an axis that are written out before it becomes "first to last".
_WRITTEN_OUT: Final = 6
_TIMES: Final = "\u00d7"
#: Units of time as NIfTI calls them.
_TIME_UNITS: Final = {"s": "sec", "ms": "msec"}


class VolumeSequence(Node):
    """Volumes of one geometry that differ in one thing: time, echo time, b-value, cardiac phase.

    ``len(s)`` volumes; ``s[n]`` is the voxels of one, ``s.array`` those of all. In the scene one volume, the proxy
    (`volume`), stands for the one that is shown (`index`).
    """

    mrml_class = "vtkMRMLSequenceNode"

    def _info(self) -> dict[str, Any]:
        found: dict[str, Any] = self._session.call("sequence.info", node=self)
        return found

    def _of_volumes(self, what: str) -> Any:
        info = self._info()
        if what not in info:
            raise ArgumentError(
                f"Sequence {self._ref.name!r} does not consist of volumes.",
                expected="a sequence of volumes",
                got=info["class_name"] or "an empty one",
            )
        return info[what]

    # -- voxels --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self._info()["count"])

    def __getitem__(self, key: int | slice) -> Array:
        """Voxels of one volume, [k, j, i(, component)], or of several, [t, k, j, i(, component)]: copies of your own.

        Raises:
            ItemNotFoundError: no such item (also an IndexError).
        """
        if isinstance(key, slice):
            return self.array[key]
        found: Array = self._session.call("sequence.item", node=self, number=self._number(key))
        return found

    def __iter__(self) -> Iterator[Array]:
        return (self[number] for number in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("The voxels are in Slicer: an array of them is always a copy.")
        return self.array if dtype is None else self.array.astype(dtype)

    def _number(self, key: Any) -> int:
        if isinstance(key, bool) or not isinstance(key, int | np.integer):
            raise ArgumentError("An item is found by its number.", expected="a whole number", got=repr(key))
        if key >= 0:
            return int(key)  # Slicer's end knows how many there are
        count = len(self)
        if key < -count:
            raise ItemNotFoundError(
                f"Sequence {self._ref.name!r} has no item {key}.", expected=f"{-count} to {count - 1}", got=str(key)
            )
        return int(key) + count

    @property
    def array(self) -> Array:
        """The voxels of all volumes, [t, k, j, i] (or [t, k, j, i, component]): a copy of your own.

        Raises:
            ArrayError: volumes of different shapes or dtypes, which only a sequence of other makers can have.
        """
        found: Array = self._session.call("sequence.array", node=self)
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """(t, k, j, i), or (t, k, j, i, components)."""
        info = self._info()
        return (int(info["count"]), *self._of_volumes("shape"))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The voxels' dtype."""
        dtype: np.dtype[Any] = np.dtype(self._of_volumes("dtype"))
        return dtype

    @property
    def affine(self) -> Array:
        """4x4 float64, IJK → RAS, mm: of each volume of the sequence."""
        found: Array = self._of_volumes("affine")
        return found

    @property
    def spacing(self) -> tuple[float, float, float]:
        """mm along i, j, k."""
        i, j, k = self._of_volumes("spacing")
        return float(i), float(j), float(k)

    @property
    def units(self) -> str:
        """What the voxels' values are, such as "Hounsfield unit"; "" when not known."""
        return str(self._of_volumes("units"))

    # -- the axis ------------------------------------------------------------------------------------------------

    @property
    def index_name(self) -> str:
        """What changes from volume to volume: "time", "echo time", "b-value"..."""
        return str(self._info()["index_name"])

    @property
    def unit(self) -> str:
        """Unit of `values`: "s", "ms", "s/mm2", "%"; "" when they have none."""
        return str(self._info()["unit"])

    @property
    def values(self) -> list[float | str]:
        """The axis' value of each volume, in `unit`."""
        found: list[float | str] = self._info()["values"]
        return found

    @property
    def axis(self) -> SequenceAxis:
        """Name, DICOM keyword, unit, values, and gradients **as DICOM has them: in LPS** (see `gradients`)."""
        from slicer_notebook.dicom.plans import SequenceAxis

        info = self._info()
        return SequenceAxis(
            name=info["index_name"],
            keyword=info["keyword"],
            unit=info["unit"],
            values=info["values"],
            gradients=info["gradients"],
        )

    def _diffusion(self, what: str, info: dict[str, Any] | None = None) -> Any:
        info = info or self._info()
        found = info[what]
        if found is None:
            raise ArgumentError(
                f"Sequence {self._ref.name!r} has no diffusion gradients.",
                expected="a diffusion sequence that was loaded from DICOM",
                got=f"volumes over {info['index_name'] or 'an unknown index'}",
            )
        return found

    @property
    def bvals(self) -> Array:
        """b-value of each volume, float64 [n], s/mm2. Raises `ArgumentError` for what is no diffusion sequence."""
        return np.array(self._diffusion("b_values"), dtype=np.float64)

    @property
    def gradients(self) -> Array:
        """Diffusion gradient directions, float64 [n, 3]: unit vectors in **RAS**, the frame of `affine`.

        DICOM's own (`axis`) are in LPS: R and A are their L and P negated. Zeros for a baseline (a b-value of up to 50
        without a direction), NaN where there is a weighting without a direction (a trace image). For FSL's bvecs, which
        are in voxel axes, turn them by the inverse of the affine's rotation.

        Raises:
            ArgumentError: this is no diffusion sequence.
        """
        info = self._info()
        bvals, directions = self._diffusion("b_values", info), self._diffusion("gradients", info)
        found = np.zeros((len(directions), 3))
        for number, direction in enumerate(directions):
            if direction is not None:
                found[number] = np.array(direction) * (-1.0, -1.0, 1.0) + 0.0
            elif bvals[number] > BASELINE:
                found[number] = np.nan
        return found

    # -- the scene -----------------------------------------------------------------------------------------------

    @property
    def volume(self) -> Volume:
        """The proxy: the volume of the scene that shows the volume of number `index`.

        What is written to it is gone with the next step: the sequence keeps what it has.
        """
        found: Volume = self._session.call("sequence.proxy", node=self)
        return found

    @property
    def index(self) -> int:
        """Number of the volume that is shown, from 0. Settable, also from the end (-1); the views follow."""
        return int(self._session.call("sequence.index", node=self))

    @index.setter
    def index(self, value: int) -> None:
        self._session.call("sequence.select", node=self, number=self._number(value))

    # -- playing -------------------------------------------------------------------------------------------------

    def _state(self, what: str) -> Any:
        return self._session.call("sequence.state", node=self)[what]

    def play(self, rate: float | None = None, loop: bool | None = None) -> None:
        """Have the volumes shown one after the other; this call does not wait, and cells can run meanwhile.

        Args:
            rate: volumes in a second, as before (10) without it. Volumes that come too late are left out.
            loop: begin anew after the last one, as before (yes) without it; else it stops, at the first one.

        Raises:
            ArgumentError: a rate that is not above 0 or above 100, or fewer than two volumes.
        """
        self._session.call("sequence.play", node=self, rate=rate, loop=loop)

    def stop(self) -> None:
        """Stop playing, at the volume that is shown."""
        self._session.call("sequence.play", node=self, playing=False)

    @property
    def playing(self) -> bool:
        """Whether it plays."""
        return bool(self._state("playing"))

    @property
    def rate(self) -> float:
        """Volumes in a second when it plays."""
        return float(self._state("rate"))

    # -- in the scene --------------------------------------------------------------------------------------------

    def show(self, visible: bool = True) -> Pictures:
        """Show the volume of number `index` in the slice views (or hide it); the views' pictures."""
        return self.volume.show(visible)

    def remove(self) -> None:
        """Remove the sequence from the scene, with its proxy and its browser."""
        self._session.call("sequence.remove", node=self)

    @property
    def dicom(self) -> Header:
        """Header of the first instance, without pixel data. Raises as `Volume.dicom`."""
        return self._session.dicom._header_of(self, str(self._info().get("instance", "")))

    # -- other libraries -----------------------------------------------------------------------------------------

    def _even(self) -> tuple[float, float] | None:
        """(first, step) of `values` where these are numbers at equal steps; None where they are not."""
        values = self.values
        numbers = [float(value) for value in values if isinstance(value, float | int)]
        if len(numbers) < len(values) or len(numbers) < 2:
            return None
        step = (numbers[-1] - numbers[0]) / (len(numbers) - 1)
        even = step > 0 and bool(np.allclose(np.diff(numbers), step, rtol=1e-3, atol=0))
        return (numbers[0], step) if even else None

    def to_nibabel(self) -> nibabel.Nifti1Image:
        """A NIfTI image of its own: data [i, j, k, t], affine IJK → RAS, mm, as `Volume.to_nibabel`.

        Where the values are times (s, ms) at equal steps, their distance is the fourth zoom and the first one the
        header's ``toffset``; the fourth zoom is 0 where there is no such step.

        Raises:
            ArrayError: volumes of different shapes or dtypes.
            PackageNotInstalledError: ``pip install nibabel``.
        """
        even, unit = self._even(), _TIME_UNITS.get(self.unit)
        first, step = even if even is not None and unit is not None else (0.0, 0.0)
        code = "scanner" if self._info().get("instance") else "aligned"
        return interop.to_nibabel(self.array, self.affine, code, step=step, unit=unit or "unknown", first=first)

    def to_sitk(self) -> SimpleITK.Image:
        """A SimpleITK image of four axes: the last one's origin and spacing are of `values`, in `unit`.

        Raises:
            ArrayError: a sheared affine, volumes of different shapes or dtypes, or values without equal steps, which an
                ITK image cannot hold.
            PackageNotInstalledError: ``pip install SimpleITK``.
        """
        even = self._even()
        if even is None:
            raise ArrayError(
                "A SimpleITK image cannot hold an axis without equal steps.",
                expected="two or more rising numbers at equal steps",
                got=axis_words(self._info()),
                hint="to_xarray() keeps the values; s[n] is the voxels of one volume",
            )
        return interop.sitk_of_sequence(self.array, self.affine, *even)

    def to_xarray(self) -> xarray.DataArray:
        """A labelled array [t, k, j, i(, component)]: coordinate t has `values`, the others as `Volume.to_xarray`.

        Raises:
            ArrayError: volumes of different shapes or dtypes.
            PackageNotInstalledError: ``pip install xarray``.
        """
        info = self._info()
        over = (info["index_name"], info["values"], info["unit"])
        return interop.to_xarray(self.array, self.affine, self.name, {"units": self.units}, over)

    # -- display -------------------------------------------------------------------------------------------------

    def _facts(self) -> list[tuple[str, str]]:
        """What a person wants to know of it, in words."""
        info = self._info()
        facts = [("volumes", f"{info['count']}, over {axis_words(info)}")]
        if "shape" in info:
            facts.append(("array", f"{times(info['count'], *info['shape'])} {info['dtype']}"))
            facts.append(("spacing", times(*(f"{step:.4g}" for step in info["spacing"])) + " mm"))
        if info.get("units"):
            facts.append(("values", info["units"]))
        if info["gradients"] is not None:
            known = sum(gradient is not None for gradient in info["gradients"])
            facts.append(("gradients", f"{known} directions; .gradients in RAS, .axis.gradients in LPS"))
        return facts

    def __repr__(self) -> str:
        try:
            facts = "; ".join(f"{words}" for _, words in self._facts())
        except SlicerNotebookError:
            return super().__repr__()  # a lost Slicer, or a node that is gone
        return f"<VolumeSequence {self._ref.name!r}: {facts} ({self._ref.id})>"

    def _repr_html_(self) -> str:
        try:
            facts = self._facts()
            picture = self._strip() if dict(facts).get("array") else ""
        except SlicerNotebookError:
            return html.escape(super().__repr__())
        warnings = (self.attributes.get("slicer_notebook.warnings") or "").splitlines()
        rows = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td style='text-align:left'>{html.escape(words)}</td></tr>"
            for name, words in [*facts, *(("warning", text) for text in warnings)]
        )
        return f"<strong>{html.escape(self._ref.name)}</strong>{picture}<table>{rows}</table>"

    def _strip(self) -> str:
        """Middle slices of some volumes, side by side, as an image element."""
        png: bytes = self._session.call("sequence.strip", node=self)
        data = b64encode(png).decode("ascii")
        return f'<br><img alt="Middle slices of some volumes" src="data:image/png;base64,{data}">'


def times(*parts: object) -> str:
    """Sizes with multiplication signs between them."""
    return f" {_TIMES} ".join(str(part) for part in parts)


def axis_words(info: dict[str, Any]) -> str:
    """An axis in words: "time, 0 to 12 s", "b-value, 0 (x2), 1000 (x30) s/mm2".

    Args:
        info: ``index_name`` (or ``name``), ``unit``, ``values``.
    """
    values = info["values"]
    name = info.get("index_name") or info.get("name") or "an index"
    unit = f" {info['unit']}" if info["unit"] else ""
    counted = Counter(values)
    if not values:
        return str(name)
    if len(counted) <= _WRITTEN_OUT:
        parts = [_text(value) + (f" ({_TIMES}{count})" if count > 1 else "") for value, count in counted.items()]
        return f"{name}, {', '.join(parts)}{unit}"
    return f"{name}, {_text(values[0])} to {_text(values[-1])}{unit}"


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
