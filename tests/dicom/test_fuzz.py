"""The reader against damaged files and against geometry of all sorts.

`fuzz` says what must hold. SLICER_NOTEBOOK_FUZZ sets the number of damaged files; ``python -m tests.dicom.fuzz``
runs many and tells how each came out.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from slicer_notebook.dicom import plan, read
from slicer_notebook.dicom.syntaxes import LOSSY
from tests.dicom import bases, fuzz
from tests.dicom.make import MR, write_series
from tests.dicom.oracles import Reading, assert_plane_in, pydicom_planes
from tests.dicom.said import UnknownError, difference_of, planes_of_file

CASES = int(os.environ.get("SLICER_NOTEBOOK_FUZZ", "2000"))


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield bases.made(tmp_path_factory.mktemp("fuzz") / "bases", fuzz.plan_and_read)


@pytest.mark.timeout(60 + CASES // 10)
def test_damaged_files():
    """No crash, no hang, only our errors, nothing lost without a word, no wrong volume without a warning."""
    outcomes = fuzz.run(CASES)
    failed = [outcome for outcome in outcomes if outcome.result == "FAILED"]
    assert failed == []
    assert sorted(outcome.case for outcome in outcomes) == list(range(CASES))
    # Else the damage was no test of anything: too slight to be seen, or nothing left to be read.
    results = Counter(outcome.result for outcome in outcomes)
    assert all(results[result] > CASES // 100 for result in ("original", "refused", "rejected", "warned", "as pydicom"))
    assert results["unjudged"] <= CASES // 500
    assert {outcome.base for outcome in outcomes} == set(bases.names())


def test_undamaged_series_are_as_pydicom_says(undamaged):
    """The fuzzer's yardstick itself: every plane of every kind, by two ways."""
    for base in undamaged:
        assert base.found.skipped == []
        assert {Path(path).name for path in base.found.refused} <= {"rtdose.dcm"}
        for volume, data in base.found.volumes:
            for k, instance in enumerate(volume.instances):
                try:
                    said = planes_of_file(instance.path, instance.frame, instance.tile)
                except UnknownError:
                    # nibabel asks for more of a mosaic's header than is there (test_mosaic.py compares others with it),
                    # and pydicom has no decoder for 12 bits of lossy JPEG.
                    assert instance.tile is not None or instance.TransferSyntaxUID in LOSSY
                    continue
                # pydicom has no spacing of an ultrasound's regions.
                mm = np.inf if volume.image and instance.Modality == "US" else 0.011
                found = difference_of(fuzz.plane_of(data, k), said, mm, volume.image)
                assert found is None, f"{base.name}: {found}"


def test_the_series_are_the_same_each_time(undamaged, tmp_path):
    """Else a case that failed could not be looked at."""
    again = bases.made(tmp_path / "again", fuzz.plan_and_read)
    assert [now.name for now, before in zip(again, undamaged, strict=True) if now.files != before.files] == []


def _wrong(base, **changes):
    ((volume, data), *_) = base.found.volumes
    return base.found._replace(volumes=[(volume, msgspec.structs.replace(data, **changes))])


def test_the_judge_sees_what_is_wrong(undamaged):
    """Values that were turned round, a volume that lies elsewhere, a slice that was lost."""
    base = next(each for each in undamaged if each.name == "CT")
    (volume, data), *_ = base.found.volumes
    files = volume.files
    assert fuzz.judge(base, files, base.found) == "original"
    with pytest.raises(fuzz.FailedError, match="values differ"):
        fuzz.judge(base, files, _wrong(base, array=data.array[:, ::-1]))
    with pytest.raises(fuzz.FailedError, match="values differ"):
        fuzz.judge(base, files, _wrong(base, array=data.array + 1))
    moved = data.affine.copy()
    moved[2, 3] += 1.0
    with pytest.raises(fuzz.FailedError, match="1 mm away"):
        fuzz.judge(base, files, _wrong(base, affine=moved))
    with pytest.raises(fuzz.FailedError, match="lost without a word"):
        fuzz.judge(base, [*files, "/lost.dcm"], base.found)
    told = _wrong(base, affine=moved)._replace(warnings=["Something is not as it was."])
    assert fuzz.judge(base, files, told) == "warned"


# -- geometry of all sorts ---------------------------------------------------------------------------------------------

_AXES = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: float(np.dot(q, q)) > 0.1)


def _cosines(quaternion: tuple[float, float, float, float]) -> list[float]:
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return [
        1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
        2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x),
    ]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    quaternion=_AXES,
    spacing=st.tuples(st.floats(0.05, 5.0), st.floats(0.05, 5.0)),
    gap=st.floats(0.1, 10.0),
    first=st.tuples(*[st.floats(-500.0, 500.0)] * 3),
    shape=st.tuples(*[st.integers(2, 6)] * 3),
    lean=st.tuples(*[st.floats(-0.4, 0.4)] * 2),
    rescale=st.tuples(st.sampled_from([1.0, 2.0, -1.0, 0.5, 0.0125]), st.integers(-2000, 2000)),
    bits=st.sampled_from([(np.int16, 16), (np.int32, 32)]),
    syntax=st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]),
)
def test_any_geometry(*, quaternion, spacing, gap, first, shape, lean, rescale, bits, syntax):
    """Any direction, spacing, shear and rescale: every slice lies where its header says, with its values."""
    cosines = _cosines(quaternion)
    spacing = tuple(float(f"{value:.6g}") for value in spacing)
    shear = gap * (lean[0] * np.array(cosines[:3]) + lean[1] * np.array(cosines[3:]))
    dtype, width = bits
    with tempfile.TemporaryDirectory() as folder:
        files = write_series(
            Path(folder) / "series", cosines=cosines, pixel_spacing=spacing, gap=gap, first=first, shape=shape,
            shear=shear, sop_class=MR, dtype=dtype, syntax=syntax, BitsAllocated=width, BitsStored=width,
            HighBit=width - 1, RescaleSlope=rescale[0], RescaleIntercept=rescale[1], SliceThickness=float(f"{gap:.6g}"),
        )  # fmt: skip
        found = plan(files)
        (volume,) = found.volumes
        assert found.refused == []
        data = read(volume)
        reading = Reading(data.array, data.affine, volume.name)
        # What even positions may be off by, and the float32 in which fractions are kept.
        within = 2.0**-23 * float(np.abs(data.array).max()) if data.array.dtype.kind == "f" else 0.0
        places = [assert_plane_in(reading, plane, mm=0.012, values=within) for plane in pydicom_planes(files)]
        assert places == list(range(shape[0]))
