"""Histograms of Hamming distance, all items and relevant items: all that tie rules need to know.

Tallies of parts of a database add up to the tally of the whole, in any order, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashbench.errors import UsageError
from hashbench.retrieval import tally_file
from hashbench.retrieval import ties as closed_form
from hashbench.retrieval.harmonic import Floats, Ints
from hashbench.retrieval.options import Normalize, Ties
from hashbench.retrieval.ties import Tie


@dataclass(frozen=True)
class Tally:
    """Items per query and distance.

    Attributes:
        total: int64 ``(Q, K + 1)``, database items at distance 0 to K of each query.
        relevant: int64 ``(Q, K + 1)``, those of them that share a label with the query.

    Examples:
        Counts of two parts of a database, one of them made elsewhere:

        >>> here = Tally(np.array([[1, 2]]), np.array([[1, 0]]))
        >>> there = Tally.from_bytes(Tally(np.array([[0, 4]]), np.array([[0, 3]])).to_bytes())
        >>> (here + there).total.tolist(), (here + there).items
        ([[1, 6]], 7)
    """

    total: Ints
    relevant: Ints

    @classmethod
    def from_bytes(cls, content: bytes) -> Tally:
        """The tally that `to_bytes` wrote.

        Raises:
            ValueError: bytes of anything else, or counts that no database can have.
        """
        tally = cls(*tally_file.from_bytes(content))
        if (tally.relevant < 0).any() or (tally.relevant > tally.total).any():
            raise UsageError("content: found more relevant items than items, or fewer than none")
        if (tally.total.sum(axis=1) != tally.items).any():
            raise UsageError(
                "content: found queries that were compared with other items than others"
            )
        return tally

    def to_bytes(self) -> bytes:
        """The counts as an .npz file; equal counts give equal bytes."""
        return tally_file.to_bytes({"total": self.total, "relevant": self.relevant})

    def __add__(self, other: Tally) -> Tally:
        if self.total.shape != other.total.shape:
            # numpy would stretch one query's counts over all queries.
            raise UsageError(
                f"tallies: expected those of the same queries and codes, found shapes "
                f"{self.total.shape} and {other.total.shape}"
            )
        return Tally(self.total + other.total, self.relevant + other.relevant)

    def __getitem__(self, index: slice) -> Tally:
        return Tally(self.total[index], self.relevant[index])

    @property
    def queries(self) -> int:
        """Number of queries."""
        return int(self.total.shape[0])

    @property
    def items(self) -> int:
        """Number of database items."""
        return int(self.total[0].sum())

    @property
    def relevant_items(self) -> Ints:
        """Relevant database items of each query, int64 ``(Q,)``."""
        count: Ints = self.relevant.sum(axis=1)
        return count

    def length(self, top_k: int | None) -> int:
        """Items in the list that ``top_k`` asks for."""
        return self.items if top_k is None else min(top_k, self.items)

    def tied(self, top_k: int | None) -> Tie:
        """All ties of all queries, arrays ``(Q, K + 1)``."""
        before = np.cumsum(self.total, axis=1) - self.total
        hits = np.cumsum(self.relevant, axis=1) - self.relevant
        inside = np.clip(self.length(top_k) - before, 0, self.total)
        return Tie(before, hits, self.total, self.relevant, inside)

    def divisor(self, top_k: int | None, normalize: Normalize) -> Ints:
        """What the sum of precisions is divided by, ``(Q,)``, where no order can change it."""
        if normalize is Normalize.RELEVANT:
            return self.relevant_items
        return np.minimum(self.length(top_k), self.relevant_items)


# Queries whose ties are worked on together: bounds the float temporaries at a few MB.
_BLOCK_VALUES = 1 << 16


def average_precision_of(
    tally: Tally, *, top_k: int | None, ties: Ties, normalize: Normalize
) -> Floats:
    """Average precision ``(Q,)`` under any tie rule but ``STABLE``, which needs the order."""
    result = np.zeros(tally.queries, dtype=np.float64)
    step = max(1, _BLOCK_VALUES // tally.total.shape[1])
    for start in range(0, tally.queries, step):
        block = slice(start, start + step)
        result[block] = _average_precision(tally[block], top_k, ties, normalize)
    return result


def hits_inside(tally: Tally, *, top_k: int | None, ties: Ties) -> Floats:
    """Relevant items inside the list ``(Q,)``: their mean, most or fewest over the orders."""
    tie = tally.tied(top_k)
    if ties is Ties.BEST:
        inside = tie.most.astype(np.float64)
    elif ties is Ties.WORST:
        inside = tie.least.astype(np.float64)
    else:
        inside = tie.m * (tie.r / np.maximum(1, tie.n))
    total: Floats = inside.sum(axis=1)
    return total


def _average_precision(tally: Tally, top_k: int | None, ties: Ties, normalize: Normalize) -> Floats:
    tie = tally.tied(top_k)
    cut = (tie.m > 0) & (tie.m < tie.n)
    sums = _sums(tie, ties)
    if normalize is not Normalize.RETRIEVED or not cut.any():
        divisor = (
            np.where(tie.m == tie.n, tie.r, 0).sum(axis=1)
            if normalize is Normalize.RETRIEVED
            else tally.divisor(top_k, normalize)
        )
        return ratio(sums.sum(axis=1), divisor)
    sums[cut] = 0.0
    so_far = sums.sum(axis=1)
    result = ratio(so_far, np.where(tie.m == tie.n, tie.r, 0).sum(axis=1))
    rows = np.flatnonzero(cut.any(axis=1))
    result[rows] = _CUT[ties](tie[cut], so_far[rows])
    return result


def _sums(tie: Tie, ties: Ties) -> Floats:
    if ties is Ties.BEST:
        return closed_form.first_sum(tie, tie.most)
    if ties is Ties.WORST:
        return closed_form.last_sum(tie, tie.least)
    return closed_form.expected_sum(tie)


_CUT = {
    Ties.EXPECTED: closed_form.expected_cut,
    Ties.BEST: closed_form.best_cut,
    Ties.WORST: closed_form.worst_cut,
}


def ratio(total: Floats | Ints, count: Ints) -> Floats:
    """``total / count``; a query without a relevant item scores 0."""
    return np.where(count > 0, total / np.maximum(count, 1), 0.0)
