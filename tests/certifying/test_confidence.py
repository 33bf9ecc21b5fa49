"""Clopper and Pearson's bound: scipy's own, and the tail that defines it in exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy import stats

from hashbench.certifying.confidence import ROUNDING, least_probability


@pytest.mark.parametrize("trials", [1, 2, 17, 100, 1000, 100_000])
@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.001 / 32, 1e-9])
def test_it_is_that_of_scipy_stats(trials: int, alpha: float) -> None:
    counts = np.unique(np.linspace(0, trials, 40).astype(int))
    # Two-sided at 2 alpha has alpha on each side.
    known = [
        stats.binomtest(int(count), trials).proportion_ci(1 - 2 * alpha, "exact").low
        for count in counts
    ]
    # Theirs takes a quantile at 1 - (1 - 2 alpha), which is off by the rounding of 1.
    off = 1e-15 / alpha
    found = least_probability(counts, trials, alpha)
    # It searches for a root to 2e-12 (`scipy.optimize.brentq`).
    np.testing.assert_allclose(found, known, rtol=2 * ROUNDING + off, atol=4e-12)


def tail(successes: int, trials: int, probability: Fraction) -> Fraction:
    """Of so many successes or more."""
    return sum(
        (
            comb(trials, count) * probability**count * (1 - probability) ** (trials - count)
            for count in range(successes, trials + 1)
        ),
        Fraction(0),
    )


@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.001 / 32, 1e-9])
def test_at_the_bound_the_tail_is_alpha_and_never_more(alpha: float) -> None:
    for trials in (1, 2, 9, 40):
        for successes in range(1, trials + 1):
            bound = Fraction(float(least_probability(successes, trials, alpha)))
            found = tail(successes, trials, bound)
            assert found <= Fraction(alpha)
            # A share s off in p is at most a share of n s off in the tail.
            assert found >= Fraction(alpha) * (1 - 2 * trials * Fraction(ROUNDING))


def test_no_success_says_nothing_and_more_successes_say_more() -> None:
    bounds = least_probability(np.arange(101), 100, 0.001)
    assert bounds[0] == 0
    assert (np.diff(bounds) > 0).all()
    assert (bounds < np.arange(101) / 100 + (np.arange(101) == 0)).all()
    # All of n: alpha^(1/n).
    assert bounds[100] == pytest.approx(0.001 ** (1 / 100), rel=1e-11)


def test_any_shape() -> None:
    assert least_probability(np.full((2, 3), 5), 9, 0.01).shape == (2, 3)
    assert least_probability(np.zeros((0, 3)), 9, 0.01).shape == (0, 3)
