"""Downloads: what they turn out to be, limits, faults, redirections, and names that lead elsewhere."""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slicer_notebook.errors import JobCancelledError, LinkError, LinkRefusedError
from slicer_notebook.links.cases import Case
from slicer_notebook.links.hosts import address_of
from slicer_notebook.links.policy import Policy
from slicer_notebook.pacs.links.download import download_file
from slicer_notebook.pacs.links.fetching import Fetcher, Limits
from slicer_notebook.pacs.links.judging import Judge
from tests.pacs.dicomweb.faulty import Faulty, Handler, Reply, Request, multipart, multipart_reply, several
from tests.pacs.links.getting import IMPATIENT, QUICK, Getter, by_name, files, names, zipped

SECRET = "S3cr3t-of_a.link"


@pytest.fixture
def get(tmp_path: Path) -> Getter:
    return Getter(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[[Handler | Reply], Faulty]]:
    with several() as begin:
        yield begin


Serve = Callable[[Handler | Reply], Faulty]


def refused(get: Getter, url: str, **how: object) -> LinkRefusedError:
    with pytest.raises(LinkRefusedError) as caught:
        get(url, **how)  # type: ignore[arg-type]
    return caught.value


def failed(get: Getter, url: str, **how: object) -> LinkError:
    with pytest.raises(LinkError) as caught:
        get(url, **how)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)
    assert get.left_aside() == []
    return caught.value


# -- what comes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/dicom", "application/octet-stream", "text/plain", ""])
def test_one_dicom_file(get: Getter, serve: Serve, tmp_path: Path, kind: str) -> None:
    [file] = files(tmp_path / "in", 1)
    server = serve(Reply(200, file.read_bytes(), {"Content-Type": kind} if kind else {}))
    found = get(server.url)
    assert found.instances == get.instances == 1
    assert len(found.series) == len(found.studies) == 1
    assert get.told[-1] == (1, 1, "instances")


def test_a_zip_archive(get: Getter, serve: Serve, tmp_path: Path) -> None:
    members = {f"../../{path.name}": path.read_bytes() for path in files(tmp_path / "in", 4)}
    members |= {"/etc/cron.d/x": b"evil", "README.txt": b"text", "x/": b"", "setup.py": b"print()"}
    before = set(tmp_path.rglob("*"))
    found = get(serve(Reply(200, zipped(members), {"Content-Type": "application/zip"})).url)
    assert found.instances == get.instances == 4
    # Nothing but instances has come to be, under names of our own.
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    own = {path for path in new if path.suffix == ".dcm"}
    assert len(own) == 4
    assert all(path.is_relative_to(get.folder) for path in own)
    assert {path.name for path in new - own} <= {"index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"}


def test_a_multipart_body(get: Getter, serve: Serve, tmp_path: Path) -> None:
    parts = [path.read_bytes() for path in files(tmp_path / "in", 3)]
    assert get(serve(multipart_reply(multipart(parts))).url).instances == 3


def test_what_is_packed_by_http(get: Getter, serve: Serve, tmp_path: Path) -> None:
    [file] = files(tmp_path / "in", 1)
    for encoding, packed in (("gzip", gzip.compress(file.read_bytes())), ("deflate", zlib.compress(file.read_bytes()))):
        assert get(serve(Reply(200, packed, {"Content-Encoding": encoding})).url).instances == 1


MANIFEST = """<?xml version="1.0" encoding="utf-8" ?>
<manifest xmlns="http://www.weasis.org/xsd/2.5">
 <arcQuery arcId="1" baseUrl="{url}/wado" requireOnlySOPInstanceUID="false" additionnalParameters="&amp;session=7"
   webLogin="dTpw">
  <httpTag key="X-Own" value="yes"/><httpTag key="Host" value="evil"/>
  <Patient PatientID="1"><Study StudyInstanceUID="1.2"><Series SeriesInstanceUID="1.2.3">{instances}</Series></Study>
  </Patient>
 </arcQuery>
</manifest>"""


def test_a_manifest(get: Getter, serve: Serve, tmp_path: Path) -> None:
    given = files(tmp_path / "in", 7)
    listed = "".join(f'<Instance SOPInstanceUID="1.2.3.{number}"/>' for number in range(len(given)))

    def answer(request: Request) -> Reply:
        if request.path.endswith(".xml"):
            return Reply(200, MANIFEST.format(url=server.url, instances=listed).encode())
        assert request.query["requestType"] == "WADO"
        assert request.query["session"] == "7"
        assert (request.headers["authorization"], request.headers["x-own"]) == ("Basic dTpw", "yes")
        assert request.headers["host"] == f"127.0.0.1:{server.port}"
        return Reply(200, given[int(request.query["objectUID"].rpartition(".")[2])].read_bytes())

    server = serve(answer)
    assert get(f"{server.url}/m.xml").instances == 7
    assert get.told[-1] == (7, 7, "instances")


def test_a_manifest_of_which_some_are_lacking(get: Getter, serve: Serve, tmp_path: Path) -> None:
    given = files(tmp_path / "in", 3)
    listed = "".join(f'<Instance SOPInstanceUID="1.2.3.{number}"/>' for number in range(4))

    def answer(request: Request) -> Reply:
        if request.path.endswith(".xml"):
            return Reply(200, MANIFEST.format(url=server.url, instances=listed).encode())
        number = int(request.query["objectUID"].rpartition(".")[2])
        return Reply(200, given[number].read_bytes()) if number < 3 else Reply(404)

    server = serve(answer)
    assert "1 of 4" in failed(get, f"{server.url}/m.xml").message
    assert get.instances == 3


@pytest.mark.parametrize("where", ["file:///etc/passwd", "http://169.254.169.254/x", "ftp://h/x"])
def test_a_manifest_that_names_what_may_not_be_asked(get: Getter, serve: Serve, where: str) -> None:
    text = MANIFEST.replace("{url}/wado", where).format(instances='<Instance SOPInstanceUID="1.2.3.1"/>')
    failed(get, f"{serve(Reply(200, text.encode())).url}/m.xml")


def test_a_manifest_of_the_outside_names_nothing_inside(
    get: Getter, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = serve(Reply(200, b""))
    text = MANIFEST.format(url=inner.url, instances='<Instance SOPInstanceUID="1.2.3.1"/>')
    outer = serve(Reply(200, text.encode()))
    monkeypatch.setattr("slicer_notebook.pacs.links.judging.whereabouts", lambda _ip: "public")
    with names(monkeypatch, outer_example=["127.0.0.1"]):
        failed(get, by_name(outer.url, "outer.example"))
    assert inner.requests == []


@pytest.mark.parametrize(
    ("body", "kind", "got"),
    [
        (b"<!DOCTYPE html><html>sign in</html>", "text/html", "a web page"),
        (b"  <html>", "", "a web page"),
        (b"", "application/dicom", "nothing"),
        (b"hello", "text/plain", "something else"),
        (b"hello", "application/dicom", "DICOM"),
        (b"<?xml version='1.0'?><other/>", "text/xml", "other"),
        (b"<?xml version='1.0'?><wado_query/>", "text/xml", "without instances"),
        (b"<?xml version='1.0'?><wado_query>", "text/xml", "cannot be read"),
        (zipped({"a.txt": b"x"}), "application/zip", "without DICOM"),
        (zipped({"a.txt": b"x"})[:-10], "application/zip", "BadZipFile"),
        (b"PK\3\4 nonsense", "application/zip", "BadZipFile"),
    ],
)
def test_what_is_no_dicom(get: Getter, serve: Serve, body: bytes, kind: str, got: str) -> None:
    assert got in str(failed(get, serve(Reply(200, body, {"Content-Type": kind})).url))
    assert get.instances == 0


def test_entities_of_xml_are_not_read(get: Getter, serve: Serve) -> None:
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><wado_query>&l9;</wado_query>'
    outside = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><wado_query>&e;</wado_query>'
    for text in (bomb, outside):
        assert "cannot be read" in str(failed(get, serve(Reply(200, text.encode())).url))


def test_a_file_that_breaks_off(get: Getter, serve: Serve, tmp_path: Path) -> None:
    [file] = files(tmp_path / "in", 1)
    whole = file.read_bytes()
    failed(get, serve(Reply(200, whole[:-20])).url)  # by itself
    failed(get, serve(Reply(200, whole[:-20], told=len(whole), then="close")).url)  # by HTTP
    failed(get, serve(Reply(200, whole[:-20], told=len(whole), then="reset")).url)
    failed(get, serve(Reply(200, whole[:-20], told=len(whole), then="hang")).url, limits=IMPATIENT)
    failed(get, serve(Reply(200, gzip.compress(whole)[:-20], {"Content-Encoding": "gzip"})).url)
    assert get.instances == 0


def test_an_archive_that_breaks_off_brings_nothing_a_body_its_first_parts(
    get: Getter, serve: Serve, tmp_path: Path
) -> None:
    given = files(tmp_path / "in", 3)
    archive = zipped(given)
    failed(get, serve(Reply(200, archive[:-200], told=len(archive), then="close")).url)
    assert get.instances == 0
    parts = multipart([path.read_bytes() for path in given])
    failed(get, serve(multipart_reply(parts[: len(parts) - len(parts) // 4], framing="close")).url)
    assert get.instances == 2


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_other_statuses(get: Getter, serve: Serve, status: int) -> None:
    error = failed(get, f"{serve(Reply(status)).url}/link/{SECRET}/x?token={SECRET}")
    assert f"HTTP {status}" in str(error)
    assert "PACS" not in error.message


def test_nobody_there(get: Getter, serve: Serve) -> None:
    server = serve(Reply(200))
    server.__exit__()
    assert "nobody listens" in str(failed(get, f"{server.url}?token={SECRET}"))


def test_what_is_no_http(get: Getter, serve: Serve) -> None:
    failed(get, serve(Reply(raw=b"SSH-2.0-OpenSSH_9\r\n", then="close")).url)
    failed(get, serve(Reply(raw=b"", then="hang")).url, limits=IMPATIENT)


def test_a_person_stops_it(get: Getter, serve: Serve, tmp_path: Path) -> None:
    [file] = files(tmp_path / "in", 1)
    stopped = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield file.read_bytes()[:400]
        stopped.set()

    server = serve(Reply(200, pieces(), framing="chunked", then="hang"))
    address = address_of(server.url)
    with Fetcher(Judge(Policy(), address, agreed=True), Limits(), stopped.is_set, "test") as fetcher:  # noqa: SIM117
        with pytest.raises(JobCancelledError), fetcher.get(address, "*/*") as body:
            list(body.chunks())


# -- limits -----------------------------------------------------------------------------------------------------------


def test_more_bytes_than_are_taken(get: Getter, serve: Serve, tmp_path: Path) -> None:
    [file] = files(tmp_path / "in", 1)
    endless = (b"\0" * 65536 for _ in range(10_000))
    limits = Limits(most_bytes=1 << 20)
    server = serve(Reply(200, (piece for each in ([file.read_bytes()], endless) for piece in each), framing="close"))
    assert "more than 1048576 bytes" in str(failed(get, server.url, limits=limits))


def test_a_bomb_of_gzip(get: Getter, serve: Serve) -> None:
    bomb = gzip.compress(b"\0" * 128 + b"DICM" + b"\0" * (64 << 20))
    assert len(bomb) < 100_000
    server = serve(Reply(200, bomb, {"Content-Encoding": "gzip"}))
    assert "more than" in str(failed(get, server.url, limits=Limits(most_bytes=8 << 20)))


def test_a_bomb_of_zip(get: Getter, serve: Serve) -> None:
    bomb = zipped({"a.dcm": b"\0" * 128 + b"DICM" + b"\0" * (66 << 20)})
    assert len(bomb) < 100_000
    server = serve(Reply(200, bomb))
    assert "made to do harm" in str(failed(get, server.url))
    # One that says that it is small.
    lying = bomb.replace((132 + (66 << 20)).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    failed(get, serve(Reply(200, lying)).url)
    # Many that are each not quite as tight.
    limits = Limits(most_bytes=4 << 20)
    many = zipped({f"{number}.dcm": b"\0" * 128 + b"DICM" + b"\0" * (1 << 20) for number in range(20)})
    assert "more than" in str(failed(get, serve(Reply(200, many)).url, limits=limits))


def test_more_files_than_are_taken(get: Getter, serve: Serve, tmp_path: Path) -> None:
    limits = Limits(instances=3)
    given = files(tmp_path / "in", 5)
    assert "archive of 5" in str(failed(get, serve(Reply(200, zipped(given))).url, limits=limits))
    parts = [path.read_bytes() for path in given]
    assert "more than 3 parts" in str(failed(get, serve(multipart_reply(multipart(parts))).url, limits=limits))


def test_a_server_that_drips(get: Getter, serve: Serve) -> None:
    going = threading.Event()

    def drops() -> Iterator[bytes]:
        while not going.wait(0.02):
            yield b"x"

    server = serve(Reply(200, drops(), framing="close"))
    limits = Limits(slow_for=0.3, slowest=1e6)
    assert "bytes a second" in str(failed(get, server.url, limits=limits))
    assert "more than 0.3 s" in str(
        failed(get, serve(Reply(200, drops(), framing="close")).url, limits=Limits(seconds=0.3))
    )
    going.set()


# -- redirections, and names that lead elsewhere ----------------------------------------------------------------------


def redirecting(to: str, status: int = 302) -> Reply:
    return Reply(status, b"", {"Location": to})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_followed(get: Getter, serve: Serve, tmp_path: Path, status: int) -> None:
    [file] = files(tmp_path / "in", 1)

    def answer(request: Request) -> Reply:
        return Reply(200, file.read_bytes()) if request.path == "/there" else redirecting("/there?a=1", status)

    server = serve(answer)
    assert get(server.url).instances == 1
    assert server.targets() == ["/dicom-web", "/there?a=1"]


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "FILE:///x", "ftp://h/x", "gopher://h", "//[", "http://h:99999/", ""]
)
def test_a_redirection_to_what_is_no_http(get: Getter, serve: Serve, to: str) -> None:
    server = serve(redirecting(to))
    failed(get, server.url)
    assert len(server.requests) <= QUICK.redirects + 1


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.1.1]/",
        "http://2852039166/",
        "http://[fe80::1]/",
    ],
)
def test_a_redirection_to_a_link_local_address(get: Getter, serve: Serve, to: str) -> None:
    error = refused(get, serve(redirecting(to)).url)
    assert error.details["why"] == "the address is one of the machine's own network alone (link-local)"


@pytest.mark.parametrize("to", ["http://0.0.0.0/", "http://224.0.0.1/"])
def test_a_redirection_to_nowhere(get: Getter, serve: Serve, to: str) -> None:
    refused(get, serve(redirecting(to)).url)


def test_a_redirection_with_credentials(get: Getter, serve: Serve) -> None:
    server = serve(lambda _request: redirecting(f"http://u:{SECRET}@127.0.0.1:{server.port}/x"))
    assert SECRET not in str(refused(get, server.url))


def test_redirections_without_end(get: Getter, serve: Serve) -> None:
    server = serve(redirecting("/again"))
    assert "redirections" in str(failed(get, server.url))
    assert len(server.requests) == QUICK.redirects + 1


def test_a_password_goes_to_its_own_server_only(get: Getter, serve: Serve, tmp_path: Path) -> None:
    [file] = files(tmp_path / "in", 1)
    other = serve(Reply(200, file.read_bytes()))
    first = serve(redirecting(f"http://127.0.0.1:{other.port}/x"))
    get(first.url.replace("://", f"://u:{SECRET}@"))
    assert first.requests[0].headers["authorization"].startswith("Basic ")
    assert "authorization" not in other.requests[0].headers


def test_a_server_outside_does_not_redirect_inside(get: Getter, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = serve(Reply(200, b"inside"))
    outer = serve(redirecting(inner.url))
    monkeypatch.setattr("slicer_notebook.pacs.links.judging.whereabouts", lambda _ip: "public")
    with names(monkeypatch, outer_example=["127.0.0.1"]):
        error = refused(get, by_name(outer.url, "outer.example"))
    assert "named by a server further out" in str(error)
    assert inner.requests == []


def test_a_name_that_leads_to_a_link_local_address(get: Getter, monkeypatch: pytest.MonkeyPatch) -> None:
    with names(monkeypatch, metadata_example=["169.254.169.254"]) as asked:
        error = refused(get, "http://metadata.example/x")
    assert asked == ["metadata.example"]
    assert "link-local" in str(error)


def test_a_name_that_leads_elsewhere_a_moment_later(
    get: Getter, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second connection of one link goes to an address that the first had nothing of."""
    given = files(tmp_path / "in", 2)
    server = serve(Reply(200, given[0].read_bytes(), {"Connection": "close"}, then="close"))
    url = by_name(server.url, "rebound.example")
    where = iter(["public", "loopback"])
    monkeypatch.setattr("slicer_notebook.pacs.links.judging.whereabouts", lambda _ip: next(where))
    with names(monkeypatch, rebound_example=["127.0.0.1"]):
        address = address_of(url)
        with Fetcher(Judge(Policy(), address, agreed=True), QUICK, name="test") as fetcher:
            with fetcher.get(address, "*/*") as body:
                list(body.chunks())
            with pytest.raises(LinkRefusedError, match="elsewhere"), fetcher.get(address, "*/*"):
                pass
    assert len(server.requests) == 1


def test_link_local_where_it_is_the_links_own_address_and_agreed_to() -> None:
    address = address_of("http://169.254.1.1/x")
    Judge(Policy(), address, agreed=True).begin(address)
    for how in ({"agreed": False}, {"agreed": True, "but": [Case.LINK_LOCAL]}):
        with pytest.raises(LinkRefusedError):
            Judge(Policy(), address, **how).begin(address)  # type: ignore[arg-type]


def test_localhost_that_is_elsewhere_is_given_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    address = address_of("http://localhost:1/x")
    judge = Judge(Policy(), address, token=True)
    judge.begin(address)
    judge.resolved("127.0.0.1")
    with pytest.raises(LinkRefusedError):
        judge.resolved("10.0.0.1")


# -- files that are no DICOM ------------------------------------------------------------------------------------------

NRRD = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 1 1 1\nencoding: raw\n\n\0"


def fetch(url: str, folder: Path, limits: Limits = QUICK) -> Path:
    address = address_of(url)
    with Fetcher(Judge(Policy(), address, agreed=True), limits, name="test") as fetcher:
        return download_file(fetcher, address, folder, lambda *_: None)


@pytest.mark.parametrize(
    ("path", "disposition", "name"),
    [
        ("/a/ct.nrrd", "", "ct.nrrd"),
        ("/a/ct.nrrd?x=1", "", "ct.nrrd"),
        ("/get", 'attachment; filename="brain scan.nrrd"', "brain_scan.nrrd"),
        ("/get", 'attachment; filename="../../../etc/x.nrrd"', "x.nrrd"),
        ("/get", 'attachment; filename="C:\\\\temp\\\\x.nrrd"', "x.nrrd"),
        ("/..%2f..%2fx.nrrd", "", "x.nrrd"),
        ("/.nrrd", "", "download.nrrd"),
        ("/x.nrrd", 'attachment; filename="evil.py"', "x.nrrd"),
    ],
)
def test_a_data_file(serve: Serve, tmp_path: Path, path: str, disposition: str, name: str) -> None:
    server = serve(Reply(200, NRRD, {"Content-Disposition": disposition} if disposition else {}))
    found = fetch(f"http://127.0.0.1:{server.port}{path}", tmp_path / "in")
    assert found.name == name
    assert found.read_bytes() == NRRD
    assert found.parent.parent == tmp_path / "in"


def nothing_left(folder: Path) -> bool:
    return not folder.exists() or not list(folder.rglob("*"))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("x.py", b"print()"),
        ("x.unknown", b""),
        ("x.nhdr", NRRD),
        ("x.mrml", b"<MRML/>"),
        ("x.nrrd", b"NRRD0004\ntype: uint8\ndata file: /etc/passwd\n\n"),
        ("x.nrrd", b"NRRD0004\ndatafile: LIST\n/etc/passwd\n\n"),
        ("x.mha", b"ObjectType = Image\nElementDataFile = /etc/passwd\n"),
        ("x.mha", b"ObjectType = Image\nElementDataFile : /etc/passwd\n"),
        ("x.nrrd", b"NRRD0004\n" + b"# comment\n" * 120_000 + b"data file: /etc/passwd\n\n"),
        ("x.nii", b"NRRD0004\ntype: uint8\ndata file: /etc/passwd\n\n"),
        ("x.csv", b"<MRML/>"),
        ("x.mrb", b"no zip"),
        ("x.mrb", zipped({"../../evil": b"x", "s/s.mrml": b"<MRML/>"})),
        ("x.mrb", zipped({"s/s.mrml": b"<MRML><A fileName='/etc/passwd'/></MRML>"})),
        ("x.mrb", zipped({"s/s.mrml": b"<MRML/>", "s/x.nrrd": b"NRRD0004\ndata file: /etc/passwd\n\n"})),
        ("x.mrb", zipped({"s/s.mrml": b"<MRML/>", "s/x.seq.mrb": zipped({"../evil": b"x"})})),
        ("x.mrb", zipped({"s.mrml": b'<MRML><A fileName="/etc/passwd"/></MRML>'})),
        ("x.mrb", zipped({"s.mrml": b'<MRML><A fileName="file:///etc/passwd"/></MRML>'})),
        ("x.mrb", zipped({"s.mrml": b'<MRML><A uri="https://evil/x"/></MRML>'})),
        ("x.mrb", zipped({"s.mrml": b'<MRML><A fileName="Data/../../x"/></MRML>'})),
        ("x.mrb", zipped({"a": b"\0" * (80 << 20)})),
    ],
)
def test_a_file_that_is_not_loaded(serve: Serve, tmp_path: Path, name: str, body: bytes) -> None:
    server = serve(Reply(200, body))
    with pytest.raises(LinkError):
        fetch(f"http://127.0.0.1:{server.port}/{name}", tmp_path / "in")
    assert nothing_left(tmp_path / "in")


def test_whole_files_are_not_taken_for_parts(serve: Serve, tmp_path: Path) -> None:
    for name, body in (
        ("x.mha", b"ObjectType = Image\nElementDataFile = LOCAL\n\0\0"),
        ("x.nrrd", NRRD + b"data file: no header any more"),
        ("x.mrb", zipped({"s/s.mrml": b'<MRML><A fileName="Data/x.nrrd"/></MRML>', "s/Data/x.nrrd": NRRD})),
    ):
        assert fetch(f"http://127.0.0.1:{serve(Reply(200, body)).port}/{name}", tmp_path / "in").exists()


def test_a_data_file_that_breaks_off(serve: Serve, tmp_path: Path) -> None:
    server = serve(Reply(200, NRRD, told=len(NRRD) + 10, then="close"))
    with pytest.raises(LinkError):
        fetch(f"http://127.0.0.1:{server.port}/x.nrrd", tmp_path / "in")
    assert nothing_left(tmp_path / "in")
