"""Precision and recall at a length, a radius, and levels of recall, against enumeration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from math import comb
from typing import Any

import numpy as np
import pytest

from hashbench.retrieval import (
    precision_at,
    precision_recall_curve,
    precision_within_radius,
    recall_at,
)

Orders = Callable[[Sequence[int]], Iterator[list[int]]]
PICKS: dict[str, Callable[[list[float]], float]] = {
    "expected": lambda values: sum(values) / len(values),
    "best": max,
    "worst": min,
}


@pytest.fixture(params=range(12))
def problem(request: pytest.FixtureRequest, make_problem: Callable[..., Any]) -> Any:
    rng = np.random.default_rng(request.param)
    return make_problem(
        rng, queries=3, items=7, bits=int(rng.integers(1, 4)), classes=2, density=0.45
    )


def values(
    problem: Any, ties: str, all_orders: Orders, measure: Callable[[list[int]], float]
) -> list[float]:
    """The measure of each query's list, over the orders that the tie rule speaks of."""
    result = []
    for distances, relevant in problem.rows():
        if ties == "stable":
            order = sorted(range(len(distances)), key=distances.__getitem__)
            result.append(measure([relevant[item] for item in order]))
        else:
            lists = [[relevant[item] for item in order] for order in all_orders(distances)]
            result.append(PICKS[ties]([measure(one) for one in lists]))
    return result


def share_of_list(length: int, hits: list[int]) -> float:
    return sum(hits[:length]) / length


def share_of_relevant(length: int, hits: list[int]) -> float:
    return sum(hits[:length]) / max(1, sum(hits))


@pytest.mark.parametrize("ties", ["expected", "stable", "best", "worst"])
def test_at_a_length(problem: Any, ties: str, all_orders: Orders) -> None:
    for length in (1, 2, 5, 7, 9):
        inside = min(length, 7)
        wanted = values(problem, ties, all_orders, partial(share_of_list, inside))
        got = precision_at(*problem, top_k=length, ties=ties)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-14)
        wanted = values(problem, ties, all_orders, partial(share_of_relevant, inside))
        got = recall_at(*problem, top_k=length, ties=ties)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-14)


def test_within_a_radius(problem: Any) -> None:
    for radius in range(5):
        wanted = []
        for distances, relevant in problem.rows():
            near = [hit for hit, at in zip(relevant, distances, strict=True) if at <= radius]
            wanted.append(sum(near) / len(near) if near else 0)
        np.testing.assert_allclose(
            precision_within_radius(*problem, radius=radius), wanted, atol=1e-15
        )


@pytest.mark.parametrize("ties", ["expected", "stable", "best", "worst"])
@pytest.mark.parametrize("rounding", ["up", "down"])
def test_at_levels_of_recall(problem: Any, ties: str, rounding: str, all_orders: Orders) -> None:
    levels = [0.1, 1 / 3, 0.5, 0.7, 1.0]

    def precision(level: float, hits: list[int]) -> float:
        exact = Fraction(level).limit_denominator(100) * sum(hits)
        goal = -(-exact // 1) if rounding == "up" else exact // 1
        places = [place for place, hit in enumerate(hits, 1) if hit]
        return float(goal / places[int(goal) - 1]) if goal else 0.0

    curve = precision_recall_curve(*problem, levels=levels, ties=ties, rounding=rounding)
    assert curve.recall.tolist() == levels
    for level, got in zip(levels, curve.precision, strict=True):
        wanted = values(problem, ties, all_orders, partial(precision, level))
        assert got == pytest.approx(np.mean(wanted), abs=1e-14)


@pytest.mark.parametrize(
    ("before", "n", "r"), [(0, 400, 3), (55, 300, 150), (7, 250, 249), (2, 90, 90)]
)
def test_long_ties_at_levels_of_recall(before: int, n: int, r: int) -> None:
    codes = np.ones((before + n, 1), dtype=int)
    codes[before:] = -1
    labels = np.zeros((before + n, 1), dtype=int)
    labels[before : before + r] = 1
    for number in {1, max(1, r // 3), r}:
        # The place of that hit inside the tie is negative hypergeometric.
        wanted = sum(
            Fraction(comb(place - 1, number - 1) * comb(n - place, r - number), comb(n, r))
            * Fraction(number, before + place)
            for place in range(number, n - r + number + 1)
        )
        curve = precision_recall_curve([[1]], codes, [[1]], labels, levels=[number / r])
        assert curve.precision[0] == pytest.approx(float(wanted), abs=1e-13)


@pytest.mark.parametrize("levels", [[], [0.0], [1.1], [float("nan")], [[0.5]]])
def test_levels_are_recalls(problem: Any, levels: Any) -> None:
    with pytest.raises(ValueError, match="levels: expected recalls above 0 and at most 1"):
        precision_recall_curve(*problem, levels=levels)


def test_lengths_and_radii_are_whole_numbers(problem: Any) -> None:
    with pytest.raises(ValueError, match="top_k: expected a whole number of at least 1, found 0"):
        precision_at(*problem, top_k=0)
    with pytest.raises(ValueError, match="radius: expected a whole number of at least 0, found -1"):
        precision_within_radius(*problem, radius=-1)
