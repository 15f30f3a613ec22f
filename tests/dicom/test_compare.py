"""What two data sets do not have in common."""

from __future__ import annotations

import copy
import io
import random
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from slicer_notebook.dicom.compare import Difference, differences, marked
from slicer_notebook.dicom.elements import lines
from slicer_notebook.errors import ArgumentError
from tests.dicom import make
from tests.dicom.test_elements import item


def pair(**values: Any) -> tuple[Dataset, Dataset]:
    """Two data sets that have all in common but these: keyword=(a, b); None: not there."""
    a, b = item(PatientID="P1", Modality="CT"), item(PatientID="P1", Modality="CT")
    for keyword, both in values.items():
        for dataset, value in zip((a, b), both, strict=True):
            if value is not None:
                setattr(dataset, keyword, value)
    return a, b


def only(found: list[Difference]) -> Difference:
    assert len(found) == 1, found
    return found[0]


def test_a_data_set_and_its_copy_have_all_in_common() -> None:
    a = make.dataset(SliceThickness="2.5", ProcedureCodeSequence=Sequence([item(CodeValue="1")]))
    assert differences(a, copy.deepcopy(a)) == []


def test_a_difference_tells_where_what_and_both_values() -> None:
    found = only(differences(*pair(SliceThickness=("2.5", "3"))))
    assert found[:10] == (
        "SliceThickness", "0018,0050", "SliceThickness", "Slice Thickness", "DS", "", "differs", "2.5", "3", "",
    )  # fmt: skip


def test_what_one_has_alone() -> None:
    a, b = pair(SliceThickness=("2.5", None), EchoTime=(None, 4), StudyID=("", None))
    assert [(d.path, d.kind, d.a, d.b) for d in differences(a, b)] == [
        ("SliceThickness", "only in a", "2.5", ""),
        ("EchoTime", "only in b", "", "4.0"),
        ("StudyID", "only in a", "", ""),
    ]


@pytest.mark.parametrize(
    ("keyword", "a", "b"),
    [
        ("SliceThickness", "1.0", "1"),
        ("SliceThickness", "1.0", "1e0"),
        ("PixelSpacing", ["0.50", "0.5"], ["0.5", "0.500"]),
        ("InstanceNumber", "007", "7"),
        ("StudyDescription", "Chest", "Chest "),
        ("PatientName", "Doe^Jane", "Doe^Jane^^"),
        ("StudyDate", "20240203", "2024.02.03"),
        ("StudyTime", "101010.50", "101010.500000"),
        ("StudyID", "", ""),
        ("DiffusionBValue", float("nan"), float("nan")),
    ],
)
def test_values_that_are_the_same_in_other_words(keyword: str, a: Any, b: Any) -> None:
    assert differences(*pair(**{keyword: (a, b)})) == []


@pytest.mark.parametrize(
    ("keyword", "a", "b"),
    [
        ("SliceThickness", "1.0", "1.0000001"),
        ("PixelSpacing", ["0.5", "0.5"], ["0.5", "0.6"]),
        ("ImageType", ["ORIGINAL", "PRIMARY"], ["ORIGINAL"]),
        ("StudyDescription", "Chest", "chest"),
        ("PatientName", "Doe^Jane", "Doe^Janet"),
        ("DiffusionBValue", float("nan"), 1.0),
        ("StudyTime", "1200", "1201"),
    ],
)
def test_values_that_differ(keyword: str, a: Any, b: Any) -> None:
    assert only(differences(*pair(**{keyword: (a, b)}))).kind == "differs"


def test_another_vr_is_no_difference_and_single_precision_is_enough_for_one() -> None:
    a, b = Dataset(), Dataset()
    a.add_new(0x00189087, "FD", 0.1)
    b.add_new(0x00189087, "FL", 0.10000000149011612)
    assert differences(a, b) == []
    a.add_new(0x00191011, "UN", b"HEAD ")
    b.add_new(0x00191011, "LO", "HEAD")
    assert differences(a, b) == []


def written_implicitly(dataset: Dataset) -> Dataset:
    """As a reader gets it from a file without VRs, where it knows no private ones."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=True, little_endian=True)
    return pydicom.dcmread(io.BytesIO(buffer.getvalue()), force=True)


@pytest.mark.parametrize(
    ("vr", "value", "other"),
    [
        ("DS", ["1.0", "2.5"], ["1.0", "2.6"]),
        ("LO", ["one", "zwölf"], ["one", "zwei"]),
        ("US", [1, 2], [1, 3]),
        ("FD", [0.5, -1.0], [0.5, 1.0]),
        ("SQ", Sequence([item(CodeValue="1")]), Sequence([item(CodeValue="2")])),
    ],
)
def test_a_private_element_written_without_its_vr_is_compared_by_what_it_means(vr: str, value: Any, other: Any) -> None:
    a, b = Dataset(), Dataset()
    for dataset, each in ((a, value), (b, other)):
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.add_new(0x00190010, "LO", "A MAKER THAT NOBODY KNOWS")
        dataset.add_new(0x00191001, vr, each)
    plain = written_implicitly(a)
    assert plain[0x00191001].VR == "UN"
    assert differences(a, plain) == differences(plain, a) == []
    found = only(differences(plain, b))
    assert (found.kind, found.path[:12]) == ("differs", "[0x00191001]")
    assert "bytes" not in found.a + found.b


def test_bytes_that_are_no_value_of_the_other_vr_differ() -> None:
    a, b = Dataset(), Dataset()
    a.add_new(0x00191001, "UN", b"abc")
    b.add_new(0x00191001, "US", 5)
    found = only(differences(a, b))
    assert (found.a, found.b) == ("3 bytes", "5")


@pytest.mark.parametrize(
    ("a", "b", "of_a", "of_b"),
    [
        (b"ab", b"ac", "2 bytes, from byte 1 on: 62", "2 bytes, from byte 1 on: 63"),
        (b"b\0", b"c\0", "2 bytes: 62 00", "2 bytes: 63 00"),
        (
            bytes(3000),
            bytes(2000) + b"\1" + bytes(999),
            f"3,000 bytes, from byte 2,000 on: 00{' 00' * 15} …",
            f"3,000 bytes, from byte 2,000 on: 01{' 00' * 15} …",
        ),
        (b"ab", b"abcd", "2 bytes", "4 bytes"),
    ],
)
def test_of_bytes_it_is_told_where_they_differ(a: bytes, b: bytes, of_a: str, of_b: str) -> None:
    one, other = Dataset(), Dataset()
    one.add_new(0x00191011, "OB", a)
    other.add_new(0x00191011, "OB", b)
    found = only(differences(one, other))
    assert (found.a, found.b) == (of_a, of_b)


def test_sequences_are_compared_item_by_item() -> None:
    a = item(
        ProcedureCodeSequence=Sequence([item(CodeValue="1"), item(CodeValue="2", CodeMeaning="x"), item(CodeValue="3")])
    )
    b = item(ProcedureCodeSequence=Sequence([item(CodeValue="1"), item(CodeValue="4")]))
    assert [(d.path, d.kind, d.a, d.b) for d in differences(a, b)] == [
        ("ProcedureCodeSequence[1].CodeValue", "differs", "2", "4"),
        ("ProcedureCodeSequence[1].CodeMeaning", "only in a", "x", ""),
        ("ProcedureCodeSequence[2]", "only in a", "1 element", ""),
    ]
    assert differences(a, b, ignore="ProcedureCodeSequence") == []


def test_private_elements_are_matched_by_their_creator_wherever_its_block_lies() -> None:
    a, b = Dataset(), Dataset()
    a.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    a.add_new(0x0019100C, "IS", "1000")
    b.add_new(0x00190010, "LO", "ANOTHER")
    b.add_new(0x0019100C, "LO", "else")
    b.add_new(0x00190011, "LO", "SIEMENS MR HEADER ")
    b.add_new(0x0019110C, "IS", "1000")
    assert [(d.path, d.kind, d.creator) for d in differences(a, b)] == [
        ("[0x00190010]", "only in b", ""),
        ("[0x0019100C]", "only in b", "ANOTHER"),
    ]
    b[0x0019110C].value = "0"
    found = only([d for d in differences(a, b) if d.kind == "differs"])
    assert (found.name, found.creator, found.a, found.b) == ("B_value", "SIEMENS MR HEADER", "1000", "0")
    assert differences(a, b, ignore=["private"]) == []


def test_what_differs_between_any_two_instances_is_said_to_be_expected() -> None:
    a, b = pair(
        SOPInstanceUID=("1.2.3", "1.2.4"),
        SOPClassUID=(make.CT, make.MR),
        ContentTime=("1200", "1201"),
        InstanceNumber=(1, 2),
        ImagePositionPatient=([0, 0, 0], [0, 0, 1]),
        SliceThickness=("1", "2"),
        FrameOfReferenceUID=("1.2.9", None),
    )
    assert {d.keyword: d.expected for d in differences(a, b)} == {
        "SOPInstanceUID": "uids",
        "SOPClassUID": "",
        "ContentTime": "times",
        "InstanceNumber": "numbers",
        "ImagePositionPatient": "position",
        "SliceThickness": "",
        "FrameOfReferenceUID": "",
    }
    kept = [d.keyword for d in differences(a, b, ignore=("uids", "times", "0018,0050"))]
    assert kept == ["SOPClassUID", "InstanceNumber", "ImagePositionPatient"]


@pytest.mark.parametrize("ignore", ["uid", ["SliceThicknes"], [5]])
def test_what_cannot_be_left_out_is_refused(ignore: Any) -> None:
    with pytest.raises(ArgumentError):
        differences(Dataset(), Dataset(), ignore)


def test_elements_that_cannot_be_read_are_compared_by_their_bytes() -> None:
    """Also of a tag of which Python thinks as nothing."""

    def damaged(content: bytes) -> Dataset:
        dataset = Dataset()
        for tag in (0x00000000, 0x00000001, 0x00080016):
            dataset[tag] = RawDataElement(Tag(tag), "Z\x1c", len(content), content, 0, False, True)
        return dataset

    assert differences(damaged(b"12"), damaged(b"12")) == []
    found = differences(damaged(b"12"), damaged(b"13"))
    assert [(each.tag, each.a, each.b) for each in found] == [
        ("0000,0001", "31 32", "31 33"),
        ("0008,0016", "31 32", "31 33"),
    ]
    assert [each.kind for each in differences(damaged(b"12"), Dataset())] == ["only in a", "only in a"]


def test_the_meta_information_of_files_is_compared() -> None:
    a, b = make.dataset(SOPInstanceUID="1.2"), make.dataset(SOPInstanceUID="1.2")
    for dataset, syntax in ((a, pydicom.uid.ExplicitVRLittleEndian), (b, pydicom.uid.JPEG2000)):
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
    found = only(differences(a, b))
    assert (found.path, found.expected) == ("file_meta.TransferSyntaxUID", "")


def test_the_data_sets_stay_as_they_were() -> None:
    a, b = pair(SliceThickness=("2.5", "3"), EchoTime=(1, None))
    before = str(a), str(b)
    differences(a, b)
    assert (str(a), str(b)) == before


@pytest.mark.parametrize(
    ("a", "b", "vr", "of_a", "of_b"),
    [
        ("0.5\\0.5", "0.5\\0.6", "DS", ["0.5"], ["0.6"]),
        ("ORIGINAL\\PRIMARY", "ORIGINAL\\SECONDARY", "CS", ["PRIMARY"], ["SECONDARY"]),
        ("1.2.3.40", "1.2.3.41", "UI", ["40"], ["41"]),
        ("Chest axial 5", "Chest coronal 5", "LO", ["axial"], ["coronal"]),
        ("Chest", "Chest 5", "LO", [], [" 5"]),
        ("", "x", "LO", [], ["x"]),
        ("a " * 900 + "b" + " c" * 900, "a " * 900 + "d" + " c" * 900, "UT", ["b"], ["d"]),
        ("1\\" * 900 + "2", "1\\" * 900 + "3", "US", ["2"], ["3"]),
    ],
)
def test_the_parts_that_differ(a: str, b: str, vr: str, of_a: list[str], of_b: list[str]) -> None:
    parts_a, parts_b = marked(a, b, vr)
    assert "".join(text for text, _ in parts_a) == a
    assert "".join(text for text, _ in parts_b) == b
    assert [text for text, differs in parts_a if differs] == of_a
    assert [text for text, differs in parts_b if differs] == of_b


@pytest.mark.parametrize("damage", [0, 12])
def test_every_file_of_pydicom_is_put_in_words_and_equals_itself(damage: int) -> None:
    """And so it is with bytes of its header changed at random: what cannot be read spoils nothing else."""
    chance, seen = random.Random(damage), 0
    for path in sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm")):
        content = bytearray(path.read_bytes()[:20_000])
        for _ in range(damage):
            content[chance.randrange(min(132, len(content) - 1), len(content))] = chance.randrange(256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset = pydicom.dcmread(io.BytesIO(bytes(content)), force=True, stop_before_pixels=True)
            except Exception:  # noqa: BLE001, S112 - that is pydicom's to refuse
                continue
            found = list(lines(dataset))
            assert differences(dataset, dataset) == [], path.name
        assert len(found) >= len(dataset), path.name
        assert all(isinstance(part, str) for line in found for part in line[:8]), path.name
        seen += 1
    assert seen > 50
