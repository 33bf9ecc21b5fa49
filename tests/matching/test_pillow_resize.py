"""Grey and small pictures: equal to Pillow's own, pixel by pixel, at every size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hashbench.errors import UsageError
from hashbench.matching import pillow_resize
from hashbench.matching.pillow_resize import BITS, columns_first, grey, reduced, weights

SIZES = st.integers(1, 90)
WANTED = st.sampled_from([(8, 8), (8, 9), (32, 32), (5, 40), (64, 20)])


def picture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Noise, of all steps or of black and white alone, which leaves 0..255 in a pass."""
    generator = np.random.default_rng(seed)
    if seed % 2:
        return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return generator.integers(0, 2, (height, width, 3), dtype=np.uint8) * np.uint8(255)


@pytest.fixture
def no_order_known() -> Iterator[None]:
    """Nothing that was asked of Pillow is remembered, before and after."""
    columns_first.cache_clear()
    yield
    columns_first.cache_clear()


@given(SIZES, SIZES, st.integers(0, 1000))
def test_grey_is_pillows(height: int, width: int, seed: int) -> None:
    pixels = picture(height, width, seed)
    expected = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(grey(pixels), expected)


def test_grey_is_pillows_for_every_color_of_16_steps_a_channel() -> None:
    channel = np.arange(0, 256, 17, dtype=np.uint8)
    colors = np.stack(np.meshgrid(channel, channel, channel), axis=-1).reshape(64, 64, 3)
    expected = np.asarray(Image.fromarray(colors).convert("L"))
    np.testing.assert_array_equal(grey(colors), expected)


@given(SIZES, SIZES, WANTED, st.integers(0, 1000))
@example(1, 1, (8, 9), 0)
@example(1, 70, (8, 8), 0)
@example(70, 1, (8, 8), 0)
@example(8, 9, (8, 9), 0)
@example(8, 50, (8, 8), 0)
@example(50, 8, (8, 8), 0)
@example(26, 17, (8, 8), 0)
@example(27, 17, (8, 8), 0)
@example(500, 4, (8, 8), 0)
@example(97, 131, (32, 32), 0)
@example(427, 640, (32, 32), 1)
@example(640, 427, (8, 9), 1)
def test_small_and_large_pictures_are_pillows(
    height: int, width: int, wanted: tuple[int, int], seed: int
) -> None:
    greys = picture(height, width, seed)[:, :, 0]
    image = Image.fromarray(greys).resize((wanted[1], wanted[0]), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(reduced(greys, *wanted), np.asarray(image))


@given(SIZES, SIZES)
def test_weights_sum_to_one_up_to_the_rounding_of_each(side: int, wanted: int) -> None:
    matrix = weights(side, wanted)
    assert matrix.shape == (wanted, side)
    used = (matrix != 0).sum(axis=1)
    assert (np.abs(matrix.sum(axis=1) - 2**BITS) <= 0.5 * used + 1).all()


@given(SIZES)
def test_a_pass_to_the_same_size_changes_nothing(side: int) -> None:
    np.testing.assert_array_equal(weights(side, side), np.eye(side, dtype=np.int64) << BITS)


@pytest.mark.usefixtures("no_order_known")
def test_another_arithmetic_of_pillow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_resize, "LOBES", 2)
    weights.cache_clear()
    try:
        with pytest.raises(UsageError, match="resizes pictures otherwise"):
            columns_first(30, 40, 8, 8)
    finally:
        weights.cache_clear()
