"""DICOMweb with a real Orthanc."""

from __future__ import annotations

import pydicom
import pytest

from slicer_notebook.errors import PacsAnswerError, PacsRefusedError
from slicer_notebook.pacs.dicomweb.source import DicomWebSource, further_sources
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Fetch, WayFailedError, never
from slicer_notebook.pacs.server import Server
from tests.pacs.dicomweb.tools import Memory


def server_of(orthanc, **settings) -> Server:
    settings = {"url": orthanc.dicomweb_url, "wado": orthanc.wado_url, "auth": "basic", "timeout": 20.0, **settings}
    return Server(name="orthanc", user=orthanc.user, password="env:X", **settings)


def source_of(orthanc, **settings) -> DicomWebSource:
    return DicomWebSource(server_of(orthanc, **settings), lambda _name, _field, _reference: orthanc.password)


@pytest.fixture
def source(orthanc):
    found = source_of(orthanc)
    yield found
    found.close()


def find(source, level="STUDY", **keys):
    limit = keys.pop("limit", None)
    return list(source.find(build_query(level, keys, limit=limit), never))


def test_studies_series_and_instances(source, pacs_data):
    found = {each["StudyInstanceUID"]: each for each in find(source)}
    assert {study.uid for study in pacs_data.studies.values()} <= set(found)
    for study in pacs_data.studies.values():
        record = found[study.uid]
        assert record["PatientID"] == study.patient_id
        assert record["NumberOfStudyRelatedInstances"] == len(study.instances)
        assert sorted(record["ModalitiesInStudy"]) == sorted({each.modality for each in study.series})
    study = pacs_data.study("thorax")
    series = {each["SeriesInstanceUID"]: each for each in find(source, "SERIES", StudyInstanceUID=study.uid)}
    assert set(series) == {each.uid for each in study.series}
    assert all(each["StudyInstanceUID"] == study.uid for each in series.values())
    first = study.series[0]
    instances = find(source, "IMAGE", StudyInstanceUID=study.uid, SeriesInstanceUID=first.uid)
    assert {each["SOPInstanceUID"] for each in instances} == set(first.instances)
    assert {each["SOPClassUID"] for each in instances} == {first.sop_class}


@pytest.mark.parametrize("name", ["latin", "japan", "korea", "utf8", "gb18030"])
def test_names_in_any_character_set_can_be_asked_for_and_come_back(source, pacs_data, name):
    study = pacs_data.study(name)
    found = find(source, StudyInstanceUID=study.uid)
    assert found[0]["PatientName"] == study.name
    asked = study.name.partition("=")[0].partition("^")[0] + "*"
    assert study.uid in {each["StudyInstanceUID"] for each in find(source, PatientName=asked)}


def test_keys(source, pacs_data):
    study = pacs_data.study("thorax")
    both = sorted([study.uid, pacs_data.study("latin").uid])
    assert [each["StudyInstanceUID"] for each in find(source, AccessionNumber=study.accession)] == [study.uid]
    assert sorted(each["StudyInstanceUID"] for each in find(source, StudyInstanceUID=both)) == both
    assert study.uid in {each["StudyInstanceUID"] for each in find(source, StudyDate=(study.date, study.date))}
    assert find(source, StudyDate=("19000101", "19000102")) == []
    assert {each["Modality"] for each in find(source, "SERIES", StudyInstanceUID=study.uid, Modality="CT")} == {"CT"}
    assert len(find(source, limit=3)) == 3
    patients = find(source, "PATIENT")
    assert len(patients) == len({each["PatientID"] for each in patients})


def test_what_is_not_there(source):
    assert find(source, StudyInstanceUID="9.9.9") == []
    assert find(source, "SERIES", StudyInstanceUID="9.9.9") == []
    with pytest.raises(WayFailedError) as failure:
        source.ways()[0].fetch(Fetch(study="9.9.9"), Memory(), never)
    assert not failure.value.again


@pytest.mark.parametrize("way", ["WADO-RS", "WADO-URI"])
@pytest.mark.parametrize("name", ["thorax", "packed"])
def test_all_that_is_there_arrives_as_it_was_stored(source, pacs_data, way, name):
    chosen = next(each for each in source.ways() if each.name == way)
    study = pacs_data.study(name)
    stored = {path.read_bytes() for path in study.instances.values()}
    sink = Memory()
    assert chosen.fetch(Fetch(study=study.uid), sink, never) == len(stored)
    assert set(sink.done) == stored
    series = study.series[0]
    sink = Memory()
    some = tuple(series.instances)[:3]
    chosen.fetch(Fetch(study=study.uid, series=series.uid, instances=some), sink, never)
    assert set(sink.done) == {series.instances[each].read_bytes() for each in some}


def test_metadata_frames_and_bulk_data(source, pacs_data):
    series = pacs_data.study("thorax").series[0]
    items = list(source.metadata_items(series.study, series.uid))
    assert len(items) == len(series.instances)
    datasets = {each.SOPInstanceUID: each for each in source.metadata(series.study, series.uid)}
    assert set(datasets) == set(series.instances)
    uid, path = next(iter(series.instances.items()))
    stored = pydicom.dcmread(path)
    assert datasets[uid].ImagePositionPatient == stored.ImagePositionPatient
    item = next(each for each in items if each["00080018"]["Value"] == [uid])
    assert source.bulk(item["7FE00010"]["BulkDataURI"]).data == stored.PixelData
    assert source.frames(series.study, series.uid, uid, [1])[0].data == stored.PixelData


def test_a_wrong_password_and_a_wrong_path(orthanc):
    with pytest.raises(PacsRefusedError, match="401"):
        find(DicomWebSource(server_of(orthanc), lambda *_: "wrong"))
    with pytest.raises(PacsAnswerError, match="404"):
        find(source_of(orthanc, url=f"{orthanc.http_url}/elsewhere"))


def test_storing_and_asking_again(fresh_orthanc, pacs_data, tmp_path):
    orthanc = fresh_orthanc(None)
    source = source_of(orthanc)
    paths = list(pacs_data.study("follow-up").instances.values())
    for path in paths:
        source.store(str(path), never)
    assert orthanc.counts()["instances"] == len(paths)
    source.store(str(paths[0]), never)  # it has it already
    assert orthanc.counts()["instances"] == len(paths)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(paths[0].read_bytes()[:200])
    with pytest.raises(PacsAnswerError):
        source.store(str(broken), never)
    sink = Memory()
    source.ways()[0].fetch(Fetch(study=pacs_data.study("follow-up").uid), sink, never)
    assert set(sink.done) == {path.read_bytes() for path in paths}


def test_a_server_that_is_killed_in_between_can_be_asked_again(fresh_orthanc, pacs_data):
    orthanc = fresh_orthanc()
    source = source_of(orthanc)
    count = len(find(source))
    orthanc.kill()
    orthanc.start()
    assert len(find(source)) == count  # its idle connection was of no more use


def test_compression_is_for_json_alone(fresh_orthanc, pacs_data):
    orthanc = fresh_orthanc(http_compression=True)
    source = source_of(orthanc)
    assert len(find(source)) >= len(pacs_data.studies)
    study = pacs_data.study("thorax")
    sink = Memory()
    source.ways()[0].fetch(Fetch(study=study.uid), sink, never)
    assert set(sink.done) == {path.read_bytes() for path in study.instances.values()}


def test_http_addresses_of_a_dimse_server(orthanc, pacs_data):
    study = pacs_data.study("follow-up")
    server = server_of(orthanc, url=orthanc.dimse_url, web=orthanc.dicomweb_url)
    (web,) = further_sources(server, lambda *_: orthanc.password)
    assert [way.name for way in web.ways()] == ["WADO-RS", "WADO-URI"]
    assert find(web, StudyInstanceUID=study.uid)
    assert server.learned.paging is None  # what is learned here is not about DIMSE
    (alone,) = further_sources(server_of(orthanc, url=orthanc.dimse_url), lambda *_: orthanc.password)
    series = study.series[0]
    sink = Memory()
    alone.ways()[0].fetch(Fetch(study=study.uid, series=series.uid, instances=tuple(series.instances)), sink, never)
    assert set(sink.done) == {path.read_bytes() for path in series.instances.values()}
    with pytest.raises(WayFailedError) as failure:
        alone.ways()[0].fetch(Fetch(study=study.uid), sink, never)
    assert not failure.value.again
    assert further_sources(server_of(orthanc, url=orthanc.dimse_url, wado=""), lambda *_: "") == []
