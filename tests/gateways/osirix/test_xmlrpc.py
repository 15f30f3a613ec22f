"""XML-RPC as bytes: requests of clients in the field, what is none, limits, answers."""

from __future__ import annotations

import contextlib
import random
import time
import tracemalloc
import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.gateways.osirix.xmlrpc import (
    MAX_BODY,
    MAX_DEPTH,
    MAX_ELEMENTS,
    RequestError,
    nil,
    of_query,
    request,
    response,
)

#: As a RIS sends it: blank lines and indentation all over.
PUBLISHED = b"""<?xml version="1.0"?>
<methodCall>
    <methodName>Retrieve</methodName>
    <params>
        <param>
        <value>
            <struct>
                <member>
                    <name>serverName</name>
                    <value>
                        <string>VGHKS</string>
                    </value>
                </member>
                <member>
                    <name>filterValue</name>
                    <value><string>A&amp;1</string></value>
                </member>
            </struct>
        </value>
        </param>
    </params>
</methodCall>
"""


def call(params: str, method: str = "<methodName>M</methodName>") -> bytes:
    return f"<methodCall>{method}{params}</methodCall>".encode()


def struct(members: str) -> bytes:
    return call(f"<params><param><value><struct>{members}</struct></value></param></params>")


def member(value: str, name: str = "n") -> str:
    return f"<member><name>{name}</name><value>{value}</value></member>"


def test_a_published_request() -> None:
    assert request(PUBLISHED) == ("Retrieve", {"serverName": "VGHKS", "filterValue": "A&1"})


@pytest.mark.parametrize(
    "values", [{}, {"uid": "1.2", "n": 5, "x": -1.5, "yes": True, "no": False, "text": "<&>\n\u00e9 '\""}, {"a": [{}]}]
)
def test_what_python_s_client_sends(values: dict[str, Any]) -> None:
    assert request(xmlrpc.client.dumps((values,), "Method").encode()) == ("Method", values)


@pytest.mark.parametrize(
    "params",
    ["", "<params/>", "<params><param/></params>", "<params><param><value>text</value></param></params>",
     "<params><param><value><int>5</int></value></param></params>",
     "<params><param><value><array><data/></array></value></param></params>",
     "<params><param><value><struct/></value></param></params>"],
)  # fmt: skip
def test_no_parameter_or_one_that_is_no_struct_is_an_empty_struct(params: str) -> None:
    assert request(call(params)) == ("M", {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"), ("", ""), ("<string>text</string>", "text"), ("<string/>", ""), ("<int>5</int>", 5),
        ("<i4> -5 </i4>", -5), ("<i8>9223372036854775807</i8>", 2**63 - 1), ("<double>1.5</double>", 1.5),
        ("<boolean>1</boolean>", True), ("<boolean>false</boolean>", False), ("<nil/>", None),
        ("<dateTime.iso8601>20100512T14:22:11</dateTime.iso8601>", "20100512T14:22:11"),
        ("<base64>QQ==</base64>", "QQ=="), ("<array><data><value>a</value></data></array>", ["a"]),
        ("<struct><member><name>k</name><value>v</value></member></struct>", {"k": "v"}),
        ("<![CDATA[a <b> & c]]>", "a <b> & c"), ("&#65;&lt;", "A<"),
    ],
)  # fmt: skip
def test_values(value: str, expected: object) -> None:
    assert request(struct(member(value))) == ("M", {"n": expected})


def test_the_last_of_two_members_counts_and_names_keep_their_case() -> None:
    assert request(struct(member("1", "uid") + member("2", "UID") + member("3", "uid")))[1] == {"uid": "3", "UID": "2"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + struct(member("Müller")).decode()
    assert request(text.encode(encoding)) == ("M", {"n": "Müller"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 500), (b"  \n", 500), (b"<methodCall/>", 500), (b"<methodResponse/>", 500),
        (b"<a><methodCall/></a>", 500),
        (b"<methodCall><methodName>A</methodName><methodName>B</methodName></methodCall>", 500),
        (b"<methodCall><params/></methodCall>", 500),
        (b"<methodCall><methodName>A</methodName>", 400), (b"<methodCall", 400), (b"nonsense", 400),
        (b"<methodCall><methodName>A</methodname></methodCall>", 400), (b"\xff\xfe\xfd", 400),
        (b'<?xml version="1.0" encoding="martian"?><methodCall/>', 400), (b"<a/><b/>", 400), (b"<a>&nbsp;</a>", 400),
        (b"<methodCall>\0</methodCall>", 400),
        (struct(member("<int>five</int>")), 400), (struct(member("<int></int>")), 400),
        (struct(member("<int>" + "9" * 5000 + "</int>")), 400), (struct(member("<double>x</double>")), 400),
        (struct(member("<boolean>2</boolean>")), 400), (struct("<member><name>n</name></member>"), 400),
        (struct("<member><value>n</value></member>"), 400),
    ],
)  # fmt: skip
def test_what_is_no_request(body: bytes, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        request(body)
    assert refused.value.status == status


_LAUGHS = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize(
    "dtd",
    [
        "<!DOCTYPE methodCall>", '<!DOCTYPE methodCall SYSTEM "http://127.0.0.1:1/x.dtd">',
        '<!DOCTYPE m [<!ENTITY e "x">]>', '<!DOCTYPE m [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE m [<!ENTITY % e SYSTEM "file:///etc/hostname"> %e;]>', f'<!DOCTYPE m [<!ENTITY e0 "ha">{_LAUGHS}]>',
    ],
)  # fmt: skip
def test_no_document_types_and_no_entities(dtd: str) -> None:
    began = time.process_time()
    with pytest.raises(RequestError) as refused:
        request(f'<?xml version="1.0"?>{dtd}'.encode() + call("<params/>"))
    assert refused.value.status == 400
    assert time.process_time() - began < 1


def test_limits_of_elements() -> None:
    deep = "<array><data><value>" * 200_000
    for body in (
        struct(member("<string/>") * MAX_ELEMENTS),
        call("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH),
        call(deep)[: MAX_BODY],
    ):  # fmt: skip
        began = time.process_time()
        with pytest.raises(RequestError, match="too many"):
            request(body)
        assert time.process_time() - began < 2


def test_damaged_requests_are_read_or_refused_in_bounds_of_time_and_memory() -> None:
    chance = random.Random(8080)
    seeds = (PUBLISHED, struct(member("<int>5</int>") + member("x", "y")), call("<params/>"))
    pieces = (
        b"<",
        b">",
        b"&",
        b"]]>",
        b"<!--",
        b"<![CDATA[",
        b"\0",
        b"\xff",
        b"</value>",
        b"<value>",
        b"<?x?>",
        b"&#0;",
    )
    tracemalloc.start()
    began = time.process_time()
    outcomes: dict[int, int] = {}
    for _ in range(3000):
        body = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(body))
            if chance.random() < 0.5:
                del body[at : at + chance.randint(1, 8)]
            else:
                body[at:at] = chance.choice(pieces)
        try:
            method, params = request(bytes(body))
            assert isinstance(method, str)
            assert isinstance(params, dict)
            outcomes[200] = outcomes.get(200, 0) + 1
        except RequestError as exc:
            outcomes[exc.status] = outcomes.get(exc.status, 0) + 1
    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(outcomes) == {200, 400, 500}
    assert seconds < 30
    assert peak < 20 * 2**20


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        request(body)


# -- GET -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("methodName=M", {}),
        ("methodName=M&PatientID=1100697&StudyID=A1", {"PatientID": "1100697", "StudyID": "A1"}),
        ("PatientID=a%26b%3Dc&methodName=M", {"PatientID": "a&b=c"}),
        ("methodName=M&URL='http://x/?a=1&b=2'&Display=YES", {"URL": "http://x/?a=1&b=2", "Display": "YES"}),
        ("methodName=M&URL=%27http://x/?a=1&b=2%27", {"URL": "http://x/?a=1&b=2"}),
        ('methodName=M&URL="x"', {"URL": "x"}),
        ("methodName=M&URL=%22x%22", {"URL": "x"}),
        ("methodName=M&request=name == 'x'&table=Study", {"request": "name == 'x'", "table": "Study"}),
        ("methodName=M&request=name%20%3D%3D%20'a%26b'", {"request": "name == 'a&b'"}),
        ("methodName=M&request=name+%3D%3D+%27a%2Bb%27", {"request": "name == 'a+b'"}),
        ("methodName=M&request=%20'2010-05-12%2014:22:11%20+0000'", {"request": " '2010-05-12 14:22:11 +0000'"}),
        ("methodName=M&name=O'Neil&uid=1", {"name": "O'Neil", "uid": "1"}),
        ("methodName=M&uid=%C3%A9", {"uid": "é"}),
        ("methodName=M&a=b=c&flag&=x", {"a": "b=c", "flag": "", "": "x"}),
        ("methodName='M'", {}),
    ],
)  # fmt: skip
def test_queries(query: str, params: dict[str, str]) -> None:
    assert of_query(query) == ("M", params)


@pytest.mark.parametrize(
    ("query", "status"),
    [("PatientID=1", 500), ("methodname=M", 500), ("methodName=A&methodName=B", 500), ("methodName=M&a=%FF", 400)],
)
def test_queries_that_are_none(query: str, status: int) -> None:
    with pytest.raises(RequestError) as refused:
        of_query(query)
    assert refused.value.status == status


@settings(max_examples=300, deadline=None)
@given(st.text("aM=&'\"%27+/?é", max_size=40))
def test_any_query(query: str) -> None:
    with contextlib.suppress(RequestError):
        of_query(query)


# -- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_is_one_struct_of_untyped_values() -> None:
    assert response({"error": "0", "elements": [{"name": "A&B <c>"}, {}]}) == (
        b'<?xml version="1.0"?><methodResponse><params><param><value><struct>'
        b"<member><name>error</name><value>0</value></member>"
        b"<member><name>elements</name><value><array><data>"
        b"<value><struct><member><name>name</name><value>A&amp;B &lt;c&gt;</value></member></struct></value>"
        b"<value><struct></struct></value>"
        b"</data></array></value></member></struct></value></param></params></methodResponse>"
    )


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["name", "studyName"]), st.text(max_size=20)))
def test_python_s_client_reads_what_was_said(element: dict[str, str]) -> None:
    (values,), _ = xmlrpc.client.loads(response({"error": "-1", "elements": [element]}), use_builtin_types=True)

    def there(char: str) -> bool:
        return char in "\t\n\r" or 0x20 <= ord(char) <= 0xD7FF or 0xE000 <= ord(char) <= 0xFFFD or ord(char) > 0xFFFF

    plain = {key: "".join(char if there(char) else "\ufffd" for char in text) for key, text in element.items()}
    assert values == {"error": "-1", "elements": [plain]}


def test_nil() -> None:
    assert xmlrpc.client.loads(nil().decode()) == ((None,), None)
