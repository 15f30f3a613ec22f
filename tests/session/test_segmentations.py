"""The handle of a segmentation: segments, label maps, surfaces, display, files, card."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

import slicer_notebook as sn
from slicer_notebook import errors
from slicer_notebook.session import Code, Segmentation, Terminology
from tests.commands.test_segmentations import FLIP, SOURCE, blobs, to_sitk

LIVER = Terminology(Code("SCT", "123037004", "Anatomical Structure"), Code("SCT", "10200004", "Liver"))


@pytest.fixture
def labels() -> np.ndarray[Any, Any]:
    return blobs(SOURCE.shape)


@pytest.fixture
def ct(slicer: sn.Session, labels: np.ndarray[Any, Any]) -> sn.Volume:
    return slicer.add_volume(labels.astype(np.int16) * 100, SOURCE.affine, "ct")


@pytest.fixture
def segmentation(slicer: sn.Session, ct: sn.Volume, labels: np.ndarray[Any, Any]) -> Segmentation:
    """Segments "liver", "spleen" and Segment_3."""
    return slicer.add_segmentation(labels, reference=ct, names=["liver", "spleen"], colors={1: (0.5, 0.25, 0)})


def test_segments_by_number_name_and_id(segmentation: Segmentation) -> None:
    segments = segmentation.segments
    assert segments.names == ["liver", "spleen", "Segment_3"]
    assert len(segments) == 3
    assert segments[0] == segments["liver"] == segments[segments[0].id] == segmentation["liver"]
    assert segments[-1].name == "Segment_3"
    assert [each.name for each in segments[1:]] == ["spleen", "Segment_3"]
    assert "liver" in segments
    assert "kidney" not in segments
    assert segments["liver"].color == (0.5, 0.25, 0)
    with pytest.raises(errors.NodeNotFoundError, match="no segment 'kidney'") as caught:
        segments["kidney"]
    assert "liver, spleen" in str(caught.value.hint)
    with pytest.raises(errors.ItemNotFoundError):
        segments[3]
    segments[2].name = "liver"
    with pytest.raises(errors.AmbiguousNameError, match="2 segments"):
        segmentation.segments["liver"]
    with pytest.raises(errors.AmbiguousNameError, match="2 segments"):
        segmentation.mask("liver")


def test_a_segment_reads_as_the_dict_that_it_was(segmentation: Segmentation) -> None:
    segment = segmentation.segments[0]
    assert segment["name"] == "liver"
    assert set(dict(segment)) == {"id", "name", "color", "terminology"}
    assert dict(segment)["id"] == segment.id
    with pytest.raises(KeyError):
        segment["size"]


def test_what_a_segment_is_called_and_looks_like(segmentation: Segmentation) -> None:
    liver = segmentation["liver"]
    liver.name, liver.color, liver.visible = "Leber", (1, 0, 0), False
    assert (liver.name, liver.color, liver.visible) == ("Leber", (1, 0, 0), False)
    assert segmentation["spleen"].visible
    assert repr(liver) == f"<Segment 'Leber' ({liver.id})>"
    liver.opacity = 0.25
    assert (liver.opacity_fill, liver.opacity_outline, liver.opacity_3d) == (0.25, 0.25, 0.25)
    liver.opacity_fill, liver.opacity_outline, liver.opacity_3d = 0.5, 0.75, 1
    assert (liver.opacity, liver.opacity_outline, liver.opacity_3d) == (0.5, 0.75, 1)
    assert segmentation["spleen"].opacity == 1
    for change in ({"color": (2, 0, 0)}, {"opacity": 1.5}, {"name": " "}):
        with pytest.raises(errors.ArgumentError):
            setattr(liver, *next(iter(change.items())))
    with pytest.raises(errors.AttributeNameError, match="colour"):
        liver.colour = (1, 0, 0)
    with pytest.raises(errors.AttributeNameError):
        liver.id = "other"


def test_terminology_is_codes(slicer: sn.Session, segmentation: Segmentation) -> None:
    liver = segmentation["liver"]
    assert liver.terminology is not None
    assert str(liver.terminology) == "Tissue"
    colour = liver.color
    liver.terminology = LIVER
    assert liver.terminology == LIVER
    assert str(liver.terminology) == "Liver"
    assert liver.color == colour
    left = LIVER._replace(type=Code("SCT", "64033007", "Kidney"), type_modifier=Code("SCT", "7771000", "Left"))
    liver.terminology = left
    assert liver.terminology == left
    assert str(liver.terminology) == "Kidney, Left"
    # As Slicer itself reads it.
    kind, modifier = slicer.eval(
        "(lambda entry: (slicer.modules.terminologies.logic().DeserializeTerminologyEntry("
        f"slicer.mrmlScene.GetNodeByID({segmentation.id!r}).GetSegmentation().GetSegment({liver.id!r})"
        ".GetTerminology(), entry), [entry.GetTypeObject().GetCodeMeaning(),"
        " entry.GetTypeModifierObject().GetCodeValue()])[1])(slicer.vtkSlicerTerminologyEntry())"
    )
    assert (kind, modifier) == ("Kidney", "7771000")
    liver.terminology = "spleen"
    assert liver.terminology.type.meaning == "Spleen"
    liver.terminology = {"category": LIVER.category, "type": LIVER.type}
    assert liver.terminology == LIVER
    with pytest.raises(errors.ArgumentError, match="Livver"):
        liver.terminology = "Livver"
    with pytest.raises(errors.ArgumentError, match="category and a type"):
        liver.terminology = {"type": LIVER.type}
    with pytest.raises(errors.ArgumentError, match="no such codes"):
        liver.terminology = {"category": LIVER.category, "type": LIVER.type, "colour": LIVER.type}


def test_segments_are_added_moved_and_removed(segmentation: Segmentation, ct: sn.Volume, labels: Any) -> None:
    added = segmentation.add("liver", labels == 3, ct, terminology="Liver")
    assert added.name == "liver_1"
    # The colour that is recommended for a liver.
    assert np.allclose(added.color, np.array([221, 130, 101]) / 255)
    empty = segmentation.add("nothing", color=(0, 0, 1))
    assert empty.color == (0, 0, 1)
    assert not empty.mask().any()
    empty.move(0)
    assert segmentation.segments.names == ["nothing", "liver", "spleen", "Segment_3", "liver_1"]
    with pytest.raises(errors.ArgumentError, match="no such place"):
        empty.move(5)
    segmentation["spleen"].remove()
    assert segmentation.segments.names == ["nothing", "liver", "Segment_3", "liver_1"]
    assert np.array_equal(segmentation.mask("liver"), labels == 1)
    with pytest.raises(errors.NodeNotFoundError):
        segmentation["spleen"]
    with pytest.raises(errors.ArrayError, match="shape"):
        segmentation.add("x", labels[1:] > 0, ct)
    with pytest.raises(errors.ArrayError, match="mask does not fit"):
        segmentation.add("x", labels.astype(float), ct)
    with pytest.raises(errors.ArgumentError, match="Where"):
        segmentation.add("x", labels > 0, ct, affine=np.eye(4))
    sheared = SOURCE.affine.copy()
    sheared[:3, 2] += SOURCE.affine[:3, 0]
    with pytest.raises(errors.ArrayError, match="sheared"):
        segmentation.add("x", labels > 0, affine=sheared)
    assert len(segmentation.segments) == 4


def test_new_voxels_for_one_segment_alone(segmentation: Segmentation, ct: sn.Volume, labels: Any) -> None:
    wanted = np.zeros(labels.shape, bool)
    wanted[4:9, 5:20, 6:25] = True
    segmentation["spleen"].set_mask(wanted, ct)
    assert np.array_equal(segmentation.mask("spleen", ct), wanted)
    assert np.array_equal(segmentation.mask("liver", ct), labels == 1)
    assert np.array_equal(segmentation.mask("Segment_3", ct), labels == 3)
    segmentation["spleen"].set_mask(np.zeros_like(wanted))
    assert not segmentation.mask("spleen").any()
    segmentation["spleen"].set_mask(wanted)
    assert np.array_equal(segmentation.mask("spleen", ct), wanted)


def test_label_maps_and_what_overlaps(segmentation: Segmentation, ct: sn.Volume, labels: Any) -> None:
    found, affine, names = segmentation.labelmap()
    assert np.array_equal(found, labels)
    assert np.allclose(affine, SOURCE.affine)
    assert np.allclose(segmentation.affine, SOURCE.affine)
    assert segmentation.shape == SOURCE.shape
    assert names == {1: "liver", 2: "spleen", 3: "Segment_3"}
    found, _, names = segmentation.labelmap(labels={"spleen": 300, "liver": 7})
    assert names == {300: "spleen", 7: "liver"}
    assert np.array_equal(found, np.select([labels == 2, labels == 1], [300, 7]))
    assert found.dtype == np.uint16
    assert segmentation.labelmap(segments=["spleen"])[2] == {1: "spleen"}
    with pytest.raises(errors.ArgumentError, match="numbers"):
        segmentation.labelmap(labels={"spleen": 1, "liver": 1})

    over = segmentation.add("over", (labels == 1) | (labels == 2), ct)
    with pytest.raises(errors.ArrayError, match=r"'(liver|spleen)' and 'over'.* overlap") as caught:
        segmentation.labelmap()
    assert "layers" in str(caught.value.hint)
    last, _, _ = segmentation.labelmap(overlap="last")
    assert np.array_equal(last, np.where((labels == 1) | (labels == 2), 4, labels))
    over.move(0)
    last, _, _ = segmentation.labelmap(overlap="last")
    assert np.array_equal(last, np.where(labels > 0, labels + 1, 0))
    layers, _, names = segmentation.labelmap(overlap="layers")
    assert layers.shape == (2, *labels.shape)
    for number, name in names.items():
        assert np.array_equal((layers == number).any(axis=0), segmentation.mask(name)), name


def test_label_map_volumes_there_and_back(slicer: sn.Session, segmentation: Segmentation, labels: Any) -> None:
    volume = segmentation.to_volume(name="labels")
    assert volume.class_name == "vtkMRMLLabelMapVolumeNode"
    assert np.array_equal(volume.array, labels)
    assert np.allclose(volume.affine, SOURCE.affine)
    back = slicer.add_segmentation(volume, name="back")
    assert back.segments.names == ["liver", "spleen", "Segment_3"]
    # A colour table keeps 8 bits of each colour.
    colors = [[each.color for each in one.segments] for one in (back, segmentation)]
    assert np.allclose(*colors, atol=0.003)
    assert np.array_equal(back.labelmap()[0], labels)
    other = slicer.add_segmentation(to_sitk(labels.astype(np.int32) * 100_000, SOURCE.affine))
    assert other.segments.names == ["Segment_100000", "Segment_200000", "Segment_300000"]
    assert np.array_equal(other.labelmap()[0], labels)
    assert np.allclose(other.affine, SOURCE.affine)
    for wrong in (labels.astype(float), labels.astype(np.int16) - 1, labels[0]):
        with pytest.raises(errors.ArrayError):
            slicer.add_segmentation(wrong, np.eye(4))
    with pytest.raises(errors.ArgumentError, match="Where"):
        slicer.add_segmentation(labels)
    empty = slicer.add_segmentation(name="empty")
    with pytest.raises(errors.ArrayError, match="no grid"):
        empty.shape  # noqa: B018


def test_surfaces(slicer: sn.Session, segmentation: Segmentation) -> None:
    k, j, i = np.mgrid[:40, :40, :40]
    affine = SOURCE.affine @ np.diag([0.9, 0.62, 0.34, 1.0])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    mask = sum(((x - 20) * s) ** 2 for x, s in zip((i, j, k), spacing, strict=True)) < 12.0**2
    ball = segmentation.add("ball", mask, affine=affine)
    points, triangles = ball.surface()
    centre = (affine @ [20, 20, 20, 1])[:3]
    assert abs(np.linalg.norm(points - centre, axis=1).mean() - 12) < 0.5
    assert triangles.max() == len(points) - 1
    a, b, c = (points[triangles[:, n]].astype(float) - centre for n in range(3))
    assert abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6 / (4 / 3 * np.pi * 12**3) - 1) < 0.1
    # Nothing is shown by that.
    assert not slicer.eval(
        f"slicer.mrmlScene.GetNodeByID({segmentation.id!r}).GetSegmentation().ContainsRepresentation('Closed surface')"
    )
    rough = ball.surface(smoothing=0)[0]
    assert len(rough)
    assert not np.array_equal(rough, points)
    assert segmentation.add("nothing").surface()[0].shape == (0, 3)
    models = segmentation.to_models(["ball", segmentation["liver"]])
    assert [each.name for each in models] == ["ball", "liver"]
    assert np.allclose(models[0].points, points)
    with pytest.raises(errors.ArgumentError, match="smoothing"):
        ball.surface(smoothing=2)


def test_surfaces_in_the_3d_view(slicer: sn.Session, segmentation: Segmentation) -> None:
    background = slicer.view("3D").image().array
    assert np.array_equal(segmentation.show_3d(False).array, background)
    shown = segmentation.show_3d(smoothing=0.2).array
    assert np.count_nonzero((shown != background).any(axis=2)) > 500
    for each in segmentation.segments:
        each.visible = False
    assert np.array_equal(slicer.view("3D").image().array, segmentation.show_3d(False).array)
    node = f"slicer.mrmlScene.GetNodeByID({segmentation.id!r})"
    assert float(slicer.eval(f"{node}.GetSegmentation().GetConversionParameter('Smoothing factor')")) == 0.2


def test_how_all_of_it_is_shown(slicer: sn.Session, segmentation: Segmentation) -> None:
    shown = slicer.view("Red").image(size=(200, 200)).array
    segmentation.opacity_fill = 1
    segmentation.opacity_outline = 0
    segmentation.opacity_3d = 0.5
    segmentation.opacity = 0.75
    assert (segmentation.opacity_fill, segmentation.opacity_outline) == (1, 0)
    assert (segmentation.opacity_3d, segmentation.opacity) == (0.5, 0.75)
    assert not np.array_equal(slicer.view("Red").image(size=(200, 200)).array, shown)
    segmentation.visible = False
    assert segmentation.visible is False
    segmentation.show()
    assert segmentation.visible
    with pytest.raises(errors.ArgumentError, match="opacity"):
        segmentation.opacity = -1


def test_files(slicer: sn.Session, segmentation: Segmentation, labels: Any, tmp_path: Path) -> None:
    before = slicer.call("scene.nodes", hidden=True)
    image = nibabel.load(segmentation.save(tmp_path / "labels.nii.gz"))
    assert np.array_equal(np.asarray(image.dataobj).T, labels)
    assert np.allclose(image.affine, SOURCE.affine, atol=1e-5)
    alone = SimpleITK.ReadImage(str(segmentation["spleen"].save(tmp_path / "spleen.mha")))
    assert np.array_equal(SimpleITK.GetArrayFromImage(alone), labels == 2)
    assert np.allclose(alone.GetOrigin(), (FLIP @ SOURCE.affine)[:3, 3])
    import trimesh

    mesh = trimesh.load(segmentation["liver"].save(tmp_path / "liver.stl"))
    points = segmentation["liver"].surface()[0]
    # The file is in LPS.
    lps = points * (-1, -1, 1)
    assert np.allclose(mesh.bounds, [lps.min(axis=0), lps.max(axis=0)], atol=1e-3)
    assert segmentation.save(tmp_path / "all.obj").stat().st_size > 1000
    assert slicer.call("scene.nodes", hidden=True) == before

    segmentation.add("over", labels > 0)
    with pytest.raises(errors.ArrayError, match="overlap"):
        segmentation.save(tmp_path / "overlapping.nii")
    with pytest.raises(errors.PathNotFoundError):
        segmentation.save(tmp_path / "nowhere" / "a.stl")
    with pytest.raises(errors.FileFormatError, match="txt"):
        segmentation.save(tmp_path / "a.txt")
    with pytest.raises(errors.ArgumentError, match="alone"):
        segmentation["liver"].save(tmp_path / "liver.seg.nrrd")
    segmentation["liver"].terminology = LIVER
    back = slicer.load(segmentation.save(tmp_path / "all.seg.nrrd"), filetype="SegmentationFile")
    assert back.segments.names == ["liver", "spleen", "Segment_3", "over"]
    assert back["liver"].terminology == LIVER
    assert np.array_equal(back.mask("over"), segmentation.mask("over", None)[tuple(map(slice, back.shape))])


def test_the_card_tells_what_there_is(segmentation: Segmentation) -> None:
    card = segmentation._repr_html_()
    for text in ("liver", "spleen", "Segment_3", "30 x 26 x 18", "0.9 x 1.3 x 2.4 mm", "ct", "rgb(128,64,0)"):
        assert text in card
    for number in range(15):
        segmentation.add(f"<{number}>")
    card = segmentation._repr_html_()
    assert "&lt;3&gt;" in card
    assert "and 6 more" in card


def test_changes_of_segments_are_events(slicer: sn.Session, ct: sn.Volume, labels: Any) -> None:
    there = threading.Event()
    subscription = slicer.on("scene", lambda event: "E" in {each._ref.name for each in event["added"]} and there.set())
    segmentation = slicer.add_segmentation(labels, reference=ct, names=["liver", "spleen"], name="E")
    # What changes before it is told that the node is there, is not told beside that.
    assert there.wait(30)
    subscription.close()
    liver, spleen = segmentation["liver"], segmentation["spleen"]
    changes: dict[str, Callable[[], Any]] = {
        "renamed": lambda: setattr(liver, "name", "other"),
        "coloured": lambda: setattr(liver, "color", (0, 1, 0)),
        "moved": lambda: liver.move(2),
        "added": lambda: segmentation.add("new"),
        "drawn": lambda: liver.set_mask(np.ones(segmentation.shape, bool)),
        "removed": spleen.remove,
    }
    for name, change in changes.items():
        told = threading.Event()
        with_events = segmentation.on("modified", lambda _node, told=told: told.set())
        change()
        assert told.wait(30), name
        with_events.close()
