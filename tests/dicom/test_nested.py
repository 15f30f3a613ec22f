"""The reader of nested headers: the same as pydicom, and no error but its own on what is damaged."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pydicom
import pytest
from pydicom.data import get_testdata_files
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom.frames import NotSplitError, planes_of
from slicer_notebook.dicom.header import NotTakenError, read_header
from slicer_notebook.dicom.nested import UnreadableError, Wanted, items_of, private_value, read_nested
from slicer_notebook.dicom.tags import PER_FRAME_FUNCTIONAL_GROUPS
from tests.dicom.make_multiframe import protocol, write_enhanced, write_mosaic, write_uih_grid

PLANE_POSITION, POSITION = 0x00209113, 0x00200032


def everything():
    """All standard elements there are, and some private groups."""
    standard = frozenset(pydicom.datadict.DicomDictionary)
    return Wanted(standard, {group: range(256) for group in (0x0009, 0x0019, 0x0029, 0x0051, 0x0065, 0x2005)})


@pytest.mark.parametrize("undefined_length", [False, True])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_items_of_sequences(tmp_path, syntax, undefined_length):
    path = write_enhanced(tmp_path / "a.dcm", syntax=syntax, undefined_length=undefined_length)
    found = read_nested(read_header(path), Wanted(frozenset({PER_FRAME_FUNCTIONAL_GROUPS, PLANE_POSITION, POSITION})))
    assert list(found.root) == [PER_FRAME_FUNCTIONAL_GROUPS]
    frames = items_of(found.root, PER_FRAME_FUNCTIONAL_GROUPS)
    assert len(frames) == 5
    for frame, expected in zip(frames, pydicom.dcmread(path).PerFrameFunctionalGroupsSequence, strict=True):
        (plane,) = items_of(frame, PLANE_POSITION)
        said = [float(part) for part in plane[POSITION].decode().split("\\")]
        assert said == list(expected.PlanePositionSequence[0].ImagePositionPatient)


def readable():
    found = []
    for name in sorted(path for path in get_testdata_files() if Path(path).suffix == ".dcm"):
        try:
            if read_header(name).pixel_offset:
                found.append(name)
        except NotTakenError:
            continue
    return found


@pytest.mark.parametrize("path", readable(), ids=lambda path: Path(path).name)
def test_as_pydicom(path):
    instance, wanted = read_header(path), everything()
    slow = read_nested(msgspec.structs.replace(instance, pixel_offset=0), wanted)
    fast = read_nested(instance, wanted)
    assert comparable(fast.root) == comparable(slow.root)
    assert fast.order == slow.order


def comparable(item):
    """PixelRepresentation is decoded by pydicom at once, and so not there as bytes."""
    return {
        tag: [comparable(each) for each in value] if isinstance(value, list) else bytes(value).strip(b" ")
        for tag, value in item.items()
        if tag != 0x00280103
    }


def test_private_values_are_found_by_their_creator(tmp_path):
    path = write_uih_grid(tmp_path / "a")
    found = read_nested(read_header(path), Wanted(frozenset({POSITION}), {0x0065: {0x50, 0x51}}))
    assert private_value(found.root, 0x0065, "image private header", 0x50) == b"5 "
    assert len(private_value(found.root, 0x0065, "Image Private Header", 0x51)) == 5
    assert private_value(found.root, 0x0065, "Somebody else", 0x50) is None


def test_a_private_sequence_of_unknown_vr(tmp_path):
    """Implicit VR says nothing of a private element's VR; only a sequence begins with an item."""
    path = write_uih_grid(tmp_path / "a")
    item = pydicom.dcmread(path)
    item.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    item.save_as(tmp_path / "b", implicit_vr=True, little_endian=True)
    assert len(planes_of(read_header(tmp_path / "b"))) == 5


def test_a_file_that_is_no_longer_dicom(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm")
    instance = read_header(path)
    path.write_bytes(b"")
    try:
        found = read_nested(instance, everything())
    except UnreadableError:
        return
    assert not items_of(found.root, PER_FRAME_FUNCTIONAL_GROUPS)


def write_kinds(folder):
    text = protocol([[0, 0, 4.0 * k] for k in range(5)], [0, 0, 1])
    header = {"NumberOfImagesInMosaic": ["5"], "SliceNormalVector": ["0", "0", "1"]}
    return [
        write_enhanced(folder / "explicit", shape=(3, 2, 2)),
        write_enhanced(folder / "implicit", shape=(3, 2, 2), syntax=ImplicitVRLittleEndian, undefined_length=True),
        write_mosaic(folder / "mosaic", image_header=header, text=text, SpacingBetweenSlices=4.0),
        write_uih_grid(folder / "grid"),
    ]


def test_damaged_headers(tmp_path):
    """Bytes changed anywhere in the header: planes, or a refusal; never another error."""
    chance = random.Random(4)
    refused = split = 0
    for path in write_kinds(tmp_path):
        data = path.read_bytes()
        header_end = read_header(path).pixel_offset
        for number in range(150):
            changed = bytearray(data)
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(140, header_end)] = chance.randrange(256)
            if number % 10 == 0:
                changed = changed[: chance.randrange(140, header_end)]
            target = tmp_path / "changed"
            target.write_bytes(changed)
            try:
                instance = read_header(target)
            except NotTakenError:
                continue
            # The index read it before it was damaged, or after.
            for known in (instance, msgspec.structs.replace(read_header(path), path=str(target))):
                try:
                    split += len(planes_of(known)) >= 1
                except NotSplitError:
                    refused += 1
    assert refused > 10
    assert split > 100
