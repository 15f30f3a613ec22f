"""Archives that the tests of one run share: see `tests.pacs.peers` for how to use them.

``tests/conftest.py`` takes these in, for all folders: what a second conftest takes in, it would start a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # tests that need no archive do not wait for what it needs
    from slicer_notebook import testing
    from tests.pacs.peers.data import Data
    from tests.pacs.peers.real import RealPeer

#: AE titles that both archives know; nothing listens for NOBODYHOME, nobody knows STRANGER.
MODALITIES = ("SLICER", "SLICER2", "SLICER3", "NOBODYHOME")


def _need_orthanc() -> None:
    from slicer_notebook import testing

    if testing.orthanc_program() is None:
        pytest.skip("Orthanc is not installed (Debian: orthanc and orthanc-dicomweb)")


@pytest.fixture(scope="session")
def pacs_data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """The files that the archives are filled with."""
    from tests.pacs.peers.data import write

    return write(tmp_path_factory.mktemp("pacs-data"))


@pytest.fixture(scope="session")
def orthanc(pacs_data: Data) -> Iterator[testing.Orthanc]:
    """An Orthanc with the data in it, for all tests: who changes it asks for `fresh_orthanc` instead."""
    from slicer_notebook import testing

    _need_orthanc()
    with testing.orthanc(pacs_data.folder, calling=dict.fromkeys(MODALITIES, 0)) as running:
        yield running


@pytest.fixture
def fresh_orthanc(pacs_data: Data) -> Iterator[Callable[..., testing.Orthanc]]:
    """Makes Orthancs that a test may kill, restart and write to: arguments as of `testing.orthanc`."""
    from slicer_notebook import testing

    _need_orthanc()
    with ExitStack() as started:

        def make(files: Any = pacs_data.folder, **options: Any) -> testing.Orthanc:
            made = testing.orthanc(files, **{"calling": dict.fromkeys(MODALITIES, 0), **options})
            return started.enter_context(made)

        yield make


@pytest.fixture(scope="session")
def dcmqrscp(pacs_data: Data) -> Iterator[RealPeer]:
    """dcmtk's archive with the data in it (all but the compressed study), for all tests."""
    from slicer_notebook import testing
    from tests.pacs.peers.real import Dcmqrscp, dcmqrscp_program

    if dcmqrscp_program() is None:
        pytest.skip("dcmqrscp is not installed (Debian: dcmtk)")
    try:
        archive = Dcmqrscp(pacs_data, modalities=MODALITIES)
    except testing.NoNamespaceError as exc:
        pytest.skip(f"dcmqrscp would listen on all interfaces: {exc.got}")
    try:
        yield archive.described()
    finally:
        archive.stop()


@pytest.fixture(scope="session")
def orthanc_peer(orthanc: testing.Orthanc, pacs_data: Data) -> RealPeer:
    """`orthanc` in the description that both archives have."""
    from tests.pacs.peers.real import described

    return described(orthanc, pacs_data)


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def archive(request: pytest.FixtureRequest) -> RealPeer:
    """Each real archive in turn."""
    name = {"orthanc": "orthanc_peer"}.get(request.param, request.param)
    peer: RealPeer = request.getfixturevalue(name)
    return peer
