"""The form of PACS in a real JupyterLab, with a real Slicer and real archives: ask, look, choose, retrieve, show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from slicer_notebook import testing
from tests.browser.asking import ROOT, Asking, asking_of
from tests.browser.lab import SHORT, Lab, theme

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel, a Slicer and an archive.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def asking(
    browser: Browser, lab: Lab, hospital: Path, orthanc: testing.Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Asking]:
    with asking_of(browser, lab, hospital, orthanc, tmp_path_factory.mktemp("asking")) as found:
        yield found


def test_several_pacs_are_asked_at_once_and_one_that_does_not_answer_says_why(asking: Asking) -> None:
    form = asking.form("hospital", "research", "away")
    form.locator("[data-field=name]").fill("a")
    form.locator("[data-field=name]").press("Enter")
    for server, state in (("hospital", "done"), ("research", "done"), ("away", "failed")):
        expect(form.locator(f".sn-q-asked[data-server={server}][data-state={state}]")).to_be_visible(timeout=SHORT)
    for server in ("hospital", "research"):
        expect(form.locator(f".sn-q-study[data-key^='{server} ']").first).to_be_visible(timeout=SHORT)
    keys = form.locator(".sn-q-study").evaluate_all("rows => rows.map((row) => row.dataset.key.split(' ')[0])")
    assert {"hospital", "research"} == set(keys)
    expect(form).to_contain_text("cannot be reached")
    expect(form).to_contain_text("connection refused")


def test_a_series_is_looked_at_retrieved_and_shown(
    asking: Asking, axe: Callable[..., list[str]], screenshots: Path
) -> None:
    form = asking.form("hospital")
    study = next(each for each in asking.studies if len(each.series) == 2)
    asking.study(form, study)
    first = form.locator(".sn-q-series").first
    expect(first.locator("img")).to_be_visible(timeout=SHORT)
    first.locator(".sn-q-plan-button").click()
    expect(form.locator(".sn-q-plan")).to_contain_text("mm", timeout=SHORT)
    form.screenshot(path=screenshots / "pacs_series.png")
    first.locator(".sn-q-hit").click()
    form.locator(".sn-q-retrieve-show").click()
    transfer = form.locator(".sn-q-transfer")
    expect(transfer).to_have_attribute("data-state", "loaded", timeout=SHORT)
    asking.notebook.wait(lambda: bool(asking.slicer.nodes("vtkMRMLScalarVolumeNode")), "the volume")
    (done,) = asking.slicer.transfers.entries()
    assert done.complete
    assert done.received == done.expected
    # Once more: it is here, and nothing is fetched.
    expect(first).to_contain_text("here", timeout=SHORT)
    assert asking.notebook.value("print(len(query.value))") == "1"
    form.screenshot(path=screenshots / "pacs_retrieved.png")
    assert axe(asking.page, ROOT) == []
    with theme(asking.page, "Dark"):
        form.screenshot(path=screenshots / "pacs_retrieved_dark.png")
        assert axe(asking.page, ROOT) == []


def test_a_transfer_that_hangs_is_cancelled_and_goes_on_when_retried(asking: Asking) -> None:
    form = asking.form("hospital")
    study = next(each for each in asking.studies if len(each.series) == 3)
    row = asking.study(form, study)
    row.locator(".sn-q-hit").click()
    asking.line.stall_after(300_000)
    form.locator(".sn-q-retrieve").first.click()
    transfer = form.locator(".sn-q-transfer")
    expect(transfer).to_have_attribute("data-state", "going", timeout=SHORT)
    transfer.locator("[data-control=cancel]").click()
    expect(transfer).to_have_attribute("data-state", "cancelled", timeout=SHORT)
    asking.line.heal()
    transfer.locator("[data-control=retry]").click()
    expect(transfer).to_have_attribute("data-state", "done", timeout=SHORT)
    (done,) = asking.slicer.transfers.entries()
    assert done.complete


def test_a_new_form_shows_what_still_goes_on(asking: Asking) -> None:
    form = asking.form("hospital")
    study = next(each for each in asking.studies if len(each.series) == 3)
    row = asking.study(form, study)
    row.locator(".sn-q-hit").click()
    asking.line.stall_after(300_000)
    form.locator(".sn-q-retrieve").first.click()
    expect(form.locator(".sn-q-transfer")).to_have_attribute("data-state", "going", timeout=SHORT)
    again = asking.notebook.run("query = sn.PacsQuery").locator(ROOT)
    transfer = again.locator(".sn-q-transfer")
    expect(transfer).to_have_attribute("data-state", "going", timeout=SHORT)
    asking.line.heal()
    expect(transfer).to_have_attribute("data-state", "done", timeout=3 * SHORT)


def test_a_question_for_everything_asks_first(asking: Asking) -> None:
    form = asking.form("hospital")
    form.locator("[data-field=name]").press("Enter")
    expect(form).to_contain_text("all studies", timeout=SHORT)
    assert form.locator(".sn-q-study").count() == 0
