"""What thresholds give, against every threshold tried and every ranking written out."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hashbench.retrieval import Verification

RATES = [0, 1e-6, 1e-3, 0.1, 0.2, 0.25, 0.5, 0.9, 0.9999, 1]


@st.composite
def counted(draw: st.DrawFn) -> Verification:
    """Counts with many ties, empty distances, and a kind that may be missing."""
    places = draw(st.integers(1, 10))
    few = st.lists(st.sampled_from([0, 0, 1, 2, 5]), min_size=places, max_size=places)
    return of(draw(few), draw(few))


def of(same: list[int], other: list[int]) -> Verification:
    return Verification(np.array(same, dtype=np.int64), np.array(other, dtype=np.int64))


def pairs_of(pairs: Verification) -> list[tuple[int, bool]]:
    """Each pair: its distance, and whether it should match."""
    kinds = ((pairs.same, True), (pairs.other, False))
    return [
        (distance, kind)
        for counts, kind in kinds
        for distance, count in enumerate(counts.tolist())
        for _ in range(count)
    ]


def matched(pairs: Verification, threshold: int) -> tuple[Fraction, Fraction, int, int]:
    """TPR, FPR, right and wrong matches, of pairs of both kinds."""
    right = sum(kind for distance, kind in pairs_of(pairs) if distance <= threshold)
    wrong = sum(not kind for distance, kind in pairs_of(pairs) if distance <= threshold)
    return (
        Fraction(right, pairs.pairs_same),
        Fraction(wrong, pairs.pairs_other),
        right,
        wrong,
    )


def thresholds(pairs: Verification) -> range:
    return range(-1, pairs.bits + 1)


@given(counted())
def test_rates_at_every_threshold(pairs: Verification) -> None:
    assume(pairs.pairs_same and pairs.pairs_other)
    for threshold in range(-3, pairs.bits + 4):
        tpr, fpr, _, wrong = matched(pairs, threshold)
        assert pairs.tpr(threshold) == float(tpr)
        assert pairs.fpr(threshold) == float(fpr)
        flags = Fraction(10**6 * 10**9 * wrong, pairs.pairs_other)
        found = pairs.false_flags_a_day(threshold, traffic=10**6, stored=10**9)
        assert found == float(flags)


@given(counted(), st.sampled_from(RATES) | st.fractions(0, 1))
def test_tpr_at_fpr(pairs: Verification, rate: float | Fraction) -> None:
    assume(pairs.pairs_same and pairs.pairs_other)
    exactly = Fraction(str(rate))
    allowed = [t for t in thresholds(pairs) if matched(pairs, t)[1] <= exactly]
    assert pairs.threshold_at_fpr(rate) == max(allowed)
    assert pairs.tpr_at_fpr(rate) == float(max(matched(pairs, t)[0] for t in allowed))


@given(counted(), st.sampled_from(RATES) | st.fractions(0, 1))
def test_recall_at_precision(pairs: Verification, share: float | Fraction) -> None:
    assume(pairs.pairs_same and pairs.pairs_other)
    found = Fraction(0)
    for threshold in thresholds(pairs):
        tpr, _, right, wrong = matched(pairs, threshold)
        if right + wrong and Fraction(right, right + wrong) >= Fraction(str(share)):
            found = max(found, tpr)
    assert pairs.recall_at_precision(share) == float(found)


@given(counted())
def test_equal_error_rate_lies_on_the_line_between_two_thresholds(pairs: Verification) -> None:
    assume(pairs.pairs_same and pairs.pairs_other)
    rates = [matched(pairs, threshold)[:2] for threshold in thresholds(pairs)]
    crossings = set()
    for (tpr, fpr), (next_tpr, next_fpr) in pairwise(rates):
        start, stop = fpr - (1 - tpr), next_fpr - (1 - next_tpr)
        if start <= 0 <= stop and start != stop:
            weight = -start / (stop - start)
            crossings.add((1 - weight) * fpr + weight * next_fpr)
            assert (1 - weight) * fpr + weight * next_fpr == (1 - weight) * (1 - tpr) + weight * (
                1 - next_tpr
            )
    assert {float(rate) for rate in crossings} == {pairs.eer()}
    # No single threshold errs less on both sides.
    assert min(max(fpr, 1 - tpr) for tpr, fpr in rates) >= max(crossings)


@given(counted())
def test_average_precision_of_all_pairs(pairs: Verification) -> None:
    assume(pairs.pairs_same)
    # By distance; at equal distance False, a pair that should not match, comes first.
    hits, total = 0, Fraction(0)
    for rank, (_, kind) in enumerate(sorted(pairs_of(pairs)), start=1):
        hits += kind
        total += Fraction(hits, rank) if kind else 0
    # The sum is of at most 10 ties, each off by a few times 2^-53 of what a hit adds at most, 1.
    assert pairs.micro_ap() == pytest.approx(float(total / pairs.pairs_same), abs=1e-14)


def test_average_precision_of_many_pairs() -> None:
    """One hit behind a million misses: the second term is 1 / 1,000,001."""
    pairs = of([1, 0, 1], [0, 10**6 - 1, 0])
    assert pairs.micro_ap() == pytest.approx((1 + 2 / (10**6 + 1)) / 2, abs=1e-14)


def test_a_float_is_the_decimal_that_is_written() -> None:
    """As binary numbers 1e-6 is a little less than a millionth and 1e-3 a little more."""
    pairs = of([3, 0], [1, 10**6 - 1])
    assert Fraction(1e-6) < Fraction(1, 10**6)
    assert pairs.tpr_at_fpr(1e-6) == 1
    assert pairs.tpr_at_fpr(np.float64(1e-6)) == 1
    assert of([3, 0], [1, 10**6 - 2]).tpr_at_fpr(1e-6) == 0
    assert of([9, 0], [1, 0]).recall_at_precision(0.9) == 1


def test_the_ends() -> None:
    apart = of([2, 0, 0], [0, 0, 4])
    assert (apart.eer(), apart.micro_ap(), apart.tpr_at_fpr(0), apart.threshold_at_fpr(0)) == (
        0,
        1,
        1,
        1,
    )
    wrong = of([0, 0, 2], [4, 0, 0])
    assert (wrong.eer(), wrong.tpr_at_fpr(0.5), wrong.threshold_at_fpr(0.5)) == (1, 0, -1)
    assert wrong.recall_at_precision(0.9) == 0
    together = of([5], [5])
    assert (together.eer(), together.tpr_at_fpr(1), together.recall_at_precision(0.5)) == (
        0.5,
        1,
        1,
    )


def test_pairs_that_do_not_exist() -> None:
    alone = of([1, 1], [0, 0])
    assert (alone.tpr(0), alone.threshold_at_fpr(0), alone.micro_ap()) == (0.5, 1, 1)
    assert alone.recall_at_precision(0.9999) == 1
    missing = [alone.fpr(0), alone.tpr_at_fpr(1), alone.eer()]
    missing.append(alone.false_flags_a_day(1, traffic=1, stored=1))
    strangers = of([0, 0], [1, 1])
    missing += [strangers.tpr(0), strangers.tpr_at_fpr(0), strangers.eer(), strangers.micro_ap()]
    missing.append(strangers.recall_at_precision(0.9))
    assert all(math.isnan(value) for value in missing)
    assert strangers.fpr(0) == 0.5


@given(counted())
def test_halves_add_up(pairs: Verification) -> None:
    doubled = pairs + pairs
    assert (doubled.pairs_same, doubled.pairs_other) == (
        2 * pairs.pairs_same,
        2 * pairs.pairs_other,
    )
    assert doubled.tpr(1) == pairs.tpr(1) or not pairs.pairs_same


@pytest.mark.parametrize(
    ("same", "other", "message"),
    [
        ([1, 2], [1, 2, 3], "other: expected counts of as many distances as same, .* 2 and 3"),
        ([], [], "other: expected counts of as many distances as same, 1 at least"),
        ([1, -2], [1, 2], "same: expected counts"),
        ([1, 2], np.ones(2), "other: expected counts, int64 of one dimension, found float64"),
        ([[1]], [[2]], r"same: expected counts, .* shape \(1, 1\)"),
    ],
)
def test_counts_that_are_none(same: Any, other: Any, message: str) -> None:
    sides = [
        side if isinstance(side, np.ndarray) else np.array(side, dtype=np.int64)
        for side in (same, other)
    ]
    with pytest.raises(ValueError, match=message):
        Verification(*sides)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, math.inf, Fraction(3, 2)])
def test_rates_that_are_none(rate: float) -> None:
    with pytest.raises(ValueError, match="rate: expected a number from 0 to 1"):
        of([1], [1]).tpr_at_fpr(rate)
    with pytest.raises(ValueError, match="share: expected a number from 0 to 1"):
        of([1], [1]).recall_at_precision(rate)


def test_other_bad_input() -> None:
    with pytest.raises(ValueError, match="expected codes of 0 bits, found 1"):
        of([1], [1]) + of([1, 1], [1, 1])
    with pytest.raises(ValueError, match="traffic: expected a whole number of at least 0"):
        of([1], [1]).false_flags_a_day(0, traffic=-1, stored=1)
