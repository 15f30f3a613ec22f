"""OpenAPI 3.1 of ``/api/v1``, made of the commands' definitions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook import __version__, errors
from slicer_notebook.commands.registry import Command
from slicer_notebook.commands.rights import HIDDEN, offered, right_of
from slicer_notebook.gateways.api.failures import STATUSES
from slicer_notebook.gateways.api.natural import NATURAL, Natural
from slicer_notebook.gateways.api.results import JSON, NPY, OCTETS
from slicer_notebook.gateways.api.schema import (
    COMPONENTS,
    Schema,
    arguments_schema,
    doc_of,
    is_array,
    is_bytes,
    schema_of,
)

if TYPE_CHECKING:
    from slicer_notebook.commands.gateway import Context

__all__ = ["described", "document"]

_ROOT: Final = "/api/v1"
_BRACES: Final = re.compile(r"{(\w+)}")
#: What every command may answer.
_ALWAYS: Final = {
    "400": "The request is none: no JSON, no form.",
    "403": "It has not been switched on, or names a file that may not be used.",
    "404": "There is no such command, node, study, view...",
    "409": "It was cancelled, or a name is not unique.",
    "413": "The arguments are too long.",
    "422": "The arguments do not fit the command.",
    "429": "Too many commands run.",
    "500": "It failed in Slicer.",
    "504": "It took too long.",
}
_WORDS: Final = """\
What a notebook can tell Slicer, a program can by HTTP: each command by `POST /api/v1/commands/NAME` with its arguments
as a JSON object (or as a form, with arrays as .npy files), and by natural URLs where there are some. A result is the
answer's body: JSON, an array as `application/x-npy`, a picture as itself. Errors are
`{"error": {"kind", "message", "expected", "got", "hint", "details"}}`. With `?wait=false` a command becomes a job,
whose progress comes as Server-Sent Events."""


def described(context: Context, command: Command) -> dict[str, Any]:
    """A command as ``GET /commands`` lists it."""
    right, doc = right_of(command.name), doc_of(command)
    switched_on = right.kind in ("free", "reads files") or context.allows(right.kind)  # type: ignore[arg-type]
    return {
        "name": command.name,
        "summary": " ".join(doc.text.split("\n\n")[0].split()),
        "needs": None if right.kind in ("free", "reads files") else right.kind,
        "available": switched_on,
        "changes": command.journal,
        "arguments": arguments_schema(command),
        "result": schema_of(command.types["return"]),
        "errors": sorted(doc.raises),
        "url": f"{_ROOT}/commands/{command.name}",
    }


def document(context: Context, commands: Iterable[Command], server: str) -> dict[str, Any]:
    """The whole document.

    Args:
        server: URL that this client reaches the server by, without ``/api/v1``.
    """
    found = {command.name: command for command in offered(commands)}
    paths: dict[str, Any] = {}
    for command in found.values():
        paths[f"{_ROOT}/commands/{command.name}"] = {"post": _post(context, command)}
    for route in NATURAL:
        if route.command in found:
            paths.setdefault(_ROOT + route.path, {})[route.method.lower()] = _natural(
                context, route, found[route.command]
            )
    paths |= _of_server()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Slicer", "version": __version__, "description": _WORDS},
        "servers": [{"url": server}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": COMPONENTS,
            "responses": {status: _error(words) for status, words in _ALWAYS.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}] if context.options.token else [],
        "tags": [{"name": group} for group in sorted({name.partition(".")[0] for name in found})],
    }


def _operation(context: Context, command: Command, operation_id: str) -> dict[str, Any]:
    doc, right = doc_of(command), right_of(command.name)
    first, _, rest = doc.text.partition("\n\n")
    words = [rest.strip()] if rest.strip() else []
    if doc.returns:
        words.append(f"Result: {doc.returns}")
    if right.kind not in ("free", "reads files"):
        state = "on" if context.allows(right.kind) else "off"  # type: ignore[arg-type]
        words.append(f"It {right.why}: `{right.kind}` has to be switched on, and is {state}.")
    return {
        "operationId": operation_id,
        "summary": " ".join(first.split()),
        "description": "\n\n".join(words),
        "tags": [command.name.partition(".")[0]],
        "responses": {"200": _result(command), **_failures(doc.raises)},
    }


def _result(command: Command) -> dict[str, Any]:
    wanted = command.types["return"]
    content: dict[str, Any] = {JSON: {"schema": schema_of(wanted)}}
    if is_array(wanted):
        binary: Schema = {"type": "string", "format": "binary"}
        content = {NPY: {"schema": binary}, **content, OCTETS: {"schema": binary}}
    elif is_bytes(wanted):
        media = "application/dicom" if command.name == "dicom.header" else "image/png"
        content = {media: {"schema": {"type": "string", "format": "binary"}}, **content}
    return {"description": "What the command gives.", "content": content}


def _failures(raises: dict[str, str]) -> dict[str, Any]:
    told: dict[str, list[str]] = {}
    for name, text in raises.items():
        kind = errors.by_name(name)
        status = next((str(status) for each, status in STATUSES if issubclass(kind, each)), "500")
        told.setdefault(status, []).append(f"{name}: {text}")
    found: dict[str, Any] = {status: {"$ref": f"#/components/responses/{status}"} for status in _ALWAYS}
    found |= {status: _error(" ".join(words)) for status, words in told.items()}
    return dict(sorted(found.items()))


def _error(words: str) -> dict[str, Any]:
    return {"description": words, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}


def _post(context: Context, command: Command) -> dict[str, Any]:
    operation = _operation(context, command, command.name)
    schema = arguments_schema(command)
    content: dict[str, Any] = {JSON: {"schema": schema}}
    if any(is_array(command.types.get(name)) for name in schema["properties"]):
        parts = {
            name: {"type": "string", "format": "binary"} if is_array(command.types.get(name)) else each
            for name, each in schema["properties"].items()
        }
        form = {**schema, "properties": {**parts, "arguments": {"type": "object"}}}
        form.pop("required", None)
        content["multipart/form-data"] = {"schema": form}
    operation["requestBody"] = {"required": bool(schema.get("required")), "content": content}
    operation["parameters"] = [
        {
            "name": "wait",
            "in": "query",
            "description": "true: wait for the result; false: 202 and a job at once; a number: after so many seconds.",
            "schema": {"oneOf": [{"type": "boolean"}, {"type": "number", "minimum": 0}], "default": True},
        }
    ]
    operation["responses"]["202"] = {
        "description": "It goes on as a job.",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Job"}}},
    }
    return operation


def _natural(context: Context, route: Natural, command: Command) -> dict[str, Any]:
    operation = _operation(context, command, f"{route.method.lower()} {route.path}")
    schema = arguments_schema(command)
    in_path = _BRACES.findall(route.path)
    by_argument = {argument: name for name, argument in route.names.items()}
    properties = dict(schema["properties"])
    parameters: list[dict[str, Any]] = []
    for name in in_path:
        argument = route.names.get(name, name)
        properties.pop(argument)
        parameters.append({"name": name, "in": "path", "required": True, "schema": {"type": "string"}})
    if route.body and route.body != "*":
        body = properties.pop(route.body)
        operation["requestBody"] = {
            "required": True,
            "content": {NPY: {"schema": {"type": "string", "format": "binary"}}, JSON: {"schema": body}},
        }
    elif route.body:
        operation["requestBody"] = {"content": {JSON: {"schema": {**schema, "properties": properties}}}}
        operation["requestBody"]["content"][JSON]["schema"].pop("required", None)
        properties = {}
    if route.size:
        properties.pop(route.size)
        edge = {"type": "integer", "minimum": 1}
        parameters += [{"name": name, "in": "query", "schema": edge} for name in ("width", "height")]
    if route.filters:
        properties.pop(route.filters)
        words = "DICOM keywords, with * and ?, dates and ranges of dates."
        anything = {"type": "object", "additionalProperties": {"type": "string"}}
        parameters.append(
            {
                "name": route.filters,
                "in": "query",
                "style": "form",
                "explode": True,
                "description": words,
                "schema": anything,
            }
        )
    for name, each in properties.items():
        if name not in HIDDEN:
            parameters.append({"name": by_argument.get(name, name), "in": "query", "schema": each})
    operation["parameters"] = parameters
    return operation


def _of_server() -> dict[str, Any]:
    """What is no command: lists, jobs, events, this document."""
    job, error = {"$ref": "#/components/schemas/Job"}, {"$ref": "#/components/schemas/Error"}
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    last = {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}
    gone = {"description": "There is no such job.", "content": {JSON: {"schema": error}}}

    def told(summary: str, schema: Schema, media: str = JSON, **more: Any) -> dict[str, Any]:
        answers = {"200": {"description": summary, "content": {media: {"schema": schema}}}, **more.pop("answers", {})}
        return {"summary": summary, "tags": ["server"], "responses": answers, **more}

    stream = {"type": "string"}
    kinds = {
        "name": "kinds", "in": "query", "schema": {"type": "string"},
        "description": "Only these, separated by commas: scene, views, loads, transfers, indexed, answers, gateways...",
    }  # fmt: skip
    with_job: dict[str, Any] = {"parameters": [number], "answers": {"404": gone}}
    return {
        f"{_ROOT}/commands": {
            "get": told("The commands, each with its schemas.", {"type": "array", "items": {"type": "object"}})
        },
        f"{_ROOT}/commands/{{name}}": {
            "get": told(
                "One command with its schemas.",
                {"type": "object"},
                parameters=[{**number, "name": "name"}],
                answers={"404": gone},
            )
        },
        f"{_ROOT}/jobs": {"get": told("Jobs that run or ended lately.", {"type": "array", "items": job})},
        f"{_ROOT}/jobs/{{id}}": {
            "get": told("A job.", job, **with_job),
            "delete": told("Cancel a job; forget one that has ended.", job, **with_job),
        },
        f"{_ROOT}/jobs/{{id}}/result": {"get": told("What the job's command gave.", {}, **with_job)},
        f"{_ROOT}/jobs/{{id}}/events": {
            "get": told("progress, then done, failed or cancelled.", stream, "text/event-stream", **with_job)
        },
        f"{_ROOT}/events": {
            "get": told("What happens in the session.", stream, "text/event-stream", parameters=[last, kinds])
        },
        f"{_ROOT}/openapi.json": {"get": told("This document.", {"type": "object"})},
    }
