"""OsiriX's methods that fetch: from a real Orthanc, from PACS that lie, from a web server."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import slicer_notebook as sn
from slicer_notebook.pacs import config
from slicer_notebook.testing import free_port
from tests.commands.transferring import ENDED, Servers, Transfers
from tests.pacs.dicomweb.faulty import Faulty, Reply
from tests.pacs.peers.data import Data

#: Seconds that something may take to be here, or shown.
DEADLINE = 60.0


class Osirix:
    """OsiriX's methods as a command, and what came of them."""

    def __init__(self, slicer: sn.Session) -> None:
        self.slicer = slicer

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.slicer.call(
            "osirix.call", method=method, params=params, database=self.slicer.dicom.database
        )
        return found

    def error(self, method: str, **params: Any) -> str | None:
        return self(method, **params)["error"]

    def until(self, condition: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, what

    def until_shown(self, series: str) -> None:
        self.until(lambda: series in {each["series"] for each in self.slicer.call("dicom.displayed")}, "it is shown")

    def here(self, study: str) -> int:
        """Instances of a study in the index."""
        found = self.slicer.call(
            "dicom.studies", filters={"StudyInstanceUID": study}, database=self.slicer.dicom.database
        )
        return int(found[0]["NumberOfStudyRelatedInstances"]) if found else 0


@pytest.fixture
def osirix(transfers: Transfers) -> Iterator[Osirix]:
    """With an index of its own; transfers end with the test."""
    found = Osirix(transfers.slicer)
    yield found
    # Also those that no event has told of yet.
    found.slicer.call("pacs.cancel")
    found.until(lambda: all(entry["state"] in ENDED for entry in found.slicer.call("pacs.transfers")), "their end")


@pytest.fixture
def hospital(servers: Servers, orthanc: Any) -> str:
    """A real Orthanc, called hospital."""
    return servers.add(orthanc.dimse_url, name="hospital", calling="SLICER")


# -- Retrieve --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [("StudyInstanceUID", None), ("AccessionNumber", "A0003"), ("PatientID", "BARE"), ("PatientName", "Bare*")],
)
def test_retrieve_from_a_real_pacs(osirix: Osirix, hospital: str, pacs_data: Data, key: str, value: str | None) -> None:
    study = pacs_data.study("bare")
    found = osirix("Retrieve", serverName=hospital, filterKey=key, filterValue=value or study.uid)
    assert (found["status"], found["error"]) == (200, "0")
    osirix.until(lambda: osirix.here(study.uid) == 3, "all of the study")
    assert osirix.slicer.call("dicom.displayed") == [], "nothing is opened that nobody asked for"


def test_retrieve_by_several_filters_and_open(osirix: Osirix, hospital: str, pacs_data: Data) -> None:
    study = pacs_data.study("follow-up")
    params = {
        "filterKey": "PatientID", "filterValue": "ASCII", "filterKey2": "StudyDate", "filterValue2": "20240505",
        "filterKey9": "Modality", "filterValue9": "CT", "then": "open",
    }  # fmt: skip
    assert osirix.error("retrieve", serverName=hospital, **params) == "0"
    osirix.until_shown(study.series[0].uid)
    osirix.until(lambda: osirix.here(study.uid) == 7, "all of it")
    assert osirix.here(pacs_data.study("thorax").uid) == 0, "all filters must match"


def test_retrieve_a_series(osirix: Osirix, hospital: str, pacs_data: Data) -> None:
    study = pacs_data.study("follow-up")
    params = {"filterKey": "StudyInstanceUID", "filterValue": study.uid, "filterKey2": "SeriesInstanceUID"}
    assert osirix.error("Retrieve", serverName=hospital, filterValue2=study.series[1].uid, **params) == "0"
    osirix.until(lambda: osirix.here(study.uid) == 3, "the series")


@pytest.fixture
def both(servers: Servers, osirix: Osirix, orthanc: Any) -> str:
    """A real Orthanc, spoken to by DIMSE and by HTTP."""
    osirix.slicer.call("code.run", code=f"import os; os.environ['ORTHANC_PASSWORD'] = {orthanc.password!r}")
    how = {"web": orthanc.dicomweb_url, "auth": "basic", "user": orthanc.user, "password": "env:ORTHANC_PASSWORD"}
    return servers.add(orthanc.dimse_url, calling="SLICER", **how)


@pytest.mark.parametrize(("mode", "way"), [("1", "C-GET"), (1, "C-GET"), ("2", "WADO"), ("0", ""), ("7", "")])
def test_retrieve_modes(osirix: Osirix, both: str, pacs_data: Data, mode: Any, way: str) -> None:
    study = pacs_data.study("bare")
    found = osirix("Retrieve", serverName=both, filterKey="StudyInstanceUID", filterValue=study.uid, retrieveMode=mode)
    assert found["error"] == "0"
    osirix.until(lambda: osirix.here(study.uid) == 3, "all of it")
    (entry,) = osirix.slicer.call("pacs.transfers")
    ways = {used for series in entry["series"] for used in series["ways"]}
    assert all(used.startswith(way) for used in ways), ways
    assert ways


def test_retrieve_without_success(osirix: Osirix, hospital: str, servers: Servers) -> None:
    servers.add(f"dimse://NOBODY@127.0.0.1:{free_port()}", name="closed")
    one = {"filterKey": "PatientID", "filterValue": "BARE"}
    assert osirix("Retrieve", **one)["status"] == 400
    assert osirix("Retrieve", serverName="", **one)["status"] == 400
    assert osirix.error("Retrieve", serverName="nosuch", **one) == "-2"
    assert osirix.error("Retrieve", serverName="Hospital", **one) == "-2", "exactly so"
    assert osirix.error("Retrieve", serverName=hospital, filterKey="PatientID", filterValue="NOBODY") == "-3"
    assert osirix.error("Retrieve", serverName="closed", **one) == "-1"
    assert osirix.error("Retrieve", serverName=hospital, filterKey="NoKeyword", filterValue="x") == "-1"
    assert osirix.error("Retrieve", serverName=hospital, retrieveMode="2", **one) == "-1", "it has no WADO"
    assert osirix.slicer.call("pacs.transfers") == []


def test_nobody_retrieves_a_whole_pacs(osirix: Osirix, hospital: str) -> None:
    assert osirix("Retrieve", serverName=hospital)["status"] == 400
    assert osirix("Retrieve", serverName=hospital, filterKey="PatientID")["status"] == 400
    assert osirix.error("Retrieve", serverName=hospital, filterKey="PatientID", filterValue="*") == "-1"
    assert osirix.slicer.call("pacs.transfers") == []


def test_retrieve_only_what_is_needed(osirix: Osirix, hospital: str, pacs_data: Data) -> None:
    study = pacs_data.study("bare")
    params = {
        "serverName": hospital, "filterKey": "StudyInstanceUID", "filterValue": study.uid, "then": "open",
        "retrieveOnlyIfNeeded": "yes",
    }  # fmt: skip
    assert osirix.error("Retrieve", **params) == "0"
    osirix.until_shown(study.series[0].uid)
    osirix.until(lambda: osirix.slicer.call("pacs.transfers")[0]["state"] == "done", "the transfer's end")
    osirix("CloseAllWindows")
    assert osirix.error("Retrieve", **params) == "0"
    osirix.until_shown(study.series[0].uid)
    assert len(osirix.slicer.call("pacs.transfers")) == 1, "it was not retrieved again"


def test_what_is_here_will_do_where_the_pacs_is_gone(osirix: Osirix, servers: Servers, pacs_data: Data) -> None:
    study = pacs_data.study("bare")
    osirix.slicer.dicom.index(*study.instances.values()).result(DEADLINE)
    servers.add(f"dimse://NOBODY@127.0.0.1:{free_port()}", name="closed")
    params = {"serverName": "closed", "filterKey": "AccessionNumber", "filterValue": "A0003", "then": "open"}
    assert osirix.error("Retrieve", **params) == "-1"
    found = osirix("Retrieve", retrieveOnlyIfNeeded="yes", **params)
    assert found["error"] == "0"
    assert "not asked" in found["why"]
    osirix.until_shown(study.series[0].uid)
    assert osirix.error("Retrieve", **{**params, "retrieveOnlyIfNeeded": "yes", "filterValue": "other"}) == "-1"


# -- CMove -----------------------------------------------------------------------------------------------------------


def test_c_move(osirix: Osirix, hospital: str, pacs_data: Data) -> None:
    study = pacs_data.study("bare")
    assert osirix.error("CMove", accessionNumber="A0003", server=hospital) == "0"
    osirix.until(lambda: osirix.here(study.uid) == 3, "all of it")
    assert osirix.error("CMove", accessionNumber="nothing", server=hospital) == "0", "nobody waits for the answer"


def test_c_move_takes_numbers(osirix: Osirix, servers: Servers, pacs_data: Data) -> None:
    name, peer = servers.gated(pacs_data.study("bare"))
    assert osirix.error("CMove", accessionNumber=12345, server=name) == "0"
    peer.wait_for(lambda: any(asked.service == "find" for asked in peer.asked))


def test_c_move_without_success(osirix: Osirix, hospital: str) -> None:
    assert osirix.error("CMove", accessionNumber="A0003", server="nosuch") == "-1"
    for params in (
        {},
        {"server": hospital},
        {"accessionNumber": "A0003"},
        {"accessionNumber": "*", "server": hospital},
    ):
        assert osirix("CMove", **params)["status"] == 400
    assert osirix.slicer.call("pacs.transfers") == []


# -- on demand -------------------------------------------------------------------------------------------------------


_FIND = {"request": "accessionNumber == 'A0003' AND numberOfImages > 0", "table": "Study", "execute": "Open"}


@pytest.mark.parametrize(
    ("method", "params"),
    [("DisplayStudy", {"AccessionNumber": "A0003"}), ("DisplayStudy", {"PatientID": "BARE"}), ("DBWindowFind", _FIND)],
)
def test_what_is_not_here_is_fetched_and_shown(
    osirix: Osirix, hospital: str, pacs_data: Data, method: str, params: dict[str, Any]
) -> None:
    config.add("closed", f"dimse://NOBODY@127.0.0.1:{free_port()}", replace=True, connect_timeout=3.0)
    study = pacs_data.study("bare")
    try:
        found = osirix(method, **params)
    finally:
        config.remove("closed")
    assert found["error"] == "0"
    assert [each["studyInstanceUID"] for each in found["elements"]] == [study.uid]
    osirix.until_shown(study.series[0].uid)


def test_what_has_come_in_part_is_loaded_once_and_whole(osirix: Osirix, servers: Servers, pacs_data: Data) -> None:
    study = pacs_data.study("follow-up")
    first, second = study.series
    _, peer = servers.gated(study, allowed=5)
    found = osirix("DisplayStudy", StudyInstanceUID=study.uid)
    assert [each["studyInstanceUID"] for each in found["elements"]] == [study.uid]
    osirix.until_shown(first.uid)
    peer.allow(None)
    osirix.until(lambda: second.uid in osirix.slicer.call("loads.loaded"), "the second series")
    loaded = osirix.slicer.call("loads.loaded")
    assert {uid: len(nodes) for uid, nodes in loaded.items()} == {first.uid: 1, second.uid: 1}
    assert loaded[second.uid][0].array.shape[0] == 3


def test_what_no_pacs_has(osirix: Osirix, hospital: str) -> None:
    assert osirix.error("DisplayStudy", PatientID="NOBODY") == "-1"
    # None of these may be asked for: wild cards, a name alone, nothing that must be equal.
    assert osirix.error("DisplayStudy", PatientID="BAR*") == "-1"
    for request in ("name == 'Bare^Ben'", "accessionNumber LIKE 'A*'", "NOT (patientID == 'BARE')"):
        assert osirix.error("DBWindowFind", request=request, table="Study", execute="Open") == "-1"
    assert osirix.error("DBWindowFind", request="patientID == 'BARE'", table="Study") == "-1", "only to be opened"
    assert osirix.slicer.call("pacs.transfers") == []


def test_a_pacs_that_is_slow_is_waited_for_so_long_and_no_longer(
    osirix: Osirix, servers: Servers, pacs_data: Data
) -> None:
    """The transfer goes on, and what it brings is shown."""
    study = pacs_data.study("bare")
    _, peer = servers.gated(study, allowed=0)
    osirix.slicer.call("code.run", code=_ON_DEMAND.format(seconds=1.0))
    try:
        assert osirix.error("DisplayStudy", PatientID="BARE") == "-1"
        peer.allow(None)
        osirix.until_shown(study.series[0].uid)
    finally:
        osirix.slicer.call("code.run", code=_ON_DEMAND.format(seconds=20.0))


def test_a_pacs_that_is_silent(osirix: Osirix, servers: Servers, pacs_data: Data) -> None:
    _, peer = servers.gated(pacs_data.study("bare"))
    peer.lies.hang = {"find"}
    osirix.slicer.call("code.run", code=_ON_DEMAND.format(seconds=1.0))
    try:
        assert osirix.error("DisplayStudy", PatientID="BARE") == "-1"
    finally:
        osirix.slicer.call("code.run", code=_ON_DEMAND.format(seconds=20.0))


# -- DownloadURL -----------------------------------------------------------------------------------------------------


@pytest.fixture
def zipped(pacs_data: Data) -> Iterator[str]:
    """The address of a study's files in a ZIP archive, with a token."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, path in enumerate(pacs_data.study("bare").instances.values()):
            archive.write(path, f"{number}.dcm")
    with Faulty(lambda _request: Reply(200, buffer.getvalue(), {"Content-Type": "application/zip"})) as server:
        yield f"http://127.0.0.1:{server.port}/link/tok-SECRET-0123456789abcdef/studies?accept=application/zip"


@pytest.mark.parametrize("display", ["YES", "true", "1", True, 1])
def test_download_and_display(osirix: Osirix, zipped: str, pacs_data: Data, display: Any) -> None:
    study = pacs_data.study("bare")
    found = osirix("DownloadURL", URL=f"{zipped}&studyUID={study.uid}", Display=display)
    assert (found["status"], found["error"]) == (200, "0")
    osirix.until_shown(study.series[0].uid)


@pytest.mark.parametrize(("display", "query"), [(None, "&studyUID={}"), ("NO", "&studyUID={}"), ("YES", "")])
def test_download_without_display(
    osirix: Osirix, zipped: str, pacs_data: Data, display: str | None, query: str
) -> None:
    """Also where it is asked for, but the address names no study."""
    study = pacs_data.study("bare")
    params = {"URL": zipped + query.format(study.uid)} | ({"Display": display} if display else {})
    assert osirix.error("downloadurl", **params) == "0"
    osirix.until(lambda: osirix.here(study.uid) == 3, "all of it")
    assert osirix.slicer.call("loads.list") == []


def test_what_cannot_be_downloaded_is_accepted_all_the_same(osirix: Osirix) -> None:
    assert osirix.error("DownloadURL", URL=f"http://127.0.0.1:{free_port()}/x.dcm") == "0"
    assert osirix("DownloadURL")["status"] == 400
    assert osirix("DownloadURL", url="http://127.0.0.1/x.dcm")["status"] == 400, "case counts"


_ON_DEMAND = "import slicer_notebook.commands.osirix_pacs as _p; _p.ON_DEMAND = {seconds}"
