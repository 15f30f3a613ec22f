"""The storage SCP of this machine: a process that listens where a PACS sends to, for all sessions that expect any.

One process for each address and port; whoever needs it first starts it, and it ends when nobody has needed it for a
while. Clients speak to it over the loopback interface, authenticated by a key in a file of this user's alone
(`receiver_client`): they say what they expect, it writes what comes into their folders and tells them. Who expects
nothing gets nothing: an association from a peer that nobody awaits is rejected.

What nobody asked for may be kept by policy (``keep``), or awaited by who listens for all that comes (an expectation of
no study). Of such a thing no retrieval will find that it is missing. So its sender is told that it is stored only when
it has been checked, and a client has said that it is on the disk and in its index (a receipt).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import socket
import ssl
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import StorageError
from slicer_notebook.pacs.aside import write_all
from slicer_notebook.pacs.awaited import Awaited, AwaitedReport
from slicer_notebook.pacs.dimse.commitment import UNKNOWN_TRANSACTION, Report
from slicer_notebook.pacs.dimse.control import answered
from slicer_notebook.pacs.dimse.incoming import NotTakenError as NotTakenHereError
from slicer_notebook.pacs.dimse.messages import SUCCESS, Command
from slicer_notebook.pacs.dimse.negotiation import Requested
from slicer_notebook.pacs.dimse.scp import (
    CALLED_UNKNOWN,
    CALLING_UNKNOWN,
    NO_ROOM,
    Rejection,
    serve_association,
)
from slicer_notebook.pacs.kept import unfit
from slicer_notebook.pacs.receiver_clients import NOT_AUTHORIZED, OUT_OF_RESOURCES, Client, Expectation, Receipt
from slicer_notebook.pacs.whole import looked_at

__all__ = ["Settings", "main"]

#: Associations at the same time, and connections that may become some.
MOST: Final = 32
_MOST_CONNECTIONS: Final = 2 * MOST
#: Bytes of a header that is told; of a longer one, the client reads the file.
_MOST_HEADER: Final = 16 << 10
#: Seconds between two signs of life of what comes.
_ALIVE_EVERY: Final = 0.5
#: Seconds that a peer has for the TLS handshake.
_HANDSHAKE: Final = 10.0
#: Refused: cannot understand (PS3.4 B.2.3).
_CANNOT_UNDERSTAND: Final = 0xC000
#: Seconds that what is being written may take.
_SETTLE: Final = 5.0
_BUFFER: Final = 4 << 20


class Settings(msgspec.Struct, kw_only=True):
    """How it listens; comes in on standard input as JSON."""

    bind: str
    port: int
    key: str
    cert_file: str = ""
    key_file: str = ""
    key_password: str = ""
    ca_file: str = ""
    #: seconds without a client after which it ends
    idle: float = 20.0


class _Part:
    """See `model.Part`: a file in the folder of the client that expects it.

    Where several clients expect something of one peer, the data set's study and series decide, once they are there.
    """

    def __init__(self, server: _Server, expectations: list[Expectation]) -> None:
        self._server = server
        self._expectations = list(expectations)
        self._size = 0
        #: what is not in the file yet: all of it, while there is none
        self._buffer = bytearray()
        self._path: str | None = None
        #: in the folder of which client that is
        self._aside: Path | None = None
        self._file = -1
        #: whether nobody has asked for it, and somebody keeps it
        self._unasked = False
        #: what was read of it in memory, and found whole
        self._instance: Instance | None = None
        #: who is to have it, once its sender has been told that it is taken
        self._found: list[Expectation] = []
        self._alive()

    def _open(self) -> None:
        problem = StorageError("What arrives cannot be kept.")
        while self._expectations:
            try:
                self._aside = self._expectations[0].aside
                self._path = path = _new_in(self._aside)
                self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
            except OSError as exc:
                self._path = None
                problem = self._expectations.pop(0).failed(exc)
            else:
                return
        raise problem

    def _alive(self) -> None:
        now = time.monotonic()
        for expectation in self._expectations:
            if now - expectation.told > _ALIVE_EVERY:
                expectation.told = now
                expectation.tell("alive")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._buffer += data
        self._size += len(data)
        if len(self._buffer) >= _BUFFER:
            self._flush()
            self._alive()

    def _flush(self) -> None:
        if self._file < 0:
            self._open()
        try:
            write_all(self._file, self._buffer)
        except OSError as exc:
            self.discard()
            raise self._expectations[0].failed(exc) from exc
        self._buffer = bytearray()

    def judge(self) -> None:
        """See `JudgedPart.judge`."""
        found: list[Expectation] | None = None
        data = self._buffer if self._file < 0 else bytearray()
        if data:
            # In memory: whoever gets it is mostly known before it is written. Files of odd forms have to be there.
            instance, problem = looked_at("", data, self._size, 0)
            if instance is not None:
                found = self._expectations = self._takers(instance)
                self._instance = instance if problem is None else None
        if found and not self._unasked:
            # Asked for: who has asked counts what comes, and waits until it is told of.
            self._found = found
            self._server.begin(found)
            return
        if found != []:
            self._close()
        if found is None:
            found = self._takers_of_the_file()
        if not found:
            self._refuse(NOT_AUTHORIZED, "an instance of a study that nobody expects was refused")
        if self._unasked:
            self._check_whole()
        self._give(found)

    def done(self) -> None:
        found, self._found = self._found, []
        if found:
            try:
                self._close()
                self._give(found)
            finally:
                self._server.end(found)

    def _close(self) -> None:
        """All of it is in the file."""
        self._flush()
        if self._instance is not None:
            self._instance.mtime_ns = os.fstat(self._file).st_mtime_ns
        os.close(self._file)
        self._file = -1

    def _give(self, found: list[Expectation]) -> None:
        """Have the file go to whom it belongs to, and tell them."""
        try:
            # Two that expect the same have it both; a file has one owner, so each has a name of its own for it.
            paths = [self._put(expectation, last=number == len(found)) for number, expectation in enumerate(found, 1)]
        finally:
            self.discard()
        receipts: dict[int, Receipt] = {}
        for expectation, path in zip(found, paths, strict=True):
            words: dict[str, Any] = {}
            if self._instance is not None and len(header := msgspec.json.encode(self._instance)) <= _MOST_HEADER:
                words["header"] = header.decode()
            if self._unasked and expectation.keep:
                words["receipt"], receipt = self._server.receipt(expectation)
                receipts[words["receipt"]] = receipt
            expectation.tell("came", path=path, size=self._size, **words)
        if receipts:
            self._server.await_receipts(receipts)

    def _refuse(self, status: int, note: str) -> NoReturn:
        self.discard()
        self._server.note(note)
        raise NotTakenHereError(status)

    def _check_whole(self) -> None:
        """What nobody asked for is asked for no second time: its sender is told what is wrong with it."""
        instance, problem = self._instance, None
        if instance is None:
            instance, problem = looked_at(self._path or "", b"", self._size, 0)
        if instance is not None and problem is None:
            problem = unfit(instance)
        if problem is not None:
            self._refuse(_CANNOT_UNDERSTAND, f"an instance that nobody asked for was refused: {problem}")

    def _put(self, expectation: Expectation, *, last: bool) -> str:
        """The file, in the folder of a client; given away, if nobody else is to have it."""
        assert self._path is not None
        if last and self._aside == expectation.aside:
            path, self._path = self._path, None
            return path
        try:
            path = _new_in(expectation.aside)
        except OSError as exc:
            raise expectation.failed(exc) from exc
        try:
            if last:
                shutil.move(self._path, path)
            else:
                # With its time: two that have one index must not tell it of different ones.
                shutil.copy2(self._path, path)
        except OSError as exc:
            _remove(path)
            raise expectation.failed(exc) from exc
        return path

    def _takers_of_the_file(self) -> list[Expectation]:
        assert self._path is not None
        try:
            return self._takers(read_header(self._path))
        except NotTakenError as exc:
            # The client of a retrieval finds out what is wrong with it, and says so.
            return [e for e in self._expectations if e.study][:1] or self._refuse(
                _CANNOT_UNDERSTAND, f"an instance that nobody asked for was refused: {exc}"
            )

    def _takers(self, header: Instance) -> list[Expectation]:
        study = [e for e in self._expectations if e.study == header.StudyInstanceUID]
        series = [e for e in study if e.series in (header.SeriesInstanceUID, "")]
        # A client needs it once, whatever it is that it expects.
        found = list({e.aside: e for e in reversed(series or study)}.values())
        if not series:
            # Of another series of a study, some PACS send what was not asked for yet.
            found += [e for e in self._expectations if not e.study]
            found = found or [e for e in self._expectations if e.keep][:1]
            self._unasked = any(e.keep for e in found)
        return found

    def discard(self) -> None:
        self._buffer = bytearray()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._path is not None:
            _remove(self._path)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _new_in(aside: Path) -> str:
    """The path of a new file. Each thread has a folder of its own: in one, files are made and renamed one at a time.

    Raises:
        OSError: the folder cannot be made.
    """
    folder = f"{aside}{os.sep}from-{threading.get_native_id()}"
    if folder != getattr(_here, "folder", None) or not os.path.isdir(folder):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
        _here.folder = folder
    return f"{folder}{os.sep}{_PROCESS}-{next(_numbers)}"


_PROCESS: Final = uuid.uuid4().hex
_numbers = itertools.count()
#: of a thread: the folder that it has made last
_here = threading.local()


class _Server:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._expectations: dict[tuple[int, int], Awaited] = {}
        self._clients: set[Client] = set()
        self._connections = 0
        self._move_ids = itertools.cycle(range(1, 1 << 16))
        self._receipts: dict[int, Receipt] = {}
        self._receipt_numbers = itertools.count(1)
        self._last_used = time.monotonic()
        self._stopped = threading.Event()
        self._tls = _tls(settings)

    # -- clients -------------------------------------------------------------------------------------------------

    def serve_clients(self, listening: socket.socket) -> None:
        """Accept clients for ever."""
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                if self._stopped.wait(0.1):  # else out of file handles: some will be free again
                    return
                continue
            # On a thread from the beginning: a stranger may say nothing.
            threading.Thread(target=self._serve_client, args=(sock,), name="pacs-client", daemon=True).start()

    def _serve_client(self, sock: socket.socket) -> None:
        try:
            client = Client(answered(sock, self._settings.key))
        except (OSError, EOFError, ValueError):
            return  # a stranger
        with self._lock:
            self._clients.add(client)
        # A client that is gone, whatever way, has said its last.
        with contextlib.suppress(EOFError, OSError, ValueError, KeyError, TypeError):
            while True:
                self._do(client, client.line.hear())
        with self._lock:
            self._clients.discard(client)
            for key in [key for key in self._expectations if key[0] == id(client)]:
                self._forget(key)
            self._last_used = time.monotonic()
        client.close()

    def _do(self, client: Client, words: dict[str, Any]) -> None:
        move_id = 0
        with self._lock:
            if words["do"] == "expect":
                move_id = next(self._move_ids)
                expectation = Expectation(client, words, move_id)
                self._expectations[id(client), expectation.id] = expectation
            elif words["do"] == "await":
                self._expectations[id(client), int(words["id"])] = AwaitedReport(client, words)
            elif words["do"] == "sync":
                self._settle(client)
            elif words["do"] == "forget":
                self._settle(client)
                self._forget((id(client), int(words["id"])))
            elif words["do"] == "receipt":
                receipt = self._receipts.get(int(words["receipt"]))
                if receipt is not None and receipt.expectation.client is client:
                    receipt.give(0 if words["kept"] else OUT_OF_RESOURCES)
                return
        client.tell(event="answer", id=words["id"], move_id=move_id)

    def begin(self, expectations: list[Expectation]) -> None:
        """Something is about to be told to the clients of these."""
        with self._lock:
            for each in expectations:
                each.untold += 1

    def end(self, expectations: list[Expectation]) -> None:
        """It has been told, or cannot be."""
        with self._ended:
            for each in expectations:
                each.untold -= 1
            self._ended.notify_all()

    def _settle(self, client: Client) -> None:
        """Wait until a client has been told of all whose sender has been told that it was taken. With the lock held."""
        expected = [each for each in self._expectations.values() if isinstance(each, Expectation)]
        self._ended.wait_for(lambda: not any(e.untold for e in expected if e.client is client), _SETTLE)

    def _forget(self, key: tuple[int, int]) -> None:
        """With the lock held."""
        expectation = self._expectations.pop(key, None)
        for receipt in self._receipts.values():
            if receipt.expectation is expectation:
                receipt.given.set()

    def receipt(self, expectation: Expectation) -> tuple[int, Receipt]:
        """What a client has to answer to an instance that it is about to be told of, and its number."""
        number, receipt = next(self._receipt_numbers), Receipt(expectation)
        with self._lock:
            self._receipts[number] = receipt
            if expectation not in self._expectations.values():
                receipt.given.set()
        return number, receipt

    def await_receipts(self, receipts: dict[int, Receipt]) -> None:
        """Wait until the clients have answered. Raises `NotTakenHereError` where none of them has it."""
        statuses = [receipt.wait() for receipt in receipts.values()]
        with self._lock:
            for number in receipts:
                del self._receipts[number]
        if 0 not in statuses:
            raise NotTakenHereError(statuses[0])

    def note(self, text: str) -> None:
        """Tell all clients what went wrong: one of them may wait for just that."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.tell(event="note", id=0, text=text)

    # -- peers ---------------------------------------------------------------------------------------------------

    def serve_peers(self, listening: socket.socket) -> None:
        """Accept associations until nobody has needed it for a while."""
        listening.settimeout(min(0.5, self._settings.idle))
        for number in itertools.count():
            with self._lock:
                idle = not self._clients and not self._connections
                if not idle:
                    self._last_used = time.monotonic()
            if idle and time.monotonic() - self._last_used > self._settings.idle:
                self._stopped.set()
                listening.close()
                return
            try:
                sock, address = listening.accept()
            except TimeoutError:
                continue
            except OSError:
                time.sleep(0.1)  # out of file handles: some will be free again
                continue
            with self._lock:
                full = self._connections >= _MOST_CONNECTIONS
                self._connections += not full
            if full:
                sock.close()
                continue
            name = f"pacs-association-{number}"
            threading.Thread(target=self._serve_peer, args=(sock, _plain(address[0])), name=name, daemon=True).start()

    def _serve_peer(self, sock: socket.socket, address: str) -> None:
        try:
            if self._tls is not None:
                sock.settimeout(_HANDSHAKE)
                sock = self._tls.wrap_socket(sock, server_side=True)
            serve_association(
                sock, address, check=self._check, opener=self._open_for(address), stopped=self._stopped.is_set,
                noted=self.note, reporter=self._reporter_for(address),
            )  # fmt: skip
        except OSError as exc:
            self.note(f"{address}: the TLS handshake failed ({type(exc).__name__})")
        finally:
            with contextlib.suppress(OSError):
                sock.close()
            with self._lock:
                self._connections -= 1

    def _check(self, request: Requested, address: str) -> Rejection | None:
        with self._lock:
            expectations = list(self._expectations.values())
            if self._connections > MOST:
                return NO_ROOM
        if any(e.takes(request, address) for e in expectations):
            return None
        if any(e.called == request.called for e in expectations):
            return CALLING_UNKNOWN
        return CALLED_UNKNOWN

    def _open_for(self, address: str) -> Any:
        def opened(request: Requested, command: Command) -> _Part | int:
            found = [e for e in self._awaited(request, address) if isinstance(e, Expectation)]
            if command.originator_id and command.originator:
                # It says which C-MOVE it comes of. Where that is none of ours, it may say so by mistake.
                origin = command.originator_id, command.originator
                of_it = [e for e in found if (e.move_id, e.called) == origin]
                found = [*of_it, *(e for e in found if not e.study)] if of_it else found
            return _Part(self, found) if found else NOT_AUTHORIZED

        return opened

    def _reporter_for(self, address: str) -> Any:
        def reported(request: Requested, report: Report) -> int:
            found = [e for e in self._awaited(request, address) if isinstance(e, AwaitedReport)]
            found = [e for e in found if e.transaction == report.transaction]
            for each in found:
                each.came(report)
            if not found:
                self.note(f"{address}: a report of storage commitment that nobody waits for was refused")
            return SUCCESS if found else UNKNOWN_TRANSACTION

        return reported

    def _awaited(self, request: Requested, address: str) -> list[Awaited]:
        with self._lock:
            return [e for e in self._expectations.values() if e.takes(request, address)]


def _plain(address: str) -> str:
    """An IPv4 address that an IPv6 socket gives in its own way, as it is."""
    return address.removeprefix("::ffff:") if "." in address else address


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.cert_file:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.cert_file, settings.key_file or None, settings.key_password or None)
    if settings.ca_file:
        # The PACS shows a certificate as well.
        context.load_verify_locations(settings.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def main() -> None:
    """What the process does: read `Settings`, listen, say where on standard output, serve."""
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    try:
        server = _Server(settings)
        family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
        listening = socket.create_server((settings.bind, settings.port), family=family, backlog=64)
        control = socket.create_server(("127.0.0.1", 0), backlog=16)
    except OSError as exc:
        # A wrong certificate as well (ssl.SSLError is one).
        print(json.dumps({"error": exc.strerror or str(exc), "errno": exc.errno}), flush=True)  # noqa: T201
        return
    ready = {"port": listening.getsockname()[1], "control": control.getsockname()[1], "pid": os.getpid()}
    print(json.dumps(ready), flush=True)  # noqa: T201 - the line that whoever started it waits for
    # From here on nobody reads what it says.
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    threading.Thread(target=server.serve_clients, args=(control,), daemon=True).start()
    server.serve_peers(listening)


if __name__ == "__main__":
    main()
