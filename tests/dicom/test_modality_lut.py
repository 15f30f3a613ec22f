"""Modality LUTs against pydicom, and those that contradict themselves."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom.modality_lut import ModalityLutError, read_modality_lut
from tests.dicom.make import SECONDARY_CAPTURE, dataset, save


def lut_file(folder, descriptor, data, *, kind="US", vr="US", signed=False, syntax=ExplicitVRLittleEndian, items=1):
    lut = dataset()
    lut.clear()
    lut.LUTDescriptor = descriptor
    lut["LUTDescriptor"].VR = "SS" if signed else "US"
    lut.ModalityLUTType = kind
    lut.LUTData = data
    lut["LUTData"].VR = vr
    item = dataset(SECONDARY_CAPTURE, PixelRepresentation=int(signed), ModalityLUTSequence=[lut] * items)
    return save(item, folder / "a.dcm", np.zeros((4, 4), np.uint16), syntax=syntax)


def lut_of(path):
    found = path.stat()
    return read_modality_lut(str(path), found.st_size, found.st_mtime_ns)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("signed", [False, True])
def test_as_pydicom(tmp_path, syntax, signed):
    first = -20 if signed else 20
    entries = [n * 613 % 65536 for n in range(100)]
    path = lut_file(tmp_path, [100, first, 16], entries, signed=signed, syntax=syntax, kind="HU")
    stored = np.arange(-50 if signed else 0, 150 if not signed else 100, dtype=np.int16 if signed else np.uint16)
    lut = lut_of(path)
    assert lut.units == "HU"
    assert lut(stored).dtype == np.uint16
    np.testing.assert_array_equal(lut(stored), np.array(entries)[np.clip(stored.astype(int) - first, 0, 99)])
    np.testing.assert_array_equal(lut(stored), apply_modality_lut(stored, dcmread(path)))


@pytest.mark.parametrize(("syntax", "order"), [(ExplicitVRLittleEndian, "<"), (ExplicitVRBigEndian, ">")])
def test_words_of_bytes(tmp_path, syntax, order):
    entries = np.random.default_rng(5).integers(0, 65536, 65536).astype(f"{order}u2")
    lut = lut_of(lut_file(tmp_path, [0, 0, 16], entries.tobytes(), vr="OW", syntax=syntax))
    stored = np.array([0, 1, 255, 256, 65535], np.uint16)
    np.testing.assert_array_equal(lut(stored), entries[stored])
    assert lut.units == ""


def test_entries_of_eight_bits(tmp_path):
    entries = np.random.default_rng(5).integers(0, 256, 256).astype(np.uint8)
    lut = lut_of(lut_file(tmp_path, [256, 0, 8], entries.tobytes(), vr="OW"))
    np.testing.assert_array_equal(lut.entries, entries)


@pytest.mark.parametrize(
    ("descriptor", "data", "words"),
    [
        ([5, 0, 16], [1, 2, 3], "6 bytes of LUTData for 5 entries"),
        ([3, 0, 20], [1, 2, 3], "of 20 bits"),
        ([3, 0, 10], [1, 2, 1024], "which 10 bits do not hold"),
    ],
)
def test_tables_that_contradict_themselves(tmp_path, descriptor, data, words):
    with pytest.raises(ModalityLutError, match=words):
        lut_of(lut_file(tmp_path, descriptor, data))


def test_two_tables(tmp_path):
    with pytest.raises(ModalityLutError, match="2 items"):
        lut_of(lut_file(tmp_path, [3, 0, 16], [1, 2, 3], items=2))
