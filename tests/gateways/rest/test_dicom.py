"""``/dicom`` over the wire: `interfaces` of SlicerWeb's DICOMweb, row by row, and what upstream lacks."""

from __future__ import annotations

import base64
import io
import json
import shutil
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from slicer_notebook.commands.gateway import Line
from slicer_notebook.dicom.index import Index
from slicer_notebook.gateways.rest import dicom_files, dicom_search
from slicer_notebook.pacs.dicomweb.multipart import Parser, PartBegins, PartData, PartEnds, parse_content_type
from tests.dicom.make import write_series
from tests.gateways.rest.dicom_server import serving
from tests.pacs.peers.data import Data, DataSeries, DataStudy
from tests.pacs.retrieving import until

RELATED = 'multipart/related; type="application/dicom"'


@pytest.fixture(scope="module")
def database(pacs_data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of all the data; one study of it in a ZIP archive."""
    folder = tmp_path_factory.mktemp("rest-dicom")
    archive = folder / "packed.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in pacs_data.study("packed").instances.values():
            packed.write(path, f"{path.parent.name}/{path.name}")
    index = Index(folder / "index.sqlite3")
    index.add(archive, *(path for key, study in pacs_data.studies.items() if key != "packed" for path in _paths(study)))
    index.close()
    return folder / "index.sqlite3"


def _paths(study: DataStudy) -> list[Path]:
    return list(study.instances.values())


@pytest.fixture(scope="module")
def url(database: Path) -> Iterator[str]:
    with serving(database) as root:
        yield root


@pytest.fixture
def web(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield client


def parts_of(response: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """Headers and bytes of each part."""
    kind, parameters = parse_content_type(response.headers["content-type"])
    assert kind == "multipart/related"
    parser, found = Parser(parameters["boundary"]), []
    data = bytearray()
    headers: dict[str, str] = {}
    for event in parser.feed(response.content):
        if isinstance(event, PartBegins):
            headers, data = event.headers, bytearray()
        elif isinstance(event, PartData):
            data += event.data
        elif isinstance(event, PartEnds):
            found.append((headers, bytes(data)))
    parser.close()
    return found


def first_value(item: dict[str, Any], tag: str) -> Any:
    return item[tag]["Value"][0]


def path_of(series: DataSeries, instance: str = "") -> str:
    path = f"/studies/{series.study}/series/{series.uid}"
    return f"{path}/instances/{instance}" if instance else path


# -- searches ---------------------------------------------------------------------------------------------------------


def test_all_studies_are_found_with_what_upstream_leaves_empty(web: httpx.Client, url: str, pacs_data: Data) -> None:
    answer = web.get("/studies")
    assert answer.status_code == 200
    # slicerio compares it exactly.
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    assert int(answer.headers["content-length"]) == len(answer.content)
    found = {first_value(item, "0020000D"): item for item in answer.json()}
    assert found.keys() == {study.uid for study in pacs_data.studies.values()}
    thorax = found[pacs_data.study("thorax").uid]
    assert first_value(thorax, "00081030") == "CT Thorax"  # StudyDescription
    assert first_value(thorax, "00200010") == "THORAX"  # StudyID
    assert first_value(thorax, "00081190") == f"{url}/studies/{pacs_data.study('thorax').uid}"  # RetrieveURL
    assert sorted(thorax["00080061"]["Value"]) == ["CT", "SR"]
    assert (first_value(thorax, "00201206"), first_value(thorax, "00201208")) == (2, 31)
    assert first_value(thorax, "00080005") == "ISO_IR 192"
    assert first_value(thorax, "00080056") == "ONLINE"
    assert found[pacs_data.study("bare").uid]["00081030"] == {"vr": "LO"}


def test_names_in_all_character_sets(web: httpx.Client, pacs_data: Data) -> None:
    for study in pacs_data.studies.values():
        items = web.get("/studies", params={"StudyInstanceUID": study.uid}).json()
        groups = study.name.split("=")
        expected = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False))
        assert first_value(items[0], "00100010") == expected


@pytest.mark.parametrize(
    ("query", "studies"),
    [
        ("PatientID=ASCII", {"thorax", "follow-up"}),
        ("00100020=ASCII", {"thorax", "follow-up"}),
        ("PatientName=doe^jane", {"thorax", "follow-up"}),
        ("PatientName=DOE*", {"thorax", "follow-up"}),
        ("PatientName=m%C3%BCller*", {"latin"}),
        (f"PatientName={quote('山田*')}", {"japan"}),
        ("StudyDate=20240101-20240215", {"thorax", "bare"}),
        ("StudyDate=-20231231", {"latin", "packed"}),
        ("StudyDate=20240505", {"follow-up"}),
        ("StudyDate=20240101-20240215&PatientID=BARE", {"bare"}),
        ("ModalitiesInStudy=SR", {"thorax"}),
        ("ModalitiesInStudy=SR,SEG", {"thorax", "latin"}),
        ("Modality=SEG", {"latin"}),
        ("StudyDescription=ct*", {"thorax", "follow-up"}),
        ("AccessionNumber=A0003", {"bare"}),
        ("AccessionNumber=A000%3F&PatientID=ASCII", {"thorax", "follow-up"}),
        ("PatientName=nobody", set()),
        ("PatientName=*", None),
        ("PatientName=", None),
        ("NumberOfStudyRelatedInstances=31", {"thorax"}),
    ],
)  # fmt: skip
def test_studies_by_attributes(web: httpx.Client, pacs_data: Data, query: str, studies: set[str] | None) -> None:
    answer = web.get(f"/studies?{query}")
    assert answer.status_code == 200
    expected = set(pacs_data.studies) if studies is None else studies
    assert {first_value(item, "0020000D") for item in answer.json()} == {pacs_data.study(key).uid for key in expected}


def test_pages_begin_at_an_offset_of_nought(web: httpx.Client) -> None:
    everything = web.get("/studies").json()
    assert web.get("/studies?offset=0&limit=3").json() == everything[:3]
    assert web.get("/studies?offset=3&limit=3").json() == everything[3:6]
    assert web.get("/studies?offset=1").json() == everything[1:]
    assert web.get("/studies?limit=0").json() == []
    assert web.get(f"/studies?offset={len(everything)}").json() == []


def test_without_a_limit_a_hundred_studies(tmp_path: Path) -> None:
    from slicer_notebook.dicom.records import Instance

    index = Index(tmp_path / "many.sqlite3")
    index.put(
        Instance(
            StudyInstanceUID=f"1.2.{n}", SeriesInstanceUID=f"1.2.{n}.1", SOPInstanceUID=f"1.2.{n}.1.1", path=f"/{n}"
        )
        for n in range(1, 131)
    )
    index.close()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        assert len(client.get(f"{root}/studies").json()) == dicom_search.LIMIT == 100
        assert len(client.get(f"{root}/studies?limit=1000").json()) == 130
        # What is looked through one by one comes in several pages.
        assert len(client.get(f"{root}/studies?NumberOfStudyRelatedInstances=1&limit=1000").json()) == 130
        assert len(client.get(f"{root}/series").json()) == 130
        large = client.get(f"{root}/studies?limit={dicom_search.MOST + 1}")
        assert large.headers["warning"].startswith("299 ")


def test_more_attributes_are_returned_when_asked_for(web: httpx.Client, pacs_data: Data) -> None:
    query = f"StudyInstanceUID={pacs_data.study('thorax').uid}&includefield=PatientAge&includefield=00080080"
    item = web.get(f"/studies?{query}").json()[0]
    assert "00101010" in item
    assert "00080080" not in item  # the study's series have it
    series = web.get(f"/series?{query}").json()[0]
    assert first_value(series, "00080080") == "General Hospital"
    everything = web.get("/studies?includefield=all").json()[0]
    assert len(everything) > len(item)


def test_series_and_instances(web: httpx.Client, url: str, pacs_data: Data) -> None:
    study = pacs_data.study("thorax")
    found = web.get(f"/studies/{study.uid}/series").json()
    assert [first_value(item, "0020000E") for item in found] == [series.uid for series in study.series]
    assert [first_value(item, "00080060") for item in found] == ["CT", "SR"]
    assert first_value(found[0], "00201209") == 30
    series = study.series[0]
    instances = web.get(f"{path_of(series)}/instances").json()
    assert {first_value(item, "00080018") for item in instances} == set(series.instances)
    assert [first_value(item, "00200013") for item in instances] == list(range(1, 31))
    assert (first_value(instances[0], "00280010"), first_value(instances[0], "00280011")) == (32, 32)
    uid = first_value(instances[0], "00080018")
    assert first_value(instances[0], "00081190") == url + path_of(series, uid)
    assert first_value(instances[0], "00083002") == series.syntax
    # A report has no rows.
    report = web.get(f"{path_of(study.series[1])}/instances").json()[0]
    assert report["00280010"] == {"vr": "US"}


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/series?Modality=SR", 1),
        ("/series?SeriesNumber=2", 4),
        ("/instances?InstanceNumber=30", 1),
        ("/instances?PatientID=BARE", 3),
        ("/instances?PatientID=BARE&InstanceNumber=2", 1),
        ("/instances?limit=7&offset=2", 7),
        ("/instances?SOPClassUID=1.2.840.10008.5.1.4.1.1.66.4", 1),
        ("/instances?Rows=32", 30),
        ("/instances?Rows=none", 0),
    ],
)
def test_among_all(web: httpx.Client, path: str, count: int) -> None:
    assert len(web.get(path).json()) == count


def test_instances_by_a_list_of_uids_and_by_what_only_files_hold(web: httpx.Client, pacs_data: Data) -> None:
    series = pacs_data.study("follow-up").series[0]
    two = sorted(series.instances)[:2]
    items = web.get(f"/studies/{series.study}/instances", params={"SOPInstanceUID": ",".join(two)}).json()
    assert sorted(first_value(item, "00080018") for item in items) == two
    # KVP is the index's, LossyImageCompressionRatio only the file's.
    packed = pacs_data.study("packed")
    item = web.get(f"/studies/{packed.uid}/instances?includefield=00282112&includefield=SliceThickness").json()[0]
    assert {"00282112", "00180050"} <= item.keys()


def test_attributes_inside_sequences(tmp_path: Path) -> None:
    from slicer_notebook.dicom.records import Instance

    index = Index(tmp_path / "sequences.sqlite3")
    index.put(
        Instance(
            StudyInstanceUID="1.2.3",
            SeriesInstanceUID=f"1.2.3.{n}",
            SOPInstanceUID=f"1.2.3.{n}.1",
            path=f"/{n}",
            RequestAttributesSequence=[{"ScheduledProcedureStepID": step}],
        )
        for n, step in enumerate(("SPS1", "SPS2"), 1)
    )
    index.close()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        for name in ("RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009"):
            found = client.get(f"{root}/series?{name}=sps2").json()
            assert [first_value(item, "0020000E") for item in found] == ["1.2.3.2"]
            assert found[0]["00400275"]["Value"] == [{"00400009": {"vr": "SH", "Value": ["SPS2"]}}]


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1", "limit=x", "offset=1.5", "limit=%D9%A1", "limit=" + 20 * "9", "Nonsense=1", "PatientNam=x",
        "SOPInstanceUID=1.2",
        "StudyDate=yesterday", "StudyDate=20240231", "PatientID=a&PatientID=b", "PatientName=%00", "fuzzymatching=2",
        "includefield=Nonsense",
        "PatientName.PatientID=1", "RetrieveURL=x", "00100010=x&PatientName=y", "limit=1&limit=2",
    ],
)  # fmt: skip
def test_what_is_no_search_is_refused(web: httpx.Client, query: str) -> None:
    answer = web.get(f"/studies?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["success"] is False
    assert answer.json()["message"].startswith("Server error: ")


@pytest.mark.parametrize(
    ("name", "studies"),
    [
        ("doe", {"thorax", "follow-up"}),
        ("jane do", {"thorax", "follow-up"}),
        ("Jane^D*", {"thorax", "follow-up"}),
        ("J, DOE", {"thorax", "follow-up"}),
        ("muller", {"latin"}),
        ("oe", set()),
        ("doe john", set()),
        ("太郎", {"japan"}),
        ("*", None),
    ],
)
def test_fuzzy_matching_of_names(web: httpx.Client, pacs_data: Data, name: str, studies: set[str] | None) -> None:
    expected = set(pacs_data.studies) if studies is None else studies
    found = web.get("/studies", params={"fuzzymatching": "true", "PatientName": name}).json()
    assert {first_value(item, "0020000D") for item in found} == {pacs_data.study(key).uid for key in expected}
    literal = web.get("/studies", params={"fuzzymatching": "false", "PatientName": "doe"})
    assert literal.json() == []


def test_dicom_json_is_sent_to_who_asks_for_it(web: httpx.Client) -> None:
    for accept, media in (
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/dicom+json", "application/dicom+json"),
        ("application/dicom+json, application/json;q=0.9", "application/dicom+json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
    ):
        answer = web.get("/studies?limit=1", headers={"Accept": accept})
        assert answer.headers["content-type"] == media
    assert web.get("/studies", headers={"Accept": 'multipart/related; type="application/dicom+xml"'}).status_code == 406
    assert web.get("/studies?accept=application/dicom%2Bjson").headers["content-type"] == "application/dicom+json"


# -- what there is not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["", "/metadata", "/series", "/instances", "/thumbnail", "/rendered"])
def test_an_unknown_study(web: httpx.Client, tail: str) -> None:
    answer = web.get(f"/studies/1.2.3.4.5{tail}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"success": False, "message": answer.json()["message"]}
    assert answer.json()["message"].startswith("Server error: There is no study")


@pytest.mark.parametrize("tail", ["", "/metadata", "/instances", "/instances/1.2", "/instances/1.2/metadata"])
def test_an_unknown_series_and_one_of_another_study(web: httpx.Client, pacs_data: Data, tail: str) -> None:
    thorax, other = pacs_data.study("thorax"), pacs_data.study("bare")
    for study, series in ((thorax.uid, "1.2.3.4.5"), (other.uid, thorax.series[0].uid)):
        assert web.get(f"/studies/{study}/series/{series}{tail}").status_code == 404


@pytest.mark.parametrize("uid", ["x", "1..2", ".1", "1.", "1.2;x", "1" * 65, "..%2F..", "1.2%0A", "%D9%A1.2", "-1"])
def test_malformed_uids_are_refused(web: httpx.Client, uid: str) -> None:
    assert web.get(f"/studies/{uid}").status_code in (400, 404)
    assert web.get(f"/studies/{uid}/series").status_code in (400, 404)
    assert web.get(f"/studies/1.2/series/{uid}/metadata").status_code in (400, 404)
    assert web.get(f"?objectUID={uid}").status_code == 400
    if "%2F" not in uid:
        answer = web.get(f"/studies/{uid}/metadata")
        assert answer.status_code == 400
        assert answer.json()["message"] == "Server error: That is no UID."


def test_unknown_resources(web: httpx.Client) -> None:
    for path in ("/nonsense", "/studies/1.2/nonsense", "/studies/1.2/series/1.3/instances/1.4/nonsense"):
        answer = web.get(path)
        assert answer.status_code == 404
        assert answer.json()["success"] is False


# -- retrieving -------------------------------------------------------------------------------------------------------


def test_an_instance_is_the_bare_file(web: httpx.Client, pacs_data: Data) -> None:
    series = pacs_data.study("thorax").series[0]
    for uid, path in list(series.instances.items())[:3]:
        for accept in ("*/*", "application/dicom", "application/dicom; transfer-syntax=*"):
            answer = web.get(path_of(series, uid), headers={"Accept": accept})
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/dicom"
            assert answer.headers["content-length"] == str(path.stat().st_size)
            assert answer.content == path.read_bytes()


@pytest.mark.parametrize("key", ["thorax", "packed", "korea"])
def test_a_study_and_its_series_come_whole(web: httpx.Client, pacs_data: Data, key: str) -> None:
    """Upstream answers ``[{}]``. One of the studies lies in a ZIP archive."""
    study = pacs_data.study(key)
    for path, expected in (
        (f"/studies/{study.uid}", study.instances),
        *((path_of(series), series.instances) for series in study.series),
    ):
        answer = web.get(path, headers={"Accept": RELATED})
        assert answer.status_code == 200
        assert parse_content_type(answer.headers["content-type"]).parameters["type"] == "application/dicom"
        assert int(answer.headers["content-length"]) == len(answer.content)
        found = parts_of(answer)
        assert sorted(data for _, data in found) == sorted(path.read_bytes() for path in expected.values())
        for headers, data in found:
            header = dcmread(io.BytesIO(data), stop_before_pixels=True)
            kind = parse_content_type(headers["content-type"])
            assert kind.type == "application/dicom"
            assert kind.parameters["transfer-syntax"] == header.file_meta.TransferSyntaxUID
            assert headers["content-location"].endswith(f"/instances/{header.SOPInstanceUID}")


def test_a_study_as_a_zip(web: httpx.Client, pacs_data: Data) -> None:
    study = pacs_data.study("follow-up")
    for answer in (
        web.get(f"/studies/{study.uid}?accept=application/zip"),
        web.get(f"/studies/{study.uid}", headers={"Accept": "application/zip"}),
    ):
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            names = {
                f"{series.uid}/{uid}.dcm": path for series in study.series for uid, path in series.instances.items()
            }
            assert set(archive.namelist()) == set(names)
            assert all(archive.read(name) == path.read_bytes() for name, path in names.items())


def test_large_answers_are_streamed(web: httpx.Client, pacs_data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the pieces are, the body is the same."""
    study = pacs_data.study("thorax")
    bodies = []
    for chunk in (1 << 20, 777):
        monkeypatch.setattr(dicom_files, "CHUNK", chunk)
        answer = web.get(f"/studies/{study.uid}")
        bodies.append([data for _, data in parts_of(answer)])
        assert web.get(f"/studies/{study.uid}?accept=application/zip").content[:2] == b"PK"
    assert bodies[0] == bodies[1]


def test_what_cannot_be_sent_is_not_acceptable(web: httpx.Client, pacs_data: Data) -> None:
    packed = pacs_data.study("packed")
    series = packed.series[0]
    uid = next(iter(series.instances))
    stored = {"Accept": f"{RELATED}; transfer-syntax={series.syntax}"}
    assert web.get(path_of(series), headers=stored).status_code == 200
    assert web.get(path_of(series), headers={"Accept": f"{RELATED}; transfer-syntax=*"}).status_code == 200
    other = web.get(path_of(series), headers={"Accept": f"{RELATED}; transfer-syntax=1.2.840.10008.1.2.1"})
    assert other.status_code == 406
    assert series.syntax in other.json()["message"]
    assert web.get(f"/studies/{packed.uid}", headers={"Accept": "application/dicom"}).status_code == 406
    assert web.get(path_of(series, uid), headers={"Accept": "text/html"}).status_code == 406


def test_head_says_what_get_would(web: httpx.Client, pacs_data: Data) -> None:
    series = pacs_data.study("thorax").series[0]
    uid = next(iter(series.instances))
    for path in ("/studies", f"/studies/{series.study}", path_of(series, uid)):
        head, got = web.head(path), web.get(path)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == got.headers["content-length"]


def test_files_that_are_gone(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("follow-up")
    copies = []
    for number, path in enumerate(study.instances.values()):
        copies.append(tmp_path / f"{number}.dcm")
        shutil.copy(path, copies[-1])
    index = Index(tmp_path / "index.sqlite3")
    index.add(tmp_path)
    index.close()
    copies[0].unlink()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        whole = f"{root}/studies/{study.uid}"
        some = client.get(whole)
        assert some.status_code == 206
        assert some.headers["warning"].startswith("299 ")
        assert len(parts_of(some)) == 6
        assert client.get(f"{whole}/metadata").status_code == 206
        lost = next(iter(study.instances))
        series = next(series for series in study.series if lost in series.instances)
        assert client.get(root + path_of(series, lost)).status_code == 410
        for copy in copies[1:]:
            copy.unlink()
        assert client.get(whole).status_code == 410
        assert client.get(f"{whole}/metadata").status_code == 410


def test_a_second_copy_is_sent_when_the_first_is_gone(pacs_data: Data, tmp_path: Path) -> None:
    uid, path = next(iter(pacs_data.study("bare").instances.items()))
    for name in ("a.dcm", "b.dcm"):
        shutil.copy(path, tmp_path / name)
    index = Index(tmp_path / "index.sqlite3")
    index.add(tmp_path)
    index.close()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        for gone in ("a.dcm", None):
            if gone:
                (tmp_path / gone).unlink()
            assert client.get(f"{root}?objectUID={uid}").content == path.read_bytes()


def test_an_answer_is_broken_off_where_a_file_becomes_shorter(
    pacs_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes for whole what is not."""
    source = next(iter(pacs_data.study("thorax").instances.values()))
    copy = tmp_path / "a.dcm"
    shutil.copy(source, copy)
    index = Index(tmp_path / "index.sqlite3")
    index.add(tmp_path)
    index.close()
    whole = dicom_files.on_disk

    def longer(instances: Any) -> Any:
        there, gone = whole(instances)
        return [file._replace(size=file.size + 1000) for file in there], gone

    monkeypatch.setattr(dicom_files, "on_disk", longer)
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        uid = pacs_data.study("thorax").uid
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(f"{root}/studies/{uid}")


# -- metadata, frames, bulk data --------------------------------------------------------------------------------------


def without_empty(element: dict[str, Any]) -> dict[str, Any]:
    """pydicom writes an empty sequence as one without items; F.2.5 has no Value there. It keeps empty name groups."""
    if element["vr"] == "SQ":
        items = [{tag: without_empty(each) for tag, each in item.items()} for item in element.get("Value", [])]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    return element


def test_metadata_is_what_is_in_the_files(web: httpx.Client, url: str, pacs_data: Data) -> None:
    for study in pacs_data.studies.values():
        answer = web.get(f"/studies/{study.uid}/metadata")
        assert answer.headers["content-type"] == "application/json"
        items = {first_value(item, "00080018"): item for item in answer.json()}
        assert items.keys() == study.instances.keys()
        for uid, path in study.instances.items():
            stored = dcmread(path)
            # As pydicom writes it, which is another program here: ours does not use that.
            for tag, element in stored.to_json_dict().items():
                # Nothing behind the pixels is read: padding, signatures.
                if tag != "00080005" and tag <= "7FE00010" and "BulkDataURI" not in items[uid][tag]:
                    assert items[uid][tag] == without_empty(element), tag
            Dataset.from_json(items[uid], lambda *_: b"\0\0")
            assert first_value(items[uid], "00083002") == stored.file_meta.TransferSyntaxUID
            assert first_value(items[uid], "00080005") == "ISO_IR 192"


def test_metadata_of_a_series_and_of_one(web: httpx.Client, pacs_data: Data) -> None:
    series = pacs_data.study("follow-up").series[0]
    of_series = web.get(f"{path_of(series)}/metadata").json()
    assert {first_value(item, "00080018") for item in of_series} == set(series.instances)
    uid = next(iter(series.instances))
    of_one = web.get(f"{path_of(series, uid)}/metadata").json()
    assert of_one == [item for item in of_series if first_value(item, "00080018") == uid]


def test_every_bulk_data_uri_leads_to_its_value(web: httpx.Client, pacs_data: Data) -> None:
    seen = 0
    for study in pacs_data.studies.values():
        for item in web.get(f"/studies/{study.uid}/metadata").json():
            stored = dcmread(study.instances[first_value(item, "00080018")])
            for tag, element in item.items():
                if "BulkDataURI" not in element:
                    continue
                answer = httpx.get(element["BulkDataURI"], headers={"Accept": "*/*"}, trust_env=False)
                assert answer.status_code == 200
                if answer.headers["content-type"].startswith("multipart/"):
                    values = [data for _, data in parts_of(answer)]
                else:
                    values = [answer.content]
                if stored.file_meta.TransferSyntaxUID.is_compressed and tag == "7FE00010":
                    assert all(value in stored.PixelData for value in values)
                else:
                    assert b"".join(values) == stored[tag].value[: len(b"".join(values))]
                    assert len(b"".join(values)) in (len(stored[tag].value), len(stored[tag].value) - 1)
                seen += 1
    assert seen >= 50


def test_bulk_data_inside_sequences(tmp_path: Path, pacs_data: Data) -> None:
    dataset = dcmread(next(iter(pacs_data.study("bare").instances.values())))
    item = Dataset()
    item.add_new(0x00420011, "OB", bytes(range(256)) * 8)
    inner = Dataset()
    inner.DerivationDescription = "inside"
    outer = Dataset()
    outer.add_new(0x00081115, "SQ", [item])
    dataset.add_new(0x00082112, "SQ", [inner, outer])
    dataset.save_as(tmp_path / "a.dcm")
    index = Index(tmp_path / "index.sqlite3")
    index.add(tmp_path)
    index.close()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        made = client.get(f"{root}/studies/{dataset.StudyInstanceUID}/metadata").json()[0]
        uri = made["00082112"]["Value"][1]["00081115"]["Value"][0]["00420011"]["BulkDataURI"]
        assert uri.endswith("/bulkdata/00082112/1/00081115/0/00420011")
        assert client.get(uri).content == bytes(range(256)) * 8
        related = client.get(uri, headers={"Accept": 'multipart/related; type="application/octet-stream"'})
        assert [data for _, data in parts_of(related)] == [bytes(range(256)) * 8]
        base = uri[: uri.index("/bulkdata/")]
        for where in ("00082112/7/00081115/0/00420011", "00082112", "00100010", "00990099", "00082112/0/00082111"):
            assert client.get(f"{base}/bulkdata/{where}").status_code == 404
        for where in ("x", "00082112/-1/00420011", "..%2F..", "00082112/0"):
            assert client.get(f"{base}/bulkdata/{where}").status_code == 400


def test_values_that_are_not_as_their_vr_says(tmp_path: Path, pacs_data: Data) -> None:
    """One bad value does not cost the metadata of a study."""
    path = next(iter(pacs_data.study("bare").instances.values()))
    data = path.read_bytes()
    # InstanceNumber (0020,0013) IS: two characters that are no number.
    where = data.index(b"\x20\x00\x13\x00IS")
    length = int.from_bytes(data[where + 6 : where + 8], "little")
    broken = data[: where + 8] + b"x" * length + data[where + 8 + length :]
    (tmp_path / "a.dcm").write_bytes(broken)
    index = Index(tmp_path / "index.sqlite3")
    index.add(tmp_path)
    index.close()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        made = client.get(f"{root}/studies/{pacs_data.study('bare').uid}/metadata").json()[0]
    assert made["00200013"] == {"vr": "IS", "Value": ["x" * length]}
    assert first_value(made, "00100020") == "BARE"


def test_frames(web: httpx.Client, pacs_data: Data) -> None:
    series = pacs_data.study("thorax").series[0]
    uid, path = next(iter(series.instances.items()))
    stored = dcmread(path)
    answer = web.get(f"{path_of(series, uid)}/frames/1")
    assert [data for _, data in parts_of(answer)] == [stored.PixelData]
    bare = web.get(f"{path_of(series, uid)}/frames/1", headers={"Accept": "application/octet-stream"})
    assert bare.headers["content-type"] == "application/octet-stream"
    assert bare.content == stored.PixelData
    for frames, status in (("2", 404), ("0", 404), ("x", 400), ("1,", 400), (",".join(65 * ["1"]), 400)):
        assert web.get(f"{path_of(series, uid)}/frames/{frames}").status_code == status


def test_frames_that_are_compressed(web: httpx.Client, pacs_data: Data) -> None:
    media = {
        "4.70": "image/jpeg",
        "4.50": "image/jpeg",
        "4.90": "image/jp2",
        ".5": "image/dicom-rle",
        "4.80": "image/jls",
    }
    seen = set()
    for series in pacs_data.study("packed").series:
        uid, path = next(iter(series.instances.items()))
        stored = dcmread(path)
        frame = f"{path_of(series, uid)}/frames/1"
        as_stored = web.get(
            frame, headers={"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
        )
        ((headers, data),) = parts_of(as_stored)
        kind = parse_content_type(headers["content-type"])
        assert kind.parameters["transfer-syntax"] == series.syntax
        expected = next((name for tail, name in media.items() if series.syntax.endswith(tail)), None)
        assert kind.type == expected
        seen.add(kind.type)
        assert data.rstrip(b"\0") in stored.PixelData
        plain = web.get(frame, headers={"Accept": 'multipart/related; type="application/octet-stream"'})
        ((headers, data),) = parts_of(plain)
        samples = stored.SamplesPerPixel * stored.BitsAllocated // 8
        assert len(data) == stored.Rows * stored.Columns * samples
        assert parse_content_type(headers["content-type"]).parameters["transfer-syntax"] == "1.2.840.10008.1.2.1"
        if stored.SamplesPerPixel == 1:
            assert data == stored.pixel_array.tobytes()
        assert web.get(frame, headers={"Accept": "image/gif"}).status_code == 406
    assert seen == set(media.values())


def test_frames_of_single_bits(web: httpx.Client, pacs_data: Data) -> None:
    series = pacs_data.study("latin").series[1]
    uid, path = next(iter(series.instances.items()))
    stored = dcmread(path)
    assert stored.BitsAllocated == 1
    answer = web.get(f"{path_of(series, uid)}/frames/1", headers={"Accept": "application/octet-stream"})
    assert answer.content == stored.PixelData[: stored.Rows * stored.Columns // 8]


# -- pictures, WADO-URI -----------------------------------------------------------------------------------------------


def test_pictures(web: httpx.Client, pacs_data: Data) -> None:
    from PIL import Image

    series = pacs_data.study("thorax").series[0]
    uid = next(iter(series.instances))
    for path in (f"/studies/{series.study}", path_of(series), path_of(series, uid)):
        small = web.get(f"{path}/thumbnail")
        assert small.headers["content-type"] == "image/png"
        assert max(Image.open(io.BytesIO(small.content)).size) == 128
        own = Image.open(io.BytesIO(web.get(f"{path}/rendered").content))
        assert max(own.size) == 32
        jpeg = web.get(f"{path}/rendered?viewport=64,100", headers={"Accept": "image/jpeg"})
        assert jpeg.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(jpeg.content)).size) == 64
        assert web.get(f"{path}/thumbnail", headers={"Accept": "image/gif"}).status_code == 406
        for viewport in ("1,1", "99999,99999", "x", "1"):
            assert web.get(f"{path}/thumbnail?viewport={viewport}").status_code == 400


@pytest.mark.parametrize("name", ["objectUID", "object"])
def test_wado_uri(web: httpx.Client, pacs_data: Data, name: str) -> None:
    series = pacs_data.study("packed").series[0]
    uid, path = next(iter(series.instances.items()))
    for query in (
        f"?{name}={uid}",
        f"?requestType=WADO&{name}={uid}",
        f"?requestType=WADO&studyUID={series.study}&seriesUID={series.uid}&{name}={uid}&contentType=application%2Fdicom",
        f"?requestType=WADO&{name}={uid}&transferSyntax={series.syntax}",
    ):
        answer = web.get(query)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/dicom"
        assert answer.content == path.read_bytes()
    for query, status in (
        ("", 400),
        (f"?requestType=X&{name}={uid}", 400),
        (f"?{name}=1.2.3", 404),
        (f"?{name}={uid}&studyUID=1.2.3", 404),
        (f"?{name}={uid}&seriesUID=x", 400),
        (f"?{name}={uid}&anonymize=yes", 406),
        (f"?{name}={uid}&transferSyntax=1.2.840.10008.1.2", 406),
        (f"?{name}={uid}&contentType=text/plain", 406),
    ):
        assert web.get(query).status_code == status, query
    picture = web.get(f"?{name}={uid}&contentType=image/png")
    assert picture.content.startswith(b"\x89PNG")


# -- who asks badly ---------------------------------------------------------------------------------------------------


def test_a_client_that_hangs_up_costs_nothing(database: Path, pacs_data: Data) -> None:
    """Half an answer is taken; the next ones come all the same, and files are closed."""
    study = pacs_data.study("thorax")
    lines: list[Line] = []
    with serving(database, lines) as root:
        port = int(root.split(":")[2].split("/")[0])
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
                raw.sendall(f"GET /dicom/studies/{study.uid} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                assert raw.recv(64).startswith(b"HTTP/1.1 200")
        with httpx.Client(trust_env=False) as client:
            assert len(parts_of(client.get(f"{root}/studies/{study.uid}"))) == 31


def test_no_path_is_told(tmp_path: Path, pacs_data: Data) -> None:
    """Answers say nothing of where the files lie."""
    index = Index(tmp_path / "index.sqlite3")
    index.add(*pacs_data.study("bare").instances.values())
    index.close()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        for path in ("/studies?includefield=all", "/series?includefield=all", "/instances?includefield=all"):
            text = json.dumps(client.get(root + path).json())
            assert "/bare/" not in text.replace(root, "")
            assert str(pacs_data.folder) not in text


def test_the_log_names_no_patient(database: Path) -> None:
    lines: list[Line] = []
    with serving(database, lines) as root, httpx.Client(trust_env=False) as client:
        client.get(f"{root}/studies?PatientName=Doe&limit=1")
        client.get(f"{root}/studies?PatientName=Doe&StudyDate=Doe")
        until(lambda: len(lines) == 2)
    assert [line.what for line in lines] == [
        "GET /dicom/studies?PatientName&limit",
        "GET /dicom/studies?PatientName&StudyDate",
    ]
    assert [line.good for line in lines] == [True, False]
    assert "Doe" not in repr(lines)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRBigEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian]
)
def test_frames_are_in_little_endian_whatever_the_file_is(tmp_path: Path, syntax: UID) -> None:
    paths = write_series(tmp_path / "series", shape=(2, 8, 8), syntax=syntax)
    index = Index(tmp_path / "index.sqlite3")
    index.add(tmp_path / "series")
    index.close()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        for path in paths:
            stored = dcmread(path)
            frame = f"{root}/studies/{stored.StudyInstanceUID}/series/{stored.SeriesInstanceUID}"
            frame += f"/instances/{stored.SOPInstanceUID}/frames/1"
            got = client.get(frame, headers={"Accept": "application/octet-stream"})
            assert got.content == stored.pixel_array.astype(stored.pixel_array.dtype.newbyteorder("<")).tobytes()
            related = client.get(frame)
            ((headers, _data),) = parts_of(related)
            assert "transfer-syntax=1.2.840.10008.1.2.1" in headers["content-type"]


def test_binary_values_are_in_little_endian(tmp_path: Path) -> None:
    """Of a big endian file, short ones in the JSON and long ones behind their URI."""
    words = np.arange(2000, dtype=np.uint16)
    paths = write_series(tmp_path / "series", shape=(1, 4, 4), syntax=ExplicitVRBigEndian)
    dataset = dcmread(paths[0])
    dataset.add_new(0x00281201, "OW", words[:8].astype(">u2").tobytes())
    dataset.add_new(0x00281202, "OW", words.astype(">u2").tobytes())
    dataset.save_as(paths[0])
    index = Index(tmp_path / "index.sqlite3")
    index.add(tmp_path / "series")
    index.close()
    with serving(index.path) as root, httpx.Client(trust_env=False) as client:
        made = client.get(f"{root}/studies/{dataset.StudyInstanceUID}/metadata").json()[0]
        assert base64.b64decode(made["00281201"]["InlineBinary"]) == words[:8].tobytes()
        assert client.get(made["00281202"]["BulkDataURI"]).content == words.tobytes()
