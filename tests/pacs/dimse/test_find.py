"""C-FIND: streamed, cancelled for real, in any character set; failures in words."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from slicer_notebook.errors import (
    ArgumentError,
    JobCancelledError,
    PacsAnswerError,
    PacsRefusedError,
    PacsUnreachableError,
)
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.find import find
from slicer_notebook.pacs.dimse.identifiers import character_set, decode_identifier, encode_identifier
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import never
from slicer_notebook.pacs.server import dimse_address
from slicer_notebook.testing import Orthanc
from tests.pacs.peers.data import Data
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    with Liar(pacs_data.instances.values()) as running:
        yield running


def peer(url: str, timeout: float = 10.0) -> Peer:
    return Peer(dimse_address(url), "SLICER", "peer", timeout=timeout)


def test_answers_come_one_by_one(liar: Liar) -> None:
    liar.lies = Lies(invented=50, slow=0.02)
    answers = find(peer(liar.url), build_query("STUDY", {}), never)
    began = time.monotonic()
    next(answers)
    first = time.monotonic() - began
    rest = sum(1 for _ in answers)
    assert rest >= 50
    assert first < (time.monotonic() - began) / 3


@pytest.mark.parametrize("how", ["limit", "close", "cancel"])
def test_the_peer_is_told_to_stop(liar: Liar, how: str) -> None:
    liar.lies = Lies(invented=300, slow=0.01)
    stop: list[bool] = []
    query = build_query("STUDY", {}, limit=3 if how == "limit" else None)
    answers = find(peer(liar.url), query, lambda: bool(stop))
    got = [next(answers) for _ in range(3)]
    assert len(got) == 3
    if how == "limit":
        assert list(answers) == []
    elif how == "close":
        answers.close()  # type: ignore[attr-defined]
    else:
        stop.append(True)
        with pytest.raises(JobCancelledError):
            for _ in answers:
                pass
    liar.wait_for(lambda: liar.cancelled)


def test_a_peer_that_heeds_no_cancel_is_left(liar: Liar) -> None:
    liar.lies = Lies(invented=4000, slow=0.003, ignore_cancel=True)
    began = time.monotonic()
    assert len(list(find(peer(liar.url), build_query("STUDY", {}, limit=2), never))) == 2
    assert time.monotonic() - began < 15


def test_silence_has_an_end(liar: Liar) -> None:
    liar.lies = Lies(hang={"find"})
    began = time.monotonic()
    with pytest.raises(PacsUnreachableError, match="silent"):
        list(find(peer(liar.url, 0.8), build_query("STUDY", {}), never))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("lies", "error", "words"),
    [
        (Lies(status={"find": 0xA700}, comment="Doe^Jane"), PacsAnswerError, "A700"),
        (Lies(status={"find": 0xC123}), PacsAnswerError, "C123"),
        (Lies(without={"find"}), PacsRefusedError, "does not offer C-FIND"),
        (Lies(contexts=False), PacsRefusedError, "does not offer C-FIND"),
        (Lies(reject=(1, 1, 3)), PacsRefusedError, "'SLICER' is not known"),
        (Lies(reject=(1, 1, 7)), PacsRefusedError, "is not its own"),
        (Lies(reject=(2, 3, 2)), PacsRefusedError, "no room"),
        (Lies(abort={"find"}), PacsUnreachableError, "aborted"),
    ],
    ids=["resources", "failed", "no service", "no contexts", "calling", "called", "limit", "abort"],
)
def test_failures_in_words(liar: Liar, lies: Lies, error: type[Exception], words: str) -> None:
    liar.lies = lies
    with pytest.raises(error) as found:
        list(find(peer(liar.url), build_query("STUDY", {}), never))
    assert words in str(found.value)
    assert "Doe" not in str(found.value)


@pytest.mark.parametrize("study", ["latin", "japan", "korea", "utf8"])
def test_names_in_any_character_set(orthanc: Orthanc, pacs_data: Data, study: str) -> None:
    wanted = pacs_data.study(study)
    (found,) = find(peer(orthanc.dimse_url), build_query("STUDY", {"PatientID": wanted.patient_id}), never)
    assert found["PatientName"] == wanted.name
    part = next(piece for piece in reversed(wanted.name.replace("=", "^").split("^")) if piece)
    asked = build_query("STUDY", {"PatientName": f"*{part}*"})
    assert wanted.uid in {each["StudyInstanceUID"] for each in find(peer(orthanc.dimse_url), asked, never)}


@pytest.mark.parametrize(
    ("name", "term"),
    [("Doe^Jane", ""), ("Müller^Jürgen", "ISO_IR 100"), ("Yamada=山田", "ISO_IR 192"), ("Дмитрий", "ISO_IR 192")],
)
def test_the_character_set_of_a_question(name: str, term: str) -> None:
    identifier = build_query("STUDY", {"PatientName": name}).identifier
    assert character_set(identifier) == term
    data = encode_identifier(identifier, EXPLICIT, term)
    back = decode_identifier(data, EXPLICIT, "peer")
    assert str(back.PatientName) == name
    assert (back.get("SpecificCharacterSet") or "") == term


def test_a_configured_character_set_that_does_not_do() -> None:
    identifier = build_query("STUDY", {"PatientName": "Дмитрий"}).identifier
    assert character_set(identifier, "ISO_IR 144") == "ISO_IR 144"
    with pytest.raises(ArgumentError, match="character set"):
        character_set(build_query("STUDY", {"PatientName": "山田"}).identifier, "ISO_IR 144")


@pytest.mark.parametrize("written", ["ISO IR 192", "ISO-IR 192", "UTF-8", ""])
def test_wrong_terms_and_none_in_an_answer(written: str) -> None:
    identifier = build_query("STUDY", {"PatientName": "Yamada=山田"}).identifier
    data = encode_identifier(identifier, EXPLICIT, "ISO_IR 192")
    term = b"ISO_IR 192"
    bare = data[len(b"\x08\0\5\0CS\0\0") + len(term) :] if not written else None
    padded = written.encode() + b" " * (len(written) % 2)
    element = b"\x08\0\5\0CS" + len(padded).to_bytes(2, "little") + padded
    changed = bare if bare is not None else element + data[18:]
    assert str(decode_identifier(changed, EXPLICIT, "peer").PatientName) == "Yamada=山田"


def test_what_is_not_negotiated_is_not_done(liar: Liar) -> None:
    with pytest.raises(PacsRefusedError, match="fuzzy"):
        list(find(peer(liar.url), build_query("STUDY", {}, fuzzy=True), never))
    liar.lies = Lies(extended=b"\1\0\1")
    assert list(find(peer(liar.url), build_query("STUDY", {}, fuzzy=True), never))
