"""The ball, and the random numbers: nearest points, exact ends, one generator per query."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hashbench.attacking import Eps, QueryRandom, Threat

EPS = st.sampled_from(["0", "1/255", "8/255", "0.031", "0.5", "1"])


@settings(deadline=None)
@given(eps=EPS, seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.01, 1.0, 1e6]))
def test_projection_is_the_nearest_point_of_ball_and_box(eps: str, seed: int, scale: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 1, 3, 3, generator=rng)
    images[0, 0, 0] = torch.tensor([0.0, 1.0, 0.5])
    anything = images + scale * torch.randn(images.shape, generator=rng)
    threat = Threat(Eps.parse(eps))
    found = threat.project(anything, images)
    for clean, given_value, projected in zip(
        images.flatten().tolist(),
        anything.flatten().tolist(),
        found.flatten().tolist(),
        strict=True,
    ):
        low, high = max(0.0, clean - threat.radius), min(1.0, clean + threat.radius)
        assert projected == pytest.approx(min(max(given_value, low), high), abs=1e-6)
        assert 0 <= projected <= 1
    assert torch.equal(threat.project(found, images), found)
    if eps == "0":
        assert torch.equal(found, images)


def test_eps_1_lets_every_pixel_go_anywhere() -> None:
    images = torch.rand(1, 1, 4, 4)
    threat = Threat(Eps.parse("1"))
    for end in (0.0, 1.0):
        assert torch.equal(
            threat.project(torch.full_like(images, end), images), torch.full_like(images, end)
        )


def test_threats_are_equal_when_their_fractions_are() -> None:
    assert Threat(Eps.parse("8/255")) == Threat(Eps.parse("16/510"))
    assert Threat(Eps.parse("8/255")) != Threat(Eps.parse("0.031"))
    assert Threat(Eps.parse("8/255")).radius == 8 / 255


@settings(deadline=None, max_examples=40)
@given(
    # torch's generator takes the low 32 bits of a seed.
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6),
    cut=st.integers(0, 6),
)
def test_a_querys_draws_depend_on_its_seed_alone(seeds: list[int], cut: int) -> None:
    def draws(part: list[int]) -> list[torch.Tensor]:
        random = QueryRandom(part)
        return [
            random.uniform((2, 3), -0.5, 0.25),
            random.normal((4,)),
            random.integers((5,), 7),
            random.uniform((1,)),
        ]

    whole = draws(seeds)
    parts = [draws(part) for part in (seeds[:cut], seeds[cut:]) if part]
    for position, drawn in enumerate(whole):
        assert torch.equal(drawn, torch.cat([part[position] for part in parts]))
        assert len(drawn) == len(seeds) == len(QueryRandom(seeds))
    uniform, normal, integers, _ = whole
    assert uniform.dtype == normal.dtype == torch.float32
    assert integers.dtype == torch.int64
    assert float(uniform.min()) >= -0.5
    assert float(uniform.max()) <= 0.25
    assert int(integers.min()) >= 0
    assert int(integers.max()) <= 6
    for one in range(len(seeds)):
        for other in range(one):
            equal = torch.equal(uniform[one], uniform[other])
            assert equal == (seeds[one] == seeds[other])


def test_draws_have_the_moments_that_their_names_promise() -> None:
    random = QueryRandom(range(50))
    uniform = random.uniform((400,), -1.0, 3.0)
    normal = random.normal((400,))
    whole = random.integers((400,), 5).double()
    count = uniform.numel()
    # (mean, variance, fourth central moment); five standard errors each.
    for drawn, mean, variance, fourth in (
        (uniform.double(), 1.0, 16 / 12, 256 / 80),
        (normal.double(), 0.0, 1.0, 3.0),
        (whole, 2.0, 2.0, 6.8),
    ):
        assert abs(float(drawn.mean()) - mean) < 5 * math.sqrt(variance / count)
        spread = float((drawn - mean).square().mean())
        assert abs(spread - variance) < 5 * math.sqrt((fourth - variance**2) / count)
