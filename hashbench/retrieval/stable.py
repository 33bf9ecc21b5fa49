"""Ranking with ties in the order of the database: a radix sort of small whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from hashbench.retrieval.checks import Array
from hashbench.retrieval.harmonic import Floats, Ints
from hashbench.retrieval.kernel import DistanceBuffer
from hashbench.retrieval.masks import relevance
from hashbench.retrieval.packing import Bytes
from hashbench.retrieval.queries import Queries
from hashbench.retrieval.tally import Tally

# Precisions are summed as whole multiples of 2^-62 in two halves of 31 bits, so that the sum does
# not depend on how the database is cut into shards.
_UNIT_BITS: Final = 62
_HALF_BITS: Final = 31


@dataclass(frozen=True)
class Hits:
    """Relevant items of one query in one shard that lie inside the list.

    Attributes:
        query: the query's position.
        order: int64, each item's number among the query's relevant items, from 1, rising.
        rank: int64, its rank in the list, from 1, rising.
    """

    query: int
    order: Ints
    rank: Ints


class Ranks:
    """The next free rank of every query and distance, as shards are passed in order."""

    def __init__(self, tally: Tally, length: int) -> None:
        places = np.cumsum(tally.total, axis=1)
        self.length = length
        # The distance at which the list ends.
        self.last: Ints = (places >= length).argmax(axis=1)
        self._place = places - tally.total
        self._hit = np.cumsum(tally.relevant, axis=1) - tally.relevant

    def room(self, query: int) -> int:
        """Places of the last distance that are still free."""
        return max(0, self.length - int(self._place[query, self.last[query]]))

    def take(self, query: int, near: Array, found: Array) -> Hits:
        """Place a shard's items, and move on behind them.

        Args:
            query: the query's position.
            near: distances of the shard's items inside the list, sorted.
            found: rising positions in ``near`` that hold relevant items.
        """
        bins = self._place.shape[1]
        here = near[found]
        total, count = np.bincount(near, minlength=bins), np.bincount(here, minlength=bins)
        rank = found + (self._place[query] - (np.cumsum(total) - total) + 1)[here]
        order = np.arange(1, found.size + 1) + (self._hit[query] - (np.cumsum(count) - count))[here]
        self._place[query] += total
        self._hit[query] += count
        return Hits(query, order, rank)


def stable_hits(
    queries: Queries, shards: Iterable[tuple[Bytes, Bytes]], tally: Tally, length: int
) -> Iterator[Hits]:
    """The hits of every query and shard among the first ``length`` items of the ranking.

    ``shards`` are packed codes and labels in database order, ``tally`` is that of all of them.
    """
    ranks = Ranks(tally, length)
    for codes, labels in shards:
        whole = codes.shape[0] == tally.items
        buffer = DistanceBuffer(queries, codes)
        distance: Array = np.empty(codes.shape[0], dtype=queries.key_type)
        for group, relevant in relevance(queries, labels):
            for query in group.members.tolist():
                buffer.fill(query, distance)
                chosen = _nearest(distance, int(ranks.last[query]), ranks.room(query))
                found = np.flatnonzero(relevant[chosen])
                if whole:
                    yield Hits(query, np.arange(1, found.size + 1), found + 1)
                else:
                    yield ranks.take(query, distance[chosen], found)


def precision_sums(hits: Iterable[Hits], queries: int) -> tuple[Floats, Ints]:
    """For each query the sum of the precisions at its hits, and how many hits there are."""
    high, low = np.zeros(queries, dtype=np.int64), np.zeros(queries, dtype=np.int64)
    count = np.zeros(queries, dtype=np.int64)
    for found in hits:
        units = (found.order / found.rank * 2.0**_UNIT_BITS).astype(np.int64)
        high[found.query] += (units >> _HALF_BITS).sum()
        low[found.query] += (units & ((1 << _HALF_BITS) - 1)).sum()
        count[found.query] += found.order.size
    sums = [
        ((int(upper) << _HALF_BITS) + int(lower)) / (1 << _UNIT_BITS)
        for upper, lower in zip(high, low, strict=True)
    ]
    return np.array(sums, dtype=np.float64), count


def _nearest(distance: Array, last: int, room: int) -> Array:
    """Positions of the items nearer than ``last`` and of the first ``room`` at it, in order."""
    # A stable sort of 8 and 16 bit integers is a radix sort.
    edge = np.flatnonzero(distance == last)[:room]
    inside = np.flatnonzero(distance < last)
    if inside.size + edge.size == distance.size:
        return np.argsort(distance, kind="stable")
    return np.concatenate([inside[np.argsort(distance[inside], kind="stable")], edge])
