"""Which single bits of the difference hash can turn: by pairs of whole numbers, row by row.

Where Pillow begins with the rows, each row of pixels becomes two whole numbers for the two greys
that a bit compares: `r` right and `l` left. Rows do not share pixels, so they choose freely. The
sums `R = sum_y v_y r_y` and `L = sum_y v_y l_y`, rounded, are the two greys. Bounding the rounding
by half a step in each row would lose more than the pixels can move; here it is followed.

The sums before rounding that a row can reach fill a polygon (a zonotope). Its extent to the right,
the left, and along both diagonals makes an octagon around it; a pair whose cell of rounding meets
the octagon counts as reachable. To turn on, a whole `b` must lie between: `R >= b - 1/2 > L`. For
every `m` in `[0, 1]` that needs `m R - (1 - m) L` to reach `(2 m - 1)(b - 1/2)`, and the largest
value of a weighted sum is the sum of each row's largest. A bit is held if for every `b` some `m`
fails. To turn off, the left one reaches `c - 1/2` and the right one stays below `c + 1/2`.

All numbers are whole, or 16ths of whole ones, and below 2^53: float64 computes them exactly.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.matching.pictures import STEPS
from hashbench.matching.pillow_resize import BITS, columns_first, weights
from hashbench.matching.proofs.pillow_bounds import Floats, Interval

HEIGHT: Final = 8
"""Rows of the small picture."""

WIDTH: Final = 9
"""Its columns."""

UNIT: Final = 2.0**BITS
"""One step of grey."""

SHARES: Final = tuple(part / 16 for part in (0, 3, 5, 6, 7, 8, 9, 10, 11, 13, 16))
"""The `m` that are tried."""

_MOST: Final = 12
"""Where a row's value may take more whole numbers than this, nothing is held."""


def held_bits(greys: Interval, on: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which bits no file of a box turns; others may, or may not.

    Args:
        greys: (H, W), of the box.
        on: (8, 8), the clean bits.
    """
    height, width = greys.low.shape
    none = np.zeros_like(on)
    if columns_first(height, width, HEIGHT, WIDTH):
        return none
    h = weights(width, WIDTH).astype(np.float64)
    v = weights(height, HEIGHT).astype(np.float64)
    pairs = _Pairs.of(greys, h)
    if pairs is None:
        return none
    on_side = _can_cross(pairs, v, rises=True)
    off_side = _can_cross(pairs, v, rises=False)
    return ~np.where(on, off_side, on_side)


class _Pairs:
    """For each row of pixels and each bit of a row, an octagon of pairs of whole numbers."""

    def __init__(self, value: Interval, difference: Interval, total: Interval) -> None:
        self.right = Interval(value.low[:, 1:], value.high[:, 1:])
        self.left = Interval(value.low[:, :-1], value.high[:, :-1])
        self._difference, self._total = difference, total
        self._span = int((self.right.high - self.right.low).max()) + 1

    @classmethod
    def of(cls, greys: Interval, h: Floats) -> _Pairs | None:
        """Pairs of a box, unless they are too many."""
        source = greys.transposed()
        sums = source.through(h).transposed()
        half = UNIT / 2
        low, high = np.floor((sums.low + half) / UNIT), np.floor((sums.high + half) / UNIT)
        if (high - low).max() > _MOST:
            return None
        # Two roundings: a difference, or a total, of whole numbers is less than a step away.
        room = UNIT - 1
        apart = source.through(h[1:] - h[:-1]).transposed()
        both = source.through(h[1:] + h[:-1]).transposed()
        # Where a value may be cut to black or white, only its own interval is known.
        cut = (low < 0) | (high > STEPS)
        free = cut[:, 1:] | cut[:, :-1]
        # A value is (sum + half - [0, UNIT - 1]) / UNIT: the halves cancel, or add to one.
        difference = Interval(
            np.where(free, -np.inf, np.ceil((apart.low - room) / UNIT)),
            np.where(free, np.inf, np.floor((apart.high + room) / UNIT)),
        )
        total = Interval(
            np.where(free, -np.inf, np.ceil((both.low + UNIT - 2 * room) / UNIT)),
            np.where(free, np.inf, np.floor((both.high + UNIT) / UNIT)),
        )
        return cls(Interval(low.clip(0, STEPS), high.clip(0, STEPS)), difference, total)

    def largest(self, right: float, left: float) -> Floats:
        """The largest `right * r + left * l` of any pair, (H, 8)."""
        best = np.full(self.right.low.shape, -np.inf)
        for offset in range(self._span):
            r = self.right.low + offset
            least = np.maximum(
                self.left.low, np.maximum(r - self._difference.high, self._total.low - r)
            )
            most = np.minimum(
                self.left.high, np.minimum(r - self._difference.low, self._total.high - r)
            )
            possible = (r <= self.right.high) & (least <= most)
            found = right * r + left * np.where(left > 0, most, least)
            best = np.maximum(best, np.where(possible, found, -np.inf))
        return best


def _can_cross(pairs: _Pairs, v: Floats, *, rises: bool) -> NDArray[np.bool_]:
    """Whether the right grey can lie above the left, or (not `rises`) at it or below, (8, 8)."""
    up, down = np.maximum(v, 0), np.maximum(-v, 0)
    half = UNIT / 2
    places = np.arange(1.0, STEPS + 1) if rises else np.arange(0.0, STEPS + 1)
    possible = np.ones((*v.shape[:1], pairs.right.low.shape[1], len(places)), dtype=np.bool_)
    for share in SHARES:
        # What must be large, times its share, less what must be small.
        right, left = (share, share - 1) if rises else (share - 1, share)
        reached = up @ pairs.largest(right, left) + down @ pairs.largest(-right, -left)
        # The large sum at least at `at`, the small one at most just below `under`.
        at = places * UNIT - half
        under = (places + (0 if rises else 1)) * UNIT - half - 1
        needed = share * at - (1 - share) * under
        if not rises:
            # Every grey is at least black and at most white.
            needed[0] = -np.inf if share else needed[0]
            needed[-1] = -np.inf if share < 1 else needed[-1]
        possible[reached[:, :, None] < needed] = False
    return np.asarray(possible.any(axis=2), dtype=np.bool_)
