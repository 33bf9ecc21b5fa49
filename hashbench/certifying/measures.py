"""The measures of a ranking of which a least value is sought, over whole and half known codes.

All work on counts `[d, c]`: the items within distance d of completion c. Ties are in their worst
order, relevant items last among those at one distance, unless the measure is a mean over orders.

Where some bits are still free, the counts are those of a ranking that no completion of them can
undercut: it has at least as many irrelevant items before its k-th relevant one, for every k. Call
that number b_k; the true ranking has x_k <= b_k. It is so for the worst order of ties, and for each
order that one shuffled deck of all items decides, in both rankings: an irrelevant item that is
before a relevant one in the true ranking is no further and that one no nearer in the counts. So the
mean over the decks bounds the mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np
from typing_extensions import override

from hashbench.retrieval import Normalize, Tally, Ties
from hashbench.retrieval.checks import Array
from hashbench.retrieval.harmonic import Floats, harmonic_difference
from hashbench.retrieval.tally import average_precision_of, hits_inside

# Harmonic numbers of shorter lists are read from a table, 8 MB of it.
_TABLE_ITEMS: Final = 1 << 20
_UNIT: Final = float(np.finfo(np.float64).eps) / 2


class Measure(ABC):
    """What is measured of a ranking, in `[0, 1]`; more relevant items further ahead score more."""

    @property
    @abstractmethod
    def rounding(self) -> float:
        """By how much a value may differ from the true one for rounding in float64."""

    @property
    def exact(self) -> bool:
        """Whether `values` are the measure itself, and not just a lower bound of it."""
        return True

    @abstractmethod
    def values(self, relevant: Array, irrelevant: Array) -> Floats:
        """The measure of whole rankings, float64 `(columns,)`, or less where it is not `exact`.

        Args:
            relevant: int32 or int64 `(places, columns)`, relevant items within each distance.
            irrelevant: the same of the others.
        """

    def bounds(self, relevant: Array, irrelevant: Array) -> Floats:
        """A value that no ranking with x_k <= b_k for all k is below, given the counts of b."""
        return self.values(relevant, irrelevant)

    @abstractmethod
    def of(self, tally: Tally) -> Floats:
        """The measure `(Q,)` as `hashbench.retrieval` computes it, to the last digit."""


@dataclass(frozen=True)
class Precision(Measure):
    """The share of relevant items among the first `length`."""

    length: int

    @property
    @override
    def rounding(self) -> float:
        return 2 * _UNIT

    @override
    def values(self, relevant: Array, irrelevant: Array) -> Floats:
        inside, _, _ = _hits(relevant, irrelevant, self.length)
        share: Floats = inside.sum(axis=0) / self.length
        return share

    @override
    def of(self, tally: Tally) -> Floats:
        return hits_inside(tally, top_k=self.length, ties=Ties.WORST) / self.length


@dataclass(frozen=True)
class AveragePrecision(Measure):
    """Average precision of the first `length` items; every rule of what it is divided by.

    With a divisor that no ranking changes (`relevant`, `capped`, and `retrieved` where the list is
    the whole database) the sum over the hits of `k / (k + x_k)` with `k + x_k <= length` falls with
    every x_k, so its value at b bounds it.

    Divided by the hits inside the list (`retrieved`) it can rise when a late hit falls out. With h
    hits inside, `x_k <= x_h <= length - h` for each of them, so the mean of
    `k / (k + min(b_k, length - h))` over k = 1 to h is a lower bound, and the least of it over all
    h that b allows bounds every ranking. For the h between two values of b this is the mean over a
    list that ends inside a tie of all further relevant items and the irrelevant ones between, which
    has one valley in h (`hashbench.retrieval.ties.worst_cut`).

    The mean over the orders of ties (`Ties.EXPECTED`) is that of McSherry and Najork 2008, with
    those divisors that no ranking changes; of hits inside a list that ends before the database the
    worst order's value stands for it, which is not above it.

    Attributes:
        length: items in the list, at most `items`.
        items: of the database.
        relevant: of them, at least 1.
        normalize: what the sum of precisions is divided by.
        harmonic: see `harmonic_numbers`.
        ties: `WORST` or `EXPECTED`.
    """

    length: int
    items: int
    relevant: int
    normalize: Normalize
    harmonic: Floats | None
    ties: Ties = Ties.WORST

    @property
    @override
    def rounding(self) -> float:
        # Each of at most `relevant` sums (one a distance) is a count minus a count times the
        # difference of two harmonic numbers, each of which is right to some 4 units of its last
        # place: at most `items * 8 * unit * H`. The divisor is at least the number of those sums.
        # In a mean the second count has been rounded 4 times before, and no term is larger.
        largest = float(np.log(self.items) + 1)
        units = 8 if self.ties is Ties.WORST else 12
        return units * _UNIT * self.items * largest + (2 * self.relevant.bit_length() + 8) * _UNIT

    @property
    @override
    def exact(self) -> bool:
        return self.ties is Ties.WORST or not self._divided_by_hits

    @property
    def _divided_by_hits(self) -> bool:
        return self.normalize is Normalize.RETRIEVED and self.length < self.items

    @override
    def values(self, relevant: Array, irrelevant: Array) -> Floats:
        if not self._divided_by_hits:
            sums = self._sums if self.ties is Ties.WORST else self._mean_sums
            total: Floats = sums(relevant, irrelevant).sum(axis=0) / self._divisor
            return total
        # The list ends inside the first tie whose last item lies outside.
        last = (relevant + irrelevant > self.length).argmax(axis=0)[None]
        so_far, hits, before = self._ahead(relevant, irrelevant, last)
        room = self.length - hits - before
        tied = (np.take_along_axis(counts, last, axis=0) for counts in (relevant, irrelevant))
        more, others = (now - ahead for now, ahead in zip(tied, (hits, before), strict=True))
        least = self._least_mean(so_far, hits, np.maximum(0, room - others), np.minimum(more, room))
        found: Floats = least[0]
        return found

    @override
    def bounds(self, relevant: Array, irrelevant: Array) -> Floats:
        if not self._divided_by_hits:
            return self.values(relevant, irrelevant)
        every = np.broadcast_to(np.arange(len(relevant))[:, None], relevant.shape)
        so_far, hits, before = self._ahead(relevant, irrelevant, every)
        # Behind the items ahead come h - hits further ones, and `length - h` irrelevant ones in
        # all, which is more than there are ahead and no more than here.
        low = np.maximum(0, self.length - irrelevant - hits)
        high = np.minimum(self.relevant - hits, self.length - before - hits)
        open_ = (irrelevant > before) & (low <= high)
        found = np.ones(relevant.shape)
        found[open_] = self._least_mean(so_far[open_], hits[open_], low[open_], high[open_])
        least: Floats = found.min(axis=0)
        return least

    @override
    def of(self, tally: Tally) -> Floats:
        return average_precision_of(
            tally, top_k=self.length, ties=self.ties, normalize=self.normalize
        )

    @property
    def _divisor(self) -> int:
        if self.normalize is Normalize.RELEVANT:
            return self.relevant
        return min(self.length, self.relevant)

    def _sums(self, relevant: Array, irrelevant: Array) -> Floats:
        """The sum of precisions at the hits of each distance."""
        inside, start, end = _hits(relevant, irrelevant, self.length)
        sums: Floats = inside - irrelevant * self._span(start, end)
        return sums

    def _mean_sums(self, relevant: Array, irrelevant: Array) -> Floats:
        """Its mean over all orders; `hashbench.retrieval.ties` has the same form."""
        total = relevant + irrelevant
        hits, start = _before(relevant), _before(total)
        tied, wanted = total - start, relevant - hits
        inside = np.clip(self.length - start, 0, tied)
        # Given a hit at one place of a tie, another place has one with this chance.
        other = np.where(tied > 1, (wanted - 1) / np.maximum(1, tied - 1), 1.0)
        ahead = hits + 1 - other - other * start
        share = wanted / np.maximum(1, tied)
        sums: Floats = share * (other * inside + ahead * self._span(start, start + inside))
        return sums

    def _span(self, start: Array, end: Array) -> Floats:
        """`1 / (start + 1) + ... + 1 / end`."""
        if self.harmonic is None:
            return harmonic_difference(start.astype(np.int64), end.astype(np.int64))
        span: Floats = self.harmonic[end] - self.harmonic[start]
        return span

    def _ahead(self, relevant: Array, irrelevant: Array, at: Array) -> tuple[Floats, Array, Array]:
        """Before some distances: the sum of precisions, relevant items, irrelevant items."""
        sums = np.cumsum(self._sums(relevant, irrelevant), axis=0)
        so_far, hits, before = (
            np.take_along_axis(np.concatenate([np.zeros_like(counts[:1]), counts]), at, axis=0)
            for counts in (sums, relevant, irrelevant)
        )
        return so_far, hits, before

    def _least_mean(self, so_far: Floats, hits: Array, low: Array, high: Array) -> Floats:
        """The least mean precision of `hits` and of `low` to `high` hits at the end of the list.

        As in `hashbench.retrieval.ties.worst_cut`: the sum is convex in their number, so that the
        mean has one valley. The harmonic numbers come from the table, which is several times as
        fast.
        """

        def mean(more: Array) -> Floats:
            start = self.length - more
            total = (
                so_far + more - (start - hits) * self._span(start, np.full_like(more, self.length))
            )
            count = hits + more
            return np.where(count > 0, total / np.maximum(count, 1), 0.0)

        most = high
        while (low < high).any():
            middle = (low + high) // 2
            rising = mean(np.minimum(middle + 1, most)) >= mean(middle)
            unknown = low < high
            high = np.where(unknown & rising, middle, high)
            low = np.where(unknown & ~rising, middle + 1, low)
        return mean(low)


def harmonic_numbers(items: int) -> Floats | None:
    """The harmonic numbers of 0 to `items`; nothing for a database too large for a table."""
    if items > _TABLE_ITEMS:
        return None
    until = np.arange(items + 1, dtype=np.int64)
    return harmonic_difference(np.zeros_like(until), until)


def _hits(relevant: Array, irrelevant: Array, length: int) -> tuple[Array, Array, Array]:
    """Relevant items of each distance inside the list; the ranks before the first and of the last.

    They stand behind all irrelevant items of their distance.
    """
    before = _before(relevant)
    start = before + irrelevant
    inside = np.clip(length - start, 0, relevant - before)
    return inside, start, start + inside


def _before(within: Array) -> Array:
    """Counts nearer than each distance, of those within it."""
    before = np.zeros_like(within)
    before[1:] = within[:-1]
    return before
