"""Facts from makers' private attributes, as they are in files."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom.header import read_header
from tests.dicom.make import CORONAL, MR, write_series

SIEMENS = (0x0019, "SIEMENS MR HEADER", [(0x0C, "IS", "700"), (0x0E, "FD", [0.6, 0.0, 0.8])])
GE = (0x0043, "GEMS_PARM_01", [(0x39, "IS", ["1000000700", "8", "0", "0"])])
PHILIPS = (0x2001, "Philips Imaging DD 001", [(0x03, "FL", 700.0)])
PHILIPS_DIRECTION = (
    0x2005,
    "Philips MR Imaging DD 001",
    [(0xB0, "FL", 0.5), (0xB1, "FL", -0.25), (0xB2, "FL", 0.75)],
)
UIH = (0x0065, "Image Private Header", [(0x09, "FD", 700.0), (0x37, "FD", [1.0, 0.0, 0.0])])


def read(tmp_path, blocks, syntax=ExplicitVRLittleEndian, **attributes):
    (path,) = write_series(tmp_path, shape=(1, 4, 4), sop_class=MR, syntax=syntax, **attributes)
    item = pydicom.dcmread(path)
    for group, creator, elements in blocks:
        block = item.private_block(group, creator, create=True)
        for element, vr, value in elements:
            block.add_new(element, vr, value)
    item.save_as(path)
    return read_header(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ("blocks", "direction"),
    [
        ([SIEMENS], [0.6, 0.0, 0.8]),
        ([GE], None),
        ([PHILIPS], None),
        ([PHILIPS, PHILIPS_DIRECTION], [0.5, -0.25, 0.75]),
        ([UIH], [0.0, 0.0, -1.0]),  # along a row, whose direction that is
    ],
)
def test_b_values_and_directions(tmp_path, blocks, direction, syntax):
    cosines = (0, 0, -1, 1, 0, 0) if blocks == [UIH] else CORONAL
    found = read(tmp_path, blocks, syntax, cosines=cosines)
    assert found.DiffusionBValue == 700.0
    assert found.DiffusionGradientOrientation == direction


def test_a_block_that_is_not_the_first(tmp_path):
    (path,) = write_series(tmp_path, shape=(1, 4, 4), sop_class=MR)
    item = pydicom.dcmread(path)
    item.private_block(0x0019, "SOMEBODY ELSE", create=True).add_new(0x0C, "IS", "5")
    item.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "700")
    item.save_as(path)
    assert read_header(path).DiffusionBValue == 700.0


def test_another_makers_element_counts_for_nothing(tmp_path):
    found = read(tmp_path, [(0x0019, "SOMEBODY ELSE", [(0x0C, "IS", "5"), (0x0E, "FD", [1.0, 0.0, 0.0])])])
    assert (found.DiffusionBValue, found.DiffusionGradientOrientation) == (None, None)


def test_zeros_are_no_direction(tmp_path):
    zeros = [
        (group, creator, [(e, vr, 0.0) for e, vr, _ in elements]) for group, creator, elements in [PHILIPS_DIRECTION]
    ]
    assert read(tmp_path, [PHILIPS, *zeros]).DiffusionGradientOrientation is None


def test_the_standard_attribute_wins(tmp_path):
    found = read(tmp_path, [SIEMENS], DiffusionBValue=50.0, DiffusionGradientOrientation=[0.0, 1.0, 0.0])
    assert (found.DiffusionBValue, found.DiffusionGradientOrientation) == (50.0, [0.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("maker", "comments", "b_value"),
    [
        ("TOSHIBA", "b=1500(0.4,-0.8,0.4)", 1500.0),
        ("Canon Medical", "b=0(0,0,0)", 0.0),
        ("OTHER", "b=1500(0.4,-0.8,0.4)", None),
        ("TOSHIBA", "lib=1", None),
    ],
)
def test_in_comments(tmp_path, maker, comments, b_value):
    assert read(tmp_path, [], Manufacturer=maker, ImageComments=comments).DiffusionBValue == b_value
