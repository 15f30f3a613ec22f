"""Which commands clients may give: a closed list."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from slicer_notebook.commands import rights
from slicer_notebook.commands.gateway import ALLOWABLE, Options
from slicer_notebook.commands.registry import all_commands, get, names
from slicer_notebook.commands.rights import FIXED, HIDDEN, RIGHTS, Right, check_right, fixed, with_real_paths
from slicer_notebook.errors import ArgumentError, CommandNotFoundError, LinkRefusedError, PathNotFoundError


def options(**given: Any) -> Options:
    return Options(**given)


def test_every_command_is_in_a_class() -> None:
    """A new command fails here, until somebody has decided whether other programs may give it."""
    assert sorted(names()) == sorted(RIGHTS)


def test_each_has_a_reason_and_a_known_kind() -> None:
    kinds = set(get_args(rights.Kind))
    assert kinds - {"free", "reads files", "not offered"} <= set(ALLOWABLE)
    for name, right in RIGHTS.items():
        assert right.kind in kinds, name
        assert len(right.why) > 8, name


def test_what_runs_code_writes_or_quits_is_off_unless_switched_on() -> None:
    expected = {
        "exec": {"code.call", "code.define", "code.eval", "code.result", "code.run"},
        "write": {"model.save", "node.export", "node.save", "scene.save", "segmentation.save"},
        "quit": {"session.quit"},
    }
    found: dict[str, set[str]] = {}
    for name, right in RIGHTS.items():
        if right.kind in ALLOWABLE:
            found.setdefault(right.kind, set()).add(name)
    assert found == expected
    for kind, commands in expected.items():
        for name in commands:
            with pytest.raises(LinkRefusedError) as caught:
                check_right(options(allow=tuple(each for each in ALLOWABLE if each != kind)), name)
            assert caught.value.details == {"needs": kind}
            assert check_right(options(allow=(kind,)), name).kind == kind


def test_what_is_not_offered_is_as_if_it_were_not_there() -> None:
    for name in ("gateways.start", "pacs.listen", "links.download", "no.such"):
        with pytest.raises(CommandNotFoundError):
            check_right(options(allow=ALLOWABLE), name)


def test_commands_with_paths_say_so() -> None:
    """An argument whose name says that it is a path is looked at, or its command is not offered."""
    for command in all_commands():
        right = RIGHTS[command.name]
        paths = {name for name in command.signature.parameters if name in ("path", "paths", "folder", "file", "files")}
        if right.kind != "not offered":
            assert paths == set(right.paths), command.name
        options = "properties" in command.signature.parameters and right.paths
        assert bool(right.properties) == bool(options), command.name


def test_hidden_arguments_are_ours() -> None:
    """Nobody outside chooses the index, agrees for a person, or allows a device to run code."""
    chosen = fixed(options(database="/index.sqlite3"), get("links.open"), "REST API")
    assert chosen == {"agreed": False, "database": "/index.sqlite3", "by": "REST API"}
    for command in all_commands():
        for name in fixed(options(), command, "me"):
            assert name in HIDDEN
        if "allow" in command.signature.parameters:
            assert fixed(options(allow=("exec",)), command, "me")["allow"] is None
    # A device of the client's own could read files outside of the client's folders.
    assert fixed(options(), get("igtl.connect"), "me") == {"by": "me", "allow": None, "commands": False}
    assert FIXED == {"person": False}


def test_files_are_those_of_the_folders(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.nii").write_bytes(b"x")
    (inside / "link.nii").symlink_to(outside / "a.nii")
    limited = options(files=(str(inside),), allow=("write",))
    load, index = RIGHTS["scene.load"], RIGHTS["dicom.index"]
    assert with_real_paths(limited, load, {"path": str(inside / "a.nii")}) == {"path": str(inside / "a.nii")}
    assert with_real_paths(limited, index, {"paths": [str(inside)]}) == {"paths": [str(inside)]}
    for path in (outside / "a.nii", inside / "link.nii", inside / ".." / "out" / "a.nii", Path("/etc/passwd")):
        with pytest.raises(LinkRefusedError):
            with_real_paths(limited, load, {"path": str(path)})
        with pytest.raises(LinkRefusedError):
            with_real_paths(limited, index, {"paths": [str(inside), str(path)]})
    with pytest.raises(PathNotFoundError):
        with_real_paths(limited, load, {"path": str(inside / "b.nii")})
    with pytest.raises(ArgumentError):
        with_real_paths(limited, load, {"path": "a.nii"})
    save = RIGHTS["node.save"]
    assert with_real_paths(limited, save, {"path": str(inside / "new.nrrd")})["path"] == str(inside / "new.nrrd")
    with pytest.raises(LinkRefusedError):
        with_real_paths(limited, save, {"path": str(outside / "new.nrrd")})


def test_uids_may_stand_for_files_where_files_are_sent(tmp_path: Path) -> None:
    limited = options(files=(str(tmp_path),))
    store = RIGHTS["pacs.store"]
    assert with_real_paths(limited, store, {"paths": ["1.2.840.1"]}) == {"paths": ["1.2.840.1"]}
    with pytest.raises(LinkRefusedError):
        with_real_paths(limited, store, {"paths": ["1.2.840.1", "/etc"]})


@pytest.mark.parametrize("name", ["fileName", "fileNames", "url", "directory"])
def test_readers_options_name_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"x")
    with pytest.raises(ArgumentError, match="options"):
        with_real_paths(
            options(), RIGHTS["scene.load"], {"path": str(tmp_path / "a.nii"), "properties": {name: "/etc/passwd"}}
        )


@pytest.mark.parametrize(
    ("name", "content", "taken"),
    [
        ("a.nrrd", b"NRRD0004\ntype: short\nencoding: raw\n\n\0\0data file: x\n", True),
        ("a.nrrd", b"NRRD0004\ntype: short\ndata file: /etc/passwd\n\n", False),
        ("a.nhdr", b"NRRD0004\r\nDATAFILE: ../x.raw\r\n\r\n", False),
        ("a.mha", b"ObjectType = Image\nElementDataFile = LOCAL\n\0\0", True),
        ("a.mhd", b"ObjectType = Image\nElementDataFile = /etc/passwd\n", False),
        ("a.mrml", b"<MRML/>", False),
        ("a.mrb", b"PK", False),
        ("a.nii.gz", b"x", True),
        ("a.stl", b"x", True),
    ],
)
def test_files_that_name_others_are_not_loaded_from_folders(
    name: str, content: bytes, taken: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    given = {"path": str(tmp_path / name)}
    assert with_real_paths(options(), RIGHTS["scene.load"], given) == given
    limited = options(files=(str(tmp_path),))
    if taken:
        assert with_real_paths(limited, RIGHTS["scene.load"], given) == given
    else:
        with pytest.raises(LinkRefusedError):
            with_real_paths(limited, RIGHTS["scene.load"], given)


def test_what_comes_from_elsewhere_may_name_files_too(tmp_path: Path) -> None:
    assert check_right(options(), "scene.load_url").anywhere
    with pytest.raises(LinkRefusedError):
        check_right(options(files=(str(tmp_path),)), "scene.load_url")


def test_a_command_that_nobody_has_decided_about_is_not_offered() -> None:
    assert rights.right_of("new.command") == Right("not offered", "nobody has decided about it")
