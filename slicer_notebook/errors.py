"""The one exception tree.

::

    SlicerNotebookError
    ├── InputError                 what was passed in is wrong (also a ValueError)
    │   ├── ArgumentError          an argument's type or name (also a TypeError)
    │   ├── PathNotFoundError      no such file or folder (also a FileNotFoundError)
    │   ├── EmptyFolderError       a folder without any usable file
    │   ├── FileFormatError        a file that Slicer or the library cannot read as asked
    │   │   └── NotDicomError      a file that is not DICOM
    │   ├── ArrayError             an array's shape, dtype or affine
    │   ├── NodeNotFoundError      no MRML node of that id or name (also a LookupError)
    │   ├── AmbiguousNameError     several MRML nodes of that name (also a LookupError)
    │   ├── ViewNotFoundError      no view of that name (also a LookupError)
    │   ├── ItemNotFoundError      no item of that number in a sequence (also an IndexError)
    │   ├── AttributeNameError     an attribute that cannot be set (also an AttributeError)
    │   ├── UidNotFoundError       no such study or series in the index (also a LookupError)
    │   ├── PacsNotFoundError      no PACS of that name is configured (also a LookupError)
    │   └── CommandNotFoundError   no such command (also a LookupError)
    ├── DicomError
    │   ├── SeriesRefusedError     a series that would not become a correct volume
    │   └── IndexDatabaseError     the index database cannot be used
    ├── PacsError                  something about a PACS
    │   ├── PacsConfigError        the configuration cannot be read, or a secret is not there
    │   ├── PacsUnreachableError   no connection: name, port, TLS, silence
    │   ├── PacsRefusedError       it answered, and refused: association, role, context, authorisation
    │   ├── PacsAnswerError        an answer that says failure, or that is none
    │   ├── StorageError           what arrived cannot be kept: disk full, folder not writable
    │   └── RetrieveIncompleteError   not all that was expected arrived
    ├── SessionError
    │   ├── LaunchError            Slicer did not start
    │   │   └── SlicerNotInstalledError
    │   ├── SessionNotFoundError   no running Slicer of that name
    │   ├── SessionClosedError     the session was closed here
    │   ├── ConnectionLostError    Slicer died or cannot be reached
    │   └── ProtocolError          the two ends do not understand each other
    ├── CommandError               a command ran in Slicer and failed there
    │   └── RemoteError            user code raised in Slicer; carries the remote traceback
    ├── JobCancelledError          the job was cancelled
    ├── DeadlineError              a wait ran out (also a TimeoutError)
    ├── GatewayError               a server for other programs cannot be started
    ├── LinkError                  a URL that is not opened
    │   └── LinkRefusedError       what it asks for is not done for a URL, or not without being asked
    ├── OpenIGTLinkError           a message that is none, or a peer that cannot be reached
    ├── PackageNotInstalledError   a Python package that this needs is not there (also a ModuleNotFoundError)
    ├── RenderingError             no picture can be made on this machine
    └── QtRequiredError            that part of Slicer needs Qt
        ├── QtAttributeError       an attribute that needs Qt was asked for (also an AttributeError)
        └── QtImportError          a module that needs Qt was imported (also a ModuleNotFoundError)

Exceptions hold data; ``__str__`` builds the text: what happened, what was expected, what came, and what to do.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AmbiguousNameError",
    "ArgumentError",
    "ArrayError",
    "AttributeNameError",
    "CommandError",
    "CommandNotFoundError",
    "ConnectionLostError",
    "DeadlineError",
    "DicomError",
    "EmptyFolderError",
    "FileFormatError",
    "GatewayError",
    "IndexDatabaseError",
    "InputError",
    "ItemNotFoundError",
    "JobCancelledError",
    "LaunchError",
    "LinkError",
    "LinkRefusedError",
    "NodeNotFoundError",
    "NotDicomError",
    "OpenIGTLinkError",
    "PackageNotInstalledError",
    "PacsAnswerError",
    "PacsConfigError",
    "PacsError",
    "PacsNotFoundError",
    "PacsRefusedError",
    "PacsUnreachableError",
    "PathNotFoundError",
    "ProtocolError",
    "QtAttributeError",
    "QtImportError",
    "QtRequiredError",
    "RemoteError",
    "RenderingError",
    "RetrieveIncompleteError",
    "SeriesRefusedError",
    "SessionClosedError",
    "SessionError",
    "SessionNotFoundError",
    "SlicerNotInstalledError",
    "SlicerNotebookError",
    "StorageError",
    "UidNotFoundError",
    "ViewNotFoundError",
    "by_name",
]


class SlicerNotebookError(Exception):
    """Base of every error this library raises.

    Args:
        message: what happened, in one sentence.
        expected: what was expected, in words.
        got: what came instead, in words.
        hint: what to do next.
        details: further data of the error; plain JSON-like values only, they cross the link.
    """

    _tree: ClassVar[dict[str, type[SlicerNotebookError]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Only this module's own classes cross the link by name; a user's subclass stays local.
        if cls.__module__ == __name__:
            SlicerNotebookError._tree[cls.__name__] = cls

    def __init__(
        self,
        message: str = "",
        *,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.got = got
        self.hint = hint
        self.details: dict[str, Any] = details or {}
        #: Traceback text of the Slicer process, where the error was raised there.
        self.remote_traceback: str | None = None
        #: What VTK, ITK or MRML reported (vtkErrorMacro) while the command ran.
        self.vtk_errors: list[str] = []

    def __str__(self) -> str:
        parts = [self.message or type(self).__name__]
        if self.expected is not None:
            parts.append(f"  expected: {self.expected}")
        if self.got is not None:
            parts.append(f"  got: {self.got}")
        if self.vtk_errors:
            parts.append("  Slicer reported:")
            parts.extend(f"    {line}" for text in self.vtk_errors for line in text.strip().splitlines())
        if self.hint is not None:
            parts.append(f"  what to do: {self.hint}")
        if self.remote_traceback:
            parts.append("  in Slicer:")
            parts.extend(f"    {line}" for line in self.remote_traceback.rstrip().splitlines())
        return "\n".join(parts)


class InputError(SlicerNotebookError, ValueError):
    """What was passed in is wrong."""


class ArgumentError(InputError, TypeError):
    """An argument has the wrong type, or a name that the command does not know."""


class PathNotFoundError(InputError, FileNotFoundError):
    """No such file or folder where Slicer runs."""

    __str__ = SlicerNotebookError.__str__


class EmptyFolderError(InputError):
    """A folder that holds no usable file."""


class FileFormatError(InputError):
    """A file that cannot be read as what was asked for."""


class NotDicomError(FileFormatError):
    """A file that is not DICOM (PS3.10)."""


class ArrayError(InputError):
    """An array whose shape, dtype or values do not fit."""


class NodeNotFoundError(InputError, LookupError):
    """No MRML node of that id or name in the scene."""


class AmbiguousNameError(InputError, LookupError):
    """Several MRML nodes carry that name; ids are unique, names need not be."""


class ViewNotFoundError(InputError, LookupError):
    """No view of that name in the present layout."""


class UidNotFoundError(InputError, LookupError):
    """No study, series or instance of that UID in the index."""


class ItemNotFoundError(InputError, IndexError):
    """No item of that number, in a sequence or in the subject hierarchy."""


class AttributeNameError(InputError, AttributeError):
    """An attribute that there is not, or that cannot be set."""


class CommandNotFoundError(InputError, LookupError):
    """No such command on the Slicer end."""


class DicomError(SlicerNotebookError):
    """Something about DICOM data or the index."""


class SeriesRefusedError(DicomError):
    """A series that would not become a correct volume. ``details["reason"]`` names the reason."""

    @property
    def reason(self) -> str:
        """The reason's short name, from the closed list in ``slicer_notebook.dicom.Reason``."""
        return str(self.details.get("reason", ""))


class IndexDatabaseError(DicomError):
    """The index database cannot be opened, read or written."""


class PacsNotFoundError(InputError, LookupError):
    """No PACS of that name is configured."""


class PacsError(SlicerNotebookError):
    """Something about a PACS. ``details["server"]`` names it."""


class PacsConfigError(PacsError):
    """The configuration cannot be read or written, or a secret that it names is not there."""


class PacsUnreachableError(PacsError):
    """No connection: the name, the port, TLS, or nobody answers."""


class PacsRefusedError(PacsError):
    """The PACS answered, and refused: the association, a role, a presentation context, the user."""


class PacsAnswerError(PacsError):
    """The PACS answered that something failed there, or what it answered is not what the standard says."""


class StorageError(PacsError):
    """What arrived cannot be kept: the disk is full, or the folder cannot be written."""


class RetrieveIncompleteError(PacsError):
    """Not all that was expected arrived. ``details["series"]`` says what did, and what did not."""


class SessionError(SlicerNotebookError):
    """Something about the connection to a Slicer."""


class LaunchError(SessionError):
    """Slicer did not start."""


class SlicerNotInstalledError(LaunchError):
    """There is no Slicer in the Python that was asked to start one."""


class SessionNotFoundError(SessionError):
    """No running Slicer answers to that name or connection file."""


class SessionClosedError(SessionError):
    """The session was closed on this side; nothing can be asked of it any more."""


class ConnectionLostError(SessionError):
    """The Slicer process died or cannot be reached any more."""


class ProtocolError(SessionError):
    """The two ends do not understand each other: version or message."""


class CommandError(SlicerNotebookError):
    """A command ran in Slicer and failed there."""


class RemoteError(CommandError):
    """Code of the user raised an exception in Slicer.

    ``details["type"]`` is the exception's class name there, ``remote_traceback`` its traceback.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the traceback in Slicer, not the way that the call took through this library."""
        return [f"{type(self).__name__}: {line}" if i == 0 else line for i, line in enumerate(str(self).splitlines())]


class JobCancelledError(SlicerNotebookError):
    """The job was cancelled before it finished."""


class DeadlineError(SlicerNotebookError, TimeoutError):
    """A wait ran out before the answer came."""

    __str__ = SlicerNotebookError.__str__


class GatewayError(SlicerNotebookError):
    """A server for other programs cannot be started: the port is taken, or what was asked for is not safe."""


class LinkError(SlicerNotebookError):
    """A URL that is not opened: it says nothing that Slicer could do, or that did not work."""


class LinkRefusedError(LinkError):
    """What the URL asks for is not done for a URL, or not without a person who agrees.

    ``details["action"]`` is "refuse" or "ask".
    """


class OpenIGTLinkError(SlicerNotebookError):
    """Bytes that are no OpenIGTLink message, or a peer that cannot be reached."""


class PackageNotInstalledError(SlicerNotebookError, ModuleNotFoundError):
    """An optional Python package that this needs is not installed; the hint says how it is."""


class RenderingError(SlicerNotebookError):
    """No picture can be rendered where Slicer runs."""


class QtRequiredError(SlicerNotebookError):
    """That part of Slicer needs Qt, which the headless Slicer does not have. ``details["requested"]`` names it."""


class QtAttributeError(QtRequiredError, AttributeError):
    """An attribute that needs Qt was asked for; ``hasattr`` answers False, as where it does not exist."""


class QtImportError(QtRequiredError, ModuleNotFoundError):
    """A module that needs Qt was imported; ``except ImportError`` catches it, as on any Python without Qt."""


def by_name(name: str) -> type[SlicerNotebookError]:
    """The class of the tree called ``name``; `CommandError` for a name that is not in it."""
    return SlicerNotebookError._tree.get(name, CommandError)


def error_in_words(error: BaseException) -> dict[str, str]:
    """An error as plain text: ``message``, ``hint`` (what to do), ``kind`` (the class's name)."""
    if isinstance(error, SlicerNotebookError):
        message = error.message or type(error).__name__
        if error.got is not None:
            expected = f"Expected {error.expected}, got " if error.expected is not None else ""
            message += f" ({expected}{error.got})"
        return {"message": message, "hint": error.hint or "", "kind": type(error).__name__}
    return {"message": str(error) or type(error).__name__, "hint": "", "kind": type(error).__name__}
