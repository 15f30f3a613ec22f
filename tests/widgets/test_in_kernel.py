"""Widgets in a real Jupyter kernel: what goes to the browser, from which thread observers are called, what is saved."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

import slicer_notebook as sn

#: Seconds for one cell.
CELL = 60.0


class Kernel:
    """A notebook's kernel, and its front end's ears.

    Args:
        client: of a running kernel.
    """

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        #: state of the widgets, by comm id, as a browser has it
        self.models: dict[str, dict[str, Any]] = {}
        self.displays: list[dict[str, Any]] = []
        #: custom messages of the widgets, by comm id
        self.messages: dict[str, list[dict[str, Any]]] = {}

    def run(self, code: str) -> str:
        """Run a cell; what it printed. Raises `AssertionError` when it raised."""
        return self.end(self.client.execute(code))

    def end(self, identity: str) -> str:
        """Wait until a cell has run; as `run`."""
        printed: list[str] = []
        deadline = time.monotonic() + CELL
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            self._hear(message)
            if message["parent_header"].get("msg_id") != identity:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                raise AssertionError("\n".join(content["traceback"]))
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return "".join(printed)

    def wait(self, condition: Any, what: str) -> None:
        """Listen, while no cell runs, until ``condition()``."""
        deadline = time.monotonic() + CELL
        while not condition():
            try:
                self._hear(self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic())))
            except Empty:
                raise AssertionError(f"not in {CELL:.0f} s: {what}") from None

    def subshell(self) -> str:
        """A new one, as JupyterLab makes it."""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        return str(self.client.get_control_msg(timeout=CELL)["content"]["subshell_id"])

    def say(self, comm_id: str, content: dict[str, Any], subshell: str | None = None) -> None:
        """What the browser would send to a widget."""
        message = self.client.session.msg(
            "comm_msg", {"comm_id": comm_id, "data": {"method": "custom", "content": content}}
        )
        message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)

    def model(self, name: str) -> str:
        """The comm id of the newest widget that has a trait of this name."""
        return [comm_id for comm_id, state in self.models.items() if name in state][-1]

    def said(self, comm_id: str, kind: str) -> list[dict[str, Any]]:
        """Custom messages of a kind that a widget has sent."""
        return [message for message in self.messages.get(comm_id, []) if message["type"] == kind]

    def kinds(self, comm_id: str) -> set[str]:
        """Kinds of custom messages that a widget has sent."""
        return {message["type"] for message in self.messages.get(comm_id, [])}

    def _hear(self, message: Any) -> None:
        content = message["content"]
        if message["msg_type"] == "comm_msg" and content["data"].get("method") == "custom":
            self.messages.setdefault(content["comm_id"], []).append(content["data"]["content"])
        if message["msg_type"] == "comm_open" and content["target_name"] == "jupyter.widget":
            self.models[content["comm_id"]] = dict(content["data"]["state"])
        elif message["msg_type"] == "comm_msg" and content["data"].get("method") == "update":
            self.models[content["comm_id"]].update(content["data"]["state"])
        elif message["msg_type"] in ("display_data", "update_display_data", "execute_result"):
            self.displays.append({"type": message["msg_type"], **content})


@pytest.fixture
def kernel(_own_folders: None) -> Iterator[Kernel]:
    manager: KernelManager
    manager, client = start_new_kernel(kernel_name="python3")
    yield Kernel(client)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def joined(kernel: Kernel, indexed: sn.Session) -> Kernel:
    """A kernel that has joined the tests' Slicer and its index."""
    record = next(each for each in sn.sessions() if each.name == indexed.name)
    kernel.run(
        f"import slicer_notebook as sn\nslicer = sn.connect({record.connection_file!r})\n"
        f"slicer.dicom.database = {indexed.dicom.database!r}"
    )
    return kernel


def test_the_widgets_are_imported_while_slicer_starts(joined: Kernel) -> None:
    joined.run(
        "import sys, threading\n"
        "for thread in threading.enumerate():\n"
        "    if thread.name == 'slicer-notebook-widgets-import': thread.join(30)\n"
        "assert 'slicer_notebook.widgets.study_picker' in sys.modules"
    )


def test_a_job_as_last_expression_is_a_bar_that_ends(joined: Kernel, tmp_path: Path) -> None:
    """Without anybody having imported the widgets."""
    gate = tmp_path / "gate"
    waits = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    joined.run(f"job = slicer.submit('code.run', code={waits!r})\njob")
    bar = joined.model("_job")
    assert joined.models[bar]["_job"]["state"] == "running"
    gate.touch()
    joined.wait(lambda: joined.models[bar]["_job"]["state"] == "done", "the end in the browser")
    joined.wait(lambda: joined.displays[-1]["type"] == "update_display_data", "the end in the saved notebook")
    first, last = joined.displays[0], joined.displays[-1]
    assert "running" in first["data"]["text/html"]
    assert first["transient"]["display_id"] == last["transient"]["display_id"]
    assert 'data-state="done"' in last["data"]["text/html"]
    assert first["data"]["application/vnd.jupyter.widget-view+json"]["model_id"] == bar
    assert "application/vnd.jupyter.widget-view+json" not in last["data"], (
        "a reopened notebook would look for the widget"
    )


def test_cancel_in_the_bar_stops_the_command(joined: Kernel, indexed: sn.Session) -> None:
    joined.run("job = slicer.submit('code.run', code='import time\\nwhile True: time.sleep(0.01)')\njob")
    bar = joined.model("_job")
    joined.say(bar, {"type": "cancel"})
    joined.wait(lambda: joined.models[bar]["_job"]["state"] == "cancelled", "the end")
    assert indexed.eval("1") == 1


def test_a_click_loads_while_no_cell_runs_and_observers_are_on_the_main_thread(joined: Kernel) -> None:
    joined.run(
        "import threading\npicker = sn.StudyPicker(slicer)\nseen = []\n"
        "def look(change):\n"
        "    main = threading.current_thread() is threading.main_thread()\n"
        "    seen.append((main, change.new[0].array.shape))\n"
        "picker.observe(look, 'value')\npicker"
    )
    picker = joined.model("hide_names")
    joined.say(picker, {"type": "hello"})
    joined.wait(lambda: "catalogue" in joined.kinds(picker), "the studies")
    joined.say(picker, {"type": "load", "series": ["1.2.826.0.1.1.1"]})
    joined.wait(
        lambda: any(e["state"] == "done" for m in joined.said(picker, "loads") for e in m["entries"]),
        "the end of loading",
    )
    # Between two cells, which may be a moment later.
    joined.wait(lambda: joined.run("print(len(seen))") == "1\n", "the observer's call")
    assert joined.run("print(seen, len(picker.value))") == "[(True, (12, 32, 32))] 1\n"


def test_pictures_reach_the_browser_while_a_cell_runs(joined: Kernel, indexed: sn.Session) -> None:
    indexed.add_volume(np.arange(8000, dtype=np.int16).reshape(20, 20, 20))
    joined.run("views = sn.ViewThumbnails(slicer, size=(64, 64))\nviews")
    model = joined.model("columns")
    joined.wait(lambda: "views" in joined.kinds(model), "the pictures")
    joined.run(
        "import time\nend = time.monotonic() + 20\nred = slicer.view('Red')\nred.offset = 4.0\n"
        "while views._views[0]['facts']['offset'] != 4.0 and time.monotonic() < end:\n    time.sleep(0.02)"
    )
    # All of it came before that cell's end, which `run` waits for.
    assert joined.said(model, "views")[-1]["views"][0]["offset"] == 4.0


SPEAK = {"its cell": "widget.send({})", "a thread": "Thread(target=widget.send, args=({},)).start()"}


@pytest.mark.parametrize("speak", SPEAK.values(), ids=SPEAK.keys())
def test_a_widget_is_heard_while_a_cell_runs_whoever_spoke_last(kernel: Kernel, speak: str) -> None:
    kernel.run(
        "from threading import Event, Thread\nfrom slicer_notebook.widgets.base import StaticWidget\n"
        "class Ear(StaticWidget):\n    _esm, heard = '', Event()\n"
        "    def _do_word(self, content): self.heard.set()\n"
        "widget = Ear()"
    )
    comm_id, subshell = kernel.model("_static_id"), kernel.subshell()
    cell = kernel.client.execute(f"{speak}\nprint(widget.heard.wait(20))")
    kernel.wait(lambda: comm_id in kernel.messages, "what the widget says")
    kernel.say(comm_id, {"type": "word"}, subshell)
    assert kernel.end(cell) == "True\n"


def test_the_cameras_picture_is_an_output_of_the_cell_with_its_provenance(joined: Kernel) -> None:
    joined.run("views = sn.ViewThumbnails(slicer, size=(64, 64))\nviews")
    model = joined.model("columns")
    place = joined.displays[-1]["transient"]["display_id"]
    for number in (1, 2):
        joined.say(model, {"type": "take", "name": "Red"})
        joined.wait(lambda number=number: len(joined.said(model, "taken")) == number, "the picture")  # type: ignore[misc]
    joined.wait(
        lambda: [d["type"] for d in joined.displays].count("update_display_data") == 2, "both in the cell's output"
    )
    last = joined.displays[-1]
    assert last["transient"]["display_id"] == place
    assert last["data"]["text/html"].count("<img") == 2
    assert [each["view"] for each in last["metadata"]["slicer_notebook"]] == ["Red", "Red"]
    assert joined.run("print([p.provenance['view'] for p in views.pictures])") == "['Red', 'Red']\n"


def test_no_trait_that_the_widget_manager_saves_is_written_by_the_browser(joined: Kernel) -> None:
    """So no echo and no lock of ipywidgets meets a trait that another thread sets."""
    joined.run("picker = sn.StudyPicker(slicer)\npicker")
    picker = joined.model("hide_names")
    joined.say(picker, {"type": "hello"})
    joined.wait(lambda: "catalogue" in joined.kinds(picker), "the studies")
    joined.say(picker, {"type": "select", "series": ["1.2.826.0.1.1.1"]})
    assert joined.run("print(picker.selected)") == "['1.2.826.0.1.1.1']\n"
    assert "1.2.826.0.1.1.1" not in json.dumps(joined.models[picker].get("selected", []))


def test_the_end_of_the_kernel_leaves_the_slicer(joined: Kernel, indexed: sn.Session) -> None:
    joined.run("picker = sn.StudyPicker(slicer)\nviews = sn.ViewThumbnails(slicer)\npicker")
    joined.client.shutdown(reply=True, timeout=CELL)
    assert indexed.eval("3 + 4") == 7
