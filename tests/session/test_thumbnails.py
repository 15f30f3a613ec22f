"""Thumbnails of series: a gallery that shows itself, a figure, a sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PilImage

from slicer_notebook import errors
from slicer_notebook.dicom.records import Series
from slicer_notebook.session.thumbnails import Thumbnail, Thumbnails, collect

VOLUME: dict[str, Any] = {
    "name": "3: Chest",
    "files": 40,
    "shape": [40, 512, 512],
    "spacing": [0.7, 0.7, 2.5],
    "orientation": "axial",
    "affine": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    "warnings": ["The gantry was tilted by 12 degrees."],
}
PLAN: dict[str, Any] = {
    "volumes": [VOLUME],
    "refused": [{"reason": "segmentation", "message": "A <segmentation>.", "files": 1}],
    "warnings": ["2 files are copies."],
}


def png(colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    PilImage.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def record(number: int | None = 3, **attributes: Any) -> Series:
    values = {"SeriesDescription": "Chest <b> $5_1$", "Modality": "CT", "NumberOfSeriesRelatedInstances": 1334}
    return Series(**{"SeriesInstanceUID": f"1.{number}", "SeriesNumber": number, **values, **attributes})


def thumbnail(number: int | None = 3, **attributes: Any) -> Thumbnail:
    return Thumbnail(record(number, **attributes), {"plan": PLAN, "png": png()})


def test_a_thumbnail_says_what_it_is() -> None:
    one = thumbnail()
    assert one.title == "3: Chest <b> $5_1$"
    assert one.facts == "CT, 1,334 images"
    assert one.png == png()
    assert one.image is not None
    assert one.image.size == (64, 48)
    assert one.warnings == ["2 files are copies.", "The gantry was tilted by 12 degrees.", "A <segmentation>."]
    assert one.error == ""
    assert repr(one).startswith("<Thumbnail of series '3: Chest <b> $5_1$', CT, 1,334 images; 2 files are copies.;")


@pytest.mark.parametrize(
    ("attributes", "title", "facts"),
    [
        ({"SeriesDescription": None, "ProtocolName": "Axial"}, "3: Axial", "CT, 1,334 images"),
        ({"SeriesDescription": None, "number": None}, "CT", "CT, 1,334 images"),
        ({"SeriesDescription": None, "Modality": None}, "3: Unnamed series", "1,334 images"),
        ({"NumberOfSeriesRelatedInstances": 1}, "3: Chest <b> $5_1$", "CT, 1 image"),
    ],
)
def test_what_is_absent(attributes: dict[str, Any], title: str, facts: str) -> None:
    one = thumbnail(**attributes)
    assert (one.title, one.facts) == (title, facts)


def test_errors_stand_in_the_picture_s_place() -> None:
    words = {"message": "The file is gone.", "hint": "Index again.", "kind": "FileFormatError"}
    one = Thumbnail(record(), {"plan": PLAN, "png_error": words})
    assert (one.image, one.png, one.error) == (None, None, "The file is gone. Index again.")
    assert "The file is gone. Index again." in one._repr_html_()
    both = Thumbnail(record(), {"plan_error": words, "png_error": words})
    assert (both.plan, both.warnings) == (None, [])
    assert "<img" not in both._repr_html_()


def test_the_gallery() -> None:
    gallery = Thumbnails([thumbnail(3), thumbnail(4, SeriesDescription="Abdomen")])
    page = gallery._repr_html_()
    assert page.count("data:image/png;base64,") == 2
    assert "3: Chest &lt;b&gt; $5_1$" in page
    assert "4: Abdomen" in page
    assert "CT, 1,334 images" in page
    assert "<summary>3 warnings</summary>" in page
    assert "A &lt;segmentation&gt;." in page
    assert not re.search(r"<(b|segmentation)>", page)
    # Not without an alternative text, and no script.
    assert len(re.findall(r'<img alt="Middle slice of series [^"]+"', page)) == 2
    assert "script" not in page
    assert len(repr(gallery).splitlines()) == 2


def test_no_more_warnings_than_fit() -> None:
    one = Thumbnail(record(), {"plan": {"warnings": [f"w{n}" for n in range(9)]}, "png": png()})
    assert "<summary>9 warnings</summary>" in one._repr_html_()
    assert "<li>w4</li><li>and 4 more</li>" in one._repr_html_()


def test_an_empty_gallery() -> None:
    assert Thumbnails()._repr_html_() == "<em>no series</em>"
    assert repr(Thumbnails()) == "Thumbnails([])"


class Slow:
    """Jobs that are done when they are waited for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.most = 0
        self.open: list[str] = []
        self.cancelled: list[str] = []

    def ask(self, uid: str) -> Any:
        self.asked.append(uid)
        self.open.append(uid)
        self.most = max(self.most, len(self.open))
        return _Job(uid, self.cancelled)

    def wait(self, job: Any) -> dict[str, Any]:
        self.open.remove(job.uid)
        return {"plan": PLAN, "png": png(size=(int(job.uid[2:]), 20))}


class _Job:
    def __init__(self, uid: str, cancelled: list[str]) -> None:
        self.uid = uid
        self.cancel: Callable[[], None] = lambda: cancelled.append(uid)


def test_what_is_known_is_not_asked_for() -> None:
    slow = Slow()
    series = [record(n) for n in (21, 22, 23, 24, 25, 26, 21)]
    known = {"1.23": {"plan": PLAN, "png": png(size=(99, 20))}}
    found = collect(series, known, slow.ask, slow.wait)
    assert [each.image.size[0] for each in found if each.image] == [21, 22, 99, 24, 25, 26, 21]
    assert slow.asked == ["1.21", "1.22", "1.24", "1.25", "1.26"]
    assert slow.most == 3
    assert slow.cancelled == []


def test_an_error_ends_what_was_asked_for() -> None:
    slow = Slow()

    def fails(_job: Any) -> Any:
        raise errors.ConnectionLostError("Slicer is gone.")

    with pytest.raises(errors.ConnectionLostError):
        collect([record(n) for n in range(9)], {}, slow.ask, fails)
    assert slow.cancelled == ["1.0", "1.1", "1.2"]


def test_a_figure_and_a_sheet(tmp_path: Path) -> None:
    words = {"message": "The file is gone.", "hint": "", "kind": "FileFormatError"}
    lost = Thumbnail(record(9), {"plan": PLAN, "png_error": words})
    gallery = Thumbnails([thumbnail(3), lost, thumbnail(4, SeriesDescription="Abdomen")])
    figure = gallery.figure(columns=2, title="Doe, Jane")
    # A series without a picture has a place as well.
    captions = [axes.get_xlabel() for axes in figure.axes]
    assert captions == ["3: Chest <b> $5_1$\nCT, 1,334 images", captions[1], "4: Abdomen\nCT, 1,334 images"]
    assert "The file is gone." in captions[1]
    path = gallery.save(tmp_path / "sheet.png", columns=2)
    assert PilImage.open(path).format == "PNG"
    with pytest.raises(errors.ArgumentError):
        Thumbnails().figure()
