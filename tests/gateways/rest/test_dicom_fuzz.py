"""Whatever comes to ``/dicom`` is answered, and never by a failure of ours; and what Accept headers say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import keyword_dict

from slicer_notebook.dicom.index import Index
from slicer_notebook.errors import ArgumentError
from slicer_notebook.gateways.media import accepted, choose
from slicer_notebook.gateways.rest.dicom_search import parse
from tests.gateways.rest.dicom_server import serving
from tests.pacs.peers.data import Data

KEYWORDS = [
    "PatientName", "PatientID", "StudyDate", "StudyTime", "ModalitiesInStudy", "SeriesNumber", "InstanceNumber",
    "Rows", "RequestAttributesSequence", "RequestAttributesSequence.ScheduledProcedureStepID", "00100010",
    "SOPInstanceUID", "PatientWeight", "includefield", "limit", "offset", "fuzzymatching", "StudyInstanceUID",
    "accept", "Nonsense", *sorted(keyword_dict)[::500],
]  # fmt: skip
VALUES = st.text(max_size=12) | st.sampled_from(
    [
        "*",
        "?",
        "[",
        "a*",
        "20240101-",
        "-",
        "20240101-20231231",
        "1",
        "0",
        "-1",
        "1.5",
        "CT\\MR",
        "CT,MR",
        "\\",
        "=",
        "^",
        "all",
        "true",
        "%",
        "1" * 30,
    ]
)
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def web(pacs_data: Data, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    path: Path = tmp_path_factory.mktemp("fuzz") / "index.sqlite3"
    index = Index(path)
    index.add(*pacs_data.study("bare").instances.values())
    index.close()
    with serving(path) as root, httpx.Client(base_url=root, trust_env=False, timeout=30) as client:
        yield client


@given(
    st.sampled_from(["studies", "series", "instances"]),
    st.lists(st.tuples(st.sampled_from(KEYWORDS) | st.text(max_size=8), VALUES), max_size=4),
)
@SETTINGS
def test_any_search_is_one_or_is_refused(web: httpx.Client, level: str, parameters: list[tuple[str, str]]) -> None:
    query = urlencode(parameters, errors="surrogatepass")
    answer = web.get(f"/{level}?{query}")
    assert answer.status_code in (200, 400, 406), (query, answer.text)
    assert isinstance(answer.json(), list if answer.status_code == 200 else dict)


@given(st.lists(st.tuples(st.sampled_from(KEYWORDS) | st.text(max_size=8), VALUES), max_size=6))
@SETTINGS
def test_parsing_never_crashes(parameters: list[tuple[str, str]]) -> None:
    for level in ("studies", "series", "instances"):
        try:
            parse(level, parameters)  # type: ignore[arg-type] - one of the three
        except ArgumentError:
            continue


@given(
    st.lists(
        st.sampled_from(
            ["studies", "series", "instances", "metadata", "frames", "bulkdata", "rendered", "1.2", "1", "x"]
        )
        | st.text(max_size=6),
        max_size=9,
    )
)
@SETTINGS
def test_any_path_is_answered(web: httpx.Client, steps: list[str]) -> None:
    path = "/".join(quote(step, safe="", errors="replace") for step in steps if step not in (".", ".."))
    answer = web.get(f"{web.base_url}{path}")
    assert answer.status_code in (200, 400, 404, 405), (path, answer.text)


@given(st.text(max_size=60) | st.sampled_from(['a/b;q="', "*/*;q=x", ";;;,,,=", 'multipart/related;type="a']))
def test_any_accept_header_is_read(text: str) -> None:
    for each in accepted([text]):
        assert 0 < each.weight <= 1
    choose(accepted([text]), ("application/json",))


@pytest.mark.parametrize(
    ("accept", "offers", "chosen"),
    [
        ("", ("a/b",), "a/b"),
        ("a/*", ("x/y", "a/b"), "a/b"),
        ("x/y;q=0.1, a/b", ("x/y", "a/b"), "a/b"),
        ("a/b;q=0, */*;q=0.5", ("a/b", "c/d"), "c/d"),
        ("a/b;q=0", ("a/b",), None),
        ("c/d", ("a/b",), None),
        ('multipart/related; type="a/b,c/d"; q=0.5, e/f;q=0.4', ("e/f", "multipart/related"), "multipart/related"),
    ],
)
def test_what_suits_best(accept: str, offers: tuple[str, ...], chosen: str | None) -> None:
    assert choose(accepted([accept]), offers) == chosen
