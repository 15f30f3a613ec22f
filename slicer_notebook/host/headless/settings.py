# ruff: noqa: N802 - Qt's names
"""``slicer.app.userSettings()``: settings that last as long as the process, with QSettings' method names."""

from __future__ import annotations

from typing import Any

__all__ = ["Settings"]


class Settings:
    """Keys (``group/name``) and values. A headless Slicer starts from defaults and writes no settings file."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def value(self, key: str, default: Any = None) -> Any:
        return self._values.get(key, default)

    def setValue(self, key: str, value: Any) -> None:
        self._values[key] = value

    def contains(self, key: str) -> bool:
        return key in self._values

    def remove(self, key: str) -> None:
        """Forget ``key`` and, as QSettings does, every key below it."""
        self._values = {
            name: value for name, value in self._values.items() if name != key and not name.startswith(key + "/")
        }

    def allKeys(self) -> list[str]:
        return sorted(self._values)
