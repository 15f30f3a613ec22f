"""Kheops: whose token goes where, how it is exchanged and renewed, and that none is ever shown."""

from __future__ import annotations

import base64
import logging
import time
import traceback

import pytest

from slicer_notebook.errors import PacsRefusedError
from slicer_notebook.pacs.dicomweb.kheops import split_link
from slicer_notebook.pacs.dicomweb.source import KheopsSource
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Fetch, WayFailedError, never
from tests.pacs.dicomweb.fake_kheops import SHARE, FakeKheops
from tests.pacs.dicomweb.faulty import Faulty, Reply
from tests.pacs.dicomweb.tools import SECRETS, Memory, source_for


@pytest.fixture(autouse=True)
def _share_token(monkeypatch):
    monkeypatch.setitem(SECRETS, "env:TOKEN", SHARE)


def kheops(server, **settings):
    source = source_for(f"kheops+{server.url}", token="env:TOKEN", **settings)
    assert isinstance(source, KheopsSource)
    return source


def studies(source):
    return list(source.find(build_query("STUDY", {}), never))


def series(source, study="1.2.3"):
    return list(source.find(build_query("SERIES", {"StudyInstanceUID": study}), never))


@pytest.mark.parametrize("takes", ["bearer", "path", "both"])
def test_searches_with_the_token_and_what_is_in_a_study_with_a_viewer_token(takes):
    fake = FakeKheops(takes=takes)
    with Faulty(fake) as server:
        source = kheops(server)
        assert len(studies(source)) == 1
        series(source)
        series(source)
        series(source, "1.2.4")
    how = "path" if takes == "path" else "bearer"
    assert {used for used, _ in fake.used} == {how}
    assert fake.used[0] == (how, SHARE)
    # One for each study, kept as long as it lives.
    assert list(fake.viewers.values()) == ["1.2.3", "1.2.4"]
    assert {token for _, token in fake.used} == {SHARE, *fake.viewers}
    form = dict(fake.forms[0])
    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": SHARE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "viewer read write",
        "studyUID": "1.2.3",
    }


def test_a_server_that_takes_path_tokens_alone_is_asked_in_vain_once():
    fake = FakeKheops(takes="path")
    with Faulty(fake) as server:
        source = kheops(server)
        studies(source)
        count = len(server.requests)
        studies(source)
    assert len(server.requests) - count == 2
    assert all("/link/" in request.path for request in server.requests[count:])
    assert all("authorization" not in request.headers for request in server.requests[count:])


@pytest.mark.parametrize(
    ("selection", "query", "form"),
    [
        ({"album": "Xy12"}, {"album": "Xy12"}, {"source_type": "album", "source_id": "Xy12"}),
        ({"inbox": True}, {"inbox": "true"}, {"source_type": "inbox"}),
        ({}, {}, {}),
    ],
)
def test_an_album_or_the_inbox(selection, query, form):
    fake = FakeKheops()
    with Faulty(fake) as server:
        source = kheops(server, **selection)
        studies(source)
        series(source)
    asked = server.requests[0].query
    assert {name: value for name, value in asked.items() if name in ("album", "inbox")} == query
    sent = dict(fake.forms[0])
    assert {name: value for name, value in sent.items() if name.startswith("source")} == form


def test_a_viewer_token_is_renewed_before_it_ends():
    fake = FakeKheops()
    fake.expires_in = 100
    with Faulty(fake) as server:
        source = kheops(server)
        series(source)
        keeper = source._http.credentials.tokens._viewers["1.2.3"]
        assert 80 < keeper._token.ends - time.monotonic() <= 100
        keeper._token = keeper._token._replace(ends=time.monotonic() + 5)
        series(source)
    assert len(fake.viewers) == 2


def test_a_viewer_token_whose_end_is_not_told_lives_five_hours():
    fake = FakeKheops()
    fake.expires_in = None
    with Faulty(fake) as server:
        source = kheops(server)
        series(source)
        ends = source._http.credentials.tokens._viewers["1.2.3"]._token.ends
    assert 17000 < ends - time.monotonic() <= 18000


@pytest.mark.parametrize("takes", ["bearer", "path"])
def test_a_viewer_token_that_is_refused_is_renewed(takes):
    fake = FakeKheops(takes=takes)
    with Faulty(fake) as server:
        source = kheops(server)
        series(source)
        fake.viewers.clear()
        series(source)
    assert len(fake.forms) == 2


def test_without_an_exchange_the_token_itself_has_to_do():
    fake = FakeKheops(exchange=False)
    with Faulty(fake) as server:
        source = kheops(server)
        series(source)
        series(source, "1.2.4")
    assert {token for _, token in fake.used} == {SHARE}
    assert len([request for request in server.requests if request.path.endswith("/token")]) == 1


def test_a_wrong_token_is_refused(monkeypatch):
    monkeypatch.setitem(SECRETS, "env:TOKEN", "wrongwrongwrongwrong12")
    with Faulty(FakeKheops()) as server:
        source = kheops(server)
        with pytest.raises(PacsRefusedError, match="401"):
            studies(source)
        with pytest.raises(PacsRefusedError, match="401"):
            series(source)


def test_instances_by_both_ways():
    def handler(request):
        reply = fake(request)
        if reply.status != 200 or request.path.endswith("/token"):
            return reply
        return Reply(200, b"instance", {"Content-Type": "application/dicom"})

    for takes in ("bearer", "path"):
        fake = FakeKheops(takes=takes)
        with Faulty(handler) as server:
            ways = kheops(server).ways()
            assert [way.name for way in ways] == ["WADO-RS", "WADO-URI"]
            for way in ways:
                sink = Memory()
                way.fetch(Fetch(study="1.2.3", series="4.5", instances=("6.7",)), sink, never)
                assert sink.done == [b"instance"]
        assert list(fake.viewers.values()) == ["1.2.3"]
        assert server.requests[-1].path.endswith("/wado")


def test_with_a_real_archive_behind_it(orthanc, pacs_data):
    basic = base64.b64encode(f"{orthanc.user}:{orthanc.password}".encode()).decode()
    fake = FakeKheops(takes="path", behind=(orthanc.dicomweb_url, {"Authorization": f"Basic {basic}"}))
    study = pacs_data.study("thorax")
    with Faulty(fake) as server:
        source = kheops(server)
        found = {each["StudyInstanceUID"] for each in studies(source)}
        assert {each.uid for each in pacs_data.studies.values()} <= found
        assert {each["SeriesInstanceUID"] for each in series(source, study.uid)} == {each.uid for each in study.series}
        sink = Memory()
        assert source.ways()[0].fetch(Fetch(study=study.uid), sink, never) == len(study.instances)
        assert sorted(sink.done) == sorted(path.read_bytes() for path in study.instances.values())
    assert study.uid in fake.viewers.values()


# -- nothing is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("takes", ["bearer", "path"])
def test_no_token_is_in_logs_errors_and_objects(takes, caplog):
    fake = FakeKheops(takes=takes)

    def handler(request):
        reply = fake(request)
        return Reply(500) if reply.status == 200 and request.path.endswith("/series") else reply

    with caplog.at_level(logging.DEBUG), Faulty(handler) as server:
        source = kheops(server)
        studies(source)
        with pytest.raises(Exception, match="500") as error:
            series(source)
        failed = error.value
        with pytest.raises(WayFailedError) as failure:
            source.ways()[0].fetch(Fetch(study="1.2.3"), Memory(), never)
        logging.getLogger("a.user").error("it failed", exc_info=failed)
        credentials = source._http.credentials
        shown = repr([source, vars(source), vars(source._http), credentials, vars(credentials)])
        shown += repr([vars(keeper) for keeper in credentials.tokens._viewers.values()])
        source.close()
    viewer = next(iter(fake.viewers))
    told = "".join(traceback.format_exception(failed)) + "".join(traceback.format_exception(failure.value))
    for text in (caplog.text, shown, told):
        assert SHARE not in text
        assert viewer not in text


# -- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "api"),
    [
        (f"https://demo.kheops.online/view/{SHARE}", "https://demo.kheops.online/api"),
        (f" https://host:8443/sub/view/{SHARE}?x=y ", "https://host:8443/sub/api"),
        (f"https://host/api/link/{SHARE}/studies", "https://host/api"),
    ],
)
def test_share_links(link, api):
    found = split_link(link)
    assert (found.api, found.token) == (api, SHARE)
    assert SHARE not in repr(found)


@pytest.mark.parametrize(
    "link", ["https://host/view/short", "https://host/studies", "ftp://h/view/" + SHARE, "", SHARE]
)
def test_what_is_no_share_link(link):
    with pytest.raises(ValueError, match="Kheops") as error:
        split_link(link)
    assert SHARE not in str(error.value)
