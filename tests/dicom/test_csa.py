"""Siemens' CSA headers and protocol texts."""

from __future__ import annotations

import pytest

from slicer_notebook.dicom.csa import csa_entries, csa_numbers, protocol_of
from tests.dicom.make_multiframe import csa, protocol

ENTRIES = {
    "EchoLinePosition": ["64"],
    "NumberOfImagesInMosaic": ["48"],
    "Empty": [],
    "SliceNormalVector": ["0.00000000", "0.00523632", "0.99998629"],
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC", "A", "B"],
}


@pytest.mark.parametrize("newer", [True, False])
def test_entries(newer):
    found = csa_entries(csa(ENTRIES, newer=newer))
    assert found == {name: list(values) for name, values in ENTRIES.items()}
    assert csa_numbers(found, "SliceNormalVector", 3) == [0.0, 0.00523632, 0.99998629]
    assert csa_numbers(found, "SliceNormalVector", 4) is None
    assert csa_numbers(found, "ImageType", 1) is None
    assert csa_numbers(found, "Absent", 1) is None


def test_as_nibabel():
    csareader = pytest.importorskip("nibabel.nicom.csareader")
    raw = csa(ENTRIES)
    theirs = csareader.read(raw)["tags"]
    ours = csa_entries(raw)
    assert list(theirs) == list(ours)
    for name, values in ours.items():
        assert [str(value) for value in theirs[name]["items"][: len(values)]] == values


@pytest.mark.parametrize("newer", [True, False])
def test_damaged(newer):
    """Any cut is none, or the entries before it: never an error."""
    raw = csa(ENTRIES, newer=newer)
    for length in range(0, len(raw), 7):
        found = csa_entries(raw[:length])
        assert found is None or set(found) <= set(ENTRIES)
    assert csa_entries(b"") is None
    assert csa_entries(b"SV10\4\3\2\1\xff\xff\xff\x7f" + bytes(100)) is None


def test_protocol():
    text = protocol([[0, -20.5, 3.25], [0, -19.5, 7.25]], [0, 0.6, 0.8])
    found = protocol_of(text.encode())
    assert found.positions == [(0.0, -20.5, 3.25), (0.0, -19.5, 7.25)]
    assert found.normals == [(0.0, 0.6, 0.8)] * 2
    assert not found.three_dimensional
    assert found.images_per_slab is None


def test_protocol_of_a_slab():
    found = protocol_of(protocol([[1, 2, 3]], [0, 0, 1], slab=40).encode())
    assert found.three_dimensional
    assert found.images_per_slab == 40


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sSliceArray.lSize = 2",
        "### ASCCONV BEGIN ###\n### ASCCONV END ###",
        "### ASCCONV BEGIN ###\nsSliceArray.lSize = x",
    ],
)
def test_no_protocol(text):
    assert protocol_of(text.encode()) is None


def test_lines_after_the_end_do_not_count():
    text = protocol([[1, 2, 3]], [0, 0, 1]) + "sSliceArray.lSize = 9\n"
    assert len(protocol_of(text.encode()).positions) == 1
