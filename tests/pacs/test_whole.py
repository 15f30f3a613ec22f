"""Cuts of valid files are noticed, and whole files are not taken for cut."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_files
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from slicer_notebook.pacs.dimse.messages import file_prefix
from slicer_notebook.pacs.whole import looked_at, missing_end
from tests.dicom.make import CT, dataset

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.70"


def image(syntax: str) -> Dataset:
    """A small image with nested sequences, and elements behind its pixels."""
    item = dataset(CT, SOPInstanceUID="1.2.3.4.5.7", Rows=4, Columns=4, BitsAllocated=8, BitsStored=8, HighBit=7)
    inner = Dataset()
    inner.CodeValue, inner.LongCodeValue = "T-1", "long"
    inner.add(DataElement(0x00091001, "UN", b"private"))
    middle = Dataset()
    middle.ConceptNameCodeSequence = Sequence([inner, inner])
    middle["ConceptNameCodeSequence"].is_undefined_length = True
    middle.TextValue = "text"
    item.ContentSequence = Sequence([middle, Dataset(), middle])
    item["ContentSequence"].is_undefined_length = True
    for nested in item.ContentSequence:
        nested.is_undefined_length_sequence_item = True
    item.add(DataElement(0x00280010, "US", 4))
    pixels = bytes(range(16))
    item.add(DataElement(0x7FE00010, "OB" if syntax != IMPLICIT else "OW", pixels))
    if syntax == JPEG:
        item.PixelData = encapsulate([pixels, pixels[:6]])
        item["PixelData"].VR = "OB"
        item["PixelData"].is_undefined_length = True
    item.add(DataElement(0xFFFCFFFC, "OB", bytes(10)))
    return item


def encoded(item: Dataset, syntax: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    write_dataset(buffer, item)
    data: bytes = buffer.getvalue()
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = packer.compress(data) + packer.flush()
        data += bytes(len(data) % 2)
    return data


def a_file(item: Dataset, syntax: str) -> tuple[bytes, int]:
    """The file, and where its data set begins."""
    prefix = file_prefix(str(item.SOPClassUID), str(item.SOPInstanceUID), syntax, ("1.2.3", "T"))
    return prefix + encoded(item, syntax), len(prefix)


def boundaries(item: Dataset, start: int, syntax: str, since: int) -> set[int]:
    """Where top-level elements end, from the element ``since`` on."""
    tags = sorted(int(tag) for tag in item.keys())  # noqa: SIM118 - a Dataset is no dict
    ends = set()
    for number, tag in enumerate(tags, 1):
        if tag >= since:
            part = Dataset()
            for each in tags[:number]:
                part[each] = item[each]
            ends.add(start + len(encoded(part, syntax)))
    return ends


def reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda at, count: data[at : at + count]


def test_the_samples_are_what_pydicom_reads() -> None:
    for syntax in (IMPLICIT, EXPLICIT, BIG, DEFLATED, JPEG):
        item = dcmread(io.BytesIO(a_file(image(syntax), syntax)[0]))
        assert len(item.ContentSequence[2].ConceptNameCodeSequence) == 2
        assert item.DataSetTrailingPadding == bytes(10)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, JPEG])
def test_every_cut_is_noticed(syntax: str, tmp_path: Path) -> None:
    item = image(syntax)
    data, start = a_file(item, syntax)
    harmless = boundaries(item, start, syntax, 0x7FE00010)
    assert len(harmless) == 2
    assert missing_end(reader(data), len(data), start, syntax) is None
    assert looked_at("", data, len(data), 0)[1] is None
    unnoticed, by_header = set(), set()
    for cut in range(start, len(data)):
        short = data[:cut]
        if missing_end(reader(short), cut, start, syntax) is None:
            unnoticed.add(cut)
        if cut % 5 and cut not in harmless:
            continue
        # pydicom is asked where the header's reader gives up, and reads the file: that takes its time.
        (tmp_path / "cut").write_bytes(short)
        instance, problem = looked_at(str(tmp_path / "cut"), short, cut, 0)
        if instance is not None and problem is None:
            by_header.add(cut)
    # Between two elements before those that make it an image, nothing says that more was to come; nor do zero bytes.
    image_from = min(boundaries(item, start, syntax, 0x00280100))
    ends = boundaries(item, start, syntax, 0) | {start}
    between = {
        end + more for end in ends if end < image_from for more in range(8) if not data[end : end + more].strip(b"\0")
    }
    for found in (unnoticed, by_header):
        assert found <= between | harmless
    assert unnoticed >= harmless - {len(data)}


def test_every_cut_of_a_document_is_noticed_but_between_its_elements() -> None:
    item = image(EXPLICIT)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "DataSetTrailingPadding"):
        delattr(item, keyword)
    data, start = a_file(item, EXPLICIT)
    unnoticed = {cut for cut in range(start, len(data)) if not missing_end(reader(data[:cut]), cut, start, EXPLICIT)}
    assert unnoticed == (boundaries(item, start, EXPLICIT, 0) | {start}) - {len(data)}


def test_every_cut_of_a_deflated_data_set_is_noticed() -> None:
    data, start = a_file(image(DEFLATED), DEFLATED)
    padded = len(data) % 2 == 0 and not data.endswith(b"\0\0")
    assert missing_end(reader(data), len(data), start, DEFLATED) is None
    unnoticed = [cut for cut in range(start, len(data)) if not missing_end(reader(data[:cut]), cut, start, DEFLATED)]
    assert unnoticed in ([], [len(data) - 1])  # a last zero byte is padding
    assert padded


@given(st.integers(0, 600), st.integers(-4, 4), st.integers(0, 9))
def test_what_a_little_stands_for_a_lot_is_inflated_to_its_end(offset: int, near: int, level: int) -> None:
    # The last bytes in are not the last bytes out where a piece of output is full just then.
    size = (1 << 20) + near + offset - 300
    packer = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    data = packer.compress(bytes(size)) + packer.flush()
    assert missing_end(reader(data), len(data), 0, DEFLATED) is None
    assert missing_end(reader(data[:-1]), len(data) - 1, 0, DEFLATED) is not None


def test_damaged_deflation_is_noticed() -> None:
    assert "damaged" in str(missing_end(reader(b"\xff" * 100), 100, 0, DEFLATED))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_few_zero_bytes_at_the_end_are_padding(count: int) -> None:
    data, start = a_file(image(EXPLICIT), EXPLICIT)
    data += bytes(count)
    assert missing_end(reader(data), len(data), start, EXPLICIT) is None


def test_sequences_nested_too_deep_are_no_data_set() -> None:
    data = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    assert "too deep" in str(missing_end(reader(data), len(data), 0, EXPLICIT))


@given(st.binary(max_size=300), st.sampled_from([IMPLICIT, EXPLICIT, BIG, JPEG, DEFLATED]))
def test_any_bytes_have_an_answer(data: bytes, syntax: str) -> None:
    found = missing_end(reader(data), len(data), 0, syntax)
    assert found is None or found


def test_an_image_without_its_pixels_is_not_whole() -> None:
    item = image(EXPLICIT)
    del item.PixelData
    data, start = a_file(item, EXPLICIT)
    assert "pixel data" in str(missing_end(reader(data), len(data), start, EXPLICIT))
    item.add(DataElement(0x00287FE0, "UR", "http://pixels.example/1"))
    data, start = a_file(item, EXPLICIT)
    assert missing_end(reader(data), len(data), start, EXPLICIT) is None


def test_what_declares_another_encoding_than_it_has_is_read_as_it_is() -> None:
    for written, declared in ((IMPLICIT, EXPLICIT), (EXPLICIT, IMPLICIT)):
        data, start = a_file(image(written), written)
        assert missing_end(reader(data), len(data), start, declared) is None
        assert missing_end(reader(data[:-3]), len(data) - 3, start, declared) is not None


def judgement(path: str) -> bool | None:
    """Whether pydicom reads all of a file, without a word; None where it is not one of ours to judge."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            item = dcmread(path)
            for element in item.iterall():
                assert element is not None
            meta = item.file_meta
            if (
                "TransferSyntaxUID" not in meta
                or "SOPInstanceUID" not in item
                or meta.get("MediaStorageSOPClassUID") == "1.2.840.10008.1.3.10"
            ):
                return None
        except Exception:  # noqa: BLE001 - any of them says that it cannot
            return None if "Missing" in str(said) else False
    return True


def test_pydicoms_own_files() -> None:
    whole, cut = [], []
    for path in sorted({*get_testdata_files("*.dcm"), *get_testdata_files("charset_files/*.dcm")}):
        judged = judgement(path)
        if judged is None:
            continue
        data = Path(path).read_bytes()
        instance, problem = looked_at(path, data, len(data), 0)
        (whole if judged else cut).append((Path(path).name, instance is not None and problem is None, problem))
    assert len(whole) > 50
    assert cut  # there is something to notice
    # What pydicom reads to its end is not said to lack something. (Some are refused for what they are.)
    alarms = [name for name, _, problem in whole if problem is not None and problem.startswith("it is not")]
    # This one is cut in its pixels, at which pydicom does not look.
    assert alarms == ["MR_truncated.dcm"]
