"""A real PACS to try things on: Orthanc, started for as long as it is needed, with data of one's own."""

from __future__ import annotations

import json
import secrets
import shutil
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from slicer_notebook.errors import ArgumentError, DeadlineError, PacsAnswerError, PacsError, PacsUnreachableError
from slicer_notebook.testing.caged import Caged, NoNamespaceError, free_port
from slicer_notebook.testing.rest import Rest, Uploaded, dicom_files

__all__ = ["Orthanc", "orthanc", "orthanc_program"]

_PROGRAMS: Final = ("Orthanc", "/usr/sbin/Orthanc", "/usr/local/sbin/Orthanc")
_PLUGINS: Final = (
    "/usr/share/orthanc/plugins/libOrthancDicomWeb.so",
    "/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so",
)
#: Bytes; the most that DICOM networks use (PS3.8 D.1 sets no limit, DCMTK does).
_PDU: Final = 131072
Files = str | Path | Iterable[str | Path]


def orthanc_program() -> str | None:
    """Path of Orthanc, or None where it or its DICOMweb plugin is not installed."""
    found = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    return found if _plugin() is not None else None


def _plugin() -> str | None:
    return next((path for path in _PLUGINS if Path(path).exists()), None)


class Orthanc:
    """A running Orthanc; see `orthanc`, which makes it.

    Attributes:
        aet: its AE title.
        http_port, dicom_port: of 127.0.0.1.
        inner_http_port, inner_dicom_port: where it listens inside its namespace, for programs started with
            ``command_prefix``.
        user, password: of HTTP Basic authentication, which it asks for.
        modalities: AE titles that it knows -> port of 127.0.0.1 where it expects their storage SCP for C-MOVE.
        uploaded: what became of the files it was started with.
    """

    def __init__(
        self,
        files: Files | None = None,
        *,
        calling: Mapping[str, int] | None = None,
        calling_inside: Mapping[str, int] | None = None,
        users: Mapping[str, str] | None = None,
        aet: str = "TESTPACS",
        transcoding: bool = True,
        http_compression: bool = False,
        namespace: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        verbose: bool = False,
        timeout: float = 30.0,
    ) -> None:
        self._files = dicom_files(files) if files is not None else []
        self.aet = aet
        users = dict(users) if users else {"notebook": secrets.token_urlsafe(12)}
        self.user, self.password = next(iter(users.items()))
        outside = dict(calling) if calling is not None else {"SLICER": 0}
        asked = {**outside, **(calling_inside or {})}
        given = {port for port in asked.values() if port}
        self.modalities = {name: port or free_port(besides=given) for name, port in asked.items()}
        self._outward = [self.modalities[name] for name in outside]
        self.uploaded = Uploaded()
        self._timeout = timeout
        self._verbose = verbose
        self._namespace = namespace
        self._settings = self._common_settings(users, transcoding, http_compression) | dict(settings or {})
        self._caged: Caged | None = None
        self._last_log = ""

    def _common_settings(self, users: Mapping[str, str], transcoding: bool, http_compression: bool) -> dict[str, Any]:
        allowed = {f"Allow{what}": True for what in ("Echo", "Find", "Get", "Move", "Store", "StorageCommitment")}
        return {
            "Name": self.aet,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": dict(users),
            "HttpCompressionEnabled": http_compression,
            "DicomAet": self.aet,
            "DicomCheckCalledAet": True,
            "DicomCheckModalityHost": True,  # right with the relay, too: it connects from 127.0.0.1
            "StrictAetComparison": True,
            "DicomAlwaysAllowEcho": False,
            "DicomAlwaysAllowStore": False,
            "DicomModalities": {
                name: {"AET": name, "Host": "127.0.0.1", "Port": port, "AllowTranscoding": transcoding, **allowed}
                for name, port in self.modalities.items()
            },
            "UnknownSopClassAccepted": True,
            "TranscodeDicomProtocol": transcoding,
            "MaximumPduLength": _PDU,
            "SynchronousCMove": True,
            "OverwriteInstances": False,
            "SaveJobs": False,
            "StableAge": 1,
            "DefaultEncoding": "Utf8",  # in which it answers C-FIND: Latin 1 would leave out what it does not have
            "SyncStorageArea": False,  # no fsync for what is thrown away anyway
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True, "WadoRoot": "/wado"},
        }

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> Orthanc:
        """Start it, or start it again after `kill` on the same storage; returns itself.

        Raises:
            PacsError: it is not installed, or it ended when it was started.
            DeadlineError: it does not answer in time.
        """
        program, plugin = orthanc_program(), _plugin()
        if program is None or plugin is None:
            raise PacsError(
                "Orthanc is not installed.",
                expected="the program Orthanc and its DICOMweb plugin",
                hint="on Debian and Ubuntu: sudo apt-get install orthanc orthanc-dicomweb",
            )
        first = self._caged is None
        caged = self._caged if self._caged is not None else self._cage()
        try:
            if first:
                self._write_settings(caged, plugin)
            log = ["--verbose"] if self._verbose else []
            # It must not wait for acknowledgements before it sends a last small packet, as DCMTK does by default.
            caged.start([program, *log, "settings.json"], environment={"TCP_NODELAY": "1"}, timeout=self._timeout)
            self._wait_for_http()
            if first and self._files:
                self.uploaded = self.upload(self._files)
        except BaseException:
            self.stop()
            raise
        return self

    def _cage(self) -> Caged:
        try:
            self._caged = Caged("orthanc", ports=2, outward=self._outward, namespace=self._namespace is not False)
        except NoNamespaceError as exc:
            if self._namespace:
                raise
            self._caged = Caged("orthanc", ports=2, outward=self._outward, namespace=False)
            self._warn(f" ({exc.got})")
        else:
            if self._namespace is False:
                self._warn("")
        return self._caged

    @staticmethod
    def _warn(reason: str) -> None:
        warnings.warn(
            f"Orthanc runs without a network namespace{reason}: its two ports listen on all interfaces. It serves HTTP "
            "requests of this machine with its password only, and DICOM peers of this machine only.",
            RuntimeWarning,
            stacklevel=5,
        )

    def _write_settings(self, caged: Caged, plugin: str) -> None:
        http, dicom = caged.ports
        storage = caged.folder / "storage"
        settings = {
            "StorageDirectory": str(storage),
            "IndexDirectory": str(storage),
            "Plugins": [plugin],
            "HttpPort": http,
            "DicomPort": dicom,
            **self._settings,
        }
        # The folder is readable for its owner only: the passwords are in here.
        (caged.folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")

    def _wait_for_http(self) -> None:
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self.rest.get("/system")
                return
            except PacsUnreachableError as exc:
                if time.monotonic() > deadline or not self.running:
                    raise DeadlineError(
                        f"Orthanc did not answer within {self._timeout:g} s.", got=str(exc.got)
                    ) from exc
                time.sleep(0.02)

    def stop(self, grace: float = 0.0) -> None:
        """End it and remove its storage; a second time does nothing.

        Args:
            grace: seconds that it has to end by itself (it takes about four). At once by default: what an orderly end
                would save is thrown away.
        """
        if self._caged is not None:
            caged, self._caged = self._caged, None
            caged.close(grace)
            self._last_log = caged.log

    def kill(self) -> None:
        """End it at once (SIGKILL); its storage stays, and `start` starts it again on the same ports."""
        self._running_cage().end(grace=0)

    def restart(self, grace: float = 10.0) -> None:
        """End it if it runs and start it again, with the same storage, on the same ports; it has ``grace`` s to end."""
        self._running_cage().end(grace)
        self.start()

    def __enter__(self) -> Orthanc:
        return self if self.running else self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _running_cage(self) -> Caged:
        if self._caged is None:
            raise PacsError("This Orthanc was not started, or it was stopped.", hint="start() starts it")
        return self._caged

    # -- what it is ---------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._caged is not None and self._caged.running

    @property
    def pid(self) -> int | None:
        """Its process; None when it does not run."""
        return self._caged.pid if self.running and self._caged is not None else None

    @property
    def http_port(self) -> int:
        """Port of HTTP, on 127.0.0.1."""
        return self._running_cage().ports[0]

    @property
    def dicom_port(self) -> int:
        """Port of DIMSE, on 127.0.0.1."""
        return self._running_cage().ports[1]

    inner_http_port = http_port
    inner_dicom_port = dicom_port

    @property
    def command_prefix(self) -> list[str]:
        """What to put in front of a program's arguments to run it in the same namespace; empty without one."""
        return list(self._running_cage().command_prefix)

    @property
    def http_url(self) -> str:
        """Root of Orthanc's own REST interface."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb_url(self) -> str:
        """Root of DICOMweb: QIDO-RS, WADO-RS, STOW-RS."""
        return f"{self.http_url}/dicom-web"

    @property
    def wado_url(self) -> str:
        """WADO-URI."""
        return f"{self.http_url}/wado"

    @property
    def dimse_url(self) -> str:
        """Address for C-FIND, C-GET, C-MOVE and C-STORE."""
        return f"dimse://{self.aet}@127.0.0.1:{self.dicom_port}"

    @property
    def log(self) -> str:
        """What it has printed so far, also after `stop`."""
        return self._caged.log if self._caged is not None else self._last_log

    @property
    def rest(self) -> Rest:
        """Orthanc's own REST interface, for what a test wants to know or set."""
        return Rest(self.http_port, self.user, self.password)

    def counts(self) -> dict[str, int]:
        """How many ``patients``, ``studies``, ``series`` and ``instances`` it has."""
        found = self.rest.get("/statistics")
        return {
            name: int(found[f"Count{name.capitalize()}"]) for name in ("patients", "studies", "series", "instances")
        }

    def upload(self, files: Files | Sequence[Path]) -> Uploaded:
        """Give it DICOM files, or all files in folders, by HTTP; several at a time.

        What it refuses is in the answer's ``refused``, and in a warning.

        Raises:
            PathNotFoundError: no such file or folder.
            PacsAnswerError: it refused everything.
        """
        uploaded = self.rest.upload(dicom_files(files))
        if uploaded.refused:
            reasons = sorted(set(uploaded.refused.values()))
            if not uploaded.stored and not uploaded.known:
                raise PacsAnswerError(
                    f"Orthanc took none of {len(uploaded.refused)} files.",
                    expected="DICOM files",
                    got="; ".join(reasons),
                )
            warnings.warn(
                f"Orthanc refused {len(uploaded.refused)} files ({'; '.join(reasons)}): see uploaded.refused.",
                RuntimeWarning,
                stacklevel=2,
            )
        return uploaded

    def __repr__(self) -> str:
        state = f"{self.dimse_url}, {self.dicomweb_url}" if self._caged is not None else "stopped"
        return f"<Orthanc {state}>"


def orthanc(
    files: Files | None = None,
    *,
    calling: Mapping[str, int] | None = None,
    calling_inside: Mapping[str, int] | None = None,
    users: Mapping[str, str] | None = None,
    aet: str = "TESTPACS",
    transcoding: bool = True,
    http_compression: bool = False,
    namespace: bool | None = None,
    settings: Mapping[str, Any] | None = None,
    verbose: bool = False,
    timeout: float = 30.0,
) -> Orthanc:
    """Start an Orthanc (Debian's packages orthanc and orthanc-dicomweb) on free ports of 127.0.0.1, with DICOMweb.

    It has a storage of its own, which is gone with it: at the end of ``with``, by ``stop()``, or when this Python ends,
    however that ends. Orthanc binds all interfaces; a network namespace keeps it off the network.

    Args:
        files: DICOM files and folders to fill it with.
        calling: AE titles that may call it -> port of 127.0.0.1 where their storage SCP listens for C-MOVE (0: a free
            one, see ``modalities``); ``{"SLICER": 0}`` by default. Others are rejected.
        calling_inside: the same for programs that are started with ``command_prefix``, inside its namespace.
        users: HTTP user -> password; one with a random password by default.
        aet: its own AE title, which callers must use.
        transcoding: False: compressed instances are sent only to who accepts their transfer syntax.
        http_compression: True: answers are compressed for who accepts gzip, as Orthanc does by default.
        namespace: True: only in a network namespace; False: without one; None: where the kernel allows it.
        settings: further settings of Orthanc's configuration file.
        verbose: its log names every request; the log then has patient data in it.
        timeout: seconds until it must answer.

    Returns:
        The running `Orthanc`.

    Raises:
        PacsError: it is not installed, or did not start.
        PathNotFoundError: no such file or folder.
        PacsAnswerError: it took none of the files.
        DeadlineError: it did not answer in time.
        ArgumentError: what it should be called is no AE title.
    """
    from slicer_notebook.pacs.server import AE_TITLE

    for title in (aet, *(calling or {}), *(calling_inside or {})):
        if not AE_TITLE.fullmatch(title):
            raise ArgumentError("That is no AE title.", expected="1 to 16 characters, no backslash", got=repr(title))
    return Orthanc(
        files,
        calling=calling,
        calling_inside=calling_inside,
        users=users,
        aet=aet,
        transcoding=transcoding,
        http_compression=http_compression,
        namespace=namespace,
        settings=settings,
        verbose=verbose,
        timeout=timeout,
    ).start()
