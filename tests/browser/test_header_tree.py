"""The header tree in a real JupyterLab: search, open, copy, by mouse and by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.lab import SHORT, Lab, Notebook, write_notebook
from tests.dicom import make_multiframe
from tests.dicom.test_elements import with_private

#: Seconds for one test: the first of the module starts a JupyterLab.
pytestmark = pytest.mark.timeout(240)

Axe = Callable[[Page, str], list[str]]

FRAMES = 2000
#: What the tally says when all lines are there.
READ = re.compile(r"^[\d,]+ elements$")
CELLS = (
    "import slicer_notebook as sn\nfrom slicer_notebook.session.headers import Header\nfrom pathlib import Path\n"
    "chest = Header.of(Path('chest.dcm').read_bytes())\nframes = Header.of(Path('frames.dcm').read_bytes())",
    "chest  # an image of one slice",
    "frames  # an enhanced object",
    "from copy import deepcopy\nother = deepcopy(chest)\n"
    "other.ConvolutionKernel, other.KVP, other.SliceThickness = 'LUNG', 100, '2.5'\n"
    "other.SeriesDescription, other.EffectiveEchoTime = 'Chest, thin slices', 3.5\n"
    "other.SOPInstanceUID, other.InstanceNumber = '1.2.3', 2\nother[0x0019100C].value = 500\n"
    "chest.compare(other)  # differences",
)


def write_files(folder: Path, sample: Path) -> None:
    """``chest.dcm``: a real CT slice, with private elements and sequences; ``frames.dcm``: 2,000 frames."""
    path = next(path for path in sorted(sample.rglob("*.dcm")))
    chest = pydicom.dcmread(path, stop_before_pixels=True)
    chest.SeriesDescription, chest.TextComments = "Chest", "A long story of a chest. " * 150 + "The end."
    chest.PatientName, chest.StudyTime, chest.AccessionNumber = "Aalto^Ada", "134501", "A4711"
    for element in with_private():
        if element.tag not in chest:
            chest.add(element)
    chest.save_as(folder / "chest.dcm")
    make_multiframe.write_enhanced(
        folder / "frames.dcm",
        shape=(FRAMES, 2, 2),
        each=lambda _, k: {"MREchoSequence": {"EffectiveEchoTime": 3.5}, "MRDiffusionSequence": {"DiffusionBValue": k}},
    )


class Trees:
    """A notebook with two trees."""

    def __init__(self, page: Page, lab: Lab, sample: Path, name: str = "headers.ipynb") -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        write_files(lab.root, sample)
        self.notebook = Notebook(page, lab, write_notebook(lab, name, *CELLS))
        self.notebook.run("from pathlib")
        self.page = page

    def tree(self, cell: str = "chest  #") -> Locator:
        """A new tree, read to its end."""
        found = self.notebook.run(cell).locator(".sn-header")
        expect(found.locator(".sn-tally")).to_have_text(READ, timeout=SHORT)
        self.notebook.scroll_to(found)
        return found

    def copied(self) -> str:
        text: str = self.page.evaluate("() => navigator.clipboard.readText()")
        return text


@pytest.fixture(scope="module")
def trees(browser: Browser, lab: Lab, sample: Path) -> Iterator[Trees]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=1)
    found = Trees(context.new_page(), lab, sample)
    yield found
    found.notebook.shut_down()
    context.close()


@pytest.fixture
def tree(trees: Trees) -> Locator:
    return trees.tree()


def row(tree: Locator, tag: str) -> Locator:
    return tree.locator(f".sn-row[data-tag='{tag}']").first


def search(tree: Locator, text: str) -> Locator:
    box = tree.get_by_role("searchbox", name="Search the header")
    box.fill("")
    box.press_sequentially(text)
    return box


def test_a_header_as_the_last_expression_is_a_tree(tree: Locator, screenshots: Path, trees: Trees) -> None:
    expect(tree.get_by_role("tree")).to_be_visible()
    expect(tree.locator(".sn-header-title")).to_contain_text("Chest, CT")
    expect(row(tree, "0018,0050")).to_contain_text("Slice Thickness")
    expect(row(tree, "0018,0050").locator(".sn-vr")).to_have_attribute("title", "Decimal String")
    expect(row(tree, "0008,0016")).to_contain_text("CT Image Storage")
    expect(row(tree, "0019,100C")).to_contain_text("SIEMENS MR HEADER")
    trees.page.screenshot(path=screenshots / "header_tree.png")


@pytest.mark.parametrize("text", ["slice thick", "0018,0050", "(0018,0050)", "00180050", "SliceThickness"])
def test_search_shows_the_hits_alone_and_marks_them(tree: Locator, text: str) -> None:
    search(tree, text)
    expect(tree.locator(".sn-row")).to_have_count(1)
    expect(row(tree, "0018,0050").locator("mark").first).to_be_visible()
    expect(tree.locator(".sn-tally")).to_contain_text("1 of ")


def test_hits_in_sequences_open_their_path(tree: Locator, screenshots: Path, trees: Trees) -> None:
    box = search(tree, "chest code")
    hit = row(tree, "0008,0104")
    expect(hit).to_have_attribute("aria-level", "3")
    expect(hit.locator("mark")).to_have_text(["Code", "Chest"])
    expect(row(tree, "0008,1032")).to_have_attribute("aria-expanded", "true")
    trees.page.screenshot(path=screenshots / "header_tree_search.png")
    box.press("Escape")
    expect(row(tree, "0018,0050")).to_be_visible()
    expect(hit).to_have_count(0)
    search(tree, "no such thing")
    expect(tree.get_by_text("No element matches “no such thing”")).to_be_visible()
    tree.get_by_role("button", name="Show all").click()
    expect(row(tree, "0018,0050")).to_be_visible()


def test_long_values_are_cut_and_come_whole_when_asked_for(tree: Locator, trees: Trees) -> None:
    comments = tree.locator(".sn-row", has_text="A long story").first
    expect(comments.locator(".sn-value")).not_to_contain_text("The end.")
    comments.get_by_role("button", name="Show all 3,758 characters").click()
    expect(comments.locator(".sn-value")).to_contain_text("The end.")
    comments.get_by_role("button", name="Show less").click()
    expect(comments.locator(".sn-value")).not_to_contain_text("The end.")
    comments.hover()
    comments.get_by_role("button", name="Copy the value").click()
    trees.notebook.wait(lambda: trees.copied().endswith("The end."), "the whole value in the clipboard")


def test_tag_keyword_and_value_are_copied(tree: Locator, trees: Trees) -> None:
    thickness = row(tree, "0018,0050")
    for what, text in (("tag", "0018,0050"), ("keyword", "SliceThickness"), ("value", "2.500000")):
        thickness.hover()
        thickness.get_by_role("button", name=f"Copy the {what}").click()
        trees.notebook.wait(lambda text=text: trees.copied() == text, f"the {what} in the clipboard")  # type: ignore[misc]
        expect(tree.locator("[role=status]", has_text=f"Copied the {what} of Slice Thickness")).to_have_count(1)


def test_the_keyboard_alone(tree: Locator, trees: Trees) -> None:
    keys = trees.page.keyboard
    box = search(tree, "")
    box.press("ArrowDown")
    first = tree.locator(".sn-row").first
    expect(first).to_be_focused()
    keys.press("End")
    expect(tree.locator(".sn-row").last).to_be_focused()
    keys.press("Home")
    expect(first).to_be_focused()
    codes = row(tree, "0008,1032")
    for _ in range(60):
        if codes.evaluate("node => node === document.activeElement"):
            break
        keys.press("ArrowDown")
    expect(codes).to_be_focused()
    expect(codes).to_have_attribute("aria-expanded", "false")
    keys.press("ArrowRight")
    expect(codes).to_have_attribute("aria-expanded", "true")
    keys.press("ArrowRight")
    expect(tree.locator(".sn-item").first).to_be_focused()
    keys.press("Enter")
    keys.press("ArrowRight")
    expect(row(tree, "0008,0100")).to_be_focused()
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")
    expect(codes).to_be_focused()
    keys.press("ArrowLeft")
    expect(codes).to_have_attribute("aria-expanded", "false")
    box.press_sequentially("slice thick")
    box.press("Enter")
    thickness = row(tree, "0018,0050")
    expect(thickness).to_be_focused()
    keys.press("Control+c")
    trees.notebook.wait(lambda: trees.copied() == "2.500000", "the value in the clipboard")
    keys.press("Tab")
    expect(thickness.get_by_role("button", name="Copy the tag")).to_be_focused()
    keys.press("Enter")
    trees.notebook.wait(lambda: trees.copied() == "0018,0050", "the tag in the clipboard")


def test_rows_that_are_made_anew_keep_the_focus(tree: Locator, trees: Trees) -> None:
    """As when further lines arrive while somebody walks in the tree."""
    row(tree, "0008,1032").click()
    inside = tree.locator(".sn-item").first
    inside.focus()
    expect(inside).to_be_focused()
    inside.evaluate("node => node.classList.add('before')")
    tree.locator(".sn-search-input").evaluate("node => node.dispatchEvent(new Event('input'))")
    expect(tree.locator(".before")).to_have_count(0)
    expect(inside).to_be_focused()
    trees.page.keyboard.press("ArrowLeft")
    expect(row(tree, "0008,1032")).to_be_focused()


def test_thousands_of_frames_stay_fast(trees: Trees) -> None:
    tree = trees.tree("frames  #")
    frames = row(tree, "5200,9230")
    expect(frames).to_contain_text("2,000 items")
    expect(tree.locator(".sn-row")).to_have_count(tree.locator(".sn-row[aria-level='1']").count())
    frames.click()
    expect(tree.locator(".sn-item")).to_have_count(200)
    more = tree.get_by_text("Show 200 more of 1,800")
    more.click()
    expect(tree.locator(".sn-item")).to_have_count(400)
    tree.locator(".sn-search-input").press_sequentially("echo 3.5")
    expect(tree.locator(".sn-tally")).to_contain_text("2,000 of ")


def test_axe_finds_nothing(tree: Locator, trees: Trees, axe: Axe) -> None:
    tree.evaluate("node => node.classList.add('for-axe')")
    assert axe(trees.page, ".for-axe") == []
    row(tree, "0008,1032").click()
    row(tree, "0018,0050").click()
    assert axe(trees.page, ".for-axe") == []
    search(tree, "chest")
    assert axe(trees.page, ".for-axe") == []
    search(tree, "no such thing")
    assert axe(trees.page, ".for-axe") == []


def test_a_comparison_is_a_table_with_marks(trees: Trees, screenshots: Path) -> None:
    output = trees.notebook.run("# differences")
    mark = output.locator("tr", has_text="Convolution Kernel").locator("mark")
    expect(mark).to_have_text(["STANDARD", "LUNG"])
    expect(output.locator("tr", has_text="Effective Echo Time")).to_contain_text("not there")
    expect(output.locator("summary")).to_contain_text("Expected to differ: UIDs (1)")
    trees.notebook.scroll_to(output)
    trees.page.screenshot(path=screenshots / "header_compare.png")


def test_narrow_cells(tree: Locator, trees: Trees, screenshots: Path) -> None:
    tree.evaluate("node => { node.parentElement.style.width = '360px'; }")
    row(tree, "0008,1032").click()
    assert tree.locator(".sn-tree").evaluate("node => node.scrollWidth <= node.clientWidth")
    tree.screenshot(path=screenshots / "header_tree_narrow.png")


def test_the_dark_theme(page: Page, dark_lab: Lab, sample: Path, screenshots: Path, axe: Axe) -> None:
    trees = Trees(page, dark_lab, sample)
    tree = trees.tree()
    search(tree, "chest")
    row(tree, "0008,1032").focus()
    tree.evaluate("node => node.classList.add('for-axe')")
    page.screenshot(path=screenshots / "header_tree_dark.png")
    assert axe(page, ".for-axe") == []
    trees.notebook.shut_down()


def test_a_notebook_saved_with_strict_privacy_tells_nothing(page: Page, keeping_lab: Lab, sample: Path) -> None:
    """With the widgets' state; and reopened without a kernel it shows what was saved."""
    trees = Trees(page, keeping_lab, sample)
    strict = "import os\nos.environ['SLICER_NOTEBOOK_PRIVACY'] = 'strict'\nchest  # strict"
    path = write_notebook(keeping_lab, "strict.ipynb", CELLS[0], strict)
    trees.notebook = Notebook(page, keeping_lab, path)
    trees.notebook.run("from pathlib")
    trees.tree("# strict")
    trees.notebook.save()
    saved = keeping_lab.root / path
    trees.notebook.wait(lambda: "KVP" in saved.read_text(encoding="utf-8"), "the saved notebook")
    text = saved.read_text(encoding="utf-8")
    chest = pydicom.dcmread(keeping_lab.root / "chest.dcm")
    assert chest.PatientName == "Aalto^Ada"
    for keyword in ("PatientID", "PatientName", "AccessionNumber", "SOPInstanceUID", "StudyInstanceUID", "StudyTime"):
        assert str(chest[keyword].value) not in text, keyword
    for hidden in ("A long story", str(chest.get("Manufacturer")), "SIEMENS MR HEADER"):
        assert hidden not in text
    assert json.loads(text)["metadata"].get("widgets"), "the widgets' state was not saved"
    trees.notebook.shut_down()

    # The state makes a tree that nobody fills: then what was saved is shown.
    again = Notebook(page, keeping_lab, path)
    static = again.panel.locator("[data-sn-static]")
    expect(static).to_be_visible(timeout=SHORT)
    static.locator("summary").first.click()
    expect(static).to_contain_text("KVP: 120")
    expect(static).to_contain_text("Patient's Name: (not saved)")
    expect(again.panel.locator(".sn-header .sn-tree")).to_be_hidden()
    expect(again.panel.locator(".sn-header .sn-banner")).to_contain_text("run the cell again")
    again.shut_down()
