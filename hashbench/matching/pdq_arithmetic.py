"""What pdqhash computes, in its own order and its own float32: the same bits, ties included.

`box_filter` says what is meant; this says what is done. The library keeps a sum while its box runs
along a row, adds a pixel and takes one away, and rounds each time, so that a picture of one grey
has a code of rounding alone. Whole batches at once: numpy does each step for all rows of all
pictures. (A processor that joins products and sums in one rounding gives other last digits.)

Source: `pdqhash/bindings.pyx` of pdqhash 0.2.8, and ThreatExchange, `pdq/cpp/hashing` and
`pdq/cpp/downscaling`.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hashbench.matching.box_filter import FREQUENCIES, SAMPLES, boxes, sampled, window

PASSES = 2
"""How often the box runs along each axis."""

LEAST_SIDE = 5
"""A picture with a shorter side gets the code of zeros."""


def coefficients(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the library compares with its median.

    Args:
        pictures: (B, H, W, 3), red, green and blue.

    Returns:
        (B, 16, 16).
    """
    return transformed(small(luminance(pictures)))


def luminance(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the library hashes of colors.

    Args:
        pictures: (B, H, W, 3), red, green and blue.

    Returns:
        (B, H, W), of 0 to 255.
    """
    red, green, blue = (pictures[..., channel] for channel in range(3))
    out: NDArray[np.float32] = (red * 0.299 + green * 0.587 + blue * 0.114).astype(np.float32)
    return out


def small(luminances: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return pictures after the box filter and the sampling.

    Args:
        luminances: (B, H, W).

    Returns:
        (B, 64, 64).
    """
    height, width = luminances.shape[1:]
    if (height, width) == (SAMPLES, SAMPLES):
        return luminances
    down, across = sampled(height), sampled(width)
    # The axis that the box runs along comes first, the pictures last: (H, W, B) and (W, H, B).
    rows = np.ascontiguousarray(luminances.transpose(1, 2, 0))
    for later in range(PASSES)[::-1]:
        columns = _filtered(_turned(rows))
        # Of the last pass along the columns, only the columns that are kept.
        rows = _filtered(_turned(columns if later else columns[across]))
    return np.ascontiguousarray(rows[down].transpose(2, 0, 1))


def transformed(smalls: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine transform of small pictures, its rows and columns 1 to 16.

    Args:
        smalls: (B, 64, 64).

    Returns:
        (B, 16, 16).
    """
    cosines = rounded_cosines()
    half = np.zeros((len(smalls), FREQUENCIES, SAMPLES), dtype=np.float32)
    for place in range(SAMPLES):
        half += cosines[:, place, None] * smalls[:, None, place, :]
    out = np.zeros((len(smalls), FREQUENCIES, FREQUENCIES), dtype=np.float32)
    for place in range(SAMPLES):
        out += half[:, :, place, None] * cosines[:, place]
    return out


@lru_cache(maxsize=1)
def rounded_cosines() -> NDArray[np.float32]:
    """Return the library's table of cosines, (16, 64), to read only."""
    scale = float(np.float32(math.sqrt(2 / SAMPLES)))
    table = [
        [
            scale * math.cos(math.pi / 2 / SAMPLES * (row + 1) * (2 * place + 1))
            for place in range(SAMPLES)
        ]
        for row in range(FREQUENCIES)
    ]
    matrix = np.array(table, dtype=np.float64).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


def _turned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first two axes exchanged, in new memory."""
    return np.ascontiguousarray(values.swapaxes(0, 1))


def _filtered(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """One pass of the box along the first axis, with the sum that the library keeps."""
    side, full = len(values), window(len(values))
    first, end = boxes(side)
    out = np.empty_like(values)
    total = np.zeros_like(values[0])
    ahead = int(end[0])
    for step in range(side + ahead - 1):
        here = out[max(step - ahead + 1, 0)]
        if step < side:
            total = np.add(total, values[step], out=here)
        if step >= full:
            total = np.subtract(total, values[step - full], out=here)
    out /= (end - first).astype(np.float32)[:, None, None]
    return out
