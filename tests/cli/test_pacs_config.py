"""``slicer-notebook pacs add``, ``list`` and ``remove``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from slicer_notebook import cli, cli_pacs
from slicer_notebook.errors import InputError, PacsConfigError, PacsError, PacsNotFoundError, SlicerNotebookError
from slicer_notebook.pacs import config, secrets
from slicer_notebook.pacs.server import Learned, Server
from tests.pacs.keyrings import kinds, registered

PLANTED = "hunter22-Planted"
TOKEN = "Ab3dEf6hIj9lMn2pQr5tUv"
DIMSE = "dimse://PACS@127.0.0.1:4242"
WEB = "https://pacs.example/dicom-web"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLICER_NOTEBOOK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(secrets, "_remembered", {})
    return tmp_path / "config" / "pacs.toml"


@pytest.fixture
def memory() -> Iterator[Any]:
    with registered(kinds()["Memory"]()) as backend:
        yield backend


def run(*arguments: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(cli.app, ["pacs", *map(str, arguments)])
    if isinstance(done.exception, SlicerNotebookError):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def test_a_server_is_added_listed_and_removed(file: Path) -> None:
    done = run("add", "hospital", DIMSE, "--calling", "ME", "--port", "11113")
    assert done.stdout == f"hospital: {DIMSE}, in {file}\n"
    run("add", "web", WEB, "--user", "alice", "--password-env", "PW", "--header", "X-Api-Key=env:KEY")
    config.save_learned("hospital", Learned(ways=["C-GET", "C-MOVE"]))
    head, first, second = run("list").stdout.splitlines()
    assert head.split() == ["Name", "Protocol", "Address", "AE", "title", "Receiver", "Credentials", "Ways"]
    assert first.split() == ["hospital", "DIMSE", DIMSE, "ME", "127.0.0.1:11113", "C-GET,", "C-MOVE"]
    assert second.split()[:3] == ["web", "DICOMweb", WEB]
    assert "basic, alice, password env:PW, X-Api-Key env:KEY" in second
    assert run("remove", "hospital").stdout == "removed hospital\n"
    assert list(config.servers()) == ["web"]


def test_every_option_is_a_setting(tmp_path: Path) -> None:
    pem = tmp_path / "x.pem"
    pem.write_text("x")
    run(
        "add", "d", "dimses://PACS@host.example:2762", "--calling", "ME", "--port", "11113", "--bind", "0.0.0.0",
        "--user", "alice", "--password-env", "PW", "--web", WEB, "--wado", "https://pacs.example/wado",
        "--auth", "client_credentials", "--token-url", "https://l.example/t", "--client-id", "me",
        "--client-secret-env", "CS", "--scope", "a b", "--header", "X-A=env:A", "--header", "Accept-Language=de",
        "--proxy", "http://proxy.example:3128", "--ca-file", pem, "--cert-file", pem, "--key-file", pem,
        "--key-password-env", "KP", "--no-verify", "--timeout", "12.5", "--parallel", "3", "--ways", "C-GET,WADO-RS",
        "--ways", "C-MOVE", "--unasked", "keep", "--charset", "ISO_IR 100", "--sender", "WS1", "--sender", "WS2",
        "--send-address", "10.0.0.7", "--tls-receiver",
    )  # fmt: skip
    assert config.get("d") == Server(
        name="d", url="dimses://PACS@host.example:2762", calling="ME", port=11113, bind="0.0.0.0",
        user="alice", password="env:PW", web=WEB, wado="https://pacs.example/wado",
        auth="client_credentials", token_url="https://l.example/t", client_id="me",
        client_secret="env:CS", scope="a b", headers={"X-A": "env:A", "Accept-Language": "de"},
        proxy="http://proxy.example:3128", ca_file=str(pem), cert_file=str(pem), key_file=str(pem),
        key_password="env:KP", verify=False, timeout=12.5, parallel=3, ways=["C-GET", "WADO-RS", "C-MOVE"],
        unasked="keep", charset="ISO_IR 100", senders=["WS1", "WS2"], send_addresses=["10.0.0.7"], tls_receiver=True,
    )  # fmt: skip
    run("add", "k", "kheops+https://h.example/api", "--token-env", "ALBUM")
    run("add", "c", WEB, "--auth", "device_code", "--device-url", "https://l/d", "--token-url", "https://l/t",
        "--client-id", "x")  # fmt: skip
    assert (config.get("k").token, config.get("c").device_url) == ("env:ALBUM", "https://l/d")
    with pytest.raises(InputError, match="There is a PACS 'k'"):
        run("add", "k", DIMSE)
    run("add", "k", DIMSE, "--replace", "--port", "free")
    assert config.get("k").port == "free"
    assert "127.0.0.1:free" in run("list").stdout
    assert config.get("k").url == DIMSE


def test_json_has_all_but_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", PLANTED)
    assert json.loads(run("list", "--json").stdout) == []
    run("add", "web", WEB, "--user", "alice", "--password-env", "PW", "--header", "X-A=env:PW")
    config.save_learned("web", Learned(paging=False, implementation="Orthanc é"))
    done = run("list", "--json")
    assert PLANTED not in done.output
    (found,) = json.loads(done.stdout)
    assert set(found) == {*Server.__struct_fields__, "kind"}
    assert set(found["learned"]) == set(Learned.__struct_fields__)
    expected = {"name": "web", "url": WEB, "kind": "dicomweb", "password": "env:PW", "headers": {"X-A": "env:PW"}}
    assert expected.items() <= found.items()
    assert (found["port"], found["timeout"], found["verify"], found["ways"]) == (0, 30.0, True, [])
    assert (found["learned"]["paging"], found["learned"]["rendered"]) == (False, None)


def test_another_file(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "other.toml"
    run("add", "a", DIMSE, "--config", other)
    assert not file.exists()
    assert [found["name"] for found in json.loads(run("list", "--json", "--config", other).stdout)] == ["a"]
    assert cli_pacs.server_named("a", other).url == DIMSE
    run("remove", "a", "--config", other)
    assert config.servers(other) == {}


def test_an_empty_list_says_what_to_do(file: Path) -> None:
    done = run("list")
    assert done.stdout == ""
    assert f"No PACS is configured in {file}" in done.stderr
    assert "pacs add NAME URL" in done.stderr


def test_text_of_the_user_is_no_markup() -> None:
    run("add", "web", WEB, "--user", "[red]x[/]", "--password-env", "PW")
    assert "[red]x[/]" in run("list").stdout


@pytest.mark.parametrize("arguments", [
    ["add"],
    ["add", "x"],
    ["add", "x", DIMSE, "--port", "65536"],
    ["add", "x", DIMSE, "--port", "many"],
    ["add", "x", WEB, "--auth", "digest"],
    ["add", "x", DIMSE, "--unasked", "drop"],
    ["add", "x", WEB, "--header", f"X-A={PLANTED}"],
    ["add", "x", WEB, "--header", PLANTED],
    ["add", "x", WEB, "--header", "X-A=env:A", "--header", "X-A=env:B"],
    ["add", "x", WEB, "--password", PLANTED],
    ["add", "x", "pacs.example:104"],
    ["add", "x", f"https://alice:{PLANTED}@pacs.example/dicom-web"],
    ["add", "x", f"dimse://A:{PLANTED}@pacs.example:104"],
    ["add", "x", f"{WEB}?token={PLANTED}"],
    ["add", "a/b", DIMSE],
    ["add", "x", DIMSE, "--calling", "0123456789ABCDEFG"],
    ["add", "x", WEB, "--user", "alice"],
    ["add", "x", WEB, "--user", "alice", "--password-env", "MY-PW"],
    ["add", "x", DIMSE, "--ways", "C-GET,WADO"],
    ["add", "x", WEB, "--ca-file", "no-such-file.pem"],
    ["remove"],
    ["list", "x"],
    ["nonsense"],
])  # fmt: skip
def test_wrong_usage(arguments: list[str], file: Path) -> None:
    done = run(*arguments, code=2)
    assert done.stdout == ""
    assert done.stderr
    assert PLANTED not in done.output
    assert not file.exists()


def test_a_name_that_is_not_there(file: Path) -> None:
    run("add", "hospital", DIMSE)
    with pytest.raises(PacsNotFoundError, match="'hospitl'"):
        run("remove", "hospitl")
    with pytest.raises(PacsNotFoundError, match="'hospital'"):
        cli_pacs.server_named("hospitl", None)


def test_what_is_wrong_in_the_file_is_told(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[servers.a]\nurll = 'x'\n")
    with pytest.raises(PacsConfigError, match="line 2"):
        run("list")


def test_a_secret_in_the_clear_is_warned_of() -> None:
    done = run("add", "x", "http://pacs.example/dicom-web", "--token-env", "T")
    assert done.stderr.startswith("warning: x: http://pacs.example/dicom-web is not encrypted")
    assert len(done.stderr.splitlines()) == 1


def test_a_kheops_link_goes_into_the_keyring(memory: Any, file: Path) -> None:
    done = run("add", "album", f"https://demo.example/view/{TOKEN}")
    assert done.stdout == f"album: kheops+https://demo.example/api, in {file}\n"
    assert list(memory.entries.values()) == [TOKEN]
    assert TOKEN not in run("list").output + run("list", "--json").output + file.read_text()
    run("remove", "album")
    assert memory.entries == {}


def test_without_the_extra_what_to_install_is_told(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    run("add", "a", DIMSE)
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    with pytest.raises(PacsError, match="pip install 'slicer-notebook\\[pacs\\]'"):
        run("add", "b", DIMSE)
    assert "a" in run("list").stdout


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from slicer_notebook.cli import main; main()"
    environment = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    return subprocess.run(
        [sys.executable, "-c", code, "pacs", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip


def test_the_program_itself(file: Path) -> None:
    run("add", "hospital", DIMSE)
    missing = program("remove", "hospitl")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("slicer-notebook: There is no PACS 'hospitl'")
    assert "Did you mean 'hospital'?" in missing.stderr
    refused = program("add", "album", f"https://demo.example/view/{TOKEN}")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--token-env VARIABLE" in refused.stderr
    assert TOKEN not in refused.stderr
    assert "Traceback" not in missing.stderr + refused.stderr
