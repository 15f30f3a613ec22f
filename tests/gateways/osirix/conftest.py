"""A Slicer that speaks OsiriX's XML-RPC, and its clients."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from tests.dicom import make
from tests.gateways.serving import SILENCE, parts

#: Seconds that something may take to be shown.
DEADLINE = 60.0


class Desk:
    """A RIS beside the Slicer: what it sends, and what comes.

    Attributes:
        rpc: Python's own client.
        folder: of the DICOM files.
    """

    def __init__(self, slicer: sn.Session, gateway: Any, folder: Path) -> None:
        self.slicer, self.gateway, self.folder = slicer, gateway, folder
        self.rpc = xmlrpc.client.ServerProxy(gateway.url)

    def raw(self, data: bytes | str) -> tuple[int, dict[str, str], bytes]:
        """Bytes to the socket; status, headers and body of what comes until the server hangs up."""
        with socket.create_connection((self.gateway.host, self.gateway.port), SILENCE) as sock:
            sock.sendall(data.encode() if isinstance(data, str) else data)
            answer = b""
            while more := sock.recv(65536):
                answer += more
        return parts(answer)

    def post(self, body: bytes | str, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """A body by POST."""
        data = body.encode() if isinstance(body, str) else body
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: {self.gateway.host}:{self.gateway.port}",
            f"Content-Length: {len(data)}",
        ]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return self.raw("\r\n".join([*head, "", ""]).encode() + data)

    def get(self, query: str, method: str = "GET") -> tuple[int, bytes]:
        """A query by GET."""
        asked = urllib.request.Request(f"{self.gateway.url}/{query}", method=method)
        try:
            with urllib.request.urlopen(asked, timeout=SILENCE) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read()

    def status(self, method: str, params: Any = None) -> int:
        """The HTTP status of a call; 200 where it was answered."""
        try:
            getattr(self.rpc, method)(*([] if params is None else [params]))
        except xmlrpc.client.ProtocolError as exc:
            return exc.errcode
        return 200

    def shown(self) -> list[str]:
        """Series that are shown."""
        return [each["seriesDICOMUID"] for each in self.rpc.GetDisplayed2DViewerSeries()["elements"]]

    def until_shown(self, *series: str) -> None:
        """Wait until just these are."""
        self.until(lambda: self.shown() == list(series), lambda: f"{series} is shown, not {self.shown()}")

    def until(self, condition: Callable[[], bool], what: str | Callable[[], str]) -> None:
        """Ask until it is so."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, what if isinstance(what, str) else what()

    def settle(self) -> None:
        """Wait until nothing is loaded any more."""
        self.slicer.dicom.queue.wait(timeout=DEADLINE)


STUDIES = {
    "1.2.9.1": {"PatientName": "DOE^JANE", "PatientID": "P&1", "AccessionNumber": "ACC7", "StudyID": "A100"},
    "1.2.9.2": {"PatientName": "Müller^Jörg", "PatientID": "P2", "AccessionNumber": "77", "StudyID": "B200"},
}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies: DOE's of series .1 and .2, Müller's of series .1."""
    folder = tmp_path_factory.mktemp("osirix")
    for study, series in (("1.2.9.1", 1), ("1.2.9.1", 2), ("1.2.9.2", 1)):
        make.write_series(
            folder / f"{study}.{series}",
            shape=(4, 6, 7),
            StudyInstanceUID=study,
            SeriesInstanceUID=f"{study}.{series}",
            SeriesNumber=series,
            SeriesDescription=f"Axial <{series}>",
            StudyDescription="Chest & Abdomen",
            StudyDate="20100512",
            StudyTime="142211",
            **STUDIES[study],
        )
    return folder


@pytest.fixture
def desk_with(slicer: sn.Session, files: Path, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes desks; arguments as of ``slicer.gateways.start``."""
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "dicom.sqlite3")
    slicer.dicom.index(files).result(DEADLINE)

    def make_one(**how: Any) -> Desk:
        return Desk(slicer, slicer.gateways.start("osirix", port=0, **how), files)

    yield make_one
    slicer.gateways.stop()
    slicer.call("loads.cancel")
    slicer.dicom.queue.wait(timeout=DEADLINE)
    slicer.dicom.queue.clear()
    slicer.dicom.database = former


@pytest.fixture
def desk(desk_with: Callable[..., Desk]) -> Desk:
    """With everything as it is by default."""
    return desk_with()
