"""What is proven of PDQ: low frequencies move, together, no further than the small picture does.

Luminance does not fall where a pixel rises, and the box filter averages. So each of the 64 x 64
small values of a picture of the box lies between those of the box's lowest and highest picture.
Rows 1 to 16 of the cosine transform are orthonormal: the 256 frequencies move by no more, in the
Euclidean distance, than the 4,096 values. What follows of that for their bits is `median_bound`.

The library computes in float32. How far its frequencies lie from the exact ones is bounded here,
with u = 2^-24, by the standard model of rounding (Higham, Accuracy and Stability of Numerical
Algorithms, 2002, chapters 2 to 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.matching.box_filter import (
    COLORS,
    SAMPLES,
    boxes,
    cosines,
    reduction,
    sampled,
    window,
)
from hashbench.matching.contract import Proof
from hashbench.matching.pdq_arithmetic import LEAST_SIDE
from hashbench.matching.pictures import STEPS
from hashbench.matching.proofs.median_bound import Median, MedianBound

_UNIT: Final = 2.0**-24
"""Half the distance of neighbours in float32, relatively."""

_PRODUCT: Final = (SAMPLES + 4) * _UNIT * 1.001
"""Relative error of a product with the library's cosines: a sum of 64 terms in any order, and the
cosines' own rounding (a float32 factor, a product, and the rounding to float32)."""

_EXACT: Final = 1e-10
"""Room for this file's own float64, in steps."""


@dataclass(frozen=True)
class PdqProof(Proof):
    """The l2 argument.

    Attributes:
        verdict: the library's code, bit `16 i + j` of the frequencies i + 1 (down) and j + 1.
    """

    verdict: Callable[[NDArray[np.uint8]], NDArray[np.bool_]]

    @override
    def most_turned(
        self, clean: NDArray[np.uint8], lowest: NDArray[np.uint8], highest: NDArray[np.uint8]
    ) -> int:
        """Return the bound for a box; a larger box may, rarely, have a smaller one, by its middle.

        Args:
            clean: (H, W, 3), the picture itself.
            lowest: like `clean`, the least value of each pixel.
            highest: the largest one.
        """
        # A picture that is too small has the code of zeros.
        if min(clean.shape[:2]) < LEAST_SIDE or np.array_equal(lowest, highest):
            return 0
        middle, radius = ball(lowest, highest)
        ones = np.ones(middle.size)
        bound = MedianBound(Median.LOWER, middle.ravel(), self.verdict(clean), ones)
        return bound.most_turned(radius)


def ball(
    lowest: NDArray[np.uint8], highest: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], float]:
    """Return where the frequencies that the library computes of a box lie.

    Args:
        lowest: (H, W, 3), the least value of each pixel.
        highest: (H, W, 3), the largest one.

    Returns:
        A middle, (16, 16), and the Euclidean distance from it.
    """
    low, high = small(lowest), small(highest)
    middle: NDArray[np.float64] = cosines() @ ((low + high) / 2) @ cosines().T
    rounding = filter_rounding(*lowest.shape[:2])
    around = (high - low) / 2 + _EXACT + rounding
    # The two products: what they add, and what the first one's error becomes in the second,
    # whose rows are orthonormal.
    size = np.abs(cosines())
    half = _PRODUCT * (size @ (high + rounding))
    half_size = np.abs(cosines() @ ((low + high) / 2)) + size @ around + half
    whole = _PRODUCT * (half_size @ size.T)
    return middle, sum(float(np.linalg.norm(part)) for part in (around, half, whole))


def small(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the 64 x 64 values of a picture, exactly but for float64.

    Args:
        picture: (H, W, 3) uint8, red, green and blue.
    """
    luminance = picture.astype(np.float64) @ np.array(COLORS)
    out: NDArray[np.float64] = reduction(picture.shape[0]) @ luminance
    return out @ reduction(picture.shape[1]).T


@lru_cache(maxsize=32)
def filter_rounding(height: int, width: int) -> NDArray[np.float64]:
    """Return how far the library's small values lie from the exact ones at most.

    Args:
        height: rows of pixels.
        width: columns of pixels.

    Returns:
        (64, 64), in steps, to read only; for every picture of this size.
    """
    luminance = STEPS * _UNIT * 1.001
    if (height, width) == (SAMPLES, SAMPLES):  # such a picture is not filtered
        errors = np.full((SAMPLES, SAMPLES), luminance)
    else:
        down, across = _along(height), _along(width)
        errors = luminance + down[:, None] + across
    errors.setflags(write=False)
    return errors


def _along(side: int) -> NDArray[np.float64]:
    """What the two passes along one axis add, (64,).

    The library keeps one sum along the row. Each addition and subtraction rounds by at most half
    the distance of neighbours at the largest sum that it can reach, and what it rounded stays in
    the sum. The second pass averages the errors of the first; the other axis averages all alike.
    """
    first, end = boxes(side)
    counts = end - first
    full = window(side)
    added = np.spacing(np.float32(1.001 * STEPS * (full + 1))) / 2
    taken = np.spacing(np.float32(1.001 * STEPS * full)) / 2
    divided = np.spacing(np.float32(STEPS)) / 2
    in_pass = (end * float(added) + first * float(taken)) / counts + float(divided)
    sums = np.concatenate([[0], np.cumsum(in_pass)])
    both = (sums[end] - sums[first]) / counts + in_pass
    out: NDArray[np.float64] = both[sampled(side)] * 1.001
    return out
