"""The bound for hashes that compare with a median: no change within the distance turns more bits.

Every change that can matter for few values is tried: whichever values end below the median, at it,
or above it, wherever the median ends. A bound that forgets ties is caught by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashbench.matching.proofs.median_bound import Median, MedianBound

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]


def code(median: Median, values: Floats) -> Bits:
    """The bits of values, as the hashes say them."""
    return values > median.of(values)


def changed(median: Median, values: Floats) -> Iterator[Floats]:
    """Values moved no further than they must to lie below, at or above a median."""
    own = np.unique(values)
    places = np.concatenate([own, (own[1:] + own[:-1]) / 2, own + 0.3])
    for place in places:
        for sides in product((-1, 0, 1), repeat=len(values)):
            side = np.array(sides)
            moved = np.where(
                side == 0,
                place,
                np.where(
                    side > 0, np.maximum(values, place + 1e-7), np.minimum(values, place - 1e-7)
                ),
            )
            if median.of(moved) == place:
                yield moved


def worst(
    bound: Callable[[float], int], median: Median, values: Floats, weights: Floats
) -> tuple[int, int]:
    """By how many bits any change goes beyond a bound, and how many changes were tried."""
    on, tried = code(median, values), 0
    # The least distance by which so many bits turn: further ones may turn as many.
    least = np.full(len(values) + 1, np.inf)
    for moved in changed(median, values):
        turned = int((code(median, moved) != on).sum())
        distance = float(np.sqrt((((moved - values) / weights) ** 2).sum()))
        least[turned] = min(least[turned], distance)
        tried += 1
    return max(k - bound(r) for k, r in enumerate(least) if np.isfinite(r)), tried


def pairs_only(median: Median, values: Floats) -> Callable[[float], int]:
    """The bound that pairs each bit that goes off with one that comes on: it forgets ties."""
    level = median.of(values)
    above = np.sort(values[values > level] - level)
    below = np.sort(level - values[values <= level])
    many = min(len(above), len(below))
    costs = np.cumsum((above[:many] + below[:many]) ** 2 / 2)

    def bound(radius: float) -> int:
        return 2 * int(np.searchsorted(costs, radius**2 * (1 + 1e-9), side="right"))

    return bound


@pytest.mark.parametrize("median", Median)
@settings(max_examples=10, deadline=None)
@given(
    values=st.lists(st.integers(-6, 6), min_size=2, max_size=5),
    heavy=st.lists(st.sampled_from([1.0, 1.0, 1.5]), min_size=5, max_size=5),
)
def test_no_change_of_few_values_turns_more_bits(
    median: Median, values: list[int], heavy: list[float]
) -> None:
    z, weights = np.array(values, dtype=float), np.array(heavy[: len(values)])
    whole = MedianBound(median, z, code(median, z), weights)
    beyond, tried = worst(whole.most_turned, median, z, weights)
    assert tried
    assert beyond <= 0


@pytest.mark.parametrize("median", Median)
def test_forgetting_ties_is_caught(median: Median) -> None:
    z = np.array([-3.0, -2.0, 1.0, 2.0, 3.0])
    beyond, _ = worst(pairs_only(median, z), median, z, np.ones(5))
    assert beyond > 0


@pytest.mark.parametrize("median", Median)
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    half=st.integers(2, 40),
    spread=st.sampled_from([0.02, 0.3, 2.0]),
    reach=st.floats(0.01, 3),
)
def test_no_directed_change_of_many_values_turns_more(
    median: Median, seed: int, half: int, spread: float, reach: float
) -> None:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(2 * half)
    base = z + spread * reach * rng.standard_normal(2 * half) / np.sqrt(2 * half)
    on = code(median, z)
    whole = MedianBound(median, base, on, np.ones(2 * half))
    for _ in range(20):
        place = median.of(z) + reach * rng.uniform(-1, 1)
        moved = z.copy()
        near = np.argsort(np.abs(z - place))[: rng.integers(1, 2 * half + 1)]
        kind = rng.integers(0, 3)
        if kind == 0:  # ties
            moved[near] = place
        elif kind == 1:  # across
            moved[near] = place + 1e-6 * np.where(z[near] > place, -1, 1)
        else:
            moved += reach * rng.standard_normal(2 * half)
        turned = int((code(median, moved) != on).sum())
        assert turned <= whole.most_turned(float(np.linalg.norm(moved - base)))


def directed(values: Floats, place: float, risen: int, spent: float) -> Floats | None:
    """The change that the bound describes, for one median and one number of risen values."""
    level = Median.LOWER.of(values)
    on = values > level
    moved, hair = values.copy(), 1e-9
    below = np.flatnonzero(on & (values < place))
    others = np.flatnonzero(on & (values >= place))
    off = np.flatnonzero(~on)[np.argsort(-values[~on])][:risen]
    sunken = min(len(below), risen - 1)
    paid = below[np.argsort(-values[below])][: len(below) - sunken]
    moved[paid] = place
    for k in others[np.argsort(values[others])]:
        if np.linalg.norm(moved - values) >= spent:
            break
        moved[k] = place
    # One of the risen is the median itself; those that may turn rise a hair above it.
    turned = len(below) + int((moved[others] != values[others]).sum())
    moved[off] = np.maximum(moved[off], place)
    moved[off[: min(risen, turned)]] = np.maximum(moved[off[: min(risen, turned)]], place + hair)
    return moved if abs(Median.LOWER.of(moved) - place) <= hair else None


@pytest.mark.parametrize("seed", range(2))
def test_the_bound_is_reached_and_pairs_are_exceeded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(256) * 100
    on = code(Median.LOWER, z)
    whole = MedianBound(Median.LOWER, z, on, np.ones(256))
    pairs, reached, above = pairs_only(Median.LOWER, z), 0, 0
    for place in Median.LOWER.of(z) + np.linspace(-20, 20, 21):
        for risen in range(1, 24, 2):
            for spent in (0.0, 20.0, 40.0):
                moved = directed(z, place, risen, spent)
                if moved is None:
                    continue
                turned = int((code(Median.LOWER, moved) != on).sum())
                distance = float(np.linalg.norm(moved - z))
                bound = whole.most_turned(distance)
                assert turned <= bound
                reached += turned >= bound - 1 and turned > 10
                above += turned > pairs(distance)
    assert reached
    assert above


def test_nothing_turns_where_nothing_changes_and_no_more_than_can() -> None:
    z = np.arange(8.0)
    for median in Median:
        whole = MedianBound(median, z, code(median, z), np.ones(8))
        assert whole.most_turned(0) == 0
        # Two neighbours meet half way, at a distance of one.
        assert whole.most_turned(0.7) == 0
        assert whole.most_turned(0.71) > 0
        assert whole.most_turned(float("inf")) == 8
        assert whole.most_turned(1e6) == 8
