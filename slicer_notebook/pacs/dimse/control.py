"""What clients and the storage SCP's process say to one another: JSON objects, one a line, over the loopback interface.

Both sides prove that they know the key (an HMAC of the other's nonce), so neither talks to a stranger that has got the
port; the key itself never goes over the line.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import socket
import threading
from collections.abc import Iterable
from typing import Any, Final

import msgspec

__all__ = ["Line", "answered", "called"]

#: Seconds that the other side has to prove itself.
_PATIENCE: Final = 5.0
#: Bytes of one object at most: paths and UIDs.
_MOST: Final = 1 << 16
_HOST: Final = "127.0.0.1"


class Line:
    """One end of a connection. One thread may listen while others speak."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._incoming = sock.makefile("rb")
        self._sending = threading.Lock()

    def say(self, **words: Any) -> None:
        """Say something; may block while the other side does not listen.

        Raises:
            OSError: the other side is gone.
        """
        self.say_all([words])

    def say_all(self, several: Iterable[dict[str, Any]]) -> None:
        """Say several things at once. Raises as `say`."""
        data = b"".join(msgspec.json.encode(words) + b"\n" for words in several)
        with self._sending:
            self._sock.sendall(data)

    def hurry(self) -> None:
        """From now on, what is said goes out at once.

        Else two short words wait 40 ms for each other (Nagle's algorithm, delayed acknowledgements), and go together,
        which costs less where nobody waits for them.
        """
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def hear(self) -> dict[str, Any]:
        """What the other side says next.

        Raises:
            EOFError: it has ended the connection.
            OSError: it is gone.
            ValueError: what came is nothing that was agreed on.
        """
        line = self._incoming.readline(_MOST)
        if not line:
            raise EOFError
        if not line.endswith(b"\n"):
            raise ValueError("half a line, or one that is too long")
        try:
            return msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as exc:
            raise ValueError("no object") from exc

    def close(self) -> None:
        """End it; whoever waits for something is woken. A second time, nothing."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._sock.close()

    def release(self) -> None:
        """After `close`, by the thread that listened: let go of what it read with."""
        with contextlib.suppress(OSError, ValueError):
            self._incoming.close()


def _proof(key: str, side: str, nonce: str) -> str:
    return hmac.new(bytes.fromhex(key), f"{side}:{nonce}".encode(), "sha256").hexdigest()


def answered(sock: socket.socket, key: str) -> Line:
    """A line to whoever has connected, once it has shown that it knows the key.

    Raises:
        OSError, EOFError, ValueError: it does not, or is gone; the connection is closed.
    """
    sock.settimeout(_PATIENCE)
    line = Line(sock)
    try:
        nonce = secrets.token_hex(16)
        line.say(nonce=nonce)
        words = line.hear()
        if not hmac.compare_digest(str(words.get("proof", "")).encode(), _proof(key, "client", nonce).encode()):
            raise ValueError("a wrong key")
        line.say(proof=_proof(key, "server", str(words["nonce"])))
    except BaseException as exc:
        line.close()
        line.release()
        if isinstance(exc, KeyError):
            raise ValueError("no nonce") from exc
        raise
    sock.settimeout(None)
    return line


def called(port: int, key: str) -> Line:
    """A line to the process that listens at a port, once it has shown that it knows the key.

    Raises:
        OSError, EOFError, ValueError: nobody is there, or somebody else.
    """
    sock = socket.create_connection((_HOST, port), timeout=_PATIENCE)
    line = Line(sock)
    try:
        nonce = secrets.token_hex(16)
        line.say(proof=_proof(key, "client", str(line.hear().get("nonce", ""))), nonce=nonce)
        proof = str(line.hear().get("proof", ""))
        if not hmac.compare_digest(proof.encode(), _proof(key, "server", nonce).encode()):
            raise ValueError("a stranger")
    except BaseException:
        line.close()
        line.release()
        raise
    sock.settimeout(None)
    return line
