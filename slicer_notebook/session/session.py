"""A session: one Slicer, from the notebook's side."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from slicer_notebook import errors
from slicer_notebook.commands import registry
from slicer_notebook.protocol.values import NodeRef
from slicer_notebook.session import magic
from slicer_notebook.session.adding import Adding
from slicer_notebook.session.attributes import OwnAttributesOnly
from slicer_notebook.session.dicom import Dicom
from slicer_notebook.session.functions import RemoteFunction
from slicer_notebook.session.gateways import Gateways
from slicer_notebook.session.handles import Node, handle
from slicer_notebook.session.igtl import Igtl
from slicer_notebook.session.images import Picture, Pictures, provenance
from slicer_notebook.session.job import Job
from slicer_notebook.session.launcher import Launched
from slicer_notebook.session.link import Link, LogLine
from slicer_notebook.session.links import Opened, open_link
from slicer_notebook.session.output import report
from slicer_notebook.session.pacs import SessionPacs
from slicer_notebook.session.progress import shown
from slicer_notebook.session.transfers import TransferQueue
from slicer_notebook.session.views import View

if TYPE_CHECKING:
    from slicer_notebook.pacs.pacs import Pacs

__all__ = ["Session", "Subscription"]

P = ParamSpec("P")
R = TypeVar("R")


#: Kinds of events of `Session.on`.
EVENT_KINDS = (
    "scene",
    "hierarchy",
    "views",
    "indexed",
    "loads",
    "transfers",
    "answers",
    "listening",
    "sign_in",
    "gateways",
    "study_list",
    "igtl",
    "closed",
    "restarted",
)


class Subscription:
    """A callback's place in a session; `close` ends it."""

    def __init__(self, callbacks: list[Callable[[Any], Any]], callback: Callable[[Any], Any]) -> None:
        self._callbacks = callbacks
        self._callback = callback

    def close(self) -> None:
        """Call it no more."""
        with contextlib.suppress(ValueError):
            self._callbacks.remove(self._callback)


class Session(Adding, OwnAttributesOnly):
    """One Slicer. From `launch` or `connect`; a context manager.

    Attributes:
        name: the session's name.
        dicom: `Dicom`: index, studies, series, loading.
        transfers: `TransferQueue`: what Slicer fetches from PACS.
        gateways: `Gateways`: servers for other programs.
        igtl: `Igtl`: OpenIGTLink: trackers and other programs, connected.
        generation: counts the restarts; handles of an earlier one are refused.
    """

    _plain_attributes = frozenset({"name", "generation", "dicom", "gateways", "igtl", "transfers"})

    def __init__(
        self, link: Link, name: str, *, launched: Launched | None = None, open_link: Callable[[], Link] | None = None
    ) -> None:
        self.name = name
        self.generation = 0
        self._launched = launched
        self._open_link = open_link
        self._subscribers: dict[str, list[Callable[[Any], Any]]] = {kind: [] for kind in EVENT_KINDS}
        self._closed = False
        self._info: dict[str, Any] | None = None
        self.dicom = Dicom(self)
        self.transfers = TransferQueue(self)
        self.gateways = Gateways(self)
        self.igtl = Igtl(self)
        self._take(link)
        magic.use(self)

    def _take(self, link: Link) -> None:
        self._link = link
        self._info = None
        link.on_event = self._event
        link.on_lost = self._lost

    # -- life ----------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether Slicer can be asked."""
        return self._link.alive

    def close(self) -> None:
        """End the session. A Slicer that this session started ends with it (unless launched with ``keep=True``)."""
        if self._closed:
            return
        self._closed = True
        if self._launched is not None and not self._launched.keep:
            self._link.shutdown()
            self._launched.stop()
        else:
            self._link.close()

    def restart(self) -> None:
        """A clean Slicer in place of this one, dead or alive. Handles from before are refused from now on.

        Raises:
            SessionError: this session did not start its Slicer, or was closed.
            LaunchError: it did not start.
        """
        if self._closed:
            raise errors.SessionClosedError("The session was closed.", hint="sn.launch() starts a new Slicer")
        if self._launched is None or self._open_link is None:
            raise errors.SessionError(
                "This session did not start its Slicer, and so does not restart it.",
                hint="restart it where it was started, then sn.connect() again",
            )
        self._link.close()
        self._launched.kill()
        self._launched.start()
        self.generation += 1
        self._take(self._open_link())
        self._tell("restarted", {"name": self.name})

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def version(self) -> str:
        """Slicer's version."""
        return str(self.info["slicer"])

    @property
    def info(self) -> dict[str, Any]:
        """Versions there (slicer, vtk, python), the renderer, the process, how arrays travel."""
        if self._info is None:
            hello = self._link.hello
            self._info = {
                **self.call("session.info"),
                "kind": hello.info.get("kind"),
                "pid": hello.pid,
                "slicer_notebook": hello.package,
                "shared_memory": bool(getattr(self._link, "_shared", True)),
            }
        return dict(self._info)

    @property
    def log(self) -> list[LogLine]:
        """The latest lines that Slicer, VTK and ITK reported or printed outside of your own code, oldest first.

        They are also records of Python's logger ``slicer_notebook.slicer``.
        """
        return list(self._link.log)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "running" if self.alive else "lost"
        return f"<Slicer session {self.name!r}: {state}, process {self._link.hello.pid}>"

    # -- commands ------------------------------------------------------------------------------------------------

    def call(self, command: str, /, **args: Any) -> Any:
        """Run a command (see ``slicer_notebook.commands.names()``) and wait for its result.

        Raises:
            CommandNotFoundError, ArgumentError: no such command, or arguments that do not fit.
            SessionClosedError, ConnectionLostError: no Slicer to ask.
            SlicerNotebookError: whatever the command raised.
        """
        return self._request(command, args, None, shows=command.startswith("code.")).result()

    def submit(
        self,
        command: str | Callable[..., Any] | RemoteFunction[..., Any],
        /,
        *args: Any,
        convert: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> Job[Any]:
        """Begin a command or a function in Slicer; its `Job`.

        Args:
            command: a command's name, a function of `function`, or a plain function (which is sent as by `function`).
            args: positional arguments, for a function.
            convert: makes the job's result of what comes.
            kwargs: arguments.
        """
        if isinstance(command, RemoteFunction):
            return command.submit(*args, **kwargs)
        if callable(command):
            return RemoteFunction(self, command).submit(*args, **kwargs)
        if not isinstance(command, str) or args:
            raise errors.ArgumentError(
                "That cannot be submitted.",
                expected="a command's name with keyword arguments, or a function",
                got=f"{type(command).__name__}{' with positional arguments' if args else ''}",
            )
        return self._request(command, kwargs, convert, shows=command.startswith("code."))

    def _request(
        self, command: str, args: dict[str, Any], convert: Callable[[Any], Any] | None, *, shows: bool
    ) -> Job[Any]:
        definition = registry.get(command)
        if definition.signature.parameters.keys() != args.keys():
            # Slicer's end checks types, once the handles are references.
            definition.bind_names(args)

        def finish(raw: Any) -> Any:
            ready = self._handles(raw)
            return convert(ready) if convert is not None else ready

        return self._link.request(command, args, convert=finish, shows=shows)

    def _handles(self, value: Any) -> Any:
        """Node references become handles, wherever they are."""
        if isinstance(value, NodeRef):
            return handle(self, value)
        if isinstance(value, list):
            return [self._handles(v) for v in value]
        if isinstance(value, dict):
            return {k: self._handles(v) for k, v in value.items()}
        return value

    def wait(self, job: Job[R]) -> R:
        """Wait for a job, with a progress bar in the cell if it takes long."""
        with shown(job):
            return job.result()

    def pacs(self, name: str | Pacs | None = None, *, run: Literal["slicer", "notebook"] = "slicer") -> SessionPacs:
        """A configured PACS: ``slicer.pacs("hospital").find(...)``, ``.retrieve(...)``.

        Args:
            name: as configured (`slicer_notebook.pacs.add`) where it is asked from; without one the only one there is.
                Or a PACS itself, such as `slicer_notebook.Kheops`, which is asked from this process.
            run: which machine reaches the PACS: "slicer" asks from Slicer's process, "notebook" from this one.

        Raises:
            ArgumentError: no name, and not one PACS.
        """
        if name is None:
            if run == "notebook":
                from slicer_notebook.session.pacs_here import servers_here

                found = servers_here()
            else:
                found = [each["name"] for each in self.call("pacs.servers")]
            if len(found) != 1:
                raise errors.ArgumentError(
                    "Which PACS?",
                    expected="one of " + ", ".join(found) if found else "a configured one",
                    got="no name",
                    hint="sn.pacs.add(name, url) configures one",
                )
            name = found[0]
        return SessionPacs(self, name, run)

    # -- code ----------------------------------------------------------------------------------------------------

    def run(self, code: str) -> None:
        """Run Python code in Slicer, as a cell there: what it prints and displays appears here.

        Raises:
            RemoteError: the code raised; the message carries the remote traceback.
            JobCancelledError: it was interrupted in Slicer.
        """
        self.call("code.run", code=_text(code))

    def eval(self, expression: str) -> Any:
        """The value of a Python expression in Slicer: plain data, arrays (copied), nodes (as handles).

        Raises:
            RemoteError: the expression raised.
            ArgumentError: the value cannot be sent.
        """
        return self.call("code.eval", expression=_text(expression))

    def function(self, function: Callable[P, R]) -> RemoteFunction[P, R]:
        """Decorator: the function's body runs in Slicer. See `RemoteFunction`."""
        return RemoteFunction(self, function)

    # -- scene ---------------------------------------------------------------------------------------------------

    def load(self, path: str | Path, filetype: str | None = None, **properties: Any) -> Any:
        """Load any file that Slicer reads, by its extension; the node's handle, or a list for a scene.

        Args:
            path: where Slicer runs; relative to the notebook's folder.
            filetype: Slicer's name of the kind of file (``VolumeFile``, ``SegmentationFile``...).
            properties: reader options, such as ``name="CT"`` or ``labelmap=True``.

        Raises:
            PathNotFoundError: no such file.
            FileFormatError: Slicer cannot read it.
        """
        target = self.path(path)
        nodes = self.wait(self.submit("scene.load", path=target, filetype=filetype, properties=properties or None))
        return nodes if target.lower().endswith((".mrml", ".mrb")) or len(nodes) != 1 else nodes[0]

    def open(self, url: str, agreed: bool = False) -> Opened:
        """Open a ``slicer://``, ``osirix://`` or ``horos://`` link: fetch, load and show what it names.

        Args:
            agreed: you have seen why a link is asked about, and agree.

        Raises:
            LinkRefusedError: it is refused, or you were not asked yet; the message says why.
            LinkError: it does not work.
            SlicerNotebookError: what fetching or loading raised; what has come is kept.
        """
        return open_link(self, url, agreed)

    def nodes(self, class_name: str | None = None) -> list[Node]:
        """Handles of the nodes of a MRML class and its subclasses; of all that a user would see without one.

        Raises:
            ArgumentError: no such MRML class.
        """
        found: list[Node] = self.call("scene.nodes", class_name=class_name)
        return found

    def __getitem__(self, key: str) -> Node:
        """The node of an id or a unique name. Raises `NodeNotFoundError`, `AmbiguousNameError`."""
        if not isinstance(key, str):
            raise errors.ArgumentError("A node is found by its id or name.", expected="text", got=type(key).__name__)
        found: Node = self.call("scene.node", key=key)
        return found

    def __contains__(self, key: str) -> bool:
        try:
            self[key]
        except errors.NodeNotFoundError:
            return False
        except errors.AmbiguousNameError:
            return True
        return True

    def clear(self) -> None:
        """Empty the scene."""
        self.call("scene.clear")

    def save(self, path: str | Path) -> Path:
        """Write the scene as ``.mrb`` or ``.mrml``. Raises `PathNotFoundError`, `FileFormatError`."""
        target = self.path(path)
        self.call("scene.save", path=target)
        return Path(target)

    @staticmethod
    def path(path: str | Path) -> str:
        """``path`` as Slicer needs it: absolute, ``~`` expanded. Raises `ArgumentError` for what is no path."""
        if not isinstance(path, (str, os.PathLike)) or not str(path):
            raise errors.ArgumentError("That is no path.", expected="a path", got=repr(path))
        return os.path.abspath(os.path.expanduser(os.fspath(path)))

    # -- views ---------------------------------------------------------------------------------------------------

    @property
    def view_names(self) -> list[str]:
        """Names of the views of the present layout."""
        found: list[str] = self.call("view.names")
        return found

    def view(self, name: str) -> View:
        """The view of a name: "Red", "Yellow", "Green", "1" (3-D; also "3D").

        Raises:
            ViewNotFoundError: no such view in the present layout.
        """
        state = self.call("view.state", name=name)
        return View(self, state["name"])

    def views(self) -> list[View]:
        """All views of the present layout."""
        return [View(self, name) for name in self.view_names]

    @property
    def layout(self) -> str:
        """The layout's name, such as ``FourUp``. Settable. Raises `ArgumentError` for an unknown one."""
        return str(self.call("view.layout"))

    @layout.setter
    def layout(self, name: str) -> None:
        self.call("view.set_layout", name=name)

    def show(self, layout: str | None = None, **how: Any) -> Any:
        """The views of the layout, live, to look at and to work in: a `slicer_notebook.LiveLayout`.

        Args:
            layout: choose this one before, such as ``FourUp``, ``Conventional``, ``OneUpRedSlice``, ``OneUp3D``.
            how: as for `slicer_notebook.LiveLayout`: ``height``, ``privacy``.

        Raises:
            ArgumentError: no such layout, or a height that is none.
        """
        if layout is not None:
            self.layout = layout
        # By name: the widgets are a floor above.
        return importlib.import_module("slicer_notebook.widgets").LiveLayout(self, **how)

    def thumbnails(self, size: tuple[int, int] = (256, 256)) -> Pictures:
        """The pictures of all views of the present layout, side by side."""
        return self._pictures(size)

    def _pictures(self, size: tuple[int, int], *, strict: bool = False) -> Pictures:
        jobs = [(name, self.submit("view.picture", name=name, size=size)) for name in self.view_names]
        return Pictures({name: self._picture(job.result(), strict=strict) for name, job in jobs})

    def _picture(self, raw: dict[str, Any], *, strict: bool = False) -> Picture:
        """What ``view.picture`` gave, with what only this end knows. ``strict``: as for `images.provenance`."""
        return Picture(raw["png"], provenance(raw["facts"], self.name, strict=strict))

    # -- events --------------------------------------------------------------------------------------------------

    def on(self, kind: str, callback: Callable[[Any], Any]) -> Subscription:
        """Call back when something happens; on the session's background thread, coalesced.

        Args:
            kind: ``"scene"`` (a dict with lists of node handles: added, removed, modified), ``"hierarchy"`` (a dict:
                numbers of items of the subject hierarchy: changed, removed, reordered; reset: all are other ones),
                ``"views"`` (a dict with names of views whose picture changed),
                ``"indexed"`` (a notebook of this Slicer has indexed something),
                ``"loads"`` (a dict: entries of the load queue that changed, ids of those that are gone),
                ``"transfers"`` (the same of what is fetched from PACS), ``"answers"`` (of a PACS, to ``pacs.ask``),
                ``"listening"`` (a dict: what PACS push, entries and ids of those that have ended),
                ``"sign_in"`` (a person is asked to sign in at a PACS, or that is over),
                ``"gateways"`` (a dict: servers for other programs that changed, new lines of their logs, ids of those
                that have ended),
                ``"study_list"`` (another program says what lists of studies are to show, a dict: ``database``, what to
                ``search`` for, or ``studies`` (UIDs) and what these are, ``title``),
                ``"igtl"`` (a dict: OpenIGTLink connections and devices that changed, ids of connections that are gone),
                ``"closed"`` (the reason, an error), ``"restarted"``.
        """
        if kind not in EVENT_KINDS:
            raise errors.ArgumentError("There is no such event.", expected=" or ".join(EVENT_KINDS), got=repr(kind))
        if not callable(callback):
            raise errors.ArgumentError("That cannot be called back.", expected="a function", got=repr(callback))
        if self._closed:
            raise errors.SessionClosedError("The session was closed.")
        self._subscribers[kind].append(callback)
        return Subscription(self._subscribers[kind], callback)

    def _event(self, kind: str, data: Any) -> None:
        if kind in self._subscribers:
            self._tell(kind, self._handles(data))

    def _tell(self, kind: str, data: Any) -> None:
        for callback in list(self._subscribers[kind]):
            try:
                callback(data)
            except Exception:  # noqa: BLE001 - the user's callback may raise anything; the others still have to run
                report(f"A callback for {kind} events failed.")

    def _lost(self, error: errors.SessionError) -> None:
        self._tell("closed", error)


def _text(code: str) -> str:
    if not isinstance(code, str):
        raise errors.ArgumentError("That is no code.", expected="text", got=type(code).__name__)
    return code
