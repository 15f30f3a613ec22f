"""Contact sheets: pictures in rows and columns, their captions, files of three formats."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from slicer_notebook import errors
from slicer_notebook.session import Image
from slicer_notebook.session.sheets import contact_sheet, save_sheet


def png(colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    PilImage.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_in_rows_and_columns() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    sheet = contact_sheet([(Image(png(c)) if n else png(c), f"{n}") for n, c in enumerate(colours)], 2, "A title")
    assert [tuple(axes.images[0].get_array()[0, 0]) for axes in sheet.axes] == colours
    assert [axes.get_xlabel() for axes in sheet.axes] == ["0", "1", "2"]
    places = [axes.get_subplotspec() for axes in sheet.axes]
    assert [(place.rowspan.start, place.colspan.start) for place in places if place] == [(0, 0), (0, 1), (1, 0)]
    assert sheet.get_suptitle() == "A title"


def test_no_more_columns_than_pictures() -> None:
    assert contact_sheet([(png(), "a")], 8).get_figwidth() == contact_sheet([(png(), "a")], 1).get_figwidth()


def test_captions_are_broken_and_cut() -> None:
    sheet = contact_sheet([(png(), "one two three four five six seven eight nine\n\nCT"), (png(), "x" * 500)], 2)
    first, second = (axes.get_xlabel() for axes in sheet.axes)
    assert first.split("\n") == ["one two three four five six", "seven eight nine", "", "CT"]
    assert len(second.split("\n")) == 4
    assert second.endswith("\N{HORIZONTAL ELLIPSIS}")


def test_dollar_signs_are_no_formula(tmp_path: Path) -> None:
    save_sheet(contact_sheet([(png(), r"a $\frac{$ b $x^$")], 1, r"$\nonsense{$"), tmp_path / "a.png")


def test_captions_do_not_overlap_pictures(tmp_path: Path) -> None:
    """The sheet has as much of each colour as there are pictures, whole."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255)]
    pictures = [(png(c, (128, 128)), "3: A long description\nCT, 100 images") for c in colours]
    path = save_sheet(contact_sheet(pictures, 2, "All"), tmp_path / "a.png")
    pixels = np.asarray(PilImage.open(path).convert("RGB")).astype(int)
    areas = []
    for colour in colours:
        rows, columns = np.nonzero((np.abs(pixels - colour) <= 2).all(axis=2))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert width == pytest.approx(height, abs=3)
        assert len(rows) == pytest.approx(width * height, rel=0.02)
        areas.append(width)
    assert min(areas) > 250
    assert max(areas) - min(areas) <= 3


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")])
def test_formats(tmp_path: Path, ending: str, start: bytes) -> None:
    path = save_sheet(contact_sheet([(png(), "a")]), tmp_path / f"sheet.{ending}")
    assert path.read_bytes().startswith(start)


def test_what_is_written_into_a_png(tmp_path: Path) -> None:
    path = save_sheet(contact_sheet([(png(), "a")]), tmp_path / "a.png", {"Series": "1.2.3"})
    assert PilImage.open(path).info["Series"] == "1.2.3"


@pytest.mark.parametrize("arguments", [([],), ([(png(), "a")], 0), ([(png(), "a")], True), ([(png(), "a")], "2")])
def test_what_makes_no_sheet(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(errors.ArgumentError):
        contact_sheet(*arguments)


def test_places_that_are_none(tmp_path: Path) -> None:
    sheet = contact_sheet([(png(), "a")])
    with pytest.raises(errors.ArgumentError, match=r"\.png, \.pdf, \.svg"):
        save_sheet(sheet, tmp_path / "a.jpg")
    with pytest.raises(errors.PathNotFoundError):
        save_sheet(sheet, tmp_path / "nowhere" / "a.png")
