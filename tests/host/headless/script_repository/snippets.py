"""Which snippet of Slicer's script repository a test stands for.

The script repository is the page of examples in Slicer's developer guide. A test here does what a snippet of that page
does, written anew on the same calls, and checks a result. Titles are the page's, so that a reader finds the snippet.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

__all__ = ["Snippet", "snippet"]


@dataclass(frozen=True)
class Snippet:
    """Section and title of a snippet, and the name of the error it ends in where it cannot work without Qt."""

    section: str
    title: str
    refused: str | None


def snippet(section: str, title: str, refused: str | None = None) -> Callable[[Any], Any]:
    """Mark a test as standing for a snippet; one that is ``refused`` passes by raising the error of that very name."""

    def mark(function: Any) -> Any:
        marked = function
        if refused is not None:

            @functools.wraps(function)
            def marked(*args: Any, **kwargs: Any) -> None:
                with pytest.raises(Exception) as caught:  # noqa: PT011 - its name is checked next
                    function(*args, **kwargs)
                assert type(caught.value).__name__ == refused, caught.value

        marked.snippet = Snippet(section, title, refused)
        return marked

    return mark
