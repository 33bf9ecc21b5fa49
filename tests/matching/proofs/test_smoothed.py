"""Smoothing of a hash: held against a linear hash, whose smoothed bits are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.certifying import Smoothing
from hashbench.matching.pictures import Picture
from hashbench.matching.proofs.smoothed import matching_radius, smoothed_codes
from hashbench.plugins import Hasher, hasher

SIDE = 6
SIGMA = 0.1


@hasher("halves")
@dataclass(frozen=True)
class Halves(Hasher):
    """For each row and channel, whether its mean lies above the middle: 18 bits."""

    threshold: int = 2

    @property
    @override
    def bits(self) -> int:
        return 3 * SIDE

    @override
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        sums: NDArray[np.int64] = (2 * picture.astype(np.int64) - 255).sum(axis=1).ravel()
        return sums > 0


def pictures() -> list[Picture]:
    rng = np.random.default_rng(3)
    rows = rng.integers(90, 166, (5, SIDE, 1, 3)) + rng.integers(-9, 10, (5, SIDE, SIDE, 3))
    return [Picture(f"{row}", picture.astype(np.uint8)) for row, picture in enumerate(rows)]


def margins(picture: Picture) -> NDArray[np.float64]:
    """How far in l2 each bit's plane lies from the real values."""
    means = picture.saved.astype(np.float64).mean(axis=1).ravel() / 255 - 0.5
    found: NDArray[np.float64] = np.abs(means) * np.sqrt(SIDE)
    return found


def test_no_bit_is_certified_beyond_its_plane() -> None:
    found = pictures()
    smoothing = Smoothing(SIGMA, draws=2_000, alpha=1e-6)
    bits = smoothed_codes(Halves(), found, smoothing, [7, 8, 9, 10, 11])
    for row, picture in enumerate(found):
        # Rounding to 8 bits and the cut move the plane of a noisy row by less than a step, and the
        # pictures lie far enough from black and white that the cut at 0 and 1, 3.5 sigma away, is
        # rare: two steps of every pixel are more than both.
        slack = 2 / 255 * np.sqrt(SIDE)
        assert (bits.radius[row] <= margins(picture) + slack).all()
        sure = margins(picture) > 0.5 * SIGMA
        clean = np.where(Halves().verdict(picture.saved), 1, -1)
        assert (bits.codes[row][sure] == clean[sure]).all()
        assert (bits.radius[row][sure] > 0).mean() > 0.9


def test_the_radius_of_a_match_is_where_one_bit_more_may_turn() -> None:
    found = pictures()
    bits = smoothed_codes(Halves(), found, Smoothing(SIGMA, draws=500), [1, 2, 3, 4, 5])
    for threshold in (0, 2, 17):
        radius = matching_radius(bits, threshold)
        for row in range(len(found)):
            assert (bits.radius[row] < radius[row]).sum() <= threshold
            assert (bits.radius[row] <= radius[row]).sum() >= threshold + 1


def test_noise_beyond_black_and_white_is_cut_not_wrapped() -> None:
    white = Picture("white", np.full((SIDE, SIDE, 3), 255, np.uint8))
    black = Picture("black", np.zeros((SIDE, SIDE, 3), np.uint8))
    bits = smoothed_codes(Halves(), [white, black], Smoothing(0.2, draws=300), [1, 2])
    assert (bits.codes[0] == 1).all()
    assert (bits.codes[1] == -1).all()
    assert (bits.agreeing == 300).all()
