"""WADO-RS and WADO-URI: what arrives is kept, what does not is said, whatever the server does."""

from __future__ import annotations

import gzip
import threading
import time

import pytest

from slicer_notebook.errors import (
    JobCancelledError,
    PacsAnswerError,
    PacsRefusedError,
    PacsUnreachableError,
    StorageError,
)
from slicer_notebook.pacs.model import Fetch, WayFailedError, never
from tests.pacs.dicomweb.faulty import Faulty, Reply, as_json, multipart, multipart_reply
from tests.pacs.dicomweb.tools import Memory, source_for

#: Parts that are larger than a read, and small ones, with boundary-like bytes in them.
PARTS = [b"\0" * 128 + b"DICM" + bytes([i]) * (700_000 if i == 1 else 100 * i) + b"\r\n--b0unda" for i in range(5)]
STUDY = Fetch(study="1.2")


def fetch(url_or_source, wanted=STUDY, sink=None, cancelled=never, way="WADO-RS", **settings):
    source = source_for(url_or_source, **settings) if isinstance(url_or_source, str) else url_or_source
    sink = sink if sink is not None else Memory()
    chosen = next(each for each in source.ways() if each.name == way)
    return chosen.fetch(wanted, sink, cancelled), sink


def failing(url_or_source, wanted=STUDY, sink=None, **options) -> WayFailedError:
    with pytest.raises(WayFailedError) as error:
        fetch(url_or_source, wanted, sink, **options)
    return error.value


# -- the stream of a study --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("lengths", [True, False])
def test_a_study_arrives_part_by_part(framing, lengths):
    reply = multipart_reply(multipart(PARTS, lengths=lengths), framing=framing)
    with Faulty(lambda request: reply) as server:
        count, sink = fetch(server.url)
    assert (count, sink.done, sink.discarded) == (5, PARTS, [])
    request = server.requests[0]
    assert request.target == "/dicom-web/studies/1.2"
    assert request.headers["accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_many_megabytes_past_h11(framing):
    parts = [bytes([i]) * 1_500_000 for i in range(6)]
    body = multipart(parts)
    pieces = [body[i : i + 70_001] for i in range(0, len(body), 70_001)]
    reply = multipart_reply(b"", framing=framing)
    reply.body = pieces
    with Faulty(lambda request: reply) as server:
        source = source_for(server.url)
        for _ in range(2):
            _, sink = fetch(source)
            assert sink.done == parts


def test_a_series_and_its_path():
    with Faulty(lambda request: multipart_reply(multipart(PARTS))) as server:
        fetch(server.url, Fetch(study="1.2", series="3.4"))
    assert server.requests[0].target == "/dicom-web/studies/1.2/series/3.4"


def test_parts_arrive_before_the_body_is_complete():
    going_on = threading.Event()

    class Waiting(Memory):
        def open(self):
            if self.done:
                going_on.set()
            return super().open()

    body = multipart(PARTS)
    cut = body.index(PARTS[2])

    def pieces():
        yield body[:cut]
        assert going_on.wait(10)
        yield body[cut:]

    with Faulty(lambda request: multipart_reply(pieces(), framing="chunked")) as server:
        assert fetch(server.url, sink=Waiting())[1].done == PARTS


@pytest.mark.parametrize(
    "kind",
    [
        'multipart/related; type="application/dicom"; boundary="b0undary"',
        "multipart/related;boundary=b0undary;type=application/dicom",
        'multipart/related; type="application/dicom; transfer-syntax=1.2.840.10008.1.2.1"; boundary=b0undary',
        "multipart/mixed; boundary=b0undary",
        "multipart/related; boundary=--b0undary",
        "multipart/related",
    ],
)
@pytest.mark.parametrize("before", [b"", b"\r\n"])
def test_quirks_of_the_content_type_and_of_the_first_boundary(kind, before):
    reply = Reply(200, before + multipart(PARTS), {"Content-Type": kind})
    with Faulty(lambda request: reply) as server:
        assert fetch(server.url)[1].done == PARTS


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_one_part_where_several_are_due(framing):
    reply = Reply(200, PARTS[1], {"Content-Type": "application/dicom"}, framing=framing)
    with Faulty(lambda request: reply) as server:
        count, sink = fetch(server.url)
    assert (count, sink.done) == (1, [PARTS[1]])


def test_pixels_that_are_packed_although_identity_was_asked_for():
    reply = multipart_reply(gzip.compress(multipart(PARTS)))
    reply.headers = {**reply.headers, "Content-Encoding": "gzip"}
    with Faulty(lambda request: reply) as server:
        assert fetch(server.url)[1].done == PARTS


def test_an_interim_answer_comes_before_the_answer():
    body = multipart(PARTS)
    head = f"Content-Type: multipart/related; boundary=b0undary\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n" + head + body
    with Faulty(lambda request: Reply(raw=raw)) as server:
        assert fetch(server.url)[1].done == PARTS


@pytest.mark.parametrize("status", [400, 406, 415])
def test_a_server_that_wants_another_accept_header(status):
    def handler(request):
        if "transfer-syntax" in request.headers["accept"]:
            return Reply(status)
        return multipart_reply(multipart(PARTS))

    with Faulty(handler) as server:
        source = source_for(server.url)
        for _ in range(2):
            assert fetch(source)[1].done == PARTS
    assert len(server.requests) == 3  # it is known the second time


# -- what breaks off --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("lengths", [True, False])
@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_truncated_body_keeps_what_is_whole_and_may_be_tried_again(framing, lengths, then):
    body = multipart(PARTS, lengths=lengths)
    cut = body.index(PARTS[3]) + 250
    reply = multipart_reply(body[:cut], framing=framing, then=then, told=len(body))
    with Faulty(lambda request: reply) as server:
        sink = Memory()
        failure = failing(server.url, sink=sink)
    assert failure.again
    assert isinstance(failure.error, PacsAnswerError | PacsUnreachableError)
    if then == "close":  # a reset may drop what is still in the sockets' buffers
        assert sink.done == PARTS[:3]
    assert sink.done == PARTS[: len(sink.done)]
    assert len(sink.done) < 4
    assert all(len(part) < len(PARTS[len(sink.done)]) for part in sink.discarded)


def test_a_body_without_its_closing_boundary_is_not_complete():
    body = multipart(PARTS)[: -len("--\r\n")]
    with Faulty(lambda request: multipart_reply(body)) as server:
        failure = failing(server.url)
    assert failure.again
    assert "broke off" in failure.reason


def test_silence_in_mid_stream_ends_with_the_timeout_and_keeps_what_is_whole():
    body = multipart(PARTS)
    reply = multipart_reply(body[: body.index(PARTS[2]) + 10], then="hang", told=len(body))
    with Faulty(lambda request: reply) as server:
        sink = Memory()
        began = time.monotonic()
        failure = failing(server.url, sink=sink, timeout=0.4)
    assert time.monotonic() - began < 4
    assert failure.again
    assert "silence" in failure.reason
    assert sink.done == PARTS[:2]
    assert sink.discarded


def test_a_single_part_that_breaks_off_is_discarded():
    reply = Reply(200, PARTS[1][:-100], {"Content-Type": "application/dicom"}, told=len(PARTS[1]), then="close")
    with Faulty(lambda request: reply) as server:
        sink = Memory()
        assert failing(server.url, sink=sink).again
    assert (sink.done, len(sink.discarded)) == ([], 1)


def test_wrong_lengths_of_parts_are_noticed_and_not_believed_again():
    body = multipart(PARTS).replace(f"Content-Length: {len(PARTS[2])}".encode(), b"Content-Length: 250")
    with Faulty(lambda request: multipart_reply(body)) as server:
        source = source_for(server.url)
        sink = Memory()
        failure = failing(source, sink=sink)
        assert failure.again
        assert sink.done == PARTS[:2]
        assert fetch(source)[1].done == PARTS


def test_a_part_of_another_type_is_an_error_that_names_it():
    body = multipart([b"<xml/>"], kind="application/dicom+xml")
    with Faulty(lambda request: multipart_reply(body)) as server:
        failure = failing(server.url)
    assert not failure.again
    assert "application/dicom+xml" in failure.reason


def test_a_page_instead_of_instances():
    with Faulty(lambda request: Reply(200, b"<html>", {"Content-Type": "text/html"})) as server:
        failure = failing(server.url)
    assert not failure.again
    assert "text/html" in failure.reason


@pytest.mark.parametrize(
    ("status", "again"),
    [(204, False), (206, True), (401, False), (403, False), (404, False), (405, False), (406, False), (410, False),
     (500, True), (501, False)],
)  # fmt: skip
def test_statuses_and_whether_to_try_again(status, again):
    def handler(request):
        reply = multipart_reply(multipart(PARTS) if status == 206 else b"")
        reply.status = status
        return reply

    with Faulty(handler) as server:
        sink = Memory()
        failure = failing(server.url, sink=sink)
    assert failure.again is again
    assert str(status) in failure.reason
    assert "1.2" not in failure.reason.replace("127.0.0.1", "")
    assert sink.done == (PARTS if status == 206 else [])
    if status in (401, 403):
        assert isinstance(failure.error, PacsRefusedError)


def test_nobody_there_may_be_tried_again():
    with Faulty(lambda request: Reply()) as server:
        url = server.url
    failure = failing(url)
    assert failure.again
    assert isinstance(failure.error, PacsUnreachableError)
    assert "nobody listens" in failure.reason


def test_what_the_sink_raises_passes_and_the_part_is_discarded():
    sink = Memory()
    sink.error = StorageError("the disk is full")
    with Faulty(lambda request: multipart_reply(multipart(PARTS))) as server:
        source = source_for(server.url)
        with pytest.raises(StorageError):
            fetch(source, sink=sink)
        with pytest.raises(StorageError):
            fetch(source, Fetch(study="1.2", series="3.4", instances=("5.6", "5.7")), sink=sink)
    assert sink.done == []
    assert len(sink.discarded) >= 2


def test_cancelling_in_mid_stream():
    body = multipart(PARTS)
    reply = multipart_reply(body[: body.index(PARTS[2]) + 10], then="hang", told=len(body))
    sink = Memory()
    with Faulty(lambda request: reply) as server:
        began = time.monotonic()
        with pytest.raises(JobCancelledError):
            fetch(server.url, sink=sink, cancelled=lambda: len(sink.done) == 2, timeout=15.0)
        assert time.monotonic() - began < 2
    assert sink.discarded


# -- instances --------------------------------------------------------------------------------------------------------


def instances(count) -> Fetch:
    return Fetch(study="1.2", series="3.4", instances=tuple(f"5.{i}" for i in range(count)))


def one_instance(request):
    return multipart_reply(multipart([request.path.rpartition("/")[2].encode()]))


def test_instances_come_by_requests_of_their_own_on_few_connections():
    with Faulty(one_instance) as server:
        count, sink = fetch(server.url, instances(20), parallel=3)
        assert server.connections <= 3
    assert count == 20
    assert sorted(sink.done) == sorted(f"5.{i}".encode() for i in range(20))
    assert {request.path for request in server.requests} == {
        f"/dicom-web/studies/1.2/series/3.4/instances/5.{i}" for i in range(20)
    }


def test_instances_that_are_not_there_do_not_keep_the_others_from_coming():
    def handler(request):
        return Reply(404) if int(request.path.rpartition(".")[2]) < 8 else one_instance(request)

    with Faulty(handler) as server:
        sink = Memory()
        failure = failing(server.url, instances(20), sink=sink)
    assert not failure.again
    assert "8 of 20" in failure.reason
    assert len(sink.done) == 12


def test_a_server_that_fails_again_and_again_is_left_alone():
    with Faulty(lambda request: Reply(500)) as server:
        failure = failing(server.url, instances(40))
    assert failure.again
    assert len(server.requests) < 10


def test_cancelling_many_instances():
    sink = Memory()
    with Faulty(one_instance) as server, pytest.raises(JobCancelledError):
        fetch(server.url, instances(500), sink=sink, cancelled=lambda: len(sink.done) > 5)
    assert len(server.requests) < 50


# -- WADO-URI ---------------------------------------------------------------------------------------------------------


def uri(request):
    if "requestType" in request.query:
        return Reply(200, request.query["objectUID"].encode(), {"Content-Type": "application/dicom"})
    if "offset" in request.query:
        return as_json([])
    found = [
        {"0020000E": {"vr": "UI", "Value": [f"3.{i % 2}"]}, "00080018": {"vr": "UI", "Value": [f"5.{i}"]}}
        for i in range(6)
    ]
    return as_json(found)


def wado(server, **settings):
    return source_for(server.url, wado=f"http://127.0.0.1:{server.port}/wado", **settings)


def test_wado_uri_of_named_instances():
    with Faulty(uri) as server:
        count, sink = fetch(wado(server), instances(3), way="WADO-URI")
    assert (count, sorted(sink.done)) == (3, [b"5.0", b"5.1", b"5.2"])
    request = server.requests[0]
    assert request.path == "/wado"
    assert request.query == {
        "requestType": "WADO",
        "studyUID": "1.2",
        "seriesUID": "3.4",
        "objectUID": request.query["objectUID"],
        "contentType": "application/dicom",
    }


def test_wado_uri_of_a_study_asks_what_there_is():
    with Faulty(uri) as server:
        _, sink = fetch(wado(server), way="WADO-URI")
    assert len(sink.done) == 6
    by = {
        request.query["objectUID"]: request.query["seriesUID"]
        for request in server.requests
        if "objectUID" in request.query
    }
    assert by == {f"5.{i}": f"3.{i % 2}" for i in range(6)}


def test_wado_uri_of_a_picture_instead_of_dicom():
    with Faulty(lambda request: Reply(200, b"\xff\xd8\xff", {"Content-Type": "image/jpeg"})) as server:
        failure = failing(wado(server), instances(1), way="WADO-URI")
    assert not failure.again
    assert "image/jpeg" in failure.reason


def test_wado_uri_when_nothing_is_listed():
    with Faulty(lambda request: as_json([])) as server:
        failure = failing(wado(server), way="WADO-URI")
    assert not failure.again
