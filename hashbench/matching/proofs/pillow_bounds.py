"""A box of pictures, through Pillow: intervals of the small greys, in whole steps.

Grey, and the rounding and cutting of a pass, do not fall where a value rises. A pass multiplies by
whole numbers of either sign, so its least sum takes the least value where the weight is positive
and the largest one where it is negative. Each interval is reached in the first pass; the second
takes its values as if they were free of each other, so its intervals may be too wide, never too
narrow. Sums are of whole numbers that float64 holds exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.matching.pictures import STEPS
from hashbench.matching.pillow_resize import BITS, columns_first, grey, weights

Floats = NDArray[np.float64]

UNIT: Final = 2.0**-BITS
"""What a weight of Pillow's counts."""


@dataclass(frozen=True)
class Interval:
    """Least and largest values, of the same shape."""

    low: Floats
    high: Floats

    def minus(self, other: Interval) -> Interval:
        """Differences of values that may lie anywhere in both."""
        return Interval(self.low - other.high, self.high - other.low)

    def plus(self, other: Interval) -> Interval:
        """Sums of values that may lie anywhere in both."""
        return Interval(self.low + other.low, self.high + other.high)

    def within(self, other: Interval) -> Interval:
        """What lies in both."""
        return Interval(np.maximum(self.low, other.low), np.minimum(self.high, other.high))

    def transposed(self) -> Interval:
        """Rows for columns."""
        return Interval(self.low.T, self.high.T)

    def through(self, matrix: Floats) -> Interval:
        """Sums down the columns, `matrix @ values`."""
        up, down = np.maximum(matrix, 0), np.minimum(matrix, 0)
        return Interval(up @ self.low + down @ self.high, up @ self.high + down @ self.low)

    def whole(self) -> Interval:
        """The whole numbers in it, with room for the rounding of float64 in sums of few steps."""
        return Interval(np.ceil(self.low - 1e-6), np.floor(self.high + 1e-6))


@dataclass(frozen=True)
class Pass:
    """One pass down the columns of a box.

    Attributes:
        values: (wanted, columns), whole steps.
        errors: how far these may lie from the sums before rounding and cutting.
    """

    values: Interval
    errors: Interval


def grey_bounds(lowest: NDArray[np.uint8], highest: NDArray[np.uint8]) -> Interval:
    """Return the greys of a box, (H, W); both ends are reached.

    Args:
        lowest: (H, W, 3).
        highest: (H, W, 3).
    """
    return Interval(grey(lowest).astype(np.float64), grey(highest).astype(np.float64))


def passed(values: Interval, wanted: int) -> Pass:
    """Return what a pass makes of a box.

    Args:
        values: (side, columns), whole steps.
        wanted: rows wanted.
    """
    matrix = weights(len(values.low), wanted).astype(np.float64)
    sums = values.through(matrix)
    half = 2.0 ** (BITS - 1)
    out = Interval(
        np.floor((sums.low + half) * UNIT).clip(0, STEPS),
        np.floor((sums.high + half) * UNIT).clip(0, STEPS),
    )
    real = Interval(sums.low * UNIT, sums.high * UNIT)
    # Rounding moves by half a step, cutting by what lies beyond black and white; nor can a value
    # move by more than from one end of its interval to the other.
    errors = Interval(np.minimum(-0.5, STEPS - real.high), np.maximum(0.5, -real.low))
    return Pass(out, errors.within(out.minus(real)))


@dataclass(frozen=True)
class Small:
    """The small greys of a box.

    Attributes:
        greys: (H, W), of the box.
        first: of the first pass, down its columns: transposed where Pillow begins with the rows.
        second: of the second, likewise.
        columns_first: which axis Pillow begins with.
    """

    greys: Interval
    first: Pass
    second: Pass
    columns_first: bool

    @property
    def values(self) -> Interval:
        """The small greys, (height, width), whole steps."""
        values = self.second.values
        return values.transposed() if self.columns_first else values


def small_bounds(
    lowest: NDArray[np.uint8], highest: NDArray[np.uint8], height: int, width: int
) -> Small:
    """Return the small greys of a box.

    Args:
        lowest: (H, W, 3).
        highest: (H, W, 3).
        height: rows wanted.
        width: columns wanted.
    """
    greys = grey_bounds(lowest, highest)
    columns = columns_first(*greys.low.shape, height, width)
    if columns:
        first = passed(greys, height)
        second = passed(first.values.transposed(), width)
    else:
        first = passed(greys.transposed(), width)
        second = passed(first.values.transposed(), height)
    return Small(greys, first, second, columns)


def combined(small: Small, down: Floats, across: Floats) -> Interval:
    """Return bounds of sums of the small greys, `down @ small @ across.T`.

    Differences and other sums of opposite signs are known better than the small greys alone: what
    the greys do to both cancels. Exact for the greys but for both passes' rounding, of which each
    value's worst is taken.

    Args:
        small: of a box.
        down: (A, height).
        across: (B, width).

    Returns:
        (A, B).
    """
    wide, tall = across, down
    source = small.greys
    if small.columns_first:
        wide, tall, source = down, across, source.transposed()
    # From here on Pillow begins with the rows.
    side, across_side = source.low.shape
    h = weights(across_side, wide.shape[1]).astype(np.float64) * UNIT
    v = weights(side, tall.shape[1]).astype(np.float64) * UNIT
    # (B, H): sums of each row's reduced values, as exact sums and their rounding, or as intervals.
    exact = source.transposed().through(wide @ h).plus(small.first.errors.through(wide))
    rows = exact.within(small.first.values.through(wide))
    once = rows.transposed().through(tall @ v)
    again = small.second.errors.transposed().through(wide).transposed().through(tall)
    loose = small.second.values.transposed().through(wide).transposed().through(tall)
    out = once.plus(again).within(loose)
    return out.transposed() if small.columns_first else out
