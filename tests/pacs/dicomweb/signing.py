"""A little authorisation server for device codes (RFC 8628), and an archive behind it that takes its newest token.

It listens on the loopback address. The page that its address leads to has the code and two buttons, for a browser.
"""

from __future__ import annotations

import base64
import html
import http.client
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from slicer_notebook import testing
from tests.pacs.dicomweb.faulty import Faulty, Handler, Reply, Request, as_json

__all__ = ["DEADLINE", "Door", "behind"]

#: Seconds until a test gives up.
DEADLINE = 20.0

_PAGE = """<!doctype html><html lang="en"><title>Sign in</title><h1>Sign in</h1><form method="post" action="/answer">
<label>Code <input name="user_code" value="{code}"></label>
<button name="answer" value="approved">Allow</button><button name="answer" value="denied">Deny</button></form></html>"""


def behind(orthanc: testing.Orthanc) -> Handler:
    """What asks a real archive."""
    secret = base64.b64encode(f"{orthanc.user}:{orthanc.password}".encode()).decode()

    def handler(request: Request) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", orthanc.http_port, timeout=DEADLINE)
        headers = {"Authorization": f"Basic {secret}"}
        headers |= {name: request.headers[name] for name in ("accept", "content-type") if name in request.headers}
        connection.request(request.method, request.target, body=request.body or None, headers=headers)
        answer = connection.getresponse()
        kind = {"Content-Type": answer.headers["Content-Type"]} if answer.headers["Content-Type"] else {}
        found = Reply(answer.status, answer.read(), kind)
        connection.close()
        return found

    return handler


class Door:
    """The server: ``with Door(archive) as door: door.url``.

    Args:
        archive: answers requests that have the newest token.
        interval, seconds: what a code is given with.
        refreshes: whether tokens can be renewed.

    Attributes:
        codes: user code -> "pending", "approved", "denied" or "expired".
        forms: all that was sent to it, with the moment; ``asked``: how often a code was asked for.
        slow_down: how many polls are answered so.
        open: while it is not set, whoever asks for a code waits.
    """

    def __init__(
        self, archive: Handler, *, interval: float = 0.05, seconds: float = 30.0, refreshes: bool = True
    ) -> None:
        self.archive = archive
        self.interval, self.seconds, self.refreshes = interval, seconds, refreshes
        self.codes: dict[str, str] = {}
        self.asked = 0
        self.forms: list[dict[str, str]] = []
        self.times: list[float] = []
        self.slow_down = 0
        self.open = threading.Event()
        self.open.set()
        #: answers to the next polls, instead of what is true
        self.next: list[Reply] = []
        self.valid = ""
        self.refresh = ""
        self._device: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self.server = Faulty(self._handle)

    def __enter__(self) -> Door:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of a PACS that is signed in at here."""
        return {
            "auth": "device_code",
            "device_url": f"{self.root}/oauth/device",
            "token_url": f"{self.root}/oauth/token",
            "client_id": "notebook",
        }

    @property
    def secrets(self) -> list[str]:
        """What must be nowhere: all tokens and device codes that there have been."""
        with self._changed:
            issued = range(1, next(self._numbers))
            return [f"{kind}-s3cret-{number}" for number in issued for kind in ("access", "refresh", "device")]

    # -- what a person does ------------------------------------------------------------------------------------------

    def answer(self, state: str = "approved", number: int = 1) -> None:
        """Answer the code of that number, as soon as it was asked for."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.asked >= number, DEADLINE), "nobody asked for a code"
            self.codes[list(self.codes)[number - 1]] = state

    def later(self, state: str = "approved", number: int = 1) -> threading.Thread:
        """The same from a thread."""
        thread = threading.Thread(target=self.answer, args=(state, number), daemon=True)
        thread.start()
        return thread

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until something is true of what was asked here."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE), what

    def grants(self) -> list[str]:
        """Kinds of the forms that were sent for tokens: "device", "device_code", "refresh_token"."""
        return [form.get("grant_type", "device").rpartition(":")[2] for form in self.forms]

    # -- what it answers ---------------------------------------------------------------------------------------------

    def _handle(self, request: Request) -> Reply:
        if request.path == "/device":
            code = parse_qs(urlsplit(request.target).query).get("user_code", [""])[0]
            return Reply(200, _PAGE.format(code=html.escape(code)).encode(), {"Content-Type": "text/html"})
        if request.path == "/answer":
            form = dict(request.form)
            with self._changed:
                if form["user_code"] in self.codes:
                    self.codes[form["user_code"]] = form["answer"]
            return Reply(200, b"<!doctype html><title>Done</title>Done", {"Content-Type": "text/html"})
        if request.path.startswith("/oauth/"):
            with self._changed:
                self.forms.append(dict(request.form))
                self.times.append(time.monotonic())
                self._changed.notify_all()
            assert self.open.wait(DEADLINE), "nobody has opened the door"
            with self._changed:
                return self._device_code() if request.path == "/oauth/device" else self._token(dict(request.form))
        if not self.valid or request.headers.get("authorization") != f"Bearer {self.valid}":
            return Reply(401)
        return self.archive(request)

    def _device_code(self) -> Reply:
        self.asked += 1
        number = next(self._numbers)
        code, device = f"ABCD-{number:04}", f"device-s3cret-{number}"
        self.codes[code], self._device[device] = "pending", code
        self._changed.notify_all()
        words = {
            "device_code": device,
            "user_code": code,
            "verification_uri": f"{self.root}/device",
            "verification_uri_complete": f"{self.root}/device?user_code={code}",
            "interval": self.interval,
            "expires_in": self.seconds,
        }
        return as_json(words, kind="application/json")

    def _token(self, form: dict[str, str]) -> Reply:
        if self.next:
            return self.next.pop(0)
        if form["grant_type"] == "refresh_token":
            return self._issued() if form["refresh_token"] == self.refresh else _no("invalid_grant")
        if self.slow_down:
            self.slow_down -= 1
            return _no("slow_down")
        state = self.codes.get(self._device.get(form["device_code"], ""), "expired")
        if state == "approved":
            return self._issued()
        return _no({"pending": "authorization_pending", "denied": "access_denied", "expired": "expired_token"}[state])

    def _issued(self) -> Reply:
        number = next(self._numbers)
        self.valid = f"access-s3cret-{number}"
        self.refresh = f"refresh-s3cret-{number}" if self.refreshes else ""
        more = {"refresh_token": self.refresh} if self.refreshes else {}
        words = {"access_token": self.valid, "token_type": "Bearer", "expires_in": 3600, **more}
        return as_json(words, kind="application/json")


def _no(error: str) -> Reply:
    return as_json({"error": error, "error_description": "s3cret words"}, 400, "application/json")
