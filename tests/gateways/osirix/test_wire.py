"""OsiriX's XML-RPC over the wire: the protocol, and each method with its answers; docs/osirix.md has a table."""

from __future__ import annotations

import queue
import socket
import urllib.parse
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import slicer_notebook as sn
from tests.gateways.osirix.conftest import DEADLINE, Desk
from tests.gateways.osirix.test_xmlrpc import PUBLISHED
from tests.gateways.serving import parts

DOE, MULLER = "1.2.9.1", "1.2.9.2"
ALL = "<methodCall><methodName>GetDisplayed2DViewerSeries</methodName></methodCall>"

# -- the protocol ---------------------------------------------------------------------------------------------------


def test_an_answer(desk: Desk) -> None:
    status, headers, body = desk.post(ALL)
    assert (status, headers["content-type"], headers["connection"]) == (200, "text/xml", "close")
    assert int(headers["content-length"]) == len(body)
    assert body == (
        b'<?xml version="1.0"?><methodResponse><params><param><value><struct><member><name>error</name><value>0</value>'
        b"</member><member><name>elements</name><value><array><data></data></array></value></member></struct></value>"
        b"</param></params></methodResponse>"
    )


@pytest.mark.parametrize("verb", ["POST", "PUT", "GET", "DELETE", "FOO"])
@pytest.mark.parametrize("path", ["/", "/RPC2", "/any/path?with=query", "*"])
def test_path_and_verb_do_not_matter(desk: Desk, verb: str, path: str) -> None:
    head = f"{verb} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(ALL)}\r\n\r\n"
    status, _, body = desk.raw(head + ALL)
    if (verb, path) == ("FOO", path):  # no method of HTTP that the parser knows
        assert status == 400
        return
    if path == "*":  # a path for OPTIONS alone
        assert status in (200, 400)
        return
    assert (status, b"<value>0</value>" in body) == (200, True)


@pytest.mark.parametrize(
    "head",
    [
        "POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\ncontent-length: {}\r\nContent-Type: text/plain\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nUser-Agent: xmlrpclib.py/1.0.1\r\n"
        "Content-Type: text/xml; charset=utf-8\r\nConnection: keep-alive\r\n\r\n",
    ],
)
def test_clients_of_all_kinds(desk: Desk, head: str) -> None:
    assert desk.raw(head.format(len(ALL)) + ALL)[0] == 200


def test_a_body_in_pieces(desk: Desk) -> None:
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{len(ALL):x}\r\n{ALL}\r\n0\r\n\r\n"
    with socket.create_connection((desk.gateway.host, desk.gateway.port), DEADLINE) as sock:
        for at in range(0, len(head), 7):
            sock.sendall(head[at : at + 7].encode())
        answer = b""
        while more := sock.recv(65536):
            answer += more
    assert parts(answer)[0] == 200


@pytest.mark.parametrize(
    "name", ["getdisplayed2dviewerseries", "GETDISPLAYED2DVIEWERSERIES", " GetDisplayed2DViewerSeries\n"]
)
def test_method_names_are_matched_without_case(desk: Desk, name: str) -> None:
    assert desk.post(f"<methodCall><methodName>{name}</methodName></methodCall>")[0] == 200


def test_parameter_names_are_matched_with_case_and_empty_text_is_missing(desk: Desk) -> None:
    assert desk.status("Close2DViewerWithSeriesUID", {"UID": "1.2"}) == 400
    assert desk.status("Close2DViewerWithSeriesUID", {"uid": ""}) == 400
    assert desk.status("Close2DViewerWithSeriesUID", {"uid": "1.2"}) == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<methodCall><methodName>CloseAllWindows</methodName>", 400), ("no XML", 400),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><methodCall/>", 400), ("", 500), ("<methodCall/>", 500), ("<a/>", 500),
        ("<methodCall><methodName>Nonsense</methodName></methodCall>", 500),
        ("<methodCall><methodName/></methodCall>", 500),
        ("<methodCall><methodName>CloseAllWindows</methodName><methodName>x</methodName></methodCall>", 500),
    ],
)  # fmt: skip
def test_refusals_are_statuses_with_an_empty_body(desk: Desk, body: str, status: int) -> None:
    found = desk.post(body)
    assert (found[0], found[1]["content-length"], found[2]) == (status, "0", b"")


def test_a_body_that_is_too_long(desk: Desk) -> None:
    status, headers, body = desk.raw("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000\r\n\r\n")
    assert (status, headers["content-length"], body) == (413, "0", b"")


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}, {"Referer": "http://evil.example/a"}],
)
def test_no_web_page_reaches_it(desk: Desk, headers: dict[str, str]) -> None:
    status, _, body = desk.post(ALL, **headers)
    assert (status, body) == (403, b"")


def test_no_other_name_of_this_machine_reaches_it(desk: Desk) -> None:
    assert desk.raw(f"POST / HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {len(ALL)}\r\n\r\n{ALL}")[0] == 403


def test_a_token(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(token="0123456789abcdef")
    assert desk.status("CloseAllWindows") == 401
    assert desk.post(ALL, X_Slicer_Token="0123456789abcdef")[0] == 200
    assert desk.post(ALL, Authorization="Bearer 0123456789abcdef")[0] == 200


def test_get_with_the_method_in_the_query(desk: Desk) -> None:
    """As OsiriX's manual promises; Horos answers 500."""
    request = urllib.parse.quote("name == 'DOE JANE'")
    status, body = desk.get(f"?methodName=FindObject&table=Study&request={request}")
    assert status == 200
    (found,), _ = xmlrpc.client.loads(body.decode())
    assert [each["studyInstanceUID"] for each in found["elements"]] == [DOE]
    assert desk.get("?methodName=findobject&table=Study&request=name+%3D%3D+%27x%27")[0] == 200
    assert desk.get("")[0] == 500
    assert desk.get("?PatientID=P2")[0] == 500
    assert desk.get("?methodName=DisplayStudy")[0] == 400


def test_the_log_names_the_method_and_no_patient(desk: Desk) -> None:
    desk.rpc.FindObject({"request": "name == 'DOE JANE'", "table": "Study"})
    desk.rpc.FindObject({"request": "name == 'NOBODY'", "table": "Study"})
    desk.status("FindObject", {"request": "name = DOE", "table": "Study"})
    desk.get("?methodName=DisplayStudy&PatientID=SECRET")
    desk.until(lambda: len(desk.gateway.log) == 4, "four lines")  # each is written when its answer has gone out
    lines = desk.gateway.log
    assert [(each["status"], each["good"]) for each in lines] == [
        ("error 0", True), ("error -1", False), ("400", False), ("error -1", False),
    ]  # fmt: skip
    assert [each["what"].split()[1] for each in lines] == ["FindObject"] * 3 + ["DisplayStudy"]
    assert not any(word in str(lines) for word in ("DOE", "NOBODY", "SECRET"))


def test_many_clients_at_once(desk: Desk) -> None:
    sockets = [socket.create_connection((desk.gateway.host, desk.gateway.port), DEADLINE) for _ in range(20)]
    for sock in sockets:
        sock.sendall(f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(ALL)}\r\n\r\n{ALL}".encode())
    for sock in sockets:
        answer = b""
        while more := sock.recv(65536):
            answer += more
        assert parts(answer)[0] == 200
        sock.close()


# -- DisplayStudy, DisplaySeries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "study"),
    [
        ({"PatientID": "P&1"}, DOE), ({"patientID": "P2"}, MULLER), ({"StudyInstanceUID": MULLER}, MULLER),
        ({"accessionNumber": "ACC7"}, DOE), ({"AccessionNumber": 77}, MULLER), ({"studyID": "B200"}, MULLER),
        ({"PatientID": "P&1", "StudyID": "A100", "studyInstanceUID": DOE}, DOE),
        ({"PatientID": "", "patientID": "P2"}, MULLER),
    ],
)  # fmt: skip
def test_display_study(desk: Desk, params: dict[str, Any], study: str) -> None:
    found = desk.rpc.DisplayStudy(params)
    assert found["error"] == "0"
    assert [each["studyInstanceUID"] for each in found["elements"]] == [study]
    desk.until_shown(f"{study}.1")
    desk.settle()
    # The other series are loaded, too.
    assert set(desk.slicer.call("loads.loaded")) == {f"{study}.{n}" for n in ((1, 2) if study == DOE else (1,))}


def test_display_study_that_is_not_there(desk: Desk) -> None:
    assert desk.rpc.DisplayStudy({"PatientID": "nobody"}) == {"error": "-1"}
    assert desk.rpc.DisplayStudy({"PatientID": "P&1", "StudyID": "B200"}) == {"error": "-1"}, "all must match"
    assert desk.status("DisplayStudy") == 400
    assert desk.status("DisplayStudy", {"Patientid": "P2"}) == 400
    assert desk.status("DisplayStudy", "P2") == 400


def test_display_series(desk: Desk) -> None:
    found = desk.rpc.DisplaySeries({"SeriesInstanceUID": f"{DOE}.2"})
    assert (found["error"], [each["seriesDICOMUID"] for each in found["elements"]]) == ("0", [f"{DOE}.2"])
    desk.until_shown(f"{DOE}.2")
    both = desk.rpc.DisplaySeries({"PatientID": "P&1"})
    assert [each["seriesDICOMUID"] for each in both["elements"]] == [f"{DOE}.1", f"{DOE}.2"]
    desk.until_shown(f"{DOE}.1")
    assert desk.rpc.DisplaySeries({"PatientID": "P2", "SeriesInstanceUID": f"{DOE}.2"}) == {"error": "-1"}
    assert desk.status("DisplaySeries", {"seriesInstanceUID": f"{DOE}.2"}) == 400, "exactly so"
    assert desk.status("DisplaySeries") == 400


def test_what_is_loaded_is_not_loaded_again(desk: Desk) -> None:
    desk.rpc.DisplayStudy({"PatientID": "P&1"})
    desk.until_shown(f"{DOE}.1")
    desk.settle()
    desk.rpc.CloseAllWindows()
    assert desk.shown() == []
    desk.rpc.DisplayStudy({"PatientID": "P&1"})
    desk.until_shown(f"{DOE}.1")
    assert {uid: len(nodes) for uid, nodes in desk.slicer.call("loads.loaded").items()} == {
        f"{DOE}.1": 1,
        f"{DOE}.2": 1,
    }


# -- DBWindowFind, FindObject ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["DBWindowFind", "FindObject", "dbwindowfind"])
@pytest.mark.parametrize("execute", [None, "Nothing", "open", "OPEN", "delete"])
def test_find(desk: Desk, method: str, execute: str | None) -> None:
    params = {"request": "(name LIKE '*DOE*')", "table": "Study"} | ({"execute": execute} if execute else {})
    found = getattr(desk.rpc, method)(params)
    assert found["error"] == "0"
    (element,) = found["elements"]
    assert (element["studyName"], element["numberOfImages"]) == ("Chest & Abdomen", "8"), "escaped once"
    assert element["date"].endswith(" +0000")
    # `execute` is case-sensitive: nothing was opened or deleted.
    assert desk.slicer.call("loads.list") == []
    assert len(desk.slicer.dicom.studies()) == 2


@pytest.mark.parametrize(
    ("table", "request_", "count"),
    [("Series", f"study.studyInstanceUID == '{DOE}'", 2), ("Image", "series.study.patientID == 'P&1'", 8),
     ("Study", "name CONTAINS[cd] 'muller'", 1), ("Image", "instanceNumber == 1", 3)],
)  # fmt: skip
def test_find_in_each_table(desk: Desk, table: str, request_: str, count: int) -> None:
    found = desk.rpc.DBWindowFind({"request": request_, "table": table, "execute": "Nothing"})
    assert (found["error"], len(found["elements"])) == ("0", count)


def test_find_without_success(desk: Desk) -> None:
    assert desk.rpc.FindObject({"request": "name == 'nobody'", "table": "Study"}) == {"error": "-1"}
    for params in (
        {}, {"request": "name == 'x'"}, {"table": "Study"}, {"request": "", "table": "Study"},
        {"request": "name ==", "table": "Study"}, {"request": "foo == 1", "table": "Study"},
        {"request": "name == 'x'", "table": "study"}, {"request": "name == 'x'", "table": "Patient"},
    ):  # fmt: skip
        assert desk.status("FindObject", params) == 400, params


def test_find_and_open(desk: Desk) -> None:
    found = desk.rpc.DBWindowFind({"request": "name != nil", "table": "Study", "execute": "Open"})
    assert [each["studyInstanceUID"] for each in found["elements"]] == [DOE, MULLER], "all are listed"
    desk.until_shown(f"{DOE}.1")
    desk.settle()
    assert set(desk.slicer.call("loads.loaded")) == {f"{DOE}.1", f"{DOE}.2"}, "only the first is opened"


def test_find_a_series_and_open_it(desk: Desk) -> None:
    desk.rpc.DBWindowFind({"request": f"seriesDICOMUID == '{DOE}.2'", "table": "Series", "execute": "Open"})
    desk.until_shown(f"{DOE}.2")
    desk.settle()
    assert set(desk.slicer.call("loads.loaded")) == {f"{DOE}.1", f"{DOE}.2"}, "whole studies"


def test_find_and_select_tells_the_notebooks(desk: Desk) -> None:
    told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    subscription = desk.slicer.on("study_list", told.put)
    found = desk.rpc.DBWindowFind({"request": "patientID == 'P2'", "table": "Study", "execute": "Select"})
    assert len(found["elements"]) == 1
    event = told.get(timeout=DEADLINE)
    assert (event["studies"], event["search"]) == ([MULLER], "")
    subscription.close()


def test_delete_has_to_be_switched_on(desk: Desk, desk_with: Callable[..., Desk]) -> None:
    params = {"request": f"seriesDICOMUID == '{DOE}.2'", "table": "Series", "execute": "Delete"}
    assert desk.status("DBWindowFind", params) == 403
    assert len(desk.slicer.dicom.studies()) == 2
    found = desk_with(allow=["delete"]).rpc.DBWindowFind(params)
    assert [each["seriesDICOMUID"] for each in found["elements"]] == [f"{DOE}.2"]
    assert [each.StudyInstanceUID for each in desk.slicer.dicom.studies()] == [MULLER], "the whole study"
    assert len(list(desk.folder.rglob("*.dcm"))) == 12, "its files stay"


# -- databases and albums -------------------------------------------------------------------------------------------


def studies(desk: Desk) -> list[str]:
    found = desk.rpc.FindObject({"request": "TRUEPREDICATE", "table": "Study"})
    return [each["studyInstanceUID"] for each in found.get("elements", [])]


def test_open_db_and_back(desk: Desk, tmp_path: Path) -> None:
    assert desk.rpc.OpenDB({"path": str(desk.folder / f"{MULLER}.1")}) == {"error": "0"}
    assert studies(desk) == [MULLER]
    desk.rpc.DisplayStudy({"PatientID": "P2"})
    desk.until_shown(f"{MULLER}.1")
    assert desk.rpc.SwitchToDefaultDBIfNeeded() == {"error": "0"}
    assert studies(desk) == [DOE, MULLER]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert desk.rpc.OpenDB({"path": str(empty)}) == {"error": "0"}, "upstream makes a database"
    assert studies(desk) == []
    assert list(empty.iterdir()) == [], "and we nothing in that folder"
    assert desk.rpc.OpenDB({"path": str(tmp_path)}) == {"error": "0"}, "the folder of an index"
    assert studies(desk) == [DOE, MULLER]
    assert desk.rpc.OpenDB({"path": str(tmp_path / "dicom.sqlite3")}) == {"error": "0"}


def test_open_db_without_success(desk: Desk, tmp_path: Path) -> None:
    assert desk.rpc.OpenDB({"path": "/no/such/folder"}) == {"error": "-1"}
    assert desk.rpc.OpenDB({"path": "relative"}) == {"error": "-1"}
    assert desk.status("OpenDB") == 400
    assert studies(desk) == [DOE, MULLER], "all is as it was"


def test_open_db_makes_no_index_of_another_database(desk: Desk, tmp_path: Path) -> None:
    import sqlite3

    other = tmp_path / "other" / "dicom.sqlite3"
    other.parent.mkdir()
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE studies (precious TEXT)")
        connection.execute("INSERT INTO studies VALUES ('yes')")
    connection.close()
    before = other.read_bytes()
    desk.rpc.OpenDB({"path": str(other.parent)})
    desk.rpc.OpenDB({"path": str(other)})
    assert other.read_bytes() == before


def test_open_db_where_files_are_limited(desk_with: Callable[..., Desk], files: Path, tmp_path: Path) -> None:
    desk = desk_with(files=[str(files)])
    assert desk.rpc.OpenDB({"path": str(files / f"{DOE}.1")}) == {"error": "0"}
    assert desk.status("OpenDB", {"path": str(tmp_path)}) == 403
    assert desk.status("OpenDB", {"path": str(tmp_path / "no such")}) == 403, "nor whether it is there"
    assert desk.rpc.OpenDB({"path": str(files / "no such")}) == {"error": "-1"}
    # A number is text elsewhere, and a folder may be called so, where Slicer was started.
    for given in (7, True, 1.0):
        assert desk.rpc.OpenDB({"path": given}) == {"error": "-1"}


def test_select_album(desk: Desk) -> None:
    told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    subscription = desk.slicer.on("study_list", told.put)
    assert desk.rpc.SelectAlbum({"name": "Database"}) == {"error": "0"}
    event = told.get(timeout=DEADLINE)
    assert (event["title"], event["studies"]) == ("Database", [DOE, MULLER])
    assert desk.rpc.SelectAlbum({"name": "Today"}) == {"error": "0"}
    assert told.get(timeout=DEADLINE)["studies"] == []
    assert desk.rpc.SelectAlbum({"name": "today"}) == {"error": "-1"}, "exact"
    assert desk.status("SelectAlbum") == 400
    subscription.close()


# -- what is shown --------------------------------------------------------------------------------------------------


def test_displayed_and_closed(desk: Desk) -> None:
    assert desk.rpc.GetDisplayed2DViewerSeries() == {"error": "0", "elements": []}
    assert desk.rpc.GetDisplayed2DViewerStudies({}) == {"error": "0", "elements": []}
    desk.rpc.DisplaySeries({"SeriesInstanceUID": f"{DOE}.2"})
    desk.until_shown(f"{DOE}.2")
    desk.settle()
    (series,) = desk.rpc.GetDisplayed2DViewerSeries()["elements"]
    assert (series["seriesDescription"], series["numberOfImages"]) == ("Axial <2>", "4")
    (study,) = desk.rpc.GetDisplayed2DViewerStudies()["elements"]
    assert (study["studyInstanceUID"], study["name"]) == (DOE, "DOE^JANE")
    for uid in ("1.2.3", f"{DOE}.1", DOE):
        assert desk.rpc.Close2DViewerWithSeriesUID({"uid": uid}) == {"error": "0"}, "also when it is not open"
    assert desk.rpc.Close2DViewerWithStudyUID({"uid": MULLER}) == {"error": "0"}
    assert desk.shown() == [f"{DOE}.2"]
    assert desk.rpc.Close2DViewerWithSeriesUID({"uid": f"{DOE}.2"}) == {"error": "0"}
    assert desk.shown() == []
    desk.rpc.DisplaySeries({"SeriesInstanceUID": f"{DOE}.2"})
    desk.until_shown(f"{DOE}.2")
    assert desk.rpc.Close2DViewerWithStudyUID({"uid": DOE}) == {"error": "0"}
    assert desk.shown() == []
    assert [desk.status(f"Close2DViewerWith{level}UID") for level in ("Series", "Study")] == [400, 400]


def test_close_all_windows(desk: Desk) -> None:
    desk.rpc.DisplayStudy({"PatientID": "P2"})
    desk.until_shown(f"{MULLER}.1")
    assert desk.rpc.CloseAllWindows() == {"error": "0"}
    assert desk.rpc.GetDisplayed2DViewerStudies() == {"error": "0", "elements": []}
    assert len(desk.slicer.call("loads.loaded")) == 1, "it stays in the scene"


def test_what_another_index_knows_is_shown_by_its_uid(desk: Desk, tmp_path: Path) -> None:
    desk.rpc.DisplayStudy({"PatientID": "P2"})
    desk.until_shown(f"{MULLER}.1")
    empty = tmp_path / "empty"
    empty.mkdir()
    desk.rpc.OpenDB({"path": str(empty)})
    assert desk.rpc.GetDisplayed2DViewerSeries()["elements"] == [{"seriesDICOMUID": f"{MULLER}.1"}]
    assert desk.rpc.GetDisplayed2DViewerStudies()["elements"] == [{"studyInstanceUID": MULLER}]


def test_path_to_the_file_in_front(desk: Desk) -> None:
    assert desk.rpc.PathToFrontDCM() == {"error": "0", "currentDCMPath": ""}
    desk.rpc.DisplaySeries({"SeriesInstanceUID": f"{DOE}.1"})
    desk.until_shown(f"{DOE}.1")
    red = desk.slicer.view("Red")
    first, last = red.offset_range
    paths = []
    for offset in (first, last):
        red.offset = offset
        path = Path(desk.rpc.PathToFrontDCM({})["currentDCMPath"])
        assert path.parent == desk.folder / f"{DOE}.1"
        assert desk.rpc.PathToFrontDCM({"onlyfilename": "yes"})["currentDCMPath"] == path.name
        assert desk.rpc.PathToFrontDCM({"onlyfilename": "no"})["currentDCMPath"] == str(path)
        paths.append(path)
    # The first and the last slice, which lie where the files say.
    import pydicom

    positions = [float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in paths]
    assert positions == pytest.approx([first, last], abs=1e-3)


@pytest.mark.parametrize(
    ("method", "name", "text", "search"),
    [
        ("DisplayStudyListByPatientName", "PatientName", "DOE^JANE", "DOE JANE"),
        ("DisplayStudyListByPatientId", "PatientID", "0123456789", "0123456789"),
        ("displaystudylistbypatientid", "PatientID", 77, "77"),
    ],
)  # fmt: skip
def test_study_lists(desk: Desk, method: str, name: str, text: Any, search: str) -> None:
    told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    subscription = desk.slicer.on("study_list", told.put)
    assert getattr(desk.rpc, method)({name: text}) == {"error": "0"}
    event = told.get(timeout=DEADLINE)
    assert (event["search"], event["studies"]) == (search, None)
    assert desk.status(method, {"id": "5"}) == 400
    subscription.close()


# -- the rest -------------------------------------------------------------------------------------------------------


def test_kill_has_to_be_switched_on(desk: Desk) -> None:
    assert desk.status("KillOsiriX") == 403
    assert desk.slicer.alive


def test_kill(tmp_path: Path) -> None:
    """A Slicer of its own: it ends."""
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with sn.launch("killed") as own:
        own.on("closed", ended.put)
        gateway = own.gateways.start("osirix", port=0, allow=["kill"])
        assert xmlrpc.client.ServerProxy(gateway.url, allow_none=True).killosirix() is None
        assert ended.get(timeout=DEADLINE) is not None
    assert not own.alive


def test_published_retrieve_of_an_unknown_server(desk: Desk) -> None:
    status, _, body = desk.post(PUBLISHED)
    assert (status, xmlrpc.client.loads(body.decode())[0][0]) == (200, {"error": "-2"})


@pytest.mark.parametrize("url", ["", "nonsense", "file:///etc/passwd", "ftp://x/y", "http://", "https://[::1"])
def test_download_of_what_is_no_address(desk: Desk, url: str) -> None:
    assert desk.status("DownloadURL", {"URL": url}) == 400
