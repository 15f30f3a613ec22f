"""The study picker in a real JupyterLab: find, choose, load, stop, by mouse and by keyboard."""

from __future__ import annotations

import datetime
import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.catalogue import HOSPITAL, hospital_studies
from tests.browser.lab import CELL_TIMEOUT, SHORT, Lab
from tests.browser.picking import WINDOW, Desk, newest, open_study

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

STUDIES = hospital_studies()


@pytest.fixture
def picker(desk: Desk) -> Locator:
    return desk.picker()


def tally(picker: Locator, number: int) -> None:
    expect(picker.locator(".sn-tally")).to_have_text(f"{number} of {HOSPITAL} studies")


def first_cells(picker: Locator, column: str, count: int = 8) -> list[str]:
    """The texts of a column in the first rows."""
    return picker.locator(f".sn-study-row .sn-td[data-column={column}]").all_inner_texts()[:count]


def iso(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


# -- finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "marks", "fits"),
    [
        ("muller", "Müller", lambda study: study.name.startswith("Müller")),
        ("CELIK ayse", "Çelik", lambda study: study.name.startswith("Çelik")),
        ("иванова", "Иванова", lambda study: study.name.startswith("Иванова")),
        ("قباني", "قباني", lambda study: study.name.startswith("قباني")),
        ("山田", None, lambda study: study.name.startswith("Yamada")),
        ("하", None, lambda study: False),
        ("клетка ГРУДНАЯ", "Грудная", lambda study: study.description.startswith("Грудная")),
        ("MRN-70113", "MRN-70113", lambda study: study.id == "MRN-70113"),
        ("acc880037", None, lambda study: study.accession == "ACC880037"),
        (STUDIES[9].date, iso(STUDIES[9].date), lambda study: study.date == STUDIES[9].date),
        ("pt whole", "PT", lambda study: study.description.startswith("PET")),
        ("haste", "haste", lambda study: study.description.startswith("MR Herz")),
    ],
)
def test_typing_leaves_what_matches_and_marks_it(picker: Locator, typed: str, marks: str | None, fits: object) -> None:
    assert callable(fits)
    expected = [study for study in STUDIES if fits(study)]
    search = picker.get_by_role("searchbox")
    search.press_sequentially(typed)
    tally(picker, len(expected))
    uids = picker.locator(".sn-study-row").evaluate_all("rows => rows.map((row) => row.dataset.uid)")
    assert set(uids) <= {study.uid for study in expected}
    assert bool(uids) == bool(expected)
    if marks:
        expect(picker.locator("mark").get_by_text(marks, exact=True).first).to_be_visible()
    search.press("Escape")
    expect(search).to_have_value("")
    expect(picker.locator(".sn-tally")).to_have_text(f"{HOSPITAL} studies")


def test_nothing_found_says_what_was_searched_and_offers_a_way_out(picker: Locator) -> None:
    search = picker.get_by_role("searchbox")
    search.fill("xyz")
    empty = picker.locator(".sn-empty")
    expect(empty).to_contain_text("No study matches “xyz”.")
    expect(empty).to_contain_text("40 studies were searched.")
    expect(picker).to_have_attribute("data-view", "nothing")
    search.fill("")
    picker.locator(".sn-chip[data-modality=MR]").click()
    search.fill("xyz")
    expect(empty).to_contain_text(
        f"The filters leave {len([s for s in STUDIES if 'MR' in s.description])} of 40 studies"
    )
    picker.get_by_role("button", name="Clear the search").click()
    expect(search).to_be_focused()
    expect(picker).to_have_attribute("data-view", "studies")
    picker.locator(".sn-when").select_option("today")
    expect(empty).to_contain_text("No study passes the filters.")
    picker.get_by_role("button", name="Clear the filters").click()
    expect(picker.locator(".sn-tally")).to_have_text(f"{HOSPITAL} studies")


def test_another_program_chooses_what_is_listed(picker: Locator, desk: Desk) -> None:
    database = desk.hospital
    request = {"request": "modality == 'PT' OR modality == 'MR'", "table": "Study", "execute": "Select"}
    found = desk.slicer.call("osirix.call", method="DBWindowFind", params=request, database=database)
    tally(picker, len(found["elements"]))
    chip = picker.get_by_role("button", name="Selected", exact=True)
    expect(chip).to_be_visible()
    name = STUDIES[0].name
    params = {"PatientName": name}
    desk.slicer.call("osirix.call", method="DisplayStudyListByPatientName", params=params, database=database)
    expect(picker.get_by_role("searchbox")).to_have_value(name.replace("^", " "))
    expect(chip).to_be_hidden()
    picker.get_by_role("searchbox").press("Escape")
    desk.slicer.call("osirix.call", method="SelectAlbum", params={"name": "Database"}, database=database)
    tally(picker, HOSPITAL)
    picker.get_by_role("button", name="Database", exact=True).click()
    expect(picker.locator(".sn-tally")).to_have_text(f"{HOSPITAL} studies")


def test_filters_of_modality_and_date(picker: Locator) -> None:
    chips = {name: picker.locator(f".sn-chip[data-modality={name}]") for name in ("CT", "MR", "PT")}
    of = {name: [s for s in STUDIES if any(kind[1] == name for kind in s.series)] for name in chips}
    for name, chip in chips.items():
        expect(chip.locator(".sn-chip-count")).to_have_text(str(len(of[name])))
    chips["MR"].click()
    expect(chips["MR"]).to_have_attribute("aria-pressed", "true")
    tally(picker, len(of["MR"]))
    chips["PT"].click()
    tally(picker, len(of["MR"]) + len(of["PT"]))
    when = picker.locator(".sn-when")
    when.select_option("month")
    tally(picker, len([s for s in STUDIES[:3] if s in of["MR"] or s in of["PT"]]))
    chips["MR"].click()
    chips["PT"].click()
    tally(picker, 3)
    for choice, number in (("today", 1), ("week", 2), ("year", 4)):
        when.select_option(choice)
        tally(picker, number)
    expect(picker.locator(".sn-from")).to_be_hidden()
    when.select_option("range")
    first, last = iso(STUDIES[30].date), iso(STUDIES[20].date)
    picker.locator(".sn-from").fill(first)
    picker.locator(".sn-to").fill(last)
    tally(picker, 11)
    picker.locator(".sn-to").fill("")
    tally(picker, 31)


def test_sorting_by_a_column_and_back_to_patients(picker: Locator) -> None:
    days = sorted((iso(study.date) for study in STUDIES), reverse=True)
    head = picker.locator(".sn-th[data-column=date]")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(picker.locator(".sn-patient-row")).to_have_count(0)
    assert first_cells(picker, "date") == days[:8]
    assert days[0] == f"{datetime.date.today()}"
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert first_cells(picker, "date") == days[::-1][:8]
    series = picker.locator(".sn-th[data-column=series]")
    series.get_by_role("button").click()
    expect(series).to_have_attribute("aria-sort", "descending")
    expect(head).to_have_attribute("aria-sort", "none")
    assert first_cells(picker, "series") == ["3"] * 8
    name = picker.locator(".sn-th[data-column=name]")
    name.get_by_role("button").click()
    expect(name).to_have_attribute("aria-sort", "ascending")
    # By patient: folded and opened, the others stay.
    patient = picker.locator(".sn-patient-row").first
    rows = picker.locator(".sn-study-row")
    first = rows.first.get_attribute("data-uid")
    patient.click()
    expect(patient).to_have_attribute("aria-expanded", "false")
    expect(rows.first).not_to_have_attribute("data-uid", str(first))
    patient.click()
    expect(rows.first).to_have_attribute("data-uid", str(first))


def test_columns_are_chosen_and_the_kernel_knows(desk: Desk, picker: Locator) -> None:
    button = picker.locator(".sn-columns-button")
    button.click()
    menu = picker.locator(".sn-columns-menu")
    expect(menu).to_be_visible()
    menu.locator("[data-column=accession]").check()
    menu.locator("[data-column=description]").uncheck()
    expect(picker.locator(".sn-th[data-column=accession]")).to_be_visible()
    expect(picker.locator(".sn-th[data-column=description]")).to_have_count(0)
    known = {study.uid: study.accession for study in STUDIES}
    rows = picker.locator(".sn-study-row")
    for row in rows.all()[:5]:
        expect(row.locator("[data-column=accession]")).to_have_text(known[str(row.get_attribute("data-uid"))])
    desk.page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()
    assert desk.notebook.value("print(*picker.columns)") == "date modalities accession series images"
    desk.notebook.value("picker.columns = ['institution', 'sex']")
    expect(picker.locator(".sn-th[data-column=institution]")).to_be_visible()
    expect(picker.locator(".sn-study-row").first.locator("[data-column=institution]")).to_have_text("Nemocnice Motol")
    expect(menu.locator("[data-column=accession]")).not_to_be_checked()


# -- choosing --------------------------------------------------------------------------------------------------------


def test_choosing_by_mouse_with_shift_and_all_at_once(desk: Desk, picker: Locator) -> None:
    study = newest("CT CT CT")
    cards = open_study(picker, study)
    expect(cards.nth(0)).to_contain_text("128 \u00d7 128 \u00d7 12")
    load = picker.locator(".sn-load-button")
    expect(load).to_be_disabled()
    cards.nth(0).click()
    expect(load).to_have_text("Load")
    cards.nth(2).click(modifiers=["Shift"])
    expect(picker.locator(".sn-card[aria-selected=true]")).to_have_count(3)
    expect(load).to_have_text("Load 3 series")
    expect(picker.locator(".sn-note")).to_contain_text("3 series chosen, 36 images")
    expect(picker.locator(".sn-study-row .sn-chosen")).to_have_text("3")
    cards.nth(1).click()
    expect(cards.nth(1)).to_have_attribute("aria-selected", "false")
    # What is chosen stays, in whichever study one looks.
    open_study(picker, newest("MR MR")).nth(0).click()
    expect(picker.locator(".sn-note")).to_contain_text("3 series chosen, 36 images")
    picker.locator(".sn-select-all").click()
    expect(load).to_have_text("Load 4 series")
    chosen = [f"{study.uid}.1", f"{study.uid}.3", *(f"{newest('MR MR').uid}.{number}" for number in (1, 2))]
    assert json.loads(desk.notebook.value("import json; print(json.dumps(picker.selected))")) == chosen
    picker.locator(".sn-select-all").click()
    expect(load).to_have_text("Load 2 series")
    picker.locator(".sn-clear").click()
    expect(load).to_be_disabled()
    # And the other way round.
    desk.notebook.value(f"picker.selected = ['{newest('MR MR').uid}.2']")
    expect(picker.locator(".sn-card").nth(1)).to_have_attribute("aria-selected", "true")


# -- loading ---------------------------------------------------------------------------------------------------------


def test_several_are_loaded_one_waits_one_is_cancelled(desk: Desk, picker: Locator) -> None:
    study = newest("CT CT CT")
    cards = open_study(picker, study)
    picker.locator(".sn-select-all").click()
    loads = {number: picker.locator(f".sn-load[data-series='{study.uid}.{number}']") for number in (1, 2, 3)}
    with desk.busy():
        picker.locator(".sn-load-button").click()
        expect(loads[1]).to_have_attribute("data-state", "loading", timeout=SHORT)
        expect(loads[1].get_by_role("progressbar")).to_have_accessible_name("Loading 1: Thorax 1.0 B70f")
        expect(loads[1].locator(".sn-load-facts")).to_contain_text("12 of 12 files", timeout=SHORT)
        for number in (2, 3):
            expect(loads[number]).to_have_attribute("data-state", "waiting")
        expect(cards.nth(1)).to_contain_text("Waiting")
        loads[2].locator(".sn-load-cancel").click()
        expect(loads[2]).to_have_count(0, timeout=SHORT)
        assert desk.notebook.value("print(picker.value)") == "[]"
    expect(picker.locator(".sn-load")).to_have_count(0, timeout=SHORT)
    expect(picker.locator(".sn-note-good")).to_contain_text("Loaded 1: Thorax 1.0 B70f, 3: Thorax sagittal MPR.")
    assert desk.volumes() == ["1: Thorax 1.0 B70f", "3: Thorax sagittal MPR"]
    assert desk.notebook.value("print(*(volume.name for volume in picker.value), sep=' | ')") == (
        "1: Thorax 1.0 B70f | 3: Thorax sagittal MPR"
    )
    expect(cards.nth(0)).to_contain_text("In the scene")
    expect(cards.nth(1)).not_to_contain_text("In the scene")
    # Only what was not loaded is still chosen.
    expect(picker.locator(".sn-card[aria-selected=true]")).to_have_attribute("data-uid", f"{study.uid}.2")


def test_what_is_cancelled_while_it_loads_leaves_nothing(desk: Desk, picker: Locator) -> None:
    study = newest("CT CT CT")
    cards = open_study(picker, study)
    before = len(desk.slicer.nodes())
    cards.nth(0).click()
    with desk.busy():
        picker.locator(".sn-load-button").click()
        load = picker.locator(".sn-load[data-state=loading]")
        expect(load.locator(".sn-load-facts")).to_contain_text("12 of 12 files", timeout=SHORT)
        load.get_by_role("button", name="Cancel 1: Thorax 1.0 B70f").click()
        # At once, though Slicer's main thread is at something else.
        expect(picker.locator(".sn-load")).to_have_count(0, timeout=SHORT)
        expect(picker.locator(".sn-note")).to_have_text("Nothing was loaded: cancelled.")
    assert len(desk.slicer.nodes()) == before
    assert desk.notebook.value("print(picker.value)") == "[]"
    # It is still chosen: a second press loads it.
    picker.locator(".sn-load-button").click()
    expect(picker.locator(".sn-note-good")).to_contain_text("Loaded", timeout=SHORT)
    assert desk.volumes() == ["1: Thorax 1.0 B70f"]


def test_a_double_click_loads_and_shows_and_again_only_shows(desk: Desk, picker: Locator) -> None:
    cards = open_study(picker, newest("CT CT CT"))
    for number, name in ((0, "1: Thorax 1.0 B70f"), (1, "2: Thorax coronal MPR")):
        cards.nth(number).dblclick()
        expect(cards.nth(number)).to_contain_text("In the scene", timeout=SHORT)
        expect(picker.locator(".sn-load")).to_have_count(0, timeout=SHORT)
        assert shown(desk) == name
    cards.nth(0).dblclick()
    desk.notebook.wait(lambda: shown(desk) == "1: Thorax 1.0 B70f", "the first volume in the Red view")
    assert len(desk.volumes()) == 2


def shown(desk: Desk) -> str:
    """The volume in the background of the Red view."""
    composite = "slicer.app.applicationLogic().GetSliceLogicByLayoutName('Red').GetSliceCompositeNode()"
    name: str = desk.slicer.eval(
        f"(lambda node: node.GetName() if node else '')"
        f"(slicer.mrmlScene.GetNodeByID({composite}.GetBackgroundVolumeID() or ''))"
    )
    return name


def test_an_error_stands_where_it_happened_and_can_be_tried_again(desk: Desk, picker: Locator) -> None:
    study = STUDIES[5]
    cards = open_study(picker, study)
    with desk.files_gone(study, 1):
        cards.nth(0).dblclick()
        load = picker.locator(".sn-load[data-state=failed]")
        expect(load.get_by_role("alert")).to_contain_text("1: T2 HASTE cor", timeout=SHORT)
        words = load.get_by_role("alert").inner_text()
        assert "file" in words.lower(), words
        assert load.locator(".sn-hint").inner_text(), "no word of what to do"
        expect(cards.nth(0).locator(".sn-card-error")).to_be_visible()
        assert desk.volumes() == []
    load.get_by_role("button", name="Try again").click()
    expect(picker.locator(".sn-note-good")).to_contain_text("Loaded", timeout=SHORT)
    expect(load).to_have_count(0)
    expect(cards.nth(0).locator(".sn-card-error")).to_have_count(0)
    assert desk.volumes() == ["1: T2 HASTE cor"]


def test_what_was_loaded_is_chosen_no_more(desk: Desk, picker: Locator) -> None:
    open_study(picker, newest("CT CT CT"))
    picker.locator(".sn-select-all").click()
    with desk.busy():
        picker.locator(".sn-load-button").click()
        expect(picker.locator(".sn-load")).to_have_count(3, timeout=SHORT)
    expect(picker.locator(".sn-note-good")).to_contain_text("and 1 more", timeout=SHORT)
    expect(picker.locator(".sn-card[aria-selected=true]")).to_have_count(0)
    expect(picker.locator(".sn-load-button")).to_be_disabled()
    assert desk.notebook.value("print(picker.selected, len(picker.value))") == "[] 3"


# -- without a mouse -------------------------------------------------------------------------------------------------


def test_from_the_cell_to_a_loaded_volume_without_a_mouse(desk: Desk, picker: Locator) -> None:
    press = desk.page.keyboard.press
    desk.notebook.cell("picker = ").locator(".jp-InputPrompt").click()
    focused = "node => node.contains(document.activeElement) && document.activeElement.className"
    for _ in range(12):
        press("Tab")
        if "sn-search-input" in str(picker.evaluate(focused)):
            break
    search = picker.get_by_role("searchbox")
    expect(search).to_be_focused()
    assert search.evaluate("node => getComputedStyle(node.closest('.sn-search')).boxShadow") != "none"
    desk.page.keyboard.type("muller pet")
    study = next(s for s in STUDIES if s.name.startswith("Müller") and s.description.startswith("PET"))
    press("ArrowDown")
    table = picker.locator(".sn-table")
    expect(table).to_be_focused()
    if picker.locator(".sn-patient-row.sn-active").count():
        press("ArrowDown")
    row = picker.locator(f".sn-study-row[data-uid='{study.uid}']")
    expect(row).to_have_attribute("aria-selected", "true")
    expect(table).to_have_attribute("aria-activedescendant", str(row.get_attribute("id")))
    press("Enter")
    cards = picker.locator(".sn-card[data-uid]")
    expect(cards.nth(0)).to_be_focused(timeout=SHORT)
    cells = desk.notebook.panel.locator(".jp-CodeCell").count()
    for key in ("a", "b", "d", "d", "m"):
        press(key)
    assert desk.notebook.panel.locator(".jp-CodeCell").count() == cells, "JupyterLab's own keys came through"
    press("ArrowRight")
    expect(cards.nth(1)).to_be_focused()
    assert cards.nth(1).evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    press("Space")
    expect(cards.nth(1)).to_have_attribute("aria-selected", "true")
    press("Enter")
    expect(picker.locator(".sn-note-good")).to_contain_text("Loaded 2: FDG AC WB", timeout=SHORT)
    assert desk.volumes() == ["2: FDG AC WB"]
    # Back: to the table, to the search, and out.
    press("Escape")
    expect(table).to_be_focused()
    press("/")
    expect(search).to_be_focused()


def test_every_part_is_reached_by_tab_and_does_what_it_says(desk: Desk, picker: Locator) -> None:
    press = desk.page.keyboard.press
    open_study(picker, newest("CT CT CT")).nth(0).click()
    picker.get_by_role("searchbox").focus()
    reached: list[str] = []
    for _ in range(60):
        press("Tab")
        inside = "node => node.contains(document.activeElement) ? document.activeElement.className || 'plain' : ''"
        name = str(picker.evaluate(inside))
        if not name:
            break
        reached.append(name)
    parts = ("sn-hide-names", "sn-columns-button", "sn-refresh", "sn-when", "sn-chip", "sn-table", "sn-select-all")
    for part in (*parts, "sn-card", "sn-clear", "sn-load-button"):
        assert any(part in name for name in reached), f"Tab never comes to {part}: {reached}"
    # A date, by keys alone.
    picker.get_by_role("searchbox").fill("")
    picker.locator(".sn-when").focus()
    press("ArrowDown")
    tally(picker, 1)
    press("Home")
    picker.locator(".sn-chip[data-modality=PT]").focus()
    press("Space")
    expect(picker.locator(".sn-chip[data-modality=PT]")).to_have_attribute("aria-pressed", "true")
    expect(picker.locator(".sn-chip[data-modality=PT]")).to_be_focused()


# -- two notebooks ---------------------------------------------------------------------------------------------------


def test_two_notebooks_on_one_slicer_see_the_same_queue(desk: Desk, picker: Locator, page: Page, lab: Lab) -> None:
    page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    second = desk.another(page, lab)
    other = second.run("picker = ").locator(".sn-picker")
    expect(other.locator(".sn-card img").first).to_be_visible(timeout=CELL_TIMEOUT)
    study = newest("MR MR")
    open_study(picker, study)
    picker.locator(".sn-select-all").click()
    with desk.busy():
        picker.locator(".sn-load-button").click()
        for each in (picker, other):
            expect(each.locator(".sn-load[data-state=loading]")).to_contain_text("1: T2 HASTE cor", timeout=SHORT)
            expect(each.locator(".sn-load[data-state=waiting]")).to_contain_text("2: T1 VIBE ax")
        expect(other.locator(".sn-load").first).to_contain_text("asked for elsewhere")
        # The second one stops what the first has asked for.
        other.locator(".sn-load[data-state=waiting] .sn-load-cancel").click()
        for each in (picker, other):
            expect(each.locator(".sn-load")).to_have_count(1, timeout=SHORT)
    expect(picker.locator(".sn-note-good")).to_contain_text("Loaded 1: T2 HASTE cor", timeout=SHORT)
    expect(other.locator(".sn-load")).to_have_count(0)
    expect(other.locator(".sn-note-good")).to_have_count(0)
    open_study(other, study)
    expect(other.locator(".sn-card").first).to_contain_text("In the scene")
    assert second.value("print(picker.value)") == "[]", "what another notebook has loaded is not this one's value"
    assert desk.notebook.value("print(len(picker.value))") == "1"
