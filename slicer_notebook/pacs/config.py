"""The PACS servers that a user has configured, by name.

They are in a TOML file: ``pacs.toml`` in the user's configuration folder, or where ``SLICER_NOTEBOOK_CONFIG`` says. It
may be edited by hand; its comments and its order stay when a program changes it::

    [servers.hospital]
    url = "dimse://PACS@pacs.hospital.example:11112"
    calling = "NOTEBOOK"
    port = 11113

    [servers.web]
    url = "https://pacs.hospital.example/dicom-web"
    auth = "basic"
    user = "alice"
    password = "keyring"    # or "env:VARIABLE"; never the password itself

What was found out about a server is in ``[servers.NAME.learned]``. No secret is ever written to it (see `secrets`).
"""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from slicer_notebook.errors import ArgumentError, InputError, PacsConfigError, PacsError, PacsNotFoundError
from slicer_notebook.pacs import checks, secrets, signing
from slicer_notebook.pacs.config_file import config_path, locked, parsed, read_text, write_text
from slicer_notebook.pacs.config_text import line_of, with_section, without_section
from slicer_notebook.pacs.extra import need
from slicer_notebook.pacs.server import SECRETS, Auth, Learned, Server, is_reference

__all__ = ["add", "config_path", "get", "remove", "save_learned", "servers"]

AnyPath = str | os.PathLike[str]

#: What a section may have in it; its name is in its title.
_KEYS: Final = tuple(name for name in Server.__struct_fields__ if name != "name")
#: What `add` takes beside name and address.
_SETTINGS: Final = tuple(name for name in _KEYS if name not in ("url", "learned"))
_CHOICES: Final = {"auth": get_args(Auth), "unasked": ("refuse", "keep")}

# -- for the user ----------------------------------------------------------------------------------------------------


def add(name: str, url: str, *, replace: bool = False, path: AnyPath | None = None, **settings: Any) -> Server:
    """Configure a PACS.

    Args:
        name: what to call it: letters, digits, ``-``, ``_``, ``.``.
        url: ``dimse://CALLED_AE@host:port``, ``https://host/dicom-web``, ``kheops+https://host/api``, or a Kheops link
            ``https://host/view/TOKEN``, whose token is kept as if it were given as ``token``.
        replace: whether it may take the place of one of that name, and what was learned of that.
        path: the configuration's file, if it is not the user's own.
        settings: fields of `Server`. A secret (``password``, ``token``, ``client_secret``, ``key_password``, the values
            of ``headers``) is ``"env:VARIABLE"``, or the secret itself, which goes into the system's keyring.

    Returns:
        What was stored; of secrets the references.

    Raises:
        ArgumentError: a setting that there is not, or that is wrong or does not fit the others.
        InputError: there is one of that name.
        PacsConfigError: the file cannot be read or written; or a secret was given where there is no keyring.

    Warns:
        UserWarning: a secret will be sent over the network in the clear.
    """
    need("tomlkit")
    server, plain = _given(name, url, settings)
    checks.check_files(server)
    _check_keyring(server, plain)
    file = config_path(path)
    with locked(file):
        text = read_text(file)
        data = _sections(file, text)
        former = data.get(name, {})
        if name in data and not replace:
            raise InputError(f"There is a PACS {name!r} in {file}.", hint="Take another name, or replace it.")
        others = {other: _read_server(file, text, other, table) for other, table in data.items() if other != name}
        checks.check_receivers(server, others)
        wanted = msgspec.to_builtins(server)
        for key in ("name", "learned"):
            wanted.pop(key, None)
        if "learned" in former:
            text = without_section(text, ("servers", name, "learned"))
        known = {key: value for key, value in former.items() if key != "learned"}
        text = with_section(text, ("servers", name), known, wanted)
        with _kept(name, plain):
            _write(file, text, {**data, name: wanted})
        _forget(name, _in_keyring(former) - _in_keyring(wanted))
    insecure = checks.insecure(server)
    if insecure:
        warnings.warn(
            f"{name}: {insecure} is not encrypted: whoever listens on the way can read the secret that is sent there.",
            UserWarning,
            stacklevel=2,
        )
    return server


def servers(path: AnyPath | None = None) -> dict[str, Server]:
    """All that are configured, in the order of the file; none where there is no file.

    Raises:
        PacsConfigError: the file cannot be read, or something in it is wrong: it says in which line.
    """
    file = config_path(path)
    text = read_text(file)
    return {name: _read_server(file, text, name, table) for name, table in _sections(file, text).items()}


def get(name: str, path: AnyPath | None = None) -> Server:
    """The server of that name; what is wrong with others does not matter.

    Raises:
        PacsNotFoundError: there is none; it names the nearest.
        PacsConfigError: the file cannot be read, or its section is wrong.
    """
    file = config_path(path)
    text = read_text(file)
    found = _sections(file, text)
    if name not in found:
        raise _not_found(name, found, file)
    return _read_server(file, text, name, found[name])


def remove(name: str, path: AnyPath | None = None) -> None:
    """Forget a server, and its secrets in the keyring.

    Raises:
        PacsNotFoundError: there is none; it names the nearest.
        PacsConfigError: the file cannot be read or written.

    Warns:
        UserWarning: a secret could not be taken out of the keyring.
    """
    file = config_path(path)
    with locked(file):
        text = read_text(file)
        found = _sections(file, text)
        if name not in found:
            raise _not_found(name, found, file)
        former = found.pop(name)
        _write(file, without_section(text, ("servers", name)), found)
        _forget(name, _in_keyring(former))
    if former.get("device_url"):
        _forget_sign_in(name)


def save_learned(name: str, learned: Learned, path: AnyPath | None = None) -> None:
    """Keep what was found out about a server, in place of what was known.

    Raises:
        PacsNotFoundError: there is no such server (any more).
        PacsConfigError: the file cannot be read or written.
    """
    need("tomlkit")
    file = config_path(path)
    wanted = msgspec.to_builtins(learned)
    with locked(file):
        text = read_text(file)
        found = _sections(file, text)
        if name not in found:
            raise _not_found(name, found, file)
        former = found[name].get("learned", {})
        if former == wanted:
            return
        section = ("servers", name, "learned")
        if not isinstance(former, dict):
            text, former = without_section(text, section), {}
        found[name].pop("learned", None)
        if wanted:
            text = with_section(text, section, former, wanted)
            found[name]["learned"] = wanted
        else:
            text = without_section(text, section)
        _write(file, text, found)


def _not_found(name: str, known: Mapping[str, Any], file: Path) -> PacsNotFoundError:
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        hint = f"Did you mean {' or '.join(map(repr, near))}?"
    else:
        hint = "slicer-notebook pacs add NAME URL configures one."
    return PacsNotFoundError(
        f"There is no PACS {name!r} in {file}.",
        expected=", ".join(known) or None,
        hint=hint,
        details={"known": [*known]},
    )


# -- what is given ---------------------------------------------------------------------------------------------------


def _given(name: str, url: str, settings: Mapping[str, Any]) -> tuple[Server, dict[str, str]]:
    """The server, and the secrets that were given themselves: they are not in it."""
    unknown = [key for key in settings if key not in _SETTINGS]
    if unknown:
        raise ArgumentError(
            f"A PACS has no setting {unknown[0]!r}.",
            expected=", ".join(_SETTINGS),
            hint=_did_you_mean(unknown[0], _SETTINGS),
        )
    checks.check_name(name)
    given = {key: value for key, value in settings.items() if value is not None}
    link = checks.kheops_link(url) if isinstance(url, str) else None
    if link is not None:
        url, token = link
        given["token"] = given.get("token") or token
    plain: dict[str, str] = {name: given[name] for name in SECRETS if name in given and _is_plain(name, given[name])}
    given.update(dict.fromkeys(plain, "keyring"))
    if isinstance(given.get("headers"), Mapping):
        given["headers"], of_headers = _split_headers(given["headers"])
        plain.update(of_headers)
    for value in plain.values():
        secrets.remember(value)
    for key in ("ca_file", "cert_file", "key_file"):
        if given.get(key) and isinstance(given[key], str | os.PathLike):
            # Commands run in any folder.
            given[key] = os.path.abspath(os.path.expanduser(given[key]))
    try:
        server = msgspec.convert({"name": name, "url": url, **given}, Server)
    except msgspec.ValidationError as exc:
        key, expected, got = _problem(exc)
        # msgspec's own text may repeat the value.
        raise ArgumentError(f"{key}.", expected=expected, got=got) from None
    server.auth = checks.auth_of(server)
    checks.check_server(server)
    return server, plain


def _is_plain(field: str, value: Any) -> bool:
    """Whether a value is a secret itself."""
    if not isinstance(value, str) or not value or is_reference(value):
        return False
    if value.startswith("env:"):
        raise ArgumentError(
            f"{field}.", expected="env:VARIABLE", got="a name that no environment variable can have, behind env:"
        )
    return True


def _split_headers(headers: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[str, str]]:
    kept, plain = dict(headers), {}
    for name, value in headers.items():
        if not checks.is_harmless_header(str(name)) and _is_plain(f"headers.{name}", value):
            plain[f"headers.{name}"] = value
            kept[name] = "keyring"
    return kept, plain


def _check_keyring(server: Server, plain: Mapping[str, str]) -> None:
    """Whether what goes into the keyring can, and what is said to be there is."""
    if plain and not secrets.has_keyring():
        first = next(iter(plain))
        header = first.removeprefix("headers.")
        option = f"--{first.replace('_', '-')}-env VARIABLE" if header == first else f"--header {header}=env:VARIABLE"
        raise PacsConfigError(
            f"{', '.join(plain)} of {server.name!r} cannot be kept: here is no keyring that keeps secrets secret.",
            expected="env:VARIABLE, the name of an environment variable that holds it",
            hint=f"Set such a variable, and give {first}='env:VARIABLE' for the address {server.url} "
            f"({option} on the command line).",
            details={"server": server.name},
        )
    for field in _in_keyring(msgspec.to_builtins(server)) - plain.keys():
        secrets.secret(server, field)


# -- what is in the file ---------------------------------------------------------------------------------------------


def _sections(file: Path, text: str) -> dict[str, dict[str, Any]]:
    """The servers' tables, as they are written."""
    data = parsed(file, text)
    for key in data:
        if key != "servers":
            expected, hint = "sections [servers.NAME]", _did_you_mean(key, ("servers",))
            raise _wrong(file, text, (key,), f"{key!r} is not known", expected=expected, hint=hint)
    found = data.get("servers", {})
    if not isinstance(found, dict):
        raise _wrong(file, text, ("servers",), "servers", expected="sections [servers.NAME]")
    for name, table in found.items():
        if not isinstance(table, dict):
            raise _wrong(
                file, text, ("servers", name), f"{name!r} is no server", expected=f"a section [servers.{name}]"
            )
    return found


def _read_server(file: Path, text: str, name: str, table: dict[str, Any]) -> Server:
    section = ("servers", name)
    _check_keys(file, text, section, table, _KEYS)
    _check_keys(file, text, (*section, "learned"), table.get("learned"), Learned.__struct_fields__)
    try:
        server = msgspec.convert({**table, "name": name}, Server)
    except msgspec.ValidationError as exc:
        key, expected, got = _problem(exc)
        raise _wrong(file, text, (*section, *key.split(".")), key, expected=expected, got=got) from None
    try:
        checks.check_server(server)
    except ArgumentError as exc:
        problem = exc.message.rstrip(".")
        raise _wrong(file, text, section, problem, expected=exc.expected, got=exc.got, hint=exc.hint) from exc
    return server


def _check_keys(file: Path, text: str, section: tuple[str, ...], table: Any, known: tuple[str, ...]) -> None:
    for key in table if isinstance(table, dict) else ():
        if key not in known:
            problem, hint = f"{key!r} is not known", _did_you_mean(key, known)
            raise _wrong(file, text, (*section, key), problem, expected=", ".join(known), hint=hint)


def _wrong(file: Path, text: str, where: tuple[str, ...], problem: str, **words: str | None) -> PacsConfigError:
    line = line_of(text, where)
    place = f"{file}, line {line}" if line else str(file)
    section = f", [{'.'.join(where[: max(2, len(where) - 1)])}]" if len(where) > 1 else ""
    details = {"server": where[1]} if len(where) > 1 else {}
    return PacsConfigError(f"{place}{section}: {problem}.", details=details, **words)


def _problem(exc: msgspec.ValidationError) -> tuple[str, str, str]:
    """Which setting is wrong, what was expected and what came; never its value."""
    text, _, where = str(exc).partition(" - at `$.")
    key = where.rstrip("`").replace("[...]", "") or "a setting"
    found = re.fullmatch(r"Expected `([^`]+)`, got `([^`]+)`", text)
    if found:
        return key, found[1], found[2]
    if key == "port":
        return key, "a number, or 'free'", "something else"
    choices = _CHOICES.get(key)
    if choices:
        return key, ", ".join(repr(choice) for choice in choices if choice), "something else"
    return key, "another value", "a value that it cannot have"


def _did_you_mean(word: str, known: tuple[str, ...]) -> str | None:
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else None


def _write(file: Path, text: str, expected: dict[str, Any]) -> None:
    """Write it if it says what it should: there are more ways to write TOML than are foreseen here."""
    try:
        same = parsed(file, text).get("servers", {}) == expected
    except PacsConfigError:
        same = False
    if not same:
        raise PacsConfigError(
            f"{file} is written in a way that a program cannot change without risk; it is as it was.",
            expected="each server in a section of its own, [servers.NAME], with a key a line",
            hint="Write it so, or make the change by hand.",
        )
    write_text(file, text)


# -- the keyring -----------------------------------------------------------------------------------------------------


def _in_keyring(table: Mapping[str, Any]) -> set[str]:
    """The fields of a section that are in the keyring."""
    headers = table.get("headers")
    named = {f"headers.{name}": value for name, value in headers.items()} if isinstance(headers, Mapping) else {}
    return {field for field, value in {**table, **named}.items() if value == "keyring" and field not in _NO_SECRETS}


#: What may be called "keyring" without being in one.
_NO_SECRETS: Final = frozenset(_KEYS) - frozenset(SECRETS)


@contextmanager
def _kept(name: str, plain: Mapping[str, str]) -> Iterator[None]:
    """Secrets put into the keyring; what was there is there again when the file could not be written."""
    before = {field: secrets.stored(name, field) for field in plain}
    try:
        for field, value in plain.items():
            secrets.store(name, field, value)
        yield
    except BaseException:
        for field, former in before.items():
            with suppress(PacsError):
                if former is None:
                    secrets.delete(name, field)
                else:
                    secrets.store(name, field, former)
        raise


def _forget_sign_in(name: str) -> None:
    try:
        signing.forget(name)
    except PacsError as exc:
        warnings.warn(
            f"The keyring may still have {name}/{signing.REFRESH} (service {secrets.SERVICE}): {exc.message}",
            UserWarning,
            stacklevel=3,
        )


def _forget(name: str, fields: set[str]) -> None:
    for field in sorted(fields):
        try:
            secrets.delete(name, field)
        except PacsError as exc:
            warnings.warn(
                f"The keyring still has {name}/{field} (service {secrets.SERVICE}): {exc.message}",
                UserWarning,
                stacklevel=3,
            )
