"""Connections: TLS, who asks, redirections, what is said when something fails, and that nothing secret is in a log."""

from __future__ import annotations

import logging
import socket
import time

import pytest

from slicer_notebook.errors import PacsAnswerError, PacsConfigError, PacsError, PacsRefusedError, PacsUnreachableError
from slicer_notebook.pacs.dicomweb.client import object_path
from slicer_notebook.pacs.dicomweb.failures import Place, of_exception, of_status
from slicer_notebook.pacs.dicomweb.transport import proxy_for
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Fetch, WayFailedError, never
from slicer_notebook.testing import free_port
from tests.pacs.dicomweb.certificates import Authority
from tests.pacs.dicomweb.faulty import Faulty, Reply, as_json, multipart, multipart_reply, study_item
from tests.pacs.dicomweb.tools import SECRETS, Memory, source_for


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def find(source, **keys):
    return list(source.find(build_query("STUDY", keys), never))


def failing(source, kind=PacsError, **keys) -> PacsError:
    with pytest.raises(kind) as error:
        find(source, **keys)
    assert error.value.details["server"] == "web"
    return error.value


def found(request):
    return as_json([study_item(1)] if "offset" not in request.query else [])


# -- no connection ----------------------------------------------------------------------------------------------------


def test_nobody_listens():
    error = failing(source_for(f"http://127.0.0.1:{free_port()}/dicom-web"), PacsUnreachableError)
    assert "nobody listens" in error.got
    assert error.hint


def test_a_name_that_nobody_knows():
    error = failing(source_for("http://no-such-host.invalid/dicom-web"), PacsUnreachableError)
    assert "'no-such-host.invalid' is not known" in error.got


def test_a_port_that_takes_no_connections_ends_with_the_timeout():
    # A backlog that is full: further connections are neither accepted nor refused.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = []
        for _ in range(4):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(server.getsockname())
        began = time.monotonic()
        error = failing(source_for(f"http://127.0.0.1:{server.getsockname()[1]}/x", connect_timeout=0.4))
        for each in waiting:
            each.close()
    assert isinstance(error, PacsUnreachableError)
    assert "within 0.4 s" in error.got
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("raw", "then", "kind", "words"),
    [
        (b"", "close", PacsUnreachableError, "closed before"),
        (b"", "reset", PacsUnreachableError, "reset"),
        (b"\x01\x00\x00\x00\x00\xcd" + bytes(80), "close", PacsAnswerError, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 3_000_000, "close", PacsAnswerError, "headers without end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[", "close", PacsUnreachableError, "closed before"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[", "close", PacsUnreachableError, "closed"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n[", "close", PacsAnswerError, "not HTTP"),
    ],
)  # fmt: skip
def test_what_comes_instead_of_an_answer(raw, then, kind, words):
    with Faulty(lambda request: Reply(raw=raw, then=then)) as server:
        error = failing(source_for(server.url), kind)
    assert words in error.got


def test_large_headers_that_end_are_no_problem():
    def handler(request):
        reply = found(request)
        reply.headers = {**reply.headers, "X-Long": "x" * 60_000}
        return reply

    with Faulty(handler) as server:
        assert len(find(source_for(server.url))) == 1


def test_an_idle_connection_that_the_server_has_closed_is_opened_anew():
    with Faulty(found) as server:
        source = source_for(server.url)
        find(source)
        server.handler = lambda request: Reply(raw=b"", then="close") if request.connection == 1 else found(request)
        assert len(find(source)) == 1


def test_every_status_has_words():
    place = Place("web", "http://h/x")
    for status in (*range(400, 418), 429, *range(500, 506), 302, 100):
        error = of_status(status, place, "QIDO-RS /studies")
        assert str(status) in error.got
        assert isinstance(error, PacsRefusedError) is (status in (401, 403, 407))
        assert error.details == {"server": "web", "status": status}


def test_an_unknown_exception_has_words_too():
    assert isinstance(of_exception(OSError(5, "Input/output error"), Place("web", "http://h/x")), PacsUnreachableError)


# -- TLS --------------------------------------------------------------------------------------------------------------


def test_a_certificate_of_a_named_authority_is_trusted(authority):
    with Faulty(found, authority.server_context()) as server:
        assert len(find(source_for(server.url, ca_file=str(authority.file)))) == 1


def test_many_megabytes_by_tls(authority):
    parts = [bytes([i]) * 1_500_000 for i in range(6)]
    for framing in ("length", "close", "chunked"):
        reply = multipart_reply(multipart(parts), framing=framing)
        with Faulty(lambda request, reply=reply: reply, authority.server_context()) as server:
            sink = Memory()
            source = source_for(server.url, ca_file=str(authority.file))
            source.ways()[0].fetch(Fetch(study="1.2"), sink, never)
        assert sink.done == parts


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({}, "not trusted"),
        ({"expired": True}, "expired"),
        ({"hosts": ("pacs.example",)}, "another"),
    ],
    ids=["unknown authority", "expired", "another name"],
)
def test_certificates_that_are_not_to_be_trusted(authority, tmp_path, context, words):
    hosts = context.pop("hosts", ())
    trusted = authority if context or hosts else Authority(tmp_path, "Somebody else")
    with Faulty(found, authority.server_context("server", *hosts, **context)) as server:
        error = failing(source_for(server.url, ca_file=str(trusted.file)), PacsUnreachableError)
        assert "TLS" in error.got
        assert words in error.got
        assert server.requests == []
        # By the user's own word alone.
        assert len(find(source_for(server.url, verify=False))) == 1


def test_a_port_that_does_not_speak_tls():
    with Faulty(found) as server:
        error = failing(source_for(server.url.replace("http:", "https:"), timeout=3.0), PacsError)
    assert "TLS" in error.got


def test_http_to_a_port_that_speaks_tls(authority):
    with Faulty(found, authority.server_context()) as server:
        error = failing(source_for(server.url.replace("https:", "http:")))
    assert isinstance(error, PacsUnreachableError | PacsAnswerError)


def test_a_client_certificate(authority):
    cert_file, key_file = authority.issue("notebook", password=SECRETS["env:API"])
    with Faulty(found, authority.server_context(clients=True)) as server:
        settings = {"ca_file": str(authority.file)}
        error = failing(source_for(server.url, **settings), PacsRefusedError)
        assert "client certificate" in error.hint
        settings |= {"cert_file": str(cert_file), "key_file": str(key_file), "key_password": "env:API"}
        assert len(find(source_for(server.url, **settings))) == 1
    with pytest.raises(PacsConfigError):
        source_for(server.url, **{**settings, "key_password": "env:TOKEN"})
    with pytest.raises(PacsConfigError):
        source_for(server.url, **{**settings, "cert_file": "/no/such/file"})


# -- redirections -----------------------------------------------------------------------------------------------------


def basic(url, **settings):
    return source_for(url, auth="basic", user="alice", password="env:PASSWORD", **settings)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_do_not_follow_a_redirection_to_another_host(status):
    with Faulty(found) as other:
        target = f"{other.url}/studies?PatientID=P77"
        with Faulty(lambda request: Reply(status, headers={"Location": target})) as server:
            error = failing(basic(server.url), PacsRefusedError, PatientID="P77")
        assert other.requests == []
    assert f"127.0.0.1:{other.port}" in error.got
    assert "P77" not in str(error)


def test_a_redirection_inside_the_root_is_followed():
    def handler(request):
        if request.path.endswith("/studies"):
            return Reply(307, headers={"Location": f"/dicom-web/studies/?{request.target.partition('?')[2]}"})
        return found(request)

    with Faulty(handler) as server:
        assert len(find(basic(server.url), PatientID="P1")) == 1
    assert server.requests[1].headers["authorization"]
    assert server.requests[1].query["PatientID"] == "P1"


@pytest.mark.parametrize(
    "location", ["/login?next=P77", "/dicom-web/../admin", "/dicom-web/%2e%2e/admin", "../elsewhere"]
)
def test_a_redirection_out_of_the_root_is_not_followed(location):
    with Faulty(lambda request: Reply(302, headers={"Location": location})) as server:
        error = failing(basic(server.url), PacsError)
    assert len(server.requests) == 1
    assert "P77" not in str(error)


def test_redirections_in_a_circle_end():
    with Faulty(lambda request: Reply(302, headers={"Location": request.target})) as server:
        failing(basic(server.url), PacsAnswerError)
    assert len(server.requests) < 10


# -- proxies ----------------------------------------------------------------------------------------------------------


def test_an_http_proxy():
    with Faulty(found) as proxy:
        assert len(find(basic("http://pacs.invalid/dicom-web", proxy=f"http://127.0.0.1:{proxy.port}"))) == 1
    assert proxy.requests[0].target.startswith("http://pacs.invalid/dicom-web/studies?")


def test_a_proxy_that_is_not_there_and_one_that_refuses():
    error = failing(basic("http://pacs.invalid/x", proxy=f"http://127.0.0.1:{free_port()}"), PacsUnreachableError)
    assert "proxy" in str(error)
    with Faulty(lambda request: Reply(407)) as proxy:
        failing(basic("https://pacs.invalid/x", proxy=f"http://127.0.0.1:{proxy.port}"), PacsUnreachableError)


def test_which_proxy_is_used(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "intern.example")
    assert proxy_for("https://pacs.example/x", "") == "http://proxy.example:3128"
    assert proxy_for("https://pacs.example/x", "direct") == ""
    assert proxy_for("https://pacs.example/x", "socks5://127.0.0.1:1") == "socks5://127.0.0.1:1"
    assert proxy_for("https://intern.example/x", "") == ""
    assert proxy_for("https://127.0.0.1/x", "") == ""
    assert proxy_for("https://localhost/x", "") == ""


# -- what must be in no log -------------------------------------------------------------------------------------------


def test_logs_hold_neither_secrets_nor_patients(caplog):
    with caplog.at_level(logging.DEBUG), Faulty(found) as server:
        source = basic(server.url, headers={"X-Api-Key": "env:API"})
        answers = source.find(build_query("STUDY", {"PatientName": "Secretname*"}), never)
        next(answers)
        answers.close()
        wanted = Fetch(study="1.2." + "77")  # the line itself is in the traceback
        with pytest.raises(WayFailedError) as error:
            source.ways()[0].fetch(wanted, Memory(), never)
        logging.getLogger("a.user").error("it failed", exc_info=error.value)
        source.close()
    text = caplog.text
    for secret in ("Secretname", "geheim", "k3y", "Z2VoZWlt", "1.2.77", "studies?"):
        assert secret not in text


def test_other_uses_of_httpx_are_logged_as_ever(caplog):
    import httpx

    with caplog.at_level(logging.INFO), Faulty(found) as server:
        find(source_for(server.url))
        httpx.get(f"http://127.0.0.1:{server.port}/other", trust_env=False)
    assert "/other" in caplog.text
    assert "/studies" not in caplog.text


def test_objects_show_nothing_secret(authority):
    with Faulty(found) as server:
        source = basic(server.url)
        find(source)
        shown = repr([vars(source), vars(source._http), source._http.credentials.applied("/studies", never)])
    assert "geheim" not in shown
    assert "Z2VoZWlt" not in shown


@pytest.mark.parametrize("uid", ["", ".", "..", "1/2", " "])
def test_what_cannot_be_a_uid_is_no_part_of_a_path(uid):
    with pytest.raises(ValueError, match="UID"):
        object_path(uid)


def test_paths():
    assert object_path("1.2") == "/studies/1.2"
    assert object_path("1.2", "3.4", "5?6") == "/studies/1.2/series/3.4/instances/5%3F6"


@pytest.mark.parametrize("url", ["ftp://h/x", "https://user:geheim@h/x", "https:///x", "https://h:x/y"])
def test_addresses_that_are_none(url):
    with pytest.raises(PacsConfigError) as error:
        source_for(url)
    assert "geheim" not in str(error.value)
