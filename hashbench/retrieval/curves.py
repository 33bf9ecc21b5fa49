"""Precision at levels of recall, under every tie rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hashbench.errors import UsageError
from hashbench.retrieval.harmonic import Floats, Ints, harmonic_difference
from hashbench.retrieval.options import RecallRounding, Ties
from hashbench.retrieval.stable import Hits
from hashbench.retrieval.tally import Tally

RECALL_LEVELS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""The levels of recall that a curve is drawn through where none are asked for."""

# Recall levels such as 0.7 are not exact in binary: 0.7 * 10 must still ask for 7 items.
_LEVEL_ROUNDING = 1e-9
# exp(-40) is what the summed part of a distribution may miss.
_TAIL_EXPONENT = 20.0
_BLOCK_VALUES = 1 << 18


@dataclass(frozen=True)
class PrecisionRecall:
    """A precision-recall curve, averaged over the queries.

    Attributes:
        recall: float64 ``(L,)`` in (0, 1], the levels.
        precision: float64 ``(L,)`` in [0, 1]; queries without a relevant item count as 0.
    """

    recall: Floats
    precision: Floats


def wanted_hits(tally: Tally, levels: Sequence[float], rounding: RecallRounding) -> Ints:
    """How many hits each level asks of each query, int64 ``(Q, L)``.

    Raises ValueError for a level outside of (0, 1] and where there is no level.
    """
    values = np.asarray(levels, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not ((values > 0) & (values <= 1)).all():
        raise UsageError(f"levels: expected recalls above 0 and at most 1, found {levels!r}")
    exact = tally.relevant_items[:, None] * values
    if rounding is RecallRounding.UP:
        return np.ceil(exact - _LEVEL_ROUNDING).astype(np.int64)
    return np.floor(exact + _LEVEL_ROUNDING).astype(np.int64)


def precision_of(tally: Tally, wanted: Ints, ties: Ties) -> Floats:
    """Precision ``(Q, L)`` of the list that ends at the ``wanted``-th hit; 0 where none is wanted.

    Not for ``STABLE``, which needs the order.
    """
    reached = np.cumsum(tally.relevant, axis=1)
    result = np.zeros(wanted.shape, dtype=np.float64)
    for query, level in zip(*np.nonzero(wanted), strict=True):
        hits = int(wanted[query, level])
        distance = int(np.searchsorted(reached[query], hits))
        n, r = int(tally.total[query, distance]), int(tally.relevant[query, distance])
        before = int(tally.total[query, :distance].sum())
        number = hits - int(reached[query, distance]) + r
        if ties is Ties.BEST:
            inverse = 1.0 / (before + number)
        elif ties is Ties.WORST:
            inverse = 1.0 / (before + n - r + number)
        else:
            inverse = _expected_inverse_rank(before, n, r, number)
        result[query, level] = hits * inverse
    return result


def stable_precision(hits: Iterable[Hits], wanted: Ints) -> Floats:
    """Precision ``(Q, L)`` at the ``wanted``-th hit in database order."""
    result = np.zeros(wanted.shape, dtype=np.float64)
    for found in hits:
        goals = wanted[found.query]
        spot = np.minimum(np.searchsorted(found.order, goals), max(found.order.size - 1, 0))
        if found.order.size:
            here = (found.order[spot] == goals) & (goals > 0)
            result[found.query, here] = (found.order / found.rank)[spot[here]]
    return result


def _expected_inverse_rank(before: int, n: int, r: int, number: int) -> float:
    """Mean of ``1 / rank`` of the ``number``-th of ``r`` hits among ``n`` items in random order.

    The place inside the tie is negative hypergeometric. It is summed outwards from its mode, as far
    as Hoeffding's bound for sampling without replacement leaves more than about exp(-40).
    """
    if r == 1:
        span = harmonic_difference(np.array(before), np.array(before + n))
        return float(span) / n
    first, last = number, n - r + number
    mode = min(max(first, 1 + (number - 1) * (n - 1) // (r - 1)), last)
    reach = int(n * (_TAIL_EXPONENT / r) ** 0.5) + n // r + 2
    above = np.arange(mode, min(last, mode + reach), dtype=np.float64)
    below = np.arange(mode, max(first, mode - reach), -1, dtype=np.float64)
    rise = above / (above - number + 1) * (n - above - r + number) / (n - above)
    fall = (below - number) / (below - 1) * (n - below + 1) / (n - below + 1 - r + number)
    weights = np.concatenate([np.cumprod(fall)[::-1], [1.0], np.cumprod(rise)])
    ranks = before + np.arange(mode - below.size, mode + above.size + 1, dtype=np.float64)
    return float((weights / ranks).sum() / weights.sum())
