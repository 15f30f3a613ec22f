"""The public names of `slicer_notebook.dicom`."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

from slicer_notebook import dicom


def test_every_name_is_there_and_no_module_takes_its_place():
    assert set(dicom._EXPORTS) == set(dicom.__all__)
    modules = {module.name for module in pkgutil.iter_modules(dicom.__path__)}
    assert modules.isdisjoint(dicom.__all__)
    for name in dicom.__all__:
        assert getattr(dicom, name) is not None
        assert name in dir(dicom)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="plann"):
        _ = dicom.plann


def test_records_need_no_pydicom():
    """A notebook imports the records; it should not wait for pydicom, NumPy and Pillow."""
    code = "import slicer_notebook.dicom.records, sys; print(sorted({'pydicom', 'numpy', 'PIL'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[]\n"
