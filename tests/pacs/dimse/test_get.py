"""C-GET: what is asked for, what comes, how it ends; with real archives and lying ones."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from slicer_notebook.errors import (
    JobCancelledError,
    PacsAnswerError,
    PacsRefusedError,
    PacsUnreachableError,
    StorageError,
)
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.get import Get, failed_way, identifier_of, suboperations
from slicer_notebook.pacs.dimse.incoming import NotTakenError
from slicer_notebook.pacs.model import Fetch, WayFailedError, never
from slicer_notebook.pacs.server import dimse_address
from slicer_notebook.testing import Orthanc
from tests.dicom.make import CT
from tests.pacs.dicomweb.tools import Memory
from tests.pacs.peers.data import COMPREHENSIVE_SR, Data, DataStudy
from tests.pacs.peers.gated import Gated
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.real import RealPeer
from tests.pacs.retrieving import dataset_bytes


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    with Liar(pacs_data.study("thorax").instances.values()) as running:
        yield running


@pytest.fixture
def thorax(pacs_data: Data) -> DataStudy:
    return pacs_data.study("thorax")


def way(url: str, timeout: float = 10.0) -> Get:
    return Get(Peer(dimse_address(url), "SLICER", "peer", timeout=timeout))


def classes(study: DataStudy) -> frozenset[str]:
    return frozenset(series.sop_class for series in study.series)


# -- asked for --------------------------------------------------------------------------------------------------------


def test_what_is_asked_for() -> None:
    asked = identifier_of(Fetch(study="1.2"))
    assert (asked.QueryRetrieveLevel, asked.StudyInstanceUID, len(asked)) == ("STUDY", "1.2", 2)
    asked = identifier_of(Fetch(study="1.2", series="3.4"))
    assert (asked.QueryRetrieveLevel, asked.SeriesInstanceUID, len(asked)) == ("SERIES", "3.4", 3)
    asked = identifier_of(Fetch(study="1.2", series="3.4", instances=("5.6", "7.8")))
    assert (asked.QueryRetrieveLevel, list(asked.SOPInstanceUID), len(asked)) == ("IMAGE", ["5.6", "7.8"], 4)


@pytest.mark.parametrize("level", ["study", "series", "instances"])
def test_from_real_archives(archive: RealPeer, level: str) -> None:
    study = archive.data.study("thorax")
    series = study.series[0]
    some = dict(list(series.instances.items())[:4])
    wanted, files = {
        "study": (Fetch(study=study.uid, sop_classes=classes(study)), study.instances),
        "series": (Fetch(study=study.uid, series=series.uid, modality="CT"), series.instances),
        "instances": (
            Fetch(study=study.uid, series=series.uid, instances=tuple(some), sop_classes=frozenset({CT})),
            some,
        ),
    }[level]
    sink = Memory()
    assert way(archive.url).fetch(wanted, sink, never) == len(files)  # type: ignore[arg-type]
    assert sorted(data[data.index(b"DICM") :][-64:] for data in sink.done) == sorted(
        dataset_bytes(path)[-64:] for path in files.values()
    )
    assert sink.discarded == []


def test_what_is_not_there_is_nothing(archive: RealPeer) -> None:
    sink = Memory()
    # Success without any instance, or a failure: as they like.
    with contextlib.suppress(WayFailedError):
        assert not way(archive.url).fetch(Fetch(study="1.2.3.404", sop_classes=frozenset({CT})), sink, never)  # type: ignore[arg-type]
    assert sink.done == []


def test_a_real_archive_that_stops_at_what_it_cannot_send(orthanc: Orthanc, thorax: DataStudy) -> None:
    # Orthanc ends with the first document that it has no context for.
    sink = Memory()
    with pytest.raises(WayFailedError) as failed:
        way(orthanc.dimse_url).fetch(Fetch(study=thorax.uid, sop_classes=frozenset({CT})), sink, never)  # type: ignore[arg-type]
    assert isinstance(failed.value.error, PacsAnswerError)
    assert failed.value.error.details["status"] == 0xC000
    assert failed.value.again
    assert len(sink.done) <= 30


# -- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "again", "words"),
    [
        (m.Command(status=0x0000, completed=5), None, ""),
        (m.Command(status=0xB000, failed=0, warning=3, completed=2), None, ""),
        (m.Command(status=0x0000, failed=2, completed=3), True, "2 failed"),
        (m.Command(status=0xB000, failed=2, completed=3), True, "2 failed"),
        (m.Command(status=0xB000), True, "B000"),
        (m.Command(status=0xA701), True, "A701"),
        (m.Command(status=0xA702, failed=5), True, "5 failed"),
        (m.Command(status=0xFE00), True, "FE00"),
        (m.Command(status=0xC123), True, "C123"),
        (m.Command(status=0xA900), False, "A900"),
        (m.Command(status=0x0122), False, "0122"),
        (m.Command(status=0x0211), False, "0211"),
        (m.Command(status=0x0124), False, "0124"),
        (m.Command(), True, "C000"),
    ],
)
def test_final_answers(answer: m.Command, again: bool | None, words: str) -> None:
    if again is None:
        suboperations("C-GET", answer, "peer")
        return
    with pytest.raises(WayFailedError) as failed:
        suboperations("C-GET", answer, "peer")
    assert failed.value.again is again
    assert words in failed.value.reason
    assert isinstance(failed.value.error, PacsAnswerError)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (PacsUnreachableError("lost", details={"lost": True}), True),
        (PacsUnreachableError("no port", details={"stage": "port"}), True),
        (PacsUnreachableError("no name", details={"stage": "name"}), False),
        (PacsUnreachableError("no trust", details={"stage": "tls"}), False),
        (PacsRefusedError("busy", details={"again": True}), True),
        (PacsRefusedError("a stranger", details={"again": False}), False),
        (PacsAnswerError("damaged"), True),
        (PacsAnswerError("no such class", details={"status": 0x0122}), False),
    ],
)
def test_what_failures_mean_for_the_way(error: PacsUnreachableError, again: bool) -> None:
    failed = failed_way(error)
    assert failed.again is again
    assert failed.error is error


@pytest.mark.parametrize(
    ("lies", "again", "words"),
    [
        (Lies(roles=False), False, "role of the storage SCP"),
        (Lies(without={"get"}), False, "does not offer C-GET"),
        (Lies(without={"store"}), False, "no storage context"),
        (Lies(fail=2), True, "2 failed"),
        (Lies(status={"get": 0xA701}, comment="Doe^Jane"), True, "A701"),
        (Lies(status={"get": 0xA900}), False, "A900"),
        (Lies(abort={"get"}), True, "in the middle"),
        (Lies(abort_after=4), True, "in the middle"),
        (Lies(hang={"get"}), True, "silent"),
        (Lies(reject=(1, 1, 3)), False, "not known there"),
        (Lies(reject=(2, 3, 2)), True, "no room"),
    ],
    ids=[
        "role", "no C-GET", "no storage", "some fail", "resources", "no match", "abort", "abort later", "silence",
        "stranger", "full",
    ],
)  # fmt: skip
def test_failures_in_words(liar: Liar, thorax: DataStudy, lies: Lies, again: bool, words: str) -> None:
    liar.lies = lies
    sink = Memory()
    with pytest.raises(WayFailedError) as failed:
        way(liar.url, 0.8).fetch(Fetch(study=thorax.uid, sop_classes=classes(thorax)), sink, never)  # type: ignore[arg-type]
    assert failed.value.again is again
    assert words in failed.value.reason
    assert "Doe^" not in failed.value.reason + str(failed.value.error)
    # What came before is kept.
    assert len(sink.done) == {4: 4, None: 0}[lies.abort_after] if not lies.fail else len(sink.done) == 29


def test_what_the_peer_says_it_has_sent(liar: Liar, thorax: DataStudy) -> None:
    liar.lies = Lies(share=0.5)
    sink = Memory()
    assert way(liar.url).fetch(Fetch(study=thorax.uid, sop_classes=classes(thorax)), sink, never) == 31  # type: ignore[arg-type]
    assert len(sink.done) == 15  # the caller counts


def test_classes_that_are_not_known_come_on_further_associations(liar: Liar, thorax: DataStudy) -> None:
    # Nothing says what the study holds: first the usual, then all there is. On none of them all can be sent.
    sink = Memory()
    with pytest.raises(WayFailedError, match="failed"):
        way(liar.url).fetch(Fetch(study=thorax.uid, modality="CT", expected=31), sink, never)  # type: ignore[arg-type]
    assert len(sink.done) == 31
    kinds = {COMPREHENSIVE_SR.encode() in data[:600] for data in sink.done}
    assert kinds == {True, False}
    assert 1 < liar.associations < 10
    assert all(count <= 128 for count in liar.contexts)
    # What is expected came on the first one: there is no second one.
    before = liar.associations
    sink = Memory()
    way(liar.url).fetch(  # type: ignore[arg-type]
        Fetch(study=thorax.uid, series=thorax.series[0].uid, modality="CT", expected=30), sink, never
    )
    assert len(sink.done) == 30
    assert liar.associations == before + 1


# -- the sink ---------------------------------------------------------------------------------------------------------


def test_a_sink_that_takes_no_more_ends_it_and_the_peer_is_told(liar: Liar, thorax: DataStudy) -> None:
    sink = Memory()
    sink.error = StorageError("The disk is full.")
    with pytest.raises(StorageError, match="disk is full"):
        way(liar.url).fetch(Fetch(study=thorax.uid, sop_classes=classes(thorax)), sink, never)  # type: ignore[arg-type]
    assert sink.done == []
    liar.wait_for(lambda: liar.ended)
    assert liar.ended == ["aborted"]


def test_an_instance_that_is_not_taken_does_not_end_it(
    liar: Liar, thorax: DataStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Memory()
    refused: list[int] = []

    def judge(_part: object) -> None:
        if len(refused) < 3:
            refused.append(1)
            raise NotTakenError(0xA900)

    monkeypatch.setattr(type(sink.open()), "judge", judge, raising=False)
    with pytest.raises(WayFailedError, match="3 failed"):
        way(liar.url).fetch(Fetch(study=thorax.uid, sop_classes=classes(thorax)), sink, never)  # type: ignore[arg-type]
    assert len(sink.done) == 28
    assert len(sink.discarded) == 3


# -- cancelled --------------------------------------------------------------------------------------------------------


def test_a_cancel_is_told_and_what_is_under_way_comes_to_its_end(thorax: DataStudy) -> None:
    with Gated(thorax.instances.values(), allowed=7) as gated:
        sink, stop = Memory(), [False]
        wanted = Fetch(study=thorax.uid, sop_classes=classes(thorax))

        def cancelled() -> bool:
            stop[0] = stop[0] or len(gated.sent) == 7
            return stop[0]

        with pytest.raises(JobCancelledError):
            way(gated.url, 60).fetch(wanted, sink, cancelled)  # type: ignore[arg-type]
        gated.wait_for(lambda: gated.ended)
        assert (gated.cancelled, gated.ended) == (1, ["released"])
        assert len(sink.done) == len(gated.sent)
        assert sink.discarded == []


def test_a_cancel_that_is_not_heeded_is_an_abort_in_the_end(liar: Liar, thorax: DataStudy) -> None:
    liar.lies = Lies(ignore_cancel=True, idle=0.4)
    sink = Memory()
    began = time.monotonic()
    with pytest.raises(JobCancelledError):
        way(liar.url, 60).fetch(  # type: ignore[arg-type]
            Fetch(study=thorax.uid, sop_classes=classes(thorax)), sink, lambda: len(liar.sent) >= 2
        )
    assert time.monotonic() - began < 9  # it would take twelve
    liar.wait_for(lambda: liar.ended)
    assert liar.ended == ["aborted"]
