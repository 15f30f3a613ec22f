"""What needs Qt says so by name."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from slicer_notebook.errors import QtAttributeError, QtImportError, QtRequiredError
from slicer_notebook.host.headless import util
from slicer_notebook.host.headless.qt_free import QT_MODULES


@pytest.mark.parametrize("name", QT_MODULES)
def test_modules_that_need_qt_cannot_be_imported(slicer: Any, name: str) -> None:
    with pytest.raises(QtImportError, match=name.replace(".", r"\.")):
        importlib.import_module(name)
    with pytest.raises(ImportError):
        importlib.import_module(name)


def test_a_module_that_does_not_exist_is_still_an_ordinary_error(slicer: Any) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("quite_another_module")
    assert not isinstance(caught.value, QtRequiredError)


@pytest.mark.parametrize("name", util.REFUSED)
def test_functions_that_need_qt_refuse_by_name(slicer: Any, name: str) -> None:
    function = getattr(slicer.util, name)
    with pytest.raises(QtRequiredError) as caught:
        function()
    assert f"slicer.util.{name}()" in str(caught.value)
    assert caught.value.details["requested"] == f"slicer.util.{name}()"


@pytest.mark.parametrize(
    "expression",
    [
        "slicer.app.pythonConsole()",
        "slicer.app.clipboard()",
        "slicer.app.extensionsManagerModel()",
        "slicer.app.layoutManager().viewport()",
        "slicer.app.layoutManager().plotWidget(0)",
        "slicer.app.layoutManager().tableWidget(0)",
        "slicer.app.layoutManager().sliceWidget('Red').sliceController().sliceOffsetSlider()",
        "slicer.app.layoutManager().threeDWidget(0).threeDView().grab()",
        "slicer.modules.volumes.widgetRepresentation()",
        "slicer.modules.segmenteditor",
        "slicer.modules.DICOMInstance",
        "slicer.qSlicerMarkupsPlaceWidget()",
        "slicer.qMRMLSliceWidget",
        "slicer.cli.run",
        "slicer.dicomDatabase",
        "slicer.util.getModuleWidget('Volumes')",
    ],
)
def test_parts_that_need_qt_refuse_by_name(slicer: Any, expression: str) -> None:
    with pytest.raises(QtRequiredError) as caught:
        eval(expression, {"slicer": slicer})
    requested = caught.value.details["requested"].rsplit(".", 1)[-1].split("(")[0]
    assert requested in expression


def test_hasattr_answers_no(slicer: Any) -> None:
    assert not hasattr(slicer.modules, "brainsfit")
    assert not hasattr(slicer.app, "mainWindow")
    assert not hasattr(slicer, "qSlicerWidget")
    with pytest.raises(QtAttributeError, match="cropvolume"):  # names what there is
        slicer.modules.brainsfit  # noqa: B018 - asking is the test


def test_what_never_was_there_is_an_ordinary_error(slicer: Any) -> None:
    with pytest.raises(AttributeError) as caught:
        slicer.no_such_thing  # noqa: B018 - asking is the test
    assert not isinstance(caught.value, QtRequiredError)
