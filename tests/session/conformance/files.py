"""Files of all kinds, there and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import slicer_notebook as sn
from slicer_notebook import errors
from tests.session.conformance.cases import AFFINE, case, phantom, refused


@case
def volumes_round_trip_through_files(slicer: Any, folder: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "filed")
    for extension in (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"):
        path = volume.save(folder / f"filed{extension}")
        assert path.exists()
        again = slicer.load(path)
        assert isinstance(again, sn.Volume)
        assert np.array_equal(again.array, phantom()), extension
        assert np.allclose(again.affine, AFFINE, atol=1e-4), extension


@case
def other_nodes_round_trip_through_files(slicer: Any, folder: Path) -> None:
    points = slicer.add_markups([[1, 2, 3], [4, 5, 6]], "F", ["a", "b"])
    for extension in (".mrk.json", ".fcsv"):
        again = slicer.load(points.save(folder / f"points{extension}"))
        assert np.allclose(again.points, [[1, 2, 3], [4, 5, 6]]), extension
    shift = np.eye(4)
    shift[:3, 3] = (10, -5, 2)
    transform = slicer.add_transform(shift)
    for extension in (".h5", ".tfm", ".txt"):
        target = folder / f"shift{extension}"
        transform.save(target)
        again = slicer.load(target, filetype="TransformFile")
        assert np.allclose(again.matrix, shift), extension
    slicer.run(
        "import vtk\nsphere = vtk.vtkSphereSource(); sphere.SetRadius(10); sphere.SetCenter(1, 2, 3); sphere.Update()\n"
        "slicer.modules.models.logic().AddModel(sphere.GetOutput()).SetName('ball')\n"
    )
    ball = slicer["ball"]
    for extension in (".vtk", ".vtp", ".stl", ".obj", ".ply"):
        again = slicer.load(ball.save(folder / f"ball{extension}"))
        assert np.allclose(np.linalg.norm(again.points - (1, 2, 3), axis=1), 10, atol=1e-3), extension


@case
def scenes_round_trip_through_files(slicer: Any, folder: Path) -> None:
    slicer.add_volume(phantom(), AFFINE, "in the scene")
    for extension in (".mrb", ".mrml"):
        path = slicer.save(folder / f"scene{extension}")
        assert path.exists()
    slicer.clear()
    loaded = slicer.load(folder / "scene.mrb")
    assert isinstance(loaded, list)
    assert np.array_equal(slicer["in the scene"].array, phantom())
    assert np.allclose(slicer["in the scene"].affine, AFFINE)


@case
def bad_files_are_refused(slicer: Any, folder: Path) -> None:
    with refused(errors.PathNotFoundError, "nowhere.nrrd"):
        slicer.load(folder / "nowhere.nrrd")
    (folder / "text.nrrd").write_text("this is no image")
    with refused(errors.FileFormatError, "text.nrrd"):
        slicer.load(folder / "text.nrrd")
    (folder / "what.xyz").write_text("?")
    with refused(errors.FileFormatError, "what.xyz"):
        slicer.load(folder / "what.xyz")
    assert slicer.nodes("vtkMRMLVolumeNode") == []
    volume = slicer.add_volume(phantom(), None, "v")
    with refused(errors.PathNotFoundError):
        volume.save(folder / "no" / "folder.nrrd")
    with refused(errors.FileFormatError, ".xyz"):
        volume.save(folder / "v.xyz")
    with refused(errors.ArgumentError, "no path"):
        slicer.load(3)


@case
def a_failed_save_says_nothing_against_the_next(slicer: Any, folder: Path) -> None:
    volume = slicer.add_volume(phantom(), None, "saved")
    with refused(errors.CommandError, "/proc/x.nrrd"):
        volume.save("/proc/x.nrrd")
    assert np.array_equal(slicer.load(volume.save(folder / "y.nrrd")).array, phantom())
