"""What the doctor looks at where a PACS is spoken to by DIMSE."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from slicer_notebook.errors import PacsError
from slicer_notebook.pacs.arrivals import Arrivals
from slicer_notebook.pacs.dimse.association import associate
from slicer_notebook.pacs.dimse.commitment import COMMITMENT
from slicer_notebook.pacs.dimse.find import PATIENT_ROOT, STUDY_ROOT, SYNTAXES, VERIFICATION, model
from slicer_notebook.pacs.dimse.get import Get
from slicer_notebook.pacs.dimse.move import Move
from slicer_notebook.pacs.dimse.negotiation import Agreement, Proposal
from slicer_notebook.pacs.dimse.source import DimseSource
from slicer_notebook.pacs.dimse.transport import connect
from slicer_notebook.pacs.doctor import Patient, Probe, sample
from slicer_notebook.pacs.model import Fetch, WayFailedError

__all__ = ["examine_dimse"]

#: Seconds from one small instance to the next that only a delayed acknowledgement explains (Linux: 40 ms).
_STALL: Final = 0.030
_STALL_FIX: Final = (
    "The PACS lets the network wait 40 ms for each message (Nagle's algorithm and delayed acknowledgements). This "
    "client works around it on Linux; for the others, switch TCP_NODELAY on in the PACS (with dcmtk and Orthanc: the "
    "environment variable TCP_NODELAY=1)."
)
_NO_GET: Final = "Not needed where C-MOVE or DICOMweb works."


def examine_dimse(patient: Patient, source: DimseSource) -> None:
    """Name, port, TLS, AE titles, contexts, role, query, and a try of each way to fetch.

    Raises:
        PointlessError: something that all the rest needs failed.
    """
    _connection(patient, source)
    agreement = _services(patient, source)
    with patient.step("Query (C-FIND)") as looking:
        began = time.monotonic()
        found = sample(source, patient.cancelled)
        took = time.monotonic() - began
        looking.say(f"answered in {took:.2f} s" if found is not None else "answered; it holds nothing yet")
    _matching(patient, source)
    if agreement.context(model("STUDY", 3)) is not None:
        _get(patient, source, found)
    else:
        why = agreement.refused.get(model("STUDY", 3), "not accepted")
        patient.learned.refused["C-GET"] = why
        patient.add("C-GET", "warn", why, _NO_GET)
    _move(patient, source, found, agreement)


def _connection(patient: Patient, source: DimseSource) -> None:
    peer, address = source.peer, source.peer.address
    with patient.step("Name and port") as looking:
        began = time.monotonic()
        sock = connect(
            address.host, address.port, timeout=peer.connect_timeout, tls=None, peer=peer.name,
            cancelled=patient.cancelled,
        )  # fmt: skip
        looking.say(f"{address.host}:{address.port} accepts connections ({1000 * (time.monotonic() - began):.0f} ms)")
        sock.close()
    if peer.tls is not None:
        with patient.step("TLS") as looking:
            sock = connect(
                address.host, address.port, timeout=peer.connect_timeout, tls=peer.tls, peer=peer.name,
                cancelled=patient.cancelled,
            )  # fmt: skip
            version = getattr(sock, "version", lambda: "")()
            sock.close()
            checked = "certificate and host name checked" if source.server.verify else "certificate NOT checked"
            looking.say(f"{version}, {checked}", status="ok" if source.server.verify else "warn")
    else:
        patient.add(
            "TLS", "ok" if address.host in ("127.0.0.1", "localhost", "::1") else "warn", "not used",
            "" if address.host in ("127.0.0.1", "localhost", "::1") else
            "Whoever listens on the way sees patients' data: dimses:// where the PACS offers TLS.",
        )  # fmt: skip
    with patient.step("AE titles (C-ECHO)") as looking:
        agreement = source.echo(patient.cancelled)
        patient.learned.implementation = agreement.implementation
        looking.say(
            f"{address.called!r} knows {peer.calling!r}; it is {agreement.implementation or 'unnamed'}, units of "
            f"{agreement.max_pdu or 'any number of'} bytes"
        )


def _services(patient: Patient, source: DimseSource) -> Agreement:
    wanted = {
        "C-ECHO": VERIFICATION,
        "C-FIND, patients": f"{PATIENT_ROOT}1",
        "C-FIND, studies": f"{STUDY_ROOT}1",
        "C-MOVE": f"{STUDY_ROOT}2",
        "C-GET": f"{STUDY_ROOT}3",
    }
    with patient.step("Services") as looking:
        proposals = [Proposal(uid, SYNTAXES) for uid in (*wanted.values(), COMMITMENT)]
        with associate(source.peer, proposals, cancelled=patient.cancelled) as association:
            agreement = association.agreement
        offered = [name for name, uid in wanted.items() if agreement.context(uid) is not None]
        lacking = [name for name in wanted if name not in offered]
        looking.say(
            # Nobody needs it to fetch.
            ", ".join(offered + ["storage commitment"] * (agreement.context(COMMITMENT) is not None))
            + (f"; not: {', '.join(lacking)}" if lacking else ""),
            status="ok" if not lacking else "warn",
            fix="Ask the PACS's administrator to allow them to our AE title, if they are needed." if lacking else "",
        )
    return agreement


def _matching(patient: Patient, source: DimseSource) -> None:
    abstract = model("STUDY", 1)
    with patient.step("Extended negotiation", needed=False) as looking:
        with associate(
            source.peer,
            [Proposal(abstract, SYNTAXES)],
            extended={abstract: bytes([1, 0, 1])},
            cancelled=patient.cancelled,
        ) as association:
            answer = association.agreement.extended.get(abstract, b"")
        patient.learned.relational, patient.learned.fuzzy = answer[0:1] == b"\1", answer[2:3] == b"\1"
        looking.say(
            f"relational queries: {'yes' if patient.learned.relational else 'no'}, fuzzy matching of names: "
            f"{'yes' if patient.learned.fuzzy else 'no'}"
        )


def _get(patient: Patient, source: DimseSource, found: Fetch | None) -> None:
    if found is None:
        patient.add("C-GET", "warn", "offered, and not tried: there is nothing to fetch")
        return
    probe = Probe()
    with patient.step("C-GET", needed=False) as looking:
        try:
            Get(source.peer).fetch(found, probe, patient.cancelled)
        except WayFailedError as exc:
            if not exc.again:
                patient.learned.refused["C-GET"] = exc.reason
            raise exc.error or PacsError(exc.reason) from exc
        patient.learned.refused.pop("C-GET", None)
        _worked(patient, "C-GET")
        looking.say(f"{probe.count} of {len(found.instances)} instances came, {probe.bytes / 1e6:.1f} MB")
        if probe.count < len(found.instances):
            looking.say(looking.found, status="warn", fix="Not all came: look into the log of the PACS.")
    if probe.count >= 4:
        with patient.step("Speed", needed=False) as looking:
            slow = Probe()
            Get(source.peer, quick_ack=False).fetch(found, slow, patient.cancelled)
            each = 1000 * slow.pause
            if slow.pause > _STALL and slow.pause > 2 * probe.pause:
                looking.say(f"{each:.0f} ms from one instance to the next", status="warn", fix=_STALL_FIX)
            else:
                looking.say(f"{each:.1f} ms from one instance to the next")


def _worked(patient: Patient, way: str) -> None:
    if way not in patient.learned.ways:
        patient.learned.ways = [*patient.learned.ways, way]


def _move(patient: Patient, source: DimseSource, found: Fetch | None, agreement: Agreement) -> None:
    server = source.server
    if agreement.context(model("STUDY", 2)) is None:
        patient.add("C-MOVE", "warn", agreement.refused.get(model("STUDY", 2), "not accepted"))
        return
    if not server.port:
        get_works = "C-GET" in patient.learned.ways
        patient.add(
            "C-MOVE", "ok" if get_works else "warn", "offered, and not used: no port is configured to receive at",
            "" if get_works else f"Set port=... and have the PACS know {server.calling!r} with this machine's address "
            "and that port.",
        )  # fmt: skip
        return
    if found is None:
        patient.add("C-MOVE", "warn", "offered, and not tried: there is nothing to fetch")
        return
    arrived: list[object] = []
    receiver = source.receiver()
    with patient.step("C-MOVE", needed=False) as looking, tempfile.TemporaryDirectory(prefix="slicer-pacs-") as folder:
        arrivals = Arrivals(
            Path(folder), None, refused=lambda _instance: None, arrived=arrived.extend, dropped=lambda _uid, _why: None
        )
        try:
            port = receiver.port()
            Move(source.peer, receiver).fetch(found, arrivals, patient.cancelled)
        except WayFailedError as exc:
            notes = f" The storage SCP here noted: {receiver.notes[-1]}." if receiver.notes else ""
            raise PacsError(exc.reason + notes, hint=_move_fix(server.calling, port, server.bind)) from exc
        finally:
            arrivals.close()
        _worked(patient, "C-MOVE")
        patient.learned.refused.pop("C-MOVE", None)
        if len(arrived) < len(found.instances):
            raise PacsError(
                f"{len(arrived)} of {len(found.instances)} instances came.",
                hint=_move_fix(server.calling, port, server.bind),
            )
        looking.say(f"{len(arrived)} instances came to {server.bind}:{port} as {server.calling!r}")


def _move_fix(calling: str, port: int, bind: str) -> str:
    loopback = " Our storage SCP listens on the loopback address only: bind=... for a PACS on another machine."
    return (
        f"The PACS must know {calling!r} as a destination with this machine's address and port {port}, and a firewall "
        f"must let it through.{loopback if bind in ('127.0.0.1', '::1', 'localhost') else ''}"
    )
