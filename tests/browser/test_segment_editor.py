"""The segment editor in JupyterLab: each effect with the mouse and the keys, and the voxels that come of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from playwright.sync_api import Locator, Page, expect

import slicer_notebook as sn
from tests.browser.hand import Hand, shown
from tests.browser.lab import SHORT, Lab, Notebook, theme, write_notebook

#: Seconds for one test: the first of the module starts a JupyterLab, a kernel and a Slicer.
pytestmark = pytest.mark.timeout(300)

CELLS = (
    "import numpy as np\nimport slicer_notebook as sn\nslicer = sn.launch()",
    "from slicer_notebook.sample_data import fetch\nslicer.dicom.index(fetch()).result()\n"
    "ct = slicer.dicom.load(slicer.dicom.series()[0])[0]\n"
    "organs = slicer.add_segmentation(reference=ct, name='Organs')\norgans.add('organ'), organs.add('other')",
    "panel = organs.edit(ct, height=600)\npanel",
    # A part of it, for what would take long.
    "affine = ct.affine @ np.array([[1, 0, 0, 190], [0, 1, 0, 200], [0, 0, 1, 60], [0, 0, 0, 1.0]])\n"
    "part = slicer.add_volume(ct.array[60:84, 200:280, 190:290].copy(), affine, 'Part')\n"
    "pieces = slicer.add_segmentation(reference=part, name='Pieces')\npieces.add('piece'), pieces.add('rest')\n"
    "slicer.view('Red').background = ct",
    "small = pieces.edit(part, height=420)\nsmall",
)
RED = "slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed')"


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Lab) -> Iterator[Notebook]:
    """A notebook with the editor on a chest CT, and one on a part of it; one for all tests."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, device_scale_factor=1)
    found = Notebook(context.new_page(), lab, write_notebook(lab, "editor.ipynb", *CELLS))
    for text in ("sn.launch()", "fetch()", "panel = ", "part = ", "small = "):
        found.run(text)
    yield found
    found.shut_down()
    context.close()


@pytest.fixture(scope="module")
def slicer(notebook: Notebook) -> Iterator[sn.Session]:
    """A session of the tests' own with the notebook's Slicer."""
    record = "next(each for each in sn.sessions() if each.name == slicer.name)"
    with sn.connect(notebook.value(f"print({record}.connection_file)")) as found:
        yield found


class Desk:
    """A panel, a person in front of it, and what Slicer has of it."""

    def __init__(self, notebook: Notebook, slicer: sn.Session, cell: str, names: tuple[str, str]) -> None:
        self.notebook = notebook
        self.volume: Any = slicer[names[0]] if names[0] else slicer.nodes("vtkMRMLScalarVolumeNode")[0]
        self.segmentation: Any = slicer[names[1]]
        self.editor = self.segmentation.editor()
        self.root = notebook.cell(cell).locator(".sn-editor")
        self.page: Page = notebook.page

    def clear(self) -> Desk:
        """Nothing is segmented, the mouse is free, nothing is masked; the first segment is selected."""
        self.editor.activate(None)
        self.editor.mask(overwrite="all")
        segments = self.segmentation.segments
        for segment in segments[2:]:
            segment.remove()
        for segment in segments[:2]:
            self.editor.segment = segment
            self.editor.logical("clear", ignore_masks=True)
        self.editor.segment = segments[0]
        self.notebook.scroll_to(self.root)
        chosen = self.root.locator(".sn-seg-chosen")
        expect(chosen).to_have_attribute("data-id", segments[0].id, timeout=SHORT)
        self.take("none")
        return self

    def mask(self, number: int = 0) -> Any:
        found = self.segmentation.mask(self.segmentation.segments[number], self.volume)
        return found > 0

    def put(self, mask: Any, number: int = 0) -> None:
        self.segmentation.segments[number].set_mask(mask, self.volume)

    def changed(self, what: str, before: Any = None) -> Any:
        """The first segment's mask when it is another one than before (without it: none)."""
        former = np.zeros(self.volume.shape, bool) if before is None else before
        self.notebook.wait(lambda: bool((self.mask() != former).any()), what)
        return self.mask()

    def take(self, effect: str) -> None:
        button = self.root.locator(f"[data-effect={effect}]")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true", timeout=SHORT)

    def choose(self, label: str, value: str) -> None:
        self.root.get_by_label(label, exact=True).select_option(value)

    def type(self, label: str, value: float) -> None:
        field = self.root.get_by_label(f"{label}, number", exact=True)
        field.fill(str(value))
        field.press("Enter")

    def apply(self, button: str = "Apply") -> str:
        """Press the button; what is said when it is done."""
        said = self.root.locator(".sn-editor-said")
        said.evaluate("node => node.textContent = ''")
        self.root.get_by_role("button", name=button, exact=True).click()
        expect(said).to_have_text(re.compile("."), timeout=SHORT)
        return said.inner_text()

    def canvas(self) -> Locator:
        found = self.root.locator(".sn-live-canvas")
        expect(found).to_have_attribute("data-lossless", "true", timeout=SHORT)
        return found

    def draw(self, *places: tuple[float, float]) -> None:
        """Drag the left button through places of the canvas, parts of its size."""
        canvas = self.canvas()
        hand = Hand(canvas)
        hand.to(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            hand.to(*place, steps=8)
            # A corner is where the hand stays for a moment: of moves in a hurry the newest counts.
            self.notebook.wait(partial(self.arrived, canvas, place), f"the pointer at {place}")
        self.page.mouse.up()

    def arrived(self, canvas: Locator, place: tuple[float, float]) -> bool:
        """Whether Slicer has the pointer at a place of the canvas."""
        name = canvas.get_attribute("data-view")
        manager = "slicer.app.layoutManager()"
        view = (
            f"{manager}.threeDWidget(0).threeDView()" if name == "1" else f"{manager}.sliceWidget({name!r}).sliceView()"
        )
        x, y = self.segmentation._session.eval(f"{view}.interactor().GetEventPosition()")
        width, height = map(int, str(canvas.get_attribute("data-size")).split("x"))
        return abs(x - place[0] * width) <= 2 and abs(y - (1 - place[1]) * height) <= 2

    def places(self, *places: tuple[float, float]) -> Any:
        """Where those are in the volume: (i, j, k), float, of the red view."""
        session = self.segmentation._session
        to_ras = np.array(session.eval(f"slicer.util.arrayFromVTKMatrix({RED}.GetXYToRAS())"))
        width, height = session.eval(f"{RED}.GetDimensions()[:2]")
        xy = np.array([[x * width - 0.5, (1 - y) * height - 0.5, 0, 1] for x, y in places])
        return (np.linalg.inv(self.volume.affine) @ to_ras @ xy.T)[:3].T


@pytest.fixture
def desk(notebook: Notebook, slicer: sn.Session) -> Desk:
    """The panel of the chest CT."""
    return Desk(notebook, slicer, "panel = ", ("", "Organs")).clear()


@pytest.fixture
def small(notebook: Notebook, slicer: sn.Session) -> Desk:
    """The panel of a part of it."""
    return Desk(notebook, slicer, "small = ", ("Part", "Pieces")).clear()


def agree(found: Any, expected: Any) -> float:
    """How much of two masks is in both: intersection over union."""
    return float((found & expected).sum() / (found | expected).sum())


def polygon_mask(desk: Desk, *places: tuple[float, float]) -> Any:
    """What a polygon on the red slice covers, [k, j, i]: what a ray from outside reaches an odd number of times."""
    corners = desk.places(*places)
    _, height, width = desk.volume.shape
    j, i = np.mgrid[:height, :width]
    inside = np.zeros((height, width), bool)
    for (i1, j1, _), (i2, j2, _) in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        if j1 != j2:
            inside ^= ((j1 > j) != (j2 > j)) & (i < i1 + (j - j1) * (i2 - i1) / (j2 - j1))
    found = np.zeros(desk.volume.shape, bool)
    found[round(corners[0][2])] = inside
    return found


def test_paint_erase_and_the_steps_back(desk: Desk) -> None:
    before = shown(desk.canvas())
    desk.take("paint")
    desk.type("Radius, mm", 12)
    expect(desk.root.get_by_label("Radius, mm", exact=True)).to_have_value("12")
    desk.notebook.wait(lambda: desk.editor._state("options") == {"radius": 12, "shape": "circle"}, "the brush")
    path = ((0.4, 0.4), (0.6, 0.45))
    desk.draw(*path)
    painted = desk.changed("paint")
    start, end = desk.places(*path)
    k, j, i = np.indices(painted.shape)
    spacing = np.linalg.norm(desk.volume.affine[:3, :3], axis=0)
    on_slice = k == round(start[2])
    points = np.stack([i, j], axis=-1)[on_slice] * spacing[:2]
    a, b = start[:2] * spacing[:2], end[:2] * spacing[:2]
    along = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    expected = np.zeros(painted.shape, bool)
    expected[on_slice] = np.linalg.norm(points - a - along[:, None] * (b - a), axis=-1) <= 12
    assert agree(painted, expected) > 0.97
    # What is painted is seen, in the segment's colour; what is not is as it was.
    color = 255 * np.array(desk.segmentation.segments[0].color)

    def coloured() -> bool:
        after = shown(desk.canvas()).astype(float)
        y, x = int(0.425 * after.shape[0]), int(0.5 * after.shape[1])
        return bool(np.abs(after[y, x] - (before[y, x] + color) / 2).max() < 12)

    desk.notebook.wait(coloured, "the paint in the picture")

    desk.take("erase")
    desk.type("Radius, mm", 5)
    desk.draw((0.5, 0.425))
    erased = desk.changed("erase", painted)
    assert not (erased & ~painted).any()
    assert (painted & ~erased).sum() * spacing[0] * spacing[1] == pytest.approx(np.pi * 25, rel=0.06)

    # The keys go to the editor, wherever in it the focus is.
    desk.root.locator(".sn-live-canvas").focus()
    desk.page.keyboard.press("Control+z")
    assert (desk.changed("undo", erased) == painted).all()
    undo = desk.root.get_by_role("button", name="Undo")
    expect(undo).to_have_attribute("title", "Undo: paint (Ctrl+Z)", timeout=SHORT)
    undo.click()
    assert not desk.changed("undo", painted).any()
    redo = desk.root.get_by_role("button", name="Redo")
    expect(redo).to_be_enabled(timeout=SHORT)
    redo.click()
    assert (desk.changed("redo") == painted).all()
    desk.root.locator("[data-effect=erase]").focus()
    desk.page.keyboard.press("Control+y")
    assert (desk.changed("redo", painted) == erased).all()
    expect(redo).to_be_disabled(timeout=SHORT)


def test_the_brush_is_a_ball_and_the_wheel_makes_it_larger(desk: Desk) -> None:
    desk.take("paint")
    desk.choose("Shape", "sphere")
    desk.type("Radius, mm", 10)
    desk.notebook.wait(lambda: desk.editor._state("options") == {"radius": 10, "shape": "sphere"}, "the ball")
    desk.draw((0.5, 0.5))
    found = desk.changed("a ball")
    volume = found.sum() * abs(np.linalg.det(desk.volume.affine[:3, :3]))
    assert volume == pytest.approx(4 / 3 * np.pi * 1000, rel=0.05)
    Hand(desk.canvas()).to(0.5, 0.5)
    desk.page.keyboard.down("Shift")
    desk.page.mouse.wheel(0, -100)
    desk.page.keyboard.up("Shift")
    desk.notebook.wait(lambda: desk.editor._state("options")["radius"] == 11.5, "a larger brush")


def test_draw_and_scissors(desk: Desk) -> None:
    outline = ((0.35, 0.35), (0.6, 0.3), (0.65, 0.6), (0.4, 0.65))
    desk.take("draw")
    desk.draw(*outline)
    drawn = desk.changed("a filled outline")
    assert agree(drawn, polygon_mask(desk, *outline)) > 0.97
    desk.take("scissors")
    half = ((0.2, 0.2), (0.5, 0.2), (0.5, 0.8), (0.2, 0.8))
    desk.draw(*half)
    cut = desk.changed("what is left", drawn)
    assert agree(cut, drawn & ~polygon_mask(desk, *half)) > 0.97
    desk.choose("Operation", "fill_inside")
    desk.choose("Cut", "symmetric")
    desk.type("Thickness, mm", 30)
    wanted = {"operation": "fill_inside", "depth": "symmetric", "thickness": 30}
    desk.notebook.wait(lambda: desk.editor._state("options") == wanted, "other scissors")
    desk.draw(*half)
    filled = desk.changed("a thick cut", cut)
    slices = np.flatnonzero((filled & ~cut).any(axis=(1, 2)))
    spacing = np.linalg.norm(desk.volume.affine[:3, 2])
    assert abs(len(slices) * spacing - 30) <= spacing
    middle = round(desk.places((0.3, 0.5))[0][2])
    for k in slices:
        assert agree(filled[k], cut[k] | polygon_mask(desk, *half)[middle]) > 0.97


def test_a_threshold_is_seen_and_then_taken(desk: Desk) -> None:
    before = shown(desk.canvas()).astype(int)
    voxels = desk.volume.array
    desk.take("threshold")
    desk.type("From", 150)
    desk.type("To", 500)
    desk.notebook.wait(lambda: desk.editor._state("options") == {"lower": 150, "upper": 500}, "the range")

    def previewed() -> bool:
        """Bright voxels have the segment's colour, and others none."""
        picture = shown(desk.canvas()).astype(int)
        colourful = np.ptp(picture, axis=-1) > 25
        grey = before[..., 0]
        return bool(colourful[grey > 250].mean() > 0.5 and colourful[grey < 150].mean() < 0.01)

    desk.notebook.wait(previewed, "the preview")
    assert not desk.mask().any(), "nothing is changed by it"
    number = int(((voxels >= 150) & (voxels <= 500)).sum())
    assert desk.apply() == f"Threshold: {number:,} voxels changed"
    assert (desk.mask() == ((voxels >= 150) & (voxels <= 500))).all()
    # An automatic one.
    desk.choose("Automatic", "otsu")
    assert desk.apply("Find").startswith("Threshold: ")
    otsu = desk.editor.auto_threshold("otsu")
    assert float(desk.root.get_by_label("From, number").input_value()) == pytest.approx(otsu, abs=0.6)
    # As a mask for the brush.
    desk.type("From", 150)
    desk.type("To", 500)
    desk.root.get_by_role("button", name="Use as mask").click()
    desk.notebook.wait(lambda: desk.editor.masks["intensity"] == [150, 500], "the mask")
    expect(desk.root.locator("summary")).to_have_text("Masking 150 to 500")


ELLIPSE = ((12, 40, 50), (7, 20, 26))


def ellipse(shape: tuple[int, ...]) -> Any:
    centre, radii = ELLIPSE
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip(np.indices(shape), centre, radii, strict=True)) <= 1


def within(mask: Any, distance: float, volume: Any) -> Any:
    """Voxels within a distance, mm, of a mask."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(np.linalg.norm(volume.affine[:3, :3], axis=0).tolist())
    far = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return sitk.GetArrayFromImage(far) <= distance + 1e-4


def test_margin_hollow_and_smoothing(small: Desk) -> None:
    mask = ellipse(small.volume.shape)
    small.put(mask)
    small.take("margin")
    small.type("Margin, mm", 4)
    assert "voxels changed" in small.apply()
    assert (small.mask() == within(mask, 4, small.volume)).all()
    small.choose("Operation", "shrink")
    small.apply()
    grown = within(mask, 4, small.volume)
    assert (small.mask() == ~within(~grown, 4, small.volume)).all()
    small.put(mask)
    small.take("hollow")
    small.type("Thickness, mm", 3)
    small.apply()
    shell = small.mask()
    assert not (shell & ~mask).any()
    assert shell[mask & within(~mask, 2, small.volume)].all()
    assert not shell[~within(~mask, 4.1, small.volume)].any()

    rng = np.random.default_rng(1)
    noisy = mask ^ (rng.random(mask.shape) < 0.05)
    small.put(noisy)
    small.take("smooth")
    small.type("Kernel, mm", 4)
    small.apply()
    assert agree(small.mask(), mask) > max(0.97, agree(noisy, mask))
    small.put(noisy)
    small.choose("Method", "gaussian")
    expect(small.root.get_by_label("Kernel, mm", exact=True)).to_be_hidden()
    small.type("Standard deviation, mm", 2)
    small.apply()
    assert agree(small.mask(), mask) > 0.93


def test_islands(small: Desk, slicer: sn.Session) -> None:
    mask = ellipse(small.volume.shape)
    dust = np.zeros_like(mask)
    dust[12, 2:5, 2:5] = dust[2, 70:78, 90:98] = True
    small.put(mask | dust)
    small.take("islands")
    small.apply()
    assert (small.mask() == mask).all()
    small.put(mask | dust)
    small.choose("Operation", "remove_small")
    voxel = abs(np.linalg.det(small.volume.affine[:3, :3]))
    small.type("Smallest to keep, mm³", 20 * voxel)
    small.apply()
    expected = mask.copy()
    expected[2, 70:78, 90:98] = True
    assert (small.mask() == expected).all()
    small.put(mask | dust)
    small.choose("Operation", "split")
    small.type("Smallest to keep, mm³", 0)
    small.apply()
    assert [segment.name for segment in small.segmentation.segments][2:] == ["piece_2", "piece_3"]
    assert small.mask(2).sum() == 64
    small.put(mask | dust)
    # By a click: the view shows slice 12.
    place = small.volume.affine @ [3, 3, 12, 1]
    slicer.view("Red").offset = float(place[2])
    small.choose("Operation", "remove_selected")
    expect(small.root).to_contain_text("Click on an island")
    expect(small.root.get_by_role("button", name="Apply", exact=True)).to_be_hidden()
    canvas = small.canvas()
    xy = np.linalg.inv(np.array(slicer.eval(f"slicer.util.arrayFromVTKMatrix({RED}.GetXYToRAS())"))) @ place
    width, height = slicer.eval(f"{RED}.GetDimensions()[:2]")
    window = slicer.nodes("vtkMRMLScalarVolumeNode")[0].window_level
    Hand(canvas).to((xy[0] + 0.5) / width, 1 - (xy[1] + 0.5) / height)
    small.page.mouse.down()
    small.page.mouse.up()
    found = small.changed("the island that was clicked", mask | dust)
    dust[12] = False
    assert (found == (mask | dust)).all()
    assert slicer.nodes("vtkMRMLScalarVolumeNode")[0].window_level == window


def test_logic_seeds_and_slices(small: Desk) -> None:
    mask = ellipse(small.volume.shape)
    other = np.roll(mask, 15, axis=2)
    other[:, :, :15] = False
    small.root.locator("summary").click()
    small.choose("Overwrite", "none")
    small.notebook.wait(lambda: small.editor.masks["overwrite"] == "none", "overlap is allowed")
    small.put(mask)
    small.put(other, 1)
    small.take("logical")
    small.choose("Operation", "subtract")
    small.root.get_by_role("button", name="Apply", exact=True).click()
    expect(small.root.get_by_role("alert")).to_contain_text("Which other segment is not chosen")
    small.choose("Other segment", small.segmentation.segments[1].id)
    small.apply()
    assert (small.mask() == (mask & ~other)).all()
    small.choose("Operation", "invert")
    small.apply()
    assert (small.mask() == ~(mask & ~other)).all()
    small.choose("Overwrite", "all")
    small.root.locator("summary").click()

    # Bones and what is around them.
    voxels = small.volume.array
    seeds, rest = voxels > 500, voxels < 0
    small.put(seeds)
    small.put(rest, 1)
    small.take("grow_from_seeds")
    assert "voxels changed" in small.apply("Grow")
    grown = small.mask()
    assert (grown & seeds).sum() == seeds.sum()
    assert not (grown & rest).any()
    assert (grown | small.mask(1)).mean() > 0.95, "until they meet"
    assert grown[voxels > 300].mean() > 0.5 > grown[(voxels < 60) & (voxels >= 0)].mean()

    some = mask & (np.arange(24) % 3 == 0)[:, None, None]
    small.put(some)
    small.put(np.zeros_like(mask), 1)
    small.take("fill_between_slices")
    small.apply("Fill")
    first, last = np.flatnonzero(some.any(axis=(1, 2)))[[0, -1]]
    assert agree(small.mask()[first : last + 1], mask[first : last + 1]) > 0.9


def test_masks(small: Desk) -> None:
    mask = ellipse(small.volume.shape)
    small.put(mask, 1)
    voxels = small.volume.array
    small.root.locator("summary").click()
    small.choose("Editable area", f"inside:{small.segmentation.segments[1].id}")
    small.root.get_by_label("Lowest intensity").fill("0")
    small.root.get_by_label("Highest intensity").fill("100")
    small.root.get_by_label("Intensity", exact=True).check()
    small.choose("Overwrite", "none")
    wanted = {"inside": small.segmentation.segments[1].id, "outside": None, "intensity": [0, 100], "overwrite": "none"}
    small.notebook.wait(lambda: small.editor.masks == wanted, "the masks")
    small.take("logical")
    small.choose("Operation", "fill")
    small.apply()
    assert (small.mask() == (mask & (voxels >= 0) & (voxels <= 100))).all()
    assert (small.mask(1) == mask).all()
    small.root.locator("summary").click()


def test_segments_both_ways(desk: Desk, notebook: Notebook) -> None:
    rows = desk.root.locator(".sn-seg-body .sn-seg-row")
    expect(rows).to_have_count(2)
    desk.root.get_by_role("button", name="Add", exact=True).click()
    expect(rows).to_have_count(3, timeout=SHORT)
    new = desk.segmentation.segments[2]
    expect(rows.nth(2)).to_have_attribute("aria-selected", "true", timeout=SHORT)
    notebook.wait(lambda: desk.editor.segment == new, "the new one is edited")
    rows.nth(2).locator(".sn-seg-text").dblclick()
    desk.root.locator(".sn-seg-edit").fill("tumour")
    desk.page.keyboard.press("Enter")
    rows.nth(2).locator("input[type=color]").fill("#ff0000")
    rows.nth(2).get_by_role("button", name="Show tumour").click()
    notebook.wait(lambda: (new.name, new.color, new.visible) == ("tumour", (1, 0, 0), False), "what was changed")
    desk.editor.segment = "other"
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true", timeout=SHORT)
    rows.nth(0).locator(".sn-seg-text").click()
    notebook.wait(lambda: desk.editor.segment.name == "organ", "the person's choice")
    # And in the notebook.
    assert json.loads(notebook.value("import json; print(json.dumps([panel.segment, panel.effect]))")) == [
        desk.segmentation.segments[0].id, None,
    ]  # fmt: skip
    notebook.value("panel.effect, panel.segment = 'paint', 'tumour'")
    expect(desk.root.locator("[data-effect=paint]")).to_have_attribute("aria-pressed", "true", timeout=SHORT)
    expect(rows.nth(2)).to_have_attribute("aria-selected", "true", timeout=SHORT)
    notebook.wait(lambda: desk.editor.effect == "paint", "the brush")
    for _ in range(2):
        rows.nth(2).locator(".sn-seg-away").click()
    expect(rows).to_have_count(2, timeout=SHORT)
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true", timeout=SHORT)
    desk.editor.activate("scissors")
    expect(desk.root.locator("[data-effect=scissors]")).to_have_attribute("aria-pressed", "true", timeout=SHORT)


def test_keys(desk: Desk) -> None:
    pressed = desk.root.locator(".sn-effect[aria-pressed=true]")
    desk.canvas().focus()
    desk.page.keyboard.press("1")
    expect(pressed).to_have_attribute("data-effect", "paint", timeout=SHORT)
    desk.page.keyboard.press("5")
    expect(pressed).to_have_attribute("data-effect", "threshold", timeout=SHORT)
    desk.page.keyboard.press("Escape")
    expect(pressed).to_have_attribute("data-effect", "none", timeout=SHORT)
    desk.page.keyboard.press("w")
    desk.notebook.wait(lambda: desk.editor.segment.name == "other", "the next segment")
    desk.page.keyboard.press("q")
    desk.notebook.wait(lambda: desk.editor.segment.name == "organ", "the one before")
    # A tool bar: one button is in the order of Tab, arrows go to the others.
    bar = desk.root.get_by_role("toolbar", name="Effects")
    assert bar.locator("button[tabindex='0']").count() == 1
    desk.root.locator("[data-effect=none]").focus()
    for key, name in (("ArrowRight", "paint"), ("End", "logical"), ("ArrowLeft", "islands"), ("Home", "none")):
        desk.page.keyboard.press(key)
        expect(desk.root.locator(f"[data-effect={name}]")).to_be_focused()
    desk.page.keyboard.press("ArrowRight")
    desk.page.keyboard.press("Enter")
    expect(pressed).to_have_attribute("data-effect", "paint", timeout=SHORT)
    # In a field, keys are text.
    field = desk.root.get_by_label("Radius, mm, number")
    field.fill("")
    field.press_sequentially("23")
    field.press("Enter")
    desk.notebook.wait(lambda: desk.editor._state("options")["radius"] == 23, "a typed number")
    expect(pressed).to_have_attribute("data-effect", "paint")


def test_other_views(desk: Desk, notebook: Notebook) -> None:
    desk.take("scissors")
    desk.put(np.ones(desk.volume.shape, bool))
    desk.segmentation.show_3d()
    menu = desk.root.get_by_label("View", exact=True)
    menu.select_option("1")
    canvas = desk.root.locator(".sn-live-canvas[data-view='1']")
    expect(canvas).to_have_attribute("data-lossless", "true", timeout=SHORT)
    expect(desk.root.locator(".sn-slice-bar")).to_have_count(0)
    full = np.ones(desk.volume.shape, bool)
    desk.draw((0.45, 0.45), (0.55, 0.45), (0.55, 0.55), (0.45, 0.55))
    cut = desk.changed("a hole through all", full)
    assert 0 < (~cut).mean() < 0.3
    notebook.value("panel.view = 'Yellow'")
    expect(desk.root.locator(".sn-live-canvas[data-view='Yellow']")).to_be_visible(timeout=SHORT)
    expect(menu).to_have_value("Yellow")
    desk.segmentation.show_3d(False)
    menu.select_option("Red")
    expect(desk.root.locator(".sn-live-canvas[data-view='Red']")).to_be_visible(timeout=SHORT)


def test_it_can_be_used_without_eyes_or_mouse(
    desk: Desk, notebook: Notebook, axe: Callable[[Page, str], list[str]]
) -> None:
    desk.root.locator("summary").click()
    for name in ("Light", "Dark"):
        with theme(notebook.page, name):
            for effect in ("paint", "threshold", "islands", "none"):
                desk.root.locator(f"[data-effect={effect}]").click()
                expect(desk.root.locator(f"[data-effect={effect}]")).to_have_attribute("aria-pressed", "true")
                assert axe(notebook.page, ".sn-editor") == []
    desk.root.locator("summary").click()


def test_what_it_looks_like(desk: Desk, slicer: sn.Session, screenshots: Path) -> None:
    slicer["Pieces"].visible = False
    desk.volume.window_level = (500, 60)
    slicer.view("Red").fit()
    heart, spine = desk.segmentation.segments
    heart.name, spine.name = "heart", "spine"
    desk.take("paint")
    desk.type("Radius, mm", 26)
    desk.notebook.wait(lambda: desk.editor._state("options")["radius"] == 26, "a large brush")
    desk.draw((0.51, 0.46), (0.56, 0.4), (0.62, 0.46))
    desk.changed("the heart")
    desk.editor.segment = "spine"
    desk.type("Radius, mm", 11)
    desk.notebook.wait(lambda: desk.editor._state("options")["radius"] == 11, "a smaller brush")
    desk.draw((0.47, 0.67), (0.468, 0.71))
    desk.notebook.wait(lambda: bool(desk.mask(1).any()), "the spine")
    Hand(desk.canvas()).to(0.55, 0.74)
    desk.notebook.wait(partial(desk.arrived, desk.canvas(), (0.55, 0.74)), "the brush beside it")
    desk.canvas()
    desk.root.screenshot(path=screenshots / "segment_editor.png")
    heart.name, spine.name = "organ", "other"


def test_the_end(desk: Desk, notebook: Notebook) -> None:
    desk.take("paint")
    notebook.wait(lambda: desk.editor.effect == "paint", "the brush")
    notebook.value("panel.close()")
    notebook.wait(lambda: desk.editor.effect is None, "the mouse is for what it was before")
