"""What every session must do, whatever carries it: cases as plain functions of a session and a folder.

`test_conformance.py` runs them over each kind of session. A case is self-contained: it runs in the notebook's process, and for
the in-process session inside Slicer's own, without pytest. The scene is empty when it begins.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

import slicer_notebook as sn
from slicer_notebook import errors

Case = Callable[[Any, Path], None]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


@contextmanager
def refused(kind: type[Exception], *words: str) -> Iterator[None]:
    """The block raises ``kind``, and its text has all of ``words``."""
    try:
        yield
    except kind as exc:
        missing = [word for word in words if word not in str(exc)]
        assert not missing, f"{missing} not in: {exc}"
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def phantom() -> np.ndarray[Any, Any]:
    """int16 [5, 6, 7], every voxel different."""
    return np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7) - 100


AFFINE = np.array([[0.0, 0, 3, -20], [-1.5, 0, 0, 4], [0, -2, 0, 60.5], [0, 0, 0, 1]])


def block() -> np.ndarray[Any, Any]:
    """uint8 [40, 40, 40] with a bright box."""
    array = np.zeros((40, 40, 40), np.uint8)
    array[10:30, 8:28, 12:32] = 200
    return array


# -- session -----------------------------------------------------------------------------------------------------


@case
def info_tells_versions(slicer: Any, _: Path) -> None:
    assert slicer.version.startswith("5.")
    found = slicer.info
    assert found["python"].count(".") == 2
    assert found["vtk"]
    assert found["slicer_notebook"] == sn.__version__
    assert slicer.name in repr(slicer)
    assert slicer.alive


@case
def ping_answers(slicer: Any, _: Path) -> None:
    assert slicer.call("session.ping") is None


@case
def unknown_command_is_refused_with_near_names(slicer: Any, _: Path) -> None:
    with refused(errors.CommandNotFoundError, "volume.aray", "volume.array"):
        slicer.call("volume.aray")


@case
def wrong_arguments_are_refused(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "view.png"):
        slicer.call("view.png", nam="Red")
    with refused(errors.ArgumentError, "expected: str", "int"):
        slicer.call("view.png", name=3)
    with refused(errors.ArgumentError, "cannot be sent"):
        slicer.call("code.eval", expression=object())
    with refused(errors.ArgumentError, "no code"):
        slicer.run(3)


# -- code --------------------------------------------------------------------------------------------------------


@case
def run_and_eval_share_a_namespace(slicer: Any, _: Path) -> None:
    slicer.run("conformance_x = 1 + 1")
    assert slicer.eval("conformance_x") == 2
    assert slicer.eval("slicer.mrmlScene.GetClassName()") == "vtkMRMLScene"


@case
def run_prints_here(slicer: Any, _: Path) -> None:
    caught = io.StringIO()
    with redirect_stdout(caught):
        slicer.run("print('from slicer')\nfor i in range(3): print(i)")
    # In Slicer itself a print is a print: the kernel's own stream has it.
    if "slicer_core" not in sys.modules:
        assert caught.getvalue() == "from slicer\n0\n1\n2\n"


@case
def run_raises_the_remote_error(slicer: Any, _: Path) -> None:
    with refused(errors.RemoteError, "ZeroDivisionError", "in inner", "1 / 0"):
        slicer.run("def inner():\n    return 1 / 0\n\ninner()")
    with refused(errors.RemoteError, "SyntaxError"):
        slicer.run("def (")
    with refused(errors.RemoteError, "NameError", "conformance_missing"):
        slicer.eval("conformance_missing")


@case
def eval_gives_plain_data_arrays_and_nodes(slicer: Any, _: Path) -> None:
    slicer.run("import numpy as np")
    value = slicer.eval("{'a': [1, 2.5, None, True], 'b': 'é', 'c': b'x', 'd': np.float32(0.5)}")
    assert value == {"a": [1, 2.5, None, True], "b": "é", "c": b"x", "d": 0.5}
    for dtype in ("bool", "uint8", "int64", "float16", "float32", "float64", "complex64", "U3"):
        array = slicer.eval(f"np.ones((2, 3), {dtype!r})")
        assert array.dtype == np.dtype(dtype), dtype
        assert array.shape == (2, 3)
    assert slicer.eval("np.zeros((0, 4))").shape == (0, 4)
    assert slicer.eval("np.asfortranarray(np.arange(6).reshape(2, 3))").tolist() == [[0, 1, 2], [3, 4, 5]]
    node = slicer.eval("slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTextNode', 'note')")
    assert (node.name, node.class_name) == ("note", "vtkMRMLTextNode")


@case
def eval_of_what_cannot_be_sent_is_refused(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "cannot be sent", "module"):
        slicer.eval("__import__('sys')")
    assert slicer.eval("1") == 1


@case
def functions_run_there(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "phantom")

    def mean(node_id: str) -> float:
        import slicer as app

        return float(app.util.arrayFromVolume(app.mrmlScene.GetNodeByID(node_id)).mean())

    def scaled(array, factor: float = 2.0):  # type: ignore[no-untyped-def]
        return array * factor

    def node_name(node) -> str:  # type: ignore[no-untyped-def]
        return node.GetName()

    def lies() -> int:
        return "text"  # type: ignore[return-value]

    remote = slicer.function(mean)
    assert remote(volume) == phantom().mean()
    assert remote(volume.id) == phantom().mean()
    big = np.arange(100_000, dtype=np.float64)
    assert np.array_equal(slicer.function(scaled)(big, factor=3.0), big * 3)
    assert slicer.function(node_name)(volume) == "phantom"
    with refused(errors.ArgumentError, "something else", "int"):
        slicer.function(lies)()
    with refused(errors.ArgumentError, "factor", "float"):
        slicer.function(scaled)(big, factor="x")
    with refused(errors.ArgumentError, "missing"):
        remote()


@case
def functions_that_capture_are_refused(slicer: Any, _: Path) -> None:
    outside = 3

    def captures() -> int:
        return outside

    with refused(errors.ArgumentError, "outside", "pass them as arguments"):
        slicer.function(captures)
    with refused(errors.ArgumentError, "def"):
        slicer.function(lambda: 1)


@case
def function_errors_carry_the_traceback(slicer: Any, _: Path) -> None:
    def fails() -> None:
        raise KeyError("gone")

    with refused(errors.RemoteError, "KeyError", "in fails"):
        slicer.function(fails)()


# -- jobs --------------------------------------------------------------------------------------------------------


@case
def jobs_report_progress_and_result(slicer: Any, _: Path) -> None:
    def work(n: int) -> int:
        import time

        for i in range(n):
            progress(i / n, f"step {i}")  # type: ignore[name-defined]  # noqa: F821 - given there
            time.sleep(0.06)
        return n * n

    seen: list[float] = []
    function = slicer.function(work)
    job = function.submit(3) if "slicer_core" not in sys.modules else slicer.submit(function, 3)
    job.on_progress(lambda j: seen.append(j.progress))
    assert job.result(20) == 9
    assert job.done
    assert not job.cancelled
    assert job.exception() is None
    assert "done" in repr(job)
    if "slicer_core" not in sys.modules:
        assert seen
        assert seen[-1] == 1.0


@case
def jobs_fail_with_their_error(slicer: Any, _: Path) -> None:
    def bad() -> None:
        raise ValueError("no good")

    job = slicer.submit(bad)
    assert isinstance(job.exception(20), errors.RemoteError)
    with refused(errors.RemoteError, "no good"):
        job.result(20)
    called: list[Any] = []
    job.add_done_callback(called.append)
    assert called == [job]


@case
def jobs_are_awaitable(slicer: Any, _: Path) -> None:
    import asyncio
    import threading

    answers: list[Any] = []

    async def both() -> list[Any]:
        return list(await asyncio.gather(slicer.submit("session.info"), slicer.submit("view.names")))

    # A loop of its own thread: in Slicer itself this thread has one already.
    def on_thread() -> None:
        answers.extend(asyncio.run(both()))

    thread = threading.Thread(target=on_thread)
    thread.start()
    while thread.is_alive():
        slicer.call("session.ping")
        thread.join(0.01)
    assert answers[0]["python"]
    assert "Red" in answers[1]


@case
def submit_refuses_nonsense(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "cannot be submitted"):
        slicer.submit(3)
    with refused(errors.ArgumentError, "positional"):
        slicer.submit("session.ping", 1)


# -- volumes -----------------------------------------------------------------------------------------------------


@case
def volumes_go_there_and_back(slicer: Any, _: Path) -> None:
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"):
        array = phantom().astype(dtype)
        volume = slicer.add_volume(array, AFFINE, "there", show=False)
        assert volume.dtype == array.dtype
        assert volume.array.dtype == array.dtype
        assert np.array_equal(volume.array, array), dtype
        volume.remove()


@case
def volume_array_is_a_copy_of_ones_own(slicer: Any, _: Path) -> None:
    big = np.arange(40 * 50 * 60, dtype=np.int32).reshape(40, 50, 60)
    volume = slicer.add_volume(big, None, "big")
    first = volume.array
    first[:] = 7
    assert np.array_equal(volume.array, big)
    second = volume.array
    volume.array = big + 1
    assert np.array_equal(second, big)
    assert np.array_equal(volume.array, big + 1)
    del first, second
    assert np.array_equal(volume.array, big + 1)


@case
def write_back_changes_the_views(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(block(), None, "block")
    volume.window_level = (255, 127.5)
    slicer.view("Red").fit()
    before = slicer.view("Red").image(size=(100, 100)).array.copy()
    volume.array = 255 - block()
    after = slicer.view("Red").image(size=(100, 100)).array
    assert before[50, 50].tolist() == [200, 200, 200]
    assert after[50, 50].tolist() == [55, 55, 55]


@case
def write_back_takes_other_shapes_dtypes_and_orders(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "changing")
    for array in (
        phantom().astype(np.float32) / 3,
        np.ones((3, 4, 5), np.uint8),
        np.asfortranarray(phantom()),
        phantom()[::-1, ::2],
        phantom().astype(">i2"),
        phantom() > 0,
    ):
        volume.array = array
        assert np.array_equal(volume.array, array)
        assert volume.shape == array.shape
    assert np.allclose(volume.affine, AFFINE)


@case
def vector_volumes_keep_their_components(slicer: Any, _: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 3), dtype=np.uint8)
    volume = slicer.add_volume(colours, None, "colours")
    assert volume.class_name == "vtkMRMLVectorVolumeNode"
    assert np.array_equal(volume.array, colours)


@case
def wrong_arrays_are_refused(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "kept")
    for array, words in (
        (np.zeros((3, 4)), ("(k, j, i)", "(3, 4)")),
        (np.zeros((0, 4, 4)), ("no axis empty",)),
        (np.zeros((2, 2, 2, 3)), ("(k, j, i)", "(2, 2, 2, 3)")),
        (np.zeros((2, 2, 2), np.complex64), ("dtype", "complex64")),
        (np.zeros((2, 2, 2), np.float16), ("float16", "astype")),
        (np.zeros((2, 2, 2), object), ("object",)),
    ):
        with refused(errors.ArrayError, *words):
            volume.array = array
    assert np.array_equal(volume.array, phantom())
    count = len(slicer.nodes("vtkMRMLVolumeNode"))
    with refused(errors.ArrayError, "affine"):
        slicer.add_volume(phantom(), np.zeros((4, 4)))
    with refused(errors.ArrayError, "(4, 4)"):
        slicer.add_volume(phantom(), np.eye(3))
    with refused(errors.ArrayError, "numbers"):
        volume.affine = "x"
    assert len(slicer.nodes("vtkMRMLVolumeNode")) == count


@case
def affine_is_ijk_to_ras(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "placed")
    assert np.allclose(volume.affine, AFFINE)
    assert np.allclose(volume.spacing, (1.5, 2, 3))
    ras = slicer.eval(
        "(lambda m: [m.MultiplyPoint((1, 2, 3, 1))[c] for c in range(3)])"
        f"((lambda m: (slicer.mrmlScene.GetNodeByID({volume.id!r}).GetIJKToRASMatrix(m), m)[1])"
        "(__import__('vtk').vtkMatrix4x4()))"
    )
    assert np.allclose(ras, (AFFINE @ (1, 2, 3, 1))[:3])
    sheared = AFFINE.copy()
    sheared[0, 0] = 0.4
    volume.affine = sheared
    assert np.allclose(volume.affine, sheared)


@case
def window_and_level(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), None, "wl")
    automatic = volume.window_level
    assert 150 < automatic[0] < 260
    volume.window_level = (50, 10)
    assert volume.window_level == (50, 10)
    slicer.view("Red").window_level = (60, 20)
    assert volume.window_level == (60, 20)
    volume.window_level = "auto"
    assert volume.window_level == automatic
    with refused(errors.ArgumentError, "window above 0"):
        volume.window_level = (0, 1)
    with refused(errors.ArrayError, "(window, level)"):
        volume.window_level = 3


@case
def histogram_counts_all_voxels(slicer: Any, _: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    volume = slicer.add_volume(phantom(), None, "counted")
    counts, edges = slicer.call("volume.histogram", node=volume, bins=10)
    assert counts.sum() == phantom().size
    assert len(edges) == 11
    axes = volume.histogram(bins=10)
    assert axes.get_title() == "counted"
    with refused(errors.ArgumentError, "bins"):
        volume.histogram(bins=0)


@case
def volume_facts(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), AFFINE, "facts")
    assert volume.shape == (5, 6, 7)
    assert volume.range == (-100, 109)
    assert volume.units == ""
    label = slicer.add_volume((phantom() > 0).astype(np.uint8), AFFINE, "labels", labelmap=True)
    assert label.class_name == "vtkMRMLLabelMapVolumeNode"


# -- nodes -------------------------------------------------------------------------------------------------------


@case
def nodes_by_class_name_and_id(slicer: Any, _: Path) -> None:
    one = slicer.add_volume(phantom(), None, "one")
    two = slicer.add_volume(phantom(), None, "two")
    assert slicer["one"] == one
    assert slicer[two.id] == two
    assert [n.name for n in slicer.nodes("vtkMRMLScalarVolumeNode")] == ["one", "two"]
    assert {n.id for n in slicer.nodes()} >= {one.id, two.id}
    assert "one" in slicer
    assert "three" not in slicer
    with refused(errors.NodeNotFoundError, "three", "one, two"):
        slicer["three"]
    with refused(errors.ArgumentError, "vtkMRMLNonsense"):
        slicer.nodes("vtkMRMLNonsense")
    two.name = "one"
    with refused(errors.AmbiguousNameError, one.id, two.id):
        slicer["one"]
    assert slicer[two.id] == two
    with refused(errors.ArgumentError, "int"):
        slicer[0]


@case
def names_attributes_and_removal(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(phantom(), None, "first")
    volume.name = "second"
    assert volume.name == "second"
    volume.set_attribute("key", "value")
    assert volume.attributes["key"] == "value"
    volume.set_attribute("key", None)
    assert "key" not in volume.attributes
    volume.remove()
    with refused(errors.NodeNotFoundError, volume.id):
        volume.array  # noqa: B018
    with refused(errors.NodeNotFoundError):
        volume.remove()


@case
def clear_leaves_the_views(slicer: Any, _: Path) -> None:
    slicer.add_volume(phantom(), None, "gone")
    slicer.clear()
    assert slicer.nodes("vtkMRMLVolumeNode") == []
    assert set(slicer.view_names) == {"Red", "Yellow", "Green", "1"}
    assert slicer.view("Red").image(size=(64, 64)).array.max() >= 0
    slicer.add_volume(block(), None, "again").window_level = (255, 127.5)
    assert slicer.view("Green").image(size=(64, 64)).array.max() == 200


@case
def markups_as_points_and_table(slicer: Any, _: Path) -> None:
    points = np.array([[1.0, 2, 3], [-4, 5, 6.5]])
    markups = slicer.add_markups(points, "landmarks", ["nose", "ear"])
    assert np.allclose(markups.points, points)
    assert markups.labels == ["nose", "ear"]
    frame = markups.to_dataframe()
    assert frame.label.tolist() == ["nose", "ear"]
    assert frame.s.tolist() == [3, 6.5]
    markups.points = [[0, 0, 1]]
    assert markups.array.tolist() == [[0, 0, 1]]
    with refused(errors.ArrayError, "(n, 3)"):
        markups.points = [[1, 2]]
    with refused(errors.ArrayError, "label"):
        slicer.add_markups(points, labels=["only one"])


@case
def transforms_move_and_harden(slicer: Any, _: Path) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (10, -5, 2)
    transform = slicer.add_transform(shift, "shift")
    assert np.allclose(transform.matrix, shift)
    volume = slicer.add_volume(phantom(), AFFINE, "moved")
    slicer.call("transform.set_on", node=volume, transform=transform)
    slicer.call("transform.harden", node=volume)
    assert np.allclose(volume.affine, shift @ AFFINE)
    with refused(errors.ArrayError, "matrix"):
        transform.matrix = np.ones((3, 3))


@case
def tables_become_dataframes(slicer: Any, _: Path) -> None:
    slicer.run(
        "import vtk, numpy as np\n"
        "table = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTableNode', 'numbers')\n"
        "slicer.util.updateTableFromArray(table, [np.array([1.5, 2.5]), np.array([3.0, 4.0])], ['a', 'b'])\n"
    )
    frame = slicer["numbers"].to_dataframe()
    assert list(frame.columns) == ["a", "b"]
    assert frame.a.tolist() == [1.5, 2.5]
    assert slicer["numbers"].array.tolist() == [[1.5, 3.0], [2.5, 4.0]]


@case
def segmentations_become_masks(slicer: Any, _: Path) -> None:
    volume = slicer.add_volume(block(), AFFINE, "ct")
    slicer.run(
        "label = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLLabelMapVolumeNode', 'label')\n"
        f"source = slicer.mrmlScene.GetNodeByID({volume.id!r})\n"
        "slicer.util.updateVolumeFromArray(label, (slicer.util.arrayFromVolume(source) > 100).astype('uint8'))\n"
        "label.CopyOrientation(source)\n"
        "seg = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLSegmentationNode', 'seg')\n"
        "seg.SetReferenceImageGeometryParameterFromVolumeNode(source)\n"
        "slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(label, seg)\n"
    )
    segmentation = slicer["seg"]
    assert len(segmentation.segments) == 1
    mask = segmentation.mask(segmentation.segments[0]["id"], volume)
    assert np.array_equal(mask, (block() > 100).astype(np.uint8))
    assert np.array_equal(segmentation.mask(segmentation.segments[0]["name"], volume), mask)
    with refused(errors.NodeNotFoundError, "no segment", "liver"):
        segmentation.mask("liver", volume)


@case
def models_give_points_and_triangles(slicer: Any, _: Path) -> None:
    slicer.run(
        "import vtk\nsphere = vtk.vtkSphereSource(); sphere.SetRadius(10); sphere.SetCenter(1, 2, 3); sphere.Update()\n"
        "model = slicer.modules.models.logic().AddModel(sphere.GetOutput()); model.SetName('ball')\n"
    )
    model = slicer["ball"]
    points = model.points
    assert np.allclose(np.linalg.norm(points - (1, 2, 3), axis=1), 10, atol=1e-4)
    triangles = model.triangles
    assert triangles.shape[1] == 3
    assert triangles.max() == len(points) - 1
    model.show(False)
    assert slicer.eval("model.GetDisplayVisibility()") == 0


# -- files -------------------------------------------------------------------------------------------------------


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


# -- views -------------------------------------------------------------------------------------------------------


@case
def the_four_up_layout_is_there(slicer: Any, _: Path) -> None:
    assert slicer.layout == "FourUp"
    assert set(slicer.view_names) == {"Red", "Yellow", "Green", "1"}
    assert {n: slicer.view(n).orientation for n in ("Red", "Yellow", "Green")} == {
        "Red": "Axial",
        "Yellow": "Sagittal",
        "Green": "Coronal",
    }
    assert slicer.view("3D").kind == "3d"
    with refused(errors.ViewNotFoundError, "Purple", "Red"):
        slicer.view("Purple")


@case
def pictures_have_the_size_asked_for(slicer: Any, _: Path) -> None:
    slicer.add_volume(block(), None, "block")
    for name in slicer.view_names:
        image = slicer.view(name).image(size=(120, 90))
        assert image.size == (120, 90)
        assert image.array.shape == (90, 120, 3)
        assert image.png.startswith(b"\x89PNG")
    with refused(errors.ArgumentError, "8192"):
        slicer.view("Red").image(size=(0, 10))
    with refused(errors.ArgumentError):
        slicer.view("Red").image(size=(10, 99999))


@case
def a_picture_moves_nothing(slicer: Any, _: Path) -> None:
    slicer.add_volume(block(), None, "block")
    red = slicer.view("Red")
    state = (
        "[list(slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetFieldOfView()),"
        " list(slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetDimensions()),"
        " slicer.util.arrayFromVTKMatrix(slicer.mrmlScene.GetNodeByID('vtkMRMLSliceNodeRed').GetSliceToRAS()).tolist()]"
    )
    red.offset = 12.0
    before = slicer.eval(state)
    red.image(size=(333, 77))
    assert slicer.eval(state) == before
    assert red.offset == 12.0


@case
def slice_views_scroll_and_turn(slicer: Any, _: Path) -> None:
    gradient = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None] * 5, 40, 1).repeat(40, 2)
    slicer.add_volume(gradient, None, "gradient").window_level = (255, 127.5)
    red = slicer.view("Red")
    assert red.offset_range == (0.0, 39.0)
    assert red.offset_step == 1.0
    for offset in (3.0, 30.0):
        red.offset = offset
        assert red.offset == offset
        assert red.image(size=(64, 64)).array[32, 32, 0] == offset * 5
    red.orientation = "Coronal"
    assert red.orientation == "Coronal"
    red.orientation = "Axial"
    with refused(errors.ArgumentError, "slice view"):
        slicer.view("1").offset  # noqa: B018
    with refused(errors.ArgumentError, "Diagonal"):
        red.orientation = "Diagonal"


@case
def patient_left_is_on_the_right(slicer: Any, _: Path) -> None:
    array = np.zeros((20, 20, 20), np.uint8)
    array[:, :, 15:] = 200  # large R: affine is the identity, so i grows to the patient's right... RAS +R
    slicer.add_volume(array, np.eye(4), "right").window_level = (255, 127.5)
    picture = slicer.view("Red").image(size=(100, 100)).array
    # Axial, seen from the feet: the patient's right is on the screen's left.
    assert picture[50, :50].max() == 200
    assert picture[50, 60:].max() == 0


@case
def thumbnails_show_all_views(slicer: Any, _: Path) -> None:
    slicer.add_volume(block(), None, "block")
    pictures = slicer.thumbnails(size=(64, 64))
    assert set(pictures) == set(slicer.view_names)
    assert pictures._repr_html_().count("data:image/png") == len(pictures)
    assert len(pictures.figure().axes) == len(pictures)
    assert set(slicer["block"].show()) == set(slicer.view_names)


@case
def layouts_change(slicer: Any, _: Path) -> None:
    slicer.layout = "OneUpRedSlice"
    assert slicer.view_names == ["Red"]
    slicer.layout = "FourUp"
    assert len(slicer.view_names) == 4
    with refused(errors.ArgumentError, "Nonsense"):
        slicer.layout = "Nonsense"


# -- DICOM -------------------------------------------------------------------------------------------------------


def write_series(folder: Path, slices: int = 6) -> np.ndarray[Any, Any]:
    """A small axial CT, written by pydicom; its values, [k, j, i]."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    stored = np.arange(slices * 8 * 10, dtype=np.int16).reshape(slices, 8, 10)
    study, series, frame = (generate_uid(entropy_srcs=[str(folder), n]) for n in "abc")
    for k in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(folder), str(k)])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.PatientName, data.PatientID = "Conform^Ada", "C1"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.StudyDate, data.StudyDescription, data.Modality = "20200102", "Phantom", "CT"
        data.SeriesNumber, data.SeriesDescription, data.InstanceNumber = 3, "Axial", slices - k
        data.Rows, data.Columns, data.PixelSpacing = 8, 10, [0.7, 0.5]
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-2.5, -3, 10 + 2.5 * k]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, -1024, "HU"
        data.WindowCenter, data.WindowWidth = -900, 300
        data.PixelData = stored[k].tobytes()
        data.save_as(folder / f"{(k * 7) % slices}.dcm", enforce_file_format=True)
    return stored.astype(np.int32) - 1024


@case
def a_series_is_indexed_found_and_loaded(slicer: Any, folder: Path) -> None:
    expected = write_series(folder / "dicom")
    slicer.dicom.database = str(folder / "index.sqlite3")
    try:
        summary = slicer.dicom.index(folder / "dicom").result(60)
        assert (summary.files, summary.studies, summary.series) == (6, 1, 1)
        studies = slicer.dicom.studies(PatientName="conform*")
        assert [s.PatientID for s in studies] == ["C1"]
        assert studies.to_dataframe().StudyDescription.tolist() == ["Phantom"]
        assert "Conform" in studies._repr_html_()
        assert slicer.dicom.studies(PatientName="nobody") == []
        [series] = slicer.dicom.series(studies[0])
        assert series.NumberOfSeriesRelatedInstances == 6
        assert slicer.dicom.plan(series)["volumes"][0]["files"] == 6
        assert slicer.dicom.thumbnail(series).startswith(b"\x89PNG")
        [volume] = slicer.dicom.load(series.SeriesInstanceUID)
        assert np.array_equal(volume.array, expected)
        assert np.allclose(volume.affine, [[-0.5, 0, 0, 2.5], [0, -0.7, 0, 3], [0, 0, 2.5, 10], [0, 0, 0, 1]])
        assert volume.window_level == (300, -900)
        assert volume.units == "Hounsfield unit"
        assert len(volume.attributes["DICOM.instanceUIDs"].split()) == 6
        with refused(errors.UidNotFoundError, "1.2.3"):
            slicer.dicom.load("1.2.3")
        with refused(errors.ArgumentError, "Nonsense"):
            slicer.dicom.studies(Nonsense="x")
    finally:
        slicer.dicom.database = None


@case
def bad_folders_are_refused(slicer: Any, folder: Path) -> None:
    slicer.dicom.database = str(folder / "index.sqlite3")
    try:
        with refused(errors.PathNotFoundError, "nowhere"):
            slicer.dicom.index(folder / "nowhere").result(60)
        (folder / "empty").mkdir()
        with refused(errors.EmptyFolderError, "empty"):
            slicer.dicom.index(folder / "empty").result(60)
        (folder / "other").mkdir()
        (folder / "other" / "a.txt").write_text("no DICOM")
        with refused(errors.EmptyFolderError, "other", "not DICOM"):
            slicer.dicom.index(folder / "other").result(60)
        with refused(errors.NotDicomError, "a.txt"):
            slicer.dicom.index(folder / "other" / "a.txt").result(60)
        with refused(errors.ArgumentError, "folder"):
            slicer.dicom.index()
        with refused(errors.ArgumentError, "not a series"):
            slicer.dicom.load([3])
    finally:
        slicer.dicom.database = None


@case
def an_unknown_event_is_refused(slicer: Any, _: Path) -> None:
    with refused(errors.ArgumentError, "scene", "earthquake"):
        slicer.on("earthquake", print)


def run_in_process(name: str, folder: str) -> None:
    """Run a case on this process's own Slicer; called there."""
    with_name = CASES[name]
    session = sn.connect()
    session.clear()
    session.layout = "FourUp"
    for view, orientation in (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal")):
        session.view(view).orientation = orientation
    try:
        with_name(session, Path(folder))
    finally:
        session.close()
