"""Where secrets come from, and that they come out nowhere."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import keyring
import pytest
from keyring.backends import chainer, fail, null

from slicer_notebook.errors import PacsConfigError, PacsError
from slicer_notebook.pacs import extra, secrets
from slicer_notebook.pacs.server import Server
from tests.pacs.keyrings import PLANTED, kinds, registered


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_remembered", {})


@pytest.fixture
def memory() -> Iterator[Any]:
    with registered(kinds()["Memory"]()) as backend:
        yield backend


def server(**settings: Any) -> Server:
    return Server(name="hospital", url="https://127.0.0.1/dicom-web", **settings)


# -- from the environment ----------------------------------------------------------------------------------------


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PW", PLANTED)
    assert secrets.secret(server(password="env:PACS_PW"), "password") == PLANTED
    assert secrets.secret(server(headers={"X-Api-Key": "env:PACS_PW"}), "headers.X-Api-Key") == PLANTED
    assert secrets.resolve("hospital", "token", "env:PACS_PW") == PLANTED


def test_no_secret_is_none() -> None:
    assert secrets.secret(server(), "password") == ""


@pytest.mark.parametrize(("value", "word"), [(None, "not set"), ("", "empty")])
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None, word: str) -> None:
    if value is None:
        monkeypatch.delenv("PACS_PW", raising=False)
    else:
        monkeypatch.setenv("PACS_PW", value)
    with pytest.raises(PacsConfigError, match=f"PACS_PW is {word}.*password of 'hospital'") as caught:
        secrets.secret(server(password="env:PACS_PW"), "password")
    assert caught.value.details["server"] == "hospital"


@pytest.mark.parametrize("reference", [PLANTED, "env:", "env:A B", "keyring2", "Keyring"])
def test_what_is_no_reference_is_refused_unseen(reference: str) -> None:
    with pytest.raises(PacsConfigError, match="no reference") as caught:
        secrets.resolve("hospital", "token", reference)
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("field", ["user", "headers.X-Other", "headers", "nonsense"])
def test_another_field_is_refused(field: str) -> None:
    with pytest.raises(PacsConfigError, match="no secret") as caught:
        secrets.secret(server(headers={"X-Api-Key": "env:K"}), field)
    assert "headers.X-Api-Key" in str(caught.value)


# -- the keyring -------------------------------------------------------------------------------------------------


def test_an_entry_is_kept_read_and_taken_out(memory: Any) -> None:
    assert secrets.has_keyring()
    secrets.store("hospital", "password", PLANTED)
    assert memory.entries == {("slicer-notebook", "hospital/password"): PLANTED}
    assert secrets.secret(server(password="keyring"), "password") == PLANTED
    assert secrets.resolve("hospital", "password", "keyring") == PLANTED
    secrets.delete("hospital", "password")
    assert memory.entries == {}
    secrets.delete("hospital", "password")


def test_an_entry_that_is_not_there_is_named(memory: Any) -> None:
    with pytest.raises(PacsConfigError, match=r"slicer-notebook, user hospital/token") as caught:
        secrets.secret(server(token="keyring"), "token")
    assert "env:VARIABLE" in (caught.value.hint or "")


def test_without_a_keyring_the_environment_is_hinted_at() -> None:
    with registered(fail.Keyring()):
        assert not secrets.has_keyring()
        with pytest.raises(PacsConfigError, match="no keyring") as caught:
            secrets.secret(server(token="keyring"), "token")
    assert "env:VARIABLE" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["PlaintextKeyring", "Unrecommended"])
def test_a_keyring_that_keeps_no_secret_is_none(name: str) -> None:
    with registered(kinds()[name]()) as backend:
        assert not secrets.has_keyring()
        with pytest.raises(PacsConfigError, match="no keyring"):
            secrets.store("hospital", "password", PLANTED)
        assert backend.entries == {}


def test_the_null_keyring_is_none() -> None:
    with registered(null.Keyring()):
        assert not secrets.has_keyring()


def test_of_several_the_first_that_keeps_secrets_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = kinds()
    plain, good = made["PlaintextKeyring"](), made["Memory"]()
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [plain, good])
    with registered(chainer.ChainerBackend()):
        secrets.store("hospital", "password", PLANTED)
    assert (plain.entries, list(good.entries.values())) == ({}, [PLANTED])


def test_a_locked_keyring_is_told_without_what_it_said() -> None:
    with registered(kinds()["Locked"]()):
        with pytest.raises(PacsConfigError, match="KeyringLocked") as caught:
            secrets.secret(server(token="keyring"), "token")
        assert "env:VARIABLE" in (caught.value.hint or "")
        with pytest.raises(PacsConfigError, match="RuntimeError") as caught:
            secrets.store("hospital", "token", PLANTED)
        assert PLANTED not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_silent_keyring_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "KEYRING_DEADLINE", 0.1)
    with registered(kinds()["Silent"]()) as backend:
        with pytest.raises(PacsConfigError, match="did not answer within"):
            secrets.secret(server(token="keyring"), "token")
        backend.answer.set()


# -- without the packages ----------------------------------------------------------------------------------------


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert extra.need("keyring") is keyring
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(PacsError, match="keyring is not installed") as caught:
        secrets.has_keyring()
    assert "pip install 'slicer-notebook[pacs]'" in str(caught.value)
    with pytest.raises(PacsError, match="no_such_package is not installed"):
        extra.need("no_such_package.module")


# -- masking -----------------------------------------------------------------------------------------------------


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("shown", [
    PLANTED,
    json.dumps({"password": PLANTED}),
    repr(PLANTED),
    repr(PLANTED.encode()),
    "https://host/?token=" + quote(PLANTED),
    "https://host/?token=" + quote(PLANTED, safe=""),
    "https://host/?token=" + re.sub("%..", lambda found: found[0].lower(), quote(PLANTED, safe="")),
    "https://host/?token=" + quote_plus(PLANTED),
])  # fmt: skip
def test_every_form_of_a_secret_is_masked(shown: str) -> None:
    found = secrets.masked(f"before {shown} behind", [PLANTED, ""])
    assert found.startswith("before ")
    assert found.endswith(" behind")
    assert "***" in found
    for part in ("pl@nted", "pl%40nted", "cret"):
        assert part not in found


@pytest.mark.parametrize("password", ["hunter22", PLANTED, "ab?>~~1234", "xyz"])
@pytest.mark.parametrize("user", ["", "a", "al", "ali", "alice"])
def test_a_secret_in_basic_is_masked_whatever_the_user(user: str, password: str) -> None:
    for encoded in (basic(user, password), base64.urlsafe_b64encode(f"{user}:{password}".encode()).decode()):
        assert secrets.masked(f"Authorization: Basic {encoded}, next", [password]) == "Authorization: Basic ***, next"
    latin = base64.b64encode(f"{user}:{password}".encode("latin-1")).decode()
    assert secrets.masked(f"{latin} {latin}", [password]) == "*** ***"


def test_what_is_no_secret_stays() -> None:
    text = "GET https://host/dicom-web/studies?PatientID=7 -> 200, aGVsbG8gd29ybGQ= abcdefghijklmnop"
    assert secrets.masked(text, ["hunter22", PLANTED, ""]) == text
    assert secrets.masked(text, []) == text


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert secrets.masked("token abcdef-1234", ["abcdef", "abcdef-1234"]) == "token ***"


def test_a_secret_that_is_no_text_is_masked() -> None:
    odd = b"caf\xe9-secret".decode("utf-8", "surrogateescape")
    assert secrets.masked("x caf%E9-secret y", [odd]) == "x *** y"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    logger, sink = logging.getLogger("tests.pacs.secrets"), io.StringIO()
    handler = logging.StreamHandler(sink)
    handler.addFilter(secrets.Masking(["of-its-own"]))
    logger.addHandler(handler)
    logger.propagate, logger.level = False, logging.DEBUG
    yield logger, sink
    logger.removeHandler(handler)


def test_a_log_shows_no_secret_that_was_resolved(
    log: tuple[logging.Logger, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, sink = log
    logger.info("before %s", PLANTED)
    assert PLANTED in sink.getvalue(), "not known to be a secret yet"
    sink.seek(0)
    sink.truncate()
    monkeypatch.setenv("PACS_PW", PLANTED)
    secrets.resolve("hospital", "password", "env:PACS_PW")
    child = logger.getChild("below")
    child.info("user %s, %r", "alice", {"password": PLANTED})
    child.info(f"as text {PLANTED} of-its-own")
    child.info("Authorization: Basic %s", basic("alice", PLANTED))
    child.info("too few %s %s", PLANTED)
    try:
        raise ValueError(PLANTED)
    except ValueError:
        child.exception("failed", stack_info=True)
    shown = sink.getvalue()
    assert shown.count("***") == 5
    assert "user alice" in shown
    assert "Traceback" in shown
    for form in (PLANTED, repr(PLANTED)[1:-1], "of-its-own", basic("alice", PLANTED)):
        assert form not in shown


def test_what_is_remembered_is_bounded() -> None:
    for i in range(secrets._MOST_REMEMBERED + 10):
        secrets.remember(f"token-{i}")
    secrets.remember("token-10")  # once more: it is the latest now
    secrets.remember("token-new")
    assert len(secrets._remembered) == secrets._MOST_REMEMBERED
    assert "token-10" in secrets._remembered
    assert "token-11" not in secrets._remembered
