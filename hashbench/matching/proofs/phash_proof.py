"""What is proven of pHash: its low frequencies share what the pixels, or the small greys, may move.

64 frequencies of a small picture of 32 x 32 are compared with their median. They are an
orthonormal transform of the small greys (scipy's scale counts the constant row and column by the
square root of 2 more, which are weights here), so they move together by no more than these. Three
distances bound that: of the small greys' intervals; of the whole numbers after the first pass and
the rounding of the second; of the pixels and the rounding of both. What moves into a linear map of
norm `c` leaves it moved by at most `c` times as much. What follows for the bits is `median_bound`;
besides, a bit whose frequency's interval does not meet that of the median cannot turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from typing_extensions import override

from hashbench.matching.contract import Proof
from hashbench.matching.pillow_resize import weights
from hashbench.matching.proofs.median_bound import Median, MedianBound
from hashbench.matching.proofs.pillow_bounds import (
    UNIT,
    Floats,
    Interval,
    Small,
    combined,
    small_bounds,
)

SIDE: Final = 32
"""Rows and columns of the small picture."""

LOW: Final = 8
"""Frequencies along each axis, the constant one included."""

_ROOM: Final = 1e-7
"""For the rounding of float64, the library's and this file's, in steps."""


@dataclass(frozen=True)
class PhashProof(Proof):
    """The l2 argument in three places, and intervals.

    Attributes:
        verdict: the library's code, row by row.
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
        if np.array_equal(lowest, highest):
            return 0
        on = self.verdict(clean)
        small = small_bounds(lowest, highest, SIDE, SIDE)
        scale = _scale().ravel()
        found = [_can_turn(combined(small, _rows(), _rows()), on)]
        for middle, radius in distances(small):
            bound = MedianBound(Median.MIDDLE, middle.ravel() * scale, on, scale)
            found.append(bound.most_turned(radius + _ROOM))
        return min(found)


def distances(small: Small) -> list[tuple[Floats, float]]:
    """Return balls that hold the low frequencies of a box, in the orthonormal scale.

    Args:
        small: of a box, 32 x 32.

    Returns:
        Of each its middle, (8, 8), and its radius.
    """
    rows = _rows()
    source = small.greys.transposed() if small.columns_first else small.greys
    first, second = small.first, small.second
    down = rows @ _shares(source.low.shape[0])
    across = rows @ _shares(source.low.shape[1])
    # Here Pillow begins along the rows; where it begins with the columns, all is transposed.
    halfway, end = first.values.transposed(), second.values
    rounded, last = first.errors.transposed(), second.errors
    down_norm, across_norm = _norm(source.low.shape[0]), _norm(source.low.shape[1])
    ending = rows @ _middle(last) @ rows.T
    found = [
        (rows @ _middle(end) @ rows.T, _reach(end)),
        (down @ _middle(halfway) @ rows.T + ending, down_norm * _reach(halfway) + _reach(last)),
        (
            down @ (_middle(source) @ across.T + _middle(rounded) @ rows.T) + ending,
            down_norm * (across_norm * _reach(source) + _reach(rounded)) + _reach(last),
        ),
    ]
    return [(middle.T if small.columns_first else middle, radius) for middle, radius in found]


def _can_turn(frequencies: Interval, on: NDArray[np.bool_]) -> int:
    """How many bits turn at most, by the intervals of the frequencies, orthonormal scale."""
    low = (frequencies.low * _scale()).ravel()
    high = (frequencies.high * _scale()).ravel()
    room = _ROOM * float(_scale().max())
    least, most = float(np.median(low)) - room, float(np.median(high)) + room
    return int(np.where(on, low - room <= most, high + room > least).sum())


def _middle(values: Interval) -> Floats:
    """The middles of intervals."""
    middle: Floats = (values.low + values.high) / 2
    return middle


def _reach(values: Interval) -> float:
    """The Euclidean distance from the middles to the farthest corner."""
    return float(np.linalg.norm(values.high - values.low)) / 2


def _shares(side: int) -> Floats:
    """A pass of Pillow's, in parts of 1."""
    shares: Floats = weights(side, SIDE).astype(np.float64) * UNIT
    return shares


@lru_cache(maxsize=32)
def _norm(side: int) -> float:
    """By how much a pass and the cosines stretch a column at most."""
    return float(np.linalg.norm(_rows() @ _shares(side), 2)) * (1 + 1e-9)


@lru_cache(maxsize=1)
def _rows() -> Floats:
    """The low rows of the orthonormal cosine transform of 32 values, (8, 32)."""
    matrix: Floats = fft.dct(np.eye(SIDE), axis=0, norm="ortho")[:LOW]
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=1)
def _scale() -> Floats:
    """By how much scipy's frequencies are larger than the orthonormal ones, (8, 8)."""
    once = np.full(LOW, np.sqrt(2 * SIDE))
    once[0] = 2 * np.sqrt(SIDE)
    matrix: Floats = once[:, None] * once
    matrix.setflags(write=False)
    return matrix
