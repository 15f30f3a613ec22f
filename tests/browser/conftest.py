"""A JupyterLab with the sample study, and a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook import kernelspec
from slicer_notebook.sample_data import fetch, sample_folder
from tests.browser.axe import axe_source, violations
from tests.browser.catalogue import write_hospital
from tests.browser.lab import CHROMIUM, CHROMIUM_ARGUMENTS, Lab
from tests.browser.picking import Desk, desk_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

#: Where `make test` puts the study: looked up before the tests get folders of their own.
_SAMPLE = sample_folder()


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    """Debian's Chromium without a window.

    Not for the whole run: Playwright keeps an event loop running in this thread for as long as it is open.
    """
    if not Path(CHROMIUM).exists():
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def page(browser: playwright.Browser) -> Iterator[playwright.Page]:
    """A page of its own, as large as a laptop's screen."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=1)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def axe(pytestconfig: pytest.Config) -> Callable[[playwright.Page, str], list[str]]:
    """``axe(page, ".sn-picker")``: what axe-core finds wrong in a widget, a line each; empty when all is well."""
    source = axe_source(pytestconfig.cache.mkdir("axe-core"))
    return lambda page, selector: violations(page, source, selector)


@pytest.fixture(scope="session")
def sample(_own_folders: None) -> Path:
    """The sample study in the tests' own data folder; no copy."""
    fetch(_SAMPLE)
    here = sample_folder()
    if not here.exists():
        here.parent.mkdir(parents=True, exist_ok=True)
        here.symlink_to(_SAMPLE)
    return here


@pytest.fixture(scope="session")
def data_folder_of_a_user(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's data folder for Lab's kernels: the sample study, no index yet."""
    folder = tmp_path_factory.mktemp("lab-data")
    (folder / "sample").mkdir()
    (folder / "sample" / sample.name).symlink_to(sample.resolve())
    return folder


@pytest.fixture(scope="session")
def hospital(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of 40 studies of 14 patients, with pictures (`tests.browser.catalogue.hospital_studies`)."""
    return write_hospital(tmp_path_factory.mktemp("hospital"), sample)


@pytest.fixture(scope="module")
def lab(root: Path, data_folder_of_a_user: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with copies of the notebooks and the kernel "Slicer (headless)"."""
    yield from _lab(root, data_folder_of_a_user, tmp_path_factory)


@pytest.fixture(scope="module")
def desk(
    browser: playwright.Browser, lab: Lab, hospital: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """A notebook for pickers on the hospital's studies, shared by a module's tests."""
    with desk_of(browser, lab, hospital, tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture(scope="module")
def dark_lab(root: Path, data_folder_of_a_user: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The same in the dark theme, and in the way of older versions: a running cell comes before a widget's messages."""
    yield from _lab(root, data_folder_of_a_user, tmp_path_factory, theme="JupyterLab Dark", subshells=False)


@pytest.fixture(scope="module")
def keeping_lab(root: Path, data_folder_of_a_user: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The same with "Save Widget State Automatically"."""
    yield from _lab(root, data_folder_of_a_user, tmp_path_factory, widget_state=True)


def _lab(root: Path, data: Path, tmp_path_factory: pytest.TempPathFactory, **options: Any) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("lab-home")
    work = tmp_path_factory.mktemp("lab-work")
    shutil.copytree(root / "notebooks", work / "notebooks")
    kernelspec.install(prefix=str(home / "prefix"))
    environment = {
        "SLICER_NOTEBOOK_DATA": str(data),
        "JUPYTER_PATH": str(home / "prefix" / "share" / "jupyter"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    with Lab(home, work, environment=environment, **options) as found:
        yield found


@pytest.fixture
def screenshots(root: Path, tmp_path: Path) -> Path:
    """Where pictures of the screen go: the docs when UPDATE_SCREENSHOTS=1, else a folder of this test."""
    folder = root / "docs" / "images" if os.environ.get("UPDATE_SCREENSHOTS") == "1" else tmp_path / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
