"""CgAT: what it adds to plain training, term by term."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.defending import AdversarialTraining, Budget, DefenseSetup
from hashbench.eps import Eps
from hashbench.hashing import (
    BoundLoss,
    HashModel,
    Objective,
    OptimizerName,
    batch_centers,
    codes_of,
    train,
)
from hashbench.hashing.trainer import PlainObjective, random_orders
from support.batches import batch_of

Named = Callable[..., AdversarialTraining]
SetupOf = Callable[..., DefenseSetup]
Build = Callable[..., HashModel]
Data = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture
def data(pixels: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Data:
    return pixels, labels


@pytest.mark.parametrize("spec", ["csq", "dph", "dpsh"])
def test_without_its_term_it_is_plain_training_to_the_bit(
    spec: str,
    small_model: Build,
    data: Data,
    defense_named: Named,
    setup_of: SetupOf,
    bound: Callable[..., BoundLoss],
) -> None:
    defense = defense_named("cgat", weight=0, inner_steps=0, epochs=3)
    defended, plain = small_model(), small_model()
    # The adversarial pass updates batch statistics too, as in the script.
    for model in (defended, plain):
        model.backbone[2] = nn.Identity()  # type: ignore[operator]
    setup = setup_of(defended, *data, spec=spec)
    recipe = defense.recipe(setup.budget)
    loss = bound(spec, setup.labels)
    loss.remember(codes_of(setup.outputs).float())
    logs = [
        train(
            model,
            objective,
            recipe,
            *data,
            random_orders(len(data[0]), recipe.epochs, seed=4),
        )
        for model, objective in (
            (defended, defense.objective(setup)),
            (plain, PlainObjective(plain, loss)),
        )
    ]
    assert logs[0] == logs[1]
    assert len(logs[0].losses) == 3
    for name, value in plain.state_dict().items():
        assert torch.equal(defended.state_dict()[name], value), name
    assert not torch.equal(plain.hash_layer.weight, small_model().hash_layer.weight)


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_the_loss_of_a_batch_is_the_hashing_loss_minus_the_agreement_with_new_centers(
    weight: float, small_model: Build, data: Data, defense_named: Named, setup_of: SetupOf
) -> None:
    # Without steps or start the adversarial image is the image, so both terms are known.
    model = small_model()
    defense = defense_named("cgat", weight=weight, inner_steps=0, random_start=False)
    setup = setup_of(model, *data, spec="dph")
    # A base model of other codes, so that the batch's new codes change its centers.
    old = -codes_of(setup.outputs).float()
    setup = DefenseSetup(**{**vars(setup), "outputs": 0.5 * old})
    objective = defense.objective(setup)
    batch = batch_of(*data, [3, 11, 7, 0])
    found = objective.loss(batch)
    outputs = model.outputs(batch.images).detach()
    memory = old.clone()
    memory[batch.index] = codes_of(outputs).float()
    centers = batch_centers(batch.labels, memory, setup.labels)
    assert not torch.equal(centers, batch_centers(batch.labels, old, setup.labels))
    pairs = old.clone()
    pairs[batch.index] = outputs
    wanted = 2.0 * ((batch.labels @ setup.labels.T) > 0) - 1
    hashing = (outputs @ pairs.T / 6 - wanted).square().mean()
    expected = hashing - weight * (outputs * centers).mean()
    torch.testing.assert_close(found.detach(), expected)


def test_images_are_pushed_from_the_centers_of_before_the_batch(
    small_model: Build, data: Data, defense_named: Named, setup_of: SetupOf
) -> None:
    model = small_model()
    defense = defense_named("cgat", inner_steps=1, random_start=False)
    setup = setup_of(model, *data)
    old = -codes_of(setup.outputs).float()
    setup = DefenseSetup(**{**vars(setup), "outputs": old})
    seen: list[Tensor] = []
    outputs = model.outputs

    def watch(images: Tensor, alpha: float = 1.0) -> Tensor:
        seen.append(images.detach().clone())
        return outputs(images, alpha)

    model.outputs = watch  # type: ignore[method-assign]
    batch = batch_of(*data, [1, 2, 3])
    defense.objective(setup).loss(batch)
    _, adversarial, clean = seen  # the step, then the two passes of the loss, in the script's order
    assert torch.equal(clean, batch.images)
    point = batch.images.clone().requires_grad_(True)
    centers = batch_centers(batch.labels, old, setup.labels)
    (gradient,) = torch.autograd.grad((outputs(point) * centers).sum(), point)
    stride = float(Eps.parse("8/255")) / 4
    wanted = (batch.images - stride * gradient.sign()).clamp(0, 1)
    torch.testing.assert_close(adversarial, wanted, rtol=0, atol=1e-6)


def test_it_keeps_more_of_the_agreement_than_plain_training(
    small_model: Build,
    data: Data,
    defense_named: Named,
    setup_of: SetupOf,
) -> None:
    # What it minimises, seen from outside: outputs on attacked images stay near the centers.
    remaining = []
    for weight in (0.0, 1.0):
        model = small_model()
        defense = defense_named(
            "cgat", weight=weight, epochs=60, inner_steps=4, eps="24/255", learning_rate=0.1
        )
        setup = setup_of(model, *data)
        recipe = defense.recipe(setup.budget)
        orders = random_orders(len(data[0]), recipe.epochs, seed=4)
        train(model, defense.objective(setup), recipe, *data, orders)
        batch = batch_of(*data, range(20))
        codes = model.codes(batch.images).float()
        centers = batch_centers(batch.labels, codes, batch.labels)
        inner = defense.inner_attack(model, setup.budget, torch.Generator().manual_seed(1))
        attacked = inner.away_from(batch.images, centers)
        with torch.no_grad():
            remaining.append(float((model.outputs(attacked) * centers).mean()))
    assert remaining[1] > remaining[0] + 0.05


def test_the_recipe_is_the_published_one(defense_named: Named) -> None:
    budget = Budget(epochs=5, inner_steps=3, eps=Eps.parse("24/255"))
    recipe = defense_named("cgat").recipe(budget)
    assert recipe.optimizer is OptimizerName.SGD
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.01, 0.9, 5e-4)
    assert (recipe.batch, recipe.milestones, recipe.gamma) == (32, (0.5, 0.75), 0.1)
    assert (recipe.epochs, recipe.float_milestones) == (5, False)
    released = defense_named("cgat@released")
    assert released.recipe(budget).epochs == 30
    assert released.recipe(budget).float_milestones
    settings: dict[str, Any] = {"weight": 1.0, "training_mode": True, "soft_memory": True}
    assert {name: getattr(released, name) for name in settings} == settings


def test_an_objective_owns_no_further_parameters(
    small_model: Build, data: Data, defense_named: Named, setup_of: SetupOf
) -> None:
    objective: Objective = defense_named("cgat").objective(setup_of(small_model(), *data))
    assert not list(objective.parameters())
