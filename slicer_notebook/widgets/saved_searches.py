"""Searches that a person keeps by name, in a file of the notebook's machine that only they can read.

They are of the person, not of a notebook: what is typed into a search often names a patient, and a notebook is passed
on. The file is ``pacs_searches.json`` in the data folder (`data_folder`)::

    {"version": 1, "searches": [{"name": "my chest CTs", "form": {...}}]}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from slicer_notebook.dicom.folders import data_folder
from slicer_notebook.errors import ArgumentError, PacsConfigError, SlicerNotebookError, error_in_words
from slicer_notebook.pacs.config_file import locked, read_text, write_text
from slicer_notebook.widgets.pacs_form import Form

__all__ = ["SavedSearches", "Searches"]

_FILE: Final = "pacs_searches.json"
#: Characters of a name, and searches in the file.
_LONGEST: Final = 80
_MOST: Final = 500
_HINT: Final = "SLICER_NOTEBOOK_DATA may name another folder."


class _Saved(msgspec.Struct, kw_only=True):
    name: str
    form: Form


class _File(msgspec.Struct, kw_only=True):
    version: int = 1
    searches: list[_Saved] = []


class Searches:
    """The file.

    Args:
        path: of the file; the user's own without it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path if path is not None else data_folder() / _FILE

    def all(self) -> dict[str, Form]:
        """All of them, by name, in alphabetical order.

        Raises:
            PacsConfigError: the file cannot be read.
        """
        found = {each.name: each.form for each in self._read().searches}
        return dict(sorted(found.items(), key=lambda item: item[0].casefold()))

    def save(self, name: str, form: Form) -> None:
        """Keep a form under a name, in the place of what has that name.

        Raises:
            ArgumentError: the name is empty or too long, or there are too many.
            PacsConfigError: the file cannot be read or written.
        """
        name = _checked(name)

        def change(searches: list[_Saved]) -> list[_Saved]:
            kept = [each for each in searches if each.name != name]
            if len(kept) >= _MOST:
                raise ArgumentError("There are too many saved searches.", expected=f"at most {_MOST}", got="one more")
            return [*kept, _Saved(name=name, form=form)]

        self._change(change)

    def rename(self, former: str, name: str) -> None:
        """Call one otherwise.

        Raises:
            ArgumentError: there is none of that name, there is one of the new name, or that cannot be a name.
            PacsConfigError: the file cannot be read or written.
        """
        name = _checked(name)

        def change(searches: list[_Saved]) -> list[_Saved]:
            names = [each.name for each in searches]
            if former not in names:
                raise ArgumentError("That saved search is not there any more.", got=repr(former))
            if name != former and name in names:
                raise ArgumentError("There is a saved search of that name.", expected="another name", got=repr(name))
            return [_Saved(name=name, form=each.form) if each.name == former else each for each in searches]

        self._change(change)

    def delete(self, name: str) -> None:
        """Forget one; nothing where there is none of that name.

        Raises:
            PacsConfigError: the file cannot be read or written.
        """
        self._change(lambda searches: [each for each in searches if each.name != name])

    def _read(self) -> _File:
        text = read_text(self.path)
        if not text.strip():
            return _File()
        try:
            found = msgspec.json.decode(text.encode(), type=_File)
        except msgspec.MsgspecError as exc:
            raise PacsConfigError(
                f"{self.path} is no file of saved searches.", got=str(exc), hint="Move it away to begin anew."
            ) from exc
        if found.version != 1:
            raise PacsConfigError(
                f"{self.path} was written by a newer slicer_notebook.", expected="version 1", got=str(found.version)
            )
        return found

    def _change(self, change: Callable[[list[_Saved]], list[_Saved]]) -> None:
        try:
            with locked(self.path):
                searches = change(self._read().searches)
                content = msgspec.to_builtins(_File(searches=searches))
                write_text(self.path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        except PacsConfigError as exc:
            # The file's helpers are the configuration's, and so is what they advise.
            hint = exc.hint if exc.hint and "CONFIG" not in exc.hint else _HINT
            raise PacsConfigError(exc.message, expected=exc.expected, got=exc.got, hint=hint) from exc


def _checked(name: str) -> str:
    found = " ".join(name.split())
    if not found or len(found) > _LONGEST:
        got = f"{len(found)} characters" if found else "none"
        raise ArgumentError("A saved search needs a name.", expected=f"1 to {_LONGEST} characters", got=got)
    return found


class SavedSearches:
    """The file as a widget uses it, without waiting for it.

    Args:
        told: told of all searches (name -> form) after each change, or of what went wrong, in words; on another thread.
    """

    def __init__(self, told: Callable[[dict[str, Form], dict[str, str]], None]) -> None:
        self._file = Searches()
        self._told = told

    def look(self) -> None:
        """Read the file."""
        self._do(lambda: None)

    def save(self, name: str, form: Form) -> None:
        """See `Searches.save`."""
        self._do(lambda: self._file.save(name, form))

    def rename(self, former: str, name: str) -> None:
        """See `Searches.rename`."""
        self._do(lambda: self._file.rename(former, name))

    def delete(self, name: str) -> None:
        """See `Searches.delete`."""
        self._do(lambda: self._file.delete(name))

    def _do(self, change: Callable[[], None]) -> None:
        def work() -> None:
            problem: dict[str, str] = {}
            found: dict[str, Form] = {}
            try:
                change()
            except SlicerNotebookError as exc:
                problem = error_in_words(exc)
            try:
                found = self._file.all()
            except SlicerNotebookError as exc:
                problem = problem or error_in_words(exc)
            self._told(found, problem)

        _writer().submit(work)


@cache
def _writer() -> ThreadPoolExecutor:
    """One thread for all files: changes are made in the order in which they were asked for."""
    return ThreadPoolExecutor(1, thread_name_prefix="slicer-notebook-saved-searches")
