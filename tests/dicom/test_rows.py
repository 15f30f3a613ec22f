"""Reading headers in helper processes: the same rows, whatever becomes of the helpers."""

from __future__ import annotations

import sys

import pytest

from slicer_notebook.dicom import rows as rows_module
from slicer_notebook.dicom.rows import read_row, read_rows
from slicer_notebook.dicom.walk import Found, walk
from slicer_notebook.errors import JobCancelledError
from tests.dicom.make import write_series


@pytest.fixture
def files(tmp_path):
    write_series(tmp_path / "d", shape=(60, 2, 2))
    (tmp_path / "d" / "notes.txt").write_text("hello")
    (tmp_path / "d" / "größe.txt").write_text("hello")
    found = list(walk(str(tmp_path / "d"), lambda folder, error: pytest.fail(folder)))
    return [*found, Found("/gone", -1, -1, "not readable: by this test")]


@pytest.fixture
def helpers(monkeypatch):
    """Two helper processes for any number of files; those that were started."""
    monkeypatch.setattr(rows_module, "PARALLEL_FROM", 0)
    monkeypatch.setattr(rows_module, "CHUNK", 2)
    monkeypatch.setattr(rows_module, "cores", lambda: 3)
    started = []
    make = rows_module._Helper

    def remember(chunks):
        started.append(make(chunks))
        return started[-1]

    monkeypatch.setattr(rows_module, "_Helper", remember)
    return started


def collected(files, poll=lambda: None):
    return sorted((row for rows in read_rows(files, poll) for row in rows), key=lambda row: row.path)


def expected(files):
    return sorted(map(read_row, files), key=lambda row: row.path)


def test_the_same_as_without(files, helpers):
    assert collected(files) == expected(files)
    assert len(helpers) == 2
    assert all(not helper.process.alive for helper in helpers)


def test_helpers_do_work(files, helpers, monkeypatch):
    """This process waits for the helpers' first rows; they come."""

    def patient(chunks, started, poll):
        return started[0].results.get() if chunks else wait(chunks, started, poll)

    wait = rows_module._next_rows
    monkeypatch.setattr(rows_module, "_next_rows", patient)
    monkeypatch.setattr(rows_module, "cores", lambda: 2)
    assert collected(files) == expected(files)


def test_helpers_that_die_lose_nothing(files, helpers):
    polls = []

    def poll():
        polls.append(None)
        if len(polls) == 5:
            for helper in helpers:
                helper.process.kill()

    assert collected(files, poll) == expected(files)


def test_helpers_that_cannot_start_lose_nothing(files, helpers, monkeypatch, tmp_path):
    false = tmp_path / "python-that-fails"
    false.write_text("#!/bin/sh\nexit 3\n")
    false.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(false))
    assert collected(files) == expected(files)
    assert len(helpers) == 2


def test_no_helpers_inside_a_program_that_is_no_python(files, helpers, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/Slicer/bin/SlicerApp-real")
    assert collected(files) == expected(files)
    assert helpers == []


def test_cancelling_ends_the_helpers(files, helpers):
    polls = []

    def poll():
        polls.append(None)
        if len(polls) > 3:
            raise JobCancelledError("by this test")

    with pytest.raises(JobCancelledError):
        collected(files, poll)
    assert all(not helper.process.alive for helper in helpers)


def test_few_files_start_no_helper(files, monkeypatch):
    monkeypatch.setattr(rows_module, "_Helper", lambda chunks: pytest.fail("a helper was started"))
    assert collected(files) == expected(files)
