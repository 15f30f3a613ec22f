"""What is done with a link: opened, opened if a person agrees, or refused; as the policy file says, where it may.

The file is ``links.toml`` in the folder of the configuration (`pacs.links.settings` reads it)::

    session = "reading-room"    # where links go if several Slicers run; without it, a person is asked
    start = "headless"          # what is started if none runs: "headless", "desktop" or "never"
    desktop = "/opt/Slicer/Slicer"

    [policy]
    study-http = "ask"
    download-zip = "open"

    [policy."kheops.hospital.example"]   # for addresses of that host alone
    download-dicom = "open"

Names of cases are those of `cases.Case`. What is "refuse" by default stays so. `credentials` and `link-local` can be
made stricter, and never "open".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from slicer_notebook.errors import ArgumentError, LinkRefusedError
from slicer_notebook.links.cases import ACTIONS, CASES, Action, Case, Found
from slicer_notebook.links.hosts import Address, NoAddressError, Where, host_of
from slicer_notebook.links.parse import Call, Download, Image, LinkCaseError, Request, Study, parse, scheme_of

__all__ = ["NEVER_OPEN", "Policy", "Verdict", "judge", "judge_address", "policy_of", "refused", "strictest"]

#: Cases that no policy file opens.
NEVER_OPEN: Final = frozenset(case for case, rule in CASES.items() if rule.most != "open")

_DOWNLOADS: Final = {
    "dicom": Case.DOWNLOAD_DICOM,
    "data": Case.DOWNLOAD_DATA,
    "zip": Case.DOWNLOAD_ZIP,
    "scene": Case.DOWNLOAD_SCENE,
    "manifest": Case.DOWNLOAD_MANIFEST,
}


class Policy(msgspec.Struct, frozen=True):
    """Answers that differ from the usual ones.

    Attributes:
        actions: by case.
        hosts: the same for addresses of one host, by its name.
    """

    actions: dict[Case, Action] = {}
    hosts: dict[str, dict[Case, Action]] = {}

    def action(self, case: Case, host: str = "") -> Action:
        """The answer in a case."""
        own = self.hosts.get(host, {}).get(case) or self.actions.get(case) or CASES[case].action
        return max(own, CASES[case].most, key=ACTIONS.index)


class Verdict(NamedTuple):
    """The answer to a link.

    Attributes:
        action: "open", "ask" or "refuse".
        why: in words of a closed list: nothing of the link is in them.
        case: the case that decided.
        parsed: what may be shown of the link: secrets are masked, and no character does anything.
        request: what it asks for; None where that is refused before it is known.
    """

    action: Action
    why: str
    case: Case
    parsed: dict[str, Any]
    request: Request | None = None

    def words(self) -> dict[str, Any]:
        """As JSON tells it."""
        return {"action": self.action, "why": self.why, "parsed": self.parsed}

    def __repr__(self) -> str:
        return f"Verdict({self.action!r}, {self.why!r}, {self.parsed})"


def policy_of(table: Mapping[str, Any], where: str = "links.toml") -> Policy:
    """A policy as the file's ``[policy]`` has it.

    Raises:
        ArgumentError: no such case or answer, or one that cannot be given in that case.
    """
    actions: dict[Case, Action] = {}
    hosts: dict[str, dict[Case, Action]] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            hosts[_host(name, where)] = dict(_rule(each, answer, where) for each, answer in value.items())
        else:
            actions.update([_rule(name, value, where)])
    return Policy(actions, hosts)


def _host(name: str, where: str) -> str:
    try:
        return host_of(name)
    except NoAddressError:
        raise ArgumentError(
            f"{where}: a table of [policy] is named after a host.", expected="a host's name", got=repr(name)
        ) from None


def _case(name: str, where: str) -> Case:
    try:
        return Case(name)
    except ValueError:
        known = ", ".join(case for case, rule in CASES.items() if rule.most != "refuse")
        raise ArgumentError(f"{where}: there is no such case.", expected=f"one of {known}", got=repr(name)) from None


def _rule(name: str, value: object, where: str) -> tuple[Case, Action]:
    case = _case(name, where)
    most = CASES[case].most
    may: list[Action] = [action for action in ACTIONS if ACTIONS.index(action) >= ACTIONS.index(most)]
    for action in may:
        if action == value:
            return case, action
    raise ArgumentError(
        f"{where}: what can be done in the case {name!r}.", expected=" or ".join(map(repr, may)), got=repr(value)
    )


def judge(url: str, policy: Policy | None = None, servers: Collection[str] = ()) -> Verdict:
    """The answer to whatever text comes; never raises.

    Args:
        servers: names of the PACS that are configured.
    """
    policy = policy or Policy()
    try:
        request = parse(url)
    except LinkCaseError as exc:
        scheme = scheme_of(url)
        return Verdict("refuse", exc.found.why, exc.found.case, {"scheme": scheme} if scheme else {})
    found, host = _cases(request, servers)
    action, decided = strictest(policy, found, host)
    return Verdict(action, decided.why, decided.case, request.words(), request)


def _cases(request: Request, servers: Collection[str]) -> tuple[list[Found], str]:
    """All cases that a request is, the one that it is most of all in front; and the host that it is about."""
    if isinstance(request, Study):
        return _of_study(request), request.endpoint.host
    if isinstance(request, Download):
        address = request.address
        return [Found(_DOWNLOADS[request.kind]), *judge_address(address, address.where)], address.host
    if isinstance(request, Image):
        return [Found(Case.SHOWN)], ""
    return [Found(_of_call(request, servers))], ""


def _of_study(study: Study) -> list[Found]:
    where = study.endpoint.where
    if where == "loopback":
        first = Case.STUDY_LOOPBACK
    else:
        first = Case.STUDY_HTTPS if study.endpoint.scheme == "https" else Case.STUDY_HTTP
    return [Found(first), *judge_address(study.endpoint, where, bool(study.token))]


def _of_call(call: Call, servers: Collection[str]) -> Case:
    server = call.parameters.get("serverName") or call.parameters.get("server")
    if server is None:
        return Case.SHOWN
    return Case.RETRIEVE if server in servers else Case.UNKNOWN_PACS


def judge_address(address: Address, where: Where, token: bool = False) -> list[Found]:
    """What is to be said of an address, whatever is fetched from there.

    Args:
        where: it leads: by what it says, or by what its name was resolved to.
        token: whether a token is sent with it.
    """
    found = []
    secret = token or address.has_credentials or address.has_token
    if where == "nowhere":
        found.append(Found(Case.BAD_ADDRESS, "URL"))
    if where == "link-local":
        found.append(Found(Case.LINK_LOCAL))
    if where == "private":
        found.append(Found(Case.PRIVATE))
    if address.has_credentials:
        found.append(Found(Case.CREDENTIALS))
    if secret and address.scheme == "http" and where != "loopback":
        found.append(Found(Case.TOKEN_OVER_HTTP))
    return found


def strictest(policy: Policy, found: Collection[Found], host: str = "") -> tuple[Action, Found]:
    """The answer to several cases at once, and the first that gives it."""
    ranked = [(policy.action(each.case, host), each) for each in found]
    return max(ranked, key=lambda one: ACTIONS.index(one[0]))  # of equal ones, the first


def refused(action: Action, why: str, *, hint: str | None = None) -> LinkRefusedError:
    """The error for a link that is not opened, or not unasked."""
    message = "This link is not opened." if action == "refuse" else "This link is not opened unless somebody agrees."
    return LinkRefusedError(message, got=why, hint=hint, details={"action": action, "why": why})
