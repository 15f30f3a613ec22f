"""``volume.rendering`` of a session: attributes both ways, pictures, figures, what is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError, ArrayError, AttributeNameError, NodeNotFoundError
from slicer_notebook.session.volume_rendering import Shading, VolumeRendering

AFFINE = np.array([[-1.0, 0, 0, 30], [0, -0.6, -0.9, 40], [0, 0.8, -1.2, 5], [0, 0, 0, 1]])
SIZE = (120, 120)


@pytest.fixture
def volume(slicer: sn.Session) -> Any:
    """A ball of 300 in -1000, 48³, oblique: 1 x 1 x 1.5 mm."""
    k, j, i = np.mgrid[:48, :48, :48] - 23.5
    return slicer.add_volume(np.where(i**2 + j**2 + k**2 < 225, 300, -1000).astype(np.int16), AFFINE, name="Ball <b>")


@pytest.fixture
def rendering(volume: Any) -> VolumeRendering:
    found: VolumeRendering = volume.rendering
    return found


def test_attributes_both_ways(volume: Any, rendering: VolumeRendering) -> None:
    assert (rendering.visible, rendering.preset, rendering.roi, rendering.cropped) == (False, None, None, False)
    with pytest.raises(ArgumentError, match="has not been rendered yet"):
        rendering.opacity  # noqa: B018
    rendering.preset = "CT-AAA"
    assert not rendering.visible
    before = rendering.image(SIZE).array.astype(int)
    rendering.visible = True
    assert np.abs(rendering.image(SIZE).array - before).max() > 50
    rendering.shift = 12.5
    again = volume.rendering
    assert (again.visible, again.preset, again.shift, again.shift_range) == (True, "CT-AAA", 12.5, (-6095.0, 6095.0))
    opacity = np.array([[0, 0], [100, 0.5], [200, 1]])
    color = np.array([[0, 1, 0, 0], [200, 0, 1, 0.5]])
    rendering.opacity, rendering.color, rendering.gradient_opacity = opacity.tolist(), color, [[0, 0.5], [10, 1]]
    assert np.array_equal(again.opacity, opacity)
    assert np.array_equal(again.color, color)
    assert np.array_equal(again.gradient_opacity, [[0, 0.5], [10, 1]])
    assert again.opacity.dtype == np.float64
    assert again.preset is None
    rendering.shading = Shading(True, 0.25, 0.5, 0.75, 30)
    assert again.shading == (True, 0.25, 0.5, 0.75, 30)
    rendering.shade(specular=0.0)
    assert again.shading == (True, 0.25, 0.5, 0.0, 30)
    rendering.shading = False
    assert not again.shading.on
    rendering.interpolation, rendering.quality, rendering.method = "nearest", "maximum", "gpu"
    assert (again.interpolation, again.quality, again.method) == ("nearest", "maximum", "gpu")
    rendering.quality = "normal"


def test_cropping_by_bounds_by_a_roi_and_not(slicer: sn.Session, rendering: VolumeRendering) -> None:
    roi = rendering.crop([[0, 10], [0, 20], [0, 30]])
    assert isinstance(roi, sn.Node)
    assert roi.class_name == "vtkMRMLMarkupsROINode"
    assert rendering.cropped
    assert rendering.roi == roi
    assert rendering.crop(None) is None
    assert not rendering.cropped
    assert rendering.roi == roi
    theirs: Any = slicer.call("markups.add", points=[[1, 2, 3]], name="Theirs", class_name="vtkMRMLMarkupsROINode")
    assert rendering.crop(theirs) == theirs
    assert rendering.roi == theirs
    assert rendering.fit_roi() == theirs
    size = slicer.eval(f"slicer.mrmlScene.GetNodeByID({theirs.id!r}).GetSize()")
    assert np.allclose(size, [48, 48, 72], atol=1e-3)
    points: Any = slicer.add_markups([[0, 0, 0]])
    with pytest.raises(NodeNotFoundError):
        rendering.crop(points)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("preset", "CT-Nonsense", ArgumentError),
        ("opacity", [[0, 0], [0, 1]], ArrayError),
        ("opacity", "high", ArrayError),
        ("color", [[0, 0, 0]], ArrayError),
        ("quality", "best", ArgumentError),
        ("method", "abacus", ArgumentError),
        ("interpolation", "cubic", ArgumentError),
        ("shading", (1, 2), ArgumentError),
        ("shading", Shading(True, 2, 0, 0, 1), ArgumentError),
        ("roi", None, AttributeNameError),
        ("presett", "CT-AAA", AttributeNameError),
    ],
)
def test_what_does_not_fit_is_refused(rendering: VolumeRendering, name: str, value: Any, error: Any) -> None:
    with pytest.raises(error):
        setattr(rendering, name, value)


def test_presets_have_icons(rendering: VolumeRendering) -> None:
    icons = rendering.icons()
    assert list(icons) == rendering.presets
    png = icons["MR-Default"]
    assert png is not None
    assert PilImage.open(io.BytesIO(png)).format == "PNG"


def test_the_figure_shows_the_functions(rendering: VolumeRendering) -> None:
    with pytest.raises(ArgumentError, match="not been rendered"):
        rendering.figure()
    rendering.opacity = [[-200, 0], [100, 0.5], [250, 1]]
    rendering.color = [[-200, 1, 0, 0], [250, 0, 0, 1]]
    figure = rendering.figure()
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert (low, high) == pytest.approx((-1000, 300), abs=2)
    line, dots = axes.lines
    x, y = line.get_data()
    assert np.interp(0, x, y) == pytest.approx(1 / 3, abs=0.01)
    assert np.array_equal(np.transpose(dots.get_data()), [[-200, 0], [100, 0.5], [250, 1]])
    colors = axes.collections[0].get_facecolor()
    assert colors[0][0] > 0.99
    assert colors[-1][2] > 0.99


def test_the_card_says_how_it_is_rendered(rendering: VolumeRendering, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none yet" in rendering._repr_html_()
    rendering.preset = "CT-Bone"
    page = rendering._repr_html_()
    assert "CT-Bone" in page
    assert "Ball &lt;b&gt;" in page
    assert "data:image/png;base64," in page
    monkeypatch.setenv("SLICER_NOTEBOOK_PRIVACY", "strict")
    assert "Ball" not in rendering._repr_html_()
