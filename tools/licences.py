"""The licences of the locked packages, as their metadata state them. Nothing of the GPL may be among them.

python -m tools.licences    # a table; exit code 1 when a licence is not allowed or not known
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
#: The GPL and the AGPL, in any spelling; the LGPL is another licence (a library may be used through its interface).
COPYLEFT = re.compile(r"(?<!L)(?<!Lesser )(?<!Library )\b(A?GPL|(Affero )?General Public License)", re.IGNORECASE)
#: Packages whose metadata name no licence, with what their source says.
STATED_ELSEWHERE: dict[str, str] = {"jupyter-rfb": "MIT"}  # the LICENSE file in its wheel


@dataclass(frozen=True)
class Licence:
    """What one package says about its licence."""

    package: str
    version: str
    text: str

    @property
    def problem(self) -> str | None:
        """Why it is not allowed; None when it is."""
        if not self.text:
            return "names no licence"
        return "is under the GPL" if COPYLEFT.search(self.text) else None


def locked(lock: Path) -> list[Requirement]:
    """The packages of a lock file that apply to this Python."""
    requirements = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.rstrip("\\ "))
            if requirement.marker is None or requirement.marker.evaluate():
                requirements.append(requirement)
    return requirements


def stated(package: Distribution) -> str:
    """The licence that a package's metadata state: expression, else classifiers, else the first line of the text."""
    metadata = package.metadata
    for expression in metadata.get_all("License-Expression") or []:
        return str(expression)
    classifiers = [
        row.split("::")[-1].strip() for row in metadata.get_all("Classifier") or [] if row.startswith("License")
    ]
    classifiers = [row for row in classifiers if row not in {"OSI Approved", "DFSG approved"}]
    if classifiers:
        return ", ".join(classifiers)
    texts = [str(text).strip() for text in metadata.get_all("License") or []]
    return texts[0].splitlines()[0][:80] if texts and texts[0] else ""


def licences(requirements: Iterable[Requirement]) -> list[Licence]:
    """The licence of each package, sorted by name; one that is not installed counts as naming none."""
    found = []
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:
            found.append(Licence(name, "not installed", ""))
            continue
        found.append(Licence(name, package.version, STATED_ELSEWHERE.get(name) or stated(package)))
    return sorted(found, key=lambda licence: licence.package)


def main() -> int:
    """Print the table; exit code 1 when a package has a problem."""
    rows = licences(locked(ROOT / "requirements" / "dev.lock"))
    for row in rows:
        print(f"{row.package:28} {row.version:16} {row.text}")
    problems = [row for row in rows if row.problem]
    for row in problems:
        print(f"{row.package} {row.version} {row.problem}", file=sys.stderr)
    print(f"{len(rows)} packages, {len(problems)} with a problem")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
