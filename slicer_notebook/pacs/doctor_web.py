"""What the doctor looks at where a PACS is spoken to by HTTP: DICOMweb, Kheops, WADO-URI."""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import urlsplit

from slicer_notebook.errors import PacsAnswerError, PacsError
from slicer_notebook.pacs import signing
from slicer_notebook.pacs.checks import auth_of
from slicer_notebook.pacs.dicomweb.client import object_path
from slicer_notebook.pacs.dicomweb.source import DicomWebSource
from slicer_notebook.pacs.dimse.transport import connect
from slicer_notebook.pacs.doctor import Patient, Probe, sample
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Fetch, Source, WayFailedError
from slicer_notebook.pacs.tls import client_context

__all__ = ["examine_web"]

#: How many times longer a compressed answer may take before it is said.
_SLOWER: Final = 3.0
_GZIP_FIX: Final = (
    "The server compresses pixel data for whoever lets it, and that takes longer than to send them. This client asks "
    "for them as they are; for the others, switch it off in the server (Orthanc: HttpCompressionEnabled false)."
)
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")


def examine_web(patient: Patient, source: Source) -> None:
    """Name, port, TLS, path and authorisation of the query, paging, each way to fetch, metadata, pictures, compression.

    Raises:
        PointlessError: something that all the rest needs failed.
    """
    server = source.server if isinstance(source, DicomWebSource) else patient.server
    further = server.kind == "dimse"
    root = (server.web or server.wado) if further else server.url.removeprefix("kheops+")
    _connection(patient, root, needed=not further)
    if not isinstance(source, DicomWebSource):
        patient.add("WADO-URI", "ok", "configured; it is tried when something is fetched")
        return
    _signing_in(patient, source, needed=not further)
    found: Fetch | None = None
    with patient.step("Query (QIDO-RS)", needed=not further) as looking:
        began = time.monotonic()
        found = sample(source, patient.cancelled)
        took = time.monotonic() - began
        what = "answered" if found is not None else "answered; it holds nothing yet, or nothing for this user"
        looking.say(f"{what} ({took:.2f} s)")
        if source.learned.implementation:
            patient.learned.implementation = source.learned.implementation
    if found is None:
        return
    _paging(patient, source)
    for way in source.ways():
        probe = Probe()
        with patient.step(way.name, needed=False) as looking:
            try:
                way.fetch(found, probe, patient.cancelled)
            except WayFailedError as exc:
                if not exc.again:
                    patient.learned.refused[way.name] = exc.reason
                raise exc.error if isinstance(exc.error, PacsError) else PacsError(exc.reason) from exc
            patient.learned.refused.pop(way.name, None)
            if way.name not in patient.learned.ways:
                patient.learned.ways = [way.name, *patient.learned.ways]
            looking.say(f"{probe.count} of {len(found.instances)} instances came, {probe.bytes / 1e6:.1f} MB")
    _metadata_and_pictures(patient, source, found)
    _compression(patient, source, found)


def _connection(patient: Patient, root: str, *, needed: bool) -> None:
    parts = urlsplit(root)
    host, secure = parts.hostname or "", parts.scheme.lower() == "https"
    port = parts.port or (443 if secure else 80)
    server = patient.server
    if server.proxy:
        patient.add("Name and port", "ok", "asked through the configured proxy")
        return
    with patient.step("Name and port (HTTP)", needed=needed) as looking:
        began = time.monotonic()
        connect(
            host, port, timeout=server.connect_timeout, tls=None, peer=server.name, cancelled=patient.cancelled
        ).close()
        looking.say(f"{host}:{port} accepts connections ({1000 * (time.monotonic() - began):.0f} ms)")
    if secure:
        with patient.step("TLS (HTTP)", needed=needed) as looking:
            from slicer_notebook.pacs.secrets import secret

            context = client_context(server, secret(server, "key_password") if server.key_password else "")
            sock = connect(
                host, port, timeout=server.connect_timeout, tls=context, peer=server.name, cancelled=patient.cancelled
            )
            version = getattr(sock, "version", lambda: "")()
            sock.close()
            checked = "certificate and host name checked" if server.verify else "certificate NOT checked"
            looking.say(f"{version}, {checked}", status="ok" if server.verify else "warn")
    elif host not in _LOCAL:
        patient.add(
            "TLS (HTTP)", "warn", "not used", "Whoever listens on the way sees patients' data and tokens: https://"
        )


def _signing_in(patient: Patient, source: DicomWebSource, *, needed: bool) -> None:
    auth = auth_of(patient.server)
    if auth not in ("client_credentials", "device_code"):
        return
    with patient.step("Token (OAuth 2)", needed=needed) as looking:
        source.signed_in(patient.cancelled)
        if auth == "client_credentials":
            looking.say("the authorisation server gives one")
        elif signing.kept(patient.server):
            looking.say("signed in; what renews it is in the keyring")
        else:
            looking.say(
                "signed in, until this program ends",
                fix="Here is no keyring, or the server gives nothing that renews a token: somebody signs in each time.",
            )


def _paging(patient: Patient, source: DicomWebSource) -> None:
    with patient.step("Paging", needed=False) as looking:
        list(source.find(build_query("STUDY", {}, limit=250), patient.cancelled))
        patient.learned.paging = source.learned.paging
        if source.learned.paging is False:
            looking.say("limit or offset is ignored; answers are asked for at once", status="warn")
        else:
            looking.say("as it should be" if source.learned.paging else "too few studies to tell")


def _metadata_and_pictures(patient: Patient, source: DicomWebSource, found: Fetch) -> None:
    series, instance = found.series or "", found.instances[0]
    with patient.step("Metadata", needed=False) as looking:
        count = sum(1 for _ in source.metadata_items(found.study, series, instance, patient.cancelled))
        looking.say(f"of {count} instance")
    with patient.step("Pictures", needed=False) as looking:
        try:
            picture = source.thumbnail(found.study, series, size=64, cancelled=patient.cancelled)
            which = "thumbnail" if source.learned.thumbnail else "rendered"
            looking.say(f"/{which}, {len(picture)} bytes")
        except PacsAnswerError as exc:
            looking.say(exc.message, status="warn", fix="Thumbnails are made of one instance that is fetched.")
    patient.learned.rendered, patient.learned.thumbnail = source.learned.rendered, source.learned.thumbnail


def _compression(patient: Patient, source: DicomWebSource, found: Fetch) -> None:
    path = object_path(found.study, found.series, found.instances[0])
    with patient.step("Compression", needed=False) as looking:
        plain, squeezed = (_timed(source, path, patient, packed=packed) for packed in (False, True))
        if squeezed > _SLOWER * plain and squeezed - plain > 0.005:
            looking.say(
                f"an instance takes {1000 * squeezed:.0f} ms compressed, {1000 * plain:.0f} ms as it is",
                status="warn",
                fix=_GZIP_FIX,
            )
        else:
            looking.say(f"an instance takes {1000 * plain:.0f} ms")


def _timed(source: DicomWebSource, path: str, patient: Patient, *, packed: bool) -> float:
    """Seconds that an instance takes; the best of three."""
    best = 1e9
    for _ in range(3):
        began = time.monotonic()
        with source.http.stream(
            path,
            what="WADO-RS",
            accept='multipart/related; type="application/dicom"; transfer-syntax=*',
            packed=packed,
            cancelled=patient.cancelled,
        ) as answer:
            for _chunk in answer.check().chunks():
                pass
        best = min(best, time.monotonic() - began)
    return best
