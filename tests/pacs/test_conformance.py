"""One interface, whatever is behind it: the same questions have the same answers, and the same bytes arrive.

Over a real Orthanc by DIMSE and by DICOMweb, Kheops' strict stand-in in front of that Orthanc (as it is configured, and
as `sn.Kheops`, which gives tokens as passwords here), and dcmtk's dcmqrscp. What is expected is read from the files
that were stored, by pydicom. Where kinds differ, and may, `DIFFERENCES` says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
from pydicom import dcmread

from slicer_notebook.errors import (
    JobCancelledError,
    PacsError,
    PacsRefusedError,
    PacsUnreachableError,
    UidNotFoundError,
)
from slicer_notebook.pacs.kheops import Kheops
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.testing import KheopsStandIn, Orthanc, free_port
from slicer_notebook.testing import kheops as kheops_before
from tests.pacs.peers.data import NAMES, Data, DataStudy
from tests.pacs.peers.proxy import Proxy
from tests.pacs.peers.real import Dcmqrscp
from tests.pacs.retrieving import assert_whole, dataset_bytes, instances, numbers, opened, reasons, rows, until

KINDS: Final = ("dimse", "dicomweb", "kheops", "sn.Kheops", "dcmqrscp")

#: (kind, what) -> how it differs from the others, and why it may.
DIFFERENCES: Final[dict[tuple[str, str], str]] = {
    ("dcmqrscp", "compressed"): "it does not hold the compressed study: it would store it in one transfer syntax only",
    ("dcmqrscp", "names"): "it compares bytes (PS3.4 C.2.2.2: it declares no support of character sets), so a name that"
    " is not ASCII is found by its ASCII part; what it answers is read right all the same",
    ("dcmqrscp", "calling"): "it takes any calling AE title; a called one that is not its own it refuses",
    ("dcmqrscp", "SOPClassUID"): "it does not have this key at the level of images (PS3.4 C.6.2.1: optional)",
    (
        "dcmqrscp",
        "sequences",
    ): "its data sets are written anew: lengths of sequences, and items, may be encoded otherwise",
    ("dimse", "sequences"): "Orthanc writes data sets anew, too, where it sends them by DIMSE",
    ("dcmqrscp", "relational"): "it does not answer the extended negotiation",
    ("dimse", "relational"): "Orthanc does not answer the extended negotiation",
    ("kheops", "relational"): "it searches series and instances inside of a study alone",
    ("sn.Kheops", "relational"): "it searches series and instances inside of a study alone",
    ("dicomweb", "ideographs"): "orthanc-dicomweb 1.7 does not decode what is escaped in a URL: a name is found by its"
    " ASCII part and compared here; by one without such a part nothing is found, for all would have to be asked for",
    ("kheops", "ideographs"): "there is the same Orthanc behind it",
    ("sn.Kheops", "ideographs"): "there is the same Orthanc behind it",
    ("dicomweb", "ways"): "WADO-RS and WADO-URI in place of C-GET and C-MOVE",
    ("kheops", "ways"): "WADO-RS and WADO-URI in place of C-GET and C-MOVE",
    ("sn.Kheops", "ways"): "WADO-RS and WADO-URI in place of C-GET and C-MOVE",
}


def differs(subject: Subject, what: str) -> bool:
    return (subject.kind, what) in DIFFERENCES


@dataclass(frozen=True)
class Subject:
    """An archive as `Pacs` is told of it.

    Attributes:
        port: where it listens; a line to it can be put between.
        wrong: settings that are not authorised.
        ways: the ways to fetch from it.
        counts: how many instances it has; for those that a test stores to.
    """

    kind: str
    url: str
    port: int
    data: Data
    settings: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    ways: tuple[str, ...] = ("C-GET", "C-MOVE")

    def opened(self, folder: Path, url: str = "", **settings: Any) -> Pacs:
        return opened(folder, url or self.url, **{**self.settings, **settings})

    @property
    def studies(self) -> list[DataStudy]:
        return list(self.data.studies.values())


def by_dimse(orthanc: Orthanc, data: Data) -> Subject:
    settings = {"port": orthanc.modalities["SLICER"]}
    return Subject("dimse", orthanc.dimse_url, orthanc.dicom_port, data, settings, {"calling": "STRANGER"})


def by_dicomweb(orthanc: Orthanc, data: Data) -> Subject:
    settings = {"auth": "basic", "user": orthanc.user, "password": "env:CONFORMANCE_PASSWORD"}
    wrong = {"password": "env:CONFORMANCE_WRONG"}
    ways = ("WADO-RS", "WADO-URI")
    settings["wado"] = orthanc.wado_url
    return Subject("dicomweb", orthanc.dicomweb_url, orthanc.http_port, data, settings, wrong, ways)


@dataclass(frozen=True)
class ByKheops(Subject):
    """Kheops as one is told of it who configures nothing."""

    def opened(self, folder: Path, url: str = "", **settings: Any) -> Pacs:
        given = {**self.settings, **settings}
        given.pop("wado", None)
        return Kheops(url or self.url, index=folder / "index.sqlite3", way="basic", name="peer", **given)


def by_kheops(orthanc: Orthanc, data: Data, stack: ExitStack, kind: str) -> Subject:
    server: KheopsStandIn = stack.enter_context(kheops_before(orthanc))
    monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
    monkeypatch.setenv("CONFORMANCE_TOKEN", server.token)
    settings, wrong = {"token": "env:CONFORMANCE_TOKEN"}, {"token": "env:CONFORMANCE_WRONG"}
    how = ByKheops if kind == "sn.Kheops" else Subject
    return how(kind, f"kheops+{server.api}", server.port, data, settings, wrong, ("WADO-RS", "WADO-URI"))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFORMANCE_WRONG", "x" * 22)


@pytest.fixture(params=KINDS)
def subject(request: pytest.FixtureRequest, pacs_data: Data, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    """Each kind in turn, with all the data."""
    if request.param == "dcmqrscp":
        peer = request.getfixturevalue("dcmqrscp")
        settings = {"port": peer.modalities["SLICER"]}
        wrong = peer.url.replace(peer.aet, "WRONG")
        yield Subject("dcmqrscp", peer.url, peer.port, peer.data, settings, {"url": wrong})
        return
    orthanc = request.getfixturevalue("orthanc")
    monkeypatch.setenv("CONFORMANCE_PASSWORD", orthanc.password)
    with ExitStack() as stack:
        yield made(request.param, orthanc, pacs_data, stack)


def made(kind: str, orthanc: Orthanc, data: Data, stack: ExitStack) -> Subject:
    if kind == "dimse":
        return by_dimse(orthanc, data)
    return by_dicomweb(orthanc, data) if kind == "dicomweb" else by_kheops(orthanc, data, stack, kind)


@pytest.fixture(params=KINDS)
def empty(
    request: pytest.FixtureRequest,
    pacs_data: Data,
    fresh_orthanc: Callable[..., Orthanc],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Subject]:
    """Each kind in turn, with one study in it, for a test alone."""
    data = replace(pacs_data, studies={"bare": pacs_data.study("bare")})
    if request.param == "dcmqrscp":
        request.getfixturevalue("dcmqrscp")  # skips where there is none
        archive = Dcmqrscp(data)
        try:
            yield Subject("dcmqrscp", archive.described().url, archive.port, data)
        finally:
            archive.stop()
        return
    orthanc = fresh_orthanc(list(data.instances.values()))
    monkeypatch.setenv("CONFORMANCE_PASSWORD", orthanc.password)
    with ExitStack() as stack:
        yield made(request.param, orthanc, data, stack)


# -- what the files say -----------------------------------------------------------------------------------------------

#: Attributes that every archive has, by level; what a person sees and what other questions are made of.
ASKED: Final = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        "StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyID", "AccessionNumber", "StudyDescription",
        "ReferringPhysicianName", "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    ),
    "SERIES": (
        "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "NumberOfSeriesRelatedInstances",
    ),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}  # fmt: skip


def expected(studies: list[DataStudy], level: str) -> list[dict[str, Any]]:
    """What the files say, as records are."""
    found = []
    for study in studies:
        first = dcmread(next(iter(study.instances.values())), stop_before_pixels=True)
        of_patient = {name: text(first.get(name)) for name in ASKED["PATIENT"]} | {"PatientName": study.name}
        of_study = {name: text(first.get(name)) for name in ASKED["STUDY"] if not name.startswith("NumberOf")} | {
            "PatientName": study.name,
            "ModalitiesInStudy": sorted({series.modality for series in study.series}),
            "NumberOfStudyRelatedSeries": len(study.series),
            "NumberOfStudyRelatedInstances": len(study.instances),
        }
        if level == "PATIENT":
            found.append(of_patient)
        elif level == "STUDY":
            found.append(of_study)
        for series in study.series if level in ("SERIES", "IMAGE") else ():
            above = {"StudyInstanceUID": study.uid, "SeriesInstanceUID": series.uid}
            if level == "SERIES":
                counts = {"NumberOfSeriesRelatedInstances": len(series.instances)}
                found.append(above | {"SeriesNumber": series.number, "Modality": series.modality} | counts)
                continue
            for sop, path in series.instances.items():
                number = int(dcmread(path, stop_before_pixels=True).InstanceNumber)
                found.append(above | {"SOPInstanceUID": sop, "SOPClassUID": series.sop_class, "InstanceNumber": number})
    # A patient of several studies is one.
    return in_order({str(each): each for each in found}.values())


def text(value: Any) -> Any:
    return None if value in (None, "") else str(value)


def asked_of(records: list[dict[str, Any]], level: str) -> list[dict[str, Any]]:
    """Of each answer what is compared."""
    found = []
    for record in records:
        values = {name: record.get(name) or None for name in ASKED[level]}
        if values.get("ModalitiesInStudy"):
            values["ModalitiesInStudy"] = sorted(values["ModalitiesInStudy"])
        found.append(values)
    return in_order(found)


def listed(subject: Subject, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a kind can say of what is expected at the level of images."""
    left_out = {name for name in ("SOPClassUID",) if differs(subject, name)}
    return in_order([each | dict.fromkeys(left_out & each.keys()) for each in records])


def assert_arrived(subject: Subject, database: Path, wanted: Mapping[str, Path]) -> None:
    """The index has exactly these, and their data sets are what was stored."""
    if not differs(subject, "sequences"):
        assert_whole(database, wanted)
        return
    found = rows(database)
    assert sorted(sop for sop, _ in found) == sorted(wanted)
    for sop, path in found:
        if dataset_bytes(path) != dataset_bytes(wanted[sop]):
            got, stored = dcmread(path), dcmread(wanted[sop])
            assert any(element.VR == "SQ" for element in stored), sop
            assert got == stored, sop


def in_order(records: Any) -> list[dict[str, Any]]:
    return sorted(records, key=lambda record: str(sorted(record.items())))


# -- questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["PATIENT", "STUDY", "SERIES", "IMAGE"])
def test_all_there_is_at_each_level(subject: Subject, tmp_path: Path, level: str) -> None:
    with subject.opened(tmp_path) as pacs:
        found = pacs.find(level, include=ASKED[level]).records()
    assert asked_of(found, level) == listed(subject, expected(subject.studies, level))


#: Keys of studies -> those that match.
QUESTIONS: Final[list[tuple[dict[str, Any], set[str]]]] = [
    ({"PatientID": "ASCII"}, {"thorax", "follow-up"}),
    ({"PatientID": "AS*"}, {"thorax", "follow-up"}),
    ({"PatientID": "ASCI?", "AccessionNumber": "A0002"}, {"follow-up"}),
    ({"PatientName": "Doe^*"}, {"thorax", "follow-up"}),
    ({"StudyDescription": "*Thorax*"}, {"thorax", "follow-up"}),
    ({"StudyDate": "20240105"}, {"thorax"}),
    ({"StudyDate": "20240301-20240303"}, {"japan", "korea", "utf8"}),
    ({"StudyDate": ("2024-03-03", None)}, {"utf8", "gb18030", "follow-up"}),
    ({"StudyDate": "-20231231"}, {"latin", "packed"}),
    ({"ModalitiesInStudy": "SEG"}, {"latin"}),
    ({"PatientID": ["BARE", "KOREA"]}, {"bare", "korea"}),
    ({"PatientName": "Yamada*"}, {"japan"}),
    ({"PatientName": "Wang*", "StudyDate": ("20240101", None)}, {"utf8"}),
    # -- nothing
    ({"PatientID": "NOBODY"}, set()),
    ({"PatientID": "ASC"}, set()),
    ({"StudyDate": "19000101-19001231"}, set()),
]


@pytest.mark.parametrize(("keys", "names"), QUESTIONS, ids=[str(keys) for keys, _ in QUESTIONS])
def test_studies_that_match(subject: Subject, tmp_path: Path, keys: dict[str, Any], names: set[str]) -> None:
    wanted = [study for name, study in subject.data.studies.items() if name in names]
    with subject.opened(tmp_path) as pacs:
        found = pacs.find(include=ASKED["STUDY"], **keys).records()
        assert asked_of(found, "STUDY") == expected(wanted, "STUDY")
        series = pacs.find("SERIES", **keys).records()
        assert asked_of(series, "SERIES") == expected(wanted, "SERIES")


def test_lists_of_uids(subject: Subject, tmp_path: Path) -> None:
    studies = [subject.data.study(name) for name in ("thorax", "bare", "utf8")]
    some = [series for study in studies for series in study.series][1:]
    with subject.opened(tmp_path) as pacs:
        found = pacs.find(StudyInstanceUID=[*(study.uid for study in studies), "1.2.3.404"], include=ASKED["STUDY"])
        assert asked_of(found.records(), "STUDY") == expected(studies, "STUDY")
        found = pacs.find("SERIES", SeriesInstanceUID=[series.uid for series in some])
        assert {record["SeriesInstanceUID"] for record in found} == {series.uid for series in some}
        wanted = [*list(studies[0].series[0].instances)[:5], "1.2.3.404"]
        found = pacs.find(
            "IMAGE", StudyInstanceUID=studies[0].uid, SeriesInstanceUID=studies[0].series[0].uid, SOPInstanceUID=wanted
        )
        assert sorted(record["SOPInstanceUID"] for record in found) == sorted(wanted[:-1])


@pytest.mark.parametrize("name", ["latin", "japan", "korea", "utf8", "gb18030"])
def test_names_in_any_character_set(subject: Subject, tmp_path: Path, name: str) -> None:
    study = subject.data.study(name)
    whole = NAMES[study.patient_id][1]
    with subject.opened(tmp_path) as pacs:
        (found,) = pacs.find(StudyInstanceUID=study.uid)
        assert found["PatientName"] == whole
        if differs(subject, "names"):
            # By the part in front of the first letter that is not ASCII.
            start = whole[: next(k for k, letter in enumerate(whole) if not letter.isascii())].rstrip("=")
            questions = [f"{start}*"]
        else:
            questions = [whole, f"{whole.partition('=')[0]}*"]
            if "=" in whole and differs(subject, "ideographs"):
                assert pacs.find(PatientName=f"*{whole.split('=')[1].partition('^')[0]}*").records() == []
            elif "=" in whole:
                questions.append(f"*{whole.split('=')[1].partition('^')[0]}*")
        for asked in questions:
            answers = pacs.find(PatientName=asked, counts=False).records()
            assert [each["StudyInstanceUID"] for each in answers] == [study.uid], asked


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_a_limit(subject: Subject, tmp_path: Path, limit: int) -> None:
    study = subject.data.study("thorax")
    with subject.opened(tmp_path) as pacs:
        found = pacs.find(limit=limit, counts=False).records()
        assert len(found) == min(limit, len(subject.studies))
        assert len({each["StudyInstanceUID"] for each in found}) == len(found)
        assert len(pacs.find("IMAGE", StudyInstanceUID=study.uid, limit=limit).records()) == min(limit, 31)


def test_relational_questions(subject: Subject, tmp_path: Path) -> None:
    # Where it is not negotiated, the same is asked level by level.
    with subject.opened(tmp_path) as pacs:
        found = pacs.find("SERIES", Modality="SR", relational=True, include=["StudyInstanceUID"]).records()
        assert [each["SeriesInstanceUID"] for each in found] == [subject.data.study("thorax").series[1].uid]
        learned = pacs.sources()[0].learned  # type: ignore[attr-defined]
        assert learned.relational is not differs(subject, "relational")


def test_a_cancel(subject: Subject, tmp_path: Path) -> None:
    with Proxy(subject.port) as line, subject.opened(tmp_path, line.url(subject.url), timeout=60) as pacs:
        assert len(pacs.find(limit=1, counts=False).records()) == 1
        line.stall()
        found = pacs.find()
        line.wait_for(lambda: line.from_client)
        cancelled = threading.Timer(0.3, found.cancel)
        cancelled.start()
        with pytest.raises(JobCancelledError):
            found.records()
        until(lambda: not [each for each in threading.enumerate() if each.name.startswith("pacs-find")])
        # It can be asked again.
        line.heal()
        line.cut()
        assert len(pacs.find(counts=False).records()) == len(subject.studies)


# -- fetching ---------------------------------------------------------------------------------------------------------


def test_a_study_by_each_way(subject: Subject, tmp_path: Path) -> None:
    study = subject.data.study("thorax")
    with subject.opened(tmp_path) as pacs:
        assert {way.name for way in pacs.ways()} == set(subject.ways)
    for way in subject.ways:
        with subject.opened(tmp_path / way) as pacs:
            report = pacs.retrieve(study.uid, ways=[way]).result(60)
            assert report.complete, reasons(report)
            assert sorted(numbers(report)) == [(1, 1, 0), (30, 30, 0)]
            assert {tuple(each.ways) for each in report.series} == {(way,)}
            assert_arrived(subject, pacs.index.path, study.instances)
            # What is here is not fetched again.
            again = pacs.retrieve(study.uid, ways=[way]).result(60)
            assert again.complete
            assert all(each.here == each.received and not each.bytes and not each.ways for each in again.series)


def test_a_series_and_instances(subject: Subject, tmp_path: Path) -> None:
    study = subject.data.study("thorax")
    series = study.series[0]
    some = dict(list(series.instances.items())[:4])
    with subject.opened(tmp_path / "series") as pacs:
        assert pacs.retrieve(study=study.uid, series=series.uid).result(60).complete
        assert_arrived(subject, pacs.index.path, series.instances)
    with subject.opened(tmp_path / "instances") as pacs:
        report = pacs.retrieve(study=study.uid, series=series.uid, instances=[*some, "1.2.3.404"]).result(60)
        assert [each.missing_uids for each in report.series] == [["1.2.3.404"]]
        assert_arrived(subject, pacs.index.path, some)


def test_everything_with_names_in_any_character_set(subject: Subject, tmp_path: Path) -> None:
    names = ("latin", "japan", "korea", "utf8", "gb18030", "bare", "follow-up")
    studies = [subject.data.study(name) for name in names]
    with subject.opened(tmp_path) as pacs:
        report = pacs.retrieve([study.uid for study in studies]).result(60)
        assert report.complete, reasons(report)
        assert_arrived(subject, pacs.index.path, instances(*studies))


def test_compressed_pixels_as_they_are_stored(subject: Subject, tmp_path: Path) -> None:
    if differs(subject, "compressed"):
        assert "packed" not in subject.data.studies
        return
    study = subject.data.study("packed")
    with subject.opened(tmp_path) as pacs:
        report = pacs.retrieve(study.uid).result(60)
        assert report.complete, reasons(report)
        found = rows(pacs.index.path)
    assert sorted(sop for sop, _ in found) == sorted(study.instances)
    for sop, path in found:
        got, stored = dcmread(path), dcmread(study.instances[sop])
        assert got.file_meta.TransferSyntaxUID == stored.file_meta.TransferSyntaxUID
        assert got.PixelData == stored.PixelData


def test_only_what_is_missing_is_fetched(subject: Subject, tmp_path: Path) -> None:
    study = subject.data.study("thorax")
    with subject.opened(tmp_path) as pacs:
        pacs.retrieve(study.uid).result(60)
        gone = [path for sop, path in rows(pacs.index.path) if sop in study.series[0].instances][:3]
        for path in gone:
            Path(path).unlink()
        report = pacs.retrieve(study.uid).result(60)
        assert report.complete, reasons(report)
        assert sum(each.received - each.here for each in report.series) == len(gone)
        assert_arrived(subject, pacs.index.path, study.instances)


def test_a_line_that_breaks(subject: Subject, tmp_path: Path) -> None:
    study = subject.data.study("thorax")
    with Proxy(subject.port) as line, subject.opened(tmp_path, line.url(subject.url)) as pacs:
        uids = [record["StudyInstanceUID"] for record in pacs.find(PatientID="ASCII", StudyDate="20240105")]
        line.cut_after(50_000)
        report = pacs.retrieve(uids, ways=[subject.ways[0]]).result(60)
        assert line.cuts == 1
        assert report.complete, reasons(report)
        assert_arrived(subject, pacs.index.path, study.instances)


def test_what_is_not_there(subject: Subject, tmp_path: Path) -> None:
    with subject.opened(tmp_path) as pacs:
        for how in ({"study": "1.2.3.404"}, {"PatientID": "NOBODY"}):
            with pytest.raises(UidNotFoundError):
                pacs.retrieve(**how).result(60)
        assert pacs.find("SERIES", StudyInstanceUID="1.2.3.404").records() == []


# -- sending ----------------------------------------------------------------------------------------------------------


def test_each_file_that_is_stored_has_its_result(empty: Subject, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("latin")
    nothing = tmp_path / "nothing.dcm"
    nothing.write_bytes(b"none")
    with empty.opened(tmp_path) as pacs:
        stored = pacs.store(*study.instances.values(), nothing).result(60)
        assert not stored.complete
        assert [each.path for each in stored.taken] == [str(path) for path in study.instances.values()]
        assert [(each.path, each.error["kind"]) for each in stored.failed] == [(str(nothing), "NotDicomError")]
        # Once more: nothing changes.
        assert pacs.store(*study.instances.values()).result(60).complete
        found = pacs.find("IMAGE", StudyInstanceUID=study.uid).records()
        assert asked_of(found, "IMAGE") == listed(empty, expected([study], "IMAGE"))
        assert pacs.retrieve(study.uid, to=tmp_path / "back").result(60).complete
        assert_arrived(empty, pacs.index.path, study.instances)


# -- errors -----------------------------------------------------------------------------------------------------------


def test_nobody_is_there(subject: Subject, tmp_path: Path, pacs_data: Data) -> None:
    away = subject.url.replace(str(subject.port), str(free_port()))
    with subject.opened(tmp_path, away, wado="") as pacs:
        with pytest.raises(PacsUnreachableError):
            pacs.find().records()
        with pytest.raises(PacsUnreachableError):
            pacs.retrieve("1.2.3").result(60)
        stored = pacs.store(*pacs_data.study("bare").instances.values()).result(60)
        assert {each.error["kind"] for each in stored.files} == {"PacsUnreachableError"}


def test_nobody_is_allowed(subject: Subject, tmp_path: Path, pacs_data: Data) -> None:
    wrong = dict(subject.wrong)
    with subject.opened(tmp_path, wrong.pop("url", ""), **wrong) as pacs:
        with pytest.raises(PacsRefusedError) as error:
            pacs.find().records()
        assert "x" * 22 not in str(error.value)
        with pytest.raises(PacsRefusedError):
            pacs.retrieve("1.2.3").result(60)
        stored = pacs.store(*pacs_data.study("bare").instances.values()).result(60)
        assert {each.error["kind"] for each in stored.files} == {"PacsRefusedError"}


def test_errors_name_no_patient(subject: Subject, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="slicer_notebook")
    away = subject.url.replace(str(subject.port), str(free_port()))
    with subject.opened(tmp_path, away) as pacs, pytest.raises(PacsError) as error:
        pacs.find(PatientName="Doe^Jane").records()
    assert "Doe" not in str(error.value) + caplog.text
