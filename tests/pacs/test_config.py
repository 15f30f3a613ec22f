"""The configuration's file: what is written to it, what is refused, and that nothing in it is ever lost."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
import tomllib
import traceback
import warnings
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.errors import ArgumentError, InputError, PacsConfigError, PacsError, PacsNotFoundError
from slicer_notebook.pacs import config, config_file, secrets
from slicer_notebook.pacs.server import Learned
from tests.pacs.keyrings import PLANTED, kinds, registered

TOKEN = "Ab3dEf6hIj9lMn2pQr5tUv"
DIMSE = "dimse://PACS@127.0.0.1:4242"
WEB = "https://pacs.example/dicom-web"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration, which is not there yet."""
    monkeypatch.setenv("SLICER_NOTEBOOK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(secrets, "_remembered", {})
    return tmp_path / "config" / "pacs.toml"


@pytest.fixture
def memory() -> Iterator[Any]:
    with registered(kinds()["Memory"]()) as backend:
        yield backend


def written(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, newline="")


# -- the file ----------------------------------------------------------------------------------------------------


def test_a_server_is_kept_as_it_was_given(file: Path) -> None:
    assert config.servers() == {}
    assert not file.parent.exists(), "reading makes no folder"
    first = config.add("hospital", DIMSE, calling="ME", port=11113, timeout=5)
    second = config.add("web.2", WEB, user="alice", password="env:PW", headers={"X-Api-Key": "env:K", "Accept": "*/*"})
    assert (first.name, first.calling, first.port, first.timeout) == ("hospital", "ME", 11113, 5.0)
    assert config.servers() == {"hospital": first, "web.2": second}
    assert config.get("web.2") == second
    assert tomllib.loads(file.read_text())["servers"] == {
        "hospital": {"url": DIMSE, "calling": "ME", "port": 11113, "timeout": 5.0},
        "web.2": {
            "url": WEB,
            "user": "alice",
            "password": "env:PW",
            "auth": "basic",
            "headers": {"X-Api-Key": "env:K", "Accept": "*/*"},
        },
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(found.name for found in file.parent.iterdir()) == ["pacs.toml", "pacs.toml.lock"]


def test_every_function_takes_a_file(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "deep" / "down" / "other.toml"
    config.add("a", DIMSE, path=other)
    config.save_learned("a", Learned(paging=True), other)
    assert config.get("a", other).learned.paging is True
    assert list(config.servers(str(other))) == ["a"]
    config.remove("a", other)
    assert config.servers(other) == {}
    assert not file.exists()


def test_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.config_path(tmp_path) == tmp_path / "pacs.toml"
    assert config.config_path(tmp_path / "x.conf") == tmp_path / "x.conf"
    monkeypatch.setenv("SLICER_NOTEBOOK_CONFIG", str(tmp_path / "mine.toml"))
    assert config.config_path() == tmp_path / "mine.toml"
    monkeypatch.setenv("SLICER_NOTEBOOK_CONFIG", str(tmp_path / "not-there-yet"))
    assert config.config_path() == tmp_path / "not-there-yet" / "pacs.toml"
    monkeypatch.delenv("SLICER_NOTEBOOK_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert config.config_path() == tmp_path / "xdg" / "slicer-notebook" / "pacs.toml"


def test_a_link_stays_a_link(tmp_path: Path, file: Path) -> None:
    real = tmp_path / "dotfiles" / "pacs.toml"
    written(real, "# mine\n")
    file.parent.mkdir()
    file.symlink_to(real)
    config.add("a", DIMSE)
    assert file.is_symlink()
    assert real.read_text() == f'# mine\n\n[servers.a]\nurl = "{DIMSE}"\n'


COMMENTED = f"""\
# The servers of our department.

# the big one
[servers.big]   # asked on Mondays
port = 11113    # agreed with IT

url = "{DIMSE}"  # since 2020
# its AE title
calling = "ME"
# ways = ["C-GET"]

# the small one
[servers.'small']
url = "{WEB}"
headers = {{ X-Api-Key = "env:K" }} # for the gateway
ways = [
  "WADO-RS", # the fast one
]
# the end
"""


def test_comments_and_order_stay(file: Path) -> None:
    written(file, COMMENTED)
    config.add("new", "dimse://NEW@127.0.0.1:1")
    assert file.read_text() == COMMENTED + '\n[servers.new]\nurl = "dimse://NEW@127.0.0.1:1"\n'
    config.save_learned("big", Learned(ways=["C-GET"], refused={"C-MOVE": 'said "no"\n'}, paging=False))
    learned = '\n[servers.big.learned]\nways = ["C-GET"]\nrefused = {C-MOVE = "said \\"no\\"\\n"}\npaging = false\n'
    before, _, behind = COMMENTED.partition("\n# the small one")
    text = f'{before}{learned}\n# the small one{behind}\n[servers.new]\nurl = "dimse://NEW@127.0.0.1:1"\n'
    assert file.read_text() == text
    config.save_learned("big", Learned(ways=["C-GET"], paging=True, rendered=True))
    text = text.replace("paging = false", "paging = true\nrendered = true")
    text = text.replace('refused = {C-MOVE = "said \\"no\\"\\n"}\n', "")
    assert file.read_text() == text
    config.add("big", DIMSE, calling="YOU", port=11113, parallel=4, replace=True)
    text = text.replace(
        learned.replace("false", "true\nrendered = true").replace(learned.splitlines()[3] + "\n", ""), ""
    )
    text = text.replace('calling = "ME"\n', 'calling = "YOU"\nparallel = 4\n')
    assert file.read_text() == text
    config.remove("big")
    _, _, behind = COMMENTED.partition("# the small one")
    assert file.read_text() == (
        "# The servers of our department.\n\n# the small one" + behind + text[text.index("\n[servers.new]") :]
    )
    config.remove("new")
    config.remove("small")
    assert file.read_text().startswith("# The servers of our department.\n")
    assert config.servers() == {}


@pytest.mark.parametrize(
    "text",
    [
        f'servers.a.url = "{DIMSE}"\nservers.a.port = 7\nservers.b.url = "{WEB}"\n',
        f'[servers]\na.url = "{DIMSE}"\na.port = 7\n[servers.b]\nurl = "{WEB}"\n',
        f'[servers]\na = {{url = "{DIMSE}", port = 7}}\nb = {{url = "{WEB}"}}\n',
        f'servers = {{a = {{url = "{DIMSE}", port = 7}}, b = {{url = "{WEB}"}}}}\n',
        f'[servers.a]\r\nurl = "{DIMSE}"\r\nport = 7\r\n\r\n[servers.b]\r\nurl = "{WEB}"\r\n',
        f'[servers.a]\nurl = "{DIMSE}"\nport = 7\nlearned.paging = true\n[servers.b]\nurl = "{WEB}"',
        f'[servers.a]\nurl = "{DIMSE}"\nport = 7\nlearned = {{paging = true}}\n[servers.b]\nurl = "{WEB}"\n',
        f'[servers.a.learned]\npaging = true\n[servers.b]\nurl = "{WEB}"\n[servers.a]\nurl = "{DIMSE}"\nport = 7\n',
        f'[ servers . "a" ]\n"url" = "{DIMSE}"\n\'port\' = 7\n[servers.b]\nurl = """\n{WEB}"""\n',
        f'[servers.a.learned.refused]\nC-GET = "[servers.b]"\n[servers.a]\nurl = "{DIMSE}"\nport = 7\n'
        f'[servers.a.learned]\nimplementation = """\n[servers.b]\n"""\n[servers.b]\nurl = "{WEB}"\n',
    ],
)
def test_however_it_is_written_it_is_changed_rightly_or_not_at_all(file: Path, text: str) -> None:
    former: dict[str, Any] = tomllib.loads(text)["servers"]
    learned = Learned(fuzzy=True, refused={"C-MOVE": "no"})
    changes: dict[str, tuple[Any, dict[str, Any]]] = {
        "add": (lambda: config.add("c", DIMSE, port=7), {**former, "c": {"url": DIMSE, "port": 7}}),
        "replace": (
            lambda: config.add("a", DIMSE, calling="X", replace=True),
            {**former, "a": {"url": DIMSE, "calling": "X"}},
        ),
        "learn": (
            lambda: config.save_learned("a", learned),
            {**former, "a": {**former["a"], "learned": {"fuzzy": True, "refused": {"C-MOVE": "no"}}}},
        ),
        "forget": (
            lambda: config.save_learned("a", Learned()),
            {**former, "a": {key: value for key, value in former["a"].items() if key != "learned"}},
        ),
        "remove": (lambda: config.remove("a"), {"b": former["b"]}),
    }
    for name, (change, expected) in changes.items():
        written(file, text)
        # Only a table in a line around the server's own is beyond it.
        with suppress(PacsConfigError) if "{url" in text else nullcontext():
            change()
        found = file.read_bytes().decode()
        if "{url" not in text or found != text:
            assert tomllib.loads(found)["servers"] == expected, name


def test_many_changes_leave_what_was_last_said(file: Path) -> None:
    choose = random.Random(5)
    written(file, COMMENTED)
    model = {name: tomllib.loads(COMMENTED)["servers"][name] for name in ("big", "small")}
    names = ["big", "small", "a", "b.c", "d"]
    for _ in range(150):
        name, what = choose.choice(names), choose.choice(["add", "learn", "remove"])
        if what == "add":
            port = choose.choice([0, 11113, 11114])
            wanted: dict[str, Any] = {"url": f"dimse://P{choose.randrange(9)}@127.0.0.1:104"}
            wanted |= {"port": port} if port else {}
            wanted |= choose.choice([{}, {"ways": ["C-GET"]}, {"calling": "X y"}, {"user": "a", "password": "env:P"}])
            config.add(name, replace=True, **wanted)
            model[name] = wanted
        elif name not in model:
            continue
        elif what == "learn":
            learned = choose.choice([{}, {"paging": True}, {"refused": {"C-GET": "[x] # y", "b c": ""}}])
            config.save_learned(name, Learned(**learned))
            model[name] = {key: value for key, value in model[name].items() if key != "learned"}
            model[name] |= {"learned": learned} if learned else {}
        else:
            config.remove(name)
            del model[name]
        assert tomllib.loads(file.read_text()).get("servers", {}) == model
        assert file.read_text().startswith("# The servers of our department.\n")
    assert len(config.servers()) == len(model)


# -- what is wrong in the file -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "words"), [
    ('urll = "x"', ["line 4", "[servers.b]", "'urll'", "Did you mean 'url'?"]),
    ('Calling = "x"', ["'Calling'", "Did you mean 'calling'?"]),
    ('name = "x"', ["line 4", "'name' is not known"]),
    ("port = '11112'", ["line 4", "[servers.b]", "port", "a number, or 'free'"]),
    ("port = true", ["port", "int", "got: bool"]),
    ("port = 70000", ["line 2", "[servers.b]", "port", "70000"]),
    ("timeout = '3'", ["timeout", "float"]),
    ("verify = 0", ["verify", "bool"]),
    ("ways = 'C-GET'", ["ways", "array"]),
    ("auth = 'digest'", ["auth", "'basic', 'bearer'"]),
    ("unasked = 'drop'", ["unasked", "'refuse', 'keep'"]),
    ("headers = {X-A = 1}", ["line 4", "headers", "str"]),
    ("learned = 1", ["learned", "object"]),
    ("learned = {pagin = true}", ["line 4", "[servers.b.learned]", "'pagin'", "Did you mean 'paging'?"]),
    ("[servers.b.learned]\npaging = 1", ["line 5", "[servers.b.learned]", "paging", "bool"]),
    ("[server.c]\nurl = 'x'", ["line 4", "'server'", "Did you mean 'servers'?"]),
    (f"password = '{PLANTED[:7]}'", ["line 2", "password", "env:VARIABLE, or keyring"]),
    (f"headers = {{X-Tenant = '{PLANTED[:7]}'}}", ["headers.X-Tenant", "env:VARIABLE, or keyring"]),
    (f"wado = 'https://u:{PLANTED[:7]}@h/wado'", ["wado", "a user or a password"]),
    (f"wado = 'https://h/link/{TOKEN}/wado'", ["wado", "a Kheops token"]),
    (f"proxy = 'http://u:{PLANTED[:7]}@h:1'", ["proxy", "without user and password"]),
])  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(file: Path, line: str, words: list[str]) -> None:
    written(file, f"# comment\n[servers.b]\nurl = '{WEB}'\n{line}\n[servers.good]\nurl = '{DIMSE}'\n")
    for ask in (config.servers, lambda: config.get("b")):
        with pytest.raises(PacsConfigError) as caught:
            ask()
        for word in [*words, str(file)]:
            assert word in str(caught.value)
        text = "".join(traceback.format_exception(caught.value))
        for secret in (PLANTED[:7], TOKEN):
            assert secret not in text
    if "[server.c]" not in line:
        # A mistake in one section keeps nobody from the others, nor from taking it out.
        assert config.get("good").url == DIMSE
        config.remove("b")
        assert list(config.servers()) == ["good"]


@pytest.mark.parametrize(("content", "words"), [
    (b"[servers.a\nurl = 1\n", ["not TOML", "line 1"]),
    (b"[servers.a]\nurl = 'x'\nurl = 'y'\n", ["not TOML", "line 3"]),
    (b"[servers.a]\n# caf\xe9\n", ["line 2", "UTF-8"]),
    (b"servers = 1\n", ["line 1", "sections [servers.NAME]"]),
    (b"\n[servers]\na = 1\n", ["line 3", "'a' is no server"]),
    (b"[[servers]]\nurl = 'x'\n", ["sections [servers.NAME]"]),
    (b"[servers.'a b']\nurl = 'dimse://A@h:1'\n", ["The name of a PACS"]),
    (b"[servers.a]\nport = 1\n", ["line 1", "[servers.a]"]),
    (b"#" * 4_000_001, ["more than 4000000 bytes"]),
])  # fmt: skip
def test_what_is_no_configuration_is_told(file: Path, content: bytes, words: list[str]) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(PacsConfigError) as caught:
        config.servers()
    for word in [*words, str(file)]:
        assert word in str(caught.value)
    with pytest.raises(PacsConfigError):
        config.add("b", DIMSE)
    assert file.read_bytes() == content


def test_a_byte_order_mark_is_no_matter(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"\xef\xbb\xbf[servers.a]\nurl = 'dimse://A@h:1'\n")
    assert config.get("a").url == "dimse://A@h:1"


def test_a_name_that_is_not_there_is_told_with_the_nearest(file: Path) -> None:
    config.add("hospital", DIMSE)
    config.add("hospice", DIMSE)
    config.add("xray", DIMSE)
    for ask in (config.get, config.remove, lambda name: config.save_learned(name, Learned(paging=True))):
        with pytest.raises(PacsNotFoundError) as caught:
            ask("hospitl")
        assert "'hospital' or 'hospice'" in (caught.value.hint or "")
        assert caught.value.details["known"] == ["hospital", "hospice", "xray"]
    with pytest.raises(LookupError, match="pacs add NAME URL"):
        config.get("zzz")


# -- what is wrong in what is given ----------------------------------------------------------------------------------

OAUTH = {"token_url": "https://login.example/token?p=x", "client_id": "me", "client_secret": "env:S"}


@pytest.mark.parametrize(("url", "settings", "auth"), [
    (DIMSE, {}, ""),
    ("dimses://A@host:2762", {"user": "alice", "password": "env:P", "bind": "::", "port": 65535}, ""),
    (DIMSE, {"user": "alice"}, ""),
    (DIMSE, {"web": WEB, "wado": "https://h/wado", "ways": ["WADO-RS", "C-GET", "WADO-URI"]}, ""),
    (DIMSE, {"web": WEB, "token": "env:T", "user": "a"}, "bearer"),
    (DIMSE, {"port": 11112, "ways": ["C-MOVE"], "unasked": "keep"}, ""),
    (WEB, {}, ""),
    ("http://[::1]:8042/dicom-web/", {"user": "u", "password": "env:P"}, "basic"),
    (WEB, {"token": "env:T"}, "bearer"),
    (WEB, {"token": ""}, ""),
    (WEB, {"token": None, "port": 1}, ""),
    (WEB, OAUTH, "client_credentials"),
    (WEB, {**OAUTH, "device_url": "https://login.example/device"}, "device_code"),
    (WEB, {"device_url": "https://l/d", "token_url": "https://l/t", "client_id": "x"}, "device_code"),
    (WEB, {"proxy": "socks5h://localhost:1080", "timeout": 0.5, "connect_timeout": 1, "parallel": 16}, ""),
    (WEB, {"verify": False, "ways": ("WADO-RS",)}, ""),
    ("kheops+https://h/api", {"token": "env:T"}, ""),
    ("kheops+https://h/api", {"auth": "bearer", "token": "env:T"}, "bearer"),
])  # fmt: skip
def test_what_is_right_is_taken(url: str, settings: dict[str, Any], auth: str) -> None:
    added = config.add("x", url, **settings)
    assert added.auth == auth
    assert config.get("x") == added


@pytest.mark.parametrize("name", ["a", "0", "_", "A-b_c.d", "x" * 64])
def test_names(name: str) -> None:
    assert list({config.add(name, DIMSE).name: 0, **config.servers()}) == [name]


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a b", "a/b", "ä", "x" * 65, "a\n", 7])
def test_no_names(name: Any, file: Path) -> None:
    with pytest.raises(ArgumentError, match="name of a PACS"):
        config.add(name, DIMSE)
    assert not file.exists()


S = PLANTED[:7]


@pytest.mark.parametrize(("url", "settings", "words"), [
    ("dimse://h:104", {}, ["AE title"]),
    (f"dimse://A:{S}@h:104", {}, ["password"]),
    (f"dimse://A:{S}@h:x", {}, ["port"]),
    ("ftp://h/x", {}, ["scheme 'ftp'"]),
    ("host:104", {}, ["no scheme"]),
    ("kheops://h/api", {}, ["scheme 'kheops'"]),
    (b"dimse://A@h:1", {}, ["url", "str"]),
    (f"https://u:{S}@h/x", {}, ["a user or a password"]),
    (f"https://{S}@h/x", {}, ["a user or a password"]),
    (f"https://u:{S}/@h/x", {}, ["a user or a password"]),
    (f"https://u:x{S[3:]}/@h/x", {}, ["no port"]),
    (f"https://u:1{S}@[h/x", {}, ["no port"]),
    (f"https://h/x?token={S}", {}, ["a query"]),
    (f"https://h/x#{S}", {}, ["a fragment"]),
    ("https://h/x y", {}, ["a space"]),
    ("https://h\n/x", {}, ["control character"]),
    ("https://h\\x", {}, ["backslash"]),
    ("https:///x", {}, ["no host"]),
    ("https://h:99999/x", {}, ["no port"]),
    (f"kheops+https://u:{S}@h/api", {"token": "env:T"}, ["a user or a password"]),
    (DIMSE, {"web": f"https://u:{S}@h/x"}, ["web", "a user or a password"]),
    (DIMSE, {"wado": "dimse://A@h:1"}, ["wado", "scheme"]),
    (WEB, {"web": WEB}, ["web is a further address of a DIMSE server"]),
    (WEB, {**OAUTH, "token_url": f"https://u:{S}@l/token"}, ["token_url"]),
    (WEB, {"proxy": f"http://u:{S}@h:1"}, ["proxy", "without user and password"]),
    (WEB, {"proxy": "ftp://h:1"}, ["proxy"]),
    (WEB, {"proxy": "http://h:x"}, ["proxy"]),
    (DIMSE, {"calling": ""}, ["calling", "PS3.5 6.2"]),
    (DIMSE, {"calling": "A" * 17}, ["calling"]),
    (DIMSE, {"calling": "A\\B"}, ["calling"]),
    (DIMSE, {"bind": "localhost"}, ["bind", "IP address"]),
    (DIMSE, {"port": -1}, ["port", "65535"]),
    (DIMSE, {"port": 65536}, ["port", "65536"]),
    (DIMSE, {"port": "104"}, ["port", "a number, or 'free'"]),
    (DIMSE, {"parallel": 0}, ["parallel", "1 to 16"]),
    (DIMSE, {"parallel": 17}, ["parallel"]),
    (DIMSE, {"timeout": 0}, ["timeout", "more than 0"]),
    (DIMSE, {"timeout": float("inf")}, ["timeout"]),
    (DIMSE, {"connect_timeout": float("nan")}, ["connect_timeout"]),
    (DIMSE, {"ways": ["C-GOT"]}, ["ways", "C-GET, C-MOVE, WADO-RS, WADO-URI"]),
    (DIMSE, {"ways": ["C-GET", "C-GET"]}, ["ways", "each once"]),
    (DIMSE, {"ways": ["C-MOVE"]}, ["C-MOVE needs a receiver", "port"]),
    (DIMSE, {"ways": ["WADO-RS"]}, ["WADO-RS needs web"]),
    (DIMSE, {"ways": ["WADO-URI"]}, ["WADO-URI needs wado"]),
    (WEB, {"ways": ["C-GET"]}, ["C-GET is a way of DIMSE servers"]),
    (DIMSE, {"unasked": "drop"}, ["unasked", "'refuse', 'keep'"]),
    (DIMSE, {"passwort": S}, ["no setting 'passwort'", "Did you mean 'password'?"]),
    (DIMSE, {"name": "x"}, None),
    (DIMSE, {"learned": Learned()}, ["no setting 'learned'"]),
    # who we are
    (DIMSE, {"password": "env:P"}, ["password without user"]),
    (DIMSE, {"token": "env:T"}, ["token: a DIMSE server has no use"]),
    (DIMSE, {"auth": "basic", "user": "a", "password": "env:P"}, ["auth: a DIMSE server has no use"]),
    (WEB, {"user": "a"}, ["auth='basic' needs user, password", "no password"]),
    (WEB, {"auth": "basic", "user": "a"}, ["no password"]),
    (WEB, {"user": "a:b", "password": "env:P"}, ["user", "colon"]),
    (DIMSE, {"user": "a\nb"}, ["user", "control character"]),
    (WEB, {"auth": "bearer"}, ["needs token", "no token"]),
    (WEB, {"auth": "client_credentials", "token_url": "https://l/t"}, ["no client_id, no client_secret"]),
    (WEB, {"auth": "device_code", "client_id": "x"}, ["no device_url, no token_url"]),
    (WEB, {"client_id": "x"}, ["which kind of authorisation"]),
    (WEB, {"user": "a", "password": "env:P", "token": "env:T"}, ["auth='bearer' has no use for user, password"]),
    (WEB, {"auth": ("alice", S)}, ["auth", "str"]),
    (WEB, {"auth": S}, ["auth", "'basic', 'bearer'"]),
    ("kheops+https://h/api", {}, ["needs a token"]),
    ("kheops+https://h/api", {"user": "a", "password": "env:P"}, ["no use for user, password"]),
    # secrets and headers
    (WEB, {"user": "a", "password": "env:MY-PW"}, ["password", "env:VARIABLE"]),
    (WEB, {"token": 7}, ["token", "str", "int"]),
    (WEB, {"headers": {"X Y": "env:A"}}, ["header 'X Y'"]),
    (WEB, {"headers": {"X-A": "env:A", "x-a": "env:B"}}, ["twice"]),
    (WEB, {"headers": {"Accept": "a\r\nX: b"}}, ["Accept", "control character"]),
    (WEB, {"headers": [S]}, ["headers", "object"]),
    (WEB, {"headers": {"X-A": 1}}, ["headers", "str"]),
    # certificates
    (WEB, {"ca_file": "no-such.pem"}, ["ca_file cannot be read", "no-such.pem"]),
    (WEB, {"cert_file": "."}, ["cert_file cannot be read"]),
    (WEB, {"cert_file": os.devnull}, ["cert_file is empty"]),
    (WEB, {"key_file": "k.pem"}, ["key_file without cert_file"]),
    (DIMSE, {"tls_receiver": True}, ["tls_receiver without a certificate"]),
    (WEB, {"key_password": "env:P"}, ["key_password without a key"]),
])  # fmt: skip
def test_what_is_wrong_is_refused(url: Any, settings: dict[str, Any], words: list[str] | None, file: Path) -> None:
    with pytest.raises(TypeError) as caught:
        config.add("x", url, **settings)
    assert not file.exists()
    if words is not None:  # Python's own, for an argument given twice
        assert isinstance(caught.value, ArgumentError)
        for word in words:
            assert word in str(caught.value)
    assert S not in "".join(traceback.format_exception(caught.value))


def test_files_are_kept_by_their_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    monkeypatch.chdir(tmp_path)
    added = config.add("x", WEB, ca_file="ca.pem", cert_file=Path("ca.pem"))
    assert (added.ca_file, added.cert_file) == (str(tmp_path / "ca.pem"),) * 2
    (tmp_path / "ca.pem").unlink()
    # Where the file has gone, is told by whoever needs it, not by every look at the list.
    assert config.get("x").ca_file == str(tmp_path / "ca.pem")


def test_a_name_that_is_taken_is_not_replaced_by_chance(file: Path) -> None:
    config.add("a", DIMSE)
    config.save_learned("a", Learned(paging=True))
    with pytest.raises(InputError, match="There is a PACS 'a'"):
        config.add("a", WEB)
    assert config.get("a").url == DIMSE
    config.add("a", WEB, replace=True)
    assert (config.get("a").url, config.get("a").learned) == (WEB, Learned())


# -- one receiver for several servers ------------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "settings", "problem"), [
    (DIMSE, {}, None),
    (DIMSE, {"calling": "OTHER"}, None),
    (DIMSE, {"calling": "OTHER", "unasked": "keep"}, None),
    (DIMSE, {"port": 11114, "bind": "0.0.0.0"}, None),
    (DIMSE, {"port": 0, "bind": "0.0.0.0"}, None),
    (WEB, {"bind": "0.0.0.0"}, None),
    (DIMSE, {"bind": "0.0.0.0"}, "another bind"),
    (DIMSE, {"unasked": "keep"}, "another unasked"),
    ("dimses://A@h:1", {}, None),
    (DIMSE, {"tls_receiver": True, "cert_file": __file__}, "another TLS"),
    (DIMSE, {"tls_receiver": True, "cert_file": __file__, "port": "free"}, None),
])  # fmt: skip
def test_one_port_for_several_servers(url: str, settings: dict[str, Any], problem: str | None) -> None:
    config.add("first", DIMSE, calling="ME", port=11113)
    settings = {"calling": "ME", "port": 11113, **settings}
    if problem is None:
        config.add("second", url, **settings)
        return
    with pytest.raises(ArgumentError, match=f"port 11113 is the receiver of 'first', too, with {problem}"):
        config.add("second", url, **settings)
    assert list(config.servers()) == ["first"]
    config.add("first", url, replace=True, **settings)  # there is no other


def test_one_port_and_two_certificates() -> None:
    tls = {"calling": "ME", "port": 11113, "tls_receiver": True, "cert_file": __file__}
    config.add("first", DIMSE, **tls)
    config.add("second", DIMSE, **tls)
    with pytest.raises(ArgumentError, match="with another certificate"):
        config.add("third", DIMSE, **tls, ca_file=__file__)


# -- secrets -----------------------------------------------------------------------------------------------------

GIVEN: dict[str, dict[str, Any]] = {
    "password": {"user": "alice", "password": PLANTED},
    "token": {"token": PLANTED},
    "client_secret": {**OAUTH, "client_secret": PLANTED},
    "headers.X-Api-Key": {"headers": {"X-Api-Key": PLANTED, "Accept-Language": "de"}},
}


def shown(file: Path, *texts: object) -> str:
    """All that anybody could see."""
    return "\n".join([*map(str, texts), *map(repr, texts), *(f.read_text() for f in file.parent.glob("*"))])


@pytest.mark.parametrize("field", GIVEN)
def test_a_secret_goes_into_the_keyring_only(field: str, memory: Any, file: Path) -> None:
    added = config.add("x", WEB, **GIVEN[field])
    assert memory.entries == {("slicer-notebook", f"x/{field}"): PLANTED}
    assert secrets.secret(config.get("x"), field) == PLANTED
    assert config.get("x") == added
    text = shown(file, added, config.servers())
    assert "keyring" in text
    assert PLANTED[:7] not in text
    config.remove("x")
    assert memory.entries == {}


@pytest.mark.parametrize("backend", [None, "PlaintextKeyring", "Unrecommended"])
@pytest.mark.parametrize("field", GIVEN)
def test_without_a_keyring_a_secret_is_refused(field: str, backend: str | None, file: Path) -> None:
    from keyring.backends import fail

    with registered(kinds()[backend]() if backend else fail.Keyring()) as keyring:
        with pytest.raises(PacsConfigError, match="no keyring") as caught:
            config.add("x", WEB, **GIVEN[field])
        assert not getattr(keyring, "entries", None)
    assert f"{field}='env:VARIABLE'" in (caught.value.hint or "")
    text = "".join(traceback.format_exception(caught.value))
    assert PLANTED[:7] not in f"{text} {caught.value!r} {caught.value.details}"
    assert not file.exists()


def test_a_reference_to_the_keyring_must_lead_somewhere(memory: Any) -> None:
    with pytest.raises(PacsConfigError, match="no token of 'x'"):
        config.add("x", WEB, token="keyring")
    secrets.store("x", "token", PLANTED)
    assert config.add("x", WEB, token="keyring").token == "keyring"
    assert config.add("x", WEB, token="keyring", parallel=3, replace=True).parallel == 3
    assert secrets.secret(config.get("x"), "token") == PLANTED


def test_replacing_takes_old_secrets_out(memory: Any) -> None:
    config.add("x", WEB, token=PLANTED)
    config.add("x", WEB, user="a", password="other", replace=True)
    assert memory.entries == {("slicer-notebook", "x/password"): "other"}
    config.add("x", WEB, user="a", password="env:P", replace=True)
    assert memory.entries == {}


def test_a_file_that_cannot_be_written_leaves_all_as_it_was(
    memory: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.add("x", WEB, token=PLANTED)
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(config_file.os, "replace", full)
    for change in (
        lambda: config.add("x", WEB, token="other", replace=True),
        lambda: config.add("y", WEB, token="other"),
        lambda: config.remove("x"),
        lambda: config.save_learned("x", Learned(paging=True)),
    ):
        with pytest.raises(PacsConfigError, match="cannot be written") as caught:
            change()
        assert "No space left on device" in str(caught.value)
        assert file.read_bytes() == before
        assert memory.entries == {("slicer-notebook", "x/token"): PLANTED}
    assert sorted(found.name for found in file.parent.iterdir()) == ["pacs.toml", "pacs.toml.lock"]


def test_what_stays_in_the_keyring_is_told(memory: Any, file: Path) -> None:
    config.add("x", WEB, token=PLANTED)
    with registered(kinds()["Locked"]()), pytest.warns(UserWarning, match="keyring still has x/token.*KeyringLocked"):
        config.remove("x")
    assert config.servers() == {}


@pytest.mark.parametrize("link", [
    f"https://demo.example/view/{TOKEN}",
    f"https://demo.example/view/{TOKEN}?studyUID=1.2.3#x",
    f"https://demo.example/api/link/{TOKEN}/studies",
    f"kheops+https://demo.example/api/link/{TOKEN}",
])  # fmt: skip
def test_a_kheops_link_is_an_address_and_a_token(link: str, memory: Any, file: Path) -> None:
    added = config.add("album", link)
    assert (added.kind, added.url, added.token) == ("kheops", "kheops+https://demo.example/api", "keyring")
    assert secrets.secret(added, "token") == TOKEN
    assert TOKEN not in shown(file, added)


def test_a_kheops_link_without_a_keyring(file: Path) -> None:
    with pytest.raises(PacsConfigError, match="no keyring") as caught:
        config.add("album", f"https://demo.example/kheops/view/{TOKEN}")
    assert TOKEN not in str(caught.value)
    assert "token='env:VARIABLE'" in str(caught.value)
    assert "kheops+https://demo.example/kheops/api" in str(caught.value)
    added = config.add("album", f"https://demo.example/kheops/view/{TOKEN}", token="env:ALBUM")
    assert (added.url, added.token) == ("kheops+https://demo.example/kheops/api", "env:ALBUM")
    assert TOKEN not in shown(file, added)


@pytest.mark.parametrize(("url", "settings", "told"), [
    ("http://pacs.example/dicom-web", {"token": "env:T"}, True),
    ("http://pacs.example/dicom-web", {"headers": {"X-A": "env:T"}}, True),
    ("kheops+http://pacs.example/api", {"token": "env:T"}, True),
    ("https://pacs.example/dicom-web", {**OAUTH, "token_url": "http://login.example/token"}, True),
    ("dimse://A@pacs.example:104", {"user": "a", "password": "env:P"}, True),
    ("dimse://A@127.0.0.1:104", {"user": "a", "password": "env:P", "web": "http://pacs.example/x"}, True),
    ("http://pacs.example/dicom-web", {**OAUTH, "device_url": "https://l/d", "client_secret": ""}, True),
    ("http://127.0.0.1/dicom-web", {**OAUTH, "device_url": "https://l/d", "client_secret": ""}, False),
    ("http://pacs.example/dicom-web", {}, False),
    ("http://pacs.example/dicom-web", {"headers": {"Accept-Language": "de"}}, False),
    ("dimse://A@pacs.example:104", {"user": "a"}, False),
    ("dimses://A@pacs.example:104", {"user": "a", "password": "env:P"}, False),
    ("https://pacs.example/dicom-web", {"token": "env:T"}, False),
    ("http://127.0.0.1:8042/dicom-web", {"token": "env:T"}, False),
    ("http://localhost/dicom-web", {"token": "env:T"}, False),
    ("http://[::1]/dicom-web", {"token": "env:T"}, False),
])  # fmt: skip
def test_secrets_sent_in_the_clear_are_warned_of(url: str, settings: dict[str, Any], told: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config.add("x", url, **settings)
    assert [warning.category for warning in caught] == [UserWarning] * told
    if told:
        assert "is not encrypted" in str(caught[0].message)
        assert caught[0].filename == __file__


# -- what was learned ----------------------------------------------------------------------------------------------


def test_what_was_learned_comes_back(file: Path) -> None:
    config.add("a.b", DIMSE)
    learned = Learned(
        ways=["C-GET"],
        refused={"C-MOVE": 'Move Destination unknown "x"\n\x1b\u2028'},
        paging=False,
        implementation="PACS [1] # é\x07",
        when="2024-01-01T00:00:00Z",
    )
    config.save_learned("a.b", learned)
    assert config.get("a.b").learned == learned
    inode = file.stat().st_ino
    config.save_learned("a.b", learned)
    assert file.stat().st_ino == inode, "nothing new is not written"
    config.save_learned("a.b", Learned())
    assert "learned" not in file.read_text()


# -- several processes ---------------------------------------------------------------------------------------------

ADDING = """
import sys
from slicer_notebook.pacs import config
print("ready", flush=True)
sys.stdin.readline()
for i in range(int(sys.argv[2])):
    config.add(f"{sys.argv[1]}{i}", "dimse://PACS@127.0.0.1:104")
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_processes_that_add_at_the_same_time_all_win(file: Path) -> None:
    each = 15
    processes = [python(ADDING, name, str(each)) for name in "ab"]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert process.wait(30) == 0
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert set(config.servers()) == {f"{name}{i}" for name in "ab" for i in range(each)}


#: Forks a writer for each line that it reads, and waits for its end: a fresh interpreter each time would take too long.
WRITERS = """
import os, sys
from slicer_notebook.pacs import config
from slicer_notebook.pacs.server import Learned
import tomlkit
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.close(1)  # whoever waits for the launcher's end does not wait for this one's
        i, launcher = int(line), os.getppid()
        while os.getppid() == launcher:
            i += 1
            config.save_learned("s7", Learned(implementation=str(i)))
            config.add("more", "dimse://PACS@127.0.0.1:104", port=i % 60000, replace=True)
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_file(file: Path) -> None:
    written(file, "".join(f'# about {i}\n[servers.s{i}]\nurl = "{DIMSE}"\n\n' for i in range(30)))
    choose, kills, texts = random.Random(11), 0, set()
    launcher = python(WRITERS)
    assert launcher.stdin is not None
    assert launcher.stdout is not None
    try:
        assert launcher.stdout.readline() == "ready\n"
        until = time.monotonic() + 2.0
        while time.monotonic() < until or len(texts) < 10:  # on a busy machine, longer
            launcher.stdin.write(f"{1000 * kills}\n")
            launcher.stdin.flush()
            writer = int(launcher.stdout.readline())
            moment = time.monotonic() + choose.uniform(0.001, 0.05)
            while time.monotonic() < moment:
                texts.add(whole(file))
            os.kill(writer, signal.SIGKILL)
            assert launcher.stdout.readline() == "gone\n"
            kills += 1
            texts.add(whole(file))
    finally:
        launcher.kill()
        launcher.communicate()
    assert kills >= 5
    config.add("after", DIMSE)  # no lock is left
    assert "after" in config.servers()
    assert sorted(found.name for found in file.parent.iterdir()) == ["pacs.toml", "pacs.toml.lock"]


def whole(file: Path) -> str:
    text = file.read_text()
    found = tomllib.loads(text)["servers"]
    assert [name for name in found if name.startswith("s")] == [f"s{i}" for i in range(30)]
    assert text.count("# about ") == 30
    return text


def test_a_lock_that_is_not_freed_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.add("a", DIMSE)
    monkeypatch.setattr(config_file, "LOCK_DEADLINE", 0.1)
    with config_file.locked(file):
        failed: list[PacsError] = []

        def add() -> None:
            try:
                config.add("b", DIMSE)
            except PacsError as exc:
                failed.append(exc)

        thread = threading.Thread(target=add)
        thread.start()
        thread.join(10)
        assert list(config.servers()) == ["a"], "reading needs no lock"
    assert "another program has been changing it" in str(failed[0])
    config.add("b", DIMSE)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PacsConfigError, match="cannot be written") as caught:
        config.add("a", DIMSE, path=tmp_path / "file" / "pacs.toml")
    assert "SLICER_NOTEBOOK_CONFIG" in (caught.value.hint or "")
    with pytest.raises(PacsConfigError, match="cannot be read"):
        config.servers(tmp_path / "file" / "pacs.toml")


def test_without_tomlkit_the_file_is_read_and_no_more(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.add("a", DIMSE)
    monkeypatch.setitem(sys.modules, "tomlkit", None)
    assert config.get("a").url == DIMSE
    with pytest.raises(PacsError, match="tomlkit is not installed") as caught:
        config.add("b", DIMSE)
    assert "pip install 'slicer-notebook[pacs]'" in str(caught.value)
