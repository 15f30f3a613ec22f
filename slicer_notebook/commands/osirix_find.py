"""OsiriX's methods that look for something in the index, and show it: DisplayStudy, DisplaySeries, DBWindowFind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slicer_notebook.commands import displayed
from slicer_notebook.commands.dicom import _open_index
from slicer_notebook.commands.osirix_calls import Call, Reply, refused
from slicer_notebook.commands.osirix_pacs import fetch_from_any
from slicer_notebook.commands.osirix_views import tell_study_list
from slicer_notebook.dicom.nspredicate import parse
from slicer_notebook.dicom.nspredicate.tree import And, Comparison, Constant, KeyPath, Node
from slicer_notebook.errors import UidNotFoundError

if TYPE_CHECKING:
    from slicer_notebook.dicom.osirix.query import Found

#: DisplayStudy's parameters: key of the table Study, DICOM keyword.
_STUDY_KEYS: Final = {
    "PatientID": "patientID",
    "StudyInstanceUID": "studyInstanceUID",
    "AccessionNumber": "accessionNumber",
    "StudyID": "id",
}
_KEYWORDS: Final = {key: keyword for keyword, key in _STUDY_KEYS.items()} | {"name": "PatientName"}
#: Studies that are looked at for one that holds images.
_MOST_TRIED: Final = 20


def display_study(call: Call) -> Reply:
    """DisplayStudy."""
    given = {name: call.text(name, name[0].lower() + name[1:]) for name in _STUDY_KEYS}
    keys = {name: value for name, value in given.items() if value}
    if not keys:
        return refused(400, f"one of {', '.join(_STUDY_KEYS)} is missing")
    wanted = _all(_equal(_STUDY_KEYS[name], value) for name, value in keys.items())
    found = _find(call, "Study", wanted)
    if not found and fetch_from_any(call, keys):
        return _listed(_find(call, "Study", wanted))
    return _opened(call, found)


def display_series(call: Call) -> Reply:
    """DisplaySeries."""
    keys = {"study.patientID": call.text("PatientID"), "seriesDICOMUID": call.text("SeriesInstanceUID")}
    conditions = [_equal(key, value) for key, value in keys.items() if value]
    if not conditions:
        return refused(400, "one of PatientID, SeriesInstanceUID is missing")
    return _opened(call, _find(call, "Series", _all(conditions)))


def find_object(call: Call) -> Reply:
    """DBWindowFind, FindObject."""
    request, table, execute = call.text("request"), call.text("table"), call.text("execute")
    if not request or not table:
        return refused(400, f"{'table' if request else 'request'} is missing")
    if execute == "Delete" and "delete" not in call.allow:
        return refused(403, "execute=Delete is not switched on")
    wanted = parse(request)
    found = _find(call, table, wanted)
    if execute == "Open":
        if not found and table == "Study" and fetch_from_any(call, _equalities(wanted)):
            return _listed(_find(call, table, wanted))
        return _opened(call, found)
    if found and execute == "Select":
        tell_study_list(call, title="Selected", studies=list(dict.fromkeys(each.study for each in found)))
    elif found and execute == "Delete":
        _delete(call, found)
    return _listed(found)


def _find(call: Call, table: str, wanted: Node) -> list[Found]:
    from slicer_notebook.dicom.osirix import find

    return find(_open_index(call.database), table, wanted, cancelled=call.job.cancelled.is_set)


def _equal(path: str, value: str) -> Node:
    return Comparison(KeyPath(tuple(path.split("."))), "==", Constant(value))


def _all(conditions: object) -> Node:
    items: tuple[Node, ...] = tuple(conditions)  # type: ignore[arg-type]
    return items[0] if len(items) == 1 else And(items)


def _equalities(node: Node) -> dict[str, str]:
    """What of a predicate a PACS can be asked for: keys that must be equal to a text, by DICOM keyword."""
    items = node.items if isinstance(node, And) else (node,)
    found: dict[str, str] = {}
    for item in items:
        if not isinstance(item, Comparison) or item.operator != "==" or item.modifier is not None:
            continue
        pair = (item.left, item.right)
        key = next((side for side in pair if isinstance(side, KeyPath)), None)
        value = next((side.value for side in pair if isinstance(side, Constant)), None)
        if key is not None and isinstance(value, str) and value and key.keys[0] in _KEYWORDS and len(key.keys) == 1:
            found[_KEYWORDS[key.keys[0]]] = value
    return found


def _listed(found: list[Found]) -> Reply:
    """All of them. What is being fetched is not opened here: the transfer does so, each series when it is whole."""
    if not found:
        return Reply(error="-1", why="nothing found")
    return Reply(elements=[each.element for each in found])


def _opened(call: Call, found: list[Found]) -> Reply:
    """Show the first that holds images, and list all."""
    for each in found[:_MOST_TRIED]:
        try:
            opened = displayed.open_(
                call.host, study=each.study, series=each.series or None, database=call.database, by=call.by
            )
        except UidNotFoundError:  # forgotten meanwhile
            continue
        if opened["shown"] is not None:
            break
    return _listed(found)


def _delete(call: Call, found: list[Found]) -> None:
    """Forget whole studies; their files stay where they are."""
    index = _open_index(call.database)
    for uid in dict.fromkeys(each.study for each in found):
        call.job.check()
        index.remove(study=uid)
    call.host.tell("indexed", {"database": call.database})
