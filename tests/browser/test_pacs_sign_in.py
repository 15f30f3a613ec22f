"""Signing in at a PACS in a real JupyterLab: a person opens the page, allows it or not, and the question goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from slicer_notebook import pacs, testing
from tests.browser.asking import ROOT
from tests.browser.lab import SHORT, Lab, Notebook, theme, write_notebook
from tests.browser.picking import WINDOW
from tests.pacs.dicomweb.signing import Door, behind

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel, a Slicer and an archive.
pytestmark = pytest.mark.timeout(300)


class Desk:
    """A notebook with a session whose PACS "door" wants somebody to sign in."""

    def __init__(self, notebook: Notebook, door: Door) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.door = door

    def form(self) -> Locator:
        """A form that has asked for something, where nobody is signed in."""
        self.sign_out()
        found = self.notebook.run("query = sn.PacsQuery").locator(ROOT)
        expect(found.locator(".sn-q-chip[data-server=door][aria-pressed=true]")).to_be_visible(timeout=SHORT)
        self.notebook.scroll_to(found)
        found.locator("[data-field=name]").fill("a")
        found.locator("[data-field=name]").press("Enter")
        return found

    def sign_out(self) -> None:
        """Nothing that was given is good any more."""
        self.door.valid = self.door.refresh = ""

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        """No code is given before the form, above, and its kernel have spoken with one another."""
        asked = len(self.door.forms)
        form = self.notebook.panel.locator(ROOT)
        code = form.get_by_role("button", name="Copy as code")
        expect(code).to_have_attribute("aria-expanded", "false")
        self.door.open.clear()
        try:
            yield
            self.door.until(lambda: len(self.door.forms) > asked, "nobody has asked for a code")
            code.click()
            expect(code).to_have_attribute("aria-expanded", "true", timeout=SHORT)
        finally:
            self.door.open.set()
        code.click()

    def on_the_page(self, link: Locator, answer: str) -> None:
        """Open the page that a link leads to, and answer there."""
        with self.page.expect_popup() as opened:
            link.click()
        page = opened.value
        expect(page.get_by_label("Code")).to_have_value(re.compile("^ABCD-"), timeout=SHORT)
        page.get_by_role("button", name=answer).click()
        expect(page.get_by_text("Done")).to_be_visible(timeout=SHORT)
        page.close()


@pytest.fixture(scope="module")
def desk(
    browser: Browser, lab: Lab, orthanc: testing.Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("signing")
    with Door(behind(orthanc), seconds=300) as door:
        pacs.add("door", door.url, path=folder / "pacs.toml", **door.settings)
        path = write_notebook(
            lab,
            "signing.ipynb",
            f"import os\nos.environ['SLICER_NOTEBOOK_CONFIG'] = {str(folder)!r}\n"
            "import slicer_notebook as sn\nslicer = sn.launch()\n"
            f"slicer.dicom.database = {str(folder / 'index.sqlite3')!r}",
            "query = sn.PacsQuery(slicer)\nquery",
            "answers = slicer.pacs('door').find(PatientID='*').result()\nprint(len(answers), 'in the cell')",
            "slicer.pacs('door').find(PatientID='*')",
            "here = sn.pacs.open('door').find(PatientID='*').records()\nprint(len(here), 'here')",
        )
        context = browser.new_context(viewport=WINDOW, device_scale_factor=1)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        notebook = Notebook(context.new_page(), lab, path)
        notebook.run("sn.launch(")
        yield Desk(notebook, door)
        notebook.shut_down()
        context.close()


def test_the_form_waits_for_the_person_and_goes_on_by_itself(
    desk: Desk, axe: Callable[..., list[str]], screenshots: Path
) -> None:
    form = desk.form()
    card = form.locator(".sn-sign-in")
    expect(card).to_be_visible(timeout=SHORT)
    code = list(desk.door.codes)[-1]
    expect(card.locator(".sn-sign-in-code")).to_have_text(code)
    expect(card.locator(".sn-sign-in-left")).to_have_text(re.compile(r"^4:\d\d left$"))
    expect(form.locator(".sn-q-asked[data-server=door]")).to_contain_text("asking…")
    left = card.locator(".sn-sign-in-left").inner_text()
    expect(card.locator(".sn-sign-in-left")).not_to_have_text(left, timeout=SHORT)
    assert axe(desk.page, ROOT) == []
    form.screenshot(path=screenshots / "pacs_sign_in.png")
    with theme(desk.page, "Dark"):
        assert axe(desk.page, ROOT) == []
        form.screenshot(path=screenshots / "pacs_sign_in_dark.png")
    card.locator(".sn-sign-in-copy").click()
    expect(card.locator(".sn-sign-in-copy")).to_have_text("Copied")
    assert desk.page.evaluate("navigator.clipboard.readText()") == code
    desk.on_the_page(card.locator(".sn-sign-in-page"), "Allow")
    expect(form.locator(".sn-q-study").first).to_be_visible(timeout=SHORT)
    expect(card).to_have_count(0)


def test_who_says_no_is_told_so_and_can_try_again(desk: Desk) -> None:
    form = desk.form()
    desk.on_the_page(form.locator(".sn-sign-in-page"), "Deny")
    expect(form).to_contain_text("was denied", timeout=SHORT)
    expect(form.locator(".sn-sign-in")).to_have_count(0)
    form.locator(".sn-q-again").click()
    desk.on_the_page(form.locator(".sn-sign-in-page"), "Allow")
    expect(form.locator(".sn-q-study").first).to_be_visible(timeout=SHORT)
    expect(form.locator(".sn-q-again")).to_have_count(0)


def test_cancel(desk: Desk) -> None:
    form = desk.form()
    form.locator(".sn-sign-in-cancel").click()
    expect(form).to_contain_text("was cancelled", timeout=SHORT)
    expect(form.locator(".sn-sign-in")).to_have_count(0)


def test_a_cell_that_waits_shows_where_to_sign_in(desk: Desk, screenshots: Path) -> None:
    desk.sign_out()
    with desk.meanwhile():
        cell = desk.notebook.start("in the cell")
    card = cell.locator(".sn-sign-in")
    expect(card).to_contain_text("This waits.", timeout=SHORT)
    card.screenshot(path=screenshots / "pacs_sign_in_cell.png")
    desk.on_the_page(card.get_by_role("link"), "Allow")
    expect(cell).to_contain_text("Signed in at door.", timeout=SHORT)
    expect(cell).to_contain_text(re.compile(r"[1-9]\d* in the cell"), timeout=SHORT)
    expect(card.get_by_role("link")).to_have_count(0)


def test_a_bar_shows_where_to_sign_in(desk: Desk, axe: Callable[..., list[str]]) -> None:
    desk.sign_out()
    # The cell before it begins alike.
    cell = desk.notebook.panel.locator(".jp-CodeCell").nth(3)
    cell.locator(".jp-InputPrompt").click()
    desk.page.keyboard.press("Control+Enter")
    bar = cell.locator(".sn-job")
    expect(bar).to_contain_text("Waiting for you to sign in", timeout=SHORT)
    assert axe(desk.page, ".sn-job") == []
    desk.on_the_page(bar.locator(".sn-sign-in-page"), "Allow")
    expect(cell).to_contain_text("Done", timeout=SHORT)


def test_the_notebooks_own_process_shows_a_card(desk: Desk) -> None:
    desk.sign_out()
    with desk.meanwhile():
        cell = desk.notebook.start("sn.pacs.open")
    desk.on_the_page(cell.locator(".sn-sign-in").get_by_role("link"), "Allow")
    expect(cell).to_contain_text("Signed in at door.", timeout=SHORT)
    expect(cell).to_contain_text(re.compile(r"[1-9]\d* here"), timeout=SHORT)
    desk.notebook.save()
    saved = (desk.notebook._lab.root / "signing.ipynb").read_text()
    assert not [secret for secret in desk.door.secrets if secret in saved]
