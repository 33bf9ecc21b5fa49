"""Fixtures of the retrieval tests: slow but obvious oracles, small random problems."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Problem:
    """Codes and labels in the order in which the public functions take them."""

    query_codes: Any
    database_codes: Any
    query_labels: Any
    database_labels: Any

    def __iter__(self) -> Iterator[Any]:
        yield self.query_codes
        yield self.database_codes
        yield self.query_labels
        yield self.database_labels

    def rows(self) -> Iterator[tuple[list[int], list[int]]]:
        """Per query the distances and the 0/1 relevance of all items, in database order."""
        for code, label in zip(self.query_codes, self.query_labels, strict=True):
            distance = (code != self.database_codes).sum(axis=1)
            relevant = (label * self.database_labels).sum(axis=1) > 0
            yield distance.tolist(), relevant.astype(int).tolist()


def list_score(relevant: Sequence[int], length: int, normalize: str) -> Fraction:
    """Average precision of one list, as every paper defines it."""
    hits = [place for place, hit in enumerate(relevant[:length], 1) if hit]
    total = sum((Fraction(n, place) for n, place in enumerate(hits, 1)), Fraction(0))
    count = {"retrieved": len(hits), "relevant": sum(relevant)}.get(
        normalize, min(length, sum(relevant))
    )
    return total / count if count else Fraction(0)


def orders(distances: Sequence[int]) -> Iterator[list[int]]:
    """Every ranking of the items that is sorted by distance."""
    ties = [
        [item for item, at in enumerate(distances) if at == distance]
        for distance in sorted(set(distances))
    ]
    for parts in itertools.product(*(itertools.permutations(tie) for tie in ties)):
        yield [item for part in parts for item in part]


def walk(
    distances: Sequence[int], relevant: Sequence[int], length: int, ties: str, normalize: str
) -> Fraction:
    """Walk down the list; per number of hits: its chance and the sum of precisions (see below).

    For ``expected`` the sum is weighted with the chance, else it is the best or the worst one.
    """
    pick: Any = {"best": max, "worst": min}.get(ties)
    states, rank, count = {0: (Fraction(1), Fraction(0))}, 0, 0
    for distance in sorted(set(distances)):
        tie = [hit for hit, at in zip(relevant, distances, strict=True) if at == distance]
        count += sum(tie)
        for left in range(len(tie), 0, -1):
            if rank == length:
                break
            rank, before, states = rank + 1, states, {}
            for hits, (chance, total) in before.items():
                hit = Fraction(count - hits, left)
                for step, part in ((1, hit), (0, 1 - hit)):
                    gain = Fraction(step * (hits + 1), rank)
                    if part and pick is None:
                        old = states.get(hits + step, (Fraction(0), Fraction(0)))
                        new = (chance * part, total * part + chance * part * gain)
                        states[hits + step] = (old[0] + new[0], old[1] + new[1])
                    elif part:
                        old = states.get(hits + step, (Fraction(0), total + gain))
                        states[hits + step] = (Fraction(0), pick(old[1], total + gain))
    fixed = {"relevant": sum(relevant), "capped": min(length, sum(relevant))}
    scores = [total / max(1, fixed.get(normalize, hits)) for hits, (_, total) in states.items()]
    return sum(scores, Fraction(0)) if pick is None else pick(scores)


def brute_average_precision(
    problem: Problem, top_k: int | None, ties: str, normalize: str
) -> list[float]:
    """Average precision of each query by exact fractions, without any closed form."""
    scores = []
    for distances, relevant in problem.rows():
        length = len(distances) if top_k is None else min(top_k, len(distances))
        if ties == "stable":
            order = sorted(range(len(distances)), key=distances.__getitem__)
            scores.append(list_score([relevant[item] for item in order], length, normalize))
        else:
            scores.append(walk(distances, relevant, length, ties, normalize))
    return [float(score) for score in scores]


def random_problem(
    rng: np.random.Generator,
    *,
    queries: int = 7,
    items: int = 60,
    bits: int = 5,
    classes: int = 4,
    density: float = 0.3,
) -> Problem:
    """Few bits, so that ties are the rule."""
    signs = np.array([-1, 1], dtype=np.int8)
    return Problem(
        rng.choice(signs, (queries, bits)),
        rng.choice(signs, (items, bits)),
        (rng.random((queries, classes)) < density).astype(np.int64),
        (rng.random((items, classes)) < density).astype(np.int64),
    )


@pytest.fixture(scope="session")
def make_problem() -> Callable[..., Problem]:
    return random_problem


@pytest.fixture(scope="session")
def problem_type() -> type[Problem]:
    return Problem


@pytest.fixture(scope="session")
def brute() -> Callable[[Problem, int | None, str, str], list[float]]:
    return brute_average_precision


@pytest.fixture(scope="session")
def all_orders() -> Callable[[Sequence[int]], Iterator[list[int]]]:
    return orders


@pytest.fixture(scope="session")
def score_list() -> Callable[[Sequence[int], int, str], Fraction]:
    return list_score
