"""Who asks: Basic, bearer tokens, OAuth2; a token is renewed once for all threads, and nothing secret is shown."""

from __future__ import annotations

import threading
import time
import traceback

import pytest

from slicer_notebook.errors import PacsConfigError, PacsRefusedError
from tests.pacs.dicomweb.faulty import Faulty, Reply, as_json
from tests.pacs.dicomweb.test_client import failing, find, found
from tests.pacs.dicomweb.tools import SECRETS, source_for


def test_basic_and_further_headers():
    with Faulty(found) as server:
        source = source_for(
            server.url, auth="basic", user="älice", password="env:PASSWORD",
            headers={"X-Api-Key": "env:API", "Accept-Language": "de"},
        )  # fmt: skip
        find(source)
    headers = server.requests[0].headers
    assert headers["authorization"] == "Basic w6RsaWNlOmdlaGVpbToxMjM="  # UTF-8 of älice:geheim:123
    assert (headers["x-api-key"], headers["accept-language"]) == ("k3y", "de")


def test_no_credentials_where_none_are_configured():
    with Faulty(found) as server:
        find(source_for(server.url))
    assert "authorization" not in server.requests[0].headers


def test_a_bearer_token_that_was_replaced_is_read_anew(monkeypatch):
    monkeypatch.setitem(SECRETS, "env:TOKEN", "old")

    def handler(request):
        return found(request) if request.headers["authorization"] == "Bearer new" else Reply(401)

    with Faulty(handler) as server:
        source = source_for(server.url, auth="bearer", token="env:TOKEN")
        error = failing(source, PacsRefusedError)
        assert error.details["status"] == 401
        assert len(server.requests) == 1  # there was nothing newer to try with
        monkeypatch.setitem(SECRETS, "env:TOKEN", "new\n")
        assert len(find(source)) == 1


class Issuer:
    """An OAuth2 server and an archive that takes its newest token alone."""

    def __init__(self, *, in_form=False, refuses=""):
        self.count = 0
        self.valid = ""
        self.in_form = in_form
        self.refuses = refuses
        self.lock = threading.Lock()
        self.forms = []

    def __call__(self, request):
        if request.path.startswith("/oauth"):
            return self.token(request)
        return found(request) if request.headers.get("authorization") == f"Bearer {self.valid}" else Reply(401)

    def token(self, request):
        form = dict(request.form)
        self.forms.append(form)
        if self.refuses:
            return as_json({"error": self.refuses, "error_description": "Secretname"}, 400, "application/json")
        if self.in_form and "client_secret" not in form:
            return as_json({"error": "invalid_client"}, 401, "application/json")
        with self.lock:
            self.count += 1
            self.valid = f"access-{self.count}"
            return as_json({"access_token": self.valid, "token_type": "Bearer", "expires_in": 3600,
                            "refresh_token": f"refresh-{self.count}"}, kind="application/json")  # fmt: skip


def oauth(server, **settings):
    root = f"http://127.0.0.1:{server.port}"
    settings = {"auth": "client_credentials", "client_secret": "env:CLIENT", **settings}
    return source_for(server.url, token_url=f"{root}/oauth/token", client_id="notebook", scope="dicom read", **settings)


@pytest.mark.parametrize("in_form", [False, True])
def test_client_credentials(in_form):
    issuer = Issuer(in_form=in_form)
    with Faulty(issuer) as server:
        source = oauth(server)
        find(source)
        find(source)
    assert issuer.count == 1
    form = issuer.forms[-1]
    assert (form["grant_type"], form["scope"]) == ("client_credentials", "dicom read")
    asked = [request for request in server.requests if request.path == "/oauth/token"]
    assert ("client_secret" in form) is in_form
    assert ("authorization" in asked[-1].headers) is not in_form
    # What is for the PACS does not go to the authorisation server, nor the other way round.
    assert all(not request.headers.get("authorization", "").startswith("Bearer") for request in asked)


def test_a_token_that_is_refused_is_renewed_once_for_all_threads():
    issuer = Issuer()
    with Faulty(issuer) as server:
        source = oauth(server)
        find(source)
        issuer.valid = "revoked"
        results = []
        threads = [threading.Thread(target=lambda: results.append(len(find(source)))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert results == [1] * 8
    assert issuer.count == 2


def test_a_token_that_runs_out_is_renewed_before():
    issuer = Issuer()
    with Faulty(issuer) as server:
        source = oauth(server)
        find(source)
        keeper = source._http.credentials._keeper
        keeper._token = keeper._token._replace(ends=time.monotonic() + 30)  # within the margin
        find(source)
    assert issuer.count == 2


def test_401_for_ever_is_an_error_after_one_renewal():
    def handler(request):
        return issuer(request) if request.path.startswith("/oauth") else Reply(401)

    issuer = Issuer()
    with Faulty(handler) as server:
        error = failing(oauth(server), PacsRefusedError)
    assert error.details["status"] == 401
    assert issuer.count == 2
    assert len([request for request in server.requests if "studies" in request.path]) == 2


def test_an_authorisation_server_that_refuses_is_an_error_for_all_that_wait():
    issuer = Issuer(refuses="invalid_scope")
    with Faulty(issuer) as server:
        source = oauth(server)
        errors = []

        def ask():
            try:
                find(source)
            except PacsRefusedError as exc:
                errors.append(exc)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(errors) == 6
    assert all("invalid_scope" in error.got and "scope" in error.hint for error in errors)
    assert not any("Secretname" in str(error) for error in errors)


def test_a_token_with_a_line_break_in_it_is_refused_without_being_shown(monkeypatch):
    monkeypatch.setitem(SECRETS, "env:TOKEN", "se\ncret")
    with Faulty(found) as server, pytest.raises(PacsConfigError) as error:
        find(source_for(server.url, auth="bearer", token="env:TOKEN"))
    assert "cret" not in "".join(traceback.format_exception(error.value)).replace("secret", "")


def test_a_header_that_http_does_not_allow_is_not_shown(monkeypatch):
    monkeypatch.setitem(SECRETS, "env:API", "k3y\r\nX: y")
    with Faulty(found) as server, pytest.raises(PacsConfigError) as error:
        find(source_for(server.url, headers={"X-Api-Key": "env:API"}))
    assert "k3y" not in "".join(traceback.format_exception(error.value))
