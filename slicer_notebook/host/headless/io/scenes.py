"""Looking at a scene file before MRML does.

After a scene with a syntax error, slicer-core 5.11.0.6 fails on every later bundle; and it unpacks whatever names a
bundle's archive holds. So what is no scene is refused here.
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from slicer_notebook.errors import FileFormatError

__all__ = ["check"]


def check(path: str) -> None:
    """Raises `FileFormatError` unless ``path`` is a well-formed MRML scene, or a bundle that holds one."""
    if path.lower().endswith(".mrb"):
        _check_bundle(path)
    else:
        _check_xml(Path(path).read_bytes(), Path(path).name)


def _refuse(name: str, why: str) -> FileFormatError:
    return FileFormatError(
        f"{name} is no scene that Slicer could read.", expected="a MRML scene (.mrml) or bundle (.mrb)", got=why
    )


def _check_bundle(path: str) -> None:
    name = Path(path).name
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            for member in members:
                if PurePosixPath(member).is_absolute() or ".." in PurePosixPath(member).parts:
                    raise _refuse(name, f"an archive with the member {member!r}, outside its own folder")
            scenes = [member for member in members if member.lower().endswith(".mrml")]
            if not scenes:
                raise _refuse(name, "an archive without a .mrml file")
            _check_xml(archive.read(scenes[0]), f"{name}: {scenes[0]}")
    except zipfile.BadZipFile as error:
        raise _refuse(name, f"no zip archive ({error})") from error


def _check_xml(text: bytes, name: str) -> None:
    roots: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, _attributes: None if roots else roots.append(tag)
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise _refuse(name, f"no well-formed XML ({error})") from error
    if roots != ["MRML"]:
        raise _refuse(name, f"XML with the root <{roots[0]}>")
