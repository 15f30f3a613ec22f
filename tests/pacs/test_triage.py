"""Plans before pixels: what a PACS tells of a series leads to the plan that its files lead to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicer_notebook.dicom import Index, plan
from slicer_notebook.dicom.plans import SeriesPlan, VolumePlan
from slicer_notebook.errors import PacsAnswerError
from slicer_notebook.pacs.pacs import Pacs
from slicer_notebook.pacs.server import Server
from slicer_notebook.testing import Orthanc
from tests.dicom import make
from tests.pacs.peers.data import Data
from tests.pacs.peers.liar import Liar

STUDY = "1.2.826.0.1.3680043.8.498.77"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Series by name, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("triage")
    series: dict[str, dict[str, Any]] = {
        "regular": {},
        "oblique": {"cosines": make.oblique((10, 20, 30))},
        "tilted": {"shear": (0.0, 1.0, 0.0)},
        "sagittal": {"cosines": make.SAGITTAL},
    }
    found = {}
    for number, (name, options) in enumerate(series.items(), 1):
        uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.{number}", "SeriesNumber": number}
        make.write_series(folder / name, shape=(8, 16, 16), **options, **uids)
        found[name] = folder / name
    gap = folder / "gap"
    uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.9", "SeriesNumber": 9}
    make.write_series(gap, shape=(8, 16, 16), **uids)
    sorted(gap.iterdir())[4].unlink()
    found["gap"] = gap
    return found


@pytest.fixture(scope="module")
def archive(made: dict[str, Path]) -> Iterator[Orthanc]:
    from slicer_notebook import testing

    if testing.orthanc_program() is None:
        pytest.skip("Orthanc is not installed (Debian: orthanc and orthanc-dicomweb)")
    with testing.orthanc(list(made.values()), calling={"SLICER": 0}) as running:
        yield running


def volumes_of(planned: SeriesPlan) -> list[VolumePlan]:
    return [*planned.volumes, *(v for s in planned.sequences for v in s.volumes), *planned.images]


@pytest.mark.parametrize("way", ["metadata", "C-FIND"])
@pytest.mark.parametrize("name", ["regular", "oblique", "tilted", "sagittal", "gap"])
def test_the_plan_is_that_of_the_files(  # noqa: PLR0917
    archive: Orthanc, made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, name: str
) -> None:
    index = Index(tmp_path / "index.sqlite3")
    index.add(made[name])
    (series,) = index.series()
    wanted = plan(index.instances(series))
    monkeypatch.setenv("TRIAGE_PASSWORD", archive.password)
    server = Server(name="peer", url=archive.dimse_url)
    if way == "metadata":
        access = {"auth": "basic", "user": archive.user, "password": "env:TRIAGE_PASSWORD"}
        server = Server(name="peer", url=archive.dicomweb_url, **access)  # type: ignore[arg-type]
    with Pacs(server, index=tmp_path / "other.sqlite3") as pacs:
        got = pacs.plan(series.StudyInstanceUID, series.SeriesInstanceUID)
    assert volumes_of(wanted)
    for mine, theirs in zip(volumes_of(got), volumes_of(wanted), strict=True):
        assert (mine.name, mine.shape, mine.orientation) == (theirs.name, theirs.shape, theirs.orientation)
        np.testing.assert_allclose(mine.affine, theirs.affine, atol=1e-6)
        assert mine.warnings == theirs.warnings
    assert got.warnings == wanted.warnings
    assert [each.reason for each in got.refused] == [each.reason for each in wanted.refused]


def test_what_is_no_volume_is_refused_the_same_way(orthanc: Orthanc, pacs_data: Data, tmp_path: Path) -> None:
    series = pacs_data.study("latin").series[1]
    index = Index(tmp_path / "index.sqlite3")
    index.add(*series.instances.values())
    wanted = plan(index.instances(series.uid))
    with Pacs(Server(name="peer", url=orthanc.dimse_url), index=tmp_path / "other.sqlite3") as pacs:
        got = pacs.plan(pacs_data.study("latin").uid, series.uid)
    assert wanted.refused
    assert [each.reason for each in got.refused] == [each.reason for each in wanted.refused]


def test_a_pacs_that_tells_too_little_is_not_guessed_at(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    with Liar(study.instances.values()) as liar:
        liar.lies.leave_out = {"Rows", "Columns", "ImagePositionPatient", "PixelSpacing"}
        with (
            Pacs(Server(name="peer", url=liar.url), index=tmp_path / "other.sqlite3") as pacs,
            pytest.raises(PacsAnswerError, match="too little"),
        ):
            pacs.plan(study.uid, study.series[0].uid)
