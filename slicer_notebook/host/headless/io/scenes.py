"""Looking at a scene file before MRML does.

After a scene with a syntax error, slicer-core 5.11.0.6 fails on every later bundle; and it unpacks whatever names a
bundle's archive holds. So what is no scene is refused here.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from xml.parsers import expat

from slicer_notebook.errors import FileFormatError
from slicer_notebook.links.bundles import NotWholeError, archive_members

__all__ = ["check", "check_bundle"]


def check(path: str) -> None:
    """Raises `FileFormatError` unless ``path`` is a well-formed MRML scene, or a bundle that holds one.

    What a bundle's archive is has been looked at before, by `check_bundle`.
    """
    if path.lower().endswith(".mrb"):
        _check_scenes(path)
    else:
        _check_xml(Path(path).read_bytes(), Path(path).name)


def _refuse(name: str, why: str) -> FileFormatError:
    return FileFormatError(
        f"{name} is no scene that Slicer could read.", expected="a MRML scene (.mrml) or bundle (.mrb)", got=why
    )


def check_bundle(path: str) -> None:
    """Raises `FileFormatError` unless ``path`` is an archive that unpacks into its own folder, whoever unpacks it."""
    name = Path(path).name
    try:
        with Path(path).open("rb") as file:
            for _ in archive_members(file):
                pass
    except NotWholeError as error:
        raise _refuse(name, error.why) from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OverflowError) as error:
        raise _refuse(name, f"no zip archive ({error})") from error


def _check_scenes(path: str) -> None:
    name = Path(path).name
    with zipfile.ZipFile(path) as archive:
        scenes = [member for member in archive.namelist() if member.lower().endswith(".mrml")]
        if not scenes:
            raise _refuse(name, "an archive without a .mrml file")
        for scene in scenes:
            _check_xml(archive.read(scene), f"{name}: {scene}")


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
