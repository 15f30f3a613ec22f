"""Signing in at a PACS from a notebook: from Slicer's process and from this one, shown where somebody waits."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.pacs import prompts
from slicer_notebook.session import output
from slicer_notebook.session.job import Job
from slicer_notebook.session.output import Output
from slicer_notebook.testing import Orthanc
from tests.commands.conftest import servers  # noqa: F401 - a fixture
from tests.commands.hearing import DEADLINE
from tests.commands.transferring import Servers
from tests.pacs.dicomweb.signing import Door, behind


@pytest.fixture
def session(slicer: sn.Session, tmp_path: Path) -> Iterator[sn.Session]:
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "index.sqlite3")
    yield slicer
    slicer.call("pacs.stop_sign_in", server="door")
    slicer.transfers.cancel()
    for entry in slicer.transfers.entries():
        slicer.transfers.job(entry).exception(DEADLINE)
    slicer.transfers.clear()
    slicer.dicom.database = former


@pytest.fixture
def door(orthanc: Orthanc, servers: Servers) -> Iterator[Door]:  # noqa: F811 - the fixture
    with Door(behind(orthanc)) as running:
        servers.add(running.url, name="door", **running.settings)
        yield running


#: As ipykernel keeps it: the cell that the code of this context belongs to.
CELL = contextvars.ContextVar("CELL", default="the newest message's")


class Shown(list[Output]):
    """What somebody was shown, and in which cell; ``then`` is what they do about the first."""

    then: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []

    def append(self, what: Output) -> None:
        super().append(what)
        self.cells.append(CELL.get())
        if len(self) == 1 and self.then is not None:
            self.then()


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Somebody is there; what they are shown."""
    shown = Shown()
    monkeypatch.setattr(prompts, "person", lambda: prompts.on_terminal)
    monkeypatch.setattr(output, "show", shown.append)
    return shown


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "person", lambda: None)


@pytest.fixture(params=["slicer", "notebook"])
def run(request: pytest.FixtureRequest) -> Any:
    return request.param


def texts(shown: list[Output]) -> list[str]:
    return [each.content["data"]["text/plain"] for each in shown if "data" in each.content]


def test_the_cell_shows_where_to_sign_in_and_the_question_goes_on(
    session: sn.Session, door: Door, run: Any, somebody: Shown
) -> None:
    door.later()
    CELL.set("this cell")
    answers = session.pacs("door", run=run).find(PatientID="*").result(DEADLINE)
    assert answers
    first, last = texts(somebody)
    assert first.startswith(f"Sign in at door: open {door.root}/device?user_code=ABCD-0001, code ABCD-0001 (")
    assert last == "Signed in at door."
    assert [each.kind for each in somebody] == ["display_data", "update_display_data"]
    assert somebody.cells == ["this cell", "this cell"]
    assert not [secret for secret in door.secrets if secret in repr(somebody) + repr(answers.asked)]
    # The next question needs nobody.
    assert session.pacs("door", run=run).find(PatientID="*").result(DEADLINE)
    assert door.asked == 1


def test_a_no_is_an_error_in_words(session: sn.Session, door: Door, run: Any, somebody: list[Output]) -> None:
    door.later("denied")
    with pytest.raises(errors.PacsRefusedError, match="was denied") as error:
        session.pacs("door", run=run).find().result(DEADLINE)
    assert error.value.hint
    assert "was denied" in texts(somebody)[-1]
    door.later("expired", number=2)
    with pytest.raises(errors.PacsRefusedError, match="Nobody signed in"):
        session.pacs("door", run=run).find().result(DEADLINE)


def test_nobody_to_ask_is_an_error_at_once(session: sn.Session, door: Door, run: Any, nobody: None) -> None:
    pacs = session.pacs("door", run=run)
    for begin in (pacs.find, lambda: pacs.retrieve(study="1.2.3")):
        with pytest.raises(errors.PacsRefusedError, match="Somebody must sign in") as error:
            begin().result(DEADLINE)
        assert "slicer-notebook pacs sign-in door" in (error.value.hint or "")
    assert not pacs.test().result(DEADLINE).ok
    assert door.asked == 0


def test_a_job_that_is_cancelled_stops_asking(
    session: sn.Session, door: Door, run: Any, somebody: list[Output]
) -> None:
    job = session.pacs("door", run=run).find()
    seen = threading.Event()
    job.on_progress(lambda each: seen.set() if each.sign_in else None)
    assert job.sign_in or seen.wait(DEADLINE)
    assert job.sign_in["user_code"] == "ABCD-0001"
    job.cancel()
    with pytest.raises(errors.JobCancelledError):
        job.result(DEADLINE)
    assert job.sign_in == {}


def test_a_retrieval_waits_for_the_person(
    session: sn.Session, door: Door, run: Any, somebody: Shown, pacs_data: Any
) -> None:
    somebody.then = door.later
    study = pacs_data.study("thorax")
    transfer = session.pacs("door", run=run).retrieve(study=study.uid).result(60)
    assert transfer.complete
    assert texts(somebody)[0].startswith("Sign in at door")
    assert texts(somebody)[-1] == "Signed in at door."
    assert transfer.sign_in == {}


def test_all_notebooks_of_a_slicer_are_told(session: sn.Session, door: Door, somebody: list[Output]) -> None:
    events: list[dict[str, Any]] = []
    news = threading.Condition()

    def take(event: dict[str, Any]) -> None:
        with news:
            events.append(event)
            news.notify_all()

    def heard(*states: str) -> bool:
        with news:
            return news.wait_for(lambda: [each["state"] for each in events] == [*states], DEADLINE)

    subscription = session.on("sign_in", take)
    try:
        job = session.pacs("door").find()
        assert heard("waiting")
        assert session.call("pacs.sign_ins")[0]["user_code"] == events[0]["user_code"] == "ABCD-0001"
        session.call("pacs.stop_sign_in", server="door")
        assert heard("waiting", "failed")
        with pytest.raises(errors.PacsRefusedError, match="was cancelled"):
            job.result(DEADLINE)
        assert events[-1]["error"]["message"] == "Signing in at the PACS 'door' was cancelled."
        assert session.call("pacs.sign_ins") == []
        assert not [secret for secret in door.secrets if secret in repr(events)]
    finally:
        subscription.close()


ASKED = {"server": "web", "link": "https://a.example", "address": "https://a.example", "user_code": "A", "seconds": 9}


def test_who_only_looks_at_a_job_is_shown_no_card(somebody: list[Output]) -> None:
    job: Job[int] = Job("pacs.find", cancel=lambda: None)
    job.deliver_progress(-1.0, "Sign in", {"sign_in": ASKED})
    with pytest.raises(errors.DeadlineError):
        job.result(0)
    job.deliver(1, None)
    assert job.result() == 1
    assert somebody == []


def test_who_waits_already_is_shown_it_when_it_comes(somebody: list[Output]) -> None:
    job: Job[int] = Job("pacs.find", cancel=lambda: None)
    waiter = threading.Thread(target=job.exception, daemon=True)
    waiter.start()
    while not job._waiting:
        waiter.join(0.01)
    job.deliver_progress(-1.0, "Sign in", {"sign_in": ASKED})
    job.deliver_progress(-1.0, "Sign in", {"sign_in": ASKED})
    assert len(somebody) == 1
    job.deliver(None, errors.PacsRefusedError("Denied."))
    waiter.join(DEADLINE)
    assert texts(somebody)[-1] == "Denied."


@pytest.mark.parametrize("person", [True, False], ids=["JupyterLab", "nbconvert"])
def test_a_notebook_that_is_run_alone_has_nobody_before_it(person: bool) -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        printed: list[str] = []
        code = "from slicer_notebook.pacs import prompts; print(prompts.person() is not None)"
        client.execute_interactive(
            code,
            allow_stdin=person,
            timeout=DEADLINE,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
        assert "".join(printed).strip() == str(person)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
