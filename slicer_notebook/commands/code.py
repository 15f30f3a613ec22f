"""Commands that run the user's code in Slicer."""

from __future__ import annotations

import ast
import builtins
import linecache
import sys
import traceback
from typing import Any

from slicer_notebook.commands import context
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError, JobCancelledError, RemoteError, SlicerNotebookError
from slicer_notebook.protocol.values import NodeRef

#: Functions sent by ``@slicer.function``, by the hash of their source.
_functions: dict[str, Any] = {}


def namespace(host: Host) -> dict[str, Any]:
    """The namespace that user code runs in: the kernel's own, so that notebook cells and commands share variables."""
    shell = _shell()
    names: dict[str, Any] = shell.user_ns if shell is not None else sys.modules["__main__"].__dict__
    names.setdefault("slicer", host.slicer)
    return names


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _remote(exc: BaseException, skip: int) -> RemoteError:
    """The exception of user code as ours, its traceback beginning at the user's own frame."""
    frames = exc.__traceback__
    for _ in range(skip):
        if frames is not None and frames.tb_next is not None:
            frames = frames.tb_next
    text = "".join(traceback.format_exception(type(exc), exc, frames))
    error = RemoteError(
        f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__,
        details={"type": type(exc).__name__, "module": type(exc).__module__},
    )
    error.remote_traceback = text
    return error


def _compile(code: str, filename: str, mode: str) -> Any:
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    try:
        return compile(code, filename, mode, dont_inherit=True)
    except SyntaxError as exc:
        raise _remote(exc.with_traceback(None), 0) from None


@command("code.run")
def run(host: Host, code: str) -> Any:
    """Run Python code in Slicer's main namespace, as a notebook cell would.

    Magics work, the last expression is displayed.

    Raises:
        RemoteError: the code raised; the remote traceback is in it.
        JobCancelledError: it was interrupted.
    """
    names = namespace(host)
    shell = _shell()
    if shell is None:
        _exec(code, names)
        return
    transformed = shell.transform_cell(code)
    filename = shell.compile.cache(transformed, shell.execution_count) if hasattr(shell, "compile") else "<slicer>"
    try:
        tree = ast.parse(transformed, filename)
    except SyntaxError as exc:
        raise _remote(exc.with_traceback(None), 0) from None
    last: ast.expr | None = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not transformed.rstrip().endswith(";"):
        last = tree.body.pop().value
    try:
        exec(compile(tree, filename, "exec", dont_inherit=True), names)
        if last is not None:
            value = eval(compile(ast.Expression(last), filename, "eval", dont_inherit=True), names)
            if value is not None:
                _display(shell, value)
        shell.events.trigger("post_execute")
    except KeyboardInterrupt as exc:
        raise _interrupted(exc) from None
    except SlicerNotebookError as exc:
        exc.remote_traceback = exc.remote_traceback or traceback.format_exc()
        raise
    except BaseException as exc:  # noqa: BLE001 - the user's code may raise anything, also SystemExit
        raise _remote(exc, 1) from None


def _display(shell: Any, value: Any) -> None:
    builtins._ = value  # type: ignore[attr-defined]
    data, metadata = shell.display_formatter.format(value)
    if data:
        shell.display_pub.publish(data=data, metadata=metadata)


def _exec(code: str, names: dict[str, Any]) -> None:
    compiled = _compile(code, "<slicer>", "exec")
    try:
        exec(compiled, names)
    except KeyboardInterrupt as exc:
        raise _interrupted(exc) from None
    except BaseException as exc:  # noqa: BLE001 - the user's code may raise anything, also SystemExit
        raise _remote(exc, 1) from None


def _interrupted(exc: BaseException) -> JobCancelledError:
    error = JobCancelledError("The code was interrupted.")
    error.remote_traceback = "".join(traceback.format_tb(exc.__traceback__)[1:])
    return error


@command("code.eval", journal=False)
def evaluate(host: Host, expression: str) -> Any:
    """The value of a Python expression in Slicer's main namespace: plain data, arrays, MRML nodes.

    Raises:
        RemoteError: the expression raised.
        ArgumentError: its value cannot be sent.
    """
    compiled = _compile(expression.strip(), "<slicer expression>", "eval")
    try:
        return eval(compiled, namespace(host))
    except KeyboardInterrupt as exc:
        raise _interrupted(exc) from None
    except BaseException as exc:  # noqa: BLE001 - the user's code may raise anything, also SystemExit
        raise _remote(exc, 1) from None


@command("code.define", journal=False)
def define(host: Host, key: str, name: str, source: str) -> None:
    """Keep a function for ``code.call``. Its globals are those of Slicer's main namespace, and ``progress``.

    Raises:
        RemoteError: the source does not compile or its decorators or defaults raise.
    """
    if key in _functions:
        return
    names = namespace(host)
    names.setdefault("progress", context.progress)
    local: dict[str, Any] = {}
    compiled = _compile(source, f"<slicer function {name} {key[:8]}>", "exec")
    try:
        exec(compiled, names, local)
    except KeyboardInterrupt as exc:
        raise _interrupted(exc) from None
    except BaseException as exc:  # noqa: BLE001 - the user's code may raise anything, also SystemExit
        raise _remote(exc, 1) from None
    _functions[key] = local[name]


@command("code.call")
def call(host: Host, key: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call a function of ``code.define``.

    Node references become nodes, or ids where the parameter is annotated ``str``.

    Raises:
        RemoteError: the function raised.
        ArgumentError: it was not defined here, for example since Slicer was restarted (``details["undefined"]``).
    """
    function = _functions.get(key)
    if function is None:
        raise ArgumentError("This Slicer does not know that function.", details={"undefined": True})
    hints = _annotations(function)
    code = function.__code__
    positional = code.co_varnames[: code.co_argcount]
    ready = [
        _argument(host, value, hints.get(positional[i]) if i < len(positional) else None)
        for i, value in enumerate(args)
    ]
    named = {key: _argument(host, value, hints.get(key)) for key, value in kwargs.items()}
    try:
        return function(*ready, **named)
    except (JobCancelledError, KeyboardInterrupt) as exc:
        raise _interrupted(exc) from None
    except SlicerNotebookError as exc:
        exc.remote_traceback = exc.remote_traceback or traceback.format_exc()
        raise
    except BaseException as exc:  # noqa: BLE001 - the user's code may raise anything, also SystemExit
        raise _remote(exc, 1) from None


def _annotations(function: Any) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str) else getattr(value, "__name__", str(value))
        for key, value in function.__annotations__.items()
    }


def _argument(host: Host, value: Any, annotation: str | None) -> Any:
    if isinstance(value, NodeRef):
        return value.id if annotation == "str" else host.node(value)
    return value
