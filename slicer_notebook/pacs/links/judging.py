"""Where the requests for a link may go: its own address, and each that a name or a redirection leads to."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Final

from slicer_notebook.errors import LinkRefusedError
from slicer_notebook.links.cases import Case
from slicer_notebook.links.hosts import Address, Where, whereabouts
from slicer_notebook.links.policy import Policy, judge_address, strictest

__all__ = ["Judge"]

#: How far inside: a redirection may not lead further in than where the link itself leads.
_DEPTH: Final[dict[Where, int]] = {"public": 0, "name": 0, "private": 1, "loopback": 2, "link-local": 3, "nowhere": 4}


class Judge:
    """Judges the addresses of one link; used by several threads, each for its own requests.

    What a person has agreed to is what the link's own address shows. A name that leads elsewhere (DNS rebinding), or
    a redirection, brings no case that they were not asked about.

    Args:
        first: the link's own address.
        token: whether a token goes with it.
        agreed: a person has agreed to what has to be asked.
        but: cases that are refused all the same.
    """

    def __init__(
        self, policy: Policy, first: Address, *, token: bool = False, agreed: bool = False, but: Collection[Case] = ()
    ) -> None:
        self._policy = policy
        self._token = token
        self._first = first
        own = {found.case for found in judge_address(first, first.where, token)}
        self._agreed = own - set(but) if agreed else set()
        self._deepest = _DEPTH[first.where]
        #: what its host leads to is known: by itself, or since it was resolved
        self._known = first.where != "name"
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    def begin(self, address: Address, *, led: bool = False, secret: bool = False) -> None:
        """This thread will ask there next.

        Args:
            led: a server has named it: by a redirection, or in a manifest.
            secret: a secret goes with the request.

        Raises:
            LinkRefusedError: it may not.
        """
        self._of_thread.asked = address, led, secret
        self._check(address, address.where, led, secret)
        if led and self._first.scheme == "https" and address.scheme == "http" and address.where != "loopback":
            raise _no("an address of http, named by one of https", "redirect")

    def resolved(self, ip: str) -> None:
        """The name of where this thread asks stands for this address (see `dicomweb.network.Backend`).

        Raises:
            LinkRefusedError: it may not be asked.
        """
        address, led, secret = getattr(self._of_thread, "asked", (self._first, False, False))
        where = whereabouts(ip)
        if not led:
            self._note(where)
        self._check(address, where, led, secret)

    def _note(self, where: Where) -> None:
        with self._lock:
            if self._known and _DEPTH[where] > self._deepest and where != "private":
                raise _no("a name that led elsewhere a moment ago", "rebound")
            self._deepest = max(self._deepest, _DEPTH[where]) if self._known else _DEPTH[where]
            self._known = True

    def _check(self, address: Address, where: Where, led: bool, secret: bool) -> None:
        token = secret or (self._token and not led)
        found = [each for each in judge_address(address, where, token) if each.case not in self._agreed]
        if found:
            action, decided = strictest(self._policy, found, address.host)
            if action != "open":
                raise _no(decided.why, action)
        if led and _DEPTH[where] > self._deepest:
            raise _no("an address of this machine or its network, named by a server further out", "redirect")

    def __repr__(self) -> str:
        return f"Judge({self._first})"


def _no(why: str, action: str) -> LinkRefusedError:
    what = "is redirected to" if action == "redirect" else "leads to"
    return LinkRefusedError(
        f"The link {what} an address that it may not be fetched from.",
        got=why,
        hint="If that is meant, have the link name the address itself." if action != "refuse" else None,
        details={"action": "refuse", "why": why},
    )
