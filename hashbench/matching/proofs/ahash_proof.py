"""What is proven of the average hash: each small grey, and how far it lies above the mean of all.

A bit says whether a small grey lies above the mean of all 64, which numpy computes exactly: 64 is
a power of two. Both depend on the same pixels, so a grey less the mean is bounded as one sum of the
pixels. And all bits share one mean: wherever it lies, an on bit turns only if its grey can lie at
it or below, and an off bit only if its grey can lie above.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.matching.contract import Proof
from hashbench.matching.pillow_resize import grey, reduced, weights
from hashbench.matching.proofs.pillow_bounds import (
    UNIT,
    Floats,
    Interval,
    Small,
    combined,
    small_bounds,
)

SIDE: Final = 8
"""Rows and columns of the small picture."""

_LARGEST: Final = 1 << 17
"""Pixels above which a grey and the mean are not followed to the pixels together (64 MB)."""

_PARTS: Final = SIDE**2
"""The mean, and a grey less the mean, are whole multiples of one such part of a step."""


@dataclass(frozen=True)
class AhashProof(Proof):
    """Intervals of each small grey and of the mean, apart and together."""

    @override
    def most_turned(
        self, clean: NDArray[np.uint8], lowest: NDArray[np.uint8], highest: NDArray[np.uint8]
    ) -> int:
        """Return the bound for a box; a larger box has no smaller one.

        Args:
            clean: (H, W, 3), the picture itself.
            lowest: like `clean`, the least value of each pixel.
            highest: the largest one.
        """
        values = reduced(grey(clean), SIDE, SIDE).astype(np.float64)
        on = values > values.mean()
        small = small_bounds(lowest, highest, SIDE, SIDE)
        share = np.full((1, SIDE), 1 / SIDE)
        mean = _on_grid(combined(small, share, share))
        above = _on_grid(above_mean(small))
        can = np.where(on, above.low <= 0, above.high > 0)
        low, high = small.values.low[can & on], small.values.high[can & ~on]
        first, last = mean.low.item(), mean.high.item()
        # The count only grows with the mean where it reaches an on bit's least grey.
        places = np.append(low[(low > first) & (low <= last)], first)
        counts = (low <= places[:, None]).sum(axis=1) + (high > places[:, None]).sum(axis=1)
        return int(counts.max())


def _on_grid(values: Interval) -> Interval:
    """Intervals of multiples of a 64th."""
    whole = Interval(values.low * _PARTS, values.high * _PARTS).whole()
    return Interval(whole.low / _PARTS, whole.high / _PARTS)


def above_mean(small: Small) -> Interval:
    """Return bounds of each small grey less the mean of all.

    Args:
        small: of a box, 8 x 8.

    Returns:
        (8, 8).
    """
    center = np.eye(SIDE) - 1 / SIDE
    share = np.full((SIDE, SIDE), 1 / SIDE)
    # A grey less the mean of its row, and that mean less the mean of all; or by columns.
    rows = combined(small, np.eye(SIDE), center).plus(combined(small, center, share))
    columns = combined(small, center, np.eye(SIDE)).plus(combined(small, share, center))
    out = rows.within(columns)
    height, width = small.greys.low.shape
    if height * width > _LARGEST:
        return out
    return out.within(_followed(small))


def _followed(small: Small) -> Interval:
    """The same, by each pixel's weight in the difference, and each rounding's."""
    source = small.greys.transposed() if small.columns_first else small.greys
    pixels, halfway = _weights(*source.low.shape)
    # What Pillow does first runs along the rows here.
    h = weights(source.low.shape[1], SIDE).astype(np.float64) * UNIT
    v = weights(source.low.shape[0], SIDE).astype(np.float64) * UNIT
    first = small.first.errors.transposed()
    second = small.second.errors
    middle = v @ ((source.low + source.high) / 2 @ h.T + (first.low + first.high) / 2)
    middle = middle + (second.low + second.high) / 2
    spread = (pixels @ ((source.high - source.low) / 2).ravel()).reshape(SIDE, SIDE)
    spread += (halfway @ ((first.high - first.low) / 2).ravel()).reshape(SIDE, SIDE)
    half = (second.high - second.low) / 2
    # Its own rounding by 63 of 64, and that of all others by 1 of 64.
    spread += half * (1 - 2 / SIDE**2) + half.mean()
    middle = middle - middle.mean()
    out = Interval(middle - spread, middle + spread)
    return out.transposed() if small.columns_first else out


@lru_cache(maxsize=2)
def _weights(height: int, width: int) -> tuple[Floats, Floats]:
    """What pixels, and greys after the first pass, weigh in a small grey less the mean: absolutely.

    Returns:
        (64, H * W) and (64, H * 8).
    """
    v = weights(height, SIDE).astype(np.float64) * UNIT
    h = weights(width, SIDE).astype(np.float64) * UNIT
    found = []
    for across in (h, np.eye(SIDE)):
        mean = v.mean(axis=0)[:, None] * across.mean(axis=0)
        each = [np.abs(row[:, None] * other - mean).ravel() for row in v for other in across]
        found.append(np.stack(each))
    return found[0], found[1]
