"""Code and functions that run in Slicer."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.session.conformance.cases import AFFINE, case, phantom, refused


@case
def run_and_eval_share_a_namespace(slicer: Any, _: Path) -> None:
    slicer.run("conformance_x = 1 + 1")
    assert slicer.eval("conformance_x") == 2
    assert slicer.eval("slicer.mrmlScene.GetClassName()") == "vtkMRMLScene"


@case
def run_prints_here(slicer: Any, _: Path) -> None:
    caught = io.StringIO()
    with redirect_stdout(caught):
        slicer.run("print('from slicer')\nfor i in range(3): print(i)")
    # In Slicer itself a print is a print: the kernel's own stream has it.
    if "slicer_core" not in sys.modules:
        assert caught.getvalue() == "from slicer\n0\n1\n2\n"


@case
def run_raises_the_remote_error(slicer: Any, _: Path) -> None:
    with refused(errors.RemoteError, "ZeroDivisionError", "in inner", "1 / 0"):
        slicer.run("def inner():\n    return 1 / 0\n\ninner()")
    with refused(errors.RemoteError, "SyntaxError"):
        slicer.run("def (")
    with refused(errors.RemoteError, "NameError", "conformance_missing"):
        slicer.eval("conformance_missing")


@case
def code_that_exits_ends_no_slicer(slicer: Any, _: Path) -> None:
    def leaves() -> None:
        raise SystemExit(2)

    with refused(errors.RemoteError, "SystemExit: 3"):
        slicer.run("import sys\nsys.exit(3)")
    with refused(errors.RemoteError, "SystemExit: 2"):
        slicer.function(leaves)()
    assert slicer.eval("1") == 1


@case
def eval_gives_plain_data_arrays_and_nodes(slicer: Any, _: Path) -> None:
    slicer.run("import numpy as np")
    value = slicer.eval("{'a': [1, 2.5, None, True], 'b': 'é', 'c': b'x', 'd': np.float32(0.5)}")
    assert value == {"a": [1, 2.5, None, True], "b": "é", "c": b"x", "d": 0.5}
    for dtype in ("bool", "uint8", "int64", "float16", "float32", "float64", "complex64", "U3"):
        array = slicer.eval(f"np.ones((2, 3), {dtype!r})")
        assert array.dtype == np.dtype(dtype), dtype
        assert array.shape == (2, 3)
    assert slicer.eval("np.zeros((0, 4))").shape == (0, 4)
    assert slicer.eval("np.asfortranarray(np.arange(6).reshape(2, 3))").tolist() == [[0, 1, 2], [3, 4, 5]]
    node = slicer.eval("slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'note')")
    assert (node.name, node.class_name) == ("note", "vtkMRMLTextNode")


@case
def eval_of_what_cannot_be_sent_is_refused(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "cannot be sent", "module"):
        slicer.eval("__import__('sys')")
    assert slicer.eval("1") == 1


@case
def functions_run_there(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "phantom")

    def mean(node_id: str) -> float:
        import slicer as app

        return float(app.util.arrayFromVolume(app.mrmlScene.GetNodeByID(node_id)).mean())

    def scaled(array, factor: float = 2.0):  # type: ignore[no-untyped-def]
        return array * factor

    def node_name(node) -> str:  # type: ignore[no-untyped-def]
        return node.GetName()

    def lies() -> int:
        return "text"  # type: ignore[return-value]

    remote = slicer.function(mean)
    assert remote(volume) == phantom().mean()
    assert remote(volume.id) == phantom().mean()
    big = np.arange(100_000, dtype=np.float64)
    assert np.array_equal(slicer.function(scaled)(big, factor=3.0), big * 3)
    assert slicer.function(node_name)(volume) == "phantom"
    with refused(errors.ArgumentError, "something else", "int"):
        slicer.function(lies)()
    with refused(errors.ArgumentError, "factor", "float"):
        slicer.function(scaled)(big, factor="x")
    with refused(errors.ArgumentError, "missing"):
        remote()


@case
def functions_that_capture_are_refused(slicer: Any, _: Path) -> None:
    outside = 3

    def captures() -> int:
        return outside

    with refused(errors.ArgumentError, "outside", "pass them as arguments"):
        slicer.function(captures)
    with refused(errors.ArgumentError, "def"):
        slicer.function(lambda: 1)


@case
def function_errors_carry_the_traceback(slicer: Any, _: Path) -> None:
    def fails() -> None:
        raise KeyError("gone")

    with refused(errors.RemoteError, "KeyError", "in fails"):
        slicer.function(fails)()
