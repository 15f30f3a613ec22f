"""The API reference, from the docstrings: ``make docs`` writes it into ``site/``.

python -m tools.docs [FOLDER]
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render

ROOT = Path(__file__).resolve().parent.parent


def modules() -> list[str]:
    """Every module of the package but those whose names begin with an underscore, from the files."""
    names = []
    for path in sorted((ROOT / "slicer_notebook").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return names


def build(folder: Path) -> list[str]:
    """Write the reference into ``folder``; returns which modules do not import, and why, a text each."""
    pdoc.render.configure(docformat="google", footer_text="slicer-notebook")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Named one by one: where a package has an __all__, pdoc would leave its other modules out.
        pdoc.pdoc(*modules(), output_directory=folder)
    # The other warnings are about annotations under TYPE_CHECKING, and modules that are reached twice: both by intent.
    texts = (str(warning.message) for warning in caught)
    return [text for text in texts if text.startswith("Error importing")]


def main(arguments: list[str]) -> int:
    """Build; exit code 1 when a part of the package could not be documented."""
    folder = Path(arguments[0]) if arguments else ROOT / "site"
    print("[docs] reading the docstrings", flush=True)
    problems = build(folder)
    for problem in problems:
        print(f"[docs] {problem}", file=sys.stderr)
    print(f"[docs] {len(list(folder.rglob('*.html')))} pages -> {folder / 'index.html'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
