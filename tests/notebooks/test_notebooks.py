"""The example notebooks run from top to end, and what they show is what it should be."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image

from slicer_notebook import kernelspec, testing
from slicer_notebook.sample_data import fetch, sample_folder

#: Where `make test` puts the study: looked up before the tests get folders of their own.
_SAMPLE = sample_folder()

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

#: Seconds for a whole notebook; about 10 on a quiet machine.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def notebook_environment(_own_folders: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The sample study in a data folder without an index, and the kernel "Slicer (headless)"."""
    fetch(_SAMPLE)
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "data" / "sample").mkdir(parents=True)
    (folder / "data" / "sample" / _SAMPLE.name).symlink_to(_SAMPLE)
    kernelspec.install(prefix=str(folder / "prefix"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLICER_NOTEBOOK_DATA", str(folder / "data"))
        patch.setenv("JUPYTER_PATH", str(folder / "prefix" / "share" / "jupyter"))
        # A notebook chooses its own way to draw.
        patch.delenv("MPLBACKEND", raising=False)
        yield


class Executed:
    """A notebook that has run.

    Args:
        path: of the notebook.
    """

    def __init__(self, path: Path) -> None:
        self.notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(
            self.notebook, timeout=120, store_widget_state=False, resources={"metadata": {"path": str(path.parent)}}
        )
        client.execute()

    def data(self, source: str, mime: str, place: int = 0) -> str:
        """An output of a kind, the first, of the cell whose source contains ``source``."""
        cell = next(each for each in self.notebook.cells if each.cell_type == "code" and source in each.source)
        found = [output["data"][mime] for output in cell.outputs if mime in output.get("data", {})]
        assert found, f"{source!r} has no {mime}: {cell.outputs}"
        text: str = found[place]
        return text

    def printed(self, source: str) -> str:
        """What that cell printed."""
        cell = next(each for each in self.notebook.cells if each.cell_type == "code" and source in each.source)
        return "".join(output["text"] for output in cell.outputs if output.output_type == "stream")

    def picture(self, source: str) -> npt.NDArray[np.uint8]:
        """Its PNG: uint8 [height, width, 3]."""
        png = base64.b64decode(self.data(source, "image/png"))
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebooks_are_clean(path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert dict(notebook.metadata.language_info) == {"name": "python"}
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


def test_the_first_look(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "01_first_look.ipynb")
    assert "133" in done.data("job.result()", "text/plain")
    table = done.data("picker = sn.StudyPicker", "text/html")
    assert "LIDC-IDRI-0001" in table
    assert "data:image/png" in table
    assert "done" in done.data("slicer.dicom.index", "text/html")
    assert "(133, 512, 512)" in done.data("array.shape", "text/plain")
    assert done.data("sn.ViewThumbnails", "text/html").count("data:image/png") == 4
    red = done.picture('slicer.view("Red")')
    assert red.shape == (512, 512, 3)
    # The corners are outside of the scanner's circle and black, the middle is a chest.
    assert red[:20, :20].max() == 0
    assert red[200:312, 200:312].std() > 20
    soft = done.picture("volume.window_level")
    assert np.abs(soft.astype(int) - red).mean() > 10
    # Two moments of one view: the bones are the colour that the cell gave them.
    bones = done.picture('slicer.view("3D")')
    assert (
        (np.abs(bones.astype(int) - bones[..., :1]).max(axis=-1) > 5) & (bones[..., 0] > bones[..., 2])
    ).mean() > 0.02
    assert "1 segment" in done.printed("%%slicer")
    assert done.printed("@slicer.function") == "1983 ml are above 150 HU\n"
    assert done.data("volume.histogram", "image/png")


def test_a_notebook_on_the_slicer_kernel(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "04_slicer_kernel.ipynb")
    assert done.data("slicer.app.applicationVersion", "text/plain").startswith("('5.")
    assert "running" in done.data("sn.connect()", "text/plain")
    assert done.data("arrayFromVolume", "text/plain") == "((133, 512, 512), True)"
    assert "LIDC-IDRI-0001" in done.data("sn.StudyPicker", "text/html")
    assert done.data("sn.ViewThumbnails", "text/html").count("data:image/png") == 4
    assert done.picture("SetWindowLevel").std() > 30
    assert done.data("get_connection_file", "text/plain").endswith(".json'")


def test_studies(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "02_studies.ipynb")
    table = done.data("picker = sn.StudyPicker", "text/html")
    assert "LIDC-IDRI-0001" in table
    assert "data:image/png" in table
    assert "3000566: CT" in done.data("volume = volumes[0]", "text/plain")
    assert done.data("sn.SeriesThumbnails", "text/html").count("data:image/png") > 0
    assert done.data("thumbnails = ", "text/html").count("data:image/png") >= 8
    assert done.picture("thumbnails.figure").std() > 10
    assert "Pixel Spacing" in done.data("header = ", "text/html")
    assert "Spacing" in done.data("header.find", "text/html")
    assert "SOP Instance UID" in done.data("dicom.compare", "text/html")
    loads = done.data("queue.wait", "text/html")
    assert loads.count("done") == 3
    assert done.data("sn.ViewThumbnails", "text/html").count("data:image/png") == 4
    assert done.picture("views.take").std() > 20
    assert done.picture("views.figure").shape[0] > 500
    strict = done.data('privacy="strict"', "text/html")
    assert "studies" in strict
    assert "LIDC" not in strict


@pytest.mark.skipif(testing.orthanc_program() is None, reason="Orthanc is not installed (Debian: orthanc-dicomweb)")
def test_pacs(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "03_pacs.ipynb")
    assert "'studies': 7" in done.data("orthanc.counts()", "text/plain")
    examination = done.data("sn.pacs.test", "text/html")
    assert "instances came to 127.0.0.1" in examination
    assert ">warn<" not in examination
    assert ">fail<" not in examination
    answers = done.data("answers = pacs.find", "text/html")
    assert answers.count("Doe^") == 5
    assert "5 answers of demo" in answers
    assert "count" in done.data("cohort.groupby", "text/html")
    assert "512 \u00d7 512 \u00d7 133" in done.data("pacs.plan(chest[0])", "text/plain")
    assert done.picture("pacs.thumbnail").std() > 20
    assert "done, 27 of 27 instances" in done.data("transfer = job.result()", "text/plain")
    first, again = (table(done.data(source, "text/html")) for source in ("pd.DataFrame(transfer.series)", "again = "))
    assert first["received"].astype(int).sum() == again["here"].astype(int).sum() == 27
    assert (set(first["here"]), set(first["ways"])) == ({"0"}, {"[C-GET]"})
    assert (set(again["bytes"]), set(again["ways"])) == ({"0"}, {"[]"})
    assert "3000566: CT" in done.data("volumes = ", "text/plain", -1)
    assert done.data("sn.ViewThumbnails", "text/html").count("data:image/png") == 4
    figure = done.picture("plt.subplots")
    assert figure[:, : figure.shape[1] // 3].std() > 50
    assert "133 of 133" in done.data("slicer.transfers", "text/html")
    assert done.data("with sn.pacs.open", "text/plain") == "(True, 3)"
    assert done.data("command = ", "text/plain") == "(0, 3, True)"
    assert "2 pieces" in done.data("web.plan", "text/html")
    assert done.data("web.retrieve", "text/plain") == "[('Routine Brain', 4, ['WADO-RS'])]"
    configuration = done.printed("print((own")
    assert 'password = "env:DEMO_PASSWORD"' in configuration
    # The reader's own is left alone (other tests may have one there).
    own = Path(os.environ["SLICER_NOTEBOOK_CONFIG"]) / "pacs.toml"
    assert "[servers.demo]" not in (own.read_text(encoding="utf-8") if own.exists() else "")


def table(html: str) -> pd.DataFrame:
    """The data frame that a cell shows, as texts."""
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", html, re.DOTALL)]
    return pd.DataFrame([row[1:] for row in rows[1:]], columns=rows[0][1:])


def test_dicom_of_every_kind(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "03_every_dicom.ipynb")
    assert "instances of" in done.data("dicom.index(Path", "text/plain")
    assert "2 pieces" in done.data("dicom.plan(series[0])", "text/html")
    assert "structured-report" in done.data('Modality="SR"', "text/html")
    heart = done.data("(heart,) =", "text/html", -1)
    assert "over time" in heart
    assert "data:image/png" in heart
    assert done.picture("heart.index = 12").std() > 10
    assert done.data("heart.array.shape", "text/plain").startswith("((30, 1, 240, 320, 3), 's', [0.0, 0.0333")
    assert "SonoSite" in done.data("heart.dicom[keyword]", "text/plain")
    assert "slices k = 9 were not measured" in done.data("slicer.dicom.plan(folder)", "text/plain")
    assert "missing-slices" in done.data("strict=True", "text/plain")


@pytest.mark.skipif(testing.orthanc_program() is None, reason="Orthanc is not installed (Debian: orthanc-dicomweb)")
def test_other_programs(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "04_other_programs.ipynb")
    assert done.data("slicer.gateways.start", "text/html").count("127.0.0.1") == 3
    assert done.data("sn.GatewaysPanel", "text/html").count("127.0.0.1") == 3
    assert done.data("DBWindowFind", "text/plain") == "('0', 'LIDC-IDRI-0001', '133')"
    assert "179049373636438705059720603192" in done.data("GetDisplayed2DViewerSeries", "text/plain")
    assert "3000566: CT" in done.data("def get(path)", "text/plain")
    assert done.picture("scrollTo=0.55").std() > 30
    assert "space: left-posterior-superior" in done.printed('/slicer/volume")')
    assert done.data('/slicer/volume")', "text/plain") == "True"
    assert "'LIDC-IDRI-0001'], [133]" in " ".join(done.data("/dicom/studies", "text/plain").split())
    assert "-180." in done.data("markups.add", "text/plain")
    assert done.printed("/slicer/exec").startswith("500 Server error: Running code is off.")
    recorded = done.data("igtl.record", "text/plain")
    assert int(re.findall(r"(\d+) messages", recorded)[0]) > 100
    assert "Needle" in done.data("slicer.igtl.devices", "text/html")
    assert done.picture("recording.matrices").std() > 10
    assert "('Doe^Archibald', '19950903', 4)" in done.data("kheops.studies", "text/plain")
    link = done.data("kheops.viewer_link", "text/plain")
    assert "access_token=***&" in link
    assert "4 instances; <Volume '2: Routine Brain'" in done.data("slicer.open(link)", "text/plain", -1)
    assert done.data('way="path"', "text/plain") == "(True, 4, [4])"
    refused = done.printed("LinkRefusedError")
    assert refused.count("not opened") == 3
    assert "SECRET" not in refused
    log = done.data("osirix.log", "text/html")
    assert "DBWindowFind" in log
    assert "GetDisplayed2DViewerSeries" in log


def test_segmentation(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "06_segmentation.ipynb")
    assert "Chest" in done.data("segmentation = slicer.add_segmentation", "text/html")
    assert int(done.data('islands("keep_largest")', "text/plain")) > 100_000
    # The lungs are blue, the heart's contrast medium is as bone is.
    red = done.picture("ct.window_level = ").astype(int)
    blue = red[..., 2] - red[..., 0] > 30
    assert 0.15 < blue.mean() < 0.4
    assert blue[260, 150]
    assert blue[260, 350]
    assert not blue[260, 250]
    numbers = table(done.data("statistics = ", "text/html"))
    numbers = numbers[numbers["voxels"] != ""]  # without the line that names the index
    assert len(numbers) == 2
    assert numbers["volume_cm3"].astype(float).between([700, 3000], [1300, 4500]).all()
    assert numbers["mean"].astype(float).between([300, -900], [600, -750]).all()
    shape, place, area = re.findall(r"\(([\d, ]+)\), (\d+), (\d+)", done.data("areas = ", "text/plain"))[0]
    assert (shape, int(place) < 133, 150 < int(area) < 350) == ("133, 512, 512", True, True)
    assert "meaning='Lung'" in done.data('lungs.terminology = "Lung"', "text/plain")
    segments = done.data("sn.SegmentTable", "text/html")
    assert "dense" in segments
    assert "Lung" in segments
    surface = done.picture("segmentation.show_3d")
    assert surface.std() > 20
    # That wide, deep and high, mm.
    extent = [float(each) for each in re.findall(r"(\d+)\.", done.data("lungs.surface()", "text/plain"))]
    assert all(
        low < each < high for each, (low, high) in zip(extent, ((200, 320), (150, 260), (200, 333)), strict=True)
    )
    assert done.data("editor.undo()", "text/plain").endswith("'margin of 3 mm', True, True)")
    rim = done.picture("rim = ").astype(int)
    assert 0.02 < ((rim[..., 0] - rim[..., 2] > 30) & (rim[..., 0] - rim[..., 1] > 30)).mean() < 0.15
    panel = done.data("panel = segmentation.edit", "text/html")
    assert "rim" in panel
    assert panel.count("data:image/png") == 1
    assert int(done.data("editor.paint", "text/plain")) > 1000
    assert done.data(".seg.nrrd", "text/plain") == "(['dense', 'lungs', 'rim'], 'Lung')"


def test_views(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "05_views.ipynb")
    for source, count in (("red.show", 1), ("slicer.show", 4), ("sn.ViewThumbnails", 4), ("compare.mode", 1)):
        assert done.data(source, "text/html").count("data:image/png") == count, source
    assert "nan" not in done.data("compare.mode", "text/html").partition("</figcaption>")[0][-100:]
    assert done.data("red.field_of_view", "text/plain").endswith("(360.0, 360.0), (1400.0, -500.0))")
    assert "Four-up" in done.data("sn.LayoutSelector", "text/html")
    # Bones are brown before the blue background.
    bones = done.picture('view.look_from("A")').astype(int)
    assert ((bones[..., 0] - bones[..., 2]) > 20).mean() > 0.1
    position = re.findall(r"-?[\d.]+", done.data("camera.position", "text/plain"))
    assert float(position[1]) > 500, "anterior of the chest, mm"
    assert done.data("picture.array.shape", "text/plain").startswith("((400, 400, 3), dtype('uint8')")
    # Lungs are bright only in the lungs' window: the mean falls from picture to picture.
    windows = done.picture("for axis, preset").mean(axis=-1)
    third = windows.shape[1] // 3
    lung, abdomen, bone = (windows[40:, number * third : (number + 1) * third].mean() for number in range(3))
    assert lung > abdomen > bone
    assert done.picture("rows=2").std() > 30
    assert done.picture('orientation="Coronal"').std() > 30
    assert done.picture("checkerboard").std() > 20
    strict = done.data('privacy="strict"', "text/html")
    assert "data:image" not in strict


def test_the_scene(notebook_environment: None, root: Path) -> None:
    done = Executed(root / "notebooks" / "07_scene.ipynb")
    assert done.data("image.GetSize()", "text/plain").startswith("((512, 512, 133), (0.703125, 0.703125, 2.5)")
    assert done.data("ct.to_xarray()", "text/plain") == "(('j',), 'RAS', 'Hounsfield unit', array([-340.,  -10.]))"
    same, millilitres = re.findall(r"\((\w+), (\d+)\)", done.data("SimpleITK.BinaryThreshold", "text/plain"))[0]
    assert same == "True"
    points = table(done.data("points.to_dataframe()", "text/html"))
    assert list(points["label"]) == ["right", "left", "back"]
    # 120 mm apart; the third is 60 mm to the side of both, 100 behind and 30 above.
    length, angle = map(float, re.findall(r"[\d.]+", done.data("line.length", "text/plain")))
    assert (length, angle) == (120.0, pytest.approx(2 * np.degrees(np.arctan2(60, np.hypot(100, 30))), abs=0.01))
    assert "[ True,  True, False]" in done.data("roi.contains", "text/plain")
    assert "back" in done.data("sn.MarkupsTable", "text/html")
    assert "data:image/png" in done.data("segmentation.to_models", "text/html")
    assert done.picture('model.color_by("height"').std() > 20
    own, moved = positions(done.data("turn.apply", "text/plain"))
    np.testing.assert_allclose(moved, [-own[1], own[0], own[2] + 10], atol=1e-4)
    (back,) = positions(done.data("turn.invert", "text/plain"))
    np.testing.assert_allclose(back, [own[1], -own[0], own[2] - 10], atol=1e-4)
    (hardened,) = positions(done.data("turn.harden", "text/plain").removesuffix(", [])"))
    np.testing.assert_array_equal(hardened, back)
    statistics = table(done.data("statistics = ", "text/html"))
    assert int(millilitres) == round(float(statistics["volume_cm3"].iloc[-1]))
    assert done.picture("plot = ").std() > 10
    assert "by eye" in done.data("note = ", "text/html")
    tree = done.data("sn.SceneTree", "text/html")
    assert all(name in tree for name in ("Landmarks", "Bones", "Heart", "Note"))
    assert "Landmarks" in done.data("chosen = ", "text/html")
    assert done.data("heard.wait", "text/plain") == "True"


def positions(text: str) -> list[npt.NDArray[np.float64]]:
    """The arrays in what a cell shows."""
    return [np.array(each.split(","), dtype=np.float64) for each in re.findall(r"array\(\[([^\]]*)\]", text)]
