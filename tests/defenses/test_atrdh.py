"""ATRDH: the loss of a batch, its memories, and its recipe."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.defending import AdversarialTraining, Budget, DefenseSetup
from hashbench.eps import Eps
from hashbench.hashing import (
    HashModel,
    OptimizerName,
    codes_of,
    train,
)
from hashbench.hashing.trainer import random_orders
from support.batches import batch_of

Named = Callable[..., AdversarialTraining]
SetupOf = Callable[..., DefenseSetup]
Build = Callable[..., HashModel]

ATRDH = importlib.import_module("hashbench.defenses.atrdh")


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("empty", [True, False])
def test_the_loss_of_a_batch(
    weight: float,
    empty: bool,
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    defense_named: Named,
    setup_of: SetupOf,
) -> None:
    # Without steps or start the adversarial image is the image: the term is DPH's, once more.
    model = small_model()
    defense = defense_named(
        "atrdh", weight=weight, empty_memory=empty, inner_steps=0, random_start=False
    )
    setup = setup_of(model, pixels, labels, spec="dph")
    objective = defense.objective(setup)
    memory = torch.zeros_like(setup.outputs) if empty else setup.outputs.clone()
    model.hash_layer.weight.data.mul_(0.5)  # what the memory holds is not what the batch gives
    for index in ([4, 0, 9], [9, 1, 2]):
        batch = batch_of(pixels, labels, index)
        outputs = model.outputs(batch.images).detach()
        memory[batch.index] = outputs
        wanted = 2.0 * ((batch.labels @ setup.labels.T) > 0) - 1
        once = (outputs @ memory.T / 6 - wanted).square().mean()
        found = objective.loss(batch)
        torch.testing.assert_close(found.detach(), (1 + weight) * once)


def test_images_are_pulled_to_the_target_codes(
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    defense_named: Named,
    setup_of: SetupOf,
) -> None:
    model = small_model()
    defense = defense_named("atrdh", inner_steps=1, random_start=False, inner_step_size=0.01)
    setup = setup_of(model, pixels, labels)
    inner = defense.inner_attack(model, setup.budget, setup.generator)
    codes = torch.tensor([[1.0, -1, 1, -1, 1, 1], [-1.0, -1, -1, 1, 1, 1]])
    given: list[Tensor] = []

    def targets(train_codes: Tensor, index: Tensor) -> Tensor:
        given.extend((train_codes.clone(), index))
        return codes

    objective = ATRDH.PrototypeGuided(defense, setup, inner, targets, {})
    seen: list[Tensor] = []
    outputs = model.outputs

    def watch(images: Tensor, alpha: float = 1.0) -> Tensor:
        seen.append(images.detach().clone())
        return outputs(images, alpha)

    model.outputs = watch  # type: ignore[method-assign]
    model.hash_layer.weight.data.neg_()  # new codes: the prototypes are shown those of this batch
    batch = batch_of(pixels, labels, [5, 8])
    objective.loss(batch)
    clean, _, adversarial = seen  # the clean pass comes first, then the step, then the attacked one
    assert torch.equal(clean, batch.images)
    point = batch.images.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((outputs(point) * codes).sum(), point)
    wanted = (batch.images + 0.01 * gradient.sign()).clamp(0, 1)
    torch.testing.assert_close(adversarial, wanted, rtol=0, atol=1e-6)
    shown = codes_of(setup.outputs).float()
    shown[batch.index] = codes_of(outputs(batch.images)).float()
    assert torch.equal(given[0], shown)
    assert torch.equal(given[1], batch.index)


def test_training_runs_and_repeats_to_the_bit(
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    defense_named: Named,
    setup_of: SetupOf,
) -> None:
    runs = []
    for process_wide in (1, 2):
        torch.manual_seed(process_wide)
        model = small_model()
        defense = defense_named("atrdh", epochs=2, inner_steps=2)
        setup = setup_of(model, pixels, labels)
        recipe = defense.recipe(setup.budget)
        orders = random_orders(20, 2, seed=1)
        log = train(model, defense.objective(setup), recipe, pixels, labels, orders)
        runs.append((log.losses, model.state_dict()))
    assert runs[0][0] == runs[1][0]
    for name, value in runs[0][1].items():
        assert torch.equal(value, runs[1][1][name])
    assert not torch.equal(runs[0][1]["hash_layer.weight"], small_model().hash_layer.weight)


def test_the_recipes_are_the_published_ones(defense_named: Named) -> None:
    budget = Budget(epochs=5, inner_steps=3, eps=Eps.parse("24/255"))
    # By default it shares the optimiser of the other trained defenses.
    recipe = defense_named("atrdh").recipe(budget)
    assert recipe == defense_named("cgat").recipe(budget)
    assert recipe.epochs == 5
    for name, weight, softplus in (("atrdh@saat", 2.0, True), ("atrdh@sigir", 1.0, False)):
        defense = defense_named(name)
        settings: dict[str, Any] = {
            "weight": weight,
            "softplus": softplus,
            "square_mask": True,
            "empty_memory": True,
            "training_mode": True,
        }
        assert {key: getattr(defense, key) for key in settings} == settings
        recipe = defense.recipe(budget)
        assert recipe.optimizer is OptimizerName.ADAM
        assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (1e-4, 0.5, 0.0)
        assert (recipe.batch, recipe.milestones, recipe.gamma) == (32, (0.5, 0.75), 0.1)
        assert recipe.epochs == 100
        granted = defense.granted(budget)
        assert (granted.inner_steps, str(granted.eps)) == (7, "8/255")
