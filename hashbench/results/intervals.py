"""How far a mean over queries may be off: intervals of what was measured. Pure.

The paired bootstrap over queries: queries are drawn anew with replacement, the same draws for every
row of numbers, so that the difference of two rows is bootstrapped too. Every interval is the one
that `scipy.stats.bootstrap((row,), numpy.mean, method="BCa")` gives with the same generator (bias-
corrected and accelerated: Efron 1987, section 4), at a level that is wider for few queries: in
place of the normal quantile z it takes `sqrt(n / (n - 1)) * t`, with t of n - 1 degrees of freedom
(the "expanded percentile interval" of Hesterberg, "What Teachers Should Know About the Bootstrap",
The American Statistician 69, 2015, section 5.3). scipy resamples each row on its own; a mean is
linear in how often each query is drawn, so here one product of matrices does it for all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVEL: Final = 0.95
"""The share of intervals that hold what they are about."""

APART: Final = 0.99
"""The level at which the difference of two models is judged: a table holds many pairs, and each of
them may seem different by chance. Twenty pairs of equal models at 95 % show one such."""

RESAMPLES: Final = 9_999
"""How often the queries are drawn anew: the number of `scipy.stats.bootstrap`."""

SEED: Final = 20_150_402
"""Of the generator of the draws: the same for every row, in every report."""

_BLOCK: Final = 4_000_000
"""Numbers that one step of the computation holds."""

_ROUNDING: Final = 1e-12
"""What two sums of the same average precisions may differ by: means that near are one mean."""


@dataclass(frozen=True)
class Interval:
    """Bounds of a mean over queries, or of the difference of two of them.

    Attributes:
        low, high: both ends, in the unit of what is bounded.
    """

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies inside, the ends included."""
        return self.low <= value <= self.high


def intervals(
    rows: Sequence[NDArray[np.float64]], level: float = LEVEL
) -> tuple[Interval | None, ...]:
    """The interval of each mean, for other queries of the same kind.

    It speaks of the queries alone: not of the chance in training, which several seeds show.

    Args:
        rows: a value for each query, (Q,) each; rows of one length share their draws.
        level: the share of intervals that hold the mean over all queries there might be.

    Returns:
        One for each row. `None` for a row of fewer than two queries, which says nothing of others.
        Queries that all score the same have an interval of width 0: so do all draws of them. It
        says that nothing else was seen, not that there is nothing else.
    """
    found: list[Interval | None] = [None] * len(rows)
    lengths: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        if row.size > 1:
            lengths.setdefault(row.size, []).append(place)
    for places in lengths.values():
        for block in _blocks(places):
            scores = np.stack([rows[place] for place in block])
            bounds = _bounds(scores, resampled(scores), level)
            for place, (low, high) in zip(block, bounds.tolist(), strict=True):
                found[place] = Interval(low, high)
    return tuple(found)


def over_seeds(by_seed: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Per query the mean over the seeds, so that an interval of it speaks of queries.

    Args:
        by_seed: a value for each query, (Q,), of each seed.

    Returns:
        (Q,); empty where there is no seed, or where they hold different numbers of queries.
    """
    if len({one.shape for one in by_seed}) != 1:
        return np.empty(0)
    mean: NDArray[np.float64] = np.mean(np.stack(by_seed), axis=0)
    return mean


def difference(
    first: NDArray[np.float64], second: NDArray[np.float64], level: float = LEVEL
) -> Interval | None:
    """The interval of the mean of a paired difference, first minus second.

    Args:
        first: a value for each query, (Q,).
        second: the same of the same queries, in the same order.
        level: see `intervals`.

    Returns:
        See `intervals`.
    """
    (found,) = intervals([first - second], level)
    return found


def are_apart(bounds: Interval | None) -> bool:
    """Whether an interval of a difference says that there is one: 0 lies outside.

    Args:
        bounds: at the level `APART`. Of two rows that differ by the same on every query it has no
            width, and 0 is outside of it, unless they are equal.
    """
    return bounds is not None and not bounds.holds(0.0)


def unseparated(
    tables: Sequence[NDArray[np.float64]], reach: int
) -> list[tuple[tuple[int, int], ...]]:
    """Which rows of each table, in the order given, cannot be told from which.

    From each row upwards and downwards as far as the next row cannot be told from it, by the paired
    difference at the level `APART`.

    Args:
        tables: (N, Q) each, a value for each row and query, the rows in the order of their ranks,
            Q at least 2.
        reach: how many rows to look at on either side, so that the time grows with N and not with
            its square.

    Returns:
        For each table, and each of its rows, the first and the last place that cannot be told from
        it: its own at least.
    """
    found: dict[int, tuple[tuple[int, int], ...]] = {}
    for several in _batches(tables):
        draws = resampled(np.concatenate([tables[place] for place in several]))
        start = 0
        for place in several:
            scores = tables[place]
            found[place] = _alike(scores, draws[start : start + len(scores)], reach)
            start += len(scores)
    return [found[place] for place in range(len(tables))]


def _batches(tables: Sequence[NDArray[np.float64]]) -> Iterator[list[int]]:
    """Places of tables of one number of queries, so many that a step holds their draws."""
    most = max(1, _BLOCK // RESAMPLES)
    batch: list[int] = []
    rows = 0
    for place in sorted(range(len(tables)), key=lambda place: tables[place].shape[1]):
        other = bool(batch) and tables[batch[0]].shape[1] != tables[place].shape[1]
        if batch and (other or rows + len(tables[place]) > most):
            yield batch
            batch, rows = [], 0
        batch.append(place)
        rows += len(tables[place])
    if batch:
        yield batch


def _alike(
    scores: NDArray[np.float64], draws: NDArray[np.float64], reach: int
) -> tuple[tuple[int, int], ...]:
    """Of one table: see `unseparated`."""
    count = len(scores)
    together: dict[tuple[int, int], bool] = {}

    def alike(upper: int, lower: int) -> bool:
        pair = (upper, lower)
        if pair not in together:
            gap = scores[[upper]] - scores[[lower]]
            ((low, high),) = _bounds(gap, draws[[upper]] - draws[[lower]], APART).tolist()
            together[pair] = not are_apart(Interval(low, high))
        return together[pair]

    found = []
    for place in range(count):
        first = last = place
        while first > max(0, place - reach) and alike(first - 1, place):
            first -= 1
        while last < min(count - 1, place + reach) and alike(place, last + 1):
            last += 1
        found.append((first, last))
    return tuple(found)


def resampled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the mean over each draw of the queries lies from the mean over the queries.

    Args:
        scores: (N, Q), Q at least 1.

    Returns:
        (N, RESAMPLES), the draws in one order for all rows.
    """
    centred = scores - scores.mean(axis=1, keepdims=True)
    counts = _counts(scores.shape[1])
    found = np.empty((len(scores), RESAMPLES))
    step = max(1, _BLOCK // counts.shape[1])
    for start in range(0, RESAMPLES, step):
        part = counts[start : start + step].astype(np.float64)
        found[:, start : start + step] = centred @ part.T
    found /= scores.shape[1]
    return found


@lru_cache(maxsize=1)
def _counts(queries: int) -> NDArray[np.uint16]:
    """How often each draw holds each query: (RESAMPLES, Q). Kept for the next rows of this Q."""
    random = np.random.default_rng(SEED)
    found = np.empty((RESAMPLES, queries), dtype=np.uint16)
    step = max(1, _BLOCK // queries)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        # In blocks it is the same stream as at once: scipy draws it so.
        drawn = random.integers(0, queries, (rows, queries))
        drawn += queries * np.arange(rows)[:, np.newaxis]
        times = np.bincount(drawn.ravel(), minlength=rows * queries)
        found[start : start + rows] = times.reshape(rows, queries)
    return found


def _blocks(places: Sequence[int]) -> Iterator[Sequence[int]]:
    step = max(1, _BLOCK // RESAMPLES)
    for start in range(0, len(places), step):
        yield places[start : start + step]


def _bounds(
    scores: NDArray[np.float64], draws: NDArray[np.float64], level: float
) -> NDArray[np.float64]:
    """Both ends of each row's interval, (N, 2); `draws` are sorted in place.

    Args:
        scores: (N, Q), Q at least 2.
        draws: (N, RESAMPLES), of `resampled`.
        level: of the interval, before it is widened for few queries.
    """
    from scipy.special import ndtr, ndtri, stdtrit

    count = scores.shape[1]
    means = scores.mean(axis=1)
    centred = scores - means[:, np.newaxis]
    draws.sort(axis=1)
    # Draws whose mean is the mean count by half, whichever way their last bits fall.
    below = (draws < -_ROUNDING).sum(axis=1) + (draws <= _ROUNDING).sum(axis=1)
    share = np.clip(below / (2 * RESAMPLES), 1 / RESAMPLES, 1 - 1 / RESAMPLES)
    bias = ndtri(share)
    squares = (centred**2).sum(axis=1)
    spread = squares > count * _ROUNDING**2
    # Of a mean the jackknife's acceleration is the skewness of the values: nothing is left out.
    skew = (centred**3).sum(axis=1) / (6 * np.where(spread, squares, 1.0) ** 1.5)
    wide = np.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - level) / 2)
    found = np.empty((len(scores), 2))
    for side, quantile in enumerate((wide, -wide)):
        far = bias + quantile
        # Past 1 the formula turns over: the end is then the last draw on this side.
        turn = np.maximum(1 - skew * far, _ROUNDING)
        found[:, side] = means + _quantiles(draws, ndtr(bias + far / turn))
    found[~spread] = means[~spread, np.newaxis]
    # No mean of them lies outside of the values, but for its last bit: nobody wants to read -0.0.
    np.clip(found, scores.min(axis=1)[:, np.newaxis], scores.max(axis=1)[:, np.newaxis], out=found)
    return found


def _quantiles(ordered: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """A quantile of each sorted row, between two values as `numpy.quantile` has it."""
    place = share * (ordered.shape[1] - 1)
    under = np.floor(place).astype(np.intp)
    over = np.minimum(under + 1, ordered.shape[1] - 1)
    rows = np.arange(len(ordered))
    low: NDArray[np.float64] = ordered[rows, under]
    between: NDArray[np.float64] = low + (place - under) * (ordered[rows, over] - low)
    return between
