"""``/api/v1`` of a real Slicer."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slicer_notebook as sn
from slicer_notebook.commands.registry import Command, all_commands
from slicer_notebook.commands.rights import HIDDEN, RIGHTS
from tests.gateways.api.serving import events_of
from tests.pacs.peers.data import Data
from tests.pacs.retrieving import until

#: Not given at random: they reach for other machines, or wait for them.
AWAY = ("igtl.", "links.", "pacs.", "sample.", "scene.load_url")


@pytest.fixture(scope="module")
def database(pacs_data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from slicer_notebook.dicom.index import Index

    index = Index(tmp_path_factory.mktemp("api") / "index.sqlite3")
    index.add(*pacs_data.study("thorax").instances.values(), *pacs_data.study("bare").instances.values())
    index.close()
    return index.path


@pytest.fixture(scope="module")
def client(launched: sn.Session, database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Asks a gateway in Slicer that may read and write one folder."""
    folder = tmp_path_factory.mktemp("files")
    how = {"port": 0, "database": str(database), "files": [str(folder)], "allow": ["write"]}
    running = launched.call("gateways.start", kind="rest", **how)
    with httpx.Client(base_url=f"{running['url']}/api/v1", timeout=60, trust_env=False) as client:
        client.folder = folder  # type: ignore[attr-defined]
        yield client
    launched.call("gateways.stop", ids=[running["id"]])


def run(client: httpx.Client, command: str, /, **args: Any) -> Any:
    answer = client.post(f"/commands/{command}", json=args)
    assert answer.status_code == 200, answer.text
    return answer.json()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_volume_there_and_back(slicer: sn.Session, client: httpx.Client) -> None:
    array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    affine = np.diag([1.5, 2.0, 3.0, 1.0])
    made = client.post(
        "/commands/volume.add",
        files={
            "array": ("a.npy", npy(array), "application/x-npy"),
            "affine": ("b.npy", npy(affine), "application/x-npy"),
            "name": (None, "from a client"),
        },
    )
    node = made.json()
    assert node["name"] == "from a client"
    assert node["classes"][0] == "vtkMRMLScalarVolumeNode"
    # The notebook sees it, with the same voxels, and what it changes a client sees.
    volume = slicer["from a client"]
    np.testing.assert_array_equal(volume.array, array)
    got = client.get(f"/volumes/{node['id']}/array")
    np.testing.assert_array_equal(np.load(io.BytesIO(got.content)), array)
    client.put(f"/volumes/{node['id']}/array", content=npy(array + 1), headers={"Content-Type": "application/x-npy"})
    np.testing.assert_array_equal(volume.array, array + 1)
    np.testing.assert_array_equal(np.load(io.BytesIO(client.get(f"/volumes/{node['id']}/affine").content)), affine)
    assert client.get(f"/volumes/{node['id']}").json()["shape"] == [4, 5, 6]
    assert client.delete(f"/nodes/{node['id']}").status_code == 200
    assert client.get(f"/nodes/{node['id']}").status_code == 404


def test_points_and_transforms_in_json(slicer: sn.Session, client: httpx.Client) -> None:
    points = run(client, "markups.add", points=[[1, 2, 3], [4, 5, 6]], name="p", labels=["a", "b"])
    shown = client.get(f"/markups/{points['id']}/points", headers={"Accept": "application/json"}).json()
    assert shown == {"dtype": "<f8", "shape": [2, 3], "values": [[1, 2, 3], [4, 5, 6]]}
    moved = run(client, "transform.add", matrix=[[1, 0, 0, 10], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    run(client, "transform.set_on", node=points, transform=moved)
    world = client.get(f"/markups/{points['id']}/points", headers={"Accept": "application/json"}).json()
    assert world["values"] == [[11, 2, 3], [14, 5, 6]]
    assert client.put(f"/markups/{points['id']}/points", json=[[0, 0, 0]]).status_code == 200
    bad = client.put(f"/markups/{points['id']}/points", json=[[0, 0]])
    assert (bad.status_code, bad.json()["error"]["kind"]) == (422, "ArrayError")


def test_studies_and_pictures(slicer: sn.Session, client: httpx.Client, pacs_data: Data) -> None:
    thorax = pacs_data.study("thorax")
    (found,) = client.get("/studies?StudyDescription=ct*").json()
    assert found["StudyInstanceUID"] == thorax.uid
    series = client.get(f"/studies/{thorax.uid}/series").json()
    assert [each["SeriesInstanceUID"] for each in series] == [each.uid for each in thorax.series]
    assert client.get("/studies/1.2.3/series").status_code == 404
    picture = client.get(f"/series/{thorax.series[0].uid}/thumbnail.png?size=64")
    assert (picture.headers["content-type"], picture.content[:4]) == ("image/png", b"\x89PNG")
    loaded = run(client, "dicom.load", series_uid=thorax.series[0].uid)
    assert len(loaded["volumes"]) == 1
    before = client.get("/views/Red").json()["offset"]
    assert client.patch("/views/Red", json={"offset": before + 2}).json()["offset"] == before + 2
    assert slicer.view("Red").offset == before + 2
    assert client.get("/views/Red.png?width=64&height=48").content[:4] == b"\x89PNG"
    assert client.get("/views/Blue").status_code == 404


def test_files_in_the_folder_and_elsewhere(slicer: sn.Session, client: httpx.Client, tmp_path: Path) -> None:
    folder: Path = client.folder  # type: ignore[attr-defined]
    node = run(client, "volume.add", array=[[[1, 2], [3, 4]]], name="v")
    run(client, "node.save", node=node["id"], path=str(folder / "v.nrrd"))
    assert (folder / "v.nrrd").exists()
    assert run(client, "scene.load", path=str(folder / "v.nrrd"))[0]["name"].startswith("v")
    for name, args in (
        ("node.save", {"node": node["id"], "path": str(tmp_path / "v.nrrd")}),
        ("scene.load", {"path": str(tmp_path / "v.nrrd")}),
        ("dicom.index", {"paths": [str(tmp_path)]}),
        ("dicom.plan_files", {"paths": ["/etc"]}),
    ):
        refused = client.post(f"/commands/{name}", json=args)
        assert refused.status_code == 403, (name, refused.text)
    assert not (tmp_path / "v.nrrd").exists()
    assert client.post("/commands/code.run", json={"code": "1"}).status_code == 403
    assert client.post("/commands/session.quit", json={}).status_code == 403


def test_events_of_the_session(slicer: sn.Session, client: httpx.Client) -> None:
    kinds = []
    with client.stream("GET", "/events?kinds=scene") as stream:
        heard = (event for event in events_of(stream) if "data" in event)
        assert next(heard)["event"] == "hello"
        slicer.add_volume(np.zeros((2, 2, 2), dtype=np.int16), name="told of")
        for event in heard:
            names = [node["name"] for node in json.loads(event["data"])["added"]]
            kinds.append(event["event"])
            if "told of" in names:
                break
    assert set(kinds) == {"scene"}


def test_a_load_as_a_job(slicer: sn.Session, client: httpx.Client, pacs_data: Data) -> None:
    uid = pacs_data.study("thorax").series[0].uid
    job = client.post("/commands/dicom.load?wait=false", json={"series_uid": uid}).json()
    with client.stream("GET", job["events"].removeprefix("/api/v1")) as stream:
        events = [event for event in events_of(stream) if "data" in event]
    assert events[-1]["event"] == "done"
    result = client.get(job["result_url"] if "result_url" in job else f"/jobs/{job['id']}/result").json()
    assert result["volumes"][0]["classes"][0] == "vtkMRMLScalarVolumeNode"


def test_a_result_is_of_the_moment_when_its_job_ended(slicer: sn.Session, client: httpx.Client) -> None:
    slicer.add_volume(np.zeros((2, 2, 2), dtype=np.int16), name="changing")
    job = client.post("/commands/volume.array?wait=false", json={"node": "changing"}).json()
    until(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "done")
    slicer.run("slicer.util.arrayFromVolume(slicer.util.getNode('changing'))[:] = 7")
    assert np.load(io.BytesIO(client.get(f"/jobs/{job['id']}/result").content)).sum() == 0
    assert np.load(io.BytesIO(client.get("/volumes/changing/array").content)).sum() == 56


def test_code_where_it_is_switched_on(slicer: sn.Session) -> None:
    running = slicer.gateways.start("rest", port=0, allow=["exec"])
    with httpx.Client(base_url=f"{running.url}/api/v1", timeout=60, trust_env=False) as client:
        slicer.add_volume(np.zeros((2, 2, 2), dtype=np.int16), name="v")
        node = "slicer.util.getNode('v')"
        found = run(client, "code.eval", expression=f"[{node}, {{'a': slicer.util.arrayFromVolume({node})}}]")
        assert found[0]["name"] == "v"
        assert found[1]["a"]["shape"] == [2, 2, 2]
        failed = client.post("/commands/code.run", json={"code": "1 / 0"})
        assert (failed.status_code, failed.json()["error"]["kind"]) == (422, "RemoteError")
        assert "ZeroDivisionError" in failed.json()["error"]["details"]["traceback"]
    running.stop()


def test_the_gateway_ends_while_a_client_listens(launched: sn.Session) -> None:
    running = launched.gateways.start("rest", port=0)
    ended = threading.Event()

    def listen() -> None:
        with httpx.Client(timeout=60, trust_env=False) as other:
            try:
                with other.stream("GET", f"{running.url}/api/v1/events") as stream:
                    begun.set()
                    for _ in stream.iter_lines():
                        pass
            except httpx.HTTPError:
                pass
        ended.set()

    begun = threading.Event()
    threading.Thread(target=listen, daemon=True).start()
    assert begun.wait(30)
    running.stop()
    assert ended.wait(30)


def _values(name: str, command: Command) -> st.SearchStrategy[Any]:
    """Something for an argument: odd, of the right kind now and then, and names of what is there."""
    numbers = st.integers(-3, 40) | st.integers() | st.floats() | st.sampled_from([2**31, 2**63, -(2**31) - 1])
    text = st.sampled_from(
        ["Red", "1", "odd", "vtkMRMLScalarVolumeNode", "vtkMRMLNode", "", "Axial", "FourUp"]
    ) | st.text(max_size=8)
    simple = st.none() | st.booleans() | numbers | text
    lists = st.lists(st.lists(numbers, min_size=3, max_size=3), max_size=3) | st.lists(simple, max_size=4)
    return simple | lists | st.dictionaries(st.sampled_from(["id", "name", "x"]), simple, max_size=2)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_arguments_make_no_failure(slicer: sn.Session, client: httpx.Client, data: st.DataObject) -> None:
    """No arguments whatever make Slicer fail in a way that nobody thought of, or hang."""
    free = [
        command
        for command in all_commands()
        if RIGHTS.get(command.name) and RIGHTS[command.name].kind == "free" and not command.name.startswith(AWAY)
    ]
    command = data.draw(st.sampled_from(free))
    required = [
        name for name, each in command.signature.parameters.items() if each.default is each.empty and name not in HIDDEN
    ]
    optional = [name for name in command.signature.parameters if name not in HIDDEN and name not in required]
    args = {name: data.draw(_values(name, command), name) for name in required}
    for name in data.draw(st.lists(st.sampled_from(optional), unique=True, max_size=2)) if optional else []:
        args[name] = data.draw(_values(name, command), name)
    if not client.get("/nodes/odd").is_success:
        run(client, "volume.add", array=[[[1, 2], [3, 4]]], name="odd")
    answer = client.post(
        f"/commands/{command.name}?wait=20", content=json.dumps(args), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (200, 400, 403, 404, 406, 409, 422), (
        command.name,
        args,
        answer.status_code,
        answer.text,
    )
