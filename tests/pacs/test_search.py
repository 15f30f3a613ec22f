"""Queries as people mean them: down the hierarchy, with counts, each answer once, against real archives and a liar."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsError, PacsRefusedError, PacsUnreachableError
from slicer_notebook.pacs.keys import build_query, exact_values
from slicer_notebook.pacs.model import Cancelled, Query, Record, never
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.search import search
from slicer_notebook.pacs.server import Learned, Server
from tests.pacs.peers.data import NAMES, Data
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.real import RealPeer

UNIQUE = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    with Liar(pacs_data.instances.values()) as made:
        yield made


def opened(url: str, **settings: Any) -> Pacs:
    return Pacs(Server(name="peer", url=url, **settings))


def uids(records: list[Record], level: str = "STUDY") -> list[str]:
    return sorted(str(record[UNIQUE[level]]) for record in records)


class Strict:
    """A source that answers as the standard obliges it to, and nothing else (PS3.4 C.4.1.2.1)."""

    def __init__(self, data: Data) -> None:
        self.rows = [
            {
                "PatientID": study.patient_id,
                "PatientName": study.name,
                "StudyDate": study.date,
                "StudyInstanceUID": study.uid,
                "SeriesInstanceUID": series.uid,
                "Modality": series.modality,
                "SeriesNumber": series.number,
                "SOPInstanceUID": uid,
                "NumberOfSeriesRelatedInstances": len(series.instances),
            }
            for study in data.studies.values()
            for series in study.series
            for uid in series.instances
        ]
        self.names = {
            "STUDY": {"PatientID", "PatientName", "StudyDate", "StudyInstanceUID"},
            "SERIES": {"SeriesInstanceUID", "Modality", "SeriesNumber", "NumberOfSeriesRelatedInstances"},
            "IMAGE": {"SOPInstanceUID"},
        }
        self.above: dict[str, list[str]] = {"STUDY": [], "SERIES": ["StudyInstanceUID"]}
        self.above["IMAGE"] = ["StudyInstanceUID", "SeriesInstanceUID"]
        self.asked: list[Query] = []
        self.open = self.most = 0
        self.fail: dict[str, Exception] = {}
        self.learned = Learned()

    def find(self, query: Query, cancelled: Cancelled) -> Iterator[Record]:
        self.asked.append(query)
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            yield from self._answers(query)
        finally:
            self.open -= 1

    def _answers(self, query: Query) -> Iterator[Record]:
        wanted = {element.keyword: exact_values(element) for element in query.identifier}
        names, above = self.names[query.level], self.above[query.level]
        if any(len(wanted.get(name, [])) != 1 for name in above):
            raise PacsAnswerError("no unique key of a level above", details={"status": 0xA900})
        if strangers := {name for name, values in wanted.items() if values} - names - set(above):
            raise PacsAnswerError(f"keys of another level: {strangers}", details={"status": 0xA900})
        seen = set()
        for row in self.rows:
            if not all(
                not values or str(row.get(name)) in values or values == ["*"] for name, values in wanted.items()
            ):
                continue
            found = {name: row.get(name) for name in wanted if name in names}
            if (key := row[UNIQUE[query.level]]) not in seen:
                seen.add(key)
                if len(seen) == 2 and query.level in self.fail:
                    raise self.fail[query.level]
                yield found


def asked(source: Any, level: str, cancelled: Cancelled = never, **how: Any) -> list[Record]:
    counts, limit = how.pop("counts", False), how.pop("limit", None)
    relational = how.pop("relational", False)
    return list(search(source, build_query(level, how, limit=limit, relational=relational), cancelled, counts=counts))


# -- down the hierarchy -----------------------------------------------------------------------------------------------


def test_series_and_images_of_a_patient_level_by_level(pacs_data: Data) -> None:
    source = Strict(pacs_data)
    studies = [study for study in pacs_data.studies.values() if study.patient_id == "ASCII"]
    found = asked(source, "SERIES", PatientID="ASCII", PatientName=None)
    assert uids(found, "SERIES") == sorted(series.uid for study in studies for series in study.series)
    # What was asked for and is known from above is in the answers.
    assert {record["PatientName"] for record in found} == {"Doe^Jane"}
    assert {record["StudyInstanceUID"] for record in found} == {study.uid for study in studies}
    assert [query.level for query in source.asked] == ["STUDY", "SERIES", "SERIES"]
    source.asked.clear()
    images = asked(source, "IMAGE", PatientID="ASCII", Modality="CT")
    assert len(images) == 30 + 4 + 3
    assert {record["SeriesInstanceUID"] for record in images} <= set(uids(found, "SERIES"))
    assert [query.level for query in source.asked] == ["STUDY", "SERIES", "IMAGE", "SERIES", "IMAGE", "IMAGE"]


def test_keys_of_the_study_are_asked_at_its_level_though_it_is_named(pacs_data: Data) -> None:
    source, study = Strict(pacs_data), pacs_data.study("thorax")
    assert len(asked(source, "SERIES", StudyInstanceUID=study.uid)) == 2
    assert [query.level for query in source.asked] == ["SERIES"]
    assert len(asked(source, "SERIES", StudyInstanceUID=study.uid, PatientID="ASCII")) == 2
    assert asked(source, "SERIES", StudyInstanceUID=study.uid, PatientID="KOREA") == []
    both = [study.uid, pacs_data.study("korea").uid]
    assert len(asked(source, "SERIES", StudyInstanceUID=both)) == 3
    images = asked(source, "IMAGE", StudyInstanceUID=study.uid, PatientName=None)
    assert len(images) == 31
    assert {record["PatientName"] for record in images} == {"Doe^Jane"}


def test_what_is_named_is_asked_for_directly_first(pacs_data: Data) -> None:
    series = pacs_data.study("follow-up").series[1]
    source = Strict(pacs_data)
    (found,) = asked(source, "SERIES", SeriesInstanceUID=series.uid)
    assert found["StudyInstanceUID"] == series.study  # the strict one was walked down
    lenient = Strict(pacs_data)
    lenient.above["SERIES"] = []
    lenient.names["SERIES"].add("StudyInstanceUID")
    (found,) = asked(lenient, "SERIES", SeriesInstanceUID=series.uid)
    assert found["StudyInstanceUID"] == series.study
    assert [query.level for query in lenient.asked] == ["SERIES"]


def test_relational_queries_where_they_are_negotiated(pacs_data: Data) -> None:
    source = Strict(pacs_data)
    source.above["SERIES"] = []
    source.names["SERIES"] |= source.names["STUDY"]
    assert len(asked(source, "SERIES", relational=True)) == 16
    assert [query.level for query in source.asked] == ["SERIES"]
    # One that has not negotiated them may have answered part: then it is asked level by level besides.
    source.asked.clear()
    source.learned.relational = False
    assert len(asked(source, "SERIES", relational=True)) == 16
    assert source.asked[0].level == "STUDY"


def test_relational_with_a_real_negotiation(liar: Liar) -> None:
    for answer in (b"\1\0\0", None, b"\0\0\0"):
        liar.lies.extended = answer
        with opened(liar.url) as pacs:
            assert len(pacs.find("SERIES", relational=True).records()) == 16
            assert pacs.server.learned.relational is (None if answer == b"\1\0\0" else False)


def test_a_failure_above_and_below_comes_out(pacs_data: Data) -> None:
    for level in ("STUDY", "SERIES", "IMAGE"):
        source = Strict(pacs_data)
        source.fail[level] = PacsUnreachableError("gone", details={"lost": True})
        answers = search(source, build_query("IMAGE", {}), never)
        with pytest.raises(PacsUnreachableError, match="gone"):
            list(answers)
        assert source.open == 0


def test_series_and_images_without_study_in_real_archives(archive: RealPeer) -> None:
    with opened(archive.url) as pacs:
        series = pacs.find("SERIES", counts=False).records()
        assert uids(series, "SERIES") == sorted(s.uid for study in archive.data.studies.values() for s in study.series)
        images = pacs.find("IMAGE", PatientID="ASCII").records()
        wanted = [study for study in archive.data.studies.values() if study.patient_id == "ASCII"]
        assert uids(images, "IMAGE") == sorted(uid for study in wanted for uid in study.instances)
        one = archive.data.study("follow-up").series[0]
        (found,) = pacs.find("SERIES", SeriesInstanceUID=one.uid, PatientName=None).records()
        assert (found["StudyInstanceUID"], found["PatientName"]) == (one.study, "Doe^Jane")
        uid = next(iter(one.instances))
        (found,) = pacs.find("IMAGE", SOPInstanceUID=uid).records()
        assert (found["StudyInstanceUID"], found["SeriesInstanceUID"]) == (one.study, one.uid)


# -- matching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"PatientID": "ASCII"}, {"thorax", "follow-up"}),
        ({"PatientID": ["ASCII", "KOREA"]}, {"thorax", "follow-up", "korea"}),
        ({"PatientID": "ASCII\\KOREA"}, {"thorax", "follow-up", "korea"}),
        ({"PatientName": "Doe*"}, {"thorax", "follow-up"}),
        ({"PatientName": "?oe^Jane"}, {"thorax", "follow-up"}),
        ({"StudyDate": "20240101-20240229"}, {"thorax", "bare"}),
        ({"StudyDate": ("2024-03-03", None)}, {"utf8", "gb18030", "follow-up"}),
        ({"StudyDate": "-20231231"}, {"latin", "packed"}),
        ({"StudyDate": {"20240105", "20240505"}}, {"thorax", "follow-up"}),
        ({"AccessionNumber": "A0003"}, {"bare"}),
        ({"StudyDescription": "*Thorax*", "StudyDate": "20240105"}, {"thorax"}),
    ],
)
def test_kinds_of_keys_in_real_archives(archive: RealPeer, keys: dict[str, Any], names: set[str]) -> None:
    there = {name: study.uid for name, study in archive.data.studies.items()}
    with opened(archive.url) as pacs:
        found = pacs.find("STUDY", counts=False, **keys).records()
    assert {name for name, uid in there.items() if uid in uids(found)} == names & set(there)
    assert len(found) == len(names & set(there))


def test_names_in_any_script_are_found_and_read(orthanc_peer: RealPeer) -> None:
    with opened(orthanc_peer.url) as pacs:
        for name in ("latin", "japan", "korea", "utf8", "gb18030"):
            study = orthanc_peer.data.study(name)
            whole = NAMES[study.patient_id][1]
            (found,) = pacs.find(PatientName=whole, counts=False).records()
            assert (found["StudyInstanceUID"], found["PatientName"]) == (study.uid, whole)
        ideographic = NAMES["JAPAN"][1].split("=")[1]
        assert uids(pacs.find(PatientName=f"*{ideographic}*", counts=False).records()) == [
            orthanc_peer.data.study("japan").uid
        ]


def test_patients_are_told_apart_and_counted(orthanc_peer: RealPeer) -> None:
    with opened(orthanc_peer.url) as pacs:
        found = {record["PatientID"]: record for record in pacs.find("PATIENT")}
    assert set(found) == {study.patient_id for study in orthanc_peer.data.studies.values()}
    counts = [found["ASCII"][f"NumberOfPatientRelated{what}"] for what in ("Studies", "Series", "Instances")]
    assert counts == [2, 4, 38]


def test_a_pacs_that_ignores_keys(liar: Liar, caplog: pytest.LogCaptureFixture) -> None:
    liar.lies.ignore_keys = True
    with opened(liar.url) as pacs:
        assert len(pacs.find(PatientID="ASCII", counts=False).records()) == 2
        assert len(pacs.find(StudyDate="20240212", counts=False).records()) == 1
        assert len(pacs.find(ModalitiesInStudy="MR", counts=False).records()) == 3
        # A limit is full of answers that count.
        assert len(pacs.find(PatientID="KOREA", limit=1, counts=False).records()) == 1
        assert (
            len(pacs.find("SERIES", StudyInstanceUID=next(iter(pacs.find(PatientID="BARE")))["StudyInstanceUID"])) == 1
        )
    assert "ignores some of its keys" in caplog.text
    assert "KOREA" not in caplog.text


def test_modalities_where_the_pacs_has_no_such_key(liar: Liar) -> None:
    liar.lies.leave_out = {"ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"}
    liar.lies.ignore = {"ModalitiesInStudy"}
    with opened(liar.url) as pacs:
        for counts in (True, False):
            found = pacs.find(ModalitiesInStudy="SEG", counts=counts).records()
            assert [each["PatientID"] for each in found] == ["LATIN"]
        assert {each["Modality"] for each in pacs.find("SERIES", ModalitiesInStudy="SEG")} == {"CT", "SEG"}


def test_each_answer_comes_once(liar: Liar) -> None:
    liar.lies.repeat = 3
    with opened(liar.url) as pacs:
        assert len(pacs.find(counts=False).records()) == 9
        assert len(pacs.find("SERIES", counts=False).records()) == 16
        assert len(pacs.find(limit=4, counts=False).records()) == 4
        assert len(uids(pacs.find("IMAGE", PatientID="ASCII").records(), "IMAGE")) == 38


@pytest.mark.parametrize("limit", [1, 5, 9, 20])
def test_a_limit_is_exact(archive: RealPeer, limit: int) -> None:
    with opened(archive.url) as pacs:
        assert len(pacs.find(limit=limit, counts=False).records()) == min(limit, len(archive.data.studies))
        assert len(pacs.find("SERIES", limit=limit, counts=False).records()) == min(
            limit, sum(len(study.series) for study in archive.data.studies.values())
        )
        assert len(pacs.find("IMAGE", limit=limit, PatientID="ASCII").records()) == limit


def test_a_limit_stops_the_peer(liar: Liar) -> None:
    liar.lies = Lies(invented=2000, slow=0.002)
    with opened(liar.url) as pacs:
        assert len(pacs.find(limit=5, counts=False).records()) == 5
        liar.wait_for(lambda: liar.cancelled == 1)


# -- counts -----------------------------------------------------------------------------------------------------------


def test_counts_are_asked_for_where_they_are_left_out(archive: RealPeer) -> None:
    with opened(archive.url) as pacs:
        for record in pacs.find():
            study = next(s for s in archive.data.studies.values() if s.uid == record["StudyInstanceUID"])
            assert record["NumberOfStudyRelatedSeries"] == len(study.series)
            assert record["NumberOfStudyRelatedInstances"] == len(study.instances)
            assert set(record["ModalitiesInStudy"]) == {series.modality for series in study.series}
        for record in pacs.find("SERIES"):
            series = next(
                s
                for study in archive.data.studies.values()
                for s in study.series
                if s.uid == record["SeriesInstanceUID"]
            )
            assert record["NumberOfSeriesRelatedInstances"] == len(series.instances)


def test_counts_of_a_pacs_that_ignores_keys_are_right(liar: Liar) -> None:
    left_out = {f"Number{rest}" for rest in ("OfStudyRelatedSeries", "OfStudyRelatedInstances")}
    liar.lies = Lies(leave_out=left_out | {"NumberOfSeriesRelatedInstances"}, ignore_keys=True)
    with opened(liar.url) as pacs:
        (found,) = pacs.find(PatientID="KOREA").records()
    assert [found[name] for name in sorted(left_out)] == [2, 1]


def test_counts_that_cannot_be_known_are_left_out_and_not_zero(liar: Liar) -> None:
    left_out = {"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"}
    liar.lies = Lies(leave_out=left_out, levels=("STUDY", "SERIES"))
    with opened(liar.url) as pacs:
        found = pacs.find(PatientID="ASCII").records()
    assert sorted(record["NumberOfStudyRelatedSeries"] for record in found) == [2, 2]
    assert {record.get("NumberOfStudyRelatedInstances") for record in found} == {None}
    liar.lies = Lies(leave_out=left_out, levels=("STUDY",))
    with opened(liar.url) as pacs:
        assert {record.get("NumberOfStudyRelatedSeries") for record in pacs.find(PatientID="ASCII")} == {None}
    liar.lies = Lies(miscount=-40)
    with opened(liar.url) as pacs:  # no count is negative: the list counts
        assert {record["NumberOfStudyRelatedInstances"] for record in pacs.find(PatientID="ASCII")} == {31, 7}


def test_counts_where_the_peer_takes_one_association_at_a_time(liar: Liar) -> None:
    left_out = {"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"}
    liar.lies = Lies(leave_out=left_out, most_associations=1)
    with opened(liar.url) as pacs:
        found = pacs.find().records()
    assert sum(record["NumberOfStudyRelatedInstances"] for record in found) == len({each.uid for each in liar.held})
    assert liar.most == 2  # one was refused


# -- ends -------------------------------------------------------------------------------------------------------------


def test_a_cancel_in_the_middle_reaches_the_peer(liar: Liar) -> None:
    liar.lies = Lies(invented=2000, slow=0.002)
    with opened(liar.url) as pacs:
        found = pacs.find(counts=False)
        taken = 0

        def loop() -> None:
            nonlocal taken
            for _ in found:
                taken += 1
                if taken == 20:
                    found.cancel()

        with pytest.raises(JobCancelledError):
            loop()
        assert 20 <= taken < 600
        liar.wait_for(lambda: liar.cancelled == 1)


def test_leaving_the_loop_reaches_the_peer_and_leaves_no_thread(liar: Liar) -> None:
    liar.lies = Lies(invented=2000, slow=0.002)
    with opened(liar.url) as pacs:
        for _ in pacs.find(counts=False):
            break
        liar.wait_for(lambda: liar.cancelled == 1)
        liar.lies = Lies()
        for _ in range(50):
            assert len(pacs.find(limit=2, counts=False).records()) == 2
    deadline = time.monotonic() + 5
    while [each for each in threading.enumerate() if each.name.startswith("pacs-find")]:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_a_cancel_while_nothing_comes(liar: Liar) -> None:
    liar.lies.hang = {"find"}
    with opened(liar.url) as pacs:
        found = pacs.find(counts=False)
        liar.wait_for(lambda: any(each.service == "find" for each in liar.asked))
        began = time.monotonic()
        found.cancel()
        with pytest.raises(JobCancelledError):
            found.records()
        assert time.monotonic() - began < 7  # the peer has five seconds to end in order


def test_silence_has_a_deadline(liar: Liar) -> None:
    liar.lies.hang = {"find"}
    with opened(liar.url, timeout=0.5) as pacs, pytest.raises(PacsUnreachableError, match="silent"):
        pacs.find().records()


@pytest.mark.parametrize(
    ("lies", "error"),
    [
        (Lies(reject=(1, 1, 3)), PacsRefusedError),
        (Lies(without={"find"}), PacsRefusedError),
        (Lies(abort={"find"}), PacsUnreachableError),
        (Lies(status={"find": 0xA700}, comment="Doe^Jane is not for you"), PacsAnswerError),
        (Lies(status={"find": 0xC001}), PacsAnswerError),
    ],
)
def test_failures_say_what_and_name_no_patient(liar: Liar, lies: Lies, error: type[PacsError]) -> None:
    liar.lies = lies
    with opened(liar.url) as pacs, pytest.raises(error) as raised:
        pacs.find(PatientName="Doe*").records()
    assert "Doe" not in str(raised.value)


def test_a_large_answer_streams(liar: Liar) -> None:
    liar.lies.invented = 700
    with opened(liar.url) as pacs:
        assert len({record["StudyInstanceUID"] for record in pacs.find(counts=False)}) == 709
