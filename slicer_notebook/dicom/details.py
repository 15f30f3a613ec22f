"""What is shown of a series before it is loaded: what will become of it, in plain values, and its picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from slicer_notebook.dicom.archives import status
from slicer_notebook.dicom.index import Index
from slicer_notebook.dicom.planning import plan
from slicer_notebook.dicom.plans import SequencePlan, SeriesPlan, VolumePlan
from slicer_notebook.dicom.records import Instance
from slicer_notebook.dicom.thumbnail_cache import Kept, ThumbnailCache
from slicer_notebook.dicom.thumbnails import RENDERER, check_size, drawn
from slicer_notebook.errors import SlicerNotebookError, error_in_words

__all__ = ["SeriesDetails", "plan_facts"]

#: Files of a series that are looked at before what was made of them is kept.
_LOOKED_AT: Final = 64

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class SeriesDetails:
    """Details of an index's series; what was made once is kept on disk beside the index (`ThumbnailCache`)."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._cache = ThumbnailCache(cache_path(index.path))

    def close(self) -> None:
        """Close the cache's file; the index stays as it is."""
        self._cache.close()

    def detail(self, series_uid: str, size: int = 128) -> dict[str, Any]:
        """What will become of a series, and its picture. One plan is made for both, from headers alone.

        Args:
            size: pixels of the picture, at most.

        Returns:
            ``plan`` (`plan_facts`) or ``plan_error``, ``png`` or ``png_error``; errors as `error_in_words`.

        Raises:
            UidNotFoundError: no such series in the index.
            ArgumentError: ``size`` is not between 16 and 2048.
            IndexDatabaseError: the index cannot be read.
        """
        check_size(size)
        stamps = _stamps(self._index, [series_uid])
        known = self._known(stamps, size)
        if known:
            return known[series_uid]
        instances = self._index.instances(series_uid)
        try:
            planned = plan(instances)
        except (SlicerNotebookError, OSError) as exc:
            words = error_in_words(exc)
            return {"plan_error": words, "png_error": words}
        facts = plan_facts(planned)
        try:
            png = self._drawn(instances, planned, facts, size, stamps)
        except (SlicerNotebookError, OSError) as exc:
            return {"plan": facts, "png_error": error_in_words(exc)}
        return {"plan": facts, "png": png}

    def thumbnail(self, series_uid: str, size: int = 128) -> bytes:
        """The picture alone.

        Raises:
            UidNotFoundError, ArgumentError, IndexDatabaseError: as `detail`.
        """
        check_size(size)
        stamps = _stamps(self._index, [series_uid])
        known = self._cache.known(stamps, size)
        if known:
            return known[series_uid].png
        instances = self._index.instances(series_uid)
        planned = plan(instances)
        return self._drawn(instances, planned, plan_facts(planned), size, stamps)

    def _drawn(
        self,
        instances: Sequence[Instance],
        planned: SeriesPlan,
        facts: dict[str, Any],
        size: int,
        stamps: Mapping[str, str],
    ) -> bytes:
        """The picture, which is kept with the facts if both will hold."""
        picture = drawn(planned, size)
        uid = planned.SeriesInstanceUID
        if picture.lasting and uid in stamps and _as_indexed(instances):
            self._cache.keep(uid, stamps[uid], size, Kept(_encode(facts), picture.png))
        return picture.png

    def known(self, series: Sequence[str], size: int = 128) -> dict[str, dict[str, Any]]:
        """Those of these series' details that are on disk, by Series Instance UID; nothing is made.

        Raises:
            IndexDatabaseError: the index cannot be read.
        """
        return self._known(_stamps(self._index, series), size)

    def _known(self, stamps: dict[str, str], size: int) -> dict[str, dict[str, Any]]:
        found = self._cache.known(stamps, size)
        return {uid: {"plan": _decode(entry.plan), "png": entry.png} for uid, entry in found.items()}


def cache_path(index: Path) -> Path:
    """The cache's file of an index's file."""
    return index.with_name(f"{index.stem}.thumbnails.sqlite3")


def _stamps(index: Index, series: Iterable[str]) -> dict[str, str]:
    return {uid: f"{RENDERER}:{stamp}" for uid, stamp in index.stamps(series).items()}


def _as_indexed(instances: Sequence[Instance]) -> bool:
    """Whether the files, or some of many, are as the index knows them: then what was made of them holds."""
    step = max(1, len(instances) // _LOOKED_AT)
    try:
        return all(status(each.path) == (each.size, each.mtime_ns) for each in instances[::step])
    except OSError:
        return False


# -- plans in plain values -----------------------------------------------------------------------------------------


def plan_facts(found: SeriesPlan) -> dict[str, Any]:
    """A plan as plain values: the series, ``volumes``, ``sequences``, ``images``, ``refused``, ``warnings``."""
    return {
        "StudyInstanceUID": found.StudyInstanceUID,
        "SeriesInstanceUID": found.SeriesInstanceUID,
        "SeriesNumber": found.SeriesNumber,
        "SeriesDescription": found.SeriesDescription,
        "Modality": found.Modality,
        "volumes": [_volume_facts(each) for each in found.volumes],
        "sequences": [_sequence_facts(each) for each in found.sequences],
        "images": [_volume_facts(each) for each in found.images],
        "refused": [{"reason": str(r.reason), "message": r.message, "files": len(r.files)} for r in found.refused],
        "warnings": list(found.warnings),
    }


def _volume_facts(volume: VolumePlan) -> dict[str, Any]:
    return {
        "name": volume.name,
        "files": len(set(volume.files)),
        "shape": list(volume.shape),
        "spacing": list(volume.spacing),
        "orientation": volume.orientation,
        "affine": volume.affine,
        "samples": volume.samples,
        "image": volume.image,
        "calibrated": volume.calibrated,
        "tilt": volume.tilt,
        "resampled": volume.resampling.why if volume.resampling else None,
        "quantities": [{"name": q.name, "units": q.units, "explanation": q.explanation} for q in volume.quantities],
        "not_offered": list(volume.not_offered),
        "warnings": list(volume.warnings),
    }


def _sequence_facts(sequence: SequencePlan) -> dict[str, Any]:
    """The facts of its first volume, which are those of all, and the axis."""
    return {
        **_volume_facts(sequence.volumes[0]),
        "name": sequence.name,
        "files": len({path for volume in sequence.volumes for path in volume.files}),
        "axis": msgspec.to_builtins(sequence.axis),
        "warnings": list(sequence.warnings),
    }
