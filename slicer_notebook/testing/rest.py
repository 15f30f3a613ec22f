"""Orthanc's own REST interface, as far as tests need it: one request at a time, and uploading many files at once."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from slicer_notebook.errors import PacsAnswerError, PacsError, PacsUnreachableError, PathNotFoundError

__all__ = ["Rest", "Uploaded", "dicom_files"]

#: Connections at the same time; Orthanc writes its index one instance after the other.
_PARALLEL: Final = 4
#: Seconds for an answer.
_TIMEOUT: Final = 60.0


@dataclass
class Uploaded:
    """What became of uploaded files.

    Attributes:
        stored: new instances.
        known: instances that were there already; they are not overwritten.
        refused: file -> reason.
    """

    stored: list[Path] = field(default_factory=list)
    known: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)


def dicom_files(given: str | Path | Iterable[str | Path]) -> list[Path]:
    """All files of files and folders (with those below), in order.

    Raises:
        PathNotFoundError: one of them is not there.
    """
    found: list[Path] = []
    for path in [Path(given)] if isinstance(given, str | Path) else [Path(each) for each in given]:
        if path.is_dir():
            found.extend(sorted(each for each in path.rglob("*") if each.is_file()))
        elif path.is_file():
            found.append(path)
        else:
            raise PathNotFoundError("No such file or folder.", got=str(path))
    return found


class Rest:
    """Requests to ``http://127.0.0.1:port``, as a user; several threads may use it."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._port = port
        token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
        self._headers = {"Authorization": f"Basic {token}"}

    def get(self, path: str) -> Any:
        """The JSON answer of GET.

        Raises:
            PacsUnreachableError: nobody answers.
            PacsAnswerError: it answered with another status than 2xx.
        """
        return self.request("GET", path)

    def post(self, path: str, body: Any) -> Any:
        """The JSON answer of POST of ``body`` as JSON. Raises as `get`."""
        return self.request("POST", path, json.dumps(body).encode())

    def put(self, path: str, body: Any) -> Any:
        """The JSON answer of PUT of ``body`` as JSON. Raises as `get`."""
        return self.request("PUT", path, json.dumps(body).encode())

    def delete(self, path: str) -> Any:
        """The JSON answer of DELETE. Raises as `get`."""
        return self.request("DELETE", path)

    def request(self, method: str, path: str, body: bytes | None = None) -> Any:
        """One request; JSON as objects, everything else as bytes. Raises as `get`."""
        # Orthanc ends connections that are idle for a second: one for each request never meets that.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as exc:
            raise PacsUnreachableError("Orthanc does not answer.", got=str(exc) or type(exc).__name__) from exc
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            reason = _reason(data, response.reason)
            raise PacsAnswerError(f"Orthanc refused {method} {path}.", got=f"HTTP {response.status} {reason}")
        return json.loads(data) if data and "json" in (response.getheader("Content-Type") or "") else data

    def upload(self, files: Sequence[Path]) -> Uploaded:
        """POST each file to ``/instances``, some at a time.

        Raises:
            PacsUnreachableError: nobody answers any more.
        """
        result = Uploaded()
        parts = [files[start::_PARALLEL] for start in range(_PARALLEL)]
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="upload") as pool:
            for part in pool.map(self._upload_some, parts):
                result.stored += part.stored
                result.known += part.known
                result.refused |= part.refused
        return result

    def _upload_some(self, files: Sequence[Path]) -> Uploaded:
        result = Uploaded()
        for path in files:
            try:
                data = path.read_bytes()
            except OSError as exc:
                raise PacsError("A file cannot be read.", got=f"{path}: {exc.strerror}") from exc
            try:
                answer = self.request("POST", "/instances", data)
            except PacsAnswerError as exc:
                result.refused[path] = str(exc.got)
                continue
            (result.known if answer["Status"] == "AlreadyStored" else result.stored).append(path)
        return result


def _reason(data: bytes, otherwise: str) -> str:
    """What Orthanc says was wrong: JSON, which is not declared as such."""
    try:
        answer = json.loads(data)
        return str(answer.get("Details") or answer["Message"])
    except (ValueError, AttributeError, KeyError):
        return otherwise
