"""Pictures of series that are not here: as the PACS draws them, else of one instance that is not kept."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from slicer_notebook.errors import ArgumentError, PacsAnswerError, PacsUnreachableError
from slicer_notebook.testing import Orthanc, free_port
from tests.pacs.peers.data import Data
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.retrieving import opened


def size_of(picture: bytes) -> tuple[int, int]:
    return Image.open(BytesIO(picture)).size


def test_one_instance_is_fetched_where_the_pacs_draws_nothing(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    ct = study.series[0]
    with Liar(study.instances.values()) as liar, opened(tmp_path, liar.url) as pacs:
        assert max(size_of(pacs.thumbnail(study.uid, ct.uid, 64))) == 64
        # One from its middle, and nothing of it is here.
        (sent,) = liar.sent
        order = {sop: k for k, sop in enumerate(sorted(ct.instances, key=lambda sop: number(ct.instances[sop])))}
        assert order[sent] == 15
        assert pacs.index.series() == []
        # Of what is here nothing is fetched.
        assert pacs.retrieve(study=study.uid, series=ct.uid).result(60).complete
        count = len(liar.asked)
        assert max(size_of(pacs.thumbnail(study.uid, ct.uid, 64))) == 64
        assert len(liar.asked) == count


def number(path: Path) -> int:
    from pydicom import dcmread

    return int(dcmread(path, stop_before_pixels=True).InstanceNumber)


def test_as_the_pacs_draws_it(
    orthanc: Orthanc, pacs_data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICTURES_PASSWORD", orthanc.password)
    study = pacs_data.study("follow-up")
    web = {"auth": "basic", "user": orthanc.user, "password": "env:PICTURES_PASSWORD"}
    before = len(orthanc.log)
    for url, further in ((orthanc.dicomweb_url, {}), (orthanc.dimse_url, {"web": orthanc.dicomweb_url})):
        with opened(tmp_path, url, **web, **further) as pacs:
            assert max(size_of(pacs.thumbnail(study.uid, study.series[0].uid, 96))) <= 96
            assert pacs.sources()[-1].learned.rendered is True  # type: ignore[attr-defined]
            assert pacs.index.series() == []
    assert "C-GET" not in orthanc.log[before:]


def test_what_has_no_picture_says_so(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    document = study.series[1]
    with Liar(study.instances.values()) as liar, opened(tmp_path, liar.url) as pacs:
        # A document is drawn as what it is.
        assert size_of(pacs.thumbnail(study.uid, document.uid, 64)) != (0, 0)
        with pytest.raises(PacsAnswerError, match="lists no instance"):
            pacs.thumbnail(study.uid, "1.2.3.404")
        liar.lies = Lies(share=0.0)
        with pytest.raises(PacsAnswerError, match="did not send"):
            pacs.thumbnail(study.uid, study.series[0].uid)
    with opened(tmp_path, f"dimse://PACS@127.0.0.1:{free_port()}") as away, pytest.raises(PacsUnreachableError):
        away.thumbnail(study.uid, document.uid)


@pytest.mark.parametrize("size", [0, 15, 2049, -1])
def test_sizes(tmp_path: Path, size: int) -> None:
    with opened(tmp_path, "dimse://PACS@127.0.0.1:1") as pacs, pytest.raises(ArgumentError, match="size of a picture"):
        pacs.thumbnail("1.2", "3.4", size)
