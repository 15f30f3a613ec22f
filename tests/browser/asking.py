"""The form of PACS in one notebook that the tests of a module share: two archives, and one that does not answer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, expect

import slicer_notebook as sn
from slicer_notebook import pacs, testing
from tests.browser.catalogue import Study, hospital_studies
from tests.browser.lab import SHORT, Lab, Notebook, write_notebook
from tests.browser.picking import WINDOW
from tests.pacs.peers.proxy import Proxy

__all__ = ["ASKED", "ROOT", "Asking", "asking_of"]

ROOT = ".sn-pacs"
#: Studies of the hospital's index that are in the archive, too.
ASKED = 16
#: Studies that the PACS "many" says it has.
MANY = 200
_NUMBERS = itertools.count()


class Asking:
    """A notebook with a session "slicer" where PACS are configured, and cells that show their form.

    Attributes:
        notebook, page: the notebook, and its page.
        slicer: another session on its Slicer, from the tests' process.
        studies: what the PACS "hospital" has, the youngest first.
        line: between Slicer and the hospital's PACS.
        folder: for indexes and what else a test needs.
    """

    def __init__(self, notebook: Notebook, slicer: sn.Session, folder: Path, line: Proxy) -> None:
        self.notebook = notebook
        self.page = notebook.page
        self.slicer = slicer
        self.folder = folder
        self.line = line
        self.studies = hospital_studies(ASKED)
        self.servers = ["hospital", "research", "away"]

    def form(self, *chosen: str) -> Locator:
        """A new form; the index and the scene are empty, nothing is under way. The PACS that are chosen."""
        self.line.heal()
        self.slicer.call("pacs.cancel")
        self.slicer.call("loads.cancel")
        self.notebook.wait(lambda: not any(each.goes_on for each in self.slicer.transfers.entries()), "the cancel")
        self.slicer.transfers.clear()
        self.slicer.call("loads.clear")
        self.slicer.clear()
        self.index(self.folder / f"index{next(_NUMBERS)}.sqlite3")
        found = self.notebook.run("query = sn.PacsQuery").locator(ROOT)
        expect(found.locator(".sn-q-server")).to_have_count(len(self.servers), timeout=SHORT)
        # What the kernel says once more to a new view may come after a click, and tell of before.
        for _ in range(2):
            for name in self.servers:
                chip = found.locator(f".sn-q-chip[data-server={name}]")
                wanted = name in (chosen or ("hospital",))
                if (chip.get_attribute("aria-pressed") == "true") is not wanted:
                    chip.click()
                expect(chip).to_have_attribute("aria-pressed", str(wanted).lower(), timeout=SHORT)
        self.notebook.scroll_to(found)
        return found

    def again(self) -> None:
        """Save the notebook, and load the page anew; the kernel is the same."""
        self.notebook.save()
        self.notebook = Notebook(self.page, self.notebook._lab, "asking.ipynb")

    def index(self, path: Path) -> None:
        """Another index, for both sessions."""
        self.slicer.dicom.database = str(path)
        self.notebook.value(f"slicer.dicom.database = {str(path)!r}")

    def knows(self, name: str, url: str) -> None:
        """Configure a further PACS, for the forms to come."""
        pacs.add(name, url, path=self.folder / "config" / "pacs.toml")
        self.servers.append(name)

    def search(self, form: Locator, **fields: str) -> None:
        """Fill these fields in and the others not, and press Enter; all PACS have answered then."""
        for field in ("name", "id", "accession", "description", "referring", "institution"):
            form.locator(f"[data-field={field}]").fill(fields.get(field, ""))
        form.locator("[data-field=name]").press("Enter")
        expect(form.locator(".sn-q-asked").first).to_be_visible(timeout=SHORT)
        expect(form.locator(".sn-q-asked:is([data-state=going], [data-state=waiting])")).to_have_count(0, timeout=SHORT)

    def study(self, form: Locator, study: Study) -> Locator:
        """Search a study by its accession number; its row, opened, with its series."""
        form.locator("[data-field=accession]").fill(study.accession)
        form.locator("[data-field=accession]").press("Enter")
        row = form.locator(f".sn-q-study[data-key='hospital {study.uid}']")
        row.locator("[data-column=date]").click()
        expect(form.locator(".sn-q-series")).to_have_count(len(study.series), timeout=SHORT)
        return row


@contextmanager
def asking_of(browser: Browser, lab: Lab, hospital: Path, research: testing.Orthanc, folder: Path) -> Iterator[Asking]:
    """Open it in a page of its own; the kernel and its Slicer end with it. ``folder`` is an empty one."""
    with ExitStack() as stack:
        files = [hospital.parent / study.uid for study in hospital_studies(ASKED)]
        archive = stack.enter_context(testing.orthanc(files, calling={"SLICER": 0}, aet="HOSPITAL"))
        line = stack.enter_context(Proxy(archive.dicom_port))
        configuration = folder / "config"
        pacs.add("hospital", line.url(archive.dimse_url), path=configuration / "pacs.toml")
        pacs.add(
            "research",
            research.dicomweb_url,
            auth="basic",
            user=research.user,
            password="env:RESEARCH_PASSWORD",
            path=configuration / "pacs.toml",
        )
        pacs.add("away", f"dimse://NOBODY@127.0.0.1:{testing.free_port()}", path=configuration / "pacs.toml")
        # The page shows what is typed, so that the password is not.
        secret = folder / "password"
        secret.write_text(research.password, encoding="utf-8")
        path = write_notebook(
            lab,
            "asking.ipynb",
            "import slicer_notebook as sn\n"
            f"password = open({str(secret)!r}).read()\n"
            "slicer = sn.launch(environment={"
            f"'SLICER_NOTEBOOK_CONFIG': {str(configuration)!r}, 'RESEARCH_PASSWORD': password}})",
            "query = sn.PacsQuery(slicer)\nquery",
        )
        context = browser.new_context(viewport=WINDOW, device_scale_factor=1)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        notebook = Notebook(context.new_page(), lab, path)
        notebook.run("sn.launch(")
        with sn.connect(notebook.value("print(slicer._launched.connection_file)")) as slicer:
            yield Asking(notebook, slicer, folder, line)
        notebook.shut_down()
        context.close()
