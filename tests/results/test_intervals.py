"""Intervals: scipy's own, closed forms, how often they hold the truth, what is told apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit
from scipy.stats import bootstrap

from hashbench.results import intervals as room
from hashbench.results.intervals import (
    APART,
    LEVEL,
    RESAMPLES,
    SEED,
    Interval,
    are_apart,
    difference,
    intervals,
    over_seeds,
    unseparated,
)
from hashbench.retrieval import average_precision

Scores = NDArray[np.float64]

ROUNDING = 1e-12
"""Sums of a thousand float64 in [0, 1], added in another order, differ by less."""


def of(row: Scores, level: float = LEVEL) -> Interval:
    (found,) = intervals([row], level)
    assert found is not None
    return found


def ends(found: Interval | None) -> tuple[float, float]:
    assert found is not None
    return (found.low, found.high)


def skewed(queries: int, seed: int = 0) -> Scores:
    """As robust APs are: most near 0, some high."""
    return np.random.default_rng(seed).beta(0.3, 1.5, queries)


# --- What scipy says of one row ---


def of_scipy(row: Scores, level: float, seed: int) -> tuple[float, float]:
    """The interval of scipy itself, at the level that Hesterberg's correction asks for."""
    count = len(row)
    quantile = np.sqrt(count / (count - 1)) * stdtrit(count - 1, (1 - level) / 2)
    found = bootstrap(
        (row,),
        np.mean,
        n_resamples=RESAMPLES,
        vectorized=True,
        confidence_level=1 - 2 * float(ndtr(quantile)),
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return (float(found.low), float(found.high))


@pytest.mark.parametrize("level", [LEVEL, APART])
@pytest.mark.parametrize("queries", [30, 100, 500, 1000])
def test_it_is_scipys_interval_of_the_same_draws(queries: int, level: float) -> None:
    """Values of no two alike sums: where a draw has the very mean, scipy's rounding decides."""
    for seed in range(3):
        row = skewed(queries, seed)
        assert ends(of(row, level)) == pytest.approx(of_scipy(row, level, SEED), abs=ROUNDING)


def test_other_draws_give_the_same_up_to_the_error_of_drawing() -> None:
    """An end is a quantile of N draws: its deviation is sqrt(p (1 - p) / N) / density.

    For draws of deviation s about normal that is 0.03 s at p = 0.025, and the bias correction, a
    share of N draws too, moves both ends by sqrt(pi / 2 / N) times twice that deviation, 0.025 s.
    Of two sets of draws the difference is sqrt(2) times as large: five of its deviations, 0.28 s.
    """
    row = skewed(400)
    spread = row.std() / np.sqrt(row.size)
    for seed in range(5):
        assert ends(of(row)) == pytest.approx(of_scipy(row, LEVEL, seed), abs=0.28 * spread)


# --- Closed forms ---


def test_many_even_queries_give_the_normal_interval() -> None:
    """Mean plus and minus 1.96 deviations of the mean; draws are off by 0.1 of it at most."""
    row = np.linspace(0, 1, 2001)
    spread = float(row.std()) / np.sqrt(row.size)
    found = of(row)
    assert found.low == pytest.approx(0.5 - 1.96 * spread, abs=0.15 * spread)
    assert found.high == pytest.approx(0.5 + 1.96 * spread, abs=0.15 * spread)


def test_two_queries_say_no_more_than_that_the_mean_lies_between_them() -> None:
    """Draws of two values have three means; t of one degree of freedom asks for the outermost."""
    assert ends(of(np.array([0.2, 0.6]))) == pytest.approx((0.2, 0.6), abs=ROUNDING)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_queries_have_none(count: int) -> None:
    assert intervals([np.full(count, 0.5)]) == (None,)
    assert difference(np.full(count, 0.5), np.full(count, 0.1)) is None
    assert not are_apart(None)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1.0])
def test_queries_that_score_alike_have_an_interval_without_width(value: float) -> None:
    assert ends(of(np.full(137, value))) == pytest.approx((value, value), abs=ROUNDING)


def test_an_interval_lies_within_the_values_and_holds_the_mean() -> None:
    for queries in (2, 3, 10, 100):
        for seed in range(20):
            row = skewed(queries, seed)
            found = of(row)
            assert row.min() <= found.low <= row.mean() <= found.high <= row.max()


def test_a_query_more_of_the_same_kind_makes_it_narrower_as_a_root() -> None:
    """Sixteen times the queries: a quarter of the width, up to the draws' error and skewness."""
    few, many = skewed(100), np.tile(skewed(100), 16)
    narrow = of(many).high - of(many).low
    assert 4 * narrow == pytest.approx(of(few).high - of(few).low, rel=0.1)


def test_ends_hold_the_level() -> None:
    row = skewed(200)
    narrow, wide = of(row), of(row, APART)
    assert wide.low < narrow.low < narrow.high < wide.high


# --- What may not matter ---


def test_a_row_has_the_same_interval_in_whatever_company(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [skewed(60, seed) for seed in range(30)] + [skewed(90, seed) for seed in range(5)]
    alone = [ends(of(row)) for row in rows]
    turned = [ends(one) for one in intervals(rows[::-1])][::-1]
    monkeypatch.setattr(room, "_BLOCK", 7_001)  # other blocks of rows and of draws
    room._counts.cache_clear()
    blocks = [ends(one) for one in intervals(rows)]
    room._counts.cache_clear()
    for others in (turned, blocks):
        np.testing.assert_allclose(others, alone, rtol=0, atol=ROUNDING)


def test_means_that_a_draw_hits_exactly_do_not_hang_on_the_last_bit() -> None:
    """A third of the draws of 0 and 1 have the mean of all: rounding may not decide on which side.

    The sums of tenths that are no floats are rounded otherwise than those of 0 and 1.
    """
    row = np.array([0.0, 1.0] * 6)
    scaled = of(0.1 + 0.7 * row)
    assert ends(scaled) == pytest.approx(tuple(0.1 + 0.7 * one for one in ends(of(row))), abs=1e-10)


numbers = st.lists(st.integers(0, 1000), min_size=2, max_size=40).map(
    lambda found: np.array(found, dtype=np.float64) / 1000
)


@settings(max_examples=60, deadline=None)
@given(row=numbers, by=st.integers(-500, 500))
def test_moving_every_value_moves_the_interval(row: Scores, by: int) -> None:
    moved = of(row + by / 1000)
    assert ends(moved) == pytest.approx(tuple(one + by / 1000 for one in ends(of(row))), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(row=numbers, factor=st.sampled_from([0.5, 2.0, 0.3]))
def test_another_unit_is_another_unit_of_the_interval(row: Scores, factor: float) -> None:
    scaled = of(factor * row)
    assert ends(scaled) == pytest.approx(tuple(factor * one for one in ends(of(row))), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(row=numbers)
def test_upside_down_the_interval_stands_upside_down(row: Scores) -> None:
    low, high = ends(of(-row))
    assert ends(of(row)) == pytest.approx((-high, -low), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(row=numbers, other=numbers)
def test_a_difference_is_paired(row: Scores, other: Scores) -> None:
    """What both have in common, query by query, does not widen it."""
    count = min(row.size, other.size)
    first, common = row[:count], other[:count]
    found = difference(first + common, common)
    assert ends(found) == pytest.approx(ends(of(first)), abs=1e-9)
    assert ends(difference(first, first)) == (0.0, 0.0)


def test_the_order_of_the_queries_matters_no_more_than_other_draws() -> None:
    row = skewed(400)
    spread = row.std() / np.sqrt(row.size)
    turned = np.random.default_rng(1).permutation(row)
    assert ends(of(turned)) == pytest.approx(ends(of(row)), abs=0.28 * spread)


def test_seeds_are_averaged_query_by_query() -> None:
    np.testing.assert_array_equal(
        over_seeds([np.array([0.0, 1.0]), np.array([0.5, 0.0])]), [0.25, 0.5]
    )
    assert over_seeds([]).size == 0
    assert over_seeds([np.zeros(2), np.zeros(3)]).size == 0


# --- How often they hold the truth ---


@cache
def population(flips: float, spread: float, seed: int = 0) -> Scores:
    """Expected APs of many queries: noisy codes of ten classes against a database of such codes.

    Args:
        flips: the share of a query's bits that an attacker turned, on the mean.
        spread: by how much that differs from query to query.
        seed: of everything drawn.
    """
    random = np.random.default_rng(seed)
    centers = random.integers(0, 2, (10, 32))
    kinds, items = random.integers(0, 10, 8_000), random.integers(0, 10, 400)
    share = np.clip(random.normal(flips, spread, (8_000, 1)), 0, 1)
    queries = centers[kinds] ^ (random.random((8_000, 32)) < share)
    database = centers[items] ^ (random.random((400, 32)) < 0.15)
    found: Scores = average_precision(
        2.0 * queries - 1,
        2.0 * database - 1,
        np.eye(10, dtype=np.uint8)[kinds],
        np.eye(10, dtype=np.uint8)[items],
    )
    return found


SHAPES: dict[str, Callable[[], Scores]] = {
    "clean: most near 1": lambda: population(0.15, 0.1),
    "half attacked: everywhere": lambda: population(0.35, 0.15),
    "attacked: most near 0": lambda: population(0.6, 0.15),
    "two kinds of queries": lambda: np.concatenate(
        (population(0.1, 0.05)[:2_500], population(0.7, 0.1)[2_500:])
    ),
}
SETS = 2_000


def held(truth: float, rows: Scores, level: float = LEVEL) -> float:
    found = intervals(list(rows), level)
    return float(np.mean([one is not None and one.holds(truth) for one in found]))


@pytest.mark.parametrize("queries", [50, 100, 500])
@pytest.mark.parametrize("shape", SHAPES)
def test_of_100_intervals_95_hold_the_map_of_all_queries(shape: str, queries: int) -> None:
    """A share of 2,000 sets of queries deviates by 0.5 points: 93 to 97 are four deviations."""
    everything = SHAPES[shape]()
    random = np.random.default_rng([queries, len(shape)])
    rows = random.choice(everything, (SETS, queries))
    share = held(float(everything.mean()), rows)
    assert 0.93 <= share <= 0.97, f"{shape}, {queries} queries: {share:.1%}"


@pytest.mark.parametrize("shape", SHAPES)
def test_at_30_queries_they_are_not_far_off(shape: str) -> None:
    """So few skewed values do not show their own tail: the page says 92 to 98."""
    everything = SHAPES[shape]()
    rows = np.random.default_rng([30, len(shape)]).choice(everything, (SETS, 30))
    share = held(float(everything.mean()), rows)
    assert 0.92 <= share <= 0.98, f"{shape}, 30 queries: {share:.1%}"


# --- What is told apart ---


def twins(queries: int, seed: int, sets: int) -> tuple[Scores, Scores]:
    """Two trainings of one kind: each query's AP is its own hardness and a chance of each model."""
    random = np.random.default_rng(seed)
    hard = random.beta(0.6, 1.2, (sets, queries, 1))
    both = np.clip(hard + random.normal(0, 0.15, (sets, queries, 2)), 0, 1)
    return both[..., 0], both[..., 1]


@pytest.mark.parametrize("queries", [30, 100, 500])
def test_two_models_that_are_alike_are_hardly_ever_told_apart(queries: int) -> None:
    """At 99 % about one pair in a hundred, far below the five that would mislead."""
    first, second = twins(queries, queries, 2_000)
    found = intervals(list(first - second), APART)
    share = float(np.mean([are_apart(one) for one in found]))
    assert share <= 0.03, f"{queries} queries: {share:.1%} of equal models told apart"


def test_a_model_is_never_told_from_itself() -> None:
    row = skewed(300)
    assert not are_apart(difference(row, row.copy(), APART))
    assert unseparated([np.stack([row, row])], 5) == [((0, 1), (0, 1))]


def test_models_that_differ_are_told_apart_in_pairs() -> None:
    """Their own intervals overlap: only the pairs of queries tell them apart."""
    row = 0.9 * skewed(500)
    better = row + 0.02 + np.random.default_rng(0).normal(0, 0.02, 500)
    assert of(better).low < of(row).high
    assert are_apart(difference(better, row, APART))
    assert unseparated([np.stack([better, row])], 5) == [((0, 0), (1, 1))]


def ladder(steps: list[float], noise: float, queries: int = 400) -> Scores:
    """Rows that are lower and lower by steps, each with noise of its own per query."""
    random = np.random.default_rng(0)
    heights = 0.9 - np.cumsum(steps)
    found: Scores = heights[:, np.newaxis] + random.normal(0, noise, (len(steps), queries))
    return found


def test_ranks_reach_as_far_as_the_next_row_is_no_other_model() -> None:
    # The difference of two rows deviates by 0.1 sqrt(2 / 400) = 0.007: 0.2 is 28 of them, 0 none.
    rows = ladder([0, 0, 0.2, 0, 0.2], noise=0.1)
    rows -= rows.mean(axis=1, keepdims=True) - np.array([[0.9, 0.899, 0.7, 0.699, 0.5]]).T
    assert unseparated([rows], 25) == [((0, 1), (0, 1), (2, 3), (2, 3), (4, 4))]


def test_each_pair_is_judged_on_its_own_and_not_handed_on() -> None:
    """The first is like the second, and the second like the third, but not the first the third."""
    rows = ladder([0, 0, 0], noise=0.1)
    rows -= rows.mean(axis=1, keepdims=True) - np.array([[0.9, 0.887, 0.874]]).T
    assert unseparated([rows], 25) == [((0, 1), (0, 2), (1, 2))]


def test_a_model_is_compared_with_so_many_neighbours_at_most() -> None:
    row = skewed(50)
    (found,) = unseparated([np.stack([row] * 8)], 3)
    assert found == tuple((max(0, place - 3), min(7, place + 3)) for place in range(8))


def test_tables_of_other_queries_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [ladder([0, 0.2, 0], 0.1, queries) for queries in (40, 400, 40, 90) for _ in range(3)]
    each = [unseparated([table], 25)[0] for table in tables]
    assert unseparated(tables, 25) == each
    monkeypatch.setattr(room, "_BLOCK", 5 * RESAMPLES)
    assert unseparated(tables, 25) == each
    assert all(upper[1] >= upper[0] for found in each for upper, _ in pairwise(found))
