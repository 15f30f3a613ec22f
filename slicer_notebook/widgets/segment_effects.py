"""The effects of the segment editor as a person finds them: names, options, and the commands that they are."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, NamedTuple

from slicer_notebook.errors import ArgumentError

__all__ = ["BY_HAND", "EFFECTS", "Effect", "Option", "command_of", "defaults", "hand_options", "picks"]


@dataclass(frozen=True)
class Option:
    """Something that can be set of an effect.

    Attributes:
        name: in commands.
        title: for the person.
        kind: a ``length`` (mm) or ``number`` has a slider; an ``intensity`` has the volume's range; then ``choice``,
            ``segment`` (another one than the selected) and ``flag``.
        default: what it is at first; None: nothing yet.
        least: a number is not below it; above it where ``open``.
        most: the end of the slider; a typed number may be larger.
        step: of the slider.
        unit: of a number.
        choices: (value, title) of a choice.
        only: the option has a meaning only when the option of this name has one of these values.
    """

    name: str
    title: str
    kind: Literal["length", "number", "intensity", "choice", "segment", "flag"]
    default: Any = None
    least: float = 0.0
    most: float = 1.0
    step: float = 0.1
    unit: str = ""
    open: bool = True
    choices: tuple[tuple[str, str], ...] = ()
    only: tuple[str, tuple[str, ...]] | None = None

    def checked(self, value: Any) -> Any:
        """The value as commands take it. Raises `ArgumentError`."""
        if self.kind == "flag":
            return bool(value)
        if self.kind == "choice":
            values = [each for each, _ in self.choices]
            if value not in values:
                raise ArgumentError(f"{self.title}: no such choice.", expected=", ".join(values), got=repr(value))
            return value
        if self.kind == "segment":
            return None if value is None else str(value)
        number = float(value)
        bounded = self.kind != "intensity"
        if not math.isfinite(number) or (bounded and (number < self.least or (self.open and number == self.least))):
            expected = f"a number {'above' if self.open else 'from'} {self.least:g}" if bounded else "a finite number"
            raise ArgumentError(f"{self.title}: that does not fit.", expected=expected, got=repr(value))
        return number


class Effect(NamedTuple):
    """An effect.

    Attributes:
        name: of its command, ``segment_editor.NAME``.
        title, tip: for the person.
        options: what can be set.
        apply: what the button says that does it at once; "" for one that is done with the mouse.
    """

    name: str
    title: str
    tip: str
    options: tuple[Option, ...]
    apply: str = ""

    def words(self) -> dict[str, Any]:
        """For the browser."""
        return {**self._asdict(), "options": [asdict(each) for each in self.options]}


_BRUSH: Final = (
    Option("radius", "Radius", "length", 5.0, most=50.0, step=0.5, unit="mm"),
    Option("shape", "Shape", "choice", "circle", choices=(("circle", "Circle, on the slice"), ("sphere", "Sphere"))),
)
_KERNEL: Final = ("median", "opening", "closing")
_AT_A_POINT: Final = ("keep_selected", "add_selected", "remove_selected")
_AUTO: Final = (
    ("otsu", "Otsu"), ("huang", "Huang"), ("intermodes", "Intermodes"), ("isodata", "IsoData"),
    ("kittler_illingworth", "Kittler-Illingworth"), ("li", "Li"), ("maximum_entropy", "Maximum entropy"),
    ("moments", "Moments"), ("renyi_entropy", "Renyi entropy"), ("shanbhag", "Shanbhag"), ("triangle", "Triangle"),
    ("yen", "Yen"),
)  # fmt: skip

#: In the order of the palette, which is that of Slicer's.
EFFECTS: Final = (
    Effect("paint", "Paint", "Paint with a round brush.", _BRUSH),
    Effect("erase", "Erase", "Erase with a round brush.", _BRUSH),
    Effect("draw", "Draw", "Draw an outline on a slice; what is inside is filled.", ()),
    Effect(
        "scissors",
        "Scissors",
        "Draw an outline in any view, and cut straight through.",
        (
            Option(
                "operation",
                "Operation",
                "choice",
                "erase_inside",
                choices=(
                    ("erase_inside", "Erase inside"),
                    ("erase_outside", "Erase outside"),
                    ("fill_inside", "Fill inside"),
                    ("fill_outside", "Fill outside"),
                ),
            ),
            Option(
                "depth",
                "Cut",
                "choice",
                "unlimited",
                choices=(
                    ("unlimited", "Through all"),
                    ("positive", "From the slice on"),
                    ("negative", "Up to the slice"),
                    ("symmetric", "Around the slice"),
                ),
            ),
            Option(
                "thickness",
                "Thickness",
                "length",
                10.0,
                most=100.0,
                step=1.0,
                unit="mm",
                open=False,
                only=("depth", ("symmetric",)),
            ),
        ),
    ),
    Effect(
        "threshold",
        "Threshold",
        "All voxels of a range of intensities. Slice views show what it would take.",
        (
            Option("lower", "From", "intensity"),
            Option("upper", "To", "intensity"),
            Option("method", "Automatic", "choice", "otsu", choices=_AUTO),
            Option(
                "side", "Take", "choice", "above", choices=(("above", "What is brighter"), ("below", "What is darker"))
            ),
        ),
        "Apply",
    ),
    Effect(
        "grow_from_seeds",
        "Grow from seeds",
        "Grow all visible segments until they meet, where intensities change. Paint a little of each first.",
        (Option("locality", "Seed locality", "number", 0.0, most=10.0, step=0.1, open=False),),
        "Grow",
    ),
    Effect(
        "fill_between_slices",
        "Fill between slices",
        "Fill the gaps of all visible segments between the slices they are drawn on.",
        (),
        "Fill",
    ),
    Effect(
        "margin",
        "Margin",
        "Grow or shrink the segment on all sides.",
        (
            Option("way", "Operation", "choice", "grow", choices=(("grow", "Grow"), ("shrink", "Shrink"))),
            Option("size", "Margin", "length", 3.0, most=30.0, step=0.5, unit="mm"),
        ),
        "Apply",
    ),
    Effect(
        "hollow",
        "Hollow",
        "Make a shell of the segment.",
        (
            Option(
                "surface",
                "Present surface is",
                "choice",
                "outside",
                choices=(("inside", "The shell's inside"), ("medial", "Its middle"), ("outside", "Its outside")),
            ),
            Option("thickness", "Thickness", "length", 3.0, most=30.0, step=0.5, unit="mm"),
        ),
        "Apply",
    ),
    Effect(
        "smooth",
        "Smoothing",
        "Make the segment's surface smoother.",
        (
            Option(
                "method",
                "Method",
                "choice",
                "median",
                choices=(
                    ("median", "Median"),
                    ("opening", "Opening: remove what sticks out"),
                    ("closing", "Closing: fill what reaches in"),
                    ("gaussian", "Gaussian"),
                    ("joint", "Joint: all visible segments"),
                ),
            ),
            Option("kernel", "Kernel", "length", 3.0, most=30.0, step=0.5, unit="mm", only=("method", _KERNEL)),
            Option(
                "sigma",
                "Standard deviation",
                "length",
                3.0,
                most=20.0,
                step=0.5,
                unit="mm",
                only=("method", ("gaussian",)),
            ),
            Option("strength", "Strength", "number", 0.5, most=1.0, step=0.05, only=("method", ("joint",))),
        ),
        "Apply",
    ),
    Effect(
        "islands",
        "Islands",
        "Keep, remove or split what is not connected.",
        (
            Option(
                "operation",
                "Operation",
                "choice",
                "keep_largest",
                choices=(
                    ("keep_largest", "Keep the largest"),
                    ("remove_small", "Remove small ones"),
                    ("split", "Split into segments"),
                    ("keep_selected", "Keep the clicked one"),
                    ("add_selected", "Add the clicked one"),
                    ("remove_selected", "Remove the clicked one"),
                ),
            ),
            Option(
                "minimum",
                "Smallest to keep",
                "number",
                100.0,
                most=5000.0,
                step=10.0,
                unit="mm³",
                open=False,
                only=("operation", ("remove_small", "split")),
            ),
        ),
        "Apply",
    ),
    Effect(
        "logical",
        "Logical operators",
        "Combine the segment with another one; turn it over, empty it, fill it.",
        (
            Option(
                "operation",
                "Operation",
                "choice",
                "copy",
                choices=(
                    ("copy", "Copy another one"),
                    ("add", "Add another one"),
                    ("subtract", "Subtract another one"),
                    ("intersect", "Intersect with another one"),
                    ("invert", "Invert"),
                    ("clear", "Clear"),
                    ("fill", "Fill"),
                ),
            ),
            Option("other", "Other segment", "segment", only=("operation", ("copy", "add", "subtract", "intersect"))),
            Option("ignore_masks", "Ignore the masks", "flag", False),
        ),
        "Apply",
    ),
)

#: What `SegmentEditor.activate` knows: Slicer's views take part in it.
BY_HAND: Final = frozenset({"paint", "erase", "draw", "scissors", "threshold"})


def defaults() -> dict[str, dict[str, Any]]:
    """What all options are at first, by effect and name."""
    return {effect.name: {each.name: each.default for each in effect.options} for effect in EFFECTS}


def hand_options(effect: str, values: dict[str, Any]) -> dict[str, Any]:
    """Options for ``segment_editor.activate``."""
    if effect == "threshold":
        return {"lower": values["lower"], "upper": values["upper"]}
    return dict(values)


def picks(effect: str | None, values: dict[str, Any]) -> bool:
    """Whether it is done by a click on a slice."""
    return effect == "islands" and values["operation"] in _AT_A_POINT


def command_of(effect: str, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The command that an effect is, and its arguments but for a point.

    Raises:
        ArgumentError: an option is missing.
    """
    found = next(each for each in EFFECTS if each.name == effect)
    told = {
        each.name: values[each.name]
        for each in found.options
        if each.only is None or values[each.only[0]] in each.only[1]
    }
    if effect == "threshold":
        told = hand_options(effect, told)
    elif effect == "margin":
        told = {"size": told["size"] if told["way"] == "grow" else -told["size"]}
    elif effect == "smooth":
        told = {"method": told["method"], "size": next(told[each] for each in told if each != "method")}
    elif effect == "logical" and "other" in told and told["other"] is None:
        raise ArgumentError("Which other segment is not chosen.", expected="a segment", got="None")
    return f"segment_editor.{effect}", told
