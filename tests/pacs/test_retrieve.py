"""Retrieval from real archives, by each way: what is wanted, and nothing twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from pydicom import dcmread

from slicer_notebook.dicom.index import Index
from slicer_notebook.errors import (
    ArgumentError,
    DeadlineError,
    JobCancelledError,
    PacsRefusedError,
    PacsUnreachableError,
    UidNotFoundError,
)
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.testing import Orthanc
from tests.dicom.make import CT, write_series
from tests.pacs.peers.data import Data, uid, write_series_of
from tests.pacs.peers.gated import Gated
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.real import RealPeer
from tests.pacs.retrieving import (
    assert_whole,
    files_below,
    held,
    instances,
    no_thread_left,
    numbers,
    opened,
    reasons,
    rows,
    until,
)


@pytest.fixture
def gated(pacs_data: Data) -> Iterator[Gated]:
    with Gated(pacs_data.study("thorax").instances.values(), allowed=10) as made:
        yield made


# -- by each way ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["C-GET", "C-MOVE"])
def test_a_patient_by_dimse_and_nothing_the_second_time(archive: RealPeer, tmp_path: Path, way: str) -> None:
    wanted = instances(archive.data.study("thorax"), archive.data.study("follow-up"))
    with opened(tmp_path, archive.url, port=archive.modalities["SLICER"]) as pacs:
        report = pacs.retrieve(PatientID="ASCII", ways=[way]).result(60)
        assert report.complete
        assert sorted(numbers(report)) == [(1, 1, 0), (3, 3, 0), (4, 4, 0), (30, 30, 0)]
        assert {tuple(each.ways) for each in report.series} == {(way,)}
        assert report.dropped == []
        assert_whole(pacs.index.path, wanted)
        again = pacs.retrieve(PatientID="ASCII", ways=[way]).result(60)
        assert again.complete
        assert sorted(numbers(again)) == sorted(numbers(report))
        assert all(each.here == each.received and not each.bytes and not each.ways for each in again.series)
    assert len(files_below(tmp_path / "index-files")) == len(wanted)
    assert not [path for path in tmp_path.rglob("*") if path.parent.name == ".settled"]  # there was nothing to be noted


@pytest.mark.parametrize("way", ["WADO-RS", "WADO-URI"])
def test_a_study_by_dicomweb_and_nothing_the_second_time(
    orthanc: Orthanc, pacs_data: Data, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTHANC_PASSWORD", orthanc.password)
    web = {"user": orthanc.user, "password": "env:ORTHANC_PASSWORD", "auth": "basic", "wado": orthanc.wado_url}
    with opened(tmp_path, orthanc.dicomweb_url, **web) as pacs:
        study = pacs_data.study("thorax")
        for ways in ([way], []):
            report = pacs.retrieve(study.uid, ways=[way]).result(60)
            assert report.complete, reasons(report)
            assert sorted(numbers(report)) == [(1, 1, 0), (30, 30, 0)]
            assert_whole(pacs.index.path, study.instances)
            ways += [way]
        assert all(not each.bytes for each in report.series)


def test_the_further_addresses_of_an_archive_are_ways_too(
    orthanc: Orthanc, pacs_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTHANC_PASSWORD", orthanc.password)
    settings = {
        "port": orthanc.modalities["SLICER"], "web": orthanc.dicomweb_url, "user": orthanc.user,
        "password": "env:ORTHANC_PASSWORD", "auth": "basic",
    }  # fmt: skip
    with opened(tmp_path, orthanc.dimse_url, **settings) as pacs:
        assert [way.name for way in pacs.ways()] == ["WADO-RS", "C-GET", "C-MOVE"]
        report = pacs.retrieve(pacs_data.study("follow-up").uid).result(60)
        assert report.complete
        assert {tuple(each.ways) for each in report.series} == {("WADO-RS",)}
        assert pacs.server.learned.ways == ["WADO-RS"]
        with pytest.raises(ArgumentError, match="has no way 'FTP'"):
            pacs.ways(["FTP"])


def test_compressed_images_come_as_they_are_stored(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("packed")
    for way in ("C-GET", "C-MOVE"):
        with opened(tmp_path / way, orthanc.dimse_url, port=orthanc.modalities["SLICER"]) as pacs:
            assert pacs.retrieve(study.uid, ways=[way]).result(60).complete
            syntaxes = {
                i.SOPInstanceUID: i.TransferSyntaxUID for s in pacs.index.series() for i in pacs.index.instances(s)
            }
            assert syntaxes == {sop: series.syntax for series in study.series for sop in series.instances}
            for sop, path in rows(pacs.index.path):
                got, stored = dcmread(path), dcmread(study.instances[sop])
                # Orthanc leaves out the trailing padding of some, and calls their pixels OB.
                assert {tag for tag in stored.keys() if tag not in got} <= {0xFFFCFFFC}  # noqa: SIM118
                assert got.PixelData == stored.PixelData
                assert all(element.value == stored[element.tag].value for element in got), sop


# -- what is wanted ---------------------------------------------------------------------------------------------------


def test_series_instances_rows_and_answers(archive: RealPeer, tmp_path: Path) -> None:
    thorax, follow_up = archive.data.study("thorax"), archive.data.study("follow-up")
    ct = max(thorax.series, key=lambda each: len(each.instances))
    some = sorted(ct.instances)[:4]
    cases: list[tuple[Any, dict[str, Any], set[str]]] = [
        (None, {"study": thorax.uid, "series": ct.uid}, set(ct.instances)),
        (None, {"study": thorax.uid, "series": ct.uid, "instances": some}, set(some)),
        ([thorax.uid, follow_up.uid], {}, set(instances(thorax, follow_up))),
    ]
    with opened(tmp_path / "asks", archive.url) as pacs:
        series = pacs.find("SERIES", StudyInstanceUID=follow_up.uid)
        images = pacs.find("IMAGE", StudyInstanceUID=thorax.uid, SeriesInstanceUID=ct.uid)
        cases += [
            (series, {}, set(follow_up.instances)),
            (
                series.records()[0],
                {},
                set(next(s for s in follow_up.series if s.uid == series.records()[0]["SeriesInstanceUID"]).instances),
            ),
            (series.frame(), {}, set(follow_up.instances)),
            (
                pandas.concat([series.frame(), images.frame().head(2)]),
                {},
                set(follow_up.instances) | {r["SOPInstanceUID"] for r in images.records()[:2]},
            ),
            (images.frame().iloc[3], {}, {images.records()[3]["SOPInstanceUID"]}),
        ]
    for number, (what, how, wanted) in enumerate(cases):
        with opened(tmp_path / str(number), archive.url) as pacs:
            report = pacs.retrieve(what, **how).result(60)
            assert report.complete, (number, reasons(report))
            assert {sop for sop, _ in rows(pacs.index.path)} == wanted, number
            assert report.received == sum(each.expected or 0 for each in report.series) == len(wanted)


def test_keys_choose_what_is_retrieved(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    one = next(iter(pacs_data.study("utf8").instances))
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"PatientID": "ASCII", "Modality": "SR"}, set(pacs_data.study("thorax").series[1].instances)),
        ({"study": pacs_data.study("latin").uid, "Modality": "SEG"}, set(pacs_data.study("latin").series[1].instances)),
        ({"SeriesInstanceUID": pacs_data.study("bare").series[0].uid}, set(pacs_data.study("bare").instances)),
        ({"SOPInstanceUID": one}, {one}),
        ({"StudyDate": "20240301-20240302"}, set(instances(pacs_data.study("japan"), pacs_data.study("korea")))),
    ]  # fmt: skip
    for number, (keys, wanted) in enumerate(cases):
        with opened(tmp_path / str(number), orthanc.dimse_url) as pacs:
            assert pacs.retrieve(**keys).result(60).complete
            assert {sop for sop, _ in rows(pacs.index.path)} == wanted, keys


def test_what_is_here_in_another_place_is_not_fetched(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    elsewhere = tmp_path / "disc"
    elsewhere.mkdir()
    for number, path in enumerate(sorted(study.instances.values())[:12]):
        (elsewhere / f"{number}.dcm").write_bytes(path.read_bytes())
    with opened(tmp_path, orthanc.dimse_url) as pacs:
        pacs.index.add(elsewhere)
        report = pacs.retrieve(study.uid).result(60)
        assert report.complete
        assert sum(each.here for each in report.series) == 12
        assert len(files_below(tmp_path / "index-files")) == 31 - 12
        # A file that was removed since is fetched again.
        (elsewhere / "3.dcm").unlink()
        again = pacs.retrieve(study.uid).result(60)
        assert again.complete
        assert sum(each.received - each.here for each in again.series) == 1


def test_files_that_are_not_in_the_index_yet_are_found(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("follow-up")
    with opened(tmp_path, orthanc.dimse_url) as pacs:
        pacs.retrieve(study.uid).result(60)
        (tmp_path / "index.sqlite3").rename(tmp_path / "lost.sqlite3")
    with Pacs(pacs.server, index=tmp_path / "index.sqlite3") as again:
        report = again.retrieve(study.uid).result(60)
        assert report.complete
        assert all(not each.ways for each in report.series)
        assert_whole(again.index.path, study.instances)


def test_a_folder_of_ones_own(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    with opened(tmp_path, orthanc.dimse_url) as pacs:
        report = pacs.retrieve(pacs_data.study("bare").uid, to=tmp_path / "mine").result(60)
    assert report.folder == str(tmp_path / "mine")
    assert len(files_below(tmp_path / "mine")) == 3
    assert not (tmp_path / "index-files").exists()


# -- what is not there ------------------------------------------------------------------------------------------------


def test_what_the_pacs_does_not_have(archive: RealPeer, tmp_path: Path) -> None:
    with opened(tmp_path, archive.url) as pacs:
        for how in ({"study": "1.2.3.4.5"}, {"study": "1.2.3.4.5", "series": "1.2.3.4.5.6"}, {"PatientID": "NOBODY"}):
            transfer = pacs.retrieve(**how)
            with pytest.raises(UidNotFoundError, match="has nothing"):
                transfer.result(60)
            assert not transfer.report.complete
            assert transfer.report.server == "peer"


def test_one_of_two_that_is_not_there(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("bare")
    with opened(tmp_path, orthanc.dimse_url) as pacs:
        report = pacs.retrieve(["1.2.3.4.5", study.uid]).result(60)
        assert not report.complete
        assert {each.StudyInstanceUID: each.state for each in report.series} == {
            "1.2.3.4.5": "incomplete",
            study.uid: "complete",
        }
        one = sorted(study.instances)[0]
        named = pacs.retrieve(study=study.uid, series=study.series[0].uid, instances=[one, "1.2.3.9"]).result(60)
        assert not named.complete
        assert [(each.missing, each.missing_uids) for each in named.series] == [(1, ["1.2.3.9"])]


def test_a_pacs_that_is_not_there_says_so_at_once(tmp_path: Path) -> None:
    from slicer_notebook.testing import free_port

    with opened(tmp_path, f"dimse://PACS@127.0.0.1:{free_port()}") as pacs:
        began = time.monotonic()
        with pytest.raises(PacsUnreachableError, match="cannot be reached"):
            pacs.retrieve("1.2.3").result(60)
        assert time.monotonic() - began < 5


def test_a_stranger_is_told_so(orthanc: Orthanc, tmp_path: Path) -> None:
    with (
        opened(tmp_path, orthanc.dimse_url, calling="STRANGER") as pacs,
        pytest.raises(PacsRefusedError, match="STRANGER"),
    ):
        pacs.retrieve("1.2.3").result(60)


@pytest.mark.parametrize(("share", "miscount", "listed"), [(1.0, 0, False), (0.5, 0, True), (1.0, 1, True)])
def test_instances_are_listed_where_it_takes_that_to_tell(
    pacs_data: Data, tmp_path: Path, share: float, miscount: int, listed: bool
) -> None:
    study = pacs_data.study("follow-up")
    with Liar(study.instances.values()) as liar:
        liar.lies.share, liar.lies.miscount = share, miscount
        liar.lies.operations = 1
        with opened(tmp_path, liar.url) as pacs:
            report = pacs.retrieve(study.uid).result(60)
            assert report.complete
            assert_whole(pacs.index.path, study.instances)
            levels = [asked.level for asked in liar.asked if asked.service == "find"]
            assert ("IMAGE" in levels) is listed
            # The second time what is here is compared with a list.
            pacs.retrieve(study.uid).result(60)
            assert "IMAGE" in [asked.level for asked in liar.asked if asked.service == "find"]


def test_the_first_series_comes_alone_where_somebody_waits_for_it(
    orthanc: Orthanc, pacs_data: Data, tmp_path: Path
) -> None:
    study = pacs_data.study("thorax")
    seen: list[Counter[str]] = []

    def look(transfer: Any) -> None:
        seen.append(Counter(each.state for each in transfer.report.series))

    with opened(tmp_path, orthanc.dimse_url, parallel=2) as pacs:
        assert pacs.retrieve(study.uid, first_alone=True, on_progress=look).result(60).complete
    assert len(study.series) > 1
    assert all(states["fetching"] <= 1 for states in seen if not states["complete"])
    assert any(states["complete"] == len(study.series) for states in seen)


# -- watched, paused, cancelled ---------------------------------------------------------------------------------------


def test_progress_and_await(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    seen: list[int] = []

    async def main() -> None:
        with opened(tmp_path, orthanc.dimse_url) as pacs:
            report = await pacs.retrieve(
                pacs_data.study("thorax").uid, on_progress=lambda transfer: seen.append(transfer.report.received)
            )
            assert report.complete

    asyncio.run(main())
    assert seen == sorted(seen)
    assert seen[-1] == 31


def test_pause_and_resume(gated: Gated, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    with opened(tmp_path, gated.url, parallel=1) as pacs:
        transfer = pacs.retrieve(study.uid)
        gated.wait_for(lambda: len(gated.sent) == 10)
        transfer.pause()
        gated.wait_for(lambda: gated.cancelled == 1)
        assert transfer.paused
        gated.allow(None)
        with pytest.raises(DeadlineError):
            transfer.result(0.5)
        until(lambda: held(pacs.index, [study.uid]) >= 10)
        sent = len(gated.sent)
        transfer.resume()
        report = transfer.result(60)
        assert report.complete
        assert_whole(pacs.index.path, study.instances)
        assert len(gated.sent) - sent <= 31 - 10 + 1  # what was here is not sent again
        assert reasons(report) == ""


def test_a_pause_before_it_begins_and_a_cancel_of_what_is_paused(gated: Gated, pacs_data: Data, tmp_path: Path) -> None:
    gated.allow(None)
    with opened(tmp_path, gated.url) as pacs:
        transfer = pacs.retrieve(pacs_data.study("thorax").uid)
        transfer.pause()
        with pytest.raises(DeadlineError):
            transfer.result(0.5)
        transfer.cancel()
        with pytest.raises(JobCancelledError):
            transfer.result(10)


def test_a_cancel_keeps_what_has_come_and_tells_the_peer(gated: Gated, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    with opened(tmp_path, gated.url, parallel=1) as pacs:
        transfer = pacs.retrieve(study.uid)
        gated.wait_for(lambda: len(gated.sent) == 10)
        transfer.cancel()
        with pytest.raises(JobCancelledError):
            transfer.result(10)
        gated.wait_for(lambda: gated.cancelled == 1)
        assert transfer.report.received >= 10
        assert held(pacs.index, [study.uid]) == transfer.report.received
        assert not list((tmp_path / "index-files" / ".arriving").rglob("*"))
        gated.allow(None)
        assert pacs.retrieve(study.uid).result(60).complete
        assert_whole(pacs.index.path, study.instances)


def test_a_cancel_in_a_transfer_that_never_waits(fresh_orthanc: Any, tmp_path: Path) -> None:
    study = write_series_of(tmp_path / "files", 400, size=256)
    archive = fresh_orthanc(tmp_path / "files")
    with opened(tmp_path, archive.dimse_url) as pacs:
        transfer = pacs.retrieve(study.uid)
        until(lambda: any(each.state == "fetching" for each in transfer.report.series))
        transfer.cancel()
        with pytest.raises(JobCancelledError):
            transfer.result(10)
        assert transfer.report.received < 400


def test_no_thread_is_left(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    with no_thread_left(), opened(tmp_path, orthanc.dimse_url) as pacs:
        pacs.retrieve(pacs_data.study("follow-up").uid).result(60)


# -- growth -----------------------------------------------------------------------------------------------------------


def test_a_study_that_grows_while_it_is_retrieved(fresh_orthanc: Any, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("follow-up")
    first, second = study.series
    archive = fresh_orthanc(sorted(first.instances.values())[:2])
    later = iter([sorted(first.instances.values())[2:], list(second.instances.values())])

    def look(transfer: Any) -> None:
        if any(each.state == "complete" for each in transfer.report.series):
            archive.upload(next(later, []) or [next(iter(first.instances.values()))])

    with opened(tmp_path, archive.dimse_url) as pacs:
        report = pacs.retrieve(study.uid, on_progress=look).result(60)
        assert report.complete
        assert sorted(numbers(report)) == [(3, 3, 0), (4, 4, 0)]
        assert_whole(pacs.index.path, study.instances)


def test_a_study_that_never_ends_growing(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    files = list(study.series[0].instances.values())
    with Liar(files[:2]) as liar:
        from tests.pacs.peers.held import hold

        more = iter(files[2:])

        def look(transfer: Any) -> None:
            if transfer.report.series and all(each.state == "complete" for each in transfer.report.series):
                liar.held += hold([path for path in [next(more, None)] if path])

        with opened(tmp_path, liar.url) as pacs:
            report = pacs.retrieve(study.uid, on_progress=look).result(60)
            assert not report.complete
            assert "growing" in reasons(report)
            while not report.complete:
                report = pacs.retrieve(study.uid, on_progress=look).result(60)
            assert report.received == len(liar.held)


# -- large studies ----------------------------------------------------------------------------------------------------


def test_a_study_of_300_series(fresh_orthanc: Any, tmp_path: Path) -> None:
    for number in range(300):
        write_series(
            tmp_path / "files" / str(number), shape=(1, 8, 8), sop_class=CT, StudyInstanceUID=uid("many"),
            SeriesInstanceUID=uid("many", number), SeriesNumber=number,
            each=lambda k, number=number: {"SOPInstanceUID": uid("many", number, k)},
        )  # fmt: skip
    archive = fresh_orthanc(tmp_path / "files")
    with opened(tmp_path, archive.dimse_url) as pacs:
        began = time.monotonic()
        report = pacs.retrieve(uid("many")).result(100)
        print(f"300 series: {time.monotonic() - began:.1f} s")  # noqa: T201
        assert report.complete
        assert len(report.series) == report.received == 300
        frame = pacs.find("SERIES", StudyInstanceUID=uid("many")).frame()
        began = time.monotonic()
        assert pacs.retrieve(frame).result(100).complete
        print(f"again, as 300 rows: {time.monotonic() - began:.1f} s")  # noqa: T201


def test_reports_are_plain_data(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    import msgspec

    with opened(tmp_path, orthanc.dimse_url) as pacs:
        transfer = pacs.retrieve(pacs_data.study("bare").uid)
        report = transfer.result(60)
    json.dumps(msgspec.to_builtins(report))
    assert "Bare" not in repr(transfer) + repr(pacs)
    assert repr(transfer) == "<Transfer from 'peer': 3 of 3 instances, ended>"
    assert isinstance(pacs.index, Index)
