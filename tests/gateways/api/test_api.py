"""``/api/v1`` over the wire: commands, errors, jobs. What Slicer makes of commands is in `test_slicer`."""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slicer_notebook import errors
from slicer_notebook.gateways import api
from slicer_notebook.gateways.api import arguments, failures, jobs
from slicer_notebook.protocol.values import NodeRef
from tests.gateways.api.serving import Run, Served, afresh, events_of, served
from tests.pacs.retrieving import until

NODE = NodeRef("vtkMRMLScalarVolumeNode1", "CT", ("vtkMRMLScalarVolumeNode", "vtkMRMLNode"))


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture
def web(running: Served) -> Served:
    return afresh(running)


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert set(error) == {"kind", "message", "expected", "got", "hint", "details"}
    return dict(error)


# -- commands ---------------------------------------------------------------------------------------------------------


def test_a_command_and_its_result(web: Served) -> None:
    web.host.does["scene.nodes"] = lambda run: [NODE]
    answer = web.run("scene.nodes", {"class_name": "vtkMRMLScalarVolumeNode"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json() == [{"id": NODE.id, "name": "CT", "classes": list(NODE.classes)}]
    assert web.host.runs[-1].args == {"class_name": "vtkMRMLScalarVolumeNode"}
    # Nothing at all is no argument.
    assert web.client.post("/commands/scene.nodes").json() == answer.json()
    assert web.run("session.ping").json() is None


def test_hidden_arguments_are_filled_in_and_not_taken(web: Served) -> None:
    web.host.does["dicom.studies"] = lambda run: []
    with served(database="/index.sqlite3") as other:
        other.host.does["dicom.studies"] = lambda run: []
        other.run("dicom.studies")
        assert other.host.runs[-1].args == {"database": "/index.sqlite3"}
    refused = web.run("dicom.studies", {"database": "/etc/passwd"})
    assert refused.status_code == 422
    assert error_of(refused)["kind"] == "ArgumentError"
    web.host.does["pacs.find"] = lambda run: {}
    web.run("pacs.find", {"server": "x"})
    assert web.host.runs[-1].args["person"] is False


def test_arrays_in_a_form(web: Served) -> None:
    seen: list[Any] = []
    web.host.does["volume.add"] = lambda run: seen.append(run.args) or NODE
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    buffer = io.BytesIO()
    np.save(buffer, array)
    answer = web.client.post(
        "/commands/volume.add",
        files={
            "array": ("array.npy", buffer.getvalue(), "application/x-npy"),
            "arguments": (None, json.dumps({"name": "made", "labelmap": True}), "application/json"),
            "show": (None, "false"),
        },
    )
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(seen[0].pop("array"), array)
    assert seen[0] == {"name": "made", "labelmap": True, "show": False}


def test_a_large_form_and_a_large_result(web: Served) -> None:
    """64 MiB in and out, the same bytes."""
    web.host.does["volume.set_array"] = lambda run: setattr(web.host, "array", run.args["array"])
    web.host.does["volume.array"] = lambda run: web.host.array  # type: ignore[attr-defined]
    array = np.random.default_rng(1).integers(0, 1 << 15, 32 << 20, dtype=np.int16).reshape(64, 512, 1024)
    buffer = io.BytesIO()
    np.save(buffer, array)
    put = web.client.put("/volumes/CT/array", content=buffer.getvalue(), headers={"Content-Type": "application/x-npy"})
    assert put.status_code == 200, put.text
    got = web.client.get("/volumes/CT/array")
    assert got.content == buffer.getvalue()


def test_an_array_that_does_not_fit_into_memory(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "_ASK_MEMORY_FROM", 1000)
    monkeypatch.setattr(arguments, "memory_available", lambda: 2000)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1000))
    how = {"Content-Type": "application/x-npy"}
    assert web.client.put("/volumes/CT/array", content=buffer.getvalue(), headers=how).status_code == 413
    form = {"array": ("a.npy", buffer.getvalue(), "application/x-npy")}
    assert web.client.post("/commands/volume.add", files=form).status_code == 413
    assert not web.host.runs


def test_pictures(web: Served) -> None:
    web.host.does["view.png"] = lambda run: b"\x89PNG\r\n\x1a\n"
    answer = web.client.get("/views/Red.png?width=200&height=100")
    assert answer.headers["content-type"] == "image/png"
    assert web.host.runs[-1].args == {"name": "Red", "size": (200, 100)}
    assert web.client.get("/views/Red.png").status_code == 200
    assert web.host.runs[-1].args == {"name": "Red"}
    for query in ("width=200", "width=x&height=1", "width=-1&height=1"):
        assert web.client.get(f"/views/Red.png?{query}").status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "command", "args"),
    [
        (
            "GET", "/nodes?class=vtkMRMLModelNode&hidden=true",
            "scene.nodes", {"class_name": "vtkMRMLModelNode", "hidden": True},
        ),
        ("GET", "/nodes/CT%20chest", "scene.node", {"key": "CT chest"}),
        ("DELETE", "/nodes/n1", "node.remove", {"node": "n1"}),
        ("GET", "/nodes/n1/attributes", "node.attributes", {"node": "n1"}),
        ("GET", "/markups/n1/points?world=false", "markups.points", {"node": "n1", "world": False}),
        (
            "GET", "/studies?PatientName=doe*&StudyDate=2024-",
            "dicom.studies", {"filters": {"PatientName": "doe*", "StudyDate": "2024-"}},
        ),
        ("GET", "/studies?limit=5&PatientID=x", "dicom.studies", {"filters": {"PatientID": "x"}, "limit": 5}),
        ("GET", "/studies/1.2.3/series", "dicom.series", {"study_uid": "1.2.3", "filters": {}}),
        ("GET", "/series/1.2/thumbnail.png?size=64", "dicom.thumbnail", {"series_uid": "1.2", "size": 64}),
        ("GET", "/views/Red", "view.state", {"name": "Red"}),
        ("GET", "/loads", "loads.list", {}),
    ],
)  # fmt: skip
def test_natural_urls(web: Served, method: str, path: str, command: str, args: dict[str, Any]) -> None:
    web.host.does[command] = lambda run: None
    answer = web.client.request(method, path)
    assert answer.status_code == 200, answer.text
    found = dict(web.host.runs[-1].args)
    found.pop("database", None)
    assert found == args


def test_natural_urls_with_bodies(web: Served) -> None:
    web.host.does["view.set"] = lambda run: None
    assert web.client.patch("/views/Red", json={"offset": 2.5}).status_code == 200
    assert web.host.runs[-1].args == {"name": "Red", "offset": 2.5}
    assert web.client.patch("/views/Red", json={"name": "Green"}).status_code == 400
    web.host.does["markups.set_points"] = lambda run: None
    assert web.client.put("/markups/p/points", json=[[1, 2, 3]]).status_code == 200
    assert web.host.runs[-1].args == {"node": "p", "points": [[1, 2, 3]]}
    assert web.client.put("/markups/p/points", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert web.client.get("/nodes/n1?id=n2").status_code in (400, 422)
    assert web.client.get("/nodes?hidden=true&hidden=false").status_code == 400
    assert web.client.get("/nodes?nonsense=1").status_code == 422


# -- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NodeNotFoundError("x", expected="a", got="b", hint="c"), 404),
        (errors.UidNotFoundError("x"), 404),
        (errors.ViewNotFoundError("x"), 404),
        (errors.PacsNotFoundError("x"), 404),
        (errors.PathNotFoundError("x"), 404),
        (errors.ItemNotFoundError("x"), 404),
        (errors.AmbiguousNameError("x"), 409),
        (errors.JobCancelledError("x"), 409),
        (errors.ArgumentError("x"), 422),
        (errors.ArrayError("x"), 422),
        (errors.FileFormatError("x"), 422),
        (errors.SeriesRefusedError("x", details={"reason": "mosaic"}), 422),
        (errors.RemoteError("x"), 422),
        (errors.LinkRefusedError("x"), 403),
        (errors.DeadlineError("x"), 504),
        (errors.PacsUnreachableError("x"), 504),
        (errors.PacsAnswerError("x"), 502),
        (errors.StorageError("x"), 507),
        (errors.QtAttributeError("x"), 501),
        (errors.RenderingError("x"), 503),
        (errors.CommandError("x"), 500),
        (errors.IndexDatabaseError("x"), 500),
        (RuntimeError("secret"), 500),
    ],
)
def test_errors_of_commands(web: Served, error: Exception, status: int) -> None:
    def fail(run: Run) -> None:
        raise error

    web.host.does["session.ping"] = fail
    answer = web.run("session.ping")
    assert answer.status_code == status
    found = error_of(answer)
    if isinstance(error, errors.SlicerNotebookError):
        assert found["kind"] == type(error).__name__
        assert found["message"] == "x"
        assert found["details"] == error.details
        assert (found["expected"], found["got"], found["hint"]) == (error.expected, error.got, error.hint)
    else:
        assert found["kind"] == "CommandError"


def test_every_class_of_the_tree_has_a_status() -> None:
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type):
            assert failures.status_of(kind("x")) in {403, 404, 409, 422, 500, 501, 502, 503, 504, 507}


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" * 10_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"code=1", "application/x-www-form-urlencoded", 415),
        (b"x", "", 415),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=b", 400),
        (
            b'--b\r\nContent-Disposition: form-data; name="../x"\r\n\r\n1\r\n--b--',
            "multipart/form-data; boundary=b",
            400,
        ),
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n', "multipart/form-data; boundary=b", 400),
        (
            b'--b\r\nContent-Disposition: form-data; name="array"; filename="a.npy"\r\n\r\nx\r\n--b--',
            "multipart/form-data; boundary=b",
            422,
        ),
        (b" " * (arguments.MOST_JSON + 1), "application/json", 413),
    ],
)
def test_bodies_that_are_none(web: Served, content: bytes, kind: str, status: int) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = web.client.post("/commands/volume.add", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    error_of(answer)
    assert not web.host.runs


def test_arguments_that_do_not_fit(web: Served) -> None:
    for args in ({"nonsense": 1}, {"class_name": 1}, {"hidden": "yes"}, {"host": "x"}):
        answer = web.run("scene.nodes", args)
        assert answer.status_code == 422
        assert error_of(answer)["kind"] == "ArgumentError"
    assert web.run("view.png").status_code == 422
    assert not web.host.runs


def test_unknown_commands_and_resources(web: Served) -> None:
    answer = web.run("scene.nods")
    assert answer.status_code == 404
    assert error_of(answer)["kind"] == "CommandNotFoundError"
    for path in (
        "/nonsense",
        "/commands/x/y",
        "/jobs/x",
        "/jobs/x/result",
        "/jobs/x/events",
        "/commands/gateways.start",
    ):
        answer = web.client.get(path)
        assert answer.status_code == 404
        error_of(answer)
    for method, path in (("PUT", "/session"), ("GET", "/commands/x/y"), ("DELETE", "/commands"), ("POST", "/nodes")):
        answer = web.client.request(method, path)
        assert answer.status_code in (404, 405)
        error_of(answer)
    assert "GET" in web.client.post("/nodes").headers["allow"]


@pytest.mark.parametrize("switch", ["exec", "write", "quit"])
def test_what_is_off(switch: str) -> None:
    command, args = {
        "exec": ("code.eval", {"expression": "1"}),
        "write": ("scene.save", {"path": "/tmp/a.mrb"}),
        "quit": ("session.quit", {}),
    }[switch]
    with served() as web:
        answer = web.run(command, args)
        assert answer.status_code == 403
        assert error_of(answer)["details"] == {"needs": switch}
        listed = web.client.get(f"/commands/{command}").json()
        assert (listed["needs"], listed["available"]) == (switch, False)
        assert not web.host.runs
    with served(allow=(switch,)) as web:
        web.host.does[command] = lambda run: "done"
        assert web.run(command, args).json() == "done"
        assert web.client.get(f"/commands/{command}").json()["available"] is True


def test_the_log_says_why_and_keeps_no_arguments(web: Served) -> None:
    web.run("scene.nods", {"secret": "s3cret"})
    until(lambda: web.lines)
    assert "no command" in web.lines[-1].note
    web.client.get("/studies?PatientName=s3cret&StudyDate=2024")
    until(lambda: len(web.lines) == 2)
    assert web.lines[-1].what == "GET /api/v1/studies?PatientName&StudyDate"
    assert "s3cret" not in repr(web.lines)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_arguments_make_no_failure(web: Served, data: st.DataObject) -> None:
    """Whatever JSON comes to whatever command: it is refused, or it fits and the command is asked."""
    from slicer_notebook.commands.registry import all_commands
    from slicer_notebook.commands.rights import RIGHTS

    free = [each for each in all_commands() if RIGHTS.get(each.name) and RIGHTS[each.name].kind == "free"]
    command = data.draw(st.sampled_from(free))
    web.host.does[command.name] = lambda run: None
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
    names = st.sampled_from([*command.signature.parameters, "x"])
    args = data.draw(st.dictionaries(names, values, max_size=4) | values)
    body = json.dumps(args)
    answer = web.client.post(f"/commands/{command.name}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (200, 400, 403, 404, 422), (command.name, body, answer.text)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.binary(max_size=40)
        | st.sampled_from(
            [
                b"--b\r\n",
                b"--b--",
                b'Content-Disposition: form-data; name="array"; filename="a.npy"\r\n\r\n',
                b'Content-Disposition: form-data; name="name"\r\n\r\n',
                b'Content-Disposition: form-data; name="arguments"\r\nContent-Type: application/json\r\n\r\n{"show":1}',
                b"\r\n",
                b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }",
            ]
        ),
        max_size=8,
    )
)
def test_random_forms_make_no_failure(web: Served, pieces: list[bytes]) -> None:
    web.host.does["volume.add"] = lambda run: None
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = web.client.post("/commands/volume.add", content=b"".join(pieces), headers=headers)
    assert answer.status_code in (200, 400, 422), (pieces, answer.text)


# -- jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_from_its_beginning_to_its_result(web: Served) -> None:
    go = threading.Event()

    def work(run: Run) -> dict[str, Any]:
        run.report(0.1, "odd", object())
        run.report(0.5, "half", [1, 2])
        assert go.wait(30)
        return {"array": np.zeros(3)}

    web.host.does["session.info"] = work
    begun = web.run("session.info", query="?wait=false")
    assert begun.status_code == 202
    job = begun.json()
    assert begun.headers["location"] == job["url"] == f"{api.ROOT}/jobs/{job['id']}"
    assert (job["state"], job["command"], job["result"]) == ("running", "session.info", None)
    path = job["url"].removeprefix(api.ROOT)
    until(lambda: web.client.get(path).json()["progress"]["fraction"] == 0.5)
    assert web.client.get(path).json()["progress"] == {"fraction": 0.5, "text": "half", "data": [1, 2]}
    early = web.client.get(f"{path}/result")
    assert early.status_code == 409
    go.set()
    until(lambda: web.client.get(path).json()["state"] == "done")
    done = web.client.get(path).json()
    assert done["ended"] >= done["created"]
    result = web.client.get(done["result"].removeprefix(api.ROOT))
    assert result.json() == {"array": {"dtype": "<f8", "shape": [3], "values": [0, 0, 0]}}
    assert [each["id"] for each in web.client.get("/jobs").json()] == [job["id"]]
    assert web.client.delete(path).status_code == 200
    assert web.client.get(path).status_code == 404


def test_a_job_that_is_cancelled_and_one_that_fails(web: Served) -> None:
    web.host.does["session.ping"] = lambda run: run.wait()
    job = web.run("session.ping", query="?wait=false").json()
    path = job["url"].removeprefix(api.ROOT)
    web.client.delete(path)
    until(lambda: web.client.get(path).json()["state"] == "cancelled")
    assert web.client.get(f"{path}/result").status_code == 409

    def fail(run: Run) -> None:
        raise errors.NodeNotFoundError("none")

    web.host.does["session.ping"] = fail
    job = web.run("session.ping", query="?wait=false").json()
    path = job["url"].removeprefix(api.ROOT)
    until(lambda: web.client.get(path).json()["state"] == "failed")
    assert web.client.get(path).json()["error"]["kind"] == "NodeNotFoundError"
    assert web.client.get(f"{path}/result").status_code == 404


def test_waiting_for_a_while(web: Served) -> None:
    go = threading.Event()
    web.host.does["session.ping"] = lambda run: go.wait(30)
    soon = web.run("session.ping", query="?wait=0.05")
    assert soon.status_code == 202
    go.set()
    assert web.run("session.ping", query="?wait=30").json() is True
    assert web.client.post("/commands/session.ping", headers={"Prefer": "respond-async"}).status_code == 202
    for wait in ("x", "-1", "nan", "1e9", "inf"):
        assert web.run("session.ping", query=f"?wait={wait}").status_code == 400


def test_a_command_that_takes_too_long(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "WAIT", 0.1)
    web.host.does["session.ping"] = lambda run: run.wait()
    answer = web.run("session.ping")
    assert answer.status_code == 504
    assert error_of(answer)["kind"] == "DeadlineError"
    assert web.host.runs[-1].stopped.wait(30)
    assert web.client.get("/jobs").json() == []


def test_who_hangs_up_cancels_what_they_wait_for(web: Served) -> None:
    web.host.does["session.ping"] = lambda run: run.wait()
    port = int(web.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(f"POST {api.ROOT}/commands/session.ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        until(lambda: web.host.runs)
    assert web.host.runs[-1].stopped.wait(30)
    until(lambda: web.client.get("/jobs").json() == [])


def test_too_many_at_a_time(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_RUNNING", 2)
    web.host.does["session.ping"] = lambda run: run.wait()
    for _ in range(2):
        assert web.run("session.ping", query="?wait=false").status_code == 202
    third = web.run("session.ping")
    assert third.status_code == 429
    assert third.headers["retry-after"]
    assert error_of(third)["kind"] == "BusyError"


def test_jobs_and_results_are_not_kept_for_ever(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_ENDED", 3)
    monkeypatch.setattr(jobs, "MOST_BYTES", 1500)
    web.host.does["session.ping"] = lambda run: np.zeros(125)
    made = []
    for _ in range(5):
        made.append(web.run("session.ping", query="?wait=false").json()["url"].removeprefix(api.ROOT))
        until(lambda: web.client.get(made[-1]).json()["state"] == "done")
    assert len(web.client.get("/jobs").json()) == 3
    assert web.client.get(made[-1] + "/result").status_code == 200
    assert web.client.get(made[-3] + "/result").status_code == 410
    assert web.client.get(made[-3]).json()["result"] is None
    assert web.client.get(made[0]).status_code == 404
    monkeypatch.setattr(jobs, "KEPT_SECONDS", -1.0)
    assert web.client.get("/jobs").json() == []


def test_the_end_of_the_gateway_cancels_jobs() -> None:
    with served() as web:
        web.host.does["session.ping"] = lambda run: run.wait()
        web.run("session.ping", query="?wait=false")
        run = web.host.runs[-1]
    assert run.stopped.is_set()


def test_progress_as_events(web: Served) -> None:
    steps = [threading.Event() for _ in range(3)]

    def work(run: Run) -> str:
        for number, step in enumerate(steps):
            assert step.wait(30)
            run.report(number / 3, f"step {number}", None)
        return "done"

    web.host.does["session.info"] = work
    job = web.run("session.info", query="?wait=false").json()
    seen = []
    with web.client.stream("GET", job["events"].removeprefix(api.ROOT)) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for event in events_of(stream):
            if "data" not in event:
                continue
            data = json.loads(event["data"])
            seen.append((event["event"], data["progress"]["text"]))
            if len(seen) <= 3:
                steps[len(seen) - 1].set()
    assert [kind for kind, _ in seen] == ["progress"] * (len(seen) - 1) + ["done"]
    assert ("progress", "step 0") in seen
    # Who comes later hears how it ended; who knows that already hears nothing more.
    with web.client.stream("GET", job["events"].removeprefix(api.ROOT)) as stream:
        ended = [event for event in events_of(stream) if "data" in event]
    assert [event["event"] for event in ended] == ["done"]
    assert json.loads(ended[0]["data"])["result"] == f"{job['url']}/result"
    headers = {"Last-Event-ID": ended[0]["id"]}
    with web.client.stream("GET", job["events"].removeprefix(api.ROOT), headers=headers) as stream:
        assert [event for event in events_of(stream) if "data" in event] == []
