"""`sn.Kheops` against the strict stand-in before a real Orthanc: tokens, albums, storing, and that nothing leaks."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

import slicer_notebook as sn
from slicer_notebook import testing
from slicer_notebook.errors import (
    ArgumentError,
    PacsConfigError,
    PacsError,
    PacsRefusedError,
    PacsUnreachableError,
    UidNotFoundError,
)
from slicer_notebook.pacs import secrets
from slicer_notebook.pacs.secrets import Hidden
from slicer_notebook.testing import KheopsStandIn, Orthanc
from slicer_notebook.testing.kheops_server import Asked
from tests.pacs.dicomweb.certificates import Authority
from tests.pacs.keyrings import kinds, registered
from tests.pacs.peers.data import Data
from tests.pacs.retrieving import assert_whole, reasons, rows

SHARE = "aBcDeFgHiJkLmNoPqRsT12"
#: Seconds for what takes a moment.
SOON = 60.0


@pytest.fixture
def server(orthanc: Orthanc) -> Iterator[KheopsStandIn]:
    with testing.kheops(orthanc) as running:
        yield running


@pytest.fixture
def opened(server: KheopsStandIn, tmp_path: Path) -> Iterator[Callable[..., sn.Kheops]]:
    """Makes one whose index is the test's; arguments as of `sn.Kheops`, the share link by default."""
    made: list[sn.Kheops] = []

    def make(url: str = "", token: Any = None, **options: Any) -> sn.Kheops:
        options = {"index": tmp_path / "index.sqlite3", **options}
        made.append(sn.Kheops(url or (server.api if token is not None else server.link), token, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Clock:
    """The time for both ends."""

    def __init__(self, server: KheopsStandIn) -> None:
        self._server = server
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self._server.advance(seconds)


def kinds_of(asked: list[Asked]) -> list[tuple[str, str, int]]:
    """What each request was made with, and the status of its answer."""
    return [(each.how, each.kind, each.status) for each in asked]


# -- addresses and tokens ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "token", "api"),
    [
        ("https://demo.kheops.online", SHARE, "https://demo.kheops.online/api"),
        ("https://demo.kheops.online/", SHARE, "https://demo.kheops.online/api"),
        ("https://host:8443/api", SHARE, "https://host:8443/api"),
        ("https://host/sub/api/", SHARE, "https://host/sub/api"),
        ("kheops+https://host/api", SHARE, "https://host/api"),
        (f"https://host/view/{SHARE}", None, "https://host/api"),
        (f" https://host/view/{SHARE}?x=y ", None, "https://host/api"),
        (f"https://host/api/link/{SHARE}", None, "https://host/api"),
        (f"https://host/api/link/{SHARE}/studies/1.2.3", None, "https://host/api"),
        ("https://host/api", "header.payload-with_all.signature", "https://host/api"),
    ],
)
def test_addresses(url: str, token: str | None, api: str) -> None:
    kheops = sn.Kheops(url, token)
    assert kheops.api == api
    assert repr(kheops) == f"<Kheops 'kheops': {api}>"
    shown = repr([kheops, vars(kheops), kheops.server, vars(kheops._tokens), vars(kheops._tokens._base)])
    assert (token or SHARE) not in shown


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://host/api", None),
        ("https://host/api", ""),
        ("https://host/view/short", None),
        (f"https://host/view/{SHARE}", SHARE),
        (f"https://host/api?token={SHARE}", "x" * 22),
        (f"https://user:{SHARE}@host/api", "x" * 22),
        ("ftp://host/api", SHARE),
        ("host", SHARE),
        ("https://host/api", f"{SHARE} {SHARE}"),
        ("https://host/api", f"{SHARE}\u00e9"),
        (f"https://host/view/{SHARE}\n/x", None),
    ],
)
def test_what_is_no_address_or_no_token(url: str, token: str | None) -> None:
    with pytest.raises(ArgumentError) as error:
        sn.Kheops(url, token)
    lines = traceback.TracebackException.from_exception(error.value, capture_locals=True).format()
    # What the test itself holds is the test's.
    assert not [line for line in lines if SHARE in line and "test_kheops.py" not in line]
    assert SHARE not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [{"way": "query"}, {"way": ""}, {"album": "x", "inbox": True}, {"password": "x"}, {"timeout": -1}, {"name": "a b"}],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        sn.Kheops("https://host/api", SHARE, **options)


def test_a_token_in_the_environment(
    server: KheopsStandIn, opened: Callable[..., sn.Kheops], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PacsConfigError, match="KHEOPS_TEST_TOKEN is not set"):
        opened(server.api, "env:KHEOPS_TEST_TOKEN")
    monkeypatch.setenv("KHEOPS_TEST_TOKEN", server.token)
    assert len(opened(server.api, "env:KHEOPS_TEST_TOKEN").studies()) == len(server.studies())


def test_a_token_in_the_keyring(server: KheopsStandIn, opened: Callable[..., sn.Kheops]) -> None:
    with registered(kinds()["Memory"]()):
        with pytest.raises(PacsConfigError, match="kheops/token"):
            opened(server.api, "keyring")
        secrets.store("thorax", "token", server.token)
        for kheops in (opened(server.api, "keyring:thorax"), opened(server.api, "keyring", name="thorax")):
            assert len(kheops.studies()) == len(server.studies())


def test_a_function_that_gives_no_token(server: KheopsStandIn, opened: Callable[..., sn.Kheops]) -> None:
    def fails() -> str:
        raise OSError("away")

    with pytest.raises(PacsConfigError, match="failed: OSError"):
        opened(server.api, fails)
    with pytest.raises(PacsConfigError, match="gave none"):
        opened(server.api, lambda: None)


def test_it_is_said_that_a_token_goes_in_the_clear() -> None:
    with pytest.warns(UserWarning, match="not encrypted") as caught:
        sn.Kheops("http://pacs.example/api", SHARE)
    assert {Path(each.filename).name for each in caught} == {"test_kheops.py"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sn.Kheops("http://127.0.0.1:1/api", SHARE)
        sn.Kheops("https://pacs.example/api", SHARE)


def test_without_the_packages_for_pacs_it_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('httpx', 'httpcore', 'pynetdicom', 'keyring', 'tomlkit'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import slicer_notebook as sn\n"
        "try:\n"
        "    sn.Kheops('https://host/api', 'x' * 22)\n"
        "except sn.errors.PacsError as exc:\n"
        "    print(exc.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON, check=False)
    assert done.stdout.strip() == "pip install 'slicer-notebook[pacs]'", done.stderr


# -- what an album and an inbox have ----------------------------------------------------------------------------------


def test_the_studies_of_an_album(server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data) -> None:
    bare, thorax = pacs_data.study("bare"), pacs_data.study("thorax")
    album = server.add_album("two", [bare.uid, thorax.uid])
    kheops = opened(server.api, server.share(album))
    found = kheops.studies()
    assert {each["StudyInstanceUID"] for each in found} == {bare.uid, thorax.uid}
    assert set(found.frame()["PatientName"]) == {bare.name, thorax.name}
    assert "<table>" in found._repr_html_()
    assert [each["StudyInstanceUID"] for each in kheops.studies(PatientID="BARE")] == [bare.uid]
    assert kheops.studies(PatientID="NOBODY").records() == []
    series = kheops.find("SERIES", StudyInstanceUID=thorax.uid).records()
    assert {each["SeriesInstanceUID"] for each in series} == {each.uid for each in thorax.series}


def test_a_persons_albums_and_inbox(
    server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data, tmp_path: Path
) -> None:
    bare, thorax, latin = (pacs_data.study(name).uid for name in ("bare", "thorax", "latin"))
    album = server.add_album("own", [bare], users=["alice"])
    alice = server.user_token("alice", inbox=[latin])

    def seen(**options: Any) -> set[str]:
        return {each["StudyInstanceUID"] for each in opened(server.api, alice, **options).studies()}

    assert seen() == {bare, latin}
    assert seen(album=album.id) == {bare}
    assert seen(inbox=True) == {latin}
    assert repr(opened(server.api, alice, inbox=True)) == f"<Kheops 'kheops': {server.api}, inbox>"
    assert album.id in repr(opened(server.api, alice, album=album.id))
    with pytest.raises(PacsRefusedError, match="403"):
        seen(album=server.album.id)
    # Viewer tokens are of that album, or of the inbox.
    for options, study, source in (
        ({"album": album.id}, bare, {"source_type": "album", "source_id": album.id}),
        ({"inbox": True}, latin, {"source_type": "inbox"}),
        ({}, bare, {}),
    ):
        kheops = opened(server.api, alice, **options)
        assert kheops.retrieve(study).result(SOON).complete
        form = dict(server.exchanges[-1])
        assert {name: value for name, value in form.items() if name.startswith("source")} == source
        assert server.viewers[-1].study == study
    index = tmp_path / "empty.sqlite3"
    with pytest.raises(UidNotFoundError):
        opened(server.api, alice, inbox=True, index=index).retrieve(bare).result(SOON)
    with pytest.raises(UidNotFoundError):
        opened(server.api, alice, index=index).retrieve(thorax).result(SOON)


def test_an_inbox_is_for_persons(server: KheopsStandIn, opened: Callable[..., sn.Kheops]) -> None:
    with pytest.raises(PacsRefusedError, match="403"):
        opened(inbox=True).studies().records()


# -- retrieval --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["bearer", "basic", "path"])
def test_three_ways_to_give_tokens(
    server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data, way: Any, tmp_path: Path
) -> None:
    study, other = pacs_data.study("thorax"), pacs_data.study("latin")
    for kheops, options in ((opened(way=way), {}), (opened(index=tmp_path / "other.sqlite3"), {"way": way})):
        server.asked.clear()
        server.exchanges.clear()
        report = kheops.retrieve([study.uid, other.uid], **options).result(SOON)
        assert report.complete, reasons(report)
        assert_whole(kheops.index.path, study.instances | other.instances)
        asked = [each for each in server.asked if each.path != "/token"]
        assert {each.how for each in asked} == {way}
        assert {each.status for each in asked} <= {200, 204}
        # The configured token for searches alone, a viewer token for each study, exchanged once.
        assert all((each.kind == "viewer") == (each.path != "/studies") for each in asked)
        assert len(server.exchanges) == 2


@pytest.mark.parametrize("ways", [["WADO-RS"], ["WADO-URI"]])
def test_series_and_instances(
    opened: Callable[..., sn.Kheops], pacs_data: Data, ways: list[str], tmp_path: Path
) -> None:
    study = pacs_data.study("follow-up")
    first, second = study.series
    some = dict(list(second.instances.items())[:3])
    kheops = opened(folder=tmp_path / "files")
    assert kheops.retrieve(study=study.uid, series=first.uid, ways=ways).result(SOON).complete
    assert kheops.retrieve(study=study.uid, series=second.uid, instances=list(some), ways=ways).result(SOON).complete
    assert_whole(kheops.index.path, first.instances | some)
    assert all(Path(path).is_relative_to(tmp_path / "files") for _, path in rows(kheops.index.path))


def test_it_can_be_awaited(opened: Callable[..., sn.Kheops], pacs_data: Data) -> None:
    kheops, study = opened(), pacs_data.study("bare")

    async def fetch() -> Any:
        found = [each async for each in kheops.studies(PatientID="BARE")]
        return await kheops.retrieve(found)

    assert asyncio.run(fetch()).complete
    assert_whole(kheops.index.path, study.instances)


def test_other_resources(server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data) -> None:
    study = pacs_data.study("follow-up")
    series = study.series[0]
    for way in ("bearer", "path"):
        kheops = opened(way=way)
        assert kheops.thumbnail(study.uid, series.uid).startswith(b"\xff\xd8")
        assert kheops.plan(study.uid, series.uid).volumes
        source: Any = kheops.sources()[0]
        (item,) = list(source.metadata_items(study.uid, series.uid, next(iter(series.instances))))
        address = item["7FE00010"]["BulkDataURI"]
        assert address.startswith(f"{server.api}/studies/")
        assert len(source.bulk(address).data) > 100
        # As Kheops itself gives it.
        assert source.bulk(address.replace("/api/", f"/api/link/{server.token}/")).data == source.bulk(address).data
        examined = kheops.test()
        assert examined.ok, examined


def test_https(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with testing.kheops(orthanc, context=authority.server_context()) as server:
        assert server.link.startswith("https://")
        with pytest.raises(PacsUnreachableError, match="not trusted"):
            sn.Kheops(server.link, index=tmp_path / "i").studies().records()
        with sn.Kheops(server.link, ca_file=authority.file, index=tmp_path / "i") as kheops:
            assert kheops.retrieve(pacs_data.study("bare").uid).result(SOON).complete
        assert len(server.exchanges) == 1


# -- viewer tokens ----------------------------------------------------------------------------------------------------


def test_a_viewer_token_is_exchanged(server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data) -> None:
    clock = Clock(server)
    kheops, study = opened(clock=clock), pacs_data.study("bare").uid
    token = kheops.exchange(study)
    assert (token.value, token.study, token.seconds) == (server.viewers[0].value, study, 18000)
    assert token.value not in repr(token)
    clock.advance(5000)
    (answer,) = kheops.studies(StudyInstanceUID=study)
    again = kheops.exchange(answer)
    assert (again.value, again.seconds) == (token.value, 13000)
    assert kheops.exchange(pacs_data.study("thorax").uid).value != token.value
    assert dict(server.exchanges[0])["subject_token"] == server.token
    with pytest.raises(ArgumentError, match="Which study"):
        kheops.exchange(["1.2.3", "1.2.4"])
    with pytest.raises(PacsRefusedError) as error:
        kheops.exchange("1.2.x")
    assert "invalid_request" in str(error.value)


def test_a_viewer_token_is_renewed_before_it_ends(
    server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data
) -> None:
    clock = Clock(server)
    kheops, study = opened(clock=clock), pacs_data.study("bare").uid
    first = kheops.exchange(study).value
    clock.advance(18000 - 61)
    assert kheops.exchange(study).value == first
    clock.advance(2)
    kheops.find("SERIES", StudyInstanceUID=study).records()
    assert server.asked[-1].token == server.viewers[1].value != first
    assert 401 not in {each.status for each in server.asked}


@pytest.mark.parametrize("way", ["bearer", "basic", "path"])
def test_a_viewer_token_that_ends_in_the_middle_of_a_transfer(
    orthanc: Orthanc, pacs_data: Data, tmp_path: Path, way: Any
) -> None:
    study = pacs_data.study("follow-up")
    with testing.kheops(orthanc, life=2) as server, sn.Kheops(server.link, way=way, index=tmp_path / "i") as kheops:
        fetched: list[str] = []

        def before(asked: Asked) -> None:
            if asked.path.endswith(tuple(series.uid for series in study.series)):
                fetched.append(asked.path)
                server.advance(3)  # on its own clock alone: ours thinks that the token is good

        server.before = before
        report = kheops.retrieve(study.uid, parallel=1).result(SOON)
        assert report.complete, reasons(report)
        assert_whole(kheops.index.path, study.instances)
    refused = [each for each in server.asked if each.status == 401]
    # Each that was refused was asked for once more, with a new token, given in the same way.
    assert refused
    assert {each.how for each in server.asked if each.path != "/token"} == {way}
    assert len(server.exchanges) <= 1 + len(refused)


def test_a_refused_token_is_renewed_once(
    server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data
) -> None:
    kheops, study = opened(), pacs_data.study("bare").uid
    kheops.exchange(study)
    server.revoke(server.viewers[0].value)
    kheops.find("SERIES", StudyInstanceUID=study).records()
    assert [each.status for each in server.asked if each.kind != "viewer"] == [200, 401, 200]
    # And when nothing new is to be had, that is the end of it.
    server.revoke(server.token)
    server.asked.clear()
    with pytest.raises(PacsRefusedError, match="401"):
        kheops.find("SERIES", StudyInstanceUID=study).records()
    assert [(each.path == "/token", each.status) for each in server.asked] == [(False, 401), (True, 400), (False, 401)]


def test_a_persons_token_is_asked_for_anew(
    server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data
) -> None:
    study = pacs_data.study("bare").uid
    given = [server.user_token("alice", inbox=[study])]
    kheops = opened(server.api, lambda: given[-1])
    assert len(kheops.studies()) == 1
    server.revoke(given[-1])
    given.append(server.user_token("alice"))
    assert len(kheops.studies()) == 1
    # Also where it is noticed in an exchange.
    server.revoke(given[-1])
    given.append(server.user_token("alice"))
    assert kheops.exchange(study).value == server.viewers[-1].value
    assert [dict(form)["subject_token"] for form in server.exchanges] == given[1:]


def test_a_viewer_token_opens_its_study(
    server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data
) -> None:
    study, other = pacs_data.study("latin"), pacs_data.study("bare")
    viewer = opened().exchange(study.uid).value
    kheops = opened(server.api, viewer)
    assert [each["StudyInstanceUID"] for each in kheops.studies()] == [study.uid]
    assert kheops.retrieve(study.uid).result(SOON).complete
    assert_whole(kheops.index.path, study.instances)
    with pytest.raises(UidNotFoundError):
        kheops.retrieve(other.uid).result(SOON)
    with pytest.raises(PacsRefusedError, match="gives no token"):
        kheops.exchange(study.uid)


def test_the_link_for_slicer(server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data) -> None:
    study = pacs_data.study("bare")
    link = opened().viewer_link(study.uid)
    token = server.viewers[0].value
    port = server.port
    assert str(link) == (
        f"slicer://viewer?studyUID={study.uid}&access_token={token}"
        f"&dicomweb_endpoint=http%3A%2F%2F127.0.0.1%3A{port}%2Fapi"
        f"&dicomweb_uri_endpoint=http%3A%2F%2F127.0.0.1%3A{port}%2Fapi%2Fwado"
    )
    assert token not in repr(link)
    assert study.uid in repr(link)
    # Who follows it gets the study.
    fields = dict(parse_qsl(urlsplit(link).query))
    with sn.Kheops(fields["dicomweb_endpoint"], fields["access_token"], index=opened().index) as kheops:
        assert kheops.retrieve(fields["studyUID"]).result(SOON).complete
        assert_whole(kheops.index.path, study.instances)


# -- storing ----------------------------------------------------------------------------------------------------------


def test_what_is_stored_is_in_the_album(fresh_orthanc: Callable[..., Orthanc], pacs_data: Data, tmp_path: Path) -> None:
    bare, latin = pacs_data.study("bare"), pacs_data.study("latin")
    files = list(latin.instances.values())
    with testing.kheops(fresh_orthanc(list(bare.instances.values()))) as server:
        album = server.add_album("own", [bare.uid], users=["alice"])
        index = tmp_path / "index.sqlite3"

        def opened(token: str, **options: Any) -> sn.Kheops:
            return sn.Kheops(server.api, token, index=index, **options)

        with opened(server.share(album)) as reading:
            stored = reading.store(*files).result(SOON)
            assert not stored.taken
            assert {each.error["kind"] for each in stored.failed} == {"PacsRefusedError"}
            assert "store nothing" in stored.failed[0].error["message"]
            assert "right to write" in stored.failed[0].error["hint"]
        with opened("x" * 22) as nobody:
            (failed,) = nobody.store(files[0]).result(SOON).failed
            assert "does not accept the token" in failed.error["message"]
        assert server.studies() == [bare.uid]
        for way in ("bearer", "basic", "path"):
            with opened(server.share(album, scopes=("read", "write")), way=way) as writing:
                assert writing.store(*files).result(SOON).complete
                assert server.asked[-1].how == way
                assert latin.uid in {each["StudyInstanceUID"] for each in writing.studies()}
                assert writing.retrieve(latin.uid).result(SOON).complete
        assert_whole(index, latin.instances)
        # A person's goes where it was said to.
        alice = server.user_token("alice")
        thorax, follow = pacs_data.study("thorax"), pacs_data.study("follow-up")
        with opened(alice, album=album.id) as kheops:
            assert kheops.store(next(iter(thorax.instances.values()))).result(SOON).complete
        with opened(alice, inbox=True) as kheops:
            assert kheops.store(next(iter(follow.instances.values()))).result(SOON).complete
            assert [each["StudyInstanceUID"] for each in kheops.studies()] == [follow.uid]
        assert album.studies == {bare.uid, latin.uid, thorax.uid}


def test_a_token_that_only_writes(server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data) -> None:
    kheops = opened(server.api, server.share(scopes=("write",)))
    with pytest.raises(PacsRefusedError, match="403"):
        kheops.studies().records()
    with pytest.raises(PacsRefusedError, match="403"):
        kheops.retrieve(pacs_data.study("bare").uid).result(SOON)
    assert kheops.store(next(iter(pacs_data.study("bare").instances.values()))).result(SOON).complete


# -- in Slicer --------------------------------------------------------------------------------------------------------


@pytest.fixture
def session(slicer: sn.Session, tmp_path: Path) -> Iterator[sn.Session]:
    """The shared Slicer with an index of the test's own."""
    former, slicer.dicom.database = slicer.dicom.database, str(tmp_path / "of-slicer.sqlite3")
    yield slicer
    slicer.dicom.queue.cancel()
    slicer.dicom.queue.wait(timeout=SOON)
    slicer.dicom.queue.clear()
    slicer.dicom.database = former


def test_load_into_slicer(
    session: sn.Session, server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data
) -> None:
    study = pacs_data.study("follow-up")
    kheops = opened()
    loaded = kheops.load(session, study=study.uid, show=False)
    assert sorted(volume.array.shape[0] for volume in loaded) == sorted(len(each.instances) for each in study.series)
    assert_whole(Path(str(session.dicom.database)), study.instances)
    assert not kheops.index.path.exists() or rows(kheops.index.path) == []
    here = session.pacs(kheops)
    assert (here.name, here.run) == ("kheops", "notebook")
    answers = here.find(PatientID="BARE").result(SOON)
    assert [each["StudyInstanceUID"] for each in answers] == [pacs_data.study("bare").uid]
    assert here.retrieve(answers).result(SOON).complete
    assert here.store(next(iter(study.instances.values()))).result(SOON).complete
    with pytest.raises(ArgumentError, match="sends nothing"):
        here.listen()
    # All by one token for each study.
    assert len(server.exchanges) == 2


def test_the_links_of_kheops_page_open_in_slicer(
    session: sn.Session, server: KheopsStandIn, opened: Callable[..., sn.Kheops], pacs_data: Data
) -> None:
    study = pacs_data.study("bare")
    kheops = opened()
    token = kheops.exchange(study.uid).value
    archive = quote(f"{server.api}/link/{token}/studies/{study.uid}?accept=application/zip", safe="")
    for link, how in (
        (str(kheops.viewer_link(study.uid)), "bearer"),
        (f"osirix://?methodName=downloadURL&URL='{archive}'", "path"),
    ):
        server.asked.clear()
        done = session.call("links.open", url=link, agreed=True, database=session.dicom.database)
        assert done["studies"] == [study.uid]
        assert token not in repr(done)
        assert {(each.how, each.kind) for each in server.asked if each.path != "/token"} == {(how, "viewer")}
        assert_whole(Path(str(session.dicom.database)), study.instances)


# -- nothing is shown -------------------------------------------------------------------------------------------------


def all_of_it(server: KheopsStandIn, kheops: sn.Kheops, data: Data, folder: Path) -> list[Any]:
    """Ask, fetch, exchange, store, fail; what came of it, as a notebook would show it."""
    study = data.study("bare")
    found = kheops.studies(PatientID="BARE")
    series = kheops.find("SERIES", StudyInstanceUID=study.uid)
    transfer = kheops.retrieve(found)
    storing = kheops.store(next(iter(study.instances.values())))
    results = [found.frame(), series.frame(), transfer.result(SOON), storing.result(SOON)]
    found.save(folder / "cohort.json")
    return [kheops, kheops.server, found, series, transfer, storing, *results, kheops.exchange(study.uid),
            kheops.viewer_link(study.uid), kheops.sources(), kheops.test(), server, server.asked]  # fmt: skip


def failures(server: KheopsStandIn, kheops: sn.Kheops, study: str) -> list[BaseException]:
    """What goes wrong in each place that has a token in its hands."""
    found: list[BaseException] = []

    def fail(function: Callable[[], Any]) -> None:
        with pytest.raises(PacsError) as error:
            function()
        found.append(error.value)

    server.revoke(server.token)
    fail(kheops.studies().records)
    fail(lambda: kheops.exchange("1.2.3"))
    fail(lambda: kheops.retrieve(study).result(SOON))
    server.stop()
    fail(kheops.studies().records)
    fail(lambda: kheops.exchange("1.2.4"))
    fail(lambda: kheops.retrieve(study).result(SOON))
    return found


def shown(value: Any) -> str:
    """All that a notebook may show and save of a value."""
    text = repr(value)
    for method in ("_repr_html_", "_repr_mimebundle_", "_repr_markdown_"):
        if hasattr(value, method):
            text += repr(getattr(value, method)())
    return text


@pytest.mark.parametrize("way", ["bearer", "basic", "path"])
def test_no_token_is_left_anywhere(
    orthanc: Orthanc, pacs_data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture, way: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("slicer_notebook", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    with testing.kheops(orthanc) as server, sn.Kheops(server.link, way=way, index=tmp_path / "i.sqlite3") as kheops:
        study = pacs_data.study("bare").uid
        texts = [shown(each) for each in all_of_it(server, kheops, pacs_data, tmp_path)]
        texts.append(repr([vars(kheops), vars(kheops._tokens), vars(kheops.sources()[0])]))
        for error in failures(server, kheops, study):
            texts.append(repr(error) + str(error) + repr(getattr(error, "details", "")))
            # Even where the variables of all frames are shown.
            lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
            texts += [line for line in lines if Path(__file__).name not in line]
            logging.getLogger("a.user").error("it failed", exc_info=error)
        known = [*server.secrets, *map(_as_password, server.secrets)]
    kheops.index.close()
    assert len(known) >= 4
    assert "it failed" in caplog.text
    texts.append(caplog.text)
    for token in known:
        assert not [text for text in texts if token in text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"i.sqlite3", "cohort.json"} <= {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        assert not [token for token in known if token.encode() in data], path.name


def _as_password(token: str) -> str:
    """The end of HTTP Basic's header, which begins with the user's name."""
    import base64

    return base64.b64encode(f"kheops:{token}".encode()).decode()[12:]


def test_a_hidden_text_is_a_text() -> None:
    value = Hidden("abc")
    assert value == "abc"
    assert (repr(value), repr([value])) == ("'***'", "['***']")
    assert str(value) == f"{value}" == "abc"


def test_the_table_in_the_docs_names_tests_that_there_are() -> None:
    root = Path(__file__).parents[2]
    table = (root / "docs" / "pacs.md").read_text(encoding="utf-8").partition("| what is known of Kheops | test |")[2]
    named = []
    for row in table.partition("\n\n")[0].splitlines():
        file = ""
        for path, name in re.findall(r"`([\w/.]*?)(?:::(\w+))?`", row.rpartition(" | ")[2]):
            file = path or file
            if name:
                assert f"def {name}(" in (root / file).read_text(encoding="utf-8"), name
                named.append(name)
    assert len(named) > 20
