"""The least AP word for word: every completion, every item sorted, every order of the ties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True)
class Case:
    """One query with uncertain bits, and a database."""

    row: Any
    query_labels: Any
    codes: Any
    labels: Any

    def arguments(self) -> tuple[Any, Any, Any, Any]:
        """As the room's functions take them."""
        return np.array([self.row]), np.array([self.query_labels]), self.codes, self.labels

    def completions(self) -> Iterator[list[int]]:
        """All codes of +1 and -1 that the row allows."""
        choices = [(-1, 1) if value == 0 else (int(value),) for value in self.row]
        return (list(code) for code in itertools.product(*choices))

    def ranked(self, code: list[int]) -> list[tuple[int, bool]]:
        """Distance and relevance of all items, nearest first; in a tie relevant ones last."""
        items = []
        for other, labels in zip(self.codes.tolist(), self.labels.tolist(), strict=True):
            relevant = any(a and b for a, b in zip(self.query_labels, labels, strict=True))
            items.append((sum(a != b for a, b in zip(code, other, strict=True)), relevant))
        return sorted(items)


def worst_precision(ranked: list[tuple[int, bool]], top_k: int | None, normalize: str) -> float:
    """AP of a ranking, the least over all orders inside its ties."""
    length = len(ranked) if top_k is None else min(top_k, len(ranked))
    hits = [relevant for _, relevant in ranked]
    found = [_precision(hits[:length], sum(hits), length, normalize)]
    if length < len(ranked):
        # A tie that the list cuts may have more hits inside it than the fewest; they come last.
        last = ranked[length - 1][0]
        start = sum(distance < last for distance, _ in ranked)
        tie = [relevant for distance, relevant in ranked if distance == last]
        room = length - start
        for inside in range(min(sum(tie), room) + 1):
            if room - inside <= len(tie) - sum(tie):
                cut = hits[:start] + [False] * (room - inside) + [True] * inside
                found.append(_precision(cut, sum(hits), length, normalize))
    return min(found)


def mean_precision(ranked: list[tuple[int, bool]], top_k: int | None, normalize: str) -> float:
    """AP of a ranking, the mean over all orders inside its ties."""
    ties = itertools.groupby(ranked, key=lambda item: item[0])
    shape = tuple(tuple(relevant for _, relevant in tie) for _, tie in ties)
    return _mean(shape, len(ranked) if top_k is None else min(top_k, len(ranked)), normalize)


@cache
def _mean(ties: tuple[tuple[bool, ...], ...], length: int, normalize: str) -> float:
    """The mean over every way to place the hits inside each tie; all are as likely."""
    ways = [
        [[place in hits for place in range(len(tie))] for hits in _places(len(tie), sum(tie))]
        for tie in ties
    ]
    found = []
    for parts in itertools.product(*ways):
        hits = list(itertools.chain(*parts))
        found.append(_precision(hits[:length], sum(hits), length, normalize))
    return math.fsum(found) / len(found)


def _places(count: int, hits: int) -> Iterator[tuple[int, ...]]:
    return itertools.combinations(range(count), hits)


def least_precision(
    case: Case, top_k: int | None = None, normalize: str = "relevant", ties: str = "worst"
) -> float:
    """The least AP over all completions."""
    precision = {"worst": worst_precision, "expected": mean_precision}[ties]
    return min(precision(case.ranked(code), top_k, normalize) for code in case.completions())


def random_case(rng: np.random.Generator, *, items: int = 12, bits: int = 9, free: int = 7) -> Case:
    """A small case: few bits, so that there are ties."""
    width = int(rng.integers(1, bits + 1))
    count, classes = int(rng.integers(1, items + 1)), int(rng.integers(1, 4))
    row = rng.choice([-1, 1], width)
    row[rng.permutation(width)[: rng.integers(0, free + 1)]] = 0
    labels = (rng.random((count, classes)) < rng.choice([0.2, 0.5, 0.8])).astype(int)
    query = rng.integers(0, 2, classes)
    return Case(row, query.tolist(), rng.choice([-1, 1], (count, width)), labels)


@st.composite
def cases(draw: st.DrawFn, *, free: int = 8, items: int = 8) -> Case:
    """Cases with 0 to `free` uncertain bits, drawn so that they can be made smaller."""
    width = draw(st.integers(1, free + 2))
    count, classes = draw(st.integers(1, items)), draw(st.integers(1, 2))

    def table(rows: int, columns: int, values: list[int]) -> Any:
        row = st.lists(st.sampled_from(values), min_size=columns, max_size=columns)
        return np.array(draw(st.lists(row, min_size=rows, max_size=rows)))

    row = table(1, width, [-1, 1, 0, 0, 0])[0]
    row[np.flatnonzero(row == 0)[free:]] = 1
    return Case(
        row,
        table(1, classes, [0, 1, 1])[0].tolist(),
        table(count, width, [-1, 1]),
        table(count, classes, [0, 1]),
    )


def _precision(hits: list[bool], relevant: int, length: int, normalize: str) -> float:
    total = sum(sum(hits[:place]) / place for place, hit in enumerate(hits, 1) if hit)
    divisor = {"relevant": relevant, "capped": min(length, relevant), "retrieved": sum(hits)}
    return total / divisor[normalize] if divisor[normalize] else 0.0
