"""Two data sets side by side: what one has and the other has not, and whose values differ.

Values are compared by what they mean, not by how they are written: numbers as numbers (``1.0`` is ``1``), text without
its padding, sequences item by item, private elements by their creator wherever its block lies (PS3.5 7.8.1), values
written without their VR as of that which the other data set has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from difflib import SequenceMatcher
from typing import Any, Final, Literal, NamedTuple

from pydicom import DataElement, Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID

from slicer_notebook.dicom.attributes import tag_of
from slicer_notebook.dicom.elements import (
    Line,
    bytes_of,
    creator_of,
    element_of,
    read_as,
    tag_text,
    value_text,
    words_of,
)
from slicer_notebook.errors import ArgumentError

__all__ = ["EXPECTED", "Difference", "differences", "marked"]

Kind = Literal["differs", "only in a", "only in b"]

#: What differs between any two instances or series, by a word that ``ignore`` takes.
EXPECTED: Final = {
    "uids": "UIDs",
    "times": "dates and times",
    "numbers": "instance and frame numbers",
    "position": "position of the slice",
}

_NUMBERS: Final = frozenset(
    {
        "DimensionIndexValues", "FrameAcquisitionNumber", "ImageIndex", "InStackPositionNumber", "InstanceNumber",
        "TemporalPositionIndex",
    }
)  # fmt: skip
_POSITION: Final = frozenset(
    {"ImagePosition", "ImagePositionPatient", "ImagePositionVolume", "Location", "SliceLocation"}
)
_TIMES: Final = frozenset({"FrameReferenceTime"})
_TIME_VRS: Final = frozenset({"DA", "TM", "DT"})
_NUMBER_VRS: Final = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"})
#: An FL holds seven digits, and may stand for a DS in the other data set.
_SINGLE_PRECISION: Final = 1e-6
#: Parts of a value that are compared with each other one by one; longer values by their beginnings and ends.
_MOST_PARTS: Final = 400
#: Bytes of binary values that are told where they differ.
_BYTES: Final = 16

Key = tuple[int, int, str, int]
Place = tuple[Dataset, BaseTag]


class Difference(NamedTuple):
    """An element, or an item of a sequence, that two data sets do not have in common.

    Attributes:
        path: where it is, as Python finds it below the data set: ``MRDiffusionSequence[0].DiffusionBValue``.
        tag: ``0018,0050``.
        keyword: ``SliceThickness``; "" where the dictionary has none.
        name: ``Slice Thickness``.
        vr: two letters; of ``b`` where ``a`` has none; "" for an item.
        creator: of a private element.
        kind: ``differs``, ``only in a`` or ``only in b``.
        a, b: the values as text; "" where there is none. A sequence or item that one has alone: its size.
        expected: the word of `EXPECTED` where the values of any two instances differ; "" elsewhere.
        line_a, line_b: the same in words, for whoever asks what may be shown.
    """

    path: str
    tag: str
    keyword: str
    name: str
    vr: str
    creator: str
    kind: Kind
    a: str
    b: str
    expected: str
    line_a: Line | None = None
    line_b: Line | None = None


def differences(a: Dataset, b: Dataset, ignore: Collection[str] = ()) -> list[Difference]:
    """What is different, in the data sets' order, the file meta information first where both have one.

    Args:
        ignore: left out: words of `EXPECTED`, ``"private"``, keywords, tags as ``"0018,0050"``; those of a sequence
            leave out all that is in it.

    Raises:
        ArgumentError: no such word, keyword or tag in ``ignore``.
    """
    skip = _Ignored(ignore)
    found: list[Difference] = []
    meta_a, meta_b = getattr(a, "file_meta", None), getattr(b, "file_meta", None)
    if meta_a and meta_b:
        found += _compare(meta_a, meta_b, "file_meta.", skip)
    found += _compare(a, b, "", skip)
    return found


class _Ignored:
    """What is left out."""

    def __init__(self, ignore: Collection[str]) -> None:
        several = [ignore] if isinstance(ignore, str) else list(ignore)
        if any(not isinstance(each, str) for each in several):
            raise ArgumentError(
                "What is to be left out?",
                expected=f"words of {[*EXPECTED, 'private']}, keywords, tags",
                got=repr(ignore),
            )
        self.words = {each for each in several if each in EXPECTED or each == "private"}
        self.tags = {tag_of(each) for each in several if each not in self.words}

    def element(self, tag: int) -> bool:
        # Lengths of groups say nothing of their own.
        return tag in self.tags or tag & 0xFFFF == 0 or bool(tag & 0x10000 and "private" in self.words)

    def difference(self, keyword: str, vr: str, values: str) -> bool:
        return bool(self.words) and _category(keyword, vr, values) in self.words


def _keys(dataset: Dataset) -> dict[Key, BaseTag]:
    """Tags by what they are called in both data sets: (group, element, creator, how many-th of these)."""
    found: dict[Key, BaseTag] = {}
    for tag in sorted(dataset.keys()):
        group, number, creator = tag.group, tag.element, creator_of(dataset, tag)
        if creator:
            number &= 0xFF
        elif tag.is_private and 0x10 <= number <= 0xFF:
            element = element_of(dataset, tag)
            number, creator = 0x10, "" if element is None else str(element.value).strip("\0 ")
        nth = 0
        while (group, number, creator, nth) in found:
            nth += 1
        found[group, number, creator, nth] = tag
    return found


def _compare(a: Dataset, b: Dataset, prefix: str, skip: _Ignored) -> Iterator[Difference]:
    in_a, in_b = _keys(a), _keys(b)
    tags = in_b | in_a
    for key in sorted(tags, key=tags.__getitem__):
        tag = tags[key]
        if skip.element(tag):
            continue
        keyword, _ = words_of(tag, "")
        path = prefix + keyword if keyword else f"{prefix.rstrip('.')}[0x{tag:08X}]"
        if key not in in_b:
            yield from _alone(a, tag, path, "only in a", skip)
        elif key not in in_a:
            yield from _alone(b, tag, path, "only in b", skip)
        else:
            yield from _both((a, tag), (b, in_b[key]), path, skip)


def _line(dataset: Dataset, tag: BaseTag, path: str, element: DataElement | None) -> Line:
    """An element in words, without what is in it; None for one that cannot be read."""
    creator = creator_of(dataset, tag)
    keyword, name = words_of(tag, creator)
    if element is None:
        vr, content = bytes_of(dataset, tag)
        value, note = content.hex(" ").upper(), "not readable"
    else:
        vr = str(element.VR)
        value, note = _words(element)
    kind: Literal["element", "sequence"] = "sequence" if vr == "SQ" else "element"
    return Line(path, tag_text(tag), keyword, name, vr, value, note, creator, path.count("["), kind, element)


def _words(element: DataElement) -> tuple[str, str]:
    if element.VR == "SQ":
        count = len(element.value or ())
        return ("1 item" if count == 1 else f"{count:,} items"), ""
    return value_text(element)


def _alone(dataset: Dataset, tag: BaseTag, path: str, kind: Kind, skip: _Ignored) -> Iterator[Difference]:
    line = _line(dataset, tag, path, element_of(dataset, tag))
    if not skip.difference(line.keyword, line.vr, line.value):
        yield _difference(line, kind, "")


def _difference(line: Line, kind: Kind, expected: str, other: Line | None = None) -> Difference:
    a, b = (line, other) if kind == "differs" else (line, None) if kind == "only in a" else (None, line)
    return Difference(
        line.path, line.tag, line.keyword, line.name, line.vr, line.creator, kind,
        "" if a is None else a.value, "" if b is None else b.value, expected, a, b,
    )  # fmt: skip


def _both(
    one: tuple[Dataset, BaseTag], other: tuple[Dataset, BaseTag], path: str, skip: _Ignored
) -> Iterator[Difference]:
    element_a, element_b = element_of(*one), element_of(*other)
    if element_a is not None and element_b is not None:
        element_a, element_b = (
            read_as(str(element_b.VR), element_a, one[0]),
            read_as(str(element_a.VR), element_b, other[0]),
        )
        if element_a.VR == "SQ" and element_b.VR == "SQ":
            yield from _items(element_a, element_b, path, skip)
            return
        if _same(element_a, element_b):
            return
    line_a, line_b = _line(*one, path, element_a), _line(*other, path, element_b)
    if line_a.value == line_b.value and element_a is not None and element_b is not None:
        line_a, line_b = _from_where(line_a, line_b, element_a.value, element_b.value)
    if element_a is None and element_b is None and line_a.value == line_b.value:
        return
    expected = _category(line_a.keyword, line_a.vr, f"{line_a.value}\\{line_b.value}")
    if expected not in skip.words or not expected:
        yield _difference(line_a, "differs", expected, line_b)


def _from_where(line_a: Line, line_b: Line, a: Any, b: Any) -> tuple[Line, Line]:
    """Binary values of one size: the bytes from the first that differs."""
    if not isinstance(a, bytes) or not isinstance(b, bytes):
        return line_a, line_b
    first = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))
    where = f", from byte {first:,} on: " if first else ": "
    parts = (
        f"{where}{each[first:][:_BYTES].hex(' ').upper()}{' …' if len(each) > first + _BYTES else ''}"
        for each in (a, b)
    )
    one, other = (
        line._replace(value=line.value + part, note="") for line, part in zip((line_a, line_b), parts, strict=True)
    )
    return one, other


def _items(a: DataElement, b: DataElement, path: str, skip: _Ignored) -> Iterator[Difference]:
    items_a, items_b = list(a.value or ()), list(b.value or ())
    for number, (one, other) in enumerate(zip(items_a, items_b, strict=False)):
        yield from _compare(one, other, f"{path}[{number}].", skip)
    kind: Kind = "only in a" if len(items_a) > len(items_b) else "only in b"
    for number in range(min(len(items_a), len(items_b)), max(len(items_a), len(items_b))):
        item = (items_a if kind == "only in a" else items_b)[number]
        size = "1 element" if len(item) == 1 else f"{len(item)} elements"
        keyword, name = words_of(a.tag, "")
        place = f"{path}[{number}]"
        yield _difference(
            Line(place, tag_text(a.tag), keyword, f"{name}, item {number + 1}", "", size, "", "", 0, "item", None),
            kind,
            "",
        )


def _category(keyword: str, vr: str, values: str) -> str:
    """The word of `EXPECTED` that an element belongs to; "" for none."""
    if keyword in _NUMBERS:
        return "numbers"
    if keyword in _POSITION:
        return "position"
    if vr in _TIME_VRS or keyword in _TIMES:
        return "times"
    if vr == "UI" and any(UID(each).name == each for each in values.split("\\") if each):
        return "uids"  # others are the standard's own: classes, transfer syntaxes
    return ""


def _same(a: DataElement, b: DataElement) -> bool:
    several_a, several_b = _values(a), _values(b)
    if len(several_a) != len(several_b):
        return False
    if a.VR in _NUMBER_VRS and b.VR in _NUMBER_VRS:
        single = "FL" in (a.VR, b.VR)
        return all(_same_number(one, other, single) for one, other in zip(several_a, several_b, strict=True))
    if all(isinstance(each, bytes) for each in (*several_a, *several_b)):
        return several_a == several_b
    return [_plain(each, str(a.VR)) for each in several_a] == [_plain(each, str(b.VR)) for each in several_b]


def _values(element: DataElement) -> list[Any]:
    value = element.value
    if value is None or (isinstance(value, (str, bytes)) and not value):
        return []
    return list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]


def _same_number(a: Any, b: Any, single: bool) -> bool:
    try:
        one, other = float(a), float(b)
    except (TypeError, ValueError):
        return str(a).strip() == str(b).strip()
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=_SINGLE_PRECISION) if single else one == other


def _plain(value: Any, vr: str) -> str:
    """Text without what the standard lets be there or not: padding, empty parts at the end, dots of old dates."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    text = text.strip("\0 ")
    if vr == "PN":
        return "=".join(group.rstrip("^ ") for group in text.split("=")).rstrip("=")
    if vr == "DA":
        return text.replace(".", "")
    if vr == "TM":
        text = text.replace(":", "")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return text


def marked(a: str, b: str, vr: str) -> tuple[list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Two values in parts, each with whether it differs: numbers and codes whole, UIDs and text part by part."""
    if vr in _NUMBER_VRS or vr in ("AT", "CS"):
        parts = re.compile(r"\\|[^\\]+")
    elif vr == "UI":
        parts = re.compile(r"[.\\]|[^.\\]+")
    else:
        parts = re.compile(r"[^\W_]+|\s+|.", re.DOTALL)
    split_a, split_b = parts.findall(a), parts.findall(b)
    if max(len(split_a), len(split_b)) > _MOST_PARTS:
        blocks = _ends(split_a, split_b)
    else:
        blocks = [
            (tag != "equal", slice(i1, i2), slice(j1, j2))
            for tag, i1, i2, j1, j2 in SequenceMatcher(None, split_a, split_b, autojunk=False).get_opcodes()
        ]
    return (
        [("".join(split_a[here]), differs) for differs, here, _ in blocks if split_a[here]],
        [("".join(split_b[there]), differs) for differs, _, there in blocks if split_b[there]],
    )


def _ends(a: list[str], b: list[str]) -> list[tuple[bool, slice, slice]]:
    """What is the same at the beginning and at the end, and all between as one difference."""
    shorter = min(len(a), len(b))
    head = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    tail = next((i for i in range(shorter - head) if a[-1 - i] != b[-1 - i]), shorter - head)
    end_a, end_b = len(a) - tail, len(b) - tail
    return [
        (False, slice(0, head), slice(0, head)),
        (True, slice(head, end_a), slice(head, end_b)),
        (False, slice(end_a, len(a)), slice(end_b, len(b))),
    ]
