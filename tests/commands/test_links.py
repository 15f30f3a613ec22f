"""Commands of links, against a real Orthanc behind a token, a Kheops stand-in, and servers that do wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook import errors, testing
from slicer_notebook.pacs import config
from tests.commands.linking import TOKEN, Gate, study_link
from tests.commands.loading import shown
from tests.commands.transferring import Transfers
from tests.pacs.dicomweb.faulty import Faulty, Handler, Reply, several
from tests.pacs.links.getting import zipped
from tests.pacs.peers.data import Data, DataStudy

DEADLINE = 60.0


@pytest.fixture
def gate(orthanc: testing.Orthanc) -> Iterator[Gate]:
    with Gate(orthanc) as found:
        yield found


@pytest.fixture
def thorax(pacs_data: Data) -> DataStudy:
    """A CT series of 30 images, and a report."""
    return pacs_data.study("thorax")


@pytest.fixture
def serve() -> Iterator[Callable[[Handler | Reply], Faulty]]:
    with several() as begin:
        yield begin


def opened(slicer: sn.Session, url: str, **how: Any) -> dict[str, Any]:
    job = slicer.submit("links.open", url=url, database=slicer.dicom.database, **how)
    found: dict[str, Any] = job.result(DEADLINE)
    return found


# -- a study ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["bearer", "path"])
def test_a_study_is_fetched_with_its_token_loaded_and_shown(
    transfers: Transfers, gate: Gate, thorax: DataStudy, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    slicer = transfers.slicer
    caplog.set_level(logging.DEBUG)
    link = study_link(thorax.uid, gate.root, TOKEN) if how == "bearer" else study_link(thorax.uid, gate.link_root)
    progress: list[tuple[float, str]] = []
    job = slicer.submit("links.open", url=link, database=slicer.dicom.database)
    job.on_progress(lambda running: progress.append((running.progress, running.text)))
    found = job.result(DEADLINE)
    assert found["studies"] == [thorax.uid]
    assert set(found["series"]) == {series.uid for series in thorax.series}
    assert found["instances"] == len(thorax.instances)
    [node] = found["nodes"]
    assert node.array.shape[0] == len(thorax.series[0].instances)
    assert shown(slicer) == thorax.series[0].uid
    # All notebooks have seen it come, by the name of its host.
    transfers.until(lambda: [each["state"] for each in transfers.known.values()] == ["done"], "all is here")
    [entry] = transfers.known.values()
    assert entry["server"].startswith("127.0.0.1 (link")
    # How much of it is told depends on how fast it goes; it never goes back, and ends whole.
    parts = [part for part, _ in progress if part >= 0]
    assert parts == sorted(parts)
    assert parts[-1] == 1
    # Its token is nowhere.
    told = [caplog.text, repr(found), repr(transfers.history), repr(progress), repr(slicer.transfers), repr(slicer.log)]
    assert TOKEN not in "".join(told)


def test_a_link_that_is_opened_again_shows_what_is_loaded(transfers: Transfers, gate: Gate, thorax: DataStudy) -> None:
    slicer = transfers.slicer
    link = study_link(thorax.uid, gate.root, TOKEN)
    [node] = opened(slicer, link)["nodes"]
    slicer.view("Red").image()
    slicer.call("dicom.close")
    again = opened(slicer, link)
    assert again["nodes"] == [node]
    assert shown(slicer) == thorax.series[0].uid
    # One that was changed meanwhile, or has less than all, is not what the link asks for.
    first = node.array[0, 0, 0]
    node.array = node.array + 1
    [whole] = opened(slicer, link)["nodes"]
    assert whole != node
    assert whole.array[0, 0, 0] == first
    assert opened(slicer, link)["nodes"] == [whole]
    whole.affine = np.diag([2.0, 2.0, 2.0, 1.0])
    [in_place] = opened(slicer, link)["nodes"]
    assert in_place not in (node, whole)
    uids = in_place.attributes["DICOM.instanceUIDs"].split()
    less = repr(" ".join(uids[1:]))
    slicer.run(f"slicer.mrmlScene.GetNodeByID({in_place.id!r}).SetAttribute('DICOM.instanceUIDs', {less})")
    assert opened(slicer, link)["nodes"] != [in_place]


def test_a_token_that_is_refused(
    slicer: sn.Session, transfers: Transfers, gate: Gate, thorax: DataStudy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "another-Token_that.is=wrong"
    with pytest.raises(errors.PacsRefusedError) as caught:
        opened(slicer, study_link(thorax.uid, gate.root, wrong))
    assert "401" in str(caught.value)
    for link in (f"{gate.root}/link/{wrong}", gate.root):
        with pytest.raises(errors.PacsError):
            opened(slicer, study_link(thorax.uid, link))
    assert wrong not in caplog.text + str(caught.value) + repr(caught.value.details) + repr(transfers.history)
    assert slicer.nodes("vtkMRMLVolumeNode") == []


def test_a_study_that_is_not_there(slicer: sn.Session, transfers: Transfers, gate: Gate) -> None:
    with pytest.raises(errors.UidNotFoundError):
        opened(slicer, study_link("1.2.3.4.5", gate.root, TOKEN))


def test_the_same_link_twice_fetches_nothing_twice(
    slicer: sn.Session, transfers: Transfers, gate: Gate, thorax: DataStudy
) -> None:
    link = study_link(thorax.uid, gate.root, TOKEN)
    opened(slicer, link)
    count = len([each for each in gate.targets() if "/series/" in each and "/instances" not in each])
    again = opened(slicer, link)
    assert len([each for each in gate.targets() if "/series/" in each and "/instances" not in each]) == count
    assert again["instances"] == len(thorax.instances)
    assert len({entry["server"] for entry in transfers.known.values()}) == 1


def test_bulk_retrieve(slicer: sn.Session, transfers: Transfers, gate: Gate, pacs_data: Data) -> None:
    study = pacs_data.study("bare")
    opened(slicer, study_link(study.uid, gate.root, TOKEN, bulk_retrieve="0"))
    each = [target for target in gate.targets() if "/instances/" in target]
    assert len(each) == len(study.instances)
    gate.requests.clear()
    other = pacs_data.study("latin")
    opened(slicer, study_link(other.uid, gate.root, TOKEN, bulk_retrieve="1"))
    assert not [target for target in gate.targets() if "/instances/" in target]


def test_a_retrieval_that_is_stopped(slicer: sn.Session, transfers: Transfers, gate: Gate, thorax: DataStudy) -> None:
    usual, asked = gate.handler, []

    def slow(request: Any) -> Reply:
        if "/series/" in request.target:
            asked.append(request.target)
            job.cancel()
            return Reply(raw=b"HTTP/1.1 200 X\r\n", then="hang")
        return usual(request)

    gate.handler = slow
    job = slicer.submit("links.open", url=study_link(thorax.uid, gate.root, TOKEN), database=slicer.dicom.database)
    with pytest.raises(errors.JobCancelledError):
        job.result(DEADLINE)
    assert asked
    transfers.until(lambda: {each["state"] for each in transfers.known.values()} == {"cancelled"}, "it is stopped")


# -- asked about, refused ---------------------------------------------------------------------------------------------


def test_who_has_not_agreed_is_refused(slicer: sn.Session, serve: Callable[..., Faulty]) -> None:
    server = serve(Reply(200, b""))
    with pytest.raises(errors.LinkRefusedError) as caught:
        opened(slicer, f"slicer://viewer/?download={quote(server.url + '/x.nrrd', safe='')}")
    assert caught.value.details["action"] == "ask"
    for link in (
        "osirix://?methodName=KillOsiriX",
        "--help",
        "slicer://viewer/?download=file:///etc/passwd",
        "x" * 9000,
    ):
        with pytest.raises(errors.LinkRefusedError) as caught:
            opened(slicer, link, agreed=True)
        assert caught.value.details["action"] == "refuse"
    assert server.requests == []


def test_the_policy_file_is_that_of_slicers_machine(slicer: sn.Session, thorax: DataStudy, gate: Gate) -> None:
    file = config.config_path().with_name("links.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    link = study_link(thorax.uid, gate.root, TOKEN)
    try:
        file.write_text('[policy]\nstudy-loopback = "refuse"\n', encoding="utf-8")
        assert slicer.call("links.judge", url=link)["action"] == "refuse"
        with pytest.raises(errors.LinkRefusedError):
            opened(slicer, link, agreed=True)
        file.write_text('[policy]\nscript = "open"\n', encoding="utf-8")
        with pytest.raises(errors.LinkError, match="script"):
            opened(slicer, link)
    finally:
        file.unlink()
    assert slicer.call("links.judge", url=link)["action"] == "open"


def test_a_study_whose_server_redirects_to_a_link_local_address(
    slicer: sn.Session, transfers: Transfers, serve: Callable[..., Faulty]
) -> None:
    server = serve(Reply(302, b"", {"Location": "http://169.254.169.254/latest"}))
    with pytest.raises(errors.PacsError):
        opened(slicer, study_link("1.2.3", server.url, TOKEN))
    assert all(request.headers["host"] != "169.254.169.254" for request in server.requests)


# -- Kheops -----------------------------------------------------------------------------------------------------------


def viewer_token(kheops: testing.KheopsStandIn, study: str) -> str:
    """As its page gets one, for the link that it writes: a share token, exchanged for one that is good for a study."""
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": kheops.token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "viewer read write",
        "studyUID": study,
    }
    return str(httpx.post(f"{kheops.api}/token", data=form).raise_for_status().json()["access_token"])


def test_kheops_own_links(
    slicer: sn.Session, transfers: Transfers, orthanc: testing.Orthanc, thorax: DataStudy, pacs_data: Data
) -> None:
    """Exactly as its page writes them: slicer:// with a viewer token, osirix:// with a share token in the path."""
    with testing.kheops(orthanc) as kheops:
        viewer = viewer_token(kheops, thorax.uid)
        api = quote(kheops.api, safe="")
        found = opened(
            slicer,
            f"slicer://viewer?studyUID={thorax.uid}&access_token={viewer}&dicomweb_endpoint={api}"
            f"&dicomweb_uri_endpoint={api}%2Fwado",
        )
        assert found["instances"] == len(thorax.instances)
        assert shown(slicer) == thorax.series[0].uid
        study = pacs_data.study("follow-up")
        url = quote(f"{kheops.api}/link/{kheops.token}/studies/{study.uid}?accept=application/zip", safe="")
        for quoted in (f"'{url}'", f"%27{url}%27"):
            link = f"osirix://?methodName=downloadURL&URL={quoted}"
            with pytest.raises(errors.LinkRefusedError):
                opened(slicer, link)
            found = opened(slicer, link, agreed=True)
            assert found["instances"] == len(study.instances)
            assert found["studies"] == [study.uid]
            assert shown(slicer) in {series.uid for series in study.series}
            assert kheops.token not in repr(found)


# -- downloads --------------------------------------------------------------------------------------------------------


def test_download_into_the_index(
    slicer: sn.Session, transfers: Transfers, serve: Callable[..., Faulty], thorax: DataStudy
) -> None:
    server = serve(Reply(200, zipped(thorax.instances.values()), {"Content-Type": "application/zip"}))
    events: list[Any] = []
    subscription = slicer.on("indexed", events.append)
    found = slicer.call("links.download", url=server.url, database=slicer.dicom.database)
    assert found == {
        "studies": [thorax.uid],
        "series": found["series"],
        "instances": len(thorax.instances),
        "load": [],
    }
    assert set(found["series"]) == {series.uid for series in thorax.series}
    assert [each.StudyInstanceUID for each in slicer.dicom.studies()] == [thorax.uid]
    assert slicer.nodes("vtkMRMLVolumeNode") == []
    found = slicer.call("links.download", url=server.url, show=True, database=slicer.dicom.database)
    slicer.dicom.queue.wait(timeout=DEADLINE)
    assert len(found["load"]) == 1  # the report is no image
    assert shown(slicer) == thorax.series[0].uid
    for only, count in (
        ({"series": [thorax.series[1].uid]}, 0),
        ({"studies": ["1.2"]}, 0),
        ({"studies": [thorax.uid]}, 1),
    ):
        found = slicer.call("links.download", url=server.url, show=True, database=slicer.dicom.database, **only)
        assert len(found["load"]) == count
    slicer.dicom.queue.wait(timeout=DEADLINE)
    subscription.close()


def test_a_manifest_of_orthanc(
    slicer: sn.Session, transfers: Transfers, serve: Callable[..., Faulty], orthanc: testing.Orthanc, pacs_data: Data
) -> None:
    """WADO-URI of a real archive, whose password is in the manifest (webLogin)."""
    import base64

    study = pacs_data.study("bare")
    login = base64.b64encode(f"{orthanc.user}:{orthanc.password}".encode()).decode()
    listed = "".join(f'<Instance SOPInstanceUID="{uid}"/>' for uid in study.series[0].instances)
    text = (
        f'<?xml version="1.0"?><wado_query wadoURL="http://127.0.0.1:{orthanc.http_port}/wado" webLogin="{login}" '
        'requireOnlySOPInstanceUID="false" additionnalParameters="">'
        f'<Patient><Study StudyInstanceUID="{study.uid}"><Series SeriesInstanceUID="{study.series[0].uid}">{listed}'
        "</Series></Study></Patient></wado_query>"
    )
    server = serve(Reply(200, text.encode(), {"Content-Type": "text/xml"}))
    found = slicer.call("links.download", url=f"{server.url}/m.xml", database=slicer.dicom.database)
    assert found["instances"] == len(study.series[0].instances)
    assert orthanc.password not in repr(found)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "osirix://?x", "http://", "\\\\host\\x", ""])
def test_what_cannot_be_downloaded(slicer: sn.Session, url: str) -> None:
    with pytest.raises(errors.LinkError, match="http or https"):
        slicer.call("links.download", url=url)


def test_an_address_that_is_not_asked(slicer: sn.Session, serve: Callable[..., Faulty]) -> None:
    for url in ("http://169.254.169.254/x", serve(Reply(302, b"", {"Location": "http://169.254.1.1/"})).url):
        with pytest.raises(errors.LinkRefusedError, match="link-local"):
            slicer.call("links.download", url=url, database=slicer.dicom.database)


def test_a_data_file_is_loaded_and_shown(
    slicer: sn.Session, transfers: Transfers, serve: Callable[..., Faulty], tmp_path: Path
) -> None:
    import SimpleITK

    array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(tmp_path / "small.nrrd"))
    server = serve(Reply(200, (tmp_path / "small.nrrd").read_bytes()))
    found = opened(slicer, f"slicer://viewer/?download={quote(server.url + '/small.nrrd', safe='')}", agreed=True)
    [node] = found["nodes"]
    assert np.array_equal(node.array, array)
    background = slicer.eval(
        "slicer.app.layoutManager().sliceWidget('Red').sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID()"
    )
    assert background == node.id


def test_a_data_file_that_is_broken_leaves_nothing(
    slicer: sn.Session, transfers: Transfers, serve: Callable[..., Faulty]
) -> None:
    server = serve(Reply(200, b"NRRD0004\nnonsense\n\n"))
    with pytest.raises(errors.FileFormatError):
        opened(slicer, f"slicer://viewer/?download={quote(server.url + '/x.nrrd', safe='')}", agreed=True)
    assert slicer.nodes("vtkMRMLVolumeNode") == []


# -- OsiriX's methods and images --------------------------------------------------------------------------------------


def test_a_method_about_what_is_in_the_index(
    slicer: sn.Session, transfers: Transfers, thorax: DataStudy, pacs_data: Data
) -> None:
    slicer.dicom.index(pacs_data.folder / "thorax").result(DEADLINE)
    found = opened(slicer, f"osirix://?methodName=DisplayStudy&PatientID={thorax.patient_id}")
    assert found["answer"]["error"] == "0"
    slicer.dicom.queue.wait(timeout=DEADLINE)
    assert shown(slicer) == thorax.series[0].uid
    with pytest.raises(errors.LinkError):
        opened(slicer, "osirix://?methodName=DisplayStudy&PatientID=nobody-of-that-name")


def test_an_image_of_the_index(slicer: sn.Session, transfers: Transfers, thorax: DataStudy, pacs_data: Data) -> None:
    slicer.dicom.index(pacs_data.folder / "thorax").result(DEADLINE)
    series = thorax.series[0]
    uids = list(series.instances)
    found = opened(slicer, f"osirix://?image={series.sop_class}+{uids[7]}")
    [node] = found["nodes"]
    assert shown(slicer) == series.uid
    order = slicer.eval(f"slicer.mrmlScene.GetNodeByID({node.id!r}).GetAttribute('DICOM.instanceUIDs')").split()
    place = node.affine @ [0, 0, order.index(uids[7]), 1]
    assert slicer.view("Red").offset == pytest.approx(place[2], abs=0.01)
    with pytest.raises(errors.UidNotFoundError):
        opened(slicer, f"osirix://?image={series.sop_class}+1.2.3.4")
    with pytest.raises(errors.UidNotFoundError):
        opened(slicer, f"osirix://?image=1.2.3+{uids[7]}")


def test_a_pacs_that_is_not_configured(slicer: sn.Session) -> None:
    with pytest.raises(errors.LinkRefusedError, match="no PACS of that name"):
        opened(slicer, "osirix://?methodName=CMove&accessionNumber=1&server=nobody", agreed=True)
