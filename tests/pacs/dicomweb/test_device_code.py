"""Signing in by a code (RFC 8628): shown to a person, waited for, renewed without them, kept where a keyring is."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.errors import (
    ArgumentError,
    JobCancelledError,
    PacsAnswerError,
    PacsError,
    PacsRefusedError,
    error_in_words,
)
from slicer_notebook.pacs import config, named, prompts, signing
from slicer_notebook.pacs.dicomweb import auth
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.named import test as examine  # not collected under this name
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.server import Server
from slicer_notebook.pacs.signing import DeviceCode
from slicer_notebook.testing import Orthanc, free_port
from tests.pacs.dicomweb.faulty import Reply, as_json
from tests.pacs.dicomweb.signing import DEADLINE, Door, behind
from tests.pacs.dicomweb.test_client import found
from tests.pacs.dicomweb.tools import source_for
from tests.pacs.keyrings import kinds, registered


@pytest.fixture
def door() -> Iterator[Door]:
    with Door(found) as running:
        yield running


@pytest.fixture
def ring() -> Iterator[Any]:
    with registered(kinds()["Memory"]()) as backend:
        yield backend


class Person:
    """Is shown codes, and remembers how that ended."""

    def __init__(self) -> None:
        self.codes: list[DeviceCode] = []
        self.ends: list[BaseException | None] = []

    def __call__(self, code: DeviceCode) -> Any:
        self.codes.append(code)
        return self.ends.append


def ask(source: Any, cancelled: Any = lambda: False) -> list[Any]:
    return list(source.find(build_query("STUDY", {}), cancelled))


def source_of(door: Door, prompt: Any = None, **options: Any) -> Any:
    return source_for(door.url, prompt=prompt, **door.settings, **options)


def refused(source: Any) -> PacsRefusedError:
    with pytest.raises(PacsRefusedError) as error:
        ask(source)
    return error.value


# -- the flow ---------------------------------------------------------------------------------------------------------


def test_a_person_signs_in_and_the_question_goes_on(door: Door) -> None:
    person, saved = Person(), []
    source = source_of(door, person, saved=saved.append)
    door.later()
    assert len(ask(source)) == 1
    (code,) = person.codes
    assert (code.server, code.user_code, code.address) == ("web", "ABCD-0001", f"{door.root}/device")
    assert code.link == f"{door.root}/device?user_code=ABCD-0001"
    assert code.seconds == 30
    assert person.ends == [None]
    assert saved == [door.refresh]
    assert len(ask(source)) == 1
    assert door.asked == 1


def test_all_of_a_process_share_a_token(door: Door) -> None:
    door.later()
    ask(source_of(door, Person()))
    assert len(ask(source_of(door))) == 1  # nobody is asked again
    assert door.asked == 1


def test_who_asks_meanwhile_is_shown_the_same_code(door: Door) -> None:
    persons = [Person(), Person()]
    results: list[int] = []
    threads = [threading.Thread(target=lambda p=p: results.append(len(ask(source_of(door, p))))) for p in persons]
    threads[0].start()
    door.until(lambda: door.asked == 1, "the code")
    threads[1].start()
    until(lambda: persons[1].codes, "the code is shown to the second one")
    door.answer()
    for thread in threads:
        thread.join(DEADLINE)
    assert results == [1, 1]
    assert persons[0].codes == persons[1].codes
    assert door.asked == 1


def test_who_stops_waiting_leaves_the_others_their_code(door: Door) -> None:
    first, second = Person(), Person()
    gone = threading.Event()
    outcome: list[Any] = []

    def leave() -> None:
        with pytest.raises(JobCancelledError):
            ask(source_of(door, first), gone.is_set)
        outcome.append("left")

    leaving = threading.Thread(target=leave)
    leaving.start()
    until(lambda: first.codes, "the code")
    staying = threading.Thread(target=lambda: outcome.append(len(ask(source_of(door, second)))))
    staying.start()
    until(lambda: second.codes, "the same code")
    gone.set()
    leaving.join(DEADLINE)
    assert outcome == ["left"]
    assert isinstance(first.ends[0], JobCancelledError)
    door.answer()
    staying.join(DEADLINE)
    assert outcome == ["left", 1]
    assert door.asked == 1


def test_when_all_have_left_nothing_is_asked_any_more(door: Door) -> None:
    person, gone = Person(), threading.Event()
    threading.Thread(target=lambda: (until(lambda: person.codes, "the code"), gone.set()), daemon=True).start()
    began = time.monotonic()
    with pytest.raises(JobCancelledError):
        ask(source_of(door, person), gone.is_set)
    assert time.monotonic() - began < 5
    until(lambda: not signing.going(), "the end")


@pytest.mark.parametrize(
    ("state", "message", "hint"),
    [
        ("denied", "Signing in at the PACS 'web' was denied.", "said no"),
        ("expired", "Nobody signed in at the PACS 'web' within 30 s.", "new code"),
    ],
)
def test_a_no_is_said_in_words_and_the_next_time_there_is_a_new_code(
    door: Door, state: str, message: str, hint: str
) -> None:
    person = Person()
    source = source_of(door, person)
    door.later(state)
    error = refused(source)
    assert error.message == message
    assert hint in (error.hint or "")
    assert error.details["sign_in"] == state
    assert person.ends[0] is not None
    # The further requests of a retrieval do not ask again...
    assert refused(source).message == message
    assert door.asked == 1
    # ...but the next thing that a person asks for does.
    source.ask_anew()
    door.later(number=2)
    assert len(ask(source)) == 1


def test_a_code_is_waited_for_as_long_as_it_is_good(door: Door) -> None:
    door.seconds = 0.4
    began = time.monotonic()
    error = refused(source_of(door, Person()))
    assert time.monotonic() - began < 5
    assert "within 0.4 s" in error.message


def test_slow_down_means_five_seconds_more(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(auth, "_wait", lambda seconds, _cancelled: waits.append(seconds))
    door.slow_down = 2
    door.codes["ABCD-0001"] = "pending"
    monkeypatch.setattr(door, "_device_code", approved_at_once(door))
    assert len(ask(source_of(door, Person()))) == 1
    assert waits == [pytest.approx(0.05), pytest.approx(5.05), pytest.approx(10.05)]  # RFC 8628 3.5


def approved_at_once(door: Door) -> Any:
    given = door._device_code

    def give() -> Reply:
        reply = given()
        door.codes[list(door.codes)[-1]] = "approved"
        return reply

    return give


def test_a_line_that_breaks_while_a_person_is_at_it(door: Door) -> None:
    door.next = [Reply(then="reset", raw=b""), Reply(then="reset", raw=b"")]
    door.later()
    assert len(ask(source_of(door, Person()))) == 1
    assert door.asked == 1


def test_a_token_that_is_refused_is_renewed_without_a_person(door: Door) -> None:
    person = Person()
    source = source_of(door, person)
    door.later()
    ask(source)
    door.valid = "revoked"
    assert len(ask(source)) == 1
    assert len(person.codes) == 1
    assert door.grants()[-1] == "refresh_token"
    door.valid, door.refresh = "revoked", "revoked, too"
    door.later(number=2)
    assert len(ask(source)) == 1
    assert len(person.codes) == 2


def test_a_sign_in_that_a_person_does_not_want(door: Door) -> None:
    person = Person()
    threading.Thread(target=lambda: (until(lambda: person.codes, "the code"), signing.stop("web")), daemon=True).start()
    error = refused(source_of(door, person))
    assert error.message == "Signing in at the PACS 'web' was cancelled."
    assert error.details["sign_in"] == "cancelled"


def test_nobody_is_there(door: Door) -> None:
    began = time.monotonic()
    error = refused(source_of(door))
    assert time.monotonic() - began < 5
    assert error.message == "Somebody must sign in at the PACS 'web'."
    assert "slicer-notebook pacs sign-in web" in (error.hint or "")
    assert door.forms == []


@pytest.mark.parametrize(
    "answer",
    [
        {"user_code": "A", "verification_uri": "https://go.example"},
        {"device_code": "d", "verification_uri": "https://go.example"},
        {"device_code": "d", "user_code": "A", "verification_uri": "javascript:alert(1)"},
        {"device_code": "d", "user_code": "A", "verification_uri": 'https://x/"onclick="y'},
        {"device_code": "d", "user_code": "\x1b\x07", "verification_uri": "https://go.example"},
    ],
)
def test_answers_that_nobody_is_shown(door: Door, monkeypatch: pytest.MonkeyPatch, answer: dict[str, str]) -> None:
    monkeypatch.setattr(door, "_device_code", lambda: as_json(answer, kind="application/json"))
    person = Person()
    error = refused(source_of(door, person))
    assert "gives no token" in error.message
    assert "device_url" in (error.hint or "")
    assert person.codes == []


def test_what_is_shown_does_nothing_to_a_terminal_or_a_page(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {
        "device_code": "d", "user_code": "<b>\x1b[2J1</b>", "verification_uri": "https://go.example/a&b",
        "verification_uri_complete": "javascript:alert(1)", "interval": 0.05,
    }  # fmt: skip
    monkeypatch.setattr(door, "_device_code", lambda: as_json(answer, kind="application/json"))
    person = Person()
    with pytest.raises(PacsRefusedError):
        ask(source_of(door, person))
    (code,) = person.codes
    assert code.user_code == "<b>[2J1</b>"
    assert code.link == "https://go.example/a&b"
    page = card_of(code)[0]["text/html"]
    assert "<b>[" not in page
    assert "https://go.example/a&amp;b" in page


def test_no_secret_is_shown_logged_or_told(
    door: Door, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], ring: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    news: list[dict[str, Any]] = []
    signing.watch(news.append)
    try:
        pacs = pacs_of(door, prompt=prompts.on_terminal)
        door.later("denied")
        with pytest.raises(PacsRefusedError) as error:
            pacs.find().records()
        door.later(number=2)
        assert len(pacs.find().records()) == 1
    finally:
        signing.unwatch(news.append)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "ABCD-0001" in printed.err
    assert "Signed in" in printed.err
    (source,) = pacs.sources()
    keeper = source._oauth_keeper
    shown = [
        printed.err, caplog.text, json.dumps(news), repr(error.value), str(error_in_words(error.value)),
        repr(pacs), repr(source), repr(keeper), repr(keeper._account), repr(keeper._account.token), repr(vars(keeper)),
    ]  # fmt: skip
    for secret in [*door.secrets, "s3cret words"]:
        assert not [text for text in shown if secret in text], secret


# -- who is asked -----------------------------------------------------------------------------------------------------


def test_on_a_terminal_somebody_is_asked_and_in_a_pipe_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stdin, stderr, somebody in (
        (io.StringIO(), io.StringIO(), False),
        (Terminal(), io.StringIO(), True),
        (io.StringIO(), Terminal(), True),
        (None, None, False),
    ):
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stderr", stderr)
        assert (prompts.person() is not None) is somebody
    closed = Terminal()
    closed.close()
    closed.isatty = lambda: (_ for _ in ()).throw(ValueError)  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", closed)
    assert prompts.person() is None


def test_the_card_has_a_link_and_the_code_and_in_the_end_neither() -> None:
    code = DeviceCode("web", "ABCD-1", "https://go.example/d", "", 90.0, time.monotonic() + 90)
    first, last = card_of(code, None)
    assert 'href="https://go.example/d"' in first["text/html"]
    assert 'rel="noopener noreferrer"' in first["text/html"]
    assert "ABCD-1" in first["text/plain"]
    assert "s left" in first["text/plain"]
    assert last["text/plain"] == "Signed in at web."
    assert "ABCD-1" not in last["text/html"]
    denied = card_of(code, PacsRefusedError("It was <denied>.", hint="Ask again."))[-1]
    assert denied["text/plain"] == "It was <denied>. Ask again."
    assert "&lt;denied&gt;" in denied["text/html"]


def test_minutes_are_told_with_the_time_of_day() -> None:
    assert prompts.time_left(600).startswith("10 minutes left, until ")
    assert prompts.time_left(119) == "119 s left"


def card_of(code: DeviceCode, *ends: BaseException | None) -> list[dict[str, str]]:
    shown: list[tuple[dict[str, str], str, bool]] = []
    card = prompts.Card(code.words(), lambda *what: shown.append(what))
    for end in ends or (None,):
        card.end(end)
    assert [update for _bundle, _id, update in shown] == [False, True]
    assert len({display_id for _bundle, display_id, _update in shown}) == 1
    return [bundle for bundle, _id, _update in shown]


# -- what is kept -----------------------------------------------------------------------------------------------------


def pacs_of(door: Door, **options: Any) -> Pacs:
    return Pacs(Server(name="web", url=door.url, timeout=5.0, connect_timeout=5.0, **door.settings), **options)


@contextmanager
def another_process(door: Door) -> Iterator[None]:
    """What this process alone knows is forgotten; the keyring stays."""
    for account in signing._of("web"):
        account.forget()
    yield


def test_what_renews_a_token_is_kept_in_the_keyring(door: Door, ring: Any) -> None:
    with pacs_of(door, prompt=Person()) as pacs:
        door.later()
        assert pacs.sign_in() is True
    assert door.refresh in ring.entries["slicer-notebook", "web/refresh_token"]
    with another_process(door), pacs_of(door, prompt=None) as pacs:
        assert len(pacs.find().records()) == 1  # a job at night
    assert door.asked == 1
    assert door.refresh in ring.entries["slicer-notebook", "web/refresh_token"]
    named.sign_out("web")
    assert ring.entries == {}
    with pacs_of(door, prompt=None) as pacs, pytest.raises(PacsRefusedError, match="Somebody must sign in"):
        pacs.find().records()


def test_another_program_has_renewed_meanwhile(door: Door, ring: Any) -> None:
    """A refresh token is good once: what another process has got for it is in the keyring."""
    with pacs_of(door, prompt=Person()) as pacs:
        door.later()
        pacs.sign_in()
        door.valid, door.refresh = "theirs", "refresh-theirs"
        signing.keep(pacs.server, "refresh-theirs")
        assert len(pacs.find().records()) == 1
    assert door.asked == 1


def test_what_one_server_has_given_is_not_shown_to_another(door: Door, ring: Any) -> None:
    with pacs_of(door, prompt=Person()) as pacs:
        door.later()
        pacs.sign_in()
    with Door(found) as other, pacs_of(other, prompt=None) as pacs:
        with pytest.raises(PacsRefusedError, match="Somebody must sign in"):
            pacs.find().records()
        assert other.forms == []


@pytest.mark.parametrize("kind", ["PlaintextKeyring", "Locked"])
def test_without_a_keyring_it_stays_in_this_process(door: Door, kind: str) -> None:
    with registered(kinds()[kind]()) as backend, pacs_of(door, prompt=Person()) as pacs:
        door.later()
        assert pacs.sign_in() is False
        assert len(pacs.find().records()) == 1
        assert backend.entries == {}


def test_a_pacs_that_is_removed_takes_its_sign_in_with_it(door: Door, ring: Any, tmp_path: Path) -> None:
    path = tmp_path / "pacs.toml"
    config.add("web", door.url, path=path, **door.settings)
    door.later()
    assert named.sign_in("web", path=path, prompt=Person()) is True
    assert door.refresh not in path.read_text()
    config.remove("web", path)
    assert ring.entries == {}


def test_where_nobody_signs_in(tmp_path: Path) -> None:
    path = tmp_path / "pacs.toml"
    config.add("hospital", "dimse://A@127.0.0.1:4242", path=path)
    with pytest.raises(ArgumentError, match="device_code"):
        named.sign_in("hospital", path=path)


# -- with a real archive ----------------------------------------------------------------------------------------------


def test_a_person_is_asked_in_the_cell_they_asked_from(orthanc: Orthanc, pacs_data: Any, tmp_path: Path) -> None:
    cell = contextvars.ContextVar("cell", default="the newest message's")
    cells: list[str] = []
    study = pacs_data.study("thorax")
    context = contextvars.copy_context()
    with (
        Door(behind(orthanc)) as door,
        pacs_of(door, prompt=lambda _code: cells.append(cell.get()), index=tmp_path / "index.sqlite3") as pacs,
    ):
        context.run(cell.set, "of find")
        door.later()
        assert context.run(lambda: pacs.find(PatientID="*").records())
        door.valid = door.refresh = ""
        context.run(cell.set, "of retrieve")
        door.later(number=2)
        assert context.run(lambda: pacs.retrieve(study=study.uid).result(60)).complete
    assert cells == ["of find", "of retrieve"]


def test_find_and_retrieve_from_a_real_archive(orthanc: Orthanc, pacs_data: Any, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    person = Person()
    with Door(behind(orthanc)) as door, pacs_of(door, prompt=person, index=tmp_path / "index.sqlite3") as pacs:
        door.later()
        report = pacs.retrieve(study=study.uid).result(60)
        assert report.complete
        assert report.received == len(study.instances)
        assert len(person.codes) == 1


@pytest.mark.parametrize("renewable", [True, False], ids=["renewed", "asked"])
def test_a_token_that_is_revoked_in_the_middle_of_a_retrieval(
    orthanc: Orthanc, pacs_data: Any, tmp_path: Path, renewable: bool
) -> None:
    """It goes on, with a person where nothing else helps, and nothing is lost."""
    study = pacs_data.study("thorax")
    person, ask_orthanc = Person(), behind(orthanc)
    fetched: list[str] = []

    def archive(request: Any) -> Reply:
        reply = ask_orthanc(request)
        if "multipart" in request.headers.get("accept", ""):
            fetched.append(request.target)
            if len(fetched) == 1:
                door.valid = "revoked"
                door.refresh = door.refresh if renewable else "revoked, too"
        return reply

    with Door(archive) as door, pacs_of(door, prompt=person, index=tmp_path / "index.sqlite3") as pacs:
        door.later()
        door.later(number=2)
        report = pacs.retrieve(study=study.uid, parallel=1).result(60)
        assert report.complete
        assert report.received == len(study.instances)
        assert len(fetched) > 1
        assert len(person.codes) == (1 if renewable else 2)


def test_a_retrieval_that_nobody_lets_in_asks_once(door: Door, tmp_path: Path) -> None:
    with pacs_of(door, prompt=Person(), index=tmp_path / "index.sqlite3") as pacs:
        door.later("denied")
        with pytest.raises(PacsError, match="was denied"):
            pacs.retrieve(study="1.2.1").result(60)
        assert door.asked == 1


def test_async(door: Door) -> None:
    import asyncio

    async def all_of(pacs: Pacs) -> int:
        return len([each async for each in pacs.find()])

    with pacs_of(door, prompt=Person()) as pacs:
        door.later()
        assert asyncio.run(all_of(pacs)) == 1


def test_the_doctor_says_whether_somebody_is_signed_in(
    orthanc: Orthanc, ring: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pacs.toml"
    with Door(behind(orthanc)) as door:
        config.add("web", door.url, path=path, **door.settings)
        monkeypatch.setattr(prompts, "_in_kernel", lambda: False)
        monkeypatch.setattr(prompts, "_is_terminal", lambda _stream: False)
        nobody = examine("web", path=path)
        assert not nobody.ok
        (step,) = [each for each in nobody.steps if each.status == "fail"]
        assert (step.name, "Somebody must sign in" in step.found) == ("Token (OAuth 2)", True)
        assert "sign-in web" in step.fix
        door.later("denied")
        with named.open("web", path=path, prompt=Person()) as pacs:
            denied = pacs.test()
        (step,) = [each for each in denied.steps if each.status == "fail"]
        assert (step.name, "was denied" in step.found) == ("Token (OAuth 2)", True)
        door.later(number=2)
        with named.open("web", path=path, prompt=Person()) as pacs:
            well = pacs.test()
        assert well.ok, str(well)
        (step,) = [each for each in well.steps if each.name == "Token (OAuth 2)"]
        assert "keyring" in step.found
        assert not [secret for secret in door.secrets if secret in str(well) + well._repr_html_()]


def test_the_authorisation_server_is_away(door: Door) -> None:
    settings = {**door.settings, "device_url": f"http://127.0.0.1:{free_port()}/device"}
    source = source_for(door.url, prompt=Person(), **settings)
    with pytest.raises(PacsError) as error:
        ask(source)
    assert not isinstance(error.value, PacsAnswerError)


def until(condition: Any, what: str) -> None:
    """Poll: what is waited for tells nobody."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, what
        threading.Event().wait(0.01)
