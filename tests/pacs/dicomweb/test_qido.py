"""QIDO-RS: requests, paging with servers that ignore half of it, answers that are none."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import time

import pytest

from slicer_notebook.errors import JobCancelledError, PacsAnswerError, PacsRefusedError, PacsUnreachableError
from slicer_notebook.pacs.dicomweb import qido
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import never
from tests.pacs.dicomweb.faulty import Archive, Faulty, Reply, as_json, study_item
from tests.pacs.dicomweb.tools import source_for


def find(source, level="STUDY", cancelled=never, **keys):
    options = {name: keys.pop(name) for name in ("limit", "fuzzy", "relational") if name in keys}
    found = {name.replace("__", "."): value for name, value in keys.items()}
    return source.find(build_query(level, found, **options), cancelled)


def uids(answers) -> list[str]:
    return [answer["StudyInstanceUID"] for answer in answers]


def numbered(count) -> list[str]:
    return [f"1.2.{i}" for i in range(count)]


def empty(_request):
    return as_json([])


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "keys", "path", "expected"),
    [
        ("STUDY", {"PatientName": "Müller^J*"}, "/studies", {"PatientName": "Müller^J*"}),
        ("STUDY", {"StudyDate": ("20200101", None), "PatientID": "a b&c=ü"}, "/studies", {"StudyDate": "20200101-"}),
        ("STUDY", {"StudyInstanceUID": ["1.2", "3.4"]}, "/studies", {"StudyInstanceUID": "1.2,3.4"}),
        ("STUDY", {"0019,100C": "7"}, "/studies", {"0019100C": "7"}),
        (
            "STUDY",
            {"RequestAttributesSequence__ScheduledProcedureStepID": "S1"},
            "/studies",
            {"RequestAttributesSequence.ScheduledProcedureStepID": "S1"},
        ),
        ("SERIES", {"StudyInstanceUID": "1.2", "Modality": "CT"}, "/studies/1.2/series", {"Modality": "CT"}),
        ("SERIES", {"Modality": "CT"}, "/series", {"Modality": "CT"}),
        (
            "SERIES",
            {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "3.4"},
            "/studies/1.2/series",
            {"SeriesInstanceUID": "3.4"},
        ),
        (
            "IMAGE",
            {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "3.4", "InstanceNumber": 7},
            "/studies/1.2/series/3.4/instances",
            {"InstanceNumber": "7"},
        ),
        ("IMAGE", {"StudyInstanceUID": "1.2"}, "/studies/1.2/instances", {}),
        ("IMAGE", {"SeriesInstanceUID": "3.4"}, "/instances", {"SeriesInstanceUID": "3.4"}),
        ("PATIENT", {"PatientID": "P1"}, "/studies", {"PatientID": "P1"}),
        ("STUDY", {"PatientName": "*", "AccessionNumber": ""}, "/studies", {}),
    ],
)
def test_the_path_and_the_keys_of_a_request(level, keys, path, expected):
    with Faulty(empty) as server:
        assert list(find(source_for(server.url), level, **keys)) == []
    request = server.requests[0]
    assert request.path == f"/dicom-web{path}"
    given = {name: value for name, value in request.query.items() if name not in ("includefield", "limit")}
    assert expected.items() <= given.items()
    assert set(given) <= set(expected) | {"PatientID"}
    assert request.headers["accept"] == "application/dicom+json"
    assert "gzip" in request.headers["accept-encoding"]


def test_what_is_to_be_returned_is_named_and_universal_matching_is_no_key():
    with Faulty(empty) as server:
        list(find(source_for(server.url), PatientName="*", InstitutionName=None, RequestAttributesSequence=None))
    target = server.requests[0].target
    for name in ("PatientName", "InstitutionName", "RequestAttributesSequence", "NumberOfStudyRelatedInstances"):
        assert f"includefield={name}" in target
    assert "PatientName=" not in target.replace("=PatientName", "")


def test_fuzzy_matching_is_asked_for_and_a_server_that_warns_is_remembered():
    def handler(request):
        return Reply(
            200,
            b"[]",
            {"Content-Type": "application/json", "Warning": '299 x: "The fuzzymatching parameter is not supported."'},
        )

    with Faulty(handler) as server:
        source = source_for(server.url)
        list(find(source, PatientName="Muller", fuzzy=True))
    assert server.requests[0].query["fuzzymatching"] == "true"
    assert source.learned.fuzzy is False


def test_several_values_of_another_key_are_asked_for_one_by_one():
    def handler(request):
        modality = request.query["ModalitiesInStudy"]
        return as_json([study_item(i) for i in {"CT": (1, 2), "MR": (2, 3)}[modality]])

    with Faulty(handler) as server:
        source = source_for(server.url)
        source.learned.paging = False
        assert uids(find(source, ModalitiesInStudy=["CT", "MR"])) == ["1.2.1", "1.2.2", "1.2.3"]


def test_series_of_several_studies_are_asked_for_study_by_study_and_know_their_study():
    def handler(request):
        return as_json([{"0020000E": {"vr": "UI", "Value": [request.path.split("/")[3] + ".9"]}}])

    with Faulty(handler) as server:
        source = source_for(server.url)
        source.learned.paging = False
        found = list(find(source, "SERIES", StudyInstanceUID=["1.2", "3.4"]))
    assert [(each["StudyInstanceUID"], each["SeriesInstanceUID"]) for each in found] == [
        ("1.2", "1.2.9"),
        ("3.4", "3.4.9"),
    ]


# -- lists of UIDs ----------------------------------------------------------------------------------------------------


def by_uid(request, takes: str):
    """Studies 1.2.0 to 1.2.9, and a server that takes lists, their first UID, their last, or none of it."""
    asked = request.query.get("StudyInstanceUID", "").split(",")
    if "offset" in request.query:
        return as_json([])
    if len(asked) > 1 and takes == "400":
        return Reply(400)
    asked = {"list": asked, "first": asked[:1], "last": asked[-1:], "none": asked if len(asked) == 1 else []}.get(
        takes, asked
    )
    known = {f"1.2.{i}": i for i in range(10)}
    return as_json([study_item(known[uid]) for uid in asked if uid in known])


@pytest.mark.parametrize("takes", ["list", "first", "last", "none", "400"])
def test_lists_of_uids_where_the_server_takes_them_or_not(takes):
    wanted = ["1.2.3", "1.2.5", "1.2.7"]
    with Faulty(lambda request: by_uid(request, takes)) as server:
        source = source_for(server.url)
        assert sorted(uids(find(source, StudyInstanceUID=wanted))) == wanted
        count = len(server.requests)
        assert sorted(uids(find(source, StudyInstanceUID=wanted))) == wanted
        # What was learned is used: neither one request for each nor a list in vain.
        assert len(server.requests) - count == (1 if takes == "list" else 3)


def test_uids_that_are_not_there_are_not_found():
    with Faulty(lambda request: by_uid(request, "list")) as server:
        assert uids(find(source_for(server.url), StudyInstanceUID=["9.9", "1.2.5", "9.8"])) == ["1.2.5"]


def test_long_lists_are_several_requests():
    wanted = [f"1.2.{i}.{'7' * 50}" for i in range(200)]

    def handler(request):
        found = request.query["StudyInstanceUID"].split(",")
        return as_json([{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in found])

    with Faulty(handler) as server:
        assert uids(find(source_for(server.url), StudyInstanceUID=wanted)) == wanted
    assert len(server.requests) > 1
    assert max(len(target) for target in server.targets()) < 5000


# -- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 1500])
@pytest.mark.parametrize(
    "faults",
    [
        {},
        {"limit": False},
        {"offset": False},
        {"limit": False, "offset": False},
        {"cap": 100},
        {"cap": 100, "limit": False},
        {"overlap": 3},
        {"overlap": 3, "cap": 70},
    ],
    ids=str,
)
def test_paging_neither_loops_nor_loses(count, faults):
    with Faulty(Archive(count, **faults)) as server:
        source = source_for(server.url)
        assert sorted(uids(find(source)), key=lambda uid: int(uid[4:])) == numbered(count)
        # What was learned of the server makes no difference to what it is asked next.
        assert sorted(uids(find(source)), key=lambda uid: int(uid[4:])) == numbered(count)
    assert len(server.requests) < 2 * (count // 60 + 8)


def test_what_a_server_makes_of_pages_is_learned():
    for faults, expected in (({}, True), ({"offset": False}, False), ({"limit": False, "offset": False}, False)):
        with Faulty(Archive(700, **faults)) as server:
            source = source_for(server.url)
            list(find(source))
            assert source.learned.paging is expected
            assert source.learned.implementation == "Faulty/1.0"
            count = len(server.requests)
            list(find(source))
            assert len(server.requests) - count == (3 if expected else 1)


@pytest.mark.parametrize("faults", [{}, {"limit": False}, {"offset": False}, {"overlap": 2}, {"cap": 30}], ids=str)
@pytest.mark.parametrize("limit", [1, 199, 200, 201, 450])
def test_a_limit_is_exact(limit, faults):
    with Faulty(Archive(1000, **faults)) as server:
        source = source_for(server.url)
        assert len(set(uids(find(source, limit=limit)))) == limit
        assert len(uids(find(source, limit=limit))) == limit
    assert int(server.requests[0].query["limit"]) <= limit


def test_a_server_that_does_not_know_offset_is_asked_for_all():
    archive = Archive(500, cap=None)

    def handler(request):
        return Reply(400) if "offset" in request.query else archive(request)

    with Faulty(handler) as server:
        source = source_for(server.url)
        assert uids(find(source)) == numbered(500)
        assert source.learned.paging is False


def test_pages_without_an_end_are_an_error(monkeypatch):
    monkeypatch.setattr(qido, "MOST_ANSWERS", 3000)
    with Faulty(Archive(10, endless=True)) as server, pytest.raises(PacsAnswerError, match="never ends"):
        list(find(source_for(server.url)))


def test_a_limit_ends_pages_without_an_end():
    with Faulty(Archive(10, endless=True)) as server:
        assert uids(find(source_for(server.url), limit=700)) == numbered(700)


def test_duplicates_within_and_between_pages_come_once():
    def handler(request):
        start = int(request.query.get("offset", "0"))
        return as_json([study_item(i // 2) for i in range(start, min(start + 7, 40))])

    with Faulty(handler) as server:
        source = source_for(server.url)
        assert sorted(uids(find(source)), key=lambda uid: int(uid[4:])) == numbered(20)


def test_answers_without_a_uid_come_once_each():
    item = {"00100020": {"vr": "LO", "Value": ["P1"]}}
    other = {"00100020": {"vr": "LO", "Value": ["P2"]}}
    with Faulty(lambda request: as_json([item, other, item])) as server:
        assert [each["PatientID"] for each in find(source_for(server.url))] == ["P1", "P2"]


def test_the_first_page_comes_before_the_others_are_asked_for():
    with Faulty(Archive(5000)) as server:
        answers = find(source_for(server.url))
        next(answers)
        assert len(server.requests) == 1
        answers.close()
    assert len(server.requests) == 1


def test_answers_come_while_the_rest_of_a_page_is_under_way():
    going_on = threading.Event()
    first = json.dumps([study_item(i) for i in range(300)]).encode()[:-1]

    def body():
        yield first + b", "
        assert going_on.wait(10)
        yield json.dumps(study_item(300)).encode() + b"]"

    def handler(request):
        if "offset" in request.query:
            return as_json([])
        return Reply(200, body(), {"Content-Type": "application/dicom+json"}, framing="chunked")

    with Faulty(handler) as server:
        answers = find(source_for(server.url))
        found = [next(answers)]
        going_on.set()
        found += answers
    assert uids(found) == numbered(301)


# -- patients ---------------------------------------------------------------------------------------------------------


def test_patients_are_grouped_from_studies_and_have_nothing_of_a_study():
    def patient(number, patient_id, name):
        return study_item(
            number,
            **{"00100020": {"vr": "LO", "Value": [patient_id] if patient_id else []}},
            **{"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}},
        )

    items = [
        patient(1, "A", "Doe^Jane"),
        patient(2, "A", "Doe^Jane"),
        patient(3, "", "X"),
        patient(4, "", "Y"),
        patient(5, "", "X"),
    ]
    with Faulty(lambda request: as_json(items)) as server:
        source = source_for(server.url)
        found = list(find(source, "PATIENT"))
        assert [(each["PatientID"], each["PatientName"]) for each in found] == [
            ("A", "Doe^Jane"),
            (None, "X"),
            (None, "Y"),
        ]
        assert all("StudyInstanceUID" not in each and "StudyDate" not in each for each in found)
        assert len(list(find(source, "PATIENT", limit=2))) == 2


# -- keys that are ignored --------------------------------------------------------------------------------------------


def test_a_key_that_the_server_ignores_is_checked_here_and_said_without_patient_data(caplog):
    with Faulty(Archive(50)) as server, caplog.at_level(logging.WARNING):
        source = source_for(server.url)
        assert uids(find(source, PatientID="P7")) == ["1.2.7"]
        assert uids(find(source, StudyInstanceUID="1.2.9")) == ["1.2.9"]
        assert uids(find(source, PatientID="p3 ")) == ["1.2.3"]
    said = [record.getMessage() for record in caplog.records]
    assert any("PatientID" in text and "49" in text for text in said)
    assert not any("P7" in text or "1.2" in text or "Müller" in text for text in said)


def test_wild_cards_are_for_the_server_to_match():
    with Faulty(Archive(5)) as server:
        assert len(list(find(source_for(server.url), PatientID="P*"))) == 5


def test_one_study_that_is_found_is_not_looked_for_again():
    with Faulty(lambda request: by_uid(request, "list")) as server:
        assert uids(find(source_for(server.url), StudyInstanceUID="1.2.4")) == ["1.2.4"]
    assert len(server.requests) == 1


# -- letters that a server leaves out ---------------------------------------------------------------------------------


def without_letters(request):
    """Compares names as Orthanc does: in upper case, without what is not ASCII."""
    import re

    names = ["Müller^Jürgen", "Möller^Jürgen", "Miller^Jo", "Wang^XiaoDong=王^小东", "Muller^Jan"]
    asked = request.query.get("PatientName", "*").encode("ascii", "ignore").decode().upper()
    pattern = re.escape(asked).replace(r"\*", ".*").replace(r"\?", ".")
    found = []
    for number, name in enumerate(names):
        stored = name.partition("=")[0].encode("ascii", "ignore").decode().upper()
        # What is asked for with such letters is not found at all.
        if re.fullmatch(pattern, stored) and request.query.get("PatientName", "").isascii():
            groups = dict(zip(("Alphabetic", "Ideographic"), name.split("="), strict=False))
            found.append(study_item(number, **{"00100010": {"vr": "PN", "Value": [groups]}}))
    return as_json(found if "offset" not in request.query else [])


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("Müller*", ["Müller^Jürgen"]),
        ("müller^jürgen", ["Müller^Jürgen"]),
        ("M?ller^Jürgen", ["Müller^Jürgen", "Möller^Jürgen"]),
        ("Mu\u0308ller*", ["Müller^Jürgen"]),
        ("Wang*=王*", ["Wang^XiaoDong=王^小东"]),
        ("Muller*", ["Muller^Jan"]),
        ("Mäller*", []),
    ],
)
def test_names_with_letters_that_the_server_leaves_out(asked, names):
    def handler(request):
        if "=" in request.query.get("PatientName", ""):
            request.target = request.target.replace("%3D%2A", "").replace("%3D*", "")
        return without_letters(request)

    with Faulty(handler) as server:
        assert [each["PatientName"] for each in find(source_for(server.url), PatientName=asked)] == names


@pytest.mark.parametrize(
    ("keys", "there"),
    [
        ({"PatientName": "Doe^Jane"}, ["Doe^Jane"]),
        ({"PatientName": "Doe^*"}, ["Doe^Jane", "Doe^Jill"]),
        ({"PatientName": "Do?^J?ne"}, ["Doe^Jane"]),
        ({"PatientName": "D?e*"}, ["Doe^Jane", "Doe^Jill", "Doeman^Jo"]),
        ({"PatientName": "Doe^Jim"}, []),
        ({"StudyDescription": "CT Thorax"}, ["Doe^Jane"]),
    ],
    ids=str,
)
def test_a_server_that_does_not_decode_what_it_is_asked(keys, there):
    # orthanc-dicomweb 1.7 compares with "Doe%5EJane".
    import fnmatch

    studies = {"Doe^Jane": "CT Thorax", "Doe^Jill": "CT Thorax later", "Doeman^Jo": "MR"}

    def handler(request):
        raw = dict(each.split("=", 1) for each in request.target.partition("?")[2].split("&"))
        found = [
            study_item(
                number,
                **{"00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}},
                **{"00081030": {"vr": "LO", "Value": [text]}},
            )
            for number, (name, text) in enumerate(studies.items())
            if fnmatch.fnmatchcase(name, raw.get("PatientName", "*"))
            and fnmatch.fnmatchcase(text, raw.get("StudyDescription", "*"))
        ]
        return as_json(found if "offset" not in raw else [])

    with Faulty(handler) as server:
        assert [each["PatientName"] for each in find(source_for(server.url), **keys)] == there


def test_everything_is_not_asked_for_instead_of_a_name_without_such_letters():
    with Faulty(without_letters) as server:
        assert list(find(source_for(server.url), PatientName="王*")) == []
    assert len(server.requests) == 1


# -- answers that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        Reply(204),
        as_json([]),
        Reply(200, b"", {"Content-Type": "application/dicom+json"}),
        Reply(200, b" [\n] ", {"Content-Type": "application/json; charset=UTF-8"}),
        Reply(200, b"\xef\xbb\xbf[]", {"Content-Type": "application/dicom+json"}),
    ],
    ids=["204", "[]", "nothing", "spaces", "byte order mark"],
)
def test_nothing_found(reply):
    with Faulty(lambda request: reply) as server:
        assert list(find(source_for(server.url))) == []
    assert len(server.requests) == 1


def test_one_object_instead_of_an_array():
    with Faulty(lambda request: as_json(study_item(1) if "offset" not in request.query else [])) as server:
        assert uids(find(source_for(server.url))) == ["1.2.1"]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(200, b"<html>Sign in</html>", {"Content-Type": "text/html"}), "text/html"),
        (Reply(200, b"[]", {"Content-Type": "application/dicom+json; charset=ISO-8859-1"}), "ISO-8859-1"),
        (Reply(200, b'[{"00100010": {"vr": "LO"}, "\xfc": 1}]', {"Content-Type": "a/b+json"}), "not UTF-8"),
        (Reply(200, b'[{"00100010": {"vr": "LO", "Val', {"Content-Type": "application/json"}), "breaks off"),
        (Reply(200, b'[{"a": 1}] []', {"Content-Type": "application/json"}), "damaged"),
        (Reply(200, b"[1, 2]", {"Content-Type": "application/json"}), "other things"),
        (Reply(200, b"sorry", {"Content-Type": "application/json"}), "no JSON array"),
        (Reply(200, b"[]", {"Content-Type": "application/json", "Content-Encoding": "br"}), "br"),
        (Reply(200, b"[]", {"Content-Type": "application/json", "Content-Encoding": "gzip"}), "something else"),
    ],
)  # fmt: skip
def test_answers_that_are_none_are_errors_that_say_what_came(reply, expected):
    with Faulty(lambda request: reply) as server, pytest.raises(PacsAnswerError) as error:
        list(find(source_for(server.url), PatientName="Secretname"))
    assert expected in str(error.value)
    assert "Secretname" not in str(error.value)
    assert "ller" not in str(error.value)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_packed_answers(encoding):
    import zlib

    body = json.dumps([study_item(i) for i in range(150)]).encode()
    packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)

    def handler(request):
        if "offset" in request.query:
            return as_json([])
        return Reply(200, packed, {"Content-Type": "application/dicom+json", "Content-Encoding": encoding})

    with Faulty(handler) as server:
        assert uids(find(source_for(server.url))) == numbered(150)


def test_a_packed_answer_that_breaks_off_is_an_error():
    packed = gzip.compress(json.dumps([study_item(i) for i in range(150)]).encode())[:-300]
    reply = Reply(200, packed, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, framing="close")
    with Faulty(lambda request: reply) as server, pytest.raises(PacsAnswerError, match="breaks off"):
        list(find(source_for(server.url)))


def test_a_server_that_does_not_take_includefield_is_asked_without(caplog):
    def handler(request):
        if "includefield" in request.target:
            return Reply(400)
        return as_json([study_item(1)] if "offset" not in request.query else [])

    with Faulty(handler) as server:
        assert uids(find(source_for(server.url), InstitutionName=None)) == ["1.2.1"]
    assert len(server.requests) == 3
    assert "chooses itself" in caplog.text


def test_a_server_that_wants_another_accept_header():
    def handler(request):
        if "dicom+json" in request.headers["accept"]:
            return Reply(406)
        return as_json([study_item(1)] if "offset" not in request.query else [], kind="application/json")

    with Faulty(handler) as server:
        assert uids(find(source_for(server.url))) == ["1.2.1"]


def test_a_study_that_is_not_there_and_a_path_that_is_not():
    def handler(request):
        return as_json([]) if request.path == "/dicom-web/studies" else Reply(404)

    with Faulty(handler) as server:
        assert list(find(source_for(server.url), "SERIES", StudyInstanceUID="9.9")) == []
    with Faulty(lambda request: Reply(404)) as server:
        with pytest.raises(PacsAnswerError, match="404"):
            list(find(source_for(server.url), "SERIES", StudyInstanceUID="9.9"))
        with pytest.raises(PacsAnswerError, match="404") as error:
            list(find(source_for(server.url), PatientID="P77"))
    assert "P77" not in str(error.value)
    assert error.value.details == {"server": "web", "status": 404}


def test_whether_searches_below_studies_work_is_learned():
    with Faulty(lambda request: as_json([])) as server:
        source = source_for(server.url)
        assert source.relational is False
        list(find(source, "SERIES", Modality="CT"))
        assert source.relational is True
    with Faulty(lambda request: Reply(501)) as server:
        source = source_for(server.url)
        with pytest.raises(PacsAnswerError):
            list(find(source, "SERIES", Modality="CT"))
        assert source.learned.relational is False


@pytest.mark.parametrize(("status", "kind"), [(401, PacsRefusedError), (403, PacsRefusedError), (500, PacsAnswerError)])
def test_refusals_and_errors(status, kind):
    with Faulty(lambda request: Reply(status)) as server, pytest.raises(kind, match=str(status)):
        list(find(source_for(server.url)))


def test_a_busy_server_is_asked_again_a_little_later():
    busy = [Reply(503, headers={"Retry-After": "0"}), Reply(429, headers={"Retry-After": "0"})]

    def handler(request):
        return busy.pop() if busy else as_json([])

    with Faulty(handler) as server:
        assert list(find(source_for(server.url))) == []
    assert len(server.requests) == 3


def test_a_server_that_is_busy_for_long_is_an_error_at_once():
    with Faulty(lambda request: Reply(503, headers={"Retry-After": "3600"})) as server:
        began = time.monotonic()
        with pytest.raises(PacsAnswerError, match="503"):
            list(find(source_for(server.url)))
    assert time.monotonic() - began < 2
    assert len(server.requests) == 1


def test_silence_ends_with_the_timeout():
    with Faulty(lambda request: Reply(raw=b"", then="hang")) as server:
        began = time.monotonic()
        with pytest.raises(PacsUnreachableError, match="silence"):
            list(find(source_for(server.url, timeout=0.3)))
    assert time.monotonic() - began < 3


def test_cancelling_ends_a_wait_at_once():
    asked = threading.Event()

    def handler(request):
        asked.set()
        return Reply(raw=b"", then="hang")

    with Faulty(handler) as server:
        began = time.monotonic()
        with pytest.raises(JobCancelledError):
            list(find(source_for(server.url, timeout=15.0), cancelled=asked.is_set))
        assert time.monotonic() - began < 2
