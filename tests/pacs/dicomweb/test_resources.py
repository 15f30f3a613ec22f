"""Metadata, pictures, frames, bulk data."""

from __future__ import annotations

import io
import logging

import pytest

from slicer_notebook.errors import ArgumentError, PacsAnswerError
from slicer_notebook.pacs.dicomweb.resources import dataset_of_json
from tests.pacs.dicomweb.faulty import Faulty, Reply, as_json, multipart
from tests.pacs.dicomweb.tools import source_for

PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)
JPEG = b"\xff\xd8\xff\xe0" + bytes(50)


def octets(parts, kind="application/octet-stream", **options):
    body = multipart(parts, kind=kind, **options)
    return Reply(200, body, {"Content-Type": 'multipart/related; type="application/octet-stream"; boundary=b0undary'})


# -- metadata ---------------------------------------------------------------------------------------------------------


def test_metadata_as_items_and_as_data_sets():
    item = {
        "00080018": {"vr": "UI", "Value": ["1.2.3"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Wang^X", "Ideographic": "王^小东"}]},
        "00200032": {"vr": "DS", "Value": [1, 2.5, -3]},
        "00400275": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": ["x"]}}]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "http://127.0.0.1/dicom-web/studies/1.2/bulk/7fe00010"},
    }
    with Faulty(lambda request: as_json([item, item])) as server:
        source = source_for(server.url)
        assert list(source.metadata_items("1.2", "3.4")) == [item, item]
        dataset = next(source.metadata("1.2"))
    assert [request.path for request in server.requests] == [
        "/dicom-web/studies/1.2/series/3.4/metadata",
        "/dicom-web/studies/1.2/metadata",
    ]
    assert str(dataset.PatientName) == "Wang^X=王^小东"
    assert list(dataset.ImagePositionPatient) == [1, 2.5, -3]
    assert dataset.RequestAttributesSequence[0].ScheduledProcedureStepDescription == "x"
    assert not dataset.PixelData


def test_metadata_whose_values_are_not_as_they_should_be(caplog):
    item = {"00080018": {"vr": "UI", "Value": ["1.2.3"]}, "00200013": {"vr": "IS", "Value": ["x"]}, "00100020": 5}
    with caplog.at_level(logging.WARNING):
        dataset = dataset_of_json(item)
    assert dataset.SOPInstanceUID == "1.2.3"
    assert "cannot be read" in caplog.text


def test_no_metadata():
    with Faulty(lambda request: Reply(404)) as server, pytest.raises(PacsAnswerError, match="404"):
        list(source_for(server.url).metadata("1.2"))


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_a_rendered_picture_in_a_size():
    with Faulty(lambda request: Reply(200, PNG, {"Content-Type": "image/png"})) as server:
        source = source_for(server.url)
        assert source.rendered("1.2", "3.4", "5.6", size=(320, 240)) == PNG
        assert source.rendered("1.2") == PNG
        assert source.learned.rendered is True
    first, second = server.requests
    assert first.path == "/dicom-web/studies/1.2/series/3.4/instances/5.6/rendered"
    assert first.query == {"viewport": "320,240"}
    assert second.query == {}


def pictures(thumbnail, rendered):
    """Statuses of the two resources; 200 is a picture."""

    def handler(request):
        status = thumbnail if request.path.endswith("/thumbnail") else rendered
        return Reply(status, JPEG if status == 200 else b"", {"Content-Type": "image/jpeg"})

    return handler


def test_a_thumbnail_where_there_is_one():
    with Faulty(pictures(200, 200)) as server:
        source = source_for(server.url)
        assert source.thumbnail("1.2", "3.4", size=96) == JPEG
        assert source.learned.thumbnail is True
    assert [request.path.rpartition("/")[2] for request in server.requests] == ["thumbnail"]
    assert server.requests[0].query == {"viewport": "96,96"}


@pytest.mark.parametrize("status", [404, 405, 501, 500])
def test_a_rendered_picture_where_there_is_no_thumbnail(status):
    with Faulty(pictures(status, 200)) as server:
        source = source_for(server.url)
        assert source.thumbnail("1.2", "3.4") == JPEG
        assert (source.learned.thumbnail, source.learned.rendered) == (False, True)
        count = len(server.requests)
        source.thumbnail("1.2", "3.4")
        assert len(server.requests) - count == 1  # it is known that there are none


def test_no_picture_at_all():
    with Faulty(pictures(404, 404)) as server:
        source = source_for(server.url)
        with pytest.raises(PacsAnswerError, match="has no picture") as error:
            source.thumbnail("1.2", "3.4")
        assert error.value.hint
        # One object without pixels says nothing of the server.
        assert source.learned.thumbnail is None


def test_a_server_that_knows_one_type_at_a_time():
    def handler(request):
        return (
            Reply(200, JPEG, {"Content-Type": "image/jpeg"})
            if request.headers["accept"] == "image/jpeg"
            else Reply(406)
        )

    with Faulty(handler) as server:
        assert source_for(server.url).rendered("1.2", "3.4") == JPEG


def test_a_picture_that_is_wrapped_and_one_that_is_none():
    with Faulty(lambda request: octets([PNG], "image/png")) as server:
        assert source_for(server.url).rendered("1.2") == PNG
    with (
        Faulty(lambda request: Reply(200, b"GIF89a", {"Content-Type": "image/gif"})) as server,
        pytest.raises(PacsAnswerError, match="image/gif"),
    ):
        source_for(server.url).rendered("1.2")


# -- frames and bulk data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [True, False])
def test_frames(lengths):
    kind = "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90"
    with Faulty(lambda request: octets([b"one", b"two"], kind, lengths=lengths)) as server:
        found = source_for(server.url).frames("1.2", "3.4", "5.6", [1, 3])
    assert server.requests[0].path.endswith("/instances/5.6/frames/1,3")
    assert found == [(b"one", "image/jp2", "1.2.840.10008.1.2.4.90"), (b"two", "image/jp2", "1.2.840.10008.1.2.4.90")]


def test_frames_with_wrong_lengths_and_too_few_of_them():
    reply = octets([b"one", b"two"])
    reply.body = reply.body.replace(b"Content-Length: 3", b"Content-Length: 7")
    with Faulty(lambda request: reply) as server:
        source = source_for(server.url)
        assert [blob.data for blob in source.frames("1.2", "3.4", "5.6", [1, 2])] == [b"one", b"two"]
        with pytest.raises(PacsAnswerError, match="another number"):
            source.frames("1.2", "3.4", "5.6", [1])
        with pytest.raises(ArgumentError):
            source.frames("1.2", "3.4", "5.6", [0])


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/dicom-web/studies/1.2/bulk/7fe00010?offset=5",
        "https://internal.example:8443/pacs/rs/studies/1.2/bulk/7fe00010?offset=5",
        "/dicom-web/studies/1.2/bulk/7fe00010?offset=5",
        "studies/1.2/bulk/7fe00010?offset=5",
        "/studies/1.2/bulk/7fe00010?offset=5",
    ],
)
def test_bulk_data_are_asked_for_at_the_configured_root(uri):
    with Faulty(lambda request: octets([b"value"])) as server:
        assert source_for(server.url).bulk(uri).data == b"value"
    assert server.targets() == ["/dicom-web/studies/1.2/bulk/7fe00010?offset=5"]


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/dicom-web/studies/../../admin",
        "http://127.0.0.1/dicom-web/studies/%2e%2e/admin",
        "http://127.0.0.1/admin",
        "file:///etc/passwd",
        "",
        "http://[broken",
        "/dicom-web/studies/ü",
    ],
)
def test_bulk_data_elsewhere_are_not_asked_for(uri):
    with Faulty(lambda request: octets([b"value"])) as server, pytest.raises(ArgumentError):
        source_for(server.url).bulk(uri)
    assert server.requests == []


def test_bulk_data_as_a_single_part_and_broken_ones():
    with Faulty(lambda request: Reply(200, b"value", {"Content-Type": "application/octet-stream"})) as server:
        assert source_for(server.url).bulk("/studies/1.2/bulk/x") == (b"value", "application/octet-stream", "")
    reply = octets([b"value"])
    reply.body = reply.body[:-5]
    with Faulty(lambda request: reply) as server, pytest.raises(PacsAnswerError, match="multipart"):
        source_for(server.url).bulk("/studies/1.2/bulk/x")


def test_pictures_can_be_opened(orthanc, pacs_data, monkeypatch):
    from PIL import Image

    from tests.pacs.dicomweb.test_orthanc import source_of

    source = source_of(orthanc)
    series = pacs_data.study("thorax").series[0]
    picture = Image.open(
        io.BytesIO(source.rendered(series.study, series.uid, next(iter(series.instances)), size=(40, 40)))
    )
    assert max(picture.size) <= 40
    assert Image.open(io.BytesIO(source.thumbnail(series.study, series.uid))).size
    assert source.learned.thumbnail is False
