"""The public surface: whoever changes it changes this list too, and says so in the changelog."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import slicer_notebook as sn

PUBLIC = [
    "Compare",
    "DicomWarning",
    "GatewaysPanel",
    "HeaderTree",
    "IgtlDevices",
    "Image",
    "Job",
    "Kheops",
    "LayoutSelector",
    "Lightbox",
    "LiveLayout",
    "LiveView",
    "MarkupsTable",
    "Node",
    "NodeSelector",
    "PacsQuery",
    "SceneTree",
    "SegmentEditorPanel",
    "SegmentTable",
    "SequenceSlider",
    "SeriesThumbnails",
    "Session",
    "SliceController",
    "StudyPicker",
    "ViewThumbnails",
    "Volume",
    "VolumeRenderingPanel",
    "VolumeSequence",
    "WindowLevel",
    "__version__",
    "connect",
    "errors",
    "launch",
    "pacs",
    "progress",
    "sessions",
    "testing",
]


def test_the_public_names_are_these() -> None:
    assert sn.__all__ == PUBLIC
    assert dir(sn) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there(name: str) -> None:
    value = getattr(sn, name)
    assert value
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__.startswith("slicer_notebook.")
        assert value.__doc__


def test_every_name_is_exported_from_where_it_is_said_to_be() -> None:
    assert set(sn._EXPORTS) | {"__version__"} == set(PUBLIC)
    for name, module in sn._EXPORTS.items():
        if module:
            assert getattr(sn, name) is getattr(importlib.import_module(module), name)


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="Nonsense"):
        sn.Nonsense  # noqa: B018


def test_a_star_import_gives_all_of_it() -> None:
    code = "from slicer_notebook import *; print(sorted(n for n in dir() if not n.startswith('__')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str([name for name in PUBLIC if not name.startswith("__")])


def test_the_arguments_of_the_entrances_are_these() -> None:
    assert list(inspect.signature(sn.launch).parameters) == [
        "name",
        "timeout",
        "keep",
        "python",
        "shared_memory",
        "environment",
    ]
    assert list(inspect.signature(sn.connect).parameters) == ["target", "timeout", "shared_memory"]
    assert list(inspect.signature(sn.sessions).parameters) == []
