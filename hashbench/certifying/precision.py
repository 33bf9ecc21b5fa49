"""The least average precision that codes of uncertain bits can have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hashbench.certifying.branching import least_value
from hashbench.certifying.items import CodeCounts, Row
from hashbench.certifying.measures import AveragePrecision, Measure, Precision, harmonic_numbers
from hashbench.certifying.question import Question
from hashbench.errors import UsageError
from hashbench.retrieval import Normalize, Tally, Ties
from hashbench.retrieval.checks import as_count, as_top_k
from hashbench.retrieval.harmonic import Floats, Ints
from hashbench.retrieval.options import choice
from hashbench.retrieval.tally import average_precision_of, hits_inside

BUDGET: Final = 1 << 14
"""Completions that are looked at for one query: up to 14 uncertain bits the least AP is exact."""


@dataclass(frozen=True)
class CertifiedPrecision:
    """What is proven of each query's ranking.

    Attributes:
        average_precision: float64 `(Q,)`, a lower bound of AP under the rule of ties asked for.
        exact: bool `(Q,)`, whether some completion of the uncertain bits has just that AP.
        uncertain: int64 `(Q,)`, bits that are not proven.
        codes: int8 `(Q, K)`, the worst completion that was seen; where `exact`, the one whose AP
            is the bound. Bits stay 0 where the search ended before it came to a whole one.
        examined: int64 `(Q,)`, completions, whole or in part, that were looked at.
        rounding: float64 `(Q,)`, by how much rounding in float64 may have raised the bound.
    """

    average_precision: NDArray[np.float64]
    exact: NDArray[np.bool_]
    uncertain: NDArray[np.int64]
    codes: NDArray[np.int8]
    examined: NDArray[np.int64]
    rounding: NDArray[np.float64]

    @property
    def proven_bits(self) -> NDArray[np.float64]:
        """The share of bits that are proven, float64 `(Q,)`."""
        share: Floats = 1.0 - self.uncertain / self.codes.shape[1]
        return share


@dataclass(frozen=True)
class CertifiedPrecisionAt:
    """What is proven of the first k items of each query's ranking.

    Attributes:
        precision: float64 `(Q,)`, a lower bound of the share of relevant items among them, ties in
            their worst order.
        exact: bool `(Q,)`, whether some completion of the uncertain bits has just that share.
    """

    precision: NDArray[np.float64]
    exact: NDArray[np.bool_]


def certified_precision(
    bits: Any,
    query_labels: Any,
    database_codes: Any,
    database_labels: Any,
    *,
    top_k: int | None = None,
    normalize: Normalize | str = Normalize.RETRIEVED,
    ties: Ties | str = Ties.WORST,
    budget: int = BUDGET,
    threads: int = 1,
) -> CertifiedPrecision:
    """The least AP of each query over all completions of its uncertain bits, or less.

    A completion sets each uncertain bit to -1 or +1. The codes that images of a box can have are
    among the completions, so no image of the box has a smaller AP; whether one has that AP, nobody
    says. A query without a relevant item, or for which a list without one is possible, scores 0.

    Up to `log2(budget)` uncertain bits the result is exact. Beyond that a best-first branch and
    bound looks at no more than `budget` completions; it is still exact where it closes, and
    otherwise gives the largest bound that it has proven. A larger budget never gives less.

    Memory grows with the distinct codes of the database and with the uncertain bits of one query,
    for each thread; not with the completions. The result does not depend on the number of threads
    or on the order of the database.

    Args:
        bits: `(Q, K)` of +1, -1 and 0 for a bit that is uncertain; K from 1 to 512.
        query_labels: 0/1 `(Q, C)`, C from 1 to 2000.
        database_codes: -1/+1 `(N, K)`, or packed by `hashbench.retrieval.pack_codes`.
        database_labels: 0/1 `(N, C)`.
        top_k: length of the list; all items by default.
        normalize: what AP is divided by, as for `hashbench.retrieval.average_precision`.
        ties: `worst`, or `expected` for the mean over all orders inside each tie, as other tables
            have it. Of a list that ends before the database, divided by the hits inside it, the
            mean has no such search: the worst order's bound stands for it, and is not exact.
        budget: completions that may be looked at for one query; 0 gives the bound of the code as a
            whole.
        threads: how many work, each on some of the queries.

    Raises:
        UsageError: names the argument, what was expected and what was found.

    Examples:
        The second bit is uncertain: as -1 it brings the irrelevant item to the front.

        >>> database, labels = [[1, 1], [1, -1]], [[1, 0], [0, 1]]
        >>> certified = certified_precision([[1, 0]], [[1, 0]], database, labels)
        >>> certified.average_precision.tolist(), certified.codes.tolist()
        ([0.5], [[1, -1]])
    """
    limit, divisor = as_top_k(top_k), choice(Normalize, normalize, "normalize")
    order = choice(Ties, ties, "ties")
    if order not in (Ties.WORST, Ties.EXPECTED):
        raise UsageError(
            f"ties: expected worst or expected, of which there are proofs, found {order}"
        )
    question = Question.read(bits, query_labels, database_codes, database_labels)

    items = question.items.items
    length = items if limit is None else min(limit, items)
    table = harmonic_numbers(items)

    def measured(relevant: int) -> Measure:
        return AveragePrecision(length, items, relevant, divisor, table, order)

    def scored(tally: Tally) -> Floats:
        return average_precision_of(tally, top_k=limit, ties=order, normalize=divisor)

    return _certified(question, measured, scored, as_count(budget, "budget", least=0), threads)


def certified_precision_at(
    bits: Any,
    query_labels: Any,
    database_codes: Any,
    database_labels: Any,
    top_k: int,
    *,
    budget: int = BUDGET,
    threads: int = 1,
) -> CertifiedPrecisionAt:
    """The least share of relevant items among the first `top_k`, over all completions, or less.

    Arguments, errors and what is exact: as for `certified_precision`.

    Examples:
        >>> database, labels = [[1, 1], [1, -1], [-1, -1]], [[1, 0], [1, 0], [0, 1]]
        >>> certified_precision_at([[1, 0]], [[1, 0]], database, labels, 2).precision.tolist()
        [0.5]
    """
    limit = as_count(top_k, "top_k")
    question = Question.read(bits, query_labels, database_codes, database_labels)
    length = min(limit, question.items.items)

    def scored(tally: Tally) -> Floats:
        return hits_inside(tally, top_k=limit, ties=Ties.WORST) / length

    found = _certified(
        question, lambda _: Precision(length), scored, as_count(budget, "budget", least=0), threads
    )
    return CertifiedPrecisionAt(found.average_precision, found.exact)


def _certified(
    question: Question,
    measured: Callable[[int], Measure],
    scored: Callable[[Tally], Floats],
    budget: int,
    threads: int,
) -> CertifiedPrecision:
    rows = question.rows
    count, places = len(rows), rows.shape[1] + 1
    bounds, rounding = np.zeros(count), np.zeros(count)
    exact, examined = np.ones(count, dtype=np.bool_), np.zeros(count, dtype=np.int64)
    # Without a relevant item any completion is as bad as another.
    codes = np.where(rows == 0, 1, rows).astype(np.int8)
    total, hits = np.zeros((2, count, places), dtype=np.int64)

    def answer(query: int, row: Row, relevant: CodeCounts, irrelevant: CodeCounts) -> None:
        if relevant.items:
            measure = measured(relevant.items)
            # Two values are compared, each of which may be off.
            rounding[query] = 2 * measure.rounding
            if (row == 0).any():
                least = least_value(relevant, irrelevant, row, measure, budget)
                bounds[query] = max(0.0, least.value - rounding[query])
                exact[query] = least.exact and measure.exact
                examined[query] = least.examined
                codes[query] = row if least.code is None else least.code
            else:
                examined[query] = 1
        hits[query] = _histogram(relevant, codes[query], places)
        total[query] = hits[query] + _histogram(irrelevant, codes[query], places)

    question.answer(answer, threads)
    # The same sums as of any other ranking: where no bit is uncertain, the same to the last digit.
    bounds[exact] = scored(Tally(total, hits))[exact]
    return CertifiedPrecision(
        bounds, exact, (rows == 0).sum(axis=1, dtype=np.int64), codes, examined, rounding
    )


def _histogram(items: CodeCounts, row: Row, places: int) -> Ints:
    """Items at each distance from a whole code."""
    found = np.bincount(items.distances(row), weights=items.counts, minlength=places)
    return found.astype(np.int64)
