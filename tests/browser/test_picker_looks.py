"""How the study picker looks in each state, theme and width, to whom it is usable, and what it leaves in a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.catalogue import HOSPITAL, Study, hospital_studies
from tests.browser.lab import SHORT, Lab, Notebook, theme, write_notebook
from tests.browser.picking import WINDOW, Desk, Looking, newest, open_study

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

STUDIES = hospital_studies()
ROOT = ".sn-picker"
THEMES = ("Light", "Dark")


@pytest.fixture
def picker(desk: Desk) -> Locator:
    return desk.picker()


def cut_off(picker: Locator) -> list[str]:
    """Controls that stick out of the picker, and parts that would have to be scrolled sideways."""
    found: list[str] = picker.evaluate(
        """(root) => {
            const box = root.getBoundingClientRect();
            const parts = [...root.querySelectorAll("button, input, select, .sn-card, .sn-tally, .sn-note, .sn-empty")];
            const outside = parts.filter((part) => {
                const own = part.getBoundingClientRect();
                if (own.width === 0 || part.closest(".sn-table")) return false;
                return own.left < box.left - 0.5 || own.right > box.right + 0.5;
            });
            const wide = [root, ...root.querySelectorAll(".sn-head, .sn-filters, .sn-series, .sn-queue, .sn-foot")]
                .filter((part) => part.scrollWidth > part.clientWidth + 1);
            return [...outside, ...wide].map((part) => `${part.className}: ${part.textContent.slice(0, 40)}`);
        }"""
    )
    return found


def without_paths(picker: Locator) -> None:
    """Put a neutral folder in place of the tests' own, which is nothing for a picture in the docs."""
    picker.evaluate(
        r"""(root) => {
            const own = /\/tmp\/(\S+\/)?(?=\S+\/\S|\S+\.sqlite3)/g;
            const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
            while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replace(own, "/data/");
        }"""
    )


# -- looks and accessibility ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THEMES)
def test_each_state_looks_right_and_axe_finds_nothing(
    desk: Desk, picker: Locator, axe: Looking, screenshots: Path, name: str
) -> None:
    page, end = desk.page, "" if name == "Light" else "_dark"
    wrong: dict[str, list[str]] = {}

    def look(state: str, *, keep: bool = False) -> None:
        wrong[state] = axe(page, ROOT) + cut_off(picker)
        if keep:
            desk.notebook.scroll_to(picker)
            picker.screenshot(path=screenshots / f"picker_{state}{end}.png")

    with theme(page, name):
        look("studies", keep=True)
        picker.get_by_role("searchbox").fill("muller")
        expect(picker.locator("mark").first).to_be_visible()
        expect(picker.locator(".sn-card img")).to_have_count(3, timeout=SHORT)
        look("search", keep=True)
        picker.get_by_role("searchbox").fill("xyz")
        picker.locator(".sn-chip[data-modality]").first.click()
        expect(picker.locator(".sn-empty")).to_be_visible()
        look("nothing", keep=True)
        picker.get_by_role("button", name="Clear the filters").click()
        picker.get_by_role("searchbox").fill("")
        picker.locator(".sn-columns-button").click()
        picker.locator(".sn-when").select_option("range")
        look("columns")
        picker.locator(".sn-columns-button").click()
        picker.locator(".sn-when").select_option("any")
        picker.locator(".sn-th[data-column=date] button").click()
        look("sorted")
        picker.locator(".sn-th[data-column=name] button").click()
        picker.locator(".sn-hide-names").click()
        look("hidden", keep=True)
        picker.locator(".sn-hide-names").click()
        open_study(picker, newest("CT CT CT"))
        picker.get_by_role("searchbox").fill("")
        picker.locator(".sn-select-all").click()
        picker.locator(".sn-card").nth(1).focus()
        assert picker.locator(".sn-series-title").evaluate(
            """(title) => {
                const text = document.createRange();
                text.selectNodeContents(title);
                // A fraction of a pixel is enough for an ellipsis.
                return text.getBoundingClientRect().width <= title.getBoundingClientRect().width + 0.02;
            }"""
        ), "the study's title is cut, though there is room"
        look("chosen")
        with desk.busy():
            picker.locator(".sn-load-button").click()
            expect(picker.locator(".sn-load").first.locator(".sn-load-facts")).to_contain_text(
                "12 of 12 files", timeout=SHORT
            )
            look("loading", keep=True)
        expect(picker.locator(".sn-note-good")).to_be_visible(timeout=SHORT)
        look("loaded", keep=True)
    assert not any(wrong.values()), json.dumps({key: value for key, value in wrong.items() if value}, indent=1)


@pytest.mark.parametrize("name", THEMES)
def test_what_went_wrong_is_readable_too(
    desk: Desk, picker: Locator, axe: Looking, screenshots: Path, name: str
) -> None:
    study = newest("CT PT")
    cards = open_study(picker, study)
    with desk.files_gone(study, 2):
        cards.nth(1).dblclick()
        expect(picker.locator(".sn-load[data-state=failed]")).to_be_visible(timeout=SHORT)
    with theme(desk.page, name):
        desk.notebook.scroll_to(picker)
        without_paths(picker)
        picker.screenshot(path=screenshots / f"picker_failed{'' if name == 'Light' else '_dark'}.png")
        assert axe(desk.page, ROOT) + cut_off(picker) == []


@pytest.mark.parametrize("cell", [360, 520, 800, 1400])
def test_narrow_and_wide_cells_cut_nothing_off(
    desk: Desk, picker: Locator, axe: Looking, screenshots: Path, cell: int
) -> None:
    open_study(picker, newest("CT CT CT"))
    picker.get_by_role("searchbox").fill("")
    desk.page.set_viewport_size({"width": max(1440, cell + 500), "height": 1300})
    picker.evaluate("(node, width) => node.closest('.sn-host').style.width = width", f"{cell}px")
    picker.locator(".sn-select-all").click()
    with desk.busy():
        picker.locator(".sn-load-button").click()
        expect(picker.locator(".sn-load")).to_have_count(3, timeout=SHORT)
        desk.notebook.scroll_to(picker)
        assert picker.evaluate("node => node.getBoundingClientRect().width") == cell
        picker.screenshot(path=screenshots / f"picker_{cell}px.png")
        row = picker.locator(".sn-load").first
        places = [row.locator(part).bounding_box() for part in (".sn-bar", ".sn-load-cancel")]
        assert places[0]
        assert places[1]
        assert places[0]["x"] < places[1]["x"], "the cancel button is not at the bar's end"
        assert cut_off(picker) + axe(desk.page, ROOT) == []
    expect(picker.locator(".sn-note-good")).to_be_visible(timeout=SHORT)
    desk.page.set_viewport_size(WINDOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", [870, 1000])
def test_beside_the_series_no_column_is_cut_off(desk: Desk, picker: Locator, cell: int) -> None:
    """A window with JupyterLab's file browser open, also with the wider table of one that is sorted by date."""
    desk.page.set_viewport_size({"width": max(1440, cell + 500), "height": 1300})
    picker.evaluate("(node, width) => node.closest('.sn-host').style.width = width", f"{cell}px")
    table, series = picker.locator(".sn-table"), picker.locator(".sn-series-pane")
    for column in ("name", "date"):
        picker.locator(f".sn-th[data-column={column}] button").click()
        expect(picker.locator(f".sn-th[data-column={column}]")).to_have_attribute("aria-sort", re.compile("ending"))
        assert table.evaluate("node => node.scrollWidth - node.clientWidth") == 0
        left, right = table.bounding_box(), series.bounding_box()
        assert left
        assert right
        assert left["x"] + left["width"] <= right["x"] + 1, "the panes are below each other"
        assert cut_off(picker) == []
    desk.page.set_viewport_size(WINDOW)  # type: ignore[arg-type]


def test_at_200_percent_all_is_there_and_works(
    desk: Desk, browser: Browser, lab: Lab, axe: Looking, screenshots: Path
) -> None:
    """A window of half as many CSS pixels, each of two of the screen's: what zooming in the browser does."""
    context = browser.new_context(viewport={"width": 720, "height": 450}, device_scale_factor=2)
    notebook = desk.another(context.new_page(), lab)
    picker = notebook.run("picker = ").locator(ROOT)
    cards = open_study(picker, newest("MR MR"))
    cards.nth(0).click()
    picker.get_by_role("searchbox").fill("")
    assert cut_off(picker) + axe(notebook.page, ROOT) == []
    notebook.page.screenshot(path=screenshots / "picker_200_percent.png")
    picker.locator(".sn-load-button").click()
    expect(picker.locator(".sn-note-good")).to_contain_text("Loaded 1: T2 HASTE cor", timeout=SHORT)
    context.close()


def test_an_empty_index_and_one_that_cannot_be_read_say_what_to_do(
    desk: Desk, axe: Looking, screenshots: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"this is no database at all" * 400)
    states = (
        ("empty", tmp_path / "new.sqlite3", "The index holds no study yet."),
        ("problem", broken, "broken.sqlite3"),
    )
    for state, place, words in states:
        with desk.index(place):
            picker = desk.notebook.run("picker = sn.StudyPicker").locator(ROOT)
            expect(picker).to_have_attribute("data-view", state, timeout=SHORT)
            expect(picker.locator(".sn-nothing .sn-empty")).to_contain_text(words)
            expect(picker.locator(".sn-foot")).to_be_hidden()
            for name in THEMES:
                with theme(desk.page, name):
                    assert axe(desk.page, ROOT) + cut_off(picker) == []
                    without_paths(picker)
                    picker.screenshot(path=screenshots / f"picker_{state}{'' if name == 'Light' else '_dark'}.png")


# -- names ------------------------------------------------------------------------------------------------------------


def identity(study: Study) -> set[str]:
    """What tells who a patient of the hospital is."""
    names = {part for part in re.split(r"[\^= ]", study.name) if len(part) > 2}
    born = {study.born, f"{study.born[:4]}-{study.born[4:6]}-{study.born[6:]}"}
    referring = {part for part in study.referring.split("^") if len(part) > 1}
    return names | born | referring | {study.id, study.accession, "Motol"}


def all_identity() -> set[str]:
    return set().union(*(identity(study) for study in STUDIES))


def told(text: str, words: set[str]) -> set[str]:
    """Those of the words that stand in a text, plain or escaped as in JSON."""
    folded = text.casefold()
    return {word for word in words if word.casefold() in folded or json.dumps(word)[1:-1].casefold() in folded}


def test_hidden_names_are_nowhere_in_the_page(desk: Desk, picker: Locator) -> None:
    html = "node => node.outerHTML"
    assert told(picker.evaluate(html), all_identity()), "names are shown at first"
    picker.locator(".sn-hide-names").click()
    expect(picker.locator(".sn-hide-names")).to_have_attribute("aria-pressed", "true")
    expect(picker.locator(".sn-patient-name").first).to_have_text(re.compile(r"^P-[0-9A-Z]{4}-[0-9A-Z]{4}$"))
    for _ in range(4):
        assert told(picker.evaluate(html), all_identity()) == set()
        picker.locator(".sn-table").evaluate("node => node.scrollBy(0, 300)")
    columns = "print(picker.hide_names); picker.columns = ['id', 'born', 'accession', 'referring', 'institution']"
    assert desk.notebook.value(columns) == "True"
    expect(picker.locator(".sn-th[data-column=born]")).to_be_visible()
    assert told(picker.evaluate(html), all_identity()) == set()
    # What is hidden is not found either, the pseudonym is.
    pseudonym = picker.locator(".sn-patient-name").first.inner_text()
    for typed, number in (("muller", 0), ("MRN-70113", 0), ("acc880037", 0), ("motol", 0), (pseudonym, None)):
        picker.get_by_role("searchbox").fill(typed)
        if number is None:
            expect(picker.locator(".sn-patient-row")).to_have_count(1)
        else:
            expect(picker.locator(".sn-tally")).to_have_text(f"{number} of {HOSPITAL} studies")
    picker.get_by_role("searchbox").fill("")
    picker.locator(".sn-hide-names").click()
    assert told(picker.evaluate(html), all_identity())


# -- the notebook's file ----------------------------------------------------------------------------------------------


#: All that a picker may know of somebody: of these, privacy="strict" lets nothing into the file.
def everything() -> set[str]:
    words = all_identity()
    for study in STUDIES:
        date = f"{study.date[:4]}-{study.date[4:6]}-{study.date[6:]}"
        words |= {study.uid, study.date, date, study.description, *(kind[2] for kind in study.series)}
    return words


def used_and_saved(page: Page, lab: Lab, index: Path, name: str, options: str) -> tuple[Notebook, str]:
    """Use a picker, save the notebook with the state of its widgets; the file's text."""
    path = write_notebook(
        lab,
        name,
        f"import slicer_notebook as sn\nslicer = sn.launch()\nslicer.dicom.database = {str(index)!r}",
        f"picker = sn.StudyPicker(slicer{options})\npicker",
        "print(len(picker.value))",
    )
    notebook = Notebook(page, lab, path)
    notebook.run("sn.launch()")
    picker = notebook.run("picker = ").locator(ROOT)
    expect(picker.locator(".sn-card img").first).to_be_visible(timeout=SHORT)
    cards = open_study(picker, newest("CT CT CT"))
    cards.nth(1).click()
    picker.locator(".sn-th[data-column=date] button").click()
    picker.locator(".sn-load-button").click()
    expect(picker.locator(".sn-note-good")).to_be_visible(timeout=SHORT)
    cards.nth(0).click()
    assert notebook.text(notebook.run("print(len(")) == "1"
    notebook.save()
    return notebook, (lab.root / path).read_text(encoding="utf-8")


def shown_without_a_kernel(notebook: Notebook) -> None:
    """The state makes a picker that nobody answers: then what was saved is there, and why there is no more."""
    expect(notebook.panel.locator(f"{ROOT} .sn-banner")).to_contain_text("run the cell again", timeout=SHORT)
    expect(notebook.panel.locator("[data-sn-static]")).to_be_visible()
    expect(notebook.panel.locator(f"{ROOT} .sn-head")).to_be_hidden()


def test_strict_leaves_nothing_of_a_patient_in_the_file(page: Page, keeping_lab: Lab, hospital: Path) -> None:
    notebook, text = used_and_saved(page, keeping_lab, hospital, "strict.ipynb", ', privacy="strict"')
    saved: Any = json.loads(text)
    states = saved["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert any("columns" in state["state"] for state in states.values()), "the widgets' state was not saved"
    assert not any(state.get("buffers") for state in states.values()), "bytes, in which nothing can be read here"
    assert told(text, everything()) == set()
    assert "data:image" not in text
    notebook.shut_down()
    # Without a kernel it says what it was.
    again = Notebook(page, keeping_lab, "strict.ipynb")
    shown_without_a_kernel(again)
    expect(again.panel.locator("[data-sn-static]")).to_contain_text("The picker showed 40 studies; privacy: strict.")
    again.shut_down()


def test_the_usual_file_has_the_table_and_the_widgets_state_has_nobody(
    page: Page, keeping_lab: Lab, hospital: Path, screenshots: Path
) -> None:
    notebook, text = used_and_saved(page, keeping_lab, hospital, "usual.ipynb", "")
    saved: Any = json.loads(text)
    state = saved["metadata"].pop("widgets")
    assert told(json.dumps(state), everything()) == set(), "it would outlive a cleared output"
    assert {STUDIES[0].shown_name.split(",")[0], STUDIES[0].id} <= told(json.dumps(saved), everything())
    notebook.shut_down()
    again = Notebook(page, keeping_lab, "usual.ipynb")
    shown_without_a_kernel(again)
    static = again.panel.locator("[data-sn-static]")
    expect(static.get_by_text(STUDIES[0].id).first).to_be_visible()
    expect(static.locator("img").first).to_be_visible()
    static.evaluate("node => node.scrollIntoView({block: 'start'})")
    box = static.bounding_box()
    assert box is not None
    page.screenshot(path=screenshots / "picker_reopened.png", clip={**box, "height": 480})  # type: ignore[typeddict-item]
    again.shut_down()


def test_hidden_names_are_hidden_in_the_file(page: Page, keeping_lab: Lab, hospital: Path) -> None:
    notebook, text = used_and_saved(page, keeping_lab, hospital, "hidden.ipynb", ", hide_names=True")
    assert told(text, all_identity()) == set()
    assert "P-" in text
    notebook.shut_down()
