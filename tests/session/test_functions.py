"""``@slicer.function``: source, what it may capture, annotations, arguments. A session stands in for Slicer."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from slicer_notebook import errors
from slicer_notebook.session.functions import RemoteFunction
from slicer_notebook.session.job import Job


class FakeSession:
    """Notes what it is asked, and runs functions in this process as Slicer would."""

    def __init__(self) -> None:
        self.name = "fake"
        self.generation = 0
        self.sources: dict[str, str] = {}
        self.defined: list[str] = []
        self.sent: list[tuple[list[Any], dict[str, Any]]] = []

    def call(self, command: str, *, key: str, name: str, source: str) -> None:
        assert command == "code.define"
        self.defined.append(name)
        self.sources[key] = source

    def submit(
        self, command: str, *, key: str, args: list[Any], kwargs: dict[str, Any], convert: Callable[[Any], Any]
    ) -> Job[Any]:
        assert command == "code.call"
        self.sent.append((args, kwargs))
        names: dict[str, Any] = {}
        exec(compile(self.sources[key], "<there>", "exec", dont_inherit=True), names)
        function = names[ast.parse(self.sources[key]).body[0].name]  # type: ignore[attr-defined]
        job: Job[Any] = Job(command, cancel=lambda: None, convert=convert)
        job.deliver(function(*args, **kwargs), None)
        return job

    def wait(self, job: Job[Any]) -> Any:
        return job.result()


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def remote(session: FakeSession) -> Callable[[Callable[..., Any]], RemoteFunction[..., Any]]:
    """The decorator ``@slicer.function``."""
    return lambda function: RemoteFunction(cast(Any, session), function)


Remote = Callable[[Callable[..., Any]], RemoteFunction[..., Any]]


# -- what is sent ------------------------------------------------------------------------------------------------


def test_a_function_runs_by_its_source(remote: Remote, session: FakeSession) -> None:
    @remote
    def total(a: int, b: int = 2, *more: int, scale: float = 1.0) -> float:
        """Adds."""
        return (a + b + sum(more)) * scale

    assert total(1) == 3.0
    assert total(1, 2, 3, scale=2) == 12.0
    assert session.sent == [([1], {}), ([1, 2, 3], {"scale": 2.0})]


def test_further_arguments_are_checked_one_by_one(remote: Remote, session: FakeSession) -> None:
    @remote
    def takes(*more: int, **options: float) -> None:
        return None

    takes(1, 2, a=1, b=2.5)
    assert session.sent == [([1, 2], {"a": 1.0, "b": 2.5})]
    with pytest.raises(errors.ArgumentError, match="'more' has the wrong type"):
        takes(1, "2")
    with pytest.raises(errors.ArgumentError, match="'b' has the wrong type"):
        takes(a=1, b="x")


def test_the_source_goes_once_until_a_restart(remote: Remote, session: FakeSession) -> None:
    @remote
    def one() -> int:
        return 1

    assert (one(), one()) == (1, 1)
    assert session.defined == ["one"]
    session.generation += 1
    assert one() == 1
    assert session.defined == ["one", "one"]


def test_the_source_is_the_function_alone(remote: Remote, session: FakeSession) -> None:
    @remote
    def documented(a: np.ndarray[Any, Any], *rest: int, **options: dict[str, int]) -> list[str]:
        """Its docstring."""
        return [str(a)]

    documented(np.zeros(1))
    [source] = session.sources.values()
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    assert definition.decorator_list == []
    assert ast.get_docstring(definition) == "Its docstring."
    # Annotations go as text: they may name classes that the other end does not have.
    found = [a.annotation for a in ast.walk(definition) if isinstance(a, ast.arg)]
    assert all(isinstance(annotation, ast.Constant) for annotation in found)
    assert isinstance(definition.returns, ast.Constant)
    assert definition.returns.value == "list[str]"


def test_it_looks_like_the_function(remote: Remote) -> None:
    @remote
    def looks(a: int) -> str:
        """Its docstring."""
        return "x" * a

    assert looks.__name__ == "looks"
    assert looks.__doc__ == "Its docstring."
    assert list(inspect.signature(looks).parameters) == ["a"]
    assert repr(looks).startswith("<function looks(")
    assert repr(looks).endswith(" in fake>")


def test_submit_gives_the_job(remote: Remote) -> None:
    @remote
    def two() -> int:
        return 2

    job = two.submit()
    assert isinstance(job, Job)
    assert job.result() == 2


# -- what cannot be sent -----------------------------------------------------------------------------------------


def test_what_it_captures_is_refused_by_name(remote: Remote) -> None:
    volume, threshold = "CT", 100

    def captures() -> tuple[str, int]:
        return volume, threshold

    with pytest.raises(errors.ArgumentError, match="captures uses variables") as caught:
        remote(captures)
    assert caught.value.got == "threshold, volume"
    assert caught.value.hint == "pass them as arguments"


@pytest.mark.parametrize("nothing", [lambda: 1, len, str, 3, "text", FakeSession().call])
def test_what_is_no_function_of_its_own_is_refused(remote: Remote, nothing: Any) -> None:
    with pytest.raises(errors.ArgumentError):
        remote(nothing)


def test_what_is_no_plain_function_is_refused(remote: Remote) -> None:
    async def later() -> int:
        return 1

    with pytest.raises(errors.ArgumentError, match="later cannot run in Slicer") as caught:
        remote(later)
    assert caught.value.got == "AsyncFunctionDef"


def test_a_function_without_source_is_refused(remote: Remote) -> None:
    names: dict[str, Any] = {}
    exec("def made(): return 1", names)
    with pytest.raises(errors.ArgumentError, match="source of made cannot be found"):
        remote(names["made"])


# -- arguments and results ---------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit_the_signature_are_refused(remote: Remote, session: FakeSession) -> None:
    @remote
    def takes(a: int, b: str = "") -> None: ...

    for args, kwargs, word in (((), {}, "'a'"), ((1, "x", 2), {}, "too many"), ((1,), {"c": 1}, "'c'")):
        with pytest.raises(errors.ArgumentError, match=word) as caught:
            takes(*args, **kwargs)
        assert "takes(a:" in str(caught.value)
    assert session.defined == []


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, 3, "3"),
        (float, 3, "x"),
        (bool, True, 1),
        (str, "x", 3),
        (list[int], [1, 2], ["a"]),
        (dict[str, float], {"a": 1}, {"a": "b"}),
        (tuple[int, ...], [1, 2], [1.5]),
        (int | None, None, "x"),
    ],
    ids=str,
)
def test_plain_annotations_are_checked_before_anything_is_sent(
    remote: Remote, session: FakeSession, annotation: Any, good: Any, bad: Any
) -> None:
    def takes(value):  # type: ignore[no-untyped-def]
        return value

    takes.__annotations__["value"] = annotation
    function = remote(takes)
    with pytest.raises(errors.ArgumentError, match="'value' has the wrong type") as caught:
        function(bad)
    assert session.sent == []
    assert type(bad).__name__ in str(caught.value)
    assert function(good) == (tuple(good) if annotation == tuple[int, ...] else good)


def test_other_annotations_are_not_checked(remote: Remote) -> None:
    @remote
    def takes(a: np.ndarray[Any, Any], b: Any, c: "vtkMRMLNode", d) -> object:  # type: ignore[no-untyped-def]  # noqa: F821, UP037 - a class of Slicer's
        return [d, c, b, a]

    assert takes("a", "b", "c", "d") == ["d", "c", "b", "a"]


def test_one_unknown_annotation_leaves_the_others_unchecked(remote: Remote) -> None:
    """All of them are resolved together; a name of Slicer's cannot be resolved here."""

    @remote
    def takes(a: "vtkMRMLNode", b: int) -> None:  # type: ignore[name-defined]  # noqa: F821, UP037 - Slicer's
        return None

    assert takes("x", "not a number") is None


def test_a_node_handle_is_passed_whatever_the_annotation(remote: Remote, session: FakeSession) -> None:
    class Handle:
        _slicer_notebook_ref = "the reference"

    @remote
    def takes(node: str) -> None:
        return None

    handle = Handle()
    takes(handle)
    assert session.sent == [([handle], {})]


def test_the_result_s_annotation_is_checked(remote: Remote) -> None:
    @remote
    def pair() -> tuple[int, int]:
        return [1, 2]  # type: ignore[return-value]

    @remote
    def lies() -> int:
        return "text"  # type: ignore[return-value]

    assert pair() == (1, 2)
    job = lies.submit()
    with pytest.raises(errors.ArgumentError, match="something else than its annotation says") as caught:
        job.result()
    assert caught.value.expected == "int"
    assert caught.value.got == "str: 'text'"


def test_a_long_value_is_cut_in_the_message(remote: Remote) -> None:
    @remote
    def takes(a: int) -> None:
        return None

    with pytest.raises(errors.ArgumentError) as caught:
        takes("x" * 10_000)
    assert len(str(caught.value)) < 300


def test_functions_of_equal_source_are_one_there(remote: Remote, session: FakeSession) -> None:
    def made() -> RemoteFunction[..., Any]:
        def same() -> int:
            return 1

        return remote(same)

    made()()
    made()()
    assert len(session.sources) == 1
