"""``links.toml``, beside the configuration of the PACS: what is done with links, and where they go.

See `slicer_notebook.links.policy` for its form. Without the file, all is as usual.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from slicer_notebook.errors import ArgumentError, LinkError, PacsConfigError, SlicerNotebookError
from slicer_notebook.links.policy import Policy, Verdict, judge, policy_of
from slicer_notebook.pacs import config
from slicer_notebook.pacs.config_file import config_path, parsed, read_text

__all__ = ["LinkSettings", "Start", "judged", "settings", "settings_path"]

Start = Literal["headless", "desktop", "never"]
_NAME: Final = "links.toml"


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says.

    Attributes:
        policy: answers.
        session: name of the Slicer that links go to if several run; empty: a person is asked.
        start: what is started if none runs.
        desktop: path of Slicer's own program, for "desktop".
    """

    policy: Policy = Policy()
    session: str = ""
    start: Start = "headless"
    desktop: str = ""


def settings_path(path: str | os.PathLike[str] | None = None) -> Path:
    """The file: ``path``, or ``links.toml`` in the folder of the configuration (see `config_file.config_path`)."""
    return Path(path).expanduser() if path is not None else config_path().with_name(_NAME)


def settings(path: str | os.PathLike[str] | None = None) -> LinkSettings:
    """What the file says; the usual where there is none.

    Raises:
        LinkError: it cannot be read, or something in it is wrong.
    """
    file = settings_path(path)
    try:
        table = parsed(file, read_text(file))
        return _settings(table, file.name)
    except ArgumentError as exc:
        raise LinkError(exc.message, expected=exc.expected, got=exc.got, hint=f"It is in {file}.") from None
    except PacsConfigError as exc:
        raise LinkError(exc.message, expected=exc.expected, got=exc.got, hint=exc.hint) from None


def _settings(table: dict[str, Any], name: str) -> LinkSettings:
    known = ("policy", "session", "start", "desktop")
    for key in table:
        if key not in known:
            raise ArgumentError(f"{name}: there is no such setting.", expected=", ".join(known), got=repr(key))
    for key in ("session", "desktop"):
        if not isinstance(table.get(key, ""), str):
            raise ArgumentError(f"{name}: {key}.", expected="text", got=repr(table[key]))
    start = table.get("start", "headless")
    if start not in get_args(Start):
        raise ArgumentError(f"{name}: start.", expected=" or ".join(get_args(Start)), got=repr(start))
    policy = table.get("policy", {})
    if not isinstance(policy, dict):
        raise ArgumentError(f"{name}: policy.", expected="a table", got=repr(policy))
    return LinkSettings(
        policy=policy_of(policy, name), session=table.get("session", ""), start=start, desktop=table.get("desktop", "")
    )


def judged(url: str, chosen: LinkSettings | None = None) -> Verdict:
    """The answer to a link, by the user's own policy and the PACS that are configured.

    Raises:
        LinkError: the policy's file cannot be read.
    """
    chosen = chosen if chosen is not None else settings()
    return judge(url, chosen.policy, _servers())


def _servers() -> list[str]:
    """Names of the PACS that are configured; none where that cannot be read: links are refused then."""
    try:
        return list(config.servers())
    except SlicerNotebookError:
        return []
