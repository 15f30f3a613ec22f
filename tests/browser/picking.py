"""A study picker on the hospital's 40 studies, in one notebook that the tests of a module share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

import slicer_notebook as sn
from tests.browser.catalogue import HOSPITAL, Study, hospital_studies
from tests.browser.lab import SHORT, Lab, Notebook, write_notebook
from tests.widgets.waiting import until_file

__all__ = ["WINDOW", "Desk", "Looking", "desk_of", "newest", "open_study"]

#: CSS pixels of a laptop's screen.
WINDOW = {"width": 1440, "height": 900}

_NUMBERS = itertools.count()

Looking = Callable[[Page, str], list[str]]


class Desk:
    """A notebook with a session "slicer" on the hospital's index, and cells that show pickers.

    Attributes:
        notebook: the notebook.
        page: its page.
        slicer: another session on its Slicer, from the tests' process.
    """

    def __init__(self, notebook: Notebook, slicer: sn.Session, hospital: Path, spare: Path) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.slicer = slicer
        self._hospital = hospital
        self._spare = spare

    @property
    def hospital(self) -> str:
        """Path of the hospital's index."""
        return str(self._hospital)

    def picker(self) -> Locator:
        """A new picker, with all studies and the cards of the first; nothing is loaded, nothing waits."""
        self.slicer.call("loads.cancel")
        self.slicer.call("loads.clear")
        self.slicer.clear()
        found = self.notebook.run("picker = sn.StudyPicker").locator(".sn-picker")
        expect(found.locator(".sn-tally")).to_have_text(f"{HOSPITAL} studies", timeout=SHORT)
        expect(found.locator(".sn-card img").first).to_be_visible(timeout=SHORT)
        self.notebook.scroll_to(found)
        return found

    def another(self, page: Page, lab: Lab) -> Notebook:
        """A second notebook on the same Slicer and index, in a page of its own; its session is there."""
        file = self.notebook.value("print(slicer._launched.connection_file)")
        path = write_notebook(
            lab,
            f"another{next(_NUMBERS)}.ipynb",
            "import slicer_notebook as sn\n"
            f"slicer = sn.connect({file!r})\nslicer.dicom.database = {str(self._hospital)!r}",
            "picker = sn.StudyPicker(slicer)\npicker",
        )
        found = Notebook(page, lab, path)
        found.run("sn.connect")
        return found

    def volumes(self) -> list[str]:
        """Names of the scene's volumes."""
        return sorted(volume.name for volume in self.slicer.nodes("vtkMRMLScalarVolumeNode"))

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Slicer's main thread is at something else, so that what is read waits for the scene."""
        gate = self._spare / f"gate{next(_NUMBERS)}"
        begun = gate.with_suffix(".begun")
        code = (
            f"import os, time\nopen({str(begun)!r}, 'w').close()\n"
            f"while not os.path.exists({str(gate)!r}): time.sleep(.01)"
        )
        job = self.slicer.submit("code.run", code=code)
        # What the picker asks would overtake it.
        until_file(begun)
        try:
            yield
        finally:
            gate.touch()
            job.result(20)

    @contextmanager
    def files_gone(self, study: Study, series: int) -> Iterator[None]:
        """The files of a series are elsewhere for a while."""
        files, away = self._hospital.parent / study.uid / str(series), self._spare / f"away{next(_NUMBERS)}"
        files.rename(away)
        try:
            yield
        finally:
            away.rename(files)

    @contextmanager
    def index(self, path: Path) -> Iterator[None]:
        """Another index for a while."""
        self.notebook.value(f"slicer.dicom.database = {str(path)!r}")
        try:
            yield
        finally:
            self.notebook.value(f"slicer.dicom.database = {str(self._hospital)!r}")


@contextmanager
def desk_of(browser: Browser, lab: Lab, hospital: Path, spare: Path) -> Iterator[Desk]:
    """Open it in a page of its own; the kernel and its Slicer end with it. ``spare`` is an empty folder."""
    path = write_notebook(
        lab,
        "desk.ipynb",
        f"import slicer_notebook as sn\nslicer = sn.launch()\nslicer.dicom.database = {str(hospital)!r}",
        "picker = sn.StudyPicker(slicer)\npicker",
    )
    context = browser.new_context(viewport=WINDOW, device_scale_factor=1)
    notebook = Notebook(context.new_page(), lab, path)
    notebook.run("sn.launch()")
    with sn.connect(notebook.value("print(slicer._launched.connection_file)")) as slicer:
        yield Desk(notebook, slicer, hospital, spare)
    notebook.shut_down()
    context.close()


def newest(modalities: str) -> Study:
    """The youngest study of the hospital with series of these modalities, blank-separated, in order of the series."""
    return next(each for each in hospital_studies() if " ".join(kind[1] for kind in each.series) == modalities)


def open_study(picker: Locator, study: Study) -> Locator:
    """Search a study by its date, which no other has; its cards, the first with its picture."""
    picker.get_by_role("searchbox").fill(study.date)
    expect(picker.locator(".sn-study-row")).to_have_count(1)
    picker.locator(f".sn-study-row[data-uid='{study.uid}']").click()
    cards = picker.locator(".sn-card[data-uid]")
    expect(cards).to_have_count(len(study.series), timeout=SHORT)
    cards.first.scroll_into_view_if_needed()
    expect(cards.first.locator("img")).to_be_visible(timeout=SHORT)
    return cards
