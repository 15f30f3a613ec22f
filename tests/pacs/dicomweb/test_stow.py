"""STOW-RS: a file is streamed as it is, and the server's answer is told in words."""

from __future__ import annotations

import logging
import time
import tracemalloc

import pytest

from slicer_notebook.errors import (
    JobCancelledError,
    NotDicomError,
    PacsAnswerError,
    PacsRefusedError,
    PacsUnreachableError,
    PathNotFoundError,
)
from slicer_notebook.pacs.dicomweb.multipart import Parser, PartBegins, PartData, parse_content_type
from slicer_notebook.pacs.model import never
from tests.pacs.dicomweb.faulty import Faulty, Reply, as_json
from tests.pacs.dicomweb.tools import source_for


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "one.dcm"
    path.write_bytes(bytes(128) + b"DICM" + bytes(range(256)) * 10_000)
    return path


def result(*, failed=None, warning=None):
    reference = {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
        "00081155": {"vr": "UI", "Value": ["1.2.77"]},
    }
    if failed is not None:
        return {"00081198": {"vr": "SQ", "Value": [{**reference, "00081197": {"vr": "US", "Value": [failed]}}]}}
    more = {} if warning is None else {"00081196": {"vr": "US", "Value": [warning]}}
    return {"00081199": {"vr": "SQ", "Value": [{**reference, **more}]}}


def test_a_file_is_sent_as_it_is(file):
    with Faulty(lambda request: as_json(result())) as server:
        source_for(server.url).store(str(file), never)
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/dicom-web/studies")
    kind, parameters = parse_content_type(request.headers["content-type"])
    assert (kind, parameters["type"]) == ("multipart/related", "application/dicom")
    parser = Parser(parameters["boundary"], trust_lengths=False)
    events = list(parser.feed(request.body))
    parser.close()
    assert [event.headers["content-type"] for event in events if isinstance(event, PartBegins)] == ["application/dicom"]
    assert b"".join(event.data for event in events if isinstance(event, PartData)) == file.read_bytes()


def test_a_large_file_is_never_in_memory(tmp_path):
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        file.truncate(60_000_000)
    got = []

    class Counting(Faulty):
        def _read(self, stream, number):
            headers = {}
            line = stream.readline()
            if not line.strip():
                return None
            while (each := stream.readline()).strip():
                name, _, value = each.decode().partition(":")
                headers[name.lower()] = value.strip()
            left = int(headers["content-length"])
            while left:
                left -= len(stream.read(min(left, 1 << 20)))
            got.append(int(headers["content-length"]))
            from tests.pacs.dicomweb.faulty import Request

            return Request("POST", "/", headers, b"", number)

    with Counting(lambda request: as_json(result())) as server:
        source = source_for(server.url)
        tracemalloc.start()
        source.store(str(path), never)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert got[0] > 60_000_000
    assert peak < 15_000_000


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize("array", [False, True])
def test_taken(file, status, array):
    body = [result()] if array else result()
    with Faulty(lambda request: as_json(body, status)) as server:
        source_for(server.url).store(str(file), never)


@pytest.mark.parametrize(
    "reply",
    [Reply(200), Reply(200, b"<xml/>", {"Content-Type": "application/dicom+xml"}), as_json({}), as_json(result(), 201)],
)
def test_taken_without_details(file, reply):
    with Faulty(lambda request: reply) as server:
        source_for(server.url).store(str(file), never)


def test_a_warning_is_in_the_log_without_uids(file, caplog):
    with Faulty(lambda request: as_json(result(warning=0xB000))) as server, caplog.at_level(logging.WARNING):
        source_for(server.url).store(str(file), never)
    assert "attributes were changed" in caplog.text
    assert "1.2.77" not in caplog.text


@pytest.mark.parametrize("status", [200, 202, 400, 409])
@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (0x0110, "an error in processing"),
        (0x0122, "SOP Class"),
        (0xA701, "out of resources"),
        (0xA900, "does not match"),
        (0xC122, "transfer syntax"),
        (0xC001, "does not understand"),
        (0x0124, "may not store"),
        (0x1234, "1234H"),
    ],
)
def test_not_taken(file, status, reason, words):
    with (
        Faulty(lambda request: as_json(result(failed=reason), status)) as server,
        pytest.raises(PacsAnswerError) as error,
    ):
        source_for(server.url).store(str(file), never)
    assert words in error.value.got
    assert f"{reason:04X}H" in error.value.got
    assert error.value.details == {"server": "web", "status": status, "reason": reason}
    assert "1.2.77" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, PacsRefusedError),
        (403, PacsRefusedError),
        (409, PacsAnswerError),
        (413, PacsAnswerError),
        (503, PacsAnswerError),
    ],
)
def test_refused(file, status, kind):
    with Faulty(lambda request: Reply(status)) as server, pytest.raises(kind, match=str(status)):
        source_for(server.url).store(str(file), never)
    assert len(server.requests) == 1  # what is not safe is not done twice


def test_a_server_that_answers_before_it_has_read_all(tmp_path):
    path = tmp_path / "large.dcm"
    with path.open("wb") as file:
        file.write(bytes(128) + b"DICM")
        file.truncate(30_000_000)

    class Early(Faulty):
        def _read(self, stream, number):
            return super()._read(_Cut(stream), number)

    class _Cut:
        def __init__(self, stream):
            self._stream = stream

        def readline(self):
            return self._stream.readline()

        def peek(self, size):
            return self._stream.peek(size)

        def read(self, size):
            return self._stream.read(min(size, 1000))

    with (
        Early(lambda request: Reply(413, then="close")) as server,
        pytest.raises((PacsAnswerError, PacsUnreachableError)),
    ):
        source_for(server.url).store(str(path), never)


def test_a_connection_that_breaks_is_not_tried_again(file):
    with Faulty(lambda request: Reply(raw=b"", then="reset")) as server, pytest.raises(PacsUnreachableError):
        source_for(server.url).store(str(file), never)
    assert len(server.requests) == 1


def test_cancelling(file):
    asked = []

    def handler(request):
        asked.append(request)
        return Reply(raw=b"", then="hang")

    with Faulty(handler) as server:
        began = time.monotonic()
        with pytest.raises(JobCancelledError):
            source_for(server.url, timeout=15.0).store(str(file), lambda: bool(asked))
        assert time.monotonic() - began < 3


def test_files_that_cannot_be_sent(tmp_path):
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")
    with Faulty(lambda request: as_json(result())) as server:
        source = source_for(server.url)
        with pytest.raises(NotDicomError):
            source.store(str(text), never)
        with pytest.raises(PathNotFoundError):
            source.store(str(tmp_path / "none.dcm"), never)
        with pytest.raises(PathNotFoundError):
            source.store(str(tmp_path), never)
    assert server.requests == []
