"""Headers: the scanner says what pydicom says, for all of pydicom's files and for broken ones."""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.multival import MultiValue
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom import Instance, plan, read
from slicer_notebook.dicom import header as header_module
from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.scan import CHUNK, Unscannable
from slicer_notebook.dicom.tags import ATTRIBUTES
from slicer_notebook.errors import SlicerNotebookError
from tests.dicom.make import MR, dataset, save, write_series

#: pydicom gives up the whole data set where the pixels' last fragment is cut off; the scanner does not.
CUT_OFF = "emri_small_jpeg_2k_lossless_too_short.dcm"
FILES = sorted(
    path for path in get_testdata_files() if Path(path).is_file() and not path.endswith((".py", ".zip", CUT_OFF))
)


def simple(element):
    """An element of a sequence's item as plain data."""
    if element.VR == "SQ":
        return [{inner.keyword or f"{int(inner.tag):08X}": simple(inner) for inner in part} for part in element.value]
    many = isinstance(element.value, MultiValue)
    number = {"DS": float, "IS": int, "US": int, "UL": int, "FD": float, "FL": float}.get(element.VR)
    found = [
        number(v) if number else str(v).strip("\0 ")
        for v in (element.value if many else [element.value or ""])
        if v != "" or not number
    ]
    return (found if many else found[0] if found and found[0] != "" else None) or None


def expected_value(item, attribute):
    """What pydicom gives for an attribute, as a field of `Instance` should hold it."""
    value = item.get(attribute.keyword)
    if attribute.kind == "items":
        return [{inner.keyword or f"{int(inner.tag):08X}": simple(inner) for inner in part} for part in value or []]
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    if not any(v is not None and v != "" for v in values):
        return None
    if attribute.kind == "name":
        values = ["=".join(part.rstrip("^ ") for part in str(v).split("=")).rstrip("=") for v in values]
    elif attribute.kind == "int":
        values = [int(v) for v in values if not isinstance(v, str)]  # text where a number is due: none
    elif attribute.kind == "float":
        values = [float(v) for v in values]
    elif attribute.kind == "date":
        values = [str(v).replace(".", "") for v in values]
    else:
        values = [str(v).strip("\0 ") for v in values]
    if not values:
        return None
    return values if attribute.multiple else values[0]


def header_or_reason(path):
    try:
        return read_header(path)
    except NotTakenError as exc:
        return exc


@pytest.mark.parametrize("path", FILES, ids=lambda path: Path(path).name)
def test_as_pydicom(path):
    found = header_or_reason(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        item = pydicom.dcmread(path, force=True)
        if isinstance(found, NotTakenError):
            identified = all(item.get(f"{level}InstanceUID") for level in ("Study", "Series", "SOP"))
            assert not identified or "DICOMDIR" in str(found), str(found)
            return
        for attribute in ATTRIBUTES.values():
            if attribute.keyword == "PixelPaddingValue" or attribute.keyword.startswith("Diffusion"):
                continue  # private b-values count as well; padding's sign is not pydicom's concern
            actual = getattr(found, attribute.keyword) or None
            assert actual == (expected_value(item, attribute) or None), attribute.keyword
        assert found.pixel_keyword == next((k for k in header_module.PIXEL_TAGS.values() if k in item), None)
        if found.pixel_offset and found.pixel_length >= 0:
            raw = Path(path).read_bytes()[found.pixel_offset : found.pixel_offset + found.pixel_length]
            assert raw == item[found.pixel_keyword].value


INSTANCES = [path for path in FILES if isinstance(header_or_reason(path), Instance)]


@pytest.mark.parametrize("path", INSTANCES, ids=lambda path: Path(path).name)
def test_the_scanner_and_the_way_through_pydicom_agree(path, monkeypatch):
    """The second way is for files that the first does not know: it must tell the same of those that it does."""
    found = read_header(path)

    def unscannable(*_):
        raise Unscannable("by this test")

    monkeypatch.setattr(header_module, "scan", unscannable)
    again = header_or_reason(path)
    assert not isinstance(again, NotTakenError)
    for name in found.__struct_fields__:
        if name not in {"pixel_offset", "pixel_length"}:
            assert getattr(again, name) == getattr(found, name), name


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_syntaxes(tmp_path, syntax):
    path = write_series(tmp_path, shape=(1, 5, 4), syntax=syntax, WindowCenter=[40, 50])[0]
    found = read_header(path)
    assert found.TransferSyntaxUID == syntax
    assert (found.Rows, found.Columns, found.SeriesNumber, found.WindowCenter) == (5, 4, 3, [40.0, 50.0])


def test_without_preamble_and_meta_information(tmp_path):
    path = write_series(tmp_path, shape=(1, 5, 4), syntax=ImplicitVRLittleEndian)[0]
    values = pydicom.dcmread(path)
    bare = tmp_path / "bare"
    with open(bare, "wb") as file:
        pydicom.filewriter.write_dataset(_writer(file), pydicom.Dataset(values))
    found = read_header(bare)
    assert found.SOPInstanceUID == values.SOPInstanceUID
    data = read(plan([bare]).volumes[0])
    np.testing.assert_array_equal(data.array[0], values.pixel_array)


def _writer(file):
    from pydicom.filebase import DicomFileLike

    writer = DicomFileLike(file)
    writer.is_little_endian, writer.is_implicit_VR = True, True
    return writer


def test_long_headers_and_nested_sequences(tmp_path):
    """Elements and sequences of defined and undefined length beyond the first piece that is read."""
    path = tmp_path / "long.dcm"
    for undefined in (False, True):
        inner = dataset(MR, PatientComments="x" * 10000)
        outer = dataset(MR, ReferencedStudySequence=[dataset(MR, RelatedSeriesSequence=[inner, inner]), inner])
        outer["ReferencedStudySequence"].is_undefined_length = undefined
        outer.ReferencedStudySequence[0]["RelatedSeriesSequence"].is_undefined_length = undefined
        outer.add_new((0x0029, 0x0010), "LO", "LONG")
        outer.add_new((0x0029, 0x1010), "OB", b"\1" * (3 * CHUNK))
        outer.PixelSpacing = [1.5, 2.5]
        for syntax in (None, ImplicitVRLittleEndian):
            save(outer, path, np.ones((4, 4), np.int16), **({"syntax": syntax} if syntax else {}))
            found = read_header(path)
            assert found.PixelSpacing == [1.5, 2.5]
            assert (found.pixel_length, found.pixel_offset) == (32, path.stat().st_size - 32)
            assert found.SOPInstanceUID == outer.SOPInstanceUID


def test_values_that_are_nonsense(tmp_path):
    path = write_series(tmp_path, shape=(1, 4, 4), SliceLocation=1.25, PatientWeight="70")[0]
    raw = path.read_bytes()
    for before, after in ((b"1.25", b"1_25"), (b"1.25", b"nan "), (b"1.25", b"abcd"), (b"1.25", b"1\\\\2")):
        path.write_bytes(raw.replace(before, after, 1))
        assert read_header(path).SliceLocation is None
    assert read_header(path).PatientWeight == 70.0


def test_another_vr_than_the_standards(tmp_path):
    item = dataset(MR, EchoTime=None)
    item.add_new("EchoTime", "FD", 4.5)
    item.add_new("WindowWidth", "UN", b"300 ")
    found = read_header(save(item, tmp_path / "a.dcm", np.zeros((2, 2), np.int16)))
    assert (found.EchoTime, found.WindowWidth) == (4.5, [300.0])


def test_old_dates(tmp_path):
    path = write_series(tmp_path, shape=(1, 4, 4))[0]
    path.write_bytes(path.read_bytes().replace(b"DA\x08\x0020200102", b"DA\x0a\x002020.01.02", 1))
    assert read_header(path).StudyDate == "20200102"


@pytest.mark.parametrize(
    ("creator", "tag", "vr", "value", "b_value"),
    [
        ("SIEMENS MR HEADER", (0x0019, 0x100C), "IS", "750", 750.0),
        ("Philips Imaging DD 001", (0x2001, 0x1003), "FL", 800.0, 800.0),
        ("GEMS_PARM_01", (0x0043, 0x1039), "IS", ["1000000600", "8", "0", "0"], 600.0),
        ("Image Private Header", (0x0065, 0x1009), "FD", 500.0, 500.0),
        ("SOMEONE ELSE", (0x0019, 0x100C), "IS", "750", None),
    ],
)
def test_b_values_of_makers(tmp_path, creator, tag, vr, value, b_value):  # noqa: PLR0917
    item = dataset(MR)
    item.add_new((tag[0], 0x0010), "LO", creator)
    item.add_new(tag, vr, value)
    for syntax in ("1.2.840.10008.1.2.1", ImplicitVRLittleEndian):
        path = save(item, tmp_path / "a.dcm", np.zeros((2, 2), np.int16), syntax=syntax)
        assert read_header(path).DiffusionBValue == b_value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "not DICOM"),
        (b"\x89PNG\r\n" + b"\0" * 500, "not DICOM"),
        (b"PK\3\4" + b"\0" * 500, "ZIP archive"),
        (b"\0" * 128 + b"DICM", "not DICOM"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 100, "."),
    ],
)
def test_files_that_are_not_taken(tmp_path, content, reason):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(NotTakenError, match=reason):
        read_header(path)


def test_a_dicomdir_is_named_as_such():
    with pytest.raises(NotTakenError, match="DICOMDIR"):
        read_header(get_testdata_file("DICOMDIR"))


def test_a_pipe_does_not_hang(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(NotTakenError, match="not a regular file"):
        read_header(pipe)


@pytest.mark.parametrize("uid", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_without_uids(tmp_path, uid):
    item = dataset(MR)
    path = save(item, tmp_path / "a.dcm", np.zeros((2, 2), np.int16))
    again = pydicom.dcmread(path)
    del again[uid]
    pydicom.dcmwrite(path, again)
    with pytest.raises(NotTakenError, match=uid):
        read_header(path)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_implicit.dcm", "nested_priv_SQ.dcm"])
def test_mutated_files_fail_in_words(tmp_path, name):
    """Bytes changed, cut or doubled anywhere: a volume, a refusal or a reason; never another exception, nor a hang."""
    rng = random.Random(name)
    original = Path(get_testdata_file(name)).read_bytes()
    path = tmp_path / "mutated.dcm"
    for _ in range(120):
        data = bytearray(original)
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.randrange(min(len(data), 4096))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randrange(1, 40)]
                case 2:
                    data[at:at] = data[at : at + rng.randrange(1, 40)]
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            found = plan([path])
            for volume in found.volumes:
                read(volume)
        except SlicerNotebookError:
            continue
        assert found.volumes or found.refused
