"""What a series becomes beyond one volume: sequences, images, resampled stacks; and the header behind it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from slicer_notebook import errors
from tests.dicom import make
from tests.session.conformance.cases import case, refused


@contextmanager
def indexed(slicer: Any, folder: Path) -> Iterator[Any]:
    """The one series of a folder, in an index of its own."""
    slicer.dicom.database = str(folder.parent / f"{folder.name}.sqlite3")
    try:
        slicer.dicom.index(folder).result(60)
        [series] = slicer.dicom.series()
        yield series
    finally:
        slicer.dicom.database = None


def write_volumes(folder: Path, each: list[dict[str, Any]], **attributes: Any) -> np.ndarray[Any, Any]:
    """An axial MR series of several volumes of 3 slices of 4 x 5 pixels; its values, [t, k, j, i]."""
    folder.mkdir()
    values = np.arange(len(each) * 3 * 4 * 5, dtype=np.int16).reshape(len(each), 3, 4, 5)
    number = 0
    for t, facts in enumerate(each):
        for k in range(3):
            number += 1
            item = make.dataset(
                make.MR,
                **{
                    "ImagePositionPatient": [-4, -6, 10 + 5 * k],
                    "ImageOrientationPatient": list(make.AXIAL),
                    "PixelSpacing": [3, 2],
                    "SliceThickness": 5,
                    "InstanceNumber": number,
                    **attributes,
                    **facts,
                },
            )
            make.save(item, folder / f"{(number * 7) % 100:02d}.dcm", values[t, k])
    return values


AFFINE = [[-2, 0, 0, 4], [0, -3, 0, 6], [0, 0, 5, 10], [0, 0, 0, 1]]


@case
def a_series_over_echoes_is_a_sequence(slicer: Any, folder: Path) -> None:
    expected = write_volumes(folder / "echoes", [{"EchoTime": 10.5 * n, "EchoNumbers": n} for n in (1, 2, 3, 4)])
    with indexed(slicer, folder / "echoes") as series:
        plan = slicer.dicom.plan(series)
        assert [len(each) for each in plan.sequences] == [4]
        assert (plan.sequences[0].shape, plan.sequences[0].files, plan.volumes) == ((3, 4, 5), 12, [])
        assert "echo time, 10.5, 21, 31.5, 42 ms" in repr(plan)
        assert "echo time, 10.5" in plan._repr_html_()
        [sequence] = slicer.dicom.load(series)
        assert type(sequence).__name__ == "VolumeSequence"
        assert (len(sequence), sequence.shape, sequence.dtype) == (4, (4, 3, 4, 5), np.int16)
        assert np.array_equal(sequence.array, expected)
        assert np.array_equal(np.asarray(sequence), expected)
        assert [np.array_equal(volume, expected[n]) for n, volume in enumerate(sequence)] == [True] * 4
        assert np.array_equal(sequence[-1], expected[3])
        assert np.array_equal(sequence[1:3], expected[1:3])
        assert (sequence.index_name, sequence.unit, sequence.values) == ("echo time", "ms", [10.5, 21, 31.5, 42])
        assert (sequence.axis.keyword, sequence.axis.gradients) == ("EchoTime", None)
        assert np.allclose(sequence.affine, AFFINE)
        assert sequence.spacing == (2, 3, 5)
        assert "4, over echo time, 10.5, 21, 31.5, 42 ms" in repr(sequence)
        assert "echo time" in sequence._repr_html_()
        assert "data:image/png;base64," in sequence._repr_html_()
        assert sequence.dicom.EchoTime == 10.5
        with refused(errors.ItemNotFoundError, "item 4", "0 to 3"):
            sequence[4]
        with refused(errors.ItemNotFoundError, "item -5"):
            sequence[-5]
        with refused(errors.ArgumentError, "whole number"):
            sequence["first"]
        with refused(errors.ArgumentError, "no diffusion", "echo time"):
            sequence.gradients  # noqa: B018
        # A copy of one's own.
        array = sequence.array
        array[:] = -1
        assert np.array_equal(sequence.array, expected)


@case
def a_strip_shows_the_middle_slices(slicer: Any, folder: Path) -> None:
    import io

    from PIL import Image

    expected = write_volumes(
        folder / "strip", [{"EchoTime": float(n)} for n in range(1, 9)], WindowCenter=240, WindowWidth=480
    )
    with indexed(slicer, folder / "strip") as series:
        [sequence] = slicer.dicom.load(series)
    picture = Image.open(io.BytesIO(slicer.call("sequence.strip", node=sequence, count=3, height=60)))
    # 4 rows of 3 mm by 5 columns of 2 mm: 12 mm high, 10 mm wide.
    assert picture.size == (3 * 50 + 2 * 2, 60)
    pixels = np.asarray(picture)[..., 0].astype(float)
    for n, item in enumerate((0, 4, 7)):
        middle = pixels[20:40, 52 * n + 20 : 52 * n + 30].mean()
        assert abs(middle - expected[item, 1, 1:3, 2].mean() / 480 * 255) < 4, (n, middle)
    with refused(errors.ArgumentError, "height 0"):
        slicer.call("sequence.strip", node=sequence, height=0)


@case
def the_proxy_shows_one_volume_of_a_sequence(slicer: Any, folder: Path) -> None:
    expected = write_volumes(
        folder / "time", [{"TriggerTime": 100.0 * n} for n in range(3)], WindowCenter=100, WindowWidth=250
    )
    with indexed(slicer, folder / "time") as series:
        [sequence] = slicer.dicom.load(series)
    proxy = sequence.volume
    assert (sequence.index, proxy.window_level) == (0, (250, 100))
    assert slicer.call("view.background", name="Red") == proxy
    for n in (2, 1):
        sequence.index = n
        assert sequence.index == n
        assert np.array_equal(proxy.array, expected[n])
        assert np.allclose(proxy.affine, AFFINE)
        assert proxy.window_level == (250, 100)
    red = slicer.view("Red").image((60, 60)).array.copy()
    sequence.index = -1
    assert sequence.index == 2
    assert not np.array_equal(slicer.view("Red").image((60, 60)).array, red)
    with refused(errors.ItemNotFoundError, "item 3"):
        sequence.index = 3
    # Each volume knows its own files: what the proxy shows, its header says.
    assert len(proxy.attributes["DICOM.instanceUIDs"].split()) == 3
    proxy.array = np.zeros_like(expected[0])
    assert np.array_equal(sequence.array, expected)
    sequence.remove()
    assert sequence.id in repr(sequence)
    assert sequence.id in sequence._repr_html_()
    left = [node.name for node in slicer.nodes("vtkMRMLVolumeNode")]
    assert left == [], left
    assert slicer.nodes("vtkMRMLSequenceNode") == slicer.nodes("vtkMRMLSequenceBrowserNode") == []


@case
def a_diffusion_series_keeps_its_gradients(slicer: Any, folder: Path) -> None:
    each: list[dict[str, Any]] = [{"DiffusionBValue": 0.0, "DiffusionDirectionality": "NONE"}]
    directions = [[1.0, 0.0, 0.0], [0.0, 0.6, 0.8], [0.0, -0.8, 0.6]]
    for direction in directions:
        # PS3.3 C.8.13.5.9 nests the direction; classic files of some makers have it flat (PS3.6, the same element).
        each.append(
            {
                "DiffusionBValue": 1000.0,
                "DiffusionDirectionality": "DIRECTIONAL",
                "DiffusionGradientOrientation": direction,
            }
        )
    expected = write_volumes(folder / "dwi", each)
    with indexed(slicer, folder / "dwi") as series:
        [sequence] = slicer.dicom.load(series)
    order = [0, *(1 + directions.index([float(f"{x:g}") for x in g]) for g in sequence.axis.gradients[1:])]
    assert sorted(order) == [0, 1, 2, 3]
    assert np.array_equal(sequence.array, expected[order])
    assert (sequence.index_name, sequence.unit, sequence.values) == ("b-value", "s/mm2", [0, 1000, 1000, 1000])
    assert sequence.bvals.tolist() == [0, 1000, 1000, 1000]
    lps = np.array([[0.0, 0, 0], *(directions[n - 1] for n in order[1:])])
    assert np.allclose(sequence.gradients, lps * [-1, -1, 1])
    assert "0, 1000 (\u00d73) s/mm2" in repr(sequence)
    keys = sequence.attributes
    assert (keys["modality"], keys["DWMRI_b-value"]) == ("DWMRI", "1000")
    assert np.allclose([[float(x) for x in keys[f"DWMRI_gradient_{n:04d}"].split()] for n in range(4)], lps)
    # As a diffusion NRRD the file says in which frame these vectors are.
    path = sequence.save(folder / "dwi.seq.nrrd")
    head = path.read_bytes().split(b"\n\n")[0].decode()
    assert "space: left-posterior-superior" in head
    assert "DWMRI_b-value:=1000" in head
    again = slicer.load(path)
    assert np.allclose(again.gradients, lps * [-1, -1, 1])
    assert again.values == [0, 1000, 1000, 1000]
    assert np.array_equal(again.array, expected[order])


@case
def a_colour_picture_is_shown_in_its_colours(slicer: Any, folder: Path) -> None:
    (folder / "colour").mkdir()
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4], pixels[:, 4:] = (200, 40, 10), (20, 30, 120)
    item = make.dataset(
        make.SECONDARY_CAPTURE, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
        BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, InstanceNumber=1,
    )  # fmt: skip
    make.save(item, folder / "colour" / "a.dcm", pixels)
    with indexed(slicer, folder / "colour") as series:
        assert [(each.image, each.samples, each.calibrated) for each in slicer.dicom.plan(series).images] == [
            (True, 3, False)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            [volume] = slicer.dicom.load(series)
    assert volume.class_name == "vtkMRMLVectorVolumeNode"
    assert (volume.is_image, volume.calibrated) == (True, False)
    assert np.array_equal(volume.array, pixels[None])
    slicer.view("Red").fit()
    shown = slicer.view("Red").image((64, 64)).array
    assert {tuple(shown[32, 20].tolist()), tuple(shown[32, 44].tolist())} == {(200, 40, 10), (20, 30, 120)}


@case
def a_radiograph_is_an_image_and_shown_as_it_was_meant(slicer: Any, folder: Path) -> None:
    (folder / "cr").mkdir()
    stored = np.tile(np.arange(0, 1000, 100, dtype=np.int16), (6, 1))
    item = make.dataset(
        make.CR, PhotometricInterpretation="MONOCHROME1", PixelSpacing=[0.2, 0.1], PixelRepresentation=0,
        WindowCenter=500, WindowWidth=1000, FrameOfReferenceUID=None, InstanceNumber=1,
    )  # fmt: skip
    make.save(item, folder / "cr" / "a.dcm", stored)
    with indexed(slicer, folder / "cr") as series, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        [volume] = slicer.dicom.load(series)
    assert (volume.is_image, volume.calibrated, volume.window_level) == (True, True, (1000, 500))
    assert np.array_equal(volume.array, stored[None])  # the values are the file's; it is the display that is inverted
    assert np.allclose(volume.spacing[:2], (0.1, 0.2))
    slicer.view("Red").fit()
    shown = slicer.view("Red").image((200, 200)).array.astype(int).mean(axis=-1)
    row = shown[100][np.nonzero(shown.max(axis=0))]
    assert row[0] > 200, row
    assert row[-1] < 60, row
    # As on film: the first column is on the left, where the patient's right is seen when facing them.
    assert (np.diff(row) <= 0).all(), row


@case
def a_cine_is_a_sequence_of_colour_pictures(slicer: Any, folder: Path) -> None:
    (folder / "us").mkdir()
    frames = np.zeros((4, 6, 8, 3), np.uint8)
    for t in range(4):
        frames[t] = (50 * t, 255 - 50 * t, 20)
    item = make.dataset(
        "1.2.840.10008.5.1.4.1.1.3.1", Modality="US", FrameOfReferenceUID=None, SamplesPerPixel=3,
        PhotometricInterpretation="RGB", PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=0, NumberOfFrames=4, FrameTime=40.0, FrameIncrementPointer=0x00181063, InstanceNumber=1,
        Rows=6, Columns=8,
    )  # fmt: skip
    item.PixelData = frames.tobytes()
    make.save(item, folder / "us" / "a.dcm")
    with indexed(slicer, folder / "us") as series, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        [cine] = slicer.dicom.load(series)
        assert cine.dicom.NumberOfFrames == 4
    assert cine.shape == (4, 1, 6, 8, 3)
    assert np.array_equal(cine.array[:, 0], frames)
    assert (cine.index_name, cine.unit) in (("time", "s"), ("time", "ms"))
    assert np.allclose(np.diff(cine.values), 0.04 if cine.unit == "s" else 40)
    assert (cine.volume.is_image, cine.volume.class_name) == (True, "vtkMRMLVectorVolumeNode")
    slicer.view("Red").fit()
    for t in (3, 1):
        cine.index = t
        assert slicer.view("Red").image((64, 64)).array[32, 32].tolist() == frames[t, 3, 4].tolist()


def write_pet(folder: Path, weight: float | None) -> np.ndarray[Any, Any]:
    """A PET of 370 MBq of fluorine-18, an hour after the injection, slope 2.5; its stored values, [k, j, i]."""
    from pydicom.dataset import Dataset

    dose = Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 370e6, 6586.2
    dose.RadiopharmaceuticalStartTime = "100000"
    values = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    folder.mkdir()
    for k in range(3):
        item = make.dataset(
            make.PET, Units="BQML", DecayCorrection="START", CorrectedImage=["DECY", "ATTN"], PatientWeight=weight,
            PatientSize=1.75, PatientSex="M", SeriesDate="20200102", SeriesTime="110000", AcquisitionDate="20200102",
            AcquisitionTime="110000", RescaleSlope=2.5, RescaleIntercept=0, FrameReferenceTime=0.0,
            ImagePositionPatient=[-4, -6, 10 + 5 * k], ImageOrientationPatient=list(make.AXIAL), PixelSpacing=[3, 2],
            SliceThickness=5, InstanceNumber=k + 1,
        )  # fmt: skip
        item.RadiopharmaceuticalInformationSequence = [dose]
        make.save(item, folder / f"{k}.dcm", values[k])
    return values


@case
def a_quantity_is_applied_when_it_is_asked_for(slicer: Any, folder: Path) -> None:
    values = write_pet(folder / "pet", weight=70.0)
    with indexed(slicer, folder / "pet") as series:
        offered = {each.name: each.units for each in slicer.dicom.plan(series).volumes[0].quantities}
        assert {"SUVbw", "SUVlbm", "SUVbsa"} <= offered.keys()
        [plain] = slicer.dicom.load(series)
        [suv] = slicer.dicom.load(series, quantity="SUVbw")
        with refused(errors.ArgumentError, "'SUV'", "SUVbw", "SUVbsa"):
            slicer.dicom.load(series, quantity="SUV")
    assert np.allclose(plain.array, values * 2.5)
    assert (plain.units, plain.quantity) == ("Becquerels/milliliter", "")
    factor = 70.0 * 1000 / (370e6 * 2 ** (-3600 / 6586.2))
    assert np.allclose(suv.array, values * 2.5 * factor, rtol=1e-6)
    assert (suv.units, suv.quantity) == ("Standardized Uptake Value body weight", "SUVbw")
    assert suv.attributes["slicer_notebook.quantity"] == "SUVbw"
    assert "SUVbw" in suv.name


@case
def a_quantity_that_is_not_offered_says_why(slicer: Any, folder: Path) -> None:
    write_pet(folder / "pet", weight=None)
    with indexed(slicer, folder / "pet") as series:
        plan = slicer.dicom.plan(series)
        assert "SUVbw" not in {each.name for each in plan.volumes[0].quantities}
        assert any("PatientWeight" in text for text in plan.volumes[0].not_offered), plan.volumes[0].not_offered
        assert "PatientWeight" in repr(plan)
        before = slicer.nodes()
        with refused(errors.ArgumentError, "'SUVbw'", "PatientWeight"):
            slicer.dicom.load(series, quantity="SUVbw")
        assert slicer.nodes() == before


@case
def uneven_slices_are_told_and_strictly_refused(slicer: Any, folder: Path) -> None:
    make.write_series(folder / "uneven", offsets=[0, 4, 8, 16, 20])
    with indexed(slicer, folder / "uneven") as series:
        assert slicer.dicom.plan(series).volumes[0].resampled == "missing-slices"
        strictly = slicer.dicom.plan(series, strict=True)
        assert ([r.reason for r in strictly.refused], strictly.volumes) == (["missing-slices"], [])
        assert "refused (missing-slices)" in repr(strictly)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            [volume] = slicer.dicom.load(series)
        assert any("missing" in str(warning.message) for warning in told), [str(w.message) for w in told]
        make.assert_phantom(volume.array, volume.affine, within=1.01)
        before = slicer.nodes()
        with refused(errors.SeriesRefusedError, "missing"):
            slicer.dicom.load(series, strict=True)
        for name, value in (("strict", "yes"), ("rectify", 1), ("quantity", 3), ("show", None)):
            with refused(errors.ArgumentError, name):
                slicer.dicom.load(series, **{name: value})
        with refused(errors.ArgumentError, "'SUVbw'", "none"):
            slicer.dicom.load(series, quantity="SUVbw")
        assert slicer.nodes() == before


@case
def a_tilted_stack_is_sheared_or_rectified(slicer: Any, folder: Path) -> None:
    make.write_series(folder / "tilt", shear=(0, 1.5, 0), shape=(6, 12, 10))
    with indexed(slicer, folder / "tilt") as series, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        [sheared] = slicer.dicom.load(series)
        [straight] = slicer.dicom.load(series, rectify=True)
    make.assert_phantom(sheared.array, sheared.affine)
    axes = np.array(sheared.affine)[:3, :3]
    assert abs(axes[:, 1] @ axes[:, 2]) > 1
    axes = np.array(straight.affine)[:3, :3]
    assert np.allclose(axes.T @ axes, np.diag(np.diag(axes.T @ axes)), atol=1e-6)


@case
def a_header_is_read_where_slicer_runs(slicer: Any, folder: Path) -> None:
    paths = make.write_series(folder / "ct", PatientName="Conform^Ada", PatientComments="a comment")
    with indexed(slicer, folder / "ct") as series:
        [volume] = slicer.dicom.load(series)
        header = volume.dicom
        assert (header.PatientName, header.PatientComments, header.Rows) == ("Conform^Ada", "a comment", 7)
        assert "PixelData" not in header
        first, *_, last = volume.attributes["DICOM.instanceUIDs"].split()
        assert header.SOPInstanceUID == first
        assert header.file_meta.MediaStorageSOPInstanceUID == first
        assert slicer.dicom.header(last).SOPInstanceUID == last
        assert slicer.dicom.header(series).SeriesInstanceUID == series.SeriesInstanceUID
        comments = slicer.dicom.attributes([series, last], "PatientComments", "0010,0040")
        assert comments == {
            series.SeriesInstanceUID: {"PatientComments": "a comment", "0010,0040": None},
            last: {"PatientComments": "a comment", "0010,0040": None},
        }
        with refused(errors.ArgumentError, "NoSuchKeyword"):
            slicer.dicom.attributes(series, "NoSuchKeyword")
        with refused(errors.ArgumentError, "not a series"):
            slicer.dicom.attributes(5, "Rows")
        with refused(errors.UidNotFoundError, "1.2.99"):
            slicer.dicom.header("1.2.99")
        with refused(errors.ArgumentError, "did not come from DICOM"):
            slicer.add_volume(np.zeros((2, 2, 2)), show=False).dicom  # noqa: B018
        for path in paths:
            path.unlink()
        with refused(errors.FileFormatError, "dcm", "index"):
            volume.dicom  # noqa: B018


@case
def a_folder_is_planned_without_an_index(slicer: Any, folder: Path) -> None:
    make.write_series(folder / "loose", SeriesDescription="Loose <b>")
    plan = slicer.dicom.plan(folder / "loose")
    assert (plan.SeriesDescription, plan.volumes[0].shape, plan.volumes[0].files) == ("Loose <b>", (5, 7, 6), 5)
    assert "&lt;b&gt;" in plan._repr_html_()
    with refused(errors.PathNotFoundError, "nowhere"):
        slicer.dicom.plan(str(folder / "nowhere"))
