"""The files that an attacker may make of a picture: counted exactly, whatever the radius."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.errors import UsageError
from hashbench.matching.pictures import Picture


def real(value: int) -> Fraction:
    """The steps that a stored real value stands for."""
    return min(max(Fraction(2 * value + 1, 512) - Fraction(1, 2), Fraction(0)), Fraction(255))


@given(
    st.lists(st.integers(0, 65_535), min_size=1, max_size=20),
    st.fractions(0, 1, max_denominator=5_100),
)
def test_the_box_of_a_real_picture_is_what_rounding_can_reach(
    values: list[int], eps: Fraction
) -> None:
    row = np.array(values, dtype=np.uint16)[None, :, None].repeat(3, axis=2)
    picture = Picture("p", row)
    lowest, highest = picture.box(eps)
    for place, value in enumerate(values):
        x, radius = real(value), 255 * eps
        below = floor(max(x - radius, Fraction(0)) + Fraction(1, 2))
        above = floor(min(x + radius, Fraction(255)) + Fraction(1, 2))
        assert lowest[0, place, 0] == below
        assert highest[0, place, 2] == above
        assert below <= picture.saved[0, place, 1] <= above


@given(st.lists(st.integers(0, 65_535), min_size=1, max_size=20), st.integers(0, 255))
def test_whole_steps_are_the_ball_around_the_clean_file(values: list[int], steps: int) -> None:
    row = np.array(values, dtype=np.uint16)[None, :, None].repeat(3, axis=2)
    picture = Picture("p", row)
    lowest, highest = picture.box(Fraction(steps, 255))
    saved = picture.saved.astype(int)
    assert np.array_equal(lowest, (saved - steps).clip(0, 255))
    assert np.array_equal(highest, (saved + steps).clip(0, 255))


@given(st.lists(st.integers(0, 255), min_size=1, max_size=20), st.fractions(0, 1))
def test_a_picture_of_whole_steps_stays_within_the_radius(values: list[int], eps: Fraction) -> None:
    row = np.array(values, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    lowest, highest = Picture("p", row).box(eps)
    for place, value in enumerate(values):
        assert lowest[0, place, 0] == max(0, ceil(value - 255 * eps))
        assert highest[0, place, 0] == min(255, floor(value + 255 * eps))


@given(st.lists(st.integers(0, 65_535), min_size=1, max_size=20))
def test_the_image_rounds_to_the_clean_file(values: list[int]) -> None:
    row = np.array(values, dtype=np.uint16)[None, :, None].repeat(3, axis=2)
    picture = Picture("p", row)
    rounded = np.floor(picture.image().transpose(1, 2, 0).astype(np.float64) * 255 + 0.5)
    assert np.array_equal(rounded, picture.saved)


def test_what_is_no_picture_is_refused() -> None:
    for wrong in (np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 2, 3), np.uint8)):
        with pytest.raises(UsageError, match="picture 'x'"):
            Picture("x", wrong)  # type: ignore[arg-type]
