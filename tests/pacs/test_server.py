"""Addresses, and what is shown of a configured server."""

from __future__ import annotations

import pytest
import rich.console

from slicer_notebook.errors import ArgumentError
from slicer_notebook.pacs.server import AE_TITLE, DimseAddress, Learned, Server, dimse_address, is_reference, shown_url

PLANTED = "hunter22"
TOKEN = "Ab3dEf6hIj9lMn2pQr5tUv"


@pytest.mark.parametrize(("url", "address"), [
    ("dimse://ORTHANC@127.0.0.1:4242", DimseAddress("ORTHANC", "127.0.0.1", 4242, False)),
    ("DIMSES://A@host.example:11112/", DimseAddress("A", "host.example", 11112, True)),
    ("dimse://MY%20PACS@[::1]:104", DimseAddress("MY PACS", "::1", 104, False)),
    ("dimse://0123456789ABCDEF@h:65535", DimseAddress("0123456789ABCDEF", "h", 65535, False)),
])  # fmt: skip
def test_an_address_is_taken_apart(url: str, address: DimseAddress) -> None:
    assert dimse_address(url) == address


@pytest.mark.parametrize(("url", "problem"), [
    ("https://A@host:1", "scheme"),
    ("host:1", "scheme"),
    ("dimse://host:1", "AE title ''"),
    ("dimse://0123456789ABCDEFG@h:1", "AE title"),
    ("dimse://A%5CB@h:1", "AE title"),
    ("dimse://%20%20@h:1", "AE title"),
    ("dimse://A@:1", "no host"),
    ("dimse://A@h", "no port"),
    ("dimse://A@h:0", "no port"),
    ("dimse://A@h:65536", "no port"),
    ("dimse://A@h:x", "no port"),
    ("dimse://A@[::1:104", "no host"),
    ("dimse://A@h:1/path", "behind the port"),
    ("dimse://A@h:1?a=b", "behind the port"),
])  # fmt: skip
def test_what_is_no_address_is_told(url: str, problem: str) -> None:
    with pytest.raises(ArgumentError, match="no address of a DIMSE peer") as caught:
        dimse_address(url)
    assert problem in (caught.value.got or "")


@pytest.mark.parametrize("url", [
    f"dimse://A:{PLANTED}@h:104",
    f"dimse://A:{PLANTED}/x@h:104",
    f"dimse://A:x/{PLANTED}@h:104",
    f"dimse://A:1?{PLANTED}@h:104",
    f"dimse://A:{PLANTED}@h:99999",
    f"dimse://A:{PLANTED}@[h:1",
    f"dimse://A@h:1?token={PLANTED}",
    f"dimse://A@h:1#{PLANTED}",
    f"https://A:{PLANTED}@h:1",
    f"A:{PLANTED}@h:1",
])  # fmt: skip
def test_no_error_shows_a_password(url: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        dimse_address(url)
    assert PLANTED not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(("url", "shown"), [
    ("https://host:8042/dicom-web", "https://host:8042/dicom-web"),
    ("dimse://A@h:1", "dimse://A@h:1"),
    (f"https://u:{PLANTED}@host/x", "https://***@host/x"),
    (f"https://{PLANTED}@host/x", "https://***@host/x"),
    (f"https://host/x?token={PLANTED}", "https://host/x?..."),
    (f"https://host/x#{PLANTED}\nmore", "https://host/x?..."),
    (f"https://host/view/{TOKEN}", "https://host/view/***"),
    (f"https://host/api/link/{TOKEN}/studies", "https://host/api/link/***/studies"),
    ("", ""),
])  # fmt: skip
def test_a_url_is_shown_without_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize("title", ["A", "0123456789ABCDEF", "with space", " X", "[]^~!"])
def test_ae_titles(title: str) -> None:
    assert AE_TITLE.fullmatch(title)


@pytest.mark.parametrize("title", ["", " ", "0123456789ABCDEFG", "A\\B", "Ä", "A\n", "A\tB", "\x7f"])
def test_no_ae_titles(title: str) -> None:
    assert not AE_TITLE.fullmatch(title)


@pytest.mark.parametrize(("url", "kind"), [
    ("dimse://A@h:1", "dimse"),
    ("DIMSES://A@h:1", "dimse"),
    ("https://h/dicom-web", "dicomweb"),
    ("kheops+https://h/api", "kheops"),
    ("KHEOPS+http://h/api", "kheops"),
])  # fmt: skip
def test_the_protocol_is_the_schemes(url: str, kind: str) -> None:
    assert Server(name="x", url=url).kind == kind


@pytest.mark.parametrize("value", ["keyring", "env:A", "env:_b_1"])
def test_references(value: str) -> None:
    assert is_reference(value)


@pytest.mark.parametrize("value", ["", "env:", "env:1A", "env:A-B", "env:A\n", "KEYRING", "keyring ", PLANTED])
def test_no_references(value: str) -> None:
    assert not is_reference(value)


def test_a_server_shows_references_and_no_secret() -> None:
    server = Server(
        name="web",
        url=f"https://u:{PLANTED}@host/dicom-web",
        password=PLANTED,
        token="env:TOKEN",
        headers={"X-Api-Key": PLANTED, "X-Other": "keyring"},
        proxy=f"http://u:{PLANTED}@proxy",
        learned=Learned(paging=True),
    )
    sink = rich.console.Console(record=True, width=300)
    sink.print(server)
    for text in (repr(server), str(server), f"{[server]}", sink.export_text()):
        assert PLANTED not in text
        assert "env:TOKEN" in text
        assert "keyring" in text
        assert "paging" in text
    assert repr(Server(name="a", url="dimse://A@h:1")) == "Server(name='a', url='dimse://A@h:1')"
