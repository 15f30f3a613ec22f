"""``%%slicer`` and ``%slicer`` in an IPython shell, with a real Slicer at the other end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.session import magic


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A shell as in a notebook's kernel: `get_ipython` finds it."""
    monkeypatch.setattr(magic, "_sessions", {})
    monkeypatch.setattr(magic, "_latest", None)
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    yield shell
    shell.reset()
    shell.restore_sys_module_state()  # the shell made its own module ``__main__``
    InteractiveShell.clear_instance()


@pytest.fixture
def ready(shell: Any, slicer: sn.Session) -> Any:
    """A shell in which the shared Slicer is the session that was made last."""
    magic.use(slicer)
    return shell


def test_load_ext_adds_the_magics(shell: Any) -> None:
    assert shell.find_cell_magic("slicer") is None
    shell.run_line_magic("load_ext", "slicer_notebook")
    assert shell.find_cell_magic("slicer") is not None
    assert shell.find_line_magic("slicer") is not None


def test_a_session_adds_the_magics_by_itself(ready: Any) -> None:
    assert ready.find_cell_magic("slicer") is not None


def test_nothing_happens_outside_of_ipython() -> None:
    assert not InteractiveShell.initialized()
    magic.register_here()


def test_a_cell_runs_in_slicer(ready: Any, slicer: sn.Session) -> None:
    result = ready.run_cell("%%slicer\nmagic_x = 20\nmagic_x += 1\n")
    assert result.success
    assert slicer.eval("magic_x") == 21
    assert "magic_x" not in ready.user_ns


def test_a_line_runs_in_slicer(ready: Any, slicer: sn.Session) -> None:
    assert ready.run_cell("%slicer magic_y = slicer.mrmlScene.GetClassName()").success
    assert slicer.eval("magic_y") == "vtkMRMLScene"


def test_what_is_printed_and_displayed_there_is_shown_here(ready: Any) -> None:
    with capture_output() as shown:
        assert ready.run_cell("%%slicer\nimport sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7").success
    assert shown.stdout == "out\n"
    assert shown.stderr == "err\n"
    assert [output.data["text/plain"] for output in shown.outputs] == ["42"]


def test_a_semicolon_keeps_the_last_value_quiet(ready: Any) -> None:
    with capture_output() as shown:
        assert ready.run_cell("%%slicer\n6 * 7;").success
    assert shown.outputs == []


def test_magics_work_there_too(ready: Any) -> None:
    with capture_output() as shown:
        assert ready.run_cell("%%slicer\n%matplotlib --list").success
    assert "agg" in shown.stdout


def test_an_error_there_is_raised_here(ready: Any) -> None:
    with capture_output() as shown:
        result = ready.run_cell("%%slicer\ndef inner():\n    return 1 / 0\ninner()")
    assert isinstance(result.error_in_exec, errors.RemoteError)
    text = str(result.error_in_exec)
    assert "ZeroDivisionError" in text
    assert "in inner" in text
    assert "return 1 / 0" in text
    # The way that the call took through this library is nobody's business.
    assert "return 1 / 0" in shown.stdout
    assert "job.py" not in shown.stdout


def test_a_session_can_be_named(ready: Any, slicer: sn.Session) -> None:
    with sn.connect(slicer.name) as second:
        second.name = "the second"
        magic.use(second)
        with capture_output() as shown:
            assert ready.run_cell(f"%%slicer {slicer.name}\nprint('by the first')").success
            assert ready.run_cell("%%slicer 'the second'\nprint('by the second')").success
        assert shown.stdout == "by the first\nby the second\n"
        with capture_output():
            result = ready.run_cell("%%slicer nobody\n1")
    error = result.error_in_exec
    assert isinstance(error, errors.SessionNotFoundError)
    assert error.got == f"{slicer.name}, the second"


def test_a_bare_cell_without_a_session_says_how_to_get_one(shell: Any) -> None:
    magic.register_here()
    with capture_output():
        result = shell.run_cell("%%slicer\n1")
    assert isinstance(result.error_in_exec, errors.SessionNotFoundError)
    assert "sn.launch()" in str(result.error_in_exec)


def test_the_session_made_last_is_meant(ready: Any, slicer: sn.Session) -> None:
    with sn.connect(slicer.name) as second:
        assert magic._choose(None) is second
    magic.use(slicer)
    assert magic._choose(None) is slicer
