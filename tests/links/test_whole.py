"""Files that lead to other files."""

from __future__ import annotations

import pytest

from slicer_notebook.links.whole import HEAD_BYTES, leads_elsewhere

NRRD = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
META = b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.nrrd", NRRD + b"\n\0\0\0\0\0\0\0\0"),
        ("a.NRRD", NRRD.replace(b"\n", b"\r\n") + b"\r\n12345678"),
        ("a.nrrd", NRRD + b"\ndata file: /etc/passwd\n"),  # what comes behind the header are voxels
        ("a.seg.nrrd", NRRD + b"comment: data file is here\n\n12345678"),
        ("a.mha", META + b"ElementDataFile = LOCAL\n12345678"),
        ("a.mha", META + b"elementdatafile=local \r\n12345678"),
        ("a.nii.gz", b"\x1f\x8b\x08\0"),
        ("a.stl", b"solid a"),
    ],
)
def test_whole(name: str, head: bytes) -> None:
    assert not leads_elsewhere(name, head)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.nrrd", NRRD + b"data file: /etc/passwd\n\n"),
        ("a.nrrd", NRRD + b"  DataFile : LIST\n\n"),
        ("a.nrrd", (NRRD + b"data file: /etc/passwd\n\n").replace(b"\n", b"\r\n")),
        ("a.seg.nrrd", NRRD + b"data file: a%03d.raw 1 9 1\n\n"),
        ("innocent.stl", NRRD + b"data file: /etc/passwd\n\n"),  # read as NRRD, whatever its name
        ("a.nrrd", NRRD + b"# comment\n" * (HEAD_BYTES // 10)),  # no end in sight
        ("a.mha", META + b"ElementDataFile = /etc/passwd\n"),
        ("a.mha", META + b"ElementDataFile = LIST\n"),
        ("a.mha", META),
        ("a.mhd", b""),
        ("A.NHDR", b""),
        ("scene.mrml", b""),
        ("scene.mrb", b"PK"),
        ("a.pvtp", b""),
    ],
)
def test_leads_elsewhere(name: str, head: bytes) -> None:
    assert leads_elsewhere(name, head)
