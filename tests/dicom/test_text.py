"""Character sets: pydicom's charset files read right, and found without case and accents."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_charset_files

from slicer_notebook.dicom import Index
from slicer_notebook.dicom.header import read_header
from slicer_notebook.dicom.text import decode_person_names, decode_text, encodings_of, fold
from tests.dicom.make import write_series

CHARSET_FILES = sorted(Path(path) for path in get_charset_files("*.dcm"))

#: What the names in the files are, from PS3.5 annexes H to K and pydicom's own tests.
NAMES = {
    "chrArab.dcm": "قباني^لنزار",
    "chrFren.dcm": "Buc^Jérôme",
    "chrFrenMulti.dcm": "Buc^Jérôme",
    "chrGerm.dcm": "Äneas^Rüdiger",
    "chrGreek.dcm": "Διονυσιος",
    "chrH31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw.dcm": "שרון^דבורה",
    "chrI2.dcm": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti.dcm": "やまだ^たろう",
    "chrJapMultiExplicitIR6.dcm": "やまだ^たろう",
    "chrKoreanMulti.dcm": "김희중",
    "chrRuss.dcm": "Люкceмбypг",  # noqa: RUF001 - as the file has it
    "chrX1.dcm": "Wang^XiaoDong=王^小東",
    "chrX2.dcm": "Wang^XiaoDong=王^小东",
}


@pytest.mark.parametrize("path", CHARSET_FILES, ids=lambda path: path.name)
def test_charset_files(path, tmp_path):
    """The name is what it is, and what pydicom says; a search finds it."""
    copy = tmp_path / path.name
    item = pydicom.dcmread(path)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        if keyword not in item:
            setattr(item, keyword, "1.2.3")
    item.save_as(copy)
    name = read_header(copy).PatientName
    if "PatientName" in item:
        assert name == NAMES[path.name]
        assert name == str(item.PatientName).rstrip("^")
        index = Index(tmp_path / "index.sqlite3")
        index.add(copy)
        for group in name.split("="):
            assert [study.PatientName for study in index.studies(PatientName=group)] == [name]
            assert [study.PatientName for study in index.studies(PatientName=group[:2] + "*")] == [name]
            assert [study.PatientName for study in index.studies(text=group)] == [name]


def test_all_charset_files_with_names_are_known():
    assert {path.name for path in CHARSET_FILES if "PatientName" in pydicom.dcmread(path)} == set(NAMES)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("GB18030", "王^小东"),
        ("GBK", "王^小东"),
        ("ISO_IR 192", "Žižek^Łukasz"),
        ("ISO_IR 101", "Žižek^Łukasz"),
        ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("ISO_IR 166", "สมชาย"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ],
)
def test_round_trips(tmp_path, charset, name):
    path = write_series(
        tmp_path, shape=(1, 4, 4), SpecificCharacterSet=charset, PatientName=name, OperatorsName=["A^B", "C^D"]
    )[0]
    found = read_header(path)
    assert found.PatientName == name
    assert found.OperatorsName == ["A^B", "C^D"]


def test_chinese_by_code_extensions():
    """PS3.5 K.3: pydicom keeps the escape sequences in the text."""
    raw = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="
    assert decode_person_names(raw, encodings_of(b"\\ISO 2022 IR 58")) == ["Zhang^XiaoDong=张^小东"]
    raw = b"1. \x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\r\n2. \x1b$)A\xb5\xda\xb6\xfe\xd0\xd0"
    assert decode_text(raw, encodings_of(b"\\ISO 2022 IR 58"), multiple=False) == "1. 第一行\r\n2. 第二行"


@pytest.mark.parametrize("charset", ["ISO IR 192", "ISO_IR_192", "nonsense", "ISO 2022 IR 6\\nonsense"])
def test_wrong_charset_terms_never_raise(tmp_path, charset):
    path = write_series(tmp_path, shape=(1, 4, 4), SpecificCharacterSet="ISO_IR 100", PatientName="Jérôme")[0]
    raw = path.read_bytes()
    term = charset.encode().ljust(24)
    at = raw.index(b"ISO_IR 100")
    path.write_bytes(raw[: at - 2] + len(term).to_bytes(2, "little") + term + raw[at + 10 :])
    assert read_header(path).PatientName.startswith("J")


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Buc^Jérôme", "buc^jerome"),
        ("ÄNEAS", "aneas"),
        ("Straße", "strasse"),
        ("ﾔﾏﾀﾞ", "ヤマタ"),
        ("홍", "홍"),
        ("ΔΙΟΝΥΣΙΟΣ", "διονυσιοσ"),
        ("ﬁn", "fin"),
        ("Łukasz", "lukasz"),
        ("Søren Þór", "soren thor"),
        ("Œuvre", "oeuvre"),
        ("Đorđe", "dorde"),
        ("İZMİR ılık", "izmir ilik"),  # noqa: RUF001
    ],
)
def test_folding(text, folded):
    assert fold(text) == folded
    assert fold(fold(text)) == folded
