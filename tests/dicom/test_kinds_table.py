"""The table of kinds names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent


def test_every_test_of_the_table_is_there():
    text = (FOLDER.parents[1] / "docs" / "dicom_kinds.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+\.py)::(\w+)`", text)
    assert len(named) > 40
    missing = [
        f"{file}::{name}" for file, name in named if f"def {name}(" not in (FOLDER / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_row_has_a_test():
    text = (FOLDER.parents[1] / "docs" / "dicom_kinds.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert all("::" in row for row in rows)
