"""Real archives in one description, so that one test runs against each: Orthanc, and dcmtk's dcmqrscp."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slicer_notebook.testing import Caged, Orthanc, free_port
from tests.pacs.peers.data import Data

#: Without it dcmtk's programs wait for acknowledgements in the middle of what they send.
_NO_DELAY = {"TCP_NODELAY": "1"}


@dataclass(frozen=True)
class RealPeer:
    """An archive that runs, and what a client has to know about it.

    Attributes:
        name: "orthanc" or "dcmqrscp".
        url: ``dimse://CALLED@127.0.0.1:port``.
        modalities: our AE titles that it knows -> port of 127.0.0.1 where it expects their storage SCP.
        web, wado: roots of DICOMweb and WADO-URI; empty where it has none.
        data: what is in it.
        prefix: put in front of a program's arguments, it runs inside the archive's network namespace.
    """

    name: str
    url: str
    aet: str
    port: int
    modalities: Mapping[str, int]
    data: Data
    web: str = ""
    wado: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    prefix: Sequence[str] = ()

    @property
    def calling(self) -> str:
        """The first of our AE titles."""
        return next(iter(self.modalities))


def described(orthanc: Orthanc, data: Data) -> RealPeer:
    """A running Orthanc that was given ``data``."""
    return RealPeer(
        "orthanc",
        orthanc.dimse_url,
        orthanc.aet,
        orthanc.dicom_port,
        orthanc.modalities,
        data,
        orthanc.dicomweb_url,
        orthanc.wado_url,
        orthanc.user,
        orthanc.password,
        orthanc.command_prefix,
    )


def dcmqrscp_program() -> str | None:
    """dcmqrscp, where it and storescu are installed."""
    return shutil.which("dcmqrscp") if shutil.which("storescu") is not None else None


class Dcmqrscp:
    """dcmtk's archive: C-FIND, C-GET, C-MOVE and C-STORE, with ``data`` in it; all but the compressed study, which it
    would store in a transfer syntax of its own choice only.

    Raises:
        NoNamespaceError: the kernel cannot shut it off from the network, whose interfaces it all binds.
    """

    def __init__(self, data: Data, *, modalities: Sequence[str] = ("SLICER",), options: Sequence[str] = ()) -> None:
        self.aet = "DCMQRSCP"
        self.data = data.without("packed")
        self.modalities = {name: free_port() for name in modalities}
        self._options = list(options)
        self._caged = Caged("dcmqrscp", ports=1, outward=list(self.modalities.values()))
        try:
            self._configure()
            self.start()
            self._fill()
        except BaseException:
            self.stop()
            raise

    def _configure(self) -> None:
        storage = self._caged.folder / "storage"
        storage.mkdir()
        hosts = [f"{name.lower()} = ({name}, 127.0.0.1, {port})" for name, port in self.modalities.items()]
        (self._caged.folder / "dcmqrscp.cfg").write_text(
            "\n".join(
                [
                    f"NetworkTCPPort = {self.port}",
                    "MaxPDUSize = 131072",
                    "MaxAssociations = 16",
                    "HostTable BEGIN",
                    *hosts,
                    "HostTable END",
                    "VendorTable BEGIN",
                    "VendorTable END",
                    "AETable BEGIN",
                    f"{self.aet} {storage} RW (1000, 1024mb) ANY",
                    "AETable END",
                    "",
                ]
            ),
            encoding="ascii",
        )

    def _fill(self) -> None:
        command = ["storescu", "-R", "+sd", "+r", "-aet", next(iter(self.modalities)), "-aec", self.aet]
        folders = [str(self.data.folder / key) for key in self.data.studies]
        done = subprocess.run(
            [*command, "127.0.0.1", str(self.port), *folders],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **_NO_DELAY},
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"storescu ended with {done.returncode}: {done.stderr}")

    @property
    def port(self) -> int:
        """Its port of 127.0.0.1."""
        return self._caged.ports[0]

    def start(self) -> None:
        """Start it, or start it again after `kill`, with what it has."""
        command = [str(dcmqrscp_program()), "-c", "dcmqrscp.cfg", *self._options]
        self._caged.start(command, environment=_NO_DELAY)

    def kill(self) -> None:
        """SIGKILL."""
        self._caged.end(grace=0)

    def stop(self) -> None:
        """End it; what it has is removed."""
        self._caged.close(grace=0)

    def described(self) -> RealPeer:
        """For tests that run against each archive."""
        url = f"dimse://{self.aet}@127.0.0.1:{self.port}"
        prefix = self._caged.command_prefix
        return RealPeer("dcmqrscp", url, self.aet, self.port, self.modalities, self.data, prefix=prefix)
