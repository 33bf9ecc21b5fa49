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

from hashbench.attacking import AlphaSchedule
from hashbench.attacking.descent import check_descent
from hashbench.errors import UsageError
from hashbench.plugins import Attack
from support.draws import seeded

Build = Callable[..., Attack]

HAG = importlib.import_module("hashbench.attacks.hag")
MAINSTAY = importlib.import_module("hashbench.attacks.mainstay")
SDHA = importlib.import_module("hashbench.attacks.sdha")


def slow_hag(
    u: list[float], h: list[float], margin: float, balance: float, all_bits: bool
) -> float:
    """One query: the agreement of the bits that are not flipped yet, and their balance."""
    mask = [float(abs(a - math.copysign(1, b)) < 1 + margin) for a, b in zip(u, h, strict=True)]
    if all_bits:
        together = sum(a * b for a, b in zip(u, h, strict=True)) / max(1, sum(mask))
    else:
        kept = sum(m * a * b for m, a, b in zip(mask, u, h, strict=True))
        together = kept / (sum(mask) + 1e-8)
    mean = sum(m * a for m, a in zip(mask, u, strict=True)) / len(u)
    return (together + 1) ** 2 + balance * mean**2


def slow_sdha(u: Tensor, relevant: Tensor, slope: float, nearness: float, targeted: bool) -> Tensor:
    """One query (K,): the mean over its relevant codes (n, K) of weight times distance."""
    terms = []
    for code in relevant:
        if targeted:
            distance = 0.5 * ((u - code).abs() / (1 + torch.exp(slope * u * code))).sum()
        else:
            gate = 1 / (1 + torch.exp(-slope * u * code))
            distance = -0.5 * ((u - code).abs() * gate).sum() - (1 - gate).sum()
        apart = int(((u >= 0) != (code >= 0)).sum())
        terms.append((apart + 1e-8) ** (-nearness) * distance)
    return torch.stack(terms).mean()


def slow_mainstay(u: list[float], m: list[float], targeted: bool) -> list[float]:
    """One query: the term of each bit that counts, 0 for the others."""
    found = []
    for a, b in zip(u, m, strict=True):
        s = a * b
        if targeted:
            found.append(-(s + 2) * s if s < 0.5 else 0.0)
        else:
            found.append((s + 2) * s if s > -0.5 else 0.0)
    return found


@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 4),
    bits=st.integers(1, 9),
    targeted=st.booleans(),
)
def test_mainstay_is_its_formula(seed: int, queries: int, bits: int, targeted: bool) -> None:
    rng = seeded(seed)
    u = torch.rand(queries, bits, generator=rng) * 2 - 1
    m = torch.randint(-1, 2, (queries, bits), generator=rng).float()
    point = u.clone().requires_grad_(True)
    terms, counted = MAINSTAY.mainstay_terms(point, m, targeted=targeted)
    wanted = [slow_mainstay(a, b, targeted) for a, b in zip(u.tolist(), m.tolist(), strict=True)]
    np.testing.assert_allclose(terms.detach().numpy(), wanted, rtol=1e-5, atol=1e-6)
    # The derivative of (s + 2) s by u is 2 (u + m) where m is +-1; the mask carries none.
    (gradient,) = torch.autograd.grad(terms.sum(), point, retain_graph=True)
    slope = 2 * (u + m) * m.abs() * counted
    torch.testing.assert_close(gradient, -slope if targeted else slope)
    # A query's loss is its own mean, so its gradient is a positive multiple of the same slope.
    loss = MAINSTAY.mainstay_loss(point, m, targeted=targeted)
    for query in range(queries):
        alone = MAINSTAY.mainstay_loss(u[query, None], m[query, None], targeted=targeted)
        torch.testing.assert_close(loss[query, None].detach(), alone)
        count = max(1, int(counted[query].sum()))
        torch.testing.assert_close(loss[query].detach(), terms[query].sum().detach() / count)
    (own,) = torch.autograd.grad(loss.sum(), point)
    assert torch.equal(own.sign(), gradient.sign())


@pytest.mark.parametrize("targeted", [False, True])
def test_a_query_whose_bits_are_all_turned_has_a_loss_of_0(targeted: bool) -> None:
    point = torch.tensor([[-0.9, 0.7, -0.6], [0.2, 0.1, -0.9]], requires_grad=True)
    codes = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, 1.0]]) * (-1 if targeted else 1)
    loss = MAINSTAY.mainstay_loss(point, codes, targeted=targeted)
    (gradient,) = torch.autograd.grad(loss.sum(), point)
    assert loss[0] == 0
    assert not gradient[0].any()
    assert gradient[1].any()
    assert torch.isfinite(gradient).all()


def test_the_published_targeted_term_has_no_gradient_at_the_opposite_of_its_target() -> None:
    point = torch.tensor([[-1.0, 1.0, -0.5]], requires_grad=True)
    terms, _ = MAINSTAY.mainstay_terms(point, torch.tensor([[1.0, -1.0, 1.0]]), targeted=True)
    (gradient,) = torch.autograd.grad(terms.sum(), point)
    assert gradient.tolist() == [[0.0, 0.0, -1.0]]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 4),
    bits=st.integers(1, 9),
    margin=st.sampled_from([0.1, 0.5, 0.9]),
    balance=st.sampled_from([0.0, 0.3, 1.0]),
    all_bits=st.booleans(),
)
def test_hag_is_its_formula(
    seed: int, queries: int, bits: int, margin: float, balance: float, all_bits: bool
) -> None:
    u, h = (torch.rand(2, queries, bits, generator=seeded(seed)) * 2 - 1).unbind()
    found = HAG.hag_loss(u, h, margin=margin, balance=balance, all_bits=all_bits)
    wanted = [
        slow_hag(a, b, margin, balance, all_bits)
        for a, b in zip(u.tolist(), h.tolist(), strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-5, atol=1e-6)


def test_hag_over_all_bits_points_back_before_all_are_flipped() -> None:
    clean = torch.tensor([[0.9, -0.8, 0.7, -0.6, 0.9, 0.8, -0.7, 0.6]])
    slopes = []
    for flipped in range(9):
        u = clean.clone()
        u[:, :flipped] *= -1
        point = u.requires_grad_(True)
        loss = HAG.hag_loss(point, clean, margin=0.5, balance=0.0, all_bits=True)
        (gradient,) = torch.autograd.grad(loss.sum(), point)
        along = (gradient * clean.sign()).flatten()
        # One sign for all bits: all are pushed on, or all are pulled back.
        assert torch.equal(along.sign(), along.sign()[:1].expand(8))
        assert torch.isfinite(gradient).all()
        slopes.append(float(along[0]))
    signs = np.sign(slopes).tolist()
    turn = signs.index(-1)
    assert 0 < turn < 8
    assert signs == [1] * turn + [-1] * (9 - turn)


def test_a_bit_on_the_bound_is_half_unflipped_and_not_counted() -> None:
    u, h = torch.tensor([[-0.5, 0.5]]), torch.tensor([[1.0, 1.0]])
    assert HAG.unflipped_bits(u, h, 0.5).tolist() == [[0.5, 1.0]]
    # Over all bits: (-0.5 + 0.5) / 1, where 1.5 would be counted with the half.
    assert HAG.hag_loss(u, h, margin=0.5, balance=0.0, all_bits=True).item() == 1.0
    v = torch.tensor([[-0.5, 0.75]])
    found = HAG.hag_loss(v, h, margin=0.5, balance=0.0, all_bits=True)
    assert found.item() == 1.25**2


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 4),
    bits=st.integers(1, 8),
    train=st.integers(1, 12),
    nearness=st.sampled_from([0.0, 0.5, -0.3]),
    slope=st.sampled_from([1.0, 5.0, 10.0]),
    targeted=st.booleans(),
)
def test_sdha_is_its_formula_whatever_is_grouped(
    seed: int, queries: int, bits: int, train: int, nearness: float, slope: float, targeted: bool
) -> None:
    # Few bits and many codes: equal codes occur, and so do queries that nothing is relevant to.
    rng = seeded(seed)
    u = torch.rand(queries, bits, generator=rng) * 2 - 1
    codes = torch.randint(0, 2, (train, bits), generator=rng) * 2.0 - 1
    relevant = torch.randint(0, 2, (queries, train), generator=rng).float()
    own = torch.randint(0, 2, (queries, bits), generator=rng) * 2.0 - 1
    point, exact = u.clone().requires_grad_(True), u.double().requires_grad_(True)
    surrogate = SDHA.SurrogateLoss(codes, relevant, own, slope, nearness, targeted=targeted)
    found = surrogate.loss(point)
    chosen = [
        codes[row > 0] if row.any() else own[query, None] for query, row in enumerate(relevant)
    ]
    wanted = torch.stack(
        [
            slow_sdha(exact[query], chosen[query].double(), slope, nearness, targeted)
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
        ("hag@published", {"steps": 2000, "learning_rate": 0.78125, "margin": 0.5, "balance": 1.0}),
        (
            "hag@sigir",
            {
                "steps": 2000,
                "learning_rate": 1.0,
                "momentum": 0.0,
                "margin": 0.5,
                "balance": 0.0,
                "alpha": AlphaSchedule.CONSTANT,
                "all_bits": True,
                "second_tanh": True,
            },
        ),
        ("sdha@published", {"steps": 1500, "learning_rate": 0.01, "slope": 5.0, "nearness": 0.5}),
        ("pgd-hamming@inner", {"steps": 7, "step_size": 2 / 255, "random_start": True}),
        ("pgd-hamming", {"steps": 100, "step_size": 1 / 255, "alpha": AlphaSchedule.CONSTANT}),
        (
            "mainstay",
            {
                "steps": 100,
                "step_size": 1 / 255,
                "random_start": True,
                "alpha": AlphaSchedule.TENTHS,
            },
        ),
        ("mainstay@bim", {"steps": 100, "random_start": False, "alpha": AlphaSchedule.TENTHS}),
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
        ("mainstay", {"steps": -1}),
        ("mainstay", {"step_size": -1}),
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


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan])
def test_a_descent_needs_steps_of_some_size(size: float) -> None:
    check_descent(0, step_size=1e-9, learning_rate=100)
    with pytest.raises(UsageError, match=rf"^learning_rate must be above 0, found {size}$"):
        check_descent(3, step_size=0.1, learning_rate=size)
    with pytest.raises(UsageError, match=r"^steps must be 0 or more, found -1$"):
        check_descent(-1, step_size=0.1)
