"""The table of segments in a browser, without a notebook around it: its widget's model is the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.widgets.segment_table import SegmentTable
from tests.browser.lab import SHORT

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect

_PAGE = """<!doctype html><html lang="en"><title>Segments</title>
<body><main><h1>Segments</h1><div id="w"></div></main>"""

#: A model as anywidget's, which keeps what is sent and is told what Slicer would say.
_MODEL = """
async ([source, css]) => {
  const style = document.createElement("style");
  style.textContent = css;
  document.head.append(style);
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const widget = (await import(url)).default;
  const heard = {};
  window.sent = [];
  window.model = {
    get: (name) => (name === "_status" ? { state: "live" } : undefined),
    on: (name, f) => (heard[name] ??= []).push(f),
    off: (name, f) => (heard[name] = (heard[name] ?? []).filter((each) => each !== f)),
    send: (message) => {
      const { ask, ...words } = message;
      window.sent.push(words);
      window.tell({ type: "ack", ask });
    },
  };
  window.tell = (message) => [...(heard["msg:custom"] ?? [])].forEach((f) => f(message));
  window.end = widget.render({ model: window.model, el: document.getElementById("w") });
}
"""


def row(number: int, **facts: Any) -> dict[str, Any]:
    base = {"id": f"S{number}", "name": f"segment {number}", "color": "#ff8000", "visible": True, "opacity": 1.0}
    return {**base, "term": "Tissue", **facts}


class Desk:
    """The widget in its page."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_content(_PAGE)
        page.evaluate(_MODEL, [SegmentTable._esm, SegmentTable._css])
        self.root = page.locator(".sn-segments")

    def tell(self, kind: str, **words: Any) -> None:
        self.page.evaluate("(message) => window.tell(message)", {"type": kind, **words})

    def rows(self, *rows: dict[str, Any], kind: str = "all", selected: str | None = None) -> None:
        order = [each["id"] for each in rows]
        self.tell(kind, name="organs", visible=True, order=order, rows=list(rows), selected=selected)

    def sent(self) -> list[dict[str, Any]]:
        """What the person has asked for since the last look."""
        found: list[dict[str, Any]] = self.page.evaluate("window.sent.splice(0)")
        return [each for each in found if each["type"] != "hello"]

    def row(self, number: int) -> Any:
        return self.root.locator(f'[data-id="S{number}"]')

    def names(self) -> list[str]:
        found: list[str] = self.root.locator(".sn-seg-text").all_text_contents()
        return found


@pytest.fixture(scope="module")
def module_page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 900, "height": 620}, device_scale_factor=1)
    yield context.new_page()
    context.close()


@pytest.fixture
def desk(module_page: Any) -> Desk:
    found = Desk(module_page)
    found.rows(row(1), row(2, name="<b>spleen</b>", color="#0000ff"), row(3, visible=False, opacity=0.4))
    found.sent()
    return found


def test_rows_are_as_they_are_told(desk: Desk) -> None:
    assert desk.names() == ["segment 1", "<b>spleen</b>", "segment 3"]
    expect(desk.row(2).locator("input[type=color]")).to_have_value("#0000ff")
    expect(desk.row(3).locator("input[type=range]")).to_have_value("40")
    expect(desk.row(3).get_by_role("button", name="Show segment 3")).to_have_attribute("aria-pressed", "false")
    expect(desk.root).to_contain_text("3 segments")
    desk.tell("news", name="organs", visible=False, order=["S3", "S1"], rows=[row(3, name="third")])
    assert desk.names() == ["third", "segment 1"]
    expect(desk.root.get_by_role("button", name="Show the segmentation")).to_have_attribute("aria-pressed", "false")
    desk.tell("measures", values={"S1": {"voxels": 12345, "volume_mm3": 4.25, "mean": None, "std": None, "min": 1,
                                         "max": 2, "median": 1, "sampled": 3}})  # fmt: skip
    expect(desk.row(1)).to_contain_text("12,345")
    expect(desk.row(1)).to_contain_text("4.25")
    desk.tell("measures", values={"S1": None})
    expect(desk.row(1)).not_to_contain_text("12,345")
    desk.rows()
    expect(desk.root).to_contain_text("No segments yet")
    desk.tell("gone")
    expect(desk.root.get_by_role("button", name="Add")).to_be_disabled()


def test_the_mouse(desk: Desk) -> None:
    desk.row(1).get_by_role("button", name="Show segment 1").click()
    desk.row(2).locator("input[type=range]").fill("25")
    desk.row(2).locator("input[type=color]").fill("#123456")
    desk.row(2).locator(".sn-seg-text").dblclick()
    desk.root.locator(".sn-seg-edit").fill("spleen")
    desk.page.keyboard.press("Enter")
    assert [each for each in desk.sent() if each["type"] != "select"] == [
        {"type": "visible", "id": "S1", "visible": False},
        {"type": "opacity", "id": "S2", "opacity": 0.25},
        {"type": "color", "id": "S2", "color": "#123456"},
        {"type": "rename", "id": "S2", "name": "spleen"},
    ]
    # What was asked for is shown at once; a refusal brings back what is.
    assert desk.names()[1] == "spleen"
    desk.rows(row(1), row(2), row(3), kind="news")
    assert desk.names()[1] == "segment 2"
    desk.root.get_by_role("button", name="Add").click()
    desk.root.get_by_role("button", name="Measure").click()
    desk.root.get_by_role("button", name="Show the segmentation").click()
    assert [each["type"] for each in desk.sent()] == ["add", "measure", "show_all"]
    desk.row(3).locator(".sn-seg-text").click()
    assert desk.sent() == [{"type": "select", "id": "S3"}]
    away = desk.row(3).locator(".sn-seg-away")
    away.click()
    assert desk.sent() == []
    expect(away).to_have_attribute("aria-label", "Remove segment 3: press again to be sure")
    away.click()
    assert desk.sent() == [{"type": "remove", "id": "S3"}]


def test_a_slider_that_is_dragged_does_not_jump_back(desk: Desk) -> None:
    slider = desk.row(1).locator("input[type=range]")
    slider.fill("70")
    desk.rows(row(1, opacity=0.2), row(2), row(3), kind="news")
    expect(slider).to_have_value("70")
    # What Slicer said is shown when the hand has been still for a moment.
    expect(slider).to_have_value("20", timeout=SHORT)


def test_rows_are_dragged_to_another_place(desk: Desk) -> None:
    desk.row(3).hover()
    desk.row(3).locator(".sn-seg-grip").drag_to(desk.row(1).locator(".sn-seg-text"), target_position={"x": 5, "y": 1})
    assert {"type": "move", "id": "S3", "index": 0} in desk.sent()
    assert desk.names() == ["segment 3", "segment 1", "<b>spleen</b>"]


def test_the_keyboard(desk: Desk) -> None:
    keys = desk.page.keyboard
    desk.row(1).focus()
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("ArrowUp")
    expect(desk.row(2)).to_be_focused()
    expect(desk.row(2)).to_have_attribute("aria-selected", "true")
    keys.press(" ")
    keys.press("Alt+ArrowDown")
    expect(desk.row(2)).to_be_focused()
    keys.press("F2")
    keys.type("name")
    keys.press("Escape")
    keys.press("F2")
    keys.type("other")
    keys.press("Enter")
    expect(desk.row(2)).to_be_focused()
    keys.press("Delete")
    keys.press("Delete")
    assert desk.sent() == [
        {"type": "select", "id": "S2"},
        {"type": "select", "id": "S3"},
        {"type": "select", "id": "S2"},
        {"type": "visible", "id": "S2", "visible": False},
        {"type": "move", "id": "S2", "index": 2},
        {"type": "rename", "id": "S2", "name": "other"},
        {"type": "remove", "id": "S2"},
    ]
    # Tab goes through the controls of one row, then on.
    desk.row(2).focus()
    for name in ("eye", "color", "opacity", "away"):
        keys.press("Tab")
        assert desk.page.evaluate("document.activeElement.closest('[data-id]')?.dataset.id") == "S2", name
    keys.press("Tab")
    assert desk.page.evaluate("document.activeElement.closest('[data-id]')?.dataset.id ?? ''") == ""


def test_two_hundred_rows_are_drawn_within_a_frame_or_two(desk: Desk) -> None:
    rows = [row(number) for number in range(200)]
    desk.rows(*rows)
    desk.tell("selected", id="S199")
    expect(desk.row(199)).to_be_in_viewport()
    # One row that is another takes a fraction of that.
    took = desk.page.evaluate(
        """(message) => {
          const begin = performance.now();
          for (let i = 0; i < 20; i++) window.tell({ ...message, rows: [{ ...message.rows[0], name: `n${i}` }] });
          document.querySelector(".sn-segments").getBoundingClientRect();
          return (performance.now() - begin) / 20;
        }""",
        json.loads(json.dumps({"type": "news", "name": "o", "visible": True,
                               "order": [each["id"] for each in rows], "rows": [rows[7]]})),
    )  # fmt: skip
    assert took < 50, f"{took:.1f} ms"
    assert desk.names()[7] == "n19"


def test_looks_and_accessibility(desk: Desk, axe: Callable[[Any, str], list[str]], screenshots: Path) -> None:
    desk.tell("selected", id="S2")
    desk.tell("measures", values={f"S{n}": {"voxels": 1200 * n, "volume_mm3": 5210.5 * n} for n in (1, 2, 3)})
    for name, colors in (("light", "body {}"), ("dark", _DARK)):
        desk.page.add_style_tag(content=colors)
        assert axe(desk.page, ".sn-segments") == []
        desk.page.screenshot(path=screenshots / f"segment_table_{name}.png")


_DARK = """:root { --jp-layout-color1: #111; --jp-ui-font-color1: #eee; --jp-ui-font-color2: #bbb;
  --jp-border-color1: #666; --jp-border-color2: #444; --jp-brand-color1: #64b5f6; }
body { background: #111; color: #eee }"""
