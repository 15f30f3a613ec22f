"""The exception tree: as it is drawn, as it speaks, as it crosses the link."""

from __future__ import annotations

import builtins
import inspect
import re

import msgspec
import pytest

from slicer_notebook import errors
from slicer_notebook.protocol import messages, values
from slicer_notebook.session.link import rebuild

Kind = type[errors.SlicerNotebookError]

CLASSES: list[Kind] = [
    value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.SlicerNotebookError)
]


def each_class(function: object) -> object:
    return pytest.mark.parametrize("kind", CLASSES, ids=[kind.__name__ for kind in CLASSES])(function)  # type: ignore[arg-type]


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """The tree in the module's docstring: name → (parent's name, built-in class it is "also")."""
    assert errors.__doc__ is not None
    path: list[str] = []
    found: dict[str, tuple[str | None, str | None]] = {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"^    ((?:│   |    )*)((?:├── |└── )?)(\w+)(.*)$", line)
        if match is None:
            continue
        bars, branch, name, rest = match.groups()
        depth = len(bars) // 4 + bool(branch)
        also = re.search(r"\(also an? (\w+)\)", rest)
        del path[depth:]
        found[name] = (path[-1] if path else None, also[1] if also else None)
        path.append(name)
    return found


# -- the tree ----------------------------------------------------------------------------------------------------


def test_the_drawn_tree_has_all_classes() -> None:
    assert set(drawn()) == {kind.__name__ for kind in CLASSES}


@each_class
def test_a_class_is_where_the_tree_draws_it(kind: Kind) -> None:
    parent, also = drawn()[kind.__name__]
    ours = [base.__name__ for base in kind.__bases__ if issubclass(base, errors.SlicerNotebookError)]
    foreign = [base.__name__ for base in kind.__bases__ if not issubclass(base, errors.SlicerNotebookError)]
    if parent is None:
        assert (ours, foreign) == ([], ["Exception"])
        return
    assert ours == [parent]
    assert foreign == ([also] if also else [])
    if also:
        assert issubclass(getattr(builtins, also), Exception)


def test_all_names_the_whole_module() -> None:
    assert sorted(errors.__all__) == errors.__all__
    assert set(errors.__all__) == {kind.__name__ for kind in CLASSES} | {"by_name"}


@each_class
def test_a_class_says_what_it_is_for(kind: Kind) -> None:
    assert kind.__doc__
    assert kind.__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize(
    ("kind", "caught_as"),
    [
        (errors.PathNotFoundError, OSError),
        (errors.NodeNotFoundError, ValueError),
        (errors.DeadlineError, TimeoutError),
        (errors.QtImportError, ImportError),
        (errors.QtAttributeError, AttributeError),
        (errors.ArgumentError, TypeError),
    ],
)
def test_the_field_s_own_except_clauses_catch(kind: Kind, caught_as: type[Exception]) -> None:
    with pytest.raises(caught_as, match="No luck"):
        raise kind("No luck.")


def test_by_name_knows_the_tree_and_nothing_else() -> None:
    for kind in CLASSES[1:]:
        assert errors.by_name(kind.__name__) is kind
    for name in ("KeyError", "Exception", "", "os.system"):
        assert errors.by_name(name) is errors.CommandError


def test_a_user_s_own_class_stays_local() -> None:
    class OursError(errors.InputError):
        """Defined outside of the module."""

    assert errors.by_name("OursError") is errors.CommandError
    assert str(OursError("fine", got="x")) == "fine\n  got: x"


# -- the text ----------------------------------------------------------------------------------------------------


@each_class
def test_the_text_says_what_happened_was_expected_came_and_what_to_do(kind: Kind) -> None:
    error = kind("It failed.", expected="a thing", got="nothing", hint="try again")
    assert str(error) == "It failed.\n  expected: a thing\n  got: nothing\n  what to do: try again"
    assert error.args == ("It failed.",)


@each_class
def test_an_error_without_words_gives_its_name(kind: Kind) -> None:
    assert str(kind()) == kind.__name__


def test_empty_words_are_words() -> None:
    assert str(errors.InputError("It failed.", got="")) == "It failed.\n  got: "


def test_the_text_has_what_slicer_reported_and_where() -> None:
    error = errors.CommandError("It failed.", got="nothing", hint="try again")
    error.vtk_errors = ["vtkReader (0x1): no such file\n", "first\nsecond"]
    error.remote_traceback = "Traceback:\n  File x\n"
    assert str(error).splitlines() == [
        "It failed.",
        "  got: nothing",
        "  Slicer reported:",
        "    vtkReader (0x1): no such file",
        "    first",
        "    second",
        "  what to do: try again",
        "  in Slicer:",
        "    Traceback:",
        "      File x",
    ]


def test_errors_share_nothing() -> None:
    one, other = errors.CommandError(), errors.CommandError()
    one.details["a"] = 1
    one.vtk_errors.append("x")
    assert (other.details, other.vtk_errors) == ({}, [])


def test_a_refused_series_names_its_reason() -> None:
    assert errors.SeriesRefusedError("no", details={"reason": "gap"}).reason == "gap"
    assert errors.SeriesRefusedError("no").reason == ""


# -- the link ----------------------------------------------------------------------------------------------------


def across(error: BaseException, traceback: str | None = None) -> errors.SlicerNotebookError:
    """What the notebook's end makes of an error of Slicer's end; by the bytes of a message."""
    info = messages.ErrorInfo(**values.error_info(error, traceback=traceback))
    message = values.decode(values.encode(messages.Reply(id=1, error=info)))
    assert isinstance(message, messages.Reply)
    assert message.error is not None
    return rebuild(message.error)


@pytest.mark.parametrize("kind", CLASSES[1:], ids=[kind.__name__ for kind in CLASSES[1:]])
def test_a_class_crosses_the_link(kind: Kind) -> None:
    sent = kind("It failed.", expected="a thing", got="nothing", hint="try again", details={"n": [1, "b", None]})
    sent.vtk_errors = ["reported"]
    came = across(sent)
    assert type(came) is kind
    assert str(came) == str(sent)
    assert came.details == {"n": [1, "b", None]}
    assert came.vtk_errors == ["reported"]


def test_words_that_are_not_there_stay_so() -> None:
    came = across(errors.ArrayError("It failed."))
    assert (came.expected, came.got, came.hint, came.details, came.vtk_errors) == (None, None, None, {}, [])


def test_a_foreign_exception_becomes_a_command_error_with_its_traceback() -> None:
    came = across(ZeroDivisionError("by zero"), traceback='File "x.py", line 1')
    assert type(came) is errors.CommandError
    assert came.message == "ZeroDivisionError: by zero"
    assert came.details == {"type": "ZeroDivisionError"}
    assert came.remote_traceback == 'File "x.py", line 1'


def test_the_base_class_itself_becomes_a_command_error() -> None:
    assert type(across(errors.SlicerNotebookError("odd"))) is errors.CommandError


def test_user_code_keeps_its_own_traceback() -> None:
    error = errors.RemoteError("KeyError: 'x'")
    error.remote_traceback = "the user's frames"
    assert across(error, traceback="ours too").remote_traceback == "the user's frames"


def test_what_was_foreseen_comes_without_traceback() -> None:
    assert across(errors.NodeNotFoundError("No."), traceback='File "x.py", line 1').remote_traceback is None


@pytest.mark.parametrize(
    ("traceback", "shown"),
    [('  File "<slicer>", line 3', True), ("JobCancelledError: cancelled", False), (None, False)],
)
def test_an_interrupt_shows_where_the_code_was(traceback: str | None, shown: bool) -> None:
    came = across(errors.JobCancelledError("It was interrupted."), traceback=traceback)
    assert came.remote_traceback == (traceback if shown else None)


def test_a_class_of_a_newer_slicer_becomes_a_command_error() -> None:
    info = msgspec.convert({"type": "LaterError", "message": "It failed.", "more": 1}, messages.ErrorInfo)
    assert type(rebuild(info)) is errors.CommandError
