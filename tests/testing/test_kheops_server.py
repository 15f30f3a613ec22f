"""The stand-in for Kheops over the wire, in front of a real Orthanc."""

from __future__ import annotations

import base64
import http.client
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from pydicom import dcmread

from slicer_notebook import testing
from slicer_notebook.errors import PacsError
from slicer_notebook.testing import KheopsStandIn, Orthanc
from tests.pacs.peers.data import Data

DICOM = 'multipart/related; type="application/dicom"'
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def kheops(orthanc: Orthanc) -> Iterator[KheopsStandIn]:
    with testing.kheops(orthanc) as running:
        yield running


def ask(
    kheops: KheopsStandIn,
    path: str,
    token: str = "",
    *,
    how: str = "bearer",
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    given = dict(headers or {})
    root = "/api"
    if token and how == "bearer":
        given["Authorization"] = f"Bearer {token}"
    elif token and how == "basic":
        given["Authorization"] = "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()
    elif token:
        root = f"/api/link/{token}"
    connection = http.client.HTTPConnection("127.0.0.1", kheops.port, timeout=20)
    try:
        connection.request(method, root + path, body, given)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def exchange(kheops: KheopsStandIn, study: str, token: str = "", **more: str) -> Answer:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token or kheops.token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "viewer read write",
        "studyUID": study,
        **more,
    }
    return post_form(kheops, urlencode(form).encode())


def post_form(kheops: KheopsStandIn, body: bytes, kind: str = "application/x-www-form-urlencoded") -> Answer:
    return ask(kheops, "/token", method="POST", body=body, headers={"Content-Type": kind})


def viewer(kheops: KheopsStandIn, study: str, token: str = "", **more: str) -> str:
    status, _, body = exchange(kheops, study, token, **more)
    assert status == 200
    return str(json.loads(body)["access_token"])


def uids(answer: Answer, tag: str = "0020000D") -> set[str]:
    assert answer[0] == 200, answer
    return {item[tag]["Value"][0] for item in json.loads(answer[2])}


# -- tokens -----------------------------------------------------------------------------------------------------------


def test_the_token_endpoint(kheops: KheopsStandIn, pacs_data: Data) -> None:
    study = pacs_data.study("bare").uid
    status, headers, body = exchange(kheops, study)
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    answer = json.loads(body)
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 18000)
    assert len(answer["access_token"]) > 22
    status, headers, body = exchange(kheops, study, scope="read")
    assert (status, headers["content-type"], json.loads(body)["error"]) == (400, "application/json", "invalid_scope")
    assert len(kheops.exchanges) == 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"grant_type", "application/x-www-form-urlencoded"),
        (b"grant_type=%ff", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"scope=viewer&" * 8000, "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_form(kheops: KheopsStandIn, body: bytes, kind: str) -> None:
    status, _, answer = post_form(kheops, body, kind)
    assert (status, json.loads(answer)["error"]) == (400, "invalid_request")


def test_a_form_in_the_query_is_none(kheops: KheopsStandIn) -> None:
    status, _, _ = ask(kheops, f"/token?subject_token={kheops.token}", method="POST", body=b"")
    assert status == 400
    assert ask(kheops, "/token")[0] == 405


@pytest.mark.parametrize("how", ["bearer", "basic", "path"])
def test_three_ways_to_give_a_token(kheops: KheopsStandIn, how: str, pacs_data: Data) -> None:
    study = pacs_data.study("bare").uid
    for token in (kheops.token, viewer(kheops, study)):
        found = ask(kheops, f"/studies/{study}/series", token, how=how)
        assert uids(found) == {study}
        asked = kheops.asked[-1]
        assert (asked.how, asked.token, asked.status) == (how, token, 200)
        assert asked.path == f"/studies/{study}/series"
        assert token not in repr(asked) + repr(kheops)
        # Kheops puts the token of a path into the addresses that it gives.
        (address,) = json.loads(found[2])[0]["00081190"]["Value"]
        assert address.startswith(f"{kheops.api}/link/{token}/" if how == "path" else f"{kheops.api}/studies/")
        assert ask(kheops, f"/studies/{study}/series", f"{token}x", how=how)[0] == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nothing"},
        {"Authorization": "Negotiate TOKEN"},
        {"Authorization": "Basic TOKEN"},
        {"Authorization": "Basic " + base64.b64encode(b"TOKEN").decode()},
        {"Authorization": "Basic " + base64.b64encode(b"a:b:TOKEN").decode()},
    ],
)
def test_no_token_or_a_bad_one(kheops: KheopsStandIn, headers: dict[str, str]) -> None:
    given = {name: value.replace("TOKEN", kheops.token) for name, value in headers.items()}
    for path in ("/studies", "/wado?requestType=WADO"):
        status, answered, _ = ask(kheops, path, headers=given)
        assert status == 401
        assert "Bearer" in answered["www-authenticate"]
        assert "Basic" in answered["www-authenticate"]
    assert ask(kheops, "/link//studies")[0] == 401


def test_a_token_is_given_once_and_not_in_the_query(kheops: KheopsStandIn) -> None:
    twice = {"Authorization": f"Bearer {kheops.token}"}
    assert ask(kheops, "/studies", kheops.token, how="path", headers=twice)[0] == 400
    assert ask(kheops, f"/studies?access_token={kheops.token}", kheops.token)[0] == 400
    assert ask(kheops, f"/studies?access_token={kheops.token}")[0] == 401


def test_a_viewer_token_is_good_for_its_study_alone(kheops: KheopsStandIn, pacs_data: Data) -> None:
    study, other = pacs_data.study("bare").uid, pacs_data.study("thorax").uid
    token = viewer(kheops, study)
    assert uids(ask(kheops, "/studies", token)) == {study}
    for path in ("", "/series", "/instances", "/metadata", "?accept=application/zip"):
        assert ask(kheops, f"/studies/{study}{path}", token)[0] == 200
        assert ask(kheops, f"/studies/{other}{path}", token)[0] == 404
    assert exchange(kheops, study, token)[0] == 400


def test_tokens_end(kheops: KheopsStandIn, pacs_data: Data) -> None:
    study = pacs_data.study("bare").uid
    token = viewer(kheops, study)
    kheops.advance(18001)
    assert ask(kheops, f"/studies/{study}/series", token)[0] == 401
    assert ask(kheops, f"/studies/{study}/series", kheops.token)[0] == 200
    kheops.revoke(kheops.token)
    assert ask(kheops, "/studies", kheops.token)[0] == 401
    assert json.loads(exchange(kheops, study)[2])["error"] == "invalid_request"


# -- albums and inboxes -----------------------------------------------------------------------------------------------


def test_an_album_and_an_inbox(kheops: KheopsStandIn, pacs_data: Data) -> None:
    bare, thorax, latin = (pacs_data.study(name).uid for name in ("bare", "thorax", "latin"))
    album = kheops.add_album("chest", [thorax, bare], users=["alice"])
    alice = kheops.user_token("alice", inbox=[latin])
    share = kheops.share(album)
    assert uids(ask(kheops, "/studies", share)) == {thorax, bare}
    assert uids(ask(kheops, "/studies", alice)) == {thorax, bare, latin}
    assert uids(ask(kheops, f"/studies?album={album.id}", alice)) == {thorax, bare}
    assert uids(ask(kheops, "/studies?inbox=true", alice)) == {latin}
    assert uids(ask(kheops, f"/studies?PatientID=BARE&album={album.id}", alice)) == {bare}
    assert ask(kheops, f"/studies/{latin}/series?album={album.id}", alice)[0] == 404
    assert ask(kheops, "/studies?inbox=true", share)[0] == 403
    assert ask(kheops, f"/studies?album={kheops.album.id}", alice)[0] == 403
    for query in (f"album={album.id}&inbox=true", f"album={album.id}&album={album.id}", "inbox=yes", "album="):
        assert ask(kheops, f"/studies?{query}", alice)[0] == 400
    from_inbox = viewer(kheops, latin, alice, source_type="inbox")
    assert uids(ask(kheops, "/studies", from_inbox)) == {latin}
    from_album = viewer(kheops, bare, alice, source_type="album", source_id=album.id)
    assert uids(ask(kheops, f"/studies/{bare}/series?album={album.id}", from_album)) == {bare}


def test_pages(kheops: KheopsStandIn, pacs_data: Data) -> None:
    some = sorted(study.uid for study in list(pacs_data.studies.values())[:3])
    share = kheops.share(kheops.add_album("three", some))
    found: set[str] = set()
    for offset in range(3):
        page = uids(ask(kheops, f"/studies?limit=1&offset={offset}", share))
        assert len(page) == 1
        found |= page
    assert found == set(some)
    status, headers, body = ask(kheops, "/studies?limit=1&offset=3", share)
    assert (status, body) == (204, b"")
    assert "content-type" not in headers
    assert ask(kheops, "/studies?limit=-1", share)[0] == 400


# -- DICOMweb ---------------------------------------------------------------------------------------------------------


def test_what_is_in_a_study(kheops: KheopsStandIn, pacs_data: Data) -> None:
    study = pacs_data.study("thorax")
    series = study.series[0]
    at = f"/studies/{study.uid}"
    token = viewer(kheops, study.uid)
    assert uids(ask(kheops, f"{at}/series", token), "0020000E") == {each.uid for each in study.series}
    assert uids(ask(kheops, f"{at}/series?Modality=SR", token), "0020000E") == {study.series[1].uid}
    assert uids(ask(kheops, f"{at}/instances", token), "00080018") == set(study.instances)
    assert uids(ask(kheops, f"{at}/series/{series.uid}/instances", token), "00080018") == set(series.instances)
    sop, path = next(iter(series.instances.items()))
    at = f"{at}/series/{series.uid}/instances/{sop}"
    status, headers, body = ask(kheops, at, token, headers={"Accept": DICOM})
    assert status == 200
    assert headers["content-type"].startswith("multipart/related")
    assert path.read_bytes() in body
    for number in ("1", "1,1"):
        status, headers, body = ask(kheops, f"{at}/frames/{number}", token)
        assert status == 200
        assert dcmread(path).PixelData in body
    for place in (at, at.partition("/instances")[0]):
        status, headers, body = ask(kheops, f"{place}/thumbnail?viewport=64,64", token)
        assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert ask(kheops, f"{at}/rendered", token)[0] == 404


def test_metadata_and_bulk_data(kheops: KheopsStandIn, pacs_data: Data) -> None:
    study = pacs_data.study("bare")
    sop, path = next(iter(study.instances.items()))
    at = f"/studies/{study.uid}/series/{study.series[0].uid}"
    for place in (f"/studies/{study.uid}", at, f"{at}/instances/{sop}"):
        answer = ask(kheops, f"{place}/metadata", kheops.token)
        assert sop in uids(answer, "00080018")
    address = json.loads(answer[2])[0]["7FE00010"]["BulkDataURI"]
    assert address.startswith(f"{kheops.api}{at}/instances/{sop}/bulkdata/")
    status, _, body = ask(kheops, address.removeprefix(kheops.api), kheops.token)
    assert status == 200
    assert dcmread(path).PixelData in body


def test_wado_uri(kheops: KheopsStandIn, pacs_data: Data) -> None:
    study, other = pacs_data.study("bare"), pacs_data.study("thorax")
    sop, path = next(iter(study.instances.items()))
    query = {
        "requestType": "WADO",
        "studyUID": study.uid,
        "seriesUID": study.series[0].uid,
        "objectUID": sop,
        "contentType": "application/dicom",
    }

    def status_of(given: dict[str, str], more: str = "") -> int:
        return ask(kheops, f"/wado?{urlencode(given)}{more}", token)[0]

    token = viewer(kheops, study.uid)
    status, _, body = ask(kheops, f"/wado?{urlencode(query)}", token)
    assert (status, body) == (200, path.read_bytes())
    for name in ("requestType", "studyUID", "seriesUID", "objectUID"):
        assert status_of({key: value for key, value in query.items() if key != name}) == 400
    assert status_of(query | {"requestType": "wado"}) == 400
    assert status_of(query, f"&studyUID={study.uid}") == 400
    assert status_of(query | {"studyUID": other.uid}) == 404


@pytest.mark.parametrize("way", ["query", "encoded", "header"])
def test_a_zip(kheops: KheopsStandIn, pacs_data: Data, way: str) -> None:
    study = pacs_data.study("latin")
    query = {"query": "?accept=application/zip", "encoded": "?accept=application%2Fzip", "header": ""}[way]
    headers = {"Accept": "application/zip"} if way == "header" else {}
    status, answered, body = ask(kheops, f"/studies/{study.uid}{query}", kheops.token, how="path", headers=headers)
    assert (status, answered["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        found = [dcmread(io.BytesIO(archive.read(name))).SOPInstanceUID for name in archive.namelist()]
    assert sorted(found) == sorted(study.instances)


@pytest.mark.parametrize(
    "path", ["/series", "/instances", "/albums", "/studies/1.2.3/unknown", "/studies/x/series", "/capabilities", ""]
)
def test_what_is_not_there(kheops: KheopsStandIn, path: str) -> None:
    assert ask(kheops, path, kheops.token)[0] == 404


def test_methods(kheops: KheopsStandIn, pacs_data: Data) -> None:
    study = pacs_data.study("bare").uid
    for method in ("PUT", "DELETE"):
        assert ask(kheops, f"/studies/{study}", kheops.token, method=method)[0] == 405
    assert ask(kheops, f"/studies/{study}/metadata", kheops.token, method="POST", body=b"")[0] == 405


def stow(files: list[bytes]) -> tuple[bytes, dict[str, str]]:
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in files) + b"--b--\r\n"
    return body, {"Content-Type": f"{DICOM}; boundary=b", "Accept": "application/dicom+json"}


def test_store(fresh_orthanc: Any, pacs_data: Data) -> None:
    bare, latin, thorax = (pacs_data.study(name) for name in ("bare", "latin", "thorax"))
    with testing.kheops(fresh_orthanc(list(bare.instances.values()))) as kheops:
        album = kheops.add_album("own", [bare.uid], users=["alice"])
        body, headers = stow([path.read_bytes() for path in latin.instances.values()])

        def post(path: str, token: str) -> int:
            return ask(kheops, path, token, method="POST", body=body, headers=headers)[0]

        assert post("/studies", kheops.share(album)) == 403
        assert post("/studies", viewer(kheops, bare.uid)) == 403
        assert post("/studies", "x" * 22) == 401
        assert kheops.studies() == [bare.uid]
        writer = kheops.share(album, scopes=("read", "write"))
        assert post("/studies", writer) == 200
        assert uids(ask(kheops, "/studies", writer)) == {bare.uid, latin.uid}
        # A person stores into an album, or the inbox.
        alice = kheops.user_token("alice")
        body, headers = stow([next(iter(thorax.instances.values())).read_bytes()])
        assert post("/studies?album=unknown", alice) == 403
        assert post("/studies", alice) == 200
        assert uids(ask(kheops, "/studies?inbox=true", alice)) == {thorax.uid}
        assert thorax.uid not in (album.studies or ())
        assert post(f"/studies/{thorax.uid}?album={album.id}", alice) == 200
        assert thorax.uid in (album.studies or ())
        headers["Content-Type"] = "application/dicom"
        assert post("/studies", alice) == 415


# -- life -------------------------------------------------------------------------------------------------------------


def test_it_listens_on_loopback_and_ends(orthanc: Orthanc) -> None:
    made = testing.kheops(orthanc)
    assert made.url == f"http://127.0.0.1:{made.port}"
    assert made.link == f"{made.url}/view/{made.token}"
    assert made._server is not None
    assert made._server.server_address[0] == "127.0.0.1"
    port = made.port
    made.stop()
    made.stop()
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/")
    with pytest.raises(PacsError, match="stopped"):
        _ = made.url


def test_the_archive_must_run() -> None:
    with pytest.raises(PacsError, match="does not run"):
        testing.kheops(Orthanc())


def test_what_comes_is_told_before_it_is_judged(kheops: KheopsStandIn) -> None:
    kheops.before = lambda asked: kheops.revoke(kheops.token) if asked.path == "/studies" else None
    assert ask(kheops, "/studies", kheops.token)[0] == 401
    assert [(each.path, each.status, each.kind) for each in kheops.asked] == [("/studies", 401, "")]
