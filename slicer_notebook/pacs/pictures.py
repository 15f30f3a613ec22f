"""A picture of a series that is in a PACS: as the PACS draws it (DICOMweb), else of one instance that is fetched."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.planning import plan
from slicer_notebook.dicom.thumbnails import thumbnail
from slicer_notebook.errors import ArgumentError, PacsAnswerError, PacsError
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Cancelled, never
from slicer_notebook.pacs.retrieve import Retrieval
from slicer_notebook.pacs.series import Target

if TYPE_CHECKING:
    from slicer_notebook.pacs.pacs import Pacs

__all__ = ["picture"]

_SIZES: Final = (16, 2048)


def picture(pacs: Pacs, study: str, series: str, size: int = 128, cancelled: Cancelled = never) -> bytes:
    """PNG or JPEG of a series, at most about ``size`` pixels wide and high.

    Of a series that is here already its thumbnail; else what the PACS draws; else one instance from its middle is
    fetched, drawn, and not kept.

    Raises:
        PacsError: it gives no picture, or it shows nothing.
        ArgumentError: ``size`` is not between 16 and 2048.
        JobCancelledError: ``cancelled`` said so.
    """
    if not _SIZES[0] <= size <= _SIZES[1]:
        raise ArgumentError("The size of a picture.", expected=f"{_SIZES[0]} to {_SIZES[1]} pixels", got=str(size))
    if series in pacs.index.holdings(study, series):
        return thumbnail(plan(pacs.index.instances(series, study=study)), size)
    failure: PacsError | None = None
    for source in pacs.sources():
        drawn: Any = getattr(source, "thumbnail", None)
        if drawn is None:
            continue
        try:
            found: bytes = drawn(study, series, size=size, cancelled=cancelled)
        except PacsError as exc:
            failure = exc
            continue
        return found
    try:
        return _of_one_instance(pacs, study, series, size, cancelled)
    except PacsError as exc:
        raise exc from failure


def _of_one_instance(pacs: Pacs, study: str, series: str, size: int, cancelled: Cancelled) -> bytes:
    source = pacs.sources()[0]
    keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    images = list(source.find(build_query("IMAGE", keys), cancelled))
    images.sort(key=lambda each: (each.get("InstanceNumber") or 0, str(each.get("SOPInstanceUID"))))
    uid = str(images[len(images) // 2].get("SOPInstanceUID") or "") if images else ""
    if not uid:
        raise PacsAnswerError(f"{pacs.name!r} lists no instance of the series.", hint="Retrieve it to see it.")
    with tempfile.TemporaryDirectory(prefix="slicer-pacs-") as folder:
        index = Index(Path(folder) / "index.sqlite3")
        try:
            report = Retrieval(
                source,
                pacs.ways(),
                [Target(study, series, frozenset([uid]))],
                server=pacs.name,
                folder=Path(folder) / "files",
                index=index,
                parallel=1,
                cancelled=cancelled,
            ).run()
            if not report.complete:
                reasons = [reason for each in report.series for reason in each.reasons]
                raise PacsAnswerError(
                    f"{pacs.name!r} did not send an instance of the series.", got=reasons[-1] if reasons else None
                )
            return thumbnail(plan(index.instances(series)), size)
        finally:
            index.close()
