"""The attacks' losses against slow, literal implementations of their formulas."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.evaluation import AlphaSchedule
from hashbench.plugins import Attack

Build = Callable[..., Attack]

HAG = importlib.import_module("hashbench.attacks.hag")
SDHA = importlib.import_module("hashbench.attacks.sdha")


def slow_hag(u: list[float], h: list[float], margin: float, balance: float) -> float:
    """One query: the agreement of the bits that are not flipped yet, and their balance."""
    mask = [float(abs(a - math.copysign(1, b)) < 1 + margin) for a, b in zip(u, h, strict=True)]
    together = sum(m * a * b for m, a, b in zip(mask, u, h, strict=True)) / (sum(mask) + 1e-8)
    mean = sum(m * a for m, a in zip(mask, u, strict=True)) / len(u)
    return (together + 1) ** 2 + balance * mean**2


def slow_sdha(u: Tensor, relevant: Tensor, slope: float, nearness: float) -> Tensor:
    """One query (K,): the mean over its relevant codes (n, K) of weight times distance."""
    terms = []
    for code in relevant:
        gate = 1 / (1 + torch.exp(-slope * u * code))
        distance = 0.5 * ((u - code).abs() * gate).sum() + (1 - gate).sum()
        apart = int(((u >= 0) != (code >= 0)).sum())
        terms.append((apart + 1e-8) ** (-nearness) * distance)
    return torch.stack(terms).mean()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 4),
    bits=st.integers(1, 9),
    margin=st.sampled_from([0.1, 0.5, 0.9]),
    balance=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_hag_is_its_formula(
    seed: int, queries: int, bits: int, margin: float, balance: float
) -> None:
    u, h = (torch.rand(2, queries, bits, generator=_seeded(seed)) * 2 - 1).unbind()
    found = HAG.hag_loss(u, h, margin=margin, balance=balance)
    wanted = [slow_hag(a, b, margin, balance) for a, b in zip(u.tolist(), h.tolist(), strict=True)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-5, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 4),
    bits=st.integers(1, 8),
    train=st.integers(1, 12),
    nearness=st.sampled_from([0.0, 0.5, -0.3]),
    slope=st.sampled_from([1.0, 5.0]),
)
def test_sdha_is_its_formula_whatever_is_grouped(
    seed: int, queries: int, bits: int, train: int, nearness: float, slope: float
) -> None:
    # Few bits and many codes: equal codes occur, and so do queries that nothing is relevant to.
    rng = _seeded(seed)
    u = torch.rand(queries, bits, generator=rng) * 2 - 1
    codes = torch.randint(0, 2, (train, bits), generator=rng) * 2.0 - 1
    relevant = torch.randint(0, 2, (queries, train), generator=rng).float()
    own = torch.randint(0, 2, (queries, bits), generator=rng) * 2.0 - 1
    point, exact = u.clone().requires_grad_(True), u.double().requires_grad_(True)
    found = SDHA.Surrogate(codes, relevant, own, slope, nearness).distance(point)
    chosen = [
        codes[row > 0] if row.any() else own[query, None] for query, row in enumerate(relevant)
    ]
    wanted = torch.stack(
        [
            slow_sdha(exact[query], chosen[query].double(), slope, nearness)
            for query in range(queries)
        ]
    )
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), point)
    (wanted_gradient,) = torch.autograd.grad(wanted.sum(), exact)
    # Relative to the largest: at distance 0 a weight is 1e4, and float32 cancels.
    atol = 1e-5 * float(wanted_gradient.abs().max())
    torch.testing.assert_close(gradient.double(), wanted_gradient, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("steps", [1, 2, 7, 10, 13, 100, 1999])
def test_the_alpha_schedule_never_falls_and_ends_at_1(steps: int) -> None:
    alphas = [AlphaSchedule.TENTHS.at(step, steps) for step in range(steps)]
    assert alphas == sorted(alphas)
    assert set(alphas) <= {0.1, 0.2, 0.3, 0.5, 0.7, 1.0}
    assert alphas[-1] == (1.0 if steps >= 10 else alphas[-1])
    half = sum(alpha == 0.1 for alpha in alphas)
    assert half == math.ceil(steps / 2)
    assert {AlphaSchedule.CONSTANT.at(step, steps) for step in range(steps)} == {1.0}


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("hag@published", {"steps": 2000, "learning_rate": 100.0, "margin": 0.5, "balance": 1.0}),
        ("sdha@published", {"steps": 1500, "learning_rate": 0.01, "slope": 5.0, "nearness": 0.5}),
        ("pgd-hamming@inner", {"steps": 7, "step_size": 2 / 255, "random_start": True}),
        ("pgd-hamming", {"steps": 100, "step_size": 1 / 255, "alpha": AlphaSchedule.CONSTANT}),
        ("hag", {"steps": 100, "momentum": 0.9, "alpha": AlphaSchedule.TENTHS}),
        ("sdha", {"steps": 100, "scale": 25.0, "alpha": AlphaSchedule.TENTHS}),
    ],
)
def test_settings_are_the_published_ones(
    name: str, changed: dict[str, object], attack_named: Build
) -> None:
    attack = attack_named(name)
    assert {key: getattr(attack, key) for key in changed} == changed


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pgd-hamming", {"steps": -1}),
        ("pgd-hamming", {"step_size": 0}),
        ("hag", {"steps": -1}),
        ("hag", {"learning_rate": 0}),
        ("sdha", {"steps": -1}),
        ("sdha", {"learning_rate": -0.1}),
        ("hag", {"alpha": "tenth"}),
        ("noise", {"steps": 3}),
    ],
)
def test_an_impossible_setting_is_refused_by_name(
    name: str, wrong: dict[str, object], attack_named: Build
) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))) as refusal:
        attack_named(name, **wrong)
    assert name in str(refusal.value)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
