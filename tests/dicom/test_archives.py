"""Members of ZIP archives read in place, and names that are not UTF-8."""

from __future__ import annotations

import os
import struct
import threading
import zipfile
import zlib

import pytest

from slicer_notebook.dicom import archives
from slicer_notebook.dicom.archives import ArchiveError, archive_of, file_path, members, open_binary, shown_path, status

DATA = bytes(range(256)) * 700


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def archive(request, tmp_path):
    path = str(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "w", request.param) as made:
        made.mkdir("folder")
        made.writestr("folder/größe.bin", DATA)
        made.writestr("empty", b"")
    return path


def test_members_are_named_and_sized(archive):
    found = members(archive)
    assert found == [(f"{archive}!/folder/größe.bin", len(DATA), None), (f"{archive}!/empty", 0, None)]
    assert status(found[0].path) == (len(DATA), os.stat(archive).st_mtime_ns)


def test_a_member_is_read_in_any_order(archive):
    with open_binary(f"{archive}!/folder/größe.bin") as file:
        file.seek(100_000)
        assert file.read(300) == DATA[100_000:100_300]
        file.seek(5)
        buffer = bytearray(1000)
        assert file.readinto(buffer) == 1000
        assert buffer == DATA[5:1005]
        assert file.tell() == 1005
        assert file.seek(-10, os.SEEK_END) == len(DATA) - 10
        assert file.read() == DATA[-10:]
        assert file.readinto(buffer) == 0
    assert file.closed


def test_a_plain_file_is_itself(tmp_path):
    path = tmp_path / "odd!" / "b.zip!"
    path.mkdir(parents=True)
    (path / "x").write_bytes(b"plain")
    assert archive_of(str(path / "x")) is None
    with open_binary(str(path / "x")) as file:
        assert file.read() == b"plain"
    assert status(str(path / "x"))[0] == 5


def test_an_archive_in_a_folder_whose_name_looks_like_one(tmp_path):
    folder = tmp_path / "odd!"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w") as made:
        made.writestr("b!/c", b"x")
    assert archive_of(f"{folder}/a.zip!/b!/c") == (f"{folder}/a.zip", "b!/c")


def test_what_is_not_there(tmp_path, archive):
    for path in (f"{archive}!/nothing", f"{tmp_path}/no.zip!/a", str(tmp_path / "no")):
        with pytest.raises(FileNotFoundError):
            open_binary(path)
        with pytest.raises(FileNotFoundError):
            status(path)


def test_a_changed_archive_is_read_anew(tmp_path):
    path = str(tmp_path / "a.zip")
    for count in (1, 2):
        with zipfile.ZipFile(path, "w") as made:
            for number in range(count):
                made.writestr(str(number), b"x" * count)
        assert len(members(path)) == count
        assert status(f"{path}!/0")[0] == count


def damaged(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def test_damage_is_an_error_of_the_archive(tmp_path):
    path = str(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", DATA)
    damaged(path, 60, b"\xff" * 20)
    with open_binary(f"{path}!/a") as file, pytest.raises(ArchiveError, match="broken ZIP archive"):
        file.read()
    damaged(path, 0, b"\0\0\0\0")
    with pytest.raises(ArchiveError, match="broken ZIP archive"):
        open_binary(f"{path}!/a")
    with open(path, "r+b") as file:
        file.truncate(300)
    with pytest.raises(ArchiveError, match="broken ZIP archive: File is not a zip file"):
        members(path)


def test_a_member_without_a_name(tmp_path):
    path = str(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a", DATA)
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data[:30] + b"\0" + data[31:-23] + b"\0" + data[-22:])
    assert members(path) == [(f"{path}!/", len(DATA), "a damaged entry without a name in its ZIP archive")]


def test_a_member_that_is_larger_than_declared(tmp_path):
    """Only what the directory declares is ever unpacked; then the checksum tells."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", b"\0" * 1_000_000)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack("<I", 1_000_000), struct.pack("<I", 1000)))
    assert members(str(path))[0].size == 1000
    with open_binary(f"{path}!/a") as file:
        with pytest.raises(ArchiveError, match="CRC"):
            file.read()
        assert file.tell() <= 1000


def test_a_bomb_is_not_opened(tmp_path):
    path = str(tmp_path / "bomb.zip")
    piece = b"\0" * (1 << 24)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made, made.open("a", "w", force_zip64=True) as member:
        for _ in range(17):
            member.write(piece)
    assert "made to do harm" in members(path)[0].problem
    with pytest.raises(ArchiveError, match="made to do harm"):
        open_binary(f"{path}!/a")


def test_an_encrypted_member_is_named_so(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a", b"secret")
    raw = bytearray(path.read_bytes())
    raw[6] |= 1  # general purpose flags of the local header, then of the directory's entry
    raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    assert members(str(path))[0].problem == "encrypted in its ZIP archive: unpack it first"
    with pytest.raises(ArchiveError, match="encrypted"):
        open_binary(f"{path}!/a")


def test_a_packing_that_is_not_known(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a", b"x")
    raw = bytearray(path.read_bytes())
    raw[8] = raw[raw.index(b"PK\1\2") + 10] = 97
    path.write_bytes(raw)
    with pytest.raises(ArchiveError, match="compression"):
        open_binary(f"{path}!/a")


def test_many_archives_by_many_threads(tmp_path, monkeypatch):
    """More archives than are kept open, members of each read by several threads at once."""
    monkeypatch.setattr(archives, "MAX_OPEN", 2)
    paths = []
    for number in range(5):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("a", DATA + bytes([number]))
        paths.append(f"{path}!/a")
    problems = []

    def read(offset):
        for turn in range(20):
            number = (turn + offset) % 5
            with open_binary(paths[number]) as file:
                if zlib.crc32(file.read()) != zlib.crc32(DATA + bytes([number])):
                    problems.append(number)

    threads = [threading.Thread(target=read, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_name_that_is_not_utf_8(tmp_path):
    raw = os.fsencode(tmp_path) + b"/m\xfcller.dcm"
    with open(raw, "wb") as file:
        file.write(b"x")
    shown = shown_path(os.fsdecode(raw))
    assert shown == f"{tmp_path}/m\\udcfcller.dcm"
    assert os.fsencode(file_path(shown)) == raw
    with open_binary(shown) as file:
        assert file.read() == b"x"
    assert status(shown)[0] == 1
    (tmp_path / "m\\udcfcller.dcm").write_bytes(b"literal")
    with open_binary(shown) as file:
        assert file.read() == b"literal"
