"""The answers: opened, asked about, refused; what the policy file may change; and that no text makes it fail."""

from __future__ import annotations

import random
import time
import tomllib
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.errors import ArgumentError, LinkRefusedError
from slicer_notebook.links.cases import ACTIONS, CASES, Action, Case
from slicer_notebook.links.masking import HIDDEN
from slicer_notebook.links.policy import NEVER_OPEN, Policy, Verdict, judge, policy_of, refused
from tests.links.test_parse import KHEOPS, KHEOPS_TOKEN, REFUSED, ROOT, UID, slicer

TOKEN = "t0ken.of-A_link"
HTTP = "http://pacs.example/dicom-web"

OPENED: dict[str, tuple[str, Case]] = {
    "https": (slicer(studyUID=UID, dicomweb_endpoint=ROOT), Case.STUDY_HTTPS),
    "https with a token": (slicer(studyUID=UID, dicomweb_endpoint=ROOT, access_token=TOKEN), Case.STUDY_HTTPS),
    "https in a private network": (slicer(studyUID=UID, dicomweb_endpoint="https://10.0.0.1/"), Case.STUDY_HTTPS),
    "http without a token": (slicer(studyUID=UID, dicomweb_endpoint=HTTP), Case.STUDY_HTTP),
    "loopback": (slicer(studyUID=UID, dicomweb_endpoint="http://127.0.0.1:8042/x"), Case.STUDY_LOOPBACK),
    "loopback with a token": (
        slicer(studyUID=UID, dicomweb_endpoint="http://localhost/x", access_token=TOKEN),
        Case.STUDY_LOOPBACK,
    ),
    "loopback in odd notation": (
        slicer(studyUID=UID, dicomweb_endpoint="http://0x7f.1/x", access_token=TOKEN),
        Case.STUDY_LOOPBACK,
    ),
    "loopback of IPv6": (
        slicer(studyUID=UID, dicomweb_endpoint="http://[::1]/x", access_token=TOKEN),
        Case.STUDY_LOOPBACK,
    ),
    "a path token over https": (slicer(studyUID=UID, dicomweb_endpoint=f"{KHEOPS}/link/T"), Case.STUDY_HTTPS),
    "shown": ("osirix://?methodName=DisplayStudy&PatientID=1", Case.SHOWN),
    "found": ("horos://?methodName=FindObject&request=1&table=Study&execute=Open", Case.SHOWN),
    "closed": ("osirix://?methodName=CloseAllWindows", Case.SHOWN),
    "an image": (f"osirix://?image={UID}+{UID}", Case.SHOWN),
    "a retrieve": (
        "osirix://?methodName=Retrieve&serverName=PACS&filterKey=PatientID&filterValue=1",
        Case.RETRIEVE,
    ),
    "a move": ("osirix://?methodName=CMove&accessionNumber=1&server=PACS", Case.RETRIEVE),
}

ASKED: dict[str, tuple[str, Case]] = {
    "a data file": (slicer(download="https://h/x.nrrd"), Case.DOWNLOAD_DATA),
    "a ZIP": (slicer(download="https://h/x.zip"), Case.DOWNLOAD_ZIP),
    "a scene": (slicer(download="https://h/x.mrb"), Case.DOWNLOAD_SCENE),
    "a manifest": ("osirix://?methodName=DownloadURL&URL='https://h/x.xml'", Case.DOWNLOAD_MANIFEST),
    "DICOM": ("osirix://?methodName=DownloadURL&URL='https://h/x.dcm'", Case.DOWNLOAD_DICOM),
    "Kheops's download": (
        f"osirix://?methodName=downloadURL&URL=%27{KHEOPS}/link/{KHEOPS_TOKEN}/studies/{UID}%3Faccept=application/zip%27",
        Case.DOWNLOAD_ZIP,
    ),
    "a data file of this machine": (slicer(download="http://127.0.0.1/x.nrrd"), Case.DOWNLOAD_DATA),
    "a token over http": (slicer(studyUID=UID, dicomweb_endpoint=HTTP, access_token=TOKEN), Case.TOKEN_OVER_HTTP),
    "a token over http in a private network": (
        slicer(studyUID=UID, dicomweb_endpoint="http://10.0.0.1/x", access_token=TOKEN),
        Case.TOKEN_OVER_HTTP,
    ),
    "a path token over http": (
        slicer(studyUID=UID, dicomweb_endpoint=f"http://h/api/link/{TOKEN}"),
        Case.TOKEN_OVER_HTTP,
    ),
    "credentials": (slicer(studyUID=UID, dicomweb_endpoint="https://u:p@h/x"), Case.CREDENTIALS),
    "a user alone": (slicer(studyUID=UID, dicomweb_endpoint="https://u@h/x"), Case.CREDENTIALS),
    "credentials for this machine": (slicer(studyUID=UID, dicomweb_endpoint="http://u:p@[::1]/x"), Case.CREDENTIALS),
    "link-local": (slicer(studyUID=UID, dicomweb_endpoint="https://169.254.169.254/x"), Case.LINK_LOCAL),
    "link-local of IPv6": (slicer(studyUID=UID, dicomweb_endpoint="http://[fe80::1]/x"), Case.LINK_LOCAL),
    "link-local in IPv6": (slicer(studyUID=UID, dicomweb_endpoint="http://[::ffff:169.254.1.1]/"), Case.LINK_LOCAL),
    "link-local in decimal": (slicer(studyUID=UID, dicomweb_endpoint="http://2852039166/x"), Case.LINK_LOCAL),
}


def of(url: str, policy: Policy | None = None) -> Verdict:
    return judge(url, policy, ["PACS"])


@pytest.mark.parametrize("what", OPENED)
def test_opened(what: str) -> None:
    url, case = OPENED[what]
    found = of(url)
    assert (found.action, found.case) == ("open", case)
    assert found.request is not None
    assert TOKEN not in str(found.words()) + repr(found)


@pytest.mark.parametrize("what", ASKED)
def test_asked(what: str) -> None:
    url, case = ASKED[what]
    found = of(url)
    assert (found.action, found.case, found.why) == ("ask", case, CASES[case].why)
    assert TOKEN not in str(found.words()) + repr(found)
    assert KHEOPS_TOKEN not in str(found.words()) + repr(found)


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    url, case = REFUSED[what]
    found = of(url)
    assert (found.action, found.case, found.request) == ("refuse", case, None)
    assert found.parsed in ({}, {"scheme": url.strip(" ").split(":")[0].lower()})


def test_a_pacs_that_nobody_has_configured() -> None:
    for url in ("Retrieve&serverName=X&filterKey=PatientID&filterValue=1", "CMove&accessionNumber=1&server=pacs"):
        found = of(f"osirix://?methodName={url}")
        assert (found.action, found.case) == ("refuse", Case.UNKNOWN_PACS)


def test_words_are_all_that_is_told() -> None:
    found = of(slicer(studyUID=UID, dicomweb_endpoint=ROOT, access_token=TOKEN, bulk_retrieve="0")).words()
    assert found == {
        "action": "open",
        "why": "a study from an https endpoint",
        "parsed": {
            "scheme": "slicer",
            "form": "study",
            "studyUID": UID,
            "dicomweb_endpoint": ROOT,
            "access_token": HIDDEN,
            "bulk_retrieve": 0,
        },
    }


# -- the policy file --------------------------------------------------------------------------------------------------


def from_toml(text: str) -> Policy:
    return policy_of(tomllib.loads(text)["policy"])


@pytest.mark.parametrize("what", [*OPENED, *ASKED])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_case_is_moved(what: str, action: Action) -> None:
    url, case = {**OPENED, **ASKED}[what]
    text = f'[policy]\n{case} = "{action}"\n'
    if case in NEVER_OPEN and action == "open":
        with pytest.raises(ArgumentError):
            from_toml(text)
        return
    found = of(url, from_toml(text))
    # Another case may be as strict: a token over http is also a study, a path token's download a download.
    assert ACTIONS.index(found.action) >= ACTIONS.index(action)
    if action != "open":
        assert (found.action, found.case) == (action, case)


def test_what_no_file_opens() -> None:
    assert {Case.CREDENTIALS, Case.LINK_LOCAL} <= NEVER_OPEN
    refusals = {case for case, rule in CASES.items() if rule.action == "refuse"}
    assert refusals == NEVER_OPEN - {Case.CREDENTIALS, Case.LINK_LOCAL}
    for case in refusals:
        for action in ("open", "ask"):
            with pytest.raises(ArgumentError):
                policy_of({case.value: action})
    # Not by a policy that was made in another way, either.
    assert Policy({Case.SCRIPT: "open", Case.LINK_LOCAL: "open"}).action(Case.SCRIPT) == "refuse"
    assert Policy({Case.LINK_LOCAL: "open"}).action(Case.LINK_LOCAL) == "ask"


def test_for_one_host() -> None:
    policy = from_toml(
        '[policy]\nstudy-https = "ask"\n[policy."PACS.example"]\nstudy-https = "open"\ndownload-zip = "open"\n'
    )
    assert of(slicer(studyUID=UID, dicomweb_endpoint=ROOT), policy).action == "open"
    assert of(slicer(studyUID=UID, dicomweb_endpoint="https://pacs.example.evil/"), policy).action == "ask"
    assert of(slicer(download="https://pacs.example/x.zip"), policy).action == "open"
    assert of(slicer(download="https://other.example/x.zip"), policy).action == "ask"


@pytest.mark.parametrize(
    "table",
    [
        {"study": "open"},
        {"study-https": "allow"},
        {"study-https": 1},
        {"a b": {"shown": "ask"}},
        {"host": {"x": "ask"}},
    ],
)
def test_a_file_that_says_what_cannot_be(table: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        policy_of(table)


def test_private_networks_can_be_asked_about() -> None:
    policy = policy_of({"private": "ask"})
    assert of(slicer(studyUID=UID, dicomweb_endpoint="https://10.0.0.1/"), policy).case == Case.PRIVATE
    assert of(slicer(studyUID=UID, dicomweb_endpoint=ROOT), policy).action == "open"


def test_every_case_has_its_words() -> None:
    assert set(CASES) == set(Case)
    error = refused("ask", CASES[Case.CREDENTIALS].why)
    assert isinstance(error, LinkRefusedError)
    assert error.details["action"] == "ask"


# -- whatever comes ---------------------------------------------------------------------------------------------------

SEEDS = [url for url, _ in [*OPENED.values(), *ASKED.values(), *REFUSED.values()]]
CHARACTERS = "%&=?#'\"+:/@.\\ \x00\x1b\n\u202e\ud800\udcff\u00e9\u4e2d0aZ-[]"


def check(url: str) -> Verdict:
    """No text makes it fail, and nothing in the answer does anything."""
    found = judge(url, None, ["PACS"])
    assert found.action in ACTIONS
    assert found.why.isprintable()
    assert (found.request is None) or found.action in ACTIONS
    shown = _texts(found.parsed)
    assert all(text.isprintable() for text in shown), shown
    assert sum(map(len, shown)) < 40_000
    return found


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in (key, *_texts(each))]
    return [str(value)]


@given(st.text(st.characters(), max_size=300) | st.sampled_from(SEEDS) | st.text(CHARACTERS, max_size=300))
@settings(max_examples=300)
def test_any_text(url: str) -> None:
    check(url)


@given(
    scheme=st.sampled_from(["slicer://viewer/?", "slicer://viewer?", "osirix://?", "horos://?methodName=DownloadURL&URL="]),
    pieces=st.lists(
        st.sampled_from(
            ["studyUID=1.2", "dicomweb_endpoint=https://h", "access_token=", TOKEN, "&", "=", "%27", "'", "%", "%2",
             "download=", "methodName=", "Retrieve", "image=1.2+1.3", "https://u:p@h/", "file:///x", "\x00", "%00", "?"]
        ),
        max_size=12,
    ),
)  # fmt: skip
def test_pieces_of_links(scheme: str, pieces: list[str]) -> None:
    check(scheme + "".join(pieces))


def test_mutations_neither_fail_nor_hang_nor_grow() -> None:
    chance = random.Random(20260821)  # the same every time
    mutate = _Mutations(chance)
    for url in SEEDS:
        check(url)
    tracemalloc.start()
    try:
        before, began = tracemalloc.get_traced_memory()[0], time.process_time()
        for _ in range(6000):
            check(mutate(chance.choice(SEEDS)))
        seconds, grown = time.process_time() - began, tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # Measured: 3 s (tracemalloc takes most of it) and 0.2 MB, which are caches of regular expressions and idna.
    assert seconds < 60
    assert grown < 4_000_000


class _Mutations:
    """A link with some of its characters changed, left out, doubled or put elsewhere."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def __call__(self, url: str) -> str:
        for _ in range(self._chance.randint(1, 6)):
            at, to = sorted(self._chance.randint(0, len(url)) for _ in range(2))
            how = self._chance.randrange(5)
            if how == 0:
                url = url[:at] + self._chance.choice(CHARACTERS) + url[at + 1 :]
            elif how == 1:
                url = url[:at] + url[to:]
            elif how == 2:
                url = url[:to] + url[at:]
            elif how == 3:
                url = url[:at] + self._chance.choice(SEEDS)[: self._chance.randint(0, 40)] + url[at:]
            else:
                url = url[:at] + f"%{self._chance.randrange(256):02x}" + url[at:]
        return url[:20_000]


@given(
    before=st.text("abc%2/:?&=#;'@[] ", max_size=40),
    place=st.sampled_from(
        [
            "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https://h&access_token={}",
            "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https://u:{}@h/",
            "slicer://viewer/?studyUID=1.2&dicomweb_endpoint=https%3A%2F%2Fh%2Flink%2F{}%2F",
            "slicer://viewer/?download=https://h/x.nii?access_token={}",
            "osirix://?methodName=downloadURL&URL='https://h/link/{}/studies?accept=application/zip'",
            "osirix://?methodName=SelectAlbum&name='https://h/?token={}'",
        ]
    ),
    after=st.text("abc%2/:?&=#;'@[] ", max_size=40),
)
def test_no_secret_is_shown(before: str, place: str, after: str) -> None:
    secret = "s3cr3tTOKENvalue9"
    for url in (place.format(secret) + after, before + place.format(secret) + after):
        found = check(url)
        assert secret not in str(found.words()) + repr(found)
