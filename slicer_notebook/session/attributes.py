"""No silent typing mistakes: only attributes that a class has can be set on its objects."""

from __future__ import annotations

import difflib
from typing import Any

from slicer_notebook.errors import AttributeNameError

__all__ = ["OwnAttributesOnly"]


class OwnAttributesOnly:
    """Base of handles, views and sessions: ``volume.aray = a`` is refused, not kept."""

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self)
        known = getattr(kind, name, None)
        if isinstance(known, property) and known.fset is None:
            raise AttributeNameError(
                f"{kind.__name__}.{name} cannot be set.", expected="an attribute that can be set", got=name
            )
        if known is None and not name.startswith("_") and name not in kind._plain_attributes:
            can = [n for n in dir(kind) if isinstance(getattr(kind, n, None), property) and getattr(kind, n).fset]
            near = difflib.get_close_matches(name, can, n=1)
            raise AttributeNameError(
                f"{kind.__name__} has no attribute {name!r}.",
                expected=", ".join(sorted(can)) or "none that can be set",
                got=name,
                hint=f"did you mean {near[0]!r}?" if near else None,
            )
        object.__setattr__(self, name, value)

    #: Plain attributes that ``__init__`` makes.
    _plain_attributes: frozenset[str] = frozenset()
