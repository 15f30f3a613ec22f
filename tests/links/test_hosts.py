"""Addresses as links name them, and where they lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicer_notebook.links.hosts import NoAddressError, address_of, host_of, whereabouts


@pytest.mark.parametrize(
    ("written", "host", "where"),
    [
        ("localhost", "localhost", "loopback"),
        ("LocalHost.", "localhost", "loopback"),
        ("a.localhost", "a.localhost", "loopback"),
        ("127.0.0.1", "127.0.0.1", "loopback"),
        ("127.1", "127.0.0.1", "loopback"),
        ("0x7f.1", "127.0.0.1", "loopback"),
        ("0177.0.0.01", "127.0.0.1", "loopback"),
        ("2130706433", "127.0.0.1", "loopback"),
        ("0x7f000001", "127.0.0.1", "loopback"),
        ("127.65535", "127.0.255.255", "loopback"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1", "loopback"),
        ("127\u30020.0.1", "127.0.0.1", "loopback"),
        ("[::1]", "::1", "loopback"),
        ("[0:0:0:0:0:0:0:1]", "::1", "loopback"),
        ("[::ffff:127.0.0.1]", "::ffff:7f00:1", "loopback"),
        ("169.254.169.254", "169.254.169.254", "link-local"),
        ("0xa9.0xfe.0xa9.0xfe", "169.254.169.254", "link-local"),
        ("2852039166", "169.254.169.254", "link-local"),
        ("[fe80::1]", "fe80::1", "link-local"),
        ("[::ffff:169.254.1.1]", "::ffff:a9fe:101", "link-local"),
        ("[64:ff9b::a9fe:a9fe]", "64:ff9b::a9fe:a9fe", "link-local"),
        ("[2002:a9fe:a9fe::]", "2002:a9fe:a9fe::", "link-local"),
        ("[::169.254.169.254]", "::a9fe:a9fe", "link-local"),
        ("[fd00:ec2::254]", "fd00:ec2::254", "link-local"),
        ("10.1.2.3", "10.1.2.3", "private"),
        ("192.168.0.1", "192.168.0.1", "private"),
        ("100.64.0.1", "100.64.0.1", "private"),
        ("[fc00::1]", "fc00::1", "private"),
        ("8.8.8.8", "8.8.8.8", "public"),
        ("[2606:4700::1111]", "2606:4700::1111", "public"),
        ("0.0.0.0", "0.0.0.0", "nowhere"),
        ("0.1.2.3", "0.1.2.3", "nowhere"),
        ("[::]", "::", "nowhere"),
        ("255.255.255.255", "255.255.255.255", "nowhere"),
        ("240.0.0.1", "240.0.0.1", "nowhere"),
        ("224.0.0.1", "224.0.0.1", "nowhere"),
        ("[ff02::1]", "ff02::1", "nowhere"),
        ("PACS.Hospital.example", "pacs.hospital.example", "name"),
        ("m\u00fcnchen.example", "xn--mnchen-3ya.example", "name"),
        ("pacs_1", "pacs_1", "name"),
        ("127.0.0.1.example", "127.0.0.1.example", "name"),
    ],
)
def test_where_a_host_leads(written: str, host: str, where: str) -> None:
    assert host_of(written) == host
    assert whereabouts(host) == where
    assert address_of(f"http://{written}:8042/a").host == host


@pytest.mark.parametrize(
    "host",
    [
        "", ".", "-a", "a-", "a..b", "256.1.1.1", "1.2.3.256", "1.2.3.4.5", "08.1.1.1", "0xg.1", "4294967296",
        "1.16777216", "[::1", "[]", "[::1%25eth0]", "[1.2.3.4]", "a b", "a%2eb", "a\u2028b", "x" * 64,
        ".".join(["a" * 60] * 5), "9" * 5000,
    ],
)  # fmt: skip
def test_no_host(host: str) -> None:
    with pytest.raises(NoAddressError):
        host_of(host)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/", "file:///etc/passwd", "//host/share", "\\\\host\\share", "http:/host", "http:host", "http://",
        "http:///path", "https://host:0/", "https://host:65536/", "https://host:80:80/", "https://host:x/",
        "https://a@b@c/", "https://host\\@evil/", "https://ho st/", "https://host/a b", "https://host/\x00",
        "javascript:alert(1)", "host/path", "http://[::1]x/", "https://host/<>",
    ],
)  # fmt: skip
def test_no_address(url: str) -> None:
    with pytest.raises(NoAddressError):
        address_of(url)


def test_an_address_in_parts() -> None:
    found = address_of("HTTPS://al%3Aice:s%40cret@Host.Example:8443/dicom-web/x?a=1#there")
    assert (found.scheme, found.host, found.port) == ("https", "host.example", 8443)
    assert (found.user, found.password) == ("al:ice", "s@cret")
    assert found.url == "https://host.example:8443/dicom-web/x?a=1"
    assert "s@cret" not in repr(found)
    assert "dicom-web" not in repr(found)
    assert address_of("http://127.1:80").url == "http://127.0.0.1"
    assert address_of("http://[::1]:81/x").origin == "http://[::1]:81"
    assert not address_of("https://host/link").has_token
    assert address_of("https://host/api/link/T/studies").has_token
    assert address_of("https://host/api/%6cink/T").has_token
    assert address_of("https://host/x?a=1&access_token=T").has_token


@given(st.text(max_size=200) | st.text("0123456789abcdefx.:[]%@/", max_size=80).map(lambda rest: f"http://{rest}"))
def test_any_text_is_an_address_or_none(text: str) -> None:
    try:
        found = address_of(text)
    except NoAddressError:
        return
    assert address_of(found.url).host == found.host  # what was understood reads the same a second time
