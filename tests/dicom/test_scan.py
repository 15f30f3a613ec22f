"""The scanner remembers what headers have in common: it must say the same of a file, whatever it read before."""

from __future__ import annotations

import random

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom import scan as scanning
from slicer_notebook.dicom.scan import CHUNK, Unscannable, scan
from tests.dicom.make import write_series


def said(raw):
    try:
        return scan(lambda count, offset: raw[offset : offset + count], len(raw), raw[:CHUNK])
    except Unscannable as exc:
        return str(exc)


def afresh(raw, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(scanning, "_HABITS", {})
        return said(raw)


def code(meaning):
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "1", meaning
    return item


def headers(folder, syntax, *, long=0):
    """Slices of two series; with ``long`` bytes in the way, so that the header is not read at once."""

    def each(k):
        sequence = Sequence([code("the same"), code("A" * (k % 3 * 2))])
        sequence.is_undefined_length = k % 2 == 0
        return {
            "ImageComments": "x" * (k * 2),
            "ContentTime": f"1011{k:02d}",
            "ProcedureCodeSequence": Sequence([code("of the study")]),
            "AnatomicRegionSequence": sequence,
            "LongCodeValue": "L" * long or None,
            "URNCodeValue": f"{k % 5}" * 3000,
            "KVP": 120,
            "PatientPosition": "HFS",
            "ProtocolName": "A protocol",
            "PatientComments": None if k == 7 else "here",
        }

    paths = []
    for series in ("1.1", "1.22"):
        paths += write_series(
            folder / series, shape=(12, 4, 4), each=each, syntax=syntax, SeriesInstanceUID=series, StudyID=series
        )
    return [path.read_bytes() for path in paths]


@pytest.mark.parametrize("long", [0, CHUNK - 1500, CHUNK - 600, CHUNK, 3 * CHUNK])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_same_as_read_afresh(tmp_path, monkeypatch, syntax, long):
    # What is beyond the first piece of one file's header may be within that of another.
    files = headers(tmp_path / "long", syntax, long=long) + headers(tmp_path / "short", syntax)
    order = [*files, *files, *random.Random(3).choices(files, k=100)]
    for raw in order:
        found = said(raw)
        assert not isinstance(found, str)
        assert found == afresh(raw, monkeypatch)


def test_damaged_neighbours(tmp_path, monkeypatch):
    """Files that differ in a few bytes from those read before, in values and in the headers of elements."""
    chooser = random.Random(5)
    files = headers(tmp_path, ExplicitVRLittleEndian) + headers(tmp_path / "long", ExplicitVRLittleEndian, long=CHUNK)
    unlike = 0
    for _ in range(3000):
        raw = bytearray(chooser.choice(files))
        for _ in range(chooser.choice([1, 1, 2, 4])):
            at = chooser.randrange(132, min(len(raw), 6000))
            kind = chooser.random()
            if kind < 0.7:
                raw[at] = chooser.randrange(256)
            elif kind < 0.9:
                del raw[at : at + chooser.choice([1, 2, 8])]
            else:
                del raw[at + 200 :]
        damaged = bytes(raw)
        found = said(damaged)
        assert found == afresh(damaged, monkeypatch)
        unlike += isinstance(found, str)
    assert 300 < unlike < 2700


def test_what_is_remembered_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(scanning, "_HABITS", {})
    monkeypatch.setattr(scanning._Habits, "MOST_RUNS", 4)
    monkeypatch.setattr(scanning._Habits, "MOST_ELEMENTS", 10)
    for raw in headers(tmp_path, ExplicitVRLittleEndian) * 2:
        assert not isinstance(said(raw), str)
        for habits in scanning._HABITS.values():
            assert len(habits.runs) <= 4
            assert len(habits.last) <= 10
    assert scanning._HABITS


def test_the_second_slice_is_taken_in_runs(tmp_path, monkeypatch):
    """Elements are looked at one by one only where they differ, once two slices were read."""
    monkeypatch.setattr(scanning, "_HABITS", {})
    files = headers(tmp_path, ExplicitVRLittleEndian)[:12]
    looked = []
    learn = scanning._Habits.learn

    def count(self, data, marks, encoding):
        looked.append(sum(1 for key, _ in marks if key))
        return learn(self, data, marks, encoding)

    monkeypatch.setattr(scanning._Habits, "learn", count)
    for raw in files:
        said(raw)
    assert looked[-1] < looked[0] / 2
