"""PNGs of pictures: what is decoded is what was drawn, grey or not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from slicer_notebook.commands.views import png
from slicer_notebook.protocol.values import Array

sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))


def decoded(data: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@given(sizes.flatmap(lambda size: hnp.arrays(np.uint8, (*size, 3))))
def test_a_colour_picture_comes_as_it_was(picture: Array) -> None:
    np.testing.assert_array_equal(decoded(png(picture)), picture)


@given(sizes.flatmap(lambda size: hnp.arrays(np.uint8, size)))
def test_a_grey_picture_comes_as_it_was_in_one_channel(grey: Array) -> None:
    data = png(np.stack([grey] * 3, axis=-1))
    assert Image.open(io.BytesIO(data)).mode == "L"
    np.testing.assert_array_equal(decoded(data), np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_coloured_pixel_makes_a_colour_picture(channel: int) -> None:
    picture = np.full((30, 40, 3), 80, dtype=np.uint8)
    picture[29, 39, channel] = 81
    assert Image.open(io.BytesIO(png(picture))).mode == "RGB"
    np.testing.assert_array_equal(decoded(png(picture)), picture)
