"""Data sets in words, and what is found in them."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from slicer_notebook.dicom.elements import VR_IN_WORDS, Line, find, lines
from tests.dicom import make


def item(**values: Any) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, value)
    return found


def with_private() -> Dataset:
    dataset = make.dataset(make.MR, SliceThickness="2.50", EchoTime=4.2, StudyTime="134501.500000")
    dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    dataset.add_new(0x0019100C, "IS", "1000")
    dataset.add_new(0x00191011, "UN", b"\1\2\3")
    dataset.ProcedureCodeSequence = Sequence(
        [item(CodeValue="1", CodeMeaning="Chest"), item(CodeValue="2", CodingSchemeDesignator="X")]
    )
    return dataset


def of(dataset: Dataset, path: str) -> Line:
    (found,) = (line for line in lines(dataset) if line.path == path)
    return found


def one(vr: str, value: Any, tag: int = 0x00140023) -> Line:
    dataset = Dataset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.add_new(tag, vr, value)
    (found,) = lines(dataset)
    return found


def test_every_element_has_a_line_and_depths_make_the_tree() -> None:
    dataset = with_private()
    found = list(lines(dataset))
    assert [line.path for line in found if line.kind != "item"] == [
        *(line.path for line in found if line.depth == 0 and line.kind != "item" and line.tag < "0008,1032"),
        "ProcedureCodeSequence",
        "ProcedureCodeSequence[0].CodeValue",
        "ProcedureCodeSequence[0].CodeMeaning",
        "ProcedureCodeSequence[1].CodeValue",
        "ProcedureCodeSequence[1].CodingSchemeDesignator",
        *(line.path for line in found if line.depth == 0 and line.tag > "0008,1032"),
    ]
    assert len([line for line in found if line.depth == 0]) == len(dataset)
    at = [line.path for line in found].index("ProcedureCodeSequence")
    assert [line.depth for line in found[at : at + 4]] == [0, 1, 2, 2]
    assert [line.kind for line in found[at : at + 3]] == ["sequence", "item", "element"]


def test_a_path_is_what_python_finds_the_element_with() -> None:
    dataset = with_private()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    for line in lines(dataset):
        if line.kind == "item":
            continue
        dot = "" if line.path.startswith("[") else "."
        value = eval(f"dataset{dot}{line.path}", {"dataset": dataset})
        assert line.element is not None
        assert (value.value if isinstance(value, pydicom.DataElement) else value) == line.element.value
    assert next(lines(dataset)).note == "Explicit VR Little Endian"


def test_names_private_creators_and_sequences_in_words() -> None:
    dataset = with_private()
    thickness = of(dataset, "SliceThickness")
    assert (thickness.tag, thickness.name, thickness.vr, thickness.value) == (
        "0018,0050", "Slice Thickness", "DS", "2.50",
    )  # fmt: skip
    assert of(dataset, "[0x00190010]").name == "Private Creator"
    b_value = of(dataset, "[0x0019100C]")
    assert (b_value.name, b_value.creator, b_value.value) == ("B_value", "SIEMENS MR HEADER", "1000")
    assert of(dataset, "[0x00191011]").value == "3 bytes"
    codes = of(dataset, "ProcedureCodeSequence")
    assert (codes.value, codes.note) == ("2 items", "Chest")
    assert of(dataset, "ProcedureCodeSequence[1]").value == "2 elements"
    assert of(dataset, "ProcedureCodeSequence[0]").note == "Chest"


@pytest.mark.parametrize(
    ("vr", "value", "text", "note"),
    [
        ("DA", "20240203", "20240203", "2024-02-03"),
        ("DA", "2024.02.03", "2024.02.03", "2024-02-03"),
        ("DA", "soon", "soon", ""),
        ("TM", "134501.500000", "134501.500000", "13:45:01.5"),
        ("TM", "1345", "1345", "13:45"),
        ("DT", "20240203134501.25+0130", "20240203134501.25+0130", "2024-02-03 13:45:01.25 +01:30"),
        ("DT", "2024", "2024", "2024"),
        ("AS", "001Y", "001Y", "1 year"),
        ("AS", "010W", "010W", "10 weeks"),
        ("UI", make.CT, make.CT, "CT Image Storage"),
        ("UI", "1.2.3", "1.2.3", ""),
        ("AT", [0x00180050, 0x00280010], "(0018,0050)\\(0028,0010)", "SliceThickness, Rows"),
        ("DS", ["1.0", "2.50"], "1.0\\2.50", ""),
        ("FL", 0.10000000149011612, "0.1", ""),
        ("FD", 0.1, "0.1", ""),
        ("OB", b"", "", ""),
        ("OB", b"\0\0\0", "3 bytes", "all of them zero"),
        ("OB", bytes(range(20)), "20 bytes", "00 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F …"),
        ("OB", b"HEAD ", "5 bytes", '"HEAD"'),
        ("OW", bytes(1234), "1,234 bytes", "all of them zero"),
        ("LO", "", "", ""),
        ("US", [1, 2], "1\\2", ""),
        ("PN", "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎", ""),
    ],
)
def test_values_as_text_with_what_they_mean(vr: str, value: Any, text: str, note: str) -> None:
    line = one(vr, value)
    assert (line.vr, line.value, line.note) == (vr, text, note)
    assert vr in VR_IN_WORDS


def test_a_value_that_cannot_be_read_is_shown_as_bytes_and_the_others_are_there() -> None:
    dataset = make.dataset(EchoTime=3)
    buffer = io.BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    broken = (
        buffer.getvalue().replace(b"IS\x02\x003 ", b"IS\x02\x00x ").replace(b"US\x02\x00\x10\0", b"FD\x02\x00\x10\0")
    )
    found = {line.path: line for line in lines(pydicom.dcmread(io.BytesIO(broken)))}
    assert found["BitsAllocated"].element is None
    assert found["BitsAllocated"].note.startswith("not readable as FD")
    assert found["BitsAllocated"].value == "2 bytes"
    assert found["EchoTime"].value == "3.0"
    assert found["PatientID"].value == "P1"


def test_a_vr_that_there_is_not_spoils_one_line_alone() -> None:
    dataset = Dataset()
    dataset[0x00080016] = pydicom.dataelem.RawDataElement(Tag(0x00080016), "U\x1c", 4, b"1.2\0", 0, False, True)
    dataset[0x00080018] = pydicom.dataelem.RawDataElement(Tag(0x00080018), "U\x1c", 0, None, 0, False, True)
    dataset.PatientID = "P1"
    first, second, third = lines(dataset)
    assert (first.vr, first.value, first.note, first.element) == ("UN", "4 bytes", 'not readable: "1.2"', None)
    assert (second.vr, second.value, second.element) == ("UN", "", None)
    assert third.value == "P1"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("echo", ["EchoTime"]),
        ("ECHO TIME", ["EchoTime"]),
        ("0018,0050", ["SliceThickness"]),
        ("(0018,0050)", ["SliceThickness"]),
        ("00180050", ["SliceThickness"]),
        ("0x00180050", ["SliceThickness"]),
        ("slicethick", ["SliceThickness"]),
        ("2.50", ["SliceThickness"]),
        ("siemens mr 1000", ["[0x0019100C]"]),
        ("chest code", ["ProcedureCodeSequence", "ProcedureCodeSequence[0].CodeMeaning"]),
        ("2020-01", ["StudyDate"]),
        ("mr image storage", ["SOPClassUID"]),
        ("tm 13:45", ["StudyTime"]),
        ("no such thing", []),
        ("  ", []),
        ("", []),
    ],
)
def test_search_looks_at_tag_keyword_name_value_meaning_and_creator(text: str, paths: list[str]) -> None:
    assert [line.path for line in find(with_private(), text)] == paths


def test_search_does_not_mind_accents() -> None:
    dataset = make.dataset(PatientName="Müller^Zoë", SpecificCharacterSet="ISO_IR 192")
    assert [line.path for line in find(dataset, "muller zoe")] == ["PatientName"]
