"""JSON schemas of the commands' types (JSON Schema 2020-12, as OpenAPI 3.1 has it), and their docstrings in parts."""

from __future__ import annotations

import inspect
import re
import types
import typing
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from slicer_notebook.commands.registry import Command
from slicer_notebook.commands.rights import FIXED, HIDDEN
from slicer_notebook.protocol.values import NodeRef

__all__ = ["COMPONENTS", "Doc", "arguments_schema", "doc_of", "is_array", "is_bytes", "schema_of"]

Schema = dict[str, Any]

COMPONENTS: Final[dict[str, Schema]] = {
    "Node": {
        "type": "object",
        "description": "A MRML node: its id, its name, its MRML classes from its own up to vtkMRMLNode.",
        "properties": {
            "id": {"type": "string"},
            "name": {"type": "string"},
            "classes": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["id", "name", "classes"],
    },
    "NodeKey": {
        "description": "A MRML node: its id or its name, which must be unique, or an object with its id.",
        "oneOf": [
            {"type": "string"},
            {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
        ],
    },
    "Array": {
        "type": "object",
        "description": "NumPy's name of its type, its shape, its values as nested lists (complex ones as pairs).",
        "properties": {
            "dtype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "values": {},
        },
        "required": ["dtype", "shape", "values"],
    },
    "ArrayArgument": {
        "description": "An array: nested lists of numbers; an object with dtype, shape and values or base64 (C order); "
        "or a part of a form with a .npy file.",
        "oneOf": [
            {"type": "array"},
            {
                "type": "object",
                "properties": {
                    "dtype": {"type": "string"},
                    "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                    "values": {},
                    "base64": {"type": "string", "contentEncoding": "base64"},
                },
                "required": ["dtype", "shape"],
            },
        ],
    },
    "Bytes": {
        "type": "object",
        "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
        "required": ["base64"],
    },
    "Error": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "description": "The class of the error, such as NodeNotFoundError."},
                    "message": {"type": "string"},
                    "expected": {"type": ["string", "null"]},
                    "got": {"type": ["string", "null"]},
                    "hint": {"type": ["string", "null"], "description": "What to do next."},
                    "details": {"type": "object"},
                },
                "required": ["kind", "message", "expected", "got", "hint", "details"],
            }
        },
        "required": ["error"],
    },
    "Job": {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "command": {"type": "string"},
            "state": {"enum": ["running", "done", "failed", "cancelled"]},
            "progress": {
                "type": "object",
                "properties": {
                    "fraction": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
                    "text": {"type": "string"},
                    "data": {},
                },
            },
            "error": {"oneOf": [{"$ref": "#/components/schemas/Error/properties/error"}, {"type": "null"}]},
            "created": {"type": "number", "description": "Seconds since the epoch."},
            "ended": {"type": ["number", "null"]},
            "url": {"type": "string"},
            "events": {"type": "string"},
            "result": {"type": ["string", "null"], "description": "Where the result is, once there is one."},
        },
        "required": ["id", "command", "state", "progress", "error", "created", "ended", "url", "events", "result"],
    },
}  # fmt: skip

_SIMPLE: Final[dict[Any, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
    bytes: {"$ref": "#/components/schemas/Bytes"},
}
_UNIONS: Final = (typing.Union, types.UnionType)
_COLLECTIONS: Final = (list, set, frozenset, tuple, dict)


def schema_of(wanted: Any, *, argument: bool = False) -> Schema:
    """The schema of a type; of an argument, what may stand for it."""
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if is_array(wanted) or wanted is NodeRef or wanted in _SIMPLE:
        return _own(wanted, argument)
    if origin in _UNIONS:
        return _union(inner, argument)
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin in _COLLECTIONS:
        return _collection(origin, inner, argument)
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        (found,), components = msgspec.json.schema_components([wanted], ref_template="#/$defs/{name}")
        return {**found, "$defs": components}
    if wanted in _COLLECTIONS:
        return {"type": "object" if wanted is dict else "array"}
    raise TypeError(f"{wanted!r} has no schema")


def _collection(origin: Any, inner: tuple[Any, ...], argument: bool) -> Schema:
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(inner[1], argument=argument)}
    if origin is tuple:
        return _tuple(inner, argument)
    return {"type": "array", "items": schema_of(inner[0], argument=argument)}


def _own(wanted: Any, argument: bool) -> Schema:
    """Of what is no collection: text, numbers, and what has a component of its own."""
    if is_array(wanted):
        return {"$ref": f"#/components/schemas/{'ArrayArgument' if argument else 'Array'}"}
    if wanted is NodeRef:
        return {"$ref": f"#/components/schemas/{'NodeKey' if argument else 'Node'}"}
    return dict(_SIMPLE[wanted])


def _union(inner: tuple[Any, ...], argument: bool) -> Schema:
    if argument and NodeRef in inner:
        # An id or name is one of the forms of the key.
        inner = tuple(each for each in inner if each is not str)
    parts = [schema_of(each, argument=argument) for each in inner]
    if len(parts) == 1:
        return parts[0]
    names = [part.get("type") for part in parts if set(part) == {"type"}]
    if len(names) == len(parts):
        return {"type": names}
    return {"anyOf": parts}


def _tuple(inner: tuple[Any, ...], argument: bool) -> Schema:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return {"type": "array", "items": schema_of(inner[0], argument=argument)}
    items = [schema_of(each, argument=argument) for each in inner]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def is_array(wanted: Any) -> bool:
    """Whether it is a NumPy array."""
    return wanted is np.ndarray or typing.get_origin(wanted) is np.ndarray


def is_bytes(wanted: Any) -> bool:
    """Whether it is a file or a picture."""
    return wanted is bytes


class Doc(NamedTuple):
    """A docstring in parts: what it does, its arguments in words, what comes back, errors by class."""

    text: str
    args: dict[str, str]
    returns: str
    raises: dict[str, str]


_SECTION: Final = re.compile(r"^(Args|Returns|Raises|Yields):$", re.MULTILINE)
_ENTRY: Final = re.compile(r"^([A-Za-z_][\w, ]*): ", re.MULTILINE)


def doc_of(command: Command) -> Doc:
    """The parts of a command's docstring."""
    pieces = _SECTION.split(command.doc)
    sections = dict(zip(pieces[1::2], (inspect.cleandoc(piece.strip("\n")) for piece in pieces[2::2]), strict=True))
    raises: dict[str, str] = {}
    for names, text in _entries(sections.get("Raises", "")).items():
        for name in names.split(","):
            raises[name.strip()] = text
    args: dict[str, str] = {}
    for names, text in _entries(sections.get("Args", "")).items():
        for name in names.split(","):
            args[name.strip()] = text
    return Doc(pieces[0].strip(), args, sections.get("Returns", ""), raises)


def _entries(section: str) -> dict[str, str]:
    """``name: text`` at the beginning of a line, the lines that belong to it joined."""
    pieces = _ENTRY.split(section)
    return {name: " ".join(text.split()) for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def arguments_schema(command: Command) -> Schema:
    """The object of a command's arguments."""
    doc = doc_of(command)
    properties: dict[str, Schema] = {}
    required = []
    for name, parameter in command.signature.parameters.items():
        if name in HIDDEN:
            continue
        wanted = command.types.get(name, Any)
        schema = (
            {"$ref": "#/components/schemas/ArrayArgument"} if is_array(wanted) else schema_of(wanted, argument=True)
        )
        if name in doc.args:
            schema["description"] = doc.args[name]
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
        else:
            schema["default"] = FIXED.get(name, parameter.default)
        properties[name] = schema
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        found["required"] = required
    return found
