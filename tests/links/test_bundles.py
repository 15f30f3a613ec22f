"""Scene bundles: what unpacks elsewhere, is two things at once, or names files outside."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicer_notebook.links.bundles import NotWholeError, archive_members, scene_leads_elsewhere

Member = tuple[str | zipfile.ZipInfo, bytes]
SCENE: Member = ("b/b.mrml", b"<MRML/>")


def zipped(members: Iterable[Member], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", packing) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return held.getvalue()


def names(data: bytes) -> list[str]:
    return [member.filename for _, member in archive_members(io.BytesIO(data))]


def _of_kind(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    return info


def _called(name: str) -> zipfile.ZipInfo:
    """With whatever name; `zipfile` cuts one at a zero byte otherwise."""
    info = zipfile.ZipInfo("x")
    info.filename = name
    return info


def _with_extra(name: str, extra: bytes) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.extra = extra
    return info


def _tar(members: dict[str, bytes], form: int) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return held.getvalue()


def _renamed(data: bytes, old: bytes, new: bytes, which: int) -> bytes:
    """A name changed in one of the two places in which it stands."""
    assert len(old) == len(new)
    at = data.index(old) if which == 0 else data.rindex(old)
    return data[:at] + new + data[at + len(old) :]


def test_a_bundle_as_it_is_written() -> None:
    assert names(zipped([SCENE, ("b/Data/", b""), ("b/Data/x.nrrd", b"NRRD")])) == ["b/b.mrml", "b/Data/x.nrrd"]
    inner = zipped([("s/s.mrml", b"<MRML/>")])
    assert names(zipped([SCENE, ("b/Data/x.seq.mrb", inner)])) == ["b/b.mrml", "b/Data/x.seq.mrb", "s/s.mrml"]


def test_a_bundle_that_was_written_to_a_pipe() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    held = Pipe()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b/b.mrml", b"<MRML/>" * 100)
        archive.writestr("b/x.nrrd", b"NRRD" * 100)
    assert names(held.getvalue()) == ["b/b.mrml", "b/x.nrrd"]


@pytest.mark.parametrize(
    "evil",
    [
        ("../evil", b"x"),
        ("b/../../evil", b"x"),
        ("/tmp/evil", b"x"),
        ("b\\..\\..\\evil", b"x"),
        ("\\\\server\\share", b"x"),
        ("C:/evil", b"x"),
        (_called("b/x\0/evil"), b"x"),
        (_of_kind("b/Data", stat.S_IFLNK), b"/home"),
        (_of_kind("b/pipe", stat.S_IFIFO), b""),
        (_of_kind("b/disk", stat.S_IFBLK), b""),
        (_with_extra("b/x", struct.pack("<HHBI", 0x7075, 11, 1, 0) + b"../x12"), b"x"),
        (_with_extra("b/x", struct.pack("<HH", 0x6C78, 1) + b"\0"), b"x"),
    ],
)
def test_what_unpacks_elsewhere(evil: Member) -> None:
    for members in ([SCENE, evil], [evil, SCENE]):
        with pytest.raises(NotWholeError):
            names(zipped(members))
        with pytest.raises(NotWholeError):
            names(zipped([SCENE, ("b/Data/x.seq.mrb", zipped(members))]))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_in_the_clothes_of_a_zip(form: int) -> None:
    tar = _tar({"b/b.mrml": b"<MRML/>", "/tmp/evil": b"x"}, form)
    for data in (tar, tar + zipped([SCENE])):
        with pytest.raises((NotWholeError, zipfile.BadZipFile)):
            names(data)


def test_a_zip_whose_first_bytes_are_a_tar_too() -> None:
    """Its first member's data hold the rest of a tar header (POSIX ustar, and the older form without a signature)."""
    data = bytearray(zipped([("x", b"\0" * 2000), SCENE], zipfile.ZIP_STORED))
    assert names(bytes(data)) == ["x", "b/b.mrml"]
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    with pytest.raises(NotWholeError, match="two kinds"):
        names(bytes(data))


@pytest.mark.parametrize("which", [0, 1])
def test_a_member_with_two_names(which: int) -> None:
    data = zipped([("b/file.name", b"x"), SCENE])
    with pytest.raises(NotWholeError):
        names(_renamed(data, b"b/file.name", b"b/../../abc", which))
    with pytest.raises(NotWholeError, match="two names"):
        names(_renamed(data, b"b/file.name", b"b/fole.name", which))


def test_gaps_and_appendices() -> None:
    data = zipped([SCENE, ("b/x", b"x" * 50)])
    for broken in (b"x" + data, data + b"x", zipped([SCENE]) + data, data + data):
        with pytest.raises((NotWholeError, zipfile.BadZipFile)):
            names(broken)
    held = io.BytesIO(data)
    with zipfile.ZipFile(held, "a") as archive:
        archive.comment = b"PK\5\6"
    with pytest.raises((NotWholeError, zipfile.BadZipFile)):
        names(held.getvalue())
    # A member that the directory no longer names, but that a reader from front to back finds.
    with zipfile.ZipFile(hidden := io.BytesIO(data), "a") as archive:
        archive.filelist.pop()
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(NotWholeError):
        names(hidden.getvalue())


def test_bundles_in_bundles_end_somewhere() -> None:
    data = zipped([SCENE])
    for _ in range(4):
        data = zipped([SCENE, ("b/x.mrb", data)])
    with pytest.raises(NotWholeError, match="one another"):
        names(data)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damage_is_seen_or_harmless(data: st.DataObject) -> None:
    whole = bytearray(zipped([SCENE, ("b/Data/x.nrrd", b"NRRD0004" * 10)]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = names(bytes(whole))
    except (NotWholeError, zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OverflowError):
        return
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in found)


# -- scenes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scene",
    [
        '<MRML><S fileName="/etc/passwd"/></MRML>',
        "<MRML><S fileName='/etc/passwd'/></MRML>",
        '<MRML><S fileName="&#47;etc/passwd"/></MRML>',
        '<MRML><S fileName="&#x2f;etc/passwd"/></MRML>',
        '<MRML><S fileName="%2Fetc/passwd"/></MRML>',
        '<MRML><S fileName=" /etc/passwd"/></MRML>',
        '<MRML><S fileName="Data/../../x"/></MRML>',
        '<MRML><S fileName=".."/></MRML>',
        '<MRML><S fileName="..\\x"/></MRML>',
        '<MRML><S fileName="C:/x"/></MRML>',
        '<MRML><S fileName="~/x"/></MRML>',
        '<MRML><S fileName="FILE:///x"/></MRML>',
        '<MRML><S fileListMember12="/x"/></MRML>',
        '<MRML><S uri="https://evil.example/x"/></MRML>',
        '<MRML><V fileArchetype="/x"/></MRML>',
        '<!DOCTYPE MRML [<!ENTITY a "/x">]><MRML><S fileName="&a;"/></MRML>',
        "<MRML>",
        "",
    ],
)
def test_scenes_that_name_files_outside(scene: str) -> None:
    assert scene_leads_elsewhere(scene.encode())
    assert scene_leads_elsewhere(scene.encode("utf-16"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_scene_of_its_own_files(encoding: str) -> None:
    scene = """<MRML version="5.0" userTags=""><VolumeArchetypeStorage fileName="Data/MR%20head..1.nrrd" uri="" />
        <Text text="/etc/passwd and https://example.org/" /><S fileListMember0="x/y.nrrd" /></MRML>"""
    assert not scene_leads_elsewhere(scene.encode(encoding))
