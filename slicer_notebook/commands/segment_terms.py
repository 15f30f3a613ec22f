"""What a segment is, in codes: category, type and region as DICOM segmentations have them (PS3.3 C.8.20)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from slicer_notebook.commands.host import Host
from slicer_notebook.errors import ArgumentError

__all__ = ["Entry", "codes_of", "entry_of"]

#: Names of codes, in the order of Slicer's text (vtkSlicerTerminologiesModuleLogic::SerializeTerminologyEntry):
#: context, category, type, type modifier, anatomic context, region, region modifier.
_PLACES: Final = {"category": 1, "type": 2, "type_modifier": 3, "region": 5, "region_modifier": 6}
_PARTS: Final = 7
#: Contexts for codes that name none; Slicer's own.
_TYPES: Final = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS: Final = "Anatomic codes - DICOM master list"


class Entry(NamedTuple):
    """A terminology entry as Slicer writes it, and the colour that is recommended for it (r, g, b, 0 to 1)."""

    text: str
    color: tuple[float, float, float] | None


def codes_of(text: str) -> dict[str, tuple[str, str, str]]:
    """The codes of a terminology entry: (coding scheme, value, meaning) by "category", "type" and so on.

    Only those that are there.
    """
    parts = text.split("~")
    found = {}
    for name, place in _PLACES.items():
        code = parts[place].split("^") if place < len(parts) else []
        if len(code) == 3 and code[1]:
            found[name] = (code[0], code[1], code[2])
    return found


def entry_of(host: Host, given: dict[str, Any] | str) -> Entry:
    """The entry of codes, of Slicer's text, or of a name in the terminologies that Slicer has loaded.

    Args:
        given: codes by name, each (coding scheme, value, meaning), "category" and "type" among them; or Slicer's own
            text with ``~``; or a type's meaning, such as "Liver", in any case.

    Raises:
        ArgumentError: no such name, or codes that do not fit.
    """
    if isinstance(given, str) and "~" not in given:
        return _by_name(host, given)
    if isinstance(given, str):
        codes: dict[str, Any] = dict(codes_of(given))
        text = given
    else:
        codes, text = given, _text(given)
    if not {"category", "type"} <= codes.keys():
        raise ArgumentError(
            "A terminology needs a category and a type.", expected="category, type", got=", ".join(codes) or "nothing"
        )
    category, kind = codes["category"], codes["type"]
    known = (each for each in _loaded(host) if each[1][:2] == tuple(category[:2]) and each[2][:2] == tuple(kind[:2]))
    return Entry(text, next((each[3] for each in known), None))


def _text(codes: dict[str, Any]) -> str:
    unknown = set(codes) - set(_PLACES)
    if unknown:
        raise ArgumentError("There are no such codes.", expected=", ".join(_PLACES), got=", ".join(sorted(unknown)))
    parts = ["^^"] * _PARTS
    parts[0], parts[4] = _TYPES, _REGIONS
    for name, code in codes.items():
        if code is None:
            continue
        if not (isinstance(code, (list, tuple)) and len(code) == 3 and all(isinstance(each, str) for each in code)):
            raise ArgumentError(
                f"The code {name!r} does not fit.", expected="(coding scheme, value, meaning)", got=repr(code)
            )
        if any(mark in each for each in code for mark in "~^") or not code[1]:
            raise ArgumentError(f"The code {name!r} does not fit.", expected="text without ~ and ^", got=repr(code))
        parts[_PLACES[name]] = "^".join(code)
    return "~".join(parts)


def _by_name(host: Host, name: str) -> Entry:
    wanted = name.casefold()
    near: list[str] = []
    for context, category, kind, color in _loaded(host):
        if kind[2].casefold() == wanted:
            parts = [context, "^".join(category), "^".join(kind), "^^", _REGIONS, "^^", "^^"]
            return Entry("~".join(parts), color)
        if wanted and wanted in kind[2].casefold():
            near.append(kind[2])
    raise ArgumentError(
        f"No terminology that Slicer has loaded knows {name!r}.",
        expected="the meaning of a type, or codes",
        got=repr(name),
        hint="there are: " + ", ".join(dict.fromkeys(near[:12])) if near else "give category and type as codes",
    )


_Code = tuple[str, str, str]


def _loaded(host: Host) -> Iterator[tuple[str, _Code, _Code, tuple[float, float, float] | None]]:
    """(context, category, type, recommended colour) of all loaded terminologies; some 900, in 3 ms."""
    from vtkmodules.vtkCommonCore import vtkStringArray

    logic = host.slicer.modules.terminologies.logic()
    names = vtkStringArray()
    logic.GetLoadedTerminologyNames(names)
    category, kind = host.slicer.vtkSlicerTerminologyCategory(), host.slicer.vtkSlicerTerminologyType()
    for index in range(names.GetNumberOfValues()):
        context = names.GetValue(index)
        for number in range(logic.GetNumberOfCategoriesInTerminology(context)):
            logic.GetNthCategoryInTerminology(context, number, category)
            for place in range(logic.GetNumberOfTypesInTerminologyCategory(context, category)):
                logic.GetNthTypeInTerminologyCategory(context, category, place, kind)
                red, green, blue = (int(part) for part in kind.GetRecommendedDisplayRGBValue())
                # Slicer's mark of a type without a colour.
                color = None if (red, green, blue) == (127, 127, 127) else (red / 255, green / 255, blue / 255)
                yield context, _code(category), _code(kind), color


def _code(coded: Any) -> _Code:
    return coded.GetCodingSchemeDesignator() or "", coded.GetCodeValue() or "", coded.GetCodeMeaning() or ""
