"""How many bits turn at most, where a bit says whether a value is above the median of all.

The values `v` of a changed picture lie within a weighted distance of a known point `z`:
`sum_k ((v_k - z_k) / w_k)^2 <= r^2`. A bit is on where its value is strictly above the median `mu`
of `v`. Given are the bits of the clean picture, and asked is from how many of them the new ones
differ at most. Whatever the median becomes, each turned bit pays its own distance to it; that it
is the median limits how it may lie; and ties are counted, since a value that equals the median is
off. One distance is thus shared by all bits. Intervals of each value would let every bit spend
all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ROOM: Final = 1e-9
"""Relative room for the rounding of float64 in these few sums."""

_FIRST: Final = 48
"""Intervals of the median to begin with."""

_PIECES: Final = 3
"""Into how many an interval is cut that may still be too wide."""

_ROUNDS: Final = 5
"""How often intervals are cut."""

_MOST_CUT: Final = 160
"""More intervals than this are not cut in one round: they are left as they are, which is sound."""


class Median(Enum):
    """Which value a hash calls the median."""

    LOWER = "lower"
    """The `ceil(K / 2)`-th smallest of K, so of 256 the 128th."""

    MIDDLE = "middle"
    """The mean of the two middle ones, or the middle one, as numpy's."""

    def of(self, values: NDArray[np.float64]) -> float:
        """Return the median.

        Args:
            values: (K,).
        """
        if self is Median.LOWER:
            return float(np.sort(values)[(len(values) + 1) // 2 - 1])
        return float(np.median(values))

    def cases(self, count: int) -> tuple[_Case, ...]:
        """In which ways it may lie among `count` values; one of them holds, whatever the values.

        A lower median is one of the values. So is the mean of two that are equal; that of two that
        differ equals none. (Where it is rounded to one of them they are neighbours in float64;
        bringing them together turns no bit and changes them by less than the room left here.)
        """
        half = count // 2
        if self is Median.LOWER or count % 2:
            return (_Case((count + 1) // 2, half + 1, ties=True),)
        return (_Case(half + 1, half + 1, ties=True), _Case(half, half, ties=False))


@dataclass(frozen=True)
class _Case:
    """How many values are at most, and at least, the median; and whether any may equal it."""

    least_below: int
    least_above: int
    ties: bool


@dataclass(frozen=True)
class MedianBound:
    """The bound for one clean picture.

    Attributes:
        median: which one the hash uses.
        values: (K,), the point `z` around which the values of changed pictures lie. It need not be
            the clean picture's.
        on: (K,), the bits of the clean picture, as the hash itself says them.
        weights: (K,), `w`, above 0.
    """

    median: Median
    values: NDArray[np.float64]
    on: NDArray[np.bool_]
    weights: NDArray[np.float64]

    def most_turned(self, radius: float) -> int:
        """Return how many bits turn at most within a weighted distance.

        Of a new median in an interval `[lo, hi]`, with `K = on0 + off0` bits of the clean picture:

        - an on bit whose `z` is below `lo` (there are `B`) either ends below the median, which is
          free, or ends at the median or above it and pays `(lo - z)^2 / w^2`. It loses nothing by
          ending at the median, where it is turned too. So all `B` turn: `s` of them sink, and
          `B - s` pay.
        - `y` other on bits turn, ending at the median or below: `(z - hi)_+^2 / w^2` each.
        - `u` off bits end at the median or above: `(lo - z)_+^2 / w^2` each. At least `least_above`
          of all values are not below the median: `on0 - s + u >= least_above`.
        - `n <= u` of these end above the median, and turn. At least `least_below` of all values are
          not above the median: `B + y + off0 - n >= least_below`.

        So for each `u` the cheapest choice is `s = min(B, u - least_above + on0)`, the cheapest of
        each kind, and all that is left spent on `y`. The turned bits are `B + y + n`; the largest
        such sum over `u` and over intervals that cover every median that can be reached (it moves
        by no more than the value that moves most) bounds the distance. In the end it is
        reached, by the change that it describes. Pairing each bit that goes off with one that
        comes on, `sum_i (a_i + b_i)^2 / 2 <= r^2` for the nearest above and below, is no bound:
        values that are brought to the same place turn without others coming on.

        Where no value can equal the median, only those bits turn that sink, or rise.

        Args:
            radius: `r`; at least 0.
        """
        budget = radius * radius * (1 + _ROOM) + 1e-18
        # nan or infinite room: nothing is known.
        if not np.isfinite(budget):
            return len(self.values)
        reach = radius * (1 + _ROOM) * float(self.weights.max())
        middle = self.median.of(self.values)
        room = _ROOM * (1 + abs(middle))
        edges = np.linspace(middle - reach - room, middle + reach + room, _FIRST + 1)
        lows, highs = edges[:-1], edges[1:]
        cases = self.median.cases(len(self.values))

        def turned(lows: NDArray[np.float64], highs: NDArray[np.float64]) -> NDArray[np.int64]:
            found: NDArray[np.int64] = np.max(
                [self._turned(lows, highs, budget, case) for case in cases], axis=0
            )
            return found

        bounds = turned(lows, highs)
        for _ in range(_ROUNDS):
            worst = bounds == bounds.max()
            if bounds.max() <= 0 or worst.sum() > _MOST_CUT:
                break
            cuts = np.linspace(lows[worst], highs[worst], _PIECES + 1)
            new_lows, new_highs = cuts[:-1].ravel(), cuts[1:].ravel()
            lows = np.concatenate([lows[~worst], new_lows])
            highs = np.concatenate([highs[~worst], new_highs])
            new = turned(new_lows, new_highs)
            bounds = np.concatenate([bounds[~worst], new])
        return int(bounds.max())

    def _turned(
        self,
        lows: NDArray[np.float64],
        highs: NDArray[np.float64],
        budget: float,
        case: _Case,
    ) -> NDArray[np.int64]:
        """The bound for medians of each interval; -1 where none can be reached."""
        on_values, on_weights = self.values[self.on], self.weights[self.on]
        off_values, off_weights = self.values[~self.on], self.weights[~self.on]
        on0, off0 = len(on_values), len(off_values)
        short = case.least_above - on0
        spare = off0 - case.least_below
        under = on_values < lows[:, None]
        # On bits by what they pay: those below the interval are paid for apart.
        stay = ((lows[:, None] - on_values) / on_weights) ** 2
        stays = _sums(np.where(under, stay, np.inf))
        leave = (np.maximum(on_values - highs[:, None], 0) / on_weights) ** 2
        leaves = _sums(np.where(under, np.inf, leave))
        rises = _sums((np.maximum(lows[:, None] - off_values, 0) / off_weights) ** 2)
        risen = np.arange(max(short, 0), off0 + 1)
        if not len(risen):
            return np.full(len(lows), -1, dtype=np.int64)
        below = under.sum(axis=1)[:, None]
        sink = np.minimum(below, risen - short)
        left = budget - rises[:, risen] - np.take_along_axis(stays, below - sink, axis=1)
        more = np.stack(
            [
                np.searchsorted(row, rest, side="right") - 1
                for row, rest in zip(leaves, left, strict=True)
            ]
        )
        gone = below + more if case.ties else sink + np.minimum(more, risen - short - sink)
        possible = (left >= 0) & (gone + spare >= 0)
        turned = gone + np.minimum(risen, gone + spare)
        best: NDArray[np.int64] = np.where(possible, turned, -1).max(axis=1)
        return best


def _sums(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the 0, 1, 2, ... cheapest of each row, (rows, items + 1)."""
    ordered = np.sort(costs, axis=1)
    none = np.zeros((len(costs), 1))
    return np.concatenate([none, np.cumsum(ordered, axis=1)], axis=1)
