"""What a tie adds to a query's average precision, in closed form.

A tie is all items at one Hamming distance: ``n`` items, ``r`` of them relevant, after ``before``
items of which ``hits`` are relevant; ``m`` of its ``n`` places lie inside the list. Source of the
expected values: McSherry and Najork, "Computing information retrieval performance measures
efficiently in the presence of tied scores", ECIR 2008. Works on int64 arrays, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hashbench.retrieval.harmonic import Floats, Ints, harmonic_difference

# Chance of a hypergeometric count outside of the summed window: below 2 exp(-2 * 20).
_TAIL_EXPONENT = 20.0
_WINDOW_VALUES = 1 << 18


@dataclass(frozen=True)
class Tie:
    """Ties of one shape, elementwise: see the module's docstring. All ``int64``, same shape."""

    before: Ints
    hits: Ints
    n: Ints
    r: Ints
    m: Ints

    def __getitem__(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> Tie:
        return Tie(
            self.before[index], self.hits[index], self.n[index], self.r[index], self.m[index]
        )

    @property
    def most(self) -> Ints:
        """The most relevant items that can lie inside the list."""
        return np.minimum(self.r, self.m)

    @property
    def least(self) -> Ints:
        """The fewest relevant items that can lie inside the list."""
        return np.maximum(0, self.m - (self.n - self.r))


def expected_sum(tie: Tie) -> Floats:
    """Mean, over all orders of the tie, of the sum of precisions at its hits inside the list."""
    return _random_sum(tie, tie.r, tie.n)


def first_sum(tie: Tie, inside: Ints) -> Floats:
    """The sum of precisions with ``inside`` hits on the first places of the tie."""
    span = harmonic_difference(tie.before, tie.before + inside)
    return inside - (tie.before - tie.hits) * span


def last_sum(tie: Tie, inside: Ints) -> Floats:
    """The sum of precisions with ``inside`` hits on the last places inside the list."""
    end = tie.before + tie.m
    span = harmonic_difference(end - inside, end)
    return inside - (end - inside - tie.hits) * span


def expected_cut(tie: Tie, so_far: Floats) -> Floats:
    """Mean AP, normalised by the retrieved hits, of a list that ends inside the tie (1-d arrays).

    The number of hits inside is hypergeometric, so the divisor is random too: the mean is summed
    over that count. ``so_far`` is the expected sum of precisions before the tie.
    """
    result = np.zeros(tie.n.shape, dtype=np.float64)
    reach = np.ceil(np.sqrt(_TAIL_EXPONENT * tie.m)).astype(np.int64) + 1
    # A query whose window is narrow must not pay for one whose window is wide.
    for part in _by_width(np.minimum(reach, tie.most - tie.least)):
        result[part] = _expected_cut_part(tie[part], so_far[part], reach[part])
    return result


def best_cut(tie: Tie, so_far: Floats) -> Floats:
    """Largest AP, normalised by the retrieved hits, of a list that ends inside the tie.

    Along growing numbers of hits the precision of the next hit never falls, so their mean falls
    first and rises later: its maximum is at one of the two ends.
    """
    ends = [
        _mean(so_far + first_sum(tie, inside), tie.hits + inside)
        for inside in (tie.least, tie.most)
    ]
    return np.maximum(*ends)


def worst_cut(tie: Tie, so_far: Floats) -> Floats:
    """Smallest AP, normalised by the retrieved hits, of a list that ends inside the tie.

    The sum of precisions with x hits on the last places is strictly convex in x, so the sum over
    ``hits + x`` has one valley, which is found by bisection.
    """

    def score(inside: Ints) -> Floats:
        return _mean(so_far + last_sum(tie, inside), tie.hits + inside)

    low, high = tie.least.copy(), tie.most.copy()
    while (low < high).any():
        middle = (low + high) // 2
        rising = score(np.minimum(middle + 1, tie.most)) >= score(middle)
        open_ = low < high
        high = np.where(open_ & rising, middle, high)
        low = np.where(open_ & ~rising, middle + 1, low)
    return score(low)


def _mean(total: Floats, count: Ints) -> Floats:
    return np.where(count > 0, total / np.maximum(count, 1), 0.0)


def _random_sum(tie: Tie, relevant: Ints, places: Ints) -> Floats:
    """Mean sum of precisions over the ``m`` first of ``places`` places with ``relevant`` hits.

    Given that a place holds a hit, any other one holds one with chance ``other``. Where there is no
    other place, 1 makes the value the same to the last digit as that of ``first_sum``: nothing is
    left to chance there.
    """
    other = np.where(places > 1, (relevant - 1) / np.maximum(1, places - 1), 1.0)
    share = relevant / np.maximum(1, places)
    span = harmonic_difference(tie.before, tie.before + tie.m)
    return share * (other * tie.m + (tie.hits + 1 - other - other * tie.before) * span)


def _by_width(width: Ints) -> Iterator[npt.NDArray[np.intp]]:
    """Indices in groups of similar width, each of bounded size once padded."""
    order = np.argsort(width, kind="stable")
    start = 0
    while start < order.size:
        stop = start + 1
        limit = 2 * int(width[order[start]]) + 64
        while (
            stop < order.size
            and width[order[stop]] <= limit
            and (stop + 1 - start) * (2 * int(width[order[stop]]) + 1) <= _WINDOW_VALUES
        ):
            stop += 1
        yield order[start:stop]
        start = stop


def _expected_cut_part(tie: Tie, so_far: Floats, reach: Ints) -> Floats:
    least, most = tie.least, tie.most
    mode = np.clip((tie.m + 1) * (tie.r + 1) // (tie.n + 2), least, most)
    counts, weights = _hypergeometric(tie, mode, reach)
    column = Tie(*(value[:, None] for value in (tie.before, tie.hits, tie.n, tie.r, tie.m)))
    total = so_far[:, None] + _random_sum(column, counts, column.m)
    chance = weights / weights.sum(axis=1, keepdims=True)
    mean: Floats = (chance * _mean(total, column.hits + counts)).sum(axis=1)
    return mean


def _hypergeometric(tie: Tie, mode: Ints, reach: Ints) -> tuple[Ints, Floats]:
    """Counts around the mode, one row a tie, and their weights relative to the mode's.

    Ratios of neighbours are exact to rounding, where differences of log-gammas would lose as many
    digits as the counts have. Weights outside of the support or the window come out as 0.
    """
    up = int(np.minimum(reach, tie.most - mode).max(initial=0))
    down = int(np.minimum(reach, mode - tie.least).max(initial=0))
    m, n, r = (value[:, None] for value in (tie.m, tie.n, tie.r))
    above = mode[:, None] + np.arange(up, dtype=np.int64)
    rise = np.maximum(r - above, 0) * np.maximum(m - above, 0).astype(np.float64)
    rise /= (above + 1) * (n - r - m + above + 1.0)
    below = mode[:, None] - np.arange(down, dtype=np.int64)
    fall = np.maximum(below, 0) * np.maximum(n - r - m + below, 0).astype(np.float64)
    fall /= (r - below + 1) * (m - below + 1.0)
    counts = mode[:, None] + np.arange(-down, up + 1, dtype=np.int64)
    middle = np.ones((mode.size, 1), dtype=np.float64)
    weights = np.concatenate(
        [np.cumprod(fall, axis=1)[:, ::-1], middle, np.cumprod(rise, axis=1)], axis=1
    )
    # Outside of the support the weight is 0; a harmless count keeps the closed form finite there.
    return np.clip(counts, tie.least[:, None], tie.most[:, None]), weights
