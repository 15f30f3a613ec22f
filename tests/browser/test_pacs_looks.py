"""How the form of PACS looks at each width and zoom, how it is used, what it leaves in a file, what it outlives."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from slicer_notebook import testing
from tests.browser.asking import MANY, ROOT, Asking, asking_of
from tests.browser.lab import SHORT, Lab, Notebook, theme, write_notebook
from tests.browser.picking import WINDOW, Looking
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel, a Slicer and an archive.
pytestmark = pytest.mark.timeout(300)

ALL = ("hospital", "research", "many")


@pytest.fixture(scope="module")
def asking(
    browser: Browser, lab: Lab, hospital: Path, orthanc: testing.Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asking]:
    with (
        asking_of(browser, lab, hospital, orthanc, tmp_path_factory.mktemp("looks")) as found,
        Liar(lies=Lies(invented=MANY)) as many,
    ):
        found.knows("many", many.url)
        yield found


def wide(form: Locator, pixels: int) -> None:
    """Give the form that width, in a window that has room for it."""
    form.page.set_viewport_size({"width": max(1440, pixels + 500), "height": 1300})
    form.evaluate("(node, width) => node.closest('.sn-host').style.width = width", f"{pixels}px")
    expect(form).to_have_js_property("offsetWidth", pixels)


def cut_off(form: Locator) -> list[str]:
    """Dates, numbers and headings that are cut, controls that stick out, and parts that scroll sideways."""
    found: list[str] = form.evaluate(
        """(root) => {
            const box = root.getBoundingClientRect();
            const all = (...selectors) => [...root.querySelectorAll(selectors.join(", "))];
            const wide = (node) => node.scrollWidth > node.clientWidth;
            const whole = all(".sn-q-tbody [data-column=date]", ".sn-q-tbody .sn-q-number", ".sn-q-th");
            const cut = whole.filter((cell) => wide(cell) || [...cell.querySelectorAll(".sn-q-text")].some(wide));
            const outside = all("button", "input", "select", ".sn-q-note", ".sn-q-tr").filter((part) => {
                const own = part.getBoundingClientRect();
                return own.width > 0 && (own.left < box.left - 0.5 || own.right > box.right + 0.5);
            });
            const parts = [".sn-q-table", ".sn-q-form", ".sn-q-head", ".sn-q-foot", ".sn-q-status", ".sn-q-transfers"];
            const sideways = [root, ...all(...parts)].filter((part) => part.scrollWidth > part.clientWidth + 1);
            return [...cut, ...outside, ...sideways].map(
                (part) => `${part.className} ${part.dataset.column ?? ""}: ${part.textContent.slice(0, 40)}`);
        }"""
    )
    return found


@pytest.mark.parametrize("servers", [("hospital",), ALL], ids=["one", "three"])
def test_no_width_cuts_a_date_or_a_number(
    asking: Asking, axe: Looking, screenshots: Path, servers: tuple[str, ...]
) -> None:
    form = asking.form(*servers)
    asking.search(form, name="a")
    wrong: dict[str, list[str]] = {}
    # A larger font needs wider columns.
    for size in ("13px", "16px"):
        form.evaluate("(node, size) => node.style.setProperty('font-size', size)", size)
        for pixels in range(360, 1120, 40):
            wide(form, pixels)
            for column in ("date", "images"):
                heading = form.locator(f".sn-q-th[data-column={column}] button")
                if heading.count():
                    heading.click()
            asking.notebook.wait(lambda: not cut_off(form), f"nothing cut at {pixels} px, {size}: {cut_off(form)}", 3)
    form.evaluate("node => node.style.removeProperty('font-size')")
    for name in ("Light", "Dark"):
        with theme(asking.page, name):
            for pixels in (480, 700, 860, 1000, 1400):
                wide(form, pixels)
                # The page draws itself anew for a theme and a width: what stays cut is wrong.
                with contextlib.suppress(AssertionError):
                    asking.notebook.wait(lambda: not cut_off(form), "nothing cut", 3)
                wrong[f"{name} {pixels}"] = cut_off(form)
                if len(servers) > 1 and (name == "Dark") is (pixels in (700, 1000)):
                    asking.notebook.scroll_to(form)
                    form.screenshot(path=screenshots / f"pacs_{pixels}px.png")
            wrong[name] = axe(asking.page, ROOT)
    asking.page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    assert not any(wrong.values()), json.dumps({key: value for key, value in wrong.items() if value}, indent=1)


def test_at_200_percent_all_is_there_and_works(
    asking: Asking, browser: Browser, lab: Lab, axe: Looking, screenshots: Path
) -> None:
    """A window of half as many CSS pixels, each of two of the screen's: what zooming in the browser does."""
    context = browser.new_context(viewport={"width": 720, "height": 450}, device_scale_factor=2)
    notebook = another(asking, context.new_page(), lab, "zoomed.ipynb")
    form = notebook.run("query = sn.PacsQuery").locator(ROOT)
    expect(form.locator(".sn-q-server")).to_have_count(len(asking.servers), timeout=SHORT)
    study = next(each for each in asking.studies if len(each.series) == 2)
    row = asking.study(form, study)
    assert cut_off(form) == []
    assert axe(notebook.page, ROOT) == []
    page_is_no_wider(notebook.page)
    row.locator(".sn-q-hit").click()
    notebook.scroll_to(form)
    notebook.page.screenshot(path=screenshots / "pacs_200_percent.png")
    form.locator(".sn-q-retrieve").first.click()
    expect(form.locator(".sn-q-transfer")).to_have_attribute("data-state", "done", timeout=SHORT)
    assert cut_off(form) == []
    context.close()


def another(asking: Asking, page: Page, lab: Lab, name: str, options: str = "") -> Notebook:
    """A second notebook on the same Slicer and index, in a page of its own; its session is there."""
    file = asking.notebook.value("print(slicer._launched.connection_file)")
    index = asking.slicer.dicom.database
    path = write_notebook(
        lab,
        name,
        f"import slicer_notebook as sn\nslicer = sn.connect({file!r})\nslicer.dicom.database = {str(index)!r}",
        f"query = sn.PacsQuery(slicer, servers=['hospital']{options})\nquery",
    )
    found = Notebook(page, lab, path)
    found.run("sn.connect")
    return found


def page_is_no_wider(page: Page) -> None:
    wider = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) <= 0
    notebook = ".jp-WindowedPanel-outer"
    assert page.locator(notebook).first.evaluate("node => node.scrollWidth - node.clientWidth") <= 1


# -- any tag, saved searches ------------------------------------------------------------------------------------------


def test_any_attribute_is_asked_for_by_keyword_or_number(asking: Asking) -> None:
    form = asking.form("hospital")
    with_heart = {each.uid for each in asking.studies if any(kind[3] == "HEART" for kind in each.series)}
    for attribute in ("BodyPartExamined", "0018,0015"):
        form.locator(".sn-q-add-tag").click()
        tag = form.locator(".sn-q-tag").last
        expect(tag.locator(".sn-q-keyword")).to_be_focused()
        tag.locator(".sn-q-keyword").fill(attribute)
        tag.locator(".sn-q-value").fill("HEART")
        tag.locator(".sn-q-value").press("Enter")
        # An attribute of series leaves out no study: all of them would be looked through.
        form.get_by_role("button", name="Search all").click()
        expect(form.locator(".sn-q-asked[data-state=done]")).to_be_visible(timeout=SHORT)
        expect(form.locator(".sn-q-study")).to_have_count(min(len(with_heart), shown(form)), timeout=SHORT)
        keys = form.locator(".sn-q-study").evaluate_all("rows => rows.map((row) => row.dataset.key.split(' ')[1])")
        assert set(keys) <= with_heart
        expect(form.locator(".sn-q-asked")).to_contain_text(f"{len(with_heart)} stud")
        tag.get_by_role("button", name="Take this row away").click()
        expect(form.locator(".sn-q-tag")).to_have_count(0)
    form.locator(".sn-q-add-tag").click()
    form.locator(".sn-q-keyword").fill("BodyPart")
    form.locator(".sn-q-value").fill("HEART")
    form.locator(".sn-q-value").press("Enter")
    expect(form.get_by_role("alert").filter(has_text="BodyPart")).to_contain_text("BodyPartExamined", timeout=SHORT)


def shown(form: Locator) -> int:
    """Rows that are in the page."""
    return form.locator(".sn-q-study").count()


def test_a_saved_search_is_there_after_a_reload(asking: Asking) -> None:
    form = asking.form("hospital", "research")
    form.locator("[data-field=name]").fill("García*")
    form.locator("[data-field=description]").fill("CT")
    form.locator(".sn-q-modality[data-modality=CT]").click()
    form.locator(".sn-q-when").select_option("month")
    form.locator(".sn-q-limit").fill("25")
    form.locator(".sn-q-add-tag").click()
    form.locator(".sn-q-keyword").fill("BodyPartExamined")
    form.locator(".sn-q-value").fill("CHEST")
    form.get_by_role("button", name="Saved searches").click()
    form.locator(".sn-q-saved-name").fill("chest of the month")
    form.locator(".sn-q-saved-name").press("Enter")
    use = form.locator(".sn-q-saved-use", has_text="chest of the month")
    expect(use).to_be_visible(timeout=SHORT)
    before = fields(form)
    assert before["name"] == "García*"
    asking.again()
    form = asking.form("hospital")
    for field in ("name", "description"):
        form.locator(f"[data-field={field}]").fill("")
    assert fields(form) != before
    form.get_by_role("button", name="Saved searches").click()
    form.locator(".sn-q-saved-use", has_text="chest of the month").click()
    expect(form.locator("[data-field=name]")).to_have_value("García*")
    assert fields(form) == before
    form.get_by_role("button", name="Delete chest of the month").click()
    expect(form.locator(".sn-q-saved-use")).to_have_count(0)


def fields(form: Locator) -> dict[str, Any]:
    """All that the form asks for."""
    found: dict[str, Any] = form.evaluate(
        """(root) => {
            const all = (selector, node = root) => [...node.querySelectorAll(selector)];
            return {
                ...Object.fromEntries(all("[data-field]").map((each) => [each.dataset.field, each.value])),
                pressed: all(".sn-q-chip[aria-pressed=true]").map((each) => each.textContent),
                when: root.querySelector(".sn-q-when").value,
                limit: root.querySelector(".sn-q-limit").value,
                anywhere: root.querySelector(".sn-q-anywhere").checked,
                tags: all(".sn-q-tag").map((tag) => all("input", tag).map((each) => each.value)),
            };
        }"""
    )
    return found


# -- by keyboard alone ------------------------------------------------------------------------------------------------


def test_all_of_it_goes_by_keyboard(asking: Asking) -> None:
    form, page = asking.form("hospital"), asking.page
    keyboard = page.keyboard
    form.locator("[data-field=name]").focus()
    # Each Tab goes to the next of what is shown, and nothing holds it.
    seen = []
    while not (seen and seen[-1] == "sn-q-search") and len(seen) < 60:
        seen.append(page.evaluate("() => [...document.activeElement.classList].at(-1)"))
        keyboard.press("Tab")
    order = [
        seen.index(each) for each in ("sn-q-when", "sn-q-modality", "sn-q-add-tag", "sn-q-anywhere", "sn-q-search")
    ]
    assert order == sorted(order)
    form.locator("[data-field=name]").focus()
    keyboard.type("a")
    keyboard.press("Enter")
    expect(form.locator(".sn-q-asked[data-state=done]")).to_be_visible(timeout=SHORT)
    for _ in range(60):
        if form.locator(".sn-q-table").evaluate("node => node === document.activeElement"):
            break
        keyboard.press("Tab")
    expect(form.locator(".sn-q-table")).to_be_focused()

    def active() -> str:
        found = form.locator(".sn-q-table").evaluate(
            "node => document.getElementById(node.getAttribute('aria-activedescendant')).dataset.key"
        )
        return str(found)

    first = active()
    keyboard.press("ArrowDown")
    second = active()
    assert second != first
    keyboard.press("Space")
    expect(form.locator(f".sn-q-study[data-key='{second}']")).to_have_attribute("aria-selected", "true")
    keyboard.press("ArrowUp")
    assert active() == first
    keyboard.press("ArrowRight")
    expect(form.locator(".sn-q-series").first).to_be_visible(timeout=SHORT)
    for _ in range(3):
        keyboard.press("ArrowDown")
        if len(active().split()) == 3:
            break
    series = active()
    keyboard.press("Space")
    expect(form.locator(f".sn-q-series[data-key='{series}']")).to_have_attribute("aria-selected", "true")
    keyboard.press("ArrowLeft")
    assert active() == first
    keyboard.press("ArrowLeft")
    expect(form.locator(".sn-q-series")).to_have_count(0)
    # From the table on to the buttons.
    for _ in range(20):
        keyboard.press("Tab")
        if form.locator(".sn-q-retrieve").first.evaluate("node => node === document.activeElement"):
            break
    keyboard.press("Enter")
    expect(form.locator(".sn-q-transfer").first).to_have_attribute("data-state", "done", timeout=SHORT)
    assert asking.notebook.value("print(len(query.value))") == "2"


# -- privacy ----------------------------------------------------------------------------------------------------------


def identity(asking: Asking) -> set[str]:
    """What tells who the patients of the hospital are."""
    words: set[str] = set()
    for each in asking.studies:
        words |= {part for part in re.split(r"[\^= ]", each.name) if len(part) > 3}
        words |= {part for part in each.referring.split("^") if len(part) > 3}
        words |= {each.id, each.accession, each.born, f"{each.born[:4]}-{each.born[4:6]}-{each.born[6:]}"}
    return words


def told(text: str, words: set[str]) -> set[str]:
    """Those of the words that stand in a text, plain or escaped as in JSON."""
    return {word for word in words if word in text or json.dumps(word)[1:-1] in text}


def test_hidden_names_are_nowhere_in_the_page(asking: Asking) -> None:
    form = asking.form("hospital")
    asking.search(form, id="MRN*")
    html = "node => node.outerHTML"
    words = identity(asking)
    expect(form.locator(".sn-q-study").first).to_be_visible(timeout=SHORT)
    assert told(form.evaluate(html), words), "names are shown at first"
    form.get_by_role("button", name=re.compile("hide.*names", re.IGNORECASE)).click()
    expect(form.locator(".sn-q-study [data-column=name]").first).to_have_text(re.compile(r"^P-"))
    form.locator(".sn-q-study [data-column=date]").first.click()
    expect(form.locator(".sn-q-series").first).to_be_visible(timeout=SHORT)
    for _ in range(3):
        assert told(form.evaluate(html), words) == set()
        form.locator(".sn-q-table").evaluate("node => node.scrollBy(0, 200)")
    assert asking.notebook.value("print(query.hide_names)") == "True"


def test_strict_leaves_nothing_of_a_patient_in_the_file(asking: Asking, page: Page, keeping_lab: Lab) -> None:
    notebook = another(asking, page, keeping_lab, "strict.ipynb", ", privacy='strict'")
    form = notebook.run("query = sn.PacsQuery").locator(ROOT)
    expect(form.locator(".sn-q-server")).to_have_count(len(asking.servers), timeout=SHORT)
    study = next(each for each in asking.studies if len(each.series) == 2)
    row = asking.study(form, study)
    row.locator(".sn-q-hit").click()
    form.locator(".sn-q-retrieve").first.click()
    expect(form.locator(".sn-q-transfer").first).to_have_attribute("data-state", "done", timeout=SHORT)
    notebook.save()
    text = (keeping_lab.root / "strict.ipynb").read_text(encoding="utf-8")
    assert "widget-state+json" in text, "the widgets' state was not saved"
    words = identity(asking)
    for each in asking.studies:
        words |= {each.uid, f"{each.date[:4]}-{each.date[4:6]}-{each.date[6:]}", *(kind[2] for kind in each.series)}
    assert told(text, words) == set()
    assert "data:image" not in text
    assert "privacy: strict" in text


# -- transfers --------------------------------------------------------------------------------------------------------


def test_a_transfer_is_watched_paused_and_goes_on(asking: Asking, axe: Looking, screenshots: Path) -> None:
    form = asking.form("hospital")
    study = next(each for each in asking.studies if len(each.series) == 3)
    row = asking.study(form, study)
    asking.line.limit(120_000)
    row.locator(".sn-q-hit").click()
    form.locator(".sn-q-retrieve").first.click()
    transfer = form.locator(".sn-q-transfer")
    facts = transfer.locator(".sn-q-transfer-facts")
    total = sum(12 for _ in study.series)
    expect(facts).to_have_text(re.compile(rf"[1-9]\d* of {total} · [\d.,]+ [kM]B/s · .+ left"), timeout=SHORT)
    parts = transfer.locator(".sn-q-part")
    expect(parts).to_have_count(len(study.series))
    for index in range(len(study.series)):
        expect(parts.nth(index).locator(".sn-q-part-facts")).to_contain_text("of 12")
        expect(parts.nth(index).get_by_role("progressbar")).to_have_attribute("aria-valuemax", "100")
    assert [text.split()[0] for text in parts.locator(".sn-q-part-name").all_inner_texts()] == ["1", "2", "3"]
    asking.page.set_viewport_size({"width": 1440, "height": 1200})
    asking.notebook.scroll_to(form)
    form.screenshot(path=screenshots / "pacs_transfer.png")
    asking.page.set_viewport_size(WINDOW)  # type: ignore[arg-type]
    assert cut_off(form) + axe(asking.page, ROOT) == []
    transfer.locator("[data-control=log]").click()
    expect(transfer.locator(".sn-q-log li").first).to_be_visible(timeout=SHORT)
    transfer.locator("[data-control=pause]").click()
    expect(transfer).to_have_attribute("data-state", "paused", timeout=SHORT)
    (entry,) = asking.slicer.transfers.entries()
    assert entry.received < total
    asking.line.heal()
    transfer.locator("[data-control=pause]").click()
    expect(transfer).to_have_attribute("data-state", "done", timeout=SHORT)
    expect(facts).to_have_text(re.compile(rf"{total} of {total} · .+B in .+"))
    (entry,) = asking.slicer.transfers.entries()
    assert entry.complete


def test_a_transfer_goes_on_over_a_reload_of_the_page_and_a_new_kernel(asking: Asking, page: Page, lab: Lab) -> None:
    asking.form("hospital")
    notebook = another(asking, page, lab, "restarted.ipynb")
    form = notebook.run("query = sn.PacsQuery").locator(ROOT)
    expect(form.locator(".sn-q-server")).to_have_count(len(asking.servers), timeout=SHORT)
    study = next(each for each in asking.studies if len(each.series) == 3)
    row = asking.study(form, study)
    asking.line.stall_after(300_000)
    row.locator(".sn-q-hit").click()
    form.locator(".sn-q-retrieve").first.click()
    expect(form.locator(".sn-q-transfer")).to_have_attribute("data-state", "going", timeout=SHORT)
    asking.notebook.wait(lambda: asking.slicer.transfers.entries()[0].received > 0, "the first instances")
    notebook.save()
    # The page is loaded anew: the output of the cell is there again, and the same form, as long as its kernel lives.
    notebook = Notebook(page, lab, "restarted.ipynb")
    again = notebook.panel.locator(ROOT)
    expect(again.locator(".sn-q-transfer")).to_have_attribute("data-state", "going", timeout=2 * SHORT)
    expect(again.locator("[data-field=accession]")).to_have_value(study.accession)
    # Another kernel, that knows nothing of it.
    page.evaluate(
        """async () => {
            await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart();
            await window.jupyterapp.commands.execute("notebook:clear-all-cell-outputs");
        }"""
    )
    notebook.run("sn.connect")
    form = notebook.run("query = sn.PacsQuery").locator(ROOT)
    transfer = form.locator(".sn-q-transfer")
    expect(transfer).to_have_attribute("data-state", "going", timeout=SHORT)
    asking.line.heal()
    expect(transfer).to_have_attribute("data-state", "done", timeout=3 * SHORT)
    (entry,) = asking.slicer.transfers.entries()
    assert entry.complete
    assert entry.received == 12 * len(study.series)
