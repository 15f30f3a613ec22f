"""The way to this machine's storage SCP: join the one that runs, or start it (`receiver`)."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from slicer_notebook.dicom.folders import data_folder
from slicer_notebook.dicom.records import Instance
from slicer_notebook.errors import PacsConfigError, PacsError, PacsUnreachableError, StorageError
from slicer_notebook.pacs.dimse.commitment import Report
from slicer_notebook.pacs.dimse.control import Line, called
from slicer_notebook.pacs.model import FolderSink
from slicer_notebook.pacs.port_holder import holder_of
from slicer_notebook.pacs.receiver import Settings
from slicer_notebook.pacs.server import Server, dimse_address

__all__ = ["ReceiverClient"]

#: Seconds that the process has to start, and to answer.
_START, _ANSWER = 20.0, 10.0


class _Known(msgspec.Struct):
    """A running receiver, as the file says that lets others join it."""

    pid: int
    control: int
    port: int
    key: str
    #: which certificates it uses
    tls: str


class _Answer:
    """What is waited for; without words once the receiver is gone."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.heard = threading.Event()
        self.words: dict[str, Any] = {}


class Expected:
    """See `move.Expectation`."""

    def __init__(self, client: ReceiverClient, number: int, sink: FolderSink) -> None:
        self._client = client
        self._sink = sink
        self._error: PacsError | None = None
        self.number = number
        self.line: Line | None = None
        self.message_id = 0
        self.alive = time.monotonic()
        self.count = 0

    def news(self, words: dict[str, Any]) -> None:
        """What the receiver says of it. On the client's thread."""
        self.alive = time.monotonic()
        if words["event"] == "came":
            try:
                self._sink.adopt(Path(words["path"]), int(words["size"]), _instance(words.get("header")))
                self.count += 1
            except StorageError as exc:
                self._error = exc
            if "receipt" in words:
                self._client.give_receipt(self, int(words["receipt"]))
        elif words["event"] == "failed":
            self._error = StorageError("What arrives cannot be kept.", got=str(words["why"]))

    def kept(self) -> bool:
        """Wait until all that came so far is on the disk and in the index; whether it is."""
        try:
            self.check()
            self._sink.flush()
        except PacsError:
            return False
        return True

    def lost(self) -> None:
        """The receiver is gone."""
        if self._error is None:
            self._error = _lost()

    def check(self) -> None:
        """See `move.Expectation.check`."""
        if self._error is not None:
            raise self._error

    def settle(self) -> None:
        """See `move.Expectation.settle`: what the receiver has said before its answer is dealt with by then."""
        self._client.ask(do="sync")
        self.check()


def _instance(header: str | None) -> Instance | None:
    """What the receiver has read; None where the file has to be read."""
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(header, type=Instance) if header else None
    return None


class ExpectedReport:
    """See `commitment.Awaited`."""

    def __init__(self, number: int, transaction: str, take: Callable[[Report], object]) -> None:
        self.number = number
        self.line: Line | None = None
        self._report = Report(transaction, [], {})
        self._take = take
        self._error: PacsError | None = None

    def news(self, words: dict[str, Any]) -> None:
        """What the receiver says of it. On the client's thread."""
        if words["event"] == "committed":
            self._report.committed.extend(words["uids"])
        elif words["event"] == "uncommitted":
            self._report.failed.update(words["reasons"])
        elif words["event"] == "reported":
            self._take(self._report)

    def lost(self) -> None:
        """The receiver is gone."""
        self._error = _lost()

    def check(self) -> None:
        """See `commitment.Awaited.check`."""
        if self._error is not None:
            raise self._error


def _lost() -> PacsUnreachableError:
    return PacsUnreachableError(
        "The storage SCP of this machine was lost: its process has ended.",
        hint="The next try starts it anew.",
        details={"lost": True},
    )


class ReceiverClient:
    """A connection to the storage SCP for a PACS. See `move.Receiver`.

    Args:
        server: of which PACS; its ``port``, ``bind``, AE titles and certificates count.
        key_password: of the certificate's key.
        folder: where the files that let others join lie.
        idle: seconds without a client after which the storage SCP ends, if this one starts it.

    Raises:
        PacsConfigError: it is to use TLS, and has no certificate.
    """

    def __init__(
        self, server: Server, key_password: str = "", folder: Path | None = None, *, idle: float = 20.0
    ) -> None:
        self._server = server
        self._folder = folder if folder is not None else data_folder() / "run"
        port = 0 if server.port == "free" else server.port
        self._settings = Settings(bind=server.bind, port=port, key="", key_password=key_password, idle=idle)
        if server.tls_receiver:
            if not server.cert_file:
                raise PacsConfigError(
                    f"The storage SCP for {server.name!r} is to use TLS and has no certificate.",
                    expected="cert_file, and key_file",
                    details={"server": server.name},
                )
            self._settings.cert_file, self._settings.key_file = server.cert_file, server.key_file
            self._settings.ca_file = server.ca_file
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._numbers = itertools.count(1)
        self._expected: dict[int, Expected | ExpectedReport] = {}
        self._answers: dict[int, _Answer] = {}
        #: receipts that the receiver waits for; None ends who gives them
        self._receipts: queue.SimpleQueue[tuple[Expected, int] | None] = queue.SimpleQueue()
        self._giving = False
        #: where the receiver listens, as far as is known
        self._listens_at = 0
        #: what the receiver has noted last, in words: rejected associations, failed handshakes
        self.notes: list[str] = []

    @contextmanager
    def awaiting(self, transaction: str, take: Callable[[Report], object]) -> Iterator[ExpectedReport]:
        """See `commitment.Receiver.awaiting`. Raises as `expecting`."""
        awaited = ExpectedReport(next(self._numbers), transaction, take)
        self._expected[awaited.number] = awaited
        try:
            try:
                self._announce_report(awaited, transaction)
            except PacsUnreachableError:
                self._announce_report(awaited, transaction)  # it may have ended just now, for nobody needed it
            yield awaited
        finally:
            with contextlib.suppress(PacsError):
                self.ask(number=awaited.number, do="forget")
            self._expected.pop(awaited.number, None)

    def _announce_report(self, awaited: ExpectedReport, transaction: str) -> None:
        awaited.line = self._connected()
        self.ask(number=awaited.number, do="await", transaction=transaction, **self._from_whom())

    def _from_whom(self) -> dict[str, Any]:
        """Of which associations something is expected."""
        return {
            "called": self._server.calling,
            "callers": sorted({dimse_address(self._server.url).called, *self._server.senders}),
            "addresses": _addresses(self._server),
        }

    @contextmanager
    def expecting(self, study: str, sink: FolderSink, series: str = "") -> Iterator[Expected]:
        """See `move.Receiver.expecting`. Without a study: all that comes and nobody expects.

        Raises:
            PacsError: it does not start: the port is another program's, the certificate cannot be read.
        """
        expected = Expected(self, next(self._numbers), sink)
        self._expected[expected.number] = expected
        try:
            self._announce(expected, study, series, str(sink.folder_aside()))
            yield expected
        finally:
            with contextlib.suppress(PacsError):
                self.ask(number=expected.number, do="forget")
            self._expected.pop(expected.number, None)

    def port(self) -> int:
        """Where the storage SCP listens, which is started if it has to; it stays there until `close`, at least.

        Raises:
            PacsError: as `expecting`.
        """
        self._connected()
        return self._listens_at

    def _announce(self, expected: Expected, study: str, series: str, aside: str) -> None:
        """Have the receiver know what is expected."""
        for last in (False, True):
            expected.line = self._connected()
            try:
                answer = self.ask(
                    number=expected.number,
                    do="expect",
                    **self._from_whom(),
                    study=study,
                    series=series,
                    aside=aside,
                    keep=not study or self._server.unasked == "keep",
                )
                expected.message_id = int(answer["move_id"])
                return
            except PacsUnreachableError:
                # It may have ended just now, for nobody needed it.
                if last:
                    raise

    def ask(self, number: int | None = None, **words: Any) -> dict[str, Any]:
        """Say something, and wait for the answer.

        Raises:
            PacsUnreachableError: the receiver does not answer.
        """
        number = next(self._numbers) if number is None else number
        line = self._line
        if line is None:
            raise _lost()
        answer = self._answers[number] = _Answer(line)
        try:
            line.say(**words, id=number)
            if not answer.heard.wait(_ANSWER):
                line.close()  # it hangs: whoever needs it next starts another one, or says why that cannot be
        except OSError as exc:
            raise _lost() from exc
        finally:
            self._answers.pop(number, None)
        if not answer.words:
            raise _lost()
        return answer.words

    def give_receipt(self, expected: Expected, number: int) -> None:
        """Tell the receiver, soon, whether what nobody asked for is kept. Does not wait."""
        with self._lock:
            if not self._giving:
                self._giving = True
                threading.Thread(target=self._give_receipts, name="pacs-receipts", daemon=True).start()
        self._receipts.put((expected, number))

    def _give_receipts(self) -> None:
        while (given := self._receipts.get()) is not None:
            expected, number = given
            kept = expected.kept()
            with contextlib.suppress(OSError):
                if expected.line is not None:
                    expected.line.hurry()
                    expected.line.say(do="receipt", id=0, receipt=number, kept=kept)

    def close(self) -> None:
        """Let it go; it ends when nobody needs it."""
        with self._lock:
            line, self._line = self._line, None
            if self._giving:
                self._giving = False
                self._receipts.put(None)
        if line is not None:
            line.close()

    # -- the connection ------------------------------------------------------------------------------------------

    def _connected(self) -> Line:
        with self._lock:
            if self._line is None:
                self._line = self._join_or_start()
                threading.Thread(target=self._listen, args=(self._line,), name="pacs-receiver", daemon=True).start()
            return self._line

    def _listen(self, line: Line) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError):
            while True:
                self._hear(line.hear())
        with self._lock:
            if self._line is line:
                self._line = None
        line.close()
        line.release()
        for expected in list(self._expected.values()):
            if expected.line is line:
                expected.lost()
        for answer in list(self._answers.values()):
            if answer.line is line:
                answer.heard.set()

    def _hear(self, words: dict[str, Any]) -> None:
        if words["event"] == "answer":
            if (answer := self._answers.get(words["id"])) is not None:
                answer.words = words
                answer.heard.set()
        elif words["event"] == "note":
            self.notes = [*self.notes[-19:], str(words["text"])]
        elif (expected := self._expected.get(words["id"])) is not None:
            expected.news(words)

    def _join_or_start(self) -> Line:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Of a free port, each kind of certificate has one of its own.
            which = f"free{self._certificates()[:8]}" if self._server.port == "free" else self._server.port
            file = self._folder / f"receiver-{self._settings.bind.replace(':', '_')}-{which}.json"
            with _locked(file.with_suffix(".lock")):
                return self._joined(file) or self._started(file)
        except OSError as exc:
            raise PacsError(
                "The storage SCP of this machine cannot be started.",
                expected=f"a folder that can be written, {str(self._folder)!r}, and a Python that starts",
                got=exc.strerror or str(exc),
            ) from exc

    def _joined(self, file: Path) -> Line | None:
        """A line to the receiver that a file tells of; None where there is none any more.

        Raises:
            PacsConfigError: there is one with other certificates.
        """
        try:
            known = _known(file)
            line = called(known.control, known.key)
        except (OSError, EOFError, ValueError, msgspec.MsgspecError):
            return None
        if known.tls == self._certificates():
            self._listens_at = known.port
            return line
        line.close()
        line.release()
        raise PacsConfigError(
            f"The storage SCP of this machine listens on port {known.port} already, with other certificates.",
            expected="the same certificates, or none, for all PACS that send to one port",
            got="certificates" if known.tls else "no TLS",
            hint="Give the PACS another port=..., or the same cert_file=, key_file= and ca_file=.",
            details={"port": known.port},
        )

    def _certificates(self) -> str:
        """What tells whether a receiver that runs uses our certificates; "" for none."""
        files = (self._settings.cert_file, self._settings.key_file, self._settings.ca_file)
        return hashlib.sha256("\0".join(files).encode()).hexdigest() if files[0] else ""

    def _started(self, file: Path) -> Line:
        if self._server.port == "free":
            # Where the last one was: a PACS may have been told of it.
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                self._settings.port = _known(file).port
        words = self._words_of_a_new_one()
        if words.get("errno") == errno.EADDRINUSE and self._server.port == "free":
            self._settings.port = 0
            words = self._words_of_a_new_one()
        if "error" in words:
            raise self._not_started(words)
        known = _Known(
            pid=words["pid"],
            control=words["control"],
            port=words["port"],
            key=self._settings.key,
            tls=self._certificates(),
        )
        _write_private(file, msgspec.json.encode(known))
        found = self._joined(file)
        if found is None:
            raise PacsError("The storage SCP of this machine was started, and does not answer.")
        return found

    def _words_of_a_new_one(self) -> dict[str, Any]:
        """Start it; what it says of itself."""
        self._settings.key = secrets.token_hex(32)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "slicer_notebook.pacs.receiver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            # It serves others, too: it outlives whoever started it.
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.write(msgspec.json.encode(self._settings) + b"\n")
            process.stdin.close()
        timer = threading.Timer(_START, process.kill)
        timer.start()
        try:
            words = _first_words(process.stdout)
        finally:
            timer.cancel()
            process.stdout.close()
        threading.Thread(target=process.wait, name="pacs-receiver-wait", daemon=True).start()
        return words

    def _not_started(self, words: dict[str, Any]) -> PacsError:
        where = f"{self._settings.bind}:{self._settings.port}"
        hint, holder = "Check port=, bind= and the certificate of the PACS's configuration.", None
        if words["errno"] == errno.EADDRINUSE:
            hint = "Another program listens there: end it, or give the port that the PACS sends to, with port=."
            holder = holder_of(self._settings.port)
            if holder is not None and holder.ours:
                hint = (
                    "It is a storage SCP of this library, for another bind= or another data folder "
                    "(SLICER_NOTEBOOK_DATA): all that use one port need the same."
                )
        return PacsError(
            f"The storage SCP of this machine cannot listen on {where}.",
            expected="a free port",
            got=f"{words['error']}: {holder.words}" if holder is not None else str(words["error"]),
            hint=hint,
            details={"port": self._settings.port, "pid": holder.pid if holder is not None else None},
        )


def _addresses(server: Server) -> list[str]:
    """Addresses that the PACS may send from: those of its name, unless others are configured."""
    if server.send_addresses:
        return list(server.send_addresses)
    host = dimse_address(server.url).host
    with contextlib.suppress(OSError):
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        if any(address.startswith("127.") or address == "::1" for address in found):
            found |= {"127.0.0.1", "::1"}
        return sorted(found)
    return [host]


def _first_words(output: IO[bytes]) -> dict[str, Any]:
    """What the process says of itself; other lines are of what Python loads at its start in some places."""
    for line in output:
        with contextlib.suppress(ValueError):
            words = json.loads(line)
            if isinstance(words, dict):
                return words
    return {"error": "it ended at once", "errno": None}


def _known(file: Path) -> _Known:
    return msgspec.json.decode(file.read_bytes(), type=_Known)


def _write_private(file: Path, data: bytes) -> None:
    new = file.with_suffix(f".{os.getpid()}")
    handle = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)
    os.replace(new, file)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Only one process at a time, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        until = time.monotonic() + _START
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise PacsError("Another process has been starting the storage SCP for too long.") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)
