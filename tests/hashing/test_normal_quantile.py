"""The normal distribution's quantiles: to float64's rounding, symmetric, the same everywhere."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from hashbench.hashing import normal_quantile as tested
from hashbench.hashing.normal_quantile import normal_quantile

EPSILON = 2.0**-52


def grid() -> torch.Tensor:
    """The middle, both borders of the three quotients, and all powers of two down to the ends.

    Of multiples of 2^-53, so that their distance from 0.5 is exact.
    """
    middle = (
        torch.linspace(-(2**51), 2**51 - 1, 20_001, dtype=torch.float64).floor() + 0.5
    ) * 2.0**-52
    powers = 0.5 - 2.0 ** -torch.arange(2, 54, dtype=torch.float64)
    borders = torch.tensor([0.425, 0.5 - math.exp(-25)], dtype=torch.float64)
    borders = (borders * 2.0**52).round() * 2.0**-52
    near = torch.cat(
        [borders, *(torch.nextafter(borders, torch.tensor(end)) for end in (0.0, 1.0))]
    )
    return torch.cat([middle, powers, -powers, near, -near])


def test_it_is_the_quantile_of_scipy() -> None:
    # AS 241 states a relative error of 1e-16, before some 20 roundings; so does scipy's own.
    centered = grid()
    tail = torch.from_numpy(ndtri((0.5 - centered.abs()).numpy()))
    expected = torch.where(centered < 0, tail, -tail)
    found = normal_quantile(centered)
    assert torch.all((found - expected).abs() <= 20 * EPSILON * expected.abs())


@settings(deadline=None)
@given(st.lists(st.integers(-(2**51), 2**51 - 1), min_size=1, max_size=20))
def test_it_is_symmetric_and_rises(places: list[int]) -> None:
    centered = (torch.tensor(sorted(set(places))).double() + 0.5) * 2.0**-52
    found = normal_quantile(centered)
    assert torch.equal(normal_quantile(-centered), -found)
    assert torch.all(found.diff() >= 0)
    assert torch.isfinite(found).all()
    assert float(found.abs().max()) < 8.3


def test_its_logarithm_is_that_of_the_library_to_two_roundings() -> None:
    values = torch.cat([grid().abs() / 5, 2.0 ** -torch.arange(4, 54, dtype=torch.float64)])
    values = values[(values > 0) & (values < 0.1)]
    found, expected = tested._log(values), values.log()
    assert torch.all((found - expected).abs() <= 2 * EPSILON * expected.abs())


def test_picking_out_the_tails_gives_what_computing_all_of_them_gives() -> None:
    # A GPU computes both everywhere and chooses; the CPU picks out.
    centered = grid()
    both = torch.where(
        centered.abs() > tested._INNER, tested._tail(centered), tested._center(centered)
    )
    assert torch.equal(normal_quantile(centered), both)


def test_a_gpu_gives_the_bits_of_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    assert torch.equal(normal_quantile(grid().cuda()).cpu(), normal_quantile(grid()))
