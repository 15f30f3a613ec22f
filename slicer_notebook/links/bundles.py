"""Scene bundles (``.mrb``) from elsewhere: what they unpack to, and whether what is in them stays in them.

Slicer's unpacker (libarchive) writes wherever an archive says, through symbolic links too, and takes tar for zip. So a
bundle is unpacked only once it is sure that every program sees the same files in it, and none outside. Pure.
"""

from __future__ import annotations

import re
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO, Final
from urllib.parse import unquote
from xml.parsers import expat

__all__ = ["NotWholeError", "archive_members", "scene_leads_elsewhere"]

#: An absolute path of one system or another, one of a home, an address, a way up.
_ELSEWHERE: Final = re.compile(r"[/\\~]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://|(?:.*[/\\])?\.\.(?:[/\\]|$)", re.DOTALL)
#: Attributes of MRML that name files: fileName, fileListMember0, fileArchetype, uri.
_NAMING: Final = re.compile(r"file|ur[il]", re.IGNORECASE)
#: Archives in one another: a sequence (.seq.mrb) of a scene.
_DEEPEST: Final = 3
#: Extra fields of a ZIP entry that change what it is: another name (Info-ZIP 0x7075), another kind (libarchive 0x6c78).
_CHANGING: Final = frozenset((0x7075, 0x6C78))
#: Bytes that may follow an entry whose sizes come after it: CRC and two sizes, with or without a signature.
_AFTER: Final = (12, 16, 20, 24)
_END_BYTES: Final = 22
_WIDE_SIZE: Final = 0xFFFFFFFF
#: Bytes that are unpacked at once.
_AT_ONCE: Final = 1 << 20


class NotWholeError(Exception):
    """It leads elsewhere, or may; ``why``. Never reaches a user."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _no_doctype(*_declared: object) -> None:
    raise NotWholeError("a document type")


def scene_leads_elsewhere(xml: bytes) -> bool:
    """Whether a scene (``.mrml``) of a bundle names files outside of it; also one that cannot be read.

    Attributes are looked at as XML decodes them, and as MRML decodes them after that.
    """

    def begins(_tag: str, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            if _NAMING.match(name) and any(_ELSEWHERE.match(each.strip()) for each in (value, unquote(value))):
                raise NotWholeError(name)

    parser = expat.ParserCreate()
    parser.StartElementHandler = begins
    parser.StartDoctypeDeclHandler = _no_doctype
    try:
        parser.Parse(xml, True)
    except (NotWholeError, expat.ExpatError, ValueError, LookupError):
        return True
    return False


# -- archives ---------------------------------------------------------------------------------------------------------


def archive_members(file: IO[bytes], depth: int = _DEEPEST) -> Iterator[tuple[zipfile.ZipFile, zipfile.ZipInfo]]:
    """The files of a scene bundle, and of bundles in it, once it is sure that every program sees these and no others.

    That is: a ZIP archive and nothing else, without gaps; each member is a file or folder within it, by one name.

    Raises:
        NotWholeError: it is not.
        zipfile.BadZipFile: no ZIP archive.
    """
    if depth == 0:
        raise NotWholeError("archives in one another")
    _check_kind(file)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if archive.comment or not members:
            raise NotWholeError("an archive with a comment, or with nothing in it")
        _check_layout(file, archive, members)
        for member in members:
            _check_member(member)
        for member in members:
            if member.filename.endswith("/"):
                continue
            yield archive, member
            if member.filename.lower().endswith(".mrb"):
                yield from _inner_members(archive, member, depth)


def _inner_members(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, depth: int
) -> Iterator[tuple[zipfile.ZipFile, zipfile.ZipInfo]]:
    with tempfile.TemporaryFile() as inner:
        with archive.open(member) as source:
            while piece := source.read(_AT_ONCE):
                inner.write(piece)
        yield from archive_members(inner, depth - 1)


def _check_kind(file: IO[bytes]) -> None:
    """Neither tar nor a disk's image: libarchive would take it for that, and find other files in it."""
    file.seek(0)
    head = file.read(32768 + 8)
    tar = head[:512]
    sums = {sum(tar[:148]) + 8 * 32 + sum(tar[156:])}
    sums.add(next(iter(sums)) - 256 * sum(byte > 127 for byte in tar[:148] + tar[156:]))
    digits = re.match(rb"[ \0]*([0-7]{1,8})", tar[148:156])
    is_tar = len(tar) == 512 and digits is not None and int(digits[1], 8) in sums
    if is_tar or tar[257:262] == b"ustar" or head[32769:32774] == b"CD001":
        raise NotWholeError("an archive of two kinds")
    if not head.startswith(b"PK\3\4"):
        raise zipfile.BadZipFile("no ZIP archive from its first byte on")


def _check_layout(file: IO[bytes], archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> None:
    """Entries follow one another from the first byte to the directory, and say there what the directory says."""
    ordered = sorted(members, key=lambda each: each.header_offset)
    at = 0
    for member in ordered:
        if member.header_offset != at and not (at and _gap_fits(file, member.header_offset - at, at)):
            raise NotWholeError("gaps between its members")
        at = _end_of(file, member)
    start = archive.start_dir
    if at != start and not _gap_fits(file, start - at, at):
        raise NotWholeError("something before its directory")
    file.seek(-_END_BYTES, 2)
    if file.read(4) != b"PK\5\6":
        raise NotWholeError("something behind its directory")


def _gap_fits(file: IO[bytes], size: int, at: int) -> bool:
    """Whether between two entries there is what belongs to the first: a data descriptor (APPNOTE 4.3.9)."""
    if size not in _AFTER:
        return False
    file.seek(at)
    return file.read(4) == b"PK\7\x08" or size in (12, 20)


def _end_of(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where an entry's data end, once its own header (APPNOTE 4.3.7) says what the directory does."""
    file.seek(member.header_offset)
    header = file.read(30)
    if len(header) < 30 or not header.startswith(b"PK\3\4"):
        raise NotWholeError("a member that is not where the directory says")
    flags, packed, name_length, extra_length = struct.unpack("<6xH10xI4xHH", header)
    name, extra = file.read(name_length), file.read(extra_length)
    if name != member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437"):
        raise NotWholeError("a member with two names")
    if not flags & 8 and packed not in (member.compress_size, _WIDE_SIZE):
        raise NotWholeError("a member with two sizes")
    for fields in (extra, member.extra):
        if _CHANGING & set(_kinds_of(fields)):
            raise NotWholeError("a member that is another one for some programs")
    return int(member.header_offset + 30 + name_length + extra_length + member.compress_size)


def _kinds_of(fields: bytes) -> Iterator[int]:
    at = 0
    while at + 4 <= len(fields):
        kind, size = struct.unpack_from("<HH", fields, at)
        yield kind
        at += 4 + size


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    parts = re.split(r"[/\\]", name)
    if "\0" in name or parts[0] == "" or ".." in parts or ":" in parts[0]:
        raise NotWholeError("a member outside of it")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise NotWholeError("a member that is neither file nor folder")
    if member.flag_bits & 1:
        raise NotWholeError("a member that is encrypted")
