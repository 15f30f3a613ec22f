"""What of a URL may be shown and logged."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicer_notebook.links.masking import HIDDEN, MOST, is_secret_key, masked_url, printable

SECRET = "s3cr3tTOKENvalue9"

# Each with {} where a secret stands.
FORMS = [
    "https://user:{}@host/api",
    "https://{}@host/api",
    "https:user:{}@host",
    "https:\\\\user:{}@host\\api",
    "https://user:pa/{}@host/api",
    "https://user:pa?{}#x@host/api",
    "https://host/api/link/{}/studies/1.2.3?accept=application/zip",
    "https://host/api/LINK//{}/studies",
    "https://host/view/{}",
    "https://host/%6cink/{}/studies",
    "https://host/x?access_token={}",
    "https://host/x?ACCESS-TOKEN={}&y=1",
    "https://host/x?%61ccess_token={}",
    "https://host/x?a=1;password={};b=2",
    "https://host/x?X-Amz-Signature={}&X-Amz-Date=1",
    "https://host/x#id_token={}",
    "https://host/x?next=https://other/?token={}",
    "https://host/x?token=a?b#{}",
    "slicer://viewer/?studyUID=1.2&access_token={}&dicomweb_endpoint=https%3A%2F%2Fhost",
    "slicer://viewer/?studyUID=1.2&access_token=%20{}",
    "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https%3A%2F%2Fu%3A{}%40host%2Fapi",
    "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https%3A%2F%2Fhost%2Flink%2F{}%2Fwado",
    "slicer://viewer/?download=https%3A%2F%2Fhost%2Fx%3Fu%3Dhttps%253A%252F%252Fh%252Fy%253Fkey%253D{}",
    "osirix://?methodName=downloadURL&URL='https%3A%2F%2Fh%2Fapi%2Flink%2F{}%2Fstudies%2F1.2%3Faccept%3Dapplication%2Fzip'",
    "osirix://?methodName=downloadURL&URL=%27https%3A%2F%2Fh%2Fapi%2Flink%2F{}%2Fstudies%27",
    "osirix://?methodName=DownloadURL&URL='https://h/x?a=1&token={}&b=2'&Display=YES",
    "osirix://?methodName=DownloadURL&token='a&{}'",
    "osirix://?methodName=DownloadURL&token=%27a&{}%27&x=1",
    "https://host/eyJhbGciOiJIUzI1NiJ9.eyJ1IjoiMSJ9.{}/x",
    "{}" * 3000,
]


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_not_shown(form: str) -> None:
    shown = masked_url(form.format(SECRET) if form.count("{}") == 1 else form.replace("{}", SECRET))
    assert SECRET not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize("form", FORMS[:-1])
@pytest.mark.parametrize("levels", [1, 2, 5, 9])
def test_nor_in_a_url_in_a_url(form: str, levels: int) -> None:
    inner = form.format(SECRET)
    for _ in range(levels):
        inner = quote(inner, safe="")
    assert SECRET not in masked_url(f"slicer://viewer/?download={inner}")


@pytest.mark.parametrize(
    "url",
    [
        "https://host:8443/dicom-web/studies/1.2.840.1/series?limit=10&offset=5",
        "osirix://?methodName=DisplayStudy&PatientID=O'Brien&filterKey=StudyDate",
        "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https%3A%2F%2Fhost%2Fapi&bulk_retrieve=0",
        "https://[::1]:8042/wado?requestType=WADO&objectUID=1.2",
        "mail me@there",
        "https://host:80/x?mail=a@b",
        "",
    ],
)
def test_what_is_not_secret_stays(url: str) -> None:
    assert masked_url(url) == url


def test_names_of_secrets() -> None:
    assert all(
        map(is_secret_key, ["token", "X-Auth-Token", "Pass", "api_key", "KEY", "client.secret", "%74oken", "sig"])
    )
    assert not any(map(is_secret_key, ["filterKey", "studyUID", "PatientID", "signal", "accept", "URL", "name", ""]))


def test_no_control_character_is_shown() -> None:
    shown = masked_url("slicer://\x1b[31m\r\n\x00\x7f\x85\u202e\u2028\ud800viewer")
    assert shown.isprintable()
    assert printable("plain") == "plain"
    # As percent codes they do nothing.
    assert masked_url("https://h/%0d%0ax?token=1") == f"https://h/%0d%0ax?token={HIDDEN}"


@given(st.text(st.characters(), max_size=400) | st.text("%2F3a/:?&=#;'@\\linkvewto\x00\ud800[]", max_size=400))
def test_any_text(text: str) -> None:
    assert masked_url(text).isprintable()


@given(
    before=st.text("abc%2/:?&=#;'@[] ", max_size=60),
    form=st.sampled_from(FORMS[:-1]),
    after=st.text("abc%2/:?&=#;'@[] ", max_size=60),
)
def test_nothing_around_it_shows_a_secret(before: str, form: str, after: str) -> None:
    assert SECRET not in masked_url(f"{before}&x={quote(form.format(SECRET), safe='')}&{after}")


def test_the_longest_texts_are_quick() -> None:
    texts = [
        "//",
        "https:",
        "a=?",
        "%27",
        "%2525",
        "://:",
        "&token='",
        "eyJaaaaaa.",
        "//a:b",
        "x=;",
        "//a@",
        "/link/",
        "=%25",
    ]
    began = time.process_time()
    for text in texts:
        masked_url((text * MOST)[:MOST])
    # Measured: 0.06 s of this thread. What is quadratic takes more than ten.
    assert time.process_time() - began < 5
