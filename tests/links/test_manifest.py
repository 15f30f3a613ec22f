"""WADO manifests, in both of their forms, and what is none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicer_notebook.errors import LinkError
from slicer_notebook.links import manifest
from slicer_notebook.links.manifest import manifest_items

BASE = "https://pacs.example/app/manifest.xml?token=T"
BELOW = (
    '<Patient PatientID="1" PatientName="A"><Study StudyInstanceUID="1.2">'
    '<Series SeriesInstanceUID="1.2.3"{series}>{instances}</Series></Study></Patient>'
)
ONE = '<Instance SOPInstanceUID="1.2.3.4" InstanceNumber="1"/>'


def below(instances: str = ONE, series: str = "") -> str:
    return BELOW.format(instances=instances, series=series)


def query(attributes: str = 'wadoURL="https://h/wado"', inside: str = "") -> bytes:
    root = f'<wado_query xmlns="http://www.weasis.org/xsd" {attributes}>'
    return f'<?xml version="1.0"?>{root}{inside or below()}</wado_query>'.encode()


def archive(attributes: str, inside: str = "") -> bytes:
    root = f'<manifest xmlns="http://www.weasis.org/xsd/2.5"><arcQuery arcId="1" {attributes}>'
    return f"{root}{inside or below()}</arcQuery></manifest>".encode()


def urls(data: bytes) -> list[str]:
    return [item.url for item in manifest_items(data, BASE)]


WADO = "https://h/wado?requestType=WADO&studyUID=1.2&seriesUID=1.2.3&objectUID=1.2.3.4&contentType=application/dicom"


def test_both_forms() -> None:
    assert urls(query()) == [WADO]
    assert urls(archive('baseUrl="https://h/wado"')) == [WADO]
    two = (
        archive('baseUrl="https://h/wado"')[:-11]
        + b'<arcQuery baseUrl="https://i/wado">'
        + below().encode()
        + b"</arcQuery></manifest>"
    )
    assert urls(two) == [WADO, WADO.replace("//h", "//i")]


@pytest.mark.parametrize(
    ("attributes", "url"),
    [
        ('wadoURL="https://h/wado?x=1"', WADO.replace("wado?", "wado?x=1&")),
        ('wadoURL="https://h/wado" additionnalParameters="&amp;s=7&amp;t=8"', f"{WADO}&s=7&t=8"),
        ('wadoURL="https://h/wado" additionnalParameters="s=7"', f"{WADO}&s=7"),
        ('wadoURL="/wado"', WADO.replace("//h", "//pacs.example")),
        ('wadoURL="wado"', WADO.replace("//h", "//pacs.example/app")),
        (
            'wadoURL="https://h/wado" requireOnlySOPInstanceUID="true"',
            "https://h/wado?requestType=WADO&objectUID=1.2.3.4&contentType=application/dicom",
        ),
        ('WADOURL="https://h/wado" overrideDicomTagsList="" arcId=""', WADO),
    ],
)
def test_addresses(attributes: str, url: str) -> None:
    assert urls(query(attributes)) == [url]


def test_a_transfer_syntax_of_the_series() -> None:
    found = urls(query(inside=below(series=' WadoTransferSyntaxUID="1.2.840.10008.1.2.4.70"')))
    assert found == [f"{WADO}&transferSyntax=1.2.840.10008.1.2.4.70"]


def test_dicomweb() -> None:
    mode = 'baseUrl="https://h/dicom-web/" queryMode="DICOM_WEB"'
    [item] = manifest_items(archive(mode), BASE)
    assert item.url == "https://h/dicom-web/studies/1.2/series/1.2.3/instances/1.2.3.4"
    [item] = manifest_items(archive(mode, below("")), BASE)
    assert (item.url, item.what) == ("https://h/dicom-web/studies/1.2/series/1.2.3", "a series")


def test_direct_files() -> None:
    direct = '<Instance SOPInstanceUID="1.2.3.4" DirectDownloadFile="{}"/>'
    for given_, url in (
        ("x/1.dcm", "https://h/d/x/1.dcm"),
        ("https://i/1.dcm", "https://i/1.dcm"),
        ("/1.dcm", "https://h/1.dcm"),
    ):
        assert urls(archive('baseUrl="https://h/d"', below(direct.format(given_)))) == [url]


def test_headers() -> None:
    tags = '<httpTag key="Authorization" value="Bearer S3cr3t"/><HttpTag key="X-A" value="1"/>'
    tags += '<httpTag key="Cookie" value="a"/>'
    [item] = manifest_items(query(inside=tags + below()), BASE)
    assert item.headers == {"Authorization": "Bearer S3cr3t", "X-A": "1"}
    assert "S3cr3t" not in repr(item)
    [item] = manifest_items(query('wadoURL="https://h/wado" webLogin="dTpw"'), BASE)
    assert item.headers == {"Authorization": "Basic dTpw"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<",
        b"<html/>",
        b"<manifest/>",
        query(inside="<Patient/>"),
        query(inside=below('<Instance SOPInstanceUID="../x"/>')),
        query(inside=below('<Instance SOPInstanceUID=""/>')),
        query(inside=below('<Instance SOPInstanceUID="1.2&amp;requestType=x"/>')),
        query(inside=below(series=' WadoTransferSyntaxUID="x"')),
        query('wadoURL="https://h/wado" webLogin="not base64!"'),
        query(inside='<httpTag key="A" value="a&#10;Host: evil"/>' + below()),
        query(inside='<httpTag key="A B" value="a"/>' + below()),
        b"<!DOCTYPE wado_query><wado_query/>",
        b'<?xml version="1.0" encoding="nonsense"?><wado_query/>',
        b"\xff\xfe<",
    ],
)
def test_none(data: bytes) -> None:
    with pytest.raises(LinkError):
        manifest_items(data, BASE)


def test_more_than_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MOST_INSTANCES", 3)
    assert len(urls(query(inside=below(ONE * 3)))) == 3
    with pytest.raises(LinkError, match="more than 3"):
        urls(query(inside=below(ONE * 4)))
    monkeypatch.setattr(manifest, "MOST_BYTES", 100)
    with pytest.raises(LinkError):
        urls(query())


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(LinkError):
        manifest_items(data, BASE)


def test_mutations() -> None:
    chance = random.Random(7)
    seed = query('wadoURL="https://h/wado" webLogin="dTpw" additionnalParameters="&amp;a=1"')
    for _ in range(2000):
        data = bytearray(seed)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            items = manifest_items(bytes(data), BASE)
        except LinkError:
            continue
        assert all(item.url for item in items)
