"""Automata over characters (Thompson): built of pieces, run over a text once, whatever they are.

Sets of states that were met are kept, so that a further text costs a look-up for each character. What may be kept, and
the work beyond it, are bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slicer_notebook.errors import ArgumentError

__all__ = ["BEGIN", "END", "MAX_STATES", "MAX_WORK", "Automaton", "Builder", "CharTest", "Fragment", "State"]

#: States of an automaton; ``(a{30}){30}`` has 900.
MAX_STATES: Final = 2000
#: States looked at, for all texts that one pattern is compared with, beyond what was kept: some three seconds.
MAX_WORK: Final = 10_000_000
#: Sets of states, and characters of each, that are kept.
_MAX_KEPT: Final = 2000
_MAX_CHARACTERS: Final = 512
#: States in all that is kept: 32 MB at most.
_MAX_HELD: Final = 500_000

CharTest = Callable[[str], bool]

#: Kinds of states. A state is (kind, test, next states).
CHAR, SPLIT, BEGIN, END, FOUND = range(5)


class State:
    """One state: its kind, what character it takes (`CHAR`), and the states behind it."""

    __slots__ = ("kind", "next", "test")

    def __init__(self, kind: int, test: CharTest | None = None) -> None:
        self.kind = kind
        self.test = test
        self.next: list[int] = []


#: First state, and the states whose next one is open.
Fragment = tuple[int, list[int]]


class Builder:
    """Puts automata together. Each piece is used once.

    Raises:
        ArgumentError (all of it): more than `MAX_STATES`.
    """

    def __init__(self) -> None:
        self.states: list[State] = []

    def state(self, kind: int, test: CharTest | None = None) -> int:
        """A new state; its number."""
        if len(self.states) >= MAX_STATES:
            raise ArgumentError(
                "The pattern of MATCHES or LIKE is too large.",
                expected=f"at most {MAX_STATES} states",
                got="more",
                hint="Repeat less: {n,m} counts as often as it says.",
            )
        self.states.append(State(kind, test))
        return len(self.states) - 1

    def char(self, test: CharTest) -> Fragment:
        """One character that a test is true of."""
        number = self.state(CHAR, test)
        return number, [number]

    def mark(self, kind: int) -> Fragment:
        """The beginning of the text, or its end."""
        number = self.state(kind)
        return number, [number]

    def join(self, ends: list[int], start: int) -> None:
        """What is open at these goes on there."""
        for end in ends:
            self.states[end].next.append(start)

    def nothing(self) -> Fragment:
        """No character."""
        number = self.state(SPLIT)
        return number, [number]

    def sequence(self, parts: list[Fragment]) -> Fragment:
        """One piece after the other."""
        if not parts:
            return self.nothing()
        start, ends = parts[0]
        for further, last in parts[1:]:
            self.join(ends, further)
            ends = last
        return start, ends

    def either(self, parts: list[Fragment]) -> Fragment:
        """One of the pieces."""
        if len(parts) == 1:
            return parts[0]
        start = self.state(SPLIT)
        ends: list[int] = []
        for further, last in parts:
            self.states[start].next.append(further)
            ends += last
        return start, ends

    def star(self, part: Fragment) -> Fragment:
        """The piece any number of times."""
        start = self.state(SPLIT)
        self.states[start].next.append(part[0])
        self.join(part[1], start)
        return start, [start]

    def at_least_once(self, part: Fragment) -> Fragment:
        """The piece once or more."""
        again = self.state(SPLIT)
        self.join(part[1], again)
        self.states[again].next.append(part[0])
        return part[0], [again]

    def maybe(self, part: Fragment) -> Fragment:
        """The piece or nothing."""
        start = self.state(SPLIT)
        self.states[start].next.append(part[0])
        return start, [start, *part[1]]

    def finished(self, whole: Fragment) -> tuple[list[State], int]:
        """All states, and the first."""
        self.join(whole[1], self.state(FOUND))
        return self.states, whole[0]


class Automaton:
    """Runs what a `Builder` has finished.

    Raises:
        ArgumentError (by `matches`): more work than `MAX_WORK`.
    """

    def __init__(self, made: tuple[list[State], int]) -> None:
        self._states, start = made
        self._work = self._held = 0
        self._kept: dict[frozenset[int], dict[str, frozenset[int]]] = {}
        self._ends: dict[frozenset[int], bool] = {}
        self._first = self._closed([start], begin=True)
        self._empty = self._finds(self._closed([start], begin=True, end=True))

    def matches(self, text: str) -> bool:
        """Whether it matches the whole text."""
        if not text:
            return self._empty
        here, kept = self._first, self._kept
        for char in text:
            if not here:
                return False
            known = kept.get(here)
            after = known.get(char) if known is not None else None
            here = after if after is not None else self._step(here, char)
        found = self._ends.get(here)
        if found is None:
            found = self._finds(self._closed(list(here), begin=False, end=True))
            if len(self._ends) < _MAX_KEPT:
                self._ends[here] = found
        return found

    def _step(self, here: frozenset[int], char: str) -> frozenset[int]:
        reached: list[int] = []
        for number in here:
            state = self._states[number]
            if state.test is not None and state.test(char):
                reached += state.next
        after = self._closed(reached, begin=False)
        self._count(len(here))
        self._held += len(after)
        if (here not in self._kept and len(self._kept) >= _MAX_KEPT) or self._held > _MAX_HELD:
            self._kept.clear()
            self._ends.clear()
            self._held = len(after)
        known = self._kept.setdefault(here, {})
        if len(known) < _MAX_CHARACTERS:
            known[char] = after
        return after

    def _closed(self, numbers: list[int], *, begin: bool, end: bool = False) -> frozenset[int]:
        """What is reached without a character. An end of the text that is asked for stays."""
        found: set[int] = set()
        open_ones = list(numbers)
        while open_ones:
            number = open_ones.pop()
            if number in found:
                continue
            found.add(number)
            state = self._states[number]
            passes = state.kind == SPLIT or (state.kind == BEGIN and begin) or (state.kind == END and end)
            if passes:
                open_ones += state.next
        self._count(len(found))
        return frozenset(found)

    def _finds(self, numbers: frozenset[int]) -> bool:
        return any(self._states[number].kind == FOUND for number in numbers)

    def _count(self, states: int) -> None:
        self._work += states
        if self._work > MAX_WORK:
            raise ArgumentError(
                "The pattern of MATCHES is too much work.",
                expected=f"at most {MAX_WORK} looks at its states",
                got="more",
                hint="Narrow the request by other keys, or use LIKE.",
            )
