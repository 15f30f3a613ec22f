"""Answers without a reader are the same as with one."""

from __future__ import annotations

import random
import struct

import pytest
from pydicom import Dataset

from slicer_notebook.errors import PacsAnswerError
from slicer_notebook.pacs.dimse import answers
from slicer_notebook.pacs.dimse.answers import record_of_answer
from slicer_notebook.pacs.dimse.identifiers import decode_identifier, encode_identifier
from slicer_notebook.pacs.records import record_of_dataset

#: The values are odd on purpose, and pydicom says so of each.
pytestmark = pytest.mark.filterwarnings("ignore")

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
TAGS = [
    (0x00080005, b"CS"), (0x00080008, b"CS"), (0x00080016, b"UI"), (0x00080018, b"UI"), (0x00080020, b"DA"),
    (0x00080030, b"TM"), (0x00080050, b"SH"), (0x00080060, b"CS"), (0x00080061, b"CS"), (0x00081030, b"LO"),
    (0x00090010, b"LO"), (0x00091001, b"LO"), (0x00100010, b"PN"), (0x00100020, b"LO"), (0x0020000D, b"UI"),
    (0x0020000E, b"UI"), (0x00201206, b"IS"), (0x00400275, b"SQ"),
]  # fmt: skip
VALUES = [
    b"", b"1.2.3\0", b"1.2.34", b"CT", b"CT\\MR ", b"20240102", b"20240102-", b"A b ", b" A", b"A\\B ", b"12",
    b"ISO_IR 100", b"ISO_IR 192", b"ISO-IR 192", b"ISO 2022 IR 87\\", b"\\", b"  ", b"\0\0", b"ct", b"M\xfcller ",
    b"M\xc3\xbcller ", b"\x1b$BK\\", b"Doe^Jane", b"a=b ", b"\x01\x02", b"1.2.\0\0\0", b"101530.5", b"^^", b'"x" ',
]  # fmt: skip


def _answer(rng: random.Random, *, explicit: bool) -> bytes:
    found = b""
    tags = rng.sample(TAGS, rng.randrange(1, 6))
    if rng.random() < 0.9:
        tags.sort()
    for tag, vr in tags:
        raw = b"" if vr == b"SQ" else rng.choice(VALUES)
        raw += b" " * (len(raw) % 2)
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if not explicit:
            head += struct.pack("<I", len(raw))
        elif vr == b"SQ":
            head += vr + struct.pack("<HI", 0, 0)
        else:
            head += vr + struct.pack("<H", len(raw))
        found += head + raw
    return found


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_all_are_as_a_reader_reads_them(syntax: str) -> None:
    rng = random.Random(7)
    plain = 0
    for _ in range(2500):
        data = _answer(rng, explicit=syntax == EXPLICIT)
        plain += answers._plain(data, syntax) is not None
        try:
            expected = record_of_dataset(decode_identifier(data, syntax, "peer", "ISO_IR 100"))
        except PacsAnswerError:
            continue
        assert record_of_answer(data, syntax, "peer", "ISO_IR 100") == expected, data
    assert plain > 50


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_the_answers_of_a_long_list_need_no_reader(syntax: str) -> None:
    answer = Dataset()
    answer.SpecificCharacterSet, answer.QueryRetrieveLevel, answer.RetrieveAETitle = "ISO_IR 100", "IMAGE", "PACS"
    answer.SOPClassUID, answer.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    answer.StudyInstanceUID, answer.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    data = encode_identifier(answer, syntax)
    found = answers._plain(data, syntax)
    assert found == record_of_dataset(decode_identifier(data, syntax, "peer"))
    assert found is not None
    assert found["SOPInstanceUID"] == "1.2.3.4"
    assert found["RetrieveAETitle"] == ["PACS"]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_what_breaks_off_is_left_to_the_reader(syntax: str) -> None:
    answer = Dataset()
    answer.SOPInstanceUID = "1.2.3.4"
    data = encode_identifier(answer, syntax)
    for count in range(1, len(data)):
        assert answers._plain(data[:count], syntax) is None
