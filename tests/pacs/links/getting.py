"""What the tests of downloads share: files, archives of them, and downloads into an index of the test's own."""

from __future__ import annotations

import io
import socket
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slicer_notebook.dicom import Index
from slicer_notebook.links.hosts import Address, address_of
from slicer_notebook.links.policy import Policy
from slicer_notebook.pacs.dicomweb import network
from slicer_notebook.pacs.links.download import Downloaded, download_dicom
from slicer_notebook.pacs.links.fetching import Fetcher, Limits
from slicer_notebook.pacs.links.judging import Judge
from tests.dicom import make

#: Shorter waits than usual, and long enough for a machine that is busy.
QUICK = Limits(silence=20.0, connect=20.0)
#: For servers that say nothing.
IMPATIENT = Limits(silence=0.5, connect=20.0)


def files(folder: Path, count: int = 3) -> list[Path]:
    """A series of CT images."""
    make.write_series(folder, shape=(count, 8, 8))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def zipped(members: Mapping[str, bytes] | Iterable[Path], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive."""
    if not isinstance(members, Mapping):
        members = {str(path): path.read_bytes() for path in members}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class Getter:
    """Downloads into an index of its own.

    Attributes:
        told: what was told on the way.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "files"
        self.index = Index(folder / "index.sqlite3")
        self.told: list[tuple[int, int | None, str]] = []

    def __call__(self, url: str, *, limits: Limits = QUICK, policy: Policy | None = None, **how: Any) -> Downloaded:
        address = address_of(url)
        judge = Judge(policy or Policy(), address, **{"agreed": True, **how})
        with Fetcher(judge, limits, name=address.host) as fetcher:
            return download_dicom(fetcher, address, self.index, self.folder, lambda *told: self.told.append(told))

    @property
    def instances(self) -> int:
        """How many are in the index."""
        return sum(len(self.index.instances(series)) for series in self.index.series())

    def left_aside(self) -> list[Path]:
        """Files that are no instances."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".dcm"]


@contextmanager
def names(monkeypatch: Any, **hosts: list[str]) -> Iterator[list[str]]:
    """Have names stand for addresses, one list for each time that they are looked up; what was looked up."""
    real, asked = socket.getaddrinfo, []
    left = {name.replace("_", "."): list(addresses) for name, addresses in hosts.items()}

    def resolve(host: str, port: int, *args: Any, **options: Any) -> Any:
        if host not in left:
            return real(host, port, *args, **options)
        if options.get("flags") or (len(args) > 3 and args[3]):
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        asked.append(host)
        address = left[host].pop(0) if len(left[host]) > 1 else left[host][0]
        return real(address, port, *args, **options)

    monkeypatch.setattr(network.socket, "getaddrinfo", resolve)
    yield asked


def by_name(url: str, name: str) -> str:
    """A local server's URL with another name in it."""
    address: Address = address_of(url)
    return f"{address.scheme}://{name}:{address.port}{address.path}"
