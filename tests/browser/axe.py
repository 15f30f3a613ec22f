"""axe-core in a page: what of a widget people with a keyboard, a screen reader or weak eyes cannot use.

axe-core is not in this repository: npm fetches one version once, into pytest's cache, and its hash is checked.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error, Page

__all__ = ["AXE_VERSION", "axe_source", "violations"]

AXE_VERSION = "4.14.1"
#: Of the package as npm's registry has it ("dist.integrity").
_INTEGRITY = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
#: WCAG 2.0 to 2.2, levels A and AA, and what axe-core's makers advise besides.
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: Milliseconds until the widget has to be there.
_VISIBLE = 20_000
#: Seconds that npm may take.
_FETCH_TIMEOUT = 60.0


def axe_source(folder: Path) -> str:
    """The text of axe-core's ``axe.min.js``; the test is skipped where it cannot be had.

    Args:
        folder: where the package is kept between runs.

    Raises:
        ValueError: what came is not what was pinned.
    """
    package = folder / f"axe-core-{AXE_VERSION}.tgz"
    if not package.exists():
        _fetch(package)
    content = package.read_bytes()
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != _INTEGRITY:
        package.unlink()
        raise ValueError(f"axe-core {AXE_VERSION}: sha512-{found} came, sha512-{_INTEGRITY} is expected")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def _fetch(package: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm here, which fetches axe-core: apt-get install npm")
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        done = subprocess.run(
            [npm, "pack", f"axe-core@{AXE_VERSION}", "--ignore-scripts", "--silent"],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=_FETCH_TIMEOUT,
        )
        if done.returncode != 0:
            pytest.skip(f"npm cannot fetch axe-core {AXE_VERSION}: {done.stderr.strip()[-300:]}")
        # At once, for a second run that looks at the same moment.
        (Path(folder) / package.name).replace(package)


def violations(page: Page, source: str, selector: str) -> list[str]:
    """What axe-core finds wrong with the elements of ``selector`` and all in them, a line each; none: an empty list.

    Args:
        page: the page, in the state that is to be looked at.
        source: `axe_source`.
        selector: CSS selector of a widget's root. At least one element must match and be visible.

    Raises:
        AssertionError: nothing that is visible matches, so that there was nothing to look at.
    """
    with contextlib.suppress(Error):
        page.locator(selector).locator("visible=true").first.wait_for(timeout=_VISIBLE)
    assert page.locator(selector).locator("visible=true").count(), f"nothing in {selector} is visible"
    if not page.evaluate("() => !!window.axe"):
        page.evaluate(source)
    # Colours that are still fading are measured wrongly; what moves without an end is left out.
    page.evaluate(
        """async (selector) => {
            const roots = [...document.querySelectorAll(selector)];
            const moving = roots.flatMap((root) => root.getAnimations({subtree: true}));
            const ending = moving.filter((one) => one.effect.getComputedTiming().endTime !== Infinity);
            await Promise.allSettled(ending.map((one) => one.finished));
        }""",
        selector,
    )
    found: list[dict[str, Any]] = page.evaluate(
        """async ([selector, tags]) => {
            const options = {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]};
            return (await window.axe.run({include: [[selector]]}, options)).violations;
        }""",
        [selector, _TAGS],
    )
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {node['html'][:200]}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]
