"""What holds for every loss: symmetries, the optimum, broken batches, adversarial trainings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from hashbench import plugins
from hashbench.defending import AdversarialTraining, Budget, DefenseSetup
from hashbench.eps import Eps
from hashbench.hashing import BoundLoss, HashModel, Recipe, train
from hashbench.hashing.trainer import random_orders
from support.draws import seeded

Bind = Callable[..., BoundLoss]
Build = Callable[..., HashModel]

NAMES = ("csq", "dch", "dph", "dpn", "dpsh", "dsdh", "dsh", "greedyhash", "hashnet", "ortho")

SPECS = (
    *NAMES,
    "csq@saat",
    "dpsh@saat",
    "dsdh@deephash",
    "dsh@paper",
    "greedyhash@cgat",
    "hashnet@deephash",
    "hashnet@saat",
)

BIT_AXIS = {"memory": 1, "codes": 1, "targets": 1, "codebook": 1, "fc.weight": 1, "classifier": 0}


def transformed(loss: BoundLoss, other: BoundLoss, order: Tensor, signs: Tensor) -> None:
    """Give `other` the state of `loss` with its bits in another order and other signs."""
    for name, value in loss.state_dict().items():
        if name not in BIT_AXIS:
            other.state_dict()[name].copy_(value)
            continue
        axis = BIT_AXIS[name]
        factors = signs.view(-1, 1) if axis == 0 else signs
        other.state_dict()[name].copy_(value.index_select(axis, order) * factors)


@settings(deadline=None, max_examples=80)
@given(
    spec=st.sampled_from([s for s in SPECS if s != "dsdh@deephash"]),
    seed=st.integers(0, 2**32 - 1),
    bits=st.integers(1, 9),
)
def test_bits_have_no_order_and_no_side(bound: Bind, spec: str, seed: int, bits: int) -> None:
    rng = seeded(seed)
    labels = (torch.rand(9, 3, generator=rng) < 0.5).float()
    memory, fresh = (2 * torch.rand(2, 9, bits, generator=rng) - 1).double().unbind()
    index = torch.randperm(9, generator=rng)[:4]
    order = torch.randperm(bits, generator=rng)
    signs = torch.where(torch.rand(bits, generator=rng) < 0.5, -1.0, 1.0)
    loss, other = (bound(spec, labels, bits).double() for _ in range(2))
    labels = labels.double()
    loss.remember(memory)
    transformed(loss, other, order, signs)
    u = fresh[index].requires_grad_(True)
    moved = (fresh[index][:, order] * signs).requires_grad_(True)
    value, found = loss(u, labels[index], index), other(moved, labels[index], index)
    (slope,) = torch.autograd.grad(value, u)
    (found_slope,) = torch.autograd.grad(found, moved)
    torch.testing.assert_close(found, value, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found_slope, slope[:, order] * signs, rtol=1e-9, atol=1e-11)


@settings(deadline=None, max_examples=80)
@given(spec=st.sampled_from(SPECS), seed=st.integers(0, 2**32 - 1), reach=st.floats(0.01, 1))
def test_two_opposite_codes_are_the_optimum_for_two_classes(
    bound: Bind, spec: str, seed: int, reach: float
) -> None:
    """Every pair, and every image, is then where its term is least over all outputs in [-1, 1]."""
    rng = seeded(seed)
    labels = torch.eye(2).repeat(4, 1)
    code = torch.where(torch.rand(8, generator=rng) < 0.5, -1.0, 1.0)
    ideal = labels @ torch.stack([code, -code])
    index = torch.arange(8)

    def value(outputs: Tensor) -> float:
        loss = bound(spec, labels, 8)
        loss.remember(ideal)
        for name, state in loss.state_dict().items():
            if name == "targets":
                state.copy_(ideal)
            elif name in ("codebook", "fc.weight"):
                state.copy_(torch.stack([code, -code]))
        return float(loss(outputs, labels, index).detach())

    noise = 2 * torch.rand(8, 8, generator=rng) - 1
    least, found = value(ideal), value((1 - reach) * ideal + reach * noise)
    assert found > least - 1e-6
    if reach == 1:
        assert found > least + 1e-4


# GreedyHash's gradient is that of the code, which a small step leaves as it is.
@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith("greedyhash")])
def test_a_step_against_the_gradient_lowers_the_loss(spec: str, bound: Bind) -> None:
    rng = seeded(11)
    labels = (torch.rand(12, 4, generator=rng) < 0.4).float()
    start = 1.6 * torch.rand(12, 8, generator=rng) - 0.8
    index = torch.arange(12)
    loss = bound(spec, labels, 8)
    loss.remember(start)
    u = start.clone().requires_grad_(True)
    value = loss(u, labels, index)
    (slope,) = torch.autograd.grad(value, u)
    step = 1e-3 / slope.norm()
    assert float(loss(start - step * slope, labels, index).detach()) < float(value.detach())


LABELS = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
BATCHES = {
    "without any label": torch.tensor([1, 3]),
    "with one image without a label": torch.tensor([0, 1, 2]),
    "of one image": torch.tensor([0]),
    "of one image without a label": torch.tensor([1]),
    "of one class": torch.tensor([2, 5]),
    "of one image twice": torch.tensor([4, 4]),
}
LOGITS: dict[str, Callable[[int, int], Tensor]] = {
    "ordinary": lambda n, k: torch.randn(n, k, generator=seeded(1)),
    "all zero": torch.zeros,
    "all saturated": lambda n, k: 30 * torch.randn(n, k, generator=seeded(2)).sign(),
    "all the same": lambda n, k: torch.full((n, k), 0.3),
    "tiny": lambda n, k: 1e-30 * torch.randn(n, k, generator=seeded(3)),
}


STEEPEST = {
    # Near 0 a cosine is steep: the product of two lengths counts as 1e-4 at least.
    "dch": 1e5,
    # Batch norm alone multiplies by 316 where all outputs of a batch are the same.
    "ortho": 1e6,
}


@pytest.mark.parametrize("bits", [1, 7])
@pytest.mark.parametrize("logits", LOGITS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("spec", SPECS)
def test_no_batch_breaks_a_loss(spec: str, batch: str, logits: str, bits: int, bound: Bind) -> None:
    index = BATCHES[batch]
    for filled in (False, True):
        loss = bound(spec, LABELS, bits)
        if filled:
            loss.remember(torch.tanh(LOGITS[logits](len(LABELS), bits)))
        for _ in range(3):
            z = LOGITS[logits](len(index), bits).requires_grad_(True)
            value = loss(torch.tanh(z), LABELS[index], index)
            assert value.shape == ()
            assert value.isfinite()
            (slope,) = torch.autograd.grad(value, z)
            assert slope.isfinite().all()
            assert slope.abs().max() < STEEPEST.get(spec, 1e2)
        assert all(state.isfinite().all() for state in loss.state_dict().values())


@pytest.mark.parametrize(
    "spec", ["csq:quantization=0", "dpn", "greedyhash:quantization=0", "ortho"]
)
def test_an_image_without_a_label_is_pulled_to_no_class(spec: str, bound: Bind) -> None:
    loss = bound(spec, LABELS, 8)
    index = torch.tensor([3])
    u = (torch.rand(1, 8, generator=seeded(5)) - 0.5).requires_grad_(True)
    value = loss(u, LABELS[index], index)
    (slope,) = torch.autograd.grad(value, u)
    assert float(value.detach()) == 0
    assert not slope.any()


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_builds_and_is_documented_by_its_values(name: str, bound: Bind) -> None:
    entry = plugins.registry(plugins.Kind.LOSS).find(plugins.Kind.LOSS, name)
    assert entry.plugin.card.cite
    assert entry.plugin.card.presets
    u = (torch.rand(6, 8, generator=seeded(5)) - 0.5).requires_grad_(True)
    for preset in entry.plugin.card.presets:
        loss = bound(f"{name}@{preset}", LABELS, 8)
        assert loss(u, LABELS, torch.arange(6)).requires_grad


@pytest.mark.parametrize("spec", SPECS)
def test_the_seed_alone_decides_what_a_loss_draws(spec: str, bound: Bind) -> None:
    states = []
    for noise, seed in ((1, 5), (2, 5), (1, 6)):
        torch.manual_seed(noise)
        states.append(bound(spec, LABELS, 24, seed).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    drawn = {"targets", "codebook", "fc.weight"} & set(states[0])
    assert all(not torch.equal(states[0][name], states[2][name]) for name in drawn)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, (9, 3, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize("defense", ["atrdh", "cgat", "cgat@released", "saat"])
@pytest.mark.parametrize("spec", SPECS)
def test_every_loss_is_the_base_of_every_adversarial_training(
    spec: str, defense: str, bound: Bind, small_model: Build, pixels: NDArray[np.uint8]
) -> None:
    labels = np.eye(3, dtype=np.uint8)[np.arange(9) % 3]
    labels[4] = 0  # an image without a label
    rows = torch.from_numpy(labels).float()
    plugin = plugins.get("defense", defense, epochs=2, inner_steps=1)
    assert isinstance(plugin, AdversarialTraining)
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        outputs = model.outputs(torch.from_numpy(pixels).float() / 255)
    loss, budget = bound(spec, rows, 6), Budget(2, 1, Eps.parse("8/255"))
    objective = plugin.objective(DefenseSetup(model, loss, outputs, rows, rows, budget, seeded()))
    assert {id(own) for own in loss.parameters()} <= {id(p) for p in objective.parameters()}
    recipe = Recipe(2, batch=4)  # batches of 4, 4 and 1
    log = train(model, objective, recipe, pixels, labels, random_orders(9, 2, 0))
    assert np.isfinite(log.losses).all()
    assert not torch.equal(model.state_dict()["hash_layer.weight"], before["hash_layer.weight"])


def test_only_losses_with_a_memory_take_part_in_a_shared_one(bound: Bind) -> None:
    """The released trainings learn from an overridden `remember` that a loss keeps outputs."""
    for spec in SPECS:
        loss = bound(spec, LABELS, 4)
        keeps = type(loss).remember is not BoundLoss.remember
        assert keeps == ("memory" in loss.state_dict()), spec
