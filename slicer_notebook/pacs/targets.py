"""What is to be retrieved, of whatever names it: answers, rows of tables, records of the index, UIDs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from slicer_notebook.errors import ArgumentError
from slicer_notebook.pacs.series import Target

__all__ = ["targets_of"]

_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def targets_of(
    what: Any = None, *, study: str | None = None, series: str | None = None, instances: Iterable[str] = ()
) -> list[Target]:
    """What is to be retrieved, of answers and UIDs; what is part of something else that is wanted counts with that.

    Raises:
        ArgumentError: an answer without a Study Instance UID, a series without its study.
    """
    found = _Targets()
    given = [instances] if isinstance(instances, str) else list(instances)
    if study or series or given:
        found.add(study, series, given)
    for each in _several(what):
        if isinstance(each, str):
            found.add(each, None, [])
        elif isinstance(each, Target):
            found.add(each.study, each.series, list(each.instances))
        else:
            of_study, of_series, sop = (_uid(each, name) for name in _UIDS)
            found.add(of_study, of_series, [sop] if sop else [])
    return found.all()


def _several(what: Any) -> Iterable[Any]:
    if what is None:
        return ()
    if hasattr(what, "to_dict") and hasattr(what, "columns"):  # a DataFrame
        rows: list[Any] = what.to_dict("records")
        return rows
    if hasattr(what, "to_dict") and hasattr(what, "index"):  # a row of one
        return (what.to_dict(),)
    if isinstance(what, Target | str | Mapping) or hasattr(what, "StudyInstanceUID"):
        return (what,)
    if isinstance(what, Iterable):
        return what
    raise ArgumentError("Retrieve what?", expected="answers of find(), or UIDs", got=type(what).__name__)


def _uid(each: Any, name: str) -> str | None:
    """A UID in an answer, or in a record; what a table has in place of none is none."""
    value = each.get(name) if isinstance(each, Mapping) else getattr(each, name, None)
    return value if isinstance(value, str) and value else None


class _Targets:
    """Targets, each series once; None for all instances of one."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None], set[str] | None] = {}

    def add(self, study: Any, series: Any, instances: list[Any]) -> None:
        """One more. Raises `ArgumentError`."""
        if not isinstance(study, str) or not study:
            raise ArgumentError(
                "Something to be retrieved names no study.",
                expected="a Study Instance UID, also for a series or an instance",
                got="none" if study in (None, "") else type(study).__name__,
                hint="ask find() at the level of STUDY, SERIES or IMAGE, or give study=",
            )
        if instances and not series:
            raise ArgumentError("Instances of which series?", expected="series=", got="none")
        key = study, series or None
        before = self._found.get(key, set())
        whole = not instances or before is None
        self._found[key] = None if whole else {*(before or ()), *map(str, instances)}

    def all(self) -> list[Target]:
        """All of them."""
        studies = {study for study, series in self._found if series is None}
        return [
            Target(study, series, frozenset(instances or ()))
            for (study, series), instances in self._found.items()
            if series is None or study not in studies
        ]
