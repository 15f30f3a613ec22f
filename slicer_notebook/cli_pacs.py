"""The commands that configure PACS servers: ``slicer-notebook pacs add``, ``list`` and ``remove``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from slicer_notebook.errors import ArgumentError
from slicer_notebook.terminal import err, out

if TYPE_CHECKING:
    from slicer_notebook.pacs.server import Server

__all__ = ["Config", "Json", "pacs", "port_of", "register", "server_named"]

#: Columns of a table that no terminal shows: a file or a pipe has no width of its own.
_PIPE_WIDTH = 320

#: The group; modules with further commands of it add theirs.
pacs = typer.Typer(help="PACS servers: query and retrieve by DIMSE, DICOMweb and Kheops.", no_args_is_help=True)

Config = Annotated[
    Path | None,
    typer.Option("--config", help="The file of servers (TOML); the user's own by default.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class Auth(StrEnum):
    """Kinds of authorisation, as in `slicer_notebook.pacs.server.Auth`."""

    BASIC = "basic"
    BEARER = "bearer"
    CLIENT_CREDENTIALS = "client_credentials"
    DEVICE_CODE = "device_code"


class Unasked(StrEnum):
    """What becomes of instances that nobody asked for."""

    REFUSE = "refuse"
    KEEP = "keep"


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    app.add_typer(pacs, name="pacs")


def server_named(name: str, config: Path | None) -> Server:
    """The configured server of that name.

    Raises:
        PacsNotFoundError: there is none; it names the nearest.
        PacsConfigError: the configuration cannot be read.
    """
    from slicer_notebook.pacs.config import get

    return get(name, config)


def port_of(text: str | None) -> int | Literal["free"] | None:
    """A port as it was typed: a number, or "free"."""
    if text is None or text == "free":
        return "free" if text else None
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor 'free'", param_hint="--port") from None


def _variable(name: str | None) -> str | None:
    return None if name is None else f"env:{name}"


@pacs.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What to call it: letters, digits, '-', '_', '.'.")],
    url: Annotated[
        str,
        typer.Argument(
            help="dimse://CALLED_AE@host:port (dimses:// with TLS), https://host/dicom-web, kheops+https://host/api, "
            "or a Kheops link https://host/view/TOKEN."
        ),
    ],
    *,
    calling: Annotated[str | None, typer.Option(metavar="AE", help="Our AE title (SLICER).")] = None,
    port: Annotated[
        str | None,
        typer.Option(
            metavar="RECEIVER", help="Where our receiver listens, which the PACS must know; or 'free': anywhere."
        ),
    ] = None,
    bind: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address that the receiver listens on (127.0.0.1).")
    ] = None,
    sender: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AE", help="A further AE title that may send to the receiver; may be repeated.", show_default=False
        ),
    ] = None,
    send_address: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="An address that may send to it, instead of those of the PACS's name; may be repeated.",
            show_default=False,
        ),
    ] = None,
    tls_receiver: Annotated[
        bool, typer.Option("--tls-receiver", help="What is sent to the receiver must come with TLS.")
    ] = False,
    user: Annotated[str | None, typer.Option(help="User name, for HTTP Basic or DIMSE user identity.")] = None,
    password_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="Environment variable that holds the password.")
    ] = None,
    token_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="Environment variable that holds the token.")
    ] = None,
    web: Annotated[str | None, typer.Option(metavar="URL", help="DICOMweb of the same archive as well.")] = None,
    wado: Annotated[str | None, typer.Option(metavar="URL", help="WADO-URI of the same archive as well.")] = None,
    auth: Annotated[Auth | None, typer.Option(help="Kind of authorisation, where it does not show by itself.")] = None,
    token_url: Annotated[str | None, typer.Option(metavar="URL", help="OAuth2: where tokens are given.")] = None,
    device_url: Annotated[str | None, typer.Option(metavar="URL", help="OAuth2: where device codes are given.")] = None,
    client_id: Annotated[str | None, typer.Option(help="OAuth2.")] = None,
    client_secret_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="Environment variable that holds the client's secret.")
    ] = None,
    scope: Annotated[str | None, typer.Option(help="OAuth2.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=env:VAR", help="A further HTTP header; may be repeated.", show_default=False),
    ] = None,
    proxy: Annotated[str | None, typer.Option(metavar="URL", help="http://host:port or socks5://host:port.")] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="Authorities to trust (PEM), if not the system's.", show_default=False)
    ] = None,
    cert_file: Annotated[Path | None, typer.Option(help="Our certificate (PEM).", show_default=False)] = None,
    key_file: Annotated[Path | None, typer.Option(help="Our key (PEM).", show_default=False)] = None,
    key_password_env: Annotated[
        str | None, typer.Option(metavar="VAR", help="Environment variable that holds the key's password.")
    ] = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not check certificates: anybody can then pose as the PACS.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds until an answer must have begun, or gone on (30).")
    ] = None,
    commit_timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for answers about storage commitment (60).")
    ] = None,
    parallel: Annotated[int | None, typer.Option(help="Associations or connections at most (2).")] = None,
    charset: Annotated[
        str | None, typer.Option(help="Character set of keys that are not ASCII, such as 'ISO_IR 100'.")
    ] = None,
    ways: Annotated[
        list[str] | None,
        typer.Option(
            help="Ways to fetch, in this order: C-GET, C-MOVE, WADO-RS, WADO-URI; with commas, or repeated.",
            show_default=False,
        ),
    ] = None,
    unasked: Annotated[
        Unasked | None, typer.Option(help="What becomes of what a retrieval brings that nobody asked for (refuse).")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of one of that name.")] = False,
    config: Config = None,
) -> None:
    """Configure a PACS. Passwords and tokens are named by environment variables, never given."""
    from slicer_notebook.pacs import config as configuration

    settings: dict[str, Any] = {
        "calling": calling,
        "port": port_of(port),
        "bind": bind,
        "senders": sender or None,
        "send_addresses": send_address or None,
        "tls_receiver": tls_receiver or None,
        "user": user,
        "password": _variable(password_env),
        "token": _variable(token_env),
        "web": web,
        "wado": wado,
        "auth": auth and auth.value,
        "token_url": token_url,
        "device_url": device_url,
        "client_id": client_id,
        "client_secret": _variable(client_secret_env),
        "scope": scope,
        "headers": _headers(header),
        "proxy": proxy,
        "ca_file": ca_file,
        "cert_file": cert_file,
        "key_file": key_file,
        "key_password": _variable(key_password_env),
        "verify": False if no_verify else None,
        "timeout": timeout,
        "commit_timeout": commit_timeout,
        "parallel": parallel,
        "charset": charset,
        "ways": [way.strip() for each in ways or () for way in each.split(",")] or None,
        "unasked": unasked and unasked.value,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    try:
        with _told_warnings():
            server = configuration.add(name, url, replace=replace, path=config, **given)
    except ArgumentError as error:
        # What was typed is wrong: that is a matter of usage, as with any option that typer checks itself.
        err().print(f"slicer-notebook: {error}", markup=False)
        raise typer.Exit(2) from None
    out().print(f"{name}: {server.url}, in {configuration.config_path(config)}", markup=False, soft_wrap=True)


def _headers(given: Sequence[str] | None) -> dict[str, str] | None:
    from slicer_notebook.pacs.checks import is_harmless_header

    found: dict[str, str] = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        # What is wrong is not repeated: it may be the secret itself.
        if not equals or not (value.startswith("env:") or is_harmless_header(name)):
            raise typer.BadParameter(
                "expected NAME=env:VAR, where the environment variable VAR holds the value", param_hint="--header"
            )
        if name in found:
            raise typer.BadParameter(f"{name} is given twice", param_hint="--header")
        found[name] = value
    return found or None


@contextmanager
def _told_warnings() -> Iterator[None]:
    """Our warnings in a line of standard error, without the line of code that gave them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        if warning.category is UserWarning:
            err().print(f"warning: {warning.message}", markup=False)


@pacs.command("list")
def list_servers(config: Config = None, as_json: Json = False) -> None:
    """List the PACS servers that are configured."""
    from slicer_notebook.pacs import config as configuration

    found = list(configuration.servers(config).values())
    if as_json:
        typer.echo(json.dumps([_as_json(server) for server in found], indent=1, ensure_ascii=False))
    elif not found:
        err().print(
            f"No PACS is configured in {configuration.config_path(config)}: slicer-notebook pacs add NAME URL does it.",
            markup=False,
        )
    else:
        _print_servers(found)


def _as_json(server: Server) -> dict[str, Any]:
    """All settings, those that were not given too, and the protocol; of secrets the references."""
    learned = msgspec.structs.asdict(server.learned)
    return {**msgspec.structs.asdict(server), "kind": server.kind, "learned": learned}


def _print_servers(found: Sequence[Server]) -> None:
    console = out()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    table = Table(box=None, pad_edge=False)
    for column in ("Name", "Protocol", "Address", "AE title", "Receiver", "Credentials", "Ways"):
        table.add_column(column, overflow="fold", no_wrap=column in ("Name", "Protocol", "AE title"))
    for server in found:
        table.add_row(*map(Text, _cells(server)))
    console.print(table)


def _cells(server: Server) -> list[str]:
    dimse = server.kind == "dimse"
    protocol = {"dimse": "DIMSE", "dicomweb": "DICOMweb", "kheops": "Kheops"}[server.kind]
    address = ", ".join(filter(None, (server.url, server.web, server.wado)))
    receiver = f"{server.bind}:{server.port}" if dimse and server.port else ""
    ways = ", ".join(server.ways or server.learned.ways)
    return [server.name, protocol, address, server.calling if dimse else "", receiver, _credentials(server), ways]


def _credentials(server: Server) -> str:
    from slicer_notebook.pacs.server import SECRETS

    parts = [server.auth, server.user]
    parts += [f"{field} {value}" for field in SECRETS if (value := getattr(server, field))]
    parts += [f"{header} {value}" for header, value in server.headers.items()]
    parts += ["" if server.verify else "certificates not checked"]
    return ", ".join(filter(None, parts))


@pacs.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    config: Config = None,
) -> None:
    """Forget a PACS, and its secrets in the keyring."""
    from slicer_notebook.pacs import config as configuration

    with _told_warnings():
        configuration.remove(name, config)
    out().print(f"removed {name}", markup=False)
