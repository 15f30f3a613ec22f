"""Fixtures that several folders of tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn

# Archives for all folders.
from tests.pacs.fixtures import (  # noqa: F401 - fixtures
    archive,
    dcmqrscp,
    fresh_orthanc,
    orthanc,
    orthanc_peer,
    pacs_data,
)

#: Folders whose tests wait most, for processes: several workers end together where these come first.
_LONG = ("browser", "cli", "session", "tools", "notebooks", "pacs", "commands")


def pytest_configure() -> None:
    """A worker of pytest-xdist hears nothing of interrupts, nor would what it starts: tests are about them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, for several workers."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        tests = Path(__file__).parent
        places = {name: place for place, name in enumerate(_LONG)}
        items.sort(key=lambda item: places.get(item.path.relative_to(tests).parts[0], len(places)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A worker takes a file at a time; one of them, all that needs a browser: that takes a core for itself."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "browser" if file.startswith("tests/browser/") else file

    config.option.loadscopereorder = False  # the order is `pytest_collection_modifyitems`'s
    return Scheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither see nor touch the user's index, PACS servers, keyring, Jupyter files and running Slicers."""
    home = tmp_path_factory.mktemp("home")
    values = {
        "SLICER_NOTEBOOK_DATA": home / "data",
        "SLICER_NOTEBOOK_CONFIG": home / "config",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTER_CONFIG_DIR": home / "jupyter-config",
        "IPYTHONDIR": home / "ipython",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "MPLBACKEND": "agg",
    }
    former = {name: os.environ.get(name) for name in values}
    os.environ.update({name: str(value) for name, value in values.items()})
    yield
    for name, value in former.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def launched(_own_folders: None) -> Iterator[sn.Session]:
    """A headless Slicer that all tests of a run share. Whoever needs a clean scene asks for `slicer`."""
    with sn.launch("tests") as session:
        yield session


@pytest.fixture
def slicer(launched: sn.Session) -> sn.Session:
    """The shared Slicer with an empty scene, in the four-up layout."""
    launched.clear()
    launched.layout = "FourUp"
    for view, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        launched.view(view).orientation = orientation
    return launched


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parents[1]
