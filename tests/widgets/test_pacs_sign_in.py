"""The form of PACS where somebody is to sign in: what it shows, that the question goes on, no, cancel, once more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook.errors import PacsRefusedError
from slicer_notebook.session import Job
from slicer_notebook.testing import Orthanc
from slicer_notebook.widgets import JobProgress
from slicer_notebook.widgets.pacs_sign_in import SignIns
from tests.commands.conftest import servers  # noqa: F401 - a fixture
from tests.commands.transferring import Servers
from tests.pacs.dicomweb.signing import Door, behind
from tests.widgets.fake import Asked
from tests.widgets.waiting import Recorder

FORM = {"servers": ["door"], "name": "a"}


@pytest.fixture
def door(orthanc: Orthanc, servers: Servers) -> Iterator[Door]:  # noqa: F811 - the fixture
    with Door(behind(orthanc)) as running:
        servers.add(running.url, name="door", **running.settings)
        yield running


class View:
    """A form, and what its browser hears and says."""

    def __init__(self, slicer: sn.Session) -> None:
        self.form = sn.PacsQuery(slicer)
        self.heard = Recorder(self.form)
        self.form._sign_ins._tell = self.form.send

    def say(self, kind: str, **words: Any) -> None:
        self.form._handle_custom_msg({"type": kind, **words}, [])

    def asked(self, code: str) -> dict[str, Any]:
        """The card with that code; waits for it."""
        message = self.heard.wait(
            lambda each: each["type"] == "sign_in" and any(a["user_code"] == code for a in each["asked"])
        )
        found: dict[str, Any] = message["asked"][0]
        return found

    def ended(self, state: str) -> dict[str, Any]:
        """The state of the PACS, when its question has ended so; waits for it."""
        message = self.heard.wait(
            lambda each: each["type"] == "answers" and not each["going"] and each["servers"][0]["state"] == state
        )
        found: dict[str, Any] = message["servers"][0]
        return found

    def nothing_is_asked(self) -> None:
        """Wait until the card is away."""
        self.heard.wait(lambda _each: self.heard.of("sign_in")[-1:] == [{"type": "sign_in", "asked": []}])


@pytest.fixture
def view(slicer: sn.Session, door: Door, tmp_path: Path) -> Iterator[View]:
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "index.sqlite3")
    found = View(slicer)
    yield found
    slicer.call("pacs.stop_sign_in", server="door")
    found.form.close()
    slicer.dicom.database = former


def test_the_form_shows_where_to_sign_in_and_the_question_goes_on(view: View, door: Door) -> None:
    view.say("search", form=FORM)
    card = view.asked("ABCD-0001")
    assert (card["server"], card["link"]) == ("door", f"{door.root}/device?user_code=ABCD-0001")
    assert 0 < card["seconds"] <= 30
    assert view.form.answers == []
    door.answer()
    assert view.ended("done")["count"] == len(view.form.answers) > 0
    view.nothing_is_asked()
    told = repr(view.heard.messages)
    assert not [secret for secret in door.secrets if secret in told]


@pytest.mark.parametrize(
    ("state", "words"), [("denied", "was denied"), ("expired", "Nobody signed in at the PACS 'door' within 30 s.")]
)
def test_a_no_is_said_and_asking_once_more_shows_a_new_code(view: View, door: Door, state: str, words: str) -> None:
    view.say("search", form=FORM)
    view.asked("ABCD-0001")
    door.answer(state)
    failed = view.ended("failed")
    assert words in failed["error"]["message"]
    assert failed["error"]["hint"]
    assert words in view.form.errors["door"]["message"]
    view.nothing_is_asked()
    view.say("again", server="door")
    view.asked(list(codes(door, 2))[1])
    door.answer(number=2)
    view.ended("done")
    assert view.form.answers
    assert view.form.errors == {}
    view.say("again", server="door")  # there is nothing to ask once more
    assert door.asked == 2


def codes(door: Door, count: int) -> dict[str, str]:
    door.until(lambda: door.asked >= count, f"code {count}")
    return door.codes


def test_cancel(view: View, door: Door) -> None:
    view.say("search", form=FORM)
    view.asked("ABCD-0001")
    view.say("stop_sign_in", server="door")
    assert "was cancelled" in view.ended("failed")["error"]["message"]


def test_stopping_the_search_takes_the_card_away(view: View, door: Door) -> None:
    view.say("search", form=FORM)
    view.asked("ABCD-0001")
    view.say("stop")
    view.ended("stopped")
    view.heard.wait(
        lambda each: each["type"] == "sign_in" and each["asked"] == [] and len(view.heard.of("sign_in")) > 1
    )


def test_a_new_form_and_a_new_view_show_what_is_asked(view: View, slicer: sn.Session, door: Door) -> None:
    job = slicer.pacs("door")._session.submit("pacs.find", server="door")
    view.asked("ABCD-0001")
    other = View(slicer)
    other.say("hello")
    other.asked("ABCD-0001")
    other.form.close()
    job.cancel()


def test_the_doctor_of_the_form_waits_for_the_person(view: View, door: Door) -> None:
    view.say("doctor", what="examine", server="door")
    view.asked("ABCD-0001")
    door.answer()
    report = view.heard.wait(lambda each: each["type"] == "doctor" and each["state"] == "done")
    assert "Token (OAuth 2)" in [step["name"] for step in report["steps"]]


def test_the_time_that_is_left_runs_on_and_an_older_end_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []
    now = [100.0]
    monkeypatch.setattr("slicer_notebook.widgets.pacs_sign_in.time.monotonic", lambda: now[0])
    found = SignIns(Asked(), told.append)
    found.take({"id": 2, "server": "web", "state": "waiting", "seconds": 60.0})
    found.take({"id": 1, "server": "web", "state": "failed", "seconds": 0.0})
    now[0] += 45
    found.show_all()
    assert [each["seconds"] for each in told[-1]["asked"]] == [15.0]
    now[0] += 45
    found.show_all()
    assert [each["seconds"] for each in told[-1]["asked"]] == [0.0]
    found.take({"id": 2, "server": "web", "state": "done", "seconds": 0.0})
    assert told[-1]["asked"] == []
    found.take({"id": 3, "server": "web", "state": "waiting", "seconds": 60.0})
    found.lost()
    assert told[-1]["asked"] == []


def test_a_bar_shows_where_to_sign_in_though_it_has_just_shown_something_else() -> None:
    job: Job[int] = Job("pacs.test", cancel=lambda: None)
    bar = JobProgress(job)
    words = {
        "server": "web",
        "link": "https://a.example",
        "address": "https://a.example",
        "user_code": "A",
        "seconds": 9,
    }
    job.deliver_progress(-1.0, "Name and port", None)
    job.deliver_progress(-1.0, "Sign in at web", {"sign_in": words})
    assert bar._job["sign_in"] == words
    job.deliver(None, PacsRefusedError("Denied."))
    assert (bar._job["state"], bar._job["sign_in"]) == ("failed", {})
