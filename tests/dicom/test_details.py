"""Details of series: made once, kept for as long as the files are the same, never kept when something was amiss."""

from __future__ import annotations

import io
import os
import sqlite3

import numpy as np
import pytest
from PIL import Image

from slicer_notebook.dicom import Index, details, plan, thumbnail, thumbnails
from slicer_notebook.dicom.details import SeriesDetails, cache_path, plan_facts
from slicer_notebook.errors import ArgumentError, SeriesRefusedError, UidNotFoundError
from tests.dicom.make import write_series

UID = "1.2.3.4.5"


@pytest.fixture
def index(tmp_path):
    found = Index(tmp_path / "dicom.sqlite3")
    yield found
    found.close()


@pytest.fixture
def found(index):
    made = SeriesDetails(index)
    yield made
    made.close()


@pytest.fixture
def files(index, tmp_path):
    made = write_series(tmp_path / "data", shape=(5, 8, 8), pixel_spacing=(1, 1))
    index.add(tmp_path / "data")
    return made


@pytest.fixture
def made(monkeypatch):
    """The plans that were made."""
    plans = []

    def counted(instances):
        plans.append(plan(instances))
        return plans[-1]

    monkeypatch.setattr(details, "plan", counted)
    return plans


def test_one_plan_for_both_and_both_are_kept(index, found, files, made):
    detail = found.detail(UID, 64)
    assert detail == {"plan": plan_facts(plan(files)), "png": thumbnail(plan(files), 64)}
    assert found.detail(UID, 64) == detail
    assert found.known([UID, "9.9"], 64) == {UID: detail}
    assert len(made) == 1
    # Another process finds it.
    other = SeriesDetails(Index(index.path))
    assert other.detail(UID, 64) == detail
    assert len(made) == 1
    other.close()


def test_the_picture_alone_is_kept_as_well(found, files, made):
    png = found.thumbnail(UID, 64)
    assert found.thumbnail(UID, 64) == found.detail(UID, 64)["png"] == png == thumbnail(plan(files), 64)
    assert len(made) == 1


def test_another_size_is_another_picture(found, files):
    found.detail(UID, 64)
    assert found.known([UID], 32) == {}
    assert Image.open(io.BytesIO(found.detail(UID, 32)["png"])).size == (32, 32)
    assert found.known([UID], 64).keys() == {UID}


def test_changed_files_are_drawn_anew(index, found, tmp_path):
    folder = tmp_path / "data"
    write_series(folder, shape=(5, 8, 8), WindowCenter=0, WindowWidth=4000)
    index.add(folder)
    before = found.detail(UID, 64)
    write_series(folder, shape=(5, 8, 8), WindowCenter=2000, WindowWidth=4000)
    index.add(folder)
    assert found.known([UID], 64) == {}
    after = found.detail(UID, 64)
    assert (
        np.asarray(Image.open(io.BytesIO(after["png"]))).mean()
        < np.asarray(Image.open(io.BytesIO(before["png"]))).mean()
    )


def test_a_file_more_is_another_plan(index, found, files, tmp_path):
    assert found.detail(UID, 64)["plan"]["volumes"][0]["files"] == 5
    files[-1].unlink()
    index.add(tmp_path / "data")
    assert found.detail(UID, 64)["plan"]["volumes"][0]["files"] == 4


def test_a_new_renderer_draws_anew(found, files, monkeypatch):
    found.detail(UID, 64)
    monkeypatch.setattr(details, "RENDERER", -1)
    assert found.known([UID], 64) == {}


def test_what_was_made_while_files_were_gone_is_not_kept(index, found, files):
    away = [(path, path.with_suffix(".away")) for path in files]
    for path, place in away:
        path.rename(place)
    gone = found.detail(UID, 64)
    assert gone["png"].startswith(b"\x89PNG")
    assert found.known([UID], 64) == {}
    for path, place in away:
        place.rename(path)
    assert found.detail(UID, 64)["png"] != gone["png"]
    assert found.known([UID], 64).keys() == {UID}


def test_what_was_made_of_files_that_changed_since_is_not_kept(found, files):
    for path in files:
        os.utime(path, ns=(1, 1))
    assert "png" in found.detail(UID, 64)
    assert found.known([UID], 64) == {}


def test_pixels_that_cannot_be_decoded_are_tried_again(found, files, monkeypatch):
    """Another day there may be a decoder."""

    def refuses(_plan):
        raise SeriesRefusedError("pixels cannot be decoded")

    with monkeypatch.context() as patched:
        patched.setattr(thumbnails, "read", refuses)
        card = found.detail(UID, 64)["png"]
    assert found.known([UID], 64) == {}
    assert found.detail(UID, 64)["png"] != card
    assert found.known([UID], 64).keys() == {UID}


def test_errors_are_told_in_words(found, files, monkeypatch):
    def fails(*_args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(details, "drawn", fails)
    detail = found.detail(UID, 64)
    assert detail["plan"] == plan_facts(plan(files))
    assert detail["png_error"] == {"message": "[Errno 5] Input/output error", "hint": "", "kind": "OSError"}
    monkeypatch.setattr(details, "plan", fails)
    assert found.detail(UID, 64).keys() == {"plan_error", "png_error"}
    assert found.known([UID], 64) == {}


def test_series_and_sizes_that_are_none(found):
    with pytest.raises(UidNotFoundError):
        found.detail("9.9", 64)
    with pytest.raises(ArgumentError, match="16 to 2048"):
        found.detail(UID, 5)
    assert found.known([], 64) == {}


def test_a_cache_that_cannot_be_used_costs_nothing_but_time(index, found, files):
    cache_path(index.path).mkdir()
    first = found.detail(UID, 64)
    assert first["png"] == thumbnail(plan(files), 64)
    assert found.known([UID], 64) == {}
    assert found.detail(UID, 64) == first


def test_stamps_do_not_overflow(index, tmp_path):
    write_series(tmp_path / "many", shape=(40, 2, 2))
    index.add(tmp_path / "many")
    before = index.stamps([UID, UID, "9.9"])
    assert before.keys() == {UID}
    with sqlite3.connect(index.path) as connection:
        connection.execute("UPDATE files SET mtime_ns = mtime_ns + 1 WHERE id = (SELECT MIN(id) FROM files)")
    assert index.stamps([UID]) != before
