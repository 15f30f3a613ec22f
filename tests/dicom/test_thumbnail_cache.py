"""The cache on disk: holds for one state of the files, stays within its limit, and harms nobody when it is broken."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
import time

import pytest

from slicer_notebook.dicom import thumbnail_cache
from slicer_notebook.dicom.thumbnail_cache import Kept, ThumbnailCache

ENTRY = Kept(b"plan", b"png")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "i.thumbnails.sqlite3"


@pytest.fixture
def cache(path):
    found = ThumbnailCache(path)
    yield found
    found.close()


@pytest.fixture
def clock(monkeypatch):
    """The time that the cache goes by, set by hand."""

    class Clock:
        now = 1_000_000.0

        def time(self):
            return self.now

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(thumbnail_cache, "time", made)
    return made


def entries(path):
    with sqlite3.connect(path) as connection:
        return [row[0] for row in connection.execute("SELECT series FROM entries ORDER BY series")]


def test_what_was_kept_is_known_to_others(cache, path):
    cache.keep("1", "a", 128, ENTRY)
    assert cache.known({"1": "a", "2": "b"}, 128) == {"1": ENTRY}
    other = ThumbnailCache(path)
    assert other.known({"1": "a"}, 128) == {"1": ENTRY}
    other.close()


def test_an_entry_holds_for_its_stamp_and_size(cache):
    cache.keep("1", "a", 128, ENTRY)
    assert cache.known({"1": "b"}, 128) == {}
    assert cache.known({"1": "a"}, 64) == {}
    cache.keep("1", "b", 128, Kept(b"", b"other"))
    assert cache.known({"1": "a"}, 128) == {}
    assert cache.known({"1": "b"}, 128)["1"].png == b"other"


def test_its_files_are_readable_by_their_owner_only(cache, path):
    cache.keep("1", "a", 128, ENTRY)
    modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.glob("i.thumbnails*")}
    assert path.name in modes
    assert set(modes.values()) == {0o600}


def test_what_was_not_used_for_the_longest_goes_first(path, clock, monkeypatch):
    monkeypatch.setattr(thumbnail_cache, "_PUT_BETWEEN", 1)
    cache = ThumbnailCache(path, limit=1000)
    for number in range(4):
        clock.now += 10_000
        cache.keep(str(number), "a", 128, Kept(b"x" * 100, b"y" * 100))
    clock.now += 10_000
    assert cache.known({"0": "a"}, 128)
    for number in (4, 5):
        clock.now += 10_000
        cache.keep(str(number), "a", 128, Kept(b"x" * 100, b"y" * 100))
    # 1,200 bytes were there: down to nine tenths of the limit at most.
    assert entries(path) == ["0", "3", "4", "5"]
    cache.keep("6", "a", 128, Kept(b"x" * 1001, b""))
    assert "6" not in entries(path)
    cache.close()


def test_the_limit_holds_however_much_is_kept(path):
    cache = ThumbnailCache(path, limit=200_000)
    for number in range(400):
        cache.keep(str(number), "a", 128, Kept(b"p" * 1000, os.urandom(4000)))
    cache.close()
    with sqlite3.connect(path) as connection:
        (total,) = connection.execute("SELECT SUM(bytes) FROM entries").fetchone()
    # Looked at every so many entries.
    assert total <= 200_000 + thumbnail_cache._PUT_BETWEEN * 5000
    assert "399" in entries(path)


def test_a_damaged_file_is_made_anew(cache, path, caplog):
    path.write_bytes(b"no database at all " * 500)
    with caplog.at_level(logging.WARNING, "slicer_notebook"):
        assert cache.known({"1": "a"}, 128) == {}
    assert "damaged" in caplog.text
    cache.keep("1", "a", 128, ENTRY)
    assert cache.known({"1": "a"}, 128) == {"1": ENTRY}


def test_a_file_damaged_inside_is_made_anew(path, caplog):
    first = ThumbnailCache(path)
    for number in range(200):
        first.keep(str(number), "a", 128, Kept(b"p" * 500, b"y" * 3000))
    first.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    again = ThumbnailCache(path)
    with caplog.at_level(logging.WARNING, "slicer_notebook"):
        assert again.known({"7": "a"}, 128) == {}
    again.keep("7", "a", 128, ENTRY)
    assert again.known({"7": "a"}, 128) == {"7": ENTRY}
    again.close()


def test_a_file_of_another_version_is_made_anew(cache, path):
    cache.keep("1", "a", 128, ENTRY)
    cache.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE entries")
        connection.execute("CREATE TABLE entries (a, b)")
        connection.execute("PRAGMA user_version = 99")
    assert cache.known({"1": "a"}, 128) == {}
    cache.keep("1", "a", 128, ENTRY)
    assert cache.known({"1": "a"}, 128) == {"1": ENTRY}


def test_a_file_that_cannot_be_there_is_said_once(tmp_path, caplog):
    cache = ThumbnailCache(tmp_path / "no such folder" / "x.sqlite3")
    with caplog.at_level(logging.WARNING, "slicer_notebook"):
        for _ in range(3):
            cache.keep("1", "a", 128, ENTRY)
            assert cache.known({"1": "a"}, 128) == {}
    assert caplog.text.count("cannot be written") == 1
    assert len(caplog.records) == 1


def test_a_locked_file_is_done_without_and_used_again(path, clock, caplog):
    cache = ThumbnailCache(path)
    cache.keep("1", "a", 128, ENTRY)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "slicer_notebook"):
        cache.keep("2", "a", 128, ENTRY)
        cache.keep("3", "a", 128, ENTRY)
    assert time.monotonic() - started < 5
    assert "locked" in caplog.text
    other.execute("ROLLBACK")
    other.close()
    clock.now += 3
    cache.keep("4", "a", 128, ENTRY)
    assert cache.known(dict.fromkeys("1234", "a"), 128).keys() == {"1", "4"}
    cache.close()


def test_reading_does_not_wait_for_a_writer(path):
    cache = ThumbnailCache(path)
    cache.keep("1", "a", 128, ENTRY)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert cache.known({"1": "a"}, 128) == {"1": ENTRY}
    other.execute("ROLLBACK")
    other.close()
    cache.close()


def test_several_processes(path):
    code = (
        "import sys; from pathlib import Path; from slicer_notebook.dicom.thumbnail_cache import Kept, ThumbnailCache\n"
        "cache = ThumbnailCache(Path(sys.argv[1]))\n"
        "for n in range(100): cache.keep(f'{sys.argv[2]}.{n}', 'a', 128, Kept(b'p', b'y' * 2000))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("a", "b")]
    assert [each.wait(60) for each in running] == [0, 0]
    kept = entries(path)
    # Where the two met for too long, one does without for a moment; nothing is torn.
    assert len(kept) >= 100
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_fork_uses_a_connection_of_its_own(cache, path):
    cache.keep("1", "a", 128, ENTRY)
    child = os.fork()
    if child == 0:
        cache.keep("2", "a", 128, ENTRY)
        os._exit(0 if len(cache.known({"1": "a", "2": "a"}, 128)) == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.known({"1": "a", "2": "a"}, 128).keys() == {"1", "2"}
