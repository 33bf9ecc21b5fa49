"""How PDQ makes a picture small: two passes of a box filter along each axis, then 64 samples.

What it does along one axis is a matrix, and so are the cosines that follow. Numpy, float64: the
numbers as they are meant, without the rounding of the library, which computes in float32.
Source: ThreatExchange, `pdq/cpp/hashing/pdqhashing.cpp` and `pdq/cpp/downscaling/downscaling.cpp`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLES: Final = 64
"""Rows and columns of the small picture."""

COLORS: Final = (0.299, 0.587, 0.114)
"""What red, green and blue weigh."""

FREQUENCIES: Final = 16
"""Cosines along each axis; the code has the square of that many bits."""


def window(side: int) -> int:
    """How many pixels a full box has, for a side of so many pixels."""
    return (side + 2 * SAMPLES - 1) // (2 * SAMPLES)


def boxes(side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the box of each pixel begins, and where it ends, in one pass.

    A box is cut at both ends of the row; it is never empty.

    Args:
        side: pixels of the row, at least 1.

    Returns:
        `first` and `end`, both (side,): pixel i becomes the mean of those from `first[i]` to before
        `end[i]`.
    """
    full = window(side)
    ahead = np.arange(side) + (full + 2) // 2
    return np.maximum(ahead - full, 0), np.minimum(ahead, side)


def sampled(side: int) -> NDArray[np.int64]:
    """Which pixels of the filtered row are kept, (64,)."""
    samples: NDArray[np.int64] = ((np.arange(SAMPLES) + 0.5) * side / SAMPLES).astype(np.int64)
    return samples


@lru_cache(maxsize=32)
def reduction(side: int) -> NDArray[np.float64]:
    """Return both passes and the sampling along one axis, as one matrix.

    Args:
        side: pixels of the row, at least 1.

    Returns:
        (64, side), to read only; no entry is negative and each row sums to 1.
    """
    first, end = boxes(side)
    matrix = np.zeros((SAMPLES, side))
    for row, pixel in zip(matrix, sampled(side), strict=True):
        inner = range(first[pixel], end[pixel])
        for middle in inner:
            share = 1 / (len(inner) * (end[middle] - first[middle]))
            row[first[middle] : end[middle]] += share
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=1)
def cosines() -> NDArray[np.float64]:
    """Return rows 1 to 16 of the cosine transform of 64 values.

    Returns:
        (16, 64), to read only; the rows are orthonormal, and orthogonal to a constant.
    """
    frequency = np.arange(1, FREQUENCIES + 1)[:, None]
    place = 2 * np.arange(SAMPLES)[None, :] + 1
    matrix: NDArray[np.float64] = np.cos(np.pi / (2 * SAMPLES) * frequency * place)
    matrix *= np.sqrt(2 / SAMPLES)
    matrix.setflags(write=False)
    return matrix
