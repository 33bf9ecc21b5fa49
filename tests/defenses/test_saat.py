"""SAAT: whole trainings against a plain re-implementation of its formulas, and its recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.defending import AdversarialTraining, Budget, DefenseSetup
from hashbench.defending.center_guided import CenterGuided
from hashbench.eps import Eps
from hashbench.hashing import (
    CounterRandom,
    HashModel,
    OptimizerName,
    codes_of,
    train,
)
from support.batches import batch_of
from support.exact import in_float64

Arrays = Mapping[str, NDArray[Any]]
Vectors = Callable[[str], Arrays]
Named = Callable[..., AdversarialTraining]
SetupOf = Callable[..., DefenseSetup]
Build = Callable[..., HashModel]

SEED, EPOCHS, BATCH = 11, 4, 8


def mainstay(label: Tensor, memory: Tensor, labels: Tensor) -> Tensor:
    """Cosine weights and negatives' indicators, each row summing to 1; nothing weighs nothing."""
    norms = label.norm(dim=1, keepdim=True) * labels.norm(dim=1)
    near = (label @ labels.T).double() / (norms.double() + 1e-8)
    far = 1 - near.sign()
    near, far = (w / w.sum(dim=1, keepdim=True).clamp(min=1e-12) for w in (near, far))
    code: Tensor = ((near - far) @ memory.double()).round(decimals=9).sign()
    return code


def reference(given: Arrays, orders: list[Tensor], weight: float, mu: float, shared: bool) -> Any:
    """SAAT on DPH in plain torch, in float64: losses of all steps, final weights, final memory."""
    x, y = torch.from_numpy(given["X"]), torch.from_numpy(given["Y"])
    mean, std = (
        torch.tensor(three, dtype=torch.float64)
        for three in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    weights = [torch.from_numpy(given[f"W{i}_init"]).clone().requires_grad_(True) for i in (1, 2)]

    def net(images: Tensor) -> Tensor:
        flat = ((images - mean.view(3, 1, 1)) / std.view(3, 1, 1)).flatten(1)
        return torch.tanh(torch.relu(flat @ weights[0]) @ weights[1])

    memory = net(x).detach().sign()
    pairs = memory if shared else memory.clone()
    generator, eps = torch.Generator().manual_seed(SEED), 8 / 255
    losses: list[float] = []
    for index in [index for order in orders for index in order.split(BATCH)]:
        images, label = x[index], y[index]
        code = mainstay(label, memory, y)
        start = CounterRandom.drawn_from(generator).uniform(images.shape, -eps, eps)[0]
        attacked = (images + start).clamp(0, 1)
        for _ in range(7):
            attacked.requires_grad_(True)
            (slope,) = torch.autograd.grad((net(attacked) * code).mean(), attacked)
            moved = (attacked.detach() - 2 / 255 * slope.sign() - images).clamp(-eps, eps)
            attacked = (images + moved).clamp(0, 1)
        u_adv, u = net(attacked), net(images)
        memory[index] = u.detach().sign()
        code = mainstay(label, memory, y)
        pairs[index] = u.detach()
        similar = 2 * ((label @ y.T) > 0).double() - 1
        clean = ((u @ pairs.T / u.shape[1] - similar) ** 2).mean()
        loss = clean - weight * (u_adv * code).mean() + mu * ((u_adv - u_adv.sign()) ** 2).mean()
        rate = 0.05 * 0.1 ** sum(len(losses) >= share * EPOCHS * 3 for share in (0.5, 0.75))
        slopes = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for value, slope in zip(weights, slopes, strict=True):
                value -= rate * (slope + 1e-5 * value)
        losses.append(loss.item())
    return losses, weights, memory


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("weight", "mu"), [(1.0, 1e-4), (0.7, 0.3)])
def test_whole_trainings_equal_a_plain_implementation(
    weight: float,
    mu: float,
    shared: bool,
    vectors: Vectors,
    defense_named: Named,
    setup_of: SetupOf,
    vector_model: Callable[[Arrays], HashModel],
) -> None:
    given = vectors("train_traces")
    rng = torch.Generator().manual_seed(1)
    orders = [torch.randperm(24, generator=rng) for _ in range(EPOCHS)]
    losses, weights, memory = reference(given, orders, weight, mu, shared)
    settings = {"weight": weight, "quantization": mu, "soft_memory": shared}
    rate = {"learning_rate": 0.05, "momentum": 0.0, "weight_decay": 1e-5}
    defense = defense_named("saat@released", epochs=EPOCHS, **settings)
    assert {name: getattr(defense, name) for name in rate} == rate
    model = vector_model(given)
    setup = setup_of(model, given["X"], given["Y"], spec="dph", seed=SEED)
    objective = in_float64(defense.objective(setup))
    assert isinstance(objective, CenterGuided)
    recipe = replace(defense.recipe(setup.budget), batch=BATCH)
    log = train(model, objective, recipe, given["X"], given["Y"].astype(np.uint8), orders)
    # Both sides are in float64, and each rounds in its own order: eps 1e-16, through 12 steps.
    assert log.losses == pytest.approx(losses, rel=1e-11)
    hidden = model.backbone[1]  # type: ignore[index]
    for layer, wanted, name in zip(
        (hidden, model.hash_layer), weights, ("W1_init", "W2_init"), strict=True
    ):
        found = layer.weight.detach().T
        torch.testing.assert_close(found, wanted.detach(), rtol=0, atol=1e-11)
        assert (found - torch.from_numpy(given[name])).abs().max() > 1e-3
    torch.testing.assert_close(objective._codes, memory, rtol=0, atol=1e-10)


def test_the_terms_matter_to_the_trace(vectors: Vectors) -> None:
    # Each of them, changed in the reference, moves the losses by more than may differ above.
    given = vectors("train_traces")
    rng = torch.Generator().manual_seed(1)
    orders = [torch.randperm(24, generator=rng) for _ in range(EPOCHS)]
    losses = np.array(reference(given, orders, 1.0, 1e-4, False)[0])
    for weight, mu, shared in ((0.99, 1e-4, False), (1.0, 3e-4, False), (1.0, 1e-4, True)):
        other = np.array(reference(given, orders, weight, mu, shared)[0])
        assert np.abs(other / losses - 1).max() > 1e-5, (weight, mu, shared)


KEEPING = ("dph", "dpsh", "dsdh", "dsh", "hashnet")
KEEPING_NONE = (
    "csq",
    "dch",
    "dpn",
    "dsh:batch_pairs=true",
    "greedyhash",
    "hashnet@deephash",
    "ortho",
)


@pytest.mark.parametrize("spec", KEEPING + KEEPING_NONE)
@pytest.mark.parametrize("name", ["saat", "cgat"])
def test_outputs_enter_saats_memory_through_a_loss_that_keeps_some_and_cgats_always(
    name: str,
    spec: str,
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    defense_named: Named,
    setup_of: SetupOf,
) -> None:
    batch = batch_of(pixels, labels, [3, 11, 7])
    for soft in (False, True):
        model = small_model()
        defense = defense_named(name, soft_memory=soft, inner_steps=1)
        setup = setup_of(model, pixels, labels, spec=spec)
        objective = defense.objective(setup)
        assert isinstance(objective, CenterGuided)
        before = codes_of(setup.outputs).float()
        model.hash_layer.weight.data.neg_()
        objective.loss(batch)
        wanted = model.outputs(batch.images).detach()
        enter = soft and (name == "cgat" or spec in KEEPING)
        wanted = wanted if enter else codes_of(wanted).float()
        before[batch.index] = wanted
        torch.testing.assert_close(objective._codes, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("epochs", "per_epoch", "rates"),
    [
        (20, 7, (0.05, 0.005, 0.0005)),  # the script's own: 70 and 105 are whole steps
        (10, 7, (0.05, 0.005)),  # 52.5 is none: the second decay never comes
        (9, 7, (0.05,)),  # neither 31.5 nor 47.25 is
        (9, 8, (0.05, 0.005, 0.0005)),  # 36 and 54
    ],
)
def test_the_scripts_decays_come_at_whole_steps_alone(
    epochs: int, per_epoch: int, rates: tuple[float, ...], defense_named: Named
) -> None:
    budget = Budget(epochs=5, inner_steps=3, eps=Eps.parse("24/255"))
    steps = epochs * per_epoch

    def seen(**settings: object) -> set[float]:
        recipe = defense_named("saat@released", epochs=epochs, **settings).recipe(budget)
        assert recipe.epochs == epochs
        return {round(recipe.rate_at(step, steps), 12) for step in range(steps)}

    assert seen() == set(rates)
    assert seen(float_milestones=False) == {0.05, 0.005, 0.0005}


def test_the_recipe_is_the_published_one(defense_named: Named) -> None:
    budget = Budget(epochs=5, inner_steps=3, eps=Eps.parse("24/255"))
    # By default it shares the optimiser of the other trained defenses.
    recipe = defense_named("saat").recipe(budget)
    assert recipe == defense_named("cgat").recipe(budget)
    assert recipe.epochs == 5
    released = defense_named("saat@released")
    recipe = released.recipe(budget)
    assert recipe.optimizer is OptimizerName.SGD
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.05, 0.0, 1e-5)
    assert (recipe.batch, recipe.milestones, recipe.gamma) == (32, (0.5, 0.75), 0.1)
    assert (recipe.epochs, recipe.float_milestones) == (20, True)
    granted = released.granted(budget)
    assert (granted.inner_steps, str(granted.eps)) == (7, "8/255")
    settings: dict[str, Any] = {
        "weight": 1.0,
        "quantization": 1e-4,
        "training_mode": True,
        "soft_memory": True,
        "random_start": True,
        "inner_step_size": None,  # a quarter of the radius: the script's 2/255
    }
    assert {name: getattr(released, name) for name in settings} == settings
