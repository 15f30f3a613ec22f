"""The document: OpenAPI 3.1, true to the commands."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import jsonschema
import pytest

from slicer_notebook.commands.gateway import Context, Options
from slicer_notebook.commands.registry import all_commands, get
from slicer_notebook.commands.rights import HIDDEN, RIGHTS
from slicer_notebook.gateways.api import openapi
from slicer_notebook.gateways.api.natural import NATURAL
from slicer_notebook.gateways.api.page import CSP, page
from slicer_notebook.gateways.api.schema import COMPONENTS, arguments_schema, doc_of, schema_of
from tests.gateways.api.serving import Served, served

METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def web() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def document(web: Served) -> dict[str, Any]:
    answer = web.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return dict(answer.json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def resolved(document: dict[str, Any], value: Any) -> Any:
    """The document's own schemas with references resolved, for jsonschema."""
    return {**value, "components": document["components"]} if isinstance(value, dict) else value


def test_it_is_a_whole_document(document: dict[str, Any]) -> None:
    """What OpenAPI 3.1.0 requires (4.8), by hand: no validator of it is among our packages."""
    assert document["openapi"] == "3.1.0"
    assert {"title", "version"} <= document["info"].keys()
    seen = set()
    for path, method, operation in operations(document):
        assert path.startswith("/api/v1/")
        assert method in METHODS
        assert operation["responses"], path
        if "operationId" in operation:
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
        in_path = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), path
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in ("path", "query", "header")
            assert "schema" in parameter
            assert parameter["in"] != "path" or parameter["required"] is True
        for status, answer in operation["responses"].items():
            assert re.fullmatch("[1-5][0-9][0-9]", status)
            assert "description" in answer or "$ref" in answer
        assert set(operation.get("tags", [])) <= {tag["name"] for tag in document["tags"]} | {"server"}


def test_all_references_lead_somewhere(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
        assert reference.startswith("#/")
        at: Any = document
        for step in reference[2:].split("/"):
            at = at[step]


def test_all_schemas_are_schemas(document: dict[str, Any]) -> None:
    count = 0

    def look(value: Any) -> None:
        nonlocal count
        if isinstance(value, dict):
            if isinstance(value.get("schema"), dict):
                jsonschema.Draft202012Validator.check_schema(value["schema"])
                count += 1
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(document)
    for each in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(each)
    assert count > 200


def test_every_offered_command_is_in_it(document: dict[str, Any]) -> None:
    expected = {f"/api/v1/commands/{name}" for name, right in RIGHTS.items() if right.kind != "not offered"}
    found = {path for path in document["paths"] if path.startswith("/api/v1/commands/") and "{" not in path}
    assert found == expected


def test_every_natural_url_leads_to_a_command_and_its_arguments() -> None:
    for route in NATURAL:
        command = get(route.command)
        assert RIGHTS[route.command].kind == "free"
        arguments = {*route.names.values(), *filter(None, (route.filters, route.size))}
        arguments |= {route.body} - {"", "*"}
        assert arguments <= set(command.signature.parameters), route
        for name in re.findall(r"{(\w+)}", route.path):
            assert route.names.get(name, name) in command.signature.parameters, route


def test_arguments_are_the_commands(document: dict[str, Any]) -> None:
    for command in all_commands():
        operation = document["paths"].get(f"/api/v1/commands/{command.name}", {}).get("post")
        if operation is None:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert schema["properties"].keys() == command.signature.parameters.keys() - HIDDEN.keys()
        assert schema["additionalProperties"] is False
        required = {name for name, each in command.signature.parameters.items() if each.default is each.empty}
        assert set(schema.get("required", [])) == required - HIDDEN.keys()


@pytest.mark.parametrize(
    ("command", "good", "bad"),
    [
        ("scene.nodes", {"class_name": None, "hidden": True}, {"hidden": "yes"}),
        ("volume.add", {"array": [[[1]]], "name": "x"}, {"name": "x"}),
        ("view.png", {"name": "Red", "size": [1, 2]}, {"name": "Red", "size": [1, 2, 3]}),
        ("view.png", {"name": "Red", "size": None}, {"name": "Red", "x": 1}),
        ("node.rename", {"node": {"id": "n"}, "name": "x"}, {"node": {"name": "n"}, "name": "x"}),
        ("node.rename", {"node": "n", "name": "x"}, {"node": 1, "name": "x"}),
        ("table.columns", {"node": "t"}, {}),
    ],
)
def test_schemas_say_what_fits(document: dict[str, Any], command: str, good: Any, bad: Any) -> None:
    schema = {**arguments_schema(get(command)), "components": {"schemas": COMPONENTS}}
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(bad, schema)


def test_docstrings_in_parts() -> None:
    doc = doc_of(get("view.image"))
    assert doc.text.startswith("The view's picture")
    assert doc.args == {"size": "(width, height), pixels; the view's own without it."}
    assert set(doc.raises) == {"ViewNotFoundError", "RenderingError"}
    assert doc_of(get("dicom.plan")).returns.startswith("``volumes``")
    assert set(doc_of(get("dicom.index")).raises) == {"PathNotFoundError", "EmptyFolderError", "NotDicomError"}


def test_errors_are_told_of(document: dict[str, Any]) -> None:
    answers = document["paths"]["/api/v1/commands/view.image"]["post"]["responses"]
    assert "ViewNotFoundError" in answers["404"]["description"]
    assert "RenderingError" in answers["503"]["description"]
    assert answers["422"] == {"$ref": "#/components/responses/422"}


def test_results_are_told_of(document: dict[str, Any]) -> None:
    def content(name: str) -> list[str]:
        return list(document["paths"][f"/api/v1/commands/{name}"]["post"]["responses"]["200"]["content"])

    assert content("volume.array") == ["application/x-npy", "application/json", "application/octet-stream"]
    assert content("view.png") == ["image/png", "application/json"]
    assert content("scene.nodes") == ["application/json"]


def test_a_type_without_a_schema_is_an_error() -> None:
    with pytest.raises(TypeError):
        schema_of(complex)
    assert schema_of(tuple[int, ...]) == {"type": "array", "items": {"type": "integer"}}
    assert schema_of(dict) == {"type": "object"}
    assert schema_of(int | None) == {"type": ["integer", "null"]}


def test_the_list_of_commands(web: Served) -> None:
    listed = web.client.get("/commands").json()
    assert {each["name"] for each in listed} == {n for n, right in RIGHTS.items() if right.kind != "not offered"}
    (one,) = [each for each in listed if each["name"] == "node.save"]
    assert one == web.client.get("/commands/node.save").json()
    assert (one["needs"], one["available"], one["changes"]) == ("write", False, True)
    assert one["url"] == "/api/v1/commands/node.save"


def test_a_token_is_told_of() -> None:
    context = Context(None, Options(token="x" * 20), lambda _line: None)  # type: ignore[arg-type] - it asks nothing
    document = openapi.document(context, all_commands(), "http://x")
    assert document["security"] == [{"token": []}]
    assert "x" * 20 not in json.dumps(document)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page(web: Served) -> None:
    answer = web.client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == CSP
    found = _Tags()
    found.feed(answer.text)
    assert not found.open
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "iframe", "img", "link", "form", "object"}
    for _, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert "style" not in attributes
        assert (attributes.get("href") or "/").startswith(("/", "#"))
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in CSP
    for command in ("volume.add", "scene.nodes", "dicom.studies"):
        assert f"/api/v1/commands/{command}" in answer.text
    assert httpx.get(web.url, trust_env=False).status_code == 308


def test_the_page_escapes_what_it_shows(document: dict[str, Any]) -> None:
    odd = json.loads(json.dumps(document).replace("scene.nodes", "<script>alert(1)</script>"))
    odd["info"]["description"] = "<img src=x> `<b>`"
    made = page(odd)
    assert "<script>" not in made
    assert "<img" not in made
    assert "<b>" not in made
