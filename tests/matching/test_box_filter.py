"""PDQ's reduction as a matrix: equal to the filter written as a loop, with what it must satisfy."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashbench.matching.box_filter import boxes, cosines, reduction, sampled, window


def one_pass(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """A box that runs over a row: it grows, slides, and shrinks, with a sum that is kept."""
    side, full = len(row), window(len(row))
    ahead = (full + 2) // 2
    out: list[float] = []
    total, held, entered, left = 0.0, 0, 0, 0
    while len(out) < side:
        if entered < side:
            total, held, entered = total + row[entered], held + 1, entered + 1
        if held > full or len(out) + ahead > side:
            total, held, left = total - row[left], held - 1, left + 1
        if entered >= ahead:
            out.append(total / held)
    return np.array(out)


@given(st.integers(1, 700), st.integers(0, 100))
@example(1, 0)
@example(5, 0)
@example(64, 0)
@example(128, 0)
@example(129, 0)
@example(256, 0)
@example(512, 0)
def test_the_matrix_is_two_passes_and_the_sampling(side: int, seed: int) -> None:
    row = np.random.default_rng(seed).uniform(0, 255, side)
    expected = one_pass(one_pass(row))[sampled(side)]
    # The loop's sum is rounded 2 n times, at most by half a unit in the last place of w values.
    bound = 4 * side * window(side) * 255 * 2.0**-53
    np.testing.assert_allclose(reduction(side) @ row, expected, rtol=0, atol=bound)


@given(st.integers(1, 5000))
def test_rows_are_means(side: int) -> None:
    matrix = reduction(side)
    assert matrix.shape == (64, side)
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=side * 2.0**-52)


@given(st.integers(1, 5000))
def test_no_box_is_empty_or_wider_than_the_window(side: int) -> None:
    first, end = boxes(side)
    assert (first <= np.arange(side)).all()
    assert (end > np.arange(side)).all()
    assert (end - first <= window(side)).all()
    assert (end - first >= (window(side) + 1) // 2).all()


def test_up_to_128_pixels_are_only_sampled() -> None:
    for side in (1, 7, 64, 100, 128):
        expected = np.zeros((64, side))
        expected[np.arange(64), sampled(side)] = 1
        np.testing.assert_array_equal(reduction(side), expected)


def test_the_cosines_are_orthonormal_and_see_no_constant() -> None:
    matrix = cosines()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(16), rtol=0, atol=64 * 2.0**-52)
    np.testing.assert_allclose(matrix.sum(axis=1), 0, rtol=0, atol=64 * 2.0**-52)
