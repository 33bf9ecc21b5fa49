"""The least value of a measure over all completions of a code: best-first branch and bound.

A node fixes some of the uncertain bits; its bound lets every item go as far as the free bits allow.
Only the order of items matters, so distances may be told from any point: with f any values of the
free bits, an item of values p lies at most `|p - f|` further and at most `|p - f|` nearer than f
does, whatever the completion (the triangle inequality). Where the codes of a class agree, this
says more than "relevant items as far, all others as near as the free bits allow", which lets items
of equal bits part.

Children never have a smaller bound than their parent, so the least bound of the open nodes grows
as the search goes on; once a whole completion is no worse than any open node, its value is exact.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np

from hashbench.certifying.completions import counts_within
from hashbench.certifying.items import CodeCounts, Row
from hashbench.certifying.measures import Measure
from hashbench.retrieval.harmonic import Floats, Ints

# Up to so many bits are enumerated in one go; where there are more, the search goes by steps.
_AT_ONCE: Final = 11
_STEP: Final = 6


@dataclass(frozen=True)
class Least:
    """What a search found.

    Attributes:
        value: no completion is below it, but for rounding.
        exact: whether `code` has that value.
        code: int8 `(K,)` of +1 and -1, the worst completion that was seen; nothing where the
            search ended before it came to a whole one.
        examined: completions, whole or in part, whose value or bound was computed.
    """

    value: float
    exact: bool
    code: Row | None
    examined: int


@dataclass(frozen=True)
class _Side:
    """Relevant or irrelevant items, and how far free bits can move them to their worst side.

    Attributes:
        items: the codes.
        planes: int8 `(U, D)`, the values 0 and 1 of the uncertain bits.
        moves: int8 `(U, D)`, by how much each of these bits, while free, moves each item.
    """

    items: CodeCounts
    planes: Row
    moves: Row


@dataclass(frozen=True)
class _Step:
    """The bits that one level of the search fixes, and what it leaves free.

    Attributes:
        fixed: which of the uncertain bits.
        last: whether no bit is free below.
        patterns: of each side int64 `(D,)`, the items' values of the fixed bits, as one number.
        moves: of each side int64 `(D,)`, by how much the free bits move each item.
    """

    fixed: Ints
    last: bool
    patterns: list[Ints]
    moves: list[Ints]


@dataclass(frozen=True)
class _Family:
    """The children of a node, by growing bound."""

    node: Row
    depth: int
    bounds: Floats
    order: Ints


def least_value(
    relevant: CodeCounts, irrelevant: CodeCounts, row: Row, measure: Measure, budget: int
) -> Least:
    """The least value of a measure over all completions of a query's code, or a bound of it.

    Args:
        relevant: the items that share a label with the query, at least one.
        irrelevant: the others.
        row: int8 `(K,)` of +1 and -1, and 0 where a bit is uncertain.
        measure: what is sought.
        budget: how many completions may be looked at, whole or in part. Where there are no more
            in all, the value is exact; with 0 it is the bound of the code as a whole.
    """
    return _Search(relevant, irrelevant, row, measure).least(budget)


class _Search:
    def __init__(
        self, relevant: CodeCounts, irrelevant: CodeCounts, row: Row, measure: Measure
    ) -> None:
        self._row, self._measure = row, measure
        self._uncertain = np.flatnonzero(row == 0)
        sides = [relevant, irrelevant]
        planes = [side.planes(self._uncertain) for side in sides]
        self._sides = self._best_frame(sides, planes)

    def least(self, budget: int) -> Least:
        complete = self._uncertain.size < budget.bit_length()
        bound = self._root_bound(self._sides)
        steps = self._steps()
        node, depth, examined = self._row, 0, 0
        best, worst = np.inf, None
        # One entry for each set of children: the least bound among those that are still open.
        open_: list[tuple[float, int, int]] = []
        families: list[_Family] = []
        while complete or examined + (1 << steps[depth].fixed.size) <= budget:
            step = steps[depth]
            examined += 1 << step.fixed.size
            # Mathematically the larger one already, but for rounding.
            values = np.maximum(self._children(node, step), bound)
            if step.last:
                place = int(values.argmin())
                if values[place] < best:
                    best, worst = float(values[place]), self._child(node, step, place)
            else:
                order = np.argsort(values, kind="stable")
                heapq.heappush(open_, (float(values[order[0]]), len(families), 0))
                families.append(_Family(node, depth, values, order))
            if not open_ or open_[0][0] >= best:
                return Least(best, True, worst, examined)
            bound, number, rank = open_[0]
            family = families[number]
            if rank + 1 < family.order.size:
                following = float(family.bounds[family.order[rank + 1]])
                heapq.heapreplace(open_, (following, number, rank + 1))
            else:
                heapq.heappop(open_)
            node = self._child(family.node, steps[family.depth], int(family.order[rank]))
            depth = family.depth + 1
        return Least(min(best, bound), False, worst, examined)

    def _best_frame(self, sides: list[CodeCounts], planes: list[Row]) -> list[_Side]:
        """The way to tell distances under which the code as a whole has the largest bound."""
        far, near = planes
        frames = [[np.ones_like(far), np.zeros_like(near)]]
        shares = self._shares(sides, planes)
        for values in (shares[0] > 0.5, shares[0] + shares[1] > 1):
            point = values[:, None].astype(np.int8)
            frames.append([far ^ point, -(near ^ point)])
        found = [
            [_Side(*parts) for parts in zip(sides, planes, moves, strict=True)] for moves in frames
        ]
        return found[int(np.argmax([self._root_bound(frame) for frame in found]))]

    @staticmethod
    def _shares(sides: list[CodeCounts], planes: list[Row]) -> list[Floats]:
        """The mean of the items' 0 and 1 in each bit, of relevant and of irrelevant ones."""
        return [
            bits @ side.counts / max(1, side.items)
            for side, bits in zip(sides, planes, strict=True)
        ]

    def _root_bound(self, sides: list[_Side]) -> float:
        every = np.arange(self._uncertain.size)
        return float(self._children(self._row, _step(sides, every[:0], every), sides)[0])

    def _steps(self) -> list[_Step]:
        """The bits level by level, those first that move the items furthest while they are free.

        Measured against the difference of the mean codes of relevant and irrelevant items as the
        order, and against trying every bit at the root: it closes more searches.
        """
        reach = self._shares(
            [side.items for side in self._sides], [np.abs(side.moves) for side in self._sides]
        )
        order = np.argsort(-(reach[0] + reach[1]), kind="stable")
        if order.size <= _AT_ONCE:
            return [_step(self._sides, order, order[:0])]
        ends = list(range(order.size, 0, -_STEP))[::-1]
        starts = [0, *ends[:-1]]
        return [
            _step(self._sides, order[start:end], order[end:])
            for start, end in zip(starts, ends, strict=True)
        ]

    def _child(self, node: Row, step: _Step, number: int) -> Row:
        """The node with the bits of a step as the binary digits of a number say."""
        child = node.copy()
        digits = (number >> np.arange(step.fixed.size)) & 1
        child[self._uncertain[step.fixed]] = 2 * digits - 1
        return child

    def _children(self, node: Row, step: _Step, sides: list[_Side] | None = None) -> Floats:
        """Values of all children where none has a free bit, else bounds."""
        items = [side.items for side in sides or self._sides]
        distances = [
            side.distances(node) + moves for side, moves in zip(items, step.moves, strict=True)
        ]
        lowest = min(int(found.min()) for found in distances if found.size)
        highest = max(int(found.max()) for found in distances if found.size)
        bits = int(step.fixed.size)
        counts = [
            counts_within(
                found - lowest,
                patterns,
                side.counts,
                bits=bits,
                places=highest - lowest + bits + 1,
            )
            for found, patterns, side in zip(distances, step.patterns, items, strict=True)
        ]
        return self._measure.values(*counts) if step.last else self._measure.bounds(*counts)


def _step(sides: list[_Side], fixed: Ints, free: Ints) -> _Step:
    weights = np.int64(1) << np.arange(fixed.size, dtype=np.int64)
    return _Step(
        fixed,
        free.size == 0,
        [weights @ side.planes[fixed] for side in sides],
        [side.moves[free].sum(axis=0) for side in sides],
    )
