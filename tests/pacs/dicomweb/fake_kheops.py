"""A small Kheops: albums, share tokens, viewer tokens and their exchange, in front of a real archive or of its own."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from urllib.error import HTTPError
from urllib.parse import unquote

from tests.pacs.dicomweb.faulty import Reply, Request, as_json, study_item

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
SHARE = "aBcDeFgHiJkLmNoPqRsT12"


class FakeKheops:
    """To be the handler of a `Faulty`; its root is ``{url}`` with ``/dicom-web`` for ``/api``.

    Args:
        takes: "bearer", "path" or "both".
        exchange: whether there is ``/token``.
        behind: root of a DICOMweb archive that answers what is allowed, and its headers.
        wado: its WADO-URI endpoint, if it has one.
    """

    def __init__(
        self, *, takes="both", exchange=True, behind: tuple[str, Mapping[str, str]] | None = None, wado: str = ""
    ) -> None:
        self.takes = takes
        self.exchange = exchange
        self.behind = behind
        self.wado = wado
        self.forms: list[list[tuple[str, str]]] = []
        #: viewer token -> study
        self.viewers: dict[str, str] = {}
        self.expires_in: int | None = 18000
        self.used: list[tuple[str, str]] = []  # how, which token

    def __call__(self, request: Request) -> Reply:
        path = request.path.removeprefix("/dicom-web")
        if path == "/token":
            return self._token(request)
        in_path = re.match(r"/link/([a-zA-Z0-9.+=_-]*)(/.*)", path)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        how, token, path = ("path", in_path[1], in_path[2]) if in_path else ("bearer", bearer, path)
        if self.takes not in (how, "both"):
            return Reply(401)
        if token != SHARE and token not in self.viewers:
            return Reply(401)
        study = re.match(r"/studies/([^/]+)", path)
        asked = unquote(study[1]) if study else request.query.get("studyUID")
        if token in self.viewers and self.viewers[token] != asked:
            return Reply(403)
        self.used.append((how, token))
        return self._answer(request, path)

    def _token(self, request: Request) -> Reply:
        if not self.exchange:
            return Reply(404)
        self.forms.append(request.form)
        names = [name for name, _ in request.form]
        form = dict(request.form)
        known = {
            "grant_type", "subject_token", "subject_token_type", "scope", "studyUID", "source_type", "source_id",
        }  # fmt: skip
        right = (
            request.method == "POST"
            and request.headers["content-type"] == "application/x-www-form-urlencoded"
            and len(names) == len(set(names))
            and set(names) <= known
            and form.get("grant_type") == GRANT
            and form.get("subject_token_type") == TOKEN_TYPE
            and "viewer" in form.get("scope", "").split()
            and form.get("source_type", "inbox") in ("album", "inbox")
            and (form.get("source_type") == "album") == ("source_id" in form)
            and form.get("studyUID")
        )
        if not right:
            return as_json({"error": "invalid_request"}, 400, "application/json")
        if form["subject_token"] != SHARE:
            return as_json({"error": "invalid_grant"}, 401, "application/json")
        viewer = f"viewer.token-{len(self.forms)}_{'x' * 30}"
        self.viewers[viewer] = form["studyUID"]
        answer = {"access_token": viewer, "token_type": "bearer", "expires_in": self.expires_in}
        return as_json({name: value for name, value in answer.items() if value is not None}, kind="application/json")

    def _answer(self, request: Request, path: str) -> Reply:
        query = request.target.partition("?")[2]
        if self.behind is not None:
            root, headers = self.behind
            target = (self.wado if self.wado and path == "/wado" else root + path) + (f"?{query}" if query else "")
            passed = {name: request.headers[name] for name in ("accept", "content-type") if name in request.headers}
            sent = urllib.request.Request(target, request.body or None, {**passed, **headers}, method=request.method)
            try:
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sent, timeout=20) as answer:
                    return Reply(answer.status, answer.read(), {"Content-Type": answer.headers["Content-Type"]})
            except HTTPError as exc:
                return Reply(exc.code)
        if request.query.get("offset"):
            return as_json([])
        return as_json([study_item(1)])
