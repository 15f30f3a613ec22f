"""A keyring in a file, for programs that a test starts: ``PYTHON_KEYRING_BACKEND=tests.pacs.filed_keyring.Filed``.

Imported by those programs alone: keyring would take it for the system's own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class Filed(KeyringBackend):
    """In the file that the environment variable names."""

    priority = 5  # type: ignore[assignment]

    def _entries(self) -> dict[str, str]:
        file = Path(os.environ["FILED_KEYRING"])
        found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def _write(self, entries: dict[str, str]) -> None:
        Path(os.environ["FILED_KEYRING"]).write_text(json.dumps(entries))

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._entries(), f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        del entries[f"{service} {username}"]
        self._write(entries)
