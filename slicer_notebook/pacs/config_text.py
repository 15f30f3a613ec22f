"""The text of a TOML configuration, statement by statement: where something stands in it, and how it is changed.

tomlkit writes single statements only. Its documents do not say where comments belong: a new key would go behind the
comment above the next section, and with a section that comment would go away.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from slicer_notebook.pacs.extra import need

__all__ = ["Keys", "line_of", "with_section", "without_section"]

#: Names of tables and of a key, from the outermost one inwards.
Keys = tuple[str, ...]

_PART: Final = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEY: Final = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")


class _Statement(NamedTuple):
    kind: Literal["header", "value", "comment", "blank"]
    #: with its line end
    text: str
    #: tables and key; empty for comments
    path: Keys = ()


def _statements(text: str) -> Iterator[_Statement]:
    """The statements of a text that is TOML; one may have several lines."""
    section: Keys = ()
    chunk = ""
    # Not splitlines(), which knows more line ends than TOML.
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        chunk += line
        try:
            parsed = tomllib.loads(chunk)
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        start = chunk.strip()
        if not start:
            yield _Statement("blank", chunk)
        elif start.startswith("#"):
            yield _Statement("comment", chunk)
        elif start.startswith("["):
            section = _innermost(parsed)
            yield _Statement("header", chunk, section)
        else:
            key = _KEY.match(chunk)
            yield _Statement("value", chunk, section + (_innermost(tomllib.loads(f"{key[1]} = {{}}")) if key else ()))
        chunk = ""


def _innermost(table: dict[str, Any]) -> Keys:
    found: list[str] = []
    while isinstance(table, dict) and table:
        name = next(iter(table))
        found.append(name)
        table = table[name]
    return tuple(found)


def line_of(text: str, path: Keys) -> int | None:
    """The line, counted from 1, where the key or table stands, or else the innermost table around it.

    None where there is nothing of it.
    """
    line, found, depth = 1, None, 0
    for statement in _statements(text):
        here = statement.path[: len(path)]  # what is below it, makes it too
        if depth < len(here) and here == path[: len(here)]:
            found, depth = line, len(here)
        line += statement.text.count("\n")
    return found


# -- changing it -----------------------------------------------------------------------------------------------------


class _Block(NamedTuple):
    """A section: its header, what is in it, and the comment right above, which is about it."""

    path: Keys
    above: list[_Statement]
    body: list[_Statement]


def _blocks(text: str) -> list[_Block]:
    if text and not text.endswith("\n"):
        text += "\n"
    blocks = [_Block((), [], [])]
    for statement in _statements(text):
        if statement.kind == "header":
            above: list[_Statement] = []
            body = blocks[-1].body
            while body and body[-1].kind == "comment":
                above.insert(0, body.pop())
            if len(blocks) == 1 and not body:
                # The comment that the file begins with is about the file.
                body.extend(above)
                above = []
            blocks.append(_Block(statement.path, above, [statement]))
        else:
            blocks[-1].body.append(statement)
    return blocks


def _joined(blocks: Sequence[_Block]) -> str:
    return "".join(statement.text for block in blocks for statement in (*block.above, *block.body))


def without_section(text: str, path: Keys) -> str:
    """``text`` without a table and all below it, and without the comments about it."""
    kept = []
    for block in _blocks(text):
        if block.path[: len(path)] == path:
            continue
        body = [statement for statement in block.body if not _below(statement, path)]
        kept.append(block._replace(body=body))
    return _joined(kept)


def _below(statement: _Statement, path: Keys) -> bool:
    return statement.kind == "value" and statement.path[: len(path)] == path


def with_section(text: str, path: Keys, former: dict[str, Any], wanted: dict[str, Any]) -> str:
    """``text`` with the values ``wanted`` in a table, which holds ``former`` there; tables below it stay as they are.

    Values that do not change stay as they are written; comments, and the order of what is there, stay. A table within
    ``wanted`` is written in its line.
    """
    blocks = _blocks(text)
    if former and not any(block.path == path for block in blocks):
        # It is written in the section around it, in whatever way.
        return with_section(without_section(text, path), path, {}, wanted)
    for key, value in former.items():
        if value != wanted.get(key):
            _take_out(blocks, (*path, key), wanted.get(key))
    standing = {statement.path for block in blocks for statement in block.body}
    new = [
        _written(key, value)
        for key, value in wanted.items()
        if former.get(key) != value and (*path, key) not in standing
    ]
    home = next((block for block in blocks if block.path == path), None)
    if home is None:
        return _with_block(blocks, path, new)
    last = max(i for i, statement in enumerate(home.body) if statement.kind in ("header", "value"))
    home.body[last + 1 : last + 1] = [_Statement("value", each) for each in new]
    return _joined(blocks)


def _take_out(blocks: list[_Block], path: Keys, instead: Any) -> None:
    """Drop a key in whatever way it is written; a plain statement becomes the new value, if there is one."""
    for block in list(blocks):
        if block.path[: len(path)] == path:
            blocks.remove(block)
            continue
        for i, statement in reversed(list(enumerate(block.body))):
            if _below(statement, path):
                plain = statement.path == path and block.path == path[:-1]
                if plain and instead is not None:
                    block.body[i] = statement._replace(text=_rewritten(statement.text, path[-1], instead))
                else:
                    del block.body[i]


def _with_block(blocks: list[_Block], path: Keys, new: list[str]) -> str:
    """A new section: behind the last one of the table that it is in, or at the end."""
    near = max((i for i, block in enumerate(blocks) if block.path[:2] == path[:2]), default=len(blocks) - 1)
    before, behind = _joined(blocks[: near + 1]), _joined(blocks[near + 1 :])
    header = ".".join(need("tomlkit").key(name).as_string() for name in path)
    gap = "" if not before or before.endswith("\n\n") else "\n"
    return f"{before}{gap}[{header}]\n{''.join(new)}" + ("\n" if behind else "") + behind


def _item(value: Any) -> Any:
    if isinstance(value, dict):
        table = need("tomlkit").inline_table()
        table.update(value)
        return table
    return value


def _written(key: str, value: Any) -> str:
    tomlkit = need("tomlkit")
    document = tomlkit.document()
    document[key] = _item(value)
    return str(tomlkit.dumps(document))


def _rewritten(statement: str, key: str, value: Any) -> str:
    """A statement with another value; the comment behind it stays."""
    tomlkit = need("tomlkit")
    document = tomlkit.parse(statement)
    document[key] = _item(value)
    return str(tomlkit.dumps(document))
