"""Commands, each defined once: names, checks of arguments, documentation. Pure, without Slicer."""

from __future__ import annotations

import inspect
import re
import typing
from typing import Any

import numpy as np
import pytest

from slicer_notebook import commands, errors
from slicer_notebook.commands import Command, Host, NodeLike, registry
from slicer_notebook.protocol.values import Array, NodeRef

ALL = list(commands.all_commands())
REF = NodeRef("vtkMRMLScalarVolumeNode1", "CT", ("vtkMRMLScalarVolumeNode", "vtkMRMLNode"))


def each_command(function: Any) -> Any:
    return pytest.mark.parametrize("command", ALL, ids=[command.name for command in ALL])(function)


# -- every command -----------------------------------------------------------------------------------------------


def test_there_are_commands_in_the_order_of_their_names() -> None:
    assert [command.name for command in ALL] == commands.names() == sorted(commands.names())
    assert {"session.ping", "volume.array", "dicom.load", "view.png", "code.run"} <= set(commands.names())


@each_command
def test_a_command_s_name_is_group_and_verb(command: Command) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", command.name)
    assert commands.get(command.name) is command
    assert command.thread in ("main", "worker", "network", "quick")


@each_command
def test_a_command_is_a_function_of_the_host(command: Command) -> None:
    first = next(iter(inspect.signature(command.function).parameters.items()))
    assert first[0] == "host"
    assert typing.get_type_hints(command.function)["host"] is Host
    assert "host" not in command.signature.parameters
    # Every command is called by name and goes over the wire: no *args, no **kwargs.
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in command.signature.parameters.values())


@each_command
def test_a_command_has_types(command: Command) -> None:
    annotated = command.function.__annotations__
    assert set(annotated) == {"host", "return", *command.signature.parameters}
    assert set(command.types) == {"return", *command.signature.parameters}


@each_command
def test_a_command_has_a_docstring(command: Command) -> None:
    first = command.doc.splitlines()[0]
    assert len(first) > 10
    assert first[0].isupper() or first.startswith(("(", "`"))
    assert command.doc.split("\n\n")[0].rstrip().endswith((".", ":"))


@each_command
def test_a_docstring_speaks_of_parameters_and_errors_that_there_are(command: Command) -> None:
    sections = dict(re.findall(r"^(Args|Raises):\n((?:[ ]{4}.*\n?|\n)+)", command.doc, re.MULTILINE))
    arguments = re.findall(r"^ {4}(\w+): ", sections.get("Args", ""), re.MULTILINE)
    assert set(arguments) <= set(command.signature.parameters)
    raised = re.findall(r"^ {4}(\w+(?:, \w+)*): ", sections.get("Raises", ""), re.MULTILINE)
    for name in ", ".join(raised).split(", ") if raised else []:
        assert errors.by_name(name).__name__ == name


@each_command
def test_arguments_are_refused_by_name(command: Command) -> None:
    with pytest.raises(errors.ArgumentError, match="nonsense") as caught:
        command.bind({"nonsense": 1})
    assert command.name in str(caught.value)


# -- arguments ---------------------------------------------------------------------------------------------------


def _body(  # noqa: PLR0917 - called by keyword, as every command
    host: Host,
    node: NodeLike,
    array: Array | None = None,
    size: tuple[int, int] | None = None,
    offset: float = 0.0,
    show: bool = True,
    names: list[str] | None = None,
    anything: Any = None,
) -> dict[str, Any]:
    """A command of the tests' own."""
    raise NotImplementedError


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Command:
    """A command that only this test knows."""
    monkeypatch.setattr(registry, "_commands", dict(registry._commands))
    commands.command("test.own", thread="worker", journal=False)(_body)
    return commands.get("test.own")


def test_a_definition_gives_the_command(own: Command) -> None:
    assert own.function is _body
    assert own.thread == "worker"
    assert not own.journal
    assert own.doc == "A command of the tests' own."
    assert list(own.signature.parameters)[:2] == ["node", "array"]
    assert own.types["size"] == tuple[int, int] | None
    assert own.types["return"] == dict[str, Any]


def test_a_name_is_defined_once(own: Command) -> None:
    with pytest.raises(ValueError, match=r"test\.own is defined twice"):
        commands.command("test.own")(_body)


def test_only_what_was_given_is_bound(own: Command) -> None:
    assert own.bind({"node": "CT"}) == {"node": "CT"}


@pytest.mark.parametrize("node", ["CT", REF])
def test_a_node_is_a_reference_or_text(own: Command, node: NodeLike) -> None:
    assert own.bind({"node": node})["node"] is node


def test_arrays_pass_untouched(own: Command) -> None:
    for array in (np.zeros((2, 3, 4), np.int16), np.array(1.5), np.array(["a"])):
        assert own.bind({"node": REF, "array": array})["array"] is array
    assert own.bind({"node": REF, "array": None})["array"] is None


def test_anything_passes_untouched_where_anything_is_wanted(own: Command) -> None:
    for value in (3, [1, {"a": REF}], object()):
        assert own.bind({"node": REF, "anything": value})["anything"] is value


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("size", [640, 480], (640, 480)),
        ("size", None, None),
        ("offset", 3, 3.0),
        ("show", False, False),
        ("names", ["a", "b"], ["a", "b"]),
        ("names", ("a",), ["a"]),
    ],
)
def test_plain_values_become_the_wanted_type(own: Command, key: str, value: Any, expected: Any) -> None:
    found = own.bind({"node": REF, key: value})[key]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("node", 3, ("NodeRef", "str", "int: 3")),
        ("node", None, ("NodeRef", "NoneType")),
        ("array", [1, 2], ("ndarray", "list: [1, 2]")),
        ("size", [1], ("tuple[int, int]", "list: [1]")),
        ("size", [1.5, 2], ("tuple[int, int]",)),
        ("offset", "far", ("float", "str: 'far'")),
        ("show", 1, ("bool", "int: 1")),
        ("names", [1], ("list[str]",)),
        ("names", "x" * 200, ("list[str]", "...")),
    ],
)
def test_wrong_types_are_refused(own: Command, key: str, value: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(errors.ArgumentError, match=f"argument '{key}' has the wrong type") as caught:
        own.bind({"node": REF} | {key: value})
    text = str(caught.value)
    assert [word for word in ("test.own", *words) if word not in text] == []
    assert len(text) < 400


def test_missing_and_unknown_arguments_are_refused(own: Command) -> None:
    with pytest.raises(errors.ArgumentError, match="'node'") as caught:
        own.bind({})
    assert caught.value.got == "no argument"
    with pytest.raises(errors.ArgumentError, match="'nod'") as caught:
        own.bind({"node": "CT", "nod": "CT"})
    assert caught.value.expected is not None
    assert caught.value.expected.startswith("test.own(node")
    assert isinstance(caught.value, TypeError)


# -- names -------------------------------------------------------------------------------------------------------


def test_an_unknown_command_is_refused_with_near_names() -> None:
    with pytest.raises(errors.CommandNotFoundError) as caught:
        commands.get("volume.aray")
    assert "volume.array" in str(caught.value)
    assert caught.value.got == "'volume.aray'"
    with pytest.raises(errors.CommandNotFoundError) as caught:
        commands.get("xyzzy")
    assert "for example" not in str(caught.value)
