"""A training's steps: nothing in them makes the host wait for the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.defending import AdversarialTraining, DefenseSetup
from hashbench.hashing import BoundLoss, HashModel, OptimizerName, Recipe, train
from hashbench.hashing.trainer import PlainObjective, TrainingLog, random_orders
from hashbench.plugins import TrainedDefense
from hashbench.testing.waits import waits

Build = Callable[..., HashModel]
Bind = Callable[..., BoundLoss]
LOSSES = (
    "csq",
    "dpsh",
    "dsdh",
    "dsdh@deephash",
    "dch",
    "dph",
    "hashnet",
    "greedyhash",
    "dsh",
    "dpn",
)


def counted(
    model: HashModel,
    objective: Any,
    recipe: Recipe,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> tuple[Counter[str], TrainingLog]:
    orders = list(random_orders(len(pixels), recipe.epochs, seed=1))
    with waits() as found:
        log = train(model, objective, recipe, pixels, labels, orders)
    return found, log


@pytest.mark.parametrize("spec", LOSSES)
def test_a_step_more_of_a_base_training_waits_for_nothing_more(
    spec: str,
    place: str,
    small_model: Build,
    bound: Bind,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    found = []
    for batch in (10, 4):  # two and five steps of the one epoch
        model = small_model().to(place)
        loss = bound(spec, torch.from_numpy(labels).float()).to(place)
        recipe = Recipe(1, batch=batch)
        found.append(counted(model, PlainObjective(model, loss), recipe, pixels, labels)[0])
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["cgat", "cgat@released", "atrdh", "saat", "saat@released"])
def test_a_step_more_of_a_defense_waits_for_nothing_more(
    name: str,
    place: str,
    small_model: Build,
    setup_of: Callable[..., DefenseSetup],
    defense_named: Callable[..., AdversarialTraining],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    found = []
    for batch, steps in ((10, 1), (4, 3)):  # more steps, each with more inner steps
        model = small_model().to(place)
        setup = on(place, setup_of(small_model(), pixels, labels, "dpsh"), model)
        # Where a random start lies is drawn elsewhere.
        defense = defense_named(
            name, inner_steps=steps, epochs=1, random_start=False, augment="none"
        )
        objective = defense.objective(setup)
        found.append(counted(model, objective, Recipe(1, batch=batch), pixels, labels)[0])
    # The mainstay code counts the labels of its codes once.
    assert found[0] == found[1]


def test_a_step_more_on_bounds_waits_for_nothing_more(
    place: str,
    small_model: Build,
    setup_of: Callable[..., DefenseSetup],
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    found = []
    for batch in (10, 4):
        model = small_model().to(place)
        setup = on(place, setup_of(small_model(), pixels, labels), model)
        defense = plugins.get("defense", "certified", kappa=0.5, begin=0.0)
        assert isinstance(defense, TrainedDefense)
        recipe = replace(defense.recipe(setup.budget), epochs=1, batch=batch)
        # Adam reads its counts of steps, which lie on the host.
        recipe = replace(recipe, optimizer=OptimizerName.SGD)
        found.append(counted(model, defense.objective(setup), recipe, pixels, labels)[0])
    assert found[0] == found[1]


def on(place: str, setup: DefenseSetup, model: HashModel) -> DefenseSetup:
    return DefenseSetup(
        model=model,
        loss=setup.loss.to(place),
        outputs=setup.outputs.to(place),
        labels=setup.labels.to(place),
        database_labels=setup.database_labels.to(place),
        budget=setup.budget,
        generator=setup.generator,
    )


@pytest.mark.parametrize("optimizer", list(OptimizerName))
def test_the_device_changes_no_loss_and_no_weight(
    optimizer: OptimizerName,
    place: str,
    small_model: Build,
    bound: Bind,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    recipe = Recipe(3, batch=6, optimizer=optimizer)
    rows = torch.from_numpy(labels).float()
    there, here = small_model().to(place), small_model()
    log = counted(
        there, PlainObjective(there, bound("csq", rows).to(place)), recipe, pixels, labels
    )[1]
    orders = random_orders(len(pixels), 3, seed=1)
    wanted = train(here, PlainObjective(here, bound("csq", rows)), recipe, pixels, labels, orders)
    assert log == wanted
    for name, value in there.state_dict().items():
        assert torch.equal(value.cpu(), here.state_dict()[name]), name
