"""The load queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.session.conformance.cases import case, refused
from tests.session.conformance.dicom import write_series


@case
def series_are_loaded_by_the_queue(slicer: Any, folder: Path) -> None:
    expected = write_series(folder / "queue")
    slicer.dicom.database = str(folder / "queue.sqlite3")
    queue = slicer.dicom.queue
    try:
        slicer.dicom.index(folder / "queue").result(60)
        [series] = slicer.dicom.series()
        before = len(slicer.nodes("vtkMRMLVolumeNode"))
        loads = queue.add(series, "9.9.9", show=False)
        assert [load.title for load in loads] == ["3: Axial", "9.9.9"]
        good, bad = queue.wait(loads, timeout=60)
        assert (good.state, good.files, good.progress, good.error) == ("done", (6, 6), 1.0, {})
        assert good.bytes[0] == good.bytes[1] > 6 * 8 * 10 * 2
        [volume] = good.value
        assert np.array_equal(volume.array, expected)
        assert (bad.state, bad.error["kind"], bad.value) == ("failed", "UidNotFoundError", [])
        assert "9.9.9" in repr(bad)
        assert len(slicer.nodes("vtkMRMLVolumeNode")) == before + 1
        job = queue.job(queue.add(series))
        assert job.result(60)[0].state == "done"
        assert "3: Axial" in queue.entries()._repr_html_()
        queue.clear()
        assert queue.entries() == []
        assert queue.wait(timeout=30) == []
        with refused(errors.UidNotFoundError, "not in the load queue", str(good.id)):
            queue.wait([good], timeout=30)
        with refused(errors.ArgumentError, "at least one"):
            queue.add()
        with refused(errors.ArgumentError, "not a series"):
            queue.add(5)
    finally:
        slicer.dicom.database = None
