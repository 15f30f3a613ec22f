"""What tests of links share: a real Orthanc behind a gate that wants a token, and addresses of it."""

from __future__ import annotations

from urllib.parse import quote

import httpx

from slicer_notebook import testing
from tests.pacs.dicomweb.faulty import Faulty, Reply, Request

TOKEN = "tok-3n_very.secret+value=0123456789"


class Gate(Faulty):
    """Hands requests on to an Orthanc, if they bring the token: as Bearer, or in the path (``/link/TOKEN``)."""

    def __init__(self, orthanc: testing.Orthanc, token: str = TOKEN) -> None:
        super().__init__(self._passed_on)
        self._orthanc = orthanc
        self._token = token
        self._client = httpx.Client(auth=(orthanc.user, orthanc.password), timeout=20)

    @property
    def root(self) -> str:
        """The DICOMweb root."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    @property
    def link_root(self) -> str:
        """The same, with the token in the path."""
        return f"http://127.0.0.1:{self.port}/dicom-web/link/{self._token}"

    def _passed_on(self, request: Request) -> Reply:
        target = request.target
        headers = {name.lower(): value for name, value in request.headers.items()}
        in_path = f"/dicom-web/link/{self._token}"
        if target.startswith(in_path):
            target = "/dicom-web" + target[len(in_path) :]
        elif headers.get("authorization") != f"Bearer {self._token}":
            return Reply(401)
        answer = self._client.get(
            f"http://127.0.0.1:{self._orthanc.http_port}{target}", headers={"Accept": headers.get("accept", "*/*")}
        )
        return Reply(answer.status_code, answer.content, {"Content-Type": answer.headers.get("content-type", "")})

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._client.close()


def study_link(study: str, root: str, token: str = "", **more: str) -> str:
    """``slicer://viewer/?studyUID=...``."""
    parameters = {"studyUID": study, "dicomweb_endpoint": root} | ({"access_token": token} if token else {}) | more
    return "slicer://viewer/?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
