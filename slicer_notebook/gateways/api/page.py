"""The document for people: one page without a script, made of the OpenAPI document."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import Any, Final

__all__ = ["CSP", "page"]

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2229;"
    "background:#fff}"
    "code,pre{font:13px/1.5 ui-monospace,monospace}pre{background:#f2f4f7;padding:.6rem;overflow:auto}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}"
    "details{border-top:1px solid #d6dbe2;padding:.3rem 0}summary{cursor:pointer}.verb{font-weight:600}"
    ".off{color:#a33}nav a{margin-right:.8rem}a{color:#0a5fa8}"
    "@media(prefers-color-scheme:dark){body{color:#dfe3e8;background:#15181c}pre{background:#22272e}"
    "details{border-color:#3a414a}"
    "a{color:#6cb6ff}.off{color:#f88}}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
#: No script, nothing from elsewhere, in no frame.
CSP: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(document: dict[str, Any]) -> str:
    """The page of a document."""
    info, server = document["info"], document["servers"][0]["url"]
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(server, path, method, operation))
    shared = "".join(
        f"<tr><td>{status}</td><td>{_prose(answer['description'])}</td></tr>"
        for status, answer in document["components"]["responses"].items()
    )
    names = sorted(groups, key=lambda name: (name == "server", name))
    links = "".join(f'<a href="#{html.escape(name)}">{html.escape(name)}</a>' for name in names)
    body = "".join(f'<h2 id="{html.escape(name)}">{html.escape(name)}</h2>{"".join(groups[name])}' for name in names)
    words = "".join(f"<p>{_prose(part)}</p>" for part in info["description"].split("\n\n"))
    title, version = html.escape(f"{info['title']}: /api/v1"), html.escape(info["version"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>{title}</h1>'
        f'{words}<p><a href="/api/v1/openapi.json">openapi.json</a></p><p>slicer-notebook {version}</p>'
        f"<h2>Errors of all commands</h2><table>{shared}</table><nav>{links}</nav>{body}</body></html>"
    )


def _prose(text: str) -> str:
    """Escaped text; what is between backquotes as code."""
    parts = html.escape(text).replace("``", "`").split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))


def _operation(server: str, path: str, method: str, operation: dict[str, Any]) -> str:
    rows = [
        _row(each["name"], each["in"], each.get("schema", {}), each.get("required", False))
        for each in _parameters(operation)
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        required = body.get("required", ())
        rows += [_row(name, "body", each, name in required) for name, each in body.get("properties", {}).items()]
    answers = ", ".join(operation["responses"]["200"]["content"])
    raised = "".join(
        f"<tr><td>{status}</td><td>{_prose(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
        if status != "200" and "description" in answer
    )
    words = operation.get("description", "")
    off = ' <span class="off">off</span>' if words.endswith("and is off.") else ""
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return (
        f'<details><summary><span class="verb">{method.upper()}</span> <code>{html.escape(path)}</code>{off} '
        f"{_prose(operation['summary'])}</summary>"
        f"{''.join(f'<p>{_prose(part)}</p>' for part in words.split(chr(10) * 2) if part)}{table}"
        f"<p>Answer: {html.escape(answers)}</p><pre>{html.escape(_example(server, path, method, body))}</pre>"
        f"<table>{raised}</table></details>"
    )


def _parameters(operation: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = operation.get("parameters", [])
    return found


def _row(name: str, where: str, schema: dict[str, Any], required: bool) -> str:
    default = f" = {json.dumps(schema['default'])}" if "default" in schema else ""
    words = schema.get("description", "")
    return (
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(_type(schema) + default)}"
        f"{', required' if required else ''}</td><td>{where}</td><td>{_prose(words)}</td></tr>"
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_type(each) for each in schema[key])
    if "enum" in schema:
        return " or ".join(json.dumps(each) for each in schema["enum"])
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _example(server: str, path: str, method: str, body: dict[str, Any] | None) -> str:
    line = "curl" + (f" -X {method.upper()}" if method not in ("get", "post") else "")
    if body is not None:
        required = {name: _value(body["properties"][name]) for name in body.get("required", ())}
        line += f" -H 'Content-Type: application/json' -d '{json.dumps(required)}'"
    return f"{line} {server}{path}"


def _value(schema: dict[str, Any]) -> Any:
    kind = _type(schema)
    if kind == "NodeKey":
        return "vtkMRMLScalarVolumeNode1"
    if kind in ("array", "ArrayArgument"):
        return []
    return {"integer": 0, "number": 0, "boolean": True, "object": {}}.get(kind, "...")
