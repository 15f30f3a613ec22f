"""The tables of docs/dicom-conformance.md say what the code proposes, accepts and asks for.

A table stands between ``<!-- from the code: NAME -->`` and ``<!-- end -->``; UPDATE_CONFORMANCE=1 writes them anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import UID

from slicer_notebook.pacs.dicomweb.qido import JSON
from slicer_notebook.pacs.dicomweb.wado import _ACCEPTS
from slicer_notebook.pacs.dimse import commitment, contexts, find, get, move, negotiation, scp
from slicer_notebook.pacs.keys import RETURNED
from slicer_notebook.pacs.model import LEVELS, Fetch, Query

_STATEMENT: Final = Path(__file__).parents[2] / "docs" / "dicom-conformance.md"
_TABLE: Final = re.compile(r"(<!-- from the code: (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def name_of(uid: str) -> str:
    """A UID's name, without what the standard's dictionary says of it in brackets."""
    return re.sub(r"\s*\((Process|Default|Retired).*?\)|:.*", "", UID(uid).name).strip()


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n" + "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines) + "\n"


def proposed(abstract: str) -> list[negotiation.Proposal]:
    """The contexts for one storage class in a C-GET, read back from the bytes that go out."""
    (batch,) = contexts.storage_batches([abstract])
    request = sent(batch)
    roles = request.roles.get(abstract)
    assert roles == (False, True)
    return [negotiation.Proposal(uid, syntaxes, as_scp=True) for _, uid, syntaxes in request.contexts]


def sent(batch: list[negotiation.Proposal]) -> negotiation.Requested:
    return negotiation.read_request(negotiation.request_unit("PACS", "SLICER", batch)[6:])


# -- the tables ------------------------------------------------------------------------------------------------------


def parameters() -> str:
    request = sent([negotiation.Proposal(find.VERIFICATION, find.SYNTAXES)])
    rows = [
        ("Application Context Name", "1.2.840.10008.3.1.1.1"),
        ("Maximum length of a PDU that is received", f"{request.max_pdu} bytes"),
        ("Implementation Class UID", negotiation.IMPLEMENTATION[0]),
        ("Implementation Version Name", request.implementation),
        ("Presentation contexts in one association at most", negotiation.MAX_CONTEXTS),
        ("Asynchronous operations", "none: one request is outstanding at a time"),
    ]
    return table(("Parameter", "Value"), rows)


def services() -> str:
    found = {
        find.VERIFICATION: "C-ECHO",
        find.model("PATIENT", 1): "C-FIND, level PATIENT",
        find.model("STUDY", 1): "C-FIND, levels STUDY, SERIES, IMAGE",
        move.MOVE: "C-MOVE",
        get.GET: "C-GET",
    }
    assert {find.model(level, 1) for level in LEVELS} <= set(found)
    rows = []
    for uid, service in found.items():
        request = sent([negotiation.Proposal(uid, find.SYNTAXES)])
        ((_, abstract, offered),) = request.contexts
        role = "SCU" if not request.roles else str(request.roles)
        rows.append((service, UID(abstract).name, abstract, ", ".join(map(name_of, offered)), role))
    return table(("Service", "Abstract syntax", "UID", "Transfer syntaxes", "Role"), rows)


def commitments() -> str:
    """As we ask, and as the receiver accepts a PACS that reports."""
    asked = sent([negotiation.Proposal(commitment.COMMITMENT, find.SYNTAXES)])
    assert not asked.roles
    report = sent([negotiation.Proposal(commitment.COMMITMENT, find.SYNTAXES, as_scp=True)])
    chosen = scp._chosen(report)
    roles = scp._roles(report, chosen)
    ((_, abstract, offered),) = asked.contexts
    assert roles == {abstract: (False, True)}
    name = UID(abstract).name.removesuffix(" SOP Class")
    rows = [
        ("N-ACTION", name, abstract, ", ".join(map(name_of, offered)), "SCU (no role selection)"),
        ("N-EVENT-REPORT", name, abstract, name_of(chosen[1]), "the PACS: SCU 0, SCP 1"),
    ]
    return table(("Service", "Abstract syntax", "UID", "Transfer syntaxes", "Role"), rows)


def failure_reasons() -> str:
    rows = [(f"{reason:04X}", words) for reason, words in commitment._REASONS.items()]
    return table(("Failure Reason", "What the user is told"), [*rows, ("others", "the PACS gave a reason of its own")])


_KINDS: Final = (
    ("images", "1.2.840.10008.5.1.4.1.1.2"),
    ("images that may be videos", "1.2.840.10008.5.1.4.1.1.77.1.1.1"),
    ("no images", "1.2.840.10008.5.1.4.1.1.88.22"),
)


def get_contexts() -> str:
    rows = []
    columns = [[proposal.transfer for proposal in proposed(uid)] for _, uid in _KINDS]
    for offered in dict.fromkeys(syntaxes for column in columns for syntaxes in column):
        names = ", ".join(f"{name_of(uid)} ({uid})" for uid in offered)
        lossy = "yes" if set(offered) & contexts.LOSSY else ""
        rows.append((names, lossy, *("yes" if offered in column else "" for column in columns)))
    head = ("Transfer syntaxes of one context", "May lose", *(f"Classes of {kind}" for kind, _ in _KINDS))
    rows.append(("**contexts for each class**", "", *(f"**{len(column)}**" for column in columns)))
    return table(head, rows)


def scp_syntaxes() -> str:
    rows = []
    known = (*contexts.UNCOMPRESSED, *contexts.COMPRESSED)
    for uid in known:
        abstract = "1.2.840.10008.5.1.4.1.1.2"
        request = negotiation.Requested("SLICER", "PACS", [(1, abstract, (uid,))], 0, {}, "")
        assert scp._chosen(request) == {1: uid}
        rows.append((name_of(uid), uid, "yes" if uid in contexts.LOSSY else ""))
    return table(("Transfer syntax", "UID", "May lose"), rows)


def modalities() -> str:
    rows = []
    for modality in contexts._BY_MODALITY:
        classes = contexts.likely_classes(modality)
        batches = contexts.storage_batches(classes)
        own = [uid for uid in classes if uid not in contexts.likely_classes("?")]
        names = "; ".join(UID(uid).name.replace(" Storage", "") for uid in own) or "those of all"
        rows.append((modality, names, sum(map(len, batches)) + len(batches)))
    return table(("Modality", "Storage SOP classes, beside those of all", "Contexts"), rows)


def everywhere() -> str:
    return table(("Storage SOP class", "UID"), [(UID(uid).name, uid) for uid in contexts.likely_classes("?")])


def storage() -> str:
    """All classes; the standard's, as pydicom's dictionary has it."""
    rows = []
    for uid in contexts.storage_classes():
        count = len(contexts._proposals(uid))
        kind = {len(proposed(each)): words for words, each in _KINDS}[count]
        rows.append((UID(uid).name.removesuffix(" (Retired)"), uid, kind, "yes" if UID(uid).is_retired else ""))
    return table(("Storage SOP class", "UID", "Kind", "Retired"), rows)


def returned() -> str:
    rows = [(level, ", ".join(RETURNED[level])) for level in LEVELS]
    return table(("Level", "Return keys that every question has"), rows)


def extended() -> str:
    rows = []
    for relational, fuzzy in ((False, False), (True, False), (False, True), (True, True)):
        query = Query(level="STUDY", identifier=Dataset(), relational=relational, fuzzy=fuzzy)
        item = find.extended_negotiation(query)
        words = "no item" if item is None else " ".join(f"{byte:02X}H" for byte in item)
        rows.append((words, "yes" if relational else "no", "no", "yes" if fuzzy else "no"))
    head = ("Service-class-application-information", "Relational queries", "Combined date-time", "Fuzzy matching")
    return table(head, rows)


def retrieve_keys() -> str:
    asked = {
        "a study": Fetch(study="1.2"),
        "a series": Fetch(study="1.2", series="1.2.3"),
        "instances": Fetch(study="1.2", series="1.2.3", instances=("1.2.3.4", "1.2.3.5")),
    }
    rows = []
    for what, wanted in asked.items():
        identifier = get.identifier_of(wanted)
        keys = [element.keyword for element in identifier if element.keyword != "QueryRetrieveLevel"]
        rows.append((what, identifier.QueryRetrieveLevel, ", ".join(keys)))
    return table(("What is retrieved", "Query/Retrieve Level", "Unique keys"), rows)


def wado_accepts() -> str:
    rows = [("instances", f"`{accept}`", "" if number else "first") for number, accept in enumerate(_ACCEPTS)]
    rows = [(what, accept, order or "after 400, 406 or 415") for what, accept, order in rows]
    rows.append(("metadata, QIDO-RS, STOW-RS's answer", f"`{JSON}`", "first"))
    return table(("Resource", "Accept", "Asked"), rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "parameters": parameters,
    "services": services,
    "commitment": commitments,
    "failure-reasons": failure_reasons,
    "get-contexts": get_contexts,
    "scp-syntaxes": scp_syntaxes,
    "modalities": modalities,
    "everywhere": everywhere,
    "storage": storage,
    "returned": returned,
    "extended": extended,
    "retrieve-keys": retrieve_keys,
    "wado-accepts": wado_accepts,
}


def blocks() -> dict[str, str]:
    return {found["name"]: found["body"] for found in _TABLE.finditer(_STATEMENT.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_says_what_the_code_does(name: str) -> None:
    if name == "storage" and f"pydicom {pydicom.__version__}" not in _STATEMENT.read_text(encoding="utf-8"):
        pytest.skip(f"another edition of the standard: pydicom {pydicom.__version__}")
    made = TABLES[name]()
    if os.environ.get("UPDATE_CONFORMANCE") == "1":
        text = _STATEMENT.read_text(encoding="utf-8")
        written = _TABLE.sub(
            lambda found: found[1] + (made if found["name"] == name else found["body"]) + found[4], text
        )
        _STATEMENT.write_text(written, encoding="utf-8")
    assert blocks()[name] == made


def test_every_table_is_there_once() -> None:
    text = _STATEMENT.read_text(encoding="utf-8")
    assert sorted(found["name"] for found in _TABLE.finditer(text)) == sorted(TABLES)


def test_no_association_has_more_contexts_than_there_can_be() -> None:
    for batch in contexts.storage_batches(contexts.storage_classes()):
        request = sent([negotiation.Proposal(get.GET, find.SYNTAXES), *batch])
        assert len(request.contexts) <= negotiation.MAX_CONTEXTS
        # A compressed syntax stands alone, so that the peer cannot choose it for what is stored otherwise.
        assert all(len(syntaxes) == 1 or syntaxes == contexts.UNCOMPRESSED for _, _, syntaxes in request.contexts[1:])


def test_a_peer_that_offers_a_choice_is_not_made_to_lose() -> None:
    assert contexts.choose_syntax(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2"]) == "1.2.840.10008.1.2"
    assert contexts.choose_syntax(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"]) == "1.2.840.10008.1.2.4.70"
    assert contexts.choose_syntax(["1.2.840.10008.1.2.4.50"]) == "1.2.840.10008.1.2.4.50"
