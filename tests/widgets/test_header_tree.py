"""A header as a tree, without a browser."""

from __future__ import annotations

import json
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import slicer_notebook as sn
from slicer_notebook.dicom.elements import Line, lines
from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.headers import Header
from tests.dicom import make
from tests.dicom.test_elements import item, with_private
from tests.widgets.waiting import Recorder


def shown(widget: sn.HeaderTree) -> list[list[Any]]:
    """The lines that a browser gets."""
    widget._greeted = True  # so that nothing is told twice
    assert widget._done.wait(30)
    sent = Recorder(widget)
    widget._handle_custom_msg({"type": "hello", "ask": "1"}, [])
    assert sent.messages[0][0] == {"type": "ack", "ask": "1"}
    assert sent.messages[-1][0]["type"] == "end"
    rows: list[list[Any]] = []
    for content, buffers in sent.messages:
        if content["type"] == "lines":
            assert content["first"] == len(rows)
            rows += json.loads(zlib.decompress(buffers[0]))
    return rows


def test_the_browser_gets_all_lines_in_order() -> None:
    dataset = with_private()
    rows = shown(sn.HeaderTree(dataset))
    assert [[row[0], *row[2:9]] for row in rows] == [
        [line.depth, line.tag, line.keyword, line.name, line.vr, line.value, line.note, line.creator]
        for line in lines(dataset)
    ]
    assert {row[1] for row in rows} == {0, 1, 2}


def test_a_view_that_cannot_be_heard_yet_is_told_again() -> None:
    widget = sn.HeaderTree(with_private())
    sent = Recorder(widget)
    assert widget._done.wait(30)
    sent.wait(lambda m: m["type"] == "end" and len(sent.of("about")) > 0)
    assert sent.of("lines")[-1]["first"] == 0
    widget.close()


def test_a_thousand_frames_come_in_several_messages() -> None:
    frames = [
        item(FrameContentSequence=Sequence([item(DimensionIndexValues=[1, n], FrameComments="x" * 40)]))
        for n in range(2000)
    ]
    widget = sn.HeaderTree(item(PerFrameFunctionalGroupsSequence=Sequence(frames)))
    rows = shown(widget)
    assert len(rows) == 1 + 2000 * 5
    assert len(widget._messages) > 3
    assert max(map(len, widget._messages)) < 60_000
    assert rows[-1][5] == "LT"


def test_a_view_that_is_made_while_lines_come_gets_them_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slow(_header: Dataset) -> Iterator[Line]:
        each = next(lines(item(PatientID="P1")))
        yield from [each] * 2100
        assert go_on.wait(30)
        yield from [each] * 2000

    monkeypatch.setattr("slicer_notebook.dicom.elements.lines", slow)
    widget = sn.HeaderTree(make.dataset())
    sent = Recorder(widget)
    wait_for(lambda: len(widget._pending) == 100)
    widget._handle_custom_msg({"type": "hello"}, [])
    assert [message["first"] for message in sent.of("lines")][-2:] == [0, 2000]
    assert sent.of("end") == []
    go_on.set()
    sent.wait(lambda message: message["type"] == "end")
    assert [message["first"] for message in sent.of("lines")][-3:] == [0, 2000, 2100]
    assert widget._count == 4100


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def test_lines_that_come_later_are_sent_to_views_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    widget = sn.HeaderTree(make.dataset())
    assert widget._done.wait(30)
    sent = Recorder(widget)
    total = len(shown(widget))
    sent = Recorder(widget)
    widget._pending = [next(lines(item(PatientID="late")))]
    widget._flush()
    ((content, buffers),) = sent.messages
    assert content == {"type": "lines", "first": total}
    assert json.loads(zlib.decompress(buffers[0]))[0][6] == "late"


def test_a_long_value_comes_whole_when_it_is_asked_for() -> None:
    widget = sn.HeaderTree(item(TextValue="word " * 1000 + "end"))
    (row,) = shown(widget)
    assert len(row[6]) == 2000
    assert row[9] == 5003
    sent = Recorder(widget)
    widget._handle_custom_msg({"type": "value", "row": 0, "ask": "2"}, [])
    assert sent.of("value")[0]["value"].endswith("end")
    for other in (1, -1, "0", None):
        widget._handle_custom_msg({"type": "value", "row": other}, [])
    assert len(sent.of("value")) == 1


def test_it_shows_the_header_as_it_was() -> None:
    dataset = make.dataset()
    widget = sn.HeaderTree(dataset)
    del dataset.PatientName
    assert "PatientName" in [row[3] for row in shown(widget)]


def test_a_damaged_header_is_shown_as_far_as_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_header: Dataset) -> Any:
        yield next(lines(item(PatientID="P1")))
        raise RuntimeError("cut off")

    monkeypatch.setattr("slicer_notebook.dicom.elements.lines", broken)
    widget = sn.HeaderTree(make.dataset())
    assert [row[6] for row in shown(widget)] == ["P1"]
    assert "cut off" in widget._end()["problem"]


@pytest.mark.parametrize("header", [None, "1.2.3", b"", {}, object()])
def test_what_is_no_header_is_refused(header: Any) -> None:
    with pytest.raises(ArgumentError, match="header"):
        sn.HeaderTree(header)


def test_an_unknown_privacy_is_refused() -> None:
    with pytest.raises(ArgumentError, match="privacy"):
        sn.HeaderTree(Dataset(), privacy="some")


def test_nothing_of_the_header_is_in_what_the_widget_manager_saves() -> None:
    widget = sn.HeaderTree(make.dataset(PatientName="Secret^Ann"))
    shown(widget)
    state = {key: value for key, value in widget.get_state().items() if key not in ("_esm", "_css")}
    assert "Secret" not in repr(state)
    assert "Chest" not in repr(state)


def test_the_saved_page_is_a_tree_that_opens_without_a_script() -> None:
    page = sn.HeaderTree(with_private())._static_html()
    assert "<summary>DICOM header: 3: Chest, MR</summary>" in page
    assert page.count("<details") == page.count("</details>") == 1 + 1 + 2
    assert page.count("<div") == page.count("</div>")
    assert "<code>0018,0050</code> Slice Thickness: <strong>2.50</strong>" in page
    assert "B_value (SIEMENS MR HEADER): <strong>1000</strong>" in page
    assert '<span style="opacity:.7">2020-01-02</span>' in page
    assert "Not all elements" not in page


def test_the_saved_page_escapes_and_is_bounded() -> None:
    items = [item(TextValue=f"<b>{n}" + "x" * 5000) for n in range(3000)]
    page = sn.HeaderTree(item(ContentSequence=Sequence(items), PatientName="<script>"))._static_html()
    assert "<b>" not in page
    assert "<script>" not in page
    assert len(page) < 20_000
    assert "further items" in page
    assert "Not all elements were saved" in page
    assert page.count("<details") == page.count("</details>")


def strict_dataset() -> Dataset:
    dataset = make.dataset(
        PatientName="Secret^Ann", SeriesDescription="Secret words", PatientSex="F", PatientWeight="77.7", KVP="120"
    )
    dataset.RequestAttributesSequence = Sequence([item(SliceThickness="88.8", ScheduledProcedureStepID="Secret")])
    dataset.MREchoSequence = Sequence([item(EffectiveEchoTime=4.25)])
    dataset.add_new(0x00190010, "LO", "SECRET CREATOR")
    dataset.add_new(0x00191001, "LO", "Secret")
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    return dataset


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_strict_privacy_saves_technical_values_alone(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way == "environment":
        monkeypatch.setenv("SLICER_NOTEBOOK_PRIVACY", "strict")
    dataset = strict_dataset()
    widget = sn.HeaderTree(dataset, privacy="strict" if way == "argument" else None)
    assert "Secret^Ann" in [row[6] for row in shown(widget)]
    page = widget._static_html() + repr(widget)
    assert not re.search("secret", page, re.IGNORECASE)
    for hidden in ("77.7", "88.8", "20200102", "2020-01-02", "P1", "Chest", dataset.SOPInstanceUID, "1.2.3.4"):
        assert f">{hidden}" not in page
        assert hidden not in re.sub(r"\d+\.\d+em|\d+px", "", page) or hidden == "P1"
    assert "Patient&#x27;s Name: <strong>(not saved)</strong>" in page
    assert "Patient&#x27;s Sex: <strong>(not saved)</strong>" in page
    assert "KVP: <strong>120</strong>" in page
    assert "Effective Echo Time: <strong>4.25</strong>" in page
    assert "Explicit VR Little Endian" in page
    assert "were not saved" in page


def test_a_header_shows_as_a_tree_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel's front end gets: the saved page, then the widget that hides it."""
    outputs: list[Any] = []
    monkeypatch.setattr("slicer_notebook.session.headers.in_notebook", lambda: True)
    monkeypatch.setattr("slicer_notebook.widgets.base.in_notebook", lambda: True)
    monkeypatch.setattr("slicer_notebook.widgets.base.show", outputs.append)
    monkeypatch.setattr("IPython.display.display", lambda shown: shown._ipython_display_())
    dataset = make.dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    header = Header(b"", dataset, preamble=None, file_meta=dataset.file_meta)  # type: ignore[arg-type]
    header._ipython_display_()
    first, second = (output.content["data"] for output in outputs)
    assert "data-sn-static" in first["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in second
    assert "Doe^Jane" not in str(second)


def test_a_loaded_volume_stands_for_its_first_instance(indexed: sn.Session) -> None:
    [volume] = indexed.dicom.load(indexed.dicom.series(Modality="CT")[0])
    widget = sn.HeaderTree(volume)
    [row] = [row for row in shown(widget) if row[3] == "SOPInstanceUID"]
    assert row[6] == volume.attributes["DICOM.instanceUIDs"].split()[0]
    widget.close()
