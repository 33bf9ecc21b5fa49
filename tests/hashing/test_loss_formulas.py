"""Each loss against its formula, written out pair by pair or image by image in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from hashbench.hashing import BoundLoss
from support.draws import seeded

Bind = Callable[..., BoundLoss]


def near(row: Tensor, other: Tensor) -> bool:
    return any(a and b for a, b in zip(row.tolist(), other.tolist(), strict=True))


def surprise(theta: Tensor, relevant: bool) -> Tensor:
    """`-log p` of what is true of the pair, p = sigmoid(theta) that it is relevant."""
    p = 1 / (1 + torch.exp(-theta))
    return -torch.log(p if relevant else 1 - p)


def mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()


def balanced(pairs: list[tuple[Tensor, bool]]) -> Tensor:
    """Every pair weighted with S / S1 or S / S0, then the mean over all S."""
    ones = sum(1 for _, relevant in pairs if relevant)
    weights = {True: len(pairs) / max(ones, 1), False: len(pairs) / max(len(pairs) - ones, 1)}
    return mean(weights[relevant] * value for value, relevant in pairs)


def dch_distance(u: Tensor, v: Tensor) -> Tensor:
    cosine = u @ v / torch.clamp(u.norm() * v.norm(), min=1e-4)
    return (1 - torch.clamp(cosine, max=0.99)) * len(u) / 2


def dch(u: Tensor, y: Tensor) -> Tensor:
    pairs = []
    for i, row in enumerate(y):
        for j, other in enumerate(y):
            d = dch_distance(u[i], u[j])
            s = near(row, other)
            pairs.append(((torch.log(d / 20) if s else 0) + torch.log(1 + 20 / d), s))
    loose = mean(torch.log(1 + dch_distance(v.abs(), torch.ones_like(v)) / 20) for v in u)
    kinds = {s for _, s in pairs}
    value = balanced(pairs) if len(kinds) == 2 else mean(pair for pair, _ in pairs)
    return value + 0.1 * loose


OVER_PAIRS = ("hashnet", "hashnet@saat", "hashnet@deephash", "dsdh", "dsh", "dsh@paper", "dch")


def over_pairs(spec: str, u: Tensor, y: Tensor, memory: Tensor, labels: Tensor) -> Tensor:
    """The formula over a memory that already holds the batch and is a constant."""
    bits = u.shape[1]
    if spec == "dch":
        return dch(u, y)
    if spec == "hashnet@deephash":
        u = memory = torch.tanh(u)
        labels = y
    if spec == "dsh@paper":
        memory, labels = u, y
    pairs = [(i, j, near(row, other)) for i, row in enumerate(y) for j, other in enumerate(labels)]
    if spec.startswith("hashnet"):
        alpha = 10 / bits if spec == "hashnet@saat" else 0.1
        return balanced([(surprise(alpha * u[i] @ memory[j], s), s) for i, j, s in pairs])
    if spec == "dsdh":
        return mean(surprise(u[i] @ memory[j] / 2, s) for i, j, s in pairs)
    terms = []
    for i, j, s in pairs:
        d = (u[i] - memory[j]).square().sum()
        terms.append(d / 2 if s else torch.clamp(2 * bits - d, min=0) / 2)
    return mean(terms) + 0.1 * (1 - u.abs()).abs().mean()


@settings(deadline=None, max_examples=60)
@given(
    spec=st.sampled_from(OVER_PAIRS),
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 4),
    bits=st.integers(1, 6),
)
def test_losses_over_pairs_are_their_formulas(
    bound: Bind, spec: str, seed: int, batch: int, bits: int
) -> None:
    rng = seeded(seed)
    labels = (torch.rand(7, 3, generator=rng) < 0.4).float()
    memory, fresh = (2 * torch.rand(2, 7, bits, generator=rng) - 1).double().unbind()
    index = torch.randperm(7, generator=rng)[:batch]
    loss = bound(spec, labels, bits).double()
    labels = labels.double()
    loss.remember(memory)
    outputs = fresh[index].requires_grad_(True)
    found = loss(outputs, labels[index], index)
    (slope,) = torch.autograd.grad(found, outputs)
    if spec == "dsdh":  # the terms without a gradient have their own test
        codes, classifier = loss.get_buffer("codes"), loss.get_buffer("classifier")
        error = (labels[index] - codes[index] @ classifier).square().mean()
        found = found - error - classifier.square().mean()
    updated = memory.clone()
    updated[index] = fresh[index].detach()
    exact = fresh[index].detach().clone().requires_grad_(True)
    wanted = over_pairs(spec, exact, labels[index], updated, labels)
    (wanted_slope,) = torch.autograd.grad(wanted, exact)
    # Both sides in float64: DSDH's terms alone cancel, to about 1e-16 of 100.
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(slope, wanted_slope, rtol=1e-9, atol=1e-11)


def test_a_batch_that_lacks_one_kind_of_pairs_is_balanced_over_the_other(bound: Bind) -> None:
    u = 2 * torch.rand(3, 4, generator=seeded(2)) - 1
    for labels, sign in ((torch.ones(3, 1), -1), (torch.eye(3)[:, :0].new_zeros(3, 1), 1)):
        value = bound("hashnet", labels, 4)(u, labels, torch.arange(3))
        torch.testing.assert_close(value, F.softplus(sign * 0.1 * u @ u.T).mean())


def test_an_imbalance_of_pairs_does_not_change_what_relevant_ones_weigh(bound: Bind) -> None:
    # The same image of class 0 against 1 relevant and n others, all of one output each: the value
    # does not depend on n.
    values = []
    for others in (1, 10, 100):
        labels = torch.cat([torch.eye(2)[:1], torch.eye(2)[1:].expand(others, 2)])
        loss = bound("hashnet", labels, 4)
        loss.remember(torch.full((1 + others, 4), -0.5))
        values.append(float(loss(torch.full((1, 4), 0.8), labels[:1], torch.tensor([0]))))
    assert values == pytest.approx([values[0]] * 3)


@pytest.mark.parametrize("alpha", [None, 0.3])
def test_hashnets_factor_is_ten_over_the_bits_unless_given(
    alpha: float | None, bound: Bind
) -> None:
    labels = torch.eye(2)
    u = torch.tensor([[0.9, 0.1, -0.4, 0.2, 0.3], [-0.2, 0.5, 0.1, 0.3, -0.7]])
    loss = bound(f"hashnet:alpha={'none' if alpha is None else alpha}", labels, 5)
    theta = (2.0 if alpha is None else alpha) * u @ u.T
    wanted = (F.softplus(-theta.diag()).sum() + 2 * F.softplus(theta[0, 1])) / 2
    torch.testing.assert_close(loss(u, labels, torch.arange(2)), wanted)


def test_saats_continuation_sharpens_the_logits_every_200_steps(bound: Bind) -> None:
    labels = torch.eye(2)
    z = torch.tensor([[0.3, -1.2], [0.7, 0.1]])
    loss, index = bound("hashnet@saat", labels, 2), torch.arange(2)
    factors = []
    for _ in range(600):
        loss(torch.tanh(z), labels, index)
        factors.append(torch.atanh(loss.get_buffer("memory")) / z)
    steps = torch.arange(1, 601)
    wanted = torch.sqrt(1 + 0.005 * (200 * (steps // 200)))
    torch.testing.assert_close(
        torch.stack(factors), wanted.view(-1, 1, 1).expand(600, 2, 2), rtol=1e-4, atol=0
    )
    assert factors[198].allclose(torch.ones(2, 2))
    assert factors[199].allclose(torch.full((2, 2), math.sqrt(2)))


def test_deephashs_continuation_grows_with_the_root_of_20_epochs(bound: Bind) -> None:
    labels = torch.eye(3)
    u = 2 * torch.rand(3, 4, generator=seeded(1)) - 1
    loss = bound("hashnet@deephash", labels, 4)
    values = []
    for _ in range(45):
        loss(u[:2], labels[:2], torch.tensor([0, 1]))  # an epoch in two batches
        values.append(float(loss(u[2:], labels[2:], torch.tensor([2]))))
    for epoch, value in enumerate(values):
        sharp = torch.tanh(math.sqrt(epoch // 20 + 1) * u[2])
        assert value == pytest.approx(float(F.softplus(-0.1 * sharp @ sharp)), rel=1e-5)
    assert values[19] != values[20]


def test_sharpened_logits_keep_the_slope_of_the_layer_and_survive_saturation(bound: Bind) -> None:
    labels = torch.eye(2)
    loss, index = bound("hashnet@saat", labels, 3), torch.arange(2)
    for _ in range(199):
        loss(torch.zeros(2, 3), labels, index)
    z = torch.tensor([[0.4, -20.0, 1.5], [2.5, 20.0, 0.0]]).requires_grad_(True)
    (slope,) = torch.autograd.grad(loss(torch.tanh(z), labels, index), z)
    memory = loss.get_buffer("memory").clone()
    exact = z.detach().double().requires_grad_(True)
    theta = 10 / 3 * torch.tanh(math.sqrt(2) * exact) @ memory.double().T
    wanted = (F.softplus(-theta.diag()).sum() + F.softplus(theta[[0, 1], [1, 0]]).sum()) / 2
    (wanted_slope,) = torch.autograd.grad(wanted, exact)
    torch.testing.assert_close(slope.double(), wanted_slope, rtol=1e-4, atol=1e-6)


def discrete_objective(loss: BoundLoss, labels: Tensor) -> float:
    """What DSDH's descent lowers: mu |Y - W^T B|^2 + nu |W|^2 + eta |B - U|^2 (paper, eq. 9)."""
    codes, weights, memory = (
        loss.get_buffer(name).double() for name in ("codes", "classifier", "memory")
    )
    error = (labels - codes @ weights).square().sum()
    return float(error + weights.square().sum() + 0.5 * (codes - memory).square().sum())


@pytest.mark.parametrize("seed", range(5))
def test_discrete_descent_is_ridge_regression_and_never_goes_up(seed: int, bound: Bind) -> None:
    rng = seeded(seed)
    labels = (torch.rand(30, 4, generator=rng) < 0.3).float()
    outputs = (2 * torch.rand(30, 6, generator=rng) - 1).double()
    reached, codes = [], outputs.sign()
    for rounds in range(1, 7):
        loss = bound(f"dsdh:eta=0.5,iterations={rounds}", labels, 6).double()
        loss.remember(outputs)
        reached.append(discrete_objective(loss, labels))
        weights = torch.linalg.inv(codes.T @ codes + torch.eye(6)) @ codes.T @ labels.double()
        torch.testing.assert_close(loss.get_buffer("classifier"), weights, rtol=1e-9, atol=1e-11)
        codes = loss.get_buffer("codes").clone()
        assert codes.abs().eq(1).all()
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(reached))
    assert not torch.equal(codes, outputs.sign()), "eta is small: labels change some codes"
    # The bit that was set last is the best one given all others, item by item.
    best = discrete_objective(loss, labels)
    for item in range(30):
        loss.get_buffer("codes")[item, 5] *= -1
        assert discrete_objective(loss, labels) >= best - 1e-9
        loss.get_buffer("codes")[item, 5] *= -1


def test_dsdhs_classifier_terms_have_their_value_and_no_gradient(bound: Bind) -> None:
    labels = torch.eye(3).repeat(4, 1)
    outputs = (2 * torch.rand(12, 5, generator=seeded(3)) - 1).requires_grad_(True)
    index = torch.arange(12)
    values, slopes = [], []
    for mu, nu in ((1.0, 1.0), (3.0, 1.5)):
        loss = bound(f"dsdh:mu={mu},nu={nu}", labels, 5)
        loss.remember(outputs.detach())
        codes, weights = loss.get_buffer("codes"), loss.get_buffer("classifier")
        value = loss(outputs, labels, index)
        slopes.append(torch.autograd.grad(value, outputs)[0])
        error = (labels - codes @ weights).square().mean()
        values.append(float((value - mu * error - nu * weights.square().mean()).detach()))
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert torch.equal(*slopes)


def test_dsdh_descends_at_the_start_of_every_epoch(bound: Bind) -> None:
    rng = seeded(4)
    labels = torch.eye(4).repeat(2, 1)
    loss = bound("dsdh", labels, 6)
    batches = [torch.tensor([5, 1, 2]), torch.tensor([0, 7, 3]), torch.tensor([4, 6])]
    for epoch in range(3):
        before = loss.get_buffer("memory").clone()
        seen = []
        for index in batches:
            loss(2 * torch.rand(len(index), 6, generator=rng) - 1, labels[index], index)
            seen.append((loss.get_buffer("codes").clone(), loss.get_buffer("classifier").clone()))
        for codes, weights in seen[1:]:
            assert torch.equal(codes, seen[0][0])
            assert torch.equal(weights, seen[0][1])
        if epoch == 0:
            assert not seen[0][0].any(), "nothing is known yet"
            assert not seen[0][1].any()
        else:
            fresh = bound("dsdh", labels, 6)
            fresh.remember(before)  # with eta 55 the descent ends at the same codes
            assert torch.equal(fresh.get_buffer("codes"), seen[0][0])


def test_deephashs_dsdh_descends_before_every_batch(bound: Bind) -> None:
    labels = torch.eye(4).repeat(2, 1)
    loss, memory = bound("dsdh@deephash", labels, 6), torch.zeros(8, 6)
    for step, index in enumerate((torch.tensor([2, 5]), torch.tensor([0, 2, 7]))):
        memory[index] = 2 * torch.rand(len(index), 6, generator=seeded(step)) - 1
        loss(memory[index], labels[index], index)
        assert torch.equal(loss.get_buffer("memory"), memory)
        # eta 55 ties the codes to the outputs, which the memory holds already.
        known = memory.any(dim=1)
        assert torch.equal(loss.get_buffer("codes")[known], memory[known].sign())
        if step == 0:
            # From zero codes, the first of the ten rounds gives the signs of the outputs.
            fresh = bound("dsdh:iterations=9", labels, 6)
            fresh.remember(memory)
            for name in ("codes", "classifier"):
                torch.testing.assert_close(loss.get_buffer(name), fresh.get_buffer(name))


@pytest.mark.parametrize("labels", [torch.eye(3)[[1, 0]], torch.tensor([[0.0, 1, 1], [1, 0, 1]])])
def test_greedyhash_hands_the_codes_gradient_to_the_outputs(labels: Tensor, bound: Bind) -> None:
    loss = bound("greedyhash", torch.eye(3), 4)
    u = torch.tensor([[0.3, -0.2, 0.9, -0.7], [-0.1, 0.6, -0.4, 0.2]]).requires_grad_(True)
    weight = loss.get_parameter("fc.weight")
    value = loss(u, labels, torch.arange(2))
    slope, weight_slope = torch.autograd.grad(value, [u, weight])
    codes = u.detach().sign()
    logits = codes @ weight.detach().T
    first = torch.tensor([row.tolist().index(1.0) for row in labels])
    gap = 0.1 * (1 - u.abs()).pow(3).mean()
    torch.testing.assert_close(value, F.cross_entropy(logits, first) + gap)
    residual = (logits.softmax(dim=1) - torch.eye(3)[first]) / 2
    pull = -0.1 * 3 * (1 - u.detach().abs()).square() * codes / 8
    torch.testing.assert_close(slope, residual @ weight.detach() + pull)
    torch.testing.assert_close(weight_slope, residual.T @ codes)


def test_greedyhashs_classifier_is_trained_unless_a_repository_forgets_it(bound: Bind) -> None:
    labels = torch.eye(3)
    for spec, trained in (("greedyhash", True), ("greedyhash@cgat", False)):
        loss, again = bound(spec, labels, 4), bound(spec, labels, 4)
        start = loss.get_parameter("fc.weight").detach().clone()
        assert torch.equal(start, again.get_parameter("fc.weight")), "drawn from the cell's seed"
        assert start.abs().max() <= 0.5
        layer = torch.randn(3, 4, generator=seeded(1)).requires_grad_(True)
        optimizer = torch.optim.SGD([layer, *loss.parameters()], lr=0.1, weight_decay=0.1)
        loss(torch.tanh(layer), labels, torch.arange(3)).backward()
        optimizer.step()
        assert torch.equal(loss.get_parameter("fc.weight"), start) != trained


def test_dpn_is_a_hinge_on_the_targets_side(bound: Bind) -> None:
    labels = torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]])
    loss = bound("dpn:margin=0.5", labels, 8)
    targets = loss.get_buffer("targets")
    assert targets[:3].abs().eq(1).all()
    assert (targets[:2] == 1).sum(dim=1).eq(4).all()
    u = (2 * torch.rand(4, 8, generator=seeded(6)) - 1).requires_grad_(True)
    index = torch.tensor([3, 1, 0, 2])
    value = loss(u, labels[index], index)
    (slope,) = torch.autograd.grad(value, u)
    total = 0.0
    for row, item in enumerate(index.tolist()):
        for bit in range(8):
            t, x = float(targets[item, bit]), float(u.detach()[row, bit])
            pulled = item != 3 and x * t < 0.5
            total += (0.5 - x * t) if pulled else 0.0
            assert float(slope[row, bit]) == pytest.approx(-t / 32 if pulled else 0.0)
    assert float(value.detach()) == pytest.approx(total / 32, rel=1e-6)


def ortho_by_hand(u: Tensor, y: Tensor, codebook: Tensor) -> Tensor:
    x = (u - u.mean(dim=0)) / torch.sqrt(u.var(dim=0, unbiased=False) + 1e-5)
    terms = []
    for row, labels in zip(x, y, strict=True):
        cosines = torch.stack([row @ c / (row.norm() * c.norm()) for c in codebook])
        logits = 8 * (cosines - 0.2 * labels)
        log_p = logits - torch.logsumexp(logits, 0)
        wanted = [log_p[c] for c in range(len(codebook)) if labels[c]]
        terms.append(-mean(wanted) if wanted else torch.zeros((), dtype=u.dtype))
    return mean(terms)


@pytest.mark.parametrize("seed", range(4))
def test_ortho_is_cross_entropy_of_cosines_with_a_margin(seed: int, bound: Bind) -> None:
    rng = seeded(seed)
    labels = (torch.rand(6, 4, generator=rng) < 0.4).float()
    loss = bound("ortho", labels, 5, seed).double()
    labels = labels.double()
    codebook = loss.get_buffer("codebook")
    assert codebook.abs().eq(1).all()
    u = (2 * torch.rand(6, 5, generator=rng) - 1).double()
    exact = u.clone().requires_grad_(True)
    wanted = ortho_by_hand(exact, labels, codebook)
    (wanted_slope,) = torch.autograd.grad(wanted, exact)
    u.requires_grad_(True)
    value = loss(u, labels, torch.arange(6))
    (slope,) = torch.autograd.grad(value, u)
    torch.testing.assert_close(value, wanted, rtol=1e-9, atol=0)
    torch.testing.assert_close(slope, wanted_slope, rtol=1e-9, atol=1e-12)


def test_orthos_batch_of_one_is_normalised_by_the_running_statistics(bound: Bind) -> None:
    labels = torch.eye(3)
    loss, rng = bound("ortho", labels, 4), seeded(7)
    for _ in range(400):
        loss(0.5 + 0.1 * torch.randn(3, 4, generator=rng), labels, torch.arange(3))
    u = torch.tensor([[0.6, 0.4, 0.55, 0.3]])
    spread = loss.get_buffer("norm.running_var")
    x = (u - loss.get_buffer("norm.running_mean")) / torch.sqrt(spread + 1e-5)
    logits = 8 * (F.cosine_similarity(x, loss.get_buffer("codebook")) - 0.2 * labels[0])
    value = loss(u, labels[:1], torch.tensor([0]))
    torch.testing.assert_close(value, -logits.log_softmax(dim=0)[0])
