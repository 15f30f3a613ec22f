"""Headers: what is found in them, and what differs between two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.dicom import make
from tests.session.conformance.cases import case, refused


@case
def headers_are_searched_and_compared(slicer: Any, folder: Path) -> None:
    for name, thickness in (("1.2.826.7.1", 4.0), ("1.2.826.7.2", 5.0)):
        make.write_series(
            folder / "ct" / name,
            shape=(3, 4, 4),
            SeriesInstanceUID=name,
            gap=thickness,
            FrameOfReferenceUID="1.2.826.7.9",
        )
    slicer.dicom.database = str(folder / "headers.sqlite3")
    try:
        slicer.dicom.index(folder / "ct").result(60)
        a, b = sorted(slicer.dicom.series(), key=lambda each: each.SeriesInstanceUID)
        header = slicer.dicom.header(a)
        assert [hit.path for hit in header.find("slice thick")] == ["SliceThickness"]
        found = slicer.dicom.compare(a, b)
        assert [(each.keyword, each.a, each.b) for each in found.unexpected] == [("SliceThickness", "4.0", "5.0")]
        assert {each.expected for each in found.expected} <= {"uids", "numbers", "position"}
        assert "first instances" in found.note
        first = slicer.dicom.header(b)
        assert slicer.dicom.compare(header, first) == found
        assert slicer.dicom.compare(header, first).note == ""
        assert "series b" in slicer.dicom.compare(header, b).note
        assert slicer.dicom.compare(header.SOPInstanceUID, header, ignore="uids") == []
        [volume] = slicer.dicom.load(b)
        assert slicer.dicom.header(volume).SOPInstanceUID == volume.attributes["DICOM.instanceUIDs"].split()[0]
        assert slicer.dicom.compare(header, volume) == slicer.dicom.compare(header, volume.dicom)
        with refused(errors.ArgumentError, "did not come from DICOM"):
            slicer.dicom.header(slicer.add_volume(np.zeros((2, 3, 4)), name="Made"))
        with refused(errors.ArgumentError, "not a series"):
            slicer.dicom.compare(a, 5)
        with refused(errors.ArgumentError, "SliceThicknes"):
            slicer.dicom.compare(a, b, ignore=["SliceThicknes"])
        with refused(errors.UidNotFoundError, "1.2.99"):
            slicer.dicom.compare(a, "1.2.99")
    finally:
        slicer.dicom.database = None
