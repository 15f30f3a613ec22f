"""Keyrings for tests: in memory, in plain text, locked, silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keyring
import keyring.errors
from keyring.backend import KeyringBackend

#: A secret that must be nowhere but in the keyring.
PLANTED = "pl@nted Sécret/5%+\"'\\x"


def kinds() -> dict[str, Any]:
    """The classes. Made after keyring has chosen its backend: it would take the first of these that it sees."""
    keyring.get_keyring()

    class Memory(KeyringBackend):
        priority = 5  # type: ignore[assignment]

        def __init__(self) -> None:
            super().__init__()
            self.entries: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.entries.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.entries[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            if self.entries.pop((service, username), None) is None:
                raise keyring.errors.PasswordDeleteError("no such entry")

    class PlaintextKeyring(Memory):
        """As the one of keyrings.alt, but as highly recommended as the best."""

    class Unrecommended(Memory):
        priority = 0.5  # type: ignore[assignment]

    class Locked(Memory):
        def get_password(self, service: str, username: str) -> str | None:
            raise keyring.errors.KeyringLocked("the collection is locked")

        def set_password(self, service: str, username: str, password: str) -> None:
            raise RuntimeError(f"D-Bus failed, sending {password}")

    class Silent(Memory):
        """Asks for its password where nobody sees it."""

        def __init__(self) -> None:
            super().__init__()
            self.answer = threading.Event()

        def get_password(self, service: str, username: str) -> str | None:
            self.answer.wait(30)
            return None

    return {kind.__name__: kind for kind in (Memory, PlaintextKeyring, Unrecommended, Locked, Silent)}


@contextmanager
def registered(backend: KeyringBackend) -> Iterator[Any]:
    """The backend is the system's keyring meanwhile."""
    former = keyring.get_keyring()
    keyring.set_keyring(backend)
    try:
        yield backend
    finally:
        keyring.set_keyring(former)
