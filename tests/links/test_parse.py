"""Links taken apart: each form, and the order in which each is decoded."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from slicer_notebook.links.cases import Case
from slicer_notebook.links.parse import (
    MOST_BYTES,
    Call,
    Download,
    Image,
    LinkCaseError,
    Study,
    is_script,
    is_uid,
    parse,
    split_unquoted,
)

UID = "1.2.840.113619.2.5"
ROOT = "https://pacs.example/dicom-web"
KHEOPS = "https://kheops.example/api"
KHEOPS_TOKEN = "aBcDeFgHiJkLmNoPqRsTuV"


def slicer(place: str = "slicer://viewer/", **parameters: str) -> str:
    """A slicer:// link, its values percent-encoded."""
    return f"{place}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())


def case_of(url: str) -> Case:
    """Why it is refused."""
    with pytest.raises(LinkCaseError) as caught:
        parse(url)
    return caught.value.found.case


# -- slicer:// --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["slicer://viewer/", "slicer://viewer", "SLICER://Viewer/", "Slicer://VIEWER"])
def test_a_study(place: str) -> None:
    found = parse(slicer(place, studyUID=UID, dicomweb_endpoint=ROOT))
    assert isinstance(found, Study)
    assert (found.study, found.endpoint.url, found.token, found.bulk, found.wado) == (UID, ROOT, "", None, None)


def test_kheops_own_link_to_slicer() -> None:
    found = parse(
        f"slicer://viewer?studyUID={UID}&access_token={KHEOPS_TOKEN}&dicomweb_endpoint={quote(KHEOPS, safe='')}"
        f"&dicomweb_uri_endpoint={quote(KHEOPS + '/wado', safe='')}"
    )
    assert isinstance(found, Study)
    assert (found.endpoint.url, found.token) == (KHEOPS, KHEOPS_TOKEN)
    assert found.wado is not None
    assert found.wado.url == f"{KHEOPS}/wado"
    assert KHEOPS_TOKEN not in repr(found)
    assert KHEOPS_TOKEN not in str(found.words())


@pytest.mark.parametrize(("given", "bulk"), [("0", False), ("1", True)])
def test_bulk_retrieve(given: str, bulk: bool) -> None:
    found = parse(slicer(studyUID=UID, dicomweb_endpoint=ROOT, bulk_retrieve=given))
    assert isinstance(found, Study)
    assert found.bulk is bulk


@pytest.mark.parametrize("space", [" ", "%20", "%20%20 "])
def test_values_may_start_with_a_space(space: str) -> None:
    found = parse(f"slicer://viewer/?studyUID={space}{UID}&dicomweb_endpoint={space}{quote(ROOT, safe='')}")
    assert isinstance(found, Study)
    assert (found.study, found.endpoint.url) == (UID, ROOT)


def test_values_are_decoded_once() -> None:
    twice = quote(quote(ROOT, safe=""), safe="")
    assert case_of(f"slicer://viewer/?studyUID={UID}&dicomweb_endpoint={twice}") == Case.BAD_ADDRESS
    found = parse(slicer(studyUID=UID, dicomweb_endpoint=ROOT, access_token="a%2Bb+c"))
    assert isinstance(found, Study)
    assert found.token == "a%2Bb+c"


def test_a_value_ends_at_no_further_equals_sign_and_a_fragment_is_dropped() -> None:
    found = parse(f"slicer://viewer/?studyUID={UID}&access_token=ab==&dicomweb_endpoint={quote(ROOT)}#here")
    assert isinstance(found, Study)
    assert (found.token, found.endpoint.url) == ("ab==", ROOT)


def test_unknown_names_are_ignored_whatever_they_have() -> None:
    found = parse(
        slicer(studyUID=UID, dicomweb_endpoint=ROOT, study="x", StudyUID="y", script="exit()") + "&empty=&&lone"
    )
    assert isinstance(found, Study)
    assert found == parse(slicer(studyUID=UID, dicomweb_endpoint=ROOT))


def test_the_same_value_twice_is_one() -> None:
    once = slicer(studyUID=UID, dicomweb_endpoint=ROOT)
    assert parse(f"{once}&studyUID={UID}") == parse(once)


@pytest.mark.parametrize(
    "wado", ["https://other.example/wado", "nonsense", "https://pacs.example/wado?x=1", "https://u:p@pacs.example/wado"]
)
def test_a_wado_endpoint_elsewhere_is_not_used(wado: str) -> None:
    found = parse(slicer(studyUID=UID, dicomweb_endpoint=ROOT, dicomweb_uri_endpoint=wado))
    assert isinstance(found, Study)
    assert found.wado is None


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("ct.nrrd", "data"),
        ("ct.nii.gz", "data"),
        ("mesh.stl", "data"),
        ("scene.mrb", "scene"),
        ("scene.MRB", "scene"),
        ("study.zip", "zip"),
        ("manifest.xml", "manifest"),
        ("image.dcm", "dicom"),
        ("image", "dicom"),
        ("studies/1.2.3", "dicom"),
        ("studies/1.2.3?accept=application/zip", "zip"),
        ("studies/1.2.3?accept=application%2Fzip", "zip"),
    ],
)
def test_downloads(file: str, kind: str) -> None:
    found = parse(slicer(download=f"https://h/{file}"))
    assert isinstance(found, Download)
    assert (found.kind, found.url, found.show) == (kind, f"https://h/{file}", None)


@pytest.mark.parametrize(
    "name",
    ["x.py", "x.PY", "x.sh", "x.exe", "a/x.bat/", "x.js?y=1", "x.%70y", "x.py.", "x.py;", "x.nii.ps1", "x.desktop"],
)
def test_scripts(name: str) -> None:
    assert case_of(slicer(download=f"https://h/{name}")) == Case.SCRIPT
    assert is_script("x.PY. ")
    assert not is_script("py")
    assert not is_script("scan.nrrd")


# -- osirix:// and horos:// -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quotes", ["'{}'", "%27{}%27", '"{}"', "{}"])
def test_kheops_own_link_to_osirix(quotes: str) -> None:
    url = f"{KHEOPS}/link/{KHEOPS_TOKEN}/studies/{UID}?accept=application/zip"
    found = parse(f"osirix://?methodName=downloadURL&URL={quotes.format(quote(url, safe=''))}")
    assert isinstance(found, Download)
    assert (found.url, found.kind) == (url, "zip")
    assert KHEOPS_TOKEN not in repr(found)


@pytest.mark.parametrize("scheme", ["osirix", "OsiriX", "horos", "HOROS"])
@pytest.mark.parametrize("method", ["DisplayStudy", "displaystudy", "DISPLAYSTUDY"])
def test_methods_are_matched_without_case(scheme: str, method: str) -> None:
    found = parse(f"{scheme}://?methodName={method}&PatientID=4711")
    assert found == Call(scheme=scheme.lower(), method="DisplayStudy", parameters={"PatientID": "4711"})


def test_parameters_are_matched_with_case_but_for_the_first_letter_of_display_study() -> None:
    found = parse(f"osirix://?methodName=DisplayStudy&patientID=1&studyInstanceUID={UID}&accessionNumber=2&studyID=3")
    assert isinstance(found, Call)
    assert found.parameters == {
        "PatientID": "1",
        "StudyInstanceUID": UID,
        "AccessionNumber": "2",
        "StudyID": "3",
    }
    assert case_of("osirix://?methodName=DisplayStudy&patientid=1") == Case.MISSING
    assert case_of("osirix://?methodName=DisplaySeries&patientID=1") == Case.MISSING
    assert case_of("osirix://?methodname=DisplayStudy&PatientID=1") == Case.MISSING


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("PatientName=Doe+Jane", "Doe+Jane"),  # a plus stays one
        ("PatientName=Doe%20Jane", "Doe Jane"),
        ("PatientName=a=b=c", "a=b=c"),  # a name ends at the first equals sign
        ("PatientName='a&b'&x=1", "a&b"),  # no split within single quotes
        ("PatientName=%27a&b%27&x=1", "a&b"),  # which count once they are decoded
        ('PatientName="a b"', "a b"),
        ("PatientName=''a''", "'a'"),  # one pair is dropped
        ("PatientName='a\"", "'a\""),  # which has to be one
        ("PatientName='", "'"),
        ("PatientName=O'Brien&x=1", "O'Brien&x=1"),  # the rest is within quotes that never end
        ("PatientName='what?'", "what?"),  # the split at "?" comes first, outside of quotes too
        ("PatientName=a%26b", "a"),  # decoded before it is split
        ("PatientName=50%2525", "50%25"),  # decoded once
        ("PatientName=#1", "#1"),
    ],
)
def test_the_order_of_decoding(query: str, value: str) -> None:
    found = parse(f"osirix://?methodName=DisplayStudyListByPatientName&{query}")
    assert isinstance(found, Call)
    assert found.parameters == {"PatientName": value}


@pytest.mark.parametrize(
    "url", ["osirix://", "osirix://?a?methodName=CloseAllWindows", "osirix:?methodName=CloseAllWindows"]
)
def test_not_exactly_two_parts(url: str) -> None:
    assert case_of(url) == Case.UNKNOWN_FORM


def test_a_question_mark_in_quotes_that_a_browser_encoded_is_a_third_part() -> None:
    assert case_of("osirix://?methodName=downloadURL&URL=%27https://h/x?a=1%27") == Case.UNKNOWN_FORM


def test_split_outside_of_quotes() -> None:
    assert split_unquoted("a&'b&c'&d'&e", "&") == ["a", "'b&c'", "d'&e"]
    assert split_unquoted("", "&") == [""]


def test_an_image() -> None:
    expected = Image(scheme="osirix", sop_class="1.2.840.10008.5.1.4.1.1.2", sop_instance=UID)
    assert parse(f"osirix://?image=1.2.840.10008.5.1.4.1.1.2+{UID}") == expected
    assert parse(f"osirix://?image=1.2.840.10008.5.1.4.1.1.2%2B{UID}") == expected
    for broken in (UID, f"{UID}+", f"{UID}+{UID}+{UID}", f"{UID} {UID}", f"{UID}+../x"):
        assert case_of(f"osirix://?image={broken}") == Case.BAD_UID


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("DBWindowFind&request=name == 'x'&table=Study", {"request": "name == 'x'", "table": "Study"}),
        (
            "FindObject&request=1&table=Series&execute=Open",
            {"request": "1", "table": "Series", "execute": "Open"},
        ),
        ("SwitchToDefaultDBIfNeeded", {}),
        ("SelectAlbum&name=Today", {"name": "Today"}),
        ("CloseAllWindows&unknown=1", {}),
        ("GetDisplayed2DViewerSeries", {}),
        ("GetDisplayed2DViewerStudies", {}),
        (f"Close2DViewerWithSeriesUID&uid={UID}", {"uid": UID}),
        (f"Close2DViewerWithStudyUID&uid={UID}", {"uid": UID}),
        (f"DisplaySeries&SeriesInstanceUID={UID}", {"SeriesInstanceUID": UID}),
        ("DisplayStudyListByPatientId&PatientID=1", {"PatientID": "1"}),
        ("PathToFrontDCM&onlyfilename=yes", {"onlyfilename": "yes"}),
        ("CMove&accessionNumber=1&server=PACS", {"accessionNumber": "1", "server": "PACS"}),
        (
            "Retrieve&serverName=P&filterKey=PatientID&filterValue=1&filterKey2=StudyDate&filterValue2=2020*&then=open"
            "&retrieveOnlyIfNeeded=yes&retrieveMode=1",
            {
                "serverName": "P",
                "filterKey": "PatientID",
                "filterValue": "1",
                "filterKey2": "StudyDate",
                "filterValue2": "2020*",
                "then": "open",
                "retrieveOnlyIfNeeded": "yes",
                "retrieveMode": "1",
            },
        ),
    ],
)
def test_every_method(query: str, parameters: dict[str, str]) -> None:
    found = parse(f"osirix://?methodName={query}")
    assert isinstance(found, Call)
    assert found.parameters == parameters


@pytest.mark.parametrize(("display", "show"), [("YES", True), ("true", True), ("1", True), ("no", False)])
def test_display_of_a_download(display: str, show: bool) -> None:
    found = parse(f"osirix://?methodName=DownloadURL&URL=https://h/x.dcm&Display={display}")
    assert isinstance(found, Download)
    assert found.show is show


# -- what no form has -------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, Case]] = {
    "a script of slicer": ("slicer://viewer/?script=exit()", Case.MISSING),
    "another place": (f"slicer://exec/?studyUID={UID}&dicomweb_endpoint=https://h", Case.UNKNOWN_FORM),
    "a path": (f"slicer://viewer/x?studyUID={UID}&dicomweb_endpoint=https://h", Case.UNKNOWN_FORM),
    "no slashes": (f"slicer:viewer?studyUID={UID}&dicomweb_endpoint=https://h", Case.UNKNOWN_FORM),
    "a user": (f"slicer://me@viewer/?studyUID={UID}&dicomweb_endpoint=https://h", Case.UNKNOWN_FORM),
    "no query": ("slicer://viewer/", Case.UNKNOWN_FORM),
    "no studyUID": (slicer(dicomweb_endpoint=ROOT), Case.MISSING),
    "no endpoint": (slicer(studyUID=UID), Case.MISSING),
    "an empty studyUID": (slicer(studyUID="", dicomweb_endpoint=ROOT), Case.EMPTY),
    "a studyUID of spaces": (slicer(studyUID="  ", dicomweb_endpoint=ROOT), Case.EMPTY),
    "an empty token": (slicer(studyUID=UID, dicomweb_endpoint=ROOT, access_token=""), Case.EMPTY),
    "two studies": (slicer(studyUID=UID, dicomweb_endpoint=ROOT) + "&studyUID=1.2", Case.REPEATED),
    "two endpoints": (slicer(studyUID=UID, dicomweb_endpoint=ROOT) + "&dicomweb_endpoint=https://evil", Case.REPEATED),
    "two tokens": (slicer(studyUID=UID, dicomweb_endpoint=ROOT) + "&access_token=a&access_token=b", Case.REPEATED),
    "one of two empty": (slicer(studyUID=UID, dicomweb_endpoint=ROOT) + "&studyUID=", Case.EMPTY),
    "a study and a download": (slicer(studyUID=UID, download="https://h/x.nii"), Case.CONTRADICTION),
    "a bulk of 2": (slicer(studyUID=UID, dicomweb_endpoint=ROOT, bulk_retrieve="2"), Case.BAD_VALUE),
    "a token with spaces": (slicer(studyUID=UID, dicomweb_endpoint=ROOT, access_token="a b"), Case.BAD_VALUE),
    "a token that is not ASCII": (slicer(studyUID=UID, dicomweb_endpoint=ROOT, access_token="\u00e9"), Case.BAD_VALUE),
    "a leading zero": (slicer(studyUID="1.02", dicomweb_endpoint=ROOT), Case.BAD_UID),
    "letters": (slicer(studyUID="1.2a", dicomweb_endpoint=ROOT), Case.BAD_UID),
    "65 characters": (slicer(studyUID="1." + "2" * 63, dicomweb_endpoint=ROOT), Case.BAD_UID),
    "a dot at the end": (slicer(studyUID="1.2.", dicomweb_endpoint=ROOT), Case.BAD_UID),
    "a wildcard": (slicer(studyUID="1.2.*", dicomweb_endpoint=ROOT), Case.BAD_UID),
    "several UIDs": (slicer(studyUID="1.2\\1.3", dicomweb_endpoint=ROOT), Case.BAD_UID),
    "digits of other scripts": (slicer(studyUID="\u0661.\u0662", dicomweb_endpoint=ROOT), Case.BAD_UID),
    "a path as UID": (slicer(studyUID="../../x", dicomweb_endpoint=ROOT), Case.BAD_UID),
    "file:": (slicer(studyUID=UID, dicomweb_endpoint="file:///etc"), Case.LOCAL_FILE),
    "UNC": (slicer(studyUID=UID, dicomweb_endpoint="\\\\host\\share"), Case.LOCAL_FILE),
    "UNC in slashes": (slicer(studyUID=UID, dicomweb_endpoint="//host/share"), Case.LOCAL_FILE),
    "a download of file:": (slicer(download="file:///etc/passwd"), Case.LOCAL_FILE),
    "a download of FILE:": (slicer(download="FILE:/etc/passwd"), Case.LOCAL_FILE),
    "a download of UNC": (slicer(download="\\\\host\\share\\x.nrrd"), Case.LOCAL_FILE),
    "a download of a path": (slicer(download="/etc/passwd"), Case.LOCAL_FILE),
    "a download of a drive": (slicer(download="C:\\x.nrrd"), Case.LOCAL_FILE),
    "another scheme of an endpoint": (slicer(studyUID=UID, dicomweb_endpoint="ftp://h/x"), Case.UNKNOWN_SCHEME),
    "a link in a link": (slicer(download="osirix://?methodName=KillOsiriX"), Case.UNKNOWN_SCHEME),
    "an endpoint without a host": (slicer(studyUID=UID, dicomweb_endpoint="https://"), Case.BAD_ADDRESS),
    "an endpoint with a query": (slicer(studyUID=UID, dicomweb_endpoint=f"{ROOT}?a=1"), Case.BAD_ADDRESS),
    "an endpoint with a fragment": (slicer(studyUID=UID, dicomweb_endpoint=f"{ROOT}#a"), Case.BAD_ADDRESS),
    "an endpoint nowhere": (slicer(studyUID=UID, dicomweb_endpoint="https://0.0.0.0/"), Case.BAD_ADDRESS),
    "an endpoint of multicast": (slicer(studyUID=UID, dicomweb_endpoint="http://224.0.0.1/"), Case.BAD_ADDRESS),
    "an endpoint with a backslash": (slicer(studyUID=UID, dicomweb_endpoint="https://a\\@b/"), Case.BAD_ADDRESS),
    "a broken percent code": (f"slicer://viewer/?studyUID={UID}&dicomweb_endpoint=https%3A%2", Case.BROKEN_PERCENT),
    "a broken percent code of osirix": ("osirix://?methodName=SelectAlbum&name=50%", Case.BROKEN_PERCENT),
    "no hexadecimal digits": ("osirix://?methodName=SelectAlbum&name=%zz", Case.BROKEN_PERCENT),
    "bytes that are not UTF-8": ("osirix://?methodName=SelectAlbum&name=%ff", Case.NOT_UTF8),
    "overlong UTF-8": ("osirix://?methodName=SelectAlbum&name=%c0%ae", Case.NOT_UTF8),
    "a surrogate in UTF-8": ("osirix://?methodName=SelectAlbum&name=%ed%a0%80", Case.NOT_UTF8),
    "an argument that is not UTF-8": ("osirix://?methodName=SelectAlbum&name=\udcff", Case.NOT_UTF8),
    "a line end": ("slicer://viewer/?studyUID=1.2\n", Case.CONTROL),
    "an encoded line end": ("osirix://?methodName=SelectAlbum&name=a%0d%0ab", Case.CONTROL),
    "an encoded zero": (slicer(studyUID="1.2\0", dicomweb_endpoint=ROOT), Case.CONTROL),
    "an escape": ("osirix://?methodName=SelectAlbum&name=\x1b[31m", Case.CONTROL),
    "C1": ("osirix://?methodName=SelectAlbum&name=%c2%9b31m", Case.CONTROL),
    "a line separator": ("osirix://?methodName=SelectAlbum&name=%e2%80%a8", Case.CONTROL),
    "text that turns": ("osirix://?methodName=SelectAlbum&name=%e2%80%ae", Case.CONTROL),
    "a control in an unknown name": (slicer(studyUID=UID, dicomweb_endpoint=ROOT) + "&%00=1", Case.CONTROL),
    "8193 bytes": ("slicer://viewer/?" + "x" * (MOST_BYTES + 1 - 17), Case.TOO_LONG),
    "8193 bytes of UTF-8": ("slicer://viewer/?x=" + "\u00e9" * 4087 + "y", Case.TOO_LONG),
    "an option": ("--help", Case.OPTION),
    "an option behind a space": (" -x", Case.OPTION),
    "nothing": ("", Case.NO_URL),
    "spaces": ("   ", Case.NO_URL),
    "a word": ("hello", Case.NO_URL),
    "a path of this machine": ("/etc/passwd", Case.LOCAL_FILE),
    "a drive's path": ("C:\\x", Case.LOCAL_FILE),
    "a file:": ("file:///etc/passwd", Case.LOCAL_FILE),
    "UNC alone": ("\\\\host\\share", Case.LOCAL_FILE),
    "javascript:": ("javascript:alert(1)", Case.UNKNOWN_SCHEME),
    "https:": ("https://pacs.example/", Case.UNKNOWN_SCHEME),
    "a scheme like ours": ("slicerx://viewer/?studyUID=1.2", Case.UNKNOWN_SCHEME),
    "KillOsiriX": ("osirix://?methodName=KillOsiriX", Case.ENDS),
    "killosirix of horos": ("horos://?methodName=killosirix&x=1", Case.ENDS),
    "Delete": ("osirix://?methodName=FindObject&request=1&table=Study&execute=Delete", Case.DELETES),
    "delete of another case": ("osirix://?methodName=DBWindowFind&request=1&table=Study&execute=dElEtE", Case.DELETES),
    "OpenDB": ("osirix://?methodName=OpenDB&path=/tmp/x", Case.LOCAL_FILE),
    "an unknown method": ("osirix://?methodName=Exec&code=1", Case.UNKNOWN_METHOD),
    "no method": ("osirix://?PatientID=1", Case.MISSING),
    "an empty method": ("osirix://?methodName=", Case.EMPTY),
    "two methods": ("osirix://?methodName=CloseAllWindows&methodName=KillOsiriX", Case.REPEATED),
    "a method and an image": (f"osirix://?methodName=CloseAllWindows&image={UID}+{UID}", Case.CONTRADICTION),
    "DisplayStudy of nothing": ("osirix://?methodName=DisplayStudy", Case.MISSING),
    "DisplayStudy of an empty one": ("osirix://?methodName=DisplayStudy&PatientID=", Case.EMPTY),
    "DisplayStudy of two": ("osirix://?methodName=DisplayStudy&PatientID=1&patientID=2", Case.REPEATED),
    "DisplayStudy of no UID": ("osirix://?methodName=DisplayStudy&StudyInstanceUID=1.x", Case.BAD_UID),
    "another table": ("osirix://?methodName=FindObject&request=1&table=Patient", Case.BAD_VALUE),
    "a find without a table": ("osirix://?methodName=FindObject&request=1", Case.MISSING),
    "Close2DViewer of no UID": ("osirix://?methodName=Close2DViewerWithStudyUID&uid=x", Case.BAD_UID),
    "a retrieve of nothing": ("osirix://?methodName=Retrieve&serverName=P", Case.MISSING),
    "a retrieve of half a filter": (
        "osirix://?methodName=Retrieve&serverName=P&filterKey=PatientID&filterValue=1&filterKey2=x",
        Case.MISSING,
    ),
    "a retrieve of no UID": (
        "osirix://?methodName=Retrieve&serverName=P&filterKey=StudyInstanceUID&filterValue=*",
        Case.BAD_UID,
    ),
    "a retrieve of all": (
        "osirix://?methodName=Retrieve&serverName=P&filterKey=PatientID&filterValue=*",
        Case.BAD_VALUE,
    ),
    "a download of nothing": ("osirix://?methodName=DownloadURL", Case.MISSING),
    "a download of quotes": ("osirix://?methodName=DownloadURL&URL=''", Case.EMPTY),
    "a download of a file by osirix": ("osirix://?methodName=DownloadURL&URL='file:///etc/passwd'", Case.LOCAL_FILE),
    "a download of a script by osirix": ("osirix://?methodName=DownloadURL&URL='https://h/x.sh'", Case.SCRIPT),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    url, case = REFUSED[what]
    assert case_of(url) == case


def test_the_longest_that_is_read() -> None:
    start = slicer(studyUID=UID, dicomweb_endpoint=ROOT) + "&x="
    assert isinstance(parse(start + "x" * (MOST_BYTES - len(start))), Study)


@pytest.mark.parametrize("uid", ["1.2", "0.0", "2.25." + "9" * 59])
def test_uids(uid: str) -> None:
    assert is_uid(uid)


def test_no_repr_shows_a_secret() -> None:
    secret = "S3cr3tS3cr3t"
    links: list[Any] = [
        parse(slicer(studyUID=UID, dicomweb_endpoint=f"https://u:{secret}@h/x", access_token=secret)),
        parse(slicer(download=f"https://u:{secret}@h/x.nii?token={secret}")),
        parse(f"osirix://?methodName=SelectAlbum&name=https://h/link/{secret}/x"),
    ]
    for link in links:
        assert secret not in repr(link)
        assert secret not in str(link.words())
