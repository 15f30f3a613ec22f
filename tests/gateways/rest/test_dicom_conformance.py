"""Our own DICOMweb client, which knows many servers, against our own server: all is found, all is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slicer_notebook.dicom.index import Index
from slicer_notebook.pacs.pacs import Pacs
from tests.gateways.rest.dicom_server import serving
from tests.pacs.peers.data import Data
from tests.pacs.retrieving import opened


@pytest.fixture(scope="module")
def url(pacs_data: Data, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    index = Index(tmp_path_factory.mktemp("conformance") / "index.sqlite3")
    index.add(pacs_data.folder)
    index.close()
    with serving(index.path) as root:
        yield root


@pytest.fixture
def pacs(url: str, tmp_path: Path) -> Iterator[Pacs]:
    with opened(tmp_path, url) as pacs:
        yield pacs


def test_all_is_found_at_every_level(pacs: Pacs, pacs_data: Data) -> None:
    counts = pacs_data.counts()
    studies = list(pacs.find("STUDY"))
    assert {each["StudyInstanceUID"]: each["PatientName"] for each in studies} == {
        study.uid: study.name for study in pacs_data.studies.values()
    }
    assert len(list(pacs.find("PATIENT"))) == counts["patients"]
    assert len(list(pacs.find("SERIES"))) == counts["series"]
    instances = list(pacs.find("IMAGE"))
    assert {each["SOPInstanceUID"] for each in instances} == pacs_data.instances.keys()


def test_all_is_found_below_each_study(pacs: Pacs, pacs_data: Data) -> None:
    for study in pacs_data.studies.values():
        series = list(pacs.find("SERIES", StudyInstanceUID=study.uid))
        assert [each["SeriesInstanceUID"] for each in series] == [each.uid for each in study.series]
        for each in study.series:
            found = pacs.find("IMAGE", StudyInstanceUID=study.uid, SeriesInstanceUID=each.uid)
            assert {record["SOPInstanceUID"] for record in found} == each.instances.keys()


def test_names_of_all_kinds_are_keys(pacs: Pacs, pacs_data: Data) -> None:
    for study in pacs_data.studies.values():
        for name in study.name.split("="):
            found = {each["StudyInstanceUID"] for each in pacs.find("STUDY", PatientName=name)}
            assert study.uid in found, name


@pytest.mark.parametrize("way", ["WADO-RS", "WADO-URI"])
def test_all_is_fetched(url: str, pacs_data: Data, tmp_path: Path, way: str) -> None:
    with opened(tmp_path, url, wado=url) as pacs:
        retrieval = pacs.retrieve([study.uid for study in pacs_data.studies.values()], ways=[way])
        report = retrieval.result()
        assert report.complete
        for study in pacs_data.studies.values():
            held = pacs.index.holdings(study.uid)
            assert {series: set(instances) for series, instances in held.items()} == {
                each.uid: each.instances.keys() for each in study.series
            }
            for series in held.values():
                for uid, paths in series.items():
                    assert Path(paths[0]).read_bytes() == study.instances[uid].read_bytes()
        assert [each.ways for each in report.series] == len(report.series) * [[way]]


def test_pictures_and_plans_before_anything_is_fetched(pacs: Pacs, pacs_data: Data) -> None:
    series = pacs_data.study("thorax").series[0]
    assert pacs.thumbnail(series.study, series.uid).startswith(b"\x89PNG")
    (volume,) = pacs.plan(series.study, series.uid).volumes
    assert volume.shape == (30, 32, 32)


def test_the_doctor_finds_nothing_wrong(pacs: Pacs) -> None:
    examination = pacs.test()
    assert examination.ok
    assert "warn" not in {step.status for step in examination.steps}, examination
