"""PACS that links name: each has a name under which transfers list it, for as long as it may be tried again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from slicer_notebook.commands.entries import KEPT

if TYPE_CHECKING:
    from slicer_notebook.dicom.index import Index
    from slicer_notebook.links.parse import Study
    from slicer_notebook.pacs.links.judging import Judge
    from slicer_notebook.pacs.pacs import Pacs

__all__ = ["name_of", "open_linked"]

#: As many as transfers are listed that have ended, and those that go on beside them.
_MOST: Final = 2 * KEPT

_lock = threading.Lock()
_known: OrderedDict[str, tuple[Study, Judge]] = OrderedDict()


def name_of(study: Study, judge: Judge) -> str:
    """What a link's PACS is called: by its host, and a number where another link's has that name.

    The same link has the same name, so that two clicks are one transfer. No configured PACS has a blank in its name.
    """
    usual = f"{study.endpoint.host} (link)"
    with _lock:
        name, number = usual, 1
        while name in _known and _same(_known[name][0]) != _same(study):
            number += 1
            name = f"{study.endpoint.host} (link {number})"
        _known[name] = study, judge
        _known.move_to_end(name)
        while len(_known) > _MOST:
            _known.popitem(last=False)
    return name


def _same(study: Study) -> tuple[object, ...]:
    return study.endpoint, study.token, study.wado, study.bulk


def open_linked(name: str, index: Index) -> Pacs | None:
    """The PACS that a link named; None for the name of another."""
    from slicer_notebook.pacs.links.study import LinkPacs

    with _lock:
        found = _known.get(name)
    return None if found is None else LinkPacs(*found, name=name, index=index)
