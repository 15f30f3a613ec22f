"""TLS of DIMSE, as the client and as the receiver, with real peers: who is trusted, and who is not."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.errors import ArgumentError, PacsConfigError, PacsError, PacsUnreachableError
from slicer_notebook.pacs import config
from slicer_notebook.pacs.named import test as examine  # not collected under this name
from slicer_notebook.pacs.receiver_client import ReceiverClient
from slicer_notebook.pacs.server import Server
from slicer_notebook.pacs.tls import client_context
from slicer_notebook.testing import free_port
from tests.pacs.dicomweb.certificates import Authority
from tests.pacs.peers.data import Data
from tests.pacs.peers.liar import Liar
from tests.pacs.retrieving import opened, until
from tests.pacs.test_receiver import PACS, Kept

DEADLINE = 30.0

#: It is what is refused here.
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
needs_storescu = pytest.mark.skipif(shutil.which("storescu") is None, reason="storescu is not installed")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody here trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "Somebody else")


def up_to(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    """The context, which speaks no newer version: what OpenSSL has of old ones is switched on for it."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    return context


def version_of(port: int, context: ssl.SSLContext, host: str = "127.0.0.1") -> str | None:
    """The version that a client gets at a port."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as plain,
        context.wrap_socket(plain, server_hostname=host) as sock,
    ):
        return sock.version()


# -- as the client ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def peer(context: ssl.SSLContext) -> Iterator[Liar]:
    with Liar(tls=context) as liar:
        yield liar


def asked(folder: Path, url: str, **settings: Any) -> list[Any]:
    with opened(folder, url, **{"timeout": 5.0, "connect_timeout": 5.0, **settings}) as pacs:
        return list(pacs.find(PatientID="X"))


def refused(folder: Path, url: str, **settings: Any) -> PacsUnreachableError:
    with pytest.raises(PacsUnreachableError) as error:
        asked(folder, url, **settings)
    assert error.value.details["stage"] == "tls"
    return error.value


def test_the_right_certificate(authority: Authority, tmp_path: Path) -> None:
    with peer(authority.server_context()) as liar:
        assert asked(tmp_path, liar.url, ca_file=str(authority.file)) == []
        assert [each.service for each in liar.asked] == ["associate", "find"]


def test_a_study_comes_and_goes_by_tls(authority: Authority, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    with (
        Liar(study.instances.values(), tls=authority.server_context()) as liar,
        opened(tmp_path, liar.url, ca_file=str(authority.file)) as pacs,
    ):
        report = pacs.retrieve(study=study.uid).result(60)
        assert report.complete
        assert report.received == len(study.instances)
        assert pacs.store(*study.instances.values()).result(60).complete
        assert set(liar.stored) == set(study.instances)


def test_a_certificate_of_another_name(authority: Authority, tmp_path: Path) -> None:
    with peer(authority.server_context("other", "pacs.example")) as liar:
        error = refused(tmp_path, liar.url, ca_file=str(authority.file))
        assert "certificate was not accepted" in (error.got or "")
        assert "127.0.0.1" in (error.got or "")
        assert "name" in (error.hint or "")
        # A name that leads to the same address is no better.
        error = refused(tmp_path, liar.url.replace("127.0.0.1", "localhost"), ca_file=str(authority.file))
        assert "'localhost'" in (error.got or "")
        assert liar.asked == []


def test_an_authority_that_nobody_knows(authority: Authority, stranger: Authority, tmp_path: Path) -> None:
    with peer(stranger.server_context()) as liar:
        for settings in ({}, {"ca_file": str(authority.file)}):
            error = refused(tmp_path, liar.url, **settings)
            assert "certificate was not accepted" in (error.got or "")
            assert "ca_file" in (error.hint or "")
        assert liar.asked == []
        assert asked(tmp_path, liar.url, verify=False) == []  # by the user's own word alone


def test_a_certificate_that_has_run_out(authority: Authority, tmp_path: Path) -> None:
    with peer(authority.server_context("late", expired=True)) as liar:
        assert "expired" in (refused(tmp_path, liar.url, ca_file=str(authority.file)).got or "")


def test_versions_before_1_2_are_refused(authority: Authority, tmp_path: Path) -> None:
    with peer(up_to(authority.server_context("old"), ssl.TLSVersion.TLSv1_1)) as liar:
        trusting = up_to(ssl.create_default_context(cafile=authority.file), ssl.TLSVersion.TLSv1_1)
        assert version_of(liar.port, trusting) == "TLSv1.1"  # it does speak that
        error = refused(tmp_path, liar.url, ca_file=str(authority.file))
        assert "handshake failed" in (error.got or "")
        refused(tmp_path, liar.url, verify=False)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = authority.server_context("new")
        context.minimum_version = context.maximum_version = version
        with peer(context) as liar:
            assert asked(tmp_path, liar.url, ca_file=str(authority.file)) == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_that_wants_our_certificate(
    authority: Authority, stranger: Authority, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = authority.server_context("strict", clients=True)
    context.minimum_version = context.maximum_version = version
    cert_file, key_file = authority.issue("notebook")
    wrong_cert, wrong_key = stranger.issue("notebook")
    with peer(context) as liar:
        trusting = {"ca_file": str(authority.file)}
        assert "cert_file" in (refused(tmp_path, liar.url, **trusting).hint or "")
        refused(tmp_path, liar.url, **trusting, cert_file=str(wrong_cert), key_file=str(wrong_key))
        assert liar.asked == []
        assert asked(tmp_path, liar.url, **trusting, cert_file=str(cert_file), key_file=str(key_file)) == []


def test_a_peer_without_tls_is_not_spoken_to_in_the_clear(tmp_path: Path) -> None:
    with Liar() as liar:
        error = refused(tmp_path, liar.url.replace("dimse://", "dimses://"), timeout=2.0, connect_timeout=2.0)
        assert "TLS" in (error.got or "") + (error.hint or "")
        assert liar.asked == []


def test_a_peer_with_tls_that_is_called_without(authority: Authority, tmp_path: Path) -> None:
    with peer(authority.server_context()) as liar, pytest.raises(PacsError) as error:
        asked(tmp_path, liar.url.replace("dimses://", "dimse://"), timeout=2.0)
    assert "dimses://" in str(error.value)


def test_the_doctor_names_what_is_wrong_with_a_certificate(authority: Authority, tmp_path: Path) -> None:
    def step(url: str, **settings: Any) -> Any:
        config.add("peer", url, path=tmp_path / "pacs.toml", replace=True, **settings)
        return next(each for each in examine("peer", path=tmp_path / "pacs.toml").steps if each.name == "TLS")

    with peer(authority.server_context()) as liar:
        well = step(liar.url, ca_file=str(authority.file))
        assert (well.status, well.found) == ("ok", "TLSv1.3, certificate and host name checked")
        assert step(liar.url).status == "fail"
        assert step(liar.url, verify=False).status == "warn"


def test_files_that_are_no_certificates(authority: Authority, tmp_path: Path) -> None:
    cert_file, key_file = authority.issue("locked", password="r1ght")
    _, other_key = authority.issue("another")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for settings in (
        {"ca_file": str(nonsense)},
        {"cert_file": str(nonsense)},
        {"cert_file": str(cert_file), "key_file": str(other_key)},
        {"cert_file": str(cert_file), "key_file": str(key_file)},
    ):
        with pytest.raises(PacsConfigError, match="certificates of 'peer'") as error:
            client_context(Server(name="peer", url="dimses://A@127.0.0.1:1", **settings), "wr0ng")
        assert "wr0ng" not in str(error.value) + repr(error.value.__cause__)
    client_context(
        Server(name="peer", url="dimses://A@127.0.0.1:1", cert_file=str(cert_file), key_file=str(key_file)), "r1ght"
    )


# -- the receiver -----------------------------------------------------------------------------------------------------


class Receiving:
    """A receiver with TLS that expects a study, and dcmtk's storescu as the PACS that sends it."""

    def __init__(self, folder: Path, authority: Authority, data: Data, **settings: Any) -> None:
        cert_file, key_file = authority.issue("receiver", "127.0.0.1", "localhost")
        self.port = free_port()
        settings = {"cert_file": str(cert_file), "key_file": str(key_file), "tls_receiver": True, **settings}
        server = Server(name="peer", url=f"dimse://{PACS}@127.0.0.1:104", calling="OURS", port=self.port, **settings)
        self.client = ReceiverClient(server, folder=folder / "run")
        self.study = data.study("thorax")
        self.sink = Kept(folder)
        self.authority = authority

    def send(self, *options: str) -> int:
        """Send an instance; storescu's exit code."""
        path = next(iter(self.study.instances.values()))
        command = ["storescu", "-aet", PACS, "-aec", "OURS", *options, "127.0.0.1", str(self.port), str(path)]
        return subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False).returncode

    def certificate(self, authority: Authority | None = None) -> list[str]:
        """Options for a certificate of the PACS."""
        cert_file, key_file = (authority or self.authority).issue("pacs")
        return ["+tls", str(key_file), str(cert_file), "+cf", str(self.authority.file)]

    def noted(self, text: str) -> None:
        until(lambda: any(text in note for note in self.client.notes))


@contextlib.contextmanager
def receiving(folder: Path, authority: Authority, data: Data, **settings: Any) -> Iterator[Receiving]:
    found = Receiving(folder, authority, data, **settings)
    try:
        with found.client.expecting(found.study.uid, found.sink):
            yield found
    finally:
        found.client.close()


@needs_storescu
def test_what_comes_with_tls_is_taken_and_what_does_not_is_not(
    authority: Authority, pacs_data: Data, tmp_path: Path
) -> None:
    with receiving(tmp_path, authority, pacs_data) as receiver:
        assert receiver.send() != 0
        receiver.noted("the TLS handshake failed")
        assert receiver.sink.files == []
        assert receiver.send("+tla", "+cf", str(authority.file)) == 0
        until(lambda: len(receiver.sink.files) == 1)


@needs_storescu
def test_the_sender_can_check_the_receiver(
    authority: Authority, stranger: Authority, pacs_data: Data, tmp_path: Path
) -> None:
    with receiving(tmp_path, authority, pacs_data) as receiver:
        assert receiver.send("+tla", "+cf", str(stranger.file)) != 0
        assert version_of(receiver.port, ssl.create_default_context(cafile=authority.file)) == "TLSv1.3"
        assert receiver.sink.files == []


@needs_storescu
def test_with_an_authority_the_sender_must_show_a_certificate(
    authority: Authority, stranger: Authority, pacs_data: Data, tmp_path: Path
) -> None:
    with receiving(tmp_path, authority, pacs_data, ca_file=str(authority.file)) as receiver:
        assert receiver.send("+tla", "+cf", str(authority.file)) != 0
        receiver.noted("the TLS handshake failed")
        assert receiver.send(*receiver.certificate(stranger)) != 0
        assert receiver.sink.files == []
        assert receiver.send(*receiver.certificate()) == 0
        until(lambda: len(receiver.sink.files) == 1)


def test_the_receiver_refuses_versions_before_1_2(authority: Authority, pacs_data: Data, tmp_path: Path) -> None:
    with receiving(tmp_path, authority, pacs_data) as receiver:
        trusting = up_to(ssl.create_default_context(cafile=authority.file), ssl.TLSVersion.TLSv1_1)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            version_of(receiver.port, trusting)
        trusting = up_to(ssl.create_default_context(cafile=authority.file), ssl.TLSVersion.TLSv1_2)
        assert version_of(receiver.port, trusting) == "TLSv1.2"


def test_a_receiver_with_tls_is_never_one_without(pacs_data: Data, tmp_path: Path) -> None:
    url = f"dimse://{PACS}@127.0.0.1:104"
    with pytest.raises(PacsConfigError, match="has no certificate"):
        ReceiverClient(Server(name="peer", url=url, port=free_port(), tls_receiver=True), folder=tmp_path)
    with pytest.raises(ArgumentError, match="tls_receiver without a certificate"):
        config.add("peer", url, path=tmp_path / "pacs.toml", port=11113, tls_receiver=True)


def test_two_pacs_with_other_certificates_cannot_share_a_receiver(
    authority: Authority, pacs_data: Data, tmp_path: Path
) -> None:
    with receiving(tmp_path, authority, pacs_data) as receiver:
        plain = ReceiverClient(
            Server(name="other", url="dimse://B@127.0.0.1:104", port=receiver.port), folder=tmp_path / "run"
        )
        with pytest.raises(PacsConfigError, match="other certificates"), plain.expecting("1.2.3", Kept(tmp_path)):
            pass
        plain.close()
