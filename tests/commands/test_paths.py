"""Files that other programs may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicer_notebook.commands.gateway import Allowed, Options
from slicer_notebook.commands.paths import of_file_url, readable, writable
from slicer_notebook.errors import ArgumentError, LinkRefusedError, PathNotFoundError


def options(*folders: Path, allow: tuple[Allowed, ...] = ()) -> Options:
    return Options(files=tuple(map(str, folders)) if folders else None, allow=allow)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.nrrd").write_bytes(b"x")
    (inside / "link.nrrd").symlink_to(outside / "a.nrrd")
    (inside / "folder").symlink_to(outside)
    (outside / "back").symlink_to(inside)
    return inside, outside


def test_without_folders_all_files_may_be_read(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        assert readable(options(), str(folder / "a.nrrd")) == folder / "a.nrrd"


def test_links_are_followed_before_it_is_looked_where_they_lead(folders: tuple[Path, Path]) -> None:
    inside, outside = folders
    limited = options(inside, allow=("write",))
    assert readable(limited, str(inside / "a.nrrd")) == inside / "a.nrrd"
    assert readable(limited, str(outside / "back" / "a.nrrd")) == inside / "a.nrrd"
    for path in ("link.nrrd", "folder/a.nrrd", "../outside/a.nrrd", "../inside2/a.nrrd", "/etc/hostname"):
        for find in (readable, writable):
            with pytest.raises(LinkRefusedError):
                find(limited, str(inside / path))


def test_whether_a_file_outside_exists_is_not_told(folders: tuple[Path, Path]) -> None:
    limited = options(folders[0])
    words = set()
    for name in ("a.nrrd", "nothing.nrrd"):
        with pytest.raises(LinkRefusedError) as caught:
            readable(limited, str(folders[1] / name))
        words.add(str(caught.value))
    assert len(words) == 1
    with pytest.raises(PathNotFoundError):
        readable(limited, str(folders[0] / "nothing.nrrd"))


def test_writing_is_off_unless_switched_on(folders: tuple[Path, Path]) -> None:
    new = str(folders[0] / "new.nrrd")
    with pytest.raises(LinkRefusedError, match="Writing files is off"):
        writable(options(folders[0]), new)
    assert writable(options(folders[0], allow=("write",)), new) == Path(new)
    with pytest.raises(PathNotFoundError):
        writable(options(allow=("write",)), str(folders[0] / "no folder" / "new.nrrd"))


@pytest.mark.parametrize("path", ["", "a.nrrd", "./a.nrrd", "~/a.nrrd", "/a\0b", None, 3])
def test_what_is_no_absolute_path(path: str) -> None:
    with pytest.raises(ArgumentError):
        readable(options(), path)


@pytest.mark.parametrize(
    ("url", "path"),
    [("file:///a/b.nrrd", "/a/b.nrrd"), ("FILE://localhost/a%20b", "/a b"), ("file:/a", "/a"), ("file:///a#b", "/a")],
)
def test_file_urls(url: str, path: str) -> None:
    assert of_file_url(url) == path


@pytest.mark.parametrize("url", ["file://server/share", "http://a/b", "/a/b", "file:///a?b", "file://127.0.0.1@x/a"])
def test_urls_that_name_no_file_here(url: str) -> None:
    with pytest.raises(ArgumentError):
        of_file_url(url)
